// Package secret turns the connections of bellhop.yaml into connections that can be used, and keeps their secret
// values out of everything that is written.
package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

const (
	maxFile        = 64 << 10         // bytes of a secret file, or of a command's answer
	commandTimeout = 10 * time.Second // for `command("…")`
	retryFailed    = 10 * time.Second // how long the reason of a failure is remembered
	maxValues      = 10               // values of one secret at a time, for a rotation
)

// ErrUnknown is wrapped when no connection has the name.
var ErrUnknown = errors.New("there is no such connection")

// ErrChanged is wrapped when somebody else changed a connection in the meantime.
var ErrChanged = errors.New("changed in the meantime")

// Options say where values come from.
type Options struct {
	Dir      string                      // the folder of bellhop.yaml; a relative file("…") starts here
	Env      func(string) (string, bool) // default os.LookupEnv
	Redactor *Redactor                   // learns every secret value before it can be used; nil: none
}

// Connections are the connections of one bellhop.yaml. It is safe for concurrent use.
type Connections struct {
	options Options
	byName  map[string]*entry
}

// entry is one connection. Its values are fetched when it is first used, so that a slow command delays no start.
type entry struct {
	def definition

	mu      sync.Mutex
	conn    connectors.Connection
	err     error
	fetched time.Time // zero: not yet
}

// New reads the `connections` of the settings. Mistakes do not stop it: they are the error of the connection that
// has them. [Check] reports them all.
func New(settings map[string]map[string]any, reg *connectors.Registry, o Options) *Connections {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	c := &Connections{options: o, byName: make(map[string]*entry, len(settings))}
	for name, raw := range settings {
		c.byName[name] = &entry{def: define(name, raw, reg)}
	}
	return c
}

// Names returns the connector of each connection.
func (c *Connections) Names() map[string]string {
	names := make(map[string]string, len(c.byName))
	for name, e := range c.byName {
		names[name] = e.def.connector
	}
	return names
}

// Connection returns the connection with this name. The error is in plain words, for a person; with it comes what
// could be resolved, so that one missing value does not hide the others. An unknown name wraps [ErrUnknown].
func (c *Connections) Connection(name string) (connectors.Connection, error) {
	e, ok := c.byName[name]
	if !ok {
		return connectors.Connection{}, fmt.Errorf("connection %q: %w in bellhop.yaml", name, ErrUnknown)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fetched.IsZero() || e.err != nil && time.Since(e.fetched) > retryFailed {
		e.conn, e.err = c.resolve(e.def)
		e.fetched = time.Now()
	}
	return e.conn, e.err
}

// resolve fetches every value of a connection.
func (c *Connections) resolve(d definition) (connectors.Connection, error) {
	conn := connectors.Connection{
		Name: d.name, Connector: d.connector, Auth: d.auth,
		Fields: map[string]any{}, Secrets: map[string]string{},
	}
	if d.problems != nil {
		return conn, fmt.Errorf("connection %s: %s", d.name, d.problems[0].Message)
	}
	var reasons []string
	note := func(key string, err error) { reasons = append(reasons, key+": "+err.Error()) }
	for _, key := range sorted(d.fields) {
		v, err := c.expandAny(d.fields[key])
		if err != nil {
			note(key, err)
			continue
		}
		conn.Fields[key] = v
	}
	for _, host := range d.hosts {
		text, err := c.expand(host)
		if err != nil {
			note("hosts", err)
			continue
		}
		conn.Hosts = append(conn.Hosts, text)
	}
	for _, key := range sorted(d.secrets) {
		n := 0
		for _, source := range d.secrets[key] {
			text, err := c.expand(source)
			if err == nil && text == "" {
				err = errors.New("it is empty")
			}
			if err != nil {
				note(key, err)
				continue
			}
			if n++; n == 1 {
				conn.Secrets[key] = text
			} else {
				conn.Secrets[key+"#"+strconv.Itoa(n)] = text
			}
			if c.options.Redactor != nil {
				c.options.Redactor.Add(text)
			}
		}
	}
	for _, key := range d.missing {
		note(key, errors.New("it is missing"))
	}
	if reasons != nil {
		if len(conn.Hosts) < len(d.hosts) || len(conn.Fields) < len(d.fields) {
			conn.Secrets = map[string]string{} // fewer hosts than meant, or no base address, must not become "every host"
		}
		return conn, fmt.Errorf("connection %s: %s", d.name, strings.Join(reasons, "; "))
	}
	return conn, nil
}

func (c *Connections) expandAny(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return c.expand(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = c.expandAny(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// reference is one `${{ … }}` of the settings, or the literal `$${{`.
var reference = regexp.MustCompile(`\$\$\{\{|\$\{\{\s*(?:env\.([A-Za-z_][A-Za-z0-9_]*)|(file|command)\(\s*("(?:[^"\\]|\\.)*"|'[^']*')\s*\))\s*\}\}|\$\{\{[^}]*\}?\}?`)

// checkReferences returns what is wrong with the references of a text, or nil.
func checkReferences(text string) error {
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		if m[0] != "$${{" && m[1] == "" && m[2] == "" {
			return fmt.Errorf(`%s is not one of ${{ env.NAME }}, ${{ file("path") }} and ${{ command("program arguments") }}`, m[0])
		}
	}
	return nil
}

// expand puts the values in the place of the references. What they hold is never expanded again.
func (c *Connections) expand(text string) (string, error) {
	if !strings.Contains(text, "${{") {
		return text, nil
	}
	if err := checkReferences(text); err != nil {
		return "", err
	}
	var failed error
	out := reference.ReplaceAllStringFunc(text, func(ref string) string {
		if ref == "$${{" {
			return "${{"
		}
		m := reference.FindStringSubmatch(ref)
		v, err := c.lookup(m[1], m[2], m[3])
		if err != nil && failed == nil {
			failed = err
		}
		return v
	})
	if failed != nil {
		return "", failed
	}
	return out, nil
}

func (c *Connections) lookup(env, function, quoted string) (string, error) {
	if env != "" {
		v, ok := c.options.Env(env)
		switch {
		case !ok:
			return "", fmt.Errorf("the environment variable %s is not set", env)
		case v == "":
			return "", fmt.Errorf("the environment variable %s is empty", env)
		}
		return v, nil
	}
	argument := quoted[1 : len(quoted)-1]
	if quoted[0] == '"' {
		unquoted, err := strconv.Unquote(quoted)
		if err != nil {
			return "", fmt.Errorf("%s(%s) is not written correctly", function, quoted)
		}
		argument = unquoted
	}
	if function == "command" {
		return c.command(argument)
	}
	return c.file(argument)
}

func (c *Connections) file(path string) (string, error) {
	full := path
	if !filepath.IsAbs(full) {
		full = filepath.Join(c.options.Dir, full)
	}
	info, err := os.Stat(full)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("the file %s does not exist", path)
	case err != nil:
		return "", fmt.Errorf("the file %s cannot be read: %w", path, err)
	case !info.Mode().IsRegular(): // a pipe would be waited for
		return "", fmt.Errorf("%s is not a file", path)
	case info.Size() > maxFile:
		return "", fmt.Errorf("the file %s is longer than %d KiB", path, maxFile>>10)
	}
	b, err := os.ReadFile(full) // the path is written by who owns the settings
	if err != nil {
		return "", fmt.Errorf("the file %s cannot be read: %w", path, err)
	}
	return value(b, "the file "+path)
}

// command runs a program without a shell: the words are split at blanks.
func (c *Connections) command(line string) (string, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return "", errors.New("the command is empty")
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...) // written by who owns the settings
	cmd.Dir = c.options.Dir
	cmd.WaitDelay = time.Second // for children that hold the pipe
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("the command %s took longer than %s", words[0], commandTimeout)
	case err != nil:
		return "", fmt.Errorf("the command %s failed: %w", words[0], err)
	case len(out) > maxFile:
		return "", fmt.Errorf("the command %s wrote more than %d KiB", words[0], maxFile>>10)
	}
	return value(out, "the command "+words[0])
}

// value drops the line break that editors and programs put at the end.
func value(b []byte, from string) (string, error) {
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("%s gives nothing", from)
	}
	return text, nil
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

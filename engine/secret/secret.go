// Package secret turns the connections of bellhop.yaml into connections that can be used, and keeps their secret
// values out of everything that is written.
package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
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

// Options say where values come from and where they may go.
type Options struct {
	Dir      string                      // the folder of bellhop.yaml; a relative file("…") starts here
	Env      func(string) (string, bool) // default os.LookupEnv
	Redactor *Redactor                   // learns every secret value before it can be used; nil: none

	// What a server has besides. Without a vault nothing can be entered or signed in; without a client no token is
	// fetched and no connection tried.
	Vault     *Vault
	HTTP      *http.Client
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	Limits    connectors.Limits
	Notes     Notes
	PublicURL string // without a slash at its end: providers send people back to it
	// Changed is told of a connection whose state is another one than before; it must not call back. nil: nobody.
	Changed func(name string)
	Log     *slog.Logger
}

// Notes keeps how connections are doing, by name. What gets lost there is only history.
type Notes interface {
	Load(ctx context.Context, name string) ([]byte, error) // nil, nil: there is nothing
	Save(ctx context.Context, name string, note []byte) error
}

// Connections are the connections that bellhop.yaml declares and those that people entered. It is safe for concurrent
// use, and what is declared may change.
type Connections struct {
	options  Options
	registry *connectors.Registry
	flows    flows

	mu       sync.Mutex
	declared map[string]map[string]any
	byName   map[string]*entry
}

// entry is one connection. Its values are fetched when it is first used, so that a slow command delays no start.
type entry struct {
	name string

	mu      sync.Mutex
	raw     map[string]any // declared and entered, as one
	def     definition
	record  *record // what the vault has; nil: nothing
	version uint64  // of the record
	conn    connectors.Connection
	err     error
	fetched time.Time // zero: not yet

	token  tokens
	health health
}

// New reads the `connections` of the settings and what people entered. Mistakes do not stop it: they are the error of
// the connection that has them. [Check] reports them all.
func New(settings map[string]map[string]any, reg *connectors.Registry, o Options) *Connections {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Connections{options: o, registry: reg, byName: map[string]*entry{}}
	c.flows.pending = map[string]*flow{}
	c.Declare(settings)
	return c
}

// Declare takes the connections of bellhop.yaml. Where they are the same as before, their values stay as fetched.
func (c *Connections) Declare(settings map[string]map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.declared = settings
	names := map[string]bool{}
	for name := range settings {
		names[name] = true
	}
	if c.options.Vault != nil {
		for name := range c.options.Vault.Names() {
			if namePattern.MatchString(name) { // others keep theirs there too
				names[name] = true
			}
		}
	}
	for name := range c.byName {
		if !names[name] {
			delete(c.byName, name)
		}
	}
	for name := range names {
		c.update(name)
	}
}

// update makes the entry of a name anew from what is declared and entered. The caller holds mu.
func (c *Connections) update(name string) {
	declared, isDeclared := c.declared[name]
	var rec *record
	var version uint64
	var failed error
	if c.options.Vault != nil {
		rec, version, failed = c.load(name)
	}
	if !isDeclared && rec == nil && failed == nil {
		delete(c.byName, name)
		return
	}
	raw := merge(declared, rec)
	e := c.byName[name]
	if e == nil {
		e = &entry{name: name}
		e.token.turn = make(chan struct{}, 1)
		c.byName[name] = e
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.record, e.version = rec, version
	if rec != nil && rec.Grant != nil {
		c.learn(rec.Grant.Token, rec.Grant.Refresh)
	}
	connector := c.registry.Connector(textOf(raw["connector"]))
	if e.raw != nil && e.def.of == connector && reflect.DeepEqual(raw, e.raw) {
		return
	}
	e.raw, e.def = raw, define(name, raw, c.registry)
	e.def.of = connector
	e.conn, e.err, e.fetched = connectors.Connection{}, nil, time.Time{}
	e.token.forget()
	if failed != nil {
		e.err, e.fetched = failed, time.Now()
	}
}

// merge lays what is declared over what was entered: who keeps the file in git decides. Entered texts are values, so
// what looks like a reference in them is none.
func merge(declared map[string]any, rec *record) map[string]any {
	raw := map[string]any{}
	if rec != nil {
		for key, v := range rec.Values {
			raw[key] = literal(v)
		}
	}
	maps.Copy(raw, declared)
	return raw
}

func literal(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "${{", "$${{")
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = literal(v[i])
		}
		return out
	}
	return v
}

func textOf(v any) string {
	s, _ := v.(string)
	return s
}

func (c *Connections) learn(values ...string) {
	if c.options.Redactor != nil {
		c.options.Redactor.Add(values...)
	}
}

// Names returns the connector of each connection.
func (c *Connections) Names() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make(map[string]string, len(c.byName))
	for name, e := range c.byName {
		e.mu.Lock()
		names[name] = e.def.connector
		e.mu.Unlock()
	}
	return names
}

func (c *Connections) entry(name string) (*entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byName[name]
	if !ok {
		return nil, fmt.Errorf("connection %q: %w in bellhop.yaml or among those that were entered", name, ErrUnknown)
	}
	return e, nil
}

// Connection returns the connection with this name. The error is in plain words, for a person; with it comes what
// could be resolved, so that one missing value does not hide the others. An unknown name wraps [ErrUnknown].
func (c *Connections) Connection(name string) (connectors.Connection, error) {
	e, err := c.entry(name)
	if err != nil {
		return connectors.Connection{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fetched.IsZero() || e.err != nil && time.Since(e.fetched) > retryFailed {
		e.conn, e.err = c.resolve(e.def)
		e.fetched = time.Now()
	}
	conn := e.conn
	if e.record != nil && e.record.Grant != nil {
		conn.Kept = e.record.Grant.Kept
	}
	return conn, e.err
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
		if refers(d.fields[key]) && d.of != nil {
			if err := checkField(d.of, key, v); err != nil {
				note(key, err)
				continue
			}
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
			c.learn(text)
			if scheme := d.scheme(); scheme != nil && scheme.Type == connectors.AuthURL && key == "url" {
				c.learn(partsOf(text)...)
			}
		}
	}
	for _, key := range d.missing {
		text := "it is missing"
		if key == "hosts" {
			text = noHosts
		}
		note(key, errors.New(text))
	}
	if reasons != nil {
		if len(conn.Hosts) < len(d.hosts) || len(conn.Fields) < len(d.fields) {
			conn.Secrets = map[string]string{} // fewer hosts than meant, or no base address, must not become "every host"
		}
		return conn, fmt.Errorf("connection %s: %s", d.name, strings.Join(reasons, "; "))
	}
	return conn, nil
}

// partsOf is what makes an address a secret: its path, which the other side often repeats without the host, and the end of
// that where it is long enough to be no ordinary word.
func partsOf(address string) []string {
	const most = 12 // characters of an ordinary word in a path
	u, err := url.Parse(address)
	if err != nil || len(u.Path) <= 1 {
		return nil
	}
	parts := []string{u.Path, u.EscapedPath()}
	if u.RawQuery != "" {
		parts = append(parts, u.RawQuery)
	}
	if last := path.Base(u.Path); len(last) > most {
		parts = append(parts, last)
	}
	return parts
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

// refers reports that a value comes from elsewhere, in part at least.
func refers(v any) bool {
	switch v := v.(type) {
	case string:
		return reference.MatchString(v)
	case []any:
		return slices.ContainsFunc(v, refers)
	}
	return false
}

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
	return oneValue(b, "the file "+path)
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
	return oneValue(out, "the command "+words[0])
}

// oneValue drops the line break that editors and programs put at the end.
func oneValue(b []byte, from string) (string, error) {
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

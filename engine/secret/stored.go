package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

// record is what the vault keeps of a connection.
type record struct {
	// Values are what people entered, in the words of bellhop.yaml, but texts are what they are: no reference is
	// looked for in them.
	Values map[string]any    `json:"values"`
	Grant  *connectors.Grant `json:"grant,omitempty"` // what a sign-in gave
	Since  time.Time         `json:"since,omitzero"`  // when Grant was given
	// Renewing is set while the refresh token of Grant is being traded. Found after a restart, it says that the answer
	// may have been lost: a provider that replaces refresh tokens may refuse this one.
	Renewing time.Time `json:"renewing,omitzero"`
	By       string    `json:"by,omitempty"` // who entered the values last
	At       time.Time `json:"at,omitzero"`  // when
}

// load reads a record of the vault; nil when there is none.
func (c *Connections) load(name string) (*record, uint64, error) {
	data, version, err := c.options.Vault.Get(name)
	if err != nil || data == nil {
		return nil, version, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, version, fmt.Errorf("connection %s: %w: %w", name, ErrDamagedVault, err)
	}
	plain, err := value.Normalize(r.Values)
	if err != nil {
		return nil, version, fmt.Errorf("connection %s: %w: %w", name, ErrDamagedVault, err)
	}
	r.Values, _ = plain.(map[string]any)
	return &r, version, nil
}

// save seals a record, makes it what the connection is from now on, and tells who wants to know.
func (c *Connections) save(name string, r *record, ifVersion uint64) error {
	if _, err := c.write(name, r, ifVersion); err != nil {
		return err
	}
	c.changed(name)
	return nil
}

// write is save for what changes nothing for others. It returns the version.
func (c *Connections) write(name string, r *record, ifVersion uint64) (uint64, error) {
	if c.options.Vault == nil {
		return 0, errors.New("there is no place for secrets here")
	}
	data, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("connection %s: %w", name, err)
	}
	version, err := c.options.Vault.Put(name, data, ifVersion)
	if err != nil {
		return 0, fmt.Errorf("connection %s: %w", name, err)
	}
	c.mu.Lock()
	c.update(name)
	c.mu.Unlock()
	return version, nil
}

func (c *Connections) changed(name string) {
	if c.options.Changed != nil {
		c.options.Changed(name)
	}
}

// Entry is what a person enters of a connection. Values has the keys that it would have in bellhop.yaml, with the
// values themselves instead of references; nil takes a value away, and what is not named stays.
type Entry struct {
	Values map[string]any
	By     string // for people; empty: unknown
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// InputError is a mistake in what a person entered.
type InputError struct {
	Key     string // of the value; empty: the connection as a whole
	Message string
}

func (e *InputError) Error() string { return e.Message }

// Enter seals what a person entered. New makes a connection, which must not exist; else it must. What is incomplete
// can be entered; what is wrong is an *InputError and changes nothing.
func (c *Connections) Enter(name string, in Entry, isNew bool) error {
	r, version, err := c.enter(name, in, isNew)
	if err != nil {
		return err
	}
	if err := c.save(name, r, version); err != nil {
		return err
	}
	if e, err := c.entry(name); err == nil && len(in.Values) > 0 {
		e.mu.Lock()
		failing := e.health.State == StateFailing
		e.mu.Unlock()
		if failing { // that was said of what stood there before
			c.note(e, StateUntested, "", "")
		}
	}
	return nil
}

// enter makes the record that Enter would save.
func (c *Connections) enter(name string, in Entry, isNew bool) (*record, uint64, error) {
	wrong := func(key, format string, args ...any) (*record, uint64, error) {
		return nil, 0, &InputError{key, fmt.Sprintf(format, args...)}
	}
	if !namePattern.MatchString(name) {
		return wrong("name", "%q is no name for a connection: use small letters, digits, - and _, such as team-slack", name)
	}
	c.mu.Lock()
	declared, isDeclared := c.declared[name]
	c.mu.Unlock()
	var r record
	var version uint64
	if c.options.Vault != nil {
		old, n, err := c.load(name)
		if err != nil {
			return nil, 0, err
		}
		if version = n; old != nil {
			r = *old
		}
	}
	exists := isDeclared || version > 0
	if isNew && exists {
		return wrong("name", "there is a connection %s already; choose another name", name)
	}
	if !isNew && !exists {
		return nil, 0, fmt.Errorf("connection %q: %w", name, ErrUnknown)
	}
	r.Values = maps.Clone(r.Values)
	if r.Values == nil {
		r.Values = map[string]any{}
	}
	for _, key := range sorted(in.Values) {
		v := in.Values[key]
		if d, ok := declared[key]; ok {
			if value.Equal(d, v) {
				continue
			}
			return wrong(key, "%s of connection %s is set in bellhop.yaml, so it can only be changed there", key, name)
		}
		if v == nil || v == "" {
			delete(r.Values, key)
			continue
		}
		r.Values[key] = v
	}
	d := define(name, merge(declared, &r), c.registry)
	for _, p := range d.problems {
		if !p.Warning {
			return wrong(p.Key, "%s", p.Message)
		}
	}
	if key, message := mismatch(&d, &r, c.registry.Connector(d.connector)); message != "" {
		return wrong(key, "%s", message)
	}
	if r.Grant != nil && !r.sameAccount(in.Values) {
		r.Grant, r.Since, r.Renewing = nil, time.Time{}, time.Time{} // it was given to somebody else
	}
	r.By, r.At = in.By, time.Now().UTC()
	return &r, version, nil
}

// mismatch finds an entered secret that cannot be one by its pattern.
func mismatch(d *definition, r *record, of *connectors.Connector) (key, message string) {
	scheme := of.Scheme(d.auth)
	if scheme == nil {
		return "", ""
	}
	for _, s := range scheme.Secrets {
		text, ok := r.Values[s.Name].(string)
		if !ok || s.Pattern == "" {
			continue
		}
		if re, err := regexp.Compile(s.Pattern); err == nil && !re.MatchString(text) {
			return s.Name, fmt.Sprintf("this is no %s: it does not look like %s", strings.ToLower(titleOf(&s)), s.Pattern)
		}
	}
	return "", ""
}

func titleOf(s *connectors.Secret) string {
	if s.Title != "" {
		return s.Title
	}
	return s.Name
}

// sameAccount reports whether a change leaves it open who signed in where.
func (r *record) sameAccount(change map[string]any) bool {
	for key := range change {
		if key != "signing_secret" && key != "hosts" {
			return false
		}
	}
	return true
}

// Remove forgets what was entered of a connection. What bellhop.yaml declares of it stays.
func (c *Connections) Remove(name string) error {
	if _, err := c.entry(name); err != nil {
		return err
	}
	if c.options.Vault != nil {
		if err := c.options.Vault.Delete(name); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.update(name)
	c.mu.Unlock()
	c.changed(name)
	return nil
}

// Public is what bellhop.yaml may say of a connection that was entered: everything but its secrets.
func (c *Connections) Public(name string, values map[string]any) map[string]any {
	d := define(name, values, c.registry)
	out := map[string]any{}
	for key, v := range values {
		if _, secret := d.secrets[key]; !secret && v != nil {
			out[key] = v
		}
	}
	return out
}

// Info is a connection as people see it: never a secret value.
type Info struct {
	Name      string
	Connector string
	Auth      string // ID of the auth scheme; empty: none was chosen
	Declared  bool   // bellhop.yaml has it
	Entered   bool   // something of it was entered here
	Fields    map[string]any
	Hosts     []string
	Secrets   []SecretInfo
	Scopes    []string // that were asked for
	State     State
	Reason    string // why State is what it is, where that is not good
	Label     string // whose account it is, from the last try that worked
	Checked   time.Time
	Since     time.Time // of State
	Expires   time.Time // when it stops to work by itself; zero: it does not, or nobody knows
	CanTest   bool
	CanSignIn bool
	Calls     int // today
	Refused   int // of these, by the other side: 401, 403
	Days      []Day
}

// SecretInfo is one secret without its value.
type SecretInfo struct {
	Name, Title, Help string
	Set, Optional     bool
	Multiline         bool
	From              string    // where it comes from, such as "the environment variable TOKEN"; empty: it was entered
	By                string    // who entered it
	At                time.Time // when
}

// State is how a connection is doing.
type State string

// The states, from bad to good.
const (
	StateIncomplete State = "incomplete" // a value is missing or wrong
	StateSignIn     State = "sign_in"    // a person has to sign in, for the first time or again
	StateFailing    State = "failing"    // it did not work when it was last used or tried
	StateUntested   State = "untested"
	StateWorking    State = "working"
)

// Info describes a connection. A value that has to be fetched from outside is fetched.
func (c *Connections) Info(name string) (Info, error) {
	e, err := c.entry(name)
	if err != nil {
		return Info{}, err
	}
	conn, incomplete := c.Connection(name)
	c.mu.Lock()
	declared, isDeclared := c.declared[name]
	c.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	i := Info{
		Name: name, Connector: e.def.connector, Auth: e.def.auth, Declared: isDeclared, Entered: e.record != nil,
		Fields: conn.Fields, Hosts: conn.Hosts,
	}
	if i.Fields == nil {
		i.Fields = map[string]any{}
	}
	of := e.def.of
	if of != nil {
		i.CanTest = of.TestOf(e.def.auth) != nil
		if scheme := of.Scheme(e.def.auth); scheme != nil {
			for _, s := range scheme.Secrets {
				i.Secrets = append(i.Secrets, e.secretInfo(s, declared))
			}
			i.CanSignIn = signsIn(scheme)
			if scheme.OAuth2 != nil {
				i.Scopes = scopesOf(scheme.OAuth2, conn)
			}
		}
		if of.SigningSecret != nil {
			s := *of.SigningSecret
			s.Name, s.Optional = "signing_secret", true
			i.Secrets = append(i.Secrets, e.secretInfo(s, declared))
		}
		for _, key := range sorted(e.def.secrets) { // of a connector without schemes, or of several
			if !slices.ContainsFunc(i.Secrets, func(s SecretInfo) bool { return s.Name == key }) {
				i.Secrets = append(i.Secrets, e.secretInfo(connectors.Secret{Name: key}, declared))
			}
		}
	}
	grant := (*connectors.Grant)(nil)
	if e.record != nil {
		grant = e.record.Grant
	}
	if grant != nil && grant.Refresh == "" {
		i.Expires = grant.Expires
	}
	e.health.describe(&i)
	switch {
	case incomplete != nil:
		i.State, i.Reason = StateIncomplete, strings.TrimPrefix(incomplete.Error(), "connection "+name+": ")
	case i.CanSignIn && grant == nil:
		i.State, i.Reason = StateSignIn, "nobody has signed in yet"
	case !i.Expires.IsZero() && time.Now().After(i.Expires):
		i.State, i.Reason = StateSignIn, "the sign-in has expired"
	}
	return i, nil
}

func (e *entry) secretInfo(s connectors.Secret, declared map[string]any) SecretInfo {
	out := SecretInfo{Name: s.Name, Title: titleOf(&s), Help: s.Help, Optional: s.Optional, Multiline: s.Multiline}
	if v, ok := declared[s.Name]; ok {
		out.Set, out.From = true, origin(v)
		return out
	}
	if e.record != nil {
		if _, ok := e.record.Values[s.Name]; ok {
			out.Set, out.By, out.At = true, e.record.By, e.record.At
		}
	}
	return out
}

// origin says where a declared secret comes from.
func origin(v any) string {
	text, _ := v.(string)
	if list, ok := v.([]any); ok && len(list) > 0 {
		text, _ = list[0].(string)
	}
	m := reference.FindStringSubmatch(text)
	switch {
	case m == nil || m[0] == "$${{":
		return "bellhop.yaml"
	case m[1] != "":
		return "the environment variable " + m[1]
	case m[2] == "file":
		return "the file " + strings.Trim(m[3], `"'`)
	}
	return "a command"
}

// List describes every connection, by name.
func (c *Connections) List() []Info {
	names := sorted(c.Names())
	list := make([]Info, 0, len(names))
	for _, name := range names {
		if i, err := c.Info(name); err == nil {
			list = append(list, i)
		}
	}
	return list
}

// RotateKey seals everything with a new key.
func (c *Connections) RotateKey() error {
	if c.options.Vault == nil {
		return errors.New("there are no sealed secrets here")
	}
	return c.options.Vault.Rotate()
}

// Package connectors is the contract between Bellhop and the systems it talks to. A connector is a value: a
// struct of actions, each with a schema and a function. The engine runs that value, `bellhop check` validates
// against it, and the forms of the UI are drawn from it.
package connectors

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Connector is one system that workflows can use, such as `http` or `slack`. Whoever makes it (a Go literal, a YAML
// manifest, an imported document) is not seen any more once it is made. It is immutable once registered.
type Connector struct {
	ID      string // [a-z0-9_]{1,40}: the part before the dot in `use: http.request`
	Title   string
	Version string // semantic version of this connector
	Docs    string // address of the system's own documentation; may be empty
	Notes   string // for people: what they should know, such as what could not be tried; may be empty
	Icon    []byte // an SVG drawing of at most 8 KiB without script; nil: the UI draws a monogram

	Fields        Schema       // what a connection holds besides secrets
	Auth          []AuthScheme // how a connection may sign its calls; none: it needs no connection
	SigningSecret *Secret      // what a person enters to verify deliveries; nil: the connector has no use for one
	Hosts         []string     // where secrets may go, such as api.example.com or *.example.com; nil: the connection says it
	Rate          Rate         // what one connection may send; zero: nothing is known

	Schemas   map[string]Schema // shared parts; `$ref: "#/schemas/<name>"` in any schema of the connector means them
	Actions   []Action
	Endpoints []Endpoint // addresses that the system calls; many triggers may share one
	Triggers  []Trigger
	Test      *Test // how to find out that a connection works; nil: it cannot be tried
}

// Test is the call that tells whether a connection works.
type Test struct {
	Action string         // a safe action of the connector
	Input  map[string]any // `with` of the call
	// Judge reads the output of the call: the label of the connection, such as "acme / ada", or why it does not work.
	Judge func(output any) (label string, err error)
}

// Action is one thing that a connector can do. One that reads pages joins them: its input has `limit`, its output is
// the list.
type Action struct {
	Name       string // [a-z0-9_]{1,40}: the part after the dot in `use: http.request`
	Title      string
	Summary    string
	Operation  string // its name in the document it was imported from, such as "POST /v1/contacts"; may be empty
	Show       string // main (also ""), more, hidden: where forms list it; a hidden one is for the connector's own use
	Deprecated string // name of the action to use instead; empty: it is current
	Input      Schema // what `with` may hold
	Output     Schema
	Sample     any // an example of the output, for forms and for tests without a mock

	Safe       bool                            // it only reads, so it may be polled and repeated
	Idempotent bool                            // doing it twice with one key does no harm
	SafeFor    func(input map[string]any) bool // decides per call where Safe alone cannot; nil: Safe decides
	RepeatFor  func(input map[string]any) bool // decides per call whether a repeat does no harm; nil: Safe or Idempotent
	Local      bool                            // it reaches nothing outside Bellhop, so a workflow test need not mock it

	// Do performs the action once. It returns plain data (see package value). An error is taken as worth
	// another try unless it is wrapped by [Permanent]; [RetryAfter] says when to try.
	Do func(ctx context.Context, c *Call) (any, error)
	// Choices lists what a person may pick for a field whose schema has Options. field is a path such as "owner" or
	// "address.country"; c.Input is the form as far as it is filled in; search may be empty. At most 1,000.
	Choices func(ctx context.Context, c *Call, field, search string) ([]Choice, error)
	// Further describes the fields that an account adds to a field whose schema has FieldsFrom.
	Further func(ctx context.Context, c *Call, field string) (Schema, error)
}

// Choice is one value that a person may pick.
type Choice struct {
	Value any    `json:"value"`
	Label string `json:"label"`
}

// IsSafe reports whether this call only reads.
func (a *Action) IsSafe(input map[string]any) bool {
	if a.SafeFor != nil {
		return a.SafeFor(input)
	}
	return a.Safe
}

// IsRepeatable reports whether this call may be made again after a crash hid its outcome.
func (a *Action) IsRepeatable(input map[string]any) bool {
	if a.RepeatFor != nil {
		return a.RepeatFor(input)
	}
	return a.Safe || a.Idempotent
}

// Call is one attempt at an action.
type Call struct {
	Key        string         // idempotency key, equal for all attempts of one step of one run; 26 characters
	Workflow   string         // id of the workflow, for actions with a scope
	Input      map[string]any // `with`, evaluated; the action must not change it
	Connection Connection     // zero when the step names none
	HTTP       *http.Client   // the only way out: it holds the address policy, deadlines and size limits
	KV         KV             // the durable key/value room of `store`
	// Dial is the way out for what is no HTTP, under the same address policy; nil where nothing may leave the machine.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Now  time.Time // the time of the step, simulated in tests
	Hops int       // how many workflows have handed this event on, for the Bellhop-Hop header

	// Token returns the access token of the connection; nil: its auth has none. refused is a token that the system
	// has just answered with 401, else empty: then another one is fetched, once for all who wait. It must be called
	// anew for each request, for the token changes.
	Token func(ctx context.Context, refused string) (string, error)
	// Limits paces the calls of a connection over all workflows; nil: nothing is known of others, as in tests.
	Limits Limits
}

// Connection is an account at a system: plain fields and secrets, resolved at the time of the call.
type Connection struct {
	Name      string
	Connector string
	Auth      string            // ID of the chosen AuthScheme
	Fields    map[string]any    // what is not secret
	Secrets   map[string]string // never in history, logs or expressions
	Kept      map[string]any    // what the system said when the connection was made and [Grant] kept; not secret
	Hosts     []string          // where the secrets may go; empty: as the connector says, else nowhere
}

// IsZero reports whether no connection was named.
func (c Connection) IsZero() bool { return c.Name == "" }

// KV is a durable key/value room. Keys are any text of at most 512 bytes; values are plain data of at most
// 512 KiB as JSON. A Put is on disk when it returns.
type KV interface {
	// Get returns nil, false when there is no value or its time to live has passed.
	Get(ctx context.Context, scope, key string) (val any, ok bool, err error)
	// Set stores val; ttl 0 keeps it for good. once is the idempotency key of the call.
	Set(ctx context.Context, scope, key string, val any, ttl time.Duration, once string) error
	// Increment adds by to a number (absent: 0) in one step and returns the sum. A repeat with the same once
	// returns the first answer and adds nothing.
	Increment(ctx context.Context, scope, key string, by any, once string) (any, error)
	// Delete removes the key and reports whether it was there.
	Delete(ctx context.Context, scope, key string, once string) (bool, error)
	// List returns at most limit pairs whose key begins with prefix, in key order.
	List(ctx context.Context, scope, prefix string, limit int) ([]Pair, error)
}

// Pair is one entry of a KV.
type Pair struct {
	Key   string
	Value any
}

// Permanent marks an error that another try cannot mend. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err was marked by [Permanent].
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Unknown marks the error of a call that the other side may have acted on although its answer is missing. The call is
// not made again by itself, unless the step says so. Unknown(nil) is nil.
func Unknown(err error) error {
	if err == nil {
		return nil
	}
	return &unknownError{err}
}

// IsUnknown reports whether err was marked by [Unknown].
func IsUnknown(err error) bool {
	var u *unknownError
	return errors.As(err, &u)
}

type unknownError struct{ err error }

func (e *unknownError) Error() string { return e.err.Error() }
func (e *unknownError) Unwrap() error { return e.err }

// OfConnection names the connection with which a call was made, where there is one and the error does not.
func OfConnection(name string, err error) error {
	if name == "" || err == nil || strings.Contains(err.Error(), "connection "+name) {
		return err
	}
	return fmt.Errorf("%w (connection %s)", err, name)
}

// RetryAfter says that the other side asked to be left alone for d. RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, d}
}

// Delay returns what [RetryAfter] asked for.
func Delay(err error) (d time.Duration, ok bool) {
	var r *retryAfterError
	if errors.As(err, &r) {
		return r.after, true
	}
	return 0, false
}

type retryAfterError struct {
	err   error
	after time.Duration
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }

// StatusError is an answer that counts as a failure. Expressions see Status as `error.status`.
type StatusError struct {
	Status  int    // HTTP status
	Message string // in plain words, without secrets
}

func (e *StatusError) Error() string { return e.Message }

// Registry is the set of connectors that a server or a test knows: what ships, and a person's own beside it. Its
// holders may look things up while it changes.
type Registry struct {
	mu      sync.Mutex                        // one change at a time
	shipped map[string]func() *Connector      // under mu
	own     map[string]*Connector             // under mu
	broken  map[string]string                 // under mu; files of one's own that cannot be used, by the ID they would have
	byID    atomic.Pointer[map[string]source] // what lookups see
}

// source gives a connector when it is asked for.
type source func() *Connector

// NewRegistry panics on a duplicate connector: the list is a literal, so that is a bug.
func NewRegistry(list ...*Connector) *Registry {
	r := &Registry{}
	r.Replace(list...)
	return r
}

// NewLazyRegistry is a registry of what is made when it is first asked for, by ID. The functions are called once or
// more, by several goroutines, and return the same connector each time.
func NewLazyRegistry(shipped map[string]func() *Connector) *Registry {
	r := &Registry{shipped: shipped}
	r.publish()
	return r
}

// Replace makes list all the connectors that ship, at once for everyone who holds r. Like NewRegistry it panics on a
// duplicate.
func (r *Registry) Replace(list ...*Connector) {
	shipped := make(map[string]func() *Connector, len(list))
	for _, c := range list {
		if _, dup := shipped[c.ID]; dup {
			panic(fmt.Sprintf("connectors: %q is registered twice", c.ID))
		}
		shipped[c.ID] = func() *Connector { return c }
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shipped = shipped
	r.publish()
}

// Own makes list the connectors of a person's own, in the place of those before. One with the ID of a connector that
// ships stands in for it.
func (r *Registry) Own(list ...*Connector) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own = make(map[string]*Connector, len(list))
	for _, c := range list {
		r.own[c.ID] = c
	}
	r.publish()
}

// Broken names the files of a person's own connectors that have errors and no version to fall back on, by ID.
func (r *Registry) Broken(files map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = files
}

// Missing says why [Registry.Connector] found nothing: what is wrong with a file is not told as if nobody had written it.
func (r *Registry) Missing(id string) error {
	if file := r.BrokenFile(id); file != "" {
		return fmt.Errorf("the connector %q cannot be used: %s has errors", id, file)
	}
	return fmt.Errorf("there is no connector %q", id)
}

// BrokenFile names the file that should have been the connector with this ID, if there is one.
func (r *Registry) BrokenFile(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken[id]
}

// Ships reports that a connector with this ID comes with Bellhop.
func (r *Registry) Ships(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shipped[id] != nil
}

// IsOwn reports that the connector with this ID is one of a person's own.
func (r *Registry) IsOwn(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own[id] != nil
}

func (r *Registry) publish() {
	byID := make(map[string]source, len(r.shipped)+len(r.own))
	for id, get := range r.shipped {
		byID[id] = get
	}
	for id, c := range r.own {
		byID[id] = func() *Connector { return c }
	}
	r.byID.Store(&byID)
}

// Connector returns the connector with this ID, or nil.
func (r *Registry) Connector(id string) *Connector {
	if get := (*r.byID.Load())[id]; get != nil {
		return get()
	}
	return nil
}

// Action returns the action with this name, or nil.
func (c *Connector) Action(name string) *Action {
	for i := range c.Actions {
		if c.Actions[i].Name == name {
			return &c.Actions[i]
		}
	}
	return nil
}

// Trigger returns the trigger with this name, or nil.
func (c *Connector) Trigger(name string) *Trigger {
	for i := range c.Triggers {
		if c.Triggers[i].Name == name {
			return &c.Triggers[i]
		}
	}
	return nil
}

// Endpoint returns the endpoint with this ID, or nil.
func (c *Connector) Endpoint(id string) *Endpoint {
	for i := range c.Endpoints {
		if c.Endpoints[i].ID == id {
			return &c.Endpoints[i]
		}
	}
	return nil
}

// Scheme returns the auth scheme with this ID, or nil.
func (c *Connector) Scheme(id string) *AuthScheme {
	for i := range c.Auth {
		if c.Auth[i].ID == id {
			return &c.Auth[i]
		}
	}
	return nil
}

// TestOf returns the call that tells whether a connection with that auth works, or nil.
func (c *Connector) TestOf(auth string) *Test {
	if s := c.Scheme(auth); s != nil && s.Test != nil {
		return s.Test
	}
	return c.Test
}

// All returns every connector in the order of IDs.
func (r *Registry) All() []*Connector {
	byID := *r.byID.Load()
	all := make([]*Connector, 0, len(byID))
	for _, get := range byID {
		all = append(all, get())
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	return all
}

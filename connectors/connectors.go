// Package connectors is the contract between Bellhop and the systems it talks to. A connector is a value: a
// struct of actions, each with a schema and a function. The engine runs that value, `bellhop check` validates
// against it, and the forms of the UI are drawn from it.
package connectors

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"time"
)

// Connector is one system that workflows can use, such as `http` or `store`. It is immutable once registered.
type Connector struct {
	ID      string // [a-z0-9_]{1,40}: the part before the dot in `use: http.request`
	Title   string
	Version string       // semantic version of this connector
	Auth    []AuthScheme // how a connection may sign its calls; none: it needs no connection
	Fields  Schema       // what a connection holds besides secrets
	Actions []Action
}

// AuthScheme is one way in which a connection proves who it is. A person picks one by its ID.
type AuthScheme struct {
	ID      string
	Title   string
	Secrets []string // names of the secret values that it needs, such as "token"
	Fields  []string // names of the plain values that it needs, such as "header"
}

// Action is one thing that a connector can do.
type Action struct {
	Name    string // [a-z0-9_]{1,40}: the part after the dot in `use: http.request`
	Title   string
	Summary string
	Input   Schema // what `with` may hold
	Output  Schema
	Sample  any // an example of the output, for forms and for tests without a mock

	Safe       bool                            // it only reads, so it may be polled and repeated
	Idempotent bool                            // doing it twice with one key does no harm
	SafeFor    func(input map[string]any) bool // decides per call where Safe alone cannot; nil: Safe decides
	RepeatFor  func(input map[string]any) bool // decides per call whether a repeat does no harm; nil: Safe or Idempotent
	Local      bool                            // it reaches nothing outside Bellhop, so a workflow test need not mock it

	// Do performs the action once. It returns plain data (see package value). An error is taken as worth
	// another try unless it is wrapped by [Permanent]; [RetryAfter] says when to try.
	Do func(ctx context.Context, c *Call) (any, error)
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
	Now        time.Time      // the time of the step, simulated in tests
	Hops       int            // how many workflows have handed this event on, for the Bellhop-Hop header
}

// Connection is an account at a system: plain fields and secrets, resolved at the time of the call.
type Connection struct {
	Name      string
	Connector string
	Auth      string            // ID of the chosen AuthScheme
	Fields    map[string]any    // what is not secret
	Secrets   map[string]string // never in history, logs or expressions
	Hosts     []string          // where the secrets may go; empty: the host of the call's own URL
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

// Registry is the set of connectors that a server or a test knows. It is read-only after NewRegistry.
type Registry struct{ byID map[string]*Connector }

// NewRegistry panics on a duplicate or malformed connector: the list is a literal, so that is a bug.
func NewRegistry(list ...*Connector) *Registry {
	r := &Registry{byID: make(map[string]*Connector, len(list))}
	for _, c := range list {
		if _, dup := r.byID[c.ID]; dup {
			panic(fmt.Sprintf("connectors: %q is registered twice", c.ID))
		}
		r.byID[c.ID] = c
	}
	return r
}

// Connector returns the connector with this ID, or nil.
func (r *Registry) Connector(id string) *Connector { return r.byID[id] }

// Action returns the action with this name, or nil.
func (c *Connector) Action(name string) *Action {
	for i := range c.Actions {
		if c.Actions[i].Name == name {
			return &c.Actions[i]
		}
	}
	return nil
}

// All returns every connector in the order of IDs.
func (r *Registry) All() []*Connector {
	all := make([]*Connector, 0, len(r.byID))
	for _, c := range r.byID {
		all = append(all, c)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	return all
}

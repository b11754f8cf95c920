// Package engine runs workflows durably. A run is its journal, an append-only list of records behind a Store: the
// engine accepts events, claims runs, evaluates their steps and appends what happened, so that a crash at any
// point costs no accepted run and repeats no finished step.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Options is what an Engine is made of.
type Options struct {
	Store       Store
	Connectors  *connectors.Registry
	Connections func(name string) (connectors.Connection, error)                                  // nil: there are none
	Tokens      func(connection string) func(ctx context.Context, refused string) (string, error) // see connectors.Call; nil: no connection has one
	Observe     func(connection string, err error)                                                // is told how each call with a connection ended; nil: nobody
	HTTP        *http.Client                                                                      // the outbound client that actions get
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)              // the way out for what is no HTTP
	Limits      connectors.Limits                                                                 // paces the calls of each connection; nil: nothing does
	PublicURL   string                                                                            // for run.url; no slash at the end
	Zone        *time.Location                                                                    // of dates without a zone; nil: UTC
	Workers     int                                                                               // runs that work at the same time, at least 2; 0: 512
	Redact      func([]byte) []byte                                                               // takes secrets out of what is stored; nil: nothing to hide
	Log         *slog.Logger
}

// Engine accepts events and works on runs. It is safe for concurrent use.
type Engine struct {
	Options
	values connectors.KV

	started  atomic.Uint64
	finished [StatusCanceled + 1]atomic.Uint64 // by status

	mu       sync.RWMutex
	notes    map[string]Note               // by id@version: what to write into the history when it is published
	current  map[string]*workflow.Workflow // by id
	versions map[string]*workflow.Workflow // by id@version: what runs have asked for, bounded
	running  map[RunID]*execution
	waiting  map[RunID][]*waiter

	links      sync.Mutex
	linkSecret []byte // once it was read

	bulks  bulks
	alerts alerts

	rivals rivals
	crowd  crowd
	door   *door

	drain chan struct{} // closed when Run stops claiming
	rest  chan struct{} // closed when Run works on no run any more
	alone chan struct{} // full while a run is tried that may have crashed the process
}

// InputError is a mistake of the caller, in words for a person.
type InputError struct{ Message string }

func (e *InputError) Error() string { return e.Message }

const (
	defaultWorkers = 512
	maxVersions    = 2000 // compiled versions kept in memory besides the current ones
)

// New makes an engine. It works on runs once Run is called; Accept works at once.
func New(o Options) (*Engine, error) {
	if o.Store == nil || o.Connectors == nil {
		return nil, errors.New("engine: a store and connectors are required")
	}
	if o.Connections == nil {
		o.Connections = func(name string) (connectors.Connection, error) {
			return connectors.Connection{}, fmt.Errorf("there is no connection %q", name)
		}
	}
	if o.HTTP == nil {
		return nil, errors.New("engine: an outbound client is required")
	}
	if o.Tokens == nil {
		o.Tokens = func(string) func(context.Context, string) (string, error) { return nil }
	}
	if o.Observe == nil {
		o.Observe = func(string, error) {}
	}
	if o.Workers <= 0 {
		o.Workers = defaultWorkers
	}
	o.Workers = max(2, o.Workers) // one may wait for new work while another goes on after a wait
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Redact == nil {
		o.Redact = func(b []byte) []byte { return b }
	}
	e := &Engine{
		Options:  o,
		values:   NewValues(o.Store),
		notes:    map[string]Note{},
		current:  map[string]*workflow.Workflow{},
		versions: map[string]*workflow.Workflow{},
		running:  map[RunID]*execution{},
		waiting:  map[RunID][]*waiter{},
		drain:    make(chan struct{}),
		rest:     make(chan struct{}),
		alone:    make(chan struct{}, 1),
	}
	e.door = newDoor(&e.rivals, e.crowd.most)
	return e, nil
}

func versionKey(id, version string) string { return "wf/" + id + "@" + version }

// Publish stores these versions durably, in one write, and makes them current.
func (e *Engine) Publish(ctx context.Context, ws ...*workflow.Workflow) error {
	kv := e.Store.KV()
	var puts []Put
	for _, w := range ws {
		head, _, err := kv.Get(ctx, versionKey(w.ID, ""))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("publish %s: %w", w.ID, err)
		}
		if string(head) == w.Version {
			continue
		}
		puts = append(puts,
			Put{Key: versionKey(w.ID, w.Version), Value: w.Source, AnyRev: true},
			Put{Key: versionKey(w.ID, ""), Value: []byte(w.Version), AnyRev: true},
			e.publication(w, string(head)))
	}
	const perWrite = 500
	for len(puts) > 0 {
		n := min(len(puts), perWrite)
		if _, err := e.Store.Accept(ctx, Batch{Puts: puts[:n]}); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		puts = puts[n:]
	}
	e.mu.Lock()
	for _, w := range ws {
		e.current[w.ID] = w
	}
	e.mu.Unlock()
	for _, w := range ws {
		e.Store.Limit(w.ID, queueLimit(w))
	}
	return nil
}

// queueLimit is how many runs of a workflow may be worked on at the same time. Where a full workflow fails its runs,
// the store says which when it accepts them, and they must not wait for their end.
func queueLimit(w *workflow.Workflow) int {
	if w.Concurrency.WhenFull == workflow.WhenFullFail {
		return 0
	}
	return w.Concurrency.Limit
}

// Retire forgets the current version of a workflow whose file is gone. Its runs go on.
func (e *Engine) Retire(id string) {
	e.mu.Lock()
	delete(e.current, id)
	e.mu.Unlock()
}

// Workflow returns the current version, or nil.
func (e *Engine) Workflow(id string) *workflow.Workflow {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.current[id]
}

// Workflows returns the current versions in the order of ids.
func (e *Engine) Workflows() []*workflow.Workflow {
	e.mu.RLock()
	ws := make([]*workflow.Workflow, 0, len(e.current))
	for _, w := range e.current {
		ws = append(ws, w)
	}
	e.mu.RUnlock()
	sort.Slice(ws, func(i, j int) bool { return ws[i].ID < ws[j].ID })
	return ws
}

// LastGood returns the version that was published last, also after a restart; ErrNotFound if there is none.
func (e *Engine) LastGood(ctx context.Context, id string) (*workflow.Workflow, error) {
	head, _, err := e.Store.KV().Get(ctx, versionKey(id, ""))
	if err != nil {
		return nil, fmt.Errorf("last version of %s: %w", id, err)
	}
	return e.Version(ctx, id, string(head))
}

// Version returns any stored version of a workflow, compiled.
func (e *Engine) Version(ctx context.Context, id, version string) (*workflow.Workflow, error) {
	key := versionKey(id, version)
	e.mu.RLock()
	w := e.current[id]
	if w == nil || w.Version != version {
		w = e.versions[key]
	}
	e.mu.RUnlock()
	if w != nil {
		return w, nil
	}
	src, _, err := e.Store.KV().Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("version %s of %s: %w", version, id, err)
	}
	w, problems := workflow.Parse("workflows/"+id+".yaml", src)
	if w == nil {
		return nil, fmt.Errorf("version %s of %s: %w", version, id, problems.Err())
	}
	e.mu.Lock()
	if len(e.versions) >= maxVersions {
		clear(e.versions)
	}
	e.versions[key] = w
	e.mu.Unlock()
	return w, nil
}

func (e *Engine) runURL(id RunID) string { return runURL(e.PublicURL, id) }

// Counts returns how many runs were started and, by status, finished since the engine was made.
func (e *Engine) Counts() (started uint64, finished map[Status]uint64) {
	finished = make(map[Status]uint64, 4)
	for _, s := range []Status{StatusSucceeded, StatusFiltered, StatusFailed, StatusCanceled} {
		finished[s] = e.finished[s].Load()
	}
	return e.started.Load(), finished
}

// runURL is the page of a run.
func runURL(public string, id RunID) string {
	return strings.TrimSuffix(public, "/") + "/runs/" + id.String()
}

// stepTimeout bounds an attempt whose step names no timeout.
const stepTimeout = time.Minute

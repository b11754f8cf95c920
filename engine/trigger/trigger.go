// Package trigger turns what happens outside into events: calls of webhooks, the passing of time, and what polls
// find. All of them enter the engine through one door, and an event is durable before its source is told so.
package trigger

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Trigger is a source of events that waits on its own. A Set runs each in a goroutine of its own. Run blocks until
// ctx is done; when it returns before, because the store cannot be read, it is run again after a while.
type Trigger interface {
	Run(ctx context.Context, emit Emit) error
}

// Emit accepts events, and what must change with them, in one write. When it returns nil all of it is durable. It
// waits while the engine is full, so nothing is dropped, and fails only when ctx is done or the events cannot be
// stored at all. There is one Accepted for each event.
type Emit func(ctx context.Context, events []engine.Event, puts []engine.Put) ([]engine.Accepted, error)

// kinds are the triggers that wait on their own. A webhook is called instead: see Set.ServeHTTP.
var kinds = map[string]func(*Set, *workflow.Workflow, *workflow.Trigger) (Trigger, error){
	engine.TriggerSchedule: newSchedule,
	engine.TriggerPoll:     newPoll,
	workflow.KindConnector: newConnectorTrigger,
}

// Options is what a Set is made of. All of it is required but Connections, Sealed, Learn and Log.
type Options struct {
	Engine      *engine.Engine
	Store       engine.Store
	Connections func(name string) (connectors.Connection, error) // where webhooks find their secrets
	Sealed      Sealed                                           // where the secrets of subscriptions are kept; nil: there are none
	Learn       func(secrets ...string)                          // hears of each secret before it is used; nil: nobody does
	PublicURL   string                                           // as senders see this server; no slash at the end
	Log         *slog.Logger
}

// Set is all triggers of the current workflows. It is safe for concurrent use.
type Set struct {
	Options
	routes    atomic.Pointer[routes]
	listeners atomic.Pointer[listeners]
	draining  atomic.Bool
	memory    budget          // what the bodies under way may cost
	recording atomic.Int64    // refused calls that are being stored
	keys      *signature.Keys // of senders that sign with a private one
	began     time.Time       // when Run began

	onPoll func(workflow, trigger string, r PollRecord)

	mu        sync.Mutex
	all       []*workflow.Workflow // the current ones, as Apply got them
	drafts    []*workflow.Workflow
	current   map[string]*workflow.Workflow
	cursors   map[ownerKey]*cursor
	changed   chan struct{}            // has room for one: Run looks at current again
	relisten  chan struct{}            // has room for one: the subscriptions are looked at again
	hookLocks map[string]chan struct{} // by subscription
	adopting  sync.Mutex               // one renamed poll after another
}

// New makes a Set without workflows: every hook is unknown until Apply.
func New(o Options) *Set {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Set{Options: o, cursors: map[ownerKey]*cursor{}, changed: make(chan struct{}, 1), relisten: make(chan struct{}, 1), hookLocks: map[string]chan struct{}{}, memory: budget{limit: memoryBudget}, keys: signature.NewKeys(o.Engine.HTTP, nil)}
	s.routes.Store(newRoutes(nil, s.keys, nil))
	s.listeners.Store(s.newListeners(nil))
	return s
}

// Apply makes ws all the workflows there are. Hooks change at once and all together; schedules and polls follow as
// soon as Run comes to it. The hooks of a disabled workflow stay, for its events are kept.
func (s *Set) Apply(ws []*workflow.Workflow) {
	current := make(map[string]*workflow.Workflow, len(ws))
	for _, w := range ws {
		current[w.ID] = w
	}
	s.mu.Lock()
	s.current, s.all = current, ws
	s.routes.Store(newRoutes(append(ws[:len(ws):len(ws)], s.drafts...), s.keys, s.routes.Load()))
	s.listeners.Store(s.newListeners(ws))
	s.mu.Unlock()
	for _, c := range []chan struct{}{s.changed, s.relisten} {
		select {
		case c <- struct{}{}:
		default: // a look is due already, and it will see this
		}
	}
}

// Draft makes ws all the drafts there are. What comes to a webhook of a draft, at an address that no workflow has, is
// kept and not run, so that the address works before the draft is published. The workflows are disabled ones.
func (s *Set) Draft(ws []*workflow.Workflow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drafts = ws
	s.routes.Store(newRoutes(append(s.all[:len(s.all):len(s.all)], ws...), s.keys, s.routes.Load()))
}

// Drain makes every hook answer 503 from now on.
func (s *Set) Drain() { s.draining.Store(true) }

// owner is the goroutine that runs one schedule or poll.
type owner struct {
	workflow *workflow.Workflow
	stop     context.CancelFunc
	done     chan struct{}
}

type ownerKey struct{ workflow, trigger string }

// Run runs the schedules, polls and streams of the current workflows and looks after their subscriptions until ctx is
// done, and returns when the last of them has ended.
func (s *Set) Run(ctx context.Context) error {
	s.began = wallNow()
	subscriptions := make(chan struct{})
	go func() {
		defer close(subscriptions)
		s.runSubscriptions(ctx)
	}()
	defer func() { <-subscriptions }()
	owners := map[ownerKey]*owner{}
	known := map[string]*workflow.Workflow{}
	for {
		s.mu.Lock()
		current := s.current
		s.mu.Unlock()
		s.stopOutdated(owners, current)
		s.dropCursors(current)
		s.forget(ctx, known, current)
		if ctx.Err() == nil {
			s.startMissing(ctx, owners, current)
		}
		known = current
		select {
		case <-s.changed:
		case <-ctx.Done():
			s.stopOutdated(owners, nil)
			return nil
		}
	}
}

// stopOutdated ends the owners whose workflow changed, was disabled or is gone, and waits for them.
func (s *Set) stopOutdated(owners map[ownerKey]*owner, current map[string]*workflow.Workflow) {
	var ended []*owner
	for key, o := range owners {
		if w := current[key.workflow]; w == nil || !w.Enabled || w.Version != o.workflow.Version {
			o.stop()
			ended = append(ended, o)
			delete(owners, key)
		}
	}
	for _, o := range ended {
		<-o.done
	}
}

// dropCursors frees the memory of the polls that do not run.
func (s *Set) dropCursors(current map[string]*workflow.Workflow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, c := range s.cursors {
		w := current[key.workflow]
		if w == nil || w.Trigger(key.trigger) == nil {
			delete(s.cursors, key)
		} else if !w.Enabled {
			c.unload()
		}
	}
}

// forget drops where the schedules of disabled and removed workflows stand, so that a schedule that comes back
// begins anew instead of catching up. Polls keep what they have seen.
func (s *Set) forget(ctx context.Context, known, current map[string]*workflow.Workflow) {
	var off []*workflow.Workflow
	for id, w := range known {
		if current[id] == nil {
			off = append(off, w)
		}
	}
	for id, w := range current {
		if !w.Enabled && (known[id] == nil || known[id].Enabled) {
			off = append(off, w)
		}
	}
	for _, w := range off {
		for _, t := range w.Triggers {
			if t.Kind != engine.TriggerSchedule {
				continue
			}
			if err := forgetSchedule(ctx, s.Store, w.ID, t.ID); err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "a disabled schedule keeps its place", "workflow", w.ID, "trigger", t.ID, "err", err)
			}
		}
	}
}

// startMissing starts an owner for each schedule and poll of an enabled workflow that has none.
func (s *Set) startMissing(ctx context.Context, owners map[ownerKey]*owner, current map[string]*workflow.Workflow) {
	for _, id := range slices.Sorted(maps.Keys(current)) {
		w := current[id]
		if !w.Enabled {
			continue
		}
		for _, t := range w.Triggers {
			key := ownerKey{w.ID, t.ID}
			build, waits := kinds[t.Kind]
			if !waits || owners[key] != nil {
				continue
			}
			log := s.Log.With("workflow", w.ID, "trigger", t.ID)
			trigger, err := build(s, w, t)
			if trigger == nil && err == nil {
				continue // it is called
			}
			if err != nil {
				log.ErrorContext(ctx, "the trigger cannot run", "err", err)
				continue
			}
			ctx, stop := context.WithCancel(ctx)
			o := &owner{workflow: w, stop: stop, done: make(chan struct{})}
			owners[key] = o
			go func() {
				defer close(o.done)
				defer stop()
				for {
					err := trigger.Run(ctx, s.emit)
					if ctx.Err() != nil {
						return
					}
					log.ErrorContext(ctx, "the trigger stopped and begins again", "err", err, "in", maxRetry)
					if sleep(ctx, maxRetry) != nil {
						return
					}
				}
			}()
		}
	}
}

// Bounds of the wait between two tries to store what a schedule or a poll found.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 30 * time.Second
)

// emit is the Emit of schedules and polls.
func (s *Set) emit(ctx context.Context, events []engine.Event, puts []engine.Put) ([]engine.Accepted, error) {
	wait := minRetry
	for {
		accepted, err := s.Engine.AcceptAll(ctx, events, puts)
		var full *engine.FullError
		switch {
		case err == nil:
			return accepted, nil
		case errors.As(err, &full):
			wait = max(wait, full.RetryAfter)
		case errors.Is(err, engine.ErrUnavailable):
		default:
			return nil, err
		}
		if err := sleep(ctx, min(wait, maxRetry)); err != nil {
			return nil, err
		}
		wait *= 2
	}
}

// sleep waits for d, or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxSleep bounds a sleep towards a time of day. Timers run on the monotonic clock, which stands still while a
// machine is suspended and ignores that someone set the clock, so a sleeper looks at the wall clock this often.
const maxSleep = 30 * time.Second

// sleepUntil waits until the wall clock shows at.
func sleepUntil(ctx context.Context, at time.Time) error {
	for {
		d := at.Sub(wallNow())
		if d <= 0 {
			return ctx.Err()
		}
		if err := sleep(ctx, min(d, maxSleep)); err != nil {
			return err
		}
	}
}

// wallNow is the time of day without the monotonic reading.
func wallNow() time.Time { return time.Now().Round(0) }

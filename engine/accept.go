package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// ErrDropped says that an event started no run because its workflow's concurrency was used up. Its delivery says so.
var ErrDropped = errors.New("dropped: the workflow has as many runs under way as its concurrency allows")

// SignalCancel is the kind of a Signal that ends a run.
const SignalCancel = "cancel"

// Accept makes an event durable and returns the run that it starts. The run is on disk when Accept returns. A
// duplicate is the run that an event with the same key started before. ErrNotFound: there is no such workflow.
// ErrDropped: the workflow has as many runs under way as its concurrency allows, and drops more; there is none.
func (e *Engine) Accept(ctx context.Context, ev Event) (RunID, bool, error) {
	acc, err := e.AcceptAll(ctx, []Event{ev}, nil)
	if err != nil {
		return RunID{}, false, err
	}
	if acc[0].Dropped {
		return RunID{}, false, ErrDropped
	}
	return acc[0].ID, acc[0].Duplicate, nil
}

// AcceptAll accepts events and writes puts in one write: all of it or nothing. A put whose revision does not hold
// is ErrConflict.
func (e *Engine) AcceptAll(ctx context.Context, evs []Event, puts []Put) ([]Accepted, error) {
	if len(evs) > 0 {
		if err := e.door.enter(ctx, evs[0].Workflow); err != nil {
			return nil, fmt.Errorf("accept event: %w", err)
		}
		defer e.door.leave(evs[0].Workflow)
	}
	b := Batch{Runs: make([]NewRun, len(evs)), Puts: puts}
	for i := range evs {
		r, err := e.newRun(ctx, &evs[i], nil)
		if err != nil {
			return nil, fmt.Errorf("accept event: %w", err)
		}
		b.Runs[i] = *r
	}
	acc, err := e.store(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("accept event: %w", err)
	}
	return acc, nil
}

// store accepts a batch and counts the runs that begin.
func (e *Engine) store(ctx context.Context, b Batch) ([]Accepted, error) {
	begun := time.Now()
	acc, err := e.Store.Accept(ctx, b)
	if err == nil {
		now := time.Now()
		e.crowd.wrote(now.Sub(begun), now)
	}
	for i := range acc {
		if !acc[i].Duplicate && !acc[i].Dropped {
			e.started.Add(1)
		}
	}
	return acc, err
}

// newRun turns an event into a run of w; nil: of the current version.
func (e *Engine) newRun(ctx context.Context, ev *Event, w *workflow.Workflow) (*NewRun, error) {
	if w == nil {
		if w = e.Workflow(ev.Workflow); ev.Workflow == AlertsID {
			w = e.alerts.workflow()
		}
		if w == nil {
			return nil, fmt.Errorf("workflow %q: %w", ev.Workflow, ErrNotFound)
		}
	}
	if ev.At.IsZero() {
		ev.At = time.Now()
	}
	data, err := ev.Encode()
	if err != nil {
		return nil, err
	}
	lane := ev.Lane
	if lane == "" && w.Lane != nil {
		root, err := ev.Root(w.UsesRaw)
		if err != nil {
			return nil, err
		}
		v, err := w.Lane.Eval(ctx, &expression.Env{Roots: map[string]any{
			"trigger":  root,
			"workflow": workflowRoot(w),
		}, Now: ev.At})
		if err != nil {
			return nil, &InputError{"the lane of the event cannot be computed: " + err.Error()}
		}
		if lane = value.Text(v); lane != "" {
			lane = "lane/" + lane
		}
	}
	trigger := ev.Trigger
	if ev.Test != "" {
		trigger = testTrigger + ev.Test
	}
	r := &NewRun{
		Head: Head{
			Workflow: w.ID, Version: w.Version, Trigger: trigger,
			Key: ev.Key, Lane: lane, Parent: ev.Parent, Urgent: ev.Urgent,
			Caller: ev.Caller, CallerStep: ev.CallerStep, Depth: ev.Depth,
		},
		At: ev.At, Window: ev.Window, Data: data, Memo: ev, Delivery: ev.Delivery,
	}
	if c := w.Concurrency; c.Limit > 0 && c.WhenFull != workflow.WhenFullQueue {
		r.Limit, r.Full = c.Limit, c.WhenFull
	}
	r.ID = NewRunID(ev.At, &r.Head)
	return r, nil
}

// Response is the answer that a respond step gives to the webhook.
type Response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
}

// Reply is what AcceptAndWait saw. Response nil and Done false: ctx or the engine ended first.
type Reply struct {
	ID        RunID
	Duplicate bool
	Response  *Response // a respond step ran
	Done      bool      // the run has ended
	Status    Status
	Output    any // of the last step

	data []byte // Output as JSON, where nobody has decoded it yet
}

type waiter struct{ ch chan Reply }

// AcceptAndWait accepts an event and waits for a respond step, for the end of the run, or for ctx to be done,
// whichever is first. The event is durable even when ctx ends first; then err is nil. A drain ends the wait too:
// what is left of the run comes after the next start.
func (e *Engine) AcceptAndWait(ctx context.Context, ev Event) (Reply, error) {
	ev.Urgent = true                   // somebody waits for it
	sent := context.WithoutCancel(ctx) // a caller who hangs up has still sent it
	if err := e.door.enter(sent, ev.Workflow); err != nil {
		return Reply{}, fmt.Errorf("accept event: %w", err)
	}
	leave := sync.OnceFunc(func() { e.door.leave(ev.Workflow) })
	defer leave()
	r, err := e.newRun(sent, &ev, nil)
	if err != nil {
		return Reply{}, fmt.Errorf("accept event: %w", err)
	}
	w := &waiter{ch: make(chan Reply, 1)}
	defer e.await(r.ID, w)()
	acc, err := e.store(sent, Batch{Runs: []NewRun{*r}})
	leave()
	if err != nil {
		return Reply{}, fmt.Errorf("accept event: %w", err)
	}
	if acc[0].Dropped {
		return Reply{}, ErrDropped
	}
	id := acc[0].ID
	if acc[0].Duplicate { // which may have the same id, or be answered by now
		if id != r.ID {
			defer e.await(id, w)()
		}
		if reply, ok := e.replyOf(ctx, id); ok {
			reply.Duplicate = true
			return reply, nil
		}
	}
	var reply Reply
	select {
	case reply = <-w.ch:
	case <-ctx.Done():
	case <-e.rest:
		select {
		case reply = <-w.ch: // the last that the run did
		default:
		}
	}
	reply.ID, reply.Duplicate = id, acc[0].Duplicate
	return reply, nil
}

func (e *Engine) await(id RunID, w *waiter) (stop func()) {
	e.mu.Lock()
	e.waiting[id] = append(e.waiting[id], w)
	e.mu.Unlock()
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		ws := e.waiting[id]
		for i, have := range ws {
			if have == w {
				ws = append(ws[:i:i], ws[i+1:]...)
				break
			}
		}
		if len(ws) == 0 {
			delete(e.waiting, id)
		} else {
			e.waiting[id] = ws
		}
	}
}

// reply hands an answer to those who wait for this run; the first answer counts.
func (e *Engine) reply(id RunID, r Reply) {
	if r.Done {
		e.finished[r.Status].Add(1)
	}
	e.mu.RLock()
	ws := e.waiting[id]
	e.mu.RUnlock()
	if len(ws) > 0 && r.Output == nil && len(r.data) > 0 {
		r.Output, _ = value.DecodeJSON(r.data)
	}
	for _, w := range ws {
		select {
		case w.ch <- r:
		default:
		}
	}
}

// replyOf looks for the answer in the journal of a run that may have given it before.
func (e *Engine) replyOf(ctx context.Context, id RunID) (Reply, bool) {
	recs, err := e.Store.Read(ctx, id, 0)
	if err != nil {
		return Reply{}, false
	}
	reply := Reply{ID: id}
	for i := range recs {
		switch r := &recs[i]; r.Kind {
		case KindStepCompleted:
			if r.Reason == reasonRespond {
				if resp, err := decodeResponse(r.Data); err == nil {
					reply.Response = resp
					return reply, true
				}
			}
			if r.Status == StatusSucceeded && len(r.Data) > 0 {
				reply.Output, _ = value.DecodeJSON(r.Data)
			}
		case KindFinished:
			reply.Done, reply.Status = true, r.Status
		}
	}
	return reply, reply.Done
}

// Keep stores the event of a disabled workflow as a delivery, durably; Resend starts it later.
func (e *Engine) Keep(ctx context.Context, ev Event, d Delivery) error {
	data, err := ev.Encode()
	if err != nil {
		return fmt.Errorf("keep event: %w", err)
	}
	d.Data = data
	if d.ID.IsZero() {
		d.ID = NewRunID(ev.At, &Head{})
	}
	if err := e.Store.Deliveries().Record(ctx, d); err != nil {
		return fmt.Errorf("keep event: %w", err)
	}
	return nil
}

// Resend starts a run, on the current version, with the event of a delivery. It is a delivery of its own, with the id
// of the run, and the two name each other. Nothing is verified again, and the event is no duplicate of itself.
func (e *Engine) Resend(ctx context.Context, delivery RunID) (RunID, error) {
	d, err := e.Store.Deliveries().Read(ctx, delivery)
	if err != nil {
		return RunID{}, fmt.Errorf("resend delivery %s: %w", delivery, err)
	}
	ev, err := e.EventOf(ctx, &d)
	if err != nil {
		return RunID{}, fmt.Errorf("resend delivery %s: %w", delivery, err)
	}
	if ev == nil {
		return RunID{}, &InputError{fmt.Sprintf("delivery %s never became an event, or its data is gone: there is nothing to send again", delivery)}
	}
	ev.Workflow, ev.At, ev.Urgent = d.Workflow, time.Now(), true
	ev.Delivery = &Delivery{
		Workflow: d.Workflow, Trigger: d.Trigger, Status: http.StatusAccepted, Reason: "Sent again.", At: ev.At,
		Method: d.Method, Path: d.Path, Remote: d.Remote, Size: d.Size, ResendOf: d.ID,
	}
	id, _, err := e.Accept(ctx, *ev)
	return id, err
}

// EventOf returns what a delivery brought, out of itself or of the run that it started; nil: there is nothing, or not
// any more.
func (e *Engine) EventOf(ctx context.Context, d *Delivery) (*Event, error) {
	if len(d.Data) > 0 {
		return DecodeEvent(d.Data)
	}
	if d.Run.IsZero() {
		return nil, nil
	}
	ev, err := e.eventOf(ctx, d.Run)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return ev, err
}

func (e *Engine) eventOf(ctx context.Context, id RunID) (*Event, error) {
	recs, err := e.Store.Read(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	if len(recs) == 0 || recs[0].Head == nil {
		return nil, ErrNotFound
	}
	ev, err := DecodeEvent(recs[0].Data)
	if err != nil {
		return nil, err
	}
	ev.Workflow = recs[0].Head.Workflow
	return ev, nil
}

// Cancel ends a run: the call in flight is stopped, and the run ends as canceled. ErrNotFound: it has ended, or
// there is none.
func (e *Engine) Cancel(ctx context.Context, id RunID, by string) error {
	err := e.signal(ctx, id, Signal{ID: SignalCancel, Kind: SignalCancel, By: by})
	if err != nil {
		return fmt.Errorf("cancel run %s: %w", id, err)
	}
	return nil
}

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/store"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// other is a system outside that counts what it is told and answers as a test says.
type other struct {
	mu    sync.Mutex
	calls []*connectors.Call
	do    func(n int, c *connectors.Call) (any, error)
}

func (o *other) call(ctx context.Context, c *connectors.Call) (any, error) {
	o.mu.Lock()
	o.calls = append(o.calls, c)
	n, do := len(o.calls), o.do
	o.mu.Unlock()
	if do == nil {
		return map[string]any{"n": n}, nil
	}
	return do(n, c)
}

func (o *other) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.calls)
}

// told is how many calls had a field of this name in their input.
func (o *other) told(field string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		if _, ok := c.Input[field]; ok {
			n++
		}
	}
	return n
}

func (o *other) connector() *connectors.Connector {
	anything := connectors.Schema{Type: "object"}
	return &connectors.Connector{ID: "other", Title: "Other", Version: "1.0.0", Actions: []connectors.Action{
		{Name: "send", Title: "Send", Input: anything, Do: o.call},
		{Name: "put", Title: "Put", Input: anything, Idempotent: true, Do: o.call},
		{Name: "hang", Title: "Hang", Input: anything, Do: func(ctx context.Context, c *connectors.Call) (any, error) {
			o.call(ctx, c)
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		{Name: "crash", Title: "Crash", Input: anything, Do: func(context.Context, *connectors.Call) (any, error) { panic("boom") }},
	}}
}

// house is an engine on a real database.
type house struct {
	*engine.Engine
	t     *testing.T
	dir   string
	store *bolt.Store
	other *other
	drain func() // begins what stop waits for
	stop  func()
}

func open(t *testing.T, dir string, o *other) *house {
	t.Helper()
	s, err := bolt.Open(dir, bolt.Options{NoSync: true}) // no test cuts the power
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{
		Store: s, HTTP: http.DefaultClient, PublicURL: "https://bell.example.com",
		Connectors: connectors.NewRegistry(o.connector(), store.New()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &house{Engine: e, t: t, dir: dir, store: s, other: o}
}

// start works on runs until the test ends or stop is called.
func (h *house) start() *house {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	h.drain = cancel
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("run: %v", err)
		}
		if err := h.store.Close(context.Background()); err != nil {
			h.t.Errorf("close: %v", err)
		}
	})
	h.t.Cleanup(h.stop)
	return h
}

func newHouse(t *testing.T) *house {
	return open(t, filepath.Join(t.TempDir(), "data"), &other{})
}

func (h *house) publish(id, text string) *workflow.Workflow {
	h.t.Helper()
	w, problems := workflow.Parse("workflows/"+id+".yaml", []byte(text))
	if err := problems.Err(); err != nil {
		h.t.Fatalf("workflow:\n%v", err)
	}
	w.ID = id
	if err := h.Publish(h.t.Context(), w); err != nil {
		h.t.Fatal(err)
	}
	return w
}

func event(id string, body any) engine.Event {
	return engine.Event{Workflow: id, Trigger: "webhook", Kind: engine.TriggerWebhook, Fields: map[string]any{"body": body}}
}

func (h *house) accept(ev engine.Event) engine.RunID {
	h.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		id, _, err := h.Accept(h.t.Context(), ev)
		var full *engine.FullError // where a write takes longer than a second
		if errors.As(err, &full) && full.Reason == "writer" && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			h.t.Fatal(err)
		}
		return id
	}
}

// patience is how long a test waits for what must come: long, because it fails only where nothing comes at all.
const patience = time.Minute

// wait returns the run once its status is one of those wanted.
func (h *house) wait(id engine.RunID, want ...string) *engine.RunView {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	updates, err := h.store.Watch(ctx, engine.Filter{Run: id})
	if err != nil {
		h.t.Fatal(err)
	}
	for {
		v, err := h.View(h.t.Context(), id)
		switch {
		case errors.Is(err, engine.ErrNotFound) && ctx.Err() == nil: // a call names its child before that is stored
			v = &engine.RunView{}
		case err != nil:
			h.t.Fatal(err)
		}
		for _, w := range want {
			if v.Status == w {
				recs, err := h.store.Read(h.t.Context(), id, 0)
				if err != nil {
					h.t.Fatal(err)
				}
				if err := engine.CheckJournal(recs); err != nil {
					h.t.Errorf("journal of %s: %v", id, err)
				}
				return v
			}
		}
		select {
		case <-updates:
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			h.t.Fatalf("run %s is %s, want %v: %+v", id, v.Status, want, v)
		}
	}
}

func (h *house) step(v *engine.RunView, id string) engine.StepView {
	h.t.Helper()
	for _, s := range v.Steps {
		if s.ID == id {
			return s
		}
	}
	h.t.Fatalf("run has no step %s: %+v", id, v.Steps)
	return engine.StepView{}
}

const orders = `
triggers: [{webhook: {}}]
steps:
  - filter: trigger.body.total >= 100
  - id: order
    set: {customer: "${{ upper(trigger.body.name) }}", cents: "${{ trigger.body.total * 100 }}"}
  - id: tell
    use: other.send
    with: {text: "${{ steps.order.customer }} paid ${{ steps.order.cents }}"}
`

func TestAnEventBecomesARunThatFiltersMapsAndCalls(t *testing.T) {
	h := newHouse(t).start()
	h.publish("orders", orders)
	v := h.wait(h.accept(event("orders", map[string]any{"total": 129, "name": "Ada"})), "succeeded")
	if got := h.other.calls[0].Input["text"]; got != "ADA paid 12900" {
		t.Errorf("the other side was told %q", got)
	}
	if got := string(h.step(v, "tell").Output); got != `{"n":1}` {
		t.Errorf("output is %s", got)
	}
	if v.StartedAt.IsZero() || v.FinishedAt == nil || v.Version == "" || v.Summary == "" {
		t.Errorf("the view lacks something: %+v", v)
	}
}

func TestAFilterSaysWhatDecided(t *testing.T) {
	h := newHouse(t).start()
	h.publish("orders", orders)
	v := h.wait(h.accept(event("orders", map[string]any{"total": 40, "name": "Ada"})), "filtered")
	if h.other.count() != 0 {
		t.Error("a filtered run called out")
	}
	because := v.Steps[0].Because
	if len(because) != 1 || because[0].Result || because[0].Left != 40.0 || because[0].Op != ">=" {
		t.Errorf("because %+v", because)
	}
	if !strings.Contains(v.Summary, "it was 40") {
		t.Errorf("summary %q does not tell the value", v.Summary)
	}
}

func TestAMissingFieldFailsWithItsName(t *testing.T) {
	h := newHouse(t).start()
	h.publish("orders", orders)
	v := h.wait(h.accept(event("orders", map[string]any{"name": "Ada"})), "failed")
	if !strings.Contains(v.Summary, "total") {
		t.Errorf("summary %q does not name the missing field", v.Summary)
	}
}

func TestRetriesKeepOneKeyAndObeyTheLimit(t *testing.T) {
	h := newHouse(t).start()
	h.other.do = func(n int, c *connectors.Call) (any, error) {
		return nil, &connectors.StatusError{Status: 503, Message: "busy"}
	}
	h.publish("w", `
triggers: [{webhook: {}}]
steps:
  - {id: tell, use: other.send, retry: {attempts: 3, initial: 1s, max: 1s}, on_error: continue}
  - {id: after, set: {status: "${{ errors.tell.status }}", tries: "${{ errors.tell.attempts }}"}}
`)
	v := h.wait(h.accept(event("w", nil)), "succeeded", "failed")
	if h.other.count() != 3 {
		t.Fatalf("%d attempts, want 3", h.other.count())
	}
	for _, c := range h.other.calls {
		if len(c.Key) != 26 || c.Key != h.other.calls[0].Key {
			t.Errorf("keys differ: %q and %q", c.Key, h.other.calls[0].Key)
		}
	}
	if got := string(h.step(v, "after").Output); got != `{"status":503,"tries":3}` {
		t.Errorf("after saw %s", got)
	}
}

func TestAPermanentErrorIsNotTriedAgain(t *testing.T) {
	h := newHouse(t).start()
	h.other.do = func(int, *connectors.Call) (any, error) {
		return nil, connectors.Permanent(&connectors.StatusError{Status: 404, Message: "no such channel"})
	}
	h.publish("w", `
triggers: [{webhook: {}}]
steps:
  - {id: tell, use: other.send}
on_failure:
  - {id: alarm, use: other.put, with: {text: "${{ error.step }}: ${{ error.message }} (${{ error.status }}) ${{ error.run_url }}"}}
`)
	id := h.accept(event("w", nil))
	v := h.wait(id, "failed")
	if h.other.count() != 2 {
		t.Fatalf("%d calls, want the failed one and the alarm", h.other.count())
	}
	if got := h.step(v, "alarm"); got.Status != "failed" {
		t.Errorf("alarm is %s", got.Status)
	}
	want := "tell: no such channel (404) https://bell.example.com/runs/" + id.String()
	if got := h.other.calls[1].Input["text"]; got != want {
		t.Errorf("alarm said %q, want %q", got, want)
	}
}

// A call that was cut off on the way may have happened: it is not made again unless the step says so.
func TestAnUnknownOutcomeIsForAPerson(t *testing.T) {
	h := newHouse(t).start()
	h.other.do = func(int, *connectors.Call) (any, error) {
		return nil, connectors.Unknown(errors.New("the connection broke"))
	}
	h.publish("w", `
triggers: [{webhook: {}}]
steps: [{id: tell, use: other.send}]
`)
	v := h.wait(h.accept(event("w", nil)), "failed")
	if got := h.step(v, "tell"); got.Status != "unknown" || h.other.count() != 1 {
		t.Errorf("the step is %s after %d calls, want unknown after 1", got.Status, h.other.count())
	}
	h.publish("again", `
triggers: [{webhook: {}}]
steps: [{id: tell, use: other.send, retry: {attempts: 2, initial: 1s, max: 1s, unknown: true}}]
`)
	h.wait(h.accept(event("again", nil)), "failed")
	if h.other.count() != 3 {
		t.Errorf("%d calls, want two more", h.other.count())
	}
}

func TestOnErrorStepsHandleTheError(t *testing.T) {
	h := newHouse(t).start()
	h.other.do = func(n int, _ *connectors.Call) (any, error) {
		if n == 1 {
			return nil, connectors.Permanent(errors.New("refused"))
		}
		return "ok", nil
	}
	h.publish("w", `
triggers: [{webhook: {}}]
steps:
  - id: tell
    use: other.send
    on_error:
      - {id: plan_b, use: other.put, with: {why: "${{ error.message }}"}}
  - {id: after, set: {b: "${{ steps.plan_b }}"}}
`)
	v := h.wait(h.accept(event("w", nil)), "succeeded", "failed")
	if v.Status != "succeeded" || string(h.step(v, "after").Output) != `{"b":"ok"}` || h.other.calls[1].Input["why"] != "refused" {
		t.Errorf("run %+v, calls %v", v, h.other.calls)
	}
}

func TestIfSkipsAStep(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", `
triggers: [{webhook: {}}]
steps:
  - {id: tell, if: trigger.body.vip, use: other.send}
  - {id: end, set: {was: "${{ steps.tell }}"}}
`)
	v := h.wait(h.accept(event("w", map[string]any{})), "succeeded")
	if h.other.count() != 0 || h.step(v, "tell").Status != "skipped" || string(h.step(v, "end").Output) != `{"was":null}` {
		t.Errorf("%+v", v.Steps)
	}
}

func TestStopEndsTheRun(t *testing.T) {
	for as, want := range map[string]string{"succeeded": "succeeded", "failed": "failed", "filtered": "filtered", "canceled": "canceled"} {
		t.Run(as, func(t *testing.T) {
			h := newHouse(t).start()
			h.publish("w", "triggers: [{webhook: {}}]\nsteps:\n  - stop: {as: "+as+", message: \"No ${{ trigger.body.what }}\"}\n  - use: other.send\n")
			v := h.wait(h.accept(event("w", map[string]any{"what": "customer"})), want)
			if v.Summary != "No customer" || h.other.count() != 0 {
				t.Errorf("summary %q, %d calls", v.Summary, h.other.count())
			}
		})
	}
}

func TestARespondStepAnswersWhileTheRunGoesOn(t *testing.T) {
	h := newHouse(t)
	hold := make(chan struct{})
	h.other.do = func(int, *connectors.Call) (any, error) { <-hold; return nil, nil }
	h.start()
	h.publish("w", `
triggers: [{webhook: {}}]
steps:
  - respond: {status: 201, headers: {x-from: bellhop}, body: {hello: "${{ trigger.body.name }}"}}
  - use: other.send
`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reply, err := h.AcceptAndWait(ctx, event("w", map[string]any{"name": "Ada"}))
	if err != nil || reply.Response == nil {
		t.Fatalf("reply %+v, %v", reply, err)
	}
	if r := reply.Response; r.Status != 201 || r.Body != `{"hello":"Ada"}` || r.Headers["X-From"] != "bellhop" {
		t.Errorf("response %+v", r)
	}
	close(hold)
	h.wait(reply.ID, "succeeded")
}

func TestWaitingForTheEndGivesStatusAndOutput(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", "triggers: [{webhook: {respond: finished}}]\nsteps: [{id: a, set: {n: 1}}]\n")
	reply, err := h.AcceptAndWait(t.Context(), event("w", nil))
	if err != nil || !reply.Done || reply.Status != engine.StatusSucceeded || fmt.Sprint(reply.Output) != "map[n:1]" {
		t.Errorf("reply %+v, %v", reply, err)
	}
}

func TestADrainAnswersThoseWhoWaitForTheEnd(t *testing.T) {
	h := newHouse(t)
	begun, hold := make(chan struct{}), make(chan struct{})
	h.other.do = func(int, *connectors.Call) (any, error) { close(begun); <-hold; return nil, nil }
	h.start()
	h.publish("w", "triggers: [{webhook: {respond: finished}}]\nsteps: [{use: other.send}, {use: other.put}]\n")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	type answer struct {
		engine.Reply
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		reply, err := h.AcceptAndWait(ctx, event("w", nil))
		answers <- answer{reply, err}
	}()
	<-begun
	h.drain()
	<-h.Draining()
	close(hold) // the first step ends, the second waits for the next start
	h.stop()
	a := <-answers
	if a.err != nil || a.ID.IsZero() || a.Done || ctx.Err() != nil {
		t.Errorf("reply %+v, %v; want the run without an end, before %v", a.Reply, a.err, ctx.Err())
	}
}

func TestCancelStopsTheCallInFlight(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", "triggers: [{webhook: {}}]\nsteps: [{id: slow, use: other.hang, timeout: 1h}, {use: other.send}]\n")
	id := h.accept(event("w", nil))
	for h.other.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := h.Cancel(t.Context(), id, "ada"); err != nil {
		t.Fatal(err)
	}
	v := h.wait(id, "canceled")
	if h.step(v, "slow").Status != "canceled" || h.other.count() != 1 {
		t.Errorf("%+v", v.Steps)
	}
	if err := h.Cancel(t.Context(), id, "ada"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("canceling a finished run: %v", err)
	}
}

func TestTheRunTimeoutEndsIt(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", "timeout: 1s\ntriggers: [{webhook: {}}]\nsteps: [{id: slow, use: other.hang, timeout: 1h}]\non_failure: [{use: other.send, with: {m: \"${{ error.message }}\"}}]\n")
	v := h.wait(h.accept(event("w", nil)), "failed")
	if v.Reason != engine.ReasonTimeout || h.other.told("m") != 1 { // where a second passes before the first step, that one is not called
		t.Errorf("%+v, and %d calls say so", v, h.other.told("m"))
	}
}

func TestAPanicInAnActionStaysInItsStep(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", "triggers: [{webhook: {}}]\nsteps: [{id: bad, use: other.crash}]\n")
	v := h.wait(h.accept(event("w", nil)), "failed")
	if strings.Contains(v.Summary, "boom") || strings.Contains(v.Summary, "goroutine") {
		t.Errorf("the panic reached a person: %q", v.Summary)
	}
	h.publish("orders", orders)
	h.wait(h.accept(event("orders", map[string]any{"total": 129, "name": "Ada"})), "succeeded")
}

func TestEqualKeysAreOneRun(t *testing.T) {
	h := newHouse(t).start()
	h.publish("orders", orders)
	ev := event("orders", map[string]any{"total": 129, "name": "Ada"})
	ev.Key, ev.Window = "evt_1", time.Hour
	var ids sync.Map
	var first, dup atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			id, duplicate, err := h.Accept(t.Context(), ev)
			if err != nil {
				t.Error(err)
				return
			}
			ids.Store(id, true)
			if duplicate {
				dup.Add(1)
			} else {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if first.Load() != 1 || dup.Load() != 49 {
		t.Errorf("%d first and %d duplicates of 50", first.Load(), dup.Load())
	}
	ids.Range(func(id, _ any) bool {
		h.wait(id.(engine.RunID), "succeeded")
		return true
	})
	if h.other.count() != 1 {
		t.Errorf("%d calls", h.other.count())
	}
}

func TestRerunFromTheFailedStepKeepsResults(t *testing.T) {
	h := newHouse(t).start()
	fail := true
	h.other.do = func(n int, c *connectors.Call) (any, error) {
		if c.Input["second"] == true && fail {
			return nil, connectors.Permanent(errors.New("not now"))
		}
		return map[string]any{"n": n}, nil
	}
	h.publish("w", `
triggers: [{webhook: {}}]
steps:
  - {id: one, use: other.send}
  - {id: two, use: other.send, with: {second: true, n: "${{ steps.one.n }}"}}
`)
	old := h.accept(event("w", map[string]any{"a": 1}))
	h.wait(old, "failed")
	fail = false
	id, err := h.Rerun(t.Context(), old, engine.Rerun{From: "failed"})
	if err != nil {
		t.Fatal(err)
	}
	v := h.wait(id, "succeeded", "failed")
	if h.other.count() != 3 {
		t.Errorf("%d calls, want 3: step one must not run again", h.other.count())
	}
	if v.Parent != old.String() || !h.step(v, "one").Carried || string(h.step(v, "two").Input) != `{"n":1,"second":true}` {
		t.Errorf("%+v", v)
	}
	if _, err := h.Rerun(t.Context(), id, engine.Rerun{From: "failed"}); err == nil {
		t.Error("a run without a failed step was rerun from it")
	}
}

func TestRerunOnTheVersionNowAndWithOtherData(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", "triggers: [{webhook: {}}]\nsteps: [{id: a, set: {v: 1, b: \"${{ trigger.body }}\"}}]\n")
	old := h.accept(event("w", "x"))
	h.wait(old, "succeeded")
	h.publish("w", "triggers: [{webhook: {}}]\nsteps: [{id: a, set: {v: 2, b: \"${{ trigger.body }}\"}}]\n")
	for how, want := range map[engine.Rerun]string{
		{}:                           `{"b":"x","v":1}`,
		{Version: "now"}:             `{"b":"x","v":2}`,
		{Version: "now", Data: "yy"}: `{"b":"yy","v":2}`,
	} {
		id, err := h.Rerun(t.Context(), old, how)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(h.step(h.wait(id, "succeeded"), "a").Output); got != want {
			t.Errorf("%+v gave %s, want %s", how, got, want)
		}
	}
}

func TestAStoppedServerGoesOnWhereItWas(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	o := &other{do: func(n int, c *connectors.Call) (any, error) {
		if n == 1 {
			return nil, connectors.RetryAfter(errors.New("later"), 11*time.Second)
		}
		return n, nil
	}}
	h := open(t, dir, o).start()
	h.publish("w", "triggers: [{webhook: {}}]\nsteps: [{id: one, set: {a: 1}}, {id: tell, use: other.send}]\n")
	id := h.accept(event("w", nil))
	h.wait(id, "waiting")
	h.stop()
	h = open(t, dir, o).start()
	v := h.wait(id, "succeeded")
	if o.count() != 2 || h.step(v, "tell").Attempts != 2 {
		t.Errorf("%d calls, %+v", o.count(), v.Steps)
	}
}

func TestStepsTouchTheStore(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", `
triggers: [{webhook: {}}]
steps:
  - {id: n, use: store.increment, with: {key: count, by: 2}}
  - {use: store.set, with: {key: last, value: {at: "${{ steps.n }}"}}}
  - {id: got, use: store.get, with: {key: last}}
`)
	for _, want := range []string{`{"at":2}`, `{"at":4}`} {
		v := h.wait(h.accept(event("w", nil)), "succeeded", "failed")
		if v.Status != "succeeded" || string(h.step(v, "got").Output) != want {
			t.Errorf("got %s, want %s (%s)", h.step(v, "got").Output, want, v.Summary)
		}
	}
}

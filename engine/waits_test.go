package engine_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// counted is a real store that counts durable waits.
type counted struct {
	engine.Store
	waits atomic.Int64
}

func (c *counted) Accept(ctx context.Context, b engine.Batch) ([]engine.Accepted, error) {
	if len(b.Runs) > 0 {
		c.waits.Add(1)
	}
	return c.Store.Accept(ctx, b)
}

func (c *counted) Append(ctx context.Context, claim *engine.Claim, recs []engine.Record, then engine.Then) error {
	c.waits.Add(1)
	return c.Store.Append(ctx, claim, recs, then)
}

func TestDurableWaitsOfARun(t *testing.T) {
	const pure = "  - filter: trigger.body.n == 1\n  - {id: a, set: {x: 1}}\n  - {id: b, if: 'false', set: {x: 1}}\n"
	for name, tt := range map[string]struct {
		steps string
		want  int64
	}{
		"pure steps cost none":                        {pure, 2},
		"k calls make k+2":                            {pure + "  - use: other.send\n  - use: other.send\n" + pure2 + "  - use: other.send\n", 5},
		"k+1 where the first call is repeatable":      {pure + "  - use: other.put\n  - use: other.send\n  - use: other.send\n", 4},
		"one repeatable call waits like a pure step":  {pure + "  - use: other.put\n", 2},
		"a repeatable call behind another waits":      {"  - use: other.send\n  - use: other.put\n", 4},
		"an answer to the webhook costs none":         {"  - respond: {status: 200}\n", 2},
		"a continued failure costs none of its own":   {"  - {id: c, set: {y: \"${{ 1 + trigger.body.none }}\"}, on_error: continue}\n", 2},
		"steps that handle an error cost none either": {"  - {id: c, set: {y: \"${{ 1 + trigger.body.none }}\"}, on_error: [{set: {z: 1}}]}\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, filepath.Join(t.TempDir(), "data"), &other{})
			c := &counted{Store: h.store}
			h.Engine.Store = c
			h.start()
			h.publish("w", "triggers: [{webhook: {}}]\nsteps:\n"+tt.steps)
			v := h.wait(h.accept(event("w", map[string]any{"n": 1})), "succeeded", "failed", "filtered")
			if v.Status != "succeeded" || c.waits.Load() != tt.want {
				t.Errorf("%s after %d durable waits, want %d: %s", v.Status, c.waits.Load(), tt.want, v.Summary)
			}
		})
	}
}

const pure2 = "  - {id: d, set: {x: 1}}\n"

var _ engine.Store = (*bolt.Store)(nil)

// cutOff plays a workflow of one step whose call a crash cut off: its start is the last that the journal has.
func cutOff(t *testing.T, step string) (*engine.Simulated, int) {
	t.Helper()
	w, problems := workflow.Parse("w.yaml", []byte("triggers: [{webhook: {}}]\nsteps:\n  - {use: other.put}\n  - "+step+"\n"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	s := engine.Simulation{Workflow: w, Connectors: connectors.NewRegistry((&other{}).connector()), Event: event("w", nil)}
	calls := 0
	var keys []string
	s.Invoke = func(_ context.Context, c engine.SimulatedCall) (any, error) {
		if c.Step.ID == "x" {
			calls++
			keys = append(keys, c.Key)
		}
		return nil, nil
	}
	whole, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range whole.Records {
		if r.Kind == engine.KindStepStarted && r.Step == "x" {
			s.Journal, s.ID, calls, keys = whole.Records[:i+1:i+1], whole.ID, 0, nil
			break
		}
	}
	out, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if want := engine.IdempotencyKey(whole.ID, "x"); k != want {
			t.Errorf("the repeated call has key %s, want that of the first, %s", k, want)
		}
	}
	return out, calls
}

func TestACallThatACrashCutOff(t *testing.T) {
	for name, tt := range map[string]struct {
		step   string
		status string
		reason string
		calls  int
	}{
		"a repeatable one is made again":          {"{id: x, use: other.put}", "succeeded", "", 1},
		"another one is left to a person":         {"{id: x, use: other.send}", "failed", engine.ReasonUnknown, 0},
		"whatever on_error says":                  {"{id: x, use: other.send, on_error: continue}", "failed", engine.ReasonUnknown, 0},
		"unless retry says that it may be made":   {"{id: x, use: other.send, retry: {unknown: true}}", "succeeded", "", 1},
		"even where retry allows but one attempt": {"{id: x, use: other.put, retry: {attempts: 1}}", "succeeded", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			out, calls := cutOff(t, tt.step)
			if out.View.Status != tt.status || out.View.Reason != tt.reason || calls != tt.calls {
				t.Errorf("%s (%s) after %d calls, want %s (%s) after %d", out.View.Status, out.View.Reason, calls, tt.status, tt.reason, tt.calls)
			}
		})
	}
}

func TestARunWhoseFirstCallIsUnderWayIsRunning(t *testing.T) {
	hold := make(chan struct{})
	h := newHouse(t)
	h.other.do = func(int, *connectors.Call) (any, error) { <-hold; return nil, nil }
	h.start()
	defer close(hold)
	h.publish("w", "triggers: [{webhook: {}}]\nsteps: [{use: other.put}]\n")
	id := h.accept(event("w", nil))
	h.wait(id, "running")
	page, err := h.store.List(t.Context(), engine.Query{Status: []engine.Status{engine.StatusRunning}})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != id {
		t.Errorf("the list has %v, %v", page.Items, err)
	}
}

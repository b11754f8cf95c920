package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
)

func TestRerunFromBehindAStepNeverRepeatsIt(t *testing.T) {
	h := newHouse(t).start()
	h.other.do = func(n int, c *connectors.Call) (any, error) {
		if c.Input["fail"] == true {
			return nil, connectors.Permanent(errors.New("no"))
		}
		return map[string]any{"n": n}, nil
	}
	for name, step := range map[string]string{
		"failed":   "use: other.send, with: {fail: true}",
		"canceled": "use: other.hang, timeout: 1h",
	} {
		t.Run(name, func(t *testing.T) {
			h.publish(name, "triggers: [{webhook: {}}]\nsteps:\n  - {id: one, use: other.send}\n"+
				"  - {id: two, "+step+"}\n  - {id: three, use: other.send, with: {had: \"${{ steps.one.n != nil }}\", not: \"${{ steps.two }}\"}}\n")
			calls := h.other.count()
			old := h.accept(event(name, nil))
			for h.other.count() < calls+2 {
				time.Sleep(time.Millisecond)
			}
			if name == "canceled" {
				if err := h.Cancel(t.Context(), old, "ada"); err != nil {
					t.Fatal(err)
				}
			}
			h.wait(old, name)
			id, err := h.Rerun(t.Context(), old, engine.Rerun{From: "three"})
			if err != nil {
				t.Fatal(err)
			}
			v := h.wait(id, "succeeded", "failed")
			if n := h.other.count() - calls; v.Status != "succeeded" || n != 3 {
				t.Errorf("%s after %d calls, want succeeded after 3: %s", v.Status, n, v.Summary)
			}
			if two := h.step(v, "two"); two.Status != "skipped" || !two.Carried {
				t.Errorf("step two: %+v", two)
			}
			if got := string(h.step(v, "three").Input); got != `{"had":true,"not":null}` {
				t.Errorf("step three got %s", got)
			}
		})
	}
}

func TestACanceledWaitForARetry(t *testing.T) {
	h := newHouse(t).start()
	fail := true
	h.other.do = func(n int, c *connectors.Call) (any, error) {
		if fail {
			return nil, connectors.RetryAfter(errors.New("later"), time.Hour)
		}
		return nil, nil
	}
	h.publish("w", "triggers: [{webhook: {}}]\nsteps: [{id: a, use: other.send, on_error: continue}]\n")
	old := h.accept(event("w", nil))
	if v := h.wait(old, "waiting"); h.step(v, "a").Status != "waiting" || h.step(v, "a").RetryAt == nil {
		t.Errorf("while it waits: %+v", v.Steps)
	}
	if err := h.Cancel(t.Context(), old, "ada"); err != nil {
		t.Fatal(err)
	}
	if v := h.wait(old, "canceled"); h.step(v, "a").Status != "failed" || h.step(v, "a").RetryAt != nil {
		t.Errorf("in the canceled run: %+v", v.Steps)
	}
	fail = false
	id, err := h.Rerun(t.Context(), old, engine.Rerun{From: "failed"})
	if err != nil {
		t.Fatal(err)
	}
	h.wait(id, "succeeded")
}

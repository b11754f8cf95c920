package engine_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
)

// flaky fails what it is told to, until it is mended, and counts the calls of each.
type flaky struct {
	mu     sync.Mutex
	broken map[string]bool
	calls  map[string]int
}

func (f *flaky) do(_ int, c *connectors.Call) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := fmt.Sprint(c.Input["n"])
	f.calls[n]++
	if f.broken[n] {
		return nil, connectors.Permanent(errors.New("refused"))
	}
	return map[string]any{"n": c.Input["n"]}, nil
}

func (f *flaky) mend() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = nil
	before := f.calls
	f.calls = map[string]int{}
	return before
}

const flakyFlow = hook + `
steps:
  - {id: first, use: other.send, with: {n: first}}
  - id: both
    parallel:
      - {name: a, steps: [{id: l, for_each: {in: '1..5'}, steps: [{id: one, use: other.send, with: {n: '${{ item }}'}}, {id: two, use: other.send, with: {n: '${{ item * 10 }}'}}]}]}
      - {name: b, steps: [{id: b1, use: other.send, with: {n: b1}}]}
  - {id: end, set: {l: "${{ map(steps.l, .n) }}", b: "${{ steps.both.b.n }}", first: "${{ steps.first.n }}"}}
`

func TestRerunGoesOnInsideWhatFailed(t *testing.T) {
	f := &flaky{broken: map[string]bool{"30": true}, calls: map[string]int{}}
	h := newHouse(t)
	h.other.do = f.do
	h.start()
	h.publish("w", flakyFlow)
	old := h.accept(event("w", nil))
	h.wait(old, "failed")
	f.mend()
	repeats, err := h.Repeats(t.Context(), old, engine.Rerun{From: "failed"})
	if err != nil || len(repeats) != 1 || repeats[0].Step != "l[2].two" {
		t.Errorf("repeats are %v, %v", repeats, err)
	}
	all, err := h.Repeats(t.Context(), old, engine.Rerun{})
	if err != nil || len(all) != 8 {
		t.Errorf("from the start it repeats %v, %v", all, err)
	}
	id, err := h.Rerun(t.Context(), old, engine.Rerun{From: "failed"})
	if err != nil {
		t.Fatal(err)
	}
	v := h.wait(id, "succeeded", "failed")
	if got := string(h.step(v, "end").Output); v.Status != "succeeded" || got != `{"b":"b1","first":"first","l":[10,20,30,40,50]}` {
		t.Errorf("%s: %s %s", v.Status, v.Summary, got)
	}
	if diff := cmp.Diff(map[string]int{"30": 1, "4": 1, "40": 1, "5": 1, "50": 1}, f.mend()); diff != "" {
		t.Errorf("calls: %s", diff)
	}
	// From a step inside a loop: it and those behind it, in every round.
	if id, err = h.Rerun(t.Context(), id, engine.Rerun{From: "two"}); err != nil {
		t.Fatal(err)
	}
	h.wait(id, "succeeded")
	if diff := cmp.Diff(map[string]int{"10": 1, "20": 1, "30": 1, "40": 1, "50": 1, "b1": 1}, f.mend()); diff != "" {
		t.Errorf("calls from step two: %s", diff)
	}
}

func TestDecisionsOnARunThatFailed(t *testing.T) {
	f := &flaky{broken: map[string]bool{"x": true}, calls: map[string]int{}}
	h := newHouse(t)
	h.other.do = f.do
	h.start()
	h.publish("w", hook+"steps:\n  - {id: x, use: other.send, with: {n: x}}\n  - {id: end, set: {n: \"${{ steps.x.n }}\"}}\n")
	for _, tt := range []struct{ decision, end string }{{engine.DecideGiveUp, ""}, {engine.DecideDone, `{"n":"by hand"}`}, {engine.DecideAgain, `{"n":"x"}`}} {
		old := h.accept(event("w", nil))
		v := h.wait(old, "failed")
		row := &engine.Row{ID: old, Status: engine.StatusFailed}
		if needs, err := h.NeedsDecision(t.Context(), row); !needs || err != nil {
			t.Fatalf("%s needs no decision: %s, %v", v.ID, v.Status, err)
		}
		if tt.decision == engine.DecideAgain {
			f.mend()
		}
		id, err := h.Resolve(t.Context(), old, tt.decision, map[string]any{"n": "by hand"})
		if err != nil {
			t.Fatal(err)
		}
		if needs, _ := h.NeedsDecision(t.Context(), row); needs {
			t.Errorf("%s: it still needs one", tt.decision)
		}
		for _, second := range []string{engine.DecideGiveUp, engine.DecideDone, engine.DecideAgain} {
			if other, err := h.Resolve(t.Context(), old, second, nil); !errors.Is(err, engine.ErrDecided) || !other.IsZero() {
				t.Errorf("%s after %s: %s, %v", second, tt.decision, other, err)
			}
		}
		if tt.end == "" {
			if !id.IsZero() {
				t.Error("giving up started a run")
			}
			continue
		}
		v = h.wait(id, "succeeded", "failed")
		if got := string(h.step(v, "end").Output); got != tt.end || v.Parent != old.String() {
			t.Errorf("%s: %s, %s, parent %s", tt.decision, v.Status, got, v.Parent)
		}
	}
	if _, err := h.Resolve(t.Context(), h.accept(event("w", nil)), "perhaps", nil); err == nil {
		t.Error("any word is a decision")
	}
}

// TestDropOfARerun: what a full workflow drops was not run again, so the run before still needs a decision.
func TestDropOfARerun(t *testing.T) {
	goOn := make(chan struct{})
	h := newHouse(t)
	h.other.do = func(_ int, c *connectors.Call) (any, error) {
		if c.Input["n"] == "x" {
			return nil, connectors.Permanent(errors.New("refused"))
		}
		<-goOn
		return nil, nil
	}
	h.start()
	h.publish("w", hook+"concurrency: {limit: 1, when_full: drop}\nsteps: [{use: other.send, with: {n: \"${{ trigger.body.n }}\"}}]\n")
	old := h.accept(event("w", map[string]any{"n": "x"}))
	h.wait(old, "failed")
	long := h.accept(event("w", map[string]any{"n": "y"}))
	defer h.wait(long, "succeeded")
	defer close(goOn)
	row := &engine.Row{ID: old, Status: engine.StatusFailed}
	for name, again := range map[string]func() error{
		"rerun":   func() error { _, err := h.Rerun(t.Context(), old, engine.Rerun{}); return err },
		"resolve": func() error { _, err := h.Resolve(t.Context(), old, engine.DecideAgain, nil); return err },
	} {
		if err := again(); !errors.Is(err, engine.ErrDropped) {
			t.Errorf("%s: %v", name, err)
		}
		if needs, err := h.NeedsDecision(t.Context(), row); !needs || err != nil {
			t.Errorf("after a %s that was dropped nobody needs to decide: %v", name, err)
		}
	}
}

func TestManyRunsAgain(t *testing.T) {
	f := &flaky{broken: map[string]bool{"1": true, "3": true, "5": true}, calls: map[string]int{}}
	h := newHouse(t)
	h.other.do = f.do
	h.start()
	h.publish("w", hook+"steps:\n  - {id: x, use: other.send, with: {n: \"${{ trigger.body.n }}\"}}\n")
	for n := range 6 {
		h.wait(h.accept(event("w", map[string]any{"n": n})), "succeeded", "failed")
	}
	h.listed("failed", 3)
	f.mend()
	if _, err := h.StartBulk(t.Context(), engine.Query{}, nil, engine.Rerun{}, -1); err == nil {
		t.Error("a rate below nothing")
	}
	job, err := h.StartBulk(t.Context(), engine.Query{Workflow: "w", Status: []engine.Status{engine.StatusFailed}}, nil, engine.Rerun{From: "failed"}, 100)
	if err != nil || job.Total != 3 {
		t.Fatalf("%+v, %v", job, err)
	}
	for deadline := time.Now().Add(patience); !job.Done; {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", job)
		}
		time.Sleep(5 * time.Millisecond)
		if job, err = h.Bulk(job.ID); err != nil {
			t.Fatal(err)
		}
	}
	if job.Started != 3 || job.Failed != 0 {
		t.Errorf("%+v", job)
	}
	h.listed("succeeded", 6)
}

// listed waits until so many runs are listed with a status: lists lag a moment behind.
func (h *house) listed(status string, want int) {
	h.t.Helper()
	s, err := engine.ParseStatus(status)
	if err != nil {
		h.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		page, err := h.store.List(h.t.Context(), engine.Query{Status: []engine.Status{s}})
		if err != nil {
			h.t.Fatal(err)
		}
		if len(page.Items) == want {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%d runs are %s, want %d", len(page.Items), status, want)
		}
	}
}

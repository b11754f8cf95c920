package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
)

const hook = "triggers: [{webhook: {}}]\n"

func TestBranchesAndRoundsWorkAtTheSameTime(t *testing.T) {
	for name, steps := range map[string]string{
		"parallel": "steps:\n  - parallel: [{steps: [{use: other.put}]}, {steps: [{use: other.send}]}, {steps: [{for_each: {in: '[1]'}, steps: [{use: other.send}]}]}]\n",
		"for_each": "steps:\n  - for_each: {in: '[1, 2, 3]', concurrency: 3}\n    steps: [{use: other.send}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			var here sync.WaitGroup
			here.Add(3)
			h := newHouse(t)
			h.other.do = func(int, *connectors.Call) (any, error) { here.Done(); here.Wait(); return 1, nil }
			h.start()
			h.publish("w", hook+steps)
			if v := h.wait(h.accept(event("w", nil)), "succeeded", "failed"); v.Status != "succeeded" {
				t.Error(v.Summary)
			}
		})
	}
}

func TestALoopKeepsToItsConcurrency(t *testing.T) {
	var now, most atomic.Int64
	var four sync.WaitGroup // the first four are there together
	four.Add(4)
	h := newHouse(t)
	h.other.do = func(n int, _ *connectors.Call) (any, error) {
		here := now.Add(1)
		for have := most.Load(); here > have && !most.CompareAndSwap(have, here); have = most.Load() {
		}
		if n <= 4 {
			four.Done()
			four.Wait()
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
		return 1, nil
	}
	h.start()
	h.publish("w", hook+"steps:\n  - for_each: {in: '1..100', concurrency: 4}\n    steps: [{use: other.send}]\n")
	if v := h.wait(h.accept(event("w", nil)), "succeeded", "failed"); v.Status != "succeeded" || h.other.count() != 100 {
		t.Errorf("%s: %s, %d calls", v.Status, v.Summary, h.other.count())
	}
	if most.Load() != 4 {
		t.Errorf("%d calls at a time, want 4", most.Load())
	}
}

// again ends the house and opens it anew on the same database.
func (h *house) again() *house {
	h.t.Helper()
	h.stop()
	n := open(h.t, h.dir, h.other)
	n.start()
	return n
}

// linkOf is the token that a call was given as its field `link`.
func linkOf(t *testing.T, o *other, n int, path string) string {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	text, _ := o.calls[n].Input["link"].(string)
	token, ok := strings.CutPrefix(text, "https://bell.example.com"+path)
	if !ok {
		t.Fatalf("the link is %q", text)
	}
	return token
}

const asks = hook + `
steps:
  - {id: tell, use: other.send, with: {link: "${{ approval_url('ask') }}"}}
  - {id: ask, approve: {message: "Refund ${{ trigger.body.total }}?", timeout: 3d}}
  - {id: end, set: {by: "${{ steps.ask.by }}", comment: "${{ steps.ask.comment }}"}}
`

func TestAnApprovalIsGivenOnceAndSurvivesARestart(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", asks)
	id := h.accept(event("w", map[string]any{"total": 129}))
	h.wait(id, "waiting")
	token := linkOf(t, h.other, 0, engine.ApprovePath)
	h = h.again()
	for range 3 { // looking changes nothing
		q, err := h.Question(t.Context(), engine.SignalApprove, token)
		if err != nil || q.State != engine.LinkOpen || q.Message != "Refund 129?" || q.Run != id {
			t.Fatalf("%+v, %v", q, err)
		}
	}
	if err := h.Decide(t.Context(), token, true, "Ada", "fine"); err != nil {
		t.Fatal(err)
	}
	v := h.wait(id, "succeeded", "failed", "filtered")
	if got := string(h.step(v, "end").Output); got != `{"by":"Ada","comment":"fine"}` {
		t.Errorf("%s: %s", v.Status, got)
	}
	if err := h.Decide(t.Context(), token, false, "Eve", ""); !errors.Is(err, engine.ErrAnswered) {
		t.Errorf("the second answer: %v", err)
	}
	q, err := h.Question(t.Context(), engine.SignalApprove, token)
	if err != nil || q.State != engine.LinkAnswered || !q.Approved || q.By != "Ada" {
		t.Errorf("afterwards: %+v, %v", q, err)
	}
}

func TestADeclinedRunEndsFiltered(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", asks)
	id := h.accept(event("w", map[string]any{"total": 129}))
	h.wait(id, "waiting")
	if err := h.Decide(t.Context(), linkOf(t, h.other, 0, engine.ApprovePath), false, "Ada", "too much"); err != nil {
		t.Fatal(err)
	}
	if v := h.wait(id, "succeeded", "failed", "filtered"); v.Status != "filtered" || v.Reason != engine.ReasonDeclined || v.Summary != "Declined by Ada: too much" {
		t.Errorf("%s (%s): %s", v.Status, v.Reason, v.Summary)
	}
}

func TestALinkCannotBeMadeUp(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", asks)
	id := h.accept(event("w", nil))
	h.wait(id, "waiting")
	token := linkOf(t, h.other, 0, engine.ApprovePath)
	for name, bad := range map[string]string{
		"empty": "", "short": token[:10], "cut": token[:len(token)-2], "longer": token + "AAAA", "changed": "B" + token[1:],
		"middle": token[:30] + "AAAAAAAA" + token[38:], "not base64": token + "!", "padded": token + "=",
	} {
		if _, err := h.Question(t.Context(), engine.SignalApprove, bad); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if err := h.Decide(t.Context(), bad, true, "", ""); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.CallBack(t.Context(), token, []byte(`{}`)); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("the token of an approval calls back: %v", err)
	}
	h.wait(id, "waiting")
}

func TestACallbackMayComeBeforeItIsWaitedFor(t *testing.T) {
	h := newHouse(t)
	h.other.do = func(n int, c *connectors.Call) (any, error) {
		token := strings.TrimPrefix(c.Input["link"].(string), "https://bell.example.com"+engine.CallbackPath)
		return nil, h.CallBack(t.Context(), token, []byte(`{"body":{"paid":true}}`))
	}
	h.start()
	h.publish("w", hook+"steps:\n  - {use: other.send, with: {link: \"${{ callback_url('paid') }}\"}}\n"+
		"  - {id: paid, wait: {callback: {timeout: 3d}}}\n  - {id: end, set: {paid: \"${{ steps.paid.body.paid }}\"}}\n")
	v := h.wait(h.accept(event("w", nil)), "succeeded", "failed")
	if v.Status != "succeeded" || string(h.step(v, "end").Output) != `{"paid":true}` {
		t.Errorf("%s: %s", v.Status, v.Summary)
	}
	if err := h.CallBack(t.Context(), linkOf(t, h.other, 0, engine.CallbackPath), nil); !errors.Is(err, engine.ErrAnswered) {
		t.Errorf("the second call: %v", err)
	}
}

func TestAWaitThatNobodyEndsFails(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", hook+"steps:\n  - {id: w, wait: {callback: {timeout: 1s}}, on_error: continue}\n  - {id: end, set: {why: \"${{ errors.w.message }}\"}}\n")
	v := h.wait(h.accept(event("w", nil)), "succeeded", "failed")
	if v.Status != "succeeded" || !strings.Contains(string(h.step(v, "end").Output), "nobody called back within 1s") {
		t.Errorf("%s: %s", v.Status, v.Summary)
	}
}

func TestACallRunsAnotherWorkflowAndWaitsForIt(t *testing.T) {
	h := newHouse(t).start()
	h.publish("child", hook+"steps:\n  - filter: trigger.kind == 'call'\n  - {id: tell, use: other.send, with: {n: \"${{ trigger.body.n }}\"}}\n  - {wait: {for: 1s}}\n  - {set: {twice: \"${{ trigger.body.n * 2 }}\"}}\n")
	h.publish("w", hook+"steps:\n  - {id: c, call: {workflow: child, with: {n: \"${{ trigger.body.n }}\"}}}\n  - {id: end, set: {got: \"${{ steps.c.twice }}\"}}\n")
	id := h.accept(event("w", map[string]any{"n": 4}))
	h.wait(id, "waiting")
	h = h.again()
	v := h.wait(id, "succeeded", "failed")
	if v.Status != "succeeded" || string(h.step(v, "end").Output) != `{"got":8}` || h.other.count() != 1 {
		t.Fatalf("%s: %s, %d calls", v.Status, v.Summary, h.other.count())
	}
	child := h.step(v, "c").Run
	if child == "" {
		t.Fatal("the step names no child")
	}
	childID, err := engine.ParseRunID(child)
	if err != nil {
		t.Fatal(err)
	}
	cv := h.wait(childID, "succeeded")
	if cv.Caller != id.String() || cv.CallerStep != "c" {
		t.Errorf("the child says it was called by %s of %s", cv.CallerStep, cv.Caller)
	}
}

func TestAChildThatFailsFailsItsStep(t *testing.T) {
	h := newHouse(t).start()
	h.publish("child", hook+"steps:\n  - stop: {as: failed, message: No customer}\n")
	h.publish("w", hook+"steps:\n  - {id: c, call: {workflow: child}}\n")
	if v := h.wait(h.accept(event("w", nil)), "succeeded", "failed"); v.Status != "failed" || !strings.Contains(v.Summary, "child: No customer") {
		t.Errorf("%s: %s", v.Status, v.Summary)
	}
	h.publish("w", hook+"steps:\n  - {id: c, call: {workflow: nobody}}\n")
	if v := h.wait(h.accept(event("w", nil)), "succeeded", "failed"); v.Status != "failed" || !strings.Contains(v.Summary, `there is no workflow "nobody"`) {
		t.Errorf("%s: %s", v.Status, v.Summary)
	}
}

func TestACallLoopMadeByEditsEnds(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", hook+"steps:\n  - {id: c, call: {workflow: w}}\n")
	if v := h.wait(h.accept(event("w", nil)), "succeeded", "failed"); v.Status != "failed" || !strings.Contains(v.Summary, "calls behind its event") {
		t.Errorf("%s: %s", v.Status, v.Summary)
	}
	if st, err := h.store.Stats(t.Context()); err != nil || st.Live != 0 {
		t.Errorf("%d runs live, %v", st.Live, err)
	}
}

func TestCancelReachesCallsWaitsAndChildren(t *testing.T) {
	begun := make(chan struct{})
	h := newHouse(t).start()
	h.other.do = func(int, *connectors.Call) (any, error) { close(begun); return nil, nil }
	h.publish("child", hook+"steps:\n  - wait: {for: 30d}\n")
	h.publish("w", hook+"steps:\n  - parallel: [{steps: [{id: c, call: {workflow: child}}]}, {steps: [{id: hang, use: other.hang}]}, {steps: [{approve: {message: Go?}}]}]\n")
	id := h.accept(event("w", nil))
	<-begun
	var child string
	for child == "" {
		v, err := h.View(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range v.Steps {
			child += s.Run
		}
		time.Sleep(5 * time.Millisecond)
	}
	childID, err := engine.ParseRunID(child)
	if err != nil {
		t.Fatal(err)
	}
	h.wait(childID, "waiting")
	if err := h.Cancel(t.Context(), id, "test"); err != nil {
		t.Fatal(err)
	}
	v := h.wait(id, "canceled", "failed")
	if got := h.step(v, "hang"); v.Status != "canceled" || got.Status != "canceled" {
		t.Errorf("%s, the call is %s", v.Status, got.Status)
	}
	h.wait(childID, "canceled")
}

func TestARunOutOfTimeEndsItsBranches(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", hook+"timeout: 1s\nsteps:\n  - parallel: [{steps: [{use: other.hang}]}, {steps: [{wait: {for: 30d}}]}]\non_failure: [{use: other.put, with: {why: \"${{ error.message }}\"}}]\n")
	v := h.wait(h.accept(event("w", nil)), "failed")
	if v.Reason != engine.ReasonTimeout || h.other.told("why") != 1 {
		t.Errorf("%s: %s, and %d calls say so", v.Reason, v.Summary, h.other.told("why"))
	}
}

// A drain in the middle of a loop gives the run back; nothing that was done is done again.
func TestALoopGoesOnAfterADrain(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	reached := make(chan struct{})
	var once sync.Once
	h := newHouse(t)
	h.other.do = func(n int, c *connectors.Call) (any, error) {
		mu.Lock()
		seen[fmt.Sprint(c.Input["n"])]++
		mu.Unlock()
		if n == 50 {
			once.Do(func() { close(reached) })
		}
		return c.Input, nil
	}
	h.start()
	h.publish("w", hook+"steps:\n  - {id: l, for_each: {in: '1..200', concurrency: 4}, steps: [{use: other.send, with: {n: '${{ item }}'}}]}\n  - {id: end, set: {sum: \"${{ sum(steps.l, .n) }}\"}}\n")
	id := h.accept(event("w", nil))
	<-reached
	h = h.again()
	v := h.wait(id, "succeeded", "failed")
	if v.Status != "succeeded" || string(h.step(v, "end").Output) != `{"sum":20100}` {
		t.Errorf("%s: %s %s", v.Status, v.Summary, h.step(v, "end").Output)
	}
	for n, times := range seen {
		if times != 1 {
			t.Errorf("round of %s was called %d times", n, times)
		}
	}
}

func TestConcurrency(t *testing.T) {
	for when, tt := range map[string]struct {
		dropped, failed, succeeded int
	}{
		"queue": {0, 0, 5}, "drop": {3, 0, 2}, "fail": {0, 3, 2},
	} {
		t.Run(when, func(t *testing.T) {
			goOn := make(chan struct{})
			var now, most atomic.Int64
			h := newHouse(t)
			h.other.do = func(int, *connectors.Call) (any, error) {
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				<-goOn
				now.Add(-1)
				return nil, nil
			}
			h.start()
			h.publish("w", hook+"concurrency: {limit: 2, when_full: "+when+"}\nsteps: [{use: other.send}]\n")
			h.publish("free", hook+"steps: [{set: {a: 1}}]\n")
			var ids []engine.RunID
			dropped := 0
			for range 5 {
				id, _, err := h.Accept(t.Context(), event("w", nil))
				if errors.Is(err, engine.ErrDropped) {
					dropped++
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
			h.wait(h.accept(event("free", nil)), "succeeded")
			if when == "fail" {
				for _, id := range ids[2:] {
					if v := h.wait(id, "failed"); v.Reason != engine.ReasonConcurrency {
						t.Errorf("reason %q", v.Reason)
					}
				}
			}
			close(goOn)
			got := map[string]int{}
			for _, id := range ids {
				got[h.wait(id, "succeeded", "failed").Status]++
			}
			if dropped != tt.dropped || got["failed"] != tt.failed || got["succeeded"] != tt.succeeded || most.Load() > 2 {
				t.Errorf("%d dropped, %v, %d at a time", dropped, got, most.Load())
			}
		})
	}
}

// A run that waits gives its place free and keeps its lane.
func TestAWaitingRunKeepsItsLaneAndFreesItsPlace(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", hook+"lane: trigger.body.lane\nconcurrency: {limit: 1}\nsteps:\n  - {id: w, if: trigger.body.asks, approve: {message: Go?}}\n  - {use: other.send, with: {link: \"${{ approval_url('w') }}\", n: \"${{ trigger.body.n }}\"}}\n")
	first := h.accept(event("w", map[string]any{"lane": "a", "asks": true, "n": 1}))
	h.wait(first, "waiting")
	second := h.accept(event("w", map[string]any{"lane": "a", "n": 2}))
	other := h.accept(event("w", map[string]any{"lane": "b", "n": 3}))
	h.wait(other, "succeeded")
	if v := h.wait(second, "queued"); v.Status != "queued" {
		t.Fatal(v.Status)
	}
	h = h.again()
	h.publish("w", hook+"lane: trigger.body.lane\nsteps: [{stop: {as: failed}}]\n") // an edit is nothing to runs that began before it
	if v := h.wait(second, "queued"); v.Status != "queued" {
		t.Fatal(v.Status)
	}
	if err := h.Cancel(t.Context(), first, "test"); err != nil {
		t.Fatal(err)
	}
	h.wait(first, "canceled")
	h.wait(second, "succeeded")
}

func TestAPanicInsideABranchEndsTheRunAlone(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", hook+"steps:\n  - parallel: [{steps: [{use: other.crash}]}, {steps: [{wait: {for: 30d}}]}]\n")
	if v := h.wait(h.accept(event("w", nil)), "failed"); !strings.Contains(v.Summary, "other.crash") {
		t.Error(v.Summary)
	}
}

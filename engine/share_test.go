package engine_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
)

// A workflow whose calls hang gets every worker and no more, and the events of others are worked on all the same,
// also after a restart that finds the flood stored.
func TestFloodLeavesRoomForOthers(t *testing.T) {
	for _, workers := range []int{2, 3, 16, 40} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) {
			const floods = 120
			dir, began, let := filepath.Join(t.TempDir(), "data"), make(chan struct{}, floods), make(chan struct{})
			o := &other{do: func(_ int, c *connectors.Call) (any, error) {
				if c.Input["who"] == "flood" {
					began <- struct{}{}
					<-let
				}
				return nil, nil
			}}
			const text = "triggers: [{webhook: {}}]\nsteps:\n  - {use: other.put, with: {who: %s}}\n"
			h := open(t, dir, o)
			h.publish("flood", fmt.Sprintf(text, "flood"))
			h.publish("quiet", fmt.Sprintf(text, "quiet"))
			var flood []engine.RunID
			for range floods {
				flood = append(flood, h.accept(event("flood", nil)))
			}
			if err := h.store.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			h = open(t, dir, o)
			h.Workers = workers
			h.start()
			release := sync.OnceFunc(func() { close(let) })
			t.Cleanup(release) // also when the test fails, before the engine stops
			for range workers {
				<-began
			}
			h.publish("quiet", fmt.Sprintf(text, "quiet"))
			for range 5 {
				h.wait(h.accept(event("quiet", nil)), "succeeded")
			}
			// A batch of claims may take it a little above its share, never to the end of the slots.
			if more := len(began); more > max(1, workers/8)-1 {
				t.Errorf("the flood holds %d slots, and there are %d workers", workers+more, workers)
			}
			release()
			for _, id := range flood {
				h.wait(id, "succeeded")
			}
		})
	}
}

// Somebody who waits for the answer of a run does not wait for the backlog of its workflow.
func TestWhoWaitsComesBeforeTheBacklog(t *testing.T) {
	const backlog, workers = 80, 2
	began, let := make(chan struct{}, backlog), make(chan struct{})
	var mu sync.Mutex
	before, asked := 0, false // calls of the backlog that began before that of who waits
	o := &other{do: func(_ int, c *connectors.Call) (any, error) {
		if c.Input["who"] == "person" {
			mu.Lock()
			defer mu.Unlock()
			asked = true
			return nil, nil
		}
		mu.Lock()
		if !asked {
			before++
		}
		mu.Unlock()
		began <- struct{}{}
		<-let
		return nil, nil
	}}
	h := open(t, filepath.Join(t.TempDir(), "data"), o)
	h.publish("w", "triggers: [{webhook: {respond: finished}}]\nsteps:\n  - {use: other.put, with: {who: \"${{ trigger.body.who }}\"}}\n")
	for range backlog {
		h.accept(event("w", map[string]any{"who": "bulk"}))
	}
	h.Workers = workers
	h.start()
	release := sync.OnceFunc(func() { close(let) })
	t.Cleanup(release) // also when the test fails, before the engine stops
	<-began
	type answer struct {
		reply engine.Reply
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		reply, err := h.AcceptAndWait(t.Context(), event("w", map[string]any{"who": "person"}))
		answers <- answer{reply, err}
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if st, err := h.store.Stats(t.Context()); err != nil || st.Live == backlog+1 || len(answers) == 1 {
			break // it is accepted, behind all the others, or found a free worker and is answered
		}
		if time.Now().After(deadline) {
			t.Fatal("it is not accepted")
		}
	}
	release()
	a := <-answers
	if a.err != nil || !a.reply.Done || a.reply.Status != engine.StatusSucceeded {
		t.Fatalf("%+v, %v", a.reply, a.err)
	}
	mu.Lock()
	defer mu.Unlock()
	if before > 4*workers { // those that were at work when it came, and one in five from then on
		t.Errorf("%d of %d runs of the backlog went before it", before, backlog)
	}
}

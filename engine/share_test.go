package engine_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

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

package engine_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
)

// crashed is a real store whose runs were executing in some crashes, the last of which is not in the journal yet.
type crashed struct {
	engine.Store
	times int
}

func (s crashed) Claim(ctx context.Context, most int) ([]*engine.Claim, error) {
	claims, err := s.Store.Claim(ctx, most)
	for _, c := range claims {
		for range s.times - 1 {
			r := engine.Record{Seq: c.Seq, At: time.Now(), Kind: engine.KindClaimed, Attempt: 1}
			if err := s.Append(ctx, c, []engine.Record{r}, engine.Then{Kind: engine.Continue}); err != nil {
				return nil, err
			}
			c.Journal = append(c.Journal, r)
		}
		c.Takeovers = 1
	}
	return claims, err
}

func TestARunThatCrashesTheEngineIsQuarantined(t *testing.T) {
	for times, want := range map[int]string{2: "succeeded", 3: "failed"} {
		h := newHouse(t)
		h.Engine.Store = crashed{h.store, times}
		h.start()
		h.publish("w", "triggers: [{webhook: {}}]\nsteps: [{use: other.put}]\non_failure: [{use: other.send}]\n")
		v := h.wait(h.accept(event("w", nil)), "succeeded", "failed")
		quarantined := v.Reason == engine.ReasonQuarantined && h.other.count() == 0
		if v.Status != want || quarantined != (want == "failed") {
			t.Errorf("after %d crashes: %s, reason %q, %d calls", times, v.Status, v.Reason, h.other.count())
		}
	}
}

func TestASlowSuspectDoesNotHoldUpTheOthers(t *testing.T) {
	const runs = 3
	var begun atomic.Int64
	all := make(chan struct{})
	h := open(t, filepath.Join(t.TempDir(), "data"), &other{do: func(int, *connectors.Call) (any, error) {
		if begun.Add(1) == runs {
			close(all)
		}
		select {
		case <-all:
		case <-time.After(patience):
			t.Error("the runs were called one after another")
		}
		return nil, nil
	}})
	h.Engine.Store = crashed{h.store, 2}
	h.start()
	h.publish("w", "triggers: [{webhook: {}}]\nsteps: [{use: other.put}]\n")
	ids := make([]engine.RunID, runs)
	for i := range ids {
		ids[i] = h.accept(event("w", nil))
	}
	for _, id := range ids {
		h.wait(id, "succeeded")
	}
}

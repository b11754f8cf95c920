package outbound_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/outbound"
)

// Ten workflows share one connection: no window holds more calls than allowed, and none goes to waste.
func TestLimitsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var limits outbound.Limits
		rate := connectors.Rate{Limit: 50, Per: 10 * time.Second}
		begun := time.Now()
		var mu sync.Mutex
		var went []time.Duration
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				for range 30 {
					if err := limits.Wait(t.Context(), "acme/main", rate); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					went = append(went, time.Since(begun))
					mu.Unlock()
				}
			})
		}
		group.Wait()
		for i := range went {
			if i >= rate.Limit && went[i]-went[i-rate.Limit] < rate.Per {
				t.Fatalf("call %d went %s after call %d: more than %d in a window", i, went[i]-went[i-rate.Limit], i-rate.Limit, rate.Limit)
			}
		}
		if took := time.Since(begun); took > 52*time.Second { // 300 calls, the first 50 at once
			t.Errorf("300 calls took %s, want about 50s", took)
		}
	})
}

func TestLimitsOfOthersAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var limits outbound.Limits
		rate := connectors.Rate{Limit: 1, Per: time.Minute}
		begun := time.Now()
		for _, key := range []string{"acme/a", "acme/b"} {
			if err := limits.Wait(t.Context(), key, rate); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(begun) != 0 {
			t.Errorf("another connection waited for %s", time.Since(begun))
		}
	})
}

// What an answer says about the limit holds for everyone.
func TestLimitsLearn(t *testing.T) {
	none := connectors.Rate{}
	for name, tt := range map[string]struct {
		usage connectors.Usage
		calls int
		want  time.Duration
	}{
		"retry after":         {connectors.Usage{Until: at(20 * time.Second)}, 1, 20 * time.Second},
		"two left, then none": {connectors.Usage{Known: true, Remaining: 2, Until: at(30 * time.Second)}, 3, 30 * time.Second},
		"a leaky bucket":      {connectors.Usage{Known: true, Remaining: 10, Cost: 10, Restore: 2}, 3, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var limits outbound.Limits
				begun := time.Now()
				usage := tt.usage
				if !usage.Until.IsZero() {
					usage.Until = begun.Add(usage.Until.Sub(epoch))
				}
				limits.Learn("acme/main", usage)
				for range tt.calls {
					if err := limits.Wait(t.Context(), "acme/main", none); err != nil {
						t.Fatal(err)
					}
				}
				if got := time.Since(begun).Round(time.Millisecond); got != tt.want {
					t.Errorf("the last of %d calls went after %s, want %s", tt.calls, got, tt.want)
				}
			})
		})
	}
}

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return epoch.Add(d) }

// A long wait is not spent on a worker.
func TestLimitsSayWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var limits outbound.Limits
		limits.Learn("acme/main", connectors.Usage{Until: time.Now().Add(time.Hour)})
		err := limits.Wait(t.Context(), "acme/main", connectors.Rate{})
		if d, ok := connectors.Delay(err); !ok || d != time.Hour {
			t.Errorf("got %v, want an error that says 1h", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		limits.Learn("acme/soon", connectors.Usage{Until: time.Now().Add(10 * time.Second)})
		if d, ok := connectors.Delay(limits.Wait(ctx, "acme/soon", connectors.Rate{})); !ok || d != 10*time.Second {
			t.Error("a wait beyond the deadline is not told at once")
		}
	})
}

// A manifest may change its limit while calls are counted: the oldest call stays the one that decides.
func TestLimitsThatChange(t *testing.T) {
	for _, change := range [][]int{{3, 5}, {5, 3}, {4, 2, 6}} {
		synctest.Test(t, func(t *testing.T) {
			var limits outbound.Limits
			var went []time.Time
			for _, limit := range change {
				rate := connectors.Rate{Limit: limit, Per: 10 * time.Second}
				for range 2*limit + 1 { // the ring begins anew somewhere in its middle
					if err := limits.Wait(t.Context(), "acme/main", rate); err != nil {
						t.Fatal(err)
					}
					now := time.Now()
					if went = append(went, now); len(went) > limit && now.Sub(went[len(went)-1-limit]) < rate.Per {
						t.Errorf("%v: call %d makes more than %d in a window", change, len(went), limit)
					}
					time.Sleep(time.Second)
				}
			}
		})
	}
}

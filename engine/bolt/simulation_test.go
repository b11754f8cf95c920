package bolt_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"testing"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/enginetest"
)

var oneSeed = flag.Uint64("seed", 0, "simulate only this `seed`")

// TestSimulation is a share of the seeds; BELLHOP_SEEDS says how many, and -seed runs one again.
func TestSimulation(t *testing.T) {
	seeds := 300
	if text := os.Getenv("BELLHOP_SEEDS"); text != "" {
		var err error
		if seeds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("BELLHOP_SEEDS: %v", err)
		}
	}
	first, last := uint64(1), uint64(seeds)
	if *oneSeed != 0 {
		first, last = *oneSeed, *oneSeed
	}
	// In groups, because every test of a group has a goroutine from the start.
	for ; first <= last; first += 1000 {
		t.Run(fmt.Sprint("from ", first), func(t *testing.T) {
			for seed := first; seed <= min(last, first+999); seed++ {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					t.Parallel()
					simulate(t, seed)
				})
			}
		})
	}
}

func simulate(t *testing.T, seed uint64) {
	enginetest.Simulate(t, func(t *testing.T, dir string) engine.Store {
		r, err := bolt.Check(context.Background(), dir)
		if len(r.Findings) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) { // at first there is no folder
			t.Errorf("what the last crash left does not agree with itself: %v, %v", r.Findings, err)
		}
		return open(t, dir, bolt.Options{}.WithReserve(4<<10))
	}, seed)
	if t.Failed() {
		t.Logf("again: go test ./engine/bolt -run TestSimulation -seed %d", seed)
	}
}

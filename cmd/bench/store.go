package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// accept measures durable accepts of 2 KB events on the store itself.
func (o *options) accept(ctx context.Context) error {
	fmt.Println("durable accept of 2 KB events (store only)")
	for _, callers := range []int{1, 16, 64, 256} {
		p50, rate, err := fdatasyncProbe(o.dir, 300)
		if err != nil {
			return err
		}
		dir := filepath.Join(o.dir, fmt.Sprintf("accept-%d", callers))
		s, err := bolt.Open(dir, bolt.Options{MaxWorkflowRuns: 1 << 20, MaxRuns: 1 << 20})
		if err != nil {
			return err
		}
		total := callers * 400
		if callers == 1 {
			total = 1000
		}
		data := order(2048)
		before, err := s.Stats(ctx)
		if err != nil {
			return err
		}
		var next atomic.Int64
		var mu sync.Mutex
		var failed error
		var took []time.Duration
		var wg sync.WaitGroup
		begun := time.Now()
		for range callers {
			wg.Go(func() {
				var mine []time.Duration
				for next.Add(1) <= int64(total) {
					at := time.Now()
					head := engine.Head{Workflow: "order", Version: "v", Trigger: "webhook"}
					_, err := s.Accept(ctx, engine.Batch{Runs: []engine.NewRun{{ID: engine.NewRunID(at, &head), Head: head, At: at, Data: data}}})
					if err != nil {
						mu.Lock()
						failed = err
						mu.Unlock()
						return
					}
					mine = append(mine, time.Since(at))
				}
				mu.Lock()
				took = append(took, mine...)
				mu.Unlock()
			})
		}
		wg.Wait()
		spent := time.Since(begun)
		if failed != nil {
			return failed
		}
		after, err := s.Stats(ctx)
		if err != nil {
			return err
		}
		commits := float64(after.Commits - before.Commits)
		ack := percentile(took, 0.5)
		if err := s.Close(ctx); err != nil {
			return err
		}
		bare, err := commitProbe(dir, int(float64(total)/commits+0.5), 300)
		if err != nil {
			return err
		}
		fmt.Printf("  %3d callers: %7.0f events/s   %5.1f events per commit = %.2f x callers   ack p50 %s = %.1f x fdatasync   commits/s %.2f x fdatasync (%s, %.0f/s), %.2f x bare bbolt (%.0f/s)   writer with the disk %.0f %% of the time, bare bbolt %.0f %%\n",
			callers, float64(total)/spent.Seconds(), float64(total)/commits, float64(total)/commits/float64(callers),
			ack.Round(10*time.Microsecond), float64(ack)/float64(p50), commits/spent.Seconds()/rate, p50.Round(10*time.Microsecond), rate,
			commits/spent.Seconds()/bare.rate, bare.rate, 100*(after.DiskTime-before.DiskTime).Seconds()/spent.Seconds(), 100*bare.disk)
		os.RemoveAll(dir)
	}
	return nil
}

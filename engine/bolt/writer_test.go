package bolt_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// A commit takes at most 4,096 requests. An accept that comes last, when more than that wait, is in the next commit all
// the same, and the others are not kept out of it.
func TestAcceptsStandBeforeOtherWork(t *testing.T) {
	defer bolt.SetQueueWait(patience)() // a slow machine takes more than a second to line up 5,000 requests
	s := open(t, t.TempDir(), bolt.Options{NoSync: true})
	defer closeStore(t, s)
	begun, release := make(chan struct{}), make(chan struct{})
	commits := 0 // only the writer counts
	var inSecond int
	s.SetCommit(func(tx *bbolt.Tx) error {
		if commits++; commits == 1 {
			close(begun)
			<-release
		}
		if err := tx.Commit(); err != nil || commits != 2 {
			return err
		}
		return s.DB().View(func(tx *bbolt.Tx) error {
			inSecond = tx.Bucket([]byte("kv")).Stats().KeyN - 1
			if n := tx.Bucket([]byte("j")).Stats().KeyN; n != 1 {
				t.Errorf("the second commit has %d runs, want the one that was accepted last", n)
			}
			return nil
		})
	})
	var wg sync.WaitGroup
	put := func(i int) {
		wg.Go(func() {
			if _, err := s.KV().Put(context.Background(), fmt.Sprintf("key-%d", i), []byte("v"), 0, 0); err != nil {
				t.Error(err)
			}
		})
	}
	put(0)
	<-begun
	for i := range 5000 {
		put(i + 1)
	}
	wg.Go(func() {
		for s.Waiting() < 5000 {
			runtime.Gosched()
		}
		accepted, released := make(chan error, 1), false
		go func() {
			_, err := s.Accept(context.Background(), engine.Batch{Runs: []engine.NewRun{newRun("w")}})
			accepted <- err
		}()
		for {
			select {
			case err := <-accepted:
				if !released {
					close(release)
				}
				if err != nil {
					t.Error(err)
				}
				return
			default:
			}
			if !released && s.Waiting() > 5000 {
				released = true
				close(release)
			}
			runtime.Gosched()
		}
	})
	wg.Wait()
	if inSecond < 4000 {
		t.Errorf("the second commit left %d of 5,000 other requests for later", 5000-inSecond)
	}
}

package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// TestBounds is invariant I4: a full store writes nothing and says for how long.
func TestBounds(t *testing.T) {
	tests := []struct {
		name             string
		o                bolt.Options
		fit              int
		workflow, reason string
	}{
		{"runs of the store", bolt.Options{MaxRuns: 3}, 3, "", "runs"},
		{"runs of a workflow", bolt.Options{MaxWorkflowRuns: 3}, 3, "w", "runs"},
		{"bytes", bolt.Options{MaxBytes: 1}, 1, "", "bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, t.TempDir(), test.o)
			defer closeStore(t, s)
			for range test.fit {
				accept(t, s, newRun("w"))
			}
			n := newRun("w")
			_, err := s.Accept(context.Background(), engine.Batch{Runs: []engine.NewRun{n}, Puts: []engine.Put{{Key: "k", Value: []byte("v"), AnyRev: true}}})
			var full *engine.FullError
			if !errors.As(err, &full) || full.Workflow != test.workflow || full.Reason != test.reason {
				t.Fatalf("got %v, want a FullError of %q, %s", err, test.workflow, test.reason)
			}
			if full.RetryAfter < time.Second || full.RetryAfter > 300*time.Second {
				t.Errorf("retry after %s, want 1 s to 300 s", full.RetryAfter)
			}
			if _, err := s.Read(context.Background(), n.ID, 0); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("the refused run: got %v, want ErrNotFound", err)
			}
			if _, _, err := s.KV().Get(context.Background(), "k"); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("the put of the refused batch: got %v, want ErrNotFound", err)
			}
			finish(t, s, claim(t, s), engine.StatusSucceeded)
			accept(t, s, newRun("w"))
		})
	}
	t.Run("waiting runs do not count for a workflow", func(t *testing.T) {
		s := open(t, t.TempDir(), bolt.Options{MaxWorkflowRuns: 2})
		defer closeStore(t, s)
		for range 10 {
			accept(t, s, newRun("w"))
			park := []engine.Record{{At: time.Now(), Kind: engine.KindParked}}
			if err := s.Append(context.Background(), claim(t, s), park, engine.Then{Kind: engine.Park}); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("a batch counts as a whole", func(t *testing.T) {
		s := open(t, t.TempDir(), bolt.Options{MaxRuns: 3})
		defer closeStore(t, s)
		_, err := s.Accept(context.Background(), engine.Batch{Runs: []engine.NewRun{newRun("w"), newRun("w"), newRun("w"), newRun("w")}})
		if !errors.Is(err, engine.ErrFull) {
			t.Fatalf("got %v, want ErrFull", err)
		}
		accept(t, s, newRun("w"), newRun("w"), newRun("w"))
	})
}

func TestDeliveryBounds(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{MaxDeliveries: 100})
	ctx := context.Background()
	record := func(outcome string, size int) {
		t.Helper()
		d := engine.Delivery{Workflow: "w", Outcome: outcome, At: time.Now(), Data: make([]byte, size)}
		if err := s.Deliveries().Record(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		record(engine.DeliveryKept, 100_000)
	}
	for range 400 {
		record(engine.DeliveryRefused, 100_000)
	}
	count := func() (kept, refused int) {
		t.Helper()
		for q := (engine.DeliveryQuery{Limit: 200}); ; {
			items, next, err := s.Deliveries().List(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range items {
				whole, err := s.Deliveries().Read(ctx, d.ID)
				if err != nil && !errors.Is(err, engine.ErrNotFound) { // trimmed meanwhile
					t.Fatal(err)
				}
				switch d.Outcome {
				case engine.DeliveryKept:
					kept++
					if len(whole.Data) != 100_000 {
						t.Errorf("a kept delivery has %d bytes of data, want all", len(whole.Data))
					}
				default:
					refused++
					if len(whole.Data) > 64<<10 {
						t.Errorf("a refused delivery has %d bytes of data", len(whole.Data))
					}
				}
			}
			if q.Cursor = next; next == "" {
				return kept, refused
			}
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		kept, refused := count()
		if kept != 50 {
			t.Fatalf("%d kept deliveries are left of 50: refused ones displaced them", kept)
		}
		if refused <= 101 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d refused deliveries are stored, want at most 101", refused)
		}
		<-time.After(20 * time.Millisecond)
	}
	closeStore(t, s)
	s = open(t, dir, bolt.Options{MaxDeliveries: 100})
	defer closeStore(t, s)
	if kept, refused := count(); kept != 50 || refused > 101 || refused < 90 {
		t.Errorf("after a restart: %d kept, %d refused", kept, refused)
	}
}

// TestRetention runs on a clock of its own: days pass at once.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		rule := engine.Retention{Days: 30, Of: func(workflow string) (int, string) {
			switch workflow {
			case "short":
				return 1, "all"
			case "failures":
				return 0, "failures"
			case "none":
				return 0, "none"
			}
			return 0, ""
		}}
		dir := t.TempDir()
		s := open(t, dir, bolt.Options{Retention: rule})
		defer closeStore(t, s)
		live := accept(t, s, newRun("w"))[0].ID
		c := claim(t, s)
		ids := map[string]engine.RunID{}
		for _, w := range []string{"w", "short", "failures", "none"} {
			ids[w] = finishOne(t, s, w)
		}
		ids["failed"] = accept(t, s, newRun("failures"))[0].ID
		finish(t, s, claim(t, s), engine.StatusFailed)
		archived(t, s)
		want := func(when string, names ...string) {
			t.Helper()
			have := map[string]bool{}
			for _, name := range names {
				have[name] = true
			}
			for name, id := range ids {
				_, err := s.Read(ctx, id, 0)
				if (err == nil) != have[name] {
					t.Errorf("%s: run of %s: got %v, want it there: %v", when, name, err, have[name])
				}
			}
			page, err := s.List(ctx, engine.Query{})
			if err != nil || len(page.Items) != len(names)+1 {
				t.Errorf("%s: list: got %d rows and %v, want %d", when, len(page.Items), err, len(names)+1)
			}
		}
		want("archived", "w", "short", "failed")
		prune := func(days, removed int) {
			t.Helper()
			time.Sleep(time.Duration(days) * 24 * time.Hour)
			n, err := s.Prune(ctx, rule, 100)
			if err != nil || n != removed {
				t.Errorf("prune: got %d and %v, want %d", n, err, removed)
			}
		}
		prune(0, 0)
		prune(3, 1)
		want("after 3 days", "w", "failed")
		prune(40, 2)
		want("after 43 days")
		finish(t, s, c, engine.StatusSucceeded)
		if recs, err := s.Read(ctx, live, 0); err != nil || len(recs) != 2 {
			t.Errorf("the run that lived all the time: got %d records and %v", len(recs), err)
		}
	})
}

func TestRetentionByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), bolt.Options{})
		defer closeStore(t, s)
		var ids []engine.RunID
		for range 5 { // a segment a day
			ids = append(ids, finishOne(t, s, "w"))
			archived(t, s)
			time.Sleep(24 * time.Hour)
		}
		st, err := s.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.Prune(t.Context(), engine.Retention{MaxBytes: st.Bytes - 1}, 100); n != 1 || err != nil {
			t.Fatalf("one byte too many: got %d and %v, want 1 run removed", n, err)
		}
		if n, err := s.Prune(t.Context(), engine.Retention{MaxBytes: 1}, 2); n != 2 || err != nil {
			t.Fatalf("a budget of 2: got %d and %v", n, err)
		}
		for i, id := range ids {
			_, err := s.Read(t.Context(), id, 0)
			if (err == nil) != (i >= 3) {
				t.Errorf("run %d: got %v; the oldest go first", i, err)
			}
		}
	})
}

func TestDedupDaysAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir, bolt.Options{})
		keyed := func(window time.Duration) engine.NewRun {
			n := newRun("w")
			n.Head.Key, n.Window = "k", window
			n.ID = engine.NewRunID(n.At, &n.Head)
			return n
		}
		first := accept(t, s, keyed(4*24*time.Hour))[0].ID
		finish(t, s, claim(t, s), engine.StatusSucceeded)
		time.Sleep(4*24*time.Hour - time.Second)
		closeStore(t, s)
		s = open(t, dir, bolt.Options{})
		if a := accept(t, s, keyed(time.Hour))[0]; !a.Duplicate || a.ID != first {
			t.Errorf("a second before the window ends: got %+v", a)
		}
		time.Sleep(time.Second)
		if a := accept(t, s, keyed(time.Hour))[0]; a.Duplicate {
			t.Errorf("at the end of the window: got %+v", a)
		}
		time.Sleep(3 * 24 * time.Hour)
		closeStore(t, s)
		db, err := bbolt.Open(filepath.Join(dir, "state.db"), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.View(func(tx *bbolt.Tx) error {
			if k, _ := tx.Bucket([]byte("dedup")).Cursor().First(); k != nil {
				t.Errorf("the keys of day %s are still there", k)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTimersFollowTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), bolt.Options{})
		defer closeStore(t, s)
		var mu sync.Mutex
		woke := map[engine.RunID]time.Time{}
		want := map[engine.RunID]time.Time{}
		for i := range 50 {
			n := newRun(fmt.Sprint("w", i%7))
			n.NotBefore = time.Now().Add(time.Duration(i*i%41)*time.Hour + 1)
			want[accept(t, s, n)[0].ID] = n.NotBefore
		}
		for range 50 {
			c := func() *engine.Claim {
				claims, err := s.Claim(t.Context(), 1)
				if err != nil {
					t.Fatal(err)
				}
				return claims[0]
			}()
			mu.Lock()
			woke[c.Run] = time.Now()
			mu.Unlock()
		}
		for id, at := range want {
			if late := woke[id].Sub(at); late < 0 || late > time.Second {
				t.Errorf("a run woke %s after its time", late)
			}
		}
	})
}

// TestGroupCommit holds the claim that many callers share a commit.
func TestGroupCommit(t *testing.T) {
	s, err := bolt.Open(t.TempDir(), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	const callers, each = 32, 60
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				accept(t, s, newRun("w"))
			}
		})
	}
	wg.Wait()
	st, err := s.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if ratio := float64(st.Ops) / float64(st.Commits); ratio < callers/2 {
		t.Errorf("%.1f operations in a commit with %d callers, want more than half of them", ratio, callers)
	}
}

package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
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

// Finished runs that cannot be moved to the history have a bound too where the store has one in bytes: new runs wait
// until they are moved.
func TestUnmovedRunsHaveABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "history"), nil, 0o600); err != nil { // where a folder must be
			t.Fatal(err)
		}
		s := open(t, dir, bolt.Options{Retention: engine.Retention{MaxBytes: 4 << 20}})
		defer closeStore(t, s)
		var full *engine.FullError
		n := 0
		for ; full == nil && n < 2000; n++ {
			_, err := s.Accept(t.Context(), engine.Batch{Runs: []engine.NewRun{newRun("w")}})
			if err != nil && !errors.As(err, &full) {
				t.Fatal(err)
			}
			if err == nil {
				finish(t, s, claim(t, s), engine.StatusSucceeded)
			}
		}
		if full == nil || full.Reason != "history" || full.RetryAfter < time.Second || n < 100 {
			t.Fatalf("after %d runs that nothing moves: %+v, want a FullError", n, full)
		}
		if err := os.Remove(filepath.Join(dir, "history")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		accept(t, s, newRun("w"))
		if st, err := s.Stats(t.Context()); err != nil || st.Backlog != 0 {
			t.Errorf("a minute after they can be moved, %d are not (%v)", st.Backlog, err)
		}
	})
}

// A search that has no time left looks into one run, and its cursor goes on: page by page it finds everything.
func TestASearchWithoutTimeEnds(t *testing.T) {
	defer bolt.SetSearchTime(0)()
	s := open(t, t.TempDir(), bolt.Options{})
	defer closeStore(t, s)
	for i := range 20 {
		n := newRun("w")
		if n.Data = []byte(`{"a":"hay"}`); i%5 == 0 {
			n.Data = []byte(`{"a":"needle"}`)
		}
		accept(t, s, n)
		if i < 10 {
			finish(t, s, claim(t, s), engine.StatusSucceeded)
		}
	}
	archived(t, s)
	found, pages := 0, 0
	for q := (engine.Query{Text: "needle"}); ; pages++ {
		page, err := s.List(t.Context(), q)
		if err != nil || pages > 100 {
			t.Fatalf("after %d pages: %v", pages, err)
		}
		found += len(page.Items)
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if found != 4 || pages < 10 {
		t.Errorf("%d runs found in %d pages, want 4 in some more", found, pages)
	}
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
	for deadline := time.Now().Add(patience); ; {
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
		rule := engine.Retention{Days: 30, Own: func() map[string]engine.Rule {
			return map[string]engine.Rule{"short": {Days: 1, Keep: "all"}, "failures": {Keep: "failures"}, "none": {Keep: "none"}}
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
		time.Sleep(24*time.Hour + time.Minute) // the store prunes by itself; what is past its time is hidden before its file goes
		want("after a day", "w", "failed")
		if n := countSegments(t, dir); n != 2 {
			t.Errorf("after a day: %d segments, want those of 30 days and of 1", n)
		}
		time.Sleep(24 * time.Hour)
		if n := countSegments(t, dir); n != 1 {
			t.Errorf("after two days: %d segments, want that of 30 days", n)
		}
		want("after two days", "w", "failed")
		time.Sleep(40 * 24 * time.Hour)
		want("after 42 days")
		if n := countSegments(t, dir); n != 0 {
			t.Errorf("after 42 days: %d segments, want none", n)
		}
		finish(t, s, c, engine.StatusSucceeded)
		if recs, err := s.Read(ctx, live, 0); err != nil || len(recs) != 2 {
			t.Errorf("the run that lived all the time: got %d records and %v", len(recs), err)
		}
	})
}

func countSegments(t *testing.T, dir string) int {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "history", "*", "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	return len(paths)
}

// A rule that becomes shorter, or that counts, holds for runs that were archived before: they are hidden at once, and
// their bytes go when their segment is closed.
func TestRetentionThatChanges(t *testing.T) {
	for name, rule := range map[string]engine.Rule{
		"days": {Days: 1}, "count": {Runs: 2}, "failures": {Keep: "failures"}, "none": {Keep: "none"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var own atomic.Pointer[map[string]engine.Rule]
				own.Store(&map[string]engine.Rule{})
				dir := t.TempDir()
				s := open(t, dir, bolt.Options{Retention: engine.Retention{Days: 30, Own: func() map[string]engine.Rule { return *own.Load() }}})
				defer func() { closeStore(t, s) }()
				var ids []engine.RunID
				for range 40 { // more than two packs
					ids = append(ids, finishOne(t, s, "w"))
					time.Sleep(time.Millisecond)
				}
				other := finishOne(t, s, "other")
				archived(t, s)
				time.Sleep(25 * time.Hour) // the day of the segment is over
				own.Store(&map[string]engine.Rule{"w": rule})
				time.Sleep(2*time.Minute + time.Hour)
				for i, id := range ids {
					want := name == "count" && i >= len(ids)-2
					recs, err := s.Read(t.Context(), id, 0)
					if want && (err != nil || len(recs) != 2) || !want && !errors.Is(err, engine.ErrNotFound) {
						t.Errorf("run %d: got %d records and %v, want it there: %v", i, len(recs), err, want)
					}
				}
				if recs, err := s.Read(t.Context(), other, 0); err != nil || len(recs) != 2 {
					t.Errorf("a run of another workflow: got %d records and %v", len(recs), err)
				}
				left := 1
				if name == "count" {
					left = 3
				}
				page, err := s.List(t.Context(), engine.Query{})
				if err != nil || len(page.Items) != left {
					t.Errorf("list: got %d rows and %v, want %d", len(page.Items), err, left)
				}
				if page, err = s.List(t.Context(), engine.Query{Text: `"a":1`}); err != nil || len(page.Items) != left {
					t.Errorf("search: got %d rows and %v, want %d", len(page.Items), err, left)
				}
				paths, err := filepath.Glob(filepath.Join(dir, "history", "*", "*.db"))
				if err != nil || len(paths) != 1 {
					t.Fatalf("segments: %v, %v", paths, err)
				}
				file, err := os.ReadFile(paths[0])
				if err != nil {
					t.Fatal(err)
				}
				if gone := ids[0]; bytes.Contains(file, gone[:]) {
					t.Error("the file still has a run that its rule does not keep")
				}
				if !bytes.Contains(file, other[:]) {
					t.Error("the file lost a run that its rule keeps")
				}
				closeStore(t, s)
				s = open(t, dir, bolt.Options{})
				if _, err := s.Read(t.Context(), other, 0); err != nil {
					t.Errorf("after a restart: %v", err)
				}
			})
		})
	}
}

func TestDeliveriesAreKeptAsLongAsRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), bolt.Options{Retention: engine.Retention{Days: 2}})
		defer closeStore(t, s)
		record := func(outcome string, n int) {
			for range n {
				if err := s.Deliveries().Record(t.Context(), engine.Delivery{At: time.Now(), Outcome: outcome, Data: []byte("x")}); err != nil {
					t.Fatal(err)
				}
			}
		}
		record(engine.DeliveryRefused, 1100) // more than one commit deletes
		record(engine.DeliveryKept, 1)
		time.Sleep(36 * time.Hour)
		record(engine.DeliveryRefused, 1)
		time.Sleep(13 * time.Hour)
		left, _, err := s.Deliveries().List(t.Context(), engine.DeliveryQuery{})
		if err != nil || len(left) != 1 {
			t.Errorf("after 49 hours: got %d deliveries and %v, want the one of 13 hours ago", len(left), err)
		}
	})
}

// A day of load in seconds: the bound in bytes holds at every moment, but for one segment, and no unfinished run goes.
func TestRetentionByBytesUnderLoad(t *testing.T) {
	const most = 24 << 20
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{NoSync: true, Retention: engine.Retention{MaxBytes: most}})
	defer closeStore(t, s)
	var live []engine.RunID
	for range 20 {
		n := newRun("waits")
		n.NotBefore = time.Now().Add(time.Hour)
		live = append(live, accept(t, s, n)[0].ID)
	}
	ctx, stop := context.WithCancel(t.Context())
	var load, watch sync.WaitGroup
	var stored atomic.Int64
	const each = 1200
	for w := range 16 {
		load.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1)) // what compresses would take longer to fill
			for range each {
				n := newRun("w")
				n.Data = fmt.Appendf(nil, `{"text":"%0*x"}`, 2000, random.Uint64())
				for i := 9; i < len(n.Data)-2; i++ {
					n.Data[i] = 'a' + byte(random.IntN(26))
				}
				n.ID = engine.NewRunID(n.At, &n.Head)
				accept(t, s, n)
				finish(t, s, claim(t, s), engine.StatusSucceeded)
				stored.Add(int64(len(n.Data)))
			}
		})
	}
	var largest, hot int64
	samples := 0
	watch.Go(func() {
		for ctx.Err() == nil {
			size, gone := int64(0), false
			paths, _ := filepath.Glob(filepath.Join(dir, "history", "*", "*"))
			paths = append(paths, filepath.Join(dir, "state.db"))
			for _, path := range paths {
				info, err := os.Stat(path)
				if err != nil {
					gone = true
					break
				}
				size += info.Size()
				if filepath.Base(path) == "state.db" {
					hot = max(hot, info.Size())
				}
			}
			// Looking takes a busy machine long. Where all are still there at its end, they were there together, for files
			// only grow; else what was deleted meanwhile and what came in its place would both count.
			for _, path := range paths {
				if _, err := os.Stat(path); err != nil {
					gone = true
				}
			}
			if !gone {
				samples++
				largest = max(largest, size)
			}
			time.Sleep(time.Millisecond)
		}
	})
	load.Wait()
	archived(t, s)
	stop()
	watch.Wait()
	t.Logf("%d MB of events, at most %.1f MB on disk, %.1f MB of it for unfinished runs, bound %.1f MB",
		stored.Load()>>20, float64(largest)/(1<<20), float64(hot)/(1<<20), float64(most)/(1<<20))
	if stored.Load() < 3*most/2 || samples < 10 || largest < most/2 {
		t.Errorf("only %d bytes were stored, and looked at %d times: the test proves nothing", stored.Load(), samples)
	}
	if segment := int64(most / 10); largest > most+segment+segment/2 {
		t.Errorf("%d bytes on disk, want at most %d and a segment of %d", largest, most, segment)
	}
	for _, id := range live {
		if recs, err := s.Read(context.Background(), id, 0); err != nil || len(recs) == 0 {
			t.Errorf("unfinished run %s: %d records and %v", id, len(recs), err)
		}
	}
	if page, err := s.List(context.Background(), engine.Query{Workflow: "w"}); err != nil || len(page.Items) == 0 {
		t.Errorf("the history is empty: %v", err)
	}
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

// TestGroupCommit holds the claim that many callers share a commit, on a clock of its own: a commit takes a
// millisecond, and callers need no time to come back.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), bolt.Options{})
		defer closeStore(t, s)
		s.SetCommit(func(tx *bbolt.Tx) error {
			time.Sleep(time.Millisecond)
			return tx.Commit()
		})
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
	})
}

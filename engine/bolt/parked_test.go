package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// oldRun is a run whose id is that of an hour ago.
func oldRun(workflow string) engine.NewRun {
	n := newRun(workflow)
	n.At = n.At.Add(-time.Hour)
	n.ID = engine.NewRunID(n.At, &n.Head)
	return n
}

func park(t *testing.T, s *bolt.Store, c *engine.Claim, wake time.Time) {
	t.Helper()
	err := s.Append(context.Background(), c, []engine.Record{{At: time.Now(), Kind: engine.KindParked}}, engine.Then{Kind: engine.Park, Wake: wake})
	if err != nil {
		t.Fatal(err)
	}
}

func signal(t *testing.T, s *bolt.Store, id engine.RunID) {
	t.Helper()
	if err := s.Signal(context.Background(), id, engine.Signal{ID: "go", Kind: "approve", By: "ada"}); err != nil {
		t.Fatal(err)
	}
}

// TestRunsBelowTheMarkAreFound brings runs that waited into every state that a kill can find them in. After it each is
// there as it was, and what memory knows of it does not come from its journal while it waits.
func TestRunsBelowTheMarkAreFound(t *testing.T) {
	soon, later := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	tests := []struct {
		name   string
		bring  func(t *testing.T, s *bolt.Store) engine.RunID
		want   engine.Status // zero: finished
		claims bool          // it can be claimed after the kill
	}{
		{"waits for a time", func(t *testing.T, s *bolt.Store) engine.RunID {
			c := claim(t, s)
			park(t, s, c, later)
			return c.Run
		}, engine.StatusWaiting, false},
		{"waits for a signal", func(t *testing.T, s *bolt.Store) engine.RunID {
			c := claim(t, s)
			park(t, s, c, time.Time{})
			return c.Run
		}, engine.StatusWaiting, false},
		{"is due", func(t *testing.T, s *bolt.Store) engine.RunID {
			c := claim(t, s)
			park(t, s, c, soon)
			return c.Run
		}, engine.StatusQueued, true},
		{"got its signal", func(t *testing.T, s *bolt.Store) engine.RunID {
			c := claim(t, s)
			park(t, s, c, later)
			signal(t, s, c.Run)
			return c.Run
		}, engine.StatusQueued, true},
		{"went on", func(t *testing.T, s *bolt.Store) engine.RunID {
			c := claim(t, s)
			park(t, s, c, later)
			signal(t, s, c.Run)
			c = claim(t, s)
			err := s.Append(context.Background(), c, []engine.Record{{At: time.Now(), Kind: engine.KindStepStarted, Step: "a", Attempt: 1}}, engine.Then{})
			if err != nil {
				t.Fatal(err)
			}
			return c.Run
		}, engine.StatusRunning, true},
		{"waits again", func(t *testing.T, s *bolt.Store) engine.RunID {
			c := claim(t, s)
			park(t, s, c, later)
			signal(t, s, c.Run)
			c = claim(t, s)
			park(t, s, c, later)
			return c.Run
		}, engine.StatusWaiting, false},
		{"waits in memory only", func(t *testing.T, s *bolt.Store) engine.RunID {
			c := claim(t, s)
			park(t, s, c, later)
			signal(t, s, c.Run)
			c = claim(t, s)
			if err := s.Append(context.Background(), c, nil, engine.Then{Kind: engine.Park, Wake: later}); err != nil {
				t.Fatal(err)
			}
			return c.Run
		}, engine.StatusQueued, true},
		{"ended", func(t *testing.T, s *bolt.Store) engine.RunID {
			c := claim(t, s)
			park(t, s, c, later)
			signal(t, s, c.Run)
			c = claim(t, s)
			finish(t, s, c, engine.StatusSucceeded)
			return c.Run
		}, 0, false},
		{"came in with an old id", func(t *testing.T, s *bolt.Store) engine.RunID {
			park(t, s, claim(t, s), later)
			n := oldRun("late")
			if above, err := s.MoveMark(n.ID); err != nil || !above {
				t.Fatalf("the mark does not stand above a new run of an hour ago (%v)", err)
			}
			return accept(t, s, n)[0].ID
		}, engine.StatusQueued, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, bolt.Options{})
			n := oldRun("w")
			n.Head.Lane, n.Head.Key = "lane", "key"
			accept(t, s, n)
			id := test.bring(t, s)
			if _, err := s.MoveMark(id); err != nil {
				t.Fatal(err)
			}
			want := rows(t, s)
			s.Crash()
			for _, f := range check(t, dir).Findings {
				t.Errorf("%s: %s", f.File, f.Problem)
			}
			s = open(t, dir, bolt.Options{})
			defer closeStore(t, s)
			got := rows(t, s)
			if diff := cmp.Diff(want[id].Workflow, got[id].Workflow); diff != "" || len(got) != len(want) {
				t.Fatalf("%d rows of %d; workflow (-before +after):\n%s", len(got), len(want), diff)
			}
			if test.want == 0 {
				if got[id].Status != engine.StatusSucceeded {
					t.Errorf("status %s, want succeeded", got[id].Status)
				}
				return
			}
			if got[id].Status != test.want {
				t.Errorf("status %s, want %s", got[id].Status, test.want)
			}
			if id == n.ID {
				if again := accept(t, s, n)[0]; !again.Duplicate {
					t.Error("its dedupe key is forgotten")
				}
			}
			if !test.claims {
				signal(t, s, id) // also one that came before the kill is no news
				if test.name == "waits again" {
					return
				}
			}
			if c := claim(t, s); c.Run != id || len(c.Journal) == 0 || c.Journal[0].Head == nil {
				t.Errorf("claimed %s with %d records, want %s", c.Run, len(c.Journal), id)
			}
		})
	}
}

func rows(t *testing.T, s *bolt.Store) map[engine.RunID]engine.Row {
	t.Helper()
	page, err := s.List(context.Background(), engine.Query{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	all := map[engine.RunID]engine.Row{}
	for _, r := range page.Items {
		all[r.ID] = r
	}
	return all
}

// TestStartDoesNotReadWhatWaits damages journals of runs that wait: the start does not notice, and the claim does.
func TestStartDoesNotReadWhatWaits(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	var ids []engine.RunID
	for i := range 20 {
		n := oldRun("w")
		n.NotBefore = time.Now().Add(time.Hour)
		n.Head.Lane = fmt.Sprint(i % 3)
		ids = append(ids, accept(t, s, n)[0].ID)
	}
	closeStore(t, s)
	err := edit(filepath.Join(dir, "state.db"), func(tx *bbolt.Tx) error {
		j := tx.Bucket([]byte("j"))
		key := append(ids[7][:], 0, 0, 0, 0)
		return j.Put(key, []byte("damage"))
	})
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, bolt.Options{})
	defer closeStore(t, s)
	st, err := s.Stats(context.Background())
	if err != nil || st.Parked != 20 {
		t.Fatalf("%d runs wait, want 20 (%v)", st.Parked, err)
	}
	if _, err := s.Read(context.Background(), ids[7], 0); !errors.Is(err, engine.ErrDamaged) {
		t.Errorf("reading the damaged run: %v", err)
	}
	for _, id := range []engine.RunID{ids[7], ids[1]} { // of one lane: the damaged one must not hold the other back
		signal(t, s, id)
	}
	signal(t, s, ids[4])
	if c := claim(t, s); c.Run != ids[1] {
		t.Errorf("claimed %s, want %s", c.Run, ids[1])
	}
}

// TestDamagedNotesAndMarks: what is damaged is not believed, and the runs are found by their journals.
func TestDamagedNotesAndMarks(t *testing.T) {
	for _, what := range []string{"parked", "meta", "key of parked"} {
		t.Run(what, func(t *testing.T) {
			bucket := strings.TrimPrefix(what, "key of ")
			dir := t.TempDir()
			s := open(t, dir, bolt.Options{})
			for range 20 {
				n := oldRun("w")
				n.NotBefore = time.Now().Add(time.Hour)
				accept(t, s, n)
			}
			park(t, s, func() *engine.Claim { accept(t, s, oldRun("x")); return claim(t, s) }(), time.Time{})
			if above, err := s.MoveMark(oldRun("x").ID); err != nil || !above {
				t.Fatalf("the mark does not stand above the runs that wait: %v", err)
			}
			closeStore(t, s)
			harmed := 0
			err := edit(filepath.Join(dir, "state.db"), func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte(bucket))
				if what != bucket { // one note seems to be that of a run that nobody knows
					harmed++
					k, v := b.Cursor().First()
					k, v = append([]byte(nil), k...), append([]byte(nil), v...)
					err := b.Delete(k)
					k[len(k)-1] ^= 1
					return errors.Join(err, b.Put(k, v))
				}
				return b.ForEach(func(k, v []byte) error {
					if bucket == "meta" && string(k) != "from" {
						return nil
					}
					harmed++
					v = append([]byte(nil), v...)
					v[len(v)-1] ^= 1
					return b.Put(append([]byte(nil), k...), v)
				})
			})
			if err != nil || harmed == 0 {
				t.Fatalf("%d values harmed, %v", harmed, err)
			}
			if len(check(t, dir).Findings) == 0 {
				t.Error("doctor finds nothing")
			}
			for _, when := range []string{"at the start", "at the next one"} {
				s = open(t, dir, bolt.Options{})
				count := 0
				for _, row := range rows(t, s) {
					if row.Status == engine.StatusWaiting && row.Workflow != "" {
						count++
					}
				}
				if count != 21 {
					t.Errorf("%s %d of 21 runs wait", when, count)
				}
				archived(t, s)
				closeStore(t, s)
			}
		})
	}
}

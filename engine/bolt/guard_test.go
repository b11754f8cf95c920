package bolt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// filled makes a closed store with a waiting run and an archived one.
func filled(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir, bolt.Options{})
	finishOne(t, s, "done")
	accept(t, s, newRun("waiting"))
	archived(t, s)
	closeStore(t, s)
	return dir
}

// event is an order as JSON, 2 KB.
func event(i int) []byte {
	out := []byte(`{"order":`)
	for n := 0; len(out) < 2000; n++ {
		out = fmt.Appendf(out, `{"sku":"A-%d","qty":%d,"price":%d.99,"name":"Item %x"},`, i*7+n, n%5, (i*31+n)%997, (i+1)*(n+17)*2654435761)
	}
	return out
}

func closeStore(t testing.TB, s *bolt.Store) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func newRun(workflow string) engine.NewRun {
	n := engine.NewRun{Head: engine.Head{Workflow: workflow, Version: "v", Trigger: "hook"}, At: time.Now(), Data: []byte(`{"a":1}`)}
	n.ID = engine.NewRunID(n.At, &n.Head)
	return n
}

// patience is how long a test waits for what must come: long, because it fails only where nothing comes at all.
const patience = time.Minute

// accept stores runs. A store that is busy asks to come again, which a slow machine makes it do.
func accept(t testing.TB, s *bolt.Store, runs ...engine.NewRun) []engine.Accepted {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		acc, err := s.Accept(context.Background(), engine.Batch{Runs: runs})
		var full *engine.FullError
		if errors.As(err, &full) && (full.Reason == "writer" || full.Reason == "history") && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return acc
	}
}

func claim(t testing.TB, s *bolt.Store) *engine.Claim {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	claims, err := s.Claim(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	return claims[0]
}

func finish(t testing.TB, s *bolt.Store, c *engine.Claim, status engine.Status) {
	t.Helper()
	err := s.Append(context.Background(), c, []engine.Record{{At: time.Now(), Kind: engine.KindFinished, Status: status}},
		engine.Then{Kind: engine.Finish, Row: engine.Row{Status: status, Finished: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
}

func finishOne(t testing.TB, s *bolt.Store, workflow string) engine.RunID {
	t.Helper()
	id := accept(t, s, newRun(workflow))[0].ID
	finish(t, s, claim(t, s), engine.StatusSucceeded)
	return id
}

func archived(t testing.TB, s *bolt.Store) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		st, err := s.Stats(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if st.Backlog == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d finished runs are not archived", st.Backlog)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := func(dir string) string { return filepath.Join(dir, "state.db") }
	sidecar := func(t *testing.T, dir string, change func(map[string]any)) {
		path := filepath.Join(dir, "instance.json")
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		side := map[string]any{}
		if err := json.Unmarshal(src, &side); err != nil {
			t.Fatal(err)
		}
		change(side)
		src, _ = json.Marshal(side)
		if err := os.WriteFile(path, src, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		harm func(t *testing.T, dir string) error
		want string
	}{
		{"missing database", func(t *testing.T, dir string) error { return os.Remove(file(dir)) }, "state.db is missing"},
		{"empty database", func(t *testing.T, dir string) error { return os.Truncate(file(dir), 0) }, "state.db is empty"},
		{"truncated database", func(t *testing.T, dir string) error { return os.Truncate(file(dir), 20_000) }, "cut off"},
		{"truncated, with a sidecar that does not know", func(t *testing.T, dir string) error {
			sidecar(t, dir, func(m map[string]any) { m["min_size"] = 0 })
			return os.Truncate(file(dir), 8192)
		}, "cut off"},
		{"no database at all", func(t *testing.T, dir string) error {
			return os.WriteFile(file(dir), []byte(strings.Repeat("x", 1<<20)), 0o600)
		}, "damaged"},
		{"older copy", func(t *testing.T, dir string) error {
			sidecar(t, dir, func(m map[string]any) { m["transaction"] = 1 << 30 })
			return nil
		}, "older"},
		{"foreign database", func(t *testing.T, dir string) error {
			sidecar(t, dir, func(m map[string]any) { m["database"] = "another" })
			return nil
		}, "another database"},
		{"newer format in the sidecar", func(t *testing.T, dir string) error {
			sidecar(t, dir, func(m map[string]any) { m["format"] = 99 })
			return nil
		}, "newer release"},
		{"newer format in the database", func(t *testing.T, dir string) error {
			return edit(file(dir), func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte("99")) })
		}, "newer release"},
		{"sidecar missing", func(t *testing.T, dir string) error { return os.Remove(filepath.Join(dir, "instance.json")) }, "instance.json is missing"},
		{"sidecar and database missing", func(t *testing.T, dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "instance.json")), os.Remove(file(dir)))
		}, "history beside it"},
		{"sidecar damaged", func(t *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, "instance.json"), []byte("{"), 0o600)
		}, "damaged"},
		{"history file missing", func(t *testing.T, dir string) error { return os.Remove(segments(t, dir)[0]) }, "run history"},
		{"history file truncated", func(t *testing.T, dir string) error { return os.Truncate(segments(t, dir)[0], 4096) }, "cut off"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filled(t)
			if err := test.harm(t, dir); err != nil {
				t.Fatal(err)
			}
			s, err := bolt.Open(dir, bolt.Options{NoSync: true})
			if err == nil {
				closeStore(t, s)
				t.Fatal("the store opened")
			}
			var start *bolt.StartError
			if !errors.As(err, &start) || start.Hint == "" || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got error %v, want a StartError about %q", err, test.want)
			}
		})
	}
}

func edit(path string, change func(*bbolt.Tx) error) error {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	return errors.Join(db.Update(change), db.Close())
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "history", "*", "*.db"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no history file below %s: %v", dir, err)
	}
	return paths
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	defer closeStore(t, s)
	begun := time.Now()
	_, err := bolt.Open(dir, bolt.Options{})
	if took := time.Since(begun); took > patience { // it must not wait for the other to end
		t.Errorf("the refusal took %s", took)
	}
	var start *bolt.StartError
	if !errors.As(err, &start) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("got %v, want a StartError that names the process", err)
	}
}

// TestFaultDamageIsNeverSilent flips bytes in every page of a database with runs that are ready, runs that wait and large
// ones. The store refuses to open, or every accepted run is listed and reads as it was, or it shows as quarantined or as
// an error; the process lives.
func TestFaultDamageIsNeverSilent(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	data := map[engine.RunID]string{}
	for i := range 90 {
		n := newRun("w")
		if i%3 > 0 { // it waits, and the start finds it by its note alone
			n = oldRun("waits")
			n.Head.Key, n.Head.Lane = fmt.Sprint("key-", i), fmt.Sprint("lane-", i)
			n.ID = engine.NewRunID(n.At, &n.Head)
			if i%3 == 1 {
				n.NotBefore = time.Now().Add(time.Hour)
			}
		}
		if n.Data = event(i); i%20 == 7 {
			n.Data = noise(300 << 10)
		}
		data[accept(t, s, n)[0].ID] = string(n.Data)
		if i%3 == 2 {
			s.Pause("w", true)
			park(t, s, claim(t, s), time.Time{})
			s.Pause("w", false)
		}
	}
	if above, err := s.MoveMark(oldRun("w").ID); err != nil || !above {
		t.Fatalf("the mark does not stand above the runs that wait: %v", err)
	}
	closeStore(t, s)
	whole, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	sidecar, err := os.ReadFile(filepath.Join(dir, "instance.json"))
	if err != nil {
		t.Fatal(err)
	}
	var refused, quarantined, clean int
	for page := 0; page*4096 < len(whole); page++ {
		if os.Getenv("BELLHOP_KILLS") == "" && page > 4 && page%4 != 0 {
			continue // all pages where the long fault tests run
		}
		for _, offset := range []int{8, 24, 1000, 3000} { // page header, first elements, the middle, values
			src := append([]byte{}, whole...)
			for i := range 8 {
				src[page*4096+offset+i] ^= 0x5a
			}
			err := errors.Join(os.WriteFile(filepath.Join(dir, "state.db"), src, 0o600),
				os.WriteFile(filepath.Join(dir, "instance.json"), sidecar, 0o600))
			if err != nil {
				t.Fatal(err)
			}
			s, err := bolt.Open(dir, bolt.Options{NoSync: true})
			if err != nil {
				refused++
				continue
			}
			lost, listed := 0, rows(t, s)
			for id, want := range data {
				recs, err := s.Read(context.Background(), id, 0)
				if _, ok := listed[id]; !ok && !errors.Is(err, engine.ErrNotFound) {
					t.Errorf("page %d offset %d: run %s is stored, and nothing will ever claim it", page, offset, id)
				}
				if err == nil && (len(recs) == 0 || string(recs[0].Data) != want) {
					t.Errorf("page %d offset %d: run %s reads %.20q, want %.20q", page, offset, id, recs[0].Data, want)
				}
				if errors.Is(err, engine.ErrNotFound) {
					lost++
				} else if err != nil {
					quarantined++
				}
			}
			// A damaged key is another run's: that one shows as quarantined.
			if strange := strangers(t, s, data, lost); strange < lost {
				t.Errorf("page %d offset %d: %d runs are gone, %d strange ones quarantined", page, offset, lost, strange)
			}
			clean++
			s.Crash()
		}
	}
	if refused == 0 || quarantined == 0 {
		t.Errorf("%d opens were refused and %d runs found damaged: the test damages nothing", refused, quarantined)
	}
	t.Logf("%d pages, %d opened, %d refused, %d damaged reads", len(whole)/4096, clean, refused, quarantined)
}

// strangers waits until so many quarantined runs show that nobody accepted.
func strangers(t *testing.T, s *bolt.Store, known map[engine.RunID]string, want int) int {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		page, err := s.List(context.Background(), engine.Query{Limit: 200})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, row := range page.Items {
			if _, ok := known[row.ID]; !ok && row.Reason == "quarantined" {
				n++
			}
		}
		if n >= want || time.Now().After(deadline) {
			return n
		}
		<-time.After(time.Millisecond)
	}
}

func TestDamagedRunIsQuarantined(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	bad := accept(t, s, newRun("bad"))[0].ID
	c := claim(t, s)
	if err := s.Append(context.Background(), c, []engine.Record{{At: time.Now(), Kind: engine.KindStepStarted, Step: "a", Attempt: 1}}, engine.Then{}); err != nil {
		t.Fatal(err)
	}
	good := accept(t, s, newRun("good"))[0].ID
	closeStore(t, s)
	flip := func(tx *bbolt.Tx) error {
		j := tx.Bucket([]byte("j"))
		key := append(bad[:], 0, 0, 0, 1)
		v := append([]byte{}, j.Get(key)...)
		v[len(v)-1] ^= 1
		return j.Put(key, v)
	}
	if err := edit(filepath.Join(dir, "state.db"), flip); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, bolt.Options{})
	defer closeStore(t, s)
	if c := claim(t, s); c.Run != good {
		t.Fatalf("claimed run %s, want %s", c.Run, good)
	}
	archived(t, s)
	var row engine.Row
	for deadline := time.Now().Add(patience); row.Status != engine.StatusFailed && time.Now().Before(deadline); {
		page, err := s.List(context.Background(), engine.Query{Workflow: "bad"})
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("list: %d rows and %v", len(page.Items), err)
		}
		row = page.Items[0]
	}
	if row.Reason != "quarantined" || row.Summary == "" {
		t.Fatalf("got row %+v, want it quarantined", row)
	}
	archived(t, s)
	recs, err := s.Read(context.Background(), bad, 0)
	if !errors.Is(err, engine.ErrDamaged) || len(recs) != 2 || recs[0].Kind != engine.KindAccepted || recs[1].Kind != engine.KindFinished {
		t.Fatalf("read: got %d records and %v, want what is readable and ErrDamaged", len(recs), err)
	}
}

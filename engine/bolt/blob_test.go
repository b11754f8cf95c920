package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// noise does not get smaller by compression.
func noise(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func largeRun(workflow string, size int) engine.NewRun {
	n := newRun(workflow)
	n.Data = noise(size)
	return n
}

func blobFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "blobs"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func runOf(t *testing.T, blob string) engine.RunID {
	t.Helper()
	id, err := engine.ParseRunID(blob[:26])
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// wantFiles waits until so many files are there: those of a run that has moved to the history go after the move.
func wantFiles(t *testing.T, dir, when string, want int) {
	t.Helper()
	var names []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if names = blobFiles(t, dir); len(names) == want {
			return
		}
	}
	t.Errorf("%s: %d files, want %d: %v", when, len(names), want, names)
}

func storedBytes(t *testing.T, s *bolt.Store) int64 {
	t.Helper()
	st, err := s.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return st.Bytes
}

// TestLargeValues: a large event and a large output lie in files of their own, which count as stored, until the run is in
// the history; what is refused leaves none.
func TestLargeValues(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	defer func() { closeStore(t, s) }()
	ctx := context.Background()
	before := storedBytes(t, s)
	n := largeRun("w", 1<<20)
	accept(t, s, n)
	wantFiles(t, dir, "after the accept", 1)
	if got := storedBytes(t, s) - before; got < 1<<20 {
		t.Errorf("an event of 1 MiB counts for %d bytes", got)
	}
	accept(t, s, n)
	wantFiles(t, dir, "after a duplicate", 1)
	c := claim(t, s)
	stale := *c
	stale.Seq = 7
	output := []engine.Record{{At: time.Now(), Kind: engine.KindStepCompleted, Step: "a", Attempt: 1, Status: engine.StatusSucceeded, Data: noise(2 << 20)}}
	if err := s.Append(ctx, &stale, output, engine.Then{}); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("a stale append: %v", err)
	}
	wantFiles(t, dir, "after a refused append", 1)
	if err := s.Append(ctx, c, output, engine.Then{}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, "after an append", 2)
	closeStore(t, s)
	if info, err := os.Stat(filepath.Join(dir, "state.db")); err != nil || info.Size() > 1<<20 {
		t.Errorf("state.db has %d bytes (%v)", info.Size(), err)
	}
	if r := check(t, dir); len(r.Findings) > 0 || r.Bytes < 3<<20 {
		t.Errorf("doctor says %+v", r)
	}
	s = open(t, dir, bolt.Options{})
	wantFiles(t, dir, "after a restart", 2)
	if got := storedBytes(t, s) - before; got < 3<<20 {
		t.Errorf("3 MiB count for %d bytes after a restart", got)
	}
	finish(t, s, claim(t, s), engine.StatusSucceeded)
	archived(t, s)
	wantFiles(t, dir, "in the history", 0)
	recs, err := s.Read(ctx, n.ID, 0)
	if err != nil || !bytes.Equal(recs[0].Data, n.Data) {
		t.Errorf("the history has another event (%v)", err)
	}
}

// TestLargeValuesHaveABound: what lies in files counts for the bound of the unfinished runs, also after a restart.
func TestLargeValuesHaveABound(t *testing.T) {
	dir := t.TempDir()
	o := bolt.Options{MaxBytes: 1 << 20}
	s := open(t, dir, o)
	accept(t, s, largeRun("w", 600<<10), largeRun("w", 600<<10))
	for _, when := range []string{"at once", "after a restart"} {
		_, err := s.Accept(context.Background(), engine.Batch{Runs: []engine.NewRun{largeRun("w", 300<<10)}})
		var full *engine.FullError
		if !errors.As(err, &full) || full.Reason != "bytes" {
			t.Errorf("%s: got %v, want ErrFull for bytes", when, err)
		}
		wantFiles(t, dir, when, 2)
		closeStore(t, s)
		s = open(t, dir, o)
	}
	closeStore(t, s)
}

// TestFilesThatACrashLeft are deleted by the start: those of no run, and those that their run does not name.
func TestFilesThatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	n := largeRun("w", 300<<10)
	accept(t, s, n)
	s.Crash()
	named := blobFiles(t, dir)[0]
	strange := newRun("w").ID.String() + "-0011223344556677"
	for _, name := range []string{strange, named[:27] + "0011223344556677", "README"} {
		if err := os.WriteFile(filepath.Join(dir, "blobs", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, bolt.Options{})
	defer closeStore(t, s)
	if got := strings.Join(blobFiles(t, dir), " "); got != named+" README" {
		t.Errorf("left are %s, want %s and the file that is not the store's", got, named)
	}
	if c := claim(t, s); !bytes.Equal(c.Journal[0].Data, n.Data) {
		t.Error("the event is another")
	}
}

// TestAFileThatIsMissing, cut off or damaged ends its run with a sentence that names it, and doctor tells of it.
func TestAFileThatIsMissing(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"missing": os.Remove,
		"cut off": func(path string) error { return os.Truncate(path, 1000) },
		"damaged": func(path string) error {
			b, err := os.ReadFile(path)
			if err == nil {
				b[len(b)/2] ^= 1
				err = os.WriteFile(path, b, 0o600)
			}
			return err
		},
	} {
		for _, waits := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, dir, bolt.Options{})
				n := largeRun("w", 300<<10)
				if waits {
					n.NotBefore = time.Now().Add(time.Hour)
				}
				accept(t, s, n)
				closeStore(t, s)
				file := blobFiles(t, dir)[0]
				if err := harm(filepath.Join(dir, "blobs", file)); err != nil {
					t.Fatal(err)
				}
				r := check(t, dir)
				if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Problem, n.ID.String()) {
					t.Errorf("doctor says %+v", r.Findings)
				}
				s = open(t, dir, bolt.Options{})
				defer closeStore(t, s)
				if waits {
					signal(t, s, n.ID)
				}
				accept(t, s, newRun("other"))
				if c := claim(t, s); c.Run == n.ID {
					t.Fatal("the damaged run was claimed")
				}
				var row engine.Row
				for deadline := time.Now().Add(patience); row.Reason == "" && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
					row = rows(t, s)[n.ID]
				}
				if row.Reason != "quarantined" || row.Status != engine.StatusFailed {
					t.Errorf("the run ended as %s, reason %q", row.Status, row.Reason)
				}
				if name != "damaged" && !strings.Contains(row.Summary, "blobs/"+file) {
					t.Errorf("its summary does not name the file: %s", row.Summary)
				}
			})
		}
	}
}

// TestSnapshotHasLargeValues, also when their run ends while the snapshot is read.
func TestSnapshotHasLargeValues(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	defer closeStore(t, s)
	n := largeRun("w", 300<<10)
	accept(t, s, n)
	snap, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	finish(t, s, claim(t, s), engine.StatusSucceeded)
	archived(t, s)
	wantFiles(t, dir, "in the history", 0)
	copied := t.TempDir()
	unpackTo(t, snap, copied)
	snap.Close()
	for _, from := range []string{"a running store", "a stopped one"} {
		if r := check(t, copied); len(r.Findings) > 0 || r.Live != 1 {
			t.Fatalf("the snapshot of %s: %+v", from, r)
		}
		back := open(t, copied, bolt.Options{})
		if c := claim(t, back); c.Run != n.ID || !bytes.Equal(c.Journal[0].Data, n.Data) {
			t.Errorf("the snapshot of %s has another event", from)
		}
		closeStore(t, back)
		if snap, err = bolt.OpenSnapshot(copied); err != nil {
			t.Fatal(err)
		}
		copied = t.TempDir()
		unpackTo(t, snap, copied)
		snap.Close()
	}
}

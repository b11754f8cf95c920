package bolt_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// unpackTo writes the files of a snapshot to a folder of their own.
func unpackTo(t *testing.T, snap *bolt.Snapshot, dir string) {
	t.Helper()
	for i := range snap.Files {
		f := &snap.Files[i]
		if !bolt.IsSnapshotFile(f.Name) {
			t.Errorf("a file %q", f.Name)
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(out, f.Content())
		if err := errors.Join(err, out.Close()); err != nil || n != f.Size {
			t.Fatalf("%s: %d of %d bytes, %v", f.Name, n, f.Size, err)
		}
	}
	if err := bolt.Adopt(dir); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotUnderLoad: while callers start and end runs, and history is archived and deleted, a snapshot holds every
// run that was acknowledged before it, whole, and a store starts on it.
func TestSnapshotUnderLoad(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	defer closeStore(t, s)
	var mu sync.Mutex
	var acked []engine.RunID
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			id := finishOne(t, s, "ends")
			mu.Lock()
			acked = append(acked, id)
			mu.Unlock()
		}
	})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			n := newRun("waits")
			n.Data, n.NotBefore = event(i), time.Now().Add(time.Hour)
			id := accept(t, s, n)[0].ID
			mu.Lock()
			acked = append(acked, id)
			mu.Unlock()
		}
	})
	for round := range 3 {
		for n := 0; n < 200*(round+1); {
			<-time.After(10 * time.Millisecond)
			mu.Lock()
			n = len(acked)
			mu.Unlock()
		}
		mu.Lock()
		before := slices.Clone(acked)
		mu.Unlock()
		snap, err := s.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Snapshot(context.Background()); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("a second snapshot: got %v, want ErrConflict", err)
		}
		if round == 2 { // all history goes while it is read
			if _, err := s.Erase(context.Background(), before); err != nil {
				t.Error(err)
			}
		}
		to := t.TempDir()
		unpackTo(t, snap, to)
		snap.Close()
		if r := check(t, to); len(r.Findings) > 0 {
			t.Errorf("round %d: %+v", round, r.Findings)
		}
		if err := bolt.Adopt(to); err == nil {
			t.Error("a folder was adopted twice")
		}
		copied := open(t, to, bolt.Options{})
		lost := 0
		for _, id := range before {
			recs, err := copied.Read(context.Background(), id, 0)
			if err != nil || len(recs) < 2 || recs[0].Kind != engine.KindAccepted {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("round %d: %d of %d acknowledged runs are not in the snapshot", round, lost, len(before))
		}
		closeStore(t, copied)
	}
	close(stop)
	wg.Wait()
	if _, err := os.Stat(filepath.Join(dir, "snapshot")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its copies stay: %v", err)
	}
}

func TestSnapshotOfAStoppedStore(t *testing.T) {
	dir := lived(t)
	snap, err := bolt.OpenSnapshot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(dir, bolt.Options{}); !errors.Is(err, bolt.ErrInUse) {
		t.Errorf("a store opened meanwhile: %v", err)
	}
	to := t.TempDir()
	unpackTo(t, snap, to)
	snap.Close()
	if r := check(t, to); len(r.Findings) > 0 || r.Live != 150 || r.Finished != 40 {
		t.Errorf("got %+v", r)
	}
	s := open(t, dir, bolt.Options{})
	defer closeStore(t, s)
	if _, err := bolt.OpenSnapshot(dir); !errors.Is(err, bolt.ErrInUse) {
		t.Errorf("of a store that runs: got %v, want ErrInUse", err)
	}
}

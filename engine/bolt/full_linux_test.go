package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// TestFullFileSystem fills a small file system for real. It needs root.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("SKIPPED: mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s, err := bolt.Open(dir, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	var acked []engine.RunID
	fill, err := os.Create(dir + "/foreign")
	if err != nil {
		t.Fatal(err)
	}
	full := 0
	for i := 0; full < 20; i++ {
		if i == 500 { // a foreign file takes what is left, so that commits fail and not only the guard
			s.SetSpace(1<<30, 1<<30)
			for _, err := fill.Write(make([]byte, 64<<10)); err == nil; _, err = fill.Write(make([]byte, 64<<10)) {
			}
		}
		n := newRun("w")
		n.Data = []byte(strings.Repeat(fmt.Sprint(rand.Uint64()), 200))
		acc, err := s.Accept(ctx, engine.Batch{Runs: []engine.NewRun{n}})
		switch {
		case err == nil:
			acked = append(acked, acc[0].ID)
		case errors.Is(err, engine.ErrFull):
			full++
		default:
			t.Fatalf("event %d: %v", i, err)
		}
	}
	for _, id := range acked {
		if _, err := s.Read(ctx, id, 0); err != nil {
			t.Fatalf("read while the disk is full: %v", err)
		}
	}
	finish(t, s, claim(t, s), engine.StatusSucceeded) // with the reserve
	_ = fill.Close()
	if err := os.Remove(dir + "/foreign"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		if _, err = s.Accept(ctx, engine.Batch{Runs: []engine.NewRun{newRun("w")}}); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a minute after room came back: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
	s.Crash()
	if s, err = bolt.Open(dir, bolt.Options{}); err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	for _, id := range acked {
		if _, err := s.Read(ctx, id, 0); err != nil {
			t.Fatalf("acknowledged run %s: %v", id, err)
		}
	}
}

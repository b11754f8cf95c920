package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
)

// TestVersionsKept: old versions are forgotten but for the last hundred, the current one, and those that a run names.
func TestVersionsKept(t *testing.T) {
	h := newHouse(t).start()
	ctx := context.Background()
	text := func(i int) string {
		return fmt.Sprintf("triggers:\n  - webhook: {}\nsteps:\n  - set: {n: %d}\n", i)
	}
	var versions []string
	for i := range 130 {
		w := h.publish("a", text(i))
		versions = append(versions, w.Version)
		if i == 7 {
			h.wait(h.accept(event("a", nil)), "succeeded")
		}
	}
	e := h.Engine
	if list, err := e.Publications(ctx, "a"); err != nil || len(list) != 130 || list[0].Version != versions[129] || list[0].Previous != versions[128] || list[0].By != engine.ByFile {
		t.Fatalf("%d, %v", len(list), err)
	}
	if n, err := e.PruneVersions(ctx, time.Now()); err != nil || n != 0 {
		t.Errorf("at once: %d, %v", n, err)
	}
	n, err := e.PruneVersions(ctx, time.Now().Add(48*time.Hour))
	if err != nil || n != 29 {
		t.Errorf("later: %d, %v", n, err)
	}
	for i, v := range versions {
		_, err := e.Source(ctx, "a", v)
		if kept := i == 7 || i >= 30; kept != (err == nil) || err != nil && !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("version %d: %v", i, err)
		}
	}
	if n, err := e.PruneVersions(ctx, time.Now().Add(72*time.Hour)); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
}

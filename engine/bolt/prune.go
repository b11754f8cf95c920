package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
)

// Prune implements engine.History: it deletes at most budget segments, the oldest first, that are past their days
// or more than MaxBytes holds, and reports how many runs they held. From then on r also says where runs that end
// are archived and which of them are not.
func (s *Store) Prune(ctx context.Context, r engine.Retention, budget int) (removed int, err error) {
	s.retain.Store(&r)
	s.moveMu.Lock()
	defer s.moveMu.Unlock()
	st, err := s.Stats(ctx)
	if err != nil {
		return 0, fmt.Errorf("prune: %w", err)
	}
	today := time.Now().UTC().Truncate(24 * time.Hour)
	var drop []*segment
	s.history.mu.Lock()
	for _, g := range s.history.list {
		past := g.class > 0 && today.Sub(g.day) > time.Duration(g.class)*24*time.Hour
		over := r.MaxBytes > 0 && st.Bytes > r.MaxBytes && (!g.open || g.day.Before(today))
		if len(drop) < budget && (past || over) {
			drop = append(drop, g)
			st.Bytes -= g.size
		}
	}
	s.history.mu.Unlock()
	for _, g := range drop {
		if err := ctx.Err(); err != nil {
			return removed, fmt.Errorf("prune: %w", err)
		}
		if err := s.drop(g); err != nil {
			return removed, fmt.Errorf("prune %s: %w", g.name, err)
		}
		removed += g.count
	}
	return removed, s.history.removeStrays(today)
}

// drop deletes a segment: first from what state.db knows, so that a crash leaves a file too many and not one too
// few. removeStrays deletes such a file later.
func (s *Store) drop(g *segment) error {
	if err := s.doBack(&dropOp{name: g.name}); err != nil {
		return err
	}
	h := &s.history
	h.mu.Lock()
	h.list = slices.DeleteFunc(h.list, func(have *segment) bool { return have == g })
	h.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropped = true
	var err error
	if g.db != nil {
		err = g.db.Close() // waits for readers
		g.db = nil
	}
	return errors.Join(err, os.Remove(g.path))
}

type dropOp struct{ name string }

func (o *dropOp) write(b *batch) error {
	return storageError(b.bucket(bucketSegments).Delete([]byte(o.name)))
}

func (o *dropOp) apply(*Store) {}

// removeStrays deletes files that a crash left and whose days are past.
func (h *history) removeStrays(today time.Time) error {
	paths, err := filepath.Glob(filepath.Join(h.dir, "*", "*.db"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		g, err := h.newSegment(filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path))
		if err != nil || g.class == 0 || h.find(g.name) != nil || today.Sub(g.day) <= time.Duration(g.class)*24*time.Hour {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

// Erase implements engine.History. When the archiver has what has finished, every segment that holds one of the
// runs is written anew, also the one that is being filled.
func (s *Store) Erase(ctx context.Context, ids []engine.RunID) (erased int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	p := *s.policy.Load()
	p.erase = make(map[engine.RunID]bool, len(ids))
	for _, id := range ids {
		p.erase[id] = true
	}
	if err := s.archived(ctx, p.erase); err != nil {
		return 0, fmt.Errorf("erase: %w", err)
	}
	s.pruneMu.Lock()
	defer s.pruneMu.Unlock()
	for _, g := range s.history.oldestFirst() {
		if err := ctx.Err(); err != nil || s.stopping() {
			return erased, err
		}
		n, err := s.eraseIn(&p, g)
		if erased += n; err != nil {
			return erased, fmt.Errorf("erase: %s: %w", g.name, err)
		}
	}
	return erased, nil
}

// archived waits until the archiver has moved the finished ones of some runs, which it does within a second.
func (s *Store) archived(ctx context.Context, ids map[engine.RunID]bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		s.mu.Lock()
		waits := slices.ContainsFunc(s.backlog, func(r *run) bool { return ids[r.id] })
		s.mu.Unlock()
		if !waits {
			return nil
		}
		select {
		case <-time.After(archiveDelay / 10):
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stop:
			return engine.ErrClosed
		}
	}
}

func (s *Store) eraseIn(p *policy, g *segment) (erased int, err error) {
	s.moveMu.Lock() // nothing is written to it meanwhile
	defer s.moveMu.Unlock()
	err = g.view(func(tx *bbolt.Tx) error {
		erased = 0
		rows := tx.Bucket(bucketRow)
		for id := range p.erase {
			if rows.Get(id[:]) != nil {
				erased++
			}
		}
		return nil
	})
	if errors.Is(err, engine.ErrNotFound) || err == nil && erased == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	fresh, count, err := s.copyKept(p, g, now())
	if err != nil {
		return 0, err
	}
	s.history.mu.Lock()
	g.open = false // its file is closed: whoever writes to it opens it again
	s.history.mu.Unlock()
	return erased, s.replace(g, fresh, count)
}

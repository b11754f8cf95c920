package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

const day = 24 * time.Hour

// recheck is how often a closed segment is searched for runs that a rule of today no longer keeps.
const recheck = time.Hour

// A policy is the retention as it was read last: rules are asked for once for many runs.
type policy struct {
	days    int
	max     int64
	own     map[string]engine.Rule
	cutoffs map[string]engine.RunID // of workflows that keep a count: this run and older ones are past it
	erase   map[engine.RunID]bool   // besides, where a person is to be forgotten
}

// rule is what holds for a workflow.
func (p *policy) rule(workflow string) engine.Rule {
	r := p.own[workflow]
	if r.Days == 0 {
		r.Days = p.days
	}
	return r
}

// drops reports whether a finished run is not kept at all.
func (p *policy) drops(row *engine.Row) bool {
	switch p.own[row.Workflow].Keep {
	case "none":
		return true
	case "failures":
		return row.Status != engine.StatusFailed
	}
	return false
}

// expired reports whether a run is past its rule. Lists and reads leave it out from that moment on; its bytes go with
// its segment, or when a closed segment is rewritten.
func (p *policy) expired(row *engine.Row, now time.Time) bool {
	if p.erase[row.ID] {
		return true
	}
	if days := p.rule(row.Workflow).Days; days > 0 && now.Sub(row.Finished) > time.Duration(days)*day {
		return true
	}
	cut, ok := p.cutoffs[row.Workflow]
	return ok && string(row.ID[:]) <= string(cut[:]) || p.drops(row)
}

// refreshPolicy asks for the rules again. Where count is set it also counts the runs of workflows that keep so many.
func (s *Store) refreshPolicy(count bool) (*policy, error) {
	r := s.retain.Load()
	p := &policy{days: r.Days, max: r.MaxBytes}
	if r.Own != nil {
		p.own = r.Own()
	}
	if !count {
		p.cutoffs = s.policy.Load().cutoffs
		s.policy.Store(p)
		return p, nil
	}
	p.cutoffs = map[string]engine.RunID{}
	for workflow, rule := range p.own {
		if rule.Runs <= 0 {
			continue
		}
		cut, ok, err := s.history.nth(workflow, rule.Runs)
		if err != nil {
			return nil, err
		}
		if ok {
			p.cutoffs[workflow] = cut
		}
	}
	s.policy.Store(p)
	return p, nil
}

// nth returns the newest archived run of a workflow that has at least n newer ones.
func (h *history) nth(workflow string, n int) (id engine.RunID, ok bool, err error) {
	below := flowKey(workflow, newest)
	for _, g := range h.newestFirst() {
		if ok {
			return id, true, nil
		}
		err = g.view(func(tx *bbolt.Tx) error {
			c := &backward{c: tx.Bucket(bucketFlow).Cursor()}
			for c.seek(below[:]); len(c.key) == len(below) && string(c.key[:16]) == string(below[:16]); c.prev() {
				if n--; n < 0 {
					id, ok = engine.RunID(c.key[16:]), true
					return nil
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return id, false, err
		}
	}
	return id, ok, nil
}

// Prune implements engine.History: r holds from now on, and what is past it goes, at most budget segments. It reports
// how many runs it removed. The store does the same by itself every minute, and holds MaxBytes whenever it archives.
func (s *Store) Prune(ctx context.Context, r engine.Retention, budget int) (removed int, err error) {
	s.retain.Store(&r)
	if removed, err = s.prune(ctx, budget); err != nil {
		return removed, fmt.Errorf("prune: %w", err)
	}
	return removed, nil
}

// prune drops whole segments: those past their days, the oldest first, then as many as MaxBytes is exceeded by; and
// it rewrites closed ones that hold runs past a rule that was not there when they were archived, or that counts.
func (s *Store) prune(ctx context.Context, budget int) (removed int, err error) {
	s.pruneMu.Lock()
	defer s.pruneMu.Unlock()
	p, err := s.refreshPolicy(true)
	if err != nil {
		return 0, err
	}
	today := time.Now().UTC().Truncate(day)
	if removed, err = s.dropSegments(p, today, &budget); err != nil {
		return removed, err
	}
	for _, g := range s.history.oldestFirst() {
		if err := ctx.Err(); err != nil || budget == 0 || s.stopping() {
			return removed, err
		}
		if s.history.closed(g, now()) && time.Since(g.checked) > recheck {
			n, err := s.tidySegment(p, g)
			if removed += n; err != nil {
				return removed, fmt.Errorf("%s: %w", g.name, err)
			}
			if n > 0 {
				budget--
			}
		}
	}
	return removed, s.history.removeStrays(today)
}

func (s *Store) dropSegments(p *policy, today time.Time, budget *int) (removed int, err error) {
	s.moveMu.Lock()
	defer s.moveMu.Unlock()
	for _, g := range s.history.oldestFirst() {
		if past := g.class > 0 && today.Sub(g.day) > time.Duration(g.class)*day; !past || *budget == 0 {
			continue
		}
		if err := s.drop(g); err != nil {
			return removed, err
		}
		removed += g.count
		*budget--
	}
	n, err := s.makeRoom(p, budget)
	return removed + n, err
}

// makeRoom drops the oldest segments while the store is larger than MaxBytes: closed ones first, then all but the one
// that was written last. Unfinished runs are never among them.
func (s *Store) makeRoom(p *policy, budget *int) (removed int, err error) {
	for p.max > 0 && *budget > 0 {
		st, err := s.Stats(context.Background())
		if err != nil || st.Bytes <= p.max {
			return removed, err
		}
		g := s.history.victim()
		if g == nil {
			return removed, nil
		}
		if err := s.drop(g); err != nil {
			return removed, err
		}
		removed += g.count
		*budget--
	}
	return removed, nil
}

// victim is the segment to drop next when there is too much; nil: only the one that was written last is left.
func (h *history) victim() *segment {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, open := range []bool{false, true} {
		for _, g := range h.list { // oldest first
			if g.open == open && g != h.last {
				return g
			}
		}
	}
	return nil
}

func (h *history) oldestFirst() []*segment {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

// closed reports whether a segment will not be written to any more: its day is over, or there is a later one.
func (h *history) closed(g *segment, at time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at.Sub(g.day) > day+10*time.Minute { // the archiver may have chosen it just before midnight
		g.open = false
	}
	return !g.open && (at.Sub(g.day) > day || slices.ContainsFunc(h.list, func(other *segment) bool {
		return other.open && other.class == g.class && other.day.Equal(g.day)
	}))
}

// drop deletes a segment: first from what state.db knows, so that a crash leaves a file too many and not one too
// few. removeStrays deletes such a file later.
func (s *Store) drop(g *segment) error {
	if err := s.doBack(&dropOp{name: g.name}); err != nil {
		return err
	}
	_ = failpoint("prune", "dropped")
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

// noteOp records what a segment holds now.
type noteOp struct {
	name  string
	value []byte
}

func (o *noteOp) write(b *batch) error {
	return storageError(b.bucket(bucketSegments).Put([]byte(o.name), o.value))
}

func (o *noteOp) apply(*Store) {}

// tidySegment removes from a closed segment the runs that their rules no longer keep, and reports how many.
func (s *Store) tidySegment(p *policy, g *segment) (removed int, err error) {
	g.checked = time.Now()
	at, keep := now(), 0
	err = g.view(func(tx *bbolt.Tx) error {
		removed, keep = 0, 0
		return tx.Bucket(bucketRow).ForEach(func(k, v []byte) error {
			if _, row, _, err := decodeSegmentRow(engine.RunID(k), v); err == nil && p.expired(&row, at) {
				removed++
			} else {
				keep++
			}
			return nil
		})
	})
	switch {
	case errors.Is(err, engine.ErrNotFound) || err == nil && removed == 0:
		return 0, nil
	case err != nil:
		return 0, err
	case keep > 0:
		return removed, s.rewrite(p, g, at)
	}
	s.moveMu.Lock()
	defer s.moveMu.Unlock()
	if s.history.find(g.name) != g {
		return 0, nil // dropped meanwhile
	}
	return removed, s.drop(g)
}

// rewrite makes a closed segment anew without what p no longer keeps, the only change that a closed segment knows. The
// new file takes the place of the old one in one rename.
func (s *Store) rewrite(p *policy, g *segment, at time.Time) error {
	fresh, count, err := s.copyKept(p, g, at)
	if err != nil {
		return err
	}
	s.moveMu.Lock()
	defer s.moveMu.Unlock()
	return s.replace(g, fresh, count)
}

// copyKept writes what p keeps of a segment to a new file.
func (s *Store) copyKept(p *policy, g *segment, at time.Time) (fresh string, count int, err error) {
	h := &s.history
	fresh = g.path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", 0, err // a crash left it
	}
	db, err := h.createSegment(fresh)
	if err != nil {
		return "", 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close(), os.Remove(fresh))
		}
	}()
	for after, done := (engine.RunID{}), false; !done; {
		var some parcel
		if some, after, done, err = s.kept(p, g, after, at); err != nil {
			return "", 0, err
		}
		if err = h.write(db, &some, func(bool) { count++ }); err != nil {
			return "", 0, err
		}
	}
	err = db.Close() // every commit was synced
	return fresh, count, err
}

// replace puts a file that copyKept wrote in the place of a segment's. moveMu is held.
func (s *Store) replace(g *segment, fresh string, count int) error {
	h := &s.history
	info, err := os.Stat(fresh)
	if err != nil {
		return err
	}
	if h.find(g.name) != g {
		return os.Remove(fresh) // dropped meanwhile
	}
	h.mu.Lock()
	g.size, g.count = info.Size(), count
	note := &noteOp{name: g.name, value: g.encode()}
	h.mu.Unlock()
	// The smaller size first: the start refuses a file that is shorter than what is noted here.
	if err := s.doBack(note); err != nil {
		return err
	}
	_ = failpoint("prune", "rewritten")
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.db != nil {
		if err := g.db.Close(); err != nil { // waits for readers
			return err
		}
		g.db = nil
	}
	if err := os.Rename(fresh, g.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(g.path))
}

// kept reads the next runs of a segment that stay, packed for a new one.
func (s *Store) kept(p *policy, g *segment, after engine.RunID, at time.Time) (some parcel, last engine.RunID, done bool, err error) {
	h := &s.history
	err = g.view(func(tx *bbolt.Tx) error {
		some, last, done = parcel{}, after, true
		var src, pack []byte
		var number [8]byte
		flush := func() {
			if len(src) > 0 {
				some.packs = append(some.packs, h.pack(src))
				src = src[:0]
			}
		}
		c := tx.Bucket(bucketRow).Cursor()
		for k, v := c.Seek(after[:]); k != nil; k, v = c.Next() {
			id := engine.RunID(k)
			if id == after {
				continue
			}
			if len(some.runs) == archiveBatch {
				done = false
				break
			}
			last = id
			n, row, records, err := decodeSegmentRow(id, v)
			if err != nil {
				return err // what is damaged stays where it is
			}
			if p.expired(&row, at) {
				continue
			}
			if len(pack) == 0 || n != number {
				if pack, err = h.unpack(pack[:0], n[:], tx.Bucket(bucketPack).Get(n[:])); err != nil {
					return err
				}
				number = n
			}
			found := false
			err = eachJournal(pack, func(have engine.RunID, entries []entry) bool {
				if found = have == id; !found {
					return true
				}
				if some.startsPack(len(src)) {
					flush()
					some.first = append(some.first, len(some.runs))
				}
				src = appendJournal(src, id, entries)
				return false
			})
			if err == nil && !found {
				err = fmt.Errorf("%w: a pack lacks the run %s", engine.ErrDamaged, id)
			}
			if err != nil {
				return err
			}
			some.runs = append(some.runs, &run{id: id, seq: records, row: &row})
		}
		flush()
		return nil
	})
	return some, last, done, err
}

// removeStrays deletes files that a crash left and whose days are past.
func (h *history) removeStrays(today time.Time) error {
	paths, err := filepath.Glob(filepath.Join(h.dir, "*", "*.db"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		g, err := h.newSegment(filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path))
		if err != nil || h.find(g.name) != nil || today.Sub(g.day) <= max(time.Duration(g.class)*day, day) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

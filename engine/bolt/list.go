package bolt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

// newest is above every run id.
var newest = engine.RunID(bytes.Repeat([]byte{0xff}, 16))

func minID(a, b engine.RunID) engine.RunID {
	if bytes.Compare(a[:], b[:]) <= 0 {
		return a
	}
	return b
}

func maxID(a, b engine.RunID) engine.RunID {
	if bytes.Compare(a[:], b[:]) >= 0 {
		return a
	}
	return b
}

// idFloor is the lowest id of a run accepted at t or, within the same millisecond, a little before.
func idFloor(t time.Time) (id engine.RunID) {
	if t.IsZero() {
		return id
	}
	binary.BigEndian.PutUint64(id[:8], uint64(t.UnixMilli())<<16)
	return id
}

// idBound is above all ids of runs accepted before t.
func idBound(t time.Time) engine.RunID {
	if t.IsZero() {
		return newest
	}
	return idFloor(t.Add(time.Millisecond))
}

// Bounds of one text search; its cursor goes on behind them. It looks into one run at least, else it would never end
// where opening the first file of the history takes longer.
const maxSearchRuns = 20_000

var maxSearchTime = 200 * time.Millisecond // tests make it shorter

// A rowSource gives rows by falling id.
type rowSource interface {
	// peek returns a bound that no id of the source is above; zero when it is empty.
	peek() engine.RunID
	// next returns the next row, or false when there is none.
	next() (listed, bool, error)
}

// listed is a row and where its journal is.
type listed struct {
	row    engine.Row
	seg    *segment // nil: state.db
	number [8]byte
}

// List implements engine.History: unfinished runs and those not archived from memory, then the segments.
func (s *Store) List(ctx context.Context, q engine.Query) (page engine.Page, err error) {
	limit := min(cmp.Or(max(q.Limit, 0), 50), 200)
	below := newest
	if q.Cursor != "" {
		if below, err = engine.ParseRunID(q.Cursor); err != nil {
			return page, &engine.InputError{Message: "cursor: " + err.Error()}
		}
	}
	below = minID(below, idBound(q.Until))
	found := newFinder(s, q)
	want := limit + 1
	if q.Text != "" {
		want = maxSearchRuns
	}
	// Memory first and all of it: a run that is archived after this is seen twice, and never not at all.
	sources := []rowSource{s.memoryRows(&q, below, want)}
	for _, g := range s.history.newestFirst() {
		lo, hi := s.history.bounds(g)
		if floor := idFloor(q.Since); bytes.Compare(hi[:], floor[:]) < 0 || bytes.Compare(lo[:], below[:]) >= 0 {
			continue
		}
		sources = append(sources, &segmentRows{s: s, g: g, q: &q, bound: minID(hi, below), below: below})
	}
	begun, last := time.Now(), engine.RunID{}
	for {
		l, ok, err := nextRow(sources)
		if err != nil {
			return engine.Page{}, fmt.Errorf("list runs: %w", err)
		}
		if !ok || ctx.Err() != nil {
			return page, ctx.Err()
		}
		if l.row.ID == last {
			continue
		}
		if !matches(&q, &l.row) {
			last = l.row.ID
			continue
		}
		if len(page.Items) == limit {
			page.Next = last.String()
			return page, ctx.Err()
		}
		if q.Text != "" {
			if page.Scanned == maxSearchRuns || page.Scanned > 0 && time.Since(begun) > maxSearchTime {
				page.Partial, page.Next = true, last.String()
				return page, nil
			}
			page.Scanned++
			last = l.row.ID
			hit, err := found.inRun(&l)
			if err != nil {
				return engine.Page{}, fmt.Errorf("list runs: %w", err)
			}
			if !hit {
				continue
			}
		}
		last = l.row.ID
		page.Items = append(page.Items, l.row)
	}
}

// nextRow takes the newest row of all sources. A source is opened only when its bound is the newest.
func nextRow(sources []rowSource) (listed, bool, error) {
	for {
		var best rowSource
		var bound engine.RunID
		for _, src := range sources {
			if id := src.peek(); !id.IsZero() && (best == nil || bytes.Compare(id[:], bound[:]) > 0) {
				best, bound = src, id
			}
		}
		if best == nil {
			return listed{}, false, nil
		}
		if seg, ok := best.(*segmentRows); ok && !seg.exact() {
			if err := seg.fill(); err != nil {
				return listed{}, false, err
			}
			continue
		}
		return best.next()
	}
}

func matches(q *engine.Query, row *engine.Row) bool {
	return (q.Workflow == "" || row.Workflow == q.Workflow) &&
		(len(q.Status) == 0 || slices.Contains(q.Status, row.Status)) &&
		(q.Since.IsZero() || !row.Accepted.Before(q.Since)) &&
		(q.Until.IsZero() || row.Accepted.Before(q.Until))
}

// memoryRows are rows that were copied from the table.
type memoryRows struct{ rows []engine.Row }

func (s *Store) memoryRows(q *engine.Query, below engine.RunID, most int) *memoryRows {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &memoryRows{}
	x := &s.table.index
	if q.Workflow != "" {
		f := s.table.flows[q.Workflow]
		if f == nil {
			return m
		}
		x = &f.index
	}
	floor := idFloor(q.Since)
	i, _ := x.find(below)
	for i--; i >= 0 && len(m.rows) < most && bytes.Compare(x.runs[i].id[:], floor[:]) >= 0; i-- {
		r := x.runs[i]
		if r.gone || len(q.Status) > 0 && r.row == nil && !slices.Contains(q.Status, r.status()) {
			continue
		}
		if row := r.view(); matches(q, &row) {
			m.rows = append(m.rows, row)
		}
	}
	return m
}

func (m *memoryRows) peek() (id engine.RunID) {
	if len(m.rows) > 0 {
		id = m.rows[0].ID
	}
	return id
}

func (m *memoryRows) next() (listed, bool, error) {
	row := m.rows[0]
	m.rows = m.rows[1:]
	return listed{row: row}, true, nil
}

// segmentRows are the rows of one segment, read some at a time so that no transaction stays open.
type segmentRows struct {
	s     *Store
	g     *segment
	q     *engine.Query
	bound engine.RunID // no row is above it
	below engine.RunID // rows from here on were read
	rows  []listed
	end   bool
	size  int
}

func (r *segmentRows) exact() bool { return len(r.rows) > 0 || r.end }

func (r *segmentRows) peek() engine.RunID {
	switch {
	case len(r.rows) > 0:
		return r.rows[0].row.ID
	case r.end:
		return engine.RunID{}
	default:
		return r.bound
	}
}

func (r *segmentRows) next() (listed, bool, error) {
	l := r.rows[0]
	r.rows = r.rows[1:]
	r.bound = l.row.ID
	return l, true, nil
}

// fill reads the next rows. Of a query by workflow it walks that index and reads only rows of a wanted status.
func (r *segmentRows) fill() error {
	const scan = 2000 // entries of the index in one transaction
	r.size = min(max(2*r.size, 16), 256)
	floor := idFloor(r.q.Since)
	rules, at := r.s.policy.Load(), now()
	err := r.g.view(func(tx *bbolt.Tx) error {
		r.rows = nil
		rows := tx.Bucket(bucketRow)
		c := &backward{c: rows.Cursor()}
		var prefix []byte
		start := r.below[:]
		if r.q.Workflow != "" {
			c = &backward{c: tx.Bucket(bucketFlow).Cursor()}
			key := flowKey(r.q.Workflow, r.below)
			prefix, start = key[:16], key[:]
		}
		c.seek(start)
		for n := 0; n < scan && len(r.rows) < r.size; n++ {
			if c.key == nil || !bytes.HasPrefix(c.key, prefix) || bytes.Compare(c.key[len(prefix):], floor[:]) < 0 {
				r.end = true
				return nil
			}
			id := engine.RunID(c.key[len(prefix):])
			value := c.value
			r.below, r.bound = id, id
			if prefix != nil {
				if len(r.q.Status) > 0 && len(value) == 1 && !slices.Contains(r.q.Status, engine.Status(value[0])) {
					c.prev()
					continue
				}
				value = rows.Get(id[:])
			}
			number, row, _, err := decodeSegmentRow(id, value)
			if err != nil { // shown, never skipped in silence
				row = engine.Row{
					ID: id, Workflow: r.q.Workflow, Status: engine.StatusFailed, Reason: "damaged",
					Summary: "The stored history of this run is damaged.", Accepted: id.Time(), Finished: id.Time(),
				}
			}
			if matches(r.q, &row) && !rules.expired(&row, at) {
				r.rows = append(r.rows, listed{row: row, seg: r.g, number: number})
			}
			c.prev()
		}
		return nil
	})
	if errors.Is(err, engine.ErrNotFound) {
		r.end = true // dropped by retention meanwhile
		return nil
	}
	return err
}

// A finder looks for text in journals. It looks at a pack as a whole first: where that lacks the text, so do the runs in
// it, and most packs do.
type finder struct {
	s      *Store
	text   []byte // lower case
	lower  []byte // of the pack
	seg    *segment
	number [8]byte
	pack   []byte
	hit    bool // the pack holds the text, somewhere
}

func newFinder(s *Store, q engine.Query) *finder {
	return &finder{s: s, text: bytes.ToLower([]byte(q.Text))}
}

func (f *finder) in(recs []engine.Record) bool {
	for i := range recs {
		if f.inBytes(recs[i].Data) {
			return true
		}
	}
	return false
}

// folded maps the upper case of ASCII to its lower case.
var folded = func() (t [256]byte) {
	for c := range t {
		t[c] = byte(c)
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] = byte(c - 'A' + 'a')
	}
	return t
}()

// fold returns b in lower case as far as it is ASCII, until the next call, and reports whether all of it is.
func (f *finder) fold(b []byte) (lower []byte, ascii bool) {
	f.lower = slices.Grow(f.lower[:0], len(b))[:len(b)]
	or := byte(0)
	for i, c := range b {
		or |= c
		f.lower[i] = folded[c]
	}
	return f.lower, or < 0x80
}

// inBytes is bytes.Contains without regard to case. Text of ASCII is by far the most.
func (f *finder) inBytes(b []byte) bool {
	lower, ascii := f.fold(b)
	return bytes.Contains(lower, f.text) || !ascii && bytes.Contains(bytes.ToLower(b), f.text)
}

// inPack reports whether a run of the pack can hold the text. Of a text beyond ASCII it does not know: the upper case of
// that is other bytes.
func (f *finder) inPack(b []byte) bool {
	for _, c := range f.text {
		if c >= 0x80 {
			return true
		}
	}
	lower, _ := f.fold(b)
	return bytes.Contains(lower, f.text)
}

// inRun reports whether the text is anywhere in the data of a run. A damaged run matches by what can be read.
func (f *finder) inRun(l *listed) (bool, error) {
	var recs []engine.Record
	var err error
	if l.seg == nil {
		recs, err = f.s.Read(context.Background(), l.row.ID, 0)
	} else {
		if f.seg != l.seg || f.number != l.number {
			f.seg, f.number, f.hit = l.seg, l.number, false
			err = l.seg.view(func(tx *bbolt.Tx) error {
				var err error
				f.pack, err = f.s.history.unpack(f.pack[:0], l.number[:], tx.Bucket(bucketPack).Get(l.number[:]))
				return err
			})
			f.hit = err == nil && f.inPack(f.pack)
		}
		if f.hit {
			recs, err = journalIn(f.pack, l.row.ID, 0)
		}
	}
	if errors.Is(err, engine.ErrDamaged) || errors.Is(err, engine.ErrNotFound) {
		err = nil
	}
	return f.in(recs), err
}

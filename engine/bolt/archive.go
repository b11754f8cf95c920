package bolt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

const (
	archiveBatch   = 500 // runs in one move
	busyBatch      = 128 // runs in one move while callers wait for the writer
	archiveDelay   = 500 * time.Millisecond
	archiveBacklog = 5_000 // finished runs above which the archiver no longer yields to callers
)

// archive moves finished runs to segments until the store closes. While callers keep the writer busy it works a
// fifth of the time and in small steps, until its backlog says otherwise: then it takes large ones, which cost less for
// each run.
func (s *Store) archive() {
	pause := time.NewTimer(archiveDelay)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-s.stop:
			return
		}
		begun, moved := time.Now(), 0
		busy := s.queue.busy()
		size := archiveBatch
		if busy && s.unmoved() <= s.patience() {
			size = busyBatch
		}
		runs := s.oldestFinished(size)
		wait := archiveDelay
		if len(runs) > 0 {
			var err error
			if moved, err = s.move(runs); err != nil && !s.stopping() {
				s.log.Error("archive runs", "err", err)
				wait = 10 * time.Second
			}
		}
		if moved > 0 {
			left := s.unmoved()
			switch {
			case left > s.patience() || left > 0 && !busy:
				wait = 0
			case busy && left > 0:
				wait = 4 * time.Since(begun)
			}
		} else if len(runs) == 0 {
			select { // sleep until a run ends, then give others of the moment time to end too
			case <-s.kick:
			case <-s.stop:
				return
			}
		}
		pause.Reset(wait)
	}
}

// patience is how many finished runs may wait before the archiver no longer yields to callers. Where all the store has
// is little they must not be most of it.
func (s *Store) patience() int {
	if most := s.policy.Load().max; most > 0 {
		return int(min(archiveBacklog, max(most>>16, busyBatch)))
	}
	return archiveBacklog
}

// mostUnmoved is how many finished runs may wait for the archiver before new runs are refused. They lie in state.db,
// whose file never gets smaller: without a bound a busy machine would fill a small budget with it for ever.
func (s *Store) mostUnmoved() int {
	if s.policy.Load().max > 0 {
		return min(s.o.MaxRuns, 2*s.patience())
	}
	return s.o.MaxRuns
}

// unmoved is how many finished runs wait for the archiver.
func (s *Store) unmoved() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.backlog)
}

func (s *Store) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return s.broken.Load()
	}
}

func (s *Store) oldestFinished(most int) []*run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.backlog[:min(most, len(s.backlog))])
}

// A parcel is what goes to one segment in one commit.
type parcel struct {
	class int
	runs  []*run
	packs [][]byte // compressed
	first []int    // index in runs of each pack's first
}

// startsPack reports whether the next run begins a pack, when the last one has so many bytes before compression.
func (p *parcel) startsPack(bytes int) bool {
	return len(p.first) == 0 || len(p.runs)-p.first[len(p.first)-1] >= runsPerPack || bytes > packBytes
}

// move writes runs to segments, waits until they are on disk, and then deletes them from state.db. A crash between
// repeats the move; the same keys are written again.
func (s *Store) move(runs []*run) (moved int, err error) {
	s.moveMu.Lock()
	defer s.moveMu.Unlock()
	parcels, err := s.gather(runs)
	if err != nil {
		return 0, err
	}
	all := len(s.history.oldestFirst())
	if _, err := s.makeRoom(s.policy.Load(), &all); err != nil { // the unfinished runs grow too
		return 0, err
	}
	o := &forgetOp{runs: runs}
	for _, p := range parcels {
		g, err := s.history.writable(p.class, now(), s.segmentLimit())
		if err != nil {
			return 0, err
		}
		if err := s.history.put(g, p); err != nil {
			return 0, fmt.Errorf("write %s: %w", g.name, err)
		}
		o.segments = append(o.segments, g)
	}
	_ = failpoint("archive", "written")
	if err := s.doBack(o); err != nil {
		return 0, err
	}
	_ = failpoint("archive", "after")
	for _, r := range runs {
		s.report("delete a file of "+blobDir, s.blobs.forget(r.id))
	}
	all = len(s.history.oldestFirst())
	_, err = s.makeRoom(s.policy.Load(), &all)
	return len(runs), err
}

// segmentLimit keeps segments small enough that a byte bound can be held by deleting whole ones.
func (s *Store) segmentLimit() int64 {
	if most := s.retain.Load().MaxBytes; most > 0 {
		return min(max(most/10, 64<<10), segmentBytes)
	}
	return segmentBytes
}

// gather reads the journals of runs that are to be kept, in packs, by the days that they are kept.
func (s *Store) gather(runs []*run) (parcels []*parcel, err error) {
	rules, err := s.refreshPolicy(false)
	if err != nil {
		return nil, err
	}
	runs = slices.Clone(runs)
	slices.SortFunc(runs, func(a, b *run) int { return bytes.Compare(a.id[:], b.id[:]) })
	byClass := map[int][]*run{}
	for _, r := range runs {
		if !rules.drops(r.row) {
			class := rules.rule(r.flow.id).Days
			byClass[class] = append(byClass[class], r)
		}
	}
	for _, class := range slices.Sorted(maps.Keys(byClass)) {
		p := &parcel{class: class}
		parcels = append(parcels, p)
		if err := s.fillParcel(p, byClass[class]); err != nil {
			return nil, err
		}
	}
	return parcels, nil
}

func (s *Store) fillParcel(p *parcel, runs []*run) error {
	var src []byte // of one pack after the other
	for len(p.runs) < len(runs) {
		p.first = append(p.first, len(p.runs))
		err := view(s.db, func(tx *bbolt.Tx) error {
			src, p.runs = src[:0], p.runs[:p.first[len(p.first)-1]]
			c := tx.Bucket(bucketJournal).Cursor()
			for len(p.runs) < len(runs) && (len(src) == 0 || !p.startsPack(len(src))) {
				r := runs[len(p.runs)]
				entries, err := s.entriesOf(c, r.id)
				if err != nil {
					return err
				}
				src = appendJournal(src, r.id, entries)
				p.runs = append(p.runs, r)
			}
			return nil
		})
		if err != nil {
			return err
		}
		p.packs = append(p.packs, s.history.pack(src))
		runtime.Gosched() // a long stretch of work would stand before everyone who answers a call
	}
	return nil
}

// entriesOf reads a run's journal as it is stored. A record that does not unpack is kept as it is: reading it
// later tells of the damage. An error is a file that cannot be read now.
func (s *Store) entriesOf(c *bbolt.Cursor, id engine.RunID) (entries []entry, err error) {
	start := journalKey(id, 0)
	for k, v := c.Seek(start[:]); len(k) == len(start) && engine.RunID(k) == id; k, v = c.Next() {
		body, err := s.blobs.whole(k, v)
		if err != nil && !errors.Is(err, engine.ErrDamaged) {
			return nil, err
		}
		if err == nil {
			_, err = eachRecord(k, body, func(seq uint32, record []byte) {
				entries = append(entries, entry{seq, record})
			})
		}
		if err != nil {
			entries = append(entries, entry{seqOf(k), v})
		}
	}
	return entries, nil
}

func seqOf(journalKey []byte) uint32 { return binary.BigEndian.Uint32(journalKey[16:]) }

// writable returns the segment that finished runs of a class go to now, a new one if need be.
func (h *history) writable(class int, at time.Time, limit int64) (*segment, error) {
	day := at.UTC().Format(dayLayout)
	h.mu.Lock()
	n := 0
	for _, g := range h.list {
		if g.class != class || g.day.Format(dayLayout) != day {
			continue
		}
		n++
		if g.open && g.size < limit {
			h.mu.Unlock()
			return g, nil
		}
		g.open = false
	}
	h.mu.Unlock()
	if n == 0 {
		n = 1
	}
	for ; ; n++ {
		g, err := h.newSegment(strconv.Itoa(class) + "/" + day + "-" + strconv.Itoa(n) + ".db")
		if err != nil {
			return nil, err
		}
		if known := h.find(g.name); known != nil {
			if known.size >= limit {
				continue
			}
			g = known // of before the last start: write on
		}
		return g, h.openForWriting(g)
	}
}

func (h *history) find(name string) *segment {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range h.list {
		if g.name == name {
			return g
		}
	}
	return nil
}

func (h *history) openForWriting(g *segment) error {
	dir := filepath.Dir(g.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if info, err := os.Stat(g.path); err == nil && info.Size() > 0 {
		if _, err := checkPages(g.path); err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.db != nil { // readers opened it read-only
		if err := g.db.Close(); err != nil {
			return err
		}
		g.db = nil
	}
	db, err := h.createSegment(g.path)
	if err != nil {
		return err
	}
	err = syncDir(dir)
	if err == nil {
		err = syncDir(h.dir)
	}
	if err == nil {
		err = syncDir(filepath.Dir(h.dir))
	}
	if err != nil {
		_ = db.Close()
		return err
	}
	g.db = db
	h.mu.Lock()
	defer h.mu.Unlock()
	g.open = true
	if !slices.Contains(h.list, g) {
		g.min, g.max = newest, engine.RunID{}
		h.list = append(h.list, g)
		slices.SortStableFunc(h.list, func(a, b *segment) int { return a.day.Compare(b.day) })
	}
	return nil
}

// createSegment opens the file of a segment for writing and makes what it lacks.
func (h *history) createSegment(path string) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: segmentTimeout, FreelistType: bbolt.FreelistMapType, NoSync: !h.sync, NoGrowSync: !h.sync, NoStatistics: true,
	})
	if err != nil {
		return nil, err
	}
	db.AllocSize = segmentGrowth
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketRow, bucketFlow, bucketPack} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// put writes a parcel in one commit. It is on disk when put returns.
func (h *history) put(g *segment, p *parcel) error {
	db, err := g.reader()
	if err != nil {
		return err
	}
	// What is written may be read as soon as it is committed, so the bounds that readers look at come first.
	h.mu.Lock()
	for _, r := range p.runs {
		g.min, g.max = minID(g.min, r.id), maxID(g.max, r.id)
	}
	h.mu.Unlock()
	added := 0
	if err := h.write(db, p, func(known bool) {
		if !known {
			added++
		}
	}); err != nil {
		return err
	}
	info, err := os.Stat(g.path)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	g.size = info.Size()
	g.count += added
	h.last = g
	return nil
}

// write puts a parcel into a segment in one commit, and tells of each run whether the segment knew it.
func (h *history) write(db *bbolt.DB, p *parcel, tell func(known bool)) error {
	return db.Update(func(tx *bbolt.Tx) error {
		rows, flows, journals := tx.Bucket(bucketRow), tx.Bucket(bucketFlow), tx.Bucket(bucketPack)
		rows.FillPercent, flows.FillPercent, journals.FillPercent = 0.9, 0.9, 0.9
		for i, pack := range p.packs {
			n, err := journals.NextSequence()
			if err != nil {
				return err
			}
			var number [8]byte
			binary.BigEndian.PutUint64(number[:], n)
			if err := journals.Put(number[:], seal(number[:], pack)); err != nil {
				return err
			}
			end := len(p.runs)
			if i+1 < len(p.first) {
				end = p.first[i+1]
			}
			for _, r := range p.runs[p.first[i]:end] {
				tell(rows.Get(r.id[:]) != nil)
				if err := rows.Put(r.id[:], encodeSegmentRow(number, r.row, r.seq)); err != nil {
					return err
				}
				key := flowKey(r.row.Workflow, r.id)
				if err := flows.Put(key[:], []byte{byte(r.row.Status)}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func flowKey(flow string, id engine.RunID) (key [32]byte) {
	sum := sha256.Sum256([]byte(flow))
	copy(key[:], sum[:16])
	copy(key[16:], id[:])
	return key
}

// forgetOp deletes archived runs from state.db and records what their segments hold now.
type forgetOp struct {
	runs     []*run
	segments []*segment
}

func (o *forgetOp) write(b *batch) error {
	var keys [][20]byte
	j, done, segments := b.bucket(bucketJournal), b.bucket(bucketDone), b.bucket(bucketSegments)
	for _, r := range o.runs {
		// The keys first: a cursor must not look on while what it looks at is deleted.
		keys = keys[:0]
		c, start := j.Cursor(), journalKey(r.id, 0)
		for k, _ := c.Seek(start[:]); len(k) == len(start) && engine.RunID(k) == r.id; k, _ = c.Next() {
			keys = append(keys, [20]byte(k))
		}
		for i := range keys {
			if err := j.Delete(keys[i][:]); err != nil {
				return storageError(err)
			}
		}
		if err := done.Delete(r.id[:]); err != nil {
			return storageError(err)
		}
	}
	b.s.history.mu.Lock()
	defer b.s.history.mu.Unlock()
	for _, g := range o.segments {
		if err := segments.Put([]byte(g.name), g.encode()); err != nil {
			return storageError(err)
		}
	}
	return nil
}

func (o *forgetOp) apply(s *Store) {
	s.backlog = slices.Delete(s.backlog, 0, len(o.runs)) // the oldest; new ones come in at the end
	for _, r := range o.runs {
		s.table.forget(r)
	}
}

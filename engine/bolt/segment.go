package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/bellhop-dev/bellhop/engine"
)

const (
	historyDir     = "history"
	segmentBytes   = 1 << 30   // a segment is closed at this size, or at the end of its UTC day
	segmentGrowth  = 1 << 20   // by which the file of a segment grows, so that what is counted is what is used
	runsPerPack    = 16        // journals that are compressed together: each looks like its neighbors
	packBytes      = 256 << 10 // above which a pack takes no more of them: who reads one run unpacks its neighbors too
	segmentTimeout = time.Second
)

// The buckets of a segment.
var (
	bucketRow  = []byte("row")  // run16 -> sealed pack8 and row
	bucketFlow = []byte("flow") // workflow hash16 run16 -> status
	bucketPack = []byte("pack") // number8 -> sealed zstd of the journals of some runs
)

// A segment is one file of finished runs: history/<class>/<yyyymmdd>-<n>.db.
type segment struct {
	name  string // class/yyyymmdd-n.db
	class int    // days that its runs are kept, as their rule was when they were archived; 0: for ever
	day   time.Time
	path  string

	mu sync.Mutex
	db *bbolt.DB // nil: not opened yet, or dropped

	dropped bool // guarded by mu, as db is

	// Guarded by history.mu.
	size     int64
	min, max engine.RunID
	count    int
	open     bool // the archiver still writes it

	checked time.Time // when prune last looked for runs past their rules; guarded by pruneMu
}

// history is all segments of a store.
type history struct {
	dir   string
	sync  bool
	mu    sync.Mutex
	list  []*segment // oldest day first
	last  *segment   // the one that was written last
	coder *zstd.Encoder
	plain *zstd.Decoder

	unpacking sync.RWMutex // a decoder must not be closed while it is used
	ended     bool
}

// open lists the segments that state.db knows of and compares the files with what it says.
func (h *history) open(s *Store) error {
	h.dir, h.sync = filepath.Join(s.dir, historyDir), !s.o.NoSync
	var err error
	if h.coder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)); err != nil {
		return err
	}
	if h.plain, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(1<<30)); err != nil {
		return err
	}
	err = view(s.db, func(tx *bbolt.Tx) error {
		h.list = nil
		c := tx.Bucket(bucketSegments).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			g, err := h.decodeSegment(string(k), v)
			if err != nil {
				return err
			}
			h.list = append(h.list, g)
		}
		return nil
	})
	if err != nil {
		return startError(err, "restore a backup of %s", s.dir)
	}
	slices.SortFunc(h.list, func(a, b *segment) int { return a.day.Compare(b.day) })
	if n := len(h.list); n > 0 {
		h.last = h.list[n-1]
	}
	for _, g := range h.list {
		info, err := os.Stat(g.path)
		if err != nil {
			return startError(fmt.Errorf("a file of the run history: %w", err), "restore a backup of %s", s.dir)
		}
		if info.Size() < g.size {
			return startError(fmt.Errorf("%s is cut off: %d bytes of at least %d", g.path, info.Size(), g.size), "restore a backup of %s", s.dir)
		}
	}
	return nil
}

func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range h.list {
		g.mu.Lock()
		if g.db != nil {
			_ = g.db.Close() // every commit was synced
			g.db = nil
		}
		g.dropped = true
		g.mu.Unlock()
	}
	if h.coder != nil {
		_ = h.coder.Close()
	}
	h.unpacking.Lock() // behind the databases, whose readers unpack
	defer h.unpacking.Unlock()
	h.ended = true
	if h.plain != nil {
		h.plain.Close()
	}
}

func (h *history) newSegment(name string) (*segment, error) {
	class, file, ok := strings.Cut(name, "/")
	if !ok {
		return nil, fmt.Errorf("%w: segment %q", engine.ErrDamaged, name)
	}
	g := &segment{name: name, path: filepath.Join(h.dir, class, file)}
	day, _, _ := strings.Cut(file, "-")
	var err error
	if g.class, err = strconv.Atoi(class); err == nil {
		g.day, err = time.Parse(dayLayout, day)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: segment %q", engine.ErrDamaged, name)
	}
	return g, nil
}

// encode is what state.db knows of a segment; history.mu is held.
func (g *segment) encode() []byte {
	dst := make([]byte, 4, 64)
	dst = appendUint(dst, 1, uint64(g.size))
	dst = appendText(dst, 2, string(g.min[:]))
	dst = appendText(dst, 3, string(g.max[:]))
	dst = appendUint(dst, 4, uint64(g.count))
	return seal([]byte(g.name), dst)
}

func (h *history) decodeSegment(name string, value []byte) (*segment, error) {
	g, err := h.newSegment(name)
	if err != nil {
		return nil, err
	}
	body, err := unseal([]byte(name), value)
	if err != nil {
		return nil, err
	}
	return g, eachField(body, func(num protowire.Number, v uint64) {
		switch num {
		case 1:
			g.size = int64(v)
		case 4:
			g.count = int(v)
		}
	}, func(num protowire.Number, v []byte) {
		switch num {
		case 2:
			copy(g.min[:], v)
		case 3:
			copy(g.max[:], v)
		}
	})
}

// reader opens the segment's file if it is not open. ErrNotFound: it was dropped.
func (g *segment) reader() (*bbolt.DB, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.db != nil {
		return g.db, nil
	}
	if g.dropped {
		return nil, engine.ErrNotFound
	}
	if _, err := checkPages(g.path); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(g.path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: segmentTimeout, NoStatistics: true})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", g.name, err)
	}
	g.db = db
	return db, nil
}

// view reads from a segment. ErrNotFound: it was dropped.
func (g *segment) view(read func(*bbolt.Tx) error) error {
	for {
		db, err := g.reader()
		if err != nil {
			return err
		}
		// Closed under our hands: it was dropped, or the archiver opened it anew.
		if err = view(db, read); !errors.Is(err, engine.ErrClosed) {
			return err
		}
	}
}

// newestFirst copies the list of segments.
func (h *history) newestFirst() []*segment {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := slices.Clone(h.list)
	slices.Reverse(out)
	return out
}

func (h *history) bytes() (n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range h.list {
		n += g.size
	}
	return n
}

func (h *history) bounds(g *segment) (lo, hi engine.RunID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return g.min, g.max
}

// read returns the journal of an archived run.
func (h *history) read(p *policy, id engine.RunID, from uint32) ([]engine.Record, error) {
	for _, g := range h.newestFirst() {
		if lo, hi := h.bounds(g); string(id[:]) < string(lo[:]) || string(id[:]) > string(hi[:]) {
			continue
		}
		var found bool
		var number [8]byte
		var packed []byte
		err := g.view(func(tx *bbolt.Tx) error {
			v := tx.Bucket(bucketRow).Get(id[:])
			if found = v != nil; !found {
				return nil
			}
			var err error
			var row engine.Row
			if number, row, _, err = decodeSegmentRow(id, v); err != nil {
				return err
			}
			if p.expired(&row, now()) {
				return engine.ErrNotFound
			}
			packed = bytes.Clone(tx.Bucket(bucketPack).Get(number[:]))
			return nil
		})
		if errors.Is(err, engine.ErrNotFound) || err == nil && !found {
			continue
		}
		if err != nil {
			return nil, err
		}
		src, err := h.unpack(nil, number[:], packed)
		if err != nil {
			return nil, err
		}
		return journalIn(src, id, from)
	}
	return nil, engine.ErrNotFound
}

// A row of a segment begins with the number of the pack that holds the journal.
func encodeSegmentRow(number [8]byte, row *engine.Row, records uint32) []byte {
	inner := encodeRow(row, records)
	return append(number[:], inner...)
}

func decodeSegmentRow(id engine.RunID, value []byte) (number [8]byte, row engine.Row, records uint32, err error) {
	if len(value) < len(number) {
		return number, row, 0, fmt.Errorf("%w: row of run %s", engine.ErrDamaged, id)
	}
	copy(number[:], value)
	row, records, err = decodeRow(id, value[len(number):])
	return number, row, records, err
}

// A pack, before compression, is for each run: run16, the number of records, and each record's seq and encoded
// form with its length.
func appendJournal(dst []byte, id engine.RunID, entries []entry) []byte {
	dst = append(dst, id[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(entries)))
	for _, e := range entries {
		dst = binary.AppendUvarint(dst, uint64(e.seq))
		dst = binary.AppendUvarint(dst, uint64(len(e.record)))
		dst = append(dst, e.record...)
	}
	return dst
}

type entry struct {
	seq    uint32
	record []byte
}

// pack compresses journals; the first four bytes are left for the checksum.
func (h *history) pack(src []byte) []byte {
	return h.coder.EncodeAll(src, make([]byte, 4, 4+len(src)/2))
}

// unpack appends the journals of a pack to dst, which it may overwrite otherwise.
func (h *history) unpack(dst, number, value []byte) ([]byte, error) {
	body, err := unseal(number, value)
	if err != nil {
		return nil, err
	}
	h.unpacking.RLock()
	defer h.unpacking.RUnlock()
	if h.ended {
		return nil, engine.ErrClosed
	}
	src, err := h.plain.DecodeAll(body, dst)
	if err != nil {
		return nil, fmt.Errorf("%w: pack %x: %w", engine.ErrDamaged, number, err)
	}
	return src, nil
}

// eachJournal walks a pack. It returns when visit returns false.
func eachJournal(src []byte, visit func(id engine.RunID, entries []entry) bool) error {
	short := fmt.Errorf("%w: a pack of journals is cut off", engine.ErrDamaged)
	for len(src) > 0 {
		if len(src) < 16 {
			return short
		}
		id := engine.RunID(src)
		n, w := binary.Uvarint(src[16:])
		if w <= 0 || n > uint64(len(src)) {
			return short
		}
		src = src[16+w:]
		entries := make([]entry, n)
		for i := range entries {
			seq, w := binary.Uvarint(src)
			if w <= 0 {
				return short
			}
			size, v := binary.Uvarint(src[w:])
			if v <= 0 || size > uint64(len(src)-w-v) {
				return short
			}
			src = src[w+v:]
			entries[i] = entry{uint32(seq), src[:size]}
			src = src[size:]
		}
		if !visit(id, entries) {
			return nil
		}
	}
	return nil
}

// journalIn reads one run's records from a pack. With an error that is ErrDamaged it returns those that it could.
func journalIn(src []byte, id engine.RunID, from uint32) (recs []engine.Record, err error) {
	found := false
	walk := eachJournal(src, func(have engine.RunID, entries []entry) bool {
		if have != id {
			return true
		}
		found = true
		for _, e := range entries {
			if e.seq < from {
				continue
			}
			r, derr := engine.DecodeRecord(id, e.seq, e.record)
			if derr != nil {
				if err == nil {
					err = derr
				}
				continue
			}
			recs = append(recs, r)
		}
		return false
	})
	if walk == nil && !found {
		walk = fmt.Errorf("%w: a pack lacks the run", engine.ErrDamaged)
	}
	return recs, errors.Join(walk, err)
}

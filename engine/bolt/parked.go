package bolt

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/bellhop-dev/bellhop/engine"
)

// A start must not read the journals of runs that wait, of which there may be a hundred thousand: it reads a short note
// about each. A run gets its note with its first Parked record. While it waits the note holds what memory needs to know;
// once it went on the note only says that the journal must be read; it goes with the run's end. Runs that never waited
// have none and cost nothing here, but the start must find them: all of them have ids from the mark [metaFrom] on.
type noted uint8

const (
	unnoted  noted = iota
	noteRest       // the note tells all
	noteRead       // the note says that the journal must be read
)

// metaFrom is the name in bucketMeta of the id, sealed, below which every unfinished run has a note.
var metaFrom = []byte("from")

// markDelay is how far the mark stays behind the clock: an event may be a little older than its accept.
const markDelay = 10 * time.Second

// markSteps is how many notes the mark must pass to be worth a write. Tests lower it.
var markSteps = 1000

// A parkedRun is what a note holds: a run without its flow and lane, and their names.
type parkedRun struct {
	run  *run
	flow string
	lane string
}

// encode is the note of a run that waits.
func (p parkedRun) encode() []byte {
	r := p.run
	dst := make([]byte, 4, 160)
	dst = appendText(dst, 1, p.flow)
	dst = appendText(dst, 2, r.version)
	dst = appendText(dst, 3, r.trigger)
	dst = appendText(dst, 4, p.lane)
	if !r.parent.IsZero() {
		dst = appendText(dst, 5, string(r.parent[:]))
	}
	if r.key != (dedupKey{}) {
		dst = appendText(dst, 6, string(r.key[:]))
	}
	dst = appendUint(dst, 7, r.order)
	dst = appendUint(dst, 8, uint64(r.accepted))
	dst = appendUint(dst, 9, uint64(r.wake))
	dst = appendUint(dst, 10, uint64(r.bytes))
	dst = appendUint(dst, 11, uint64(r.seq))
	if r.urgent {
		dst = appendUint(dst, 12, 1)
	}
	if r.started {
		dst = appendUint(dst, 13, 1)
	}
	for _, id := range r.signals {
		dst = protowire.AppendString(protowire.AppendTag(dst, 14, protowire.BytesType), id)
	}
	return seal(r.id[:], dst)
}

// decodeParked reads a note. rest is false where it says that the journal must be read. Equal texts become one by intern.
func decodeParked(id engine.RunID, value []byte, intern func([]byte) string) (p parkedRun, rest bool, err error) {
	body, err := unseal(id[:], value)
	if err != nil || len(body) == 0 {
		return p, false, err
	}
	r := &run{id: id, timer: -1, noted: noteRest}
	p.run = r
	err = eachField(body, func(num protowire.Number, v uint64) {
		switch num {
		case 7:
			r.order = v
		case 8:
			r.accepted = int64(v)
		case 9:
			r.wake = int64(v)
		case 10:
			r.bytes = int64(v)
		case 11:
			r.seq = uint32(v)
		case 12:
			r.urgent = v == 1
		case 13:
			r.started = v == 1
		}
	}, func(num protowire.Number, v []byte) {
		switch num {
		case 1:
			p.flow = intern(v)
		case 2:
			r.version = intern(v)
		case 3:
			r.trigger = intern(v)
		case 4:
			p.lane = string(v)
		case 5:
			copy(r.parent[:], v)
		case 6:
			copy(r.key[:], v)
		case 14:
			r.signals = append(r.signals, string(v))
		}
	})
	if err == nil && (p.flow == "" || r.seq == 0) {
		err = fmt.Errorf("%w: note of run %s", engine.ErrDamaged, id)
	}
	return p, true, err
}

// rests writes the note of a run that waits until wake from now on, as this batch has changed it so far.
func (b *batch) rests(st *staged, wake time.Time) error {
	r := *st.run
	p := parkedRun{run: &r, flow: r.flow.id}
	if r.lane != nil {
		p.lane = r.lane.name
	}
	r.wake = 0
	if !wake.IsZero() {
		r.wake = wake.UnixNano()
	}
	r.seq, r.bytes, r.started = st.seq, r.bytes+st.bytes, r.started || st.started
	r.signals = slices.Concat(r.signals, st.signals)
	st.noted = noteRest
	return b.bucket(bucketParked).Put(r.id[:], p.encode())
}

// noteRead makes the note of a run say that its journal must be read.
func (b *batch) noteRead(id engine.RunID) error {
	return b.bucket(bucketParked).Put(id[:], seal(id[:], make([]byte, 4)))
}

// wentOn brings the note of a run, if there is one, up to records that do not park it.
func (b *batch) wentOn(st *staged) error {
	id := st.run.id
	switch {
	case st.noted == unnoted:
		return nil
	case st.finished:
		st.noted = unnoted
		return b.bucket(bucketParked).Delete(id[:])
	case st.noted == noteRest:
		st.noted = noteRead
		return b.noteRead(id)
	}
	return nil
}

// nextMark is where the mark may move, up to the first run without a note, and how many notes it passes on its way. b is
// nil outside of the writer; the mutex is held then.
func (s *Store) nextMark(at time.Time, b *batch) (from engine.RunID, passed int) {
	from = idFloor(at.Add(-markDelay))
	if b != nil {
		for id, st := range b.runs {
			if st.run == nil {
				from = minID(from, id)
			}
		}
	}
	for _, r := range s.table.index.runs {
		if bytes.Compare(r.id[:], from[:]) >= 0 {
			break
		}
		n := r.noted
		if b != nil {
			if st := b.runs[r.id]; st != nil && st.run != nil {
				n = st.noted
			}
		}
		switch {
		case r.gone || r.row != nil:
		case n == unnoted:
			from = r.id
		case bytes.Compare(r.id[:], s.from[:]) >= 0:
			passed++
		}
	}
	return from, passed
}

// moveMark moves the mark when that spares the next start something.
func (s *Store) moveMark() error {
	s.mu.Lock()
	_, passed := s.nextMark(now(), nil)
	s.mu.Unlock()
	if passed < markSteps {
		return nil
	}
	return s.doBack(&markOp{})
}

// markOp moves the mark.
type markOp struct {
	from engine.RunID
	news bool
}

func (o *markOp) write(b *batch) error {
	var passed int
	if o.from, passed = b.s.nextMark(b.now, b); passed < markSteps {
		return nil
	}
	o.news = true
	return storageError(putMark(b.bucket(bucketMeta), o.from))
}

func (o *markOp) apply(s *Store) {
	if o.news {
		s.from = o.from
	}
}

func putMark(meta *bbolt.Bucket, from engine.RunID) error {
	return meta.Put(metaFrom, seal(metaFrom, append(make([]byte, 4), from[:]...)))
}

// readMark is the mark as it is stored. One that is damaged, or not there, stands below all runs.
func readMark(value []byte) (from engine.RunID, err error) {
	if value == nil {
		return from, nil
	}
	body, err := unseal(metaFrom, value)
	if err == nil && len(body) != len(from) {
		err = fmt.Errorf("%w: value of key %q", engine.ErrDamaged, metaFrom)
	}
	if err == nil {
		copy(from[:], body)
	}
	return from, err
}

// loadParked reads the notes, and adds to known the runs that they tell all of. Of the others the journals must be read.
// Where a note is damaged its key may be: whose it was nobody knows, and the mark is no help to find that run.
func (s *Store) loadParked(tx *bbolt.Tx, known map[engine.RunID]bool) (rest []parkedRun, read []engine.RunID, damaged bool) {
	intern := func(b []byte) string {
		if have, ok := s.table.names[string(b)]; ok {
			return have
		}
		return s.table.intern(string(b))
	}
	c := tx.Bucket(bucketParked).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		id := engine.RunID(k)
		if known[id] { // it has ended, so the note is damage
			continue
		}
		p, whole, err := decodeParked(id, v, intern)
		if err != nil {
			damaged = true
			s.log.Error("the note of a run that waits is damaged; all journals are read", "run", id.String(), "err", err)
		}
		if err != nil || !whole {
			read = append(read, id)
			continue
		}
		known[id] = true
		rest = append(rest, p)
	}
	return rest, read, damaged
}

// lowerMark forgets the mark, before the writer begins: the next start must find what this one found without it.
func (s *Store) lowerMark() error {
	s.from = engine.RunID{}
	return s.db.Update(func(tx *bbolt.Tx) error { return putMark(tx.Bucket(bucketMeta), s.from) })
}

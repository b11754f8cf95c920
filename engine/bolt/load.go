package bolt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

// loaded is a run as the start finds it in the journals.
type loaded struct {
	id     engine.RunID
	head   *engine.Head
	run    run // its seq, bytes, signals, started, wake
	asleep bool
	last   engine.Record
	lane   string
	begun  map[string]time.Time // steps without an outcome, and until when each waits; zero: it does not
	damage error
}

// A place is where a run goes in the table.
type place struct {
	run    *run
	lane   string
	asleep bool
}

// load rebuilds the table from what state.db holds: notes of runs that wait, journals of the others. Damaged journals
// end as quarantined once the writer runs.
func (s *Store) load() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var rest []parkedRun
	var live []*loaded
	var rows []engine.Row
	var records []uint32
	var damaged bool
	err = view(s.db, func(tx *bbolt.Tx) error {
		live, rows, records = nil, nil, nil
		c := tx.Bucket(bucketDone).Cursor()
		known := map[engine.RunID]bool{}
		var read []engine.RunID
		for k, v := c.First(); k != nil; k, v = c.Next() {
			row, n, err := decodeRow(engine.RunID(k), v)
			if err != nil {
				s.log.Error("a row is damaged; it is made again from the journal", "run", row.ID.String(), "err", err)
				read = append(read, row.ID)
				continue
			}
			known[row.ID] = true
			rows, records = append(rows, row), append(records, n)
		}
		var noted []engine.RunID
		rest, noted, damaged = s.loadParked(tx, known)
		if s.from, err = readMark(tx.Bucket(bucketMeta).Get(metaFrom)); err != nil {
			s.log.Error("the mark of the runs that wait is damaged; all journals are read", "err", err)
		}
		if damaged {
			s.from = engine.RunID{}
		}
		if live, err = s.loadJournals(tx, known, append(read, noted...)); err != nil {
			return err
		}
		for _, l := range live {
			if _, ok := slices.BinarySearchFunc(noted, l.id, compareIDs); ok {
				l.run.noted = noteRead
			}
		}
		c = tx.Bucket(bucketDedup).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			s.days = append(s.days, string(k))
		}
		for i, name := range [][]byte{bucketDeliveries, bucketKept} {
			c = tx.Bucket(name).Cursor()
			for k, v := c.First(); k != nil; k, v = c.Next() {
				s.stored[i].count++
				s.stored[i].bytes += int64(len(k) + len(v))
			}
		}
		return nil
	})
	if errors.Is(err, engine.ErrNewerFormat) {
		return startError(err, "start the newer release again")
	}
	if err != nil {
		return startError(err, "restore a backup of %s", s.dir)
	}
	if damaged {
		if err := s.lowerMark(); err != nil {
			return startError(err, "let this user write %s", s.dir)
		}
	}
	t := &s.table
	places := make([]place, 0, len(rest)+len(live))
	at := now().UnixNano()
	for _, p := range rest {
		p.run.flow = t.flow(p.flow)
		asleep := p.run.wake == 0 || p.run.wake > at
		if p.run.takeover = t.cutOff && !asleep; !asleep {
			p.run.wake = 0
		}
		places = append(places, place{p.run, p.lane, asleep})
	}
	for _, l := range live {
		if l.head == nil {
			l.head, l.run.accepted = &engine.Head{}, l.id.Time().UnixNano()
		}
		r := t.newRun(l.id, l.head, l.run.at(), l.run.order)
		r.seq, r.bytes, r.signals, r.started, r.noted = l.run.seq, l.run.bytes, l.run.signals, l.run.started, l.run.noted
		if l.damage != nil {
			t.order = max(t.order, r.order)
			s.addDamaged(r, l.damage)
			continue
		}
		if l.last.Kind == engine.KindFinished { // its row was damaged
			t.order = max(t.order, r.order)
			t.addFinished(r, rowOf(l))
			s.backlog = append(s.backlog, r)
			continue
		}
		if l.asleep {
			r.wake = l.run.wake
		}
		r.takeover = t.cutOff && !l.asleep && !l.waits()
		places = append(places, place{r, l.lane, l.asleep})
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.run.order, b.run.order) })
	for _, p := range places {
		t.order = max(t.order, p.run.order)
		t.add(p.run, p.lane, p.asleep)
	}
	for i := range rows {
		row := &rows[i]
		r := t.newRun(row.ID, &engine.Head{Workflow: row.Workflow, Version: row.Version, Trigger: row.Trigger, Parent: row.Parent}, row.Accepted, 0)
		r.seq = records[i]
		t.addFinished(r, row)
		s.backlog = append(s.backlog, r)
	}
	return nil
}

func (r *run) at() time.Time { return time.Unix(0, r.accepted) }

// loadJournals reads the journals of all runs from the mark on that are not known, and those of read.
func (s *Store) loadJournals(tx *bbolt.Tx, known map[engine.RunID]bool, read []engine.RunID) (live []*loaded, err error) {
	c := tx.Bucket(bucketJournal).Cursor()
	for _, id := range read {
		if string(id[:]) >= string(s.from[:]) {
			continue // the walk below comes to it
		}
		start := journalKey(id, 0)
		var l *loaded
		for k, v := c.Seek(start[:]); len(k) == len(start) && engine.RunID(k) == id; k, v = c.Next() {
			if l == nil {
				l = &loaded{id: id}
				live = append(live, l)
			}
			if err := l.add(&s.blobs, k, v); err != nil {
				return nil, err
			}
		}
		if l == nil {
			live = append(live, &loaded{id: id, damage: errNoJournal})
		}
	}
	var l *loaded
	start := journalKey(s.from, 0)
	for k, v := c.Seek(start[:]); k != nil; {
		id := engine.RunID(k)
		if known[id] {
			past := journalKey(id, 1<<32-1)
			if k, v = c.Seek(past[:]); len(k) == len(past) && engine.RunID(k) == id {
				k, v = c.Next()
			}
			continue
		}
		if l == nil || l.id != id {
			l = &loaded{id: id}
			live = append(live, l)
		}
		if err := l.add(&s.blobs, k, v); err != nil {
			return nil, err
		}
		k, v = c.Next()
	}
	// A walk passes over the keys of inner pages, a search goes by them: a run must be found both ways.
	for _, l := range live {
		if key := journalKey(l.id, 0); l.damage == nil && tx.Bucket(bucketJournal).Get(key[:]) == nil {
			l.damage = errNoJournal
		}
	}
	return live, nil
}

var errNoJournal = fmt.Errorf("%w: its journal is not where it belongs", engine.ErrDamaged)

// add folds one journal entry into a loaded run. An error is a journal that a newer release wrote, or a file that cannot
// be read.
func (l *loaded) add(b *blobs, k, v []byte) error {
	var recs []engine.Record
	var order uint64
	body, err := b.whole(k, v)
	if err == nil {
		recs, order, err = decodeFrame(k, body)
	}
	if err != nil && !errors.Is(err, engine.ErrDamaged) {
		return err
	}
	r := &l.run
	if err == nil && seqOf(k) != r.seq {
		err = fmt.Errorf("%w: record %d where %d was due", engine.ErrDamaged, seqOf(k), r.seq)
	}
	r.seq = seqOf(k) + max(1, uint32(len(recs)))
	r.bytes += storedSize(k, v)
	for i := range recs {
		if e := l.fold(&recs[i], order); err == nil {
			err = e
		}
	}
	if l.damage == nil {
		l.damage = err
	}
	return nil
}

// fold takes in one record.
func (l *loaded) fold(rec *engine.Record, order uint64) error {
	r := &l.run
	if rec.Seq == 0 {
		if rec.Head == nil {
			return fmt.Errorf("%w: its first record is %s", engine.ErrDamaged, rec.Kind)
		}
		head := *rec.Head
		l.head, l.lane = &head, head.Lane
		r.order, r.accepted = order, rec.At.UnixNano()
	}
	switch rec.Kind {
	case engine.KindParked:
		l.asleep, r.wake = true, 0
		if !rec.Until.IsZero() {
			r.wake = rec.Until.UnixNano()
			l.asleep = rec.Until.After(now())
		}
	case engine.KindSignal:
		l.asleep = false
		r.signals = r.heard(r.signals, rec)
	default:
		l.asleep = false
	}
	switch rec.Kind {
	case engine.KindStepStarted:
		if l.begun == nil {
			l.begun = map[string]time.Time{}
		}
		l.begun[rec.Step] = rec.Until
	case engine.KindStepCompleted, engine.KindStepFailed:
		delete(l.begun, rec.Step)
	}
	r.started = r.started || begins(rec)
	l.last = *rec
	l.last.Data = nil
	if rec.Kind == engine.KindFinished {
		l.last.Data = slices.Clone(rec.Data)
	}
	return nil
}

// waits reports whether the run is between two attempts of a step, or in a wait that is held in memory because it is
// short: that crashes nothing.
func (l *loaded) waits() bool {
	at := now()
	if l.last.Kind == engine.KindStepFailed {
		return l.last.Until.After(at)
	}
	for _, until := range l.begun {
		if !until.After(at) {
			return false
		}
	}
	return len(l.begun) > 0
}

// rowOf makes the row of a finished run from its journal.
func rowOf(l *loaded) *engine.Row {
	return &engine.Row{
		ID: l.id, Parent: l.head.Parent, Workflow: l.head.Workflow, Version: l.head.Version, Trigger: l.head.Trigger,
		Status: l.last.Status, Reason: l.last.Reason, Summary: string(l.last.Data),
		Accepted: l.run.at().UTC(), Finished: l.last.At,
	}
}

// addFinished puts a run in that waits for the archiver.
func (t *table) addFinished(r *run, row *engine.Row) {
	r.state, r.row = finished, row
	t.runs[r.id] = r
	t.index.insert(r)
	r.flow.index.insert(r)
}

// addDamaged puts a run in that nobody may claim; quarantineDamaged ends it.
func (s *Store) addDamaged(r *run, why error) {
	t := &s.table
	t.runs[r.id] = r
	t.index.insert(r)
	r.flow.index.insert(r)
	t.live++
	t.bytes += r.bytes
	t.enterParked(r)
	s.damaged = append(s.damaged, damagedRun{r, why})
}

type damagedRun struct {
	run *run
	why error
}

// quarantineDamaged ends the runs that the start found damaged.
func (s *Store) quarantineDamaged() {
	for _, d := range s.damaged {
		if err := s.quarantine(context.Background(), d.run, d.why); err != nil {
			s.log.Error("quarantine a damaged run", "run", d.run.id.String(), "err", err)
		}
	}
	s.damaged = nil
}

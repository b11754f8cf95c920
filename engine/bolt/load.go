package bolt

import (
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
	damage error
}

// load rebuilds the table from what state.db holds. Damaged journals end as quarantined once the writer runs.
func (s *Store) load() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var live []*loaded
	var rows []engine.Row
	var records []uint32
	err = view(s.db, func(tx *bbolt.Tx) error {
		live, rows, records = nil, nil, nil
		c := tx.Bucket(bucketDone).Cursor()
		done := map[engine.RunID]bool{}
		for k, v := c.First(); k != nil; k, v = c.Next() {
			row, n, err := decodeRow(engine.RunID(k), v)
			if err != nil {
				s.log.Error("a row is damaged; it is made again from the journal", "run", row.ID.String(), "err", err)
				continue
			}
			done[row.ID] = true
			rows, records = append(rows, row), append(records, n)
		}
		if live, err = s.loadJournals(tx, done); err != nil {
			return err
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
	t := &s.table
	slices.SortFunc(live, func(a, b *loaded) int { return int(int64(a.run.order) - int64(b.run.order)) })
	for _, l := range live {
		t.order = max(t.order, l.run.order)
		if l.head == nil {
			l.head, l.run.accepted = &engine.Head{}, l.id.Time().UnixNano()
		}
		r := t.newRun(l.id, l.head, l.run.at(), l.run.order)
		r.seq, r.bytes, r.signals, r.started = l.run.seq, l.run.bytes, l.run.signals, l.run.started
		if l.damage != nil {
			s.addDamaged(r, l.damage)
			continue
		}
		if l.last.Kind == engine.KindFinished { // its row was damaged
			t.addFinished(r, rowOf(l))
			s.backlog = append(s.backlog, r)
			continue
		}
		if l.asleep {
			r.wake = l.run.wake
		}
		r.takeover = t.cutOff && !l.asleep && !l.waits()
		t.add(r, l.lane, l.asleep)
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

// loadJournals reads the journals of all runs that are not done.
func (s *Store) loadJournals(tx *bbolt.Tx, done map[engine.RunID]bool) (live []*loaded, err error) {
	c := tx.Bucket(bucketJournal).Cursor()
	var l *loaded
	for k, v := c.First(); k != nil; {
		id := engine.RunID(k)
		if done[id] {
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
		if err := l.add(k, v); err != nil {
			return nil, err
		}
		k, v = c.Next()
	}
	// A walk passes over the keys of inner pages, a search goes by them: a run must be found both ways.
	for _, l := range live {
		if key := journalKey(l.id, 0); l.damage == nil && tx.Bucket(bucketJournal).Get(key[:]) == nil {
			l.damage = fmt.Errorf("%w: its journal is not where it belongs", engine.ErrDamaged)
		}
	}
	return live, nil
}

// add folds one journal entry into a loaded run. An error is a journal that a newer release wrote.
func (l *loaded) add(k, v []byte) error {
	recs, order, err := decodeFrame(k, v)
	if errors.Is(err, engine.ErrNewerFormat) {
		return err
	}
	r := &l.run
	if err == nil && seqOf(k) != r.seq {
		err = fmt.Errorf("%w: record %d where %d was due", engine.ErrDamaged, seqOf(k), r.seq)
	}
	r.seq = seqOf(k) + max(1, uint32(len(recs)))
	r.bytes += int64(len(k) + len(v))
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
		r.signals = append(r.signals, rec.Key)
	default:
		l.asleep = false
	}
	r.started = r.started || begins(rec)
	l.last = *rec
	l.last.Data = nil
	if rec.Kind == engine.KindFinished {
		l.last.Data = slices.Clone(rec.Data)
	}
	return nil
}

// waits reports whether the run is between two attempts of a step, which crashes nothing.
func (l *loaded) waits() bool {
	return l.last.Kind == engine.KindStepFailed && l.last.Until.After(now())
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

package bolt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

// claimBurst is how many runs are handed out at once, so that what they do does not come as a wall before the accepts.
const claimBurst = 16

// Claim implements engine.Journal. A run whose journal turns out to be damaged is not handed out: it ends as
// failed, reason quarantined, and keeps its journal.
func (s *Store) Claim(ctx context.Context, most int) ([]*engine.Claim, error) {
	for {
		select {
		case <-s.stop:
			return nil, engine.ErrClosed
		default:
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("claim runs: %w: %w", engine.ErrUnavailable, context.Cause(ctx))
		}
		// The callers whose events were just stored answer first, and those who come meanwhile are let in: a run that
		// begins is work for the processor that can wait a moment.
		runtime.Gosched()
		claims, wait := s.pick(min(most, claimBurst))
		if len(claims) > 0 {
			if claims = s.loadClaims(ctx, claims); len(claims) > 0 {
				_ = failpoint("claim", "after")
				return claims, nil
			}
			continue
		}
		select {
		case <-wait:
		case <-s.stop:
		case <-ctx.Done():
		}
	}
}

// token is what a claim on this machine holds: the run, and which of its claims.
type token struct {
	run   *run
	epoch uint64
}

// pick claims what is ready, or returns the channel that is closed when something is.
func (s *Store) pick(most int) ([]*engine.Claim, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.table
	var claims []*engine.Claim
	for len(claims) < most {
		r := t.pick()
		if r == nil {
			break
		}
		s.epoch++
		r.epoch = s.epoch
		c := &engine.Claim{Run: r.id, Seq: r.seq, Journal: r.journal, Token: token{r, r.epoch}}
		if r.takeover {
			c.Takeovers, r.takeover = 1, false
		}
		t.dropJournal(r)
		claims = append(claims, c)
	}
	if len(claims) > 0 {
		return claims, nil
	}
	if t.waiters == nil {
		t.waiters = make(chan struct{})
	}
	return nil, t.waiters
}

// loadClaims reads the journals that memory did not keep. Runs that cannot be read are left out.
func (s *Store) loadClaims(ctx context.Context, claims []*engine.Claim) []*engine.Claim {
	return slices.DeleteFunc(claims, func(c *engine.Claim) bool {
		if c.Journal != nil {
			return false
		}
		var err error
		if c.Journal, err = s.readState(c.Run, 0); err == nil {
			c.Seq = uint32(len(c.Journal))
			return false
		}
		if errors.Is(err, engine.ErrClosed) {
			return true
		}
		r := c.Token.(token).run
		if !errors.Is(err, engine.ErrDamaged) && !errors.Is(err, engine.ErrNotFound) { // which says nothing about the run
			s.log.Error("a run cannot be read; it is tried again", "run", c.Run.String(), "err", err)
			s.postpone(c.Token.(token))
			return true
		}
		if err := s.quarantine(ctx, r, err); err != nil {
			s.log.Error("quarantine a damaged run", "run", c.Run.String(), "err", err)
		}
		return true
	})
}

// readAgain is after how long a run is claimed again whose journal could not be read.
const readAgain = 10 * time.Second

// postpone gives a claim back for a while.
func (s *Store) postpone(tok token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tok.run.state == claimed && tok.run.epoch == tok.epoch {
		s.table.park(tok.run, now().Add(readAgain))
		s.timerChanged()
	}
}

// begins reports whether a record shows that a step has begun.
func begins(r *engine.Record) bool {
	return r.Kind == engine.KindStepStarted || r.Kind == engine.KindStepCompleted || r.Kind == engine.KindStepFailed
}

func hasBegun(recs []engine.Record) bool {
	return slices.ContainsFunc(recs, func(r engine.Record) bool { return begins(&r) })
}

// appendOp is an Append.
type appendOp struct {
	id      engine.RunID
	tok     token
	seq     uint32
	recs    []engine.Record
	frame   frame
	then    engine.Then
	force   bool // of the store itself: no claim is needed, and the records get their seq here
	row     *engine.Row
	bytes   int64
	flow    string
	started bool
	others  []*signalOp // of then.Signals, those that are news
}

// Append implements engine.Journal. A Park whose last record is no Parked one is kept in memory only: after a
// restart the run is ready. The store keeps the records' Data no longer than the call, watchers aside.
func (s *Store) Append(ctx context.Context, c *engine.Claim, recs []engine.Record, then engine.Then) error {
	tok, ok := c.Token.(token)
	if !ok || tok.run.id != c.Run {
		return fmt.Errorf("append to run %s: %w: the claim is not of this store", c.Run, engine.ErrLost)
	}
	for i := range recs {
		recs[i].Seq, recs[i].Format = c.Seq+uint32(i), engine.RecordFormat
	}
	if last := len(recs) - 1; then.Kind == engine.Park && last >= 0 && recs[last].Kind == engine.KindParked {
		recs[last].Until = then.Wake
	}
	o := &appendOp{
		id: c.Run, tok: tok, seq: c.Seq, recs: slices.Clone(recs), frame: newFrame(c.Run, recs), then: then,
		started: hasBegun(recs),
	}
	what := stage(recs, then)
	err := s.spill(&o.frame)
	if err == nil {
		err = failpoint(what, "before")
	}
	if err == nil {
		err = s.do(ctx, o, len(o.frame.value), second)
	}
	if err == nil {
		err = failpoint(what, "after")
	}
	if err != nil && !errors.Is(err, engine.ErrUnavailable) { // it is not stored
		s.discard(&o.frame)
	}
	if errors.Is(err, engine.ErrLost) || errors.Is(err, engine.ErrConflict) {
		if s.isStored(ctx, c.Run, recs) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("append to run %s: %w", c.Run, err)
	}
	c.Seq += uint32(len(recs))
	return nil
}

// stage names the failpoints of an Append.
func stage(recs []engine.Record, then engine.Then) string {
	switch {
	case then.Kind == engine.Finish:
		return "finish"
	case then.Kind == engine.Park:
		return "park"
	case slices.ContainsFunc(recs, func(r engine.Record) bool { return r.Kind == engine.KindStepCompleted && r.Attempt > 0 }):
		return "result"
	default:
		return "start"
	}
}

// isStored reports whether the journal holds exactly these records: an earlier Append whose answer got lost.
func (s *Store) isStored(ctx context.Context, id engine.RunID, recs []engine.Record) bool {
	if len(recs) == 0 {
		return false
	}
	have, err := s.Read(ctx, id, recs[0].Seq)
	if err != nil || len(have) < len(recs) {
		return false
	}
	for i := range recs {
		if have[i].Seq != recs[i].Seq || string(have[i].Encode(nil, id)) != string(recs[i].Encode(nil, id)) {
			return false
		}
	}
	return true
}

func (o *appendOp) write(b *batch) error {
	st := b.stage(o.id)
	if st == nil {
		return engine.ErrLost
	}
	r := st.run
	switch {
	case o.force:
		o.seq = st.seq
		for i := range o.recs {
			o.recs[i].Seq = o.seq + uint32(i)
		}
		o.frame = newFrame(o.id, o.recs)
		if o.seq == 0 {
			o.frame.setOrder(r.order)
		}
	case r != o.tok.run || st.ended || !b.s.holds(o.tok):
		return engine.ErrLost
	case st.seq != o.seq:
		return engine.ErrConflict // only signals are written without the claim
	}
	before := b.bytes
	if err := b.putFrame(&o.frame); err != nil {
		return storageError(err)
	}
	st.seq += uint32(len(o.recs))
	o.bytes = b.bytes - before
	o.flow = r.flow.id
	st.bytes += o.bytes
	st.started = st.started || o.started
	for i := range o.recs {
		st.signals = r.heard(st.signals, &o.recs[i])
	}
	if o.then.Kind == engine.Finish {
		row := o.then.Row
		row.ID, row.Parent, row.Workflow, row.Version, row.Trigger = r.id, r.parent, r.flow.id, r.version, r.trigger
		row.Accepted = time.Unix(0, r.accepted).UTC()
		if row.Finished.IsZero() {
			row.Finished = b.now
		}
		row.Finished = row.Finished.UTC().Round(0)
		o.row = &row
		if err := b.bucket(bucketDone).Put(r.id[:], encodeRow(&row, st.seq)); err != nil {
			return storageError(err)
		}
		st.finished = true
	}
	st.ended = o.then.Kind != engine.Continue
	var err error
	if last := len(o.recs) - 1; o.then.Kind == engine.Park && last >= 0 && o.recs[last].Kind == engine.KindParked {
		err = b.rests(st, o.then.Wake)
	} else {
		err = b.wentOn(st)
	}
	if err != nil {
		return storageError(err)
	}
	for i := range o.then.Signals {
		out := &o.then.Signals[i]
		other, err := newSignal(out.Run, out.Signal)
		if err != nil {
			b.s.log.Error("a signal cannot be written", "run", out.Run.String(), "err", err)
			continue
		}
		switch err := other.write(b); {
		case errors.Is(err, engine.ErrNotFound): // it has ended
		case err != nil:
			return err
		default:
			o.others = append(o.others, other)
		}
	}
	return nil
}

// holds reports whether a claim is the run's current one.
func (s *Store) holds(tok token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return tok.run.state == claimed && tok.run.epoch == tok.epoch
}

func (o *appendOp) apply(s *Store) {
	t := &s.table
	r := t.runs[o.id]
	r.seq += uint32(len(o.recs))
	r.bytes += o.bytes
	t.bytes += o.bytes
	r.started = r.started || o.started
	for i := range o.recs {
		r.signals = r.heard(r.signals, &o.recs[i])
	}
	switch o.then.Kind {
	case engine.Continue:
	case engine.Park:
		if wake := o.then.Wake; !wake.IsZero() && !wake.After(now()) {
			t.release(r)
			break
		}
		t.park(r, o.then.Wake)
		s.timerChanged()
	case engine.Release:
		t.release(r)
	case engine.Finish:
		t.finish(r, o.row)
		s.backlog = append(s.backlog, r)
		s.kickArchiver()
	}
	for _, other := range o.others {
		other.apply(s)
	}
}

func (o *appendOp) updates(send func(engine.Update)) {
	for i := range o.recs {
		send(engine.Update{Run: o.id, Workflow: o.flow, Record: o.recs[i]})
	}
	for _, other := range o.others {
		other.updates(send)
	}
}

// Limit implements engine.Journal.
func (s *Store) Limit(workflow string, most int) {
	s.mu.Lock()
	s.table.setLimit(workflow, most)
	wake := s.table.takeWaiters()
	s.mu.Unlock()
	if wake != nil {
		close(wake)
	}
}

// Pause implements engine.Journal.
func (s *Store) Pause(workflow string, on bool) {
	s.mu.Lock()
	s.table.setPaused(workflow, on)
	wake := s.table.takeWaiters()
	s.mu.Unlock()
	if wake != nil {
		close(wake)
	}
}

// Extend implements engine.Journal. A claim of this store ends only with an Append or with the process, so there
// is no lease to move.
func (s *Store) Extend(ctx context.Context, c *engine.Claim) error {
	tok, ok := c.Token.(token)
	if !ok || !s.holds(tok) {
		return fmt.Errorf("extend the claim of run %s: %w", c.Run, engine.ErrLost)
	}
	return nil
}

// signalOp is a Signal.
type signalOp struct {
	id    engine.RunID
	sig   engine.Signal
	rec   engine.Record
	bytes int64
	flow  string
	dup   bool
}

func newSignal(id engine.RunID, sig engine.Signal) (*signalOp, error) {
	data, err := json.Marshal(sig)
	if err != nil {
		return nil, err
	}
	return &signalOp{id: id, sig: sig, rec: engine.Record{
		At: now(), Format: engine.RecordFormat, Kind: engine.KindSignal, Step: sig.Step, Key: sig.ID, Reason: sig.Kind, Data: data,
	}}, nil
}

// Signal implements engine.Journal.
func (s *Store) Signal(ctx context.Context, id engine.RunID, sig engine.Signal) error {
	o, err := newSignal(id, sig)
	if err != nil {
		return fmt.Errorf("signal run %s: %w", id, err)
	}
	if err := s.do(ctx, o, len(o.rec.Data), second); err != nil {
		return fmt.Errorf("signal run %s: %w", id, err)
	}
	return nil
}

func (o *signalOp) write(b *batch) error {
	st := b.stage(o.id)
	if st == nil {
		return engine.ErrNotFound
	}
	if o.sig.ID != "" && (slices.Contains(st.run.signals, o.sig.ID) || slices.Contains(st.signals, o.sig.ID)) {
		o.dup = true
		return nil
	}
	o.rec.Seq = st.seq
	before := b.bytes
	f := newFrame(o.id, []engine.Record{o.rec}) // its Seq is known only here
	if err := b.s.spill(&f); err != nil {
		return err
	}
	if err := b.putFrame(&f); err != nil {
		return storageError(err)
	}
	st.seq++
	st.signals = st.run.heard(st.signals, &o.rec)
	o.bytes, o.flow = b.bytes-before, st.run.flow.id
	st.bytes += o.bytes
	return storageError(b.wentOn(st))
}

func (o *signalOp) apply(s *Store) {
	if o.dup {
		return
	}
	t := &s.table
	r := t.runs[o.id]
	r.seq++
	r.bytes += o.bytes
	t.bytes += o.bytes
	r.signals = r.heard(r.signals, &o.rec)
	if r.journal != nil {
		r.journal = append(r.journal, o.rec)
	}
	switch {
	case r.state == parked:
		r.urgent = r.urgent || o.sig.By != "" // a person waits for it now
		t.release(r)
	case r.state == ready && o.sig.ID == engine.SignalCancel:
		t.free(r)
	}
}

func (o *signalOp) updates(send func(engine.Update)) {
	if !o.dup {
		send(engine.Update{Run: o.id, Workflow: o.flow, Record: o.rec})
	}
}

// quarantine ends a run whose journal cannot be read. The journal stays as it is.
func (s *Store) quarantine(ctx context.Context, r *run, why error) error {
	text := fmt.Sprintf("The stored journal of this run is damaged: %v.", why)
	s.log.Error("a run is quarantined", "run", r.id.String(), "err", why)
	return s.do(context.WithoutCancel(ctx), &appendOp{
		id: r.id, force: true, recs: []engine.Record{{
			At: now(), Format: engine.RecordFormat, Kind: engine.KindFinished,
			Status: engine.StatusFailed, Reason: "quarantined", Data: []byte(text),
		}},
		then: engine.Then{Kind: engine.Finish, Row: engine.Row{Status: engine.StatusFailed, Reason: "quarantined", Summary: text}},
	}, len(text), second)
}

// keepTime releases parked runs when their time has come. It looks at least once a second while there are any,
// because the wall clock can be set and a machine can sleep.
func (s *Store) keepTime() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		s.mu.Lock()
		next := s.table.wakeDue(now())
		wake := s.table.takeWaiters()
		s.mu.Unlock()
		if wake != nil {
			close(wake)
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(min(time.Until(next), time.Second))
		}
		select {
		case <-timer.C:
		case <-s.due:
		case <-s.stop:
			return
		}
	}
}

func (s *Store) timerChanged() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

func (s *Store) kickArchiver() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// readState reads a run's journal from state.db, from seq on. ErrNotFound: it is not there. Records that are
// damaged are left out, and the error tells of the first; the others are returned with it.
func (s *Store) readState(id engine.RunID, from uint32) (recs []engine.Record, err error) {
	var damage error
	err = view(s.db, func(tx *bbolt.Tx) error {
		recs, damage = nil, nil
		c := tx.Bucket(bucketJournal).Cursor()
		start := journalKey(id, 0)
		k, v := c.Seek(start[:])
		if len(k) != len(start) || engine.RunID(k) != id {
			return engine.ErrNotFound
		}
		next := uint32(0)
		if from > 0 {
			start = journalKey(id, from)
			if k, v = c.Seek(start[:]); len(k) != len(start) || engine.RunID(k) != id || seqOf(k) > from {
				k, v = c.Prev() // from may stand inside the value before
			}
			next = seqOf(k)
		}
		for ; len(k) == len(start) && engine.RunID(k) == id; k, v = c.Next() {
			v, err := s.blobs.whole(k, v)
			if err != nil && !errors.Is(err, engine.ErrDamaged) {
				return err
			}
			var some []engine.Record
			if err == nil {
				some, _, err = decodeFrame(k, v)
			}
			if err == nil && seqOf(k) != next {
				err = fmt.Errorf("run %s: %w: record %d where %d was due", id, engine.ErrDamaged, seqOf(k), next)
			}
			if damage == nil {
				damage = err
			}
			next = seqOf(k) + max(1, uint32(len(some)))
			for _, r := range some {
				if r.Seq >= from {
					r.Data = slices.Clone(r.Data)
					recs = append(recs, r)
				}
			}
		}
		return nil
	})
	return recs, errors.Join(err, damage)
}

// Read implements engine.History. With an error that is ErrDamaged it returns the records that can be read.
func (s *Store) Read(ctx context.Context, id engine.RunID, from uint32) ([]engine.Record, error) {
	recs, err := s.readState(id, from)
	if errors.Is(err, engine.ErrNotFound) {
		recs, err = s.history.read(s.policy.Load(), id, from)
	}
	if errors.Is(err, engine.ErrNotFound) && s.knows(id) {
		err = fmt.Errorf("%w: its journal is not where it belongs", engine.ErrDamaged)
	}
	if err != nil {
		return recs, fmt.Errorf("read run %s: %w", id, err)
	}
	return recs, ctx.Err()
}

// knows reports whether memory has an unfinished run of this id.
func (s *Store) knows(id engine.RunID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.table.runs[id]
	return r != nil && r.row == nil
}

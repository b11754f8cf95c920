package bolt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

// A dedupKey stands for workflow, trigger and key.
type dedupKey [16]byte

func keyOf(h *engine.Head) (k dedupKey) {
	if h.Key == "" {
		return k
	}
	sum := sha256.Sum256([]byte(h.Workflow + "\x00" + h.Trigger + "\x00" + h.Key))
	copy(k[:], sum[:])
	return k
}

const dayLayout = "20060102"

// acceptOp stores a Batch.
type acceptOp struct {
	runs  []acceptRun
	puts  []engine.Put
	notes []note // accepted deliveries in this write
}

type acceptRun struct {
	new    engine.NewRun // the store's own copy: the caller may give up before the writer comes to it
	key    dedupKey
	recs   []engine.Record // Accepted, what was carried over, and Parked when it waits for NotBefore
	frame  frame
	answer engine.Accepted
	order  uint64
	bytes  int64
	noted  noted
	stale  bool // its id or its records changed after the frame was made
}

// Accept implements engine.Journal. The store keeps Data until the run's first claim: the caller must not change it.
func (s *Store) Accept(ctx context.Context, b engine.Batch) ([]engine.Accepted, error) {
	o := &acceptOp{runs: make([]acceptRun, len(b.Runs)), puts: b.Puts}
	size := 0
	for i := range b.Runs {
		r := &o.runs[i]
		r.new = b.Runs[i]
		n := &r.new
		recs := make([]engine.Record, 1, 2+len(n.Carry))
		recs[0] = engine.Record{At: n.At, Format: engine.RecordFormat, Kind: engine.KindAccepted, Head: &n.Head, Data: n.Data, Memo: n.Memo}
		recs = append(recs, n.Carry...)
		if !n.NotBefore.IsZero() {
			recs = append(recs, engine.Record{At: n.At, Format: engine.RecordFormat, Kind: engine.KindParked, Until: n.NotBefore})
		}
		for k := range recs {
			recs[k].Seq = uint32(k)
		}
		r.key, r.recs, r.frame = keyOf(&n.Head), recs, newFrame(n.ID, recs)
	}
	for i := range o.runs {
		f := &o.runs[i].frame
		if err := s.spill(f); err != nil {
			o.discard(s)
			return nil, fmt.Errorf("accept runs: %w", err)
		}
		size += len(f.value)
	}
	for i := range b.Puts {
		if err := checkKey(b.Puts[i].Key); err != nil {
			o.discard(s)
			return nil, fmt.Errorf("accept runs: %w", err)
		}
		size += len(b.Puts[i].Value)
	}
	err := failpoint("accept", "before")
	if err == nil {
		err = s.do(ctx, o, size, first)
	}
	if err == nil {
		err = failpoint("accept", "after")
	}
	if err != nil {
		if !errors.Is(err, engine.ErrUnavailable) { // nothing is stored
			o.discard(s)
		}
		return nil, fmt.Errorf("accept runs: %w", err)
	}
	answers := make([]engine.Accepted, len(o.runs))
	for i := range o.runs {
		answers[i] = o.runs[i].answer
		if answers[i].Duplicate || answers[i].Dropped {
			s.discard(&o.runs[i].frame)
		}
	}
	return answers, nil
}

// discard deletes the files of runs that are not stored.
func (o *acceptOp) discard(s *Store) {
	for i := range o.runs {
		s.discard(&o.runs[i].frame)
	}
}

func (o *acceptOp) write(b *batch) error {
	if err := o.check(b); err != nil {
		return err
	}
	for i := range o.runs {
		r := &o.runs[i]
		if !r.answer.Duplicate && !r.answer.Dropped {
			if err := o.put(b, r); err != nil {
				return storageError(err)
			}
		}
		if d := r.new.Delivery; d != nil {
			n, err := putDelivery(b, delivered(d, r))
			if err != nil {
				return storageError(err)
			}
			o.notes = append(o.notes, n)
		}
	}
	for i := range o.puts {
		if _, err := putValue(b, &o.puts[i]); err != nil {
			return storageError(err)
		}
	}
	return nil
}

// check decides on every run and put before anything is written.
func (o *acceptOp) check(b *batch) error {
	if len(o.runs) > 0 && b.refusal != nil {
		return b.refusal
	}
	for i := range o.puts {
		if err := checkPut(b, &o.puts[i]); err != nil {
			return err
		}
	}
	var added int
	var few [4]addition
	flows := few[:0]
	for i := range o.runs {
		r := &o.runs[i]
		earlier, dup := o.earlier(b, r, i)
		if r.answer = (engine.Accepted{ID: r.new.ID}); dup {
			r.answer = engine.Accepted{ID: earlier, Duplicate: true}
			continue
		}
		k := slices.IndexFunc(flows, func(a addition) bool { return a.flow == r.new.Head.Workflow })
		if k < 0 {
			k, flows = len(flows), append(flows, addition{flow: r.new.Head.Workflow})
		}
		if r.new.Limit > 0 && b.underWay(r.new.Head.Workflow)+flows[k].runs >= r.new.Limit {
			if r.new.Full == "drop" {
				r.answer = engine.Accepted{Dropped: true}
				continue
			}
			r.fail()
		}
		if err := r.renew(b.s); err != nil {
			return err
		}
		added++
		flows[k].runs++
	}
	return b.admit(added, flows)
}

// earlier looks for the run that r repeats: in this op, in this batch, among unfinished runs, in the window.
func (o *acceptOp) earlier(b *batch, r *acceptRun, i int) (engine.RunID, bool) {
	if r.key != (dedupKey{}) {
		for k := range o.runs[:i] {
			if o.runs[k].key == r.key && !o.runs[k].answer.Dropped {
				return o.runs[k].answer.ID, true
			}
		}
		if id, ok := b.keys[r.key]; ok {
			return id, true
		}
		if have := b.s.table.keys[r.key]; have != nil {
			return have.id, true
		}
		if id, ok := b.inWindow(r.key); ok {
			return id, true
		}
	}
	for b.taken(r.new.ID) {
		if r.key == (dedupKey{}) {
			return r.new.ID, true // the same call again: nobody draws 72 equal random bits
		}
		r.rename()
	}
	return engine.RunID{}, false
}

// underWay counts the runs of a flow that are ready or claimed.
func (b *batch) underWay(flow string) int {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	n := b.byFlow[flow]
	if f := b.s.table.flows[flow]; f != nil {
		n += f.awake
	}
	return n
}

// fail notes in the journal that the run found its workflow full; the engine ends it.
func (r *acceptRun) fail() {
	r.recs = append(slices.Clip(r.recs), engine.Record{
		Seq: uint32(len(r.recs)), At: r.new.At, Format: engine.RecordFormat, Kind: engine.KindSignal, Key: "full", Reason: "full",
	})
	r.stale = true
}

// renew makes the frame of a run again that the writer changed.
func (r *acceptRun) renew(s *Store) error {
	if !r.stale {
		return nil
	}
	s.discard(&r.frame)
	r.frame, r.stale = newFrame(r.new.ID, r.recs), false
	return s.spill(&r.frame)
}

// taken reports whether a run that is not archived has this id.
func (b *batch) taken(id engine.RunID) bool {
	return b.s.table.runs[id] != nil || b.runs[id] != nil
}

// rename moves the id by a millisecond: equal keys make equal ids within one, and the earlier run has ended.
func (r *acceptRun) rename() {
	var ms [8]byte
	copy(ms[2:], r.new.ID[:6])
	binary.BigEndian.PutUint64(ms[:], binary.BigEndian.Uint64(ms[:])+1)
	copy(r.new.ID[:6], ms[2:])
	r.stale = true
}

// inWindow looks a key up in the days whose keys can still be held.
func (b *batch) inWindow(k dedupKey) (id engine.RunID, ok bool) {
	today := b.now.UTC().Format(dayLayout)
	for _, day := range b.s.days {
		keys := b.bucket(bucketDedup).Bucket([]byte(day))
		if day < today || keys == nil {
			continue
		}
		v := keys.Get(k[:])
		if v == nil {
			continue
		}
		body, err := unseal(k[:], v)
		if err != nil || len(body) != 24 {
			b.s.log.Error("a dedupe key is damaged; its event may start a second run", "key", fmt.Sprintf("%x", k))
			continue
		}
		if int64(binary.BigEndian.Uint64(body[16:])) > b.now.UnixNano() {
			return engine.RunID(body[:16]), true
		}
	}
	return id, false
}

// An addition is how many runs an op adds to a workflow.
type addition struct {
	flow string
	runs int
}

// admit holds the bounds against the runs of one op, and counts them into the batch.
func (b *batch) admit(added int, flows []addition) error {
	if added == 0 {
		return nil
	}
	s := b.s
	s.mu.Lock()
	defer s.mu.Unlock()
	full := func(flow, reason string, backlog int) error {
		wait := 300.0
		if rate := s.table.ended.perSecond(); rate > 0 {
			wait = float64(backlog) / rate
		}
		return &engine.FullError{Workflow: flow, Reason: reason, RetryAfter: time.Duration(min(max(wait, 1), 300) * float64(time.Second)).Round(time.Second)}
	}
	if n := s.table.live + b.added + added; n > s.o.MaxRuns {
		return full("", "runs", n)
	}
	if s.table.bytes+b.bytes > s.o.MaxBytes {
		return full("", "bytes", s.table.live)
	}
	if n := len(s.backlog); n >= s.mostUnmoved() {
		return full("", "history", n)
	}
	for _, a := range flows {
		n := a.runs + b.byFlow[a.flow]
		if f := s.table.flows[a.flow]; f != nil {
			n += f.awake
		}
		if n > s.o.MaxWorkflowRuns {
			return full(a.flow, "runs", n)
		}
	}
	b.added += added
	for _, a := range flows {
		b.byFlow[a.flow] += a.runs
	}
	return nil
}

// put writes one new run.
func (o *acceptOp) put(b *batch, r *acceptRun) error {
	b.order++
	r.order = b.order
	r.frame.setOrder(r.order)
	before := b.bytes
	if err := b.putFrame(&r.frame); err != nil {
		return err
	}
	r.bytes = b.bytes - before
	b.runs[r.new.ID] = &newborn
	if err := o.note(b, r); err != nil {
		return err
	}
	if r.key == (dedupKey{}) {
		return nil
	}
	b.keys[r.key] = r.new.ID
	expiry := r.new.At.Add(r.new.Window)
	if r.new.Window <= 0 || !expiry.After(b.now) {
		return nil // held while the run lives: the table knows
	}
	day := expiry.UTC().Format(dayLayout)
	k, err := b.dedupDay(day)
	if err != nil {
		return err
	}
	value := make([]byte, 4, 28)
	value = append(value, r.new.ID[:]...)
	value = binary.BigEndian.AppendUint64(value, uint64(expiry.UnixNano()))
	return k.Put(r.key[:], seal(r.key[:], value))
}

// note writes the note of a run that begins with waiting, or that is older than the mark.
func (o *acceptOp) note(b *batch, r *acceptRun) error {
	n := &r.new
	switch {
	case r.recs[len(r.recs)-1].Kind == engine.KindParked:
		r.noted = noteRest
		run := newRun(n.ID, &n.Head, n.At, r.order)
		run.seq, run.bytes, run.started, run.wake = uint32(len(r.recs)), r.bytes, hasBegun(r.recs), n.NotBefore.UnixNano()
		return b.bucket(bucketParked).Put(n.ID[:], parkedRun{run, n.Head.Workflow, n.Head.Lane}.encode())
	case string(n.ID[:]) < string(b.s.from[:]):
		r.noted = noteRead
		return b.noteRead(n.ID)
	}
	return nil
}

func (b *batch) dedupDay(day string) (*bbolt.Bucket, error) {
	if k := b.bucket(bucketDedup).Bucket([]byte(day)); k != nil {
		return k, nil
	}
	if !slices.Contains(b.days, day) {
		b.days = append(b.days, day)
	}
	return b.bucket(bucketDedup).CreateBucket([]byte(day))
}

func (o *acceptOp) apply(s *Store) {
	for i := range o.runs {
		a := &o.runs[i]
		if a.answer.Duplicate || a.answer.Dropped {
			continue
		}
		t := &s.table
		r := t.newRun(a.new.ID, &a.new.Head, a.new.At, a.order)
		r.seq, r.bytes = uint32(len(a.recs)), a.bytes
		r.started, r.noted = hasBegun(a.recs), a.noted
		for k := range a.recs {
			r.signals = r.heard(r.signals, &a.recs[k])
		}
		t.keepJournal(r, a.recs)
		asleep := !a.new.NotBefore.IsZero()
		if asleep {
			r.wake = a.new.NotBefore.UnixNano()
		}
		t.add(r, a.new.Head.Lane, asleep)
		if asleep {
			s.timerChanged()
		}
	}
	for _, n := range o.notes {
		s.count(n)
	}
}

func (o *acceptOp) updates(send func(engine.Update)) {
	for i := range o.runs {
		r := &o.runs[i]
		if r.answer.Duplicate || r.answer.Dropped {
			continue
		}
		for k := range r.recs {
			send(engine.Update{Run: r.new.ID, Workflow: r.new.Head.Workflow, Record: r.recs[k]})
		}
	}
}

// delivered is the delivery of an accepted event: its data is in the run's journal.
func delivered(d *engine.Delivery, r *acceptRun) *engine.Delivery {
	out, a := *d, r.answer
	out.Run, out.Data = a.ID, nil
	if a.Dropped {
		out.Outcome, out.Data = engine.DeliveryDropped, r.new.Data // no run holds it
		out.Reason = fmt.Sprintf("The workflow had %d runs under way, as many as its concurrency allows.", r.new.Limit)
		out.ID = engine.NewRunID(out.At, &engine.Head{})
		return &out
	}
	if a.Duplicate {
		out.Outcome = engine.DeliveryDuplicate
		if out.ID.IsZero() || out.ID == a.ID {
			out.ID = engine.NewRunID(out.At, &engine.Head{})
		}
		return &out
	}
	if out.Outcome == "" {
		out.Outcome = engine.DeliveryAccepted
	}
	out.ID = a.ID
	return &out
}

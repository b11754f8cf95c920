package bolt

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

// maxRefusedData is how much of a refused call is stored, in bytes: strangers send these.
const maxRefusedData = 64 << 10

// Deliveries implements engine.Store.
func (s *Store) Deliveries() engine.Deliveries { return deliveries{s} }

type deliveries struct{ s *Store }

// Deliveries are in two buckets with bounds of their own, so that no flood of refused calls displaces an event
// that waits for its workflow to be enabled.
const (
	ordinary = 0
	kept     = 1
)

func kindOf(outcome string) (kind int, bucket []byte) {
	if outcome == engine.DeliveryKept {
		return kept, bucketKept
	}
	return ordinary, bucketDeliveries
}

// A tally counts the entries of a bucket.
type tally struct {
	count int
	bytes int64
}

// A note is what a stored delivery adds to its tally.
type note struct {
	kind int
	size int64
	gone int // entries replaced

	linked   int   // kind of the delivery that this one starts again
	linkSize int64 // what the link adds to it
}

func (t *tally) add(n note) {
	t.count += 1 - n.gone
	t.bytes += n.size
}

func putDelivery(b *batch, d *engine.Delivery) (note, error) {
	kind, name := kindOf(d.Outcome)
	k := b.bucket(name)
	n := note{kind: kind}
	if old := k.Get(d.ID[:]); old != nil {
		n.gone, n.size = 1, -int64(len(old)+len(d.ID))
	}
	value := encodeDelivery(d)
	n.size += int64(len(value) + len(d.ID))
	if err := k.Put(d.ID[:], value); err != nil || d.ResendOf.IsZero() {
		return n, err
	}
	return n, linkBack(b, d, &n)
}

// linkBack notes in the delivery that d starts again that it does; it may be gone.
func linkBack(b *batch, d *engine.Delivery, n *note) error {
	for kind, name := range [][]byte{bucketDeliveries, bucketKept} {
		k := b.bucket(name)
		v := k.Get(d.ResendOf[:])
		if v == nil {
			continue
		}
		old, err := decodeDelivery(d.ResendOf, v)
		if err != nil {
			return nil //nolint:nilerr // a damaged entry takes no link, and is no reason to refuse the event
		}
		old.ResentAs = d.ID
		value := encodeDelivery(&old)
		n.linked, n.linkSize = kind, int64(len(value)-len(v))
		return k.Put(d.ResendOf[:], value)
	}
	return nil
}

// recordOp is a Deliveries.Record.
type recordOp struct {
	d    engine.Delivery
	note note
}

func (o *recordOp) write(b *batch) error {
	if b.refusal != nil {
		return b.refusal
	}
	var err error
	o.note, err = putDelivery(b, &o.d)
	return storageError(err)
}

func (o *recordOp) apply(s *Store) { s.count(o.note) }

// Record implements engine.Deliveries. Of a call that was refused or failed it keeps at most 64 KiB of data.
func (d deliveries) Record(ctx context.Context, rec engine.Delivery) error {
	if rec.Outcome != engine.DeliveryKept && len(rec.Data) > maxRefusedData {
		rec.Data = nil // half an event cannot be sent again
	}
	rec.Data = bytes.Clone(rec.Data)
	if rec.ID.IsZero() {
		rec.ID = engine.NewRunID(rec.At, &engine.Head{})
	}
	if err := d.s.do(ctx, &recordOp{d: rec}, len(rec.Data)+256, first); err != nil {
		return fmt.Errorf("record delivery: %w", err)
	}
	return nil
}

// Read implements engine.Deliveries.
func (d deliveries) Read(ctx context.Context, id engine.RunID) (out engine.Delivery, err error) {
	err = view(d.s.db, func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucketKept).Get(id[:])
		if v == nil {
			v = tx.Bucket(bucketDeliveries).Get(id[:])
		}
		if v == nil {
			return engine.ErrNotFound
		}
		var err error
		out, err = decodeDelivery(id, v)
		out.Data = bytes.Clone(out.Data)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("read delivery %s: %w", id, err)
	}
	return out, ctx.Err()
}

// maxDeliveryScan bounds how many deliveries one List looks at; its cursor goes on behind them.
const maxDeliveryScan = 20_000

// List implements engine.Deliveries. A page may be short, even empty, with a cursor: then the bound of one scan
// was reached.
func (d deliveries) List(ctx context.Context, q engine.DeliveryQuery) (items []engine.Delivery, next string, err error) {
	limit := min(cmp.Or(max(q.Limit, 0), 50), 200)
	below := newest
	if q.Cursor != "" {
		if below, err = engine.ParseRunID(q.Cursor); err != nil {
			return nil, "", &engine.InputError{Message: "cursor: " + err.Error()}
		}
	}
	below = minID(below, idBound(q.Until))
	floor := idFloor(q.Since)
	err = view(d.s.db, func(tx *bbolt.Tx) error {
		items, next = nil, ""
		a, b := newest2(tx, bucketDeliveries, below), newest2(tx, bucketKept, below)
		for scanned := 0; ; scanned++ {
			c := a
			if a.key == nil || b.key != nil && bytes.Compare(b.key, a.key) > 0 {
				c = b
			}
			if c.key == nil || bytes.Compare(c.key, floor[:]) < 0 {
				return nil
			}
			id := engine.RunID(c.key)
			if len(items) == limit || scanned == maxDeliveryScan {
				next = below.String()
				return nil
			}
			rec, err := decodeDelivery(id, c.value)
			if err != nil {
				rec = engine.Delivery{ID: id, At: id.Time(), Outcome: engine.DeliveryFailed, Reason: "This stored delivery is damaged."}
			}
			rec.Data = nil
			below = id
			c.prev()
			if (q.Workflow == "" || rec.Workflow == q.Workflow) && (q.Outcome == "" || rec.Outcome == q.Outcome) {
				items = append(items, rec)
			}
		}
	})
	if err != nil {
		return nil, "", fmt.Errorf("list deliveries: %w", err)
	}
	return items, next, ctx.Err()
}

// A backward cursor walks a bucket from the newest id to the oldest.
type backward struct {
	c          *bbolt.Cursor
	key, value []byte
}

func newest2(tx *bbolt.Tx, bucket []byte, below engine.RunID) *backward {
	b := &backward{c: tx.Bucket(bucket).Cursor()}
	b.seek(below[:])
	return b
}

// seek goes to the last key that is less than below.
func (b *backward) seek(below []byte) {
	if k, _ := b.c.Seek(below); k == nil {
		b.key, b.value = b.c.Last()
		return
	}
	b.prev()
}

func (b *backward) prev() { b.key, b.value = b.c.Prev() }

// trimBatch is how many deliveries are deleted in one commit at most.
const trimBatch = 500

// trimOp deletes the oldest deliveries of a bucket, down to its bounds and those before a time.
type trimOp struct {
	kind   int
	before engine.RunID // zero: whatever their age
	gone   tally
}

func (o *trimOp) write(b *batch) error {
	s := b.s
	s.mu.Lock()
	have := s.stored[o.kind]
	s.mu.Unlock()
	o.gone = tally{}
	k := b.bucket([][]byte{bucketDeliveries, bucketKept}[o.kind])
	c := k.Cursor()
	var keys [][]byte
	for key, v := c.First(); key != nil && len(keys) < trimBatch; key, v = c.Next() {
		if have.count-o.gone.count <= s.o.MaxDeliveries && have.bytes-o.gone.bytes <= s.o.MaxDeliveryBytes && bytes.Compare(key, o.before[:]) >= 0 {
			break
		}
		keys = append(keys, bytes.Clone(key))
		o.gone.count++
		o.gone.bytes += int64(len(key) + len(v))
	}
	for _, key := range keys {
		if err := k.Delete(key); err != nil {
			return storageError(err)
		}
	}
	return nil
}

func (o *trimOp) apply(s *Store) {
	t := &s.stored[o.kind]
	t.count -= o.gone.count
	t.bytes -= o.gone.bytes
}

// dropOldDeliveries deletes those that are past the days of the Retention.
func (s *Store) dropOldDeliveries() error {
	days := s.policy.Load().days
	if days == 0 {
		return nil
	}
	before := idFloor(now().Add(-time.Duration(days) * day))
	for kind, name := range [][]byte{bucketDeliveries, bucketKept} {
		for old := true; old && !s.stopping(); {
			err := view(s.db, func(tx *bbolt.Tx) error {
				first, _ := tx.Bucket(name).Cursor().First()
				old = first != nil && bytes.Compare(first, before[:]) < 0
				return nil
			})
			if err == nil && old {
				err = s.doBack(&trimOp{kind: kind, before: before})
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// count adds a stored delivery; the mutex is held.
func (s *Store) count(n note) {
	s.stored[n.kind].add(n)
	s.stored[n.linked].bytes += n.linkSize
	if s.pastBounds(n.kind) {
		s.wakeHousekeeping()
	}
}

func (s *Store) overfull(kind int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pastBounds(kind)
}

// pastBounds reports whether a bucket is past its bounds by a hundredth, so that trimming is worth a commit.
func (s *Store) pastBounds(kind int) bool {
	t := s.stored[kind]
	return t.count > s.o.MaxDeliveries+s.o.MaxDeliveries/100 || t.bytes > s.o.MaxDeliveryBytes+s.o.MaxDeliveryBytes/100
}

package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

// Bounds of one commit and of what waits for the next.
const (
	maxBatchOps   = 4096
	maxBatchBytes = 8 << 20
	maxQueueOps   = 8192
	maxQueueBytes = 64 << 20
	maxQueueWait  = time.Second
	maxLinger     = 2 * time.Millisecond  // and at most one and a half commits: where the disk is fast, callers need that to come back
	slowCommit    = 20 * time.Millisecond // background work stays out of the commit after one that took longer
)

// An op is one change. The writer calls write with the open transaction; an op that fails there must not have
// written anything. After the commit it calls apply, under the store's mutex, to bring memory up to date.
type op interface {
	write(b *batch) error
	apply(s *Store)
}

// A request is an op on its way to the writer.
type request struct {
	op   op
	size int // bytes that it will write
	at   time.Time
	done chan struct{} // closed when err is known
	err  error
}

// A queue holds what waits for the writer. It is a slice and not a channel so that a lingering writer sleeps
// until as many requests wait as it hopes for: one wake-up for a batch instead of one for each request.
type queue struct {
	mu      sync.Mutex
	reqs    []*request
	bytes   int
	back    *request // background work, one at a time
	want    int      // how many requests the writer sleeps for
	wake    chan struct{}
	idle    bool // the last batch left nothing behind
	refusal error
}

// push hands a request to the writer. Requests that may be shed are refused when too much waits, or for too long.
func (q *queue) push(r *request, shed bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refusal != nil {
		return q.refusal
	}
	r.at = time.Now()
	if shed && len(q.reqs) > 0 &&
		(len(q.reqs) >= maxQueueOps || q.bytes+r.size > maxQueueBytes || r.at.Sub(q.reqs[0].at) > maxQueueWait) {
		return &engine.FullError{Reason: "writer", RetryAfter: time.Second}
	}
	q.reqs = append(q.reqs, r)
	q.bytes += r.size
	if len(q.reqs) >= q.want {
		q.signal()
	}
	return nil
}

// pushBack hands over background work; there is one goroutine that has any, so the place is free.
func (q *queue) pushBack(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refusal != nil {
		return q.refusal
	}
	q.back = r
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close refuses what comes from now on; the writer still writes what waits.
func (q *queue) close(refusal error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refusal == nil {
		q.refusal = refusal
	}
	q.signal()
}

// busy reports whether callers wait for the writer right now.
func (q *queue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.idle
}

// take returns the next batch, or nil when the queue is closed and empty. It waits for a first request, then
// lingers for up to hope of them: callers that the last commit released come back a moment later, and a commit
// without them would make them wait for the one after it.
func (q *queue) take(hope int, linger time.Duration, background bool, timer *time.Timer) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.reqs) == 0 && q.back == nil {
		if q.refusal != nil {
			return nil
		}
		q.want, q.idle = 1, true
		q.mu.Unlock()
		<-q.wake
		q.mu.Lock()
	}
	q.idle = false
	if hope > 1 && linger > 0 && len(q.reqs) > 0 {
		timer.Reset(linger)
		for late := false; len(q.reqs) < hope && q.refusal == nil && !late; {
			q.want = hope
			q.mu.Unlock()
			select {
			case <-q.wake:
			case <-timer.C:
				late = true
			}
			q.mu.Lock()
		}
		timer.Stop()
	}
	n, bytes := 0, 0
	for n < len(q.reqs) && n < maxBatchOps && (n == 0 || bytes+q.reqs[n].size <= maxBatchBytes) {
		bytes += q.reqs[n].size
		n++
	}
	reqs := make([]*request, n, n+1)
	copy(reqs, q.reqs)
	rest := copy(q.reqs, q.reqs[n:])
	clear(q.reqs[rest:])
	q.reqs = q.reqs[:rest]
	q.bytes -= bytes
	if q.back != nil && (background || n == 0) {
		reqs = append(reqs, q.back)
		q.back = nil
	}
	return reqs
}

// A batch is one write transaction and the changes to memory that wait for its commit.
type batch struct {
	s       *Store
	tx      *bbolt.Tx
	now     time.Time
	runs    map[engine.RunID]*staged
	keys    map[dedupKey]engine.RunID // keys accepted in this batch
	added   int                       // runs
	byFlow  map[string]int            // runs, by workflow
	bytes   int64
	order   uint64
	days    []string // of new buckets under dedup
	refusal error    // *engine.FullError while the disk is nearly full
	buckets map[string]*bbolt.Bucket
}

// staged is a run as the batch has changed it so far.
type staged struct {
	run      *run // nil: accepted in this batch
	seq      uint32
	ended    bool // the claim ended in this batch
	finished bool // so did the run
	signals  []string
}

func (b *batch) bucket(name []byte) *bbolt.Bucket {
	if k := b.buckets[string(name)]; k != nil {
		return k
	}
	k := b.tx.Bucket(name)
	b.buckets[string(name)] = k
	return k
}

// stage returns the run as this batch sees it, nil when there is no unfinished one. Only the writer adds and
// removes runs and moves their seq, so it may look without the mutex.
func (b *batch) stage(id engine.RunID) *staged {
	if st := b.runs[id]; st != nil {
		if st.run == nil || st.finished {
			return nil
		}
		return st
	}
	r := b.s.table.runs[id]
	if r == nil || r.row != nil {
		return nil
	}
	st := &staged{run: r, seq: r.seq}
	b.runs[id] = st
	return st
}

func (b *batch) putFrame(f *frame) error {
	if len(f.value) == 0 {
		return nil
	}
	b.bytes += int64(len(f.value)) + int64(len(f.key))
	return b.bucket(bucketJournal).Put(f.key[:], f.value)
}

// write is the writer: the one goroutine with write transactions.
func (s *Store) write() {
	defer close(s.writerDone)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var (
		took time.Duration // the last commit
		mean time.Duration // of commits, moving
		last = 1           // requests that the next batch may hope for
	)
	for {
		reqs := s.queue.take(last, min(mean*3/2, maxLinger), took < slowCommit, timer)
		if reqs == nil {
			return
		}
		begun := time.Now()
		b, err := s.writeBatch(reqs)
		took = time.Since(begun)
		mean = (7*mean + took) / 8
		last = max(len(reqs), last*7/8)
		if err != nil {
			if s.rejectBatch(reqs, err) {
				return
			}
			continue
		}
		s.applyBatch(b, reqs)
	}
}

// fault is an error of a commit after which nothing is known about the disk.
type fault struct{ error }

func (f fault) Unwrap() error { return f.error }

// writeBatch writes and commits what the requests ask for. Requests that fail alone have their err set; an error
// means that nothing is stored, or, if it is a fault, that nobody knows.
func (s *Store) writeBatch(reqs []*request) (b *batch, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fault{fmt.Errorf("write %s: %w: %v", stateFile, engine.ErrDamaged, p)}
		}
	}()
	tx, err := s.db.Begin(true)
	if err != nil {
		return nil, fault{err}
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing left to roll back
	b = &batch{
		s: s, tx: tx, now: now(), order: s.table.order, refusal: s.disk.refusal(),
		runs: map[engine.RunID]*staged{}, keys: map[dedupKey]engine.RunID{}, byFlow: map[string]int{},
		buckets: make(map[string]*bbolt.Bucket, len(stateBuckets)),
	}
	for _, r := range reqs {
		if r.err = r.op.write(b); errors.Is(r.err, errStorage) {
			return nil, fault{r.err}
		}
	}
	if err := s.commit(tx); err != nil {
		return nil, commitError(err)
	}
	return b, nil
}

// errStorage marks an error of bbolt in the middle of an op: half of it may be in the transaction.
var errStorage = errors.New("write to the database")

func storageError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errStorage, err)
}

// commitError tells a full disk, where bbolt's write failed and it rolled back, from everything else, a failed
// fsync above all: after that the kernel may have dropped the pages, and trying again proves nothing.
func commitError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) && path.Op == "write" && errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return fault{fmt.Errorf("commit: %w", err)}
}

// rejectBatch answers all requests of a batch that was not stored. It reports whether the writer must end.
func (s *Store) rejectBatch(reqs []*request, err error) (broken bool) {
	var f fault
	if broken = errors.As(err, &f); broken {
		s.broken.Store(true)
		s.queue.close(fmt.Errorf("%w: %w", engine.ErrClosed, f.error))
		err = fmt.Errorf("%w: %w", engine.ErrUnavailable, f.error)
	} else {
		s.log.Error("the disk is full", "err", err)
		s.disk.filled()
		s.wakeHousekeeping()
		err = &engine.FullError{Reason: "disk", RetryAfter: diskRetry}
	}
	for _, r := range reqs {
		r.err = err
		close(r.done)
	}
	if broken {
		s.queue.abandon(err)
		s.log.Error("the store stops: a commit failed", "err", f.error)
		s.fatal <- f.error
	}
	return broken
}

// abandon answers everything that waits with err.
func (q *queue) abandon(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.back != nil {
		q.reqs = append(q.reqs, q.back)
	}
	for _, r := range q.reqs {
		r.err = err
		close(r.done)
	}
	q.reqs, q.back, q.bytes = nil, nil, 0
}

// applyBatch brings memory up to the commit, answers the callers, and tells the watchers.
func (s *Store) applyBatch(b *batch, reqs []*request) {
	s.commits.Add(1)
	s.ops.Add(uint64(len(reqs)))
	s.mu.Lock()
	s.table.order = b.order
	s.days = append(s.days, b.days...)
	for _, r := range reqs {
		if r.err == nil {
			r.op.apply(s)
		}
	}
	wake := s.table.takeWaiters()
	s.mu.Unlock()
	for _, r := range reqs {
		close(r.done)
	}
	if s.watchers.any() {
		for _, r := range reqs {
			if w, ok := r.op.(interface {
				updates(send func(engine.Update))
			}); ok && r.err == nil {
				w.updates(s.watchers.send)
			}
		}
	}
	if wake != nil {
		close(wake)
	}
}

// do hands an op to the writer and waits for its outcome. When ctx ends first the outcome is unknown.
func (s *Store) do(ctx context.Context, o op, size int, shed bool) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, context.Cause(ctx))
	}
	r := &request{op: o, size: size, done: make(chan struct{})}
	if err := s.queue.push(r, shed); err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, context.Cause(ctx))
	}
}

// doBack hands background work to the writer. Callers hold backMu, so that there is one at a time.
func (s *Store) doBack(o op) error {
	s.backMu.Lock()
	defer s.backMu.Unlock()
	r := &request{op: o, done: make(chan struct{})}
	if err := s.queue.pushBack(r); err != nil {
		return err
	}
	<-r.done
	return r.err
}

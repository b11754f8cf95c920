package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"strings"
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
	maxLinger     = 2 * time.Millisecond  // and at most one and a half commits: where the disk is fast, callers need that to come back
	lingerPart    = 4                     // it waits on in quarters of that while the missing ones would be here in as many quarters,
	lingerParts   = 11                    // but not for more of them than these
	slowCommit    = 20 * time.Millisecond // background work stays out of the commit after one that took longer
)

// maxQueueWait is how long requests may wait before accepts are shed. Tests make it longer.
var maxQueueWait = time.Second

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
	done chan struct{} // has room for the one word that err is known
	err  error
}

// newRequest uses one again: one for every write would be a tenth of what the store allocates.
func (s *Store) newRequest(o op, size int) *request {
	r, ok := s.requests.Get().(*request)
	if !ok {
		r = &request{done: make(chan struct{}, 1)}
	}
	r.op, r.size, r.err = o, size, nil
	return r
}

// freeRequest is for those who have heard of the outcome.
func (s *Store) freeRequest(r *request) {
	r.op = nil
	s.requests.Put(r)
}

// resolve tells who waits that err is known. The request is theirs from then on.
func (r *request) resolve() { r.done <- struct{}{} }

// Classes of requests. Somebody outside waits for the answer to an accept, so accepts stand first in a commit and are
// answered first; where a commit cannot take all, three quarters of it are theirs.
const (
	first      = iota // accepts
	second            // the work on runs and everything else
	classCount        // of classes
)

// A queue holds what waits for the writer. It has slices and not channels so that a lingering writer sleeps until as
// many requests wait as it hopes for: one wake-up for a batch instead of one for each request.
type queue struct {
	mu      sync.Mutex
	reqs    [classCount][]*request
	bytes   int
	back    *request // background work, one at a time
	want    int      // of classes requests the writer sleeps for
	wake    chan struct{}
	idle    bool // the last batch left nothing behind
	refusal error
}

func (q *queue) len() int { return len(q.reqs[first]) + len(q.reqs[second]) }

// push hands a request to the writer. Those of the first class may be shed: they are refused when too much waits, or
// for too long.
func (q *queue) push(r *request, class int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refusal != nil {
		return q.refusal
	}
	r.at = time.Now()
	if class == first && (q.len() >= maxQueueOps || q.len() > 0 && q.bytes+r.size > maxQueueBytes || r.at.Sub(q.oldest(r.at)) > maxQueueWait) {
		return &engine.FullError{Reason: "writer", RetryAfter: time.Second}
	}
	q.reqs[class] = append(q.reqs[class], r)
	q.bytes += r.size
	if q.len() >= q.want {
		q.signal()
	}
	return nil
}

// oldest is since when the request waits that waits longest; none: now.
func (q *queue) oldest(now time.Time) time.Time {
	for _, reqs := range q.reqs {
		if len(reqs) > 0 && reqs[0].at.Before(now) {
			now = reqs[0].at
		}
	}
	return now
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
	for q.len() == 0 && q.back == nil {
		if q.refusal != nil {
			return nil
		}
		q.want, q.idle = 1, true
		q.mu.Unlock()
		<-q.wake
		q.mu.Lock()
	}
	q.idle = false
	if hope > 1 && linger > 0 && q.len() > 0 {
		q.linger(hope, linger, timer)
	}
	room, space := maxBatchOps, maxBatchBytes
	if len(q.reqs[second]) > 0 {
		room, space = room/4*3, space/4*3
	}
	reqs := make([]*request, 0, min(q.len(), maxBatchOps)+1)
	reqs, left := q.move(reqs, first, room, space)
	reqs, _ = q.move(reqs, second, maxBatchOps-len(reqs), maxBatchBytes-(space-left))
	if q.back != nil && (background || len(reqs) == 0) {
		reqs = append(reqs, q.back)
		q.back = nil
	}
	return reqs
}

// linger waits for hope requests. A machine that is busy needs longer for that than linger says, so the writer waits
// on while they come in fast enough to be complete soon.
func (q *queue) linger(hope int, linger time.Duration, timer *time.Timer) {
	for wait := range 1 + lingerParts {
		had := q.len()
		if had >= hope || q.refusal != nil {
			return
		}
		if wait > 0 {
			timer.Reset(linger / lingerPart)
		} else {
			timer.Reset(linger)
		}
		for late := false; q.len() < hope && q.refusal == nil && !late; {
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
		if (q.len()-had)*lingerPart < hope-q.len() {
			return
		}
	}
}

// move takes requests of a class from the queue, as many as there is room and space for, at least one of what waits.
func (q *queue) move(to []*request, class, room, space int) (reqs []*request, left int) {
	from := q.reqs[class]
	n := 0
	for n < len(from) && n < room && (len(to) == 0 || from[n].size <= space) {
		space -= from[n].size
		q.bytes -= from[n].size
		to = append(to, from[n])
		n++
	}
	rest := copy(from, from[n:])
	clear(from[rest:])
	q.reqs[class] = from[:rest]
	return to, space
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
	bytes    int64 // that the batch added
	noted    noted
	started  bool // a step has begun in this batch
	ended    bool // the claim ended in this batch
	finished bool // so did the run
	signals  []string
}

// newborn stands for every run that its batch accepted: nothing can be done to one before the commit.
var newborn staged

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
	st := &staged{run: r, seq: r.seq, noted: r.noted}
	b.runs[id] = st
	return st
}

func (b *batch) putFrame(f *frame) error {
	if len(f.value) == 0 {
		return nil
	}
	b.bytes += int64(len(f.value)) + int64(len(f.key)) + f.blob.size
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
		runs: make(map[engine.RunID]*staged, len(reqs)), keys: map[dedupKey]engine.RunID{}, byFlow: map[string]int{},
		buckets: make(map[string]*bbolt.Bucket, len(stateBuckets)),
	}
	for _, r := range reqs {
		if r.err = r.op.write(b); errors.Is(r.err, errStorage) {
			return nil, fault{r.err}
		}
	}
	_ = failpoint("commit", "before")
	if err := s.commit(tx); err != nil {
		return nil, commitError(err)
	}
	_ = failpoint("commit", "after")
	st := tx.Stats()
	s.diskTime.Add(int64(st.GetWriteTime()))
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

// commitError tells a disk that takes no more, where bbolt's write failed and it rolled back, from everything else, a
// failed fsync above all: after that the kernel may have dropped the pages, and trying again proves nothing.
func commitError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) && (path.Op == "write" || path.Op == "truncate") && noSpace(err) {
		return err
	}
	if grewNot(err) {
		return err
	}
	return fault{fmt.Errorf("commit: %w", err)}
}

// grewNot reports whether bbolt could not make its file longer, which it tries before it writes a page, for want of room.
// It keeps the text of that error alone.
func grewNot(err error) bool {
	reason, ok := strings.CutPrefix(err.Error(), "file resize error: truncate ")
	return ok && slices.ContainsFunc([]error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS}, func(why error) bool {
		return strings.HasSuffix(reason, ": "+why.Error())
	})
}

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// rejectBatch answers all requests of a batch that was not stored. It reports whether the writer must end.
func (s *Store) rejectBatch(reqs []*request, err error) (broken bool) {
	var f fault
	if broken = errors.As(err, &f); broken {
		s.broken.Store(true)
		s.queue.close(fmt.Errorf("%w: %w", engine.ErrClosed, f.error))
		err = fmt.Errorf("%w: %w", engine.ErrUnavailable, f.error)
	} else {
		s.outOfSpace(err)
		err = &engine.FullError{Reason: "disk", RetryAfter: diskRetry}
	}
	for _, r := range reqs {
		r.err = err
		r.resolve()
	}
	if broken {
		s.queue.abandon(err)
		s.fail(f.error)
	}
	return broken
}

// abandon answers everything that waits with err.
func (q *queue) abandon(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.back != nil {
		q.reqs[second] = append(q.reqs[second], q.back)
	}
	for class, reqs := range q.reqs {
		for _, r := range reqs {
			r.err = err
			r.resolve()
		}
		q.reqs[class] = nil
	}
	q.back, q.bytes = nil, 0
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
	for _, st := range b.runs {
		if st.run != nil {
			st.run.noted = st.noted
		}
	}
	wake := s.table.takeWaiters()
	s.mu.Unlock()
	type teller interface {
		updates(send func(engine.Update))
	}
	var tell []teller
	if s.watchers.any() {
		for _, r := range reqs {
			if t, ok := r.op.(teller); ok && r.err == nil {
				tell = append(tell, t)
			}
		}
	}
	for _, r := range reqs {
		r.resolve()
	}
	for _, t := range tell {
		t.updates(s.watchers.send)
	}
	if wake != nil {
		close(wake)
	}
}

// do hands an op to the writer and waits for its outcome. When ctx ends first the outcome is unknown.
func (s *Store) do(ctx context.Context, o op, size, class int) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, context.Cause(ctx))
	}
	r := s.newRequest(o, size)
	if err := s.queue.push(r, class); err != nil {
		s.freeRequest(r)
		return err
	}
	select {
	case <-r.done:
		err := r.err
		s.freeRequest(r)
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, context.Cause(ctx))
	}
}

// doBack hands background work to the writer. Callers hold backMu, so that there is one at a time.
func (s *Store) doBack(o op) error {
	s.backMu.Lock()
	defer s.backMu.Unlock()
	r := s.newRequest(o, 0)
	defer s.freeRequest(r)
	if err := s.queue.pushBack(r); err != nil {
		return err
	}
	<-r.done
	return r.err
}

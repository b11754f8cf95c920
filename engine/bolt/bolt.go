// Package bolt keeps runs on one machine, in bbolt files.
//
// The file state.db holds only truth: the journals of unfinished runs, keys under their dedupe window, the small
// values of the KV, deliveries, and finished runs that have not been moved yet. Everything that a scheduler or a
// list needs besides is a table in memory, rebuilt from the journals at the start. One goroutine, the writer,
// owns all write transactions and puts the calls of many callers into one commit. Large journal values lie in files of
// their own while their run is here. The archiver moves finished
// runs to segments, bbolt files of at most a day, which retention deletes whole.
package bolt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/bellhop-dev/bellhop/engine"
)

// Options are the bounds of a store. The zero value has the defaults.
type Options struct {
	MaxRuns          int   // unfinished runs; 0 is 100,000
	MaxWorkflowRuns  int   // unfinished runs of one workflow that do not wait for a time or a signal; 0 is 10,000
	MaxBytes         int64 // stored bytes of unfinished runs; 0 is 2 GiB
	MaxDeliveries    int   // deliveries, and again kept ones; 0 is 100,000
	MaxDeliveryBytes int64 // their bytes, and again those of kept ones; 0 is 256 MiB
	Retention        engine.Retention
	Log              *slog.Logger // nil: nothing is logged
	NoSync           bool         // commits do not wait for the disk; for tests only

	reserve int64 // bytes of the disk's reserve; tests that open thousands of stores want less
}

func (o Options) withDefaults() Options {
	o.MaxRuns = cmp.Or(o.MaxRuns, 100_000)
	o.MaxWorkflowRuns = cmp.Or(o.MaxWorkflowRuns, 10_000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 2<<30)
	o.MaxDeliveries = cmp.Or(o.MaxDeliveries, 100_000)
	o.MaxDeliveryBytes = cmp.Or(o.MaxDeliveryBytes, 256<<20)
	if most := o.Retention.MaxBytes; most > 0 {
		o.MaxDeliveryBytes = min(o.MaxDeliveryBytes, most/8)
	}
	o.reserve = cmp.Or(o.reserve, reserveSize)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// The buckets of state.db. A stored name or layout changes only together with formatVersion.
var (
	bucketMeta       = []byte("meta")       // name -> text: format, id, epoch, clean; from -> sealed run16
	bucketJournal    = []byte("j")          // run16 seq4 -> framed records, or the name of a file in blobs/ that holds them
	bucketParked     = []byte("parked")     // run16 -> sealed note about a run that waits, or nothing when it went on
	bucketDone       = []byte("done")       // run16 -> sealed row: finished, not archived
	bucketDedup      = []byte("dedup")      // yyyymmdd of the expiry -> bucket of key16 -> sealed run16 expiry8
	bucketKV         = []byte("kv")         // key -> sealed rev8 expiry8 value
	bucketDeliveries = []byte("deliveries") // id16 -> sealed delivery
	bucketKept       = []byte("kept")       // id16 -> sealed delivery of outcome kept
	bucketSegments   = []byte("segments")   // class/file -> sealed bounds and size of a history segment

	stateBuckets = [][]byte{bucketMeta, bucketJournal, bucketParked, bucketDone, bucketDedup, bucketKV, bucketDeliveries, bucketKept, bucketSegments}
)

// Store is an engine.Store in one directory of one machine.
type Store struct {
	dir  string
	o    Options
	log  *slog.Logger
	db   *bbolt.DB
	lock *os.File
	id   string // of the database, in meta and instance.json

	queue    queue
	requests sync.Pool             // of *request
	commit   func(*bbolt.Tx) error // (*bbolt.Tx).Commit; tests put a failing one in its place
	disk     disk
	commits  atomic.Uint64
	ops      atomic.Uint64
	diskTime atomic.Int64 // ns that commits spent in writing and syncing
	broken   atomic.Bool  // a commit failed: nothing more is written
	backMu   sync.Mutex   // held by the one who has background work for the writer
	moveMu   sync.Mutex   // held while segments are written or dropped
	snapMu   sync.Mutex   // held while a snapshot is open; taken before moveMu
	pruneMu  sync.Mutex   // held by the one who prunes; taken before moveMu
	from     engine.RunID // every unfinished run below it has a note in bucketParked; the writer's own
	days     []string     // names of the buckets in bucketDedup, sorted; the writer's own
	epoch    uint64       // of claims: unique over restarts; guarded by mu

	mu       sync.Mutex
	table    table
	backlog  []*run        // finished, in the order of their end, not archived
	due      chan struct{} // the earliest wake time changed
	history  history
	blobs    blobs
	retain   atomic.Pointer[engine.Retention]
	policy   atomic.Pointer[policy] // what it said last
	stored   [2]tally               // deliveries and kept ones
	watchers watchers
	damaged  []damagedRun // found at the start

	stop       chan struct{} // closed: background work ends, Claim returns ErrClosed
	stopOnce   sync.Once
	writerDone chan struct{}
	workers    sync.WaitGroup
	fatal      chan error
	kick       chan struct{} // the archiver has work
	tidy       chan struct{} // housekeeping has
}

var _ engine.Store = (*Store)(nil)

// Open opens the store in dir and creates what is missing. Where it would have to guess, at a database that is
// missing, short, old, foreign, damaged, newer, or in use, it changes nothing and returns a *StartError.
func Open(dir string, o Options) (_ *Store, err error) {
	o = o.withDefaults()
	s := &Store{
		dir: dir, o: o, log: o.Log,
		commit:     (*bbolt.Tx).Commit,
		due:        make(chan struct{}, 1),
		stop:       make(chan struct{}),
		writerDone: make(chan struct{}),
		fatal:      make(chan error, 1),
		kick:       make(chan struct{}, 1),
		tidy:       make(chan struct{}, 1),
	}
	s.queue.wake = make(chan struct{}, 1)
	s.table.init()
	s.retain.Store(&o.Retention)
	s.policy.Store(&policy{days: o.Retention.Days, max: o.Retention.MaxBytes})
	if err := makeDir(dir); err != nil {
		return nil, startError(err, "make the folder %s writable", dir)
	}
	if s.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			if s.db != nil {
				_ = s.db.Close()
			}
			_ = s.lock.Close()
		}
	}()
	side, err := checkInstance(dir)
	if err != nil {
		return nil, err
	}
	if err := s.openState(side); err != nil {
		return nil, err
	}
	if err := s.blobs.open(s); err != nil {
		return nil, startError(err, "let this user read and write %s", filepath.Join(dir, blobDir))
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	if err := s.history.open(s); err != nil {
		return nil, err
	}
	if err := unmapRead(s.db); err != nil {
		s.log.Warn("give back what the start read", "err", err)
	}
	if err := s.writeInstance(); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(dir, snapshotDir)); err != nil { // a crash left it
		return nil, startError(err, "let this user write %s", dir)
	}
	s.disk.open(dir, s.o.reserve)
	go s.write()
	s.workers.Go(s.keepTime)
	s.workers.Go(s.quarantineDamaged)
	s.workers.Go(s.archive)
	s.workers.Go(s.housekeep)
	return s, nil
}

// openState opens state.db, compares it with the sidecar and counts the start.
func (s *Store) openState(side *instance) (err error) {
	path := filepath.Join(s.dir, stateFile)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = startError(fmt.Errorf("%w: %v", engine.ErrDamaged, p), "restore a backup of %s", path)
		}
	}()
	s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
		NoSync:       s.o.NoSync,
		NoGrowSync:   s.o.NoSync,
		NoStatistics: true,
	})
	if most := s.o.Retention.MaxBytes; err == nil && most > 0 {
		s.db.AllocSize = int(min(int64(s.db.AllocSize), max(most/64, segmentGrowth))) // a file that grows by much at once would break a small bound
	}
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return startError(ErrInUse, "stop the other process that uses %s", s.dir)
	case errors.Is(err, fs.ErrPermission):
		return startError(err, "let this user read and write %s", path)
	case err != nil:
		return startError(err, "restore a backup of %s", path)
	}
	return s.begin(side)
}

// Fatal sends one error when a commit failed in a way that leaves its outcome, or the state of the disk's cache,
// unknown. Nothing was acknowledged after it and nothing will be: the process must end with a code other than 0.
func (s *Store) Fatal() <-chan error { return s.fatal }

// Close ends the store: no new claims, then the writes that are under way, then the mark of a clean stop. When
// ctx ends first the mark is not set, and the next start treats runs as cut off.
func (s *Store) Close(ctx context.Context) error {
	first := false
	s.stopOnce.Do(func() { first = true; close(s.stop) })
	if !first {
		return nil
	}
	s.queue.close(engine.ErrClosed)
	ended := make(chan struct{})
	go func() {
		<-s.writerDone
		s.workers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return fmt.Errorf("close the store: %w", context.Cause(ctx))
	}
	s.watchers.close()
	err := s.markClean()
	return errors.Join(err, s.release())
}

// release lets go of all files.
func (s *Store) release() error {
	s.history.close()
	return errors.Join(s.db.Close(), s.lock.Close())
}

// view reads in one short transaction. Damage that makes bbolt panic, or the mapped file fault, is ErrDamaged.
func view(db *bbolt.DB, read func(*bbolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read %s: %w: %v", filepath.Base(db.Path()), engine.ErrDamaged, p)
		}
	}()
	err = db.View(read)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return engine.ErrClosed
	}
	return err
}

// Stats implements engine.History.
func (s *Store) Stats(ctx context.Context) (engine.Stats, error) {
	s.mu.Lock()
	t := &s.table
	st := engine.Stats{
		Live: t.live, Ready: t.ready, Claimed: t.claimed, Parked: t.parked,
		Oldest: t.oldestReady(), Backlog: len(s.backlog),
	}
	s.mu.Unlock()
	st.Commits, st.Ops = s.commits.Load(), s.ops.Load()
	st.DiskTime = time.Duration(s.diskTime.Load())
	st.Bytes = s.history.bytes()
	info, err := os.Stat(filepath.Join(s.dir, stateFile))
	if err != nil {
		return st, fmt.Errorf("stats: %w", err)
	}
	st.Bytes += info.Size() + s.blobs.total.Load()
	return st, ctx.Err()
}

// now is the wall clock without its monotonic reading: stored times are compared with it.
func now() time.Time { return time.Now().Round(0) }

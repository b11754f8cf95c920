package bolt

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bellhop-dev/bellhop/engine"
)

// Crash ends the store as a kill would: what waits is not written, no mark of a clean stop is set.
func (s *Store) Crash() {
	s.stopOnce.Do(func() { close(s.stop) })
	s.queue.close(engine.ErrClosed)
	s.queue.abandon(fmt.Errorf("%w: the process died", engine.ErrUnavailable))
	<-s.writerDone
	s.workers.Wait()
	s.watchers.close()
	_ = s.release()
}

// SetMarkSteps lowers how many notes the mark of the runs that wait must pass to be moved.
func SetMarkSteps(n int) { markSteps = n }

// SetSearchTime bounds how long a text search may take, until the function that it returns is called.
func SetSearchTime(d time.Duration) (undo func()) {
	before := maxSearchTime
	maxSearchTime = d
	return func() { maxSearchTime = before }
}

// SetQueueWait makes another time of how long requests may wait before accepts are shed, until the function that it returns
// is called.
func SetQueueWait(d time.Duration) (undo func()) {
	before := maxQueueWait
	maxQueueWait = d
	return func() { maxQueueWait = before }
}

// MoveMark moves the mark of the runs that wait and reports whether it stands above a run's id.
func (s *Store) MoveMark(id engine.RunID) (above bool, err error) {
	err = s.moveMark()
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.from[:]) > string(id[:]), err
}

// SetCommit puts another function in the place of the commit. Call it before the first write.
func (s *Store) SetCommit(commit func(*bbolt.Tx) error) { s.commit = commit }

// WithReserve sets how many bytes the disk's reserve has.
func (o Options) WithReserve(bytes int64) Options {
	o.reserve = bytes
	return o
}

// SetSpace makes the disk look as if it had so many bytes free of so many.
func (s *Store) SetSpace(free, total int64) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	s.disk.measure = func(string) (int64, int64, error) { return free, total, nil }
	s.disk.checked = s.disk.checked.Add(-diskCheck)
}

// DB is the file of unfinished runs.
func (s *Store) DB() *bbolt.DB { return s.db }

// Codecs of stored values, for fuzzing.
var (
	EncodeRow      = encodeRow
	DecodeRow      = decodeRow
	EncodeDelivery = encodeDelivery
	DecodeDelivery = decodeDelivery
	EachRecord     = eachRecord
	Sealed         = func(key, value []byte) []byte { return seal(key, append(make([]byte, 4), value...)) }
	EachJournal    = func(src []byte, visit func(id engine.RunID)) error {
		return eachJournal(src, func(id engine.RunID, _ []entry) bool { visit(id); return true })
	}
)

// Waiting is how many requests wait for the writer.
func (s *Store) Waiting() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.len()
}

// Content is all that the keys of a bbolt file lead to, as one text; the number of a bucket's next value is left out.
func Content(path string) (string, error) {
	t, err := openTree(path, func(string) {})
	if err != nil {
		return "", err
	}
	defer t.close()
	names := slices.Sorted(maps.Keys(t.buckets))
	var all []byte
	add := func(b ...[]byte) { all = fmt.Appendf(all, "%q\n", b) }
	for _, name := range names {
		t.walk([]byte(name), func(k, v []byte) { add([]byte(name), k, v) }, func(sub, k, v []byte) { add([]byte(name), sub, k, v) })
	}
	return string(all), nil
}

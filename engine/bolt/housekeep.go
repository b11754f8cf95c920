package bolt

import (
	"context"
	"slices"
	"time"
)

const (
	housekeepEvery = time.Minute
	fullEvery      = time.Second // while the disk is full
)

// housekeep does the small work of the background until the store closes: it drops days of dedupe keys, expired values
// and what is past its retention, trims deliveries when they pass their bounds, keeps the disk's reserve and brings the sidecar up to date.
func (s *Store) housekeep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var commits uint64
	for {
		select {
		case <-timer.C:
			if err := s.disk.restore(); err != nil {
				s.log.Warn("make the disk reserve", "err", err)
			}
			if s.disk.exhausted() {
				timer.Reset(fullEvery)
				continue
			}
			timer.Reset(housekeepEvery)
			s.report("sweep expired values", s.sweepAll())
			s.report("drop dedupe keys", s.dropDays())
			s.report("prune the history", s.pruneAll())
			s.report("drop old deliveries", s.dropOldDeliveries())
			s.report("move the mark of the runs that wait", s.moveMark())
			if n := s.commits.Load(); n != commits {
				s.report("write "+instanceFile, s.writeInstance())
				commits = n
			}
		case <-s.tidy:
			if s.disk.exhausted() {
				timer.Reset(fullEvery)
			}
		case <-s.stop:
			return
		}
		for kind := range s.stored {
			for s.overfull(kind) && !s.stopping() {
				if err := s.doBack(&trimOp{kind: kind}); err != nil {
					s.report("trim deliveries", err)
					break
				}
			}
		}
	}
}

// pruneSegments is how many segments one round of housekeeping drops or rewrites at most.
const pruneSegments = 100

func (s *Store) pruneAll() error {
	_, err := s.prune(context.Background(), pruneSegments)
	return err
}

func (s *Store) report(what string, err error) {
	if err != nil && !s.stopping() {
		s.log.Error(what, "err", err)
	}
}

// wakeHousekeeping is for what must not wait for the next round: a full disk, deliveries past their bounds.
func (s *Store) wakeHousekeeping() {
	select {
	case s.tidy <- struct{}{}:
	default:
	}
}

// sweepAll deletes expired values, some keys at a time.
func (s *Store) sweepAll() error {
	for after := []byte(nil); ; {
		var err error
		if after, err = s.sweep(after); err != nil || len(after) == 0 || s.stopping() {
			return err
		}
	}
}

// dropDays deletes the dedupe keys of days that have passed.
func (s *Store) dropDays() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	today := now().UTC().Format(dayLayout)
	for _, day := range slices.Clone(s.days) {
		if day >= today {
			continue
		}
		s.mu.Unlock()
		err := s.doBack(&dropDayOp{day: day})
		s.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// dropDayOp deletes one day of dedupe keys.
type dropDayOp struct{ day string }

func (o *dropDayOp) write(b *batch) error {
	k := b.bucket(bucketDedup)
	if k.Bucket([]byte(o.day)) == nil {
		return nil
	}
	return storageError(k.DeleteBucket([]byte(o.day)))
}

func (o *dropDayOp) apply(s *Store) {
	s.days = slices.DeleteFunc(s.days, func(day string) bool { return day == o.day })
}

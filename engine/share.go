package engine

import (
	"sync"
	"time"
)

// shares divides the worker slots among workflows. A workflow may hold so many as are free, times a factor that lets
// one alone have all Workers. The slots beyond those are the reserve: whatever floods the others, some slots stay
// free for who holds few, and as flooded runs end, all come to hold the same. Runs that sleep or wait their turn
// hold no slot and do not count. While others are active, no more than a crowd of its runs may work at a time: those
// inside a call, which wait for another system, do not count for that.
type shares struct {
	pause  func(workflow string, on bool) // the store's; called in order
	rivals *rivals
	most   func() int // of working runs while others are active

	mu      sync.Mutex
	factor  int
	free    int
	held    map[string]int      // by workflow
	working map[string]int      // of those, not inside a call
	paused  map[string]struct{} // workflows that have their share
}

// reserveOf is how many slots there are beyond the workers that one workflow can have.
func reserveOf(workers int) int { return max(1, workers/8) }

func newShares(workers int, pause func(string, bool), r *rivals, most func() int) *shares {
	reserve := reserveOf(workers)
	return &shares{
		pause: pause, rivals: r, most: most, factor: workers / reserve, free: workers + reserve,
		held: map[string]int{}, working: map[string]int{}, paused: map[string]struct{}{},
	}
}

// take counts a slot that a run of the workflow got.
func (s *shares) take(workflow string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free--
	s.held[workflow]++
	s.working[workflow]++
	s.stop(workflow)
}

// give takes it back.
func (s *shares) give(workflow string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
	s.working[workflow]--
	if s.held[workflow]--; s.held[workflow] == 0 {
		delete(s.held, workflow)
		delete(s.working, workflow)
	}
	for w := range s.paused {
		s.goOn(w)
	}
}

// stop keeps more runs of a workflow from being claimed if it has its share.
func (s *shares) stop(workflow string) {
	if _, ok := s.paused[workflow]; !ok && s.full(workflow) {
		s.paused[workflow] = struct{}{}
		s.pause(workflow, true)
	}
}

func (s *shares) goOn(workflow string) {
	if _, ok := s.paused[workflow]; ok && !s.full(workflow) {
		delete(s.paused, workflow)
		s.pause(workflow, false)
	}
}

// full is true only of a workflow that holds a slot, so that something will happen that makes it look again.
func (s *shares) full(workflow string) bool {
	n := s.held[workflow]
	return n > 0 && (n >= s.factor*s.free || s.working[workflow] >= s.most() && s.rivals.has(workflow, time.Now()))
}

// A slot is the right of one run to work.
type slot struct {
	slots    chan struct{}
	shares   *shares
	workflow string
	calls    int // under way; shares.mu guards it
}

// enter waits for a slot.
func (s *slot) enter() {
	s.slots <- struct{}{}
	s.shares.take(s.workflow)
}

func (s *slot) leave() {
	s.shares.give(s.workflow)
	<-s.slots
}

// call notes that a call of the run begins; the result notes its end. A run without slot has nothing to note.
func (s *slot) call() (ended func()) {
	if s == nil {
		return func() {}
	}
	sh := s.shares
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.calls++; s.calls == 1 {
		sh.working[s.workflow]--
		sh.goOn(s.workflow)
	}
	return func() {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if s.calls--; s.calls == 0 {
			sh.working[s.workflow]++
			sh.stop(s.workflow)
		}
	}
}

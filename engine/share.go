package engine

import "sync"

// shares divides the worker slots among workflows. A workflow may hold so many as are free, times a factor that lets
// one alone have all Workers. The slots beyond those are the reserve: whatever floods the others, some slots stay
// free for who holds few, and as flooded runs end, all come to hold the same. Runs that sleep or wait their turn
// hold no slot and do not count.
type shares struct {
	pause func(workflow string, on bool) // the store's; called in order

	mu     sync.Mutex
	factor int
	free   int
	held   map[string]int      // by workflow
	paused map[string]struct{} // workflows that have their share
}

// reserveOf is how many slots there are beyond the workers that one workflow can have.
func reserveOf(workers int) int { return max(1, workers/8) }

func newShares(workers int, pause func(string, bool)) *shares {
	reserve := reserveOf(workers)
	return &shares{
		pause: pause, factor: workers / reserve, free: workers + reserve,
		held: map[string]int{}, paused: map[string]struct{}{},
	}
}

// take counts a slot that a run of the workflow got.
func (s *shares) take(workflow string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free--
	s.held[workflow]++
	if _, ok := s.paused[workflow]; !ok && s.full(workflow) {
		s.paused[workflow] = struct{}{}
		s.pause(workflow, true)
	}
}

// give takes it back.
func (s *shares) give(workflow string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
	if s.held[workflow]--; s.held[workflow] == 0 {
		delete(s.held, workflow)
	}
	for w := range s.paused {
		if !s.full(w) {
			delete(s.paused, w)
			s.pause(w, false)
		}
	}
}

func (s *shares) full(workflow string) bool {
	n := s.held[workflow]
	return n > 0 && n >= s.factor*s.free
}

// A slot is the right of one run to work.
type slot struct {
	slots    chan struct{}
	shares   *shares
	workflow string
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

package engine

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// A crowd is how much of one workflow may be under way at a time while others are active: accepts, and runs that are not
// inside a call. More would finish no more of them, only make everybody wait longer for a processor, which the flood does
// not feel and the others do. Those that wait for the disk keep no processor busy, so a slower disk allows more: the
// bound is two for each processor and each millisecond that the quickest write of late took.
type crowd struct {
	mu    sync.Mutex
	quick [2]time.Duration // the quickest write since the time below, and in the period before; 0: none
	since time.Time
}

const (
	crowdEach   = 2                // for each processor
	crowdWrite  = time.Millisecond // for each of these that a write takes
	mostWrites  = 16               // of these
	quickPeriod = 10 * time.Second
)

// wrote notes how long a write took.
func (c *crowd) wrote(took time.Duration, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.Sub(c.since) >= quickPeriod {
		c.quick, c.since = [2]time.Duration{0, c.quick[0]}, at
	}
	if c.quick[0] == 0 || took < c.quick[0] {
		c.quick[0] = max(took, 1)
	}
}

func (c *crowd) most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	quick := c.quick[0]
	if other := c.quick[1]; quick == 0 || other != 0 && other < quick {
		quick = other
	}
	writes := min(max(1, int(quick/crowdWrite)), mostWrites)
	return crowdEach * runtime.GOMAXPROCS(0) * writes
}

// activeFor is how long a workflow counts as active after an event.
const activeFor = time.Second

// maxDoorWait is how long an event waits for its workflow's turn before its sender is asked to come again.
const maxDoorWait = time.Second

// rivals knows which two workflows had an event last: whether anybody but one of them is active needs no more.
type rivals struct {
	mu   sync.Mutex
	last [2]struct {
		workflow string
		at       time.Time
	}
}

func (r *rivals) seen(workflow string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last[0].workflow != workflow {
		r.last[1] = r.last[0]
		r.last[0].workflow = workflow
	}
	r.last[0].at = at
}

// has reports whether another workflow is active beside this one.
func (r *rivals) has(workflow string, at time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	other := &r.last[0]
	if other.workflow == workflow {
		other = &r.last[1]
	}
	return !other.at.IsZero() && at.Sub(other.at) < activeFor
}

// A door lets the accepts of one workflow in a few at a time while others are active.
type door struct {
	rivals *rivals
	most   func() int

	mu      sync.Mutex
	inside  map[string]int
	waiting map[string][]chan struct{} // first come, first in
}

func newDoor(r *rivals, most func() int) *door {
	return &door{rivals: r, most: most, inside: map[string]int{}, waiting: map[string][]chan struct{}{}}
}

// enter waits for the turn of an event. nil: the caller must leave.
func (d *door) enter(ctx context.Context, workflow string) error {
	d.rivals.seen(workflow, time.Now())
	d.mu.Lock()
	if d.open(workflow) {
		d.inside[workflow]++
		d.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	d.waiting[workflow] = append(d.waiting[workflow], turn)
	d.mu.Unlock()
	late := time.NewTimer(maxDoorWait)
	defer late.Stop()
	var err error
	select {
	case <-turn:
		return nil
	case <-late.C:
		err = &FullError{Reason: "writer", RetryAfter: time.Second}
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, w := range d.waiting[workflow] {
		if w == turn {
			d.waiting[workflow] = append(d.waiting[workflow][:i], d.waiting[workflow][i+1:]...)
			return err
		}
	}
	return nil // the turn came at the same moment
}

func (d *door) open(workflow string) bool {
	return d.inside[workflow] < d.most() || !d.rivals.has(workflow, time.Now())
}

// leave lets in whoever comes next. Those who wait are never left alone: somebody is inside as long as they do.
func (d *door) leave(workflow string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside[workflow]--
	for len(d.waiting[workflow]) > 0 && d.open(workflow) {
		close(d.waiting[workflow][0])
		d.waiting[workflow] = d.waiting[workflow][1:]
		d.inside[workflow]++
	}
	if d.inside[workflow] == 0 {
		delete(d.inside, workflow)
		delete(d.waiting, workflow)
	}
}

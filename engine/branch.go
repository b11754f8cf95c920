package engine

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"
)

// A branch is one line of work in a run: its steps run one after another. A run begins with one, the root, which has
// the goroutine of the claim to itself. Where steps run at the same time, each branch is a coroutine, and the root
// becomes their scheduler: it resumes them one at a time, so that all of the run's state has one owner, and only
// calls and writes happen outside it. What arrives together is written together.
type branch struct {
	x     *execution
	group *group // nil: the root
	sc    *scope
	now   time.Time // of the step under way
	seed  string
	last  string // key of the step whose output stands, in the list under way
	owed  uint64 // mark of the newest result that the next call may depend on

	yield   func(struct{}) bool // nil: the root
	resume  func() (struct{}, bool)
	cancel  func()
	waits   wait
	arrived arrival // the outcome of its call
	end     *ending
	err     error
}

// A group is the branches that one step waits for.
type group struct {
	outer    *group
	live     int
	halt     *ending // the first way in which a branch ended that ends the others too
	err      error
	branches []*branch
	waiter   *branch // nil: the root
}

// halted is why the branches of a group, or of one around it, come to an end.
func (g *group) halted() *ending {
	for ; g != nil; g = g.outer {
		if g.halt != nil {
			return g.halt
		}
	}
	return nil
}

// wait is what a branch waits for.
type wait struct {
	kind  waitKind
	mark  uint64    // durable
	until time.Time // pause; zero: a signal only
}

type waitKind uint8

const (
	waitCall    waitKind = iota + 1 // the outcome of a call
	waitDurable                     // what was put up to mark is on disk
	waitPause                       // a time or a signal
	waitGroup                       // the branches of its group
)

// arrival is what comes back from outside.
type arrival struct {
	branch *branch // nil: an append has ended
	out    any
	err    error
}

// inbox takes arrivals without ever holding up who brings them.
type inbox struct {
	mu   sync.Mutex
	list []arrival
	bell chan struct{}
}

func (in *inbox) put(a arrival) {
	in.mu.Lock()
	in.list = append(in.list, a)
	in.mu.Unlock()
	select {
	case in.bell <- struct{}{}:
	default:
	}
}

func (in *inbox) take() []arrival {
	in.mu.Lock()
	defer in.mu.Unlock()
	list := in.list
	in.list = nil
	return list
}

// errRelease ends a branch of a run that is given back: the server drains.
var errRelease = errors.New("the run is given back")

// maxPend bounds the records that wait for a write, and with them what a crash repeats.
const maxPend = 512

// branchOff makes a branch of the group that is scheduled next.
func (b *branch) branchOff(g *group, sc *scope, work func(*branch) (*ending, error)) *branch {
	n := &branch{x: b.x, group: g, sc: sc, owed: b.owed}
	g.live++
	g.branches = append(g.branches, n)
	n.resume, n.cancel = iter.Pull(func(yield func(struct{}) bool) {
		n.yield = yield
		n.end, n.err = work(n)
	})
	b.x.branches = append(b.x.branches, n)
	b.x.ready = append(b.x.ready, n)
	return n
}

// suspend lets the others go on until the scheduler sees that w is over.
func (b *branch) suspend(w wait) error {
	b.waits = w
	if !b.yield(struct{}{}) {
		return errEndClaim
	}
	return nil
}

// join waits for the branches of a group.
func (b *branch) join(ctx context.Context, g *group) error {
	if g.live > 0 {
		var err error
		if b.yield == nil {
			err = b.x.schedule(ctx, g)
		} else {
			g.waiter = b
			err = b.suspend(wait{kind: waitGroup})
		}
		if err != nil {
			return err
		}
	}
	for _, n := range g.branches {
		b.owed = max(b.owed, n.owed)
	}
	return g.err
}

// outside makes a call outside the owner of the state; f must not touch it.
func (b *branch) outside(f func() (any, error)) (any, error) {
	if b.yield == nil {
		return f()
	}
	x := b.x
	x.inflight++
	x.host.background(func() {
		out, err := f()
		x.inbox.put(arrival{b, out, err})
	})
	if err := b.suspend(wait{kind: waitCall}); err != nil {
		return nil, err
	}
	a := b.arrived
	b.arrived = arrival{}
	return a.out, a.err
}

// sync makes everything that was put so far durable. It also returns when the run is canceled.
func (b *branch) sync(ctx context.Context) error {
	x := b.x
	if b.yield == nil {
		return x.flush(ctx)
	}
	if mark := x.mark; x.durable < mark {
		return b.suspend(wait{kind: waitDurable, mark: mark})
	}
	return nil
}

// pause waits until a time, for a signal, or for anything else that may have changed: look again when it returns.
func (b *branch) pause(ctx context.Context, until time.Time) error {
	if b.yield == nil {
		return b.x.idle(ctx, until)
	}
	return b.suspend(wait{kind: waitPause, until: until})
}

// schedule runs the branches until those of g have ended. The caller is the root.
func (x *execution) schedule(ctx context.Context, g *group) error {
	x.overSeen = false
	for {
		for x.canAdvance() {
			b := x.ready[0]
			x.ready = slices.Delete(x.ready, 0, 1)
			x.advance(b)
		}
		if g.live == 0 && !x.appending {
			return nil
		}
		x.write(ctx)
		if x.inflight > 0 || x.appending || len(x.ready) > 0 {
			if err := x.arrivals(ctx); err != nil {
				return x.abandon(err)
			}
			continue
		}
		if x.releasing {
			return x.abandon(errRelease)
		}
		if err := x.idle(ctx, x.earliest()); err != nil {
			return x.abandon(err)
		}
		x.wakePaused(true)
	}
}

// canAdvance reports whether a branch can go on, and may: what waits to be written is bounded.
func (x *execution) canAdvance() bool {
	return len(x.ready) > 0 && (!x.appending || len(x.pend) < maxPend)
}

// advance resumes a branch until it waits again or ends.
func (x *execution) advance(b *branch) {
	if _, more := b.resume(); more {
		return
	}
	x.branches = slices.DeleteFunc(x.branches, func(o *branch) bool { return o == b })
	g := b.group
	g.live--
	switch {
	case b.err != nil:
		if errors.Is(b.err, errRelease) {
			x.releasing = true
		}
		if g.err == nil {
			g.err = b.err
		}
	case b.end != nil && g.halt == nil:
		g.halt = b.end
		x.wakePaused(true) // who waits in it has no reason to any more
	}
	if g.live == 0 && g.waiter != nil {
		g.waiter.waits = wait{}
		x.ready = append(x.ready, g.waiter)
	}
}

// write begins to write what is pending when somebody waits for that, or a result would be lost.
func (x *execution) write(ctx context.Context) {
	if x.appending || len(x.pend) == 0 {
		return
	}
	if x.owed <= x.durable && len(x.pend) < maxPend &&
		!slices.ContainsFunc(x.branches, func(b *branch) bool { return b.waits.kind == waitDurable }) {
		return
	}
	x.appending, x.writing, x.writingMark = true, x.pend, x.mark
	x.pend, x.spare = x.spare[:0], nil
	recs := x.writing
	x.host.background(func() {
		x.inbox.put(arrival{err: x.host.append(ctx, x.claim, recs, Then{Kind: Continue})})
	})
}

// written takes note of the end of a write.
func (x *execution) written(ctx context.Context, err error) error {
	x.appending = false
	if errors.Is(err, ErrConflict) {
		x.pend = append(x.writing, x.pend...)
		x.writing = nil
		if err := x.readSignals(ctx); err != nil {
			return err
		}
		x.wakePaused(true)
		if x.state.cancel != nil { // nothing new begins, so nobody needs the write
			x.wakeDurable(x.mark)
		}
		return nil
	}
	if err != nil {
		return err
	}
	clear(x.writing)
	x.spare, x.writing = x.writing[:0], nil
	x.durable = x.writingMark
	x.trusted()
	x.wakeDurable(x.durable)
	return nil
}

func (x *execution) wakeDurable(mark uint64) {
	for _, b := range x.branches {
		if b.waits.kind == waitDurable && b.waits.mark <= mark {
			b.waits = wait{}
			x.ready = append(x.ready, b)
		}
	}
}

// wakePaused lets the branches look again whose time has come, or all that pause.
func (x *execution) wakePaused(all bool) {
	now := x.host.now()
	for _, b := range x.branches {
		if b.waits.kind == waitPause && (all || !b.waits.until.IsZero() && !now.Before(b.waits.until)) {
			b.waits = wait{}
			x.ready = append(x.ready, b)
		}
	}
}

// earliest is when the first paused branch wants to go on; zero: none does by itself.
func (x *execution) earliest() (at time.Time) {
	for _, b := range x.branches {
		if until := b.waits.until; b.waits.kind == waitPause && !until.IsZero() && (at.IsZero() || until.Before(at)) {
			at = until
		}
	}
	return at
}

// arrivals waits until something comes from outside, and hands it on.
func (x *execution) arrivals(ctx context.Context) error {
	list := x.inbox.take()
	if len(list) == 0 && !x.canAdvance() {
		var due <-chan time.Time
		if at := x.earliest(); !at.IsZero() {
			t := time.NewTimer(at.Sub(x.host.now()))
			defer t.Stop()
			due = t.C
		}
		over := ctx.Done()
		if x.overSeen {
			over = nil
		}
		select {
		case <-x.inbox.bell:
		case <-due:
		case <-x.wake:
		case <-over: // the calls see it too and end
			x.overSeen = true
			x.wakePaused(true)
		}
		list = x.inbox.take()
	}
	var err error
	for _, a := range list { // all of them, also where the claim is lost: who ends the branches counts what is under way
		if a.branch == nil {
			err = x.written(ctx, a.err)
			continue
		}
		x.inflight--
		a.branch.arrived, a.branch.waits = a, wait{}
		x.ready = append(x.ready, a.branch)
	}
	if err != nil {
		return err
	}
	if !x.appending && x.wasInterrupted() {
		if err := x.readSignals(ctx); err != nil {
			return err
		}
		x.wakePaused(true)
	}
	x.wakePaused(false)
	return nil
}

// abandon ends all branches because the claim ends, and waits for what is under way outside.
func (x *execution) abandon(err error) error {
	if x.inflight > 0 || x.appending {
		x.stop(err)
	}
	for x.inflight > 0 || x.appending {
		<-x.inbox.bell
		for _, a := range x.inbox.take() {
			if a.branch != nil {
				x.inflight--
				continue
			}
			x.appending = false
			if a.err != nil { // what was not written is still pending
				x.pend = append(x.writing, x.pend...)
			} else {
				x.durable = x.writingMark
			}
			x.writing = nil
		}
	}
	branches := x.branches
	x.branches, x.ready = nil, nil
	for _, b := range branches {
		b.cancel()
	}
	return err
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

const (
	claimBatch   = 64               // and at most half of the reserve: who comes back from a short wait needs one
	drainGrace   = 30 * time.Second // what a drain gives running steps
	heartbeat    = 10 * time.Second // a third of the shortest lease of a store
	maxTakeovers = 3                // a run that was executing in so many crashes is not tried again
	// aloneFor is how long a run that may have crashed the process is tried before the next such run. What crashes
	// does so soon; what takes longer waits for the other side.
	aloneFor = 200 * time.Millisecond
)

// Run works on runs until ctx is done. Then it claims no more, lets running steps end for at most 30 s, releases
// what is left, and returns nil. It returns an error only when the store does.
func (e *Engine) Run(ctx context.Context) error {
	slots := make(chan struct{}, e.Workers+reserveOf(e.Workers))
	shares := newShares(e.Workers, e.Store.Pause, &e.rivals, e.crowd.most)
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(nil)
	var running sync.WaitGroup
	running.Add(1)
	go func() {
		defer running.Done()
		e.extendClaims(ctx, work)
	}()
	var failed error
	for failed == nil {
		n := acquire(ctx, slots)
		if n == 0 {
			break
		}
		claims, err := e.Store.Claim(ctx, n)
		for range n - len(claims) {
			<-slots
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			failed = ctx.Err()
		case errors.Is(err, ErrUnavailable):
			e.Log.Warn("claim runs", "error", err)
			pause(ctx, time.Second)
		default:
			failed = fmt.Errorf("claim runs: %w", err)
		}
		for _, c := range claims {
			running.Add(1)
			s := &slot{slots: slots, shares: shares}
			if len(c.Journal) > 0 && c.Journal[0].Head != nil {
				s.workflow = c.Journal[0].Head.Workflow
			}
			shares.take(s.workflow)
			go func() {
				defer running.Done()
				defer s.leave()
				e.execute(work, c, s)
			}()
		}
	}
	close(e.drain)
	e.bulks.work.Wait()
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainGrace):
		stopWork(errShutdown)
		<-done
	}
	close(e.rest)
	if ctx.Err() != nil {
		return nil
	}
	return failed
}

// acquire takes at least one slot and at most a batch; 0 when ctx is done first.
func acquire(ctx context.Context, slots chan struct{}) int {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	n := 1
	for n < min(claimBatch, cap(slots)/16) {
		select {
		case slots <- struct{}{}:
			n++
		default:
			return n
		}
	}
	return n
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// extendClaims keeps the leases of all claims that are worked on.
func (e *Engine) extendClaims(ctx, work context.Context) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e.mu.RLock()
		held := make([]*execution, 0, len(e.running))
		for _, x := range e.running {
			held = append(held, x)
		}
		e.mu.RUnlock()
		for _, x := range held {
			if err := e.Store.Extend(work, x.claim); errors.Is(err, ErrLost) {
				x.stop(ErrLost)
			}
		}
	}
}

// execute works on one claimed run until it ends, parks, or the claim is gone.
func (e *Engine) execute(work context.Context, c *Claim, s *slot) {
	var x *execution
	defer func() {
		if p := recover(); p != nil {
			if x != nil {
				_ = x.abandon(errors.New("the run has failed inside Bellhop"))
			}
			e.Log.Error("a run crashed the engine loop", "run", c.Run.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			e.quarantine(work, c, fmt.Sprintf("the engine failed on this run: %v", p))
		}
	}()
	state, err := foldJournal(c.Journal, false)
	if errors.Is(err, ErrNewerFormat) {
		e.Log.Error("a newer release wrote this run: it is left alone", "run", c.Run.String(), "error", err)
		e.later(work, c, time.Hour)
		return
	}
	if err != nil {
		e.Log.Error("the journal of a run is damaged", "run", c.Run.String(), "error", err)
		e.quarantine(work, c, err.Error())
		return
	}
	w, err := e.Version(work, state.head.Workflow, state.head.Version)
	if errors.Is(err, ErrUnavailable) {
		e.Log.Warn("a run's version cannot be loaded now", "run", c.Run.String(), "workflow", state.head.Workflow, "error", err)
		e.later(work, c, 10*time.Second)
		return
	}
	if err != nil {
		e.Log.Error("a run's version cannot be loaded", "run", c.Run.String(), "workflow", state.head.Workflow, "error", err)
		e.quarantine(work, c, err.Error())
		return
	}
	ctx, stop := context.WithCancelCause(work)
	defer stop(nil)
	c.Journal = nil // the state has what is needed of it
	x = newExecution(e, c, w, state, stop)
	x.slot = s
	e.mu.Lock()
	e.running[c.Run] = x
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.running, c.Run)
		e.mu.Unlock()
	}()
	if c.Takeovers > 0 {
		proceed, err := x.takeOver(ctx, e.alone)
		if err != nil || !proceed {
			x.logEnd(e.Log, err)
			return
		}
		defer x.trusted()
	}
	x.logEnd(e.Log, x.run(ctx))
}

// later gives a run back that cannot be worked on now.
func (e *Engine) later(ctx context.Context, c *Claim, wait time.Duration) {
	if err := e.append(ctx, c, nil, Then{Kind: Park, Wake: time.Now().Add(wait)}); err != nil {
		e.Log.Error("park a run", "run", c.Run.String(), "error", err)
	}
}

// quarantine ends a run that the engine cannot work on; its journal is kept.
func (e *Engine) quarantine(ctx context.Context, c *Claim, why string) {
	var words []Outgoing
	row := Row{ID: c.Run, Status: StatusFailed, Reason: ReasonQuarantined, Summary: why, Accepted: c.Run.Time(), Finished: time.Now()}
	if len(c.Journal) > 0 && c.Journal[0].Head != nil {
		h := c.Journal[0].Head
		row.Workflow, row.Version, row.Trigger, row.Parent, row.Accepted = h.Workflow, h.Version, h.Trigger, h.Parent, c.Journal[0].At
		if !h.Caller.IsZero() {
			words = append(words, Outgoing{h.Caller, childAnswer{Run: c.Run.String(), Status: row.Status.String(), Message: why}.signal(h.CallerStep)})
		}
		if err := e.ends(h, c.Run, &ending{status: row.Status, summary: why}); err != nil {
			e.Log.Error("quarantine a run", "run", c.Run.String(), "error", err)
			return
		}
	}
	rec := Record{At: row.Finished, Kind: KindFinished, Status: row.Status, Reason: row.Reason, Data: []byte(why)}
	if err := e.append(ctx, c, []Record{rec}, Then{Kind: Finish, Row: row, Signals: words}); err != nil {
		e.Log.Error("quarantine a run", "run", c.Run.String(), "error", err)
		return
	}
	e.reply(c.Run, Reply{Done: true, Status: StatusFailed})
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// put adds a record to what the next append writes, and to the state.
func (x *execution) put(r Record) {
	x.pend = append(x.pend, r)
	x.mark++
	x.state.apply(&x.pend[len(x.pend)-1])
}

// owe notes that the record that was put last is the result of an effect: it must be on disk before the next effect
// that may depend on it.
func (b *branch) owe() {
	b.x.owed = b.x.mark
	b.owed = b.x.mark
}

// append writes what is pending. ErrConflict: signals came in and are folded now; what is pending stays.
func (x *execution) append(ctx context.Context, then Then) error {
	err := x.host.append(ctx, x.claim, x.pend, then)
	if errors.Is(err, ErrConflict) {
		if rerr := x.readSignals(ctx); rerr != nil {
			return rerr
		}
		return err
	}
	if err != nil {
		return err
	}
	clear(x.pend)
	x.pend, x.durable = x.pend[:0], x.mark // a store keeps nothing of what it was given
	x.trusted()
	return nil
}

// flush writes what is pending and goes on. It leaves it where the run turns out to be canceled: its end is written
// with it.
func (x *execution) flush(ctx context.Context) error {
	if len(x.pend) == 0 {
		return nil
	}
	for {
		err := x.append(ctx, Then{Kind: Continue})
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if x.state.cancel != nil {
			return nil
		}
	}
}

func (x *execution) readSignals(ctx context.Context) error {
	x.mu.Lock()
	x.interrupted = false
	x.mu.Unlock()
	recs, err := x.host.read(context.WithoutCancel(ctx), x.claim.Run, x.claim.Seq)
	if err != nil {
		return err
	}
	for i := range recs {
		if recs[i].Kind != KindSignal {
			return fmt.Errorf("%w: a %s record came in between", ErrLost, recs[i].Kind)
		}
		x.state.apply(&recs[i])
		x.claim.Seq = recs[i].Seq + 1
	}
	return nil
}

// idle waits while nothing of the run is under way: a short time under the claim, else parked, which ends the claim.
// until zero waits for a signal. It returns nil when the time has come, or something changed: look again.
func (x *execution) idle(ctx context.Context, until time.Time) error {
	if !x.deadline.IsZero() && (until.IsZero() || x.deadline.Before(until)) {
		until = x.deadline
	}
	if until.IsZero() || until.Sub(x.host.now()) > inClaimWait || x.host.draining() {
		x.pend = append(x.pend, Record{At: x.host.now(), Kind: KindParked, Until: until})
		err := x.append(ctx, Then{Kind: Park, Wake: until})
		if errors.Is(err, ErrConflict) {
			x.pend = x.pend[:len(x.pend)-1]
			return nil
		}
		if err != nil {
			return err
		}
		return errEndClaim
	}
	if err := x.flush(ctx); err != nil { // a timer is durable before it runs
		return err
	}
	err := x.host.sleep(ctx, x, until)
	if cause := context.Cause(ctx); errors.Is(cause, errCanceled) || errors.Is(cause, errDeadline) {
		return nil
	}
	return err
}

// release gives the run back at once, with what is done so far.
func (x *execution) release(ctx context.Context) error {
	for {
		err := x.append(ctx, Then{Kind: Release})
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		return errEndClaim
	}
}

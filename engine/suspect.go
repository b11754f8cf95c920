package engine

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// takeOver records that another holder of this run died. proceed is false when the run crashed the engine too often.
func (x *execution) takeOver(ctx context.Context, alone chan struct{}) (proceed bool, err error) {
	if x.state.takeovers > 0 {
		x.slot.leave() // who waits for its turn holds no worker
		alone <- struct{}{}
		x.slot.enter()
		x.trust = sync.OnceFunc(func() { <-alone })
		time.AfterFunc(aloneFor, x.trust) // a slow call must not hold up all others
	}
	x.put(Record{At: x.host.now(), Kind: KindClaimed, Attempt: x.claim.Takeovers})
	if x.state.takeovers >= maxTakeovers {
		at := "before its first step"
		if n := len(x.state.order); n > 0 {
			at = "at step " + x.state.order[n-1]
		}
		msg := fmt.Sprintf("This run crashed the engine %d times %s", maxTakeovers, at)
		err = x.finish(ctx, &ending{status: StatusFailed, reason: ReasonQuarantined, summary: msg})
	} else {
		trust := x.trust
		x.trust = nil // the write of the claim itself proves nothing
		err = x.flush(ctx)
		x.trust = trust
		proceed = err == nil
	}
	if !proceed {
		x.trusted()
	}
	return proceed, err
}

// trusted ends the time in which the run is tried alone: it made progress, its claim ended, or it has had its time.
func (x *execution) trusted() {
	if x.trust != nil {
		x.trust()
	}
}

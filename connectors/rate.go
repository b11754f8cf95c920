package connectors

import (
	"context"
	"time"
)

// Rate is what one connection may send: Limit calls in each window of Per. The zero Rate sets no limit.
type Rate struct {
	Limit int
	Per   time.Duration
}

// Limits paces the calls of a connection, over all the workflows of this server. It is safe for concurrent use.
type Limits interface {
	// Wait returns when a call may go under this key, which names the connection. It fails when ctx is done, and with
	// [RetryAfter] when the wait would outlast the deadline of ctx, so that the run is parked instead of a worker.
	Wait(ctx context.Context, key string, r Rate) error
	// Learn takes what an answer said about the limit.
	Learn(key string, u Usage)
}

// Usage is what an answer says about the rate limit. What is not known stays zero.
type Usage struct {
	// Known tells that Remaining was said. Without it Until is how long every call has to wait (a Retry-After).
	Known     bool
	Remaining float64   // calls left, or points of a leaky bucket
	Until     time.Time // when the window begins anew
	Cost      float64   // points that this call took; 0: calls are counted
	Restore   float64   // points that come back each second
}

package outbound

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

const (
	maxLimited = 10_000      // connections whose calls are counted; past that the one unused longest is forgotten
	maxPatient = time.Minute // the longest wait under way; a longer one parks the run
)

// Limits keeps the calls of each connection within what the system at the other end allows, over all the workflows of
// this server. It is the [connectors.Limits] of the engine. The zero Limits is ready.
type Limits struct {
	mu     sync.Mutex
	bucket map[string]*bucket
}

// bucket is what one connection may send.
type bucket struct {
	used    time.Time   // when it was last asked
	sent    []time.Time // calls of the last window, oldest first: a ring of Rate.Limit
	next    int         // where the oldest stands in sent, once it is full
	blocked time.Time   // no call before: the other side said so

	known    bool      // it said how many are left
	left     float64   // calls until reset, or points
	reset    time.Time // when left is full again; zero with restore
	restore  float64   // points that come back each second
	cost     float64   // of the last call
	learned  time.Time // when left was true
	untilNow int       // calls let go since
}

var _ connectors.Limits = (*Limits)(nil)

// Wait returns when a call may go under this key.
func (l *Limits) Wait(ctx context.Context, key string, r connectors.Rate) error {
	for {
		now := time.Now()
		wait := l.take(key, r, now)
		if wait <= 0 {
			return ctx.Err()
		}
		if deadline, ok := ctx.Deadline(); wait > maxPatient || ok && now.Add(wait).After(deadline) {
			return connectors.RetryAfter(fmt.Errorf("the rate limit of this connection is used up for %s", wait.Round(time.Second)), wait)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// take counts a call that may go now, and else returns how long to wait before asking again.
func (l *Limits) take(key string, r connectors.Rate, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(key, now)
	if wait := b.blocked.Sub(now); wait > 0 {
		return wait
	}
	if wait := b.told(now); wait > 0 {
		return wait
	}
	if r.Limit > 0 && r.Per > 0 {
		if wait := b.window(r, now); wait > 0 {
			return wait
		}
	}
	b.untilNow++
	return 0
}

// told is how long to wait by what the other side said it has left.
func (b *bucket) told(now time.Time) time.Duration {
	if !b.known {
		return 0
	}
	if b.restore > 0 {
		cost := max(b.cost, 1)
		left := b.left + now.Sub(b.learned).Seconds()*b.restore - float64(b.untilNow)*cost
		if left >= cost {
			return 0
		}
		return time.Duration((cost - left) / b.restore * float64(time.Second))
	}
	if b.reset.IsZero() || !now.Before(b.reset) {
		b.known = false
		return 0
	}
	if b.left-float64(b.untilNow) >= 1 {
		return 0
	}
	return b.reset.Sub(now)
}

// window lets Limit calls go in each window of Per. It remembers when they went, so that no window, wherever it begins,
// holds more of them.
func (b *bucket) window(r connectors.Rate, now time.Time) time.Duration {
	if len(b.sent) != r.Limit && b.next != 0 { // the manifest changed: the oldest call first again
		b.sent, b.next = slices.Concat(b.sent[b.next:], b.sent[:b.next]), 0
	}
	if len(b.sent) > r.Limit {
		b.sent = b.sent[len(b.sent)-r.Limit:]
	}
	if len(b.sent) < r.Limit {
		b.sent = append(b.sent, now)
		return 0
	}
	if wait := b.sent[b.next].Add(r.Per).Sub(now); wait > 0 {
		return wait
	}
	b.sent[b.next] = now
	b.next = (b.next + 1) % r.Limit
	return 0
}

func (l *Limits) of(key string, now time.Time) *bucket {
	if l.bucket == nil {
		l.bucket = map[string]*bucket{}
	}
	b := l.bucket[key]
	if b == nil {
		if len(l.bucket) >= maxLimited {
			oldest := ""
			for k, other := range l.bucket {
				if oldest == "" || other.used.Before(l.bucket[oldest].used) {
					oldest = k
				}
			}
			delete(l.bucket, oldest)
		}
		b = &bucket{}
		l.bucket[key] = b
	}
	b.used = now
	return b
}

// Learn takes what an answer said about the limit.
func (l *Limits) Learn(key string, u connectors.Usage) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(key, now)
	if !u.Known {
		if u.Until.After(b.blocked) {
			b.blocked = u.Until
		}
		return
	}
	b.known, b.left, b.learned, b.untilNow = true, u.Remaining, now, 0
	b.reset, b.restore, b.cost = u.Until, u.Restore, u.Cost
}

package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// maxRounds bounds one loop.
const maxRounds = 100_000

// forEach runs rounds in as many branches as may work at the same time. What a round leaves behind is its output as
// JSON; everything else of it is forgotten when it ends.
func (b *branch) forEach(ctx context.Context, s *workflow.Step, key string, loop *workflow.ForEach, st *stepState) (*ending, error) {
	x := b.x
	items, err := b.items(ctx, key, loop)
	if err != nil {
		attempt := 0
		if st != nil {
			attempt = 1
		}
		return nil, b.fail(key, attempt, 0, err, StatusFailed, time.Time{})
	}
	if st == nil {
		if err := b.begin(key, map[string]any{"rounds": len(items)}, time.Time{}); err != nil {
			return nil, err
		}
	}
	next := 0
	draw := func() (n int, ok bool) {
		for ; next < len(items); next++ {
			if r := x.state.rounds[key][next]; r == nil || r.status != StatusSucceeded && r.status != StatusFiltered {
				next++
				return next - 1, true
			}
		}
		return 0, false
	}
	g := &group{outer: b.group}
	for range min(loop.Concurrency, len(items)) {
		b.branchOff(g, b.sc.rounds(s, loop), func(n *branch) (*ending, error) {
			for {
				i, ok := draw()
				if !ok {
					return nil, nil
				}
				if end, err := n.round(ctx, key, loop, items[i], i, b.owed); end != nil || err != nil {
					return end, err
				}
			}
		})
	}
	if err := b.join(ctx, g); err != nil {
		return nil, err
	}
	if g.halt != nil {
		return b.endInside(key, g.halt), nil
	}
	out := make([]byte, 0, 2+16*len(items))
	out = append(out, '[')
	for i := range items {
		if i > 0 {
			out = append(out, ',')
		}
		var data []byte
		if r := x.state.rounds[key][i]; r != nil && r.status == StatusSucceeded {
			data = r.data
		}
		if out = append(out, orNull(data)...); len(out) > maxOutput {
			break
		}
	}
	b.completeWith(key, append(out, ']'))
	return nil, nil
}

func (b *branch) items(ctx context.Context, key string, loop *workflow.ForEach) ([]any, error) {
	v, err := loop.In.Eval(ctx, b.env(key))
	if err != nil {
		return nil, err
	}
	items, ok := v.([]any)
	switch {
	case v == nil:
		return nil, fmt.Errorf("%s is missing: for_each needs a list, such as %s ?? []", loop.In.Source(), loop.In.Source())
	case !ok:
		return nil, fmt.Errorf("%s is not a list: it is %s", loop.In.Source(), truncate(value.Text(v), 80))
	case len(items) > maxRounds:
		return nil, fmt.Errorf("%s has %d entries, a loop runs at most %d rounds", loop.In.Source(), len(items), maxRounds)
	}
	return items, nil
}

// round runs the steps for one entry. owed is what the loop itself may depend on: rounds do not depend on each other.
func (b *branch) round(ctx context.Context, loopKey string, loop *workflow.ForEach, item any, n int, owed uint64) (*ending, error) {
	x, key := b.x, roundKey(loopKey, n)
	if len(x.pend) >= maxPend { // rounds without any call do not wait for anything else
		if err := b.sync(ctx); err != nil {
			return nil, err
		}
	}
	b.sc.enter(key+".", loop.As, item, n)
	b.owed, b.last = owed, ""
	end, err := b.steps(ctx, loop.Steps)
	if err != nil {
		return nil, err
	}
	rec := Record{At: x.host.now(), Kind: KindStepCompleted, Step: key, Status: StatusSucceeded, Key: b.last}
	switch {
	case end == nil:
	case end.staysInside():
		rec.Key, rec.Status, rec.Reason, rec.Data = "", StatusFiltered, end.reason, end.data
	case end.isFailure() && b.group.halted() == nil:
		failure := *end.failure
		failure.Message = truncate(fmt.Sprintf("round %d: %s", n+1, failure.Message), maxMessage)
		_ = b.failWith(key, 0, 0, &failure, StatusFailed, time.Time{})
		copied := *end
		copied.failure = &failure
		return &copied, nil
	default:
		return end, nil
	}
	x.put(rec)
	return nil, nil
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// invocation is one attempt at an action.
type invocation struct {
	step       *workflow.Step
	id         string // key of the step
	use        *workflow.Use
	action     *connectors.Action
	input      map[string]any
	key        string
	attempt    int
	workflowID string
	hops       int
	look       *onlooker // of a preview: stands in for the engine's ways out; nil: those
}

var defaultRetry = workflow.Retry{Attempts: 3, Initial: time.Second, Max: time.Minute}

// use brings a connector action to its outcome: attempts, waits between them, and the rules after a crash.
func (b *branch) use(ctx context.Context, s *workflow.Step, key string, u *workflow.Use, st *stepState) (*ending, error) {
	x := b.x
	attempts := 0
	if st != nil {
		attempts = st.attempts
	}
	action, err := x.host.action(u)
	if err != nil {
		return nil, b.fail(key, attempts, 0, err, StatusFailed, time.Time{})
	}
	input, err := b.input(ctx, key, u)
	if err != nil {
		return nil, b.fail(key, attempts, 0, err, StatusFailed, time.Time{})
	}
	retry := s.Retry
	if retry == nil {
		retry = &defaultRetry
	}
	repeatable := action.IsRepeatable(input)
	if st != nil && st.status == StatusRunning && !repeatable && !retry.Unknown {
		return nil, b.fail(key, st.attempts, 0, errors.New("the server stopped while this step was under way: "+
			"nobody knows whether it happened. Look at the other side, then run again from this step or from the one behind it"),
			StatusUnknown, time.Time{})
	}
	call := &invocation{step: s, id: key, use: u, action: action, input: input, workflowID: x.w.ID, key: IdempotencyKey(x.claim.Run, key), hops: x.hops + 1}
	for {
		if st != nil && !st.retryAt.IsZero() {
			if end, err := b.await(ctx, st.retryAt, ""); end != nil || err != nil {
				return end, err
			}
			if end, err := b.mayGoOn(ctx); end != nil || err != nil {
				return end, err
			}
		}
		call.attempt = 1
		if st != nil {
			call.attempt = st.attempts + 1
		}
		if end, err := b.start(ctx, call, repeatable); end != nil || err != nil {
			return end, err
		}
		st = x.state.steps[key]
		if end, err := b.attempt(ctx, call, retry, st); end != nil || err != nil || st.done() {
			return end, err
		}
		if err := b.sync(ctx); err != nil { // a retry's timer is durable
			return nil, err
		}
	}
}

func (b *branch) input(ctx context.Context, key string, u *workflow.Use) (map[string]any, error) {
	if u.With == nil {
		return map[string]any{}, nil
	}
	v, err := u.With.Eval(ctx, b.env(key))
	if err != nil {
		return nil, err
	}
	input, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("with must be an object, it is %s", truncate(value.Text(v), 80))
	}
	return input, nil
}

// start records that an attempt begins. It is durable before the effect, unless the action may be repeated and
// no result that the call may depend on waits to be written.
func (b *branch) start(ctx context.Context, c *invocation, repeatable bool) (*ending, error) {
	x := b.x
	rec := Record{At: x.host.now(), Kind: KindStepStarted, Step: c.id, Attempt: c.attempt, Status: StatusRunning, Key: c.key}
	if c.attempt == 1 {
		rec.At = b.now
		data, err := value.AppendJSON(nil, c.input)
		if err != nil {
			return nil, b.fail(c.id, 0, 0, fmt.Errorf("with: %w", err), StatusFailed, time.Time{})
		}
		if len(data) > maxOutput {
			return nil, b.fail(c.id, 0, 0, fmt.Errorf("with has %d bytes, at most %d can be sent", len(data), maxOutput), StatusFailed, time.Time{})
		}
		rec.Data = x.host.redact(data)
	}
	x.put(rec)
	if repeatable && b.owed <= x.durable && len(x.pend) < maxPend {
		return nil, nil
	}
	if err := b.sync(ctx); err != nil {
		return nil, err
	}
	end, err := b.stopped(ctx)
	if end != nil {
		_ = b.fail(c.id, c.attempt, 0, errors.New("stopped before it began"), StatusCanceled, time.Time{})
	}
	return end, err
}

// attempt makes one call and records what came of it.
func (b *branch) attempt(ctx context.Context, c *invocation, retry *workflow.Retry, st *stepState) (*ending, error) {
	x := b.x
	if st == nil || st.status != StatusRunning {
		return nil, nil // the start failed for good
	}
	limit := c.step.Timeout
	if limit <= 0 {
		limit = stepTimeout
	}
	begun := x.host.now()
	out, err := b.outside(func() (any, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within the step's timeout of %s", limit))
		defer cancel()
		out, err := x.host.invoke(ctx, x, c)
		if err != nil && ctx.Err() != nil {
			if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
				err = cause
			}
		}
		return out, err
	})
	took := x.host.now().Sub(begun)
	switch {
	case err == nil:
		b.complete(c.id, c.attempt, took, StatusSucceeded, out, nil, "")
		b.owe()
		return nil, nil
	case errors.Is(err, ErrLost), errors.Is(err, errShutdown), errors.Is(err, errEndClaim):
		return nil, err // the outcome is not ours to record
	case errors.Is(err, errCanceled):
		_ = b.fail(c.id, c.attempt, took, errCanceled, StatusCanceled, time.Time{})
		if x.appending {
			return nil, nil // what the journal says is read when the write is done
		}
		return nil, x.readSignals(ctx)
	case errors.Is(err, errDeadline):
		_ = b.fail(c.id, c.attempt, took, err, StatusFailed, time.Time{})
		return x.timedOut(), nil
	}
	if connectors.IsUnknown(err) && !retry.Unknown {
		_ = b.fail(c.id, c.attempt, took, fmt.Errorf("%w. Nobody knows whether it happened: look at the other side, then run again from this step or "+
			"from the one behind it", err), StatusUnknown, time.Time{})
		b.owe()
		return nil, nil
	}
	retryAt := time.Time{}
	if st.failures+1 < retry.Attempts && !connectors.IsPermanent(err) {
		retryAt = x.host.now().Add(backoff(retry, st.failures))
		if after, ok := connectors.Delay(err); ok {
			retryAt = x.host.now().Add(after)
		}
		if !x.deadline.IsZero() && retryAt.After(x.deadline) {
			err = fmt.Errorf("%w; the next try would be after the run's timeout of %s", err, x.w.Timeout)
			retryAt = time.Time{}
		}
	}
	_ = b.fail(c.id, c.attempt, took, err, StatusFailed, retryAt)
	b.owe()
	return nil, nil
}

// backoff is exponential with full jitter: anything up to min(max, initial * 2^n).
func backoff(r *workflow.Retry, failures int) time.Duration {
	ceiling := r.Initial
	for range failures {
		if ceiling *= 2; ceiling >= r.Max || ceiling <= 0 {
			ceiling = r.Max
			break
		}
	}
	ceiling = min(ceiling, r.Max)
	if ceiling <= 0 {
		return 0
	}
	return time.Duration(rand.Int64N(int64(ceiling) + 1))
}

// The engine as the host of its runs.

func (e *Engine) now() time.Time { return time.Now() }

func (e *Engine) zone() *time.Location { return e.Zone }

func (e *Engine) redact(b []byte) []byte { return e.Redact(b) }

func (e *Engine) draining() bool {
	select {
	case <-e.drain:
		return true
	default:
		return false
	}
}

// read repeats as append does: a claim whose signals cannot be read would be held for nothing.
func (e *Engine) read(ctx context.Context, id RunID, from uint32) (recs []Record, err error) {
	err = e.insist(id, func() error {
		recs, err = e.Store.Read(ctx, id, from)
		return err
	})
	return recs, err
}

// append repeats the write while the store cannot say or has no room: what happened outside must not be forgotten.
func (e *Engine) append(ctx context.Context, c *Claim, recs []Record, then Then) error {
	ctx = context.WithoutCancel(ctx)
	err := e.insist(c.Run, func() error { return e.Store.Append(ctx, c, recs, then) })
	if err == nil {
		for i := range then.Signals {
			e.interruptRun(then.Signals[i].Run, then.Signals[i].Signal.Kind)
		}
	}
	return err
}

// insist repeats a call of the store while it cannot say or has no room, until a drain is over.
func (e *Engine) insist(run RunID, call func() error) error {
	begun, wait := time.Now(), 100*time.Millisecond
	for {
		err := call()
		if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrFull) {
			return err
		}
		if e.draining() && time.Since(begun) > drainGrace {
			return err
		}
		e.Log.Warn("the store does not serve a run yet", "run", run.String(), "error", err)
		time.Sleep(wait)
		wait = min(2*wait, 2*time.Second)
	}
}

// sleep waits under the claim without holding a worker slot.
func (e *Engine) sleep(ctx context.Context, x *execution, until time.Time) error {
	x.slot.leave()
	defer x.slot.enter()
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-e.drain:
		return nil
	case <-x.wake:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *Engine) background(f func()) { go f() }

func (e *Engine) action(u *workflow.Use) (*connectors.Action, error) {
	return findAction(e.Connectors, u)
}

func findAction(r *connectors.Registry, u *workflow.Use) (*connectors.Action, error) {
	c := r.Connector(u.Connector)
	if c == nil {
		return nil, r.Missing(u.Connector)
	}
	a := c.Action(u.Action)
	if a == nil || a.Do == nil {
		return nil, fmt.Errorf("connector %s has no action %q", u.Connector, u.Action)
	}
	return a, nil
}

func (e *Engine) invoke(ctx context.Context, x *execution, c *invocation) (out any, err error) {
	if x.pretends(c) {
		return value.Clone(c.action.Sample), nil
	}
	if x != nil {
		defer x.slot.call()()
	}
	defer func() {
		if p := recover(); p != nil {
			e.Log.Error("an action crashed", "action", c.use.Connector+"."+c.use.Action, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			out, err = nil, connectors.Permanent(fmt.Errorf("%s.%s failed inside Bellhop; the log has the details", c.use.Connector, c.use.Action))
		}
	}()
	call, err := e.NewCall(c.use.Connection, c.input)
	if err != nil {
		return nil, err
	}
	call.Key, call.Workflow, call.Hops = c.key, c.workflowID, c.hops
	if c.look != nil { // nobody is called, so nothing is learned of the connection
		call.HTTP, call.Dial = &http.Client{Transport: c.look}, c.look.dial
		return c.action.Do(ctx, call)
	}
	if c.use.Connection == "" {
		return c.action.Do(ctx, call)
	}
	out, err = c.action.Do(ctx, call)
	e.Observe(c.use.Connection, err)
	return out, connectors.OfConnection(c.use.Connection, err)
}

// NewCall is a call with all that an action needs, for who asks on behalf of a person, such as a form that lists
// choices. connection may be empty. The error is permanent and names the connection.
func (e *Engine) NewCall(connection string, input map[string]any) (*connectors.Call, error) {
	call := &connectors.Call{Input: input, HTTP: e.HTTP, KV: e.values, Now: time.Now(), Dial: e.Dial, Limits: e.Limits}
	if connection == "" {
		return call, nil
	}
	var err error
	if call.Connection, err = e.Connections(connection); err != nil {
		return nil, connectors.Permanent(err)
	}
	call.Token = e.Tokens(connection)
	return call, nil
}

// Call makes one call of an action outside a run, as polls do. The action must be safe for this input; key is the
// idempotency key.
func (e *Engine) Call(ctx context.Context, w *workflow.Workflow, u *workflow.Use, action *connectors.Action, input map[string]any, key string) (any, error) {
	if !action.IsSafe(input) {
		return nil, connectors.Permanent(fmt.Errorf("%s.%s does more than read, so it cannot be polled", u.Connector, u.Action))
	}
	return e.invoke(ctx, nil, &invocation{use: u, action: action, input: input, key: key, workflowID: w.ID, attempt: 1})
}

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const (
	maxCallDepth = 16               // calls behind each other; check refuses loops, this bounds what edits make of them
	childLook    = time.Hour        // how often a step looks after its child, whose end wakes it long before
	childRetry   = 10 * time.Second // where the child cannot be stored now
)

// childAnswer is what the end of a run tells the step that called it.
type childAnswer struct {
	Run     string          `json:"run"`
	Status  string          `json:"status"`
	Message string          `json:"message,omitempty"`
	Output  json.RawMessage `json:"output,omitempty"`
}

func (a childAnswer) signal(key string) Signal {
	data, err := json.Marshal(a)
	if err != nil { // the output is no JSON: it was redacted in the middle
		a.Output = nil
		data, _ = json.Marshal(a)
	}
	return Signal{ID: "child/" + a.Run, Kind: signalChild, Step: key, Data: data}
}

// call runs another workflow as a run of its own. The start is durable before the child is, and the child's key names
// run, step and round: whatever crashes, there is one child.
func (b *branch) call(ctx context.Context, s *workflow.Step, key string, c *workflow.Call, st *stepState) (*ending, error) {
	x := b.x
	if st == nil {
		if x.state.head.Depth >= maxCallDepth {
			return nil, b.fail(key, 0, 0, fmt.Errorf("this is already %d calls behind its event: does a workflow call itself?", maxCallDepth), StatusFailed, time.Time{})
		}
	}
	body, err := c.With.Eval(ctx, b.env(key))
	if err != nil {
		attempt := 0
		if st != nil {
			attempt = 1
		}
		return nil, b.fail(key, attempt, 0, fmt.Errorf("with: %w", err), StatusFailed, time.Time{})
	}
	if st == nil {
		child := NewRunID(b.now, &Head{Workflow: c.Workflow, Trigger: TriggerCall, Key: callKey(x.claim.Run, key)})
		data, err := value.AppendJSON(nil, map[string]any{"workflow": c.Workflow, "with": body})
		if err != nil {
			return nil, b.fail(key, 0, 0, fmt.Errorf("with: %w", err), StatusFailed, time.Time{})
		}
		x.put(Record{
			At: b.now, Kind: KindStepStarted, Step: key, Attempt: 1, Status: StatusRunning, Reason: reasonCall,
			Key: child.String(), Data: x.host.redact(data),
		})
		st = x.state.steps[key]
		if err := b.sync(ctx); err != nil {
			return nil, err
		}
	}
	child, err := ParseRunID(st.key)
	if err != nil {
		return nil, fmt.Errorf("%w: start of step %s: %w", ErrDamaged, key, err)
	}
	begun := st.begun
	for x.state.answers[key] == nil {
		if end, err := b.stopped(ctx); end != nil || err != nil {
			return end, err
		}
		err := b.ask(ctx, &question{step: s, key: key, kind: signalChild, input: body, child: child, asked: begun, target: c.Workflow})
		wait := childLook
		switch {
		case errors.Is(err, ErrFull), errors.Is(err, ErrUnavailable):
			wait = childRetry
		case errors.As(err, new(*InputError)), errors.Is(err, ErrNotFound):
			return nil, b.fail(key, 1, b.took(key), err, StatusFailed, time.Time{})
		case err != nil:
			return nil, err
		}
		if x.state.answers[key] != nil {
			break
		}
		end, err := b.await(ctx, x.host.now().Add(wait), key)
		if err != nil {
			return nil, err
		}
		if end != nil {
			if b.group != nil && x.state.cancel != nil {
				x.orphans = append(x.orphans, child)
			} else if b.group != nil { // the run may go on without it
				if _, err := b.outside(func() (any, error) { return nil, x.host.cancelChild(ctx, child) }); err != nil {
					return nil, err
				}
			}
			return end, nil
		}
	}
	return nil, b.childEnded(key, c.Workflow)
}

func (b *branch) childEnded(key, name string) error {
	sig, _, err := b.answer(key)
	if err != nil {
		return err
	}
	var a childAnswer
	if err := json.Unmarshal(sig.Data, &a); err != nil {
		return fmt.Errorf("%w: answer to step %s: %w", ErrDamaged, key, err)
	}
	if a.Status == StatusFailed.String() || a.Status == StatusCanceled.String() {
		msg := a.Message
		if a.Status == StatusCanceled.String() {
			msg = "its run was canceled"
		}
		return b.fail(key, 1, b.took(key), fmt.Errorf("%s: %s", name, msg), StatusFailed, time.Time{})
	}
	b.complete(key, 1, b.took(key), StatusSucceeded, nil, a.Output, "")
	return nil
}

func callKey(run RunID, key string) string { return "call/" + run.String() + "/" + key }

// ask starts the child of a call step; who answers other steps does so from outside.
func (e *Engine) ask(ctx context.Context, q *question) (*Signal, error) {
	if q.kind != signalChild {
		return nil, nil
	}
	ctx = context.WithoutCancel(ctx)
	recs, err := e.Store.Read(ctx, q.child, 0)
	switch {
	case err == nil && len(recs) > 0:
		if last := &recs[len(recs)-1]; last.Kind == KindFinished { // its word got lost, as when a damaged run is ended
			sig := childAnswer{Run: q.child.String(), Status: last.Status.String(), Message: string(last.Data), Output: lastOutput(recs)}.signal(q.key)
			return &sig, nil
		}
		return nil, nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, err
	}
	body, _ := q.input.(map[string]any)
	ev := Event{
		Workflow: q.target, Trigger: TriggerCall, Kind: TriggerCall, At: q.asked, Key: callKey(q.run, q.key), Urgent: q.head.Urgent, Test: TestMode(q.head.Trigger),
		Caller: q.run, CallerStep: q.key, Depth: q.head.Depth + 1, Fields: map[string]any{"body": body},
	}
	r, err := e.newRun(ctx, &ev, nil)
	if errors.Is(err, ErrNotFound) {
		return nil, &InputError{fmt.Sprintf("there is no workflow %q", q.target)}
	}
	if err != nil {
		return nil, err
	}
	r.ID = q.child
	acc, err := e.store(ctx, Batch{Runs: []NewRun{*r}})
	if err != nil {
		return nil, err
	}
	if acc[0].Dropped {
		return nil, &InputError{fmt.Sprintf("%s has as many runs under way as its concurrency allows, and drops more", q.target)}
	}
	return nil, nil
}

// lastOutput is the output of the last step of a finished run that gave one.
func lastOutput(recs []Record) json.RawMessage {
	for i := len(recs) - 1; i >= 0; i-- {
		if r := &recs[i]; r.Kind == KindStepCompleted && r.Status == StatusSucceeded && len(r.Data) > 0 && r.Reason != reasonRespond {
			return r.Data
		}
	}
	return nil
}

func (e *Engine) cancelChild(ctx context.Context, child RunID) error {
	err := e.insist(child, func() error { return e.Cancel(context.WithoutCancel(ctx), child, "the run that called it") })
	if errors.Is(err, ErrNotFound) {
		return nil // it has ended
	}
	return err
}

package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Kinds of Signals that steps wait for.
const (
	SignalApprove  = "approve"
	SignalCallback = "callback"
	signalChild    = "child"
	signalFull     = "full" // to a run that found its workflow's concurrency used up
)

// maxWait bounds how far ahead a run may sleep.
const maxWait = 5 * 366 * 24 * time.Hour

// question is what a step asks of the world outside, before it waits for the answer.
type question struct {
	run    RunID
	head   *Head
	step   *workflow.Step
	key    string
	kind   string
	input  any // approve: the message; child: the body
	child  RunID
	asked  time.Time
	target string // child: the workflow
}

// ask puts a question and returns the answer at once where somebody has it, as a rehearsal does.
func (b *branch) ask(ctx context.Context, q *question) error {
	x := b.x
	if x.state.answers[q.key] != nil {
		return nil
	}
	q.run, q.head = x.claim.Run, &x.state.head
	v, err := b.outside(func() (any, error) { return x.host.ask(ctx, q) })
	if err != nil {
		return err
	}
	if sig, _ := v.(*Signal); sig != nil {
		data, err := json.Marshal(sig)
		if err != nil {
			return err
		}
		x.put(Record{At: x.host.now(), Kind: KindSignal, Step: q.key, Key: sig.ID, Reason: sig.Kind, Data: data})
	}
	return nil
}

// answer is the signal that a step waited for; nil: there is none.
func (b *branch) answer(key string) (*Signal, time.Time, error) {
	r := b.x.state.answers[key]
	if r == nil {
		return nil, time.Time{}, nil
	}
	var sig Signal
	if err := json.Unmarshal(r.Data, &sig); err != nil {
		return nil, r.At, fmt.Errorf("%w: answer to step %s: %w", ErrDamaged, key, err)
	}
	return &sig, r.At, nil
}

func (b *branch) wait(ctx context.Context, s *workflow.Step, key string, w *workflow.Wait, st *stepState) (*ending, error) {
	if st == nil {
		until, err := b.waitsUntil(ctx, key, w)
		if err != nil {
			return nil, b.fail(key, 0, 0, err, StatusFailed, time.Time{})
		}
		if err := b.begin(key, map[string]any{"until": until.UTC().Format(time.RFC3339)}, until); err != nil {
			return nil, err
		}
		st = b.x.state.steps[key]
	}
	signal := ""
	if w.Callback {
		signal = key
		if err := b.ask(ctx, &question{step: s, key: key, kind: SignalCallback}); err != nil {
			return nil, err
		}
	}
	if end, err := b.await(ctx, st.until, signal); end != nil || err != nil {
		return end, err
	}
	if !w.Callback {
		b.complete(key, 1, b.took(key), StatusSucceeded, nil, nil, "")
		return nil, nil
	}
	sig, _, err := b.answer(key)
	if err != nil {
		return nil, err
	}
	if sig == nil {
		return nil, b.fail(key, 1, b.took(key), fmt.Errorf("nobody called back within %s", w.Timeout), StatusFailed, time.Time{})
	}
	b.complete(key, 1, b.took(key), StatusSucceeded, nil, sig.Data, "")
	return nil, nil
}

func (b *branch) waitsUntil(ctx context.Context, key string, w *workflow.Wait) (until time.Time, err error) {
	switch {
	case w.Callback:
		return b.now.Add(w.Timeout), nil
	case w.For != nil:
		v, err := w.For.Eval(ctx, b.env(key))
		if err != nil {
			return until, fmt.Errorf("for: %w", err)
		}
		d, err := connectors.Duration(value.Text(v))
		if err != nil {
			return until, fmt.Errorf("for: %w", err)
		}
		until = b.now.Add(d)
	default:
		v, err := w.Until.Eval(ctx, b.env(key))
		if err != nil {
			return until, fmt.Errorf("until: %w", err)
		}
		if until, err = time.Parse(time.RFC3339, value.Text(v)); err != nil {
			return until, fmt.Errorf("until is %q, want a time such as 2026-03-01T09:00:00Z; parse_date(…) makes one of a text", truncate(value.Text(v), 80))
		}
	}
	if until.Sub(b.now) > maxWait {
		return until, fmt.Errorf("until %s is more than five years away", until.UTC().Format(time.DateOnly))
	}
	return until, nil
}

// approval is the output of an approve step, and what its Signal carries.
type approval struct {
	Approved bool      `json:"approved"`
	By       string    `json:"by"`
	Comment  string    `json:"comment"`
	At       time.Time `json:"at"`
}

func (b *branch) approve(ctx context.Context, s *workflow.Step, key string, a *workflow.Approve, st *stepState) (*ending, error) {
	if st == nil {
		v, err := a.Message.Eval(ctx, b.env(key))
		if err != nil {
			return nil, b.fail(key, 0, 0, fmt.Errorf("message: %w", err), StatusFailed, time.Time{})
		}
		if err := b.begin(key, map[string]any{"message": value.Text(v)}, b.now.Add(a.Timeout)); err != nil {
			return nil, err
		}
		st = b.x.state.steps[key]
	}
	if err := b.ask(ctx, &question{step: s, key: key, kind: SignalApprove, input: messageOf(st)}); err != nil {
		return nil, err
	}
	if end, err := b.await(ctx, st.until, key); end != nil || err != nil {
		return end, err
	}
	sig, at, err := b.answer(key)
	if err != nil {
		return nil, err
	}
	if sig == nil {
		return nil, b.fail(key, 1, b.took(key), fmt.Errorf("nobody answered within %s", a.Timeout), StatusFailed, time.Time{})
	}
	var answer approval
	if err := json.Unmarshal(sig.Data, &answer); err != nil {
		return nil, fmt.Errorf("%w: answer to step %s: %w", ErrDamaged, key, err)
	}
	answer.At = at.UTC()
	data, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	status, reason := StatusSucceeded, ""
	if !answer.Approved && a.OnDecline != "continue" {
		status, reason = StatusFiltered, ReasonDeclined
	}
	b.complete(key, 1, b.took(key), status, nil, data, reason)
	return nil, nil
}

// messageOf is what the person of an approve step was asked.
func messageOf(st *stepState) string {
	var input struct{ Message string }
	if err := json.Unmarshal(st.input, &input); err != nil {
		return ""
	}
	return input.Message
}

// declinedSummary says in one sentence who declined.
func declinedSummary(data []byte) string {
	var a approval
	if err := json.Unmarshal(data, &a); err != nil {
		return "Declined"
	}
	text := "Declined"
	if a.By != "" {
		text += " by " + truncate(a.By, 80)
	}
	if a.Comment != "" {
		text += ": " + truncate(a.Comment, 200)
	}
	return text
}

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Bounds of what a step may leave behind.
const (
	maxOutput  = 10 << 20
	maxMessage = 2000
)

// complete records the outcome of a step. out is its decoded output; data is out as JSON, nil to encode it here.
func (b *branch) complete(key string, attempt int, took time.Duration, status Status, out any, data []byte, reason string) {
	if data == nil && out != nil {
		var err error
		if data, err = value.AppendJSON(nil, out); err == nil && len(data) > maxOutput {
			err = fmt.Errorf("the output has %d bytes, at most %d can be kept", len(data), maxOutput)
		}
		if err != nil {
			_ = b.fail(key, attempt, took, err, StatusFailed, time.Time{})
			return
		}
	}
	if clean := b.x.host.redact(data); len(clean) != len(data) || len(data) > 0 && &clean[0] != &data[0] {
		data, out = clean, nil // what is stored is what later steps see
	}
	b.x.put(Record{At: b.x.host.now(), Kind: KindStepCompleted, Step: key, Attempt: attempt, Status: status, Reason: reason, Took: took, Data: data, Memo: out})
}

// fail records a failed attempt; retryAt zero means that it was the last. The step's error is data of the run, not an
// error of the engine: what fail returns is nil, so that callers can end with it.
func (b *branch) fail(key string, attempt int, took time.Duration, err error, status Status, retryAt time.Time) error {
	return b.failWith(key, attempt, took, stepError(err, attempt), status, retryAt)
}

func stepError(err error, attempt int) *StepError {
	f := &StepError{Message: truncate(err.Error(), maxMessage), Attempts: attempt}
	var answer *connectors.StatusError
	if errors.As(err, &answer) {
		f.Status = answer.Status
	}
	return f
}

func (b *branch) failWith(key string, attempt int, took time.Duration, f *StepError, status Status, retryAt time.Time) error {
	data, merr := json.Marshal(f)
	if merr != nil {
		data = []byte(`{"message":"the step failed"}`)
	}
	b.x.put(Record{At: b.x.host.now(), Kind: KindStepFailed, Step: key, Attempt: attempt, Status: status, Until: retryAt, Took: took, Data: b.x.host.redact(data)})
	return nil
}

func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// stepLabel names a step for people.
func stepLabel(s *workflow.Step) string {
	switch {
	case s.Name != "":
		return s.Name
	case s.Named:
		return s.ID
	}
	switch do := s.Do.(type) {
	case *workflow.Use:
		return do.Connector + "." + do.Action
	case *workflow.Respond:
		return "Answered the webhook"
	}
	return s.ID
}

// filterSummary says in one sentence what stopped a run.
func filterSummary(data []byte) string {
	var cs []expression.Comparison
	if err := json.Unmarshal(data, &cs); err != nil || len(cs) == 0 {
		return "Stopped by a filter"
	}
	parts := make([]string, 0, 3)
	for _, c := range cs {
		if c.Result {
			continue
		}
		if len(parts) == 3 {
			parts = append(parts, "…")
			break
		}
		was := truncate(value.Text(c.Left), 80)
		if c.Left == nil {
			was = "missing"
		}
		parts = append(parts, fmt.Sprintf("%s (it was %s)", c.Source, was))
	}
	if len(parts) == 0 {
		return "Stopped by a filter"
	}
	return "Stopped by a filter: " + strings.Join(parts, ", ")
}

func decodeResponse(data []byte) (*Response, error) {
	var r Response
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// conclude draws what follows from the outcome of a step.
func (b *branch) conclude(ctx context.Context, s *workflow.Step, key string, st *stepState) (*ending, error) {
	switch st.status {
	case StatusSkipped:
		return nil, nil
	case StatusFiltered:
		return filtered(st), nil
	case StatusSucceeded:
		return b.succeeded(s, key, st)
	case StatusCanceled:
		return b.x.canceled(), nil
	}
	failure := st.failure()
	if failure.Step == "" {
		failure.Step = s.ID
	}
	if st.status == StatusUnknown {
		return &ending{status: StatusFailed, reason: ReasonUnknown, summary: stepLabel(s) + ": " + failure.Message, failure: failure}, nil
	}
	switch s.OnError.Mode {
	case workflow.OnErrorContinue:
		b.sc.errs[s.ID] = b.x.errorRoot(failure)
		return nil, nil
	case workflow.OnErrorSteps:
		root := b.x.errorRoot(failure)
		b.sc.errs[s.ID] = root
		outer := b.sc.roots["error"]
		b.sc.roots["error"] = root
		end, err := b.steps(ctx, s.OnError.Steps)
		b.sc.roots["error"] = outer
		return end, err
	}
	return &ending{status: StatusFailed, summary: stepLabel(s) + ": " + failure.Message, failure: failure}, nil
}

func (b *branch) succeeded(s *workflow.Step, key string, st *stepState) (*ending, error) {
	b.x.label = stepLabel(s)
	stop, stops := s.Do.(*workflow.Stop)
	if stops || b.x.w.Reads(s.ID) {
		out, err := st.output()
		if err != nil {
			return nil, fmt.Errorf("%w: output of step %s: %w", ErrDamaged, key, err)
		}
		if stops {
			return stopEnding(stop, out), nil
		}
		b.sc.steps[s.ID] = out
	}
	if givesOutput(s) {
		b.last = key
	}
	for _, list := range s.Lists() {
		b.reveal(list)
	}
	return nil, nil
}

// reveal shows the outputs of the steps inside one that is done to those behind it.
func (b *branch) reveal(list []*workflow.Step) {
	for _, s := range list {
		if loopAround(s) != b.sc.loop {
			return
		}
		if st := b.x.state.steps[b.sc.key(s.ID)]; st != nil && st.status == StatusSucceeded && b.x.w.Reads(s.ID) {
			if out, err := st.output(); err == nil {
				b.sc.steps[s.ID] = out
			}
		}
		for _, inner := range s.Lists() {
			b.reveal(inner)
		}
		b.reveal(s.OnError.Steps)
	}
}

// filtered is how a step that filtered ends what it stands in: a round of a loop, a branch of parallel steps, else the run.
func filtered(st *stepState) *ending {
	if st.reason == ReasonDeclined {
		return &ending{status: StatusFiltered, reason: ReasonDeclined, summary: declinedSummary(st.data), data: st.data}
	}
	return &ending{status: StatusFiltered, reason: ReasonFilter, summary: filterSummary(st.data), data: st.data}
}

// output is the decoded output of a step.
func (st *stepState) output() (any, error) {
	if st.memo == nil && len(st.data) > 0 {
		out, err := value.DecodeJSON(st.data)
		if err != nil {
			return nil, err
		}
		st.memo = out
	}
	return st.memo, nil
}

// givesOutput reports whether the output of a step can be that of what it stands in.
func givesOutput(s *workflow.Step) bool {
	switch do := s.Do.(type) {
	case *workflow.Filter, *workflow.Respond, *workflow.Stop:
		return false
	case *workflow.Wait:
		return do.Callback
	}
	return true
}

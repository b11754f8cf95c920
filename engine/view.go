package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// RunView is a run as the API shows it.
type RunView struct {
	ID         string     `json:"id"`
	Workflow   string     `json:"workflow"`
	Version    string     `json:"version"`
	Status     string     `json:"status"`
	Reason     string     `json:"reason,omitempty"`
	Summary    string     `json:"summary,omitempty"`
	Parent     string     `json:"parent,omitempty"` // the run that this one repeats
	Caller     string     `json:"caller,omitempty"` // the run that called this one
	CallerStep string     `json:"caller_step,omitempty"`
	Trigger    any        `json:"trigger"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Steps      []StepView `json:"steps"`
}

// StepView is one step of a run, in the order in which steps began.
type StepView struct {
	ID        string                  `json:"id"`
	Kind      string                  `json:"kind"`
	Name      string                  `json:"name,omitempty"`
	Status    string                  `json:"status"`
	Attempts  int                     `json:"attempts"`
	StartedAt time.Time               `json:"started_at"`
	MS        float64                 `json:"ms"`
	Input     json.RawMessage         `json:"input,omitempty"`
	Output    json.RawMessage         `json:"output,omitempty"`
	Error     *StepError              `json:"error,omitempty"`
	RetryAt   *time.Time              `json:"retry_at,omitempty"`
	Run       string                  `json:"run,omitempty"`     // of a call step: the run that it started
	Because   []expression.Comparison `json:"because,omitempty"` // what decided a filter
	Carried   bool                    `json:"carried,omitempty"` // taken over from the run that this one repeats
	Summary   string                  `json:"summary,omitempty"`
}

// View reads one run, live or finished. ErrNotFound: there is none, or its history is gone.
func (e *Engine) View(ctx context.Context, id RunID) (*RunView, error) {
	recs, err := e.Store.Read(ctx, id, 0)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", id, err)
	}
	var w *workflow.Workflow
	if len(recs) > 0 && recs[0].Head != nil {
		// Without its version a run still shows, with step ids for names.
		w, _ = e.Version(ctx, recs[0].Head.Workflow, recs[0].Head.Version)
	}
	v, err := NewRunView(id, w, recs)
	if err == nil && v.Status == StatusQueued.String() && e.isWorking(id) {
		v.Status = StatusRunning.String() // its first call is under way and leaves no record before it is answered
	}
	return v, err
}

func (e *Engine) isWorking(id RunID) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.running[id] != nil
}

// NewRunView makes the view of a journal. w names its steps; nil leaves names out.
func NewRunView(id RunID, w *workflow.Workflow, recs []Record) (*RunView, error) {
	st, err := foldJournal(recs, true)
	if err != nil && st.accepted == nil {
		return nil, fmt.Errorf("read run %s: %w", id, err)
	}
	h := &st.head
	v := &RunView{
		ID: id.String(), Workflow: h.Workflow, Version: h.Version, Status: st.status().String(),
		StartedAt: st.accepted.At, Steps: make([]StepView, 0, len(st.order)),
	}
	if err != nil {
		v.Summary = err.Error()
	}
	if !h.Parent.IsZero() {
		v.Parent = h.Parent.String()
	}
	if !h.Caller.IsZero() {
		v.Caller, v.CallerStep = h.Caller.String(), h.CallerStep
	}
	if f := st.finished; f != nil {
		v.Reason, v.Summary, v.FinishedAt = f.Reason, string(f.Data), &f.At
	}
	if ev, err := DecodeEvent(st.accepted.Data); err == nil {
		if root, err := ev.Root(false); err == nil {
			v.Trigger = root
		}
	}
	carried := map[string]bool{}
	for i := range recs {
		if recs[i].Reason == reasonCarried {
			carried[recs[i].Step] = true
		}
	}
	for _, key := range st.order {
		s := st.steps[key]
		sv := StepView{
			ID: key, Status: s.status.String(), Attempts: s.attempts, StartedAt: s.begun,
			MS: float64(s.took.Microseconds()) / 1000, Input: rawJSON(s.input), Carried: carried[key],
		}
		if step := stepOf(w, key); step != nil {
			sv.Kind, sv.Name = step.Kind, step.Name
		}
		if sv.Kind == "call" {
			sv.Run = s.key
		}
		switch s.status {
		case StatusRunning:
			if st.finished != nil { // a quarantined run: nobody saw how its step ended
				sv.Status = StatusUnknown.String()
			}
		case StatusSucceeded:
			sv.Output = rawJSON(s.data)
		case StatusFiltered:
			if json.Unmarshal(s.data, &sv.Because) == nil {
				sv.Summary = filterSummary(s.data)
			}
		case StatusFailed, StatusCanceled, StatusUnknown:
			sv.Error = s.failure()
			sv.Summary = sv.Error.Message
			if !s.retryAt.IsZero() && st.finished == nil {
				at := s.retryAt
				sv.RetryAt = &at
				sv.Status = StatusWaiting.String()
			}
		}
		v.Steps = append(v.Steps, sv)
	}
	return v, nil
}

func stepOf(w *workflow.Workflow, key string) *workflow.Step {
	if w == nil {
		return nil
	}
	return w.Step(key)
}

func rawJSON(data []byte) json.RawMessage {
	if len(data) == 0 {
		return nil
	}
	if !json.Valid(data) { // redaction may have touched it
		quoted, err := value.AppendJSON(nil, string(data))
		if err != nil {
			return nil
		}
		return quoted
	}
	return data
}

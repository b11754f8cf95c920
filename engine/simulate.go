package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Simulation runs a workflow by the very loop of the engine, but keeps the journal in memory, lets time pass at
// once, and hands every call of an action to Invoke. Nothing is sent unless Invoke sends it.
type Simulation struct {
	Workflow   *workflow.Workflow
	Event      Event
	Connectors *connectors.Registry
	Now        time.Time // where the simulated clock starts; zero: the real time
	PublicURL  string
	Zone       *time.Location // of dates without a zone; nil: UTC
	// Invoke makes one attempt. The clock has moved to c.Now.
	Invoke func(ctx context.Context, c SimulatedCall) (any, error)
	// Answer stands for those who answer outside: a person whom an approve step asks, a caller of callback_url, the
	// workflow that a call step runs. nil, or an answer that is nil: nobody does.
	Answer  func(ctx context.Context, q SimulatedQuestion) (*SimulatedAnswer, error)
	Journal []Record // what the run of this ID has done before, for example until a crash; nil: it begins with Event
	ID      RunID
	// RealTime makes waits real, for runs that make real calls.
	RealTime bool
}

// SimulatedCall is one attempt at an action.
type SimulatedCall struct {
	Step    *workflow.Step
	Use     *workflow.Use
	Action  *connectors.Action
	Input   map[string]any
	Key     string
	Attempt int
	Now     time.Time
}

// SimulatedQuestion is what a step asks of the world outside.
type SimulatedQuestion struct {
	Step  *workflow.Step
	Key   string // the step's id, with its loop rounds
	Kind  string // approve, callback, call
	Input any    // approve: the message; call: the body
	Now   time.Time
}

// SimulatedAnswer is what comes back: Output is that of the step. Failure, of a call: how the other run failed.
type SimulatedAnswer struct {
	Output  any
	Failure string
}

// Simulated is what came of a Simulation.
type Simulated struct {
	ID       RunID
	Records  []Record
	View     *RunView
	Response *Response // of a respond step
	Output   any       // of the last step
}

// maxSimulated bounds how much simulated time one run may take.
const maxSimulated = 10 * 366 * 24 * time.Hour

// Run plays the workflow to its end.
func (s Simulation) Run(ctx context.Context) (*Simulated, error) {
	if s.Now.IsZero() {
		s.Now = time.Now()
	}
	if s.Event.At.IsZero() {
		s.Event.At = s.Now
	}
	data, err := s.Event.Encode()
	if err != nil {
		return nil, fmt.Errorf("simulate %s: %w", s.Workflow.ID, err)
	}
	head := Head{Workflow: s.Workflow.ID, Version: s.Workflow.Version, Trigger: s.Event.Trigger, Key: s.Event.Key}
	h := &simulation{Simulation: s, clock: s.Now, out: &Simulated{ID: NewRunID(s.Now, &head)}}
	// The event is decoded from its stored form: a run of the engine may have to do so too.
	h.out.Records = []Record{{At: s.Now, Kind: KindAccepted, Head: &head, Data: data, Format: RecordFormat}}
	if s.Journal != nil {
		h.out.Records, h.out.ID = slices.Clone(s.Journal), s.ID
	}
	for h.clock.Sub(s.Now) < maxSimulated {
		state, err := foldJournal(h.out.Records, false)
		if err != nil {
			return nil, fmt.Errorf("simulate %s: %w", s.Workflow.ID, err)
		}
		c := &Claim{Run: h.out.ID, Seq: uint32(len(h.out.Records)), Journal: h.out.Records}
		runCtx, stop := context.WithCancelCause(ctx)
		err = newExecution(h, c, s.Workflow, state, stop).run(runCtx)
		stop(nil)
		if err == nil {
			h.out.View, err = NewRunView(h.out.ID, s.Workflow, h.out.Records)
			return h.out, err
		}
		if !errors.Is(err, errEndClaim) {
			return nil, fmt.Errorf("simulate %s: %w", s.Workflow.ID, err)
		}
		if h.wake.IsZero() {
			return nil, fmt.Errorf("simulate %s: the run waits for what nobody sends", s.Workflow.ID)
		}
		if err := h.sleep(ctx, nil, h.wake); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("simulate %s: the run does not end", s.Workflow.ID)
}

// simulation is the host of a simulated run.
type simulation struct {
	Simulation
	clock time.Time
	wake  time.Time
	out   *Simulated
}

func (h *simulation) append(_ context.Context, c *Claim, recs []Record, then Then) error {
	for _, r := range recs {
		r.Seq, r.Format = uint32(len(h.out.Records)), RecordFormat
		h.out.Records = append(h.out.Records, r)
	}
	c.Seq = uint32(len(h.out.Records))
	h.wake = then.Wake
	return nil
}

func (h *simulation) read(context.Context, RunID, uint32) ([]Record, error) { return nil, nil }

func (h *simulation) now() time.Time {
	if h.RealTime {
		return time.Now()
	}
	return h.clock
}

func (h *simulation) sleep(ctx context.Context, _ *execution, until time.Time) error {
	if h.RealTime {
		pause(ctx, time.Until(until))
		return context.Cause(ctx)
	}
	if until.After(h.clock) {
		h.clock = until
	}
	return ctx.Err()
}

func (h *simulation) action(u *workflow.Use) (*connectors.Action, error) {
	return findAction(h.Connectors, u)
}

func (h *simulation) invoke(ctx context.Context, x *execution, c *invocation) (any, error) {
	return h.Invoke(ctx, SimulatedCall{
		Step: c.step, Use: c.use, Action: c.action, Input: c.input, Key: c.key, Attempt: c.attempt, Now: h.now(),
	})
}

func (h *simulation) ends(*Head, RunID, *ending) error { return nil }

func (h *simulation) reply(_ RunID, r Reply) {
	if r.Response != nil && h.out.Response == nil {
		h.out.Response = r.Response
	}
	if r.Done {
		if h.out.Output = r.Output; r.Output == nil && len(r.data) > 0 {
			h.out.Output, _ = value.DecodeJSON(r.data)
		}
	}
}

func (h *simulation) ask(ctx context.Context, q *question) (*Signal, error) {
	if h.Answer == nil && q.kind != signalChild && !h.RealTime {
		return nil, nil
	}
	kind := q.kind
	if kind == signalChild {
		kind = "call"
	}
	var a *SimulatedAnswer
	if h.Answer != nil {
		var err error
		if a, err = h.Answer(ctx, SimulatedQuestion{Step: q.step, Key: q.key, Kind: kind, Input: q.input, Now: h.now()}); err != nil {
			return nil, err
		}
	}
	if a == nil {
		if kind == "call" || h.RealTime {
			return nil, fmt.Errorf("step %s waits for an answer that can only come to a server", q.key)
		}
		return nil, nil
	}
	data, err := value.AppendJSON(nil, a.Output)
	if err != nil {
		return nil, err
	}
	if fields, _ := a.Output.(map[string]any); kind == SignalApprove {
		if _, said := fields["approved"].(bool); !said {
			return nil, fmt.Errorf("step %s asks a person: its answer is such as {approved: true, by: Ada, comment: fine}, not %s", q.key, truncate(string(data), 80))
		}
	}
	if kind == "call" {
		answer := childAnswer{Run: q.child.String(), Status: StatusSucceeded.String(), Output: data}
		if a.Failure != "" {
			answer.Status, answer.Message = StatusFailed.String(), a.Failure
		}
		sig := answer.signal(q.key)
		return &sig, nil
	}
	return &Signal{ID: kind + "/" + q.key, Kind: q.kind, Step: q.key, Data: data}, nil
}

func (h *simulation) background(f func())                      { f() }
func (h *simulation) cancelChild(context.Context, RunID) error { return nil }
func (h *simulation) link(_ RunID, key, f string) (string, error) {
	return exampleLink(h.PublicURL, f, key), nil
}

func (h *simulation) draining() bool         { return false }
func (h *simulation) redact(b []byte) []byte { return b }
func (h *simulation) zone() *time.Location   { return h.Zone }
func (h *simulation) runURL(id RunID) string { return runURL(h.PublicURL, id) }

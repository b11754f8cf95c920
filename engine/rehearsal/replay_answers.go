package rehearsal

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// answers are those that a run got, by the key that all attempts of a call share.
type answers struct {
	byKey map[string]*recorded
	calls []*recorded // in the order in which the version that ran made them
}

type recorded struct {
	use     string
	input   any
	output  any
	failure *engine.StepError
	known   bool // there is an answer at all
	given   bool // to a call of the draft
}

// record reads the answers from a journal.
func (a *answers) record(id engine.RunID, journal []engine.Record) {
	a.byKey = make(map[string]*recorded, 8)
	for i := range journal {
		rec := &journal[i]
		key := engine.IdempotencyKey(id, rec.Step)
		switch {
		case rec.Kind == engine.KindStepCompleted && rec.Status == engine.StatusSucceeded:
			out, err := value.DecodeJSON(rec.Data)
			if len(rec.Data) > 0 && err != nil {
				continue
			}
			a.byKey[key] = &recorded{output: out, known: true}
		case rec.Kind == engine.KindStepFailed && rec.Status == engine.StatusFailed:
			f := &engine.StepError{}
			if json.Unmarshal(rec.Data, f) == nil {
				a.byKey[key] = &recorded{failure: f, known: true}
			}
		}
	}
}

// note is the Invoke of the version that ran.
func (a *answers) note(_ context.Context, c engine.SimulatedCall) (any, error) {
	got := a.byKey[c.Key]
	if got == nil {
		got = &recorded{output: c.Action.Sample}
		a.byKey[c.Key] = got
	}
	got.use, got.input = useName(c.Use), c.Input
	a.calls = append(a.calls, got)
	return got.reply()
}

// noteRecorded is note for a version that is not there any more. Which action a step called is not known then: its
// input has to tell.
func (a *answers) noteRecorded(id engine.RunID, s *engine.StepView) {
	got := a.byKey[engine.IdempotencyKey(id, s.ID)]
	if got == nil || len(s.Input) == 0 {
		return
	}
	if input, err := value.DecodeJSON(s.Input); err == nil {
		got.input = input
		a.calls = append(a.calls, got)
	}
}

// find returns the answer to a call of the draft: that of the same step, or of another with the same action and
// input, such as one that was renamed.
func (a *answers) find(c engine.SimulatedCall) *recorded {
	fits := func(got *recorded) bool {
		return got != nil && got.known && got.input != nil && (got.use == "" || got.use == useName(c.Use)) && value.Equal(got.input, c.Input)
	}
	if got := a.byKey[c.Key]; fits(got) {
		return got
	}
	for _, got := range a.calls {
		if !got.given && fits(got) {
			return got
		}
	}
	return nil
}

func (a *recorded) reply() (any, error) {
	if a.failure != nil {
		return nil, connectors.Permanent(&recordedError{a.failure})
	}
	return value.Clone(a.output), nil
}

// recordedError is the failure of a call as it was recorded.
type recordedError struct{ *engine.StepError }

func (e *recordedError) Error() string { return e.Message }

func (e *recordedError) Unwrap() error {
	if e.Status == 0 {
		return nil
	}
	return &connectors.StatusError{Status: e.Status, Message: e.Message}
}

func useName(u *workflow.Use) string { return u.Connector + "." + u.Action }

// replayStage answers the calls of the draft.
type replayStage struct {
	replay  Replay
	answers *answers
	kv      *memory
	guessed []string
}

func (s *replayStage) invoke(ctx context.Context, c engine.SimulatedCall) (any, error) {
	if got := s.answers.find(c); got != nil {
		got.given = true
		return got.reply()
	}
	switch {
	case s.replay.Read != nil && !c.Action.Local && c.Action.IsSafe(c.Input):
		return s.replay.Read(ctx, s.replay.Draft, c)
	case c.Action.Local:
		s.guess(c.Step.ID)
		s.kv.now = c.Now
		return c.Action.Do(ctx, &connectors.Call{Key: c.Key, Workflow: s.replay.Draft.ID, Input: c.Input, KV: s.kv, Now: c.Now})
	}
	s.guess(c.Step.ID)
	return value.Clone(c.Action.Sample), nil
}

func (s *replayStage) guess(step string) {
	if !slices.Contains(s.guessed, step) {
		s.guessed = append(s.guessed, step)
	}
}

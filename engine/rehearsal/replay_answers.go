package rehearsal

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// answers are those that a run got, by the key that all attempts of a call share.
type answers struct {
	byKey map[string]*recorded
	calls []*recorded       // in the order in which the version that ran made them
	asked map[string]*asked // by the step's id with its rounds
}

// asked is what a step asked of a person, a caller or another workflow.
type asked struct {
	input  any
	known  bool                    // the version that ran asked it too
	answer *engine.SimulatedAnswer // nil: nobody answered
}

type recorded struct {
	use     string
	input   any
	output  any
	failure *engine.StepError
	known   bool // there is an answer at all
	given   bool // to a call of the draft
	again   bool // the draft makes this call too, with any input
	step    string
}

// record reads the answers from a journal.
func (a *answers) record(id engine.RunID, journal []engine.Record) {
	a.byKey, a.asked = make(map[string]*recorded, 8), map[string]*asked{}
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
		case rec.Kind == engine.KindSignal && rec.Step != "":
			if answer := answerOf(rec); answer != nil {
				a.asked[rec.Step] = &asked{answer: answer, known: true}
			}
		}
	}
}

// answerOf reads what came back to a step from a Signal record.
func answerOf(rec *engine.Record) *engine.SimulatedAnswer {
	var sig engine.Signal
	if json.Unmarshal(rec.Data, &sig) != nil {
		return nil
	}
	var child struct {
		Run, Status, Message string
		Output               json.RawMessage
	}
	data := sig.Data
	isCall := json.Unmarshal(sig.Data, &child) == nil && child.Run != "" && strings.HasPrefix(sig.ID, "child/")
	if isCall {
		if data = child.Output; child.Status == engine.StatusFailed.String() || child.Status == engine.StatusCanceled.String() {
			return &engine.SimulatedAnswer{Failure: cmp.Or(child.Message, child.Status)}
		}
	}
	answer := &engine.SimulatedAnswer{}
	if len(data) > 0 {
		var err error
		if answer.Output, err = value.DecodeJSON(data); err != nil {
			return nil
		}
	}
	return answer
}

// noteAsked is the Answer of the version that ran.
func (a *answers) noteAsked(_ context.Context, q engine.SimulatedQuestion) (*engine.SimulatedAnswer, error) {
	got := a.asked[q.Key]
	if got == nil {
		got = &asked{known: true}
		a.asked[q.Key] = got
	}
	got.input = q.Input
	if got.answer == nil && q.Kind == "call" {
		return &engine.SimulatedAnswer{Failure: "its run had not ended"}, nil
	}
	return got.answer, nil
}

// note is the Invoke of the version that ran.
func (a *answers) note(_ context.Context, c engine.SimulatedCall) (any, error) {
	got := a.byKey[c.Key]
	if got == nil {
		got = &recorded{output: c.Action.Sample}
		a.byKey[c.Key] = got
	}
	got.use, got.input, got.step = useName(c.Use), c.Input, c.Step.ID
	a.calls = append(a.calls, got)
	return got.reply()
}

// noteRecorded is note for a version that is not there any more. Which action a step called is not known then: its
// input has to tell.
func (a *answers) noteRecorded(id engine.RunID, s *engine.StepView) {
	got := a.byKey[engine.IdempotencyKey(id, s.Path)]
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
	made    []StepChange // the calls, as changes: what a loop does does not stand among the steps of a run
}

// compare notes how a call differs from that of the same step and round.
func (s *replayStage) compare(c engine.SimulatedCall) {
	was := s.answers.byKey[c.Key]
	change := StepChange{Step: c.Step.ID, Change: "new", Now: asJSON(c.Input)}
	if was != nil && was.input != nil {
		was.again = true
		if value.Equal(was.input, c.Input) {
			return
		}
		change.Change, change.Then = "input", asJSON(was.input)
	}
	s.made = append(s.made, change)
}

// inLoops lists the changes of the calls whose steps are not among those that a run shows, one for each step.
func (s *replayStage) inLoops(shows func(step string) bool) []StepChange {
	for _, was := range s.answers.calls {
		if !was.again && was.step != "" {
			s.made = append(s.made, StepChange{Step: was.step, Change: "gone", Then: asJSON(was.input)})
		}
	}
	var list []StepChange
	seen := map[string]bool{}
	for _, c := range s.made {
		if !seen[c.Step] && !shows(c.Step) {
			seen[c.Step] = true
			c.Then, c.Now = shown(c.Then), shown(c.Now)
			list = append(list, c)
		}
	}
	return list
}

func asJSON(v any) json.RawMessage {
	text, err := value.AppendJSON(nil, v)
	if err != nil {
		return nil
	}
	return text
}

func (s *replayStage) invoke(ctx context.Context, c engine.SimulatedCall) (any, error) {
	if c.Attempt == 1 {
		s.compare(c)
	}
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

// answer gives what was answered then. A step that asked nobody then gets a yes, and a workflow that is called with
// something else gives back what it gave then, if it did.
func (s *replayStage) answer(_ context.Context, q engine.SimulatedQuestion) (*engine.SimulatedAnswer, error) {
	got := s.answers.asked[q.Key]
	if got != nil && got.known && (q.Kind != "call" || value.Equal(got.input, q.Input)) {
		if got.answer == nil && q.Kind == "call" {
			return &engine.SimulatedAnswer{Failure: "its run had not ended"}, nil
		}
		return got.answer, nil
	}
	s.guess(q.Step.ID)
	switch {
	case q.Kind == engine.SignalApprove:
		return &engine.SimulatedAnswer{Output: map[string]any{"approved": true}}, nil
	case got != nil && got.answer != nil: // more likely than nothing
		return got.answer, nil
	}
	return &engine.SimulatedAnswer{}, nil
}

func (s *replayStage) guess(step string) {
	if !slices.Contains(s.guessed, step) {
		s.guessed = append(s.guessed, step)
	}
}

package rehearsal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Replay plays past events through another version of a workflow and says for each what would have been different.
// Nothing is sent. An event is played twice, through the version that ran and through the draft, with one clock, so
// that only the draft makes a difference. A call whose input is the same in both gets the answer that was recorded;
// any other gets the example of its action, and the result says that it was guessed.
type Replay struct {
	Draft      *workflow.Workflow
	Connectors *connectors.Registry
	// Version returns the version that a run had. Where there is none, its recorded steps are compared.
	Version   func(ctx context.Context, id, version string) (*workflow.Workflow, error)
	PublicURL string
	Zone      *time.Location
	// Read makes a call of an action that only reads, for inputs without a recorded answer; nil: such calls are
	// guessed as others are.
	Read func(ctx context.Context, w *workflow.Workflow, c engine.SimulatedCall) (any, error)
}

// Past is an event to be replayed: a finished run, or a delivery that was kept.
type Past struct {
	ID      engine.RunID
	Journal []engine.Record // of the run; nil: it started none
	Event   *engine.Event   // of a delivery that started no run
}

// The outcomes of a replayed event, from the one that matters most.
const (
	Errored     = "error"        // it could not be replayed
	NowFails    = "now_fails"    // it did not before
	NowFiltered = "now_filtered" // it was not before
	NowPasses   = "now_passes"   // it was filtered, failed or kept before
	Different   = "different"    // it ends alike, but a step gets another input or gives another result
	Same        = "same"
)

var outcomeOrder = []string{Errored, NowFails, NowFiltered, NowPasses, Different, Same}

// Replayed is what came of one event.
type Replayed struct {
	ID      string       `json:"id" doc:"The run; with then.status kept, the delivery."`
	At      time.Time    `json:"at"`
	Outcome string       `json:"outcome" enum:"error,now_fails,now_filtered,now_passes,different,same"`
	Step    string       `json:"step,omitempty" doc:"The first step that gets another input; else the first with any difference."`
	Change  string       `json:"change,omitempty" enum:"input,output,status,new,gone,answer" doc:"What is different about that step."`
	Then    Ended        `json:"then"`
	Now     Ended        `json:"now" doc:"With the draft."`
	Guessed []string     `json:"guessed,omitempty" doc:"Steps whose answer is the example of their action, because their input was never sent."`
	Steps   []StepChange `json:"steps,omitempty"`
	Error   string       `json:"error,omitempty" doc:"Why it could not be replayed."`
}

// Ended is how a run ended.
type Ended struct {
	Status  string `json:"status,omitempty"`
	Summary string `json:"summary,omitempty"`
}

// StepChange is a difference of one step. Then and Now are cut off beyond 16 KiB.
type StepChange struct {
	Step   string          `json:"step"`
	Path   string          `json:"path,omitempty" doc:"In a loop: the step of one round, such as lines[12].tell."`
	Change string          `json:"change" enum:"input,output,status,new,gone,answer"`
	Then   json.RawMessage `json:"then,omitempty"`
	Now    json.RawMessage `json:"now,omitempty"`
}

// Total counts the events with one outcome.
type Total struct {
	Outcome string `json:"outcome"`
	Step    string `json:"step,omitempty"`
	Count   int    `json:"count"`
	Text    string `json:"text" example:"now filtered"`
}

// replayTime bounds one event in real time.
const replayTime = 10 * time.Second

// Event replays one event. The error is that of ctx; what is wrong with the event stands in the result.
func (r Replay) Event(ctx context.Context, past Past) (Replayed, error) {
	out := Replayed{ID: past.ID.String(), At: past.ID.Time()}
	if err := r.event(ctx, past, &out); err != nil {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		out.Outcome, out.Error = Errored, err.Error()
	}
	return out, nil
}

func (r Replay) event(ctx context.Context, past Past, out *Replayed) error {
	ctx, cancel := context.WithTimeoutCause(ctx, replayTime, fmt.Errorf("it takes longer than %s", replayTime))
	defer cancel()
	var then *engine.Simulated
	answers := &answers{}
	journal := past.Journal
	if journal == nil {
		out.Then.Status = engine.DeliveryKept
		data, err := past.Event.Encode()
		if err != nil {
			return err
		}
		head := &engine.Head{Workflow: r.Draft.ID, Trigger: past.Event.Trigger}
		journal = []engine.Record{{At: past.ID.Time(), Kind: engine.KindAccepted, Head: head, Data: data, Format: engine.RecordFormat}}
	} else {
		view, err := engine.NewRunView(past.ID, nil, journal)
		if err != nil {
			return err
		}
		if view.FinishedAt == nil {
			return errors.New("the run has not ended")
		}
		out.Then = Ended{view.Status, cmp.Or(view.Summary, view.Reason)}
		answers.record(past.ID, journal)
		if then, err = r.then(ctx, past.ID, journal, view, answers); err != nil {
			return fmt.Errorf("the version that ran cannot be played: %w", err)
		}
	}
	accepted, err := r.accepted(journal[0])
	if err != nil {
		return err
	}
	stage := &replayStage{replay: r, answers: answers, kv: newMemory()}
	now, err := r.play(ctx, r.Draft, past.ID, accepted, stage.invoke, stage.answer)
	if err != nil {
		return err
	}
	out.Now = Ended{now.View.Status, cmp.Or(now.View.Summary, now.View.Reason)}
	out.Guessed = stage.guessed
	before := engine.DeliveryKept
	if then != nil {
		before = then.View.Status
		out.Steps = append(changes(then, now), stage.inLoops(func(step string) bool {
			has := func(s engine.StepView) bool { return s.ID == step }
			return slices.ContainsFunc(then.View.Steps, has) || slices.ContainsFunc(now.View.Steps, has)
		})...)
	}
	switch status := now.View.Status; {
	case status == "failed" && before != status:
		out.Outcome = NowFails
	case status == "filtered" && before != status:
		out.Outcome = NowFiltered
	case status == "succeeded" && before != status:
		out.Outcome = NowPasses
	case len(out.Steps) > 0 || before != status:
		out.Outcome = Different
	default:
		out.Outcome = Same
	}
	if i := slices.IndexFunc(out.Steps, func(c StepChange) bool { return c.Change == "input" }); i >= 0 {
		out.Step, out.Change = out.Steps[i].Step, out.Steps[i].Change // what would be sent matters more than how it came about
	} else if len(out.Steps) > 0 {
		out.Step, out.Change = out.Steps[0].Step, out.Steps[0].Change
	}
	return nil
}

// then plays the version that ran, with every answer that it got, and notes the inputs of its calls. Without that
// version the result is what was recorded.
func (r Replay) then(ctx context.Context, id engine.RunID, journal []engine.Record, view *engine.RunView, a *answers) (*engine.Simulated, error) {
	head := journal[0].Head
	old, err := r.Version(ctx, head.Workflow, head.Version)
	if errors.Is(err, engine.ErrNotFound) {
		for i := range view.Steps {
			a.noteRecorded(id, &view.Steps[i])
		}
		return &engine.Simulated{View: view}, nil
	}
	if err != nil {
		return nil, err
	}
	return r.play(ctx, old, id, journal[0], a.note, a.noteAsked)
}

// play plays w with the event of an Accepted record, as the run of that id.
func (r Replay) play(ctx context.Context, w *workflow.Workflow, id engine.RunID, accepted engine.Record,
	invoke func(context.Context, engine.SimulatedCall) (any, error),
	answer func(context.Context, engine.SimulatedQuestion) (*engine.SimulatedAnswer, error),
) (*engine.Simulated, error) {
	return engine.Simulation{
		Workflow: w, Connectors: r.Connectors, Now: accepted.At, PublicURL: r.PublicURL, Zone: r.Zone,
		Invoke: invoke, Answer: answer, ID: id, Journal: []engine.Record{accepted},
	}.Run(ctx)
}

// accepted is the beginning of a run of the draft: the same event under the trigger that the draft has for it.
func (r Replay) accepted(rec engine.Record) (engine.Record, error) {
	head := *rec.Head
	head.Version = r.Draft.Version
	rec.Head = &head
	ev, err := engine.DecodeEvent(rec.Data)
	if err != nil {
		return rec, err
	}
	if ev.Kind == engine.TriggerManual || ev.Kind == engine.TriggerCall || r.Draft.Trigger(ev.Trigger) != nil {
		return rec, nil
	}
	var same []string
	for _, t := range r.Draft.Triggers {
		if t.Kind == ev.Kind {
			same = append(same, t.ID)
		}
	}
	if len(same) != 1 {
		return rec, fmt.Errorf("it came by the trigger %s, which the draft does not have", ev.Trigger)
	}
	ev.Trigger, head.Trigger = same[0], same[0] // it was renamed
	rec.Data, err = ev.Encode()
	return rec, err
}

// maxShown bounds a value of a StepChange, in bytes.
const maxShown = 16 << 10

// maxChanges bounds the changes of one event: a loop has thousands of rounds.
const maxChanges = 200

// changes lists the steps with a difference, in the order of the draft; those that are gone come last.
func changes(then, now *engine.Simulated) []StepChange {
	old := make(map[string]*engine.StepView, len(then.View.Steps))
	for i := range then.View.Steps {
		old[then.View.Steps[i].Path] = &then.View.Steps[i]
	}
	var list []StepChange
	add := func(s *engine.StepView, change string, was, is json.RawMessage) {
		if len(list) == maxChanges {
			return
		}
		c := StepChange{Step: s.ID, Change: change, Then: shown(was), Now: shown(is)}
		if s.Path != s.ID {
			c.Path = s.Path
		}
		list = append(list, c)
	}
	for i := range now.View.Steps {
		s := &now.View.Steps[i]
		was := old[s.Path]
		delete(old, s.Path)
		switch {
		case s.Round != nil: // its steps say what is different
		case was == nil:
			if s.Status != "skipped" {
				add(s, "new", nil, firstJSON(s.Input, s.Output))
			}
		case !equalJSON(was.Input, s.Input):
			add(s, "input", was.Input, s.Input)
		case was.Status != s.Status:
			add(s, "status", quoteJSON(was.Status), quoteJSON(s.Status))
		case len(s.Input) == 0 && !equalJSON(was.Output, s.Output): // what a call gave back is recorded or guessed
			add(s, "output", was.Output, s.Output)
		}
	}
	for i := range then.View.Steps {
		if s := &then.View.Steps[i]; old[s.Path] != nil && s.Round == nil && s.Status != "skipped" {
			add(s, "gone", firstJSON(s.Input, s.Output), nil)
		}
	}
	if then.Records != nil && len(list) == 0 { // a version that is not there any more left no answer to compare
		was, is := answerJSON(then.Response), answerJSON(now.Response)
		if !equalJSON(was, is) {
			add(&engine.StepView{}, "answer", was, is)
		}
	}
	return list
}

func answerJSON(r *engine.Response) json.RawMessage {
	if r == nil {
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil
	}
	return text
}

// firstJSON is the first of them that says something.
func firstJSON(a, b json.RawMessage) json.RawMessage {
	if len(a) > 0 {
		return a
	}
	return b
}

func equalJSON(a, b json.RawMessage) bool {
	if string(a) == string(b) {
		return true
	}
	x, err := value.DecodeJSON(a)
	if err != nil {
		return false
	}
	y, err := value.DecodeJSON(b)
	return err == nil && value.Equal(x, y)
}

func quoteJSON(s string) json.RawMessage {
	text, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return text
}

// shown is a value that is short enough to be looked at; else the beginning of it, as a text.
func shown(v json.RawMessage) json.RawMessage {
	if len(v) <= maxShown {
		return v
	}
	return quoteJSON(string(v[:maxShown]) + "…")
}

// Text says the outcome in words, as they follow its count.
func (r *Replayed) Text() string { return outcomeText(r.Outcome, r.Step, r.Change) }

// Totals counts outcomes, the one that matters most first.
func Totals(events []Replayed) []Total {
	type kind struct{ outcome, step, change string }
	counts := map[kind]int{}
	for i := range events {
		k := kind{outcome: events[i].Outcome}
		if k.outcome == Different {
			k.step, k.change = events[i].Step, events[i].Change
		}
		counts[k]++
	}
	totals := make([]Total, 0, len(counts))
	for k, n := range counts {
		totals = append(totals, Total{Outcome: k.outcome, Step: k.step, Count: n, Text: outcomeText(k.outcome, k.step, k.change)})
	}
	slices.SortFunc(totals, func(a, b Total) int {
		return cmp.Or(
			cmp.Compare(slices.Index(outcomeOrder, a.Outcome), slices.Index(outcomeOrder, b.Outcome)),
			cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	return totals
}

// outcomeText says an outcome in words, as they follow its count.
func outcomeText(outcome, step, change string) string {
	switch outcome {
	case Errored:
		return "error"
	case NowFails:
		return "now fails"
	case NowFiltered:
		return "now filtered"
	case NowPasses:
		return "now passes"
	case Same:
		return "same"
	}
	switch change {
	case "input":
		return "different input to step " + step
	case "output":
		return "different result of step " + step
	case "status":
		return "another status of step " + step
	case "new":
		return "new step " + step
	case "gone":
		return "without step " + step
	case "answer":
		return "a different answer to the caller"
	}
	return "end in another way"
}

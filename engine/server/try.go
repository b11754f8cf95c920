package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/draft"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// tryTime bounds a step that is tried alone; the connection lives a little longer.
const tryTime = 55 * time.Second

func (s *Server) draftTestRoutes() {
	tags := []string{"drafts"}
	handleWithin(s, tryTime, huma.Operation{
		OperationID: "test-step", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/steps/{step}/test", Tags: tags, Summary: "Try one step of a draft alone",
		Description: "really makes its call once; one that does more than read only when confirmed says so, else the answer is 409 and nothing was sent. preview shows what would be sent and sends nothing. The answer comes within 55 s.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
	}, s.testStep)
	handle(s, huma.Operation{
		OperationID: "test-draft", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/test", Tags: tags, Summary: "Start a test run of a draft",
		Description:   "pretend: calls that do more than read are not made, and their steps get an example of an answer. The run is marked as a test; follow it on the event stream.",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.testDraft)
	handle(s, huma.Operation{
		OperationID: "expression-stats", Method: http.MethodPost, Path: "/api/v1/expressions/stats", Tags: []string{"expressions"},
		Summary: "How many of the last events a condition lets pass", Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.stats)
	handle(s, huma.Operation{
		OperationID: "complete-draft", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/complete", Tags: tags,
		Summary: "What could stand at a place of an expression", Errors: []int{http.StatusNotFound},
	}, s.complete)
}

func (s *Server) testStep(ctx context.Context, in *struct {
	DraftID
	Step string `path:"step" maxLength:"200" doc:"Its id in runs: run_id of the model."`
	Body struct {
		Sample    string `json:"sample,omitempty" maxLength:"100" doc:"The event; the pinned one, else the newest, if left out."`
		Mode      string `json:"mode" enum:"really,preview"`
		Confirmed bool   `json:"confirmed,omitempty" doc:"A person knows that this call does more than read, and wants it made."`
		Forget    bool   `json:"forget,omitempty" doc:"Do not use its output below."`
	}
},
) (*body[engine.StepTrial], error) {
	d, _, _, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	w := s.Folder.Check(d.ID, []byte(d.Text)).Workflow
	const untried = "Nothing was sent."
	if w == nil {
		return nil, editFailure(errors.Join(s.Folder.Check(d.ID, []byte(d.Text)).Problems.Err(), nil))
	}
	step := w.Step(in.Step)
	if step == nil {
		return nil, fail(http.StatusNotFound, "the draft has no step "+clip(in.Step), "").coded("step_not_found", "This step does not exist", untried)
	}
	if p := s.stepProblem(d, w, step); p != nil {
		return nil, p.coded("step_has_problems", "This step is not ready to be tried", untried)
	}
	scene, _, err := s.scene(ctx, in.ID, in.Body.Sample, in.Step)
	if err != nil {
		return nil, err
	}
	mode := engine.TryPreview
	switch {
	case in.Body.Mode == "preview":
	case in.Body.Confirmed:
		mode = engine.TryReally
	default:
		mode = engine.TryReading
	}
	trial, err := s.Engine.TryStep(ctx, w, step, scene.Roots, mode)
	var input *engine.InputError
	if errors.Is(err, engine.ErrUnconfirmed) {
		return nil, fail(http.StatusConflict, err.Error(), `say "confirmed": true, or preview it`).
			coded("confirmation_needed", "This step does something outside", untried, fix("Do it for real", "confirm"))
	} else if errors.As(err, &input) {
		return nil, fail(http.StatusUnprocessableEntity, input.Message, "POST /api/v1/drafts/{id}/test").
			coded("step_kind", "This kind of step cannot be tried alone", untried, fix("Test all steps", "test"))
	} else if err != nil {
		return nil, err
	}
	if in.Body.Mode == "really" && !in.Body.Forget {
		r := &draft.Result{Step: in.Step, At: time.Now().UTC(), Status: trial.Status, Input: s.saysOf(d, in.Step), Output: trial.Value}
		if err := s.drafts.PutResult(ctx, d.ID, r); err != nil {
			return nil, err
		}
		s.hub.publish(notice{kind: eventDraft, workflow: d.ID, text: d.Rev(), status: s.actor(ctx)})
	}
	return &body[engine.StepTrial]{*trial}, nil
}

// saysOf is a hash of what a step says, to tell later that it changed.
func (s *Server) saysOf(d *draft.Draft, step string) string {
	model, err := draft.NewModel(d.ID, d.Text, s.Folder.Check(d.ID, []byte(d.Text)).Workflow, nil, s.Connectors)
	if err != nil {
		return ""
	}
	says := ""
	model.Each(func(e *workflow.OutlineEntry, list workflow.Path, _ int) bool {
		if list != "triggers" && e.RunID == step {
			says = draft.Says(e)
		}
		return says == ""
	})
	return says
}

// stepProblem is what is wrong with one step; nil: it can be tried, whatever else is wrong in the draft.
func (s *Server) stepProblem(d *draft.Draft, w *workflow.Workflow, step *workflow.Step) *failure {
	var mine workflow.Problems
	for _, p := range s.Folder.Check(d.ID, []byte(d.Text)).Problems {
		if p.Step == step.ID && !p.Warning {
			mine = append(mine, p)
		}
	}
	if len(mine) == 0 && step.Do != nil {
		return nil
	}
	if len(mine) == 0 {
		return fail(http.StatusUnprocessableEntity, "the step "+step.ID+" does nothing yet", "")
	}
	return brokenText(mine)
}

// testRun is the answer to a test of a whole draft.
type testRun struct {
	Run string `json:"run"`
}

func (s *Server) testDraft(ctx context.Context, in *struct {
	DraftID
	Body struct {
		Sample string `json:"sample,omitempty" maxLength:"100" doc:"The event; the pinned one, else the newest, if left out."`
		Mode   string `json:"mode" enum:"pretend,really"`
	}
},
) (*body[testRun], error) {
	d, _, _, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	checked := s.Folder.Check(d.ID, []byte(d.Text))
	if !checked.Good() {
		return nil, brokenText(checked.Problems).coded("draft_has_problems", "This draft has problems", "Nothing was started.")
	}
	var sample *draft.Sample
	if in.Body.Sample == "" {
		sample, err = s.defaultSample(ctx, d.ID)
	} else {
		sample, err = s.sample(ctx, d.ID, in.Body.Sample)
	}
	if err != nil {
		return nil, err
	}
	root := map[string]any{"id": "manual"}
	if sample != nil {
		root = value.Clone(sample.Trigger).(map[string]any) //nolint:errcheck,forcetypeassert // a clone has the type of its source
		if id, _ := root["id"].(string); checked.Workflow.Trigger(id) == nil {
			root["id"] = "manual"
		}
	}
	delete(root, "raw")
	ev, err := rehearsal.NewEvent(checked.Workflow, root)
	if err != nil {
		return nil, fail(http.StatusUnprocessableEntity, err.Error(), "").coded("sample_unusable", "This event cannot be used", "Nothing was started.")
	}
	ev.At = time.Now()
	run, err := s.Engine.Try(ctx, checked.Workflow, ev, in.Body.Mode)
	if err != nil {
		return nil, err
	}
	return &body[testRun]{testRun{run.String()}}, nil
}

// statsView counts what a condition does with the last events.
type statsView struct {
	Events int    `json:"events" doc:"How many were looked at."`
	Pass   int    `json:"pass"`
	Stop   int    `json:"stop"`
	Failed int    `json:"failed" doc:"The condition fails on them, as when a field is missing."`
	Error  string `json:"error" doc:"Why the first of those failed."`
}

func (s *Server) stats(ctx context.Context, in *struct {
	Body struct {
		Draft string `json:"draft" maxLength:"512"`
		Expr  string `json:"expr" maxLength:"8192"`
		Last  int    `json:"last,omitempty" minimum:"1" maximum:"200" default:"50"`
	}
},
) (*body[statsView], error) {
	p, err := expression.Compile(in.Body.Expr, &expression.Scope{Roots: roots})
	if err != nil {
		return nil, err
	}
	if _, _, _, err := s.draft(ctx, in.Body.Draft); err != nil {
		return nil, err
	}
	last := in.Body.Last
	if last == 0 {
		last = 50
	}
	events, err := s.lastEvents(ctx, in.Body.Draft, last)
	if err != nil {
		return nil, err
	}
	out := statsView{Events: len(events)}
	for _, roots := range events {
		pass, err := p.Bool(ctx, &expression.Env{Roots: roots, Now: time.Now(), Zone: s.Engine.Zone, Seed: "sample"})
		switch {
		case err != nil:
			if out.Failed++; out.Error == "" {
				out.Error = err.Error()
			}
		case pass:
			out.Pass++
		default:
			out.Stop++
		}
	}
	return &body[statsView]{out}, nil
}

// lastEvents are the newest events of a workflow as its expressions saw them: those of runs, with the outputs of their
// steps, and those that were kept.
func (s *Server) lastEvents(ctx context.Context, id string, n int) ([]map[string]any, error) {
	var events []map[string]any
	runs, err := s.Engine.Store.List(ctx, engine.Query{Workflow: id, Limit: min(2*n, 200)})
	if err != nil {
		return nil, err
	}
	for i := range runs.Items {
		if len(events) == n {
			return events, nil
		}
		if engine.TestMode(runs.Items[i].Trigger) != "" {
			continue
		}
		if view, steps, err := s.runData(ctx, runs.Items[i].ID); err == nil {
			events = append(events, map[string]any{"trigger": view.Trigger, "steps": steps, "errors": map[string]any{}})
		}
	}
	kept, _, err := s.Engine.Store.Deliveries().List(ctx, engine.DeliveryQuery{Workflow: id, Outcome: engine.DeliveryKept, Limit: n - len(events)})
	if err != nil {
		return nil, err
	}
	for i := range kept {
		if sample, err := s.sample(ctx, id, "delivery:"+kept[i].ID.String()); err == nil {
			events = append(events, map[string]any{"trigger": sample.Trigger, "steps": map[string]any{}, "errors": map[string]any{}})
		}
	}
	return events, nil
}

// completion is one thing that could be written.
type completion struct {
	Insert string `json:"insert" doc:"What stands there then, in the place of from to at."`
	Label  string `json:"label"`
	Kind   string `json:"kind" enum:"field,function,word"`
	Type   string `json:"type" doc:"Of a field."`
	Detail string `json:"detail" doc:"The value of a field in the event, or what a function does."`
}

type completionList struct {
	From  int          `json:"from" doc:"Where the word begins that is completed, as an offset in characters of text."`
	Items []completion `json:"items" nullable:"false"`
}

const maxCompletions = 100

func (s *Server) complete(ctx context.Context, in *struct {
	DraftID
	Body struct {
		Text   string `json:"text" maxLength:"8192" doc:"The expression as it is, without ${{ }}."`
		At     int    `json:"at" minimum:"0" doc:"Where the caret is, as an offset in characters of text."`
		Step   string `json:"step,omitempty" maxLength:"200" doc:"The step (run_id) that it stands in."`
		Sample string `json:"sample,omitempty" maxLength:"100"`
	}
},
) (*body[completionList], error) {
	scene, _, err := s.scene(ctx, in.ID, in.Body.Sample, in.Body.Step)
	if err != nil {
		return nil, err
	}
	text := []rune(in.Body.Text)
	at := min(in.Body.At, len(text))
	from := at
	for from > 0 && (text[from-1] == '.' || text[from-1] == '_' || text[from-1] == '[' || text[from-1] == ']' || text[from-1] == '"' || text[from-1] == '-' ||
		text[from-1] >= 'a' && text[from-1] <= 'z' || text[from-1] >= 'A' && text[from-1] <= 'Z' || text[from-1] >= '0' && text[from-1] <= '9') {
		from--
	}
	word := strings.ToLower(string(text[from:at]))
	out := completionList{From: from, Items: []completion{}}
	var walk func(fields []*draft.Field)
	walk = func(fields []*draft.Field) {
		for _, f := range fields {
			if len(out.Items) == maxCompletions {
				return
			}
			if strings.Contains(strings.ToLower(f.Path), word) || strings.Contains(strings.ToLower(f.Label), word) {
				detail := ""
				if f.Value != nil {
					detail = value.Text(f.Value)
				} else if f.Count > 0 {
					detail = fmt.Sprintf("%d entries", f.Count)
				}
				out.Items = append(out.Items, completion{Insert: f.Path, Label: f.Label, Kind: "field", Type: f.Type, Detail: detail})
			}
			walk(f.Children)
		}
	}
	for _, g := range scene.Groups {
		if g.Named {
			walk(g.Fields)
		}
	}
	slices.SortStableFunc(out.Items, func(a, b completion) int { // what begins with the word goes first
		return starts(b.Insert, word) - starts(a.Insert, word)
	})
	if word != "" && !strings.ContainsAny(word, `.["`) {
		for _, f := range expression.Functions() {
			if strings.HasPrefix(strings.ToLower(f.Name), word) && len(out.Items) < maxCompletions {
				out.Items = append(out.Items, completion{Insert: f.Name + "(", Label: f.Signature, Kind: "function", Detail: f.Summary})
			}
		}
		for _, operator := range []string{"and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches", "true", "false", "nil"} {
			if strings.HasPrefix(strings.ToLower(operator), word) {
				out.Items = append(out.Items, completion{Insert: operator, Label: operator, Kind: "word"})
			}
		}
	}
	return &body[completionList]{out}, nil
}

func starts(text, word string) int {
	if strings.HasPrefix(strings.ToLower(text), word) {
		return 1
	}
	return 0
}

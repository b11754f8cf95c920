package server

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// outlineItem is one step as lists and the page of a run name it.
type outlineItem struct {
	ID        string `json:"id"`
	Kind      string `json:"kind" doc:"filter, set, use, …"`
	Connector string `json:"connector,omitempty"`
	Action    string `json:"action,omitempty"`
	Title     string `json:"title,omitempty" doc:"Its name, else the title of its action; empty: its kind says it."`
	Detail    string `json:"detail,omitempty" doc:"What it does, such as the condition of a filter."`
	Depth     int    `json:"depth,omitempty" doc:"How many steps it is inside of."`
}

// outline lists the steps in the order of the file, each behind the one that it is inside of.
func (s *Server) outline(steps []*workflow.Step, depth int) []outlineItem {
	items := []outlineItem{}
	for _, step := range steps {
		item := outlineItem{ID: step.ID, Kind: step.Kind, Title: step.Name, Depth: depth}
		switch do := step.Do.(type) {
		case *workflow.Use:
			item.Connector, item.Action = do.Connector, do.Action
			if c := s.Connectors.Connector(do.Connector); c != nil && item.Title == "" {
				for i := range c.Actions {
					if c.Actions[i].Name == do.Action {
						item.Title = c.Actions[i].Title
					}
				}
			}
		case *workflow.Filter:
			if do.Condition != nil {
				item.Detail = do.Condition.Source()
			}
		case *workflow.Stop:
			item.Detail = do.As
		}
		items = append(items, item)
		for _, list := range step.Lists() {
			items = append(items, s.outline(list, depth+1)...)
		}
		items = append(items, s.outline(step.OnError.Steps, depth+1)...)
	}
	return items
}

// runDetail is a run with the names of the steps that its version has, also of those that were not reached.
type runDetail struct {
	engine.RunView
	WorkflowName string        `json:"workflow_name"`
	Triggers     []triggerItem `json:"triggers" nullable:"false"`
	Plan         []outlineItem `json:"plan" nullable:"false" doc:"The steps of the version that ran, in the order of its file."`
	Current      bool          `json:"current" doc:"Whether that version is the one that runs now."`
	Tries        []tryItem     `json:"tries" nullable:"false" doc:"Every attempt at a step that was tried more than once, in their order."`
	Decision     string        `json:"decision,omitempty" enum:"done,again,give_up" doc:"What was decided on a run that failed; absent: nobody has."`
}

// tryItem is one attempt at a step.
type tryItem struct {
	Step      string    `json:"step"`
	Attempt   int       `json:"attempt"`
	StartedAt time.Time `json:"started_at"`
	MS        float64   `json:"ms"`
	Status    string    `json:"status"`
	Error     string    `json:"error,omitempty"`
}

// tries reads the attempts of a run from its journal.
func tries(recs []engine.Record) []tryItem {
	out := []tryItem{}
	many := map[string]bool{}
	for i := range recs {
		r := &recs[i]
		if r.Attempt > 1 {
			many[r.Step] = true
		}
		if r.Kind != engine.KindStepCompleted && r.Kind != engine.KindStepFailed || r.Attempt == 0 {
			continue
		}
		item := tryItem{Step: r.Step, Attempt: r.Attempt, StartedAt: r.At.Add(-r.Took).UTC(), MS: float64(r.Took.Microseconds()) / 1000, Status: r.Status.String()}
		var failure engine.StepError
		if r.Kind == engine.KindStepFailed && json.Unmarshal(r.Data, &failure) == nil {
			item.Error = failure.Message
		}
		out = append(out, item)
	}
	return slices.DeleteFunc(out, func(item tryItem) bool { return !many[item.Step] })
}

func (s *Server) runDetail(ctx context.Context, v *engine.RunView) *runDetail {
	out := &runDetail{RunView: *v, WorkflowName: v.Workflow, Plan: []outlineItem{}, Triggers: []triggerItem{}, Tries: []tryItem{}}
	if id, err := engine.ParseRunID(v.ID); err == nil {
		if recs, err := s.Engine.Store.Read(ctx, id, 0); err == nil {
			out.Tries = tries(recs)
		}
		if v.Status == engine.StatusFailed.String() {
			if out.Decision, err = s.Engine.Decision(ctx, id); err != nil {
				s.Log.WarnContext(ctx, "what was decided on a run could not be read", "run", v.ID, "err", err)
			}
		}
	}
	if now := s.Engine.Workflow(v.Workflow); now != nil {
		out.WorkflowName, out.Current = now.Name, now.Version == v.Version
	}
	w, err := s.Engine.Version(ctx, v.Workflow, v.Version)
	if err != nil {
		return out // the run shows without it, by the ids of its steps
	}
	out.WorkflowName = w.Name
	for _, t := range w.Triggers {
		out.Triggers = append(out.Triggers, s.triggerItem(t))
	}
	out.Plan = s.outline(w.Steps, 0)
	return out
}

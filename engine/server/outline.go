package server

import (
	"context"

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
}

func (s *Server) runDetail(ctx context.Context, v *engine.RunView) *runDetail {
	out := &runDetail{RunView: *v, WorkflowName: v.Workflow, Plan: []outlineItem{}, Triggers: []triggerItem{}}
	if now := s.Engine.Workflow(v.Workflow); now != nil {
		out.WorkflowName, out.Current = now.Name, now.Version == v.Version
	}
	w, err := s.Engine.Version(ctx, v.Workflow, v.Version)
	if err != nil {
		return out // the run shows without it, by the ids of its steps
	}
	out.WorkflowName = w.Name
	for _, t := range w.Triggers {
		out.Triggers = append(out.Triggers, triggerItem{t.ID, t.Kind, triggerSummary(t)})
	}
	out.Plan = s.outline(w.Steps, 0)
	return out
}

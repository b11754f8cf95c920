package workflow

import (
	"slices"
	"strings"
)

// CheckCalls reports the call steps that lead to no workflow, or around to this one. find gives the workflow with
// an id, or nil; ids are those that exist, for hints.
func (w *Workflow) CheckCalls(find func(id string) *Workflow, ids []string) Problems {
	calls := w.calls()
	if len(calls) == 0 {
		return nil
	}
	r := newReporter(w.file, w.Source)
	for _, s := range calls {
		r.step = s.ID
		call := s.Do.(*Call)
		switch way := w.wayBack(call.Workflow, find); {
		case way != nil:
			r.errorf(call.At, "a workflow that calls itself would never end", "this call leads back here: %s", strings.Join(append([]string{w.ID}, way...), " calls "))
		case call.Workflow != w.ID && find(call.Workflow) == nil:
			r.errorf(call.At, known(call.Workflow, ids), "there is no workflow %q", call.Workflow)
		}
	}
	return r.finish()
}

// Calls reports whether the workflow has call steps.
func (w *Workflow) Calls() bool { return len(w.calls()) > 0 }

// calls are the call steps whose workflow could be read.
func (w *Workflow) calls() []*Step {
	var found []*Step
	visit := func(s *Step) {
		if call, ok := s.Do.(*Call); ok && call.Workflow != "" {
			found = append(found, s)
		}
	}
	Walk(w.Steps, visit)
	Walk(w.OnFailure, visit)
	return found
}

// wayBack is the row of calls from id back to w, or nil.
func (w *Workflow) wayBack(id string, find func(id string) *Workflow) []string {
	seen := map[string]bool{}
	var walk func(id string) []string
	walk = func(id string) []string {
		if id == w.ID {
			return []string{id}
		}
		next := find(id)
		if seen[id] || next == nil {
			return nil
		}
		seen[id] = true
		for _, s := range next.calls() {
			if way := walk(s.Do.(*Call).Workflow); way != nil {
				return append([]string{id}, way...)
			}
		}
		return nil
	}
	return slices.Clip(walk(id))
}

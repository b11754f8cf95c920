package workflow

import "slices"

// Connections returns the names of the connections that the workflow uses, in the order of names.
func (w *Workflow) Connections() []string {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, t := range w.Triggers {
		if t.Webhook != nil && t.Webhook.Verify != nil {
			add(t.Webhook.Verify.Connection)
		}
		if t.Poll != nil && t.Poll.Use != nil {
			add(t.Poll.Use.Connection)
		}
		if t.Listen != nil {
			add(t.Listen.Use.Connection)
		}
	}
	visit := func(s *Step) {
		if use, ok := s.Do.(*Use); ok {
			add(use.Connection)
		}
	}
	Walk(w.Steps, visit)
	Walk(w.OnFailure, visit)
	slices.Sort(names)
	return names
}

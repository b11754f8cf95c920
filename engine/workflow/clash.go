package workflow

import (
	"cmp"
	"slices"
)

// Clashes reports the webhooks whose calls reach another workflow. A server gives an address to the first by id, and
// this only shows when the workflows of a folder are looked at together. Disabled ones take no address.
func Clashes(ws []*Workflow) Problems {
	type address struct{ method, path string }
	owner := map[address]*Workflow{}
	var all Problems
	ws = slices.Clone(ws)
	slices.SortFunc(ws, func(a, b *Workflow) int { return cmp.Compare(a.ID, b.ID) })
	for _, w := range ws {
		if !w.Enabled {
			continue
		}
		r := newReporter(w.file, w.Source)
		for _, t := range w.Triggers {
			if t.Webhook == nil {
				continue
			}
			for _, m := range t.Webhook.Methods {
				at := address{m, param.ReplaceAllString(t.Webhook.Path, "{}")}
				if other := owner[at]; other == nil {
					owner[at] = w
				} else if other != w { // two of one workflow are a problem of its file
					r.errorf(t.Webhook.PathAt, "give one of them another path", "%s /hooks/%s reaches the workflow %s already", m, t.Webhook.Path, other.ID)
					break
				}
			}
		}
		all = append(all, r.finish()...)
	}
	return all
}

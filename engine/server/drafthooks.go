package server

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bellhop-dev/bellhop/engine/draft"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// draftHooks keeps the addresses of drafts alive: what is sent there is answered and kept, so that a person can catch
// an event before the workflow is published.
type draftHooks struct {
	check func(id string, text []byte) *workflow.Workflow
	apply func([]*workflow.Workflow)

	mu  sync.Mutex
	all map[string]*workflow.Workflow // by draft; those with a webhook
}

// load begins with the stored drafts.
func (h *draftHooks) load(drafts []*draft.Draft) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = map[string]*workflow.Workflow{}
	for _, d := range drafts {
		if w := hooksOf(d, h.check(d.ID, []byte(d.Text))); w != nil {
			h.all[d.ID] = w
		}
	}
	h.tell()
}

// update takes over a draft that changed; w is what could be read of it, or nil.
func (h *draftHooks) update(d *draft.Draft, w *workflow.Workflow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w, before := hooksOf(d, w), h.all[d.ID]
	switch {
	case w == nil && before == nil, w != nil && before != nil && addressesOf(w) == addressesOf(before):
		return
	case w == nil:
		delete(h.all, d.ID)
	default:
		h.all[d.ID] = w
	}
	h.tell()
}

func (h *draftHooks) remove(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all[id] != nil {
		delete(h.all, id)
		h.tell()
	}
}

func (h *draftHooks) tell() {
	list := make([]*workflow.Workflow, 0, len(h.all))
	for _, w := range h.all {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *workflow.Workflow) int { return strings.Compare(a.ID, b.ID) })
	h.apply(list)
}

// hooksOf is what could be read of a draft, switched off; nil when it has no webhook, or just those of the file.
func hooksOf(d *draft.Draft, w *workflow.Workflow) *workflow.Workflow {
	if w == nil || d.Published && !d.Dirty() || !slices.ContainsFunc(w.Triggers, func(t *workflow.Trigger) bool { return t.Webhook != nil }) {
		return nil
	}
	off := *w
	off.Enabled = false
	return &off
}

// addressesOf is all that decides how a call is received.
func addressesOf(w *workflow.Workflow) string {
	var b strings.Builder
	fmt.Fprintln(&b, w.BodyLimit)
	for _, t := range w.Triggers {
		if t.Webhook != nil {
			fmt.Fprintln(&b, t.ID, t.Webhook.Path, t.Webhook.Methods)
			if v := t.Webhook.Verify; v != nil {
				fmt.Fprintf(&b, "%+v\n", *v)
			}
		}
	}
	return b.String()
}

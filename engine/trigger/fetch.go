package trigger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Fetched is what a poll that somebody is still writing would read.
type Fetched struct {
	Output  any    // of the action, where the list is to be found; nil for a poll that a connector defines
	Items   []any  // of the first page
	Keys    int    // different keys that they have
	Problem string // why no run could start for them; empty: it could
}

// fetchBack is how far the first poll of a connector looks back when it is only tried: one that asks for changes since
// now finds nothing that could be shown.
const fetchBack = 30 * 24 * time.Hour

// Fetch asks once as a poll of w does, and neither remembers nor starts anything. w is not published or has another
// text than what is. The error is that of the call.
func (s *Set) Fetch(ctx context.Context, w *workflow.Workflow, triggerID string) (*Fetched, error) {
	t := w.Trigger(triggerID)
	if t == nil {
		return nil, fmt.Errorf("trigger %s of %s: %w", triggerID, w.ID, engine.ErrNotFound)
	}
	if t.Poll == nil && t.Listen == nil {
		return nil, noCursor(w.ID, triggerID, t.Kind)
	}
	p, err := s.asker(w, t)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, noCursor(w.ID, triggerID, t.Listen.Use.Connector+"."+t.Listen.Use.Action)
	}
	if err != nil {
		return nil, err
	}
	none := &seenSet{items: map[hash]seenItem{}}
	if p.listener != nil {
		_, found, err := p.fetch(ctx, pollState{Since: wallNow().Add(-fetchBack)}, none)
		if err != nil {
			return nil, p.failed(ctx, err)
		}
		return &Fetched{Items: found.items, Keys: len(found.items)}, nil
	}
	env, call, input, err := p.question(ctx)
	if err != nil {
		return nil, p.failed(ctx, err)
	}
	output, err := p.engine.Call(ctx, p.workflow, p.poll.Use, p.action, input, engine.IdempotencyKey(engine.RunID{}, call))
	if err != nil {
		return nil, p.failed(ctx, err)
	}
	f := &Fetched{Output: output}
	env.Roots["output"] = output
	if f.Items, err = p.items(ctx, env, output); err != nil {
		f.Problem = p.redact(err.Error())
		return f, nil
	}
	found := &finding{}
	err = compare(ctx, f.Items, func(i int) (mark, error) {
		env.Roots["item"] = f.Items[i]
		return p.markOf(ctx, env, f.Items[i])
	}, none, found)
	if err != nil {
		f.Problem = p.redact(err.Error())
	}
	f.Keys = len(found.latest)
	return f, nil
}

// question is what a poll of the workflow's own asks now: the names that its expressions see, the call, and its input.
func (p *poll) question(ctx context.Context) (env *expression.Env, call string, input map[string]any, err error) {
	now := time.Now()
	call = "poll/" + p.workflow.ID + "/" + p.trigger.ID + "/" + strconv.FormatInt(now.UnixNano(), 10)
	env = &expression.Env{Roots: map[string]any{"workflow": workflowRoot(p.workflow)}, Now: now, Zone: p.clock.zone, Seed: call}
	if p.poll.Use.With == nil {
		return env, call, map[string]any{}, nil
	}
	with, err := p.poll.Use.With.Eval(ctx, env)
	if err != nil {
		return nil, "", nil, fmt.Errorf("with: %w", err)
	}
	input, ok := with.(map[string]any)
	if !ok {
		return nil, "", nil, errors.New("with is not an object")
	}
	return env, call, input, nil
}

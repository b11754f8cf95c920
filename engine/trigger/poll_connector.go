package trigger

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// connectorPoll is a poll that a connector defines. It shares everything with a workflow's own but how it asks.
func (s *Set) connectorPoll(w *workflow.Workflow, t *workflow.Trigger) (*poll, error) {
	l, err := s.listener(context.Background(), w, t)
	if err != nil {
		return nil, err
	}
	if l.kind.Poll == nil {
		return nil, fmt.Errorf("%s.%s does not poll: %w", l.connector.ID, l.kind.Name, engine.ErrNotFound)
	}
	schedule := workflow.Schedule{Every: l.kind.Poll.Every}
	if t.Listen.Schedule != nil {
		schedule = *t.Listen.Schedule
	}
	clock, err := newClock(&schedule)
	if err != nil {
		return nil, err
	}
	return &poll{
		workflow: w, trigger: t, clock: clock, set: s, engine: s.Engine, store: s.Store, listener: l,
		poll: &workflow.Poll{Schedule: schedule, Use: t.Listen.Use, Emit: l.kind.Poll.Emit, First: l.kind.Poll.First},
		log:  s.Log.With("workflow", w.ID, "trigger", t.ID),
	}, nil
}

// fetch asks once, as look does. The place that the connector returns is stored with the items that led to it.
func (p *poll) fetch(ctx context.Context, state pollState, seen *seenSet) (next pollState, found *finding, err error) {
	defer recovered(&err)
	l, begun := p.listener, wallNow()
	if state.Since.IsZero() {
		state.Since = begun
	}
	key := "poll/" + p.workflow.ID + "/" + p.trigger.ID + "/" + strconv.FormatInt(begun.UnixNano(), 10)
	call, err := p.set.newCall(p.workflow.ID, l.connection, l.input, engine.IdempotencyKey(engine.RunID{}, key))
	if err != nil {
		return state, nil, err
	}
	fetched, place, err := l.kind.Poll.Fetch(ctx, call, state.Place, state.Since)
	if l.connection != "" {
		p.engine.Observe(l.connection, err)
	}
	if err != nil {
		return state, nil, err
	}
	if len(fetched) > maxItems {
		return state, nil, fmt.Errorf("%s.%s found %d items, at most %d are read", l.connector.ID, l.kind.Name, len(fetched), maxItems)
	}
	bodies := make([]any, len(fetched))
	for i := range fetched {
		bodies[i] = fetched[i].Body
	}
	found = &finding{pages: 1}
	err = compare(ctx, bodies, func(i int) (mark, error) { return markOfItem(fetched[i]) }, seen, found)
	if err != nil {
		return state, nil, err
	}
	found.quiet = !state.Baselined && p.poll.First != "emit"
	state.Baselined, state.Place, state.Since = true, place, begun
	return state, found, nil
}

func markOfItem(item connectors.Item) (m mark, err error) {
	if m.key = item.Key; m.key == "" {
		return m, errors.New("its key is empty, so it could not be told from others")
	}
	m.id = digest(m.key)
	if item.Version != "" {
		m.version, m.versionText = digestValue(item.Version), item.Version
	}
	return m, nil
}

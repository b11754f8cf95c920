package trigger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// State is how a trigger stands, for people.
type State struct {
	Kind     string         `json:"kind"`
	Webhook  *WebhookState  `json:"webhook,omitempty"`
	Schedule *ScheduleState `json:"schedule,omitempty"`
	Poll     *PollState     `json:"poll,omitempty"`
}

// WebhookState is how a webhook stands.
type WebhookState struct {
	URL     string     `json:"url"`
	Methods []string   `json:"methods"`
	Last    *time.Time `json:"last,omitempty"`    // the newest delivery
	Outcome string     `json:"outcome,omitempty"` // of that delivery
	Reason  string     `json:"reason,omitempty"`
}

// ScheduleState is how a schedule stands. Times carry the offset of the schedule's zone.
type ScheduleState struct {
	Last *time.Time  `json:"last,omitempty"` // the last time that started a run
	Next []time.Time `json:"next"`           // the next five, none while the workflow is disabled
}

// PollState is how a poll stands.
type PollState struct {
	LastPoll *time.Time `json:"last_poll,omitempty"`
	NextPoll *time.Time `json:"next_poll,omitempty"`
	Error    string     `json:"error,omitempty"` // why the last poll failed
	Failures int        `json:"failures"`        // polls that failed in a row
	Seen     int        `json:"seen"`            // keys remembered
	Started  int        `json:"started"`         // runs started in all
}

const nextTimes = 5

// State reports how a trigger of a current workflow stands. ErrNotFound: there is no such trigger.
func (s *Set) State(ctx context.Context, workflowID, triggerID string) (State, error) {
	s.mu.Lock()
	w := s.current[workflowID]
	s.mu.Unlock()
	var t *workflow.Trigger
	if w != nil {
		t = w.Trigger(triggerID)
	}
	if t == nil {
		return State{}, fmt.Errorf("trigger %s of workflow %s: %w", triggerID, workflowID, engine.ErrNotFound)
	}
	state := State{Kind: t.Kind}
	var err error
	switch t.Kind {
	case engine.TriggerWebhook:
		state.Webhook, err = s.webhookState(ctx, w, t)
	case engine.TriggerSchedule:
		state.Schedule, err = s.scheduleState(ctx, w, t)
	case engine.TriggerPoll:
		state.Poll, err = s.pollState(ctx, w, t)
	}
	if err != nil {
		return State{}, fmt.Errorf("state of trigger %s of workflow %s: %w", triggerID, workflowID, err)
	}
	return state, nil
}

func (s *Set) webhookState(ctx context.Context, w *workflow.Workflow, t *workflow.Trigger) (*WebhookState, error) {
	state := &WebhookState{
		URL:     strings.TrimSuffix(s.PublicURL, "/") + "/hooks/" + t.Webhook.Path,
		Methods: t.Webhook.Methods,
	}
	items, _, err := s.Store.Deliveries().List(ctx, engine.DeliveryQuery{Workflow: w.ID, Limit: 50})
	if err != nil {
		return nil, err
	}
	for _, d := range items {
		if d.Trigger == t.ID {
			state.Last, state.Outcome, state.Reason = &d.At, d.Outcome, d.Reason
			break
		}
	}
	return state, nil
}

func (s *Set) scheduleState(ctx context.Context, w *workflow.Workflow, t *workflow.Trigger) (*ScheduleState, error) {
	clock, err := newClock(t.Schedule)
	if err != nil {
		return nil, err
	}
	var stored scheduleState
	if err := readState(ctx, s.Store, scheduleKey(w.ID, t.ID), &stored); err != nil && !errors.Is(err, engine.ErrNotFound) {
		return nil, err
	}
	state := &ScheduleState{Last: known(stored.Fired.In(clock.zone))}
	if w.Enabled {
		state.Next, err = Next(t.Schedule, wallNow(), nextTimes)
	}
	return state, err
}

func (s *Set) pollState(ctx context.Context, w *workflow.Workflow, t *workflow.Trigger) (*PollState, error) {
	var stored pollState
	if err := readState(ctx, s.Store, pollKey(w.ID, t.ID), &stored); err != nil && !errors.Is(err, engine.ErrNotFound) {
		return nil, err
	}
	state := &PollState{
		LastPoll: known(stored.Last), Error: stored.Error, Failures: stored.Failures,
		Seen: stored.Seen, Started: stored.Started,
	}
	if w.Enabled {
		state.NextPoll = known(stored.Next)
	}
	return state, nil
}

// known returns nil for a time that never was.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

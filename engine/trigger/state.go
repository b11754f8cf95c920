package trigger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// State is how a trigger stands, for people.
type State struct {
	Kind     string         `json:"kind"`
	Webhook  *WebhookState  `json:"webhook,omitempty"`
	Schedule *ScheduleState `json:"schedule,omitempty"`
	Poll     *PollState     `json:"poll,omitempty"`
	Hook     *HookState     `json:"hook,omitempty"`
}

// WebhookState is how a webhook stands.
type WebhookState struct {
	URL        string            `json:"url"`
	Methods    []string          `json:"methods"`
	Last       *time.Time        `json:"last,omitempty"`    // the newest delivery
	Outcome    string            `json:"outcome,omitempty"` // of that delivery
	Reason     string            `json:"reason,omitempty"`
	Deliveries []WebhookDelivery `json:"deliveries" nullable:"false" doc:"The newest, at most 20."`
}

// WebhookDelivery is one call as the state of a webhook lists it.
type WebhookDelivery struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Outcome string    `json:"outcome"`
	Status  int       `json:"status" doc:"HTTP status of the answer."`
	Reason  string    `json:"reason,omitempty"`
	Run     string    `json:"run,omitempty"`
}

// ScheduleState is how a schedule stands. Times carry the offset of the schedule's zone.
type ScheduleState struct {
	Summary  string      `json:"summary" example:"0 9 * * MON-FRI Europe/Berlin"`
	Missed   string      `json:"missed" enum:"none,last,all" doc:"What happens with the times at which the server was off."`
	Overlap  string      `json:"overlap" enum:"queue,skip,allow" doc:"What happens when the run before has not ended."`
	Last     *time.Time  `json:"last,omitempty"` // the last time that started a run
	Next     []time.Time `json:"next"`           // the next five, none while the workflow is disabled
	NextNote string      `json:"next_note,omitempty" doc:"What a change of clocks does to the next times; absent: none comes before them."`
}

// PollState is how a poll stands.
type PollState struct {
	LastPoll *time.Time   `json:"last_poll,omitempty"`
	NextPoll *time.Time   `json:"next_poll,omitempty"`
	Error    string       `json:"error,omitempty"`   // why the last poll failed
	Warning  string       `json:"warning,omitempty"` // what the last poll had to leave out
	Failures int          `json:"failures"`          // polls that failed in a row
	Seen     int          `json:"seen"`              // keys remembered
	Started  int          `json:"started"`           // runs started in all
	Polls    []PollRecord `json:"polls" nullable:"false" doc:"The last ones, newest first, at most 20."`

	Every string `json:"every,omitempty" example:"5m0s" doc:"Between two polls; absent: at the times of cron."`
	Cron  string `json:"cron,omitempty" example:"0 9 * * MON-FRI Europe/Berlin"`
	First string `json:"first" enum:"baseline,emit" doc:"What the first poll does with what is there: remember it, or start runs for it."`
	Emit  string `json:"emit" enum:"each,batch" doc:"One run for each item that is new, or one for all of a poll."`
	Begun bool   `json:"begun" doc:"One answer was read, so the next poll is not the first."`
	// Conditional: the other side can say that nothing has changed, which spares it an answer.
	Conditional bool            `json:"conditional" doc:"The last answer carried a mark (ETag or Last-Modified) that the next poll sends along."`
	Place       json.RawMessage `json:"place,omitempty" doc:"Where a connector's own poll stands, in the words of the other side; absent where it is larger than 4 KiB."`
}

const maxShownPlace = 4 << 10 // bytes

const (
	nextTimes       = 5
	shownDeliveries = 20
)

// State reports how a trigger of a current workflow stands. ErrNotFound: there is no such trigger.
func (s *Set) State(ctx context.Context, workflowID, triggerID string) (State, error) {
	w, t, err := s.find(workflowID, triggerID)
	if err != nil {
		return State{}, err
	}
	state := State{Kind: t.Kind}
	switch t.Kind {
	case engine.TriggerWebhook:
		state.Webhook, err = s.webhookState(ctx, w, t)
	case engine.TriggerSchedule:
		state.Schedule, err = s.scheduleState(ctx, w, t)
	case engine.TriggerPoll:
		state.Poll, err = s.pollState(ctx, w, t)
	case workflow.KindConnector:
		var l *listener
		if l, err = s.listener(ctx, w, t); err != nil {
			return State{Kind: t.Kind}, nil // Blocked says why
		}
		if l.endpoint != nil {
			state.Hook, err = s.hookState(ctx, l)
		} else if l.kind.Poll != nil {
			state.Poll, err = s.pollState(ctx, w, t)
		}
	}
	if err != nil {
		return State{}, fmt.Errorf("state of trigger %s of workflow %s: %w", triggerID, workflowID, err)
	}
	return state, nil
}

func (s *Set) webhookState(ctx context.Context, w *workflow.Workflow, t *workflow.Trigger) (*WebhookState, error) {
	state := &WebhookState{
		URL:     strings.TrimSuffix(s.PublicURL, "/") + "/hooks/" + t.Webhook.Path,
		Methods: t.Webhook.Methods, Deliveries: []WebhookDelivery{},
	}
	items, _, err := s.Store.Deliveries().List(ctx, engine.DeliveryQuery{Workflow: w.ID, Limit: 200})
	if err != nil {
		return nil, err
	}
	for _, d := range items {
		if d.Trigger != t.ID {
			continue
		}
		if state.Last == nil {
			state.Last, state.Outcome, state.Reason = &d.At, d.Outcome, d.Reason
		}
		shown := WebhookDelivery{ID: d.ID.String(), At: d.At.UTC(), Outcome: d.Outcome, Status: d.Status, Reason: d.Reason}
		if !d.Run.IsZero() {
			shown.Run = d.Run.String()
		}
		if state.Deliveries = append(state.Deliveries, shown); len(state.Deliveries) == shownDeliveries {
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
	state := &ScheduleState{
		Summary: scheduleSpec(t.Schedule), Missed: t.Schedule.Missed, Overlap: t.Schedule.Overlap,
		Last: known(stored.Fired.In(clock.zone)), Next: []time.Time{},
	}
	if !w.Enabled {
		return state, nil
	}
	now := wallNow()
	if state.Next, err = Next(t.Schedule, now, nextTimes); err == nil && len(state.Next) > 0 {
		state.NextNote = clock.note(now, state.Next[len(state.Next)-1])
	}
	return state, err
}

func (s *Set) pollState(ctx context.Context, w *workflow.Workflow, t *workflow.Trigger) (*PollState, error) {
	p, err := s.poll(w, t)
	if err != nil {
		return nil, err
	}
	var stored pollState
	if err := readState(ctx, s.Store, pollKey(w.ID, t.ID), &stored); err != nil && !errors.Is(err, engine.ErrNotFound) {
		return nil, err
	}
	if spec := p.spec(); stored.Spec != spec { // what is remembered belongs to another question, and is forgotten when it polls
		stored = stored.anew(spec)
	}
	state := &PollState{
		LastPoll: known(stored.Last), Error: stored.Error, Warning: stored.Warning, Failures: stored.Failures,
		Seen: stored.Seen, Started: stored.Started, Polls: stored.Polls,
		First: cmp.Or(p.poll.First, "baseline"), Emit: cmp.Or(p.poll.Emit, "each"),
		Begun: stored.Baselined, Conditional: stored.ETag != "" || stored.LastModified != "",
	}
	if p.clock.cron != nil {
		state.Cron = scheduleSpec(&p.poll.Schedule)
	} else {
		state.Every = p.clock.every.String()
	}
	if state.Polls == nil {
		state.Polls = []PollRecord{}
	}
	if stored.Place != nil {
		if text, err := value.AppendJSON(nil, stored.Place); err == nil && len(text) <= maxShownPlace {
			if text = p.engine.Redact(text); json.Valid(text) {
				state.Place = text
			}
		}
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

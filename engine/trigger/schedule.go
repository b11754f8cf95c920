package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const (
	// lateTick is how late a tick may be before the policy for missed ones decides: more than a busy machine
	// needs, less than a suspended one.
	lateTick = 10 * time.Second
	// tickWindow is how long the key of a tick is held, the longest that a store offers.
	tickWindow = 7 * 24 * time.Hour
	// tickBatch is how many missed ticks are accepted in one write.
	tickBatch = 100
	// maxAhead is how far a stored time may lie in the future before it counts as the work of a wrong clock.
	maxAhead = time.Hour
)

// schedule emits an event at each time of its clock.
type schedule struct {
	workflow *workflow.Workflow
	trigger  *workflow.Trigger
	clock    *clock
	store    engine.Store
	log      *slog.Logger
	began    time.Time // when this process began to watch the clock
	wall     wall
}

// wall is the clock on the wall: what it shows, and the wait until it shows a time. It may be set, and stand still.
type wall struct {
	now   func() time.Time
	until func(ctx context.Context, at time.Time) error
}

// scheduleState is where a schedule stands, as the store keeps it.
type scheduleState struct {
	Spec  string    `json:"spec"`           // what the times below belong to
	Last  time.Time `json:"last"`           // every tick up to here is dealt with
	Fired time.Time `json:"fired,omitzero"` // the last tick that started a run
	Run   string    `json:"run,omitempty"`  // that run
}

func newSchedule(s *Set, w *workflow.Workflow, t *workflow.Trigger) (Trigger, error) {
	clock, err := newClock(t.Schedule)
	if err != nil {
		return nil, err
	}
	return &schedule{
		workflow: w, trigger: t, clock: clock, store: s.Store, began: s.began, wall: wall{wallNow, sleepUntil},
		log: s.Log.With("workflow", w.ID, "trigger", t.ID),
	}, nil
}

func scheduleKey(workflow, trigger string) string { return "schedule/" + workflow + ":" + trigger }

func scheduleSpec(s *workflow.Schedule) string {
	if s.Cron != "" {
		return s.Cron + " " + s.Timezone
	}
	return "every " + s.Every.String()
}

// Run emits ticks until ctx is done. A schedule that is new, or has other times than before, begins now.
func (s *schedule) Run(ctx context.Context, emit Emit) error {
	state, err := s.load(ctx, emit)
	if err != nil {
		return err
	}
	var held time.Time // until then the engine had no room
	for {
		tick := s.clock.next(state.Last)
		if tick.IsZero() {
			return errors.New("the schedule has no further time")
		}
		if err := s.wall.until(ctx, tick); err != nil {
			return err
		}
		now := s.wall.now()
		ticks := []time.Time{tick}
		// A tick was missed when it passed before this process ran, or while the machine stood still; not while
		// the engine was full, for then this schedule waited for it.
		if tick.Before(s.began) || (now.Sub(tick) > lateTick && tick.After(held)) {
			ticks = s.missed(tick, now)
		}
		next, err := s.fire(ctx, emit, state, ticks, now)
		if err != nil {
			// The tick stays due. Most likely its lane cannot be computed, which a new version mends.
			s.log.ErrorContext(ctx, "the tick could not start a run", "tick", tick, "err", err)
			if err := sleep(ctx, maxRetry); err != nil {
				return err
			}
			continue
		}
		state = next
		if after := s.wall.now(); after.Sub(now) > time.Second {
			held = after
		}
	}
}

// load reads the state, or writes that of a schedule that begins now.
func (s *schedule) load(ctx context.Context, emit Emit) (scheduleState, error) {
	var state scheduleState
	key, now := scheduleKey(s.workflow.ID, s.trigger.ID), s.wall.now()
	err := readState(ctx, s.store, key, &state)
	switch {
	case err == nil && state.Spec == scheduleSpec(s.trigger.Schedule):
		if state.Last.Sub(now) <= maxAhead {
			return state, nil
		}
		s.log.WarnContext(ctx, "the clock went back: the schedule goes on from now", "from", state.Last)
		state.Last = now
	case err == nil || errors.Is(err, engine.ErrNotFound):
		state = scheduleState{Spec: scheduleSpec(s.trigger.Schedule), Last: now}
	default:
		return state, fmt.Errorf("read the state of the schedule: %w", err)
	}
	_, err = emit(ctx, nil, []engine.Put{statePut(key, state)})
	return state, err
}

// missed returns those ticks from tick to now that the policy wants to run next; there may be none.
func (s *schedule) missed(tick, now time.Time) []time.Time {
	switch {
	case s.trigger.Schedule.Missed == "none":
		return nil
	case s.trigger.Schedule.Missed == "all" && s.trigger.Schedule.Overlap != "skip": // which lets one of them through
		var ticks []time.Time
		for t := tick; !t.IsZero() && !t.After(now) && len(ticks) < tickBatch; t = s.clock.next(t) {
			ticks = append(ticks, t)
		}
		return ticks
	}
	return []time.Time{s.clock.last(tick, now)}
}

// fire starts runs for ticks, unless an unfinished run is in the way, and stores in the same write that all ticks
// up to the last of them are dealt with; with no ticks, all up to now.
func (s *schedule) fire(ctx context.Context, emit Emit, state scheduleState, ticks []time.Time, now time.Time) (scheduleState, error) {
	if len(ticks) == 0 {
		state.Last = now
	} else {
		state.Last = ticks[len(ticks)-1]
	}
	if s.trigger.Schedule.Overlap == "skip" && len(ticks) > 0 && s.unfinished(ctx, state.Run) {
		s.log.InfoContext(ctx, "skipped: the previous run has not finished", "run", state.Run, "tick", state.Last)
		ticks = nil
	}
	events := make([]engine.Event, len(ticks))
	for i, tick := range ticks {
		// Runs are listed and started in the order of their times, to the millisecond.
		events[i] = s.event(tick, state.Fired, now.Add(time.Duration(i+1-len(ticks))*time.Millisecond))
		state.Fired = tick
	}
	key := scheduleKey(s.workflow.ID, s.trigger.ID)
	if s.trigger.Schedule.Overlap != "skip" || len(events) == 0 {
		_, err := emit(ctx, events, []engine.Put{statePut(key, state)})
		return state, err
	}
	// The state names the run, whose id is known after the write: a crash in between leaves the tick to be accepted
	// again, and its key gives the same run.
	accepted, err := emit(ctx, events, nil)
	if err != nil {
		return state, err
	}
	state.Run = accepted[len(accepted)-1].ID.String()
	_, err = emit(ctx, nil, []engine.Put{statePut(key, state)})
	return state, err
}

func (s *schedule) event(tick, previous, at time.Time) engine.Event {
	fields := map[string]any{"time": tick.In(s.clock.zone).Format(time.RFC3339), "previous": nil}
	if !previous.IsZero() {
		fields["previous"] = previous.In(s.clock.zone).Format(time.RFC3339)
	}
	e := engine.Event{
		Workflow: s.workflow.ID,
		Trigger:  s.trigger.ID,
		Kind:     engine.TriggerSchedule,
		At:       at,
		Key:      "cron/" + s.workflow.ID + "/" + s.trigger.ID + "/" + strconv.FormatInt(tick.Unix(), 10),
		Window:   tickWindow,
		Fields:   fields,
	}
	if o := s.trigger.Schedule.Overlap; o == "queue" || o == "" {
		e.Lane = "schedule/" + s.trigger.ID
	}
	return e
}

// unfinished reports whether a run is still under way. What cannot be read counts as finished, so that a schedule
// never stands still for it.
func (s *schedule) unfinished(ctx context.Context, run string) bool {
	if run == "" {
		return false
	}
	id, err := engine.ParseRunID(run)
	if err != nil {
		return false
	}
	records, err := s.store.Read(ctx, id, 0)
	return err == nil && len(records) > 0 && records[len(records)-1].Kind != engine.KindFinished
}

// forgetSchedule drops the state of a schedule; there may be none.
func forgetSchedule(ctx context.Context, store engine.Store, workflow, trigger string) error {
	key := scheduleKey(workflow, trigger)
	if _, _, err := store.KV().Get(ctx, key); errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	_, err := store.Accept(ctx, engine.Batch{Puts: []engine.Put{{Key: key, AnyRev: true}}})
	return err
}

// readState reads what statePut wrote. ErrNotFound: there is none.
func readState(ctx context.Context, store engine.Store, key string, state any) error {
	data, _, err := store.KV().Get(ctx, key)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, state); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// statePut writes the state of a trigger. Only its owner writes it, so no revision is compared, and a write whose
// outcome is unknown can be repeated.
func statePut(key string, state any) engine.Put {
	data, err := json.Marshal(state)
	if err != nil {
		panic(fmt.Sprintf("trigger: encode the state of %s: %v", key, err)) // plain fields only: a bug
	}
	return engine.Put{Key: key, Value: data, AnyRev: true}
}

package trigger

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// FillSeen remembers n keys for a poll.
func FillSeen(ctx context.Context, s *Set, workflow, trigger string, n int) error {
	seen := &seenSet{prefix: seenPrefix(pollKey(workflow, trigger)), items: map[hash]seenItem{}}
	marks := make([]mark, n)
	for i := range marks {
		key := "order-" + strconv.Itoa(i)
		marks[i] = mark{id: digest(key), key: key, seenItem: seenItem{added: int64(i / 10), first: int64(i / 10)}}
	}
	for puts := range slices.Chunk(seen.puts(marks), seenPage) {
		if _, err := s.emit(ctx, nil, puts); err != nil {
			return err
		}
	}
	return nil
}

// RunSchedule runs a schedule on a wall clock of the test until ctx is done, with its state in values, and tells fired
// of each tick.
func RunSchedule(ctx context.Context, w *workflow.Workflow, now func() time.Time, until func(context.Context, time.Time) error,
	values map[string][]byte, fired func(tick time.Time),
) error {
	t := w.Triggers[0]
	clock, err := newClock(t.Schedule)
	if err != nil {
		return err
	}
	s := &schedule{
		workflow: w, trigger: t, clock: clock, store: stored{values: values}, log: slog.New(slog.DiscardHandler), began: now(), wall: wall{now, until},
	}
	return s.Run(ctx, func(ctx context.Context, events []engine.Event, puts []engine.Put) ([]engine.Accepted, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err() // a kill: nothing of the write is there
		}
		for _, p := range puts {
			values[p.Key] = p.Value
		}
		for i := range events {
			tick, err := time.Parse(time.RFC3339, events[i].Fields["time"].(string))
			if err != nil {
				return nil, err
			}
			fired(tick)
		}
		return make([]engine.Accepted, len(events)), nil
	})
}

// stored is as much of a store as a schedule reads: a year of many schedules would take a real one too long.
type stored struct {
	engine.Store
	values map[string][]byte
}

func (s stored) KV() engine.KV { return storedValues{values: s.values} }

type storedValues struct {
	engine.KV
	values map[string][]byte
}

func (s storedValues) Get(_ context.Context, key string) ([]byte, uint64, error) {
	if v, ok := s.values[key]; ok {
		return v, 1, nil
	}
	return nil, 0, engine.ErrNotFound
}

// Note is the note on the next five times of a cron expression.
func Note(cron, zone string, now time.Time) (string, error) {
	s := &workflow.Schedule{Cron: cron, Timezone: zone}
	next, err := Next(s, now, nextTimes)
	if err != nil {
		return "", err
	}
	clock, err := newClock(s)
	if err != nil {
		return "", err
	}
	return clock.note(now, next[len(next)-1]), nil
}

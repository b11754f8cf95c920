package trigger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/trigger"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// wallClock is the clock of a machine: it runs in a sawtooth around the true time, is set forward and back by an hour,
// stands still while the machine sleeps, and the process is killed now and then.
type wallClock struct {
	truth time.Time
	set   time.Duration // by how much somebody set it
	rand  *rand.Rand
	end   time.Time
	kill  context.CancelFunc
}

const (
	tooth  = 5 * time.Minute
	period = 47 * time.Minute
)

func (c *wallClock) now() time.Time {
	phase := time.Duration(c.truth.UnixNano() % int64(period))
	return c.truth.Add(c.set + time.Duration(2*float64(tooth)*float64(phase)/float64(period)) - tooth)
}

// until lets the time pass. Mostly it comes back soon after at; sometimes the machine slept, somebody set the clock,
// or the process is killed instead.
func (c *wallClock) until(ctx context.Context, at time.Time) error {
	for c.now().Before(at) && ctx.Err() == nil {
		c.truth = c.truth.Add(max(time.Second, at.Sub(c.now())/2))
		switch c.rand.IntN(2000) {
		case 0:
			c.truth = c.truth.Add(time.Duration(c.rand.IntN(6*3600)) * time.Second)
		case 1:
			c.set = time.Duration(c.rand.IntN(3)-1) * time.Hour
		case 2:
			c.kill()
		}
		if c.truth.After(c.end) {
			c.kill()
		}
	}
	return ctx.Err()
}

// times are the instants that a cron expression of one minute means between two times, found by looking at that minute
// of every hour of the wall: the first instant that shows it, or, where none does, the first that shows a later one.
func times(match func(wall time.Time) bool, minute int, zone *time.Location, from, to time.Time) map[int64]bool {
	all := map[int64]bool{}
	shows := func(at time.Time) time.Time {
		l := at.In(zone)
		return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
	}
	first := shows(from).Truncate(time.Hour).Add(time.Duration(minute)*time.Minute - 26*time.Hour)
	for wall := first; wall.Before(shows(to).Add(26 * time.Hour)); wall = wall.Add(time.Hour) {
		if !match(wall) {
			continue
		}
		var at time.Time
		for _, around := range []time.Duration{-26 * time.Hour, 26 * time.Hour} { // the offset before a change, and after it
			_, offset := wall.Add(around).In(zone).Zone()
			candidate := wall.Add(-time.Duration(offset) * time.Second)
			if shows(candidate).Equal(wall) && (at.IsZero() || candidate.Before(at)) {
				at = candidate
			}
		}
		if at.IsZero() {
			for at = wall.Add(-15 * time.Hour); !shows(at).After(wall); at = at.Add(time.Minute) {
			}
		}
		if at.After(from) && !at.After(to) {
			all[at.Unix()] = true
		}
	}
	return all
}

// A year of 500 schedules in zones that change their clocks in every way there is, on a clock that cannot be trusted:
// with `missed: all` each time runs once, whatever happens.
func TestAYearOfSchedules(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulated year of 500 schedules")
	}
	years := []struct {
		zone string
		year int
	}{
		{"America/New_York", 2026}, {"Europe/Berlin", 2027}, {"Australia/Lord_Howe", 2028}, // by half an hour
		{"America/Sao_Paulo", 2018}, // at midnight, so that a day begins at 01:00
		{"Pacific/Apia", 2011},      // has no 30 December
	}
	missed, double, ticks := 0, 0, 0
	for i := range 500 {
		y := years[i%len(years)]
		r := rand.New(rand.NewPCG(uint64(i), 9))
		hour, minute := r.IntN(5), []int{0, 1, 15, 30, 45, 59}[r.IntN(6)]
		cron, match := fmt.Sprintf("%d %d * * *", minute, hour), func(w time.Time) bool { return w.Hour() == hour && w.Minute() == minute }
		switch i / len(years) % 4 {
		case 1:
			cron, match = fmt.Sprintf("%d */6 * * *", minute), func(w time.Time) bool { return w.Hour()%6 == 0 && w.Minute() == minute }
		case 2:
			cron, match = fmt.Sprintf("%d %d * * SUN", minute, hour), func(w time.Time) bool {
				return w.Weekday() == time.Sunday && w.Hour() == hour && w.Minute() == minute
			}
		case 3:
			cron, match = fmt.Sprintf("%d %d 30 * *", minute, hour), func(w time.Time) bool {
				return w.Day() == 30 && w.Hour() == hour && w.Minute() == minute
			}
		}
		w := parse(t, "w", fmt.Sprintf("triggers: [{schedule: {cron: %q, timezone: %s, missed: all, overlap: allow}}]\nsteps:\n  - set: {a: 1}\n", cron, y.zone))
		m, d, n := playYear(t, w, r, match, minute, time.Date(y.year, 2, 10, 0, 0, 0, 0, time.UTC))
		if m+d > 0 {
			t.Errorf("schedule %d, %s in %s: %d missed, %d double of %d", i, cron, y.zone, m, d, n)
		}
		missed, double, ticks = missed+m, double+d, ticks+n
	}
	t.Logf("%d ticks: missed %d, double %d", ticks, missed, double)
}

func playYear(t *testing.T, w *workflow.Workflow, r *rand.Rand, match func(time.Time) bool, minute int, from time.Time) (missed, double, ticks int) {
	t.Helper()
	clock := &wallClock{truth: from, rand: r, end: from.AddDate(1, 0, 0)}
	values, fired := map[string][]byte{}, map[int64]int{}
	begun := clock.now()
	for !clock.truth.After(clock.end) {
		ctx, kill := context.WithCancel(t.Context())
		clock.kill = kill
		err := trigger.RunSchedule(ctx, w, clock.now, clock.until, values, func(tick time.Time) { fired[tick.Unix()]++ })
		kill()
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if clock.truth.Sub(clock.end) < 0 {
			clock.truth = clock.truth.Add(time.Duration(r.IntN(300)) * time.Second) // until it is started again
		}
	}
	// Near the end a tick may be due and not have run.
	want := times(match, minute, w.Triggers[0].Schedule.Zone, begun, clock.end.Add(-8*time.Hour))
	for at := range want {
		if fired[at] == 0 {
			missed++
		}
	}
	for at, n := range fired {
		if n > 1 || !want[at] && at < clock.end.Add(-8*time.Hour).Unix() {
			double++
		}
	}
	return missed, double, len(want)
}

package trigger

import (
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// cronSpec is a parsed cron expression: one bit for each value that a field allows. Which wall-clock minutes match
// is decided here, and which instants they are as well (see instant), because the parser's own answer skips the
// minutes of a gap and repeats those of an overlap.
type cronSpec struct {
	minute, hour, dom, month, dow uint64
	anyDay                        bool // day of month or day of week is *: both must match; else one is enough
}

const (
	starBit   = uint64(1) << 63 // the parser's mark of a field that is *
	maxYears  = 9               // 29 February can be eight years away (2096 to 2104)
	maxOffset = 16 * 3600       // seconds; no zone was ever further from UTC
)

var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// parseCron reads a cron expression that workflow.CheckCron takes.
func parseCron(spec string) (c *cronSpec, err error) {
	if err := workflow.CheckCron(spec); err != nil {
		return nil, fmt.Errorf("cron %q: %w", spec, err)
	}
	// The parser indexes slices by what it reads and panics on some texts (`TZ=UTC` in v3.0.1).
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, fmt.Errorf("cron %q cannot be read", spec)
		}
	}()
	parsed, err := cronParser.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w", spec, err)
	}
	s, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("cron %q cannot be read", spec)
	}
	c = &cronSpec{
		minute: s.Minute &^ starBit,
		hour:   s.Hour &^ starBit,
		dom:    s.Dom &^ starBit,
		month:  s.Month &^ starBit,
		dow:    s.Dow &^ starBit,
		anyDay: (s.Dom|s.Dow)&starBit != 0,
	}
	if !c.possible() {
		return nil, fmt.Errorf("cron %q never happens: no month that it names has that day", spec)
	}
	return c, nil
}

// possible reports whether any day of any year matches.
func (c *cronSpec) possible() bool {
	if c.minute == 0 || c.hour == 0 || c.month == 0 {
		return false
	}
	if !c.anyDay {
		return c.dow != 0 || c.dom != 0
	}
	lengths := [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for m := 1; m <= 12; m++ {
		if c.month&(1<<m) != 0 && c.dom&(1<<(lengths[m]+1)-1) != 0 && c.dow != 0 {
			return true
		}
	}
	return false
}

func (c *cronSpec) dayMatches(day time.Time) bool {
	if c.month&(1<<uint(day.Month())) == 0 {
		return false
	}
	dom, dow := c.dom&(1<<uint(day.Day())) != 0, c.dow&(1<<uint(day.Weekday())) != 0
	if c.anyDay {
		return dom && dow
	}
	return dom || dow
}

// next returns the first instant after t at which the schedule runs, or the zero time. The rule of the two days a
// year on which clocks change: a wall-clock time that does not exist runs at the first instant after the gap, and one
// that exists twice runs the first time. So each wall-clock time runs once; times that fall together run once together.
func (c *cronSpec) next(t time.Time, zone *time.Location) time.Time {
	local := t.In(zone)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), 0, 0, time.UTC)
	for wall = c.nextWall(wall); !wall.IsZero(); wall = c.nextWall(wall.Add(time.Minute)) {
		if at := instant(wall, zone); at.After(t) {
			return at
		}
	}
	return time.Time{}
}

// nextWall returns the first matching wall-clock minute from wall on, written as if its zone were UTC.
func (c *cronSpec) nextWall(wall time.Time) time.Time {
	day := time.Date(wall.Year(), wall.Month(), wall.Day(), 0, 0, 0, 0, time.UTC)
	fromHour, fromMinute := wall.Hour(), wall.Minute()
	for end := day.AddDate(maxYears, 0, 0); day.Before(end); day = day.AddDate(0, 0, 1) {
		if c.month&(1<<uint(day.Month())) == 0 { // on to the last day of the month
			day = time.Date(day.Year(), day.Month()+1, 0, 0, 0, 0, 0, time.UTC)
		} else if c.dayMatches(day) {
			for h := nextBit(c.hour, fromHour); h < 24; h = nextBit(c.hour, h+1) {
				if h != fromHour {
					fromMinute = 0
				}
				if m := nextBit(c.minute, fromMinute); m < 60 {
					return day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute)
				}
				fromMinute = 0
			}
		}
		fromHour, fromMinute = 0, 0
	}
	return time.Time{}
}

// nextBit returns the lowest set bit of set from n on, or 64.
func nextBit(set uint64, n int) int {
	return bits.TrailingZeros64(set >> uint(n) << uint(n))
}

// instant returns when a wall-clock time is in zone: the first of two, or the end of the gap that it falls into.
func instant(wall time.Time, zone *time.Location) time.Time {
	seconds := wall.Unix()
	at := time.Unix(seconds-maxOffset, 0).In(zone) // before any instant that the wall clock can mean
	for {
		_, offset := at.Zone()
		start, end := at.ZoneBounds()
		candidate := time.Unix(seconds-int64(offset), 0).In(zone)
		if end.IsZero() || candidate.Before(end) {
			if candidate.Before(start) {
				return start
			}
			return candidate
		}
		at = end
	}
}

// clock gives the times of a schedule one after another.
type clock struct {
	cron  *cronSpec // nil: every
	zone  *time.Location
	every time.Duration
}

func newClock(s *workflow.Schedule) (*clock, error) {
	c := &clock{zone: s.Zone, every: s.Every}
	if s.Cron == "" {
		if s.Every < time.Second {
			return nil, errors.New("a schedule needs `cron` or `every` of at least 1s")
		}
		if c.zone == nil {
			c.zone = time.UTC
		}
		return c, nil
	}
	if c.zone == nil {
		var err error
		if c.zone, err = time.LoadLocation(s.Timezone); err != nil || s.Timezone == "" {
			return nil, fmt.Errorf("timezone %q is unknown", s.Timezone)
		}
	}
	var err error
	c.cron, err = parseCron(s.Cron)
	return c, err
}

// next returns the first time after t, or the zero time. A schedule with `every` runs by elapsed time, on multiples
// of its distance since 1970, so that a restart or another machine does not move it.
func (c *clock) next(t time.Time) time.Time {
	if c.cron != nil {
		return c.cron.next(t, c.zone)
	}
	ns, every := t.UnixNano(), int64(c.every)
	behind := ((ns % every) + every) % every
	return time.Unix(0, ns-behind+every).In(c.zone)
}

// last returns the latest time up to until. tick is one of them.
func (c *clock) last(tick, until time.Time) time.Time {
	if c.cron == nil {
		return c.next(until.Add(-c.every))
	}
	// A cron expression that runs each minute has half a million times a year: look at the end first.
	for back := time.Hour; ; back *= 8 {
		last, from := time.Time{}, until.Add(-back)
		if !from.After(tick) {
			last, from = tick, tick
		}
		for at := c.next(from); !at.IsZero() && !at.After(until); at = c.next(at) {
			last = at
		}
		if !last.IsZero() {
			return last
		}
	}
}

// note says in a sentence what the first change of clocks up to until does to the times of a cron expression; empty:
// there is none. It is the rule of cronSpec.next in words.
func (c *clock) note(from, until time.Time) string {
	if c.cron == nil {
		return "" // by elapsed time
	}
	_, change := from.In(c.zone).ZoneBounds()
	if change.IsZero() || change.After(until) {
		return ""
	}
	before, after := change.Add(-1).In(c.zone), change.In(c.zone)
	_, old := before.Zone()
	_, now := after.Zone()
	if old == now { // another name of the same offset
		return c.note(change, until)
	}
	// The wall clock shows low to high never, or twice.
	low := time.Date(after.Year(), after.Month(), after.Day(), after.Hour(), after.Minute(), after.Second(), 0, time.UTC)
	high := low.Add(time.Duration(old-now) * time.Second)
	forward := now > old
	if forward {
		low, high = high, low
	}
	hit := c.cron.nextWall(low)
	const clockTime = "15:04"
	what, then := "back", "comes twice and runs the first time"
	if forward {
		what, then = "forward", "does not exist that day and runs at "+high.Format(clockTime)
	}
	note := fmt.Sprintf("On %s the clocks in %s go %s by %d min", after.Format("2 January 2006"), c.zone, what, max(now-old, old-now)/60)
	if hit.IsZero() || !hit.Before(high) {
		return note + ": the times stay the same on the clock, their offset changes."
	}
	return fmt.Sprintf("%s: %s %s.", note, hit.Format(clockTime), then)
}

// Next returns the next n times (at most 1,000) of a schedule after t, in its zone.
func Next(s *workflow.Schedule, t time.Time, n int) ([]time.Time, error) {
	c, err := newClock(s)
	if err != nil {
		return nil, err
	}
	var times []time.Time
	for range min(n, 1000) {
		if t = c.next(t); t.IsZero() {
			break
		}
		times = append(times, t)
	}
	return times, nil
}

package trigger_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/trigger"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func cronOf(t testing.TB, spec, zoneName string) *workflow.Schedule {
	return &workflow.Schedule{Cron: spec, Timezone: zoneName, Zone: zone(t, zoneName)}
}

// What the file's check lets through and what the parser would take on its own: neither runs, and neither panics.
func TestCronRefused(t *testing.T) {
	for _, spec := range []string{
		"TZ=UTC", "TZ=UTC 0 9 * * *", "@daily", "@every -1s", "* * * *", "0-59/70 * * * *", "60 * * * *", "0 0 * * 7", ", * * * *",
		"1,,2 * * * *", "0 0 30 2 *", "0 0 30 2 */1", "0 0 31 2,4,6 ?", strings.Repeat("1,", 400) + "1 * * * *",
	} {
		if times, err := trigger.Next(cronOf(t, spec, "UTC"), time.Now(), 1); err == nil {
			t.Errorf("cron %.40q runs at %s", spec, times)
		}
	}
	for _, s := range []*workflow.Schedule{
		{}, {Every: time.Millisecond}, {Cron: "0 9 * * *"}, {Cron: "0 9 * * *", Timezone: "Mars/Olympus"},
	} {
		if times, err := trigger.Next(s, time.Now(), 1); err == nil {
			t.Errorf("%+v runs at %s", s, times)
		}
	}
}

func TestNext(t *testing.T) {
	tests := []struct {
		name, zone, cron string
		every            time.Duration
		after            string
		want             []string
	}{
		{
			name: "weekdays", zone: "Europe/Berlin", cron: "0 9 * * MON-FRI", after: "2026-01-02T12:00:00+01:00",
			want: []string{"2026-01-05T09:00:00+01:00", "2026-01-06T09:00:00+01:00"},
		},
		{
			name: "strictly after", zone: "UTC", cron: "*/15 * * * *", after: "2026-01-01T00:15:00Z",
			want: []string{"2026-01-01T00:30:00Z", "2026-01-01T00:45:00Z"},
		},
		{
			name: "day of month or of week", zone: "UTC", cron: "0 0 13 * FRI", after: "2026-02-07T00:00:00Z",
			want: []string{"2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z", "2026-02-27T00:00:00Z", "2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z"},
		},
		{name: "leap day", zone: "UTC", cron: "0 0 29 2 *", after: "2096-03-01T00:00:00Z", want: []string{"2104-02-29T00:00:00Z"}},
		{
			name: "a skipped time runs at the end of the gap", zone: "Europe/Berlin", cron: "30 2 * * *", after: "2026-03-28T12:00:00+01:00",
			want: []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"},
		},
		{
			name: "a doubled time runs once, the first", zone: "Europe/Berlin", cron: "30 2 * * *", after: "2026-10-24T12:00:00+02:00",
			want: []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"},
		},
		{
			name: "also when looked at in between", zone: "Europe/Berlin", cron: "30 2 * * *", after: "2026-10-25T02:10:00+01:00",
			want: []string{"2026-10-26T02:30:00+01:00"},
		},
		{
			name: "skipped times that fall together run once", zone: "America/New_York", cron: "0,15,30,45 2 * * *", after: "2026-03-08T01:59:00-05:00",
			want: []string{"2026-03-08T03:00:00-04:00", "2026-03-09T02:00:00-04:00"},
		},
		{
			name: "half an hour of gap", zone: "Australia/Lord_Howe", cron: "10 2 * * *", after: "2026-10-04T00:00:00+10:30",
			want: []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:10:00+11:00"},
		},
		{
			name: "midnight is skipped", zone: "America/Sao_Paulo", cron: "0 0 * * *", after: "2018-11-03T12:00:00-03:00",
			want: []string{"2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		},
		{
			name: "a whole day is skipped", zone: "Pacific/Apia", cron: "0 12 * * *", after: "2011-12-29T13:00:00-10:00",
			want: []string{"2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"},
		},
		{
			name: "every is elapsed time", every: time.Hour, after: "2026-03-29T00:30:00Z",
			want: []string{"2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		},
		{name: "every is aligned", every: 7 * time.Second, after: "1970-01-01T00:00:08Z", want: []string{"1970-01-01T00:00:14Z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &workflow.Schedule{Every: tt.every}
			if tt.cron != "" {
				s = cronOf(t, tt.cron, tt.zone)
			}
			after, err := time.Parse(time.RFC3339, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			times, err := trigger.Next(s, after, len(tt.want))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, at := range times {
				got = append(got, at.Format(time.RFC3339))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// model finds the times of a schedule in [from, to) the slow way: it walks along every minute of real time, looks at
// the wall clock, and never searches. A wall-clock minute runs when it is first reached, or jumped over.
func model(matches func(wall time.Time) bool, from, to time.Time, loc *time.Location) []time.Time {
	var times []time.Time
	wallOf := func(t time.Time) time.Time {
		l := t.In(loc)
		return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
	}
	reached := wallOf(from.Add(-time.Minute)) // the latest wall-clock minute so far
	for t := from; t.Before(to); t = t.Add(time.Minute) {
		wall, fire := wallOf(t), false
		for reached.Before(wall) {
			reached = reached.Add(time.Minute)
			fire = fire || matches(reached)
		}
		if fire {
			times = append(times, t)
		}
	}
	return times
}

// randomCron makes a cron expression and what it means, from plain sets.
func randomCron(r *rand.Rand) (string, func(time.Time) bool) {
	field := func(low, high, chance int) (string, map[int]bool) {
		set := map[int]bool{}
		if r.IntN(100) < chance {
			for v := low; v <= high; v++ {
				set[v] = true
			}
			return "*", set
		}
		var parts []string
		for range 1 + r.IntN(2) {
			a := low + r.IntN(high-low+1)
			b := a + r.IntN(high-a+1)
			step := 1 + r.IntN(high-low)
			switch r.IntN(3) {
			case 0:
				parts, set[a] = append(parts, strconv.Itoa(a)), true
			case 1:
				parts = append(parts, fmt.Sprintf("%d-%d", a, b))
				for v := a; v <= b; v++ {
					set[v] = true
				}
			case 2:
				parts = append(parts, fmt.Sprintf("%d-%d/%d", a, b, step))
				for v := a; v <= b; v += step {
					set[v] = true
				}
			}
		}
		return strings.Join(parts, ","), set
	}
	minute, minutes := field(0, 59, 5)
	hour, hours := field(0, 23, 40)
	dom, doms := field(1, 31, 70)
	month, months := field(1, 12, 90)
	dow, dows := field(0, 6, 70)
	return strings.Join([]string{minute, hour, dom, month, dow}, " "), func(wall time.Time) bool {
		day := doms[wall.Day()] && dows[int(wall.Weekday())]
		if dom != "*" && dow != "*" {
			day = doms[wall.Day()] || dows[int(wall.Weekday())]
		}
		return minutes[wall.Minute()] && hours[wall.Hour()] && months[int(wall.Month())] && day
	}
}

func TestNextAgreesWithModel(t *testing.T) {
	zones := []string{"America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"}
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, name := range zones {
		loc := zone(t, name)
		for range rounds {
			spec, matches := randomCron(r)
			if _, err := trigger.Next(cronOf(t, spec, name), time.Now(), 1); err != nil {
				continue // such as 30 February
			}
			// Ten days around a change of the clocks, where there is one, else anywhere from 2026 to 2030.
			from := time.Date(2026+r.IntN(5), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
			if _, change := from.In(loc).ZoneBounds(); !change.IsZero() && change.Year() <= 2030 {
				from = change.UTC().Truncate(time.Minute).AddDate(0, 0, -5)
			}
			to := from.AddDate(0, 0, 10)
			want := model(matches, from, to, loc)
			var got []time.Time
			s := cronOf(t, spec, name)
			for at := from.Add(-time.Nanosecond); ; {
				next, err := trigger.Next(s, at, 1)
				if err != nil {
					t.Fatal(err)
				}
				if len(next) == 0 || !next[0].Before(to) {
					break
				}
				at = next[0]
				got = append(got, at)
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
				t.Fatalf("%s in %s from %s:\n%s", spec, name, from, diff)
			}
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, spec := range []string{"* * * * *", "0 9 * * MON-FRI", "TZ=UTC", "@every 1s", "0-59/70 * * * *", "0 0 30 2 *", "1,,2 * * * *", "? ? ? ? ?"} {
		f.Add(spec, int64(1_770_000_000))
	}
	loc := zone(f, "Australia/Lord_Howe")
	f.Fuzz(func(t *testing.T, spec string, unix int64) {
		if unix < 0 || unix > 4_000_000_000 {
			return
		}
		at := time.Unix(unix, 0)
		times, err := trigger.Next(&workflow.Schedule{Cron: spec, Timezone: loc.String(), Zone: loc}, at, 3)
		if err != nil {
			if workflow.CheckCron(spec) == nil && !strings.Contains(err.Error(), "never happens") {
				t.Fatalf("the file's check takes %q, and it cannot run: %v", spec, err)
			}
			return
		}
		if len(times) == 0 {
			t.Fatalf("%q never happens, but was accepted", spec)
		}
		for _, next := range times {
			if !next.After(at) {
				t.Fatalf("%q: %s does not follow %s", spec, next, at)
			}
			at = next
		}
	})
}

func TestNextNoteOfAClockChange(t *testing.T) {
	for _, tt := range []struct{ cron, zone, now, want string }{
		{"30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", "On 29 March 2026 the clocks in Europe/Berlin go forward by 60 min: 02:30 does not exist that day and runs at 03:00."},
		{"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "On 25 October 2026 the clocks in Europe/Berlin go back by 60 min: 02:30 comes twice and runs the first time."},
		{"0 9 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", "On 29 March 2026 the clocks in Europe/Berlin go forward by 60 min: the times stay the same on the clock, their offset changes."},
		{"45 1 * * *", "Australia/Lord_Howe", "2026-04-03T00:00:00Z", "On 5 April 2026 the clocks in Australia/Lord_Howe go back by 30 min: 01:45 comes twice and runs the first time."},
		{"30 2 * * *", "Europe/Berlin", "2026-06-01T12:00:00Z", ""},
		{"30 2 * * *", "UTC", "2026-03-27T12:00:00Z", ""},
	} {
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := trigger.Note(tt.cron, tt.zone, now); err != nil || got != tt.want {
			t.Errorf("%s in %s at %s: %q, want %q (%v)", tt.cron, tt.zone, tt.now, got, tt.want, err)
		}
	}
}

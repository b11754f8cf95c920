package trigger_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/trigger"
)

// restart gives a new Set on the same engine and store, as a new process would have.
func (h *house) restart() *house {
	return &house{
		engine: h.engine, store: h.store,
		Set: trigger.New(trigger.Options{Engine: h.engine, Store: h.store, PublicURL: "https://bell.example.com"}),
	}
}

// ticks returns the times of the ticks that started runs, oldest first, in UTC, as hours and minutes.
func (h *house) ticks(t testing.TB, workflow string) []string {
	t.Helper()
	var ticks []string
	for _, ev := range h.events(t, workflow) {
		text, _ := ev.Fields["time"].(string)
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatalf("the event %v has no time: %v", ev.Fields, err)
		}
		ticks = append(ticks, at.UTC().Format("15:04:05"))
	}
	return ticks
}

func hourly(t testing.TB, extra string) string {
	t.Helper()
	return "triggers:\n  - schedule: {cron: \"0 * * * *\", timezone: UTC" + extra + "}\nsteps:\n  - set: {a: 1}\n"
}

// A bubble's clock begins at midnight UTC, 2000-01-01.

func TestScheduleTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir())
		h.live(t, parse(t, "w", "triggers:\n  - schedule: {cron: \"*/20 * * * *\", timezone: Asia/Kolkata}\nsteps:\n  - set: {a: 1}\n"))
		stop := work(t, h.Set.Run, h.engine.Run)
		time.Sleep(time.Hour + time.Minute)
		stop()
		var got []map[string]any
		for _, ev := range h.events(t, "w") {
			got = append(got, ev.Fields)
			if ev.Kind != engine.TriggerSchedule || ev.Trigger != "schedule" {
				t.Errorf("event %+v", ev)
			}
		}
		want := []map[string]any{
			{"time": "2000-01-01T05:40:00+05:30", "previous": nil},
			{"time": "2000-01-01T06:00:00+05:30", "previous": "2000-01-01T05:40:00+05:30"},
			{"time": "2000-01-01T06:20:00+05:30", "previous": "2000-01-01T06:00:00+05:30"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		state, err := h.State(t.Context(), "w", "schedule")
		if err != nil {
			t.Fatal(err)
		}
		if s := state.Schedule; s.Last == nil || s.Last.Format(time.RFC3339) != "2000-01-01T06:20:00+05:30" || len(s.Next) != 5 ||
			s.Next[0].Format(time.RFC3339) != "2000-01-01T06:40:00+05:30" {
			t.Errorf("state %+v", state.Schedule)
		}
	})
}

func TestScheduleMissed(t *testing.T) {
	for _, tt := range []struct {
		missed string
		want   []string
	}{
		{"none", []string{"01:00:00", "06:00:00"}},
		{"last", []string{"01:00:00", "05:00:00", "06:00:00"}},
		{"all", []string{"01:00:00", "02:00:00", "03:00:00", "04:00:00", "05:00:00", "06:00:00"}},
	} {
		t.Run(tt.missed, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, t.TempDir())
				w := parse(t, "w", hourly(t, ", missed: "+tt.missed))
				h.live(t, w)
				stop := work(t, h.Set.Run)
				time.Sleep(90 * time.Minute)
				stop()
				time.Sleep(4 * time.Hour) // 05:30
				h = h.restart()
				h.Apply(nil)
				h.live(t, w)
				stop = work(t, h.Set.Run)
				time.Sleep(time.Hour)
				stop()
				if diff := cmp.Diff(tt.want, h.ticks(t, "w")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// Long after the last tick, the latest missed one is found, whether ticks are dense or far apart.
func TestScheduleMissedLast(t *testing.T) {
	for when, want := range map[string]string{
		"cron: \"*/7 * * * *\", timezone: UTC": "2000-01-10T23:28:00Z",
		"cron: \"0 12 3 * *\", timezone: UTC":  "2000-01-03T12:00:00Z",
		"every: 7h":                            "2000-01-10T23:00:00Z",
	} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, t.TempDir())
				w := parse(t, "w", "triggers:\n  - schedule: {"+when+"}\nsteps:\n  - set: {a: 1}\n")
				h.live(t, w)
				stop := work(t, h.Set.Run)
				time.Sleep(time.Second)
				stop()
				time.Sleep(10*24*time.Hour - 30*time.Minute)
				h = h.restart()
				h.live(t, w)
				work(t, h.Set.Run)
				time.Sleep(time.Second)
				events := h.events(t, "w")
				if len(events) != 1 || events[0].Fields["time"] != want {
					t.Errorf("%d events, want one of %s; ticks %v", len(events), want, h.ticks(t, "w"))
				}
			})
		})
	}
}

// However short the time without a process was, a tick in it was missed.
func TestScheduleMissedByARestart(t *testing.T) {
	for missed, want := range map[string][]string{"none": nil, "last": {"01:00:00"}} {
		t.Run(missed, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, t.TempDir())
				w := parse(t, "w", hourly(t, ", missed: "+missed))
				h.live(t, w)
				stop := work(t, h.Set.Run)
				time.Sleep(time.Hour - time.Second)
				stop()
				time.Sleep(2 * time.Second)
				h = h.restart()
				h.live(t, w)
				work(t, h.Set.Run)
				time.Sleep(time.Minute)
				if diff := cmp.Diff(want, h.ticks(t, "w")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestScheduleMissedAllInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir())
		w := parse(t, "w", "triggers:\n  - schedule: {every: 1m, missed: all, overlap: allow}\nsteps:\n  - set: {a: 1}\n")
		h.live(t, w)
		stop := work(t, h.Set.Run)
		time.Sleep(time.Second)
		stop()
		time.Sleep(5 * time.Hour)
		h = h.restart()
		h.live(t, w)
		stop = work(t, h.Set.Run)
		time.Sleep(30 * time.Second)
		stop()
		if n := len(h.ticks(t, "w")); n != 300 {
			t.Errorf("%d runs for 300 missed ticks", n)
		}
	})
}

func TestScheduleDoesNotFireThePast(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, h *house) // at 01:30
		want   []string
	}{
		{"new", func(t *testing.T, h *house) {}, []string{"01:00:00", "02:00:00", "03:00:00", "04:00:00", "05:00:00", "06:00:00"}},
		{"disabled for a while", func(t *testing.T, h *house) {
			h.live(t, parse(t, "w", "enabled: false\n"+hourly(t, ", missed: all")))
			time.Sleep(4 * time.Hour)
			h.live(t, parse(t, "w", hourly(t, ", missed: all")))
		}, []string{"01:00:00", "06:00:00"}},
		{"removed for a while", func(t *testing.T, h *house) {
			h.live(t)
			time.Sleep(4 * time.Hour)
			h.live(t, parse(t, "w", hourly(t, ", missed: all")))
		}, []string{"01:00:00", "06:00:00"}},
		{"other times", func(t *testing.T, h *house) {
			h.live(t, parse(t, "w", "triggers:\n  - schedule: {cron: \"15 * * * *\", timezone: UTC, missed: all}\nsteps:\n  - set: {a: 1}\n"))
			time.Sleep(4 * time.Hour)
		}, []string{"01:00:00", "02:15:00", "03:15:00", "04:15:00", "05:15:00", "06:15:00"}},
		{"another step", func(t *testing.T, h *house) {
			h.live(t, parse(t, "w", hourly(t, ", missed: none")+"  - set: {b: 2}\n"))
			time.Sleep(4 * time.Hour)
		}, []string{"01:00:00", "02:00:00", "03:00:00", "04:00:00", "05:00:00", "06:00:00"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, t.TempDir())
				h.live(t, parse(t, "w", hourly(t, ", missed: all")))
				work(t, h.Set.Run)
				time.Sleep(90 * time.Minute)
				tt.change(t, h)
				time.Sleep(time.Until(time.Date(2000, 1, 1, 6, 30, 0, 0, time.UTC)))
				if diff := cmp.Diff(tt.want, h.ticks(t, "w")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestScheduleOverlap(t *testing.T) {
	for _, tt := range []struct {
		overlap string
		want    int
		lane    string
	}{
		{"queue", 3, "schedule/schedule"},
		{"skip", 1, ""},
		{"allow", 3, ""},
	} {
		t.Run(tt.overlap, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, t.TempDir())
				h.live(t, parse(t, "w", hourly(t, ", overlap: "+tt.overlap)))
				work(t, h.Set.Run)
				time.Sleep(200 * time.Minute) // nothing works on the runs
				page, err := h.store.List(t.Context(), engine.Query{Workflow: "w"})
				if err != nil {
					t.Fatal(err)
				}
				if len(page.Items) != tt.want {
					t.Errorf("%d runs, want %d", len(page.Items), tt.want)
				}
				for _, row := range page.Items {
					records, err := h.store.Read(t.Context(), row.ID, 0)
					if err != nil {
						t.Fatal(err)
					}
					if got := records[0].Head.Lane; got != tt.lane {
						t.Errorf("lane %q, want %q", got, tt.lane)
					}
				}
				if tt.overlap != "skip" {
					return
				}
				if err := h.engine.Cancel(t.Context(), page.Items[0].ID, "test"); err != nil {
					t.Fatal(err)
				}
				work(t, h.engine.Run)
				time.Sleep(time.Hour)
				if diff := cmp.Diff([]string{"01:00:00", "04:00:00"}, h.ticks(t, "w")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestScheduleWaitsWhileFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouseWith(t, t.TempDir(), bolt.Options{NoSync: true, MaxWorkflowRuns: 2})
		h.live(t, parse(t, "w", "triggers:\n  - schedule: {every: 1m, missed: none, overlap: allow}\nsteps:\n  - set: {a: 1}\n"))
		work(t, h.Set.Run)
		time.Sleep(10*time.Minute + time.Second)
		if n := len(h.ticks(t, "w")); n != 2 {
			t.Fatalf("%d runs, the bound is 2", n)
		}
		work(t, h.engine.Run)
		time.Sleep(5 * time.Minute)
		var want []string
		for minute := 1; minute <= 15; minute++ {
			want = append(want, fmt.Sprintf("00:%02d:00", minute))
		}
		got := h.ticks(t, "w")
		slices.Sort(got) // those accepted within one millisecond are listed in any order
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ticks were lost or doubled:\n%s", diff)
		}
	})
}

// A tick that was accepted before a crash, but whose state was not stored, is accepted again under the same key.
func TestScheduleTickFiresOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir())
		w := parse(t, "w", hourly(t, ""))
		h.live(t, w)
		stop := work(t, h.Set.Run)
		time.Sleep(30 * time.Minute)
		before, _, err := h.store.KV().Get(t.Context(), "schedule/w:schedule")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		stop()
		if _, err := h.store.Accept(context.Background(), engine.Batch{Puts: []engine.Put{{Key: "schedule/w:schedule", Value: before, AnyRev: true}}}); err != nil {
			t.Fatal(err)
		}
		h = h.restart()
		h.live(t, w)
		stop = work(t, h.Set.Run)
		time.Sleep(time.Minute)
		stop()
		if diff := cmp.Diff([]string{"01:00:00"}, h.ticks(t, "w")); diff != "" {
			t.Error(diff)
		}
	})
}

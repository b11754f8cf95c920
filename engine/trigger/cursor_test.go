package trigger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/trigger"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func (h *house) state(t testing.TB, workflow string) *trigger.PollState {
	t.Helper()
	state, err := h.State(context.Background(), workflow, "poll")
	if err != nil {
		t.Fatal(err)
	}
	return state.Poll
}

// keys returns what the poll remembers, page by page.
func (h *house) keys(t testing.TB, workflow, text string, limit int) (all []trigger.SeenKey) {
	t.Helper()
	for cursor := ""; ; {
		page, next, err := h.Keys(context.Background(), workflow, "poll", trigger.SeenQuery{Text: text, Cursor: cursor, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > limit {
			t.Fatalf("a page of %d, the limit is %d", len(page), limit)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		cursor = next
	}
}

func names(keys []trigger.SeenKey) (names []string) {
	for _, k := range keys {
		names = append(names, k.Key)
	}
	return names
}

func (h *house) rewind(t testing.TB, workflow string, how trigger.Rewind) *trigger.Rewound {
	t.Helper()
	out, err := h.Rewind(context.Background(), workflow, "poll", how)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPollShowsItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := newHouse(t, t.TempDir(), f.connector())
		f.items(item("old", 1))
		h.live(t, parse(t, "w", polling(", version: item.v")))
		work(t, h.Set.Run)
		time.Sleep(30 * time.Second)
		begun := time.Now()
		f.items(item("old", 1), item("Ähre", 7), item("b", 1))
		time.Sleep(time.Minute)
		f.items(item("old", 2))
		time.Sleep(time.Minute)
		got := h.keys(t, "w", "", 2)
		if diff := cmp.Diff([]string{"old"}, names(got[:1])); diff != "" || len(got) != 3 {
			t.Errorf("the latest change is not first: %v", names(got))
		}
		old := got[0]
		if !old.FirstSeen.Before(begun) || !old.Changed.After(begun) || old.Version != "2" || old.Run == "" {
			t.Errorf("an item that changed: %+v", old)
		}
		found := h.keys(t, "w", "äHR", 50)
		if len(found) != 1 || found[0].Key != "Ähre" || found[0].Version != "7" || !found[0].FirstSeen.Equal(found[0].Changed) {
			t.Fatalf("search: %+v", found)
		}
		id, err := engine.ParseRunID(found[0].Run)
		if err != nil {
			t.Fatal(err)
		}
		recs, err := h.store.Read(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := engine.DecodeEvent(recs[0].Data)
		if err != nil || cmp.Diff(map[string]any{"id": "Ähre", "v": 7}, ev.Fields["item"]) != "" {
			t.Errorf("its run is another one: %v %v", ev, err)
		}
		if _, _, err := h.Keys(t.Context(), "w", "poll", trigger.SeenQuery{Cursor: "x", Limit: 1}); err == nil {
			t.Error("a made-up cursor is taken")
		}
	})
}

func TestPollHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := newHouse(t, t.TempDir(), f.connector())
		var done atomic.Int32
		h.Polled(func(string, string, trigger.PollRecord) { done.Add(1) })
		f.items(item("a", nil))
		h.live(t, parse(t, "w", polling("")))
		work(t, h.Set.Run)
		time.Sleep(30 * time.Second)
		f.items(item("a", nil), item("b", nil), map[string]any{"name": "no key"})
		time.Sleep(time.Minute)
		f.set(func() (any, error) { return nil, errors.New("down") })
		time.Sleep(time.Minute)
		got := h.state(t, "w").Polls
		for i := range got {
			if got[i].At.IsZero() {
				t.Errorf("poll %d has no time", i)
			}
			got[i].At, got[i].MS = time.Time{}, 0
		}
		warning := "1 of 3 items were left out: item 2: its key (item.id) is empty, so it could not be told from others"
		want := []trigger.PollRecord{
			{Error: "down"},
			{Pages: 1, Fetched: 3, New: 1, Broken: 1, Started: 1, Warning: warning},
			{Pages: 1, Fetched: 1, New: 1, Baseline: true},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"b"}, h.found(t, "w")); diff != "" {
			t.Error(diff)
		}
		f.items(item("b", nil))
		time.Sleep(2 * time.Hour)
		if s := h.state(t, "w"); len(s.Polls) != 20 || s.Error != "" || s.Warning != "" || s.Polls[0].Error != "" {
			t.Errorf("after it mended: %d polls, error %q, warning %q", len(s.Polls), s.Error, s.Warning)
		}
		if done.Load() < 100 {
			t.Errorf("%d polls were announced", done.Load())
		}
	})
}

func TestPollNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := newHouse(t, t.TempDir(), f.connector())
		f.set(func() (any, error) { return nil, errors.New("down") })
		w := parse(t, "w", polling(", first: emit"))
		h.live(t, w)
		work(t, h.Set.Run)
		time.Sleep(10 * time.Minute) // it backs off
		f.items(item("a", nil), item("b", nil))
		begun := time.Now()
		r, err := h.PollNow(t.Context(), "w", "poll")
		if err != nil || r.Started != 2 || r.Fetched != 2 || !r.Asked || time.Since(begun) > time.Second {
			t.Errorf("%+v, %v after %s", r, err, time.Since(begun))
		}
		if s := h.state(t, "w"); s.Failures != 0 || s.NextPoll.Sub(begun) > time.Minute {
			t.Errorf("%d failures, the next poll in %s", s.Failures, s.NextPoll.Sub(begun))
		}
		off := *w
		off.Enabled = false
		h.live(t, &off)
		synctest.Wait()
		var input *engine.InputError
		if _, err := h.PollNow(t.Context(), "w", "poll"); !errors.As(err, &input) {
			t.Errorf("a disabled workflow polled: %v", err)
		}
		if _, err := h.PollNow(t.Context(), "w", "none"); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("no such trigger: %v", err)
		}
	})
}

func TestDryPollChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := newHouse(t, t.TempDir(), f.connector())
		f.items(item("a", 1))
		w := parse(t, "w", polling(", version: item.v"))
		h.live(t, w)
		stop := work(t, h.Set.Run)
		time.Sleep(30 * time.Second)
		before := h.state(t, "w")
		f.items(item("a", 2), item("b", 1), map[string]any{})
		dry := func() *trigger.DryPoll {
			t.Helper()
			d, err := h.DryPoll(t.Context(), "w", "poll")
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		want := &trigger.DryPoll{
			Message: "Would start 2 runs.", Fetched: 3, Pages: 1, New: 2, Broken: 1, WouldStart: 2,
			Warning: "1 of 3 items were left out: item 2: its key (item.id) is empty, so it could not be told from others",
			Items: []trigger.DryItem{
				{Key: "a", Version: "2", Why: "changed", Item: []byte(`{"id":"a","v":2}`)},
				{Key: "b", Version: "1", Why: "new", Item: []byte(`{"id":"b","v":1}`)},
			},
		}
		for range 2 {
			if diff := cmp.Diff(want, dry()); diff != "" {
				t.Error(diff)
			}
		}
		if diff := cmp.Diff(before, h.state(t, "w")); diff != "" {
			t.Errorf("a dry poll changed the state: %s", diff)
		}
		if found := h.found(t, "w"); found != nil {
			t.Errorf("a dry poll started %v", found)
		}
		f.set(func() (any, error) { return nil, errors.New("down") })
		if _, err := h.DryPoll(t.Context(), "w", "poll"); err == nil || !strings.Contains(err.Error(), "the poll failed: down") {
			t.Errorf("error %v", err)
		}
		// Also when it is off, and when it asks another question.
		off := *w
		off.Enabled = false
		h.live(t, &off)
		synctest.Wait()
		f.items(item("a", 2), item("b", 1))
		if d := dry(); d.WouldStart != 2 {
			t.Errorf("disabled: %+v", d)
		}
		stop()
		h.live(t, parse(t, "w", polling("")))
		if d := dry(); !d.Baseline || d.WouldStart != 0 || d.New != 2 {
			t.Errorf("another question: %+v", d)
		}
		if got := h.keys(t, "w", "", 50); len(got) != 1 {
			t.Errorf("it forgot what it has seen: %v", names(got))
		}
	})
}

func TestRewind(t *testing.T) {
	for _, tt := range []struct {
		name  string
		extra string
		how   func(second time.Time) trigger.Rewind
		want  trigger.Rewound
		again []string
	}{
		{
			"to a time", "", func(second time.Time) trigger.Rewind { return trigger.Rewind{To: second} },
			trigger.Rewound{Message: "Forgets 2 keys. The next poll may start 2 runs.", Keys: 2, MayRun: 2},
			[]string{"b", "c"},
		},
		{
			"to the beginning", "", func(second time.Time) trigger.Rewind { return trigger.Rewind{To: second.Add(-time.Hour)} },
			trigger.Rewound{Message: "Forgets 3 keys. The next poll may start 3 runs.", Keys: 3, MayRun: 3},
			[]string{"a", "b", "c"},
		},
		{
			"batch", ", emit: batch", func(second time.Time) trigger.Rewind { return trigger.Rewind{To: second} },
			trigger.Rewound{Message: "Forgets 2 keys. The next poll may start 1 run with up to 2 items.", Keys: 2, MayRun: 1},
			[]string{"b+c"},
		},
		{
			"to the end", "", func(second time.Time) trigger.Rewind {
				return trigger.Rewind{To: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
			},
			trigger.Rewound{Message: "Forgets nothing: no key was seen or changed at or after 2100-01-01T00:00:00Z."},
			nil,
		},
		{
			"one key", "", func(time.Time) trigger.Rewind { return trigger.Rewind{Forget: []string{"a", "x", "a"}} },
			trigger.Rewound{Message: "Forgets 1 key. The next poll may start 1 run.", Keys: 1, MayRun: 1, Unknown: []string{"x"}},
			[]string{"a"},
		},
		{
			"no key", "", func(time.Time) trigger.Rewind { return trigger.Rewind{Forget: []string{"x"}} },
			trigger.Rewound{Message: "Forgets nothing: none of these keys is remembered.", Unknown: []string{"x"}},
			nil,
		},
		{
			"all seen", "", func(time.Time) trigger.Rewind { return trigger.Rewind{AllSeen: true} },
			trigger.Rewound{Message: "Marks 1 item as seen. No run is started for them.", Keys: 1},
			nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &feed{}
				h := newHouse(t, t.TempDir(), f.connector())
				f.items(item("a", nil))
				w := parse(t, "w", polling(tt.extra))
				h.live(t, w)
				stop := work(t, h.Set.Run)
				time.Sleep(30 * time.Second)
				second := time.Now()
				f.items(item("a", nil), item("b", nil), item("c", nil))
				time.Sleep(time.Minute)
				first := len(h.found(t, "w"))
				how := tt.how(second)
				if how.AllSeen {
					f.items(item("a", nil), item("b", nil), item("c", nil), item("d", nil))
				}
				how.Dry = true
				want := tt.want
				want.Dry = true
				for range 2 {
					if diff := cmp.Diff(&want, h.rewind(t, "w", how)); diff != "" {
						t.Errorf("dry: %s", diff)
					}
				}
				how.Dry = false
				if diff := cmp.Diff(&tt.want, h.rewind(t, "w", how)); diff != "" {
					t.Error(diff)
				}
				stop() // it holds after a restart
				h = h.restart()
				h.live(t, w)
				work(t, h.Set.Run)
				time.Sleep(3 * time.Minute)
				if diff := cmp.Diff(tt.again, h.found(t, "w")[first:], cmp.Transformer("nil", func(s []string) string { return strings.Join(s, ",") })); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestRewindRefusesUnclearWishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := newHouse(t, t.TempDir(), f.connector())
		h.live(t, parse(t, "w", polling("")), parse(t, "hook", "triggers: [{webhook: {}}]\nsteps:\n  - set: {a: 1}\n"))
		var input *engine.InputError
		for _, how := range []trigger.Rewind{{}, {AllSeen: true, Forget: []string{"a"}}, {Forget: make([]string, 1001)}} {
			if _, err := h.Rewind(t.Context(), "w", "poll", how); !errors.As(err, &input) {
				t.Errorf("%+v: %v", how, err)
			}
		}
		if _, err := h.Rewind(t.Context(), "hook", "webhook", trigger.Rewind{AllSeen: true}); !errors.As(err, &input) {
			t.Errorf("a webhook has a cursor: %v", err)
		}
	})
}

// A poll that is under way and a change of its cursor do not meet.
func TestRewindWaitsForThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := newHouse(t, t.TempDir(), f.connector())
		h.live(t, parse(t, "w", polling("")))
		f.set(func() (any, error) { time.Sleep(20 * time.Second); return []any{item("a", nil)}, nil })
		work(t, h.Set.Run)
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Rewind(ctx, "w", "poll", trigger.Rewind{Forget: []string{"a"}}); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("within a second: %v", err)
		}
		if out := h.rewind(t, "w", trigger.Rewind{Forget: []string{"a"}}); out.Keys != 1 {
			t.Errorf("after the poll: %+v", out)
		}
	})
}

func TestCursorSurvivesRenaming(t *testing.T) {
	source := func(id string) string {
		return "triggers:\n  - id: " + id + "\n    poll: {every: 1m, use: feed.list, key: item.id}\nsteps:\n  - set: {a: 1}\n"
	}
	for _, tt := range []struct {
		name               string
		workflow, trigger  string
		down               time.Duration
		restart, keepsSeen bool
	}{
		{"a new version", "w", "poll", 0, false, true},
		{"the trigger", "w", "issues", 0, false, true},
		{"the file", "v", "poll", 0, false, true},
		{"the file, while the server is off", "v", "poll", time.Hour, true, true},
		{"another file with the same question, days later", "v", "poll", 48 * time.Hour, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &feed{}
				h := newHouse(t, t.TempDir(), f.connector())
				var many []any
				for i := range 1200 {
					many = append(many, item(i, nil))
				}
				f.items(many...)
				h.live(t, parse(t, "w", source("poll")))
				stop := work(t, h.Set.Run)
				time.Sleep(30 * time.Second)
				f.items(append(many, item("new", nil))...)
				if tt.restart {
					stop()
					time.Sleep(tt.down)
					h = h.restart()
				}
				h.live(t, parse(t, tt.workflow, source(tt.trigger)+"  - set: {b: 1}\n"))
				if tt.restart {
					work(t, h.Set.Run)
				}
				time.Sleep(2 * time.Minute)
				want := []string{"new"}
				if !tt.keepsSeen {
					want = nil // the first poll starts nothing
				}
				if diff := cmp.Diff(want, h.found(t, tt.workflow)); diff != "" {
					t.Error(diff)
				}
				state, err := h.State(t.Context(), tt.workflow, tt.trigger)
				if err != nil || state.Poll.Seen != 1201 {
					t.Errorf("%+v, %v", state.Poll, err)
				}
			})
		})
	}
}

// A copy of a workflow has a cursor of its own.
func TestCopyBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := newHouse(t, t.TempDir(), f.connector())
		f.items(item("a", nil))
		w := parse(t, "w", polling(""))
		h.live(t, w)
		work(t, h.Set.Run)
		time.Sleep(30 * time.Second)
		f.items(item("a", nil), item("b", nil))
		h.live(t, w, parse(t, "w2", polling("")))
		time.Sleep(2 * time.Minute)
		f.items(item("c", nil))
		time.Sleep(2 * time.Minute)
		if diff := cmp.Diff([]string{"b", "c"}, h.found(t, "w")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"c"}, h.found(t, "w2")); diff != "" {
			t.Error(diff)
		}
	})
}

// A poll that a connector defines has a cursor like any other, and what it calls its place goes back with it.
func TestConnectorPollHasACursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var entries []connectors.Item
		begun := time.Now()
		add := func(key string) {
			mu.Lock()
			defer mu.Unlock()
			entries = append(entries, connectors.Item{Key: key, Version: time.Now().UTC().Format(time.RFC3339Nano), Body: map[string]any{"id": key}})
		}
		log := &connectors.Connector{ID: "log", Title: "Log", Version: "1.0.0", Triggers: []connectors.Trigger{{
			Name: "entry", Title: "Entry", Poll: &connectors.Poll{Every: time.Minute, Emit: "each", First: "baseline",
				Fetch: func(_ context.Context, _ *connectors.Call, place any, _ time.Time) ([]connectors.Item, any, error) {
					mu.Lock()
					defer mu.Unlock()
					after, _ := place.(string)
					var found []connectors.Item
					for _, e := range entries {
						if e.Version >= after {
							found = append(found, connectors.Item{Key: e.Key, Body: e.Body})
						}
					}
					return found, time.Now().UTC().Format(time.RFC3339Nano), nil
				}},
		}}}
		h := newHouse(t, t.TempDir(), log)
		const source = "triggers:\n  - {id: poll, use: log.entry}\nsteps:\n  - set: {a: 1}\n"
		w := parse(t, "w", source)
		h.live(t, w)
		if s := h.state(t, "w"); s.Begun || s.Every != "1m0s" || s.First != "baseline" || s.Emit != "each" || s.Place != nil {
			t.Errorf("before the first poll: %+v", s)
		}
		add("a")
		work(t, h.Set.Run)
		time.Sleep(30 * time.Second)
		add("b")
		dry, err := h.DryPoll(t.Context(), "w", "poll")
		if err != nil || dry.Message != "Would start 1 run." {
			t.Errorf("dry: %+v, %v", dry, err)
		}
		time.Sleep(time.Minute)
		h.live(t, w, parse(t, "copy", source)) // it takes nothing away from the one that it is a copy of
		time.Sleep(2 * time.Minute)
		if s := h.state(t, "w"); !s.Begun || s.Seen != 2 || len(s.Place) == 0 {
			t.Errorf("after two polls: %+v", s)
		}
		if s := h.state(t, "copy"); s.Started != 0 || !s.Polls[len(s.Polls)-1].Baseline {
			t.Errorf("a copy goes on where the other one stood: %+v", s)
		}
		runs := func() (found []any) {
			for _, ev := range h.events(t, "w") {
				found = append(found, ev.Fields["body"].(map[string]any)["id"])
			}
			return found
		}
		if diff := cmp.Diff([]any{"b"}, runs()); diff != "" {
			t.Error(diff)
		}
		if out := h.rewind(t, "w", trigger.Rewind{To: begun}); out.Keys != 2 || out.Stays {
			t.Errorf("rewind: %+v", out)
		}
		time.Sleep(2 * time.Minute)
		if diff := cmp.Diff([]any{"b", "a", "b"}, runs()); diff != "" {
			t.Error(diff)
		}
	})
}

// A poll of http.request follows pages, within bounds.
func TestPollFollowsPages(t *testing.T) {
	link := func(r *http.Request, page int) string {
		return fmt.Sprintf(`<http://%s/?page=1>; rel="first", <http://%s/items?page=%d>; title="a, b"; rel="next last"`, r.Host, r.Host, page+1)
	}
	for _, tt := range []struct {
		name, next string
		answer     func(r *http.Request, page int) (header, next string)
		pages      int // that there are
		want       trigger.PollRecord
	}{
		{"one page", "output.body.next", nil, 1, trigger.PollRecord{Pages: 1, Fetched: 2, New: 2, Started: 2}},
		{"a relative address", "output.body.next", func(_ *http.Request, page int) (string, string) { return "", fmt.Sprintf("/items?page=%d", page+1) }, 3, trigger.PollRecord{Pages: 3, Fetched: 6, New: 6, Started: 6}},
		{"a Link header", "output.headers.link", func(r *http.Request, page int) (string, string) { return link(r, page), "" }, 3, trigger.PollRecord{Pages: 3, Fetched: 6, New: 6, Started: 6}},
		{"too many", "output.body.next", func(_ *http.Request, page int) (string, string) { return "", fmt.Sprintf("/items?page=%d", page+1) }, 60, trigger.PollRecord{Pages: 50, Fetched: 100, New: 100, Started: 100, Warning: "the first 50 pages were read, more remain: ask for larger pages or for fewer items"}},
		{"a circle", "output.body.next", func(*http.Request, int) (string, string) { return "", "/items?page=1" }, 9, trigger.PollRecord{Error: "next: page 2 leads back to"}},
		{"another host", "output.body.next", func(*http.Request, int) (string, string) { return "", "http://example.com/" }, 9, trigger.PollRecord{Error: "next: the next page is at http://example.com, another place than"}},
		{"no address", "output.body.items", nil, 1, trigger.PollRecord{Error: "next: output.body.items is a list, not the address of the next page"}},
		{"a page that fails", "output.body.next", func(_ *http.Request, page int) (string, string) { return "", "/gone" }, 9, trigger.PollRecord{Error: "page 2: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var polled atomic.Pointer[trigger.PollRecord]
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/gone" {
					http.NotFound(w, r)
					return
				}
				page := 1
				fmt.Sscan(r.URL.Query().Get("page"), &page)
				next := ""
				if tt.answer != nil && page < tt.pages {
					var header string
					header, next = tt.answer(r, page)
					w.Header().Set("Link", header)
				}
				w.Header().Set("ETag", `"same"`)
				w.Header().Set("Content-Type", "application/json")
				if r.Header.Get("If-None-Match") != "" {
					t.Error("a poll of several pages asks for changes of the first one only")
				}
				body := fmt.Sprintf(`{"items": [{"id": "%d-a"}, {"id": "%d-b"}], "next": %q}`, page, page, next)
				io.WriteString(w, body)
			}))
			t.Cleanup(srv.Close)
			h := newHouse(t, t.TempDir())
			h.Polled(func(_, _ string, r trigger.PollRecord) { polled.CompareAndSwap(nil, &r) })
			h.live(t, parse(t, "w", fmt.Sprintf("triggers:\n  - poll: {every: 1h, use: http.request, with: {url: %q, query: {page: 1}}, items: output.body.items, next: %s, key: item.id, first: emit}\nsteps:\n  - set: {a: 1}\n", srv.URL+"/items", tt.next)))
			work(t, h.Set.Run)
			await(t, "poll", func() bool { return polled.Load() != nil })
			got := *polled.Load()
			got.At, got.MS = time.Time{}, 0
			if tt.want.Error != "" && strings.Contains(got.Error, tt.want.Error) {
				got.Error = tt.want.Error
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// After a rewind the whole answer is asked for again: a 304 would hide what is to be found.
func TestRewindForgetsValidators(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `[{"id": "a"}]`)
	}))
	t.Cleanup(srv.Close)
	h := newHouse(t, t.TempDir())
	h.live(t, parse(t, "w", fmt.Sprintf("triggers:\n  - poll: {every: 1h, use: http.request, with: {url: %q}, items: output.body, key: item.id}\nsteps:\n  - set: {a: 1}\n", srv.URL)))
	work(t, h.Set.Run)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	await(t, "baseline", func() bool { return h.state(t, "w").Seen == 1 })
	if r, err := h.PollNow(ctx, "w", "poll"); err != nil || !r.Unchanged {
		t.Fatalf("%+v, %v", r, err)
	}
	if d, err := h.DryPoll(ctx, "w", "poll"); err != nil || d.Fetched != 1 || d.New != 0 {
		t.Errorf("a dry poll shows what is there: %+v, %v", d, err)
	}
	h.rewind(t, "w", trigger.Rewind{Forget: []string{"a"}})
	if r, err := h.PollNow(ctx, "w", "poll"); err != nil || r.Unchanged || r.Started != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func BenchmarkKeysOf100000(b *testing.B) {
	h := newHouse(b, b.TempDir(), (&feed{}).connector())
	h.live(b, parse(b, "w", polling("")))
	if err := trigger.FillSeen(b.Context(), h.Set, "w", "poll", 100_000); err != nil {
		b.Fatal(err)
	}
	for name, q := range map[string]trigger.SeenQuery{"first": {Limit: 50}, "search": {Limit: 50, Text: "99999"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if page, _, err := h.Keys(b.Context(), "w", "poll", q); err != nil || len(page) == 0 {
					b.Fatal(len(page), err)
				}
			}
		})
	}
}

// TestFetchRemembersNothing asks for a poll that is not published, while another text of it is.
func TestFetchRemembersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := newHouse(t, t.TempDir(), f.connector())
		f.items(item("a", 1))
		h.live(t, parse(t, "w", polling("")))
		stop := work(t, h.Set.Run)
		time.Sleep(30 * time.Second)
		stop()
		before := h.state(t, "w")
		f.items(item("a", 1), item("b", 1), item("b", 2))
		for _, w := range []*workflow.Workflow{parse(t, "w", polling(", version: item.v")), parse(t, "new", polling(""))} {
			got, err := h.Fetch(t.Context(), w, "poll")
			if err != nil || len(got.Items) != 3 || got.Keys != 2 || got.Problem != "" {
				t.Errorf("%s: %+v, %v", w.ID, got, err)
			}
		}
		f.set(func() (any, error) { return map[string]any{"list": []any{}}, nil })
		if got, err := h.Fetch(t.Context(), parse(t, "new", polling("")), "poll"); err != nil || got.Output == nil || !strings.Contains(got.Problem, "say where the list is") {
			t.Errorf("no list: %+v, %v", got, err)
		}
		f.set(func() (any, error) { return nil, errors.New("down") })
		if _, err := h.Fetch(t.Context(), parse(t, "new", polling("")), "poll"); err == nil || !strings.Contains(err.Error(), "the poll failed: down") {
			t.Errorf("error %v", err)
		}
		if diff := cmp.Diff(before, h.state(t, "w")); diff != "" {
			t.Errorf("it changed the state: %s", diff)
		}
		if found := h.found(t, "w"); found != nil {
			t.Errorf("it started %v", found)
		}
	})
}

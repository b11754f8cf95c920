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
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// feed is a system outside whose list changes. It stands in for the network, which a bubble's clock does not wait for.
type feed struct {
	mu     sync.Mutex
	answer func() (any, error)
	calls  []time.Time
}

func (f *feed) set(answer func() (any, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *feed) items(items ...any) {
	f.set(func() (any, error) { return items, nil })
}

func (f *feed) called() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.calls...)
}

func (f *feed) connector() *connectors.Connector {
	do := func(context.Context, *connectors.Call) (any, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls = append(f.calls, time.Now())
		return f.answer()
	}
	return &connectors.Connector{ID: "feed", Title: "Feed", Version: "1.0.0", Actions: []connectors.Action{
		{Name: "list", Title: "List", Safe: true, Do: do},
		{Name: "change", Title: "Change", Do: do},
	}}
}

func item(id, version any) map[string]any { return map[string]any{"id": id, "v": version} }

func polling(extra string) string {
	return "triggers:\n  - poll: {every: 1m, use: feed.list, key: item.id" + extra + "}\nsteps:\n  - set: {a: 1}\n"
}

// found returns what the runs of a workflow were started for, as id or id@v, oldest first.
func (h *house) found(t testing.TB, workflow string) []string {
	t.Helper()
	var found []string
	name := func(v any) string {
		m, _ := v.(map[string]any)
		if m["v"] != nil {
			return fmt.Sprintf("%v@%v", m["id"], m["v"])
		}
		return fmt.Sprint(m["id"])
	}
	for _, ev := range h.events(t, workflow) {
		if list, ok := ev.Fields["items"].([]any); ok {
			var names []string
			for _, v := range list {
				names = append(names, name(v))
			}
			found = append(found, strings.Join(names, "+"))
			continue
		}
		found = append(found, name(ev.Fields["item"]))
	}
	return found
}

func (h *house) pollState(t testing.TB, workflow string) (seen, started, failures int, reason string) {
	t.Helper()
	state, err := h.State(context.Background(), workflow, "poll")
	if err != nil {
		t.Fatal(err)
	}
	return state.Poll.Seen, state.Poll.Started, state.Poll.Failures, state.Poll.Error
}

func TestPoll(t *testing.T) {
	for _, tt := range []struct {
		name, extra string
		polls       [][]any
		want        []string
	}{
		{"baseline", "", [][]any{{item("a", nil)}, {item("b", nil), item("a", nil)}, {item("b", nil)}, {item("a", nil), item("c", nil)}}, []string{"b", "c"}},
		{"emit", ", first: emit", [][]any{{item("a", nil), item("b", nil)}, {item("b", nil), item("c", nil)}}, []string{"a", "b", "c"}},
		{"empty baseline", "", [][]any{{}, {item("a", nil)}}, []string{"a"}},
		{"numbers as keys", "", [][]any{{item(1, nil)}, {item(1, nil), item(2, nil)}}, []string{"2"}},
		{"a change without version", "", [][]any{{item("a", 1)}, {item("a", 2)}}, nil},
		{"a version changes", ", version: item.v", [][]any{{item("a", 1)}, {item("a", 2)}, {item("a", 2)}}, []string{"a@2"}},
		{"a version changes back", ", version: item.v", [][]any{{item("a", 1)}, {item("a", 2)}, {item("a", 1)}, {item("a", 2)}}, []string{"a@2", "a@1", "a@2"}},
		{"twice in one answer", "", [][]any{{}, {item("a", 1), item("a", 2)}}, []string{"a@1"}},
		{"twice in one batch", ", emit: batch", [][]any{{}, {item("a", 1), item("a", 2), item("b", 1)}}, []string{"a@1+b@1"}},
		{"batch", ", emit: batch", [][]any{{item("a", nil)}, {item("b", nil), item("c", nil)}, {item("c", nil)}}, []string{"b+c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &feed{}
				h := newHouse(t, t.TempDir(), f.connector())
				w := parse(t, "w", polling(tt.extra))
				f.items(tt.polls[0]...)
				h.live(t, w)
				stop := work(t, h.Set.Run)
				for i, items := range tt.polls {
					f.items(items...)
					time.Sleep(time.Minute)
					if i == 1 { // nothing depends on the memory of the process
						stop()
						h = h.restart()
						h.live(t, w)
						stop = work(t, h.Set.Run)
					}
				}
				time.Sleep(5 * time.Minute)
				stop()
				if diff := cmp.Diff(tt.want, h.found(t, "w")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestPollErrors(t *testing.T) {
	for _, tt := range []struct {
		name, source string
		answer       any
		want         string
	}{
		{"no list", polling(""), map[string]any{"body": []any{}}, "the output of the action is an object, not a list: say where the list is"},
		{"missing items", polling(", items: output.things"), map[string]any{}, "items: output.things is missing"},
		{"items is text", polling(", items: output.x"), map[string]any{"x": "a"}, "items: output.x is text, not a list"},
		{"no key at all", polling(""), []any{map[string]any{}, map[string]any{"id": ""}}, "none of the 2 items can be told from others: item 0: its key (item.id) is empty"},
		{"too many", polling(""), make([]any, 10_001), "10001 items, at most 10000"},
		{"does more than read", "triggers:\n  - poll: {every: 1m, use: feed.change, key: item.id}\nsteps:\n  - set: {a: 1}\n", []any{}, "more than read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &feed{}
				f.set(func() (any, error) { return tt.answer, nil })
				h := newHouse(t, t.TempDir(), f.connector())
				h.live(t, parse(t, "w", tt.source))
				stop := work(t, h.Set.Run)
				time.Sleep(30 * time.Second)
				stop()
				if _, _, failures, reason := h.pollState(t, "w"); failures != 1 || !strings.Contains(reason, tt.want) {
					t.Errorf("%d failures, error %q, want %q", failures, reason, tt.want)
				}
				if found := h.found(t, "w"); found != nil {
					t.Errorf("a poll that failed started %v", found)
				}
			})
		})
	}
}

func TestPollBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		f.set(func() (any, error) { return nil, errors.New("the feed is down") })
		h := newHouse(t, t.TempDir(), f.connector())
		if err := h.engine.Alert(t.Context(), parse(t, "alerts", "triggers: [{webhook: {}}]\nsteps: [{set: {a: 1}}]\n")); err != nil {
			t.Fatal(err)
		}
		h.live(t, parse(t, "w", polling(", first: emit")))
		work(t, h.Set.Run)
		time.Sleep(5 * time.Hour)
		calls := f.called()
		for i := 1; i < len(calls); i++ {
			wait := calls[i].Sub(calls[i-1])
			grown := min(time.Hour, time.Minute<<(i-1))
			if wait < time.Minute || wait < grown/2 || wait > grown+time.Second {
				t.Errorf("wait %d is %s, want %s to %s", i, wait, grown/2, grown)
			}
		}
		if page, err := h.store.List(t.Context(), engine.Query{Workflow: engine.AlertsID}); err != nil || len(page.Items) != 1 {
			t.Errorf("%d alerts after %d failures in a row, want 1: %v", len(page.Items), len(calls), err)
		}
		if n := len(calls); n < 8 || n > 15 { // where every wait is the shortest
			t.Errorf("%d calls in 5 hours", n)
		}
		if _, _, failures, reason := h.pollState(t, "w"); failures != len(calls) || reason != "the feed is down" {
			t.Errorf("%d failures, error %q", failures, reason)
		}
		f.items(item("a", nil))
		time.Sleep(time.Hour + time.Minute)
		if _, started, failures, reason := h.pollState(t, "w"); started != 1 || failures != 0 || reason != "" {
			t.Errorf("after a success: %d started, %d failures, error %q", started, failures, reason)
		}
	})
}

func TestPollObeysRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		f.set(func() (any, error) { return nil, connectors.RetryAfter(errors.New("too fast"), 3*time.Hour) })
		h := newHouse(t, t.TempDir(), f.connector())
		h.live(t, parse(t, "w", polling("")))
		stop := work(t, h.Set.Run)
		time.Sleep(time.Hour)
		stop() // the wait survives a restart
		h = h.restart()
		h.live(t, h.engine.Workflow("w"))
		work(t, h.Set.Run)
		time.Sleep(90 * time.Minute)
		if n := len(f.called()); n != 1 {
			t.Errorf("%d calls, one was allowed", n)
		}
		time.Sleep(time.Hour)
		if n := len(f.called()); n != 2 {
			t.Errorf("%d calls after the wait, want 2", n)
		}
	})
}

func TestPollAnotherQuestionBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		f.items(item("a", 1))
		h := newHouse(t, t.TempDir(), f.connector())
		h.live(t, parse(t, "w", polling("")))
		work(t, h.Set.Run)
		time.Sleep(90 * time.Second)
		h.live(t, parse(t, "w", polling(", version: item.v"))) // "a" has another version than none, and is not new
		if s := h.state(t, "w"); s.Begun || s.Seen != 0 || len(s.Polls) != 2 {
			t.Errorf("another question, not asked yet: %+v", s)
		}
		time.Sleep(90 * time.Second)
		f.items(item("a", 2))
		time.Sleep(90 * time.Second)
		if diff := cmp.Diff([]string{"a@2"}, h.found(t, "w")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPollWaitsWhileFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		var all []any
		var want []string
		for i := range 500 {
			all = append(all, item(i, nil))
			want = append(want, fmt.Sprint(i))
		}
		f.items(all...)
		h := newHouseWith(t, t.TempDir(), bolt.Options{NoSync: true, MaxWorkflowRuns: 250}, f.connector())
		h.live(t, parse(t, "w", polling(", first: emit")))
		work(t, h.Set.Run)
		time.Sleep(10 * time.Minute)
		if n := len(h.found(t, "w")); n != 200 {
			t.Fatalf("%d runs, want one write of 200", n)
		}
		work(t, h.engine.Run)
		time.Sleep(10 * time.Minute)
		got := map[string]int{}
		for _, id := range h.found(t, "w") {
			got[id]++
		}
		for _, id := range want {
			if got[id] != 1 {
				t.Errorf("item %s started %d runs", id, got[id])
			}
		}
	})
}

func TestPollRemembersManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		var items []any
		for i := range 2500 {
			items = append(items, item(i, nil))
		}
		f.items(items...)
		h := newHouse(t, t.TempDir(), f.connector())
		w := parse(t, "w", polling(""))
		h.live(t, w)
		stop := work(t, h.Set.Run)
		time.Sleep(30 * time.Second)
		stop()
		f.items(append(items, item("new", nil))...)
		h = h.restart()
		h.live(t, w)
		work(t, h.Set.Run)
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"new"}, h.found(t, "w")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPollForgetsTheOldest(t *testing.T) {
	if testing.Short() {
		t.Skip("remembers 110,000 keys")
	}
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		h := newHouse(t, t.TempDir(), f.connector())
		h.live(t, parse(t, "w", polling("")))
		n := 0
		f.set(func() (any, error) {
			items := make([]any, 10_000)
			for i := range items {
				items[i] = item(n*10_000+i, nil)
			}
			n++
			return items, nil
		})
		h.live(t, parse(t, "w", polling(", emit: batch")))
		work(t, h.Set.Run)
		time.Sleep(12 * time.Minute)
		if seen, _, _, reason := h.pollState(t, "w"); seen != 100_000 || reason != "" {
			t.Errorf("%d keys, error %q", seen, reason)
		}
	})
}

// A poll of http.request asks for changes only, by itself.
func TestPollSendsValidators(t *testing.T) {
	var full, unchanged atomic.Int32
	items := atomic.Pointer[string]{}
	set := func(s string) { items.Store(&s) }
	set(`[{"id": "a"}]`)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := *items.Load()
		tag := fmt.Sprintf("%q", fmt.Sprint(len(body)))
		if r.Header.Get("If-None-Match") == tag {
			unchanged.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		full.Add(1)
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	h := newHouse(t, t.TempDir())
	h.live(t, parse(t, "w", fmt.Sprintf("triggers:\n  - poll: {every: 1s, use: http.request, with: {url: %q}, items: output.body, key: item.id}\nsteps:\n  - set: {a: 1}\n", srv.URL)))
	stop := work(t, h.Set.Run)
	await(t, "two answers of 304", func() bool { return unchanged.Load() >= 2 })
	set(`[{"id": "a"}, {"id": "b"}]`)
	await(t, "a run", func() bool { return len(h.found(t, "w")) > 0 })
	await(t, "304 again", func() bool {
		polls := h.state(t, "w").Polls
		return unchanged.Load() >= 3 && len(polls) > 0 && polls[0].Unchanged
	})
	stop()
	if full.Load() != 2 {
		t.Errorf("%d full answers, want 2", full.Load())
	}
	if diff := cmp.Diff([]string{"b"}, h.found(t, "w")); diff != "" {
		t.Error(diff)
	}
	if _, _, failures, reason := h.pollState(t, "w"); failures != 0 {
		t.Errorf("a 304 counts as a failure: %s", reason)
	}
	if s := h.state(t, "w"); !s.Conditional || !s.Polls[0].Unchanged {
		t.Errorf("that the other side tells of changes is not said: %+v", s)
	}
}

// await looks until ok, for a long time: it fails only where nothing comes at all.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within a minute", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

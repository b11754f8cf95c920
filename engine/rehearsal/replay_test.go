package rehearsal_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/catalog"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const orders = `
triggers: [{id: order, webhook: {}}]
steps:
  - filter: trigger.body.total >= 100
  - id: order
    set: {customer: "${{ upper(trigger.body.name) }}", at: "${{ now() }}", id: "${{ uuid() }}"}
  - id: find
    use: http.request
    with: {url: "https://crm.example.com/customers", query: {name: "${{ steps.order.customer }}"}}
  - id: tell
    use: http.request
    with: {method: POST, url: "https://chat.example.com/m", json: {text: "${{ steps.order.customer }} ${{ steps.find.body.city }} ${{ steps.order.at }}"}}
    retry: {attempts: 2, initial: 1h, max: 1h}
`

func read(t testing.TB, src string) *workflow.Workflow {
	t.Helper()
	w, problems := workflow.Parse("workflows/w.yaml", []byte(src))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	w.ID, w.Version = "w", engine.VersionOf([]byte(src))
	return w
}

// ran is a finished run of w with this body; calls are answered by answer.
func ran(t testing.TB, w *workflow.Workflow, body map[string]any, answer func(c engine.SimulatedCall) (any, error)) rehearsal.Past {
	t.Helper()
	return ranEvent(t, w, map[string]any{"body": body}, answer)
}

// ranEvent is ran for any event.
func ranEvent(t testing.TB, w *workflow.Workflow, event map[string]any, answer func(c engine.SimulatedCall) (any, error)) rehearsal.Past {
	t.Helper()
	ev, err := rehearsal.NewEvent(w, event)
	if err != nil {
		t.Fatal(err)
	}
	out, err := engine.Simulation{
		Workflow: w, Event: ev, Connectors: catalog.Registry(), Now: time.Date(2026, 3, 1, 9, 0, 0, 123456789, time.UTC),
		Invoke: func(_ context.Context, c engine.SimulatedCall) (any, error) { return answer(c) },
	}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rehearsal.Past{ID: out.ID, Journal: out.Records}
}

func crm(c engine.SimulatedCall) (any, error) {
	if c.Step.ID == "find" || c.Step.ID == "lookup" {
		return map[string]any{"status": 200, "body": map[string]any{"city": "London"}}, nil
	}
	return map[string]any{"status": 200, "body": map[string]any{"ok": true}}, nil
}

func down(c engine.SimulatedCall) (any, error) {
	if c.Step.ID == "tell" {
		return nil, &connectors.StatusError{Status: 503, Message: "chat.example.com answered 503"}
	}
	return crm(c)
}

func replay(t testing.TB, old, draft *workflow.Workflow, past rehearsal.Past, change func(*rehearsal.Replay)) rehearsal.Replayed {
	t.Helper()
	r := rehearsal.Replay{
		Draft: draft, Connectors: catalog.Registry(),
		Version: func(_ context.Context, id, version string) (*workflow.Workflow, error) {
			if id != old.ID || version != old.Version {
				return nil, engine.ErrNotFound
			}
			return old, nil
		},
	}
	if change != nil {
		change(&r)
	}
	out, err := r.Event(t.Context(), past)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReplay(t *testing.T) {
	ada := map[string]any{"total": 129, "name": "Ada"}
	small := map[string]any{"total": 40, "name": "Bob"}
	for _, tt := range []struct {
		name    string
		body    map[string]any
		answer  func(engine.SimulatedCall) (any, error)
		draft   func(src string) string
		outcome string
		step    string
		change  string
		then    string
		now     string
		guessed string
	}{
		{"the same version", ada, crm, func(s string) string { return s }, "same", "", "", "succeeded", "succeeded", ""},
		{"a comment", ada, crm, func(s string) string { return s + "# end\n" }, "same", "", "", "succeeded", "succeeded", ""},
		{"a stricter filter", ada, crm, change(">= 100", ">= 200"), "now_filtered", "1", "status", "succeeded", "filtered", ""},
		{"a looser filter", small, crm, change(">= 100", ">= 20"), "now_passes", "1", "status", "filtered", "succeeded", "find tell"},
		{"another text", ada, crm, change(`upper(trigger.body.name)`, `trigger.body.name`), "different", "find", "input", "succeeded", "succeeded", "find tell"},
		{"another input of the last step", ada, crm, change("/m", "/n"), "different", "tell", "input", "succeeded", "succeeded", "tell"},
		{"a renamed step", ada, crm, func(s string) string {
			return strings.ReplaceAll(strings.ReplaceAll(s, "id: find", "id: lookup"), "steps.find", "steps.lookup")
		}, "different", "lookup", "new", "succeeded", "succeeded", ""},
		{"a renamed trigger", ada, crm, change("id: order, webhook", "id: hook, webhook"), "same", "", "", "succeeded", "succeeded", ""},
		{"a failed call fails again", ada, down, func(s string) string { return s + "# end\n" }, "same", "", "", "failed", "failed", ""},
		{"a failed call is dealt with", ada, down, func(s string) string { return s + "    on_error: continue\n" }, "now_passes", "", "", "failed", "succeeded", ""},
		{"a new failure", ada, crm, change("steps.order.at }}", "round(trigger.body.nothing) }}"), "now_fails", "tell", "input", "succeeded", "failed", ""},
		{"no trigger", ada, crm, change("[{id: order, webhook: {}}]", "[{schedule: {every: 1h}}]"), "error", "", "", "succeeded", "", ""},
		{"an answer", ada, crm, func(s string) string { return s + "  - respond: {body: hello}\n" }, "different", "5", "new", "succeeded", "succeeded", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := read(t, orders)
			got := replay(t, old, read(t, tt.draft(orders)), ran(t, old, tt.body, tt.answer), nil)
			step := got.Step
			if tt.step == "1" || tt.step == "5" { // steps without an id get one by their place
				step, tt.step = "", ""
			}
			want := []string{tt.outcome, tt.step, tt.change, tt.then, tt.now, tt.guessed}
			if diff := cmp.Diff(want, []string{got.Outcome, step, got.Change, got.Then.Status, got.Now.Status, strings.Join(got.Guessed, " ")}); diff != "" {
				t.Errorf("%s\n%+v", diff, got)
			}
		})
	}
}

func change(old, new string) func(string) string {
	return func(s string) string {
		if !strings.Contains(s, old) {
			panic(old)
		}
		return strings.Replace(s, old, new, 1)
	}
}

// Without the version that ran, what it recorded is compared.
func TestReplayWithoutTheOldVersion(t *testing.T) {
	old := read(t, strings.ReplaceAll(orders, "${{ steps.order.at }}", ""))
	past := ran(t, old, map[string]any{"total": 129, "name": "Ada"}, crm)
	gone := func(r *rehearsal.Replay) {
		r.Version = func(context.Context, string, string) (*workflow.Workflow, error) { return nil, engine.ErrNotFound }
	}
	if got := replay(t, old, old, past, gone); got.Outcome != "same" || got.Guessed != nil {
		t.Errorf("the same steps: %+v", got)
	}
	if got := replay(t, old, read(t, strings.ReplaceAll(string(old.Source), "/m", "/n")), past, gone); got.Outcome != "different" || got.Step != "tell" {
		t.Errorf("another input: %+v", got)
	}
}

func TestReplayOfAKeptDelivery(t *testing.T) {
	w := read(t, orders)
	ev, err := rehearsal.NewEvent(w, map[string]any{"body": map[string]any{"total": 40}})
	if err != nil {
		t.Fatal(err)
	}
	ev.Workflow = "w"
	past := rehearsal.Past{ID: engine.NewRunID(time.Now(), &engine.Head{}), Event: &ev}
	got := replay(t, w, w, past, nil)
	if got.Outcome != "now_filtered" || got.Then.Status != "kept" {
		t.Errorf("%+v", got)
	}
}

func TestReplaySendsNothing(t *testing.T) {
	old, calls := read(t, orders), 0
	past := ran(t, old, map[string]any{"total": 129, "name": "Ada"}, crm)
	draft := read(t, strings.Replace(strings.Replace(orders, "/customers", "/people", 1), "/m", "/n", 1))
	got := replay(t, old, draft, past, func(r *rehearsal.Replay) {
		r.Read = func(_ context.Context, w *workflow.Workflow, c engine.SimulatedCall) (any, error) {
			calls++
			if c.Input["method"] == http.MethodPost || w != draft {
				t.Errorf("asked to read %v", c.Input)
			}
			return map[string]any{"body": map[string]any{"city": "Paris"}}, nil
		}
	})
	if calls != 1 || strings.Join(got.Guessed, " ") != "tell" || !strings.Contains(string(got.Steps[1].Now), "ADA Paris") {
		t.Errorf("%d reads: %+v", calls, got)
	}
}

func TestReplayIsBounded(t *testing.T) {
	old := read(t, orders)
	past := ran(t, old, map[string]any{"total": 129, "name": "Ada"}, crm)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := rehearsal.Replay{Draft: old, Connectors: catalog.Registry(), Version: func(ctx context.Context, _, _ string) (*workflow.Workflow, error) { return nil, ctx.Err() }}.Event(ctx, past)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	live := past
	live.Journal = past.Journal[:len(past.Journal)-1]
	if got := replay(t, old, old, live, nil); got.Outcome != "error" || got.Error != "the run has not ended" {
		t.Errorf("a live run: %+v", got)
	}
}

func TestTotals(t *testing.T) {
	var events []rehearsal.Replayed
	add := func(n int, r rehearsal.Replayed) {
		for range n {
			events = append(events, r)
		}
	}
	add(38, rehearsal.Replayed{Outcome: rehearsal.Same})
	add(12, rehearsal.Replayed{Outcome: rehearsal.NowFiltered, Step: "big"})
	add(2, rehearsal.Replayed{Outcome: rehearsal.Different, Step: "b", Change: "output"})
	add(3, rehearsal.Replayed{Outcome: rehearsal.Different, Step: "tell", Change: "input"})
	var got []string
	for _, total := range rehearsal.Totals(events) {
		got = append(got, fmt.Sprintf("%d %s", total.Count, total.Text))
	}
	want := []string{"12 now filtered", "3 different input to step tell", "2 different result of step b", "38 same"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkReplayOf50(b *testing.B) {
	old := read(b, orders)
	var past []rehearsal.Past
	for i := range 50 {
		past = append(past, ran(b, old, map[string]any{"total": 80 + i, "name": fmt.Sprint("Ada ", i)}, crm))
	}
	draft := read(b, strings.Replace(orders, ">= 100", ">= 110", 1))
	for b.Loop() {
		var events []rehearsal.Replayed
		for _, p := range past {
			events = append(events, replay(b, old, draft, p, nil))
		}
		if totals := rehearsal.Totals(events); len(totals) != 2 {
			b.Fatalf("%+v", totals)
		}
	}
}

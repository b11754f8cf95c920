package rehearsal_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/catalog"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const kinds = `
triggers: [{id: order, webhook: {}}]
steps:
  - id: lines
    for_each: {in: trigger.body.items, as: line}
    steps:
      - id: stock
        use: http.request
        with: {url: "https://stock.example.com/${{ line.sku }}"}
      - id: row
        set: {sku: "${{ line.sku }}", left: "${{ steps.stock.body.left }}"}
  - id: ask
    approve: {message: "Ship ${{ len(trigger.body.items) }}?", timeout: 3d}
  - id: pause
    wait: {for: 2h}
  - id: answer
    wait: {callback: {timeout: 24h}}
  - id: bill
    call: {workflow: billing, with: {n: "${{ steps.answer.n }}"}}
  - id: route
    paths:
      - name: big
        when: steps.bill.total > 100
        steps:
          - id: big
            use: http.request
            with: {method: POST, url: "https://ops.example.com/big", json: {by: "${{ steps.ask.by }}", total: "${{ steps.bill.total }}"}}
      - name: rest
        steps:
          - id: small
            set: {total: "${{ steps.bill.total }}"}
  - parallel:
      - name: a
        steps: [{id: left, set: {a: 1}}]
      - name: b
        steps: [{id: right, use: http.request, with: {method: POST, url: "https://ops.example.com/b"}}]
`

// shipped is a finished run of kinds whose questions were answered.
func shipped(t *testing.T, w *workflow.Workflow) rehearsal.Past {
	t.Helper()
	ev, err := rehearsal.NewEvent(w, map[string]any{"body": map[string]any{"items": []any{
		map[string]any{"sku": "a"}, map[string]any{"sku": "b"}, map[string]any{"sku": "c"}, map[string]any{"sku": "c"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := engine.Simulation{
		Workflow: w, Event: ev, Connectors: catalog.Registry(), Now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
		Invoke: func(_ context.Context, c engine.SimulatedCall) (any, error) {
			address, _ := c.Input["url"].(string)
			return map[string]any{"status": 200, "body": map[string]any{"left": len(address) % 2, "of": address}}, nil
		},
		Answer: func(_ context.Context, q engine.SimulatedQuestion) (*engine.SimulatedAnswer, error) {
			switch q.Kind {
			case "approve":
				return &engine.SimulatedAnswer{Output: map[string]any{"approved": true, "by": "Eve", "comment": "go"}}, nil
			case "callback":
				return &engine.SimulatedAnswer{Output: map[string]any{"n": 7}}, nil
			}
			return &engine.SimulatedAnswer{Output: map[string]any{"total": 120}}, nil
		},
	}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out.View.Status != "succeeded" {
		t.Fatalf("%s: %s", out.View.Status, out.View.Summary)
	}
	return rehearsal.Past{ID: out.ID, Journal: out.Records}
}

func TestReplayOfEveryStepKind(t *testing.T) {
	old := read(t, kinds)
	past := shipped(t, old)
	for _, tt := range []struct {
		name, from, to, outcome, step, guessed string
	}{
		{"the same", "", "", "same", "", ""},
		{"another wait", "for: 2h", "for: 5h", "different", "pause", ""},
		{"another question is answered as it was", "Ship ", "Send ", "different", "ask", ""},
		{"one round reads another address", "stock.example.com/${{ line.sku }}", "stock.example.com/${{ line.sku == 'b' ? 'x' : line.sku }}", "different", "stock", "stock"},
		{"another path", "> 100", "> 1000", "different", "", ""},
		{"another body for the other workflow", "{n: \"${{ steps.answer.n }}\"}", "{n: 1}", "different", "bill", "bill"},
		{"a decline would end it", "steps.bill.total > 100\n", "steps.bill.total > 100\n        # a comment\n", "same", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(kinds, tt.from) {
				t.Fatal(tt.from)
			}
			got := replay(t, old, read(t, strings.Replace(kinds, tt.from, tt.to, 1)), past, nil)
			if got.Outcome != tt.outcome || tt.step != "" && got.Step != tt.step || strings.Join(got.Guessed, " ") != tt.guessed {
				t.Errorf("%s at %s, guessed %v: %+v", got.Outcome, got.Step, got.Guessed, got)
			}
			for _, c := range got.Steps {
				if tt.step == "stock" && c.Step == "stock" && c.Path != "lines[1].stock" {
					t.Errorf("the change is at %s, not in the second round", c.Path)
				}
			}
		})
	}
}

func TestReplayOfANewQuestion(t *testing.T) {
	old := read(t, orders)
	past := ran(t, old, map[string]any{"total": 129, "name": "Ada"}, crm)
	draft := read(t, strings.Replace(orders, "  - id: find\n", "  - id: sure\n    approve: {message: Sure?, timeout: 1d}\n  - id: find\n", 1))
	got := replay(t, old, draft, past, nil)
	if got.Outcome != "different" || got.Step != "sure" || got.Change != "new" || fmt.Sprint(got.Guessed) != "[sure]" {
		t.Errorf("%+v", got)
	}
}

func TestARunOfEveryStepKindBecomesATest(t *testing.T) {
	w := read(t, kinds)
	past := shipped(t, w)
	out, err := rehearsal.AsTest{ID: past.ID, Journal: past.Journal, Workflow: w, Connectors: catalog.Registry()}.Text(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Failures) > 0 {
		t.Errorf("it does not pass: %q\n%s", out.Failures, out.Text)
	}
	for _, want := range []string{"step: ask", "by: Eve", "step: answer", "step: bill", "url: https://stock.example.com/b", "url: https://ops.example.com/big"} {
		if !strings.Contains(out.Text, want) {
			t.Errorf("no %q in\n%s", want, out.Text)
		}
	}
}

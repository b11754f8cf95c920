package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// compiled is a workflow of these steps.
func compiled(t testing.TB, steps string) *workflow.Workflow {
	t.Helper()
	w, problems := workflow.Parse("w.yaml", []byte("triggers: [{webhook: {}}]\n"+steps))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return w
}

// played is what came of one simulated run: how it ended, and how often each call was made with each input.
type played struct {
	*engine.Simulated
	calls map[string]int
	keys  map[string]string // by call: its idempotency key
}

// play runs a workflow on a system outside that answers everything, and fails what is told to fail.
func play(t testing.TB, w *workflow.Workflow, body any, prefix []engine.Record, id engine.RunID) played {
	t.Helper()
	p := played{calls: map[string]int{}, keys: map[string]string{}}
	out, err := engine.Simulation{
		Workflow: w, Connectors: connectors.NewRegistry((&other{}).connector()), Event: event("w", body), Journal: prefix, ID: id,
		Now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
		Invoke: func(_ context.Context, c engine.SimulatedCall) (any, error) {
			input, _ := json.Marshal(c.Input)
			call := c.Step.ID + string(input)
			p.calls[call]++
			if have := p.keys[call]; have != "" && have != c.Key {
				t.Errorf("call %s has two keys", call)
			}
			p.keys[call] = c.Key
			if c.Input["fail"] == true {
				return nil, connectors.Permanent(errors.New("refused"))
			}
			return c.Input, nil
		},
		Answer: func(_ context.Context, q engine.SimulatedQuestion) (*engine.SimulatedAnswer, error) {
			switch q.Kind {
			case "approve":
				return &engine.SimulatedAnswer{Output: map[string]any{"approved": !strings.Contains(q.Input.(string), "No"), "by": "Ada", "comment": "ok"}}, nil
			case "callback":
				return &engine.SimulatedAnswer{Output: map[string]any{"body": map[string]any{"paid": true}}}, nil
			}
			return &engine.SimulatedAnswer{Output: q.Input}, nil
		},
	}.Run(t.Context())
	if err != nil {
		t.Fatalf("after %d records: %v", len(prefix), err)
	}
	if err := engine.CheckJournal(out.Records); err != nil {
		t.Errorf("after %d records: %v", len(prefix), err)
	}
	p.Simulated = out
	return p
}

const everyKind = `
steps:
  - id: route
    paths:
      - name: Small
        when: trigger.body.total < 10
        steps: [{id: small, use: other.put, with: {what: small}}]
      - name: Large
        when: trigger.body.total >= 10
        steps:
          - {id: large, use: other.put, with: {what: large}}
          - {id: size, set: {size: large, back: "${{ steps.large.what }}"}}
  - id: both
    parallel:
      - name: a
        steps:
          - {id: a1, use: other.put, with: {n: 1}}
          - {wait: {for: 3s}}
          - {id: a2, use: other.put, with: {n: "${{ steps.a1.n + 1 }}"}}
      - name: b
        steps:
          - {id: b1, use: other.put, with: {n: 5}}
          - {id: nap, wait: {for: 2h}}
          - {id: b2, use: other.put, with: {n: "${{ steps.b1.n + 1 }}"}}
  - id: lines
    for_each: {in: trigger.body.items, as: line, concurrency: 3}
    steps:
      - filter: line.n != 2
      - {id: send, use: other.put, with: {n: "${{ line.n }}", i: "${{ index }}"}}
      - id: parts
        for_each: {in: line.parts}
        steps:
          - {id: part, use: other.put, with: {of: "${{ line.n }}", part: "${{ item }}"}}
          - {set: {p: "${{ steps.part.part }}"}}
      - {set: {n: "${{ steps.send.n }}", parts: "${{ map(steps.parts, .p) }}"}}
  - id: ask
    approve: {message: "Go on with ${{ trigger.body.total }}?"}
  - id: paid
    wait: {callback: {}}
  - id: child
    call: {workflow: other, with: {by: "${{ steps.ask.by }}", paid: "${{ steps.paid.body.paid }}"}}
  - id: end
    set:
      route: ${{ steps.route }}
      small: ${{ steps.small }}
      size: ${{ steps.size.size }}
      both: ${{ steps.both }}
      b2: ${{ steps.b2.n }}
      lines: ${{ steps.lines }}
      child: ${{ steps.child }}
`

var everyBody = map[string]any{"total": 12, "items": []any{
	map[string]any{"n": 1, "parts": []any{"x", "y"}},
	map[string]any{"n": 2, "parts": []any{"never"}},
	map[string]any{"n": 3, "parts": []any{}},
	map[string]any{"n": 4, "parts": []any{"z"}},
}}

func plainJSON(t testing.TB, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func asJSON(t testing.TB, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return plainJSON(t, string(text))
}

func TestEveryKindOfStepTogether(t *testing.T) {
	p := play(t, compiled(t, everyKind), everyBody, nil, engine.RunID{})
	if p.View.Status != "succeeded" {
		t.Fatalf("%s: %s", p.View.Status, p.View.Summary)
	}
	want := plainJSON(t, `{
		"route": {"size": "large", "back": "large"}, "small": null, "size": "large",
		"both": {"a": {"n": 2}, "b": {"n": 6}}, "b2": 6,
		"lines": [{"n": 1, "parts": ["x", "y"]}, null, {"n": 3, "parts": []}, {"n": 4, "parts": ["z"]}],
		"child": {"by": "Ada", "paid": true}}`)
	if diff := cmp.Diff(want, asJSON(t, p.Output)); diff != "" {
		t.Error(diff)
	}
	for call, n := range p.calls {
		if n != 1 {
			t.Errorf("%s was made %d times", call, n)
		}
	}
	if len(p.calls) != 11 {
		t.Errorf("%d calls: %v", len(p.calls), slices.Sorted(maps.Keys(p.calls)))
	}
}

// However much of its journal a crash left, a run ends the same: each call is made once, or again with the same key
// where only its start is known.
func TestARunOfEveryKindGoesOnAfterAnyPrefixOfItsJournal(t *testing.T) {
	w := compiled(t, everyKind)
	whole := play(t, w, everyBody, nil, engine.RunID{})
	for n := 1; n < len(whole.Records); n++ {
		prefix := slices.Clone(whole.Records[:n])
		rest := play(t, w, everyBody, prefix, whole.ID)
		if rest.View.Status != "succeeded" {
			t.Fatalf("after %d records: %s: %s", n, rest.View.Status, rest.View.Summary)
		}
		if diff := cmp.Diff(asJSON(t, whole.Output), asJSON(t, rest.Output)); diff != "" {
			t.Fatalf("after %d records:\n%s", n, diff)
		}
		done := map[string]bool{}
		for _, r := range prefix {
			if r.Kind == engine.KindStepCompleted {
				done[engine.IdempotencyKey(whole.ID, r.Step)] = true
			}
		}
		for call, key := range rest.keys {
			if key != whole.keys[call] {
				t.Errorf("after %d records %s has another key", n, call)
			}
			if done[key] {
				t.Errorf("after %d records the completed %s was called again", n, call)
			}
		}
		for call, key := range whole.keys {
			if !done[key] && rest.calls[call] != 1 {
				t.Errorf("after %d records %s was made %d times", n, call, rest.calls[call])
			}
		}
	}
}

func TestAnUnknownStepInsideEndsTheRun(t *testing.T) {
	for name, steps := range map[string]string{
		"parallel": "steps:\n  - parallel: [{steps: [{id: x, use: other.send}]}, {steps: [{wait: {for: 90d}}]}]\n    on_error: continue\n",
		"for_each": "steps:\n  - for_each: {in: '[1, 2]'}\n    steps: [{id: x, use: other.send, with: {n: '${{ item }}'}}]\n    on_error: continue\n",
		"paths":    "steps:\n  - paths: [{steps: [{id: x, use: other.send}]}]\n    on_error: continue\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := compiled(t, steps)
			whole := play(t, w, nil, nil, engine.RunID{})
			cut := slices.IndexFunc(whole.Records, func(r engine.Record) bool {
				return r.Kind == engine.KindStepStarted && strings.HasSuffix(r.Step, "x")
			})
			rest := play(t, w, nil, slices.Clone(whole.Records[:cut+1]), whole.ID)
			if rest.View.Status != "failed" || rest.View.Reason != engine.ReasonUnknown {
				t.Errorf("%s (%s): %s", rest.View.Status, rest.View.Reason, rest.View.Summary)
			}
			for call := range rest.calls {
				if rest.keys[call] == engine.IdempotencyKey(whole.ID, whole.Records[cut].Step) {
					t.Errorf("%s was called again", call)
				}
			}
		})
	}
}

func TestHowStepsInsideEndWhatIsAround(t *testing.T) {
	for name, tt := range map[string]struct{ steps, status, want string }{
		"a filter ends its round":            {"  - id: o\n    for_each: {in: '[1, 2, 3]'}\n    steps: [{filter: item != 2}, {set: {n: \"${{ item }}\"}}]\n", "succeeded", `[{"n":1},null,{"n":3}]`},
		"a filter ends its branch":           {"  - id: o\n    parallel: [{name: a, steps: [{set: {n: 1}}, {filter: 'false'}]}, {name: b, steps: [{set: {n: 2}}]}]\n", "succeeded", `{"a":null,"b":{"n":2}}`},
		"a filter on a path ends the run":    {"  - paths: [{steps: [{filter: 'false'}]}]\n  - {id: o, set: {n: 1}}\n", "filtered", ""},
		"but only the round around it":       {"  - id: o\n    for_each: {in: '[1, 2]'}\n    steps: [{paths: [{when: item == 1, steps: [{filter: 'false'}]}]}, {set: {n: \"${{ item }}\"}}]\n", "succeeded", `[null,{"n":2}]`},
		"a declined question ends its round": {"  - id: o\n    for_each: {in: '[\"Yes\", \"No\"]'}\n    steps: [{approve: {message: \"${{ item }}\"}}, {set: {n: \"${{ item }}\"}}]\n", "succeeded", `[{"n":"Yes"},null]`},
		"a declined question ends the run":   {"  - approve: {message: \"No\"}\n  - {id: o, set: {n: 1}}\n", "filtered", ""},
		"unless it may be declined":          {"  - {id: ask, approve: {message: \"No\", on_decline: continue}}\n  - {id: o, set: {n: \"${{ steps.ask.approved }}\"}}\n", "succeeded", `{"n":false}`},
		"stop ends the run":                  {"  - for_each: {in: '[1, 2]'}\n    steps: [{stop: {as: canceled}}]\n  - {id: o, set: {n: 1}}\n", "canceled", ""},
		"a failure fails the loop":           {"  - for_each: {in: '[1, 2]'}\n    steps: [{use: other.put, with: {fail: true}}]\n  - {id: o, set: {n: 1}}\n", "failed", ""},
		"which its on_error handles":         {"  - id: l\n    for_each: {in: '[1, 2]'}\n    steps: [{id: u, use: other.put, with: {fail: true}}]\n    on_error: [{id: h, set: {why: \"${{ error.message }}\", step: \"${{ error.step }}\"}}]\n  - {id: o, set: {h: \"${{ steps.h }}\"}}\n", "succeeded", `{"h":{"step":"u","why":"round 1: refused"}}`},
		"one branch fails the others' step":  {"  - parallel: [{steps: [{use: other.put, with: {fail: true}}]}, {steps: [{wait: {for: 30d}}, {use: other.put, with: {late: true}}]}]\n    on_error: continue\n  - {id: o, set: {n: 1}}\n", "succeeded", `{"n":1}`},
		"no path fits":                       {"  - {id: p, paths: [{when: 'false', steps: [{set: {n: 1}}]}]}\n  - {id: o, set: {p: \"${{ steps.p }}\"}}\n", "succeeded", `{"p":null}`},
		"nothing is done on a path":          {"  - {id: p, paths: [{when: 'false', steps: [{set: {n: 1}}]}, {steps: []}]}\n  - {id: o, set: {p: \"${{ steps.p }}\"}}\n", "succeeded", `{"p":null}`},
		"all paths that fit":                 {"  - {id: o, match: all, paths: [{steps: [{set: {n: 1}}]}, {when: 'false', steps: [{set: {n: 2}}]}, {when: 'true', steps: [{set: {n: 3}}]}]}\n", "succeeded", `{"n":3}`},
		"nothing to loop over":               {"  - {id: o, for_each: {in: '[]'}, steps: [{set: {n: 1}}]}\n", "succeeded", `[]`},
		"a list that is missing":             {"  - {id: o, for_each: {in: trigger.body.items}, steps: [{set: {n: 1}}]}\n", "failed", ""},
		"a question that nobody gets":        {"  - {id: o, set: {a: 1}}\n  - {id: w, wait: {until: \"'soon'\"}}\n", "failed", ""},
		"a run that is out of time":          {"  - parallel: [{steps: [{wait: {for: 3d}}]}, {steps: [{wait: {for: 4d}}]}]\ntimeout: 1d\n", "failed", ""},
		"eight levels":                       {"  - {id: o, " + eightLevels() + "}\n", "succeeded", `{"branch_1":[{"branch_1":[{"branch_1":{"n":8}}]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := compiled(t, "steps:\n"+tt.steps)
			whole := play(t, w, nil, nil, engine.RunID{})
			for n := 0; n < len(whole.Records); n++ {
				p := whole
				if n > 0 {
					p = play(t, w, nil, slices.Clone(whole.Records[:n]), whole.ID)
				}
				got := ""
				for _, s := range p.View.Steps {
					if s.ID == "o" {
						got = string(s.Output)
					}
				}
				if p.View.Status != tt.status || tt.want != "" && cmp.Diff(plainJSON(t, tt.want), plainJSON(t, got)) != "" {
					t.Fatalf("after %d records: %s with %s, want %s with %s: %s", n, p.View.Status, got, tt.status, tt.want, p.View.Summary)
				}
			}
		})
	}
}

func eightLevels() string {
	steps := "set: {n: 8}"
	for i := range 8 {
		switch i % 3 {
		case 0:
			steps = "paths: [{steps: [{" + steps + "}]}]"
		case 1:
			steps = "parallel: [{steps: [{" + steps + "}]}]"
		case 2:
			steps = "for_each: {in: '[1]'}, steps: [{" + steps + "}]"
		}
	}
	return steps
}

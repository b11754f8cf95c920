package workflow_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// TestDiff says in words what edits do.
func TestDiff(t *testing.T) {
	const src = `name: Orders
triggers:
  - webhook: {path: a}
steps:
  - filter: trigger.body.total > 50
  - id: map
    set:
      a: ${{ trigger.body.a }}
      b: 2
  # tell them
  - name: Tell sales
    use: http.request
    with: {method: POST, url: "https://x.example", json: {text: "${{ steps.map.a }}"}}
    retry: {attempts: 5}
  - id: fan
    paths:
      - name: Refund
        when: trigger.body.kind == "refund"
        steps:
          - stop: {}
      - name: Rest
        steps:
          - id: deep
            set: {c: 1}
`
	ops := func(list ...workflow.Op) []workflow.Op { return list }
	for _, test := range []struct {
		ops  []workflow.Op
		want []string
	}{
		{ops(workflow.Put{Path: "steps[0].filter", Value: "trigger.body.total > 100"}), []string{"step.filter_value Step 1 now continues when Total is greater than 100 (was 50)"}},
		{ops(workflow.Put{Path: "steps[0].filter", Value: "len(trigger.body) > 1"}), []string{"step.filter Step 1 now continues when len(trigger.body) > 1 (was Total is greater than 50)"}},
		{ops(workflow.Put{Path: "steps.map.if", Value: "trigger.body.vip == true"}), []string{"step.if Step 2 now runs only when Vip is yes"}},
		{ops(workflow.Insert{Path: "steps", At: 2, Value: workflow.Text("use: http.request\nwith: {method: GET, url: \"https://y\"}")}), []string{"step.added Added step 3: http.request"}},
		{ops(workflow.Delete{Path: "steps[2]"}), []string{"step.deleted Deleted step 3: Tell sales"}},
		{ops(workflow.Delete{Path: "steps.fan"}), []string{"step.deleted Deleted step 4: Split into paths"}},
		{ops(workflow.Move{From: "steps[2]", To: "steps[0]"}), []string{"step.moved Moved step 1: Tell sales (was step 3)"}},
		{ops(workflow.RenameStep{Old: "map", New: "order"}), []string{"step.renamed Renamed step 2 to order (was map)"}},
		{
			ops(workflow.RenameStep{Old: "map", New: "order"}, workflow.Move{From: "steps[2]", To: "steps[0]"}, workflow.Put{Path: "steps.order.set.b", Value: 3}),
			[]string{
				"step.moved Moved step 1: Tell sales (was step 3)", "step.renamed Renamed step 3 to order (was map)",
				"step.field.changed Changed the field b of step 3 to 3 (was 2)",
			},
		},
		{ops(workflow.Put{Path: "steps[2].with.json.text", Value: "Hi"}), []string{`step.field.changed Changed json of step 3 to {"text":"Hi"} (was {"text":"${{ steps.map.a }}"})`}},
		{ops(workflow.Put{Path: "steps[2].retry.attempts", Value: 2}), []string{"step.field.changed Changed retry attempts of step 3 to 2 (was 5)"}},
		{ops(workflow.Put{Path: "steps.map.set.c", Value: 1}, workflow.Delete{Path: "steps.map.set.b"}), []string{
			"step.field.set Set the field c of step 2 to 1", "step.field.removed Removed the field b of step 2 (was 2)",
		}},
		{ops(workflow.Put{Path: "enabled", Value: false}, workflow.Put{Path: "name", Value: "New"}), []string{
			"workflow.changed Changed the name to New (was Orders)", "workflow.enabled Turned the workflow off",
		}},
		{ops(workflow.Put{Path: "triggers[0].webhook.path", Value: "b"}), []string{"trigger.field.changed Changed path of the trigger Webhook to b (was a)"}},
		{ops(workflow.Insert{Path: "triggers", At: 1, Value: workflow.Text("schedule: {every: 1h}")}), []string{"trigger.added Added a trigger: Schedule"}},
		{ops(workflow.Put{Path: "steps.fan.paths[0].when", Value: `trigger.body.kind == "return"`}), []string{"step.when_value Path Refund of step 4 is now taken when Kind is return (was refund)"}},
		{ops(workflow.Insert{Path: "steps.fan.paths[1].steps", At: 1, Value: workflow.Text("stop: {}")}), []string{"step.added Added step 7: Stop here"}},
		{ops(workflow.Insert{Path: "steps.fan.paths", At: 2, Value: workflow.Text("name: C\nsteps: [{stop: {}}]")}), []string{
			"step.path_added Added a path to step 4: C", "step.added Added step 7: Stop here",
		}},
		{ops(workflow.Move{From: "steps.deep", To: "steps[0]"}), []string{"step.moved Moved step 1: Prepare data (was step 6)"}},
		{ops(workflow.Note{Path: "steps[2]", Text: "tell everybody"}), []string{"step.note Changed the note on step 3"}},
	} {
		out, err := workflow.Edit([]byte(src), test.ops...)
		if err != nil {
			t.Errorf("%v: %v", test.ops, err)
			continue
		}
		var got []string
		for _, c := range workflow.Diff([]byte(src), out) {
			got = append(got, c.Code+" "+c.Text)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.ops, diff)
		}
	}
	if got := workflow.Diff([]byte(src), []byte(src)); len(got) != 0 {
		t.Errorf("no change: %v", got)
	}
	if got := workflow.Diff([]byte(src), []byte(src+"# end\n")); len(got) != 1 || got[0].Code != "text.layout" {
		t.Errorf("a comment: %v", got)
	}
	if got := workflow.Diff([]byte(src), []byte("a: [")); len(got) != 1 || got[0].Code != "text.changed" {
		t.Errorf("broken: %v", got)
	}
}

// TestDiffLaw: of random edits, Diff says something, and nothing of what is equal.
func TestDiffLaw(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 2))
	for name, src := range editFiles(t) {
		places := spots(t, src)
		for range 20 {
			s := places[random.IntN(len(places))]
			out, err := workflow.Edit(src, workflow.Put{Path: s.path, Value: values[random.IntN(len(values))]})
			if err != nil || string(out) == string(src) {
				continue
			}
			for _, texts := range [][2][]byte{{src, out}, {out, src}} {
				changes := workflow.Diff(texts[0], texts[1])
				if len(changes) == 0 || slices.ContainsFunc(changes, func(c workflow.Change) bool { return c.Text == "" || c.Code == "" || strings.Contains(c.Text, "%!") }) {
					t.Errorf("%s: %s: %+v", name, s.path, changes)
				}
			}
		}
	}
}

// TestDiffLines: the lines that are kept, removed and added make both texts.
func TestDiffLines(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	text := func() string {
		lines := make([]string, random.IntN(12))
		for i := range lines {
			lines[i] = fmt.Sprint(random.IntN(5))
		}
		return strings.Join(lines, "\n")
	}
	for range 3000 {
		a, b := text(), text()
		var before, after []string
		for _, l := range workflow.DiffLines([]byte(a), []byte(b), 100) {
			if l.Op != "add" {
				before = append(before, l.Text)
				if l.Old != len(before) {
					t.Fatalf("line numbers of %q and %q: %+v", a, b, l)
				}
			}
			if l.Op != "remove" {
				after = append(after, l.Text)
				if l.New != len(after) {
					t.Fatalf("line numbers of %q and %q: %+v", a, b, l)
				}
			}
		}
		if a != b && (strings.Join(before, "\n") != a || strings.Join(after, "\n") != b) {
			t.Fatalf("%q and %q: %q %q", a, b, before, after)
		}
	}
	got := workflow.DiffLines([]byte("a\nb\nc\nd\ne\nf\n"), []byte("a\nb\nc\nD\ne\nf\n"), 1)
	want := []workflow.Line{{"keep", 3, 3, "c"}, {"remove", 4, 0, "d"}, {"add", 0, 4, "D"}, {"keep", 5, 5, "e"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

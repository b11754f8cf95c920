package workflow_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const nested = `# about the file
name: Nested
triggers:
  # the shop calls
  - id: order
    webhook: {path: a}
steps:
  # first line
  #   second
  - id: fan
    paths:
      - name: A
        when: trigger.body.a
        steps:
          # inner
          - id: deep
            set: {b: 1, a: "${{ trigger.body.x }}"}
          - for_each: {in: trigger.body.items}
            steps:
              - stop: {}
      - name: B
  - use: http.request
    with: {url: "https://x"}
    on_error:
      - id: handler
        set:
          "x.y": 1
on_failure:
  - set: {a: 1}
`

// TestOutline shows the addresses, notes and values of a nested file; every address can be edited.
func TestOutline(t *testing.T) {
	o, err := workflow.ReadOutline([]byte(nested))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	var walk func(entries []*workflow.OutlineEntry)
	walk = func(entries []*workflow.OutlineEntry) {
		for _, e := range entries {
			lines = append(lines, string(e.Path)+" "+e.Kind+" "+strings.ReplaceAll(e.Note, "\n", "|"))
			for _, f := range e.Fields {
				if text, err := workflow.TextAt([]byte(nested), f.Path); err != nil || text == "" {
					t.Errorf("%s: %q, %v", f.Path, text, err)
				}
				if !json.Valid(f.Value) || f.Line < 1 || f.EndLine < f.Line {
					t.Errorf("%s: %+v", f.Path, f)
				}
			}
			for _, l := range e.Lists {
				lines = append(lines, "list "+l.Role+" "+string(l.Path))
				if _, err := workflow.Edit([]byte(nested), workflow.Insert{Path: l.Path, At: len(l.Steps), Value: workflow.JSON(`{"set": {"new": 1}}`)}); err != nil {
					t.Errorf("insert into %s: %v", l.Path, err)
				}
				walk(l.Steps)
			}
		}
	}
	walk(o.Triggers)
	walk(o.Steps)
	walk(o.OnFailure)
	want := `triggers.order webhook the shop calls
steps.fan paths first line|  second
list path steps.fan.paths[0].steps
steps.deep set inner
steps.fan.paths[0].steps[1] for_each 
list steps steps.fan.paths[0].steps[1].steps
steps.fan.paths[0].steps[1].steps[0] stop 
list path steps.fan.paths[1].steps
steps[1] use 
list on_error steps[1].on_error
steps.handler set 
on_failure[0] set `
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := string(o.Steps[0].Lists[0].Steps[0].Fields[1].Value); got != `{"b":1,"a":"${{ trigger.body.x }}"}` {
		t.Errorf("a value lost its order: %s", got)
	}
	if e := o.Steps[0]; e.From != 10 || e.To != 21 {
		t.Errorf("fan stands in lines %d to %d", e.From, e.To)
	}
	if len(o.Fields) != 1 || o.Fields[0].Path != "name" {
		t.Errorf("fields %+v", o.Fields)
	}
	if _, err := workflow.ReadOutline([]byte("steps: [")); workflow.AsProblems(err) == nil {
		t.Errorf("broken YAML: %v", err)
	}
}

// TestNote sets, changes and removes notes; a note and its removal give the same file.
func TestNote(t *testing.T) {
	for name, src := range editFiles(t) {
		o, err := workflow.ReadOutline(src)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, e := range append(o.Steps, o.Triggers...) {
			out, err := workflow.Edit(src, workflow.Note{Path: e.Path, Text: "Why: x\n\n# and more"})
			if err != nil {
				if !strings.Contains(err.Error(), "this one does not") {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			again, err := workflow.ReadOutline(out)
			if err != nil {
				t.Fatal(name, err)
			}
			found := false
			for _, other := range append(again.Steps, again.Triggers...) {
				found = found || other.Path == e.Path && other.Note == "Why: x\n\n# and more"
			}
			if !found {
				t.Errorf("%s: %s has not got its note:\n%s", name, e.Path, out)
			}
			back, err := workflow.Edit(out, workflow.Note{Path: e.Path, Text: e.Note})
			if err != nil || e.Note == "" && !bytes.Equal(back, src) {
				t.Errorf("%s: %s and back: %v\n%s\n--- was\n%s", name, e.Path, err, back, src)
			}
		}
	}
}

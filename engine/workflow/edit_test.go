package workflow_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func editFiles(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, path := range files(t, "edit", 20) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = src
	}
	return all
}

// TestEdit shows what each op does to a text.
func TestEdit(t *testing.T) {
	const head = "triggers:\n  - webhook: {}\n"
	tests := []struct {
		name, src, want string
		ops             []workflow.Op
	}{
		{
			"a plain text", "steps:\n  - id: a # x\n    set: {a: 1}\n", "steps:\n  - id: b # x\n    set: {a: 1}\n",
			[]workflow.Op{workflow.Put{Path: "steps[0].id", Value: "b"}},
		},
		{"a text that needs quotes", "name: A   # x\n", "name: \"#b\"   # x\n", []workflow.Op{workflow.Put{Path: "name", Value: "#b"}}},
		{
			"quotes are kept", "name: 'A'\ndescription: \"B\"\n", "name: 'it''s'\ndescription: \"a \\\"b\\\"\"\n",
			[]workflow.Op{workflow.Put{Path: "name", Value: "it's"}, workflow.Put{Path: "description", Value: `a "b"`}},
		},
		{
			"an expression in brackets", "steps:\n  - set: {a: 1}\n", "steps:\n  - set: {a: \"${{ b }}\"}\n",
			[]workflow.Op{workflow.Put{Path: "steps[0].set.a", Value: "${{ b }}"}},
		},
		{
			"a number as text", "steps:\n  - set: {a: 1}\n", "steps:\n  - set: {a: \"2\"}\n",
			[]workflow.Op{workflow.Put{Path: "steps[0].set.a", Value: "2"}},
		},
		{
			"a literal", "steps:\n  - set:\n      a: |  # c\n        b\n      c: 1\n", "steps:\n  - set:\n      a: |-  # c\n        d\n\n        e\n      c: 1\n",
			[]workflow.Op{workflow.Put{Path: "steps[0].set.a", Value: "d\n\ne"}},
		},
		{
			"a missing value", "triggers:\n  - webhook:   # here\nsteps: []\n", "triggers:\n  - webhook:   # here\n      path: a/b\nsteps: []\n",
			[]workflow.Op{workflow.Put{Path: "triggers.webhook.webhook.path", Value: "a/b"}},
		},
		{
			"a new key", "name: A\nsteps:\n  - use: x.y # u\n# end\n", "name: A\nenabled: false\nsteps:\n  - use: x.y # u\n    with:\n      json:\n        t: 1\n# end\n",
			[]workflow.Op{workflow.Put{Path: "steps[0].with.json.t", Value: 1}, workflow.Put{Path: "enabled", Value: false}},
		},
		{
			"a step is inserted", head + "steps:\n  # a\n  - filter: a\n\n  # b\n  - filter: b\n", head + "steps:\n  # a\n  - filter: a\n\n  - id: m\n    set:\n      x: 1\n\n  # b\n  - filter: b\n",
			[]workflow.Op{workflow.Insert{Path: "steps", At: 1, Value: map[string]any{"set": map[string]any{"x": 1}, "id": "m"}}},
		},
		{
			"in brackets", "tags: [a, b] # t\n", "tags: [a, \"x, y\", b, c] # t\n",
			[]workflow.Op{workflow.Insert{Path: "tags", At: 1, Value: "x, y"}, workflow.Insert{Path: "tags", At: 3, Value: "c"}},
		},
		{
			"the comment goes with the step", head + "steps:\n  # a\n  - filter: a # a\n  # b\n  - filter: b # b\n", head + "steps:\n  # b\n  - filter: b # b\n",
			[]workflow.Op{workflow.Delete{Path: "steps[0]"}},
		},
		{"the last entry", head + "steps:   # s\n  - filter: a\n", head + "steps: []   # s\n", []workflow.Op{workflow.Delete{Path: "steps[0]"}}},
		{"the first key of a step", "steps:\n  - name: a  # c\n    filter: b\n", "steps:\n  - filter: b\n", []workflow.Op{workflow.Delete{Path: "steps[0].name"}}},
		{"no final newline", "name: a\nsteps:\n  - filter: a\n  - filter: b", "name: a\nsteps:\n  - filter: a", []workflow.Op{workflow.Delete{Path: "steps[1]"}}},
		{
			"a move", head + "steps:\n  # a\n  - filter: a # a\n\n  - filter: b\n", head + "steps:\n  - filter: b\n\n  # a\n  - filter: a # a\n",
			[]workflow.Op{workflow.Move{From: "steps[0]", To: "steps[1]"}},
		},
		{
			"into another list", "steps:\n  - use: a.b\n    on_error:\n      - filter: x\n  # c\n  - set:\n      a: 1 # a\n", "steps:\n  - use: a.b\n    on_error:\n      # c\n      - set:\n          a: 1 # a\n      - filter: x\n",
			[]workflow.Op{workflow.Move{From: "steps[1]", To: "steps[0].on_error[0]"}},
		},
		{
			"a renamed step", head + "steps:\n  - id: a # a\n    set: {a: a}\n  - filter: \"steps.a.b == 'a' && errors?.a == nil\" # steps.a\n  - set: {a: \"${{ steps[\\\"a\\\"].a }} steps.a\"}\n",
			head + "steps:\n  - id: big_a # a\n    set: {a: a}\n  - filter: \"steps.big_a.b == 'a' && errors?.big_a == nil\" # steps.a\n  - set: {a: \"${{ steps[\\\"big_a\\\"].a }} steps.a\"}\n",
			[]workflow.Op{workflow.RenameStep{Old: "a", New: "big_a"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, crlf := range []bool{false, true} {
				src, want := tt.src, tt.want
				if crlf {
					src, want = strings.ReplaceAll(src, "\n", "\r\n"), strings.ReplaceAll(want, "\n", "\r\n")
				}
				got, err := workflow.Edit([]byte(src), tt.ops...)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, string(got)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestEditRefuses asks for what cannot be done: the text comes back as it was.
func TestEditRefuses(t *testing.T) {
	const src = "name: A\ntriggers:\n  - webhook: {}\nsteps:\n  - id: a\n    set: {a: 1}\n  - id: b\n    set: {a: \"${{ to_json(steps) }}\"}\n"
	tests := []struct {
		name string
		src  string
		op   workflow.Op
		want string
	}{
		{"nothing there", src, workflow.Delete{Path: "steps[9]"}, "the file has no steps[9]"},
		{"no such id", src, workflow.Delete{Path: "steps.c"}, `no entry has the id "c"`},
		{"no path", src, workflow.Put{Path: "", Value: 1}, "the path is empty"},
		{"a bad path", src, workflow.Put{Path: "steps[x]", Value: 1}, "index that is no number"},
		{"below a text", src, workflow.Put{Path: "name.a", Value: 1}, "text has no parts"},
		{"no place", src, workflow.Insert{Path: "steps", At: 3, Value: "x"}, "there is no place 3"},
		{"no list", src, workflow.Insert{Path: "name", At: 0, Value: "x"}, "not a list"},
		{"a value of no kind", src, workflow.Put{Path: "name", Value: struct{}{}}, "no plain data"},
		{"two values", src, workflow.Put{Path: "name", Value: workflow.Text("a\n- b: [")}, "not one YAML value"},
		{"an anchor", src, workflow.Put{Path: "name", Value: workflow.Text("&a b")}, "not one YAML value"},
		{"a taken id", src, workflow.RenameStep{Old: "a", New: "b"}, `has the id "b" already`},
		{"no id", src, workflow.RenameStep{Old: "a", New: "b c"}, "cannot be an id"},
		{"all steps are read", src, workflow.RenameStep{Old: "a", New: "c"}, "reads steps as a whole"},
		{"a draft", "steps:\n  - id: a\n    filter: \"steps.a >\"\n", workflow.RenameStep{Old: "a", New: "c"}, "may refer to it"},
		{"no YAML", "a: [", workflow.Put{Path: "a", Value: 1}, ""},
		{"strange line ends", "name: \"a\u2028b\"\n", workflow.Put{Path: "name", Value: 1}, "line ends"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := workflow.Edit([]byte(tt.src), tt.op)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v, want %q", err, tt.want)
			}
			if !bytes.Equal(got, []byte(tt.src)) {
				t.Errorf("the text is changed:\n%s", got)
			}
		})
	}
}

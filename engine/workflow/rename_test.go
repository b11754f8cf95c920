package workflow_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const linked = `triggers:
  - webhook: {path: a}
  - id: nightly   # at night
    schedule: {every: 1h}
lane: trigger.id
steps:
  - id: ask   # whom
    approve:
      message: Go? ${{ callback_url("back") }}
  - if: trigger.id == "webhook" or trigger.id in ['nightly', "x"]
    id: map
    set:
      a: ${{ trigger.body.a }}
      b:
        c: x ${{ steps.ask.by }} ${{ errors["ask"].message ?? "" }} ${{ approval_url('ask') }}
  - id: back
    wait: {callback: {timeout: 1h}}
  - id: last
    set:
      x: ${{ steps.map.a }}${{ steps["map"].b["c"] }}
      y: "${{ steps.map?.b.c }} steps.map.a"
`

func wantEdit(t *testing.T, src string, op workflow.Op, pairs ...string) string {
	t.Helper()
	out, err := workflow.Edit([]byte(src), op)
	if err != nil {
		t.Fatalf("%v: %v", op, err)
	}
	if diff := cmp.Diff(strings.NewReplacer(pairs...).Replace(src), string(out)); diff != "" {
		t.Fatalf("%v (-want +got):\n%s", op, diff)
	}
	if _, problems := workflow.Parse("w", out); problems.Err() != nil {
		t.Fatalf("%v: %v", op, problems)
	}
	return string(out)
}

// TestRename renames steps, triggers and fields with everything that refers to them, and back again.
func TestRename(t *testing.T) {
	out := wantEdit(t, linked, workflow.RenameStep{Old: "ask", New: "approval"}, "id: ask ", "id: approval ", "steps.ask.", "steps.approval.",
		`errors["ask"]`, `errors["approval"]`, `approval_url('ask')`, `approval_url('approval')`)
	if back := wantEdit(t, out, workflow.RenameStep{Old: "approval", New: "ask"}, "id: approval ", "id: ask ", "steps.approval.", "steps.ask.",
		`errors["approval"]`, `errors["ask"]`, `approval_url('approval')`, `approval_url('ask')`); back != linked {
		t.Errorf("and back:\n%s", back)
	}
	wantEdit(t, linked, workflow.RenameStep{Old: "back", New: "answer"}, "id: back", "id: answer", `callback_url("back")`, `callback_url("answer")`)
	wantEdit(t, linked, workflow.RenameTrigger{Old: "nightly", New: "night"}, "id: nightly", "id: night", "'nightly'", "'night'")
	wantEdit(t, linked, workflow.RenameTrigger{Old: "webhook", New: "shop"}, "- webhook: {path: a}", "- id: shop\n    webhook: {path: a}", `== "webhook"`, `== "shop"`)
	wantEdit(t, linked, workflow.RenameField{Path: "steps.map.set.a", New: "total"}, "      a: ${{ trigger.body.a }}", "      total: ${{ trigger.body.a }}", "${{ steps.map.a }}", "${{ steps.map.total }}")
	wantEdit(t, linked, workflow.RenameField{Path: "steps.map.set.b.c", New: "d"}, "        c: x", "        d: x", `["map"].b["c"]`, `["map"].b["d"]`, "?.b.c", "?.b.d")
	wantEdit(t, linked, workflow.RenameField{Path: "steps.last.set.x", New: "z"}, "      x:", "      z:")
	for _, test := range []struct {
		op, back workflow.RenameField
		pairs    []string
	}{
		{workflow.RenameField{Path: "steps.map.set.a", New: "total of all"}, workflow.RenameField{Path: `steps.map.set["total of all"]`, New: "a"},
			[]string{"      a: ${{ trigger.body.a }}", "      total of all: ${{ trigger.body.a }}", "${{ steps.map.a }}", `${{ steps.map["total of all"] }}`}},
		{workflow.RenameField{Path: "steps.map.set.b.c", New: "x-y"}, workflow.RenameField{}, []string{"        c: x", "        x-y: x", `["map"].b["c"]`, `["map"].b["x-y"]`, "?.b.c", "?.b['x-y']"}},
		{workflow.RenameField{Path: "steps.map.set.a", New: "größe"}, workflow.RenameField{Path: "steps.map.set.größe", New: "a"}, []string{"      a: ${{ trigger.body.a }}", "      größe: ${{ trigger.body.a }}", "${{ steps.map.a }}", "${{ steps.map.größe }}"}},
	} {
		out := wantEdit(t, linked, test.op, test.pairs...)
		if test.back.New == "" {
			continue
		}
		if back, err := workflow.Edit([]byte(out), test.back); err != nil || string(back) != linked {
			t.Errorf("%v and back: %v\n%s", test.op, err, back)
		}
	}
	for _, test := range []struct {
		op   workflow.Op
		want string
	}{
		{workflow.RenameStep{Old: "ask", New: "map"}, "already"},
		{workflow.RenameStep{Old: "ask", New: "a b"}, "cannot be an id"},
		{workflow.RenameStep{Old: "none", New: "x"}, "no step has the id"},
		{workflow.RenameTrigger{Old: "webhook", New: "nightly"}, "already"},
		{workflow.RenameTrigger{Old: "none", New: "x"}, "no trigger has the id"},
		{workflow.RenameField{Path: "steps.map.set.a", New: "b"}, "already"},
		{workflow.RenameField{Path: "steps[0]", New: "b"}, "entry of a list"},
		{workflow.RenameField{Path: "steps.map.set.a", New: "it's"}, "leave out quotes"},
	} {
		out, err := workflow.Edit([]byte(linked), test.op)
		if err == nil || !strings.Contains(err.Error(), test.want) || string(out) != linked {
			t.Errorf("%v: %v, want %q", test.op, err, test.want)
		}
	}
	whole := strings.Replace(linked, "${{ trigger.body.a }}", "${{ toJSON(steps.ask) }}", 1)
	if _, err := workflow.Edit([]byte(strings.Replace(whole, "steps.map?.b.c", "steps.map", 1)), workflow.RenameField{Path: "steps.map.set.a", New: "q"}); err == nil ||
		!strings.Contains(err.Error(), "as a whole") {
		t.Errorf("a field of what is read as a whole: %v", err)
	}
}

// TestRenameInDraft: an unfinished file can be renamed in, unless the unreadable part may refer to the step.
func TestRenameInDraft(t *testing.T) {
	src := linked + "  - filter: \"steps.map.a >\"\n  - use: \n"
	out, err := workflow.Edit([]byte(src), workflow.RenameStep{Old: "ask", New: "approval"})
	if err != nil || !bytes.Contains(out, []byte("approval_url('approval')")) {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := workflow.Edit([]byte(src), workflow.RenameStep{Old: "map", New: "other"}); err == nil || !strings.Contains(err.Error(), "may refer to it") {
		t.Errorf("%v", err)
	}
}

// TestRenameInTests: the tests of a workflow follow.
func TestRenameInTests(t *testing.T) {
	const src = `workflow: a
tests:
  - name: steps old   # old
    trigger: {id: old, body: {step: old}}
    mocks:
      - {use: http.request, step: old, returns: {step: old}}
    expect:
      steps: {"old": {a: 1}, other: 2}
      errors:
        old: {status: 500}
      calls:
        - {use: http.request, step: old}
`
	out, err := workflow.RenameInTests([]byte(src), false, "old", "fresh")
	want := strings.NewReplacer(`request, step: old`, `request, step: fresh`, `{"old": {a`, `{"fresh": {a`, "        old: {status", "        fresh: {status").Replace(src)
	if diff := cmp.Diff(want, string(out)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	back, err := workflow.RenameInTests(out, false, "fresh", "old")
	if err != nil || string(back) != src {
		t.Errorf("and back: %v\n%s", err, back)
	}
	out, err = workflow.RenameInTests([]byte(src), true, "old", "fresh")
	if want := strings.Replace(src, "{id: old,", "{id: fresh,", 1); err != nil || string(out) != want {
		t.Errorf("a trigger: %v\n%s", err, out)
	}
	if _, err := workflow.RenameInTests([]byte(src), false, "old", "other"); err == nil {
		t.Error("two expectations became one")
	}
}

// TestPaste pastes steps in the forms in which people have them.
func TestPaste(t *testing.T) {
	for _, test := range []struct {
		name, text string
		at         int
		list       workflow.Path
		want       string // in the place of the mark
	}{
		{"one step", "set: {a: 1}\n", 4, "steps", "  - set: {a: 1}\n"},
		{"a list, indented and with comments", "      # why\n      - id: new\n        set:\n          a: 1   # one\n", 4, "steps", "  # why\n  - id: new\n    set:\n      a: 1   # one\n"},
		{
			"ids that are taken", "- id: map\n  set: {a: 1}\n- id: map_2\n  set: {a: \"${{ steps.map.a }} ${{ steps.back.x }}\"}\n", 4, "steps",
			"  - id: map_3\n    set: {a: 1}\n  - id: map_2\n    set: {a: \"${{ steps.map_3.a }} ${{ steps.back.x }}\"}\n",
		},
		{"a part of a file", "name: X\nsteps:\n  - id: ask\n    stop: {}\n", 4, "steps", "  - id: ask_2\n    stop: {}\n"},
		{"CRLF", "- stop: {}\r\n- stop: {as: failed}\r\n", 4, "steps", "  - stop: {}\n  - stop: {as: failed}\n"},
	} {
		out, err := workflow.Edit([]byte(linked), workflow.Paste{Path: test.list, At: test.at, Text: test.text})
		if diff := cmp.Diff(linked+test.want, string(out)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", test.name, err, diff)
			continue
		}
		if _, problems := workflow.Parse("w", out); problems.Err() != nil {
			t.Errorf("%s: %v", test.name, problems)
		}
	}
	for _, text := range []string{"", "hello", "- 1\n", "- a: 1\n", "a: [", "steps: 3", "{}", "- id: x\n"} {
		out, err := workflow.Edit([]byte(linked), workflow.Paste{Path: "steps", At: 0, Text: text})
		if err == nil || string(out) != linked || !strings.Contains(err.Error(), "holds no steps") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestPasteLaw copies every step of every file behind itself: the file stays as good as it was.
func TestPasteLaw(t *testing.T) {
	pasted := 0
	for name, src := range editFiles(t) {
		_, problems := workflow.Parse(name, src)
		if problems.Err() != nil {
			continue
		}
		o, err := workflow.ReadOutline(src)
		if err != nil {
			t.Fatal(name, err)
		}
		o.Each(func(e *workflow.OutlineEntry, list workflow.Path, i int) bool {
			if list == "triggers" {
				return true
			}
			text, err := workflow.TextAt(src, e.Path)
			if err != nil {
				t.Fatal(name, err)
			}
			out, err := workflow.Edit(src, workflow.Paste{Path: list, At: i + 1, Text: string(text)})
			if err != nil {
				t.Errorf("%s: %s: %v", name, e.Path, err)
				return true
			}
			pasted++
			if _, problems := workflow.Parse(name, out); problems.Err() != nil {
				t.Errorf("%s: %s copied: %v\n%s", name, e.Path, problems, out)
			}
			return true
		})
	}
	if pasted < 20 {
		t.Errorf("only %d steps were copied", pasted)
	}
}

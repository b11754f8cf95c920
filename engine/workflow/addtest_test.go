package workflow_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func TestAddTest(t *testing.T) {
	const one = "workflow: orders\ntests:\n  - name: new one\n    trigger:\n      body:\n        note: |\n          two\n\n          lines\n    expect: {status: succeeded}\n"
	const first = "name: first\n    trigger: {body: {}}\n    expect: {status: filtered}"
	for _, tt := range []struct{ name, file, want, err string }{
		{"no file", "", one, ""},
		{
			"behind the last, comments stay", "# about orders\nworkflow: orders\ntests: # all of them\n  - " + first + "   # why\n",
			"# about orders\nworkflow: orders\ntests: # all of them\n  - " + first + "   # why\n" + one[strings.Index(one, "  - "):], "",
		},
		{
			"another indentation, no line at the end", "workflow: orders\ntests:\n- name: first\n  trigger: {body: {}}\n  expect: {status: filtered}",
			"workflow: orders\ntests:\n- name: first\n  trigger: {body: {}}\n  expect: {status: filtered}\n- name: new one\n  trigger:\n    body:\n      note: |\n        two\n\n        lines\n  expect: {status: succeeded}\n", "",
		},
		{
			"a key behind the tests", "tests:\n  - " + first + "\n\n# which\nworkflow: orders\n",
			"tests:\n  - " + first + "\n" + one[strings.Index(one, "  - "):] + "\n# which\nworkflow: orders\n", "",
		},
		{"in one line", "workflow: orders\ntests: [{name: first, trigger: {body: {}}, expect: {status: filtered}}]\n", "", "its tests do not stand one below the other"},
		{"with mistakes", "workflow: orders\ntests:\n  - nam: x\n", "", "the test file has mistakes"},
		{"there already", one, "", workflow.ErrTestThere.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := workflow.AddTest([]byte(tt.file), []byte(one))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				if tt.name == "there already" && !errors.Is(err, workflow.ErrTestThere) {
					t.Error("not the error that says so")
				}
				return
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

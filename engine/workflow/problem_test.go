package workflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func number(digits string) json.Number { return json.Number(digits) }

func TestProblemIsDrawn(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, c := range map[string]struct{ src, want string }{
		"plain": {
			"triggers: [{webhook: {}}]\nsteps:\n  - fliter: true\n",
			"a.yaml:3:5: a step has no key \"fliter\"\n  3 |   - fliter: true\n    |     ^\n  hint: did you mean filter?",
		},
		"wide characters count once": {
			"triggers: [{webhook: {}}]\nsteps: [{set: {größe: 1, größe: 2}}]\n",
			"a.yaml:2:26: the key \"größe\" is given twice\n  2 | steps: [{set: {größe: 1, größe: 2}}]\n    |                          ^\n  hint: it stands in line 2 already",
		},
		"a tab is one column": {
			"triggers: [{webhook: {}}]\nsteps: [{filter:\t\tuper(1)}]\n",
			"a.yaml:2:19: filter: unknown function uper\n  2 | steps: [{filter:  uper(1)}]\n    |                   ^\n  hint: did you mean upper?",
		},
		"a long line is cut": {
			"triggers: [{webhook: {}}]\nsteps: [{set: {a: \"" + long + "${{ uper(1) }}" + long + "\"}}]\n",
			"a.yaml:2:324: a: unknown function uper\n  2 | …" + strings.Repeat("x", 46) + "${{ uper(1) }}" + strings.Repeat("x", 39) +
				"…\n    | " + strings.Repeat(" ", 51) + "^\n  hint: did you mean upper?",
		},
		"windows lines": {
			"triggers: [{webhook: {}}]\r\nsteps:\r\n  - fliter: true\r\n",
			"a.yaml:3:5: a step has no key \"fliter\"\n  3 |   - fliter: true\n    |     ^\n  hint: did you mean filter?",
		},
		"a warning": {
			"triggers: [{webhook: {window: 2h}}]\nsteps: [{filter: true}]\n",
			"a.yaml:1:23: warning: window has no effect: the webhook has no dedupe key\n" +
				"  1 | triggers: [{webhook: {window: 2h}}]\n    |                       ^\n  hint: add dedupe",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := workflow.Parse("a.yaml", []byte(c.src))
			if got := problems.Error(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestProblemsAsError(t *testing.T) {
	bad := workflow.Problem{File: "a", Message: "wrong"}
	warning := workflow.Problem{File: "a", Message: "odd", Warning: true}
	if err := (workflow.Problems{warning}).Err(); err != nil {
		t.Errorf("a warning is an error: %v", err)
	}
	err := (workflow.Problems{warning, bad}).Err()
	if err == nil {
		t.Fatal("a problem is no error")
	}
	if got := workflow.AsProblems(fmt.Errorf("load: %w", err)); len(got) != 2 {
		t.Errorf("AsProblems gives %v", got)
	}
	if workflow.AsProblems(errors.New("other")) != nil {
		t.Error("another error holds problems")
	}
}

func TestProblemNamesItsStep(t *testing.T) {
	_, problems := workflow.Load("a.yaml", []byte(`
triggers: [{webhook: {}}]
steps:
  - {id: one, filter: nope}
  - {id: two, use: http.request}
  - {id: three, set: {a: 1}, on_error: [{id: four, filter: nope}]}
  - {id: five, filter: steps.six}
  - filter: nope
`), catalog())
	var got []string
	for _, p := range problems {
		got = append(got, p.Step)
	}
	if want := "one two four five step_6"; strings.Join(got, " ") != want {
		t.Errorf("steps are %v, want %s\n%v", got, want, problems)
	}
}

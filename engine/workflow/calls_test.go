package workflow_test

import (
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func TestCallsLeadSomewhereAndNotBack(t *testing.T) {
	const head = "triggers: [{webhook: {}}]\nsteps:\n"
	texts := map[string]string{
		"a":    head + "  - parallel: [{steps: [{call: {workflow: b}}]}]\n",
		"b":    head + "  - call: {workflow: c}\n",
		"c":    head + "  - for_each: {in: trigger.body}\n    steps: [{call: {workflow: a}}]\n",
		"d":    head + "  - call: {workflow: b}\n",
		"self": head + "  - call: {workflow: self}\n",
		"lost": head + "  - {call: {workflow: e}}\n",
		"leaf": head + "  - stop:\n",
		"good": head + "  - call: {workflow: leaf}\n  - call: {workflow: leaf}\n",
	}
	all := map[string]*workflow.Workflow{}
	for id, text := range texts {
		w, problems := workflow.ParseAs(id, id+".yaml", []byte(text))
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		all[id] = w
	}
	for id, want := range map[string]string{
		"a": "a calls b calls c calls a", "b": "b calls c calls a calls b", "self": "self calls self", "lost": `there is no workflow "e"`,
		"d": "", "good": "",
	} {
		problems := all[id].CheckCalls(func(id string) *workflow.Workflow { return all[id] }, nil)
		if got := problems.Error(); want == "" && len(problems) > 0 || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
}

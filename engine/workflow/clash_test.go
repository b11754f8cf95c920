package workflow_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func TestClashes(t *testing.T) {
	files := map[string]string{ // by id
		"a":       `{path: "orders/{id}", methods: [POST, PUT]}`,
		"b":       `{path: "orders/{order}", methods: [GET, PUT]}`,
		"c":       `{path: "orders/{id}", methods: [DELETE]}`,
		"d":       `{path: orders/new}`, // a fixed segment goes before a parameter
		"e":       `{path: b}`,
		"f":       `{path: d}`,
		"g/b":     `{path: e}`,
		"shop":    `{path: z}`,
		"z":       `{}`,
		"zz/test": `{path: z, methods: [GET]}`,
	}
	want := []string{
		"b.yaml:1:29: PUT /hooks/orders/{order} reaches the workflow a already",
		"z.yaml:1:22: POST /hooks/z reaches the workflow shop already",
	}
	var ws []*workflow.Workflow
	for id, webhook := range files {
		ws = append(ws, parsed(t, id, "triggers: [{webhook: "+webhook+"}]\nsteps: [{set: {a: 1}}]\n"))
	}
	// A disabled workflow has no address of its own.
	ws = append(ws, parsed(t, "off", "enabled: false\ntriggers: [{webhook: {path: z}}]\nsteps: [{set: {a: 1}}]\n"))
	if diff := cmp.Diff(want, said(workflow.Clashes(ws))); diff != "" {
		t.Errorf("clashes (-want +got):\n%s", diff)
	}
}

func parsed(t *testing.T, id, text string) *workflow.Workflow {
	t.Helper()
	w, problems := workflow.ParseAs(id, id+".yaml", []byte(text))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return w
}

func said(ps workflow.Problems) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.File+":"+strconv.Itoa(p.Line)+":"+strconv.Itoa(p.Column)+": "+p.Message)
	}
	return out
}

package workflow_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func TestParseTest(t *testing.T) {
	src, err := os.ReadFile("testdata/good/orders.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, problems := workflow.ParseTest("orders.test.yaml", src)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	hello := "hello"
	want := []*workflow.Test{
		{
			Name:    "a large order is announced",
			Trigger: map[string]any{"id": "order", "body": map[string]any{"total": 129, "customer": map[string]any{"name": "Ada"}}},
			Now:     time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
			Mocks:   []*workflow.Mock{{Use: "slack.post_message", Returns: &workflow.Returned{Value: map[string]any{"ok": true}}}},
			Expect: workflow.Expect{
				Status: "succeeded",
				Steps:  []workflow.Expected{{ID: "order", Want: map[string]any{"customer": "ADA"}}},
				Calls:  []*workflow.ExpectedCall{{Use: "slack.post_message", With: map[string]any{"channel": "#sales"}, Times: 1}},
			},
		},
		{
			Name:        "everything",
			Event:       "events/order.json",
			Connections: map[string]map[string]string{"shop": {"token": "abc", "region": "eu"}},
			Mocks: []*workflow.Mock{
				{Use: "http.request", Step: "call", With: map[string]any{"method": "POST"}, Fails: &workflow.Failed{Status: 429, Message: "slow down"}},
				{HTTP: []*workflow.Exchange{
					{
						Expect: workflow.Request{
							Method: "GET", URL: "https://example.com/a", Query: map[string]string{"page": "2"},
							Headers: map[string]string{"accept": "text/plain"}, JSON: &workflow.Returned{Value: map[string]any{"a": 1}},
						},
						Reply: workflow.Reply{Status: 201, Headers: map[string]string{"x-a": "b"}, JSON: &workflow.Returned{Value: map[string]any{"ok": true}}},
					},
					{Expect: workflow.Request{Body: &hello}, Reply: workflow.Reply{Status: 200, Body: "bye"}},
				}},
				{Step: "other", HTTP: []*workflow.Exchange{{Reply: workflow.Reply{Status: 200}}}},
				{Use: "store.get", Returns: &workflow.Returned{}},
			},
			Expect: workflow.Expect{
				Status: "failed", Reason: "declined",
				Errors:  []workflow.Expected{{ID: "call", Want: map[string]any{"status": 429}}},
				Respond: &workflow.ExpectedResponse{Status: 200, Headers: map[string]string{"content-type": "text/plain"}, Body: &workflow.Returned{Value: "ok"}},
				Calls:   []*workflow.ExpectedCall{{Use: "http.request", Step: "call", Times: 3}},
			},
		},
		{Name: "nothing leaves", Trigger: map[string]any{}, Expect: workflow.Expect{Calls: []*workflow.ExpectedCall{}}},
	}
	places := cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().Type() != nil && strings.HasSuffix(p.Last().Type().String(), "workflow.Position")
	}, cmp.Ignore())
	if d := cmp.Diff(want, f.Tests, places); d != "" {
		t.Error(d)
	}
	if f.Workflow != "big-orders" || f.File != "orders.test.yaml" {
		t.Errorf("the file is %q of workflow %q", f.File, f.Workflow)
	}
}

func TestTestFileAgainstItsWorkflow(t *testing.T) {
	w, problems := workflow.Parse("a.yaml", []byte(`
triggers: [{id: order, webhook: {}}]
steps:
  - {id: call, use: http.request, with: {url: https://example.com}}
  - {id: told, set: {a: 1}}
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f, problems := workflow.ParseTest("a.test.yaml", []byte(`
workflow: a
tests:
  - name: fits
    trigger: {id: order}
    mocks: [{use: http.request, returns: 1}, {step: call, returns: 1}]
    expect: {steps: {told: {a: 1}}, errors: {call: {}}, calls: [{use: http.request, step: call}, {use: store.get, times: 0}]}
  - name: by hand
    trigger: {id: manual, body: {}}
    expect: {status: succeeded}
  - name: does not fit
    trigger: {id: ordr}
    mocks: [{use: http.reqest, returns: 1}, {step: cal, returns: 1}]
    expect: {steps: {tol: {a: 1}}, errors: {cll: {}}, calls: [{use: store.get}, {use: http.request, step: x}]}
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, p := range f.Check(w) {
		got = append(got, strings.SplitN(p.String(), "\n", 2)[0]+" / "+p.Hint)
	}
	want := []string{
		`a.test.yaml:12:14: the workflow a has no trigger "ordr" / did you mean order?`,
		`a.test.yaml:13:13: no step of the workflow a uses http.reqest / did you mean http.request?`,
		`a.test.yaml:13:52: the workflow a has no step "cal" / did you mean call?`,
		`a.test.yaml:14:22: the workflow a has no step "tol" / did you mean told?`,
		`a.test.yaml:14:45: the workflow a has no step "cll" / did you mean call?`,
		`a.test.yaml:14:63: no step of the workflow a uses store.get / `,
		`a.test.yaml:14:81: the workflow a has no step "x" / known here: call, told`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

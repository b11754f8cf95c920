package rehearsal_test

import (
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors/catalog"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const asking = `
triggers: [{webhook: {}}]
steps:
  - {id: ask, approve: {message: "Refund ${{ trigger.body.total }}?", timeout: 3d}, on_error: continue}
  - {id: nap, wait: {for: 30d}}
  - {id: paid, wait: {callback: {timeout: 1d}}, on_error: continue}
  - {id: bill, call: {workflow: billing/invoice, with: {total: "${{ trigger.body.total }}"}}}
  - id: each
    for_each: {in: trigger.body.items, concurrency: 2}
    steps: [{id: tell, use: http.request, with: {method: POST, url: "https://chat.example.com/", json: {n: "${{ item }}"}}}]
  - {id: end, set: {by: "${{ steps.ask.by }}", late: "${{ errors.ask.message }}", paid: "${{ steps.paid.body.amount }}", bill: "${{ steps.bill.number }}", told: "${{ len(steps.each) }}"}}
`

func TestAnswersOfATest(t *testing.T) {
	w, problems := workflow.Parse("w.yaml", []byte(asking))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	const (
		trigger = "trigger: {body: {total: 12, items: [1, 2, 3]}}"
		http    = "{use: http.request, returns: {status: 200}}"
		bill    = "{step: bill, returns: {number: 7}}"
	)
	for _, tt := range []struct{ name, test, want string }{
		{"everybody answers", trigger + ", mocks: [{step: ask, returns: {approved: true, by: Ada}}, {step: paid, returns: {body: {amount: 12}}}, " + bill + ", " + http + "]," +
			" expect: {status: succeeded, steps: {end: {by: Ada, paid: 12, bill: 7, told: 3}}, calls: [{use: http.request, times: 3}]}", ""},
		{"nobody does", trigger + ", mocks: [" + bill + ", " + http + "], expect: {status: succeeded, steps: {end: {late: nobody answered within 72h0m0s}}, errors: {paid: {message: nobody called back within 24h0m0s}}}", ""},
		{"declined", trigger + ", mocks: [{step: ask, returns: {approved: false, comment: no}}], expect: {status: filtered, reason: declined}", ""},
		{"the other workflow fails", trigger + ", mocks: [{step: bill, fails: {message: no customer}}], expect: {status: failed, reason: 'billing/invoice: no customer'}", ""},
		{"nobody runs the other workflow", trigger + ", expect: {status: failed}", "step bill calls a workflow, and no mock answers"},
		{"an answer that is none", trigger + ", mocks: [{step: ask, returns: Ada}, " + bill + ", " + http + "], expect: {status: succeeded}", "its answer is such as {approved: true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, problems := workflow.ParseTest("w.test.yaml", []byte("workflow: w\ntests:\n  - {name: a, "+tt.test+"}\n"))
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			r := rehearsal.Suite{File: f, Workflow: w, Connectors: catalog.Registry()}.Run(t.Context())[0]
			if got := strings.Join(r.Failures, "\n"); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

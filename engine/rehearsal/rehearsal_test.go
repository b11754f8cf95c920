package rehearsal_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors/catalog"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const flow = `
triggers: [{id: order, webhook: {}}]
steps:
  - filter: trigger.body.total >= 100
  - id: order
    set: {customer: "${{ upper(trigger.body.name) }}", at: "${{ format_date(now(), 'YYYY-MM-DD') }}"}
  - id: tell
    use: http.request
    with: {method: POST, url: "https://chat.example.com/m", headers: {x-a: b}, json: {text: "${{ steps.order.customer }}"}}
    retry: {attempts: 3, initial: 1h, max: 8h}
  - id: count
    use: store.increment
    with: {key: told}
  - respond: {status: 201, body: {id: "${{ steps.tell.body.id }}"}}
`

func play(t *testing.T, test string) []rehearsal.Result {
	t.Helper()
	w, problems := workflow.Parse("w.yaml", []byte(flow))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	f, problems := workflow.ParseTest("w.test.yaml", []byte("workflow: w\ntests:\n"+test))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return rehearsal.Suite{
		File: f, Workflow: w, Connectors: catalog.Registry(),
		Open: func(name string) ([]byte, error) {
			if name != "events/order.json" {
				return nil, errors.New("no such file")
			}
			return []byte(`{"body": {"total": 500, "name": "eve"}}`), nil
		},
	}.Run(t.Context())
}

func TestWhatATestCanSee(t *testing.T) {
	const big = "trigger: {body: {total: 129, name: Ada}}"
	const mock = "mocks: [{use: http.request, returns: {status: 200, body: {id: 7}}}]"
	for _, tt := range []struct {
		name, test string
		want       []string // parts of the failures, in order; none: it passes
	}{
		{"all holds", big + ", now: 2026-03-01T09:00:00Z, " + mock +
			", expect: {status: succeeded, steps: {order: {customer: ADA, at: 2026-03-01}, count: 1}, respond: {status: 201, body: {id: 7}}, calls: [{use: http.request, with: {json: {text: ADA}}}]}", nil},
		{"an event file", "event: events/order.json, " + mock + ", expect: {steps: {order: {customer: EVE}}}", nil},
		{"a missing event file", "event: events/none.json, expect: {status: succeeded}", []string{"events/none.json cannot be read"}},
		{"wrong status", "trigger: {body: {total: 1}}, expect: {status: succeeded}", []string{"the run ended as filtered (Stopped by a filter: trigger.body.total >= 100 (it was 1)), want succeeded"}},
		{"wrong output", big + ", " + mock + ", expect: {steps: {order: {customer: BOB}}}", []string{`steps.order.customer is "ADA", want "BOB"`}},
		{"a number for a text", big + ", " + mock + `, expect: {steps: {tell: {status: "200"}}}`, []string{`steps.tell.status is 200 (a number), want "200" (text)`}},
		{"another reason", "trigger: {body: {total: 1}}, expect: {reason: too small}", []string{`the reason is "Stopped by a filter: trigger.body.total >= 100 (it was 1)", want "too small" in it`}},
		{"not reached", "trigger: {body: {total: 1}}, expect: {steps: {order: {customer: ADA}}}", []string{"step order was not reached"}},
		{"no mock", big + ", expect: {status: failed}", []string{"no mock answers: add one"}},
		{"an unexpected call", big + ", " + mock + ", expect: {calls: []}", []string{"step tell called http.request, which the test does not expect"}},
		{"a call with other data", big + ", " + mock + ", expect: {calls: [{use: http.request, with: {json: {text: BOB}}}]}", []string{`json.text is "ADA", want "BOB"`}},
		{"a call too few", big + ", " + mock + ", expect: {calls: [{use: http.request, times: 2}]}", []string{"was called 1 times, want 2"}},
		{"hours of retries", big + ", mocks: [{use: http.request, fails: {status: 503}}], expect: {status: failed, errors: {tell: {status: 503, attempts: 3}}}", nil},
		{"a final answer", big + ", mocks: [{use: http.request, fails: {status: 404}}], expect: {status: failed, errors: {tell: {status: 404, attempts: 1}}}", nil},
		{"at the HTTP boundary", big + `, mocks: [{use: http.request, http: {expect: {method: POST, url: "https://chat.example.com/m", headers: {X-A: b}, json: {text: ADA}}, reply: {json: {id: 9}}}}], expect: {respond: {body: {id: 9}}}`, nil},
		{
			"another request at the boundary", big + `, mocks: [{use: http.request, http: {expect: {method: PUT, json: {text: BOB}}, reply: {json: {id: 9}}}}], expect: {status: succeeded}`,
			[]string{"the method is POST, want PUT", `the body.text is "ADA", want "BOB"`},
		},
		{
			"a boundary with too few answers", big + `, mocks: [{use: http.request, http: [{reply: {status: 503}}]}], expect: {status: failed}`,
			[]string{"made HTTP call 2", "made HTTP call 3"},
		},
		{"wrong answer", big + ", " + mock + ", expect: {respond: {status: 200}}", []string{"the answer has status 201, want 200"}},
		{"unknown trigger", "trigger: {id: nope}, expect: {status: succeeded}", []string{`no trigger "nope"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			results := play(t, "  - {name: x, "+tt.test+"}\n")
			got := results[0].Failures
			if len(got) != len(tt.want) {
				t.Fatalf("failures %q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.Contains(got[i], tt.want[i]) {
					t.Errorf("failure %q, want %q in it", got[i], tt.want[i])
				}
			}
		})
	}
}

func TestEachTestBeginsWithAnEmptyStore(t *testing.T) {
	const one = "trigger: {body: {total: 129, name: Ada}}, mocks: [{use: http.request, returns: {status: 200, body: {id: 7}}}], expect: {steps: {count: 1}}}\n"
	for _, r := range play(t, "  - {name: a, "+one+"  - {name: b, "+one) {
		if !r.Passed() {
			t.Error(r.Name, r.Failures)
		}
	}
}

func TestJUnitIsXML(t *testing.T) {
	results := play(t, "  - {name: \"a < b\", trigger: {body: {total: 1}}, expect: {status: succeeded}}\n  - {name: c, trigger: {body: {total: 1}}, expect: {status: filtered}}\n")
	var b bytes.Buffer
	if err := rehearsal.JUnit(&b, []rehearsal.Outcome{{File: "w.test.yaml", Workflow: "w", Results: results}}); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name    string `xml:"name,attr"`
				Failure string `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	s := back.Suites[0]
	if s.Tests != 2 || s.Failures != 1 || s.Cases[0].Name != "a < b" || !strings.Contains(s.Cases[0].Failure, "want succeeded") || s.Cases[1].Failure != "" {
		t.Errorf("%+v", s)
	}
}

func TestOnceMakesRealCallsUnlessItPretends(t *testing.T) {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"id": 3}`))
	}))
	defer server.Close()
	w, problems := workflow.Parse("w.yaml", []byte(strings.ReplaceAll(flow, "https://chat.example.com", server.URL)))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	for _, pretend := range []bool{true, false} {
		out, pretended, err := rehearsal.Once{
			Workflow: w, Event: map[string]any{"body": map[string]any{"total": 200, "name": "Ada"}},
			Connectors: catalog.Registry(), HTTP: server.Client(), Pretend: pretend,
		}.Run(context.Background())
		if err != nil || out.View.Status != "succeeded" {
			t.Fatalf("pretend %v: %+v, %v", pretend, out, err)
		}
		want := 1
		if pretend {
			want = 0
		}
		if calls != want || len(pretended) != 1-want {
			t.Errorf("pretend %v: %d calls, pretended %v", pretend, calls, pretended)
		}
	}
}

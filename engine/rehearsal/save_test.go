package rehearsal_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors/catalog"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const saved = `
triggers: [{id: order, webhook: {}}]
steps:
  - filter: trigger.body.total >= 100
  - id: order
    set: {customer: "${{ upper(trigger.body.name) }}", id: "${{ uuid() }}", hash: "${{ sha256(trigger.headers.authorization) }}", list: ["${{ uuid() }}", 1]}
  - id: find
    use: http.request
    with: {url: "https://crm.example.com/customers", query: {name: "${{ steps.order.customer }}", id: "${{ steps.order.id }}"}}
  - use: store.get
    with: {key: greeting}
  - id: tell
    use: http.request
    with: {method: POST, url: "https://chat.example.com/m", json: {text: "${{ steps.order.customer }} of ${{ steps.find.body.city }}", token: "${{ steps.find.body.token }}"}}
    on_error: continue
  - respond: {status: 201, body: {customer: "${{ steps.order.customer }}", id: "${{ steps.order.id }}"}}
`

func save(t *testing.T, w *workflow.Workflow, event map[string]any, answer func(engine.SimulatedCall) (any, error)) *rehearsal.TestText {
	t.Helper()
	past := ranEvent(t, w, event, answer)
	out, err := rehearsal.AsTest{
		ID: past.ID, Journal: past.Journal, Workflow: w, Connectors: catalog.Registry(),
		Redact: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("s3cr3t-value"), []byte("[redacted]")) },
	}.Text(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestARunBecomesATest(t *testing.T) {
	event := map[string]any{
		"body":    map[string]any{"total": 129, "name": "Ada", "api_key": "k-1", "note": "it holds s3cr3t-value"},
		"headers": map[string]any{"authorization": "Bearer abc", "x-shopify-hmac-sha256": "sig", "cookie": "a=b", "user-agent": "curl"},
		"query":   map[string]any{"access_token": "t-1", "page": "2"},
	}
	for _, tt := range []struct {
		name   string
		answer func(engine.SimulatedCall) (any, error)
		want   []string
	}{
		{"all goes well", func(c engine.SimulatedCall) (any, error) {
			if c.Step.ID == "find" {
				return map[string]any{"status": 200, "body": map[string]any{"city": "London", "token": "t0ken-of-crm"}}, nil
			}
			return map[string]any{"status": 200, "body": "s3cr3t-value"}, nil
		}, []string{"status: succeeded", "customer: ADA", "use: store.get", "status: 201", "text: ADA of London", "city: London"}},
		{"a call fails", func(c engine.SimulatedCall) (any, error) {
			if c.Step.ID == "tell" {
				return nil, recordedFailure{}
			}
			return map[string]any{"status": 200, "body": map[string]any{"city": "London"}}, nil
		}, []string{"fails:", "message: the line is dead", "errors:"}},
		{"it asks how the event came", func(engine.SimulatedCall) (any, error) {
			return map[string]any{"status": 200, "body": map[string]any{"city": "London"}}, nil
		}, []string{"user-agent: curl", "the event of 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := read(t, saved)
			if tt.name == "it asks how the event came" {
				w = read(t, saved+"  - set: {by: \"${{ trigger.headers['user-agent'] }}\"}\n")
			}
			out := save(t, w, event, tt.answer)
			if len(out.Failures) > 0 {
				t.Errorf("the test does not pass: %q\n%s", out.Failures, out.Text)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.Text, want) {
					t.Errorf("no %q in\n%s", want, out.Text)
				}
			}
			if strings.Contains(out.Text, "user-agent") != strings.Contains(string(w.Source), "user-agent") {
				t.Errorf("how the event came is in the test only where the workflow asks for it:\n%s", out.Text)
			}
			for _, secret := range []string{"Bearer abc", "k-1", "t-1", "a=b", "s3cr3t-value", "t0ken-of-crm"} {
				if strings.Contains(out.Text, secret) {
					t.Errorf("the test holds the secret %q:\n%s", secret, out.Text)
				}
			}
			// It shows something: another version fails it.
			other := read(t, strings.Replace(saved, "upper(", "lower(", 1))
			f, problems := workflow.ParseTest("w.test.yaml", []byte(out.Text))
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			if r := (rehearsal.Suite{File: f, Workflow: other, Connectors: catalog.Registry()}).Run(t.Context()); r[0].Passed() {
				t.Errorf("another version passes\n%s", out.Text)
			}
		})
	}
}

type recordedFailure struct{}

func (recordedFailure) Error() string { return "the line is dead" }

// A secret is one wherever it stands: under a name of its own where the run used it as one, and in an address.
func TestSecretsOfAnyName(t *testing.T) {
	w := read(t, `
triggers: [{webhook: {}}]
steps:
  - use: http.request
    with:
      method: POST
      url: ${{ trigger.body.callback }}
      headers: {authorization: "Bearer ${{ trigger.body.auth }}", x-customer: "${{ trigger.body.name }}"}
      json: {note: "${{ trigger.body.note }}", password: from-the-file}
`)
	out := save(t, w, map[string]any{"body": map[string]any{
		"auth": "hidden-in-plain-sight", "name": "Ada", "note": "ask with hidden-in-plain-sight",
		"callback": "https://me:my-pass@shop.example.com/done?order=7&api_key=key-of-shop",
		"link":     `<a href="https://x.example.com/?a=1&access_token=tok-en&page=2">see</a>`,
	}}, func(engine.SimulatedCall) (any, error) { return map[string]any{"status": 200, "body": nil}, nil })
	if len(out.Failures) > 0 {
		t.Errorf("the test does not pass: %q\n%s", out.Failures, out.Text)
	}
	for _, secret := range []string{"hidden-in-plain-sight", "my-pass", "key-of-shop", "tok-en&", "from-the-file"} {
		if strings.Contains(out.Text, secret) {
			t.Errorf("the test holds %q:\n%s", secret, out.Text)
		}
	}
	for _, want := range []string{"x-customer: Ada", "order=7", "page=2"} {
		if !strings.Contains(out.Text, want) {
			t.Errorf("no %q in\n%s", want, out.Text)
		}
	}
}

func TestAFilteredRunBecomesATest(t *testing.T) {
	out := save(t, read(t, saved), map[string]any{"body": map[string]any{"total": 1}}, crm)
	if len(out.Failures) > 0 || !strings.Contains(out.Text, "status: filtered") || !strings.Contains(out.Text, "calls: []") {
		t.Errorf("%q\n%s", out.Failures, out.Text)
	}
}

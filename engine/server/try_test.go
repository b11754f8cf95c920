package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/server"
)

// listener is another system: it notes what it is sent.
func listener(t *testing.T) (address string, sent func() []string) {
	t.Helper()
	var mu sync.Mutex
	var list []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		list = append(list, r.Method+" "+r.URL.Path+" "+string(body))
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok": true, "n": 7}`)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string { mu.Lock(); defer mu.Unlock(); return append([]string{}, list...) }
}

// direct lets the engine call this machine.
func direct(o *server.Options) { o.Engine.HTTP = &http.Client{Timeout: patience} }

// TestTryStep previews a step, tries it really, and uses its output below.
func TestTryStep(t *testing.T) {
	h := newHouse(t, direct)
	address, sent := listener(t)
	d, _ := h.want(201, "POST", "/api/v1/drafts", `{"name": "Leads"}`)
	h.edit("leads", d["rev"].(string),
		`{"op": "insert", "path": "steps", "value": {"id": "only", "filter": "trigger.body.amount > 100"}}`,
		`{"op": "insert", "path": "steps", "value": {"id": "tell", "use": "http.request", "with": {"method": "POST", "url": "`+address+`/x", "headers": {"Authorization": "Bearer hidden"}, "json": {"who": "${{ trigger.body.name }}"}}}}`,
		`{"op": "insert", "path": "steps", "value": {"id": "later", "set": {"n": "${{ steps.tell.body.n }}"}}}`,
		`{"op": "insert", "path": "steps", "value": {"id": "broken", "use": "http.request"}}`,
		`{"op": "insert", "path": "steps", "value": {"id": "pause", "wait": {"for": "2h"}}}`)
	h.want(201, "POST", "/api/v1/drafts/leads/samples", `{"json": {"amount": 40, "name": "Ada"}}`)
	const steps = "/api/v1/drafts/leads/steps/"
	v, _ := h.want(200, "POST", steps+"only/test", `{"mode": "really"}`)
	if v["status"] != "filtered" || jsonText(at(v, "because", 0, "left")) != "40" {
		t.Errorf("a filter: %v", v)
	}
	v, _ = h.want(200, "POST", steps+"tell/test", `{"mode": "preview"}`)
	if v["status"] != "previewed" || at(v, "sent", 0, "method") != "POST" || at(v, "sent", 0, "body") != `{"who":"Ada"}` || len(sent()) != 0 {
		t.Errorf("a preview: %v, sent %v", v, sent())
	}
	if got := at(v, "sent", 0, "headers", "Authorization"); got != "•••" {
		t.Errorf("the secret shows: %v", got)
	}
	if p, _ := h.want(409, "POST", steps+"tell/test", `{"mode": "really"}`); p["code"] != "confirmation_needed" || len(sent()) != 0 {
		t.Errorf("without a confirmation: %v, sent %v", p, sent())
	}
	d, _ = h.want(200, "GET", "/api/v1/drafts/leads", "")
	if card := at(d, "model", "cards", "steps.tell"); card.(map[string]any)["test"] != nil {
		t.Errorf("a refused try left a result: %v", card)
	}
	v, _ = h.want(200, "POST", steps+"tell/test", `{"mode": "really", "confirmed": true}`)
	if v["status"] != "succeeded" || jsonText(at(v, "output", "body", "n")) != "7" || len(sent()) != 1 || sent()[0] != `POST /x {"who":"Ada"}` {
		t.Errorf("really: %v, sent %v", v, sent())
	}
	v, _ = h.want(200, "POST", steps+"later/test", `{"mode": "really"}`)
	if jsonText(at(v, "output", "n")) != "7" {
		t.Errorf("the output below: %v", v)
	}
	d, _ = h.want(200, "GET", "/api/v1/drafts/leads", "")
	if card := at(d, "model", "cards", "steps.tell", "test"); at(card, "status") != "succeeded" || at(card, "changed") != false {
		t.Errorf("the card: %v", card)
	}
	d = h.edit("leads", d["rev"].(string), `{"op": "set", "path": "steps.tell.with.json.who", "value": "x"}`)
	if card := at(d, "model", "cards", "steps.tell", "test"); at(card, "changed") != true {
		t.Errorf("the card after a change: %v", card)
	}
	if p, _ := h.want(422, "POST", steps+"broken/test", `{"mode": "really"}`); p["code"] != "step_has_problems" {
		t.Errorf("%v", p)
	}
	if p, _ := h.want(422, "POST", steps+"pause/test", `{"mode": "really"}`); p["code"] != "step_kind" {
		t.Errorf("%v", p)
	}
	if p, _ := h.want(404, "POST", steps+"none/test", `{"mode": "really"}`); p["code"] != "step_not_found" {
		t.Errorf("%v", p)
	}
	if len(sent()) != 1 {
		t.Errorf("sent: %v", sent())
	}
}

// TestTryOnlyReads lets a call that only reads be made without a confirmation, whatever its action could do.
func TestTryOnlyReads(t *testing.T) {
	h := newHouse(t, direct)
	address, sent := listener(t)
	h.want(201, "POST", "/api/v1/drafts", `{"id": "leads", "text": `+jsonText(`triggers:
  - webhook: {}
steps:
  - id: look
    use: http.request
    with: {method: "${{ trigger.body.how }}", url: "`+address+`/look"}
  - id: keep
    use: store.set
    with: {key: seen, value: 1}
`)+`}`)
	const steps = "/api/v1/drafts/leads/steps/"
	h.want(201, "POST", "/api/v1/drafts/leads/samples", `{"json": {"how": "GET"}}`)
	if v, _ := h.want(200, "POST", steps+"look/test", `{"mode": "really"}`); v["status"] != "succeeded" || len(sent()) != 1 {
		t.Errorf("a call that reads: %v, sent %v", v, sent())
	}
	made, _ := h.want(201, "POST", "/api/v1/drafts/leads/samples", `{"json": {"how": "DELETE"}}`)
	if p, _ := h.want(409, "POST", steps+"look/test", `{"mode": "really", "sample": `+jsonText(made["id"])+`}`); p["code"] != "confirmation_needed" || len(sent()) != 1 {
		t.Errorf("the same step with another event: %v, sent %v", p, sent())
	}
	if p, _ := h.want(409, "POST", steps+"keep/test", `{"mode": "really"}`); p["code"] != "confirmation_needed" {
		t.Errorf("a value that is kept: %v", p)
	}
}

// TestPreviewDialsNobody previews a step whose call is no HTTP.
func TestPreviewDialsNobody(t *testing.T) {
	dialed := 0
	h := newHouse(t, func(o *server.Options) {
		o.Engine.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed++
			return nil, errors.New("somebody dialed " + address)
		}
	})
	h.want(201, "POST", "/api/v1/connections", `{"name": "mail", "connector": "email", "auth": "password", "values": {"smtp_host": "mail.example", "from": "bell@mail.example", "username": "bell", "password": "x"}}`)
	before := dialed
	h.want(201, "POST", "/api/v1/drafts", `{"id": "leads", "text": `+jsonText(`triggers:
  - webhook: {}
steps:
  - id: mail
    use: email.send
    connection: mail
    with: {to: ada@example.com, subject: Hello, text: "You have ${{ trigger.body.n }}"}
`)+`}`)
	h.want(201, "POST", "/api/v1/drafts/leads/samples", `{"json": {"n": 3}}`)
	v, _ := h.want(200, "POST", "/api/v1/drafts/leads/steps/mail/test", `{"mode": "preview"}`)
	if v["status"] != "previewed" || at(v, "input", "text") != "You have 3" || dialed != before {
		t.Errorf("a preview: %v, dialed %d times", v, dialed-before)
	}
	h.want(200, "POST", "/api/v1/drafts/leads/steps/mail/test", `{"mode": "really", "confirmed": true}`)
	if dialed == before {
		t.Error("really dials nobody: this test shows nothing")
	}
}

// TestTryDraft runs a draft that was never published as a test: calls that change things are pretended, or made.
func TestTryDraft(t *testing.T) {
	h := newHouse(t, direct)
	address, sent := listener(t)
	h.want(201, "POST", "/api/v1/drafts", `{"id": "leads", "text": `+jsonText(`triggers:
  - webhook: {}
steps:
  - id: look
    use: http.request
    with: {method: GET, url: "`+address+`/look"}
  - id: tell
    use: http.request
    with: {method: POST, url: "`+address+`/tell", json: {n: "${{ steps.look.body.n }}", who: "${{ trigger.body.name }}"}}
`)+`}`)
	h.want(201, "POST", "/api/v1/drafts/leads/samples", `{"json": {"name": "Ada"}}`)
	started, _ := h.want(201, "POST", "/api/v1/drafts/leads/test", `{"mode": "pretend"}`)
	run := h.finished(started["run"].(string))
	if run["status"] != "succeeded" || run["test"] != "pretend" || len(sent()) != 1 || !strings.HasPrefix(sent()[0], "GET /look") {
		t.Errorf("pretended: %v, sent %v", run, sent())
	}
	started, _ = h.want(201, "POST", "/api/v1/drafts/leads/test", `{"mode": "really"}`)
	run = h.finished(started["run"].(string))
	if run["status"] != "succeeded" || run["test"] != "really" || len(sent()) != 3 || sent()[2] != `POST /tell {"n":7,"who":"Ada"}` {
		t.Errorf("really: %v, sent %v", run, sent())
	}
	list, _ := h.want(200, "GET", "/api/v1/runs?workflow=leads", "")
	if at(list, "items", 0, "test") != "really" || at(list, "items", 1, "test") != "pretend" {
		t.Errorf("the list: %v", list)
	}
	again, _ := h.want(201, "POST", "/api/v1/runs/"+at(list, "items", 1, "id").(string)+"/rerun", `{"from": "start", "version": "then"}`)
	if run := h.finished(again["id"].(string)); run["test"] != "pretend" || len(sent()) != 4 {
		t.Errorf("a rerun of a test: %v, sent %v", run, sent())
	}
	samples, _ := h.want(200, "GET", "/api/v1/drafts/leads/samples", "")
	if len(samples["items"].([]any)) != 1 {
		t.Errorf("test runs are samples: %v", samples)
	}
	if mode := engine.TestMode("webhook"); mode != "" {
		t.Errorf("a trigger is taken for a test: %q", mode)
	}
	h.want(201, "POST", "/api/v1/drafts", `{"id": "bad", "text": "steps: []"}`)
	if p, _ := h.want(422, "POST", "/api/v1/drafts/bad/test", `{"mode": "pretend"}`); p["code"] != "draft_has_problems" {
		t.Errorf("%v", p)
	}
}

// TestStats counts what a condition does with the last events.
func TestStats(t *testing.T) {
	h := newHouse(t, nil)
	for _, body := range []string{`{"total": 50}`, `{"total": 150}`, `{"total": 250}`, `{}`} {
		started, _ := h.want(201, "POST", "/api/v1/workflows/billing/invoice/runs", `{"body": `+body+`}`)
		h.finished(started["id"].(string))
	}
	v, _ := h.want(200, "POST", "/api/v1/expressions/stats", `{"draft": "billing/invoice", "expr": "trigger.body.total > 100"}`)
	if jsonText(v["events"]) != "4" || jsonText(v["pass"]) != "2" || jsonText(v["stop"]) != "1" || jsonText(v["failed"]) != "1" || !strings.Contains(v["error"].(string), "total is missing") {
		t.Errorf("%v", v)
	}
	h.want(422, "POST", "/api/v1/expressions/stats", `{"draft": "billing/invoice", "expr": "trigger.body.total >"}`)
	h.want(404, "POST", "/api/v1/expressions/stats", `{"draft": "none", "expr": "true"}`)
}

// TestComplete offers fields of the event, steps and functions.
func TestComplete(t *testing.T) {
	h := newHouse(t, nil)
	made, _ := h.want(202, "POST", "/hooks/invoices", `{"total": 129, "customer": {"first name": "Ada"}}`)
	h.finished(made["run"].(string))
	first := func(text, step string) string {
		v, _ := h.want(200, "POST", "/api/v1/drafts/billing/invoice/complete", `{"text": `+jsonText(text)+`, "at": `+jsonText(len(text))+`, "step": "`+step+`"}`)
		s, _ := at(v, "items", 0, "insert").(string)
		return s
	}
	for text, want := range map[string]string{
		"1 + trigger.body.to": "trigger.body.total", "first": `trigger.body.customer["first name"]`, "upp": "upper(", "steps.ord": "steps.order.cents", "zzz": "",
	} {
		if got := first(text, ""); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := first("steps.ord", "order"); got != "" {
		t.Errorf("a step sees its own output: %q", got)
	}
}

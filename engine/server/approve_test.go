package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine"
)

// waiting makes a run that waits at a step whose link it has put into `to`, and returns the path of that link.
func (h *house) waiting(text string) (id, path string) {
	h.t.Helper()
	h.want(201, "PUT", "/api/v1/workflows/asks/text", `{"text":`+quoted(text)+`}`)
	made, _ := h.want(201, "POST", "/api/v1/workflows/asks/runs", `{"body":{"total":129,"what":"<script>alert(1)</script>"}}`)
	id, _ = made["id"].(string)
	var run map[string]any
	h.eventually("a run that waits", func() bool {
		run, _ = h.want(200, "GET", "/api/v1/runs/"+id, "")
		return run["status"] == "waiting"
	})
	for _, s := range run["steps"].([]any) {
		step := s.(map[string]any)
		if out, ok := step["output"].(map[string]any); ok && out["link"] != nil {
			u, err := url.Parse(out["link"].(string))
			if err != nil {
				h.t.Fatal(err)
			}
			return id, u.Path
		}
	}
	h.t.Fatalf("no link in %v", run)
	return "", ""
}

const asking = `triggers: [{webhook: {path: asks}}]
steps:
  - {id: to, set: {link: "${{ approval_url('ask') }}"}}
  - {id: ask, approve: {message: "Refund ${{ trigger.body.total }} for ${{ trigger.body.what }}?"}}
  - {id: end, set: {by: "${{ steps.ask.by }}", comment: "${{ steps.ask.comment }}"}}
`

var formType = []string{"Content-Type", "application/x-www-form-urlencoded", "Remote", "192.0.2.1:5000", "Host", "bell.example.com"}

func TestApprovePage(t *testing.T) {
	h := newHouse(t, nil)
	id, path := h.waiting(asking)
	for _, method := range []string{"GET", "HEAD", "GET"} { // a preview, a scanner, a person: from anywhere, without a session
		res, body := h.call(method, path, "", "Remote", "192.0.2.1:5000", "Host", "bell.example.com")
		if res.StatusCode != 200 {
			t.Fatalf("%s: %d: %s", method, res.StatusCode, body)
		}
		csp := res.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("the policy %q lacks %s", csp, want)
			}
		}
		if res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Set-Cookie") != "" {
			t.Errorf("headers: %v", res.Header)
		}
		if method == "GET" && (strings.Contains(body, "<script") || !strings.Contains(body, "Refund 129 for &lt;script&gt;")) {
			t.Errorf("the page is %s", body)
		}
	}
	if run, _ := h.want(200, "GET", "/api/v1/runs/"+id, ""); run["status"] != "waiting" {
		t.Fatalf("looking at the page made the run %v", run["status"])
	}
	for name, bad := range map[string]struct {
		body, kind string
		want       int
	}{
		"no decision":  {"by=Ada", formType[1], 400},
		"another one":  {"decision=maybe", formType[1], 400},
		"JSON":         {`{"decision":"approve"}`, "application/json", 415},
		"nothing":      {"", "", 415},
		"far too much": {"decision=approve&comment=" + strings.Repeat("x", 20<<10), formType[1], 400},
	} {
		if res, _ := h.call("POST", path, bad.body, "Content-Type", bad.kind); res.StatusCode != bad.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, bad.want)
		}
	}
	if res, _ := h.call("POST", path, "decision=approve", append(formType, "Sec-Fetch-Site", "cross-site")...); res.StatusCode != 403 {
		t.Errorf("a page of another site: %d", res.StatusCode)
	}
	res, _ := h.call("POST", path, "decision=approve&by=Ada&comment=fine%00+%1b[31m", formType...)
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != path {
		t.Fatalf("%d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	if run := h.finished(id); run["status"] != "succeeded" {
		t.Errorf("%v: %v", run["status"], run["summary"])
	}
	h.call("POST", path, "decision=decline&by=Eve", formType...)
	if _, body := h.call("GET", path, ""); !strings.Contains(body, "Approved by Ada") || strings.Contains(body, "<form") || strings.Contains(body, "\x1b") {
		t.Errorf("afterwards: %s", body)
	}
}

func TestLinksThatAreNone(t *testing.T) {
	h := newHouse(t, nil)
	_, path := h.waiting(asking)
	token := strings.TrimPrefix(path, engine.ApprovePath)
	for _, bad := range []string{"x", token[1:], token + "AA", strings.ToUpper(token), "%2e%2e"} {
		for _, method := range []string{"GET", "POST"} {
			if res, body := h.call(method, engine.ApprovePath+bad, "decision=approve", formType...); res.StatusCode != 404 || len(bad) > 10 && strings.Contains(body, bad) {
				t.Errorf("%s %s: %d", method, bad, res.StatusCode)
			}
		}
	}
	if res, _ := h.call("POST", engine.CallbackPath+token, "{}"); res.StatusCode != 404 {
		t.Errorf("the token of an approval calls back: %d", res.StatusCode)
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		if res, _ := h.call(method, path, ""); res.StatusCode != 405 {
			t.Errorf("%s: %d", method, res.StatusCode)
		}
	}
}

func TestCallback(t *testing.T) {
	h := newHouse(t, nil)
	id, path := h.waiting(`triggers: [{webhook: {path: asks}}]
steps:
  - {id: to, set: {link: "${{ callback_url('paid') }}"}}
  - {id: paid, wait: {callback: {}}}
  - {id: end, set: {amount: "${{ steps.paid.body.amount }}", way: "${{ steps.paid.query.way }}", secret: "${{ steps.paid.headers.authorization }}"}}
`)
	from := []string{"Remote", "192.0.2.1:5000", "Host", "bell.example.com"}
	for name, bad := range map[string]struct {
		method, body, kind string
		want               int
	}{
		"a preview":     {"GET", "", "", 405},
		"broken JSON":   {"POST", "{", "application/json", 400},
		"a picture":     {"POST", "x", "image/png", 415},
		"far too large": {"POST", strings.Repeat("x", 1<<20+1), "text/plain", 413},
	} {
		if res, _ := h.call(bad.method, path, bad.body, append(from, "Content-Type", bad.kind)...); res.StatusCode != bad.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, bad.want)
		}
	}
	if res, body := h.call("POST", path+"?way=card", `{"amount":129}`, append(from, "Authorization", "Bearer x")...); res.StatusCode != 202 {
		t.Fatalf("%d: %s", res.StatusCode, body)
	}
	run := h.finished(id)
	end := run["steps"].([]any)[2].(map[string]any)["output"].(map[string]any)
	if end["amount"] != json.Number("129") || end["way"] != "card" || end["secret"] != nil {
		t.Errorf("%v", end)
	}
	if res, _ := h.call("POST", path, `{}`, from...); res.StatusCode != 410 {
		t.Errorf("the second call: %d", res.StatusCode)
	}
}

func TestApprovalsOfTheAPI(t *testing.T) {
	h := newHouse(t, nil)
	id, path := h.waiting(asking)
	var list map[string]any
	h.eventually("an open approval", func() bool {
		list, _ = h.want(200, "GET", "/api/v1/approvals", "")
		return at(list, "items", 0) != nil
	})
	if at(list, "items", 0, "run") != id || at(list, "items", 0, "step") != "ask" || !strings.HasPrefix(at(list, "items", 0, "message").(string), "Refund 129 for ") {
		t.Fatalf("%v", list)
	}
	h.want(404, "POST", "/api/v1/runs/"+id+"/steps/end/approval", `{"approve":true}`)
	h.want(422, "POST", "/api/v1/runs/"+id+"/steps/ask/approval", `{}`)
	if res, text := h.call("POST", "/api/v1/runs/"+id+"/steps/ask/approval", `{"approve":true,"by":"Ada","comment":"fine"}`, "Content-Type", "application/json"); res.StatusCode != 204 {
		t.Fatal(res.StatusCode, text)
	}
	run := h.finished(id)
	if run["status"] != "succeeded" {
		t.Fatalf("%v", run)
	}
	h.want(404, "POST", "/api/v1/runs/"+id+"/steps/ask/approval", `{"approve":false}`)
	if list, _ := h.want(200, "GET", "/api/v1/approvals", ""); len(list["items"].([]any)) != 0 {
		t.Errorf("it is still open: %v", list)
	}
	if _, page := h.call("GET", path, ""); !strings.Contains(page, "Approved by Ada") {
		t.Errorf("the page does not tell: %s", page)
	}
}

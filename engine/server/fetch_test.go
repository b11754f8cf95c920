package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFetchForADraft asks what a poll that is not published would read: first the answer, then the list in it.
func TestFetchForADraft(t *testing.T) {
	asked := 0
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"page": 1, "orders": [{"id": 7, "paid": true, "total-sum": 3}, {"id": 8, "paid": true, "total-sum": 4}]}`))
	}))
	t.Cleanup(shop.Close)
	h := newHouse(t, direct)
	poll := func(extra string) string {
		return `{"id": "shop", "text": ` + jsonText("enabled: false\ntriggers:\n  - poll: {every: 5m, use: http.request, with: {method: GET, url: \""+shop.URL+"\"}"+extra+"}\nsteps: []\n") + `}`
	}
	h.want(201, "POST", "/api/v1/drafts", poll(", key: item.id"))
	const fetch = "/api/v1/drafts/shop/fetch"
	f, _ := h.want(200, "POST", fetch, `{"trigger": "poll"}`)
	if diff := cmp.Diff([]any{map[string]any{"expr": "output.body.orders", "items": at(f, "lists", 0, "items")}}, f["lists"]); diff != "" || f["problem"] == "" || f["sample"] != "" {
		t.Errorf("without the place of the list: %v", f)
	}
	d, _ := h.want(200, "GET", "/api/v1/drafts/shop", "")
	h.edit("shop", d["rev"].(string), `{"op": "set", "path": "triggers[0].poll.items", "value": "output.body.orders"}`)
	for range 2 { // the second takes the place of the first
		f, _ = h.want(200, "POST", fetch, `{"trigger": "poll"}`)
	}
	if diff := cmp.Diff([]any{"item.id", `item["total-sum"]`}, f["fields"]); diff != "" || f["problem"] != "" || jsonText(f["items"]) != "2" || jsonText(f["keys"]) != "2" {
		t.Errorf("with it: %v %s", f, diff)
	}
	list, _ := h.want(200, "GET", "/api/v1/drafts/shop/samples", "")
	if items := list["items"].([]any); len(items) != 2 || at(items, 0, "id") != f["sample"] || at(items, 0, "source") != "fetch" {
		t.Errorf("samples: %v", list)
	}
	fields, _ := h.want(200, "GET", "/api/v1/drafts/shop/fields", "")
	if jsonText(at(fields, "groups", 0, "fields", 0, "children", 0, "value")) != "7" {
		t.Errorf("fields: %v", fields)
	}
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
	h.want(404, "POST", fetch, `{"trigger": "other"}`)

	// What cannot be asked yet says so, and asks nobody.
	d, _ = h.want(200, "GET", "/api/v1/drafts/shop", "")
	h.edit("shop", d["rev"].(string), `{"op": "delete", "path": "triggers[0].poll.with.url"}`)
	p, _ := h.want(422, "POST", fetch, `{"trigger": "poll"}`)
	if p["code"] != "trigger_has_problems" || asked != 3 {
		t.Errorf("without an address: %v", p)
	}
}

// TestTriedQuestionIsNoAnswer tries an approval alone: what it would ask is not what it gives to later steps.
func TestTriedQuestionIsNoAnswer(t *testing.T) {
	h := newHouse(t, nil)
	h.want(201, "POST", "/api/v1/drafts", `{"id": "ask", "text": `+jsonText("triggers:\n  - webhook: {}\nsteps:\n  - id: ask\n    approve: {message: Really?}\n  - set: {ok: \"${{ steps.ask.approved }}\"}\n")+`}`)
	h.want(200, "POST", "/api/v1/drafts/ask/steps/ask/test", `{"mode": "really"}`)
	fields, _ := h.want(200, "GET", "/api/v1/drafts/ask/fields", "")
	for _, g := range fields["groups"].([]any) {
		if at(g, "source") == "steps.ask" && at(g, "fields", 0, "path") != "steps.ask.approved" {
			t.Errorf("the approval gives %v", at(g, "fields"))
		}
	}
}

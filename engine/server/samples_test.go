package server_test

import (
	"strings"
	"testing"
)

// TestSamples catches an event of a draft, keeps one, pins it, and shows the fields of a step with it.
func TestSamples(t *testing.T) {
	h := newHouse(t, nil)
	d, _ := h.want(201, "POST", "/api/v1/drafts", `{"name": "Leads"}`)
	d = h.edit("leads", d["rev"].(string),
		`{"op": "insert", "path": "steps", "value": {"filter": "trigger.body.amount > 100"}}`,
		`{"op": "insert", "path": "steps", "value": {"id": "order", "set": {"twice": "${{ trigger.body.amount * 2 }}", "who": "${{ trigger.body.name }}"}}}`,
		`{"op": "insert", "path": "steps", "value": {"id": "look", "use": "http.request", "with": {"method": "GET", "url": "https://x.example"}}}`,
		`{"op": "insert", "path": "steps", "value": {"id": "each", "for_each": {"in": "trigger.body.lines"}, "steps": [{"set": {"a": "${{ item.n }}"}}]}}`)
	if d["good"] != true {
		t.Fatalf("%v", d["problems"])
	}
	v, _ := h.want(200, "GET", "/api/v1/drafts/leads/fields", "")
	if v["sample"] != nil || at(v, "groups", 3, "locked") != true {
		t.Errorf("without an event: %v", v)
	}
	sent, _ := h.want(200, "POST", "/api/v1/drafts/leads/send_sample", `{}`)
	if jsonText(sent["status"]) != "202" || !strings.HasPrefix(sent["sample"].(string), "delivery:") {
		t.Fatalf("sent: %v", sent)
	}
	list, _ := h.want(200, "GET", "/api/v1/drafts/leads/samples", "")
	if len(list["items"].([]any)) != 1 || at(list, "items", 0, "id") != sent["sample"] || jsonText(at(list, "items", 0, "fields")) != "5" || at(list, "items", 0, "outcome") != "kept" {
		t.Errorf("samples: %v", list)
	}
	kept, _ := h.want(201, "POST", "/api/v1/drafts/leads/samples", `{"json": {"amount": 40, "name": "Bob", "lines": [{"n": 7}], "big": 12345678901234567890}}`)
	if kept["kept"] != true || kept["trigger"] != "webhook" || !strings.Contains(kept["title"].(string), "amount 40") {
		t.Errorf("kept: %v", kept)
	}
	id := kept["id"].(string)
	pinned, _ := h.want(200, "PUT", "/api/v1/drafts/leads/samples/"+id+"/pin", `{"pinned": true}`)
	if pinned["pinned"] != true {
		t.Errorf("pin: %v", pinned)
	}
	view, _ := h.want(200, "GET", "/api/v1/drafts/leads/samples/"+id, "")
	if jsonText(at(view, "data", "trigger", "body", "big")) != "12345678901234567890" {
		t.Errorf("a large number lost its digits: %v", view)
	}
	v, _ = h.want(200, "GET", "/api/v1/drafts/leads/fields", "")
	groups := map[string]map[string]any{}
	order := ""
	for _, g := range v["groups"].([]any) {
		g := g.(map[string]any)
		groups[g["source"].(string)] = g
		order += g["source"].(string) + " "
	}
	if order != "steps.each steps.look steps.order trigger " || at(v, "sample", "id") != id {
		t.Errorf("groups %s of %v", order, at(v, "sample"))
	}
	if g := groups["steps.order"]; jsonText(at(g, "fields", 0, "value")) != "80" || at(g, "fields", 0, "path") != "steps.order.twice" || g["locked"] == true {
		t.Errorf("a mapping: %v", g)
	}
	if g := groups["steps.look"]; g["example"] != true {
		t.Errorf("an action that was not tried: %v", g)
	}
	if body := at(groups["trigger"], "fields", 0); at(body, "path") != "trigger.body" || at(body, "children", 0, "label") != "Amount" {
		t.Errorf("the trigger: %v", body)
	}
	inner := at(d, "model", "steps", 3, "lists", 0, "steps", 0, "run_id").(string)
	v, _ = h.want(200, "GET", "/api/v1/drafts/leads/fields?step="+inner, "")
	if at(v, "groups", 0, "source") != "item" || jsonText(at(v, "groups", 0, "fields", 0, "value")) != "7" {
		t.Errorf("inside a loop: %v", at(v, "groups", 0))
	}
	e, _ := h.want(200, "POST", "/api/v1/expressions/evaluate", `{"draft": "leads", "step": "look", "items": [
		{"expr": "trigger.body.amount > 100"}, {"template": "Hi ${{ trigger.body.name }}, ${{ steps.order.twice }}"}, {"expr": "trigger.body.none == nil"}]}`)
	if at(e, "items", 0, "value") != false || jsonText(at(e, "items", 0, "because", 0, "left")) != "40" || at(e, "items", 1, "value") != "Hi Bob, 80" ||
		at(e, "items", 2, "missing", 0) != "trigger.body.none" {
		t.Errorf("evaluate: %v", e)
	}
	e, _ = h.want(200, "POST", "/api/v1/expressions/evaluate", `{"draft": "leads", "sample": "`+sent["sample"].(string)+`", "items": [{"expr": "trigger.body.amount"}]}`)
	if jsonText(at(e, "items", 0, "value")) != "240" {
		t.Errorf("with another event: %v", e)
	}
	h.want(404, "GET", "/api/v1/drafts/leads/fields?sample=run:none", "")
	h.want(404, "GET", "/api/v1/drafts/leads/samples/none", "")
	h.want(422, "POST", "/api/v1/drafts/leads/samples", `{}`)
	if res, _ := h.call("DELETE", "/api/v1/drafts/leads/samples/"+id, ""); res.StatusCode != 204 {
		t.Errorf("delete: %d", res.StatusCode)
	}
	h.want(404, "GET", "/api/v1/drafts/leads/samples/"+id, "")
}

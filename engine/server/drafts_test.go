package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// edit sends operations to a draft and returns the draft as it is then.
func (h *house) edit(id, rev string, ops ...string) map[string]any {
	h.t.Helper()
	v, _ := h.want(200, "PATCH", "/api/v1/drafts/"+id, `{"ops": [`+strings.Join(ops, ",")+`]}`, "If-Match", rev)
	return v
}

func jsonText(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// at follows names and indexes into JSON.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// TestDraftOfFile: a workflow has a draft without one being stored; the first edit stores it, undo and redo walk its
// history, and the file stays as it is.
func TestDraftOfFile(t *testing.T) {
	h := newHouse(t, nil)
	const target = "/api/v1/drafts/billing/invoice"
	d, header := h.want(200, "GET", target, "")
	if d["text"] != invoice || d["published"] != true || d["dirty"] != false || header.Get("ETag") != jsonText(d["rev"]) {
		t.Fatalf("%v", d)
	}
	if list, _ := h.want(200, "GET", "/api/v1/drafts", ""); len(list["items"].([]any)) != 0 {
		t.Errorf("reading stored a draft: %v", list)
	}
	if row := at(d, "model", "steps", 0, "fields", 0, "rows", "items", 0); at(row, "field") != "trigger.body.total" || at(row, "test") != "greater_or_equal" {
		t.Errorf("rows: %v", row)
	}
	if card := at(d, "model", "cards", "steps.order"); at(card, "title") != "Prepare data" || at(card, "summary") != "1 field" || fmt.Sprint(at(card, "number")) != "2" {
		t.Errorf("card: %v", card)
	}
	first := d["rev"].(string)
	h.want(428, "PATCH", target, `{"ops": [{"op": "delete", "path": "description"}]}`)
	d = h.edit("billing/invoice", first, `{"op": "set", "path": "steps[0].filter", "value": "trigger.body.total >= 200"}`)
	if d["dirty"] != true || !strings.Contains(d["text"].(string), "- filter: trigger.body.total >= 200\n") || at(d, "undo", "text") != "Change filter of Only continue if" {
		t.Fatalf("%v", d)
	}
	if got := at(d, "changes", 0, "text"); got != "Step 1 now continues when Total is at least 200 (was 100)" {
		t.Errorf("changes: %v", d["changes"])
	}
	p, _ := h.want(412, "PATCH", target, `{"ops": [{"op": "delete", "path": "description"}]}`, "If-Match", first)
	if p["version"] != d["rev"] || p["text"] != d["text"] || p["code"] != "draft_changed" || p["effect"] == "" {
		t.Errorf("412: %v", p)
	}
	p, _ = h.want(422, "PATCH", target, `{"ops": [{"op": "delete", "path": "steps.none"}]}`, "If-Match", d["rev"].(string))
	if p["code"] != "edit_refused" || !strings.Contains(p["detail"].(string), `no entry has the id "none"`) {
		t.Errorf("422: %v", p)
	}
	d = h.edit("billing/invoice", d["rev"].(string), `{"op": "delete", "path": "steps.order"}`)
	if at(d, "undo", "text") != "Delete Prepare data" {
		t.Errorf("undo: %v", d["undo"])
	}
	d, _ = h.want(200, "POST", target+"/undo", "")
	if at(d, "redo", "text") != "Delete Prepare data" || !strings.Contains(d["text"].(string), "id: order") {
		t.Errorf("after undo: %v", d)
	}
	d, _ = h.want(200, "POST", target+"/undo", "")
	if d["text"] != invoice || d["dirty"] != false {
		t.Errorf("after two: %v", d["text"])
	}
	p, _ = h.want(409, "POST", target+"/undo", "")
	if p["code"] != "nothing_to_undo" {
		t.Errorf("%v", p)
	}
	d, _ = h.want(200, "POST", target+"/redo", "", "If-Match", d["rev"].(string))
	d, _ = h.want(200, "PUT", target+"/text", `{"text": "steps: [\n"}`, "If-Match", d["rev"].(string))
	if d["stale"] != true || d["good"] != false || at(d, "model", "steps", 1, "id") != "order" || at(d, "problems", 0, "line") == nil {
		t.Errorf("broken: %v", d)
	}
	p, _ = h.want(422, "PATCH", target, `{"ops": [{"op": "delete", "path": "name"}]}`, "If-Match", d["rev"].(string))
	if p["code"] != "text_unreadable" || at(p, "fixes", 0, "action") != "undo" {
		t.Errorf("%v", p)
	}
	if text, _ := h.folder.Read("billing/invoice"); string(text) != invoice {
		t.Errorf("the file changed:\n%s", text)
	}
	res, _ := h.call("DELETE", target, "")
	if res.StatusCode != 204 {
		t.Errorf("delete: %d", res.StatusCode)
	}
	if d, _ = h.want(200, "GET", target, ""); d["text"] != invoice || d["undo"] != nil {
		t.Errorf("after discarding: %v", d)
	}
	p, _ = h.want(404, "GET", "/api/v1/drafts/none", "")
	if p["code"] != "draft_not_found" {
		t.Errorf("%v", p)
	}
}

// TestDraftNew: a new draft has a webhook address that works before it is published; publishing writes the file.
func TestDraftNew(t *testing.T) {
	h := newHouse(t, nil)
	d, _ := h.want(201, "POST", "/api/v1/drafts", `{"name": "Lead intake"}`)
	if d["id"] != "lead-intake" || d["published"] != false || at(d, "model", "name") != "Lead intake" {
		t.Fatalf("%v", d)
	}
	if again, _ := h.want(201, "POST", "/api/v1/drafts", `{"name": "Lead intake"}`); again["id"] != "lead-intake-2" {
		t.Errorf("the second: %v", again["id"])
	}
	if p, _ := h.want(409, "POST", "/api/v1/drafts", `{"id": "orders"}`); p["code"] != "id_taken" {
		t.Errorf("%v", p)
	}
	h.want(422, "POST", "/api/v1/drafts", `{"id": "../x"}`)
	if p, _ := h.want(422, "POST", "/api/v1/drafts", `{"template": "none"}`); p["code"] != "template_not_found" {
		t.Errorf("%v", p)
	}
	kept, _ := h.want(202, "POST", "/hooks/lead-intake", `{"name": "Ada"}`)
	if kept["kept"] != true {
		t.Errorf("the address of a draft: %v", kept)
	}
	d = h.edit("lead-intake", d["rev"].(string), `{"op": "set", "path": "triggers[0].webhook.path", "value": "leads/new"}`,
		`{"op": "insert", "path": "steps", "value": {"id": "map", "set": {"z": "${{ trigger.body.name }}", "a": 1}}}`,
		`{"op": "note", "path": "steps.map", "text": "what we need"}`)
	if !strings.Contains(d["text"].(string), "  # what we need\n  - id: map\n    set:\n      z: ${{ trigger.body.name }}\n      a: 1\n") {
		t.Errorf("text:\n%s", d["text"])
	}
	if at(d, "undo", "text") != "Change path of Webhook and 2 more" {
		t.Errorf("%v", d["undo"])
	}
	h.want(404, "POST", "/hooks/lead-intake", `{}`)
	h.want(202, "POST", "/hooks/leads/new", `{}`)
	deliveries, _ := h.want(200, "GET", "/api/v1/deliveries?workflow=lead-intake&outcome=kept", "")
	if len(deliveries["items"].([]any)) != 2 {
		t.Errorf("deliveries: %v", deliveries)
	}
	p, _ := h.want(200, "POST", "/api/v1/drafts/lead-intake/publish", `{"message": "first", "enabled": true}`, "If-Match", d["rev"].(string))
	if p["previous"] != "" || at(p, "draft", "published") != true || at(p, "draft", "dirty") != false {
		t.Fatalf("%v", p)
	}
	if accepted, _ := h.want(202, "POST", "/hooks/leads/new", `{"name": "Ada"}`); accepted["run"] == nil {
		t.Errorf("after publishing: %v", accepted)
	}
	text, err := os.ReadFile(filepath.Join(h.dir, "workflows/lead-intake.yaml"))
	if err != nil || string(text) != at(p, "draft", "text") {
		t.Errorf("the file: %v\n%s", err, text)
	}
	h.want(200, "GET", "/api/v1/workflows/lead-intake", "")
}

// TestDraftConflict: a file that changed on disk is followed where nothing was changed in the draft, and never
// overwritten where something was.
func TestDraftConflict(t *testing.T) {
	h := newHouse(t, nil)
	disk := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(h.dir, "workflows/orders.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, _ := h.want(200, "GET", "/api/v1/drafts/orders", "")
	d = h.edit("orders", d["rev"].(string), `{"op": "set", "path": "name", "value": "Mine"}`)
	mine := d["text"].(string)
	theirs := strings.Replace(orders, "1h", "2h", 1)
	disk(theirs)
	d, _ = h.want(200, "GET", "/api/v1/drafts/orders", "")
	if at(d, "disk_changed", "text") != theirs || at(d, "disk_changed", "changes", 0, "text") != "Changed every of the trigger Schedule to 2h (was 1h)" {
		t.Errorf("disk_changed: %v", d["disk_changed"])
	}
	p, _ := h.want(409, "POST", "/api/v1/drafts/orders/publish", `{}`)
	if p["code"] != "file_changed" || p["text"] != theirs {
		t.Errorf("publish: %v", p)
	}
	diff, _ := h.want(200, "POST", "/api/v1/drafts/orders/diff", `{"text": `+quoted(theirs)+`}`)
	if diff["before"] != mine || diff["after"] != theirs || len(diff["lines"].([]any)) == 0 || len(diff["sentences"].([]any)) != 2 {
		t.Errorf("compare: %v", diff)
	}
	h.want(404, "POST", "/api/v1/drafts/none/diff", `{"text": ""}`)
	d, _ = h.want(200, "POST", "/api/v1/drafts/orders/resolve", `{"use": "theirs"}`, "If-Match", d["rev"].(string))
	if d["text"] != theirs || d["disk_changed"] != nil || d["dirty"] != false {
		t.Errorf("theirs: %v", d)
	}
	d, _ = h.want(200, "POST", "/api/v1/drafts/orders/undo", "")
	if d["text"] != mine || d["disk_changed"] != nil {
		t.Errorf("undo of theirs: %v", d)
	}
	disk(orders)
	d, _ = h.want(200, "GET", "/api/v1/drafts/orders", "")
	d, _ = h.want(200, "POST", "/api/v1/drafts/orders/resolve", `{"use": "mine"}`, "If-Match", d["rev"].(string))
	if d["text"] != mine || d["disk_changed"] != nil {
		t.Errorf("mine: %v", d)
	}
	h.want(200, "POST", "/api/v1/drafts/orders/publish", `{}`)
	if text, _ := h.folder.Read("orders"); string(text) != mine {
		t.Errorf("published:\n%s", text)
	}
	disk(theirs)
	d, _ = h.want(200, "GET", "/api/v1/drafts/orders", "")
	if d["text"] != theirs || d["disk_changed"] != nil || d["dirty"] != false {
		t.Errorf("a clean draft follows its file: %v", d)
	}
	h.want(200, "PUT", "/api/v1/drafts/orders/text", `{"text": "steps: []"}`, "If-Match", d["rev"].(string))
	p, _ = h.want(422, "POST", "/api/v1/drafts/orders/publish", `{}`)
	if p["code"] != "draft_has_problems" || len(p["problems"].([]any)) == 0 {
		t.Errorf("%v", p)
	}
}

// TestRowsAPI shows a condition as rows and back.
func TestRowsAPI(t *testing.T) {
	h := newHouse(t, nil)
	v, _ := h.want(200, "POST", "/api/v1/expressions/rows", `{"expr": "trigger.body.amount > 100 or lower(trigger.body.kind) == \"vip\""}`)
	if at(v, "rows", "match") != "any" || at(v, "rows", "items", 1, "ignore_case") != true || v["editable"] != true || at(v, "refs", 0) != "trigger.body.amount" {
		t.Errorf("%v", v)
	}
	back, _ := h.want(200, "POST", "/api/v1/expressions/rows", `{"rows": `+jsonText(v["rows"])+`}`)
	if back["expr"] != `trigger.body.amount > 100 or lower(trigger.body.kind) == "vip"` {
		t.Errorf("%v", back)
	}
	v, _ = h.want(200, "POST", "/api/v1/expressions/rows", `{"expr": "len(trigger.body.items) > sum([1])"}`)
	if v["rows"] != nil {
		t.Errorf("%v", v)
	}
	v, _ = h.want(200, "POST", "/api/v1/expressions/rows", `{"expr": "trigger.body.x =="}`)
	if at(v, "problems", 0, "message") == nil {
		t.Errorf("%v", v)
	}
	h.want(422, "POST", "/api/v1/expressions/rows", `{"rows": {"match": "all", "items": []}}`)
	h.want(422, "POST", "/api/v1/expressions/rows", `{}`)
}

// TestDraftConditions says in words when a path is taken.
func TestDraftConditions(t *testing.T) {
	h := newHouse(t, nil)
	d, _ := h.want(201, "POST", "/api/v1/drafts", `{"id": "routes", "text": `+jsonText(`triggers:
  - webhook: {}
steps:
  - id: route
    paths:
      - {name: Refund, when: trigger.body.kind == "refund", steps: [{set: {a: 1}}]}
      - {name: Odd, when: len(trigger.body.kind) % 2 == 1, steps: []}
      - {name: Else, steps: []}
`)+`}`)
	got, want := at(d, "model", "conditions"), map[string]any{
		"steps.route.paths[0].steps": "Kind is refund", "steps.route.paths[1].steps": "len(trigger.body.kind) % 2 == 1",
	}
	if jsonText(got) != jsonText(want) || len(d["problems"].([]any)) != 0 {
		t.Errorf("conditions %v, want %v; problems %v", got, want, d["problems"])
	}
}

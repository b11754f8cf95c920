package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// publish changes a draft by one set and publishes it.
func (h *house) publish(id, path, value, message string) string {
	h.t.Helper()
	d, _ := h.want(200, "GET", "/api/v1/drafts/"+id, "")
	h.edit(id, d["rev"].(string), fmt.Sprintf(`{"op": "set", "path": %s, "value": %s}`, jsonText(path), value))
	p, _ := h.want(200, "POST", "/api/v1/drafts/"+id+"/publish", `{"message": `+jsonText(message)+`}`)
	return p["version"].(string)
}

// TestVersions: a workflow's history says who, when, why and what; a version can be compared and restored.
func TestVersions(t *testing.T) {
	h := newHouse(t, nil)
	const target = "/api/v1/workflows/billing/invoice/versions"
	first, _ := h.want(200, "GET", target, "")
	if len(first["items"].([]any)) != 1 || at(first, "items", 0, "by") != "file" || at(first, "items", 0, "live") != true {
		t.Fatalf("%v", first)
	}
	original := at(first, "items", 0, "version").(string)
	started, _ := h.want(201, "POST", "/api/v1/workflows/billing/invoice/runs", `{"body": {"total": 150}}`)
	h.finished(started["id"].(string))
	v2 := h.publish("billing/invoice", "steps[0].filter", `"trigger.body.total >= 200"`, "fewer of them")
	v3 := h.publish("billing/invoice", "name", `"Invoices"`, "")
	list, _ := h.want(200, "GET", target, "")
	if got := at(list, "items", 1); len(list["items"].([]any)) != 3 || at(got, "version") != v2 || at(got, "by") != "admin" || at(got, "message") != "fewer of them" ||
		at(got, "previous") != original || at(got, "changes", 0, "text") != "Step 1 now continues when Total is at least 200 (was 100)" || at(got, "live") != false {
		t.Errorf("%v", list)
	}
	page, _ := h.want(200, "GET", target+"?limit=1", "")
	next, _ := h.want(200, "GET", target+"?limit=1&cursor="+page["next"].(string), "")
	if at(page, "items", 0, "version") != v3 || at(next, "items", 0, "version") != v2 {
		t.Errorf("pages: %v %v", page, next)
	}
	h.want(422, "GET", target+"?cursor=x", "")
	h.want(404, "GET", "/api/v1/workflows/none/versions", "")
	h.want(201, "POST", "/api/v1/drafts", `{"id": "fresh", "text": "steps: []"}`)
	if list, _ := h.want(200, "GET", "/api/v1/workflows/fresh/versions", ""); len(list["items"].([]any)) != 0 {
		t.Errorf("the history of what was never published: %v", list)
	}
	diff, _ := h.want(200, "GET", target+"/"+v2+"/diff", "")
	if at(diff, "before") != invoice || at(diff, "sentences", 0, "code") != "step.filter_value" || len(diff["lines"].([]any)) != 8 {
		t.Errorf("diff: %v", diff)
	}
	diff, _ = h.want(200, "GET", target+"/"+original+"/diff?against=now", "")
	if at(diff, "after") != invoice || !strings.Contains(at(diff, "before").(string), "Invoices") {
		t.Errorf("against now: %v", diff)
	}
	h.want(404, "GET", target+"/0000/diff", "")
	// A picture of the version that a run took: its steps by the ids that the run calls them.
	model, _ := h.want(200, "GET", target+"/"+original+"/model", "")
	ran, _ := h.want(200, "GET", "/api/v1/runs/"+started["id"].(string), "")
	if at(model, "steps", 1, "run_id") != at(ran, "plan", 1, "id") || at(model, "cards", at(model, "steps", 0, "path").(string), "summary") == "" {
		t.Errorf("model: %v", model)
	}
	h.want(404, "GET", target+"/0000/model", "")
	// The run that started with the first version still shows it.
	text, _ := h.want(200, "GET", target+"/"+original, "")
	if text["text"] != invoice {
		t.Errorf("%v", text)
	}
	d, _ := h.want(200, "POST", target+"/"+original+"/restore", "")
	if d["text"] != invoice || at(d, "undo", "code") != "edit.restore" || d["dirty"] != true {
		t.Errorf("restore: %v", d)
	}
	h.want(404, "POST", target+"/0000/restore", "")
	diff, _ = h.want(200, "GET", "/api/v1/drafts/billing/invoice/diff", "")
	if at(diff, "verified", 0, "ok") != true || at(diff, "after") != invoice {
		t.Errorf("draft diff: %v", diff)
	}
}

// TestUndoPublish brings the version before back, or takes the file of a new workflow away again.
func TestUndoPublish(t *testing.T) {
	h := newHouse(t, nil)
	version := h.publish("orders", "name", `"Changed"`, "")
	h.want(409, "POST", "/api/v1/drafts/orders/publish/undo", `{"version": "0000"}`)
	u, _ := h.want(200, "POST", "/api/v1/drafts/orders/publish/undo", `{"version": "`+version+`"}`)
	if text, _ := h.folder.Read("orders"); string(text) != orders || at(u, "draft", "dirty") != true || !strings.Contains(at(u, "draft", "text").(string), "Changed") {
		t.Errorf("%v\n%s", u, text)
	}
	if w := h.engine.Workflow("orders"); w.Version != u["version"] {
		t.Errorf("live: %s", w.Version)
	}
	d, _ := h.want(201, "POST", "/api/v1/drafts", `{"name": "Fresh", "text": "triggers:\n  - webhook: {}\nsteps:\n  - set: {a: 1}\n"}`)
	p, _ := h.want(200, "POST", "/api/v1/drafts/fresh/publish", `{}`, "If-Match", d["rev"].(string))
	u, _ = h.want(200, "POST", "/api/v1/drafts/fresh/publish/undo", `{"version": "`+p["version"].(string)+`"}`)
	if u["version"] != "" || at(u, "draft", "published") != false || h.engine.Workflow("fresh") != nil {
		t.Errorf("%v", u)
	}
	if kept, _ := h.want(202, "POST", "/hooks/fresh", `{}`); kept["kept"] != true {
		t.Errorf("the address after the undo: %v", kept)
	}
}

// TestPublishFollowsTests: tests call a renamed step by its new name.
func TestPublishFollowsTests(t *testing.T) {
	h := newHouse(t, nil)
	const tests = "workflow: billing/invoice\ntests:\n  - name: a\n    trigger: {body: {total: 100}}\n    expect:\n      steps:\n        order: {cents: 10000}   # cents\n"
	if err := h.folder.WriteTest("billing/invoice", []byte(tests)); err != nil {
		t.Fatal(err)
	}
	d, _ := h.want(200, "GET", "/api/v1/drafts/billing/invoice", "")
	d = h.edit("billing/invoice", d["rev"].(string), `{"op": "rename", "path": "steps.order", "name": "bill"}`)
	if at(d, "changes", 0, "text") != "Renamed step 2 to bill (was order)" {
		t.Errorf("%v", d["changes"])
	}
	h.want(200, "POST", "/api/v1/drafts/billing/invoice/publish", `{}`)
	text, err := h.folder.ReadTest("billing/invoice")
	if want := strings.Replace(tests, "order:", "bill:", 1); err != nil || string(text) != want {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestTrash deletes a workflow and brings it back with its tests; a workflow that others call stays.
func TestTrash(t *testing.T) {
	h := newHouse(t, nil)
	const tests = "workflow: orders\ntests: []\n"
	if err := h.folder.WriteTest("orders", []byte(tests)); err != nil {
		t.Fatal(err)
	}
	if res, body := h.call("DELETE", "/api/v1/workflows/orders", ""); res.StatusCode != 204 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "workflows/orders.yaml")); err == nil {
		t.Error("the file is still there")
	}
	list, _ := h.want(200, "GET", "/api/v1/trash", "")
	if at(list, "items", 0, "id") != "orders" || at(list, "items", 0, "by") != "admin" {
		t.Errorf("%v", list)
	}
	h.want(404, "DELETE", "/api/v1/workflows/orders", "")
	h.want(404, "POST", "/api/v1/workflows/none/restore", "")
	h.want(200, "POST", "/api/v1/workflows/orders/restore", "")
	if text, err := h.folder.ReadTest("orders"); err != nil || string(text) != tests {
		t.Errorf("%v %s", err, text)
	}
	if text, _ := h.folder.Read("orders"); string(text) != orders {
		t.Errorf("%s", text)
	}
	h.want(404, "POST", "/api/v1/workflows/orders/restore", "")
	h.want(201, "PUT", "/api/v1/workflows/caller/text", `{"text": "triggers:\n  - webhook: {}\nsteps:\n  - call: {workflow: orders}   # them\n"}`)
	if p, _ := h.want(409, "DELETE", "/api/v1/workflows/orders", ""); p["code"] != "called_by_others" {
		t.Errorf("%v", p)
	}
}

// TestRenameWorkflow moves file, tests, draft and history; the webhook's address and callers follow.
func TestRenameWorkflow(t *testing.T) {
	h := newHouse(t, nil)
	h.want(201, "PUT", "/api/v1/workflows/lead/text", `{"text": "triggers:\n  - webhook: {}   # leads\nsteps:\n  - set: {a: 1}\n"}`)
	h.want(201, "PUT", "/api/v1/workflows/caller/text", `{"text": "triggers:\n  - webhook: {}\nsteps:\n  - call: {workflow: lead}   # them\n"}`)
	if err := h.folder.WriteTest("lead", []byte("workflow: lead   # of it\ntests: []\n")); err != nil {
		t.Fatal(err)
	}
	h.publish("lead", "name", `"Leads"`, "named")
	d, _ := h.want(200, "GET", "/api/v1/drafts/lead", "")
	h.edit("lead", d["rev"].(string), `{"op": "set", "path": "name", "value": "Unpublished"}`)
	h.want(409, "POST", "/api/v1/workflows/lead/rename", `{"id": "orders"}`)
	h.want(422, "POST", "/api/v1/workflows/lead/rename", `{"id": "A B"}`)
	w, _ := h.want(200, "POST", "/api/v1/workflows/lead/rename", `{"id": "sales/leads"}`)
	if w["id"] != "sales/leads" {
		t.Errorf("%v", w)
	}
	if text, _ := h.folder.Read("sales/leads"); !strings.Contains(string(text), "path: lead") || !strings.Contains(string(text), "# leads") {
		t.Errorf("%s", text)
	}
	if text, _ := h.folder.Read("caller"); !strings.Contains(string(text), "- call: {workflow: sales/leads}   # them\n") {
		t.Errorf("%s", text)
	}
	if text, _ := h.folder.ReadTest("sales/leads"); string(text) != "workflow: sales/leads   # of it\ntests: []\n" {
		t.Errorf("%s", text)
	}
	h.want(404, "GET", "/api/v1/workflows/lead", "")
	h.want(202, "POST", "/hooks/lead", `{}`)
	list, _ := h.want(200, "GET", "/api/v1/workflows/sales/leads/versions", "")
	if len(list["items"].([]any)) != 3 || at(list, "items", 0, "message") != "Renamed from lead" || at(list, "items", 1, "message") != "named" {
		t.Errorf("%v", list)
	}
	d, _ = h.want(200, "GET", "/api/v1/drafts/sales/leads", "")
	if at(d, "model", "name") != "Unpublished" {
		t.Errorf("%v", d)
	}
	h.want(404, "GET", "/api/v1/drafts/lead", "")
}

// TestDuplicate makes a draft whose address is its own.
func TestDuplicate(t *testing.T) {
	h := newHouse(t, nil)
	d, _ := h.want(201, "POST", "/api/v1/workflows/billing/invoice/duplicate", "")
	if d["id"] != "invoice-copy" || at(d, "model", "name") != "Invoice (copy)" || !strings.Contains(d["text"].(string), "path: invoices-invoice-copy") {
		t.Errorf("%v", d)
	}
	h.want(404, "POST", "/api/v1/workflows/none/duplicate", "")
}

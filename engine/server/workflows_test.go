package server_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWorkflowIDsWithSlashes(t *testing.T) {
	h := newHouse(t, nil)
	for _, path := range []string{"billing/invoice", "billing%2Finvoice", "billing%2finvoice"} {
		item, _ := h.want(200, "GET", "/api/v1/workflows/"+path, "")
		if item["id"] != "billing/invoice" {
			t.Errorf("%s: id %v", path, item["id"])
		}
		text, _ := h.want(200, "GET", "/api/v1/workflows/"+path+"/text", "")
		if text["text"] != invoice {
			t.Errorf("%s: text %v", path, text["text"])
		}
		h.want(201, "POST", "/api/v1/workflows/"+path+"/runs", "")
		h.want(200, "GET", "/api/v1/workflows/"+path+"/triggers/webhook", "")
		h.want(200, "GET", "/api/v1/workflows/"+path+"/versions/"+text["version"].(string), "")
		h.want(200, "PUT", "/api/v1/workflows/"+path+"/enabled", `{"enabled": true}`)
	}
	for _, path := range []string{"billing", "billing/", "/invoice", "billing//invoice", "../bellhop", "..%2Fbellhop", "%2e%2e/bellhop", "billing/invoice.yaml", "a%00b", strings.Repeat("a/", 300)} {
		for _, route := range []string{"", "/text"} {
			if res, body := h.call("GET", "/api/v1/workflows/"+path+route, ""); res.StatusCode != 404 && res.StatusCode != 422 {
				t.Errorf("%s%s: status %d: %s", path, route, res.StatusCode, body)
			}
		}
	}
	// An id that ends in the name of a route is reached when its slash is sent as %2F.
	h.want(201, "PUT", "/api/v1/workflows/odd%2Ftext/text", `{"text": "triggers: [{webhook: {}}]\nsteps:\n  - set: {a: 1}\n"}`, "If-None-Match", "*")
	if item, _ := h.want(200, "GET", "/api/v1/workflows/odd%2Ftext", ""); item["id"] != "odd/text" {
		t.Errorf("id %v, want odd/text", item["id"])
	}
}

func TestListWorkflows(t *testing.T) {
	h := newHouse(t, nil)
	ids := func(query string) string {
		t.Helper()
		list, _ := h.want(200, "GET", "/api/v1/workflows"+query, "")
		var ids []string
		for _, item := range list["items"].([]any) {
			ids = append(ids, item.(map[string]any)["id"].(string))
		}
		return strings.Join(ids, " ")
	}
	for query, want := range map[string]string{
		"":               "billing/invoice orders secured",
		"?q=INVOICE":     "billing/invoice",
		"?tag=billing":   "billing/invoice",
		"?tag=bill":      "",
		"?enabled=true":  "billing/invoice orders",
		"?enabled=false": "secured",
		"?limit=2":       "billing/invoice orders",
		"?q=zzz":         "",
	} {
		if got := ids(query); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	var all []string
	for cursor := ""; ; {
		list, _ := h.want(200, "GET", "/api/v1/workflows?limit=1&cursor="+cursor, "")
		for _, item := range list["items"].([]any) {
			all = append(all, item.(map[string]any)["id"].(string))
		}
		if cursor = list["next"].(string); cursor == "" {
			break
		}
	}
	if got := strings.Join(all, " "); got != "billing/invoice orders secured" {
		t.Errorf("page by page: %q", got)
	}
	item, _ := h.want(200, "GET", "/api/v1/workflows/billing/invoice", "")
	if got := item["triggers"].([]any)[0].(map[string]any)["summary"]; got != "POST /hooks/invoices" {
		t.Errorf("summary of the trigger: %v", got)
	}
	if item["last_run"] != nil {
		t.Errorf("a last run before there was one: %v", item["last_run"])
	}
	for _, query := range []string{"?limit=0", "?limit=201", "?limit=x", "?enabled=maybe", "?unknown=1"} {
		h.want(422, "GET", "/api/v1/workflows"+query, "")
	}
}

func TestWriteText(t *testing.T) {
	h := newHouse(t, nil)
	const path = "/api/v1/workflows/billing/invoice/text"
	read, header := h.want(200, "GET", path, "")
	etag := header.Get("ETag")
	if etag != `"`+read["version"].(string)+`"` {
		t.Fatalf("ETag %q, version %v", etag, read["version"])
	}
	changed := strings.Replace(invoice, ">= 100", ">= 200", 1)
	send := func(text string) string {
		data, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}

	refused, header := h.want(428, "PUT", path, send(changed))
	if refused["version"] != read["version"] || header.Get("ETag") != etag {
		t.Errorf("428 does not say the version: %v", refused)
	}
	h.want(412, "PUT", path, send(changed), "If-None-Match", "*")
	stale, header := h.want(412, "PUT", path, send(changed), "If-Match", `"0000"`)
	if stale["text"] != invoice || header.Get("ETag") != etag {
		t.Errorf("412 does not give the current text and version: %v", stale)
	}
	broken, _ := h.want(422, "PUT", path, send("triggers: [{webhook: {}}]\nsteps:\n  - filtre: true\n  - use: http.request\n    nope: 1\n"), "If-Match", etag)
	problems, _ := broken["problems"].([]any)
	if len(problems) < 2 {
		t.Errorf("422 with problems %v", broken)
	}
	if detail := broken["detail"].(string); !strings.Contains(detail, "billing/invoice.yaml:3:") {
		t.Errorf("422 does not name the place: %q", detail)
	}
	if now, _ := h.want(200, "GET", path, ""); now["text"] != invoice {
		t.Fatal("a refused write changed the file")
	}

	saved, header := h.want(200, "PUT", path, send(changed), "If-Match", etag)
	if header.Get("ETag") != `"`+saved["version"].(string)+`"` || header.Get("ETag") == etag {
		t.Errorf("ETag %q after a write", header.Get("ETag"))
	}
	if item, _ := h.want(200, "GET", "/api/v1/workflows/billing/invoice", ""); item["version"] != saved["version"] {
		t.Errorf("version %v runs, want %v", item["version"], saved["version"])
	}
	onDisk, err := os.ReadFile(filepath.Join(h.dir, "workflows/billing/invoice.yaml"))
	if err != nil || string(onDisk) != changed {
		t.Errorf("on disk: %v %q", err, onDisk)
	}
	started, _ := h.want(201, "POST", "/api/v1/workflows/billing/invoice/runs", `{"body": {"total": 150}}`)
	if run := h.finished(started["id"].(string)); run["status"] != "filtered" {
		t.Errorf("150 with a bound of 200: %v, so the new text is not live", run["status"])
	}
	if old, _ := h.want(200, "GET", "/api/v1/workflows/billing/invoice/versions/"+read["version"].(string), ""); old["text"] != invoice {
		t.Errorf("the old version: %v", old)
	}
	h.want(404, "GET", "/api/v1/workflows/billing/invoice/versions/none", "")

	// YAML as it is, both ways.
	res, body := h.call("GET", path, "", "Accept", "application/yaml")
	if body != changed || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/yaml") {
		t.Errorf("as YAML: %q %q", res.Header.Get("Content-Type"), body)
	}
	h.want(200, "PUT", path, invoice, "Content-Type", "application/yaml", "If-Match", header.Get("ETag"))
	h.want(200, "PUT", path, changed, "Content-Type", "application/yaml", "If-Match", "*")

	// New files.
	h.want(412, "PUT", "/api/v1/workflows/new/text", send(orders), "If-Match", "*")
	h.want(201, "PUT", "/api/v1/workflows/new/text", send(orders), "If-None-Match", "*")
	h.want(201, "PUT", "/api/v1/workflows/newer/text", send(orders))
	h.want(200, "GET", "/api/v1/workflows/new", "")

	for body, want := range map[string]int{`{}`: 400, `{"text": 1}`: 400, `{"text": "x", "y": 1}`: 400, `nonsense`: 400, `{"text": ""}`: 422} {
		h.want(want, "PUT", "/api/v1/workflows/another/text", body)
	}
	h.want(422, "PUT", "/api/v1/workflows/UPPER/text", send(orders))
	h.want(413, "PUT", "/api/v1/workflows/large/text", `{"text": "`+strings.Repeat("x", 5<<20)+`"}`)
}

func TestBrokenFileKeepsTheLastGoodVersion(t *testing.T) {
	h := newHouse(t, nil)
	before, _ := h.want(200, "GET", "/api/v1/workflows/orders", "")
	if err := os.WriteFile(filepath.Join(h.dir, "workflows/orders.yaml"), []byte("steps: {"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, _ := h.want(200, "GET", "/api/v1/workflows/orders", "")
	if after["version"] != before["version"] || after["file_version"] == before["version"] || after["enabled"] != true {
		t.Errorf("version %v, file %v, enabled %v; ran %v before", after["version"], after["file_version"], after["enabled"], before["version"])
	}
	if len(after["problems"].([]any)) == 0 || !strings.Contains(after["reason"].(string), "last good version") {
		t.Errorf("problems %v, reason %v", after["problems"], after["reason"])
	}
	h.want(201, "POST", "/api/v1/workflows/orders/runs", "")
	h.want(409, "PUT", "/api/v1/workflows/orders/enabled", `{"enabled": true}`)
}

func TestEnable(t *testing.T) {
	h := newHouse(t, nil)
	item, _ := h.want(200, "PUT", "/api/v1/workflows/orders/enabled", `{"enabled": false}`)
	if item["enabled"] != false {
		t.Errorf("enabled after disabling: %v", item)
	}
	if text, _ := h.want(200, "GET", "/api/v1/workflows/orders/text", ""); !strings.HasSuffix(text["text"].(string), orders) {
		t.Errorf("disabling changed more than one line: %v", text["text"])
	}
	if h.engine.Workflow("orders").Enabled {
		t.Error("the disabled workflow is live as enabled")
	}
	if item, _ = h.want(200, "PUT", "/api/v1/workflows/orders/enabled", `{"enabled": true}`); item["enabled"] != true {
		t.Errorf("enabled after enabling: %v", item)
	}
	refused, _ := h.want(409, "PUT", "/api/v1/workflows/secured/enabled", `{"enabled": true}`)
	if !strings.Contains(refused["detail"].(string), "sender") {
		t.Errorf("the refusal does not name the connection: %v", refused["detail"])
	}
	h.want(404, "PUT", "/api/v1/workflows/none/enabled", `{"enabled": true}`)
	for _, body := range []string{`{}`, `{"enabled": "yes"}`, `{"enabled": true, "more": 1}`} {
		h.want(http.StatusUnprocessableEntity, "PUT", "/api/v1/workflows/orders/enabled", body)
	}
}

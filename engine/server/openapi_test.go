package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestOpenAPI checks that the description is sound, and that the answers are what it says.
func TestOpenAPI(t *testing.T) {
	h := newHouse(t, nil)
	_, text := h.call("GET", "/api/v1/openapi.json", "")
	loaded, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	doc := loaded.(map[string]any)
	if version, _ := doc["openapi"].(string); !strings.HasPrefix(version, "3.1.") {
		t.Errorf("openapi: %q, want 3.1", version)
	}
	if doc["info"].(map[string]any)["version"] != "1.2.3" {
		t.Errorf("info: %v", doc["info"])
	}
	if security := fmt.Sprint(doc["security"]); security != "[map[token:[]]]" {
		t.Errorf("security: %s", security)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource("mem:///openapi.json", loaded); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	schemas := map[string]*jsonschema.Schema{} // of answers, by operation and status
	for path, entry := range doc["paths"].(map[string]any) {
		for method, op := range entry.(map[string]any) {
			op := op.(map[string]any)
			id, _ := op["operationId"].(string)
			if id == "" || ids[id] || op["summary"] == nil || op["tags"] == nil {
				t.Errorf("%s %s: operationId %q missing or twice, or no summary or tags", method, path, id)
			}
			ids[id] = true
			var declared []string
			params, _ := op["parameters"].([]any)
			for _, p := range params {
				if p := p.(map[string]any); p["in"] == "path" {
					declared = append(declared, "{"+p["name"].(string)+"}")
				}
			}
			for _, part := range strings.Split(path, "/") {
				if strings.HasPrefix(part, "{") && !slices.Contains(declared, part) {
					t.Errorf("%s %s: %s is not described", method, path, part)
				}
			}
			for status, answer := range op["responses"].(map[string]any) {
				content, _ := answer.(map[string]any)["content"].(map[string]any)
				for media := range content {
					place := fmt.Sprintf("mem:///openapi.json#/paths/%s/%s/responses/%s/content/%s/schema", escape(path), method, status, escape(media))
					schema, err := compiler.Compile(place)
					if err != nil {
						t.Errorf("%s %s %s: %v", method, path, status, err)
					}
					schemas[id+" "+status] = schema
				}
			}
		}
	}

	started, _ := h.want(201, "POST", "/api/v1/workflows/billing/invoice/runs", `{"body": {"total": 1}}`)
	run := started["id"].(string)
	h.finished(run)
	h.want(202, "POST", "/hooks/invoices", `{"total": 129}`)
	deliveries, _ := h.want(200, "GET", "/api/v1/deliveries", "")
	delivery := deliveries["items"].([]any)[0].(map[string]any)["id"].(string)
	for _, test := range []struct{ operation, method, target, body string }{
		{"list-workflows 200", "GET", "/api/v1/workflows", ""},
		{"read-workflow 200", "GET", "/api/v1/workflows/orders", ""},
		{"read-workflow 404", "GET", "/api/v1/workflows/none", ""},
		{"read-trigger 200", "GET", "/api/v1/workflows/orders/triggers/schedule", ""},
		{"read-trigger 200", "GET", "/api/v1/workflows/billing/invoice/triggers/webhook", ""},
		{"set-enabled 200", "PUT", "/api/v1/workflows/orders/enabled", `{"enabled": true}`},
		{"write-text 201", "PUT", "/api/v1/workflows/fresh/text", `{"text": "triggers: [{webhook: {}}]\nsteps:\n  - set: {a: 1}\n"}`},
		{"write-text 428", "PUT", "/api/v1/workflows/orders/text", `{"text": ""}`},
		{"write-text 422", "PUT", "/api/v1/workflows/other/text", `{"text": "steps: 1"}`},
		{"start-run 201", "POST", "/api/v1/workflows/orders/runs", `{"body": [1]}`},
		{"list-runs 200", "GET", "/api/v1/runs?q=total", ""},
		{"list-runs 422", "GET", "/api/v1/runs?limit=0", ""},
		{"read-run 200", "GET", "/api/v1/runs/" + run, ""},
		{"rerun 201", "POST", "/api/v1/runs/" + run + "/rerun", `{"from": "start", "version": "now"}`},
		{"list-deliveries 200", "GET", "/api/v1/deliveries", ""},
		{"read-delivery 200", "GET", "/api/v1/deliveries/" + delivery, ""},
		{"list-connectors 200", "GET", "/api/v1/connectors", ""},
		{"read-connector 200", "GET", "/api/v1/connectors/http", ""},
		{"read-connector 200", "GET", "/api/v1/connectors/store", ""},
		{"list-connections 200", "GET", "/api/v1/connections", ""},
		{"create-draft 201", "POST", "/api/v1/drafts", `{"name": "Leads", "text": "triggers:\n  - webhook: {}\nsteps:\n  - filter: trigger.body.a > 1 or trigger.body.b == \"x\"\n  - id: two\n    paths: [{name: A, steps: [{set: {a: 1}}]}]\n"}`},
		{"create-draft 409", "POST", "/api/v1/drafts", `{"id": "orders"}`},
		{"read-draft 200", "GET", "/api/v1/drafts/leads", ""},
		{"read-draft 404", "GET", "/api/v1/drafts/none", ""},
		{"list-drafts 200", "GET", "/api/v1/drafts", ""},
		{"edit-draft 428", "PATCH", "/api/v1/drafts/leads", `{"ops": [{"op": "delete", "path": "name"}]}`},
		{"diff-draft 200", "GET", "/api/v1/drafts/leads/diff", ""},
		{"add-sample 201", "POST", "/api/v1/drafts/leads/samples", `{"json": {"a": 1, "b": [{"c": null}]}}`},
		{"list-samples 200", "GET", "/api/v1/drafts/leads/samples", ""},
		{"draft-fields 200", "GET", "/api/v1/drafts/leads/fields", ""},
		{"complete-draft 200", "POST", "/api/v1/drafts/leads/complete", `{"text": "tri", "at": 3}`},
		{"test-step 200", "POST", "/api/v1/drafts/leads/steps/filter_1/test", `{"mode": "really"}`},
		{"test-draft 201", "POST", "/api/v1/drafts/leads/test", `{"mode": "pretend"}`},
		{"publish-draft 200", "POST", "/api/v1/drafts/leads/publish", `{"message": "first"}`},
		{"list-versions 200", "GET", "/api/v1/workflows/leads/versions", ""},
		{"duplicate-workflow 201", "POST", "/api/v1/workflows/leads/duplicate", ""},
		{"list-deleted 200", "GET", "/api/v1/trash", ""},
		{"list-templates 200", "GET", "/api/v1/templates", ""},
		{"expression-rows 200", "POST", "/api/v1/expressions/rows", `{"expr": "a == 1 and (b > 2 or c in [\"x\"])"}`},
		{"expression-stats 200", "POST", "/api/v1/expressions/stats", `{"draft": "leads", "expr": "true"}`},
		{"evaluate-expressions 200", "POST", "/api/v1/expressions/evaluate", `{"items": [{"expr": "1 +"}, {"expr": "nil"}]}`},
	} {
		id, status, _ := strings.Cut(test.operation, " ")
		schema := schemas[test.operation]
		if schema == nil {
			schema = schemas[id+" default"]
		}
		if schema == nil {
			t.Errorf("%s is not described", test.operation)
			continue
		}
		res, body := h.call(test.method, test.target, test.body)
		if fmt.Sprint(res.StatusCode) != status {
			t.Errorf("%s %s: status %d, want %s: %s", test.method, test.target, res.StatusCode, status, body)
			continue
		}
		answer, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(body)))
		if err != nil {
			t.Errorf("%s: %v", test.operation, err)
			continue
		}
		if err := schema.Validate(answer); err != nil {
			text, _ := json.Marshal(answer)
			t.Errorf("%s: %v\n%s", test.operation, err, text)
		}
	}
}

// escape makes one part of a JSON pointer in a URL fragment.
func escape(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(s)
}

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestRuns(t *testing.T) {
	h := newHouse(t, nil)
	start := func(body string) string {
		t.Helper()
		started, _ := h.want(201, "POST", "/api/v1/workflows/billing/invoice/runs", body)
		return started["id"].(string)
	}
	good := start(`{"body": {"total": 129, "note": "NeedleInHaystack", "big": 9007199254740993}}`)
	run := h.finished(good)
	if run["status"] != "succeeded" || run["workflow"] != "billing/invoice" {
		t.Errorf("run: %v", run)
	}
	root := run["trigger"].(map[string]any)
	if root["kind"] != "manual" || root["body"].(map[string]any)["big"] != json.Number("9007199254740993") {
		t.Errorf("trigger: %v", root)
	}
	few := start(`{"body": {"total": 1}}`)
	if run := h.finished(few); run["status"] != "filtered" {
		t.Errorf("total 1: %v", run["status"])
	}

	list := func(query string) string {
		t.Helper()
		var ids []string
		for cursor := ""; ; {
			page, _ := h.want(200, "GET", "/api/v1/runs"+query+cursor, "")
			for _, item := range page["items"].([]any) {
				ids = append(ids, item.(map[string]any)["id"].(string))
			}
			// A search gives what it found in its time; a page that the query asks for has its end by itself.
			if page["next"] == "" || !strings.HasPrefix(query, "?q=") {
				return strings.Join(ids, " ")
			}
			cursor = "&cursor=" + page["next"].(string)
		}
	}
	for query, want := range map[string]string{
		"":                                  few + " " + good,
		"?workflow=billing/invoice":         few + " " + good,
		"?workflow=orders":                  "",
		"?status=succeeded":                 good,
		"?status=succeeded&status=filtered": few + " " + good,
		"?status=failed":                    "",
		"?q=needleinhay":                    good,
		"?since=2020-01-01T00:00:00Z":       few + " " + good,
		"?until=2020-01-01T00:00:00Z":       "",
	} {
		if got := list(query); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	first, _ := h.want(200, "GET", "/api/v1/runs?limit=1", "")
	if item := first["items"].([]any)[0].(map[string]any); item["finished_at"] == nil || item["status"] != "filtered" || item["trigger"] != "manual" || item["summary"] == "" {
		t.Errorf("item: %v", item)
	}
	if next := first["next"].(string); next == "" || list("?limit=1&cursor="+next) != good {
		t.Errorf("second page behind %q", next)
	}
	for _, query := range []string{"?limit=0", "?limit=201", "?status=done", "?since=yesterday", "?cursor=nonsense", "?x=1"} {
		if res, body := h.call("GET", "/api/v1/runs"+query, ""); res.StatusCode != 400 && res.StatusCode != 422 {
			t.Errorf("%s: status %d: %s", query, res.StatusCode, body)
		}
	}
	if item, _ := h.want(200, "GET", "/api/v1/workflows/billing/invoice", ""); item["last_run"].(map[string]any)["id"] != few {
		t.Errorf("last run: %v", item["last_run"])
	}

	for _, test := range []struct {
		id, body, status string
	}{
		{good, `{"from": "start", "version": "then"}`, "succeeded"},
		{good, `{}`, "succeeded"},
		{good, `{"from": "start", "version": "now", "data": {"total": 2}}`, "filtered"},
		{few, `{"from": "order", "version": "then"}`, "succeeded"},
	} {
		again, _ := h.want(201, "POST", "/api/v1/runs/"+test.id+"/rerun", test.body)
		run := h.finished(again["id"].(string))
		if run["status"] != test.status && test.id == good || run["parent"] != test.id {
			t.Errorf("rerun %s: %v", test.body, run)
		}
	}
	h.want(400, "POST", "/api/v1/runs/"+good+"/rerun", `{"from": "failed"}`)
	h.want(400, "POST", "/api/v1/runs/"+good+"/rerun", `{"from": "nowhere"}`)
	h.want(422, "POST", "/api/v1/runs/"+good+"/rerun", `{"version": "later"}`)
	h.want(409, "POST", "/api/v1/runs/"+good+"/cancel", "")
	none := strings.Repeat("0", 26)
	for _, id := range []string{none, "x", strings.Repeat("z", 26)} {
		h.want(404, "GET", "/api/v1/runs/"+id, "")
		h.want(404, "POST", "/api/v1/runs/"+id+"/cancel", "")
		h.want(404, "POST", "/api/v1/runs/"+id+"/rerun", `{"from": "start"}`)
	}
	h.want(404, "POST", "/api/v1/workflows/none/runs", "")
	h.want(400, "POST", "/api/v1/workflows/orders/runs", `{"body": `)
	h.want(422, "POST", "/api/v1/workflows/orders/runs", `{"data": 1}`)
}

func TestDeliveries(t *testing.T) {
	h := newHouse(t, nil)
	accepted, _ := h.want(202, "POST", "/hooks/invoices", `{"total": 129}`)
	run := accepted["run"].(string)
	h.finished(run)
	h.call("POST", "/hooks/invoices", `{"total": `)
	if res, _ := h.call("POST", "/hooks/secured", `{}`); res.StatusCode != 401 {
		t.Errorf("a hook without its secret: status %d, want 401", res.StatusCode)
	}
	page, _ := h.want(200, "GET", "/api/v1/deliveries", "")
	outcomes := map[string]int{}
	for _, item := range page["items"].([]any) {
		outcomes[item.(map[string]any)["outcome"].(string)]++
	}
	if outcomes["accepted"] != 1 || outcomes["refused"] != 2 {
		t.Errorf("outcomes: %v", outcomes)
	}
	page, _ = h.want(200, "GET", "/api/v1/deliveries?outcome=accepted&workflow=billing/invoice&limit=1", "")
	item := page["items"].([]any)[0].(map[string]any)
	if item["run"] != run || item["status"] != json.Number("202") || item["workflow"] != "billing/invoice" {
		t.Errorf("delivery: %v", item)
	}
	one, _ := h.want(200, "GET", "/api/v1/deliveries/"+item["id"].(string), "")
	if body := one["event"].(map[string]any)["body"]; fmt.Sprint(body) != "map[total:129]" {
		t.Errorf("event: %v", one)
	}
	again, _ := h.want(201, "POST", "/api/v1/deliveries/"+item["id"].(string)+"/resend", "")
	if run := h.finished(again["id"].(string)); run["status"] != "succeeded" {
		t.Errorf("resent: %v", run["status"])
	}
	h.want(404, "GET", "/api/v1/deliveries/x", "")
	h.want(404, "POST", "/api/v1/deliveries/"+strings.Repeat("0", 26)+"/resend", "")
	h.want(422, "GET", "/api/v1/deliveries?outcome=lost", "")
	h.want(400, "GET", "/api/v1/deliveries?cursor=nonsense", "")
}

func TestConnectors(t *testing.T) {
	h := newHouse(t, nil)
	list, _ := h.want(200, "GET", "/api/v1/connectors?limit=1", "")
	if list["next"] == "" || len(list["items"].([]any)) != 1 {
		t.Errorf("first page: %v", list)
	}
	one, _ := h.want(200, "GET", "/api/v1/connectors/http", "")
	action := one["actions"].([]any)[0].(map[string]any)
	if action["id"] != "request" || action["input"].(map[string]any)["properties"] == nil {
		t.Errorf("http: %v", action)
	}
	h.want(404, "GET", "/api/v1/connectors/nope", "")
}

func TestEvaluate(t *testing.T) {
	h := newHouse(t, nil)
	out, _ := h.want(200, "POST", "/api/v1/expressions/evaluate", `{"items": [
		{"expr": "trigger.body.total * 2", "sample": {"trigger": {"body": {"total": 21}}}},
		{"template": "Hi ${{ trigger.body.name }}", "sample": {"trigger": {"body": {"name": "Ada"}}}},
		{"expr": "trigger.body.total >="},
		{"expr": "trigger.none.at.all"},
		{"expr": "env.HOME"}]}`)
	want := []string{"42 number", "Hi Ada text", "<nil> ", "<nil> nothing", "<nil> "}
	for i, item := range out["items"].([]any) {
		e := item.(map[string]any)
		if got := fmt.Sprint(e["value"], " ", e["type"]); got != want[i] {
			t.Errorf("item %d: %q, want %q (%v)", i, got, want[i], e["error"])
		}
		if failed := e["error"] != nil; failed != (i == 2 || i == 4) {
			t.Errorf("item %d: error %v", i, e["error"])
		}
	}
	if refs := out["items"].([]any)[0].(map[string]any)["refs"]; fmt.Sprint(refs) != "[trigger.body.total]" {
		t.Errorf("refs: %v", refs)
	}
	many := `{"items": [` + strings.TrimSuffix(strings.Repeat(`{"expr": "1"},`, 51), ",") + `]}`
	for _, body := range []string{`{}`, many, `{"items": [{}]}`, `{"items": [{"expr": "1", "template": "1"}]}`, `{"items": [{"expr": "1", "sample": []}]}`} {
		h.want(http.StatusUnprocessableEntity, "POST", "/api/v1/expressions/evaluate", body)
	}
}

func TestExport(t *testing.T) {
	h := newHouse(t, nil)
	var ids []string
	for i := range 3 {
		started, _ := h.want(201, "POST", "/api/v1/workflows/billing/invoice/runs", fmt.Sprintf(`{"body": {"total": %d, "note": "<note %d>"}}`, 200+i, i))
		ids = append(ids, started["id"].(string))
		h.finished(ids[i])
	}
	export := func(query string) (lines []map[string]any) {
		t.Helper()
		resp, text := h.call("GET", "/api/v1/runs/export"+query, "")
		if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || kind != "application/x-ndjson" {
			t.Fatalf("%s: status %d, type %q", query, resp.StatusCode, kind)
		}
		for d := json.NewDecoder(strings.NewReader(text)); d.More(); {
			var line map[string]any
			if err := d.Decode(&line); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, line)
		}
		last := lines[len(lines)-1]
		if last["end"] != true || last["runs"] != float64(len(lines)-1) {
			t.Errorf("%s: last line %v of %d", query, last, len(lines))
		}
		return lines[:len(lines)-1]
	}
	all := export("")
	if len(all) != 3 || all[0]["id"] != ids[2] || all[2]["id"] != ids[0] {
		t.Fatalf("all: %d runs, want three, newest first", len(all))
	}
	if body := all[1]["trigger"].(map[string]any)["body"].(map[string]any); body["note"] != "<note 1>" || len(all[1]["steps"].([]any)) == 0 {
		t.Errorf("a run: %v", all[1])
	}
	for query, want := range map[string]int{"?limit=2": 2, "?q=note+1": 1, "?status=failed": 0, "?workflow=billing/invoice&status=succeeded": 3} {
		if got := export(query); len(got) != want {
			t.Errorf("%s: %d runs, want %d", query, len(got), want)
		}
	}
}

package server_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDeliveriesOverTheAPI(t *testing.T) {
	h := newHouse(t, nil)
	send := func(path, body string, headers ...string) {
		t.Helper()
		if res, text := h.call("POST", "/hooks/"+path, body, headers...); res.StatusCode != 202 {
			t.Fatalf("status %d: %s", res.StatusCode, text)
		}
		nextMillisecond()
	}
	h.want(201, "PUT", "/api/v1/workflows/off/text", `{"text": `+quoted("enabled: false\ntriggers: [{webhook: {}}]\nsteps:\n  - set: {a: 1}\n")+`}`, "If-None-Match", "*")
	send("invoices", `{"total": 150, "order": "N-77"}`, "Authorization", "Bearer abc", "User-Agent", "curl")
	send("invoices", `{"text": "`+strings.Repeat("x", 70_000)+`"}`)
	for _, order := range []string{"1", "2", "3"} {
		send("off", `{"order": `+order+`}`)
	}
	items := func(query string) []any {
		t.Helper()
		var all []any
		for cursor := ""; ; { // a search gives what it found in its time
			list, _ := h.want(200, "GET", "/api/v1/deliveries"+query+cursor, "")
			all = append(all, list["items"].([]any)...)
			if list["next"] == "" {
				return all
			}
			cursor = "&cursor=" + list["next"].(string)
		}
	}
	id := func(item any) string { return item.(map[string]any)["id"].(string) }

	found := items("?q=n-77")
	if len(found) != 1 {
		t.Fatalf("search: %v", found)
	}
	one, _ := h.want(200, "GET", "/api/v1/deliveries/"+id(found[0]), "")
	headers := one["event"].(map[string]any)["headers"].(map[string]any)
	if one["body"] != `{"total": 150, "order": "N-77"}` || headers["authorization"] != "(removed)" || headers["user-agent"] != "curl" {
		t.Errorf("detail: %v", one)
	}
	if res, text := h.call("GET", "/api/v1/deliveries/"+id(found[0])+"/body", ""); text != one["body"] ||
		res.Header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(res.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("download: %v %s", res.Header, text)
	}
	large, _ := h.want(200, "GET", "/api/v1/deliveries/"+id(items("?q=xxxx")[0]), "")
	if len(large["body"].(string)) != 64<<10 || large["body_truncated"] != true {
		t.Errorf("a large body: %d characters, truncated %v", len(large["body"].(string)), large["body_truncated"])
	}
	var all []any
	for cursor := ""; ; {
		list, _ := h.want(200, "GET", "/api/v1/deliveries?q=order&limit=1&cursor="+cursor, "")
		all = append(all, list["items"].([]any)...)
		if cursor = list["next"].(string); cursor == "" {
			break
		}
	}
	if len(all) != 4 {
		t.Errorf("pages of one: %d, want 4", len(all))
	}

	again, _ := h.want(201, "POST", "/api/v1/deliveries/"+id(found[0])+"/resend", "")
	h.finished(again["id"].(string))
	old, _ := h.want(200, "GET", "/api/v1/deliveries/"+id(found[0]), "")
	made, _ := h.want(200, "GET", "/api/v1/deliveries/"+again["delivery"].(string), "")
	if old["resent_as"] != again["delivery"] || made["resend_of"] != id(found[0]) || made["run"] != again["id"] {
		t.Errorf("links: %v and %v", old, made)
	}

	dry, _ := h.want(200, "POST", "/api/v1/deliveries/resend", `{"filter": {"workflow": "off", "outcome": "kept"}, "dry": true}`)
	sent, _ := h.want(200, "POST", "/api/v1/deliveries/resend", `{"filter": {"workflow": "off", "outcome": "kept"}}`)
	rest, _ := h.want(200, "POST", "/api/v1/deliveries/resend", `{"filter": {"workflow": "off", "outcome": "kept"}}`)
	if dry["matched"] != json.Number("3") || sent["matched"] != json.Number("3") || rest["matched"] != json.Number("0") {
		t.Errorf("resend by filter: %v, %v, %v", dry["matched"], sent["matched"], rest["matched"])
	}
	first := h.finished(sent["items"].([]any)[0].(map[string]any)["run"].(string))
	if order := first["trigger"].(map[string]any)["body"].(map[string]any)["order"]; order != json.Number("1") {
		t.Errorf("the oldest is not sent first, but %v", order)
	}
	for _, body := range []string{`{}`, `{"filter": {}}`, `{"ids": ["x"], "filter": {"workflow": "off"}}`} {
		h.want(400, "POST", "/api/v1/deliveries/resend", body)
	}
	h.want(404, "POST", "/api/v1/deliveries/resend", `{"ids": ["x"]}`)
	h.want(404, "GET", "/api/v1/deliveries/x/body", "")
}

package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestReplayOverTheAPI(t *testing.T) {
	h := newHouse(t, nil)
	var last string
	for _, total := range []int{50, 150, 250} {
		run, _ := h.want(201, "POST", "/api/v1/workflows/billing/invoice/runs", fmt.Sprintf(`{"body": {"total": %d}}`, total))
		last = run["id"].(string)
		h.finished(last)
	}
	const at = "/api/v1/workflows/billing/invoice/replay"
	if out, _ := h.want(200, "POST", at, `{}`); out["events"] != json.Number("3") || text(out["totals"]) != "3 same" {
		t.Errorf("the version that runs: %v", out["totals"])
	}
	test, _ := h.want(201, "POST", "/api/v1/drafts/billing/invoice/test", `{"mode": "pretend"}`)
	h.finished(test["run"].(string))
	if out, _ := h.want(200, "POST", at, `{}`); out["events"] != json.Number("3") {
		t.Errorf("a test run counts as an event: %v", out["totals"])
	}
	stricter := quoted(strings.Replace(invoice, ">= 100", ">= 200", 1))
	if out, _ := h.want(200, "POST", at, `{"last": 50, "text": `+stricter+`}`); text(out["totals"]) != "1 now filtered, 2 same" {
		t.Errorf("a draft: %v", out["totals"])
	}
	out, _ := h.want(200, "POST", at, `{"runs": ["`+last+`"], "text": `+quoted(strings.Replace(invoice, "* 100", "* 10", 1))+`}`)
	item := out["items"].([]any)[0].(map[string]any)
	step := item["steps"].([]any)[0].(map[string]any)
	if text(out["totals"]) != "1 different result of step order" || item["id"] != last || step["change"] != "output" ||
		fmt.Sprint(step["then"]) != "map[cents:25000]" || fmt.Sprint(step["now"]) != "map[cents:2500]" {
		t.Errorf("one run: %v", out)
	}
	if out, _ := h.want(200, "POST", at, `{"until": "2001-01-01T00:00:00Z"}`); out["events"] != json.Number("0") {
		t.Errorf("long ago: %v", out)
	}
	if list, _ := h.want(200, "GET", "/api/v1/runs", ""); len(list["items"].([]any)) != 4 {
		t.Errorf("a replay left runs behind: %v", list)
	}
	h.want(422, "POST", at, `{"text": "steps: 1"}`)
	h.want(422, "POST", at, `{"last": 501}`)
	h.want(404, "POST", at, `{"runs": ["x"]}`)
	h.want(400, "POST", "/api/v1/workflows/orders/replay", `{"runs": ["`+last+`"]}`)
	h.want(404, "POST", "/api/v1/workflows/none/replay", `{}`)
}

// TestSaveRunAsTest: a run becomes the last test of the file beside its workflow, and once.
func TestSaveRunAsTest(t *testing.T) {
	h := newHouse(t, nil)
	run, _ := h.want(201, "POST", "/api/v1/workflows/billing/invoice/runs", `{"body": {"total": 120, "token": "hush"}}`)
	h.finished(run["id"].(string))
	at := "/api/v1/runs/" + run["id"].(string) + "/as-test"
	shown, _ := h.want(200, "GET", at+"?name=a+large+one", "")
	if shown["saved"] != false || shown["blocked"] != nil || shown["name"] != "a large one" || shown["file"] != "workflows/billing/invoice.test.yaml" || len(shown["lines"].([]any)) == 0 {
		t.Errorf("shown: %v", shown)
	}
	if _, err := h.folder.ReadTest("billing/invoice"); err == nil {
		t.Error("looking wrote the file")
	}
	h.want(200, "POST", at, `{"name": "a large one"}`)
	h.want(409, "POST", at, `{"name": "a large one"}`)
	h.want(200, "POST", at, `{"name": "the same"}`)
	text, err := h.folder.ReadTest("billing/invoice")
	if err != nil || strings.Count(string(text), "- name:") != 2 || strings.Contains(string(text), "hush") {
		t.Errorf("%v\n%s", err, text)
	}
	h.want(404, "POST", "/api/v1/runs/00000000000000000000000000/as-test", `{}`)
}

// text is totals as a person reads them.
func text(totals any) string {
	var parts []string
	for _, total := range totals.([]any) {
		m := total.(map[string]any)
		parts = append(parts, fmt.Sprintf("%v %v", m["count"], m["text"]))
	}
	return strings.Join(parts, ", ")
}

func BenchmarkReplayOf50(b *testing.B) {
	h := newHouse(b, nil)
	for i := range 50 {
		run, _ := h.want(201, "POST", "/api/v1/workflows/billing/invoice/runs", fmt.Sprintf(`{"body": {"total": %d}}`, 80+i))
		h.finished(run["id"].(string))
	}
	body := `{"last": 50, "text": ` + quoted(strings.Replace(invoice, ">= 100", ">= 110", 1)) + `}`
	for b.Loop() {
		if out, _ := h.want(200, "POST", "/api/v1/workflows/billing/invoice/replay", body); text(out["totals"]) != "10 now filtered, 40 same" {
			b.Fatal(text(out["totals"]))
		}
	}
}

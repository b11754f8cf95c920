package server_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

func TestCountRuns(t *testing.T) {
	h := newHouse(t, nil)
	for i := range 3 {
		accepted, _ := h.want(202, "POST", "/hooks/invoices", fmt.Sprintf(`{"total": %d}`, 99+i))
		h.finished(accepted["run"].(string))
	}
	failed, _ := h.want(202, "POST", "/hooks/invoices", `{"total": "x"}`)
	h.finished(failed["run"].(string))
	for query, want := range map[string]string{
		"": "4 1", "?workflow=orders": "0 0", "?status=failed": "1 1", "?status=filtered": "1 0", "?since=2999-01-01T00:00:00Z": "0 0", "?until=2000-01-01T00:00:00Z": "0 0",
	} {
		got, _ := h.want(200, "GET", "/api/v1/runs/histogram"+query, "")
		var runs, bad int64
		for _, b := range got["buckets"].([]any) {
			b := b.(map[string]any)
			n, _ := b["runs"].(json.Number).Int64()
			f, _ := b["failed"].(json.Number).Int64()
			runs, bad = runs+n, bad+f
		}
		if sum := fmt.Sprint(runs, " ", bad); sum != want || got["total"] != json.Number(fmt.Sprint(runs)) {
			t.Errorf("%s: %s, total %v, want %s", query, sum, got["total"], want)
		}
	}
	list, _ := h.want(200, "GET", "/api/v1/workflows?q=invoice", "")
	item := list["items"].([]any)[0].(map[string]any)
	spark := item["spark"].([]any)
	if last := spark[len(spark)-1].(map[string]any); len(spark) != 12 || last["runs"] != json.Number("4") || last["failed"] != json.Number("1") {
		t.Errorf("spark: %v", spark)
	}
	if item["health"] != "failing" {
		t.Errorf("health %v, want failing", item["health"])
	}
	// A jump passes over as many rows as it says.
	all, _ := h.want(200, "GET", "/api/v1/runs?limit=4", "")
	skipped, _ := h.want(200, "GET", "/api/v1/runs?limit=1&skip=2", "")
	if got, want := skipped["items"].([]any)[0].(map[string]any)["id"], all["items"].([]any)[2].(map[string]any)["id"]; got != want {
		t.Errorf("skip=2: %v, want %v", got, want)
	}
	if past, _ := h.want(200, "GET", "/api/v1/runs?skip=9", ""); len(past["items"].([]any)) != 0 {
		t.Errorf("skip=9: %v", past["items"])
	}
}

func TestRunPlan(t *testing.T) {
	h := newHouse(t, nil)
	accepted, _ := h.want(202, "POST", "/hooks/invoices", `{"total": 1}`)
	run := h.finished(accepted["run"].(string))
	plan := run["plan"].([]any)
	if len(plan) != 2 || plan[0].(map[string]any)["kind"] != "filter" || plan[0].(map[string]any)["detail"] != "trigger.body.total >= 100" {
		t.Errorf("plan: %v", plan)
	}
	if run["workflow_name"] != "Invoice" || run["current"] != true {
		t.Errorf("name %v, current %v", run["workflow_name"], run["current"])
	}
}

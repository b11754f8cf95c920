package server_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const refusing = `triggers: [{webhook: {path: refuses}}]
steps:
  - {id: a, set: {n: 1}}
  - {id: x, set: {n: "${{ trigger.body.n + 1 }}"}}
  - {id: end, set: {n: "${{ steps.x.n }}"}}
`

func TestRunsThatNeedADecision(t *testing.T) {
	h := newHouse(t, nil)
	h.want(201, "PUT", "/api/v1/workflows/refuses/text", `{"text":`+quoted(refusing)+`}`)
	var ids []string
	for range 3 {
		made, _ := h.want(201, "POST", "/api/v1/workflows/refuses/runs", `{"body":{}}`)
		ids = append(ids, made["id"].(string))
		h.finished(made["id"].(string))
	}
	count := func(want int) {
		t.Helper()
		h.eventually(fmt.Sprintf("%d runs that need a decision", want), func() bool {
			list, _ := h.want(200, "GET", "/api/v1/runs?needs=decision&limit=2", "")
			n := len(list["items"].([]any))
			for list["next"] != "" {
				list, _ = h.want(200, "GET", "/api/v1/runs?needs=decision&limit=2&cursor="+list["next"].(string), "")
				n += len(list["items"].([]any))
			}
			return n == want
		})
	}
	count(3)
	if got, _ := h.want(200, "POST", "/api/v1/runs/"+ids[0]+"/resolve", `{"as":"give_up"}`); got["id"] != nil {
		t.Errorf("giving up made a run: %v", got)
	}
	count(2)
	h.want(409, "POST", "/api/v1/runs/"+ids[0]+"/resolve", `{"as":"again"}`)
	checked, _ := h.want(200, "POST", "/api/v1/runs/"+ids[1]+"/rerun", `{"from":"failed","check":true}`)
	if checked["id"] != nil {
		t.Errorf("a check made a run: %v", checked)
	}
	count(2)
	again, _ := h.want(201, "POST", "/api/v1/runs/"+ids[1]+"/rerun", `{"from":"failed","data":{"n":1}}`)
	if run := h.finished(again["id"].(string)); run["status"] != "succeeded" || run["parent"] != ids[1] {
		t.Errorf("%v", run)
	}
	count(1)
	for i, want := range []any{"give_up", "again", nil} {
		if view, _ := h.want(200, "GET", "/api/v1/runs/"+ids[i], ""); view["decision"] != want {
			t.Errorf("the decision on run %d is %v, want %v", i, view["decision"], want)
		}
	}
	h.want(422, "POST", "/api/v1/runs/"+ids[2]+"/resolve", `{"as":"perhaps"}`)
	h.want(404, "POST", "/api/v1/runs/00000000000000000000000000/resolve", `{"as":"again"}`)

	got, _ := h.want(200, "POST", "/api/v1/runs/rerun", `{"check":true,"workflow":"refuses","status":["failed"],"from":"start"}`)
	if check := got["check"].(map[string]any); got["id"] != "" || check["total"] != json.Number("3") || check["looked"] != json.Number("3") || len(check["repeats"].([]any)) != 0 {
		t.Errorf("%v", got)
	}
	h.want(404, "POST", "/api/v1/runs/rerun", `{"ids":["nonsense"]}`)
	if list, _ := h.want(200, "GET", "/api/v1/runs/rerun", ""); len(list["items"].([]any)) != 0 {
		t.Errorf("a check started something: %v", list)
	}
	job, _ := h.want(202, "POST", "/api/v1/runs/rerun", `{"workflow":"refuses","status":["failed"],"from":"start","rate":200}`)
	if job["total"] != json.Number("3") {
		t.Errorf("%v", job)
	}
	h.eventually("the end of the reruns", func() bool {
		job, _ = h.want(200, "GET", "/api/v1/runs/rerun/"+job["id"].(string), "")
		return job["done"] == true
	})
	if job["started"] != json.Number("3") {
		t.Errorf("%v", job)
	}
	two, _ := h.want(202, "POST", "/api/v1/runs/rerun", `{"ids":["`+ids[0]+`","`+ids[1]+`","`+ids[0]+`"],"rate":1000}`)
	if two["total"] != json.Number("2") {
		t.Errorf("%v", two)
	}
	list, _ := h.want(200, "GET", "/api/v1/runs/rerun", "")
	if at(list, "items", 0, "id") != two["id"] || at(list, "items", 1, "id") != job["id"] {
		t.Errorf("%v", list)
	}
	h.want(404, "GET", "/api/v1/runs/rerun/none", "")
	h.want(404, "DELETE", "/api/v1/runs/rerun/none", "")
}

func TestBulkCheckCountsWhatIsDoneTwice(t *testing.T) {
	h := newHouse(t, nil)
	h.want(201, "PUT", "/api/v1/workflows/child/text", `{"text":`+quoted("triggers: [{webhook: {path: child}}]\nsteps: [{set: {n: 1}}]\n")+`}`)
	h.want(201, "PUT", "/api/v1/workflows/parent/text", `{"text":`+quoted("triggers: [{webhook: {path: parent}}]\nsteps:\n  - {id: l, for_each: {in: '[1, 2]'}, steps: [{id: c, call: {workflow: child}}]}\n")+`}`)
	var ids []string
	for range 2 {
		made, _ := h.want(201, "POST", "/api/v1/workflows/parent/runs", `{}`)
		h.finished(made["id"].(string))
		ids = append(ids, made["id"].(string))
	}
	got, _ := h.want(200, "POST", "/api/v1/runs/rerun", `{"check":true,"ids":["`+ids[0]+`","`+ids[1]+`"]}`)
	want := map[string]any{"workflow": "parent", "step": "c", "use": "child", "runs": json.Number("2")}
	if diff := cmp.Diff([]any{want}, at(got, "check", "repeats")); diff != "" {
		t.Errorf("repeats (-want +got):\n%s", diff)
	}
}

func TestRoundsOfALoop(t *testing.T) {
	h := newHouse(t, nil)
	h.want(201, "PUT", "/api/v1/workflows/loops/text", `{"text":`+quoted("triggers: [{webhook: {path: loops}}]\nsteps:\n  - {id: l, for_each: {in: '1..50'}, steps: [{id: x, set: {n: '${{ item }}'}}]}\n")+`}`)
	made, _ := h.want(201, "POST", "/api/v1/workflows/loops/runs", `{}`)
	id := made["id"].(string)
	h.finished(id)
	list, _ := h.want(200, "GET", "/api/v1/runs/"+id+"/steps?in=l&limit=30", "")
	if n := len(list["items"].([]any)); n != 60 || list["next"] != "30" {
		t.Errorf("%d steps, next %v", n, list["next"])
	}
	list, _ = h.want(200, "GET", "/api/v1/runs/"+id+"/steps?in=l&round=41", "")
	steps := list["items"].([]any)
	if len(steps) != 2 || steps[1].(map[string]any)["path"] != "l[41].x" {
		t.Errorf("%v", steps)
	}
	h.want(404, "GET", "/api/v1/runs/"+id+"/steps?in=l&round=50", "")
	h.want(404, "GET", "/api/v1/runs/"+id+"/steps?in=x", "")
	h.want(400, "GET", "/api/v1/runs/"+id+"/steps?in=l&cursor=x", "")
}

package server_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"
)

const watcher = `triggers:
  - poll: {cron: "0 0 29 2 *", timezone: UTC, use: store.list, with: {scope: workspace}, key: item.key}
steps:
  - set: {ok: true}
`

// leapDay is when the poll comes by itself next.
func leapDay() string {
	for year := time.Now().UTC().Year(); ; year++ {
		if day := time.Date(year, 2, 29, 0, 0, 0, 0, time.UTC); day.Month() == 2 && day.After(time.Now()) {
			return day.Format(time.RFC3339)
		}
	}
}

func TestPollOverTheAPI(t *testing.T) {
	h := newHouse(t, nil)
	h.triggers.Polled(h.PollDone)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.triggers.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	h.want(201, "PUT", "/api/v1/workflows/a%2Fwatcher/text", `{"text": `+quoted(watcher)+`}`, "If-None-Match", "*")
	h.want(201, "PUT", "/api/v1/workflows/filler/text", `{"text": `+quoted("triggers: [{webhook: {}}]\nsteps:\n  - use: store.set\n    with: {scope: workspace, key: \"${{ trigger.body }}\", value: 1}\n")+`}`, "If-None-Match", "*")
	const at = "/api/v1/workflows/a/watcher/triggers/poll"
	address, _ := h.serve()
	events := follow(t, address, "?topics=polls:a/watcher", "")

	first, _ := h.want(200, "POST", at+"/poll", "")
	if first["poll"].(map[string]any)["error"] != nil {
		t.Fatalf("the poll failed: %v", first)
	}
	for _, key := range []string{"k-1", "k-2"} {
		run, _ := h.want(201, "POST", "/api/v1/workflows/filler/runs", `{"body": "`+key+`"}`)
		h.finished(run["id"].(string))
	}
	dry, _ := h.want(200, "POST", at+"/poll", `{"dry": true}`)
	if d := dry["dry"].(map[string]any); d["message"] != "Would start 2 runs." || len(d["items"].([]any)) != 2 || dry["poll"] != nil {
		t.Errorf("dry: %v", dry)
	}
	h.want(200, "POST", at+"/poll", `{"dry": false}`)
	state, _ := h.want(200, "GET", at, "")
	if p := state["poll"].(map[string]any); len(p["polls"].([]any)) < 2 || p["next_poll"] != leapDay() {
		t.Errorf("state: %v", p)
	}
	keys, _ := h.want(200, "GET", at+"/keys?limit=1", "")
	rest, _ := h.want(200, "GET", at+"/keys?limit=1&cursor="+keys["next"].(string), "")
	if rest["next"] != "" || len(rest["items"].([]any)) != 1 {
		t.Errorf("second page: %v", rest)
	}
	found, _ := h.want(200, "GET", at+"/keys?q=k-2", "")
	run := found["items"].([]any)[0].(map[string]any)["run"].(string)
	if view := h.finished(run); view["workflow"] != "a/watcher" {
		t.Errorf("the run of a key: %v", view)
	}
	effect, _ := h.want(200, "POST", at+"/rewind", `{"forget": ["k-2"], "dry": true}`)
	if effect["message"] != "Forgets 1 key. The next poll may start 1 run." || effect["dry"] != true {
		t.Errorf("rewind: %v", effect)
	}
	for body, status := range map[string]int{`{}`: 400, `{"forget": ["a"], "all_seen": true}`: 400, `{"to": "yesterday"}`: 422, `{"unknown": 1}`: 422} {
		h.want(status, "POST", at+"/rewind", body)
	}
	h.want(404, "GET", "/api/v1/workflows/a/watcher/triggers/none/keys", "")
	h.want(404, "POST", "/api/v1/workflows/none/triggers/poll/poll", "")
	h.want(400, "GET", "/api/v1/workflows/orders/triggers/schedule/keys", "")
	h.want(400, "GET", at+"/keys?cursor=zzz", "")
	h.want(200, "PUT", "/api/v1/workflows/a/watcher/enabled", `{"enabled": false}`)
	h.want(400, "POST", at+"/poll", "")

	events.until("poll.done", `"new":2,"started":2,"trigger":"poll","workflow":"a/watcher"`)
}

// quoted is a text as JSON writes it.
func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(out)
}

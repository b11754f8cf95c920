package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// reader reads one event stream.
type reader struct {
	t     *testing.T
	lines *bufio.Scanner
	close func()
	id    string // of the last event that had one
}

func follow(t *testing.T, address, query, lastID string) *reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	req, err := http.NewRequestWithContext(ctx, "GET", address+"/api/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, type %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	r := &reader{t: t, lines: bufio.NewScanner(res.Body), close: func() { cancel(); res.Body.Close() }}
	t.Cleanup(r.close)
	if kind, data := r.next(); kind != "server.hello" || data != `{"build":"1.2.3"}` {
		t.Fatalf("first event: %s %s", kind, data)
	}
	return r
}

// next returns the type and the data of the next event; empty at the end of the stream.
func (r *reader) next() (kind, data string) {
	for r.lines.Scan() {
		switch key, text, _ := strings.Cut(r.lines.Text(), ": "); key {
		case "event":
			kind = text
		case "data":
			data = text
		case "id":
			r.id = text
		case "":
			if kind != "" {
				return kind, data
			}
		}
	}
	return "", ""
}

// until reads up to an event of this type whose data holds text.
func (r *reader) until(kind, text string) {
	r.t.Helper()
	for {
		k, data := r.next()
		if k == kind && strings.Contains(data, text) {
			return
		}
		if k == "" {
			r.t.Fatalf("the stream ended before %s with %s", kind, text)
		}
	}
}

func TestEvents(t *testing.T) {
	h := newHouse(t, nil)
	address, stop := h.serve()
	all := follow(t, address, "", "")
	runs := follow(t, address, "?topics=runs", "")
	files := follow(t, address, "?topics=workflows", "")
	calls := follow(t, address, "?topics=deliveries:billing/invoice", "")

	accepted, _ := h.want(202, "POST", "/hooks/invoices", `{"total": 129}`)
	run := accepted["run"].(string)
	for _, r := range []*reader{all, runs} {
		r.until("run.started", run)
		r.until("run.finished", `"status":"succeeded"`)
	}
	calls.until("delivery.received", `"outcome":"accepted"`)
	only := follow(t, address, "?topics=run:"+run, "")

	h.want(201, "PUT", "/api/v1/workflows/fresh/text", `{"text": "triggers: [{webhook: {}}]\nsteps:\n  - set: {a: 1}\n"}`)
	files.until("workflow.changed", "fresh")

	// A reader who comes back gets what it missed, and nothing twice.
	last := runs.id
	runs.close()
	started, _ := h.want(201, "POST", "/api/v1/workflows/orders/runs", "")
	h.finished(started["id"].(string))
	all.until("run.finished", started["id"].(string))
	back := follow(t, address, "?topics=runs", last)
	if kind, data := back.next(); kind != "run.started" || !strings.Contains(data, started["id"].(string)) {
		t.Errorf("first event after coming back: %s %s", kind, data)
	}

	// An id of another process, or none at all, is a gap.
	for _, id := range []string{"aaaaaaaa-3", "nonsense", strings.Replace(last, "-", "-9", 1)} {
		r := follow(t, address, "", id)
		if kind, _ := r.next(); kind != "reset" {
			t.Errorf("Last-Event-ID %s: %s, want reset", id, kind)
		}
	}

	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	for _, r := range []*reader{all, back, only, files} {
		r.until("server.draining", "")
		if kind, _ := r.next(); kind != "" {
			t.Errorf("%s after draining", kind)
		}
	}
}

func TestEventsGap(t *testing.T) {
	h := newHouse(t, nil)
	address, _ := h.serve()
	first := follow(t, address, "?topics=workflows", "")
	h.WorkflowChanged("one", "1")
	first.until("workflow.changed", "one")
	first.close()
	for i := range 1000 {
		h.WorkflowChanged("many", fmt.Sprint(i))
	}
	back := follow(t, address, "?topics=workflows", first.id)
	if kind, data := back.next(); kind != "workflow.changed" || !strings.Contains(data, `"version":"0"`) {
		t.Errorf("1000 events later: %s %s, want all of them", kind, data)
	}
	h.WorkflowChanged("more", "1")
	lost := follow(t, address, "?topics=workflows", first.id)
	if kind, _ := lost.next(); kind != "reset" {
		t.Errorf("1001 events later: %s, want reset", kind)
	}
}

func TestEventsRefused(t *testing.T) {
	h := newHouse(t, nil)
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprintf("run:%d", i))
	}
	for _, topics := range []string{"nope", "run:", "runs:x", "runs,,x", strings.Join(many, ",")} {
		h.want(422, "GET", "/api/v1/events?topics="+topics, "")
	}
	address, _ := h.serve()
	for range 64 {
		follow(t, address, "", "")
	}
	h.want(503, "GET", "/api/v1/events", "")
}

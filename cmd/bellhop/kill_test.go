package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
)

// TestKill kills the server at random moments under load, a third of them while it starts, and then asks: was an
// acknowledged event lost, run twice, or a completed step repeated? BELLHOP_KILLS sets how often.
func TestKill(t *testing.T) {
	tr := newTrial(t)
	stop := tr.load(16)
	what := tr.kills(rounds(t, 3))
	defer tr.v.kill()
	tr.more(1)
	stop()
	tr.verdict(what)
}

// kills starts and kills the server so many times, and leaves it running. It returns how that went.
func (tr *trial) kills(times int) string {
	tr.t.Helper()
	var recovery []time.Duration
	for i := range times {
		tr.v.start()
		if i%3 == 2 {
			time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond) // it starts, or recovers
		} else {
			begun := time.Now()
			tr.v.ready()
			recovery = append(recovery, time.Since(begun))
			time.Sleep(time.Duration(rand.IntN(1450)) * time.Millisecond)
		}
		tr.v.kill()
	}
	tr.v.start()
	tr.v.ready()
	worst := time.Duration(0)
	for _, d := range recovery {
		worst = max(worst, d)
	}
	return fmt.Sprintf("%d kills, ready again within %s", times, worst.Round(time.Millisecond))
}

// waitsWorkflow waits in every way that there is.
const waitsWorkflow = `
triggers:
  - webhook: {path: kill, dedupe: trigger.body.id}
lane: trigger.body.lane
concurrency: {limit: 8}
steps:
  - id: one
    use: http.request
    with: {method: POST, url: "%[1]s/one", json: {event: "${{ trigger.body.id }}", run: "${{ run.id }}"}}
  - wait: {for: 1s}
  - id: ask
    use: http.request
    with:
      method: PUT
      url: "%[1]s/ask"
      json: {event: "${{ trigger.body.id }}", run: "${{ run.id }}", links: ["${{ callback_url('paid') }}", "${{ approval_url('agreed') }}"]}
  - {id: paid, wait: {callback: {timeout: 1d}}}
  - {id: agreed, approve: {message: Go on?, timeout: 1d}}
  - {id: sub, call: {workflow: child, with: {event: "${{ trigger.body.id }}", run: "${{ run.id }}"}}}
  - id: two
    use: http.request
    with: {method: PUT, url: "%[1]s/two", json: {event: "${{ trigger.body.id }}", run: "${{ run.id }}"}}
  - id: three
    if: steps.paid.body.ok && steps.agreed.approved && steps.sub.done && steps.two.status == 200
    use: http.request
    with: {method: PUT, url: "%[1]s/three", json: {event: "${{ trigger.body.id }}", run: "${{ run.id }}"}}
`

const childWorkflow = `
triggers: [{webhook: {path: child}}]
steps:
  - wait: {for: 1s}
  - use: http.request
    with: {method: PUT, url: "%[1]s/child", json: "${{ trigger.body }}"}
  - set: {done: true}
`

// newWaitsTrial is a trial of runs that wait. Who is asked calls back and approves, however often that takes.
func newWaitsTrial(t *testing.T) *trial {
	t.Helper()
	tr := newTrialOf(t, waitsWorkflow)
	sink := httptest.NewServer(tr.other) // the child's way to the same ledger
	t.Cleanup(sink.Close)
	child := strings.ReplaceAll(childWorkflow, "%[1]s", sink.URL)
	if err := os.WriteFile(filepath.Join(tr.v.dir, "workflows", "child.yaml"), []byte(child), 0o600); err != nil {
		t.Fatal(err)
	}
	tr.lanes = 8
	ctx, cancel := context.WithCancel(t.Context())
	var answers sync.WaitGroup
	t.Cleanup(func() { cancel(); answers.Wait() })
	client := &http.Client{Timeout: 10 * time.Second}
	tr.other.asked = func(links []string) {
		for _, link := range links {
			answers.Go(func() {
				for ctx.Err() == nil && !answered(ctx, client, link) {
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
	}
	return tr
}

// answered gives the answer that a link wants, and reports whether it was taken, or an earlier one was. An approval has a
// page that says so.
func answered(ctx context.Context, client *http.Client, link string) bool {
	kind, body, approves := "application/json", `{"ok": true}`, strings.Contains(link, engine.ApprovePath)
	if approves {
		kind, body = "application/x-www-form-urlencoded", "decision=approve&by=Ada"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, link, strings.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", kind)
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if approves && err == nil {
		return strings.Contains(string(page), "Approved by Ada")
	}
	return err == nil && (resp.StatusCode < 400 || resp.StatusCode == http.StatusGone)
}

// TestKillWaits kills the server while runs wait, for a time, a call back, an approval, another run, their lane and their
// turn, and while they are woken.
func TestKillWaits(t *testing.T) {
	tr := newWaitsTrial(t)
	stop := tr.loadEvery(4, 50*time.Millisecond)
	what := tr.kills(rounds(t, 3))
	defer tr.v.kill()
	tr.more(1)
	stop()
	tr.verdict("runs that wait: " + what)
}

// pollWorkflow has the steps of killWorkflow for the items of a list.
var pollWorkflow = strings.NewReplacer(
	"  - webhook: {path: kill, dedupe: trigger.body.id}\n",
	"  - poll: {every: 1s, use: http.request, with: {method: GET, url: \"%[2]s\"}, items: output.body, key: item.id, first: emit}\n",
	"trigger.body.", "trigger.item.").Replace(killWorkflow)

// TestKillPoll kills the server while it polls a list that has new items each time, most times just after it got them. Each
// item that was ever listed has one run in the end.
func TestKillPoll(t *testing.T) {
	const each, window = 250, 9000 // new items of a poll, two writes of the store; items of an answer
	var mu sync.Mutex
	n, grows := 0, true
	polled := make(chan struct{}, 1)
	list := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if grows {
			n += each
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "[")
		for i := max(0, n-window); i < n; i++ {
			if i > max(0, n-window) {
				fmt.Fprint(w, ",")
			}
			fmt.Fprintf(w, `{"id":"item-%d","total":129}`, i)
		}
		fmt.Fprint(w, "]")
		select {
		case polled <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(list.Close)
	tr := newTrialOf(t, strings.ReplaceAll(pollWorkflow, "%[2]s", list.URL))
	nextPoll := func() {
		t.Helper()
		select {
		case <-polled:
		default:
		}
		select {
		case <-polled:
		case <-time.After(2 * time.Minute):
			t.Fatal("it was not polled in two minutes")
		}
	}
	kills := rounds(t, 3)
	for i := range kills {
		tr.v.start()
		if i%4 == 3 {
			time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond) // it starts
		} else {
			nextPoll()
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // it stores what it found, and begins to work on it
		}
		tr.v.kill()
	}
	tr.v.start()
	defer tr.v.kill()
	nextPoll()
	mu.Lock()
	grows = false
	for i := range n {
		tr.sent[fmt.Sprint("item-", i)] = true
	}
	mu.Unlock()
	tr.gatherItems()
	tr.verdict(fmt.Sprintf("a poll, killed %d times", kills))
}

// gatherItems finds the runs of the items that were listed, of which nobody was told, and waits until there are all of
// them.
func (tr *trial) gatherItems() {
	tr.t.Helper()
	known := map[string]bool{}
	deadline := time.Now().Add(5 * time.Minute)
	for {
		for cursor := ""; ; {
			var page struct {
				Items []struct{ ID string }
				Next  string
			}
			if err := tr.v.get("/api/v1/runs?workflow=kill&limit=200&cursor="+cursor, &page); err != nil {
				tr.t.Fatal(err)
			}
			for _, item := range page.Items {
				if known[item.ID] {
					continue
				}
				known[item.ID] = true
				var r struct {
					Trigger struct{ Item struct{ ID string } }
				}
				if err := tr.v.get("/api/v1/runs/"+item.ID, &r); err != nil {
					tr.t.Fatal(err)
				}
				event := r.Trigger.Item.ID
				if _, ok := tr.acked[event]; ok {
					tr.twice++
				}
				tr.acked[event] = item.ID
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if len(tr.acked) >= len(tr.sent) {
			return
		}
		if time.Now().After(deadline) {
			tr.t.Errorf("lost: %d of %d events have no run", len(tr.sent)-len(tr.acked), len(tr.sent))
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

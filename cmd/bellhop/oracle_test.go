package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const killWorkflow = `
triggers:
  - webhook: {path: kill, dedupe: trigger.body.id}
steps:
  - filter: trigger.body.total >= 100
  - id: one            # POST: at most once across a crash, else unknown
    use: http.request
    with: {method: POST, url: "%[1]s/one", json: {event: "${{ trigger.body.id }}", run: "${{ run.id }}"}}
  - id: two            # PUT: at least once, always with the same key
    use: http.request
    with: {method: PUT, url: "%[1]s/two", json: {event: "${{ trigger.body.id }}", run: "${{ run.id }}"}}
  - id: map
    set: {event: "${{ trigger.body.id }}", run: "${{ run.id }}", said: "${{ steps.two.body.n }}"}
  - id: three
    use: http.request
    with: {method: PUT, url: "%[1]s/three", json: "${{ steps.map }}"}
`

// ledger is the other side: it writes down every effect in the order in which it came.
type ledger struct {
	mu      sync.Mutex
	effects []effect
	asked   func(links []string) // a call brought links that want an answer
}

type effect struct{ step, event, run, key string }

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Event, Run string
		Links      []string
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	l.effects = append(l.effects, effect{r.URL.Path[1:], body.Event, body.Run, r.Header.Get("Idempotency-Key")})
	n := len(l.effects)
	l.mu.Unlock()
	if len(body.Links) > 0 {
		l.asked(body.Links)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"n":%d}`, n)
}

// victim is a real server process that is killed again and again.
type victim struct {
	t    *testing.T
	dir  string
	addr string
	bin  string
	args []string // besides the usual ones
	env  []string
	cmd  *exec.Cmd
	late bool // exit had to kill it

	ended chan struct{} // closed when the process that start made has ended
}

func newVictim(t *testing.T, flow string) *victim {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "bellhop") // the test binary is bellhop when it is called so
	if err := os.Symlink(self, bin); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(folder, "workflows"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "workflows", "kill.yaml"), []byte(flow), 0o644); err != nil {
		t.Fatal(err)
	}
	port, err := freePort() // nobody gets it while the server is dead, not even a sender that calls it
	if err != nil {
		t.Fatal(err)
	}
	return &victim{t: t, dir: folder, addr: "127.0.0.1:" + port, bin: bin}
}

func (v *victim) start() {
	v.t.Helper()
	v.cmd = exec.Command(v.bin, append([]string{"serve", "--dir", v.dir, "--listen", v.addr, "--log-level", "error"}, v.args...)...)
	v.cmd.Env = append(append(os.Environ(), "BELLHOP_OUTBOUND_ALLOW=127.0.0.0/8", "BELLHOP_ADMIN_TOKEN="), v.env...)
	v.cmd.Stdout, v.cmd.Stderr = io.Discard, os.Stderr
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	cmd, ended := v.cmd, make(chan struct{})
	v.ended = ended
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
}

func (v *victim) kill() {
	v.cmd.Process.Kill()
	<-v.ended
}

func (v *victim) ready() {
	v.t.Helper()
	if !v.readyWithin(2 * time.Minute) {
		v.t.Fatal("the server does not get ready")
	}
}

// readyWithin waits until the server is ready; false: it has ended, or the time is up.
func (v *victim) readyWithin(d time.Duration) bool {
	for deadline := time.Now().Add(d); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		select {
		case <-v.ended:
			return false
		default:
		}
		resp, err := http.Get("http://" + v.addr + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return true
			}
		}
	}
	return false
}

// exit waits until the server ends by itself and returns its code; -1: it was killed.
func (v *victim) exit(within time.Duration) int {
	v.late = false
	select {
	case <-v.ended:
	case <-time.After(within):
		v.late = true
		v.kill()
	}
	return v.cmd.ProcessState.ExitCode()
}

func (v *victim) get(path string, into any) error {
	resp, err := http.Get("http://" + v.addr + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return errNoRun
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, body)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// rounds is how often a fault is made: BELLHOP_KILLS, or a few times.
func rounds(t *testing.T, few int) int {
	t.Helper()
	s := os.Getenv("BELLHOP_KILLS")
	if s == "" {
		return few
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// trial is a server under load, what was sent to it and acknowledged, and what it did to the other side. It is the one
// oracle of all fault tests.
type trial struct {
	t     *testing.T
	v     *victim
	other *ledger
	lanes int // so many lanes share an eighth of the events; 0: none has one

	mu    sync.Mutex
	acked map[string]string // event -> run
	sent  map[string]bool
	twice int // an event was acknowledged with two runs
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	return newTrialOf(t, killWorkflow)
}

// newTrialOf is a trial of another workflow; %[1]s in it is the address of the other side.
func newTrialOf(t *testing.T, flow string) *trial {
	t.Helper()
	other := &ledger{}
	sink := httptest.NewServer(other)
	t.Cleanup(sink.Close)
	return &trial{t: t, v: newVictim(t, strings.ReplaceAll(flow, "%[1]s", sink.URL)), other: other, acked: map[string]string{}, sent: map[string]bool{}}
}

// lane is that of an event; empty: none.
func (tr *trial) lane(event string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(event))
	if n := int(h.Sum32() >> 8); tr.lanes > 0 && n%8 == 0 {
		return fmt.Sprint("lane-", n/8%tr.lanes)
	}
	return ""
}

// send is one event as a provider sends it: again with the same id until it is acknowledged or ctx is done. Some are so
// large that the store keeps them in a file of their own.
func (tr *trial) send(ctx context.Context, client *http.Client, id string) {
	tr.mu.Lock()
	tr.sent[id] = true
	tr.mu.Unlock()
	note := []byte{}
	if rand.IntN(16) == 0 {
		note = make([]byte, 300<<10)
		for i := range note {
			note[i] = 'a' + byte(rand.IntN(26))
		}
	}
	body := fmt.Sprintf(`{"id":%q,"total":129,"lane":%q,"note":%q}`, id, tr.lane(id), note)
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+tr.v.addr+"/hooks/kill", bytes.NewReader([]byte(body)))
		if err != nil {
			tr.t.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		var answer struct{ Run string }
		err = json.NewDecoder(resp.Body).Decode(&answer)
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted || err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		tr.mu.Lock()
		if before, ok := tr.acked[id]; ok && before != answer.Run {
			tr.twice++
		}
		tr.acked[id] = answer.Run
		tr.mu.Unlock()
		return
	}
}

// load sends events from some callers, now and then one twice, until stop is called.
func (tr *trial) load(callers int) (stop func()) { return tr.loadEvery(callers, 5*time.Millisecond) }

// loadEvery is load by callers who rest after each event.
func (tr *trial) loadEvery(callers int, rest time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(tr.t.Context())
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			client := &http.Client{Timeout: 5 * time.Second}
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("e-%d-%d-%d", time.Now().UnixNano(), c, n)
				tr.send(ctx, client, id)
				if n%7 == 0 {
					tr.send(ctx, client, id) // a duplicate delivery
				}
				time.Sleep(rest)
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// more waits until so many more events are acknowledged, so that what comes next has something to be lost.
func (tr *trial) more(events int) {
	tr.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for before := tr.count(); tr.count() < before+events; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tr.t.Fatalf("%d events were acknowledged in two minutes", tr.count()-before)
		}
	}
}

// count is how many events are acknowledged so far.
func (tr *trial) count() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.acked)
}

// figures are what a trial came to. All but reEffect, unknown and givenUp must be 0.
type figures struct {
	acked     int
	lost      int // acknowledged, and no run of it that ended well or says that nobody knows
	dupRun    int // events with more than one run
	dupEffect int // a step had its effect again after its success was recorded, or although it must not be repeated
	phantom   int // an effect of what nobody sent
	otherKey  int // an effect came again with another idempotency key
	outOfLane int // a run had an effect after a later run of its lane
	reEffect  int // an effect came again with the same key: a crash cut it off before its result was recorded
	unknown   int // runs with a step that is left to a person
	givenUp   int // runs that were executing in three kills, or whose child was: they are not tried again, and a person sees them
}

func (f figures) String() string {
	return fmt.Sprintf("%d events acknowledged: lost %d, dup-run %d, dup-effect %d, phantom %d, other key %d, out of lane %d; re-effect %d, unknown %d, given up %d",
		f.acked, f.lost, f.dupRun, f.dupEffect, f.phantom, f.otherKey, f.outOfLane, f.reEffect, f.unknown, f.givenUp)
}

func (f figures) bad() bool { return f.lost+f.dupRun+f.dupEffect+f.phantom+f.otherKey+f.outOfLane > 0 }

type endedRun struct {
	ID, Status, Reason, Summary string
	Steps                       []struct{ ID, Status string }
}

var errNoRun = errors.New("there is no such run")

// judge waits until every acknowledged event has ended and counts. The server is running and the load has stopped.
func (tr *trial) judge() figures {
	tr.t.Helper()
	f := figures{acked: len(tr.acked), dupRun: tr.twice}
	runs := map[string]endedRun{}
	deadline := time.Now().Add(5 * time.Minute)
	for event, id := range tr.acked {
		for {
			var r endedRun
			err := tr.v.get("/api/v1/runs/"+id, &r)
			if err == nil && (r.Status == "succeeded" || r.Status == "failed") {
				runs[event] = r
				break
			}
			if errors.Is(err, errNoRun) {
				f.lost++
				tr.t.Logf("lost: event %s, run %s is not there", event, id)
				break
			}
			if time.Now().After(deadline) {
				tr.t.Fatalf("acknowledged event %s (run %s) does not end: %+v, %v", event, id, r, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	tr.other.mu.Lock()
	defer tr.other.mu.Unlock()
	type place struct{ run, step string }
	count, keys := map[place]int{}, map[place]string{}
	runsOf := map[string]map[string]bool{}
	order := map[string]int{"one": 1, "ask": 2, "child": 3, "two": 4, "three": 5}
	reached := map[string]int{}                            // run -> how far it got
	holder, past := map[string]string{}, map[string]bool{} // of lanes; runs that a later one of their lane came after
	for _, e := range tr.other.effects {
		if lane := tr.lane(e.event); lane != "" && holder[lane] != e.run {
			if past[e.run] {
				f.outOfLane++
			}
			past[holder[lane]] = true
			holder[lane] = e.run
		}
		p := place{e.run, e.step}
		if !tr.sent[e.event] {
			f.phantom++
		}
		if runsOf[e.event] == nil {
			runsOf[e.event] = map[string]bool{}
		}
		runsOf[e.event][e.run] = true
		count[p]++
		if keys[p] != "" && keys[p] != e.key {
			f.otherKey++
		}
		keys[p] = e.key
		// A later step has begun, so the result of this one was recorded; step one is a POST.
		if order[e.step] < reached[e.run] || count[p] > 1 && e.step == "one" {
			f.dupEffect++
		}
		reached[e.run] = max(reached[e.run], order[e.step])
		if count[p] > 1 {
			f.reEffect++
		}
	}
	for _, ids := range runsOf {
		if len(ids) > 1 {
			f.dupRun++
		}
	}
	for event, r := range runs {
		cut := false
		for _, s := range r.Steps {
			cut = cut || s.Status == "unknown"
		}
		if cut {
			f.unknown++
		} else if strings.Contains(r.Summary, "crashed the engine") { // by chance: it was executing in three kills
			f.givenUp++
			tr.t.Logf("given up: event %s: run %+v", event, r)
		} else if r.Status != "succeeded" || count[place{r.ID, "three"}] == 0 {
			f.lost++
			tr.t.Logf("lost: event %s: run %+v, effects %d", event, r, count[place{r.ID, "three"}])
		}
	}
	return f
}

// verdict judges, reports and fails the test.
func (tr *trial) verdict(what string) {
	tr.t.Helper()
	f := tr.judge()
	tr.t.Logf("%s: %s", what, f)
	if f.bad() {
		tr.t.Errorf("%s: lost, dup-run, dup-effect, phantom, other key and out of lane must be 0: %s", what, f)
	}
	if f.acked == 0 {
		tr.t.Errorf("%s: no event was acknowledged: the test proves nothing", what)
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
}

type effect struct{ step, event, run, key string }

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Event, Run string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	l.effects = append(l.effects, effect{r.URL.Path[1:], body.Event, body.Run, r.Header.Get("Idempotency-Key")})
	n := len(l.effects)
	l.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"n":%d}`, n)
}

// victim is a real server process that is killed again and again.
type victim struct {
	t    *testing.T
	dir  string
	addr string
	bin  string
	cmd  *exec.Cmd
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
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return &victim{t: t, dir: folder, addr: ln.Addr().String(), bin: bin}
}

func (v *victim) start() {
	v.t.Helper()
	v.cmd = exec.Command(v.bin, "serve", "--dir", v.dir, "--listen", v.addr, "--log-level", "error")
	v.cmd.Env = append(os.Environ(), "BELLHOP_OUTBOUND_ALLOW=127.0.0.0/8", "BELLHOP_ADMIN_TOKEN=")
	v.cmd.Stdout, v.cmd.Stderr = io.Discard, os.Stderr
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) kill() {
	v.cmd.Process.Kill()
	v.cmd.Wait()
}

func (v *victim) ready() {
	v.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get("http://" + v.addr + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			v.t.Fatal("the server does not get ready")
		}
	}
}

func (v *victim) get(path string, into any) error {
	resp, err := http.Get("http://" + v.addr + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, body)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// TestKill kills the server at random moments under load and then asks: was an acknowledged event lost, run
// twice, or a completed step repeated? BELLHOP_KILLS sets how often.
func TestKill(t *testing.T) {
	kills := 3
	if s := os.Getenv("BELLHOP_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	}
	other := &ledger{}
	sink := httptest.NewServer(other)
	defer sink.Close()
	v := newVictim(t, fmt.Sprintf(killWorkflow, sink.URL))

	var mu sync.Mutex
	acked := map[string]string{} // event -> run
	sent := map[string]bool{}
	twice := 0
	send := func(ctx context.Context, client *http.Client, id string) {
		body := fmt.Sprintf(`{"id":%q,"total":129}`, id)
		for ctx.Err() == nil { // as a provider does: again with the same id until it is acknowledged
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+v.addr+"/hooks/kill", bytes.NewReader([]byte(body)))
			if err != nil {
				t.Error(err)
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
			mu.Lock()
			if before, ok := acked[id]; ok && before != answer.Run {
				twice++
			}
			acked[id] = answer.Run
			mu.Unlock()
			return
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for c := range 16 {
		load.Go(func() {
			client := &http.Client{Timeout: 5 * time.Second}
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("e-%d-%d", c, n)
				mu.Lock()
				sent[id] = true
				mu.Unlock()
				send(ctx, client, id)
				if n%7 == 0 {
					send(ctx, client, id) // a duplicate delivery
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	for range kills {
		v.start()
		time.Sleep(time.Duration(50+rand.IntN(1450)) * time.Millisecond)
		v.kill()
	}
	v.start()
	v.ready()
	time.Sleep(200 * time.Millisecond)
	stop()
	load.Wait()
	defer v.kill()

	type run struct {
		ID, Status, Reason string
		Steps              []struct{ ID, Status string }
	}
	runs := map[string]run{}
	deadline := time.Now().Add(90 * time.Second)
	for event, id := range acked {
		for {
			var r run
			err := v.get("/api/v1/runs/"+id, &r)
			if err == nil && (r.Status == "succeeded" || r.Status == "failed") {
				runs[event] = r
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("acknowledged event %s (run %s) does not end: %+v, %v", event, id, r, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	other.mu.Lock()
	defer other.mu.Unlock()
	type place struct{ run, step string }
	count, keys := map[place]int{}, map[place]string{}
	runsOf := map[string]map[string]bool{}
	lost, repeated, phantom, again, otherKey, unknown := 0, 0, 0, 0, 0, 0
	order := map[string]int{"one": 1, "two": 2, "three": 3}
	reached := map[string]int{} // run -> how far it got
	for _, e := range other.effects {
		p := place{e.run, e.step}
		if !sent[e.event] {
			phantom++
		}
		if runsOf[e.event] == nil {
			runsOf[e.event] = map[string]bool{}
		}
		runsOf[e.event][e.run] = true
		count[p]++
		if keys[p] != "" && keys[p] != e.key {
			otherKey++
		}
		keys[p] = e.key
		// A later step has begun, so the result of this one was recorded.
		if order[e.step] < reached[e.run] {
			repeated++
		}
		reached[e.run] = max(reached[e.run], order[e.step])
		if count[p] > 1 {
			again++
			if e.step == "one" {
				repeated++
			}
		}
	}
	for _, ids := range runsOf {
		if len(ids) > 1 {
			twice++
		}
	}
	for event, r := range runs {
		cut := false
		for _, s := range r.Steps {
			cut = cut || s.Status == "unknown"
		}
		if cut {
			unknown++
		} else if r.Status != "succeeded" || count[place{r.ID, "three"}] == 0 {
			lost++
			t.Errorf("event %s: run %+v, effects %d", event, r, count[place{r.ID, "three"}])
		}
	}
	t.Logf("%d kills, %d events acknowledged: lost %d, run twice %d, completed step repeated %d, phantom %d; effect again with the same key %d, unknown %d",
		kills, len(acked), lost, twice, repeated, phantom, again, unknown)
	if lost+twice+repeated+phantom+otherKey > 0 {
		t.Errorf("lost %d, twice %d, repeated %d, phantom %d, other key %d: all must be 0", lost, twice, repeated, phantom, otherKey)
	}
	if len(acked) == 0 {
		t.Error(errors.New("no event was acknowledged: the test proves nothing"))
	}
}

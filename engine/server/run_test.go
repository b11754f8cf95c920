package server_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bellhop-dev/bellhop/engine/server"
)

func TestReady(t *testing.T) {
	ready := false
	h := newHouse(t, func(o *server.Options) { o.Ready = func() bool { return ready } })
	h.want(503, "GET", "/readyz", "")
	h.want(200, "GET", "/healthz", "")
	ready = true
	h.want(200, "GET", "/readyz", "")
}

// TestDrain stops the server while a hook is being answered: the answer still comes.
func TestDrain(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	h := newHouse(t, func(o *server.Options) {
		o.Hooks = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(reached)
			<-release
			w.WriteHeader(http.StatusAccepted)
		})
	})
	address, stop := h.serve()
	answer := make(chan int, 1)
	go func() {
		res, err := http.Post(address+"/hooks/x", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Error(err)
			answer <- 0
			return
		}
		res.Body.Close()
		answer <- res.StatusCode
	}()
	<-reached
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // the listener closes first
		c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a call under way: %v", err)
	default:
	}
	close(release)
	if got := <-answer; got != http.StatusAccepted {
		t.Errorf("the call under way got %d", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestHookOutlastsReadDeadline shows that the deadline against slow senders does not end a call that was read. A machine
// that is too busy to read a mebibyte within the deadline gets longer ones.
func TestHookOutlastsReadDeadline(t *testing.T) {
	var deadline atomic.Int64
	h := newHouse(t, func(o *server.Options) {
		o.Hooks = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusRequestTimeout)
				return
			}
			select {
			case <-r.Context().Done():
				http.Error(w, "cut off", http.StatusGatewayTimeout)
			case <-time.After(time.Duration(deadline.Load()) * 5 / 4):
			}
		})
	})
	serve := func(d time.Duration) *httptest.Server {
		deadline.Store(int64(d))
		s := httptest.NewUnstartedServer(h)
		s.Config.ReadTimeout = d
		s.Start()
		return s
	}
	call := func(s *httptest.Server, body string) error {
		res, err := http.Post(s.URL+"/hooks/x", "text/plain", strings.NewReader(body))
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			return fmt.Errorf("%d bytes: status %d", len(body), res.StatusCode)
		}
		return nil
	}
	for d := 2 * time.Second; ; d *= 3 {
		s := serve(d)
		var calls errgroup.Group
		for _, body := range []string{"", "{}", strings.Repeat("x", 1<<20)} {
			calls.Go(func() error { return call(s, body) })
		}
		err := calls.Wait()
		s.Close()
		if err == nil {
			break
		}
		if d > patience/3 {
			t.Fatalf("with a deadline of %s: %v", d, err)
		}
	}
	// A sender that stops in the middle still meets it.
	s := serve(2 * time.Second)
	defer s.Close()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /hooks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
	began := time.Now()
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("a slow sender held the connection for %s", took)
	}
}

func TestPanic(t *testing.T) {
	h := newHouse(t, func(o *server.Options) {
		o.Hooks = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret detail") })
	})
	got, _ := h.want(500, "POST", "/hooks/x", "{}")
	if strings.Contains(fmt.Sprint(got), "secret detail") {
		t.Errorf("the answer tells the panic: %v", got)
	}
	if res, body := h.call("GET", "/metrics", ""); res.StatusCode != 200 {
		t.Errorf("after a panic: %d %s", res.StatusCode, body)
	}
}

func TestUI(t *testing.T) {
	h := newHouse(t, nil)
	page := []string{"Accept", "text/html,application/xhtml+xml"}
	for path, want := range map[string]int{
		"/": 200, "/assets/index.js": 200, "/icon.svg": 200, "/theme.js": 200, "/none": 404, "/runs/" + strings.Repeat("0", 26): 404,
		"/../go.mod": 404, "/%2e%2e/ui.go": 404, "/hooks": 404, "//": 404, "/.git/config": 404, "/assets/gone.js": 404,
	} {
		res, body := h.call("GET", path, "")
		if res.StatusCode != want {
			t.Errorf("GET %s: status %d, want %d", path, res.StatusCode, want)
		}
		if want == 200 && !strings.Contains(res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("GET %s: policy %q", path, res.Header.Get("Content-Security-Policy"))
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("GET %s: sniffing is allowed", path)
		}
		if path == "/" && (strings.Contains(body, "<script>") || strings.Contains(body, "style=")) {
			t.Errorf("GET %s: inline script or style, which the policy forbids", path)
		}
	}
	// A browser that asks for a page gets the application, whatever the address; never for a file that is not there.
	for path, want := range map[string]int{"/": 200, "/workflows/billing%2Finvoice": 200, "/runs/x": 200, "/assets/gone.js": 404, "/hooks": 404, "/api/v1/none": 404} {
		if res, body := h.call("GET", path, "", page...); res.StatusCode != want || want == 200 && !strings.Contains(body, `id="app"`) {
			t.Errorf("GET %s as a page: status %d, want %d", path, res.StatusCode, want)
		}
	}
	// Nothing is inline: the text editors' own sheet says a word that only this answer knows.
	words := map[string]bool{}
	for range 3 {
		res, body := h.call("GET", "/", "", "If-None-Match", "*")
		policy := res.Header.Get("Content-Security-Policy")
		_, word, _ := strings.Cut(policy, "'nonce-")
		word, _, _ = strings.Cut(word, "'")
		if strings.Contains(policy, "unsafe") || len(word) < 20 || words[word] || strings.Count(body, word) != 1 {
			t.Errorf("policy %q of a page that says %q", policy, body)
		}
		words[word] = true
	}
	res, whole := h.call("GET", "/assets/index.js", "")
	tag := res.Header.Get("ETag")
	if res, body := h.call("GET", "/assets/index.js", "", "If-None-Match", tag); res.StatusCode != 304 || body != "" || tag == "" {
		t.Errorf("with its tag %q: status %d, %d bytes", tag, res.StatusCode, len(body))
	}
	res, zipped := h.call("GET", "/assets/index.js", "", "Accept-Encoding", "gzip")
	unzip, err := gzip.NewReader(strings.NewReader(zipped))
	if err != nil || res.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("gzip: %v, Content-Encoding %q", err, res.Header.Get("Content-Encoding"))
	}
	if text, err := io.ReadAll(unzip); err != nil || string(text) != whole {
		t.Errorf("unzipped: %d bytes, want %d: %v", len(text), len(whole), err)
	}
	h.want(405, "POST", "/", "")
	if res, _ := h.call("HEAD", "/", ""); res.StatusCode != 200 {
		t.Errorf("HEAD /: status %d", res.StatusCode)
	}
}

func TestMetrics(t *testing.T) {
	h := newHouse(t, nil)
	address, _ := h.serve()
	stream := follow(t, address, "?topics=runs", "")
	accepted, _ := h.want(202, "POST", "/hooks/invoices", `{"total": 129}`)
	stream.until("run.finished", accepted["run"].(string))
	h.call("GET", "/hooks/invoices", "")
	var text string
	h.eventually("a run that ended is counted", func() bool { // a moment after its end is stored
		_, text = h.call("GET", "/metrics", "")
		return strings.Contains(text, "\nbellhop_runs_finished_total{status=\"succeeded\"} 1")
	})
	for _, line := range []string{
		`bellhop_hook_calls_total{code="202"} 1`, `bellhop_hook_calls_total{code="405"} 1`, `bellhop_hook_accept_seconds_count 1`,
		`bellhop_runs{state="ready"} 0`, `bellhop_event_streams 1`, `bellhop_build_info{version="1.2.3"} 1`, "go_goroutines ",
		"bellhop_runs_started_total 1", `bellhop_runs_finished_total{status="succeeded"} 1`, "bellhop_store_commits_total ",
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("no line %s", line)
		}
	}
}

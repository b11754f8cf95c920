package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const fairWorkflow = `name: %s
triggers:
  - webhook: {path: %s}
steps:
  - filter: trigger.body.total >= 100
  - use: http.request
    with: {method: POST, url: "%s", json: {id: "${{ trigger.body.id }}"}}
`

// slowFlood is the most events of the flood whose calls are slow.
const slowFlood = 5000

// quietEvery is how far the events of the workflow lie apart whose neighbor is flooded.
const quietEvery = 20 * time.Millisecond

// fair measures how long the events of one workflow take, from the webhook's call until its own call arrives, alone
// and while another workflow is flooded: once with calls that are answered at once, once with calls that take a second
// and hold all the workers that there are.
func (o *options) fair(ctx context.Context) error {
	fmt.Printf("\nfair shares: an event every %s on one workflow, then %d events on another at the same time; %d callers\n", quietEvery, o.flood, o.callers)
	for _, slow := range []time.Duration{0, time.Second} {
		probe, _, err := fdatasyncProbe(o.dir, 200)
		if err != nil {
			return err
		}
		quiet, flooded, during, err := o.fairRound(ctx, slow)
		if err != nil {
			return err
		}
		alone, beside := percentile(quiet, 0.99), percentile(flooded, 0.99)
		fmt.Printf("  the flood's calls take %-3s  alone p50 %s p99 %s   beside the flood (%s, %d events) p50 %s p99 %s   ratio %.1f (<= 3)   fdatasync p50 %s\n",
			slow, percentile(quiet, 0.5).Round(10*time.Microsecond), alone.Round(10*time.Microsecond), during.Round(100*time.Millisecond), len(flooded),
			percentile(flooded, 0.5).Round(10*time.Microsecond), beside.Round(10*time.Microsecond), float64(beside)/float64(alone), probe.Round(time.Microsecond))
	}
	return nil
}

func (o *options) fairRound(ctx context.Context, slow time.Duration) (quiet, flooded []time.Duration, during time.Duration, err error) {
	s, err := newStopwatch(0)
	if err != nil {
		return nil, nil, 0, err
	}
	defer s.srv.Close()
	n := o.flood
	if slow > 0 {
		n = min(n, slowFlood)
	}
	far, err := o.startFlooder(ctx, slow, n)
	if err != nil {
		return nil, nil, 0, err
	}
	defer far.stop()
	dir := filepath.Join(o.dir, "fair")
	if err := os.MkdirAll(filepath.Join(dir, "workflows"), 0o755); err != nil {
		return nil, nil, 0, err
	}
	defer os.RemoveAll(dir)
	for name, url := range map[string]string{"flood": far.sink + "/flood", "order": s.url + "/order"} {
		if err := os.WriteFile(filepath.Join(dir, "workflows", name+".yaml"), fmt.Appendf(nil, fairWorkflow, name, name, url), 0o644); err != nil {
			return nil, nil, 0, err
		}
	}
	srv, err := serveBellhop(ctx, o.bellhop, dir)
	if err != nil {
		return nil, nil, 0, err
	}
	defer srv.stop()
	events := max(200, o.events/20)
	if _, err := s.send(ctx, srv.hook, "w", func(i int) bool { return i < 100 }); err != nil { // warm up
		return nil, nil, 0, err
	}
	if quiet, err = s.send(ctx, srv.hook, "q", func(i int) bool { return i < events }); err != nil {
		return nil, nil, 0, err
	}
	begun := time.Now()
	over := make(chan error, 1)
	go func() { over <- far.flood(strings.TrimSuffix(srv.hook, "order") + "flood") }()
	time.Sleep(200 * time.Millisecond) // the flood stands
	ended := false
	flooded, err = s.send(ctx, srv.hook, "f", func(int) bool {
		select {
		case err := <-over:
			ended = true
			over <- err
		default:
		}
		return !ended
	})
	return quiet, flooded, time.Since(begun), errors.Join(err, <-over)
}

// flooder is the program that sends the flood and takes its calls. It is another process, as a flood comes from
// elsewhere: in this one its callers would stand in front of the events that are measured.
type flooder struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	sink string
}

func (o *options) startFlooder(ctx context.Context, slow time.Duration, n int) (*flooder, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f := &flooder{cmd: exec.CommandContext(ctx, self, "-flooder", "-slow", slow.String(), "-callers", strconv.Itoa(o.callers), "-flood", strconv.Itoa(n))}
	f.cmd.Stderr = os.Stderr
	if f.in, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.out = bufio.NewReader(out)
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := f.out.ReadString('\n')
	if err != nil {
		f.stop()
		return nil, fmt.Errorf("the flooder does not start: %w", err)
	}
	f.sink = strings.TrimSpace(line)
	return f, nil
}

// flood returns when all its events are worked on.
func (f *flooder) flood(hook string) error {
	if _, err := fmt.Fprintln(f.in, hook); err != nil {
		return err
	}
	if _, err := f.out.ReadString('\n'); err != nil {
		return fmt.Errorf("the flooder: %w", err)
	}
	return nil
}

func (f *flooder) stop() {
	f.in.Close()
	f.cmd.Process.Kill()
	f.cmd.Wait()
}

// runFlooder is the other program: it says where its sink is, reads the hook, and says when all is over.
func runFlooder(ctx context.Context, slow time.Duration, callers, n int) error {
	s, err := newStopwatch(slow)
	if err != nil {
		return err
	}
	defer s.srv.Close()
	fmt.Println(s.url)
	hook, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return err
	}
	if err := flood(ctx, strings.TrimSpace(hook), callers, n); err != nil {
		return err
	}
	if err := s.drained(ctx, n); err != nil {
		return err
	}
	fmt.Println("over")
	return nil
}

// flood sends n events with so many callers, and an event again that was refused.
func flood(ctx context.Context, url string, callers, n int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	body := order(2048)
	todo := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range callers {
		wg.Go(func() {
			for range todo {
				for again := true; again && ctx.Err() == nil; {
					resp, err := client.Post(url, "application/json", bytes.NewReader(body))
					if err != nil {
						mu.Lock()
						failed = err
						mu.Unlock()
						break
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					switch again = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable; {
					case again:
						time.Sleep(200 * time.Millisecond)
					case resp.StatusCode != http.StatusAccepted:
						mu.Lock()
						failed = fmt.Errorf("the flood is answered %s", resp.Status)
						mu.Unlock()
					}
				}
			}
		})
	}
	for i := range n {
		todo <- i
	}
	close(todo)
	wg.Wait()
	return failed
}

// stopwatch is the other side: it notes when the call for an event arrives, and counts those of the flood.
type stopwatch struct {
	url     string
	srv     *http.Server
	mu      sync.Mutex
	arrived map[string]chan time.Time
	floods  int
}

func newStopwatch(slow time.Duration) (*stopwatch, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &stopwatch{url: "http://" + ln.Addr().String(), arrived: map[string]chan time.Time{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/flood", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(slow)
		s.mu.Lock()
		s.floods++
		s.mu.Unlock()
	})
	mux.HandleFunc("/order", func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		body, _ := io.ReadAll(r.Body)
		if id := bytes.Split(body, []byte{'"'}); len(id) > 3 { // {"id":"..."}
			s.mu.Lock()
			defer s.mu.Unlock()
			if ch := s.arrived[string(id[3])]; ch != nil {
				ch <- at
			}
		}
	})
	s.srv = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: mux}
	go s.srv.Serve(ln)
	return s, nil
}

// drained waits for the flood's last call.
func (s *stopwatch) drained(ctx context.Context, n int) error {
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		got := s.floods
		s.mu.Unlock()
		if got >= n {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%d of %d events of the flood were worked on", got, n)
		}
	}
}

// send sends events at a fixed pace while more says so and returns how long each took.
func (s *stopwatch) send(ctx context.Context, url, prefix string, more func(i int) bool) ([]time.Duration, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	var all []time.Duration
	tick := time.NewTicker(quietEvery)
	defer tick.Stop()
	for i := 0; more(i) && ctx.Err() == nil; i++ {
		wg.Go(func() {
			took, err := s.one(client, url, prefix+strconv.Itoa(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			all = append(all, took)
		})
		<-tick.C
	}
	wg.Wait()
	return all, failed
}

func (s *stopwatch) one(client *http.Client, url, id string) (time.Duration, error) {
	ch := make(chan time.Time, 4)
	s.mu.Lock()
	s.arrived[id] = ch
	s.mu.Unlock()
	begun := time.Now()
	resp, err := client.Post(url, "application/json", bytes.NewReader(bytes.Replace(order(2048), []byte("ord_8F3K2"), []byte(id), 1)))
	if err != nil {
		return 0, err
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return 0, fmt.Errorf("event %s is answered %s", id, resp.Status)
	}
	select {
	case at := <-ch:
		return at.Sub(begun), nil
	case <-time.After(time.Minute):
		return 0, fmt.Errorf("event %s was not worked on in a minute", id)
	}
}

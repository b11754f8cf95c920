package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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
	"sync/atomic"
	"syscall"
	"time"
)

// job measures the whole job: webhook, filter, map three fields, POST to a local sink, history.
func (o *options) job(ctx context.Context) error {
	sink, err := newSink()
	if err != nil {
		return err
	}
	defer sink.close()
	fmt.Printf("\nwhole job: webhook -> filter -> map 3 fields -> POST -> history; %d callers, %d events, median of %d rounds\n", o.callers, o.events, o.rounds)
	var ratios []float64
	for round := range o.rounds {
		probe, _, err := fdatasyncProbe(o.dir, 200)
		if err != nil {
			return err
		}
		bare, err := o.measure(ctx, sink, fmt.Sprintf("bare-%d", round), startBare)
		if err != nil {
			return fmt.Errorf("bare program: %w", err)
		}
		bell, err := o.measure(ctx, sink, fmt.Sprintf("bellhop-%d", round), startBellhop)
		if err != nil {
			return fmt.Errorf("bellhop: %w", err)
		}
		fmt.Printf("  bare     %s\n  bellhop  %s\n  ratio    %.2f (>= 0.60, aim 0.75)   ack p99 %.1f commits (<= 4; a commit every %s, the writer is with the disk %.0f %% of the time)   fdatasync p50 %s\n",
			bare, bell, bell.rate/bare.rate, float64(bell.p99)/float64(bell.commit), bell.commit.Round(10*time.Microsecond), 100*bell.disk, probe.Round(time.Microsecond))
		ratios = append(ratios, bell.rate/bare.rate)
	}
	fmt.Printf("  median ratio %.2f\n", median(ratios))
	return nil
}

type jobResult struct {
	rate, rss, peak float64
	cpu             time.Duration // per event
	p50, p99        time.Duration // of the acknowledgment
	commit          time.Duration // mean time between two commits; 0: the program does not tell
	disk            float64       // share of the time that its writer is with the disk
}

func (r jobResult) String() string {
	return fmt.Sprintf("%7.0f events/s   %4d us CPU per event   ack p50 %s p99 %s   RSS %.0f MB, peak %.0f MB",
		r.rate, r.cpu.Microseconds(), r.p50.Round(10*time.Microsecond), r.p99.Round(10*time.Microsecond), r.rss, r.peak)
}

// server is a program under test.
type server struct {
	cmd      *exec.Cmd
	hook     string
	finished func() (int, error)     // runs finished so far
	parked   func() (int, error)     // runs that wait now; nil: the program does not tell
	commits  func() (int, error)     // so far; nil: the program does not tell
	disk     func() (float64, error) // seconds that the writer was with the disk so far
}

func (s *server) stop() {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err == nil {
		done := make(chan struct{})
		go func() { s.cmd.Wait(); close(done) }()
		select {
		case <-done:
			return
		case <-time.After(20 * time.Second):
		}
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func startBare(ctx context.Context, o *options, dir string, s *sink) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-bare", "-dir", dir, "-sink", s.url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, err
	}
	base := "http://" + strings.TrimSpace(strings.TrimPrefix(line, "listening "))
	return &server{cmd: cmd, hook: base + "/hooks/order", finished: func() (int, error) {
		body, err := get(base + "/finished")
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(string(body))
	}}, nil
}

const jobWorkflow = `name: Whole job
triggers:
  - webhook: {path: order}
steps:
  - filter: trigger.body.total >= 100
  - id: order
    set:
      order: ${{ trigger.body.id }}
      customer: ${{ trigger.body.customer.name }}
      cents: ${{ int(trigger.body.total * 100) }}
  - use: http.request
    with: {method: POST, url: "%s", json: "${{ steps.order }}"}
`

func startBellhop(ctx context.Context, o *options, dir string, s *sink) (*server, error) {
	if err := os.MkdirAll(filepath.Join(dir, "workflows"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "workflows", "order.yaml"), fmt.Appendf(nil, jobWorkflow, s.url), 0o644); err != nil {
		return nil, err
	}
	return serveBellhop(ctx, o.bellhop, dir)
}

// serveBellhop starts the binary on a free port and waits until it is ready.
func serveBellhop(ctx context.Context, binary, dir string) (*server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := ln.Addr().String()
	ln.Close()
	cmd := exec.CommandContext(ctx, binary, "serve", "--dir", dir, "--listen", addr)
	cmd.Env = append(os.Environ(), "BELLHOP_OUTBOUND_ALLOW=127.0.0.0/8", "BELLHOP_ADMIN_TOKEN=")
	log, err := os.Create(filepath.Join(dir, "serve.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	base := "http://" + addr
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if _, err := get(base + "/readyz"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			return nil, errors.New("the server does not get ready; see serve.log")
		}
	}
	return &server{
		cmd: cmd, hook: base + "/hooks/order",
		finished: func() (int, error) { return count(base, "bellhop_runs_finished_total") },
		parked:   func() (int, error) { return count(base, `bellhop_runs{state="parked"}`) },
		commits:  func() (int, error) { return count(base, "bellhop_store_commits_total") },
		disk:     func() (float64, error) { return counter(base, "bellhop_store_disk_seconds_total") },
	}, nil
}

// counter sums a counter of /metrics over its labels.
func counter(base, name string) (float64, error) {
	body, err := get(base + "/metrics")
	if err != nil {
		return 0, err
	}
	total := 0.0
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, name) {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
			if err != nil {
				return 0, err
			}
			total += v
		}
	}
	return total, nil
}

func count(base, name string) (int, error) {
	n, err := counter(base, name)
	return int(n), err
}

// measure starts a program, sends the events, and waits until every run has ended.
func (o *options) measure(ctx context.Context, s *sink, name string, start func(context.Context, *options, string, *sink) (*server, error)) (r jobResult, err error) {
	dir := filepath.Join(o.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	srv, err := start(ctx, o, dir, s)
	if err != nil {
		return r, err
	}
	defer srv.stop()
	if _, err := load(ctx, srv.hook, o.callers, o.events/20); err != nil { // warm up
		return r, err
	}
	if err := settle(ctx, srv, o.events/20); err != nil {
		return r, err
	}
	cpu, err := cpuOf(srv.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	before, commits, disk := s.count.Load(), 0, 0.0
	if srv.commits != nil {
		if commits, err = srv.commits(); err != nil {
			return r, err
		}
		if disk, err = srv.disk(); err != nil {
			return r, err
		}
	}
	begun := time.Now()
	acks, err := load(ctx, srv.hook, o.callers, o.events)
	if err != nil {
		return r, err
	}
	if err := settle(ctx, srv, o.events/20+o.events); err != nil {
		return r, err
	}
	took := time.Since(begun)
	r.rate = float64(o.events) / took.Seconds()
	if srv.commits != nil {
		n, err := srv.commits()
		if err != nil {
			return r, err
		}
		r.commit = took / time.Duration(max(1, n-commits))
		later, err := srv.disk()
		if err != nil {
			return r, err
		}
		r.disk = (later - disk) / took.Seconds()
	}
	if got := s.count.Load() - before; got != int64(o.events) {
		return r, fmt.Errorf("the sink got %d calls, want %d", got, o.events)
	}
	after, err := cpuOf(srv.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	r.cpu = (after - cpu) / time.Duration(o.events)
	r.p50, r.p99 = percentile(acks, 0.5), percentile(acks, 0.99)
	if r.rss, err = memoryOf(srv.cmd.Process.Pid, "VmRSS"); err != nil {
		return r, err
	}
	r.peak, err = memoryOf(srv.cmd.Process.Pid, "VmHWM")
	return r, err
}

func settle(ctx context.Context, srv *server, want int) error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		n, err := srv.finished()
		if err != nil {
			return err
		}
		if n >= want {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%d of %d runs ended", n, want)
		}
	}
}

// load sends n events with so many callers at a time and returns how long each acknowledgment took.
func load(ctx context.Context, url string, callers, n int) ([]time.Duration, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	body := order(2048)
	var next atomic.Int64
	var mu sync.Mutex
	var failed error
	all := make([]time.Duration, 0, n)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			mine := make([]time.Duration, 0, n/callers+1)
			for next.Add(1) <= int64(n) && ctx.Err() == nil {
				begun := time.Now()
				resp, err := client.Post(url, "application/json", bytes.NewReader(body))
				if err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != http.StatusAccepted {
						err = fmt.Errorf("answered %s", resp.Status)
					}
				}
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				mine = append(mine, time.Since(begun))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return all, failed
}

// order is an order webhook of about size bytes.
func order(size int) []byte {
	items := []any{}
	for {
		body, err := json.Marshal(map[string]any{
			"id": "ord_8F3K2", "total": 129.5, "currency": "EUR",
			"customer":   map[string]any{"name": "Ada Lovelace", "email": "ada@example.com", "vip": true},
			"line_items": items,
		})
		if err != nil || len(body) >= size {
			return body
		}
		items = append(items, map[string]any{"sku": fmt.Sprintf("SKU-%04d", len(items)), "title": "A thing to buy", "price": 12.5, "quantity": 2})
	}
}

// sink is the other side: it counts.
type sink struct {
	url   string
	count atomic.Int64
	srv   *http.Server
}

func newSink() (*sink, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + ln.Addr().String() + "/sink"}
	s.srv = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		s.count.Add(1)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"ok":true}`)
	})}
	go s.srv.Serve(ln)
	return s, nil
}

func (s *sink) close() { s.srv.Close() }

func get(url string) ([]byte, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return body, err
}

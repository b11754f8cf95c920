package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// waitingWorkflow waits until the time that the event names and then tells the sink what that time was.
const waitingWorkflow = `name: Wait
triggers:
  - webhook: {path: order}
steps:
  - wait: {until: trigger.body.at}
  - use: http.request
    with: {method: POST, url: "%s", json: {at: "${{ trigger.body.at }}"}}
`

// dueRuns is how many of the waiting runs come due while it is measured, and dueEvery how far they lie apart.
const (
	dueRuns  = 1000
	dueEvery = 10 * time.Millisecond
)

// waiting measures what many runs that wait cost: the start, after a clean stop and after a kill, memory, and how late
// the timers fire.
func (o *options) waiting(ctx context.Context) error {
	fmt.Printf("\n%d waiting runs of 2 KB events\n", o.parked)
	dir := filepath.Join(o.dir, "waiting")
	if err := os.MkdirAll(filepath.Join(dir, "workflows"), 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	alarm, err := newAlarm()
	if err != nil {
		return err
	}
	defer alarm.srv.Close()
	if err := os.WriteFile(filepath.Join(dir, "workflows", "wait.yaml"), fmt.Appendf(nil, waitingWorkflow, alarm.url), 0o644); err != nil {
		return err
	}
	srv, err := serveBellhop(ctx, o.bellhop, dir)
	if err != nil {
		return err
	}
	begun := time.Now()
	later, few := begun.Add(24*time.Hour), min(dueRuns, o.parked)
	if err := sendWaiting(ctx, srv.hook, o.callers, o.parked-few, func(int) time.Time { return later }); err != nil {
		srv.stop()
		return err
	}
	err = parked(ctx, srv, o.parked-few)
	srv.stop()
	if err != nil {
		return err
	}
	fmt.Printf("  stored in %s\n", time.Since(begun).Round(time.Second))
	probe, err := scanProbe(filepath.Join(dir, "data", "state.db"))
	if err != nil {
		return err
	}
	for _, how := range []string{"a clean stop", "a kill"} {
		begun = time.Now()
		if srv, err = serveBellhop(ctx, o.bellhop, dir); err != nil {
			return err
		}
		took := time.Since(begun)
		time.Sleep(2 * time.Second) // memory settles
		rss, err := memoryOf(srv.cmd.Process.Pid, "VmRSS")
		if err != nil {
			srv.stop()
			return err
		}
		fmt.Printf("  start after %s: ready in %s (<= 2 s; bbolt alone opens the file and reads all its journals in %s)   RSS %.0f MB (<= 300)\n",
			how, took.Round(time.Millisecond), probe.Round(time.Millisecond), rss)
		srv.cmd.Process.Kill()
		srv.cmd.Wait()
	}
	if srv, err = serveBellhop(ctx, o.bellhop, dir); err != nil {
		return err
	}
	defer func() { srv.stop() }()
	first := time.Now().Add(20 * time.Second)
	if err := sendWaiting(ctx, srv.hook, o.callers, few, func(i int) time.Time { return first.Add(time.Duration(i) * dueEvery) }); err != nil {
		return err
	}
	if err := parked(ctx, srv, o.parked); err != nil {
		return err
	}
	srv.cmd.Process.Kill()
	srv.cmd.Wait()
	if srv, err = serveBellhop(ctx, o.bellhop, dir); err != nil {
		return err
	}
	late, err := alarm.wait(ctx, few, time.Until(first)+time.Duration(few)*dueEvery+time.Minute)
	if err != nil {
		return err
	}
	fmt.Printf("  %d timers, one every %s, of runs that a kill interrupted: late by p50 %s, p99 %s, at most %s (<= 1 s); early: %d\n", few, dueEvery,
		percentile(late, 0.5).Round(time.Millisecond), percentile(late, 0.99).Round(time.Millisecond), percentile(late, 1).Round(time.Millisecond), alarm.early.Load())
	return nil
}

// sendWaiting sends n events that wait until the time that at gives.
func sendWaiting(ctx context.Context, url string, callers, n int, at func(i int) time.Time) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	var event map[string]any
	if err := json.Unmarshal(order(2048), &event); err != nil {
		return err
	}
	var next atomic.Int64
	errs := make(chan error, callers)
	for range callers {
		go func() {
			errs <- func() error {
				for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
					body, err := json.Marshal(map[string]any{"at": at(int(i)).UTC().Format(time.RFC3339Nano), "order": event})
					if err != nil {
						return err
					}
					for refused := true; refused; { // more runs than wait for a worker: 429
						resp, err := client.Post(url, "application/json", bytes.NewReader(body))
						if err != nil {
							return err
						}
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
						if refused = resp.StatusCode == http.StatusTooManyRequests; refused {
							time.Sleep(100 * time.Millisecond)
						} else if resp.StatusCode != http.StatusAccepted {
							return fmt.Errorf("answered %s", resp.Status)
						}
					}
				}
				return ctx.Err()
			}()
		}()
	}
	var failed error
	for range callers {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return failed
}

// parked waits until so many runs wait.
func parked(ctx context.Context, srv *server, want int) error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		n, err := srv.parked()
		if err != nil || n >= want {
			return err
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%d of %d runs wait", n, want)
		}
	}
}

// scanProbe is how long bbolt takes to open a file and to go through all journals in it.
func scanProbe(path string) (time.Duration, error) {
	begun := time.Now()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, Timeout: time.Second})
	if err != nil {
		return 0, err
	}
	sum := 0
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("j")).ForEach(func(_, v []byte) error {
			for _, b := range v {
				sum += int(b)
			}
			return nil
		})
	})
	took := time.Since(begun)
	if sum == 0 && err == nil {
		err = fmt.Errorf("%s holds no journals", path)
	}
	if e := db.Close(); err == nil {
		err = e
	}
	return took, err
}

// alarm is a sink that notes how late it is called.
type alarm struct {
	url   string
	srv   *http.Server
	early atomic.Int64
	mu    sync.Mutex
	late  []time.Duration
}

func newAlarm() (*alarm, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &alarm{url: "http://" + ln.Addr().String() + "/alarm"}
	a.srv = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		var body struct{ At time.Time }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if now.Before(body.At) {
			a.early.Add(1)
		}
		a.mu.Lock()
		a.late = append(a.late, now.Sub(body.At))
		a.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"ok":true}`)
	})}
	go a.srv.Serve(ln)
	return a, nil
}

// wait returns how late so many calls came.
func (a *alarm) wait(ctx context.Context, want int, most time.Duration) ([]time.Duration, error) {
	for deadline := time.Now().Add(most); ; time.Sleep(20 * time.Millisecond) {
		a.mu.Lock()
		late := a.late
		a.mu.Unlock()
		if len(late) >= want {
			return late, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, fmt.Errorf("%d of %d timers fired", len(late), want)
		}
	}
}

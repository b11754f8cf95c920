package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// start measures the binary at rest: size, start, memory.
func (o *options) start(ctx context.Context) error {
	info, err := os.Stat(o.bellhop)
	if err != nil {
		return err
	}
	fmt.Printf("\nbinary %.1f MB (<= 40)\n", float64(info.Size())/1e6)
	for _, stored := range []int{0, 100_000} {
		dir := filepath.Join(o.dir, fmt.Sprintf("start-%d", stored))
		if err := os.MkdirAll(filepath.Join(dir, "workflows"), 0o755); err != nil {
			return err
		}
		flow := "name: Order\ntriggers: [{webhook: {path: order}}]\nsteps: [{filter: trigger.body.total >= 100000}]\n"
		if err := os.WriteFile(filepath.Join(dir, "workflows", "order.yaml"), []byte(flow), 0o644); err != nil {
			return err
		}
		if stored > 0 {
			s, err := bolt.Open(filepath.Join(dir, "data"), bolt.Options{NoSync: true})
			if err != nil {
				return err
			}
			if err := fill(ctx, s, stored, 10); err != nil {
				return err
			}
			if err := s.Close(ctx); err != nil {
				return err
			}
		}
		var first []time.Duration
		var rss float64
		for range 5 {
			begun := time.Now()
			srv, err := serveBellhop(ctx, o.bellhop, dir)
			if err != nil {
				return err
			}
			resp, err := http.Post(srv.hook, "application/json", strings.NewReader(`{"total": 1}`))
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode != http.StatusAccepted {
					err = fmt.Errorf("first webhook answered %s", resp.Status)
				}
			}
			first = append(first, time.Since(begun))
			if err == nil {
				time.Sleep(time.Second) // memory settles
				rss, err = memoryOf(srv.cmd.Process.Pid, "VmRSS")
			}
			srv.stop()
			if err != nil {
				return err
			}
		}
		fmt.Printf("%7d stored runs: start to first accepted webhook p50 %s (<= 150 ms empty, <= 1 s with 100,000)   idle RSS %.0f MB (<= 40)\n",
			stored, percentile(first, 0.5).Round(time.Millisecond), rss)
		os.RemoveAll(dir)
	}
	return nil
}

// fillOnly makes a store that others look at, as the UI's tests of long lists do.
func fillOnly(ctx context.Context, folder string, runs int) error {
	s, err := bolt.Open(folder, bolt.Options{NoSync: true})
	if err != nil {
		return err
	}
	if err := fill(ctx, s, runs, 10); err != nil {
		return errors.Join(err, s.Close(ctx))
	}
	return s.Close(ctx)
}

// fill stores finished runs of so many workflows.
func fill(ctx context.Context, s *bolt.Store, runs, workflows int) error {
	data := order(600)
	const batch = 500
	at := time.Now().Add(-time.Duration(runs) * 10 * time.Millisecond)
	for done := 0; done < runs; {
		b := engine.Batch{}
		for range min(batch, runs-done) {
			at = at.Add(10 * time.Millisecond)
			head := engine.Head{Workflow: fmt.Sprintf("flow-%d", done%workflows), Version: "v", Trigger: "webhook"}
			b.Runs = append(b.Runs, engine.NewRun{ID: engine.NewRunID(at, &head), Head: head, At: at, Data: data})
			done++
		}
		if _, err := s.Accept(ctx, b); err != nil {
			return err
		}
		for left := len(b.Runs); left > 0; {
			claims, err := s.Claim(ctx, left)
			if err != nil {
				return err
			}
			left -= len(claims)
			errs := make(chan error, len(claims))
			for _, c := range claims {
				go func() {
					h := c.Journal[0].Head
					rec := engine.Record{At: c.Journal[0].At, Kind: engine.KindFinished, Status: engine.StatusSucceeded}
					row := engine.Row{
						ID: c.Run, Workflow: h.Workflow, Version: h.Version, Trigger: h.Trigger,
						Status: rec.Status, Accepted: rec.At, Finished: rec.At,
					}
					errs <- s.Append(ctx, c, []engine.Record{rec}, engine.Then{Kind: engine.Finish, Row: row})
				}()
			}
			for range claims {
				if err := <-errs; err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// history measures lists over many stored runs, and whether an event costs more when many are stored.
func (o *options) history(ctx context.Context) error {
	fmt.Printf("\nhistory with %d stored runs of 10 workflows\n", o.stored)
	dir := filepath.Join(o.dir, "history")
	defer os.RemoveAll(dir)
	s, err := bolt.Open(dir, bolt.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer s.Close(ctx)
	if err := fill(ctx, s, 1000, 10); err != nil {
		return err
	}
	few, err := perEvent(ctx, s)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := fill(ctx, s, o.stored, 10); err != nil {
		return err
	}
	if err := archived(ctx, s); err != nil {
		return err
	}
	fmt.Printf("  stored and archived in %s\n", time.Since(begun).Round(time.Second))
	many, err := perEvent(ctx, s)
	if err != nil {
		return err
	}
	var took []time.Duration
	for range 50 {
		begun := time.Now()
		page, err := s.List(ctx, engine.Query{Workflow: "flow-3", Limit: 50})
		if err != nil {
			return err
		}
		if len(page.Items) != 50 {
			return fmt.Errorf("the list has %d rows, want 50", len(page.Items))
		}
		took = append(took, time.Since(begun))
	}
	fmt.Printf("  newest 50 of one workflow: p50 %s (<= 5 ms)\n  accept and finish with 1,000 and with %d stored: %s and %s, ratio %.2f (<= 1.2; without fsync, so that only our own cost counts)\n",
		percentile(took, 0.5).Round(time.Microsecond), o.stored, few, many, float64(many)/float64(few))
	return nil
}

// perEvent is the time of an accept and a finish, in bulk.
func perEvent(ctx context.Context, s *bolt.Store) (time.Duration, error) {
	const n = 20000
	if err := fill(ctx, s, n/4, 10); err != nil {
		return 0, err
	}
	if err := archived(ctx, s); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := fill(ctx, s, n, 10); err != nil {
		return 0, err
	}
	return time.Since(begun) / n, nil
}

func archived(ctx context.Context, s *bolt.Store) error {
	for deadline := time.Now().Add(10 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		st, err := s.Stats(ctx)
		if err != nil {
			return err
		}
		if st.Backlog == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the archiver still has %d runs to move", st.Backlog)
		}
	}
}

// workflows measures whether an event costs more when many workflows exist.
func (o *options) workflows(ctx context.Context) error {
	fmt.Println("\ncost of an event by the number of workflows")
	side, err := newSink()
	if err != nil {
		return err
	}
	defer side.close()
	var rates []float64
	for _, n := range []int{10, 5000} {
		r, err := o.measure(ctx, side, fmt.Sprintf("workflows-%d", n), func(ctx context.Context, o *options, dir string, s *sink) (*server, error) {
			flows := filepath.Join(dir, "workflows")
			if err := os.MkdirAll(flows, 0o755); err != nil {
				return nil, err
			}
			for i := range n {
				text := strings.ReplaceAll(fmt.Sprintf(jobWorkflow, s.url), "path: order", fmt.Sprintf("path: order-%d", i))
				if err := os.WriteFile(filepath.Join(flows, fmt.Sprintf("flow-%d.yaml", i)), []byte(text), 0o644); err != nil {
					return nil, err
				}
			}
			return startBellhop(ctx, o, dir, s)
		})
		if err != nil {
			return err
		}
		fmt.Printf("  %4d workflows: %s\n", n, r)
		rates = append(rates, float64(r.cpu))
	}
	fmt.Printf("  CPU per event, 5,000 against 10: %.2f (<= 1.2)\n", rates[1]/rates[0])
	return nil
}

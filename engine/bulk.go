package engine

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Bounds of bulk reruns.
const (
	maxBulkRuns    = 100_000
	maxBulkJobs    = 4   // at the same time
	keptBulkJobs   = 100 // that ended
	defaultRate    = 10.0
	maxRate        = 1000.0
	maxBulkMessage = 300
	checkedRuns    = 200 // of a check
)

// Bulk is a rerun of many runs, from the oldest to the newest, at a rate. It ends with the process.
type Bulk struct {
	ID        string    `json:"id"`
	Total     int       `json:"total"`   // runs that the filter found
	Started   int       `json:"started"` // new runs
	Failed    int       `json:"failed"`  // that could not be started again
	Error     string    `json:"error,omitempty" doc:"Why the first of them could not."`
	Done      bool      `json:"done"`
	Begun     time.Time `json:"begun_at"`
	PerSecond float64   `json:"rate"`
}

type bulks struct {
	mu   sync.Mutex
	jobs []*bulk
	work sync.WaitGroup
}

type bulk struct {
	state Bulk // guarded by bulks.mu
	stop  func()
}

// BulkCheck is what a rerun of many runs would do.
type BulkCheck struct {
	Total   int          `json:"total" doc:"Runs that would be started again."`
	Looked  int          `json:"looked" doc:"So many of them, the newest, were looked at for what would be done a second time."`
	Repeats []BulkRepeat `json:"repeats" nullable:"false"`
}

// BulkRepeat is a step that changed something outside in some of the runs, or may have, and would do it again.
type BulkRepeat struct {
	Workflow string `json:"workflow"`
	Step     string `json:"step" doc:"Its id."`
	Use      string `json:"use" doc:"The action, or the workflow that it calls."`
	Runs     int    `json:"runs" doc:"Of those that were looked at."`
}

// CheckBulk tells what StartBulk would do with the same runs. Nothing is started.
func (e *Engine) CheckBulk(ctx context.Context, q Query, chosen []RunID, how Rerun) (BulkCheck, error) {
	ids, err := e.bulkRuns(ctx, q, chosen)
	if err != nil {
		return BulkCheck{}, err
	}
	out := BulkCheck{Total: len(ids), Looked: min(len(ids), checkedRuns), Repeats: []BulkRepeat{}}
	for _, id := range ids[len(ids)-out.Looked:] {
		a, err := e.plan(ctx, id, how)
		if err != nil {
			continue // the rerun will say so
		}
		seen := map[string]bool{} // the rounds of a loop are one step
		for _, r := range a.repeats {
			step := idOf(r.Step)
			if seen[step] {
				continue
			}
			seen[step] = true
			i := slices.IndexFunc(out.Repeats, func(o BulkRepeat) bool { return o.Workflow == a.run.Head.Workflow && o.Step == step })
			if i < 0 {
				i = len(out.Repeats)
				out.Repeats = append(out.Repeats, BulkRepeat{Workflow: a.run.Head.Workflow, Step: step, Use: r.Use})
			}
			out.Repeats[i].Runs++
		}
	}
	return out, nil
}

// StartBulk starts runs again: those that were chosen, else every run of a query that has ended by now. rate is how many
// begin in a second; 0: 10.
func (e *Engine) StartBulk(ctx context.Context, q Query, chosen []RunID, how Rerun, rate float64) (Bulk, error) {
	if rate = cmp.Or(rate, defaultRate); rate < 0 || rate > maxRate {
		return Bulk{}, &InputError{fmt.Sprintf("rate is more than 0 and at most %g runs a second", maxRate)}
	}
	ids, err := e.bulkRuns(ctx, q, chosen)
	if err != nil {
		return Bulk{}, err
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	job := &bulk{stop: stop, state: Bulk{ID: rand.Text()[:16], Total: len(ids), Begun: time.Now().UTC(), PerSecond: rate}}
	b := &e.bulks
	b.mu.Lock()
	defer b.mu.Unlock()
	running := 0
	for _, j := range b.jobs {
		if !j.state.Done {
			running++
		}
	}
	if running >= maxBulkJobs || e.draining() {
		stop()
		return Bulk{}, &FullError{Reason: "reruns", RetryAfter: 10 * time.Second}
	}
	b.jobs = append(b.jobs, job)
	if i := slices.IndexFunc(b.jobs, func(j *bulk) bool { return j.state.Done }); i >= 0 && len(b.jobs) > keptBulkJobs {
		b.jobs = slices.Delete(b.jobs, i, i+1)
	}
	b.work.Go(func() {
		defer stop()
		e.bulk(work, job, ids, how)
	})
	return job.state, nil
}

// bulkRuns are the runs that were chosen, else those of a query that have ended, the oldest first.
func (e *Engine) bulkRuns(ctx context.Context, q Query, chosen []RunID) ([]RunID, error) {
	if len(chosen) > 0 {
		ids := slices.Clone(chosen)
		slices.SortFunc(ids, func(a, b RunID) int { return bytes.Compare(a[:], b[:]) })
		return slices.Compact(ids), nil
	}
	if now := time.Now(); q.Until.IsZero() || q.Until.After(now) {
		q.Until = now // what it starts is not among them
	}
	var ids []RunID
	q.Limit = 200
	for {
		page, err := e.Store.List(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		for i := range page.Items {
			if !page.Items[i].Finished.IsZero() {
				ids = append(ids, page.Items[i].ID)
			}
		}
		if len(ids) > maxBulkRuns {
			return nil, &InputError{fmt.Sprintf("the filter finds more than %d runs: take a shorter time", maxBulkRuns)}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			slices.Reverse(ids)
			return ids, nil
		}
	}
}

func (e *Engine) bulk(ctx context.Context, job *bulk, ids []RunID, how Rerun) {
	note := func(change func(*Bulk)) {
		e.bulks.mu.Lock()
		change(&job.state)
		e.bulks.mu.Unlock()
	}
	defer note(func(s *Bulk) { s.Done = true })
	tick := time.NewTicker(time.Duration(float64(time.Second) / job.state.PerSecond))
	defer tick.Stop()
	for _, id := range ids {
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			case <-e.drain:
				return
			}
			_, err := e.Rerun(ctx, id, how)
			var full *FullError
			if errors.As(err, &full) {
				pause(ctx, min(full.RetryAfter, 5*time.Second))
				continue
			}
			note(func(s *Bulk) {
				if err == nil {
					s.Started++
					return
				}
				if s.Failed++; s.Error == "" {
					s.Error = truncate(err.Error(), maxBulkMessage)
				}
			})
			break
		}
	}
}

// Bulks are the bulk reruns since the start of the process, the newest first.
func (e *Engine) Bulks() []Bulk {
	e.bulks.mu.Lock()
	defer e.bulks.mu.Unlock()
	list := make([]Bulk, 0, len(e.bulks.jobs))
	for _, j := range slices.Backward(e.bulks.jobs) {
		list = append(list, j.state)
	}
	return list
}

// Bulk returns the state of a bulk rerun. ErrNotFound: there is none, or it ended long ago.
func (e *Engine) Bulk(id string) (Bulk, error) {
	e.bulks.mu.Lock()
	defer e.bulks.mu.Unlock()
	for _, j := range e.bulks.jobs {
		if j.state.ID == id {
			return j.state, nil
		}
	}
	return Bulk{}, fmt.Errorf("bulk rerun %q: %w", id, ErrNotFound)
}

// StopBulk ends a bulk rerun; what it has started goes on.
func (e *Engine) StopBulk(id string) error {
	e.bulks.mu.Lock()
	defer e.bulks.mu.Unlock()
	for _, j := range e.bulks.jobs {
		if j.state.ID == id {
			j.stop()
			return nil
		}
	}
	return fmt.Errorf("bulk rerun %q: %w", id, ErrNotFound)
}

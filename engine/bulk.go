package engine

import (
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

// StartBulk starts every run of a query again that has ended by now. rate is how many begin in a second; 0: 10.
func (e *Engine) StartBulk(ctx context.Context, q Query, how Rerun, rate float64) (Bulk, error) {
	if rate = cmp.Or(rate, defaultRate); rate < 0 || rate > maxRate {
		return Bulk{}, &InputError{fmt.Sprintf("rate is more than 0 and at most %g runs a second", maxRate)}
	}
	if now := time.Now(); q.Until.IsZero() || q.Until.After(now) {
		q.Until = now // what it starts is not among them
	}
	ids, err := e.bulkRuns(ctx, q)
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

// bulkRuns are the runs of a query that have ended, the oldest first.
func (e *Engine) bulkRuns(ctx context.Context, q Query) ([]RunID, error) {
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

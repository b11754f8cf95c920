package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/engine"
)

// Bounds of one count. A count that meets one says so.
const (
	maxCounted   = 400_000
	maxCountTime = 3 * time.Second        // 100,000 runs are 0.16 s of work; a machine that others use takes ten times as long
	maxSparkTime = 800 * time.Millisecond // the workflows list waits for it
	maxBuckets   = 60
	minBuckets   = 30
	sparkHours   = 12
	sparkAge     = 3 * time.Second // how old the counts of the workflows list may be
)

// RunFilter is what the list of runs and what is counted of it are asked for.
type RunFilter struct {
	Workflow string    `query:"workflow" maxLength:"512"`
	Status   []string  `query:"status,explode" maxItems:"10" enum:"queued,running,waiting,succeeded,filtered,failed,canceled" doc:"May repeat."`
	Since    time.Time `query:"since" doc:"Accepted at or after."`
	Until    time.Time `query:"until" doc:"Accepted before."`
}

func (in *RunFilter) query() (engine.Query, error) {
	q := engine.Query{Workflow: in.Workflow, Since: in.Since, Until: in.Until}
	for _, name := range in.Status {
		status, err := engine.ParseStatus(name)
		if err != nil {
			return q, fail(http.StatusUnprocessableEntity, err.Error(), "")
		}
		q.Status = append(q.Status, status)
	}
	return q, nil
}

// histogram is how many runs were accepted in each span of time.
type histogram struct {
	Since   time.Time `json:"since" doc:"Begin of the first bucket."`
	Seconds int       `json:"seconds" doc:"Width of a bucket."`
	Buckets []bucket  `json:"buckets" nullable:"false"`
	Total   int       `json:"total"`
	Partial bool      `json:"partial" doc:"There are more: only the newest were counted."`
}

type bucket struct {
	Runs   int `json:"runs"`
	Failed int `json:"failed"`
}

func (s *Server) histogramRoute(tags []string) {
	handle(s, huma.Operation{
		OperationID: "count-runs", Method: http.MethodGet, Path: "/api/v1/runs/histogram", Tags: tags, Summary: "How many runs there were, over time",
	}, s.histogram)
}

// count calls f for the runs of a query, newest first, and reports whether a bound stopped it.
func (s *Server) count(ctx context.Context, q engine.Query, within time.Duration, f func(*engine.Row)) (partial bool, err error) {
	q.Limit = 200
	end := time.Now().Add(within)
	for n := 0; ; n += q.Limit {
		rows, err := s.Engine.Store.List(ctx, q)
		if err != nil {
			return false, fmt.Errorf("count runs: %w", err)
		}
		for i := range rows.Items {
			f(&rows.Items[i])
		}
		if rows.Next == "" {
			return false, nil
		}
		if n >= maxCounted || time.Now().After(end) {
			return true, nil
		}
		q.Cursor = rows.Next
	}
}

// widths are the spans of a bucket that people count in.
var widths = []time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour,
	6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 365 * 24 * time.Hour,
}

func (s *Server) histogram(ctx context.Context, in *RunFilter) (*body[histogram], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	type mark struct {
		at     int64
		failed bool
	}
	var marks []mark
	partial, err := s.count(ctx, q, maxCountTime, func(r *engine.Row) {
		marks = append(marks, mark{r.Accepted.Unix(), r.Status == engine.StatusFailed})
	})
	if err != nil {
		return nil, err
	}
	until := time.Now()
	if !q.Until.IsZero() && q.Until.Before(until) {
		until = q.Until
	}
	since := q.Since
	if since.IsZero() || partial {
		since = until.Add(-time.Hour)
		if len(marks) > 0 {
			since = time.Unix(marks[len(marks)-1].at, 0)
		}
	}
	width := widths[len(widths)-1]
	for _, w := range widths {
		if until.Sub(since.Truncate(w)) <= maxBuckets*w {
			width = w
			break
		}
	}
	if shorter := until.Add(-(minBuckets - 1) * width); since.After(shorter) {
		since = shorter // a chart of three bars says nothing
	}
	since = since.Truncate(width)
	out := histogram{Since: since.UTC(), Seconds: int(width / time.Second), Total: len(marks), Partial: partial}
	out.Buckets = make([]bucket, max(0, min(maxBuckets, int(until.Sub(since)/width)+1)))
	for _, m := range marks {
		i := int((m.at - since.Unix()) / int64(out.Seconds))
		if i < 0 || i >= len(out.Buckets) {
			continue
		}
		out.Buckets[i].Runs++
		if m.failed {
			out.Buckets[i].Failed++
		}
	}
	return &body[histogram]{out}, nil
}

// sparks holds the runs of the last hours by workflow, counted in one pass for all of them.
type sparks struct {
	mu sync.Mutex
	at time.Time
	by map[string]*[sparkHours]bucket
}

// spark is what a workflow did in each of the last twelve hours, the oldest first.
func (s *Server) spark(ctx context.Context, workflow string) ([]bucket, error) {
	s.sparks.mu.Lock()
	defer s.sparks.mu.Unlock()
	if time.Since(s.sparks.at) > sparkAge {
		now := time.Now()
		by := map[string]*[sparkHours]bucket{}
		if _, err := s.count(ctx, engine.Query{Since: now.Add(-sparkHours * time.Hour)}, maxSparkTime, func(r *engine.Row) {
			of := by[r.Workflow]
			if of == nil {
				of = &[sparkHours]bucket{}
				by[r.Workflow] = of
			}
			i := sparkHours - 1 - int(now.Sub(r.Accepted)/time.Hour)
			if i < 0 || i >= sparkHours {
				return
			}
			of[i].Runs++
			if r.Status == engine.StatusFailed {
				of[i].Failed++
			}
		}); err != nil {
			return nil, err
		}
		s.sparks.at, s.sparks.by = time.Now(), by
	}
	if of := s.sparks.by[workflow]; of != nil {
		return of[:], nil
	}
	return make([]bucket, sparkHours), nil
}

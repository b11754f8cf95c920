package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/engine"
)

// runItem is a run as lists show it.
type runItem struct {
	ID         string     `json:"id"`
	Workflow   string     `json:"workflow"`
	Version    string     `json:"version"`
	Status     string     `json:"status" enum:"queued,running,waiting,succeeded,filtered,failed,canceled"`
	Reason     string     `json:"reason,omitempty" doc:"Why it ended that way, as one word."`
	Summary    string     `json:"summary" doc:"One sentence for people."`
	Trigger    string     `json:"trigger" doc:"The id of the trigger."`
	Parent     string     `json:"parent,omitempty" doc:"The run that this one repeats."`
	Test       string     `json:"test,omitempty" enum:"pretend,really" doc:"It is a test run of a draft; pretend: calls that do more than read were not made."`
	StartedAt  time.Time  `json:"started_at" doc:"When it was accepted."`
	FinishedAt *time.Time `json:"finished_at" nullable:"true"`
}

func newRunItem(r *engine.Row) runItem {
	item := runItem{
		ID: r.ID.String(), Workflow: r.Workflow, Version: r.Version, Status: r.Status.String(), Reason: r.Reason, Summary: r.Summary,
		Trigger: r.Trigger, StartedAt: r.Accepted.UTC(),
	}
	if item.Test = engine.TestMode(r.Trigger); item.Test != "" {
		item.Trigger = ""
	}
	if !r.Parent.IsZero() {
		item.Parent = r.Parent.String()
	}
	if !r.Finished.IsZero() {
		at := r.Finished.UTC()
		item.FinishedAt = &at
	}
	return item
}

// runPage is one page of runs.
type runPage struct {
	Items   []runItem `json:"items" nullable:"false"`
	Next    string    `json:"next" doc:"Cursor of the next page; empty at the end."`
	Scanned int       `json:"scanned,omitempty" doc:"With q: how many runs were read for this page."`
	Partial bool      `json:"partial,omitempty" doc:"With q: the search stopped at its bound in time; next goes on."`
}

// RunID is the path of a route about one run.
type RunID struct {
	ID string `path:"id" maxLength:"64"`
}

func (in *RunID) parse() (engine.RunID, error) {
	id, err := engine.ParseRunID(in.ID)
	if err != nil {
		return id, noRun(in.ID)
	}
	return id, nil
}

func noRun(id string) *failure {
	return fail(http.StatusNotFound, "there is no run "+clip(id), "it may be older than the history is kept; GET /api/v1/runs lists those that are there")
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

func (s *Server) runRoutes() {
	tags := []string{"runs"}
	handle(s, huma.Operation{
		OperationID: "list-runs", Method: http.MethodGet, Path: "/api/v1/runs", Tags: tags, Summary: "List runs, newest first",
	}, s.listRuns)
	s.histogramRoute(tags)
	handle(s, huma.Operation{
		OperationID: "read-run", Method: http.MethodGet, Path: "/api/v1/runs/{id}", Tags: tags, Summary: "One run with its steps",
		Errors: []int{http.StatusNotFound},
	}, s.readRun)
	handle(s, huma.Operation{
		OperationID: "read-rounds", Method: http.MethodGet, Path: "/api/v1/runs/{id}/steps", Tags: tags, Summary: "The rounds of a loop, with their steps",
		Description: "A run shows the first rounds of a loop and those that failed; this shows all, page by page.", Errors: []int{http.StatusNotFound},
	}, s.readRounds)
	handle(s, huma.Operation{
		OperationID: "rerun", Method: http.MethodPost, Path: "/api/v1/runs/{id}/rerun", Tags: tags, Summary: "Run again",
		Description:   "With check nothing is started, and the answer is 200.",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusTooManyRequests},
	}, s.rerun)
	handle(s, huma.Operation{
		OperationID: "rerun-many", Method: http.MethodPost, Path: "/api/v1/runs/rerun", Tags: tags, Summary: "Run many again",
		Description:   "Every run of the filter that has ended is started again, from the oldest on, at a rate. It ends with the server. With check nothing is started, and the answer is 200.",
		DefaultStatus: http.StatusAccepted, Errors: []int{http.StatusBadRequest, http.StatusUnprocessableEntity},
	}, s.rerunMany)
	handle(s, huma.Operation{
		OperationID: "list-rerun-many", Method: http.MethodGet, Path: "/api/v1/runs/rerun", Tags: tags, Summary: "Reruns of many since the start of the server, newest first",
	}, s.listBulks)
	handle(s, huma.Operation{
		OperationID: "read-rerun-many", Method: http.MethodGet, Path: "/api/v1/runs/rerun/{job}", Tags: tags, Summary: "How far it is",
		Errors: []int{http.StatusNotFound},
	}, s.bulk)
	handle(s, huma.Operation{
		OperationID: "stop-rerun-many", Method: http.MethodDelete, Path: "/api/v1/runs/rerun/{job}", Tags: tags, Summary: "Start no more of them",
		Errors: []int{http.StatusNotFound},
	}, s.stopBulk)
	handle(s, huma.Operation{
		OperationID: "resolve-run", Method: http.MethodPost, Path: "/api/v1/runs/{id}/resolve", Tags: tags, Summary: "Decide on a run that failed",
		Description: "One decision counts; a second is 409, so that what follows does not happen twice.",
		Errors:      []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests},
	}, s.resolveRun)
	handle(s, huma.Operation{
		OperationID: "cancel-run", Method: http.MethodPost, Path: "/api/v1/runs/{id}/cancel", Tags: tags, Summary: "Cancel a run",
		Description:   "The wish is on disk when this answers; the run ends when the step under way does, at once if it waits.",
		DefaultStatus: http.StatusAccepted, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.cancelRun)
}

func (s *Server) listRuns(ctx context.Context, in *struct {
	Paging
	RunFilter
	Text  string `query:"q" maxLength:"200" doc:"Matches anywhere in the data of a run, without regard to case."`
	Skip  int    `query:"skip" minimum:"0" maximum:"1000000" doc:"Rows to pass over behind the cursor, for a jump; not with q."`
	Needs string `query:"needs" enum:"decision" doc:"decision: only runs that failed, or whose outcome is unknown, and on which nobody has decided."`
},
) (*body[runPage], error) {
	if in.Needs != "" {
		in.Status = []string{engine.StatusFailed.String()}
	}
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	q.Text, q.Cursor, q.Limit = in.Text, in.Cursor, in.Limit
	if in.Text == "" {
		for skip := in.Skip; skip > 0; {
			q.Limit = min(skip, 200)
			passed, err := s.Engine.Store.List(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("list runs: %w", err)
			}
			if passed.Next == "" {
				return &body[runPage]{runPage{Items: []runItem{}}}, nil
			}
			skip -= q.Limit
			q.Cursor = passed.Next
		}
		q.Limit = in.Limit
	}
	out := runPage{Items: make([]runItem, 0, in.Limit)}
	for {
		rows, err := s.Engine.Store.List(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		for i := range rows.Items {
			if in.Needs != "" {
				if needs, err := s.Engine.NeedsDecision(ctx, &rows.Items[i]); err != nil {
					return nil, fmt.Errorf("list runs: %w", err)
				} else if !needs {
					continue
				}
			}
			out.Items = append(out.Items, newRunItem(&rows.Items[i]))
		}
		out.Next, out.Partial = rows.Next, rows.Partial
		out.Scanned += rows.Scanned
		if in.Needs == "" || rows.Partial || rows.Next == "" || len(out.Items) >= in.Limit || ctx.Err() != nil {
			return &body[runPage]{out}, nil
		}
		q.Cursor, q.Limit = rows.Next, in.Limit-len(out.Items)
	}
}

func (s *Server) readRun(ctx context.Context, in *RunID) (*body[*runDetail], error) {
	id, err := in.parse()
	if err != nil {
		return nil, err
	}
	view, err := s.Engine.View(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, noRun(in.ID)
	} else if err != nil {
		return nil, err
	}
	return &body[*runDetail]{s.runDetail(ctx, view)}, nil
}

func (s *Server) readRounds(ctx context.Context, in *struct {
	RunID
	In     string `query:"in" required:"true" maxLength:"1000" doc:"The path of the loop, such as lines or lines[12].parts"`
	Round  int    `query:"round" default:"-1" minimum:"-1" doc:"Only this one, from 0; -1: all."`
	Cursor string `query:"cursor" maxLength:"20" doc:"next of the page before; empty: the first page"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many rounds."`
},
) (*body[page[engine.StepView]], error) {
	id, err := in.parse()
	if err != nil {
		return nil, err
	}
	first, limit := 0, in.Limit
	if in.Cursor != "" {
		if first, err = strconv.Atoi(in.Cursor); err != nil || first < 0 {
			return nil, fail(http.StatusBadRequest, "the cursor is not one of this list", "take it from next of the page before")
		}
	}
	if in.Round >= 0 {
		first, limit = in.Round, 1
	}
	steps, next, err := s.Engine.RoundSteps(ctx, id, in.In, first, limit)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fail(http.StatusNotFound, fmt.Sprintf("run %s has no loop %s", in.ID, clip(in.In)), "its steps of kind for_each have one, by their path")
	} else if err != nil {
		return nil, err
	}
	if in.Round >= 0 && (len(steps) == 0 || *steps[0].Round != in.Round) {
		return nil, fail(http.StatusNotFound, fmt.Sprintf("%s of run %s has no round %d", in.In, in.ID, in.Round), "")
	}
	out := page[engine.StepView]{Items: steps}
	if out.Items == nil {
		out.Items = []engine.StepView{}
	}
	if next >= 0 && in.Round < 0 {
		out.Next = strconv.Itoa(next)
	}
	return &body[page[engine.StepView]]{out}, nil
}

func (s *Server) rerun(ctx context.Context, in *struct {
	RunID
	Body *struct {
		From    string          `json:"from,omitempty" maxLength:"200" default:"start" doc:"start, failed, or the id of a step"`
		Version string          `json:"version,omitempty" enum:"then,now" default:"then" doc:"The version that ran, or the current one."`
		Data    json.RawMessage `json:"data,omitempty" doc:"Takes the place of trigger.body."`
		Check   bool            `json:"check,omitempty" doc:"Only tell what would be done a second time; nothing is started."`
	}
},
) (*rerunAnswer, error) {
	id, err := in.parse()
	if err != nil {
		return nil, err
	}
	again := engine.Rerun{From: "start", Version: "then"}
	if in.Body != nil {
		again.From, again.Version = in.Body.From, in.Body.Version
		if again.Data, err = plain(in.Body.Data); err != nil {
			return nil, err
		}
	}
	repeats, err := s.Engine.Repeats(ctx, id, again)
	if err == nil && in.Body != nil && in.Body.Check {
		return &rerunAnswer{http.StatusOK, rerunStarted{Repeats: repeats}}, nil
	}
	var made engine.RunID
	if err == nil {
		made, err = s.Engine.Rerun(ctx, id, again)
	}
	if errors.Is(err, engine.ErrNotFound) {
		return nil, noRun(in.ID)
	} else if err != nil {
		return nil, fmt.Errorf("rerun %s: %w", in.ID, err)
	}
	return &rerunAnswer{http.StatusCreated, rerunStarted{ID: made.String(), Repeats: repeats}}, nil
}

// rerunStarted is the answer to a rerun.
type rerunStarted struct {
	ID      string          `json:"id,omitempty" doc:"The run; none with check."`
	Repeats []engine.Repeat `json:"repeats,omitempty" doc:"Steps that changed something outside in the old run, or may have, and are done again."`
}

type rerunAnswer struct {
	Status int
	Body   rerunStarted
}

func (s *Server) resolveRun(ctx context.Context, in *struct {
	RunID
	Body struct {
		As     string          `json:"as" enum:"done,again,give_up" doc:"done: what failed counts as done, and a new run goes on behind it; again: a new run goes on from what failed; give_up: nothing more is done."`
		Output json.RawMessage `json:"output,omitempty" doc:"With done: the output of the step."`
	}
},
) (*body[rerunStarted], error) {
	id, err := in.parse()
	if err != nil {
		return nil, err
	}
	output, err := plain(in.Body.Output)
	if err != nil {
		return nil, err
	}
	made, err := s.Engine.Resolve(ctx, id, in.Body.As, output)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, noRun(in.ID)
	} else if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", in.ID, err)
	}
	out := rerunStarted{}
	if !made.IsZero() {
		out.ID = made.String()
	}
	return &body[rerunStarted]{out}, nil
}

// RerunMany says which runs are started again, and how.
type RerunMany struct {
	IDs      []string  `json:"ids,omitempty" maxItems:"1000" doc:"These runs; without them, those of the filter."`
	Workflow string    `json:"workflow,omitempty" maxLength:"512"`
	Status   []string  `json:"status,omitempty" maxItems:"10" doc:"Only runs of these; default: failed."`
	Text     string    `json:"q,omitempty" maxLength:"200"`
	Since    time.Time `json:"since,omitempty"`
	Until    time.Time `json:"until,omitempty"`
	From     string    `json:"from,omitempty" maxLength:"200" doc:"start, failed, or the id of a step; default: failed where all are failed, else start"`
	Version  string    `json:"version,omitempty" enum:"then,now" default:"then"`
	Rate     float64   `json:"rate,omitempty" minimum:"0" maximum:"1000" doc:"How many begin in a second; default 10."`
	Check    bool      `json:"check,omitempty" doc:"Only tell how many they are and what would be done a second time; nothing is started."`
}

func (in *RerunMany) parse() (q engine.Query, ids []engine.RunID, how engine.Rerun, err error) {
	how = engine.Rerun{From: in.From, Version: in.Version}
	for _, text := range in.IDs {
		id, err := engine.ParseRunID(text)
		if err != nil {
			return q, nil, how, noRun(text)
		}
		ids = append(ids, id)
	}
	if len(ids) > 0 {
		how.From = cmp.Or(how.From, "start")
		return q, ids, how, nil
	}
	q = engine.Query{Workflow: in.Workflow, Text: in.Text, Since: in.Since, Until: in.Until}
	if len(in.Status) == 0 {
		in.Status = []string{engine.StatusFailed.String()}
	}
	from := engine.StatusFailed.String()
	for _, name := range in.Status {
		status, err := engine.ParseStatus(name)
		if err != nil {
			return q, nil, how, fail(http.StatusUnprocessableEntity, err.Error(), "")
		}
		if status != engine.StatusFailed {
			from = "start"
		}
		q.Status = append(q.Status, status)
	}
	how.From = cmp.Or(how.From, from)
	return q, nil, how, nil
}

// bulkStarted is the answer to a rerun of many: the job, or what it would do.
type bulkStarted struct {
	engine.Bulk
	Check *engine.BulkCheck `json:"check,omitempty" doc:"With check, and then there is no id."`
}

type bulkAnswer struct {
	Status int
	Body   bulkStarted
}

func (s *Server) rerunMany(ctx context.Context, in *struct{ Body RerunMany }) (*bulkAnswer, error) {
	q, ids, how, err := in.Body.parse()
	if err != nil {
		return nil, err
	}
	if in.Body.Check {
		check, err := s.Engine.CheckBulk(ctx, q, ids, how)
		if err != nil {
			return nil, err
		}
		return &bulkAnswer{http.StatusOK, bulkStarted{Bulk: engine.Bulk{Total: check.Total}, Check: &check}}, nil
	}
	job, err := s.Engine.StartBulk(ctx, q, ids, how, in.Body.Rate)
	if err != nil {
		return nil, err
	}
	return &bulkAnswer{http.StatusAccepted, bulkStarted{Bulk: job}}, nil
}

func (s *Server) listBulks(context.Context, *struct{}) (*body[page[engine.Bulk]], error) {
	return &body[page[engine.Bulk]]{page[engine.Bulk]{Items: s.Engine.Bulks()}}, nil
}

// BulkID is the path of a route about one rerun of many runs.
type BulkID struct {
	ID string `path:"job" maxLength:"64"`
}

func (s *Server) bulk(_ context.Context, in *BulkID) (*body[engine.Bulk], error) {
	job, err := s.Engine.Bulk(in.ID)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fail(http.StatusNotFound, "there is no rerun "+clip(in.ID), "it may have ended long ago, or with a restart of the server")
	}
	return &body[engine.Bulk]{job}, err
}

func (s *Server) stopBulk(ctx context.Context, in *BulkID) (*body[engine.Bulk], error) {
	_ = s.Engine.StopBulk(in.ID) // where there is none, the answer says so
	return s.bulk(ctx, in)
}

func (s *Server) cancelRun(ctx context.Context, in *RunID) (*body[started], error) {
	id, err := in.parse()
	if err != nil {
		return nil, err
	}
	err = s.Engine.Cancel(ctx, id, "api")
	if errors.Is(err, engine.ErrNotFound) {
		view, err := s.Engine.View(ctx, id)
		if err != nil {
			return nil, noRun(in.ID)
		}
		return nil, fail(http.StatusConflict, fmt.Sprintf("run %s is %v already", in.ID, view.Status), "")
	} else if err != nil {
		return nil, fmt.Errorf("cancel %s: %w", in.ID, err)
	}
	return &body[started]{started{in.ID}}, nil
}

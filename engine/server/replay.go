package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// maxReplay bounds the events of one replay.
const maxReplay = 500

// Selection says which past events are replayed: these runs, or the newest of a span of time. Runs that have not
// ended are passed over, and kept deliveries count as events too.
type Selection struct {
	Runs  []string  `json:"runs,omitempty" maxItems:"500" doc:"These runs; the other fields are for when there are none."`
	Last  int       `json:"last,omitempty" minimum:"0" maximum:"500" doc:"The newest, so many; 0: 50, or 500 with since or until."`
	Since time.Time `json:"since,omitzero" doc:"Accepted at or after."`
	Until time.Time `json:"until,omitzero" doc:"Accepted before."`
}

// trial is what came of a replay.
type trial struct {
	Workflow string               `json:"workflow"`
	Version  string               `json:"version" doc:"Of the text that was tried."`
	Events   int                  `json:"events"`
	Totals   []rehearsal.Total    `json:"totals" nullable:"false" doc:"Events by outcome, the one that matters most first."`
	Items    []rehearsal.Replayed `json:"items" nullable:"false" doc:"Event by event, newest first."`
	MS       float64              `json:"ms"`
}

func (s *Server) replayRoutes() {
	handleWithin(s, longTimeout, huma.Operation{
		OperationID: "replay", Method: http.MethodPost, Path: "/api/v1/workflows/{id}/replay", Tags: []string{"workflows"},
		Summary: "What would have happened: past events against a text, or the version that runs",
		Description: "Nothing is sent and nothing is stored. A call whose input is what it was gets the recorded answer; any other gets the example of its action, " +
			"and the step is listed as guessed. With `reads`, calls that only read are made for real instead.",
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
	}, s.replay)
	handle(s, huma.Operation{
		OperationID: "read-run-as-test", Method: http.MethodGet, Path: "/api/v1/runs/{id}/as-test", Tags: []string{"runs"},
		Summary:     "A finished run as a test file: its event, the recorded answers as mocks, and what came of it as expectations",
		Description: "Secrets are taken out: known values, and texts whose name says that they are one, such as authorization, cookie, signature or token.",
		Errors:      []int{http.StatusBadRequest, http.StatusNotFound},
	}, s.runAsTest)
	handle(s, huma.Operation{
		OperationID: "save-run-as-test", Method: http.MethodPost, Path: "/api/v1/runs/{id}/as-test", Tags: []string{"runs"},
		Summary: "Write a finished run as a test beside its workflow", Description: "It becomes the last test of the file, which keeps every byte that it has.",
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
	}, s.saveAsTest)
}

// savedTest is a run as a test, and what saving it beside the workflow does.
type savedTest struct {
	rehearsal.TestText
	Name    string          `json:"name" doc:"Of the test."`
	File    string          `json:"file" example:"workflows/big-orders.test.yaml"`
	Lines   []workflow.Line `json:"lines" nullable:"false" doc:"What saving adds to the file, with three lines around."`
	Blocked string          `json:"blocked,omitempty" doc:"Why it cannot be saved; absent: it can."`
	Saved   bool            `json:"saved" doc:"It was."`
}

func (s *Server) runAsTest(ctx context.Context, in *struct {
	RunID
	Name string `query:"name" maxLength:"200" doc:"Of the test; empty: one that says how the run ended."`
},
) (*body[*savedTest], error) {
	out, _, err := s.asTest(ctx, &in.RunID, in.Name)
	if err != nil {
		return nil, err
	}
	return &body[*savedTest]{out}, nil
}

func (s *Server) saveAsTest(ctx context.Context, in *struct {
	RunID
	Body *struct {
		Name string `json:"name,omitempty" maxLength:"200" doc:"Of the test; empty: one that says how the run ended."`
	}
},
) (*body[*savedTest], error) {
	name := ""
	if in.Body != nil {
		name = in.Body.Name
	}
	s.testing.Lock()
	defer s.testing.Unlock()
	out, write, err := s.asTest(ctx, &in.RunID, name)
	if err != nil {
		return nil, err
	}
	if out.Blocked != "" {
		return nil, fail(http.StatusConflict, "the test cannot be saved: "+out.Blocked, "give it another name, or put its text into "+out.File+" by hand").
			coded("test_not_saved", "The test was not saved", "The file is as it was.")
	}
	if err := write(); err != nil {
		return nil, err
	}
	out.Saved = true
	return &body[*savedTest]{out}, nil
}

// asTest makes a test of a run, and the function that writes it beside the workflow.
func (s *Server) asTest(ctx context.Context, in *RunID, name string) (out *savedTest, write func() error, err error) {
	id, err := in.parse()
	if err != nil {
		return nil, nil, err
	}
	recs, err := s.Engine.Store.Read(ctx, id, 0)
	if errors.Is(err, engine.ErrNotFound) || err == nil && (len(recs) == 0 || recs[0].Head == nil) {
		return nil, nil, noRun(in.ID)
	} else if err != nil {
		return nil, nil, fmt.Errorf("read run %s: %w", in.ID, err)
	}
	owner := recs[0].Head.Workflow
	w, err := s.Engine.Version(ctx, owner, recs[0].Head.Version)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil, fail(http.StatusNotFound, "the version that run "+in.ID+" had is not kept any more", "")
	} else if err != nil {
		return nil, nil, err
	}
	text, err := rehearsal.AsTest{
		Name: strings.TrimSpace(name), ID: id, Journal: recs, Workflow: w, Connectors: s.Connectors, Zone: s.Engine.Zone, Redact: s.Engine.Redact,
	}.Text(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("run %s as a test: %w", in.ID, err)
	}
	out = &savedTest{TestText: *text, File: "workflows/" + owner + ".test.yaml", Lines: []workflow.Line{}}
	if one, _ := workflow.ParseTest("", []byte(text.Text)); one != nil && len(one.Tests) == 1 {
		out.Name = one.Tests[0].Name
	}
	if _, err := s.file(owner); err != nil {
		out.Blocked = "the workflow " + owner + " is not there any more"
		return out, nil, nil
	}
	before, err := s.Folder.ReadTest(owner)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	after, err := workflow.AddTest(before, []byte(text.Text))
	if err != nil {
		out.Blocked = err.Error()
		return out, nil, nil
	}
	out.Lines = workflow.DiffLines(before, after, 3)
	return out, func() error { return s.Folder.WriteTest(owner, after) }, nil
}

func (s *Server) replay(ctx context.Context, in *struct {
	WorkflowID
	Body struct {
		Selection
		Text  *string `json:"text,omitempty" maxLength:"262144" doc:"A workflow file; absent: the version that runs."`
		Reads bool    `json:"reads,omitempty" doc:"Make calls that only read for real, where no answer was recorded."`
	}
},
) (*body[trial], error) {
	draft := s.Engine.Workflow(in.ID)
	if in.Body.Text != nil {
		if workflow.CheckID(in.ID) != nil {
			return nil, noWorkflow(in.ID)
		}
		f := s.Folder.Check(in.ID, []byte(*in.Body.Text))
		if !f.Good() {
			return nil, brokenText(f.Problems)
		}
		draft = f.Workflow
	}
	if draft == nil {
		if _, err := s.file(in.ID); err != nil {
			return nil, err
		}
		return nil, fail(http.StatusConflict, in.ID+" has no version that can run", "send a text to try")
	}
	out, err := s.tryPast(ctx, draft, in.Body.Selection, in.Body.Reads)
	if err != nil {
		return nil, err
	}
	return &body[trial]{*out}, nil
}

// tryPast replays the selected events of a workflow against a draft of it.
func (s *Server) tryPast(ctx context.Context, draft *workflow.Workflow, which Selection, reads bool) (*trial, error) {
	begun := time.Now()
	past, err := s.selectPast(ctx, draft.ID, which)
	if err != nil {
		return nil, err
	}
	r := rehearsal.Replay{
		Draft: draft, Connectors: s.Connectors, Version: s.Engine.Version, PublicURL: s.Engine.PublicURL, Zone: s.Engine.Zone,
	}
	if reads {
		r.Read = func(ctx context.Context, w *workflow.Workflow, c engine.SimulatedCall) (any, error) {
			out, err := s.Engine.Call(ctx, w, c.Use, c.Action, c.Input, c.Key)
			return out, connectors.Permanent(err) // a try shows what is, it does not wait for better times
		}
	}
	out := &trial{Workflow: draft.ID, Version: draft.Version, Items: make([]rehearsal.Replayed, 0, len(past))}
	for _, p := range past {
		event, err := r.Event(ctx, p)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, event)
	}
	out.Events, out.Totals = len(out.Items), rehearsal.Totals(out.Items)
	out.MS = float64(time.Since(begun).Microseconds()) / 1000
	return out, nil
}

// selectPast reads the selected events, newest first.
func (s *Server) selectPast(ctx context.Context, id string, which Selection) ([]rehearsal.Past, error) {
	if len(which.Runs) > 0 {
		return s.readPast(ctx, id, which.Runs)
	}
	limit := which.Last
	switch {
	case limit == 0 && which.Since.IsZero() && which.Until.IsZero():
		limit = 50
	case limit == 0:
		limit = maxReplay
	}
	runs, err := s.pastRuns(ctx, id, which, limit)
	if err != nil {
		return nil, err
	}
	kept, err := s.pastDeliveries(ctx, id, which, limit)
	if err != nil {
		return nil, err
	}
	past := append(runs, kept...)
	slices.SortStableFunc(past, func(a, b rehearsal.Past) int { return slices.Compare(b.ID[:], a.ID[:]) })
	return past[:min(len(past), limit)], nil
}

// readPast reads runs by their ids.
func (s *Server) readPast(ctx context.Context, workflow string, ids []string) ([]rehearsal.Past, error) {
	past := make([]rehearsal.Past, 0, len(ids))
	for _, text := range ids {
		id, err := engine.ParseRunID(text)
		if err != nil {
			return nil, noRun(text)
		}
		recs, err := s.Engine.Store.Read(ctx, id, 0)
		switch {
		case errors.Is(err, engine.ErrNotFound) || err == nil && len(recs) == 0:
			return nil, noRun(text)
		case err != nil:
			return nil, fmt.Errorf("read run %s: %w", text, err)
		case recs[0].Head == nil || recs[0].Head.Workflow != workflow:
			return nil, fail(http.StatusBadRequest, "run "+text+" is not one of "+workflow, "")
		}
		past = append(past, rehearsal.Past{ID: id, Journal: recs})
	}
	return past, nil
}

// pastRuns reads the newest finished runs that were no tests.
func (s *Server) pastRuns(ctx context.Context, workflow string, which Selection, limit int) ([]rehearsal.Past, error) {
	q := engine.Query{
		Workflow: workflow, Since: which.Since, Until: which.Until,
		Status: []engine.Status{engine.StatusSucceeded, engine.StatusFiltered, engine.StatusFailed, engine.StatusCanceled},
	}
	var past []rehearsal.Past
	for len(past) < limit {
		q.Limit = min(200, limit-len(past))
		rows, err := s.Engine.Store.List(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		for i := range rows.Items {
			if engine.TestMode(rows.Items[i].Trigger) != "" {
				continue // a test is no event that happened
			}
			recs, err := s.Engine.Store.Read(ctx, rows.Items[i].ID, 0)
			if errors.Is(err, engine.ErrNotFound) || err == nil && len(recs) == 0 {
				continue // pruned in the meantime
			} else if err != nil {
				return nil, fmt.Errorf("read run %s: %w", rows.Items[i].ID, err)
			}
			past = append(past, rehearsal.Past{ID: rows.Items[i].ID, Journal: recs})
		}
		if rows.Next == "" {
			break
		}
		q.Cursor = rows.Next
	}
	return past, nil
}

// pastDeliveries reads the newest deliveries that were kept while the workflow was disabled.
func (s *Server) pastDeliveries(ctx context.Context, workflow string, which Selection, limit int) ([]rehearsal.Past, error) {
	q := engine.DeliveryQuery{Workflow: workflow, Outcome: engine.DeliveryKept, Since: which.Since, Until: which.Until}
	var past []rehearsal.Past
	for len(past) < limit {
		q.Limit = min(200, limit-len(past))
		items, next, err := s.Engine.Store.Deliveries().List(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list deliveries: %w", err)
		}
		for i := range items {
			d, err := s.Engine.Store.Deliveries().Read(ctx, items[i].ID)
			if errors.Is(err, engine.ErrNotFound) || err == nil && len(d.Data) == 0 {
				continue
			} else if err != nil {
				return nil, fmt.Errorf("read delivery %s: %w", items[i].ID, err)
			}
			ev, err := engine.DecodeEvent(d.Data)
			if err != nil {
				return nil, fmt.Errorf("data of delivery %s: %w", items[i].ID, err)
			}
			past = append(past, rehearsal.Past{ID: d.ID, Event: ev})
		}
		if next == "" {
			break
		}
		q.Cursor = next
	}
	return past, nil
}

package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"github.com/bellhop-dev/bellhop/engine"
)

const exportType = "application/x-ndjson"

func (s *Server) exportRoutes() {
	handle(s, huma.Operation{
		OperationID: "export-runs", Method: http.MethodGet, Path: "/api/v1/runs/export", Tags: []string{"runs"}, Summary: "Whole runs as JSON, one a line, newest first",
		Description: "Each line is a run as GET /api/v1/runs/{id} shows it. The last line is {\"end\": true, \"runs\": n}; where it is missing, the export broke off. " +
			"Runs that end or begin meanwhile may be in it or not.",
		Responses: map[string]*huma.Response{"200": {
			Description: "Runs until the last",
			Content:     map[string]*huma.MediaType{exportType: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, s.exportRuns)
}

func (s *Server) exportRuns(_ context.Context, in *struct {
	RunFilter
	Text  string `query:"q" maxLength:"200" doc:"Matches anywhere in the data of a run, without regard to case."`
	Limit int    `query:"limit" minimum:"0" doc:"How many at most; 0: all."`
},
) (*huma.StreamResponse, error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	q.Text = in.Text
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		w := humagin.Unwrap(hc).Writer
		w.Header().Set("Content-Type", exportType)
		w.Header().Set("X-Accel-Buffering", "no")
		e := &export{w: w, control: http.NewResponseController(w), lines: json.NewEncoder(w)}
		e.lines.SetEscapeHTML(false)
		_ = e.control.SetReadDeadline(time.Time{}) // there is no more to read, and an export outlasts the deadline
		if err := e.run(hc.Context(), s.Engine, q, in.Limit); err != nil {
			s.Log.Warn("an export broke off", "error", err, "runs", e.count)
		}
	}}, nil
}

// export writes runs. It holds a page of rows and one run at a time.
type export struct {
	w       http.ResponseWriter
	control *http.ResponseController
	lines   *json.Encoder
	count   int
}

func (e *export) run(ctx context.Context, eng *engine.Engine, q engine.Query, limit int) error {
	for q.Limit = 200; ; {
		page, err := eng.Store.List(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Items {
			if limit > 0 && e.count == limit {
				return e.end()
			}
			if err := e.one(ctx, eng, page.Items[i].ID); err != nil {
				return err
			}
		}
		if err := e.control.Flush(); err != nil {
			return err
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return e.end()
		}
	}
}

func (e *export) one(ctx context.Context, eng *engine.Engine, id engine.RunID) error {
	view, err := eng.View(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil // its time was over meanwhile
	}
	if err != nil {
		return err
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(sendTimeout)) // a reader that takes longer for one run is dropped
	e.count++
	return e.lines.Encode(view)
}

func (e *export) end() error {
	_ = e.control.SetWriteDeadline(time.Now().Add(sendTimeout))
	return e.lines.Encode(map[string]any{"end": true, "runs": e.count})
}

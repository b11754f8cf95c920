package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// workflowItem is a workflow as lists show it.
type workflowItem struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Enabled     bool              `json:"enabled" doc:"Whether its triggers start runs: it is enabled in its file and nothing stands in the way (reason)."`
	Reason      string            `json:"reason,omitempty" doc:"What keeps an enabled workflow from running, or why an older version runs."`
	Tags        []string          `json:"tags" nullable:"false"`
	Version     string            `json:"version" doc:"The version that runs; empty: none does."`
	FileVersion string            `json:"file_version" doc:"The version of the file; another one than version while the file has errors."`
	Triggers    []triggerItem     `json:"triggers" nullable:"false"`
	Steps       int               `json:"steps"`
	Chain       []outlineItem     `json:"chain" nullable:"false" doc:"Its steps by name, in the order of the file."`
	Health      string            `json:"health" enum:"healthy,failing,attention,off" doc:"failing: the newest run failed; attention: reason or problems say why."`
	Spark       []bucket          `json:"spark" nullable:"false" doc:"Its runs in each of the last twelve hours, the oldest first."`
	Problems    workflow.Problems `json:"problems" nullable:"false" doc:"What is wrong with the file."`
	LastRun     *runItem          `json:"last_run,omitempty"`
}

type triggerItem struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	Summary string `json:"summary" example:"POST /hooks/shopify/orders"`
	// Connector is that of a trigger that a connector defines.
	Connector string `json:"connector,omitempty"`
}

// WorkflowID is the path of a route about one workflow.
type WorkflowID struct {
	ID string `path:"id" maxLength:"512" doc:"The path of its file below workflows/, without .yaml."`
}

func (s *Server) workflowRoutes() {
	tags := []string{"workflows"}
	handle(s, huma.Operation{
		OperationID: "list-workflows", Method: http.MethodGet, Path: "/api/v1/workflows", Tags: tags, Summary: "List workflows by id",
	}, s.listWorkflows)
	handle(s, huma.Operation{
		OperationID: "read-workflow", Method: http.MethodGet, Path: "/api/v1/workflows/{id}", Tags: tags, Summary: "One workflow",
		Errors: []int{http.StatusNotFound},
	}, s.readWorkflow)
	handleWithin(s, longTimeout, huma.Operation{ // a provider may be asked
		OperationID: "set-enabled", Method: http.MethodPut, Path: "/api/v1/workflows/{id}/enabled", Tags: tags, Summary: "Enable or disable a workflow",
		Description: "Changes the one line in the file. 409 says what keeps a workflow from being enabled.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.setEnabled)
	handle(s, huma.Operation{
		OperationID: "start-run", Method: http.MethodPost, Path: "/api/v1/workflows/{id}/runs", Tags: tags, Summary: "Start a run now",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusNotFound, http.StatusTooManyRequests},
		Description: "The run is on disk when this answers. Expressions see `body` as trigger.body; trigger.kind is manual.",
	}, s.startRun)
	s.textRoutes(tags)
}

func (s *Server) listWorkflows(ctx context.Context, in *struct {
	Paging
	Query   string `query:"q" maxLength:"200" doc:"Matches in id, name and description, without regard to case."`
	Tag     string `query:"tag" maxLength:"200"`
	Enabled string `query:"enabled" enum:"true,false"`
},
) (*body[page[workflowItem]], error) {
	files := slices.Clone(s.Files())
	slices.SortFunc(files, func(a, b folder.File) int { return strings.Compare(fileKey(&a), fileKey(&b)) })
	first := sort.Search(len(files), func(i int) bool { return fileKey(&files[i]) > in.Cursor })
	last := ""
	out := page[workflowItem]{Items: []workflowItem{}}
	query := strings.ToLower(in.Query)
	for _, f := range files[first:] {
		item := s.workflowItem(&f)
		if !strings.Contains(strings.ToLower(item.ID+"\n"+item.Name+"\n"+item.Description), query) ||
			in.Tag != "" && !slices.Contains(item.Tags, in.Tag) ||
			in.Enabled != "" && (in.Enabled == "true") != item.Enabled {
			continue
		}
		if len(out.Items) == in.Limit {
			out.Next = last
			break
		}
		last = fileKey(&f)
		if err := s.addLastRun(ctx, &item); err != nil {
			return nil, err
		}
		out.Items = append(out.Items, item)
	}
	return &body[page[workflowItem]]{out}, nil
}

// some is ps as JSON shows it: none is an empty list.
func some(ps workflow.Problems) workflow.Problems {
	if ps == nil {
		return workflow.Problems{}
	}
	return ps
}

// fileKey is what the list is in order of: the id, or the path of a file whose name gives none.
func fileKey(f *folder.File) string {
	if f.ID == "" {
		return f.Path
	}
	return f.ID
}

func (s *Server) readWorkflow(ctx context.Context, in *WorkflowID) (*body[workflowItem], error) {
	f, err := s.file(in.ID)
	if err != nil {
		return nil, err
	}
	item := s.workflowItem(f)
	if err := s.addLastRun(ctx, &item); err != nil {
		return nil, err
	}
	return &body[workflowItem]{item}, nil
}

// file finds a workflow file among those that were last read.
func (s *Server) file(id string) (*folder.File, error) {
	for _, f := range s.Files() {
		if f.ID == id {
			return &f, nil
		}
	}
	return nil, noWorkflow(id)
}

// text reads a workflow file.
func (s *Server) text(id string) ([]byte, error) {
	if workflow.CheckID(id) != nil {
		return nil, noWorkflow(id)
	}
	text, err := s.Folder.Read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noWorkflow(id)
	}
	return text, err
}

func noWorkflow(id string) *failure {
	return fail(http.StatusNotFound, "there is no workflow "+clip(id), "GET /api/v1/workflows lists them")
}

func (s *Server) workflowItem(f *folder.File) workflowItem {
	item := workflowItem{
		ID: f.ID, Name: fileKey(f), Tags: []string{}, Triggers: []triggerItem{}, Chain: []outlineItem{}, Spark: []bucket{}, Health: "attention",
		FileVersion: engine.VersionOf(f.Text), Problems: some(f.Problems),
	}
	w := s.Engine.Workflow(f.ID)
	if w == nil {
		item.Reason = "the file has errors and no earlier version is known: nothing runs"
		return item
	}
	item.Name, item.Description, item.Version = w.Name, w.Description, w.Version
	item.Tags = append(item.Tags, w.Tags...)
	for _, t := range w.Triggers {
		item.Triggers = append(item.Triggers, s.triggerItem(t))
	}
	item.Enabled = w.Enabled
	item.Chain = s.outline(w.Steps, 0)
	item.Steps = len(item.Chain)
	if w.Enabled {
		item.Reason = s.Triggers.Blocked(w)
		item.Enabled = item.Reason == ""
	}
	if !f.Good() && item.Reason == "" {
		item.Reason = "the file has errors: its last good version runs"
	}
	switch {
	case item.Reason != "":
	case !w.Enabled:
		item.Health = "off"
	default:
		item.Health = "healthy"
	}
	return item
}

func (s *Server) addLastRun(ctx context.Context, item *workflowItem) error {
	runs, err := s.Engine.Store.List(ctx, engine.Query{Workflow: item.ID, Limit: 10})
	if err != nil {
		return fmt.Errorf("last run of %s: %w", item.ID, err)
	}
	runs.Items = slices.DeleteFunc(runs.Items, func(r engine.Row) bool { return engine.TestMode(r.Trigger) != "" })
	if len(runs.Items) > 0 {
		run := newRunItem(&runs.Items[0])
		item.LastRun = &run
		if item.Health == "healthy" && runs.Items[0].Status == engine.StatusFailed {
			item.Health = "failing"
		}
	}
	item.Spark, err = s.spark(ctx, item.ID)
	return err
}

func (s *Server) triggerItem(t *workflow.Trigger) triggerItem {
	item := triggerItem{ID: t.ID, Kind: t.Kind, Summary: triggerSummary(t)}
	if t.Listen == nil {
		return item
	}
	item.Connector, item.Summary = t.Listen.Use.Connector, t.Listen.Use.Connector+"."+t.Listen.Use.Action
	if c := s.Connectors.Connector(item.Connector); c != nil {
		if def := c.Trigger(t.Listen.Use.Action); def != nil {
			item.Summary = c.Title + ": " + def.Title
		}
	}
	return item
}

func triggerSummary(t *workflow.Trigger) string {
	when := func(s *workflow.Schedule) string {
		if s.Cron != "" {
			return s.Cron + " " + s.Timezone
		}
		return "every " + s.Every.String()
	}
	switch {
	case t.Webhook != nil:
		return strings.Join(t.Webhook.Methods, ", ") + " /hooks/" + t.Webhook.Path
	case t.Schedule != nil:
		return when(t.Schedule)
	case t.Poll != nil && t.Poll.Use != nil:
		return when(&t.Poll.Schedule) + ": " + t.Poll.Use.Connector + "." + t.Poll.Use.Action
	}
	return t.Kind
}

func (s *Server) setEnabled(ctx context.Context, in *struct {
	WorkflowID
	Body struct {
		Enabled bool `json:"enabled"`
	}
},
) (*body[workflowItem], error) {
	text, err := s.text(in.ID)
	if err != nil {
		return nil, err
	}
	changed, err := workflow.SetEnabled(text, in.Body.Enabled)
	if err != nil {
		return nil, fail(http.StatusConflict, "the file of "+in.ID+" cannot be changed: "+err.Error(), "mend the file first")
	}
	if in.Body.Enabled {
		f := s.Folder.Check(in.ID, changed)
		if !f.Good() {
			p := brokenText(f.Problems)
			p.Status, p.Title, p.Hint = http.StatusConflict, http.StatusText(http.StatusConflict), "mend the file first"
			return nil, p
		}
		if reason := s.Triggers.Blocked(f.Workflow); reason != "" {
			return nil, fail(http.StatusConflict, in.ID+" cannot be enabled: "+reason, "mend that and enable it again")
		}
		if err := s.Triggers.Subscribe(ctx, f.Workflow); err != nil {
			return nil, fail(http.StatusConflict, in.ID+" cannot be enabled: "+err.Error(), "mend that and enable it again")
		}
	}
	s.Engine.Sign(in.ID, engine.VersionOf(changed), engine.Note{By: s.actor(ctx)})
	if _, err := s.write(ctx, in.ID, changed, engine.VersionOf(text)); err != nil {
		return nil, err
	}
	return s.readWorkflow(ctx, &in.WorkflowID)
}

// write stores a text and returns when it is live.
func (s *Server) write(ctx context.Context, id string, text []byte, ifVersion string) (version string, err error) {
	if version, err = s.Folder.Write(id, text, ifVersion); err != nil {
		return "", err
	}
	if err := s.Reload(ctx); err != nil {
		return "", fmt.Errorf("%s is written but not live: %w", id, err)
	}
	return version, nil
}

func (s *Server) startRun(ctx context.Context, in *struct {
	WorkflowID
	Body *struct {
		Body json.RawMessage `json:"body,omitempty" doc:"What expressions see as trigger.body."`
	}
},
) (*body[started], error) {
	if s.Engine.Workflow(in.ID) == nil {
		if _, err := s.file(in.ID); err != nil {
			return nil, err
		}
		return nil, fail(http.StatusConflict, in.ID+" has no version that can run", "GET /api/v1/workflows/"+in.ID+" lists the problems of its file")
	}
	var data any
	if in.Body != nil {
		var err error
		if data, err = plain(in.Body.Body); err != nil {
			return nil, err
		}
	}
	id, _, err := s.Engine.Accept(ctx, engine.Event{
		Workflow: in.ID, Trigger: engine.TriggerManual, Kind: engine.TriggerManual, At: time.Now(), Urgent: true,
		Fields: map[string]any{"body": data},
	})
	if err != nil {
		return nil, fmt.Errorf("start a run of %s: %w", in.ID, err)
	}
	return &body[started]{started{id.String()}}, nil
}

// plain reads JSON as plain data, which keeps the digits of large whole numbers.
func plain(src json.RawMessage) (any, error) {
	if len(src) == 0 {
		return nil, nil
	}
	v, err := value.DecodeJSON(src)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "the data cannot be read: "+err.Error(), "")
	}
	return v, nil
}

package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/draft"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// versionItem is one version that became live.
type versionItem struct {
	Version  string           `json:"version"`
	Previous string           `json:"previous" doc:"The version before; empty: it was the first."`
	At       time.Time        `json:"at"`
	By       string           `json:"by" doc:"Who published it; file: a change on disk."`
	Message  string           `json:"message"`
	Live     bool             `json:"live" doc:"It is the one that runs now."`
	Changes  workflow.Changes `json:"changes" nullable:"false" doc:"What it changed, in words."`
}

// diffView is the difference of two texts of a workflow.
type diffView struct {
	Sentences workflow.Changes `json:"sentences" nullable:"false"`
	Lines     []workflow.Line  `json:"lines" nullable:"false" doc:"With three lines around each change."`
	Before    string           `json:"before"`
	After     string           `json:"after"`
	Verified  []verifiedItem   `json:"verified" nullable:"false" doc:"Of a draft: what was checked."`
}

type verifiedItem struct {
	Code   string         `json:"code" example:"connections"`
	OK     bool           `json:"ok"`
	Blocks bool           `json:"blocks" doc:"It keeps the draft from being published."`
	Text   string         `json:"text"`
	Params map[string]any `json:"params"`
}

func newDiff(before, after []byte) diffView {
	return diffView{
		Sentences: workflow.Diff(before, after), Lines: workflow.DiffLines(before, after, 3), Before: string(before), After: string(after),
		Verified: []verifiedItem{},
	}
}

// VersionID is the path of a route about one version.
type VersionID struct {
	WorkflowID
	Version string `path:"version" maxLength:"64"`
}

func (s *Server) versionRoutes() {
	tags := []string{"workflows"}
	handle(s, huma.Operation{
		OperationID: "list-versions", Method: http.MethodGet, Path: "/api/v1/workflows/{id}/versions", Tags: tags,
		Summary: "The history of a workflow, newest first", Errors: []int{http.StatusNotFound},
	}, s.listVersions)
	handle(s, huma.Operation{
		OperationID: "diff-version", Method: http.MethodGet, Path: "/api/v1/workflows/{id}/versions/{version}/diff", Tags: tags,
		Summary: "What a version changed, or how it differs from another", Errors: []int{http.StatusNotFound},
	}, s.diffVersion)
	handle(s, huma.Operation{
		OperationID: "model-version", Method: http.MethodGet, Path: "/api/v1/workflows/{id}/versions/{version}/model", Tags: tags,
		Summary: "A version as a form shows it, such as the one that a run names", Errors: []int{http.StatusNotFound},
	}, s.modelVersion)
	handle(s, huma.Operation{
		OperationID: "restore-version", Method: http.MethodPost, Path: "/api/v1/workflows/{id}/versions/{version}/restore", Tags: tags,
		Summary: "Make the text of a version the draft", Description: "Nothing is published; undo takes it back.", Errors: []int{http.StatusNotFound},
	}, s.restoreVersion)
	handle(s, huma.Operation{
		OperationID: "diff-draft", Method: http.MethodGet, Path: "/api/v1/drafts/{id}/diff", Tags: []string{"drafts"},
		Summary: "What a draft changes in its file", Errors: []int{http.StatusNotFound},
	}, s.diffDraft)
	handle(s, huma.Operation{
		OperationID: "compare-draft", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/diff", Tags: []string{"drafts"},
		Summary: "How another text differs from a draft", Description: "Such as that of a file that changed on disk. Nothing is changed.",
		Errors: []int{http.StatusNotFound},
	}, s.compareDraft)
	handle(s, huma.Operation{
		OperationID: "undo-publish", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/publish/undo", Tags: []string{"drafts"},
		Summary: "Bring back the version before a publish", Description: "Only while that version is still the one in the file. The draft keeps its text.",
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.undoPublish)
	handle(s, huma.Operation{
		OperationID: "delete-workflow", Method: http.MethodDelete, Path: "/api/v1/workflows/{id}", Tags: tags, Summary: "Delete a workflow",
		Description: "Its file goes; runs under way go on. It can be restored for 30 days.", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.deleteWorkflow)
	handle(s, huma.Operation{
		OperationID: "list-deleted", Method: http.MethodGet, Path: "/api/v1/trash", Tags: tags, Summary: "Workflows deleted in the last 30 days, newest first",
	}, s.listDeleted)
	handle(s, huma.Operation{
		OperationID: "restore-workflow", Method: http.MethodPost, Path: "/api/v1/workflows/{id}/restore", Tags: tags, Summary: "Bring back a deleted workflow",
		Description: "Its file is written as it was, with its tests.", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.restoreWorkflow)
	handle(s, huma.Operation{
		OperationID: "duplicate-workflow", Method: http.MethodPost, Path: "/api/v1/workflows/{id}/duplicate", Tags: tags, Summary: "Make a draft of a copy",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.duplicateWorkflow)
	handle(s, huma.Operation{
		OperationID: "rename-workflow", Method: http.MethodPost, Path: "/api/v1/workflows/{id}/rename", Tags: tags, Summary: "Give a workflow another id",
		Description: "Its file, tests, draft and history move, and workflows that call it follow. Runs under way go on under the old id.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
	}, s.renameWorkflow)
}

func (s *Server) listVersions(ctx context.Context, in *struct {
	WorkflowID
	Cursor string `query:"cursor" maxLength:"64"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
},
) (*body[page[versionItem]], error) {
	list, err := s.Engine.Publications(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && !s.exists(in.ID) {
		if _, err := s.drafts.Read(ctx, in.ID); errors.Is(err, draft.ErrNone) { // a draft that was never published has no history yet
			return nil, noWorkflow(in.ID)
		} else if err != nil {
			return nil, err
		}
	}
	first := 0
	if in.Cursor != "" {
		if first, err = strconv.Atoi(in.Cursor); err != nil || first < 0 {
			return nil, fail(http.StatusUnprocessableEntity, "the cursor "+clip(in.Cursor)+" is none", "begin without one")
		}
	}
	live := ""
	if w := s.Engine.Workflow(in.ID); w != nil {
		live = w.Version
	}
	out := page[versionItem]{Items: []versionItem{}}
	texts := map[string][]byte{}
	text := func(version string) []byte {
		if _, known := texts[version]; !known {
			texts[version], _ = s.Engine.Source(ctx, in.ID, version) // nil: it is not kept
		}
		return texts[version]
	}
	for i := first; i < len(list); i++ {
		if len(out.Items) == in.Limit {
			out.Next = strconv.Itoa(i)
			break
		}
		p := &list[i]
		item := versionItem{Version: p.Version, Previous: p.Previous, At: p.At, By: p.By, Message: p.Message, Live: p.Version == live, Changes: workflow.Changes{}}
		if before, after := text(p.Previous), text(p.Version); p.Previous != "" && before != nil && after != nil {
			item.Changes = workflow.Diff(before, after)
		}
		out.Items = append(out.Items, item)
	}
	return &body[page[versionItem]]{out}, nil
}

// source is the text of a stored version.
func (s *Server) source(ctx context.Context, id, version string) ([]byte, error) {
	text, err := s.Engine.Source(ctx, id, version)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fail(http.StatusNotFound, "no version "+clip(version)+" of "+clip(id)+" is stored", "GET /api/v1/workflows/{id}/versions lists those that are").
			coded("version_not_found", "This version is not kept any more", "Nothing was changed.")
	}
	return text, err
}

func (s *Server) diffVersion(ctx context.Context, in *struct {
	VersionID
	Against string `query:"against" maxLength:"64" doc:"Another version, or now: the file as it is. The version before if left out."`
},
) (*body[diffView], error) {
	after, err := s.source(ctx, in.ID, in.Version)
	if err != nil {
		return nil, err
	}
	var before []byte
	switch in.Against {
	case "now":
		before, err = s.text(in.ID)
	case "":
		list, e := s.Engine.Publications(ctx, in.ID)
		if e != nil {
			return nil, e
		}
		if i := slices.IndexFunc(list, func(p engine.Publication) bool { return p.Version == in.Version }); i >= 0 && list[i].Previous != "" {
			before, err = s.source(ctx, in.ID, list[i].Previous)
		}
	default:
		before, err = s.source(ctx, in.ID, in.Against)
	}
	if err != nil {
		return nil, err
	}
	return &body[diffView]{newDiff(before, after)}, nil
}

func (s *Server) modelVersion(ctx context.Context, in *VersionID) (*body[*draft.Model], error) {
	text, err := s.source(ctx, in.ID, in.Version)
	if err != nil {
		return nil, err
	}
	model, err := draft.NewModel(in.ID, string(text), s.Folder.Check(in.ID, text).Workflow, nil, s.Connectors)
	if err != nil {
		return nil, fmt.Errorf("version %s of %s: %w", in.Version, in.ID, err)
	}
	return &body[*draft.Model]{model}, nil
}

func (s *Server) restoreVersion(ctx context.Context, in *VersionID) (*draftAnswer, error) {
	text, err := s.source(ctx, in.ID, in.Version)
	if err != nil {
		return nil, err
	}
	if _, _, _, err := s.draft(ctx, in.ID); errors.As(err, new(*failure)) { // the file is gone: its text becomes a new draft
		d := draft.New(in.ID, nil)
		d.Text, d.By, d.Changed, d.Number = string(text), s.actor(ctx), time.Now().UTC(), 1
		if err := s.saveDraft(ctx, d); err != nil {
			return nil, err
		}
		return s.draftAnswer(ctx, d, nil, false)
	}
	return s.changeDraft(ctx, in.ID, "", false, func(d *draft.Draft, _ []byte) error {
		d.Change(string(text), draft.Label{Code: "edit.restore", Params: map[string]any{"version": in.Version}, Text: "Restore an earlier version"}, s.actor(ctx), time.Now().UTC())
		return nil
	})
}

func (s *Server) diffDraft(ctx context.Context, in *DraftID) (*body[diffView], error) {
	d, _, _, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := newDiff([]byte(d.Base), []byte(d.Text))
	if !d.Published {
		out.Sentences = workflow.Changes{{Code: "workflow.new", Params: map[string]any{}, Text: "A new workflow"}}
	}
	out.Verified = s.verify(ctx, d)
	return &body[diffView]{out}, nil
}

func (s *Server) compareDraft(ctx context.Context, in *struct {
	DraftID
	Body struct {
		Text string `json:"text" maxLength:"262144"`
	}
},
) (*body[diffView], error) {
	d, _, _, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &body[diffView]{newDiff([]byte(d.Text), []byte(in.Body.Text))}, nil
}

// verify says what was checked of a draft before it is published.
func (s *Server) verify(_ context.Context, d *draft.Draft) []verifiedItem {
	checked := s.Folder.Check(d.ID, []byte(d.Text))
	errs := 0
	for _, p := range checked.Problems {
		if !p.Warning {
			errs++
		}
	}
	problems := verifiedItem{Code: "problems", OK: errs == 0, Blocks: errs > 0, Text: "Nothing is missing", Params: map[string]any{"count": errs}}
	if errs > 0 {
		problems.Text = fmt.Sprintf("%d to fix", errs)
	}
	list := []verifiedItem{problems}
	if checked.Workflow == nil {
		return list
	}
	if reason := s.Triggers.Blocked(checked.Workflow); reason != "" {
		list = append(list, verifiedItem{Code: "blocked", Text: "It cannot be turned on: " + reason, Params: map[string]any{"reason": reason}, Blocks: checked.Workflow.Enabled})
	}
	return list
}

// undone is the answer to an undone publish.
type undone struct {
	Version string    `json:"version" doc:"The one that is live now; empty: the workflow was new, and its file is gone again."`
	Draft   draftView `json:"draft"`
}

func (s *Server) undoPublish(ctx context.Context, in *struct {
	DraftID
	Body struct {
		Version string `json:"version" maxLength:"64" doc:"The version that the publish answered."`
	}
},
) (*body[undone], error) {
	const unchanged = "What runs is as it was."
	file, err := s.text(in.ID)
	if err != nil {
		return nil, err
	}
	if engine.VersionOf(file) != in.Body.Version {
		return nil, fail(http.StatusConflict, "the file of "+in.ID+" is another version by now", "restore the version that you want from the history").
			coded("file_changed", "It was changed again since", unchanged)
	}
	list, err := s.Engine.Publications(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || list[0].Version != in.Body.Version {
		return nil, fail(http.StatusConflict, "the version "+clip(in.Body.Version)+" was not the last to be published", "").coded("not_last", "There is nothing to undo", unchanged)
	}
	var before []byte
	if previous := list[0].Previous; previous != "" {
		if before, err = s.source(ctx, in.ID, previous); err != nil {
			return nil, err
		}
		s.Engine.Sign(in.ID, previous, engine.Note{By: s.actor(ctx), Message: "Undo of a publish"})
		if _, err := s.write(ctx, in.ID, before, in.Body.Version); err != nil {
			return nil, err
		}
	} else {
		if err := s.Folder.Remove(in.ID, in.Body.Version); err != nil {
			return nil, err
		}
		if err := s.Reload(ctx); err != nil {
			return nil, err
		}
	}
	d, err := s.drafts.Read(ctx, in.ID)
	if errors.Is(err, draft.ErrNone) {
		d, err = draft.New(in.ID, file), nil
	}
	if err != nil {
		return nil, err
	}
	d.Rebase(before)
	d.Number++
	if err := s.saveDraft(ctx, d); err != nil {
		return nil, err
	}
	out := undone{Draft: s.draftView(d, before, false)}
	if before != nil {
		out.Version = engine.VersionOf(before)
	}
	return &body[undone]{out}, nil
}

// deletedWorkflow is what the trash keeps of a workflow.
type deletedWorkflow struct {
	ID    string    `json:"id"`
	Text  string    `json:"text"`
	Tests *string   `json:"tests,omitempty"`
	At    time.Time `json:"at"`
	By    string    `json:"by"`
}

const (
	trashPrefix = "trash/"
	trashTime   = 30 * 24 * time.Hour
	maxTrash    = 1000
)

func (s *Server) deleteWorkflow(ctx context.Context, in *struct {
	WorkflowID
	IfMatch
},
) (*struct{}, error) {
	text, err := s.text(in.ID)
	if err != nil {
		return nil, err
	}
	version := engine.VersionOf(text)
	if m := strings.Trim(in.IfMatch.IfMatch, `"`); m != "" && m != "*" && m != version {
		return nil, stale(in.ID, text)
	}
	if by := s.callers(in.ID); len(by) > 0 {
		return nil, fail(http.StatusConflict, in.ID+" is called by "+strings.Join(by, ", "), "change those first").
			coded("called_by_others", "Other workflows run this one", "Nothing was deleted.")
	}
	gone := deletedWorkflow{ID: in.ID, Text: string(text), At: time.Now().UTC(), By: s.actor(ctx)}
	if tests, err := s.Folder.ReadTest(in.ID); err == nil {
		kept := string(tests)
		gone.Tests = &kept
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	val, err := json.Marshal(gone)
	if err != nil {
		return nil, err
	}
	kv := s.Engine.Store.KV()
	_, rev, err := kv.Get(ctx, trashPrefix+in.ID)
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return nil, err
	}
	if _, err := kv.Put(ctx, trashPrefix+in.ID, val, rev, trashTime); err != nil {
		return nil, err
	}
	if err := s.Folder.Remove(in.ID, version); errors.Is(err, folder.ErrChanged) {
		return nil, stale(in.ID, nil)
	} else if err != nil {
		return nil, err
	}
	if err := s.Folder.WriteTest(in.ID, nil); err != nil {
		return nil, err
	}
	if d, err := s.drafts.Read(ctx, in.ID); err == nil {
		if err := s.drafts.Delete(ctx, d); err != nil {
			return nil, err
		}
		s.draftHooks.remove(in.ID)
	}
	return nil, s.Reload(ctx)
}

// callers are the workflows that call this one.
func (s *Server) callers(id string) []string {
	var by []string
	for _, w := range s.Engine.Workflows() {
		calls := false
		visit := func(step *workflow.Step) {
			if call, ok := step.Do.(*workflow.Call); ok && call.Workflow == id {
				calls = true
			}
		}
		workflow.Walk(w.Steps, visit)
		workflow.Walk(w.OnFailure, visit)
		if calls && w.ID != id {
			by = append(by, w.ID)
		}
	}
	return by
}

// trashItem is a deleted workflow.
type trashItem struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	At    time.Time `json:"at"`
	By    string    `json:"by"`
	Until time.Time `json:"until" doc:"Until when it can be restored."`
}

func (s *Server) listDeleted(ctx context.Context, _ *struct{}) (*body[page[trashItem]], error) {
	entries, err := s.Engine.Store.KV().List(ctx, trashPrefix, "", maxTrash)
	if err != nil {
		return nil, err
	}
	items := []trashItem{}
	for _, e := range entries {
		var gone deletedWorkflow
		if err := json.Unmarshal(e.Value, &gone); err != nil {
			return nil, fmt.Errorf("%w: the trash: %w", engine.ErrDamaged, err)
		}
		item := trashItem{ID: gone.ID, Name: gone.ID, At: gone.At, By: gone.By, Until: gone.At.Add(trashTime)}
		if w := s.Folder.Check(gone.ID, []byte(gone.Text)).Workflow; w != nil {
			item.Name = w.Name
		}
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b trashItem) int { return b.At.Compare(a.At) })
	return &body[page[trashItem]]{page[trashItem]{Items: items}}, nil
}

func (s *Server) restoreWorkflow(ctx context.Context, in *WorkflowID) (*body[workflowItem], error) {
	kv := s.Engine.Store.KV()
	val, rev, err := kv.Get(ctx, trashPrefix+in.ID)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fail(http.StatusNotFound, "no deleted workflow "+clip(in.ID)+" is kept", "GET /api/v1/trash lists them").
			coded("not_deleted", "This workflow is not among the deleted ones", "Nothing was changed.")
	} else if err != nil {
		return nil, err
	}
	var gone deletedWorkflow
	if err := json.Unmarshal(val, &gone); err != nil {
		return nil, fmt.Errorf("%w: the trash: %w", engine.ErrDamaged, err)
	}
	s.Engine.Sign(in.ID, engine.VersionOf([]byte(gone.Text)), engine.Note{By: s.actor(ctx), Message: "Restored after it was deleted"})
	if _, err := s.Folder.Write(in.ID, []byte(gone.Text), ""); errors.Is(err, folder.ErrChanged) {
		return nil, fail(http.StatusConflict, "there is a workflow "+clip(in.ID)+" again", "rename that one first").
			coded("id_taken", "There is a workflow of this id again", "Nothing was changed.")
	} else if err != nil {
		return nil, err
	}
	if gone.Tests != nil {
		if err := s.Folder.WriteTest(in.ID, []byte(*gone.Tests)); err != nil {
			return nil, err
		}
	}
	if err := kv.Delete(ctx, trashPrefix+in.ID, rev); err != nil && !errors.Is(err, engine.ErrConflict) {
		return nil, err
	}
	if err := s.Reload(ctx); err != nil {
		return nil, err
	}
	return s.readWorkflow(ctx, in)
}

func (s *Server) duplicateWorkflow(ctx context.Context, in *struct {
	WorkflowID
	Body *struct {
		Name string `json:"name,omitempty" maxLength:"200"`
	}
},
) (*draftAnswer, error) {
	of, _, _, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	text, name := []byte(of.Text), of.ID+" (copy)"
	w := s.Folder.Check(of.ID, text).Workflow
	if w != nil {
		name = w.Name + " (copy)"
	}
	if in.Body != nil && in.Body.Name != "" {
		name = in.Body.Name
	}
	id, err := s.drafts.FreeID(ctx, name, s.exists)
	if err != nil {
		return nil, err
	}
	if named, err := workflow.Edit(text, workflow.Put{Path: "name", Value: name}); err == nil {
		text = named
	}
	if w != nil {
		for i, t := range w.Triggers {
			if t.Webhook != nil && t.Webhook.Path != of.ID { // two cannot have one address
				path := workflow.Path(fmt.Sprintf("triggers[%d].webhook.path", i))
				if moved, err := workflow.Edit(text, workflow.Put{Path: path, Value: t.Webhook.Path + "-" + id[strings.LastIndexByte(id, '/')+1:]}); err == nil {
					text = moved
				}
			}
		}
	}
	d := draft.New(id, nil)
	d.Text, d.By, d.Changed, d.Number = string(text), s.actor(ctx), time.Now().UTC(), 1
	if err := s.saveDraft(ctx, d); err != nil {
		return nil, err
	}
	out, err := s.draftAnswer(ctx, d, nil, false)
	if err == nil {
		out.Status = http.StatusCreated
	}
	return out, err
}

func (s *Server) renameWorkflow(ctx context.Context, in *struct {
	WorkflowID
	Body struct {
		ID string `json:"id" maxLength:"250" doc:"The new id; a folder in front moves it."`
	}
},
) (*body[workflowItem], error) {
	const unchanged = "Nothing was renamed."
	to := in.Body.ID
	if err := workflow.CheckID(to); err != nil {
		return nil, fail(http.StatusUnprocessableEntity, clip(to)+" cannot be the id of a workflow: "+err.Error(), "").coded("bad_id", "This cannot be the id of a workflow", unchanged)
	}
	text, err := s.text(in.ID)
	if err != nil {
		return nil, err
	}
	if _, err := s.drafts.Read(ctx, to); err == nil || s.exists(to) {
		return nil, fail(http.StatusConflict, "there is a workflow or a draft "+clip(to)+" already", "choose another id").coded("id_taken", "This id is taken", unchanged)
	} else if !errors.Is(err, draft.ErrNone) {
		return nil, err
	}
	// An address that the file does not name is the id: senders know the old one, so it is written down.
	fresh := text
	if w := s.Folder.Check(in.ID, text).Workflow; w != nil {
		for i, t := range w.Triggers {
			if t.Webhook != nil && t.Webhook.Path == in.ID {
				if fresh, err = workflow.Edit(fresh, workflow.Put{Path: workflow.Path(fmt.Sprintf("triggers[%d].webhook.path", i)), Value: in.ID}); err != nil {
					return nil, editFailure(err)
				}
			}
		}
	}
	callers := map[string][]byte{}
	versions := map[string]string{}
	for _, id := range s.callers(in.ID) {
		old, err := s.text(id)
		if err != nil {
			return nil, err
		}
		if callers[id], err = followCall(old, in.ID, to); err != nil {
			return nil, fail(http.StatusConflict, id+" calls it and cannot be changed: "+err.Error(), "mend that file first").coded("caller_unreadable", "A workflow that runs this one cannot follow", unchanged)
		}
		versions[id] = engine.VersionOf(old)
	}
	if err := s.Engine.CopyHistory(ctx, in.ID, to); err != nil {
		return nil, err
	}
	s.Engine.Sign(to, engine.VersionOf(fresh), engine.Note{By: s.actor(ctx), Message: "Renamed from " + in.ID})
	if _, err := s.Folder.Write(to, fresh, ""); err != nil {
		return nil, err
	}
	if tests, err := s.Folder.ReadTest(in.ID); err == nil {
		if moved, err := workflow.Edit(tests, workflow.Put{Path: "workflow", Value: to}); err == nil {
			tests = moved
		}
		if err := s.Folder.WriteTest(to, tests); err != nil {
			return nil, err
		}
		if err := s.Folder.WriteTest(in.ID, nil); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for id, text := range callers {
		s.Engine.Sign(id, engine.VersionOf(text), engine.Note{By: s.actor(ctx), Message: "Follows the rename of " + in.ID})
		if _, err := s.Folder.Write(id, text, versions[id]); err != nil {
			return nil, err
		}
	}
	if err := s.Folder.Remove(in.ID, engine.VersionOf(text)); err != nil {
		return nil, err
	}
	if err := s.moveDraft(ctx, in.ID, to, text, fresh); err != nil {
		return nil, err
	}
	if err := s.Reload(ctx); err != nil {
		return nil, err
	}
	return s.readWorkflow(ctx, &WorkflowID{ID: to})
}

// followCall writes the new id of a workflow where a file calls it.
func followCall(text []byte, from, to string) ([]byte, error) {
	outline, err := workflow.ReadOutline(text)
	if err != nil {
		return nil, err
	}
	var ops []workflow.Op
	outline.Each(func(e *workflow.OutlineEntry, _ workflow.Path, _ int) bool {
		for _, f := range e.Fields {
			var call struct{ Workflow string }
			if f.Key == "call" && json.Unmarshal(f.Value, &call) == nil && call.Workflow == from {
				ops = append(ops, workflow.Put{Path: f.Path + ".workflow", Value: to})
			}
		}
		return true
	})
	return workflow.Edit(text, ops...)
}

// moveDraft gives the draft of a renamed workflow its new id. base is the file before, fresh after.
func (s *Server) moveDraft(ctx context.Context, from, to string, base, fresh []byte) error {
	d, err := s.drafts.Read(ctx, from)
	if errors.Is(err, draft.ErrNone) {
		return nil
	} else if err != nil {
		return err
	}
	moved := draft.New(to, fresh)
	moved.Edits, moved.Applied, moved.Number, moved.By, moved.Changed, moved.Text = d.Edits, d.Applied, d.Number+1, d.By, d.Changed, d.Text
	if d.Text == string(base) {
		moved.Change(string(fresh), draft.Label{Code: "edit.renamed", Text: "Rename the workflow"}, s.actor(ctx), time.Now().UTC())
	}
	if err := s.drafts.Delete(ctx, d); err != nil {
		return err
	}
	s.draftHooks.remove(from)
	return s.saveDraft(ctx, moved)
}

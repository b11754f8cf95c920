package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/draft"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Template is a workflow file that a new one may begin as.
type Template struct {
	ID   string
	Text []byte
}

// draftView is a draft with all that an editor shows.
type draftView struct {
	ID          string                `json:"id" doc:"Of the workflow that it is or becomes."`
	Rev         string                `json:"rev" doc:"Of this text, as ETag has it. Changes are made on it with If-Match."`
	Name        string                `json:"name"`
	Text        string                `json:"text"`
	Published   bool                  `json:"published" doc:"Whether there is a file of the workflow."`
	Dirty       bool                  `json:"dirty" doc:"Whether the draft says something else than the file that it was made from."`
	Good        bool                  `json:"good" doc:"Whether it could be published: there are only warnings."`
	Model       *draft.Model          `json:"model,omitempty" doc:"The text as a form shows it; left out when neither it nor an earlier revision can be read."`
	Stale       bool                  `json:"stale" doc:"The text cannot be read: the model is that of the last revision that could."`
	Problems    []draft.PlacedProblem `json:"problems" nullable:"false"`
	Changes     workflow.Changes      `json:"changes" nullable:"false" doc:"What the draft changes, in words."`
	Undo        *draft.Label          `json:"undo,omitempty" doc:"The edit that undo takes back."`
	Redo        *draft.Label          `json:"redo,omitempty" doc:"The edit that redo makes again."`
	DiskChanged *diskChange           `json:"disk_changed,omitempty" doc:"The file has another text than the draft was made from: resolve before publishing."`
	ChangedAt   *time.Time            `json:"changed_at,omitempty"`
	By          string                `json:"by" doc:"Who changed it last."`
}

// diskChange is what became of the file while a draft was open.
type diskChange struct {
	Gone    bool             `json:"gone" doc:"There is no file any more."`
	Version string           `json:"version"`
	Text    string           `json:"text"`
	Changes workflow.Changes `json:"changes" nullable:"false" doc:"What changed in the file since the draft was made."`
}

type draftItem struct {
	ID        string    `json:"id"`
	Rev       string    `json:"rev"`
	Name      string    `json:"name"`
	Published bool      `json:"published"`
	Dirty     bool      `json:"dirty"`
	ChangedAt time.Time `json:"changed_at"`
	By        string    `json:"by"`
}

type draftAnswer struct {
	Status int
	ETag   string `header:"ETag" doc:"The revision, for If-Match."`
	Body   draftView
}

// DraftID is the path of a route about one draft.
type DraftID struct {
	ID string `path:"id" maxLength:"512" doc:"The id of the workflow."`
}

// IfMatch is the header of a change.
type IfMatch struct {
	IfMatch string `header:"If-Match" doc:"The revision that the change is made on."`
}

func (s *Server) draftRoutes() {
	tags := []string{"drafts"}
	change := []int{http.StatusNotFound, http.StatusPreconditionFailed, http.StatusPreconditionRequired, http.StatusUnprocessableEntity}
	handle(s, huma.Operation{
		OperationID: "list-drafts", Method: http.MethodGet, Path: "/api/v1/drafts", Tags: tags, Summary: "List stored drafts by id",
	}, s.listDrafts)
	handle(s, huma.Operation{
		OperationID: "list-templates", Method: http.MethodGet, Path: "/api/v1/templates", Tags: tags, Summary: "List workflows to begin with",
	}, s.listTemplates)
	handle(s, huma.Operation{
		OperationID: "create-draft", Method: http.MethodPost, Path: "/api/v1/drafts", Tags: tags, Summary: "Make a draft of a new workflow",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusConflict, http.StatusUnprocessableEntity},
		Description: "Of a text, of a template, or an empty one. Its webhooks answer 202 from now on and keep what comes.",
	}, s.createDraft)
	handle(s, huma.Operation{
		OperationID: "read-draft", Method: http.MethodGet, Path: "/api/v1/drafts/{id}", Tags: tags, Summary: "The draft of a workflow",
		Description: "Where none is stored, that of the file as it is; the first change stores it.", Errors: []int{http.StatusNotFound},
	}, s.readDraft)
	handle(s, huma.Operation{
		OperationID: "delete-draft", Method: http.MethodDelete, Path: "/api/v1/drafts/{id}", Tags: tags, Summary: "Discard a draft; the file stays",
		DefaultStatus: http.StatusNoContent, Errors: change,
	}, s.deleteDraft)
	handle(s, huma.Operation{
		OperationID: "edit-draft", Method: http.MethodPatch, Path: "/api/v1/drafts/{id}", Tags: tags, Summary: "Change a draft by operations on its text",
		Description: "All operations are made, or none. Each replaces only the bytes that it is about.", Errors: change,
	}, s.editDraft)
	handle(s, huma.Operation{
		OperationID: "write-draft-text", Method: http.MethodPut, Path: "/api/v1/drafts/{id}/text", Tags: tags, Summary: "Replace the text of a draft",
		Errors: change,
	}, s.writeDraftText)
	handle(s, huma.Operation{
		OperationID: "undo-draft", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/undo", Tags: tags, Summary: "Take the last edit back",
		Errors: append(change, http.StatusConflict),
	}, s.undoDraft)
	handle(s, huma.Operation{
		OperationID: "redo-draft", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/redo", Tags: tags, Summary: "Make the last undone edit again",
		Errors: append(change, http.StatusConflict),
	}, s.redoDraft)
	handle(s, huma.Operation{
		OperationID: "resolve-draft", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/resolve", Tags: tags,
		Summary: "Decide between the draft and a file that changed on disk", Errors: change,
	}, s.resolveDraft)
	handle(s, huma.Operation{
		OperationID: "publish-draft", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/publish", Tags: tags, Summary: "Write the draft to its file and make it live",
		Errors: append(change, http.StatusConflict),
	}, s.publishDraft)
	s.sampleRoutes()
	s.draftTestRoutes()
}

// draft reads the draft of a workflow, stored or not, and the file as it is now (nil: there is none). conflict: the
// two must be brought together.
func (s *Server) draft(ctx context.Context, id string) (d *draft.Draft, file []byte, conflict bool, err error) {
	if workflow.CheckID(id) != nil {
		return nil, nil, false, noDraft(id)
	}
	file, err = s.Folder.Read(id)
	if errors.Is(err, fs.ErrNotExist) {
		file = nil
	} else if err != nil {
		return nil, nil, false, err
	}
	d, err = s.drafts.Read(ctx, id)
	switch {
	case errors.Is(err, draft.ErrNone) && file == nil:
		return nil, nil, false, noDraft(id)
	case errors.Is(err, draft.ErrNone):
		return draft.New(id, file), file, false, nil
	case err != nil:
		return nil, nil, false, err
	}
	return d, file, d.Follow(file), nil
}

func noDraft(id string) *failure {
	return fail(http.StatusNotFound, "there is no draft and no workflow "+clip(id), "GET /api/v1/drafts and GET /api/v1/workflows list them").
		coded("draft_not_found", "This workflow does not exist", "Nothing was changed.")
}

// actor is who makes a change.
func (s *Server) actor(context.Context) string { return "admin" }

// match compares If-Match with the revision of a draft.
func match(d *draft.Draft, ifMatch string, required bool) error {
	rev := d.Rev()
	if ifMatch == "" {
		if !required {
			return nil
		}
		p := fail(http.StatusPreconditionRequired, "say which revision of the draft the change is made on", "send its ETag in the header If-Match")
		p.Version = rev
		return p.with("ETag", `"`+rev+`"`).coded("precondition_required", "The revision is missing", "Nothing was changed.")
	}
	for part := range strings.SplitSeq(ifMatch, ",") {
		if part = strings.Trim(strings.TrimSpace(part), `"`); part == rev || part == "*" {
			return nil
		}
	}
	return staleDraft(d)
}

func staleDraft(d *draft.Draft) *failure {
	p := fail(http.StatusPreconditionFailed, "the draft "+d.ID+" has another text by now", "make the change on the current text and send it with the current revision in If-Match")
	p.Version, p.Text = d.Rev(), d.Text
	title := "Somebody else changed this draft"
	if d.By != "" {
		title = d.By + " changed this draft in the meantime"
	}
	return p.with("ETag", `"`+p.Version+`"`).coded("draft_changed", title, "Your change was not made. The draft is as it was.",
		fix("Load the current draft", "reload"))
}

// changeDraft loads a draft, lets f change it and stores it. Between the two nobody else may have changed it.
func (s *Server) changeDraft(ctx context.Context, id, ifMatch string, required bool, f func(d *draft.Draft, file []byte) error) (*draftAnswer, error) {
	d, file, conflict, err := s.draft(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := match(d, ifMatch, required); err != nil {
		return nil, err
	}
	rev := d.Rev()
	if err := f(d, file); err != nil {
		return nil, err
	}
	if d.Rev() == rev && d.Stored() {
		return s.draftAnswer(ctx, d, file, conflict)
	}
	checked := s.Folder.Check(d.ID, []byte(d.Text))
	if err := s.saveChecked(ctx, d, checked.Workflow); err != nil {
		return nil, err
	}
	return s.checkedAnswer(ctx, d, &checked, file, d.Follow(file))
}

// saveDraft stores a draft, keeps its webhooks alive and tells the event stream.
func (s *Server) saveDraft(ctx context.Context, d *draft.Draft) error {
	return s.saveChecked(ctx, d, s.Folder.Check(d.ID, []byte(d.Text)).Workflow)
}

// saveChecked is saveDraft where the text was read already.
func (s *Server) saveChecked(ctx context.Context, d *draft.Draft, w *workflow.Workflow) error {
	if !d.Stored() {
		full, err := s.drafts.Full(ctx)
		if err != nil {
			return err
		}
		if full {
			return fail(http.StatusConflict, "there are too many drafts", "publish or discard some").coded("too_many_drafts", "There are too many drafts", "Nothing was changed.")
		}
	}
	if err := s.drafts.Save(ctx, d); errors.Is(err, engine.ErrConflict) {
		current, _, _, err := s.draft(ctx, d.ID)
		if err != nil {
			return err
		}
		return staleDraft(current)
	} else if err != nil {
		return err
	}
	s.draftHooks.update(d, w)
	s.hub.publish(notice{kind: eventDraft, workflow: d.ID, text: d.Rev(), status: d.By})
	return nil
}

// draftAnswer shows a draft.
func (s *Server) draftAnswer(ctx context.Context, d *draft.Draft, file []byte, conflict bool) (*draftAnswer, error) {
	checked := s.Folder.Check(d.ID, []byte(d.Text))
	return s.checkedAnswer(ctx, d, &checked, file, conflict)
}

func (s *Server) checkedAnswer(ctx context.Context, d *draft.Draft, checked *folder.File, file []byte, conflict bool) (*draftAnswer, error) {
	if d.Text != string(checked.Text) { // it took over the text of the file
		again := s.Folder.Check(d.ID, []byte(d.Text))
		checked = &again
	}
	out := &draftAnswer{Status: http.StatusOK, ETag: `"` + d.Rev() + `"`, Body: s.checkedView(d, checked, file, conflict)}
	if out.Body.Model != nil && d.Stored() {
		results, err := s.drafts.Results(ctx, d.ID)
		if err != nil {
			return nil, err
		}
		out.Body.Model.AddResults(results)
	}
	return out, nil
}

func (s *Server) draftView(d *draft.Draft, file []byte, conflict bool) draftView {
	checked := s.Folder.Check(d.ID, []byte(d.Text))
	return s.checkedView(d, &checked, file, conflict)
}

func (s *Server) checkedView(d *draft.Draft, checked *folder.File, file []byte, conflict bool) draftView {
	v := draftView{
		ID: d.ID, Rev: d.Rev(), Name: d.ID, Text: d.Text, Published: d.Published, Dirty: d.Dirty(), Good: checked.Good(), By: d.By,
		Changes: workflow.Changes{},
	}
	if !d.Changed.IsZero() {
		at := d.Changed.UTC()
		v.ChangedAt = &at
	}
	var err error
	if v.Model, err = draft.NewModel(d.ID, d.Text, checked.Workflow, checked.Problems, s.Connectors); err != nil {
		v.Stale = true
		d.Before(maxStale, func(text string) bool {
			old := s.Folder.Check(d.ID, []byte(text))
			v.Model, err = draft.NewModel(d.ID, text, old.Workflow, nil, s.Connectors)
			return err != nil
		})
	}
	var outline *workflow.Outline
	if v.Model != nil {
		v.Name = v.Model.Name
		if !v.Stale {
			outline = &v.Model.Outline
		}
	}
	v.Problems = draft.PlaceProblems(checked.Problems, outline)
	if e := d.Undoable(); e != nil {
		v.Undo = &e.Label
	}
	if e := d.Redoable(); e != nil {
		v.Redo = &e.Label
	}
	if d.Published && d.Dirty() {
		v.Changes = workflow.Diff([]byte(d.Base), []byte(d.Text))
	}
	if conflict {
		v.DiskChanged = &diskChange{Gone: file == nil, Text: string(file), Changes: workflow.Changes{}}
		if file != nil {
			v.DiskChanged.Version = engine.VersionOf(file)
			v.DiskChanged.Changes = workflow.Diff([]byte(d.Base), file)
		}
	}
	return v
}

// maxStale is how many revisions are looked at for one that can be read.
const maxStale = 20

func (s *Server) listDrafts(ctx context.Context, in *Paging) (*body[page[draftItem]], error) {
	drafts, err := s.drafts.List(ctx)
	if err != nil {
		return nil, err
	}
	items := make([]draftItem, 0, len(drafts))
	for _, d := range drafts {
		item := draftItem{ID: d.ID, Rev: d.Rev(), Name: d.ID, Published: d.Published, Dirty: d.Dirty(), ChangedAt: d.Changed.UTC(), By: d.By}
		if w := s.Folder.Check(d.ID, []byte(d.Text)).Workflow; w != nil {
			item.Name = w.Name
		}
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b draftItem) int { return strings.Compare(a.ID, b.ID) })
	return &body[page[draftItem]]{cut(items, *in, func(d draftItem) string { return d.ID })}, nil
}

func (s *Server) createDraft(ctx context.Context, in *struct {
	Body struct {
		ID       string `json:"id,omitempty" maxLength:"250" doc:"Of the new workflow; made from the name if left out."`
		Name     string `json:"name,omitempty" maxLength:"200" doc:"For people."`
		Text     string `json:"text,omitempty" maxLength:"262144" doc:"The YAML to begin with."`
		Template string `json:"template,omitempty" maxLength:"250" doc:"The id of a template to begin with."`
	}
},
) (*draftAnswer, error) {
	text, name := in.Body.Text, in.Body.Name
	switch {
	case in.Body.Template != "":
		template, ok := s.template(in.Body.Template)
		if !ok {
			return nil, fail(http.StatusUnprocessableEntity, "there is no template "+clip(in.Body.Template), "GET /api/v1/templates lists them").
				coded("template_not_found", "This template does not exist", "No draft was made.")
		}
		text = string(template)
	case text == "":
		if name == "" {
			name = "New workflow"
		}
		text = emptyWorkflow
	}
	if name != "" {
		if named, err := workflow.Edit([]byte(text), workflow.Put{Path: "name", Value: name}); err == nil {
			text = string(named)
		}
	}
	id := in.Body.ID
	if id == "" {
		if w := s.Folder.Check("workflow", []byte(text)).Workflow; w != nil && name == "" {
			name = w.Name
		}
		var err error
		if id, err = s.drafts.FreeID(ctx, name, s.exists); err != nil {
			return nil, err
		}
	} else if err := workflow.CheckID(id); err != nil {
		return nil, fail(http.StatusUnprocessableEntity, clip(id)+" cannot be the id of a workflow: "+err.Error(), "").
			coded("bad_id", "This cannot be the id of a workflow", "No draft was made.")
	}
	if _, err := s.drafts.Read(ctx, id); err == nil || s.exists(id) {
		return nil, fail(http.StatusConflict, "there is a workflow or a draft "+clip(id)+" already", "choose another id, or open that one").
			coded("id_taken", "This id is taken", "No draft was made.")
	} else if !errors.Is(err, draft.ErrNone) {
		return nil, err
	}
	d := draft.New(id, nil)
	d.Text, d.By, d.Changed, d.Number = text, s.actor(ctx), time.Now().UTC(), 1
	if err := s.saveDraft(ctx, d); err != nil {
		return nil, err
	}
	out, err := s.draftAnswer(ctx, d, nil, false)
	if err == nil {
		out.Status = http.StatusCreated
	}
	return out, err
}

// emptyWorkflow is what a new workflow begins as: a webhook at its own address, and nothing done yet.
const emptyWorkflow = "name: New workflow\ntriggers:\n  - webhook: {}\nsteps: []\n"

// exists reports whether a workflow has a file.
func (s *Server) exists(id string) bool {
	_, err := s.Folder.Read(id)
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// template is the text of a template.
func (s *Server) template(id string) ([]byte, bool) {
	for _, t := range s.Templates {
		if t.ID == id {
			return t.Text, true
		}
	}
	return nil, false
}

// templateItem is a workflow to begin with.
type templateItem struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Chain       []templateBlock `json:"chain" nullable:"false" doc:"Its triggers and steps, in order."`
	Text        string          `json:"text"`
}

type templateBlock struct {
	Kind  string `json:"kind"`
	Use   string `json:"use" doc:"connector.action of a step with use."`
	Title string `json:"title"`
}

func (s *Server) listTemplates(_ context.Context, in *Paging) (*body[page[templateItem]], error) {
	items := []templateItem{}
	for _, t := range s.Templates {
		item := templateItem{ID: t.ID, Name: t.ID, Text: string(t.Text), Chain: []templateBlock{}}
		checked := s.Folder.Check(t.ID, t.Text)
		if w := checked.Workflow; w != nil {
			item.Name, item.Description = w.Name, w.Description
		}
		model, err := draft.NewModel(t.ID, string(t.Text), checked.Workflow, nil, s.Connectors)
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", t.ID, err)
		}
		model.Each(func(e *workflow.OutlineEntry, _ workflow.Path, _ int) bool {
			item.Chain = append(item.Chain, templateBlock{e.Kind, e.TextOf("use"), model.Cards[string(e.Path)].Title})
			return true
		})
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b templateItem) int { return strings.Compare(a.ID, b.ID) })
	return &body[page[templateItem]]{cut(items, *in, func(t templateItem) string { return t.ID })}, nil
}

func (s *Server) readDraft(ctx context.Context, in *DraftID) (*draftAnswer, error) {
	d, file, conflict, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.draftAnswer(ctx, d, file, conflict)
}

func (s *Server) deleteDraft(ctx context.Context, in *struct {
	DraftID
	IfMatch
},
) (*struct{}, error) {
	d, _, _, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := match(d, in.IfMatch.IfMatch, false); err != nil {
		return nil, err
	}
	if err := s.drafts.Delete(ctx, d); err != nil {
		return nil, err
	}
	s.draftHooks.remove(d.ID)
	s.hub.publish(notice{kind: eventDraft, workflow: d.ID, status: s.actor(ctx)})
	return nil, nil
}

func (s *Server) editDraft(ctx context.Context, in *struct {
	DraftID
	IfMatch
	Body struct {
		Ops []draft.Op `json:"ops" minItems:"1" maxItems:"100" nullable:"false"`
	}
},
) (*draftAnswer, error) {
	return s.changeDraft(ctx, in.ID, in.IfMatch.IfMatch, true, func(d *draft.Draft, _ []byte) error {
		text, label, renames, err := draft.Apply(d.Text, in.Body.Ops)
		if err != nil {
			return editFailure(err)
		}
		d.Change(text, label, s.actor(ctx), time.Now().UTC(), renames...)
		return nil
	})
}

// editFailure is the answer to an edit that cannot be made.
func editFailure(err error) error {
	const unchanged = "The draft is as it was."
	if edit, ok := errors.AsType[*workflow.EditError](err); ok {
		return fail(http.StatusUnprocessableEntity, fmt.Sprintf("ops[%d] (%s): %s", edit.Op, edit.What, edit.Message), "").
			coded("edit_refused", "This change cannot be made", unchanged)
	}
	if problems := workflow.AsProblems(err); problems != nil {
		p := brokenText(problems)
		p.Hint = "mend the text first: PUT /api/v1/drafts/{id}/text, or undo"
		return p.coded("text_unreadable", "The text cannot be read, so the form cannot change it", unchanged, fix("Undo", "undo"))
	}
	return err
}

func (s *Server) writeDraftText(ctx context.Context, in *struct {
	DraftID
	IfMatch
	Body struct {
		Text string `json:"text" maxLength:"262144"`
	}
},
) (*draftAnswer, error) {
	return s.changeDraft(ctx, in.ID, in.IfMatch.IfMatch, true, func(d *draft.Draft, _ []byte) error {
		d.Change(in.Body.Text, draft.TextLabel, s.actor(ctx), time.Now().UTC())
		return nil
	})
}

func (s *Server) undoDraft(ctx context.Context, in *struct {
	DraftID
	IfMatch
},
) (*draftAnswer, error) {
	return s.changeDraft(ctx, in.ID, in.IfMatch.IfMatch, false, func(d *draft.Draft, _ []byte) error {
		if !d.Undo(s.actor(ctx), time.Now().UTC()) {
			return fail(http.StatusConflict, "there is nothing to undo", "").coded("nothing_to_undo", "There is nothing to undo", "Nothing was changed.")
		}
		return nil
	})
}

func (s *Server) redoDraft(ctx context.Context, in *struct {
	DraftID
	IfMatch
},
) (*draftAnswer, error) {
	return s.changeDraft(ctx, in.ID, in.IfMatch.IfMatch, false, func(d *draft.Draft, _ []byte) error {
		if !d.Redo(s.actor(ctx), time.Now().UTC()) {
			return fail(http.StatusConflict, "there is nothing to redo", "").coded("nothing_to_redo", "There is nothing to redo", "Nothing was changed.")
		}
		return nil
	})
}

func (s *Server) resolveDraft(ctx context.Context, in *struct {
	DraftID
	IfMatch
	Body struct {
		Use string `json:"use" enum:"mine,theirs" doc:"mine: the draft stays, and publishing replaces the file. theirs: the draft takes the text of the file; undo brings it back."`
	}
},
) (*draftAnswer, error) {
	return s.changeDraft(ctx, in.ID, in.IfMatch.IfMatch, true, func(d *draft.Draft, file []byte) error {
		if in.Body.Use == "theirs" && file == nil {
			return fail(http.StatusUnprocessableEntity, "the file is gone: there is no text to take", "discard the draft, or keep it and publish it anew").
				coded("file_gone", "The file is gone", "The draft is as it was.")
		}
		d.Rebase(file)
		if in.Body.Use == "theirs" {
			d.Change(string(file), draft.Label{Code: "edit.theirs", Text: "Use the text of the file"}, s.actor(ctx), time.Now().UTC())
		}
		d.Number++ // what it is compared with changed, if not the text
		return nil
	})
}

// published is the answer to a publish.
type published struct {
	Version  string    `json:"version" doc:"The one that is live now."`
	Previous string    `json:"previous" doc:"The one before; empty: there was none. PUT it back with undo."`
	Draft    draftView `json:"draft"`
}

func (s *Server) publishDraft(ctx context.Context, in *struct {
	DraftID
	IfMatch
	Body struct {
		Message string `json:"message,omitempty" maxLength:"2000" doc:"Why, for the history."`
		Enabled *bool  `json:"enabled,omitempty" doc:"Turns the workflow on or off with it; left out: as the text says."`
	}
},
) (*body[published], error) {
	d, file, conflict, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := match(d, in.IfMatch.IfMatch, false); err != nil {
		return nil, err
	}
	const unchanged = "Nothing was published. What runs is as it was."
	if conflict {
		return nil, changedOnDisk(d, file, unchanged)
	}
	text := []byte(d.Text)
	if in.Body.Enabled != nil {
		if text, err = workflow.SetEnabled(text, *in.Body.Enabled); err != nil {
			return nil, editFailure(err)
		}
	}
	checked := s.Folder.Check(d.ID, text)
	if !checked.Good() {
		p := brokenText(checked.Problems)
		p.Hint = "mend the draft and publish it again"
		return nil, p.coded("draft_has_problems", "This draft has problems", unchanged)
	}
	if checked.Workflow.Enabled {
		if reason := s.Triggers.Blocked(checked.Workflow); reason != "" {
			return nil, fail(http.StatusConflict, d.ID+" cannot be turned on: "+reason, "publish it with enabled: false, or mend that first").
				coded("blocked", "This workflow cannot be turned on yet", unchanged)
		}
		if err := s.Triggers.Subscribe(ctx, checked.Workflow); err != nil {
			return nil, fail(http.StatusConflict, d.ID+" cannot be turned on: "+err.Error(), "publish it with enabled: false, or mend that first").
				coded("blocked", "This workflow cannot be turned on yet", unchanged)
		}
	}
	previous := ""
	if file != nil {
		previous = engine.VersionOf(file)
	}
	version := engine.VersionOf(text)
	now := time.Now().UTC()
	s.Engine.Sign(d.ID, version, engine.Note{By: s.actor(ctx), Message: in.Body.Message})
	if _, err := s.write(ctx, d.ID, text, previous); errors.Is(err, folder.ErrChanged) {
		current, _ := s.Folder.Read(d.ID)
		return nil, changedOnDisk(d, current, unchanged)
	} else if err != nil {
		return nil, err
	}
	if err := s.followRenames(d); err != nil {
		return nil, fmt.Errorf("%s is live, but its tests could not follow: %w", d.ID, err)
	}
	if in.Body.Enabled != nil {
		word := map[bool]string{true: "Turn on", false: "Turn off"}[*in.Body.Enabled]
		d.Change(string(text), draft.Label{Code: "edit.enabled", Params: map[string]any{"enabled": *in.Body.Enabled}, Text: word}, s.actor(ctx), now)
	}
	d.Rebase(text)
	d.Number++
	if err := s.saveDraft(ctx, d); err != nil {
		return nil, fmt.Errorf("%s is live, but its draft could not be stored: %w", d.ID, err)
	}
	return &body[published]{published{version, previous, s.draftView(d, text, false)}}, nil
}

// followRenames makes the tests of a workflow call its steps and triggers as the draft does.
func (s *Server) followRenames(d *draft.Draft) error {
	renames := d.Renames()
	if len(renames) == 0 {
		return nil
	}
	before, err := s.Folder.ReadTest(d.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	tests := before
	for _, r := range renames {
		if tests, err = workflow.RenameInTests(tests, r.Trigger, r.Old, r.New); err != nil {
			return err
		}
	}
	if bytes.Equal(tests, before) {
		return nil
	}
	return s.Folder.WriteTest(d.ID, tests)
}

// changedOnDisk is the answer to a publish over a file that changed.
func changedOnDisk(d *draft.Draft, file []byte, effect string) *failure {
	p := fail(http.StatusConflict, "the file of "+d.ID+" changed on disk since the draft was made", "decide with POST /api/v1/drafts/{id}/resolve")
	if file != nil {
		p.Version, p.Text = engine.VersionOf(file), string(file)
	}
	return p.coded("file_changed", "The file changed on disk", effect, fix("See the difference", "diff"), fix("Use theirs", "resolve:theirs"), fix("Keep mine", "resolve:mine"))
}

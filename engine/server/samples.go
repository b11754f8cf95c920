package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/draft"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/trigger"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// SampleItem is an event that a draft can be tried on.
type SampleItem struct {
	ID      string    `json:"id" doc:"Of a kept sample, or delivery:<id>, or run:<id>."`
	Source  string    `json:"source" enum:"json,delivery,run,fetch"`
	Title   string    `json:"title" doc:"The first values of the event."`
	Trigger string    `json:"trigger" doc:"The id of the trigger."`
	At      time.Time `json:"at"`
	Pinned  bool      `json:"pinned" doc:"It is used where none is named."`
	Kept    bool      `json:"kept" doc:"It is stored with the draft; else it is there as long as the delivery or the run is."`
	Fields  int       `json:"fields" doc:"How many fields its body or item has."`
	Outcome string    `json:"outcome" doc:"Of a delivery, such as kept or refused; of a run its status."`
	Method  string    `json:"method" doc:"Of a delivery."`
	Reason  string    `json:"reason" doc:"Why a delivery was refused or kept."`
}

type sampleView struct {
	SampleItem
	Data map[string]any `json:"data" doc:"What expressions see: trigger, and steps where outputs are known."`
}

// SampleID is the path of a route about one sample.
type SampleID struct {
	DraftID
	Sample string `path:"sample" maxLength:"100"`
}

func (s *Server) sampleRoutes() {
	tags := []string{"drafts"}
	missing := []int{http.StatusNotFound}
	handle(s, huma.Operation{
		OperationID: "list-samples", Method: http.MethodGet, Path: "/api/v1/drafts/{id}/samples", Tags: tags,
		Summary: "Events to try a draft on, newest first", Description: "Those kept with the draft, the last deliveries of the workflow, and its last runs.", Errors: missing,
	}, s.listSamples)
	handle(s, huma.Operation{
		OperationID: "add-sample", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/samples", Tags: tags, Summary: "Keep an event with a draft",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.addSample)
	handle(s, huma.Operation{
		OperationID: "read-sample", Method: http.MethodGet, Path: "/api/v1/drafts/{id}/samples/{sample}", Tags: tags, Summary: "One event with its data", Errors: missing,
	}, s.readSample)
	handle(s, huma.Operation{
		OperationID: "delete-sample", Method: http.MethodDelete, Path: "/api/v1/drafts/{id}/samples/{sample}", Tags: tags, Summary: "Forget a kept event",
		DefaultStatus: http.StatusNoContent, Errors: missing,
	}, s.deleteSample)
	handle(s, huma.Operation{
		OperationID: "pin-sample", Method: http.MethodPut, Path: "/api/v1/drafts/{id}/samples/{sample}/pin", Tags: tags,
		Summary: "Use this event where none is named", Description: "A delivery or a run is kept with the draft first; the answer has its id.", Errors: missing,
	}, s.pinSample)
	handle(s, huma.Operation{
		OperationID: "send-sample", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/send_sample", Tags: tags,
		Summary: "Send an example to the webhook of a draft", Description: "The server posts it to the address itself, as another app would.",
		Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
	}, s.sendSample)
	handleWithin(s, tryTime, huma.Operation{
		OperationID: "fetch-sample", Method: http.MethodPost, Path: "/api/v1/drafts/{id}/fetch", Tags: tags,
		Summary:     "Ask once what a poll of a draft would read",
		Description: "The first items become events to try the draft on, in place of those of an earlier fetch. Nothing is remembered as seen, and nothing starts. The answer comes within 55 s.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
	}, s.fetchSample)
	handle(s, huma.Operation{
		OperationID: "draft-fields", Method: http.MethodGet, Path: "/api/v1/drafts/{id}/fields", Tags: tags,
		Summary: "The data that a step can use, with its values in an event", Errors: missing,
	}, s.fields)
}

const listedSamples = 10 // deliveries, and runs, that are offered

func (s *Server) listSamples(ctx context.Context, in *DraftID) (*body[page[SampleItem]], error) {
	if _, _, _, err := s.draft(ctx, in.ID); err != nil {
		return nil, err
	}
	items, err := s.samples(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &body[page[SampleItem]]{page[SampleItem]{Items: items}}, nil
}

// samples are all that a draft can be tried on, newest first.
func (s *Server) samples(ctx context.Context, id string) ([]SampleItem, error) {
	kept, err := s.drafts.Samples(ctx, id)
	if err != nil {
		return nil, err
	}
	items := []SampleItem{}
	for _, sample := range kept {
		item := newSampleItem(sample)
		item.Kept = true
		items = append(items, item)
	}
	deliveries, _, err := s.Engine.Store.Deliveries().List(ctx, engine.DeliveryQuery{Workflow: id, Limit: listedSamples})
	if err != nil {
		return nil, fmt.Errorf("deliveries of %s: %w", id, err)
	}
	known := map[engine.RunID]bool{}
	for i := range deliveries {
		d := &deliveries[i]
		known[d.Run] = true
		sample, err := s.sample(ctx, id, "delivery:"+d.ID.String())
		if err != nil {
			continue // its data is gone
		}
		item := newSampleItem(sample)
		item.Outcome, item.Method, item.Reason = d.Outcome, d.Method, d.Reason
		items = append(items, item)
	}
	runs, err := s.Engine.Store.List(ctx, engine.Query{Workflow: id, Limit: listedSamples})
	if err != nil {
		return nil, fmt.Errorf("runs of %s: %w", id, err)
	}
	for i := range runs.Items {
		if known[runs.Items[i].ID] || engine.TestMode(runs.Items[i].Trigger) != "" {
			continue
		}
		sample, err := s.sample(ctx, id, "run:"+runs.Items[i].ID.String())
		if err != nil {
			continue
		}
		item := newSampleItem(sample)
		item.Outcome = runs.Items[i].Status.String()
		items = append(items, item)
	}
	slices.SortStableFunc(items, func(a, b SampleItem) int { return b.At.Compare(a.At) })
	return items, nil
}

func newSampleItem(sample *draft.Sample) SampleItem {
	item := SampleItem{ID: sample.ID, Source: sample.Source, Title: sample.Label, At: sample.At.UTC(), Pinned: sample.Pinned}
	if item.Title == "" {
		item.Title = sample.Title()
	}
	item.Trigger, _ = sample.Trigger["id"].(string)
	for _, key := range []string{"body", "item"} {
		if object, ok := sample.Trigger[key].(map[string]any); ok {
			item.Fields = len(object)
		}
	}
	return item
}

func noSample(id string) *failure {
	return fail(http.StatusNotFound, "there is no sample "+clip(id), "GET /api/v1/drafts/{id}/samples lists them").
		coded("sample_not_found", "This event is not there any more", "Nothing was changed.", fix("Choose another event", "samples"))
}

// sample reads one event: a kept one, delivery:<id> or run:<id>.
func (s *Server) sample(ctx context.Context, draftID, id string) (*draft.Sample, error) {
	kind, of, ok := strings.Cut(id, ":")
	if !ok {
		sample, err := s.drafts.ReadSample(ctx, draftID, id)
		if errors.Is(err, draft.ErrNone) {
			return nil, noSample(id)
		}
		return sample, err
	}
	ref := &RunID{ID: of}
	run, err := ref.parse()
	if err != nil {
		return nil, noSample(id)
	}
	switch kind {
	case "delivery":
		view, err := s.readDelivery(ctx, ref)
		if err != nil || view.Body.Event == nil {
			return nil, noSample(id)
		}
		sample := &draft.Sample{ID: id, Source: kind, At: view.Body.At, Trigger: view.Body.Event}
		if view.Body.Run != "" && view.Body.Workflow == draftID {
			if started, err := (&RunID{ID: view.Body.Run}).parse(); err == nil {
				if _, steps, err := s.runData(ctx, started); err == nil {
					sample.Steps = steps
				}
			}
		}
		return sample, nil
	case "run":
		view, steps, err := s.runData(ctx, run)
		if err != nil {
			return nil, noSample(id)
		}
		event, _ := view.Trigger.(map[string]any)
		return &draft.Sample{ID: id, Source: kind, At: view.StartedAt, Trigger: event, Steps: steps}, nil
	}
	return nil, noSample(id)
}

// runData is a run with the outputs of its steps as expressions see them.
func (s *Server) runData(ctx context.Context, id engine.RunID) (*engine.RunView, map[string]any, error) {
	view, err := s.Engine.View(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	steps := map[string]any{}
	for i := range view.Steps {
		step := &view.Steps[i]
		if step.Output == nil {
			continue
		}
		if out, err := value.DecodeJSON(step.Output); err == nil {
			steps[step.ID] = out
		}
	}
	return view, steps, nil
}

// defaultSample is the pinned one, else the newest; nil: there is none.
func (s *Server) defaultSample(ctx context.Context, draftID string) (*draft.Sample, error) {
	kept, err := s.drafts.Samples(ctx, draftID)
	if err != nil {
		return nil, err
	}
	var newest *draft.Sample
	for _, sample := range kept {
		if sample.Pinned {
			return sample, nil
		}
		newest = sample // they are in the order of time
	}
	deliveries, _, err := s.Engine.Store.Deliveries().List(ctx, engine.DeliveryQuery{Workflow: draftID, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(deliveries) > 0 && (newest == nil || deliveries[0].At.After(newest.At)) {
		if sample, err := s.sample(ctx, draftID, "delivery:"+deliveries[0].ID.String()); err == nil {
			newest = sample
		}
	}
	runs, err := s.Engine.Store.List(ctx, engine.Query{Workflow: draftID, Limit: listedSamples})
	if err != nil {
		return nil, err
	}
	for i := range runs.Items {
		row := &runs.Items[i]
		if engine.TestMode(row.Trigger) != "" {
			continue
		}
		if newest == nil || row.Accepted.After(newest.At.Add(time.Second)) {
			if sample, err := s.sample(ctx, draftID, "run:"+row.ID.String()); err == nil {
				newest = sample
			}
		}
		break
	}
	return newest, nil
}

func (s *Server) addSample(ctx context.Context, in *struct {
	DraftID
	Body struct {
		JSON     json.RawMessage `json:"json,omitempty" doc:"What was sent: the body of a webhook, the item of a poll."`
		Run      string          `json:"run,omitempty" maxLength:"64" doc:"Exactly one of json, run and delivery is given."`
		Delivery string          `json:"delivery,omitempty" maxLength:"64"`
		Trigger  string          `json:"trigger,omitempty" maxLength:"200" doc:"json: the trigger that it comes from; the first if left out."`
		Title    string          `json:"title,omitempty" maxLength:"200"`
	}
},
) (*body[SampleItem], error) {
	d, _, _, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var sample *draft.Sample
	switch b := &in.Body; {
	case len(b.JSON) > 0 && b.Run == "" && b.Delivery == "":
		data, err := plain(b.JSON)
		if err != nil {
			return nil, err
		}
		sample, err = s.pasted(d, b.Trigger, data)
		if err != nil {
			return nil, err
		}
	case b.Run != "" && b.Delivery == "" && len(b.JSON) == 0:
		sample, err = s.sample(ctx, in.ID, "run:"+b.Run)
	case b.Delivery != "" && b.Run == "" && len(b.JSON) == 0:
		sample, err = s.sample(ctx, in.ID, "delivery:"+b.Delivery)
	default:
		err = fail(http.StatusUnprocessableEntity, "exactly one of json, run and delivery is needed", "")
	}
	if err != nil {
		return nil, err
	}
	sample.Label = in.Body.Title
	return s.keepSample(ctx, in.ID, sample)
}

func (s *Server) keepSample(ctx context.Context, id string, sample *draft.Sample) (*body[SampleItem], error) {
	if err := s.drafts.AddSample(ctx, id, sample); errors.Is(err, draft.ErrSampleLarge) {
		return nil, fail(http.StatusUnprocessableEntity, err.Error(), "send a smaller event").
			coded("sample_too_large", "This event is too large to keep", "The draft is as it was.")
	} else if err != nil {
		return nil, err
	}
	item := newSampleItem(sample)
	item.Kept = true
	return &body[SampleItem]{item}, nil
}

// pasted makes an event of the data of a trigger.
func (s *Server) pasted(d *draft.Draft, trigger string, data any) (*draft.Sample, error) {
	root := map[string]any{"id": "manual", "kind": engine.TriggerManual}
	w := s.Folder.Check(d.ID, []byte(d.Text)).Workflow
	if w != nil && len(w.Triggers) > 0 {
		t := w.Triggers[0]
		if trigger != "" {
			if t = w.Trigger(trigger); t == nil {
				return nil, fail(http.StatusUnprocessableEntity, "the draft has no trigger "+clip(trigger), "").coded("trigger_not_found", "This trigger does not exist", "Nothing was kept.")
			}
		}
		root["id"], root["kind"] = t.ID, t.Kind
		if t.Webhook != nil {
			root["headers"] = map[string]any{"content-type": "application/json"}
			root["query"], root["params"], root["method"], root["path"] = map[string]any{}, map[string]any{}, "POST", t.Webhook.Path
		}
	}
	now := time.Now().UTC()
	root["at"] = now.Format(time.RFC3339Nano)
	key := "body"
	if root["kind"] == engine.TriggerPoll {
		key = "item"
	}
	root[key] = data
	return &draft.Sample{Source: "json", At: now, Trigger: root}, nil
}

func (s *Server) readSample(ctx context.Context, in *SampleID) (*body[sampleView], error) {
	if _, _, _, err := s.draft(ctx, in.ID); err != nil {
		return nil, err
	}
	sample, err := s.sample(ctx, in.ID, in.Sample)
	if err != nil {
		return nil, err
	}
	out := sampleView{SampleItem: newSampleItem(sample), Data: map[string]any{"trigger": sample.Trigger}}
	out.Kept = !strings.Contains(in.Sample, ":")
	if sample.Steps != nil {
		out.Data["steps"] = sample.Steps
	}
	return &body[sampleView]{out}, nil
}

func (s *Server) deleteSample(ctx context.Context, in *SampleID) (*struct{}, error) {
	if _, _, _, err := s.draft(ctx, in.ID); err != nil {
		return nil, err
	}
	err := s.drafts.DeleteSample(ctx, in.ID, in.Sample)
	if errors.Is(err, draft.ErrNone) {
		return nil, noSample(in.Sample)
	}
	return nil, err
}

func (s *Server) pinSample(ctx context.Context, in *struct {
	SampleID
	Body struct {
		Pinned bool `json:"pinned"`
	}
},
) (*body[SampleItem], error) {
	if _, _, _, err := s.draft(ctx, in.ID); err != nil {
		return nil, err
	}
	sample, err := s.sample(ctx, in.ID, in.Sample)
	if err != nil {
		return nil, err
	}
	if strings.Contains(in.Sample, ":") {
		if _, err := s.keepSample(ctx, in.ID, sample); err != nil {
			return nil, err
		}
	}
	if err := s.drafts.Pin(ctx, in.ID, sample.ID, in.Body.Pinned); err != nil {
		return nil, err
	}
	sample.Pinned = in.Body.Pinned
	item := newSampleItem(sample)
	item.Kept = true
	return &body[SampleItem]{item}, nil
}

// fetchedSample is what a poll of a draft would read.
type fetchedSample struct {
	Items   int               `json:"items" doc:"In the list, where there is one."`
	Keys    int               `json:"keys" doc:"Different keys that they have. Fewer than items: some could not be told from others."`
	Problem string            `json:"problem" doc:"Why no run could start for them; empty: it could."`
	Lists   []draft.FoundList `json:"lists" nullable:"false" doc:"The lists of the answer, for items. A poll that a connector defines has none."`
	Fields  []string          `json:"fields" nullable:"false" doc:"Expressions that have another value for each item, for key."`
	Sample  string            `json:"sample" doc:"The event of the first item; empty: there is no item."`
}

// fetchedEvents is how many items of one fetch become events.
const fetchedEvents = 3

func (s *Server) fetchSample(ctx context.Context, in *struct {
	DraftID
	Body struct {
		Trigger string `json:"trigger" minLength:"1" maxLength:"200"`
	}
},
) (*body[fetchedSample], error) {
	d, _, _, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	const unasked = "Nothing was asked for."
	checked := s.Folder.Check(d.ID, []byte(d.Text))
	var t *workflow.Trigger
	if checked.Workflow != nil {
		t = checked.Workflow.Trigger(in.Body.Trigger)
	}
	if t == nil {
		return nil, fail(http.StatusNotFound, "the draft has no trigger "+clip(in.Body.Trigger), "").coded("trigger_not_found", "This trigger does not exist", unasked)
	}
	if p := triggerProblem(d, checked, t); p != nil {
		return nil, p.coded("trigger_has_problems", "This trigger is not ready yet", unasked)
	}
	found, err := s.Triggers.Fetch(ctx, checked.Workflow, t.ID)
	if errors.Is(err, trigger.ErrBusy) {
		return nil, fail(http.StatusConflict, "the other side did not answer in time", "try again").coded("fetch_slow", "The other side takes too long", "Nothing was remembered.")
	} else if err != nil {
		return nil, err
	}
	out := fetchedSample{Items: len(found.Items), Keys: found.Keys, Problem: found.Problem, Lists: draft.ListsIn(found.Output), Fields: draft.KeysOf(found.Items)}
	if t.Poll == nil {
		out.Fields = []string{}
	}
	if len(found.Items) == 0 {
		return &body[fetchedSample]{out}, nil
	}
	kept, err := s.drafts.Samples(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	for _, sample := range kept {
		if sample.Source == "fetch" && !sample.Pinned {
			if err := s.drafts.DeleteSample(ctx, d.ID, sample.ID); err != nil && !errors.Is(err, draft.ErrNone) {
				return nil, err
			}
		}
	}
	for _, event := range slices.Backward(s.eventsOf(t, found.Items)) {
		item, err := s.keepSample(ctx, d.ID, &draft.Sample{Source: "fetch", At: time.Now().UTC(), Trigger: event})
		if err != nil {
			return nil, err
		}
		out.Sample = item.Body.ID
	}
	return &body[fetchedSample]{out}, nil
}

// triggerProblem is what is wrong with one trigger of a draft; nil: it can be asked, whatever else is wrong.
func triggerProblem(d *draft.Draft, checked folder.File, t *workflow.Trigger) *failure {
	outline, err := workflow.ReadOutline([]byte(d.Text))
	if err != nil {
		return brokenText(checked.Problems)
	}
	at := fmt.Sprintf("triggers[%d]", slices.Index(checked.Workflow.Triggers, t))
	named := "triggers." + t.ID
	var mine workflow.Problems
	for _, p := range draft.PlaceProblems(checked.Problems, outline) {
		if !p.Warning && (strings.HasPrefix(p.Path, at) || p.Path == named || strings.HasPrefix(p.Path, named+".")) {
			mine = append(mine, p.Problem)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	return brokenText(mine)
}

// eventsOf are the events that the first items start, with secrets masked.
func (s *Server) eventsOf(t *workflow.Trigger, items []any) []map[string]any {
	masked := []any{}
	for _, item := range items[:min(len(items), fetchedEvents)] {
		if text, err := value.AppendJSON(nil, item); err == nil {
			if plain, err := value.DecodeJSON(s.Engine.Redact(text)); err == nil {
				masked = append(masked, plain)
			}
		}
	}
	event := func(key string, v any) map[string]any {
		return map[string]any{"id": t.ID, "kind": engine.TriggerPoll, "at": time.Now().UTC().Format(time.RFC3339Nano), key: v}
	}
	if t.Poll != nil && t.Poll.Emit == "batch" {
		return []map[string]any{event("items", masked)}
	}
	key := "item"
	if t.Poll == nil {
		key = "body"
	}
	events := []map[string]any{}
	for _, item := range masked {
		events = append(events, event(key, item))
	}
	return events
}

// exampleBody is what is sent for somebody who has nothing to send yet.
var exampleBody = []byte(`{"name":"Ada Lovelace","email":"ada@example.com","message":"Hello from Bellhop","amount":240,"kind":"order"}`)

// sentSample is what became of an example that the server sent.
type sentSample struct {
	Status  int    `json:"status" doc:"HTTP status of the answer."`
	Answer  string `json:"answer" doc:"The answer itself."`
	Sample  string `json:"sample" doc:"The sample that it can be used as; empty when it was refused."`
	Address string `json:"address"`
}

func (s *Server) sendSample(ctx context.Context, in *struct {
	DraftID
	Body struct {
		Trigger string          `json:"trigger,omitempty" maxLength:"200" doc:"The webhook; the first if left out."`
		JSON    json.RawMessage `json:"json,omitempty" doc:"The body; an example if left out."`
	}
},
) (*body[sentSample], error) {
	d, _, _, err := s.draft(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	const unsent = "Nothing was sent."
	w := s.Folder.Check(d.ID, []byte(d.Text)).Workflow
	var hook *workflow.Trigger
	if w != nil {
		for _, t := range w.Triggers {
			if t.Webhook != nil && (in.Body.Trigger == "" && hook == nil || t.ID == in.Body.Trigger) {
				hook = t
			}
		}
	}
	if hook == nil {
		return nil, fail(http.StatusUnprocessableEntity, "the draft has no such webhook", "").coded("trigger_not_found", "There is no webhook to send to", unsent)
	}
	if !d.Stored() && !s.exists(d.ID) {
		return nil, noDraft(d.ID)
	}
	path := hook.Webhook.Path
	if strings.Contains(path, "{") {
		return nil, fail(http.StatusUnprocessableEntity, "the path has parameters, which an example cannot know", "send it yourself").
			coded("path_parameters", "The address has open parts", unsent)
	}
	data := []byte(in.Body.JSON)
	if len(data) == 0 {
		data = exampleBody
	}
	method := http.MethodPost
	if len(hook.Webhook.Methods) > 0 && !slices.Contains(hook.Webhook.Methods, method) {
		method = hook.Webhook.Methods[0]
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost/hooks/"+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Bellhop sample")
	r.RemoteAddr, r.RequestURI = "127.0.0.1:0", "/hooks/"+path
	answer := &recorder{header: http.Header{}, status: http.StatusOK}
	sent := time.Now()
	s.Hooks.ServeHTTP(answer, r)
	out := sentSample{Status: answer.status, Answer: answer.body.String(), Address: "/hooks/" + path}
	if answer.status < 300 {
		deliveries, _, err := s.Engine.Store.Deliveries().List(ctx, engine.DeliveryQuery{Workflow: d.ID, Since: sent, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(deliveries) > 0 {
			out.Sample = "delivery:" + deliveries[0].ID.String()
		}
	}
	return &body[sentSample]{out}, nil
}

// recorder takes down what a handler answers.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is part of http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader is part of http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write is part of http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// fieldsView is the data panel of a step.
type fieldsView struct {
	Sample *SampleItem    `json:"sample,omitempty" doc:"The event that the values are from; left out: there is none, and the values are examples."`
	Groups []*draft.Group `json:"groups" nullable:"false" doc:"By trigger and step, the nearest first."`
}

func (s *Server) fields(ctx context.Context, in *struct {
	DraftID
	Step   string `query:"step" maxLength:"200" doc:"The id of the step in runs (run_id of the model); empty: behind the last one."`
	Sample string `query:"sample" maxLength:"100" doc:"The event; empty: the pinned one, else the newest."`
},
) (*body[fieldsView], error) {
	scene, sample, err := s.scene(ctx, in.ID, in.Sample, in.Step)
	if err != nil {
		return nil, err
	}
	out := fieldsView{Groups: scene.Groups}
	if sample != nil {
		item := newSampleItem(sample)
		item.Kept = !strings.Contains(sample.ID, ":")
		out.Sample = &item
	}
	return &body[fieldsView]{out}, nil
}

// scene makes the data that expressions of a step would see. Typing asks for the same one again and again, so the last
// few are kept.
func (s *Server) scene(ctx context.Context, draftID, sampleID, step string) (*draft.Scene, *draft.Sample, error) {
	d, _, _, err := s.draft(ctx, draftID)
	if err != nil {
		return nil, nil, err
	}
	var sample *draft.Sample
	if sampleID == "" {
		sample, err = s.defaultSample(ctx, draftID)
	} else {
		sample, err = s.sample(ctx, draftID, sampleID)
	}
	if err != nil {
		return nil, nil, err
	}
	results, err := s.drafts.Results(ctx, draftID)
	if err != nil {
		return nil, nil, err
	}
	key := sceneKey{draft: draftID, rev: d.Rev(), step: step}
	if sample != nil {
		key.sample = sample.ID
	}
	for _, r := range results {
		if r.At.After(key.results) {
			key.results = r.At
		}
	}
	if scene := s.scenes.find(key); scene != nil {
		return scene, sample, nil
	}
	w := s.lastReadable(d)
	if w == nil {
		w = &workflow.Workflow{ID: d.ID}
	}
	scene := draft.SceneOf(ctx, w, s.Connectors, sample, results, step, s.Engine.Zone)
	s.scenes.keep(key, scene)
	return scene, sample, nil
}

// lastReadable is the workflow of the newest revision that can be read; nil: there is none.
func (s *Server) lastReadable(d *draft.Draft) *workflow.Workflow {
	w := s.Folder.Check(d.ID, []byte(d.Text)).Workflow
	if w == nil {
		d.Before(maxStale, func(text string) bool {
			w = s.Folder.Check(d.ID, []byte(text)).Workflow
			return w == nil
		})
	}
	return w
}

type sceneKey struct {
	draft, rev, step, sample string
	results                  time.Time
}

// scenes are the last few scenes that were made.
type scenes struct {
	mu   sync.Mutex
	all  map[sceneKey]*draft.Scene
	keys []sceneKey
}

const maxScenes = 16

func (c *scenes) find(key sceneKey) *draft.Scene {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[key]
}

func (c *scenes) keep(key sceneKey, scene *draft.Scene) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[sceneKey]*draft.Scene{}
	}
	if c.all[key] == nil {
		c.keys = append(c.keys, key)
	}
	c.all[key] = scene
	if len(c.keys) > maxScenes {
		delete(c.all, c.keys[0])
		c.keys = c.keys[1:]
	}
}

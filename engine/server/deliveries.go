package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/rehearsal"
)

// DeliveryItem is one inbound call as it was answered.
type DeliveryItem struct {
	ID       string    `json:"id"`
	Workflow string    `json:"workflow"`
	Trigger  string    `json:"trigger"`
	Outcome  string    `json:"outcome" enum:"accepted,duplicate,handshake,kept,dropped,refused,failed"`
	Status   int       `json:"status" doc:"HTTP status of the answer."`
	Reason   string    `json:"reason" doc:"Why it was refused, kept or dropped."`
	Run      string    `json:"run" doc:"The run that it started; empty: none."`
	At       time.Time `json:"at"`
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Remote   string    `json:"remote"`
	Size     int       `json:"size" doc:"Bytes of its body."`
	ResendOf string    `json:"resend_of,omitempty" doc:"The delivery whose event it starts again."`
	ResentAs string    `json:"resent_as,omitempty" doc:"The last delivery that started its event again."`
}

// deliveryPage is one page of deliveries.
type deliveryPage struct {
	Items   []DeliveryItem `json:"items" nullable:"false"`
	Next    string         `json:"next" doc:"Cursor of the next page; empty at the end."`
	Scanned int            `json:"scanned,omitempty" doc:"With q: how many deliveries were looked at for this page."`
	Partial bool           `json:"partial,omitempty" doc:"With q: the search stopped at its bound in time; next goes on."`
}

// deliveryView is one delivery with what came.
type deliveryView struct {
	DeliveryItem
	Event     map[string]any `json:"event,omitempty" doc:"What expressions see as trigger. Headers and parameters that hold secrets are masked."`
	Body      *string        `json:"body,omitempty" doc:"The body as it was received, at most 64 KiB of it, without secrets that are known here; the rest is at /body."`
	Truncated bool           `json:"body_truncated,omitempty"`
	Binary    bool           `json:"body_binary,omitempty" doc:"The body is no text; what is none of it stands as U+FFFD."`
}

const maxShownBody = 64 << 10 // bytes

func newDeliveryItem(d *engine.Delivery) DeliveryItem {
	item := DeliveryItem{
		ID: d.ID.String(), Workflow: d.Workflow, Trigger: d.Trigger, Outcome: d.Outcome, Status: d.Status, Reason: d.Reason,
		At: d.At.UTC(), Method: d.Method, Path: d.Path, Remote: d.Remote, Size: d.Size,
	}
	if !d.Run.IsZero() {
		item.Run = d.Run.String()
	}
	if !d.ResendOf.IsZero() {
		item.ResendOf = d.ResendOf.String()
	}
	if !d.ResentAs.IsZero() {
		item.ResentAs = d.ResentAs.String()
	}
	return item
}

func (s *Server) deliveryRoutes() {
	tags := []string{"deliveries"}
	handle(s, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: "/api/v1/deliveries", Tags: tags, Summary: "List inbound calls, newest first",
	}, s.listDeliveries)
	handle(s, huma.Operation{
		OperationID: "read-delivery", Method: http.MethodGet, Path: "/api/v1/deliveries/{id}", Tags: tags, Summary: "One inbound call with its data",
		Errors: []int{http.StatusNotFound},
	}, s.readDelivery)
	handle(s, huma.Operation{
		OperationID: "read-delivery-body", Method: http.MethodGet, Path: "/api/v1/deliveries/{id}/body", Tags: tags, Summary: "The body of an inbound call, as it was received",
		Description: "Secrets that are known here are taken out.",
		Errors:      []int{http.StatusNotFound},
	}, s.readDeliveryBody)
	handle(s, huma.Operation{
		OperationID: "resend-delivery", Method: http.MethodPost, Path: "/api/v1/deliveries/{id}/resend", Tags: tags, Summary: "Start a run with the data of an inbound call",
		Description:   "It is a delivery of its own, which names this one. The signature is not checked again, and an event that was processed is processed once more.",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusTooManyRequests},
	}, s.resend)
	handleWithin(s, longTimeout, huma.Operation{
		OperationID: "resend-deliveries", Method: http.MethodPost, Path: "/api/v1/deliveries/resend", Tags: tags, Summary: "Start runs with the data of many inbound calls, the oldest first",
		Description: "Those of `ids`, or those that `filter` selects. A filter leaves out what was sent again already, so the same call repeated goes on with the rest, and what was refused, unless it names that outcome.",
		Errors:      []int{http.StatusBadRequest},
	}, s.resendMany)
}

// DeliveryFilter selects deliveries.
type DeliveryFilter struct {
	Workflow string    `query:"workflow" json:"workflow,omitempty" maxLength:"512"`
	Outcome  string    `query:"outcome" json:"outcome,omitempty" enum:"accepted,duplicate,handshake,kept,dropped,refused,failed"`
	Text     string    `query:"q" json:"q,omitempty" maxLength:"200" doc:"Matches in path, sender, reason, ids and data, without regard to case."`
	Since    time.Time `query:"since" json:"since,omitzero"`
	Until    time.Time `query:"until" json:"until,omitzero"`
}

func (s *Server) listDeliveries(ctx context.Context, in *struct {
	Paging
	DeliveryFilter
},
) (*body[deliveryPage], error) {
	list, out, err := s.findDeliveries(ctx, in.DeliveryFilter, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out.Items = make([]DeliveryItem, 0, len(list))
	for i := range list {
		out.Items = append(out.Items, newDeliveryItem(&list[i]))
	}
	return &body[deliveryPage]{out}, nil
}

// Bounds of one search: what it looks at before it says how far it came.
const (
	maxSearched = 5000
	searchTime  = 300 * time.Millisecond
)

// findDeliveries lists deliveries. A search reads the data of each, so it stops at its bounds, and the page says so.
func (s *Server) findDeliveries(ctx context.Context, f DeliveryFilter, cursor string, limit int) (list []engine.Delivery, page deliveryPage, err error) {
	store := s.Engine.Store.Deliveries()
	q := engine.DeliveryQuery{Workflow: f.Workflow, Outcome: f.Outcome, Since: f.Since, Until: f.Until, Cursor: cursor, Limit: limit}
	if f.Text == "" {
		list, page.Next, err = store.List(ctx, q)
		if err != nil {
			return nil, page, fmt.Errorf("list deliveries: %w", err)
		}
		return list, page, nil
	}
	text, begun := strings.ToLower(f.Text), time.Now()
	for q.Limit = 200; ; {
		some, next, err := store.List(ctx, q)
		if err != nil {
			return nil, page, fmt.Errorf("list deliveries: %w", err)
		}
		for i := range some {
			full := len(list) == limit
			if full || page.Scanned == maxSearched || time.Since(begun) > searchTime && page.Scanned > 0 {
				page.Partial = !full
				page.Next = q.Cursor
				return list, page, nil
			}
			page.Scanned++
			q.Cursor = some[i].ID.String() // the store goes on behind it
			if holds, err := s.deliveryHolds(ctx, &some[i], text); err != nil {
				return nil, page, err
			} else if holds {
				list = append(list, some[i])
			}
		}
		if next == "" {
			return list, page, nil
		}
		q.Cursor = next
	}
}

// deliveryHolds reports whether a delivery holds a text, which is in lower case.
func (s *Server) deliveryHolds(ctx context.Context, d *engine.Delivery, text string) (bool, error) {
	item := newDeliveryItem(d)
	if strings.Contains(strings.ToLower(strings.Join([]string{item.Path, item.Remote, item.Reason, item.ID, item.Run}, "\n")), text) {
		return true, nil
	}
	full, err := s.Engine.Store.Deliveries().Read(ctx, d.ID)
	if errors.Is(err, engine.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("data of delivery %s: %w", item.ID, err)
	}
	ev, err := s.Engine.EventOf(ctx, &full)
	if err != nil {
		return false, fmt.Errorf("data of delivery %s: %w", item.ID, err)
	}
	if ev == nil {
		return false, nil
	}
	fields, err := json.Marshal(ev.Fields)
	if err != nil {
		return false, fmt.Errorf("data of delivery %s: %w", item.ID, err)
	}
	return strings.Contains(strings.ToLower(string(ev.Raw)), text) || strings.Contains(strings.ToLower(string(fields)), text), nil
}

func noDelivery(id string) *failure {
	return fail(http.StatusNotFound, "there is no delivery "+clip(id), "the oldest ones are dropped first; GET /api/v1/deliveries lists those that are there")
}

// delivery reads one delivery, and what it brought unless that is gone.
func (s *Server) delivery(ctx context.Context, in *RunID) (engine.Delivery, *engine.Event, error) {
	id, err := in.parse()
	if err != nil {
		return engine.Delivery{}, nil, noDelivery(in.ID)
	}
	d, err := s.Engine.Store.Deliveries().Read(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return d, nil, noDelivery(in.ID)
	} else if err != nil {
		return d, nil, err
	}
	ev, err := s.Engine.EventOf(ctx, &d)
	if err != nil {
		return d, nil, fmt.Errorf("data of delivery %s: %w", in.ID, err)
	}
	return d, ev, nil
}

func (s *Server) readDelivery(ctx context.Context, in *RunID) (*body[deliveryView], error) {
	d, ev, err := s.delivery(ctx, in)
	if err != nil {
		return nil, err
	}
	out := deliveryView{DeliveryItem: newDeliveryItem(&d)}
	if ev == nil {
		return &body[deliveryView]{out}, nil
	}
	if raw := s.Engine.Redact(ev.Raw); ev.Raw != nil {
		if out.Truncated = len(raw) > maxShownBody; out.Truncated {
			raw = raw[:maxShownBody]
		}
		text := strings.ToValidUTF8(string(raw), "\uFFFD")
		out.Body, out.Binary = &text, !utf8.Valid(ev.Raw)
	}
	if out.Event, err = ev.Root(false); err != nil { // a refused body need not be JSON
		out.Event = maps.Clone(ev.Fields)
		if out.Event == nil {
			out.Event = map[string]any{}
		}
		out.Event["raw"] = string(s.Engine.Redact(ev.Raw))
	}
	for _, part := range []string{"headers", "query"} {
		if v, ok := out.Event[part]; ok {
			out.Event[part] = rehearsal.WithoutSecrets(v)
		}
	}
	return &body[deliveryView]{out}, nil
}

// download is a body that a browser saves and does not show.
type download struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	NoSniff     string `header:"X-Content-Type-Options"`
	Body        []byte
}

func (s *Server) readDeliveryBody(ctx context.Context, in *RunID) (*download, error) {
	d, ev, err := s.delivery(ctx, in)
	if err != nil {
		return nil, err
	}
	if ev == nil || ev.Raw == nil {
		return nil, fail(http.StatusNotFound, "delivery "+in.ID+" has no body, or its run is gone and took it along", "")
	}
	return &download{"application/octet-stream", `attachment; filename="` + d.ID.String() + `.body"`, "nosniff", s.Engine.Redact(ev.Raw)}, nil
}

// resent is the answer to a resend.
type resent struct {
	ID       string `json:"id" doc:"The run."`
	Delivery string `json:"delivery" doc:"The new delivery."`
	Note     string `json:"note" example:"The signature was not checked again."`
}

const resendNote = "The signature was not checked again. What the event does may happen twice."

func (s *Server) resend(ctx context.Context, in *RunID) (*body[resent], error) {
	id, err := in.parse()
	if err != nil {
		return nil, noDelivery(in.ID)
	}
	made, err := s.Engine.Resend(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, noDelivery(in.ID)
	} else if err != nil {
		return nil, fmt.Errorf("resend %s: %w", in.ID, err)
	}
	return &body[resent]{resent{made.String(), made.String(), resendNote}}, nil
}

// maxResend bounds the deliveries of one call.
const maxResend = 500

// resentMany is the answer to a resend of many deliveries.
type resentMany struct {
	Matched int          `json:"matched" doc:"Deliveries that are sent again."`
	More    bool         `json:"more" doc:"There are more of them: repeat the call."`
	Dry     bool         `json:"dry,omitempty" doc:"Nothing was sent."`
	Items   []resentItem `json:"items" nullable:"false"`
	Failed  int          `json:"failed"`
	Note    string       `json:"note"`
}

type resentItem struct {
	Delivery string `json:"delivery"`
	Run      string `json:"run,omitempty"`
	Error    string `json:"error,omitempty"`
}

func (s *Server) resendMany(ctx context.Context, in *struct {
	Body struct {
		IDs    []string        `json:"ids,omitempty" maxItems:"500"`
		Filter *DeliveryFilter `json:"filter,omitempty"`
		Dry    bool            `json:"dry,omitempty" doc:"Only say which."`
	}
},
) (*body[resentMany], error) {
	out := resentMany{Items: []resentItem{}, Dry: in.Body.Dry, Note: resendNote}
	var ids []engine.RunID
	switch f := in.Body.Filter; {
	case (f == nil) == (len(in.Body.IDs) == 0):
		return nil, fail(http.StatusBadRequest, "say which deliveries: either ids or filter", "")
	case f != nil && *f == (DeliveryFilter{}):
		return nil, fail(http.StatusBadRequest, "the filter is empty: every event there ever was would be processed again", "name at least a workflow or an outcome, such as kept")
	case f != nil:
		var err error
		if ids, out.More, err = s.unsent(ctx, *f); err != nil {
			return nil, err
		}
	}
	for _, text := range in.Body.IDs {
		id, err := engine.ParseRunID(text)
		if err != nil {
			return nil, noDelivery(text)
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b engine.RunID) int { return slices.Compare(a[:], b[:]) }) // by time
	for _, id := range slices.Compact(ids) {
		item := resentItem{Delivery: id.String()}
		if !in.Body.Dry {
			made, err := s.Engine.Resend(ctx, id)
			var full *engine.FullError
			var input *engine.InputError
			switch {
			case err == nil:
				item.Run = made.String()
			case errors.As(err, &full), ctx.Err() != nil:
				out.More = true // what is left is for the next call
				return &body[resentMany]{out}, nil
			case errors.As(err, &input):
				item.Error = input.Message
			case errors.Is(err, engine.ErrNotFound):
				item.Error = "there is no such delivery, or its workflow is gone"
			default:
				return nil, fmt.Errorf("resend %s: %w", id, err)
			}
		}
		if out.Matched++; item.Error != "" {
			out.Failed++
		}
		out.Items = append(out.Items, item)
	}
	return &body[resentMany]{out}, nil
}

// unsent finds the newest deliveries of a filter that brought an event and were not sent again.
func (s *Server) unsent(ctx context.Context, f DeliveryFilter) (ids []engine.RunID, more bool, err error) {
	for cursor := ""; ; {
		list, page, err := s.findDeliveries(ctx, f, cursor, 200)
		if err != nil {
			return nil, false, err
		}
		for i := range list {
			d := &list[i]
			if !d.ResentAs.IsZero() || !d.ResendOf.IsZero() || d.Outcome == engine.DeliveryHandshake || d.Outcome == engine.DeliveryRefused && f.Outcome == "" {
				continue
			}
			if len(ids) == maxResend {
				return ids, true, nil
			}
			ids = append(ids, d.ID)
		}
		if cursor = page.Next; cursor == "" {
			return ids, false, nil
		}
	}
}

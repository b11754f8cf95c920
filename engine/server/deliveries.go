package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/engine"
)

// DeliveryItem is one inbound call as it was answered.
type DeliveryItem struct {
	ID       string    `json:"id"`
	Workflow string    `json:"workflow"`
	Trigger  string    `json:"trigger"`
	Outcome  string    `json:"outcome" enum:"accepted,duplicate,kept,dropped,refused,failed"`
	Status   int       `json:"status" doc:"HTTP status of the answer."`
	Reason   string    `json:"reason" doc:"Why it was refused, kept or dropped."`
	Run      string    `json:"run" doc:"The run that it started; empty: none."`
	At       time.Time `json:"at"`
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Remote   string    `json:"remote"`
	Size     int       `json:"size" doc:"Bytes of its body."`
}

// deliveryView is one delivery with what came.
type deliveryView struct {
	DeliveryItem
	Event map[string]any `json:"event,omitempty" doc:"What expressions see as trigger."`
}

func newDeliveryItem(d *engine.Delivery) DeliveryItem {
	item := DeliveryItem{
		ID: d.ID.String(), Workflow: d.Workflow, Trigger: d.Trigger, Outcome: d.Outcome, Status: d.Status, Reason: d.Reason,
		At: d.At.UTC(), Method: d.Method, Path: d.Path, Remote: d.Remote, Size: d.Size,
	}
	if !d.Run.IsZero() {
		item.Run = d.Run.String()
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
		OperationID: "resend-delivery", Method: http.MethodPost, Path: "/api/v1/deliveries/{id}/resend", Tags: tags, Summary: "Start a run with the data of an inbound call",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusTooManyRequests},
	}, s.resend)
}

func (s *Server) listDeliveries(ctx context.Context, in *struct {
	Paging
	Workflow string    `query:"workflow" maxLength:"512"`
	Outcome  string    `query:"outcome" enum:"accepted,duplicate,kept,dropped,refused,failed"`
	Since    time.Time `query:"since"`
	Until    time.Time `query:"until"`
},
) (*body[page[DeliveryItem]], error) {
	list, next, err := s.Engine.Store.Deliveries().List(ctx, engine.DeliveryQuery{
		Workflow: in.Workflow, Outcome: in.Outcome, Since: in.Since, Until: in.Until, Cursor: in.Cursor, Limit: in.Limit,
	})
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	out := page[DeliveryItem]{Items: make([]DeliveryItem, 0, len(list)), Next: next}
	for i := range list {
		out.Items = append(out.Items, newDeliveryItem(&list[i]))
	}
	return &body[page[DeliveryItem]]{out}, nil
}

func noDelivery(id string) *failure {
	return fail(http.StatusNotFound, "there is no delivery "+clip(id), "the oldest ones are dropped first; GET /api/v1/deliveries lists those that are there")
}

func (s *Server) readDelivery(ctx context.Context, in *RunID) (*body[deliveryView], error) {
	id, err := in.parse()
	if err != nil {
		return nil, noDelivery(in.ID)
	}
	d, err := s.Engine.Store.Deliveries().Read(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, noDelivery(in.ID)
	} else if err != nil {
		return nil, err
	}
	out := deliveryView{DeliveryItem: newDeliveryItem(&d)}
	data := d.Data
	if len(data) == 0 && !d.Run.IsZero() {
		// A run that was pruned in the meantime took the data with it.
		recs, err := s.Engine.Store.Read(ctx, d.Run, 0)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return nil, fmt.Errorf("data of delivery %s: %w", in.ID, err)
		}
		if len(recs) > 0 {
			data = recs[0].Data
		}
	}
	if len(data) > 0 {
		event, err := engine.DecodeEvent(data)
		if err != nil {
			return nil, fmt.Errorf("data of delivery %s: %w", in.ID, err)
		}
		if out.Event, err = event.Root(false); err != nil {
			out.Event = map[string]any{"raw": string(event.Raw)} // a refused body need not be JSON
		}
	}
	return &body[deliveryView]{out}, nil
}

func (s *Server) resend(ctx context.Context, in *RunID) (*body[started], error) {
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
	return &body[started]{started{made.String()}}, nil
}

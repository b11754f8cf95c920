package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bellhop-dev/bellhop/engine/trigger"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Triggers is the part of the triggers that the API shows and changes. A trigger that there is not is
// engine.ErrNotFound, one without a cursor an engine.InputError, and a poll that takes too long trigger.ErrBusy.
type Triggers interface {
	// Blocked says why the workflow cannot be enabled, such as a missing secret; empty: it can.
	Blocked(w *workflow.Workflow) string
	// Subscribe registers at the providers what the workflow listens to. It is done before the workflow is enabled.
	Subscribe(ctx context.Context, w *workflow.Workflow) error
	// State shows one trigger of a current workflow.
	State(ctx context.Context, workflow, trigger string) (trigger.State, error)
	// Keys lists what a poll remembers, the latest change first.
	Keys(ctx context.Context, workflow, trigger string, q trigger.SeenQuery) (page []trigger.SeenKey, next string, err error)
	// PollNow makes a poll at once; one that failed is no error.
	PollNow(ctx context.Context, workflow, trigger string) (trigger.PollRecord, error)
	// DryPoll says what a poll would start now, and changes nothing.
	DryPoll(ctx context.Context, workflow, trigger string) (*trigger.DryPoll, error)
	// Fetch says what a poll of a text that is not published would read.
	Fetch(ctx context.Context, w *workflow.Workflow, trigger string) (*trigger.Fetched, error)
	// Rewind changes what a poll remembers.
	Rewind(ctx context.Context, workflow, trigger string, how trigger.Rewind) (*trigger.Rewound, error)
	// Tasks are what privacy laws ask for, the first deadline first; ExportTask writes what the runs hold of one's subject.
	Tasks(ctx context.Context) ([]trigger.Task, error)
	Task(ctx context.Context, id string) (*trigger.Task, error)
	ExportTask(ctx context.Context, id string, write func(line []byte) error) error
	FinishTask(ctx context.Context, id, by string) (*trigger.Task, error)
	// Draft makes these all the drafts whose webhooks are answered and kept.
	Draft(ws []*workflow.Workflow)
}

// longTimeout bounds a call that does much, such as one that waits for a poll: as long as an answer may take.
const longTimeout = 50 * time.Second

// TriggerID is the path of a route about one trigger.
type TriggerID struct {
	WorkflowID
	Trigger string `path:"trigger" maxLength:"200"`
}

func (s *Server) triggerRoutes() {
	tags := []string{"triggers"}
	const path = "/api/v1/workflows/{id}/triggers/{trigger}"
	handle(s, huma.Operation{
		OperationID: "read-trigger", Method: http.MethodGet, Path: path, Tags: tags, Summary: "The state of one trigger",
		Description: "The address and the last deliveries of a webhook, the next times of a schedule, or where a poll stands and what came of its last polls.",
		Errors:      []int{http.StatusNotFound},
	}, s.readTrigger)
	handle(s, huma.Operation{
		OperationID: "list-keys", Method: http.MethodGet, Path: path + "/keys", Tags: tags, Summary: "The keys that a poll remembers, the latest change first",
		Errors: []int{http.StatusBadRequest, http.StatusNotFound},
	}, s.listKeys)
	handleWithin(s, longTimeout, huma.Operation{
		OperationID: "poll", Method: http.MethodPost, Path: path + "/poll", Tags: tags, Summary: "Poll now, or see what a poll would start",
		Description: "With `dry` the other side is asked for the whole answer and nothing changes here.",
		Errors:      []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
	}, s.poll)
	handleWithin(s, longTimeout, huma.Operation{
		OperationID: "rewind", Method: http.MethodPost, Path: path + "/rewind", Tags: tags, Summary: "Forget keys of a poll, or mark all as seen",
		Description: "Exactly one of `to`, `forget` and `all_seen`. What is forgotten starts runs again if the other side still lists it. With `dry` nothing changes and the answer says what would.",
		Errors:      []int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict},
	}, s.rewind)
}

// find answers 404 in words for a trigger that there is not.
func (in *TriggerID) find(s *Server) error {
	w := s.Engine.Workflow(in.ID)
	if w == nil {
		return noWorkflow(in.ID)
	}
	if w.Trigger(in.Trigger) == nil {
		return fail(http.StatusNotFound, in.ID+" has no trigger "+clip(in.Trigger), "GET /api/v1/workflows/"+in.ID+" lists them")
	}
	return nil
}

// failed adds to an error which trigger it is about.
func (in *TriggerID) failed(err error) error {
	if errors.Is(err, trigger.ErrBusy) {
		return fail(http.StatusConflict, "a poll of "+in.Trigger+" is under way and takes long", "GET the trigger for what came of it, and repeat the call then")
	}
	return fmt.Errorf("trigger %s of %s: %w", in.Trigger, in.ID, err)
}

func (s *Server) readTrigger(ctx context.Context, in *TriggerID) (*body[trigger.State], error) {
	if err := in.find(s); err != nil {
		return nil, err
	}
	state, err := s.Triggers.State(ctx, in.ID, in.Trigger)
	if err != nil {
		return nil, in.failed(err)
	}
	return &body[trigger.State]{state}, nil
}

func (s *Server) listKeys(ctx context.Context, in *struct {
	TriggerID
	Paging
	Text string `query:"q" maxLength:"200" doc:"Matches anywhere in the key, without regard to case."`
},
) (*body[page[trigger.SeenKey]], error) {
	if err := in.find(s); err != nil {
		return nil, err
	}
	keys, next, err := s.Triggers.Keys(ctx, in.ID, in.Trigger, trigger.SeenQuery{Text: in.Text, Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, in.failed(err)
	}
	return &body[page[trigger.SeenKey]]{page[trigger.SeenKey]{Items: keys, Next: next}}, nil
}

// polled is what came of a poll, or of a dry one.
type polled struct {
	Poll *trigger.PollRecord `json:"poll,omitempty" doc:"Absent with dry."`
	Dry  *trigger.DryPoll    `json:"dry,omitempty" doc:"With dry only."`
}

func (s *Server) poll(ctx context.Context, in *struct {
	TriggerID
	Body *struct {
		Dry bool `json:"dry,omitempty" doc:"Only say what would start."`
	}
},
) (*body[polled], error) {
	if err := in.find(s); err != nil {
		return nil, err
	}
	if in.Body != nil && in.Body.Dry {
		d, err := s.Triggers.DryPoll(ctx, in.ID, in.Trigger)
		if err != nil {
			return nil, in.failed(err)
		}
		return &body[polled]{polled{Dry: d}}, nil
	}
	r, err := s.Triggers.PollNow(ctx, in.ID, in.Trigger)
	if err != nil {
		return nil, in.failed(err)
	}
	return &body[polled]{polled{Poll: &r}}, nil
}

func (s *Server) rewind(ctx context.Context, in *struct {
	TriggerID
	Body struct {
		To      time.Time `json:"to,omitzero" doc:"Forget what was first seen, or changed, at or after this time."`
		Forget  []string  `json:"forget,omitempty" maxItems:"1000" doc:"Forget these keys."`
		AllSeen bool      `json:"all_seen,omitempty" doc:"Poll, and remember everything without starting a run."`
		Dry     bool      `json:"dry,omitempty"`
	}
},
) (*body[*trigger.Rewound], error) {
	if err := in.find(s); err != nil {
		return nil, err
	}
	out, err := s.Triggers.Rewind(ctx, in.ID, in.Trigger, trigger.Rewind{To: in.Body.To, Forget: in.Body.Forget, AllSeen: in.Body.AllSeen, Dry: in.Body.Dry})
	if err != nil {
		return nil, in.failed(err)
	}
	return &body[*trigger.Rewound]{out}, nil
}

// PollDone tells readers of the event stream what came of a poll.
func (s *Server) PollDone(workflow, id string, r trigger.PollRecord) {
	s.hub.publish(notice{kind: eventPoll, workflow: workflow, step: id, text: r.Error, poll: &r})
}

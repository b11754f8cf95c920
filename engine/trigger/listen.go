package trigger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// listener is a trigger of a workflow that a connector defines.
type listener struct {
	workflow   *workflow.Workflow
	trigger    *workflow.Trigger
	connection string
	connector  *connectors.Connector
	kind       *connectors.Trigger
	endpoint   *connectors.Endpoint // nil: it polls, or listens to a stream
	input      map[string]any       // `with`, with defaults
	responds   bool                 // the workflow has a respond step
	id         string               // of its subscription; equal for all that ask for the same
}

// listener finds what a trigger of a workflow listens to. Its error is the user's to mend.
func (s *Set) listener(ctx context.Context, w *workflow.Workflow, t *workflow.Trigger) (*listener, error) {
	use := t.Listen.Use
	l := &listener{workflow: w, trigger: t, connection: use.Connection, connector: s.Engine.Connectors.Connector(use.Connector)}
	if l.connector == nil {
		return nil, s.Engine.Connectors.Missing(use.Connector)
	}
	if l.kind = l.connector.Trigger(use.Action); l.kind == nil {
		return nil, fmt.Errorf("the connector %s has no trigger %q", use.Connector, use.Action)
	}
	env := &expression.Env{Roots: map[string]any{"workflow": workflowRoot(w)}, Now: time.Now()}
	with, err := use.With.Eval(ctx, env)
	if err != nil {
		return nil, fmt.Errorf("with: %w", err)
	}
	input, ok := with.(map[string]any)
	if !ok {
		return nil, errors.New("with is not an object")
	}
	l.input = maps.Clone(input)
	for name, property := range l.kind.Input.Properties {
		if _, given := l.input[name]; !given && property.Default != nil {
			l.input[name] = property.Default
		}
	}
	if l.kind.Endpoint == "" {
		return l, nil
	}
	if l.endpoint = l.connector.Endpoint(l.kind.Endpoint); l.endpoint == nil {
		return nil, fmt.Errorf("the connector %s has no endpoint %q", use.Connector, l.kind.Endpoint)
	}
	if use.Connection == "" {
		return nil, errors.New("it names no connection")
	}
	workflow.Walk(w.Steps, func(step *workflow.Step) {
		if _, ok := step.Do.(*workflow.Respond); ok {
			l.responds = true
		}
	})
	asked, err := value.AppendJSON(nil, map[string]any{
		"connection": l.connection, "connector": l.connector.ID, "endpoint": l.endpoint.ID, "events": l.kind.Events, "input": l.input,
	})
	if err != nil {
		return nil, fmt.Errorf("with: %w", err)
	}
	l.id = digest(string(asked)).String()
	return l, nil
}

// wants reports whether the trigger takes an event of this name.
func (l *listener) wants(event string) bool {
	return len(l.kind.Events) == 0 || slices.Contains(l.kind.Events, event)
}

// endpointKey is an address of ours that a system calls.
type endpointKey struct{ connection, endpoint string }

// listeners are those of all current workflows. The table is made anew at each change and never changed.
type listeners struct {
	by     map[endpointKey][]*listener
	broken map[ownerKey]string // why a trigger hears nothing
}

func (s *Set) newListeners(ws []*workflow.Workflow) *listeners {
	all := &listeners{by: map[endpointKey][]*listener{}, broken: map[ownerKey]string{}}
	for _, w := range ws {
		for _, t := range w.Triggers {
			if t.Listen == nil {
				continue
			}
			l, err := s.listener(context.Background(), w, t)
			if err != nil {
				all.broken[ownerKey{w.ID, t.ID}] = err.Error()
				continue
			}
			if l.endpoint != nil {
				key := endpointKey{l.connection, l.endpoint.ID}
				all.by[key] = append(all.by[key], l)
			}
		}
	}
	return all
}

// happening is one delivery, as it came or as it was fetched afterwards.
type happening struct {
	root   map[string]any // trigger, as the functions of connectors see it
	fields map[string]any // of the event, but for the body
	raw    []byte         // the whole body, where it is JSON; nil: Body is all there is
	body   any
	at     time.Time
	event  string // its name
	key    string // what all deliveries of it have in common, or ""
	window time.Duration
}

const maxHappenings = 10_000 // runs of one delivery

// name finds out what happened and what tells the delivery from others.
func (h *happening) name(ctx context.Context, e *connectors.Endpoint, v *signature.Verifier, r signature.Request) (err error) {
	defer recovered(&err)
	d := connectors.Delivery{Trigger: h.root, Now: h.at}
	if e.Event != nil {
		if h.event, err = e.Event(ctx, d); err != nil {
			return fmt.Errorf("event: %w", err)
		}
	}
	if h.window = e.Window; h.window == 0 {
		h.window = v.Window()
	}
	if h.key = v.ReplayKey(r); h.key != "" {
		return nil
	}
	if e.Dedupe == nil {
		h.key = bounded(v.DeliveryID(r, h.body))
		return nil
	}
	key, err := e.Dedupe(ctx, d)
	if err != nil {
		return fmt.Errorf("dedupe: %w", err)
	}
	h.key = bounded(key)
	return nil
}

// events are those that one listener makes of it; none: it does not want it.
func (h *happening) events(ctx context.Context, l *listener) (events []engine.Event, err error) {
	defer recovered(&err)
	if !l.wants(h.event) {
		return nil, nil
	}
	event := engine.Event{Workflow: l.workflow.ID, Trigger: l.trigger.ID, Kind: engine.TriggerWebhook, At: h.at, Key: h.key, Window: h.window}
	if l.kind.Emit == nil {
		event.Fields, event.Raw = h.fields, h.raw
		if h.raw == nil {
			event.Fields = withBody(h.fields, h.body)
		} else {
			event.Body = h.body
		}
		return []engine.Event{event}, nil
	}
	items, err := l.kind.Emit(ctx, connectors.Delivery{Trigger: h.root, Input: l.input, Now: h.at})
	if err != nil {
		return nil, err
	}
	if len(items) > maxHappenings {
		return nil, fmt.Errorf("it holds %d items, at most %d start runs", len(items), maxHappenings)
	}
	for i, item := range items {
		each := event
		each.At = h.at.Add(time.Duration(i) * time.Millisecond) // runs keep the order
		each.Fields = withBody(h.fields, item.Body)
		if item.Key != "" {
			each.Key = bounded(joinKeys(h.key, item.Key))
		}
		events = append(events, each)
	}
	return events, nil
}

func joinKeys(delivery, item string) string {
	if delivery == "" {
		return item
	}
	return delivery + "/" + item
}

func withBody(fields map[string]any, body any) map[string]any {
	all := maps.Clone(fields)
	if all == nil {
		all = map[string]any{}
	}
	all["body"] = body
	return all
}

// recovered turns a crash of a connector's function into an error: one connector must not take the server down.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the connector failed inside: %v", p)
	}
}

// newCall is a call of a connector outside of any run.
func (s *Set) newCall(workflow, connection string, input map[string]any, key string) (*connectors.Call, error) {
	call, err := s.Engine.NewCall(connection, input)
	if err != nil {
		return nil, err
	}
	call.Workflow, call.Key = workflow, key
	return call, nil
}

// newConnectorTrigger is the trigger of a listener that waits on its own; nil: it is called.
func newConnectorTrigger(s *Set, w *workflow.Workflow, t *workflow.Trigger) (Trigger, error) {
	l, err := s.listener(context.Background(), w, t)
	switch {
	case err != nil:
		return nil, err
	case l.kind.Poll != nil:
		return newPoll(s, w, t)
	case l.kind.Run != nil:
		return &stream{set: s, listener: l}, nil
	}
	return nil, nil
}

// stream listens to a system that tells us what happens over a connection that we hold.
type stream struct {
	set      *Set
	listener *listener
}

// Run listens until ctx is done, or until the connection is lost; then it is run again after a while.
func (s *stream) Run(ctx context.Context, emit Emit) (err error) {
	defer recovered(&err)
	l := s.listener
	call, err := s.set.newCall(l.workflow.ID, l.connection, l.input, "")
	if err != nil {
		return err
	}
	err = l.kind.Run(ctx, call, func(ctx context.Context, item connectors.Item) error {
		_, err := emit(ctx, []engine.Event{{
			Workflow: l.workflow.ID, Trigger: l.trigger.ID, Kind: engine.TriggerStream, At: wallNow(), Key: bounded(item.Key), Window: defaultWindow,
			Fields: map[string]any{"body": item.Body},
		}}, nil)
		return err
	})
	if l.connection != "" {
		s.set.Engine.Observe(l.connection, err)
	}
	if err == nil {
		err = errors.New("the connection ended")
	}
	return err
}

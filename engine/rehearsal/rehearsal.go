// Package rehearsal plays workflows without a server: the tests that lie beside a workflow, where nothing leaves the
// machine and time passes at once, and single runs from the command line.
package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Suite is the tests of one workflow.
type Suite struct {
	File       *workflow.TestFile
	Workflow   *workflow.Workflow
	Connectors *connectors.Registry
	Open       func(name string) ([]byte, error) // reads an event file of the user's folder
	Zone       *time.Location                    // of dates without a zone; nil: UTC
}

// Result is what came of one test.
type Result struct {
	Name     string
	At       workflow.Position
	Took     time.Duration
	Failures []string        // one sentence each; none: it passed
	Run      *engine.RunView // nil when it could not begin
}

// Passed reports whether everything was as expected.
func (r *Result) Passed() bool { return len(r.Failures) == 0 }

// testTime bounds one test in real time.
const testTime = time.Minute

// Run plays every test of the suite, each with an empty store.
func (s Suite) Run(ctx context.Context) []Result {
	results := make([]Result, 0, len(s.File.Tests))
	for _, t := range s.File.Tests {
		begun := time.Now()
		r := s.test(ctx, t)
		r.Name, r.At, r.Took = t.Name, t.At, time.Since(begun)
		results = append(results, r)
	}
	return results
}

func (s Suite) test(ctx context.Context, t *workflow.Test) Result {
	out, stage, err := s.play(ctx, t)
	if err != nil {
		return Result{Failures: append(stage.failures, err.Error())}
	}
	return Result{Run: out.View, Failures: append(stage.failures, compare(t, out, stage.calls)...)}
}

// play plays a test without looking at what it expects.
func (s Suite) play(ctx context.Context, t *workflow.Test) (*engine.Simulated, *stage, error) {
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	stage := &stage{suite: s, test: t, used: map[*workflow.Mock]int{}, kv: newMemory()}
	root := t.Trigger
	if t.Event != "" {
		data, err := s.Open(t.Event)
		if err != nil {
			return nil, stage, fmt.Errorf("the event %s cannot be read: %w", t.Event, err)
		}
		decoded, err := value.DecodeJSON(data)
		if err != nil {
			return nil, stage, fmt.Errorf("the event %s is not JSON: %w", t.Event, err)
		}
		var ok bool
		if root, ok = decoded.(map[string]any); !ok {
			return nil, stage, fmt.Errorf("the event %s must be an object: the value of `trigger`", t.Event)
		}
	}
	ev, err := NewEvent(s.Workflow, root)
	if err != nil {
		return nil, stage, err
	}
	now := t.Now
	if now.IsZero() {
		now = time.Now()
	}
	out, err := engine.Simulation{
		Workflow: s.Workflow, Event: ev, Connectors: s.Connectors, Now: now, Invoke: stage.invoke, Answer: stage.answer, Zone: s.Zone, PublicURL: "https://bellhop.example",
	}.Run(ctx)
	return out, stage, err
}

// NewEvent makes an event of the value of `trigger`. An absent id is that of the only trigger.
func NewEvent(w *workflow.Workflow, root map[string]any) (engine.Event, error) {
	ev := engine.Event{Workflow: w.ID, Kind: engine.TriggerManual, Trigger: "manual", Fields: map[string]any{}}
	id, _ := root["id"].(string)
	var t *workflow.Trigger
	switch {
	case id != "":
		if t = w.Trigger(id); t == nil && id != "manual" {
			return ev, fmt.Errorf("the workflow %s has no trigger %q", w.ID, id)
		}
	case len(w.Triggers) == 1:
		t = w.Triggers[0]
	case len(w.Triggers) > 1:
		ids := make([]string, len(w.Triggers), len(w.Triggers)+1)
		for i, t := range w.Triggers {
			ids[i] = t.ID
		}
		return ev, fmt.Errorf("the workflow %s has several triggers: name one as the `id` of the event, one of %s", w.ID, strings.Join(append(ids, "manual"), ", "))
	}
	if t != nil {
		ev.Trigger, ev.Kind = t.ID, t.Kind
		if t.Kind == engine.TriggerWebhook {
			for _, k := range []string{"headers", "query", "params"} {
				ev.Fields[k] = map[string]any{}
			}
			ev.Fields["method"], ev.Fields["path"] = http.MethodPost, t.Webhook.Path
		}
	}
	for k, v := range root {
		switch k {
		case "id":
		case "kind":
			if kind, ok := v.(string); ok {
				ev.Kind = kind
			}
		case "at":
			text, _ := v.(string)
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return ev, fmt.Errorf("trigger.at is a time like 2026-03-01T09:00:00Z, not %q", value.Text(v))
			}
			ev.At = at
		default:
			ev.Fields[k] = v
		}
	}
	return ev, nil
}

// call is one step that called an action, however many attempts it took.
type call struct {
	use, step string
	input     map[string]any
	local     bool
}

// stage answers the calls of one test.
type stage struct {
	suite    Suite
	test     *workflow.Test
	used     map[*workflow.Mock]int // how many calls it has answered
	kv       *memory
	calls    []call
	failures []string
}

func (s *stage) failf(format string, args ...any) {
	s.failures = append(s.failures, fmt.Sprintf(format, args...))
}

func (s *stage) invoke(ctx context.Context, c engine.SimulatedCall) (any, error) {
	use := c.Use.Connector + "." + c.Use.Action
	if c.Attempt == 1 {
		s.calls = append(s.calls, call{use: use, step: c.Step.ID, input: c.Input, local: c.Action.Local})
	}
	m := s.mock(use, c)
	switch {
	case m == nil && c.Action.Local:
		return c.Action.Do(ctx, s.call(c, nil))
	case m == nil:
		s.failf("step %s called %s, and no mock answers: add one, such as {use: %s, returns: …}. It was called with %s", c.Step.ID, use, use, short(c.Input))
		return nil, connectors.Permanent(fmt.Errorf("no mock answers %s", use))
	case m.Returns != nil:
		return value.Clone(m.Returns.Value), nil
	case m.Fails != nil:
		return nil, failure(m.Fails)
	}
	transport := &boundary{stage: s, mock: m, step: c.Step.ID}
	return c.Action.Do(ctx, s.call(c, &http.Client{Transport: transport}))
}

// answer stands for a person, a caller or another workflow: the mock of the step, else nobody.
func (s *stage) answer(_ context.Context, q engine.SimulatedQuestion) (*engine.SimulatedAnswer, error) {
	m := s.mock("", engine.SimulatedCall{Step: q.Step, Input: asInput(q.Input)})
	switch {
	case m == nil && q.Kind == "call":
		s.failf("step %s calls a workflow, and no mock answers: add one, such as {step: %s, returns: …}. It was called with %s", q.Step.ID, q.Step.ID, short(q.Input))
		return &engine.SimulatedAnswer{Failure: "no mock answers"}, nil
	case m == nil:
		return nil, nil
	case m.Returns != nil:
		return &engine.SimulatedAnswer{Output: value.Clone(m.Returns.Value)}, nil
	case m.Fails != nil && q.Kind == "call":
		return &engine.SimulatedAnswer{Failure: failure(m.Fails).Error()}, nil
	}
	return nil, nil // fails: nobody answers in time
}

func asInput(v any) map[string]any {
	input, _ := v.(map[string]any)
	return input
}

// mock returns the first matching mock that has not answered yet; once all have, the last goes on answering.
func (s *stage) mock(use string, c engine.SimulatedCall) *workflow.Mock {
	var last *workflow.Mock
	for _, m := range s.test.Mocks {
		if m.Use != "" && m.Use != use || use == "" && m.Step == "" || m.Step != "" && m.Step != c.Step.ID {
			continue
		}
		if m.With != nil && len(differences("with", m.With, c.Input)) > 0 {
			continue
		}
		last = m
		if s.used[m] < max(1, len(m.HTTP)) {
			break
		}
	}
	if last != nil && last.HTTP == nil {
		s.used[last]++
	}
	return last
}

func (s *stage) call(c engine.SimulatedCall, client *http.Client) *connectors.Call {
	call := &connectors.Call{Key: c.Key, Workflow: s.suite.Workflow.ID, Input: c.Input, HTTP: client, KV: s.kv, Now: c.Now}
	s.kv.now = c.Now
	if name := c.Use.Connection; name != "" {
		call.Connection = connectors.Connection{Name: name, Connector: c.Use.Connector, Fields: map[string]any{}, Secrets: map[string]string{}}
		for k, v := range s.test.Connections[name] {
			if k == "auth" {
				call.Connection.Auth = v
				continue
			}
			call.Connection.Fields[k], call.Connection.Secrets[k] = v, v
		}
		if a := s.suite.Connectors.Connector(c.Use.Connector).Auth; call.Connection.Auth == "" && len(a) > 0 {
			call.Connection.Auth = a[0].ID
		}
	}
	return call
}

// failure is the error that a real call would have been.
func failure(f *workflow.Failed) error {
	if f.Status == 0 {
		return errors.New(f.Message)
	}
	msg := f.Message
	if msg == "" {
		msg = fmt.Sprintf("answered %d %s", f.Status, http.StatusText(f.Status))
	}
	err := &connectors.StatusError{Status: f.Status, Message: msg}
	if f.Status >= 500 || slices.Contains([]int{http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests}, f.Status) {
		return err
	}
	return connectors.Permanent(err)
}

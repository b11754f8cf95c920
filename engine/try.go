package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Modes of a test run.
const (
	TestPretend = "pretend" // calls that do more than read are not made; their step gets the sample of the action
	TestReally  = "really"
)

// testTrigger begins the trigger of a test run in its head, where no id of a trigger can: ids have no slash.
const testTrigger = "test/"

// TestMode is the mode of a test run, by the trigger of its head or row; empty: it is none.
func TestMode(trigger string) string {
	mode, ok := strings.CutPrefix(trigger, testTrigger)
	if !ok {
		return ""
	}
	return mode
}

// testVersions is how long the text of a draft is kept for its test runs.
const testVersions = 30 * 24 * time.Hour

// Try starts a test run of w, which may never have been published. Its row is marked as a test.
func (e *Engine) Try(ctx context.Context, w *workflow.Workflow, ev Event, mode string) (RunID, error) {
	ev.Test, ev.Urgent, ev.Key, ev.Delivery = mode, true, "", nil
	r, err := e.newRun(ctx, &ev, w)
	if err != nil {
		return RunID{}, fmt.Errorf("test %s: %w", w.ID, err)
	}
	b := Batch{Runs: []NewRun{*r}}
	switch _, _, err := e.Store.KV().Get(ctx, versionKey(w.ID, w.Version)); {
	case errors.Is(err, ErrNotFound):
		b.Puts = []Put{{Key: versionKey(w.ID, w.Version), Value: w.Source, AnyRev: true, TTL: testVersions}}
	case err != nil:
		return RunID{}, fmt.Errorf("test %s: %w", w.ID, err)
	}
	acc, err := e.store(ctx, b)
	if err != nil {
		return RunID{}, fmt.Errorf("test %s: %w", w.ID, err)
	}
	return acc[0].ID, nil
}

// pretends reports whether a call is only pretended.
func (x *execution) pretends(c *invocation) bool {
	return x != nil && TestMode(x.state.head.Trigger) == TestPretend && !c.action.IsSafe(c.input)
}

// StepTrial is what came of one step that was tried alone.
type StepTrial struct {
	Status  string                  `json:"status" enum:"succeeded,filtered,skipped,failed,previewed"`
	MS      float64                 `json:"ms"`
	Input   json.RawMessage         `json:"input,omitempty" doc:"What the step was given: with, evaluated."`
	Output  json.RawMessage         `json:"output,omitempty"`
	Error   *StepError              `json:"error,omitempty"`
	Because []expression.Comparison `json:"because,omitempty" doc:"Of a filter: the comparisons that decided it."`
	Sent    []SentRequest           `json:"sent,omitempty" doc:"Of a preview: what would be sent, secrets masked."`

	Value any `json:"-"` // the output as data
}

// SentRequest is one HTTP request as it would be sent.
type SentRequest struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body" doc:"The first 64 KiB."`
}

// TryMode says how far a step that is tried alone may go.
type TryMode int

// How far that is.
const (
	TryPreview TryMode = iota // what its call would send is shown, and nothing is sent
	TryReading                // its call is made if it only reads; else nothing is sent, and the error is ErrUnconfirmed
	TryReally                 // its call is made
)

// ErrUnconfirmed says that the call does more than read, and nobody has said that it may be made.
var ErrUnconfirmed = errors.New("this call does more than read: it is made only when somebody confirms it")

// TryStep evaluates one step with the roots that its expressions see, and makes its call at most once. An *InputError
// says which steps cannot be tried alone.
func (e *Engine) TryStep(ctx context.Context, w *workflow.Workflow, s *workflow.Step, roots map[string]any, mode TryMode) (*StepTrial, error) {
	env := &expression.Env{Roots: roots, Now: time.Now(), Zone: e.Zone, Seed: "test"}
	begun := time.Now()
	t := &StepTrial{Status: StatusSucceeded.String()}
	err := e.tryStep(ctx, t, w, s, env, mode)
	var input *InputError
	if errors.As(err, &input) || errors.Is(err, ErrUnconfirmed) {
		return nil, err
	}
	t.MS = float64(time.Since(begun).Microseconds()) / 1000
	if err != nil {
		t.Status = StatusFailed.String()
		t.Error = &StepError{Message: err.Error(), Attempts: 1}
		var status *connectors.StatusError
		if errors.As(err, &status) {
			t.Error.Status = status.Status
		}
		if text, err := json.Marshal(t.Error); err == nil {
			_ = json.Unmarshal(e.Redact(text), t.Error) // what cannot be read back stays as it was
		}
	}
	return t, nil
}

func (e *Engine) tryStep(ctx context.Context, t *StepTrial, w *workflow.Workflow, s *workflow.Step, env *expression.Env, mode TryMode) error {
	if s.If != nil {
		run, err := s.If.Bool(ctx, env)
		if err != nil {
			return fmt.Errorf("if: %w", err)
		}
		if !run {
			t.Status, t.Because = StatusSkipped.String(), s.If.Explain(ctx, env)
			return nil
		}
	}
	var tree *expression.Tree
	switch do := s.Do.(type) {
	case *workflow.Filter:
		pass, err := do.Condition.Bool(ctx, env)
		t.Because = do.Condition.Explain(ctx, env)
		if err == nil && !pass {
			t.Status = StatusFiltered.String()
		}
		return err
	case *workflow.Use:
		return e.tryUse(ctx, t, w, s, do, env, mode)
	case *workflow.Set:
		tree = do.Fields
	case *workflow.Respond:
		tree = do.Body
	case *workflow.Stop:
		tree = do.Message
	case *workflow.Approve:
		tree = do.Message
	case *workflow.Call:
		tree = do.With
	default:
		return &InputError{"a step with " + s.Kind + " cannot be tried alone: test all steps"}
	}
	out, err := tree.Eval(ctx, env)
	if err != nil {
		return err
	}
	return e.setOutput(t, out)
}

func (e *Engine) setOutput(t *StepTrial, out any) error {
	data, err := value.AppendJSON(nil, out)
	if err != nil {
		return err
	}
	if len(data) > maxOutput {
		return fmt.Errorf("the output has %d bytes, at most %d can be kept", len(data), maxOutput)
	}
	t.Output, t.Value = rawJSON(e.Redact(data)), out
	return nil
}

func (e *Engine) tryUse(ctx context.Context, t *StepTrial, w *workflow.Workflow, s *workflow.Step, use *workflow.Use, env *expression.Env, mode TryMode) error {
	action, err := e.action(use)
	if err != nil {
		return err
	}
	with, err := use.With.Eval(ctx, env)
	if err != nil {
		return err
	}
	input, ok := with.(map[string]any)
	if !ok {
		input = map[string]any{}
	}
	data, err := value.AppendJSON(nil, input)
	if err != nil {
		return err
	}
	t.Input = rawJSON(e.Redact(data))
	if mode == TryReading && !action.IsSafe(input) {
		return ErrUnconfirmed
	}
	c := &invocation{step: s, use: use, action: action, input: input, workflowID: w.ID, attempt: 1, hops: 1, key: IdempotencyKey(NewRunID(time.Now(), &Head{}), s.ID)}
	limit := s.Timeout
	if limit <= 0 {
		limit = stepTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if mode == TryPreview {
		t.Status = "previewed"
		if action.Local {
			return nil
		}
		c.look = &onlooker{}
		if _, err := e.invoke(ctx, nil, c); err != nil && len(c.look.seen) == 0 && !c.look.dialed {
			return err
		}
		text, err := json.Marshal(c.look.seen)
		if err != nil {
			return err
		}
		return json.Unmarshal(e.Redact(text), &t.Sent)
	}
	out, err := e.invoke(ctx, nil, c)
	if err != nil {
		return err
	}
	return e.setOutput(t, out)
}

// onlooker stands in for both ways out of a call: it notes what would be sent and sends nothing.
type onlooker struct {
	seen   []SentRequest
	dialed bool // it would have talked to a server in another way than HTTP
}

var errPreview = errors.New("this is a preview: nothing was sent")

const (
	maxPreview  = 64 << 10 // bytes of a body
	maxPreviews = 10
)

func (o *onlooker) dial(context.Context, string, string) (net.Conn, error) {
	o.dialed = true
	return nil, connectors.Permanent(errPreview)
}

// RoundTrip is part of http.RoundTripper.
func (o *onlooker) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := SentRequest{Method: r.Method, URL: r.URL.String(), Headers: map[string]string{}}
	for name := range r.Header {
		sent.Headers[name] = r.Header.Get(name)
		if masked(name) {
			sent.Headers[name] = "•••"
		}
	}
	if r.Body != nil {
		var body bytes.Buffer
		_, err := io.Copy(&body, io.LimitReader(r.Body, maxPreview))
		if err := errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
		sent.Body = strings.ToValidUTF8(body.String(), "�")
	}
	if len(o.seen) < maxPreviews {
		o.seen = append(o.seen, sent)
	}
	return nil, connectors.Permanent(errPreview)
}

// masked reports whether a header carries a secret by its nature. Secrets elsewhere are known to the redactor.
func masked(name string) bool {
	name = strings.ToLower(name)
	return name == "authorization" || name == "cookie" || strings.Contains(name, "token") || strings.Contains(name, "key") && name != "idempotency-key" || strings.Contains(name, "secret")
}

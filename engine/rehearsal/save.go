package rehearsal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// AsTest turns a finished run into a test file: its event, the recorded answers as mocks, and what came of it as
// expectations. Secrets are taken out of the event first, and the run is rehearsed with what is left; what comes out
// in another way then, such as a random id, is not expected.
type AsTest struct {
	Name       string // of the test; empty: one that says how the run ended
	ID         engine.RunID
	Journal    []engine.Record
	Workflow   *workflow.Workflow // the version that ran
	Connectors *connectors.Registry
	Zone       *time.Location
	Redact     func([]byte) []byte // takes known secrets out of JSON; nil: none is known

	used []string // texts that the run gave to a call under the name of a secret
}

// TestText is a test file made of a run.
type TestText struct {
	Text     string   `json:"text" doc:"A test file."`
	Failures []string `json:"failures" nullable:"false" doc:"What keeps the test from passing as it is; mostly none."`
}

// maxSaved bounds the calls of a run that becomes a test.
const maxSaved = 200

// removed stands where a secret was.
const removed = "(removed)"

// Text makes the test file.
func (a AsTest) Text(ctx context.Context) (*TestText, error) {
	view, err := engine.NewRunView(a.ID, a.Workflow, a.Journal)
	if err != nil {
		return nil, err
	}
	if view.FinishedAt == nil {
		return nil, &engine.InputError{Message: "the run has not ended: only a finished run can be a test"}
	}
	calls, err := a.calls(ctx)
	if err != nil {
		return nil, fmt.Errorf("the run cannot be played again: %w", err)
	}
	if len(calls) > maxSaved {
		return nil, &engine.InputError{Message: fmt.Sprintf("the run made %d calls: one with at most %d can be a test", len(calls), maxSaved)}
	}
	for _, c := range calls {
		a.note(c.input)
	}
	trigger, err := a.trigger()
	if err != nil {
		return nil, err
	}
	test := []workflow.Entry{
		{Key: "name", Value: cmp.Or(a.Name, a.name(view.Status))},
		{Key: "trigger", Value: trigger},
		{Key: "now", Value: a.Journal[0].At.UTC().Format(time.RFC3339Nano)},
	}
	if mocks := a.mocks(calls); len(mocks) > 0 {
		test = append(test, workflow.Entry{Key: "mocks", Value: mocks})
	}
	_, suite, err := a.read(append(slices.Clone(test), workflow.Entry{Key: "expect", Value: map[string]any{"status": view.Status}}))
	if err != nil {
		return nil, err
	}
	out, stage, err := suite.play(ctx, suite.File.Tests[0])
	if err != nil {
		return nil, fmt.Errorf("the run cannot be rehearsed: %w", err)
	}
	test = append(test, workflow.Entry{Key: "expect", Value: a.expect(view, calls, out, stage.calls)})
	text, suite, err := a.read(test)
	if err != nil {
		return nil, err
	}
	result := &TestText{Text: text, Failures: []string{}}
	for _, r := range suite.Run(ctx) {
		result.Failures = append(result.Failures, r.Failures...)
	}
	return result, nil
}

// name tells runs apart by when their events came.
func (a AsTest) name(status string) string {
	at := a.Journal[0].At.UTC()
	if a.Zone != nil {
		at = at.In(a.Zone)
	}
	return fmt.Sprintf("the event of %s ends as %s", at.Format("2006-01-02 15:04:05"), status)
}

// carrying are headers of every HTTP request that say how it came, not what it is about.
var carrying = []string{
	"accept", "accept-encoding", "accept-language", "connection", "content-length", "host", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site",
	"sec-fetch-user", "te", "transfer-encoding", "upgrade-insecure-requests", "user-agent", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
	"x-real-ip",
}

// read writes a test as a file and reads that.
func (a AsTest) read(test []workflow.Entry) (string, *Suite, error) {
	text, err := workflow.Format([]workflow.Entry{{Key: "workflow", Value: a.Workflow.ID}, {Key: "tests", Value: [][]workflow.Entry{test}}})
	if err != nil {
		return "", nil, fmt.Errorf("write the test: %w", err)
	}
	f, problems := workflow.ParseTest(a.Workflow.ID+".test.yaml", []byte(text))
	if problems.Err() == nil {
		problems = append(problems, f.Check(a.Workflow)...)
	}
	if err := problems.Err(); err != nil {
		return "", nil, fmt.Errorf("the test cannot be read: %w", err)
	}
	return text, &Suite{
		File: f, Workflow: a.Workflow, Connectors: a.Connectors, Zone: a.Zone,
		Open: func(string) ([]byte, error) { return nil, errors.New("there are no event files") },
	}, nil
}

// made is a call that the run made, with its answer.
type made struct {
	call
	named  bool // the file names the step
	answer *recorded
}

// calls plays the run again with its answers, to learn which step made which call and asked what.
func (a AsTest) calls(ctx context.Context) ([]made, error) {
	answers := &answers{}
	answers.record(a.ID, a.Journal)
	var calls []made
	_, err := Replay{Connectors: a.Connectors, Zone: a.Zone}.play(ctx, a.Workflow, a.ID, a.Journal[0], func(ctx context.Context, c engine.SimulatedCall) (any, error) {
		out, err := answers.note(ctx, c)
		calls = append(calls, made{
			call:  call{use: useName(c.Use), step: c.Step.ID, input: c.Input, local: c.Action.Local},
			named: c.Step.Named, answer: answers.byKey[c.Key],
		})
		return out, err
	}, func(ctx context.Context, q engine.SimulatedQuestion) (*engine.SimulatedAnswer, error) {
		out, err := answers.noteAsked(ctx, q)
		if out != nil {
			m := made{call: call{step: q.Step.ID, local: true}, named: true, answer: &recorded{output: out.Output}}
			if out.Failure != "" {
				m.answer.failure = &engine.StepError{Message: out.Failure}
			}
			calls = append(calls, m)
		}
		return out, err
	})
	return calls, err
}

// trigger is the event without what a test has by itself, and without secrets.
func (a AsTest) trigger() (map[string]any, error) {
	ev, err := engine.DecodeEvent(a.Journal[0].Data)
	if err != nil {
		return nil, err
	}
	root, err := ev.Root(a.Workflow.UsesRaw)
	if err != nil {
		return nil, err
	}
	delete(root, "at")
	t := a.Workflow.Trigger(ev.Trigger)
	switch {
	case t == nil:
		root["id"] = engine.TriggerManual
		if ev.Kind == engine.TriggerManual {
			delete(root, "kind")
		}
	case t.Kind == ev.Kind:
		delete(root, "kind")
	}
	if t != nil && t.Webhook != nil {
		plain, err := NewEvent(a.Workflow, map[string]any{"id": t.ID})
		if err != nil {
			return nil, err
		}
		for k, v := range plain.Fields {
			if value.Equal(root[k], v) {
				delete(root, k)
			}
		}
	}
	if headers, ok := root["headers"].(map[string]any); ok {
		source := strings.ToLower(string(a.Workflow.Source))
		kept := maps.Clone(headers)
		for _, name := range carrying {
			if !strings.Contains(source, name) {
				delete(kept, name)
			}
		}
		if root["headers"] = kept; len(kept) == 0 {
			delete(root, "headers")
		}
	}
	clean, ok := a.scrub(root).(map[string]any)
	if !ok {
		return nil, errors.New("the event is no object")
	}
	return clean, nil
}

// leastSecret is how long a text is at least that is looked for in others.
const leastSecret = 6

// note finds the secrets in the input of a call, such as the token of an authorization, which an event may bring under any
// name.
func (a *AsTest) note(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			text, ok := item.(string)
			if !ok || !isSecretName(k) {
				a.note(item)
				continue
			}
			if _, word, ok := strings.Cut(text, " "); ok { // Bearer and the like
				text = word
			}
			if len(text) >= leastSecret && !slices.Contains(a.used, text) {
				a.used = append(a.used, text)
			}
		}
	case []any:
		for _, item := range v {
			a.note(item)
		}
	}
}

// without replaces secrets that the run used in all texts.
func (a AsTest) without(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			m[k] = a.without(item)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = a.without(item)
		}
		return list
	case string:
		for _, secret := range a.used {
			v = strings.ReplaceAll(v, secret, removed)
		}
		return v
	}
	return v
}

// scrub takes secrets out of data: values that are known, those whose name says that they are one, and those that the run
// used under such a name.
func (a AsTest) scrub(v any) any {
	v = a.without(WithoutSecrets(v))
	if a.Redact == nil {
		return v
	}
	text, err := value.AppendJSON(nil, v)
	if err != nil {
		return v
	}
	clean, err := value.DecodeJSON(a.Redact(text))
	if err != nil {
		return removed // it was only a secret
	}
	return clean
}

// secretNames are parts of the names of fields, headers and parameters that hold secrets.
var secretNames = []string{
	"authorization", "cookie", "signature", "secret", "token", "password", "passwd", "passphrase", "credential", "hmac",
	"api-key", "api_key", "apikey", "private_key", "private-key", "access_key", "access-key", "session",
}

func isSecretName(name string) bool {
	name = strings.ToLower(name)
	return name == "sig" || slices.ContainsFunc(secretNames, func(part string) bool { return strings.Contains(name, part) })
}

// Secrets in the query and before the host of an address.
var (
	secretInQuery = regexp.MustCompile(`(?i)([?&](?:sig|[^=&#\s]*(?:` + strings.Join(secretNames, "|") + `)[^=&#\s]*)=)[^&#\s"'<>]+`)
	secretInHost  = regexp.MustCompile(`(://[^/\s:@]*:)[^/\s@]+@`)
)

// WithoutSecrets returns plain data with the texts replaced whose name says that they are a secret, such as
// authorization, cookie, signature or token, also in the addresses of texts; v itself is not changed.
func WithoutSecrets(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			if text, ok := item.(string); ok && text != "" && isSecretName(k) {
				m[k] = removed
				continue
			}
			m[k] = WithoutSecrets(item)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = WithoutSecrets(item)
		}
		return list
	case string:
		return secretInHost.ReplaceAllString(secretInQuery.ReplaceAllString(v, "${1}"+removed), "${1}"+removed+"@")
	}
	return v
}

// mocks are the recorded answers, in the order of the calls. The last answer to a named step goes on answering, so its
// repetitions at the end are left out.
func (a AsTest) mocks(calls []made) [][]workflow.Entry {
	all := make([][]workflow.Entry, len(calls))
	last := map[[2]string]string{} // the answer that a step gave from here to the end
	drop := make([]bool, len(calls))
	after := map[[2]string]int{} // the call of the step behind this one, which this one may make superfluous
	for i := len(calls) - 1; i >= 0; i-- {
		c := calls[i]
		all[i] = a.mock(c)
		text, err := workflow.Format(all[i])
		step := [2]string{c.use, c.step}
		behind, seen := after[step]
		switch {
		case err != nil || c.use != "" && !c.named:
			continue
		case !seen:
			last[step] = text
		case last[step] == text:
			drop[behind] = true
		default:
			last[step] = ""
		}
		after[step] = i
	}
	kept := all[:0]
	for i, m := range all {
		if !drop[i] {
			kept = append(kept, m)
		}
	}
	return kept
}

func (a AsTest) mock(c made) []workflow.Entry {
	var m []workflow.Entry
	if c.use != "" {
		m = append(m, workflow.Entry{Key: "use", Value: c.use})
	}
	if c.named || c.use == "" {
		m = append(m, workflow.Entry{Key: "step", Value: c.step})
	}
	f := c.answer.failure
	if f == nil {
		return append(m, workflow.Entry{Key: "returns", Value: a.scrub(c.answer.output)})
	}
	fails := []workflow.Entry{}
	if f.Status >= 300 {
		fails = append(fails, workflow.Entry{Key: "status", Value: f.Status})
	}
	if message, _ := a.scrub(f.Message).(string); message != "" {
		fails = append(fails, workflow.Entry{Key: "message", Value: message})
	}
	return append(m, workflow.Entry{Key: "fails", Value: fails})
}

// expect is what came of the run, as far as the rehearsal came to the same.
func (a AsTest) expect(view *engine.RunView, calls []made, out *engine.Simulated, rehearsed []call) []workflow.Entry {
	expect := []workflow.Entry{{Key: "status", Value: view.Status}}
	again := map[string]*engine.StepView{}
	for i := range out.View.Steps {
		again[out.View.Steps[i].Path] = &out.View.Steps[i]
	}
	steps, failed := []workflow.Entry{}, []workflow.Entry{}
	var respond any
	for i := range view.Steps {
		s := &view.Steps[i]
		step, now := a.Workflow.Step(s.ID), again[s.Path]
		if s.Path != s.ID || step == nil || now == nil || now.Status != s.Status {
			continue
		}
		was, okWas := decoded(s.Output)
		is, okIs := decoded(now.Output)
		same, ok := stable(was, is)
		switch {
		case s.Error != nil && now.Error != nil && step.Named:
			e := []workflow.Entry{}
			if s.Error.Status != 0 && s.Error.Status == now.Error.Status {
				e = append(e, workflow.Entry{Key: "status", Value: s.Error.Status})
			}
			if s.Error.Message == now.Error.Message {
				e = append(e, workflow.Entry{Key: "message", Value: s.Error.Message})
			}
			if len(e) > 0 {
				failed = append(failed, workflow.Entry{Key: s.ID, Value: e})
			}
		case !okWas || !okIs || !ok:
		case s.Kind == "respond":
			respond = same
		case len(s.Input) == 0 && step.Named: // what a call gave is the mock's
			steps = append(steps, workflow.Entry{Key: s.ID, Value: same})
		}
	}
	if len(steps) > 0 {
		expect = append(expect, workflow.Entry{Key: "steps", Value: steps})
	}
	if len(failed) > 0 {
		expect = append(expect, workflow.Entry{Key: "errors", Value: failed})
	}
	if respond != nil && out.Response != nil {
		expect = append(expect, workflow.Entry{Key: "respond", Value: respond})
	}
	return append(expect, workflow.Entry{Key: "calls", Value: expectCalls(calls, rehearsed)})
}

// expectCalls lists the calls that went out, with as much of their input as was the same in the rehearsal.
func expectCalls(calls []made, rehearsed []call) [][]workflow.Entry {
	want := [][]workflow.Entry{}
	attempts := map[string]int{}
	for _, c := range rehearsed {
		if c.local {
			continue
		}
		e := []workflow.Entry{{Key: "use", Value: c.use}}
		named := false
		var with any
		n := 0
		for i := range calls {
			if calls[i].use != c.use || calls[i].step != c.step {
				continue
			}
			if n == attempts[c.step] {
				named = calls[i].named
				with, _ = stable(calls[i].input, c.input)
				with = withoutNamed(with)
			}
			n++
		}
		attempts[c.step]++
		if named {
			e = append(e, workflow.Entry{Key: "step", Value: c.step})
		}
		if m, ok := with.(map[string]any); ok && len(m) > 0 {
			e = append(e, workflow.Entry{Key: "with", Value: m})
		}
		want = append(want, e)
	}
	return want
}

// withoutNamed leaves out what a call got under the name of a secret.
func withoutNamed(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	rest := make(map[string]any, len(m))
	for k, item := range m {
		if text, ok := item.(string); ok && text != "" && isSecretName(k) {
			continue
		}
		if item = withoutNamed(item); !value.Equal(item, map[string]any{}) || value.Equal(m[k], map[string]any{}) {
			rest[k] = item
		}
	}
	return rest
}

func decoded(data json.RawMessage) (any, bool) {
	if len(data) == 0 {
		return nil, false
	}
	v, err := value.DecodeJSON(data)
	return v, err == nil
}

// stable is the part of was that is also in is; ok is false when there is none.
func stable(was, is any) (part any, ok bool) {
	switch w := was.(type) {
	case map[string]any:
		i, isMap := is.(map[string]any)
		if !isMap {
			return nil, false
		}
		m := make(map[string]any, len(w))
		for k, v := range w {
			other, there := i[k]
			if part, ok := stable(v, other); ok && there {
				m[k] = part
			}
		}
		return m, len(m) > 0 || len(w) == 0
	case []any:
		i, isList := is.([]any)
		if !isList || len(i) != len(w) {
			return nil, false
		}
		list := make([]any, len(w))
		for n := range w {
			if list[n], ok = stable(w[n], i[n]); !ok {
				return nil, false // an entry of a list cannot be left open
			}
		}
		return list, true
	}
	return was, value.Equal(was, is)
}

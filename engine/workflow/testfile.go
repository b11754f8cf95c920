package workflow

import (
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// TestFile is the tests of one workflow, read. It is immutable.
type TestFile struct {
	File       string // as problems show it
	Workflow   string // id
	WorkflowAt Position
	Tests      []*Test

	source []byte
}

// Test is one event, the answers of the outside world, and what must follow. One of Trigger and Event is set.
type Test struct {
	Name        string
	At          Position
	Trigger     map[string]any // the `trigger` root; an absent id or kind is that of the workflow's only trigger
	TriggerAt   Position
	Event       string // path of a JSON file with the `trigger` root, below the folder of the user
	EventAt     Position
	Now         time.Time                    // zero: the time of the test's run
	Connections map[string]map[string]string // invented secrets and fields, by the name of the connection
	Mocks       []*Mock
	Expect      Expect
}

// Mock answers calls of an action in place of the outside world. Exactly one of Returns, Fails and HTTP is set.
type Mock struct {
	At      Position
	Use     string         // connector.action; empty: any
	Step    string         // id of the step; empty: any
	StepAt  Position       // zero where Step is empty
	With    map[string]any // a subset of the input of the calls that it answers; nil: any
	Returns *Returned
	Fails   *Failed
	HTTP    []*Exchange // the calls at the HTTP boundary, in order
}

// Returned is what a mocked action gives.
type Returned struct{ Value any }

// Failed is how a mocked action fails.
type Failed struct {
	Status  int    // HTTP status; 0: none, as when the network is down
	Message string // empty: made from the status
}

// Exchange is one HTTP call and its answer.
type Exchange struct {
	At     Position
	Expect Request
	Reply  Reply
}

// Request is what must hold of an HTTP call; a zero field says nothing.
type Request struct {
	Method  string
	URL     string            // without the query
	Query   map[string]string // a subset
	Headers map[string]string // a subset; the names in any case
	JSON    *Returned         // a subset of the body
	Body    *string           // the body as text
}

// Reply is the answer to an HTTP call. At most one of JSON and Body is set.
type Reply struct {
	Status  int // default 200
	Headers map[string]string
	JSON    *Returned
	Body    string
}

// Expect is what must hold at the end of a run. Everything is a subset: what is not named may be as it likes.
type Expect struct {
	At      Position
	Status  string // of the run; empty: any
	Reason  string // part of the reason why it ended so; empty: any
	Steps   []Expected
	Errors  []Expected
	Respond *ExpectedResponse // nil: any
	Calls   []*ExpectedCall   // nil: any; not nil: no other call may happen
}

// Expected is a subset of the output, or of the error, of one step.
type Expected struct {
	ID   string
	At   Position
	Want any
}

// ExpectedResponse is what a webhook's caller must get.
type ExpectedResponse struct {
	Status  int               // 0: any
	Headers map[string]string // a subset; the names in any case
	Body    *Returned         // nil: any
}

// ExpectedCall is a call that must happen.
type ExpectedCall struct {
	At    Position
	Use   string
	Step  string
	With  map[string]any // a subset of the input; nil: any
	Times int            // default 1
}

// ParseTest reads a test file. name is the file's name as problems show it. The file is nil when it cannot be read as
// a mapping.
func ParseTest(name string, src []byte) (*TestFile, Problems) {
	r := &testReader{reporter: newReporter(name, src)}
	root := r.document(src, "test file")
	if root == nil {
		return nil, r.finish()
	}
	f := &TestFile{File: name, source: src}
	o := r.object(root, "a test file")
	if n := o.need("workflow", "the id of the workflow that is tested"); n != nil {
		f.WorkflowAt = place(n)
		if id, ok := r.text(n, "workflow"); ok {
			if err := CheckID(id); err != nil {
				r.errorf(place(n), "", "%v", err)
			} else {
				f.Workflow = id
			}
		}
	}
	if n := o.need("tests", "add tests: with at least one entry"); n != nil {
		names := map[string]bool{}
		entries := r.list(n, "tests")
		if n.Kind == yaml.SequenceNode && len(entries) == 0 {
			r.errorf(place(n), "", "a test file has at least one test")
		}
		for _, entry := range entries {
			t := r.test(entry)
			if t.Name != "" && names[t.Name] {
				r.errorf(t.At, "", "the test %q is there twice", t.Name)
			}
			names[t.Name] = true
			f.Tests = append(f.Tests, t)
		}
	}
	o.done()
	return f, r.finish()
}

type testReader struct{ reporter }

func (r *testReader) test(n *yaml.Node) *Test {
	t := &Test{At: place(n)}
	o := r.object(n, "a test")
	if n.Kind != yaml.MappingNode {
		return t
	}
	if name := o.need("name", "say what it shows"); name != nil {
		t.Name, _ = r.text(name, "name")
	}
	r.event(t, o)
	if now := o.value("now"); now != nil {
		if text, ok := r.text(now, "now"); ok {
			var err error
			if t.Now, err = time.Parse(time.RFC3339, text); err != nil {
				r.errorf(place(now), "write it like 2026-03-01T09:00:00Z", "now is a time, not %q", text)
			}
		}
	}
	if conns := o.value("connections"); conns != nil {
		t.Connections = r.connections(conns)
	}
	if mocks := o.value("mocks"); mocks != nil {
		for _, entry := range r.list(mocks, "mocks") {
			t.Mocks = append(t.Mocks, r.mock(entry))
		}
	}
	if expect := o.need("expect", "such as expect: {status: succeeded}"); expect != nil {
		t.Expect = r.expect(expect)
	}
	o.done()
	return t
}

// event reads what starts the run.
func (r *testReader) event(t *Test, o *object) {
	trigger, event := o.value("trigger"), o.value("event")
	switch {
	case o.vals["trigger"] == nil && o.vals["event"] == nil:
		r.errorf(o.at, "such as trigger: {body: {total: 129}}", "a test needs the key trigger or event")
	case trigger != nil && event != nil:
		r.errorf(place(o.key("event")), "remove one of them", "a test has either trigger or event")
	}
	if trigger != nil {
		t.TriggerAt = place(trigger)
		t.Trigger = r.mapping(trigger, "trigger")
		if id, ok := t.Trigger["id"]; ok {
			if text, isText := id.(string); !isText || !localID.MatchString(text) {
				r.errorf(t.TriggerAt, "", "trigger.id is the id of a trigger of the workflow")
			}
		}
	}
	if event == nil {
		return
	}
	t.EventAt = place(event)
	name, ok := r.text(event, "event")
	if !ok {
		return
	}
	if name != path.Clean(name) || path.IsAbs(name) || strings.HasPrefix(name, "..") || strings.ContainsAny(name, "\\:\x00") || name == "." {
		r.errorf(place(event), "such as events/order.json", "event is the path of a file in this folder, not %q", name)
		return
	}
	t.Event = name
}

func (r *testReader) connections(n *yaml.Node) map[string]map[string]string {
	all := map[string]map[string]string{}
	o := r.object(n, "connections")
	for _, key := range o.keys {
		all[key.Value] = r.texts(o.vals[key.Value], "a connection")
	}
	return all
}

// mapping reads plain data that must be a mapping.
func (r *testReader) mapping(n *yaml.Node, what string) map[string]any {
	m, ok := r.data(n).(map[string]any)
	if !ok {
		r.errorf(place(n), "", "%s is a mapping of keys to values, this is %s", what, describe(n))
	}
	return m
}

// texts reads a mapping of names to texts; numbers and booleans are taken as they are written.
func (r *testReader) texts(n *yaml.Node, what string) map[string]string {
	o := r.object(n, what)
	m := make(map[string]string, len(o.keys))
	for _, key := range o.keys {
		val := o.vals[key.Value]
		if val.Kind != yaml.ScalarNode || isNull(val) {
			r.errorf(place(val), "", "%s is a text, this is %s", key.Value, describe(val))
			continue
		}
		m[key.Value] = val.Value
	}
	return m
}

// use reads connector.action; n may be nil.
func (r *testReader) use(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	text, ok := r.text(n, "use")
	if !ok {
		return ""
	}
	if _, _, ok := splitUse(text); !ok {
		r.errorf(place(n), "write it like http.request", "use names a connector and an action, not %q", text)
		return ""
	}
	return text
}

// stepID reads the id of a step; n may be nil.
func (r *testReader) stepID(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	id, ok := r.text(n, "step")
	if ok && !localID.MatchString(id) {
		r.errorf(place(n), "", "%q cannot be the id of a step", id)
		return ""
	}
	return id
}

func (r *testReader) mock(n *yaml.Node) *Mock {
	m := &Mock{At: place(n)}
	o := r.object(n, "a mock")
	if n.Kind != yaml.MappingNode {
		return m
	}
	m.Use = r.use(o.value("use"))
	step := o.value("step")
	if m.Step = r.stepID(step); m.Step != "" {
		m.StepAt = place(step)
	}
	if with := o.value("with"); with != nil {
		m.With = r.mapping(with, "with")
	}
	if o.vals["use"] == nil && o.vals["step"] == nil && o.vals["http"] == nil {
		r.errorf(o.at, "such as use: http.request", "a mock needs the key use, step or http")
	}
	var answers []*yaml.Node
	for _, key := range []string{"returns", "fails", "http"} {
		if val := o.take(key); val != nil {
			answers = append(answers, o.key(key))
			switch key {
			case "returns":
				m.Returns = &Returned{r.data(val)}
			case "fails":
				m.Fails = r.fails(val)
			case "http":
				m.HTTP = r.exchanges(val)
			}
		}
	}
	switch {
	case len(answers) == 0:
		r.errorf(o.at, "add returns, fails or http", "a mock needs an answer")
	case len(answers) > 1:
		r.errorf(place(answers[1]), "", "a mock has one answer, this one has %s and %s", answers[0].Value, answers[1].Value)
	}
	o.done()
	return m
}

func (r *testReader) fails(n *yaml.Node) *Failed {
	f := &Failed{}
	o := r.object(n, "fails")
	if n.Kind != yaml.MappingNode {
		return f
	}
	f.Status = o.whole("status", 0, 300, 599)
	f.Message = o.text("message")
	if o.vals["status"] == nil && o.vals["message"] == nil {
		r.errorf(o.at, "such as fails: {status: 429}", "fails needs the key status or message")
	}
	o.done()
	return f
}

// exchanges reads one HTTP exchange or a list of them.
func (r *testReader) exchanges(n *yaml.Node) []*Exchange {
	entries := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		entries = n.Content
	}
	if len(entries) == 0 {
		r.errorf(place(n), "such as {reply: {status: 200}}", "http has no calls")
	}
	var list []*Exchange
	for _, entry := range entries {
		e := &Exchange{At: place(entry), Reply: Reply{Status: 200}}
		o := r.object(entry, "an HTTP call")
		if expect := o.value("expect"); expect != nil {
			e.Expect = r.request(expect)
		}
		if reply := o.need("reply", "such as reply: {status: 200, json: {ok: true}}"); reply != nil {
			e.Reply = r.reply(reply)
		}
		o.done()
		list = append(list, e)
	}
	return list
}

func (r *testReader) request(n *yaml.Node) Request {
	o := r.object(n, "an expected HTTP call")
	q := Request{Method: o.word("method", "", webhookMethods...), URL: o.text("url")}
	if query := o.value("query"); query != nil {
		q.Query = r.texts(query, "query")
	}
	if headers := o.value("headers"); headers != nil {
		q.Headers = r.texts(headers, "headers")
	}
	if body := o.take("json"); body != nil {
		q.JSON = &Returned{r.data(body)}
	}
	if body := o.value("body"); body != nil {
		if text, ok := r.text(body, "body"); ok {
			q.Body = &text
		}
	}
	if o.vals["json"] != nil && o.vals["body"] != nil {
		r.errorf(place(o.key("body")), "", "an expected HTTP call has either json or body")
	}
	o.done()
	return q
}

func (r *testReader) reply(n *yaml.Node) Reply {
	o := r.object(n, "a reply")
	a := Reply{Status: o.whole("status", 200, 200, 599)}
	if headers := o.value("headers"); headers != nil {
		a.Headers = r.texts(headers, "headers")
	}
	if body := o.take("json"); body != nil {
		a.JSON = &Returned{r.data(body)}
	}
	a.Body = o.text("body")
	if o.vals["json"] != nil && o.vals["body"] != nil {
		r.errorf(place(o.key("body")), "", "a reply has either json or body")
	}
	o.done()
	return a
}

// runStatuses are the statuses in which a test can leave a run.
var runStatuses = []string{"succeeded", "filtered", "failed", "canceled"}

func (r *testReader) expect(n *yaml.Node) Expect {
	e := Expect{At: place(n)}
	o := r.object(n, "expect")
	if n.Kind != yaml.MappingNode {
		return e
	}
	e.Status = o.word("status", "", runStatuses...)
	e.Reason = o.text("reason")
	e.Steps = r.byStep(o.value("steps"), "steps")
	e.Errors = r.byStep(o.value("errors"), "errors")
	if respond := o.value("respond"); respond != nil {
		e.Respond = r.response(respond)
	}
	if calls := o.value("calls"); calls != nil {
		e.Calls = []*ExpectedCall{}
		for _, entry := range r.list(calls, "calls") {
			e.Calls = append(e.Calls, r.expectedCall(entry))
		}
	}
	if len(o.keys) == 0 {
		r.errorf(e.At, "such as expect: {status: succeeded}", "expect is empty: the test shows nothing")
	}
	o.done()
	return e
}

func (r *testReader) byStep(n *yaml.Node, what string) []Expected {
	if n == nil {
		return nil
	}
	var list []Expected
	o := r.object(n, what)
	for _, key := range o.keys {
		if !localID.MatchString(key.Value) {
			r.errorf(place(key), "", "%q cannot be the id of a step", key.Value)
			continue
		}
		list = append(list, Expected{key.Value, place(key), r.data(o.vals[key.Value])})
	}
	return list
}

func (r *testReader) response(n *yaml.Node) *ExpectedResponse {
	o := r.object(n, "respond")
	want := &ExpectedResponse{Status: o.whole("status", 0, 200, 599)}
	if headers := o.value("headers"); headers != nil {
		want.Headers = r.texts(headers, "headers")
	}
	if body := o.take("body"); body != nil {
		want.Body = &Returned{r.data(body)}
	}
	o.done()
	return want
}

func (r *testReader) expectedCall(n *yaml.Node) *ExpectedCall {
	c := &ExpectedCall{At: place(n), Times: 1}
	o := r.object(n, "a call")
	if n.Kind != yaml.MappingNode {
		return c
	}
	c.Use = r.use(o.need("use", "such as use: http.request"))
	c.Step = r.stepID(o.value("step"))
	if with := o.value("with"); with != nil {
		c.With = r.mapping(with, "with")
	}
	c.Times = o.whole("times", 1, 0, 10_000)
	o.done()
	return c
}

// Check reports what the tests name and the workflow does not have.
func (f *TestFile) Check(w *Workflow) Problems {
	r := newReporter(f.File, f.source)
	var ids, uses []string
	visit := func(s *Step) {
		if s.Named {
			ids = append(ids, s.ID)
		}
		if use, ok := s.Do.(*Use); ok {
			uses = append(uses, use.Connector+"."+use.Action)
		}
	}
	Walk(w.Steps, visit)
	Walk(w.OnFailure, visit)
	var triggers []string
	for _, t := range w.Triggers {
		triggers = append(triggers, t.ID)
	}
	step := func(id string, at Position) {
		if id != "" && w.Step(id) == nil {
			r.errorf(at, known(id, ids), "the workflow %s has no step %q", w.ID, id)
		}
	}
	for _, t := range f.Tests {
		if id, ok := t.Trigger["id"].(string); ok && id != "manual" && !slices.Contains(triggers, id) {
			r.errorf(t.TriggerAt, known(id, triggers), "the workflow %s has no trigger %q", w.ID, id)
		}
		for _, m := range t.Mocks {
			step(m.Step, m.StepAt)
			if m.Use != "" && !slices.Contains(uses, m.Use) {
				r.errorf(m.At, didYouMean(m.Use, uses), "no step of the workflow %s uses %s", w.ID, m.Use)
			}
		}
		for _, e := range append(slices.Clone(t.Expect.Steps), t.Expect.Errors...) {
			step(e.ID, e.At)
		}
		for _, c := range t.Expect.Calls {
			step(c.Step, c.At)
			if c.Use != "" && c.Times > 0 && !slices.Contains(uses, c.Use) {
				r.errorf(c.At, didYouMean(c.Use, uses), "no step of the workflow %s uses %s", w.ID, c.Use)
			}
		}
	}
	return r.finish()
}

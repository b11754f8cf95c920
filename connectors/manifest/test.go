package manifest

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Test is one test of a manifest: a call of an action against a server on this machine, or a delivery to a trigger.
type Test struct {
	Name    string
	Action  string // or Trigger
	Trigger string
	Line    int

	column     int
	auth       string
	connection map[string]any // fields and secrets in the place of the invented ones
	with       map[string]any
	http       []stub
	returns    any
	hasReturns bool
	fails      *failing

	delivery *parcel
	emits    []any
	hasEmits bool
	answers  map[string]any
	cursor   any
}

// stub is one call that is expected, and what it is answered.
type stub struct {
	expect map[string]any
	status int
	header map[string]any
	body   []byte
	kind   string
}

type failing struct {
	permanent  *bool
	message    string
	retryAfter time.Duration
	status     int
	unknown    bool
}

// parcel is a delivery to an endpoint.
type parcel struct {
	sign    bool
	method  string
	query   map[string]any
	headers map[string]any
	body    []byte
	kind    string
}

func (r *reader) tests(n *yaml.Node) {
	if n == nil {
		return
	}
	for _, item := range r.List(n, "tests") {
		o := r.Object(item, "a test")
		t := &Test{Name: o.Text("name"), Action: o.Text("action"), Trigger: o.Text("trigger"), Line: item.Line, column: item.Column}
		o.Need("name", "a few words that say what it shows")
		if (t.Action == "") == (t.Trigger == "") {
			r.Errorf(item, "", "a test has either action or trigger")
		}
		if n := o.Take("action"); n != nil && r.src.actions[t.Action] == nil {
			r.Errorf(n, workflow.Known(t.Action, keysOf(r.src.actions)), "there is no action %q", t.Action)
		}
		if n := o.Take("trigger"); n != nil && r.c.Trigger(t.Trigger) == nil {
			r.Errorf(n, "", "there is no trigger %q", t.Trigger)
		}
		t.auth = o.Text("auth")
		if n := o.Take("auth"); n != nil && r.src.schemes[t.auth] == nil {
			r.Errorf(n, workflow.Known(t.auth, keysOf(r.src.schemes)), "there is no auth %q", t.auth)
		}
		if n := o.Value("connection"); n != nil {
			t.connection = asObject(r.Data(n))
		}
		if n := o.Value("with"); n != nil {
			t.with = asObject(r.Data(n))
		}
		if n := o.Value("http"); n != nil {
			for _, item := range r.List(n, "http") {
				t.http = append(t.http, r.stub(item))
			}
		}
		if n := o.Take("returns"); n != nil {
			t.returns, t.hasReturns = r.Data(n), true
		}
		if n := o.Value("fails"); n != nil {
			t.fails = r.failing(n)
		}
		if n := o.Value("delivery"); n != nil {
			t.delivery = r.parcel(n)
		}
		if n := o.Value("emits"); n != nil {
			t.emits, t.hasEmits = r.values(n, "emits"), true
		}
		if n := o.Value("answers"); n != nil {
			t.answers = asObject(r.Data(n))
		}
		if n := o.Take("cursor"); n != nil {
			t.cursor = r.Data(n)
		}
		o.Done()
		r.m.Tests = append(r.m.Tests, t)
	}
}

func (r *reader) stub(n *yaml.Node) stub {
	o := r.Object(n, "an exchange")
	s := stub{status: 200}
	if n := o.Value("expect"); n != nil {
		e := r.Object(n, "expect")
		for _, key := range []string{"method", "host", "path", "query", "headers", "json", "form", "body", "no_query"} {
			if n := e.Take(key); n != nil {
				if s.expect == nil {
					s.expect = map[string]any{}
				}
				s.expect[key] = r.Data(n)
			}
		}
		e.Done()
	}
	if n := o.Value("reply"); n != nil {
		p := r.Object(n, "reply")
		s.status = p.Int("status", 200, 100, 599)
		if n := p.Value("headers"); n != nil {
			s.header = asObject(r.Data(n))
		}
		s.body, s.kind = r.content(p)
		p.Done()
	}
	o.Done()
	return s
}

// content reads json, form or body.
func (r *reader) content(o *workflow.Object) (body []byte, kind string) {
	if n := o.Value("body"); n != nil {
		text, _ := r.Text(n, "body")
		body, kind = []byte(text), "text/plain; charset=utf-8"
	}
	if n := o.Value("form"); n != nil {
		b, err := value.AppendForm(nil, asObject(r.Data(n)))
		if err != nil {
			r.Errorf(n, "", "form: %v", err)
		}
		body, kind = b, "application/x-www-form-urlencoded"
	}
	if n := o.Take("json"); n != nil {
		b, err := value.AppendJSON(nil, r.Data(n))
		if err != nil {
			r.Errorf(n, "", "json: %v", err)
		}
		body, kind = b, "application/json"
	}
	return body, kind
}

func (r *reader) failing(n *yaml.Node) *failing {
	o := r.Object(n, "fails")
	f := &failing{message: o.Text("message"), retryAfter: o.Duration("retry_after", 0), status: o.Int("status", 0, 100, 599), unknown: o.Bool("unknown", false)}
	if n := o.Value("permanent"); n != nil {
		b := o.Bool("permanent", true)
		f.permanent = &b
	}
	o.Done()
	return f
}

func (r *reader) parcel(n *yaml.Node) *parcel {
	o := r.Object(n, "delivery")
	p := &parcel{sign: o.Bool("sign", true), method: o.Word("method", "POST", "POST", "GET", "PUT", "HEAD")}
	if n := o.Value("headers"); n != nil {
		p.headers = asObject(r.Data(n))
	}
	if n := o.Value("query"); n != nil {
		p.query = asObject(r.Data(n))
	}
	p.body, p.kind = r.content(o)
	o.Done()
	return p
}

// Untested names what the tests leave out: for each action that people see a success and a failure, for each endpoint
// a signed and a forged delivery.
func (m *Manifest) Untested() []string {
	success, failure, signed, forged := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	polled := map[string]bool{}
	for _, t := range m.Tests {
		switch {
		case t.Action != "" && t.fails != nil:
			failure[t.Action] = true
		case t.Action != "":
			success[t.Action] = true
		case t.delivery == nil:
			polled[t.Trigger] = true
		case t.delivery.sign:
			signed[m.Connector.Trigger(t.Trigger).Endpoint] = true
		default:
			forged[m.Connector.Trigger(t.Trigger).Endpoint] = true
		}
	}
	var list []string
	miss := func(has bool, format string, args ...any) {
		if !has {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	for i := range m.Connector.Actions {
		if a := &m.Connector.Actions[i]; a.Show != "hidden" {
			miss(success[a.Name], "action %s: no test of a success", a.Name)
			miss(failure[a.Name], "action %s: no test of a failure", a.Name)
		}
	}
	for i := range m.Connector.Endpoints {
		id := m.Connector.Endpoints[i].ID
		miss(signed[id], "endpoint %s: no test of a signed delivery", id)
		miss(forged[id], "endpoint %s: no test of a forged delivery", id)
	}
	for i := range m.Connector.Triggers {
		if t := &m.Connector.Triggers[i]; t.Poll != nil {
			miss(polled[t.Name], "trigger %s: no test", t.Name)
		}
	}
	return list
}

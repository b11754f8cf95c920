package manifest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
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

// Run runs the tests, one after another, against a server on this machine, with invented secrets. The problems say which
// failed and why; file is the name of the manifest as they show it.
func (m *Manifest) Run(ctx context.Context, file string) (workflow.Problems, error) {
	stage, err := newStage(ctx)
	if err != nil {
		return nil, err
	}
	defer stage.close()
	var problems workflow.Problems
	for _, t := range m.Tests {
		for _, message := range m.run(ctx, stage, t) {
			problems = append(problems, workflow.Problem{File: file, Line: t.Line, Column: t.column, Message: fmt.Sprintf("test %q: %s", t.Name, message)})
		}
	}
	return problems, nil
}

// stage is the server that stands for the systems outside.
type stage struct {
	server    *http.Server
	transport *http.Transport
	addr      string
	done      chan struct{}

	mu    sync.Mutex
	stubs []stub
	used  int
	wrong []string
}

func newStage(ctx context.Context) (*stage, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("a server for the tests cannot listen: %w", err)
	}
	s := &stage{addr: l.Addr().String(), done: make(chan struct{}), transport: &http.Transport{DisableCompression: true}}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // it ends when it is closed
	}()
	return s, nil
}

func (s *stage) close() {
	s.transport.CloseIdleConnections()
	_ = s.server.Close()
	<-s.done
}

func (s *stage) begin(stubs []stub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stubs, s.used, s.wrong = stubs, 0, nil
}

func (s *stage) end() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used < len(s.stubs) {
		s.wrong = append(s.wrong, fmt.Sprintf("%d of the %d calls under http were made", s.used, len(s.stubs)))
	}
	return s.wrong
}

// RoundTrip brings every call to the server, whatever its host.
func (s *stage) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host = "http", s.addr
	out.Host = req.URL.Host
	return s.transport.RoundTrip(out)
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 16<<20)) // a body that breaks off differs from what is expected
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used >= len(s.stubs) {
		s.wrong = append(s.wrong, fmt.Sprintf("call %d (%s https://%s%s) is not expected", s.used+1, r.Method, r.Host, r.URL.Path))
		s.used++
		w.WriteHeader(http.StatusTeapot)
		return
	}
	stub := &s.stubs[s.used]
	s.used++
	for _, problem := range stub.compare(r, body) {
		s.wrong = append(s.wrong, fmt.Sprintf("call %d: %s", s.used, problem))
	}
	if stub.kind != "" {
		w.Header().Set("Content-Type", stub.kind)
	}
	for name, v := range stub.header {
		w.Header().Set(name, textOf(v))
	}
	w.WriteHeader(stub.status)
	_, _ = w.Write(stub.body)
}

// compare says how a call differs from what is expected.
func (s *stub) compare(r *http.Request, body []byte) []string {
	var wrong []string
	differ := func(what string, want, got any) {
		if d := difference(want, got); d != "" {
			wrong = append(wrong, what+d)
		}
	}
	for key, want := range s.expect {
		switch key {
		case "method":
			differ("the method", want, r.Method)
		case "host":
			differ("the host", want, r.Host)
		case "path":
			differ("the path", want, r.URL.EscapedPath())
		case "query":
			differ("the query", texts(want), valuesOf(r.URL.Query()))
		case "no_query":
			for _, name := range want.([]any) {
				if r.URL.Query().Has(textOf(name)) {
					wrong = append(wrong, fmt.Sprintf("the query has %s", textOf(name)))
				}
			}
		case "headers":
			for name, text := range asObject(want) {
				differ("the header "+name, textOf(text), strings.Join(r.Header.Values(name), ", "))
			}
		case "json":
			got, err := value.DecodeJSON(body)
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("the body is no JSON: %s", short(string(body))))
				continue
			}
			differ("the body", want, got)
		case "form":
			q, err := url.ParseQuery(string(body))
			if err != nil {
				wrong = append(wrong, "the body is no form")
				continue
			}
			differ("the form", texts(want), valuesOf(q))
		case "body":
			if text := textOf(want); !strings.Contains(string(body), text) {
				wrong = append(wrong, fmt.Sprintf("the body does not hold %q: %s", text, short(string(body))))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// texts makes texts of the values of an object, as they stand in a query.
func texts(v any) any {
	out := map[string]any{}
	for name, item := range asObject(v) {
		if list, ok := item.([]any); ok {
			all := make([]any, len(list))
			for i := range list {
				all[i] = textOf(list[i])
			}
			out[name] = all
			continue
		}
		out[name] = textOf(item)
	}
	return out
}

func valuesOf(q url.Values) any {
	out := map[string]any{}
	for name, values := range q {
		if len(values) == 1 {
			out[name] = values[0]
			continue
		}
		list := make([]any, len(values))
		for i := range values {
			list[i] = values[i]
		}
		out[name] = list
	}
	return out
}

// difference says where got does not hold what is wanted; a subset is enough.
func difference(want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return " is " + shown(got) + ", want an object"
		}
		for _, name := range keysOf(want) {
			have, there := object[name]
			if !there && want[name] != nil {
				return "." + name + " is missing"
			}
			if d := difference(want[name], have); d != "" {
				return "." + name + d
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return " is " + shown(got) + ", want a list of " + fmt.Sprint(len(want))
		}
		for i := range want {
			if d := difference(want[i], list[i]); d != "" {
				return fmt.Sprintf("[%d]%s", i, d)
			}
		}
		return ""
	}
	if !value.Equal(want, got) {
		return " is " + shown(got) + ", want " + shown(want)
	}
	return ""
}

func shown(v any) string {
	b, err := value.AppendJSON(nil, v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return short(string(b))
}

func short(s string) string {
	if len(s) > 300 {
		return strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// run runs one test and says what is wrong.
func (m *Manifest) run(ctx context.Context, s *stage, t *Test) []string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := m.invent(t)
	if err != nil {
		return []string{err.Error()}
	}
	call := &connectors.Call{
		Key: "01JINVENTEDINVENTEDINVENTE", Workflow: "test", Input: t.with, Connection: conn,
		HTTP: &http.Client{Transport: s}, Now: time.Now(),
	}
	if call.Input == nil {
		call.Input = map[string]any{}
	}
	m.inventToken(call, t)
	s.begin(t.http)
	var wrong []string
	switch {
	case t.Action != "":
		out, err := m.Connector.Action(t.Action).Do(ctx, call)
		wrong = t.judge(out, err)
		wrong = append(wrong, leaks(conn, out, err)...)
	case t.delivery != nil:
		wrong = m.deliver(ctx, t, conn)
	default:
		wrong = m.poll(ctx, t, call)
	}
	return append(wrong, s.end()...)
}

// judge compares what came of an action.
func (t *Test) judge(out any, err error) []string {
	if t.fails == nil {
		switch {
		case err != nil:
			return []string{"it failed: " + err.Error()}
		case t.hasReturns:
			if d := difference(t.returns, out); d != "" {
				return []string{"what it returns" + d}
			}
		}
		return nil
	}
	if err == nil {
		return []string{"it did not fail; it returned " + shown(out)}
	}
	var wrong []string
	if t.fails.permanent != nil && *t.fails.permanent != connectors.IsPermanent(err) {
		wrong = append(wrong, fmt.Sprintf("the failure is permanent: %t, want %t (%v)", connectors.IsPermanent(err), *t.fails.permanent, err))
	}
	if t.fails.message != "" && !strings.Contains(err.Error(), t.fails.message) {
		wrong = append(wrong, fmt.Sprintf("the message is %q, want %q", err.Error(), t.fails.message))
	}
	if t.fails.retryAfter > 0 {
		if d, ok := connectors.Delay(err); !ok || d != t.fails.retryAfter {
			wrong = append(wrong, fmt.Sprintf("it asks to wait for %s, want %s (%v)", d, t.fails.retryAfter, err))
		}
	}
	if t.fails.status != 0 {
		var status *connectors.StatusError
		if !errors.As(err, &status) || status.Status != t.fails.status {
			wrong = append(wrong, fmt.Sprintf("the failure has not the status %d: %v", t.fails.status, err))
		}
	}
	if t.fails.unknown && !connectors.IsUnknown(err) {
		wrong = append(wrong, fmt.Sprintf("the outcome is known: %v", err))
	}
	return wrong
}

// leaks looks for the invented secrets in what a person will read.
func leaks(conn connectors.Connection, out any, err error) []string {
	text := shown(out)
	if err != nil {
		text += err.Error()
	}
	for _, name := range keysOf(conn.Secrets) {
		if v := conn.Secrets[name]; strings.HasPrefix(v, invented) && strings.Contains(text, v) {
			return []string{"the secret " + name + " shows in its result"}
		}
	}
	return nil
}

const invented = "invented-"

// invent makes a connection for a test.
func (m *Manifest) invent(t *Test) (connectors.Connection, error) {
	c := m.Connector
	conn := connectors.Connection{Name: "test", Connector: c.ID, Fields: map[string]any{}, Secrets: map[string]string{}}
	for name, f := range c.Fields.Properties {
		switch {
		case f.Default != nil || name == "base_url":
		case len(f.Enum) > 0:
			conn.Fields[name] = f.Enum[0]
		case len(f.Examples) > 0:
			conn.Fields[name] = f.Examples[0]
		default:
			conn.Fields[name] = "example"
		}
	}
	if len(c.Auth) > 0 {
		s := &c.Auth[0]
		for i := range c.Auth {
			if t.auth == c.Auth[i].ID || t.auth == "" && c.Auth[i].Type != connectors.AuthOAuth2 && s.Type == connectors.AuthOAuth2 {
				s = &c.Auth[i]
			}
		}
		conn.Auth = s.ID
		for i := range s.Secrets {
			name := s.Secrets[i].Name
			if s.Secrets[i].Optional {
				continue
			}
			conn.Secrets[name] = invented + name
			if s.Type == connectors.AuthURL && name == "url" {
				conn.Secrets[name] = "https://" + first(c.Hosts, "hooks.example.com") + "/invented-hook"
			}
			if j := m.source.schemes[s.ID].jwt; j != nil && j.key == name && j.algorithm != "HS256" {
				keys, err := inventKeys()
				if err != nil {
					return conn, err
				}
				conn.Secrets[name] = keys[j.algorithm]
			}
		}
	}
	if c.SigningSecret != nil || len(c.Endpoints) > 0 {
		conn.Secrets["signing_secret"] = invented + "signing-secret"
	}
	kept := map[string]bool{}
	for _, s := range m.source.schemes {
		for name := range s.keep {
			kept[name] = true
		}
	}
	for name, v := range t.connection {
		_, isField := c.Fields.Properties[name]
		switch {
		case isField:
			conn.Fields[name] = v
		case kept[name]:
			if conn.Kept == nil {
				conn.Kept = map[string]any{}
			}
			conn.Kept[name] = v
		default:
			conn.Secrets[name] = textOf(v)
		}
	}
	return conn, nil
}

func first(hosts []string, otherwise string) string {
	if len(hosts) == 0 {
		return otherwise
	}
	if bare, wild := strings.CutPrefix(hosts[0], "*."); wild {
		return "hooks." + bare
	}
	return hosts[0]
}

var inventKeys = sync.OnceValues(func() (map[string]string, error) {
	keys := map[string]string{}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	for name, key := range map[string]any{"RS256": r, "ES256": e} {
		b, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		keys[name] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
	}
	return keys, nil
})

// inventToken stands for whoever keeps tokens. A test that names its auth goes through getting one, others do not.
func (m *Manifest) inventToken(call *connectors.Call, t *Test) {
	scheme := m.Connector.Scheme(call.Connection.Auth)
	if scheme == nil || !m.source.schemes[scheme.ID].hasToken() {
		return
	}
	n := 0
	call.Token = func(ctx context.Context, refused string) (string, error) {
		if scheme.Obtain != nil && t.auth != "" {
			if n > 0 && refused == "" {
				return fmt.Sprintf("token-%d", n), nil
			}
			n++
			g, err := scheme.Obtain(ctx, call)
			return g.Token, err
		}
		if refused != "" {
			return invented + "token-2", nil
		}
		return invented + "token", nil
	}
}

// deliver brings a delivery to the endpoint of a trigger.
func (m *Manifest) deliver(ctx context.Context, t *Test, conn connectors.Connection) []string {
	trigger := m.Connector.Trigger(t.Trigger)
	e := m.Connector.Endpoint(trigger.Endpoint)
	if e == nil {
		return []string{"the trigger has no endpoint"}
	}
	p := t.delivery
	now := time.Now()
	address := "https://bell.example.com/hooks/_/test/" + e.ID
	if len(p.query) > 0 {
		q := url.Values{}
		for name, v := range p.query {
			q.Set(name, textOf(v))
		}
		address += "?" + q.Encode()
	}
	req := signature.Request{Method: p.method, URL: address, Header: http.Header{}, Body: p.body, Now: now}
	if p.kind != "" {
		req.Header.Set("Content-Type", p.kind)
	}
	for name, v := range p.headers {
		req.Header.Set(name, textOf(v))
	}
	secrets := conn.Secrets
	var keys *signature.Keys
	var err error
	if e.Verify.Scheme == "paypal" {
		keys, err = signPayPal(&req, secrets, p.sign)
	} else {
		err = sign(&req, e.Verify, secrets, p.sign)
	}
	if err != nil {
		return []string{err.Error()}
	}
	verifier, err := signature.New(e.Verify, keys)
	if err != nil {
		return []string{err.Error()}
	}
	conn.Secrets = secrets
	var status int
	var body string
	var emitted []connectors.Item
	key := ""
	if err := verifier.Verify(ctx, req, signature.SecretsOf(conn)); err != nil {
		status = http.StatusUnauthorized
		if p.sign {
			return []string{"the signed delivery is refused: " + err.Error()}
		}
	} else {
		d := m.inbound(&req, t)
		status = e.Answer.Status
		if status == 0 {
			status = http.StatusAccepted
		}
		body = string(e.Answer.Body)
		var reply *connectors.Reply
		if e.Handshake != nil {
			if reply, err = e.Handshake(ctx, d); err != nil {
				return []string{"handshake: " + err.Error()}
			}
		}
		if reply != nil {
			status, body = reply.Status, string(reply.Body)
		} else if emitted, key, err = m.emit(ctx, trigger, e, verifier, req, d); err != nil {
			return []string{err.Error()}
		}
	}
	var wrong []string
	if want, ok := t.answers["status"]; ok && !value.Equal(want, status) {
		wrong = append(wrong, fmt.Sprintf("it is answered %d, want %s", status, textOf(want)))
	}
	if want, ok := t.answers["body"]; ok && textOf(want) != body {
		wrong = append(wrong, fmt.Sprintf("it is answered with %q, want %q", body, textOf(want)))
	}
	if !p.sign && status != http.StatusUnauthorized && t.answers["status"] == nil {
		wrong = append(wrong, "the forged delivery is taken for genuine")
	}
	if t.hasEmits {
		wrong = append(wrong, compareEmits(t.emits, emitted, key)...)
	}
	return wrong
}

// inbound is a delivery as expressions see it.
func (m *Manifest) inbound(req *signature.Request, t *Test) connectors.Delivery {
	headers := map[string]any{}
	for name, values := range req.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	u, _ := url.Parse(req.URL)
	return connectors.Delivery{
		Trigger: map[string]any{
			"id": t.Trigger, "kind": "webhook", "at": req.Now.UTC().Format(time.RFC3339), "body": wire.Parse(req.Header.Get("Content-Type"), req.Body),
			"headers": headers, "query": valuesOf(u.Query()), "params": map[string]any{}, "method": req.Method, "path": strings.TrimPrefix(u.Path, "/hooks/"), "raw": string(req.Body),
		},
		Input: t.with, Now: req.Now,
	}
}

func (m *Manifest) emit(ctx context.Context, trigger *connectors.Trigger, e *connectors.Endpoint, v *signature.Verifier, req signature.Request, d connectors.Delivery) ([]connectors.Item, string, error) {
	if e.Event != nil && len(trigger.Events) > 0 {
		name, err := e.Event(ctx, d)
		if err != nil {
			return nil, "", fmt.Errorf("event: %w", err)
		}
		if !slices.Contains(trigger.Events, name) {
			return nil, "", nil
		}
	}
	items := []connectors.Item{{Body: d.Trigger["body"]}}
	if trigger.Emit != nil {
		var err error
		if items, err = trigger.Emit(ctx, d); err != nil {
			return nil, "", fmt.Errorf("trigger %s: %w", trigger.Name, err)
		}
	}
	key := v.DeliveryID(req, d.Trigger["body"])
	if e.Dedupe != nil {
		var err error
		if key, err = e.Dedupe(ctx, d); err != nil {
			return nil, "", fmt.Errorf("dedupe: %w", err)
		}
	}
	return items, key, nil
}

// compareEmits compares what starts runs. The key of an item is that of the delivery, with its own behind a slash.
func compareEmits(want []any, got []connectors.Item, key string) []string {
	if len(want) != len(got) {
		return []string{fmt.Sprintf("it starts %d runs, want %d", len(got), len(want))}
	}
	var wrong []string
	for i := range want {
		w := asObject(want[i])
		have := key
		if got[i].Key != "" {
			if have != "" {
				have += "/"
			}
			have += got[i].Key
		}
		if k, ok := w["key"]; ok && textOf(k) != have {
			wrong = append(wrong, fmt.Sprintf("run %d has the key %q, want %q", i+1, have, textOf(k)))
		}
		if b, ok := w["body"]; ok {
			if d := difference(b, got[i].Body); d != "" {
				wrong = append(wrong, fmt.Sprintf("run %d: trigger.body%s", i+1, d))
			}
		}
		if v, ok := w["version"]; ok && textOf(v) != got[i].Version {
			wrong = append(wrong, fmt.Sprintf("run %d has the version %q, want %q", i+1, got[i].Version, textOf(v)))
		}
	}
	return wrong
}

// poll asks once, as a poll that has seen nothing.
func (m *Manifest) poll(ctx context.Context, t *Test, call *connectors.Call) []string {
	trigger := m.Connector.Trigger(t.Trigger)
	if trigger.Poll == nil {
		return []string{"add delivery: the trigger takes deliveries"}
	}
	items, _, err := trigger.Poll.Fetch(ctx, call, t.cursor, time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	if t.fails != nil {
		return t.judge(nil, err)
	}
	if err != nil {
		return []string{"it failed: " + err.Error()}
	}
	if t.hasEmits {
		return compareEmits(t.emits, items, "")
	}
	return nil
}

package trigger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const (
	defaultBody = 1 << 20  // bytes
	maxBody     = 25 << 20 // the highest limit that a workflow can set
	// bodyCost is how much memory a byte of a body can cost while it is decoded: a map for each `{"a":1},`.
	// heldCost is what it costs on average until the event is stored.
	bodyCost, heldCost = 48, 8
	memoryBudget       = 256 << 20
	firstRead          = 16 << 10 // bytes, of a body whose length is not known

	readTimeout   = 20 * time.Second // of a body
	acceptTimeout = 20 * time.Second
	waitTimeout   = 30 * time.Second // of a caller that waits for an answer of the run
	recordTimeout = 2 * time.Second
	maxRecording  = 64 // refusals that are being stored; more of them leave no trace

	// maxHops ends a loop of workflows that call each other.
	maxHops = 10
)

const redacted = "[redacted]"

// inbound is one call, whoever it is for.
type inbound struct {
	set      *Set
	r        *http.Request
	at       time.Time
	limit    int64 // bytes of the body
	raw      []byte
	held     int64               // of the memory budget
	verifier *signature.Verifier // nil: anyone may call
	request  signature.Request   // as it was verified
	body     any                 // decoded

	workflow, trigger string // whose deliveries show it
}

// call is one call of a webhook on its way to becoming an event.
type call struct {
	inbound
	hook   *hook
	params map[string]any
	allow  func() string // the methods of the hook
	probed bool          // the method is none of the hook's: only what its provider asks on its own is answered
}

func (s *Set) call(h *hook, r *http.Request, end *segment) *call {
	return &call{
		inbound: inbound{set: s, r: r, at: time.Now(), limit: h.limit, verifier: h.verifier, workflow: h.workflow.ID, trigger: h.trigger.ID},
		hook:    h, allow: end.allow,
	}
}

// ServeHTTP serves everything below /hooks/. An event is durable before it is answered.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		writeProblem(w, &refusal{status: http.StatusServiceUnavailable, detail: "the server is shutting down", retryAfter: 5, hangUp: true})
		return
	}
	path, below := strings.CutPrefix(r.URL.EscapedPath(), "/hooks/")
	if rest, ok := strings.CutPrefix(path, "_/"); ok && below {
		s.serveEndpoint(w, r, strings.TrimSuffix(rest, "/"))
		return
	}
	m, found := s.routes.Load().find(strings.TrimSuffix(path, "/"))
	if !below || !found {
		writeProblem(w, &refusal{status: http.StatusNotFound, detail: "there is no hook at this address", hangUp: r.ContentLength != 0})
		return
	}
	h := m.end.hooks[r.Method]
	probed := false
	if h == nil {
		h = m.end.answering()
		probed = h != nil
	}
	if h == nil {
		first, _, _ := strings.Cut(m.end.allow(), ",")
		c := s.call(m.end.hooks[first], r, m.end)
		c.refuse(w, c.wrongMethod())
		return
	}
	c := s.call(h, r, m.end)
	c.probed, c.params = probed, make(map[string]any, len(m.params))
	defer c.hold(0)
	for i, name := range h.params {
		c.params[name] = m.params[i]
	}
	if no := c.serve(w); no != nil {
		c.refuse(w, no)
	}
}

// serve takes the call from the bytes on the wire to the answer, unless it is refused.
func (c *call) serve(w http.ResponseWriter) *refusal {
	if no := c.checkHeader(); no != nil {
		return no
	}
	if no := c.read(w); no != nil {
		return no
	}
	if done, no := c.verify(w); done || no != nil {
		return no
	}
	body, no := decodeBody(c.r.Header, c.raw)
	if no != nil {
		return no
	}
	c.body = body.body
	if c.verifier != nil {
		if a := c.verifier.Handshake(c.request, c.body); a != nil {
			c.handshake(w, a)
			return nil
		}
	}
	if c.probed {
		return c.wrongMethod()
	}
	c.hold(int64(len(c.raw)) * heldCost)
	ev, no := c.event(body)
	if no != nil {
		return no
	}
	if !c.hook.workflow.Enabled {
		return c.keep(w, ev)
	}
	c.setKey(ev)
	return c.accept(w, ev)
}

// checkHeader refuses what can be refused before a byte of the body is read.
func (c *inbound) checkHeader() *refusal {
	h := c.r.Header
	for _, encoding := range h["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return &refusal{status: http.StatusUnsupportedMediaType, detail: "a compressed body is not supported: send it without Content-Encoding", hangUp: true}
		}
	}
	if c.r.ContentLength > c.limit {
		return c.tooLarge()
	}
	if hop := h.Get(engine.HopHeader); hop != "" {
		if n, err := strconv.Atoi(hop); err != nil || n < 0 || n > maxHops {
			return &refusal{status: http.StatusLoopDetected, detail: "this call came through Bellhop more than " + strconv.Itoa(maxHops) + " times: its workflows call each other in a circle", hangUp: true}
		}
	}
	return nil
}

func (c *inbound) tooLarge() *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, hangUp: true,
		detail: "the body is larger than " + strconv.FormatInt(c.limit, 10) + " bytes",
	}
}

// hold takes cost bytes of the memory budget in place of what the call holds so far.
func (c *inbound) hold(cost int64) bool {
	if !c.set.memory.swap(c.held, cost) {
		return false
	}
	c.held = cost
	return true
}

func (c *inbound) busy() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, detail: "too many large bodies at the same time", retryAfter: 1, hangUp: true, unrecorded: true}
}

// read reads the body, once, under a deadline and under the memory budget.
func (c *inbound) read(w http.ResponseWriter) *refusal {
	length := c.r.ContentLength
	if length == 0 {
		return nil
	}
	size := length
	if length < 0 {
		size = min(firstRead, c.limit+1)
	}
	if !c.hold(size * bodyCost) {
		return c.busy()
	}
	// The server lifts the deadline once the body is read. A writer without deadlines bounds the call itself.
	_ = http.NewResponseController(w).SetReadDeadline(c.at.Add(readTimeout))
	buf := make([]byte, size)
	if length > 0 {
		if _, err := io.ReadFull(c.r.Body, buf); err != nil {
			return c.unreadable(err)
		}
		c.raw = buf
		return nil
	}
	n := 0
	for {
		got, err := c.r.Body.Read(buf[n:])
		n += got
		if int64(n) > c.limit {
			return c.tooLarge()
		}
		if errors.Is(err, io.EOF) {
			if n > 0 {
				c.raw = buf[:n:n]
			}
			return nil
		}
		if err != nil {
			return c.unreadable(err)
		}
		if n == len(buf) {
			size := min(2*int64(n), c.limit+1)
			if !c.hold(size * bodyCost) {
				return c.busy()
			}
			buf = append(make([]byte, 0, size), buf...)[:size]
		}
	}
}

func (c *inbound) unreadable(err error) *refusal {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return c.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{status: http.StatusRequestTimeout, detail: "the body did not arrive within " + readTimeout.String(), hangUp: true}
	}
	return &refusal{status: http.StatusBadRequest, detail: "the body ended early", hangUp: true}
}

// wrongMethod refuses a call with a method that the hook does not take.
func (c *call) wrongMethod() *refusal {
	allow := c.allow()
	return &refusal{
		status: http.StatusMethodNotAllowed, allow: allow,
		detail: "the method " + c.r.Method + " is not one of: " + allow, hangUp: c.r.ContentLength != 0 && c.raw == nil,
	}
}

// verify decides over the raw bytes whether the call is genuine. What is answered does not tell why it is not. done:
// the provider only looked at the address, and has its answer.
func (c *call) verify(w http.ResponseWriter) (done bool, _ *refusal) {
	if c.hook.webhook.Verify == nil {
		return false, nil
	}
	if c.verifier == nil {
		return false, unverified(c.hook.unverifiable)
	}
	secrets, err := c.set.secrets(c.hook.webhook.Verify)
	return c.authenticate(w, secrets, err)
}

func unverified(reason string) *refusal {
	return &refusal{status: http.StatusUnauthorized, detail: "the call could not be verified", reason: reason}
}

// authenticate decides with these secrets, or with the reason why there are none.
func (c *inbound) authenticate(w http.ResponseWriter, secrets signature.Secrets, err error) (done bool, _ *refusal) {
	refused := func(err error) (bool, *refusal) {
		no := unverified(err.Error())
		no.challenge = c.verifier.Challenge()
		return false, no
	}
	if err != nil && !c.verifier.Open() {
		return refused(err)
	}
	target := c.r.RequestURI
	if !strings.HasPrefix(target, "/") {
		target = c.r.URL.RequestURI()
	}
	c.request = signature.Request{
		Method: c.r.Method,
		URL:    strings.TrimSuffix(c.set.PublicURL, "/") + target,
		Header: c.r.Header,
		Body:   c.raw,
		Peer:   c.r.RemoteAddr,
		Now:    c.at,
	}
	a, err := c.verifier.Probe(c.request, secrets)
	if err == nil && a == nil {
		err = c.verifier.Verify(c.r.Context(), c.request, secrets)
	}
	if err != nil {
		return refused(err)
	}
	if a != nil {
		c.handshake(w, a)
		return true, nil
	}
	return false, nil
}

// secrets finds what the sender and we share. It never falls back to none.
func (s *Set) secrets(v *workflow.Verify) (signature.Secrets, error) {
	if v.Connection == "" {
		return signature.Secrets{}, errors.New("verify names no connection, so there is no secret")
	}
	if s.Connections == nil {
		return signature.Secrets{}, fmt.Errorf("connection %s: there are no connections", v.Connection)
	}
	c, err := s.Connections(v.Connection)
	if err != nil {
		return signature.Secrets{}, err
	}
	return signature.SecretsOf(c), nil
}

// Blocked says why a workflow cannot be enabled, or "": a webhook lacks its secret, its path is another's, or a
// schedule has no times.
func (s *Set) Blocked(w *workflow.Workflow) string {
	for _, t := range w.Triggers {
		var err error
		switch t.Kind {
		case engine.TriggerWebhook:
			err = s.unreachable(w, t)
		case engine.TriggerSchedule:
			_, err = newClock(t.Schedule)
		case engine.TriggerPoll:
			_, err = newClock(&t.Poll.Schedule)
		case workflow.KindConnector:
			err = s.deaf(w, t)
		}
		if err != nil {
			return "trigger " + t.ID + ": " + err.Error()
		}
	}
	return ""
}

// deaf says why a trigger that a connector defines hears nothing.
func (s *Set) deaf(w *workflow.Workflow, t *workflow.Trigger) error {
	l, err := s.listener(context.Background(), w, t)
	if err != nil || l.endpoint == nil {
		return err
	}
	verifier, err := signature.New(l.endpoint.Verify, s.keys)
	if err != nil || verifier.Open() || l.endpoint.Subscribe != nil { // with which there is a secret of its own
		return err
	}
	if s.Connections == nil {
		return fmt.Errorf("connection %s: there are no connections", l.connection)
	}
	c, err := s.Connections(l.connection)
	if err != nil {
		return err
	}
	if err := verifier.Ready(signature.SecretsOf(c)); err != nil {
		return fmt.Errorf("connection %s: %w", l.connection, err)
	}
	return nil
}

// unreachable says why no call could reach a webhook.
func (s *Set) unreachable(w *workflow.Workflow, t *workflow.Trigger) error {
	if taken := s.routes.Load().taken(w, t.Webhook); taken != "" {
		return errors.New(taken)
	}
	v := t.Webhook.Verify
	if v == nil {
		return nil
	}
	verifier, err := signature.New(v.Verify, s.keys)
	if err != nil || verifier.Open() {
		return err
	}
	secrets, err := s.secrets(v)
	if err != nil {
		return err // it names the connection
	}
	if err := verifier.Ready(secrets); err != nil {
		return fmt.Errorf("connection %s: %w", v.Connection, err)
	}
	return nil
}

// event makes the event of the call.
func (c *call) event(body content) (*engine.Event, *refusal) {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the query is malformed: %v", err)
	}
	fields := c.fields(query)
	fields["params"] = c.params
	if !body.json {
		fields["body"] = body.body
	}
	ev := &engine.Event{
		Workflow: c.hook.workflow.ID,
		Trigger:  c.hook.trigger.ID,
		Kind:     engine.TriggerWebhook,
		At:       c.at,
		Window:   c.hook.window(),
		Fields:   fields,
		Raw:      c.raw,
		Delivery: c.delivery(engine.DeliveryAccepted, http.StatusAccepted),
	}
	if body.json {
		ev.Body = body.body
	}
	if body.duplicates {
		ev.Delivery.Reason = "The body repeats a key in one object; the last value counts."
	}
	return ev, nil
}

// fields is what expressions see of every call.
func (c *inbound) fields(query url.Values) map[string]any {
	fields := make(map[string]any, 6)
	fields["headers"] = c.headers()
	flat := flatten(query)
	if c.verifier != nil && flat[c.verifier.SecretParam()] != nil {
		flat[c.verifier.SecretParam()] = redacted
	}
	fields["query"] = flat
	fields["method"] = c.r.Method
	fields["path"] = strings.TrimPrefix(c.r.URL.Path, "/hooks/")
	return fields
}

// headers is what expressions see: names in lower case, and neither cookies nor the secret that verified the call.
func (c *inbound) headers() map[string]any {
	secret := ""
	if c.verifier != nil {
		secret = http.CanonicalHeaderKey(c.verifier.SecretHeader())
	}
	headers := make(map[string]any, len(c.r.Header)+1)
	headers["host"] = c.r.Host
	for name, values := range c.r.Header {
		v := values[0]
		if len(values) > 1 {
			v = strings.Join(values, ", ")
		}
		if name == secret || name == "Cookie" || name == "Proxy-Authorization" {
			v = redacted
		}
		headers[strings.ToLower(name)] = strings.ToValidUTF8(v, "\uFFFD")
	}
	return headers
}

func flatten(query url.Values) map[string]any {
	flat := make(map[string]any, len(query))
	for name, values := range query {
		name = strings.ToValidUTF8(name, "\uFFFD")
		if len(values) == 1 {
			flat[name] = strings.ToValidUTF8(values[0], "\uFFFD")
			continue
		}
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = strings.ToValidUTF8(v, "\uFFFD")
		}
		flat[name] = list
	}
	return flat
}

// context outlives the caller: a call that has arrived is dealt with even if nobody waits for the answer any more,
// and also where a caller closes its side of the connection before it reads, which looks the same.
func (c *inbound) context() context.Context { return context.WithoutCancel(c.r.Context()) }

// setKey computes the dedupe key: the workflow's own, else the id that the provider gives. An expression that fails
// gives none: a second run is the lesser harm than a lost event, and the delivery says so.
func (c *call) setKey(ev *engine.Event) {
	h := c.hook
	if h.verifier != nil {
		if ev.Key = h.verifier.ReplayKey(c.request); ev.Key != "" {
			return
		}
	}
	if h.webhook.Dedupe == nil {
		if h.verifier != nil {
			ev.Key = bounded(h.verifier.DeliveryID(c.request, c.body))
		}
		return
	}
	root, err := ev.Root(h.workflow.UsesRaw)
	if err == nil {
		var key any
		env := &expression.Env{Roots: map[string]any{"trigger": root, "workflow": workflowRoot(h.workflow)}, Now: c.at}
		if key, err = h.webhook.Dedupe.Eval(c.context(), env); err == nil {
			ev.Key = value.Text(key)
			return
		}
	}
	ev.Delivery.Reason = "The event has no dedupe key: " + err.Error()
}

// keep stores the event of a disabled workflow.
func (c *call) keep(w http.ResponseWriter, ev *engine.Event) *refusal {
	ctx, cancel := context.WithTimeout(c.context(), acceptTimeout)
	defer cancel()
	d := c.delivery(engine.DeliveryKept, http.StatusAccepted)
	d.Reason = "The workflow is disabled."
	ev.Delivery = nil
	if err := c.set.Engine.Keep(ctx, *ev, *d); err != nil {
		return c.failed(ev, err)
	}
	c.writeAccepted(w, []byte(`{"kept":true}`))
	return nil
}

// accept makes the event durable and answers as `respond` says.
func (c *call) accept(w http.ResponseWriter, ev *engine.Event) *refusal {
	if r := c.hook.webhook.Respond; r != "step" && r != "finished" {
		ctx, cancel := context.WithTimeout(c.context(), acceptTimeout)
		defer cancel()
		id, duplicate, err := c.set.Engine.Accept(ctx, *ev)
		if errors.Is(err, engine.ErrDropped) {
			writeJSON(w, http.StatusAccepted, []byte(`{"dropped":true}`))
			return nil
		}
		if err != nil {
			return c.failed(ev, err)
		}
		c.writeAccepted(w, acceptedText(id, duplicate))
		return nil
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), waitTimeout)
	defer cancel()
	reply, err := c.set.Engine.AcceptAndWait(ctx, *ev)
	switch {
	case errors.Is(err, engine.ErrDropped):
		writeJSON(w, http.StatusAccepted, []byte(`{"dropped":true}`))
	case err != nil:
		return c.failed(ev, err)
	case reply.Response != nil:
		writeResponse(w, reply.Response)
	case reply.Done:
		writeFinished(w, &reply)
	default:
		c.writeAccepted(w, acceptedText(reply.ID, reply.Duplicate))
	}
	return nil
}

// writeAccepted answers a call whose event is durable: 202 with the text, or what its provider wants to hear.
func (c *inbound) writeAccepted(w http.ResponseWriter, text []byte) {
	if c.verifier != nil {
		if a := c.verifier.Accepted(c.request, c.body, text); a != nil {
			writeAnswer(w, a)
			return
		}
	}
	writeJSON(w, http.StatusAccepted, text)
}

// bounded is a key of at most maxRunKey bytes, readable where it is short.
func bounded(key string) string {
	if len(key) > maxRunKey {
		return digest(key).String()
	}
	return key
}

// failed turns an error of the engine into an answer.
func (c *inbound) failed(ev *engine.Event, err error) *refusal {
	var full *engine.FullError
	var input *engine.InputError
	switch {
	case errors.As(err, &full):
		no := &refusal{
			status: http.StatusServiceUnavailable, detail: full.Error(), unrecorded: true,
			retryAfter: max(1, int((full.RetryAfter+time.Second-1)/time.Second)),
		}
		if full.Workflow != "" {
			no.status = http.StatusTooManyRequests
		}
		return no
	case errors.Is(err, engine.ErrClosed), errors.Is(err, engine.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &refusal{status: http.StatusServiceUnavailable, detail: "the event could not be stored, send it again", retryAfter: 1, unrecorded: true}
	case errors.Is(err, engine.ErrNotFound):
		return refuse(http.StatusNotFound, "there is no hook at this address")
	case errors.As(err, &input):
		no := refuse(http.StatusBadRequest, "%s", input.Message)
		no.data, _ = ev.Encode() // kept, so that a person can send it again once the workflow is mended
		return no
	}
	c.set.Log.ErrorContext(c.r.Context(), "an event could not be accepted", "workflow", ev.Workflow, "trigger", ev.Trigger, "err", err)
	no := refuse(http.StatusInternalServerError, "the event could not be accepted, the log has the details")
	no.data, _ = ev.Encode()
	return no
}

func (c *inbound) delivery(outcome string, status int) *engine.Delivery {
	remote := c.r.RemoteAddr
	if i := strings.LastIndexByte(remote, ':'); i > 0 {
		remote = strings.Trim(remote[:i], "[]")
	}
	size := len(c.raw)
	if size == 0 && c.r.ContentLength > 0 {
		size = int(c.r.ContentLength)
	}
	return &engine.Delivery{
		Workflow: c.workflow, Trigger: c.trigger, Outcome: outcome, Status: status, At: c.at,
		Method: c.r.Method, Path: c.r.URL.Path, Remote: remote, Size: size,
	}
}

// refuse stores the call as a delivery, so that its owner sees what went wrong, and answers it.
func (c *inbound) refuse(w http.ResponseWriter, no *refusal) {
	if !no.unrecorded {
		c.record(no)
	}
	writeProblem(w, no)
}

// handshake answers what a provider asks before it sends events, and keeps a trace of it.
func (c *inbound) handshake(w http.ResponseWriter, a *signature.Answer) {
	writeAnswer(w, a)
	if c.r.Method == http.MethodHead {
		return // only whether somebody is there
	}
	d := c.delivery(engine.DeliveryHandshake, a.Status)
	d.Reason = "The sender's handshake was answered."
	if a.Status >= http.StatusBadRequest {
		d.Outcome, d.Reason = engine.DeliveryRefused, "The sender's handshake was refused."
	}
	c.store(d)
}

func (c *inbound) record(no *refusal) {
	outcome := engine.DeliveryRefused
	if no.status >= http.StatusInternalServerError {
		outcome = engine.DeliveryFailed
	}
	d := c.delivery(outcome, no.status)
	d.Data = no.data
	if d.Reason = no.reason; d.Reason == "" {
		d.Reason = no.detail
	}
	c.store(d)
}

// store keeps a delivery that starts no run, unless too many are being stored already.
func (c *inbound) store(d *engine.Delivery) {
	if c.set.recording.Add(1) > maxRecording {
		c.set.recording.Add(-1)
		return
	}
	defer c.set.recording.Add(-1)
	d.ID = engine.NewRunID(c.at, &engine.Head{})
	ctx, cancel := context.WithTimeout(c.context(), recordTimeout)
	defer cancel()
	if err := c.set.Store.Deliveries().Record(ctx, *d); err != nil {
		c.set.Log.DebugContext(ctx, "a call left no trace", "workflow", d.Workflow, "err", err)
	}
}

// budget bounds the memory that all bodies under way may cost.
type budget struct {
	limit int64
	used  atomic.Int64
}

// swap takes cost bytes in place of held. More than there is passes only when nobody else holds any.
func (b *budget) swap(held, cost int64) bool {
	used := b.used.Add(cost - held)
	if cost > held && used > b.limit && used != cost {
		b.used.Add(held - cost)
		return false
	}
	return true
}

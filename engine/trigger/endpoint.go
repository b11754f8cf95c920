package trigger

import (
	"cmp"
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/engine"
)

// endpointCall is one call of an endpoint that a connector defines, at /hooks/_/<connection>/<endpoint>, with the id of
// a subscription behind it where we subscribe. It may start runs of several workflows, or of none.
type endpointCall struct {
	inbound
	connection   connectors.Connection
	unusable     error // why the connection has no secret
	connector    *connectors.Connector
	endpoint     *connectors.Endpoint
	subscription *subscription // nil: a person entered the address
	listeners    []*listener
}

// serveEndpoint serves what is below /hooks/_/. An endpoint is there as soon as its connection is: a provider checks
// the address before anyone has made a workflow.
func (s *Set) serveEndpoint(w http.ResponseWriter, r *http.Request, path string) {
	c, no := s.endpointCall(r, path)
	defer c.hold(0)
	if no == nil {
		no = c.serve(w)
	}
	if no != nil {
		c.refuse(w, no)
	}
}

func (s *Set) endpointCall(r *http.Request, path string) (*endpointCall, *refusal) {
	c := &endpointCall{inbound: inbound{set: s, r: r, at: time.Now(), limit: defaultBody}}
	unknown := refuse(http.StatusNotFound, "there is no hook at this address")
	unknown.unrecorded, unknown.hangUp = true, r.ContentLength != 0
	parts := strings.Split(path, "/")
	if len(parts) < 2 || len(parts) > 3 || s.Connections == nil {
		return c, unknown
	}
	c.connection, c.unusable = s.Connections(parts[0])
	if c.connector = s.Engine.Connectors.Connector(c.connection.Connector); c.connector == nil {
		return c, unknown
	}
	if c.endpoint = c.connector.Endpoint(parts[1]); c.endpoint == nil || (c.endpoint.Subscribe != nil) != (len(parts) == 3) {
		return c, unknown
	}
	for _, l := range s.listeners.Load().by[endpointKey{parts[0], parts[1]}] {
		if len(parts) == 2 || l.id == parts[2] {
			c.listeners = append(c.listeners, l)
			if l.workflow.BodyLimit > 0 {
				c.limit = max(c.limit, min(l.workflow.BodyLimit, maxBody))
			}
		}
	}
	if len(c.listeners) == 1 {
		c.workflow, c.trigger = c.listeners[0].workflow.ID, c.listeners[0].trigger.ID
	}
	if len(parts) == 3 {
		sub, err := s.subscription(r.Context(), endpointKey{parts[0], parts[1]}, parts[2])
		switch {
		case errors.Is(err, engine.ErrNotFound):
			// A subscription that was left over somewhere: many providers give up on this status.
			gone := refuse(http.StatusGone, "this subscription has ended")
			gone.unrecorded, gone.hangUp = true, r.ContentLength != 0
			return c, gone
		case err != nil:
			return c, &refusal{status: http.StatusServiceUnavailable, detail: "the subscription could not be read, send it again", retryAfter: 1, unrecorded: true, hangUp: true}
		}
		c.subscription = sub
	}
	return c, nil
}

// secrets are those of the subscription, else those of the connection.
func (c *endpointCall) secrets() (signature.Secrets, error) {
	secrets := signature.SecretsOf(c.connection)
	if c.subscription == nil {
		return secrets, c.unusable
	}
	own, err := c.set.hookSecrets(c.subscription.ID)
	if err != nil {
		return signature.Secrets{}, err
	}
	if len(own.Signing) == 0 {
		return secrets, c.unusable
	}
	secrets.Signing, secrets.Tokens = own.Signing, own.Signing
	return secrets, nil
}

// serve takes the call from the bytes on the wire to the answer, unless it is refused.
func (c *endpointCall) serve(w http.ResponseWriter) *refusal {
	if no := c.checkHeader(); no != nil {
		return no
	}
	if no := c.read(w); no != nil {
		return no
	}
	var err error
	if c.verifier, err = signature.New(c.endpoint.Verify, c.set.keys); err != nil {
		return unverified("the endpoint " + c.endpoint.ID + " of " + c.connector.ID + ": " + err.Error())
	}
	secrets, err := c.secrets()
	if done, no := c.authenticate(w, secrets, err); done || no != nil {
		return no
	}
	if no := c.checkType(); no != nil {
		return no
	}
	decoded, no := decodeBody(c.r.Header, c.raw)
	if no != nil {
		return no
	}
	c.body = decoded.body
	c.hold(int64(len(c.raw)) * heldCost)
	h, no := c.happening(decoded)
	if no != nil {
		return no
	}
	if answered, no := c.probe(w, h); answered || no != nil {
		return no
	}
	if c.r.Method != http.MethodPost {
		return &refusal{status: http.StatusMethodNotAllowed, allow: http.MethodPost, detail: "the method " + c.r.Method + " is not POST"}
	}
	if err := h.name(c.context(), c.endpoint, c.verifier, c.request); err != nil {
		return c.unexpected(err)
	}
	return c.start(w, h)
}

// checkType refuses another type than the endpoint's: who parses must not be for the caller to choose.
func (c *endpointCall) checkType() *refusal {
	want := c.endpoint.ContentType
	if want == "" || len(c.raw) == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err == nil && map[string]bool{
		"json":      media == "application/json" || strings.HasSuffix(media, "+json"),
		"form":      media == "application/x-www-form-urlencoded",
		"xml":       media == "application/xml" || media == "text/xml" || strings.HasSuffix(media, "+xml"),
		"text":      strings.HasPrefix(media, "text/"),
		"multipart": strings.HasPrefix(media, "multipart/"),
	}[want] {
		return nil
	}
	return refuse(http.StatusUnsupportedMediaType, "the endpoint takes %s, not %q", want, c.r.Header.Get("Content-Type"))
}

func (c *endpointCall) happening(decoded content) (*happening, *refusal) {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the query is malformed: %v", err)
	}
	h := &happening{fields: c.fields(query), body: decoded.body, at: c.at}
	h.fields["params"] = map[string]any{}
	h.root = withBody(h.fields, decoded.body)
	h.root["raw"] = string(c.raw)
	if decoded.json {
		h.raw = c.raw
	}
	return h, nil
}

// probe answers what only probes the endpoint.
func (c *endpointCall) probe(w http.ResponseWriter, h *happening) (answered bool, no *refusal) {
	if a := c.verifier.Handshake(c.request, c.body); a != nil {
		c.handshake(w, a)
		return true, nil
	}
	if c.endpoint.Handshake == nil {
		return false, nil
	}
	var reply *connectors.Reply
	err := func() (err error) {
		defer recovered(&err)
		reply, err = c.endpoint.Handshake(c.context(), connectors.Delivery{Trigger: h.root, Now: h.at})
		return err
	}()
	if err != nil {
		return false, c.unexpected(err)
	}
	if reply == nil {
		return false, nil
	}
	c.handshake(w, answerOf(*reply))
	return true, nil
}

// unexpected refuses a genuine call that the connector cannot read.
func (c *endpointCall) unexpected(err error) *refusal {
	return &refusal{
		status: http.StatusBadRequest, detail: "the call does not have the form that is expected here",
		reason: "The connector " + c.connector.ID + " cannot read the call: " + err.Error(),
	}
}

// start makes the events of all listeners and the tasks that the law asks for durable, all in one write.
func (c *endpointCall) start(w http.ResponseWriter, h *happening) *refusal {
	ctx, cancel := context.WithTimeout(c.context(), acceptTimeout)
	defer cancel()
	var events, disabled []engine.Event
	var waits *engine.Event // one whose workflow may answer
	for _, l := range c.listeners {
		made, err := h.events(ctx, l)
		if err != nil {
			return c.unexpected(err)
		}
		switch {
		case !l.workflow.Enabled:
			disabled = append(disabled, made...)
		case waits == nil && c.endpoint.Wait > 0 && l.responds && len(made) > 0:
			waits = &made[0]
			events = append(events, made[1:]...)
		default:
			events = append(events, made...)
		}
	}
	puts, err := c.tasks(ctx, h)
	if err != nil {
		return c.unexpected(err)
	}
	for i := range disabled {
		d := c.delivery(engine.DeliveryKept, http.StatusOK)
		d.Workflow, d.Trigger, d.Reason = disabled[i].Workflow, disabled[i].Trigger, "The workflow is disabled."
		d.ID = engine.NewRunID(disabled[i].At, &engine.Head{})
		if err := c.set.Engine.Keep(ctx, disabled[i], *d); err != nil {
			return c.failed(&disabled[i], err)
		}
	}
	if len(events) == 0 && len(puts) == 0 && waits == nil {
		if len(disabled) == 0 {
			c.unwanted(h)
		}
		c.writeOK(w, []byte(`{}`))
		return nil
	}
	if len(events) > 0 {
		events[0].Delivery = c.delivery(engine.DeliveryAccepted, cmp.Or(c.endpoint.Answer.Status, http.StatusAccepted))
	}
	text := []byte(`{}`)
	if len(events) > 0 || len(puts) > 0 {
		accepted, err := c.set.Engine.AcceptAll(ctx, events, puts)
		if err != nil {
			var first engine.Event
			if len(events) > 0 {
				first = events[0]
			}
			return c.failed(&first, err)
		}
		if len(accepted) > 0 {
			text = acceptedText(accepted[0].ID, accepted[0].Duplicate)
		}
	}
	if waits != nil {
		return c.wait(w, *waits)
	}
	c.writeOK(w, text)
	return nil
}

// unwanted keeps a trace of an event that no trigger takes.
func (c *endpointCall) unwanted(h *happening) {
	d := c.delivery(engine.DeliveryKept, http.StatusOK)
	d.Reason = "No workflow takes this event."
	if h.event != "" {
		d.Reason = "No workflow takes the event " + h.event + "."
	}
	c.store(d)
}

// wait lets a respond step answer, for as long as the provider waits.
func (c *endpointCall) wait(w http.ResponseWriter, ev engine.Event) *refusal {
	ev.Delivery = c.delivery(engine.DeliveryAccepted, http.StatusOK)
	ctx, cancel := context.WithTimeout(c.r.Context(), min(c.endpoint.Wait, waitTimeout))
	defer cancel()
	reply, err := c.set.Engine.AcceptAndWait(ctx, ev)
	switch {
	case err != nil:
		return c.failed(&ev, err)
	case reply.Response != nil:
		writeResponse(w, reply.Response)
	default:
		c.writeOK(w, acceptedText(reply.ID, reply.Duplicate))
	}
	return nil
}

// writeOK answers as the endpoint says, else as its scheme, else as every hook.
func (c *endpointCall) writeOK(w http.ResponseWriter, text []byte) {
	if c.endpoint.Answer.Status != 0 {
		writeAnswer(w, answerOf(c.endpoint.Answer))
		return
	}
	if string(text) == `{}` { // nothing was started, and that is as it should be
		writeJSON(w, http.StatusOK, text)
		return
	}
	c.writeAccepted(w, text)
}

func answerOf(r connectors.Reply) *signature.Answer {
	if r.Status == 0 {
		r.Status = http.StatusAccepted
	}
	return &signature.Answer{Status: r.Status, Type: r.Type, Body: r.Body, Header: r.Header}
}

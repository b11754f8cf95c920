package manifest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func (r *reader) endpoints(n *yaml.Node) {
	if n == nil {
		return
	}
	o := r.Object(n, "endpoints")
	for _, key := range o.Keys() {
		if !idPattern.MatchString(key.Value) {
			r.Errorf(key, "use small letters, digits and _, at most 40", "%q is no name of an endpoint", key.Value)
			continue
		}
		if n := o.Value(key.Value); n != nil {
			r.places["endpoint "+key.Value] = key
			r.endpoint(key, n)
		}
	}
}

var contentTypes = []string{"json", "form", "xml", "text", "multipart"}

func (r *reader) endpoint(key, n *yaml.Node) {
	first := len(r.readings)
	var keep []string
	o := r.Object(n, "an endpoint")
	e := connectors.Endpoint{ID: key.Value, Title: o.Text("title"), Help: o.Text("help"), ContentType: o.Word("content_type", "json", contentTypes...)}
	setup := o.Word("setup", "", "manual", "subscribe")
	o.Need("setup", "subscribe (we call the API) or manual (a person enters the address)")
	if n := o.Need("verify", "anyone could call it otherwise; such as verify: {scheme: hmac, header: X-Signature}"); n != nil {
		e.Verify = r.verify(n)
	}
	switch sub := o.Value("subscribe"); {
	case setup == "subscribe" && sub == nil:
		o.Need("subscribe", "the action that registers the address")
	case setup == "manual" && sub != nil:
		r.Errorf(sub, "write setup: subscribe", "an endpoint that is set up by hand does not subscribe")
	case sub != nil:
		e.Subscribe, keep = r.subscribe(sub)
	}
	if setup == "manual" && e.Help == "" {
		o.Need("help", "where a person enters the address, such as Settings > Webhooks")
	}
	if n := o.Value("unsubscribe"); n != nil {
		c := r.caller(n, "unsubscribe", inHook)
		if e.Subscribe == nil {
			r.Errorf(n, "", "unsubscribe undoes subscribe, and there is none")
		} else {
			e.Subscribe.Delete = func(ctx context.Context, call *connectors.Call, h connectors.Hook) error {
				_, err := c.do(ctx, call, hookWords(call, h, r.src))
				return err
			}
		}
	}
	if n := o.Value("handshake"); n != nil {
		e.Handshake = r.handshake(n)
	}
	if p := r.program(o.Value("event"), "event", inEndpoint); p != nil {
		e.Event = textFunc(p)
	}
	if p := r.program(o.Value("dedupe"), "dedupe", inEndpoint); p != nil {
		e.Dedupe = textFunc(p)
	}
	e.Window = o.Duration("window", 0)
	if n := o.Value("answer"); n != nil {
		var reply *answer
		reply, e.Wait = r.answer(n, inEndpoint)
		if out, err := reply.make(context.Background(), words{}); err == nil && out != nil {
			e.Answer = *out
		} else if err != nil {
			r.Errorf(n, "what the system is told does not depend on the delivery; use handshake for probes", "answer: %v", err)
		}
	}
	if n := o.Value("catch_up"); n != nil {
		e.CatchUp = r.catchUp(n)
	}
	o.Done()
	r.checkKept(first, keep)
	r.c.Endpoints = append(r.c.Endpoints, e)
}

// verify reads how deliveries prove where they come from, and lets package signature judge it.
func (r *reader) verify(n *yaml.Node) connectors.Verify {
	o := r.Object(n, "verify")
	v := connectors.Verify{
		Scheme: o.Text("scheme"), Header: o.Text("header"), Algorithm: o.Text("algorithm"), Encoding: o.Text("encoding"), Prefix: o.Text("prefix"),
		Separator: o.Text("separator"), Signed: o.Text("signed"), TimestampHeader: o.Text("timestamp_header"), TimestampUnit: o.Text("timestamp_unit"),
		IDHeader: o.Text("id_header"), Tolerance: o.Duration("tolerance", 0), ReplayGuard: o.Bool("replay_guard", false),
		JWKS: o.Text("jwks_url"), Issuer: o.Text("issuer"), Audience: o.Text("audience"), Algorithms: o.Texts("algorithms"), BodyHash: o.Text("body_hash"),
		Allow: r.networks(o, "allow"), Proxies: r.networks(o, "proxies"),
	}
	o.Done()
	if v.Scheme == "" {
		r.Errorf(n, "a preset such as stripe, or hmac, basic, bearer, header, jwt, ip_allow", "verify has no scheme")
	} else if _, err := signature.New(v, nil); err != nil {
		at := o.Take("scheme")
		if at == nil {
			at = n
		}
		r.Errorf(at, "", "verify: %v", err)
	}
	return v
}

func (r *reader) networks(o *workflow.Object, key string) []netip.Prefix {
	n := o.Value(key)
	if n == nil {
		return nil
	}
	var list []netip.Prefix
	for _, item := range r.List(n, key) {
		p, err := netip.ParsePrefix(item.Value)
		if err != nil {
			r.Errorf(item, "such as 192.0.2.0/24", "%q is no network", item.Value)
			continue
		}
		list = append(list, p)
	}
	return list
}

// textFunc evaluates an expression on a delivery; nil is no text.
func textFunc(p *expression.Program) func(context.Context, connectors.Delivery) (string, error) {
	return func(ctx context.Context, d connectors.Delivery) (string, error) {
		v, err := deliveryWords(d).eval(ctx, p)
		if err != nil {
			return "", err
		}
		return textOf(v), nil
	}
}

func deliveryWords(d connectors.Delivery) words {
	return words{roots: map[string]any{"trigger": d.Trigger, "input": d.Input}, now: d.Now}
}

// answer is an HTTP answer of ours.
type answer struct {
	status int
	kind   string
	text   *expression.Template
	json   *expression.Tree
}

func (r *reader) answer(n *yaml.Node, s *expression.Scope) (*answer, time.Duration) {
	o := r.Object(n, "answer")
	a := &answer{status: o.Int("status", 200, 200, 299), kind: o.Text("type")}
	if n := o.Value("body"); n != nil {
		a.text = r.template(n, "body", s)
		if a.kind == "" {
			a.kind = "text/plain; charset=utf-8"
		}
	}
	if n := o.Take("json"); n != nil {
		a.json, a.kind = r.tree(n, "json", s), "application/json"
		if a.text != nil {
			r.Errorf(n, "", "an answer has body or json")
		}
	}
	wait := o.Duration("wait", 0)
	const most = 30 * time.Second
	if wait > most {
		r.Errorf(o.Take("wait"), "", "wait is at most %s", most)
	}
	o.Done()
	return a, wait
}

func (a *answer) make(ctx context.Context, w words) (*connectors.Reply, error) {
	if a == nil {
		return nil, nil
	}
	reply := &connectors.Reply{Status: a.status, Type: a.kind}
	switch {
	case a.text != nil:
		text, err := w.text(ctx, a.text)
		if err != nil {
			return nil, err
		}
		reply.Body = []byte(text)
	case a.json != nil:
		v, err := w.data(ctx, a.json)
		if err != nil {
			return nil, err
		}
		if reply.Body, err = value.AppendJSON(nil, v); err != nil {
			return nil, err
		}
	}
	return reply, nil
}

func (r *reader) handshake(n *yaml.Node) func(context.Context, connectors.Delivery) (*connectors.Reply, error) {
	o := r.Object(n, "handshake")
	when := r.program(o.Need("when", "an expression"), "when", inEndpoint)
	var reply *answer
	if n := o.Need("answer", "such as {type: text/plain, body: \"${{ trigger.body.challenge }}\"}"); n != nil {
		reply, _ = r.answer(n, inEndpoint)
	}
	o.Done()
	return func(ctx context.Context, d connectors.Delivery) (*connectors.Reply, error) {
		w := deliveryWords(d)
		if hit, err := when.Bool(ctx, w.env()); err != nil || !hit {
			return nil, nil //nolint:nilerr // a call that is not even a probe
		}
		return reply.make(ctx, w)
	}
}

// caller is a call of another action of the connector.
type caller struct {
	src  *source
	use  string
	with *expression.Tree
}

// caller reads use and with. The object is closed by who reads what else is in it.
func (r *reader) callerOf(o *workflow.Object, s *expression.Scope) *caller {
	c := &caller{src: r.src, use: o.Text("use")}
	if n := o.Need("use", "an action of this connector"); n != nil {
		r.later = append(r.later, func() {
			a := r.src.actions[c.use]
			if a == nil {
				r.Errorf(n, workflow.Known(c.use, keysOf(r.src.actions)), "there is no action %q", c.use)
				return
			}
			given := map[string]bool{}
			if c.with != nil {
				for _, f := range c.with.Fields {
					given[f.Key] = true
				}
			}
			r.given(n, a, given)
		})
	}
	if n := o.Value("with"); n != nil {
		c.with = r.tree(n, "with", s)
		if n.Kind != yaml.MappingNode {
			r.Errorf(n, "", "with is a mapping of inputs to values")
		}
	}
	return c
}

// given checks which inputs a call of another action names.
func (r *reader) given(n *yaml.Node, a *action, inputs map[string]bool) {
	for _, name := range keysOf(inputs) {
		if _, ok := a.input.Properties[name]; !ok {
			r.Errorf(n, workflow.Known(name, a.input.Order), "%s has no input %q", a.name, name)
		}
	}
	for _, name := range a.input.Required {
		if !inputs[name] {
			r.Errorf(n, "give it under with", "%s needs the input %q", a.name, name)
		}
	}
}

func (r *reader) caller(n *yaml.Node, what string, s *expression.Scope) *caller {
	o := r.Object(n, what)
	c := r.callerOf(o, s)
	o.Done()
	return c
}

func (c *caller) do(ctx context.Context, call *connectors.Call, w words) (any, error) {
	a := c.src.actions[c.use]
	v, err := w.data(ctx, c.with)
	if err != nil {
		return nil, connectors.Permanent(fmt.Errorf("with: %w", err))
	}
	input := asObject(v)
	inner := *call
	inner.Input = input
	return a.do(ctx, &inner)
}

func hookWords(c *connectors.Call, h connectors.Hook, s *source) words {
	events := make([]any, len(h.Events))
	for i, e := range h.Events {
		events[i] = e
	}
	kept := h.Kept
	if kept == nil {
		kept = map[string]any{}
	}
	return words{
		roots: map[string]any{
			"hook":  map[string]any{"url": h.URL, "events": events, "secret": h.Secret, "kept": kept},
			"input": c.Input, "connection": s.connection(c.Connection),
		},
		now: c.Now, seed: c.Key,
	}
}

// subscribe also returns the names of what it keeps of the answer.
func (r *reader) subscribe(n *yaml.Node) (*connectors.Subscribe, []string) {
	o := r.Object(n, "subscribe")
	c := r.callerOf(o, inHook)
	keep := r.programs(o.Value("keep"), "keep", inKept)
	keepSecret := r.program(o.Value("keep_secret"), "keep_secret", inKept)
	s := &connectors.Subscribe{Renew: o.Duration("renew", 0)}
	o.Done()
	sends := usesSecret(c.with.Refs())
	title := r.c.Title
	s.Create = func(ctx context.Context, call *connectors.Call, h connectors.Hook) (map[string]any, string, error) {
		out, err := c.do(ctx, call, hookWords(call, h, c.src))
		if err != nil {
			return nil, "", err
		}
		w := words{roots: map[string]any{"output": out}, now: call.Now, seed: call.Key}
		kept := map[string]any{}
		for name, p := range keep {
			if kept[name], err = w.eval(ctx, p); err != nil || kept[name] == nil {
				return nil, "", connectors.Permanent(fmt.Errorf("%s registered the address, but did not say the %s of it", title, name))
			}
		}
		secret := ""
		if keepSecret != nil {
			v, err := w.eval(ctx, keepSecret)
			if secret = textOf(v); err != nil || secret == "" {
				return nil, "", connectors.Permanent(fmt.Errorf("%s registered the address, but gave no secret for it", title))
			}
		} else if sends {
			secret = h.Secret
		}
		return kept, secret, nil
	}
	return s, keysOf(keep)
}

func sinceRoot(t time.Time) map[string]any {
	return map[string]any{"iso": t.UTC().Format(time.RFC3339), "unix": int(t.Unix())}
}

func (r *reader) catchUp(n *yaml.Node) func(context.Context, *connectors.Call, connectors.Hook, time.Time) ([]any, error) {
	o := r.Object(n, "catch_up")
	c := r.callerOf(o, inCatchUp)
	items := r.program(o.Value("items"), "items", inKept)
	o.Done()
	return func(ctx context.Context, call *connectors.Call, h connectors.Hook, since time.Time) ([]any, error) {
		out, err := c.do(ctx, call, hookWords(call, h, c.src).with("since", sinceRoot(since)))
		if err != nil {
			return nil, err
		}
		return listOf(ctx, words{roots: map[string]any{"output": out}}, items, out)
	}
}

// listOf is what items gives, or the output itself.
func listOf(ctx context.Context, w words, items *expression.Program, out any) ([]any, error) {
	if items != nil {
		v, err := w.eval(ctx, items)
		if err != nil {
			return nil, connectors.Permanent(fmt.Errorf("items: %w", err))
		}
		out = v
	}
	list, ok := out.([]any)
	if !ok && out != nil {
		return nil, connectors.Permanent(errors.New("items gives no list"))
	}
	return list, nil
}

func (r *reader) triggers(n *yaml.Node) {
	if n == nil {
		return
	}
	o := r.Object(n, "triggers")
	names := make([]string, 0, len(o.Keys()))
	for _, key := range o.Keys() {
		names = append(names, key.Value)
	}
	for _, key := range o.Keys() {
		switch {
		case !idPattern.MatchString(key.Value):
			r.Errorf(key, "use small letters, digits and _, at most 40", "%q is no name of a trigger", key.Value)
			continue
		case r.src.actions[key.Value] != nil:
			r.Errorf(key, "", "%s is the name of an action already", key.Value)
		}
		if n := o.Value(key.Value); n != nil {
			r.places["trigger "+key.Value] = key
			r.trigger(key, n, names)
		}
	}
}

func (r *reader) trigger(key, n *yaml.Node, names []string) {
	first := len(r.readings)
	o := r.Object(n, "a trigger")
	t := connectors.Trigger{Name: key.Value, Title: o.Text("title"), Summary: o.Text("summary"), Show: o.Word("show", "", "main", "more", "hidden")}
	o.Need("title", "a few words for people, such as New message")
	if t.Summary == "" && t.Title != "" {
		t.Summary = t.Title + "."
	}
	t.Deprecated = r.replacement(o, "trigger", names)
	t.Input, _ = r.input(o.Value("input"), "input")
	t.Endpoint = o.Text("endpoint")
	if n := o.Take("endpoint"); n != nil && t.Endpoint != "" && r.c.Endpoint(t.Endpoint) == nil {
		r.Errorf(n, workflow.Known(t.Endpoint, r.endpointNames()), "there is no endpoint %q", t.Endpoint)
	}
	poll := o.Value("poll")
	if (t.Endpoint == "") == (poll == nil) {
		r.Errorf(key, "", "a trigger has either endpoint or poll")
	}
	if poll != nil {
		t.Poll = r.poll(poll, t.Input)
	} else {
		r.webhook(o, &t)
	}
	r.sample(o, &t.Sample, &t.Output, false)
	o.Done()
	r.checkInputs(first, t.Input)
	r.c.Triggers = append(r.c.Triggers, t)
}

func (r *reader) endpointNames() []string {
	names := make([]string, 0, len(r.c.Endpoints))
	for i := range r.c.Endpoints {
		names = append(names, r.c.Endpoints[i].ID)
	}
	return names
}

// webhook reads what a trigger makes of the deliveries of its endpoint.
func (r *reader) webhook(o *workflow.Object, t *connectors.Trigger) {
	if n := o.Value("event"); n != nil {
		if n.Kind == yaml.SequenceNode {
			t.Events = o.Texts("event")
		} else if text, ok := r.Text(n, "event"); ok {
			t.Events = []string{text}
		}
		if e := r.c.Endpoint(t.Endpoint); e != nil && e.Event == nil {
			r.Errorf(n, "add event: to the endpoint, an expression that names what happened", "the endpoint %s knows no events", t.Endpoint)
		}
	}
	when := r.program(o.Value("when"), "when", inDelivery)
	body := r.program(o.Value("body"), "body", inDelivery)
	items := r.program(o.Value("items"), "items", inDelivery)
	key := r.program(o.Value("key"), "key", inMoves)
	if n := o.Take("key"); items == nil && n != nil {
		r.Errorf(n, "add items", "key names the entries of items")
	}
	if items != nil && key == nil {
		r.Errorf(o.Key("items"), "such as key: item.id", "items needs a key for each entry")
	}
	if items != nil && body != nil {
		r.Errorf(o.Key("body"), "each item becomes trigger.body", "a trigger has body or items")
	}
	defaults := map[string]any{}
	for name, s := range t.Input.Properties {
		if s.Default != nil {
			defaults[name] = s.Default
		}
	}
	if n := o.Value("mandatory"); n != nil {
		t.Mandatory = r.mandatory(n)
	}
	t.Emit = func(ctx context.Context, d connectors.Delivery) ([]connectors.Item, error) {
		input := make(map[string]any, len(defaults)+len(d.Input))
		for name, v := range defaults {
			input[name] = v
		}
		for name, v := range d.Input {
			if v != nil {
				input[name] = v
			}
		}
		w := words{roots: map[string]any{"trigger": d.Trigger, "input": input}, now: d.Now}
		if when != nil {
			if ok, err := when.Bool(ctx, w.env()); err != nil || !ok {
				return nil, err
			}
		}
		if items == nil {
			if body == nil {
				return []connectors.Item{{Body: d.Trigger["body"]}}, nil
			}
			v, err := w.eval(ctx, body)
			if err != nil {
				return nil, err
			}
			return []connectors.Item{{Body: v}}, nil
		}
		list, err := listOf(ctx, w, items, nil)
		if err != nil {
			return nil, err
		}
		out := make([]connectors.Item, 0, len(list))
		for _, item := range list {
			k, err := w.with("item", item).eval(ctx, key)
			if err != nil {
				return nil, fmt.Errorf("key: %w", err)
			}
			if textOf(k) == "" {
				return nil, errors.New("key: an entry has none")
			}
			out = append(out, connectors.Item{Key: textOf(k), Body: item})
		}
		return out, nil
	}
}

func (r *reader) mandatory(n *yaml.Node) *connectors.Mandatory {
	o := r.Object(n, "mandatory")
	m := &connectors.Mandatory{Kind: o.Word("kind", "", "access", "erase", "erase_all"), Within: o.Duration("within", 30*24*time.Hour)}
	o.Need("kind", "one of access, erase, erase_all")
	if p := r.program(o.Need("subject", "an expression that names whose data it is"), "subject", inEndpoint); p != nil {
		m.Subject = textFunc(p)
	}
	o.Done()
	return m
}

func (r *reader) poll(n *yaml.Node, input connectors.Schema) *connectors.Poll {
	o := r.Object(n, "poll")
	p := &connectors.Poll{
		Every: o.Duration("every", 5*time.Minute), Emit: o.Word("emit", "each", "each", "batch"), First: o.Word("first", "baseline", "baseline", "emit"),
	}
	c := r.callerOf(o, inPoll)
	r.lister(o, c.use)
	items := r.program(o.Value("items"), "items", inPollItems)
	key := r.program(o.Need("key", "such as key: item.id"), "key", inItem)
	version := r.program(o.Value("version"), "version", inItem)
	var cursor *expression.Program
	var overlap time.Duration
	if n := o.Value("cursor"); n != nil {
		co := r.Object(n, "cursor")
		cursor = r.program(co.Need("value", "an expression over items"), "value", inCursor)
		overlap = co.Duration("overlap", 0)
		co.Done()
	}
	o.Done()
	p.Fetch = func(ctx context.Context, call *connectors.Call, last any, since time.Time) ([]connectors.Item, any, error) {
		in := map[string]any{}
		for name, s := range input.Properties {
			if s.Default != nil {
				in[name] = s.Default
			}
		}
		for name, v := range call.Input {
			in[name] = v
		}
		w := words{
			roots: map[string]any{"input": in, "cursor": shift(last, overlap), "since": sinceRoot(since.Add(-overlap)), "connection": c.src.connection(call.Connection)},
			now:   call.Now, seed: call.Key,
		}
		out, err := c.do(ctx, call, w)
		if err != nil {
			return nil, nil, err
		}
		list, err := listOf(ctx, words{roots: map[string]any{"output": out, "input": in}, now: call.Now}, items, out)
		if err != nil {
			return nil, nil, err
		}
		found := make([]connectors.Item, 0, len(list))
		for _, item := range list {
			w := words{roots: map[string]any{"item": item}, now: call.Now}
			k, err := w.eval(ctx, key)
			if err != nil {
				return nil, nil, connectors.Permanent(fmt.Errorf("key: %w", err))
			}
			x := connectors.Item{Key: textOf(k), Body: item}
			if x.Key == "" {
				return nil, nil, connectors.Permanent(errors.New("key: an entry has none"))
			}
			if version != nil {
				v, err := w.eval(ctx, version)
				if err != nil {
					return nil, nil, connectors.Permanent(fmt.Errorf("version: %w", err))
				}
				x.Version = textOf(v)
			}
			found = append(found, x)
		}
		next := last
		if cursor != nil && len(list) > 0 {
			v, err := words{roots: map[string]any{"items": list, "output": out, "input": in}, now: call.Now}.eval(ctx, cursor)
			if err != nil {
				return nil, nil, connectors.Permanent(fmt.Errorf("cursor: %w", err))
			}
			if v != nil {
				next = v
			}
		}
		return found, next, nil
	}
	return p
}

// shift moves a cursor that is a time back by the overlap; any other stays.
func shift(cursor any, overlap time.Duration) any {
	if overlap == 0 {
		return cursor
	}
	switch v := cursor.(type) {
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.Add(-overlap).UTC().Format(time.RFC3339Nano)
		}
	case int:
		return v - int(overlap/time.Second)
	}
	return cursor
}

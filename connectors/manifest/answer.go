package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/wire"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

// rule says what an answer means.
type rule struct {
	when    *expression.Program
	do      string // ok, retry, wait, refresh, fail
	wait    *expression.Program
	message *expression.Template
}

func (r *reader) rules(n *yaml.Node) []rule {
	var list []rule
	for _, item := range r.List(n, "errors") {
		o := r.Object(item, "a rule")
		var x rule
		x.when = r.program(o.Need("when", "an expression, such as response.status == 423"), "when", inAnswer)
		x.do = o.Word("do", "fail", "ok", "retry", "wait", "refresh", "fail")
		o.Need("do", "one of ok, retry, wait, refresh, fail")
		if n := o.Value("for"); n != nil {
			x.wait = r.program(n, "for", inAnswer)
			if x.do != "wait" {
				r.Errorf(n, "write do: wait", "for says how long to wait")
			}
		} else if x.do == "wait" {
			o.Need("for", "an expression that gives seconds or an HTTP date")
		}
		x.message = r.template(o.Value("message"), "message", inAnswer)
		o.Done()
		if x.when != nil {
			list = append(list, x)
		}
	}
	return list
}

// verdict is what is to be done about an answer.
type verdict struct {
	do   string
	text string        // empty: what the answer itself says
	wait time.Duration // do wait, or a Retry-After
}

// judge applies the rules: the action's, those of defaults, the table that holds everywhere. A rule whose own
// expression fails does not match.
func (a *action) judge(ctx context.Context, w words, res *result) verdict {
	for i := range a.rules {
		r := &a.rules[i]
		if hit, err := r.when.Bool(ctx, w.env()); err != nil || !hit {
			continue
		}
		v := verdict{do: r.do}
		v.wait, _ = wire.RetryAfter(res.header, w.now)
		if r.wait != nil {
			v.wait = waitOf(ctx, w, r.wait)
		}
		if r.message != nil {
			if text, err := w.text(ctx, r.message); err == nil {
				v.text = text
			}
		}
		return v
	}
	v := verdict{do: "ok"}
	v.wait, _ = wire.RetryAfter(res.header, w.now)
	switch {
	case res.status == http.StatusUnauthorized:
		v.do = "refresh"
	case res.status == http.StatusRequestTimeout, res.status == http.StatusTooEarly, res.status == http.StatusTooManyRequests,
		res.status >= 500 && res.status != http.StatusLoopDetected && res.fault == "":
		v.do = "retry"
	case res.fault != "":
		v.do, v.text = "fail", res.fault
	case res.status < 200 || res.status >= 300:
		v.do = "fail"
	case res.misread != "":
		v.do, v.text = "retry", res.misread
	}
	return v
}

// waitOf reads seconds or an HTTP date; what is neither waits a minute.
func waitOf(ctx context.Context, w words, p *expression.Program) time.Duration {
	const unreadable, most = time.Minute, 24 * time.Hour
	v, err := w.eval(ctx, p)
	if err != nil {
		return unreadable
	}
	text := strings.TrimSpace(textOf(v))
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < most.Seconds() {
		return time.Duration(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(w.now), 0), most)
	}
	return unreadable
}

// result is one exchange.
type result struct {
	status  int
	header  http.Header
	answer  connectors.Answer
	raw     []byte
	method  string
	url     *url.URL
	fault   string // what a SOAP Fault, a JSON-RPC error or a GraphQL error says
	misread string // why the body is not what it should be
}

// root is `response` of expressions.
func (res *result) root() map[string]any {
	return map[string]any{"status": res.answer.Status, "headers": res.answer.Headers, "body": res.answer.Body}
}

// exchange sends one request and reads its answer. sent tells that the other side may have acted on it, whatever the
// error is.
func exchange(ctx context.Context, client *http.Client, req *http.Request, timeout time.Duration) (res *result, sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var wrote atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }}
	bare := *client // a copy, so that no client, whoever made it, forwards secrets by itself
	bare.Jar = nil
	bare.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	host := req.URL.Host
	answer, err := bare.Do(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		return nil, wrote.Load(), wire.Describe(ctx, host, err)
	}
	defer answer.Body.Close() //nolint:errcheck // everything of use has been read
	body, err := wire.Read(ctx, host, answer)
	if err != nil {
		return nil, true, err
	}
	parsed := wire.Parse(answer.Header.Get("Content-Type"), body)
	return &result{
		status: answer.StatusCode, header: answer.Header, raw: body, method: req.Method, url: req.URL,
		answer: connectors.AnswerOf(answer.StatusCode, answer.Header, parsed),
	}, true, nil
}

// unwrap takes the answer out of what its kind of call puts around it, and notes what is not as promised.
func (a *action) unwrap(res *result) {
	media, _, _ := mime.ParseMediaType(res.header.Get("Content-Type"))
	text, isText := res.answer.Body.(string)
	if isText && (media == "" || media == "text/plain" || media == "text/javascript") && len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		if v := wire.Parse("application/json", res.raw); v != nil {
			res.answer.Body = v // JSON that does not say so
			_, isText = v.(string)
		}
	}
	body := res.answer.Body
	success := res.status >= 200 && res.status < 300
	if success && isText && strings.HasSuffix(media, "json") && !strings.HasPrefix(strings.TrimSpace(string(res.raw)), `"`) {
		res.misread = "its answer is not complete JSON"
	}
	if success && isText && media == "text/html" && a.encode != "text" {
		res.misread = "it answered with a web page instead of data: look at the address of the connection, or try later"
	}
	switch a.shape {
	case "soap":
		content, fault, ok := wire.SOAPBody(body)
		switch {
		case ok:
			res.answer.Body, res.fault = content, fault
		case success:
			res.misread = "its answer is no SOAP envelope"
		}
	case "json_rpc":
		object, _ := body.(map[string]any)
		if e, ok := object["error"].(map[string]any); ok {
			res.fault = textOf(e["message"])
		} else if object != nil {
			res.answer.Body = object["result"]
		}
	case "graphql":
		object, _ := body.(map[string]any)
		if list, ok := object["errors"].([]any); ok && len(list) > 0 {
			res.fault = "the query failed"
			if first, ok := list[0].(map[string]any); ok && textOf(first["message"]) != "" {
				res.fault = textOf(first["message"])
			}
		}
	}
}

// failure is the error for an answer that is not a success.
func (a *action) failure(c *connectors.Call, res *result, v verdict, secrets []string) error {
	c0 := a.src.connector
	text, said := v.text, ""
	if text == "" {
		text = fmt.Sprintf("%s answered %d", c0.Title, res.status)
		if name := http.StatusText(res.status); name != "" {
			text += " " + name
		}
		text += called(res)
		if said = wire.Excerpt(res.header.Get("Content-Type"), res.raw, secrets); said != "" {
			text += ": " + said
		}
	} else if v.text == res.misread || v.text == res.fault {
		text = c0.Title + ": " + text
	}
	switch {
	case v.text != "":
	case res.status == http.StatusUnauthorized && c.Connection.IsZero() && len(c0.Auth) > 0:
		text += ". The step names no connection: add one"
	case res.status == http.StatusUnauthorized && !c.Connection.IsZero():
		text += fmt.Sprintf(". The connection %s is not accepted: enter its secrets again", c.Connection.Name)
	case res.status == http.StatusForbidden && !c.Connection.IsZero():
		text += fmt.Sprintf(". The connection %s is not allowed to do this: give it the permission at %s", c.Connection.Name, c0.Title)
	case res.status >= 300 && res.status < 400:
		text += ". It redirects" + target(res) + ", and secrets are not carried to another address: if the system has moved, change the address"
	case v.do == "fail" && said == "":
		text += ", and gave no reason. Look at the address and the values of the call"
		if c0.Docs != "" {
			text += ", and for the status at " + c0.Docs
		}
	}
	var err error = &connectors.StatusError{Status: res.status, Message: redact(text, secrets)}
	switch v.do {
	case "retry":
		if v.wait > 0 {
			return connectors.RetryAfter(err, v.wait)
		}
		return err
	case "wait":
		return connectors.RetryAfter(err, v.wait)
	}
	return connectors.Permanent(err)
}

// called names the call that was answered, without its query, which may hold more than a message should.
func called(res *result) string {
	const most = 120 // bytes
	if res.url == nil {
		return ""
	}
	path := cmp.Or(res.url.EscapedPath(), "/")
	if len(path) > most {
		path = path[:most] + "…"
	}
	return " to " + res.method + " " + path
}

// target names the host that a redirect leads to, without what stands behind it.
func target(res *result) string {
	next, err := url.Parse(res.header.Get("Location"))
	if err != nil || res.url == nil || res.header.Get("Location") == "" {
		return ""
	}
	if next = res.url.ResolveReference(next); next.Host == "" {
		return ""
	}
	return " to " + next.Scheme + "://" + next.Host
}

const mark = "[redacted]"

// redact takes secrets out of what a message repeats of the other side's words.
func redact(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) < 4 {
			continue // too short to be one, and it would blot out ordinary words
		}
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			text = strings.ReplaceAll(text, form, mark)
		}
	}
	return text
}

// cutOff is the error of a call that may have been acted on although there is no answer.
func (a *action) cutOff(err error, sent bool) error {
	if !sent || a.repeat || connectors.IsPermanent(err) {
		return err
	}
	return connectors.Unknown(err)
}

// rate is how a system limits calls.
type rate struct {
	limit                    int
	per                      time.Duration
	remaining, reset         *expression.Program
	resetAs                  string
	cost, available, restore *expression.Program
}

func (r *reader) rate(n *yaml.Node) *rate {
	o := r.Object(n, "rate")
	x := &rate{limit: o.Int("limit", 0, 1, 1_000_000), per: o.Duration("per", 0)}
	o.Word("share", "connection", "connection")
	x.remaining = r.program(o.Value("remaining"), "remaining", inAnswer)
	x.reset = r.program(o.Value("reset"), "reset", inAnswer)
	x.resetAs = o.Word("reset_as", "seconds", "epoch", "seconds", "http_date", "rfc3339")
	x.cost = r.program(o.Value("cost"), "cost", inAnswer)
	x.available = r.program(o.Value("available"), "available", inAnswer)
	x.restore = r.program(o.Value("restore"), "restore", inAnswer)
	if (x.limit > 0) != (x.per > 0) {
		r.Errorf(n, "such as limit: 50, per: 1m", "limit and per belong together")
	}
	if (x.available == nil) != (x.restore == nil) {
		r.Errorf(n, "both are read from the answer", "available and restore belong together")
	}
	o.Done()
	return x
}

// learn tells the limits of the connection what an answer said.
func (a *action) learn(ctx context.Context, w words, c *connectors.Call, res *result, v verdict) {
	if c.Limits == nil {
		return
	}
	number := func(p *expression.Program) (float64, bool) {
		if p == nil {
			return 0, false
		}
		x, err := w.eval(ctx, p)
		if err != nil || x == nil {
			return 0, false
		}
		f, err := strconv.ParseFloat(textOf(x), 64)
		return f, err == nil
	}
	var u connectors.Usage
	if x := a.rate; x != nil {
		if left, ok := number(x.remaining); ok {
			u.Known, u.Remaining = true, left
		}
		if x.reset != nil {
			if at, err := w.eval(ctx, x.reset); err == nil && at != nil {
				u.Until = resetTime(textOf(at), x.resetAs, w.now)
			}
		}
		if left, ok := number(x.available); ok {
			u.Known, u.Remaining = true, left
			u.Restore, _ = number(x.restore)
			u.Cost, _ = number(x.cost)
			u.Cost = max(u.Cost, 1)
		}
	}
	if v.wait > 0 && (v.do == "wait" || v.do == "retry" && res.status == http.StatusTooManyRequests) {
		u = connectors.Usage{Until: w.now.Add(v.wait)}
	}
	if u != (connectors.Usage{}) {
		c.Limits.Learn(a.rateKey(c), u)
	}
}

// rateKey names who shares a limit: a connection, or everyone who uses the system without one. An action with a rate of its
// own is counted on its own: two rates in one count would undo each other.
func (a *action) rateKey(c *connectors.Call) string {
	key := a.src.connector.ID + "/" + c.Connection.Name
	if a.rate != a.src.common.rate {
		key += "/" + a.name
	}
	return key
}

func resetTime(text, as string, now time.Time) time.Time {
	switch as {
	case "http_date":
		t, _ := http.ParseTime(text)
		return t
	case "rfc3339":
		t, _ := time.Parse(time.RFC3339, text)
		return t
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 || n > 1e12 {
		return time.Time{}
	}
	if as == "epoch" {
		return time.UnixMilli(int64(n * 1000))
	}
	return now.Add(time.Duration(n * float64(time.Second)))
}

// page is how a list comes in parts.
type page struct {
	strategy string // cursor, page, offset, next_url, link_header
	items    *expression.Program
	next     *expression.Program
	to       *field
	stop     *expression.Program
	start    int
	maxPages int // as the manifest says; 0: as many as the limit needs
}

const (
	defaultLimit = 100
	maxLimit     = 10_000
	mostPages    = 1000

	unreadable = "?" // a strategy that is no strategy: what it needs is not known
)

func (r *reader) pagination(n *yaml.Node, inherit *page) *page {
	if n.Kind != yaml.MappingNode {
		r.Errorf(n, "such as {strategy: link_header, items: response.body}", "pagination is a mapping")
		return inherit
	}
	o := r.Object(n, "pagination")
	p := &page{}
	if inherit != nil {
		*p = *inherit
	}
	if n := o.Value("strategy"); n != nil {
		*p = page{strategy: o.Word("strategy", unreadable, "cursor", "page", "offset", "next_url", "link_header")}
	}
	if n := o.Value("items"); n != nil {
		p.items = r.program(n, "items", inAnswer)
	}
	if n := o.Value("next"); n != nil {
		p.next = r.program(n, "next", inAnswer)
	}
	if n := o.Value("stop"); n != nil {
		p.stop = r.program(n, "stop", inAnswer)
	}
	if n := o.Value("to"); n != nil {
		p.to = &field{explode: true}
		text, _ := r.Text(n, "to")
		place, name, _ := strings.Cut(text, ".")
		p.to.place, p.to.path = place, []string{name}
		switch {
		case name == "", place != "query" && place != "body" && place != "variables" && place != "header" && place != "params":
			r.Errorf(n, "such as query.cursor, body.cursor or variables.after", "to is the place in the request where the cursor goes")
			p.to = nil
		case place != "query" && place != "header":
			p.to.path = strings.Split(name, ".")
		}
	}
	p.start = o.Int("start", p.start, 0, 1)
	if p.strategy == "page" && o.Take("start") == nil && (inherit == nil || o.Take("strategy") != nil) {
		p.start = 1
	}
	p.maxPages = o.Int("max_pages", p.maxPages, 1, mostPages)
	o.Done()
	return p
}

// check reports what an action's pages lack; defaults may hold only a part of it.
func (p *page) check(r *reader, n *yaml.Node) {
	lack, hint := "", "strategy "+p.strategy+" needs it"
	switch {
	case p.strategy == unreadable:
		return // reported where it stands
	case p.strategy == "":
		lack, hint = "strategy", "how the next page is found: cursor, page, offset, next_url or link_header"
	case p.items == nil:
		lack = "items"
	case p.next == nil && (p.strategy == "cursor" || p.strategy == "next_url"):
		lack = "next"
	case p.to == nil && (p.strategy == "cursor" || p.strategy == "page" || p.strategy == "offset"):
		lack = "to"
	}
	if lack != "" {
		r.Errorf(n, hint, "pagination has no %s", lack)
	}
}

var errPages = errors.New("the pages go in a circle: the same cursor came twice")

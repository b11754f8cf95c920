package manifest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
)

// do performs the action: one request, or one for each page.
func (a *action) do(ctx context.Context, c *connectors.Call) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.HTTP == nil {
		return nil, connectors.Permanent(errors.New("no HTTP client was given"))
	}
	input, err := a.given(c.Input)
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	w := a.words(c, input)
	if a.paged {
		return a.pages(ctx, w, c, input)
	}
	res, w, err := a.call(ctx, w, c, input, nil)
	if err != nil {
		return nil, err
	}
	if a.output == nil {
		return res.answer.Body, nil
	}
	out, err := w.eval(ctx, a.output)
	if err != nil {
		return nil, a.unreadable("output", res, err)
	}
	return out, nil
}

// given is the input without what is nil, checked against the schema.
func (a *action) given(in map[string]any) (map[string]any, error) {
	input := make(map[string]any, len(in))
	for name, v := range in {
		if v != nil {
			input[name] = v
		}
	}
	if err := a.src.connector.Check(a.input, input); err != nil {
		return nil, err
	}
	return value.Clone(input).(map[string]any), nil
}

// words are the roots of a request. Expressions see the defaults of inputs; what is not given is not sent by itself.
func (a *action) words(c *connectors.Call, input map[string]any) words {
	seen := make(map[string]any, len(a.input.Properties))
	for name, s := range a.input.Properties {
		if s.Default != nil {
			seen[name] = s.Default
		}
	}
	for name, v := range input {
		seen[name] = v
	}
	return words{
		roots: map[string]any{"input": seen, "connection": a.src.connection(c.Connection), "call": map[string]any{"key": c.Key}},
		now:   c.Now, seed: c.Key,
	}
}

// connection is the root of that name: fields with their defaults, and what was kept. No secret is in it.
func (s *source) connection(conn connectors.Connection) map[string]any {
	out := map[string]any{}
	for name, f := range s.connector.Fields.Properties {
		if f.Default != nil {
			out[name] = f.Default
		}
	}
	for name, v := range conn.Kept {
		out[name] = v
	}
	for name, v := range conn.Fields {
		out[name] = v
	}
	return out
}

// call makes one exchange and says what came of it: the answer, with the roots that may read it, or an error. Where a
// token is refused another one is got once. change, if there is one, adds to the request, as pages do.
func (a *action) call(ctx context.Context, w words, c *connectors.Call, input map[string]any, change func(*draft) error) (*result, words, error) {
	d, err := a.draft(ctx, w, c, input)
	if err == nil && change != nil {
		err = change(d)
	}
	if err != nil {
		return nil, w, connectors.Permanent(err)
	}
	body, contentType, err := a.encodeBody(ctx, d, w)
	if err != nil {
		return nil, w, connectors.Permanent(err)
	}
	if body != nil && d.header.Get("Content-Type") == "" {
		d.header.Set("Content-Type", contentType)
	}
	if d.header.Get("Accept") == "" {
		d.header.Set("Accept", a.accept())
	}
	if c.Hops > 0 {
		d.header.Set("Bellhop-Hop", strconv.Itoa(c.Hops))
	}
	refused := ""
	for {
		if c.Limits != nil && a.rate != nil {
			if err := c.Limits.Wait(ctx, a.rateKey(c), connectors.Rate{Limit: a.rate.limit, Per: a.rate.per}); err != nil {
				return nil, w, err
			}
		}
		req, pass, err := a.src.sign(ctx, c, d, body, refused)
		if err != nil {
			return nil, w, err
		}
		res, sent, err := exchange(ctx, c.HTTP, req, a.timeout)
		if err != nil {
			return nil, w, a.cutOff(err, sent)
		}
		a.unwrap(res)
		after := w.with("response", res.root())
		v := a.judge(ctx, after, res)
		a.learn(ctx, after, c, res, v)
		switch v.do {
		case "ok":
			return res, after, nil
		case "refresh":
			if pass.token != "" && refused == "" && c.Token != nil {
				refused = pass.token
				continue
			}
		}
		return nil, after, a.failure(c, res, v, pass.secrets)
	}
}

func (a *action) accept() string {
	if a.encode == "xml" || a.shape == "soap" {
		return "application/xml, text/xml"
	}
	return "application/json"
}

// unreadable is an answer that is a success and does not hold what the manifest promises.
func (a *action) unreadable(what string, res *result, err error) error {
	return connectors.Permanent(&connectors.StatusError{
		Status:  res.status,
		Message: fmt.Sprintf("%s answered %d, but not with what %s.%s expects (%s: %v)", a.src.connector.Title, res.status, a.src.connector.ID, a.name, what, err),
	})
}

// pages reads page after page until enough entries are there or no page follows.
func (a *action) pages(ctx context.Context, w words, c *connectors.Call, input map[string]any) (any, error) {
	limit := defaultLimit
	if n, err := strconv.Atoi(textOf(input["limit"])); err == nil && n > 0 {
		limit = min(n, maxLimit)
	}
	p := a.page
	var (
		items  = []any{}
		cursor any
		seen   = map[string]bool{}
		next   *url.URL
		first  *url.URL
	)
	for number := 0; number < cmp.Or(p.maxPages, mostPages); number++ {
		change := func(d *draft) error {
			if first == nil {
				u := *d.url
				first = &u
			}
			if next != nil {
				d.url, d.query = next, nil
				return nil
			}
			switch p.strategy {
			case "page":
				cursor = p.start + number
			case "offset":
				cursor = p.start + len(items)
			}
			if cursor == nil || p.to == nil {
				return nil
			}
			if p.to.place == "query" {
				d.query.Del(p.to.path[0])
			}
			return d.put(p.to, cursor)
		}
		res, after, err := a.call(ctx, w, c, input, change)
		if err != nil {
			return nil, err
		}
		v, err := after.eval(ctx, p.items)
		if err != nil {
			return nil, a.unreadable("items", res, err)
		}
		list, ok := v.([]any)
		if !ok && v != nil {
			return nil, a.unreadable("items", res, errors.New("it is no list"))
		}
		items = append(items, list...)
		if len(items) >= limit {
			return items[:limit], nil
		}
		if p.stop != nil {
			if stop, err := after.eval(ctx, p.stop); err == nil && stop == true {
				return items, nil
			}
		}
		var follow string
		switch p.strategy {
		case "page", "offset":
			if len(list) == 0 {
				return items, nil
			}
			continue
		case "link_header":
			follow = nextLink(res.header.Values("Link"))
		default:
			cursor, err = after.eval(ctx, p.next)
			if err != nil || cursor == nil || textOf(cursor) == "" {
				return items, nil
			}
			if p.strategy == "next_url" {
				follow = textOf(cursor)
			}
		}
		key := follow
		if p.strategy == "cursor" {
			key = textOf(cursor)
		}
		if key == "" {
			return items, nil
		}
		if seen[key] {
			return nil, connectors.Permanent(errPages)
		}
		seen[key] = true
		if p.strategy != "cursor" {
			if next, err = sameHost(first, res.url, follow); err != nil {
				return nil, connectors.Permanent(err)
			}
		}
	}
	if p.maxPages == 0 { // half a list must not look like all of it
		return nil, connectors.Permanent(fmt.Errorf("%d pages held only %d entries, and more follow: ask for a smaller limit, or for larger pages", mostPages, len(items)))
	}
	return items, nil
}

// sameHost resolves the address of the next page, which must not lead away.
func sameHost(first, here *url.URL, text string) (*url.URL, error) {
	u, err := here.Parse(text)
	if err != nil || u.User != nil {
		return nil, errors.New("the address of the next page cannot be read")
	}
	if u.Scheme != first.Scheme || !strings.EqualFold(u.Host, first.Host) {
		return nil, fmt.Errorf("the next page is at %s://%s, not at %s://%s: that is not followed", u.Scheme, u.Host, first.Scheme, first.Host)
	}
	u.Fragment = ""
	return u, nil
}

// nextLink finds rel="next" in Link headers (RFC 8288).
func nextLink(headers []string) string {
	for _, h := range headers {
		for h != "" {
			open := strings.IndexByte(h, '<')
			if open < 0 {
				break
			}
			end := strings.IndexByte(h[open:], '>')
			if end < 0 {
				break
			}
			target := h[open+1 : open+end]
			h = h[open+end+1:]
			params := h
			if i := strings.IndexByte(h, '<'); i >= 0 {
				params = h[:i]
			}
			for _, p := range strings.Split(params, ";") {
				name, v, _ := strings.Cut(strings.TrimSpace(p), "=")
				v = strings.Trim(strings.TrimSpace(strings.TrimRight(strings.TrimSpace(v), ",")), `"`)
				if strings.EqualFold(name, "rel") && contains(strings.Fields(strings.ToLower(v)), "next") {
					return target
				}
			}
		}
	}
	return ""
}

// pass is what a request was signed with.
type pass struct {
	token   string   // empty: the auth has none
	secrets []string // values that no message may repeat
}

// sign makes the request and adds the secrets of the connection, if its host is one where they may go.
func (s *source) sign(ctx context.Context, c *connectors.Call, d *draft, body []byte, refused string) (*http.Request, pass, error) {
	var p pass
	u := *d.url
	query := url.Values{}
	for name, values := range d.query {
		query[name] = values
	}
	header := d.header.Clone()
	for _, secret := range c.Connection.Secrets {
		if secret != "" {
			p.secrets = append(p.secrets, secret)
		}
	}
	if err := s.mayGo(c.Connection, &u); err != nil {
		return nil, p, connectors.Permanent(err)
	}
	scheme := s.schemes[c.Connection.Auth]
	if scheme != nil && scheme.kind == connectors.AuthURL {
		p.secrets = append(p.secrets, u.EscapedPath()) // an answer may repeat a part of the address
	}
	if scheme != nil {
		var err error
		if p.token, err = scheme.authorize(ctx, c, query, header, refused); err != nil {
			return nil, p, err
		}
		if p.token != "" {
			p.secrets = append(p.secrets, p.token)
		}
	} else if !c.Connection.IsZero() && c.Connection.Auth != "" {
		return nil, p, connectors.Permanent(fmt.Errorf("connection %s: there is no auth %q", c.Connection.Name, c.Connection.Auth))
	}
	if len(query) > 0 {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += query.Encode()
	}
	var reader *bytes.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	var req *http.Request
	var err error
	if reader != nil {
		req, err = http.NewRequestWithContext(ctx, d.method, "", reader)
	} else {
		req, err = http.NewRequestWithContext(ctx, d.method, "", nil)
	}
	if err != nil {
		return nil, p, connectors.Permanent(errors.New("the request cannot be made"))
	}
	req.URL, req.Host, req.Header = &u, u.Host, header
	if d.method == http.MethodPost || d.method == http.MethodPatch {
		req.GetBody = nil // how often it is sent is for the retry of the step to say
	}
	if scheme != nil && scheme.kind == connectors.AuthSigV4 {
		if err := scheme.signV4(ctx, c, req, body); err != nil {
			return nil, p, err
		}
	}
	return req, p, nil
}

// mayGo checks the host of a request against the hosts of the connection, by default those of the manifest.
func (s *source) mayGo(conn connectors.Connection, u *url.URL) error {
	if conn.IsZero() && len(s.connector.Auth) > 0 {
		return nil // no secret goes along
	}
	if !wire.ASCIIHost(u) {
		return errors.New("a host that gets a secret is written in ASCII (xn--…), so that it cannot be mistaken")
	}
	allowed := conn.Hosts
	if len(allowed) == 0 {
		allowed = s.connector.Hosts
	}
	own, _ := conn.Fields["base_url"].(string)
	if scheme := s.schemes[conn.Auth]; scheme != nil && scheme.kind == connectors.AuthURL && own == "" && (len(allowed) == 0 || scheme.anywhere && len(conn.Hosts) == 0) {
		own = conn.Secrets["url"]
	}
	if base, err := url.Parse(own); err == nil && own != "" && base.Host != "" {
		if base.Scheme == "https" && u.Scheme != "https" {
			return fmt.Errorf("connection %s: its base_url is https, and a secret is not sent in the open", conn.Name)
		}
		allowed = append([]string{base.Host}, allowed...)
	}
	for _, entry := range allowed {
		if wire.HostMatches(entry, u) {
			return nil
		}
	}
	return fmt.Errorf("the connection %s may not be used with %s: its secrets go to %s only", conn.Name, u.Host, strings.Join(allowed, ", "))
}

// list calls an action of the connector for its entries.
func (s *source) list(ctx context.Context, c *connectors.Call, use string, input map[string]any) ([]any, error) {
	a := s.actions[use]
	if a == nil || !a.safe {
		return nil, connectors.Permanent(fmt.Errorf("there is no action %q that only reads", use))
	}
	call := *c
	if f := a.fieldNamed("limit"); a.paged && f != nil && f.place == "none" && input["limit"] == nil {
		input = maps.Clone(input)
		input["limit"] = maxChoices // a person looks for one among all of them
	}
	call.Input = input
	out, err := a.do(ctx, &call)
	if err != nil {
		return nil, err
	}
	switch list := out.(type) {
	case []any:
		return list, nil
	case map[string]any: // the one list of the answer
		var found []any
		n := 0
		for _, v := range list {
			if l, ok := v.([]any); ok {
				found, n = l, n+1
			}
		}
		if n == 1 {
			return found, nil
		}
	}
	return nil, connectors.Permanent(fmt.Errorf("%s gives no list", use))
}

const maxChoices = 1000

// choices lists what a person may pick for a field.
func (a *action) choices(ctx context.Context, c *connectors.Call, name, search string) ([]connectors.Choice, error) {
	f := a.fieldNamed(name)
	if f == nil || f.options == nil {
		return nil, connectors.Permanent(fmt.Errorf("the field %q has no list of choices", name))
	}
	opt := f.options
	input, err := a.depend(c, opt.use, opt.depends)
	if err != nil {
		return nil, err
	}
	if opt.search != "" && search != "" {
		input[opt.search] = search
	}
	list, err := a.src.list(ctx, c, opt.use, input)
	if err != nil {
		return nil, err
	}
	choices := []connectors.Choice{}
	for _, item := range list {
		w := words{roots: map[string]any{"item": item}, now: c.Now, seed: c.Key}
		v, err := w.eval(ctx, opt.value)
		if err != nil {
			return nil, connectors.Permanent(fmt.Errorf("options of %s: value: %w", name, err))
		}
		label := textOf(v)
		if opt.label != nil {
			l, err := w.eval(ctx, opt.label)
			if err != nil {
				return nil, connectors.Permanent(fmt.Errorf("options of %s: label: %w", name, err))
			}
			if text := textOf(l); text != "" {
				label = text
			}
		}
		if v == nil || opt.search == "" && search != "" && !strings.Contains(strings.ToLower(label), strings.ToLower(search)) {
			continue
		}
		if choices = append(choices, connectors.Choice{Value: v, Label: label}); len(choices) == maxChoices {
			break
		}
	}
	return choices, nil
}

// depend takes the inputs of the lister out of the form: those that the field depends on.
func (a *action) depend(c *connectors.Call, use string, names []string) (map[string]any, error) {
	input := map[string]any{}
	lister := a.src.actions[use]
	for _, name := range names {
		v := c.Input[name]
		if v == nil {
			return nil, connectors.Permanent(fmt.Errorf("fill in %s first", name))
		}
		if lister != nil {
			if _, known := lister.input.Properties[name]; known {
				input[name] = v
			}
		}
	}
	return input, nil
}

func (a *action) fieldNamed(name string) *field {
	for _, f := range a.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// further describes the fields that the account adds to a field.
func (a *action) further(ctx context.Context, c *connectors.Call, name string) (connectors.Schema, error) {
	s := connectors.Schema{Type: "object", Properties: map[string]connectors.Schema{}}
	f := a.fieldNamed(name)
	if f == nil || f.further == nil {
		return s, connectors.Permanent(fmt.Errorf("the field %q has no further fields", name))
	}
	input, err := a.depend(c, f.further.use, f.further.depends)
	if err != nil {
		return s, err
	}
	list, err := a.src.list(ctx, c, f.further.use, input)
	if err != nil {
		return s, err
	}
	for _, item := range list[:min(len(list), maxChoices)] {
		w := words{roots: map[string]any{"item": item}, now: c.Now, seed: c.Key}
		key, err := w.eval(ctx, f.further.name)
		if err != nil {
			return s, connectors.Permanent(fmt.Errorf("fields of %s: name: %w", name, err))
		}
		var sub connectors.Schema
		if f.further.title != nil {
			if v, err := w.eval(ctx, f.further.title); err == nil {
				sub.Title = textOf(v)
			}
		}
		if f.further.kind != nil {
			if v, err := w.eval(ctx, f.further.kind); err == nil {
				sub.Type = typeWord(textOf(v))
			}
		}
		if text := textOf(key); text != "" {
			if _, twice := s.Properties[text]; !twice {
				s.Order = append(s.Order, text)
			}
			s.Properties[text] = sub
		}
	}
	return s, nil
}

// typeWord translates what systems call the types of their fields; what is not known is any value.
func typeWord(word string) string {
	switch strings.ToLower(word) {
	case "string", "text", "textarea", "varchar", "email", "phone", "url", "date", "datetime", "picklist", "enumeration", "select", "id":
		return "string"
	case "number", "double", "float", "currency", "percent", "decimal":
		return "number"
	case "int", "integer", "long":
		return "integer"
	case "bool", "boolean", "checkbox":
		return "boolean"
	case "array", "list", "multipicklist":
		return "array"
	case "object":
		return "object"
	}
	return ""
}

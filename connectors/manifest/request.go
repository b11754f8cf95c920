package manifest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

// draft is a request in the making: everything but the secrets, which are added last and anew for each try.
type draft struct {
	method    string
	url       *url.URL
	query     url.Values
	header    http.Header
	body      any // of the encoding; nil: none
	hasBody   bool
	variables map[string]any // of graphql, params of json_rpc
}

func checkHeaderName(name string) error {
	if wire.Reserved(name) {
		return fmt.Errorf("the header %s follows from the rest of the request", name)
	}
	return wire.CheckHeader(name, "")
}

// checkCookieName refuses what would end the name of a cookie (RFC 6265, section 4.1.1: a token).
func checkCookieName(name string) error {
	if wire.CheckHeader(name, "") != nil {
		return fmt.Errorf("%q is no name of a cookie", name)
	}
	return nil
}

// draft puts the input into its places.
func (a *action) draft(ctx context.Context, w words, c *connectors.Call, input map[string]any) (*draft, error) {
	base, err := a.address(ctx, w, c)
	if err != nil {
		return nil, err
	}
	d := &draft{method: a.method, url: base, query: base.Query(), header: http.Header{}}
	base.RawQuery = ""
	if s := a.src.schemes[c.Connection.Auth]; s == nil || !s.exact {
		if err := a.setPath(ctx, d, w, input); err != nil {
			return nil, err
		}
	}
	for _, h := range a.headers {
		text, err := w.text(ctx, h.text)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", h.name, err)
		}
		if err := d.setHeader(h.name, text); err != nil {
			return nil, err
		}
	}
	for _, f := range a.query {
		v, err := w.data(ctx, f.Value)
		if err != nil {
			return nil, fmt.Errorf("query %s: %w", f.Key, err)
		}
		addQuery(d.query, f.Key, v, a.style, true)
	}
	if err := a.setBody(ctx, d, w); err != nil {
		return nil, err
	}
	for _, f := range a.fields {
		v, given := input[f.name]
		if !given || v == nil {
			continue
		}
		if err := d.put(f, v); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if a.idempotency != "" && a.method != http.MethodGet && c.Key != "" {
		place, name, _ := strings.Cut(a.idempotency, ".")
		if place == "header" {
			d.header.Set(name, c.Key)
		} else if err := d.putBody(strings.Split(name, "."), c.Key); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// address is base_url, or the one that the connection has in its place.
func (a *action) address(ctx context.Context, w words, c *connectors.Call) (*url.URL, error) {
	text := ""
	if s := a.src.schemes[c.Connection.Auth]; s != nil && s.kind == connectors.AuthURL {
		text = c.Connection.Secrets["url"]
	}
	if own, _ := c.Connection.Fields["base_url"].(string); own != "" {
		text = own
	}
	if text == "" && a.base != nil {
		var err error
		if text, err = w.text(ctx, a.base); err != nil {
			return nil, fmt.Errorf("base_url: %w", err)
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return nil, errors.New("the address of the system is not complete: look at the fields of the connection") // it may be a secret
	}
	u.Fragment = ""
	return u, nil
}

func (a *action) setPath(ctx context.Context, d *draft, w words, input map[string]any) error {
	if len(a.path.parts) == 0 {
		return nil // the address itself
	}
	var escaped strings.Builder
	escaped.WriteString(strings.TrimRight(d.url.EscapedPath(), "/"))
	for _, p := range a.path.parts {
		text := ""
		switch {
		case p.input != "":
			name := p.input
			for _, f := range a.fields {
				if f.place == "path" && f.path[0] == p.input {
					name = f.name
				}
			}
			v := input[name]
			if v == nil {
				if v = a.input.Properties[name].Default; v == nil {
					return fmt.Errorf("%s is missing; it is a part of the address", name)
				}
			}
			text = textOf(v)
		case p.text != nil:
			var err error
			if text, err = w.text(ctx, p.text); err != nil {
				return fmt.Errorf("path: %w", err)
			}
		default:
			escaped.WriteString(p.literal)
			continue
		}
		if text == "" || text == "." || text == ".." {
			return fmt.Errorf("a part of the address is %q: it must name something", text)
		}
		escaped.WriteString(url.PathEscape(text))
	}
	d.url.RawPath = escaped.String()
	path, err := url.PathUnescape(d.url.RawPath)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	d.url.Path = path
	return nil
}

func (d *draft) setHeader(name, text string) error {
	if text == "" {
		return nil
	}
	if err := checkHeaderName(name); err != nil {
		return err
	}
	if err := wire.CheckHeader(name, text); err != nil {
		return err
	}
	d.header.Set(name, text)
	return nil
}

// setBody makes what the request says of its body, before the inputs join it.
func (a *action) setBody(ctx context.Context, d *draft, w words) error {
	if a.vars != nil {
		v, err := w.data(ctx, a.vars)
		if err != nil {
			return fmt.Errorf("variables: %w", err)
		}
		switch v := v.(type) {
		case map[string]any:
			d.variables = v
		case nil:
		default:
			d.body = v // params of json_rpc may be a list
		}
	}
	if a.body != nil {
		v, err := w.data(ctx, a.body)
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
		d.body, d.hasBody = v, v != nil
		return nil
	}
	for _, f := range a.fields {
		if f.place == "body" && a.shape == "" && len(f.path) > 0 {
			d.body, d.hasBody = map[string]any{}, true // a body of optional fields is there even when all are left out
			break
		}
	}
	return nil
}

// put puts one input into its place.
func (d *draft) put(f *field, v any) error {
	switch f.place {
	case "query":
		addQuery(d.query, f.path[0], v, f.style, f.explode)
	case "header":
		return d.setHeader(f.path[0], joined(v, ","))
	case "cookie":
		addCookie(d.header, f.path[0], url.QueryEscape(textOf(v)))
	case "body":
		if len(f.path) == 0 {
			d.body, d.hasBody = v, true
			return nil
		}
		return d.putBody(f.path, v)
	case "variables", "params":
		if d.variables == nil {
			d.variables = map[string]any{}
		}
		return put(d.variables, f.path, v)
	}
	return nil
}

// addCookie adds a pair to the one header that carries them (RFC 6265, section 5.4).
func addCookie(header http.Header, name, text string) {
	text = name + "=" + text
	if had := header.Get("Cookie"); had != "" {
		text = had + "; " + text
	}
	header.Set("Cookie", text)
}

func (d *draft) putBody(path []string, v any) error {
	object, ok := d.body.(map[string]any)
	if !ok {
		if d.body != nil {
			return errors.New("the body is not an object, so nothing can be put into it")
		}
		object = map[string]any{}
	}
	d.body, d.hasBody = object, true
	return put(object, path, v)
}

// put sets a value at a path of an object, making what is not there.
func put(object map[string]any, path []string, v any) error {
	for _, name := range path[:len(path)-1] {
		below, ok := object[name].(map[string]any)
		if !ok {
			if object[name] != nil {
				return fmt.Errorf("%s is not an object, so nothing can be put into it", name)
			}
			below = map[string]any{}
			object[name] = below
		}
		object = below
	}
	object[path[len(path)-1]] = v
	return nil
}

// textOf is a value as it stands in an address or a header: nothing for nil.
func textOf(v any) string { return value.Text(v) }

// joined is a list, or the names and values of an object, with a separator between; of anything else it is the text.
func joined(v any, separator string) string {
	var texts []string
	switch x := v.(type) {
	case []any:
		for _, item := range x {
			texts = append(texts, textOf(item))
		}
	case map[string]any:
		for _, name := range keysOf(x) {
			texts = append(texts, name, textOf(x[name]))
		}
	default:
		return textOf(v)
	}
	return strings.Join(texts, separator)
}

// addQuery adds a parameter in one of the styles of OpenAPI 3.1.
func addQuery(q url.Values, name string, v any, style string, explode bool) {
	switch x := v.(type) {
	case nil:
	case []any:
		separator := ","
		switch style {
		case "deep_object":
			for _, p := range deep(name, x) {
				q.Add(p.name, p.text)
			}
			return
		case "space_delimited":
			separator = " "
		case "pipe_delimited":
			separator = "|"
		}
		if explode {
			for _, item := range x {
				q.Add(name, textOf(item))
			}
			return
		}
		q.Add(name, joined(x, separator))
	case map[string]any:
		if style == "deep_object" {
			for _, p := range deep(name, x) {
				q.Add(p.name, p.text)
			}
			return
		}
		if explode {
			for _, key := range keysOf(x) {
				q.Add(key, textOf(x[key]))
			}
			return
		}
		q.Add(name, joined(x, ","))
	default:
		q.Add(name, textOf(v))
	}
}

type pair struct{ name, text string }

// deep writes nested data as a[b][c] and a[0].
func deep(name string, v any) []pair {
	switch x := v.(type) {
	case nil:
		return nil
	case []any:
		var pairs []pair
		for i, item := range x {
			pairs = append(pairs, deep(name+"["+strconv.Itoa(i)+"]", item)...)
		}
		return pairs
	case map[string]any:
		var pairs []pair
		for _, key := range keysOf(x) {
			pairs = append(pairs, deep(name+"["+key+"]", x[key])...)
		}
		return pairs
	}
	return []pair{{name, textOf(v)}}
}

// form writes a body as a form.
func form(body any, style string) ([]byte, error) {
	fields, ok := body.(map[string]any)
	if !ok {
		return nil, errors.New("the body of a form is an object")
	}
	q := url.Values{}
	for _, name := range keysOf(fields) {
		if style == "" {
			style = "form"
		}
		if list, isList := fields[name].([]any); isList && style != "deep_object" && len(list) > 0 {
			if _, nested := list[0].(map[string]any); nested {
				for _, p := range deep(name, list) {
					q.Add(p.name, p.text)
				}
				continue
			}
		}
		if object, isObject := fields[name].(map[string]any); isObject && style != "deep_object" {
			q.Add(name, textOf(object)) // a form cannot say it otherwise
			continue
		}
		addQuery(q, name, fields[name], style, true)
	}
	return []byte(q.Encode()), nil
}

// parts makes the parts of a multipart body; objects and lists of them become a[b] and a[0].
func parts(body any) (map[string]any, error) {
	fields, ok := body.(map[string]any)
	if !ok {
		return nil, errors.New("the body of a form is an object")
	}
	out := map[string]any{}
	for name, v := range fields {
		if object, isObject := v.(map[string]any); isObject {
			if _, isFile := object["content"]; isFile {
				out[name] = v
				continue
			}
		}
		list, isList := v.([]any)
		flat := isList && !slices.ContainsFunc(list, func(item any) bool {
			_, object := item.(map[string]any)
			return object
		})
		_, isObject := v.(map[string]any)
		if !isObject && !isList || flat { // a list of texts repeats its name
			out[name] = v
			continue
		}
		for _, p := range deep(name, v) {
			out[p.name] = p.text
		}
	}
	return out, nil
}

// encode makes the bytes of the body; nil: there is none.
func (a *action) encodeBody(ctx context.Context, d *draft, w words) (body []byte, contentType string, err error) {
	switch a.shape {
	case "graphql":
		variables := d.variables
		if variables == nil {
			variables = map[string]any{}
		}
		body, err = value.AppendJSON(nil, map[string]any{"query": a.graphql, "variables": variables})
		return body, "application/json", err
	case "json_rpc":
		method, err := w.text(ctx, a.rpc)
		if err != nil {
			return nil, "", fmt.Errorf("method: %w", err)
		}
		message := map[string]any{"jsonrpc": "2.0", "id": 1, "method": method}
		if d.variables != nil {
			message["params"] = d.variables
		} else if list, ok := d.body.([]any); ok {
			message["params"] = list
		}
		body, err = value.AppendJSON(nil, message)
		return body, "application/json", err
	case "soap":
		return a.soap.encode(ctx, w, d)
	}
	if !d.hasBody {
		return nil, "", nil
	}
	switch a.encode {
	case "json":
		body, err = value.AppendJSON(nil, d.body)
		return body, "application/json", err
	case "form":
		body, err = form(d.body, a.style)
		return body, "application/x-www-form-urlencoded", err
	case "multipart":
		fields, err := parts(d.body)
		if err != nil {
			return nil, "", err
		}
		return wire.Multipart(fields)
	case "xml":
		body, err = value.AppendXML(nil, d.body)
		return body, "application/xml; charset=utf-8", err
	case "text":
		return []byte(textOf(d.body)), "text/plain; charset=utf-8", nil
	case "raw":
		body, err = base64.StdEncoding.DecodeString(textOf(d.body))
		if err != nil {
			err = errors.New("the body is not base64")
		}
		return body, "application/octet-stream", err
	}
	return nil, "", nil
}

// soap is a call of SOAP 1.1 or 1.2.
type soap struct {
	version   string
	action    *expression.Template
	namespace string
	header    *expression.Tree
	body      *expression.Tree
}

func (r *reader) soap(n *yaml.Node) *soap {
	o := r.Object(n, "soap")
	s := &soap{version: o.Word("version", "1.1", "1.1", "1.2"), namespace: o.Text("namespace")}
	s.action = r.template(o.Value("action"), "action", r.scope)
	if n := o.Value("header"); n != nil {
		s.header = r.tree(n, "header", r.scope)
	}
	if n := o.Need("body", "one element with its content"); n != nil {
		s.body = r.tree(n, "body", r.scope)
		if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
			r.Errorf(n, "such as body: {GetStock: {Sku: 1}}", "the body of a SOAP call is one element")
		}
	}
	o.Done()
	return s
}

func (s *soap) encode(ctx context.Context, w words, d *draft) ([]byte, string, error) {
	v, err := w.data(ctx, s.body)
	if err != nil {
		return nil, "", fmt.Errorf("body: %w", err)
	}
	action, err := w.text(ctx, s.action)
	if err != nil {
		return nil, "", fmt.Errorf("action: %w", err)
	}
	call := wire.SOAP{Version: s.version, Action: action, Namespace: s.namespace}
	call.Body, _ = v.(map[string]any)
	if s.header != nil {
		if call.Header, err = w.data(ctx, s.header); err != nil {
			return nil, "", fmt.Errorf("header: %w", err)
		}
	}
	out, contentType, action, err := call.Encode()
	if err == nil && action != "" {
		err = d.setHeader("SOAPAction", action)
	}
	return out, contentType, err
}

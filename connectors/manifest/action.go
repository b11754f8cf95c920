package manifest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// source is what the functions of a connector share: the manifest, compiled. It does not change.
type source struct {
	connector *connectors.Connector
	base      *expression.Template // defaults.base_url
	schemes   map[string]*scheme
	actions   map[string]*action
	common    settings // of defaults, with what an action may override
	addresses []*yaml.Node
}

// settings are what an action has of its own or inherits from defaults.
type settings struct {
	base        *expression.Template
	path        *pathTemplate
	headers     []header
	query       []expression.Field
	encode      string
	style       string
	timeout     time.Duration
	idempotency string // header.X or body.x; empty: none
	rate        *rate
	rules       []rule // the action's own first
	page        *page
}

type header struct {
	name string
	text *expression.Template
}

// action is one action, compiled.
type action struct {
	settings
	src     *source
	name    string
	safe    bool
	repeat  bool // safe or idempotent
	method  string
	fields  []*field
	input   connectors.Schema
	body    *expression.Tree // nil: made of the inputs
	shape   string           // graphql, soap, json_rpc; empty: body and encode
	graphql string
	vars    *expression.Tree // variables of graphql, params of json_rpc
	rpc     *expression.Template
	soap    *soap
	paged   bool
	output  *expression.Program // nil: the body of the answer
}

const defaultTimeout = 30 * time.Second

var encodings = []string{"json", "form", "multipart", "xml", "text", "raw", "none"}

func (r *reader) defaults(n *yaml.Node) {
	common := &r.src.common
	common.encode, common.timeout = "json", defaultTimeout
	if n == nil {
		return
	}
	o := r.Object(n, "defaults")
	r.settings(o, common, &settings{encode: "json", timeout: defaultTimeout}, "defaults")
	o.Done()
	r.src.base = common.base
	if n := o.Take("rate"); n != nil && common.rate != nil {
		r.c.Rate = connectors.Rate{Limit: common.rate.limit, Per: common.rate.per}
	}
}

// settings reads what defaults and actions have in common. The request side of it may stand in `request` as well.
func (r *reader) settings(o *workflow.Object, s, inherit *settings, what string) {
	*s = *inherit
	if n := o.Value("base_url"); n != nil {
		s.base = r.template(n, "base_url", inBase)
		r.hasBase = true
		if !strings.HasPrefix(n.Value, "https://") && !strings.HasPrefix(n.Value, "http://") && !strings.HasPrefix(n.Value, "${{") {
			r.Errorf(n, "such as https://api.example.com", "base_url is no address")
		} else {
			r.src.addresses = append(r.src.addresses, n)
		}
	}
	if n := o.Value("path"); n != nil {
		s.path = r.path(n)
	}
	s.headers = r.headers(o.Value("headers"), inherit.headers, r.scope)
	if n := o.Value("query"); n != nil {
		if t := r.tree(n, "query", r.scope); n.Kind == yaml.MappingNode {
			s.query = append(slices.Clone(inherit.query), t.Fields...)
		} else {
			r.Errorf(n, "write {name: value}", "query is a mapping")
		}
	}
	s.encode = o.Word("encode", inherit.encode, encodings...)
	s.style = o.Word("style", inherit.style, "form", "deep_object", "space_delimited", "pipe_delimited")
	s.timeout = o.Duration("timeout", inherit.timeout)
	if n := o.Value("idempotency"); n != nil {
		s.idempotency, _ = r.Text(n, "idempotency")
		place, name, _ := strings.Cut(s.idempotency, ".")
		if place != "header" && place != "body" || name == "" {
			r.Errorf(n, "such as header.Idempotency-Key or body.idempotency_key", "idempotency names where the key goes")
			s.idempotency = ""
		}
	}
	if n := o.Value("rate"); n != nil {
		s.rate = r.rate(n)
	}
	if n := o.Value("errors"); n != nil {
		s.rules = append(r.rules(n), inherit.rules...)
	}
	if n := o.Value("pagination"); n != nil && (n.Kind == yaml.MappingNode || what == "defaults") {
		s.page = r.pagination(n, inherit.page)
	}
}

func (r *reader) headers(n *yaml.Node, inherit []header, s *expression.Scope) []header {
	if n == nil {
		return inherit
	}
	list := slices.Clone(inherit)
	o := r.Object(n, "headers")
	for _, key := range o.Keys() {
		list = slices.DeleteFunc(list, func(h header) bool { return strings.EqualFold(h.name, key.Value) })
		n := o.Take(key.Value)
		if n == nil || n.Kind != yaml.ScalarNode {
			r.Errorf(key, "", "the value of a header is text")
			continue
		}
		if n.Value == "" {
			continue // the action does without the header that others have
		}
		if err := checkHeaderName(key.Value); err != nil {
			r.Errorf(key, "", "%v", err)
			continue
		}
		quoted := *n
		quoted.Style |= yaml.DoubleQuotedStyle // a number in a header is meant as it stands
		if text := r.template(&quoted, key.Value, s); text != nil {
			list = append(list, header{key.Value, text})
		}
	}
	return list
}

// pathTemplate is a path with inputs and expressions in it, each of which is escaped as one part of the path.
type pathTemplate struct {
	parts []pathPart
	names []string // inputs in { }
}

type pathPart struct {
	literal string
	input   string               // name of an input
	text    *expression.Template // one expression alone
}

func (r *reader) path(n *yaml.Node) *pathTemplate {
	text, ok := r.Text(n, "path")
	if !ok {
		return nil
	}
	p := &pathTemplate{}
	if !strings.HasPrefix(text, "/") && text != "" && !strings.HasPrefix(text, "${{") {
		r.Errorf(n, "begin it with a slash", "%q is no path", text)
		return p
	}
	if strings.ContainsAny(text, "?#") && !strings.Contains(text, "${{") {
		r.Errorf(n, "put parameters into query: {name: value}", "a path has no ? and no #")
		return p
	}
	last := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		if m[0] > last {
			p.parts = append(p.parts, pathPart{literal: text[last:m[0]]})
		}
		last = m[1]
		if m[2] >= 0 {
			name := text[m[2]:m[3]]
			p.parts = append(p.parts, pathPart{input: name})
			p.names = append(p.names, name)
			continue
		}
		if !r.spend(1, n) {
			return p
		}
		t, err := expression.CompileTemplate(text[m[0]:m[1]], r.scope)
		if err != nil {
			r.Misread(n, "path", err)
			return p
		}
		r.note(n, "path", t.Refs())
		p.parts = append(p.parts, pathPart{text: t})
	}
	if last < len(text) {
		p.parts = append(p.parts, pathPart{literal: text[last:]})
	}
	return p
}

func (r *reader) actions(n *yaml.Node) {
	if n == nil {
		return
	}
	o := r.Object(n, "actions")
	if len(o.Keys()) > maxActions {
		r.Errorf(n, "", "there are more than %d actions", maxActions)
		return
	}
	for _, key := range o.Keys() {
		r.src.actions[key.Value] = &action{src: r.src, name: key.Value} // known before any is read
	}
	for _, key := range o.Keys() {
		if !idPattern.MatchString(key.Value) {
			r.Errorf(key, "use small letters, digits and _, at most 40", "%q is no name of an action", key.Value)
			continue
		}
		if n := o.Value(key.Value); n != nil {
			r.places["action "+key.Value] = key
			r.action(key, n)
		}
	}
}

func (r *reader) action(key, n *yaml.Node) {
	a := r.src.actions[key.Value]
	first := len(r.readings)
	o := r.Object(n, "an action")
	ca := connectors.Action{Name: key.Value}
	ca.Title = o.Text("title")
	o.Need("title", "a few words for people, such as Send a message")
	ca.Summary = o.Text("summary")
	if ca.Summary == "" && ca.Title != "" {
		ca.Summary = ca.Title + "."
	}
	ca.Operation = o.Text("operation")
	ca.Show = o.Word("show", "", "main", "more", "hidden")
	ca.Deprecated = r.replacement(o, "action", keysOf(r.src.actions))
	a.safe = o.Bool("safe", false)
	idempotent := o.Bool("idempotent", false)
	a.input, a.fields = r.input(o.Value("input"), "input")
	r.settings(o, &a.settings, &r.src.common, "an action")
	r.request(o, a)
	a.paged = r.usesPages(o, a)
	if n := o.Value("output"); n != nil {
		a.output = r.program(n, "output", inAnswer)
		if a.paged {
			r.Errorf(n, "remove it; items of pagination says what a page holds", "the output of an action with pages is the joined list")
		}
	}
	if a.idempotency != "" && a.method != http.MethodGet {
		idempotent = true
	}
	if a.paged && a.method != http.MethodGet && !a.safe && a.shape == "" {
		r.Warnf(key, "say safe: true if it only reads", "an action with pages that is not marked safe calls several times")
	}
	a.repeat = a.safe || idempotent
	ca.Safe, ca.Idempotent = a.safe, idempotent
	r.sample(o, &ca.Sample, &ca.Output, a.paged)
	o.Done()

	if a.paged {
		if _, taken := a.input.Properties["limit"]; !taken {
			least, most := 1.0, float64(maxLimit)
			if a.input.Properties == nil {
				a.input.Properties = map[string]connectors.Schema{}
			}
			a.input.Properties["limit"] = connectors.Schema{
				Type: "integer", Title: "Limit", Description: "How many entries to read at most.", Default: defaultLimit, Minimum: &least, Maximum: &most, Show: "more",
			}
			a.input.Order = append(a.input.Order, "limit")
			a.fields = append(a.fields, &field{name: "limit", place: "none"})
		}
	}
	r.checkInputs(first, a.input)
	ca.Input = a.input
	ca.Do = a.do
	for _, f := range a.fields {
		if f.options != nil {
			ca.Choices = a.choices
		}
		if f.further != nil {
			ca.Further = a.further
		}
	}
	r.c.Actions = append(r.c.Actions, ca)
}

func (r *reader) replacement(o *workflow.Object, kind string, names []string) string {
	n := o.Value("deprecated")
	if n == nil {
		return ""
	}
	name, ok := r.Text(n, "deprecated")
	if ok && !slices.Contains(names, name) {
		r.Errorf(n, workflow.Known(name, names), "deprecated names the %s to use instead; there is no %q", kind, name)
	}
	return name
}

// sample reads an example and the schema that goes with it.
func (r *reader) sample(o *workflow.Object, sample *any, output *connectors.Schema, list bool) {
	n := o.Take("sample")
	if n != nil {
		*sample = r.Data(n)
	}
	if n := o.Value("output_schema"); n != nil {
		*output = r.schema(n, "output_schema")
		if *sample != nil {
			r.later = append(r.later, func() {
				if err := r.c.Check(*output, *sample); err != nil {
					r.Errorf(n, "", "the sample does not fit output_schema: %v", err)
				}
			})
		}
		return
	}
	if *sample != nil {
		*output = schemaOf(*sample)
	} else if list {
		*output = connectors.Schema{Type: "array"}
	}
}

// usesPages reads `pagination: true`, or a pagination of the action's own.
func (r *reader) usesPages(o *workflow.Object, a *action) bool {
	n := o.Take("pagination")
	if n == nil {
		return false
	}
	if n.Kind != yaml.MappingNode && !o.Bool("pagination", false) {
		return false
	}
	if a.page == nil {
		r.Errorf(n, "say there how pages work", "pagination: true needs defaults.pagination")
		return false
	}
	a.page.check(r, n)
	return true
}

// bodyOfGet warns of a body that has no meaning by RFC 9110, section 9.3.1: few APIs read it, and what lies before them may
// drop it or refuse the call.
func (r *reader) bodyOfGet(n *yaml.Node, a *action) {
	if a.body == nil && a.shape == "" && !slices.ContainsFunc(a.fields, func(f *field) bool { return f.place == "body" }) {
		return
	}
	r.Warnf(n, "send it in the query, or with POST; leave it if the API's documentation asks for just this", "a %s request with a body, which most servers do not read", a.method)
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// request reads the `request` of an action.
func (r *reader) request(parent *workflow.Object, a *action) {
	n := parent.Need("request", "such as request: {method: GET, path: /v1/things}")
	if n == nil {
		return
	}
	r.readRequest(n, a)
	used := map[string]bool{}
	a.reads(used)
	r.placeFields(n, a, used)
}

// readRequest reads method, address, headers and body.
func (r *reader) readRequest(n *yaml.Node, a *action) {
	o := r.Object(n, "a request")
	own := a.settings
	r.settings(o, &a.settings, &own, "a request")
	var given []string
	for _, key := range []string{"graphql", "soap", "json_rpc", "body"} {
		if o.Take(key) != nil {
			given = append(given, key)
		}
	}
	if len(given) > 1 {
		r.Errorf(o.Key(given[1]), "", "a request has one body: %s or %s", given[0], given[1])
	}
	method := "GET"
	if len(given) > 0 {
		method = "POST"
	}
	a.method = o.Word("method", method, methods...)
	if a.path == nil {
		if given == nil || given[0] == "body" {
			o.Need("path", `such as path: /v1/things; path: "" is base_url itself`)
		}
		a.path = &pathTemplate{}
	}
	if n := o.Value("graphql"); n != nil {
		a.shape = "graphql"
		a.graphql, _ = r.Text(n, "graphql")
	}
	if n := o.Value("variables"); n != nil {
		a.vars = r.tree(n, "variables", r.scope)
		if a.shape != "graphql" || n.Kind != yaml.MappingNode {
			r.Errorf(n, "", "variables are a mapping beside graphql")
		}
	}
	if n := o.Value("json_rpc"); n != nil {
		a.shape = "json_rpc"
		j := r.Object(n, "json_rpc")
		a.rpc = r.template(j.Need("method", ""), "method", r.scope)
		if n := j.Value("params"); n != nil {
			a.vars = r.tree(n, "params", r.scope)
		}
		j.Done()
	}
	if n := o.Value("soap"); n != nil {
		a.shape = "soap"
		a.soap = r.soap(n)
	}
	if n := o.Take("body"); n != nil {
		a.body = r.tree(n, "body", r.scope)
	}
	o.Done()
}

// reads names the inputs that the templates of the request use already.
func (a *action) reads(used map[string]bool) {
	if a.path != nil {
		for _, p := range a.path.parts {
			if p.input != "" {
				used[p.input] = true
			} else if p.text != nil {
				inputsOf(p.text.Refs(), used)
			}
		}
	}
	for _, h := range a.headers {
		inputsOf(h.text.Refs(), used)
	}
	for _, f := range a.query {
		inputsOf(f.Value.Refs(), used)
	}
	for _, t := range []*expression.Tree{a.body, a.vars} {
		inputsOf(t.Refs(), used)
	}
	if a.rpc != nil {
		inputsOf(a.rpc.Refs(), used)
	}
	if a.soap != nil {
		inputsOf(a.soap.body.Refs(), used)
		inputsOf(a.soap.header.Refs(), used)
	}
}

// placeFields decides where the inputs go that do not say it.
func (r *reader) placeFields(n *yaml.Node, a *action, used map[string]bool) {
	otherwise := "query"
	switch {
	case a.shape == "graphql":
		otherwise = "variables"
	case a.shape == "json_rpc":
		otherwise = "params"
	case a.shape == "soap":
		otherwise = "none"
	case a.method == "POST" || a.method == "PUT" || a.method == "PATCH":
		otherwise = "body"
	}
	for _, f := range a.fields {
		if f.place == "" {
			f.place, f.path = otherwise, []string{f.name}
			if used[f.name] {
				f.place = "none"
			}
		}
		if f.style == "" {
			f.style = a.style
		}
		if f.explode = f.style == "" || f.style == "form" || f.style == "deep_object"; f.given != nil {
			f.explode = *f.given
		}
		if f.place == "variables" && a.shape != "graphql" {
			r.Errorf(n, "", "at: variables.%s needs a request with graphql", strings.Join(f.path, "."))
		}
	}
	if a.method == http.MethodGet || a.method == http.MethodHead {
		r.bodyOfGet(n, a)
	}
	for _, name := range a.path.names {
		if _, ok := a.input.Properties[name]; !ok && !slices.ContainsFunc(a.fields, func(f *field) bool { return f.place == "path" && f.path[0] == name }) {
			r.Errorf(n, "add it to input.properties", "the path holds {%s}, which is no input", name)
		}
	}
}

package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// input is one value that an action takes.
type input struct {
	name     string // in `with`
	at       string // where it goes; empty: where the runtime would put it
	required bool
	schema   *object // compiled
	show     string
	style    string   // how a list or an object is written; empty: it is none, or it is JSON
	usual    string   // the style that its place has by default
	form     bool     // it is a member of a form, where the action has one style for all
	extra    []member // explode, options, fields_from
}

var simpleName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// inputName keeps the spelling of the API where a workflow can write it without quotes.
func inputName(wire string) string {
	if simpleName.MatchString(wire) {
		return wire
	}
	if s := slug(wire); s != "" {
		return s
	}
	return "value"
}

// action writes one operation.
func (b *builder) action(op *operation) (*written, error) {
	o, err := b.c.open(op)
	if err != nil {
		return nil, err
	}
	w := &written{opened: o, action: &object{}, paging: b.c.paging(o)}
	a := w.action
	a.set("title", o.title())
	if text := firstSentence(orElse(op.node.text("description"), op.node.text("summary")), 200); strings.TrimRight(text, ".") != o.title() && b.sample > 0 {
		a.put("summary", text)
	}
	a.set("operation", op.name())
	switch op.method {
	case "GET", "HEAD":
		a.set("safe", true)
	case "PUT", "DELETE":
		a.set("idempotent", true)
	}
	switch {
	case visibility(op.node) == "hidden":
		a.set("show", "hidden")
	case op.node.flag("deprecated") || visibility(op.node) == "more":
		a.set("show", "more")
	}
	request := &object{}
	request.set("method", op.method)
	query, headers := &object{}, &object{}
	for _, m := range o.fixed {
		query.set(m.key, literal(fmt.Sprint(m.val)))
	}
	if w.paging != nil {
		for _, m := range w.paging.fixed {
			query.set(m.key, m.val)
		}
	}
	names := map[string]bool{}
	if w.paging != nil {
		names["limit"] = true // the runtime's
	}
	if err := b.params(w, names, query, headers); err != nil {
		return nil, err
	}
	request.set("path", literal(o.path))
	body, err := b.payload(w, names, headers)
	if err != nil {
		return nil, err
	}
	if accept := o.accept(); accept != "" {
		headers.set("Accept", literal(accept))
	}
	if o.sends != "" && o.body == nil { // some services refuse a call without it, even one that has no body
		headers.set("Content-Type", literal(o.sends))
	}
	request.put("query", query)
	request.put("headers", headers)
	if body != nil {
		request.set("body", body)
	}
	a.set("request", request)
	if base := b.ownServer(o); base != "" {
		a.set("base_url", base)
	}
	b.inputs(w)
	if w.paging != nil {
		a.set("pagination", w.paging.rule)
	}
	sample := b.c.sampleOf(o.answer)
	if w.paging != nil {
		sample = listOf(sample, w.paging.rule.text("items"))
	}
	if b.sample > 0 {
		a.put("sample", sample)
	}
	return w, nil
}

func orElse(a, b string) string {
	if strings.TrimSpace(a) != "" {
		return a
	}
	return b
}

// listOf takes the joined list out of the sample of one page.
func listOf(sample any, items string) any {
	if name, ok := strings.CutPrefix(items, "response.body."); ok {
		return asObject(sample).value(name)
	}
	return sample
}

// params writes the inputs that are sent outside the body.
func (b *builder) params(w *written, names map[string]bool, query, headers *object) error {
	for _, in := range []string{"path", "query", "header", "cookie"} {
		for _, p := range w.params {
			if p.in != in || in == "query" && w.paging != nil && slices.Contains(w.paging.drop, p.name) {
				continue
			}
			if in == "query" && query.has(p.name) {
				continue // the path has it already
			}
			if b.idempotency(w, p) {
				continue
			}
			flat, err := b.c.flatten(p.schema)
			if err != nil {
				return err
			}
			if fixed, ok := b.fixed(p, flat); ok {
				if in == "query" {
					query.set(p.name, fixed)
				} else {
					headers.set(p.name, fixed)
				}
				continue
			}
			if p.node.flag("deprecated") && !p.required {
				continue
			}
			schema, err := b.c.schema(p.schema, 0, true)
			if err != nil {
				return err
			}
			schema = b.described(schema, p.node)
			i := &input{name: b.unique(names, inputName(p.name), in), required: p.required, schema: schema, show: visibility(p.node, flat)}
			if in == "path" {
				w.path = strings.ReplaceAll(w.path, "{"+p.name+"}", "{"+i.name+"}")
			} else if i.name != p.name || in != "query" || bodyMethod(w.method) {
				i.at = in + "." + p.name
			}
			b.c.styleOf(i, p, flat)
			if options := b.options(w.opened, i, p.node); options != nil {
				i.extra = append(i.extra, member{"options", options})
			}
			if types, _ := b.c.types(flat); p.asJSON && in != "query" {
				if !slices.Equal(types, []string{"string"}) && !slices.Equal(types, []string{"integer"}) {
					b.c.warn("parameter %s is sent as JSON in the %s, which is not written: its value is sent as it is", p.name, in)
				}
			} else if p.asJSON {
				value := field("input", i.name)
				query.set(p.name, "${{ "+value+" == nil ? nil : to_json("+value+") }}")
				i.at = ""
			}
			w.inputs = append(w.inputs, i)
		}
	}
	return nil
}

func bodyMethod(method string) bool { return method == "POST" || method == "PUT" || method == "PATCH" }

// fixed is the value of a parameter that can have no other, or that a form shall not show.
func (b *builder) fixed(p *parameter, flat *object) (any, bool) {
	if p.in != "query" && p.in != "header" || !p.required {
		return nil, false
	}
	v := flat.value("const")
	if enum := flat.list("enum"); len(enum) == 1 {
		v = enum[0]
	}
	if v == nil && visibility(p.node, flat) == "hidden" {
		v = flat.value("default")
	}
	switch v := v.(type) {
	case string:
		return literal(v), v != "" && !strings.ContainsAny(v, "\r\n")
	case number, bool:
		return v, true
	}
	return nil, false
}

// described adds what stands beside a parameter's schema.
func (b *builder) described(schema, node *object) *object {
	if b.doc.version == "2.0" {
		return schema
	}
	words := &object{}
	b.c.words(words, node, 0)
	for _, key := range []string{"title", "description"} {
		if v := words.text(key); v != "" {
			if key == "description" {
				if _, after, ok := strings.Cut(schema.text(key), "Default: "); ok {
					v = sentence(v, "Default: "+after)
				}
			}
			schema.set(key, v)
		}
	}
	if example, ok := exampleOf(node); ok && small(example, 200) && !schema.has("$ref") {
		schema.set("examples", []any{example})
	}
	return schema
}

// unique finds a name for an input that no other has; the second of a name says where it goes.
func (b *builder) unique(names map[string]bool, name, in string) string {
	if names[name] {
		name = in + "_" + name
	}
	base := name
	for i := 2; names[name]; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	names[name] = true
	return name
}

// idempotency finds the header or member that carries the key of a call, which is the runtime's to fill in.
func (b *builder) idempotency(w *written, p *parameter) bool {
	if p.in != "header" || w.method == "GET" || w.method == "HEAD" {
		return false
	}
	if !idempotent(p.name, p.node.text("description")) {
		return false
	}
	if most, ok := whole(p.schema.value("maxLength")); ok && most < 26 {
		return false
	}
	w.action.set("idempotency", "header."+p.name)
	w.action.remove("idempotent")
	return true
}

func idempotent(name, description string) bool {
	name, description = strings.ToLower(name), strings.ToLower(description)
	return strings.Contains(name, "idempotency") || strings.HasSuffix(name, "request-id") && (strings.Contains(description, "idempoten") || strings.Contains(description, "server stores keys"))
}

// styleOf says how a value of several parts is written.
func (c *compiler) styleOf(i *input, p *parameter, flat *object) {
	types, _ := c.types(flat)
	if !slices.Contains(types, "array") && !slices.Contains(types, "object") && len(types) > 0 || p.asJSON {
		return
	}
	i.usual, i.style = "form", styleWord(p.style)
	if p.in != "query" {
		if i.style == "label" || i.style == "matrix" {
			c.warn("parameter %s has the style %s, which is not written: its value is sent alone", p.name, i.style)
		}
		i.style = ""
		return
	}
	if i.style == "" {
		i.style = "form"
	}
	if p.explode != nil && *p.explode != (i.style == "form") && i.style != "deep_object" {
		i.extra = append(i.extra, member{"explode", *p.explode})
	}
}

func styleWord(style string) string {
	return map[string]string{
		"deepObject": "deep_object", "spaceDelimited": "space_delimited", "pipeDelimited": "pipe_delimited",
		"form": "form", "simple": "simple", "label": "label", "matrix": "matrix",
	}[style]
}

// payload writes the inputs of the body. It returns `request.body` where the whole body is one input.
func (b *builder) payload(w *written, names map[string]bool, headers *object) (any, error) {
	p := w.body
	if p == nil {
		return nil, nil
	}
	if (w.method == "GET" || w.method == "HEAD") && !p.required { // a body of those is dropped on the way by many
		if p.schema.size() > 0 {
			b.c.warn("the body of a %s request is optional, and most servers do not read one: it is left out", w.method)
		}
		return nil, nil
	}
	w.action.set("encode", p.encode)
	b.contentType(w, headers)
	flat, err := b.c.flatten(p.schema)
	if err != nil {
		return nil, err
	}
	types, _ := b.c.types(flat)
	if p.encode == "form" && flat.object("properties").size() == 0 && !flat.has("oneOf") && !flat.has("anyOf") {
		return nil, nil // an empty form
	}
	isObject := slices.Equal(types, []string{"object"}) && flat.object("properties").size() > 0 && !flat.has("oneOf") && !onlyRequired(flat)
	if !isObject || p.encode == "xml" || p.encode == "text" || p.encode == "raw" {
		return b.wholeBody(w, flat, names, headers)
	}
	written, err := b.c.write(flat, -1, true)
	if err != nil {
		return nil, err
	}
	required := texts(written.list("required"))
	before := len(w.inputs)
	rest := &object{} // of the body: what does not go out as the input has it
	for _, m := range written.object("properties").all() {
		raw := flat.object("properties").value(m.key)
		node, err := b.c.flatten(raw)
		if err != nil {
			return nil, err
		}
		needed := slices.Contains(required, m.key)
		if strings.Contains(strings.ToLower(m.key), "idempotency_key") && w.method != "GET" && !w.action.has("idempotency") && keyFits(node) {
			w.action.set("idempotency", "body."+m.key)
			continue
		}
		i := &input{required: needed, schema: asObject(m.val).clone(), show: visibility(asObject(raw), node)}
		if err := b.bodyPlace(w, i, names, m.key); err != nil {
			if !needed {
				b.c.warn("%v: it is left out", err)
				continue
			}
			if p.encode != "json" {
				return nil, err
			}
			w.inputs = w.inputs[:before] // the body as a whole can be written
			return b.wholeBody(w, flat, names, headers)
		}
		switch p.encode {
		case "form":
			b.formStyle(i, m.key, node, p.encoding)
		case "multipart":
			i.schema = b.file(i.schema)
			if text := b.jsonPart(i, node, p.encoding.object(m.key)); text != "" {
				rest.set(m.key, text)
				i.at = "none"
			}
		}
		if options := b.options(w.opened, i, node); options != nil {
			i.extra = append(i.extra, member{"options", options})
		}
		if fields := b.fieldsFrom(w.opened, i, asObject(raw), node); fields != nil {
			i.extra = append(i.extra, member{"fields_from", fields})
		}
		w.inputs = append(w.inputs, i)
	}
	for _, name := range required {
		if !written.object("properties").has(name) {
			if flat.object("properties").has(name) {
				continue // only an answer has it
			}
			i := &input{required: true, schema: &object{}}
			if err := b.bodyPlace(w, i, names, name); err != nil {
				return nil, err
			}
			w.inputs = append(w.inputs, i)
		}
	}
	if rest.size() > 0 {
		return rest, nil
	}
	return nil, nil
}

// jsonPart writes a part of a multipart body that is an object: it goes out as JSON (OpenAPI 3.0.4, Encoding Object),
// a list of objects as a part for each of them. Empty: the part is none of these.
func (b *builder) jsonPart(i *input, node, encoding *object) string {
	if encoding.has("style") || i.schema.text("$ref") == "#/schemas/"+b.filed && b.filed != "" {
		return ""
	}
	media := encoding.text("contentType")
	if media != "" && !isJSON(media) || strings.ContainsAny(media, ", \"\\") {
		return ""
	}
	part := "{content: to_json(%s), type: " + strconv.Quote(orElse(media, "application/json")) + "}"
	value := field("input", i.name)
	isObject := func(o *object) bool {
		types, _ := b.c.types(o)
		return slices.Equal(types, []string{"object"}) || len(types) == 0 && (o.has("oneOf") || o.has("anyOf"))
	}
	types, _ := b.c.types(node)
	switch items, err := b.c.flatten(node.value("items")); {
	case isObject(node) || media != "" && slices.Contains(types, "array"):
		return "${{ " + value + " == nil ? nil : " + fmt.Sprintf(part, value) + " }}"
	case err == nil && slices.Equal(types, []string{"array"}) && isObject(items):
		return "${{ " + value + " == nil ? nil : map(" + value + ", { " + fmt.Sprintf(part, "#") + " }) }}"
	}
	return ""
}

// bodyPlace names an input that is a member of the body. In `at` a dot leads deeper, so a member with a dot in its
// name keeps it as the name of the input.
func (b *builder) bodyPlace(w *written, i *input, names map[string]bool, wire string) error {
	name := inputName(wire)
	dotted := strings.Contains(wire, ".")
	if dotted && !names[wire] {
		name = wire
	}
	i.name = b.unique(names, name, "body")
	if i.name == wire && bodyMethod(w.method) {
		return nil
	}
	if dotted || wire == "" {
		return fmt.Errorf("the member %q of the body cannot be written", clip(wire))
	}
	i.at = "body." + wire
	return nil
}

// contentType writes the header where the encoding alone would send another one.
func (b *builder) contentType(w *written, headers *object) {
	usual := map[string]string{"json": "application/json", "xml": "application/xml", "text": "text/plain", "raw": "application/octet-stream"}[w.body.encode]
	if media := w.body.media; usual != "" && media != "" && baseMedia(media) != usual && !strings.ContainsAny(media, "*\r\n") {
		headers.set("Content-Type", literal(media))
	}
}

func keyFits(node *object) bool {
	most, ok := whole(node.value("maxLength"))
	return !ok || most >= 26
}

// onlyRequired reports a body whose anyOf holds more than lists of what is needed together.
func onlyRequired(flat *object) bool {
	for _, v := range flat.list("anyOf") {
		for _, m := range asObject(v).all() {
			if m.key != "required" {
				return true
			}
		}
	}
	return false
}

// formStyle is how a member of a form is written.
func (b *builder) formStyle(i *input, name string, node, encoding *object) {
	types, _ := b.c.types(node)
	nested := slices.Contains(types, "object") || node.has("oneOf") || node.has("anyOf")
	if !slices.Contains(types, "array") && !nested {
		return
	}
	e := encoding.object(name)
	i.form, i.usual, i.style = true, "form", styleWord(e.text("style"))
	if i.style == "" {
		if i.style = "form"; nested {
			i.style = "deep_object"
		}
	}
	if explode, ok := e.value("explode").(bool); ok && !explode && i.style == "form" { // one text, with commas
		text := &object{members: []member{{"type", "string"}}}
		text.put("title", i.schema.value("title"))
		text.set("description", sentence(i.schema.text("description"), "Several are separated by commas."))
		i.schema, i.style = text, ""
	}
}

// fileSchema is what the runtime takes as a file of a multipart body.
var fileSchema = &object{members: []member{
	{"type", "object"},
	{"required", []any{"content"}},
	{"properties", &object{members: []member{
		{"filename", &object{members: []member{{"type", "string"}, {"title", "File name"}}}},
		{"content", &object{members: []member{{"type", "string"}, {"title", "Content"}}}},
		{"base64", &object{members: []member{{"type", "boolean"}, {"title", "The content is base64"}}}},
		{"type", &object{members: []member{{"type", "string"}, {"title", "Media type"}}}},
	}}},
}}

// file makes an input of a member that holds bytes: a name and a content.
func (b *builder) file(s *object) *object {
	switch {
	case s.text("format") == "binary":
		out := &object{}
		out.put("title", s.value("title"))
		out.put("description", s.value("description"))
		out.set("$ref", "#/schemas/"+b.fileName())
		return out
	case s.object("items").text("format") == "binary":
		out := s.clone()
		out.set("items", b.file(s.object("items")))
		return out
	}
	return s
}

// fileName is the name of the schema of files, which no component of the document has.
func (b *builder) fileName() string {
	if b.filed == "" {
		name := "file"
		for b.c.taken[name] {
			name += "_"
		}
		b.filed, b.c.taken[name] = name, true
		b.c.schemas.set(name, fileSchema)
	}
	return b.filed
}

// wholeBody makes one input of a body that is a list, a text or a choice.
func (b *builder) wholeBody(w *written, flat *object, names map[string]bool, headers *object) (any, error) {
	if flat.size() == 0 && !w.body.required {
		flat = &object{members: []member{{"type", "object"}}}
	}
	schema, err := b.c.schema(w.body.schema, 0, true)
	if err != nil {
		return nil, err
	}
	if text := firstSentence(w.body.node.text("description"), 160); text != "" && !schema.has("description") {
		schema.set("description", text)
	}
	types, _ := b.c.types(flat)
	if w.body.encode == "raw" && !slices.Equal(types, []string{"string"}) { // bytes, whatever the document calls them
		bytes := &object{members: []member{{"type", "string"}, {"format", "binary"}}}
		bytes.put("description", schema.value("description"))
		schema = bytes
	}
	if w.body.encode == "xml" && len(types) > 0 && !slices.Contains(types, "object") && flat.object("xml").text("name") == "" {
		w.action.set("encode", "text") // the XML itself, and not what it is made of
		w.body.encode = "text"
		b.contentType(w, headers)
	}
	if schema.size() == 0 && w.body.encode == "json" {
		schema.set("type", "object")
	}
	i := &input{name: b.unique(names, "body", "request"), at: "body", required: w.body.required, schema: schema, show: "main"}
	if options := b.fieldsFrom(w.opened, i, flat, w.body.schema); options != nil {
		i.extra = append(i.extra, member{"fields_from", options})
	}
	w.inputs = append(w.inputs, i)
	if w.body.encode == "xml" {
		b.warnXML(flat)
		root := flat.object("xml").text("name")
		if root == "" {
			ref := w.body.schema.text("$ref")
			root = ref[strings.LastIndexByte(ref, '/')+1:]
		}
		if root != "" {
			i.at = ""
			return &object{members: []member{{root, "${{ " + field("input", i.name) + " }}"}}}, nil
		}
	}
	return nil, nil
}

// warnXML says which parts of an XML body stand in it in another form than their names say, which is not read.
func (b *builder) warnXML(flat *object) {
	var odd []string
	for _, m := range flat.object("properties").all() {
		part, err := b.c.flatten(asObject(m.val))
		if err != nil {
			continue
		}
		if x := part.object("xml"); x.flag("attribute") || x.flag("wrapped") || x.text("name") != "" && x.text("name") != m.key {
			odd = append(odd, clip(m.key))
		}
	}
	if len(odd) > 0 {
		b.c.warn("the XML has attributes, wrapped lists or other names for %s: give them as they stand in it (@name is an attribute), or write the body by hand", strings.Join(odd[:min(len(odd), 5)], ", "))
	}
}

// inputs writes the form: what is required first, the rest behind "more".
func (b *builder) inputs(w *written) {
	const few = 5 // optional inputs that a form shows at once where nothing is required but what names the thing
	required, props := []any{}, &object{}
	needed := slices.ContainsFunc(w.inputs, func(i *input) bool { return i.required && !strings.Contains(w.path, "{"+i.name+"}") })
	shown := 0
	for _, want := range []bool{true, false} {
		for _, i := range w.inputs {
			if i.required != want {
				continue
			}
			s := i.schema.clone()
			if !s.has("title") && i.name != "body" {
				s.set("title", humanize(i.name))
			} else if !s.has("title") {
				s.set("title", "Body")
			}
			if i.required {
				required = append(required, i.name)
			}
			s.put("at", i.at)
			for _, m := range i.extra {
				s.set(m.key, m.val)
			}
			show := i.show
			if show == "" && !i.required {
				show = "more"
				if shown++; !needed && shown <= few {
					show = "main"
				}
			}
			if show != "" && show != "main" && !(i.required && show == "hidden") {
				s.set("show", show)
			}
			props.set(i.name, ordered(s))
		}
	}
	if props.size() == 0 {
		return
	}
	in := &object{}
	in.put("required", required)
	in.set("properties", props)
	w.action.set("input", in)
}

// ordered puts first what a person reads first.
func ordered(s *object) *object {
	out := &object{}
	for _, key := range []string{"$ref", "type", "title", "description"} {
		if v := s.value(key); v != nil {
			out.set(key, v)
		}
	}
	for _, m := range s.all() {
		if !out.has(m.key) {
			out.set(m.key, m.val)
		}
	}
	return out
}

// ownServer is the address of an operation that does not go where the others go.
func (b *builder) ownServer(o *opened) string {
	for _, list := range [][]any{o.node.list("servers"), o.item.list("servers")} {
		if len(list) == 0 {
			continue
		}
		p := &place{fields: &object{}}
		p.read([]*object{asObject(list[0])}, b.o.From)
		main := b.doc.place(b.o.From)
		known := func(f member) bool {
			for _, fields := range []*object{main.fields, b.fields} {
				if fields.has(f.key) && !equal(fields.value(f.key), f.val) {
					return false
				}
			}
			return true
		}
		if strings.HasPrefix(p.base, unknownBase) || slices.ContainsFunc(p.fields.all(), func(f member) bool { return !known(f) }) {
			b.c.warn("it has a server of its own, %q, which cannot be written: base_url of the defaults is used", clip(asObject(list[0]).text("url")))
			return ""
		}
		if p.fields.size() > 0 {
			for _, f := range p.fields.all() {
				b.fields.set(f.key, f.val)
			}
			for _, n := range p.notes {
				b.note(n)
			}
			b.hosts = append(b.hosts, p.hosts...)
			return p.base
		}
		if p.base == main.base {
			return ""
		}
		b.own = append(b.own, hostOf(p.base))
		return p.base
	}
	return ""
}

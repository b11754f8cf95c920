package openapi

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// opened is an operation whose parameters and body have been found, the same for every version of the format.
type opened struct {
	*operation
	path   string   // without a query, its placeholders named as the inputs are
	fixed  []member // query of the path itself, and what only one value can be
	params []*parameter
	body   *payload // nil: it has none
	answer *answer  // nil: nothing of use is described

	authorized bool   // the header Authorization is among its parameters
	accepts    string // what its parameter Accept says is wanted; empty: it says nothing
	sends      string // the same of Content-Type, for an operation without a body
}

// parameter is one that is sent outside the body.
type parameter struct {
	name, in string // in: path, query, header or cookie
	required bool
	node     *object // title, description, x-ms-...
	schema   *object // raw
	style    string  // empty: the default of its place
	explode  *bool
	asJSON   bool // the value is sent as JSON text
}

// payload is what an operation sends.
type payload struct {
	media    string // such as application/json
	encode   string // json, form, multipart, xml, text or raw
	required bool
	schema   *object // raw
	encoding *object // of the members of a form
	node     *object
}

// answer is what a success looks like.
type answer struct {
	media  string
	schema any // raw
	node   *object
	sample any
}

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

// open finds what an operation needs. What is wrong with a part of it is a warning; an error leaves it out.
func (c *compiler) open(op *operation) (*opened, error) {
	o := &opened{operation: op}
	if strings.Contains(op.path, "${{") {
		return nil, errors.New("its path holds ${{, which a manifest reads as an expression")
	}
	var moved map[string]string
	o.path, o.fixed, moved = splitPath(op.path)
	var form []*object // formData of 2.0
	var body *object
	seen := map[[2]string]int{}
	for _, list := range [][]any{op.item.list("parameters"), op.node.list("parameters")} {
		for _, raw := range list {
			node, err := c.doc.resolve(raw)
			if err != nil {
				return nil, err
			}
			name, in := strings.TrimSpace(node.text("name")), node.text("in")
			switch {
			case in == "body":
				body = node
				continue
			case in == "formData":
				if name == "" {
					c.warn("a field without a name is left out")
					continue
				}
				form = append(form, node)
				continue
			case name == "":
				c.warn("a parameter without a name is left out")
				continue
			case !slices.Contains([]string{"path", "query", "header", "cookie"}, in):
				c.warn("parameter %s stands in %q, which is no place: it is left out", clip(name), clip(in))
				continue
			case c.secrets[[2]string{in, name}] != nil:
				continue
			case in == "header" && reservedHeader(name):
				switch strings.ToLower(name) {
				case "authorization":
					o.authorized = true
				case "accept":
					o.accepts = c.headerValue(node)
				case "content-type":
					if o.sends = c.headerValue(node); o.sends == "" && node.flag("required") {
						o.sends = "application/json"
					}
				}
				continue
			}
			p, err := c.parameter(name, in, node)
			if err != nil {
				return nil, err
			}
			if i, twice := seen[[2]string{name, in}]; twice { // the operation's own wins
				o.params[i] = p
				continue
			}
			seen[[2]string{name, in}] = len(o.params)
			o.params = append(o.params, p)
		}
	}
	for _, p := range o.params {
		if p.in != "path" {
			continue
		}
		p.name = bareName(p.name)
		if key := moved[p.name]; key != "" { // /alerts?lat={lat}
			p.name, p.in = key, "query"
		}
	}
	c.placeholders(o)
	if err := c.payload(o, body, form); err != nil {
		return nil, err
	}
	if err := c.answer(o); err != nil {
		return nil, err
	}
	return o, nil
}

// headerValue is the one value that a parameter for a header names, where it is a media type.
func (c *compiler) headerValue(node *object) string {
	flat, err := c.flatten(node.value("schema"))
	if err != nil {
		return ""
	}
	for _, v := range []any{flat.value("const"), flat.value("default"), node.value("default"), firstOnly(flat.list("enum")), firstOnly(node.list("enum")), node.value("example"), flat.value("example")} {
		if s, ok := v.(string); ok && mediaType.MatchString(s) {
			return s
		}
	}
	return ""
}

var mediaType = regexp.MustCompile(`^[a-z]+/[A-Za-z0-9.+_-]+(; ?[A-Za-z0-9=._-]+)*$`)

func firstOnly(list []any) any {
	if len(list) == 1 {
		return list[0]
	}
	return nil
}

// reservedHeader reports headers that belong to the request itself (OpenAPI: such parameters are ignored).
func reservedHeader(name string) bool {
	switch strings.ToLower(name) {
	case "accept", "accept-encoding", "authorization", "content-type", "content-length", "host", "connection", "user-agent", "transfer-encoding", "cookie",
		"x-amz-content-sha256", "x-amz-date", "x-amz-algorithm", "x-amz-credential", "x-amz-security-token", "x-amz-signature", "x-amz-signedheaders": // of a signature
		return true
	}
	return strings.ContainsAny(name, " \r\n:")
}

// splitPath takes a query and a fragment off a path. What the query says is sent as it stands; where it has a
// placeholder, moved names the key that the parameter belongs to.
func splitPath(path string) (plain string, fixed []member, moved map[string]string) {
	path = strings.ReplaceAll(path, "${", "{") // as a template of JavaScript has it
	path = hashName.ReplaceAllString(path, "{$1}/")
	path = placeholder.ReplaceAllStringFunc(path, func(s string) string { // operators of RFC 6570
		name, _, _ := strings.Cut(s[1:len(s)-1], ":") // a router's pattern, as in {path:.*}
		switch name = strings.TrimSpace(name); {
		case name == "" || name[0] == '?' || name[0] == '&':
			return ""
		default:
			return "{" + bareName(name) + "}"
		}
	})
	path, _, _ = strings.Cut(path, "#")
	path, query, _ := strings.Cut(path, "?")
	moved = map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		key, val, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(key); err == nil {
			key = plain
		}
		if plain, err := url.QueryUnescape(val); err == nil {
			val = plain
		}
		switch m := placeholder.FindStringSubmatch(val); {
		case key == "" || strings.ContainsAny(key, "{}"):
		case m == nil:
			fixed = append(fixed, member{key, val})
		case m[0] == val:
			moved[m[1]] = key
		}
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return path, fixed, moved
}

// hashName is a placeholder as in /send/#env/v1, where no fragment can be meant.
var hashName = regexp.MustCompile(`#([A-Za-z_]\w*)/`)

// bareName is the name of a placeholder without the operators and the modifier of RFC 6570.
func bareName(name string) string { return strings.TrimRight(strings.TrimLeft(name, "+/#.;"), "*") }

func (c *compiler) parameter(name, in string, node *object) (*parameter, error) {
	p := &parameter{name: name, in: in, node: node, required: node.flag("required") || in == "path"}
	switch content := node.object("content"); {
	case c.doc.version == "2.0":
		p.schema = node
		switch node.text("collectionFormat") {
		case "multi":
			p.style, p.explode = "form", pointer(true)
		case "ssv":
			p.style, p.explode = "spaceDelimited", pointer(false)
		case "tsv":
			c.warn("parameter %s is separated by tabs in the document: commas are sent", clip(name))
			p.explode = pointer(false)
		case "pipes":
			p.style, p.explode = "pipeDelimited", pointer(false)
		default:
			p.explode = pointer(false)
		}
	case content.size() > 0:
		media := content.members[0]
		p.asJSON = isJSON(media.key)
		p.schema = asObject(media.val).object("schema")
	default:
		p.schema = node.object("schema")
		p.style = node.text("style")
		if explode, ok := node.value("explode").(bool); ok {
			p.explode = &explode
		} else if in == "query" && p.style != "" && p.style != "form" && p.style != "deepObject" {
			p.explode = pointer(false)
		}
	}
	return p, nil
}

func pointer[T any](v T) *T { return &v }

func asObject(v any) *object {
	o, _ := v.(*object)
	return o
}

// placeholders makes the path's placeholders and the path parameters agree.
func (c *compiler) placeholders(o *opened) {
	parts := strings.Split(o.path, "/")
	for i, part := range parts { // /things/:id, as a router has it
		if name, ok := strings.CutPrefix(part, ":"); ok && slices.ContainsFunc(o.params, func(p *parameter) bool { return p.in == "path" && p.name == name }) {
			parts[i] = "{" + name + "}"
		}
	}
	o.path = strings.Join(parts, "/")
	in := map[string]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(o.path, -1) {
		in[m[1]] = true
		if !slices.ContainsFunc(o.params, func(p *parameter) bool { return p.in == "path" && p.name == m[1] }) {
			c.warn("the path has {%s}, which the parameters do not describe: read as text", clip(m[1]))
			o.params = append(o.params, &parameter{
				name: m[1], in: "path", required: true, node: &object{}, schema: &object{members: []member{{"type", "string"}}},
			})
		}
	}
	o.params = slices.DeleteFunc(o.params, func(p *parameter) bool {
		if p.in == "path" && !in[p.name] {
			c.warn("parameter %s stands in no place of the path: it is left out", clip(p.name))
			return true
		}
		return false
	})
}

// payload finds the body. Of several media types it takes the one that a workflow fills in most easily.
func (c *compiler) payload(o *opened, body *object, form []*object) error {
	if c.doc.version == "2.0" {
		consumes := texts(o.node.list("consumes"))
		if !o.node.has("consumes") {
			consumes = texts(c.doc.root.list("consumes"))
		}
		switch {
		case body != nil:
			media := best(consumes, "application/json")
			o.body = &payload{media: media, encode: encodeOf(media), required: body.flag("required"), schema: body.object("schema"), node: body}
			if o.body.encode == "" || o.body.encode == "multipart" || o.body.encode == "form" {
				o.body.media, o.body.encode = "application/json", "json"
			}
		case len(form) > 0:
			o.body = c.formOf(form, consumes)
		}
		return nil
	}
	node, err := c.doc.resolve(o.node.value("requestBody"))
	if err != nil || node == nil {
		return err
	}
	content := node.object("content")
	if content == nil { // a reference that leads to nothing, or a body without a description
		return nil
	}
	var medias []string
	for _, m := range content.all() {
		medias = append(medias, m.key)
	}
	media := best(medias, "")
	if media == "" {
		return nil
	}
	entry := content.object(media)
	o.body = &payload{
		media: media, encode: encodeOf(media), required: node.flag("required"), schema: entry.object("schema"), encoding: entry.object("encoding"), node: node,
	}
	if o.body.encode == "" {
		o.body.encode = "raw"
		if media == "*/*" {
			o.body.media, o.body.encode = "application/json", "json"
		}
	}
	return nil
}

// formOf makes one schema of the fields of a form.
func (c *compiler) formOf(form []*object, consumes []string) *payload {
	schema, props, encoding := &object{}, &object{}, &object{}
	var required []any
	file := false
	for _, f := range form {
		name := f.text("name")
		props.set(name, f)
		if f.flag("required") {
			required = append(required, name)
		}
		if f.text("type") == "file" {
			file = true
		}
		if f.text("type") == "array" && f.text("collectionFormat") != "multi" {
			encoding.set(name, &object{members: []member{{"style", "form"}, {"explode", false}}})
		}
	}
	schema.set("type", "object")
	schema.put("required", required)
	schema.set("properties", props)
	p := &payload{media: "application/x-www-form-urlencoded", encode: "form", required: len(required) > 0, schema: schema, encoding: encoding}
	if file || len(consumes) > 0 && best(consumes, "") == "multipart/form-data" {
		p.media, p.encode = "multipart/form-data", "multipart"
	}
	return p
}

// best picks the media type that is sent.
func best(medias []string, otherwise string) string {
	rank := func(media string) int {
		switch encodeOf(media) {
		case "json":
			if baseMedia(media) == "application/json" {
				return 0
			}
			return 1
		case "form":
			return 2
		case "multipart":
			return 3
		case "xml":
			return 4
		case "text":
			return 5
		}
		return 6
	}
	found := ""
	for _, m := range medias {
		if found == "" || rank(m) < rank(found) {
			found = m
		}
	}
	if found == "" {
		return otherwise
	}
	return found
}

func baseMedia(media string) string {
	media, _, _ = strings.Cut(media, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

func isJSON(media string) bool { return encodeOf(media) == "json" }

// textMedia are those of application/ that a person writes as text.
var textMedia = regexp.MustCompile(`^application/(vnd\.\w+\.)?(x-)?(ndjson|jsonl|jsonlines|json-lines|json-seq|yaml|graphql|csv|javascript|sql|toml)$|\+yaml$`)

// encodeOf is the word of the manifest for a media type; empty for one that only carries bytes.
func encodeOf(media string) string {
	switch media = baseMedia(media); {
	case media == "application/json" || strings.HasSuffix(media, "+json") || media == "text/json":
		return "json"
	case media == "application/x-www-form-urlencoded":
		return "form"
	case strings.HasPrefix(media, "multipart/"):
		return "multipart"
	case media == "application/xml" || media == "text/xml" || strings.HasSuffix(media, "+xml"):
		return "xml"
	case strings.HasPrefix(media, "text/"), textMedia.MatchString(media):
		return "text"
	}
	return ""
}

// answer finds the first answer of 2xx that has a body.
func (c *compiler) answer(o *opened) error {
	responses := o.node.object("responses")
	var codes []string
	for _, m := range responses.all() {
		if strings.HasPrefix(m.key, "2") {
			codes = append(codes, m.key)
		}
	}
	slices.Sort(codes)
	if len(codes) == 0 && responses.has("default") {
		codes = []string{"default"}
	}
	for _, code := range codes {
		node, err := c.doc.resolve(responses.value(code))
		if err != nil {
			var external *externalError
			if asExternal(err, &external) { // an answer is not needed to call
				c.warn("%v: the answer stays undescribed", err)
				continue
			}
			return err
		}
		if c.doc.version == "2.0" {
			if !node.has("schema") {
				continue
			}
			produces := texts(o.node.list("produces"))
			if !o.node.has("produces") {
				produces = texts(c.doc.root.list("produces"))
			}
			a := &answer{media: best(produces, "application/json"), schema: node.value("schema"), node: node}
			for _, m := range node.object("examples").all() {
				if isJSON(m.key) {
					a.sample = m.val
				}
			}
			o.answer = a
			return nil
		}
		var medias []string
		for _, m := range node.object("content").all() {
			medias = append(medias, m.key)
		}
		if media := best(medias, ""); media != "" {
			entry := node.object("content").object(media)
			a := &answer{media: media, schema: entry.value("schema"), node: node}
			a.sample = c.exampleOfMedia(entry)
			o.answer = a
			return nil
		}
	}
	return nil
}

func (c *compiler) exampleOfMedia(entry *object) any {
	if v := entry.value("example"); v != nil {
		return v
	}
	for _, m := range entry.object("examples").all() {
		if e, err := c.doc.resolve(m.val); err == nil && e.value("value") != nil {
			return e.value("value")
		}
	}
	return nil
}

func asExternal(err error, target **externalError) bool {
	e, ok := err.(*externalError) //nolint:errorlint // made in this room and never wrapped
	if ok {
		*target = e
	}
	return ok
}

// accept is the one media type that an operation asks for; empty: the usual one.
func (o *opened) accept() string {
	media := o.accepts
	if media == "" && o.answer == nil {
		return ""
	}
	if media == "" {
		media = o.answer.media
	}
	if media == "*/*" { // some answer 406 to anything else
		return media
	}
	if baseMedia(media) == "application/json" || strings.Contains(media, "*") || !strings.Contains(media, "/") || strings.ContainsAny(media, " \r\n,") {
		return ""
	}
	return media
}

func (o *opened) String() string { return fmt.Sprintf("%s %s", o.method, o.operation.path) }

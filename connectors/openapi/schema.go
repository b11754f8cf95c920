package openapi

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// compiler writes the request side of the chosen operations as JSON Schema 2020-12. Components keep their `$ref`,
// so a recursive or much-used one stands in the manifest once.
type compiler struct {
	doc *Document
	detail
	nodes   int // of the operation under way
	total   int
	names   map[string]string
	taken   map[string]bool
	queue   []shared
	added   []string // references of the components that the operation under way brought
	schemas *object  // name -> schema, in the order of their first use
	notes   []Note
	where   string // the operation, for notes
	cut     bool   // something was left out for its depth
}

// shared is a component that waits to be written.
type shared struct {
	name  string
	raw   any
	depth int
}

func newCompiler(d *Document, how detail) *compiler {
	return &compiler{doc: d, detail: how, names: map[string]string{}, taken: map[string]bool{}, schemas: &object{}}
}

func (c *compiler) warn(format string, args ...any) {
	c.notes = appendNote(c.notes, Note{Warning, c.where, fmt.Sprintf(format, args...)})
}

// detail is how much of the request side is written. A manifest has a size that a person reads: what is optional and
// deep inside is left open first, and can be given as JSON all the same.
type detail struct {
	compact      bool // an input takes as few lines as it can
	descriptions int  // down to this depth; 0 is an input of an action
	depth        int  // optional objects and lists below it are left open
	enum         int  // longer lists of words are left open
	sample       int  // bytes of a sample
}

// details go from everything to the least.
var details = []detail{
	{false, 99, 99, 100, 1000},
	{true, 99, 99, 100, 1000},
	{true, 1, 99, 60, 600},
	{true, 1, 6, 40, 400},
	{true, 1, 4, 20, 300},
	{true, 1, 3, 20, 300},
	{true, 0, 2, 12, 200},
	{true, 0, 1, 8, 0},
	{true, -1, 0, 4, 0},
}

// spend counts what an operation reaches.
func (c *compiler) spend() error {
	if c.nodes++; c.nodes > maxNodes {
		return fmt.Errorf("it reaches more than %d values", maxNodes)
	}
	if c.total++; c.total > maxTotal {
		return errors.New("the operations before it reach too many values already: choose fewer")
	}
	return nil
}

// flatten resolves a schema and takes the parts of its allOf together. refs bounds schemas that contain each other.
func (c *compiler) flatten(raw any, refs int) (*object, error) {
	if err := c.spend(); err != nil {
		return nil, err
	}
	if refs > maxRefs {
		return nil, fmt.Errorf("schemas contain each other by allOf or $ref more than %d deep", maxRefs)
	}
	o, _ := raw.(*object)
	if ref, ok := o.value("$ref").(string); ok {
		target, err := c.doc.lookup(ref)
		if err != nil {
			return nil, err
		}
		if target == nil {
			c.warn("$ref %q leads to nothing: what it stands for may be anything", clip(ref))
		}
		flat, err := c.flatten(target, refs+1)
		if err != nil || len(o.members) == 1 || c.doc.version == "2.0" {
			return flat, err
		}
		siblings := o.clone()
		siblings.remove("$ref")
		return mergeSchemas(flat, siblings), nil
	}
	parts := o.list("allOf")
	one := ""
	for _, key := range []string{"oneOf", "anyOf"} {
		if list := o.list(key); len(list) > 0 {
			rest, null := c.withoutNull(list)
			if len(rest) == 1 {
				parts = append(append([]any(nil), parts...), rest[0])
				if null {
					parts = append(parts, nullable)
				}
				one = key
			}
		}
	}
	if len(parts) == 0 {
		return o, nil
	}
	base := o.clone()
	base.remove("allOf")
	if one != "" {
		base.remove(one)
	}
	merged := &object{}
	for _, part := range parts {
		flat, err := c.flatten(part, refs+1)
		if err != nil {
			return nil, err
		}
		merged = mergeSchemas(merged, flat)
	}
	return mergeSchemas(merged, base), nil
}

var nullable = &object{members: []member{{"nullable", true}}}

// withoutNull takes the alternative that is null out of a list.
func (c *compiler) withoutNull(list []any) (rest []any, null bool) {
	for _, v := range list {
		o, _ := v.(*object)
		if o.text("type") == "null" || len(o.list("enum")) == 1 && o.list("enum")[0] == nil {
			null = true
			continue
		}
		rest = append(rest, v)
	}
	return rest, null
}

// mergeSchemas is both together: what the second says wins, but properties, required and nullable add up.
func mergeSchemas(a, b *object) *object {
	out := a.clone()
	for _, m := range b.all() {
		switch m.key {
		case "properties":
			props := out.object("properties").clone()
			for _, p := range b.object("properties").all() {
				if have := props.object(p.key); have != nil {
					if own, ok := p.val.(*object); ok && !own.has("$ref") && !have.has("$ref") {
						props.set(p.key, mergeSchemas(have, own))
						continue
					}
				}
				props.set(p.key, p.val)
			}
			out.set("properties", props)
		case "required":
			list := append([]any(nil), out.list("required")...)
			for _, v := range b.list("required") {
				if !slices.Contains(list, v) {
					list = append(list, v)
				}
			}
			out.set("required", list)
		case "oneOf", "anyOf":
			if out.has(m.key) {
				continue // both hold in truth; a form can show one choice
			}
			out.set(m.key, m.val)
		default:
			out.set(m.key, m.val)
		}
	}
	return out
}

// types reads `type` as a list, with what the specification does not allow but documents have.
func (c *compiler) types(o *object) (list []string, null bool) {
	var raw []string
	switch v := o.value("type").(type) {
	case string:
		raw = []string{v}
	case []any:
		raw = texts(v)
		if slices.Contains(v, nil) {
			null = true
		}
	}
	for _, t := range raw {
		switch t {
		case "null":
			null = true
		case "string", "number", "integer", "boolean", "object", "array":
			list = append(list, t)
		case "float", "double", "decimal":
			c.warn("type %q is none: read as number", t)
			list = append(list, "number")
		case "int", "int32", "int64", "long":
			c.warn("type %q is none: read as integer", t)
			list = append(list, "integer")
		case "bool":
			c.warn("type %q is none: read as boolean", t)
			list = append(list, "boolean")
		case "date", "datetime", "date-time", "uuid", "enum", "text", "str":
			c.warn("type %q is none: read as string", t)
			list = append(list, "string")
		case "file":
			list = append(list, "string")
		case "any", "":
		default:
			c.warn("type %q is none: it may be anything", clip(t))
		}
	}
	if o.flag("nullable") || o.flag("x-nullable") {
		null = true
	}
	if len(list) == 0 {
		switch {
		case o.object("properties").size() > 0:
			list = []string{"object"}
		case o.has("items"):
			list = []string{"array"}
		}
	}
	return slices.Compact(list), null
}

// plain reports a schema that needs no name of its own: a text, a number or a choice of words.
func (c *compiler) plain(o *object) bool {
	types, _ := c.types(o)
	for _, key := range []string{"oneOf", "anyOf", "properties", "items", "additionalProperties"} {
		if v := o.value(key); v != nil && v != false {
			return false
		}
	}
	return !slices.Contains(types, "array") && len(o.list("enum")) <= 20
}

// schema compiles a schema at a depth: 0 is an input of an action, 1 a member of it, and so on. A member that is
// needed is never cut.
func (c *compiler) schema(raw any, depth int, needed bool) (*object, error) {
	o, _ := raw.(*object)
	if ref, words := soleRef(o); ref != "" {
		o = words
		target, err := c.doc.lookup(ref)
		if err != nil {
			return nil, err
		}
		flat, err := c.flatten(raw, 0)
		if err != nil {
			return nil, err
		}
		if target != nil && !c.plain(flat) {
			if c.tooDeep(flat, depth, needed) {
				return c.anything(flat, depth)
			}
			out := &object{}
			out.set("$ref", "#/schemas/"+c.share(ref, target, depth))
			c.words(out, o, depth)
			return out, nil
		}
		return c.write(flat, depth, needed)
	}
	flat, err := c.flatten(raw, 0)
	if err != nil {
		return nil, err
	}
	if c.tooDeep(flat, depth, needed) {
		return c.anything(flat, depth)
	}
	return c.write(flat, depth, needed)
}

// soleRef is the component that a schema stands for, and what else it says in words: `$ref` itself, or an allOf around
// one `$ref`, which is how many documents write a description beside it.
func soleRef(o *object) (ref string, words *object) {
	if ref, ok := o.value("$ref").(string); ok {
		return ref, o
	}
	words = &object{}
	if len(o.list("allOf")) == 0 {
		return "", nil
	}
	for _, part := range append([]any{o}, o.list("allOf")...) {
		for _, m := range asObject(part).all() {
			switch m.key {
			case "allOf":
			case "$ref":
				if ref != "" {
					return "", nil
				}
				ref, _ = m.val.(string)
			case "title", "description", "default", "example", "examples", "deprecated", "nullable", "readOnly", "writeOnly", "xml", "externalDocs":
				words.set(m.key, m.val)
			default:
				if !strings.HasPrefix(m.key, "x-") {
					return "", nil
				}
				words.set(m.key, m.val)
			}
		}
	}
	return ref, words
}

func (c *compiler) tooDeep(flat *object, depth int, needed bool) bool {
	if depth < c.depth && depth < maxNesting || needed && depth < maxNesting {
		return false
	}
	types, _ := c.types(flat)
	return flat.object("properties").size() > 0 || flat.has("oneOf") || flat.has("anyOf") ||
		slices.Contains(types, "array") && len(flat.members) > 1
}

// maxNesting is how deep schemas may stand inside each other in a manifest; a deeper one is given as JSON.
const maxNesting = 20

// anything stands for a part that was left out: a person gives it as JSON.
func (c *compiler) anything(flat *object, depth int) (*object, error) {
	c.cut = true
	out := &object{}
	types, null := c.types(flat)
	setTypes(out, types, null)
	c.words(out, flat, depth)
	return out, nil
}

func setTypes(out *object, types []string, null bool) {
	switch {
	case len(types) == 0:
	case len(types) == 1 && null:
		out.set("type", []any{types[0], "null"})
	case len(types) == 1:
		out.set("type", types[0])
	default: // a schema has one type; a form offers the choice
		list := make([]any, len(types))
		for i, t := range types {
			list[i] = &object{members: []member{{"type", t}}}
		}
		out.set("anyOf", list)
	}
}

// share gives a component its name under `schemas` and puts it in line to be written.
func (c *compiler) share(ref string, target any, depth int) string {
	if name, ok := c.names[ref]; ok {
		return name
	}
	name := ref[strings.LastIndexByte(ref, '/')+1:]
	if name = strings.Trim(notName.ReplaceAllString(name, "_"), "_"); name == "" {
		name = "schema"
	}
	if len(name) > 60 {
		name = name[:60]
	}
	base := name
	for i := 2; c.taken[name]; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	c.taken[name], c.names[ref] = true, name
	c.added = append(c.added, ref)
	c.schemas.set(name, nil) // keeps its place
	c.queue = append(c.queue, shared{name, target, depth})
	return name
}

var notName = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// forget takes out what an operation brought that could not be read to its end.
func (c *compiler) forget() {
	c.queue = nil
	for _, ref := range c.added {
		name := c.names[ref]
		delete(c.names, ref)
		delete(c.taken, name)
		c.schemas.remove(name)
	}
}

// finish writes the components that are in line, and those that they name.
func (c *compiler) finish() error {
	for len(c.queue) > 0 {
		next := c.queue[0]
		c.queue = c.queue[1:]
		flat, err := c.flatten(next.raw, 0)
		if err != nil {
			return err
		}
		out, err := c.write(flat, next.depth, true)
		if err != nil {
			return err
		}
		c.schemas.set(next.name, out)
	}
	return nil
}

// words writes what a person reads of a schema.
func (c *compiler) words(out, flat *object, depth int) {
	title := flat.text("x-ms-summary")
	if title == "" {
		title = flat.text("title")
	}
	if title = plainText(title); len(title) <= maxTitle && !ownName.MatchString(title) && (depth == 0 || depth <= c.descriptions) {
		out.put("title", strings.TrimRight(title, "."))
	}
	if depth > c.descriptions {
		return
	}
	text := firstSentence(flat.text("description"), 160)
	if strings.TrimRight(text, ".") == strings.TrimRight(title, ".") {
		text = ""
	}
	switch v := flat.value("default").(type) {
	case string:
		if v != "" && len(v) <= 40 {
			text = sentence(text, "Default: "+plainText(v)+".")
		}
	case number:
		text = sentence(text, "Default: "+string(v)+".")
	case bool:
		text = sentence(text, fmt.Sprintf("Default: %t.", v))
	}
	out.put("description", text)
}

// ownName is a title that only the authors of a document have a use for, such as customer_param.
var ownName = regexp.MustCompile(`^[a-z0-9_.-]*$`)

func sentence(a, b string) string {
	if a == "" {
		return b
	}
	if !strings.ContainsAny(a[len(a)-1:], ".!?") && !strings.HasSuffix(a, "…") {
		a += "."
	}
	return a + " " + b
}

func (c *compiler) write(flat *object, depth int, needed bool) (*object, error) {
	if err := c.spend(); err != nil {
		return nil, err
	}
	out := &object{}
	types, null := c.types(flat)
	if enum := flat.list("enum"); len(enum) > 0 && slices.Contains(enum, nil) {
		null = true
	}
	setTypes(out, types, null)
	c.words(out, flat, depth)
	if flat.text("type") == "file" {
		out.set("format", "binary")
	}
	c.choice(out, flat, null, needed)
	if pattern := flat.text("pattern"); len(pattern) <= 1000 { // one of Perl, which RE2 cannot read, is kept to be shown
		out.put("pattern", pattern)
	}
	c.bounds(out, flat)
	if slices.Contains(types, "array") || flat.has("items") {
		if err := c.items(out, flat, depth, needed); err != nil {
			return nil, err
		}
	}
	if err := c.members(out, flat, depth); err != nil {
		return nil, err
	}
	if err := c.alternatives(out, flat, depth); err != nil {
		return nil, err
	}
	if flat.has("$recursiveRef") || flat.has("$dynamicRef") {
		c.warn("$recursiveRef and $dynamicRef are not followed: what stands there may be anything")
	}
	if depth == 0 {
		if example, ok := exampleOf(flat); ok && small(example, 200) {
			out.set("examples", []any{example})
		}
	}
	return out, nil
}

// choice writes enum and const. The words of something that is needed are worth more room than others.
func (c *compiler) choice(out, flat *object, null, needed bool) {
	if flat.has("const") {
		out.set("const", flat.value("const"))
		return
	}
	enum := flat.list("enum")
	if len(enum) == 0 {
		return
	}
	enum = slices.DeleteFunc(slices.Clone(enum), func(v any) bool {
		_, isObject := v.(*object)
		return isObject
	})
	types, _ := c.types(flat)
	if len(types) == 1 && types[0] == "string" { // YAML reads an unquoted 1 or yes as something else than the author meant
		for i, v := range enum {
			switch v := v.(type) {
			case number:
				enum[i] = string(v)
			case bool:
				enum[i] = fmt.Sprint(v)
			}
		}
	}
	if null && !slices.Contains(enum, nil) {
		enum = append(enum, nil)
	}
	switch {
	case len(enum) == 1 && enum[0] != nil:
		out.set("const", enum[0])
	case len(enum) <= c.enum || needed && len(enum) <= 10*c.enum:
		out.set("enum", enum)
	default:
		c.cut = true
		out.set("examples", enum[:3:3])
	}
}

// bounds writes what limits a value.
func (c *compiler) bounds(out, flat *object) {
	if format := flat.text("format"); len(format) <= 40 {
		out.put("format", format)
	}
	if media := flat.text("contentMediaType"); media != "" && !strings.HasPrefix(media, "text/") && !isJSON(media) && flat.text("contentEncoding") == "" {
		out.set("format", "binary")
	}
	out.put("uniqueItems", flat.flag("uniqueItems"))
	for _, key := range []string{"minLength", "maxLength", "minItems", "maxItems"} {
		if n, ok := whole(flat.value(key)); ok && n > 0 && n < 1<<30 {
			out.set(key, number(strconv.Itoa(n)))
		}
	}
	types, _ := c.types(flat)
	for _, key := range []string{"minimum", "maximum"} {
		if n, ok := flat.value(key).(number); ok && len(n) <= 18 {
			out.set(key, n)
		}
		step := 1
		if key == "maximum" {
			step = -1
		}
		exclusive := flat.value("exclusive" + strings.ToUpper(key[:1]) + key[1:])
		bound, ok := exclusive.(number) // 3.1
		if exclusive == true {          // 3.0 and 2.0
			bound, ok = flat.value(key).(number)
		}
		if n, fits := whole(bound); ok && fits && slices.Equal(types, []string{"integer"}) {
			out.set(key, number(strconv.Itoa(n+step)))
		}
	}
}

func (c *compiler) items(out, flat *object, depth int, needed bool) error {
	raw := flat.value("items")
	if list, ok := raw.([]any); ok {
		c.warn("`items` is a list: read as a choice of its entries")
		switch len(list) {
		case 0:
			raw = nil
		case 1:
			raw = list[0]
		default:
			raw = &object{members: []member{{"anyOf", list}}}
		}
	}
	least, _ := whole(flat.value("minItems"))
	items, err := c.schema(raw, depth+1, needed || least > 0)
	if err != nil {
		return err
	}
	out.put("items", items)
	return nil
}

func (c *compiler) members(out, flat *object, depth int) error {
	required := map[string]bool{}
	for _, name := range texts(flat.list("required")) {
		required[name] = true
	}
	props := &object{}
	var needed []any
	for _, want := range []bool{true, false} { // what is required first
		for _, p := range flat.object("properties").all() {
			if required[p.key] != want {
				continue
			}
			if o, ok := p.val.(*object); ok && c.readOnly(o) {
				continue
			}
			val, err := c.schema(p.val, depth+1, want)
			if err != nil {
				return err
			}
			if want {
				needed = append(needed, p.key)
			}
			props.set(p.key, val)
		}
	}
	for _, name := range texts(flat.list("required")) { // required, but described nowhere
		if !flat.object("properties").has(name) && !slices.Contains(needed, any(name)) {
			needed = append(needed, name)
			if depth >= 0 {
				props.set(name, &object{})
			}
		}
	}
	out.put("required", needed)
	out.put("properties", props)
	switch v := flat.value("additionalProperties").(type) {
	case *object:
		if v.size() == 0 {
			break
		}
		val, err := c.schema(v, depth+1, false)
		if err != nil {
			return err
		}
		out.put("additionalProperties", val)
	case bool:
		if !v && props.size() > 0 {
			out.set("additionalProperties", false)
		}
	}
	return nil
}

// readOnly reports a property that an answer has and a request may not have.
func (c *compiler) readOnly(o *object) bool {
	if o.has("readOnly") {
		return o.flag("readOnly")
	}
	target, err := c.doc.resolve(o)
	return err == nil && target.flag("readOnly")
}

// alternatives writes oneOf and anyOf. The discriminator says which word belongs to which variant, so that a form
// fills it in.
func (c *compiler) alternatives(out, flat *object, depth int) error {
	for _, key := range []string{"oneOf", "anyOf"} {
		list, null := c.withoutNull(flat.list(key))
		if len(list) == 0 {
			continue
		}
		variants := make([]any, 0, len(list)+1)
		for _, raw := range list {
			v, err := c.schema(raw, depth+1, true)
			if err != nil {
				return err
			}
			variants = append(variants, v)
		}
		if null {
			variants = append(variants, &object{members: []member{{"type", "null"}}})
		}
		out.set(key, variants)
		if err := c.discriminator(out, flat.object("discriminator"), list); err != nil {
			return err
		}
	}
	return nil
}

// discriminator is written when every variant has a name; without a mapping the names are the words.
func (c *compiler) discriminator(out, d *object, list []any) error {
	tag := d.text("propertyName")
	if tag == "" {
		return nil
	}
	mapping := &object{}
	for _, raw := range list {
		ref := asObject(raw).text("$ref")
		name, known := c.names[ref]
		if !known {
			return nil
		}
		last := ref[strings.LastIndexByte(ref, '/')+1:]
		word := last
		for _, m := range d.object("mapping").all() {
			if to, ok := m.val.(string); ok && (to == ref || to == last) {
				word = m.key
				mapping.set(word, "#/schemas/"+name)
			}
		}
		if word == last {
			if fixed := c.fixedWord(raw, tag); fixed != "" {
				word = fixed
			}
			mapping.set(word, "#/schemas/"+name)
		}
	}
	out.set("discriminator", &object{members: []member{{"propertyName", tag}, {"mapping", mapping}}})
	return nil
}

// fixedWord is the one value that a variant itself allows for the member that tells it apart.
func (c *compiler) fixedWord(raw any, tag string) string {
	flat, err := c.flatten(raw, 0)
	if err != nil {
		return ""
	}
	prop, err := c.flatten(flat.object("properties").value(tag), 0)
	if err != nil {
		return ""
	}
	if enum := prop.list("enum"); len(enum) == 1 {
		word, _ := enum[0].(string)
		return word
	}
	return prop.text("const")
}

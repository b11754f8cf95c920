package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// onlyRead are words of JSON Schema that a manifest may have, so that an imported document stays readable, and that
// nothing looks at.
var onlyRead = []string{
	"exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minProperties", "maxProperties", "readOnly", "writeOnly",
	"contentEncoding", "contentMediaType", "$comment",
}

// schemas reads the shared parts.
func (r *reader) schemas(n *yaml.Node) {
	if n == nil {
		return
	}
	o := r.Object(n, "schemas")
	r.c.Schemas = map[string]connectors.Schema{}
	for _, key := range o.Keys() {
		r.c.Schemas[key.Value] = connectors.Schema{} // known before any is read: they may refer to each other
	}
	for _, key := range o.Keys() {
		if sub := o.Value(key.Value); sub != nil {
			r.c.Schemas[key.Value] = r.schema(sub, "schema "+key.Value)
		}
	}
}

// schema reads a JSON Schema without the keys that only a property of an input has.
func (r *reader) schema(n *yaml.Node, what string) connectors.Schema {
	s, o := r.openSchema(n, what)
	o.Done()
	return s
}

var types = []string{"object", "array", "string", "integer", "number", "boolean", "null"}

// openSchema reads what all schemas have; the caller takes what else it knows and calls Done.
func (r *reader) openSchema(n *yaml.Node, what string) (connectors.Schema, *workflow.Object) {
	var s connectors.Schema
	o := r.Object(n, what)
	if n := o.Value("$ref"); n != nil {
		s.Ref, _ = r.Text(n, "$ref")
		name, ok := strings.CutPrefix(s.Ref, connectors.RefPrefix)
		if _, known := r.c.Schemas[name]; !ok || !known {
			hint := "it begins with " + connectors.RefPrefix
			if ok {
				hint = workflow.Known(name, keysOf(r.c.Schemas))
			}
			r.Errorf(n, hint, "there is no schema %q", s.Ref)
			s.Ref = ""
		}
	}
	r.schemaType(o, &s)
	s.Title = o.Text("title")
	s.Description = o.Text("description")
	if n := o.Value("enum"); n != nil {
		s.Enum = r.values(n, "enum")
	}
	if n := o.Take("const"); n != nil {
		s.Const = r.Data(n)
	}
	if n := o.Take("default"); n != nil {
		s.Default = r.Data(n)
	}
	if n := o.Value("examples"); n != nil {
		s.Examples = r.values(n, "examples")
	}
	s.Deprecated = o.Bool("deprecated", false)
	if n := o.Value("properties"); n != nil {
		p := r.Object(n, "properties")
		s.Properties = make(map[string]connectors.Schema, len(p.Keys()))
		for _, key := range p.Keys() {
			if sub := p.Value(key.Value); sub != nil {
				s.Properties[key.Value] = r.schema(sub, key.Value)
				s.Order = append(s.Order, key.Value)
			}
		}
	}
	r.required(o, &s)
	if n := o.Value("additionalProperties"); n != nil {
		if n.Kind == yaml.MappingNode {
			sub := r.schema(n, "additionalProperties")
			s.Values = &sub
		} else {
			s.Closed = !o.Bool("additionalProperties", true)
		}
	}
	if n := o.Value("items"); n != nil {
		sub := r.schema(n, "items")
		s.Items = &sub
	}
	const most = 1 << 30
	s.MinItems, s.MaxItems = o.Int("minItems", 0, 0, most), o.Int("maxItems", 0, 0, most)
	s.UniqueItems = o.Bool("uniqueItems", false)
	s.Format = o.Text("format")
	s.Pattern = o.Text("pattern")
	s.MinLength, s.MaxLength = o.Int("minLength", 0, 0, most), o.Int("maxLength", 0, 0, most)
	s.Minimum, s.Maximum = r.number(o, "minimum"), r.number(o, "maximum")
	s.AllOf, s.OneOf, s.AnyOf = r.variants(o, "allOf"), r.variants(o, "oneOf"), r.variants(o, "anyOf")
	if n := o.Value("discriminator"); n != nil {
		d := r.Object(n, "discriminator")
		s.Discriminator = &connectors.Discriminator{Property: d.Text("propertyName")}
		if m := d.Value("mapping"); m != nil {
			s.Discriminator.Mapping = map[string]string{}
			for name, v := range asObject(r.Data(m)) {
				s.Discriminator.Mapping[name] = value.Text(v)
			}
		}
		d.Done()
	}
	s.Show = o.Word("show", "", "main", "more", "hidden")
	for _, word := range onlyRead {
		o.Take(word)
	}
	return s, o
}

func (r *reader) schemaType(o *workflow.Object, s *connectors.Schema) {
	n := o.Value("type")
	if n == nil {
		return
	}
	if n.Kind != yaml.SequenceNode {
		s.Type = o.Word("type", "", types...)
		return
	}
	var named []string
	for _, item := range n.Content {
		switch text, _ := r.Text(item, "a type"); {
		case text == "null":
			s.Nullable = true
		case slices.Contains(types, text):
			named = append(named, text)
		case text != "":
			r.Errorf(item, workflow.Known(text, types), "there is no type %q", text)
		}
	}
	if len(named) == 1 {
		s.Type = named[0] // several types: any value
	}
}

func (r *reader) required(o *workflow.Object, s *connectors.Schema) {
	n := o.Value("required")
	if n == nil {
		return
	}
	for _, item := range r.List(n, "required") {
		name, ok := r.Text(item, "an entry of required")
		if !ok {
			continue
		}
		if _, known := s.Properties[name]; !known && s.Properties != nil && s.Ref == "" && s.AllOf == nil {
			r.Errorf(item, workflow.Known(name, s.Order), "required names %q, which is no property", name)
			continue
		}
		if !slices.Contains(s.Required, name) {
			s.Required = append(s.Required, name)
		}
	}
}

func (r *reader) variants(o *workflow.Object, key string) []connectors.Schema {
	n := o.Value(key)
	if n == nil {
		return nil
	}
	var list []connectors.Schema
	for _, item := range r.List(n, key) {
		list = append(list, r.schema(item, "an entry of "+key))
	}
	return list
}

func (r *reader) number(o *workflow.Object, key string) *float64 {
	n := o.Value(key)
	if n == nil {
		return nil
	}
	var f float64
	switch v := r.Data(n).(type) {
	case int:
		f = float64(v)
	case float64:
		f = v
	default:
		r.Errorf(n, "", "%s is a number", key)
		return nil
	}
	return &f
}

func (r *reader) values(n *yaml.Node, what string) []any {
	var list []any
	for _, item := range r.List(n, what) {
		list = append(list, r.Data(item))
	}
	return list
}

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func asObject(v any) map[string]any {
	object, _ := v.(map[string]any)
	return object
}

// field is one input of an action and where it goes.
type field struct {
	name    string
	place   string   // path, query, header, cookie, body, variables, none; empty: by the method
	path    []string // below the place; empty for body: the whole of it
	style   string   // of lists and objects in queries and forms: form, deep_object, space_delimited, pipe_delimited
	given   *bool    // explode as the file says it; nil: by the style
	explode bool
	options *options
	further *further
}

// input reads the input of an action or a trigger: the schema, and where each property goes.
func (r *reader) input(n *yaml.Node, what string) (connectors.Schema, []*field) {
	s := connectors.Schema{Type: "object", Closed: true}
	if n == nil {
		return s, nil
	}
	var fields []*field
	o := r.Object(n, what)
	if n := o.Value("properties"); n != nil {
		p := r.Object(n, "properties")
		s.Properties = make(map[string]connectors.Schema, len(p.Keys()))
		for _, key := range p.Keys() {
			sub := p.Value(key.Value)
			if sub == nil {
				continue
			}
			schema, o := r.openSchema(sub, key.Value)
			f := &field{name: key.Value}
			r.at(o, f)
			f.style = o.Word("style", "", "form", "deep_object", "space_delimited", "pipe_delimited")
			if o.Take("explode") != nil {
				explode := o.Bool("explode", false)
				f.given = &explode
			}
			schema.Suffix = o.Text("suffix")
			f.options = r.options(o.Value("options"), &schema)
			f.further = r.further(o.Value("fields_from"), &schema)
			o.Done()
			s.Properties[key.Value] = schema
			s.Order = append(s.Order, key.Value)
			fields = append(fields, f)
		}
	}
	r.required(o, &s)
	if n := o.Value("additionalProperties"); n != nil {
		s.Closed = !o.Bool("additionalProperties", true)
	}
	s.AllOf, s.OneOf, s.AnyOf = r.variants(o, "allOf"), r.variants(o, "oneOf"), r.variants(o, "anyOf")
	o.Word("type", "object", "object")
	s.Description = o.Text("description")
	o.Done()
	return s, fields
}

// at reads where a property goes.
func (r *reader) at(o *workflow.Object, f *field) {
	n := o.Value("at")
	if n == nil {
		return
	}
	text, ok := r.Text(n, "at")
	if !ok {
		return
	}
	place, rest, dotted := strings.Cut(text, ".")
	f.place = place
	switch place {
	case "none":
		ok = !dotted
	case "body":
		if dotted {
			f.path = strings.Split(rest, ".")
		}
	case "variables", "params":
		f.path = strings.Split(rest, ".")
	case "path", "query", "header", "cookie":
		f.path = []string{rest} // their names may hold dots
	default:
		ok = false
	}
	if !ok || dotted && (rest == "" || slices.Contains(f.path, "")) || !dotted && place != "none" && place != "body" {
		r.Errorf(n, "one of path.x, query.x, header.X, cookie.x, body.a.b, variables.x, none", "at is no place of a request")
		f.place = "none"
		return
	}
	var err error
	switch place {
	case "header":
		err = checkHeaderName(rest)
	case "cookie":
		err = checkCookieName(rest)
	}
	if err != nil {
		r.Errorf(n, "", "%v", err)
	}
}

// options are the choices of a field.
type options struct {
	use          string
	value, label *expression.Program
	search       string // the input of use that takes a text to look for; empty: none
	depends      []string
}

func (r *reader) options(n *yaml.Node, s *connectors.Schema) *options {
	if n == nil {
		return nil
	}
	o := r.Object(n, "options")
	opt := &options{use: o.Text("use"), search: o.Text("search"), depends: o.Texts("depends_on")}
	o.Need("use", "the action that lists the choices")
	opt.value = r.program(o.Need("value", "such as value: item.id"), "value", inItem)
	opt.label = r.program(o.Value("label"), "label", inItem)
	r.lister(o, opt.use)
	o.Done()
	s.Options = &connectors.Options{Use: opt.use, Search: opt.search != "", DependsOn: opt.depends}
	return opt
}

// further are the properties that the account adds to a field.
type further struct {
	use               string
	name, title, kind *expression.Program
	depends           []string
}

func (r *reader) further(n *yaml.Node, s *connectors.Schema) *further {
	if n == nil {
		return nil
	}
	o := r.Object(n, "fields_from")
	f := &further{use: o.Text("use"), depends: o.Texts("depends_on")}
	o.Need("use", "the action that lists the fields")
	f.name = r.program(o.Need("name", "such as name: item.name"), "name", inItem)
	f.title = r.program(o.Value("title"), "title", inItem)
	f.kind = r.program(o.Value("type"), "type", inItem)
	r.lister(o, f.use)
	o.Done()
	s.FieldsFrom = &connectors.FieldsFrom{Use: f.use, DependsOn: f.depends}
	return f
}

// lister checks, once all are known, that an action only reads.
func (r *reader) lister(o *workflow.Object, use string) {
	n := o.Take("use")
	if n == nil {
		return
	}
	r.later = append(r.later, func() {
		switch a := r.src.actions[use]; {
		case a == nil:
			r.Errorf(n, workflow.Known(use, keysOf(r.src.actions)), "there is no action %q", use)
		case !a.safe:
			r.Errorf(n, "say safe: true there if it only reads", "%s is not marked safe, so it is not called without a person", use)
		}
	})
}

// schemaOf describes data of which v is an example.
func schemaOf(v any) connectors.Schema {
	switch v := v.(type) {
	case bool:
		return connectors.Schema{Type: "boolean"}
	case string:
		return connectors.Schema{Type: "string"}
	case nil:
		return connectors.Schema{}
	case []any:
		s := connectors.Schema{Type: "array"}
		if len(v) > 0 {
			item := schemaOf(v[0])
			s.Items = &item
		}
		return s
	case map[string]any:
		s := connectors.Schema{Type: "object", Properties: make(map[string]connectors.Schema, len(v)), Order: keysOf(v)}
		for name, item := range v {
			s.Properties[name] = schemaOf(item)
		}
		return s
	}
	return connectors.Schema{Type: "number"}
}

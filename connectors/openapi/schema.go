package openapi

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
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
	where   string                // the operation, for notes
	cut     bool                  // something was left out for its depth
	secrets map[[2]string]*object // parameters that hold a key of the connection; see secretParams
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
		flat, err := c.flatten(raw)
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
	flat, err := c.flatten(raw)
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
		flat, err := c.flatten(next.raw)
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

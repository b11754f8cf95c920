package openapi

import (
	"slices"
	"strings"
)

// exampleOf is the first example that a schema or parameter gives.
func exampleOf(o *object) (any, bool) {
	for _, key := range []string{"example", "x-example"} {
		if v := o.value(key); v != nil {
			return v, true
		}
	}
	switch v := o.value("examples").(type) {
	case []any:
		if len(v) > 0 && v[0] != nil {
			return v[0], true
		}
	case *object:
		for _, m := range v.all() {
			if e := asObject(m.val).value("value"); e != nil {
				return e, true
			}
		}
	}
	return nil, false
}

// small reports a value that takes at most so many bytes when written.
func small(v any, most int) bool { return weight(v) <= most }

func weight(v any) int {
	switch v := v.(type) {
	case *object:
		n := 2
		for _, m := range v.all() {
			n += len(m.key) + 3 + weight(m.val)
		}
		return n
	case []any:
		n := 2
		for _, item := range v {
			n += 2 + weight(item)
		}
		return n
	case string:
		return len(v) + 2
	case number:
		return len(v)
	}
	return 5
}

const (
	sampleDepth = 4
	sampleText  = 120 // characters of one text
)

// shorten cuts a vendor's example down to a sample: one or two entries of a list, texts without their tails.
func shorten(v any, depth int, left *int) any {
	switch v := v.(type) {
	case *object:
		out := &object{}
		for _, m := range v.all() {
			if *left <= 0 {
				break
			}
			if depth == 0 {
				switch m.val.(type) {
				case *object, []any:
					continue
				}
			}
			*left -= len(m.key) + 4
			out.set(m.key, shorten(m.val, depth-1, left))
		}
		return out
	case []any:
		out := []any{}
		if len(v) > 0 && depth > 0 {
			out = append(out, shorten(v[0], depth-1, left))
		}
		return out
	case string:
		if runes := []rune(v); len(runes) > sampleText {
			v = strings.TrimSpace(string(runes[:sampleText])) + "…"
		}
		*left -= len(v) + 2
		return v
	}
	*left -= 6
	return v
}

// sampleOf is an example of an answer: the document's own, else one made from the schema, so that later steps know
// the fields. nil: the document says nothing.
func (c *compiler) sampleOf(a *answer) any {
	if a == nil || !isJSON(a.media) && !strings.Contains(a.media, "*") {
		return nil
	}
	left := c.sample
	switch v := a.sample.(type) {
	case *object, []any:
		return shorten(v, sampleDepth, &left)
	}
	v := c.invent(a.schema, sampleDepth, &left)
	switch got := v.(type) {
	case *object:
		if got.size() == 0 {
			return nil
		}
	case []any:
		if len(got) == 0 {
			return nil
		}
	default:
		return nil
	}
	return v
}

// invent makes a value that fits a schema.
func (c *compiler) invent(raw any, depth int, left *int) any {
	flat, err := c.flatten(raw)
	if err != nil || *left <= 0 {
		return nil
	}
	if v, ok := exampleOf(flat); ok && c.fits(v, flat) {
		return shorten(v, max(depth, 0), left)
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		if list, _ := c.withoutNull(flat.list(key)); len(list) > 0 && flat.object("properties").size() == 0 {
			return c.invent(list[0], depth, left)
		}
	}
	types, _ := c.types(flat)
	if len(types) == 0 {
		return nil
	}
	*left -= 8
	switch types[0] {
	case "object":
		out := &object{}
		if depth <= 0 {
			return out
		}
		for _, p := range flat.object("properties").all() {
			if *left <= 0 {
				break
			}
			if o, ok := p.val.(*object); ok && o.flag("writeOnly") {
				continue
			}
			*left -= len(p.key) + 4
			if val := c.invent(p.val, depth-1, left); val != nil || *left > 0 {
				out.set(p.key, val)
			}
		}
		return out
	case "array":
		if depth <= 0 {
			return []any{}
		}
		if item := c.invent(flat.value("items"), depth-1, left); item != nil {
			return []any{item}
		}
		return []any{}
	}
	for _, v := range append([]any{flat.value("const"), flat.value("default")}, flat.list("enum")...) {
		if v != nil && c.fits(v, flat) {
			return v
		}
	}
	switch types[0] {
	case "integer", "number":
		if n, ok := flat.value("minimum").(number); ok {
			return n
		}
		return number("1")
	case "boolean":
		return true
	}
	switch flat.text("format") {
	case "date-time":
		return "2026-03-01T09:00:00Z"
	case "date":
		return "2026-03-01"
	case "uuid":
		return "0198b1f0-7c00-7000-8000-000000000001"
	case "email":
		return "ann@example.com"
	case "uri", "url":
		return "https://example.com"
	}
	return "text"
}

// fits reports that an example has one of the schema's types; many documents give examples of another one.
func (c *compiler) fits(v any, flat *object) bool {
	types, _ := c.types(flat)
	if len(types) == 0 {
		return true
	}
	switch v.(type) {
	case *object:
		return slices.Contains(types, "object")
	case []any:
		return slices.Contains(types, "array")
	case string:
		return slices.Contains(types, "string")
	case number:
		return slices.Contains(types, "number") || slices.Contains(types, "integer")
	case bool:
		return slices.Contains(types, "boolean")
	}
	return false
}

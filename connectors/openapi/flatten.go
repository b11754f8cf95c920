package openapi

import (
	"fmt"
	"slices"
)

// flatten resolves a schema and takes the parts of its allOf together. above are the references that led here.
func (c *compiler) flatten(raw any, above ...string) (*object, error) {
	if err := c.spend(); err != nil {
		return nil, err
	}
	if len(above) > maxRefs {
		return nil, fmt.Errorf("schemas contain each other by allOf or $ref more than %d deep", maxRefs)
	}
	o, _ := raw.(*object)
	if ref, ok := o.value("$ref").(string); ok {
		if slices.Contains(above, ref) {
			c.warn("$ref %q leads back to itself: what it stands for may be anything", clip(ref))
			return nil, nil
		}
		above = append(above[:len(above):len(above)], ref)
		target, err := c.doc.lookup(ref)
		if err != nil {
			return nil, err
		}
		if target == nil {
			c.warn("$ref %q leads to nothing: what it stands for may be anything", clip(ref))
		}
		flat, err := c.flatten(target, above...)
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
		flat, err := c.flatten(part, above...)
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

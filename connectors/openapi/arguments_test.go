package openapi_test

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/connectors"
)

// arguments makes the smallest values that a schema allows: what a person would have to fill in at least. It knows
// schemas only, and no vendor.
type arguments struct {
	c    *connectors.Connector
	form bool // an empty object or list cannot be written in a form, so one that is needed gets a member
}

func (g *arguments) input(a *connectors.Action) map[string]any {
	in := map[string]any{}
	g.members(in, a.Input, 0)
	if _, paged := a.Input.Properties["limit"]; paged && len(a.Input.Properties["limit"].Required) == 0 && a.Input.Properties["limit"].Default != nil {
		in["limit"] = 1 // the first page is enough
	}
	return in
}

// members fills in what is required of an object.
func (g *arguments) members(in map[string]any, s connectors.Schema, depth int) {
	for _, name := range s.Required {
		if _, has := in[name]; !has {
			in[name] = g.value(s.Properties[name], depth+1)
		}
	}
	if list := append(slices.Clone(s.OneOf), s.AnyOf...); len(list) > 0 {
		first := g.c.Resolve(g.pick(list))
		for name, p := range s.Properties { // a variant may only say which of them are needed
			if first.Properties == nil {
				first.Properties = map[string]connectors.Schema{}
			}
			if _, has := first.Properties[name]; !has {
				first.Properties[name] = p
			}
		}
		g.members(in, first, depth+1)
		if d := s.Discriminator; d != nil {
			for word, ref := range d.Mapping {
				if g.pick(list).Ref == ref {
					in[d.Property] = word
				}
			}
		}
	}
	for _, part := range s.AllOf {
		g.members(in, g.c.Resolve(part), depth+1)
	}
}

// pick takes the first variant that is not null, and rather one that needs little.
func (g *arguments) pick(list []connectors.Schema) connectors.Schema {
	for _, v := range list {
		if r := g.c.Resolve(v); r.Type != "null" && !(r.Const != nil && r.Const == "") {
			return v
		}
	}
	return list[0]
}

func (g *arguments) value(s connectors.Schema, depth int) any {
	s = g.c.Resolve(s)
	if depth > 40 {
		return nil
	}
	if s.Const != nil {
		return s.Const
	}
	for _, v := range s.Enum {
		if v != nil && v != "" {
			return v
		}
	}
	kind := s.Type
	if kind == "" {
		switch {
		case s.Properties != nil:
			kind = "object"
		case len(s.OneOf)+len(s.AnyOf) > 0:
			list := append(slices.Clone(s.OneOf), s.AnyOf...)
			v := g.value(g.pick(list), depth+1)
			if object, ok := v.(map[string]any); ok && s.Discriminator != nil {
				for word, ref := range s.Discriminator.Mapping {
					if g.pick(list).Ref == ref {
						object[s.Discriminator.Property] = word
					}
				}
			}
			return v
		case len(s.AllOf) > 0:
			return g.value(s.AllOf[0], depth+1)
		default:
			kind = "string"
		}
	}
	switch kind {
	case "object":
		object := map[string]any{}
		g.members(object, s, depth)
		if len(object) == 0 && g.form {
			g.fill(object, s, depth)
		}
		return object
	case "array":
		n := s.MinItems
		if n == 0 && (g.form || depth == 1) { // in a query an empty list cannot be written either
			n = 1
		}
		list := []any{}
		for i := range n {
			var item connectors.Schema
			if s.Items != nil {
				item = *s.Items
			}
			v := g.value(item, depth+1)
			if i > 0 && s.UniqueItems {
				v = another(g.c.Resolve(item), v, i)
			}
			list = append(list, v)
		}
		return list
	case "boolean":
		return true
	case "integer", "number":
		n := 1.0
		if s.Minimum != nil && n < *s.Minimum {
			n = *s.Minimum
		}
		if s.Maximum != nil && n > *s.Maximum {
			n = *s.Maximum
		}
		if n == float64(int(n)) {
			return int(n)
		}
		return n
	}
	return text(s)
}

// fill gives an object one member, the one that needs least.
func (g *arguments) fill(object map[string]any, s connectors.Schema, depth int) {
	if s.Values != nil {
		object["key"] = g.value(*s.Values, depth+1)
		return
	}
	for _, wanted := range []string{"string", "integer", "boolean", "number", ""} {
		for _, name := range s.Order {
			if p := g.c.Resolve(s.Properties[name]); p.Type == wanted || wanted == "" {
				object[name] = g.value(p, depth+1)
				return
			}
		}
	}
}

// another is a value unlike the one before.
func another(s connectors.Schema, v any, i int) any {
	if i < len(s.Enum) {
		return s.Enum[i]
	}
	switch v := v.(type) {
	case string:
		return v + string(rune('a'+i%26))
	case int:
		return v + i
	}
	return v
}

func text(s connectors.Schema) string {
	out := ""
	switch s.Format {
	case "date-time":
		out = "2026-03-01T09:00:00Z"
	case "date":
		out = "2026-03-01"
	case "time":
		out = "09:00:00Z"
	case "duration":
		out = "P1D"
	case "uuid":
		out = "0198b1f0-7c00-7000-8000-000000000001"
	case "email", "idn-email":
		out = "ann@example.com"
	case "uri", "url", "uri-reference", "iri":
		out = "https://example.com"
	case "hostname":
		out = "example.com"
	case "ipv4":
		out = "192.0.2.1"
	case "ipv6":
		out = "2001:db8::1"
	case "byte":
		out = "aGk="
	case "snowflake":
		out = "123456789012345678"
	}
	if s.Pattern != "" {
		if made, ok := matching(s.Pattern); ok {
			out = made
		}
		for _, e := range s.Examples { // a pattern of Perl is only there to be read
			if example, ok := e.(string); ok && strings.Contains(s.Pattern, "(?") {
				out = example
			}
		}
	}
	if out == "" {
		out = "a"
	}
	if n := utf8.RuneCountInString(out); n < s.MinLength {
		last, _ := utf8.DecodeLastRuneInString(out)
		out += strings.Repeat(string(last), s.MinLength-n)
	}
	if s.MaxLength > 0 && len(out) > s.MaxLength {
		out = out[:s.MaxLength]
	}
	return out
}

// matching makes the shortest text that a pattern matches.
func matching(pattern string) (string, bool) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "", false
	}
	var b strings.Builder
	write(&b, parsed.Simplify(), 0)
	return b.String(), true
}

func write(b *strings.Builder, re *syntax.Regexp, depth int) {
	if depth > 100 || b.Len() > 2000 {
		return
	}
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		b.WriteRune(printable(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('a')
	case syntax.OpCapture, syntax.OpPlus, syntax.OpConcat:
		for _, sub := range re.Sub {
			write(b, sub, depth+1)
		}
	case syntax.OpAlternate:
		write(b, re.Sub[0], depth+1)
	case syntax.OpRepeat:
		for range re.Min {
			write(b, re.Sub[0], depth+1)
		}
	}
}

func printable(ranges []rune) rune {
	for _, want := range "a1A_-0Z9 ." {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= want && want <= ranges[i+1] {
				return want
			}
		}
	}
	if len(ranges) == 0 {
		return 'a'
	}
	return ranges[0]
}

func shown(v any) string { return fmt.Sprintf("%.300s", fmt.Sprint(v)) }

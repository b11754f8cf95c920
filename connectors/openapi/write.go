package openapi

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// commented is a value with lines of comment before it.
type commented struct {
	val   any
	lines []string
}

// lead puts comments before a value, if there are any.
func lead(v any, lines []string) any {
	if len(lines) == 0 {
		return v
	}
	return commented{v, lines}
}

const width = 150 // columns of a line, where it can be broken

// render writes a manifest: keys in lines of their own as far as a person reads them one by one, what is inside an
// input or a schema in braces.
func render(m *object, compact bool) []byte {
	w := &writer{compact: compact}
	for _, e := range m.all() {
		w.entry(e, 0, 0)
	}
	return []byte(w.String())
}

type writer struct {
	strings.Builder
	compact bool // an input or a schema is not spread over lines of their own for each key
}

// block says how deep the mapping under a top key is written in lines.
var block = map[string]int{"connection": 2, "defaults": 2, "actions": 5, "schemas": 3, "triggers": 4}

func (w *writer) comment(lines []string, indent string) {
	for i, line := range lines {
		if i == 0 {
			line = "FILL IN: " + line
		}
		for strings.ContainsAny(line, "\r\n") {
			line = strings.NewReplacer("\r", " ", "\n", " ").Replace(line)
		}
		w.WriteString(indent + "# " + line + "\n")
	}
}

func (w *writer) entry(e member, depth, lines int) {
	indent := strings.Repeat("  ", depth)
	val := e.val
	if c, ok := val.(commented); ok {
		val = c.val
		if o, isObject := val.(*object); isObject && o.size() == 0 {
			// a mapping that a person has to begin: its key is a comment as well
			w.comment(append(c.lines[:1:1], append([]string{e.key + ":"}, indented(c.lines[1:])...)...), indent)
			return
		}
		w.comment(c.lines, indent)
	}
	if depth == 0 {
		if lines = block[e.key]; w.compact && (e.key == "actions" || e.key == "schemas") {
			lines--
		}
	}
	head := indent + scalarText(e.key) + ":"
	o, isObject := val.(*object)
	list, isList := val.([]any)
	long := func() bool { return weight(val) > 4*width || len(head)+1+len(inline(val)) > width || hasComment(val) }
	switch {
	case isObject && o.size() > 0 && lines > 0 && (depth == 0 || long()):
		w.WriteString(head + "\n")
		for _, m := range o.all() {
			w.entry(m, depth+1, lines-1)
		}
	case isList && len(list) > 0 && lines > 0 && !scalars(list) && long():
		w.WriteString(head + "\n")
		for _, item := range list {
			if c, ok := item.(commented); ok {
				w.comment(c.lines, indent+"  ")
				item = c.val
			}
			w.fill(indent+"  - ", inline(item), len(indent)+6)
		}
	default:
		w.fill(head+" ", inline(val), len(indent)+4)
	}
}

// scalars reports a list of words or numbers, which is filled into lines.
func scalars(list []any) bool {
	for _, item := range list {
		switch item.(type) {
		case *object, []any, commented:
			return false
		}
	}
	return true
}

func indented(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = "  " + line
	}
	return out
}

func hasComment(v any) bool {
	switch v := v.(type) {
	case commented:
		return true
	case *object:
		for _, m := range v.all() {
			if hasComment(m.val) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if hasComment(item) {
				return true
			}
		}
	}
	return false
}

// fill writes a value in braces over as many lines as it needs; it breaks after a comma that stands outside quotes.
func (w *writer) fill(head, flow string, indent int) {
	line := head
	for piece := range pieces(flow) {
		if len(line)+len(piece) > width && strings.TrimSpace(line) != "" && line != head {
			w.WriteString(strings.TrimRight(line, " ") + "\n")
			line = strings.Repeat(" ", indent)
		}
		line += piece
	}
	w.WriteString(strings.TrimRight(line, " ") + "\n")
}

// pieces cuts after each comma that is not part of a text.
func pieces(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i < len(s); i++ {
			switch {
			case quoted && s[i] == '\\':
				i++
			case s[i] == '"':
				quoted = !quoted
			case !quoted && s[i] == ' ' && i > 0 && s[i-1] == ',':
				if !yield(s[start : i+1]) {
					return
				}
				start = i + 1
			}
		}
		yield(s[start:])
	}
}

// inline writes a value in one line.
func inline(v any) string {
	var b strings.Builder
	flow(&b, v)
	return b.String()
}

func flow(b *strings.Builder, v any) {
	switch v := v.(type) {
	case commented:
		flow(b, v.val)
	case *object:
		b.WriteByte('{')
		for i, m := range v.all() {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(scalarText(m.key))
			b.WriteString(": ")
			flow(b, m.val)
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			flow(b, item)
		}
		b.WriteByte(']')
	case string:
		b.WriteString(scalarText(v))
	case number:
		b.WriteString(string(v))
	case bool:
		b.WriteString(strconv.FormatBool(v))
	default:
		b.WriteString("null")
	}
}

// scalarText writes a text without quotes only where no YAML reader takes it for something else, in a line of its own
// or in braces.
func scalarText(s string) string {
	if s == "" || len(s) > 400 {
		return quoted(s)
	}
	switch c := s[0]; {
	case c >= '0' && c <= '9':
		if !plainVersion.MatchString(s) {
			return quoted(s)
		}
		return s
	case !letter(c) && c != '_' && c != '/' && c != '$' || s[len(s)-1] == ' ':
		return quoted(s)
	}
	if strings.HasPrefix(s, "http") && plainURL.MatchString(s) {
		return s
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !letter(c) && (c < '0' || c > '9') && strings.IndexByte("_./()$+ -", c) < 0 {
			return quoted(s)
		}
	}
	if len(s) <= 5 {
		switch strings.ToLower(s) {
		case "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf":
			return quoted(s)
		}
	}
	return s
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

var (
	plainVersion = regexp.MustCompile(`^[0-9]+(\.[0-9]+\.[0-9]+|[smhd])$`)
	plainURL     = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/%=&-]*)?$`)
)

// quoted writes a text in double quotes with the escapes that JSON and YAML share, so it is one line.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < 0x10000 && !unicode.IsPrint(c) || c == 0xfeff || c == 0x85:
			const hex = "0123456789abcdef"
			b.WriteString(`\u` + string([]byte{hex[c>>12&15], hex[c>>8&15], hex[c>>4&15], hex[c&15]}))
		case !unicode.IsPrint(c):
			b.WriteRune(unicode.ReplacementChar)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

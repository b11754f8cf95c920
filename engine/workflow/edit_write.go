package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// keyOrder is the order in which the keys of a new step or trigger are written; others follow by the alphabet.
var keyOrder = []string{
	"id", "name", "description", "enabled", "tags", "triggers", "lane", "concurrency", "when", "if", "filter", "set", "paths", "for_each", "parallel",
	"wait", "approve", "call", "respond", "stop", "webhook", "schedule", "poll", "cron", "every", "timezone", "use", "connection", "with",
	"timeout", "retention", "limits", "retry", "steps", "on_error", "on_failure",
}

// valueOf reads a value given to an op.
func valueOf(v any, depth int) (*datum, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("the value is nested more than %d deep", maxDepth)
	}
	d := &datum{kind: yaml.ScalarNode, value: v}
	switch v := v.(type) {
	case nil, bool, int, string:
	case int64:
		d.value = int(v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%v is not a number that data can hold", v)
		}
		if text := number(v); coreInt.MatchString(text) {
			d.value = integer(text, 10)
		}
	case json.Number:
		val, _, err := scalar(&yaml.Node{Kind: yaml.ScalarNode, Value: v.String()})
		if _, text := val.(string); text || err != nil || val == nil {
			return nil, fmt.Errorf("%q is not a number that data can hold", v)
		}
		d.value = val
	case Text:
		return v.datum()
	case JSON:
		return v.datum()
	case []any:
		d.kind, d.value = yaml.SequenceNode, nil
		for _, item := range v {
			inner, err := valueOf(item, depth+1)
			if err != nil {
				return nil, err
			}
			inner.source = ""
			d.items = append(d.items, inner)
		}
	case map[string]any:
		d.kind, d.value = yaml.MappingNode, nil
		for key := range v {
			d.keys = append(d.keys, key)
		}
		slices.SortFunc(d.keys, func(a, b string) int {
			i, j := slices.Index(keyOrder, a), slices.Index(keyOrder, b)
			if i < 0 && j < 0 || i == j {
				return strings.Compare(a, b)
			} else if i < 0 {
				return 1
			} else if j < 0 {
				return -1
			}
			return i - j
		})
		for _, key := range d.keys {
			inner, err := valueOf(v[key], depth+1)
			if err != nil {
				return nil, err
			}
			inner.source = ""
			d.items = append(d.items, inner)
		}
	default:
		return nil, fmt.Errorf("%T is no plain data", v)
	}
	return d, nil
}

// datum reads a value that is given as JSON.
func (j JSON) datum() (*datum, error) {
	d := json.NewDecoder(bytes.NewReader(j))
	d.UseNumber()
	out, err := jsonDatum(d, 0)
	if err != nil {
		return nil, fmt.Errorf("the value is not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the value is not one JSON value")
	}
	return out, nil
}

func jsonDatum(d *json.Decoder, depth int) (*datum, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return valueOf(token, depth)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	out := &datum{kind: yaml.SequenceNode}
	if open == '{' {
		out.kind = yaml.MappingNode
	}
	for d.More() {
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			name, _ := key.(string)
			if slices.Contains(out.keys, name) {
				return nil, fmt.Errorf("the field %q stands twice", name)
			}
			out.keys = append(out.keys, name)
		}
		item, err := jsonDatum(d, depth+1)
		if err != nil {
			return nil, err
		}
		if out.items = append(out.items, item); len(out.items) > maxNodes {
			return nil, fmt.Errorf("it holds more than %d values", maxNodes)
		}
	}
	_, err = d.Token()
	return out, err
}

// datum reads a value that is given as text.
func (t Text) datum() (*datum, error) {
	if strings.Contains(string(t), "\r") {
		return nil, errors.New("the text holds a carriage return")
	}
	text := strings.TrimRight(string(t), "\n")
	_, body := splitComments(text)
	entry := []byte("- " + strings.TrimPrefix(strings.Join(indented(strings.Split(body, "\n"), 2), "\n"), "  ") + "\n")
	root, err := load(entry)
	if err != nil || root == nil || root.Kind != yaml.SequenceNode || len(root.Content) != 1 {
		return nil, errors.New("the text is not one YAML value")
	}
	s, err := measure(entry, root)
	if err != nil {
		return nil, errors.New("the text is not one YAML value")
	}
	d := datumOf(root.Content[0])
	d.source, d.tail = Text(text), len(strings.TrimRight(string(entry[s.spans[root.Content[0]].end:]), "\n"))
	return d, nil
}

// splitComments takes the comment lines off the beginning of a text.
func splitComments(text string) (comments []string, body string) {
	for strings.HasPrefix(text, "#") {
		line, rest, _ := strings.Cut(text, "\n")
		comments, text = append(comments, line), rest
	}
	return comments, text
}

// indented puts n spaces before every line that is not empty.
func indented(lines []string, n int) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		if out[i] = line; line != "" {
			out[i] = strings.Repeat(" ", n) + line
		}
	}
	return out
}

func number(f float64) string {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if math.Abs(f) < 1e15 && math.Abs(f) >= 1e-6 || f == 0 {
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	return text
}

// scalarText writes a scalar in one line, in the quotes of style where these can hold it.
func scalarText(val any, style yaml.Style, flow bool) string {
	switch v := val.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case float64:
		return number(v)
	case json.Number:
		return v.String()
	case illegible:
		return string(v)
	case string:
		return stringText(v, style, flow)
	}
	return ""
}

func stringText(text string, style yaml.Style, flow bool) string {
	printable := !strings.ContainsFunc(text, func(c rune) bool { return c != ' ' && !unicode.IsGraphic(c) || c == mark0 })
	single := printable && !strings.Contains(text, "\n")
	switch {
	case style&yaml.SingleQuotedStyle != 0 && single:
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	case style&yaml.DoubleQuotedStyle == 0 && plainText(text, flow) && single:
		return text
	case style&yaml.DoubleQuotedStyle == 0 && single && strings.ContainsAny(text, `"\`):
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
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
		case c < 0x20 || c >= 0x7f && c < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, c)
		case !unicode.IsGraphic(c) && c <= 0xffff || c == mark0:
			fmt.Fprintf(&b, `\u%04x`, c)
		case !unicode.IsGraphic(c):
			fmt.Fprintf(&b, `\U%08x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

const mark0 = '\ufeff'

// What readers of YAML 1.1 take for a number (also to the base of 2, 8, 16 or 60) or a time, see yaml.org/type.
var (
	olderNumber = regexp.MustCompile(`^[-+]?(0[bB][01_]+|0[oO][0-7_]+|0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9_]+)([eE][-+]?[0-9]+)?)$`)
	olderTime   = regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t]|$)`)
)

// plainText reports whether a text means itself without quotes, here and to readers of YAML 1.1.
func plainText(text string, flow bool) bool {
	val, _, err := scalar(&yaml.Node{Kind: yaml.ScalarNode, Value: text})
	if got, ok := val.(string); err != nil || !ok || got != text || text == "" {
		return false
	}
	if olderNumber.MatchString(text) || olderTime.MatchString(text) {
		return false
	}
	switch strings.ToLower(text) {
	case "yes", "no", "on", "off", "y", "n", "=", "<<":
		return false
	}
	first := text[0]
	if strings.IndexByte("-?:", first) >= 0 {
		if len(text) == 1 || flow || isBlank(rune(text[1])) || strings.HasPrefix(text, "---") {
			return false
		}
	} else if strings.IndexByte(",[]{}#&*!|>'\"%@`", first) >= 0 {
		return false
	}
	if strings.TrimFunc(text, unicode.IsSpace) != text || strings.Contains(text, ": ") || strings.Contains(text, " #") ||
		strings.HasSuffix(text, ":") || strings.ContainsAny(text, "\n\t") || strings.HasPrefix(text, "...") {
		return false
	}
	return !flow || !strings.ContainsAny(text, ",[]{}")
}

// blockText writes a text as the header and the lines of a literal or folded block; not every text can be.
func blockText(text string, folded bool) (header string, lines []string, ok bool) {
	header = "|"
	if folded {
		header = ">"
	}
	body, ended := strings.CutSuffix(text, "\n")
	if !ended {
		header += "-"
	}
	if body == "" || strings.HasSuffix(body, "\n") || strings.HasPrefix(body, " ") || strings.HasPrefix(body, "\n") {
		return "", nil, false
	}
	lines = strings.Split(body, "\n")
	for i, line := range lines {
		if strings.ContainsFunc(line, func(c rune) bool { return c == mark0 || c != ' ' && !unicode.IsGraphic(c) }) ||
			line != "" && strings.TrimSpace(line) == "" || folded && (line == "" || line[0] == ' ' || strings.HasSuffix(line, " ")) {
			return "", nil, false
		}
		if folded && i+1 < len(lines) {
			lines[i] += "\n"
		}
	}
	return header, strings.Split(strings.Join(lines, "\n"), "\n"), true
}

// flowText writes a value in one line.
func flowText(d *datum) string {
	var parts []string
	if d.source != "" && d.verbatim() {
		return string(d.source)
	}
	switch d.kind {
	case yaml.MappingNode:
		for i, item := range d.items {
			parts = append(parts, stringText(d.keys[i], 0, true)+": "+flowText(item))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		for _, item := range d.items {
			parts = append(parts, flowText(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return scalarText(d.value, 0, true)
}

// verbatim reports whether the text of a value means the same inside of brackets.
func (d *datum) verbatim() bool {
	switch first := d.source[0]; first {
	case '{', '[', '"', '\'':
		return d.source[len(d.source)-1] == map[byte]byte{'{': '}', '[': ']'}[first] || d.kind == yaml.ScalarNode && d.source[len(d.source)-1] == first
	}
	return d.kind == yaml.ScalarNode && !strings.ContainsAny(string(d.source), "#\n,[]{}") &&
		!strings.Contains(string(d.source)+" ", ": ")
}

// maxFlow is the longest list or mapping, in bytes, that is written in one line by choice.
const maxFlow = 100

// short reports whether a value fits in brackets in one line.
func short(d *datum) bool {
	for _, item := range d.items {
		if text, ok := item.value.(string); ok && strings.Contains(text, "\n") || !short(item) {
			return false
		}
	}
	return len(d.source) == 0 && len(flowText(d)) <= maxFlow
}

func scalars(d *datum) bool {
	return !slices.ContainsFunc(d.items, func(item *datum) bool { return item.kind != yaml.ScalarNode })
}

// layout is how a file is laid out.
type layout struct {
	step    int  // spaces by which a mapping below a key is indented
	list    int  // spaces by which a list below a key is
	oneLine bool // no blocks of text: what follows could become a part of them
}

// block writes a value behind a colon or a dash: what follows it in its line, and the lines below, indented from the
// column of the key or dash. A mapping or list behind a dash begins in its line.
func (l layout) block(d *datum, dash int) (inline string, below []string) {
	switch {
	case d.source != "":
		lines := strings.Split(string(d.source), "\n")
		switch collection := d.kind != yaml.ScalarNode && !strings.HasPrefix(lines[0], "{") && !strings.HasPrefix(lines[0], "["); {
		case dash > 0:
			return lines[0], indented(lines[1:], dash)
		case collection && d.kind == yaml.SequenceNode:
			return "", indented(lines, l.list)
		case collection:
			return "", indented(lines, l.step)
		}
		return lines[0], indented(lines[1:], l.step)
	case d.kind == yaml.ScalarNode:
		if text, ok := d.value.(string); ok && strings.Contains(text, "\n") && !l.oneLine {
			if header, lines, ok := blockText(text, false); ok {
				return header, indented(lines, l.step)
			}
		}
		return scalarText(d.value, 0, false), nil
	case len(d.items) == 0 || d.kind == yaml.SequenceNode && scalars(d) && short(d):
		return flowText(d), nil
	}
	var lines []string
	indent := l.step
	for i, item := range d.items {
		if d.kind == yaml.SequenceNode {
			indent = l.list
			lines = append(lines, l.entry("-", item, 2)...)
		} else {
			lines = append(lines, l.entry(stringText(d.keys[i], 0, false)+":", item, 0)...)
		}
	}
	if dash > 0 {
		return lines[0], indented(lines[1:], dash)
	}
	return "", indented(lines, indent)
}

// entry writes a field or an entry of a list with its prefix, a key or a dash.
func (l layout) entry(prefix string, d *datum, dash int) []string {
	inline, below := l.block(d, dash)
	if inline != "" {
		prefix += strings.Repeat(" ", max(dash-1, 1)) + inline
	}
	return append([]string{prefix}, below...)
}

// layout looks at how the file is indented.
func (e *editor) layout() layout {
	l := layout{step: 2, list: 2, oneLine: e.oneLine || !bytes.HasSuffix(e.src, []byte{'\n'})}
	step, list := false, false
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		for i := 0; n.Kind == yaml.MappingNode && !isFlow(n) && i+1 < len(n.Content); i += 2 {
			key, val := n.Content[i], n.Content[i+1]
			if isFlow(val) || val.Line == key.Line || len(val.Content) == 0 {
				continue
			}
			deeper := val.Content[0].Column - key.Column
			if val.Kind == yaml.SequenceNode {
				deeper = val.Column - key.Column
			}
			switch {
			case val.Kind == yaml.MappingNode && !step && deeper > 0:
				l.step, step = deeper, true
			case val.Kind == yaml.SequenceNode && !list && deeper >= 0:
				l.list, list = deeper, true
			}
		}
		for _, c := range n.Content {
			if step && list {
				return
			}
			look(c)
		}
	}
	look(e.root)
	return l
}

package value

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxXMLDepth is how many elements may be inside each other.
const maxXMLDepth = 64

// DecodeXML reads an XML document into an object with one field, the root element: <a x="1"><b>2</b></a> is
// {a: {"@x": "1", b: "2"}}. An element without attributes and children is its text, repeated elements are a list,
// and text beside attributes or children is "#text". Names keep their prefix. Document types are refused, so there
// are no entities but those of XML itself. Errors are a *SyntaxError.
func DecodeXML(src []byte) (any, error) {
	r := &xmlReader{src: src, d: xml.NewDecoder(bytes.NewReader(src))}
	r.d.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("the encoding %q is not supported, only UTF-8", charset)
	}
	return r.document()
}

type xmlReader struct {
	src      []byte
	d        *xml.Decoder
	elements int
}

// element is one that is being read.
type element struct {
	name     string
	fields   map[string]any // attributes and children; nil: none
	children bool
	text     strings.Builder
}

func (r *xmlReader) document() (any, error) {
	var root map[string]any
	var open []*element
	for {
		token, err := r.d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, r.wrap(err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, r.errorf("document types (<!…>) are not allowed")
		case xml.StartElement:
			if len(open) == 0 && root != nil {
				return nil, r.errorf("<%s> after the end of the root element", xmlName(t.Name))
			}
			e, err := r.start(t, len(open))
			if err != nil {
				return nil, err
			}
			open = append(open, e)
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1].name != xmlName(t.Name) {
				return nil, r.errorf("</%s> closes nothing", xmlName(t.Name))
			}
			e := open[len(open)-1]
			open = open[:len(open)-1]
			if len(open) == 0 {
				root = map[string]any{e.name: e.value()}
				continue
			}
			open[len(open)-1].add(e.name, e.value())
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text.Write(t)
			} else if len(bytes.TrimSpace(t)) > 0 && !bytes.Equal(t, []byte("\uFEFF")) {
				return nil, r.errorf("text outside of the root element")
			}
		}
	}
	if len(open) > 0 {
		return nil, r.errorf("<%s> is not closed", open[len(open)-1].name)
	}
	if root == nil {
		return nil, r.errorf("there is no element")
	}
	return root, nil
}

func (r *xmlReader) start(t xml.StartElement, depth int) (*element, error) {
	if depth >= maxXMLDepth {
		return nil, r.errorf("more than %d elements inside each other", maxXMLDepth)
	}
	if r.elements += 1 + len(t.Attr); r.elements > MaxElements {
		return nil, r.errorf("more than %d elements and attributes", MaxElements)
	}
	e := &element{name: xmlName(t.Name)}
	for _, a := range t.Attr {
		key := "@" + xmlName(a.Name)
		if _, twice := e.fields[key]; twice {
			return nil, r.errorf("the attribute %s is there twice", key[1:])
		}
		if e.fields == nil {
			e.fields = make(map[string]any, len(t.Attr))
		}
		e.fields[key] = a.Value
	}
	return e, nil
}

// add puts a child into an element; from the second of a name on they are a list.
func (e *element) add(name string, v any) {
	e.children = true
	if e.fields == nil {
		e.fields = map[string]any{}
	}
	switch before := e.fields[name].(type) {
	case nil:
		e.fields[name] = v
	case []any:
		e.fields[name] = append(before, v) // no single element is a list
	default:
		e.fields[name] = []any{before, v}
	}
}

func (e *element) value() any {
	text := e.text.String()
	if trimmed := strings.TrimSpace(text); trimmed == "" || e.children {
		text = trimmed
	}
	if e.fields == nil {
		return text
	}
	if text != "" {
		e.fields["#text"] = text
	}
	return e.fields
}

func xmlName(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

func (r *xmlReader) errorf(format string, args ...any) error {
	return errorAt("XML", r.src, int(r.d.InputOffset()), fmt.Sprintf(format, args...))
}

func (r *xmlReader) wrap(err error) error {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return r.errorf("%s", syntax.Msg)
	}
	return r.errorf("%s", strings.TrimPrefix(err.Error(), "xml: "))
}

// AppendXML appends an object with one field, the root element, as XML; it is what DecodeXML reads. Attributes and
// children are written in the order of their names. What XML cannot hold, such as the character 0, becomes U+FFFD.
func AppendXML(dst []byte, v any) ([]byte, error) {
	object, ok := v.(map[string]any)
	if !ok || len(object) != 1 {
		return dst, errors.New("write XML: an object with exactly one field, the root element, is needed")
	}
	out := dst
	for name, root := range object {
		if _, list := root.([]any); list {
			return dst, fmt.Errorf("write XML: the root element %s must not be a list", name)
		}
		var err error
		if out, err = appendElement(out, name, root, 0); err != nil {
			return dst, fmt.Errorf("write XML: %w", err)
		}
	}
	return out, nil
}

func appendElement(dst []byte, name string, v any, depth int) ([]byte, error) {
	if depth >= maxXMLDepth {
		return nil, fmt.Errorf("more than %d elements inside each other", maxXMLDepth)
	}
	if list, ok := v.([]any); ok {
		for _, item := range list {
			if _, nested := item.([]any); nested {
				return nil, fmt.Errorf("%s: a list inside a list has no XML", name)
			}
			var err error
			if dst, err = appendElement(dst, name, item, depth); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}
	if !validXMLName(name) {
		return nil, fmt.Errorf("%q cannot be the name of an element", name)
	}
	dst = append(append(dst, '<'), name...)
	object, ok := v.(map[string]any)
	if !ok {
		return closeElement(appendXMLText(append(dst, '>'), Text(v), false), name), nil
	}
	keys := slices.Sorted(maps.Keys(object))
	for _, key := range keys {
		attribute, ok := strings.CutPrefix(key, "@")
		if !ok {
			continue
		}
		switch object[key].(type) {
		case []any, map[string]any:
			return nil, fmt.Errorf("%s: the attribute %s must be text or a number", name, attribute)
		}
		if !validXMLName(attribute) {
			return nil, fmt.Errorf("%q cannot be the name of an attribute", attribute)
		}
		dst = append(append(append(dst, ' '), attribute...), '=', '"')
		dst = append(appendXMLText(dst, Text(object[key]), true), '"')
	}
	dst = append(dst, '>')
	for _, key := range keys {
		switch {
		case key == "#text":
			dst = appendXMLText(dst, Text(object[key]), false)
		case strings.HasPrefix(key, "@"):
		default:
			var err error
			if dst, err = appendElement(dst, key, object[key], depth+1); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return closeElement(dst, name), nil
}

func closeElement(dst []byte, name string) []byte {
	return append(append(append(dst, '<', '/'), name...), '>')
}

// validXMLName is a little narrower than XML 1.0: the characters beyond ASCII are letters and digits only by their
// block, so all of them are allowed.
func validXMLName(name string) bool {
	if !utf8.ValidString(name) || name == "" || len(name) > 512 || strings.Count(name, ":") > 1 {
		return false
	}
	for i, r := range name {
		letter := r|0x20 >= 'a' && r|0x20 <= 'z' || r == '_' || r >= 0xC0 && r != 0xD7 && r != 0xF7
		inner := '0' <= r && r <= '9' || r == '-' || r == '.' || r == ':' && i+1 < len(name)
		if !letter && (!inner || i == 0) {
			return false
		}
	}
	return true
}

func appendXMLText(dst []byte, text string, attribute bool) []byte {
	for _, r := range text {
		switch {
		case r == '&':
			dst = append(dst, "&amp;"...)
		case r == '<':
			dst = append(dst, "&lt;"...)
		case r == '>':
			dst = append(dst, "&gt;"...)
		case r == '\r':
			dst = append(dst, "&#13;"...)
		case attribute && r == '"':
			dst = append(dst, "&quot;"...)
		case attribute && r == '\n':
			dst = append(dst, "&#10;"...)
		case attribute && r == '\t':
			dst = append(dst, "&#9;"...)
		case r < 0x20 && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF:
			dst = append(dst, "\uFFFD"...)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

package openapi

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads JSON (RFC 8259) into the plain data of this package. It keeps the order of members, which
// encoding/json does not, and its texts are parts of the source, so that a large document is in memory once.
// Control characters inside a text are let through: some vendors' documents have them.
type jsonReader struct {
	src    string
	at     int
	budget *budget
	keys   map[string]string // each key of the document once
}

func readJSON(src string, b *budget) (root any, err error) {
	r := &jsonReader{src: src, budget: b, keys: map[string]string{}}
	if root, err = r.value(0); err != nil {
		return nil, err
	}
	if r.space(); r.at < len(src) {
		return nil, r.errorf("there is something after the end of the document")
	}
	return root, nil
}

func (r *jsonReader) errorf(format string, args ...any) error {
	before := r.src[:min(r.at, len(r.src))]
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Errorf("%d:%d: this is not JSON: %s", line, column, fmt.Sprintf(format, args...))
}

func (r *jsonReader) space() {
	for r.at < len(r.src) {
		switch r.src[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// next skips space and returns the next byte, 0 at the end.
func (r *jsonReader) next() byte {
	if r.space(); r.at < len(r.src) {
		return r.src[r.at]
	}
	return 0
}

func (r *jsonReader) value(depth int) (any, error) {
	if err := r.budget.spend(depth); err != nil {
		return nil, err
	}
	switch c := r.next(); c {
	case '{':
		return r.object(depth)
	case '[':
		return r.list(depth)
	case '"':
		return r.text()
	case 't':
		return true, r.word("true")
	case 'f':
		return false, r.word("false")
	case 'n':
		return nil, r.word("null")
	case 0:
		return nil, r.errorf("the document ends too early")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return r.number()
		}
		return nil, r.errorf("a value cannot begin with %q", r.src[r.at:r.at+1])
	}
}

func (r *jsonReader) object(depth int) (any, error) {
	r.at++
	var members []member
	if r.next() == '}' {
		r.at++
		return &object{}, nil
	}
	for {
		switch c := r.next(); {
		case c == '"':
		case c == '}' && len(members) > 0: // a comma before it is against RFC 8259 and does no harm
			r.at++
			return r.budget.object(members), nil
		case c == '/':
			return nil, r.errorf("it has a comment, which JSON does not know: take the comments out")
		default:
			return nil, r.errorf("a key in double quotes is missing")
		}
		key, err := r.text()
		if err != nil {
			return nil, err
		}
		if known, ok := r.keys[key]; ok {
			key = known
		} else {
			r.keys[key] = key
		}
		if r.next() != ':' {
			return nil, r.errorf("a colon is missing after the key %q", clip(key))
		}
		r.at++
		val, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{key, val})
		switch r.next() {
		case ',':
			r.at++
		case '}':
			r.at++
			return r.budget.object(members), nil
		default:
			return nil, r.errorf("a comma or } is missing")
		}
	}
}

func (r *jsonReader) list(depth int) (any, error) {
	r.at++
	list := []any{}
	for {
		if r.next() == ']' { // at once, or after a comma
			r.at++
			return list, nil
		}
		val, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, val)
		switch r.next() {
		case ',':
			r.at++
		case ']':
			r.at++
			return list, nil
		default:
			return nil, r.errorf("a comma or ] is missing")
		}
	}
}

func (r *jsonReader) word(word string) error {
	if !strings.HasPrefix(r.src[r.at:], word) {
		return r.errorf("%s is meant?", word)
	}
	r.at += len(word)
	return nil
}

func (r *jsonReader) number() (any, error) {
	start := r.at
	for r.at < len(r.src) && strings.IndexByte("+-.eE0123456789", r.src[r.at]) >= 0 {
		r.at++
	}
	text := r.src[start:r.at]
	n, ok := plainNumber(text)
	if !ok {
		r.at = start
		return nil, r.errorf("%q is no number", clip(text))
	}
	if beyond(n) {
		return text, nil
	}
	return n, nil
}

// text reads a text in double quotes; r.at is at the first quote.
func (r *jsonReader) text() (string, error) {
	start := r.at + 1
	end := strings.IndexAny(r.src[start:], `"\`)
	if end < 0 {
		return "", r.errorf("a text has no end")
	}
	if r.src[start+end] == '"' {
		r.at = start + end + 1
		return r.src[start : start+end], nil
	}
	var b strings.Builder
	b.WriteString(r.src[start : start+end])
	r.at = start + end
	for r.at < len(r.src) {
		c := r.src[r.at]
		if c == '"' {
			r.at++
			return b.String(), nil
		}
		if c != '\\' {
			rest := strings.IndexAny(r.src[r.at:], `"\`)
			if rest < 0 {
				break
			}
			b.WriteString(r.src[r.at : r.at+rest])
			r.at += rest
			continue
		}
		if err := r.escape(&b); err != nil {
			return "", err
		}
	}
	r.at = start - 1
	return "", r.errorf("a text has no end")
}

func (r *jsonReader) escape(b *strings.Builder) error {
	if r.at+1 >= len(r.src) {
		return r.errorf("a text has no end")
	}
	const short, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := r.src[r.at+1]
	if i := strings.IndexByte(short, c); i >= 0 {
		b.WriteByte(means[i])
		r.at += 2
		return nil
	}
	if c != 'u' {
		return r.errorf(`\%c is no escape`, c)
	}
	first, err := r.unit()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(first) && strings.HasPrefix(r.src[r.at:], `\u`) {
		here := r.at
		second, err := r.unit()
		if err != nil {
			return err
		}
		if both := utf16.DecodeRune(first, second); both != utf8.RuneError {
			b.WriteRune(both)
			return nil
		}
		r.at = here
	}
	b.WriteRune(first) // half a pair becomes U+FFFD
	return nil
}

// unit reads \uXXXX.
func (r *jsonReader) unit() (rune, error) {
	if r.at+6 > len(r.src) {
		return 0, r.errorf("a text has no end")
	}
	n, err := strconv.ParseUint(r.src[r.at+2:r.at+6], 16, 32)
	if err != nil {
		return 0, r.errorf("%q is no escape", clip(r.src[r.at:r.at+6]))
	}
	r.at += 6
	return rune(n), nil
}

package value

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds on what a decoder accepts. They keep one small body from becoming a very large value: an element costs
// at most about 50 bytes of memory for each of its own.
const (
	MaxDepth    = 128     // lists and objects inside each other
	MaxElements = 200_000 // list elements and object fields in one document
)

// SyntaxError says what is wrong in a text of the outside world, and where.
type SyntaxError struct {
	Format       string // JSON, XML, form or CSV
	Line, Column int    // from 1; the column counts characters
	Message      string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Format, e.Message)
	}
	return fmt.Sprintf("%s: line %d, column %d: %s", e.Format, e.Line, e.Column, e.Message)
}

// errorAt gives a SyntaxError with the place of an offset in bytes.
func errorAt(format string, src []byte, offset int, message string) *SyntaxError {
	offset = min(offset, len(src))
	line, start := 1, 0
	for i, c := range src[:offset] {
		if c == '\n' {
			line, start = line+1, i+1
		}
	}
	column := 1 + utf8.RuneCount(src[start:offset])
	return &SyntaxError{Format: format, Line: line, Column: column, Message: message}
}

// DecodeJSON reads one JSON text (RFC 8259) into plain data. A whole number without fraction or exponent is an int,
// or a json.Number with all its digits where it does not fit; any other number is a float64. Of a repeated key the
// last value counts. Invalid UTF-8, a number outside float64, more than MaxDepth levels and more than MaxElements
// elements are refused with a *SyntaxError. Nothing of src is kept.
func DecodeJSON(src []byte) (any, error) {
	v, _, err := DecodeJSONDuplicates(src)
	return v, err
}

// DecodeJSONDuplicates is DecodeJSON that also tells whether a key was repeated in one object. Systems differ in
// which of the two they read, so a delivery shows it.
func DecodeJSONDuplicates(src []byte) (v any, duplicates bool, err error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	d.src = src
	v, err = d.document()
	if err != nil {
		return nil, false, err
	}
	return v, d.duplicates, nil
}

// keyCacheSize is the number of recent keys that a decoder remembers, so that events of one kind share theirs.
const keyCacheSize = 256

// maxCachedKey is the longest key, in bytes, that a decoder remembers.
const maxCachedKey = 32

// decoder reads a document in one pass. Elements are gathered on a stack, so that lists and maps are made with the
// right size at once.
type decoder struct {
	src        []byte
	at         int
	depth      int
	elements   int
	duplicates bool
	values     []any
	keys       []string
	texts      strings.Builder // small strings share blocks of memory
	cache      [keyCacheSize]string
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// maxKeptStack bounds the stacks, in elements, that a decoder keeps for its next document.
const maxKeptStack = 4096

func (d *decoder) release() {
	if cap(d.values) > maxKeptStack {
		d.values, d.keys = nil, nil
	}
	clear(d.values[:min(cap(d.values), d.elements+1)])
	clear(d.keys[:min(cap(d.keys), d.elements+1)])
	d.src, d.at, d.depth, d.elements, d.duplicates = nil, 0, 0, 0, false
	d.values, d.keys = d.values[:0], d.keys[:0]
	d.texts.Reset()
	decoders.Put(d)
}

func (d *decoder) errorf(at int, format string, args ...any) error {
	return errorAt("JSON", d.src, at, fmt.Sprintf(format, args...))
}

func (d *decoder) document() (any, error) {
	if d.space() == 0 && d.at >= len(d.src) {
		return nil, d.errorf(d.at, "the text is empty")
	}
	v, err := d.value()
	if err != nil {
		return nil, err
	}
	if d.space(); d.at < len(d.src) {
		return nil, d.errorf(d.at, "%s after the end of the value", d.found(d.at))
	}
	return v, nil
}

// space skips white space and gives the byte that follows, 0 at the end.
func (d *decoder) space() byte {
	for d.at < len(d.src) {
		switch c := d.src[d.at]; c {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return c
		}
	}
	return 0
}

// found names what stands at an offset, for messages.
func (d *decoder) found(at int) string {
	if at >= len(d.src) {
		return "end of text"
	}
	r, size := utf8.DecodeRune(d.src[at:])
	switch {
	case r == utf8.RuneError && size <= 1:
		return fmt.Sprintf("byte 0x%02x", d.src[at])
	case r == '\uFEFF':
		return "a byte order mark"
	}
	return strconv.QuoteRune(r)
}

func (d *decoder) value() (any, error) {
	c := d.space()
	switch c {
	case '{':
		return d.object()
	case '[':
		return d.list()
	case '"':
		return d.text()
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	case 'n':
		return nil, d.word("null")
	}
	if c == '-' || '0' <= c && c <= '9' {
		return d.number()
	}
	return nil, d.errorf(d.at, "a value is expected, not %s", d.found(d.at))
}

func (d *decoder) word(w string) error {
	if len(d.src)-d.at < len(w) || string(d.src[d.at:d.at+len(w)]) != w {
		return d.errorf(d.at, "a value is expected; did you mean %s?", w)
	}
	d.at += len(w)
	return nil
}

func (d *decoder) enter() error {
	d.at++
	d.depth++
	if d.depth > MaxDepth {
		return d.errorf(d.at-1, "more than %d levels inside each other", MaxDepth)
	}
	return nil
}

func (d *decoder) element() error {
	d.elements++
	if d.elements > MaxElements {
		return d.errorf(d.at, "more than %d elements", MaxElements)
	}
	return nil
}

func (d *decoder) list() (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	base := len(d.values)
	if d.space() == ']' {
		d.at++
		d.depth--
		return []any{}, nil
	}
	for {
		if err := d.element(); err != nil {
			return nil, err
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		d.values = append(d.values, v)
		c := d.space()
		if c != ',' && c != ']' {
			return nil, d.errorf(d.at, "a comma or ] is expected, not %s", d.found(d.at))
		}
		d.at++
		if c == ']' {
			break
		}
	}
	list := make([]any, len(d.values)-base)
	copy(list, d.values[base:])
	d.values = d.values[:base]
	d.depth--
	return list, nil
}

func (d *decoder) object() (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	base, baseKey := len(d.values), len(d.keys)
	if d.space() == '}' {
		d.at++
		d.depth--
		return map[string]any{}, nil
	}
	for {
		if err := d.element(); err != nil {
			return nil, err
		}
		if c := d.space(); c != '"' {
			return nil, d.errorf(d.at, "a key in double quotes is expected, not %s", d.found(d.at))
		}
		key, err := d.key()
		if err != nil {
			return nil, err
		}
		if c := d.space(); c != ':' {
			return nil, d.errorf(d.at, "a colon is expected after the key, not %s", d.found(d.at))
		}
		d.at++
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		d.keys = append(d.keys, key)
		d.values = append(d.values, v)
		c := d.space()
		if c != ',' && c != '}' {
			return nil, d.errorf(d.at, "a comma or } is expected, not %s", d.found(d.at))
		}
		d.at++
		if c == '}' {
			break
		}
	}
	n := len(d.values) - base
	object := make(map[string]any, n)
	for i, key := range d.keys[baseKey:] {
		object[key] = d.values[base+i]
	}
	if len(object) < n {
		d.duplicates = true
	}
	d.values, d.keys = d.values[:base], d.keys[:baseKey]
	d.depth--
	return object, nil
}

// key reads the text of a key and shares its memory with the same key read before.
func (d *decoder) key() (string, error) {
	raw, plain, err := d.scan()
	if err != nil {
		return "", err
	}
	if !plain {
		return d.unescape(raw)
	}
	if len(raw) > maxCachedKey {
		return string(raw), nil
	}
	hash := uint32(2166136261) // FNV-1a
	for _, c := range raw {
		hash = (hash ^ uint32(c)) * 16777619
	}
	slot := &d.cache[(hash^hash>>16)%keyCacheSize]
	if *slot != string(raw) {
		*slot = string(raw)
	}
	return *slot, nil
}

func (d *decoder) text() (any, error) {
	raw, plain, err := d.scan()
	if err != nil {
		return nil, err
	}
	if !plain {
		return d.unescape(raw)
	}
	return d.share(raw), nil
}

// Small texts share blocks of blockSize bytes; one text kept for long keeps no more than its block.
const (
	blockSize  = 2048
	maxInBlock = 256
)

func (d *decoder) share(raw []byte) string {
	if len(raw) > maxInBlock {
		return string(raw)
	}
	if d.texts.Cap()-d.texts.Len() < len(raw) {
		d.texts.Reset()
		// What is left of the document bounds what its texts can need.
		d.texts.Grow(max(len(raw), min(blockSize, len(d.src)-d.at)))
	}
	from := d.texts.Len()
	d.texts.Write(raw)
	return d.texts.String()[from:]
}

// plainByte is false for what needs a closer look inside a text: quotes, backslashes, controls and non-ASCII.
var plainByte = func() (t [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// scan reads a text in quotes and gives what stands between them; plain is false when it holds escapes.
func (d *decoder) scan() (raw []byte, plain bool, err error) {
	src, open := d.src, d.at
	i, ascii := open+1, true
	plain = true
	for i < len(src) {
		if plainByte[src[i]] {
			i++
			continue
		}
		switch c := src[i]; {
		case c == '"':
			raw = src[open+1 : i]
			if !ascii && !utf8.Valid(raw) {
				return nil, false, d.errorf(open+1+invalidAt(raw), "the text is not valid UTF-8")
			}
			d.at = i + 1
			return raw, plain, nil
		case c == '\\':
			plain = false
			i += 2
		case c < 0x20:
			return nil, false, d.errorf(i, "the control character 0x%02x must be written as an escape", c)
		default:
			ascii = false
			i++
		}
	}
	return nil, false, d.errorf(open, "the text has no closing quote")
}

// invalidAt gives the offset of the first byte that is not UTF-8.
func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(b)
}

// unescape resolves the escapes of a text that scan accepted. Half of a surrogate pair becomes U+FFFD, as in
// encoding/json.
func (d *decoder) unescape(raw []byte) (string, error) {
	end := d.at - 1 // of the closing quote
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); {
		next := i
		for next < len(raw) && raw[next] != '\\' {
			next++
		}
		b.Write(raw[i:next])
		if i = next; i == len(raw) {
			break
		}
		i++ // the backslash; scan saw to it that a byte follows
		switch c := raw[i]; c {
		case '"', '\\', '/':
			b.WriteByte(c)
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'u':
			r := hex4(raw[i+1:])
			if r < 0 {
				return "", d.errorf(end-len(raw)+i-1, "\\u needs four hexadecimal digits")
			}
			i += 4
			if utf16.IsSurrogate(r) {
				var low rune = -1
				if i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
					low = hex4(raw[i+3:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			b.WriteRune(r)
		default:
			return "", d.errorf(end-len(raw)+i-1, "unknown escape \\%s", string(raw[i:i+1]))
		}
		i++
	}
	return b.String(), nil
}

// hex4 reads four hexadecimal digits, -1 where they are not.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

func (d *decoder) number() (any, error) {
	src, start := d.src, d.at
	i := start
	negative := src[i] == '-'
	if negative {
		i++
	}
	digits := i
	var n uint64
	for i < len(src) && '0' <= src[i] && src[i] <= '9' {
		n = n*10 + uint64(src[i]-'0') // of no use beyond 18 digits, where it is not read
		i++
	}
	switch {
	case i == digits:
		return nil, d.errorf(i, "a digit is expected after -, not %s", d.found(i))
	case src[digits] == '0' && i > digits+1:
		return nil, d.errorf(digits, "a number must not begin with 0")
	}
	count, whole := i-digits, true
	if i < len(src) && src[i] == '.' {
		whole = false
		from := i + 1
		for i++; i < len(src) && '0' <= src[i] && src[i] <= '9'; i++ {
		}
		if i == from {
			return nil, d.errorf(i, "a digit is expected after the point, not %s", d.found(i))
		}
	}
	if i < len(src) && (src[i] == 'e' || src[i] == 'E') {
		whole = false
		if i++; i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		from := i
		for ; i < len(src) && '0' <= src[i] && src[i] <= '9'; i++ {
		}
		if i == from {
			return nil, d.errorf(i, "a digit is expected in the exponent, not %s", d.found(i))
		}
	}
	d.at = i
	if !whole {
		f, err := strconv.ParseFloat(string(src[start:i]), 64)
		if err != nil || math.IsInf(f, 0) {
			return nil, d.errorf(start, "the number is too large")
		}
		return f, nil
	}
	if count <= 18 {
		if negative {
			return -int(n), nil
		}
		return int(n), nil
	}
	text := string(src[start:i])
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return int(n), nil
	}
	return json.Number(text), nil
}

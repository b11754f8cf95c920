package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	mark = "[redacted]"
	// shortest is the length in bytes from which a value counts as a secret: a shorter one would blot out ordinary
	// words, and it protects nothing.
	shortest = 6
)

// Redactor replaces secret values by "[redacted]" in whatever is about to be written down, also where they stand in
// base64, hex, URL- or JSON-escaped. It is safe for concurrent use; the zero Redactor knows no value.
type Redactor struct {
	mu    sync.Mutex // for Add
	forms map[string]bool
	match atomic.Pointer[matcher]
}

// Add makes values known. Those shorter than 6 bytes are left alone.
func (r *Redactor) Add(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.forms)
	for _, v := range values {
		if len(v) < shortest || r.forms[v] {
			continue
		}
		if r.forms == nil {
			r.forms = map[string]bool{}
		}
		for _, f := range forms(v) {
			if len(f) >= shortest {
				r.forms[f] = true
			}
		}
	}
	if len(r.forms) != before {
		r.match.Store(newMatcher(r.forms))
	}
}

// Text returns s without secrets.
func (r *Redactor) Text(s string) string {
	m := r.match.Load()
	if m == nil {
		return s
	}
	start, end := find(m, s, 0)
	if start < 0 {
		return s
	}
	var out strings.Builder
	from := 0
	for start >= 0 {
		out.WriteString(s[from:start])
		out.WriteString(mark)
		from = end
		start, end = find(m, s, from)
	}
	out.WriteString(s[from:])
	return out.String()
}

// Bytes returns b without secrets: b itself when there are none, else a copy. JSON stays JSON.
func (r *Redactor) Bytes(b []byte) []byte {
	m := r.match.Load()
	if m == nil {
		return b
	}
	start, end := find(m, b, 0)
	if start < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	from := 0
	for start >= 0 {
		out = append(append(out, b[from:start]...), mark...)
		from = end
		start, end = find(m, b, from)
	}
	return append(out, b[from:]...)
}

// Data returns plain data without secrets, in keys as well: v itself when there are none, else a copy of what
// changed. Numbers are left alone.
func (r *Redactor) Data(v any) any {
	if r.match.Load() == nil {
		return v
	}
	out, _ := r.data(v)
	return out
}

// data returns the very value it was given where nothing changes, so that clean data costs no memory.
func (r *Redactor) data(v any) (out any, changed bool) {
	switch x := v.(type) {
	case string:
		if clean := r.Text(x); clean != x {
			return clean, true
		}
	case json.Number:
		if clean := r.Text(string(x)); clean != string(x) {
			return clean, true
		}
	case []any:
		for i, item := range x {
			clean, dirty := r.data(item)
			if !dirty {
				continue
			}
			list := make([]any, len(x))
			copy(list, x[:i])
			list[i] = clean
			for j := i + 1; j < len(x); j++ {
				list[j], _ = r.data(x[j])
			}
			return list, true
		}
	case map[string]any:
		var copied map[string]any
		for key, item := range x {
			clean, dirty := r.data(item)
			cleanKey := r.Text(key)
			if !dirty && cleanKey == key {
				continue
			}
			if copied == nil {
				copied = maps.Clone(x)
			}
			if cleanKey != key {
				delete(copied, key)
			}
			copied[cleanKey] = clean
		}
		if copied != nil {
			return copied, true
		}
	}
	return v, false
}

// forms are the ways in which a value may turn up.
func forms(v string) []string {
	out := []string{v, hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v)))}
	if trimmed := strings.TrimSpace(v); trimmed != v {
		out = append(out, trimmed)
	}
	out = append(out, []string{url.QueryEscape(v), url.PathEscape(v), percent.ReplaceAllStringFunc(url.QueryEscape(v), strings.ToLower)}...)
	once := escapeJSON(v)
	out = append(out, once...)
	for _, e := range once {
		out = append(out, escapeJSON(e)...) // JSON kept as text inside of JSON
	}
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			out = append(out, base64Core(e, v, before))
		}
	}
	return out
}

var percent = regexp.MustCompile(`%[0-9A-F]{2}`)

func escapeJSON(v string) []string {
	var out []string
	for _, html := range []bool{true, false} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if e.Encode(v) == nil {
			text := strings.TrimSuffix(b.String(), "\n")
			out = append(out, text[1:len(text)-1])
		}
	}
	return out
}

// base64Core is what v becomes in the base64 of a longer text in which it begins `before` bytes (modulo 3) after the
// start: the characters that depend on v alone.
func base64Core(e *base64.Encoding, v string, before int) string {
	encoded := e.EncodeToString(append(make([]byte, before), v...))
	first := []int{0, 2, 3}[before]
	last := len(encoded)
	if (before+len(v))%3 != 0 {
		last--
	}
	return encoded[first:last]
}

// matcher looks for many texts at once (Wu and Manber, "A fast algorithm for multi-pattern searching", 1994). It
// reads the last two bytes of a window of the shortest length and mostly skips the whole window.
type matcher struct {
	shift  [tableSize]uint8
	starts map[uint16][]string // texts by the hash of the end of their first window, longest first
}

const (
	tableBits = 14
	tableSize = 1 << tableBits
	maxShift  = shortest - 1
)

func newMatcher(texts map[string]bool) *matcher {
	m := &matcher{starts: map[uint16][]string{}}
	for i := range m.shift {
		m.shift[i] = maxShift
	}
	for text := range texts {
		for i := 1; i < shortest; i++ {
			h := pair(text[i-1], text[i])
			m.shift[h] = min(m.shift[h], uint8(shortest-1-i)) // at most 5
		}
		h := pair(text[shortest-2], text[shortest-1])
		m.starts[h] = append(m.starts[h], text)
	}
	for _, list := range m.starts {
		sort.Slice(list, func(i, j int) bool { return len(list[i]) > len(list[j]) })
	}
	return m
}

func pair(a, b byte) uint16 { return (uint16(a)<<6 ^ uint16(b)) & (tableSize - 1) }

// find returns the first place at or after from where one of the texts stands, or -1.
func find[T string | []byte](m *matcher, s T, from int) (start, end int) {
	for last := from + shortest - 1; last < len(s); {
		h := pair(s[last-1], s[last])
		if skip := m.shift[h]; skip > 0 {
			last += int(skip)
			continue
		}
		begin := last - shortest + 1
		for _, text := range m.starts[h] {
			if hasAt(s, begin, text) {
				return begin, begin + len(text)
			}
		}
		last++
	}
	return -1, -1
}

func hasAt[T string | []byte](s T, at int, text string) bool {
	if len(s)-at < len(text) {
		return false
	}
	for i := range len(text) {
		if s[at+i] != text[i] {
			return false
		}
	}
	return true
}

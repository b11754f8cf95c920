package value

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// AppendJSON appends v as compact JSON: keys sorted, nothing escaped that need not be, numbers without a needless
// fraction, invalid UTF-8 as U+FFFD. Data that is not plain goes through Normalize first. Infinite numbers, NaN and
// more than MaxDepth levels are errors, and dst is then returned as it was.
func AppendJSON(dst []byte, v any) ([]byte, error) {
	out, err := appendJSON(dst, v, 0)
	if err != nil {
		return dst, fmt.Errorf("write JSON: %w", err)
	}
	return out, nil
}

func appendJSON(dst []byte, v any, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return nil, errDepth
	}
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case float64:
		return appendFloat(dst, v)
	case string:
		return appendQuoted(dst, v), nil
	case json.Number:
		if !validNumber(string(v)) {
			return nil, fmt.Errorf("%q is not a number", string(v))
		}
		return append(dst, v...), nil
	case []any:
		return appendList(dst, v, depth)
	case map[string]any:
		return appendObject(dst, v, depth)
	}
	plain, err := normalize(v, depth)
	if err != nil {
		return nil, err
	}
	return appendJSON(dst, plain, depth)
}

func appendList(dst []byte, list []any, depth int) ([]byte, error) {
	dst = append(dst, '[')
	for i, item := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendJSON(dst, item, depth+1); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return append(dst, ']'), nil
}

var keyStacks = sync.Pool{New: func() any { return new([]string) }}

func appendObject(dst []byte, object map[string]any, depth int) ([]byte, error) {
	stack := keyStacks.Get().(*[]string)
	keys := (*stack)[:0]
	for key := range object {
		keys = append(keys, key)
	}
	defer func() {
		if cap(keys) <= maxKeptStack {
			clear(keys)
			*stack = keys
			keyStacks.Put(stack)
		}
	}()
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, key)
		dst = append(dst, ':')
		var err error
		if dst, err = appendJSON(dst, object[key], depth+1); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return append(dst, '}'), nil
}

// appendFloat writes digits that read back as the value of f, as few as do, with an exponent only for very large and very small
// numbers (as ECMAScript does).
func appendFloat(dst []byte, f float64) ([]byte, error) {
	if err := finite(f); err != nil {
		return nil, err
	}
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64), nil
	}
	if f == 0 {
		f = 0 // without the sign of -0
	}
	if math.Abs(f) >= 1<<53 {
		// Written with the shortest digits it would read back as a whole number that differs: all its digits, then.
		return strconv.AppendFloat(dst, f, 'f', 0, 64), nil
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64), nil
}

func finite(f float64) error {
	switch {
	case math.IsNaN(f):
		return errNaN
	case math.IsInf(f, 0):
		return errInf
	}
	return nil
}

const hexDigits = "0123456789abcdef"

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plainByte[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// validNumber tells whether s is a number in the grammar of JSON.
func validNumber(s string) bool {
	d := decoder{src: []byte(s)}
	if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return false
	}
	_, err := d.number()
	return err == nil && d.at == len(s)
}

// Text renders v for a person or a longer text: nil is empty, a text is itself, a number has no needless fraction,
// a list or an object is compact JSON. What has no JSON, such as NaN, is shown the way Go prints it.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case json.Number:
		return string(v)
	}
	return string(AppendText(nil, v))
}

// AppendText appends what Text gives.
func AppendText(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return dst
	case string:
		return append(dst, v...)
	case json.Number:
		return append(dst, v...)
	}
	out, err := appendJSON(dst, v, 0)
	if err != nil {
		return fmt.Append(dst, v)
	}
	if plain, ok := notPlainText(v); ok {
		return append(dst, plain...)
	}
	return out
}

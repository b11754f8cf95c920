package value

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var (
	errDepth = fmt.Errorf("more than %d levels inside each other", MaxDepth)
	errNaN   = errors.New("NaN is not a number that can be stored (the result of a calculation without an answer)")
	errInf   = errors.New("infinity is not a number that can be stored (such as the result of a division by zero)")
)

// Normalize gives v as plain data: other widths of numbers become int, float64 or json.Number, slices and maps of
// any kind become []any and map[string]any, a time.Time becomes RFC 3339 text, bytes become text, pointers and
// interfaces are followed. What is plain already is copied, so nothing of v is shared but texts. NaN, infinity,
// functions, channels and structs are errors.
func Normalize(v any) (any, error) {
	plain, err := normalize(v, 0)
	if err != nil {
		return nil, fmt.Errorf("normalize: %w", err)
	}
	return plain, nil
}

func normalize(v any, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, errDepth
	}
	switch v := v.(type) {
	case nil, bool, int, string:
		return v, nil
	case float64:
		return v, finite(v)
	case json.Number:
		return normalizeNumber(v)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			plain, err := normalize(item, depth+1)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			list[i] = plain
		}
		return list, nil
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, item := range v {
			plain, err := normalize(item, depth+1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			object[key] = plain
		}
		return object, nil
	case []byte:
		return string(v), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case time.Duration:
		return v.String(), nil
	}
	return normalizeOther(reflect.ValueOf(v), depth)
}

// normalizeNumber keeps the digits of a whole number that fits nothing else.
func normalizeNumber(n json.Number) (any, error) {
	if !validNumber(string(n)) {
		return nil, fmt.Errorf("%q is not a number", string(n))
	}
	v, err := DecodeJSON([]byte(n))
	if err != nil {
		return nil, fmt.Errorf("%q is not a number", string(n))
	}
	return v, nil
}

func normalizeOther(v reflect.Value, depth int) (any, error) {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return int(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n := v.Uint(); n > math.MaxInt64 {
			return json.Number(strconv.FormatUint(n, 10)), nil
		}
		return int(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), finite(v.Float())
	case reflect.String:
		return v.String(), nil
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			plain, err := normalize(v.Index(i).Interface(), depth+1)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			list[i] = plain
		}
		return list, nil
	case reflect.Map:
		object := make(map[string]any, v.Len())
		for entries := v.MapRange(); entries.Next(); {
			key := Text(entries.Key().Interface())
			plain, err := normalize(entries.Value().Interface(), depth+1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			object[key] = plain
		}
		return object, nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil, nil
		}
		return normalize(v.Elem().Interface(), depth+1)
	default:
		return nil, fmt.Errorf("a Go %s is not data", v.Type())
	}
}

// notPlainText gives the text of the scalars that Normalize turns into text, for which Text must not write quotes.
func notPlainText(v any) (string, bool) {
	switch v.(type) {
	case bool, int, float64, []any, map[string]any:
		return "", false
	}
	plain, err := normalize(v, 0)
	if err != nil {
		return "", false
	}
	s, ok := plain.(string)
	return s, ok
}

// Clone copies plain data, so that a change of one does not show in the other.
func Clone(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = Clone(item)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, item := range v {
			object[key] = Clone(item)
		}
		return object
	}
	return v
}

// Equal tells whether two values of plain data are the same. Numbers are compared by their value, whatever their
// Go type; a text is never equal to a number.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	case string:
		b, ok := b.(string)
		return ok && a == b
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !Equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for key, item := range a {
			other, ok := b[key]
			if !ok || !Equal(item, other) {
				return false
			}
		}
		return true
	case int:
		if b, ok := b.(int); ok {
			return a == b
		}
	}
	order, ok := CompareNumbers(a, b)
	return ok && order == 0
}

// CompareNumbers gives -1, 0 or 1 for two numbers of plain data; ok is false when one of them is no number, or NaN.
// Whole numbers are compared exactly, also with each other's Go types.
func CompareNumbers(a, b any) (order int, ok bool) {
	switch a := a.(type) {
	case int:
		switch b := b.(type) {
		case int:
			return compare(a, b), true
		case float64:
			return compareIntFloat(a, b)
		}
	case float64:
		switch b := b.(type) {
		case int:
			order, ok = compareIntFloat(b, a)
			return -order, ok
		case float64:
			return compare(a, b), a == a && b == b
		}
	}
	return compareDigits(a, b)
}

func compare[T int | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareIntFloat(a int, b float64) (int, bool) {
	switch {
	case b != b:
		return 0, false
	case b >= 1<<63:
		return -1, true
	case b < -1<<63:
		return 1, true
	}
	whole := math.Trunc(b)
	if order := compare(a, int(whole)); order != 0 {
		return order, true
	}
	return compare(whole, b), true
}

// compareDigits compares where at least one side is a json.Number, which by its making lies outside int64.
func compareDigits(a, b any) (int, bool) {
	an, aok := digits(a)
	bn, bok := digits(b)
	if !aok || !bok {
		return 0, false
	}
	aneg, bneg := strings.HasPrefix(an, "-"), strings.HasPrefix(bn, "-")
	if aneg != bneg {
		if aneg {
			return -1, true
		}
		return 1, true
	}
	order := compare(len(an), len(bn))
	if order == 0 {
		order = strings.Compare(an, bn)
	}
	if aneg {
		order = -order
	}
	return order, true
}

// digits gives the whole part of a number with all its digits.
func digits(v any) (string, bool) {
	switch v := v.(type) {
	case json.Number:
		return string(v), !strings.ContainsAny(string(v), ".eE") && v != ""
	case int:
		return strconv.Itoa(v), true
	case float64:
		if finite(v) != nil {
			return "", false
		}
		return strconv.FormatFloat(math.Trunc(v), 'f', 0, 64), true
	}
	return "", false
}

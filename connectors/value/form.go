package value

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxFormFields is how many fields a form may have.
const maxFormFields = 10_000

// DecodeForm reads the text of a form or a query (application/x-www-form-urlencoded). A key that is repeated has a
// list of its values; all values are texts. Errors are a *SyntaxError.
func DecodeForm(src []byte) (map[string]any, error) {
	fields := map[string]any{}
	rest, at, n := string(src), 0, 0
	for rest != "" {
		pair, after, _ := strings.Cut(rest, "&")
		if pair != "" {
			if n++; n > maxFormFields {
				return nil, errorAt("form", src, at, fmt.Sprintf("more than %d fields", maxFormFields))
			}
			key, text, _ := strings.Cut(pair, "=")
			key, err := formText(key)
			if err == nil {
				text, err = formText(text)
			}
			if err != nil {
				return nil, errorAt("form", src, at, err.Error())
			}
			addField(fields, key, text)
		}
		at += len(rest) - len(after)
		rest = after
	}
	return fields, nil
}

// addField adds a field as DecodeForm does: repeated ones make a list.
func addField(fields map[string]any, key, text string) {
	switch before := fields[key].(type) {
	case nil:
		fields[key] = text
	case []any:
		fields[key] = append(before, text)
	default:
		fields[key] = []any{before, text}
	}
}

func formText(raw string) (string, error) {
	text, err := url.QueryUnescape(raw)
	if err != nil {
		return "", fmt.Errorf("a %% must be followed by two hexadecimal digits")
	}
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("the field is not valid UTF-8")
	}
	return text, nil
}

// AppendForm appends the fields as a form or a query, in the order of their keys. A list repeats its key; anything
// else is written as Text renders it.
func AppendForm(dst []byte, fields map[string]any) ([]byte, error) {
	first := true
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		list, ok := fields[key].([]any)
		if !ok {
			list = []any{fields[key]}
		}
		for _, item := range list {
			if _, err := Normalize(item); err != nil {
				return dst, fmt.Errorf("write form: %s: %w", key, err)
			}
			if !first {
				dst = append(dst, '&')
			}
			first = false
			dst = append(dst, url.QueryEscape(key)...)
			dst = append(dst, '=')
			dst = append(dst, url.QueryEscape(Text(item))...)
		}
	}
	return dst, nil
}

package expression

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Label makes words for people of a path: trigger.body.customer_name is "Customer name".
func Label(path string) string {
	last := strings.TrimRight(path, `"]`)
	if i := strings.LastIndexAny(last, `.["`); i >= 0 {
		last = last[i+1:]
	}
	var words strings.Builder
	before := rune(0)
	for _, c := range last {
		switch {
		case c == '_' || c == '-':
			c = ' '
		case unicode.IsUpper(c) && unicode.IsLower(before):
			words.WriteRune(' ')
			c = unicode.ToLower(c)
		}
		words.WriteRune(c)
		before = c
	}
	text := strings.TrimSpace(words.String())
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return path
	}
	if first >= '0' && first <= '9' { // of a list
		if i := strings.LastIndexByte(path, '['); i > 0 {
			return Label(path[:i]) + " " + text
		}
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// rowWords are the tests as a sentence says them; %s is the value.
var rowWords = map[string]string{
	"text is": "is %s", "text is_not": "is not %s", "text contains": "contains %s", "text not_contains": "does not contain %s",
	"text starts_with": "starts with %s", "text ends_with": "ends with %s", "text one_of": "is one of %s", "text not_one_of": "is none of %s",
	"text matches": "matches %s", "text has_value": "has any value", "text is_empty": "is empty",
	"number is": "is %s", "number is_not": "is not %s", "number greater": "is greater than %s", "number greater_or_equal": "is at least %s",
	"number less": "is less than %s", "number less_or_equal": "is at most %s", "number one_of": "is one of %s", "number not_one_of": "is none of %s",
	"number between": "is between %s and %s", "date before": "is before %s", "date after": "is after %s", "date within_last": "is within the last %s",
	"boolean is": "is %s", "list contains": "contains %s", "list is_empty": "is empty", "list has_more_than": "has more than %s",
}

// Text is the row as a part of a sentence: Amount is greater than 200.
func (r *Row) Text() string {
	if r.Group != nil {
		return "(" + r.Group.Text() + ")"
	}
	parts := strings.Split(rowWords[r.Type+" "+r.Test], "%s")
	text := Label(r.Field) + " " + parts[0]
	for i, part := range parts[1:] {
		text += [2]string{r.ValueText(), rowValue(r.To, r.ToPath)}[i] + part
	}
	return text
}

// ValueText is the value of the row in words.
func (r *Row) ValueText() string { return rowValue(r.Value, r.Path) }

func rowValue(v any, path string) string {
	if path != "" {
		return Label(path)
	}
	switch v := v.(type) {
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	case []any:
		texts := make([]string, len(v))
		for i, item := range v {
			texts[i] = value.Text(item)
		}
		return strings.Join(texts, ", ")
	}
	return value.Text(v)
}

// Text is the condition as a part of a sentence.
func (r *Rows) Text() string {
	texts := make([]string, len(r.Items))
	for i := range r.Items {
		texts[i] = r.Items[i].Text()
	}
	return strings.Join(texts, map[string]string{"all": " and ", "any": " or "}[r.Match])
}

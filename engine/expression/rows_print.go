package expression

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Expr writes the rows as an expression. The error is an *Error that says which row is wrong.
func (r *Rows) Expr() (string, error) {
	left := maxRows
	text, _, err := r.print("", 0, &left, false)
	if err != nil {
		return "", &Error{Message: err.Error()}
	}
	if _, err := parse(text); err != nil {
		return "", report(err, text, 1, 1)
	}
	return text, nil
}

// print writes a group; several reports whether an operator joins its parts. The paths of trusted rows were just read.
func (r *Rows) print(place string, depth int, left *int, trusted bool) (text string, several bool, err error) {
	if depth > maxRowDepth {
		return "", false, fmt.Errorf("the groups are nested more than %d deep", maxRowDepth)
	}
	if len(r.Items) == 0 {
		return "", false, errors.New(strings.TrimSpace("the group " + place + "is empty"))
	}
	operator := map[string]string{"all": " and ", "any": " or "}[r.Match]
	if operator == "" {
		return "", false, fmt.Errorf("match is all or any, not %q", r.Match)
	}
	parts := make([]string, len(r.Items))
	for i := range r.Items {
		row, at := &r.Items[i], fmt.Sprintf("%s%d", place, i+1)
		if *left--; *left < 0 {
			return "", false, fmt.Errorf("a condition has at most %d rows", maxRows)
		}
		var joined bool
		if row.Group != nil {
			parts[i], joined, err = row.Group.print(at+".", depth+1, left, trusted)
			joined = joined && len(r.Items) > 1
		} else {
			parts[i], err = row.print(trusted)
			joined = row.Test == "between" && r.Match == "any" && len(r.Items) > 1
			if err != nil {
				err = fmt.Errorf("condition %s: %w", at, err)
			}
			several = several || row.Test == "between"
		}
		if err != nil {
			return "", false, err
		}
		if joined {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, operator), several || len(parts) > 1, nil
}

// print writes one test.
func (r *Row) print(trusted bool) (string, error) {
	if r.Field == "" {
		return "", errors.New("it has no field")
	}
	field, err := printPath(r.Field, trusted)
	if err != nil {
		return "", err
	}
	if !slices.Contains(rowTests[r.Type], r.Test) {
		if rowTests[r.Type] == nil {
			return "", fmt.Errorf("the type is text, number, date, boolean or list, not %q", r.Type)
		}
		return "", fmt.Errorf("the tests of a %s are %s, not %q", r.Type, strings.Join(rowTests[r.Type], ", "), r.Test)
	}
	switch r.Test {
	case "has_value":
		return "(" + field + ` ?? "") != ""`, nil
	case "is_empty":
		if r.Type == "list" {
			return "len(" + field + " ?? []) == 0", nil
		}
		return "(" + field + ` ?? "") == ""`, nil
	case "has_more_than":
		n, ok := number(r.Value).(int)
		if !ok || n < 0 {
			return "", errors.New("the value is a whole number, 0 or more")
		}
		return fmt.Sprintf("len(%s ?? []) > %d", field, n), nil
	case "one_of", "not_one_of":
		return r.printOneOf(field)
	}
	val, err := r.operand(r.Value, r.Path, trusted)
	if err != nil {
		return "", err
	}
	switch r.Type {
	case "date":
		if r.Test == "within_last" {
			if r.Path != "" {
				return "", errors.New("the value is a duration such as 24h")
			}
			return "date(" + field + ") > now() - duration(" + val + ")", nil
		}
		return "date(" + field + ") " + rowOperators[r.Test] + " date(" + val + ")", nil
	case "list":
		if r.Empty {
			field = "(" + field + " ?? [])"
		}
		return val + " in " + field, nil
	}
	field = r.subject(field)
	switch r.Test {
	case "between":
		to, err := r.operand(r.To, r.ToPath, trusted)
		if err != nil {
			return "", err
		}
		return field + " >= " + val + " and " + field + " <= " + to, nil
	case "not_contains":
		return "not (" + field + " contains " + val + ")", nil
	}
	return field + " " + rowOperators[r.Test] + " " + val, nil
}

// subject is the field as it is compared.
func (r *Row) subject(field string) string {
	otherwise := map[string]string{"text": `""`, "number": "0", "boolean": "false"}[r.Type]
	switch {
	case r.Empty && r.lowers():
		return "lower(" + field + " ?? " + otherwise + ")"
	case r.Empty:
		return "(" + field + " ?? " + otherwise + ")"
	case r.lowers():
		return "lower(" + field + ")"
	}
	return field
}

func (r *Row) lowers() bool { return r.IgnoreCase && r.Type == "text" && r.Test != "matches" }

func (r *Row) printOneOf(field string) (string, error) {
	list, ok := r.Value.([]any)
	if !ok || len(list) == 0 {
		return "", errors.New("the value is a list with at least one entry")
	}
	texts := make([]string, len(list))
	for i, v := range list {
		var err error
		if texts[i], err = r.literal(v); err != nil {
			return "", err
		}
	}
	text := r.subject(field) + " in [" + strings.Join(texts, ", ") + "]"
	if r.Test == "not_one_of" {
		text = "not (" + text + ")"
	}
	return text, nil
}

// operand writes a literal or a path.
func (r *Row) operand(v any, path string, trusted bool) (string, error) {
	if path == "" {
		return r.literal(v)
	}
	if r.Test == "matches" {
		return "", errors.New("the pattern is a text")
	}
	text, err := printPath(path, trusted)
	if err == nil && r.lowers() {
		text = "lower(" + text + ")"
	}
	return text, err
}

func (r *Row) literal(v any) (string, error) {
	switch v := number(v).(type) {
	case string:
		if r.Type == "number" || r.Type == "boolean" {
			return "", fmt.Errorf("the value is a %s, not a text", r.Type)
		}
		if r.lowers() {
			v = strings.ToLower(v)
		}
		quoted, err := value.AppendJSON(nil, v)
		return string(quoted), err
	case bool:
		if r.Type != "boolean" {
			return "", fmt.Errorf("the value is a %s, not true or false", r.Type)
		}
		return strconv.FormatBool(v), nil
	case int:
		if r.Type == "number" || r.Type == "list" {
			return strconv.Itoa(v), nil
		}
	case float64:
		if r.Type == "number" || r.Type == "list" {
			format := byte('f')
			if math.Abs(v) >= 1<<53 { // as digits it would be a whole number that is too large
				format = 'e'
			}
			return strconv.FormatFloat(v, format, -1, 64), nil
		}
	}
	if v == nil {
		return "", errors.New("it has no value")
	}
	return "", fmt.Errorf("the value is a %s", r.Type)
}

// number makes one type of the numbers that JSON readers give.
func number(v any) any {
	switch v := v.(type) {
	case float64:
		return oneNumber(v)
	case int64:
		return int(v)
	}
	return v
}

// printPath checks that a text only names data.
func printPath(text string, trusted bool) (string, error) {
	if trusted {
		return text, nil
	}
	tree, err := parse(text)
	if err != nil || !isPath(tree) {
		return "", fmt.Errorf("%q is no path of data, such as trigger.body.total", shortText(text))
	}
	return tree.String(), nil
}

func shortText(text string) string {
	if len(text) > 80 {
		return cut(text, 0, 80) + "…"
	}
	return text
}

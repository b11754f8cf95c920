package expression

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Rows is a condition as a form shows it: tests of which all or any must hold. It is a view of an expression: what it
// cannot say stays an expression. A form edits one level of groups; deeper ones are shown only.
type Rows struct {
	Match string `json:"match" enum:"all,any" doc:"Whether all items must hold, or any."`
	Items []Row  `json:"items" nullable:"false"`
}

// Row is one test, or a group of them. A value is a literal or, with a path, data of the event.
type Row struct {
	Field      string `json:"field,omitempty" doc:"What is tested, such as trigger.body.amount."`
	Type       string `json:"type,omitempty" enum:"text,number,date,boolean,list"`
	Test       string `json:"test,omitempty" doc:"text: is is_not contains not_contains starts_with ends_with one_of not_one_of matches has_value is_empty; number: is is_not greater greater_or_equal less less_or_equal between one_of not_one_of; date: before after within_last; boolean: is; list: contains is_empty has_more_than."`
	Value      any    `json:"value,omitempty" doc:"A text, a number, true or false; a list of them for one_of; a date or a duration as text."`
	Path       string `json:"path,omitempty" doc:"Data in the place of value, such as steps.order.limit."`
	To         any    `json:"to,omitempty" doc:"The upper end of between."`
	ToPath     string `json:"to_path,omitempty" doc:"Data in the place of to."`
	IgnoreCase bool   `json:"ignore_case,omitempty" doc:"Texts are compared in small letters."`
	Empty      bool   `json:"missing_is_empty,omitempty" doc:"A missing field counts as empty; else ordering it fails the step."`
	Group      *Rows  `json:"group,omitempty" doc:"A group; then nothing else is set."`
}

// Tests of rows by the type of the field.
var rowTests = map[string][]string{
	"text":    {"is", "is_not", "contains", "not_contains", "starts_with", "ends_with", "one_of", "not_one_of", "matches", "has_value", "is_empty"},
	"number":  {"is", "is_not", "greater", "greater_or_equal", "less", "less_or_equal", "between", "one_of", "not_one_of"},
	"date":    {"before", "after", "within_last"},
	"boolean": {"is"},
	"list":    {"contains", "is_empty", "has_more_than"},
}

// rowOperators are the tests that are one operator between the field and the value.
var rowOperators = map[string]string{
	"is": "==", "is_not": "!=", "contains": "contains", "starts_with": "startsWith", "ends_with": "endsWith", "matches": "matches",
	"greater": ">", "greater_or_equal": ">=", "less": "<", "less_or_equal": "<=", "before": "<", "after": ">",
}

const (
	maxRows     = 100 // of one condition, in all groups
	maxRowDepth = 8
)

// RowsOf reads a condition as rows. nil without an error: it says something that rows cannot. The expression that
// [Rows.Expr] makes of the rows has the same tree, so showing rows never changes what a condition means.
func RowsOf(src string) (*Rows, error) {
	tree, err := parse(src)
	if err != nil {
		return nil, report(err, src, 1, 1)
	}
	oneSpelling(tree)
	item, ok := rowOf(tree, 0)
	if !ok {
		return nil, nil
	}
	rows := item.Group
	if rows == nil {
		rows = &Rows{Match: "all", Items: []Row{item}}
	}
	left := maxRows
	again, _, err := rows.print("", 0, &left, true)
	if err != nil {
		return nil, nil
	}
	printed, err := parse(again)
	if err != nil {
		return nil, nil
	}
	oneSpelling(printed)
	if printed.String() != tree.String() {
		return nil, nil
	}
	return rows, nil
}

// oneSpelling writes && as and, || as or, ! as not.
func oneSpelling(tree ast.Node) {
	ast.Walk(&tree, spelling{})
}

type spelling struct{}

func (spelling) Visit(n *ast.Node) {
	switch n := (*n).(type) {
	case *ast.BinaryNode:
		switch n.Operator {
		case "&&":
			n.Operator = "and"
		case "||":
			n.Operator = "or"
		}
	case *ast.UnaryNode:
		if n.Operator == "!" {
			n.Operator = "not"
		}
	}
}

// rowOf reads a part of a condition.
func rowOf(n ast.Node, depth int) (Row, bool) {
	if depth > maxRowDepth {
		return Row{}, false
	}
	b, ok := n.(*ast.BinaryNode)
	if !ok || b.Operator != "and" && b.Operator != "or" {
		return testOf(n)
	}
	group := &Rows{Match: "all"}
	if b.Operator == "or" {
		group.Match = "any"
	}
	for _, part := range joinedParts(b, b.Operator) {
		row, ok := rowOf(part, depth+1)
		if !ok || len(group.Items) == maxRows {
			return Row{}, false
		}
		if last := len(group.Items) - 1; b.Operator == "and" && last >= 0 && isBetween(&group.Items[last], &row) {
			low := &group.Items[last]
			low.Test, low.To, low.ToPath = "between", row.Value, row.Path
			continue
		}
		group.Items = append(group.Items, row)
	}
	if len(group.Items) == 1 {
		return group.Items[0], true
	}
	return Row{Group: group}, true
}

// joinedParts takes a chain of one operator apart.
func joinedParts(n ast.Node, operator string) []ast.Node {
	if b, ok := n.(*ast.BinaryNode); ok && b.Operator == operator {
		return append(joinedParts(b.Left, operator), joinedParts(b.Right, operator)...)
	}
	return []ast.Node{n}
}

func isBetween(low, high *Row) bool {
	return low.Group == nil && high.Group == nil && low.Type == "number" && low.Test == "greater_or_equal" &&
		high.Type == "number" && high.Test == "less_or_equal" && low.Field == high.Field && low.Empty == high.Empty
}

// testOf reads one test.
func testOf(n ast.Node) (Row, bool) {
	if not, ok := n.(*ast.UnaryNode); ok && not.Operator == "not" {
		row, ok := testOf(not.Node)
		if !ok || row.Type == "list" || row.Test != "contains" && row.Test != "one_of" {
			return Row{}, false
		}
		row.Test = "not_" + row.Test
		return row, true
	}
	b, ok := n.(*ast.BinaryNode)
	if !ok {
		return Row{}, false
	}
	if b.Operator == "in" {
		return inOf(b)
	}
	if row, ok := dateOf(b); ok {
		return row, true
	}
	if row, ok := lengthOf(b); ok {
		return row, true
	}
	row := Row{}
	field, lowered := lowerOf(b.Left)
	if !row.readField(field) {
		return Row{}, false
	}
	row.IgnoreCase = lowered
	literal, isLiteral := literalOf(b.Right)
	if isLiteral && row.Empty && !lowered && row.Type == "text" && literal == "" {
		row.Empty = false
		switch b.Operator {
		case "==":
			row.Test = "is_empty"
			return row, true
		case "!=":
			row.Test = "has_value"
			return row, true
		}
		return Row{}, false
	}
	kind := "text"
	switch {
	case isLiteral:
		if lowered && !isLower(literal) {
			return Row{}, false
		}
		row.Value = literal
		switch literal.(type) {
		case bool:
			kind = "boolean"
		case int, float64:
			kind = "number"
		}
	default:
		right, also := lowerOf(b.Right)
		path, ok := pathOf(right)
		if !ok || also != lowered {
			return Row{}, false
		}
		row.Path = path
		if strings.ContainsAny(b.Operator, "<>") {
			kind = "number"
		} else if row.Type != "" {
			kind = row.Type
		}
	}
	if row.Type != "" && row.Type != kind || lowered && kind != "text" {
		return Row{}, false
	}
	row.Type = kind
	for test, operator := range rowOperators {
		if operator == b.Operator && test != "before" && test != "after" && slices.Contains(rowTests[kind], test) {
			row.Test = test
			return row, row.Test != "matches" || isLiteral && !lowered
		}
	}
	return Row{}, false
}

// inOf reads one_of, and contains of a list.
func inOf(b *ast.BinaryNode) (Row, bool) {
	row := Row{}
	if list, ok := b.Right.(*ast.ArrayNode); ok {
		field, lowered := lowerOf(b.Left)
		if !row.readField(field) || len(list.Nodes) == 0 {
			return Row{}, false
		}
		row.Test, row.IgnoreCase = "one_of", lowered
		values := make([]any, len(list.Nodes))
		kind := ""
		for i, item := range list.Nodes {
			literal, ok := literalOf(item)
			if !ok || lowered && !isLower(literal) {
				return Row{}, false
			}
			was := kind
			switch values[i] = literal; literal.(type) {
			case string:
				kind = "text"
			case int, float64:
				kind = "number"
			default:
				return Row{}, false
			}
			if i > 0 && kind != was {
				return Row{}, false
			}
		}
		if row.Type != "" && row.Type != kind || lowered && kind != "text" {
			return Row{}, false
		}
		row.Type, row.Value = kind, values
		return row, true
	}
	if !row.readField(b.Right) || row.Type != "" && row.Type != "list" {
		return Row{}, false
	}
	row.Type, row.Test = "list", "contains"
	if literal, ok := literalOf(b.Left); ok {
		if _, ok := literal.(bool); ok {
			return Row{}, false
		}
		row.Value = literal
		return row, true
	}
	path, ok := pathOf(b.Left)
	row.Path = path
	return row, ok
}

// dateOf reads date(a) < date("…") and date(a) > now() - duration("…").
func dateOf(b *ast.BinaryNode) (Row, bool) {
	field, ok := callOf(b.Left, "date")
	if !ok || b.Operator != "<" && b.Operator != ">" {
		return Row{}, false
	}
	row := Row{Type: "date", Test: "before"}
	if b.Operator == ">" {
		row.Test = "after"
	}
	path, ok := pathOf(field)
	if !ok {
		return Row{}, false
	}
	row.Field = path
	if other, ok := callOf(b.Right, "date"); ok {
		if literal, ok := literalOf(other); ok {
			text, ok := literal.(string)
			row.Value = text
			return row, ok
		}
		row.Path, ok = pathOf(other)
		return row, ok
	}
	ago, ok := b.Right.(*ast.BinaryNode)
	if !ok || ago.Operator != "-" || b.Operator != ">" || ago.Left.String() != "now()" {
		return Row{}, false
	}
	span, ok := callOf(ago.Right, "duration")
	if !ok {
		return Row{}, false
	}
	literal, ok := literalOf(span)
	if !ok {
		return Row{}, false
	}
	text, ok := literal.(string)
	row.Test, row.Value = "within_last", text
	return row, ok
}

// lengthOf reads len(a ?? []) == 0 and len(a ?? []) > n.
func lengthOf(b *ast.BinaryNode) (Row, bool) {
	list, ok := callOf(b.Left, "len")
	if !ok {
		return Row{}, false
	}
	row := Row{}
	if !row.readField(list) || row.Type != "list" {
		return Row{}, false
	}
	row.Empty = false
	count, ok := literalOf(b.Right)
	n, whole := count.(int)
	switch {
	case !ok || !whole || n < 0:
		return Row{}, false
	case b.Operator == "==" && n == 0:
		row.Test = "is_empty"
		return row, true
	case b.Operator == ">":
		row.Test, row.Value = "has_more_than", n
		return row, true
	}
	return Row{}, false
}

// readField reads what is tested: a path, or a path with what a missing one counts as.
func (r *Row) readField(n ast.Node) bool {
	if b, ok := n.(*ast.BinaryNode); ok && b.Operator == "??" {
		switch otherwise := b.Right.String(); otherwise {
		case `""`:
			r.Type = "text"
		case "0":
			r.Type = "number"
		case "false":
			r.Type = "boolean"
		case "[]":
			r.Type = "list"
		default:
			return false
		}
		r.Empty = true
		n = b.Left
	}
	path, ok := pathOf(n)
	r.Field = path
	return ok
}

// pathOf is the text of what only names data.
func pathOf(n ast.Node) (string, bool) {
	if n == nil || !isPath(n) {
		return "", false
	}
	return n.String(), true
}

func lowerOf(n ast.Node) (ast.Node, bool) {
	if inner, ok := callOf(n, "lower"); ok {
		return inner, true
	}
	return n, false
}

// callOf is the argument of a call with one.
func callOf(n ast.Node, name string) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.BuiltinNode:
		if n.Name == name && len(n.Arguments) == 1 {
			return n.Arguments[0], true
		}
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok && callee.Value == name && len(n.Arguments) == 1 {
			return n.Arguments[0], true
		}
	}
	return nil, false
}

// literalOf is a text, a number, true or false.
func literalOf(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.FloatNode:
		return oneNumber(n.Value), true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.UnaryNode:
		if n.Operator == "-" {
			switch v, _ := literalOf(n.Node); v := v.(type) {
			case int:
				return -v, v > 0
			case float64:
				return -v, v > 0
			}
		}
	}
	return nil, false
}

// oneNumber makes whole numbers of one type.
func oneNumber(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int(f)
	}
	return f
}

func isLower(v any) bool {
	text, ok := v.(string)
	return ok && strings.ToLower(text) == text
}

// Depth is how many groups stand inside each other; a form edits up to one.
func (r *Rows) Depth() int {
	deepest := 0
	for i := range r.Items {
		if g := r.Items[i].Group; g != nil {
			deepest = max(deepest, 1+g.Depth())
		}
	}
	return deepest
}

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

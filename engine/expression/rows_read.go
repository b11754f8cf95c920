package expression

import (
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
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

package expression

import (
	"strconv"

	"github.com/expr-lang/expr/ast"
)

// name gives the words by which a person knows a part of an expression, such as trigger.body.total; empty for what
// has no short name.
func name(n ast.Node) string {
	switch n := n.(type) {
	case *ast.IdentifierNode, *ast.PointerNode, *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.NilNode, *ast.BoolNode:
		return n.String()
	case *ast.MemberNode:
		if name(n.Node) != "" && name(n.Property) != "" {
			return n.String()
		}
	case *ast.ChainNode:
		return name(n.Node)
	case *ast.BuiltinNode:
		return n.Name + "(…)"
	case *ast.CallNode:
		if f := name(n.Callee); f != "" {
			return f + "(…)"
		}
	}
	return ""
}

// kind names the type of a value for a person.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "missing"
	case bool:
		return "true or false"
	case string:
		return "text"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	if isTime(v) {
		return "a date"
	}
	if isDuration(v) {
		return "a duration"
	}
	return "a number"
}

// closest gives the candidate that a word was probably meant to be, or "".
func closest(word string, candidates []string) string {
	best, bestAt := "", 1+(len(word)+1)/3
	for _, c := range candidates {
		if d := distance(word, c); d < bestAt {
			best, bestAt = c, d
		}
	}
	return best
}

// distance counts the letters to change, add, drop or swap to make b of a; case costs nothing.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var rows [3][66]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if lower(a[i-1]) == lower(b[j-1]) {
				change = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+change)
			if i > 1 && j > 1 && lower(a[i-1]) == lower(b[j-2]) && lower(a[i-2]) == lower(b[j-1]) {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// quote shows a short text as it is, and names the type of anything else.
func quote(v any) string {
	if s, ok := v.(string); ok {
		if len(s) > 40 {
			s = cut(s, 0, 40) + "…"
		}
		return strconv.Quote(s)
	}
	return kind(v)
}

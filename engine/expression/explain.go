package expression

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Bounds on an explanation, which is kept with the step.
const (
	maxComparisons = 20
	maxShown       = 1 << 10 // bytes of a value as JSON; a longer one is cut
)

// condition is a part of a condition: a comparison, a value that is itself the condition, or several of them joined
// by and, or and not.
type condition struct {
	op          string // and, or, not; the operator of a comparison; empty: the value itself
	parts       []*condition
	source      string
	left, right op
	test        operation
	site        *site
	slot        int // of the variable that must be set before; with op let
}

// Explain gives the comparisons that decided a condition, with the values that they saw, in the order in which they
// were made: `and` ends at the first false one and `or` at the first true one. Values longer than 1 KiB of JSON are
// cut, and at most 20 comparisons are given. A comparison that fails, for example because a field is missing, is the
// last one and has the result false; the error itself comes from Bool.
func (p *Program) Explain(ctx context.Context, env *Env) (list []Comparison) {
	code := p.compiled()
	code.explainOnce.Do(func() {
		c := &compiler{src: p.source, roots: p.roots}
		tree, err := parse(p.source)
		if err != nil {
			return // Compile accepted the same text, so this does not happen
		}
		root, err := c.condition(tree, p.source, 0)
		if err != nil {
			return
		}
		code.explainer, code.explainSlots = root, c.slots
	})
	if code.explainer == nil {
		return nil
	}
	m := newMachine(ctx, env)
	defer m.release()
	m.reserve(code.explainSlots)
	e := &explanation{m: m}
	defer func() {
		if recover() != nil { // as in eval; Bool gives the error
			list = e.list
		}
	}()
	e.run(code.explainer)
	return e.list
}

// elsewhere is the offset of a text that is not a part of the source, but drawn again from the tree.
const elsewhere = 1 << 30

// condition compiles the parts of a condition. Its text is source, which begins at an offset (in characters) of the
// whole expression.
func (c *compiler) condition(n ast.Node, source string, offset int) (*condition, error) {
	source, offset = unwrap(source, offset)
	switch n := n.(type) {
	case *ast.ChainNode:
		return c.condition(n.Node, source, offset)
	case *ast.VariableDeclaratorNode:
		v, err := c.compile(n.Value)
		if err != nil {
			return nil, err
		}
		slot := c.declare(n.Name)
		rest, err := c.condition(n.Expr, n.Expr.String(), elsewhere)
		if err != nil {
			return nil, err
		}
		return &condition{op: "let", left: v, slot: slot, parts: []*condition{rest}}, nil
	case *ast.UnaryNode:
		if n.Operator != "not" && n.Operator != "!" {
			break
		}
		text, start := n.Node.String(), elsewhere
		if rest, ok := strings.CutPrefix(source, n.Operator); ok {
			text, start = rest, offset+len(n.Operator)
		}
		inner, err := c.condition(n.Node, text, start)
		if err != nil {
			return nil, err
		}
		return &condition{op: "not", parts: []*condition{inner}}, nil
	case *ast.BinaryNode:
		switch n.Operator {
		case "and", "&&", "or", "||":
			return c.joined(n, source, offset)
		case "==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith", "matches":
			return c.comparison(n, source)
		}
	}
	v, err := c.compile(n)
	if err != nil {
		return nil, err
	}
	return &condition{left: v, source: source}, nil
}

func (c *compiler) joined(n *ast.BinaryNode, source string, offset int) (*condition, error) {
	left, right, leftAt, rightAt := n.Left.String(), n.Right.String(), elsewhere, elsewhere
	// The place of the operator cuts the text in two, unless the grammar made the operator up, as in 1 < x < 5.
	if i := byteOffset(source, at(n)-offset); i >= 0 && strings.HasPrefix(source[i:], n.Operator) {
		left, leftAt = source[:i], offset
		right, rightAt = source[i+len(n.Operator):], at(n)+len(n.Operator)
	}
	l, err := c.condition(n.Left, left, leftAt)
	if err != nil {
		return nil, err
	}
	r, err := c.condition(n.Right, right, rightAt)
	if err != nil {
		return nil, err
	}
	joint := "and"
	if n.Operator == "or" || n.Operator == "||" {
		joint = "or"
	}
	return &condition{op: joint, parts: []*condition{l, r}}, nil
}

func (c *compiler) comparison(n *ast.BinaryNode, source string) (*condition, error) {
	left, err := c.compile(n.Left)
	if err != nil {
		return nil, err
	}
	right, err := c.compile(n.Right)
	if err != nil {
		return nil, err
	}
	return &condition{
		op: n.Operator, source: source, left: left, right: right, test: binaries[n.Operator],
		site: c.site(n, n.Operator, n.Left, n.Right),
	}, nil
}

// byteOffset gives the offset in bytes of a character, or -1.
func byteOffset(s string, chars int) int {
	if chars < 0 {
		return -1
	}
	for i := range s {
		if chars == 0 {
			return i
		}
		chars--
	}
	return -1
}

// unwrap takes white space and brackets off that stand around the whole text.
func unwrap(source string, offset int) (string, int) {
	for {
		trimmed := strings.TrimLeft(source, " \t\r\n")
		offset += len(source) - len(trimmed)
		source = strings.TrimRight(trimmed, " \t\r\n")
		if !wrapped(source) {
			return source, offset
		}
		source, offset = source[1:len(source)-1], offset+1
	}
}

// wrapped tells whether the bracket that a text begins with is closed by its last character.
func wrapped(source string) bool {
	if !strings.HasPrefix(source, "(") || !strings.HasSuffix(source, ")") {
		return false
	}
	depth := 0
	for s := (scanner{src: source}); ; {
		r, kind := s.next()
		switch {
		case kind == scanEnd:
			return false
		case kind == scanCode && r == '(':
			depth++
		case kind == scanCode && r == ')':
			if depth--; depth == 0 {
				return s.at == len(source)
			}
		}
	}
}

// explanation is one run of Explain.
type explanation struct {
	m    *machine
	list []Comparison
}

// run evaluates a condition as Bool does, and notes its comparisons; ok is false after an error.
func (e *explanation) run(c *condition) (result, ok bool) {
	switch c.op {
	case "let":
		v, err := c.left(e.m)
		if err != nil {
			return false, false
		}
		e.m.vars[c.slot] = v
		return e.run(c.parts[0])
	case "not":
		result, ok = e.run(c.parts[0])
		return !result, ok
	case "and", "or":
		result, ok = e.run(c.parts[0])
		if !ok || result == (c.op == "or") {
			return result, ok
		}
		return e.run(c.parts[1])
	case "":
		v, err := c.left(e.m)
		result, isBool := v.(bool)
		e.note(Comparison{Source: c.source, Left: e.shown(v), Result: result})
		return result, err == nil && (isBool || v == nil)
	}
	left, err := c.left(e.m)
	if err != nil {
		e.note(Comparison{Source: c.source, Op: c.op})
		return false, false
	}
	right, err := c.right(e.m)
	if err != nil {
		e.note(Comparison{Source: c.source, Left: e.shown(left), Op: c.op})
		return false, false
	}
	v, err := c.test(e.m, c.site, left, right)
	result, _ = v.(bool)
	e.note(Comparison{Source: c.source, Left: e.shown(left), Op: c.op, Right: e.shown(right), Result: result})
	return result, err == nil
}

func (e *explanation) note(c Comparison) {
	if len(e.list) < maxComparisons {
		e.list = append(e.list, c)
	}
}

// shown gives a value as plain data, or the beginning of its text where it is too long.
func (e *explanation) shown(v any) any {
	switch v := plainTime(v).(type) {
	case nil, bool, int, float64:
		if finite(v) != nil {
			return value.Text(v)
		}
		return v
	case string:
		return shorten(v)
	}
	text := preview(nil, v, 0)
	if len(text) > maxShown {
		return shorten(string(text))
	}
	left := maxOutput
	plain, err := e.m.copy(v, &left, 0)
	if err != nil {
		return shorten(string(text))
	}
	return plain
}

// preview appends a value as JSON, at least its first maxShown bytes.
func preview(dst []byte, v any, depth int) []byte {
	if len(dst) > maxShown || depth > value.MaxDepth {
		return dst
	}
	switch v := v.(type) {
	case []any:
		dst = append(dst, '[')
		for i, item := range v {
			if len(dst) > maxShown {
				return dst
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = preview(dst, item, depth+1)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if len(dst) > maxShown {
				return dst
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = preview(dst, key, depth+1)
			dst = preview(append(dst, ':'), v[key], depth+1)
		}
		return append(dst, '}')
	case string:
		if len(v) > maxShown {
			v = v[:maxShown]
		}
		dst, _ = value.AppendJSON(dst, v) // a text always has JSON
		return dst
	}
	return value.AppendText(dst, plainTime(v))
}

// shorten cuts a text so that it has at most maxShown bytes as JSON.
func shorten(text string) string {
	if len(text) <= maxShown/6 { // no byte becomes more than six
		return text
	}
	cutAt := min(len(text), maxShown)
	for {
		for cutAt > 0 && cutAt < len(text) && !utf8.RuneStart(text[cutAt]) {
			cutAt--
		}
		short := text[:cutAt]
		if cutAt < len(text) {
			short += "…"
		}
		quoted, err := value.AppendJSON(nil, short)
		if err != nil || len(quoted) <= maxShown {
			return short
		}
		cutAt -= max(1, (len(quoted)-maxShown)/6)
	}
}

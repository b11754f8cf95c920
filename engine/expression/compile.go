package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// parserConfig is only read by the parser. Making it anew costs more than reading most expressions.
var parserConfig = func() *conf.Config {
	c := conf.CreateNew()
	c.MaxNodes = maxNodes
	return c
}()

// parse gives the tree of an expression. The grammar is expr-lang's; its virtual machine is not used, because it has
// no bound in time and none on texts, and nil would behave as it does in Go.
func parse(src string) (tree ast.Node, err error) {
	if f := guard(src); f != nil {
		return nil, f
	}
	defer func() {
		if r := recover(); r != nil {
			err = faultf("the expression cannot be read: %v", r)
		}
	}()
	parsed, err := parser.ParseWithConfig(src, parserConfig)
	if err != nil {
		return nil, parseFault(src, err)
	}
	return parsed.Node, nil
}

// parseFault puts an error of the parser into our words.
func parseFault(src string, err error) *fault {
	var e *file.Error
	if !errors.As(err, &e) {
		return faultf("%v", err)
	}
	f := &fault{at: e.From, message: e.Message}
	switch {
	case strings.Contains(e.Message, "maximum allowed nodes"):
		f.message = fmt.Sprintf("the expression has more than %d parts", maxNodes)
	case strings.HasPrefix(e.Message, "unexpected token EOF"), e.Message == "unexpected end of expression":
		f.message = "the expression ends too early"
	case strings.HasPrefix(e.Message, "unexpected token "):
		token := e.Message[len("unexpected token "):]
		if _, quoted, ok := strings.Cut(token, `("`); ok {
			token = strings.ReplaceAll(strings.TrimSuffix(quoted, `")`), `\"`, `"`)
		}
		f.message = "unexpected " + token
		switch {
		case token == "#" || token == ".":
			f.hint = "# is the item of map, filter and the like, and .name a field of it"
		case token == "=":
			f.hint = "== compares two values"
		case token == "AND" || token == "OR" || token == "NOT":
			f.hint = "it is written in small letters"
		case strings.Contains(src, "${{"):
			f.hint = "this is an expression already: leave out ${{ and }}"
		}
	case strings.HasPrefix(e.Message, "unrecognized character"):
		if strings.ContainsAny(src, "“”„‘’«»") {
			f.hint = `texts stand in straight quotes: "text"`
		}
	case strings.HasPrefix(e.Message, "invalid integer literal") && strings.Contains(e.Message, "out of range"):
		if _, digits, ok := strings.Cut(e.Message, `"`); ok { // the place is behind the number
			digits, _, _ = strings.Cut(digits, `"`)
			f.message = fmt.Sprintf("the number %s is too large", digits)
			f.hint = fmt.Sprintf("compare texts: string(…) == %q", digits)
			f.at = utf8.RuneCountInString(src[:max(0, strings.Index(src, digits))])
		}
	case strings.Contains(e.Message, "literal not terminated"):
		f.message = "the text has no closing quote"
	}
	return f
}

// compiler makes an op of each part of a tree.
type compiler struct {
	src       string
	roots     []string
	variables []variable // of `let`, those in scope
	slots     int        // how many variables the expression needs
	nested    int        // predicates around the part that is compiled
	parts     int        // how many parts were compiled: what an evaluation of them costs
	reduces   int        // how many of the predicates around are of reduce
}

type variable struct {
	name string
	slot int
}

func at(n ast.Node) int { return n.Location().From }

func fail(n ast.Node, format string, args ...any) *fault {
	f := faultf(format, args...)
	f.at = at(n)
	return f
}

func (c *compiler) compile(n ast.Node) (op, error) {
	c.parts++
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(nil), nil
	case *ast.BoolNode:
		return constant(n.Value), nil
	case *ast.IntegerNode:
		return constant(n.Value), nil
	case *ast.FloatNode:
		return constant(n.Value), nil
	case *ast.StringNode:
		return constant(n.Value), nil
	case *ast.BytesNode:
		return nil, fail(n, "bytes are not supported; write the text without the b")
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.ChainNode:
		return c.compile(n.Node)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.SequenceNode:
		return c.sequence(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.MapNode:
		return c.object(n)
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		callee, ok := n.Callee.(*ast.IdentifierNode)
		if !ok {
			f := fail(n, "values have no methods")
			if m, ok := n.Callee.(*ast.MemberNode); ok {
				if property, ok := m.Property.(*ast.StringNode); ok {
					f.message = fmt.Sprintf("values have no methods such as .%s(…)", property.Value)
					if fn := closest(property.Value, functionNames()); fn != "" {
						f.hint = "did you mean " + fn + "(…)?"
					}
				}
			}
			return nil, f
		}
		return c.call(n, callee.Value, n.Arguments)
	}
	return nil, fail(n, "this kind of expression is not supported")
}

func constant(v any) op { return func(*machine) (any, error) { return v, nil } }

func (c *compiler) identifier(n *ast.IdentifierNode) (op, error) {
	for _, v := range slices.Backward(c.variables) {
		if v.name == n.Value {
			slot := v.slot
			return func(m *machine) (any, error) { return m.vars[slot], nil }, nil
		}
	}
	root := n.Value
	if slices.Contains(c.roots, root) {
		return func(m *machine) (any, error) { return m.env.Roots[root], nil }, nil
	}
	f := fail(n, "unknown name %s", root)
	known := slices.Clone(c.roots)
	for _, v := range c.variables {
		known = append(known, v.name)
	}
	switch best := closest(root, known); {
	case root == "error":
		f.hint = "error is there in the steps of on_error and on_failure; errors.<id> is there after them"
	case dashed(c.src, at(n)) != "":
		f.hint = fmt.Sprintf(`a name with - is written [%q]`, dashed(c.src, at(n)))
	case functions[root] != nil:
		f.message = fmt.Sprintf("%s is a function", root)
		f.hint = "call it: " + functions[root].Signature
	case best != "":
		f.hint = "did you mean " + best + "?"
	case root == "null" || root == "None" || root == "undefined":
		f.hint = "did you mean nil?"
	case root == "secrets" || root == "env" || root == "connections" || root == "vars":
		f.hint = "expressions see no secrets and no environment; those belong into a connection"
	case root == "secret":
		f.hint = "only the auth of a connection sees its secrets; what it says under apply puts them into every request"
	case len(c.roots) > 0:
		f.hint = "text needs quotes; known here: " + strings.Join(c.roots, ", ")
	default:
		f.hint = "text needs quotes"
	}
	return nil, f
}

// dashed gives the whole word around an offset when the name there follows a - without a space, as in
// trigger.headers.x-shop-id; else "".
func dashed(src string, at int) string {
	part := func(r rune) bool { return r == '_' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	runes := []rune(src)
	from, to := at, at
	for from > 0 && part(runes[from-1]) {
		from--
	}
	for to < len(runes) && part(runes[to]) {
		to++
	}
	if at == from || runes[at-1] != '-' || runes[from] == '-' {
		return ""
	}
	return string(runes[from:to])
}

func (c *compiler) pointer(n *ast.PointerNode) (op, error) {
	if c.nested == 0 {
		return nil, fail(n, "%s has a meaning only inside map, filter and the like", n.String())
	}
	switch n.Name {
	case "":
		return func(m *machine) (any, error) { return m.frames[len(m.frames)-1].item, nil }, nil
	case "index":
		return func(m *machine) (any, error) { return m.frames[len(m.frames)-1].index, nil }, nil
	case "acc":
		if c.reduces == 0 {
			return nil, fail(n, "#acc has a meaning only inside reduce")
		}
		return func(m *machine) (any, error) { return m.frames[len(m.frames)-1].acc, nil }, nil
	}
	f := fail(n, "unknown name #%s", n.Name)
	f.hint = "# is the item, #index its number from 0, #acc what reduce has so far"
	return nil, f
}

func (c *compiler) site(n ast.Node, name string, args ...ast.Node) *site {
	return &site{at: at(n), name: name, nodes: args, inner: c.nested > 0}
}

func (c *compiler) unary(n *ast.UnaryNode) (op, error) {
	inner, err := c.compile(n.Node)
	if err != nil {
		return nil, err
	}
	s := c.site(n, n.Operator, n.Node)
	switch n.Operator {
	case "!", "not":
		return func(m *machine) (any, error) {
			v, err := inner(m)
			if err != nil {
				return nil, err
			}
			b, err := s.truth(v)
			return !b, err
		}, nil
	case "-":
		return func(m *machine) (any, error) {
			v, err := inner(m)
			if err != nil {
				return nil, err
			}
			if d, ok := negateDuration(v); ok {
				return d, nil
			}
			return subtractFrom0(m, s, v)
		}, nil
	case "+":
		return func(m *machine) (any, error) {
			v, err := inner(m)
			if err != nil {
				return nil, err
			}
			_, err = s.number(m, 0, v)
			return v, err
		}, nil
	}
	return nil, fail(n, "unknown operator %s", n.Operator)
}

func subtractFrom0(m *machine, s *site, v any) (any, error) {
	if i, ok := v.(int); ok && -i != i {
		return -i, nil
	}
	f, err := s.number(m, 0, v)
	return -f, err
}

// truth reads a condition: nil is false, and anything but true and false is an error.
func (s *site) truth(v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case nil:
		return false, nil
	}
	f := faultf("%s needs true or false, but %s is %s", s.name, s.arg(0), kind(v))
	f.at, f.hint = s.at, "compare it, as in … != nil or … > 0"
	return false, f
}

func (c *compiler) binary(n *ast.BinaryNode) (op, error) {
	if n.Operator == "matches" {
		if p, ok := n.Right.(*ast.StringNode); ok {
			return c.matchesConstant(n, p)
		}
	}
	left, err := c.compile(n.Left)
	if err != nil {
		return nil, err
	}
	right, err := c.compile(n.Right)
	if err != nil {
		return nil, err
	}
	s := c.site(n, n.Operator, n.Left, n.Right)
	switch n.Operator {
	case "and", "&&":
		return logic(s, left, right, false), nil
	case "or", "||":
		return logic(s, left, right, true), nil
	case "??":
		return func(m *machine) (any, error) {
			v, err := left(m)
			if err != nil || v != nil {
				return v, err
			}
			return right(m)
		}, nil
	}
	apply, ok := binaries[n.Operator]
	if !ok {
		return nil, fail(n, "unknown operator %s", n.Operator)
	}
	if err := constantTypes(n); err != nil {
		return nil, err
	}
	return func(m *machine) (any, error) {
		a, err := left(m)
		if err != nil {
			return nil, err
		}
		b, err := right(m)
		if err != nil {
			return nil, err
		}
		return apply(m, s, a, b)
	}, nil
}

// logic makes `and` (which ends early at false) and `or` (at true).
func logic(s *site, left, right op, ends bool) op {
	r := &site{at: s.at, name: s.name, nodes: s.nodes[1:]}
	return func(m *machine) (any, error) {
		v, err := left(m)
		if err != nil {
			return nil, err
		}
		if b, err := s.truth(v); err != nil || b == ends {
			return b, err
		}
		if v, err = right(m); err != nil {
			return nil, err
		}
		return r.truth(v)
	}
}

// constantTypes refuses when compiling what can only fail: arithmetic and ordering between a written text and a
// written number, and a division by a written 0.
func constantTypes(n *ast.BinaryNode) error {
	literal := func(n ast.Node) string {
		switch n.(type) {
		case *ast.StringNode:
			return "text"
		case *ast.IntegerNode, *ast.FloatNode:
			return "a number"
		}
		return ""
	}
	l, r := literal(n.Left), literal(n.Right)
	switch n.Operator {
	case "<", "<=", ">", ">=", "+":
		if l != "" && r != "" && l != r {
			return fail(n, "%s cannot be used between %s and %s", n.Operator, l, r)
		}
	case "/", "%":
		if i, ok := n.Right.(*ast.IntegerNode); ok && i.Value == 0 {
			return fail(n, "division by zero")
		}
	}
	return nil
}

func (c *compiler) matchesConstant(n *ast.BinaryNode, right *ast.StringNode) (op, error) {
	left, err := c.compile(n.Left)
	if err != nil {
		return nil, err
	}
	p, err := compilePattern(right.Value)
	if err != nil {
		return nil, place(err, at(right))
	}
	s := c.site(n, n.Operator, n.Left, n.Right)
	return func(m *machine) (any, error) {
		v, err := left(m)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return false, nil
		}
		text, ok := v.(string)
		if !ok {
			return nil, s.wrong(0, v, "text")
		}
		found, err := p.match(m, text)
		return found, place(err, s.at)
	}, nil
}

func (c *compiler) conditional(n *ast.ConditionalNode) (op, error) {
	condition, err := c.compile(n.Cond)
	if err != nil {
		return nil, err
	}
	yes, err := c.compile(n.Exp1)
	if err != nil {
		return nil, err
	}
	no, err := c.compile(n.Exp2)
	if err != nil {
		return nil, err
	}
	s := c.site(n.Cond, "? :", n.Cond)
	return func(m *machine) (any, error) {
		v, err := condition(m)
		if err != nil {
			return nil, err
		}
		b, err := s.truth(v)
		if err != nil {
			return nil, err
		}
		if b {
			return yes(m)
		}
		return no(m)
	}, nil
}

func (c *compiler) let(n *ast.VariableDeclaratorNode) (op, error) {
	v, err := c.compile(n.Value)
	if err != nil {
		return nil, err
	}
	if slices.Contains(c.roots, n.Name) || functions[n.Name] != nil {
		return nil, fail(n, "the name %s is taken", n.Name)
	}
	slot := c.declare(n.Name)
	rest, err := c.compile(n.Expr)
	if err != nil {
		return nil, err
	}
	c.variables = c.variables[:len(c.variables)-1]
	return func(m *machine) (any, error) {
		x, err := v(m)
		if err != nil {
			return nil, err
		}
		m.vars[slot] = x
		return rest(m)
	}, nil
}

func (c *compiler) declare(name string) int {
	slot := c.slots
	c.slots++
	c.variables = append(c.variables, variable{name, slot})
	return slot
}

func (c *compiler) sequence(n *ast.SequenceNode) (op, error) {
	ops, err := c.compileAll(n.Nodes)
	if err != nil {
		return nil, err
	}
	return func(m *machine) (v any, err error) {
		for _, o := range ops {
			if v, err = o(m); err != nil {
				return nil, err
			}
		}
		return v, nil
	}, nil
}

func (c *compiler) compileAll(nodes []ast.Node) ([]op, error) {
	ops := make([]op, len(nodes))
	for i, n := range nodes {
		var err error
		if ops[i], err = c.compile(n); err != nil {
			return nil, err
		}
	}
	return ops, nil
}

func (c *compiler) array(n *ast.ArrayNode) (op, error) {
	ops, err := c.compileAll(n.Nodes)
	if err != nil {
		return nil, err
	}
	return func(m *machine) (any, error) {
		if err := m.grow(len(ops) * sizeOfItem); err != nil {
			return nil, place(err, at(n))
		}
		list := make([]any, len(ops))
		for i, o := range ops {
			var err error
			if list[i], err = o(m); err != nil {
				return nil, err
			}
		}
		return list, nil
	}, nil
}

func (c *compiler) object(n *ast.MapNode) (op, error) {
	keys, values := make([]op, len(n.Pairs)), make([]op, len(n.Pairs))
	sites := make([]*site, len(n.Pairs))
	for i, p := range n.Pairs {
		pair := p.(*ast.PairNode)
		var err error
		if keys[i], err = c.compile(pair.Key); err != nil {
			return nil, err
		}
		if values[i], err = c.compile(pair.Value); err != nil {
			return nil, err
		}
		sites[i] = c.site(pair.Key, "a key", pair.Key)
	}
	return func(m *machine) (any, error) {
		if err := m.grow(len(keys) * sizeOfField); err != nil {
			return nil, place(err, at(n))
		}
		object := make(map[string]any, len(keys))
		for i := range keys {
			k, err := keys[i](m)
			if err != nil {
				return nil, err
			}
			key, err := sites[i].textOf(m, 0, k)
			if err != nil {
				return nil, err
			}
			if object[key], err = values[i](m); err != nil {
				return nil, err
			}
		}
		return object, nil
	}, nil
}

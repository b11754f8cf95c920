package expression

import (
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// member compiles .name and [index]. A field that is missing is nil, also below something that is missing, and so is
// an index beyond the end of a list.
func (c *compiler) member(n *ast.MemberNode) (op, error) {
	if n.Method {
		return nil, fail(n, "values have no methods")
	}
	s := c.site(n, "field", n.Node)
	if key, ok := n.Property.(*ast.StringNode); ok {
		if inner, ok := unchain(n.Node).(*ast.MemberNode); ok {
			if _, ok := inner.Property.(*ast.StringNode); ok {
				return c.path(n)
			}
		}
		from, err := c.compile(n.Node)
		if err != nil {
			return nil, err
		}
		name := key.Value
		return func(m *machine) (any, error) {
			v, err := from(m)
			if err != nil {
				return nil, err
			}
			if object, ok := v.(map[string]any); ok {
				return object[name], nil
			}
			return s.field(v, name)
		}, nil
	}
	from, err := c.compile(n.Node)
	if err != nil {
		return nil, err
	}
	index, err := c.compile(n.Property)
	if err != nil {
		return nil, err
	}
	return func(m *machine) (any, error) {
		v, err := from(m)
		if err != nil {
			return nil, err
		}
		i, err := index(m)
		if err != nil {
			return nil, err
		}
		return s.index(m, v, i)
	}, nil
}

func unchain(n ast.Node) ast.Node {
	if chain, ok := n.(*ast.ChainNode); ok {
		return unchain(chain.Node)
	}
	return n
}

// path compiles a row of names, such as trigger.body.customer.name, into one op.
func (c *compiler) path(n *ast.MemberNode) (op, error) {
	var keys []string
	var sites []*site
	var inner ast.Node = n
	for {
		m, ok := unchain(inner).(*ast.MemberNode)
		if !ok || m.Method {
			break
		}
		key, ok := m.Property.(*ast.StringNode)
		if !ok {
			break
		}
		c.parts++
		keys = append([]string{key.Value}, keys...)
		sites = append([]*site{c.site(m, "field", m.Node)}, sites...)
		inner = m.Node
	}
	from, err := c.compile(inner)
	if err != nil {
		return nil, err
	}
	return func(m *machine) (any, error) {
		v, err := from(m)
		if err != nil {
			return nil, err
		}
		for i, key := range keys {
			if object, ok := v.(map[string]any); ok {
				v = object[key]
				continue
			}
			if v == nil {
				return nil, nil
			}
			return sites[i].field(v, key)
		}
		return v, nil
	}, nil
}

// field reads a field of what is no object.
func (s *site) field(v any, key string) (any, error) {
	if v == nil {
		return nil, nil
	}
	f := faultf("%s is %s, so it has no field %s", s.arg(0), kind(v), key)
	f.at = s.at
	if s.named(0) == "" {
		f.message = kind(v) + " has no field " + key
	}
	switch v.(type) {
	case []any:
		f.hint = "take one item, as in [0], or all of them, as in map(…, ." + key + ")"
	case string:
		f.hint = "parse_json(…) reads a text that holds JSON"
	}
	return nil, f
}

func (s *site) index(m *machine, v, index any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		switch key := index.(type) {
		case string:
			return v[key], nil
		case nil:
			return nil, nil
		}
		key, err := s.textOf(m, 0, index)
		if err != nil {
			f := faultf("the name of a field must be text, not %s", kind(index))
			f.at = s.at
			return nil, f
		}
		return v[key], nil
	case []any:
		i, ok := whole(index)
		if !ok {
			if index == nil {
				return nil, nil
			}
			if key, ok := index.(string); ok {
				return s.field(v, key)
			}
			f := faultf("the place in a list must be a whole number, not %s", kind(index))
			f.at = s.at
			return nil, f
		}
		if i < 0 {
			i += len(v)
		}
		if i < 0 || i >= len(v) {
			return nil, nil
		}
		return v[i], nil
	case string:
		if i, ok := whole(index); ok {
			return textAt(m, v, i)
		}
	}
	name := "of that name"
	if key, ok := index.(string); ok {
		name = key
	}
	return s.field(v, name)
}

// textAt gives one character of a text, counted from its end when i is negative.
func textAt(m *machine, text string, i int) (any, error) {
	if err := m.tick(len(text) >> 4); err != nil {
		return nil, err
	}
	n := utf8.RuneCountInString(text)
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return nil, nil
	}
	return cut(text, i, i+1), nil
}

// cut gives the characters from..to of a text that has at least so many.
func cut(text string, from, to int) string {
	start, end, count := len(text), len(text), 0
	for offset := range text {
		if count == from {
			start = offset
		}
		if count == to {
			end = offset
			break
		}
		count++
	}
	return text[start:end]
}

// slice compiles [from:to], of a list or of the characters of a text.
func (c *compiler) slice(n *ast.SliceNode) (op, error) {
	of, err := c.compile(n.Node)
	if err != nil {
		return nil, err
	}
	bounds := [2]op{constant(nil), constant(nil)}
	for i, b := range []ast.Node{n.From, n.To} {
		if b == nil {
			continue
		}
		if bounds[i], err = c.compile(b); err != nil {
			return nil, err
		}
	}
	s := c.site(n, "[:]", n.Node)
	return func(m *machine) (any, error) {
		v, err := of(m)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, nil
		}
		if isTime(v) {
			v = value.Text(v)
		}
		length := 0
		switch v := v.(type) {
		case []any:
			length = len(v)
		case string:
			if err := m.tick(len(v) >> 4); err != nil {
				return nil, place(err, s.at)
			}
			length = utf8.RuneCountInString(v)
		default:
			return nil, s.wrong(0, v, "a list or a text")
		}
		ends := [2]int{0, length}
		for i, b := range bounds {
			e, err := b(m)
			if err != nil {
				return nil, err
			}
			if e == nil {
				continue
			}
			end, ok := whole(e)
			if !ok {
				f := faultf("the ends of [:] must be whole numbers, not %s", kind(e))
				f.at = s.at
				return nil, f
			}
			if end < 0 {
				end += length
			}
			ends[i] = min(max(end, 0), length)
		}
		ends[0] = min(ends[0], ends[1])
		if list, ok := v.([]any); ok {
			return list[ends[0]:ends[1]:ends[1]], nil
		}
		return cut(v.(string), ends[0], ends[1]), nil
	}, nil
}

// refs gathers what an expression reads.
func refs(n ast.Node, src string, line, column int) []Ref {
	r := &reader{src: src, line: line, column: column}
	r.walk(n, nil)
	return r.refs
}

type reader struct {
	src          string
	line, column int
	refs         []Ref
}

func (r *reader) add(n ast.Node, path []string) {
	ref := Ref{Path: path}
	ref.Line, ref.Column = position(r.src, at(n), r.line, r.column)
	r.refs = append(r.refs, ref)
}

func (r *reader) walk(n ast.Node, hidden []string) {
	switch n := n.(type) {
	case nil:
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode:
		r.read(n, nil, hidden)
	case *ast.UnaryNode:
		r.walk(n.Node, hidden)
	case *ast.BinaryNode:
		r.walk(n.Left, hidden)
		r.walk(n.Right, hidden)
	case *ast.SliceNode:
		for _, part := range []ast.Node{n.Node, n.From, n.To} {
			if part != nil {
				r.walk(part, hidden)
			}
		}
	case *ast.ConditionalNode:
		r.walk(n.Cond, hidden)
		r.walk(n.Exp1, hidden)
		r.walk(n.Exp2, hidden)
	case *ast.VariableDeclaratorNode:
		r.walk(n.Value, hidden)
		r.walk(n.Expr, append(hidden[:len(hidden):len(hidden)], n.Name))
	case *ast.SequenceNode:
		r.all(n.Nodes, hidden)
	case *ast.ArrayNode:
		r.all(n.Nodes, hidden)
	case *ast.MapNode:
		r.all(n.Pairs, hidden)
	case *ast.PairNode:
		r.walk(n.Key, hidden)
		r.walk(n.Value, hidden)
	case *ast.PredicateNode:
		r.walk(n.Node, hidden)
	case *ast.BuiltinNode:
		r.all(n.Arguments, hidden)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok && isLink(callee.Value) && len(n.Arguments) == 1 {
			if id, ok := n.Arguments[0].(*ast.StringNode); ok {
				r.add(id, []string{callee.Value, id.Value})
				return
			}
		}
		r.all(n.Arguments, hidden)
	}
}

func (r *reader) all(nodes []ast.Node, hidden []string) {
	for _, n := range nodes {
		r.walk(n, hidden)
	}
}

// read follows a row of fields down to its root; after holds the names that follow n.
func (r *reader) read(n ast.Node, after, hidden []string) {
	switch n := n.(type) {
	case *ast.ChainNode:
		r.read(n.Node, after, hidden)
	case *ast.MemberNode:
		switch p := n.Property.(type) {
		case *ast.StringNode:
			r.read(n.Node, append([]string{p.Value}, after...), hidden)
		case *ast.IntegerNode:
			r.read(n.Node, append([]string{value.Text(p.Value)}, after...), hidden)
		default:
			r.read(n.Node, nil, hidden) // a computed index: what follows it is not known
			r.walk(n.Property, hidden)
		}
	case *ast.IdentifierNode:
		for _, h := range hidden {
			if h == n.Value {
				return
			}
		}
		r.add(n, append([]string{n.Value}, after...))
	default:
		r.walk(n, hidden)
	}
}

// isPath tells whether an expression only names data, and so makes none.
func isPath(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return !strings.HasPrefix(n.Value, "$")
	case *ast.ChainNode:
		return isPath(n.Node)
	case *ast.MemberNode:
		switch n.Property.(type) {
		case *ast.StringNode, *ast.IntegerNode:
			return isPath(n.Node)
		}
	}
	return false
}

// Compared is a text that an expression compares with data, such as "order" in trigger.id == "order".
type Compared struct {
	Path         []string // of the data
	Value        string
	Line, Column int // of the text, from 1
}

// Compared gives the texts that the expression compares with data by ==, != or in.
func (p *Program) Compared() []Compared {
	f := &comparedFinder{p: p}
	if tree, err := parse(p.source); err == nil {
		ast.Walk(&tree, f)
	}
	return f.list
}

// Compared gives the texts that the expressions of the template compare with data.
func (t *Template) Compared() []Compared {
	var list []Compared
	for _, part := range t.parts {
		if part.program != nil {
			list = append(list, part.program.Compared()...)
		}
	}
	return list
}

type comparedFinder struct {
	p    *Program
	list []Compared
}

// Visit is part of ast.Visitor.
func (f *comparedFinder) Visit(n *ast.Node) {
	b, ok := (*n).(*ast.BinaryNode)
	if !ok {
		return
	}
	switch b.Operator {
	case "==", "!=":
		f.add(b.Left, b.Right)
		f.add(b.Right, b.Left)
	case "in":
		if list, ok := b.Right.(*ast.ArrayNode); ok {
			for _, item := range list.Nodes {
				f.add(b.Left, item)
			}
		}
	}
}

func (f *comparedFinder) add(data, text ast.Node) {
	s, ok := text.(*ast.StringNode)
	path := namesOf(data)
	if !ok || path == nil {
		return
	}
	c := Compared{Path: path, Value: s.Value}
	c.Line, c.Column = position(f.p.source, at(text), int(f.p.line), int(f.p.column))
	f.list = append(f.list, c)
}

// namesOf is a path of names alone, or nil.
func namesOf(n ast.Node) []string {
	switch n := unchain(n).(type) {
	case *ast.IdentifierNode:
		return []string{n.Value}
	case *ast.MemberNode:
		if key, ok := n.Property.(*ast.StringNode); ok {
			if inner := namesOf(n.Node); inner != nil {
				return append(inner, key.Value)
			}
		}
	}
	return nil
}

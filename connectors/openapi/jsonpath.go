package openapi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonPath is the part of JSONPath (RFC 9535) that overlays use:
//
//	$  .name  .*  ..name  ..*  ['name']  ["name"]  [0]  [-1]  [*]  [0:2]  ['a','b']
//	[?@.x]  [?@.x == 'y']  [?(@.x && !(@.y.z != 3) || @['k'] > 1)]
//
// Functions, such as length() and match(), and comparisons of two paths are not read.
type jsonPath []segment

type segment struct {
	deep      bool // .. looks below as well
	selectors []selector
}

type selector struct {
	kind        byte // n name, i index, * all, : slice, ? filter
	name        string
	index       int
	start, stop *int
	by          int
	filter      filter
}

type filter func(v any) bool

// found is a place that a path means.
type found struct {
	name   string // for messages
	val    any
	parent any    // *object, []any, or nil for the root
	holder *found // of the parent
	key    string
	index  int
}

const (
	maxPath   = 4096 // characters of a path
	maxFilter = 32   // parentheses inside each other
)

func compilePath(text string) (jsonPath, error) {
	if len(text) > maxPath {
		return nil, fmt.Errorf("it has more than %d characters", maxPath)
	}
	r := &pathReader{src: text}
	if !r.take("$") {
		return nil, errors.New("a path begins with $")
	}
	p, err := r.segments()
	if err != nil {
		return nil, err
	}
	if r.at < len(r.src) {
		return nil, r.errorf("%q is not read here", r.src[r.at:])
	}
	return p, nil
}

type pathReader struct {
	src   string
	at    int
	depth int
}

func (r *pathReader) errorf(format string, args ...any) error {
	return fmt.Errorf("at character %d: %s", utf8.RuneCountInString(r.src[:min(r.at, len(r.src))])+1, fmt.Sprintf(format, args...))
}

func (r *pathReader) take(s string) bool {
	if strings.HasPrefix(r.src[r.at:], s) {
		r.at += len(s)
		return true
	}
	return false
}

func (r *pathReader) space() {
	for r.at < len(r.src) && strings.IndexByte(" \t\r\n", r.src[r.at]) >= 0 {
		r.at++
	}
}

// segments reads what follows $ or @.
func (r *pathReader) segments() (jsonPath, error) {
	var p jsonPath
	for r.at < len(r.src) {
		var s segment
		switch {
		case r.take(".."):
			s.deep = true
			if r.at < len(r.src) && r.src[r.at] == '[' {
				break
			}
			sel, err := r.name()
			if err != nil {
				return nil, err
			}
			s.selectors = []selector{sel}
			p = append(p, s)
			continue
		case r.take("."):
			sel, err := r.name()
			if err != nil {
				return nil, err
			}
			s.selectors = []selector{sel}
			p = append(p, s)
			continue
		case r.src[r.at] == '[':
		default:
			return p, nil
		}
		r.at++
		for {
			sel, err := r.selector()
			if err != nil {
				return nil, err
			}
			s.selectors = append(s.selectors, sel)
			r.space()
			if r.take(",") {
				continue
			}
			if !r.take("]") {
				return nil, r.errorf("a ] is missing")
			}
			break
		}
		p = append(p, s)
	}
	return p, nil
}

// name reads what stands behind a dot.
func (r *pathReader) name() (selector, error) {
	if r.take("*") {
		return selector{kind: '*'}, nil
	}
	start := r.at
	for r.at < len(r.src) {
		c := r.src[r.at]
		if c >= 0x80 || c == '_' || c == '-' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			r.at++
			continue
		}
		break
	}
	if r.at == start {
		return selector{}, r.errorf("a name is missing; one with other characters is written ['like/this']")
	}
	if r.at < len(r.src) && r.src[r.at] == '(' {
		return selector{}, r.errorf("functions are not read")
	}
	return selector{kind: 'n', name: r.src[start:r.at]}, nil
}

// selector reads one entry of [ ].
func (r *pathReader) selector() (selector, error) {
	r.space()
	switch {
	case r.at >= len(r.src):
		return selector{}, r.errorf("a ] is missing")
	case r.take("*"):
		return selector{kind: '*'}, nil
	case r.src[r.at] == '\'' || r.src[r.at] == '"':
		text, err := r.text()
		return selector{kind: 'n', name: text}, err
	case r.take("?"):
		f, err := r.or()
		return selector{kind: '?', filter: f}, err
	}
	start, hasStart := r.int()
	if r.space(); !r.take(":") {
		if !hasStart {
			return selector{}, r.errorf("a name in quotes, a number, * or ? is expected")
		}
		return selector{kind: 'i', index: start}, nil
	}
	s := selector{kind: ':', by: 1}
	if hasStart {
		s.start = &start
	}
	r.space()
	if stop, ok := r.int(); ok {
		s.stop = &stop
	}
	if r.space(); r.take(":") {
		r.space()
		if step, ok := r.int(); ok {
			if step < 1 {
				return s, r.errorf("a step is 1 or more here")
			}
			s.by = step
		}
	}
	return s, nil
}

func (r *pathReader) int() (int, bool) {
	start := r.at
	if r.at < len(r.src) && r.src[r.at] == '-' {
		r.at++
	}
	for r.at < len(r.src) && r.src[r.at] >= '0' && r.src[r.at] <= '9' {
		r.at++
	}
	n, err := strconv.Atoi(r.src[start:r.at])
	if err != nil {
		r.at = start
		return 0, false
	}
	return n, true
}

func (r *pathReader) text() (string, error) {
	quote := r.src[r.at]
	var b strings.Builder
	for r.at++; r.at < len(r.src); r.at++ {
		switch c := r.src[r.at]; {
		case c == quote:
			r.at++
			return b.String(), nil
		case c == '\\' && r.at+1 < len(r.src):
			r.at++
			switch e := r.src[r.at]; e {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '\\', '\'', '"', '/':
				b.WriteByte(e)
			default:
				return "", r.errorf(`\%c is no escape`, e)
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", r.errorf("a text has no end")
}

// or reads a filter: terms of && joined by ||.
func (r *pathReader) or() (filter, error) {
	left, err := r.and()
	for err == nil {
		if r.space(); !r.take("||") {
			return left, nil
		}
		var right filter
		if right, err = r.and(); err == nil {
			l := left
			left = func(v any) bool { return l(v) || right(v) }
		}
	}
	return nil, err
}

func (r *pathReader) and() (filter, error) {
	left, err := r.term()
	for err == nil {
		if r.space(); !r.take("&&") {
			return left, nil
		}
		var right filter
		if right, err = r.term(); err == nil {
			l := left
			left = func(v any) bool { return l(v) && right(v) }
		}
	}
	return nil, err
}

func (r *pathReader) term() (filter, error) {
	if r.depth++; r.depth > maxFilter {
		return nil, r.errorf("parentheses stand more than %d deep", maxFilter)
	}
	defer func() { r.depth-- }()
	r.space()
	switch {
	case r.take("!"):
		f, err := r.term()
		if err != nil {
			return nil, err
		}
		return func(v any) bool { return !f(v) }, nil
	case r.take("("):
		f, err := r.or()
		if err != nil {
			return nil, err
		}
		if r.space(); !r.take(")") {
			return nil, r.errorf("a ) is missing")
		}
		return f, nil
	case !r.take("@"):
		return nil, r.errorf("a condition begins with @, such as @.name == 'x'; functions and paths from $ are not read")
	}
	p, err := r.segments()
	if err != nil {
		return nil, err
	}
	r.space()
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if !r.take(op) {
			continue
		}
		r.space()
		want, err := r.literal()
		if err != nil {
			return nil, err
		}
		return func(v any) bool { return compares(p.first(v), op, want) }, nil
	}
	return func(v any) bool { return len(p.find(v)) > 0 }, nil
}

// nothing is what a path in a filter gives that leads nowhere; it equals nothing else.
type nothing struct{}

func (p jsonPath) first(v any) any {
	list := p.find(v)
	if len(list) == 0 {
		return nothing{}
	}
	return list[0].val
}

func (r *pathReader) literal() (any, error) {
	switch {
	case r.at >= len(r.src):
	case r.src[r.at] == '\'' || r.src[r.at] == '"':
		return r.text()
	case r.take("true"):
		return true, nil
	case r.take("false"):
		return false, nil
	case r.take("null"):
		return nil, nil
	case r.src[r.at] == '-' || r.src[r.at] >= '0' && r.src[r.at] <= '9':
		start := r.at
		for r.at < len(r.src) && strings.IndexByte("+-.eE0123456789", r.src[r.at]) >= 0 {
			r.at++
		}
		if n, ok := plainNumber(r.src[start:r.at]); ok {
			return n, nil
		}
	}
	return nil, r.errorf("a text in quotes, a number, true, false or null is expected")
}

func compares(have any, op string, want any) bool {
	switch op {
	case "==":
		return same(have, want)
	case "!=":
		return !same(have, want)
	}
	order := 0
	switch w := want.(type) {
	case number:
		h, ok := have.(number)
		if !ok {
			return false
		}
		a, errA := strconv.ParseFloat(string(h), 64)
		b, errB := strconv.ParseFloat(string(w), 64)
		if errA != nil || errB != nil {
			return false
		}
		if a < b {
			order = -1
		} else if a > b {
			order = 1
		}
	case string:
		h, ok := have.(string)
		if !ok {
			return false
		}
		order = strings.Compare(h, w)
	default:
		return false
	}
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func same(a, b any) bool {
	x, isNumber := a.(number)
	y, both := b.(number)
	if isNumber && both {
		p, errP := strconv.ParseFloat(string(x), 64)
		q, errQ := strconv.ParseFloat(string(y), 64)
		return errP == nil && errQ == nil && p == q
	}
	return equal(a, b)
}

// find returns the places in the order of the document, at most maxTargets and one.
func (p jsonPath) find(root any) []*found {
	list := []*found{{name: "$", val: root}}
	for _, s := range p {
		var next []*found
		for _, f := range list {
			if s.deep {
				next = s.below(f, next, 0)
			} else {
				next = s.step(f, next)
			}
			if len(next) > maxTargets {
				return next
			}
		}
		list = next
	}
	return list
}

// below applies a segment to a place and to everything below it.
func (s segment) below(f *found, list []*found, depth int) []*found {
	if depth > maxDepth || len(list) > maxTargets {
		return list
	}
	list = s.step(f, list)
	for _, child := range children(f) {
		list = s.below(child, list, depth+1)
	}
	return list
}

func children(f *found) []*found {
	var list []*found
	switch v := f.val.(type) {
	case *object:
		for i := range v.members {
			list = append(list, memberOf(f, v, i))
		}
	case []any:
		for i := range v {
			list = append(list, entry(f, v, i))
		}
	}
	return list
}

func memberOf(f *found, o *object, i int) *found {
	m := &o.members[i]
	return &found{name: f.name + "." + clip(m.key), val: m.val, parent: o, holder: f, key: m.key}
}

func entry(f *found, list []any, i int) *found {
	return &found{name: f.name + "[" + strconv.Itoa(i) + "]", val: list[i], parent: list, holder: f, index: i}
}

func (s segment) step(f *found, list []*found) []*found {
	for i := range s.selectors {
		list = s.selectors[i].step(f, list)
	}
	return list
}

func (s *selector) step(f *found, list []*found) []*found {
	switch s.kind {
	case 'n':
		if o, ok := f.val.(*object); ok {
			if i := o.find(s.name); i >= 0 {
				list = append(list, memberOf(f, o, i))
			}
		}
	case 'i':
		if l, ok := f.val.([]any); ok {
			i := s.index
			if i < 0 {
				i += len(l)
			}
			if i >= 0 && i < len(l) {
				list = append(list, entry(f, l, i))
			}
		}
	case '*':
		list = append(list, children(f)...)
	case ':':
		if l, ok := f.val.([]any); ok {
			start, stop := bound(s.start, 0, len(l)), bound(s.stop, len(l), len(l))
			for i := start; i < stop; i += s.by {
				list = append(list, entry(f, l, i))
			}
		}
	case '?':
		for _, child := range children(f) {
			if s.filter(child.val) {
				list = append(list, child)
			}
		}
	}
	return list
}

func bound(given *int, otherwise, length int) int {
	if given == nil {
		return otherwise
	}
	i := *given
	if i < 0 {
		i += length
	}
	return min(max(i, 0), length)
}

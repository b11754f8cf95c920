package expression

import (
	"sort"

	"github.com/expr-lang/expr/ast"
)

// loop is a function that evaluates a predicate for each item of a list.
type loop struct {
	site      *site
	body      op       // nil: the item itself
	predicate ast.Node // of body
	cost      int      // steps of one evaluation of body
	extra     op       // the third argument; nil: none
}

// named gives what the predicate is called in the source, for messages.
func (l *loop) named() string {
	if l.predicate == nil {
		return "an item"
	}
	if called := name(l.predicate); called != "" {
		return called
	}
	return "the second part of " + l.site.name
}

// each evaluates the body for every item, from the last one on if backwards, until visit returns false. The frame
// that visit gets is that of the item.
func (l *loop) each(m *machine, list []any, backwards bool, visit func(f *frame, v any) (bool, error)) error {
	m.frames = append(m.frames, frame{})
	depth := len(m.frames) - 1
	defer func() { m.frames = m.frames[:depth] }()
	for n := range list {
		i := n
		if backwards {
			i = len(list) - 1 - n
		}
		if err := m.tick(l.cost); err != nil {
			return place(err, l.site.at)
		}
		f := &m.frames[depth]
		f.item, f.index = list[i], i
		v := list[i]
		if l.body != nil {
			var err error
			if v, err = l.body(m); err != nil {
				return err
			}
			f = &m.frames[depth] // the body may have grown the stack
		}
		more, err := visit(f, v)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// holds reads what the predicate gave as a condition.
func (l *loop) holds(v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case nil:
		return false, nil
	}
	f := faultf("the condition of %s needs to be true or false, but %s is %s", l.site.name, l.named(), kind(v))
	f.at = l.site.at
	return false, f
}

type loopFunc func(m *machine, l *loop, list []any) (any, error)

// loops are the functions with a predicate. Their names are fixed by the grammar.
var loops = map[string]loopFunc{
	"map": func(m *machine, l *loop, list []any) (any, error) {
		if err := m.grow(len(list) * sizeOfItem); err != nil {
			return nil, place(err, l.site.at)
		}
		out := make([]any, 0, len(list))
		err := l.each(m, list, false, func(_ *frame, v any) (bool, error) {
			out = append(out, v)
			return true, nil
		})
		return out, err
	},
	"filter": func(m *machine, l *loop, list []any) (any, error) {
		out := []any{}
		err := l.each(m, list, false, func(f *frame, v any) (bool, error) {
			ok, err := l.holds(v)
			if ok {
				out = append(out, f.item)
				err = place(m.grow(2*sizeOfItem), l.site.at)
			}
			return true, err
		})
		return out, err
	},
	"all":  quantifier(false, false, true),
	"any":  quantifier(true, true, false),
	"none": quantifier(true, false, true),
	"one": func(m *machine, l *loop, list []any) (any, error) {
		n, err := l.count(m, list)
		return n == 1, err
	},
	"count": func(m *machine, l *loop, list []any) (any, error) {
		return l.count(m, list)
	},
	"find":          finder(false, func(f *frame) any { return f.item }),
	"findLast":      finder(true, func(f *frame) any { return f.item }),
	"findIndex":     finder(false, func(f *frame) any { return f.index }),
	"findLastIndex": finder(true, func(f *frame) any { return f.index }),
	"sum": func(m *machine, l *loop, list []any) (any, error) {
		s := &site{at: l.site.at, name: "sum", args: []string{"the sum", l.named()}, inner: true}
		var sum any = 0
		err := l.each(m, list, false, func(_ *frame, v any) (bool, error) {
			if _, err := s.number(m, 1, v); err != nil {
				return false, err
			}
			var err error
			sum, err = add(m, s, sum, v)
			return true, err
		})
		return sum, err
	},
	"reduce":  reduce,
	"groupBy": groupBy,
	"sortBy":  sortBy,
}

// quantifier ends with a result at the first item whose condition is `at`, and else with otherwise.
func quantifier(at, result, otherwise bool) loopFunc {
	return func(m *machine, l *loop, list []any) (any, error) {
		out := otherwise
		err := l.each(m, list, false, func(_ *frame, v any) (bool, error) {
			ok, err := l.holds(v)
			if ok == at {
				out = result
				return false, err
			}
			return true, err
		})
		return out, err
	}
}

func (l *loop) count(m *machine, list []any) (int, error) {
	n := 0
	err := l.each(m, list, false, func(_ *frame, v any) (bool, error) {
		ok, err := l.holds(v)
		if ok {
			n++
		}
		return true, err
	})
	return n, err
}

func finder(backwards bool, pick func(*frame) any) loopFunc {
	return func(m *machine, l *loop, list []any) (any, error) {
		var found any
		err := l.each(m, list, backwards, func(f *frame, v any) (bool, error) {
			ok, err := l.holds(v)
			if ok {
				found = pick(f)
			}
			return !ok, err
		})
		return found, err
	}
}

func reduce(m *machine, l *loop, list []any) (any, error) {
	var acc any
	from := 0
	if l.extra != nil {
		var err error
		if acc, err = l.extra(m); err != nil {
			return nil, err
		}
	} else {
		if len(list) == 0 {
			f := faultf("reduce of an empty list needs a value to begin with")
			f.at, f.hint = l.site.at, "reduce(list, #acc + #, 0)"
			return nil, f
		}
		acc, from = list[0], 1
	}
	m.frames = append(m.frames, frame{})
	depth := len(m.frames) - 1
	defer func() { m.frames = m.frames[:depth] }()
	for i := from; i < len(list); i++ {
		if err := m.tick(l.cost); err != nil {
			return nil, place(err, l.site.at)
		}
		m.frames[depth] = frame{item: list[i], index: i, acc: acc}
		var err error
		if acc, err = l.body(m); err != nil {
			return nil, err
		}
	}
	return acc, nil
}

func groupBy(m *machine, l *loop, list []any) (any, error) {
	groups, key := map[string]any{}, &site{at: l.site.at, name: "groupBy", args: []string{l.named()}}
	err := l.each(m, list, false, func(f *frame, v any) (bool, error) {
		key, err := key.textOf(m, 0, v)
		if err != nil {
			return false, err
		}
		group, ok := groups[key].([]any)
		size := 2 * sizeOfItem
		if !ok {
			size += sizeOfField + len(key)
		}
		groups[key] = append(group, f.item)
		return true, place(m.grow(size), l.site.at)
	})
	return groups, err
}

func sortBy(m *machine, l *loop, list []any) (any, error) {
	descending, err := l.descending(m)
	if err != nil {
		return nil, err
	}
	if err := m.grow(3 * len(list) * sizeOfItem); err != nil {
		return nil, place(err, l.site.at)
	}
	s := &sorter{m: m, site: &site{at: l.site.at, name: "sortBy", args: []string{l.named(), l.named()}}, descending: descending}
	err = l.each(m, list, false, func(f *frame, v any) (bool, error) {
		if v == nil {
			s := &site{at: l.site.at, name: "sortBy", args: []string{l.named()}, inner: true}
			return false, s.missing(m, 0)
		}
		s.items, s.keys = append(s.items, f.item), append(s.keys, v)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return s.sort()
}

func (l *loop) descending(m *machine) (bool, error) {
	if l.extra == nil {
		return false, nil
	}
	v, err := l.extra(m)
	if err != nil {
		return false, err
	}
	return l.site.direction(v)
}

func (s *site) direction(v any) (bool, error) {
	switch v {
	case nil, "asc":
		return false, nil
	case "desc":
		return true, nil
	}
	f := faultf(`the order of %s is "asc" or "desc", not %s`, s.name, quote(v))
	f.at = s.at
	return false, f
}

// sorter sorts items by their keys, which are all numbers, all texts or all dates; equal ones keep their order.
type sorter struct {
	m          *machine
	site       *site
	items      []any
	keys       []any
	descending bool
	err        error
}

func (s *sorter) Len() int { return len(s.items) }

func (s *sorter) Swap(i, j int) {
	s.items[i], s.items[j] = s.items[j], s.items[i]
	s.keys[i], s.keys[j] = s.keys[j], s.keys[i]
}

func (s *sorter) Less(i, j int) bool {
	if s.err != nil {
		return false
	}
	if s.err = place(s.m.tick(1), s.site.at); s.err != nil {
		return false
	}
	var o int
	if o, s.err = order(s.m, s.site, s.keys[i], s.keys[j]); s.descending {
		return o > 0
	}
	return o < 0
}

func (s *sorter) sort() (any, error) {
	sort.Stable(s)
	if s.err != nil {
		return nil, s.err
	}
	if s.items == nil {
		return []any{}, nil
	}
	return s.items, nil
}

// loop compiles a call of a function with a predicate.
func (c *compiler) loop(n ast.Node, name string, run loopFunc, args []ast.Node) (op, error) {
	if c.nested >= maxNested {
		f := fail(n, "more than %d of map, filter and the like inside each other", maxNested)
		f.hint = "split the expression into `set` steps"
		return nil, f
	}
	source, err := c.compile(args[0])
	if err != nil {
		return nil, err
	}
	l := &loop{site: c.site(n, name, args...), cost: 1}
	if len(args) > 1 {
		predicate, ok := args[1].(*ast.PredicateNode)
		if !ok {
			return nil, fail(n, "%s needs a condition or a field, such as .name", name)
		}
		before := c.parts
		c.nested++
		if name == "reduce" {
			c.reduces++
		}
		if l.body, err = c.compile(predicate.Node); err != nil {
			return nil, err
		}
		if name == "reduce" {
			c.reduces--
		}
		c.nested--
		l.cost += c.parts - before
		l.predicate = predicate.Node
	}
	if len(args) > 2 {
		if l.extra, err = c.compile(args[2]); err != nil {
			return nil, err
		}
	}
	return func(m *machine) (any, error) {
		v, err := source(m)
		if err != nil {
			return nil, err
		}
		list, err := l.site.list(m, 0, v)
		if err != nil {
			return nil, err
		}
		return run(m, l, list)
	}, nil
}

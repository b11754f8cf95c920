package expression

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

var listFunctions = []Function{
	{
		Name: "map", Group: "lists", Signature: "map(list, expression)", min: 2, max: 2,
		Summary: "Makes a new list of what the expression gives for each item; # is the item, .name a field of it.",
		Example: `map([{a: 1}, {a: 2}], .a * 10)`, Result: `[10,20]`,
	},
	{
		Name: "filter", Group: "lists", Signature: "filter(list, condition)", min: 2, max: 2,
		Summary: "Keeps the items for which the condition is true.",
		Example: `filter([1, 5, 9], # > 3)`, Result: `[5,9]`,
	},
	{
		Name: "all", Group: "lists", Signature: "all(list, condition)", min: 2, max: 2,
		Summary: "Tells whether the condition is true for every item.", Example: `all([1, 2], # > 0)`, Result: `true`,
	},
	{
		Name: "any", Group: "lists", Signature: "any(list, condition)", min: 2, max: 2,
		Summary: "Tells whether the condition is true for at least one item.", Example: `any([1, 2], # > 1)`, Result: `true`,
	},
	{
		Name: "none", Group: "lists", Signature: "none(list, condition)", min: 2, max: 2,
		Summary: "Tells whether the condition is true for no item.", Example: `none([1, 2], # > 2)`, Result: `true`,
	},
	{
		Name: "one", Group: "lists", Signature: "one(list, condition)", min: 2, max: 2,
		Summary: "Tells whether the condition is true for exactly one item.", Example: `one([1, 2], # > 1)`, Result: `true`,
	},
	{
		Name: "count", Group: "lists", Signature: "count(list, condition?)", min: 1, max: 2,
		Summary: "Counts the items for which the condition is true.", Example: `count([1, 5, 9], # > 3)`, Result: `2`,
	},
	{
		Name: "sum", Group: "lists", Signature: "sum(list, expression?)", min: 1, max: 2,
		Summary: "Adds up the items, or what the expression gives for each.",
		Example: `sum([{price: 2}, {price: 3}], .price)`, Result: `5`,
	},
	{
		Name: "find", Group: "lists", Signature: "find(list, condition)", min: 2, max: 2,
		Summary: "Gives the first item for which the condition is true, or nil.", Example: `find([1, 5, 9], # > 3)`, Result: `5`,
	},
	{
		Name: "findIndex", Group: "lists", Signature: "findIndex(list, condition)", min: 2, max: 2,
		Summary: "Gives the place, from 0, of the first item for which the condition is true, or nil.",
		Example: `findIndex([1, 5, 9], # > 3)`, Result: `1`,
	},
	{
		Name: "findLast", Group: "lists", Signature: "findLast(list, condition)", min: 2, max: 2,
		Summary: "Gives the last item for which the condition is true, or nil.", Example: `findLast([1, 5, 9], # > 3)`, Result: `9`,
	},
	{
		Name: "findLastIndex", Group: "lists", Signature: "findLastIndex(list, condition)", min: 2, max: 2,
		Summary: "Gives the place, from 0, of the last item for which the condition is true, or nil.",
		Example: `findLastIndex([1, 5, 9], # > 3)`, Result: `2`,
	},
	{
		Name: "groupBy", Group: "lists", Signature: "groupBy(list, expression)", min: 2, max: 2,
		Summary: "Makes an object with one list for each value of the expression.",
		Example: `groupBy([{k: "a"}, {k: "b"}, {k: "a"}], .k)`, Result: `{"a":[{"k":"a"},{"k":"a"}],"b":[{"k":"b"}]}`,
	},
	{
		Name: "sortBy", Group: "lists", Signature: `sortBy(list, expression, "asc" or "desc"?)`, min: 2, max: 3,
		Summary: "Sorts the items by what the expression gives for each.",
		Example: `sortBy([{n: 2}, {n: 1}], .n)`, Result: `[{"n":1},{"n":2}]`,
	},
	{
		Name: "reduce", Group: "lists", Signature: "reduce(list, expression, begin?)", min: 2, max: 3,
		Summary: "Works through the items one after another; #acc is the result so far.",
		Example: `reduce([1, 2, 3], #acc * #, 1)`, Result: `6`,
	},

	{
		Name: "len", Group: "lists", Signature: "len(value)", min: 1, max: 1, call: length,
		Summary: "Counts the items of a list, the fields of an object or the characters of a text.", Example: `len("naïve")`, Result: `5`,
	},
	{
		Name: "first", Group: "lists", Signature: "first(list)", min: 1, max: 1, call: end(0),
		Summary: "Gives the first item, or nil.", Example: `first([1, 2])`, Result: `1`,
	},
	{
		Name: "last", Group: "lists", Signature: "last(list)", min: 1, max: 1, call: end(-1),
		Summary: "Gives the last item, or nil.", Example: `last([1, 2])`, Result: `2`,
	},
	{
		Name: "get", Group: "lists", Signature: "get(value, key, otherwise?)", min: 2, max: 3, call: get,
		Summary: "Gives a field or an item, or else nil or the third value.", Example: `get({a: 1}, "b", 0)`, Result: `0`,
	},
	{
		Name: "take", Group: "lists", Signature: "take(list, n)", min: 2, max: 2, call: take,
		Summary: "Gives the first n items.", Example: `take([1, 2, 3], 2)`, Result: `[1,2]`,
	},
	{
		Name: "concat", Group: "lists", Signature: "concat(list, list, …)", min: 1, max: -1, call: concat,
		Summary: "Makes one list of several.", Example: `concat([1], [2, 3])`, Result: `[1,2,3]`,
	},
	{
		Name: "flatten", Group: "lists", Signature: "flatten(list)", min: 1, max: 1, call: flatten,
		Summary: "Makes one list of a list of lists.", Example: `flatten([1, [2, [3]]])`, Result: `[1,2,3]`,
	},
	{
		Name: "reverse", Group: "lists", Signature: "reverse(list)", min: 1, max: 1, call: reverse,
		Summary: "Turns the order of the items around.", Example: `reverse([1, 2, 3])`, Result: `[3,2,1]`,
	},
	{
		Name: "sort", Group: "lists", Signature: `sort(list, "asc" or "desc"?)`, min: 1, max: 2, call: sortList,
		Summary: "Sorts numbers, texts or dates.", Example: `sort([3, 1, 2], "desc")`, Result: `[3,2,1]`,
	},
	{
		Name: "uniq", Group: "lists", Signature: "uniq(list)", min: 1, max: 1, call: uniq,
		Summary: "Leaves out the items that were there before.", Example: `uniq([1, 2, 1])`, Result: `[1,2]`,
	},
	{
		Name: "join", Group: "lists", Signature: "join(list, separator?)", min: 1, max: 2, call: join,
		Summary: "Makes one text of the items; missing ones are empty.", Example: `join(["a", nil, 3], ", ")`, Result: `"a, , 3"`,
	},
	{
		Name: "keys", Group: "lists", Signature: "keys(object)", min: 1, max: 1, call: keys,
		Summary: "Gives the names of the fields, sorted.", Example: `keys({b: 1, a: 2})`, Result: `["a","b"]`,
	},
	{
		Name: "values", Group: "lists", Signature: "values(object)", min: 1, max: 1, call: values,
		Summary: "Gives the values of the fields, in the order of their names.", Example: `values({b: 1, a: 2})`, Result: `[2,1]`,
	},
	{
		Name: "toPairs", Group: "lists", Signature: "toPairs(object)", min: 1, max: 1, call: toPairs,
		Summary: "Makes a list of [name, value] of an object.", Example: `toPairs({a: 1})`, Result: `[["a",1]]`,
	},
	{
		Name: "fromPairs", Group: "lists", Signature: "fromPairs(list)", min: 1, max: 1, call: fromPairs,
		Summary: "Makes an object of a list of [name, value].", Example: `fromPairs([["a", 1]])`, Result: `{"a":1}`,
	},
}

func length(m *machine, s *site, args []any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return nil, s.missing(m, 0)
	case []any:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	case string:
		return utf8.RuneCountInString(v), m.tick(len(v) >> 4)
	}
	return nil, s.wrong(0, args[0], "a list, an object or a text")
}

func end(place int) func(*machine, *site, []any) (any, error) {
	return func(m *machine, s *site, args []any) (any, error) {
		list, err := s.list(m, 0, args[0])
		if err != nil {
			return nil, err
		}
		return s.index(m, list, place)
	}
}

func get(m *machine, s *site, args []any) (any, error) {
	v, err := s.index(m, args[0], args[1])
	if (err != nil || v == nil) && len(args) == 3 {
		return args[2], nil
	}
	return v, err
}

func take(m *machine, s *site, args []any) (any, error) {
	list, err := s.list(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	n, err := s.integer(m, 1, args[1])
	if err != nil {
		return nil, err
	}
	n = min(max(n, 0), len(list))
	return list[:n:n], nil
}

func concat(m *machine, s *site, args []any) (any, error) {
	total, lists := 0, make([][]any, len(args))
	for i, arg := range args {
		var err error
		if lists[i], err = s.list(m, i, arg); err != nil {
			return nil, err
		}
		total += len(lists[i])
	}
	if err := m.grow(total * sizeOfItem); err != nil {
		return nil, err
	}
	out := make([]any, 0, total)
	for _, list := range lists {
		out = append(out, list...)
	}
	return out, nil
}

func flatten(m *machine, s *site, args []any) (any, error) {
	list, err := s.list(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	out := []any{}
	var walk func(list []any, depth int) error
	walk = func(list []any, depth int) error {
		if depth > value.MaxDepth {
			return faultf("more than %d lists inside each other", value.MaxDepth)
		}
		if err := m.grow(2 * len(list) * sizeOfItem); err != nil {
			return err
		}
		for _, item := range list {
			if inner, ok := item.([]any); ok {
				if err := walk(inner, depth+1); err != nil {
					return err
				}
				continue
			}
			out = append(out, item)
		}
		return nil
	}
	if err := walk(list, 0); err != nil {
		return nil, err
	}
	return out, nil
}

func reverse(m *machine, s *site, args []any) (any, error) {
	list, err := s.copied(m, args[0])
	if err != nil {
		return nil, err
	}
	slices.Reverse(list)
	return list, nil
}

// copied gives a list that may be changed.
func (s *site) copied(m *machine, v any) ([]any, error) {
	list, err := s.list(m, 0, v)
	if err != nil {
		return nil, err
	}
	if err := m.grow(len(list) * sizeOfItem); err != nil {
		return nil, err
	}
	return append(make([]any, 0, len(list)), list...), nil
}

func sortList(m *machine, s *site, args []any) (any, error) {
	descending := false
	if len(args) == 2 {
		var err error
		if descending, err = s.direction(args[1]); err != nil {
			return nil, err
		}
	}
	items, err := s.copied(m, args[0])
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		if item == nil {
			return nil, faultf("item %d of %s is missing, so the list cannot be sorted", i+1, s.arg(0))
		}
	}
	keys, err := s.copied(m, args[0])
	if err != nil {
		return nil, err
	}
	sorting := &sorter{
		m: m, items: items, keys: keys, descending: descending,
		site: &site{at: s.at, name: "sort", args: []string{"an item", "another item"}},
	}
	return sorting.sort()
}

func uniq(m *machine, s *site, args []any) (any, error) {
	list, err := s.list(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	out, seen := []any{}, map[string]bool{}
	var key []byte
	for _, item := range list {
		key = append(key[:0], kind(item)...)
		if key, err = appendJSON(m, key, item); err != nil {
			return nil, err
		}
		if seen[string(key)] {
			continue
		}
		if err := m.grow(len(key) + sizeOfField); err != nil {
			return nil, err
		}
		seen[string(key)] = true
		out = append(out, item)
	}
	return out, nil
}

func join(m *machine, s *site, args []any) (any, error) {
	list, err := s.list(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	separator := ""
	if len(args) == 2 {
		if separator, err = s.textOf(m, 1, args[1]); err != nil {
			return nil, err
		}
	}
	if err := m.grow(len(list) * sizeOfItem); err != nil {
		return nil, err
	}
	texts := make([]string, len(list))
	total := len(separator) * max(len(list)-1, 0)
	for i, item := range list {
		if texts[i], err = m.text(item); err != nil {
			return nil, err
		}
		total += len(texts[i])
	}
	if err := m.grow(total); err != nil {
		return nil, err
	}
	return strings.Join(texts, separator), m.tick(len(list))
}

func sortedKeys(m *machine, s *site, v any) (map[string]any, []string, error) {
	object, err := s.object(m, 0, v)
	if err != nil {
		return nil, nil, err
	}
	if err := m.grow(2 * len(object) * sizeOfItem); err != nil {
		return nil, nil, err
	}
	return object, slices.Sorted(maps.Keys(object)), m.tick(4 * len(object))
}

func keys(m *machine, s *site, args []any) (any, error) {
	_, names, err := sortedKeys(m, s, args[0])
	if err != nil {
		return nil, err
	}
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = name
	}
	return list, nil
}

func values(m *machine, s *site, args []any) (any, error) {
	object, names, err := sortedKeys(m, s, args[0])
	if err != nil {
		return nil, err
	}
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = object[name]
	}
	return list, nil
}

func toPairs(m *machine, s *site, args []any) (any, error) {
	object, names, err := sortedKeys(m, s, args[0])
	if err != nil {
		return nil, err
	}
	if err := m.grow(len(names) * 4 * sizeOfItem); err != nil {
		return nil, err
	}
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = []any{name, object[name]}
	}
	return list, nil
}

func fromPairs(m *machine, s *site, args []any) (any, error) {
	list, err := s.list(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	if err := m.grow(len(list) * sizeOfField); err != nil {
		return nil, err
	}
	object := make(map[string]any, len(list))
	for i, item := range list {
		pair, ok := item.([]any)
		if !ok || len(pair) != 2 {
			return nil, faultf("item %d of %s is not a pair of a name and a value", i+1, s.arg(0))
		}
		key, err := s.textOf(m, 0, pair[0])
		if err != nil {
			return nil, err
		}
		object[key] = pair[1]
	}
	return object, nil
}

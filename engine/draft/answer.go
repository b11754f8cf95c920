package draft

import (
	"maps"
	"slices"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// What the answer of a poll offers to somebody who is setting the poll up.

// FoundList is a list somewhere in an answer.
type FoundList struct {
	Expr  string `json:"expr" example:"output.body.orders" doc:"The expression that gives it."`
	Items int    `json:"items"`
}

const (
	maxFound = 10 // lists, and keys, that are offered
	maxDeep  = 4
)

// ListsIn finds the lists of an output, the outer ones first. What is inside of a list is not looked at.
func ListsIn(output any) []FoundList {
	type place struct {
		expr string
		v    any
	}
	found := []FoundList{}
	level := []place{{"output", output}}
	for range maxDeep {
		var inner []place
		for _, p := range level {
			switch v := p.v.(type) {
			case []any:
				if len(found) < maxFound {
					found = append(found, FoundList{p.expr, len(v)})
				}
			case map[string]any:
				for _, key := range slices.Sorted(maps.Keys(v)) {
					if p.expr == "output" && key == "headers" {
						continue
					}
					inner = append(inner, place{p.expr + member(key), v[key]})
				}
			}
		}
		level = inner
	}
	return found
}

// KeysOf finds the fields that every item has, with another value in each, so that they can tell items from one
// another; those that are called like an id first.
func KeysOf(items []any) []string {
	keys := []string{}
	if len(items) == 0 {
		return keys
	}
	object, ok := items[0].(map[string]any)
	if !ok {
		return keys
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if distinct(items, key) {
			keys = append(keys, key)
		}
	}
	slices.SortStableFunc(keys, func(a, b string) int { return likeness(a) - likeness(b) })
	keys = keys[:min(len(keys), maxFound)]
	for i, key := range keys {
		keys[i] = "item" + member(key)
	}
	return keys
}

func distinct(items []any, key string) bool {
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		object, ok := item.(map[string]any)
		if !ok {
			return false
		}
		switch object[key].(type) {
		case nil, map[string]any, []any, bool:
			return false
		}
		text := value.Text(object[key])
		if text == "" || seen[text] {
			return false
		}
		seen[text] = true
	}
	return true
}

// likeness is how much a name looks like that of an id; less is more.
func likeness(key string) int {
	if i := slices.Index([]string{"id", "uuid", "guid", "key", "number"}, key); i >= 0 {
		return i
	}
	return 100
}

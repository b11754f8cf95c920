package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Path names a place in a workflow file, such as steps[2].with.json.text or triggers[0].webhook.path. An entry of a
// list is named by its index or by its id: steps.notify.with.channel, where the step may stand at any depth. A key
// that is no simple word is quoted: steps.send.with.headers["x.y"].
type Path string

// segment is one part of a path: a name, or an index when name is empty and index is not negative.
type segment struct {
	name  string
	index int // -1: a name
}

func (p Path) parse() ([]segment, error) {
	var list []segment
	rest := string(p)
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, `["`):
			quoted, err := strconv.QuotedPrefix(rest[1:])
			if err != nil || !strings.HasPrefix(rest[1+len(quoted):], "]") {
				return nil, fmt.Errorf("the path %q has a key in quotes that does not end", p)
			}
			name, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("the path %q has a key that cannot be read", p)
			}
			list = append(list, segment{name, -1})
			rest = rest[len(quoted)+2:]
		case rest[0] == '[':
			digits, after, ok := strings.Cut(rest[1:], "]")
			i, err := strconv.Atoi(digits)
			if !ok || err != nil || i < 0 {
				return nil, fmt.Errorf("the path %q has an index that is no number", p)
			}
			list = append(list, segment{"", i})
			rest = after
		default:
			if len(list) > 0 {
				if rest[0] != '.' {
					return nil, fmt.Errorf("the path %q needs a dot after ]", p)
				}
				rest = rest[1:]
			}
			i := strings.IndexAny(rest, ".[")
			if i < 0 {
				i = len(rest)
			}
			if i == 0 {
				return nil, fmt.Errorf("the path %q has an empty part", p)
			}
			list = append(list, segment{rest[:i], -1})
			rest = rest[i:]
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the path is empty")
	}
	return list, nil
}

// target is where a path leads: the nodes from the root on, the entry taken in each but the last, and the parts of
// the path that the file does not have.
type target struct {
	nodes   []*yaml.Node
	indexes []int
	rest    []segment
}

func (t *target) node() *yaml.Node { return t.nodes[len(t.nodes)-1] }

func (t *target) parent() *yaml.Node { return t.nodes[len(t.nodes)-2] }

// index is that of the node among the entries of its parent.
func (t *target) index() int { return t.indexes[len(t.indexes)-1] }

// up is the target of the parent.
func (t *target) up() *target {
	return &target{nodes: t.nodes[:len(t.nodes)-1], indexes: t.indexes[:len(t.indexes)-1]}
}

// flow reports whether the node stands inside of a list or mapping in brackets.
func (t *target) flow() bool {
	return slices.ContainsFunc(t.nodes[:len(t.nodes)-1], isFlow)
}

func isFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

// find follows a path as far as the file goes.
func (e *editor) find(p Path) (*target, error) {
	parts, err := p.parse()
	if err != nil {
		return nil, err
	}
	t := &target{nodes: []*yaml.Node{e.root}}
	for i, part := range parts {
		n := t.node()
		switch {
		case n.Kind == yaml.MappingNode && part.index < 0:
			j := field(n, part.name)
			if j < 0 {
				t.rest = parts[i:]
				return t, nil
			}
			t.step(n.Content[2*j+1], j)
		case n.Kind == yaml.SequenceNode && part.index >= 0:
			if part.index >= len(n.Content) {
				t.rest = parts[i:]
				return t, nil
			}
			t.step(n.Content[part.index], part.index)
		case n.Kind == yaml.SequenceNode:
			if !t.named(n, part.name) {
				return nil, fmt.Errorf("%s: no entry has the id %q", p, part.name)
			}
		case n.Kind == yaml.ScalarNode && isNull(n):
			t.rest = parts[i:]
			return t, nil
		default:
			return nil, fmt.Errorf("%s: %s has no parts", p, describe(n))
		}
	}
	return t, nil
}

// existing is find for a place that must be there and is not the whole file.
func (e *editor) existing(p Path) (*target, error) {
	t, err := e.find(p)
	if err == nil && len(t.rest) > 0 {
		return nil, fmt.Errorf("the file has no %s", p)
	}
	return t, err
}

func (t *target) step(n *yaml.Node, index int) {
	t.nodes = append(t.nodes, n)
	t.indexes = append(t.indexes, index)
}

// field is the number of the field with this key, or -1.
func field(n *yaml.Node, key string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return i / 2
		}
	}
	return -1
}

// nests are the keys whose lists hold steps, or parts with steps.
var nests = []string{"steps", "on_error", "paths", "parallel"}

// named goes to the entry with this id: of the list, or of a list of steps inside it. A trigger without id has its
// kind for one.
func (t *target) named(list *yaml.Node, id string) bool {
	for i, entry := range list.Content {
		if entry.Kind == yaml.MappingNode {
			if j := field(entry, "id"); j >= 0 && entry.Content[2*j+1].Value == id {
				t.step(entry, i)
				return true
			}
		}
	}
	for i, entry := range list.Content {
		if entry.Kind != yaml.MappingNode {
			continue
		}
		if slices.Contains(triggerKinds, id) && field(entry, "id") < 0 && field(entry, id) >= 0 {
			t.step(entry, i)
			return true
		}
		for _, key := range nests {
			j := field(entry, key)
			if j < 0 || entry.Content[2*j+1].Kind != yaml.SequenceNode {
				continue
			}
			inner := &target{nodes: append(slices.Clone(t.nodes), entry, entry.Content[2*j+1]), indexes: append(slices.Clone(t.indexes), i, j)}
			if inner.named(inner.node(), id) {
				*t = *inner
				return true
			}
		}
	}
	return false
}

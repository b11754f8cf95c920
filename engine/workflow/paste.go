package workflow

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxPasted bounds the steps that are pasted at once.
const maxPasted = 100

// apply inserts the steps one after another.
func (o Paste) apply(e *editor) error {
	texts, err := o.steps(e)
	if err != nil {
		return err
	}
	for i, text := range texts {
		e.want = datumOf(e.root)
		if err := (Insert{Path: o.Path, At: o.At + i, Value: text}).apply(e); err != nil {
			return err
		}
	}
	return nil
}

// steps are the texts of the pasted steps with ids that are free in e.
func (o Paste) steps(e *editor) ([]Text, error) {
	errNone := errors.New("the text holds no steps: a step is YAML with one of " + oneOf(stepWords))
	list, err := pastedList(o.Text)
	if err != nil {
		return nil, errNone
	}
	// The steps as a file of their own, so that what refers to them can be found.
	src := []byte("triggers:\n  - webhook: {}\nsteps:\n" + strings.Join(indented(strings.Split(list, "\n"), 2), "\n") + "\n")
	p, err := open(src)
	if err != nil {
		return nil, errNone
	}
	steps := child(p.root, "steps")
	if steps.Kind != yaml.SequenceNode || len(steps.Content) == 0 || len(steps.Content) > maxPasted {
		return nil, errNone
	}
	for _, n := range steps.Content {
		if n.Kind != yaml.MappingNode || !slices.ContainsFunc(stepWords, func(word string) bool { return field(n, word) >= 0 }) {
			return nil, errNone
		}
	}
	taken, own := map[string]bool{}, map[string]bool{}
	idsOf(e.root, taken)
	idsOf(steps, own)
	for _, id := range slices.Sorted(maps.Keys(own)) {
		if !taken[id] {
			continue
		}
		free := id
		for n := 2; taken[free] || own[free]; n++ {
			free = fmt.Sprintf("%s_%d", id, n)
		}
		if err := p.do(RenameStep{Old: id, New: free}); err != nil {
			return nil, fmt.Errorf("the id %s is taken, and it cannot be made unique: %w", id, err)
		}
		own[free] = true
	}
	steps = child(p.root, "steps")
	texts := make([]Text, len(steps.Content))
	for i, n := range steps.Content {
		texts[i] = p.text(&target{nodes: []*yaml.Node{p.root, steps, n}, indexes: []int{field(p.root, "steps"), i}})
	}
	return texts, nil
}

// pastedList makes a list of what was pasted: a list, one step, or a file or part of one with steps.
func pastedList(text string) (string, error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.TrimRight(dedent(text), " \n")
	root, err := load([]byte(text))
	if err != nil || root == nil {
		return "", errors.New("not YAML")
	}
	if root.Kind == yaml.MappingNode {
		if i := field(root, "steps"); i >= 0 && field(root, "for_each") < 0 {
			t, err := TextAt([]byte(text), "steps")
			return string(t), err
		}
		lines := indented(strings.Split(text, "\n"), 2)
		lines[0] = "- " + strings.TrimPrefix(lines[0], "  ")
		return strings.Join(lines, "\n"), nil
	}
	return text, nil
}

// dedent takes off the spaces that all lines begin with.
func dedent(text string) string {
	lines := strings.Split(text, "\n")
	least := -1
	for _, line := range lines {
		if rest := strings.TrimLeft(line, " "); rest != "" && (least < 0 || len(line)-len(rest) < least) {
			least = len(line) - len(rest)
		}
	}
	for i, line := range lines {
		lines[i] = line[min(max(least, 0), len(line)):]
	}
	return strings.Join(lines, "\n")
}

// idsOf collects the ids of all steps below a node.
func idsOf(n *yaml.Node, ids map[string]bool) {
	if n.Kind == yaml.MappingNode && slices.ContainsFunc(stepWords, func(word string) bool { return field(n, word) >= 0 }) {
		if i := field(n, "id"); i >= 0 {
			ids[n.Content[2*i+1].Value] = true
		}
	}
	for _, c := range n.Content {
		idsOf(c, ids)
	}
}

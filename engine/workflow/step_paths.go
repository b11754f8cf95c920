package workflow

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// maxBranches bounds the branches of one step.
const maxBranches = 50

// aPath is what problems call a branch of paths.
const aPath = "a path"

// paths reads `paths: [{name, when, steps}]` with the key match beside it.
func (r *reader) paths(n *yaml.Node, o *object, sc scope) Do {
	p := &Paths{All: o.word("match", "first", "first", "all") == "all"}
	p.Branches = r.branches(n, "paths", aPath, "path", sc, true)
	for i, b := range p.Branches {
		if !b.hasWhen && !p.All && i < len(p.Branches)-1 {
			r.errorf(b.At, "move it to the end, or give it the key when", "a path without when is taken always, so those behind it never are")
			break
		}
	}
	return p
}

// parallel reads `parallel: [{name, steps}]`.
func (r *reader) parallel(n *yaml.Node, _ *object, sc scope) Do {
	p := &Parallel{Branches: r.branches(n, "parallel", "a branch", "branch", sc, false)}
	names := map[string]bool{}
	for _, b := range p.Branches {
		if names[b.Name] {
			r.errorf(b.At, "the output has one key for each name", "two branches are called %q", b.Name)
		}
		names[b.Name] = true
	}
	return p
}

func (r *reader) branches(n *yaml.Node, what, one, word string, sc scope, when bool) []*Branch {
	var list []*Branch
	entries := r.list(n, what)
	switch {
	case n.Kind == yaml.SequenceNode && len(entries) == 0:
		r.errorf(place(n), "such as [{name: A, steps: […]}]", "%s has at least one entry", what)
	case len(entries) > maxBranches:
		r.errorf(place(n), "", "%s has at most %d entries, this one has %d", what, maxBranches, len(entries))
		entries = entries[:maxBranches]
	}
	for i, entry := range entries {
		b := &Branch{At: place(entry)}
		list = append(list, b)
		bo := r.object(entry, one)
		if entry.Kind != yaml.MappingNode {
			continue
		}
		if b.Name = bo.label("name"); b.Name == "" {
			b.Name = fmt.Sprintf("%s_%d", word, i+1)
		}
		if when {
			b.When = r.program(bo.value("when"), "when", sc)
			b.hasWhen = bo.vals["when"] != nil
		}
		if steps := bo.need("steps", "add steps: with what is done there"); steps != nil {
			b.Steps = r.inside(steps, one, sc.Scope, sc.owner, i)
		}
		bo.done()
	}
	return list
}

// forEach reads `for_each: {in, as, concurrency}` with the key steps beside it.
func (r *reader) forEach(n *yaml.Node, o *object, sc scope) Do {
	loop := &ForEach{As: "item", Concurrency: 1}
	lo := r.object(n, "for_each")
	if n.Kind == yaml.MappingNode {
		loop.In = r.program(lo.need("in", "an expression that gives a list, such as in: trigger.body.items"), "in", sc)
		if as := lo.value("as"); as != nil {
			if name, ok := r.text(as, "as"); ok {
				loop.As = name
				switch {
				case !localID.MatchString(name):
					r.errorf(place(as), "use letters, digits and _", "%q cannot be the name of an entry", name)
					loop.As = "item"
				case reservedRoot[name]:
					r.errorf(place(as), "", "%s has a meaning of its own, so an entry cannot be called that", name)
					loop.As = "item"
				}
			}
		}
		loop.Concurrency = lo.whole("concurrency", 1, 1, 100)
		lo.done()
	}
	if steps := o.need("steps", "add steps: beside for_each"); steps != nil {
		loop.Steps = r.inside(steps, "for_each", sc.with(loop.As, "index"), sc.owner, 0)
	}
	return loop
}

// reservedRoot has the roots that an entry cannot hide.
var reservedRoot = map[string]bool{
	"trigger": true, "steps": true, "errors": true, "workflow": true, "run": true, "error": true, "index": true, "output": true,
	"true": true, "false": true, "nil": true, "not": true, "in": true, "and": true, "or": true, "let": true, "if": true, "else": true,
}

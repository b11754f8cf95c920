package workflow

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// renaming is a new name for something that expressions refer to.
type renaming struct {
	old, new string
	// segment says which name of a reference is the old one; 0: none.
	segment func(ref expression.Ref) int
	// compared reports whether a text that is compared with data is the old name.
	compared func(c expression.Compared) bool
	// suspect finds the old name in a text that cannot be read.
	suspect *regexp.Regexp
}

// apply rewrites the id and what refers to it.
func (o RenameStep) apply(e *editor) error {
	if !localID.MatchString(o.New) {
		return fmt.Errorf("%q cannot be an id", o.New)
	}
	r := e.reader()
	step := r.named[o.Old]
	switch {
	case step == nil:
		return fmt.Errorf("no step has the id %q", o.Old)
	case o.New == o.Old:
		return nil
	case r.named[o.New] != nil:
		return fmt.Errorf("a step has the id %q already", o.New)
	}
	id := idOfStep(e.root, step.At)
	if id == nil {
		return errors.New("the step cannot be found")
	}
	ren := renaming{old: o.Old, new: o.New, suspect: regexp.MustCompile(`\b(steps|errors)\b\s*(\?\.|\.|\[\s*["'])\s*` + o.Old + `\b|_url\s*\(\s*["'` + "`" + `]` + o.Old + `["'` + "`" + `]`)}
	ren.segment = func(ref expression.Ref) int {
		if len(ref.Path) > 1 && ref.Path[1] == o.Old && slices.Contains(stepRoots, ref.Path[0]) {
			return 1
		}
		return 0
	}
	for _, ref := range r.references {
		if len(ref.Path) == 1 && (ref.Path[0] == "steps" || ref.Path[0] == "errors") {
			return fmt.Errorf("line %d reads %s as a whole, so it cannot be told whether it reads this step", ref.node.Line, ref.Path[0])
		}
	}
	sp := e.spans[id]
	return e.rename(r, ren, map[*yaml.Node]string{id: o.New}, []cut{{sp.start, sp.end, scalarText(o.New, id.Style, true)}})
}

// stepRoots are the beginnings of references whose second name is a step's id.
var stepRoots = []string{"steps", "errors", expression.ApprovalURL, expression.CallbackURL}

// apply rewrites the id of a trigger, which may be the default, and the conditions that compare trigger.id with it.
func (o RenameTrigger) apply(e *editor) error {
	if !localID.MatchString(o.New) {
		return fmt.Errorf("%q cannot be an id", o.New)
	}
	r := e.reader()
	trigger := r.w.Trigger(o.Old)
	switch {
	case trigger == nil:
		return fmt.Errorf("no trigger has the id %q", o.Old)
	case o.New == o.Old:
		return nil
	case r.w.Trigger(o.New) != nil:
		return fmt.Errorf("a trigger has the id %q already", o.New)
	}
	ren := renaming{old: o.Old, new: o.New, segment: func(expression.Ref) int { return 0 }, suspect: regexp.MustCompile(`\btrigger\s*(\?\.|\.)\s*id\b`)}
	ren.compared = func(c expression.Compared) bool {
		return c.Value == o.Old && slices.Equal(c.Path, []string{"trigger", "id"})
	}
	if err := e.rename(r, ren, map[*yaml.Node]string{}, nil); err != nil {
		return err
	}
	i := slices.Index(r.w.Triggers, trigger)
	t, err := e.find(Path("triggers").at(i).key("id"))
	if err != nil {
		return err
	}
	e.want = datumOf(e.root)
	return e.set(t, &datum{kind: yaml.ScalarNode, value: o.New})
}

// apply rewrites a key, and where it is a field of a step's output, what reads it.
func (o RenameField) apply(e *editor) error {
	t, err := e.existing(o.Path)
	if err != nil {
		return err
	}
	parent, i := t.parent(), t.index()
	if parent.Kind != yaml.MappingNode {
		return errors.New("only a key can be renamed, and this is an entry of a list")
	}
	key := parent.Content[2*i]
	switch {
	case key.Value == o.New:
		return nil
	case o.New == "" || strings.Contains(o.New, "${{"):
		return fmt.Errorf("%q cannot be a key", o.New)
	case field(parent, o.New) >= 0:
		return fmt.Errorf("there is a key %q already", o.New)
	}
	sp := e.spans[key]
	w := e.at(t.up())
	w.keys[i] = o.New
	cuts := []cut{{sp.start, sp.end, stringText(o.New, key.Style, isFlow(parent))}}
	prefix := e.outputOf(t)
	if prefix == nil {
		return e.commit(cuts)
	}
	r := e.reader()
	last := len(prefix)
	prefix = append(prefix, key.Value)
	ren := renaming{old: key.Value, new: o.New, suspect: regexp.MustCompile(`\bsteps\b[^}]*\b` + regexp.QuoteMeta(prefix[1]) + `\b`)}
	ren.segment = func(ref expression.Ref) int {
		if len(ref.Path) > last && slices.Equal(ref.Path[:last+1], prefix) {
			return last
		}
		return 0
	}
	for _, ref := range r.references {
		if len(ref.Path) <= last && slices.Equal(ref.Path, prefix[:len(ref.Path)]) {
			return fmt.Errorf("line %d reads %s as a whole, so it cannot be told whether it reads this field", ref.node.Line, strings.Join(ref.Path, "."))
		}
	}
	return e.rename(r, ren, map[*yaml.Node]string{}, cuts)
}

// outputOf is the path by which expressions read what holds the target, when that is the mapping of a step with an id;
// else nil.
func (e *editor) outputOf(t *target) []string {
	for i := len(t.nodes) - 2; i > 0; i-- {
		n := t.nodes[i]
		if n.Kind != yaml.MappingNode {
			return nil
		}
		owner := t.nodes[i-1]
		if owner.Kind != yaml.MappingNode || owner.Content[2*t.indexes[i-1]].Value != "set" {
			continue
		}
		j := field(owner, "id")
		if j < 0 {
			return nil
		}
		path := []string{"steps", owner.Content[2*j+1].Value}
		for k := i; k < len(t.nodes)-2; k++ {
			path = append(path, t.nodes[k].Content[2*t.indexes[k]].Value)
		}
		return path
	}
	return nil
}

// reader makes a workflow of the tree, for its references. Its mistakes are known to it.
func (e *editor) reader() *reader {
	r := &reader{reporter: newReporter("the workflow", e.src), named: map[string]*Step{}}
	r.w = &Workflow{ID: "workflow", Source: e.src, places: map[*expression.Tree]Position{}, keys: map[*expression.Tree]Position{}}
	r.workflow(e.root)
	return r
}

// rename rewrites every reference. texts are the scalars that read otherwise besides, and cuts how that is written. A
// text that cannot be read as an expression is no hindrance unless it seems to hold the name.
func (e *editor) rename(r *reader, ren renaming, texts map[*yaml.Node]string, cuts []cut) error {
	places, err := ren.places(r)
	if err != nil {
		return err
	}
	if r.finish().Err() != nil {
		if n := ren.overlooked(r, e.root); n != nil {
			return fmt.Errorf("line %d has a mistake and may refer to it: mend that first", n.Line)
		}
	}
	changed := map[*yaml.Node]string{}
	for n, offsets := range places {
		slices.Sort(offsets)
		text := n.Value
		for _, at := range slices.Backward(slices.Compact(offsets)) {
			start, end, with, err := ren.access(n, at)
			if err != nil {
				return err
			}
			was := text[start:end]
			text = text[:start] + with + text[end:]
			from := e.within(r, n, start)
			if from < 0 || !strings.HasPrefix(string(e.src[from:]), was) {
				return unrenamable(n)
			}
			cuts = append(cuts, cut{from, from + len(was), with})
		}
		changed[n], texts[n] = text, text
	}
	retext(e.root, e.want, texts)
	if err := ren.compare(r, changed); err != nil {
		return err
	}
	return e.commit(cuts)
}

// plainName is a name that may stand behind a dot.
var plainName = regexp.MustCompile(`^[\pL_$][\pL\pN_$]*$`)

// access is what to write in a text for the old name at a place, and from where to where. A name that cannot stand
// behind a dot, such as one with a space, stands in brackets and quotes, and one that can comes out of them again.
func (ren renaming) access(n *yaml.Node, at int) (start, end int, with string, err error) {
	start, end, with = at, at+len(ren.old), ren.new
	before, behind := n.Value[:start], n.Value[end:]
	plain := plainName.MatchString(ren.new)
	if !plain && strings.ContainsAny(ren.new, "\"'`\\\n") {
		return 0, 0, "", fmt.Errorf("line %d reads it, and an expression cannot read the name %q: leave out quotes, backslashes and line breaks", n.Line, ren.new)
	}
	quote := `"`
	if n.Style&yaml.DoubleQuotedStyle != 0 {
		quote = `'`
	}
	switch {
	case !plain && strings.HasSuffix(before, "."):
		return len(strings.TrimSuffix(before[:start-1], "?")), end, "[" + quote + ren.new + quote + "]", nil
	case plain && !plainName.MatchString(ren.old) && strings.HasSuffix(before, "["+quote) && strings.HasPrefix(behind, quote+"]"):
		return start - 2, end + 2, "." + ren.new, nil
	}
	return start, end, with, nil
}

func unrenamable(n *yaml.Node) error {
	return fmt.Errorf("the reference in line %d is written in a way that cannot be renamed", n.Line)
}

// places finds where expressions use the name, as offsets in the text of each scalar.
func (ren renaming) places(r *reader) (map[*yaml.Node][]int, error) {
	found := map[*yaml.Node][]int{}
	for _, ref := range r.references {
		last := ren.segment(ref.Ref)
		if last == 0 {
			continue
		}
		text := ref.node.Value
		at := offset(text, ref.Line, ref.Column)
		if ref.Path[0] != expression.ApprovalURL && ref.Path[0] != expression.CallbackURL { // the place of a link is its argument
			at += len(ref.Path[0])
		}
		for i := 1; i <= last; i++ {
			at = nameBehind(text, at)
			if !strings.HasPrefix(text[at:], ref.Path[i]) {
				return nil, unrenamable(ref.node)
			}
			if i < last {
				at += len(ref.Path[i])
			}
		}
		found[ref.node] = append(found[ref.node], at)
	}
	for _, c := range r.compared {
		if ren.compared == nil || !ren.compared(c.Compared) {
			continue
		}
		at := nameBehind(c.node.Value, offset(c.node.Value, c.Line, c.Column))
		if !strings.HasPrefix(c.node.Value[at:], ren.old) {
			return nil, unrenamable(c.node)
		}
		found[c.node] = append(found[c.node], at)
	}
	return found, nil
}

// overlooked is a text outside of the readable expressions that may use the name, or nil.
func (ren renaming) overlooked(r *reader, n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.ScalarNode && !r.understood[n] && ren.suspect.MatchString(n.Value) {
		return n
	}
	for _, c := range n.Content {
		if found := ren.overlooked(r, c); found != nil {
			return found
		}
	}
	return nil
}

// nameBehind skips from behind a name to the next one: over the dot, or the bracket and quote.
func nameBehind(text string, at int) int {
	for at < len(text) && strings.IndexByte(" \t\n?.[]\"'`", text[at]) >= 0 {
		at++
	}
	return min(at, len(text))
}

// within is the offset in the file of an offset in the text of a scalar.
func (e *editor) within(r *reader, n *yaml.Node, at int) int {
	before := n.Value[:at]
	line := strings.Count(before, "\n")
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	where := r.locate(n, line+1, column+1)
	return e.offset(where.Line, where.Column)
}

// idOfStep is the id of the step that begins at a place.
func idOfStep(n *yaml.Node, at Position) *yaml.Node {
	if n.Kind == yaml.MappingNode && place(n) == at {
		if i := field(n, "id"); i >= 0 {
			return n.Content[2*i+1]
		}
	}
	for _, c := range n.Content {
		if id := idOfStep(c, at); id != nil {
			return id
		}
	}
	return nil
}

// retext puts new texts into the data of a tree.
func retext(n *yaml.Node, d *datum, texts map[*yaml.Node]string) {
	if text, ok := texts[n]; ok {
		d.value = text
	}
	for i, inner := range d.items {
		if n.Kind == yaml.MappingNode {
			i = 2*i + 1
		}
		retext(n.Content[i], inner, texts)
	}
}

// compare compiles the new texts: each must read what it read before, but by the new name. The others are not changed,
// so they read the same.
func (ren renaming) compare(r *reader, changed map[*yaml.Node]string) error {
	before := map[*yaml.Node][]reference{}
	for _, ref := range r.references {
		before[ref.node] = append(before[ref.node], ref)
	}
	templates := r.templates()
	for n, text := range changed {
		refs := before[n]
		if len(refs) == 0 {
			continue
		}
		var after []expression.Ref
		if templates[place(n)] {
			t, err := expression.CompileTemplate(text, refs[0].scope.Scope)
			if err != nil {
				return fmt.Errorf("%w: the expression in line %d: %w", errRefused, n.Line, err)
			}
			after = t.Refs()
		} else {
			p, err := expression.Compile(text, refs[0].scope.Scope)
			if err != nil {
				return fmt.Errorf("%w: the expression in line %d: %w", errRefused, n.Line, err)
			}
			after = p.Refs()
		}
		equal := len(refs) == len(after)
		for i := 0; equal && i < len(refs); i++ {
			path := slices.Clone(refs[i].Path)
			if last := ren.segment(refs[i].Ref); last > 0 {
				path[last] = ren.new
			}
			equal = slices.Equal(path, after[i].Path)
		}
		if !equal {
			return fmt.Errorf("%w: the expression in line %d would read something else", errRefused, n.Line)
		}
	}
	return nil
}

// templates are the places of the texts with expressions in them.
func (r *reader) templates() map[Position]bool {
	found := map[Position]bool{}
	for tree, at := range r.w.places {
		if tree.Template != nil {
			found[at] = true
		}
	}
	return found
}

// RenameInTests makes a workflow's tests follow a new id of a step or, with trigger, of a trigger. The rest of the
// text stays as it is.
func RenameInTests(src []byte, trigger bool, old, new string) ([]byte, error) {
	e, err := open(src)
	if err != nil {
		return src, err
	}
	i := field(e.root, "tests")
	if i < 0 {
		return src, nil
	}
	want, texts, keys := datumOf(e.root), map[*yaml.Node]string{}, map[*yaml.Node]string{}
	note := func(n *yaml.Node, key string) {
		if j := field(n, key); n.Kind == yaml.MappingNode && j >= 0 && n.Content[2*j+1].Value == old {
			texts[n.Content[2*j+1]] = new
		}
	}
	for _, test := range e.root.Content[2*i+1].Content {
		if trigger {
			note(child(test, "trigger"), "id")
			continue
		}
		expect := child(test, "expect")
		for _, list := range []*yaml.Node{child(test, "mocks"), child(expect, "calls")} {
			for _, entry := range list.Content {
				note(entry, "step")
			}
		}
		for _, name := range []string{"steps", "errors"} {
			of := child(expect, name)
			if j := field(of, old); of.Kind == yaml.MappingNode && j >= 0 {
				if field(of, new) >= 0 {
					return src, fmt.Errorf("the tests expect something of a step %q already", new)
				}
				keys[of.Content[2*j]] = new
			}
		}
	}
	if len(texts)+len(keys) == 0 {
		return src, nil
	}
	var cuts []cut
	for n, text := range texts {
		cuts = append(cuts, cut{e.spans[n].start, e.spans[n].end, scalarText(text, n.Style, true)})
	}
	for n, text := range keys {
		cuts = append(cuts, cut{e.spans[n].start, e.spans[n].end, stringText(text, n.Style, true)})
	}
	retext(e.root, want, texts)
	rekey(e.root, want, keys)
	e.want = want
	if err := e.commit(cuts); err != nil {
		return src, err
	}
	return e.src, nil
}

// child is the value of a key; of what has none, an empty node.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.MappingNode {
		if i := field(n, key); i >= 0 {
			return n.Content[2*i+1]
		}
	}
	return &yaml.Node{}
}

// rekey puts new keys into the data of a tree.
func rekey(n *yaml.Node, d *datum, keys map[*yaml.Node]string) {
	for i, inner := range d.items {
		at := i
		if n.Kind == yaml.MappingNode {
			if key, ok := keys[n.Content[2*i]]; ok {
				d.keys[i] = key
			}
			at = 2*i + 1
		}
		rekey(n.Content[at], inner, keys)
	}
}

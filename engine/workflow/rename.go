package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// apply rewrites the id and what refers to it. All of the file must be readable, or a reference could be overlooked.
func (o RenameStep) apply(e *editor) error {
	if !localID.MatchString(o.New) {
		return fmt.Errorf("%q cannot be an id", o.New)
	}
	r, err := e.reader()
	if err != nil {
		return fmt.Errorf("the file has mistakes, so a reference could be overlooked: %s", firstLine(err))
	}
	step := r.named[o.Old]
	switch {
	case step == nil:
		return fmt.Errorf("no step has the id %q", o.Old)
	case o.New == o.Old:
		return nil
	case r.named[o.New] != nil:
		return fmt.Errorf("a step has the id %q already", o.New)
	}
	places, err := o.places(r, e.root)
	if err != nil {
		return err
	}
	var cuts []cut
	renamed := map[*yaml.Node]string{} // texts as they shall read
	for n, offsets := range places {
		slices.Sort(offsets)
		text := n.Value
		for _, at := range slices.Backward(slices.Compact(offsets)) {
			text = text[:at] + o.New + text[at+len(o.Old):]
			from := e.within(r, n, at)
			if from < 0 || !strings.HasPrefix(string(e.src[from:]), o.Old) {
				return fmt.Errorf("the reference in line %d is written in a way that cannot be renamed", n.Line)
			}
			cuts = append(cuts, cut{from, from + len(o.Old), o.New})
		}
		renamed[n] = text
	}
	id := idOfStep(e.root, step.At)
	if id == nil {
		return errors.New("the step cannot be found")
	}
	sp := e.spans[id]
	renamed[id] = o.New
	cuts = append(cuts, cut{sp.start, sp.end, scalarText(o.New, id.Style, true)})
	retext(e.root, e.want, renamed)
	if err := o.compare(r, renamed); err != nil {
		return err
	}
	return e.commit(cuts)
}

// reader makes a workflow of the tree, for its references.
func (e *editor) reader() (*reader, error) {
	r := &reader{reporter: newReporter("the workflow", e.src), named: map[string]*Step{}}
	r.w = &Workflow{ID: "workflow", Source: e.src, places: map[*expression.Tree]Position{}, keys: map[*expression.Tree]Position{}}
	r.workflow(e.root)
	return r, r.finish().Err()
}

// places finds where expressions name the step, as offsets in the text of each scalar.
func (o RenameStep) places(r *reader, root *yaml.Node) (map[*yaml.Node][]int, error) {
	found := map[*yaml.Node][]int{}
	expressions := map[*yaml.Node]bool{}
	for _, ref := range r.references {
		expressions[ref.node] = true
		if root := ref.Path[0]; root != "steps" && root != "errors" {
			continue
		}
		if len(ref.Path) == 1 {
			return nil, fmt.Errorf("line %d reads %s as a whole, so it cannot be told whether it reads this step", ref.node.Line, ref.Path[0])
		}
		if ref.Path[1] != o.Old {
			continue
		}
		at := nameBehind(ref.node.Value, offset(ref.node.Value, ref.Line, ref.Column)+len(ref.Path[0]))
		if !strings.HasPrefix(ref.node.Value[at:], o.Old) {
			return nil, fmt.Errorf("the reference in line %d is written in a way that cannot be renamed", ref.node.Line)
		}
		found[ref.node] = append(found[ref.node], at)
	}
	templates := r.templates()
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && (expressions[n] || templates[place(n)]) && strings.Contains(n.Value, "_url") {
			if at := linksTo(n.Value, o.Old); len(at) > 0 {
				found[n] = append(found[n], at...)
			}
		}
		for _, c := range n.Content {
			look(c)
		}
	}
	look(root)
	return found, nil
}

// nameBehind skips from behind a root to the name of its field: over the dot, or the bracket and quote.
func nameBehind(text string, at int) int {
	for at < len(text) && strings.IndexByte(" \t\n?.[\"'`", text[at]) >= 0 {
		at++
	}
	return min(at, len(text))
}

// linksTo finds the calls callback_url("id") and approval_url("id") in a text that is an expression or a template,
// as the offsets of the id.
func linksTo(text, id string) []int {
	var found []int
	code, depth := !strings.Contains(text, "${{"), 0
	for at := 0; at < len(text); {
		if !code {
			i := strings.Index(text[at:], "${{")
			if i < 0 {
				break
			}
			code, depth = i == 0 && at == 0 || text[at+i-min(1, at+i)] != '$', 0
			at += i + len("${{")
			continue
		}
		c := text[at]
		switch {
		case c == '"' || c == '\'' || c == '`':
			at = behindQuote(text, at)
			continue
		case c == '/' && strings.HasPrefix(text[at:], "//"):
			at += len("//")
			for at < len(text) && text[at] != '\n' && !strings.HasPrefix(text[at:], "}}") {
				at++
			}
			continue
		case c == '/' && strings.HasPrefix(text[at:], "/*"):
			if i := strings.Index(text[at+2:], "*/"); i >= 0 {
				at += i + len("/**/")
				continue
			}
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case c == '}' && strings.HasPrefix(text[at:], "}}"):
			code = false
		case isWord(c):
			end := at
			for end < len(text) && isWord(text[end]) {
				end++
			}
			word, dotted := text[at:end], at > 0 && text[at-1] == '.'
			if at = end; dotted || word != "callback_url" && word != "approval_url" {
				continue
			}
			open := strings.TrimLeft(text[at:], " \t\n")
			if !strings.HasPrefix(open, "(") {
				continue
			}
			quoted := strings.TrimLeft(open[1:], " \t\n")
			if len(quoted) > len(id)+1 && strings.IndexByte("\"'`", quoted[0]) >= 0 && quoted[1:len(id)+1] == id && quoted[len(id)+1] == quoted[0] {
				found = append(found, len(text)-len(quoted)+1)
			}
			continue
		}
		at++
	}
	return found
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// behindQuote is the offset behind a text in quotes.
func behindQuote(text string, at int) int {
	quote := text[at]
	for at++; at < len(text); at++ {
		switch {
		case text[at] == quote:
			return at + 1
		case text[at] == '\\' && quote != '`':
			at++
		}
	}
	return len(text)
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

// compare compiles the new texts: each must read what it read before, but the step by its new name. The others are
// not changed, so they read the same.
func (o RenameStep) compare(r *reader, renamed map[*yaml.Node]string) error {
	before := map[*yaml.Node][]reference{}
	for _, ref := range r.references {
		before[ref.node] = append(before[ref.node], ref)
	}
	templates := r.templates()
	for n, text := range renamed {
		refs := before[n]
		if len(refs) == 0 {
			continue // the id, or a link alone
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
			if len(path) > 1 && slices.Contains([]string{"steps", "errors", expression.ApprovalURL, expression.CallbackURL}, path[0]) && path[1] == o.Old {
				path[1] = o.New
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

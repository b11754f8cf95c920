package workflow

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// stepKind is one thing that a step can do: the key that names it and the function that reads its value.
type stepKind struct {
	name string
	read func(r *reader, n *yaml.Node, o *object, sc scope) Do
	null bool // the key may stand without a value
}

// stepKinds is a function because the readers lead back to it through on_error.
func stepKinds() []stepKind {
	return []stepKind{
		{name: "filter", read: (*reader).filter},
		{name: "set", read: (*reader).set},
		{name: "use", read: (*reader).use},
		{name: "paths", read: (*reader).paths},
		{name: "for_each", read: (*reader).forEach},
		{name: "parallel", read: (*reader).parallel},
		{name: "wait", read: (*reader).wait},
		{name: "approve", read: (*reader).approve},
		{name: "call", read: (*reader).callWorkflow},
		{name: "respond", read: (*reader).respond, null: true},
		{name: "stop", read: (*reader).stop, null: true},
	}
}

// maxNesting is how deep steps may stand inside each other.
const maxNesting = 8

// inside reads the steps of a branch, or of the on_error, of the step that is being read.
func (r *reader) inside(n *yaml.Node, what string, roots *expression.Scope, parent *Step, branch int) []*Step {
	outer, at := r.parent, r.branch
	defer func() { r.parent, r.branch = outer, at }()
	r.parent, r.branch = parent, branch
	depth := 0
	for p := parent; p != nil; p = p.Parent {
		depth++
	}
	if depth > maxNesting {
		r.errorf(place(n), "move the inner steps to a workflow of their own and call it", "steps stand in at most %d others", maxNesting)
		return nil
	}
	steps := r.steps(n, what, roots)
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 && what != aPath { // a path on which nothing happens is a decision, too
		r.errorf(place(n), "", "%s has at least one step", what)
	}
	return steps
}

// steps reads a list of steps.
func (r *reader) steps(n *yaml.Node, what string, roots *expression.Scope) []*Step {
	var steps []*Step
	for _, entry := range r.list(n, what) {
		if isNull(entry) {
			r.errorf(place(entry), "", "this entry of %s is empty", what)
			continue
		}
		if s := r.readStep(entry, roots); s != nil {
			steps = append(steps, s)
		}
	}
	return steps
}

// readStep reads one step. What is wrong in it leaves the others readable.
func (r *reader) readStep(n *yaml.Node, roots *expression.Scope) *Step {
	o := r.object(n, "a step")
	if n.Kind != yaml.MappingNode {
		return nil
	}
	s := &Step{At: place(n), Parent: r.parent, Branch: r.branch}
	r.all = append(r.all, s)
	outer := r.step
	defer func() { r.step = outer }()
	s.ID = fmt.Sprintf("step_%d", len(r.all)) // until it has one
	if id := o.vals["id"]; id != nil && id.Kind == yaml.ScalarNode && localID.MatchString(id.Value) {
		s.ID = id.Value
	}
	r.step = s.ID
	r.stepID(s, o.value("id"))

	sc := scope{Scope: roots, owner: s}
	s.Name = o.label("name")
	s.If = r.program(o.value("if"), "if", sc)
	kind := r.kindOf(o)
	if kind != nil {
		s.Kind = kind.name
		val := o.take(kind.name)
		if isNull(val) && !kind.null {
			r.errorf(place(o.key(kind.name)), "give it one or remove the line", "%s has no value", kind.name)
		} else {
			s.Do = kind.read(r, val, o, sc)
		}
	}
	if s.Kind == "use" || kind == nil {
		s.Retry = r.retry(o.value("retry"))
		s.Timeout = o.duration("timeout", 0)
		if tooLong(s.Timeout, r.w.Timeout) {
			r.warnf(place(o.vals["timeout"]), "", "the step may take %s, but the run ends after %s", o.vals["timeout"].Value, r.w.Timeout)
		}
	}
	if kind == nil {
		for _, key := range []string{"connection", "with", "steps", "match"} {
			o.take(key)
		}
	}
	s.OnError = r.onError(o.value("on_error"), sc)
	r.misplaced(s, o)
	o.done()
	return s
}

// stepID reads the id and sees that it is the only one.
func (r *reader) stepID(s *Step, n *yaml.Node) {
	id, ok := r.id(n)
	if !ok {
		return
	}
	if first := r.named[id]; first != nil {
		r.errorf(place(n), fmt.Sprintf("it is the id of the step in line %d", first.At.Line), "the step id %q is given twice", id)
		return
	}
	s.ID, s.Named = id, true
	r.named[id] = s
}

// id reads the id of a step or a trigger; n may be nil.
func (r *reader) id(n *yaml.Node) (string, bool) {
	if n == nil {
		return "", false
	}
	id, ok := r.text(n, "id")
	if !ok {
		return "", false
	}
	if !localID.MatchString(id) {
		hint := "use letters, digits and _, and do not begin with a digit"
		if fixed := fixID(id); fixed != "" {
			hint += ": " + fixed
		}
		r.errorf(place(n), hint, "%q cannot be an id", id)
		return "", false
	}
	return id, true
}

// fixID makes an id of a text that is none, or gives nothing.
func fixID(text string) string {
	id := strings.Map(func(c rune) rune {
		if c == ' ' || c == '-' || c == '.' {
			return '_'
		}
		return c
	}, strings.TrimSpace(text))
	if !localID.MatchString(id) {
		return ""
	}
	return id
}

// kindOf finds what a step does; nil: nothing that is known.
func (r *reader) kindOf(o *object) *stepKind {
	kinds := stepKinds()
	var names []string
	var found []*yaml.Node
	for i := range kinds {
		names = append(names, kinds[i].name)
	}
	for _, k := range o.keys {
		if slices.Contains(names, k.Value) {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		r.noKind(o, names)
		return nil
	}
	for _, extra := range found[1:] {
		r.errorf(place(extra), "make two steps of it", "a step does one thing, this one has %s and %s", found[0].Value, extra.Value)
		o.take(extra.Value)
	}
	return &kinds[slices.Index(names, found[0].Value)]
}

// noKind reports a step that does nothing, unless one of its keys is just misspelled.
func (r *reader) noKind(o *object, names []string) {
	common := []string{"id", "name", "if", "retry", "timeout", "on_error", "connection", "with", "steps", "match"}
	for _, k := range o.keys {
		if !slices.Contains(common, k.Value) && nearest(k.Value, append(names, common...)) != "" {
			o.asked = append(o.asked, names...)
			return // reported as an unknown key, with that hint
		}
	}
	for _, k := range o.unknown() {
		if !slices.Contains(common, k.Value) {
			r.errorf(place(k), "a step has one of "+strings.Join(names, ", "), "a step has no key %q", k.Value)
			o.take(k.Value)
			return
		}
	}
	r.errorf(o.at, "give it one of "+strings.Join(names, ", "), "this step does nothing")
}

// misplaced reports keys that belong to `use`, or into the value of the step's own kind.
func (r *reader) misplaced(s *Step, o *object) {
	inside := map[string][]string{
		"respond": {"status", "headers", "body"}, "stop": {"as", "message"}, "for_each": {"in", "as", "concurrency"},
		"wait": {"for", "until", "callback", "timeout"}, "approve": {"message", "timeout", "on_decline"}, "call": {"workflow", "with"},
	}[s.Kind]
	for _, k := range o.unknown() {
		switch {
		case slices.Contains(inside, k.Value):
			r.errorf(place(k), "indent it", "%s belongs below %s", k.Value, s.Kind)
			o.take(k.Value)
		case slices.Contains([]string{"retry", "timeout", "connection", "with"}, k.Value) && s.Kind != "":
			r.errorf(place(k), "", "%s belongs to a step with use: a step with %s calls nothing", k.Value, s.Kind)
			o.take(k.Value)
		case k.Value == "steps" && (s.Kind == "paths" || s.Kind == "parallel"):
			r.errorf(place(k), "move it into a branch", "the steps of %s belong to one of its branches", s.Kind)
			o.take(k.Value)
		}
	}
}

// retry reads how often a step is tried; nil for n nil.
func (r *reader) retry(n *yaml.Node) *Retry {
	if n == nil {
		return nil
	}
	o := r.object(n, "retry")
	re := &Retry{
		Attempts: o.whole("attempts", 3, 1, 100),
		Initial:  o.duration("initial", defaultInitial),
		Max:      o.duration("max", defaultMax),
		Unknown:  o.boolean("unknown", false),
	}
	if re.Max < re.Initial {
		if o.vals["max"] != nil {
			r.errorf(place(o.vals["max"]), "", "max is shorter than the first pause of %s", re.Initial)
		}
		re.Max = re.Initial
	}
	o.done()
	return re
}

// onError reads what follows a failure; n may be nil.
func (r *reader) onError(n *yaml.Node, sc scope) OnError {
	switch {
	case n == nil:
		return OnError{Mode: "stop"}
	case n.Kind == yaml.SequenceNode:
		if len(n.Content) == 0 {
			r.errorf(place(n), "write continue to go on without any", "on_error has no steps")
			return OnError{Mode: "steps"}
		}
		return OnError{Mode: "steps", Steps: r.inside(n, "on_error", sc.with("error"), sc.owner, -1)}
	case n.Kind != yaml.ScalarNode:
		r.errorf(place(n), "", "on_error is stop, continue or a list of steps, this is %s", describe(n))
		return OnError{Mode: "stop"}
	}
	return OnError{Mode: r.word(n, "on_error", "stop", "stop", "continue")}
}

package workflow

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// scope says what an expression may read where it stands.
type scope struct {
	*expression.Scope
	kind  string // of the trigger whose fields it reads; empty: any of the file
	owner *Step  // the step that it belongs to; nil: none
}

// with is the scope with more roots, once each.
func (s scope) with(roots ...string) *expression.Scope {
	all := slices.Clone(s.Roots)
	for _, root := range roots {
		if !slices.Contains(all, root) {
			all = append(all, root)
		}
	}
	return &expression.Scope{Roots: all}
}

// Roots that expressions may read, by where they stand.
var (
	inStep    = &expression.Scope{Roots: []string{"trigger", "steps", "errors", "workflow", "run"}}
	inHandler = &expression.Scope{Roots: []string{"trigger", "steps", "errors", "workflow", "run", "error"}}
	inTrigger = &expression.Scope{Roots: []string{"trigger", "workflow"}}
	inPoll    = &expression.Scope{Roots: []string{"workflow"}}
	inItems   = &expression.Scope{Roots: []string{"output", "workflow"}}
	inItem    = &expression.Scope{Roots: []string{"item", "workflow"}}
)

// reference is a read of data whose target is checked when the whole file is known.
type reference struct {
	expression.Ref
	node  *yaml.Node // the scalar that holds the expression
	scope scope
}

// compiled is an expression or a template.
type compiled interface {
	Refs() []expression.Ref
	Compared() []expression.Compared
}

// comparedText is a text that an expression compares with data.
type comparedText struct {
	expression.Compared
	node *yaml.Node // the scalar that holds the expression
}

// maxExpressions bounds the expressions of a file, each of which takes some 50 µs to compile.
const maxExpressions = 2000

// spend reports whether n more expressions may be compiled.
func (r *reader) spend(n int, at Position) bool {
	before := r.expressions
	if r.expressions += n; r.expressions <= maxExpressions {
		return true
	}
	if before <= maxExpressions {
		r.errorf(at, "", "the file holds more than %d expressions", maxExpressions)
	}
	return false
}

// program compiles a text that is an expression as a whole, such as `if`.
func (r *reader) program(n *yaml.Node, what string, sc scope) *expression.Program {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.ScalarNode {
		r.errorf(place(n), "quote an expression that begins with [ or {", "%s is an expression, this is %s", what, describe(n))
		return nil
	}
	src := n.Value
	if strings.TrimSpace(src) == "" {
		r.errorf(place(n), "", "%s is an empty expression", what)
		return nil
	}
	if strings.HasPrefix(strings.TrimSpace(src), "${{") {
		r.errorf(place(n), "write it without ${{ }}", "%s is an expression by itself", what)
		return nil
	}
	if !r.spend(1, place(n)) {
		return nil
	}
	p, err := expression.Compile(src, sc.Scope)
	if err != nil {
		hint := ""
		if at := r.comment(n); at.Line > 0 {
			hint = `YAML ends an unquoted text at " #": put the whole expression in quotes`
		}
		r.misread(n, what, err, hint)
		return nil
	}
	r.note(n, p, sc)
	return p
}

// tree compiles a value whose texts may be templates.
func (r *reader) tree(n *yaml.Node, what string, sc scope) *expression.Tree {
	t := &expression.Tree{}
	r.w.places[t] = place(n)
	switch n.Kind {
	case yaml.MappingNode:
		t.IsMap = true
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, val := n.Content[i], n.Content[i+1]
			if strings.Contains(key.Value, "${{") {
				r.errorf(place(key), "only values may hold ${{ }}", "a key cannot be made by an expression")
				continue
			}
			field := r.tree(val, key.Value, sc)
			r.w.keys[field] = place(key)
			t.Fields = append(t.Fields, expression.Field{Key: key.Value, Value: field})
		}
	case yaml.SequenceNode:
		t.List = make([]*expression.Tree, 0, len(n.Content))
		for _, c := range n.Content {
			t.List = append(t.List, r.tree(c, "an entry of "+what, sc))
		}
	default:
		r.leaf(t, n, what, sc)
	}
	return t
}

// foreignTemplate matches the templates of other tools around a name that exists here.
var foreignTemplate = regexp.MustCompile(`\{\{-?\s*\.?(trigger|steps|errors|error|item|workflow|run)\b`)

// leaf reads a scalar into t.
func (r *reader) leaf(t *expression.Tree, n *yaml.Node, what string, sc scope) {
	val, hint, err := scalar(n)
	if err != nil {
		r.errorf(place(n), hint, "%v", err)
		return
	}
	t.Literal = val
	text, ok := val.(string)
	if !ok {
		return
	}
	if !r.cut(n) {
		return
	}
	if !strings.Contains(text, "${{") {
		if foreignTemplate.MatchString(text) {
			r.warnf(place(n), "write ${{ … }}", "{{ }} is not an expression here: the text stays as it is")
		}
		return
	}
	if !r.spend(strings.Count(text, "${{"), place(n)) {
		return
	}
	tpl, err := expression.CompileTemplate(text, sc.Scope)
	if err != nil {
		r.misread(n, what, err, "")
		return
	}
	t.Literal, t.Template = nil, tpl
	r.note(n, tpl, sc)
}

// misread reports an expression that does not compile, at its place inside the scalar.
func (r *reporter) misread(n *yaml.Node, what string, err error, hint string) {
	at := place(n)
	var bad *expression.Error
	if !errors.As(err, &bad) {
		r.errorf(at, hint, "%s: %v", what, err)
		return
	}
	if bad.Line > 0 {
		at = r.locate(n, bad.Line, bad.Column)
	}
	if hint == "" {
		hint = bad.Hint
	}
	r.errorf(at, hint, "%s: %s", what, bad.Message)
}

// note keeps what an expression reads until the whole file is known.
func (r *reader) note(n *yaml.Node, p compiled, sc scope) {
	for _, ref := range p.Refs() {
		r.references = append(r.references, reference{ref, n, sc})
	}
	if strings.Contains(n.Value, "trigger") {
		for _, c := range p.Compared() {
			r.compared = append(r.compared, comparedText{c, n})
		}
	}
	if r.understood == nil {
		r.understood = map[*yaml.Node]bool{}
	}
	r.understood[n] = true
}

// at is the place of a reference in the file. It walks the text before it, so it is asked for only to report.
func (r *reader) at(ref reference) Position {
	if ref.Line == 0 || r.full() {
		return place(ref.node)
	}
	return r.locate(ref.node, ref.Line, ref.Column)
}

// Fields of the roots, by the contract.
var (
	triggerFields = map[string][]string{
		"":         {"id", "kind", "at", "body"}, // of every kind: a person may start any workflow with a body
		"webhook":  {"headers", "query", "params", "method", "path", "raw"},
		"schedule": {"time", "previous"},
		"poll":     {"item", "items"},
	}
	rootFields = map[string][]string{
		"workflow": {"id", "name", "version"},
		"run":      {"id", "started_at", "url"},
		"error":    {"step", "message", "status", "run_url"},
	}
	errorFields = []string{"message", "status", "attempts"}
)

// resolve checks every read of data against what the file defines.
func (r *reader) resolve() {
	r.w.reads = map[string]bool{}
	for _, ref := range r.references {
		if ref.Path[0] == "steps" && len(ref.Path) < 2 {
			r.w.reads = nil // it reads them all
		}
	}
	for _, ref := range r.references {
		if len(ref.Path) < 2 {
			continue
		}
		r.step = ""
		if ref.scope.owner != nil {
			r.step = ref.scope.owner.ID
		}
		switch root := ref.Path[0]; root {
		case "steps":
			if r.w.reads != nil {
				r.w.reads[ref.Path[1]] = true
			}
			r.resolveStep(ref)
		case expression.ApprovalURL, expression.CallbackURL:
			r.resolveLink(ref)
		case "errors":
			if r.resolveStep(ref) && len(ref.Path) > 2 && !slices.Contains(errorFields, ref.Path[2]) {
				r.errorf(r.at(ref), known(ref.Path[2], errorFields), "errors.%s has no field %q", ref.Path[1], ref.Path[2])
			}
		case "trigger":
			r.resolveTrigger(ref)
		default:
			if fields, ok := rootFields[root]; ok && !slices.Contains(fields, ref.Path[1]) {
				r.errorf(r.at(ref), known(ref.Path[1], fields), "%s has no field %q", root, ref.Path[1])
			}
		}
	}
	r.step = ""
}

func known(word string, words []string) string {
	if hint := didYouMean(word, words); hint != "" {
		return hint
	}
	return "known here: " + strings.Join(words, ", ")
}

// resolveStep checks a read of steps.<id> or errors.<id>; it reports whether the step may be read.
func (r *reader) resolveStep(ref reference) bool {
	id := ref.Path[1]
	target := r.targetOf(ref)
	if target == nil {
		return false
	}
	theirs, mine := slices.Index(r.all, target), slices.Index(r.all, ref.scope.owner)
	switch {
	case theirs == mine:
		r.errorf(r.at(ref), "", "the step %q refers to itself: it has no output yet", id)
		return false
	case theirs > mine:
		r.errorf(r.at(ref), "", "the step %q comes later, in line %d: it has no output yet", id, target.At.Line)
		return false
	}
	mineAt, theirsAt := meeting(ref.scope.owner, target)
	for at := target; at.Parent != nil && at != theirsAt; at = at.Parent {
		if _, loop := at.Parent.Do.(*ForEach); loop && at.Branch >= 0 {
			hint := "give that step the key id and read its list of outputs"
			if at.Parent.Named {
				hint = fmt.Sprintf("steps.%s is the list of what its rounds gave", at.Parent.ID)
			}
			r.errorf(r.at(ref), hint, "the step %q stands in the loop of line %d: outside of it, it has no single output", id, at.Parent.At.Line)
			return false
		}
	}
	if mineAt == nil || theirsAt == nil || mineAt.Branch == theirsAt.Branch {
		return !r.isAround(ref, target)
	}
	switch do := theirsAt.Parent.Do.(type) {
	case *Parallel:
		if theirsAt.Branch >= 0 && mineAt.Branch >= 0 {
			r.errorf(r.at(ref), "read it behind the parallel step", "the step %q runs at the same time: it may have no output yet", id)
			return false
		}
	case *Paths:
		if !do.All && theirsAt.Branch >= 0 && mineAt.Branch >= 0 {
			r.errorf(r.at(ref), "", "the step %q is on another path: where this one runs, that one does not", id)
			return false
		}
	}
	return true
}

// isAround reports a read of the step that the reader stands in. Its on_error may read errors.<id>, and steps.<id>
// as nothing.
func (r *reader) isAround(ref reference, target *Step) bool {
	for at := ref.scope.owner; at != nil; at = at.Parent {
		if at.Parent == target && at.Branch >= 0 {
			r.errorf(r.at(ref), "", "the step %q is the one that this stands in: it has no output yet", ref.Path[1])
			return true
		}
	}
	return false
}

// meeting returns the two steps of one common parent, or of the file, that hold a and b; a may be nil. Where one
// holds the other, the outer one is its own.
func meeting(a, b *Step) (*Step, *Step) {
	for x := a; x != nil; x = x.Parent {
		for y := b; y != nil; y = y.Parent {
			if x.Parent == y.Parent {
				return x, y
			}
		}
	}
	return nil, nil
}

// targetOf finds the step that a reference names, or reports that there is none.
func (r *reader) targetOf(ref reference) *Step {
	id := ref.Path[1]
	if target := r.named[id]; target != nil {
		return target
	}
	if i := slices.IndexFunc(r.all, func(s *Step) bool { return s.ID == id }); i >= 0 {
		r.errorf(r.at(ref), "give that step the key id", "the step in line %d has no id of its own, so nothing can refer to it", r.all[i].At.Line)
		return nil
	}
	var ids []string
	for _, s := range r.all {
		if s.Named {
			ids = append(ids, s.ID)
		}
	}
	hint := didYouMean(id, ids)
	if hint == "" && len(ids) > 0 {
		hint = "steps with an id: " + strings.Join(ids[:min(len(ids), 10)], ", ")
	}
	r.errorf(r.at(ref), hint, "there is no step %q", id)
	return nil
}

// resolveLink checks approval_url("<id>") and callback_url("<id>"). The step may come later: its address is sent first.
func (r *reader) resolveLink(ref reference) {
	target := r.targetOf(ref)
	if target == nil {
		return
	}
	what, fits := "an approve step", false
	switch do := target.Do.(type) {
	case *Approve:
		fits = ref.Path[0] == expression.ApprovalURL
	case *Wait:
		fits = ref.Path[0] == expression.CallbackURL && do.Callback
	}
	if ref.Path[0] == expression.CallbackURL {
		what = "a wait step with a callback"
	}
	if !fits {
		r.errorf(r.at(ref), "", "%s takes the id of %s, %q is none", ref.Path[0], what, ref.Path[1])
		return
	}
	for at := target; at.Parent != nil; at = at.Parent {
		if _, loop := at.Parent.Do.(*ForEach); !loop || at.Branch < 0 {
			continue
		}
		for mine := ref.scope.owner; ; mine = mine.Parent {
			if mine == nil || mine.Parent == nil {
				r.errorf(r.at(ref), "ask for it inside the loop", "the step %q stands in the loop of line %d: each round has an address of its own", ref.Path[1], at.Parent.At.Line)
				return
			}
			if mine.Parent == at.Parent && mine.Branch >= 0 {
				break
			}
		}
	}
}

// resolveTrigger checks a read of trigger.<field>.
func (r *reader) resolveTrigger(ref reference) {
	field := ref.Path[1]
	if field == "raw" {
		r.w.UsesRaw = true
	}
	if field == "headers" && len(ref.Path) > 2 {
		if lower := strings.ToLower(ref.Path[2]); lower != ref.Path[2] { // it would never be there
			r.errorf(r.at(ref), fmt.Sprintf("write trigger.headers[%q]", lower), "the names of headers are in lower case")
		}
	}
	if slices.Contains(triggerFields[""], field) {
		return
	}
	owner, all := "", slices.Clone(triggerFields[""])
	for _, kind := range []string{"webhook", "schedule", "poll"} {
		all = append(all, triggerFields[kind]...)
		if slices.Contains(triggerFields[kind], field) {
			owner = kind
		}
	}
	switch {
	case owner == "":
		r.errorf(r.at(ref), known(field, all), "trigger has no field %q", field)
	case field == "item" && !r.unread && r.listens() && !r.emits(field):
		r.warnf(r.at(ref), "write trigger.body", "what a connector's trigger gives is trigger.body: trigger.item, which a poll of the workflow's own has, is always nothing here")
	case owner != "schedule" && r.listens():
		// Whether that is a webhook or a poll is for the connector to say.
	case ref.scope.kind != "" && ref.scope.kind != owner:
		r.warnf(r.at(ref), "", "only a %s has trigger.%s: here it is always nothing", owner, field)
	case ref.scope.kind == "" && !slices.ContainsFunc(r.w.Triggers, func(t *Trigger) bool { return t.Kind == owner }) && !r.unread:
		r.warnf(r.at(ref), "", "only a %s has trigger.%s, and this workflow has none: it is always nothing", owner, field)
	case field == "params" && len(ref.Path) > 2 && !r.unread && !r.hasParam(ref.Path[2]):
		r.warnf(r.at(ref), "write {"+ref.Path[2]+"} as a part of the path", "no webhook path of this workflow has the parameter %q", ref.Path[2])
	case (field == "item" || field == "items") && !r.unread && !r.emits(field):
		r.warnf(r.at(ref), "emit: each gives trigger.item, emit: batch gives trigger.items",
			"no poll of this workflow gives trigger.%s: it is always nothing", field)
	}
}

func (r *reader) hasParam(name string) bool {
	return slices.ContainsFunc(r.w.Triggers, func(t *Trigger) bool {
		return t.Webhook != nil && strings.Contains("/"+t.Webhook.Path+"/", "/{"+name+"}/")
	})
}

func (r *reader) listens() bool {
	return slices.ContainsFunc(r.w.Triggers, func(t *Trigger) bool { return t.Listen != nil })
}

func (r *reader) emits(field string) bool {
	return slices.ContainsFunc(r.w.Triggers, func(t *Trigger) bool {
		return t.Poll != nil && (t.Poll.Emit == "batch") == (field == "items")
	})
}

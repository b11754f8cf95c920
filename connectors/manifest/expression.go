package manifest

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// Roots that expressions may read, by where they stand.
var (
	inBase      = scope("connection")
	inAuth      = scope("connection", "secret")
	inToken     = scope("connection", "secret", "response")
	inRequest   = scope("input", "connection", "call")
	inAnswer    = scope("response", "input", "connection", "call")
	inItem      = scope("item")
	inOutput    = scope("output")
	inHook      = scope("hook", "input", "connection")
	inKept      = scope("output")
	inDelivery  = scope("trigger", "input")
	inEndpoint  = scope("trigger")
	inMoves     = scope("item", "trigger", "input")
	inPoll      = scope("cursor", "since", "input", "connection")
	inPollItems = scope("output", "input")
	inCursor    = scope("items", "output", "input")
	inCatchUp   = scope("since", "hook", "input", "connection")
)

func scope(roots ...string) *expression.Scope { return &expression.Scope{Roots: roots} }

// maxExpressions bounds the expressions of a file, each of which takes some 30 µs to compile.
const maxExpressions = 5000

// program compiles a text that is an expression as a whole.
func (r *reader) program(n *yaml.Node, what string, s *expression.Scope) *expression.Program {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.ScalarNode {
		r.Errorf(n, "quote an expression that begins with [ or {", "%s is an expression", what)
		return nil
	}
	if strings.HasPrefix(strings.TrimSpace(n.Value), "${{") {
		r.Errorf(n, "write it without ${{ }}", "%s is an expression by itself", what)
		return nil
	}
	if strings.TrimSpace(n.Value) == "" {
		r.Errorf(n, "", "%s is an empty expression", what)
		return nil
	}
	if !r.Whole(n) || !r.spend(1, n) {
		return nil
	}
	p, err := expression.Compile(n.Value, s)
	if err != nil {
		r.Misread(n, what, err)
		return nil
	}
	r.note(n, what, p.Refs())
	return p
}

// template compiles a text that may hold ${{ }}.
func (r *reader) template(n *yaml.Node, what string, s *expression.Scope) *expression.Template {
	if n == nil {
		return nil
	}
	text, ok := r.Text(n, what)
	if !ok || !r.spend(strings.Count(text, "${{"), n) {
		return nil
	}
	t, err := expression.CompileTemplate(text, s)
	if err != nil {
		r.Misread(n, what, err)
		return nil
	}
	r.note(n, what, t.Refs())
	return t
}

// tree compiles a value whose texts may hold ${{ }}.
func (r *reader) tree(n *yaml.Node, what string, s *expression.Scope) *expression.Tree {
	t := &expression.Tree{}
	switch n.Kind {
	case yaml.MappingNode:
		t.IsMap = true
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if strings.Contains(key.Value, "${{") {
				r.Errorf(key, "only values may hold ${{ }}", "a key cannot be made by an expression")
				continue
			}
			t.Fields = append(t.Fields, expression.Field{Key: key.Value, Value: r.tree(n.Content[i+1], key.Value, s)})
		}
	case yaml.SequenceNode:
		t.List = make([]*expression.Tree, 0, len(n.Content))
		for _, item := range n.Content {
			t.List = append(t.List, r.tree(item, "an entry of "+what, s))
		}
	default:
		t.Literal = r.Data(n)
		text, ok := t.Literal.(string)
		if !ok || !strings.Contains(text, "${{") || !r.Whole(n) || !r.spend(strings.Count(text, "${{"), n) {
			return t
		}
		tpl, err := expression.CompileTemplate(text, s)
		if err != nil {
			r.Misread(n, what, err)
			return t
		}
		r.note(n, what, tpl.Refs())
		t.Literal, t.Template = nil, tpl
	}
	return t
}

func (r *reader) spend(n int, at *yaml.Node) bool {
	before := r.expressions
	if r.expressions += n; r.expressions <= maxExpressions {
		return true
	}
	if before <= maxExpressions {
		r.Errorf(at, "", "the file holds more than %d expressions", maxExpressions)
	}
	return false
}

// programs compiles a mapping of names to expressions, such as keep.
func (r *reader) programs(n *yaml.Node, what string, s *expression.Scope) map[string]*expression.Program {
	if n == nil {
		return nil
	}
	o := r.Object(n, what)
	all := map[string]*expression.Program{}
	for _, key := range o.Keys() {
		all[key.Value] = r.program(o.Value(key.Value), key.Value, s)
	}
	return all
}

// words are roots and the time, on which expressions are evaluated.
type words struct {
	roots map[string]any
	now   time.Time
	seed  string
}

func (w words) env() *expression.Env {
	return &expression.Env{Roots: w.roots, Now: w.now, Zone: time.UTC, Seed: w.seed}
}

// with is w and one more root.
func (w words) with(root string, v any) words {
	roots := make(map[string]any, len(w.roots)+1)
	for name, v := range w.roots {
		roots[name] = v
	}
	roots[root] = v
	return words{roots, w.now, w.seed}
}

func (w words) eval(ctx context.Context, p *expression.Program) (any, error) {
	return p.Eval(ctx, w.env())
}

func (w words) text(ctx context.Context, t *expression.Template) (string, error) {
	if t == nil {
		return "", nil
	}
	v, err := t.Eval(ctx, w.env())
	if err != nil {
		return "", err
	}
	return textOf(v), nil
}

// absent stands for a template that is one expression and gave nil: it is left out, key and all.
type absent struct{}

// data evaluates a tree. What gives nil vanishes; a whole tree that does is nil.
func (w words) data(ctx context.Context, t *expression.Tree) (any, error) {
	v, err := w.branch(ctx, t)
	if _, gone := v.(absent); gone {
		return nil, err
	}
	return v, err
}

func (w words) branch(ctx context.Context, t *expression.Tree) (any, error) {
	switch {
	case t == nil:
		return absent{}, nil
	case t.Template != nil:
		v, err := t.Template.Eval(ctx, w.env())
		if err == nil && v == nil {
			return absent{}, nil
		}
		return v, err
	case t.IsMap:
		object := make(map[string]any, len(t.Fields))
		for _, f := range t.Fields {
			v, err := w.branch(ctx, f.Value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Key, err)
			}
			if _, gone := v.(absent); !gone {
				object[f.Key] = v
			}
		}
		return object, nil
	case t.List != nil:
		list := make([]any, 0, len(t.List))
		for i, item := range t.List {
			v, err := w.branch(ctx, item)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			if _, gone := v.(absent); !gone {
				list = append(list, v)
			}
		}
		return list, nil
	}
	return t.Literal, nil
}

// inputsOf names the inputs that refs read.
func inputsOf(refs []expression.Ref, into map[string]bool) {
	for _, ref := range refs {
		if len(ref.Path) > 1 && ref.Path[0] == "input" {
			into[ref.Path[1]] = true
		}
	}
}

// usesSecret reports that refs read hook.secret.
func usesSecret(refs []expression.Ref) bool {
	for _, ref := range refs {
		if len(ref.Path) > 1 && ref.Path[0] == "hook" && ref.Path[1] == "secret" {
			return true
		}
	}
	return false
}

// placeholder is a {name} of a path, which stands for an input.
var placeholder = regexp.MustCompile(`\$\{\{.*?\}\}|\{([A-Za-z_][A-Za-z0-9_.-]*)\}`)

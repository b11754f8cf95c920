package expression

import (
	"context"
	"errors"
	"fmt"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Eval gives the value of the tree as fresh plain data. A field whose value is nil is kept. One budget of time and
// memory covers the whole tree. Mistakes are an *Error that names the field.
func (t *Tree) Eval(ctx context.Context, env *Env) (any, error) {
	m := newMachine(ctx, env)
	defer m.release()
	return t.eval(m)
}

func (t *Tree) eval(m *machine) (any, error) {
	switch {
	case t == nil:
		return nil, nil
	case t.Template != nil:
		return t.Template.eval(m)
	case t.IsMap || t.Fields != nil:
		object := make(map[string]any, len(t.Fields))
		for _, field := range t.Fields {
			v, err := field.Value.eval(m)
			if err != nil {
				return nil, inField(err, field.Key)
			}
			object[field.Key] = v
		}
		return object, nil
	case t.List != nil:
		list := make([]any, len(t.List))
		for i, item := range t.List {
			v, err := item.eval(m)
			if err != nil {
				return nil, inField(err, fmt.Sprintf("[%d]", i))
			}
			list[i] = v
		}
		return list, nil
	}
	return value.Clone(t.Literal), nil
}

// inField puts the name of a field in front of an error.
func inField(err error, key string) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	named.Message = key + ": " + e.Message
	return &named
}

// Refs gives what the templates of the tree read. The places are in the text of each template.
func (t *Tree) Refs() []Ref {
	if t == nil {
		return nil
	}
	var refs []Ref
	if t.Template != nil {
		refs = t.Template.Refs()
	}
	for _, item := range t.List {
		refs = append(refs, item.Refs()...)
	}
	for _, field := range t.Fields {
		refs = append(refs, field.Value.Refs()...)
	}
	return refs
}

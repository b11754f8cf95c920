package workflow

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// How long an answer is waited for where the step does not say.
const (
	defaultCallback = 24 * time.Hour
	defaultApprove  = 7 * 24 * time.Hour
)

// wait reads `wait: {for | until | callback}`.
func (r *reader) wait(n *yaml.Node, _ *object, sc scope) Do {
	w := &Wait{}
	o := r.object(n, "wait")
	if n.Kind != yaml.MappingNode {
		return w
	}
	if length := o.value("for"); length != nil {
		w.For = r.tree(length, "for", sc)
		if w.For.Template == nil {
			o.duration("for", 0) // says what is wrong with it
		}
	}
	w.Until = r.program(o.value("until"), "until", sc)
	if callback := o.value("callback"); callback != nil {
		w.Callback = true
		c := r.object(callback, "callback")
		w.Timeout = c.duration("timeout", defaultCallback)
		c.done()
	}
	switch ways := given(o, "for", "until", "callback"); {
	case len(ways) == 0:
		r.errorf(o.at, "such as for: 2h", "wait needs one of for, until and callback")
	case len(ways) > 1:
		r.errorf(place(ways[1]), "make two steps of it", "wait has one of for, until and callback, this one has %s and %s", ways[0].Value, ways[1].Value)
	}
	o.done()
	return w
}

// given returns those of the keys that stand there, in the order of the file.
func given(o *object, names ...string) []*yaml.Node {
	var found []*yaml.Node
	for _, k := range o.keys {
		for _, name := range names {
			if k.Value == name {
				found = append(found, k)
			}
		}
	}
	return found
}

// approve reads `approve: {message, timeout, on_decline}`.
func (r *reader) approve(n *yaml.Node, _ *object, sc scope) Do {
	a := &Approve{Timeout: defaultApprove, OnDecline: "stop"}
	o := r.object(n, "approve")
	if n.Kind != yaml.MappingNode {
		return a
	}
	if message := o.need("message", "the question that the person is asked"); message != nil {
		a.Message = r.tree(message, "message", sc)
		if message.Kind != yaml.ScalarNode {
			r.errorf(place(message), "", "message is a text, this is %s", describe(message))
		}
	}
	a.Timeout = o.duration("timeout", defaultApprove)
	a.OnDecline = o.word("on_decline", "stop", "stop", "continue")
	o.done()
	return a
}

// callWorkflow reads `call: {workflow, with}`.
func (r *reader) callWorkflow(n *yaml.Node, _ *object, sc scope) Do {
	c := &Call{With: &expression.Tree{IsMap: true}, At: place(n)}
	o := r.object(n, "call")
	if n.Kind != yaml.MappingNode {
		return c
	}
	if id := o.need("workflow", "the id of the workflow that is run"); id != nil {
		c.At = place(id)
		if text, ok := r.text(id, "workflow"); ok {
			if err := CheckID(text); err != nil {
				r.errorf(place(id), "it is the path of its file below workflows/, without .yaml; it cannot be an expression", "%v", err)
			} else {
				c.Workflow = text
			}
		}
	}
	if with := o.value("with"); with != nil && with.Kind != yaml.MappingNode {
		r.errorf(place(with), "", "with is a mapping of inputs to values, this is %s", describe(with))
	} else if with != nil {
		c.With = r.tree(with, "with", sc)
	}
	o.done()
	return c
}

package workflow

import (
	"regexp"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// Pauses between attempts where a step's retry does not say.
const (
	defaultInitial = time.Second
	defaultMax     = time.Minute
)

var useName = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)

// use reads `use: connector.action` with the keys connection and with beside it.
func (r *reader) use(n *yaml.Node, o *object, sc scope) Do {
	return r.call(n, o, sc)
}

// call reads a call of an action: n is the value of use; o holds the keys beside it.
func (r *reader) call(n *yaml.Node, o *object, sc scope) *Use {
	use := &Use{At: place(n)}
	if text, ok := r.text(n, "use"); ok {
		if use.Connector, use.Action, ok = splitUse(text); !ok {
			use.Connector, use.Action = "", ""
			r.errorf(place(n), "write it like http.request", "use names a connector and an action, not %q", text)
		}
	}
	use.Connection = r.connection(o, &use.ConnAt)
	if with := o.value("with"); with != nil && with.Kind != yaml.MappingNode {
		r.errorf(place(with), "", "with is a mapping of inputs to values, this is %s", describe(with))
		use.broken = true
	} else if with != nil {
		use.With = r.tree(with, "with", sc)
	}
	if use.With == nil {
		use.With = &expression.Tree{IsMap: true}
	}
	return use
}

var connectionName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// connection reads the name of a connection.
func (r *reader) connection(o *object, at *Position) string {
	n := o.value("connection")
	if n == nil {
		return ""
	}
	*at = place(n)
	name, ok := r.text(n, "connection")
	if ok && !connectionName.MatchString(name) {
		r.errorf(place(n), "use a-z, 0-9, - and _; it cannot be an expression", "%q cannot be the name of a connection", name)
		return ""
	}
	return name
}

// emptyUse stands in for a call that cannot be read.
func emptyUse(n *yaml.Node) *Use {
	return &Use{At: place(n), With: &expression.Tree{IsMap: true}}
}

package workflow

import "go.yaml.in/yaml/v4"

// set reads `set: {field: value}`.
func (r *reader) set(n *yaml.Node, _ *object, sc scope) Do {
	if n.Kind != yaml.MappingNode {
		r.errorf(place(n), "write set: {name: value}", "set is a mapping of fields to values, this is %s", describe(n))
		return &Set{}
	}
	return &Set{Fields: r.tree(n, "set", sc)}
}

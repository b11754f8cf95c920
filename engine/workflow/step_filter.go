package workflow

import "go.yaml.in/yaml/v4"

// filter reads `filter: <expression>`.
func (r *reader) filter(n *yaml.Node, _ *object, sc scope) Do {
	return &Filter{Condition: r.program(n, "filter", sc)}
}

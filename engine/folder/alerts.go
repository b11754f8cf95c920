package folder

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// alertNames are inputs that hold what an alert says, by which of its texts they get when alerts.with leaves them out.
// The first that the action has counts.
var alertNames = map[string][]string{
	"title": {"subject", "title"},
	"text":  {"text", "message", "content", "body"},
}

// alerts reads who is told of failures: one call of an action, which becomes a workflow of one step.
// It comes after the connections.
func (r *reader) alerts(n *yaml.Node) {
	fields := map[string]*yaml.Node{}
	read := func(key, val *yaml.Node) { fields[key.Value] = val }
	before := len(r.problems)
	r.mapping(n, "key of alerts", map[string]func(key, val *yaml.Node){"on": read, "use": read, "connection": read, "with": read})
	if len(r.problems) > before || n.Kind != yaml.MappingNode {
		return
	}
	if on := fields["on"]; on != nil && on.Value != "failure" {
		r.problem(on, "alerts.on is failure", "write `on: failure`: the first failure in a row is told")
	}
	use, with := fields["use"], fields["with"]
	if use == nil || use.Kind != yaml.ScalarNode {
		r.problem(n, "alerts needs use, the action that tells somebody", "such as `use: email.send`")
		return
	}
	input := map[string]any{}
	if with != nil {
		if with.Kind != yaml.MappingNode {
			r.problem(with, "alerts.with is a list of inputs", "such as `with: {to: ops@example.com}`")
			return
		}
		input, _ = r.plain(with).(map[string]any)
	}
	if len(r.problems) > before {
		return
	}
	r.fillAlert(use.Value, input)
	step := map[string]any{"id": "tell", "use": use.Value, "with": input}
	if c := fields["connection"]; c != nil {
		step["connection"] = c.Value
	}
	source, err := yaml.Marshal(map[string]any{
		"name": "Alerts", "triggers": []any{map[string]any{"id": "failure", "webhook": map[string]any{}}}, "steps": []any{step},
	})
	if err != nil {
		r.problem(n, "alerts cannot be read: "+err.Error(), "")
		return
	}
	w, problems := workflow.ParseAs("alerts", r.name, source)
	if w != nil && r.registry != nil {
		problems = append(problems, w.Check(workflow.Catalog{Connectors: r.registry, Connections: r.into.connectors()})...)
	}
	for _, p := range problems { // the places are those of a text that nobody has seen
		r.problem(n, "alerts: "+p.Message, p.Hint)
		r.problems[len(r.problems)-1].Warning = p.Warning
	}
	if w != nil && problems.Err() == nil {
		r.into.Alerts = w
	}
}

// fillAlert gives an action the texts of an alert in the inputs that are for texts.
func (r *reader) fillAlert(use string, input map[string]any) {
	if r.registry == nil {
		return
	}
	id, name, _ := strings.Cut(use, ".")
	c := r.registry.Connector(id)
	if c == nil {
		return // it is reported with all else
	}
	action := c.Action(name)
	if action == nil {
		return
	}
	for text, names := range alertNames {
		i := slices.IndexFunc(names, func(name string) bool { return action.Input.Properties[name].Type == "string" })
		if i < 0 {
			continue
		}
		if _, given := input[names[i]]; !given {
			input[names[i]] = "${{ trigger.body." + text + " }}"
		}
	}
}

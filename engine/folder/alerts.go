package folder

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Alert is the call of an action that tells people of failures.
type Alert struct {
	Use        string         `json:"use"`
	Connection string         `json:"connection,omitempty"`
	With       map[string]any `json:"with,omitempty"`
}

// alertNames are inputs that hold what an alert says, by which of its texts they get when With leaves them out. The first
// that the action has counts.
var alertNames = map[string][]string{
	"title": {"subject", "title"},
	"text":  {"text", "message", "content", "body"},
}

// Workflow is the workflow of one step that makes the call, as the engine's Alert takes it. The places of problems say
// nothing: they are those of a text that nobody has seen. Connections maps names to connectors; nil: they are not checked.
func (a *Alert) Workflow(registry *connectors.Registry, connections map[string]string) (*workflow.Workflow, workflow.Problems) {
	with := map[string]any{}
	for name, v := range a.With {
		with[name] = v
	}
	if action := actionOf(registry, a.Use); action != nil {
		for text, names := range alertNames {
			i := slices.IndexFunc(names, func(name string) bool { return action.Input.Properties[name].Type == "string" })
			if i >= 0 && with[names[i]] == nil {
				with[names[i]] = "${{ trigger.body." + text + " }}"
			}
		}
	}
	step := map[string]any{"id": "tell", "use": a.Use, "with": with}
	if a.Connection != "" {
		step["connection"] = a.Connection
	}
	source, err := yaml.Marshal(map[string]any{
		"name": "Alerts", "triggers": []any{map[string]any{"id": "failure", "webhook": map[string]any{}}}, "steps": []any{step},
	})
	if err != nil {
		return nil, workflow.Problems{{Message: fmt.Sprintf("it cannot be written: %v", err)}}
	}
	w, problems := workflow.ParseAs("alerts", settingsFile, source)
	if w != nil && registry != nil {
		problems = append(problems, w.Check(workflow.Catalog{Connectors: registry, Connections: connections})...)
	}
	return w, problems
}

func actionOf(registry *connectors.Registry, use string) *connectors.Action {
	id, name, _ := strings.Cut(use, ".")
	if registry == nil || registry.Connector(id) == nil {
		return nil
	}
	return registry.Connector(id).Action(name)
}

// alerts reads who is told of failures. It comes after the connections.
func (r *reader) alerts(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // nobody
	}
	fields := map[string]*yaml.Node{}
	read := func(key, val *yaml.Node) { fields[key.Value] = val }
	before := len(r.problems)
	r.mapping(n, "key of alerts", map[string]func(key, val *yaml.Node){"on": read, "use": read, "connection": read, "with": read})
	if len(r.problems) > before {
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
	alert := &Alert{Use: use.Value}
	if with != nil {
		if with.Kind != yaml.MappingNode {
			r.problem(with, "alerts.with is a list of inputs", "such as `with: {to: ops@example.com}`")
			return
		}
		alert.With, _ = r.plain(with).(map[string]any)
	}
	if c := fields["connection"]; c != nil {
		alert.Connection = c.Value
	}
	if len(r.problems) > before {
		return
	}
	_, problems := alert.Workflow(r.registry, r.into.ConnectorOf())
	for _, p := range problems {
		r.problem(n, "alerts: "+p.Message, p.Hint)
		r.problems[len(r.problems)-1].Warning = p.Warning
	}
	if problems.Err() == nil {
		r.into.Alerts = alert
	}
}

package connectorstest_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/connectorstest"
)

func good() *connectors.Connector {
	return &connectors.Connector{
		ID: "acme", Title: "Acme", Version: "1.0.0",
		Fields: connectors.Schema{Type: "object", Closed: true, Properties: map[string]connectors.Schema{"region": {Type: "string"}}},
		Auth:   []connectors.AuthScheme{{ID: "key", Title: "Key", Secrets: []connectors.Secret{{Name: "token"}}, Fields: []string{"region"}}},
		Actions: []connectors.Action{{
			Name: "create", Title: "Create", Summary: "Creates a thing.",
			Input:  connectors.Schema{Type: "object", Closed: true, Order: []string{"name"}, Required: []string{"name"}, Properties: map[string]connectors.Schema{"name": {Type: "string"}}},
			Output: connectors.Schema{Type: "object", Required: []string{"id"}, Properties: map[string]connectors.Schema{"id": {Type: "integer"}}},
			Sample: map[string]any{"id": 1},
			Do:     func(context.Context, *connectors.Call) (any, error) { return nil, nil },
		}},
	}
}

// TestProblems shows that each rule can fail.
func TestProblems(t *testing.T) {
	if got := connectorstest.Problems(good()); got != nil {
		t.Fatalf("a good connector has problems: %q", got)
	}
	for want, change := range map[string]func(*connectors.Connector){
		`id "Acme-1"`:                                func(c *connectors.Connector) { c.ID = "Acme-1" },
		"the connector: the title":                   func(c *connectors.Connector) { c.Title = "" },
		"version":                                    func(c *connectors.Connector) { c.Version = "1" },
		"neither actions nor auth":                   func(c *connectors.Connector) { c.Actions, c.Auth = nil, nil },
		"auth key is there twice":                    func(c *connectors.Connector) { c.Auth = append(c.Auth, c.Auth[0]) },
		"holds no secret":                            func(c *connectors.Connector) { c.Auth[0].Secrets = nil },
		"is not among the fields":                    func(c *connectors.Connector) { c.Auth[0].Fields = []string{"nope"} },
		"which are not secret":                       func(c *connectors.Connector) { c.Auth[0].Secrets = []connectors.Secret{{Name: "region"}} },
		"its name is not":                            func(c *connectors.Connector) { c.Actions[0].Name = "" },
		"action create is there twice":               func(c *connectors.Connector) { c.Actions = append(c.Actions, c.Actions[0]) },
		"not a whole sentence":                       func(c *connectors.Connector) { c.Actions[0].Summary = "creates a thing" },
		"does nothing (Do is nil)":                   func(c *connectors.Connector) { c.Actions[0].Do = nil },
		"not a closed object":                        func(c *connectors.Connector) { c.Actions[0].Input.Closed = false },
		"does not list every property":               func(c *connectors.Connector) { c.Actions[0].Input.Order = nil },
		"has no sample":                              func(c *connectors.Connector) { c.Actions[0].Sample = nil },
		"does not fit its output: id: it is missing": func(c *connectors.Connector) { c.Actions[0].Sample = map[string]any{} },
		"not a whole number":                         func(c *connectors.Connector) { c.Actions[0].Sample = map[string]any{"id": 1.5} },
		"there is no type":                           func(c *connectors.Connector) { c.Actions[0].Output.Type = "map" },
		"nope is not among the properties":           func(c *connectors.Connector) { c.Actions[0].Input.Required = []string{"nope"} },
		"required has a name twice":                  func(c *connectors.Connector) { c.Actions[0].Input.Required = []string{"name", "name"} },
		"no name of a field":                         func(c *connectors.Connector) { c.Fields.Properties["Re gion"] = connectors.Schema{} },
		"the choice 1 is not of its type": func(c *connectors.Connector) {
			c.Fields.Properties["x"] = connectors.Schema{Type: "string", Enum: []any{1}}
		},
		"the default b does not fit": func(c *connectors.Connector) {
			c.Fields.Properties["x"] = connectors.Schema{Type: "string", Enum: []any{"a"}, Default: "b"}
		},
		"the pattern": func(c *connectors.Connector) {
			c.Fields.Properties["x"] = connectors.Schema{Type: "string", Pattern: "("}
		},
		"only an object has properties": func(c *connectors.Connector) { c.Fields.Type = "string" },
	} {
		c := good()
		change(c)
		got := connectorstest.Problems(c)
		if !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, want) }) {
			t.Errorf("%q is not among %q", want, got)
		}
	}
}

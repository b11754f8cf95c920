package connectors_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
)

func TestSchemaJSON(t *testing.T) {
	one := 1.0
	for name, tt := range map[string]struct {
		schema connectors.Schema
		want   string
	}{
		"anything": {connectors.Schema{}, `{}`},
		"closed": {
			connectors.Schema{Type: "object", Closed: true, Required: []string{"a"}, Properties: map[string]connectors.Schema{"a": {Type: "integer", Minimum: &one}}},
			`{"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"type":"integer","minimum":1}}}`,
		},
		"map":      {connectors.Schema{Type: "object", Values: &connectors.Schema{Type: "string", MaxLength: 500}}, `{"type":"object","additionalProperties":{"type":"string","maxLength":500}}`},
		"nullable": {connectors.Schema{Type: "string", Nullable: true}, `{"type":["string","null"]}`},
		"variants": {
			connectors.Schema{
				OneOf:         []connectors.Schema{{Ref: "#/schemas/cat"}, {Ref: "#/schemas/dog"}},
				Discriminator: &connectors.Discriminator{Property: "kind", Mapping: map[string]string{"cat": "#/schemas/cat"}},
			},
			`{"oneOf":[{"$ref":"#/schemas/cat"},{"$ref":"#/schemas/dog"}],"discriminator":{"propertyName":"kind","mapping":{"cat":"#/schemas/cat"}}}`,
		},
		"form": {
			connectors.Schema{Type: "string", Show: "more", Suffix: ".example.com", Options: &connectors.Options{Use: "list_users", Search: true, DependsOn: []string{"team"}}},
			`{"type":"string","x-show":"more","x-suffix":".example.com","x-options":{"use":"list_users","search":true,"depends_on":["team"]}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(tt.schema)
			if err != nil {
				t.Fatal(err)
			}
			var a, b any
			if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(tt.want), &b) != nil {
				t.Fatalf("not JSON: %s", got)
			}
			if diff := cmp.Diff(b, a); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
			var back connectors.Schema
			if err := json.Unmarshal(got, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.schema, back); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	c := connectors.Connector{Schemas: map[string]connectors.Schema{
		"address": {Type: "object", Title: "Address"},
		"home":    {Ref: "#/schemas/address", Title: "Home"},
		"loop":    {Ref: "#/schemas/loop"},
	}}
	for ref, want := range map[string]connectors.Schema{
		"#/schemas/address": {Type: "object", Title: "Address", Show: "more"},
		"#/schemas/home":    {Type: "object", Title: "Home", Show: "more"},
		"#/schemas/loop":    {Show: "more"},
		"#/schemas/none":    {Show: "more"},
	} {
		if diff := cmp.Diff(want, c.Resolve(connectors.Schema{Ref: ref, Show: "more"})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", ref, diff)
		}
	}
}

// Holders of a registry see a replacement at once.
func TestReplace(t *testing.T) {
	r := connectors.NewRegistry(&connectors.Connector{ID: "a", Version: "1.0.0"})
	r.Replace(&connectors.Connector{ID: "a", Version: "2.0.0"}, &connectors.Connector{ID: "b"})
	if got := r.Connector("a").Version; got != "2.0.0" {
		t.Errorf("version %s after the replacement", got)
	}
	if len(r.All()) != 2 {
		t.Errorf("%d connectors, want 2", len(r.All()))
	}
}

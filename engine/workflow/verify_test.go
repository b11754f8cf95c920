package workflow_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// TestSchemaKnowsEverySchemeAndItsKeys: the file that editors read and the table that verifies are written apart.
func TestSchemaKnowsEverySchemeAndItsKeys(t *testing.T) {
	text, err := workflow.Schema("workflow")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Defs map[string]struct {
			Properties map[string]struct{ Enum []string }
			OneOf      []struct {
				Properties map[string]any
				Required   []string
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	verify := doc.Defs["verify"]
	var names []string
	for _, s := range signature.Schemes() {
		names = append(names, s.Name)
		found := false
		for _, branch := range verify.OneOf {
			scheme, _ := branch.Properties["scheme"].(map[string]any)
			list, _ := scheme["enum"].([]any)
			if scheme["const"] != s.Name && !slices.Contains(list, any(s.Name)) {
				continue
			}
			found = true
			want, need := append([]string{"scheme"}, s.Keys...), append([]string{"scheme"}, s.Need...)
			if s.Connection {
				want, need = append(want, "connection"), append(need, "connection")
			}
			var got []string
			for key := range branch.Properties {
				got = append(got, key)
			}
			for _, pair := range [][2][]string{{want, got}, {need, branch.Required}} {
				slices.Sort(pair[0])
				slices.Sort(pair[1])
				if d := cmp.Diff(pair[0], pair[1]); d != "" {
					t.Errorf("%s: the table (-) and the schema (+)\n%s", s.Name, d)
				}
			}
		}
		if !found {
			t.Errorf("the schema does not have the scheme %s", s.Name)
		}
	}
	enum := slices.Sorted(slices.Values(verify.Properties["scheme"].Enum))
	if d := cmp.Diff(names, enum); d != "" {
		t.Errorf("the table (-) and the schema (+)\n%s", d)
	}
}

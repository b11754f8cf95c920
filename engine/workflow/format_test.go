package workflow_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func TestFormat(t *testing.T) {
	text, err := workflow.Format([]workflow.Entry{
		{"workflow", "w"},
		{"tests", [][]workflow.Entry{{
			{"name", "run 1: succeeded"},
			{"trigger", map[string]any{
				"body": map[string]any{"text": "two\nlines", "hash": "a #b", "no": "no", "n": 1.5, "list": []any{1, "x", map[string]any{"a": nil}}, "": "empty", "deep": map[string]any{"er": []any{}}},
			}},
			{"mocks", [][]workflow.Entry{}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `workflow: w
tests:
  - name: "run 1: succeeded"
    trigger:
      body:
        "": empty
        deep:
          er: []
        hash: "a #b"
        list:
          - 1
          - x
          - a: null
        "n": 1.5
        "no": "no"
        text: |-
          two
          lines
    mocks: []
`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
	var back any
	if err := yaml.Unmarshal([]byte(text), &back); err != nil {
		t.Error(err)
	}
}

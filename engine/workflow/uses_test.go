package workflow_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func TestConnections(t *testing.T) {
	w, problems := workflow.Parse("workflows/a.yaml", []byte(`
triggers:
  - webhook: {path: a, verify: {scheme: bearer, connection: sender}}
  - poll: {every: 5m, use: http.request, connection: source, with: {url: "https://a.example.com"}, key: item.id}
steps:
  - use: http.request
    connection: target
    with: {url: "https://b.example.com"}
    on_error:
      - {use: http.request, connection: fallback, with: {url: "https://c.example.com"}}
  - paths:
      - steps: [{use: http.request, connection: target, with: {url: "https://d.example.com"}}]
on_failure:
  - {use: http.request, connection: ops, with: {url: "https://e.example.com"}}
`))
	if w == nil {
		t.Fatal(problems)
	}
	if diff := cmp.Diff([]string{"fallback", "ops", "sender", "source", "target"}, w.Connections()); diff != "" {
		t.Error(diff)
	}
}

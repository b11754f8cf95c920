package workflow_test

import (
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func TestIDFromPath(t *testing.T) {
	for path, want := range map[string]string{
		"big-orders.yaml":                 "big-orders",
		"billing/invoice.yaml":            "billing/invoice",
		"a/b/c/0_9-x.yaml":                "a/b/c/0_9-x",
		strings.Repeat("a", 63) + ".yaml": strings.Repeat("a", 63),
	} {
		if got, err := workflow.IDFromPath(path); err != nil || got != want {
			t.Errorf("%q: %q, %v", path, got, err)
		}
	}
	for _, path := range []string{
		"", ".yaml", "a", "a.yml", "a.test.yaml", "A.yaml", "Big Orders.yaml", "../a.yaml", "a/../b.yaml", "./a.yaml", "/a.yaml", "a//b.yaml",
		"a/.yaml", "_a.yaml", "-a.yaml", "a.b.yaml", "a\x00.yaml", "a\n.yaml", "ä.yaml", "а.yaml", `a\b.yaml`, "C:a.yaml", "con.yaml",
		"a/nul/b.yaml", "lpt9.yaml", "a /b.yaml", "%2e%2e/a.yaml", "a.yaml/", "a.yaml.yaml", "..", "...yaml", "~/a.yaml",
		strings.Repeat("a", 64) + ".yaml", strings.Repeat("a/", 200) + "a.yaml", "$(id).yaml", "<script>.yaml", "a\u200b.yaml", "a\u202e.yaml",
	} {
		if got, err := workflow.IDFromPath(path); err == nil {
			t.Errorf("%q has the id %q", path, got)
		}
	}
}

func TestParseTakesTheIDFromTheName(t *testing.T) {
	for name, want := range map[string]string{
		"a.yaml":                        "a",
		"workflows/a/b.yaml":            "a/b",
		"/home/me/workflows/a/b.yaml":   "a/b",
		"/workflows/x/workflows/b.yaml": "b",
		"../other/a.yaml":               "a",
		"/tmp/a.yaml":                   "a",
		"billing/invoice":               "billing/invoice",
		"./a.yaml":                      "a",
	} {
		w, problems := workflow.Parse(name, []byte(smallest))
		if problems.Err() != nil || w.ID != want {
			t.Errorf("%q has the id %q, want %q: %v", name, w.ID, want, problems)
		}
	}
	if _, problems := workflow.Parse("Big Orders.yaml", []byte(smallest)); len(problems) != 1 || problems[0].Line != 0 {
		t.Errorf("a bad file name gives %v", problems)
	}
}

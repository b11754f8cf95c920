package workflow_test

import (
	"os"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func TestSetEnabled(t *testing.T) {
	const rest = "triggers: [{webhook: {}}]\nsteps: [{filter: true}]\n"
	for name, c := range map[string]struct {
		src    string
		enable bool
		want   string
	}{
		"off":              {"name: A\nenabled: true   # yes\n" + rest, false, "name: A\nenabled: false   # yes\n" + rest},
		"on":               {"enabled:  false\n" + rest, true, "enabled:  true\n" + rest},
		"as it is":         {"enabled: True\n" + rest, true, "enabled: True\n" + rest},
		"default on":       {rest, true, rest},
		"first":            {"# about\n\n" + rest, false, "# about\n\nenabled: false\n" + rest},
		"behind the name":  {"name: A # a\n" + rest, false, "name: A # a\nenabled: false\n" + rest},
		"long name":        {"name: >\n  A\n  b\n" + rest, false, "enabled: false\nname: >\n  A\n  b\n" + rest},
		"name in quotes":   {"name: 'A\n\n  b'\n" + rest, false, "enabled: false\nname: 'A\n\n  b'\n" + rest},
		"windows":          {"name: A\r\nsteps: [{filter: true}]\r\n", false, "name: A\r\nenabled: false\r\nsteps: [{filter: true}]\r\n"},
		"indented":         {"  name: A\n  tags: []\n", false, "  name: A\n  enabled: false\n  tags: []\n"},
		"no last line end": {"name: A\ntags: []", false, "name: A\nenabled: false\ntags: []"},
		"only a name":      {"name: A", false, "enabled: false\nname: A"},
		"behind ---":       {"---\ntags: []\n", false, "---\nenabled: false\ntags: []\n"},
		"braces":           {"{name: A, tags: []}", false, "{enabled: false, name: A, tags: []}"},
		"empty braces":     {"{ }", false, "{enabled: false }"},
		"in braces":        {`{"name": "é", "enabled": true}`, false, `{"name": "é", "enabled": false}`},
		"not a deeper one": {"name: A\nx: {enabled: true}\n", false, "name: A\nenabled: false\nx: {enabled: true}\n"},
		"mark":             {"\ufeffenabled: true\n", false, "\ufeffenabled: false\n"},
		"mark and name":    {"\ufeffname: a\ntags: []\n", false, "\ufeffname: a\nenabled: false\ntags: []\n"},
		"wide characters":  {"\"größe 🎉\": 1\nenabled: true\n", false, "\"größe 🎉\": 1\nenabled: false\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := workflow.SetEnabled([]byte(c.src), c.enable)
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v\nwant %q", got, err, c.want)
			}
		})
	}
	for _, src := range []string{"", "- a", "a: [", "enabled: maybe\n", "enabled: {a: 1}\n", "enabled:\n", `enabled: "true"`, "a: 1\na: 2\n" + strings.Repeat("#", 300<<10)} {
		if got, err := workflow.SetEnabled([]byte(src), false); err == nil {
			t.Errorf("%q became %q", src, got)
		}
	}
}

// Switching a good file off and on changes nothing but that key.
func TestSetEnabledOnGoodFiles(t *testing.T) {
	for _, path := range files(t, "good", 40) {
		if kindOf(path) == "test" {
			continue
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := workflow.Parse("a.yaml", src)
		off, err := workflow.SetEnabled(src, false)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		w, problems := workflow.Parse("a.yaml", off)
		if problems.Err() != nil || w.Enabled {
			t.Errorf("%s: enabled is %t: %v", path, w.Enabled, problems)
		}
		on, err := workflow.SetEnabled(off, true)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if w, problems := workflow.Parse("a.yaml", on); problems.Err() != nil || !w.Enabled {
			t.Errorf("%s: not enabled again: %v", path, problems)
		}
		if strings.Contains(string(src), "enabled: true") && before.Enabled && string(on) != string(src) {
			t.Errorf("%s: is not what it was", path)
		}
	}
}

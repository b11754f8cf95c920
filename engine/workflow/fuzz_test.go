package workflow_test

import (
	"os"
	"testing"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// FuzzParse reads any text as every kind of file. Whatever comes, there is no panic, each problem can be printed and
// has a place in the file, and switching a workflow on or off leaves it as good as it was.
func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		for _, path := range files(f, dir, 40) {
			src, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(src))
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		w, problems := workflow.Load("fuzz.yaml", []byte(src), catalog())
		_, more := workflow.ParseTest("fuzz.test.yaml", []byte(src))
		for _, p := range append(problems, more...) {
			if p.Line < 0 || p.Line > 0 && p.Column < 1 || p.Message == "" {
				t.Errorf("a problem at %d:%d: %q", p.Line, p.Column, p.Message)
			}
			if text := p.String(); utf8.ValidString(src) && !utf8.ValidString(text) {
				t.Errorf("not UTF-8: %q", text)
			}
		}
		if problems.Err() != nil {
			return
		}
		if w == nil {
			t.Fatal("neither a workflow nor a problem")
		}
		ids := map[string]bool{}
		check := func(s *workflow.Step) {
			if s.ID == "" || ids[s.ID] || s.Do == nil {
				t.Errorf("step %q is not whole", s.ID)
			}
			ids[s.ID] = true
		}
		workflow.Walk(w.Steps, check)
		workflow.Walk(w.OnFailure, check)
		off, err := workflow.SetEnabled([]byte(src), !w.Enabled)
		if err != nil {
			t.Fatalf("set enabled: %v", err)
		}
		again, problems := workflow.Parse("fuzz.yaml", off)
		if problems.Err() != nil || again.Enabled == w.Enabled {
			t.Fatalf("set enabled gave\n%s\n%v", off, problems)
		}
	})
}

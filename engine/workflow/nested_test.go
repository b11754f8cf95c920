package workflow_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// TestRenameLaw renames every trigger, step and field of a mapping in every file: there are no new problems, and back
// again the file is identical.
func TestRenameLaw(t *testing.T) {
	counts := map[string]int{}
	for name, src := range editFiles(t) {
		if _, problems := workflow.Parse(name, src); problems.Err() != nil {
			continue
		}
		outline, err := workflow.ReadOutline(src)
		if err != nil {
			t.Fatal(name, err)
		}
		try := func(kind string, there, back workflow.Op) {
			t.Helper()
			out, err := workflow.Edit(src, there)
			if err != nil {
				if !strings.Contains(err.Error(), "as a whole") {
					t.Errorf("%s: %v", name, err)
				}
				return
			}
			counts[kind]++
			if _, problems := workflow.Parse(name, out); problems.Err() != nil {
				t.Errorf("%s: %v: %v\n%s", name, there, problems, out)
			}
			if again, err := workflow.Edit(out, back); err != nil || !bytes.Equal(again, src) {
				t.Errorf("%s: %v and back: %v\n%s", name, there, err, again)
			}
		}
		outline.Each(func(e *workflow.OutlineEntry, list workflow.Path, _ int) bool {
			if e.ID == "" {
				return true
			}
			if list == "triggers" {
				try("trigger", workflow.RenameTrigger{Old: e.ID, New: "fresh_trigger"}, workflow.RenameTrigger{Old: "fresh_trigger", New: e.ID})
				return true
			}
			try("step", workflow.RenameStep{Old: e.ID, New: "fresh_step"}, workflow.RenameStep{Old: "fresh_step", New: e.ID})
			for _, f := range e.Fields {
				if f.Key != "set" {
					continue
				}
				for _, key := range keysOf(f.Value) {
					if key == "y" || key == "n" {
						continue // comes back in quotes: YAML 1.1 takes it for a truth value
					}
					path := f.Path + workflow.Path(fmt.Sprintf("[%q]", key))
					back := f.Path + ".fresh_field"
					try("field", workflow.RenameField{Path: path, New: "fresh_field"}, workflow.RenameField{Path: back, New: key})
				}
			}
			return true
		})
	}
	t.Log(counts)
	for kind, least := range map[string]int{"trigger": 3, "step": 20, "field": 20} {
		if counts[kind] < least {
			t.Errorf("only %d renames of a %s", counts[kind], kind)
		}
	}
}

// TestMoveBetweenLists takes every step out of its list into every other one that stands outside of it, and back.
func TestMoveBetweenLists(t *testing.T) {
	moved := 0
	for name, src := range editFiles(t) {
		outline, err := workflow.ReadOutline(src)
		if err != nil {
			t.Fatal(name, err)
		}
		lists := []workflow.Path{"steps", "on_failure"}
		outline.Each(func(e *workflow.OutlineEntry, _ workflow.Path, _ int) bool {
			for _, l := range e.Lists {
				lists = append(lists, l.Path)
			}
			return true
		})
		outline.Each(func(e *workflow.OutlineEntry, from workflow.Path, i int) bool {
			for _, to := range lists {
				if text, err := workflow.TextAt(src, to); err == nil && strings.HasPrefix(string(text), "[") {
					continue // a list in brackets has no place for the comments
				}
				if from == "triggers" || e.ID == "" || to == from || strings.HasPrefix(string(to), string(e.Path)) {
					continue
				}
				out, err := workflow.Edit(src, workflow.Move{From: e.Path, To: to + "[0]"})
				if err != nil {
					if strings.Contains(err.Error(), "refused") {
						t.Errorf("%s: %s to %s: %v", name, e.Path, to, err)
					}
					continue
				}
				moved++
				after, err := workflow.ReadOutline(out)
				if err != nil {
					t.Fatalf("%s: %s to %s: %v", name, e.Path, to, err)
				}
				found := false
				after.Each(func(x *workflow.OutlineEntry, _ workflow.Path, _ int) bool {
					if x.ID == e.ID && x.Content() == e.Content() && x.Note == e.Note {
						found = true
					}
					return !found
				})
				if !found {
					t.Errorf("%s: %s to %s: it is not as it was\n%s", name, e.Path, to, out)
				}
			}
			return true
		})
	}
	if moved < 50 {
		t.Errorf("only %d moves", moved)
	}
}

// keysOf are the keys of an object, in the order of its text.
func keysOf(object json.RawMessage) []string {
	d := json.NewDecoder(bytes.NewReader(object))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	var keys []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil
		}
		keys = append(keys, key.(string))
		var skip json.RawMessage
		if d.Decode(&skip) != nil {
			return nil
		}
	}
	return keys
}

package workflow_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// spot is a place in a file that can be edited.
type spot struct {
	path   workflow.Path
	list   workflow.Path // that it is an entry of; empty: none
	index  int
	length int // of the list
	line   int // in which it begins, from 0
	node   *yaml.Node
	parent *yaml.Node
}

// spots are all places of a file below its top.
func spots(t testing.TB, src []byte) []spot {
	t.Helper()
	src = bytes.Replace(src, []byte("%YAML 1.2"), []byte("%YAML 1.1"), 1)
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		t.Fatal(err)
	}
	var all []spot
	var walk func(n *yaml.Node, at workflow.Path)
	walk = func(n *yaml.Node, at workflow.Path) {
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			path := at + workflow.Path("["+strconv.Quote(n.Content[i].Value)+"]")
			all = append(all, spot{path: path, node: n.Content[i+1], parent: n, line: n.Content[i].Line - 1})
			walk(n.Content[i+1], path)
		}
		for i, c := range n.Content {
			if n.Kind == yaml.SequenceNode {
				path := at + workflow.Path(fmt.Sprintf("[%d]", i))
				all = append(all, spot{path, at, i, len(n.Content), c.Line - 1, c, n})
				walk(c, path)
			}
		}
	}
	walk(doc.Content[0], "")
	return all
}

// values are set and inserted.
var values = []any{
	"plain", "", "true", "a: b # c", "${{ trigger.body.x }}", "it's \"both\"", "two\nlines\n", "  spaces ", "\u00e9 \U0001F680 \x07", 42, -0.5, true, nil,
	[]any{1, "b"},
	[]any{},
	map[string]any{},
	map[string]any{"id": "fresh", "set": map[string]any{"a": "x\ny", "b": []any{map[string]any{"c": 1}, []any{"d"}}}},
	workflow.Text("{a: 1, b: [x]}"), workflow.Text("# above\nid: fresh2   # id\n# between\nset: {a: 1}   # set"),
}

// untouched fails when a line of the old text is gone or changed that is not among the touched ones, from 0.
func untouched(t *testing.T, what string, old, edited []byte, first, last int) {
	t.Helper()
	before, after := strings.Split(string(old), "\n"), strings.Split(string(edited), "\n")
	rest := len(before) - last - 1
	if len(after) < first+rest || !slices.Equal(before[:first], after[:first]) || !slices.Equal(before[last+1:], after[len(after)-rest:]) {
		t.Errorf("%s changed a line outside %d to %d:\n%s\n--- was\n%s", what, first+1, last+1, edited, old)
	}
}

// edit makes an edit; nil when it is refused for a reason that is no fault of Edit.
func edit(t *testing.T, what string, src []byte, ops ...workflow.Op) []byte {
	t.Helper()
	out, err := workflow.Edit(src, ops...)
	if err == nil {
		return out
	}
	if !bytes.Equal(out, src) {
		t.Errorf("%s failed and changed the text", what)
	}
	var refused *workflow.EditError
	if !errors.As(err, &refused) || strings.Contains(err.Error(), "refused") {
		t.Errorf("%s: %v\n%s", what, err, src)
	}
	return nil
}

// TestEditLaws makes every edit at every place of every file.
func TestEditLaws(t *testing.T) {
	counts := map[string]int{}
	defer func() { t.Log(counts) }()
	for name, src := range editFiles(t) {
		all, lines := spots(t, src), strings.Split(string(src), "\n")
		some := raceDetector || len(all) > 90 // of the values: the time grows with the square of the file
		for i, s := range all {
			what := name + ": " + string(s.path)
			own, err := workflow.TextAt(src, s.path)
			if err != nil {
				t.Fatal(what, err)
			}
			// From the line that it begins in to the line before the next thing outside of it.
			first, last := s.line, strings.Count(string(src), "\n")
			for s.list != "" && s.parent.Style&yaml.FlowStyle == 0 && !strings.HasPrefix(strings.TrimLeft(lines[first], " "), "-") {
				first-- // to the dash
			}
			for _, later := range all[i+1:] {
				if !strings.HasPrefix(string(later.path), string(s.path)) {
					last = max(later.line-1, first)
					break
				}
			}
			for j, v := range values {
				if text, ok := v.(workflow.Text); ok && strings.HasPrefix(string(text), "#") || some && j%6 != 0 {
					continue
				}
				on := fmt.Sprintf("%s set to value %d", what, j)
				out := edit(t, on, src, workflow.Put{Path: s.path, Value: v})
				if out == nil {
					counts["set refused"]++
					continue
				}
				counts["set"]++
				untouched(t, on, src, out, first, last)
				if text, ok := v.(string); ok {
					holds(t, on, all, spots(t, out), s.path, text)
				}
				if s.node.Kind == yaml.ScalarNode && s.node.Value != "" {
					if back := edit(t, on+" and back", out, workflow.Put{Path: s.path, Value: own}); back != nil {
						counts["set and back"]++
						if !bytes.Equal(back, src) {
							counts["set and back differs"]++
							if j < 6 && !strings.Contains(string(own), "\n") {
								t.Errorf("%s and back by %q gives\n%s\n--- was\n%s", on, own, back, src)
							}
						}
					}
				}
			}
			if out := edit(t, what+" deleted", src, workflow.Delete{Path: s.path}); out != nil {
				counts["delete"]++
				if s.list != "" && s.length > 1 {
					back := edit(t, what+" deleted and back", out, workflow.Insert{Path: s.list, At: s.index, Value: own})
					if counts["delete and back"]++; back != nil && !bytes.Equal(back, src) {
						counts["delete and back differs in empty lines"]++
					}
					if back != nil && own != "" && name != "12_comments.yaml" && // its comments between the entries stay
						s.parent.Style&yaml.FlowStyle == 0 && !strings.HasSuffix(lines[first], "-") && !strings.Contains(lines[first], "-   #") &&
						!slices.Equal(full(back), full(src)) {
						t.Errorf("%s deleted and back by %q gives\n%s\n--- was\n%s", what, own, back, src)
					}
				}
			}
			if s.list == "" {
				continue
			}
			for j, v := range values {
				if some && j%6 != 0 {
					continue
				}
				on := fmt.Sprintf("%s: value %d inserted", what, j)
				for at := s.index; at <= s.length && (at == s.index || at == s.length && s.index == s.length-1); at++ {
					out := edit(t, on, src, workflow.Insert{Path: s.list, At: at, Value: v})
					if out == nil {
						counts["insert refused"]++
						continue
					}
					counts["insert"]++
					if s.parent.Style&yaml.FlowStyle == 0 && bytes.HasSuffix(src, []byte("\n")) {
						kept(t, on, src, out)
					}
					back := edit(t, on+" and deleted", out, workflow.Delete{Path: s.list + workflow.Path(fmt.Sprintf("[%d]", at))})
					if j == len(values)-1 && s.parent.Column != 1 && bytes.Contains(out, []byte("- # above")) {
						continue // a comment behind a dash stays
					}
					if back != nil && !bytes.Equal(back, src) {
						t.Errorf("%s and deleted gives\n%s\n--- with it\n%s--- was\n%s", on, back, out, src)
					}
				}
			}
			for to := range s.length {
				on := fmt.Sprintf("%s moved to %d", what, to)
				target := s.list + workflow.Path(fmt.Sprintf("[%d]", to))
				if out := edit(t, on, src, workflow.Move{From: s.path, To: target}); out != nil {
					counts["move"]++
					if back := edit(t, on+" and back", out, workflow.Move{From: target, To: s.path}); !bytes.Equal(back, src) {
						t.Errorf("%s and back gives\n%s\n--- moved\n%s--- was\n%s", on, back, out, src)
					}
				}
			}
		}
		w, problems := workflow.Parse(name, src)
		if problems.Err() != nil {
			continue
		}
		workflow.Walk(append(w.Steps, w.OnFailure...), func(s *workflow.Step) {
			if !s.Named {
				return
			}
			out, err := workflow.Edit(src, workflow.RenameStep{Old: s.ID, New: "renamed_" + s.ID})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			counts["rename"]++
			if bytes.Count(out, []byte("\n")) != bytes.Count(src, []byte("\n")) {
				t.Errorf("%s: renaming %s changed the number of lines", name, s.ID)
			}
			if back := edit(t, "rename back", out, workflow.RenameStep{Old: "renamed_" + s.ID, New: s.ID}); !bytes.Equal(back, src) {
				t.Errorf("%s: renaming %s and back gives\n%s", name, s.ID, back)
			}
		})
	}
	for _, least := range []string{"set", "insert", "delete", "move", "rename"} {
		if counts[least] < 20 {
			t.Errorf("only %d edits of the kind %s", counts[least], least)
		}
	}
}

// full are the lines of a text that are not empty.
func full(src []byte) []string {
	return slices.DeleteFunc(strings.Split(string(src), "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
}

// holds fails when the place does not have the text, or another place has changed.
func holds(t *testing.T, what string, before, after []spot, at workflow.Path, text string) {
	t.Helper()
	others := func(spots []spot) map[workflow.Path]string {
		all := map[workflow.Path]string{}
		for _, s := range spots {
			if !strings.HasPrefix(string(s.path), string(at)) {
				all[s.path] = s.node.Tag + s.node.Value
			}
		}
		return all
	}
	if !maps.Equal(others(before), others(after)) {
		t.Errorf("%s changed another value", what)
	}
	i := slices.IndexFunc(after, func(s spot) bool { return s.path == at })
	if i < 0 || after[i].node.Value != text || after[i].node.ShortTag() != "!!str" {
		t.Errorf("%s: the value is not %q", what, text)
	}
}

// kept fails when a line of the old text is not in the new one, in the old order.
func kept(t *testing.T, what string, old, edited []byte) {
	t.Helper()
	after := strings.Split(string(edited), "\n")
	for i, line := range strings.Split(string(old), "\n") {
		j := slices.Index(after, line)
		if j < 0 {
			if strings.Contains(line, "- ") || strings.HasSuffix(line, "-") { // `- - a`: the new entry takes the first dash
				continue
			}
			t.Errorf("%s lost line %d:\n%s\n--- was\n%s", what, i+1, edited, old)
			return
		}
		after = after[j+1:]
	}
}

// TestEditRandom makes rows of random edits and takes each row back from its end.
func TestEditRandom(t *testing.T) {
	all := editFiles(t)
	names := slices.Sorted(maps.Keys(all))
	random := rand.New(rand.NewPCG(1, 2))
	made := 0
	for made < 400 {
		name := names[random.IntN(len(names))]
		src := all[name]
		for range 8 {
			places := spots(t, src)
			s := places[random.IntN(len(places))]
			v := values[random.IntN(len(values))]
			var op workflow.Op = workflow.Put{Path: s.path, Value: v}
			switch n := random.IntN(4); {
			case n == 0:
				op = workflow.Delete{Path: s.path}
			case n == 1 && s.list != "":
				op = workflow.Insert{Path: s.list, At: random.IntN(s.length + 1), Value: v}
			case n == 2 && s.list != "":
				op = workflow.Move{From: s.path, To: s.list + workflow.Path(fmt.Sprintf("[%d]", random.IntN(s.length)))}
			}
			out := edit(t, fmt.Sprintf("%s: %v", name, op), src, op)
			if out == nil {
				continue
			}
			made++
			src = out
			if len(spots(t, src)) == 0 {
				break
			}
		}
	}
}

// FuzzEdit edits any text by any op. The text that comes back is the old one, or can be edited again.
func FuzzEdit(f *testing.F) {
	for _, src := range editFiles(f) {
		f.Add(string(src), uint8(0), uint16(3), uint8(2), "value")
		f.Add(string(src), uint8(3), uint16(9), uint8(1), "# c\nb: ${{ steps.a }}")
	}
	f.Fuzz(func(t *testing.T, src string, kind uint8, where uint16, at uint8, text string) {
		var doc yaml.Node
		if _, err := workflow.TextAt([]byte(src), "name"); workflow.AsProblems(err) != nil || yaml.Unmarshal([]byte(src), &doc) != nil {
			return
		}
		places := spots(t, []byte(src))
		if len(places) == 0 {
			return
		}
		s := places[int(where)%len(places)]
		var value any = text
		if kind&8 != 0 {
			value = workflow.Text(text)
		} else if kind&16 != 0 {
			value = map[string]any{text: []any{text, map[string]any{"a": text}}}
		}
		var op workflow.Op
		switch kind & 7 {
		case 0, 1:
			op = workflow.Put{Path: s.path, Value: value}
		case 2:
			op = workflow.Delete{Path: s.path}
		case 3, 4:
			op = workflow.Insert{Path: s.list, At: int(at), Value: value}
		case 5:
			op = workflow.Move{From: s.path, To: s.list + workflow.Path(fmt.Sprintf("[%d]", at))}
		case 6:
			op = workflow.Put{Path: s.path + workflow.Path("["+strconv.Quote(text)+"]"), Value: value}
		default:
			op = workflow.RenameStep{Old: s.node.Value, New: text}
		}
		out, err := workflow.Edit([]byte(src), op)
		if err != nil {
			if string(out) != src {
				t.Errorf("%v failed and changed the text", op)
			}
			return
		}
		if set, ok := op.(workflow.Put); ok && set.Path == s.path && kind&24 == 0 && utf8.ValidString(text) && string(out) != src {
			holds(t, fmt.Sprint(op), places, spots(t, out), s.path, text)
		}
		if _, err := workflow.TextAt(out, "name"); workflow.AsProblems(err) != nil {
			t.Errorf("%v gave a text that cannot be read: %v\n%s", op, err, out)
		}
	})
}

// BenchmarkEdit changes a file of 500 lines.
func BenchmarkEdit(b *testing.B) {
	var src strings.Builder
	src.WriteString("name: Large\ntriggers:\n  - webhook: {}\nsteps:\n")
	for i := 0; strings.Count(src.String(), "\n") < 500; i++ {
		fmt.Fprintf(&src, "  # step %d\n  - id: s%d\n    use: http.request   # call\n    with:\n      url: https://example.com/%d\n", i, i, i)
		fmt.Fprintf(&src, "      json:\n        text: \"a ${{ trigger.body.a }} b ${{ steps.s%d.body.b }}\"\n    on_error: continue\n\n", max(i-1, 0))
		if i == 0 {
			all := strings.Replace(src.String(), "${{ steps.s0.body.b }}", "", 1)
			src.Reset()
			src.WriteString(all)
		}
	}
	for name, op := range map[string]workflow.Op{
		"set": workflow.Put{Path: "steps.s30.with.json.text", Value: "new ${{ trigger.id }}"}, "rename": workflow.RenameStep{Old: "s30", New: "other"},
		"move": workflow.Move{From: "steps[55]", To: "steps[3]"}, "insert": workflow.Insert{Path: "steps", At: 9, Value: workflow.Text("set: {a: 1}")},
		"delete": workflow.Delete{Path: "steps[50]"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := workflow.Edit([]byte(src.String()), op); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

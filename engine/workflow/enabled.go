package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// SetEnabled returns the text of a workflow file with `enabled` set. Every other byte stays as it is. The error is
// Problems when the text cannot be read.
func SetEnabled(src []byte, enabled bool) ([]byte, error) {
	r := newReporter("the workflow", src)
	root := r.document(src, "workflow")
	if root == nil || r.count() > 0 {
		return nil, r.finish()
	}
	word := fmt.Sprint(enabled)
	var out []byte
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "enabled" {
			continue
		}
		val := root.Content[i+1]
		old, _, _ := scalar(val)
		if _, ok := old.(bool); !ok || val.Kind != yaml.ScalarNode {
			r.errorf(place(val), "write true or false", "enabled is true or false, this is %s", describe(val))
			return nil, r.finish()
		}
		if old == enabled {
			return src, nil
		}
		at := r.offset(place(val))
		out = splice(src, at, at+len(val.Value), word)
	}
	if out == nil {
		if enabled {
			return src, nil // the default
		}
		out = r.insertEnabled(src, root, word)
	}
	if len(out) > MaxSource {
		return nil, errors.New("set enabled: the file would be too large")
	}
	return out, nil
}

// insertEnabled adds the key behind the name where that stands in one line, else as the first key.
func (r *reporter) insertEnabled(src []byte, root *yaml.Node, word string) []byte {
	if root.Style&yaml.FlowStyle != 0 {
		at := r.offset(place(root)) + 1 // behind the brace
		comma := ", "
		if len(root.Content) == 0 {
			comma = ""
		}
		return splice(src, at, at, "enabled: "+word+comma)
	}
	end := "\n"
	if bytes.Contains(src, []byte("\r\n")) {
		end = "\r\n"
	}
	first := root.Content[0]
	indent := strings.Repeat(" ", first.Column-1)
	if first.Value == "name" && len(root.Content) > 2 {
		if next := root.Content[2]; next.Line > first.Line && r.end(root.Content[1]).Line == first.Line {
			at := r.offset(Position{first.Line + 1, 1})
			return splice(src, at, at, indent+"enabled: "+word+end)
		}
	}
	at := r.offset(place(first))
	return splice(src, at, at, "enabled: "+word+end+indent)
}

// offset is the index in the source of a place.
func (r *reporter) offset(at Position) int {
	i := r.skipped
	for _, line := range r.lines[:at.Line-1] {
		i += len(line) + 1
	}
	if at.Line > len(r.lines) {
		return i
	}
	return i + offset(r.lines[at.Line-1], 1, at.Column)
}

func splice(src []byte, from, to int, text string) []byte {
	out := make([]byte, 0, len(src)+len(text))
	out = append(out, src[:from]...)
	out = append(out, text...)
	return append(out, src[to:]...)
}

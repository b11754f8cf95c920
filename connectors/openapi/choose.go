package openapi

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// choose returns the operations that the patterns mean, in the order of the document. A pattern is an operation id
// or the id of an action, a tag, "METHOD /path" where * stands for anything, or * for all.
func (d *Document) choose(patterns []string) ([]*operation, error) {
	chosen := map[*operation]bool{}
	for _, pattern := range patterns {
		found := false
		for _, op := range d.ops {
			if matches(pattern, op) {
				chosen[op], found = true, true
			}
		}
		if !found {
			hint := ""
			if near := d.nearest(pattern); near != "" {
				hint = fmt.Sprintf("; is %q meant?", near)
			}
			return nil, fmt.Errorf("%q chooses nothing: it is no operation id, tag or pattern like \"GET /v1/things/*\" of this document%s", clip(pattern), hint)
		}
	}
	var list []*operation
	for _, op := range d.ops {
		if chosen[op] {
			list = append(list, op)
		}
	}
	return list, nil
}

func matches(pattern string, op *operation) bool {
	pattern = strings.TrimSpace(pattern)
	if pattern == "*" || pattern == op.id || pattern == op.node.text("operationId") || slices.Contains(op.tags, pattern) {
		return pattern != ""
	}
	if method, want, ok := strings.Cut(pattern, " "); ok && (method == "*" || strings.EqualFold(method, op.method)) {
		want = strings.TrimSpace(want)
		return want == op.path || glob(want, op.path)
	}
	if strings.HasPrefix(pattern, "/") {
		return glob(pattern, op.path)
	}
	return strings.Contains(pattern, "*") && (glob(pattern, op.node.text("operationId")) || glob(pattern, op.id))
}

// glob matches with * for any characters, slashes too.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	if len(s) < len(parts[0]) || s[:len(parts[0])] != parts[0] {
		return false
	}
	s = s[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

// nearest is the operation or tag whose name begins or ends like a pattern that chose nothing.
func (d *Document) nearest(pattern string) string {
	want := slug(path.Base(pattern))
	if want == "" {
		return ""
	}
	for _, op := range d.ops {
		for _, name := range append([]string{op.name()}, op.tags...) {
			if have := slug(name); strings.EqualFold(name, pattern) || have == want || len(want) > 3 && strings.Contains(have, want) {
				return name
			}
		}
	}
	return ""
}

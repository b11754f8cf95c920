package draft_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/draft"
)

func TestWhatAnAnswerOffers(t *testing.T) {
	for _, tt := range []struct {
		name, output string
		lists        []draft.FoundList
	}{
		{"the answer itself", `[1, 2]`, []draft.FoundList{{"output", 2}}},
		{"outer ones first", `{"headers": {"a": [1]}, "body": {"data": {"b c": [1], "in": []}, "z": [1, 2, 3]}}`, []draft.FoundList{{"output.body.z", 3}, {`output.body.data["b c"]`, 1}, {`output.body.data["in"]`, 0}}},
		{"none", `{"body": "text"}`, []draft.FoundList{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var output any
			if err := json.Unmarshal([]byte(tt.output), &output); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.lists, draft.ListsIn(output)); diff != "" {
				t.Error(diff)
			}
		})
	}
	item := func(id, kind any) any { return map[string]any{"kind": kind, "uuid": id, "a": id, "list": []any{}} }
	for _, tt := range []struct {
		name  string
		items []any
		want  []string
	}{
		{"what differs, the id first", []any{item("1", "x"), item("2", "x")}, []string{"item.uuid", "item.a"}},
		{"an item without it", []any{item("1", "x"), item(nil, "y")}, []string{"item.kind"}},
		{"no objects", []any{"a", "b"}, []string{}},
		{"nothing", nil, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, draft.KeysOf(tt.items)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

package expression_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

func TestTemplate(t *testing.T) {
	env := environment(t)
	tests := []struct{ src, want string }{
		{`plain`, `"plain"`},
		{``, `""`},
		{`${{ trigger.body.total }}`, `129`},
		{`${{trigger.body.total}}`, `129`},
		{` ${{ trigger.body.total }}`, `" 129"`},
		{`${{ trigger.body.customer.tags }}`, `["vip","new"]`},
		{`${{ trigger.body.nope }}`, `null`},
		{`${{ true }}`, `true`},
		{"${{\n  trigger.body.total\n}}", `129`},
		{`Total: ${{ trigger.body.total }} ${{ trigger.body.currency }}`, `"Total: 129 EUR"`},
		{`${{ 1 }}${{ 2 }}`, `"12"`},
		{`[${{ trigger.body.nope }}]`, `"[]"`},
		{`[${{ 0.5 }}]`, `"[0.5]"`},
		{`[${{ 6 / 2 }}]`, `"[3]"`},
		{`[${{ trigger.body.vip }}]`, `"[true]"`},
		{`tags: ${{ trigger.body.customer.tags }}`, `"tags: [\"vip\",\"new\"]"`},
		{`${{ trigger.body.customer }}!`, `"{\"name\":\"Ada Lovelace\",\"tags\":[\"vip\",\"new\"]}!"`},
		{`at ${{ now() }}`, `"at 2026-03-01T10:00:00+01:00"`},
		{`${{ now() }}`, `"2026-03-01T10:00:00+01:00"`},
		{`$${{ trigger.body.total }}`, `"${{ trigger.body.total }}"`},
		{`a $${{ x }} ${{ 1 }} $${{`, `"a ${{ x }} 1 ${{"`},
		{`$${{ '}}' }}${{ 1 }}`, `"${{ '}}' }}1"`},
		{`costs $5 and {{ x }} and $ {{ and }}`, `"costs $5 and {{ x }} and $ {{ and }}"`},
		{`${{ "}}" }}`, `"}}"`},
		{`${{ '}}' + "}}" }}!`, `"}}}}!"`},
		{"${{ `}}` }}", `"}}"`},
		{`${{ "\"}}" }}`, `"\"}}"`},
		{`${{ {a: {b: 1}} }}`, `{"a":{"b":1}}`},
		{`${{ {a: {b: 1}}}}`, `{"a":{"b":1}}`},
		{`${{ {a: {b: 1}}.a.b }}}`, `"1}"`},
		{`${{ "${{ 1 }}" }}`, `"${{ 1 }}"`},
		{`${{ 1 /* }} */ + 1 }}`, ``}, // a comment does not hide the end: "1 /*" is the expression
	}
	for _, tt := range tests {
		t.Run(tt.src, func(t *testing.T) {
			template, err := expression.CompileTemplate(tt.src, scope)
			if tt.want == "" {
				if err == nil {
					t.Fatal("no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			v, err := template.Eval(context.Background(), env)
			if err != nil {
				t.Fatal(err)
			}
			got, err := value.AppendJSON(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if template.Source() != tt.src {
				t.Errorf("Source is %q", template.Source())
			}
		})
	}
}

// TestDataIsNeverEvaluatedTwice is T-26: what stands in data arrives as it is.
func TestDataIsNeverEvaluatedTwice(t *testing.T) {
	for _, data := range []string{`${{ 7*7 }}`, `$${{ 7*7 }}`, `{{ 7*7 }}`, `${7*7}`, `#{7*7}`, `<%= 7*7 %>`} {
		env := &expression.Env{Roots: map[string]any{"trigger": data}}
		for src, want := range map[string]string{
			`${{ trigger }}`: data, `a ${{ trigger }} b`: "a " + data + " b", `${{ upper(trigger) }}`: strings.ToUpper(data),
		} {
			template, err := expression.CompileTemplate(src, scope)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := template.Eval(context.Background(), env); err != nil || got != want {
				t.Errorf("%s with %q: got %q, %v", src, data, got, err)
			}
		}
	}
}

func TestTemplateErrors(t *testing.T) {
	env := environment(t)
	tests := []struct {
		src, want    string
		line, column int
	}{
		{`${{ trigger.body.total`, "${{ has no closing }}", 1, 1},
		{"a\nb ${{ 1", "${{ has no closing }}", 2, 3},
		{`${{ }}`, "the expression is empty", 1, 4},
		{"one\n two ${{ stepz.x }}", "unknown name stepz", 2, 10},
		{"é ${{ 1 }} ${{ trigger. }}", "the expression ends too early", 1, 24},
		{"ok\n${{ trigger.body.nope > 1 }}", "trigger.body.nope is missing", 2, 23},
		{"ok ${{\n  1 + trigger.body.nope }} x", "trigger.body.nope is missing", 2, 5},
		{"${{ {a: 1 }}", "the expression ends too early", 1, 10},
		{`${{ "abc }}`, "the text has no closing quote", 1, 10},
	}
	for _, tt := range tests {
		t.Run(tt.src, func(t *testing.T) {
			template, err := expression.CompileTemplate(tt.src, scope)
			if err == nil {
				_, err = template.Eval(context.Background(), env)
			}
			var e *expression.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(e.Message, tt.want) || e.Line != tt.line || e.Column != tt.column {
				t.Errorf("got %d:%d %s, want %d:%d %s", e.Line, e.Column, e.Message, tt.line, tt.column, tt.want)
			}
		})
	}
}

func TestTemplateRefs(t *testing.T) {
	template, err := expression.CompileTemplate("é ${{ trigger.a }}\n${{ 1 +\n steps.b.c }}", scope)
	if err != nil {
		t.Fatal(err)
	}
	want := []expression.Ref{
		{Path: []string{"trigger", "a"}, Line: 1, Column: 7},
		{Path: []string{"steps", "b", "c"}, Line: 3, Column: 2},
	}
	if diff := cmp.Diff(want, template.Refs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// leaf makes a Tree of one template.
func leaf(t testing.TB, src string) *expression.Tree {
	t.Helper()
	template, err := expression.CompileTemplate(src, scope)
	if err != nil {
		t.Fatal(err)
	}
	return &expression.Tree{Template: template}
}

func TestTree(t *testing.T) {
	env := environment(t)
	literal := map[string]any{"x": []any{1}}
	tree := &expression.Tree{IsMap: true, Fields: []expression.Field{
		{Key: "total", Value: leaf(t, "${{ trigger.body.total }}")},
		{Key: "gone", Value: leaf(t, "${{ trigger.body.nope }}")},
		{Key: "list", Value: &expression.Tree{List: []*expression.Tree{leaf(t, "${{ nil }}"), leaf(t, "a ${{ 1 }}"), {Literal: 7}}}},
		{Key: "none", Value: &expression.Tree{List: []*expression.Tree{}}},
		{Key: "empty", Value: &expression.Tree{IsMap: true}},
		{Key: "literal", Value: &expression.Tree{Literal: literal}},
		{Key: "shared", Value: leaf(t, "${{ trigger.body.customer }}")},
		{Key: "ids", Value: leaf(t, "${{ [uuid(), uuid()] }}")},
		{Key: "id", Value: leaf(t, "${{ uuid() }}")},
	}}
	v, err := tree.Eval(context.Background(), env)
	if err != nil {
		t.Fatal(err)
	}
	got := v.(map[string]any)
	ids, id := got["ids"].([]any), got["id"]
	if ids[0] == ids[1] || ids[0] == id || ids[1] == id {
		t.Errorf("identifiers of one evaluation are equal: %v, %v", ids, id)
	}
	delete(got, "ids")
	delete(got, "id")
	want := map[string]any{
		"total": 129, "gone": nil, "list": []any{nil, "a 1", 7}, "none": []any{}, "empty": map[string]any{},
		"literal": map[string]any{"x": []any{1}},
		"shared":  map[string]any{"name": "Ada Lovelace", "tags": []any{"vip", "new"}},
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// The result is fresh: changing it changes neither the data nor the tree.
	got["shared"].(map[string]any)["tags"].([]any)[0] = "old"
	got["literal"].(map[string]any)["x"].([]any)[0] = 2
	if tag, _ := evaluate(t, env, "trigger.body.customer.tags[0]"); tag != "vip" || literal["x"].([]any)[0] != 1 {
		t.Error("the result shares memory with what it was made of")
	}
	if paths := len(tree.Refs()); paths != 3 {
		t.Errorf("got %d refs, want 3", paths)
	}
	var none *expression.Tree
	if v, err := none.Eval(context.Background(), env); v != nil || err != nil || none.Refs() != nil {
		t.Errorf("an absent tree gave %v, %v", v, err)
	}
}

func TestTreeErrorsNameTheField(t *testing.T) {
	tree := &expression.Tree{IsMap: true, Fields: []expression.Field{{Key: "lines", Value: &expression.Tree{
		List: []*expression.Tree{leaf(t, "ok"), leaf(t, "x\n${{ trigger.body.nope * 2 }}")},
	}}}}
	_, err := tree.Eval(context.Background(), environment(t))
	var e *expression.Error
	if !errors.As(err, &e) || e.Message != "lines: [1]: trigger.body.nope is missing" || e.Line != 2 {
		t.Errorf("got %#v", err)
	}
}

// TestTreeHasOneBudget shows that many expressions of one step do not have many budgets.
func TestTreeHasOneBudget(t *testing.T) {
	tree := &expression.Tree{}
	for range 100 {
		tree.List = append(tree.List, leaf(t, `${{ count(1..100000, # > 0) }}`))
	}
	var err error
	took, _ := cost(func() { _, err = tree.Eval(context.Background(), nil) })
	if err == nil || took > limitTime*slow() {
		t.Errorf("it took %v and gave the error %v", took, err)
	}
}

func TestExplain(t *testing.T) {
	env := environment(t)
	long := strings.Repeat("x", 5000)
	env.Roots["item"] = map[string]any{"text": long, "list": []any{long, long}, "quotes": strings.Repeat(`"`, 2000)}
	tests := []struct {
		src  string
		want []expression.Comparison
	}{
		{`trigger.body.total >= 200`, []expression.Comparison{
			{Source: "trigger.body.total >= 200", Left: 129, Op: ">=", Right: 200},
		}},
		{`trigger.body.vip and (trigger.body.total<200) && trigger.body.currency == "USD"`, []expression.Comparison{
			{Source: "trigger.body.vip", Left: true, Result: true},
			{Source: "trigger.body.total<200", Left: 129, Op: "<", Right: 200, Result: true},
			{Source: `trigger.body.currency == "USD"`, Left: "EUR", Op: "==", Right: "USD"},
		}},
		{`trigger.body.total < 1 and trigger.body.nope > 3`, []expression.Comparison{
			{Source: "trigger.body.total < 1", Left: 129, Op: "<", Right: 1},
		}},
		{`(trigger.body.total < 1 or trigger.body.total > 1000) or trigger.body.nope`, []expression.Comparison{
			{Source: "trigger.body.total < 1", Left: 129, Op: "<", Right: 1},
			{Source: "trigger.body.total > 1000", Left: 129, Op: ">", Right: 1000},
			{Source: "trigger.body.nope"},
		}},
		{`not (trigger.body.total > 100)`, []expression.Comparison{
			{Source: "trigger.body.total > 100", Left: 129, Op: ">", Right: 100, Result: true},
		}},
		{`!trigger.body.vip`, []expression.Comparison{{Source: "trigger.body.vip", Left: true, Result: true}}},
		{`200 < trigger.body.total < 300`, []expression.Comparison{
			{Source: "200 < trigger.body.total", Left: 200, Op: "<", Right: 129},
		}},
		{`let t = trigger.body.total; t > 200`, []expression.Comparison{{Source: "t > 200", Left: 129, Op: ">", Right: 200}}},
		{`"vip" in trigger.body.customer.tags`, []expression.Comparison{
			{Source: `"vip" in trigger.body.customer.tags`, Left: "vip", Op: "in", Right: []any{"vip", "new"}, Result: true},
		}},
		{`trigger.body.currency not contains "E"`, []expression.Comparison{
			{Source: `trigger.body.currency contains "E"`, Left: "EUR", Op: "contains", Right: "E", Result: true},
		}},
		{`trigger.body.currency matches "^U"`, []expression.Comparison{
			{Source: `trigger.body.currency matches "^U"`, Left: "EUR", Op: "matches", Right: "^U"},
		}},
		{`any(trigger.body.numbers, # > 5)`, []expression.Comparison{{Source: `any(trigger.body.numbers, # > 5)`, Left: false}}},
		{`trigger.body.nope > 5`, []expression.Comparison{{Source: `trigger.body.nope > 5`, Op: ">", Right: 5}}},
		{`now() > date("2027-01-01")`, []expression.Comparison{{
			Source: `now() > date("2027-01-01")`,
			Left:   "2026-03-01T10:00:00+01:00", Op: ">", Right: "2027-01-01T00:00:00+01:00",
		}}},
		{`"é" == "e" or (trigger.id == "x")`, []expression.Comparison{
			{Source: `"é" == "e"`, Left: "é", Op: "==", Right: "e"}, {Source: `trigger.id == "x"`, Left: "order", Op: "==", Right: "x"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.src, func(t *testing.T) {
			p, err := expression.Compile(tt.src, scope)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, p.Explain(context.Background(), env)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("bounds", func(t *testing.T) {
		src := `item.text == "" or item.list == [] or item.quotes == "" or ` + strings.Repeat("trigger.body.total < 0 or ", 30) + "false"
		p, err := expression.Compile(src, scope)
		if err != nil {
			t.Fatal(err)
		}
		list := p.Explain(context.Background(), env)
		if len(list) != 20 {
			t.Errorf("got %d comparisons, want 20", len(list))
		}
		for _, c := range list[:3] {
			if text, err := value.AppendJSON(nil, c.Left); err != nil || len(text) > 1<<10+10 || len(text) < 900 {
				t.Errorf("%s: a value has %d bytes, %v", c.Source, len(text), err)
			}
		}
	})
}

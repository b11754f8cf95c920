package expression_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// TestRows shows what each test is as an expression, in both directions, and in words.
func TestRows(t *testing.T) {
	row := func(kind, field, test string, v any) expression.Row {
		return expression.Row{Type: kind, Field: field, Test: test, Value: v}
	}
	nocase := func(r expression.Row) expression.Row { r.IgnoreCase = true; return r }
	empty := func(r expression.Row) expression.Row { r.Empty = true; return r }
	all := func(rows ...expression.Row) *expression.Rows { return &expression.Rows{Match: "all", Items: rows} }
	any := func(rows ...expression.Row) *expression.Rows { return &expression.Rows{Match: "any", Items: rows} }
	group := func(r *expression.Rows) expression.Row { return expression.Row{Group: r} }
	for _, test := range []struct {
		expr, words string
		rows        *expression.Rows
	}{
		{`a == "x"`, "A is x", all(row("text", "a", "is", "x"))},
		{`trigger.body.kind != "x"`, "Kind is not x", all(row("text", "trigger.body.kind", "is_not", "x"))},
		{`a contains "x"`, "A contains x", all(row("text", "a", "contains", "x"))},
		{`not (a contains "x")`, "A does not contain x", all(row("text", "a", "not_contains", "x"))},
		{`lower(a) contains "x"`, "A contains x", all(nocase(row("text", "a", "contains", "x")))},
		{`lower(a ?? "") startsWith "x"`, "A starts with x", all(empty(nocase(row("text", "a", "starts_with", "x"))))},
		{`a endsWith "x"`, "A ends with x", all(row("text", "a", "ends_with", "x"))},
		{`a in ["x", "y"]`, "A is one of x, y", all(row("text", "a", "one_of", []any_{"x", "y"}))},
		{`not (lower(a) in ["x", "y"])`, "A is none of x, y", all(nocase(row("text", "a", "not_one_of", []any_{"x", "y"})))},
		{`a in [1, -2.5]`, "A is one of 1, -2.5", all(row("number", "a", "one_of", []any_{1, -2.5}))},
		{`a matches "^x+$"`, "A matches ^x+$", all(row("text", "a", "matches", "^x+$"))},
		{`(a ?? "") != ""`, "A has any value", all(row("text", "a", "has_value", nil))},
		{`(a ?? "") == ""`, "A is empty", all(row("text", "a", "is_empty", nil))},
		{`trigger.body.amount > 100`, "Amount is greater than 100", all(row("number", "trigger.body.amount", "greater", 100))},
		{`(a ?? 0) <= 0.5`, "A is at most 0.5", all(empty(row("number", "a", "less_or_equal", 0.5)))},
		{`a != -3`, "A is not -3", all(row("number", "a", "is_not", -3))},
		{`a >= 1 and a <= 9`, "A is between 1 and 9", all(expression.Row{Type: "number", Field: "a", Test: "between", Value: 1, To: 9})},
		{`a > steps.order.limit`, "A is greater than Limit", all(expression.Row{Type: "number", Field: "a", Test: "greater", Path: "steps.order.limit"})},
		{`lower(a) == lower(b)`, "A is B", all(expression.Row{Type: "text", Field: "a", Test: "is", Path: "b", IgnoreCase: true})},
		{`date(a) < date("2026-03-01")`, "A is before 2026-03-01", all(row("date", "a", "before", "2026-03-01"))},
		{`date(a) > date(b)`, "A is after B", all(expression.Row{Type: "date", Field: "a", Test: "after", Path: "b"})},
		{`date(a.created_at) > now() - duration("24h")`, "Created at is within the last 24h", all(row("date", "a.created_at", "within_last", "24h"))},
		{`a == true`, "A is yes", all(row("boolean", "a", "is", true))},
		{`a == false`, "A is no", all(row("boolean", "a", "is", false))},
		{`"x" in a`, "A contains x", all(row("list", "a", "contains", "x"))},
		{`len(a ?? []) == 0`, "A is empty", all(row("list", "a", "is_empty", nil))},
		{`len(a.lineItems ?? []) > 3`, "Line items has more than 3", all(row("list", "a.lineItems", "has_more_than", 3))},
		{`a["x-y"] == "z" and b[0] == 1`, "X y is z and B 0 is 1", all(row("text", `a["x-y"]`, "is", "z"), row("number", "b[0]", "is", 1))},
		{`a == 1 or b == 2`, "A is 1 or B is 2", any(row("number", "a", "is", 1), row("number", "b", "is", 2))},
		{
			`a == 1 and (b == 2 or c == 3)`, "A is 1 and (B is 2 or C is 3)",
			all(row("number", "a", "is", 1), group(any(row("number", "b", "is", 2), row("number", "c", "is", 3)))),
		},
		{
			`(a >= 1 and a <= 9) or (b == 2 and c == 3)`, "A is between 1 and 9 or (B is 2 and C is 3)",
			any(expression.Row{Type: "number", Field: "a", Test: "between", Value: 1, To: 9}, group(all(row("number", "b", "is", 2), row("number", "c", "is", 3)))),
		},
	} {
		got, err := expression.RowsOf(test.expr)
		if err != nil {
			t.Errorf("%s: %v", test.expr, err)
			continue
		}
		if diff := cmp.Diff(test.rows, got); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", test.expr, diff)
			continue
		}
		expr, err := test.rows.Expr()
		if err != nil || expr != test.expr {
			t.Errorf("%s: printed as %s, %v", test.expr, expr, err)
		}
		if words := got.Text(); words != test.words {
			t.Errorf("%s: in words %q, want %q", test.expr, words, test.words)
		}
	}
}

type any_ = any

// TestRowsRefused: what rows cannot say stays an expression.
func TestRowsRefused(t *testing.T) {
	for _, src := range []string{
		`len(a)`, `a`, `not a`, `filter(a, # > 1)`, `a + 1 > 2`, `1 < a`, `1 < a < 5`, `a ?? b`, `a == nil`, `a == [1]`, `a in []`, `a in [1, "x"]`,
		`lower(a) == "X"`, `a == b == true`, `upper(a) == "X"`, `not (a == 1)`, `(a ?? 1) > 2`, `len(a) > 3`, `date(a) > now()`, `a ? b : c`,
		`let x = 1; x == 1`, `a == "x" + "y"`, `trigger.body[a] == 1`, `"x" in {a: 1}`, `not ("x" in a)`, `date(a) > now() - duration(b)`,
		`(a ?? "") > 5`, `lower(a) == b`,
	} {
		rows, err := expression.RowsOf(src)
		if err != nil || rows != nil {
			t.Errorf("%s: rows %+v, %v", src, rows, err)
		}
	}
	if _, err := expression.RowsOf(`a ==`); err == nil {
		t.Error("half an expression gave no error")
	}
	for _, test := range []struct {
		rows expression.Rows
		want string
	}{
		{expression.Rows{Match: "all"}, "empty"},
		{expression.Rows{Match: "some", Items: []expression.Row{{}}}, "match is all or any"},
		{expression.Rows{Match: "all", Items: []expression.Row{{}}}, "condition 1: it has no field"},
		{expression.Rows{Match: "all", Items: []expression.Row{{Field: "a b", Type: "text", Test: "is"}}}, "no path of data"},
		{expression.Rows{Match: "all", Items: []expression.Row{{Field: "a", Type: "text", Test: "greater"}}}, "the tests of a text are"},
		{expression.Rows{Match: "all", Items: []expression.Row{{Field: "a", Type: "number", Test: "greater", Value: "x"}}}, "the value is a number"},
		{expression.Rows{Match: "all", Items: []expression.Row{{Field: "a", Type: "number", Test: "greater"}}}, "it has no value"},
		{expression.Rows{Match: "all", Items: []expression.Row{{Field: "a", Type: "text", Test: "one_of", Value: []any{}}}}, "at least one entry"},
	} {
		if expr, err := test.rows.Expr(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %q, %v; want an error with %q", test.rows, expr, err, test.want)
		}
	}
}

// TestRowsLaw prints random rows and reads them back: they are the same.
func TestRowsLaw(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	for i := range 10_000 {
		rows := randomRows(random, 0, "")
		expr, err := rows.Expr()
		if err != nil {
			t.Fatalf("%d: %+v: %v", i, rows, err)
		}
		got, err := expression.RowsOf(expr)
		if err != nil || got == nil {
			t.Fatalf("%d: %s: read back as %+v, %v", i, expr, got, err)
		}
		if !reflect.DeepEqual(rows, got) { // cmp takes as long as all the rest
			t.Fatalf("%d: %s: (-want +got):\n%s", i, expr, cmp.Diff(rows, got))
		}
		again, err := got.Expr()
		if err != nil || again != expr {
			t.Fatalf("%d: %s: printed again as %s, %v", i, expr, again, err)
		}
	}
}

// randomRows makes rows in the form in which they are read: no group in one of its own kind, no group of one.
func randomRows(random *rand.Rand, depth int, outer string) *expression.Rows {
	rows := &expression.Rows{Match: []string{"all", "any"}[random.IntN(2)]}
	if rows.Match == outer {
		rows.Match = map[string]string{"all": "any", "any": "all"}[outer]
	}
	n := 1 + random.IntN(4)
	if depth > 0 {
		n++
	}
	for range n {
		row := randomRow(random)
		if depth < 3 && random.IntN(4) == 0 {
			row = expression.Row{Group: randomRows(random, depth+1, rows.Match)}
		}
		if last := len(rows.Items) - 1; last >= 0 && rows.Match == "all" && rows.Items[last].Test == "greater_or_equal" && row.Test == "less_or_equal" {
			row.Field += fmt.Sprintf(".other%d", last) // else the two are one `between`
		}
		rows.Items = append(rows.Items, row)
	}
	if len(rows.Items) == 1 {
		if g := rows.Items[0].Group; g != nil {
			return g
		}
		rows.Match = "all"
	}
	return rows
}

func randomRow(random *rand.Rand) expression.Row {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	path := func() string {
		return pick("trigger.body.amount", "steps.order.total", `trigger.headers["x-shop-id"]`, "item", "item.tags[0].name", `a["it's \"q\""]`, "trigger?.body?.x", "b[2]")
	}
	text := func() string {
		return pick("", "x", "a b", `it's "both"`, "line\nbreak", "\u00e9\U0001F680", "\x07\\", "2026-03-01", "}} ${{ x", "%s", "\u2028<&>")
	}
	num := func() any {
		return []any{0, 1, -7, 100, 0.5, -2.25, 1000000000000000, 1e-9, 9007199254740991, 1.5e300}[random.IntN(10)]
	}
	r := expression.Row{Field: path()}
	switch random.IntN(5) {
	case 0:
		r.Type = "text"
		r.Test = pick("is", "is_not", "contains", "not_contains", "starts_with", "ends_with", "one_of", "not_one_of", "matches", "has_value", "is_empty")
		switch r.Test {
		case "has_value", "is_empty":
			return r
		case "matches":
			r.Value = pick("^a+$", "x|y")
			return r
		}
		r.IgnoreCase, r.Empty = random.IntN(2) == 0, random.IntN(3) == 0
		switch {
		case strings.HasSuffix(r.Test, "one_of"):
			r.Value = []any{text(), text()}[:1+random.IntN(2)]
		case random.IntN(4) == 0:
			r.Path = path()
		default:
			r.Value = text()
			if r.Value == "" && r.Empty && !r.IgnoreCase { // that is is_empty
				r.Value = "z"
			}
		}
	case 1:
		r.Type, r.Test = "number", pick("is", "is_not", "greater", "greater_or_equal", "less", "less_or_equal", "between", "one_of", "not_one_of")
		r.Empty = random.IntN(3) == 0
		switch {
		case strings.HasSuffix(r.Test, "one_of"):
			r.Value = []any{num(), num()}
		case random.IntN(4) == 0 && !strings.HasPrefix(r.Test, "is"):
			r.Path = path()
		default:
			r.Value = num()
		}
		if r.Test == "between" {
			if r.To = num(); random.IntN(3) == 0 {
				r.To, r.ToPath = nil, path()
			}
		}
	case 2:
		r.Type, r.Test, r.Value = "date", pick("before", "after"), "2026-03-01T09:00:00Z"
		switch random.IntN(3) {
		case 0:
			r.Value, r.Path = nil, path()
		case 1:
			r.Test, r.Value = "within_last", pick("24h", "30m")
		}
	case 3:
		r.Type, r.Test, r.Value, r.Empty = "boolean", "is", random.IntN(2) == 0, random.IntN(2) == 0
	case 4:
		r.Type, r.Test = "list", pick("contains", "is_empty", "has_more_than")
		switch r.Test {
		case "contains":
			r.Empty = random.IntN(2) == 0
			if r.Value = []any{text(), num()}[random.IntN(2)]; random.IntN(3) == 0 {
				r.Value, r.Path = nil, path()
			}
		case "has_more_than":
			r.Value = random.IntN(100)
		}
	}
	return r
}

// FuzzRows reads any condition as rows: printed, they read the same again, and they mean the same.
func FuzzRows(f *testing.F) {
	for _, src := range []string{
		`a == "x"`, `a > 1 and b < 2 or c`, `lower(a ?? "") in ["x"]`, `not (a contains "b") || !(a in [1])`, `date(a) > now() - duration("1h")`,
		`a >= 1 and a <= 2 and a >= 3`, `len(a ?? []) > 1 && "x" in a`, `(a ?? false) == true`, `a.b?.c["d"][0] == -1.5e3`,
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		rows, err := expression.RowsOf(src)
		if err != nil || rows == nil {
			return
		}
		expr, err := rows.Expr()
		if err != nil {
			t.Fatalf("%q: rows %+v have no expression: %v", src, rows, err)
		}
		again, err := expression.RowsOf(expr)
		if err != nil {
			t.Fatalf("%q printed as %q: %v", src, expr, err)
		}
		if diff := cmp.Diff(rows, again); diff != "" {
			t.Fatalf("%q printed as %q reads differently:\n%s", src, expr, diff)
		}
	})
}

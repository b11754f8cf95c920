package expression_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/expr-lang/expr"
	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

const sample = `{
	"id": "order", "kind": "webhook",
	"headers": {"x-shop-id": "7", "content-type": "application/json"},
	"body": {
		"total": 129, "price": 12.5, "vip": true, "note": null, "empty": "", "big": 12345678901234567890,
		"currency": "EUR", "ten": "10", "nine": "9", "at": "2026-03-01T09:30:00+01:00",
		"customer": {"name": "Ada Lovelace", "tags": ["vip", "new"]},
		"line_items": [
			{"title": "Tea", "price": 4, "qty": 2},
			{"title": "Cup", "price": 7.5, "qty": 1},
			{"price": 1, "qty": 10}
		],
		"numbers": [3, 1, 2],
		"html": "<p>Hi &amp; bye</p>"
	}
}`

var scope = &expression.Scope{Roots: []string{"trigger", "steps", "item"}}

func environment(t testing.TB) *expression.Env {
	t.Helper()
	data, err := value.DecodeJSON([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return &expression.Env{
		Roots: map[string]any{"trigger": data, "steps": map[string]any{}},
		Now:   time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
		Zone:  berlin,
		Seed:  "run-1/step",
	}
}

func evaluate(t testing.TB, env *expression.Env, src string) (any, error) {
	t.Helper()
	p, err := expression.Compile(src, scope)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	return p.Eval(context.Background(), env)
}

func TestEval(t *testing.T) {
	env := environment(t)
	tests := []struct{ src, want string }{
		// Data that is there, and data that is not.
		{`trigger.body.total`, `129`},
		{`trigger.headers["x-shop-id"]`, `"7"`},
		{`trigger.body.nope`, `null`},
		{`trigger.body.nope.deeper.still`, `null`},
		{`trigger.body?.nope?.deeper`, `null`},
		{`trigger.body.nope[0].x`, `null`},
		{`trigger.body.note.x`, `null`},
		{`steps.later.output`, `null`},
		{`item`, `null`},
		{`trigger.body.numbers[9]`, `null`},
		{`trigger.body.numbers[-1]`, `2`},
		{`trigger.body.numbers[-9]`, `null`},
		{`trigger.body.numbers[9] ?? 5`, `5`},
		{`trigger.body.nope[trigger.body.nope]`, `null`},
		{`trigger.body[trigger.body.nope]`, `null`},
		{`get(trigger.body.numbers, 9)`, `null`},
		{`get(trigger.body.numbers, 9, 0)`, `0`},
		{`trigger.body.numbers[1:]`, `[1,2]`},
		{`trigger.body.numbers[:-1]`, `[3,1]`},
		{`trigger.body.customer.name[:3]`, `"Ada"`},
		{`"naïve"[2:3]`, `"ï"`},
		{`"naïve"[-1]`, `"e"`},
		{`trigger.body.nope[1:2]`, `null`},

		// Conditions.
		{`trigger.body.nope == nil`, `true`},
		{`trigger.body.total != nil`, `true`},
		{`not trigger.body.nope`, `true`},
		{`!trigger.body.vip`, `false`},
		{`true and trigger.body.nope`, `false`},
		{`trigger.body.nope or trigger.body.vip`, `true`},
		{`false and trigger.body.nope > 3`, `false`},
		{`trigger.body.nope ? 1 : 2`, `2`},
		{`if trigger.body.vip { "a" } else { "b" }`, `"a"`},
		{`nil in [1, nil]`, `true`},
		{`"vip" in trigger.body.customer.tags`, `true`},
		{`"vip" in trigger.body.nope`, `false`},
		{`"total" in trigger.body`, `true`},
		{`trigger.body.nope contains "x"`, `false`},
		{`trigger.body.customer.name contains "Love"`, `true`},
		{`trigger.body.customer.name matches "^Ada\\s"`, `true`},
		{`trigger.body.nope matches "^Ada"`, `false`},
		{`not (trigger.body.customer.name startsWith "Bob")`, `true`},
		{`trigger.body.customer.name not contains "Bob"`, `true`},
		{`10 < trigger.body.total < 200`, `true`},

		// Numbers and texts are different things, whatever they look like.
		{`trigger.body.price == "12.5"`, `false`},
		{`trigger.body.ten == 10`, `false`},
		{`trigger.body.ten < trigger.body.nine`, `true`},
		{`float(trigger.body.ten) > float(trigger.body.nine)`, `true`},
		{`1 == 1.0`, `true`},
		{`trigger.body.big`, `12345678901234567890`},
		{`trigger.body.big > 5`, `true`},
		{`trigger.body.big == trigger.body.big`, `true`},

		// Arithmetic.
		{`7 / 2`, `3.5`},
		{`6 / 2`, `3`},
		{`7 % 3`, `1`},
		{`2 ** 3`, `8`},
		{`2 + 3 * 4`, `14`},
		{`-trigger.body.total`, `-129`},
		{`9223372036854775807 + 1`, `9223372036854775808`},
		{`round(trigger.body.price * 100)`, `1250`},
		{`round(1.005, 2)`, `1.01`},
		{`round(-2.5)`, `-3`},
		{`money(1234567.891, "USD")`, `"$1,234,567.89"`},
		{`money(-0.004)`, `"0.00"`},
		{`money(-1.5, "CHF")`, `"-CHF 1.50"`},
		{`money(1290.5, "JPY")`, `"¥1,291"`},
		{`money(12, "KWD")`, `"KWD 12.000"`},
		{`"a" + "b"`, `"ab"`},
		{`1..3`, `[1,2,3]`},
		{`3..1`, `[]`},

		// Lists.
		{`map(trigger.body.line_items, .title) | join(", ")`, `"Tea, Cup, "`},
		{`join(trigger.body.customer.tags)`, `"vipnew"`},
		{`sum(trigger.body.line_items, .price * .qty)`, `25.5`},
		{`sum(trigger.body.numbers)`, `6`},
		{`count(trigger.body.line_items, .qty > 1)`, `2`},
		{`filter(trigger.body.line_items, .price > 5)[0].title`, `"Cup"`},
		{`map(trigger.body.line_items, #index)`, `[0,1,2]`},
		{`map(filter(trigger.body.line_items, .title != nil), upper(.title))`, `["TEA","CUP"]`},
		{`map([[1, 2], [3]], sum(#, # * 2))`, `[6,6]`},
		{`reduce(trigger.body.numbers, #acc + #)`, `6`},
		{`sortBy(trigger.body.line_items, .price, "desc")[0].title`, `"Cup"`},
		{`sort(trigger.body.numbers)`, `[1,2,3]`},
		{`min(3, [2, 4])`, `2`},
		{`max(map(trigger.body.line_items, .price))`, `7.5`},
		{`any(trigger.body.line_items, .nope)`, `false`},
		{`none([], true)`, `true`},
		{`reduce([], #, 5)`, `5`},
		{`let n = len(trigger.body.numbers); n * n`, `9`},
		{`len(trigger.body.customer)`, `2`},
		{`uniq([1, 1.0, "1", nil, nil])`, `[1,"1",null]`},
		{`groupBy(trigger.body.line_items, .title == nil ? "none" : "some") | keys()`, `["none","some"]`},
		{`{a: 1, "b c": [2], (trigger.body.currency): 3}`, `{"EUR":3,"a":1,"b c":[2]}`},

		// Lists: a missing one is empty.
		{`map(trigger.body.nope, .title) | join(", ")`, `""`},
		{`filter(trigger.body.nope.deeper, .x > 1)`, `[]`},
		{`any(trigger.body.nope, .x)`, `false`},
		{`count(trigger.body.nope, .x)`, `0`},
		{`first(trigger.body.nope)`, `null`},
		{`take(trigger.body.nope, 3)`, `[]`},
		{`concat(trigger.body.nope, [1])`, `[1]`},
		{`flatten(trigger.body.nope)`, `[]`},
		{`reverse(trigger.body.nope)`, `[]`},
		{`sort(trigger.body.nope)`, `[]`},
		{`sortBy(trigger.body.nope, .x)`, `[]`},
		{`uniq(trigger.body.nope)`, `[]`},
		{`groupBy(trigger.body.nope, .x)`, `{}`},
		{`to_csv(trigger.body.nope)`, `""`},
		{`fromPairs(trigger.body.nope)`, `{}`},

		// Texts: a missing one is empty.
		{`upper(trigger.body.nope)`, `""`},
		{`split(trigger.body.nope, ",")`, `[]`},
		{`split("", ",")`, `[]`},
		{`upper(trigger.body.total)`, `"129"`},
		{`strip_html(trigger.body.html)`, `"Hi & bye"`},
		{`strip_html("a < b <script>x('</p>')</script>c<br>d<!-- e -->")`, `"a < b c\nd"`},
		{`slug("Straße & Œuvre 2!")`, `"strasse-oeuvre-2"`},
		{`default(trigger.body.empty, "x")`, `"x"`},
		{`default(0, 5)`, `0`},
		{`string(trigger.body.nope)`, `""`},
		{`string({b: 1, a: [true]})`, `"{\"a\":[true],\"b\":1}"`},
		{`url_encode({b: "x y", a: [1, 2]})`, `"a=1&a=2&b=x+y"`},

		// Dates.
		{`now()`, `"2026-03-01T10:00:00+01:00"`},
		{`trigger.body.at == parse_date("2026-03-01 09:30")`, `true`},
		{`date(trigger.body.at) < now()`, `true`},
		{`parse_date("2026-03-01T10:00:00")`, `"2026-03-01T10:00:00+01:00"`},
		{`parse_date("2026-07-01")`, `"2026-07-01T00:00:00+02:00"`},
		{`parse_date(1772355600)`, `"2026-03-01T10:00:00+01:00"`},
		{`parse_date(1772355600000)`, `"2026-03-01T10:00:00+01:00"`},
		{`parse_date("1772355600")`, `"2026-03-01T10:00:00+01:00"`},
		{`parse_date("Sun, 01 Mar 2026 09:00:00 GMT") == now()`, `true`},
		{`parse_date("01/02/26 7:05 pm", "DD/MM/YY h:mm a")`, `"2026-02-01T19:05:00+01:00"`},
		{`format_date(trigger.body.at, "dddd, D MMMM YYYY [at] H:mm")`, `"Sunday, 1 March 2026 at 9:30"`},
		{`format_date(trigger.body.at, "[%d dd] DD dddd ddd")`, `"%d dd 01 Sunday Sun"`},
		{`format_date(trigger.body.at, "datetime", "America/New_York")`, `"2026-03-01 03:30"`},
		{`format_date(trigger.body.at, "iso")`, `"2026-03-01T09:30:00+01:00"`},
		{`add_duration("2026-03-28T02:30:00", "1d")`, `"2026-03-29T03:30:00+02:00"`},
		{`add_duration(now(), "-2d 3h")`, `"2026-02-27T07:00:00+01:00"`},
		{`add_duration("2024-01-31", "1 month")`, `"2024-02-29T00:00:00+01:00"`},
		{`now() - date(trigger.body.at) == duration("30m")`, `true`},
		{`now() + duration("1d") > now()`, `true`},
		{`(parse_date("2026-03-10") - parse_date("2026-03-01")) / duration("1d")`, `9`},
		{`duration("1h") * 1.5 == duration("90m")`, `true`},
		{`2 * duration("1h") / 4 == duration("30m")`, `true`},
		{`-duration("1h") < duration("0s")`, `true`},
		{`"at " + now()`, `"at 2026-03-01T10:00:00+01:00"`},
	}
	for _, tt := range tests {
		t.Run(tt.src, func(t *testing.T) {
			v, err := evaluate(t, env, tt.src)
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
			if plain, err := value.Normalize(v); err != nil || !cmp.Equal(plain, v) {
				t.Errorf("the result %#v is not plain data: %v", v, err)
			}
		})
	}
}

func TestEvalErrors(t *testing.T) {
	env := environment(t)
	tests := []struct{ src, want string }{
		{`trigger.body.nope > 3`, `trigger.body.nope is missing`},
		{`3 <= trigger.body.nope.deeper`, `trigger.body.nope.deeper is missing`},
		{`trigger.body.nope + 1`, `trigger.body.nope is missing`},
		{`trigger.body.total * trigger.body.note`, `trigger.body.note is missing`},
		{`"x" + trigger.body.nope`, `trigger.body.nope is missing`},
		{`-trigger.body.nope`, `trigger.body.nope is missing`},
		{`len(trigger.body.nope)`, `trigger.body.nope is missing`},
		{`sum(trigger.body.nope, .x)`, `trigger.body.nope is missing`},
		{`round(trigger.body.nope)`, `trigger.body.nope is missing`},
		{`sum(trigger.body.line_items, .cost)`, `.cost is missing in item 1`},
		{`map(trigger.body.line_items, .nope > 1)`, `.nope is missing in item 1`},
		{`sortBy(trigger.body.line_items, .title)`, `.title is missing in item 3`},
		{`parse_date(trigger.body.nope)`, `trigger.body.nope is missing`},
		{`sha256(trigger.body.nope)`, `trigger.body.nope is missing`},
		{`nil > 3`, `nil cannot be used with >`},
		{`trigger.body.ten > 9`, `cannot compare trigger.body.ten (text) with 9 (a number)`},
		{`trigger.body.total < "200"`, `cannot compare trigger.body.total (a number) with "200" (text)`},
		{`trigger.body.customer > 1`, `cannot compare trigger.body.customer (an object) with 1 (a number)`},
		{`trigger.body.currency + 1`, `cannot add trigger.body.currency (text) and 1 (a number)`},
		{`trigger.body.currency * 2`, `* needs a number, but trigger.body.currency is text`},
		{`trigger.body.currency.x`, `trigger.body.currency is text, so it has no field x`},
		{`trigger.body.numbers.x`, `trigger.body.numbers is a list, so it has no field x`},
		{`trigger.body.total and true`, `and needs true or false, but trigger.body.total is a number`},
		{`trigger.body.total ? 1 : 2`, `? : needs true or false, but trigger.body.total is a number`},
		{`filter(trigger.body.numbers, #)`, `the condition of filter needs to be true or false, but # is a number`},
		{`trigger.body.customer.tags contains "vip"`, `contains looks into a text, but trigger.body.customer.tags is a list`},
		{`"a" in "abc"`, `in needs a list or an object on its right, but "abc" is text`},
		{`trigger.body.total matches "1"`, `matches needs text, but trigger.body.total is a number`},
		{`trigger.body.total / (trigger.body.total - 129)`, `division by zero`},
		{`1 % (trigger.body.total - 129)`, `division by zero`},
		{`2 ** 5000`, `the result is infinite`},
		{`(-1) ** 0.5`, `the result is not a number (NaN)`},
		{`float("abc")`, `"abc" is not a number`},
		{`float("inf")`, `"inf" is not a number`},
		{`parse_json("{")`, `is not JSON`},
		{`parse_date("yesterday")`, `"yesterday" is not a date`},
		{`parse_date("2026-13-01", "YYYY-MM-DD")`, `is not a date written as`},
		{`format_date(now(), "%Y-%m-%d")`, `"%Y-%m-%d" is not how a date is laid out here`},
		{`format_date(now(), "yyyy-MM-dd")`, `is not how a date is laid out here`},
		{`format_date(now(), "2006-01-02")`, `is not how a date is laid out here`},
		{`parse_date("01.03.2026", "dd.MM.YYYY")`, `is not how a date is laid out here`},
		{`format_date(now(), "HH", "Mars/Olympus")`, `"Mars/Olympus" is not a time zone`},
		{`add_duration(now(), "soon")`, `"soon" is not a duration`},
		{`duration("1h") / 0`, `division by zero`},
		{`duration("1h") * trigger.body.nope`, `trigger.body.nope is missing`},
		{`duration("1 month")`, `months and years have no fixed length`},
		{`money(1, "EURO")`, `a currency has three letters`},
		{`base64_decode("//8=")`, `the base64 holds no text`},
		{`max(1, "2")`, `max needs a number, but "2" is text`},
		{`sort([1, "a"])`, `cannot compare`},
		{`upper(trigger.body.numbers)`, `upper needs text, but trigger.body.numbers is a list`},
		{`map(trigger.body, #)`, `map needs a list, but trigger.body is an object`},
		{`reduce([], #acc)`, `reduce of an empty list`},
	}
	for _, tt := range tests {
		t.Run(tt.src, func(t *testing.T) {
			v, err := evaluate(t, env, tt.src)
			var e *expression.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v and error %v (%T), want an *Error", v, err, err)
			}
			if !strings.Contains(e.Message, tt.want) {
				t.Errorf("got %q, want %q", e.Message, tt.want)
			}
			if e.Line != 1 || e.Column < 1 {
				t.Errorf("the error has no place: %d:%d", e.Line, e.Column)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	tests := []struct {
		src, message, hint string
		line, column       int
	}{
		{``, `the expression is empty`, ``, 1, 1},
		{"  // nothing\n", `the expression is empty`, ``, 1, 1},
		{`triger.body`, `unknown name triger`, `did you mean trigger?`, 1, 1},
		{"trigger.body.a and\n  stepz.x", `unknown name stepz`, `did you mean steps?`, 2, 3},
		{`uper(trigger.id)`, `unknown function uper`, `did you mean upper?`, 1, 1},
		{`trigger.id | parsejson()`, `unknown function parsejson`, `did you mean parse_json?`, 1, 14},
		{`upper`, `upper is a function`, `call it: upper(text)`, 1, 1},
		{`upper()`, `upper takes 1 value, not 0`, `upper(text)`, 1, 1},
		{`join([1], ",", 3)`, `join takes 1 to 2 values, not 3`, ``, 1, 1},
		{`error.message`, `unknown name error`, `in the steps of on_error and on_failure`, 1, 1},
		{`secrets.token`, `unknown name secrets`, `expressions see no secrets`, 1, 1},
		{`secret.token`, `unknown name secret`, `only the auth of a connection sees its secrets`, 1, 1},
		{`env.HOME`, `unknown name env`, `expressions see no secrets`, 1, 1},
		{`connections.x`, `unknown name connections`, ``, 1, 1},
		{`$env`, `unknown name $env`, ``, 1, 1},
		{`trigger.headers.x-shop-id`, `unknown name shop`, `a name with - is written ["x-shop-id"]`, 1, 19},
		{`trigger.id - nope`, `unknown name nope`, `text needs quotes`, 1, 14},
		{`trigger.id AND item`, `unexpected AND`, `small letters`, 1, 12},
		{`trigger.id == “a”`, `unrecognized character`, `straight quotes`, 1, 15},
		{`null`, `unknown name null`, `did you mean nil?`, 1, 1},
		{`trigger.id = 3`, `unexpected =`, `== compares two values`, 1, 12},
		{`trigger.id ==`, `the expression ends too early`, ``, 1, 13},
		{`trigger.id == "é" or trigger.id == 12345678901234567890`, `the number 12345678901234567890 is too large`, `compare texts: string(…) == "12345678901234567890"`, 1, 36},
		{`"abc`, `the text has no closing quote`, ``, 1, 5},
		{`trigger.id.toUpperCase()`, `values have no methods`, ``, 1, 12},
		{`now().Unix()`, `values have no methods`, ``, 1, 7},
		{`b"bytes"`, `bytes are not supported`, ``, 1, 1},
		{`#`, `unexpected #`, `# is the item of map, filter and the like`, 1, 1},
		{`map([1], #acc)`, `#acc has a meaning only inside reduce`, ``, 1, 10},
		{`map([1], #nope)`, `unknown name #nope`, ``, 1, 10},
		{`"a" < 1`, `< cannot be used between text and a number`, ``, 1, 5},
		{`1 / 0`, `division by zero`, ``, 1, 3},
		{`trigger.id matches "("`, `not a regular expression`, ``, 1, 20},
		{`sum(item, sum(item, sum(item, #)))`, `more than 2 of map, filter and the like inside each other`, "`set` steps", 1, 21},
		{`let trigger = 1; trigger`, `the name trigger is taken`, ``, 1, 5},
		{`__ctx`, `names with two underscores are reserved`, ``, 1, 2},
		{`${{ trigger.id }}`, `unexpected {`, `leave out ${{ and }}`, 1, 2},
		{"trigger.id \x80", `not valid UTF-8`, ``, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.src, func(t *testing.T) {
			p, err := expression.Compile(tt.src, scope)
			var e *expression.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v and error %v, want an *Error", p, err)
			}
			if !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got %q with the hint %q, want %q with %q", e.Message, e.Hint, tt.message, tt.hint)
			}
			if e.Line != tt.line || e.Column != tt.column {
				t.Errorf("got the place %d:%d, want %d:%d", e.Line, e.Column, tt.line, tt.column)
			}
		})
	}
}

func TestFunctionsHaveWorkingExamples(t *testing.T) {
	env := environment(t)
	env.Zone = nil
	for _, f := range expression.Functions() {
		t.Run(f.Name, func(t *testing.T) {
			if f.Signature == "" || !strings.HasSuffix(f.Summary, ".") || f.Group == "" || !strings.Contains(f.Example, f.Name+"(") {
				t.Errorf("the entry is not complete: %+v", f)
			}
			v, err := evaluate(t, env, f.Example)
			if err != nil {
				t.Fatal(err)
			}
			got, err := value.AppendJSON(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			if f.Result != "" && string(got) != f.Result {
				t.Errorf("%s is %s, want %s", f.Example, got, f.Result)
			}
		})
	}
}

// TestSameAsExpr holds the evaluation against the virtual machine of expr-lang, whose grammar and functions ours has.
// Where the two differ on purpose, TestEval and TestEvalErrors say so.
func TestSameAsExpr(t *testing.T) {
	env := environment(t)
	for _, src := range []string{
		`1 + 2 * 3 - 4 % 3 / 8`, `2 ** 3 ** 2`, `-2 ** 2`, `(1 + 2) * -3`, `7 % -3`, `1 < 2 and not (2 < 1) or false`, `1 < 2 < 3`, `!true == false`,
		`1 in [1, 2] and 3 not in [1, 2]`, `"a" in {a: 1}`, `"abc" contains "b" and "abc" startsWith "a" and "abc" endsWith "c"`,
		`"abc" matches "^a.c$"`, `1..3`, `[1, 2, 3][1:]`, `[1, 2, 3][:-1]`, `[1, 2, 3][-1]`, `[[1], [2]][1][0]`, `{a: {b: [1]}}.a["b"][0]`,
		`true ? 1 : 2`, `nil ?? 3`, `false ?: 4`, `if 1 > 2 { 1 } else if 2 > 1 { 2 } else { 3 }`, `let x = 2; let y = x * x; y + x`, `1; 2`,
		`map(1..3, # * #index)`, `filter(1..9, # % 2 == 0) | map(# + 1)`, `all(1..3, # > 0)`, `any(1..3, # > 2)`, `none(1..3, # > 3)`, `one(1..3, # > 2)`,
		`count(1..3, # > 1)`, `count([true, false])`, `sum(1..4)`, `sum(1..4, # * 2)`, `sum([0.5, 1])`, `find(1..9, # > 4)`, `findIndex(1..9, # > 4)`, `findLast(1..9, # < 4)`,
		`find([1], # > 4)`, `findIndex([1], # > 4)`, `reduce(1..4, #acc * #)`, `reduce(1..4, #acc + #index, 10)`, `sortBy([{a: 2}, {a: 1}], .a)`, `sortBy([3, 1], #, "desc")`,
		`upper("aB") + lower("aB")`, `trim(" a ")`, `trim("__a__", "_")`, `split("a,b,c", ",", 2)`, `splitAfter("a,b", ",")`, `replace("aba", "a", "c")`, `repeat("ab", 2)`,
		`join(["a", "b"], "-")`, `indexOf("abc", "c")`, `lastIndexOf("abca", "a")`, `hasPrefix("ab", "a")`, `len("abc") + len([1]) + len({a: 1})`, `abs(-1.5)`, `ceil(1.2)`,
		`floor(-1.2)`, `round(1.5)`, `int("7") + int(7.9)`, `float("1.5")`, `string(1.5)`, `max(1, 2.5)`, `min([3, 1])`, `mean(1..4)`, `median([1, 3, 2])`, `mean([])`,
		`first([1]) + last([1, 2])`, `first([])`, `get({a: 1}, "b")`, `take(1..9, 2)`, `keys({a: 1})`, `values({a: 1})`, `toPairs({a: 1})`, `fromPairs([["a", 1]])`,
		`reverse(1..3)`, `uniq([1, 2, 1])`, `concat([1], [2])`, `flatten([1, [2, [3]]])`, `sort([2, 1, 3])`, `sort(["b", "a"], "desc")`, `fromJSON("[1]")[0]`, `toBase64("a") | fromBase64()`,
		`bitand(6, 3) + bitor(6, 3) + bitxor(6, 3) + bitnand(6, 3) + bitnot(1) + bitshl(1, 3) + bitshr(8, 1) + bitushr(8, 1)`,
		`trigger.body.customer.name`, `map(trigger.body.line_items, .price)`, `trigger.body.customer?.tags?.[0]`, `type(1) + type(1.0) + type("") + type(nil) + type([]) + type({})`,
		`"\u00e9\n" + ` + "`raw\\n`", `0x10 + 0b11 + 0o7 + 1_000 + .5`, `1e3`, `{"a b": 1, (upper("c")): 2}`, `trigger.body.total /* comment */ + 1 // end`,
	} {
		want, err := expr.Eval(src, env.Roots)
		if err != nil {
			t.Fatalf("%s: expr: %v", src, err)
		}
		if want, err = value.Normalize(want); err != nil {
			t.Fatal(err)
		}
		got, err := evaluate(t, env, src)
		if err != nil || !value.Equal(want, got) {
			t.Errorf("%s: got %v, %v, expr gives %v", src, got, err, want)
		}
	}
}

// TestContractFunctions holds the list of CONTRACT section 3 against the table.
func TestContractFunctions(t *testing.T) {
	have := map[string]bool{}
	for _, f := range expression.Functions() {
		have[f.Name] = true
	}
	for _, name := range strings.Fields(`parse_date format_date add_duration parse_json to_json to_csv parse_csv slug strip_html
		parse_xml to_xml base64 url_encode sha256 hmac_sha256 uuid money default`) {
		if !have[name] {
			t.Errorf("the function %s is missing", name)
		}
	}
}

func TestBool(t *testing.T) {
	env := environment(t)
	tests := []struct {
		src   string
		want  bool
		error string
	}{
		{src: `trigger.body.total >= 100`, want: true},
		{src: `trigger.body.nope`, want: false},
		{src: `nil`, want: false},
		{src: `trigger.body.vip`, want: true},
		{src: `trigger.body.total`, error: "the condition needs to be true or false, but it is a number"},
		{src: `"false"`, error: "the condition needs to be true or false, but it is text"},
		{src: `trigger.body.total >= trigger.body.limit`, error: "trigger.body.limit is missing"},
	}
	for _, tt := range tests {
		p, err := expression.Compile(tt.src, scope)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Bool(context.Background(), env)
		if (err != nil) != (tt.error != "") || err != nil && !strings.Contains(err.Error(), tt.error) {
			t.Errorf("%s: got the error %v, want %q", tt.src, err, tt.error)
		}
		if got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.src, got, tt.want)
		}
	}
}

func TestRefs(t *testing.T) {
	tests := []struct {
		src  string
		want []expression.Ref
	}{
		{`trigger.body.total > 3`, []expression.Ref{{Path: []string{"trigger", "body", "total"}, Line: 1, Column: 1}}},
		{`steps["a"].b[0].c`, []expression.Ref{{Path: []string{"steps", "a", "b", "0", "c"}, Line: 1, Column: 1}}},
		{`steps[trigger.id].c`, []expression.Ref{
			{Path: []string{"steps"}, Line: 1, Column: 1}, {Path: []string{"trigger", "id"}, Line: 1, Column: 7},
		}},
		{"map(trigger.items,\n .x + steps.y)", []expression.Ref{
			{Path: []string{"trigger", "items"}, Line: 1, Column: 5}, {Path: []string{"steps", "y"}, Line: 2, Column: 7},
		}},
		{`let x = trigger.a; x.b`, []expression.Ref{{Path: []string{"trigger", "a"}, Line: 1, Column: 9}}},
		{`trigger?.a?.b`, []expression.Ref{{Path: []string{"trigger", "a", "b"}, Line: 1, Column: 1}}},
		{`"trigger.a"`, nil},
		{`{trigger: item}`, []expression.Ref{{Path: []string{"item"}, Line: 1, Column: 11}}},
	}
	for _, tt := range tests {
		p, err := expression.Compile(tt.src, scope)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, p.Refs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.src, diff)
		}
		if p.Source() != tt.src {
			t.Errorf("Source is %q, want %q", p.Source(), tt.src)
		}
	}
}

func TestUUIDsRepeatWithTheSeed(t *testing.T) {
	env := environment(t)
	list := func() []any {
		v, err := evaluate(t, env, `[uuid(), uuid()]`)
		if err != nil {
			t.Fatal(err)
		}
		return v.([]any)
	}
	first, again := list(), list()
	if !cmp.Equal(first, again) || first[0] == first[1] {
		t.Errorf("got %v and then %v", first, again)
	}
	env.Seed = "run-2/step"
	if other := list(); other[0] == first[0] {
		t.Errorf("another seed gave the same %v", other)
	}
	env.Seed = ""
	if a, b := list(), list(); a[0] == b[0] {
		t.Errorf("without a seed the same came twice: %v", a)
	}
}

// TestDataIsNotChanged runs everything that could change its input and compares the data before and after.
func TestDataIsNotChanged(t *testing.T) {
	env := environment(t)
	before := value.Clone(env.Roots["trigger"])
	for _, src := range []string{
		`sort(trigger.body.numbers)`, `reverse(trigger.body.numbers)`, `sortBy(trigger.body.line_items, .price)`,
		`concat(trigger.body.numbers, [1])`, `take(trigger.body.numbers, 1) | concat([9])`,
		`concat(trigger.body.numbers[:1], [9])`, `median(trigger.body.numbers)`, `uniq(trigger.body.numbers)`,
		`flatten([trigger.body.numbers])`, `filter(trigger.body.numbers, true)`, `groupBy(trigger.body.numbers, #)`,
	} {
		if _, err := evaluate(t, env, src); err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
	if diff := cmp.Diff(before, env.Roots["trigger"]); diff != "" {
		t.Errorf("the data was changed (-before +after):\n%s", diff)
	}
}

func TestProgramServesManyGoroutines(t *testing.T) {
	env := environment(t)
	p, err := expression.Compile(`map(trigger.body.line_items, .title) | join(", ")`, scope)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				if v, err := p.Eval(context.Background(), env); err != nil || v != "Tea, Cup, " {
					t.Errorf("got %v, %v", v, err)
					return
				}
				p.Explain(context.Background(), env)
			}
		})
	}
	group.Wait()
}

func TestNumbersThatDoNotFitStayExact(t *testing.T) {
	env := &expression.Env{Roots: map[string]any{"item": json.Number("9007199254740993000000")}}
	v, err := evaluate(t, env, `item`)
	if err != nil || v != json.Number("9007199254740993000000") {
		t.Errorf("got %#v, %v", v, err)
	}
	env.Roots["item"] = math.MaxInt64
	if v, err := evaluate(t, env, `item > 9223372036854775806`); err != nil || v != true {
		t.Errorf("got %#v, %v", v, err)
	}
}

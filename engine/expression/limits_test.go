package expression_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

// A hostile expression must be refused, or end, within these bounds, whatever it wants.
const (
	limitTime   = 100 * time.Millisecond
	limitMemory = 32 << 20
)

// slow is how much longer things take with the race detector.
func slow() time.Duration {
	if raceEnabled {
		return 20
	}
	return 1
}

// pace is how many times slower this machine is just now than an idle one of 2020, by a loop that takes that one 20 ms.
func pace() float64 {
	start, n := time.Now(), uint64(1)
	for range 10_000_000 {
		n ^= n << 13
		n ^= n >> 7
		n ^= n << 17
	}
	if n == 0 {
		panic("xorshift never gives 0")
	}
	return max(1, float64(time.Since(start))/float64(20*time.Millisecond))
}

// cost runs f and gives its time and all memory that it asked for.
func cost(f func()) (time.Duration, uint64) {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	start := time.Now()
	f()
	took := time.Since(start)
	metrics.Read(sample)
	return took, sample[0].Value.Uint64() - before
}

func items(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// TestHostileExpressions holds the cases of TRUST facts 2 and 3 and more of their kind. The expression is refused
// when compiling or fails when it is evaluated, in both cases in time; with ok it may also have a result.
func TestHostileExpressions(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	doubling := func(first, step string) string {
		var b strings.Builder
		b.WriteString("let v0 = " + first + "; ")
		for i := 1; i < 60; i++ {
			fmt.Fprintf(&b, "let v%d = %s; ", i, strings.ReplaceAll(step, "v", fmt.Sprintf("v%d", i-1)))
		}
		return b.String() + "v59"
	}
	tests := []struct {
		name, src string
		data      any
		ok        bool
	}{
		{name: "brackets", src: strings.Repeat("(", 500_000)},
		{name: "closed brackets", src: strings.Repeat("(", 400_000) + "1" + strings.Repeat(")", 400_000)},
		{name: "brackets within the length", src: strings.Repeat("(", 4000) + "1" + strings.Repeat(")", 4000)},
		{name: "lists", src: strings.Repeat("[", 4000)},
		{name: "objects", src: strings.Repeat("{a:", 2000)},
		{name: "not", src: strings.Repeat("!", 1_000_000) + "true"},
		{name: "not within the length", src: strings.Repeat("!", 8000) + "true"},
		{name: "not with spaces", src: strings.Repeat("! ", 4000) + "true"},
		{name: "not as a word", src: strings.Repeat("not ", 2000) + "true", ok: true},
		{name: "minus", src: strings.Repeat("-", 8000) + "1"},
		{name: "plus and minus", src: strings.Repeat("-+", 4000) + "1"},
		{name: "signs behind comments", src: strings.Repeat("-/**/", 1600) + "1"},
		{name: "choices", src: strings.Repeat("true?", 1600) + "1" + strings.Repeat(":1", 10)},
		{name: "complete choices", src: strings.Repeat("false?1:", 1000) + "1", ok: true},
		{name: "ifs", src: strings.Repeat("if true {1} else ", 400) + "{1}", ok: true},
		{name: "powers", src: strings.Repeat("1**", 2700) + "1", ok: true},
		{name: "sums", src: strings.Repeat("1+", 4000) + "1"},
		{name: "pipes", src: `"a"` + strings.Repeat("|trim()", 1100), ok: true},
		{name: "fields", src: "item" + strings.Repeat(".a", 4000)},
		{name: "coalesces", src: strings.Repeat("nil??", 1600) + "1", ok: true},
		{name: "too long", src: `"` + strings.Repeat("x", 9000) + `"`},
		{name: "predicates three deep", src: `sum(item, sum(item, sum(item, #)))`, data: items(2000)},
		{name: "predicates two deep", src: `sum(item, sum(item, #))`, data: items(2000)},
		{name: "predicates two deep by range", src: `count(1..100000, any(1..100000, # < 0))`},
		{name: "ranges in a predicate", src: `map(1..100000, 1..100000)`},
		{name: "long range", src: `1..9223372036854775807`},
		{name: "range below zero", src: `(-9223372036854775807)..9223372036854775807`},
		{name: "let doubling of a text", src: doubling(`"xxxxxxxx"`, "v + v")},
		{name: "let doubling of a list", src: doubling(`[1]`, "concat(v, v)")},
		{name: "let nesting of a list", src: doubling(`[1]`, "[v, v]")},
		{name: "let nesting of an object", src: doubling(`{a: 1}`, "{a: v, b: v}")},
		{name: "let nesting compared with itself", src: strings.TrimSuffix(doubling(`[1]`, "[v, v]"), "v59") + "v58 == v57", ok: true},
		{name: "let nesting as JSON", src: "toJSON(" + "reduce(1..60, [#acc, #acc], [1]))"},
		{name: "nesting in uniq", src: "uniq([reduce(1..60, [#acc, #acc], [1])])"},
		{name: "nesting in in", src: "let a = reduce(1..60, [#acc, #acc], [1]); let b = reduce(1..60, [#acc, #acc], [1]); a in [b]"},
		{name: "nesting equal", src: "let a = reduce(1..60, [#acc, #acc], [1]); let b = reduce(1..60, [#acc, #acc], [1]); a == b"},
		{name: "nesting flattened", src: "flatten(reduce(1..60, [#acc, #acc], [1]))"},
		{name: "nesting flattened, empty", src: "flatten(reduce(1..60, [#acc, #acc], []))"},
		{name: "nesting as a key", src: "let a = reduce(1..60, [#acc, #acc], [1]); {b: 1}[a]"},
		{name: "nesting in CSV", src: "to_csv([[reduce(1..60, [#acc, #acc], [1])]])"},
		{name: "nesting in XML", src: "to_xml({a: reduce(1..60, {{b: #acc, c: #acc}}, 1)})"},
		{name: "nesting in a form", src: "url_encode({a: reduce(1..60, [#acc, #acc], [1])})"},
		{name: "nesting in join", src: "join(reduce(1..60, [#acc, #acc], [1]))"},
		{name: "nesting deeply", src: "reduce(1..100000, [#acc], [1])"},
		{name: "nesting deeply as JSON", src: "toJSON(reduce(1..100000, [#acc], [1]))"},
		{name: "join of a large text", src: `join(map(item, "` + strings.Repeat("y", 1000) + `"), "")`, data: items(100_000)},
		{name: "join with a large separator", src: `join(item, repeat("x", 1000000))`, data: items(1000)},
		{name: "repeat", src: `repeat("x", 2000000000)`},
		{name: "repeat below zero", src: `repeat("x", -1)`},
		{name: "repeat of nothing", src: `repeat("", 9223372036854775807)`, ok: true},
		{name: "repeat in a loop", src: `map(1..100, repeat("x", 10000000) != nil)`},
		{name: "repeat twice", src: `repeat(repeat("x", 4000), 4000)`},
		{name: "replace of nothing", src: `replace(item, "", item)`, data: long},
		{name: "replace", src: `replace(item, "x", "` + strings.Repeat("y", 1000) + `")`, data: long},
		{name: "split into letters", src: `split(item, "")`, data: long},
		{name: "texts in a loop", src: `map(1..100000, upper(item))`, data: long},
		{name: "length in a loop", src: `map(1..100000, len(item))`, data: long},
		{name: "search in a loop", src: `map(1..100000, item contains "y")`, data: long},
		{name: "comparison in a loop", src: `map(1..100000, item == item + "")`, data: long},
		{name: "slices in a loop", src: `map(1..100000, item[1:2])`, data: long},
		{name: "sum of texts", src: `reduce(1..100000, #acc + "xxxxxxxxxx", "")`},
		{name: "regular expression", src: `item matches "(x*)*y"`, data: long},
		{name: "large regular expression", src: `item matches "((x{1,30}){1,30}){1,30}y"`, data: long},
		{name: "regular expression with many states", src: `item matches "(x?){100}y"`, data: long},
		{name: "computed regular expressions", src: `map(1..100000, "a" matches "(a|b|c)*" + string(#))`},
		{name: "long computed regular expression", src: `"a" matches repeat("(a|b)", 10000)`},
		{name: "sorting", src: `map(1..1000, sort(item))`, data: items(5000)},
		{name: "sorting texts", src: `sortBy(map(1..2000, item + string(#)), #)`, data: long},
		{name: "JSON in a loop", src: `map(1..10000, parse_json(item))`, data: `[` + strings.Repeat(`{},`, 1000) + `{}]`},
		{name: "large JSON", src: `parse_json(item)`, data: `[` + strings.Repeat(`{"a":1},`, 99_000) + `{}]`},
		{name: "nested JSON", src: `parse_json(repeat("[", 100000))`},
		{name: "large XML", src: `parse_xml("<a>" + repeat("<b/>", 200000) + "</a>")`},
		{name: "nested XML", src: `parse_xml(repeat("<b>", 100000))`},
		{name: "XML entities", src: `parse_xml("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")`},
		{name: "large CSV", src: `parse_csv("a\n" + repeat("b\n", 1000000))`},
		{name: "CSV with columns", src: `to_csv(map(1..10000, {{a: 1}}), map(1..10000, string(#)))`},
		{name: "hashes in a loop", src: `map(1..100000, sha256(item))`, data: long},
		{name: "HTML", src: `map(1..1000, strip_html(item))`, data: strings.Repeat("<", 1<<17)},
		{name: "HTML with open tags", src: `strip_html(item)`, data: strings.Repeat("<a b='", 1<<17), ok: true},
		{name: "HTML with hidden tags", src: `strip_html(item)`, data: strings.Repeat("<script>", 1<<15), ok: true},
		{name: "slug", src: `map(1..1000, slug(item))`, data: strings.Repeat("é", 1<<17)},
		{name: "dates in a loop", src: `map(1..100000, parse_date("Sun, 01 Mar 2026 09:00:00 GMT"))`},
		{name: "zones in a loop", src: `map(1..100000, timezone("Nowhere/" + string(#)))`},
		{name: "formats in a loop", src: `map(1..100000, format_date(now(), repeat("dddd", 1000)))`},
		{name: "identifiers in a loop", src: `map(1..100000, uuid())`},
		{name: "large result", src: `map(1..100000, "` + strings.Repeat("x", 100) + `")`},
		{name: "groups", src: `map(1..1000, groupBy(1..1000, #))`},
		{name: "huge number", src: `1e308 * 10`},
		{name: "large shift", src: `bitshl(1, 9223372036854775807)`, ok: true},
		{name: "smallest number divided", src: `bitshl(1, 63) % -1`, ok: true},
		{name: "bytes", src: "\x00\xff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := &expression.Env{Roots: map[string]any{"item": tt.data}}
			var v any
			var err error
			run := func() {
				var p *expression.Program
				if p, err = expression.Compile(tt.src, scope); err == nil {
					v, err = p.Eval(context.Background(), env)
				}
			}
			took, memory := cost(run)
			limit := limitTime * slow()
			for n := 0; n < 10 && took > limit; n++ { // a busy machine may have interrupted it
				limit = time.Duration(float64(limitTime*slow()) * pace())
				again, _ := cost(run)
				took = min(took, again)
			}
			var e *expression.Error
			if err != nil && !errors.As(err, &e) {
				t.Errorf("the error is %T: %v", err, err)
			}
			if err == nil && !tt.ok {
				text := value.Text(v)
				t.Errorf("it has a result: %.100s", text)
			}
			if took > limit {
				t.Errorf("it took %v", took)
			}
			if memory > limitMemory && !raceEnabled {
				t.Errorf("it asked for %d MiB", memory>>20)
			}
			t.Logf("%v, %d KiB: %.150v", took.Round(time.Microsecond), memory>>10, err)
		})
	}
}

func TestContextStopsAnEvaluation(t *testing.T) {
	p, err := expression.Compile(`count(1..100000, any(1..3, # < 0))`, scope)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("the server stops")
	cancel(reason)
	if _, err := p.Eval(ctx, nil); !errors.Is(err, reason) {
		t.Errorf("got %v, want %v", err, reason)
	}
}

// TestLargeDataPasses shows that naming data is not bounded by what an expression may compute.
func TestLargeDataPasses(t *testing.T) {
	env := &expression.Env{Roots: map[string]any{"item": []any{strings.Repeat("x", 4<<20)}}}
	p, err := expression.CompileTemplate(`${{ item }}`, scope)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Eval(context.Background(), env); err != nil {
		t.Error(err)
	}
	if p, err = expression.CompileTemplate(`${{ [item] }}`, scope); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Eval(context.Background(), env); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("got %v", err)
	}
}

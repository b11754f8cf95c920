package expression_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

// FuzzCompileRun asks for what TRUST section 5 promises of every expression: no panic, an *Error or plain data, in
// bounded time. The fuzzer shares its machine, so the time is looser than in TestHostileExpressions.
func FuzzCompileRun(f *testing.F) {
	for _, function := range expression.Functions() {
		f.Add(function.Example)
	}
	for _, src := range []string{
		`trigger.body.total >= 100`, `map(trigger.body.line_items, .title) | join(", ")`, `let a = [1]; concat(a, a)`,
		`sum(trigger.body.numbers, sum(trigger.body.numbers, #))`, `1 < 2 < 3`, `not ("a" in ["a"])`, `a ? b : c`,
		`if true { 1 } else if false { 2 } else { 3 }`, `trigger?.body?.x ?? "y"`, `reduce(1..9, #acc + #index, 0)`,
		`"\u00e9" matches "^[[:alpha:]]$"`, "`raw`[-1]", `{a: 1, (trigger.id): 2}.order`, `-9223372036854775807 - 2`,
		`trigger.body["total"] % 0.3`, `/* a */ 1 // b`, `1; 2; 3`, `::len("x")`, `0x1F + 0b11 + 0o7 + 1_000`,
	} {
		f.Add(src)
	}
	env := environment(f)
	before := value.Clone(env.Roots["trigger"])
	f.Fuzz(func(t *testing.T, src string) {
		start := time.Now()
		p, err := expression.Compile(src, scope)
		if err == nil {
			var v any
			if v, err = p.Eval(context.Background(), env); err == nil {
				if _, err := value.AppendJSON(nil, v); err != nil {
					t.Errorf("the result has no JSON: %v", err)
				}
			}
			if _, err := p.Bool(context.Background(), env); err != nil && !isError(err) {
				t.Errorf("Bool gave %T: %v", err, err)
			}
			p.Explain(context.Background(), env)
		}
		if err != nil && !isError(err) {
			t.Errorf("got %T: %v", err, err)
		}
		if err != nil && strings.Contains(err.Error(), "runtime error") {
			t.Errorf("the evaluation panicked: %v", err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		if !cmp.Equal(before, env.Roots["trigger"]) {
			t.Fatal("the data was changed")
		}
	})
}

func isError(err error) bool {
	var e *expression.Error
	return errors.As(err, &e)
}

// FuzzTemplate asks that literal text arrives as it is, and that escaping it works for every text.
func FuzzTemplate(f *testing.F) {
	for _, src := range []string{
		`plain`, `${{ 1 }}`, `a ${{ trigger.body.total }} b`, `$${{ x }}`, `$$${{ 1 }}`, `${{ "}}" }}`, `${{ {a: 1}}}`, `${{ '`, `${{ }}`,
		`$`, `$$`, `${`, `${{`, `}}`, `${{ /* }} */ 1 }}`,
	} {
		f.Add(src)
	}
	env := environment(f)
	f.Fuzz(func(t *testing.T, src string) {
		template, err := expression.CompileTemplate(src, scope)
		if err == nil {
			v, evalErr := template.Eval(context.Background(), env)
			if evalErr != nil && !isError(evalErr) {
				t.Errorf("got %T: %v", evalErr, evalErr)
			}
			if !strings.Contains(src, "${{") && v != src {
				t.Errorf("%q became %q", src, v)
			}
		} else if !isError(err) {
			t.Errorf("got %T: %v", err, err)
		}
		escaped, err := expression.CompileTemplate(strings.ReplaceAll(src, "${{", "$${{"), scope)
		if err != nil {
			t.Fatalf("escaped: %v", err)
		}
		if v, err := escaped.Eval(context.Background(), env); err != nil || v != src {
			t.Errorf("%q escaped became %q, %v", src, v, err)
		}
	})
}

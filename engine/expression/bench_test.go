package expression_test

import (
	"context"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

func BenchmarkFilter(b *testing.B) {
	env := environment(b)
	for _, src := range []string{
		`trigger.body.total >= 100`,
		`trigger.body.total >= 100 and trigger.body.customer.name != nil and "vip" in trigger.body.customer.tags`,
	} {
		b.Run(src, func(b *testing.B) {
			p, err := expression.Compile(src, scope)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := p.Bool(context.Background(), env); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

// BenchmarkMapping is the `set` step of the contract: three fields, one of them a list joined to a text.
func BenchmarkMapping(b *testing.B) {
	env := environment(b)
	tree := &expression.Tree{IsMap: true, Fields: []expression.Field{
		{Key: "customer", Value: leaf(b, `${{ upper(trigger.body.customer.name) }}`)},
		{Key: "cents", Value: leaf(b, `${{ round(trigger.body.total * 100) }}`)},
		{Key: "items", Value: leaf(b, `${{ map(trigger.body.line_items, .title) | join(", ") }}`)},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tree.Eval(context.Background(), env); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkText(b *testing.B) {
	env := environment(b)
	tree := leaf(b, `${{ trigger.body.customer.name }} ordered for ${{ trigger.body.total }}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tree.Eval(context.Background(), env); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkItems gives the cost of a predicate over 1,000 items.
func BenchmarkItems(b *testing.B) {
	env := &expression.Env{Roots: map[string]any{"item": items(1000)}}
	p, err := expression.Compile(`count(item, # % 2 == 0)`, scope)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Eval(context.Background(), env); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExplain(b *testing.B) {
	env := environment(b)
	p, err := expression.Compile(`trigger.body.total >= 200 or trigger.body.currency == "USD"`, scope)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(p.Explain(context.Background(), env)) != 2 {
			b.Fatal("not explained")
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := expression.Compile(`map(trigger.body.line_items, .title) | join(", ")`, scope); err != nil {
			b.Fatal(err)
		}
	}
}

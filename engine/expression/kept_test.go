package expression_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// TestManyPrograms evaluates more programs than have their code at a time, again and again and from several goroutines:
// those that gave it up give the same values, errors and explanations.
func TestManyPrograms(t *testing.T) {
	const programs = 6000
	all := make([]*expression.Program, programs)
	for i := range all {
		var err error
		if all[i], err = expression.Compile(fmt.Sprintf("trigger.n + %d > 7 and trigger.name < 5", i), &expression.Scope{Roots: []string{"trigger"}}); err != nil {
			t.Fatal(err)
		}
	}
	env := &expression.Env{Roots: map[string]any{"trigger": map[string]any{"n": 1, "name": 3}}}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for round := range 3 {
				for i, p := range all {
					got, err := p.Bool(context.Background(), env)
					if err != nil || got != (i > 6) {
						t.Errorf("round %d: program %d gives %v, %v", round, i, got, err)
						return
					}
					if list := p.Explain(context.Background(), env); i%100 == 0 && i > 6 && len(list) != 2 {
						t.Errorf("round %d: program %d is explained by %v", round, i, list)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkCompiled tells how much memory an expression keeps that was never evaluated, and one that was.
func BenchmarkCompiled(b *testing.B) {
	const src = "trigger.body.total >= 100 and lower(trigger.body.country) in [\"de\", \"at\"]"
	scope := &expression.Scope{Roots: []string{"trigger"}}
	env := &expression.Env{Roots: map[string]any{"trigger": map[string]any{"body": map[string]any{"total": 129, "country": "DE"}}}}
	for _, used := range []bool{false, true} {
		b.Run(fmt.Sprintf("used=%v", used), func(b *testing.B) {
			all := make([]*expression.Program, b.N)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range all {
				p, err := expression.Compile(src, scope)
				if err == nil && used {
					_, err = p.Bool(context.Background(), env)
				}
				if err != nil {
					b.Fatal(err)
				}
				all[i] = p
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(b.N), "B/program")
			runtime.KeepAlive(all)
		})
	}
}

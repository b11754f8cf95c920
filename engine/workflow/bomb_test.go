package workflow_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// fill repeats what f gives for 0, 1, 2, … up to the largest file.
func fill(f func(i int) string) string {
	var b strings.Builder
	for i := 0; ; i++ {
		part := f(i)
		if b.Len()+len(part) > workflow.MaxSource {
			return b.String()
		}
		b.WriteString(part)
	}
}

func repeat(s string) string { return strings.Repeat(s, workflow.MaxSource/len(s)) }

// bombs are texts that cost a careless reader much more than their size.
func bombs() map[string]string {
	const steps = "triggers: [{webhook: {}}]\nsteps:\n"
	wrap := func(s string) string { return steps + "  - set: {a: " + s[:len(s)-100] }
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 20; i++ {
		laughs += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 8), i-1)
	}
	return map[string]string{
		"billion laughs":   laughs,
		"cycle":            "a: &a [*a, *a]\n",
		"brackets":         repeat("["),
		"braces":           repeat("{a: "),
		"flow pairs":       repeat("[a: "),
		"dashes":           repeat("- "),
		"questions":        repeat("? "),
		"colons":           repeat(": "),
		"tight colons":     repeat(":"),
		"quotes":           repeat(`"`),
		"single quotes":    repeat("'"),
		"quoted words":     repeat(`"" `),
		"quoted lines":     repeat(strings.Repeat(`""`, 30<<10) + "\n"),
		"json line":        repeat(`{"a":["b",1]},`),
		"json lines":       "[" + repeat("{\"a\":[\"b\",1]},\n")[8:],
		"tag lines":        "[" + repeat(strings.Repeat("!a ", 20<<10) + "\n")[8:],
		"documents":        repeat("---\n"),
		"directives":       repeat("%A b\n"),
		"tags":             repeat("!a "),
		"anchors":          fill(func(i int) string { return fmt.Sprintf("k%d: &a%d x\n", i, i) }),
		"one long key":     repeat("a"),
		"one long comment": "#" + repeat("x")[1:],
		"blanks":           repeat(" "),
		"lines":            repeat("\n"),
		"tabs":             repeat("\t"),
		"comments":         repeat("#\n"),
		"keys":             fill(func(i int) string { return fmt.Sprintf("k%d: 1\n", i) }),
		"short keys":       fill(func(i int) string { return fmt.Sprintf("%x:\n", i) }),
		"empty keys":       repeat(":\n"),
		"equal keys":       repeat("a: 1\n"),
		"list":             repeat("-\n"),
		"flow list":        "a: [" + repeat("1,")[8:] + "]",
		"flow map":         "a: {" + repeat("a,")[8:] + "}",
		"flow colons":      "a: [" + repeat(":,")[8:] + "]",
		"empty maps":       "a: [" + repeat("{},")[8:] + "]",
		"indented":         fill(func(i int) string { return strings.Repeat(" ", i) + "a:\n" }),
		"deep steps":       steps + fill(func(i int) string { return strings.Repeat("    ", i+1) + "- on_error:\n" })[:200_000],
		"unknown keys":     steps + fill(func(i int) string { return fmt.Sprintf(" - {a%d: 1}\n", i) })[:240_000],
		"unknown refs":     steps + fill(func(i int) string { return fmt.Sprintf(" - {id: s%d, filter: steps.x%d}\n", i, i) })[:240_000],
		"steps":            steps + fill(func(i int) string { return fmt.Sprintf(" - {id: s%d, filter: true}\n", i) })[:240_000],
		"unnamed steps":    steps + fill(func(i int) string { return " - {filter: true}\n" })[:240_000],
		"chained steps":    steps + fill(func(i int) string { return fmt.Sprintf(" - {id: s%d, if: steps.s%d, filter: true}\n", i+1, i) })[:240_000],
		"triggers":         "steps: [{filter: true}]\ntriggers:\n" + fill(func(i int) string { return fmt.Sprintf(" - {id: t%d, webhook: {}}\n", i) })[:240_000],
		"templates":        wrap(`"` + repeat("${{ 1 }}")[200:] + `"}`),
		"references":       steps + "  - set:\n      a: |\n" + strings.Repeat("        ${{ trigger.id }} ${{ trigger.x }} ${{ steps.y }}\n", 666),
		"expressions":      steps + "  - set:\n      a: |\n" + strings.Repeat("        ${{ 1 }} ${{ 1 }} ${{ 1 }}\n", 6000),
		"longest template": steps + "  - set:\n      a: |\n" + strings.Repeat("        "+strings.Repeat("x", 50)+"${{ 1 }}\n", 1990),
		"conditions":       steps + strings.Repeat("  - filter: trigger.body.a > 1 and trigger.body.b < 2 or not trigger.body.c\n", 1990),
		"open templates":   wrap(repeat("${{ ")[200:]),
		"closed templates": wrap(`"` + repeat("}} ")[200:]),
		"dollars":          wrap(`"` + repeat("$${{")[200:] + `"}`),
		"parentheses":      steps + "  - filter: " + repeat("(")[200:],
		"nots":             steps + "  - filter: '" + repeat("!")[200:] + "'",
		"escapes":          wrap(`"` + repeat(`\n`)[200:] + `${{ x }}"}`),
		"block and error":  steps + "  - set:\n      a: |\n" + strings.Repeat("        a b c d e f g h\n", 10_000) + "        ${{ x }} ${{ y }}\n",
		"cron":             "triggers: [{schedule: {timezone: UTC, cron: '" + repeat("*,")[200:] + " * * * *'}}]\nsteps: [{filter: true}]",
		"path":             "triggers: [{webhook: {path: '" + repeat("{a}/")[200:] + "x'}}]\nsteps: [{filter: true}]",
		"too large":        repeat("# a comment\n") + repeat("#"),
	}
}

func TestBombsAreCheap(t *testing.T) {
	const (
		maxTime   = 200 * time.Millisecond
		maxMemory = 64 << 20
	)
	for name, src := range bombs() {
		t.Run(name, func(t *testing.T) {
			for kind, read := range map[string]func(){
				"workflow": func() { workflow.Load("bomb.yaml", []byte(src), catalog()) },
				"test":     func() { workflow.ParseTest("bomb.test.yaml", []byte(src)) },
			} {
				took, limit := time.Hour, maxTime
				for range 10 { // the machine may be busy: the best counts
					start := time.Now()
					read()
					if took = min(took, time.Since(start)); took < limit || raceDetector {
						break
					}
					limit = time.Duration(float64(maxTime) * pace())
				}
				memory := uint64(0)
				if !raceDetector { // which holds memory of its own
					memory = peak(read)
				}
				t.Logf("%s: %s, %d MiB", kind, took.Round(time.Millisecond), memory>>20)
				if memory > maxMemory {
					t.Errorf("%s: held %d MiB at a time", kind, memory>>20)
				}
				if took > limit && !raceDetector {
					t.Errorf("%s: took %s", kind, took)
				}
			}
		})
	}
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

// peak is how many bytes of the heap f holds at a time, with little garbage among them.
func peak(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	base, most := heap(), uint64(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	ticker := time.NewTicker(200 * time.Microsecond)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return max(most, heap(), base) - base
		case <-ticker.C:
			most = max(most, heap())
		}
	}
}

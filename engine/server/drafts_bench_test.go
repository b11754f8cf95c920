package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// large is a workflow file of 500 lines.
func large() string {
	var b strings.Builder
	b.WriteString("name: Large\ntriggers:\n  - webhook: {}\nsteps:\n")
	for i := 0; strings.Count(b.String(), "\n") < 492; i++ {
		fmt.Fprintf(&b, "  # step %d\n  - id: s%d\n    if: trigger.body.a > %d\n    use: http.request   # call\n    with:\n      method: POST\n", i, i, i)
		fmt.Fprintf(&b, "      url: https://example.com/%d\n      json: {text: \"a ${{ trigger.body.a }} b ${{ steps.s%d.body.b }}\"}\n", i, i)
		if i == 0 {
			text := strings.Replace(b.String(), "${{ steps.s0.body.b }}", "", 1)
			b.Reset()
			b.WriteString(text)
		} else {
			text := strings.Replace(b.String(), fmt.Sprintf("steps.s%d.body", i), fmt.Sprintf("steps.s%d.body", i-1), 1)
			b.Reset()
			b.WriteString(text)
		}
	}
	return b.String()
}

// measure calls f again and again and reports the 95th percentile beside the mean, and the time of a probe: reading the
// same file as a workflow.
func measure(b *testing.B, text string, f func(i int)) {
	var times []time.Duration
	i := 0
	for b.Loop() {
		begun := time.Now()
		f(i)
		times = append(times, time.Since(begun))
		i++
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)*95/100].Microseconds())/1000, "p95-ms")
	begun := time.Now()
	const probes = 20
	for range probes {
		if _, problems := workflow.Parse("large", []byte(text)); problems.Err() != nil {
			b.Fatal(problems)
		}
	}
	b.ReportMetric(float64((time.Since(begun)/probes).Microseconds())/1000, "parse-ms")
}

// BenchmarkEditDraft changes one value of a draft of 500 lines through the API, the whole answer included.
func BenchmarkEditDraft(b *testing.B) {
	h := newHouse(b, nil)
	text := large()
	d, _ := h.want(201, "POST", "/api/v1/drafts", `{"id": "large", "text": `+jsonText(text)+`}`)
	rev := d["rev"].(string)
	measure(b, text, func(i int) {
		res, body := h.call("PATCH", "/api/v1/drafts/large", fmt.Sprintf(`{"ops": [{"op": "set", "path": "steps.s30.with.json.text", "value": "v%d"}]}`, i), "If-Match", rev)
		if res.StatusCode != 200 {
			b.Fatal(body)
		}
		rev = strings.Trim(res.Header.Get("ETag"), `"`)
	})
}

// BenchmarkEvaluate20 evaluates a batch of 20 with the event and the steps of a draft of 500 lines.
func BenchmarkEvaluate20(b *testing.B) {
	h := newHouse(b, nil)
	text := large()
	h.want(201, "POST", "/api/v1/drafts", `{"id": "large", "text": `+jsonText(text)+`}`)
	h.want(201, "POST", "/api/v1/drafts/large/samples", `{"json": {"a": 5, "name": "Ada"}}`)
	body := `{"draft": "large", "step": "s40", "items": [` + strings.TrimSuffix(strings.Repeat(`{"template": "Hi ${{ trigger.body.name }} ${{ steps.s1 }}"}, `, 20), ", ") + `]}`
	measure(b, text, func(int) {
		if res, answer := h.call("POST", "/api/v1/expressions/evaluate", body); res.StatusCode != 200 {
			b.Fatal(answer)
		}
	})
}

// BenchmarkStats50 asks what a condition does with the last 50 events.
func BenchmarkStats50(b *testing.B) {
	h := newHouse(b, nil)
	for i := range 60 {
		h.want(201, "POST", "/api/v1/workflows/billing/invoice/runs", fmt.Sprintf(`{"body": {"total": %d}}`, i))
	}
	b.ResetTimer()
	measure(b, invoice, func(int) {
		if res, answer := h.call("POST", "/api/v1/expressions/stats", `{"draft": "billing/invoice", "expr": "trigger.body.total > 30"}`); res.StatusCode != 200 {
			b.Fatal(answer)
		}
	})
}

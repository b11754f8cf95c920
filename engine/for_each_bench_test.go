package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	httpconnector "github.com/bellhop-dev/bellhop/connectors/http"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

// BenchmarkForEach makes 10,000 local HTTP calls in a loop of a run, and as many by the same action in a bare loop of
// the same concurrency: rate/bare is what durability costs. heap-MiB is by how much the heap grew at most.
func BenchmarkForEach(b *testing.B) {
	for _, method := range []string{http.MethodPut, http.MethodPost} { // the first may be repeated after a crash
		for _, concurrency := range []int{1, 4, 16} {
			b.Run(fmt.Sprintf("%s/%d", method, concurrency), func(b *testing.B) { benchForEach(b, method, concurrency) })
		}
	}
}

func benchForEach(b *testing.B, method string, concurrency int) {
	const rounds = 10_000
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"ok":true,"id":"0123456789"}`)
	}))
	defer far.Close()
	client := far.Client()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = concurrency
	s, err := bolt.Open(filepath.Join(b.TempDir(), "data"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	connector := httpconnector.New()
	e, err := engine.New(engine.Options{Store: s, HTTP: client, Connectors: connectors.NewRegistry(connector)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	defer func() { cancel(); running.Wait(); _ = s.Close(context.Background()) }()
	w := compiled(b, fmt.Sprintf(`
steps:
  - id: lines
    for_each: {in: trigger.body.items, concurrency: %d}
    steps:
      - {use: http.request, with: {method: %s, url: %q, json: {n: "${{ item.n }}"}}}
`, concurrency, method, far.URL))
	if err := e.Publish(ctx, w); err != nil {
		b.Fatal(err)
	}
	items := make([]any, rounds)
	for i := range items {
		items[i] = map[string]any{"n": i, "title": "a line of an order"}
	}
	ev := event(w.ID, map[string]any{"items": items})

	bare := func() time.Duration {
		begun := time.Now()
		var group sync.WaitGroup
		next := make(chan int)
		for range concurrency {
			group.Go(func() {
				for n := range next {
					if _, err := connector.Action("request").Do(ctx, &connectors.Call{
						Key: "k", HTTP: client, Now: time.Now(), Input: map[string]any{"method": method, "url": far.URL, "json": map[string]any{"n": n}},
					}); err != nil {
						b.Error(err)
					}
				}
			})
		}
		for n := range rounds {
			next <- n
		}
		close(next)
		group.Wait()
		return time.Since(begun)
	}
	var ours, theirs time.Duration
	var peak float64
	for b.Loop() {
		theirs += bare()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		idle := m.HeapAlloc
		stop := make(chan struct{})
		var watch sync.WaitGroup
		watch.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
				runtime.ReadMemStats(&m)
				if m.HeapAlloc > idle {
					peak = max(peak, float64(m.HeapAlloc-idle)/(1<<20))
				}
			}
		})
		begun := time.Now()
		reply, err := e.AcceptAndWait(ctx, ev)
		if err != nil || reply.Status != engine.StatusSucceeded {
			b.Fatalf("%v, %v", reply.Status, err)
		}
		if n := len(reply.Output.([]any)); n != rounds {
			b.Fatalf("%d outputs", n)
		}
		ours += time.Since(begun)
		close(stop)
		watch.Wait()
	}
	b.ReportMetric(float64(rounds*b.N)/ours.Seconds(), "calls/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "rate/bare")
	b.ReportMetric(peak, "heap-MiB")
	b.ReportMetric(0, "ns/op")
}

package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/server"
)

// BenchmarkHook is what the server adds to a hook call: routing, the pool, the deadline, the metrics.
func BenchmarkHook(b *testing.B) {
	accepted := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	h := newHouse(b, func(o *server.Options) { o.Hooks = accepted })
	r := httptest.NewRequest("POST", "/hooks/shopify/orders", http.NoBody)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// BenchmarkListRuns is a page of 50 runs, newest first.
func BenchmarkListRuns(b *testing.B) {
	h := newHouse(b, nil)
	for range 100 {
		h.want(201, "POST", "/api/v1/workflows/orders/runs", "")
	}
	r := httptest.NewRequest("GET", "/api/v1/runs?limit=50", http.NoBody)
	r.RemoteAddr, r.Host = "127.0.0.1:5000", "localhost"
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"workflow":"orders"`) {
			b.Fatal(w.Code)
		}
	}
}

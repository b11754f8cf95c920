package outbound_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/outbound"
)

// BenchmarkPost compares a 2 KB POST to loopback with the same by a plain client of the same pool.
func BenchmarkPost(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	defer s.Close()
	for name, client := range map[string]*http.Client{
		"plain":    {Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxIdleConns: 1024}},
		"outbound": outbound.New(outbound.Options{Allow: loopback, UserAgent: "Bellhop/bench"}),
	} {
		b.Run(name, func(b *testing.B) {
			body := bytes.Repeat([]byte("x"), 2048)
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
					if err != nil {
						b.Error(err)
					}
					req.Header.Set("Content-Type", "application/json")
					res, err := client.Do(req)
					if err != nil {
						b.Error(err)
						cancel()
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					cancel()
				}
			})
			client.CloseIdleConnections()
		})
	}
}

// FuzzURLPolicy checks the policy against the predicates of the standard library, which know fewer addresses: what
// they call inside is refused, however it is written, before anything is dialed.
func FuzzURLPolicy(f *testing.F) {
	for _, seed := range []string{
		"http://127.1/", "http://[::1%lo]/", "http://0x7f000001", "http://a@127.0.0.1:80/", "http://1.2.3.4.5/", "//x",
		"http://①27.0.0.1/", "http://localhost\t/", "http://[::ffff:10.0.0.1]:99999/", "http://[fe80::1]/?q#f", "HTTPS://8.8.8.8:443/%0a",
	} {
		f.Add(seed)
	}
	c := outbound.New(outbound.Options{})
	f.Fuzz(func(t *testing.T, address string) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what passes the policy is not dialed
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return
		}
		res, err := c.Do(req)
		if err == nil {
			_ = res.Body.Close()
			t.Fatalf("%q went out", address)
		}
		var refused *outbound.RefusedError
		a, parseErr := netip.ParseAddr(req.URL.Hostname())
		a = a.Unmap()
		inside := parseErr == nil && (a.IsLoopback() || a.IsPrivate() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.Zone() != "")
		if inside && !errors.As(err, &refused) {
			t.Errorf("%q was not refused: %v", address, err)
		}
	})
}

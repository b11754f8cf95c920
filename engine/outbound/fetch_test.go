package outbound_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/outbound"
)

func TestFetch(t *testing.T) {
	var referer []string
	mux := http.NewServeMux()
	mux.HandleFunc("/doc", func(w http.ResponseWriter, r *http.Request) {
		referer = append(referer, r.Header.Get("Referer"))
		_, _ = w.Write([]byte("openapi: 3.1.0"))
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/doc", http.StatusFound) })
	mux.HandleFunc("/circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/circle", http.StatusFound) })
	mux.HandleFunc("/inside", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2000)) })
	mux.HandleFunc("/gone", http.NotFound)
	server := httptest.NewServer(mux)
	defer server.Close()
	client := outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})

	body, at, err := outbound.Fetch(context.Background(), client, server.URL+"/moved?token=s3cret#part", 1000)
	if err != nil || string(body) != "openapi: 3.1.0" || at != server.URL+"/doc" {
		t.Errorf("moved: %q at %q, %v", body, at, err)
	}
	if len(referer) != 1 || referer[0] != "" {
		t.Errorf("the address was told on: %q", referer)
	}
	for _, test := range []struct{ address, want string }{
		{server.URL + "/circle", "more than 5 times"},
		{server.URL + "/inside", "refused"},
		{server.URL + "/large", "longer than 1000 bytes"},
		{server.URL + "/gone", "404"},
		{"http://ann:pw@127.0.0.1/doc", "user or password"},
		{"file:///etc/passwd", "is no address"},
		{"ftp://example.com/a", "is no address"},
	} {
		if _, _, err := outbound.Fetch(context.Background(), client, test.address, 1000); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.address, err, test.want)
		}
	}
	strict := outbound.New(outbound.Options{})
	var refused *outbound.RefusedError
	if _, _, err := outbound.Fetch(context.Background(), strict, server.URL+"/doc", 1000); !errors.As(err, &refused) {
		t.Errorf("loopback: %v", err)
	}
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, server.URL+"/doc", http.StatusFound) }))
	defer secure.Close()
	if _, _, err := outbound.Fetch(context.Background(), secure.Client(), secure.URL, 1000); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("downgrade: %v", err)
	}
}

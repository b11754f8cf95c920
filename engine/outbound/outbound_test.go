package outbound_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/outbound"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func get(t *testing.T, c *http.Client, address string) (*http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err == nil {
		t.Cleanup(func() { _ = res.Body.Close() })
	}
	return res, err
}

// canary is a server that must not be reached.
func canary(t *testing.T) (port string, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			hits.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port(), hits
}

// T-16 and T-19: every prefix and every spelling of a refused address.
func TestRefusedAddresses(t *testing.T) {
	port, hits := canary(t)
	c := outbound.New(outbound.Options{})
	for _, host := range []string{
		"127.0.0.1", "127.255.255.254", "[::1]", "0.0.0.0", "0.1.2.3", "[::]", "localhost",
		"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "[fc00::1]", "[fd12:3456::1]", "[fec0::1]",
		"100.64.0.1", "100.100.100.200", "100.127.255.255",
		"169.254.169.254", "169.254.170.2", "[fe80::1]", "[fd00:ec2::254]", "168.63.129.16", "192.0.0.192",
		"192.0.2.1", "198.51.100.1", "203.0.113.1", "[2001:db8::1]", "198.18.0.1", "198.19.255.255", "192.88.99.1",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "[ff02::1]",
		"[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2001::1]", "[::127.0.0.1]",
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[::ffff:169.254.169.254]",
		// Spellings that some resolvers take for an address.
		"127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "0", "127.0.0.1.", "0x", "1.2.3.4.5",
		"１２７.0.0.1", "127。0。0。1", "[fe80::1%25lo]", "[::1%25lo]", "[fe80::1%25eth0]",
	} {
		t.Run(host, func(t *testing.T) {
			_, err := get(t, c, "http://"+host+":"+port+"/")
			if err == nil {
				t.Fatal("the call went out")
			}
			var refused *outbound.RefusedError
			if !errors.As(err, &refused) {
				t.Fatalf("not refused by the policy: %v", err)
			}
			if !refused.Permanent() {
				t.Error("a refusal is permanent")
			}
		})
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the canary was reached %d times", n)
	}
}

func TestRefusedURLs(t *testing.T) {
	c := outbound.New(outbound.Options{Allow: loopback})
	for name, u := range map[string]*url.URL{
		"file":          {Scheme: "file", Path: "/etc/passwd"},
		"unix":          {Scheme: "unix", Path: "/run/x.sock"},
		"http+unix":     {Scheme: "http+unix", Host: "x"},
		"gopher":        {Scheme: "gopher", Host: "127.0.0.1:1"},
		"no scheme":     {Host: "127.0.0.1"},
		"no host":       {Scheme: "http", Path: "/x"},
		"opaque":        {Scheme: "http", Opaque: "//127.0.0.1/x"},
		"port only":     {Scheme: "http", Host: ":80"},
		"port zero":     {Scheme: "http", Host: "127.0.0.1:0"},
		"userinfo":      {Scheme: "http", Host: "127.0.0.1:1", User: url.UserPassword("a", "b")},
		"host crlf":     {Scheme: "http", Host: "127.0.0.1\r\nX: y"},
		"host blank":    {Scheme: "http", Host: "127.0.0.1 x"},
		"host slash":    {Scheme: "http", Host: "127.0.0.1/x"},
		"query crlf":    {Scheme: "http", Host: "127.0.0.1:1", RawQuery: "a=b\r\nX: y"},
		"query blank":   {Scheme: "http", Host: "127.0.0.1:1", RawQuery: "a=b HTTP/1.1"},
		"long host":     {Scheme: "http", Host: strings.Repeat("a.", 200) + "com"},
		"zone in brack": {Scheme: "http", Host: "[fe80::1%lo]:80"},
	} {
		t.Run(name, func(t *testing.T) {
			req := (&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}).WithContext(t.Context())
			res, err := c.Transport.RoundTrip(req)
			if err == nil {
				_ = res.Body.Close()
				t.Fatal("the call went out")
			}
			var refused *outbound.RefusedError
			if !errors.As(err, &refused) {
				t.Errorf("not refused by the policy: %v", err)
			}
		})
	}
}

// T-20: what net/http would clean up in silence, or must refuse itself.
func TestHeaderInjection(t *testing.T) {
	port, hits := canary(t)
	c := outbound.New(outbound.Options{Allow: loopback})
	for name, change := range map[string]func(*http.Request){
		"host":         func(r *http.Request) { r.Host = "127.0.0.1\r\nX-Evil: 1" },
		"other host":   func(r *http.Request) { r.Host = "evil.example.com" },
		"header value": func(r *http.Request) { r.Header["X-A"] = []string{"b\r\nX-Evil: 1"} },
		"header name":  func(r *http.Request) { r.Header["X-A\r\nX-Evil"] = []string{"1"} },
		"method":       func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET" },
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			change(req)
			res, err := c.Transport.RoundTrip(req)
			if err == nil {
				_ = res.Body.Close()
				t.Error("the call went out")
			}
		})
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the server was reached %d times", n)
	}
}

func TestAllow(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.UserAgent())
	}))
	defer s.Close()
	prefixes, err := outbound.ParseAllow([]string{"127.0.0.1", "10.1.2.3/8", "::ffff:192.168.0.0/112"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"127.0.0.1/32", "10.0.0.0/8", "192.168.0.0/16"} {
		if got := prefixes[i].String(); got != want {
			t.Errorf("prefix %d: got %s, want %s", i, got, want)
		}
	}
	c := outbound.New(outbound.Options{Allow: prefixes, UserAgent: "Bellhop/1.2.3"})
	res, err := get(t, c, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); string(body) != "Bellhop/1.2.3" {
		t.Errorf("user agent %q", body)
	}
	for _, bad := range []string{"", "10.0.0.0/33", "localhost", "fe80::1%lo", "*"} {
		if _, err := outbound.ParseAllow([]string{bad}); err == nil {
			t.Errorf("%q is taken for a network", bad)
		}
	}
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	_, err := get(t, outbound.New(outbound.Options{}), "http://localhost:1/?token=hush")
	var refused *outbound.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{"localhost", "127.0.0.1/32", "outbound.allow in bellhop.yaml"} {
		if !strings.Contains(refused.Error(), part) && !strings.Contains(refused.Error(), strings.Replace(part, "127.0.0.1/32", "::1/128", 1)) {
			t.Errorf("%q is not in %q", part, refused)
		}
	}
}

func TestProxyEnvironmentIsIgnored(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	// net/http never uses a proxy for 127.0.0.1; 0.0.0.0 reaches the same server without that rule.
	address := strings.Replace(s.URL, "127.0.0.1", "0.0.0.0", 1)
	c := outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})
	if _, err := get(t, c, address); err != nil {
		t.Errorf("the proxy of the environment was used: %v", err)
	}
}

func TestNoRedirects(t *testing.T) {
	var followed atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			followed.Store(true)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		http.Redirect(w, r, "/next", http.StatusFound)
	}))
	defer s.Close()
	c := outbound.New(outbound.Options{Allow: loopback})
	res, err := get(t, c, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusFound || followed.Load() {
		t.Errorf("status %d, followed %t", res.StatusCode, followed.Load())
	}
	if c.Jar != nil {
		t.Error("there is a cookie jar")
	}
}

// T-11: a small answer that decodes to a large one.
func TestBodyLimit(t *testing.T) {
	const limit = 64 << 10
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 50*limit))
	_ = z.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		case "/exact":
			_, _ = w.Write(make([]byte, limit))
		case "/over":
			_, _ = w.Write(make([]byte, limit+1))
		}
	}))
	defer s.Close()
	c := outbound.New(outbound.Options{Allow: loopback, MaxBody: limit})
	for path, fits := range map[string]bool{"/bomb": false, "/exact": true, "/over": false} {
		res, err := get(t, c, s.URL+path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		var tooLarge *outbound.TooLargeError
		if fits && err != nil || !fits && !errors.As(err, &tooLarge) || n != limit {
			t.Errorf("%s: read %d bytes, error %v", path, n, err)
		}
	}
}

func TestHeaderTimeout(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			<-release
			return
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-release // the headers came in time: the body may take longer
		_, _ = io.WriteString(w, "done")
	}))
	defer s.Close()
	c := outbound.New(outbound.Options{Allow: loopback})
	outbound.SetHeaderWait(c, 2*time.Second)

	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL+"/body", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()

	req, err = http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL+"/late", nil)
	if err != nil {
		t.Fatal(err)
	}
	late, err := c.Do(req) // by its end the wait of the first call is over as well
	if err == nil {
		_ = late.Body.Close()
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || !strings.Contains(err.Error(), "no answer within 2s") {
		t.Errorf("got %v", err)
	}
	close(release)
	if body, err := io.ReadAll(res.Body); string(body) != "done" || err != nil {
		t.Errorf("body %q, error %v", body, err)
	}
}

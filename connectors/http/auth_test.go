package http_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors"
)

// connection may be used with the servers of these tests, unless it names other hosts.
func connection(auth string, fields map[string]any, hosts ...string) connectors.Connection {
	if len(hosts) == 0 && fields["base_url"] == nil {
		hosts = []string{"127.0.0.1", "x.test"}
	}
	return connectors.Connection{
		Name: "acme", Connector: "http", Auth: auth, Fields: fields, Hosts: hosts,
		Secrets: map[string]string{"token": "hush-hush", "password": "pass word"},
	}
}

func TestAuth(t *testing.T) {
	address, last := serve(t, nil)
	for _, tt := range []struct {
		name   string
		conn   connectors.Connection
		header string
		want   string
		query  string
	}{
		{"bearer", connection("bearer", nil), "Authorization", "Bearer hush-hush", "a=1"},
		{"basic", connection("basic", map[string]any{"username": "ada"}), "Authorization", "Basic YWRhOnBhc3Mgd29yZA==", "a=1"},
		{"header", connection("header", nil), "X-Api-Key", "hush-hush", "a=1"},
		{"named header", connection("header", map[string]any{"header": "x-token"}), "X-Token", "hush-hush", "a=1"},
		{"query", connection("query", map[string]any{"name": "api_key"}), "Authorization", "", "a=1&api_key=hush-hush"},
		{"none", connection("", nil), "Authorization", "", "a=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := do(t, tt.conn, map[string]any{"url": address + "/?a=1"}); err != nil {
				t.Fatal(err)
			}
			got := last()
			if got.Header.Get(tt.header) != tt.want || got.Query != tt.query {
				t.Errorf("header %q, query %q", got.Header.Get(tt.header), got.Query)
			}
		})
	}
}

func TestBaseURL(t *testing.T) {
	address, last := serve(t, nil)
	conn := connection("bearer", map[string]any{"base_url": address + "/v1/"})
	if _, err := do(t, conn, map[string]any{"url": "/orders"}); err != nil {
		t.Fatal(err)
	}
	if got := last(); got.Path != "/v1/orders" || got.Header.Get("Authorization") == "" {
		t.Errorf("got %+v", got)
	}
	if _, err := do(t, conn, map[string]any{"url": "http://other.example.com/"}); err == nil || !strings.Contains(err.Error(), "may not be used with other.example.com") {
		t.Errorf("got %v", err)
	}
}

func TestBadConnections(t *testing.T) {
	missing := connection("bearer", nil)
	missing.Secrets = nil
	injected := connection("bearer", nil)
	injected.Secrets = map[string]string{"token": "hush\r\nX-Evil: 1"}
	nowhere := connection("bearer", nil)
	nowhere.Hosts = nil
	for want, tt := range map[string]struct {
		conn    connectors.Connection
		headers map[string]any
	}{
		"has no token":                  {missing, nil},
		"contains a line break":         {injected, nil},
		`no auth "oauth"`:               {connection("oauth", nil), nil},
		"does not name its query":       {connection("query", nil), nil},
		"cannot contain a colon":        {connection("basic", map[string]any{"username": "a:b"}), nil},
		"is set by the connection":      {connection("bearer", nil), map[string]any{"authorization": "mine"}},
		"the header host cannot be set": {connection("header", map[string]any{"header": "host"}), nil},
		"base_url is not an address":    {connection("bearer", map[string]any{"base_url": "example.com"}), nil},
		"hosts: [x.test]":               {nowhere, nil},
	} {
		_, err := do(t, tt.conn, map[string]any{"url": "http://x.test/", "headers": tt.headers})
		if err == nil || !strings.Contains(err.Error(), want) || !connectors.IsPermanent(err) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

// T-40: where the secrets of a connection may go.
func TestHosts(t *testing.T) {
	sent := 0
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		sent++
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})}
	for _, tt := range []struct {
		hosts, url string
		want       bool
	}{
		{"", "https://any.example.com/", false}, // whoever edits a workflow must not decide where a secret goes
		{"example.com", "https://example.com/", true},
		{"example.com", "https://EXAMPLE.com./", true},
		{"example.com", "https://example.com:8443/", true},
		{"example.com:443", "https://example.com/", true},
		{"example.com:443", "https://example.com:8443/", false},
		{"example.com", "https://api.example.com/", false},
		{"example.com", "https://evil-example.com/", false},
		{"example.com", "https://example.com.evil/", false},
		{"example.com", "https://example.com@evil/", false},
		{"example.com", "https://evil/example.com", false},
		{"example.com", "https://evil\\@example.com/", false},
		{"example.com", "https://evil#example.com", false},
		{"example.com", "https://ｅxample.com/", false},
		{"example.com", "https://examp1e.com/", false},
		{"*.example.com", "https://api.example.com/", true},
		{"*.example.com", "https://a.b.example.com/", true},
		{"*.example.com", "https://example.com/", false},
		{"*.example.com", "https://evil-example.com/", false},
		{"*.example.com", "https://.example.com/", false},
		{"*", "https://evil/", false},
		{"*.", "https://evil/", false},
		{"a.test,b.test", "https://b.test/", true},
		{"[::1]", "http://[::1]:80/", true},
		{"[::1]:80", "http://[::1]/", true},
		{"::1", "http://[::1]/", true},
		{"[::1]:81", "http://[::1]/", false},
	} {
		before := sent
		conn := connection("bearer", nil)
		conn.Hosts = strings.FieldsFunc(tt.hosts, func(r rune) bool { return r == ',' })
		_, err := doWith(t, client, conn, map[string]any{"url": tt.url})
		if (err == nil) != tt.want || (sent > before) != tt.want {
			t.Errorf("%s at %s: sent %t, error %v", tt.hosts, tt.url, sent > before, err)
		}
	}
}

// T-18: what a redirect gets.
func TestRedirects(t *testing.T) {
	other, otherLast := serve(t, nil)
	address, last := serve(t, func(w http.ResponseWriter, r *http.Request) {
		status := map[string]int{"/301": 301, "/302": 302, "/303": 303, "/307": 307, "/308": 308, "/300": 300, "/none": 302}[r.URL.Path]
		switch r.URL.Path {
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/none":
			w.WriteHeader(status)
		case "/here":
		case "/there":
			http.Redirect(w, r, "/here", http.StatusFound)
		default:
			http.Redirect(w, r, other+"/landed?x=1", status)
		}
	})
	for _, path := range []string{"/301", "/302", "/303", "/307", "/308"} {
		out, err := do(t, connectors.Connection{}, map[string]any{"url": address + path, "headers": map[string]any{"X-Custom": "1", "Accept": "text/csv", "If-None-Match": "x"}})
		if err != nil || out["status"] != 200 {
			t.Errorf("%s: %v", path, err)
			continue
		}
		_ = last()
		got := otherLast()
		if got.Method != "GET" || got.Path != "/landed" || got.Body != "" || got.Header.Get("Accept") != "text/csv" {
			t.Errorf("%s: got %+v", path, got)
		}
		for _, name := range []string{"X-Custom", "Referer", "Cookie", "Authorization", "If-None-Match", "Idempotency-Key"} {
			if got.Header.Get(name) != "" {
				t.Errorf("%s: %s went along", path, name)
			}
		}
		for name, input := range map[string]struct {
			conn    connectors.Connection
			method  string
			headers map[string]any
		}{
			"connection":    {connection("bearer", nil), "GET", nil},
			"authorization": {connectors.Connection{}, "GET", map[string]any{"Authorization": "Bearer hush"}},
			"api key":       {connectors.Connection{}, "GET", map[string]any{"X-Api-Key": "hush"}},
			"cookie":        {connectors.Connection{}, "GET", map[string]any{"Cookie": "hush"}},
			"post":          {connectors.Connection{}, "POST", nil},
		} {
			call := map[string]any{"url": address + path, "method": input.method, "headers": input.headers}
			if input.method == "POST" {
				call["raw"] = "hush"
			}
			_, err := do(t, input.conn, call)
			_ = last()
			if err == nil || !connectors.IsPermanent(err) || !strings.Contains(err.Error(), "it redirects to "+other) || strings.Contains(err.Error(), "landed") {
				t.Errorf("%s, %s: got %v", path, name, err)
			}
		}
	}
	if _, err := do(t, connectors.Connection{}, map[string]any{"url": address + "/there", "headers": map[string]any{"X-Custom": "1"}}); err != nil {
		t.Error(err)
	}
	_ = last()
	if got := last(); got.Path != "/here" || got.Header.Get("X-Custom") != "1" {
		t.Errorf("on the same origin: %+v", got)
	}
	for path, want := range map[string]string{"/loop": "more than 5 times", "/none": "not to an address", "/300": "not supported"} {
		if _, err := do(t, connectors.Connection{}, map[string]any{"url": address + path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestNoDowngrade(t *testing.T) {
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"http://" + r.URL.Host + "/"}}, Body: http.NoBody, Request: r}, nil
	})}
	if _, err := doWith(t, client, connectors.Connection{}, map[string]any{"url": "https://example.com/"}); err == nil || !strings.Contains(err.Error(), "not encrypted") {
		t.Errorf("got %v", err)
	}
}

func TestSecretsInAnswers(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "bad token "+r.Header.Get("Authorization"), http.StatusUnauthorized)
	})
	_, err := do(t, connection("bearer", nil), map[string]any{"url": address})
	if err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "[redacted]") {
		t.Errorf("got %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

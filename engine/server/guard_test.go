package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/server"
)

func TestGuardWithoutToken(t *testing.T) {
	h := newHouse(t, nil)
	for _, test := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"this machine", nil, 200},
		{"IPv6", []string{"Remote", "[::1]:5000", "Host", "[::1]:7788"}, 200},
		{"mapped IPv4", []string{"Remote", "[::ffff:127.0.0.1]:5000", "Host", "127.0.0.1"}, 200},
		{"another machine", []string{"Remote", "192.0.2.1:5000"}, 403},
		{"another machine that says it is this one", []string{"Remote", "192.0.2.1:5000", "X-Forwarded-For", "127.0.0.1"}, 403},
		{"a name that was pointed here", []string{"Host", "evil.example:7788"}, 403},
		{"a name that begins well", []string{"Host", "localhost.evil.example"}, 403},
		{"an address that begins well", []string{"Host", "127.0.0.1.evil.example"}, 403},
		{"no host", []string{"Host", ""}, 403},
		{"through a proxy", []string{"X-Forwarded-For", "192.0.2.1"}, 403},
		{"through a proxy that follows RFC 7239", []string{"Forwarded", "for=192.0.2.1"}, 403},
		{"no peer", []string{"Remote", "@"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, path := range []string{"/api/v1/runs", "/metrics"} {
				if res, body := h.call("GET", path, "", test.headers...); res.StatusCode != test.want {
					t.Errorf("%s: status %d, want %d: %s", path, res.StatusCode, test.want, body)
				}
			}
			for _, path := range []string{"/healthz", "/readyz", "/", "/api/v1/openapi.json"} {
				if res, body := h.call("GET", path, "", test.headers...); res.StatusCode != 200 {
					t.Errorf("%s: status %d, want 200: %s", path, res.StatusCode, body)
				}
			}
		})
	}
}

func TestGuardOfWrites(t *testing.T) {
	h := newHouse(t, nil)
	for _, test := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"JSON", nil, 201},
		{"JSON with a character set", []string{"Content-Type", "application/json; charset=utf-8"}, 201},
		{"a form of another site", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"text", []string{"Content-Type", "text/plain"}, 415},
		{"YAML where none is read", []string{"Content-Type", "application/yaml"}, 415},
		{"no type", []string{"Content-Type", ""}, 415},
		{"compressed", []string{"Content-Encoding", "gzip"}, 415},
		{"a script of another site", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"an origin that is not ours", []string{"Origin", "https://evil.example"}, 403},
		{"no origin to speak of", []string{"Origin", "null"}, 403},
		{"our own page", []string{"Origin", "http://localhost:7788", "Sec-Fetch-Site", "same-origin"}, 201},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, body := h.call("POST", "/api/v1/workflows/billing/invoice/runs", `{"body": {"total": 1}}`, test.headers...)
			if res.StatusCode != test.want {
				t.Errorf("status %d, want %d: %s", res.StatusCode, test.want, body)
			}
		})
	}
}

const token = "a-long-secret"

// methods that a stranger may try on every route
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"}

// TestEveryRoute walks through all routes with all methods and all kinds of callers.
func TestEveryRoute(t *testing.T) {
	t.Setenv("BELLHOP_TEST_MARKER", "environment-value-that-must-not-leak")
	h := newHouse(t, func(o *server.Options) { o.AdminToken = token })
	doc, _ := h.want(http.StatusOK, "GET", "/api/v1/openapi.json", "", "Authorization", "Bearer "+token)
	paths := doc["paths"].(map[string]any)
	if len(paths) < 15 {
		t.Fatalf("the description has %d paths", len(paths))
	}
	for path, entry := range paths {
		if !strings.HasPrefix(path, "/api/v1/") {
			t.Errorf("%s is described outside of the API", path)
		}
		served := entry.(map[string]any)
		target := strings.NewReplacer("{id}", "billing%2Finvoice", "{trigger}", "webhook", "{version}", "0").Replace(path)
		for _, method := range methods {
			for _, caller := range []struct {
				name, header string
				let          bool
			}{
				{"no token", "", false},
				{"a wrong token", "Bearer wrong", false},
				{"the beginning of the token", "Bearer " + token[:5], false},
				{"another scheme", "Basic " + token, false},
				{"an empty token", "Bearer ", false},
				{"the token", "Bearer " + token, true},
			} {
				_, described := served[strings.ToLower(method)]
				if method == http.MethodGet && strings.HasSuffix(path, "/icon") {
					continue // an image element can send no token, and a drawing is no secret
				}
				if caller.let && path == "/api/v1/events" && described {
					continue // it would not end; events_test.go has it
				}
				if around, _ := paths[path[:strings.LastIndexByte(path, '/')]+"/{id}"].(map[string]any); !described && around[strings.ToLower(method)] != nil {
					continue // served as the id of another route
				}
				var headers []string
				if caller.header != "" {
					headers = []string{"Authorization", caller.header}
				}
				res, body := h.call(method, target, "", headers...)
				what := method + " " + target + " with " + caller.name
				switch {
				case !caller.let && (res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") == ""):
					t.Errorf("%s: status %d, want 401 and a challenge", what, res.StatusCode)
				case caller.let && !described && (res.StatusCode != 405 || res.Header.Get("Allow") == ""):
					t.Errorf("%s: status %d, want 405 and what is allowed", what, res.StatusCode)
				case caller.let && described && (res.StatusCode == 401 || res.StatusCode == 405 || res.StatusCode >= 500):
					t.Errorf("%s: status %d: %s", what, res.StatusCode, body)
				}
				if strings.Contains(body, "environment-value") {
					t.Errorf("%s: the answer holds a value of the environment", what)
				}
				if res.StatusCode >= 400 {
					var p struct{ Status int }
					if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != res.StatusCode || res.Header.Get("Content-Type") != "application/problem+json" {
						t.Errorf("%s: not a problem: %s", what, body)
					}
				}
			}
		}
	}
	for _, path := range []string{"/api/v1/none", "/api", "/api/v2/runs", "/metrics"} {
		if res, _ := h.call("GET", path, ""); res.StatusCode != 401 {
			t.Errorf("GET %s without the token: status %d, want 401", path, res.StatusCode)
		}
	}
	if res, body := h.call("GET", "/metrics", "", "Authorization", "bearer "+token); res.StatusCode != 200 || !strings.Contains(body, "bellhop_runs{") {
		t.Errorf("GET /metrics with the token: status %d", res.StatusCode)
	}
}

// TestRoutesAreDescribed is the other direction: a route that the router knows and the description does not.
func TestRoutesAreDescribed(t *testing.T) {
	h := newHouse(t, nil)
	doc, _ := h.want(http.StatusOK, "GET", "/api/v1/openapi.json", "")
	paths := doc["paths"].(map[string]any)
	undescribed := map[string]bool{"/hooks/*path": true, "/healthz": true, "/readyz": true, "/metrics": true, "/api/v1/openapi.json": true, "/schema/:file": true, "/approve/:token": true, "/callback/:token": true, "/oauth/callback": true, "/oauth/signed-in.js": true}
	for _, route := range h.Routes() {
		parts := strings.Split(route.Path, "/")
		for i, part := range parts {
			if name, ok := strings.CutPrefix(part, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		entry, _ := paths[strings.Join(parts, "/")].(map[string]any)
		if _, ok := entry[strings.ToLower(route.Method)]; !ok && !undescribed[route.Path] {
			t.Errorf("%s %s is served but not described", route.Method, route.Path)
		}
	}
}

package manifest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/manifest"
)

const small = `manifest: 1
id: small
title: Small
version: 1.0.0
connection:
  auth:
    - {id: key, type: keys, secrets: {key: {title: Key}}, apply: {header.X-Key: "${{ secret.key }}", query.key: "${{ secret.key }}", cookie.session: "${{ secret.key }}"}}
    - {id: basic, type: basic}
    - {id: bearer, type: bearer}
    - {id: hook, type: url}
    - {id: session, type: login, secrets: {user: {title: User}, pass: {title: Password}}, request: {method: POST, path: /login, body: {u: "${{ secret.user }}", p: "${{ secret.pass }}"}}, token: response.body.token}
    - {id: machine, type: oauth2, flow: client_credentials, token_url: "https://api.example.com/token"}
hosts: [api.example.com, "*.example.org"]
defaults: {base_url: "https://api.example.com", rate: {limit: 10, per: 1s, remaining: 'response.headers["x-left"]', reset: 'response.headers["x-reset"]'}}
actions:
  read: {title: Read, safe: true, request: {method: GET, path: /v1/x}, output: response.body.deep.value}
  send: {title: Send, request: {method: POST, path: /v1/x}, input: {properties: {a: {type: string}}}}
  keyed: {title: Keyed, idempotency: header.Idempotency-Key, request: {method: POST, path: /v1/x}, input: {properties: {a: {type: string}}}}
`

func parse(t *testing.T) *connectors.Connector {
	t.Helper()
	m, problems := manifest.Parse("small.yaml", []byte(small), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return m.Connector
}

// connection is one of every auth, with canaries in the place of secrets.
func connection(auth string) (connectors.Connection, []string) {
	secrets := map[string]map[string]string{
		"key":     {"key": "canary-key-4711"},
		"basic":   {"username": "canary-user-4711", "password": "canary-pass/4711 ö"},
		"bearer":  {"token": "canary-token-4711"},
		"hook":    {"url": "https://api.example.com/canary-path-4711"},
		"session": {"user": "canary-user-4711", "pass": "canary-pass-4711"},
		"machine": {"client_id": "canary-id-4711", "client_secret": "canary-secret-4711"},
	}[auth]
	conn := connectors.Connection{Name: "main", Connector: "small", Auth: auth, Fields: map[string]any{}, Secrets: secrets}
	var all []string
	for _, s := range secrets {
		all = append(all, s)
	}
	return conn, all
}

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Whatever goes wrong, no message repeats a secret, and each says at least something.
func TestNoSecretInErrors(t *testing.T) {
	c := parse(t)
	echo := func(status int, kind string) trip {
		return func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", r.URL.String())
			w.WriteHeader(status)
			body := ""
			if r.Body != nil {
				b := make([]byte, 4096)
				n, _ := r.Body.Read(b)
				body = string(b[:n])
			}
			fmt.Fprintf(w, "%s %s %v %s", r.Method, r.URL, r.Header, body)
			return w.Result(), nil
		}
	}
	failures := map[string]trip{
		"refused": func(r *http.Request) (*http.Response, error) { return nil, fmt.Errorf("dial %s: refused", r.URL.Host) },
		"url": func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New("broken")}
		},
		"redirect": echo(302, "text/plain"), "not found": echo(404, "application/json"), "denied": echo(401, "text/plain"), "forbidden": echo(403, "text/plain"),
		"broken": echo(500, "text/plain"), "html": echo(200, "text/html"), "half": echo(200, "application/json"), "limited": echo(429, "text/plain"), "text": echo(200, "text/plain"),
	}
	for _, auth := range []string{"key", "basic", "bearer", "hook", "session", "machine"} {
		for name, fail := range failures {
			conn, canaries := connection(auth)
			call := &connectors.Call{Connection: conn, Input: map[string]any{}, HTTP: &http.Client{Transport: fail}, Now: time.Now(), Key: "k"}
			_, err := c.Action("read").Do(t.Context(), call)
			if err == nil {
				t.Errorf("%s, %s: no error", auth, name)
				continue
			}
			for _, canary := range canaries {
				for _, form := range []string{canary, url.QueryEscape(canary), url.PathEscape(canary), strings.TrimPrefix(canary, "https://api.example.com")} {
					if strings.Contains(err.Error(), form) {
						t.Errorf("%s, %s: the message repeats a secret: %v", auth, name, err)
					}
				}
			}
		}
	}
}

// A call that breaks off after it was sent is unknown, unless a repeat does no harm; one that never left is not.
func TestCutOff(t *testing.T) {
	c := parse(t)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	conn, _ := connection("bearer")
	conn.Fields["base_url"] = server.URL
	do := func(action string) error {
		call := &connectors.Call{Connection: conn, Input: map[string]any{}, HTTP: server.Client(), Now: time.Now(), Key: "k"}
		_, err := c.Action(action).Do(t.Context(), call)
		return err
	}
	if err := do("send"); !connectors.IsUnknown(err) {
		t.Errorf("a POST that was cut off is not unknown: %v", err)
	}
	for _, action := range []string{"read", "keyed"} {
		if err := do(action); err == nil || connectors.IsUnknown(err) || connectors.IsPermanent(err) {
			t.Errorf("%s is not worth another try: %v", action, err)
		}
	}
	server.Close()
	if err := do("send"); err == nil || connectors.IsUnknown(err) {
		t.Errorf("a POST that never left is unknown: %v", err)
	}
}

// Secrets go to the hosts of the connection, however an address is spelled.
func TestHosts(t *testing.T) {
	c := parse(t)
	for address, allowed := range map[string]bool{
		"https://api.example.com/x": true, "https://API.example.com/x": true, "https://a.b.example.org/": true, "https://api.example.com:8443/": true,
		"https://api.example.com.evil.example/": false, "https://evil-api.example.com/": false, "https://api.example.com@evil.example/": false,
		"https://example.org/": false, "https://xexample.org/": false, "https://аpi.example.com/": false, "https://127.0.0.1/": false,
	} {
		sent := false
		conn, _ := connection("hook")
		conn.Secrets["url"] = address
		call := &connectors.Call{Connection: conn, Input: map[string]any{}, Now: time.Now(), HTTP: &http.Client{Transport: trip(func(*http.Request) (*http.Response, error) {
			sent = true
			return nil, errors.New("enough")
		})}}
		_, err := c.Action("read").Do(t.Context(), call)
		if sent != allowed || err == nil {
			t.Errorf("%s: sent %t, want %t (%v)", address, sent, allowed, err)
		}
	}
}

// limits records what an action tells of the rate limit.
type limits struct {
	key  string
	rate connectors.Rate
	told []connectors.Usage
}

func TestRateIsTold(t *testing.T) {
	c := parse(t)
	conn, _ := connection("bearer")
	l := &limits{}
	answer := func(status int, header map[string]string) *http.Client {
		return &http.Client{Transport: trip(func(*http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			for k, v := range header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			return w.Result(), nil
		})}
	}
	now := time.Now()
	call := &connectors.Call{Connection: conn, Input: map[string]any{}, HTTP: answer(204, map[string]string{"x-left": "3", "x-reset": "20"}), Now: now, Limits: l}
	if _, err := c.Action("send").Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if l.key != "small/main" || l.rate != (connectors.Rate{Limit: 10, Per: time.Second}) {
		t.Errorf("asked for %q at %v", l.key, l.rate)
	}
	if want := (connectors.Usage{Known: true, Remaining: 3, Until: now.Add(20 * time.Second)}); len(l.told) != 1 || l.told[0] != want {
		t.Errorf("told %v, want %v", l.told, want)
	}
	call.HTTP = answer(429, map[string]string{"Retry-After": "7"})
	if _, err := c.Action("send").Do(t.Context(), call); err == nil {
		t.Fatal("429 is no error")
	}
	if want := (connectors.Usage{Until: now.Add(7 * time.Second)}); len(l.told) != 2 || l.told[1] != want {
		t.Errorf("told %v, want %v at last", l.told, want)
	}
}

// An action that replaces the rate is counted apart from those that share one.
func TestRateOfAnAction(t *testing.T) {
	m, problems := manifest.Parse("m.yaml", []byte(`manifest: 1
id: m
title: M
version: 1.0.0
defaults: {base_url: "https://api.example.com", rate: {limit: 100, per: 1m}}
actions:
  a: {title: A, request: {method: POST, path: /a}}
  b: {title: B, request: {method: POST, path: /b}}
  search: {title: Search, rate: {limit: 10, per: 1m}, request: {method: POST, path: /search}}
`), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	l := &limits{}
	for action, want := range map[string]string{"a": "m/main 100", "b": "m/main 100", "search": "m/main/search 10"} {
		call := &connectors.Call{
			Connection: connectors.Connection{Name: "main"}, Input: map[string]any{}, Now: time.Now(), Limits: l,
			HTTP: &http.Client{Transport: trip(func(*http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				w.WriteHeader(http.StatusNoContent)
				return w.Result(), nil
			})},
		}
		if _, err := m.Connector.Action(action).Do(t.Context(), call); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(l.key, " ", l.rate.Limit); got != want {
			t.Errorf("%s is counted as %s, want %s", action, got, want)
		}
	}
}

func (l *limits) Wait(_ context.Context, key string, r connectors.Rate) error {
	l.key, l.rate = key, r
	return nil
}

func (l *limits) Learn(_ string, u connectors.Usage) { l.told = append(l.told, u) }

// A secret that is a cookie joins the cookies that an action has, and what no cookie may hold is refused.
func TestSecretCookie(t *testing.T) {
	m, problems := manifest.Parse("portal.yaml", []byte(`manifest: 1
id: portal
title: Portal
version: 1.0.0
connection: {auth: [{id: session, type: keys, secrets: {key: {title: Session}}, apply: {cookie.SID: "${{ secret.key }}"}}]}
defaults: {base_url: "https://portal.example.com"}
actions:
  read: {title: Read, safe: true, request: {method: GET, path: /x}, input: {properties: {theme: {type: string, at: cookie.theme}}}}
`), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for secret, want := range map[string]string{"abc%3D1": "theme=dark; SID=abc%3D1", "a; admin=1": "", "a\r\nX: y": ""} {
		sent := ""
		call := &connectors.Call{
			Connection: connectors.Connection{Name: "main", Connector: "portal", Auth: "session", Secrets: map[string]string{"key": secret}},
			Input:      map[string]any{"theme": "dark"}, Now: time.Now(),
			HTTP: &http.Client{Transport: trip(func(r *http.Request) (*http.Response, error) {
				sent = r.Header.Get("Cookie")
				w := httptest.NewRecorder()
				w.WriteHeader(http.StatusNoContent)
				return w.Result(), nil
			})},
		}
		_, err := m.Connector.Action("read").Do(t.Context(), call)
		if sent != want || (err == nil) != (want != "") {
			t.Errorf("the secret %q: sent the cookies %q, want %q (%v)", secret, sent, want, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the message repeats the secret: %v", err)
		}
	}
}

// A person chooses among all entries that an account has, not among those of the first pages.
func TestChoicesOfAllPages(t *testing.T) {
	m, problems := manifest.Parse("many.yaml", []byte(`manifest: 1
id: many
title: Many
version: 1.0.0
defaults: {base_url: "https://api.example.com"}
actions:
  send: {title: Send, request: {method: POST, path: /x}, input: {properties: {to: {type: string, options: {use: list, value: item.id, label: item.name}}}}}
  list: {title: List, safe: true, request: {method: GET, path: /list}, pagination: {strategy: cursor, items: response.body.items, next: response.body.next, to: query.after}}
`), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	const pages, each = 4, 60
	other := trip(func(r *http.Request) (*http.Response, error) {
		page := 1
		fmt.Sscan(r.URL.Query().Get("after"), &page) //nolint:errcheck // the first page has none
		var items []string
		for i := range each {
			items = append(items, fmt.Sprintf(`{"id": "%d-%d", "name": "entry %d"}`, page, i, i))
		}
		next := "null"
		if page < pages {
			next = fmt.Sprintf(`"%d"`, page+1)
		}
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"items": [%s], "next": %s}`, strings.Join(items, ", "), next)
		return w.Result(), nil
	})
	call := &connectors.Call{Input: map[string]any{}, HTTP: &http.Client{Transport: other}, Now: time.Now()}
	choices, err := m.Connector.Action("send").Choices(t.Context(), call, "to", "")
	if err != nil {
		t.Fatal(err)
	}
	if len(choices) != pages*each {
		t.Errorf("there are %d choices, want %d", len(choices), pages*each)
	}
}

// An answer that no rule knows says what was called and what to do next, and still no secret.
func TestUnknownAnswer(t *testing.T) {
	const text = `manifest: 1
id: m
title: Acme
version: 1.0.0
docs: https://docs.example.com/status
connection: {auth: [{id: key, type: keys, secrets: {key: {title: Key}}, apply: {query.key: "${{ secret.key }}"}}, {id: hook, type: url}]}
defaults: {base_url: "https://api.example.com/base"}
actions: {get: {title: Get, safe: true, request: {method: GET, path: "/v1/{id}"}, input: {properties: {id: {type: string}}}}}
`
	m, problems := manifest.Parse("m.yaml", []byte(text), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, test := range []struct {
		name, auth string
		secrets    map[string]string
		status     int
		body, want string
	}{
		{"says nothing", "key", map[string]string{"key": "canary-4711"}, 418, "", "Acme answered 418 I'm a teapot to GET /base/v1/a%2Fb, and gave no reason. Look at the address and the values of the call, and for the status at https://docs.example.com/status"},
		{"no status of ours", "key", map[string]string{"key": "canary-4711"}, 499, "", "Acme answered 499 to GET /base/v1/a%2Fb, and gave no reason"},
		{"says something", "key", map[string]string{"key": "canary-4711"}, 418, `{"error":"tea only"}`, `Acme answered 418 I'm a teapot to GET /base/v1/a%2Fb: {"error":"tea only"}`},
		{"the address is the secret", "hook", map[string]string{"url": "https://api.example.com/canary-4711"}, 418, "", "Acme answered 418 I'm a teapot to GET [redacted], and gave no reason"},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := trip(func(*http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
				return w.Result(), nil
			})
			_, err := m.Connector.Action("get").Do(t.Context(), &connectors.Call{
				Connection: connectors.Connection{Name: "main", Connector: "m", Auth: test.auth, Secrets: test.secrets},
				Input:      map[string]any{"id": "a/b"}, HTTP: &http.Client{Transport: answer}, Now: time.Now(), Key: "k",
			})
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("the message is %v, want %s", err, test.want)
			}
		})
	}
}

// A list is read as far as the limit says, however small its pages are; one that never gets there is an error, as half a list
// would look like a whole one. Only a manifest that says max_pages means to stop earlier.
func TestPagesReachTheLimit(t *testing.T) {
	const text = `manifest: 1
id: m
title: M
version: 1.0.0
defaults: {base_url: "https://api.example.com"}
actions:
  all: {title: All, safe: true, request: {method: GET, path: /all}, pagination: {strategy: page, items: response.body, to: query.page}}
  some: {title: Some, safe: true, request: {method: GET, path: /some}, pagination: {strategy: page, items: response.body, to: query.page, max_pages: 3}}
  away: {title: Away, safe: true, request: {method: GET, path: /away}, pagination: {strategy: next_url, items: response.body.items, next: response.body.next}}
`
	m, problems := manifest.Parse("m.yaml", []byte(text), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	server := trip(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/away" {
			fmt.Fprint(w, `{"items": [1], "next": "http://api.example.com/away?page=2"}`)
		} else {
			fmt.Fprintf(w, `["p%s", 2]`, r.URL.Query().Get("page"))
		}
		return w.Result(), nil
	})
	for _, test := range []struct {
		action string
		limit  int
		want   int
		fails  string
	}{
		{"all", 300, 300, ""},
		{"all", 2001, 0, "1000 pages held only 2000 entries, and more follow"},
		{"some", 300, 6, ""},
		{"away", 10, 0, "the next page is at http://api.example.com, not at https://api.example.com"},
	} {
		out, err := m.Connector.Action(test.action).Do(t.Context(), &connectors.Call{
			Input: map[string]any{"limit": test.limit}, HTTP: &http.Client{Transport: server}, Now: time.Now(), Key: "k",
		})
		list, _ := out.([]any)
		if len(list) != test.want || test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
			t.Errorf("%s with limit %d: %d entries and %v, want %d and %q", test.action, test.limit, len(list), err, test.want, test.fails)
		}
	}
}

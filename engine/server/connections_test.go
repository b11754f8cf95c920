package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/catalog"
)

// crm is a system on this machine: its token address and one call.
func crm(t *testing.T, h *house) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/token" && r.FormValue("code") == "code-1":
			_, _ = w.Write([]byte(`{"access_token": "canary-token", "refresh_token": "canary-refresh"}`))
		case r.URL.Path == "/me" && (r.Header.Get("Authorization") == "Bearer canary-token" || r.Header.Get("Authorization") == "Bearer canary-key"):
			_, _ = w.Write([]byte(`{"name": "Ada"}`))
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error": "invalid_grant"}`))
		}
	}))
	t.Cleanup(srv.Close)
	at := func(path string) func(connectors.Connection) (string, error) {
		return func(connectors.Connection) (string, error) { return srv.URL + path, nil }
	}
	me := func(ctx context.Context, c *connectors.Call) (any, error) {
		token := c.Connection.Secrets["token"]
		if c.Token != nil {
			var err error
			if token, err = c.Token(ctx, ""); err != nil {
				return nil, err
			}
		}
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/me", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := c.HTTP.Do(req)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return nil, connectors.Permanent(&connectors.StatusError{Status: res.StatusCode, Message: "the CRM does not know " + token})
		}
		var out map[string]any
		return out, json.NewDecoder(res.Body).Decode(&out)
	}
	h.registry.Replace(append(catalog.All(), &connectors.Connector{
		ID: "crm", Title: "CRM",
		Fields: connectors.Schema{Type: "object", Closed: true, Properties: map[string]connectors.Schema{"region": {Type: "string"}, "base_url": {Type: "string"}}},
		Auth: []connectors.AuthScheme{
			{ID: "key", Type: connectors.AuthBearer, Secrets: []connectors.Secret{{Name: "token", Title: "API key", Help: "Settings > API", Pattern: "^canary-"}}},
			{
				ID: "oauth", Type: connectors.AuthOAuth2, Secrets: []connectors.Secret{{Name: "client_id"}, {Name: "client_secret"}},
				OAuth2: &connectors.OAuth2{
					Flow: "authorization_code", AuthorizeURL: at("/authorize"), TokenURL: at("/token"), PKCE: true, Client: "post",
					Read: func(a connectors.Answer) (connectors.Grant, error) {
						m, _ := a.Body.(map[string]any)
						token, _ := m["access_token"].(string)
						if token == "" {
							return connectors.Grant{}, errors.New("no token")
						}
						return connectors.Grant{Token: token}, nil
					},
				},
			},
		},
		Actions: []connectors.Action{{Name: "me", Title: "Who am I", Safe: true, Do: me}},
		Test:    &connectors.Test{Action: "me", Judge: func(out any) (string, error) { return out.(map[string]any)["name"].(string), nil }},
	})...)
}

func TestConnectionLife(t *testing.T) {
	h := newHouse(t, nil)
	crm(t, h)
	made, _ := h.want(201, "POST", "/api/v1/connections",
		`{"name": "my-crm", "connector": "crm", "auth": "key", "values": {"token": "canary-key", "region": "eu"}}`)
	if made["state"] != "untested" || made["ok"] != true || made["declared"] != true || made["entered"] != true {
		t.Fatalf("%v", made)
	}
	file, err := os.ReadFile(filepath.Join(h.dir, "bellhop.yaml"))
	if err != nil || !strings.Contains(string(file), "my-crm") || strings.Contains(string(file), "canary") || !strings.HasPrefix(string(file), settings[:20]) {
		t.Fatalf("bellhop.yaml: %v\n%s", err, file)
	}
	if got, _ := h.want(200, "POST", "/api/v1/connections/my-crm/test", ""); got["ok"] != true || got["label"] != "Ada" {
		t.Fatalf("test: %v", got)
	}
	text := "triggers:\n  - webhook: {path: asks}\nsteps:\n  - {use: crm.me, connection: my-crm}\n"
	if err := os.WriteFile(filepath.Join(h.dir, "workflows", "asks.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, _ := h.want(200, "GET", "/api/v1/connections/my-crm", "")
	if got["state"] != "working" || got["label"] != "Ada" || got["checked_at"] == nil || len(got["used_by"].([]any)) != 1 {
		t.Fatalf("%v", got)
	}
	// The other side takes the key away: a run notices it.
	h.want(200, "PATCH", "/api/v1/connections/my-crm", `{"values": {"token": "canary-old"}}`)
	if got, _ := h.want(200, "POST", "/api/v1/connections/my-crm/test", ""); got["ok"] != false || strings.Contains(got["reason"].(string), "canary") {
		t.Fatalf("test of a key that was taken away: %v", got)
	}
	list, _ := h.want(200, "GET", "/api/v1/connections", "")
	shown, _ := json.Marshal(list)
	if strings.Contains(string(shown), "canary") || !strings.Contains(string(shown), `"failing"`) {
		t.Fatalf("list: %s", shown)
	}
	_, all := h.call("DELETE", "/api/v1/connections/my-crm", "")
	if all != "" {
		t.Fatalf("delete: %s", all)
	}
	h.want(404, "GET", "/api/v1/connections/my-crm", "")
	if file, _ := os.ReadFile(filepath.Join(h.dir, "bellhop.yaml")); string(file) != settings {
		t.Fatalf("bellhop.yaml is not as before:\n%s", file)
	}
}

func TestConnectionMistakes(t *testing.T) {
	h := newHouse(t, nil)
	crm(t, h)
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"no connector", "POST", "", `{"name": "x", "connector": "nope"}`, 422, `no connector \"nope\"`},
		{"a secret that is none", "POST", "", `{"name": "x", "connector": "crm", "auth": "key", "values": {"token": "abc"}}`, 422, "this is no api key"},
		{"an unknown value", "POST", "", `{"name": "x", "connector": "crm", "auth": "key", "values": {"color": "red"}}`, 422, "unknown key"},
		{"values in the wrong place", "POST", "", `{"name": "x", "connector": "crm", "auth": "key", "secrets": {"token": "canary-key"}}`, 422, "body.secrets: unexpected property"},
		{"an address that is none", "POST", "", `{"name": "x", "connector": "crm", "auth": "key", "values": {"token": "canary-key", "base_url": "ftp://x.example"}}`, 422, "it is no address"},
		{"a password in an address", "POST", "", `{"name": "x", "connector": "crm", "auth": "key", "values": {"token": "canary-key", "base_url": "https://u:canary@x.example"}}`, 422, "do not stand in an address"},
		{"a bad name", "POST", "", `{"name": "X Y", "connector": "crm"}`, 422, "no name for a connection"},
		{"a name that is taken", "POST", "", `{"name": "sender", "connector": "crm"}`, 422, "there is a connection sender already"},
		{"a change of nothing", "PATCH", "/absent", `{"values": {}}`, 404, "no such connection"},
		{"what the file sets", "PATCH", "/sender", `{"values": {"token": "other"}}`, 422, "can only be changed there"},
		{"a delete of the file's", "DELETE", "/sender", "", 409, "declared in bellhop.yaml"},
		{"a test without its secret", "POST", "/sender/test", "", 200, "is not set"},
		{"a sign-in to what has none", "POST", "/api/v1/oauth", `{"name": "x", "connector": "crm", "auth": "key", "values": {"token": "canary-key"}}`, 422, "not one that people sign in to"},
		{"a sign-in without its client", "POST", "/api/v1/oauth", `{"name": "x", "connector": "crm", "auth": "oauth"}`, 422, "client_id: it is missing"},
		{"a sign-in that nobody began", "GET", "/api/v1/oauth/abc", "", 404, "not known"},
	}
	path := func(p string) string {
		if strings.HasPrefix(p, "/api") {
			return p
		}
		return "/api/v1/connections" + p
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			res, text := h.call(test.method, path(test.path), test.body)
			if res.StatusCode != test.status || !strings.Contains(text, test.want) {
				t.Fatalf("%d %s, want %d with %q", res.StatusCode, text, test.status, test.want)
			}
			if strings.Contains(text, "canary-key") || strings.Contains(text, "u:canary") {
				t.Errorf("the answer repeats a secret: %s", text)
			}
		})
	}
}

func TestSignInByBrowser(t *testing.T) {
	h := newHouse(t, nil)
	crm(t, h)
	const start = `{"name": "team", "connector": "crm", "auth": "oauth", "values": {"client_id": "me", "client_secret": "canary-secret"}}`
	browser := []string{"Sec-Fetch-Site", "same-origin", "Host", "bell.example"}
	res, text := h.call("POST", "/api/v1/oauth", start, browser...)
	if res.StatusCode != 403 { // the test's caller is local, and its Host must be too
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	got, header := h.want(200, "POST", "/api/v1/oauth", start, "Sec-Fetch-Site", "same-origin")
	if header.Get("Set-Cookie") != "" && !strings.Contains(header.Get("Set-Cookie"), "HttpOnly") {
		t.Fatalf("cookie: %s", header.Get("Set-Cookie"))
	}
	address, _ := url.Parse(got["url"].(string))
	q := address.Query()
	if q.Get("redirect_uri") != "http://bell.example/oauth/callback" || q.Get("code_challenge_method") != "S256" || q.Get("state") != got["state"] {
		t.Fatalf("%v", q)
	}
	// The way back comes from anywhere, without a token.
	res, page := h.call("GET", "/oauth/callback?code=code-1&state="+url.QueryEscape(q.Get("state")), "", "Host", "bell.example", "Remote", "203.0.113.9:4000")
	if res.StatusCode != 200 || !strings.Contains(page, "Signed in") || !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%d %s", res.StatusCode, page)
	}
	res, page = h.call("GET", "/oauth/callback?code=code-1&state=%3Cscript%3E", "", "Remote", "203.0.113.9:4000")
	if res.StatusCode != 400 || strings.Contains(page, "<script>") {
		t.Fatalf("%d %s", res.StatusCode, page)
	}
	if state, _ := h.want(200, "GET", "/api/v1/oauth/"+q.Get("state"), ""); state["ok"] != true || state["connection"] != "team" {
		t.Fatalf("%v", state)
	}
	if got, _ := h.want(200, "POST", "/api/v1/connections/team/test", ""); got["label"] != "Ada" {
		t.Fatalf("%v", got)
	}
	file, _ := os.ReadFile(filepath.Join(h.dir, "bellhop.yaml"))
	if !strings.Contains(string(file), "team") || strings.Contains(string(file), "canary") {
		t.Fatalf("%s", file)
	}
}

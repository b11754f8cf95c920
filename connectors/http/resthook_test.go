package http_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors"
	bellhttp "github.com/bellhop-dev/bellhop/connectors/http"
)

// TestRestHookCalls has what APIs want to hear and say when a subscription begins and ends.
func TestRestHookCalls(t *testing.T) {
	hook := connectors.Hook{URL: "https://bell.example.com/hooks/_/api/rest_hook/abc", Secret: "s3cret"}
	const address = "https://bell.example.com/hooks/_/api/rest_hook/abc?token=s3cret"
	for _, tt := range []struct {
		name     string
		with     map[string]any
		status   int
		location string
		answer   string
		sent     string // the body of the first call
		end      string // method, path and body of the second
		fails    string
	}{
		{name: "as REST hooks have it", with: map[string]any{"event": "order"}, status: 201, answer: `{"id":7}`, sent: `{"event":"order","target_url":"` + address + `"}`, end: "DELETE /hooks/7 "},
		{name: "without an event", with: map[string]any{}, status: 200, answer: `{"id":"a/b"}`, sent: `{"target_url":"` + address + `"}`, end: "DELETE /hooks/a%2Fb "},
		{name: "Location", with: map[string]any{}, status: 201, location: "/subs/9", answer: ``, end: "DELETE /subs/9 "},
		{name: "a Location elsewhere", with: map[string]any{}, status: 201, location: "https://evil.example/9", answer: `{"id":1}`, end: "DELETE /hooks/1 "},
		{name: "another place for the id", with: map[string]any{"id": "data.gid", "unsubscribe_url": "/end/{id}", "unsubscribe_method": "POST", "unsubscribe_json": map[string]any{"id": "{id}"}}, status: 200, answer: `{"data":{"gid":"12"}}`, end: `POST /end/12 {"id":"12"}`},
		{name: "a body of its own", with: map[string]any{"json": map[string]any{"webhook": map[string]any{"urls": []any{"{url}"}}}}, status: 200, answer: `{"id":1}`, sent: `{"webhook":{"urls":["` + address + `"]}}`, end: "DELETE /hooks/1 "},
		{name: "no address", with: map[string]any{"json": map[string]any{"event": "x"}}, fails: "json names the address to call nowhere: write {url}"},
		{name: "no id", with: map[string]any{}, status: 200, answer: `{"ok":true}`, fails: "its answer has no id, by which it could be ended"},
		{name: "a refusal", with: map[string]any{}, status: 422, answer: `{"error":"no such event"}`, fails: "no such event"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var bodies []string
			var last string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				bodies, last = append(bodies, string(b)), r.Method+" "+r.URL.EscapedPath()+" "+string(b)
				if len(bodies) > 1 {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				if tt.location != "" {
					w.Header().Set("Location", tt.location)
				}
				says(tt.status, "application/json", tt.answer)(w, r)
			}))
			defer server.Close()
			tt.with["subscribe_url"] = server.URL + "/hooks"
			if own, ok := tt.with["unsubscribe_url"].(string); ok {
				tt.with["unsubscribe_url"] = server.URL + own
			}
			sub := bellhttp.New().Endpoint("rest_hook").Subscribe
			c := &connectors.Call{Key: key, Input: tt.with, HTTP: plain}
			kept, secret, err := sub.Create(t.Context(), c, hook)
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) || !connectors.IsPermanent(err) {
					t.Errorf("error %v, want %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if secret != hook.Secret {
				t.Errorf("the secret is %q", secret)
			}
			if tt.sent != "" && tt.sent != bodies[0] {
				t.Errorf("sent %s, want %s", bodies[0], tt.sent)
			}
			text, err := json.Marshal(kept) // it is stored in between
			if err != nil {
				t.Fatal(err)
			}
			ended := hook
			if err := json.Unmarshal(text, &ended.Kept); err != nil {
				t.Fatal(err)
			}
			if err := sub.Delete(t.Context(), c, ended); err != nil {
				t.Errorf("ending it: %v", err)
			}
			if last != tt.end {
				t.Errorf("ended by %q, want %q", last, tt.end)
			}
		})
	}
}

package trigger_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/secret"
)

// TestRestHook orders events at an API that offers REST hooks, takes them, and ends the subscription.
func TestRestHook(t *testing.T) {
	var mu sync.Mutex
	var calls []string
	var target string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, r.Method+" "+r.URL.EscapedPath())
		if r.Header.Get("Authorization") != "Bearer t0p" {
			http.Error(w, `{"message":"who are you?"}`, http.StatusForbidden)
			return
		}
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		var body struct {
			Data struct{ HookURL, Event string }
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Data.Event != "order.created" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		target = body.Data.HookURL
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"data":{"id":"h 1"}}`)
	}))
	t.Cleanup(api.Close)
	secrets["resthook"] = connectors.Connection{
		Name: "resthook", Connector: "http", Auth: "bearer", Secrets: map[string]string{"token": "t0p"}, Fields: map[string]any{"base_url": api.URL},
	}
	t.Cleanup(func() { delete(secrets, "resthook") })

	dir := t.TempDir()
	h := newHouse(t, dir)
	vault, err := secret.OpenVault(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	h = h.again(vault)
	src := `triggers:
  - use: http.rest_hook
    connection: resthook
    with: {subscribe_url: /v1/hooks, id: data.id, json: {data: {hookUrl: "{url}", event: order.created}}}
steps:
  - set: {a: 1}
`
	w := parse(t, "rest", src)
	h.live(t, w)
	work(t, h.Run)
	h.active(t, "rest", "http_rest_hook")
	mu.Lock()
	u, err := url.Parse(target)
	mu.Unlock()
	if err != nil || len(u.Query().Get("token")) != 40 {
		t.Fatalf("the address is %q, without a secret of 40 characters (%v)", target, err)
	}
	srv := serve(t, h)
	send := func(path, body string, headers ...string) answer {
		t.Helper()
		return do(t, srv, "POST", path, "application/json", body, headers...)
	}
	path := u.RequestURI()
	if a := send(path, `{}`, "X-Hook-Secret", "s1"); a.status != 200 || a.header.Get("X-Hook-Secret") != "s1" {
		t.Errorf("the confirmation: %d %v", a.status, a.header)
	}
	for _, forged := range []string{u.Path, u.Path + "?token=", u.Path + "?token=x", path + "&token=x", path + "x"} {
		if a := send(forged, `{"id":666}`); a.status != 401 {
			t.Errorf("%s: %d", strings.ReplaceAll(forged, u.Query().Get("token"), "…"), a.status)
		}
	}
	if a := send(path, `{"id":1}`); a.status != 200 {
		t.Errorf("an event: %d %s", a.status, a.body)
	}
	if a := send(path, `[{"id":2},{"id":3}]`); a.status != 200 {
		t.Errorf("a list of events: %d %s", a.status, a.body)
	}
	var got []any
	for _, ev := range h.events(t, "rest") {
		root, err := ev.Root(false)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, root["body"])
		if text, err := json.Marshal(ev.Fields); err != nil || bytes.Contains(text, []byte(u.Query().Get("token"))) {
			t.Errorf("the run holds the secret of the address: %s (%v)", text, err)
		}
	}
	one := func(n float64) any { return map[string]any{"id": n} }
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var plain []any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	// Runs that begin in one millisecond have no order.
	slices.SortFunc(plain, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	if diff := cmp.Diff([]any{one(1), one(2), one(3)}, plain); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	h.live(t, parse(t, "rest", "enabled: false\n"+src))
	eventually(t, "the end of the subscription", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(calls) == 2 && calls[1] == "DELETE /v1/hooks/h%201"
	})
	eventually(t, "410 after the end, which is noted once the other side has answered", func() bool { return send(path, `{"id":4}`).status == 410 })
}

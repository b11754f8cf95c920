package trigger_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const openHook = `
triggers:
  - webhook: {path: in, methods: [POST, GET, PUT]}
steps:
  - set: {seen: true}
`

// answer is what a caller sees.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("the answer %q is no JSON object: %v", a.body, err)
	}
	return v
}

func do(t testing.TB, srv *httptest.Server, method, target, contentType, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	client := *srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff", "Set-Cookie": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s %s: %s is %q, want %q", method, target, name, got, want)
		}
	}
	return answer{resp.StatusCode, resp.Header, string(data)}
}

// runOf reads the run out of an answer.
func runOf(t testing.TB, a answer) engine.RunID {
	t.Helper()
	text, _ := a.json(t)["run"].(string)
	id, err := engine.ParseRunID(text)
	if err != nil {
		t.Fatalf("the answer %d %s names no run: %v", a.status, a.body, err)
	}
	return id
}

func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

func TestRoutes(t *testing.T) {
	h := newHouse(t, t.TempDir())
	hook := func(id, path string, methods string) *workflow.Workflow {
		return parse(t, id, fmt.Sprintf("triggers:\n  - webhook: {path: %q, methods: [%s]}\nsteps:\n  - set: {a: 1}\n", path, methods))
	}
	h.live(t, hook("plain", "shop/orders", "POST"), hook("one", "shop/{shop}", "POST"), hook("two", "shop/{shop}/orders/{order}", "POST"),
		hook("fixed", "shop/{id}/orders/new", "POST"), hook("read", "shop/orders", "GET, HEAD"))
	srv := serve(t, h)
	tests := []struct {
		method, path string
		status       int
		workflow     string
		params       map[string]any
	}{
		{"POST", "/hooks/shop/orders", 202, "plain", map[string]any{}},
		{"POST", "/hooks/shop/orders/", 202, "plain", map[string]any{}},
		{"POST", "/hooks/shop/%6frders", 202, "plain", map[string]any{}},
		{"GET", "/hooks/shop/orders", 202, "read", map[string]any{}},
		{"POST", "/hooks/shop/a%2Fb%20c", 202, "one", map[string]any{"shop": "a/b c"}},
		{"POST", "/hooks/shop/orders/orders/7", 202, "two", map[string]any{"shop": "orders", "order": "7"}},
		{"POST", "/hooks/shop/x/orders/new", 202, "fixed", map[string]any{"id": "x"}},
		{"POST", "/hooks/shop/..", 202, "one", map[string]any{"shop": ".."}},
		{"DELETE", "/hooks/shop/orders", 405, "", nil},
		{"POST", "/hooks/shop", 404, "", nil},
		{"POST", "/hooks/", 404, "", nil},
		{"POST", "/hooks/shop//orders", 404, "", nil},
		{"POST", "/hooks/shop//orders/7", 404, "", nil},
		{"POST", "/hooks/SHOP/orders", 404, "", nil},
		{"POST", "/hooks/shop/x/orders/7/8", 404, "", nil},
		{"POST", "/hooks" + strings.Repeat("/a", 5000), 404, "", nil},
		{"POST", "/other", 404, "", nil},
	}
	for _, tt := range tests {
		a := do(t, srv, tt.method, tt.path, "application/json", `{}`)
		if a.status != tt.status {
			t.Errorf("%s %.60s: %d %s, want %d", tt.method, tt.path, a.status, a.body, tt.status)
			continue
		}
		if tt.status == 405 && a.header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s %s: Allow is %q", tt.method, tt.path, a.header.Get("Allow"))
		}
		if tt.status != 202 {
			if got := a.header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("%s %s: Content-Type is %q", tt.method, tt.path, got)
			}
			continue
		}
		ev := h.event(t, runOf(t, a))
		if diff := cmp.Diff(tt.params, ev.Fields["params"]); diff != "" {
			t.Errorf("%s %s: params\n%s", tt.method, tt.path, diff)
		}
	}
	a := do(t, srv, "HEAD", "/hooks/shop/orders", "", "")
	if a.status != 202 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.status, a.body)
	}
	// One swap, no table that lags behind: what Apply no longer names is gone at once.
	h.Apply(nil)
	if a := do(t, srv, "POST", "/hooks/shop/orders", "application/json", `{}`); a.status != 404 {
		t.Errorf("after Apply(nil): %d", a.status)
	}
}

func TestPathTaken(t *testing.T) {
	h := newHouse(t, t.TempDir())
	off := parse(t, "a", "enabled: false\n"+strings.TrimSpace(openHook))
	on := parse(t, "b", openHook)
	h.live(t, off, on)
	a := do(t, serve(t, h), "POST", "/hooks/in", "application/json", `{}`)
	if a.status != 202 || !strings.Contains(a.body, `"run"`) {
		t.Errorf("the enabled workflow does not have the path: %d %s", a.status, a.body)
	}
	if got := h.Blocked(off); !strings.Contains(got, "belongs to workflow b") {
		t.Errorf("Blocked(a) = %q", got)
	}
	if got := h.Blocked(on); got != "" {
		t.Errorf("Blocked(b) = %q", got)
	}
}

func TestNewFileTakesNoRunningPath(t *testing.T) {
	h := newHouse(t, t.TempDir())
	first, newcomer := parse(t, "b", openHook), parse(t, "a", openHook)
	reached := func() string {
		t.Helper()
		before := len(h.events(t, first.ID))
		if a := do(t, serve(t, h), "POST", "/hooks/in", "application/json", `{}`); a.status != 202 {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		if len(h.events(t, first.ID)) > before {
			return first.ID
		}
		return newcomer.ID
	}
	h.live(t, first)
	h.live(t, newcomer, first)
	if got := reached(); got != "b" {
		t.Errorf("a file with a smaller id took the path: it reached %s", got)
	}
	if got := h.Blocked(newcomer); !strings.Contains(got, "belongs to workflow b") {
		t.Errorf("Blocked(a) = %q", got)
	}
	h.live(t, newcomer, parse(t, "b", "enabled: false\n"+strings.TrimSpace(openHook)))
	if got := reached(); got != "a" {
		t.Errorf("the path of a workflow that was disabled reached %s", got)
	}
}

func TestBodies(t *testing.T) {
	multi := "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n2\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"../x/b.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"g\"; filename=\"g.png\"\r\nContent-Type: image/png\r\n\r\n\x89\xff\r\n--x--\r\n"
	bodies := []struct{ name, text string }{
		{"none", ""},
		{"json", `{"a": 1, "big": 12345678901234567890}`},
		{"json list", `[1, "é"]`},
		{"json scalar", `7`},
		{"truncated json", `{"a": `},
		{"two json", `{} {}`},
		{"form", "a=1&a=2&b=x+y%21"},
		{"xml", `<o id="7"><b>2</b></o>`},
		{"truncated xml", `<o><b>`},
		{"text", "plain text"},
		{"bytes", "\xff\xfe\x00"},
		{"multipart", multi},
		{"truncated multipart", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\n"},
	}
	types := []string{
		"", "application/json", "application/json; charset=utf-8", "application/vnd.api+json", "application/x-www-form-urlencoded",
		"application/xml", "text/xml; charset=utf-8", "text/plain", "text/plain; charset=iso-8859-1", "multipart/form-data; boundary=x",
		"multipart/form-data", "application/octet-stream", "image/png", "nonsense", "application/json; charset=utf-16", "text/plain; charset=koi8-r",
	}
	// What each type makes of each body, in the order of bodies: the status, or the body that expressions see.
	isJSON := []any{nil, map[string]any{"a": 1, "big": json.Number("12345678901234567890")}, []any{1, "é"}, 7, 400, 400, 400, 400, 400, 400, 400, 400, 400}
	isXML := []any{nil, 400, 400, 400, 400, 400, 400, map[string]any{"o": map[string]any{"@id": "7", "b": "2"}}, 400, 400, 400, 400, 400}
	unsupported := []any{nil, 415, 415, 415, 415, 415, 415, 415, 415, 415, 415, 415, 415}
	var isText, isLatin []any
	for _, b := range bodies {
		isText, isLatin = append(isText, b.text), append(isLatin, b.text)
	}
	isText[0], isText[10], isText[11] = nil, 400, 400
	isLatin[0], isLatin[2], isLatin[10], isLatin[11] = nil, "[1, \"Ã©\"]", "ÿþ\x00", strings.Replace(multi, "\x89\xff", "\u0089ÿ", 1)
	isMulti := []any{nil, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, map[string]any{
		"a": []any{"1", "2"},
		"f": map[string]any{"filename": "b.txt", "type": "text/plain", "size": 2, "content": "hi"},
		"g": map[string]any{"filename": "g.png", "type": "image/png", "size": 2, "content": "if8=", "base64": true},
	}, 400}
	anyForm := "a form has no wrong text, but for percent signs and bytes that are not UTF-8"
	isForm := []any{nil, anyForm, anyForm, anyForm, anyForm, anyForm, map[string]any{"a": []any{"1", "2"}, "b": "x y!"}, anyForm, anyForm, anyForm, anyForm, anyForm, anyForm}
	noBoundary := []any{nil, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400}
	want := [][]any{
		unsupported, isJSON, isJSON, isJSON, isForm, isXML, isXML, isText, isLatin, isMulti,
		noBoundary, unsupported, unsupported, unsupported, unsupported, unsupported,
	}

	h := newHouse(t, t.TempDir())
	h.live(t, parse(t, "in", openHook))
	srv := serve(t, h)
	for i, contentType := range types {
		for j, body := range bodies {
			want := want[i][j]
			t.Run(contentType+"/"+body.name, func(t *testing.T) {
				a := do(t, srv, "POST", "/hooks/in", contentType, body.text)
				if status, refused := want.(int); refused && status >= 400 {
					if a.status != status {
						t.Fatalf("%d %s, want %d", a.status, a.body, status)
					}
					if detail, _ := a.json(t)["detail"].(string); detail == "" {
						t.Errorf("no detail in %s", a.body)
					}
					return
				}
				if want == anyForm {
					if a.status != 202 && a.status != 400 {
						t.Fatalf("%d %s", a.status, a.body)
					}
					return
				}
				if a.status != 202 {
					t.Fatalf("%d %s, want 202", a.status, a.body)
				}
				ev := h.event(t, runOf(t, a))
				if got := string(ev.Raw); got != body.text {
					t.Errorf("raw is %q, want %q", got, body.text)
				}
				root, err := ev.Root(true)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, root["body"]); diff != "" {
					t.Errorf("body:\n%s", diff)
				}
			})
		}
	}
}

func TestFields(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.live(t, parse(t, "in", openHook))
	a := do(t, serve(t, h), "PUT", "/hooks/in?a=1&b=2&b=3", "application/json", `{"n": 1, "n": 2}`,
		"X-Twice", "one", "X-Twice", "two", "Cookie", "session=secret", "X-Plain", "yes")
	ev := h.event(t, runOf(t, a))
	headers, _ := ev.Fields["headers"].(map[string]any)
	for name, want := range map[string]any{"x-twice": "one, two", "cookie": "[redacted]", "x-plain": "yes", "content-type": "application/json"} {
		if diff := cmp.Diff(want, headers[name]); diff != "" {
			t.Errorf("header %s:\n%s", name, diff)
		}
	}
	delete(ev.Fields, "headers")
	want := map[string]any{"query": map[string]any{"a": "1", "b": []any{"2", "3"}}, "params": map[string]any{}, "method": "PUT", "path": "in"}
	if diff := cmp.Diff(want, ev.Fields); diff != "" {
		t.Error(diff)
	}
	ds := h.deliveries(t, "in")
	if len(ds) != 1 || ds[0].Outcome != engine.DeliveryAccepted || !strings.Contains(ds[0].Reason, "repeats a key") || ds[0].Remote != "127.0.0.1" || ds[0].Size != 16 {
		t.Errorf("deliveries: %+v", ds)
	}
}

func TestVerify(t *testing.T) {
	sign := func(secret, body string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		io.WriteString(mac, body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	const body = `{"a": 1}`
	tests := []struct {
		name, verify string
		headers      []string
		status       int
		challenge    string
		reason       string
	}{
		{"hmac", "{scheme: hmac, connection: signed, header: X-Sig}", []string{"X-Sig", sign("old", body)}, 202, "", ""},
		{"hmac, rotated", "{scheme: hmac, connection: signed, header: X-Sig}", []string{"X-Sig", sign("new", body)}, 202, "", ""},
		{"hmac, other bytes", "{scheme: hmac, connection: signed, header: X-Sig}", []string{"X-Sig", sign("old", body+" ")}, 401, "", "does not match"},
		{"hmac, unsigned", "{scheme: hmac, connection: signed, header: X-Sig}", nil, 401, "", "missing"},
		{"hmac, twice", "{scheme: hmac, connection: signed, header: X-Sig}", []string{"X-Sig", sign("old", body), "X-Sig", sign("old", body)}, 401, "", "2 times"},
		{"hmac, no secret", "{scheme: hmac, connection: empty, header: X-Sig}", []string{"X-Sig", sign("", body)}, 401, "", "no signing_secret"},
		{"hmac, no connection", "{scheme: hmac, connection: gone, header: X-Sig}", []string{"X-Sig", sign("", body)}, 401, "", "there is no connection"},
		{"basic", "{scheme: basic, connection: basic}", []string{"Authorization", "Basic YWRhOmxvdmVsYWNl"}, 202, "", ""},
		{"basic, wrong", "{scheme: basic, connection: basic}", []string{"Authorization", "Basic YWRhOnR1cmluZw=="}, 401, "Basic", "wrong"},
		{"bearer", "{scheme: bearer, connection: token}", []string{"Authorization", "Bearer t0ken"}, 202, "", ""},
		{"bearer, wrong", "{scheme: bearer, connection: token}", []string{"Authorization", "Bearer token"}, 401, "Bearer", "wrong"},
		{"header", "{scheme: header, connection: token, header: X-Key}", []string{"X-Key", "t0ken"}, 202, "", ""},
		{"header, missing", "{scheme: header, connection: token, header: X-Key}", nil, 401, "", "missing"},
	}
	for _, enabled := range []bool{true, false} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, enabled %t", tt.name, enabled), func(t *testing.T) {
				h := newHouse(t, t.TempDir())
				w := parse(t, "in", fmt.Sprintf("enabled: %t\ntriggers:\n  - webhook: {verify: %s}\nsteps:\n  - set: {a: 1}\n", enabled, tt.verify))
				h.live(t, w)
				a := do(t, serve(t, h), "POST", "/hooks/in", "application/json", body, tt.headers...)
				if a.status != tt.status {
					t.Fatalf("%d %s, want %d", a.status, a.body, tt.status)
				}
				if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, tt.challenge) || (got == "") != (tt.challenge == "") {
					t.Errorf("WWW-Authenticate is %q, want %q", got, tt.challenge)
				}
				ds := h.deliveries(t, "in")
				if len(ds) != 1 || ds[0].Status != tt.status {
					t.Fatalf("deliveries: %+v", ds)
				}
				if tt.status == 401 {
					if ds[0].Outcome != engine.DeliveryRefused || !strings.Contains(ds[0].Reason, tt.reason) || strings.Contains(a.body, ds[0].Reason) {
						t.Errorf("delivery %+v, answer %s", ds[0], a.body)
					}
					if n := len(h.events(t, "in")); n != 0 {
						t.Errorf("%d runs of a call that was refused", n)
					}
					return
				}
				if !enabled {
					if a.json(t)["kept"] != true || ds[0].Outcome != engine.DeliveryKept {
						t.Errorf("%s, delivery %+v", a.body, ds[0])
					}
					if n := len(h.events(t, "in")); n != 0 {
						t.Errorf("%d runs of a disabled workflow", n)
					}
					return
				}
				headers, _ := h.event(t, runOf(t, a)).Fields["headers"].(map[string]any)
				for name, v := range headers {
					if text, _ := v.(string); strings.Contains(text, "t0ken") || strings.Contains(text, "YWRh") {
						t.Errorf("the header %s still holds the secret", name)
					}
				}
			})
		}
	}
}

func TestBlocked(t *testing.T) {
	h := newHouse(t, t.TempDir())
	for connection, want := range map[string]string{"signed": "", "empty": "no signing_secret", "gone": "there is no connection"} {
		w := parse(t, "in", "triggers:\n  - webhook: {verify: {scheme: hmac, header: X-Sig, connection: "+connection+"}}\nsteps:\n  - set: {a: 1}\n")
		if got := h.Blocked(w); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("connection %s: Blocked = %q, want %q", connection, got, want)
		}
	}
}

func TestDedupe(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.live(t, parse(t, "in", "triggers:\n  - webhook: {dedupe: trigger.body.id}\nsteps:\n  - set: {a: 1}\n"),
		parse(t, "guard", "triggers:\n  - webhook: {verify: {scheme: hmac, header: X-Sig, connection: signed, replay_guard: true}}\nsteps:\n  - set: {a: 1}\n"))
	srv := serve(t, h)
	first := do(t, srv, "POST", "/hooks/in", "application/json", `{"id": "x"}`)
	again := do(t, srv, "POST", "/hooks/in", "application/json", `{"id": "x", "n": 2}`)
	if runOf(t, first) != runOf(t, again) || again.json(t)["duplicate"] != true || first.json(t)["duplicate"] != nil {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	for _, body := range []string{`{}`, `{}`, `{"id": ""}`, `{"id": ""}`, `[]`, `7`} {
		if a := do(t, srv, "POST", "/hooks/in", "application/json", body); a.status != 202 || a.json(t)["duplicate"] != nil {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if n := len(h.events(t, "in")); n != 7 {
		t.Errorf("%d runs, want 7", n)
	}
	mac := hmac.New(sha256.New, []byte("new"))
	io.WriteString(mac, `{}`)
	signed := hex.EncodeToString(mac.Sum(nil))
	var wg sync.WaitGroup
	for i := range 20 { // an id that is not signed does not matter
		wg.Go(func() {
			do(t, srv, "POST", "/hooks/guard", "application/json", `{}`, "X-Sig", signed, "X-Id", fmt.Sprint(i))
		})
	}
	wg.Wait()
	if n := len(h.events(t, "guard")); n != 1 {
		t.Errorf("replayed 20 times: %d runs", n)
	}
}

func TestRespond(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.live(t,
		parse(t, "step", "triggers:\n  - webhook: {respond: step}\nsteps:\n  - respond:\n      status: 201\n      headers: {content-type: ' Text/XML ', set-cookie: a=b, x-own: \"1\", content-security-policy: none, transfer-encoding: chunked}\n      body: \"<R>${{ trigger.body.n }}</R>\"\n"),
		parse(t, "html", "triggers:\n  - webhook: {respond: step}\nsteps:\n  - respond: {headers: {content-type: text/html}, body: \"<script>1</script>\"}\n"),
		parse(t, "odd", "triggers:\n  - webhook: {respond: step}\nsteps:\n  - respond: {headers: {content-type: application/x-shockwave-flash}, body: x}\n"),
		parse(t, "moved", "triggers:\n  - webhook: {respond: step}\nsteps:\n  - respond: {status: 302, headers: {location: https://example.com/}}\n"),
		parse(t, "finished", "triggers:\n  - webhook: {respond: finished}\nsteps:\n  - set: {n: \"${{ trigger.body.n }}\"}\n"),
		parse(t, "fails", "triggers:\n  - webhook: {respond: finished}\nsteps:\n  - stop: {as: failed, message: no}\n"))
	work(t, h.engine.Run)
	srv := serve(t, h)
	tests := []struct {
		path        string
		status      int
		contentType string
		body        string
	}{
		{"step", 201, "text/xml; charset=utf-8", "<R>5</R>"},
		{"html", 200, "text/html; charset=utf-8", "<script>1</script>"},
		{"odd", 200, "application/octet-stream", "x"},
		{"moved", 302, "", ""},
		{"finished", 200, "application/json", `"output":{"n":5}`},
		{"fails", 502, "application/json", `"status":"failed"`},
	}
	for _, tt := range tests {
		a := do(t, srv, "POST", "/hooks/"+tt.path, "application/json", `{"n": 5}`)
		if a.status != tt.status || !strings.Contains(a.body, tt.body) || tt.contentType != "" && a.header.Get("Content-Type") != tt.contentType {
			t.Errorf("%s: %d %q %s", tt.path, a.status, a.header.Get("Content-Type"), a.body)
		}
		if tt.path == "step" && a.header.Get("X-Own") != "1" {
			t.Errorf("the header x-own is lost: %v", a.header)
		}
		if tt.path == "moved" && a.header.Get("Location") != "https://example.com/" {
			t.Errorf("the header location is lost: %v", a.header)
		}
	}
}

func TestRefusedByHeader(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.live(t, parse(t, "in", openHook))
	srv := serve(t, h)
	tests := []struct {
		name, header, value string
		status              int
	}{
		{"gzip", "Content-Encoding", "gzip", 415},
		{"identity", "Content-Encoding", "identity", 202},
		{"hop 10", "Bellhop-Hop", "10", 202},
		{"hop 11", "Bellhop-Hop", "11", 508},
		{"hop nonsense", "Bellhop-Hop", "x", 508},
		{"two types", "Content-Type", "text/plain", 415},
	}
	for _, tt := range tests {
		if a := do(t, srv, "POST", "/hooks/in", "application/json", `{}`, tt.header, tt.value); a.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.body, tt.status)
		}
	}
	if a := do(t, srv, "POST", "/hooks/in?a=%zz", "application/json", `{}`); a.status != 400 {
		t.Errorf("malformed query: %d", a.status)
	}
	h.Drain()
	if a := do(t, srv, "POST", "/hooks/in", "application/json", `{}`); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("draining: %d", a.status)
	}
}

// raw sends bytes as they are and returns the status of the answer.
func raw(t testing.TB, srv *httptest.Server, text string, more io.Reader) int {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if more != nil {
		sending.Go(func() { io.Copy(conn, more) }) // until the server hangs up
	} else if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// endless is a chunked body without an end.
type endless struct{ at int }

var chunk = "10000\r\n" + strings.Repeat("x", 0x10000) + "\r\n"

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, chunk[e.at:])
	e.at = (e.at + n) % len(chunk)
	return n, nil
}

func TestBodySizes(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.live(t, parse(t, "in", openHook), parse(t, "wide", "limits: {body: 3MiB}\ntriggers: [{webhook: {}}]\nsteps: [{set: {a: 1}}]\n"))
	srv := serve(t, h)
	full := `"` + strings.Repeat("x", 1<<20-2) + `"`
	if a := do(t, srv, "POST", "/hooks/in", "application/json", full); a.status != 202 {
		t.Errorf("exactly the limit: %d %s", a.status, a.body)
	}
	if a := do(t, srv, "POST", "/hooks/in", "application/json", full+" "); a.status != 413 {
		t.Errorf("a byte above the limit: %d", a.status)
	}
	if a := do(t, srv, "POST", "/hooks/wide", "application/json", full+full[:0]+" "); a.status != 202 {
		t.Errorf("a wider limit: %d", a.status)
	}
	head := "POST /hooks/in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	if got := raw(t, srv, head+"Content-Length: 1073741824\r\nExpect: 100-continue\r\n\r\n", nil); got != 413 {
		t.Errorf("a gigabyte announced: %d", got)
	}
	if got := raw(t, srv, head+"Transfer-Encoding: chunked\r\n\r\n", &endless{}); got != 413 {
		t.Errorf("an endless body: %d", got)
	}
	if got := raw(t, srv, head+"Content-Length: 100\r\n\r\n{}", nil); got != 400 {
		t.Errorf("a body that ends early: %d", got)
	}
	if got := raw(t, srv, head+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", nil); got != 202 {
		t.Errorf("a chunked body: %d", got)
	}
}

func TestFull(t *testing.T) {
	t.Run("workflow", func(t *testing.T) {
		h := newHouseWith(t, t.TempDir(), bolt.Options{NoSync: true, MaxWorkflowRuns: 1})
		testFull(t, h, http.StatusTooManyRequests)
	})
	t.Run("store", func(t *testing.T) {
		h := newHouseWith(t, t.TempDir(), bolt.Options{NoSync: true, MaxRuns: 1})
		testFull(t, h, http.StatusServiceUnavailable)
	})
}

func testFull(t *testing.T, h *house, want int) {
	t.Helper()
	h.live(t, parse(t, "in", openHook))
	srv := serve(t, h)
	if a := do(t, srv, "POST", "/hooks/in", "application/json", `{}`); a.status != 202 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a := do(t, srv, "POST", "/hooks/in", "application/json", `{}`)
	if a.status != want || a.header.Get("Retry-After") == "" {
		t.Errorf("full: %d %s, Retry-After %q, want %d", a.status, a.body, a.header.Get("Retry-After"), want)
	}
}

func TestLaneFails(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.live(t, parse(t, "in", "lane: trigger.body.n + 1\ntriggers: [{webhook: {}}]\nsteps: [{set: {a: 1}}]\n"))
	a := do(t, serve(t, h), "POST", "/hooks/in", "application/json", `{}`)
	if a.status != 400 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	// Nothing is lost: the event can be sent again once the lane is mended.
	ds := h.deliveries(t, "in")
	if len(ds) != 1 {
		t.Fatalf("deliveries: %+v", ds)
	}
	h.live(t, parse(t, "in", "triggers: [{webhook: {}}]\nsteps: [{set: {a: 1}}]\n"))
	if _, err := h.engine.Resend(t.Context(), ds[0].ID); err != nil {
		t.Error(err)
	}
}

func FuzzHook(f *testing.F) {
	h := newHouse(f, f.TempDir())
	h.live(f, parse(f, "in", openHook), parse(f, "p", "triggers: [{webhook: {path: \"a/{x}/b/{y}\"}}]\nsteps: [{set: {a: 1}}]\n"))
	for _, seed := range []struct{ target, contentType, body string }{
		{"/hooks/in", "application/json", `{"a": [1, {"b": null}]}`},
		{"/hooks/in?a=1", "application/x-www-form-urlencoded", "a=1&b=%zz"},
		{"/hooks/a/%2F/b/%ff", "text/xml", "<a><b/></a>"},
		{"/hooks/in", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--"},
		{"/hooks/in", "text/plain; charset=latin1", "\xff"},
		{"/hooks//", "", ""},
	} {
		f.Add(seed.target, seed.contentType, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, target, contentType string, body []byte) {
		if !strings.HasPrefix(target, "/") {
			return
		}
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			return
		}
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.Header["Content-Type"] = []string{contentType}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		switch rec.Code {
		case 202, 400, 404, 413, 415:
		case 429, 503: // the runs of a long fuzz are not worked on
			return
		default:
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		if rec.Code != 202 {
			return
		}
		id, err := engine.ParseRunID(strings.TrimSuffix(strings.TrimPrefix(rec.Body.String(), `{"run":"`), `"}`))
		if err != nil {
			t.Fatal(err)
		}
		ev := h.event(t, id)
		if !bytes.Equal(ev.Raw, body) {
			t.Fatalf("raw is %q, sent %q", ev.Raw, body)
		}
		if _, err := ev.Root(true); err != nil {
			t.Fatalf("what was accepted cannot be read: %v", err)
		}
		if err := h.engine.Cancel(context.Background(), id, "fuzz"); err != nil {
			t.Fatal(err)
		}
	})
}

// A caller that hangs up looks like one that only closes its side: the event is stored, and with its key.
func TestCallerIsGone(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.live(t, parse(t, "in", "triggers:\n  - webhook: {dedupe: trigger.body.id}\nsteps:\n  - set: {a: 1}\n"))
	for i, want := range []string{`{"run":"`, `"duplicate":true`} {
		ctx, hangUp := context.WithCancel(t.Context())
		hangUp()
		req := httptest.NewRequestWithContext(ctx, "POST", "/hooks/in", strings.NewReader(`{"id": "x"}`))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != 202 || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("call %d: %d %s, want %s", i+1, rec.Code, rec.Body, want)
		}
	}
}

// BenchmarkHook is one accepted call of 2 KB, from the handler to the answer, beside an engine that works on the
// runs. Commits do not wait for the disk: what is left is the work of the processor.
func BenchmarkHook(b *testing.B) {
	h := newHouseWith(b, b.TempDir(), bolt.Options{NoSync: true, MaxRuns: 1 << 30, MaxWorkflowRuns: 1 << 30, MaxBytes: 1 << 40})
	h.live(b, parse(b, "in", openHook))
	work(b, h.engine.Run)
	body := `{"order": {"id": 1001, "total": 129.5, "vip": true}, "lines": [` + strings.Repeat(`{"sku": "A-1", "title": "A thing", "quantity": 2},`, 38) + `{}]}`
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req := httptest.NewRequest("POST", "/hooks/in", strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			if rec.Code != 202 {
				b.Errorf("%d %s", rec.Code, rec.Body)
				return
			}
		}
	})
}

package http_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/connectorstest"
	bellhttp "github.com/bellhop-dev/bellhop/connectors/http"
)

func TestConnector(t *testing.T) { connectorstest.Check(t, bellhttp.New()) }

const key = "01JTESTTESTTESTTESTTESTTES"

var plain = &http.Client{Transport: &http.Transport{}}

func do(t *testing.T, conn connectors.Connection, input map[string]any) (map[string]any, error) {
	t.Helper()
	return doWith(t, plain, conn, input)
}

func doWith(t *testing.T, client *http.Client, conn connectors.Connection, input map[string]any) (map[string]any, error) {
	t.Helper()
	out, err := bellhttp.New().Action("request").Do(t.Context(), &connectors.Call{Key: key, Input: input, Connection: conn, HTTP: client})
	m, _ := out.(map[string]any)
	return m, err
}

// seen is what the server got.
type seen struct {
	Method, Path, Query, Body string
	Header                    http.Header
}

// serve starts a server that remembers the last request and answers with answer, or 200 and {"ok":true}.
func serve(t *testing.T, answer http.HandlerFunc) (address string, last func() seen) {
	t.Helper()
	requests := make(chan seen, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body), r.Header}
		if answer != nil {
			answer(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() seen {
		select {
		case r := <-requests:
			return r
		default:
			t.Fatal("nothing was sent")
			return seen{}
		}
	}
}

func TestRequest(t *testing.T) {
	address, last := serve(t, nil)
	cases := []struct {
		name    string
		input   map[string]any
		want    seen
		headers map[string]string // "" means absent
	}{
		{"get is the default", map[string]any{"url": "/a%2Fb?x=1#part"}, seen{Method: "GET", Path: "/a%2Fb", Query: "x=1"}, map[string]string{"Idempotency-Key": "", "Content-Type": ""}},
		{"query", map[string]any{"url": "/?x=%20y", "query": map[string]any{"b": []any{1, "ä &"}, "a": true, "n": nil}}, seen{Method: "GET", Path: "/", Query: "x=%20y&a=true&b=1&b=%C3%A4+%26"}, nil},
		{"text in the url", map[string]any{"url": "/a b?q=Ada Lövelace%20x&r=<"}, seen{Method: "GET", Path: "/a%20b", Query: "q=Ada%20L%C3%B6velace%20x&r=%3C"}, nil},
		{"headers", map[string]any{"url": "/", "headers": map[string]any{"X-Count": 3, "accept": "text/csv", "x-none": nil}}, seen{Method: "GET", Path: "/"}, map[string]string{"X-Count": "3", "Accept": "text/csv", "X-None": ""}},
		{"json", map[string]any{"url": "/", "method": "post", "json": map[string]any{"b": []any{1, 2.5, nil}, "a": "<&>"}}, seen{Method: "POST", Path: "/", Body: `{"a":"<&>","b":[1,2.5,null]}`}, map[string]string{"Content-Type": "application/json", "Idempotency-Key": key}},
		{"json null", map[string]any{"url": "/", "method": "POST", "json": nil}, seen{Method: "POST", Path: "/", Body: "null"}, nil},
		{"no body", map[string]any{"url": "/", "method": "POST", "form": nil}, seen{Method: "POST", Path: "/"}, map[string]string{"Content-Type": "", "Content-Length": "0"}},
		{"content type kept", map[string]any{"url": "/", "method": "PUT", "json": 1, "headers": map[string]any{"content-type": "application/vnd.x+json"}}, seen{Method: "PUT", Path: "/", Body: "1"}, map[string]string{"Content-Type": "application/vnd.x+json", "Idempotency-Key": key}},
		{"own key", map[string]any{"url": "/", "method": "DELETE", "headers": map[string]any{"idempotency-key": "mine"}}, seen{Method: "DELETE", Path: "/"}, map[string]string{"Idempotency-Key": "mine"}},
		{"form", map[string]any{"url": "/", "method": "PATCH", "form": map[string]any{"b": "ä b", "a": 1}}, seen{Method: "PATCH", Path: "/", Body: "a=1&b=%C3%A4+b"}, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
		{"raw", map[string]any{"url": "/", "method": "POST", "raw": "a\r\nb"}, seen{Method: "POST", Path: "/", Body: "a\r\nb"}, map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		{"empty raw", map[string]any{"url": "/", "method": "POST", "raw": ""}, seen{Method: "POST", Path: "/"}, map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		{"xml text", map[string]any{"url": "/", "method": "POST", "xml": "<a/>"}, seen{Method: "POST", Path: "/", Body: "<a/>"}, map[string]string{"Content-Type": "application/xml; charset=utf-8"}},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			path, _ := tt.input["url"].(string)
			tt.input["url"] = address + path
			out, err := do(t, connectors.Connection{}, tt.input)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]any{"ok": true}, out["body"]); diff != "" || out["status"] != 200 {
				t.Errorf("output %v", out)
			}
			got := last()
			for name, want := range tt.headers {
				if got.Header.Get(name) != want {
					t.Errorf("header %s: got %q, want %q", name, got.Header.Get(name), want)
				}
			}
			got.Header = nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestXMLBody(t *testing.T) {
	address, last := serve(t, nil)
	if _, err := do(t, connectors.Connection{}, map[string]any{"url": address, "method": "POST", "xml": map[string]any{"a": map[string]any{"@x": "1", "b": "2"}}}); err != nil {
		t.Fatal(err)
	}
	if body := last().Body; !strings.Contains(body, `<a x="1"><b>2</b></a>`) {
		t.Errorf("got %q", body)
	}
}

func TestMultipart(t *testing.T) {
	address, last := serve(t, nil)
	_, err := do(t, connectors.Connection{}, map[string]any{"url": address, "method": "POST", "multipart": map[string]any{
		"note": "hello", "n": []any{1, 2},
		"file":  map[string]any{"filename": "a\"b\r\nX: y.txt", "content": "text", "type": "text/plain"},
		"image": map[string]any{"filename": "i.png", "content": base64.StdEncoding.EncodeToString([]byte{0, 255}), "base64": true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := last()
	_, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	form, err := multipart.NewReader(strings.NewReader(got.Body), params["boundary"]).ReadForm(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"note": {"hello"}, "n": {"1", "2"}}, form.Value); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{"file": "text", "image": "\x00\xff"} {
		f, err := form.File[name][0].Open()
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(f)
		if string(content) != want {
			t.Errorf("%s: %q", name, content)
		}
		if form.File[name][0].Header.Get("X") != "" {
			t.Error("a file name added a header")
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, contentType, body string
		want                    any
	}{
		{"json", "application/json; charset=utf-8", "\xEF\xBB\xBF{\"a\":[1,2.5]}", map[string]any{"a": []any{1, 2.5}}},
		{"json by suffix", "application/problem+json", `{"a":1}`, map[string]any{"a": 1}},
		{"not json after all", "application/json", "<html>", "<html>"},
		{"xml", "text/xml", "<a x='1'><b>2</b></a>", map[string]any{"a": map[string]any{"@x": "1", "b": "2"}}},
		{"not xml after all", "application/xml", "<a>", "<a>"},
		{"form", "application/x-www-form-urlencoded", "a=1&b=x+y", map[string]any{"a": "1", "b": "x y"}},
		{"text", "text/plain", "grüß", "grüß"},
		{"latin 1", "text/plain; charset=ISO-8859-1", "gr\xfc\xdf", "grüß"},
		{"json in latin 1", "application/json; charset=ISO-8859-1", "{\"a\":\"gr\xfc\xdf\"}", map[string]any{"a": "grüß"}},
		{"json in utf-8 that says latin 1", "application/json; charset=latin1", `{"a":"grüß"}`, map[string]any{"a": "grüß"}},
		{"html", "text/html", "<p>", "<p>"},
		{"csv", "text/csv", "a,b", "a,b"},
		{"empty", "application/json", "", nil},
		{"binary by type", "image/png", "abc", "YWJj"},
		{"binary by content", "text/plain", "\xff\xfe", "//4="},
		{"odd type", ";;;", "abc", "abc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				w.Header().Add("X-Two", "a")
				w.Header().Add("X-Two", "b")
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, tt.body)
			})
			out, err := do(t, connectors.Connection{}, map[string]any{"url": address})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out["body"]); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			headers, _ := out["headers"].(map[string]any)
			if out["status"] != 201 || headers["x-two"] != "a, b" || headers["content-type"] != tt.contentType {
				t.Errorf("output %v", out)
			}
		})
	}
}

func TestHeadAndNoContent(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Length", "100000000000")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	for _, method := range []string{"HEAD", "DELETE"} {
		out, err := do(t, connectors.Connection{}, map[string]any{"url": address, "method": method})
		if err != nil || out["body"] != nil {
			t.Errorf("%s: %v, %v", method, out, err)
		}
	}
}

func TestNotModified(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"a"`)
		w.WriteHeader(http.StatusNotModified)
	})
	out, err := do(t, connectors.Connection{}, map[string]any{"url": address, "headers": map[string]any{"If-None-Match": `"a"`}})
	want := map[string]any{"status": 304, "body": nil}
	if headers, _ := out["headers"].(map[string]any); headers["etag"] != `"a"` {
		t.Errorf("headers %v", headers)
	}
	delete(out, "headers")
	if diff := cmp.Diff(want, out); diff != "" || err != nil {
		t.Errorf("error %v, output (-want +got):\n%s", err, diff)
	}
	if out, err := do(t, connectors.Connection{}, map[string]any{"url": address}); err == nil {
		t.Errorf("a 304 that nobody asked for is an answer: %v", out)
	}
}

func TestStatuses(t *testing.T) {
	for status, again := range map[int]bool{
		400: false, 401: false, 403: false, 404: false, 409: false, 410: false, 422: false, 451: false,
		408: true, 425: true, 429: true, 500: true, 501: true, 502: true, 503: true, 504: true, 508: false, 520: true,
	} {
		address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "{\"error\":\n\t\"no such order\"}")
		})
		_, err := do(t, connectors.Connection{}, map[string]any{"url": address + "/path?api_key=hush", "method": "POST"})
		var se *connectors.StatusError
		if !errors.As(err, &se) || se.Status != status {
			t.Errorf("%d: got %v", status, err)
			continue
		}
		if connectors.IsPermanent(err) == again {
			t.Errorf("%d: permanent %t", status, connectors.IsPermanent(err))
		}
		if !strings.Contains(err.Error(), "no such order") || strings.Contains(err.Error(), "hush") || strings.ContainsAny(err.Error(), "\n\t") {
			t.Errorf("%d: message %q", status, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	date := "Sun, 01 Mar 2026 09:00:00 GMT"
	for _, tt := range []struct {
		status  int
		headers map[string]string
		want    time.Duration
		ok      bool
	}{
		{429, map[string]string{"Retry-After": "7"}, 7 * time.Second, true},
		{503, map[string]string{"Retry-After": "0"}, 0, true},
		{503, map[string]string{"Retry-After": "Sun, 01 Mar 2026 09:01:30 GMT", "Date": date}, 90 * time.Second, true},
		{503, map[string]string{"Retry-After": "Sun, 01 Mar 2026 08:00:00 GMT", "Date": date}, 0, true},
		{503, map[string]string{"Retry-After": "99999999999999999"}, 30 * 24 * time.Hour, true},
		{503, map[string]string{"Retry-After": "99999999999999999999999"}, 0, false},
		{503, map[string]string{"Retry-After": "-5"}, 0, false},
		{503, map[string]string{"Retry-After": "soon"}, 0, false},
		{503, nil, 0, false},
		{404, map[string]string{"Retry-After": "7"}, 0, false},
	} {
		address, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for name, v := range tt.headers {
				w.Header().Set(name, v)
			}
			w.WriteHeader(tt.status)
		})
		_, err := do(t, connectors.Connection{}, map[string]any{"url": address})
		if d, ok := connectors.Delay(err); d != tt.want || ok != tt.ok {
			t.Errorf("%d %v: got %v, %t", tt.status, tt.headers, d, ok)
		}
	}
}

func TestBadInput(t *testing.T) {
	for want, input := range map[string]map[string]any{
		"url is missing":                   {},
		"not a whole address":              {"url": "example.com/x"},
		"only http:// and https://":        {"url": "ftp://example.com/"},
		"begins with file":                 {"url": "file:///etc/passwd"},
		"user name or password":            {"url": "http://a:b@example.com/"},
		"names no host":                    {"url": "http://:80/"},
		"url is not an address":            {"url": "http://exa mple.com/?hush"},
		`method "FETCH"`:                   {"url": "http://x.test/", "method": "FETCH"},
		"method is a number":               {"url": "http://x.test/", "method": 5},
		`no input "bdy"`:                   {"url": "http://x.test/", "bdy": 1},
		"query is text":                    {"url": "http://x.test/", "query": "a=b"},
		"headers is a list":                {"url": "http://x.test/", "headers": []any{}},
		"is not a header name":             {"url": "http://x.test/", "headers": map[string]any{"a b": "c"}},
		"the value of X-A contains a line": {"url": "http://x.test/", "headers": map[string]any{"X-A": "b\r\nX-Evil: hush"}},
		"a header has no name":             {"url": "http://x.test/", "headers": map[string]any{"": "c"}},
		"X-A is given twice":               {"url": "http://x.test/", "headers": map[string]any{"x-a": "1", "X-A": "2"}},
		"Host cannot be set":               {"url": "http://x.test/", "headers": map[string]any{"host": "evil"}},
		"Content-Length cannot be set":     {"url": "http://x.test/", "headers": map[string]any{"content-length": 5}},
		"both json and raw":                {"url": "http://x.test/", "method": "POST", "json": 1, "raw": "x"},
		"GET sends no body":                {"url": "http://x.test/", "json": 1},
		"form is text":                     {"url": "http://x.test/", "method": "POST", "form": "a=b"},
		"part a: the content is not":       {"url": "http://x.test/", "method": "POST", "multipart": map[string]any{"a": map[string]any{"content": "?", "base64": true}}},
		"is not a content type":            {"url": "http://x.test/", "method": "POST", "multipart": map[string]any{"a": map[string]any{"content": "x", "type": "text/plain\r\nX: y"}}},
		`not "file"`:                       {"url": "http://x.test/", "method": "POST", "multipart": map[string]any{"a": map[string]any{"file": "x"}}},
		"timeout: ":                        {"url": "http://x.test/", "timeout": "soon"},
	} {
		_, err := do(t, connectors.Connection{}, input)
		if err == nil || !strings.Contains(err.Error(), want) || !connectors.IsPermanent(err) {
			t.Errorf("%s: got %v", want, err)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the message repeats what may be secret: %v", want, err)
		}
	}
}

func TestTooLarge(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/said" {
			w.Header().Set("Content-Length", "11000000")
			return
		}
		chunk := make([]byte, 1<<20)
		for range 11 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	for _, path := range []string{"/said", "/streamed"} {
		_, err := do(t, connectors.Connection{}, map[string]any{"url": address + path})
		if err == nil || !strings.Contains(err.Error(), "longer than 10 MiB") || !connectors.IsPermanent(err) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestNetworkErrors(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-r.Context().Done()
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	_ = l.Close()
	for target, want := range map[string]string{
		address + "/slow?k=hush":  "did not answer in time",
		address + "/cut?k=hush":   "closed the connection before its answer was complete",
		address + "/abort?k=hush": "closed the connection before its answer was complete",
		closed + "/?k=hush":       "nothing listens at " + strings.TrimPrefix(closed, "http://"),
	} {
		_, err := do(t, connectors.Connection{}, map[string]any{"url": target, "timeout": 0.2})
		if err == nil || !strings.Contains(err.Error(), want) || connectors.IsPermanent(err) || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "context") {
			t.Errorf("%s: got %v, permanent %t", want, err, connectors.IsPermanent(err))
		}
	}
}

// TestCertificate calls a server that nobody known vouches for.
func TestCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	_, err := do(t, connectors.Connection{}, map[string]any{"url": server.URL})
	if err == nil || !connectors.IsPermanent(err) || !strings.Contains(err.Error(), "no authority that this machine knows has signed it, so nothing was sent") {
		t.Errorf("got %v", err)
	}
}

// refusal stands for the address policy of the outbound client.
type refusal struct{}

func (refusal) Error() string   { return "the call was refused" }
func (refusal) Permanent() bool { return true }

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, refusal{} }

func TestRefusalIsPermanent(t *testing.T) {
	_, err := bellhttp.New().Action("request").Do(t.Context(), &connectors.Call{
		Input: map[string]any{"url": "http://10.0.0.1/?k=hush"}, HTTP: &http.Client{Transport: refusing{}},
	})
	if !connectors.IsPermanent(err) || err.Error() != "the call was refused" {
		t.Errorf("got %v", err)
	}
}

// A POST whose connection breaks is sent once per attempt, although it carries an Idempotency-Key.
func TestPostIsSentOnce(t *testing.T) {
	var posts atomic.Int64
	address, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
			panic(http.ErrAbortHandler)
		}
	})
	if _, err := do(t, connectors.Connection{}, map[string]any{"url": address}); err != nil { // leaves a connection that is used again
		t.Fatal(err)
	}
	if _, err := do(t, connectors.Connection{}, map[string]any{"url": address, "method": "POST", "json": 1}); err == nil {
		t.Error("no error")
	}
	if n := posts.Load(); n != 1 {
		t.Errorf("sent %d times", n)
	}
}

func TestSafety(t *testing.T) {
	a := bellhttp.New().Action("request")
	for method, want := range map[any][2]bool{
		nil: {true, true}, "": {true, true}, "get": {true, true}, "HEAD": {true, true}, "PUT": {false, true}, "DELETE": {false, true},
		"POST": {false, false}, "PATCH": {false, false}, "OPTIONS": {true, true}, "nonsense": {false, false},
	} {
		input := map[string]any{"method": method}
		if got := [2]bool{a.IsSafe(input), a.IsRepeatable(input)}; got != want {
			t.Errorf("%v: safe and repeatable %v, want %v", method, got, want)
		}
	}
}

func TestDeadlineOfTheStepHolds(t *testing.T) {
	address, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := bellhttp.New().Action("request").Do(ctx, &connectors.Call{Input: map[string]any{"url": address, "timeout": "1h"}, HTTP: plain})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

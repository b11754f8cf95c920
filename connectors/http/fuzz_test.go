package http_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	bellhttp "github.com/bellhop-dev/bellhop/connectors/http"
)

// FuzzRequest (T-20): whatever the input, one request goes out, with the headers that were meant and no other.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "http://x.test/a?b=c", "X-A", "b", "q", "body")
	f.Add("GET\r\nX-Evil: 1", "http://x.test\r\nX-Evil: 1/", "X-A\r\nX-Evil", "b\r\nX-Evil: 1", "a b", "")
	f.Add("PUT", "http://x.test/a b?c d#e", "x-a", "ä\t", "\r\n", "GET / HTTP/1.1\r\nX-Evil: 1\r\n\r\n")
	f.Fuzz(func(t *testing.T, method, address, name, val, query, body string) {
		var wire bytes.Buffer
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if err := r.Write(&wire); err != nil {
				return nil, err
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})}
		input := map[string]any{"method": method, "url": address, "headers": map[string]any{name: val}, "query": map[string]any{query: query}}
		if method = strings.ToUpper(method); method == "POST" || method == "PUT" {
			input["raw"] = body
		} else {
			body = ""
		}
		if _, err := bellhttp.New().Action("request").Do(t.Context(), &connectors.Call{Input: input, HTTP: client}); err != nil {
			return
		}
		in := bufio.NewReader(&wire)
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("what went out is not a request: %v", err)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil || string(got) != body {
			t.Errorf("body %q, error %v", got, err)
		}
		if in.Buffered() > 0 {
			t.Error("more than one request went out")
		}
		for h := range r.Header {
			switch h {
			case http.CanonicalHeaderKey(name), "Content-Type", "Content-Length", "User-Agent":
			default:
				t.Errorf("the header %q was added", h)
			}
		}
	})
}

// FuzzAnswer: no answer makes the connector panic or ask for an absurd wait.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "application/json", `{"a":1}`, "", "")
	f.Add(503, "text/xml; charset=latin1", "<a", "120", "")
	f.Add(429, ";=;", "\xff", "Sun, 01 Mar 2026 09:01:30 GMT", "Sun, 01 Mar 2026 09:00:00 GMT")
	f.Add(302, "", "", "-1", "x")
	f.Fuzz(func(t *testing.T, status int, contentType, body, retryAfter, date string) {
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, Request: r, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body)),
				Header: http.Header{"Content-Type": {contentType}, "Retry-After": {retryAfter}, "Date": {date}, "Location": {contentType}},
			}, nil
		})}
		_, err := bellhttp.New().Action("request").Do(t.Context(), &connectors.Call{Input: map[string]any{"url": "http://x.test/"}, HTTP: client})
		if d, ok := connectors.Delay(err); ok && (d < 0 || d > 30*24*time.Hour) {
			t.Errorf("a wait of %v", d)
		}
	})
}

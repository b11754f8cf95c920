package rehearsal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// boundary stands where the network would be: it checks what a connector sends and gives the answers of a mock.
type boundary struct {
	stage *stage
	mock  *workflow.Mock
	step  string
}

func (b *boundary) RoundTrip(req *http.Request) (*http.Response, error) {
	n := b.stage.used[b.mock]
	b.stage.used[b.mock]++
	if n >= len(b.mock.HTTP) {
		b.stage.failf("step %s made HTTP call %d to %s, the mock has answers for %d", b.step, n+1, req.URL.Redacted(), len(b.mock.HTTP))
		return nil, errors.New("the mock has no more answers")
	}
	exchange := b.mock.HTTP[n]
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(req.Body, 64<<20)); err != nil {
			return nil, err
		}
		req.Body.Close()
	}
	for _, f := range b.check(&exchange.Expect, req, body) {
		b.stage.failf("HTTP call of step %s: %s", b.step, f)
	}
	return answer(req, &exchange.Reply)
}

func (b *boundary) check(want *workflow.Request, req *http.Request, body []byte) []string {
	var fs []string
	if want.Method != "" && want.Method != req.Method {
		fs = append(fs, fmt.Sprintf("the method is %s, want %s", req.Method, want.Method))
	}
	bare := *req.URL
	bare.RawQuery, bare.Fragment = "", ""
	if want.URL != "" && want.URL != bare.String() {
		fs = append(fs, fmt.Sprintf("the address is %s, want %s", bare.String(), want.URL))
	}
	query := req.URL.Query()
	for name, text := range want.Query {
		if have := strings.Join(query[name], ","); have != text {
			fs = append(fs, fmt.Sprintf("the parameter %s is %q, want %q", name, have, text))
		}
	}
	for name, text := range want.Headers {
		if have := strings.Join(req.Header.Values(name), ", "); have != text {
			fs = append(fs, fmt.Sprintf("the header %s is %q, want %q", name, have, text))
		}
	}
	if want.JSON != nil {
		got, err := value.DecodeJSON(body)
		if err != nil {
			fs = append(fs, fmt.Sprintf("the body is not JSON: %v", err))
		} else {
			fs = append(fs, differences("the body", want.JSON.Value, got)...)
		}
	}
	if want.Body != nil && *want.Body != string(body) {
		fs = append(fs, fmt.Sprintf("the body is %s, want %s", short(string(body)), short(*want.Body)))
	}
	return fs
}

func answer(req *http.Request, r *workflow.Reply) (*http.Response, error) {
	body := []byte(r.Body)
	header := http.Header{}
	if r.JSON != nil {
		var err error
		if body, err = value.AppendJSON(nil, r.JSON.Value); err != nil {
			return nil, err
		}
		header.Set("Content-Type", "application/json")
	}
	for name, text := range r.Headers {
		header.Set(name, text)
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status)), StatusCode: r.Status, Header: header, Request: req,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

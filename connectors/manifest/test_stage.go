package manifest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// stage is the server that stands for the systems outside.
type stage struct {
	server    *http.Server
	transport *http.Transport
	addr      string
	done      chan struct{}

	mu    sync.Mutex
	stubs []stub
	used  int
	wrong []string
}

func newStage(ctx context.Context) (*stage, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("a server for the tests cannot listen: %w", err)
	}
	s := &stage{addr: l.Addr().String(), done: make(chan struct{}), transport: &http.Transport{DisableCompression: true}}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l) // it ends when it is closed
	}()
	return s, nil
}

func (s *stage) close() {
	s.transport.CloseIdleConnections()
	_ = s.server.Close()
	<-s.done
}

func (s *stage) begin(stubs []stub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stubs, s.used, s.wrong = stubs, 0, nil
}

func (s *stage) end() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used < len(s.stubs) {
		s.wrong = append(s.wrong, fmt.Sprintf("%d of the %d calls under http were made", s.used, len(s.stubs)))
	}
	return s.wrong
}

// RoundTrip brings every call to the server, whatever its host.
func (s *stage) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host = "http", s.addr
	out.Host = req.URL.Host
	return s.transport.RoundTrip(out)
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 16<<20)) // a body that breaks off differs from what is expected
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used >= len(s.stubs) {
		s.wrong = append(s.wrong, fmt.Sprintf("call %d (%s https://%s%s) is not expected", s.used+1, r.Method, r.Host, r.URL.Path))
		s.used++
		w.WriteHeader(http.StatusTeapot)
		return
	}
	stub := &s.stubs[s.used]
	s.used++
	for _, problem := range stub.compare(r, body) {
		s.wrong = append(s.wrong, fmt.Sprintf("call %d: %s", s.used, problem))
	}
	if stub.kind != "" {
		w.Header().Set("Content-Type", stub.kind)
	}
	for name, v := range stub.header {
		w.Header().Set(name, textOf(v))
	}
	w.WriteHeader(stub.status)
	_, _ = w.Write(stub.body)
}

// compare says how a call differs from what is expected.
func (s *stub) compare(r *http.Request, body []byte) []string {
	var wrong []string
	differ := func(what string, want, got any) {
		if d := difference(want, got); d != "" {
			wrong = append(wrong, what+d)
		}
	}
	for key, want := range s.expect {
		switch key {
		case "method":
			differ("the method", want, r.Method)
		case "host":
			differ("the host", want, r.Host)
		case "path":
			differ("the path", want, r.URL.EscapedPath())
		case "query":
			differ("the query", texts(want), valuesOf(r.URL.Query()))
		case "no_query":
			for _, name := range want.([]any) {
				if r.URL.Query().Has(textOf(name)) {
					wrong = append(wrong, fmt.Sprintf("the query has %s", textOf(name)))
				}
			}
		case "headers":
			for name, text := range asObject(want) {
				differ("the header "+name, textOf(text), strings.Join(r.Header.Values(name), ", "))
			}
		case "json":
			got, err := value.DecodeJSON(body)
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("the body is no JSON: %s", short(string(body))))
				continue
			}
			differ("the body", want, got)
		case "form":
			q, err := url.ParseQuery(string(body))
			if err != nil {
				wrong = append(wrong, "the body is no form")
				continue
			}
			differ("the form", texts(want), valuesOf(q))
		case "body":
			if text := textOf(want); !strings.Contains(string(body), text) {
				wrong = append(wrong, fmt.Sprintf("the body does not hold %q: %s", text, short(string(body))))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// texts makes texts of the values of an object, as they stand in a query.
func texts(v any) any {
	out := map[string]any{}
	for name, item := range asObject(v) {
		if list, ok := item.([]any); ok {
			all := make([]any, len(list))
			for i := range list {
				all[i] = textOf(list[i])
			}
			out[name] = all
			continue
		}
		out[name] = textOf(item)
	}
	return out
}

func valuesOf(q url.Values) any {
	out := map[string]any{}
	for name, values := range q {
		if len(values) == 1 {
			out[name] = values[0]
			continue
		}
		list := make([]any, len(values))
		for i := range values {
			list[i] = values[i]
		}
		out[name] = list
	}
	return out
}

// difference says where got does not hold what is wanted; a subset is enough.
func difference(want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return " is " + shown(got) + ", want an object"
		}
		for _, name := range keysOf(want) {
			have, there := object[name]
			if !there && want[name] != nil {
				return "." + name + " is missing"
			}
			if d := difference(want[name], have); d != "" {
				return "." + name + d
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return " is " + shown(got) + ", want a list of " + fmt.Sprint(len(want))
		}
		for i := range want {
			if d := difference(want[i], list[i]); d != "" {
				return fmt.Sprintf("[%d]%s", i, d)
			}
		}
		return ""
	}
	if !value.Equal(want, got) {
		return " is " + shown(got) + ", want " + shown(want)
	}
	return ""
}

func shown(v any) string {
	b, err := value.AppendJSON(nil, v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return short(string(b))
}

func short(s string) string {
	if len(s) > 300 {
		return strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
)

// request is the input of one call, read and checked.
type request struct {
	method      string
	url         *url.URL
	header      http.Header
	body        []byte // nil: none
	bodyType    string // content type, unless the headers name one
	timeout     time.Duration
	conditional bool     // a 304 is an answer, not a failure
	credentials bool     // a secret goes along: no redirects
	secrets     []string // values that no message may repeat

	// unwrap takes the answer out of what its convention puts around it, whatever the status; done is false for an
	// answer that is not of the convention and no success either. nil: the answer is the output.
	unwrap func(res *http.Response, body []byte) (out any, done bool, err error)
}

func method(input map[string]any) string {
	m, _ := input["method"].(string)
	if m == "" {
		return http.MethodGet
	}
	return strings.ToUpper(m)
}

// newRequest reads the input of c. Its errors are the user's to mend.
func newRequest(c *connectors.Call) (*request, error) {
	r := &request{method: method(c.Input), header: make(http.Header, 8)}
	if m, given := c.Input["method"]; given {
		if _, ok := m.(string); !ok && m != nil {
			return nil, fmt.Errorf("method is %s, not text", kind(m))
		}
	}
	switch r.method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		return nil, fmt.Errorf("method %q is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", r.method)
	}
	for key := range c.Input {
		if !known[key] {
			return nil, fmt.Errorf("there is no input %q", key)
		}
	}
	if err := r.setURL(c); err != nil {
		return nil, err
	}
	if err := r.setHeaders(c.Input["headers"]); err != nil {
		return nil, err
	}
	if err := r.setBody(c.Input); err != nil {
		return nil, err
	}
	if t := c.Input["timeout"]; t != nil {
		d, err := connectors.Duration(t)
		if err != nil {
			return nil, fmt.Errorf("timeout: %w", err)
		}
		r.timeout = d
	}
	if err := r.authorize(c.Connection); err != nil {
		return nil, err
	}
	if !safe(c.Input) && c.Key != "" && r.header.Get("Idempotency-Key") == "" {
		r.header.Set("Idempotency-Key", c.Key)
	}
	if c.Hops > 0 {
		r.header.Set("Bellhop-Hop", strconv.Itoa(c.Hops))
	}
	return r, nil
}

var known = map[string]bool{
	"method": true, "url": true, "query": true, "headers": true, "json": true, "form": true, "multipart": true,
	"xml": true, "raw": true, "timeout": true,
}

// setURL reads url and query. No message holds more of the address than its host: the rest may be secret.
func (r *request) setURL(c *connectors.Call) error {
	text, ok := c.Input["url"].(string)
	if text = strings.TrimSpace(text); !ok || text == "" {
		return errors.New("url is missing")
	}
	if base := field(c.Connection, "base_url"); base != "" && strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") {
		text = strings.TrimRight(base, "/") + text
	}
	u, err := url.Parse(text)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return fmt.Errorf("url is not an address: %w", err)
	}
	switch {
	case u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("url begins with %s: only http:// and https:// addresses are called", u.Scheme)
	case u.Scheme == "" || u.Opaque != "":
		return errors.New("url is not a whole address such as https://api.example.com/v1/orders")
	case u.User != nil:
		return errors.New("url holds a user name or password: put them in a connection with auth: basic")
	case u.Hostname() == "":
		return errors.New("url names no host")
	}
	u.Fragment, u.RawFragment = "", ""
	u.RawQuery = escapeQuery(u.RawQuery)
	r.url = u

	query, err := object("query", c.Input["query"])
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		values, isList := query[name].([]any)
		if !isList {
			values = []any{query[name]}
		}
		for _, v := range values {
			if v != nil {
				r.addQuery(name, value.Text(v))
			}
		}
	}
	return nil
}

// escapeQuery writes as %XX what may not stand in a query, such as the blanks of a text that was put into the url.
// What is escaped already stays as it is.
func escapeQuery(q string) string {
	allowed := func(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '<' && c != '>' }
	clean := true
	for i := 0; i < len(q); i++ {
		clean = clean && allowed(q[i])
	}
	if clean {
		return q
	}
	out := make([]byte, 0, len(q)+16)
	for i := 0; i < len(q); i++ {
		if allowed(q[i]) {
			out = append(out, q[i])
		} else {
			out = fmt.Appendf(out, "%%%02X", q[i])
		}
	}
	return string(out)
}

// addQuery keeps what the url itself has in its query, byte for byte.
func (r *request) addQuery(name, text string) {
	if r.url.RawQuery != "" {
		r.url.RawQuery += "&"
	}
	r.url.RawQuery += url.QueryEscape(name) + "=" + url.QueryEscape(text)
}

func (r *request) setHeaders(v any) error {
	headers, err := object("headers", v)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if headers[name] == nil {
			continue
		}
		canonical := http.CanonicalHeaderKey(name)
		if wire.Reserved(canonical) {
			return fmt.Errorf("headers: %s cannot be set; it follows from the rest of the request", canonical)
		}
		if _, twice := r.header[canonical]; twice {
			return fmt.Errorf("headers: %s is given twice", canonical)
		}
		if err := r.setHeader(name, value.Text(headers[name])); err != nil {
			return err
		}
		switch canonical {
		case "If-None-Match", "If-Modified-Since":
			r.conditional = true
		}
		r.credentials = r.credentials || looksSecret(canonical)
	}
	return nil
}

func (r *request) setHeader(name, text string) error {
	if err := wire.CheckHeader(name, text); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	r.header.Set(name, strings.TrimSpace(text))
	return nil
}

// looksSecret reports that a header probably holds a secret, so that it must not follow a redirect.
func looksSecret(canonical string) bool {
	name := strings.ToLower(canonical)
	for _, word := range []string{"auth", "cookie", "key", "token", "secret", "session", "signature", "password"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// build makes the request for one hop.
func (r *request) build(ctx context.Context) (*http.Request, error) {
	if r.body == nil {
		req, err := http.NewRequestWithContext(ctx, r.method, "", nil)
		if err != nil {
			return nil, err
		}
		req.URL, req.Host, req.Header = r.url, r.url.Host, r.header
		return req, nil
	}
	req, err := http.NewRequestWithContext(ctx, r.method, "", bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.URL, req.Host, req.Header = r.url, r.url.Host, r.header
	if r.bodyType != "" && r.header.Get("Content-Type") == "" {
		r.header.Set("Content-Type", r.bodyType)
	}
	// net/http sends a request with an Idempotency-Key again by itself when the connection breaks. How often a
	// POST is sent is for the retry of the step to say.
	if r.method == http.MethodPost || r.method == http.MethodPatch {
		req.GetBody = nil
	}
	return req, nil
}

// Package http is the connector for every HTTP API that has no connector of its own: `http.request`, and the calls that
// have a convention of their own over one POST: graphql, soap and json_rpc.
package http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/wire"
)

const (
	// defaultTimeout holds where neither the input nor the step sets a deadline.
	defaultTimeout = 30 * time.Second
	maxRedirects   = 5
)

// New returns the connector.
func New() *connectors.Connector {
	endpoint, trigger := restHook()
	token := []connectors.Secret{{Name: "token", Title: "Token"}}
	return &connectors.Connector{
		ID:      "http",
		Title:   "HTTP",
		Version: "1.0.0",
		Auth: []connectors.AuthScheme{
			{ID: "bearer", Type: connectors.AuthBearer, Title: "Bearer token", Secrets: token},
			{ID: "basic", Type: connectors.AuthBasic, Title: "User name and password", Secrets: []connectors.Secret{{Name: "password", Title: "Password"}}, Fields: []string{"username"}},
			{ID: "header", Type: connectors.AuthKeys, Title: "Secret in a header", Secrets: token, Fields: []string{"header"}},
			{ID: "query", Type: connectors.AuthKeys, Title: "Secret in the query", Secrets: token, Fields: []string{"name"}},
		},
		Fields: connectors.Schema{
			Type: "object", Closed: true,
			Order: []string{"base_url", "hosts", "username", "header", "name"},
			Properties: map[string]connectors.Schema{
				"base_url": {
					Type: "string", Format: "uri", Title: "Base address",
					Description: "Put before a url that begins with a slash. The secrets may go to its host.",
				},
				"hosts": {
					Type: "array", Items: &connectors.Schema{Type: "string"}, Title: "Hosts",
					Description: "Where the secrets may go, such as api.example.com or *.example.com. Not needed with a base address, unless they may go elsewhere too.",
				},
				"username": {Type: "string", Title: "User name"},
				"header":   {Type: "string", Title: "Header", Default: defaultHeader},
				"name":     {Type: "string", Title: "Parameter", Description: "The name of the query parameter.", Examples: []any{"api_key"}},
			},
		},
		Actions: []connectors.Action{{
			Name:      "request",
			Title:     "HTTP request",
			Summary:   "Calls an HTTP address and returns its answer.",
			Input:     input(),
			Output:    output(),
			Sample:    map[string]any{"status": 200, "headers": map[string]any{"content-type": "application/json"}, "body": map[string]any{"id": 42}},
			SafeFor:   safe,
			RepeatFor: repeatable,
			Do:        do,
		}, graphql(), soap(), jsonRPC()},
		Endpoints: []connectors.Endpoint{endpoint},
		Triggers:  []connectors.Trigger{trigger},
	}
}

func input() connectors.Schema {
	text := &connectors.Schema{}
	return connectors.Schema{
		Type: "object", Closed: true, Required: []string{"url"},
		Order:     []string{"method", "url", "query", "headers", "json", "form", "multipart", "xml", "raw", "timeout"},
		Exclusive: []string{"json", "form", "multipart", "xml", "raw"},
		Properties: map[string]connectors.Schema{
			"method": {Type: "string", Title: "Method", Default: "GET", Enum: []any{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}},
			"url": {
				Type: "string", Format: "uri", Title: "Address", Examples: []any{"https://api.example.com/v1/orders"},
				Description: "http:// or https://, or a path when the connection has a base address.",
			},
			"query":     {Type: "object", Values: text, Title: "Query", Description: "Parameters added to the address. A list repeats its name; nothing is left out."},
			"headers":   {Type: "object", Values: text, Title: "Headers"},
			"json":      {Title: "JSON body"},
			"form":      {Type: "object", Values: text, Title: "Form body"},
			"multipart": {Type: "object", Values: text, Title: "Multipart body", Show: "more", Description: "Each part is a text, or {filename, content, type}; with base64: true the content is decoded."},
			"xml":       {Type: "object", Values: text, Title: "XML body", Show: "more", Description: "One element: @name is an attribute, #text is text."},
			"raw":       {Type: "string", Format: "multiline", Title: "Text body", Show: "more", Description: "Text as it is. A file goes as a part of multipart with base64: true; what an API wants as bare bytes, a connector of your own sends with encode: raw."},
			"timeout":   {Title: "Timeout", Format: "duration", Show: "more", Examples: []any{"30s"}, Description: "How long to wait for the whole answer. Default 30s, or the timeout of the step."},
		},
	}
}

func output() connectors.Schema {
	return connectors.Schema{
		Type: "object", Closed: true, Required: []string{"status", "headers", "body"}, Order: []string{"status", "headers", "body"},
		Properties: map[string]connectors.Schema{
			"status":  {Type: "integer", Title: "Status"},
			"headers": {Type: "object", Values: &connectors.Schema{Type: "string"}, Title: "Headers", Description: "Names are in lower case."},
			"body":    {Title: "Body", Description: "Read by its type: JSON, XML, form or text; anything else is base64 text."},
		},
	}
}

// safe reports that the call only reads (RFC 9110, section 9.2.1).
func safe(input map[string]any) bool {
	switch method(input) {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}

// repeatable reports that doing the call twice does what doing it once does (RFC 9110, section 9.2.2).
func repeatable(input map[string]any) bool {
	switch method(input) {
	case http.MethodPut, http.MethodDelete:
		return true
	}
	return safe(input)
}

func do(ctx context.Context, c *connectors.Call) (any, error) {
	if c.HTTP == nil {
		return nil, connectors.Permanent(errors.New("no HTTP client was given"))
	}
	r, err := newRequest(c)
	if err != nil {
		return nil, connectors.Permanent(err)
	}
	return r.do(ctx, c.HTTP)
}

func (r *request) do(ctx context.Context, given *http.Client) (any, error) {
	wait := r.timeout
	if _, bounded := ctx.Deadline(); wait == 0 && !bounded {
		wait = defaultTimeout
	}
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}

	// A copy, so that no client, whoever made it, forwards secrets or bodies by itself.
	client := *given
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for hops := 0; ; hops++ {
		next, out, err := r.send(ctx, &client)
		if err != nil || next == nil {
			return out, err
		}
		if hops == maxRedirects {
			return nil, connectors.Permanent(fmt.Errorf("%s redirects more than %d times", r.url.Host, maxRedirects))
		}
		r.redirect(next)
	}
}

// send makes one exchange. It returns where to go next, or the output.
func (r *request) send(ctx context.Context, client *http.Client) (next *url.URL, out any, err error) {
	req, err := r.build(ctx)
	if err != nil {
		return nil, nil, connectors.Permanent(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, wire.Describe(ctx, r.url.Host, err)
	}
	defer res.Body.Close() //nolint:errcheck // everything of use has been read
	body, err := wire.Read(ctx, r.url.Host, res)
	if err != nil {
		return nil, nil, err
	}
	if r.unwrap != nil {
		out, done, err := r.unwrap(res, body)
		if done {
			return nil, out, err
		}
	}
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return nil, r.output(res, body), nil
	case res.StatusCode == http.StatusNotModified && r.conditional:
		return nil, r.output(res, nil), nil
	case res.StatusCode >= 300 && res.StatusCode < 400:
		next, err := r.follow(res)
		return next, nil, err
	}
	return nil, nil, r.failure(res, body)
}

// follow decides about a redirect. Headers and bodies are promises made to one host: they are not carried on.
func (r *request) follow(res *http.Response) (*url.URL, error) {
	fail := func(format string, args ...any) (*url.URL, error) {
		message := fmt.Sprintf("%s answered %d: ", r.url.Host, res.StatusCode) + fmt.Sprintf(format, args...)
		return nil, connectors.Permanent(&connectors.StatusError{Status: res.StatusCode, Message: message})
	}
	location := res.Header.Get("Location")
	next, err := r.url.Parse(location)
	if location == "" || err != nil || next.Host == "" {
		return fail("it redirects, but not to an address")
	}
	switch res.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return fail("it asks for something that is not supported")
	}
	target := next.Scheme + "://" + next.Host
	switch {
	case r.method != http.MethodGet && r.method != http.MethodHead:
		return fail("it redirects to %s, and a redirect is followed only for GET and HEAD; use the final address", target)
	case r.credentials:
		return fail("it redirects to %s, and a redirect is not followed when a secret is sent along; use the final address", target)
	case r.url.Scheme == "https" && next.Scheme != "https":
		return fail("it redirects to %s, which is not encrypted", target)
	case next.User != nil:
		return fail("it redirects to an address with a user name or password")
	}
	return next, nil
}

// redirect turns r into the request for the next hop.
func (r *request) redirect(next *url.URL) {
	if next.Scheme != r.url.Scheme || next.Host != r.url.Host {
		accept := r.header.Get("Accept")
		r.header = http.Header{}
		if accept != "" {
			r.header.Set("Accept", accept)
		}
		r.conditional = false
	}
	next.Fragment = ""
	r.url = next
	r.body, r.bodyType = nil, ""
}

package trigger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// What a poll of http.request can do beyond calling an action: ask for changes only, and follow pages.

// nextPage is the input that asks for the page behind the last one, or nil at the end.
func (p *poll) nextPage(ctx context.Context, env *expression.Env, input map[string]any) (map[string]any, error) {
	v, err := p.poll.Next.Eval(ctx, env)
	if err != nil {
		return nil, err
	}
	address, ok := v.(string)
	if v != nil && !ok {
		return nil, fmt.Errorf("%s is %s, not the address of the next page", p.poll.Next.Source(), typeName(v))
	}
	if address = strings.TrimSpace(address); strings.HasPrefix(address, "<") {
		address = nextLink(address)
	}
	if address == "" {
		return nil, nil
	}
	to, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%q is not an address", address)
	}
	last, _ := input["url"].(string)
	from, err := url.Parse(last)
	if err != nil {
		return nil, fmt.Errorf("%q is not an address", last)
	}
	// What is sent along, such as a header with a key, is meant for this host. Of an address below the connection's
	// base_url the connector itself makes sure.
	if from.Host != "" {
		if to = from.ResolveReference(to); to.Host != from.Host || to.Scheme != from.Scheme {
			return nil, fmt.Errorf("the next page is at %s://%s, another place than %s://%s", to.Scheme, to.Host, from.Scheme, from.Host)
		}
	}
	next := maps.Clone(input)
	next["url"] = to.String()
	delete(next, "query") // the address has it
	return next, nil
}

// nextLink reads the address of rel="next" from a Link header (RFC 8288, section 3); empty: there is none.
func nextLink(header string) string {
	for header != "" {
		_, rest, ok := strings.Cut(header, "<")
		if !ok {
			return ""
		}
		address, rest, ok := strings.Cut(rest, ">")
		if !ok {
			return ""
		}
		params := rest
		if i := strings.Index(rest, "<"); i >= 0 {
			params, header = rest[:i], rest[i:]
		} else {
			header = ""
		}
		for param := range strings.SplitSeq(params, ";") {
			name, val, _ := strings.Cut(param, "=")
			val = strings.Trim(strings.TrimSpace(strings.TrimRight(strings.TrimSpace(val), ",")), `"`)
			if !strings.EqualFold(strings.TrimSpace(name), "rel") {
				continue
			}
			for rel := range strings.FieldsSeq(val) {
				if strings.EqualFold(rel, "next") {
					return strings.TrimSpace(address)
				}
			}
		}
	}
	return ""
}

// isGET reports whether the action is a GET, which can be asked for changes only (RFC 9110, section 13).
func isGET(use *workflow.Use, input map[string]any) bool {
	if use.Connector != "http" || use.Action != "request" {
		return false
	}
	method, _ := input["method"].(string)
	return method == "" || strings.EqualFold(method, http.MethodGet)
}

// withValidators is input with If-None-Match and If-Modified-Since, unless it has one of them.
func withValidators(input map[string]any, state *pollState) map[string]any {
	old, ok := input["headers"].(map[string]any)
	if !ok && input["headers"] != nil {
		return input
	}
	headers := make(map[string]any, len(old)+2)
	for name, v := range old {
		if strings.EqualFold(name, "If-None-Match") || strings.EqualFold(name, "If-Modified-Since") {
			return input
		}
		headers[name] = v
	}
	if state.ETag != "" {
		headers["If-None-Match"] = state.ETag
	}
	if state.LastModified != "" {
		headers["If-Modified-Since"] = state.LastModified
	}
	changed := make(map[string]any, len(input)+1)
	for name, v := range input {
		changed[name] = v
	}
	changed["headers"] = headers
	return changed
}

func validators(output any) (etag, lastModified string) {
	answer, _ := output.(map[string]any)
	headers, _ := answer["headers"].(map[string]any)
	etag, _ = headers["etag"].(string)
	lastModified, _ = headers["last-modified"].(string)
	return etag, lastModified
}

// notModified reports whether the answer was 304, which an action may give as output or as an error.
func notModified(output any, err error) bool {
	var status *connectors.StatusError
	if errors.As(err, &status) {
		return status.Status == http.StatusNotModified
	}
	answer, _ := output.(map[string]any)
	return answer["status"] == http.StatusNotModified
}

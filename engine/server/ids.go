package server

import (
	"net/http"
	"net/url"
	"strings"
)

// idRoutes are the routes below an id that may hold slashes, by the resource: what follows the id, where * is any one
// segment.
var idRoutes = map[string][]string{
	"/api/v1/workflows/": {
		"text", "enabled", "runs", "versions", "versions/*", "versions/*/restore", "versions/*/diff", "versions/*/model", "triggers/*", "triggers/*/keys", "triggers/*/poll", "triggers/*/rewind",
		"replay", "duplicate", "rename", "restore", "tests",
	},
	"/api/v1/drafts/": {
		"text", "undo", "redo", "resolve", "publish", "publish/undo", "diff", "fields", "complete", "test", "trials", "trials/*", "send_sample", "fetch", "steps/*/test", "samples", "samples/*", "samples/*/pin",
	},
}

// joinID makes one path segment of a workflow id that was sent with plain slashes: the router sees
// /workflows/billing%2Finvoice/text for /workflows/billing/invoice/text. What follows the id is known by its
// name, the longest match first; a workflow whose id itself ends in such a name is reached with %2F.
func joinID(r *http.Request) *http.Request {
	for top, routes := range idRoutes {
		if strings.HasPrefix(r.URL.Path, top) {
			return joinBelow(r, top, routes)
		}
	}
	return r
}

func joinBelow(r *http.Request, top string, routes []string) *http.Request {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), top)
	if !ok {
		return r
	}
	segments := strings.Split(rest, "/")
	n := len(segments)
	tail := 0
	for _, route := range routes {
		parts := strings.Split(route, "/")
		if len(parts) > tail && len(parts) < n && follows(segments[n-len(parts):], parts) {
			tail = len(parts)
		}
	}
	if n -= tail; n < 2 {
		return r
	}
	id := strings.Join(segments[:n], "%2F")
	raw := top + strings.Join(append([]string{id}, segments[n:]...), "/")
	path, err := url.PathUnescape(raw)
	if err != nil {
		return r
	}
	joined, address := *r, *r.URL // a handler may not change the request that it was given
	address.Path, address.RawPath = path, raw
	joined.URL = &address
	return &joined
}

func follows(segments, parts []string) bool {
	for i, part := range parts {
		if part != "*" && part != segments[i] {
			return false
		}
	}
	return true
}

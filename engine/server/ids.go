package server

import (
	"net/http"
	"net/url"
	"strings"
)

const workflowsPath = "/api/v1/workflows/"

// joinID makes one path segment of a workflow id that was sent with plain slashes: the router sees
// /workflows/billing%2Finvoice/text for /workflows/billing/invoice/text. What follows the id is known by its
// name, the longest match first; a workflow whose id itself ends in such a name is reached with %2F.
func joinID(r *http.Request) *http.Request {
	if !strings.HasPrefix(r.URL.Path, workflowsPath) {
		return r
	}
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), workflowsPath)
	if !ok {
		return r
	}
	segments := strings.Split(rest, "/")
	n := len(segments)
	switch {
	case n >= 4 && segments[n-3] == "triggers" && (segments[n-1] == "keys" || segments[n-1] == "poll" || segments[n-1] == "rewind"):
		n -= 3
	case n >= 3 && (segments[n-2] == "versions" || segments[n-2] == "triggers"):
		n -= 2
	case n >= 2 && (segments[n-1] == "text" || segments[n-1] == "enabled" || segments[n-1] == "runs" || segments[n-1] == "replay"):
		n--
	}
	if n < 2 {
		return r
	}
	id := strings.Join(segments[:n], "%2F")
	raw := workflowsPath + strings.Join(append([]string{id}, segments[n:]...), "/")
	path, err := url.PathUnescape(raw)
	if err != nil {
		return r
	}
	joined, address := *r, *r.URL // a handler may not change the request that it was given
	address.Path, address.RawPath = path, raw
	joined.URL = &address
	return &joined
}

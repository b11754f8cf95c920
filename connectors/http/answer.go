package http

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/wire"
)

func (r *request) output(res *http.Response, body []byte) map[string]any {
	headers := make(map[string]any, len(res.Header))
	for name, values := range res.Header {
		headers[strings.ToLower(name)] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
	}
	return map[string]any{"status": res.StatusCode, "headers": headers, "body": wire.Parse(res.Header.Get("Content-Type"), body)}
}

// failure is the error for an answer that is neither a success nor a redirect.
func (r *request) failure(res *http.Response, body []byte) error {
	message := fmt.Sprintf("%s answered %d", r.url.Host, res.StatusCode)
	if text := http.StatusText(res.StatusCode); text != "" {
		message += " " + text
	}
	if said := wire.Excerpt(res.Header.Get("Content-Type"), body, r.secrets); said != "" {
		message += ": " + said
	}
	var err error = &connectors.StatusError{Status: res.StatusCode, Message: message}
	switch {
	case res.StatusCode == http.StatusLoopDetected: // the same call would run in the same circle
		return connectors.Permanent(err)
	case res.StatusCode == http.StatusRequestTimeout, res.StatusCode == http.StatusTooEarly,
		res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= 500:
	default:
		return connectors.Permanent(err)
	}
	if d, ok := wire.RetryAfter(res.Header, time.Now()); ok {
		err = connectors.RetryAfter(err, d)
	}
	return err
}

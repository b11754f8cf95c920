package trigger

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
)

// Hooks share the origin of the UI, and what they answer may come from a stranger. So every answer is sandboxed: no
// script in it runs, and it reads no session.
var (
	sandbox     = []string{"sandbox; default-src 'none'"}
	noSniff     = []string{"nosniff"}
	noStore     = []string{"no-store"}
	typeJSON    = []string{"application/json"}
	typeProblem = []string{"application/problem+json"}
)

func protect(h http.Header) {
	h["Content-Security-Policy"] = sandbox
	h["X-Content-Type-Options"] = noSniff
	h["Cache-Control"] = noStore
}

// writeProblem answers with an error (RFC 9457).
func writeProblem(w http.ResponseWriter, no *refusal) {
	h := w.Header()
	protect(h)
	h["Content-Type"] = typeProblem
	if no.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(no.retryAfter))
	}
	if no.challenge != "" {
		h.Set("WWW-Authenticate", no.challenge)
	}
	if no.allow != "" {
		h.Set("Allow", no.allow)
	}
	if no.hangUp {
		h.Set("Connection", "close")
	}
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(no.status), no.status, no.detail})
	if err != nil { // three plain fields
		body = nil
	}
	w.WriteHeader(no.status)
	w.Write(body) //nolint:errcheck // the caller is gone: nothing is left to do
}

// writeJSON answers with a small JSON text.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	protect(h)
	h["Content-Type"] = typeJSON
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // the caller is gone: nothing is left to do
}

// acceptedText is the answer to an event that is durable.
func acceptedText(id engine.RunID, duplicate bool) []byte {
	body := append(make([]byte, 0, 64), `{"run":"`...)
	body = append(body, id.String()...)
	body = append(body, '"')
	if duplicate {
		body = append(body, `,"duplicate":true`...)
	}
	return append(body, '}')
}

// writeAnswer answers as a provider wants it.
func writeAnswer(w http.ResponseWriter, a *signature.Answer) {
	h := w.Header()
	for name, text := range a.Header {
		h.Set(name, text)
	}
	protect(h)
	if a.Type != "" {
		h.Set("Content-Type", a.Type)
	}
	if a.Status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	}
	w.WriteHeader(a.Status)
	w.Write(a.Body) //nolint:errcheck // the caller is gone: nothing is left to do
}

// writeFinished answers with the result of a run: 502 where it failed, for the fault lies behind this server.
func writeFinished(w http.ResponseWriter, reply *engine.Reply) {
	answer := map[string]any{"run": reply.ID.String(), "status": reply.Status.String(), "output": reply.Output}
	if reply.Duplicate {
		answer["duplicate"] = true
	}
	status := http.StatusOK
	if reply.Status == engine.StatusFailed {
		status = http.StatusBadGateway
	}
	body, err := value.AppendJSON(nil, answer)
	if err != nil {
		writeJSON(w, http.StatusAccepted, acceptedText(reply.ID, reply.Duplicate)) // the run has ended all the same
		return
	}
	writeJSON(w, status, body)
}

// own are headers that belong to the server, to the connection or to the session, not to an answer. A header with
// one of the prefixes below is own as well.
var own = map[string]bool{
	"connection": true, "keep-alive": true, "proxy-connection": true, "te": true, "trailer": true,
	"transfer-encoding": true, "upgrade": true, "content-length": true, "content-encoding": true, "date": true,
	"set-cookie": true, "set-cookie2": true, "clear-site-data": true, "strict-transport-security": true,
	"x-content-type-options": true, "service-worker-allowed": true, "alt-svc": true, "refresh": true,
	"public-key-pins": true, "expect-ct": true, "nel": true, "report-to": true, "reporting-endpoints": true,
}

var ownPrefixes = []string{"content-security-policy", "proxy-", "sec-", "access-control-allow-credentials"}

// writeResponse answers with what a respond step made. Headers that are not its to set are left out.
func writeResponse(w http.ResponseWriter, resp *engine.Response) {
	if resp.Status < 200 || resp.Status > 599 {
		writeProblem(w, refuse(http.StatusBadGateway, "the workflow answered with the status %d, which is none", resp.Status))
		return
	}
	h := w.Header()
	protect(h)
	contentType := ""
	for name, v := range resp.Headers {
		lower := strings.ToLower(strings.TrimSpace(name))
		if lower == "content-type" {
			contentType = v
			continue
		}
		if own[lower] || hasOwnPrefix(lower) || !validName(lower) || !validValue(v) {
			continue
		}
		h.Set(lower, v)
	}
	contentType, download := answerType(contentType, resp.Body)
	if resp.Status == http.StatusNoContent || resp.Status == http.StatusNotModified {
		w.WriteHeader(resp.Status)
		return
	}
	h.Set("Content-Type", contentType)
	if download {
		h.Set("Content-Disposition", "attachment")
	}
	h.Set("Content-Length", strconv.Itoa(len(resp.Body)))
	w.WriteHeader(resp.Status)
	io.WriteString(w, resp.Body) //nolint:errcheck // the caller is gone: nothing is left to do
}

// answerTypes are the types that a respond step may answer with. Everything else goes out as a download.
var answerTypes = map[string]bool{
	"application/json": true, "application/xml": true, "application/x-www-form-urlencoded": true,
	"text/plain": true, "text/html": true, "text/xml": true, "text/csv": true, "text/calendar": true, "text/markdown": true,
}

// answerType checks a type as a browser would read it: mime trims it and makes it lower case.
func answerType(given, body string) (contentType string, download bool) {
	if strings.TrimSpace(given) == "" {
		if len(body) > 0 && json.Valid([]byte(body)) && strings.IndexByte("{[", body[0]) >= 0 {
			return "application/json", false
		}
		return "text/plain; charset=utf-8", false
	}
	media, params, err := mime.ParseMediaType(given)
	if err != nil || !(answerTypes[media] || strings.HasPrefix(media, "application/") &&
		(strings.HasSuffix(media, "+json") || strings.HasSuffix(media, "+xml"))) {
		return "application/octet-stream", true
	}
	if strings.HasPrefix(media, "text/") && params["charset"] == "" {
		params["charset"] = "utf-8"
	}
	return mime.FormatMediaType(media, params), false
}

func hasOwnPrefix(name string) bool {
	for _, prefix := range ownPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// validName reports whether name is a token (RFC 9110, section 5.6.2).
func validName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}", c) >= 0 {
			return false
		}
	}
	return name != ""
}

// validValue reports whether a header can carry v: no control characters, so no second header either.
func validValue(v string) bool {
	for i := 0; i < len(v); i++ {
		if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
			return false
		}
	}
	return true
}

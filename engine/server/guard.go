package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"

	"github.com/gin-gonic/gin"
)

// guard decides who may use the API and the metrics: everything below them is refused unless it lets it pass.
type guard struct {
	token [sha256.Size]byte // hash of the admin token, so that a comparison takes the same time for every length
	set   bool
	cross *http.CrossOriginProtection
}

func newGuard(token string) guard {
	return guard{token: sha256.Sum256([]byte(token)), set: token != "", cross: http.NewCrossOriginProtection()}
}

func isAPI(path string) bool { return path == "/api" || strings.HasPrefix(path, "/api/") }

// guarded reports whether a path needs permission. The description of the API holds no data.
func guarded(path string) bool {
	return isAPI(path) && path != openAPIPath || path == "/metrics"
}

// isDrawing reports whether a path is the icon of a connector: an image element of a page can send no token.
func isDrawing(path string) bool {
	return strings.HasPrefix(path, "/api/v1/connectors/") && strings.HasSuffix(path, "/icon")
}

// check returns nil, or why the request is refused.
func (g *guard) check(r *http.Request) *failure {
	if g.set {
		if !g.tokenHolds(r) {
			return fail(http.StatusUnauthorized, "the admin token is missing or wrong",
				"send the header `Authorization: Bearer <token>` with the value of BELLHOP_ADMIN_TOKEN").
				with("WWW-Authenticate", `Bearer realm="bellhop"`)
		}
	} else if !isLocal(r) {
		return fail(http.StatusForbidden, "without an admin token the API answers callers on this machine only",
			"set BELLHOP_ADMIN_TOKEN for the server and send it as `Authorization: Bearer <token>`")
	}
	if err := g.cross.Check(r); err != nil {
		return fail(http.StatusForbidden, "a page of another site may not change anything here", "")
	}
	return checkType(r)
}

func (g *guard) tokenHolds(r *http.Request) bool {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// isLocal reports whether the caller sits on this machine and meant it. The address of the peer decides, never a
// header; the Host must be a name of this machine, else a page whose name was pointed at 127.0.0.1 could call;
// and what a proxy passes on came from elsewhere.
func isLocal(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// checkType refuses a write whose body is not JSON. A form of another site can send nothing else than the three
// types of plain forms, so this is a second fence beside the origin check. YAML is for the text of a workflow.
func checkType(r *http.Request) *failure {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return fail(http.StatusUnsupportedMediaType, "bodies with Content-Encoding "+clip(e)+" are not read", "send the body as it is")
	}
	header := r.Header.Get("Content-Type")
	if header == "" && r.ContentLength == 0 {
		return nil
	}
	kind, _, err := mime.ParseMediaType(header)
	if err == nil && (kind == "application/json" || isYAML(kind) && strings.HasSuffix(r.URL.Path, "/text")) {
		return nil
	}
	return fail(http.StatusUnsupportedMediaType, "a body of type "+clip(header)+" is not read here", "send JSON with the header `Content-Type: application/json`")
}

func isYAML(kind string) bool {
	return kind == "application/yaml" || kind == "application/x-yaml" || kind == "text/yaml" || kind == "text/x-yaml"
}

// admit guards the API and keeps its calls in a pool of their own, so that they and the hooks cannot starve each other.
func (s *Server) admit(c *gin.Context) {
	h := c.Writer.Header()
	h["X-Content-Type-Options"] = noSniff
	path := c.Request.URL.Path
	if !guarded(path) || c.Request.Method == http.MethodGet && isDrawing(path) {
		return
	}
	h.Set("Cache-Control", "no-store")
	if p := s.guard.check(c.Request); p != nil {
		writeFailure(c, p)
		return
	}
	if path == eventsPath {
		return // the hub counts its own
	}
	defer s.apiCalls.Add(-1)
	if s.apiCalls.Add(1) > maxAPICalls {
		writeFailure(c, fail(http.StatusServiceUnavailable, "too many API calls are under way", "try again in a second").with("Retry-After", "1"))
		return
	}
	c.Next()
}

var noSniff = []string{"nosniff"}

// recover turns a panic into a 500 for the caller and a stack for the log.
func (s *Server) recover(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		s.Log.ErrorContext(c.Request.Context(), "a request made the server panic", "method", c.Request.Method, "route", c.FullPath(),
			"panic", v, "stack", string(debug.Stack()))
		if c.Writer.Written() {
			panic(http.ErrAbortHandler) // half an answer must not look whole
		}
		writeFailure(c, fail(http.StatusInternalServerError, "the server made a mistake", "its log says more; please report it"))
	}()
	c.Next()
}

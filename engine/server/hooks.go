package server

import (
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// hook hands a call through to the triggers. It is the hot path: nothing is logged and little is allocated here.
func (s *Server) hook(c *gin.Context) {
	defer s.hookCalls.Add(-1)
	if s.hookCalls.Add(1) > maxHooks {
		writeFailure(c, fail(http.StatusServiceUnavailable, "too many calls are under way", "try again in a second").with("Retry-After", "1"))
		return
	}
	c.Writer.Header()["Content-Security-Policy"] = sandbox
	began := time.Now()
	rest := &restless{ReadCloser: c.Request.Body, w: c.Writer}
	if c.Request.ContentLength == 0 {
		rest.done()
	} else {
		c.Request.Body = rest
	}
	s.Hooks.ServeHTTP(c.Writer, c.Request)
	s.metrics.hook(c.Writer.Status(), time.Since(began))
}

// sandbox gives a page that a respond step makes of what a stranger sent an origin of its own, apart from the UI's.
var sandbox = []string{"sandbox allow-forms allow-popups allow-scripts; frame-ancestors 'none'"}

// restless lifts the read deadline of the connection when the body has been read. The deadline is against slow
// senders; left in place it would end the wait for a respond step, which may take longer.
type restless struct {
	io.ReadCloser
	w http.ResponseWriter
}

func (r *restless) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err == io.EOF {
		r.done()
	}
	return n, err
}

func (r *restless) done() {
	// A recorder in a test has no connection, and so no deadline to lift.
	_ = http.NewResponseController(r.w).SetReadDeadline(time.Time{})
}

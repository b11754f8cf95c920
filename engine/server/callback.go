package server

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
)

const maxCallback = 1 << 20 // bytes of a body

// callBack lets a wait step with a callback go on. Its output is the call: body, query, headers and method. The answer
// comes when the call is on disk.
func (s *Server) callBack(c *gin.Context) {
	h := c.Writer.Header()
	h["Content-Security-Policy"] = sandbox
	h.Set("Cache-Control", "no-store")
	raw, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxCallback))
	if err != nil {
		writeFailure(c, fail(http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB", ""))
		return
	}
	body, p := callbackBody(c.Request.Header.Get("Content-Type"), raw)
	if p != nil {
		writeFailure(c, p)
		return
	}
	query, headers := map[string]any{}, map[string]any{}
	for name, values := range c.Request.URL.Query() {
		query[name] = strings.Join(values, ",")
	}
	for name, values := range c.Request.Header {
		switch name = strings.ToLower(name); name {
		case "authorization", "cookie", "proxy-authorization":
		default:
			headers[name] = strings.Join(values, ", ")
		}
	}
	data, err := value.AppendJSON(nil, map[string]any{"body": body, "query": query, "headers": headers, "method": c.Request.Method})
	if err != nil {
		writeFailure(c, fail(http.StatusBadRequest, "the body cannot be stored: "+err.Error(), ""))
		return
	}
	switch err := s.Engine.CallBack(c.Request.Context(), c.Param("token"), data); {
	case errors.Is(err, engine.ErrNotFound):
		writeFailure(c, fail(http.StatusNotFound, "this address is not valid", "it may be cut off, or its run is gone"))
	case errors.Is(err, engine.ErrAnswered):
		writeFailure(c, fail(http.StatusGone, "this address was called before, or is not waited for any more", ""))
	case err != nil:
		s.Log.ErrorContext(c.Request.Context(), "a callback was not stored", "error", err)
		writeFailure(c, fail(http.StatusServiceUnavailable, "the call was not stored", "repeat it").with("Retry-After", "5"))
	default:
		c.JSON(http.StatusAccepted, gin.H{"status": "accepted"})
	}
}

// callbackBody reads a body by its type, as a webhook's.
func callbackBody(contentType string, raw []byte) (any, *failure) {
	if len(raw) == 0 {
		return nil, nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		return nil, fail(http.StatusUnsupportedMediaType, "the Content-Type "+clip(contentType)+" cannot be read", "")
	}
	var body any
	switch {
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		body, err = value.DecodeJSON(raw)
	case kind == "application/x-www-form-urlencoded":
		body, err = value.DecodeForm(raw)
	case kind == "application/xml", kind == "text/xml", strings.HasSuffix(kind, "+xml"):
		body, err = value.DecodeXML(raw)
	case kind == "", strings.HasPrefix(kind, "text/"):
		return strings.ToValidUTF8(string(raw), "\uFFFD"), nil
	default:
		return nil, fail(http.StatusUnsupportedMediaType, "a body of type "+clip(kind)+" is not read here", "send JSON, a form, XML or text")
	}
	if err != nil {
		return nil, fail(http.StatusBadRequest, "the body is not what its type says: "+err.Error(), "")
	}
	return body, nil
}

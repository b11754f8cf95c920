package server

import (
	"io/fs"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// contentPolicy lets a page load only what this server sends, run no inline script and sit in no frame.
const contentPolicy = "default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'"

// uiHandler serves the files of the UI; nil without any. Links to a run (`run.url`) open the UI too.
func uiHandler(files fs.FS) gin.HandlerFunc {
	if files == nil {
		return nil
	}
	server := http.FileServerFS(files)
	return func(c *gin.Context) {
		r := c.Request
		path := strings.TrimPrefix(r.URL.Path, "/")
		if strings.HasPrefix(path, "runs/") {
			path = ""
		}
		name := path
		if name == "" {
			name = "index.html"
		}
		if info, err := fs.Stat(files, name); err != nil || info.IsDir() {
			writeFailure(c, fail(http.StatusNotFound, "nothing is served at "+clip(r.URL.Path), "the UI is at /"))
			return
		}
		h := c.Writer.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		page, address := *r, *r.URL
		address.Path, address.RawPath = "/"+path, ""
		page.URL = &address
		c.Status(http.StatusOK)
		server.ServeHTTP(c.Writer, &page)
	}
}

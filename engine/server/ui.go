package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// contentPolicy lets a page load only what this server sends, run no inline script and sit in no frame. Styles may be
// inline because the text editor of the YAML page writes its own style sheet.
const contentPolicy = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html"

// page is a file of the UI in memory. It is read and compressed when it is first asked for, so that a start waits for
// none of it and a server that nobody looks at never pays.
type pageFile struct {
	once   sync.Once
	plain  []byte
	zipped []byte // nil where compression does not help
	tag    string
	kind   string
	err    error
}

func (p *pageFile) read(files fs.FS, name string) error {
	p.once.Do(func() {
		if p.plain, p.err = fs.ReadFile(files, name); p.err != nil {
			return
		}
		sum := sha256.Sum256(p.plain)
		p.tag = `"` + hex.EncodeToString(sum[:12]) + `"`
		if p.kind = mime.TypeByExtension(path.Ext(name)); p.kind == "" {
			p.kind = "application/octet-stream"
		}
		var zipped bytes.Buffer
		w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
		if err != nil {
			return
		}
		if _, err := w.Write(p.plain); err != nil || w.Close() != nil {
			return
		}
		if zipped.Len() < len(p.plain)*9/10 {
			p.zipped = zipped.Bytes()
		}
	})
	return p.err
}

// uiHandler serves the files of the UI; nil without any. A browser that asks for a page which is no file gets the
// application, whose router knows the address.
func uiHandler(files fs.FS) gin.HandlerFunc {
	if files == nil {
		return nil
	}
	known := map[string]*pageFile{}
	if err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			known[name] = &pageFile{}
		}
		return err
	}); err != nil || known["index.html"] == nil {
		return nil
	}
	return func(c *gin.Context) {
		r := c.Request
		name := strings.TrimPrefix(r.URL.Path, "/")
		file := known[name]
		if file == nil && (name == "" || wantsPage(r)) {
			name, file = "index.html", known["index.html"]
		}
		if file == nil || file.read(files, name) != nil {
			writeFailure(c, fail(http.StatusNotFound, "nothing is served at "+clip(r.URL.Path), "the UI is at /"))
			return
		}
		h := c.Writer.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
		h.Set("Cache-Control", "no-cache")
		h.Set("Vary", "Accept, Accept-Encoding")
		h.Set("ETag", file.tag)
		if match := r.Header.Get("If-None-Match"); match != "" && strings.Contains(match, file.tag) {
			c.Status(http.StatusNotModified)
			c.Writer.WriteHeaderNow()
			return
		}
		data := file.plain
		if file.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			data = file.zipped
		}
		c.Data(http.StatusOK, file.kind, data)
	}
}

// wantsPage reports whether a browser asks for a page, by its address line or a link, and not a program for data.
func wantsPage(r *http.Request) bool {
	p := r.URL.Path
	return strings.Contains(r.Header.Get("Accept"), "text/html") && !strings.Contains(p[strings.LastIndexByte(p, '/')+1:], ".") &&
		!strings.HasPrefix(p, "//") && !strings.Contains(p, "..")
}

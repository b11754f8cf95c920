package server

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
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

// contentPolicy lets a page load only what this server sends, run no inline script, show no inline style and sit in no
// frame.
const contentPolicy = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html"

// nonceMark stands in index.html for the word of one answer that its policy knows. The text editors write a style sheet
// and say it.
const nonceMark = "style-nonce-of-this-answer"

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
		if name == "index.html" { // under a kilobyte, and another one each time
			nonce := rand.Text()
			h.Set("Content-Security-Policy", strings.Replace(contentPolicy, "style-src 'self'", "style-src 'self' 'nonce-"+nonce+"'", 1))
			c.Data(http.StatusOK, file.kind, bytes.Replace(file.plain, []byte(nonceMark), []byte(nonce), 1))
			return
		}
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

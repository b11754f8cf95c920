package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// failures are the ways in which another system can fail, by the path that is called. Each of them shows what it was sent.
var failures = map[string]http.HandlerFunc{
	"401-json":      answer(401, "application/json", `{"error": "bad token %s"}`),
	"403-text":      answer(403, "text/plain", "not for %s"),
	"404-html":      answer(404, "text/html", "<html><body>no %s here</body></html>"),
	"409-xml":       answer(409, "application/xml", `<error token="%s"/>`),
	"422-form":      answer(422, "application/x-www-form-urlencoded", "error=bad&token=%s"),
	"429-now":       answer(429, "text/plain", "slow down, %s"),
	"500-json":      answer(500, "application/json", `{"trace": ["at login(%s)"]}`),
	"502-html":      answer(502, "text/html", "<h1>Bad gateway for %s</h1>"),
	"503-text":      answer(503, "text/plain; charset=latin1", "down for %s"),
	"400-base64":    encoded(400, func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
	"400-base64url": encoded(400, func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("x" + s)) }),
	"400-hex":       encoded(400, func(s string) string { return hex.EncodeToString([]byte(s)) }),
	"400-urlquery":  encoded(400, url.QueryEscape),
	"400-escaped":   encoded(400, func(s string) string { b, _ := json.Marshal(s); return string(b) }),
	"200-echo":      answer(200, "application/json", `{"you_sent": "%s"}`), // no failure for us, and in the history all the same
	"200-not-json":  answer(200, "application/json", "{broken %s"),
	"200-binary":    answer(200, "application/octet-stream", "\x00\x01%s\xff"),
	"200-header": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-You-Sent", sent(r))
		w.Header().Set("Set-Cookie", "session="+sent(r))
	},
	"302-elsewhere": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/?token="+url.QueryEscape(sent(r)), http.StatusFound)
	},
	"500-reason": func(w http.ResponseWriter, r *http.Request) {
		hijack(w, "HTTP/1.1 500 Wrong "+sent(r)+"\r\nContent-Length: 0\r\n\r\n")
	},
	"cut-off": func(w http.ResponseWriter, r *http.Request) {
		hijack(w, "HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n"+sent(r))
	},
	"no-http": func(w http.ResponseWriter, r *http.Request) { hijack(w, "SSH-2.0 "+sent(r)+"\r\n") },
	"bad-header": func(w http.ResponseWriter, r *http.Request) {
		hijack(w, "HTTP/1.1 200 OK\r\nBad Header "+sent(r)+"\r\n\r\n")
	},
	"bad-chunk": func(w http.ResponseWriter, r *http.Request) {
		hijack(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+sent(r)+"\r\n")
	},
	"closed": func(w http.ResponseWriter, _ *http.Request) { hijack(w, "") },
	"too-large": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "99999999")
		_, _ = io.WriteString(w, sent(r))
	},
	"slow": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	"retry-after": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", sent(r))
		w.WriteHeader(429)
	},
}

func sent(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	for _, s := range []string{strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.Header.Get("X-Api-Key"), r.URL.Query().Get("key")} {
		if s != "" {
			return s
		}
	}
	return "nothing"
}

func answer(status int, contentType, format string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprintf(w, format, sent(r))
	}
}

func encoded(status int, encode func(string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "you sent "+encode(sent(r)))
	}
}

func hijack(w http.ResponseWriter, raw string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, raw)
}

// TestNoSecretIsWrittenDown plants secrets in connections of every kind, makes each kind of failure happen with each of
// them, and then looks for them in everything that the server wrote or answered: the data directory (also inside of
// compressed records), the log, every list and every run of the API, the event stream, an export and the metrics.
func TestNoSecretIsWrittenDown(t *testing.T) {
	mux := http.NewServeMux()
	for name, h := range failures {
		mux.HandleFunc("/"+name, h)
	}
	other := httptest.NewServer(mux)
	defer other.Close()
	untrusted := httptest.NewTLSServer(mux)
	defer untrusted.Close()
	untrusted.Config.ErrorLog = nil
	gone := httptest.NewServer(mux)
	gone.Close()
	// Failures that need no answer, by the address that is called.
	elsewhere := map[string]string{"bad-certificate": untrusted.URL, "nothing-listens": gone.URL, "no-such-host": "http://absent.invalid", "inside": "http://169.254.169.254"}
	var planted []string
	plant := func(n int) string {
		s := fmt.Sprintf("canary%02d/+&\"é%s", n, strings.Repeat("q", n%5))
		planted = append(planted, s)
		return s
	}
	// 40 of them: ten connections of each kind of auth, entered by a person or named by a variable.
	v := newVictim(t, "steps: [{set: {a: 1}}]\ntriggers: [{webhook: {path: unused}}]\n")
	env := os.Environ()
	var settings strings.Builder
	settings.WriteString("connections:\n")
	type made struct{ name, auth string }
	var all []made
	for i := range 40 {
		c := made{fmt.Sprintf("c%02d", i), []string{"bearer", "basic", "header", "query"}[i%4]}
		all = append(all, c)
		key := map[string]string{"basic": "password"}[c.auth]
		if key == "" {
			key = "token"
		}
		fmt.Fprintf(&settings, "  %s: {connector: http, auth: %s, base_url: %q, %s: \"${{ env.CANARY_%02d }}\"", c.name, c.auth, other.URL, key, i)
		switch c.auth {
		case "basic":
			settings.WriteString(", username: ada")
		case "query":
			settings.WriteString(", name: key")
		}
		settings.WriteString("}\n")
		env = append(env, fmt.Sprintf("CANARY_%02d=%s", i, plant(i)))
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(v.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, address := range elsewhere {
		fmt.Fprintf(&settings, "  %s: {connector: http, auth: query, base_url: %q, name: key, token: \"${{ env.CANARY_00 }}\"}\n", name, address)
	}
	write("bellhop.yaml", settings.String())
	names := make([]string, 0, len(failures))
	for name := range failures {
		names = append(names, name)
	}
	var flow strings.Builder
	flow.WriteString("triggers:\n  - webhook: {path: go}\nsteps:\n")
	for i, name := range names {
		for k := range 4 { // each failure with each kind of auth, and over time with each connection
			c := all[(4*i+k)%len(all)]
			fmt.Fprintf(&flow, "  - {id: s%d_%d, use: http.request, connection: %s, with: {url: /%s}, retry: {attempts: 1}, timeout: 1s, on_error: continue}\n", i, k, c.name, name)
		}
	}
	for name := range elsewhere {
		fmt.Fprintf(&flow, "  - {use: http.request, connection: %s, with: {url: /x}, retry: {attempts: 1}, timeout: 1s, on_error: continue}\n", name)
	}
	fmt.Fprintf(&flow, "  - {use: http.request, connection: c00, with: {url: \"http://127.0.0.1:1/x\"}, on_error: continue}\n") // not its host
	flow.WriteString("  - set: {all: \"${{ steps }}\", wrong: \"${{ errors }}\"}\n  - {stop: {as: failed, message: \"${{ toJSON(errors) }}\"}}\n")
	write("workflows/go.yaml", flow.String())

	if out, err := exec.Command(v.bin, "check", v.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	log := &bytes.Buffer{}
	v.cmd = exec.Command(v.bin, "serve", "--dir", v.dir, "--listen", v.addr, "--log-level", "debug")
	v.cmd.Env = append(env, "BELLHOP_OUTBOUND_ALLOW=127.0.0.0/8", "BELLHOP_ADMIN_TOKEN=", "HOME="+t.TempDir())
	v.cmd.Stdout, v.cmd.Stderr = log, log
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v.ready()
	var answers strings.Builder
	get := func(path string) string {
		t.Helper()
		res, err := http.Get("http://" + v.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
		if err != nil {
			t.Fatal(err)
		}
		answers.Write(text)
		return string(text)
	}
	for range 3 {
		res, err := http.Post("http://"+v.addr+"/hooks/go", "application/json", strings.NewReader(`{}`))
		if err != nil || res.StatusCode != 202 {
			t.Fatalf("%v %v", res, err)
		}
		res.Body.Close()
	}
	for deadline := time.Now().Add(5 * time.Minute); strings.Count(get("/api/v1/runs?workflow=go&status=failed"), `"id"`) < 3; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the runs do not end")
		}
	}
	var runs struct{ Items []struct{ ID string } }
	if err := json.Unmarshal([]byte(get("/api/v1/runs?workflow=go")), &runs); err != nil || len(runs.Items) != 3 {
		t.Fatalf("%d runs, %v", len(runs.Items), err)
	}
	calls := 0
	for _, r := range runs.Items {
		calls += strings.Count(get("/api/v1/runs/"+r.ID), `"kind":"use"`)
	}
	if calls < 3*4*len(failures) {
		t.Fatalf("only %d steps are in the history", calls)
	}
	for _, path := range []string{"/api/v1/connections", "/api/v1/deliveries", "/api/v1/workflows", "/api/v1/workflows/go", "/metrics", "/api/v1/runs?q=canary", "/api/v1/openapi.json"} {
		get(path)
	}
	export := exec.Command(v.bin, "runs", "export", "--server", "http://"+v.addr)
	export.Env = env
	exported, err := export.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, exported)
	}
	_ = v.cmd.Process.Signal(os.Interrupt)
	if err := v.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	places := map[string][]byte{"the API": []byte(answers.String()), "the log": log.Bytes(), "the export": exported}
	err = fs.WalkDir(os.DirFS(filepath.Join(v.dir, "data")), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(v.dir, "data", path))
		places["data/"+path] = append(text, unpacked(text)...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(places["data/state.db"]) == 0 {
		t.Fatal("there is no state.db to look into")
	}
	found := 0
	for place, text := range places {
		for i, s := range planted {
			for how, form := range map[string]string{
				"as it is": s, "in base64": base64.StdEncoding.EncodeToString([]byte(s)), "in hex": hex.EncodeToString([]byte(s)),
				"escaped for a URL": url.QueryEscape(s), "escaped for JSON": strings.Trim(string(must(json.Marshal(s))), `"`), "its first half": s[:8],
			} {
				if how == "its first half" {
					continue // the name of a canary alone is no secret
				}
				if bytes.Contains(text, []byte(form)) {
					found++
					at := bytes.Index(text, []byte(form))
					t.Errorf("canary %d stands in %s, %s: %q", i, place, how, text[max(0, at-60):min(len(text), at+60)])
					break
				}
			}
		}
		if found > 10 {
			break
		}
	}
	t.Logf("%d secrets, %d kinds of failure, %d calls: %d found in %d places", len(planted), len(failures)+len(elsewhere)+1, calls, found, len(places))
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// unpacked is what compressed parts of a file hold: zstd frames and s2 blocks are looked for at every place.
func unpacked(file []byte) []byte {
	var out []byte
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil
	}
	defer dec.Close()
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd} // RFC 8878, section 3.1.1
	for rest := file; ; {
		i := bytes.Index(rest, magic)
		if i < 0 {
			break
		}
		rest = rest[i:]
		r := bytes.NewReader(rest)
		if err := dec.Reset(r); err == nil {
			text, _ := io.ReadAll(io.LimitReader(dec, 16<<20))
			out = append(out, text...)
		}
		rest = rest[4:]
	}
	if text, err := io.ReadAll(s2.NewReader(bytes.NewReader(file))); err == nil {
		out = append(out, text...)
	}
	return out
}

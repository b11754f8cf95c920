// Package server is the only room that knows inbound HTTP: the hooks, the API below /api/v1, the event stream,
// metrics, health and the files of the UI.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/draft"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/secret"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Options is what a Server is made of. Engine, Connectors, Folder, Files, Reload, Triggers and Hooks are required.
type Options struct {
	Engine     *engine.Engine
	Connectors *connectors.Registry
	Folder     Folder
	Files      func() []folder.File            // the workflow files as they were last read, broken ones too, by id
	Reload     func(ctx context.Context) error // reads the folder and makes it live; returns when it is
	Triggers   Triggers
	Hooks      http.Handler // serves everything below /hooks/
	// Connections are those that bellhop.yaml declares and that people entered; nil: there are none.
	Connections *secret.Connections
	Outbound    *http.Client // downloads the documents that people import; nil: none can be
	Templates   []Template   // what new workflows may begin with
	UI          fs.FS        // nil: no UI
	AdminToken  string       // empty: the API answers callers on this machine only
	Version     string       // of this build
	// Backup takes a snapshot of all that is stored; what it returns writes that as a tar file and must be called. nil: the
	// store has no backups.
	Backup func(ctx context.Context) (write func(ctx context.Context, w io.Writer) error, err error)
	Ready  func() bool // whether hooks are accepted; nil: always
	Log    *slog.Logger
}

// Folder is the part of a user's folder that the API reads and writes.
type Folder interface {
	// Read returns the text of a workflow file; fs.ErrNotExist when there is none.
	Read(id string) ([]byte, error)
	// Check reads a text as if it were the file of this workflow. Nothing is written.
	Check(id string, text []byte) folder.File
	// Remove deletes the file of a workflow if its version is still ifVersion; else folder.ErrChanged.
	Remove(id, ifVersion string) error
	// ReadTest returns the text of a workflow's test file; fs.ErrNotExist when there is none. WriteTest replaces it;
	// nil removes it.
	ReadTest(id string) ([]byte, error)
	WriteTest(id string, text []byte) error
	// Write stores the text of a workflow file if its version is still ifVersion (empty: there is no file yet),
	// and returns the new version; else folder.ErrChanged.
	Write(id string, text []byte, ifVersion string) (version string, err error)
	// Settings are those of bellhop.yaml that hold now, and Change writes some of them.
	Settings() folder.Settings
	Change(values map[string]string) error
	SetAlerts(*folder.Alert) error
	Dir() string
	// Adopt writes the manifest of a connector of the folder's own.
	Adopt(id string, text []byte, ifVersion string) error
	// Declare adds a connection to bellhop.yaml; raw holds no secret.
	Declare(name string, raw map[string]any) error
	// Undeclare takes it out again, unless somebody wrote more there.
	Undeclare(name string, raw map[string]any) error
}

// Server answers HTTP. It is safe for concurrent use.
type Server struct {
	Options
	router  *gin.Engine
	api     huma.API
	openAPI []byte
	guard   guard
	hub     *hub
	metrics *metrics
	sparks  sparks

	drafts     draft.Store
	draftHooks draftHooks
	scenes     scenes

	testing   sync.Mutex   // held by who changes a file of tests
	importing sync.Mutex   // held by the one import of a document that may run
	apiCalls  atomic.Int64 // under way
	hookCalls atomic.Int64
}

const (
	callTimeout = 10 * time.Second // of one API call; the event stream has none
	maxAPICalls = 256              // API calls under way; the pool of the hooks is another one
	maxHooks    = 8192             // hook calls under way; those that wait for a respond step count
	maxJSON     = 4 << 20          // bytes of a JSON body; an escaped workflow file of 256 KiB fits
)

// New makes a server from o. Events flow once [Server.Run] is called; everything else works at once.
func New(o Options) (*Server, error) {
	if o.Engine == nil || o.Connectors == nil || o.Folder == nil || o.Files == nil || o.Reload == nil || o.Triggers == nil || o.Hooks == nil {
		return nil, errors.New("server: engine, connectors, folder, files, reload, triggers and hooks are required")
	}
	if o.Ready == nil {
		o.Ready = func() bool { return true }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{Options: o, guard: newGuard(o.AdminToken), hub: newHub()}
	s.metrics = newMetrics(s)
	s.drafts = draft.Store{KV: o.Engine.Store.KV()}
	s.draftHooks.check = func(id string, text []byte) *workflow.Workflow { return o.Folder.Check(id, text).Workflow }
	s.draftHooks.apply = o.Triggers.Draft
	stored, err := s.drafts.List(context.Background())
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s.draftHooks.load(stored)

	r := gin.New()
	r.UseRawPath, r.UnescapePathValues = true, true // an id may hold %2F
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.HandleMethodNotAllowed = true
	r.Use(s.recover, s.admit)
	r.Any("/hooks/*path", s.hook)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r.Handle(method, "/healthz", s.health)
		r.Handle(method, "/readyz", s.ready)
	}
	r.GET("/metrics", gin.WrapH(s.metrics.handler()))
	r.GET(openAPIPath, s.serveOpenAPI)
	r.GET("/schema/:file", s.schema)
	r.NoMethod(s.noMethod)
	r.NoRoute(s.noRoute())
	s.router = r
	s.answerRoutes()

	s.api = humagin.New(r, apiConfig(o.Version))
	s.workflowRoutes()
	s.triggerRoutes()
	s.replayRoutes()
	s.runRoutes()
	s.exportRoutes()
	s.deliveryRoutes()
	s.connectorRoutes()
	s.connectionRoutes()
	s.settingsRoutes()
	s.taskRoutes()
	s.approvalRoutes()
	s.expressionRoutes()
	s.draftRoutes()
	s.versionRoutes()
	s.eventRoutes()
	s.backupRoutes()
	if err := s.renderOpenAPI(); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.router.ServeHTTP(w, joinID(r))
}

func (s *Server) health(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, gin.H{"status": "ok"})
}

func (s *Server) ready(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	if !s.Ready() {
		c.Header("Retry-After", "1")
		writeFailure(c, fail(http.StatusServiceUnavailable, "hooks are not accepted: the server starts or drains", "try again in a second"))
		return
	}
	c.JSON(http.StatusOK, gin.H{"status": "ready"})
}

func (s *Server) noMethod(c *gin.Context) {
	writeFailure(c, fail(http.StatusMethodNotAllowed, c.Request.Method+" is not served at "+clip(c.Request.URL.Path),
		"the Allow header of this answer lists the methods that are"))
}

// noRoute answers what no route serves: a file of the UI, or 404.
func (s *Server) noRoute() gin.HandlerFunc {
	ui := uiHandler(s.UI)
	return func(c *gin.Context) {
		switch path := c.Request.URL.Path; {
		case isAPI(path):
			writeFailure(c, fail(http.StatusNotFound, "there is no API at "+clip(path), "all routes are listed at "+openAPIPath))
		case ui == nil || path == "/hooks":
			writeFailure(c, fail(http.StatusNotFound, "nothing is served at "+clip(path), ""))
		case c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead:
			c.Header("Allow", "GET, HEAD")
			s.noMethod(c)
		default:
			ui(c)
		}
	}
}

// handle registers an API route whose errors pass through [Server.explain] and whose time is bounded.
func handle[In, Out any](s *Server, op huma.Operation, do func(context.Context, *In) (*Out, error)) {
	handleWithin(s, callTimeout, op, do)
}

// handleWithin is handle for a call that may take longer than others.
func handleWithin[In, Out any](s *Server, timeout time.Duration, op huma.Operation, do func(context.Context, *In) (*Out, error)) {
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxJSON
	}
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable)
	op.RejectUnknownQueryParameters = true
	huma.Register(s.api, op, func(ctx context.Context, in *In) (*Out, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		out, err := do(ctx, in)
		if err != nil {
			return nil, s.explain(ctx, op.OperationID, err)
		}
		return out, nil
	})
}

// body is an answer whose whole content is one value.
type body[T any] struct{ Body T }

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next" doc:"Cursor of the next page; empty at the end."`
}

// started is the answer of a call that made a run.
type started struct {
	ID string `json:"id" doc:"The run."`
}

// Paging is what every list takes. It and the others that are embedded are exported because huma passes over the rest.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"512" doc:"next of the page before; empty: the first page"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

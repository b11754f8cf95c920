package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/outbound"
	"github.com/bellhop-dev/bellhop/engine/secret"
	"github.com/bellhop-dev/bellhop/engine/server"
	"github.com/bellhop-dev/bellhop/engine/trigger"
	"github.com/bellhop-dev/bellhop/engine/workflow"
	"github.com/bellhop-dev/bellhop/ui"
	"github.com/bellhop-dev/bellhop/workflows"
)

const closing = 5 * time.Second // what the store gets to finish its writes

func (a *app) serveCommand() *cobra.Command {
	var dir, level *string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the workflows of a folder, and keep up with its changes",
		Long: `Serve runs the workflows of a folder. A changed file is live within a second; one that breaks keeps its last good
version running. Each setting is taken from its flag, else its variable, else bellhop.yaml. The API asks for the token
of BELLHOP_ADMIN_TOKEN; without one it answers callers on this machine only. SIGTERM drains: no new events, steps under
way are finished or parked, exit code 0.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			redactor := &secret.Redactor{}
			log, err := newLog(a.stderr, *level, redactor)
			if err != nil {
				return err
			}
			reg := registry() // one for all, so that the folder's own connectors are known everywhere
			f, err := folder.Open(*dir, folder.Options{Connectors: reg, Log: log})
			if err != nil {
				return cannotStart("%w", err)
			}
			defer f.Close()
			if err := f.Problems().Err(); err != nil {
				return cannotStart("the settings have errors\n%w", err)
			}
			settings, err := mergeSettings(c.Flags(), withDirs(f.Settings(), *dir))
			if err != nil {
				return err
			}
			limitMemory()
			return a.serve(c.Context(), f, reg, settings, redactor, log)
		},
	}
	dir = textFlag(c.Flags(), "dir", "BELLHOP_DIR", ".", "folder of bellhop.yaml and workflows/")
	level = textFlag(c.Flags(), "log-level", "BELLHOP_LOG_LEVEL", "info", "debug, info, warn or error")
	addSettings(c.Flags())
	return c
}

// withDirs fills in what has a default; a directory in bellhop.yaml is relative to that file.
func withDirs(s folder.Settings, dir string) folder.Settings {
	if s.Data == "" {
		s.Data = "data"
	}
	if !filepath.IsAbs(s.Data) {
		s.Data = filepath.Join(dir, s.Data)
	}
	if s.Listen == "" {
		s.Listen = defaultListen
	}
	return s
}

// newLog writes text for people and JSON for programs, without any secret that the redactor knows.
func newLog(w io.Writer, level string, r *secret.Redactor) (*slog.Logger, error) {
	var min slog.Level
	if err := min.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level: %q is none of debug, info, warn and error", level)
	}
	o := &slog.HandlerOptions{Level: min}
	if isTerminal(w) {
		return slog.New(slog.NewTextHandler(redacted{w, r}, o)), nil
	}
	return slog.New(slog.NewJSONHandler(redacted{w, r}, o)), nil
}

// redacted takes secrets out of what is written to it. A log handler writes each line at once, so none is cut in two.
type redacted struct {
	io.Writer
	redactor *secret.Redactor
}

func (w redacted) Write(p []byte) (int, error) {
	if _, err := w.Writer.Write(w.redactor.Bytes(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// serve opens the store, makes every workflow live, and only then the listener, so that no hook is ever unknown.
func (a *app) serve(ctx context.Context, f *folder.Folder, reg *connectors.Registry, s folder.Settings, redactor *secret.Redactor, log *slog.Logger) (err error) {
	var eng atomic.Pointer[engine.Engine]
	store, err := bolt.Open(s.Data, bolt.Options{Log: log, Retention: engine.Retention{
		Days: s.Storage.Days, MaxBytes: s.Storage.Max,
		Own: func() map[string]engine.Rule { return retention(eng.Load()) },
	}})
	if err != nil {
		return cannotStart("%w", err)
	}
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
		err = errors.Join(err, store.Close(closeCtx))
	}()
	publicURL := s.PublicURL
	if publicURL == "" {
		publicURL = "http://" + reachable(s.Listen)
	}
	vault, err := openVault(s.Data)
	if err != nil {
		return err
	}
	way := outbound.Options{Allow: s.Outbound.Allow, UserAgent: "Bellhop/" + version}
	client, dial := outbound.New(way), outbound.Dialer(way)
	var stream atomic.Pointer[server.Server]
	connections := secret.New(nil, reg, secret.Options{
		Dir: f.Dir(), Redactor: redactor, Vault: vault, HTTP: client, Dial: dial, Notes: notes{store}, PublicURL: publicURL, Log: log,
		Changed: func(name string) {
			if srv := stream.Load(); srv != nil {
				srv.ConnectionChanged(name)
			}
		},
	})
	e, err := engine.New(engine.Options{
		Store: store, Connectors: reg, Connections: connections.Connection, PublicURL: publicURL, Redact: redactor.Bytes, Zone: s.Zone(), Log: log,
		HTTP: client, Dial: dial, Tokens: connections.Tokens, Limits: &outbound.Limits{}, Observe: connections.Observe,
	})
	if err != nil {
		return err
	}
	eng.Store(e)
	triggers := trigger.New(trigger.Options{
		Engine: e, Store: store, Connections: connections.Connection, Sealed: vault, Learn: redactor.Add, PublicURL: publicURL, Log: log,
	})
	l := &live{folder: f, engine: e, triggers: triggers, connect: connections.Declare, log: log, told: map[string]string{}, blocked: map[string]string{}}
	if err := l.Reload(ctx); err != nil {
		return cannotStart("%w", err)
	}
	var draining atomic.Bool
	srv, err := server.New(server.Options{
		Engine: e, Connectors: reg, Folder: apiFolder{f}, Files: l.Files, Reload: l.Reload, Triggers: triggers, Hooks: triggers,
		Connections: connections, AdminToken: os.Getenv("BELLHOP_ADMIN_TOKEN"), Version: version,
		Backup: snapshot(store, s.Data), UI: ui.Files(), Templates: templates(), Outbound: client,
		Ready: func() bool { return !draining.Load() && store.Accepting() }, Log: log,
	})
	if err != nil {
		return err
	}
	l.Announce(srv)
	triggers.Polled(srv.PollDone)
	stream.Store(srv)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return cannotStart("listen on %s: %w\n  Another program may use it: stop that, or choose another address with --listen", s.Listen, reason(err))
	}
	log.Info("hooks are accepted", "listen", listener.Addr().String(), "workflows", len(e.Workflows()))
	debug.FreeOSMemory() // reading the files made more garbage than what is kept of them
	a.printStart(f.Dir(), s, publicURL, listener.Addr().String(), l)

	g, work := errgroup.WithContext(ctx)
	g.Go(func() error {
		select {
		case err := <-store.Fatal():
			return fmt.Errorf("the store cannot go on: %w\n  Mend the disk and start again; nothing acknowledged is lost", err)
		case <-work.Done():
			return nil
		}
	})
	g.Go(func() error { return triggers.Run(work) })
	g.Go(func() error { return l.Watch(work) })
	g.Go(func() error { return e.TidyVersions(work) })
	g.Go(func() error { return connections.Run(work) })
	drained := make(chan struct{})
	g.Go(func() error {
		defer close(drained)
		return e.Run(work)
	})
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	g.Go(func() error { return srv.Run(serving, listener) })
	g.Go(func() error {
		<-work.Done()
		log.Info("draining: hooks are refused, steps under way are finished")
		draining.Store(true)
		triggers.Drain()
		<-drained // until then hooks get their 503, and the API answers
		stopServing()
		return nil
	})
	err = g.Wait()
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// templates are the examples that ship, but those that only answer other examples.
func templates() []server.Template {
	names, err := fs.Glob(workflows.Files, "*.yaml")
	if err != nil {
		return nil // the pattern is a literal
	}
	var list []server.Template
	for _, name := range names {
		id := strings.TrimSuffix(name, ".yaml")
		if text, err := workflows.Files.ReadFile(name); err == nil && !strings.HasSuffix(id, ".test") && name != "bellhop.yaml" {
			list = append(list, server.Template{ID: id, Text: text})
		}
	}
	return list
}

// retention is the rules of the workflows that have their own for their history.
func retention(e *engine.Engine) map[string]engine.Rule {
	own := map[string]engine.Rule{}
	if e == nil {
		return own
	}
	for _, w := range e.Workflows() {
		if r := w.Retention; r.Days > 0 || r.Runs > 0 || r.Keep != "all" {
			own[w.ID] = engine.Rule{Days: r.Days, Runs: r.Runs, Keep: r.Keep}
		}
	}
	return own
}

// reachable is a listen address as someone on this machine may call it.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// reason is the cause of a network error, without the address that the caller names.
func reason(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// printStart tells a person that it works and what to try.
func (a *app) printStart(dir string, s folder.Settings, publicURL, listen string, l *live) {
	local := "http://" + reachable(listen)
	files, broken, off := l.Files(), 0, 0
	for i := range files {
		if !files[i].Good() {
			broken++
		} else if !files[i].Workflow.Enabled {
			off++
		}
	}
	what := count(len(files), "workflow")
	if off > 0 {
		what += fmt.Sprintf(", %d disabled", off)
	}
	if broken > 0 {
		what += fmt.Sprintf(", %d with errors (see bellhop check)", broken)
	}
	fmt.Fprintf(a.stdout, "Bellhop %s is running.\n\n  address  %s\n  folder   %s (%s)\n  data     %s\n", version, local, dir, what, s.Data)
	if publicURL != local {
		fmt.Fprintf(a.stdout, "  public   %s\n", publicURL)
	}
	w, path := firstHook(l.engine)
	if w == nil {
		fmt.Fprintf(a.stdout, "\nAdd a workflow to %s; it is live within a second.\n", filepath.Join(dir, "workflows"))
		return
	}
	at := ""
	if local != defaultServer {
		at = " --server " + local
	}
	address, err := url.JoinPath(local, "hooks", path)
	if err != nil {
		return
	}
	fmt.Fprintf(a.stdout, "\nTry it:\n  curl %s -H 'content-type: application/json' -d %s\n  bellhop runs list%s\n",
		address, quote(sampleBody(l.folder, w.ID)), at)
}

// firstHook is a webhook that anyone may call by POST as it stands; nil when there is none.
func firstHook(e *engine.Engine) (w *workflow.Workflow, path string) {
	for _, w := range e.Workflows() {
		for _, t := range w.Triggers {
			h := t.Webhook
			if w.Enabled && h != nil && h.Verify == nil && !strings.Contains(h.Path, "{") && slices.Contains(h.Methods, http.MethodPost) {
				return w, h.Path
			}
		}
	}
	return nil, ""
}

// sampleBody is what the first test of the workflow sends, so that the call on screen does something; else an
// empty object.
func sampleBody(f *folder.Folder, id string) string {
	const most = 300 // characters that a person still copies
	tests, err := f.Tests()
	if err != nil {
		return "{}"
	}
	for _, t := range tests {
		if t.Workflow == nil || t.Workflow.ID != id || len(t.Tests.Tests) == 0 {
			continue
		}
		if body, err := value.AppendJSON(nil, t.Tests.Tests[0].Trigger["body"]); err == nil && len(body) <= most && body[0] == '{' {
			return string(body)
		}
	}
	return "{}"
}

// quote writes a text as one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(cleanLine(s), "'", `'\''`) + "'" }

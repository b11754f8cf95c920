package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/folder"
	"github.com/bellhop-dev/bellhop/engine/server"
	"github.com/bellhop-dev/bellhop/engine/trigger"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// live keeps engine and triggers in step with the folder: a good file runs, a broken one leaves its last good
// version running, and one that is gone stops.
type live struct {
	folder   *folder.Folder
	engine   *engine.Engine
	triggers *trigger.Set
	connect  func(map[string]map[string]any) // takes the declared connections
	log      *slog.Logger

	mu     sync.Mutex
	stream *server.Server // hears of changes; nil until there is one
	files  []folder.File
	told   map[string]string // by path: what the log says of the file
	// blocked is by id what keeps an enabled workflow from starting, as the log says it.
	blocked map[string]string
}

// Files are the workflow files as they were last read, by id.
func (l *live) Files() []folder.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.files)
}

// Announce tells a server's event stream of every change from now on.
func (l *live) Announce(s *server.Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream = s
}

// Reload reads the folder and makes it live; the files are when it returns. It serves one caller at a time.
func (l *live) Reload(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	files, err := l.folder.Load()
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	l.tellConnectors()
	settings := l.folder.Settings()
	l.connect(settings.Connections)
	var alerts *workflow.Workflow
	if settings.Alerts != nil {
		alerts, _ = settings.Alerts.Workflow(l.engine.Connectors, settings.ConnectorOf()) // a broken one is no setting that holds
	}
	if err := l.engine.Alert(ctx, alerts); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	var publish []*workflow.Workflow
	here := make(map[string]bool, len(files))
	named := files[:0:0]
	for _, file := range files {
		if file.ID == "" {
			l.tell(&file, "")
			continue
		}
		named = append(named, file)
		here[file.ID] = true
		w, state := file.Workflow, ""
		if !file.Good() {
			if w, err = l.lastGood(ctx, file.ID); err != nil {
				return fmt.Errorf("reload: %w", err)
			}
			state = "its last good version keeps running"
			if w == nil {
				state = "nothing of it runs"
			}
		}
		if w != nil {
			publish = append(publish, w)
		}
		l.tell(&file, state)
	}
	var changed []*workflow.Workflow
	for _, w := range publish {
		if was := l.engine.Workflow(w.ID); was == nil || was.Version != w.Version {
			changed = append(changed, w)
		}
	}
	if err := l.engine.Publish(ctx, publish...); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	for _, w := range l.engine.Workflows() {
		if !here[w.ID] {
			l.engine.Retire(w.ID)
			l.log.Info("the workflow is gone", "workflow", w.ID)
			changed = append(changed, &workflow.Workflow{ID: w.ID})
		}
	}
	l.triggers.Apply(l.engine.Workflows())
	for _, w := range changed {
		if l.stream != nil {
			l.stream.WorkflowChanged(w.ID, w.Version)
		}
	}
	l.files = named
	slices.SortFunc(l.files, func(a, b folder.File) int { return strings.Compare(a.ID, b.ID) })
	l.tellSettings()
	return nil
}

// lastGood is the version that runs now, or that ran before a restart; nil when there never was one.
func (l *live) lastGood(ctx context.Context, id string) (*workflow.Workflow, error) {
	if w := l.engine.Workflow(id); w != nil {
		return w, nil
	}
	w, err := l.engine.LastGood(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	}
	return w, err
}

// Watch reloads after every change of the folder until ctx is done. What cannot be made live now, for example
// while the disk is full, is tried again.
func (l *live) Watch(ctx context.Context) error {
	const again = 2 * time.Second
	return l.folder.Watch(ctx, func() {
		for {
			err := l.Reload(ctx)
			if err == nil {
				l.tellBlocked()
			}
			if err == nil || ctx.Err() != nil {
				return
			}
			l.log.Error("the change is not live yet, it is tried again", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(again):
			}
		}
	})
}

// tell logs a file once for each of its states: what is wrong with it and where.
func (l *live) tell(file *folder.File, state string) {
	text := state + "\n" + file.Problems.Error()
	before, seen := l.told[file.Path]
	if seen && before == text {
		return
	}
	l.told[file.Path] = text
	if file.Good() && len(file.Problems) == 0 {
		if seen {
			l.log.Info("the workflow is live", "workflow", file.ID, "version", file.Workflow.Version)
		}
		return
	}
	if l.stream != nil {
		l.stream.WorkflowProblem(file)
	}
	tellProblems(l.log.With("workflow", file.ID), file.Problems, state)
}

// tellBlocked logs which workflows are enabled and yet start nothing, such as for a missing secret. To know that,
// secrets are fetched, which may take a while, so it comes after everything is live.
func (l *live) tellBlocked() {
	for _, w := range l.engine.Workflows() {
		if !w.Enabled {
			continue
		}
		reason := l.triggers.Blocked(w)
		l.mu.Lock()
		news := l.blocked[w.ID] != reason
		l.blocked[w.ID] = reason
		l.mu.Unlock()
		if news && reason != "" {
			l.log.Warn("the workflow is enabled, but starts nothing", "workflow", w.ID, "reason", reason)
		}
	}
}

// tellConnectors logs what is wrong with the folder's own connectors, once for each of their states.
func (l *live) tellConnectors() {
	for _, c := range l.folder.Connectors() {
		state := ""
		if !c.Good() {
			state = "its last good version stays"
			if l.engine.Connectors.Connector(c.ID) == nil {
				state = "nothing of it can be used"
			}
		}
		text := state + "\n" + c.Problems.Error()
		before, seen := l.told[c.Path]
		if seen && before == text || !seen && text == "\n" {
			l.told[c.Path] = text
			continue
		}
		l.told[c.Path] = text
		if len(c.Problems) == 0 {
			l.log.Info("the connector is live", "connector", c.ID)
			continue
		}
		tellProblems(l.log.With("connector", c.ID), c.Problems, state)
	}
}

func (l *live) tellSettings() {
	const name = "settings"
	problems := l.folder.Problems()
	text := problems.Error()
	if before, seen := l.told[name]; seen && before == text || !seen && text == "" {
		return
	}
	l.told[name] = text
	if len(problems) == 0 {
		l.log.Info("bellhop.yaml is good again")
		return
	}
	tellProblems(l.log, problems, "the settings from before stay")
}

// tellProblems logs problems with their places, a bounded number of them.
func tellProblems(log *slog.Logger, problems workflow.Problems, state string) {
	const most = 20
	for _, p := range problems[:min(len(problems), most)] {
		at := fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
		if p.Warning {
			log.Warn(p.Message, "at", at, "hint", p.Hint)
			continue
		}
		log.Error("the file has an error, "+state, "at", at, "problem", p.Message, "hint", p.Hint)
	}
}

// apiFolder is the folder as the API needs it: with the engine's word for a change in between.
type apiFolder struct{ *folder.Folder }

func (f apiFolder) Write(id string, text []byte, ifVersion string) (string, error) {
	version, err := f.Folder.Write(id, text, ifVersion)
	if errors.Is(err, folder.ErrChanged) {
		return "", fmt.Errorf("%w: %w", engine.ErrConflict, err)
	}
	return version, err
}

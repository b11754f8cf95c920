package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// AlertsID is the id of the workflow that tells people of failures. No file can have it: an id has no dot.
const AlertsID = "bellhop.yaml"

// alerts is who is told when a workflow begins to fail.
type alerts struct {
	mu      sync.RWMutex
	w       *workflow.Workflow // nil: nobody
	failing map[string]bool    // ids of the workflows whose failure was told, as the store has them
}

const failingRoot = "failing/"

// Alert makes w the workflow that tells people of failures, by runs of its own under AlertsID that are as durable as any
// other; nil: nobody is told from now on. It gets what to tell as trigger.body: title and text, made for
// people, workflow {id, name}, run {id, url} and error {message, status, step}. The first failure in a row is told: the
// next one counts when a run has succeeded in between.
func (e *Engine) Alert(ctx context.Context, w *workflow.Workflow) error {
	if w == nil {
		e.alerts.mu.Lock()
		e.alerts.w = nil
		e.alerts.mu.Unlock()
		return nil
	}
	own := *w
	own.ID = AlertsID
	failing := map[string]bool{}
	for after := ""; ; {
		entries, err := e.Store.KV().List(ctx, failingRoot, after, 1000)
		if err != nil {
			return fmt.Errorf("alerts: %w", err)
		}
		for _, entry := range entries {
			after = entry.Key
			failing[strings.TrimPrefix(entry.Key, failingRoot)] = true
		}
		if len(entries) < 1000 {
			break
		}
	}
	if _, err := e.Store.Accept(ctx, Batch{Puts: []Put{{Key: versionKey(AlertsID, w.Version), Value: w.Source, AnyRev: true}}}); err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	e.alerts.mu.Lock()
	defer e.alerts.mu.Unlock()
	e.alerts.w = &own
	if e.alerts.failing == nil {
		e.alerts.failing = failing
	}
	return nil
}

func (a *alerts) workflow() *workflow.Workflow {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.w
}

// ends tells people of the first failure in a row. It comes before the end of the run is durable: a crash in between
// tells nobody twice, for the run is stored in the same write as the mark that the failure was told.
func (e *Engine) ends(h *Head, run RunID, end *ending) error {
	w := e.alerts.workflow()
	if w == nil || h.Workflow == AlertsID || !h.Caller.IsZero() || strings.HasPrefix(h.Trigger, testTrigger) {
		return nil // who called a run decides about its failure; a test is watched
	}
	failed := end.status == StatusFailed
	if !failed && end.status != StatusSucceeded {
		return nil
	}
	e.alerts.mu.Lock()
	if e.alerts.failing[h.Workflow] == failed {
		e.alerts.mu.Unlock()
		return nil
	}
	e.alerts.failing[h.Workflow] = failed
	e.alerts.mu.Unlock()
	put := Put{Key: failingRoot + h.Workflow, AnyRev: true}
	var evs []Event
	if failed {
		put.Value = []byte(run.String())
		evs = []Event{e.alertOf(h, run, end)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*drainGrace)
	defer cancel()
	err := e.insist(run, func() error {
		_, err := e.AcceptAll(ctx, evs, []Put{put})
		return err
	})
	if err == nil {
		return nil
	}
	e.alerts.mu.Lock()
	e.alerts.failing[h.Workflow] = !failed
	e.alerts.mu.Unlock()
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFull) || errors.Is(err, ErrClosed) {
		return err // the run ends after the next start, and tells it then
	}
	e.Log.Error("a failure cannot be told", "workflow", h.Workflow, "run", run.String(), "error", err)
	return nil
}

func (e *Engine) alertOf(h *Head, run RunID, end *ending) Event {
	name := h.Workflow
	if w := e.Workflow(h.Workflow); w != nil {
		name = w.Name
	}
	failure := end.failure
	if failure == nil {
		failure = &StepError{Message: end.summary}
	}
	body := map[string]any{
		"workflow": map[string]any{"id": h.Workflow, "name": name},
		"run":      map[string]any{"id": run.String(), "url": e.runURL(run)},
		"error":    map[string]any{"message": string(e.Redact([]byte(failure.Message))), "step": failure.Step, "status": nil},
	}
	if failure.Status != 0 {
		body["error"].(map[string]any)["status"] = failure.Status
	}
	return e.alert(body, "run "+run.String(), name+" failed", fmt.Sprintf(
		"%s\n\n%s\n\nFurther failures of this workflow are not told until one of its runs has succeeded.", end.summary, e.runURL(run)))
}

// PollAlert is the event that tells people that a trigger cannot poll, or nil when nobody is told. Whoever polls accepts it.
func (e *Engine) PollAlert(w *workflow.Workflow, trigger, reason string) *Event {
	if e.alerts.workflow() == nil {
		return nil
	}
	url := strings.TrimSuffix(e.PublicURL, "/") + "/workflows/" + w.ID
	body := map[string]any{
		"workflow": map[string]any{"id": w.ID, "name": w.Name},
		"run":      nil,
		"error":    map[string]any{"message": reason, "step": nil, "status": nil},
	}
	ev := e.alert(body, "", w.Name+" cannot poll", fmt.Sprintf("The trigger %s fails: %s\n\n%s\n\nIt is tried again less and less often, "+
		"and further failures are not told until a poll has succeeded.", trigger, reason, url))
	return &ev
}

// alert is the event of an alert. about makes it a duplicate of another about the same.
func (e *Engine) alert(body map[string]any, about, title, text string) Event {
	body["title"], body["text"] = string(e.Redact([]byte(title))), string(e.Redact([]byte(text)))
	ev := Event{Workflow: AlertsID, Trigger: "failure", Kind: TriggerCall, At: time.Now(), Fields: map[string]any{"body": body}}
	if about != "" {
		ev.Key, ev.Window = about, time.Hour
	}
	return ev
}

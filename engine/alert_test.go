package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// tells makes the engine tell failures by a call of other.put.
func (h *house) tells() {
	h.t.Helper()
	w, problems := workflow.Parse("alerts.yaml", []byte(`
name: Alerts
triggers: [{id: failure, webhook: {}}]
steps:
  - id: tell
    use: other.put
    with: {title: "${{ trigger.body.title }}", text: "${{ trigger.body.text }}", at: "${{ trigger.body.run.id }}", step: "${{ trigger.body.error.step }}"}
`))
	if err := problems.Err(); err != nil {
		h.t.Fatal(err)
	}
	if err := h.Alert(h.t.Context(), w); err != nil {
		h.t.Fatal(err)
	}
}

const fragile = "name: Orders\ntriggers: [{webhook: {}}]\nsteps:\n  - {if: trigger.body.passes == false, filter: 'false'}\n" +
	"  - {id: sent, use: other.send, retry: {attempts: 1}}\n"

// refuses answers other.send with an error where the event says so, and other.put always.
func refuses(_ int, c *connectors.Call) (any, error) {
	if c.Workflow == "w" && c.Input["fail"] == true {
		return nil, connectors.Permanent(errors.New("refused"))
	}
	return nil, nil
}

// alerts are the runs that told somebody, oldest first, once they have ended.
func (h *house) alerts() []*engine.RunView {
	h.t.Helper()
	page, err := h.store.List(h.t.Context(), engine.Query{Workflow: engine.AlertsID})
	if err != nil {
		h.t.Fatal(err)
	}
	var views []*engine.RunView
	for _, row := range page.Items {
		views = append([]*engine.RunView{h.wait(row.ID, "succeeded", "failed")}, views...)
	}
	return views
}

func TestTheFirstFailureInARowIsTold(t *testing.T) {
	h := open(t, filepath.Join(t.TempDir(), "data"), &other{do: refuses})
	h.start()
	h.tells()
	h.publish("w", strings.Replace(fragile, "retry:", `with: {fail: "${{ trigger.body.fail }}"}, retry:`, 1))
	play := func(body map[string]any, want string) engine.RunID {
		t.Helper()
		id := h.accept(event("w", body))
		h.wait(id, want)
		return id
	}
	first := play(map[string]any{"fail": true}, "failed")
	play(map[string]any{"fail": true}, "failed")
	play(map[string]any{"passes": false}, "filtered") // says nothing about what failed
	play(map[string]any{"fail": true}, "failed")
	if got := h.alerts(); len(got) != 1 {
		t.Fatalf("%d alerts after three failures in a row, want 1", len(got))
	}
	play(map[string]any{}, "succeeded")
	second := play(map[string]any{"fail": true}, "failed")
	got := h.alerts()
	if len(got) != 2 {
		t.Fatalf("%d alerts after the next failure, want 2", len(got))
	}
	for i, id := range []engine.RunID{first, second} {
		var input map[string]string
		if err := json.Unmarshal(got[i].Steps[0].Input, &input); err != nil {
			t.Fatal(err)
		}
		if input["title"] != "Orders failed" || input["at"] != id.String() || input["step"] != "sent" ||
			!strings.Contains(input["text"], "refused") || !strings.Contains(input["text"], "https://bell.example.com/runs/"+id.String()) {
			t.Errorf("alert %d says %q", i+1, input)
		}
	}
}

// TestFailuresAreToldOnceAcrossRestarts: what was told is known after a restart.
func TestFailuresAreToldOnceAcrossRestarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for life := range 2 {
		h := open(t, dir, &other{do: func(_ int, c *connectors.Call) (any, error) {
			if c.Workflow == "w" {
				return nil, connectors.Permanent(errors.New("refused"))
			}
			return nil, nil
		}})
		h.start()
		h.tells()
		h.publish("w", fragile)
		h.wait(h.accept(event("w", nil)), "failed")
		if got := h.alerts(); len(got) != 1 {
			t.Errorf("%d alerts in life %d, want 1", len(got), life+1)
		}
		h.stop()
	}
}

// TestAlertsTellNothingOfThemselves: who cannot be reached is not told of that, and a failure of a run that was called
// is the caller's.
func TestAlertsTellNothingOfThemselves(t *testing.T) {
	h := open(t, filepath.Join(t.TempDir(), "data"), &other{do: func(int, *connectors.Call) (any, error) {
		return nil, connectors.Permanent(errors.New("nobody there"))
	}})
	h.start()
	h.tells()
	h.publish("child", fragile)
	h.publish("w", "triggers: [{webhook: {}}]\nsteps:\n  - {id: c, call: {workflow: child}}\n")
	h.wait(h.accept(event("w", nil)), "failed")
	got := h.alerts()
	if len(got) != 1 || got[0].Status != "failed" {
		t.Errorf("%d alerts, want one that failed: %s", len(got), fmt.Sprint(got))
	}
}

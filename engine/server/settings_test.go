package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAlertsAreSetHere(t *testing.T) {
	h := newHouse(t, nil)
	file := func() string {
		text, err := os.ReadFile(filepath.Join(h.dir, "bellhop.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got, _ := h.want(200, "GET", "/api/v1/settings", ""); got["alerts"] != nil {
		t.Errorf("alerts of a new folder: %v", got["alerts"])
	}
	got, _ := h.want(200, "PATCH", "/api/v1/settings", `{"alerts": {"use": "store.set", "with": {"key": "alarm", "value": "${{ trigger.body.text }}"}}}`)
	if a, _ := got["alerts"].(map[string]any); a["use"] != "store.set" || !strings.Contains(file(), "store.set") || !strings.HasPrefix(file(), settings) {
		t.Errorf("alerts %v, and the file is:\n%s", got["alerts"], file())
	}
	before := file()
	for _, bad := range []string{`{"use": "store.sett"}`, `{"use": "email.send", "connection": "nobody", "with": {"to": "a@example.com"}}`, `{"use": "store.set", "with": {}}`} {
		problem, _ := h.want(422, "PATCH", "/api/v1/settings", `{"alerts": `+bad+`}`)
		if file() != before || problem["detail"] == "" {
			t.Errorf("%s: %v\n%s", bad, problem, file())
		}
	}
	h.want(200, "PATCH", "/api/v1/settings", `{"alerts": {"use": ""}}`)
	if file() != settings {
		t.Errorf("the file is not as before:\n%s", file())
	}
}

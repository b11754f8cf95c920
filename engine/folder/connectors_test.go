package folder_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/folder"
)

const acme = `manifest: 1
id: acme
title: Acme
version: 1.0.0
connection: {auth: [{id: key, type: bearer}]}
defaults: {base_url: "https://api.example.com"}
actions: {ping: {title: Ping, safe: true, request: {method: GET, path: /ping}}}
`

// A person's own connector is there as soon as its file is, and a broken one keeps its last good version.
func TestOwnConnectors(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("bellhop.yaml", "connections: {main: {connector: acme, token: \"${{ env.ACME }}\"}}\n")
	put("workflows/w.yaml", "triggers: [{webhook: {}}]\nsteps: [{use: acme.ping, connection: main}]\n")
	registry := connectors.NewRegistry()
	f, err := folder.Open(dir, folder.Options{Connectors: registry})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	problems := func() string {
		t.Helper()
		files, err := f.Load()
		if err != nil || len(files) != 1 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		return f.Problems().Error() + files[0].Problems.Error()
	}
	if got := problems(); !strings.Contains(got, `there is no connector "acme"`) {
		t.Fatalf("an unknown connector passes: %s", got)
	}
	put("connectors/acme.yaml", acme)
	if got := problems(); got != "" {
		t.Fatalf("with its manifest: %s", got)
	}

	put("connectors/acme.yaml", strings.Replace(acme, "ping:", "pong:", 1))
	if got := problems(); !strings.Contains(got, `has no action "ping"`) {
		t.Errorf("the workflow was not checked again: %q", got)
	}
	put("connectors/acme.yaml", acme)
	problems()
	put("connectors/acme.yaml", acme+"nonsense: true\n")
	if got := problems(); got != "" {
		t.Errorf("a broken manifest took its last good version away: %s", got)
	}
	if own := f.Connectors(); len(own) != 1 || own[0].Good() || !strings.Contains(own[0].Problems.Error(), "acme.yaml:8:1") {
		t.Errorf("the broken manifest is not reported: %+v", own)
	}
	if err := os.Remove(filepath.Join(dir, "connectors", "acme.yaml")); err != nil {
		t.Fatal(err)
	}
	problems()
	if registry.Connector("acme") != nil {
		t.Error("a manifest that is gone is still there")
	}
}

// One that has the id of a connector that ships stands in for it, and says so.
func TestOwnConnectorShadows(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"workflows", "connectors"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "connectors", "acme.yaml"), []byte(acme), 0o600); err != nil {
		t.Fatal(err)
	}
	registry := connectors.NewRegistry(&connectors.Connector{ID: "acme", Title: "Shipped"})
	f, err := folder.Open(dir, folder.Options{Connectors: registry})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := registry.Connector("acme").Title; got != "Acme" {
		t.Errorf("the registry has %q", got)
	}
	own := f.Connectors()
	if len(own) != 1 || !own[0].Good() || len(own[0].Problems) != 1 || !own[0].Problems[0].Warning {
		t.Errorf("no warning: %+v", own)
	}
}

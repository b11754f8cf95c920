// Package catalog is the list of connectors that ship with Bellhop: some in Go, most as a manifest in this folder, with
// an icon beside it.
package catalog

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/email"
	"github.com/bellhop-dev/bellhop/connectors/feed"
	"github.com/bellhop-dev/bellhop/connectors/http"
	"github.com/bellhop-dev/bellhop/connectors/manifest"
	"github.com/bellhop-dev/bellhop/connectors/mqtt"
	"github.com/bellhop-dev/bellhop/connectors/store"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

//go:embed *.yaml *.svg
var files embed.FS

// inGo are the connectors for which a manifest is not enough.
func inGo() []*connectors.Connector {
	return []*connectors.Connector{
		email.New(),
		feed.New(),
		http.New(),
		mqtt.New(),
		store.New(),
		webhook(),
	}
}

// Manifests are the ids of the manifests that ship, sorted.
func Manifests() []string {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		panic(err) // the pattern is a literal
	}
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], ".yaml")
	}
	slices.Sort(names)
	return names
}

// Manifest reads a manifest that ships.
func Manifest(id string) (*manifest.Manifest, workflow.Problems) {
	src, err := files.ReadFile(id + ".yaml")
	if err != nil {
		panic(err) // the ids are those of the files
	}
	return manifest.Parse(id+".yaml", src, files)
}

// load panics on a manifest with a mistake: a test holds them free of mistakes.
func load(id string) *connectors.Connector {
	m, problems := Manifest(id)
	if err := problems.Err(); err != nil {
		panic(fmt.Sprintf("catalog: %v", err))
	}
	return m.Connector
}

// shipped makes each connector when it is first asked for: to read all manifests would take longer than the whole start
// of a server, and few of them are used.
var shipped = sync.OnceValue(func() map[string]func() *connectors.Connector {
	all := map[string]func() *connectors.Connector{}
	for _, c := range inGo() {
		all[c.ID] = func() *connectors.Connector { return c }
	}
	for _, id := range Manifests() {
		all[id] = sync.OnceValue(func() *connectors.Connector { return load(id) })
	}
	return all
})

// All returns every connector that ships, in the order of IDs.
func All() []*connectors.Connector { return Registry().All() }

// Registry returns a registry of all that ships.
func Registry() *connectors.Registry { return connectors.NewLazyRegistry(shipped()) }

// webhook has no actions: its connections hold the secrets of senders that have no connector of their own. Which
// of the secrets a webhook needs follows from its scheme, so that no auth has to be chosen.
func webhook() *connectors.Connector {
	return &connectors.Connector{
		ID:      "webhook",
		Title:   "Webhook",
		Version: "1.0.0",
		Auth: []connectors.AuthScheme{{
			ID:    "secret",
			Title: "Secrets of a sender",
			Type:  connectors.AuthKeys,
			Secrets: []connectors.Secret{
				{Name: "signing_secret", Title: "Signing secret", Optional: true},
				{Name: "password", Title: "Password", Help: "For the scheme basic.", Optional: true},
				{Name: "token", Title: "Token", Help: "For the schemes bearer and header.", Optional: true},
				{Name: "verify_token", Title: "Verify token", Help: "For the scheme meta.", Optional: true},
			},
			Fields: []string{"username"},
		}},
		Fields: connectors.Schema{
			Type: "object", Closed: true, Order: []string{"username"},
			Properties: map[string]connectors.Schema{
				"username": {Type: "string", Title: "User name", Description: "For the scheme basic."},
			},
		},
	}
}

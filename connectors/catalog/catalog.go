// Package catalog is the list of connectors that ship with Bellhop.
package catalog

import (
	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/http"
	"github.com/bellhop-dev/bellhop/connectors/store"
)

// All returns a new value of every connector that ships.
func All() []*connectors.Connector {
	return []*connectors.Connector{
		http.New(),
		store.New(),
		webhook(),
	}
}

// Registry returns All as a registry.
func Registry() *connectors.Registry { return connectors.NewRegistry(All()...) }

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

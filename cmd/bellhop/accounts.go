package main

import (
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/secret"
	"github.com/bellhop-dev/bellhop/engine/server"
)

// accounts are the connections that bellhop.yaml declares now. They change while the server runs.
type accounts struct {
	registry *connectors.Registry
	options  secret.Options

	mu       sync.Mutex
	declared map[string]map[string]any
	current  *secret.Connections
}

func newAccounts(r *connectors.Registry, o secret.Options) *accounts {
	return &accounts{registry: r, options: o, current: secret.New(nil, r, o)}
}

// Declare takes the connections of bellhop.yaml. Where they are the same as before, their values stay as fetched.
func (a *accounts) Declare(declared map[string]map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if reflect.DeepEqual(declared, a.declared) {
		return
	}
	a.declared, a.current = declared, secret.New(declared, a.registry, a.options)
}

func (a *accounts) now() *secret.Connections {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

// Connection resolves a connection by its name.
func (a *accounts) Connection(name string) (connectors.Connection, error) {
	return a.now().Connection(name)
}

// List is every connection, by name, and whether it is complete.
func (a *accounts) List() []server.Connection {
	now := a.now()
	names := now.Names()
	list := make([]server.Connection, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c := server.Connection{Name: name, Connector: names[name], OK: true}
		if _, err := now.Connection(name); err != nil {
			c.OK, c.Reason = false, err.Error()
		}
		list = append(list, c)
	}
	return list
}

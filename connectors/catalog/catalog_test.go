package catalog_test

import (
	"testing"

	"github.com/bellhop-dev/bellhop/connectors/catalog"
	"github.com/bellhop-dev/bellhop/connectors/connectorstest"
)

// TestManifests does what the tests of each manifest say, and asks for a test of everything that people see.
func TestManifests(t *testing.T) {
	for _, id := range catalog.Manifests() {
		t.Run(id, func(t *testing.T) {
			m, problems := catalog.Manifest(id)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if len(m.Connector.Icon) == 0 {
				t.Error("it has no icon")
			}
			for _, missing := range m.Untested() {
				t.Error(missing)
			}
			failed, err := m.Run(t.Context(), id+".yaml")
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range failed {
				t.Error(p)
			}
			for i := range m.Connector.Actions {
				a := &m.Connector.Actions[i]
				t.Run(a.Name, func(t *testing.T) { connectorstest.Behavior(t, a) })
			}
		})
	}
}

// TestAll checks the description of everything that ships. How it behaves is for each connector's own test.
func TestAll(t *testing.T) {
	for _, id := range catalog.Manifests() {
		if _, problems := catalog.Manifest(id); problems != nil {
			t.Fatal(problems) // All would panic
		}
	}
	for _, c := range catalog.All() {
		for _, problem := range connectorstest.Problems(c) {
			t.Errorf("%s: %s", c.ID, problem)
		}
		if catalog.Registry().Connector(c.ID) == nil {
			t.Errorf("%s is not in the registry", c.ID)
		}
	}
}

// BenchmarkRegistry is what what ships adds to a start: nothing of it is read before it is used.
func BenchmarkRegistry(b *testing.B) {
	for b.Loop() {
		if catalog.Registry().Connector("http") == nil {
			b.Fatal("http is missing")
		}
	}
}

// BenchmarkManifest reads one manifest that ships.
func BenchmarkManifest(b *testing.B) {
	for b.Loop() {
		if _, problems := catalog.Manifest("stripe"); problems != nil {
			b.Fatal(problems)
		}
	}
}

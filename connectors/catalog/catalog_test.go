package catalog_test

import (
	"testing"

	"github.com/bellhop-dev/bellhop/connectors/catalog"
	"github.com/bellhop-dev/bellhop/connectors/connectorstest"
)

// TestAll checks the description of everything that ships. How it behaves is for each connector's own test.
func TestAll(t *testing.T) {
	for _, c := range catalog.All() {
		for _, problem := range connectorstest.Problems(c) {
			t.Errorf("%s: %s", c.ID, problem)
		}
		if catalog.Registry().Connector(c.ID) == nil {
			t.Errorf("%s is not in the registry", c.ID)
		}
	}
}

package bolt_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/enginetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("BELLHOP_BOLT_CHILD"); dir != "" {
		child(dir)
		return
	}
	bolt.SetMarkSteps(1)
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(t *testing.T, dir string) engine.Store { return open(t, dir, bolt.Options{}) })
}

// open opens a store that does not wait for the disk.
func open(t testing.TB, dir string, o bolt.Options) *bolt.Store {
	t.Helper()
	o.NoSync = true
	s, err := bolt.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

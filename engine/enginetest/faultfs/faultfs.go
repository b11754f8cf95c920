// Package faultfs is a file system for tests that loses what was not synced, and fails when it is told to. It passes
// calls through to a directory and remembers, for every file, what was written since its last fsync and, for every
// directory, which names changed since its own. Cut takes these back, as a power cut does.
//
// The process under test must be another one than that of the test: a page fault on a mapped file stops a thread of the
// Go scheduler until this package answers it.
package faultfs

import (
	"os"
	"testing"
)

// Missing ends a test whose machine lacks what it needs: skipped loudly for a developer, an error where CI is true.
func Missing(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("this machine cannot %s: %v", what, err)
	}
	t.Skipf("SKIPPED, NOTHING WAS TESTED: this machine cannot %s: %v", what, err)
}

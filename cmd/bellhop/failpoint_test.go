package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/enginetest/faultfs"
)

// needsBuild skips a test that builds another bellhop: only the long fault tests do.
func needsBuild(t *testing.T) {
	t.Helper()
	if os.Getenv("BELLHOP_KILLS") == "" {
		t.Skip("SKIPPED: it builds a program of its own; set BELLHOP_KILLS, as make test-faults does")
	}
}

func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		faultfs.Missing(t, "go "+strings.Join(args, " "), fmt.Errorf("%w\n%s", err, out))
	}
	return strings.TrimSpace(string(out))
}

// TestFaultPoints ends the process at every place of the way of a run where a crash leaves something else behind, and
// makes the store answer late and not at all there. onDisk says what is there when the process dies.
func TestFaultPoints(t *testing.T) {
	needsBuild(t)
	binary := filepath.Join(t.TempDir(), "bellhop")
	goCommand(t, ".", "build", "-tags", "failpoint", "-o", binary, ".")
	tests := []struct{ onDisk, fail string }{ // a point of parking is one of a trial whose runs wait
		{"nothing: before the accept is given to the writer", "accept.before=kill:9"},
		{"nothing, or the whole batch: before a commit", "commit.before=kill:25"},
		{"a batch whose callers were not told", "commit.after=kill:25"},
		{"an accepted run whose sender has no answer", "accept.after=kill:9"},
		{"an accepted run that was claimed", "claim.after=kill:7"},
		{"an accepted run that wanted to record a start", "start.before=kill:7"},
		{"a start without an effect", "start.after=kill:7"},
		{"a start and an effect without its result", "result.before=kill:7"},
		{"a result and the next start", "result.after=kill:7"},
		{"all but the end", "finish.before=kill:5"},
		{"the end, not archived", "finish.after=kill:5"},
		{"an end in a segment and in the database", "archive.written=kill:1"},
		{"an end in a segment only", "archive.after=kill:1"},
		{"the same twice in a row", "result.after=kill:3,start.after=kill:40"},
		{"stored, the answer lost: accept", "accept.after=error:9"},
		{"not stored, no answer: accept", "accept.before=error:9"},
		{"stored, the answer lost: start", "start.after=error:7"},
		{"stored, the answer lost: result", "result.after=error:7"},
		{"stored, the answer lost: end", "finish.after=error:5"},
		{"not stored, no answer: result", "result.before=error:7"},
		{"a slow commit", "commit.before=sleep:25"},
		{"a slow archive", "archive.written=sleep:1"},
		{"a run that wanted to wait", "park.before=kill:3"},
		{"a run that waits", "park.after=kill:3"},
		{"stored, the answer lost: a wait", "park.after=error:3"},
		{"not stored, no answer: a wait", "park.before=error:3"},
	}
	for _, tt := range tests {
		t.Run(tt.fail, func(t *testing.T) {
			t.Parallel()
			tr, rest := newTrial(t), 5*time.Millisecond
			if strings.HasPrefix(tt.fail, "park") {
				tr, rest = newWaitsTrial(t), 100*time.Millisecond
			}
			tr.v.bin = binary
			tr.v.env = []string{"BELLHOP_FAIL=" + tt.fail}
			kills := strings.Contains(tt.fail, "kill")
			tr.v.start()
			tr.v.ready()
			stop := tr.loadEvery(4, rest)
			if kills {
				if code := tr.v.exit(2 * time.Minute); code != -1 || tr.v.late {
					t.Errorf("the process ended with %d, late %v, want it killed at the point", code, tr.v.late)
				}
			} else {
				time.Sleep(1500 * time.Millisecond)
				tr.v.kill()
			}
			tr.v.env = nil
			tr.v.start()
			defer tr.v.kill()
			tr.v.ready()
			stop()
			tr.verdict(tt.onDisk)
		})
	}
}

// TestFaultPointsOfBbolt ends a commit inside the database library, between the pages and the meta page that makes them
// count: its own failpoints are switched on in a copy of it.
func TestFaultPointsOfBbolt(t *testing.T) {
	needsBuild(t)
	top, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	library := filepath.Join(dir, "bbolt")
	if err := os.CopyFS(library, os.DirFS(goCommand(t, top, "list", "-m", "-f", "{{.Dir}}", "go.etcd.io/bbolt"))); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(library, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755) // the module cache is read-only
	}); err != nil {
		t.Fatal(err)
	}
	goCommand(t, dir, "run", "go.etcd.io/gofail@v0.2.0", "enable", library)
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(top, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	mod := filepath.Join(dir, "go.mod")
	goCommand(t, dir, "mod", "edit", "-replace", "go.etcd.io/bbolt="+library, "-require", "go.etcd.io/gofail@v0.2.0", mod)
	binary := filepath.Join(dir, "bellhop")
	goCommand(t, top, "build", "-mod=mod", "-modfile", mod, "-o", binary, "./cmd/bellhop")
	for _, point := range []string{
		`beforeBucketPut=200*off->1*panic("point")`,
		`beforeSyncDataPages=40*off->1*panic("point")`,
		`beforeWriteMetaError=40*off->1*return("point")`,
		`beforeSyncMetaPage=40*off->1*panic("point")`,
		`lackOfDiskSpace=3*off->1*return("point")`,
		`resizeFileError=1*return("point")`,
	} {
		name, _, _ := strings.Cut(point, "=")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t)
			tr.v.bin = binary
			tr.v.start() // the store is made, and some events are stored, without a fault
			tr.v.ready()
			stop := tr.load(4)
			for tr.count() < 5 {
				time.Sleep(5 * time.Millisecond)
			}
			tr.v.kill()
			tr.v.env = []string{"GOFAIL_FAILPOINTS=" + point}
			tr.v.start()
			if code := tr.v.exit(2 * time.Minute); code < 1 {
				t.Errorf("the process ended with %d, want an error", code)
			}
			tr.v.env = nil
			tr.v.start()
			defer tr.v.kill()
			tr.v.ready()
			stop()
			tr.verdict(name)
		})
	}
}

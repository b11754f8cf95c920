package faultfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/enginetest/faultfs"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string, syncs bool) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err == nil && syncs {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func syncDir(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCutTakesBackWhatWasNotSynced(t *testing.T) {
	d := faultfs.Mount(t)
	at := func(name string) string { return filepath.Join(d.Dir, name) }
	for _, name := range []string{"kept", "longer", "shorter", "renamed", "removed", "over"} {
		write(t, at(name), "first", true)
	}
	syncDir(t, d.Dir)
	write(t, at("kept"), "second", true)
	write(t, at("new"), "new", true) // its name is not synced
	write(t, at("shorter"), "s", false)
	f, err := os.OpenFile(at("longer"), os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = f.WriteString(strings.Repeat("x", 10_000))
		err = errors.Join(err, f.Close(), os.Rename(at("renamed"), at("over")), os.Remove(at("removed")))
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, at("over")); got != "first" || read(t, at("renamed")) != "-" || read(t, at("shorter")) != "s" {
		t.Fatalf("before the cut nothing is lost: got %q", got)
	}
	if err := d.Cut(nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"kept": "second", "new": "-", "shorter": "first", "longer": "first", "renamed": "first", "removed": "first", "over": "first",
	} {
		if got := read(t, at(name)); got != want {
			t.Errorf("%s: got %.20q, want %q", name, got, want)
		}
	}
}

func TestFailedAndLyingSyncsKeepNothing(t *testing.T) {
	d := faultfs.Mount(t)
	path := filepath.Join(d.Dir, "file")
	write(t, path, "first", true)
	syncDir(t, d.Dir)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.Fail(func(op, name string) syscall.Errno {
		if op == faultfs.Sync && name == "file" {
			return syscall.EIO
		}
		return 0
	})
	if _, err := f.WriteString("other"); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("fsync: got %v, want EIO", err)
	}
	d.Fail(nil)
	if err := errors.Join(f.Sync(), f.Close()); err != nil { // a second fsync says that all is well, as kernels do
		t.Fatal(err)
	}
	if err := d.Cut(nil); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "first" {
		t.Errorf("after an fsync that failed: got %q, want what was there before", got)
	}
	d.Lie()
	write(t, path, "other", true)
	if err := d.Cut(nil); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "first" {
		t.Errorf("after an fsync that lied: got %q, want what was there before", got)
	}
}

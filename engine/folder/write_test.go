package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/folder"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	if _, err := f.Read("billing/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read before there is a file: %v", err)
	}
	if _, err := f.Write("billing/a", []byte("x"), "0123"); !errors.Is(err, folder.ErrChanged) {
		t.Errorf("write with the version of no file: %v", err)
	}
	one, err := f.Write("billing/a", []byte(small), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write("billing/a", []byte("other"), ""); !errors.Is(err, folder.ErrChanged) {
		t.Errorf("a file that is there was made again: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, "workflows/billing/a.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	two, err := f.Write("billing/a", []byte(small+"# more\n"), one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write("billing/a", []byte("third"), one); !errors.Is(err, folder.ErrChanged) {
		t.Errorf("write on an old version: %v", err)
	}
	text, err := f.Read("billing/a")
	if err != nil || string(text) != small+"# more\n" || one == two {
		t.Errorf("%q, %v, versions %s and %s", text, err, one, two)
	}
	info, err := os.Stat(filepath.Join(dir, "workflows/billing/a.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode changed: %v, %v", info.Mode(), err)
	}
	if _, err := f.Write("big", make([]byte, 256<<10+1), ""); err == nil {
		t.Error("a text beyond the limit was written")
	}
	left, err := filepath.Glob(filepath.Join(dir, "workflows/billing/.*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A folder of the name of the file makes the last move fail: nothing is left behind, and the error says where.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"workflows/a.yaml/x": ""})
	f := open(t, dir)
	if _, err := f.Write("a", []byte(small), ""); err == nil || !strings.Contains(err.Error(), "write workflow a: ") {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "workflows")); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestWriteRefusesIDs(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	for _, id := range []string{
		"", ".", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "a/", "/a", "A", "ä", "a b", "a\x00b", "con", "a/nul",
		`a\b`, "a.test", "-a", ".a", "a/.b", "bellhop.yaml", strings.Repeat("a", 64), "％2e％2e/a", "a\n", strings.Repeat("c/", 200) + "d",
	} {
		if _, err := f.Write(id, []byte("x"), ""); err == nil {
			t.Errorf("wrote %q", id)
		}
		if _, err := f.Read(id); err == nil {
			t.Errorf("read %q", id)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("made %v, %v", entries, err)
	}
}

// Of writers that all saw the same version, one wins and the others are told.
func TestWritersAtTheSameTime(t *testing.T) {
	f := open(t, t.TempDir())
	base, err := f.Write("a", []byte("0"), "")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	won := make(chan string, 20)
	for i := range 20 {
		wg.Go(func() {
			v, err := f.Write("a", []byte("text "+strconv.Itoa(i)), base)
			if err == nil {
				won <- v
			} else if !errors.Is(err, folder.ErrChanged) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d writers won", len(won))
	}
}

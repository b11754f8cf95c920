package folder_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/folder"
)

// watch starts a Watch and returns a function that waits until the folder, loaded after a call of changed, is as
// wanted, and fails the test long after the second that the contract gives, for slow machines.
func watch(t *testing.T, f *folder.Folder) (until func(what string, ok func([]folder.File) bool)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	changed, done := make(chan struct{}, 1000), make(chan error, 1)
	go func() { done <- f.Watch(ctx, func() { changed <- struct{}{} }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-changed // the first, for what was there before
	return func(what string, ok func([]folder.File) bool) {
		t.Helper()
		began := time.Now()
		limit := time.After(time.Minute)
		for {
			select {
			case <-changed:
			case <-limit:
				t.Fatalf("%s: no call", what)
			}
			files, err := f.Load()
			if err != nil {
				t.Fatal(err)
			}
			if ok(files) {
				t.Logf("%s: told after %s", what, time.Since(began).Round(time.Millisecond))
				return
			}
		}
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	until := watch(t, f)
	has := func(n int) func([]folder.File) bool { return func(fs []folder.File) bool { return len(fs) == n } }
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }

	put(t, dir, map[string]string{"workflows/a.yaml": small})
	until("a new folder workflows/ with a file", has(1))

	put(t, dir, map[string]string{"workflows/sub/deep/b.yaml": small})
	until("a new folder below", has(2))

	put(t, dir, map[string]string{"workflows/sub/deep/b.yaml": small + "# changed\n"})
	until("a change in place", func(fs []folder.File) bool {
		return len(fs) == 2 && string(fs[1].Text) == small+"# changed\n"
	})

	put(t, dir, map[string]string{"workflows/.b.yaml.swp": small + "# renamed\n"})
	if err := os.Rename(at("workflows/.b.yaml.swp"), at("workflows/sub/deep/b.yaml")); err != nil {
		t.Fatal(err)
	}
	until("an editor that saves by rename", func(fs []folder.File) bool {
		return len(fs) == 2 && string(fs[1].Text) == small+"# renamed\n"
	})

	if err := os.Remove(at("workflows/a.yaml")); err != nil {
		t.Fatal(err)
	}
	until("a removed file", has(1))

	if err := os.Rename(at("workflows/sub"), at("workflows/other")); err != nil {
		t.Fatal(err)
	}
	until("a renamed folder", func(fs []folder.File) bool { return len(fs) == 1 && fs[0].ID == "other/deep/b" })

	put(t, dir, map[string]string{"workflows/other/deep/b.yaml": small})
	until("a change below the renamed folder", func(fs []folder.File) bool { return string(fs[0].Text) == small })

	put(t, dir, map[string]string{"bellhop.yaml": "timezone: Asia/Tokyo\n"})
	until("the settings", func([]folder.File) bool { return f.Settings().Timezone == "Asia/Tokyo" })

	put(t, dir, map[string]string{"bellhop.yaml": "timezone: Nowhere\n"})
	until("broken settings", func([]folder.File) bool { return len(f.Problems()) == 1 })
	if got := f.Settings().Timezone; got != "Asia/Tokyo" {
		t.Errorf("broken settings replaced good ones: timezone %q", got)
	}

	if _, err := f.Write("c", []byte(small), ""); err != nil {
		t.Fatal(err)
	}
	until("a file written by us", has(2))
}

package folder

import (
	"context"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	settle   = 100 * time.Millisecond // an editor's burst of writes is one change
	patience = 400 * time.Millisecond // a file that is written without a pause is read after this
	pollSlow = 5 * time.Second        // file systems that lose notices, such as a mounted share
	pollFast = 800 * time.Millisecond // without notices at all
)

// Watch calls changed soon after a workflow file, a connector or bellhop.yaml was changed, made or removed, and once at the
// start for what changed before it was watching; changed calls Load. A change is told within a second, and calls
// follow one another. Watch blocks until ctx is done and returns nil then.
func (f *Folder) Watch(ctx context.Context, changed func()) error {
	notices, err := fsnotify.NewWatcher()
	var events chan fsnotify.Event
	var losses chan error
	every := pollFast
	if err != nil {
		f.opts.Log.Warn("no notices of changed files, looking every second instead", "error", err)
	} else {
		defer notices.Close()
		events, losses, every = notices.Events, notices.Errors, pollSlow
	}
	w := &watcher{folder: f, notices: notices, seen: f.fingerprint()}
	poll := time.NewTicker(every)
	defer poll.Stop()
	if !w.follow() {
		poll.Reset(pollFast)
	}
	var due <-chan time.Time
	var since time.Time
	soon := func() {
		if due == nil {
			since = time.Now()
		}
		if wait := min(settle, patience-time.Since(since)); wait > 0 {
			due = time.After(wait)
		}
	}
	changed()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			if e.Op != fsnotify.Chmod && !strings.HasPrefix(filepath.Base(e.Name), ".") {
				soon()
			}
		case err := <-losses:
			f.opts.Log.Warn("notices of changed files were lost, reading all", "error", err)
			soon()
		case <-poll.C:
			if w.moved() {
				soon()
			}
		case <-due:
			due = nil
			if !w.follow() {
				poll.Reset(pollFast)
			}
			w.seen = f.fingerprint()
			changed()
		}
	}
}

// watcher is the state of one Watch.
type watcher struct {
	folder  *Folder
	notices *fsnotify.Watcher // nil: none
	seen    []stamp
}

// follow watches every directory, new ones too. It reports false when some cannot be watched.
func (w *watcher) follow() bool {
	if w.notices == nil {
		return false
	}
	all := true
	for _, dir := range w.folder.dirs() {
		// Adding a directory twice is harmless; one that is gone is no loss.
		if err := w.notices.Add(filepath.Join(w.folder.dir, filepath.FromSlash(dir))); err != nil {
			_, gone := w.folder.root.Stat(filepath.FromSlash(dir))
			all = all && gone != nil
		}
	}
	return all
}

// moved reports whether names, sizes or times differ from the last look.
func (w *watcher) moved() bool {
	now := w.folder.fingerprint()
	same := slices.Equal(now, w.seen)
	w.seen = now
	return !same
}

// dirs lists the folder itself and every directory that holds workflows.
func (f *Folder) dirs() []string {
	dirs := []string{".", connectorsDir}
	_ = fs.WalkDir(f.root.FS(), f.base, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if name != f.base && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if len(dirs) > maxFiles {
			return fs.SkipAll
		}
		dirs = append(dirs, name)
		return nil
	})
	return dirs
}

// stamp is what a change of a file changes, without reading it.
type stamp struct {
	name string
	size int64
	at   int64
}

// fingerprint is a stamp of bellhop.yaml and of each file that Load would read.
func (f *Folder) fingerprint() []stamp {
	names, _ := f.names() // an unreadable folder has none; Load says why
	stamps := make([]stamp, 0, len(names)+1)
	names = append(names, settingsFile)
	if entries, err := fs.ReadDir(f.root.FS(), connectorsDir); err == nil {
		for _, e := range entries[:min(len(entries), 2*maxConnectors)] { // icons too
			names = append(names, path.Join(connectorsDir, e.Name()))
		}
	}
	for _, name := range names {
		if info, err := f.root.Stat(filepath.FromSlash(name)); err == nil {
			stamps = append(stamps, stamp{name, info.Size(), info.ModTime().UnixNano()})
		}
	}
	return stamps
}

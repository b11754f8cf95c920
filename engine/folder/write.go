package folder

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// ErrChanged means that the file is not the version that the caller saw.
var ErrChanged = errors.New("the file changed in the meantime")

// Read returns the text of a workflow file. The error is fs.ErrNotExist when there is none.
func (f *Folder) Read(id string) ([]byte, error) {
	if err := f.valid(id); err != nil {
		return nil, fmt.Errorf("read workflow: %w", err)
	}
	text, err := f.readFile(f.file(id), maxFile)
	if err != nil {
		return nil, fmt.Errorf("read workflow %s: %w", id, err)
	}
	return text, nil
}

// Write replaces or creates the file of a workflow and returns the version of the text. The text is on disk when
// it returns, and a reader sees either the old file or the new one. The file must still have the version ifVersion
// (empty: there must be none), else the error is ErrChanged. The text is not checked: see [Folder.Check].
//
// A program beside Bellhop that saves between the comparison and the rename is overwritten; no file system
// offers better.
func (f *Folder) Write(id string, text []byte, ifVersion string) (string, error) {
	f.write.Lock()
	defer f.write.Unlock()
	if err := f.valid(id); err != nil {
		return "", fmt.Errorf("write workflow: %w", err)
	}
	if len(text) > maxFile {
		return "", fmt.Errorf("write workflow %s: the text is larger than %d KiB", id, maxFile>>10)
	}
	name := f.file(id)
	switch old, err := f.readFile(name, maxFile); {
	case errors.Is(err, fs.ErrNotExist):
		if ifVersion != "" {
			return "", fmt.Errorf("write workflow %s: %w", id, ErrChanged)
		}
	case err != nil:
		return "", fmt.Errorf("write workflow %s: %w", id, err)
	case version(old) != ifVersion:
		return "", fmt.Errorf("write workflow %s: %w", id, ErrChanged)
	}
	if err := f.put(name, text); err != nil {
		return "", fmt.Errorf("write workflow %s: %w", id, err)
	}
	return version(text), nil
}

// put writes a hidden file beside name and moves it there.
func (f *Folder) put(name string, text []byte) error {
	dir := filepath.FromSlash(path.Dir(name))
	if err := f.root.MkdirAll(dir, 0o755); err != nil {
		return reason(err)
	}
	mode := fs.FileMode(0o644)
	if info, err := f.root.Stat(filepath.FromSlash(name)); err == nil {
		mode = info.Mode().Perm()
	}
	hidden := filepath.Join(dir, "."+path.Base(name)+"."+rand.Text()[:8])
	file, err := f.root.OpenFile(hidden, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return reason(err)
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = f.root.Rename(hidden, filepath.FromSlash(name))
	}
	if err != nil {
		return errors.Join(reason(err), f.root.Remove(hidden))
	}
	return f.syncDir(dir)
}

// syncDir makes the rename itself durable.
func (f *Folder) syncDir(dir string) error {
	d, err := f.root.Open(dir)
	if err != nil {
		return reason(err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// valid refuses an id that is no path of a workflow, before it comes near the file system.
func (f *Folder) valid(id string) error {
	got, err := workflow.IDFromPath(id + ".yaml")
	if err != nil {
		return err
	}
	if got != id {
		return fmt.Errorf("%q is no workflow id", id)
	}
	return nil
}

// version is the content hash by which engine and API know a text.
func version(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

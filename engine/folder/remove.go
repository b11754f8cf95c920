package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
)

// Remove deletes the file of a workflow if it still has this version, else the error is ErrChanged; fs.ErrNotExist
// when there is none. The tests beside it go with [Folder.WriteTest].
func (f *Folder) Remove(id, ifVersion string) error {
	f.write.Lock()
	defer f.write.Unlock()
	if err := f.valid(id); err != nil {
		return fmt.Errorf("remove workflow: %w", err)
	}
	name := f.file(id)
	old, err := f.readFile(name, maxFile)
	if err == nil && version(old) != ifVersion {
		err = ErrChanged
	}
	if err == nil {
		err = f.unlink(name)
	}
	if err != nil {
		return fmt.Errorf("remove workflow %s: %w", id, err)
	}
	return nil
}

// unlink deletes one file; it is gone from the disk when it returns.
func (f *Folder) unlink(name string) error {
	if err := f.root.Remove(filepath.FromSlash(name)); err != nil {
		return reason(err)
	}
	return f.syncDir(filepath.FromSlash(path.Dir(name)))
}

// testFile is the path of a workflow's tests below the folder.
func (f *Folder) testFile(id string) string { return path.Join(f.base, id+".test.yaml") }

// ReadTest returns the text of a workflow's test file; fs.ErrNotExist when there is none.
func (f *Folder) ReadTest(id string) ([]byte, error) {
	if err := f.valid(id); err != nil {
		return nil, fmt.Errorf("read tests: %w", err)
	}
	text, err := f.readFile(f.testFile(id), maxFile)
	if err != nil {
		return nil, fmt.Errorf("read tests of %s: %w", id, err)
	}
	return text, nil
}

// WriteTest replaces or creates a workflow's test file; nil removes it, if there is one.
func (f *Folder) WriteTest(id string, text []byte) error {
	f.write.Lock()
	defer f.write.Unlock()
	if err := f.valid(id); err != nil {
		return fmt.Errorf("write tests: %w", err)
	}
	if len(text) > maxFile {
		return fmt.Errorf("write tests of %s: the text is larger than %d KiB", id, maxFile>>10)
	}
	var err error
	if text != nil {
		err = f.put(f.testFile(id), text)
	} else if err = f.unlink(f.testFile(id)); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("write tests of %s: %w", id, err)
	}
	return nil
}

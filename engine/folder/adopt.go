package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"

	"github.com/bellhop-dev/bellhop/connectors/manifest"
)

var connectorID = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)

// Adopt writes the manifest of one of the folder's own connectors, which must be good. ifVersion is that of the file as the
// caller saw it, empty: there must be none; else the error is ErrChanged. Problems of the manifest are the error.
func (f *Folder) Adopt(id string, text []byte, ifVersion string) error {
	if !connectorID.MatchString(id) {
		return fmt.Errorf("write connector: %q is no id: use small letters, digits and _", id)
	}
	f.write.Lock()
	defer f.write.Unlock()
	name := path.Join(connectorsDir, id+".yaml")
	if len(text) > maxFile {
		return fmt.Errorf("write connector %s: the manifest is larger than %d KiB", id, maxFile>>10)
	}
	files, err := fs.Sub(f.root.FS(), connectorsDir)
	if err != nil {
		return fmt.Errorf("write connector %s: %w", id, err)
	}
	if _, problems := manifest.Parse(f.shown(name), text, files); problems.Err() != nil {
		return problems.Err()
	}
	switch old, err := f.readFile(name, maxFile); {
	case errors.Is(err, fs.ErrNotExist):
		if ifVersion != "" {
			return fmt.Errorf("write connector %s: %w", id, ErrChanged)
		}
	case err != nil:
		return fmt.Errorf("write connector %s: %w", id, err)
	case version(old) != ifVersion:
		return fmt.Errorf("write connector %s: %w", id, ErrChanged)
	}
	if err := f.put(name, text); err != nil {
		return fmt.Errorf("write connector %s: %w", id, err)
	}
	return nil
}

// Change sets single settings of bellhop.yaml, by the keys of [Keys]; an empty text takes one away. Every other line stays
// as it is. A text that is no value for its key changes nothing.
func (f *Folder) Change(values map[string]string) error {
	for key, text := range values {
		if text == "" {
			if _, known := setters[key]; !known {
				return fmt.Errorf("unknown setting %q", key)
			}
			continue
		}
		if err := (&Settings{}).Set(key, text); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	for key, text := range values {
		if err := f.setOne(key, text); err != nil {
			return err
		}
	}
	return nil
}

package folder

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/manifest"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const (
	connectorsDir = "connectors"
	maxConnectors = 500 // manifests of one folder
)

// Connector is one manifest of the folder's own connectors as it was read.
type Connector struct {
	ID       string // the name of the file without .yaml
	Path     string // with the folder in front, as problems print it
	Text     []byte
	Manifest *manifest.Manifest // nil when the file is too broken to model
	Problems workflow.Problems

	icons string // what lay beside it
}

// Good reports whether the connector can be used. A warning does not stop it.
func (c *Connector) Good() bool { return c.Manifest != nil && c.Problems.Err() == nil }

// Connectors are the folder's own manifests as they were last read, by id. One with an error has its problems; what
// the registry has of it is its last good version, if it ever had one.
func (f *Folder) Connectors() []Connector {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.connectors)
}

// loadConnectors reads connectors/*.yaml and makes them those of the registry. It reports whether any of them changed, so
// that whatever names a connector is checked again.
func (f *Folder) loadConnectors() (changed bool, err error) {
	if f.opts.Connectors == nil || f.base != workflowsDir {
		return false, nil
	}
	names, err := f.connectorNames()
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	before := f.connectors
	f.mu.Unlock()
	after := make([]Connector, 0, len(names))
	for _, name := range names {
		c, same, ok := f.connector(name, before)
		if !ok {
			continue // removed while the list was read
		}
		changed = changed || !same
		after = append(after, c)
	}
	if !changed && len(after) == len(before) {
		return false, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	good, broken := map[string]*connectors.Connector{}, map[string]string{}
	for i := range after {
		c := &after[i]
		switch {
		case c.Good():
			good[c.ID] = c.Manifest.Connector
		case good[c.ID] != nil: // acme.yml beside acme.yaml
		case f.good[c.ID] != nil:
			good[c.ID] = f.good[c.ID]
		default:
			broken[c.ID] = c.Path
		}
	}
	own := make([]*connectors.Connector, 0, len(good))
	for _, c := range good {
		own = append(own, c)
	}
	f.connectors, f.good = after, good
	f.opts.Connectors.Own(own...)
	f.opts.Connectors.Broken(broken)
	clear(f.known)
	return true, nil
}

// connector reads one manifest; same tells that it is as before.
func (f *Folder) connector(name string, before []Connector) (c Connector, same, ok bool) {
	c = Connector{ID: strings.TrimSuffix(path.Base(name), path.Ext(name)), Path: f.shown(name)}
	text, err := f.readFile(name, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, false
	}
	if err != nil {
		c.Problems = workflow.Problems{{File: c.Path, Line: 1, Column: 1, Message: "the file cannot be read: " + err.Error(), Hint: "a link must stay inside the folder"}}
		return c, false, true
	}
	c.Text, c.icons = text, f.drawings()
	for i := range before {
		if before[i].Path == c.Path && bytes.Equal(before[i].Text, text) && before[i].icons == c.icons {
			return before[i], true, true
		}
	}
	files, err := fs.Sub(f.root.FS(), connectorsDir)
	if err != nil {
		files = nil
	}
	c.Manifest, c.Problems = manifest.Parse(c.Path, text, files)
	if f.opts.Connectors.Ships(c.ID) {
		c.Problems = append(c.Problems, workflow.Problem{
			File: c.Path, Line: 1, Column: 1, Warning: true, Message: "this stands in for the connector " + c.ID + " that comes with Bellhop",
			Hint: "give it another id to have both",
		})
	}
	return c, false, true
}

// drawings is a stamp of the icons, which belong to the manifests.
func (f *Folder) drawings() string {
	var b strings.Builder
	entries, _ := fs.ReadDir(f.root.FS(), connectorsDir) // without the folder there is none
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".svg") {
			b.WriteString(e.Name() + info.ModTime().String() + "\n")
		}
	}
	return b.String()
}

// connectorNames lists the manifests of the folder, sorted; a .yml among them is told to be called .yaml. A folder that only holds workflow files has none.
func (f *Folder) connectorNames() ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), connectorsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ext := path.Ext(e.Name()); (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() && len(names) < maxConnectors {
			names = append(names, path.Join(connectorsDir, e.Name()))
		}
	}
	return names, nil
}

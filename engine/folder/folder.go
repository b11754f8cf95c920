// Package folder is a user's folder: bellhop.yaml with its settings, the workflow files below workflows/, watching
// both for changes, and writing workflows back. Every file is reached through an [os.Root], so neither a symbolic
// link nor an id leads out of the folder.
package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Names of the contract.
const (
	settingsFile = "bellhop.yaml"
	workflowsDir = "workflows"
)

const (
	maxFiles = 10_000   // workflow files of one folder, tests included
	maxEvent = 25 << 20 // bytes of an event that a test names, as large as a body may be
)

// Options are what a Folder needs to check workflows.
type Options struct {
	Connectors *connectors.Registry
	Log        *slog.Logger // nil: nothing is logged
}

// Folder is a user's folder. Its methods may be called at the same time.
type Folder struct {
	dir   string // as given, for names that people see
	base  string // workflows, or . for a folder that only holds workflow files
	only  string // below base: the file or folder to look at; empty: all
	root  *os.Root
	opts  Options
	write sync.Mutex // one writer at a time

	mu       sync.Mutex
	settings Settings
	problems workflow.Problems // of bellhop.yaml as it is now
	source   []byte            // the text that settings and problems come from
	known    map[string]File   // by path, as last read; a file with the same text is not parsed again

	connectors []Connector                      // the folder's own, as last read
	good       map[string]*connectors.Connector // by id: their last good versions
}

// File is one workflow file as it was read.
type File struct {
	ID       string // empty when the name of the file gives none
	Path     string // with the folder in front, as problems print it
	Text     []byte
	Workflow *workflow.Workflow // nil when the file is too broken to model
	Problems workflow.Problems
}

// Good reports whether the workflow can run. A warning does not stop it.
func (f *File) Good() bool { return f.Workflow != nil && f.Problems.Err() == nil }

// Open reads the settings of the folder dir. Problems of bellhop.yaml are no error: see [Folder.Problems]. The
// caller closes the folder.
func Open(dir string, o Options) (*Folder, error) { return open(dir, workflowsDir, "", o) }

// OpenPath opens the folder that a path belongs to, limited to what lies at that path: the folder itself (it has a
// bellhop.yaml or workflows/), a part of its workflows/, or one file. At any other path every YAML file is taken for
// a workflow, with the settings of the folder around it, if there is one; a directory called workflows may hold both.
func OpenPath(name string, o Options) (*Folder, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, reason(err))
	}
	if filepath.Base(name) == settingsFile {
		return open(filepath.Dir(name), workflowsDir, "", o)
	}
	switch {
	case isDir(filepath.Join(name, workflowsDir)):
		return open(name, workflowsDir, "", o)
	case isFile(filepath.Join(name, settingsFile)) && filepath.Base(name) == workflowsDir:
		return open(name, ".", "", o)
	case isFile(filepath.Join(name, settingsFile)):
		return open(name, workflowsDir, "", o)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	at, only := abs, ""
	if !info.IsDir() {
		at, only = filepath.Dir(abs), filepath.Base(abs)
	}
	for {
		if isFile(filepath.Join(at, settingsFile)) || filepath.Base(at) == workflowsDir {
			break
		}
		if at == filepath.Dir(at) { // nothing above: the files stand for themselves
			if info.IsDir() {
				return open(name, ".", "", o)
			}
			return open(filepath.Dir(name), ".", filepath.Base(name), o)
		}
		at, only = filepath.Dir(at), path.Join(filepath.Base(at), only)
	}
	switch first, rest, _ := strings.Cut(only, "/"); {
	case !isFile(filepath.Join(at, settingsFile)):
		return open(written(filepath.Dir(at), name), workflowsDir, only, o)
	case first == workflowsDir && isDir(filepath.Join(at, workflowsDir)):
		return open(written(at, name), workflowsDir, rest, o)
	default:
		return open(written(at, name), ".", only, o)
	}
}

// written is the absolute directory dir in the way that the caller wrote name: relative if that was.
func written(dir, name string) string {
	if filepath.IsAbs(name) {
		return dir
	}
	here, err := os.Getwd()
	if err != nil {
		return dir
	}
	rel, err := filepath.Rel(here, dir)
	if err != nil {
		return dir
	}
	return rel
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func open(dir, base, only string, o Options) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", dir, errors.Unwrap(err))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Folder{dir: dir, base: base, only: only, root: root, opts: o, known: map[string]File{}}
	changed, err := f.loadConnectors() // before what names them
	if err == nil {
		err = f.loadSettings(changed)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return f, nil
}

// Close gives the folder back. A Watch must have ended.
func (f *Folder) Close() error { return f.root.Close() }

// Dir is the folder as it was given to Open.
func (f *Folder) Dir() string { return f.dir }

// Settings are the newest settings that had no problem, or after a broken start what could be read of them.
func (f *Folder) Settings() Settings {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settings
}

// Problems are those of bellhop.yaml as it is now.
func (f *Folder) Problems() workflow.Problems {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.problems
}

// loadSettings reads bellhop.yaml. A missing file is an empty one; a broken file keeps the settings before.
// again reads it anew although its text is the same, because the connectors changed.
func (f *Folder) loadSettings(again bool) error {
	src, err := f.readFile(settingsFile, maxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", filepath.Join(f.dir, settingsFile), err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.source != nil && bytes.Equal(src, f.source) && !again {
		return nil
	}
	settings, problems := ParseSettings(filepath.Join(f.dir, settingsFile), src, f.opts.Connectors)
	first := f.source == nil
	f.source, f.problems = append([]byte{}, src...), problems
	if first || problems.Err() == nil {
		f.settings = settings
		clear(f.known) // the declared connections decide about workflows too
	}
	return nil
}

// Load reads the folder's own connectors, bellhop.yaml and every workflow file, in the order of paths, and checks them. Broken files are in
// the list with their problems; the error is one of the folder itself.
func (f *Folder) Load() ([]File, error) {
	changed, err := f.loadConnectors()
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", filepath.Join(f.dir, connectorsDir), reason(err))
	}
	if err := f.loadSettings(changed); err != nil {
		return nil, err
	}
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	files := make([]File, 0, len(names))
	known := make(map[string]File, len(names))
	for _, name := range names {
		if strings.HasSuffix(name, ".test.yaml") {
			continue
		}
		file, ok := f.load(name)
		if !ok {
			continue // removed while the list was read
		}
		known[name] = file
		files = append(files, file)
	}
	f.mu.Lock()
	f.known = known
	f.mu.Unlock()
	for i := range files {
		f.checkCalls(&files[i])
	}
	return files, nil
}

// checkCalls adds what is wrong with the calls of other workflows, once the folder was loaded as a whole.
func (f *Folder) checkCalls(file *File) {
	if file.Workflow == nil || f.only != "" || !file.Workflow.Calls() {
		return
	}
	f.mu.Lock()
	known := f.known
	f.mu.Unlock()
	if len(known) == 0 {
		return
	}
	byID := make(map[string]*workflow.Workflow, len(known))
	for _, other := range known {
		if other.Workflow != nil {
			byID[other.ID] = other.Workflow
		}
	}
	byID[file.ID] = file.Workflow
	problems := file.Workflow.CheckCalls(func(id string) *workflow.Workflow { return byID[id] }, slices.Sorted(maps.Keys(byID)))
	if len(problems) > 0 {
		file.Problems = append(slices.Clip(file.Problems), problems...)
		file.Problems.Sort()
	}
}

// Tests reads the test files, in the order of paths, and checks them against their workflows.
func (f *Folder) Tests() ([]TestFile, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	var tests []TestFile
	for _, name := range names {
		if !strings.HasSuffix(name, ".test.yaml") {
			continue
		}
		shown := f.shown(name)
		text, err := f.readFile(name, maxFile)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", shown, err)
		}
		tests = append(tests, f.test(shown, text))
	}
	return tests, nil
}

// TestFile is one test file as it was read.
type TestFile struct {
	Path     string             // with the folder in front, as problems print it
	Tests    *workflow.TestFile // nil when the file is too broken to model
	Workflow *workflow.Workflow // that is tested; nil when there is none that can run
	Problems workflow.Problems
}

func (f *Folder) test(shown string, text []byte) TestFile {
	t := TestFile{Path: shown}
	if t.Tests, t.Problems = workflow.ParseTest(shown, text); t.Tests == nil || t.Tests.Workflow == "" {
		return t
	}
	at := workflow.Problem{File: shown, Line: t.Tests.WorkflowAt.Line, Column: t.Tests.WorkflowAt.Column}
	source, err := f.Read(t.Tests.Workflow)
	if err != nil {
		at.Message = fmt.Sprintf("there is no workflow %q to test", t.Tests.Workflow)
		at.Hint = "it is the path of a workflow file below " + filepath.Join(f.dir, f.base) + ", without .yaml"
		t.Problems = append(t.Problems, at)
		return t
	}
	file := f.Check(t.Tests.Workflow, source)
	if !file.Good() {
		at.Message = fmt.Sprintf("the workflow %s has errors, so it cannot be tested", t.Tests.Workflow)
		at.Hint = "bellhop check " + file.Path + " lists them"
		t.Problems = append(t.Problems, at)
		return t
	}
	t.Workflow = file.Workflow
	t.Problems = append(t.Problems, t.Tests.Check(file.Workflow)...)
	return t
}

// Event reads a file that a test names as its event, by its path below the folder.
func (f *Folder) Event(name string) ([]byte, error) {
	text, err := f.readFile(filepath.ToSlash(name), maxEvent)
	if err == nil && len(text) > maxEvent {
		err = fmt.Errorf("it is larger than %d MiB", maxEvent>>20)
	}
	return text, err
}

// Check reads a text as if it were the file of this workflow. Nothing is written.
func (f *Folder) Check(id string, text []byte) File {
	file := f.parse(f.file(id), id, text)
	f.checkCalls(&file)
	return file
}

// load reads and checks one file. ok is false when it is gone.
func (f *Folder) load(name string) (file File, ok bool) {
	shown := f.shown(name)
	text, err := f.readFile(name, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		if _, lerr := f.root.Lstat(filepath.FromSlash(name)); lerr != nil {
			return File{}, false
		}
	}
	if err != nil {
		return File{Path: shown, Problems: workflow.Problems{{
			File: shown, Line: 1, Column: 1,
			Message: "the file cannot be read: " + err.Error(), Hint: "a link must stay inside the folder",
		}}}, true
	}
	f.mu.Lock()
	before, seen := f.known[name]
	f.mu.Unlock()
	if seen && bytes.Equal(before.Text, text) {
		return before, true
	}
	id, err := f.id(name)
	if err != nil {
		return File{Path: shown, Text: text, Problems: workflow.Problems{{File: shown, Line: 1, Column: 1, Message: err.Error()}}}, true
	}
	return f.parse(name, id, text), true
}

func (f *Folder) parse(name, id string, text []byte) File {
	file := File{ID: id, Path: f.shown(name), Text: text}
	file.Workflow, file.Problems = workflow.ParseAs(id, file.Path, text)
	if file.Workflow != nil {
		file.Problems = append(file.Problems, file.Workflow.Check(workflow.Catalog{
			Connectors: f.opts.Connectors, Connections: f.connections(),
		})...)
	}
	return file
}

// connections maps the declared connections to their connectors.
func (f *Folder) connections() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settings.ConnectorOf()
}

// names lists the workflow and test files below the base, sorted, with slashes.
func (f *Folder) names() ([]string, error) {
	top := path.Join(f.base, f.only)
	var names []string
	err := fs.WalkDir(f.root.FS(), top, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if name == top && f.only != "" {
				return err
			}
			return nil // no workflows yet, or removed while we looked
		case err != nil:
			return err
		case name != top && (strings.HasPrefix(d.Name(), ".") || f.base == "." && skipped(name)):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !isYAML(name) && name != top:
			return nil
		case len(names) == maxFiles:
			return fmt.Errorf("more than %d workflow files", maxFiles)
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", filepath.Join(f.dir, f.base), err)
	}
	slices.Sort(names)
	return names, nil
}

// skipped is what no workflow lies in, in a folder that has no workflows/ of its own.
func skipped(name string) bool {
	return name == settingsFile || name == "data" || name == "connectors" || path.Base(name) == "node_modules"
}

func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// id is the workflow id of a file below the base.
func (f *Folder) id(name string) (string, error) {
	return workflow.IDFromPath(strings.TrimPrefix(name, f.base+"/"))
}

// file is the path of a workflow below the folder.
func (f *Folder) file(id string) string { return path.Join(f.base, id+".yaml") }

// shown is a path as people see it.
func (f *Folder) shown(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// readFile reads one file; one byte beyond the limit is enough for the caller to refuse it.
func (f *Folder) readFile(name string, limit int64) ([]byte, error) {
	file, err := f.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, reason(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return nil, reason(err)
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, reason(err)
	}
	return text, nil
}

// reason drops operation and path of a file error, which the caller says in its own words.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

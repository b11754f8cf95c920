// Package manifest makes connectors of YAML files: the way in which most connectors are written. A manifest says how an
// API is called, in data and in expressions; it holds no code and no loops. docs/connectors-writing.md has the format.
package manifest

import (
	"bytes"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

//go:embed schema.json
var schemaJSON []byte

// Schema returns the JSON Schema (2020-12) of a manifest, for editors.
func Schema() []byte { return schemaJSON }

const (
	maxIcon    = 8 << 10 // bytes
	maxActions = 500     // of one manifest
)

var (
	idPattern      = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)
	versionPattern = regexp.MustCompile(`^\d{1,6}\.\d{1,6}\.\d{1,6}$`)
)

// Manifest is a file that was read.
type Manifest struct {
	Connector *connectors.Connector // can be used when Problems.Err is nil
	Tests     []*Test               // what the file says that it does

	source *source
}

// Parse reads a manifest. name is the file's name as problems show it; its last part without .yaml is the id that the
// connector has to have. files is the folder in which the file lies, for its icon; nil: icons are not looked for. The
// manifest is nil when the file cannot be read as a mapping.
func Parse(name string, src []byte, files fs.FS) (*Manifest, workflow.Problems) {
	r := &reader{Source: workflow.OpenSource(name, src), src: &source{actions: map[string]*action{}, schemes: map[string]*scheme{}}, scope: inRequest, places: map[string]*yaml.Node{}}
	root := r.Document(src, "connector")
	if root == nil {
		return nil, r.Problems()
	}
	m := &Manifest{Connector: &connectors.Connector{}, source: r.src}
	r.m, r.c = m, m.Connector
	r.src.connector = m.Connector
	r.manifest(root, strings.TrimSuffix(path.Base(strings.ReplaceAll(name, `\`, "/")), ".yaml"), files)
	return m, r.Problems()
}

// reader makes a Manifest of a file.
type reader struct {
	*workflow.Source
	m      *Manifest
	c      *connectors.Connector
	src    *source
	places map[string]*yaml.Node // of actions, triggers and endpoints, by kind and name

	scope *expression.Scope // of the request that is read: one of a login sees secrets

	readings    []reading // of names that are checked when the part of the file is read that defines them
	expressions int
	later       []func() // checks that need the whole file
	hasHosts    bool
	hasBase     bool // a base_url stands somewhere, be it right or not
}

func (r *reader) manifest(root *yaml.Node, fileID string, files fs.FS) {
	o := r.Object(root, "a connector")
	c := r.c
	if n := o.Need("manifest", "write manifest: 1, the version of this format"); n != nil && n.Value != "1" {
		r.Errorf(n, "write manifest: 1", "this Bellhop reads version 1 of the format")
	}
	c.ID = o.Text("id")
	if n := o.Take("id"); n == nil {
		o.Need("id", "such as id: acme")
	} else if !idPattern.MatchString(c.ID) {
		r.Errorf(n, "use small letters, digits and _, at most 40", "%q is no id", c.ID)
	} else if c.ID != fileID {
		r.Errorf(n, "workflows write use: "+c.ID+".…; call the file "+c.ID+".yaml", "the id is not the name of the file")
	}
	c.Title = o.Text("title")
	o.Need("title", "the name of the system, as people know it")
	c.Version = o.Text("version")
	if n := o.Need("version", "such as version: 1.0.0"); n != nil && !versionPattern.MatchString(c.Version) {
		r.Errorf(n, "three numbers, such as 1.0.0", "%q is no version", c.Version)
	}
	c.Docs = o.Text("docs")
	if n := o.Take("docs"); n != nil && !strings.HasPrefix(c.Docs, "https://") {
		r.Errorf(n, "", "docs is an address that begins with https://")
	}
	c.Notes = o.Text("notes")
	r.icon(o.Value("icon"), files)
	if n := o.Value("source"); n != nil {
		r.provenance(n)
	}
	r.schemas(o.Value("schemas"))
	r.connection(o.Value("connection"))
	r.defaults(o.Value("defaults"))
	if n := o.Value("hosts"); n != nil {
		r.hasHosts = true
		r.hosts(n)
	}
	r.actions(o.Value("actions"))
	r.endpoints(o.Value("endpoints"))
	r.triggers(o.Value("triggers"))
	for _, check := range r.later {
		check()
	}
	r.checkConnection()
	r.checkAddress()
	r.literalHosts(o)
	r.tests(o.Value("tests"))
	o.Done()
}

// provenance reads the note of the importer, which nothing uses at run time.
func (r *reader) provenance(n *yaml.Node) {
	o := r.Object(n, "source")
	o.Text("document")
	o.Text("sha256")
	o.Text("imported")
	o.Texts("chosen")
	o.Text("overlay")
	o.Done()
}

func (r *reader) icon(n *yaml.Node, files fs.FS) {
	if n == nil {
		return
	}
	name, ok := r.Text(n, "icon")
	if !ok {
		return
	}
	if !fs.ValidPath(name) || strings.Contains(name, "/") || !strings.HasSuffix(name, ".svg") {
		r.Errorf(n, "such as icon: acme.svg", "icon is an .svg file beside the manifest")
		return
	}
	if files == nil {
		return
	}
	drawing, err := readIcon(files, name)
	if err != nil {
		r.Errorf(n, "", "icon %s: %v", name, err)
		return
	}
	r.c.Icon = drawing
}

func readIcon(files fs.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, errors.New("the file cannot be opened")
	}
	defer f.Close() //nolint:errcheck // it was only read
	drawing, err := io.ReadAll(io.LimitReader(f, maxIcon+1))
	if err != nil {
		return nil, errors.New("the file cannot be read")
	}
	if len(drawing) > maxIcon {
		return nil, fmt.Errorf("it has more than %d KiB", maxIcon>>10)
	}
	return drawing, checkIcon(drawing)
}

// checkIcon refuses whatever could do more than draw: it is shown on our own origin.
func checkIcon(drawing []byte) error {
	d := xml.NewDecoder(bytes.NewReader(drawing))
	first := true
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			if first {
				return errors.New("it is no SVG drawing")
			}
			return nil
		}
		if err != nil {
			return errors.New("it is no SVG drawing")
		}
		switch t := t.(type) {
		case xml.Directive:
			return errors.New("it has a document type")
		case xml.StartElement:
			name := strings.ToLower(t.Name.Local)
			if first && name != "svg" {
				return errors.New("it is no SVG drawing")
			}
			first = false
			switch name {
			case "script", "foreignobject", "iframe", "image", "use", "style", "a", "animate", "set":
				return fmt.Errorf("it holds <%s>: a drawing of shapes and text is enough", name)
			}
			for _, a := range t.Attr {
				if strings.HasPrefix(strings.ToLower(a.Name.Local), "on") || strings.EqualFold(a.Name.Local, "href") || strings.Contains(a.Value, "url(") && !strings.Contains(a.Value, "url(#") {
					return fmt.Errorf("it holds the attribute %s", a.Name.Local)
				}
			}
		}
	}
}

// hosts reads where the secrets of a connection may go.
func (r *reader) hosts(n *yaml.Node) {
	for _, item := range r.List(n, "hosts") {
		host, ok := r.Text(item, "a host")
		if !ok {
			continue
		}
		bare := strings.TrimPrefix(host, "*.")
		if bare == "" || strings.ContainsAny(bare, "*/@ ?#") || strings.Contains(bare, "://") || bare != strings.ToLower(bare) || strings.HasPrefix(host, "*.") && !strings.Contains(bare, ".") {
			r.Errorf(item, "such as api.example.com or *.example.com", "%q is no host", host)
			continue
		}
		r.c.Hosts = append(r.c.Hosts, host)
	}
}

// literalHosts takes the hosts that stand in base_url and token addresses, where no list of hosts is given.
func (r *reader) literalHosts(o *workflow.Object) {
	for _, a := range r.src.addresses {
		host, literal := literalHost(a.Value)
		switch {
		case literal && !r.hasHosts:
			if !contains(r.c.Hosts, host) {
				r.c.Hosts = append(r.c.Hosts, host)
			}
		case !literal && !r.hasHosts:
			r.Errorf(a, "add hosts: [api.example.com] or hosts: ['*.example.com']: the secrets go nowhere else", "the host of this address is made by an expression")
			return
		}
	}
}

func literalHost(address string) (string, bool) {
	rest, ok := strings.CutPrefix(address, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(address, "http://")
	}
	host, _, _ := strings.Cut(rest, "/")
	return host, ok && host != "" && !strings.Contains(host, "${{")
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

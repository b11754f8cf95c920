// Package openapi makes a connector manifest from a vendor's API description: OpenAPI 3.0, 3.1 or Swagger 2.0, as
// JSON or YAML, with an overlay if need be. It is an importer and no second runtime: once the manifest is written,
// the description is not needed any more.
//
// Vendors' documents break the specification in many ways. What can be read is read, and what was wrong becomes a
// [Note]. A document gets in as bytes; whoever downloads one uses the only dialer.
package openapi

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of a document. A `$ref` out of the document is refused, so nothing else is ever read.
const (
	MaxSource = 32 << 20 // bytes of a document
	maxDepth  = 256      // lists and mappings inside each other
	maxValues = 3_000_000
	maxRefs   = 64        // references that lead to each other, or schemas that contain each other in allOf
	maxNodes  = 200_000   // values that one operation reaches
	maxTotal  = 3_000_000 // values that all operations of a manifest reach
)

// ErrNoOperations says that a document describes nothing to call.
var ErrNoOperations = errors.New("the document has no operations: its `paths` hold no GET, POST, PUT, PATCH, DELETE or HEAD, and what its `webhooks` describe is received by a webhook trigger")

var errDeep = fmt.Errorf("lists and mappings are nested more than %d deep", maxDepth)

// Document is an API description that has been read. Nothing in it is resolved until an operation is opened.
// It is used by one goroutine at a time.
type Document struct {
	root    *object
	version string // "2.0", "3.0" or "3.1"
	ops     []*operation
	notes   []Note
	sum     string // SHA-256 of the source, in hex
}

// Note is something that a person should know about an import.
type Note struct {
	Kind    string `json:"kind"`  // fill_in: the manifest does not work without it; left_out: an operation; warning
	Where   string `json:"where"` // a place in the manifest or in the document, such as actions.create_thing
	Message string `json:"message"`
}

// The kinds of a note.
const (
	FillIn  = "fill_in"
	LeftOut = "left_out"
	Warning = "warning"
)

func (n Note) String() string {
	if n.Where == "" {
		return n.Message
	}
	return n.Where + ": " + n.Message
}

// Operation is one line of a document's listing.
type Operation struct {
	ID         string   `json:"id"`        // what the action is called
	Operation  string   `json:"operation"` // the operationId, else "METHOD /path"
	Method     string   `json:"method"`
	Path       string   `json:"path"`
	Title      string   `json:"title"`
	Tags       []string `json:"tags"`
	Deprecated bool     `json:"deprecated"`
}

// Parse reads a document: JSON when its first character is a brace, else YAML. The error says what it is not.
func Parse(src []byte) (*Document, error) {
	root, sum, notes, err := read(src)
	if err != nil {
		return nil, err
	}
	d := &Document{root: root, sum: sum, notes: notes}
	if err := d.begin(); err != nil {
		return nil, err
	}
	return d, nil
}

// begin looks at what the document is and lists its operations.
func (d *Document) begin() error {
	openapi, swagger := d.root.text("openapi"), d.root.text("swagger")
	switch {
	case strings.HasPrefix(openapi, "3.0"):
		d.version = "3.0"
	case strings.HasPrefix(openapi, "3."):
		d.version = "3.1" // 3.2 only adds to it
	case strings.HasPrefix(swagger, "2"):
		d.version = "2.0"
	case openapi != "" || swagger != "":
		return fmt.Errorf("version %q is not read: OpenAPI 3.0, 3.1 and Swagger 2.0 are", clip(openapi+swagger))
	case d.root.has("asyncapi"):
		return errors.New("this is an AsyncAPI document: it describes events that a service sends, not operations to call; receive them by a webhook trigger")
	case d.root.has("overlay"):
		return errors.New("this is an overlay: name the document that it belongs to, and this file with --overlay")
	case d.root.has("swaggerVersion"):
		return errors.New("Swagger 1.x is not read: convert the document to Swagger 2.0 or OpenAPI 3 first")
	case strings.HasPrefix(d.root.text("kind"), "discovery#"):
		return errors.New("this is a Google Discovery document: convert it to OpenAPI first")
	case d.root.has("info") && d.root.has("item"):
		return errors.New("this is a Postman collection: export it as OpenAPI")
	default:
		return errors.New("this is no OpenAPI document: it has neither `openapi` nor `swagger` at its top: look for openapi.json, openapi.yaml or swagger.json of the service")
	}
	if !d.root.has("paths") && d.root.has("webhooks") {
		return errors.New("the document describes webhooks only: there is no operation to call in it")
	}
	d.ops = nil
	d.list()
	return nil
}

// Title is the name of the API as its document has it.
func (d *Document) Title() string { return strings.TrimSpace(d.root.object("info").text("title")) }

// Operations lists what can be imported, in the order of the document.
func (d *Document) Operations() []Operation {
	list := make([]Operation, len(d.ops))
	for i, op := range d.ops {
		list[i] = Operation{
			ID: op.id, Operation: op.name(), Method: op.method, Path: op.path, Title: op.title(),
			Tags: append([]string{}, op.tags...), Deprecated: op.node.flag("deprecated"),
		}
	}
	return list
}

// Notes says what was wrong with the document as a whole.
func (d *Document) Notes() []Note { return append([]Note(nil), d.notes...) }

func (d *Document) warn(where, format string, args ...any) {
	d.notes = appendNote(d.notes, Note{Warning, where, fmt.Sprintf(format, args...)})
}

const mostNotes = 200 // of one import; a document that is wrong everywhere need not say it everywhere

func appendNote(notes []Note, n Note) []Note {
	for _, have := range notes {
		if have == n {
			return notes
		}
	}
	if len(notes) >= mostNotes && n.Kind == Warning {
		return notes
	}
	return append(notes, n)
}

// budget bounds what is made of a source.
type budget struct {
	values    int
	duplicate string // the first key that stood twice in its mapping
}

func (b *budget) spend(depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	if b.values++; b.values > maxValues {
		return fmt.Errorf("the document holds more than %d values", maxValues)
	}
	return nil
}

// object makes an object of the members that were read; of equal keys the last counts.
func (b *budget) object(members []member) *object {
	if len(members) < indexed {
		for i := range members {
			for j := range i {
				if members[j].key == members[i].key {
					return b.unique(members)
				}
			}
		}
		return &object{members: members}
	}
	seen := make(map[string]bool, len(members))
	for i := range members {
		if seen[members[i].key] {
			return b.unique(members)
		}
		seen[members[i].key] = true
	}
	return &object{members: members}
}

func (b *budget) unique(members []member) *object {
	o := &object{members: make([]member, 0, len(members))}
	for _, m := range members {
		if b.duplicate == "" && o.has(m.key) {
			b.duplicate = m.key
		}
		o.set(m.key, m.val)
	}
	return o
}

// clip shortens a text of a stranger for a message.
func clip(s string) string {
	const most = 80
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

package workflow

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Op is one change of a workflow file: Put, Insert, Delete, Move, Paste, Note, RenameStep, RenameTrigger or RenameField.
type Op interface {
	// apply changes the text and the data that the text must then hold.
	apply(e *editor) error
	String() string
}

// Put gives a field or an entry a value. The last names of the path may be missing: then they are added. Value is
// plain data, JSON or a Text.
type Put struct {
	Path  Path
	Value any
}

// Insert adds an entry to the list at Path before the entry At; At is from 0 to the length of the list. A list that
// is missing is made. (Put, because Set is a kind of step.)
type Insert struct {
	Path  Path
	At    int
	Value any
}

// Delete removes a field or an entry, with the comment lines directly above it.
type Delete struct{ Path Path }

// Move takes an entry out of its list, with its comments, and puts it where To says. To ends in an index and is read
// in the file without the entry, so that Move{b, a} undoes Move{a, b}.
type Move struct{ From, To Path }

// RenameStep changes the id of a step and every expression that reads the step.
type RenameStep struct{ Old, New string }

// RenameTrigger changes the id of a trigger, which may be the default, and every condition that compares trigger.id
// with it.
type RenameTrigger struct{ Old, New string }

// RenameField changes a key. Where the field is one of a step's output, as in set, every expression that reads it
// follows.
type RenameField struct {
	Path Path
	New  string
}

// Paste adds steps that are given as YAML text, a list or one step, to the list at Path before the entry At. Ids that
// are taken are made unique, and references among the pasted steps follow.
type Paste struct {
	Path Path
	At   int
	Text string
}

// Note sets the comment above a step or a trigger; an empty one removes it.
type Note struct {
	Path Path
	Text string // without # marks
}

// JSON is a value given as JSON text; it is written with its fields in that order.
type JSON []byte

// Text is a value given as YAML text, with its comments. It is written as it is but for its indentation.
type Text string

func (o Put) String() string        { return "set " + string(o.Path) }
func (o Insert) String() string     { return fmt.Sprintf("insert %s[%d]", o.Path, o.At) }
func (o Delete) String() string     { return "delete " + string(o.Path) }
func (o Move) String() string       { return fmt.Sprintf("move %s to %s", o.From, o.To) }
func (o Note) String() string       { return "note on " + string(o.Path) }
func (o RenameStep) String() string { return fmt.Sprintf("rename step %s to %s", o.Old, o.New) }
func (o RenameTrigger) String() string {
	return fmt.Sprintf("rename trigger %s to %s", o.Old, o.New)
}
func (o RenameField) String() string { return fmt.Sprintf("rename %s to %s", o.Path, o.New) }
func (o Paste) String() string       { return fmt.Sprintf("paste into %s[%d]", o.Path, o.At) }

// EditError says why a file was left as it was.
type EditError struct {
	Op      int // its index
	What    string
	Message string
}

func (e *EditError) Error() string { return "edit: " + e.What + ": " + e.Message }

// Edit applies the ops, one after another, by splicing bytes: lines outside what an op touches stay as they are, and
// so do comments, order and quotes. After each op the text is read again, and its data, of which alone the Workflow
// is made, must have changed exactly as asked. Where that fails, or an op cannot be done, the source is returned unchanged with an *EditError, or with
// Problems when it cannot be read at all. A file with other mistakes, such as a draft, can be edited.
func Edit(src []byte, ops ...Op) ([]byte, error) {
	e, err := open(src)
	if err != nil {
		return src, err
	}
	for i, op := range ops {
		if err := e.do(op); err != nil {
			return src, &EditError{Op: i, What: op.String(), Message: err.Error()}
		}
	}
	return e.src, nil
}

// editor holds a text that is being changed, the tree of it and where each node of the tree stands.
type editor struct {
	source
	root *yaml.Node
	want *datum // what the text must hold after the op

	oneLine bool // write texts of several lines in one, in quotes
}

// open reads a text to edit.
func open(src []byte) (*editor, error) {
	e := &editor{}
	return e, e.read(src)
}

// read makes the tree of a text.
func (e *editor) read(src []byte) error {
	r := newReporter("the workflow", src)
	root := r.document(src, "workflow")
	if root == nil || r.count() > 0 {
		return r.finish()
	}
	s, err := measure(src, root)
	if err != nil {
		return err
	}
	e.source, e.root = *s, root
	return nil
}

// errRefused says that the result of a splice is not what was asked.
var errRefused = errors.New("refused")

// do applies one op and sees that it did what it says.
func (e *editor) do(op Op) error {
	before := *e
	e.want = datumOf(e.root)
	err := op.apply(e)
	if errors.Is(err, errRefused) { // a block of text may have swallowed what follows it
		*e = before
		e.oneLine, e.want = true, datumOf(e.root)
		if again := op.apply(e); again == nil {
			err = nil
		}
		e.oneLine = false
	}
	if err != nil {
		*e = before
	}
	return err
}

// commit replaces the text and reads it again. The data must be what the op wants.
func (e *editor) commit(cuts []cut) error {
	out, err := splices(e.src, cuts)
	if err != nil {
		return err
	}
	want := e.want
	next := &editor{}
	if err := next.read(out); err != nil {
		return fmt.Errorf("%w: the result could not be read: %s", errRefused, firstLine(err))
	}
	if at := differ(want, datumOf(next.root), ""); at != "" {
		return fmt.Errorf("%w: the result would not hold what was asked at %s", errRefused, at)
	}
	e.source, e.root = next.source, next.root
	return nil
}

func firstLine(err error) string {
	if ps := AsProblems(err); len(ps) > 0 {
		return ps[0].Message
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// datum is what a node means: its data without its looks. Fields keep their order.
type datum struct {
	kind   yaml.Kind
	value  any // of a scalar
	keys   []string
	items  []*datum
	source Text // how to write it; empty: as fits
	tail   int  // bytes of source behind the value: its comment
}

// illegible is the value of a scalar that reads as no plain data, such as 007.
type illegible string

func datumOf(n *yaml.Node) *datum {
	d := &datum{kind: n.Kind}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			d.keys = append(d.keys, n.Content[i].Value)
			d.items = append(d.items, datumOf(n.Content[i+1]))
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			d.items = append(d.items, datumOf(c))
		}
	default:
		val, _, err := scalar(n)
		if err != nil {
			val = illegible(n.Value)
		}
		d.value = val
	}
	return d
}

// differ returns the path of the first difference, or nothing.
func differ(a, b *datum, at string) string {
	if at == "" {
		at = "the top"
	}
	if a.kind != b.kind || a.value != b.value || len(a.items) != len(b.items) {
		return at
	}
	for i := range a.items {
		name := fmt.Sprintf("%s[%d]", at, i)
		if a.kind == yaml.MappingNode {
			if name = at + "." + a.keys[i]; a.keys[i] != b.keys[i] {
				return name
			}
		}
		if where := differ(a.items[i], b.items[i], strings.TrimPrefix(name, "the top.")); where != "" {
			return where
		}
	}
	return ""
}

package draft

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Op is one change of a draft as the API takes it.
type Op struct {
	Op    string          `json:"op" enum:"set,insert,delete,move,rename,note,paste"`
	Path  string          `json:"path" maxLength:"2000" doc:"What is changed, such as steps.notify.with.channel. insert and paste: the list, such as steps or steps.fan.paths[0].steps."`
	Value json.RawMessage `json:"value,omitempty" doc:"set, insert: the new value. Fields are written in this order."`
	At    *int            `json:"at,omitempty" minimum:"0" doc:"insert, paste: before which entry; the end if left out. move: the place in the list, counted without the entry."`
	To    string          `json:"to,omitempty" maxLength:"2000" doc:"move: the list that it goes to; its own if left out."`
	Name  string          `json:"name,omitempty" maxLength:"200" doc:"rename: the new id of the step or trigger, or the new key of the field. Everything that refers to it follows."`
	Text  string          `json:"text,omitempty" maxLength:"262144" doc:"note: the comment above the entry; empty removes it. paste: YAML of one or more steps. insert: YAML in the place of value."`
}

// Codes of labels.
const (
	codeSet    = "edit.set"
	codeText   = "edit.text"
	codeInsert = "edit.insert"
	codeDelete = "edit.delete"
	codeMove   = "edit.move"
	codeRename = "edit.rename"
	codeNote   = "edit.note"
	codePaste  = "edit.paste"
)

// TextLabel names an edit of the text as a whole.
var TextLabel = Label{Code: codeText, Text: "Edit the text"}

// Apply makes the ops on a text, all or none, and names the edit. The error is an *workflow.EditError, or Problems
// when the text cannot be read.
func Apply(text string, ops []Op) (out string, label Label, renames []Rename, err error) {
	src := []byte(text)
	for i, op := range ops {
		outline, err := workflow.ReadOutline(src)
		if err != nil {
			return text, label, nil, err
		}
		own := op.label(outline)
		edit, renamed, err := op.edit(outline)
		if err == nil {
			src, err = workflow.Edit(src, edit)
		}
		if err != nil {
			if e, ok := err.(*workflow.EditError); ok { //nolint:errorlint // Edit returns it as it is
				e.Op, e.What = i, op.Op+" "+op.Path
			} else if workflow.AsProblems(err) == nil {
				err = &workflow.EditError{Op: i, What: op.Op + " " + op.Path, Message: err.Error()}
			}
			return text, label, nil, err
		}
		renames = append(renames, renamed...)
		if i == 0 {
			label = own
		}
	}
	if len(ops) > 1 {
		label.Code, label.Params, label.Text = "edit.several", map[string]any{"first": label.Text, "more": len(ops) - 1}, fmt.Sprintf("%s and %d more", label.Text, len(ops)-1)
	}
	return string(src), label, renames, nil
}

// edit is the op as the language knows it.
func (o *Op) edit(outline *workflow.Outline) (workflow.Op, []Rename, error) {
	path := workflow.Path(o.Path)
	switch o.Op {
	case "set":
		if len(o.Value) == 0 {
			return nil, nil, fmt.Errorf("it has no value; delete removes a field")
		}
		return workflow.Put{Path: path, Value: workflow.JSON(o.Value)}, nil, nil
	case "insert":
		at, err := o.at(outline, path)
		var val any = workflow.JSON(o.Value)
		if o.Text != "" {
			val = workflow.Text(o.Text)
		} else if len(o.Value) == 0 {
			err = fmt.Errorf("it has neither value nor text")
		}
		return workflow.Insert{Path: path, At: at, Value: val}, nil, err
	case "delete":
		return workflow.Delete{Path: path}, nil, nil
	case "note":
		return workflow.Note{Path: path, Text: o.Text}, nil, nil
	case "move":
		if o.At == nil {
			return nil, nil, fmt.Errorf("at is missing: the place in the list")
		}
		to := o.To
		if to == "" {
			list := listOf(outline, path)
			if list == "" {
				return nil, nil, fmt.Errorf("there is no entry %s; name the list in to", path)
			}
			to = string(list)
		}
		return workflow.Move{From: path, To: workflow.Path(fmt.Sprintf("%s[%d]", to, *o.At))}, nil, nil
	case "paste":
		at, err := o.at(outline, path)
		return workflow.Paste{Path: path, At: at, Text: o.Text}, nil, err
	case "rename":
		return o.rename(outline, path)
	}
	return nil, nil, fmt.Errorf("the op %q is none of set, insert, delete, move, rename, note and paste", o.Op)
}

func (o *Op) rename(outline *workflow.Outline, path workflow.Path) (workflow.Op, []Rename, error) {
	e, list := find(outline, path)
	switch {
	case e == nil:
		return workflow.RenameField{Path: path, New: o.Name}, nil, nil
	case list == "triggers":
		old := e.ID
		if old == "" {
			old = e.Kind // the default
		}
		return workflow.RenameTrigger{Old: old, New: o.Name}, []Rename{{Trigger: true, Old: old, New: o.Name}}, nil
	case e.ID == "": // nothing refers to it yet
		return workflow.Put{Path: path + ".id", Value: o.Name}, nil, nil
	}
	return workflow.RenameStep{Old: e.ID, New: o.Name}, []Rename{{Old: e.ID, New: o.Name}}, nil
}

// at is where an insert goes: At, or the end of the list.
func (o *Op) at(outline *workflow.Outline, list workflow.Path) (int, error) {
	if o.At != nil {
		return *o.At, nil
	}
	if entries := entriesOf(outline, list); entries != nil {
		return len(*entries), nil
	}
	return 0, nil
}

// find returns the entry at a path, and the list that it is in.
func find(outline *workflow.Outline, path workflow.Path) (found *workflow.OutlineEntry, in workflow.Path) {
	outline.Each(func(e *workflow.OutlineEntry, list workflow.Path, i int) bool {
		if e.Path == path || list+workflow.Path(fmt.Sprintf("[%d]", i)) == path {
			found, in = e, list
		}
		return found == nil
	})
	return found, in
}

func listOf(outline *workflow.Outline, path workflow.Path) workflow.Path {
	_, list := find(outline, path)
	return list
}

// entriesOf is the list of triggers or steps at a path; nil: there is none.
func entriesOf(outline *workflow.Outline, list workflow.Path) (found *[]*workflow.OutlineEntry) {
	switch list {
	case "triggers":
		return &outline.Triggers
	case "steps":
		return &outline.Steps
	case "on_failure":
		return &outline.OnFailure
	}
	outline.Each(func(e *workflow.OutlineEntry, _ workflow.Path, _ int) bool {
		for i := range e.Lists {
			if e.Lists[i].Path == list {
				found = &e.Lists[i].Steps
			}
		}
		return found == nil
	})
	return found
}

// label names the edit in the text as it is before.
func (o *Op) label(outline *workflow.Outline) Label {
	what, field := describe(outline, o.Path)
	params := map[string]any{"what": what}
	text := ""
	switch o.Op {
	case "set":
		params["path"] = o.Path
		if field != "" {
			params["field"] = field
			text = "Change " + field + " of " + what
		} else {
			text = "Change " + what
		}
	case "insert":
		what = "an entry"
		var step map[string]json.RawMessage
		if json.Unmarshal(o.Value, &step) == nil {
			what = workflow.KindTitle(kindOfKeys(step))
		}
		params["what"] = what
		text = "Add " + what
	case "delete":
		text = "Delete " + what
		if field != "" {
			params["field"] = field
			text = "Delete " + field + " of " + what
		}
	case "move":
		text = "Move " + what
	case "rename":
		params["name"] = o.Name
		text = "Rename " + what + " to " + o.Name
	case "note":
		text = "Change the note on " + what
	case "paste":
		text = "Paste steps"
	}
	return Label{Code: "edit." + o.Op, Params: params, Text: text}
}

// describe names what a path leads to: the entry, and the field inside it.
func describe(outline *workflow.Outline, path string) (what, field string) {
	var best *workflow.OutlineEntry
	longest := -1
	outline.Each(func(e *workflow.OutlineEntry, list workflow.Path, i int) bool {
		for _, own := range []string{string(e.Path), fmt.Sprintf("%s[%d]", list, i)} {
			if rest, ok := strings.CutPrefix(path, own); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') && len(own) > longest {
				best, longest = e, len(own)
			}
		}
		return true
	})
	if best == nil {
		return strings.ReplaceAll(path, "_", " "), ""
	}
	if rest := strings.TrimPrefix(path[longest:], "."); rest != "" {
		field = strings.ReplaceAll(rest[strings.LastIndexAny(rest, ".]")+1:], "_", " ")
		if field == "" {
			field = rest
		}
	}
	return best.Title(), field
}

// kindOfKeys is the kind that a step with these keys has.
func kindOfKeys(step map[string]json.RawMessage) string {
	if use := bytes.Trim(step["use"], `"`); len(use) > 0 {
		return "use"
	}
	for key := range step {
		if workflow.KindTitle(key) != workflow.KindTitle("") {
			return key
		}
	}
	return ""
}

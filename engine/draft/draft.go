// Package draft keeps texts of workflow files that people are changing: each with its revisions, which can be undone,
// with sample events to try it on, and with what a form needs to show it. A draft lives with the server's data and
// runs nothing until it is published.
package draft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Draft is one text that is being changed. It is a value: its methods change the copy that they are called on, and
// Store.Save makes that the draft.
type Draft struct {
	ID        string    `json:"id"`     // of the workflow that it is or becomes
	Number    int       `json:"number"` // of the revision; grows with every change, undo included
	Text      string    `json:"text"`
	Base      string    `json:"base"` // the text of the file that it was made from or published as
	Published bool      `json:"published"`
	Edits     []Edit    `json:"edits"` // those applied, then those undone
	Applied   int       `json:"applied"`
	Changed   time.Time `json:"changed"`
	By        string    `json:"by"`

	stored uint64 // revision of the stored value; 0: it is not stored
}

// Edit is one step of the history: the bytes that it replaced and by what.
type Edit struct {
	At      int       `json:"at"`
	Old     string    `json:"old"`
	New     string    `json:"new"`
	Label   Label     `json:"label"`
	When    time.Time `json:"when"`
	By      string    `json:"by"`
	Renames []Rename  `json:"renames,omitempty"`
}

// Rename is a new id that the workflow's tests must follow.
type Rename struct {
	Trigger bool   `json:"trigger,omitempty"` // else a step
	Old     string `json:"old"`
	New     string `json:"new"`
}

// Label names an edit: a code and its parameters for translation, and English.
type Label struct {
	Code   string         `json:"code" example:"edit.delete"`
	Params map[string]any `json:"params,omitempty"`
	Text   string         `json:"text" example:"Delete Filter"`
}

// Bounds.
const (
	maxEdits    = 300
	maxHistory  = 1 << 20 // bytes of all edits
	maxDrafts   = 2000
	mergeWithin = 2 * time.Second // typing: edits of the same thing that follow each other this fast are one
)

// ErrNone says that there is no such draft.
var ErrNone = errors.New("there is no such draft")

// New is a draft of a file that was not changed yet; a nil file: of a workflow that has none.
func New(id string, file []byte) *Draft {
	return &Draft{ID: id, Text: string(file), Base: string(file), Published: file != nil}
}

// Rev names this revision: it changes with the text, and with the file while nothing was changed here.
func (d *Draft) Rev() string { return strconv.Itoa(d.Number) + "-" + engine.VersionOf([]byte(d.Text)) }

// Stored reports whether the draft is kept; else it is just the file.
func (d *Draft) Stored() bool { return d.stored != 0 }

// Dirty reports whether the draft says something else than the file that it was made from.
func (d *Draft) Dirty() bool { return !d.Published || d.Text != d.Base }

// Change makes text the draft's text, as one edit of the history. What was undone is gone.
func (d *Draft) Change(text string, label Label, by string, when time.Time, renames ...Rename) {
	if text == d.Text {
		return
	}
	e := splice(d.Text, text)
	e.Label, e.By, e.When, e.Renames = label, by, when, renames
	d.Edits = d.Edits[:d.Applied:d.Applied]
	if n := len(d.Edits); n > 0 && merges(&d.Edits[n-1], &e) {
		before := d.Edits[n-1].revert(d.Text)
		merged := splice(before, text)
		merged.Label, merged.By, merged.When = label, by, when
		d.Edits[n-1] = merged
		if merged.Old == merged.New {
			d.Edits = d.Edits[:n-1]
		}
	} else {
		d.Edits = append(d.Edits, e)
	}
	size := 0
	for i, e := range slices.Backward(d.Edits) {
		if size += len(e.Old) + len(e.New); i < len(d.Edits)-1 && (size > maxHistory || len(d.Edits)-i > maxEdits) {
			d.Edits = slices.Clone(d.Edits[i+1:])
			break
		}
	}
	d.Applied = len(d.Edits)
	d.set(text, by, when)
}

func (d *Draft) set(text, by string, when time.Time) {
	d.Text, d.By, d.Changed = text, by, when
	d.Number++
}

// merges reports whether a second edit goes on with what the first one did.
func merges(a, b *Edit) bool {
	return (a.Label.Code == codeSet || a.Label.Code == codeText) && a.Label.Code == b.Label.Code && a.By == b.By &&
		maps.Equal(a.Label.Params, b.Label.Params) && b.When.Sub(a.When) < mergeWithin && len(a.Renames) == 0 && len(b.Renames) == 0
}

// splice is the edit that makes b of a.
func splice(a, b string) Edit {
	from := 0
	for from < len(a) && from < len(b) && a[from] == b[from] {
		from++
	}
	for from > 0 && (from < len(a) && !utf8.RuneStart(a[from]) || from < len(b) && !utf8.RuneStart(b[from])) {
		from-- // the store keeps whole characters only
	}
	endA, endB := len(a), len(b)
	for endA > from && endB > from && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
	}
	for endA < len(a) && !utf8.RuneStart(a[endA]) {
		endA, endB = endA+1, endB+1
	}
	return Edit{At: from, Old: a[from:endA], New: b[from:endB]}
}

func (e *Edit) apply(text string) string  { return text[:e.At] + e.New + text[e.At+len(e.Old):] }
func (e *Edit) revert(text string) string { return text[:e.At] + e.Old + text[e.At+len(e.New):] }

// Undoable is the edit that Undo would take back, or nil.
func (d *Draft) Undoable() *Edit {
	if d.Applied == 0 {
		return nil
	}
	return &d.Edits[d.Applied-1]
}

// Redoable is the edit that Redo would make again, or nil.
func (d *Draft) Redoable() *Edit {
	if d.Applied == len(d.Edits) {
		return nil
	}
	return &d.Edits[d.Applied]
}

// Undo takes the last edit back; false: there is none.
func (d *Draft) Undo(by string, when time.Time) bool {
	e := d.Undoable()
	if e == nil {
		return false
	}
	d.Applied--
	d.set(e.revert(d.Text), by, when)
	return true
}

// Redo makes the last undone edit again; false: there is none.
func (d *Draft) Redo(by string, when time.Time) bool {
	e := d.Redoable()
	if e == nil {
		return false
	}
	d.Applied++
	d.set(e.apply(d.Text), by, when)
	return true
}

// Before calls f with the earlier texts of the draft, newest first, at most n of them, until f returns false.
func (d *Draft) Before(n int, f func(text string) bool) {
	text := d.Text
	for i := d.Applied - 1; i >= 0 && d.Applied-i <= n; i-- {
		text = d.Edits[i].revert(text)
		if !f(text) {
			return
		}
	}
}

// Renames are the new ids since the file was read or published, one after another.
func (d *Draft) Renames() []Rename {
	text, from := d.Text, d.Applied
	for from > 0 && text != d.Base {
		from--
		text = d.Edits[from].revert(text)
	}
	var list []Rename
	for _, e := range d.Edits[from:d.Applied] {
		list = append(list, e.Renames...)
	}
	return list
}

// Follow makes the file's present text the draft's where nothing was changed here; it reports whether the draft and
// the file say different things that somebody must bring together. A nil file: there is none any more.
func (d *Draft) Follow(file []byte) (conflict bool) {
	text := string(file)
	switch {
	case d.Published == (file != nil) && text == d.Base:
		return false
	case file != nil && (text == d.Text || d.Published && d.Text == d.Base):
		if text != d.Text {
			e := splice(d.Text, text)
			e.Label, e.When = Label{Code: "edit.disk", Text: "Change on disk"}, time.Now().UTC()
			d.Edits = append(d.Edits[:d.Applied:d.Applied], e)
			d.Applied, d.Text = len(d.Edits), text
		}
		d.Base, d.Published = text, true
		return false
	}
	return true
}

// Rebase makes the file's present text what the draft is compared with. A nil file: there is none.
func (d *Draft) Rebase(file []byte) { d.Base, d.Published = string(file), file != nil }

// Store keeps drafts. It is safe for concurrent use.
type Store struct{ KV engine.KV }

const (
	draftPrefix  = "draft/"
	samplePrefix = "draft-sample/"
	resultPrefix = "draft-result/"
)

// Read returns a stored draft, or ErrNone.
func (s Store) Read(ctx context.Context, id string) (*Draft, error) {
	val, rev, err := s.KV.Get(ctx, draftPrefix+id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fmt.Errorf("draft %s: %w", id, ErrNone)
	} else if err != nil {
		return nil, fmt.Errorf("draft %s: %w", id, err)
	}
	return decode(val, rev)
}

func decode(val []byte, rev uint64) (*Draft, error) {
	d := &Draft{}
	if err := json.Unmarshal(val, d); err != nil {
		return nil, fmt.Errorf("%w: a draft: %w", engine.ErrDamaged, err)
	}
	d.stored = rev
	return d, nil
}

// Save stores the draft unless somebody else has in the meantime: then it is engine.ErrConflict.
func (s Store) Save(ctx context.Context, d *Draft) error {
	val, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("save draft %s: %w", d.ID, err)
	}
	rev, err := s.KV.Put(ctx, draftPrefix+d.ID, val, d.stored, 0)
	if err != nil {
		return fmt.Errorf("save draft %s: %w", d.ID, err)
	}
	d.stored = rev
	return nil
}

// Delete removes a draft with its samples and results.
func (s Store) Delete(ctx context.Context, d *Draft) error {
	if d.Stored() {
		if err := s.KV.Delete(ctx, draftPrefix+d.ID, d.stored); err != nil {
			return fmt.Errorf("delete draft %s: %w", d.ID, err)
		}
	}
	for _, prefix := range []string{samplePrefix + d.ID + "\x00", resultPrefix + d.ID + "\x00"} {
		entries, err := s.KV.List(ctx, prefix, "", 1000)
		if err != nil {
			return fmt.Errorf("delete draft %s: %w", d.ID, err)
		}
		for _, e := range entries {
			if err := s.KV.Delete(ctx, e.Key, e.Rev); err != nil && !errors.Is(err, engine.ErrNotFound) && !errors.Is(err, engine.ErrConflict) {
				return fmt.Errorf("delete draft %s: %w", d.ID, err)
			}
		}
	}
	return nil
}

// List returns all stored drafts by id.
func (s Store) List(ctx context.Context) ([]*Draft, error) {
	entries, err := s.KV.List(ctx, draftPrefix, "", maxDrafts)
	if err != nil {
		return nil, fmt.Errorf("list drafts: %w", err)
	}
	list := make([]*Draft, 0, len(entries))
	for _, e := range entries {
		d, err := decode(e.Value, e.Rev)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// Full reports whether no more drafts can be made.
func (s Store) Full(ctx context.Context) (bool, error) {
	entries, err := s.KV.List(ctx, draftPrefix, "", maxDrafts)
	return len(entries) >= maxDrafts, err
}

// FreeID makes an id of a name that no draft and, by taken, no workflow has.
func (s Store) FreeID(ctx context.Context, name string, taken func(id string) bool) (string, error) {
	base := idOf(name)
	for n := 1; ; n++ {
		id := base
		if n > 1 {
			id += "-" + strconv.Itoa(n)
		}
		if taken(id) {
			continue
		}
		switch _, _, err := s.KV.Get(ctx, draftPrefix+id); {
		case errors.Is(err, engine.ErrNotFound):
			return id, nil
		case err != nil:
			return "", err
		}
	}
}

// idOf makes a workflow id of a name for people.
func idOf(name string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == 50 {
			break
		}
	}
	if id := strings.Trim(b.String(), "-"); workflow.CheckID(id) == nil {
		return id
	}
	return "workflow"
}

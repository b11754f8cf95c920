package draft_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/draft"
)

func open(t *testing.T) draft.Store {
	t.Helper()
	store, err := bolt.Open(t.TempDir(), bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return draft.Store{KV: store.KV()}
}

// TestHistory makes random edits, undoes and redoes them: every text comes back, also from the store.
func TestHistory(t *testing.T) {
	ctx, store := context.Background(), open(t)
	random := rand.New(rand.NewPCG(1, 9))
	d := draft.New("a", []byte("begin\n"))
	texts := []string{d.Text}
	now := time.Now()
	for i := range 100 {
		runes := []rune(d.Text)
		at := random.IntN(len(runes) + 1)
		end := at + random.IntN(len(runes)-at+1)
		text := string(runes[:at]) + fmt.Sprintf("%c%d\n", 'à'+rune(i%9), i) + string(runes[end:])
		now = now.Add(time.Minute)
		d.Change(text, draft.TextLabel, "ana", now)
		texts = append(texts, text)
		if i%20 == 0 {
			if err := store.Save(ctx, d); err != nil {
				t.Fatal(err)
			}
			var err error
			if d, err = store.Read(ctx, "a"); err != nil {
				t.Fatal(err)
			}
		}
	}
	rev := d.Rev()
	for i := len(texts) - 2; i >= 0; i-- {
		if !d.Undo("ana", now) || d.Text != texts[i] {
			t.Fatalf("undo to %d: %q, want %q", i, d.Text, texts[i])
		}
	}
	if d.Undo("ana", now) || d.Dirty() {
		t.Error("more was undone than was done")
	}
	for i := 1; i < len(texts); i++ {
		if !d.Redo("ana", now) || d.Text != texts[i] {
			t.Fatalf("redo to %d: %q, want %q", i, d.Text, texts[i])
		}
	}
	if d.Redo("ana", now) || d.Rev() == rev {
		t.Error("the revision did not grow")
	}
	d.Undo("ana", now)
	d.Change("other", draft.TextLabel, "ana", now.Add(time.Hour))
	if d.Redoable() != nil {
		t.Error("what was undone can be redone after a new edit")
	}
}

// TestTyping: edits of the same field right after each other are one step back.
func TestTyping(t *testing.T) {
	d := draft.New("a", []byte("name: x\n"))
	label := draft.Label{Code: "edit.set", Params: map[string]any{"path": "name"}, Text: "Change name"}
	now := time.Now()
	for i := range 5 {
		d.Change("name: "+strings.Repeat("y", i+1)+"\n", label, "ana", now.Add(time.Duration(i)*300*time.Millisecond))
	}
	d.Change("name: late\n", label, "ana", now.Add(time.Minute))
	d.Undo("ana", now)
	if d.Text != "name: yyyyy\n" {
		t.Errorf("one back: %q", d.Text)
	}
	d.Undo("ana", now)
	if d.Text != "name: x\n" || d.Undoable() != nil {
		t.Errorf("two back: %q", d.Text)
	}
	d.Change("name: a\n", label, "ana", now)
	d.Change("name: x\n", label, "ana", now)
	if d.Undoable() != nil || d.Text != "name: x\n" {
		t.Errorf("typed and taken back: %+v", d.Undoable())
	}
}

// TestBounds: the history drops its oldest edits and stays right.
func TestBounds(t *testing.T) {
	d := draft.New("a", []byte("x"))
	now := time.Now()
	for i := range 400 {
		now = now.Add(time.Minute)
		d.Change(fmt.Sprint(i), draft.TextLabel, "", now)
	}
	n := 0
	for d.Undo("", now) {
		n++
	}
	if n != 300 || d.Text != "99" {
		t.Errorf("%d undone to %q", n, d.Text)
	}
	for i := range 20 {
		now = now.Add(time.Minute)
		d.Change(strings.Repeat(fmt.Sprint(i%10), 200<<10), draft.TextLabel, "", now)
	}
	if n := len(d.Edits); n > 4 {
		t.Errorf("%d large edits are kept", n)
	}
}

// TestSaveConflict: of two who changed the same draft, the second to save is told.
func TestSaveConflict(t *testing.T) {
	ctx, store := context.Background(), open(t)
	if _, err := store.Read(ctx, "a"); !errors.Is(err, draft.ErrNone) {
		t.Fatal(err)
	}
	d := draft.New("a", nil)
	if err := store.Save(ctx, d); err != nil {
		t.Fatal(err)
	}
	one, err := store.Read(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	two, err := store.Read(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	one.Change("1", draft.TextLabel, "", time.Now())
	two.Change("2", draft.TextLabel, "", time.Now())
	if err := store.Save(ctx, one); err != nil {
		t.Fatal(err)
	}
	if err := store.Save(ctx, two); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("the second: %v", err)
	}
}

// TestRenames are those since the file was read, undone ones left out.
func TestRenames(t *testing.T) {
	d := draft.New("a", []byte("0"))
	now := time.Now()
	d.Change("1", draft.Label{Code: "x"}, "", now, draft.Rename{Old: "a", New: "b"})
	d.Change("2", draft.Label{Code: "y"}, "", now)
	d.Change("3", draft.Label{Code: "z"}, "", now, draft.Rename{Old: "b", New: "c"})
	if got := fmt.Sprint(d.Renames()); got != "[{false a b} {false b c}]" {
		t.Errorf("all: %s", got)
	}
	d.Undo("", now)
	if got := fmt.Sprint(d.Renames()); got != "[{false a b}]" {
		t.Errorf("one undone: %s", got)
	}
	d.Rebase([]byte("2"))
	if got := d.Renames(); len(got) != 0 {
		t.Errorf("published: %v", got)
	}
}

// TestApply makes the ops of the API on a text.
func TestApply(t *testing.T) {
	const src = "triggers:\n  - webhook: {}\nsteps:\n  - id: a\n    set: {x: 1}\n  - id: b\n    set: {y: \"${{ steps.a.x }}\"}\n"
	at := func(i int) *int { return &i }
	for _, test := range []struct {
		ops        []draft.Op
		old, new   string
		label, err string
	}{
		{[]draft.Op{{Op: "set", Path: "steps.a.set.x", Value: []byte(`"#b"`)}}, "{x: 1}", `{x: "#b"}`, "Change x of Prepare data", ""},
		{[]draft.Op{{Op: "rename", Path: "steps.a", Name: "c"}}, "", "", "Rename Prepare data to c", ""},
		{[]draft.Op{{Op: "rename", Path: "steps.a.set.x", Name: "z"}}, "", "", "Rename Prepare data to z", ""},
		{[]draft.Op{{Op: "rename", Path: "triggers[0]", Name: "shop"}}, "- webhook: {}", "- id: shop\n    webhook: {}", "Rename Webhook to shop", ""},
		{[]draft.Op{{Op: "move", Path: "steps.b", At: at(0)}}, "", "", "Move Prepare data", ""},
		{[]draft.Op{{Op: "paste", Path: "steps", Text: "- stop: {}"}}, "", "", "Paste steps", ""},
		{[]draft.Op{{Op: "insert", Path: "steps.a.on_error", Value: []byte(`{"stop": {}}`)}}, "", "", "Add Stop here", ""},
		{[]draft.Op{{Op: "delete", Path: "steps.a.set"}, {Op: "delete", Path: "steps.none"}}, "", "", "", `ops[1]`},
		{[]draft.Op{{Op: "set", Path: "steps.a.set.x"}}, "", "", "", "no value"},
		{[]draft.Op{{Op: "swap", Path: "steps"}}, "", "", "", "none of set"},
		{[]draft.Op{{Op: "move", Path: "steps.b"}}, "", "", "", "at is missing"},
		{[]draft.Op{{Op: "insert", Path: "steps"}}, "", "", "", "neither value nor text"},
	} {
		out, label, _, err := draft.Apply(src, test.ops)
		if test.err != "" {
			if err == nil || out != src {
				t.Errorf("%+v: %v", test.ops, err)
			}
			continue
		}
		if err != nil || label.Text != test.label || test.old != "" && out != strings.Replace(src, test.old, test.new, 1) {
			t.Errorf("%+v: %q, %v\n%s", test.ops, label.Text, err, out)
		}
	}
	out, _, renames, err := draft.Apply(src, []draft.Op{{Op: "rename", Path: "steps.a", Name: "c"}})
	if err != nil || strings.Contains(out, "steps.a") || len(renames) != 1 || renames[0] != (draft.Rename{Old: "a", New: "c"}) {
		t.Errorf("%v %v\n%s", renames, err, out)
	}
}

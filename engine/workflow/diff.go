package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

// Change is one difference between two texts of a workflow, in words.
type Change struct {
	Code   string         `json:"code" example:"step.added" doc:"What kind of change it is, for translation."`
	Params map[string]any `json:"params" doc:"What the sentence is made of."`
	Text   string         `json:"text" example:"Added step 3: Send channel message" doc:"The sentence in English."`
	Path   Path           `json:"path" doc:"Where: in the new text, or in the old one for what was deleted."`
}

// Changes are the differences between two texts, in the order of the file.
type Changes []Change

// maxChanges bounds what is said; past that a person reads the lines.
const maxChanges = 200

// Diff says in words what makes after of before. Steps are known again by their ids, by what they do, and by their
// places, so that renames and moves are seen as such.
func Diff(before, after []byte) Changes {
	if bytes.Equal(before, after) {
		return Changes{}
	}
	d := &comparison{}
	a, errA := ReadOutline(before)
	b, errB := ReadOutline(after)
	if errA != nil || errB != nil {
		return Changes{{Code: "text.changed", Params: map[string]any{}, Text: "Changed the text"}}
	}
	d.match(a, b)
	if text, renamed := d.followRenames(before); renamed != nil {
		if again, err := ReadOutline(text); err == nil {
			a = again
			d.pairs, d.taken = nil, nil
			d.match(a, b)
			d.renamed = renamed
		}
	}
	d.settings(a.Fields, b.Fields)
	d.entries(a, b)
	if len(d.list) == 0 {
		d.add("text.layout", "", map[string]any{}, "Changed comments or layout")
	}
	return d.list
}

// comparison compares two outlines.
type comparison struct {
	list    Changes
	pairs   map[*OutlineEntry]*OutlineEntry // new -> old
	taken   map[*OutlineEntry]*OutlineEntry // old -> new
	renamed map[string]string               // new id -> old id
}

func (d *comparison) add(code string, path Path, params map[string]any, format string, args ...any) {
	if len(d.list) >= maxChanges {
		return
	}
	d.list = append(d.list, Change{Code: code, Params: params, Text: fmt.Sprintf(format, args...), Path: path})
}

// node is an entry with where it is.
type outlineNode struct {
	*OutlineEntry
	list   Path
	index  int
	number int // of a step, from 1; 0: a trigger
	parent *OutlineEntry
	role   string // of the list
}

// nodes are all entries in the order of the file.
func (o *Outline) nodes() []*outlineNode {
	var all []*outlineNode
	number := 0
	var walk func(entries []*OutlineEntry, list Path, parent *OutlineEntry, role string, counted bool)
	walk = func(entries []*OutlineEntry, list Path, parent *OutlineEntry, role string, counted bool) {
		for i, e := range entries {
			n := &outlineNode{OutlineEntry: e, list: list, index: i, parent: parent, role: role}
			if counted {
				number++
				n.number = number
			}
			all = append(all, n)
			for _, l := range e.Lists {
				walk(l.Steps, l.Path, e, l.Role, counted)
			}
		}
	}
	walk(o.Triggers, "triggers", nil, "triggers", false)
	walk(o.Steps, "steps", nil, "steps", true)
	walk(o.OnFailure, "on_failure", nil, "on_failure", true)
	return all
}

// match finds which new entry is which old one.
func (d *comparison) match(a, b *Outline) {
	d.pairs, d.taken = map[*OutlineEntry]*OutlineEntry{}, map[*OutlineEntry]*OutlineEntry{}
	olds, news := a.nodes(), b.nodes()
	pair := func(same func(o, n *outlineNode) bool) {
		for _, n := range news {
			if d.pairs[n.OutlineEntry] != nil {
				continue
			}
			for _, o := range olds {
				if d.taken[o.OutlineEntry] == nil && (o.number == 0) == (n.number == 0) && same(o, n) {
					d.pairs[n.OutlineEntry], d.taken[o.OutlineEntry] = o.OutlineEntry, n.OutlineEntry
					break
				}
			}
		}
	}
	contents := map[*OutlineEntry]string{}
	for _, n := range append(olds[:len(olds):len(olds)], news...) {
		contents[n.OutlineEntry] = n.Content()
	}
	pair(func(o, n *outlineNode) bool { return o.ID != "" && o.ID == n.ID && o.Kind == n.Kind })
	pair(func(o, n *outlineNode) bool {
		return contents[o.OutlineEntry] == contents[n.OutlineEntry] && o.list == n.list && o.index == n.index
	})
	pair(func(o, n *outlineNode) bool {
		return contents[o.OutlineEntry] == contents[n.OutlineEntry] && o.list == n.list
	})
	pair(func(o, n *outlineNode) bool { return contents[o.OutlineEntry] == contents[n.OutlineEntry] })
	pair(func(o, n *outlineNode) bool { return o.ID != "" && o.ID == n.ID })
	// Of what is left, the same kind of step after the same neighbor is the same step, changed.
	before := func(list []*outlineNode, n *outlineNode) *OutlineEntry {
		for _, other := range list {
			if other.list == n.list && other.index == n.index-1 && other.parent == n.parent {
				return other.OutlineEntry
			}
		}
		return nil
	}
	pair(func(o, n *outlineNode) bool {
		if o.Kind != n.Kind || o.role != n.role || d.pairs[n.parent] != o.parent || o.Kind == "use" && o.TextOf("use") != n.TextOf("use") {
			return false
		}
		p, q := before(olds, o), before(news, n)
		return p == nil && q == nil || q != nil && d.pairs[q] == p
	})
}

// Content is all that an entry says itself: not its id, nor the steps inside it.
func (e *OutlineEntry) Content() string {
	var b strings.Builder
	for _, f := range e.Fields {
		if f.Key != "id" && !e.isList(&f) {
			b.WriteString(f.Key + "\x00" + string(f.Value) + "\x00")
		}
	}
	for _, l := range e.Lists {
		b.WriteString(l.Role)
		for _, f := range l.Fields {
			b.WriteString(f.Key + "\x00" + string(f.Value) + "\x00")
		}
	}
	return b.String()
}

// isList reports whether a field is a list of steps, or of parts with steps.
func (e *OutlineEntry) isList(f *OutlineField) bool {
	return slices.Contains(nests, f.Key) && len(f.Value) > 0 && f.Value[0] == '['
}

// TextOf is the value of a field that is a text; else it is empty.
func (e *OutlineEntry) TextOf(key string) string {
	var text string
	if f := e.field(key); f != nil {
		_ = json.Unmarshal(f.Value, &text) // another value is no text
	}
	return text
}

func (e *OutlineEntry) field(key string) *OutlineField {
	for i := range e.Fields {
		if e.Fields[i].Key == key {
			return &e.Fields[i]
		}
	}
	return nil
}

// followRenames renames steps in the old text as they are in the new one, so that what refers to them does not count
// as changed; nil when no id is new.
func (d *comparison) followRenames(before []byte) ([]byte, map[string]string) {
	renamed := map[string]string{}
	for n, o := range d.pairs {
		if n.ID != "" && o.ID != "" && n.ID != o.ID && !strings.HasPrefix(string(o.Path), "triggers") {
			renamed[n.ID] = o.ID
		}
	}
	if len(renamed) == 0 {
		return nil, nil
	}
	text := before
	for _, id := range slices.Sorted(maps.Keys(renamed)) {
		out, err := Edit(text, RenameStep{Old: renamed[id], New: id})
		if err != nil {
			delete(renamed, id) // such as two that swapped their ids: said as they stand
			continue
		}
		text = out
	}
	if len(renamed) == 0 {
		return nil, nil
	}
	return text, renamed
}

// settings compares the keys of the workflow itself.
func (d *comparison) settings(a, b []OutlineField) {
	d.fields(a, b, "", func(key string) string {
		if key == "name" {
			return "the name"
		}
		return strings.ReplaceAll(key, "_", " ")
	}, "workflow", nil)
}

// fields compares two lists of keys. name names a key; code begins the codes of the changes.
func (d *comparison) fields(a, b []OutlineField, of string, name func(key string) string, code string, params map[string]any) {
	with := func(more map[string]any) map[string]any {
		all := maps.Clone(params)
		if all == nil {
			all = map[string]any{}
		}
		maps.Copy(all, more)
		return all
	}
	old := map[string]*OutlineField{}
	for i := range a {
		old[a[i].Key] = &a[i]
	}
	for i := range b {
		f := &b[i]
		o := old[f.Key]
		delete(old, f.Key)
		switch {
		case o == nil && f.Key == "enabled" || o != nil && f.Key == "enabled" && !bytes.Equal(o.Value, f.Value):
			on := string(f.Value) != "false"
			d.add(code+".enabled", f.Path, with(map[string]any{"enabled": on}), "Turned the workflow %s", map[bool]string{true: "on", false: "off"}[on])
		case o == nil:
			d.add(code+".set", f.Path, with(map[string]any{"field": f.Key, "value": f.Value}), "Set %s%s to %s", name(f.Key), of, shown(f.Value))
		case !bytes.Equal(o.Value, f.Value):
			d.add(code+".changed", f.Path, with(map[string]any{"field": f.Key, "value": f.Value, "was": o.Value}),
				"Changed %s%s to %s (was %s)", name(f.Key), of, shown(f.Value), shown(o.Value))
		}
	}
	for i := range a {
		if f := &a[i]; old[f.Key] == f {
			d.add(code+".removed", f.Path, with(map[string]any{"field": f.Key, "was": f.Value}), "Removed %s%s (was %s)", name(f.Key), of, shown(f.Value))
		}
	}
}

// shown is a value as a sentence shows it.
func shown(v json.RawMessage) string {
	const most = 60
	text := string(v)
	var s string
	if json.Unmarshal(v, &s) == nil {
		text = s
		if text == "" {
			return "nothing"
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}

// entries compares triggers and steps.
func (d *comparison) entries(a, b *Outline) {
	olds, news := a.nodes(), b.nodes()
	was := map[*OutlineEntry]*outlineNode{}
	for _, o := range olds {
		was[o.OutlineEntry] = o
	}
	moved := d.moved(olds, news)
	for _, n := range news {
		o := d.pairs[n.OutlineEntry]
		if o == nil {
			if n.parent == nil || d.pairs[n.parent] != nil { // else it came with what is around it
				d.added(n)
			}
			continue
		}
		d.compare(was[o], n, moved[n.OutlineEntry])
	}
	for _, o := range olds {
		if d.taken[o.OutlineEntry] == nil && (o.parent == nil || d.taken[o.parent] != nil) {
			inside := 0
			for _, l := range o.Lists {
				inside += len(l.Steps)
			}
			params := map[string]any{"number": o.number, "title": o.Title(), "inside": inside}
			if o.number == 0 {
				d.add("trigger.deleted", o.Path, params, "Deleted the trigger: %s", o.Title())
			} else {
				d.add("step.deleted", o.Path, params, "Deleted step %d: %s", o.number, o.Title())
			}
		}
	}
}

func (d *comparison) added(n *outlineNode) {
	params := map[string]any{"number": n.number, "title": n.Title()}
	if n.number == 0 {
		d.add("trigger.added", n.Path, params, "Added a trigger: %s", n.Title())
		return
	}
	d.add("step.added", n.Path, params, "Added step %d: %s", n.number, n.Title())
}

// Title is what people call an entry: its name, else what it does.
func (e *OutlineEntry) Title() string {
	switch {
	case e.TextOf("name") != "":
		return e.TextOf("name")
	case e.Kind == "use" && e.TextOf("use") != "":
		return e.TextOf("use")
	}
	return KindTitle(e.Kind)
}

// moved are the new entries that stand in another order or list than before: as few as explain the order.
func (d *comparison) moved(olds, news []*outlineNode) map[*OutlineEntry]bool {
	out := map[*OutlineEntry]bool{}
	place := map[*OutlineEntry]int{}
	home := map[*OutlineEntry]*outlineNode{}
	for i, o := range olds {
		place[o.OutlineEntry], home[o.OutlineEntry] = i, o
	}
	lists := map[Path][]*outlineNode{}
	var order []Path
	for _, n := range news {
		o := d.pairs[n.OutlineEntry]
		if o == nil {
			continue
		}
		if was := home[o]; was.role != n.role || d.pairs[n.parent] != was.parent || was.role == "path" && listIndex(was.list) != listIndex(n.list) {
			out[n.OutlineEntry] = true
			continue
		}
		if lists[n.list] == nil {
			order = append(order, n.list)
		}
		lists[n.list] = append(lists[n.list], n)
	}
	for _, list := range order {
		entries := lists[list]
		// The longest row of entries that kept their order; all others have moved.
		best, from := make([]int, len(entries)), make([]int, len(entries))
		last := 0
		for i := range entries {
			best[i], from[i] = 1, -1
			for j := range i {
				if place[d.pairs[entries[j].OutlineEntry]] < place[d.pairs[entries[i].OutlineEntry]] && best[j]+1 > best[i] {
					best[i], from[i] = best[j]+1, j
				}
			}
			if best[i] > best[last] {
				last = i
			}
		}
		stays := map[int]bool{}
		for i := last; i >= 0; i = from[i] {
			stays[i] = true
		}
		for i, n := range entries {
			if !stays[i] {
				out[n.OutlineEntry] = true
			}
		}
	}
	return out
}

// listIndex is which path or part a list of steps is of.
func listIndex(list Path) string {
	text := strings.TrimSuffix(string(list), ".steps")
	return text[strings.LastIndexByte(text, '[')+1:]
}

// compare says what became of an entry.
func (d *comparison) compare(o, n *outlineNode, moved bool) {
	what := fmt.Sprintf("step %d", n.number)
	params := map[string]any{"number": n.number, "title": n.Title()}
	code := "step"
	if n.number == 0 {
		what, code = "the trigger "+n.Title(), "trigger"
	}
	if moved {
		p := maps.Clone(params)
		p["from"] = o.number
		d.add(code+".moved", n.Path, p, "Moved %s: %s (was step %d)", what, n.Title(), o.number)
	}
	if old := d.renamed[n.ID]; old != "" && n.number > 0 || n.ID != o.ID && n.number == 0 {
		if old == "" {
			old = o.ID
		}
		p := maps.Clone(params)
		p["id"], p["was"] = n.ID, old
		if n.ID != "" && old != "" {
			d.add(code+".renamed", n.Path, p, "Renamed %s to %s (was %s)", what, n.ID, old)
		}
	}
	if n.Note != o.Note {
		p := maps.Clone(params)
		p["note"] = n.Note
		d.add(code+".note", n.Path, p, "Changed the note on %s", what)
	}
	d.entryFields(o, n, what, code, params)
	for i := range n.Lists {
		l := &n.Lists[i]
		if l.Role != "path" && l.Role != "part" {
			continue
		}
		if j := slices.IndexFunc(o.Lists, func(other OutlineList) bool {
			return other.Role == l.Role && listIndex(other.Path) == listIndex(l.Path)
		}); j >= 0 {
			d.listFields(&o.Lists[j], l, what, code, params)
			continue
		}
		d.add(code+".path_added", l.Owner, params, "Added a %s to %s: %s", l.Role, what, l.name())
	}
	for i := range o.Lists {
		l := &o.Lists[i]
		if (l.Role == "path" || l.Role == "part") && !slices.ContainsFunc(n.Lists, func(other OutlineList) bool {
			return other.Role == l.Role && listIndex(other.Path) == listIndex(l.Path)
		}) {
			d.add(code+".path_deleted", n.Path, params, "Deleted a %s of %s: %s", l.Role, what, l.name())
		}
	}
}

func (l *OutlineList) name() string {
	for _, f := range l.Fields {
		if f.Key == "name" {
			return shown(f.Value)
		}
	}
	return listIndex(l.Owner)
}

func (d *comparison) listFields(o, n *OutlineList, what, code string, params map[string]any) {
	p := maps.Clone(params)
	p["path"] = n.name()
	var a, b []OutlineField
	for _, f := range o.Fields {
		if f.Key != "when" {
			a = append(a, f)
		}
	}
	for _, f := range n.Fields {
		if f.Key != "when" {
			b = append(b, f)
		}
	}
	d.condition(fieldOf(o.Fields, "when"), fieldOf(n.Fields, "when"), n.Owner, code+".when", p,
		"Path "+n.name()+" of "+what+" is now taken when %s", "Path "+n.name()+" of "+what+" is now taken otherwise")
	d.fields(a, b, " of "+n.Role+" "+n.name()+" of "+what, func(key string) string { return strings.ReplaceAll(key, "_", " ") }, code+".path", p)
}

func fieldOf(fields []OutlineField, key string) *OutlineField {
	for i := range fields {
		if fields[i].Key == key {
			return &fields[i]
		}
	}
	return nil
}

// entryFields compares what two entries say themselves.
func (d *comparison) entryFields(o, n *outlineNode, what, code string, params map[string]any) {
	upper := strings.ToUpper(what[:1]) + what[1:]
	d.condition(o.field("filter"), n.field("filter"), n.Path, code+".filter", params, upper+" now continues when %s", upper+" no longer filters")
	d.condition(o.field("if"), n.field("if"), n.Path, code+".if", params, upper+" now runs only when %s", upper+" now always runs")
	own := func(e *outlineNode) (plain []OutlineField) {
		for _, f := range e.Fields {
			if f.Key != "id" && f.Key != "filter" && f.Key != "if" && f.Key != "steps" && !e.isList(&f) {
				plain = append(plain, f)
			}
		}
		return plain
	}
	a, b := own(o), own(n)
	for _, key := range []string{"with", "set", "webhook", "schedule", "poll", "for_each", "wait", "approve", "call", "respond", "stop", "retry"} {
		x, y := fieldOf(a, key), fieldOf(b, key)
		if x == nil || y == nil {
			continue
		}
		from, okX := objectFields(x)
		to, okY := objectFields(y)
		if !okX || !okY {
			continue
		}
		name := func(inner string) string {
			switch key {
			case "retry", "set":
				return map[string]string{"retry": "retry " + inner, "set": "the field " + inner}[key]
			}
			return strings.ReplaceAll(inner, "_", " ")
		}
		d.fields(from, to, " of "+what, name, code+".field", params)
		remove := func(f OutlineField) bool { return f.Key == key }
		a, b = slices.DeleteFunc(a, remove), slices.DeleteFunc(b, remove)
	}
	d.fields(a, b, " of "+what, func(key string) string { return strings.ReplaceAll(key, "_", " ") }, code+".field", params)
}

// objectFields takes a value that is an object apart.
func objectFields(f *OutlineField) ([]OutlineField, bool) {
	d := json.NewDecoder(bytes.NewReader(f.Value))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, string(f.Value) == "null"
	}
	fields := []OutlineField{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, false
		}
		name, _ := key.(string)
		var val json.RawMessage
		if err := d.Decode(&val); err != nil {
			return nil, false
		}
		fields = append(fields, OutlineField{Key: name, Path: f.Path.key(name), Value: val})
	}
	return fields, true
}

// condition compares two conditions. Where one row differs in its value alone, the sentence shows both values.
func (d *comparison) condition(o, n *OutlineField, path Path, code string, params map[string]any, now, none string) {
	switch {
	case o == nil && n == nil || o != nil && n != nil && bytes.Equal(o.Value, n.Value):
		return
	case n == nil:
		d.add(code+"_removed", path, params, "%s (was %s)", none, conditionText(o))
		return
	}
	p := maps.Clone(params)
	p["condition"], p["expr"] = conditionText(n), n.Value
	if o == nil {
		d.add(code, n.Path, p, now, conditionText(n))
		return
	}
	p["was"], p["was_expr"] = conditionText(o), o.Value
	if row, was := oneRow(o.rows(), n.rows()); row != nil {
		p["condition"], p["was"] = row.Text(), was.ValueText()
		d.add(code+"_value", n.Path, p, now+" (was %s)", row.Text(), was.ValueText())
		return
	}
	d.add(code, n.Path, p, now+" (was %s)", conditionText(n), conditionText(o))
}

func conditionText(f *OutlineField) string {
	if rows := f.rows(); rows != nil {
		return rows.Text()
	}
	return shown(f.Value)
}

// oneRow finds the only row that differs, and that in its value alone.
func oneRow(a, b *expression.Rows) (now, was *expression.Row) {
	if a == nil || b == nil || a.Match != b.Match || len(a.Items) != len(b.Items) {
		return nil, nil
	}
	for i := range a.Items {
		x, y := &a.Items[i], &b.Items[i]
		if x.Group != nil || y.Group != nil {
			return nil, nil
		}
		if x.Text() == y.Text() {
			continue
		}
		if now != nil || x.Field != y.Field || x.Type != y.Type || x.Test != y.Test || x.Test == "between" || x.IgnoreCase != y.IgnoreCase {
			return nil, nil
		}
		now, was = y, x
	}
	return now, was
}

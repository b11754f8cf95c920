package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

func (o Put) apply(e *editor) error {
	d, err := valueOf(o.Value, 0)
	if err != nil {
		return err
	}
	t, err := e.find(o.Path)
	if err != nil {
		return err
	}
	return e.set(t, d)
}

// set gives the target a value; what is missing of its path is made.
func (e *editor) set(t *target, d *datum) error {
	if len(t.rest) == 0 {
		if differ(e.at(t), d, "") == "" && d.source == "" {
			return nil
		}
		if d.kind == yaml.ScalarNode && d.tail > 0 { // the comment of the old value stays
			d.source, d.tail = d.source[:len(d.source)-d.tail], 0
		}
		*e.at(t) = *d
		return e.commit(e.replace(t, d))
	}
	for i := len(t.rest) - 1; i >= 0; i-- {
		if t.rest[i].index >= 0 {
			return errors.New("the list has no such entry: insert it")
		}
		if i > 0 || t.node().Kind != yaml.MappingNode {
			d = &datum{kind: yaml.MappingNode, keys: []string{t.rest[i].name}, items: []*datum{d}}
		}
	}
	n := t.node()
	if n.Kind != yaml.MappingNode { // a key without a value
		t.rest = nil
		return e.set(t, d)
	}
	key := t.rest[0].name
	i := e.fieldIndex(t, key)
	w := e.at(t)
	w.keys, w.items = slices.Insert(w.keys, i, key), slices.Insert(w.items, i, d)
	switch {
	case size(n) == 0 && !t.flow():
		if len(t.indexes) == 0 {
			return errors.New("the file is empty")
		}
		return e.commit(e.replace(t, &datum{kind: yaml.MappingNode, keys: []string{key}, items: []*datum{d}}))
	case isFlow(n):
		if e.byteAt(e.spans[n].end-1) != '}' {
			return errors.New("a mapping without braces inside a list in brackets cannot get another key")
		}
		return e.commit(e.addFlow(n, i, stringText(key, 0, true)+": "+flowText(d)))
	}
	return e.commit(e.add(n, i, e.layout().entry(stringText(key, 0, false)+":", d, 0), nil))
}

// fieldIndex is where a new field goes: in the order of the format at the top of the file, first what names a step or
// trigger, else at the end.
func (e *editor) fieldIndex(t *target, key string) int {
	n := t.node()
	rank := slices.Index(keyOrder, key)
	first := []string{"id", "name", "if"}
	if own := slices.Index(first, key); own >= 0 && len(t.indexes) > 1 && t.parent().Kind == yaml.SequenceNode {
		i := 0
		for i < size(n) && slices.Contains(first[:own], n.Content[2*i].Value) {
			i++
		}
		return i
	}
	if len(t.indexes) > 0 || rank < 0 || isFlow(n) {
		return size(n)
	}
	known := false
	for i := size(n); i > 0; i-- {
		other := slices.Index(keyOrder, n.Content[2*i-2].Value)
		if other >= 0 && other < rank {
			return i
		}
		known = known || other >= 0
	}
	if known {
		return 0
	}
	return size(n)
}

// at is the wanted data of the target.
func (e *editor) at(t *target) *datum {
	d := e.want
	for _, i := range t.indexes {
		d = d.items[i]
	}
	return d
}

// replace writes a value in the place of another.
func (e *editor) replace(t *target, d *datum) []cut {
	n := t.node()
	sp := e.spans[n]
	space := "" // before a value where there was none
	if sp.start == sp.end {
		space = " "
	}
	if t.flow() {
		text := flowText(d)
		if n.Kind == yaml.ScalarNode && d.kind == yaml.ScalarNode && d.source == "" {
			text = scalarText(d.value, n.Style, true)
		}
		if sp.start == sp.end && e.byteAt(sp.from-1) != ':' {
			space = ": "
		}
		return []cut{{sp.start, sp.end, space + text}}
	}
	l := e.layout()
	prefix, dash := 0, 0 // of the column that the value's own lines are indented from
	if parent := t.parent(); parent.Kind == yaml.SequenceNode {
		prefix, dash = parent.Column-1, 2
		if space == "" && e.line(sp.start) == e.line(sp.from) {
			dash = sp.start - sp.from + 1
		}
	} else {
		prefix = parent.Content[0].Column - 1
	}
	inline, below := e.rewrite(l, n, d, dash)
	oneLine := e.line(sp.from) == e.line(sp.end)
	lead := strings.Repeat(" ", max(dash-1, 1))
	switch text := e.lines2(below, prefix); {
	case oneLine && inline == "":
		eol := e.lineEnd(sp.end)
		return []cut{{sp.from, sp.end, ""}, {eol, eol, text}}
	case oneLine && space != "":
		eol := e.lineEnd(sp.end)
		return []cut{{sp.from, sp.from, lead + inline}, {eol, eol, text}}
	case oneLine:
		eol := e.lineEnd(sp.end)
		return []cut{{sp.start, sp.end, inline}, {eol, eol, text}}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		word := sp.start
		for !isBlank(rune(e.byteAt(word))) {
			word++
		}
		eol := e.lineEnd(word)
		return []cut{{sp.start, word, inline}, {eol, sp.end, text}}
	case n.Kind == yaml.ScalarNode && inline != "":
		eol := e.lineEnd(sp.end)
		return []cut{{sp.start, sp.end, inline}, {eol, eol, text}}
	case dash > 0 && e.line(sp.start) == e.line(sp.from):
		return []cut{{sp.start, e.tail(sp.end, prefix), inline + text}}
	default: // a mapping or list in the lines below, or a text that begins there
		eol := e.lineEnd(sp.from)
		if e.line(sp.start) == e.line(sp.from) {
			return []cut{{sp.from, sp.end, strings.TrimRight(lead+inline, " ") + text}}
		}
		if inline != "" {
			inline = lead + inline
		}
		return []cut{{sp.from, sp.from, inline}, {eol, e.tail(sp.end, prefix), text}}
	}
}

// lines2 makes text of lines that follow a line.
func (e *editor) lines2(lines []string, indent int) string {
	if len(lines) == 0 {
		return ""
	}
	return e.join(append([]string{""}, lines...), indent)
}

// rewrite writes a value in the style of the one before it where that can hold it.
func (e *editor) rewrite(l layout, n *yaml.Node, d *datum, dash int) (inline string, below []string) {
	text, isText := d.value.(string)
	switch {
	case d.source != "":
	case isText && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && n.Kind == yaml.ScalarNode && !l.oneLine:
		header, lines, ok := blockText(text, n.Style&yaml.FoldedStyle != 0)
		if !ok {
			header, lines, ok = blockText(text, false)
		}
		if ok {
			return header, indented(lines, e.depth(n, l.step))
		}
	case isText && n.Kind == yaml.ScalarNode && !strings.Contains(text, "\n"):
		return scalarText(text, n.Style, false), nil
	case d.kind == n.Kind && isFlow(n) && short(d):
		return flowText(d), nil
	case d.kind == n.Kind && n.Kind == yaml.SequenceNode && !isFlow(n) && len(d.items) > 0:
		indent := l.list
		if dash > 0 {
			indent = dash
		}
		for _, item := range d.items {
			below = append(below, l.entry("-", item, 2)...)
		}
		if dash > 0 {
			return below[0], indented(below[1:], indent)
		}
		return "", indented(below, indent)
	}
	return l.block(d, dash)
}

// depth is by how much the lines of a block text are indented from its key or dash.
func (e *editor) depth(n *yaml.Node, otherwise int) int {
	sp := e.spans[n]
	first := e.lineEnd(sp.start)
	for l := e.line(sp.start) + 1; first < sp.end && l < len(e.lines); l++ {
		if e.blank(l) {
			continue
		}
		indent := 0
		for e.byteAt(e.lines[l]+indent) == ' ' {
			indent++
		}
		base := e.lines[e.line(sp.start)]
		column := 0
		for e.byteAt(base+column) == ' ' {
			column++
		}
		for e.byteAt(base+column) == '-' && e.byteAt(base+column+1) == ' ' && base+column+2 < sp.from {
			if column += 2; e.byteAt(base+column) == ' ' {
				return otherwise
			}
		}
		return max(indent-column, 1)
	}
	return otherwise
}

func (o Insert) apply(e *editor) error {
	d, err := valueOf(o.Value, 0)
	if err != nil {
		return err
	}
	t, err := e.find(o.Path)
	if err != nil {
		return err
	}
	return e.insert(t, o.Path, o.At, d)
}

// insert adds an entry to the list at a path.
func (e *editor) insert(t *target, list Path, at int, d *datum) error {
	n := t.node()
	if len(t.rest) > 0 || isNull(n) {
		if at != 0 {
			return errors.New("the list is not there, so the entry can only be its first")
		}
		comments, body := splitComments(string(d.source))
		if d.source != "" {
			d.source = Text(body)
		}
		if err := e.set(t, &datum{kind: yaml.SequenceNode, items: []*datum{d}}); err != nil || len(comments) == 0 {
			return err
		}
		made, err := e.find(list)
		if err != nil || len(made.rest) > 0 || isFlow(made.node()) {
			return err
		}
		dash, _ := e.bare(made.node(), 0)
		if !e.alone(dash) {
			return nil
		}
		column := e.column(dash)
		return e.commit([]cut{{dash, dash, e.join(comments, column) + e.eol() + strings.Repeat(" ", column)}})
	}
	if n.Kind != yaml.SequenceNode {
		return fmt.Errorf("it is %s, not a list", describe(n))
	}
	if at < 0 || at > len(n.Content) {
		return fmt.Errorf("the list has %d entries, so there is no place %d", len(n.Content), at)
	}
	w := e.at(t)
	w.items = slices.Insert(w.items, at, d)
	if len(n.Content) == 0 && !t.flow() && (d.kind != yaml.ScalarNode || d.source != "") {
		return e.commit(e.replaceEmpty(t, d))
	}
	if isFlow(n) {
		return e.commit(e.addFlow(n, at, flowText(d)))
	}
	neighbor := n.Content[min(at, len(n.Content)-1)]
	dash := 2
	if sp := e.spans[neighbor]; sp.start > sp.from && e.line(sp.start) == e.line(sp.from) {
		dash = sp.start - sp.from + 1
	}
	if d.kind == neighbor.Kind && isFlow(neighbor) && short(d) {
		return e.commit(e.add(n, at, []string{"-" + strings.Repeat(" ", dash-1) + flowText(d)}, nil))
	}
	comments, body := splitComments(string(d.source))
	written := *d
	if written.source = Text(body); d.source == "" {
		written.source = ""
	}
	return e.commit(e.add(n, at, e.layout().entry("-", &written, dash), comments))
}

// replaceEmpty writes the first entry of an empty list below its key.
func (e *editor) replaceEmpty(t *target, d *datum) []cut {
	l := e.layout()
	comments, body := splitComments(string(d.source))
	written := *d
	if written.source = Text(body); d.source == "" {
		written.source = ""
	}
	if t.parent().Kind != yaml.MappingNode {
		return e.replace(t, &datum{kind: yaml.SequenceNode, items: []*datum{&written}})
	}
	lines := append(comments, l.entry("-", &written, 2)...)
	sp := e.spans[t.node()]
	eol := e.lineEnd(sp.end)
	return []cut{{sp.from, sp.end, ""}, {eol, eol, e.lines2(indented(lines, l.list), t.parent().Content[0].Column-1)}}
}

func (o Delete) apply(e *editor) error {
	t, err := e.existing(o.Path)
	if err != nil {
		return err
	}
	return e.delete(t)
}

// delete removes an entry or a field. A list or mapping that loses its last one is written as empty.
func (e *editor) delete(t *target) error {
	parent, i := t.parent(), t.index()
	w := e.at(t.up())
	w.items = slices.Delete(w.items, i, i+1)
	if parent.Kind == yaml.MappingNode {
		w.keys = slices.Delete(w.keys, i, i+1)
	}
	if size(parent) > 1 {
		return e.commit(e.remove(parent, i))
	}
	if len(t.indexes) == 1 {
		return errors.New("it is the only field of the file")
	}
	if isFlow(parent) {
		sp := e.spans[parent]
		last := e.byteAt(sp.end - 1)
		if last != '}' && last != ']' {
			return errors.New("the only key of a mapping without braces cannot be removed")
		}
		return e.commit([]cut{{e.body(parent, sp.start) + 1, sp.end - 1, ""}})
	}
	return e.commit(e.replace(t.up(), &datum{kind: parent.Kind}))
}

func (o Move) apply(e *editor) error {
	from, err := e.existing(o.From)
	if err != nil {
		return err
	}
	parts, err := o.To.parse()
	if err != nil {
		return err
	}
	at := parts[len(parts)-1].index
	i := strings.LastIndexByte(string(o.To), '[')
	if at < 0 || i <= 0 || from.parent().Kind != yaml.SequenceNode {
		return errors.New("an entry of a list can be moved, to an index of a list")
	}
	d, text := e.at(from), e.text(from)
	list := from.parent()
	if to, err := e.find(o.To[:i]); err == nil && len(to.rest) == 0 && to.node() == list {
		if at >= len(list.Content) {
			return fmt.Errorf("the list has %d entries, so there is no place %d", len(list.Content), at)
		}
		w := e.at(to)
		w.items = slices.Insert(slices.Delete(w.items, from.index(), from.index()+1), at, d)
		return e.commit(e.shift(list, from.index(), at))
	}
	if err := e.delete(from); err != nil {
		return err
	}
	to, err := e.find(o.To[:i])
	if err != nil {
		return err
	}
	moved, err := text.datum()
	if err != nil || differ(moved, d, "") != "" {
		moved = d
	}
	e.want = datumOf(e.root)
	return e.insert(to, o.To[:i], at, moved)
}

// shift moves an entry within its list. What stands between the entries stays in its place, so that moving back
// gives the same text.
func (e *editor) shift(n *yaml.Node, from, to int) []cut {
	place := e.block
	if isFlow(n) {
		place = e.bare
	}
	order := make([]int, len(n.Content))
	for i := range order {
		order[i] = i
	}
	order = slices.Insert(slices.Delete(order, from, from+1), to, from)
	var cuts []cut
	for i, j := range order {
		if i == j {
			continue
		}
		start, end := place(n, i)
		first, last := place(n, j)
		cuts = append(cuts, cut{start, end, string(e.src[first:last])})
	}
	return cuts
}

func (o Note) apply(e *editor) error {
	t, err := e.existing(o.Path)
	if err != nil {
		return err
	}
	list, i := t.parent(), t.index()
	dash, _ := e.bare(list, i)
	if list.Kind != yaml.SequenceNode || isFlow(list) || !e.alone(dash) {
		return errors.New("a note stands above an entry that begins its own line, and this one does not")
	}
	if strings.ContainsFunc(o.Text, func(c rune) bool { return c != '\n' && c != ' ' && !unicode.IsGraphic(c) || c == mark0 }) {
		return errors.New("the note holds a character that a comment cannot")
	}
	start, _ := e.block(list, i)
	var lines []string
	if text := strings.Trim(o.Text, "\n"); strings.TrimSpace(text) != "" {
		for line := range strings.SplitSeq(text, "\n") {
			lines = append(lines, strings.TrimRight("# "+line, " "))
		}
	}
	column := e.column(dash)
	text := ""
	if len(lines) > 0 {
		text = e.join(lines, column) + e.eol() + strings.Repeat(" ", column)
	}
	return e.commit([]cut{{start, dash, text}})
}

// TextAt returns the text of a field's value or of an entry of a list, with the comments that belong to the entry,
// as Insert and Put take it.
func TextAt(src []byte, p Path) (Text, error) {
	e, err := open(src)
	if err != nil {
		return "", err
	}
	t, err := e.existing(p)
	if err != nil {
		return "", &EditError{What: "read " + string(p), Message: err.Error()}
	}
	return e.text(t), nil
}

func (e *editor) text(t *target) Text {
	n, parent := t.node(), t.parent()
	sp := e.spans[n]
	from, to, column := sp.start, sp.end, 0
	comments := ""
	switch {
	case t.flow():
	case parent.Kind == yaml.SequenceNode:
		start, end := e.block(parent, t.index())
		dash, _ := e.bare(parent, t.index())
		for _, line := range e.texts(start, dash, e.column(dash)) {
			if line = strings.TrimSpace(line); line != "" {
				comments += line + "\n"
			}
		}
		to, column = end, e.column(sp.start)
	default:
		column = e.column(sp.start)
		if n.Kind == yaml.ScalarNode {
			column = parent.Content[0].Column - 1 + e.depth(n, e.layout().step)
			if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
				column = parent.Content[0].Column - 1 + e.layout().step
			}
		}
	}
	return Text(comments + strings.Join(e.texts(from, to, column), "\n"))
}

// texts are the lines between two offsets, those behind the first without the indentation that comes from column.
func (e *editor) texts(from, to, column int) []string {
	lines := strings.Split(string(e.src[from:to]), "\n")
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		for n := 0; i > 0 && n < column && strings.HasPrefix(line, " "); n++ {
			line = line[1:]
		}
		lines[i] = line
	}
	return lines
}

package workflow

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

// Outline is a workflow file as a form shows it: what stands in the text and where, whether or not it is right. It
// can be made of any text that is YAML, so a draft with mistakes has one too.
type Outline struct {
	Fields    []OutlineField  `json:"fields" nullable:"false" doc:"The settings of the workflow: all its keys but triggers, steps and on_failure, in the order of the file."`
	Triggers  []*OutlineEntry `json:"triggers" nullable:"false"`
	Steps     []*OutlineEntry `json:"steps" nullable:"false"`
	OnFailure []*OutlineEntry `json:"on_failure" nullable:"false"`
}

// OutlineEntry is one trigger or step.
type OutlineEntry struct {
	Path   Path           `json:"path" doc:"Its address for edits: steps.<id>, or its place where it has no id."`
	ID     string         `json:"id" doc:"Empty where the file gives none."`
	RunID  string         `json:"run_id" doc:"The id by which runs and problems call it: the one that it gets where the file gives none."`
	Kind   string         `json:"kind" doc:"The key that says what it does; empty: there is none yet."`
	Note   string         `json:"note" doc:"The comment above it, without the # marks."`
	From   int            `json:"from" doc:"Its first line, from 1, its note not counted."`
	To     int            `json:"to" doc:"Its last line."`
	At     Position       `json:"-"`
	Fields []OutlineField `json:"fields" nullable:"false" doc:"Its keys in the order of the file."`
	Lists  []OutlineList  `json:"lists" nullable:"false" doc:"The lists of steps inside it."`
}

// OutlineField is one key with its value.
type OutlineField struct {
	Key       string          `json:"key"`
	Path      Path            `json:"path"`
	Value     json.RawMessage `json:"value" doc:"The value as the file has it: texts with their templates, objects in the order of the file."`
	Line      int             `json:"line" doc:"Where the value begins, from 1."`
	Column    int             `json:"column"`
	EndLine   int             `json:"end_line" doc:"Where it ends."`
	EndColumn int             `json:"end_column"`

	Expression bool             `json:"expression,omitempty" doc:"The value is an expression as it stands, without ${{ }}."`
	Rows       *expression.Rows `json:"rows,omitempty" doc:"The condition as rows; left out where rows cannot say it."`
}

// OutlineList is a list of steps inside a step.
type OutlineList struct {
	Role   string          `json:"role" enum:"steps,on_error,path,part" doc:"steps: of for_each; path: one of paths; part: one of parallel."`
	Path   Path            `json:"path" doc:"Of the list of steps; it may be missing in the file, an insert makes it."`
	Owner  Path            `json:"owner" doc:"Of the path or part; else of the step."`
	Fields []OutlineField  `json:"fields" nullable:"false" doc:"What else the path or part says, such as name and when."`
	Steps  []*OutlineEntry `json:"steps" nullable:"false"`
}

// stepWords are the keys that say what a step does, by the format.
var stepWords = []string{"filter", "set", "use", "paths", "for_each", "parallel", "wait", "approve", "call", "respond", "stop"}

// triggerWords are the keys that say what starts a workflow.
var triggerWords = []string{"webhook", "schedule", "poll", "use"}

// Keys whose value is an expression, those of them that are conditions.
var (
	expressionKeys = []string{"filter", "if", "when", "lane"}
	conditionKeys  = []string{"filter", "if", "when"}
)

// ShowRows adds the rows of every condition.
func (o *Outline) ShowRows() {
	o.Each(func(e *OutlineEntry, _ Path, _ int) bool {
		showRows(e.Fields)
		for _, l := range e.Lists {
			showRows(l.Fields)
		}
		return true
	})
}

func showRows(fields []OutlineField) {
	for i := range fields {
		if slices.Contains(conditionKeys, fields[i].Key) {
			fields[i].Rows = fields[i].rows()
		}
	}
}

// rows is the condition as rows, or nil. A mistake in it is a problem of the file.
func (f *OutlineField) rows() *expression.Rows {
	var text string
	if !f.Expression || json.Unmarshal(f.Value, &text) != nil {
		return nil
	}
	rows, err := expression.RowsOf(text)
	if err != nil {
		return nil
	}
	return rows
}

// Name gives the entries the ids that they have in w, which was made of the same text.
func (o *Outline) Name(w *Workflow) {
	ids := map[Position]string{}
	visit := func(s *Step) { ids[s.At] = s.ID }
	Walk(w.Steps, visit)
	Walk(w.OnFailure, visit)
	o.Each(func(e *OutlineEntry, list Path, _ int) bool {
		if e.RunID = ids[e.At]; list == "triggers" {
			if e.RunID = e.ID; e.ID == "" {
				e.RunID = e.Kind
			}
		}
		return true
	})
}

// Each calls f for every entry, with the list that it is in and its place there, in the order of the file, until f
// returns false.
func (o *Outline) Each(f func(e *OutlineEntry, list Path, i int) bool) {
	var walk func(entries []*OutlineEntry, list Path) bool
	walk = func(entries []*OutlineEntry, list Path) bool {
		for i, e := range entries {
			if !f(e, list, i) {
				return false
			}
			for _, l := range e.Lists {
				if !walk(l.Steps, l.Path) {
					return false
				}
			}
		}
		return true
	}
	_ = walk(o.Triggers, "triggers") && walk(o.Steps, "steps") && walk(o.OnFailure, "on_failure")
}

// ReadOutline makes the outline of a text. The error is Problems when the text cannot be read as a mapping.
func ReadOutline(src []byte) (*Outline, error) {
	e, err := open(src)
	if err != nil {
		return nil, err
	}
	o := &Outline{Triggers: []*OutlineEntry{}, Steps: []*OutlineEntry{}, OnFailure: []*OutlineEntry{}, Fields: []OutlineField{}}
	for i := 0; i+1 < len(e.root.Content); i += 2 {
		key, val := e.root.Content[i].Value, e.root.Content[i+1]
		switch key {
		case "triggers":
			o.Triggers = e.outlines(val, "triggers", "triggers", triggerWords, map[string]bool{})
		case "steps":
			o.Steps = e.outlines(val, "steps", "steps", stepWords, map[string]bool{})
		case "on_failure":
			o.OnFailure = e.outlines(val, "on_failure", "on_failure", stepWords, map[string]bool{})
		default:
			o.Fields = append(o.Fields, e.outlineField(e.root, i/2, ""))
		}
	}
	return o, nil
}

// outlines reads a list of triggers or steps. root is the list that ids are looked up in; named the ids so far.
func (e *editor) outlines(list *yaml.Node, at, root Path, words []string, named map[string]bool) []*OutlineEntry {
	entries := []*OutlineEntry{}
	if list.Kind != yaml.SequenceNode {
		return entries
	}
	for i, n := range list.Content {
		o := &OutlineEntry{Path: at.at(i), At: place(n), Fields: []OutlineField{}, Lists: []OutlineList{}}
		entries = append(entries, o)
		start, end := e.bare(list, i)
		o.From, o.To = e.line(start)+1, e.line(max(start, end-1))+1
		o.Note = e.note(list, i)
		if n.Kind != yaml.MappingNode {
			continue
		}
		if j := field(n, "id"); j >= 0 {
			o.ID = n.Content[2*j+1].Value
			if localID.MatchString(o.ID) && !named[o.ID] {
				o.Path, named[o.ID] = root.key(o.ID), true
			}
		}
		for j := range size(n) {
			key := n.Content[2*j].Value
			if o.Kind == "" && slices.Contains(words, key) {
				o.Kind = key
			}
			o.Fields = append(o.Fields, e.outlineField(n, j, o.Path))
		}
		for j := range size(n) {
			o.Lists = append(o.Lists, e.innerLists(n.Content[2*j].Value, n.Content[2*j+1], o.Path, root, named)...)
		}
	}
	return entries
}

// innerLists are the lists of steps below a key of a step.
func (e *editor) innerLists(key string, n *yaml.Node, owner, root Path, named map[string]bool) []OutlineList {
	at := owner.key(key)
	switch {
	case key == "steps" || key == "on_error" && n.Kind == yaml.SequenceNode:
		return []OutlineList{{
			Role: key, Path: at, Owner: owner, Fields: []OutlineField{},
			Steps: e.outlines(n, at, root, stepWords, named),
		}}
	case (key == "paths" || key == "parallel") && n.Kind == yaml.SequenceNode:
		var lists []OutlineList
		for i, part := range n.Content {
			l := OutlineList{Role: "path", Owner: at.at(i), Fields: []OutlineField{}, Steps: []*OutlineEntry{}}
			if key == "parallel" {
				l.Role = "part"
			}
			l.Path = l.Owner.key("steps")
			for j := 0; part.Kind == yaml.MappingNode && j < size(part); j++ {
				if part.Content[2*j].Value == "steps" {
					l.Steps = e.outlines(part.Content[2*j+1], l.Path, root, stepWords, named)
				} else {
					l.Fields = append(l.Fields, e.outlineField(part, j, l.Owner))
				}
			}
			lists = append(lists, l)
		}
		return lists
	}
	return nil
}

func (e *editor) outlineField(n *yaml.Node, i int, owner Path) OutlineField {
	key, val := n.Content[2*i].Value, n.Content[2*i+1]
	sp := e.spans[val]
	f := OutlineField{Key: key, Path: owner.key(key), Value: plainJSON(nil, val)}
	f.Line, f.Column = e.place(sp.start)
	f.EndLine, f.EndColumn = e.place(sp.end)
	f.Expression = val.Kind == yaml.ScalarNode && slices.Contains(expressionKeys, key)
	return f
}

// place is the line and column of an offset, both from 1, the column in characters.
func (s *source) place(at int) (line, column int) {
	l := s.line(at)
	return l + 1, len([]rune(string(s.src[s.lines[l]:at]))) + 1
}

// note is the comment above an entry, without its marks.
func (e *editor) note(list *yaml.Node, i int) string {
	if isFlow(list) {
		return ""
	}
	start, _ := e.block(list, i)
	dash, _ := e.bare(list, i)
	var lines []string
	for line := range strings.SplitSeq(string(e.src[start:dash]), "\n") {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "#"); ok {
			lines = append(lines, strings.TrimPrefix(text, " "))
		}
	}
	return strings.Join(lines, "\n")
}

// plainJSON writes the data of a node as JSON, in the order of the file.
func plainJSON(dst []byte, n *yaml.Node) []byte {
	switch n.Kind {
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := range size(n) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, n.Content[2*i].Value)
			dst = plainJSON(append(dst, ':'), n.Content[2*i+1])
		}
		return append(dst, '}')
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, c := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = plainJSON(dst, c)
		}
		return append(dst, ']')
	}
	val, _, err := scalar(n)
	if err != nil {
		val = n.Value
	}
	return appendJSON(dst, val)
}

func appendJSON(dst []byte, val any) []byte {
	out, err := value.AppendJSON(dst, val)
	if err != nil { // what a scalar holds always has JSON
		return append(dst, "null"...)
	}
	return out
}

// at is the path of an entry of a list.
func (p Path) at(i int) Path { return p + Path("["+strconv.Itoa(i)+"]") }

// key is the path of a field.
func (p Path) key(name string) Path {
	switch {
	case name == "" || strings.ContainsAny(name, ".["):
		return p + Path("["+strconv.Quote(name)+"]")
	case p == "":
		return Path(name)
	}
	return p + "." + Path(name)
}

// kindTitles are the kinds of triggers and steps in words.
var kindTitles = map[string]string{
	"filter": "Only continue if", "set": "Prepare data", "use": "an action", "paths": "Split into paths", "for_each": "Repeat for each",
	"parallel": "Do at the same time", "wait": "Wait", "approve": "Ask for approval", "call": "Run another workflow", "respond": "Answer the caller",
	"stop": "Stop here", "webhook": "Webhook", "schedule": "Schedule", "poll": "Poll",
}

// KindTitle says what a kind of trigger or step does.
func KindTitle(kind string) string {
	if title := kindTitles[kind]; title != "" {
		return title
	}
	return "a new step"
}

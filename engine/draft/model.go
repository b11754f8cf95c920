package draft

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Model is a draft as a form shows it.
type Model struct {
	workflow.Outline
	Name        string          `json:"name" doc:"For people; made from the id where the file gives none."`
	Description string          `json:"description"`
	Enabled     bool            `json:"enabled" doc:"What the text says: false turns the workflow off."`
	Tags        []string        `json:"tags" nullable:"false"`
	Cards       map[string]Card `json:"cards" nullable:"false" doc:"What the list shows of each trigger and step, by path."`
	// Conditions has an entry for each path with a condition, by the path of its list of steps.
	Conditions map[string]string `json:"conditions" nullable:"false" doc:"When each path of paths is taken, in words; by the path of its steps. One that is taken otherwise, or always, has none."`
}

// Card is what the list of steps shows of one entry.
type Card struct {
	Title      string `json:"title" doc:"Its name, else what it does in words."`
	Summary    string `json:"summary" doc:"One line, such as the condition in words."`
	Connector  string `json:"connector" doc:"Of a step with use."`
	Action     string `json:"action"`
	Connection string `json:"connection"`
	Number     int    `json:"number" doc:"From 1 in the order of the file; 0: a trigger."`
	State      string `json:"state" enum:"ok,not_set_up,connection,problem,skipped" doc:"not_set_up: something that it needs is missing; connection: it names none, or one that is not there."`
	Problems   int    `json:"problems" doc:"Errors inside it, warnings not counted."`
	Test       *Test  `json:"test,omitempty" doc:"What came of it when it was tried last."`
}

// Test is when a step was tried alone, and how that went.
type Test struct {
	At      time.Time `json:"at"`
	Status  string    `json:"status"`
	Changed bool      `json:"changed" doc:"The step says something else since."`
}

// AddResults notes on the cards what came of tries.
func (m *Model) AddResults(results map[string]*Result) {
	m.Each(func(e *workflow.OutlineEntry, list workflow.Path, _ int) bool {
		if r := results[e.RunID]; r != nil && list != "triggers" {
			card := m.Cards[string(e.Path)]
			card.Test = &Test{At: r.At, Status: r.Status, Changed: r.Input != Says(e)}
			m.Cards[string(e.Path)] = card
		}
		return true
	})
}

// Says is a hash of all that a step says itself.
func Says(e *workflow.OutlineEntry) string { return engine.VersionOf([]byte(e.Content())) }

// NewModel makes the model of a text. w is what could be read of the same text and may be nil. The error is Problems
// when the text cannot be read as a mapping.
func NewModel(id, text string, w *workflow.Workflow, problems workflow.Problems, registry *connectors.Registry) (*Model, error) {
	outline, err := workflow.ReadOutline([]byte(text))
	if err != nil {
		return nil, err
	}
	outline.ShowRows()
	m := &Model{Outline: *outline, Name: id, Enabled: true, Tags: []string{}, Cards: map[string]Card{}, Conditions: map[string]string{}}
	if w != nil {
		m.Outline.Name(w)
		m.Name, m.Description, m.Enabled = w.Name, w.Description, w.Enabled
		m.Tags = append(m.Tags, w.Tags...)
	}
	number := 0
	m.Each(func(e *workflow.OutlineEntry, list workflow.Path, _ int) bool {
		card := Card{Title: e.Title(), State: "ok", Summary: summary(e)}
		if list != "triggers" {
			number++
			card.Number = number
		}
		if e.Kind == "use" {
			use := e.TextOf("use")
			card.Connector, card.Action, _ = strings.Cut(use, ".")
			card.Connection = e.TextOf("connection")
			if c := registry.Connector(card.Connector); c != nil {
				if a := c.Action(card.Action); a != nil && e.TextOf("name") == "" {
					card.Title = a.Title
				}
			}
		}
		for _, p := range problems {
			if p.Warning || p.Line < e.From || p.Line > e.To {
				continue
			}
			if inner := entryAt(outline, p.Line); inner == e {
				card.Problems++
				card.State = cmp.Or(stateOf(&p, e), card.State)
			}
		}
		if card.State == "ok" && e.TextOf("if") == "false" {
			card.State = "skipped"
		}
		m.Cards[string(e.Path)] = card
		for _, l := range e.Lists {
			for i := range l.Fields {
				if text := condition(&l.Fields[i]); l.Role == "path" && l.Fields[i].Key == "when" && text != "" {
					m.Conditions[string(l.Path)] = text
				}
			}
		}
		return true
	})
	return m, nil
}

// stateOf is what a problem makes of a card.
func stateOf(p *workflow.Problem, e *workflow.OutlineEntry) string {
	switch {
	case strings.Contains(p.Message, "connection"):
		return "connection"
	case e.Kind == "", strings.Contains(p.Message, "needs the key"), strings.Contains(p.Message, "has no value"), strings.Contains(p.Message, "is missing"),
		strings.Contains(p.Message, "empty expression"), strings.Contains(p.Message, "needs the input"), strings.HasSuffix(p.Message, " is empty"),
		strings.HasSuffix(p.Message, "has at least one step"), strings.HasPrefix(p.Message, `"" `):
		return "not_set_up"
	}
	return "problem"
}

// entryAt is the innermost entry that a line belongs to, or nil.
func entryAt(o *workflow.Outline, line int) (found *workflow.OutlineEntry) {
	o.Each(func(e *workflow.OutlineEntry, _ workflow.Path, _ int) bool {
		if e.From <= line && line <= e.To {
			found = e // what comes later is deeper or behind
		}
		return true
	})
	return found
}

// summary is one line about what an entry does.
func summary(e *workflow.OutlineEntry) string {
	i := slices.IndexFunc(e.Fields, func(f workflow.OutlineField) bool { return f.Key == e.Kind })
	if i < 0 {
		return ""
	}
	f := &e.Fields[i]
	var object map[string]json.RawMessage
	_ = json.Unmarshal(f.Value, &object) // nil for anything else
	get := func(key string) string {
		var text string
		if json.Unmarshal(object[key], &text) != nil {
			text = string(object[key])
		}
		return text
	}
	switch e.Kind {
	case "filter":
		return condition(f)
	case "set":
		return count(len(object), "field")
	case "use":
		return e.TextOf("use")
	case "paths", "parallel":
		var names []string
		for _, l := range e.Lists {
			if l.Role != "path" && l.Role != "part" {
				continue
			}
			for _, f := range l.Fields {
				var name string
				if f.Key == "name" && json.Unmarshal(f.Value, &name) == nil {
					names = append(names, name)
				}
			}
		}
		return strings.Join(names, ", ")
	case "for_each":
		return "each of " + get("in")
	case "wait":
		for _, key := range []string{"for", "until"} {
			if text := get(key); text != "" {
				return strings.TrimPrefix(key+" "+text, "for ")
			}
		}
		return "for an answer"
	case "approve", "stop":
		return get("message")
	case "call":
		return get("workflow")
	case "respond":
		return get("status")
	case "webhook":
		return get("path")
	case "schedule":
		if every := get("every"); every != "" {
			return "every " + every
		}
		return strings.TrimSpace(get("cron") + " " + get("timezone"))
	case "poll":
		return get("use")
	}
	return ""
}

// condition is a condition in words; where rows cannot say it, as it is written.
func condition(f *workflow.OutlineField) string {
	if f.Rows != nil {
		return f.Rows.Text()
	}
	var text string
	_ = json.Unmarshal(f.Value, &text) // empty for anything else
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// PlacedProblem is one thing that is wrong with a draft, with the field that it is about.
type PlacedProblem struct {
	workflow.Problem
	Path      string `json:"path" doc:"The trigger, step or field that it is in; empty: the file as a whole."`
	EndLine   int    `json:"end_line"`
	EndColumn int    `json:"end_column"`
	Fix       *Fix   `json:"fix,omitempty"`
}

// Fix is what mends a problem.
type Fix struct {
	Label Label `json:"label"`
	Ops   []Op  `json:"ops" nullable:"false"`
}

// PlaceProblems says of each problem which field it is about and where that ends. o may be nil.
func PlaceProblems(problems workflow.Problems, o *workflow.Outline) []PlacedProblem {
	list := make([]PlacedProblem, len(problems))
	for i, p := range problems {
		list[i] = PlacedProblem{Problem: p, EndLine: p.Line, EndColumn: p.Column}
		if o == nil || p.Line == 0 {
			continue
		}
		fields := o.Fields
		if e := entryAt(o, p.Line); e != nil {
			list[i].Path, fields = string(e.Path), e.Fields
			for _, l := range e.Lists {
				fields = append(fields[:len(fields):len(fields)], l.Fields...)
			}
		}
		for _, f := range fields {
			after := p.Line > f.Line || p.Line == f.Line && p.Column >= f.Column
			before := p.Line < f.EndLine || p.Line == f.EndLine && p.Column <= f.EndColumn
			if after && before {
				list[i].Path, list[i].EndLine, list[i].EndColumn = string(f.Path), f.EndLine, f.EndColumn
			}
		}
	}
	return list
}

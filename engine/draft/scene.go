package draft

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Scene is the data that expressions of one step of a draft would see with a sample.
type Scene struct {
	Roots  map[string]any
	Groups []*Group // what the data panel shows, the nearest first
}

// Group is the data that one trigger, step or loop gives.
type Group struct {
	Source  string     `json:"source" example:"steps.order" doc:"trigger, steps.<id>, or the root of a loop, such as item."`
	Step    string     `json:"step" doc:"The id of the step; empty: the trigger."`
	Path    string     `json:"path" doc:"The address of the trigger or step in the draft."`
	Title   string     `json:"title"`
	Kind    string     `json:"kind"`
	Use     string     `json:"use" doc:"connector.action of a step with use."`
	Named   bool       `json:"named" doc:"Whether the step has an id, which expressions need. Give it one with a rename."`
	Example bool       `json:"example" doc:"The values are examples: the step was not run with this event."`
	Locked  bool       `json:"locked" doc:"Nothing is known of its output: test the step first."`
	At      *time.Time `json:"at,omitempty" doc:"When the values came to be."`
	Fields  []*Field   `json:"fields" nullable:"false"`

	output any
}

// Field is one value that expressions can read.
type Field struct {
	Path     string   `json:"path" example:"trigger.body.amount" doc:"As an expression writes it."`
	Label    string   `json:"label" example:"Amount"`
	Type     string   `json:"type" enum:"nothing,boolean,number,text,list,object"`
	Value    any      `json:"value,omitempty" doc:"Of a boolean, a number or a text, which is cut after 200 characters."`
	Cut      bool     `json:"cut,omitempty" doc:"The value is longer than what is shown."`
	Count    int      `json:"count,omitempty" doc:"How many entries a list or an object has."`
	Folded   bool     `json:"folded,omitempty" doc:"Shown folded at first, such as headers."`
	Children []*Field `json:"children,omitempty" doc:"Of an object its fields, of a list those of its first entry."`
}

// Bounds on a tree of fields.
const (
	maxFields     = 2000
	maxFieldDepth = 12
	maxShown      = 200 // characters of a text
)

// SceneOf makes the scene of a step (its id in runs; empty: behind the last one). w is what could be read of the
// draft; sample may be nil: then there are examples only.
func SceneOf(ctx context.Context, w *workflow.Workflow, registry *connectors.Registry, sample *Sample, results map[string]*Result, step string, zone *time.Location) *Scene {
	b := &sceneBuilder{
		ctx: ctx, w: w, registry: registry, sample: sample, results: results, zone: zone,
		scene: &Scene{Roots: map[string]any{}}, steps: map[string]any{},
	}
	b.trigger()
	b.scene.Roots["steps"], b.scene.Roots["errors"] = b.steps, map[string]any{}
	b.scene.Roots["workflow"] = map[string]any{"id": w.ID, "name": w.Name, "version": w.Version}
	b.scene.Roots["run"] = map[string]any{"id": "test", "started_at": time.Now().UTC().Format(time.RFC3339Nano), "url": ""}
	b.scene.Roots["error"] = map[string]any{"step": "", "message": "It did not work.", "status": nil, "run_url": ""}
	if !b.walk(w.Steps, step) {
		b.walk(w.OnFailure, step)
	}
	slices.Reverse(b.scene.Groups)
	left := maxFields
	for _, g := range b.scene.Groups {
		g.Fields = fieldsOf(g.output, g.Source, g.Source == "trigger", 0, &left)
	}
	return b.scene
}

type sceneBuilder struct {
	ctx      context.Context
	w        *workflow.Workflow
	registry *connectors.Registry
	sample   *Sample
	results  map[string]*Result
	zone     *time.Location
	scene    *Scene
	steps    map[string]any
}

// trigger adds the group of the event.
func (b *sceneBuilder) trigger() {
	g := &Group{Source: "trigger", Path: "triggers[0]", Named: true}
	var t *workflow.Trigger
	if b.sample != nil {
		at := b.sample.At
		g.At, g.output = &at, b.sample.Trigger
		id, _ := b.sample.Trigger["id"].(string)
		t = b.w.Trigger(id)
	}
	if t == nil && len(b.w.Triggers) > 0 {
		t = b.w.Triggers[0]
	}
	if t != nil {
		g.Kind, g.Title = t.Kind, workflow.KindTitle(t.Kind)
		if i := slices.Index(b.w.Triggers, t); i >= 0 {
			g.Path = fmt.Sprintf("triggers[%d]", i)
		}
	}
	if b.sample == nil {
		g.output, g.Example, g.Locked = exampleEvent(t), true, t == nil || t.Kind != engine.TriggerSchedule
	}
	b.scene.Roots["trigger"] = g.output
	b.scene.Groups = append(b.scene.Groups, g)
}

// exampleEvent is what a trigger gives as far as that is known without an event.
func exampleEvent(t *workflow.Trigger) map[string]any {
	now := time.Now().UTC().Truncate(time.Second)
	ev := map[string]any{"at": now.Format(time.RFC3339)}
	if t == nil {
		return ev
	}
	ev["id"], ev["kind"] = t.ID, t.Kind
	if t.Kind == engine.TriggerSchedule {
		ev["time"], ev["previous"] = now.Format(time.RFC3339), now.Add(-time.Hour).Format(time.RFC3339)
	}
	return ev
}

func (b *sceneBuilder) env() *expression.Env {
	return &expression.Env{Roots: b.scene.Roots, Now: time.Now(), Zone: b.zone, Seed: "sample"}
}

// walk adds the groups of the steps before the one that is asked for; it reports whether that was met.
func (b *sceneBuilder) walk(steps []*workflow.Step, until string) bool {
	for _, s := range steps {
		if s.ID == until {
			return true
		}
		if loop, ok := s.Do.(*workflow.ForEach); ok {
			if b.loop(s, loop, until) {
				return true
			}
		} else {
			for _, list := range s.Lists() {
				if b.walk(list, until) {
					return true
				}
			}
		}
		b.step(s)
		if b.walk(s.OnError.Steps, until) {
			return true
		}
	}
	return false
}

// loop walks the steps of a loop with its first entry; outside of it, its data is gone.
func (b *sceneBuilder) loop(s *workflow.Step, loop *workflow.ForEach, until string) bool {
	as := loop.As
	if as == "" {
		as = "item"
	}
	var list []any
	if loop.In != nil {
		if v, err := loop.In.Eval(b.ctx, b.env()); err == nil {
			list, _ = v.([]any)
		}
	}
	var first any
	if len(list) > 0 {
		first = list[0]
	}
	before, had := b.scene.Roots[as]
	groups := len(b.scene.Groups)
	b.scene.Roots[as], b.scene.Roots["index"] = first, 0
	b.scene.Groups = append(b.scene.Groups, &Group{
		Source: as, Step: s.ID, Path: "", Title: title(s), Kind: s.Kind, Named: true, Locked: len(list) == 0, output: first,
	})
	for _, inner := range s.Lists() {
		if b.walk(inner, until) {
			return true
		}
	}
	b.scene.Groups = b.scene.Groups[:groups]
	delete(b.scene.Roots, "index")
	if delete(b.scene.Roots, as); had {
		b.scene.Roots[as] = before
	}
	return false
}

func title(s *workflow.Step) string {
	if s.Name != "" {
		return s.Name
	}
	return workflow.KindTitle(s.Kind)
}

// step adds the group of one step and its output.
func (b *sceneBuilder) step(s *workflow.Step) {
	switch s.Kind {
	case "filter", "respond", "stop", "wait", "": // they give nothing that a later step reads
		return
	}
	g := &Group{Source: "steps." + s.ID, Step: s.ID, Title: title(s), Kind: s.Kind, Named: s.Named}
	b.scene.Groups = append(b.scene.Groups, g)
	known := false
	if b.sample != nil {
		if out, ok := b.sample.Steps[s.ID]; ok {
			at := b.sample.At
			g.output, g.At, known = out, &at, true
		}
	}
	// What a try of another kind showed, such as the question of an approval, is not what the step gives.
	if r := b.results[s.ID]; r != nil && s.Kind == "use" && r.Status == "succeeded" && (!known || r.At.After(*g.At)) {
		g.output, g.At, known = r.Output, &r.At, true
	}
	switch do := s.Do.(type) {
	case *workflow.Set:
		// A mapping is computed anew: it costs nothing, and the draft may say something else than what ran.
		if out, err := do.Fields.Eval(b.ctx, b.env()); err == nil {
			g.output, known = out, true
		} else if !known {
			g.output, g.Example, known = namesOf(do.Fields), true, true
		}
	case *workflow.Use:
		g.Use = do.Connector + "." + do.Action
		if c := b.registry.Connector(do.Connector); c != nil {
			if a := c.Action(do.Action); a != nil {
				if s.Name == "" {
					g.Title = a.Title
				}
				if !known && a.Sample != nil {
					g.output, g.Example, known = a.Sample, true, true
				}
			}
		}
	case *workflow.Approve:
		if !known {
			g.output, g.Example, known = map[string]any{"approved": true, "by": "ana", "comment": "", "at": time.Now().UTC().Format(time.RFC3339)}, true, true
		}
	}
	g.Locked = !known
	if s.Named {
		b.steps[s.ID] = g.output
	}
}

// namesOf are the fields of a mapping without values.
func namesOf(t *expression.Tree) map[string]any {
	out := map[string]any{}
	if t != nil {
		for _, f := range t.Fields {
			out[f.Key] = nil
		}
	}
	return out
}

// fieldsOf is the tree of what a value holds.
func fieldsOf(v any, path string, trigger bool, depth int, left *int) []*Field {
	fields := []*Field{}
	object, ok := v.(map[string]any)
	if !ok {
		if list, isList := v.([]any); isList && depth == 0 {
			return listFields(list, path, depth, left)
		}
		if depth == 0 && v != nil {
			*left--
			return []*Field{fieldOf(v, path, depth, left)}
		}
		return fields
	}
	keys := slices.Sorted(maps.Keys(object))
	if trigger && depth == 0 { // what the sender says goes first
		first := []string{"body", "item", "items", "time", "previous", "params", "query"}
		slices.SortStableFunc(keys, func(a, b string) int { return rank(first, a) - rank(first, b) })
	}
	for _, key := range keys {
		if *left--; *left < 0 {
			break
		}
		f := fieldOf(object[key], path+member(key), depth, left)
		f.Folded = trigger && depth == 0 && !slices.Contains([]string{"body", "item", "items", "time", "previous"}, key)
		fields = append(fields, f)
	}
	return fields
}

func rank(first []string, key string) int {
	if i := slices.Index(first, key); i >= 0 {
		return i
	}
	return len(first)
}

func listFields(list []any, path string, depth int, left *int) []*Field {
	if len(list) == 0 || depth >= maxFieldDepth {
		return nil
	}
	if *left--; *left < 0 {
		return nil
	}
	return []*Field{fieldOf(list[0], path+"[0]", depth+1, left)}
}

func fieldOf(v any, path string, depth int, left *int) *Field {
	f := &Field{Path: path, Label: expression.Label(path), Type: TypeName(v)}
	switch v := v.(type) {
	case map[string]any:
		f.Count = len(v)
		if depth < maxFieldDepth {
			f.Children = fieldsOf(v, path, false, depth+1, left)
		}
	case []any:
		f.Count = len(v)
		f.Children = listFields(v, path, depth, left)
	case string:
		f.Value = v
		if runes := []rune(v); len(runes) > maxShown {
			f.Value, f.Cut = string(runes[:maxShown]), true
		}
	default:
		f.Value = v
	}
	return f
}

// member is a key behind a path, as expressions write it.
func member(key string) string {
	for i, c := range key {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return "[" + strconv.Quote(key) + "]"
		}
	}
	if key == "" || slices.Contains(reserved, key) {
		return "[" + strconv.Quote(key) + "]"
	}
	return "." + key
}

// reserved are the words of expressions that are no names of fields behind a dot.
var reserved = []string{"in", "not", "and", "or", "contains", "matches", "startsWith", "endsWith", "let", "if", "else", "nil", "true", "false"}

// TypeName names the type of a value.
func TypeName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "boolean"
	case string:
		return "text"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "number"
}

// Title is a line about a sample: the first values of its event.
func (s *Sample) Title() string {
	v := s.Trigger["body"]
	if v == nil {
		v = s.Trigger["item"]
	}
	object, ok := v.(map[string]any)
	if !ok {
		return shorten(value.Text(v))
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(object)) {
		switch object[key].(type) {
		case map[string]any, []any, nil:
		default:
			parts = append(parts, key+" "+value.Text(object[key]))
		}
	}
	return shorten(strings.Join(parts, ", "))
}

func shorten(text string) string {
	if runes := []rune(strings.Join(strings.Fields(text), " ")); len(runes) > 80 {
		return string(runes[:80]) + "…"
	}
	return text
}

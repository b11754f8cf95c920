// Package connectorstest is the test that every connector passes. A connector's own test file calls Check and then
// tests what is special about it.
package connectorstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

var (
	idPattern      = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)
	namePattern    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	wireName       = regexp.MustCompile(`^[A-Za-z0-9_$@#.:/\[\]-]{1,100}$`) // the owner of a wire format spells its names
	versionPattern = regexp.MustCompile(`^\d+\.\d+\.\d+$`)
)

// Check fails t for everything that a connector of the house must not be.
func Check(t *testing.T, c *connectors.Connector) {
	t.Helper()
	for _, problem := range Problems(c) {
		t.Error(problem)
	}
	for i := range c.Actions {
		a := &c.Actions[i]
		t.Run(a.Name, func(t *testing.T) { Behavior(t, a) })
	}
}

// Problems returns what is wrong with the description of c.
func Problems(c *connectors.Connector) []string {
	p := &problems{c: c}
	p.require(idPattern.MatchString(c.ID), "id %q is not [a-z0-9_]{1,40}", c.ID)
	p.title("the connector", c.Title)
	p.require(versionPattern.MatchString(c.Version), "version %q is not like 1.0.0", c.Version)
	p.require(len(c.Actions)+len(c.Auth) > 0, "it has neither actions nor auth: it does nothing")
	p.schema("fields", c.Fields)
	for _, name := range slices.Sorted(maps.Keys(c.Schemas)) {
		p.schema("schema "+name, c.Schemas[name])
	}

	seen := map[string]bool{}
	for _, s := range c.Auth {
		at := "auth " + s.ID
		p.require(idPattern.MatchString(s.ID), "%s: its id is not [a-z0-9_]{1,40}", at)
		p.require(!seen[s.ID], "%s is there twice", at)
		seen[s.ID] = true
		p.title(at, s.Title)
		p.require(len(s.Secrets) > 0, "%s holds no secret", at)
		for _, name := range append(s.SecretNames(), s.Fields...) {
			p.require(namePattern.MatchString(name), "%s: %q is not a name", at, name)
		}
		for _, name := range s.Fields {
			_, ok := c.Fields.Properties[name]
			p.require(ok, "%s: its field %s is not among the fields of the connector", at, name)
		}
		for _, name := range s.SecretNames() {
			_, ok := c.Fields.Properties[name]
			p.require(!ok, "%s: the secret %s is among the fields, which are not secret", at, name)
		}
	}

	seen = map[string]bool{}
	for i := range c.Actions {
		a := &c.Actions[i]
		at := "action " + a.Name
		p.require(idPattern.MatchString(a.Name), "%s: its name is not [a-z0-9_]{1,40}", at)
		p.require(!seen[a.Name], "%s is there twice", at)
		seen[a.Name] = true
		p.title(at, a.Title)
		p.sentence(at, a.Summary)
		p.require(a.Do != nil, "%s does nothing (Do is nil)", at)
		p.require(a.Input.Type == "object" && a.Input.Closed, "%s: its input is not a closed object, so a typo in `with` would go unseen", at)
		p.require(len(a.Input.Order) == len(a.Input.Properties), "%s: the order of its input does not list every property", at)
		p.schema(at+" input", a.Input)
		p.schema(at+" output", a.Output)
		p.require(a.Sample != nil, "%s has no sample", at)
		if err := c.Check(a.Output, a.Sample); a.Sample != nil && err != nil {
			p.require(false, "%s: its sample does not fit its output: %v", at, err)
		}
		if _, err := value.AppendJSON(nil, a.Sample); err != nil {
			p.require(false, "%s: its sample is not plain data: %v", at, err)
		}
	}
	p.triggers()
	return p.list
}

type problems struct {
	c    *connectors.Connector
	list []string
}

// triggers checks endpoints, triggers and the test call.
func (p *problems) triggers() {
	c := p.c
	seen := map[string]bool{}
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		at := "endpoint " + e.ID
		p.require(idPattern.MatchString(e.ID), "%s: its id is not [a-z0-9_]{1,40}", at)
		p.require(!seen[e.ID], "%s is there twice", at)
		seen[e.ID] = true
		p.require(e.Verify.Scheme != "", "%s verifies nothing: anyone could call it", at)
		p.require(e.Subscribe != nil || e.Help != "", "%s: nobody learns where its address is entered", at)
		p.require(e.Subscribe == nil || e.Subscribe.Create != nil, "%s subscribes by doing nothing", at)
	}
	names := map[string]bool{}
	for i := range c.Triggers {
		t := &c.Triggers[i]
		at := "trigger " + t.Name
		p.require(idPattern.MatchString(t.Name), "%s: its name is not [a-z0-9_]{1,40}", at)
		p.require(!names[t.Name] && c.Action(t.Name) == nil, "%s has a name that is taken", at)
		names[t.Name] = true
		p.title(at, t.Title)
		p.require(t.Sample != nil, "%s has no sample", at)
		p.schema(at+" input", t.Input)
		p.schema(at+" output", t.Output)
		if err := c.Check(t.Output, t.Sample); t.Sample != nil && err != nil {
			p.require(false, "%s: its sample does not fit its output: %v", at, err)
		}
		kinds := 0
		for _, set := range []bool{t.Endpoint != "", t.Poll != nil, t.Run != nil} {
			if set {
				kinds++
			}
		}
		p.require(kinds == 1, "%s is not exactly one of webhook, poll and stream", at)
		p.require(t.Endpoint == "" || seen[t.Endpoint], "%s: there is no endpoint %q", at, t.Endpoint)
		p.require(t.Poll == nil || t.Poll.Fetch != nil && t.Poll.Every > 0, "%s polls nothing", at)
	}
	p.test(c.Test)
	for i := range c.Auth {
		p.test(c.Auth[i].Test)
	}
	p.require(len(c.Icon) <= 8<<10, "its icon has %d bytes, more than 8 KiB", len(c.Icon))
}

func (p *problems) test(t *connectors.Test) {
	if t == nil {
		return
	}
	a := p.c.Action(t.Action)
	p.require(a != nil && a.IsSafe(t.Input) && t.Judge != nil, "the test call %q is not a safe action with a verdict", t.Action)
}

func (p *problems) require(ok bool, format string, args ...any) {
	if !ok {
		p.list = append(p.list, fmt.Sprintf(format, args...))
	}
}

func (p *problems) title(at, title string) {
	p.require(title != "" && len(title) <= 60 && title == strings.TrimSpace(title) && !strings.HasSuffix(title, "."),
		"%s: the title %q is not a short text without a full stop", at, title)
}

func (p *problems) sentence(at, text string) {
	p.require(len(text) > 3 && len(text) <= 300 && strings.HasSuffix(text, ".") && text[0] >= 'A' && text[0] <= 'Z',
		"%s: %q is not a whole sentence", at, text)
}

var (
	types = []string{"", "object", "array", "string", "integer", "number", "boolean", "null"}
	shows = []string{"", "main", "more", "hidden"}
)

func (p *problems) schema(at string, s connectors.Schema) {
	p.require(slices.Contains(types, s.Type), "%s: there is no type %q", at, s.Type)
	p.require(slices.Contains(shows, s.Show), "%s: there is no show %q", at, s.Show)
	p.require(s.Type == "object" || len(s.Properties) == 0 && !s.Closed && s.Values == nil, "%s: only an object has properties", at)
	p.require(s.Type == "array" || s.Items == nil, "%s: only an array has items", at)
	p.require(!s.Closed || s.Values == nil, "%s: it is closed, yet has a schema for unlisted values", at)
	if s.Pattern != "" {
		_, err := regexp.Compile(s.Pattern)
		p.require(err == nil, "%s: the pattern %q: %v", at, s.Pattern, err)
	}
	if s.Ref != "" {
		_, ok := p.c.Schemas[strings.TrimPrefix(s.Ref, connectors.RefPrefix)]
		p.require(ok && strings.HasPrefix(s.Ref, connectors.RefPrefix), "%s: there is no schema %q", at, s.Ref)
	}
	if s.Options != nil {
		p.require(p.c.Action(s.Options.Use) != nil, "%s: its options come from %s, which is no action", at, s.Options.Use)
	}
	p.require(s.Minimum == nil || s.Maximum == nil || *s.Minimum <= *s.Maximum, "%s: the minimum is above the maximum", at)
	for _, name := range slices.Concat(s.Required, s.Order, s.Exclusive) {
		_, ok := s.Properties[name]
		p.require(ok, "%s: %s is not among the properties", at, name)
	}
	for name, list := range map[string][]string{"required": s.Required, "order": s.Order, "exclusive": s.Exclusive} {
		sorted := slices.Sorted(slices.Values(list))
		p.require(len(slices.Compact(sorted)) == len(list), "%s: %s has a name twice", at, name)
	}
	plain := s
	plain.Enum = nil
	for _, v := range s.Enum {
		p.require(p.c.Check(plain, v) == nil, "%s: the choice %v is not of its type", at, v)
	}
	for _, v := range s.Examples {
		p.require(p.c.Check(s, v) == nil, "%s: the example %v does not fit", at, v)
	}
	p.require(s.Default == nil || p.c.Check(s, s.Default) == nil, "%s: the default %v does not fit", at, s.Default)
	for name, property := range s.Properties {
		p.require(wireName.MatchString(name), "%s: %q is no name of a field", at, name)
		p.schema(at+"."+name, property)
	}
	for i, sub := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf) {
		p.schema(fmt.Sprintf("%s (form %d)", at, i+1), sub)
	}
	if s.Items != nil {
		p.schema(at+"[]", *s.Items)
	}
	if s.Values != nil {
		p.schema(at+".*", *s.Values)
	}
}

// Behavior makes the calls that no connector may get wrong.
func Behavior(t *testing.T, a *connectors.Action) {
	t.Helper()
	if a.Do == nil {
		return // Problems has said so
	}
	t.Run("bad input is permanent", func(t *testing.T) {
		bad := map[string]map[string]any{}
		if len(a.Input.Required) > 0 {
			bad["none"] = nil
			bad["empty"] = map[string]any{}
		}
		for name, property := range a.Input.Properties {
			if wrong := misfit(property); wrong != nil {
				input := Example(a.Input)
				input[name] = wrong
				bad["wrong "+name] = input
			}
		}
		for name, input := range bad {
			_, err := call(t, context.Background(), a, input)
			if err == nil {
				t.Errorf("%s: no error", name)
			} else if !connectors.IsPermanent(err) {
				t.Errorf("%s: the error would be tried again: %v", name, err)
			}
		}
	})
	t.Run("a canceled context ends the call", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := call(t, ctx, a, Example(a.Input))
		if err == nil {
			t.Error("no error")
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("the error does not wrap context.Canceled: %v", err)
		} else if connectors.IsPermanent(err) {
			t.Errorf("a canceled call is not the fault of the input: %v", err)
		}
	})
	t.Run("the input is left alone", func(t *testing.T) {
		input := Example(a.Input)
		before := value.Clone(input)
		_, _ = call(t, context.Background(), a, input)
		if !value.Equal(before, input) {
			t.Errorf("the call changed its input to %v", input)
		}
	})
	t.Run("flags agree", func(t *testing.T) {
		input := Example(a.Input)
		if a.IsSafe(input) && !a.IsRepeatable(input) {
			t.Error("it only reads, yet may not be repeated")
		}
		_, _ = a.IsSafe(nil), a.IsRepeatable(nil) // must not panic
	})
}

// call runs the action with parts that answer nothing but errors, and fails when it hangs or panics.
func call(t *testing.T, ctx context.Context, a *connectors.Action, input map[string]any) (any, error) {
	t.Helper()
	type result struct {
		out any
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- result{err: fmt.Errorf("it panicked: %v", p)}
			}
		}()
		out, err := a.Do(ctx, &connectors.Call{
			Key: "01JCHECKCHECKCHECKCHECKCHE", Workflow: "check", Input: input,
			HTTP: &http.Client{Transport: deadEnd{}}, KV: deadEnd{}, Now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
		})
		done <- result{out, err}
	}()
	select {
	case r := <-done:
		return r.out, r.err
	case <-time.After(time.Minute):
		t.Fatal("the call did not end within a minute")
		return nil, nil
	}
}

// Example returns the smallest input that fits a schema.
func Example(s connectors.Schema) map[string]any {
	input := map[string]any{}
	for _, name := range s.Required {
		input[name] = example(s.Properties[name])
	}
	return input
}

func example(s connectors.Schema) any {
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	switch s.Type {
	case "object":
		return Example(s)
	case "array":
		return []any{}
	case "integer", "number":
		return 1
	case "boolean":
		return true
	}
	return "text"
}

// misfit returns a value that no action can take for the property, or nil.
func misfit(s connectors.Schema) any {
	switch {
	case len(s.Enum) > 0:
		return "no such choice"
	case s.Type == "object", s.Type == "array":
		return "text"
	case s.Type == "integer", s.Type == "number":
		return "text"
	case s.Format == "duration":
		return "soon"
	}
	return nil
}

package connectors

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// maxCheckDepth bounds schemas that refer to themselves; data is never as deep.
const maxCheckDepth = 2 * value.MaxDepth

// Check returns nil when v, which is plain data, is what s describes, and else the first mistake with its place in
// front, such as "address.city: it is a number, not text". Patterns that RE2 cannot read and formats are not checked.
func (c *Connector) Check(s Schema, v any) error { return c.check(s, v, 0) }

func (c *Connector) check(s Schema, v any, depth int) error {
	if depth > maxCheckDepth {
		return errors.New("it is nested too deep")
	}
	s = c.Resolve(s)
	if v == nil && (s.Nullable || s.Type == "null") {
		return nil
	}
	if err := checkType(s.Type, v); err != nil {
		return err
	}
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(e any) bool { return value.Equal(e, v) }) {
		words := make([]string, 0, len(s.Enum))
		for _, e := range s.Enum[:min(len(s.Enum), 20)] {
			words = append(words, value.Text(e))
		}
		return fmt.Errorf("it is none of %s", strings.Join(words, ", "))
	}
	if s.Const != nil && !value.Equal(s.Const, v) {
		return fmt.Errorf("it is not %s", value.Text(s.Const))
	}
	var err error
	switch v := v.(type) {
	case string:
		err = checkText(&s, v)
	case []any:
		err = c.checkList(&s, v, depth)
	case map[string]any:
		err = c.checkObject(&s, v, depth)
	default:
		err = checkNumber(&s, v)
	}
	if err != nil {
		return err
	}
	return c.checkVariants(&s, v, depth)
}

func checkType(want string, v any) error {
	got := ""
	switch n := v.(type) {
	case nil:
		got = "null"
	case bool:
		got = "boolean"
	case string:
		got = "string"
	case []any:
		got = "array"
	case map[string]any:
		got = "object"
	case float64:
		got = "number"
		if n == math.Trunc(n) {
			got = "integer"
		}
	default:
		got = "integer"
	}
	if want == "" || got == want || want == "number" && got == "integer" {
		return nil
	}
	return fmt.Errorf("it is %s, not %s", kindWord(got), kindWord(want))
}

// kindWord names a JSON Schema type for a person.
func kindWord(kind string) string {
	switch kind {
	case "string":
		return "text"
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "null":
		return "nothing"
	}
	return "a " + kind
}

func checkText(s *Schema, text string) error {
	if n := utf8.RuneCountInString(text); n < s.MinLength {
		return fmt.Errorf("it has %d characters, at least %d are needed", n, s.MinLength)
	} else if s.MaxLength > 0 && n > s.MaxLength {
		return fmt.Errorf("it has %d characters, at most %d are allowed", n, s.MaxLength)
	}
	if p := pattern(s.Pattern); p != nil && !p.MatchString(text) {
		return fmt.Errorf("it does not match %s", s.Pattern)
	}
	return nil
}

var patterns sync.Map // by text: *regexp.Regexp, nil where RE2 cannot read it; bounded by the schemas there are

func pattern(text string) *regexp.Regexp {
	if text == "" {
		return nil
	}
	if p, ok := patterns.Load(text); ok {
		return p.(*regexp.Regexp)
	}
	p, err := regexp.Compile(text)
	if err != nil {
		p = nil
	}
	patterns.Store(text, p)
	return p
}

func checkNumber(s *Schema, v any) error {
	if s.Minimum == nil && s.Maximum == nil {
		return nil
	}
	var n float64
	switch v := v.(type) {
	case int:
		n = float64(v)
	case float64:
		n = v
	case json.Number:
		n, _ = v.Float64() // too large for one: infinite, which is out of bounds
	default:
		return nil
	}
	switch {
	case s.Minimum != nil && n < *s.Minimum:
		return fmt.Errorf("it is less than %s", value.Text(*s.Minimum))
	case s.Maximum != nil && n > *s.Maximum:
		return fmt.Errorf("it is more than %s", value.Text(*s.Maximum))
	}
	return nil
}

func (c *Connector) checkList(s *Schema, list []any, depth int) error {
	switch {
	case len(list) < s.MinItems:
		return fmt.Errorf("it has %d entries, at least %d are needed", len(list), s.MinItems)
	case s.MaxItems > 0 && len(list) > s.MaxItems:
		return fmt.Errorf("it has %d entries, at most %d are allowed", len(list), s.MaxItems)
	}
	if s.Items == nil {
		return nil
	}
	for i, item := range list {
		if err := c.check(*s.Items, item, depth+1); err != nil {
			return within("["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

func (c *Connector) checkObject(s *Schema, object map[string]any, depth int) error {
	for _, name := range s.Required {
		if v, ok := object[name]; !ok || v == nil && !c.Resolve(s.Properties[name]).Nullable {
			return within(name, errors.New("it is missing"))
		}
	}
	given := 0
	for _, name := range s.Exclusive {
		if _, ok := object[name]; ok {
			given++
		}
	}
	if given > 1 {
		return fmt.Errorf("only one of %s can be given", strings.Join(s.Exclusive, ", "))
	}
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		sub, listed := s.Properties[name]
		switch {
		case !listed && s.Closed:
			return within(name, errors.New("there is no such field"))
		case !listed && s.Values == nil:
			continue
		case !listed:
			sub = *s.Values
		case object[name] == nil && !slices.Contains(s.Required, name):
			continue // nothing stands for a field that is left out
		}
		if err := c.check(sub, object[name], depth+1); err != nil {
			return within(name, err)
		}
	}
	return nil
}

func (c *Connector) checkVariants(s *Schema, v any, depth int) error {
	for _, sub := range s.AllOf {
		if err := c.check(sub, v, depth+1); err != nil {
			return err
		}
	}
	variants := slices.Concat(s.OneOf, s.AnyOf)
	if len(variants) == 0 {
		return nil
	}
	if object, ok := v.(map[string]any); ok && s.Discriminator != nil {
		return c.checkDiscriminated(s, variants, object, depth)
	}
	var first error
	for _, sub := range variants {
		err := c.check(sub, v, depth+1)
		if err == nil {
			return nil // of oneOf a second one may fit as well: which was meant makes no difference to the call
		}
		if first == nil {
			first = err
		}
	}
	if len(variants) == 1 {
		return first
	}
	return fmt.Errorf("it fits none of the %d forms it may have (the first: %w)", len(variants), first)
}

func (c *Connector) checkDiscriminated(s *Schema, variants []Schema, object map[string]any, depth int) error {
	kind, _ := object[s.Discriminator.Property].(string)
	ref := s.Discriminator.Mapping[kind]
	if ref == "" {
		ref = RefPrefix + kind
	}
	for _, sub := range variants {
		property := c.Resolve(sub).Properties[s.Discriminator.Property]
		if sub.Ref == ref || property.Const == kind || len(property.Enum) == 1 && property.Enum[0] == kind {
			return c.check(sub, object, depth+1)
		}
	}
	if kind == "" {
		return within(s.Discriminator.Property, errors.New("it is missing"))
	}
	return within(s.Discriminator.Property, fmt.Errorf("%q is no form that it may have", kind))
}

// within puts a place in front of a mistake.
func within(place string, err error) error { return &misfit{place, err} }

type misfit struct {
	place string
	err   error
}

func (e *misfit) Error() string {
	place, err := e.place, e.err
	for {
		var inner *misfit
		if !errors.As(err, &inner) || err != error(inner) { //nolint:errorlint // one that is wrapped is not the next place
			return place + ": " + err.Error()
		}
		if !strings.HasPrefix(inner.place, "[") {
			place += "."
		}
		place += inner.place
		err = inner.err
	}
}

func (e *misfit) Unwrap() error { return e.err }

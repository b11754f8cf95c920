package connectors

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Schema is the part of JSON Schema 2020-12 that describes what an action takes and gives. The keys that are ours
// (Order, Show, Options, FieldsFrom, Suffix, format "multiline") only steer the form; in JSON they begin with x-. The
// zero Schema accepts anything.
type Schema struct {
	// Ref is "#/schemas/<name>": the schema of that name in Connector.Schemas, which may refer to itself. Beside it only
	// Title, Description, Default, Examples and the keys that are ours have a meaning.
	Ref string `json:"$ref,omitempty"`

	Type        string `json:"-"` // object, array, string, integer, number, boolean, null; empty: any
	Nullable    bool   `json:"-"` // null is allowed too: `type: [string, "null"]`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	Enum        []any  `json:"enum,omitempty"`
	Const       any    `json:"const,omitempty"`
	Default     any    `json:"default,omitempty"`
	Examples    []any  `json:"examples,omitempty"`
	Deprecated  bool   `json:"deprecated,omitempty"`

	Properties map[string]Schema `json:"properties,omitempty"`
	Order      []string          `json:"x-order,omitempty"` // the order of Properties in a form
	Required   []string          `json:"required,omitempty"`
	Closed     bool              `json:"-"`                     // names that Properties does not list are refused: `additionalProperties: false`
	Values     *Schema           `json:"-"`                     // of an object's unlisted values: `additionalProperties: {...}`
	Exclusive  []string          `json:"x-exclusive,omitempty"` // at most one of these properties may be given

	Items       *Schema `json:"items,omitempty"`
	MinItems    int     `json:"minItems,omitempty"`
	MaxItems    int     `json:"maxItems,omitempty"` // 0: any number
	UniqueItems bool    `json:"uniqueItems,omitempty"`

	Format    string   `json:"format,omitempty"`  // email, uri, date, date-time, duration, multiline, binary, ...; an unknown one is only shown
	Pattern   string   `json:"pattern,omitempty"` // a pattern that RE2 cannot read is only shown
	MinLength int      `json:"minLength,omitempty"`
	MaxLength int      `json:"maxLength,omitempty"` // characters; 0: any number
	Minimum   *float64 `json:"minimum,omitempty"`
	Maximum   *float64 `json:"maximum,omitempty"`

	AllOf []Schema `json:"allOf,omitempty"` // all of them hold, beside what stands here
	OneOf []Schema `json:"oneOf,omitempty"` // exactly one of them holds
	AnyOf []Schema `json:"anyOf,omitempty"` // at least one of them holds
	// Discriminator is the property whose value tells which of OneOf or AnyOf is meant; nil: they are tried.
	Discriminator *Discriminator `json:"discriminator,omitempty"`

	Show       string      `json:"x-show,omitempty"`        // main (also ""), more, hidden
	Suffix     string      `json:"x-suffix,omitempty"`      // shown behind the input, such as .example.com; no part of the value
	Options    *Options    `json:"x-options,omitempty"`     // its values come from the account: see Action.Choices
	FieldsFrom *FieldsFrom `json:"x-fields-from,omitempty"` // the account adds properties: see Action.Further
}

// Discriminator tells the variants of a schema apart, as in OpenAPI 3.1.
type Discriminator struct {
	Property string            `json:"propertyName"`
	Mapping  map[string]string `json:"mapping,omitempty"` // value -> $ref of the variant
}

// Options says that the values of a field are listed by another action.
type Options struct {
	Use       string   `json:"use"`                  // the action that lists them
	Search    bool     `json:"search,omitempty"`     // it can look for a text
	DependsOn []string `json:"depends_on,omitempty"` // the fields that must be filled in before
}

// FieldsFrom says that further properties of a field are listed by another action.
type FieldsFrom struct {
	Use       string   `json:"use"`
	DependsOn []string `json:"depends_on,omitempty"`
}

// RefPrefix begins every Schema.Ref.
const RefPrefix = "#/schemas/"

// Resolve follows the Ref of s. What stands beside the Ref wins over what the shared schema says. A Ref that leads
// nowhere, or in a circle, gives a schema that accepts anything.
func (c *Connector) Resolve(s Schema) Schema {
	for n := 0; s.Ref != ""; n++ {
		shared, ok := c.Schemas[strings.TrimPrefix(s.Ref, RefPrefix)]
		if !ok || n > len(c.Schemas) {
			s.Ref = ""
			return s
		}
		shared.overlay(&s)
		s = shared
	}
	return s
}

// overlay takes over what may stand beside a Ref.
func (s *Schema) overlay(over *Schema) {
	if over.Title != "" {
		s.Title = over.Title
	}
	if over.Description != "" {
		s.Description = over.Description
	}
	if over.Default != nil {
		s.Default = over.Default
	}
	if over.Examples != nil {
		s.Examples = over.Examples
	}
	if over.Show != "" {
		s.Show = over.Show
	}
	if over.Options != nil {
		s.Options = over.Options
	}
	if over.FieldsFrom != nil {
		s.FieldsFrom = over.FieldsFrom
	}
	s.Nullable = s.Nullable || over.Nullable
}

// schemaJSON adds the keys whose JSON has several forms.
type schemaJSON struct {
	Type any `json:"type,omitempty"`
	*plainSchema
	Additional any `json:"additionalProperties,omitempty"`
}

type plainSchema Schema

// MarshalJSON writes JSON Schema 2020-12.
func (s Schema) MarshalJSON() ([]byte, error) {
	out := schemaJSON{plainSchema: (*plainSchema)(&s)}
	switch {
	case s.Type != "" && s.Nullable:
		out.Type = []string{s.Type, "null"}
	case s.Type != "":
		out.Type = s.Type
	}
	switch {
	case s.Closed:
		out.Additional = false
	case s.Values != nil:
		out.Additional = s.Values
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes. A list of several types that are not null accepts anything.
func (s *Schema) UnmarshalJSON(b []byte) error {
	var in struct {
		Type any `json:"type"`
		*plainSchema
		Additional json.RawMessage `json:"additionalProperties"`
	}
	*s = Schema{}
	in.plainSchema = (*plainSchema)(s)
	if string(b) == "true" {
		return nil
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	switch t := in.Type.(type) {
	case string:
		s.Type = t
	case []any:
		var types []string
		for _, item := range t {
			text, ok := item.(string)
			if !ok {
				return fmt.Errorf("type: %v is no name of a type", item)
			}
			if text == "null" {
				s.Nullable = true
			} else {
				types = append(types, text)
			}
		}
		if len(types) == 1 {
			s.Type = types[0]
		}
	}
	switch string(in.Additional) {
	case "", "true":
	case "false":
		s.Closed = true
	default:
		s.Values = &Schema{}
		return json.Unmarshal(in.Additional, s.Values)
	}
	return nil
}

func headersOf(h http.Header) map[string]any {
	out := make(map[string]any, len(h))
	for name, values := range h {
		out[strings.ToLower(name)] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
	}
	return out
}

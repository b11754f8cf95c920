package connectors

// Schema is the subset of JSON Schema 2020-12 that describes what an action takes and gives. The keys that are
// ours (Show, Format "multiline") only steer the form. The zero Schema accepts anything.
type Schema struct {
	Type        string            `json:"type,omitempty"` // object, array, string, integer, number, boolean; empty: any
	Title       string            `json:"title,omitempty"`
	Description string            `json:"description,omitempty"`
	Properties  map[string]Schema `json:"properties,omitempty"`
	Order       []string          `json:"x-order,omitempty"` // the order of Properties in a form
	Required    []string          `json:"required,omitempty"`
	// Closed refuses names that Properties does not list (`additionalProperties: false`).
	Closed   bool     `json:"-"`
	Items    *Schema  `json:"items,omitempty"`
	Values   *Schema  `json:"additionalProperties,omitempty"` // schema of an object's unlisted values
	Enum     []any    `json:"enum,omitempty"`
	Default  any      `json:"default,omitempty"`
	Examples []any    `json:"examples,omitempty"`
	Format   string   `json:"format,omitempty"` // email, uri, date-time, duration, multiline
	Pattern  string   `json:"pattern,omitempty"`
	Minimum  *float64 `json:"minimum,omitempty"`
	Maximum  *float64 `json:"maximum,omitempty"`
	Show     string   `json:"x-show,omitempty"` // main (default), more, hidden
	OneOf    []string `json:"-"`                // at most one of these properties may be given
}

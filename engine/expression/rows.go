package expression

// Rows is a condition as a form shows it: tests of which all or any must hold. It is a view of an expression: what it
// cannot say stays an expression. A form edits one level of groups; deeper ones are shown only.
type Rows struct {
	Match string `json:"match" enum:"all,any" doc:"Whether all items must hold, or any."`
	Items []Row  `json:"items" nullable:"false"`
}

// Row is one test, or a group of them. A value is a literal or, with a path, data of the event.
type Row struct {
	Field      string `json:"field,omitempty" doc:"What is tested, such as trigger.body.amount."`
	Type       string `json:"type,omitempty" enum:"text,number,date,boolean,list"`
	Test       string `json:"test,omitempty" doc:"text: is is_not contains not_contains starts_with ends_with one_of not_one_of matches has_value is_empty; number: is is_not greater greater_or_equal less less_or_equal between one_of not_one_of; date: before after within_last; boolean: is; list: contains is_empty has_more_than."`
	Value      any    `json:"value,omitempty" doc:"A text, a number, true or false; a list of them for one_of; a date or a duration as text."`
	Path       string `json:"path,omitempty" doc:"Data in the place of value, such as steps.order.limit."`
	To         any    `json:"to,omitempty" doc:"The upper end of between."`
	ToPath     string `json:"to_path,omitempty" doc:"Data in the place of to."`
	IgnoreCase bool   `json:"ignore_case,omitempty" doc:"Texts are compared in small letters."`
	Empty      bool   `json:"missing_is_empty,omitempty" doc:"A missing field counts as empty; else ordering it fails the step."`
	Group      *Rows  `json:"group,omitempty" doc:"A group; then nothing else is set."`
}

// Tests of rows by the type of the field.
var rowTests = map[string][]string{
	"text":    {"is", "is_not", "contains", "not_contains", "starts_with", "ends_with", "one_of", "not_one_of", "matches", "has_value", "is_empty"},
	"number":  {"is", "is_not", "greater", "greater_or_equal", "less", "less_or_equal", "between", "one_of", "not_one_of"},
	"date":    {"before", "after", "within_last"},
	"boolean": {"is"},
	"list":    {"contains", "is_empty", "has_more_than"},
}

// rowOperators are the tests that are one operator between the field and the value.
var rowOperators = map[string]string{
	"is": "==", "is_not": "!=", "contains": "contains", "starts_with": "startsWith", "ends_with": "endsWith", "matches": "matches",
	"greater": ">", "greater_or_equal": ">=", "less": "<", "less_or_equal": "<=", "before": "<", "after": ">",
}

const (
	maxRows     = 100 // of one condition, in all groups
	maxRowDepth = 8
)

// Depth is how many groups stand inside each other; a form edits up to one.
func (r *Rows) Depth() int {
	deepest := 0
	for i := range r.Items {
		if g := r.Items[i].Group; g != nil {
			deepest = max(deepest, 1+g.Depth())
		}
	}
	return deepest
}

// Package expression is the only room that knows expr-lang/expr. It compiles expressions and templates under
// guards, evaluates them on plain data under a time and a memory bound, and explains why a condition did not hold.
//
// The grammar is that of expr-lang, read by its parser. The evaluation is our own: it counts its steps and its bytes
// wherever an expression can make them many, so that nothing runs away, and it knows what a missing field is called.
package expression

import (
	"fmt"
	"time"
)

// Scope names the roots that an expression may read, such as trigger and steps.
type Scope struct{ Roots []string }

// Env is what an expression is evaluated on. Roots holds plain data only (see package connectors/value); the
// evaluation never changes it. One Env may serve many evaluations, one at a time.
type Env struct {
	Roots map[string]any
	Now   time.Time      // what now() gives; recorded with the step, so that a repeat sees the same
	Zone  *time.Location // for dates without a zone; nil: UTC
	Seed  string         // uuid() and random values are derived from it, so that a repeat sees the same
	// Link gives the address that a function such as approval_url names for a step; nil: there are none, such as in
	// an editor, and an example stands in.
	Link func(function, step string) (string, error)
}

// Ref is one read of data in an expression, such as steps.order.total. A call of approval_url("ask") is one too: it
// reads approval_url, ask.
type Ref struct {
	Path         []string // names from the root on; stops at the first computed index
	Line, Column int      // in the source, from 1
}

// Error is a mistake in an expression or in its evaluation.
type Error struct {
	Line, Column int // in the source, from 1; 0 where there is no place
	Message      string
	Hint         string // what to do; may be empty
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return fmt.Sprintf("%s (%s)", e.Message, e.Hint)
	}
	return e.Message
}

// Comparison is one part of a condition with the values that it saw.
type Comparison struct {
	Source string `json:"source"` // its text, such as trigger.body.total >= 100
	Left   any    `json:"left"`
	Op     string `json:"op"` // empty: the value itself was tested
	Right  any    `json:"right,omitempty"`
	Result bool   `json:"result"`
}

// Tree is a value of a workflow file whose texts may be templates, such as `with`. Exactly one of Template, List
// and Fields is set; none: Literal.
type Tree struct {
	Literal  any
	Template *Template
	List     []*Tree
	Fields   []Field // in the order of the file
	IsMap    bool    // an empty map has no Fields
}

// Field is one entry of a Tree that is a map. Keys are literal.
type Field struct {
	Key   string
	Value *Tree
}

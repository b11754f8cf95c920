package expression

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Function describes one function of the language. The documentation, the completion and the tests read the same
// table.
type Function struct {
	Name      string `json:"name"`
	Group     string `json:"group"`     // lists, text, numbers, dates, data, codes, links
	Signature string `json:"signature"` // such as join(list, separator?)
	Summary   string `json:"summary"`   // one sentence
	Example   string `json:"example"`   // an expression without roots
	Result    string `json:"result"`    // what the example gives, as JSON; empty where it differs each time

	min, max int // arguments; max < 0: any number
	call     func(m *machine, s *site, args []any) (any, error)
	loop     loopFunc
}

// functions is the table by name.
var functions = func() map[string]*Function {
	table := map[string]*Function{}
	for _, group := range [][]Function{listFunctions, textFunctions, numberFunctions, dateFunctions, dataFunctions, linkFunctions} {
		for i := range group {
			f := &group[i]
			f.loop = loops[f.Name]
			table[f.Name] = f
		}
	}
	return table
}()

// Functions gives every function of the language, by name.
func Functions() []Function {
	list := make([]Function, 0, len(functions))
	for _, name := range functionNames() {
		list = append(list, *functions[name])
	}
	return list
}

func functionNames() []string { return slices.Sorted(maps.Keys(functions)) }

func (c *compiler) call(n ast.Node, name string, args []ast.Node) (op, error) {
	f, ok := functions[name]
	if !ok {
		e := fail(n, "unknown function %s", name)
		if best := closest(name, functionNames()); best != "" {
			e.hint = "did you mean " + best + "?"
		}
		return nil, e
	}
	if len(args) < f.min || f.max >= 0 && len(args) > f.max {
		e := fail(n, "%s takes %s, not %d", name, arity(f.min, f.max), len(args))
		e.hint = f.Signature
		return nil, e
	}
	if isLink(name) {
		if _, literal := args[0].(*ast.StringNode); !literal {
			e := fail(n, "%s takes the id of a step as a text that stands there", name)
			e.hint = f.Example
			return nil, e
		}
	}
	if f.loop != nil {
		return c.loop(n, name, f.loop, args)
	}
	ops, err := c.compileAll(args)
	if err != nil {
		return nil, err
	}
	s := c.site(n, name, args...)
	return func(m *machine) (any, error) {
		base := len(m.args)
		for _, o := range ops {
			v, err := o(m)
			if err != nil {
				return nil, err
			}
			m.args = append(m.args, v)
		}
		v, err := f.call(m, s, m.args[base:])
		m.args = m.args[:base]
		if err != nil {
			return nil, place(err, s.at)
		}
		return v, nil
	}, nil
}

func arity(low, high int) string {
	switch {
	case high < 0:
		return fmt.Sprintf("at least %d values", low)
	case low == high && low == 0:
		return "no values"
	case low == high && low == 1:
		return "1 value"
	case low == high:
		return fmt.Sprintf("%d values", low)
	}
	return fmt.Sprintf("%d to %d values", low, high)
}

// The readers below give an argument in the type that a function works on.

// textOf gives a text: nil is empty, and a number, a date or true and false are what they render as.
func (s *site) textOf(m *machine, i int, v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		return "", nil
	case []any, map[string]any:
		err := s.wrong(i, v, "text")
		err.hint = "to_json(…) makes a text of it"
		return "", err
	}
	return value.Text(v), nil
}

// texts gives all arguments as texts.
func (s *site) texts(m *machine, args []any) ([]string, error) {
	out := make([]string, len(args))
	for i, v := range args {
		var err error
		if out[i], err = s.textOf(m, i, v); err != nil {
			return nil, err
		}
		if err := m.tick(len(out[i]) >> 4); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// present gives a text that must not be missing.
func (s *site) present(m *machine, i int, v any) (string, error) {
	if v == nil {
		return "", s.missing(m, i)
	}
	return s.textOf(m, i, v)
}

// list gives a list: nil is an empty one, but not where it would be counted with.
func (s *site) list(m *machine, i int, v any) ([]any, error) {
	switch v := v.(type) {
	case []any:
		return v, nil
	case nil:
		if s.name != "sum" && s.name != "reduce" {
			return []any{}, nil
		}
		err := s.missing(m, i)
		err.hint = "default(…, []) makes a missing list an empty one"
		return nil, err
	}
	err := s.wrong(i, v, "a list")
	if _, ok := v.(map[string]any); ok {
		err.hint = "values(…) gives the values of an object as a list"
	}
	return nil, err
}

func (s *site) object(m *machine, i int, v any) (map[string]any, error) {
	switch v := v.(type) {
	case map[string]any:
		return v, nil
	case nil:
		return nil, s.missing(m, i)
	}
	return nil, s.wrong(i, v, "an object")
}

func (s *site) integer(m *machine, i int, v any) (int, error) {
	if n, ok := whole(v); ok {
		return n, nil
	}
	if v == nil {
		return 0, s.missing(m, i)
	}
	return 0, s.wrong(i, v, "a whole number")
}

// whole gives a number without a fraction as an int.
func whole(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			return int(v), true
		}
	}
	return 0, false
}

// toFloat gives a number of any kind as a float64.
func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	case interface{ Float64() (float64, error) }: // json.Number
		f, err := v.Float64()
		return f, err == nil
	}
	return 0, false
}

// made pays for a text that a function gives.
func made(m *machine, text string) (any, error) {
	if err := m.grow(len(text)); err != nil {
		return nil, err
	}
	return text, nil
}

// textFunction makes a function of texts to a text.
func textFunction(f func(args []string) (string, error)) func(*machine, *site, []any) (any, error) {
	return func(m *machine, s *site, args []any) (any, error) {
		texts, err := s.texts(m, args)
		if err != nil {
			return nil, err
		}
		out, err := f(texts)
		if err != nil {
			return nil, err
		}
		return made(m, out)
	}
}

// parseNumber reads a number as a person writes it.
func parseNumber(text string) (any, error) {
	text = strings.TrimSpace(text)
	if n, err := strconv.Atoi(text); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(text, "xX_pP") {
		return nil, faultf("%s is not a number", quote(text))
	}
	return f, nil
}

package expression

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Program is an expression that was found right. It may be evaluated by many goroutines at a time. What an evaluation
// needs is made at the first one: of thousands of workflows most do nothing most of the time.
type Program struct {
	source       string
	roots        []string
	refs         []Ref
	line, column int32 // of the source in what the user wrote, from 1
	path         bool  // names data and makes none
	code         atomic.Pointer[code]
}

// code is what evaluates an expression.
type code struct {
	run   op
	slots int
	used  atomic.Bool // since kept looked at it last

	explainOnce  sync.Once
	explainer    *condition // nil until Explain is called
	explainSlots int
}

// kept bounds how many programs have their code, in the order in which they got it. One whose turn it is to give it up
// stays for another round when it was used.
var kept struct {
	mu   sync.Mutex
	ring []*Program
	next int
}

// maxKept programs take about 8 MB with their code.
const maxKept = 4096

// Compile reads an expression that may use the roots of the scope. The error is an *Error.
func Compile(src string, s *Scope) (*Program, error) {
	return compileAt(src, s, 1, 1)
}

func compileAt(src string, s *Scope, line, column int) (*Program, error) {
	tree, err := parse(src)
	if err != nil {
		return nil, report(err, src, line, column)
	}
	p := &Program{source: src, line: int32(line), column: int32(column), path: isPath(tree), refs: refs(tree, src, line, column)}
	if s != nil {
		p.roots = s.Roots
	}
	c := &compiler{src: src, roots: p.roots}
	if _, err = c.compile(tree); err != nil {
		return nil, report(err, src, line, column)
	}
	return p, nil
}

// compiled gives the code of the program, and makes it if it is not there.
func (p *Program) compiled() *code {
	if c := p.code.Load(); c != nil {
		if !c.used.Load() {
			c.used.Store(true)
		}
		return c
	}
	made := &code{}
	c := &compiler{src: p.source, roots: p.roots}
	tree, err := parse(p.source)
	if err == nil {
		made.run, err = c.compile(tree)
	}
	if made.slots = c.slots; err != nil { // compileAt accepted the same text, so this does not happen
		made.run = func(*machine) (any, error) { return nil, err }
	}
	if !p.code.CompareAndSwap(nil, made) {
		return made // another goroutine was faster; both are right
	}
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if len(kept.ring) < maxKept {
		kept.ring = append(kept.ring, p)
		return made
	}
	for range kept.ring {
		old := kept.ring[kept.next].code.Load()
		if old == nil || !old.used.Swap(false) {
			break
		}
		kept.next = (kept.next + 1) % maxKept
	}
	kept.ring[kept.next].code.Store(nil)
	kept.ring[kept.next] = p
	kept.next = (kept.next + 1) % maxKept
	return made
}

// Source gives the text of the expression.
func (p *Program) Source() string { return p.source }

// Refs gives what the expression reads, in the order of its text.
func (p *Program) Refs() []Ref { return p.refs }

// Eval gives the value of the expression as plain data. An expression that only names data, such as trigger.body,
// gives that data itself: whoever changes it makes a value.Clone first. Mistakes of the expression are an *Error; the error of ctx stays itself.
func (p *Program) Eval(ctx context.Context, env *Env) (any, error) {
	m := newMachine(ctx, env)
	defer m.release()
	v, err := p.eval(m)
	if err == nil && !p.path {
		v, err = m.plain(v)
	}
	if err != nil {
		return nil, p.report(err)
	}
	return v, nil
}

// Bool is Eval for a condition: nil is false, and anything but true and false is an error.
func (p *Program) Bool(ctx context.Context, env *Env) (bool, error) {
	m := newMachine(ctx, env)
	defer m.release()
	v, err := p.eval(m)
	if err != nil {
		return false, p.report(err)
	}
	switch v := v.(type) {
	case bool:
		return v, nil
	case nil:
		return false, nil
	}
	f := faultf("the condition needs to be true or false, but it is %s", kind(v))
	f.at, f.hint = 0, "compare it, as in … != nil or … > 0"
	return false, p.report(f)
}

// eval runs the program on a machine. What it gives may hold dates, durations and shared data.
func (p *Program) eval(m *machine) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, faultf("the evaluation failed: %v", r)
			m.args, m.frames = m.args[:0], m.frames[:0]
		}
	}()
	c := p.compiled()
	m.reserve(c.slots)
	return c.run(m)
}

func (p *Program) report(err error) error { return report(err, p.source, int(p.line), int(p.column)) }

// plain gives a computed result as fresh plain data of at most maxOutput bytes.
func (m *machine) plain(v any) (any, error) {
	switch v.(type) {
	case nil, bool, int, float64:
		return v, finite(v)
	}
	return m.copy(v, &m.output, 0)
}

// copy gives fresh plain data of v and takes its size as JSON, about, from left.
func (m *machine) copy(v any, left *int, depth int) (any, error) {
	if depth > value.MaxDepth {
		return nil, faultf("the result has more than %d levels inside each other", value.MaxDepth)
	}
	switch x := v.(type) {
	case string:
		*left -= len(x) + 2
	case []any:
		if *left -= 2 * len(x); *left < 0 {
			break
		}
		list := make([]any, len(x))
		for i, item := range x {
			var err error
			if list[i], err = m.copy(item, left, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		if *left -= 5 * len(x); *left < 0 {
			break
		}
		object := make(map[string]any, len(x))
		for key, item := range x {
			*left -= len(key)
			var err error
			if object[key], err = m.copy(item, left, depth+1); err != nil {
				return nil, err
			}
		}
		return object, nil
	default:
		v = plainTime(v)
		*left -= 4
	}
	if *left < 0 {
		limit := maxOutput
		if left == &m.copied {
			limit = maxCopied
		}
		return nil, faultf("the result is larger than %d MiB", limit>>20)
	}
	return v, finite(v)
}

// finite refuses the numbers that JSON cannot hold.
func finite(v any) error {
	f, ok := v.(float64)
	if !ok || f-f == 0 {
		return nil
	}
	if f != f {
		return faultf("the result is not a number (NaN)")
	}
	return faultf("the result is infinite: a number became too large")
}

package expression

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Bounds on one evaluation, of an expression or of a whole Tree. Steps make the bound the same on every machine and
// on every repeat; the clock only catches what costs more than its steps say.
const (
	maxSteps    = 1_000_000              // parts of expressions evaluated, each some 20 to 100 ns
	maxBytes    = 16 << 20               // memory asked for by texts, lists and objects that the evaluation makes
	maxOutput   = 1 << 20                // bytes of a computed result as JSON
	maxCopied   = 32 << 20               // bytes of results that only name data, such as ${{ trigger.body }}
	maxTime     = 500 * time.Millisecond // by the clock; looked at every checkEvery steps
	checkEvery  = 4096
	sizeOfItem  = 16 // bytes of memory that a list element costs, beside its data
	sizeOfField = 64 // bytes of memory that a field of an object costs, beside its data
)

// op is a compiled part of an expression.
type op func(m *machine) (any, error)

// machine is the state of one evaluation.
type machine struct {
	ctx      context.Context
	env      *Env
	steps    int // left
	check    int // steps left at which the clock is looked at next
	bytes    int // left
	output   int // left
	copied   int // left
	deadline time.Time
	uuids    int
	vars     []any   // of `let`, by slot
	args     []any   // of the calls under way
	frames   []frame // of the predicates under way
}

// frame is one predicate under way: what #, #index and #acc mean.
type frame struct {
	item, acc any
	index     int
}

var machines = sync.Pool{New: func() any { return new(machine) }}

func newMachine(ctx context.Context, env *Env) *machine {
	m := machines.Get().(*machine)
	if env == nil {
		env = &Env{}
	}
	m.ctx, m.env = ctx, env
	m.steps, m.check, m.bytes, m.output, m.copied = maxSteps, maxSteps-checkEvery, maxBytes, maxOutput, maxCopied
	return m
}

func (m *machine) release() {
	clear(m.vars)
	clear(m.args[:cap(m.args)])
	clear(m.frames[:cap(m.frames)])
	m.ctx, m.env, m.deadline, m.uuids = nil, nil, time.Time{}, 0
	m.vars, m.args, m.frames = m.vars[:0], m.args[:0], m.frames[:0]
	machines.Put(m)
}

// reserve makes room for n variables.
func (m *machine) reserve(n int) {
	if cap(m.vars) < n {
		m.vars = make([]any, n)
	}
	m.vars = m.vars[:n]
	clear(m.vars)
}

// tick pays for n steps and looks at the clock now and then.
func (m *machine) tick(n int) error {
	m.steps -= n
	if m.steps >= m.check {
		return nil
	}
	return m.look()
}

func (m *machine) look() error {
	if m.steps < 0 {
		return &fault{
			at: noPlace, message: "the evaluation takes too long and was stopped",
			hint: "work on fewer items, or split the work over several steps",
		}
	}
	m.check = m.steps - checkEvery
	if err := m.ctx.Err(); err != nil {
		return fmt.Errorf("evaluate: %w", context.Cause(m.ctx))
	}
	now := time.Now()
	if m.deadline.IsZero() {
		m.deadline = now.Add(maxTime)
	}
	if now.After(m.deadline) {
		return &fault{
			at: noPlace, message: fmt.Sprintf("the evaluation took longer than %v and was stopped", maxTime),
			hint: "work on fewer items, or split the work over several steps",
		}
	}
	return nil
}

// grow pays for n bytes of memory, and for the time it takes to fill them.
func (m *machine) grow(n int) error {
	if n > m.bytes || n < 0 {
		return &fault{
			at: noPlace, message: fmt.Sprintf("the evaluation needs more than %d MiB of memory and was stopped", maxBytes>>20),
			hint: "work on fewer or smaller items",
		}
	}
	m.bytes -= n
	return m.tick(n >> 8)
}

// noPlace is the offset of a fault whose place is not known yet.
const noPlace = -1

// fault is an error inside a source; the outer functions make an *Error of it.
type fault struct {
	at            int // offset in characters
	message, hint string
}

func (f *fault) Error() string { return f.message }

func faultf(format string, args ...any) *fault {
	return &fault{at: noPlace, message: fmt.Sprintf(format, args...)}
}

// place gives err the offset at, if it is a fault that has none.
func place(err error, at int) error {
	if f, ok := err.(*fault); ok && f.at == noPlace { //nolint:errorlint // faults are never wrapped
		f.at = at
	}
	return err
}

// report makes an *Error of a fault. The source begins at a line and a column (both from 1) of what the user wrote.
func report(err error, src string, line, column int) error {
	f, ok := err.(*fault) //nolint:errorlint // faults are never wrapped
	if !ok {
		return err
	}
	e := &Error{Message: f.message, Hint: f.hint, Line: line, Column: column}
	if f.at != noPlace {
		e.Line, e.Column = position(src, f.at, line, column)
	}
	return e
}

// position gives the line and the column, from 1, of an offset in characters.
func position(src string, offset, line, column int) (int, int) {
	for _, r := range src {
		if offset == 0 {
			break
		}
		offset--
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return line, column
}

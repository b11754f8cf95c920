package engine

import (
	"maps"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// scope is what expressions see in one place of a run, and how the keys of its steps begin.
type scope struct {
	outer  *scope
	loop   *workflow.Step // of which it is a round; nil: none
	prefix string         // of the keys in it: lines[12].
	roots  map[string]any
	steps  map[string]any // roots["steps"]
	errs   map[string]any // roots["errors"]
	inner  []string       // ids of the steps in the loop, which begin anew in each round
}

func newScope(roots map[string]any) *scope {
	sc := &scope{roots: roots, steps: make(map[string]any, 8), errs: map[string]any{}}
	roots["steps"], roots["errors"] = sc.steps, sc.errs
	return sc
}

// key is that of a step in the journal.
func (sc *scope) key(id string) string { return sc.prefix + id }

// fork is the same place for a branch that runs beside others: what it calls `error` is its own.
func (sc *scope) fork() *scope {
	c := *sc
	c.roots = maps.Clone(sc.roots)
	return &c
}

// rounds is the place of the rounds of a loop, one after another.
func (sc *scope) rounds(s *workflow.Step, loop *workflow.ForEach) *scope {
	c := &scope{outer: sc, loop: s, roots: maps.Clone(sc.roots), steps: maps.Clone(sc.steps), errs: maps.Clone(sc.errs)}
	c.roots["steps"], c.roots["errors"] = c.steps, c.errs
	workflow.Walk(loop.Steps, func(s *workflow.Step) { c.inner = append(c.inner, s.ID) })
	return c
}

// enter begins a round.
func (sc *scope) enter(prefix, as string, item any, index int) {
	sc.prefix = prefix
	sc.roots[as], sc.roots["index"] = item, index
	for _, id := range sc.inner {
		delete(sc.steps, id)
		delete(sc.errs, id)
	}
}

// keyOf is the key of a step that may stand further outside.
func (sc *scope) keyOf(s *workflow.Step) string {
	loop := loopAround(s)
	for at := sc; at != nil; at = at.outer {
		if at.loop == loop {
			return at.key(s.ID)
		}
	}
	return s.ID
}

// loopAround is the for_each step in whose rounds s runs; nil: none.
func loopAround(s *workflow.Step) *workflow.Step {
	for ; s.Parent != nil; s = s.Parent {
		if _, loop := s.Parent.Do.(*workflow.ForEach); loop && s.Branch >= 0 {
			return s.Parent
		}
	}
	return nil
}

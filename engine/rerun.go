package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Rerun says how to repeat a run.
type Rerun struct {
	From    string // start (default), failed, or the id of a step: what came before keeps its results, or is skipped if it has none
	Version string // then (default) or now
	Data    any    // replaces the body of the event; nil: the same event

	done   bool   // the step that failed counts as done
	output string // its output as JSON; empty: none
}

// Repeat is a step that changed something outside in the old run, or may have, and that a rerun does again.
type Repeat struct {
	Step string `json:"step"` // path
	Use  string `json:"use"`  // the action, or the workflow that it calls
}

// again is a rerun that is worked out and not stored.
type again struct {
	run     *NewRun
	repeats []Repeat
}

// Rerun starts a new run with the event of an old one, linked to it. The old run is not touched.
func (e *Engine) Rerun(ctx context.Context, id RunID, how Rerun) (RunID, error) {
	a, err := e.plan(ctx, id, how)
	if err != nil {
		return RunID{}, err
	}
	return e.startAgain(ctx, id, a, decided(id, DecideAgain))
}

// Repeats tells what a rerun would do a second time outside. Nothing is started.
func (e *Engine) Repeats(ctx context.Context, id RunID, how Rerun) ([]Repeat, error) {
	a, err := e.plan(ctx, id, how)
	if err != nil {
		return nil, err
	}
	return a.repeats, nil
}

func (e *Engine) startAgain(ctx context.Context, id RunID, a *again, decision Put) (RunID, error) {
	before, err := e.Decision(ctx, id)
	if err != nil {
		return RunID{}, fmt.Errorf("rerun %s: %w", id, err)
	}
	acc, err := e.store(ctx, Batch{Runs: []NewRun{*a.run}, Puts: []Put{decision}})
	if err != nil {
		return RunID{}, fmt.Errorf("rerun %s: %w", id, err)
	}
	if acc[0].Dropped {
		if before == "" { // a drop writes the puts; nobody has decided yet
			decision.Value, decision.AnyRev = nil, true
			if _, err := e.Store.Accept(ctx, Batch{Puts: []Put{decision}}); err != nil {
				return RunID{}, fmt.Errorf("rerun %s: %w", id, err)
			}
		}
		return RunID{}, ErrDropped
	}
	return acc[0].ID, nil
}

func (e *Engine) plan(ctx context.Context, id RunID, how Rerun) (*again, error) {
	recs, err := e.Store.Read(ctx, id, 0)
	if err != nil {
		return nil, fmt.Errorf("rerun %s: %w", id, err)
	}
	st, err := foldJournal(recs, true)
	if err != nil {
		return nil, fmt.Errorf("rerun %s: %w", id, err)
	}
	var w *workflow.Workflow
	switch how.Version {
	case "", "then":
		if w, err = e.Version(ctx, st.head.Workflow, st.head.Version); err != nil {
			return nil, fmt.Errorf("rerun %s: %w", id, err)
		}
	case "now":
		if w = e.Workflow(st.head.Workflow); w == nil {
			return nil, &InputError{fmt.Sprintf("workflow %s has no version now: its file is gone", st.head.Workflow)}
		}
	default:
		return nil, &InputError{fmt.Sprintf("version %q: want then or now", how.Version)}
	}
	ev, err := DecodeEvent(st.accepted.Data)
	if err != nil {
		return nil, fmt.Errorf("rerun %s: %w", id, err)
	}
	ev.Workflow, ev.At, ev.Parent, ev.Urgent, ev.Test = w.ID, time.Now(), id, true, TestMode(st.head.Trigger)
	if how.Data != nil {
		if ev.Fields == nil {
			ev.Fields = map[string]any{}
		}
		ev.Fields["body"], ev.Raw = how.Data, nil
	}
	carry, err := newCarrier(st, w, how)
	if err != nil {
		return nil, err
	}
	carry.walk(st.order)
	r, err := e.newRun(ctx, ev, w)
	if err != nil {
		return nil, fmt.Errorf("rerun %s: %w", id, err)
	}
	r.Carry = carry.records
	return &again{r, e.repeats(st, w, carry)}, nil
}

// repeats are the steps of the old run whose effects the new one has not taken over.
func (e *Engine) repeats(st *runState, w *workflow.Workflow, c *carrier) []Repeat {
	const most = 100
	var list []Repeat
	for _, key := range slices.Sorted(maps.Keys(st.steps)) {
		s, step := st.steps[key], w.Step(idOf(key))
		if s.attempts == 0 || step == nil || c.taken[key] || c.failure[step] || len(list) == most {
			continue
		}
		switch do := step.Do.(type) {
		case *workflow.Use:
			if a, err := e.action(do); err == nil {
				input, _ := value.DecodeJSON(s.input)
				fields, _ := input.(map[string]any)
				if a.IsSafe(fields) || a.Local {
					continue
				}
			}
			if s.status == StatusFailed && s.retryAt.IsZero() {
				if f := s.failure(); f.Status >= 400 && f.Status < 500 {
					continue // it was refused
				}
			}
			list = append(list, Repeat{key, do.Connector + "." + do.Action})
		case *workflow.Call:
			list = append(list, Repeat{key, do.Workflow})
		}
	}
	return list
}

// carrier picks the results that a rerun takes over.
type carrier struct {
	st      *runState
	how     Rerun
	steps   map[string]*workflow.Step
	failure map[*workflow.Step]bool // those of on_failure
	before  map[string]bool         // by id; nil: everything that need not be done again
	around  map[string]bool         // ids of the steps around the one that it starts from
	ended   bool                    // it starts in on_failure, so what failed stays failed
	taken   map[string]bool         // keys
	records []Record
}

func newCarrier(st *runState, w *workflow.Workflow, how Rerun) (*carrier, error) {
	c := &carrier{st: st, how: how, steps: map[string]*workflow.Step{}, failure: map[*workflow.Step]bool{}, taken: map[string]bool{}, around: map[string]bool{}}
	workflow.Walk(w.Steps, func(s *workflow.Step) { c.steps[s.ID] = s })
	workflow.Walk(w.OnFailure, func(s *workflow.Step) { c.steps[s.ID], c.failure[s] = s, true })
	if how.From == "" || how.From == "start" {
		c.before = map[string]bool{}
		return c, nil
	}
	if how.From == "failed" {
		for key, s := range st.steps {
			if step := c.steps[idOf(key)]; step == nil || !c.failure[step] {
				if c.redo(step, s) {
					return c, nil
				}
			}
		}
		return nil, &InputError{"no step of this run failed: run it again from the start or from a step"}
	}
	from := c.steps[how.From]
	if from == nil {
		return nil, &InputError{fmt.Sprintf("this version of the workflow has no step %q", how.From)}
	}
	for at := from.Parent; at != nil; at = at.Parent {
		c.around[at.ID] = true
	}
	c.before = map[string]bool{}
	found := false
	visit := func(s *workflow.Step) {
		found = found || s == from
		c.before[s.ID] = !found
	}
	workflow.Walk(w.Steps, visit)
	c.ended = !found
	workflow.Walk(w.OnFailure, visit)
	return c, nil
}

// redo reports whether a step has to run again where a run goes on from what failed.
func (c *carrier) redo(step *workflow.Step, s *stepState) bool {
	switch {
	case !s.done(), s.status == StatusUnknown, s.status == StatusCanceled:
		return true
	case s.status == StatusFailed:
		return step == nil || step.OnError.Mode == workflow.OnErrorStop
	}
	return false
}

func (c *carrier) walk(keys []string) {
	for _, key := range keys {
		if !c.step(key) {
			continue
		}
		for _, n := range slices.Sorted(maps.Keys(c.st.rounds[key])) {
			r := c.st.rounds[key][n]
			if c.before == nil && (r.status == StatusSucceeded || r.status == StatusFiltered) {
				c.round(key, n, r)
				continue
			}
			c.walk(r.members)
		}
	}
}

// round carries a round that is done, with the steps in it: a rerun of the rerun may begin at one of them.
func (c *carrier) round(loop string, n int, r *round) {
	for _, key := range r.members {
		s := c.st.steps[key]
		if !s.done() {
			continue
		}
		rec := Record{At: s.at, Kind: KindStepCompleted, Step: key, Status: s.status, Reason: reasonCarried, Took: s.took, Data: s.data}
		if s.status >= StatusFailed && s.status != StatusSkipped {
			rec.Kind = KindStepFailed
		}
		for _, inner := range slices.Sorted(maps.Keys(c.st.rounds[key])) {
			c.round(key, inner, c.st.rounds[key][inner])
		}
		c.add(rec)
	}
	if r.status != StatusSucceeded && r.status != StatusFiltered {
		return
	}
	c.records = append(c.records, Record{
		At: c.st.accepted.At, Kind: KindStepCompleted, Step: roundKey(loop, n), Status: r.status, Reason: reasonCarried, Data: r.data,
	})
}

// step carries one step, or nothing. inside reports that what is inside it has to be looked at.
func (c *carrier) step(key string) (inside bool) {
	s, id := c.st.steps[key], idOf(key)
	step := c.steps[id]
	if step == nil {
		return false
	}
	r := Record{At: s.at, Kind: KindStepCompleted, Step: key, Status: s.status, Reason: reasonCarried, Took: s.took, Data: s.data}
	if c.before == nil {
		if c.failure[step] {
			return false
		}
		if c.redo(step, s) {
			if _, call := step.Do.(*workflow.Use); c.how.done && call {
				r.Status, r.Data = StatusSucceeded, []byte(c.how.output)
				c.add(r)
			}
			return true
		}
	} else if !c.before[id] {
		return false
	} else if c.around[id] {
		return true
	}
	handled := s.status == StatusFailed && step.OnError.Mode != workflow.OnErrorStop
	switch {
	case s.status == StatusSucceeded, s.status == StatusSkipped:
	case s.done() && (s.status == StatusFailed || s.status == StatusUnknown) && (c.ended || handled):
		r.Kind = KindStepFailed
	case c.before == nil: // filtered: it decides again
		return false
	default: // whoever starts behind it has dealt with it: it must not happen again
		r.Status, r.Data = StatusSkipped, nil
	}
	for _, n := range slices.Sorted(maps.Keys(c.st.rounds[key])) {
		c.round(key, n, c.st.rounds[key][n])
	}
	c.add(r)
	return false
}

func (c *carrier) add(r Record) {
	c.taken[r.Step] = true
	c.records = append(c.records, r)
}

// Decisions on a run that failed or whose outcome is unknown.
const (
	DecideDone   = "done"    // what failed counts as done, with an output: a new run goes on behind it
	DecideAgain  = "again"   // a new run goes on from what failed
	DecideGiveUp = "give_up" // nothing more is done
)

const decisionsKept = 400 * 24 * time.Hour // longer than any history

func decisionKey(id RunID) string { return "decided/" + id.String() }

func decided(id RunID, what string) Put {
	return Put{Key: decisionKey(id), Value: []byte(what), AnyRev: true, TTL: decisionsKept}
}

// NeedsDecision reports whether a run failed and nobody has said what is to become of it.
func (e *Engine) NeedsDecision(ctx context.Context, r *Row) (bool, error) {
	if r.Status != StatusFailed {
		return false, nil
	}
	decision, err := e.Decision(ctx, r.ID)
	return decision == "" && err == nil, err
}

// Decision is what became of a run that failed: one of DecideDone, DecideAgain (also by a rerun) and DecideGiveUp; empty
// while nobody has decided.
func (e *Engine) Decision(ctx context.Context, id RunID) (string, error) {
	what, _, err := e.Store.KV().Get(ctx, decisionKey(id))
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return string(what), err
}

// ErrDecided says that somebody has decided on a run before, or has run it again.
var ErrDecided = errors.New("it was decided on already")

// Resolve decides on a run that failed. It returns the run that goes on, zero for DecideGiveUp. output is that of the steps
// that count as done, nil for none. One decision counts: of two that come at the same time, the second is ErrDecided, so
// that what follows does not happen twice.
func (e *Engine) Resolve(ctx context.Context, id RunID, decision string, output any) (RunID, error) {
	recs, err := e.Store.Read(ctx, id, 0)
	if err != nil {
		return RunID{}, fmt.Errorf("resolve %s: %w", id, err)
	}
	if last := &recs[len(recs)-1]; last.Kind != KindFinished || last.Status != StatusFailed {
		return RunID{}, &InputError{"only a run that failed can be decided on"}
	}
	first := decided(id, decision)
	first.AnyRev = false // of a key that is not there
	how := Rerun{From: "failed"}
	switch decision {
	case DecideGiveUp:
		_, err := e.Store.Accept(ctx, Batch{Puts: []Put{first}})
		return RunID{}, e.undecided(ctx, id, err)
	case DecideAgain:
	case DecideDone:
		how.done = true
		if output != nil {
			text, err := value.AppendJSON(nil, output)
			if err != nil {
				return RunID{}, &InputError{"the output cannot be stored: " + err.Error()}
			}
			how.output = string(text)
		}
	default:
		return RunID{}, &InputError{fmt.Sprintf("%q: want %s, %s or %s", decision, DecideDone, DecideAgain, DecideGiveUp)}
	}
	a, err := e.plan(ctx, id, how)
	if err != nil {
		return RunID{}, err
	}
	made, err := e.startAgain(ctx, id, a, first)
	return made, e.undecided(ctx, id, err)
}

// undecided makes ErrDecided of the conflict of a decision with one before.
func (e *Engine) undecided(ctx context.Context, id RunID, err error) error {
	if !errors.Is(err, ErrConflict) {
		return err
	}
	before, err := e.Decision(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrDecided, before)
}

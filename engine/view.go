package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// RunView is a run as the API shows it.
type RunView struct {
	ID         string     `json:"id"`
	Workflow   string     `json:"workflow"`
	Version    string     `json:"version"`
	Status     string     `json:"status"`
	Reason     string     `json:"reason,omitempty"`
	Summary    string     `json:"summary,omitempty"`
	Parent     string     `json:"parent,omitempty"` // the run that this one repeats
	Test       string     `json:"test,omitempty" enum:"pretend,really" doc:"It is a test run; pretend: calls that do more than read were not made."`
	Caller     string     `json:"caller,omitempty"` // the run that called this one
	CallerStep string     `json:"caller_step,omitempty"`
	Trigger    any        `json:"trigger"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Steps      []StepView `json:"steps"`
}

// StepView is one step of a run, or one round of a loop. Steps come in the order in which they began, those inside a
// step behind it, by branch or round.
type StepView struct {
	ID        string                  `json:"id"`
	Path      string                  `json:"path"`             // unlike ID, of one round: lines[12].tell
	Parent    string                  `json:"parent,omitempty"` // path of the step or round around it
	Branch    string                  `json:"branch,omitempty"` // of the parent: name of the path or branch, or on_error
	Round     *int                    `json:"round,omitempty"`  // of a round: which, from 0
	Rounds    *RoundsView             `json:"rounds,omitempty"` // of a loop
	Kind      string                  `json:"kind"`
	Name      string                  `json:"name,omitempty"`
	Status    string                  `json:"status"`
	Attempts  int                     `json:"attempts"`
	StartedAt time.Time               `json:"started_at"`
	MS        float64                 `json:"ms"`
	Input     json.RawMessage         `json:"input,omitempty"`
	Output    json.RawMessage         `json:"output,omitempty"`
	Error     *StepError              `json:"error,omitempty"`
	RetryAt   *time.Time              `json:"retry_at,omitempty"`
	Until     *time.Time              `json:"until,omitempty"`   // while it waits
	Run       string                  `json:"run,omitempty"`     // of a call step: the run that it started
	Because   []expression.Comparison `json:"because,omitempty"` // what decided a filter
	Carried   bool                    `json:"carried,omitempty"` // taken over from the run that this one repeats
	Summary   string                  `json:"summary,omitempty"`
}

// View reads one run, live or finished. ErrNotFound: there is none, or its history is gone.
func (e *Engine) View(ctx context.Context, id RunID) (*RunView, error) {
	recs, err := e.Store.Read(ctx, id, 0)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", id, err)
	}
	var w *workflow.Workflow
	if len(recs) > 0 && recs[0].Head != nil {
		// Without its version a run still shows, with step ids for names.
		w, _ = e.Version(ctx, recs[0].Head.Workflow, recs[0].Head.Version)
	}
	v, err := NewRunView(id, w, recs)
	if err == nil && v.Status == StatusQueued.String() && e.isWorking(id) {
		v.Status = StatusRunning.String() // its first call is under way and leaves no record before it is answered
	}
	return v, err
}

func (e *Engine) isWorking(id RunID) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.running[id] != nil
}

// NewRunView makes the view of a journal. w names its steps; nil leaves names out.
func NewRunView(id RunID, w *workflow.Workflow, recs []Record) (*RunView, error) {
	st, err := foldJournal(recs, true)
	if err != nil && st.accepted == nil {
		return nil, fmt.Errorf("read run %s: %w", id, err)
	}
	h := &st.head
	v := &RunView{
		ID: id.String(), Workflow: h.Workflow, Version: h.Version, Status: st.status().String(),
		StartedAt: st.accepted.At, Steps: make([]StepView, 0, len(st.order)),
	}
	if err != nil {
		v.Summary = err.Error()
	}
	v.Test = TestMode(h.Trigger)
	if !h.Parent.IsZero() {
		v.Parent = h.Parent.String()
	}
	if !h.Caller.IsZero() {
		v.Caller, v.CallerStep = h.Caller.String(), h.CallerStep
	}
	if f := st.finished; f != nil {
		v.Reason, v.Summary, v.FinishedAt = f.Reason, string(f.Data), &f.At
	}
	if ev, err := DecodeEvent(st.accepted.Data); err == nil {
		if root, err := ev.Root(false); err == nil {
			v.Trigger = root
		}
	}
	vw := newViewer(st, w, recs)
	for _, key := range vw.top {
		vw.add(key, maxShownRounds)
	}
	v.Steps = append(v.Steps, vw.steps...)
	return v, nil
}

// RoundsView counts the rounds of a loop.
type RoundsView struct {
	Total  int `json:"total"`
	Done   int `json:"done"`
	Failed int `json:"failed"`
	Shown  int `json:"shown"` // how many of them the run shows; the rest come page by page
}

// maxShownRounds bounds the rounds of a loop that a run shows: the first, and the first that failed.
const maxShownRounds = 20

// RoundSteps returns the rounds of one loop with their steps: at most limit of them from round first on, and where the
// next page begins, -1 at the end. ErrNotFound: the run has no such loop.
func RoundSteps(id RunID, w *workflow.Workflow, recs []Record, loop string, first, limit int) (steps []StepView, next int, err error) {
	st, err := foldJournal(recs, true)
	if err != nil && st.accepted == nil {
		return nil, 0, fmt.Errorf("read run %s: %w", id, err)
	}
	if st.rounds[loop] == nil {
		if s := st.steps[loop]; s == nil || stepOf(w, loop) == nil || stepOf(w, loop).Kind != "for_each" {
			return nil, 0, fmt.Errorf("run %s has no loop %q: %w", id, loop, ErrNotFound)
		}
	}
	vw := newViewer(st, w, recs)
	numbers := slices.Sorted(maps.Keys(st.rounds[loop]))
	at, _ := slices.BinarySearch(numbers, first)
	for _, n := range numbers[at:] {
		if limit--; limit < 0 {
			return vw.steps, n, nil
		}
		vw.addRound(loop, n, maxShownRounds)
	}
	return vw.steps, -1, nil
}

// RoundSteps reads the rounds of a loop of a run, live or finished.
func (e *Engine) RoundSteps(ctx context.Context, id RunID, loop string, first, limit int) ([]StepView, int, error) {
	recs, err := e.Store.Read(ctx, id, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("read run %s: %w", id, err)
	}
	var w *workflow.Workflow
	if len(recs) > 0 && recs[0].Head != nil {
		w, _ = e.Version(ctx, recs[0].Head.Workflow, recs[0].Head.Version)
	}
	return RoundSteps(id, w, recs, loop, first, limit)
}

// viewer draws steps in the order of a tree.
type viewer struct {
	st      *runState
	byID    map[string]*workflow.Step
	carried map[string]bool
	top     []string
	inside  map[string][]string // by path of a step or round
	steps   []StepView
}

func newViewer(st *runState, w *workflow.Workflow, recs []Record) *viewer {
	vw := &viewer{st: st, carried: map[string]bool{}, inside: map[string][]string{}, byID: map[string]*workflow.Step{}}
	if w != nil {
		note := func(s *workflow.Step) { vw.byID[s.ID] = s }
		workflow.Walk(w.Steps, note)
		workflow.Walk(w.OnFailure, note)
	}
	for i := range recs {
		if recs[i].Reason == reasonCarried {
			vw.carried[recs[i].Step] = true
		}
	}
	place := func(key string) {
		if parent, _ := vw.around(key); parent != "" {
			vw.inside[parent] = append(vw.inside[parent], key)
		} else {
			vw.top = append(vw.top, key)
		}
	}
	for _, key := range st.order {
		place(key)
	}
	for _, rounds := range st.rounds {
		for _, r := range rounds {
			for _, key := range r.members {
				place(key)
			}
		}
	}
	for parent := range vw.inside {
		slices.SortStableFunc(vw.inside[parent], func(a, b string) int { return vw.branchOf(a) - vw.branchOf(b) })
	}
	return vw
}

// idOf is the step id at the end of a path.
func idOf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// around is the path of the step or round in which a step stands, and the name of the branch.
func (vw *viewer) around(key string) (parent, branch string) {
	prefix := key[:strings.LastIndexByte(key, '.')+1]
	s := vw.byID[idOf(key)]
	if s == nil || s.Parent == nil {
		return strings.TrimSuffix(prefix, "."), ""
	}
	if s.Branch < 0 {
		return prefix + s.Parent.ID, "on_error"
	}
	switch do := s.Parent.Do.(type) {
	case *workflow.Paths:
		return prefix + s.Parent.ID, do.Branches[s.Branch].Name
	case *workflow.Parallel:
		return prefix + s.Parent.ID, do.Branches[s.Branch].Name
	}
	return strings.TrimSuffix(prefix, "."), ""
}

func (vw *viewer) branchOf(key string) int {
	s := vw.byID[idOf(key)]
	switch {
	case s == nil:
		return 0
	case s.Branch < 0:
		return 1 << 20
	}
	return s.Branch
}

// add draws a step and what is inside it, at most so many rounds of a loop.
func (vw *viewer) add(key string, most int) {
	at := len(vw.steps)
	vw.steps = append(vw.steps, vw.step(key))
	if rounds := vw.st.rounds[key]; rounds != nil {
		count := RoundsView{Total: len(rounds)}
		var input struct{ Rounds int }
		if s := vw.st.steps[key]; s != nil && json.Unmarshal(s.input, &input) == nil {
			count.Total = max(count.Total, input.Rounds)
		}
		failed := 0
		for _, n := range slices.Sorted(maps.Keys(rounds)) {
			r := rounds[n]
			switch r.status {
			case StatusSucceeded, StatusFiltered:
				count.Done++
			case StatusFailed:
				count.Failed++
			}
			if count.Shown < most || r.status == StatusFailed && failed < most {
				if count.Shown >= most {
					failed++
				}
				count.Shown++
				vw.addRound(key, n, most)
			}
		}
		vw.steps[at].Rounds = &count
	}
	for _, inner := range vw.inside[key] {
		vw.add(inner, most)
	}
}

func (vw *viewer) addRound(loop string, n, most int) {
	r, key := vw.st.rounds[loop][n], roundKey(loop, n)
	status := r.status
	if status == 0 {
		status = vw.open(nil)
	}
	sv := StepView{ID: idOf(key), Path: key, Parent: loop, Kind: "round", Round: &n, Status: status.String(), Carried: vw.carried[key]}
	switch r.status {
	case StatusSucceeded:
		sv.Output = rawJSON(r.data)
	case StatusFiltered:
		if json.Unmarshal(r.data, &sv.Because) == nil {
			sv.Summary = filterSummary(r.data)
		}
	case StatusFailed:
		sv.Error = (&stepState{data: r.data}).failure()
		sv.Summary = sv.Error.Message
	}
	for _, member := range r.members {
		if s := vw.st.steps[member]; s != nil {
			if sv.StartedAt.IsZero() || s.begun.Before(sv.StartedAt) {
				sv.StartedAt = s.begun
			}
			sv.MS = max(sv.MS, float64(s.at.Sub(sv.StartedAt).Microseconds())/1000)
		}
	}
	vw.steps = append(vw.steps, sv)
	for _, inner := range vw.inside[key] {
		vw.add(inner, most)
	}
}

// open is the status of what has begun and not ended. Nobody saw how a call of a quarantined run ended.
func (vw *viewer) open(s *workflow.Step) Status {
	f := vw.st.finished
	switch {
	case f == nil:
		return StatusRunning
	case s != nil && s.Kind != "use" && f.Reason != ReasonQuarantined:
		return StatusCanceled
	case s == nil && f.Reason != ReasonQuarantined:
		return StatusCanceled
	}
	return StatusUnknown
}

func (vw *viewer) step(key string) StepView {
	st := vw.st
	s := st.steps[key]
	sv := StepView{
		ID: idOf(key), Path: key, Status: s.status.String(), Attempts: s.attempts, StartedAt: s.begun,
		MS: float64(s.took.Microseconds()) / 1000, Input: rawJSON(s.input), Carried: vw.carried[key],
	}
	sv.Parent, sv.Branch = vw.around(key)
	step := vw.byID[sv.ID]
	if step != nil {
		sv.Kind, sv.Name = step.Kind, step.Name
	}
	if sv.Kind == "call" {
		sv.Run = s.key
	}
	switch s.status {
	case StatusRunning:
		sv.Status = vw.open(step).String()
		if !s.until.IsZero() && st.finished == nil {
			at := s.until
			sv.Until, sv.Status = &at, StatusWaiting.String()
		}
		if _, child := st.children[key]; child && st.finished == nil {
			sv.Status = StatusWaiting.String()
		}
	case StatusSucceeded:
		sv.Output = rawJSON(s.data)
	case StatusFiltered:
		switch {
		case s.reason == ReasonDeclined:
			sv.Output, sv.Summary = rawJSON(s.data), declinedSummary(s.data)
		case json.Unmarshal(s.data, &sv.Because) == nil:
			sv.Summary = filterSummary(s.data)
		}
	case StatusFailed, StatusCanceled, StatusUnknown:
		sv.Error = s.failure()
		sv.Summary = sv.Error.Message
		if !s.retryAt.IsZero() && st.finished == nil {
			at := s.retryAt
			sv.RetryAt = &at
			sv.Status = StatusWaiting.String()
		}
	}
	return sv
}

func stepOf(w *workflow.Workflow, key string) *workflow.Step {
	if w == nil {
		return nil
	}
	return w.Step(idOf(key))
}

func rawJSON(data []byte) json.RawMessage {
	if len(data) == 0 {
		return nil
	}
	if !json.Valid(data) { // redaction may have touched it
		quoted, err := value.AppendJSON(nil, string(data))
		if err != nil {
			return nil
		}
		return quoted
	}
	return data
}

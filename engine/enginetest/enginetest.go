// Package enginetest is the conformance suite of engine.Store. A store's own test is one call of Run and what only
// that store has. Each invariant has the number that the engine's design gave it.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
)

// Open opens the store in dir, creating it when dir is empty.
type Open func(t *testing.T, dir string) engine.Store

// A Crasher is a store that can end as a kill would end it: what waits is not written, nothing is tidied up.
type Crasher interface{ Crash() }

// wait bounds every wait of the suite.
const wait = time.Minute

// Run runs the suite. Every test runs twice: where it restarts the store, once after Close and once after Crash,
// if the store is a Crasher.
func Run(t *testing.T, open Open) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Run("close", func(t *testing.T) { test.once(t, open, false) })
			t.Run("crash", func(t *testing.T) { test.once(t, open, true) })
		})
	}
	for _, test := range timed {
		t.Run(test.name, func(t *testing.T) {
			t.Run("close", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test.once(t, open, false) }) })
			t.Run("crash", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test.once(t, open, true) }) })
		})
	}
}

type conformance struct {
	name string
	run  func(*harness)
}

func (c conformance) once(t *testing.T, open Open, crash bool) {
	h := start(t, open, crash)
	if _, ok := h.Store.(Crasher); crash && !ok {
		t.Skip("the store cannot crash")
	}
	c.run(h)
}

// timed are about time. Each has a clock of its own, to which the speed of the machine is nothing.
var timed = []conformance{
	{"I8 a parked run waits for its time", i8Park},
	{"I8 a run waits for NotBefore", i8NotBefore},
	{"I8 a timer due while down fires at the start", i8DueWhileDown},
}

var tests = []conformance{
	{"I1 an accepted run survives and is claimable", i1Survives},
	{"I1 puts are written with the runs or not at all", i1Puts},
	{"I2 an equal key is a duplicate", i2Duplicate},
	{"I2 concurrent equal keys start one run", i2Concurrent},
	{"I2 a key without a window is held while the run lives", i2WhileItLives},
	{"I2 the window ends", i2WindowEnds},
	{"I3 a retry converges", i3Retry},
	{"I3 a canceled accept stores nothing or the run", i3Canceled},
	{"I5 one claim of a run at a time", i5OneClaim},
	{"I5 a claim of another store is lost", i5OldClaim},
	{"I6 a cut-off run is claimed again", i6Takeover},
	{"I7 the claim has the whole journal", i7Journal},
	{"I9 a lane runs in order", i9Lane},
	{"I9 a canceled run waits for no lane and no room", i9Canceled},
	{"I10 an append is all or nothing", i10Atomic},
	{"I10 large records are kept like small ones", i10Large},
	{"I11 an append must fit the end of the journal", i11CAS},
	{"I12 a repeated append is found", i12Repeat},
	{"I13 a claim ends with Park, Release and Finish", i13ClaimEnds},
	{"I14 a finished run is in the history", i14Finish},
	{"I15 extend", i15Extend},
	{"I16 signals are idempotent and never lost", i16Signal},
	{"I16 a signal against a park", i16AgainstPark},
	{"signals go to other runs in the write of an append", otherRun},
	{"a limit bounds the claims of a workflow", limited},
	{"a full workflow drops or fails what comes", full},
	{"I17 reads see writes", i17Read},
	{"I18 lists lose and double nothing", i18List},
	{"I18 lists filter", i18Filters},
	{"I18 text search is bounded and complete", i18Text},
	{"I19 watch shows stored records in order", i19Watch},
	{"I20 prune leaves live runs alone", i20Prune},
	{"I20 erase leaves the others as they were", i20Erase},
	{"I21 one winner per revision", i21Winner},
	{"I21 the KV keeps, lists and expires", i21KV},
	{"fairness takes workflows in turn", fairTurns},
	{"a paused workflow is not claimed until it goes on", fairPause},
	{"fairness prefers urgent runs four to one", fairUrgent},
	{"deliveries are kept and listed", deliveriesList},
	{"stats count", statsCount},
	{"close ends what waits", closeEnds},
}

// harness is a store under test, the runs that the test made, and the restarts.
type harness struct {
	*testing.T
	engine.Store
	ctx   context.Context
	dir   string
	open  Open
	crash bool
	runs  []engine.RunID
	at    atomic.Int64
}

func start(t *testing.T, open Open, crash bool) *harness {
	ctx, cancel := context.WithTimeout(context.Background(), 2*wait)
	t.Cleanup(cancel)
	h := &harness{T: t, ctx: ctx, dir: t.TempDir(), open: open, crash: crash}
	h.Store = open(t, h.dir)
	t.Cleanup(func() {
		h.checkLaws()
		h.stop()
	})
	return h
}

func (h *harness) stop() {
	h.Helper()
	if h.crash {
		h.Store.(Crasher).Crash()
	} else if err := h.Store.Close(h.ctx); err != nil {
		h.Errorf("close the store: %v", err)
	}
}

// restart ends the store, by Close or by Crash, and opens it again.
func (h *harness) restart() {
	h.Helper()
	h.stop()
	h.Store = h.open(h.T, h.dir)
}

// checkLaws checks the journal of every run that the test accepted.
func (h *harness) checkLaws() {
	h.Helper()
	for _, id := range h.runs {
		recs, err := h.Read(h.ctx, id, 0)
		if errors.Is(err, engine.ErrNotFound) || errors.Is(err, engine.ErrClosed) {
			continue // pruned
		}
		if err != nil {
			h.Errorf("read run %s: %v", id, err)
			continue
		}
		CheckLaws(h.T, recs)
	}
}

// CheckLaws fails the test when a journal breaks a law: Seq is dense and begins with Accepted; nothing follows
// Finished; an attempt starts before its outcome, and attempts count up by one; a step has one StepCompleted.
func CheckLaws(t testing.TB, recs []engine.Record) {
	t.Helper()
	if err := Laws(recs); err != nil {
		t.Error(err)
	}
}

// Laws returns the first law that a journal breaks, or nil.
func Laws(recs []engine.Record) error {
	type step struct {
		attempts      int
		running, done bool
	}
	steps := map[string]*step{}
	for i, r := range recs {
		at := func(law string) error { return fmt.Errorf("record %d (%s of step %q): %s", i, r.Kind, r.Step, law) }
		if r.Seq != uint32(i) {
			return at(fmt.Sprintf("its seq is %d", r.Seq))
		}
		if (i == 0) != (r.Kind == engine.KindAccepted) {
			return at("Accepted is the first record and no other")
		}
		if i > 0 && recs[i-1].Kind == engine.KindFinished {
			return at("it follows Finished")
		}
		st := steps[r.Step]
		if st == nil {
			st = &step{}
			steps[r.Step] = st
		}
		switch r.Kind {
		case engine.KindStepStarted:
			if st.done {
				return at("the step was completed before")
			}
			if r.Attempt != st.attempts+1 {
				return at(fmt.Sprintf("attempt %d follows attempt %d", r.Attempt, st.attempts))
			}
			st.attempts, st.running = r.Attempt, true
		case engine.KindStepCompleted:
			if st.done {
				return at("the step was completed before")
			}
			if st.attempts > 0 && (!st.running || r.Attempt != st.attempts) {
				return at("the attempt was not started")
			}
			st.done, st.running = true, false
		case engine.KindStepFailed:
			if st.done || st.attempts > 0 && (!st.running || r.Attempt != st.attempts) {
				return at("the attempt was not started")
			}
			st.running = false
		}
	}
	return nil
}

// newRun is a run of workflow "w" to be accepted now.
func (h *harness) newRun(change ...func(*engine.NewRun)) engine.NewRun {
	n := engine.NewRun{
		Head: engine.Head{Workflow: "w", Version: "v1", Trigger: "hook"},
		At:   time.Now(),
		Data: fmt.Appendf(nil, `{"number":%d}`, h.at.Add(1)),
	}
	for _, c := range change {
		c(&n)
	}
	if n.ID.IsZero() {
		n.ID = engine.NewRunID(n.At, &n.Head)
	}
	return n
}

func workflow(id string) func(*engine.NewRun) {
	return func(n *engine.NewRun) { n.Head.Workflow = id }
}

func key(k string, window time.Duration) func(*engine.NewRun) {
	return func(n *engine.NewRun) { n.Head.Key, n.Window = k, window }
}

func lane(name string) func(*engine.NewRun) {
	return func(n *engine.NewRun) { n.Head.Lane = name }
}

// accept stores one run and returns its id.
func (h *harness) accept(change ...func(*engine.NewRun)) engine.RunID {
	h.Helper()
	acc := h.acceptAll(h.newRun(change...))
	return acc[0].ID
}

func (h *harness) acceptAll(runs ...engine.NewRun) []engine.Accepted {
	h.Helper()
	acc, err := h.Accept(h.ctx, engine.Batch{Runs: runs})
	for errors.Is(err, engine.ErrFull) && h.ctx.Err() == nil { // a slow machine makes a store ask to come again
		time.Sleep(10 * time.Millisecond)
		acc, err = h.Accept(h.ctx, engine.Batch{Runs: runs})
	}
	if err != nil {
		h.Fatalf("accept: %v", err)
	}
	if len(acc) != len(runs) {
		h.Fatalf("accept: %d answers for %d runs", len(acc), len(runs))
	}
	for _, a := range acc {
		if !a.Duplicate {
			h.runs = append(h.runs, a.ID)
		}
	}
	return acc
}

// claim claims exactly one run.
func (h *harness) claim() *engine.Claim {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, wait)
	defer cancel()
	claims, err := h.Claim(ctx, 1)
	if err != nil {
		h.Fatalf("claim: %v", err)
	}
	if len(claims) != 1 {
		h.Fatalf("claim: got %d claims, want 1", len(claims))
	}
	return claims[0]
}

// claimRun claims one run, which must be id.
func (h *harness) claimRun(id engine.RunID) *engine.Claim {
	h.Helper()
	c := h.claim()
	if c.Run != id {
		h.Fatalf("claim: got run %s, want %s", c.Run, id)
	}
	return c
}

// nothingReady checks that no run can be claimed.
func (h *harness) nothingReady() {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, 30*time.Millisecond)
	defer cancel()
	claims, err := h.Claim(ctx, 10)
	if len(claims) > 0 || !errors.Is(err, engine.ErrUnavailable) {
		h.Fatalf("claim: got %d claims and %v, want none and the end of the context", len(claims), err)
	}
}

func (h *harness) append(c *engine.Claim, then engine.Then, recs ...engine.Record) {
	h.Helper()
	if err := h.Append(h.ctx, c, recs, then); err != nil {
		h.Fatalf("append: %v", err)
	}
}

// finish ends a claimed run.
func (h *harness) finish(c *engine.Claim, status engine.Status) {
	h.Helper()
	h.append(c, engine.Then{Kind: engine.Finish, Row: engine.Row{Status: status, Finished: time.Now()}}, finished(status))
}

func finished(status engine.Status) engine.Record {
	return engine.Record{At: time.Now(), Kind: engine.KindFinished, Status: status}
}

func started(step string, attempt int) engine.Record {
	return engine.Record{At: time.Now(), Kind: engine.KindStepStarted, Step: step, Attempt: attempt}
}

func completed(step string, attempt int) engine.Record {
	return engine.Record{
		At: time.Now(), Kind: engine.KindStepCompleted, Step: step, Attempt: attempt,
		Status: engine.StatusSucceeded, Data: []byte(`{"done":true}`),
	}
}

func parkedUntil(at time.Time) engine.Record {
	return engine.Record{At: time.Now(), Kind: engine.KindParked, Until: at}
}

func (h *harness) read(id engine.RunID) []engine.Record {
	h.Helper()
	recs, err := h.Read(h.ctx, id, 0)
	if err != nil {
		h.Fatalf("read: %v", err)
	}
	return recs
}

// kinds renders a journal in one line.
func kinds(recs []engine.Record) string {
	s := ""
	for i, r := range recs {
		if i > 0 {
			s += " "
		}
		s += r.Kind.String()
	}
	return s
}

func (h *harness) wantKinds(id engine.RunID, want string) {
	h.Helper()
	if got := kinds(h.read(id)); got != want {
		h.Fatalf("journal of run %s:\n got %s\nwant %s", id, got, want)
	}
}

func (h *harness) wantErr(err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("got error %v, want %v", err, want)
	}
}

package engine

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// StepError is why a step failed, as `error` and `errors.<id>` show it and as StepFailed stores it.
type StepError struct {
	Step     string `json:"step,omitempty"`
	Message  string `json:"message"`
	Status   int    `json:"status,omitempty"` // HTTP status; 0: none
	Attempts int    `json:"attempts,omitempty"`
}

// stepState is what the journal says about one step.
type stepState struct {
	status   Status // running: started without a result
	attempts int    // highest attempt started
	failures int    // attempts that the engine saw fail
	begun    time.Time
	at       time.Time // of the last record
	took     time.Duration
	retryAt  time.Time // failed, but not for good
	until    time.Time // of a step that waits: for how long
	reason   string    // of the outcome
	key      string    // of the start
	input    []byte
	data     []byte // output as JSON, or the error
	memo     any    // decoded output, when known
}

// done reports whether the step has an outcome that stands.
func (s *stepState) done() bool {
	return s.status != StatusRunning && s.retryAt.IsZero()
}

// runState is the fold of a journal: pure and deterministic.
type runState struct {
	head      Head
	accepted  *Record
	steps     map[string]*stepState
	order     []string // step keys as they first appear, but for those in rounds of loops
	rounds    map[string]map[int]*round
	answers   map[string]*Record // by step key: the signal that a step waits for
	children  map[string]RunID   // by step key: of call steps without a result
	cancel    *Record            // the first cancel signal
	full      bool               // it found its workflow's concurrency used up
	parked    *Record            // set while the newest record parks the run
	finished  *Record
	takeovers int // Claimed records since a step last completed
	next      uint32
	whole     bool // it remembers the steps of rounds that are done
}

// round is one round of a loop.
type round struct {
	status  Status // zero: it is under way
	data    []byte // its output, or its error
	members []string
}

// foldJournal folds a whole journal. An error means that the journal breaks a law: the run cannot go on. whole keeps
// what a view shows and the run itself needs no more: the steps of rounds that are done.
func foldJournal(recs []Record, whole bool) (*runState, error) {
	s := &runState{steps: make(map[string]*stepState, 8), whole: whole}
	for i := range recs {
		if err := s.fold(&recs[i]); err != nil {
			return s, err
		}
	}
	if s.accepted == nil {
		return s, fmt.Errorf("%w: the journal has no Accepted record", ErrDamaged)
	}
	return s, nil
}

// fold checks that a stored record may stand behind those before it, and applies it.
func (s *runState) fold(r *Record) error {
	if s.finished != nil {
		return fmt.Errorf("%w: record %d (%s) follows Finished", ErrDamaged, r.Seq, r.Kind)
	}
	if r.Seq != s.next {
		return fmt.Errorf("%w: record %d where %d was due", ErrDamaged, r.Seq, s.next)
	}
	switch r.Kind {
	case KindAccepted:
		if r.Head == nil || r.Seq != 0 {
			return fmt.Errorf("%w: malformed Accepted record at %d", ErrDamaged, r.Seq)
		}
	case KindStepStarted:
		st := s.steps[r.Step]
		if st == nil {
			st = &stepState{status: StatusRunning}
		}
		if st.done() {
			return fmt.Errorf("%w: step %s starts again after its outcome (record %d)", ErrDamaged, r.Step, r.Seq)
		}
		if r.Attempt != st.attempts+1 {
			return fmt.Errorf("%w: step %s starts attempt %d after %d (record %d)", ErrDamaged, r.Step, r.Attempt, st.attempts, r.Seq)
		}
	case KindStepCompleted, KindStepFailed:
		st := s.steps[r.Step]
		if st != nil && st.done() {
			return fmt.Errorf("%w: step %s has a second outcome (record %d)", ErrDamaged, r.Step, r.Seq)
		}
		if r.Attempt > 0 && (st == nil || st.status != StatusRunning) {
			return fmt.Errorf("%w: step %s ends attempt %d without a start (record %d)", ErrDamaged, r.Step, r.Attempt, r.Seq)
		}
	case KindClaimed, KindParked, KindSignal, KindFinished:
	default:
		return fmt.Errorf("record %d: %w (kind %d)", r.Seq, ErrNewerFormat, r.Kind)
	}
	s.next++
	s.apply(r)
	return nil
}

// apply changes the state by a record that is legal here. It keeps no pointer to r but of an Accepted one.
func (s *runState) apply(r *Record) {
	s.parked = nil
	switch r.Kind {
	case KindAccepted:
		s.accepted, s.head = keep(r), *r.Head
	case KindClaimed:
		s.takeovers++
	case KindStepStarted:
		st := s.step(r.Step)
		st.status, st.attempts, st.retryAt, st.at = StatusRunning, r.Attempt, time.Time{}, r.At
		if r.Attempt == 1 {
			st.begun, st.input, st.until, st.key = r.At, r.Data, r.Until, r.Key
		}
		if r.Reason == reasonCall {
			if child, err := ParseRunID(r.Key); err == nil {
				if s.children == nil {
					s.children = map[string]RunID{}
				}
				s.children[r.Step] = child
			}
		}
	case KindStepCompleted, KindStepFailed:
		if r.Kind == KindStepCompleted {
			s.takeovers = 0
		}
		if loop, n, ok := roundOf(r.Step); ok {
			s.endRound(loop, n, r)
			return
		}
		st := s.step(r.Step)
		if st.begun.IsZero() {
			st.begun = r.At
		}
		st.status, st.data, st.memo, st.took, st.at, st.retryAt, st.reason = r.Status, r.Data, r.Memo, r.Took, r.At, r.Until, r.Reason
		if r.Key != "" {
			if inner := s.steps[r.Key]; inner != nil {
				st.data, st.memo = inner.data, inner.memo
			}
		}
		if r.Kind == KindStepFailed {
			st.failures++
		}
		if st.until != (time.Time{}) || st.key != "" { // it may have waited for an answer
			delete(s.children, r.Step)
			delete(s.answers, r.Step)
		}
		if !s.whole && r.Kind == KindStepCompleted && s.rounds != nil {
			delete(s.rounds, r.Step)
		}
	case KindParked:
		s.parked = keep(r)
	case KindSignal:
		switch {
		case r.Reason == SignalCancel && s.cancel == nil:
			s.cancel = keep(r)
		case r.Reason == signalFull:
			s.full = true
		case r.Step != "" && s.answers[r.Step] == nil:
			if s.answers == nil {
				s.answers = map[string]*Record{}
			}
			s.answers[r.Step] = keep(r)
		}
	case KindFinished:
		s.finished = keep(r)
	}
}

func keep(r *Record) *Record {
	c := *r
	return &c
}

func (s *runState) step(key string) *stepState {
	st := s.steps[key]
	if st == nil {
		st = &stepState{status: StatusRunning}
		s.steps[key] = st
		if in := strings.LastIndex(key, "]."); in >= 0 {
			loop, n, _ := roundOf(key[:in+1])
			r := s.round(loop, n)
			r.members = append(r.members, key)
		} else {
			s.order = append(s.order, key)
		}
	}
	return st
}

// roundOf takes apart the key of a round: lines[12].
func roundOf(key string) (loop string, n int, ok bool) {
	if !strings.HasSuffix(key, "]") {
		return "", 0, false
	}
	at := strings.LastIndexByte(key, '[')
	if at < 0 {
		return "", 0, false
	}
	n, err := strconv.Atoi(key[at+1 : len(key)-1])
	return key[:at], n, err == nil
}

func roundKey(loop string, n int) string { return loop + "[" + strconv.Itoa(n) + "]" }

func (s *runState) round(loop string, n int) *round {
	rounds := s.rounds[loop]
	if rounds == nil {
		rounds = map[int]*round{}
		if s.rounds == nil {
			s.rounds = map[string]map[int]*round{}
		}
		s.rounds[loop] = rounds
	}
	r := rounds[n]
	if r == nil {
		r = &round{}
		rounds[n] = r
	}
	return r
}

// endRound keeps the output of a round. Its steps are forgotten: a loop of thousands of rounds costs what its outputs do.
func (s *runState) endRound(loop string, n int, r *Record) {
	rd := s.round(loop, n)
	rd.status, rd.data = r.Status, r.Data
	if inner := s.steps[r.Key]; inner != nil {
		rd.data = inner.data
	}
	if !s.whole && r.Kind == KindStepCompleted {
		s.forget(rd.members)
		rd.members = nil
	}
}

func (s *runState) forget(keys []string) {
	for _, key := range keys {
		delete(s.steps, key)
		for _, inner := range s.rounds[key] {
			s.forget(inner.members)
		}
		delete(s.rounds, key)
	}
}

// status is that of the run, as its records stand.
func (s *runState) status() Status {
	switch {
	case s.finished != nil:
		return s.finished.Status
	case s.parked != nil:
		return StatusWaiting
	case s.next <= 1:
		return StatusQueued
	}
	return StatusRunning
}

// failure decodes the error of a failed step.
func (st *stepState) failure() *StepError {
	var e StepError
	if err := json.Unmarshal(st.data, &e); err != nil {
		e.Message = "the step failed"
	}
	return &e
}

// CheckJournal reports the first law that a journal breaks: records are dense, Accepted comes first, a step
// starts before its outcome and has one, attempts count up by one, and nothing follows Finished.
func CheckJournal(recs []Record) error {
	_, err := foldJournal(recs, true)
	return err
}

// Package workflow is the language of Bellhop: it reads a workflow file into a Workflow whose every expression is
// compiled, and says what is wrong with the place, a drawn snippet and a hint. It knows nothing of running.
package workflow

import (
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

// Workflow is one workflow file, read and compiled. It is immutable.
type Workflow struct {
	ID          string // path of the file below workflows/, without .yaml
	Version     string // content hash of Source
	Source      []byte
	Name        string
	Description string
	Enabled     bool // default true
	Tags        []string
	Triggers    []*Trigger
	Lane        *expression.Program // nil: none
	Concurrency Concurrency
	Timeout     time.Duration // of a run; 0: none
	Retention   Retention
	BodyLimit   int64 // bytes of an inbound body; 0: the default of 1 MiB
	Steps       []*Step
	OnFailure   []*Step

	// UsesRaw reports that an expression reads trigger.raw, which is else not kept in memory as text.
	UsesRaw bool

	reads  map[string]bool               // ids of the steps whose output an expression reads; nil: any
	file   string                        // as problems show it
	places map[*expression.Tree]Position // of values
	keys   map[*expression.Tree]Position // of the keys before values
}

// Concurrency bounds the runs of a workflow that work at the same time. A run that waits does not count.
type Concurrency struct {
	Limit    int    // 0: none
	WhenFull string // queue (default), drop, fail
}

// What happens to an event when the limit of [Concurrency] is reached.
const (
	WhenFullQueue = "queue"
	WhenFullDrop  = "drop"
	WhenFullFail  = "fail"
)

// Retention says how long the history of this workflow is kept.
type Retention struct {
	Days int    // 0: the server's
	Runs int    // the newest so many; 0: no bound
	Keep string // all (default), failures, none
}

// Position is a place in a workflow file, both from 1.
type Position struct{ Line, Column int }

// Trigger is one way in which a workflow starts. Exactly one of the kinds is set.
type Trigger struct {
	ID       string // default: the kind; of a connector's trigger its name, such as stripe_event
	Kind     string // webhook, schedule, poll, connector
	At       Position
	Webhook  *Webhook
	Schedule *Schedule
	Poll     *Poll
	Listen   *Listen
}

// Listen is a trigger that a connector defines. Use.Action is the name of the trigger; Use.With sees the root workflow
// alone.
type Listen struct {
	Use      *Use
	Schedule *Schedule // of a poll: Every, or Cron with Timezone; nil: as the connector says
}

// Webhook starts a run for each call of its path.
type Webhook struct {
	Path     string   // below /hooks/, with {param} segments; default: the workflow id
	Methods  []string // default POST
	Verify   *Verify  // nil: anyone may call
	Dedupe   *expression.Program
	Window   time.Duration // how long a dedupe key is held; 0: as long as the sender may repeat it, else 24h
	Respond  string        // accepted, step, finished
	PathAt   Position
	VerifyAt Position

	respondAt Position
}

// Verify says how a webhook knows its caller. The secret is the connection's.
type Verify struct {
	connectors.Verify
	Connection string // empty: the scheme has no secret

	connectionAt Position
}

// Schedule starts a run at set times. Exactly one of Cron and Every is set.
type Schedule struct {
	Cron     string
	Timezone string // IANA name; required with Cron
	Zone     *time.Location
	Every    time.Duration // at least 1s
	Missed   string        // none, last (default), all
	Overlap  string        // queue (default), skip, allow
	CronAt   Position
}

// Poll calls a safe action again and again and starts runs for what is new.
type Poll struct {
	Schedule Schedule // when: Every, or Cron with Timezone
	Use      *Use
	Items    *expression.Program // nil: the output itself, which must be a list
	Next     *expression.Program // http.request: the address of the next page, or a Link header; nil: one page
	NextAt   Position
	Key      *expression.Program // sees item
	Version  *expression.Program // sees item; nil: an item fires once
	Emit     string              // each (default), batch
	First    string              // baseline (default), emit
}

// Step is one step of a workflow.
type Step struct {
	ID      string // unique in the file; where the file names none, made from the kind and the position
	Named   bool   // the file names the ID
	Kind    string // filter, set, use, paths, for_each, parallel, wait, approve, call, respond, stop
	Name    string // for people; empty: none
	At      Position
	If      *expression.Program // nil: always
	Retry   *Retry              // nil: the default of its kind
	Timeout time.Duration       // of one attempt; 0: the default
	OnError OnError
	Do      Do

	Parent *Step // the paths, for_each, parallel or on_error that it stands in; nil: none
	Branch int   // which branch of Parent; -1: its on_error
}

// Do is what a step does: one of Filter, Set, Use, Paths, ForEach, Parallel, Wait, Approve, Call, Respond, Stop.
type Do interface{ isStep() }

// Filter ends the run as filtered when its condition does not hold.
type Filter struct{ Condition *expression.Program }

// Set makes an object; it is the output.
type Set struct{ Fields *expression.Tree }

// Use calls an action of a connector.
type Use struct {
	Connector  string
	Action     string
	Connection string           // name; empty: none
	With       *expression.Tree // a map; never nil
	At         Position
	ConnAt     Position

	broken bool // With could not be read, so nothing is said about its inputs
}

// Respond answers the webhook that started the run; the run goes on.
type Respond struct {
	Status  *expression.Tree // nil: 200
	Headers *expression.Tree // nil: none
	Body    *expression.Tree // nil: empty. Text is sent as it is, anything else as JSON
}

// Stop ends the run.
type Stop struct {
	As      string // succeeded, failed, filtered, canceled
	Message *expression.Tree
}

// Paths runs the first branch whose condition holds, or every one; its output is that of the last step that ran.
type Paths struct {
	Branches []*Branch
	All      bool
}

// Branch is one list of steps of a [Paths] or a [Parallel].
type Branch struct {
	Name  string              // for people, and the key of a Parallel's output; never empty
	When  *expression.Program // of a path; nil: otherwise
	Steps []*Step
	At    Position

	hasWhen bool // it has the key, readable or not
}

// ForEach runs its steps once for every entry of a list; its output is the list of the rounds' last outputs.
type ForEach struct {
	In          *expression.Program
	As          string // the root that holds the entry; default item
	Concurrency int    // rounds at the same time; default 1
	Steps       []*Step
}

// Parallel runs its branches at the same time; its output holds the last output of each by its name.
type Parallel struct{ Branches []*Branch }

// Wait lets time pass, or waits for a call of its address. Exactly one of For, Until and Callback is set.
type Wait struct {
	For      *expression.Tree    // a duration such as 2h
	Until    *expression.Program // a time
	Callback bool
	Timeout  time.Duration // of a callback; default 24h
}

// Approve asks a person.
type Approve struct {
	Message   *expression.Tree
	Timeout   time.Duration // default 7d
	OnDecline string        // stop (default), continue
}

// Call runs another workflow and waits for its result.
type Call struct {
	Workflow string           // id
	With     *expression.Tree // a map, the body of the child's trigger; never nil
	At       Position
}

func (*Filter) isStep()   {}
func (*Set) isStep()      {}
func (*Use) isStep()      {}
func (*Paths) isStep()    {}
func (*ForEach) isStep()  {}
func (*Parallel) isStep() {}
func (*Wait) isStep()     {}
func (*Approve) isStep()  {}
func (*Call) isStep()     {}
func (*Respond) isStep()  {}
func (*Stop) isStep()     {}

// Retry says how often and when a failed attempt is made again: exponential with full jitter.
type Retry struct {
	Attempts int           // in all; default 3
	Initial  time.Duration // default 1s
	Max      time.Duration // default 1m
	Unknown  bool          // repeat a step that a crash cut off even if the action is not repeatable
}

// Modes of OnError.
const (
	OnErrorStop     = "stop"
	OnErrorContinue = "continue"
	OnErrorSteps    = "steps"
)

// OnError says what follows when the last attempt of a step has failed.
type OnError struct {
	Mode  string // stop (default), continue, steps
	Steps []*Step
}

// Lists returns the lists of steps inside a step: its branches, or the rounds of its loop.
func (s *Step) Lists() [][]*Step {
	var branches []*Branch
	switch do := s.Do.(type) {
	case *ForEach:
		return [][]*Step{do.Steps}
	case *Paths:
		branches = do.Branches
	case *Parallel:
		branches = do.Branches
	}
	lists := make([][]*Step, len(branches))
	for i, b := range branches {
		lists[i] = b.Steps
	}
	return lists
}

// Walk calls f for every step of the list and of the lists inside: a step, then its branches, then its on_error.
func Walk(steps []*Step, f func(*Step)) {
	for _, s := range steps {
		f(s)
		for _, list := range s.Lists() {
			Walk(list, f)
		}
		Walk(s.OnError.Steps, f)
	}
}

// Reads reports whether an expression may read the output of the step with this id.
func (w *Workflow) Reads(id string) bool { return w.reads == nil || w.reads[id] }

// Step returns the step with this id, or nil.
func (w *Workflow) Step(id string) *Step {
	var found *Step
	visit := func(s *Step) {
		if s.ID == id {
			found = s
		}
	}
	Walk(w.Steps, visit)
	Walk(w.OnFailure, visit)
	return found
}

// Trigger returns the trigger with this id, or nil.
func (w *Workflow) Trigger(id string) *Trigger {
	for _, t := range w.Triggers {
		if t.ID == id {
			return t
		}
	}
	return nil
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Reasons that stand in Finished records and rows.
const (
	ReasonQuarantined = "quarantined" // it crashed the engine, or its journal is damaged
	ReasonUnknown     = "unknown"     // a crash hid the outcome of a step: a person decides
	ReasonTimeout     = "timeout"     // its deadline passed
	ReasonFilter      = "filter"      // a filter step stopped it
	ReasonStop        = "stop"        // a stop step ended it

	reasonRespond = "respond" // StepCompleted of a respond step
	reasonCarried = "carried" // a result taken over from the run that this one repeats
)

var (
	errShutdown = errors.New("the server is shutting down")
	errCanceled = errors.New("the run was canceled")
	errDeadline = errors.New("the run took longer than its timeout")
	errEndClaim = errors.New("the claim has ended") // parked or released: not a failure
)

// inClaimWait is the longest wait that keeps the claim; a longer one parks the run.
const inClaimWait = 10 * time.Second

// host is what a run needs from outside: the engine, or a rehearsal that sends nothing.
type host interface {
	append(ctx context.Context, c *Claim, recs []Record, then Then) error
	read(ctx context.Context, id RunID, from uint32) ([]Record, error)
	now() time.Time
	sleep(ctx context.Context, x *execution, until time.Time) error
	invoke(ctx context.Context, x *execution, c *invocation) (any, error)
	action(u *workflow.Use) (*connectors.Action, error)
	reply(id RunID, r Reply)
	draining() bool
	redact([]byte) []byte
	runURL(id RunID) string
	zone() *time.Location
}

// execution is the work on one claim. Steps run one after another; results wait in pend for the next append.
type execution struct {
	host  host
	claim *Claim
	w     *workflow.Workflow
	state *runState
	env   expression.Env
	stop  context.CancelCauseFunc
	slots chan struct{} // the worker slot that it holds; nil in a rehearsal

	roots    map[string]any // steps
	errs     map[string]any // errors
	pend     []Record
	owes     bool // pend holds the result of an effect
	deadline time.Time
	output   any // of the last step that gave one
	label    string
	hops     int    // what Bellhop-Hop said of the event
	trust    func() // ends the time in which the run is tried alone

	mu          sync.Mutex
	interrupted bool
}

func newExecution(h host, c *Claim, w *workflow.Workflow, state *runState, stop context.CancelCauseFunc) *execution {
	x := &execution{
		host: h, claim: c, w: w, state: state, stop: stop,
		roots: make(map[string]any, len(w.Steps)), errs: map[string]any{},
		pend: make([]Record, 0, 4),
		env:  expression.Env{Zone: h.zone()},
	}
	if w.Timeout > 0 {
		x.deadline = state.accepted.At.Add(w.Timeout)
	}
	return x
}

// interrupt tells a running run that a signal waits in its journal.
func (x *execution) interrupt() {
	x.mu.Lock()
	x.interrupted = true
	x.mu.Unlock()
	x.stop(errCanceled)
}

func (x *execution) wasInterrupted() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.interrupted
}

// ending is how a run ends.
type ending struct {
	status  Status
	reason  string
	summary string
	failure *StepError
}

func workflowRoot(w *workflow.Workflow) map[string]any {
	return map[string]any{"id": w.ID, "name": w.Name, "version": w.Version}
}

// prepare builds what expressions see.
func (x *execution) prepare() error {
	ev, ok := x.state.accepted.Memo.(*Event)
	if !ok {
		var err error
		if ev, err = DecodeEvent(x.state.accepted.Data); err != nil {
			return err
		}
	}
	trigger, err := ev.Root(x.w.UsesRaw)
	if err != nil {
		return err
	}
	x.hops = hopsOf(trigger)
	x.env.Roots = map[string]any{
		"trigger":  trigger,
		"steps":    x.roots,
		"errors":   x.errs,
		"workflow": workflowRoot(x.w),
		"run": map[string]any{
			"id":         x.claim.Run.String(),
			"started_at": x.state.accepted.At.UTC().Format(time.RFC3339Nano),
			"url":        x.host.runURL(x.claim.Run),
		},
	}
	return nil
}

// HopHeader counts how many workflows have handed an event on, so that one that calls its own hook comes to an end.
const HopHeader = "Bellhop-Hop"

func hopsOf(trigger map[string]any) int {
	headers, _ := trigger["headers"].(map[string]any)
	text, _ := headers[strings.ToLower(HopHeader)].(string)
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// run works through the workflow. nil: the run has ended. errEndClaim: it is parked or released.
func (x *execution) run(ctx context.Context) error {
	inTime := ctx
	if !x.deadline.IsZero() {
		var cancel context.CancelFunc
		inTime, cancel = context.WithDeadlineCause(ctx, x.deadline, errDeadline)
		defer cancel()
	}
	var end *ending
	err := x.prepare()
	if err != nil {
		end = &ending{status: StatusFailed, summary: err.Error(), failure: &StepError{Message: err.Error()}}
	} else if end, err = x.steps(inTime, x.w.Steps); err != nil {
		return err
	}
	if end == nil {
		end = &ending{status: StatusSucceeded, summary: x.label}
	}
	if end.status == StatusFailed && len(x.w.OnFailure) > 0 && x.env.Roots != nil {
		if err := x.onFailure(ctx, end); err != nil {
			return err
		}
	}
	return x.finish(ctx, end)
}

func (x *execution) onFailure(ctx context.Context, end *ending) error {
	failure := end.failure
	if failure == nil {
		failure = &StepError{Message: end.summary}
	}
	x.env.Roots["error"] = x.errorRoot(failure)
	x.deadline = time.Time{} // a run that is out of time may still tell somebody
	output := x.output       // what the run gave stays that of its own steps
	_, err := x.steps(ctx, x.w.OnFailure)
	x.output = output
	return err
}

func (x *execution) errorRoot(f *StepError) map[string]any {
	root := map[string]any{
		"step": f.Step, "message": f.Message, "status": nil, "attempts": f.Attempts, "run_url": x.host.runURL(x.claim.Run),
	}
	if f.Status != 0 {
		root["status"] = f.Status
	}
	return root
}

func (x *execution) finish(ctx context.Context, end *ending) error {
	now := x.host.now()
	summary := string(x.host.redact([]byte(end.summary)))
	h := &x.state.head
	x.put(Record{At: now, Kind: KindFinished, Status: end.status, Reason: end.reason, Data: []byte(summary)})
	row := Row{
		ID: x.claim.Run, Parent: h.Parent, Workflow: h.Workflow, Version: h.Version, Trigger: h.Trigger,
		Status: end.status, Reason: end.reason, Summary: summary, Accepted: x.state.accepted.At, Finished: now,
	}
	for {
		err := x.append(context.WithoutCancel(ctx), Then{Kind: Finish, Row: row})
		if errors.Is(err, ErrConflict) {
			continue // a signal to a run that ends anyway
		}
		if err != nil {
			return err
		}
		x.host.reply(x.claim.Run, Reply{Done: true, Status: end.status, Output: x.output})
		return nil
	}
}

// steps runs a list of steps. A nil ending means that the run goes on behind the list.
func (x *execution) steps(ctx context.Context, list []*workflow.Step) (*ending, error) {
	for _, s := range list {
		if end, err := x.step(ctx, s); end != nil || err != nil {
			return end, err
		}
	}
	return nil, nil
}

func (x *execution) step(ctx context.Context, s *workflow.Step) (*ending, error) {
	st := x.state.steps[s.ID]
	if st == nil || !st.done() {
		if end, err := x.mayGoOn(ctx); end != nil || err != nil {
			return end, err
		}
		x.env.Now, x.env.Seed = x.host.now(), ""
		if st != nil && !st.begun.IsZero() {
			x.env.Now = st.begun
		}
		if end, err := x.perform(ctx, s, st); end != nil || err != nil {
			return end, err
		}
		st = x.state.steps[s.ID]
	}
	return x.conclude(ctx, s, st)
}

// mayGoOn looks for a reason to stop before the next step.
func (x *execution) mayGoOn(ctx context.Context) (*ending, error) {
	if x.wasInterrupted() {
		if err := x.readSignals(ctx); err != nil {
			return nil, err
		}
	}
	switch {
	case x.state.cancel != nil:
		return x.canceled(), nil
	case !x.deadline.IsZero() && !x.host.now().Before(x.deadline):
		return x.timedOut(), nil
	case x.host.draining():
		return nil, x.release(ctx)
	}
	return nil, nil
}

func (x *execution) canceled() *ending {
	return &ending{status: StatusCanceled, summary: "Canceled"}
}

func (x *execution) timedOut() *ending {
	msg := fmt.Sprintf("The run took longer than its timeout of %s", x.w.Timeout)
	return &ending{status: StatusFailed, reason: ReasonTimeout, summary: msg, failure: &StepError{Message: msg}}
}

// perform brings a step to its outcome, which then stands in x.state.
func (x *execution) perform(ctx context.Context, s *workflow.Step, st *stepState) (*ending, error) {
	if s.If != nil && (st == nil || st.attempts == 0) {
		ok, err := s.If.Bool(ctx, x.seeded(s))
		if err != nil {
			return nil, x.fail(s, 0, 0, fmt.Errorf("if: %w", err), StatusFailed, time.Time{})
		}
		if !ok {
			x.complete(s, 0, 0, StatusSkipped, nil, nil, "")
			return nil, nil
		}
	}
	switch do := s.Do.(type) {
	case *workflow.Filter:
		return nil, x.filter(ctx, s, do)
	case *workflow.Set:
		return nil, x.set(ctx, s, do)
	case *workflow.Respond:
		return nil, x.respond(ctx, s, do)
	case *workflow.Stop:
		return nil, x.stopRun(ctx, s, do)
	case *workflow.Use:
		return x.use(ctx, s, do, st)
	}
	return nil, x.fail(s, 0, 0, fmt.Errorf("this release does not know the step kind %q", s.Kind), StatusFailed, time.Time{})
}

// seeded is the environment of a step: random values are derived from run and step.
func (x *execution) seeded(s *workflow.Step) *expression.Env {
	if x.env.Seed == "" {
		x.env.Seed = x.claim.Run.String() + "/" + s.ID
	}
	return &x.env
}

// conclude draws what follows from the outcome of a step.
func (x *execution) conclude(ctx context.Context, s *workflow.Step, st *stepState) (*ending, error) {
	switch st.status {
	case StatusSkipped:
		return nil, nil
	case StatusFiltered:
		return &ending{status: StatusFiltered, reason: ReasonFilter, summary: filterSummary(st.data)}, nil
	case StatusSucceeded:
		out := st.memo
		if out == nil && len(st.data) > 0 {
			var err error
			if out, err = value.DecodeJSON(st.data); err != nil {
				return nil, fmt.Errorf("%w: output of step %s: %w", ErrDamaged, s.ID, err)
			}
			st.memo = out
		}
		x.roots[s.ID] = out
		x.label = stepLabel(s)
		switch do := s.Do.(type) {
		case *workflow.Stop:
			return stopEnding(do, out), nil
		case *workflow.Set, *workflow.Use:
			x.output = out
		}
		return nil, nil
	case StatusCanceled:
		return x.canceled(), nil
	}
	failure := st.failure()
	failure.Step = s.ID
	if st.status == StatusUnknown {
		return &ending{status: StatusFailed, reason: ReasonUnknown, summary: stepLabel(s) + ": " + failure.Message, failure: failure}, nil
	}
	switch s.OnError.Mode {
	case workflow.OnErrorContinue:
		x.errs[s.ID] = x.errorRoot(failure)
		return nil, nil
	case workflow.OnErrorSteps:
		x.errs[s.ID] = x.errorRoot(failure)
		outer := x.env.Roots["error"]
		x.env.Roots["error"] = x.errs[s.ID]
		end, err := x.steps(ctx, s.OnError.Steps)
		x.env.Roots["error"] = outer
		return end, err
	}
	return &ending{status: StatusFailed, summary: stepLabel(s) + ": " + failure.Message, failure: failure}, nil
}

// put adds a record to what the next append writes, and to the state.
func (x *execution) put(r Record) {
	x.pend = append(x.pend, r)
	x.state.apply(&x.pend[len(x.pend)-1])
	if (r.Kind == KindStepCompleted || r.Kind == KindStepFailed) && r.Attempt > 0 {
		x.owes = true
	}
}

// append writes what is pending. ErrConflict: signals came in and are folded now; what is pending stays.
func (x *execution) append(ctx context.Context, then Then) error {
	err := x.host.append(ctx, x.claim, x.pend, then)
	if errors.Is(err, ErrConflict) {
		if rerr := x.readSignals(ctx); rerr != nil {
			return rerr
		}
		return err
	}
	if err != nil {
		return err
	}
	clear(x.pend)
	x.pend, x.owes = x.pend[:0], false // a store keeps nothing of what it was given
	x.trusted()
	return nil
}

// flush writes what is pending and goes on.
func (x *execution) flush(ctx context.Context) error {
	if len(x.pend) == 0 {
		return nil
	}
	for {
		if err := x.append(ctx, Then{Kind: Continue}); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

func (x *execution) readSignals(ctx context.Context) error {
	x.mu.Lock()
	x.interrupted = false
	x.mu.Unlock()
	recs, err := x.host.read(context.WithoutCancel(ctx), x.claim.Run, x.claim.Seq)
	if err != nil {
		return err
	}
	for i := range recs {
		if recs[i].Kind != KindSignal {
			return fmt.Errorf("%w: a %s record came in between", ErrLost, recs[i].Kind)
		}
		x.state.apply(&recs[i])
		x.claim.Seq = recs[i].Seq + 1
	}
	return nil
}

// park ends the claim until wake. It returns nil when a signal came first: decide again.
func (x *execution) park(ctx context.Context, wake time.Time) error {
	if !x.deadline.IsZero() && x.deadline.Before(wake) {
		wake = x.deadline
	}
	x.pend = append(x.pend, Record{At: x.host.now(), Kind: KindParked, Until: wake})
	err := x.append(ctx, Then{Kind: Park, Wake: wake})
	if errors.Is(err, ErrConflict) {
		x.pend = x.pend[:len(x.pend)-1]
		return nil
	}
	if err != nil {
		return err
	}
	return errEndClaim
}

// release gives the run back at once, with what is done so far.
func (x *execution) release(ctx context.Context) error {
	for {
		err := x.append(ctx, Then{Kind: Release})
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		return errEndClaim
	}
}

// takeOver records that another holder of this run died. proceed is false when the run crashed the engine too often.
func (x *execution) takeOver(ctx context.Context, alone *sync.Mutex) (proceed bool, err error) {
	if x.state.takeovers > 0 {
		<-x.slots // who waits for its turn holds no worker
		alone.Lock()
		x.slots <- struct{}{}
		x.trust = sync.OnceFunc(alone.Unlock)
		time.AfterFunc(aloneFor, x.trust) // a slow call must not hold up all others
	}
	x.put(Record{At: x.host.now(), Kind: KindClaimed, Attempt: x.claim.Takeovers})
	if x.state.takeovers >= maxTakeovers {
		at := "before its first step"
		if n := len(x.state.order); n > 0 {
			at = "at step " + x.state.order[n-1]
		}
		msg := fmt.Sprintf("This run crashed the engine %d times %s", maxTakeovers, at)
		err = x.finish(ctx, &ending{status: StatusFailed, reason: ReasonQuarantined, summary: msg})
	} else {
		trust := x.trust
		x.trust = nil // the write of the claim itself proves nothing
		err = x.flush(ctx)
		x.trust = trust
		proceed = err == nil
	}
	if !proceed {
		x.trusted()
	}
	return proceed, err
}

// trusted ends the time in which the run is tried alone: it made progress, its claim ended, or it has had its time.
func (x *execution) trusted() {
	if x.trust != nil {
		x.trust()
	}
}

func (x *execution) logEnd(log *slog.Logger, err error) {
	switch {
	case err == nil, errors.Is(err, errEndClaim), errors.Is(err, ErrClosed):
	case errors.Is(err, ErrLost):
		log.Warn("another worker has taken over a run", "run", x.claim.Run.String())
	case errors.Is(err, errShutdown):
		log.Warn("a step was cut off by the shutdown", "run", x.claim.Run.String())
	default:
		log.Error("a run cannot go on", "run", x.claim.Run.String(), "workflow", x.w.ID, "error", err)
	}
}

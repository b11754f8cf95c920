package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
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

	ReasonDeclined    = "declined"    // a person declined
	ReasonConcurrency = "concurrency" // its workflow had as many runs as it may have

	reasonCall    = "call"    // StepStarted of a call step
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
	background(f func()) // runs f beside the run; a rehearsal runs it at once
	sleep(ctx context.Context, x *execution, until time.Time) error
	invoke(ctx context.Context, x *execution, c *invocation) (any, error)
	action(u *workflow.Use) (*connectors.Action, error)
	ask(ctx context.Context, q *question) (*Signal, error)
	cancelChild(ctx context.Context, child RunID) error
	ends(h *Head, run RunID, end *ending) error // before the end of a run is durable
	reply(id RunID, r Reply)
	draining() bool
	redact([]byte) []byte
	runURL(id RunID) string
	link(run RunID, key, function string) (string, error)
	zone() *time.Location
}

// execution is the work on one claim. Results wait in pend for the next append.
type execution struct {
	host  host
	claim *Claim
	w     *workflow.Workflow
	state *runState
	env   expression.Env
	stop  context.CancelCauseFunc
	slot  *slot // the worker slot that it holds; nil in a rehearsal

	root     branch
	orphans  []RunID // children of steps that were given up, to be canceled with the run
	current  *branch // whose expression is evaluated
	pend     []Record
	mark     uint64 // how many records were put
	durable  uint64 // of these, how many are on disk
	owed     uint64 // mark of the newest result of an effect
	deadline time.Time
	label    string
	hops     int    // what Bellhop-Hop said of the event
	trust    func() // ends the time in which the run is tried alone

	// While branches run at the same time:
	branches    []*branch // all but the root
	ready       []*branch
	inbox       inbox
	inflight    int // calls
	appending   bool
	writing     []Record
	writingMark uint64
	spare       []Record
	releasing   bool
	overSeen    bool

	wake        chan struct{} // something has changed in the journal
	mu          sync.Mutex
	interrupted bool
}

func newExecution(h host, c *Claim, w *workflow.Workflow, state *runState, stop context.CancelCauseFunc) *execution {
	x := &execution{
		host: h, claim: c, w: w, state: state, stop: stop, wake: make(chan struct{}, 1),
		pend: make([]Record, 0, 4),
		env:  expression.Env{Zone: h.zone()},
	}
	x.root.x = x
	x.env.Link = x.link
	if w.Timeout > 0 {
		x.deadline = state.accepted.At.Add(w.Timeout)
	}
	return x
}

// interrupt tells a running run that a signal waits in its journal, and stops its calls where that is cancel.
func (x *execution) interrupt(kind string) {
	x.mu.Lock()
	x.interrupted = true
	x.mu.Unlock()
	select {
	case x.wake <- struct{}{}:
	default:
	}
	if kind == SignalCancel {
		x.stop(errCanceled)
	}
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
	data    []byte // what decided it
}

// staysInside reports whether a round of a loop, or a branch of parallel steps, ends so and not the run.
func (e *ending) staysInside() bool { return e.status == StatusFiltered && e.reason != ReasonStop }

// isFailure reports whether the step around may handle it.
func (e *ending) isFailure() bool { return e.status == StatusFailed && e.reason == "" }

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
	x.root.sc = newScope(map[string]any{
		"trigger":  trigger,
		"workflow": workflowRoot(x.w),
		"run": map[string]any{
			"id":         x.claim.Run.String(),
			"started_at": x.state.accepted.At.UTC().Format(time.RFC3339Nano),
			"url":        x.host.runURL(x.claim.Run),
		},
	})
	x.inbox.bell = make(chan struct{}, 1)
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
	end, err := x.work(inTime)
	if errors.Is(err, errRelease) {
		return x.release(ctx)
	}
	if err != nil {
		return err
	}
	if end == nil {
		end = &ending{status: StatusSucceeded, summary: x.label}
	}
	if end.status == StatusFailed && len(x.w.OnFailure) > 0 && x.root.sc != nil {
		if err := x.onFailure(ctx, end); errors.Is(err, errRelease) {
			return x.release(ctx)
		} else if err != nil {
			return err
		}
	}
	return x.finish(ctx, end)
}

func (x *execution) work(ctx context.Context) (*ending, error) {
	if err := x.prepare(); err != nil {
		return &ending{status: StatusFailed, summary: err.Error(), failure: &StepError{Message: err.Error()}}, nil
	}
	if x.state.full {
		msg := fmt.Sprintf("The workflow already had as many runs under way as its concurrency allows (%d)", x.w.Concurrency.Limit)
		return &ending{status: StatusFailed, reason: ReasonConcurrency, summary: msg, failure: &StepError{Message: msg}}, nil
	}
	return x.root.steps(ctx, x.w.Steps)
}

func (x *execution) onFailure(ctx context.Context, end *ending) error {
	failure := end.failure
	if failure == nil {
		failure = &StepError{Message: end.summary}
	}
	x.root.sc.roots["error"] = x.errorRoot(failure)
	x.deadline = time.Time{} // a run that is out of time may still tell somebody
	last := x.root.last      // what the run gave stays that of its own steps
	_, err := x.root.steps(ctx, x.w.OnFailure)
	x.root.last = last
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
	if err := x.host.ends(h, x.claim.Run, &ending{status: end.status, summary: summary, failure: end.failure}); err != nil {
		return err
	}
	x.put(Record{At: now, Kind: KindFinished, Status: end.status, Reason: end.reason, Data: []byte(summary)})
	row := Row{
		ID: x.claim.Run, Parent: h.Parent, Workflow: h.Workflow, Version: h.Version, Trigger: h.Trigger,
		Status: end.status, Reason: end.reason, Summary: summary, Accepted: x.state.accepted.At, Finished: now,
	}
	out := x.state.steps[x.root.last]
	for {
		err := x.append(context.WithoutCancel(ctx), Then{Kind: Finish, Row: row, Signals: x.lastWords(end, out)})
		if errors.Is(err, ErrConflict) {
			continue // a signal to a run that ends anyway
		}
		if err != nil {
			return err
		}
		r := Reply{Done: true, Status: end.status}
		if out != nil {
			r.Output, r.data = out.memo, out.data
		}
		x.host.reply(x.claim.Run, r)
		return nil
	}
}

// lastWords are the signals that go out with the end of a run: to the step that called it, and to the runs that it
// called and that nobody waits for any more.
func (x *execution) lastWords(end *ending, out *stepState) []Outgoing {
	var words []Outgoing
	if h := &x.state.head; !h.Caller.IsZero() {
		answer := childAnswer{Run: x.claim.Run.String(), Status: end.status.String(), Message: end.summary}
		if out != nil {
			answer.Output = out.data
		}
		words = append(words, Outgoing{h.Caller, answer.signal(h.CallerStep)})
	}
	for _, child := range append(slices.Collect(maps.Values(x.state.children)), x.orphans...) {
		words = append(words, Outgoing{child, Signal{ID: SignalCancel, Kind: SignalCancel, By: "run " + x.claim.Run.String()}})
	}
	return words
}

// steps runs a list of steps. A nil ending means that the run goes on behind the list.
func (b *branch) steps(ctx context.Context, list []*workflow.Step) (*ending, error) {
	for _, s := range list {
		if end, err := b.step(ctx, s); end != nil || err != nil {
			return end, err
		}
	}
	return nil, nil
}

func (b *branch) step(ctx context.Context, s *workflow.Step) (*ending, error) {
	x, key := b.x, b.sc.key(s.ID)
	st := x.state.steps[key]
	if st == nil || !st.done() {
		if end, err := b.mayGoOn(ctx); end != nil || err != nil {
			return end, err
		}
		b.now, b.seed = x.host.now(), ""
		if st != nil && !st.begun.IsZero() {
			b.now = st.begun
		}
		if end, err := b.perform(ctx, s, key, st); end != nil || err != nil {
			if end != nil && b.group != nil {
				b.giveUp(key)
			}
			return end, err
		}
		st = x.state.steps[key]
	}
	return b.conclude(ctx, s, key, st)
}

// giveUp ends a step whose branch is stopped while others of its run may go on.
func (b *branch) giveUp(key string) {
	if st := b.x.state.steps[key]; st != nil && st.status == StatusRunning {
		_ = b.fail(key, st.attempts, 0, errors.New("stopped: it was not needed any more"), StatusCanceled, time.Time{})
	}
}

// mayGoOn looks for a reason to stop before the next step.
func (b *branch) mayGoOn(ctx context.Context) (*ending, error) {
	if end, err := b.stopped(ctx); end != nil || err != nil {
		return end, err
	}
	if b.x.host.draining() {
		return nil, errRelease
	}
	return nil, nil
}

// stopped tells whether the branch has to end.
func (b *branch) stopped(ctx context.Context) (*ending, error) {
	x := b.x
	if !x.appending && x.wasInterrupted() {
		if err := x.readSignals(ctx); err != nil {
			return nil, err
		}
	}
	switch {
	case x.state.cancel != nil:
		return x.canceled(), nil
	case !x.deadline.IsZero() && !x.host.now().Before(x.deadline):
		return x.timedOut(), nil
	}
	if end := b.group.halted(); end != nil {
		return end, nil
	}
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); !errors.Is(cause, errCanceled) && !errors.Is(cause, errDeadline) {
			return nil, cause
		}
	}
	return nil, nil
}

// await waits until a time (zero: for ever), or for the signal to a step if key is not empty.
func (b *branch) await(ctx context.Context, until time.Time, key string) (*ending, error) {
	for {
		if end, err := b.stopped(ctx); end != nil || err != nil {
			return end, err
		}
		if key != "" && b.x.state.answers[key] != nil {
			return nil, nil
		}
		if !until.IsZero() && !b.x.host.now().Before(until) {
			return nil, nil
		}
		if err := b.pause(ctx, until); err != nil {
			return nil, err
		}
	}
}

func (x *execution) canceled() *ending {
	return &ending{status: StatusCanceled, summary: "Canceled"}
}

func (x *execution) timedOut() *ending {
	msg := fmt.Sprintf("The run took longer than its timeout of %s", x.w.Timeout)
	return &ending{status: StatusFailed, reason: ReasonTimeout, summary: msg, failure: &StepError{Message: msg}}
}

// perform brings a step to its outcome, which then stands in the state.
func (b *branch) perform(ctx context.Context, s *workflow.Step, key string, st *stepState) (*ending, error) {
	if s.If != nil && (st == nil || st.attempts == 0) {
		ok, err := s.If.Bool(ctx, b.env(key))
		if err != nil {
			return nil, b.fail(key, 0, 0, fmt.Errorf("if: %w", err), StatusFailed, time.Time{})
		}
		if !ok {
			b.complete(key, 0, 0, StatusSkipped, nil, nil, "")
			return nil, nil
		}
	}
	switch do := s.Do.(type) {
	case *workflow.Filter:
		return nil, b.filter(ctx, key, do)
	case *workflow.Set:
		return nil, b.set(ctx, key, do)
	case *workflow.Respond:
		return nil, b.respond(ctx, key, do)
	case *workflow.Stop:
		return nil, b.stopRun(ctx, key, do)
	case *workflow.Use:
		return b.use(ctx, s, key, do, st)
	case *workflow.Paths:
		return b.paths(ctx, key, do, st)
	case *workflow.Parallel:
		return b.parallel(ctx, key, do, st)
	case *workflow.ForEach:
		return b.forEach(ctx, s, key, do, st)
	case *workflow.Wait:
		return b.wait(ctx, s, key, do, st)
	case *workflow.Approve:
		return b.approve(ctx, s, key, do, st)
	case *workflow.Call:
		return b.call(ctx, s, key, do, st)
	}
	return nil, b.fail(key, 0, 0, fmt.Errorf("this release does not know the step kind %q", s.Kind), StatusFailed, time.Time{})
}

// env is what an expression of the step with this key is evaluated on: random values are derived from run and step.
func (b *branch) env(key string) *expression.Env {
	x := b.x
	if b.seed == "" {
		b.seed = x.claim.Run.String() + "/" + key
	}
	x.current = b
	x.env.Roots, x.env.Now, x.env.Seed = b.sc.roots, b.now, b.seed
	return &x.env
}

// link gives approval_url and callback_url their address.
func (x *execution) link(function, id string) (string, error) {
	s := x.w.Step(id)
	if s == nil {
		return "", fmt.Errorf("there is no step %q", id)
	}
	return x.host.link(x.claim.Run, x.current.sc.keyOf(s), function)
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

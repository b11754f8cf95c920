package trigger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const (
	maxItems     = 10_000 // in one answer
	pollTimeout  = 2 * time.Minute
	maxBackoff   = time.Hour
	maxAskedWait = 24 * time.Hour // of a Retry-After
	pollBatch    = 200            // runs accepted in one write
	// firstPollSpread is the longest wait before the first poll, so that many of them do not begin at once.
	firstPollSpread = time.Second
)

// poll calls an action again and again and emits an event for what is new.
type poll struct {
	workflow *workflow.Workflow
	trigger  *workflow.Trigger
	poll     *workflow.Poll
	clock    *clock
	engine   *engine.Engine
	store    engine.Store
	action   *connectors.Action
	log      *slog.Logger
}

// pollState is where a poll stands, as the store keeps it beside the keys that it has seen.
type pollState struct {
	Spec      string    `json:"spec"`               // what is asked for; another question begins anew
	Baselined bool      `json:"baselined"`          // one answer was read
	Last      time.Time `json:"last,omitzero"`      // when the last poll began
	Next      time.Time `json:"next,omitzero"`      // when the next one is due
	Error     string    `json:"error,omitempty"`    // why the last poll failed
	Failures  int       `json:"failures,omitempty"` // polls that failed in a row
	Seen      int       `json:"seen"`               // keys remembered
	Started   int       `json:"started"`            // runs started in all

	// What the last answer said about itself, and to which input.
	Input        string `json:"input,omitempty"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
}

func newPoll(s *Set, w *workflow.Workflow, t *workflow.Trigger) (Trigger, error) {
	clock, err := newClock(&t.Poll.Schedule)
	if err != nil {
		return nil, err
	}
	c := s.Engine.Connectors.Connector(t.Poll.Use.Connector)
	if c == nil || c.Action(t.Poll.Use.Action) == nil {
		return nil, fmt.Errorf("there is no action %s.%s", t.Poll.Use.Connector, t.Poll.Use.Action)
	}
	return &poll{
		workflow: w, trigger: t, poll: t.Poll, clock: clock, engine: s.Engine, store: s.Store,
		action: c.Action(t.Poll.Use.Action), log: s.Log.With("workflow", w.ID, "trigger", t.ID),
	}, nil
}

func pollKey(workflow, trigger string) string { return "poll/" + workflow + ":" + trigger }

// Run polls until ctx is done. A poll that is new, or asks something else than before, begins soon and follows
// `first`; one that ran before goes on when it was due.
func (p *poll) Run(ctx context.Context, emit Emit) error {
	state, seen, err := p.load(ctx, emit)
	if err != nil {
		return err
	}
	for {
		if err := sleepUntil(ctx, state.Next); err != nil {
			return err
		}
		begun := wallNow()
		next, err := p.once(ctx, emit, state, seen)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		next.Last = begun
		if err == nil {
			next.Failures, next.Error, next.Next = 0, "", p.after(begun)
		} else {
			next.Failures++
			next.Error = string(p.engine.Redact([]byte(err.Error())))
			next.Next = p.afterFailure(next.Failures, err)
			p.log.WarnContext(ctx, "the poll failed", "err", next.Error, "next", next.Next)
		}
		next.Seen = seen.len()
		state = next
		_, err = emit(ctx, nil, []engine.Put{statePut(pollKey(p.workflow.ID, p.trigger.ID), state)})
		if err != nil && ctx.Err() == nil {
			p.log.ErrorContext(ctx, "where the poll stands could not be stored", "err", err)
		}
	}
}

// once makes one poll and starts the runs for what it found. It returns the state that follows: the old one, if it
// failed.
func (p *poll) once(ctx context.Context, emit Emit, state pollState, seen *seenSet) (pollState, error) {
	next, found, err := p.look(ctx, state, seen)
	if err != nil {
		return state, err
	}
	next.Started, err = p.start(ctx, emit, next, seen, found)
	if err != nil {
		state.Started = next.Started
		return state, err
	}
	return next, nil
}

// load reads where the poll stands, or forgets what belongs to another question.
func (p *poll) load(ctx context.Context, emit Emit) (pollState, *seenSet, error) {
	key := pollKey(p.workflow.ID, p.trigger.ID)
	var state pollState
	if err := readState(ctx, p.store, key, &state); err != nil && !errors.Is(err, engine.ErrNotFound) {
		return state, nil, fmt.Errorf("read the state of the poll: %w", err)
	}
	seen, err := loadSeen(ctx, p.store.KV(), key)
	if err != nil {
		return state, nil, fmt.Errorf("read what the poll has seen: %w", err)
	}
	now := wallNow()
	if spec := p.spec(); state.Spec != spec {
		for puts := range slices.Chunk(seen.clear(), seenPage) {
			if _, err := emit(ctx, nil, puts); err != nil {
				return state, nil, err
			}
		}
		state = pollState{Spec: spec}
	}
	wentBack := p.clock.cron == nil && state.Next.Sub(now) > max(p.clock.every, maxAskedWait) // the clock did
	if state.Next.Before(now) || wentBack {
		state.Next = now.Add(rand.N(firstPollSpread))
	}
	return state, seen, nil
}

// spec names the question that the poll asks. Keys seen for one question say nothing about the answer to another.
func (p *poll) spec() string {
	var b strings.Builder
	u := p.poll.Use
	b.WriteString(u.Connector + "." + u.Action + "\x00" + u.Connection)
	for _, program := range []*expression.Program{p.poll.Items, p.poll.Key, p.poll.Version} {
		b.WriteByte(0)
		if program != nil {
			b.WriteString(program.Source())
		}
	}
	writeTree(&b, u.With)
	return digest(b.String()).String()
}

func writeTree(b *strings.Builder, t *expression.Tree) {
	switch {
	case t == nil:
		b.WriteString("\x00nil")
	case t.Template != nil:
		b.WriteString("\x00$" + t.Template.Source())
	case t.IsMap || t.Fields != nil:
		b.WriteString("\x00{")
		for _, f := range t.Fields {
			b.WriteString("\x00" + f.Key)
			writeTree(b, f.Value)
		}
		b.WriteString("\x00}")
	case t.List != nil:
		b.WriteString("\x00[")
		for _, item := range t.List {
			writeTree(b, item)
		}
		b.WriteString("\x00]")
	default:
		fmt.Fprintf(b, "\x00%T%v", t.Literal, t.Literal)
	}
}

// after is when the poll that began at begun is followed by the next one. Times that passed meanwhile are left out.
func (p *poll) after(begun time.Time) time.Time {
	if p.clock.cron != nil {
		return p.clock.next(wallNow()) // never the zero time: a cron expression that can end is refused
	}
	return begun.Add(p.clock.every)
}

// afterFailure is when a poll that failed is made again: later each time, and never earlier than its turn or than
// the other side asked for.
func (p *poll) afterFailure(failures int, err error) time.Time {
	now := wallNow()
	wait := p.clock.every
	if p.clock.cron != nil {
		wait = time.Minute
	}
	grown := wait << min(failures-1, 16)
	if grown <= 0 || grown > maxBackoff {
		grown = max(maxBackoff, wait)
	}
	if grown > wait {
		grown = wait + rand.N(grown-wait)/2 + (grown-wait)/2
	}
	if asked, ok := connectors.Delay(err); ok {
		grown = max(grown, min(asked, maxAskedWait))
	}
	next := now.Add(grown)
	if p.clock.cron != nil {
		if turn := p.clock.next(now); turn.After(next) {
			next = turn
		}
	}
	return next
}

// finding is what one poll leads to.
type finding struct {
	items  []any         // the new ones
	marks  []mark        // what to remember of each
	quiet  bool          // remember, start nothing
	latest map[hash]bool // all keys of the answer; nil: there was none
}

// look makes one call and compares its answer with what was seen. It returns the state that holds once all that it
// found is stored.
func (p *poll) look(ctx context.Context, state pollState, seen *seenSet) (pollState, *finding, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	now := time.Now()
	call := "poll/" + p.workflow.ID + "/" + p.trigger.ID + "/" + strconv.FormatInt(now.UnixNano(), 10)
	roots := map[string]any{"workflow": workflowRoot(p.workflow)}
	env := &expression.Env{Roots: roots, Now: now, Zone: p.clock.zone, Seed: call}

	input := map[string]any{}
	if p.poll.Use.With != nil {
		with, err := p.poll.Use.With.Eval(ctx, env)
		if err != nil {
			return state, nil, fmt.Errorf("with: %w", err)
		}
		fields, ok := with.(map[string]any)
		if !ok {
			return state, nil, errors.New("with is not an object")
		}
		input = fields
	}
	question := ""
	if p.conditional(input) {
		question = digestValue(input).String()
		if state.Input == question {
			input = withValidators(input, &state)
		}
	}
	output, err := p.engine.Call(ctx, p.workflow, p.poll.Use, p.action, input, engine.IdempotencyKey(engine.RunID{}, call))
	if question != "" && notModified(output, err) {
		return state, &finding{}, nil
	}
	if err != nil {
		return state, nil, err
	}
	roots["output"] = output
	items, err := p.items(ctx, env, output)
	if err != nil {
		return state, nil, err
	}
	found, err := p.compare(ctx, env, items, seen)
	if err != nil {
		return state, nil, err
	}
	found.quiet = !state.Baselined && p.poll.First != "emit"
	state.Baselined = true
	state.Input, state.ETag, state.LastModified = question, "", ""
	if question != "" {
		state.ETag, state.LastModified = validators(output)
	}
	return state, found, nil
}

// items takes the list out of the output of the action.
func (p *poll) items(ctx context.Context, env *expression.Env, output any) ([]any, error) {
	list, where := output, "the output of the action"
	if p.poll.Items != nil {
		where = "items: " + p.poll.Items.Source()
		var err error
		if list, err = p.poll.Items.Eval(ctx, env); err != nil {
			return nil, fmt.Errorf("items: %w", err)
		}
	}
	items, ok := list.([]any)
	switch {
	case list == nil:
		return nil, fmt.Errorf("%s is missing, it should be a list", where)
	case !ok && p.poll.Items == nil:
		return nil, fmt.Errorf("%s is %s, not a list: say where the list is, such as `items: output.body`", where, typeName(list))
	case !ok:
		return nil, fmt.Errorf("%s is %s, not a list", where, typeName(list))
	case len(items) > maxItems:
		return nil, fmt.Errorf("%s has %d items, at most %d are read: ask for fewer", where, len(items), maxItems)
	}
	return items, nil
}

// compare finds the items that were not seen, or not in this version.
func (p *poll) compare(ctx context.Context, env *expression.Env, items []any, seen *seenSet) (*finding, error) {
	found := &finding{latest: make(map[hash]bool, len(items))}
	for i, item := range items {
		env.Roots["item"] = item
		key, err := p.itemKey(ctx, env, item)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		version := hash{}
		if p.poll.Version != nil {
			v, err := p.poll.Version.Eval(ctx, env)
			if err != nil {
				return nil, fmt.Errorf("version of item %d: %w", i, err)
			}
			version = digestValue(v)
		}
		id := digest(key)
		if found.latest[id] { // a list that shifts while it is paged repeats items
			continue
		}
		found.latest[id] = true
		if m, changed := seen.compare(id, key, version); changed {
			found.items = append(found.items, item)
			found.marks = append(found.marks, m)
		}
	}
	return found, nil
}

// itemKey is what tells an item from all others. Without `key` that is all of it.
func (p *poll) itemKey(ctx context.Context, env *expression.Env, item any) (string, error) {
	if p.poll.Key == nil {
		return digestValue(item).String(), nil
	}
	v, err := p.poll.Key.Eval(ctx, env)
	if err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	key := value.Text(v)
	if key == "" {
		return "", fmt.Errorf("its key (%s) is empty, so it could not be told from others", p.poll.Key.Source())
	}
	return key, nil
}

// start starts the runs of what was found and returns how many were started in all. What was seen is stored in the
// write that starts the runs for it, so a crash in between repeats nothing and loses nothing.
func (p *poll) start(ctx context.Context, emit Emit, next pollState, seen *seenSet, found *finding) (int, error) {
	size := pollBatch
	if found.quiet {
		size = seenPage
	} else if p.poll.Emit == "batch" {
		size = maxItems
	}
	// Runs are listed and started in the order of their times, to the millisecond.
	first := wallNow().Add(-time.Duration(len(found.items)) * time.Millisecond)
	for from := 0; from < len(found.items); from += size {
		to := min(from+size, len(found.items))
		var events []engine.Event
		if !found.quiet {
			events = p.events(found.items[from:to], found.marks[from:to], first.Add(time.Duration(from)*time.Millisecond))
		}
		puts := seen.puts(found.marks[from:to])
		if to == len(found.items) {
			puts = append(puts, statePut(pollKey(p.workflow.ID, p.trigger.ID), next))
		}
		accepted, err := emit(ctx, events, puts)
		if err != nil {
			return next.Started, err
		}
		seen.remember(found.marks[from:to])
		for _, a := range accepted {
			if !a.Duplicate {
				next.Started++
			}
		}
	}
	for puts := range slices.Chunk(seen.trim(found.latest), seenPage) {
		if _, err := emit(ctx, nil, puts); err != nil {
			return next.Started, err
		}
	}
	return next.Started, nil
}

// events makes one event for each item, a millisecond apart from at on, or one for all of them.
func (p *poll) events(items []any, marks []mark, at time.Time) []engine.Event {
	event := func(i int, key string, fields map[string]any) engine.Event {
		return engine.Event{
			Workflow: p.workflow.ID, Trigger: p.trigger.ID, Kind: engine.TriggerPoll, At: at.Add(time.Duration(i) * time.Millisecond),
			Key: "poll/" + key, Window: 24 * time.Hour, Fields: fields,
		}
	}
	if p.poll.Emit == "batch" {
		var all strings.Builder
		for _, m := range marks {
			all.WriteString(m.runKey() + "\x00")
		}
		return []engine.Event{event(0, "batch/"+digest(all.String()).String(), map[string]any{"items": items})}
	}
	events := make([]engine.Event, len(items))
	for i, item := range items {
		events[i] = event(i, marks[i].runKey(), map[string]any{"item": item})
	}
	return events
}

// conditional reports whether the action is a GET that can be asked for changes only (RFC 9110, section 13).
func (p *poll) conditional(input map[string]any) bool {
	if p.poll.Use.Connector != "http" || p.poll.Use.Action != "request" {
		return false
	}
	method, _ := input["method"].(string)
	return method == "" || strings.EqualFold(method, http.MethodGet)
}

// withValidators is input with If-None-Match and If-Modified-Since, unless it has one of them.
func withValidators(input map[string]any, state *pollState) map[string]any {
	old, ok := input["headers"].(map[string]any)
	if !ok && input["headers"] != nil {
		return input
	}
	headers := make(map[string]any, len(old)+2)
	for name, v := range old {
		if strings.EqualFold(name, "If-None-Match") || strings.EqualFold(name, "If-Modified-Since") {
			return input
		}
		headers[name] = v
	}
	if state.ETag != "" {
		headers["If-None-Match"] = state.ETag
	}
	if state.LastModified != "" {
		headers["If-Modified-Since"] = state.LastModified
	}
	changed := make(map[string]any, len(input)+1)
	for name, v := range input {
		changed[name] = v
	}
	changed["headers"] = headers
	return changed
}

func validators(output any) (etag, lastModified string) {
	answer, _ := output.(map[string]any)
	headers, _ := answer["headers"].(map[string]any)
	etag, _ = headers["etag"].(string)
	lastModified, _ = headers["last-modified"].(string)
	return etag, lastModified
}

// notModified reports whether the answer was 304, which an action may give as output or as an error.
func notModified(output any, err error) bool {
	var status *connectors.StatusError
	if errors.As(err, &status) {
		return status.Status == http.StatusNotModified
	}
	answer, _ := output.(map[string]any)
	return answer["status"] == http.StatusNotModified
}

func typeName(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case bool:
		return "true or false"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	}
	return "a number"
}

func workflowRoot(w *workflow.Workflow) map[string]any {
	return map[string]any{"id": w.ID, "name": w.Name, "version": w.Version}
}

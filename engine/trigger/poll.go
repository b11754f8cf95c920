package trigger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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
	maxPages     = 50             // of one poll
	pollBatch    = 200            // runs accepted in one write
	alertAfter   = 3              // failed polls in a row: one alone is a passing trouble of the network
	// firstPollSpread is the longest wait before the first poll, so that many of them do not begin at once.
	firstPollSpread = time.Second
)

// poll calls an action again and again and emits an event for what is new.
type poll struct {
	workflow *workflow.Workflow
	trigger  *workflow.Trigger
	poll     *workflow.Poll
	clock    *clock
	set      *Set
	engine   *engine.Engine
	store    engine.Store
	action   *connectors.Action
	listener *listener // a poll that a connector defines: it fetches, and there is no action; nil: the workflow's own
	cursor   *cursor
	log      *slog.Logger
}

// pollState is where a poll stands, as the store keeps it beside the keys that it has seen.
type pollState struct {
	Spec      string       `json:"spec"`               // what is asked for; another question begins anew
	Baselined bool         `json:"baselined"`          // one answer was read
	Last      time.Time    `json:"last,omitzero"`      // when the last poll began
	Next      time.Time    `json:"next,omitzero"`      // when the next one is due
	Error     string       `json:"error,omitempty"`    // why the last poll failed
	Warning   string       `json:"warning,omitempty"`  // what the last poll had to leave out
	Failures  int          `json:"failures,omitempty"` // polls that failed in a row
	Seen      int          `json:"seen"`               // keys remembered
	Started   int          `json:"started"`            // runs started in all
	Rewound   int          `json:"rewound,omitempty"`  // how often keys were forgotten on purpose; part of the keys of runs
	Polls     []PollRecord `json:"polls,omitempty"`    // the last ones, newest first

	// What the last answer said about itself, and to which input.
	Input string `json:"input,omitempty"`
	// Of a poll that a connector defines: where it stands, and since when it has heard everything.
	Place        any       `json:"place,omitempty"`
	Since        time.Time `json:"since,omitzero"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
}

// keptPolls is how many polls the state remembers.
const keptPolls = 20

// PollRecord is what came of one poll.
type PollRecord struct {
	At        time.Time `json:"at"`
	MS        float64   `json:"ms"`
	Asked     bool      `json:"asked,omitempty" doc:"A person asked for it."`
	Pages     int       `json:"pages,omitempty" doc:"Calls that were answered; absent: none was."`
	Unchanged bool      `json:"unchanged,omitempty" doc:"The other side answered 304: nothing has changed."`
	Baseline  bool      `json:"baseline,omitempty" doc:"What it found was remembered, and nothing started."`
	Fetched   int       `json:"fetched" doc:"Items in the answer."`
	New       int       `json:"new" doc:"Items that were new, or had another version."`
	Broken    int       `json:"broken,omitempty" doc:"Items that were left out, because they have no key."`
	Started   int       `json:"started" doc:"Runs."`
	Warning   string    `json:"warning,omitempty"`
	Error     string    `json:"error,omitempty"`
}

func newPoll(s *Set, w *workflow.Workflow, t *workflow.Trigger) (Trigger, error) {
	p, err := s.poll(w, t)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// poll makes the poll of a trigger, over the cursor that all of its versions share.
func (s *Set) poll(w *workflow.Workflow, t *workflow.Trigger) (*poll, error) {
	p, err := s.asker(w, t)
	if err == nil {
		p.cursor = s.cursor(ownerKey{w.ID, t.ID})
	}
	return p, err
}

// asker makes a poll that can ask, and has no cursor that would remember the answer.
func (s *Set) asker(w *workflow.Workflow, t *workflow.Trigger) (*poll, error) {
	if t.Listen != nil {
		return s.connectorPoll(w, t)
	}
	clock, err := newClock(&t.Poll.Schedule)
	if err != nil {
		return nil, err
	}
	c := s.Engine.Connectors.Connector(t.Poll.Use.Connector)
	if c == nil || c.Action(t.Poll.Use.Action) == nil {
		return nil, fmt.Errorf("there is no action %s.%s", t.Poll.Use.Connector, t.Poll.Use.Action)
	}
	return &poll{
		workflow: w, trigger: t, poll: t.Poll, clock: clock, set: s, engine: s.Engine, store: s.Store,
		action: c.Action(t.Poll.Use.Action), log: s.Log.With("workflow", w.ID, "trigger", t.ID),
	}, nil
}

func pollKey(workflow, trigger string) string { return "poll/" + workflow + ":" + trigger }

// Run polls until ctx is done. A poll that is new, or asks something else than before, begins soon and follows
// `first`; one that ran before goes on when it was due.
func (p *poll) Run(ctx context.Context, emit Emit) error {
	c := p.cursor
	if err := c.hold(ctx); err != nil {
		return err
	}
	err := p.load(ctx, emit)
	due := c.state.Next
	c.release()
	for err == nil {
		var asked chan<- PollRecord
		if asked, err = c.wait(ctx, due); err != nil {
			break
		}
		if err = c.hold(ctx); err != nil {
			break
		}
		var r PollRecord
		r, err = p.turn(ctx, emit, asked != nil)
		due = c.state.Next
		c.release()
		if err == nil {
			p.set.polled(p.workflow.ID, p.trigger.ID, r)
		}
		if asked != nil && err == nil {
			asked <- r
		}
	}
	return err
}

// turn makes one poll and stores where the poll stands then. The cursor is held. It fails when
// ctx is done, or the store cannot be read.
func (p *poll) turn(ctx context.Context, emit Emit, asked bool) (PollRecord, error) {
	if !p.cursor.loaded { // a person's change was cut off
		if err := p.load(ctx, emit); err != nil {
			return PollRecord{}, err
		}
	}
	state, seen := p.cursor.state, p.cursor.seen
	begun := wallNow()
	r := PollRecord{At: begun, Asked: asked}
	next, marks, err := p.once(ctx, emit, state, seen, &r)
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	next.Last = begun
	if err == nil {
		next.Failures, next.Error, next.Next = 0, "", p.after(begun)
		next.Warning = p.redact(r.Warning)
		r.Warning = next.Warning
	} else {
		next.Failures++
		next.Error = p.redact(err.Error())
		next.Next = p.afterFailure(next.Failures, err)
		r.Error = next.Error
		p.log.WarnContext(ctx, "the poll failed", "err", next.Error, "next", next.Next)
	}
	r.MS = float64(wallNow().Sub(begun).Microseconds()) / 1000
	next.Seen = seen.len()
	next.Polls = append([]PollRecord{r}, next.Polls[:min(len(next.Polls), keptPolls-1)]...)
	p.cursor.state = next
	// Which run an item started is known after the write that starts it. It is only shown to people.
	puts := append(seen.puts(marks), statePut(p.cursor.key, next))
	var alerts []engine.Event
	if next.Failures == alertAfter {
		if ev := p.engine.PollAlert(p.workflow, p.trigger.ID, next.Error); ev != nil {
			alerts = append(alerts, *ev)
		}
	}
	for some := range slices.Chunk(puts, seenPage) {
		if _, err := emit(ctx, alerts, some); err != nil && ctx.Err() == nil {
			p.log.ErrorContext(ctx, "where the poll stands could not be stored", "err", err)
		}
		alerts = nil
	}
	return r, ctx.Err()
}

func (p *poll) redact(text string) string { return string(p.engine.Redact([]byte(text))) }

// once makes one poll and starts the runs for what it found. It returns the state that follows, the old one if it
// failed, and the marks of what started a run.
func (p *poll) once(ctx context.Context, emit Emit, state pollState, seen *seenSet, r *PollRecord) (pollState, []mark, error) {
	next, found, err := p.look(ctx, state, seen, true)
	if err != nil {
		return state, nil, err
	}
	found.record(r)
	marks, err := p.start(ctx, emit, &next, seen, found)
	r.Started = next.Started - state.Started
	if err != nil {
		state.Started = next.Started
		return state, marks, err
	}
	return next, marks, nil
}

// load reads where the poll stands into the cursor, which is held, and forgets what belongs to another question.
func (p *poll) load(ctx context.Context, emit Emit) error {
	state, seen, err := p.read(ctx)
	if err != nil {
		return err
	}
	if state.Spec == "" {
		if state, seen, err = p.set.adopt(ctx, p, emit, state, seen); err != nil {
			return err
		}
	}
	if spec := p.spec(); state.Spec != spec {
		for puts := range slices.Chunk(seen.clear(), seenPage) {
			if _, err := emit(ctx, nil, puts); err != nil {
				return err
			}
		}
		state = state.anew(spec)
	}
	now := wallNow()
	wentBack := p.clock.cron == nil && state.Next.Sub(now) > max(p.clock.every, maxAskedWait) // the clock did
	if state.Next.Before(now) || wentBack {
		state.Next = now.Add(rand.N(firstPollSpread))
	}
	p.cursor.loaded, p.cursor.state, p.cursor.seen = true, state, seen
	return nil
}

// anew is the state of a poll that asks another question than before: it begins, and its history stays.
func (s pollState) anew(spec string) pollState {
	return pollState{Spec: spec, Started: s.Started, Rewound: s.Rewound, Polls: s.Polls}
}

// read reads what the store knows of the poll; an empty state when that is nothing.
func (p *poll) read(ctx context.Context) (pollState, *seenSet, error) {
	var state pollState
	if err := readState(ctx, p.store, p.cursor.key, &state); err != nil && !errors.Is(err, engine.ErrNotFound) {
		return state, nil, fmt.Errorf("read the state of the poll: %w", err)
	}
	seen, err := loadSeen(ctx, p.store.KV(), p.cursor.key)
	if err != nil {
		return state, nil, fmt.Errorf("read what the poll has seen: %w", err)
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
	if p.poll.Next != nil { // more pages are more items, which were there before
		b.WriteString("\x00next\x00" + p.poll.Next.Source())
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
	items     []any         // the new ones
	marks     []mark        // what to remember of each
	quiet     bool          // remember, start nothing
	latest    map[hash]bool // all keys of the answer; nil: there was none
	pages     int
	fetched   int
	broken    int
	unchanged bool   // the answer was 304
	warning   string // what was left out, in a sentence
}

func (f *finding) record(r *PollRecord) {
	r.Pages, r.Fetched, r.New, r.Broken = f.pages, f.fetched, len(f.items), f.broken
	r.Unchanged, r.Baseline, r.Warning = f.unchanged, f.quiet && len(f.items) > 0, f.warning
}

func (f *finding) warn(format string, args ...any) {
	if f.warning != "" {
		f.warning += "; "
	}
	f.warning += fmt.Sprintf(format, args...)
}

// look asks once and compares the answer with what was seen. It returns the state that holds once all that it found
// is stored. Nothing is stored yet, so a look that nobody acts on has changed nothing.
func (p *poll) look(ctx context.Context, state pollState, seen *seenSet, conditional bool) (pollState, *finding, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	if p.listener != nil {
		return p.fetch(ctx, state, seen)
	}
	env, call, input, err := p.question(ctx)
	if err != nil {
		return state, nil, err
	}
	question := ""
	// The first page of a list in the order of age does not change when an item is added at its end.
	if p.poll.Next == nil && isGET(p.poll.Use, input) {
		question = digestValue(input).String()
		if conditional && state.Input == question {
			input = withValidators(input, &state)
		}
	}
	found := &finding{}
	output, items, err := p.ask(ctx, env, call, input, found)
	if question != "" && notModified(output, err) {
		return state, &finding{pages: 1, unchanged: true}, nil
	}
	if err != nil {
		return state, nil, err
	}
	markOf := func(i int) (mark, error) {
		env.Roots["item"] = items[i]
		return p.markOf(ctx, env, items[i])
	}
	if err := compare(ctx, items, markOf, seen, found); err != nil {
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

// ask calls the action until the answer names no further page, within bounds. It returns the last output and the
// items of all pages.
func (p *poll) ask(ctx context.Context, env *expression.Env, call string, input map[string]any, found *finding) (output any, all []any, err error) {
	asked := map[string]bool{}
	for {
		key := call + "/" + strconv.Itoa(found.pages)
		output, err = p.engine.Call(ctx, p.workflow, p.poll.Use, p.action, input, engine.IdempotencyKey(engine.RunID{}, key))
		if err != nil {
			if found.pages > 0 {
				err = fmt.Errorf("page %d: %w", found.pages+1, err)
			}
			return output, nil, err
		}
		if notModified(output, nil) {
			return output, nil, errors.New("answered 304, although the whole answer was asked for")
		}
		env.Roots["output"] = output
		items, err := p.items(ctx, env, output)
		if err != nil {
			return output, nil, err
		}
		found.pages++
		if len(all)+len(items) > maxItems && found.pages > 1 {
			found.warn("the first %d items were read, more remain: ask for fewer", len(all))
			return output, all, nil
		}
		all = append(all, items...)
		if p.poll.Next == nil {
			return output, all, nil
		}
		next, err := p.nextPage(ctx, env, input)
		if err != nil {
			return output, nil, fmt.Errorf("next: %w", err)
		}
		switch address, _ := next["url"].(string); {
		case next == nil:
			return output, all, nil
		case asked[address]:
			return output, nil, fmt.Errorf("next: page %d leads back to %s, which was read already", found.pages, address)
		case found.pages == maxPages:
			found.warn("the first %d pages were read, more remain: ask for larger pages or for fewer items", maxPages)
			return output, all, nil
		default:
			asked[address] = true
			input = next
		}
	}
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

// compare finds the items that were not seen, or not in this version. An item without a key is left out and
// reported; the others go on. When no item has one, the question is wrong and the poll fails.
func compare(ctx context.Context, items []any, markOf func(i int) (mark, error), seen *seenSet, found *finding) error {
	found.latest = make(map[hash]bool, len(items))
	found.fetched = len(items)
	var first error
	for i, item := range items {
		m, err := markOf(i)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if found.broken++; first == nil {
				first = fmt.Errorf("item %d: %w", i, err)
			}
			continue
		}
		if found.latest[m.id] { // a list that shifts while it is paged repeats items
			continue
		}
		found.latest[m.id] = true
		if m, changed := seen.compare(m); changed {
			found.items = append(found.items, item)
			found.marks = append(found.marks, m)
		}
	}
	switch {
	case found.broken > 0 && found.broken == len(items):
		return fmt.Errorf("none of the %d items can be told from others: %w", len(items), first)
	case found.broken > 0:
		found.warn("%d of %d items were left out: %v", found.broken, len(items), first)
	}
	return nil
}

// markOf is what an item is remembered by: what tells it from all others, and its version.
func (p *poll) markOf(ctx context.Context, env *expression.Env, item any) (m mark, err error) {
	if p.poll.Key == nil {
		m.key = digestValue(item).String()
	} else {
		v, err := p.poll.Key.Eval(ctx, env)
		if err != nil {
			return m, fmt.Errorf("key: %w", err)
		}
		if m.key = value.Text(v); m.key == "" {
			return m, fmt.Errorf("its key (%s) is empty, so it could not be told from others", p.poll.Key.Source())
		}
	}
	m.id = digest(m.key)
	if p.poll.Version != nil {
		v, err := p.poll.Version.Eval(ctx, env)
		if err != nil {
			return m, fmt.Errorf("version: %w", err)
		}
		m.version, m.versionText = digestValue(v), value.Text(v)
	}
	return m, nil
}

// start starts the runs of what was found, counts them in next, and returns the marks of the items with their runs.
// What was seen is stored in the write that starts the runs for it, so a crash in between repeats nothing and loses
// nothing.
func (p *poll) start(ctx context.Context, emit Emit, next *pollState, seen *seenSet, found *finding) (started []mark, err error) {
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
		marks := found.marks[from:to]
		var events []engine.Event
		if !found.quiet {
			events = p.events(found.items[from:to], marks, next.Rewound, first.Add(time.Duration(from)*time.Millisecond))
		}
		puts := seen.puts(marks)
		if to == len(found.items) {
			puts = append(puts, statePut(p.cursor.key, *next))
		}
		accepted, err := emit(ctx, events, puts)
		if err != nil {
			return started, err
		}
		seen.remember(marks)
		for i, a := range accepted {
			if !a.Duplicate && !a.Dropped {
				next.Started++
			}
			if len(accepted) == len(marks) {
				marks[i].run = a.ID
				continue
			}
			for j := range marks { // one run for all of them
				marks[j].run = a.ID
			}
		}
		if !found.quiet {
			started = append(started, marks...)
		}
	}
	for puts := range slices.Chunk(seen.trim(found.latest), seenPage) {
		if _, err := emit(ctx, nil, puts); err != nil {
			return started, err
		}
	}
	return started, nil
}

// events makes one event for each item, a millisecond apart from at on, or one for all of them. Their keys differ
// from those of the same items before the poll was rewound.
func (p *poll) events(items []any, marks []mark, rewound int, at time.Time) []engine.Event {
	again := ""
	if rewound > 0 {
		again = "@" + strconv.Itoa(rewound)
	}
	event := func(i int, key string, fields map[string]any) engine.Event {
		return engine.Event{
			Workflow: p.workflow.ID, Trigger: p.trigger.ID, Kind: engine.TriggerPoll, At: at.Add(time.Duration(i) * time.Millisecond),
			Key: "poll/" + key + again, Window: 24 * time.Hour, Fields: fields,
		}
	}
	if p.poll.Emit == "batch" {
		var all strings.Builder
		for _, m := range marks {
			all.WriteString(m.runKey() + "\x00")
		}
		return []engine.Event{event(0, "batch/"+digest(all.String()).String(), map[string]any{"items": items})}
	}
	field := "item"
	if p.listener != nil {
		field = "body"
	}
	events := make([]engine.Event, len(items))
	for i, item := range items {
		events[i] = event(i, marks[i].runKey(), map[string]any{field: item})
	}
	return events
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

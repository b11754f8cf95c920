package trigger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// cursor is where a poll stands: in the store for good, and in memory while the poll runs. All versions of a workflow
// share the cursor of a trigger, and one at a time holds it: the goroutine that polls, or a person's change. Who holds
// it may read and change the other fields.
type cursor struct {
	key  string                 // of the state in the store
	held chan struct{}          // has room for one: who put something in holds the cursor
	now  chan chan<- PollRecord // asks the goroutine that polls for a poll

	loaded bool // state and seen are those of the store
	state  pollState
	seen   *seenSet
}

// cursor returns the cursor of a trigger.
func (s *Set) cursor(key ownerKey) *cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cursors[key]
	if c == nil {
		c = &cursor{key: pollKey(key.workflow, key.trigger), held: make(chan struct{}, 1), now: make(chan chan<- PollRecord)}
		s.cursors[key] = c
	}
	return c
}

// ErrBusy says that a poll is under way for longer than the caller could wait.
var ErrBusy = fmt.Errorf("a poll is under way: %w", engine.ErrUnavailable)

func (c *cursor) hold(ctx context.Context) error {
	select {
	case c.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *cursor) release() { <-c.held }

// unload drops what is in memory, unless somebody uses it right now.
func (c *cursor) unload() {
	select {
	case c.held <- struct{}{}:
		c.loaded, c.state, c.seen = false, pollState{}, nil
		c.release()
	default:
	}
}

// wait returns when the wall clock shows at, or with the one who asks for a poll before.
func (c *cursor) wait(ctx context.Context, at time.Time) (asked chan<- PollRecord, err error) {
	for ctx.Err() == nil {
		d := at.Sub(wallNow())
		if d <= 0 {
			return nil, nil
		}
		timer := time.NewTimer(min(d, maxSleep))
		select {
		case <-timer.C:
		case asked = <-c.now:
			timer.Stop()
			return asked, nil
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return nil, ctx.Err()
}

// pollOf finds the poll of a current workflow.
func (s *Set) pollOf(workflowID, triggerID string) (*poll, error) {
	w, t, err := s.find(workflowID, triggerID)
	if err != nil {
		return nil, err
	}
	if t.Kind != engine.TriggerPoll && t.Kind != workflow.KindConnector {
		return nil, noCursor(workflowID, triggerID, t.Kind)
	}
	p, err := s.poll(w, t)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, noCursor(workflowID, triggerID, t.Listen.Use.Connector+"."+t.Listen.Use.Action)
	}
	return p, err
}

func noCursor(workflowID, triggerID, kind string) error {
	return &engine.InputError{Message: fmt.Sprintf("trigger %s of %s is a %s: only a poll has a cursor", triggerID, workflowID, kind)}
}

// open holds the cursor of p and makes sure that it is in memory. Without store nothing is written: what the store
// has of another question is left out. The caller releases the cursor.
func (p *poll) open(ctx context.Context, store bool) (state pollState, seen *seenSet, err error) {
	c := p.cursor
	if err := c.hold(ctx); err != nil {
		return state, nil, ErrBusy
	}
	defer func() {
		if err != nil {
			c.release()
		}
	}()
	switch {
	case c.loaded && c.state.Spec == p.spec():
	case store:
		if err := p.load(ctx, p.set.emit); err != nil {
			return state, nil, err
		}
	default:
		state, seen, err := p.read(ctx)
		if err == nil && state.Spec != p.spec() {
			state, seen = state.anew(p.spec()), &seenSet{prefix: seen.prefix, items: map[hash]seenItem{}}
		}
		return state, seen, err
	}
	return c.state, c.seen, nil
}

// change writes puts and the state that the cursor has after them. When it fails, memory and store may differ, and
// the next user reads again.
func (p *poll) change(ctx context.Context, state pollState, puts []engine.Put) error {
	c := p.cursor
	state.Seen = c.seen.len()
	c.state = state
	puts = append([]engine.Put{statePut(c.key, state)}, puts...)
	for some := range slices.Chunk(puts, seenPage) {
		if _, err := p.set.emit(ctx, nil, some); err != nil {
			c.loaded = false
			return err
		}
	}
	return nil
}

// PollNow makes a poll at once and returns what came of it. A poll that failed is no error here.
func (s *Set) PollNow(ctx context.Context, workflowID, triggerID string) (PollRecord, error) {
	p, err := s.pollOf(workflowID, triggerID)
	if err != nil {
		return PollRecord{}, err
	}
	if !p.workflow.Enabled {
		return PollRecord{}, &engine.InputError{Message: workflowID + " is disabled, so it does not poll; a dry poll shows what would start"}
	}
	answer := make(chan PollRecord, 1) // who asked may have gone
	select {
	case p.cursor.now <- answer:
	case <-ctx.Done():
		return PollRecord{}, ErrBusy
	}
	select {
	case r := <-answer:
		return r, nil
	case <-ctx.Done():
		return PollRecord{}, ErrBusy
	}
}

// DryPoll is what a poll would do now.
type DryPoll struct {
	Message    string    `json:"message" example:"Would start 4 runs."`
	Fetched    int       `json:"fetched" doc:"Items in the answer."`
	Pages      int       `json:"pages"`
	New        int       `json:"new" doc:"Items that are new, or have another version."`
	Broken     int       `json:"broken" doc:"Items that would be left out, because they have no key."`
	WouldStart int       `json:"would_start" doc:"Runs."`
	Baseline   bool      `json:"baseline" doc:"It would be the first poll, which remembers what is there and starts nothing."`
	Warning    string    `json:"warning,omitempty"`
	Items      []DryItem `json:"items" nullable:"false" doc:"The new ones, at most 50."`
}

// DryItem is an item that a dry poll found to be new.
type DryItem struct {
	Key     string          `json:"key"`
	Version string          `json:"version,omitempty"`
	Why     string          `json:"why" enum:"new,changed"`
	Item    json.RawMessage `json:"item,omitempty" doc:"Absent where it is larger than 64 KiB."`
}

const (
	maxDryItems = 50
	maxDryItem  = 64 << 10 // bytes
)

// DryPoll asks what a poll would start now, and changes nothing. The error is that of the poll.
func (s *Set) DryPoll(ctx context.Context, workflowID, triggerID string) (*DryPoll, error) {
	p, err := s.pollOf(workflowID, triggerID)
	if err != nil {
		return nil, err
	}
	state, seen, err := p.open(ctx, false)
	if err != nil {
		return nil, err
	}
	defer p.cursor.release()
	_, found, err := p.look(ctx, state, seen, false)
	if err != nil {
		return nil, p.failed(ctx, err)
	}
	d := &DryPoll{
		Fetched: found.fetched, Pages: found.pages, New: len(found.items), Broken: found.broken, Baseline: found.quiet,
		Warning: p.redact(found.warning), Items: []DryItem{},
	}
	switch {
	case found.quiet:
		d.Message = fmt.Sprintf("The first poll: would remember %s and start nothing.", items(d.New))
	case d.New == 0:
		d.Message = fmt.Sprintf("Would start nothing: none of the %s is new.", items(d.Fetched))
	case p.poll.Emit == "batch":
		d.WouldStart = 1
		d.Message = fmt.Sprintf("Would start 1 run with %s.", items(d.New))
	default:
		d.WouldStart = d.New
		d.Message = fmt.Sprintf("Would start %s.", runs(d.New))
	}
	for i, m := range found.marks[:min(len(found.marks), maxDryItems)] {
		item := DryItem{Key: cut(m.key, maxShownKey), Version: cut(m.versionText, maxShownVersion), Why: "new"}
		if m.changes > 0 {
			item.Why = "changed"
		}
		if text, err := value.AppendJSON(nil, found.items[i]); err == nil && len(text) <= maxDryItem {
			if text = p.engine.Redact(text); json.Valid(text) {
				item.Item = text
			}
		}
		d.Items = append(d.Items, item)
	}
	return d, nil
}

// failed is the error of a poll that a person made: the other side's, and so no fault of the server.
func (p *poll) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ErrBusy
	}
	return &engine.InputError{Message: "the poll failed: " + p.redact(err.Error())}
}

// Rewind is a change of what a poll remembers. Exactly one of the first three is given.
type Rewind struct {
	To      time.Time // forget what was seen, or changed, at or after this time
	Forget  []string  // forget these keys
	AllSeen bool      // poll, and remember everything without starting a run
	Dry     bool      // only say what it would do
}

// Rewound is the effect of a Rewind.
type Rewound struct {
	Message string   `json:"message" example:"Forgets 12 keys. The next poll may start 12 runs."`
	Dry     bool     `json:"dry" doc:"Nothing was changed."`
	Keys    int      `json:"keys" doc:"Keys that are forgotten, or remembered."`
	MayRun  int      `json:"may_start" doc:"The most runs that the next poll starts for them: those that the other side still lists."`
	Unknown []string `json:"unknown,omitempty" doc:"Keys to forget that are not remembered."`
	Stays   bool     `json:"place_stays,omitempty" doc:"With to, of a connector's own poll: where it stands is no time and stays, so only what the other side still lists from there is found again."`
}

// maxForget bounds the keys of one Rewind.
const maxForget = 1000

// Rewind forgets keys, so that the next poll starts runs for their items again, or marks all as seen.
func (s *Set) Rewind(ctx context.Context, workflowID, triggerID string, how Rewind) (*Rewound, error) {
	p, err := s.pollOf(workflowID, triggerID)
	if err != nil {
		return nil, err
	}
	given := 0
	for _, is := range []bool{!how.To.IsZero(), len(how.Forget) > 0, how.AllSeen} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, &engine.InputError{Message: "say how to rewind: exactly one of to, forget and all_seen"}
	case len(how.Forget) > maxForget:
		return nil, &engine.InputError{Message: fmt.Sprintf("forget names %d keys, at most %d are taken at once", len(how.Forget), maxForget)}
	}
	state, seen, err := p.open(ctx, !how.Dry)
	if err != nil {
		return nil, err
	}
	defer p.cursor.release()
	if how.AllSeen {
		return p.markAll(ctx, state, seen, how.Dry)
	}
	out := &Rewound{Dry: how.Dry}
	var ids []hash
	for id, item := range seen.items {
		if !how.To.IsZero() && item.added >= how.To.Unix() {
			ids = append(ids, id)
		}
	}
	for _, key := range how.Forget {
		if _, known := seen.items[digest(key)]; known && !slices.Contains(ids, digest(key)) {
			ids = append(ids, digest(key))
		} else if !known {
			out.Unknown = append(out.Unknown, key)
		}
	}
	out.Keys, out.MayRun = len(ids), len(ids)
	switch {
	case out.Keys == 0 && len(how.Forget) > 0:
		out.Message = "Forgets nothing: none of these keys is remembered."
	case out.Keys == 0:
		out.Message = "Forgets nothing: no key was seen or changed at or after " + how.To.Format(time.RFC3339) + "."
	case p.poll.Emit == "batch":
		out.MayRun = 1
		out.Message = fmt.Sprintf("Forgets %s. The next poll may start 1 run with up to %s.", keys(out.Keys), items(out.Keys))
	default:
		out.Message = fmt.Sprintf("Forgets %s. The next poll may start %s.", keys(out.Keys), runs(out.MayRun))
	}
	back := p.listener != nil && !how.To.IsZero() && state.back(how.To)
	out.Stays = p.listener != nil && !how.To.IsZero() && state.Place != nil && !back
	if how.Dry || out.Keys == 0 {
		return out, nil
	}
	state.Rewound++
	state.Input, state.ETag, state.LastModified = "", "", "" // an answer of 304 would hide what is to be found again
	return out, p.change(ctx, state, seen.forget(slices.Values(ids)))
}

// back moves where a connector's poll stands to a time, if it stands behind it and its place is a time.
func (s *pollState) back(to time.Time) bool {
	at, known := s.Place, s.Place == nil
	if text, ok := at.(string); ok {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			if known = true; t.After(to) {
				s.Place = to.UTC().Format(time.RFC3339Nano)
			}
		}
	}
	if !known || !s.Baselined {
		return false
	}
	if s.Since.After(to) {
		s.Since = to
	}
	return true
}

// markAll polls and remembers everything without starting a run.
func (p *poll) markAll(ctx context.Context, state pollState, seen *seenSet, dry bool) (*Rewound, error) {
	next, found, err := p.look(ctx, state, seen, false)
	if err != nil {
		return nil, p.failed(ctx, err)
	}
	out := &Rewound{Dry: dry, Keys: len(found.marks)}
	out.Message = fmt.Sprintf("Marks %s as seen. No run is started for them.", items(out.Keys))
	if out.Keys == 0 {
		out.Message = fmt.Sprintf("Marks nothing as seen: none of the %s is new.", items(found.fetched))
	}
	if dry {
		return out, nil
	}
	seen.remember(found.marks)
	puts := append(seen.puts(found.marks), seen.trim(found.latest)...)
	return out, p.change(ctx, next, puts)
}

func items(n int) string { return counted(n, "item") }
func keys(n int) string  { return counted(n, "key") }
func runs(n int) string  { return counted(n, "run") }

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// SeenKey is one key that a poll remembers.
type SeenKey struct {
	Key       string    `json:"key" doc:"At most 512 bytes of it."`
	FirstSeen time.Time `json:"first_seen"`
	Changed   time.Time `json:"changed" doc:"When its version changed last; equal to first_seen when it never did."`
	Version   string    `json:"version,omitempty"`
	Run       string    `json:"run,omitempty" doc:"The run that it started last; empty: none, such as at the first poll."`
}

// SeenQuery selects keys.
type SeenQuery struct {
	Text   string // matches anywhere in the key, without regard to case
	Cursor string
	Limit  int
}

// Keys lists what a poll remembers, the latest change first. It reads all keys (at most some 110,000) and keeps one
// page of them.
func (s *Set) Keys(ctx context.Context, workflowID, triggerID string, q SeenQuery) (page []SeenKey, next string, err error) {
	p, err := s.pollOf(workflowID, triggerID)
	if err != nil {
		return nil, "", err
	}
	below, err := parseSeenCursor(q.Cursor)
	if err != nil {
		return nil, "", err
	}
	text := strings.ToLower(q.Text)
	var top []mark // the first Limit+1 behind the cursor, in order, after each pruning
	full := false
	prune := func() {
		slices.SortFunc(top, order)
		full = len(top) > q.Limit
		top = top[:min(len(top), q.Limit+1)]
	}
	err = eachSeen(ctx, p.store.KV(), seenPrefix(p.cursor.key), func(m mark) {
		if full && order(m, top[q.Limit]) > 0 || below != nil && order(m, *below) <= 0 || text != "" && !strings.Contains(strings.ToLower(m.key), text) {
			return
		}
		if top = append(top, m); len(top) > 4*q.Limit+1000 {
			prune()
		}
	})
	if err != nil {
		return nil, "", fmt.Errorf("read what the poll has seen: %w", err)
	}
	prune()
	page = make([]SeenKey, 0, min(len(top), q.Limit))
	for _, m := range top[:min(len(top), q.Limit)] {
		k := SeenKey{Key: m.key, FirstSeen: time.Unix(m.first, 0).UTC(), Changed: time.Unix(m.added, 0).UTC(), Version: p.redact(m.versionText)}
		if !m.run.IsZero() {
			k.Run = m.run.String()
		}
		page = append(page, k)
	}
	if len(top) > q.Limit {
		last := top[q.Limit-1]
		next = strconv.FormatInt(last.added, 10) + "-" + last.id.String()
	}
	return page, next, nil
}

// order sorts marks by their last change, the latest first.
func order(a, b mark) int {
	return cmp.Or(cmp.Compare(b.added, a.added), slices.Compare(a.id[:], b.id[:]))
}

func parseSeenCursor(text string) (*mark, error) {
	if text == "" {
		return nil, nil
	}
	at, name, _ := strings.Cut(text, "-")
	m := &mark{}
	var err error
	if m.added, err = strconv.ParseInt(at, 10, 64); err == nil && len(name) == hashText.EncodedLen(len(m.id)) {
		if _, err = hashText.Decode(m.id[:], []byte(name)); err == nil {
			return m, nil
		}
	}
	return nil, &engine.InputError{Message: "cursor is not one that a page of keys gave as next"}
}

// adoptWithin is how long ago a poll must have run for its cursor to be taken over by one of another name.
const adoptWithin = 24 * time.Hour

// adopt looks for the cursor of a poll that is gone and asked the same question: a trigger or a workflow that was
// renamed. It moves that cursor to p, whose cursor is held, and returns it; else what was given.
func (s *Set) adopt(ctx context.Context, p *poll, emit Emit, state pollState, seen *seenSet) (pollState, *seenSet, error) {
	s.adopting.Lock()
	defer s.adopting.Unlock()
	const prefix = "poll/"
	kv, spec := s.Store.KV(), p.spec()
	for after := ""; ; {
		page, err := kv.List(ctx, prefix, after, 1)
		if err != nil {
			return state, seen, fmt.Errorf("look for the state of a renamed poll: %w", err)
		}
		if len(page) == 0 {
			return state, seen, nil
		}
		key := page[0].Key
		workflowID, triggerID, _ := strings.Cut(key[len(prefix):], ":")
		if _, item, isItem := strings.Cut(triggerID, ":"); isItem {
			after = strings.TrimSuffix(key, item) + "\xff" // behind all items of that poll
			continue
		}
		after = key
		var old pollState
		if err := json.Unmarshal(page[0].Value, &old); err != nil || old.Spec != spec || wallNow().Sub(old.Last) > adoptWithin {
			continue
		}
		if _, t, err := s.find(workflowID, triggerID); err == nil && (t.Kind == engine.TriggerPoll || t.Kind == workflow.KindConnector) {
			continue // it is in use
		}
		p.log.InfoContext(ctx, "the poll was renamed: it goes on where it stood", "was", workflowID+"/"+triggerID)
		return s.move(ctx, emit, key, old, seen)
	}
}

// move gives the keys and the state of one poll to another. A crash in between leaves the rest to the next try.
func (s *Set) move(ctx context.Context, emit Emit, from string, state pollState, to *seenSet) (pollState, *seenSet, error) {
	var puts []engine.Put
	err := eachSeen(ctx, s.Store.KV(), seenPrefix(from), func(m mark) {
		to.remember([]mark{m})
		puts = append(puts, to.puts([]mark{m})...)
		puts = append(puts, engine.Put{Key: seenPrefix(from) + m.id.String(), AnyRev: true})
	})
	if err != nil {
		return state, to, err
	}
	key := strings.TrimSuffix(to.prefix, ":")
	puts = append(puts, statePut(key, state), engine.Put{Key: from, AnyRev: true})
	for some := range slices.Chunk(puts, seenPage) {
		if _, err := emit(ctx, nil, some); err != nil {
			return state, to, err
		}
	}
	return state, to, nil
}

// find finds a trigger of a current workflow.
func (s *Set) find(workflowID, triggerID string) (*workflow.Workflow, *workflow.Trigger, error) {
	s.mu.Lock()
	w := s.current[workflowID]
	s.mu.Unlock()
	if w != nil {
		if t := w.Trigger(triggerID); t != nil {
			return w, t, nil
		}
	}
	return nil, nil, fmt.Errorf("trigger %s of workflow %s: %w", triggerID, workflowID, engine.ErrNotFound)
}

// Polled calls f after each poll, in the goroutine of the poll. It is set before Run.
func (s *Set) Polled(f func(workflow, trigger string, r PollRecord)) { s.onPoll = f }

func (s *Set) polled(workflow, trigger string, r PollRecord) {
	if s.onPoll != nil {
		s.onPoll(workflow, trigger, r)
	}
}

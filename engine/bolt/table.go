package bolt

import (
	"bytes"
	"container/heap"
	"slices"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
)

type state uint8

const (
	ready    state = iota // may be claimed as soon as it is first in its lane
	claimed               // a worker has it
	parked                // waits for its wake time or a signal
	finished              // has a row; waits for the archiver
)

// A run is what memory holds of one that is not archived: about 400 bytes and its journal until the first claim.
type run struct {
	id       engine.RunID
	flow     *flow
	version  string
	trigger  string
	parent   engine.RunID
	lane     *lane
	key      dedupKey // zero: none
	order    uint64   // of acceptance
	accepted int64    // Unix time, ns
	wake     int64    // parked: Unix time, ns; 0 waits for a signal only
	epoch    uint64   // of the current claim
	bytes    int64    // stored
	seq      uint32   // the next record's
	timer    int      // index in the heap of timers, -1: none
	state    state
	noted    noted // the writer's own
	urgent   bool
	started  bool // a step has begun
	takeover bool // the next claim counts one
	gone     bool // archived or dropped; indexes forget it when they are next tidied
	signals  []string
	journal  []engine.Record // kept from Accept to the first claim, while memory allows
	cached   int             // bytes that journal counts for
	row      *engine.Row     // finished
}

// A flow is a workflow as the scheduler sees it.
type flow struct {
	id     string
	ready  [2]readyHeap // by class
	queued [2]bool      // the flow stands in the ring of that class
	next   [2]*flow
	lanes  map[string]*lane
	index  index
	awake  int // unfinished runs that are not parked
	held   int // claimed ones
	limit  int // of held; 0: none
	paused bool
}

// room reports whether one more run may be claimed.
func (f *flow) room() bool { return !f.paused && (f.limit == 0 || f.held < f.limit) }

// A lane holds the unfinished runs of one workflow with an equal lane, in the order of acceptance.
type lane struct {
	name string
	runs []*run
}

// Classes of ready runs: somebody waits for the urgent ones, and they go first, four to one.
const (
	urgent = 0
	bulk   = 1

	urgentShare = 4
)

// A ring is a queue of flows with ready runs; a flow that was served goes to its end.
type ring struct{ head, tail *flow }

// A table is everything that is derived from the journals. The store's mutex guards it; only the writer adds and
// removes runs and moves their seq, so the writer may read these without the mutex.
type table struct {
	runs    map[engine.RunID]*run
	flows   map[string]*flow
	keys    map[dedupKey]*run // of unfinished runs
	rings   [2]ring
	freed   []*run // ready ones that were canceled
	served  int    // urgent runs since the last other one
	timers  timerHeap
	index   index
	order   uint64
	bytes   int64 // stored, of unfinished runs
	cached  int   // bytes of journals in memory
	names   map[string]string
	limits  map[string]int      // of flows, by id
	paused  map[string]struct{} // ids of flows
	waiters chan struct{}       // closed when a run gets ready; nil: nobody waits
	woken   bool
	cutOff  bool // the last stop was not clean
	ended   meter

	live, ready, claimed, parked int
}

func (t *table) init() {
	t.runs, t.flows = map[engine.RunID]*run{}, map[string]*flow{}
	t.keys, t.names, t.limits = map[dedupKey]*run{}, map[string]string{}, map[string]int{}
	t.paused = map[string]struct{}{}
}

// memoBytes is how much of journals is kept for the first claim, so that an event is not read back and decoded
// again. An event's decoded form counts for about four times its stored bytes.
const memoBytes = 64 << 20

func (t *table) intern(s string) string {
	if have, ok := t.names[s]; ok {
		return have
	}
	if len(t.names) > 50_000 { // versions come and go
		clear(t.names)
	}
	t.names[s] = s
	return s
}

func (t *table) flow(id string) *flow {
	f := t.flows[id]
	if f == nil {
		f = &flow{id: id, lanes: map[string]*lane{}, limit: t.limits[id]}
		_, f.paused = t.paused[id]
		t.flows[id] = f
	}
	return f
}

// newRun makes a run from its head. It has no flow yet.
func newRun(id engine.RunID, h *engine.Head, accepted time.Time, order uint64) *run {
	return &run{
		id: id, version: h.Version, trigger: h.Trigger, parent: h.Parent, key: keyOf(h), order: order,
		accepted: accepted.UnixNano(), urgent: h.Urgent, timer: -1,
	}
}

// newRun makes the entry of a run from its head.
func (t *table) newRun(id engine.RunID, h *engine.Head, accepted time.Time, order uint64) *run {
	r := newRun(id, h, accepted, order)
	r.flow, r.version, r.trigger = t.flow(h.Workflow), t.intern(h.Version), t.intern(h.Trigger)
	return r
}

// add puts an unfinished run in: ready, or parked until wake.
func (t *table) add(r *run, laneName string, asleep bool) {
	t.runs[r.id] = r
	t.index.insert(r)
	r.flow.index.insert(r)
	t.live++
	t.bytes += r.bytes
	if r.key != (dedupKey{}) {
		t.keys[r.key] = r
	}
	if laneName != "" {
		l := r.flow.lanes[laneName]
		if l == nil {
			l = &lane{name: laneName}
			r.flow.lanes[laneName] = l
		}
		l.runs = append(l.runs, r)
		r.lane = l
	}
	if asleep {
		t.enterParked(r)
	} else {
		t.enterReady(r)
	}
}

// leave takes a run out of its state, before it enters another. A ready run leaves only by being claimed.
func (t *table) leave(r *run) {
	switch r.state {
	case ready:
		t.ready--
		r.flow.awake--
	case claimed:
		t.claimed--
		r.flow.awake--
		r.flow.held--
		t.unblock(r.flow)
	case parked:
		t.parked--
		if r.timer >= 0 {
			heap.Remove(&t.timers, r.timer)
		}
	}
}

// setLimit bounds how many runs of a flow are claimed at the same time.
func (t *table) setLimit(id string, most int) {
	if most == 0 {
		delete(t.limits, id)
	} else {
		t.limits[id] = most
	}
	if f := t.flows[id]; f != nil {
		f.limit = most
		t.unblock(f)
	}
}

// setPaused keeps the ready runs of a flow from being claimed, or lets them go.
func (t *table) setPaused(id string, on bool) {
	if on {
		t.paused[id] = struct{}{}
	} else {
		delete(t.paused, id)
	}
	if f := t.flows[id]; f != nil {
		f.paused = on
		t.unblock(f)
	}
}

// unblock makes the ready runs of a flow claimable again that its limit or a pause held back.
func (t *table) unblock(f *flow) {
	if !f.room() {
		return
	}
	for c := range f.ready {
		if len(f.ready[c]) > 0 && !f.queued[c] {
			t.rings[c].push(f, c)
			t.woken = true
		}
	}
}

func (t *table) enterReady(r *run) {
	r.state, r.wake = ready, 0
	t.ready++
	r.flow.awake++
	switch {
	case slices.Contains(r.signals, engine.SignalCancel):
		t.free(r)
	case r.lane == nil || r.lane.runs[0] == r:
		t.enqueue(r)
	}
}

// free makes a ready run claimable that was canceled. It only ends, so it waits for neither its lane nor room, which may
// take as long as somebody's answer. It may stand in the queue of its flow too.
func (t *table) free(r *run) {
	t.freed = append(t.freed, r)
	t.woken = true
}

func (t *table) enterParked(r *run) {
	r.state = parked
	t.parked++
	if r.wake != 0 {
		heap.Push(&t.timers, r)
	}
}

// enqueue makes a ready run claimable.
func (t *table) enqueue(r *run) {
	c := bulk
	if r.urgent {
		c = urgent
	}
	heap.Push(&r.flow.ready[c], r)
	t.rings[c].push(r.flow, c)
	t.woken = true
}

func (g *ring) push(f *flow, c int) {
	if f.queued[c] {
		return
	}
	f.queued[c], f.next[c] = true, nil
	if g.head == nil {
		g.head = f
	} else {
		g.tail.next[c] = f
	}
	g.tail = f
}

// pick claims the next run: those that were canceled, then flows in turn, the oldest run of a flow first.
func (t *table) pick() *run {
	for len(t.freed) > 0 {
		r := t.freed[0]
		t.freed[0], t.freed = nil, t.freed[1:]
		if r.state == ready {
			return t.claim(r)
		}
	}
	for {
		r := t.pickReady()
		if r == nil {
			return nil
		}
		if r.state == ready {
			return t.claim(r)
		}
		// While it stood in the queue it was canceled and claimed, or it ended: its journal was found damaged.
	}
}

func (t *table) claim(r *run) *run {
	t.leave(r)
	r.state = claimed
	t.claimed++
	r.flow.awake++
	r.flow.held++
	return r
}

// pickReady takes the next run out of the queues.
func (t *table) pickReady() *run {
	var f *flow
	var c int
	for f == nil || !f.room() { // a flow without room comes back when it has some
		c = bulk
		if t.rings[urgent].head != nil && (t.rings[bulk].head == nil || t.served < urgentShare) {
			c = urgent
		}
		g := &t.rings[c]
		if f = g.head; f == nil {
			return nil
		}
		g.head, f.queued[c] = f.next[c], false
		if g.head == nil {
			g.tail = nil
		}
	}
	if c == urgent {
		t.served++
	} else {
		t.served = 0
	}
	r := heap.Pop(&f.ready[c]).(*run)
	if len(f.ready[c]) > 0 {
		t.rings[c].push(f, c)
	}
	return r
}

// park ends a claim until wake.
func (t *table) park(r *run, wake time.Time) {
	t.leave(r)
	r.wake = 0
	if !wake.IsZero() {
		r.wake = wake.UnixNano()
	}
	t.enterParked(r)
}

// release makes a claimed or parked run ready.
func (t *table) release(r *run) {
	t.leave(r)
	t.enterReady(r)
}

// finish ends a run and lets the next of its lane go.
func (t *table) finish(r *run, row *engine.Row) {
	t.leave(r)
	t.dropJournal(r)
	r.state, r.row, r.signals = finished, row, nil
	t.live--
	t.bytes -= r.bytes
	t.ended.add()
	if t.keys[r.key] == r {
		delete(t.keys, r.key)
	}
	l := r.lane
	if l == nil {
		return
	}
	r.lane = nil
	i := slices.Index(l.runs, r)
	if i == 0 {
		l.runs[0] = nil
		l.runs = l.runs[1:]
	} else {
		l.runs = slices.Delete(l.runs, i, i+1)
	}
	if len(l.runs) == 0 {
		delete(r.flow.lanes, l.name)
	} else if i == 0 && l.runs[0].state == ready {
		t.enqueue(l.runs[0])
	}
}

// forget takes a finished run out, after it was archived.
func (t *table) forget(r *run) {
	r.gone = true
	delete(t.runs, r.id)
	t.index.removed()
	r.flow.index.removed()
	if f := r.flow; f.index.empty() && f.awake == 0 && !f.queued[urgent] && !f.queued[bulk] {
		delete(t.flows, f.id)
	}
}

// keepJournal remembers a new run's records for its first claim if there is room.
func (t *table) keepJournal(r *run, recs []engine.Record) {
	size := 256
	for i := range recs {
		size += len(recs[i].Data) + 128
		if recs[i].Memo != nil {
			size += 4 * len(recs[i].Data)
		}
	}
	if t.cached+size <= memoBytes {
		r.journal, r.cached = recs, size
		t.cached += size
	}
}

func (t *table) dropJournal(r *run) {
	t.cached -= r.cached
	r.journal, r.cached = nil, 0
}

// wakeDue releases the runs whose time has come and returns when the next one is due; zero: none.
func (t *table) wakeDue(at time.Time) (next time.Time) {
	for len(t.timers) > 0 {
		r := t.timers[0]
		if r.wake > at.UnixNano() {
			return time.Unix(0, r.wake)
		}
		t.release(r)
	}
	return time.Time{}
}

// takeWaiters returns the channel to close, after the mutex is let go, when runs have become claimable.
func (t *table) takeWaiters() chan struct{} {
	if !t.woken {
		return nil
	}
	ch := t.waiters
	t.woken, t.waiters = false, nil
	return ch
}

func (t *table) oldestReady() time.Time {
	oldest := int64(0)
	for c := range t.rings {
		for f := t.rings[c].head; f != nil; f = f.next[c] {
			if r := f.ready[c][0]; oldest == 0 || r.accepted < oldest {
				oldest = r.accepted
			}
		}
	}
	if oldest == 0 {
		return time.Time{}
	}
	return time.Unix(0, oldest).UTC()
}

// status is what lists show of an unfinished run.
func (r *run) status() engine.Status {
	switch {
	case r.state == parked:
		return engine.StatusWaiting
	case r.started, r.state == claimed: // a repeatable first call leaves no record before it is answered
		return engine.StatusRunning
	default:
		return engine.StatusQueued
	}
}

// heard adds the id of a record that is a signal to ids, unless the run or ids have it. The engine writes some itself.
func (r *run) heard(ids []string, rec *engine.Record) []string {
	if rec.Kind != engine.KindSignal || slices.Contains(r.signals, rec.Key) || slices.Contains(ids, rec.Key) {
		return ids
	}
	return append(ids, rec.Key)
}

func (r *run) view() engine.Row {
	if r.row != nil {
		return *r.row
	}
	return engine.Row{
		ID: r.id, Parent: r.parent, Workflow: r.flow.id, Version: r.version, Trigger: r.trigger,
		Status: r.status(), Accepted: time.Unix(0, r.accepted).UTC(),
	}
}

// readyHeap has the oldest run on top.
type readyHeap []*run

func (h readyHeap) Len() int           { return len(h) }
func (h readyHeap) Less(i, j int) bool { return h[i].order < h[j].order }
func (h readyHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *readyHeap) Push(x any)        { *h = append(*h, x.(*run)) }
func (h *readyHeap) Pop() any          { return popLast((*[]*run)(h)) }

// timerHeap has the run that wakes first on top; a run knows its index.
type timerHeap []*run

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].wake < h[j].wake }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timer, h[j].timer = i, j
}

func (h *timerHeap) Push(x any) {
	r := x.(*run)
	r.timer = len(*h)
	*h = append(*h, r)
}

func (h *timerHeap) Pop() any {
	r := popLast((*[]*run)(h))
	r.timer = -1
	return r
}

func popLast(s *[]*run) *run {
	last := len(*s) - 1
	r := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return r
}

// An index lists runs by id, which begins with the time of acceptance. New runs come in at its end or close to
// it, so a sorted slice is enough; those that are gone stay until they are half of it.
type index struct {
	runs []*run
	dead int
}

func (x *index) insert(r *run) {
	i := len(x.runs)
	for i > 0 && string(x.runs[i-1].id[:]) > string(r.id[:]) {
		if i--; len(x.runs)-i > 32 {
			i, _ = x.find(r.id)
			break
		}
	}
	x.runs = slices.Insert(x.runs, i, r)
}

func (x *index) find(id engine.RunID) (int, bool) {
	return slices.BinarySearchFunc(x.runs, id, func(r *run, id engine.RunID) int { return compareIDs(r.id, id) })
}

func compareIDs(a, b engine.RunID) int { return bytes.Compare(a[:], b[:]) }

func (x *index) removed() {
	x.dead++
	if x.dead > 64 && x.dead > len(x.runs)/2 {
		x.runs = slices.DeleteFunc(x.runs, func(r *run) bool { return r.gone })
		x.dead = 0
	}
}

func (x *index) empty() bool { return x.dead == len(x.runs) }

// A meter counts ends of runs to tell how fast a backlog shrinks.
type meter struct {
	count, before uint64
	since         time.Time
	rate          float64 // per second, over the last ten seconds or more
}

func (m *meter) add() { m.count++ }

func (m *meter) perSecond() float64 {
	t := time.Now()
	if age := t.Sub(m.since); m.since.IsZero() || age > 10*time.Second {
		if !m.since.IsZero() {
			m.rate = float64(m.count-m.before) / age.Seconds()
		}
		m.before, m.since = m.count, t
	}
	if age := t.Sub(m.since); m.rate == 0 && age > 0 {
		return float64(m.count-m.before) / max(age.Seconds(), 1)
	}
	return m.rate
}

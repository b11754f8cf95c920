package server

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/trigger"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Types of the events on the stream.
const (
	eventHello      = "server.hello"
	eventDraining   = "server.draining"
	eventStarted    = "run.started"
	eventStep       = "run.step"
	eventFinished   = "run.finished"
	eventCount      = "runs.count"
	eventChanged    = "workflow.changed"
	eventProblem    = "workflow.problem"
	eventDelivery   = "delivery.received"
	eventPoll       = "poll.done"
	eventConnection = "connection.state"
	eventDraft      = "draft.changed"
	eventReset      = "reset"
)

// notice is one event of the stream as a plain value: it is made for every record of every run, mostly with nobody
// listening, so it holds no pointers to new memory and becomes JSON only when it is sent.
type notice struct {
	seq      uint64
	kind     string
	run      engine.RunID
	id       engine.RunID // of a delivery
	workflow string
	step     string
	status   string
	text     string
	attempt  int
	took     time.Duration
	problems workflow.Problems
	poll     *trigger.PollRecord
}

// notices that are kept for readers who come back with Last-Event-ID
const ringSize = 1000

// hub holds the newest notices. Readers keep their own place in it, so a slow one costs nothing and learns of what
// it missed by the gap.
type hub struct {
	boot string // differs after every start: an id of an earlier process is a gap

	mu          sync.Mutex
	ring        [ringSize]notice
	next        uint64        // seq of the next notice; from 1
	wake        chan struct{} // closed by the next notice; nil while nobody waits
	subscribers int
	deliveries  int // subscribers who want deliveries
	closed      bool
}

func newHub() *hub { return &hub{boot: strings.ToLower(rand.Text()[:8]), next: 1} }

func (h *hub) publish(n notice) {
	h.mu.Lock()
	n.seq = h.next
	h.ring[n.seq%ringSize] = n
	h.next++
	if h.wake != nil {
		close(h.wake)
		h.wake = nil
	}
	h.mu.Unlock()
}

// close ends every stream after what is published already.
func (h *hub) close() {
	h.publish(notice{kind: eventDraining})
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
}

// read appends the notices from seq on to dst. gap: some of them are gone, and dst begins with what is left.
// wait is closed when there are more; nil when the hub is closed and everything was read.
func (h *hub) read(seq uint64, dst []notice) (list []notice, gap bool, wait <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next > ringSize && seq < h.next-ringSize {
		seq, gap = h.next-ringSize, true
	}
	for ; seq < h.next; seq++ {
		dst = append(dst, h.ring[seq%ringSize])
	}
	if h.closed {
		return dst, gap, nil
	}
	if h.wake == nil {
		h.wake = make(chan struct{})
	}
	return dst, gap, h.wake
}

// join counts a reader and says where it begins: behind lastID where that is known, else at the end.
func (h *hub) join(lastID string, deliveries bool) (seq uint64, gap, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.subscribers >= maxSubscribers {
		return 0, false, false
	}
	h.subscribers++
	if deliveries {
		h.deliveries++
	}
	if lastID == "" {
		return h.next, false, true
	}
	boot, number, _ := strings.Cut(lastID, "-")
	last, err := strconv.ParseUint(number, 10, 64)
	if err != nil || boot != h.boot || last >= h.next {
		return h.next, true, true
	}
	return last + 1, false, true
}

func (h *hub) leave(deliveries bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subscribers--
	if deliveries {
		h.deliveries--
	}
}

func (h *hub) counts() (subscribers, deliveries int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.subscribers, h.deliveries
}

// noticeOf makes a notice of a stored record; ok is false for records that nobody follows.
func noticeOf(u *engine.Update) (n notice, ok bool) {
	r := &u.Record
	n = notice{run: u.Run, workflow: u.Workflow, step: r.Step, attempt: r.Attempt, took: r.Took}
	switch r.Kind {
	case engine.KindAccepted:
		n.kind, n.status = eventStarted, engine.StatusQueued.String()
		if r.Head != nil {
			n.text = r.Head.Trigger
		}
	case engine.KindStepStarted:
		n.kind, n.status = eventStep, engine.StatusRunning.String()
	case engine.KindStepCompleted:
		n.kind, n.status = eventStep, r.Status.String()
	case engine.KindStepFailed:
		n.kind, n.status = eventStep, r.Status.String()
		if !r.Until.IsZero() {
			n.status = engine.StatusWaiting.String() // for its next attempt
		}
		var failure engine.StepError
		if json.Unmarshal(r.Data, &failure) == nil {
			n.text = failure.Message
		}
	case engine.KindFinished:
		n.kind, n.status, n.text = eventFinished, r.Status.String(), string(r.Data)
	default:
		return n, false
	}
	return n, true
}

// data is the summary that goes out; the reader fetches the rest.
func (n *notice) data() any {
	switch n.kind {
	case eventStarted:
		return map[string]any{"run": n.run.String(), "workflow": n.workflow, "trigger": n.text}
	case eventStep:
		return map[string]any{
			"run": n.run.String(), "workflow": n.workflow, "step": n.step, "status": n.status, "attempt": n.attempt,
			"ms": float64(n.took.Microseconds()) / 1000, "summary": n.text,
		}
	case eventFinished:
		return map[string]any{"run": n.run.String(), "workflow": n.workflow, "status": n.status, "summary": n.text}
	case eventChanged:
		return map[string]any{"workflow": n.workflow, "version": n.text}
	case eventProblem:
		return map[string]any{"workflow": n.workflow, "problems": n.problems}
	case eventConnection:
		return map[string]any{"connection": n.text, "state": n.status}
	case eventDraft:
		return map[string]any{"draft": n.workflow, "rev": n.text, "by": n.status}
	case eventDelivery:
		return map[string]any{"delivery": n.id.String(), "workflow": n.workflow, "outcome": n.status}
	case eventPoll:
		return map[string]any{
			"workflow": n.workflow, "trigger": n.step, "fetched": n.poll.Fetched, "new": n.poll.New, "started": n.poll.Started, "error": n.text,
		}
	}
	return map[string]any{}
}

// topics is what a reader wants: runs, run:<id>, counts, workflows, drafts, draft:<id>, connections, deliveries,
// deliveries:<workflow>, polls, polls:<workflow>. None means all.
type topics map[string]bool

func parseTopics(list string) (topics, *failure) {
	t := topics{}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		kind, of, sub := strings.Cut(name, ":")
		switch {
		case name == "":
			continue
		case len(t) == maxTopics, len(name) > 600,
			sub && of == "", sub && kind != "run" && kind != "draft" && kind != "deliveries" && kind != "polls",
			!sub && kind != "runs" && kind != "counts" && kind != "workflows" && kind != "drafts" && kind != "deliveries" && kind != "polls" && kind != "connections":
			return nil, fail(422, "topic "+clip(name)+" is not known",
				"topics are runs, run:<id>, counts, workflows, drafts, draft:<id>, connections, deliveries, deliveries:<workflow>, polls and polls:<workflow>, at most "+strconv.Itoa(maxTopics))
		}
		t[name] = true
	}
	return t, nil
}

func (t topics) deliveries() bool {
	if len(t) == 0 {
		return true
	}
	for name := range t {
		if strings.HasPrefix(name, "deliveries") {
			return true
		}
	}
	return false
}

func (t topics) want(n *notice) bool {
	if len(t) == 0 {
		return true
	}
	switch n.kind {
	case eventStarted, eventFinished, eventStep:
		return t["runs"] || t["run:"+n.run.String()]
	case eventChanged, eventProblem:
		return t["workflows"]
	case eventConnection:
		return t["connections"]
	case eventDraft:
		return t["drafts"] || t["draft:"+n.workflow]
	case eventDelivery:
		return t["deliveries"] || t["deliveries:"+n.workflow]
	case eventPoll:
		return t["polls"] || t["polls:"+n.workflow]
	}
	return true
}

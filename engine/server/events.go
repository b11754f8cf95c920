package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/folder"
)

const (
	eventsPath     = "/api/v1/events"
	maxSubscribers = 64
	maxTopics      = 50
	heartbeat      = 15 * time.Second
	breath         = 50 * time.Millisecond // between two writes to one reader: a busy server sends in batches
	deliveryLook   = 150 * time.Millisecond
	countPause     = 250 * time.Millisecond // between two counts of runs
	sendTimeout    = 10 * time.Second       // a reader that takes longer for one write is dropped
)

func (s *Server) eventRoutes() {
	handle(s, huma.Operation{
		OperationID: "read-events", Method: http.MethodGet, Path: eventsPath, Tags: []string{"events"}, Summary: "The stream of server-sent events",
		Description: "Types: server.hello, run.started, run.step, run.finished, runs.count, workflow.changed, workflow.problem, draft.changed, " +
			"delivery.received, poll.done, connection.state, server.draining. " +
			"They are summaries; fetch the data. The last 1,000 are kept for Last-Event-ID; `reset` says that some were missed: fetch everything again.",
		Responses: map[string]*huma.Response{"200": {
			Description: "Events, until either side ends it",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, s.events)
}

func (s *Server) events(_ context.Context, in *struct {
	Topics string `query:"topics" maxLength:"4096" doc:"Comma-separated: runs, run:<id>, counts, workflows, drafts, draft:<id>, connections, deliveries, deliveries:<workflow>, polls, polls:<workflow>; empty: all."`
	LastID string `header:"Last-Event-ID" maxLength:"64"`
},
) (*huma.StreamResponse, error) {
	t, problem := parseTopics(in.Topics)
	if problem != nil {
		return nil, problem
	}
	seq, gap, ok := s.hub.join(in.LastID, t.deliveries())
	if !ok {
		return nil, fail(http.StatusServiceUnavailable, "no more event streams are served now", "close one, or try again later").with("Retry-After", "5")
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer s.hub.leave(t.deliveries())
		w := humagin.Unwrap(hc).Writer
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("X-Accel-Buffering", "no")
		stream := &stream{w: w, control: http.NewResponseController(w), boot: s.hub.boot}
		stream.run(hc.Context(), s.hub, t, seq, gap, s.Version)
	}}, nil
}

// stream is one reader of the hub.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	boot    string
	buf     bytes.Buffer
}

func (st *stream) run(ctx context.Context, h *hub, t topics, seq uint64, gap bool, version string) {
	_ = st.control.SetReadDeadline(time.Time{}) // there is no more to read, and the stream outlasts the deadline
	st.add("", eventHello, map[string]any{"build": version})
	var list []notice
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	count := counter{wanted: len(t) == 0 || t["counts"]}
	for {
		more, missed, wait := h.read(seq, list[:0])
		list = more
		if gap || missed {
			st.add("", eventReset, map[string]any{})
		}
		gap = false
		for i := range list {
			if n := &list[i]; t.want(n) {
				st.add(st.boot+"-"+strconv.FormatUint(n.seq, 10), n.kind, n.data())
			}
			count.add(&list[i])
			seq = list[i].seq + 1
		}
		if wait == nil { // draining is the last that a reader hears
			st.flush()
			return
		}
		due := count.send(st)
		if !st.flush() {
			return
		}
		pause := breath
		if missed {
			pause = time.Second // the reader fetches everything: do not ask it to start over at once
		}
		if !sleep(ctx, pause) {
			return
		}
		select {
		case <-wait:
		case <-due:
		case <-beat.C:
			st.buf.WriteString(": \n\n")
		case <-ctx.Done():
			return
		}
	}
}

// counter sums up the runs that began and ended, for readers to whom each one would be too much.
type counter struct {
	wanted                    bool
	last                      time.Time
	started, finished, failed int
}

func (c *counter) add(n *notice) {
	switch n.kind {
	case eventStarted:
		c.started++
	case eventFinished:
		c.finished++
		if n.status == engine.StatusFailed.String() {
			c.failed++
		}
	}
}

// send adds the sum to the stream, or returns when it is time to: a nil channel when there is nothing to send.
func (c *counter) send(st *stream) <-chan time.Time {
	if !c.wanted || c.started+c.finished == 0 {
		return nil
	}
	if pause := countPause - time.Since(c.last); pause > 0 {
		return time.After(pause)
	}
	st.add("", eventCount, map[string]any{"started": c.started, "finished": c.finished, "failed": c.failed})
	*c = counter{wanted: true, last: time.Now()}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (st *stream) add(id, kind string, data any) {
	text, err := json.Marshal(data) // one line: JSON escapes line ends
	if err != nil {
		return
	}
	if id != "" {
		fmt.Fprintf(&st.buf, "id: %s\n", id)
	}
	fmt.Fprintf(&st.buf, "event: %s\ndata: %s\n\n", kind, text)
}

func (st *stream) flush() bool {
	_ = st.control.SetWriteDeadline(time.Now().Add(sendTimeout))
	_, err := st.w.Write(st.buf.Bytes())
	st.buf.Reset()
	return err == nil && st.control.Flush() == nil
}

// WorkflowChanged tells readers of the stream that another version is live; empty: the workflow is gone.
func (s *Server) WorkflowChanged(id, version string) {
	s.hub.publish(notice{kind: eventChanged, workflow: id, text: version})
}

// WorkflowProblem tells readers of the stream that a file has errors.
func (s *Server) WorkflowProblem(f *folder.File) {
	s.hub.publish(notice{kind: eventProblem, workflow: fileKey(f), problems: some(f.Problems)})
}

// watch feeds the hub and the metrics from the store until ctx is done.
func (s *Server) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		updates, err := s.Engine.Store.Watch(ctx, engine.Filter{})
		if err != nil {
			if ctx.Err() == nil {
				s.Log.WarnContext(ctx, "the event stream stands still", "error", err)
			}
			sleep(ctx, time.Second)
			continue
		}
		s.follow(ctx, updates)
	}
	return nil
}

func (s *Server) follow(ctx context.Context, updates <-chan engine.Update) {
	for {
		select {
		case u, ok := <-updates:
			if !ok {
				return
			}
			if n, ok := noticeOf(&u); ok {
				s.hub.publish(n)
			}
		case <-ctx.Done():
			return
		}
	}
}

// watchDeliveries looks for new deliveries while somebody wants them: a store has no feed of them, and refused calls
// leave no run. Somebody who wants them waits for the event that they just sent.
func (s *Server) watchDeliveries(ctx context.Context) error {
	look := time.NewTicker(deliveryLook)
	defer look.Stop()
	var seen map[engine.RunID]bool
	since := time.Now() // the last look that found nobody
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
		if _, wanted := s.hub.counts(); wanted == 0 {
			seen, since = nil, time.Now()
			continue
		}
		seen = s.newDeliveries(ctx, since, seen)
	}
}

// newDeliveries publishes the deliveries of the newest page that came since then and were not seen at the last
// look. It returns those of this look.
func (s *Server) newDeliveries(ctx context.Context, since time.Time, seen map[engine.RunID]bool) map[engine.RunID]bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	list, _, err := s.Engine.Store.Deliveries().List(ctx, engine.DeliveryQuery{Since: since, Limit: 200})
	if err != nil {
		return seen // the next look finds them
	}
	now := make(map[engine.RunID]bool, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		d := &list[i]
		now[d.ID] = true
		if !seen[d.ID] {
			s.hub.publish(notice{kind: eventDelivery, id: d.ID, workflow: d.Workflow, status: d.Outcome})
		}
	}
	return now
}

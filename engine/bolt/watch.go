package bolt

import (
	"context"
	"sync"

	"github.com/bellhop-dev/bellhop/engine"
)

// watchBuffer is how many updates a slow reader may be behind before it loses some.
const watchBuffer = 256

type watcher struct {
	filter engine.Filter
	ch     chan engine.Update
}

// watchers are those who watch. Only the writer sends, so updates come in the order of the commits.
type watchers struct {
	mu     sync.Mutex
	set    map[*watcher]struct{}
	closed bool
}

// Watch implements engine.History.
func (s *Store) Watch(ctx context.Context, f engine.Filter) (<-chan engine.Update, error) {
	w := &watcher{filter: f, ch: make(chan engine.Update, watchBuffer)}
	ws := &s.watchers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return nil, engine.ErrClosed
	}
	if ws.set == nil {
		ws.set = map[*watcher]struct{}{}
	}
	ws.set[w] = struct{}{}
	context.AfterFunc(ctx, func() { ws.remove(w) })
	return w.ch, nil
}

func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, ok := ws.set[w]; ok {
		delete(ws.set, w)
		close(w.ch)
	}
}

func (ws *watchers) any() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.set) > 0
}

func (ws *watchers) send(u engine.Update) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.set {
		if !w.filter.Run.IsZero() && w.filter.Run != u.Run || w.filter.Workflow != "" && w.filter.Workflow != u.Workflow {
			continue
		}
		select {
		case w.ch <- u:
		default: // the gap shows in Seq
		}
	}
}

func (ws *watchers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.set {
		close(w.ch)
	}
	ws.set, ws.closed = nil, true
}

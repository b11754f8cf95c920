package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Note says who made a version live, and why.
type Note struct {
	By      string `json:"by"`
	Message string `json:"message"`
}

// Publication is one entry of a workflow's history: a version that became live.
type Publication struct {
	Version  string    `json:"version"`
	Previous string    `json:"previous"` // the version before; empty: it was the first
	At       time.Time `json:"at"`
	Note
}

// maxNotes bounds the notes that wait for their version to be published.
const maxNotes = 1000

// Sign says who is about to publish a version. It is called before the version's file is written.
func (e *Engine) Sign(id, version string, n Note) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.notes) >= maxNotes {
		clear(e.notes) // of versions that never came
	}
	e.notes[versionKey(id, version)] = n
}

// ByFile is who published a version that nobody signed: a file changed on disk.
const ByFile = "file"

func historyKey(id string, at time.Time) string {
	return fmt.Sprintf("wf-history/%s@%020d", id, at.UnixNano())
}

// publication is the entry of the history for a version that becomes live.
func (e *Engine) publication(w *workflow.Workflow, previous string) Put {
	now := time.Now().UTC()
	e.mu.Lock()
	key := versionKey(w.ID, w.Version)
	note, signed := e.notes[key]
	delete(e.notes, key)
	e.mu.Unlock()
	if !signed {
		note.By = ByFile
	}
	val, err := json.Marshal(Publication{Version: w.Version, Previous: previous, At: now, Note: note})
	if err != nil {
		val = []byte("{}") // texts and a time always have JSON
	}
	return Put{Key: historyKey(w.ID, now), Value: val, AnyRev: true}
}

// maxPublications is how many entries of one workflow's history are read.
const maxPublications = 1000

// Publications returns the history of a workflow, newest first.
func (e *Engine) Publications(ctx context.Context, id string) ([]Publication, error) {
	prefix := "wf-history/" + id + "@"
	entries, err := e.Store.KV().List(ctx, prefix, "", maxPublications)
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", id, err)
	}
	list := make([]Publication, 0, len(entries))
	for i := len(entries) - 1; i >= 0; i-- {
		var p Publication
		if err := json.Unmarshal(entries[i].Value, &p); err != nil {
			return nil, fmt.Errorf("%w: history of %s: %w", ErrDamaged, id, err)
		}
		list = append(list, p)
	}
	return list, nil
}

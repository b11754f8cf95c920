package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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

const historyRoot = "wf-history/"

func historyPrefix(id string) string { return historyRoot + id + "@" }

func historyKey(id string, at time.Time) string {
	return fmt.Sprintf("%s%020d", historyPrefix(id), at.UnixNano())
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
	entries, err := e.Store.KV().List(ctx, historyPrefix(id), "", maxPublications)
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

// Source returns the text of a stored version; ErrNotFound when it is not kept.
func (e *Engine) Source(ctx context.Context, id, version string) ([]byte, error) {
	src, _, err := e.Store.KV().Get(ctx, versionKey(id, version))
	if err != nil {
		return nil, fmt.Errorf("version %s of %s: %w", version, id, err)
	}
	return src, nil
}

// CopyHistory gives a workflow that was renamed the history of its former id, texts included.
func (e *Engine) CopyHistory(ctx context.Context, from, to string) error {
	entries, err := e.Store.KV().List(ctx, historyPrefix(from), "", maxPublications)
	if err != nil {
		return fmt.Errorf("history of %s: %w", from, err)
	}
	for _, entry := range entries {
		var p Publication
		if err := json.Unmarshal(entry.Value, &p); err != nil {
			return fmt.Errorf("%w: history of %s: %w", ErrDamaged, from, err)
		}
		puts := []Put{{Key: historyPrefix(to) + strings.TrimPrefix(entry.Key, historyPrefix(from)), Value: entry.Value, AnyRev: true}}
		if src, err := e.Source(ctx, from, p.Version); err == nil {
			puts = append(puts, Put{Key: versionKey(to, p.Version), Value: src, AnyRev: true})
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
		if _, err := e.Store.Accept(ctx, Batch{Puts: puts}); err != nil {
			return fmt.Errorf("history of %s: %w", to, err)
		}
	}
	return nil
}

// Versions that no run needs are kept this long and this many, counted from the newest.
const (
	keepPublications = 100
	keepVersionsFor  = 24 * time.Hour // a run may be accepted with a version just before it is replaced
)

// PruneVersions forgets versions that are neither current, nor among the last hundred of a workflow, nor named by any
// run that lives or is in the history. It reports how many it forgot.
func (e *Engine) PruneVersions(ctx context.Context, now time.Time) (removed int, err error) {
	kv := e.Store.KV()
	byWorkflow := map[string][]Publication{}
	keys := map[string][]string{}
	for after := ""; ; {
		entries, err := kv.List(ctx, historyRoot, after, 1000)
		if err != nil {
			return removed, fmt.Errorf("prune versions: %w", err)
		}
		for _, entry := range entries {
			id, _, ok := strings.Cut(strings.TrimPrefix(entry.Key, historyRoot), "@")
			var p Publication
			if !ok || json.Unmarshal(entry.Value, &p) != nil {
				continue // what cannot be read is not forgotten
			}
			byWorkflow[id], keys[id] = append(byWorkflow[id], p), append(keys[id], entry.Key)
			after = entry.Key
		}
		if len(entries) < 1000 {
			break
		}
	}
	for id, list := range byWorkflow {
		n, err := e.pruneVersions(ctx, now, id, list, keys[id])
		if removed += n; err != nil {
			return removed, fmt.Errorf("prune versions of %s: %w", id, err)
		}
	}
	return removed, nil
}

// pruneVersions forgets the old versions of one workflow; list is its history, oldest first.
func (e *Engine) pruneVersions(ctx context.Context, now time.Time, id string, list []Publication, keys []string) (removed int, err error) {
	old := len(list) - keepPublications
	if old <= 0 {
		return 0, nil
	}
	keep := map[string]bool{}
	if w := e.Workflow(id); w != nil {
		keep[w.Version] = true
	}
	head, _, err := e.Store.KV().Get(ctx, versionKey(id, ""))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	keep[string(head)] = true
	for _, p := range list[old:] {
		keep[p.Version] = true
	}
	for q := (Query{Workflow: id, Limit: 200}); ; {
		page, err := e.Store.List(ctx, q)
		if err != nil {
			return 0, err
		}
		for i := range page.Items {
			keep[page.Items[i].Version] = true
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	var puts []Put
	for i, p := range list[:old] {
		if keep[p.Version] || now.Sub(list[i+1].At) < keepVersionsFor {
			continue
		}
		puts = append(puts, Put{Key: keys[i], AnyRev: true}, Put{Key: versionKey(id, p.Version), AnyRev: true})
		removed++
	}
	const perWrite = 500
	for len(puts) > 0 {
		n := min(len(puts), perWrite)
		if _, err := e.Store.Accept(ctx, Batch{Puts: puts[:n]}); err != nil {
			return removed, err
		}
		puts = puts[n:]
	}
	return removed, nil
}

// TidyVersions prunes versions now and then until ctx is done.
func (e *Engine) TidyVersions(ctx context.Context) error {
	const every = 6 * time.Hour
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch n, err := e.PruneVersions(ctx, time.Now()); {
		case err != nil && ctx.Err() == nil:
			e.Log.WarnContext(ctx, "old versions of workflows could not be forgotten", "error", err)
		case n > 0:
			e.Log.InfoContext(ctx, "old versions of workflows were forgotten", "count", n)
		}
	}
}

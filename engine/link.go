package engine

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// The address of an approve or callback step holds a token: run and step, and a MAC of them under a key that never
// leaves the store. So a link needs no row of its own, cannot be guessed, and survives a restart. It works once,
// because a step has one outcome, and until the step's timeout.

// Paths below the public URL where links are answered, each before a token.
const (
	ApprovePath  = "/approve/"
	CallbackPath = "/callback/"
)

const (
	linkKeyName = "engine/link-key"
	macSize     = 20 // 160 bits
)

// linkKey returns the key of the tokens, which is made at first use.
func (e *Engine) linkKey(ctx context.Context) ([]byte, error) {
	e.links.Lock()
	defer e.links.Unlock()
	if e.linkSecret != nil {
		return e.linkSecret, nil
	}
	kv := e.Store.KV()
	for {
		key, _, err := kv.Get(ctx, linkKeyName)
		if err == nil {
			e.linkSecret = key
			return key, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("read the key of links: %w", err)
		}
		fresh := make([]byte, 32)
		rand.Read(fresh)
		if _, err := kv.Put(ctx, linkKeyName, fresh, 0, 0); err != nil && !errors.Is(err, ErrConflict) {
			return nil, fmt.Errorf("make the key of links: %w", err)
		}
	}
}

func linkMAC(key []byte, kind string, run RunID, step string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(kind + "\x00"))
	mac.Write(run[:])
	mac.Write([]byte(step))
	return mac.Sum(nil)[:macSize]
}

func (e *Engine) link(run RunID, key, function string) (string, error) {
	var secret []byte
	err := e.insist(run, func() (err error) { // a store that does not answer now is no mistake of the step
		secret, err = e.linkKey(context.Background())
		return err
	})
	if err != nil {
		return "", err
	}
	path, kind := ApprovePath, SignalApprove
	if function == expression.CallbackURL {
		path, kind = CallbackPath, SignalCallback
	}
	token := append(run[:], linkMAC(secret, kind, run, key)...)
	token = append(token, key...)
	return strings.TrimSuffix(e.PublicURL, "/") + path + base64.RawURLEncoding.EncodeToString(token), nil
}

// openLink reads a token. ErrNotFound: it is none of ours.
func (e *Engine) openLink(ctx context.Context, kind, token string) (run RunID, key string, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= len(run)+macSize {
		return run, "", ErrNotFound
	}
	secret, err := e.linkKey(ctx)
	if err != nil {
		return run, "", err
	}
	copy(run[:], raw)
	mac, key := raw[len(run):len(run)+macSize], string(raw[len(run)+macSize:])
	if !hmac.Equal(mac, linkMAC(secret, kind, run, key)) {
		return RunID{}, "", ErrNotFound
	}
	return run, key, nil
}

// LinkState says what can be done with a link.
type LinkState string

// The states of a link.
const (
	LinkEarly    LinkState = "early"    // the run has not come to the step
	LinkOpen     LinkState = "open"     // the step waits for the answer
	LinkAnswered LinkState = "answered" // it has one
	LinkOver     LinkState = "over"     // the step or the run has ended without one
)

// Question is an approve or callback step as whoever holds its link may see it.
type Question struct {
	Run      RunID
	Workflow string // its name
	Step     string // key
	Message  string
	Asked    time.Time
	Until    time.Time
	State    LinkState
	Approved bool // answered
	By       string
	Comment  string
	At       time.Time
}

// Question reads what a token of kind SignalApprove or SignalCallback is for. It changes nothing. ErrNotFound: the token
// is none, or its run is gone.
func (e *Engine) Question(ctx context.Context, kind, token string) (*Question, error) {
	run, key, err := e.openLink(ctx, kind, token)
	if err != nil {
		return nil, err
	}
	st, err := e.readState(ctx, run)
	if err != nil {
		return nil, err
	}
	return e.question(ctx, st, run, key), nil
}

func (e *Engine) readState(ctx context.Context, run RunID) (*runState, error) {
	recs, err := e.Store.Read(ctx, run, 0)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", run, err)
	}
	st, err := foldJournal(recs, true)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", run, err)
	}
	return st, nil
}

func (e *Engine) question(ctx context.Context, st *runState, run RunID, key string) *Question {
	q := &Question{Run: run, Step: key, Workflow: st.head.Workflow, State: LinkEarly}
	if w, err := e.Version(ctx, st.head.Workflow, st.head.Version); err == nil {
		q.Workflow = w.Name
	}
	if r := st.answers[key]; r != nil && (r.Reason == SignalApprove || r.Reason == SignalCallback) {
		var sig Signal
		if json.Unmarshal(r.Data, &sig) == nil {
			q.answered(sig.Data, r.At)
		}
	}
	s := st.steps[key]
	if s != nil {
		q.Asked, q.Until = s.begun, s.until
		q.Message = messageOf(s)
		switch {
		case s.status == StatusSucceeded, s.reason == ReasonDeclined:
			q.answered(s.data, s.at)
		case q.State == LinkAnswered:
		case s.status == StatusRunning && time.Now().Before(s.until):
			q.State = LinkOpen
		default:
			q.State = LinkOver
		}
	}
	if st.finished != nil && q.State != LinkAnswered || st.cancel != nil && q.State != LinkAnswered {
		q.State = LinkOver
	}
	return q
}

// Questions are the approve steps of a run that wait for an answer, in the order of their keys.
func (e *Engine) Questions(ctx context.Context, run RunID) ([]*Question, error) {
	st, err := e.readState(ctx, run)
	if err != nil {
		return nil, err
	}
	w, err := e.Version(ctx, st.head.Workflow, st.head.Version)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", run, err)
	}
	var open []*Question
	for _, key := range slices.Sorted(maps.Keys(st.steps)) {
		step := w.Step(idOf(key))
		if step == nil {
			continue
		}
		if _, ok := step.Do.(*workflow.Approve); !ok {
			continue
		}
		if q := e.question(ctx, st, run, key); q.State == LinkOpen {
			open = append(open, q)
		}
	}
	return open, nil
}

func (q *Question) answered(data []byte, at time.Time) {
	q.State, q.At = LinkAnswered, at
	var a approval
	if json.Unmarshal(data, &a) == nil {
		q.Approved, q.By, q.Comment = a.Approved, a.By, a.Comment
	}
}

// ErrAnswered says that a link has been used before, or is not of use any more.
var ErrAnswered = errors.New("it was answered before, or is not waited for any more")

// Decide answers an approve step. The answer is on disk when it returns. ErrAnswered: it came too late. The step must wait:
// nobody decides what they were not asked yet.
func (e *Engine) Decide(ctx context.Context, token string, approved bool, by, comment string) error {
	q, err := e.Question(ctx, SignalApprove, token)
	if err != nil {
		return err
	}
	if by == "" {
		by = "whoever has the link"
	}
	return e.decide(ctx, q, approved, by, comment)
}

// DecideStep answers an approve step of a run for somebody who needs no link. ErrNotFound: the run is gone, or it has no such
// question now.
func (e *Engine) DecideStep(ctx context.Context, run RunID, key string, approved bool, by, comment string) error {
	open, err := e.Questions(ctx, run)
	if err != nil {
		return err
	}
	for _, q := range open {
		if q.Step == key {
			return e.decide(ctx, q, approved, by, comment)
		}
	}
	return fmt.Errorf("question %q of run %s: %w", key, run, ErrNotFound)
}

func (e *Engine) decide(ctx context.Context, q *Question, approved bool, by, comment string) error {
	if q.State != LinkOpen {
		return ErrAnswered
	}
	data, err := json.Marshal(approval{Approved: approved, By: by, Comment: comment})
	if err != nil {
		return fmt.Errorf("answer run %s: %w", q.Run, err)
	}
	return e.answer(ctx, q, SignalApprove, by, data)
}

// CallBack gives a callback step what was sent to its address. It may come before the run waits for it: whoever
// was given the address can be faster.
func (e *Engine) CallBack(ctx context.Context, token string, body []byte) error {
	q, err := e.Question(ctx, SignalCallback, token)
	if err != nil {
		return err
	}
	if q.State != LinkOpen && q.State != LinkEarly {
		return ErrAnswered
	}
	return e.answer(ctx, q, SignalCallback, "callback", e.Redact(body))
}

func (e *Engine) answer(ctx context.Context, q *Question, kind, by string, data []byte) error {
	err := e.signal(ctx, q.Run, Signal{ID: kind + "/" + q.Step, Kind: kind, Step: q.Step, By: by, Data: data})
	if errors.Is(err, ErrNotFound) {
		return ErrAnswered
	}
	return err
}

// signal writes a signal and wakes the run if it is worked on.
func (e *Engine) signal(ctx context.Context, id RunID, sig Signal) error {
	if err := e.Store.Signal(ctx, id, sig); err != nil {
		return err
	}
	e.interruptRun(id, sig.Kind)
	return nil
}

func (e *Engine) interruptRun(id RunID, kind string) {
	e.mu.RLock()
	x := e.running[id]
	e.mu.RUnlock()
	if x != nil {
		x.interrupt(kind)
	}
}

// exampleLink is the address in a rehearsal.
func exampleLink(public, function, key string) string {
	return strings.TrimSuffix(public, "/") + "/" + strings.TrimSuffix(function, "_url") + "/" + url.PathEscape(key)
}

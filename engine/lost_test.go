package engine_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
)

// faulty is a real store, some of whose answers are others.
type faulty struct {
	engine.Store
	append func() error            // asked before each write of a run
	read   func(from uint32) error // asked before each read of one
	claim  func() time.Duration    // how long a claim may take before nothing is ready; 0: no end
	kv     engine.KV
}

func (s faulty) Claim(ctx context.Context, most int) ([]*engine.Claim, error) {
	if s.claim == nil {
		return s.Store.Claim(ctx, most)
	}
	within := s.claim()
	if within == 0 {
		return s.Store.Claim(ctx, most)
	}
	short, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	claims, err := s.Store.Claim(short, most)
	if short.Err() != nil && ctx.Err() == nil {
		err = nil
	}
	return claims, err
}

func (s faulty) KV() engine.KV {
	if s.kv != nil {
		return s.kv
	}
	return s.Store.KV()
}

func (s faulty) Append(ctx context.Context, c *engine.Claim, recs []engine.Record, then engine.Then) error {
	if s.append != nil {
		if err := s.append(); err != nil {
			return err
		}
	}
	return s.Store.Append(ctx, c, recs, then)
}

func (s faulty) Read(ctx context.Context, id engine.RunID, from uint32) ([]engine.Record, error) {
	if s.read != nil {
		if err := s.read(from); err != nil {
			return nil, err
		}
	}
	return s.Store.Read(ctx, id, from)
}

// A branch is at work while two answers come in together: the write's, that the claim is lost, and a call's. Who ends the
// branches must not wait for that call any more.
func TestALostClaimLeavesNoCallUncounted(t *testing.T) {
	failing, lose, answer := make(chan struct{}), make(chan struct{}), make(chan struct{})
	fail, lost := sync.OnceFunc(func() { close(failing) }), sync.OnceFunc(func() {
		close(lose)
		time.Sleep(50 * time.Millisecond) // the answer of the write comes in
		close(answer)
		time.Sleep(50 * time.Millisecond) // and then the call's
	})
	var writes atomic.Bool
	h := open(t, filepath.Join(t.TempDir(), "data"), &other{do: func(_ int, c *connectors.Call) (any, error) {
		switch c.Input["n"] {
		case "first": // its result is written
			writes.Store(true)
		case "second": // and while that write is under way, this one fails
			<-failing
			return nil, connectors.Permanent(errors.New("no such person"))
		case "third":
			<-answer
		}
		return nil, nil
	}})
	h.Engine.Store = faulty{Store: h.store, append: func() error {
		if !writes.Load() {
			return nil
		}
		fail()
		<-lose
		return engine.ErrLost
	}}
	h.Engine.Redact = func(text []byte) []byte {
		if bytes.Contains(text, []byte("no such person")) {
			lost()
		}
		return text
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.publish("w", hook+"steps:\n  - for_each: {in: '[\"first\", \"second\", \"third\"]', concurrency: 3}\n    steps: [{use: other.put, with: {n: '${{ item }}'}}]\n")
	h.accept(event("w", nil))
	<-answer
	cancel()
	select {
	case err := <-ended:
		if err := errors.Join(err, h.store.Close(t.Context())); err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the engine does not stop: it waits for a call that has ended")
	}
}

func TestARunIsCanceledAlthoughTheStoreDidNotAnswerAtOnce(t *testing.T) {
	var unanswered atomic.Int64
	h := newHouse(t)
	h.Engine.Store = faulty{Store: h.store, read: func(from uint32) error {
		if from > 0 && unanswered.Add(1) <= 2 {
			return engine.ErrUnavailable
		}
		return nil
	}}
	h.start()
	h.publish("w", hook+"steps: [{use: other.hang, timeout: 1h}]\n")
	id := h.accept(event("w", nil))
	for h.other.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := h.Cancel(t.Context(), id, "ada"); err != nil {
		t.Fatal(err)
	}
	h.wait(id, "canceled")
	if unanswered.Load() < 3 {
		t.Errorf("the signals were read %d times; the store refused the first two", unanswered.Load())
	}
}

func TestWhoComesBackFromAWaitFindsAWorker(t *testing.T) {
	var claims atomic.Int64
	h := newHouse(t)
	h.Engine.Workers = 4
	h.Engine.Store = faulty{Store: h.store, claim: func() time.Duration {
		if claims.Add(1) == 2 { // the run waits; the next claim could take all workers, its own too
			return 300 * time.Millisecond
		}
		return 0
	}}
	h.start()
	h.publish("w", hook+"steps: [{wait: {for: 1s}}, {use: other.put}]\n")
	h.wait(h.accept(event("w", nil)), "succeeded")
}

// mute is a store of values that does not answer at first.
type mute struct {
	engine.KV
	times *atomic.Int64
}

func (m mute) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if m.times.Add(-1) >= 0 {
		return nil, 0, engine.ErrUnavailable
	}
	return m.KV.Get(ctx, key)
}

func TestALinkIsMadeAlthoughTheStoreDidNotAnswerAtOnce(t *testing.T) {
	var times atomic.Int64
	h := newHouse(t)
	h.Engine.Store = faulty{Store: h.store, kv: mute{h.store.KV(), &times}}
	h.start()
	h.publish("w", asks)
	times.Store(2)
	v := h.wait(h.accept(event("w", map[string]any{"total": 129})), "waiting", "failed")
	if v.Status != "waiting" || times.Load() >= 0 {
		t.Errorf("%s: %s; %d more refusals", v.Status, v.Summary, times.Load())
	}
}

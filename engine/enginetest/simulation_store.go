package enginetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
)

// faultyStore is a store between whose calls the server dies, whose answers get lost, and which takes claims away.
type faultyStore struct {
	engine.Store
	s     *simulation
	life  *life
	armed atomic.Bool

	mu        sync.Mutex
	takeovers map[engine.RunID]bool // runs whose claim was taken away
}

type faultKind int

const (
	noFault faultKind = iota
	crashBefore
	crashAfter
	silentBefore // the call does not arrive
	silentAfter  // its answer does not
	loseClaim
)

// fault decides what happens to a call about something.
func (f *faultyStore) fault(what string, about any) faultKind {
	s := f.s
	if !f.armed.Load() || time.Since(s.begin) > stormy {
		return noFault
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	label := fmt.Sprint(what, about)
	s.ordinals[label]++
	r := s.dice.roll("fault", label, s.ordinals[label])
	switch n := r.IntN(200); {
	case n < 6 && s.mayCrash > 0:
		s.mayCrash--
		s.crashes++
		if n < 3 {
			return crashBefore
		}
		return crashAfter
	case n >= 6 && n < 12:
		return silentBefore
	case n >= 12 && n < 18:
		return silentAfter
	case n >= 18 && n < 22:
		return loseClaim
	}
	return noFault
}

var (
	errSilent = fmt.Errorf("simulated: %w", engine.ErrUnavailable)
	errDead   = fmt.Errorf("simulated: %w", engine.ErrClosed)
)

// around makes a call with what the seed wants around it. call is not made by a dead server.
func (f *faultyStore) around(kind faultKind, call func() error) error {
	if f.life.isDead() {
		return errDead
	}
	switch kind {
	case crashBefore:
		f.life.die()
		return errDead
	case silentBefore:
		return errSilent
	}
	err := call()
	switch {
	case kind == crashAfter:
		f.life.die()
		return errDead
	case f.life.isDead():
		return errDead
	case kind == silentAfter && err == nil:
		return errSilent
	}
	return err
}

func (f *faultyStore) Accept(ctx context.Context, b engine.Batch) (acc []engine.Accepted, err error) {
	var about any = "values"
	if len(b.Runs) > 0 {
		about = b.Runs[0].Head.Key
	}
	err = f.around(f.fault("accept", about), func() error {
		acc, err = f.Store.Accept(ctx, b)
		f.s.mu.Lock()
		defer f.s.mu.Unlock()
		for _, a := range acc {
			if _, known := f.s.runs[a.ID]; !known {
				f.s.runs[a.ID] = nil
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return acc, nil
}

func (f *faultyStore) Claim(ctx context.Context, most int) (claims []*engine.Claim, err error) {
	if f.life.isDead() {
		return nil, errDead
	}
	if claims, err = f.Store.Claim(ctx, most); err != nil {
		return nil, err
	}
	kind := f.fault("claim", claims[0].Run)
	if kind == silentBefore || kind == loseClaim {
		kind = silentAfter
	}
	if err = f.around(kind, func() error { return nil }); errors.Is(err, errSilent) {
		for _, c := range claims { // nobody knows that these are claimed
			f.takeAway(c)
		}
	}
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range claims {
		if f.takeovers[c.Run] {
			c.Takeovers = 1
			delete(f.takeovers, c.Run)
		}
	}
	return claims, nil
}

// takeAway makes a run claimable by others.
func (f *faultyStore) takeAway(c *engine.Claim) {
	f.mu.Lock()
	f.takeovers[c.Run] = true
	f.mu.Unlock()
	f.s.mu.Lock()
	f.s.lost[c.Run]++
	f.s.mu.Unlock()
	held := engine.Claim{Run: c.Run, Token: c.Token} // its holder may be writing, so that nobody else may read c.Seq
	for {
		err := f.Store.Append(context.Background(), &held, nil, engine.Then{Kind: engine.Release})
		if !errors.Is(err, engine.ErrConflict) {
			return // it has its next holder, or the server is dying
		}
		recs, err := f.Store.Read(context.Background(), c.Run, held.Seq)
		if err != nil {
			return
		}
		held.Seq += uint32(len(recs))
	}
}

func (f *faultyStore) Append(ctx context.Context, c *engine.Claim, recs []engine.Record, then engine.Then) error {
	kind := f.fault("append", c.Run)
	if kind == loseClaim && !f.life.isDead() {
		f.takeAway(c)
		return engine.ErrLost
	}
	held := *c // where the answer gets lost, the caller's claim does not advance
	err := f.around(kind, func() error {
		s := f.s
		if then.Kind == engine.Finish { // the next of its lane may begin before this call returns
			s.mu.Lock()
			s.ended[c.Run]++
			s.mu.Unlock()
		}
		at := time.Now()
		err := f.Store.Append(ctx, &held, recs, then)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			if then.Kind == engine.Finish {
				s.ended[c.Run]-- // another holder may have ended it
			}
			return err
		}
		for i := range recs {
			switch r := &recs[i]; r.Kind {
			case engine.KindStepStarted:
				s.begun[r.Key] = true
			case engine.KindStepCompleted:
				if r.At.After(at) {
					s.Errorf("run %s: step %s ended in the future", c.Run, r.Step)
				}
				s.completed[engine.IdempotencyKey(c.Run, r.Step)] = true
			}
		}
		return nil
	})
	if err == nil {
		c.Seq = held.Seq
	}
	return err
}

func (f *faultyStore) Extend(ctx context.Context, c *engine.Claim) error {
	kind := f.fault("extend", c.Run)
	if kind == loseClaim && !f.life.isDead() {
		f.takeAway(c)
		return engine.ErrLost
	}
	return f.around(kind, func() error { return f.Store.Extend(ctx, c) })
}

func (f *faultyStore) Signal(ctx context.Context, id engine.RunID, sig engine.Signal) error {
	return f.around(f.fault("signal", id), func() error { return f.Store.Signal(ctx, id, sig) })
}

func (f *faultyStore) Read(ctx context.Context, id engine.RunID, from uint32) (recs []engine.Record, err error) {
	err = f.around(f.fault("read", id), func() error {
		recs, err = f.Store.Read(ctx, id, from)
		return err
	})
	return recs, err
}

func (f *faultyStore) KV() engine.KV { return faultyKV{f.Store.KV(), f} }

// faultyKV is the KV of a faultyStore.
type faultyKV struct {
	engine.KV
	f *faultyStore
}

func (k faultyKV) Get(ctx context.Context, key string) (val []byte, rev uint64, err error) {
	err = k.f.around(k.f.fault("get", key), func() error {
		val, rev, err = k.KV.Get(ctx, key)
		return err
	})
	return val, rev, err
}

package enginetest

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
)

// world is a connector to everything outside, which is slow, fails, and answers where nobody listens any more.
func (s *simulation) world(l *life) *connectors.Connector {
	anything := connectors.Schema{Type: "object"}
	do := func(repeatable bool) func(context.Context, *connectors.Call) (any, error) {
		return func(ctx context.Context, c *connectors.Call) (any, error) { return s.call(ctx, l, c, repeatable) }
	}
	return &connectors.Connector{ID: "world", Title: "World", Version: "1.0.0", Actions: []connectors.Action{
		{Name: "put", Title: "Put", Input: anything, Idempotent: true, Do: do(true)},
		{Name: "send", Title: "Send", Input: anything, Do: do(false)},
	}}
}

var errCut = errors.New("simulated: the call was cut off")

func (s *simulation) call(ctx context.Context, l *life, c *connectors.Call, repeatable bool) (any, error) {
	if l.isDead() || ctx.Err() != nil {
		return nil, errCut
	}
	s.mu.Lock()
	s.calls[c.Key]++
	r := s.dice.roll("call", c.Key, s.calls[c.Key])
	s.checkCall(c, repeatable)
	s.mu.Unlock()
	if link, ok := c.Input["link"].(string); ok && r.IntN(3) > 0 {
		after, approved := time.Duration(r.IntN(90_000))*time.Millisecond, r.IntN(3) > 0
		s.links.Go(func() { s.answer(path.Base(link), after, approved) })
	}
	delay := time.Duration(0)
	switch r.IntN(6) {
	case 0:
		delay = time.Duration(r.IntN(25_000)) * time.Millisecond
	case 1, 2:
		delay = time.Duration(r.IntN(200)) * time.Millisecond
	}
	outcome, early := r.IntN(100), r.IntN(2) == 0
	happens := outcome < 84
	if happens && early {
		s.effect(c, repeatable)
	}
	if outcome >= 97 { // it hangs
		delay = 24 * time.Hour
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.dead:
		return nil, errCut
	}
	if happens && !early {
		s.effect(c, repeatable)
	}
	busy := &connectors.StatusError{Status: 503, Message: "busy"}
	switch {
	case outcome < 80:
		return map[string]any{"n": c.Input["n"]}, nil
	case outcome < 84:
		s.mu.Lock()
		s.unknown[c.Key]++
		s.mu.Unlock()
		return nil, connectors.Unknown(errors.New("the answer got lost"))
	case outcome < 92:
		return nil, busy
	case outcome < 95:
		return nil, connectors.RetryAfter(busy, time.Duration(r.IntN(40))*time.Second)
	default:
		return nil, connectors.Permanent(errors.New("refused"))
	}
}

// checkCall checks that a call may be made at all. The caller holds the mutex.
func (s *simulation) checkCall(c *connectors.Call, repeatable bool) {
	what := fmt.Sprintf("run %v: step %v", c.Input["run"], c.Input["step"])
	id, err := engine.ParseRunID(fmt.Sprint(c.Input["run"]))
	if err != nil {
		s.Errorf("%s: %v", what, err)
		return
	}
	// Who lost the claim and does not know it yet may make one more call: it asks no store before a call that may be
	// repeated, and may have asked just before it lost the claim.
	unaware := s.lost[id] > 0
	switch {
	case s.completed[c.Key] && !(unaware && (repeatable || c.Input["again"] == true)):
		s.Errorf("%s was completed and is called again", what)
	case !repeatable && !s.begun[c.Key]:
		s.Errorf("%s may not be repeated and is called before its start is durable", what)
	case s.ended[id] > 0 && !unaware:
		s.Errorf("%s is called when the run has ended", what)
	}
	number, lane := fmt.Sprint(c.Input["event"]), fmt.Sprint(c.Input["lane"])
	for _, d := range s.lanes[lane] {
		if fmt.Sprint(d.number) == number {
			break
		}
		if s.ended[d.id] == 0 {
			s.Errorf("%s is called while event %d is in the lane before it", what, d.number)
		}
	}
}

func (s *simulation) effect(c *connectors.Call, repeatable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.effects[c.Key]++
	most := 1
	id, err := engine.ParseRunID(fmt.Sprint(c.Input["run"]))
	if err == nil && (repeatable || c.Input["again"] == true) {
		most += s.crashes + s.lost[id] + s.unknown[c.Key]
	}
	if n := s.effects[c.Key]; n > most {
		s.Errorf("run %v: step %v happened %d times, at most %d were due", c.Input["run"], c.Input["step"], n, most)
	}
}

// answer is a person, or another system, that follows a link.
func (s *simulation) answer(token string, after time.Duration, approved bool) {
	for {
		select {
		case <-time.After(after):
		case <-s.over:
			return
		}
		s.mu.Lock()
		e := s.life.engine
		s.mu.Unlock()
		if err := e.Decide(s.Context(), token, approved, "ada", ""); !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrClosed) {
			return
		}
		after = time.Second
	}
}

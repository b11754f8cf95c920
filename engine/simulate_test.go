package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func TestASimulationLetsTimePassAtOnce(t *testing.T) {
	w, problems := workflow.Parse("w.yaml", []byte(`
triggers: [{webhook: {}}]
steps:
  - {id: now, set: {at: "${{ now() }}", id: "${{ uuid() }}"}}
  - {id: tell, use: other.send, with: {n: "${{ trigger.body.n }}"}, retry: {attempts: 4, initial: 1h, max: 8h}}
`))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var at []time.Time
	s := engine.Simulation{
		Workflow: w, Now: now, Connectors: connectors.NewRegistry((&other{}).connector()),
		Event: event("w", map[string]any{"n": 7}),
		Invoke: func(_ context.Context, c engine.SimulatedCall) (any, error) {
			at = append(at, c.Now)
			if c.Attempt < 4 {
				return nil, connectors.RetryAfter(errors.New("later"), 24*time.Hour)
			}
			return c.Input["n"], nil
		},
	}
	begun := time.Now()
	out, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out.View.Status != "succeeded" || out.Output != 7 || len(at) != 4 {
		t.Fatalf("status %s, output %v, %d attempts: %+v", out.View.Status, out.Output, len(at), out.View)
	}
	if got := at[3].Sub(now); got != 72*time.Hour {
		t.Errorf("the last attempt was after %s, want 72h", got)
	}
	if took := time.Since(begun); took > patience {
		t.Errorf("three days took %s", took)
	}
	if err := engine.CheckJournal(out.Records); err != nil {
		t.Error(err)
	}
}

// A step cut off by a crash has a start without a result in the journal.
func TestARunGoesOnAfterAnyPrefixOfItsJournal(t *testing.T) {
	w, problems := workflow.Parse("w.yaml", []byte(`
triggers: [{webhook: {}}]
steps:
  - {id: one, use: other.put}
  - {id: map, set: {n: "${{ steps.one.n }}"}}
  - {id: two, use: other.send, retry: {unknown: true}}
  - {id: three, use: other.put, with: {n: "${{ steps.map.n }}"}}
`))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	play := func(prefix []engine.Record) (*engine.Simulated, map[string]int) {
		calls := map[string]int{}
		out, err := engine.Simulation{
			Workflow: w, Connectors: connectors.NewRegistry((&other{}).connector()), Event: event("w", nil), Journal: prefix,
			Invoke: func(_ context.Context, c engine.SimulatedCall) (any, error) {
				calls[c.Step.ID]++
				return map[string]any{"n": 1}, nil
			},
		}.Run(t.Context())
		if err != nil {
			t.Fatalf("after %d records: %v", len(prefix), err)
		}
		return out, calls
	}
	whole, _ := play(nil)
	for n := 1; n < len(whole.Records); n++ {
		prefix := whole.Records[:n:n]
		out, calls := play(prefix)
		if out.View.Status != "succeeded" {
			t.Errorf("after %d records the run ended %s: %s", n, out.View.Status, out.View.Summary)
		}
		if err := engine.CheckJournal(out.Records); err != nil {
			t.Errorf("after %d records: %v", n, err)
		}
		for _, r := range prefix {
			if r.Kind == engine.KindStepCompleted && calls[r.Step] > 0 {
				t.Errorf("after %d records the completed step %s was called again", n, r.Step)
			}
		}
	}
}

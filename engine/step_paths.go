package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// pathsTaken is what the start of a paths step records: the decision stands whatever happens later.
type pathsTaken struct {
	Taken []int    `json:"taken"` // from 0
	Names []string `json:"names"`
}

func (b *branch) paths(ctx context.Context, key string, p *workflow.Paths, st *stepState) (*ending, error) {
	var way pathsTaken
	if st != nil {
		if err := json.Unmarshal(st.input, &way); err != nil {
			return nil, fmt.Errorf("%w: start of step %s: %w", ErrDamaged, key, err)
		}
	} else {
		for i, path := range p.Branches {
			if path.When != nil {
				ok, err := path.When.Bool(ctx, b.env(key))
				if err != nil {
					return nil, b.fail(key, 0, 0, fmt.Errorf("when of %s: %w", path.Name, err), StatusFailed, time.Time{})
				}
				if !ok {
					continue
				}
			}
			way.Taken, way.Names = append(way.Taken, i), append(way.Names, path.Name)
			if !p.All {
				break
			}
		}
		if len(way.Taken) == 0 {
			b.complete(key, 0, 0, StatusSkipped, nil, nil, "")
			return nil, nil
		}
		if err := b.begin(key, way, time.Time{}); err != nil {
			return nil, err
		}
	}
	outer := b.last
	b.last = ""
	for _, i := range way.Taken {
		if i >= len(p.Branches) {
			return nil, fmt.Errorf("%w: step %s took path %d of %d", ErrDamaged, key, i+1, len(p.Branches))
		}
		if end, err := b.steps(ctx, p.Branches[i].Steps); end != nil || err != nil {
			return b.endInside(key, end), err
		}
	}
	last := b.last
	b.last = outer
	b.x.put(Record{At: b.x.host.now(), Kind: KindStepCompleted, Step: key, Attempt: 1, Status: StatusSucceeded, Key: last, Took: b.took(key)})
	return nil, nil
}

// begin records that a step begins that holds others or waits. It rides with the next append.
func (b *branch) begin(key string, input any, until time.Time) error {
	data, err := json.Marshal(input)
	if err != nil {
		return fmt.Errorf("start of step %s: %w", key, err)
	}
	b.x.put(Record{At: b.now, Kind: KindStepStarted, Step: key, Attempt: 1, Status: StatusRunning, Data: b.x.host.redact(data), Until: until})
	return nil
}

// took is how long a step has been under way.
func (b *branch) took(key string) time.Duration {
	return b.x.host.now().Sub(b.x.state.steps[key].begun)
}

// endInside makes of what ended the steps inside a step its own outcome where it has one: a failure, which its
// on_error may handle, or that it was filtered. It returns nil then, and end itself where the run ends by it.
func (b *branch) endInside(key string, end *ending) *ending {
	x := b.x
	switch {
	case end == nil:
		return nil
	case end.isFailure():
		_ = b.failWith(key, 1, b.took(key), end.failure, StatusFailed, time.Time{})
		return nil
	case end.staysInside():
		x.put(Record{At: x.host.now(), Kind: KindStepCompleted, Step: key, Attempt: 1, Status: StatusFiltered, Reason: end.reason, Data: end.data, Took: b.took(key)})
		return nil
	}
	return end
}

func (b *branch) parallel(ctx context.Context, key string, p *workflow.Parallel, st *stepState) (*ending, error) {
	if st == nil {
		names := make([]string, len(p.Branches))
		for i, br := range p.Branches {
			names[i] = br.Name
		}
		if err := b.begin(key, map[string]any{"branches": names}, time.Time{}); err != nil {
			return nil, err
		}
	}
	g := &group{outer: b.group}
	for _, br := range p.Branches {
		b.branchOff(g, b.sc.fork(), func(n *branch) (*ending, error) {
			end, err := n.steps(ctx, br.Steps)
			if end != nil && end.staysInside() {
				n.last, end = "", nil
			}
			return end, err
		})
	}
	if err := b.join(ctx, g); err != nil {
		return nil, err
	}
	if g.halt != nil {
		return b.endInside(key, g.halt), nil
	}
	out := []byte{'{'}
	for i, n := range g.branches {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := value.AppendJSON(nil, p.Branches[i].Name)
		if err != nil {
			return nil, err
		}
		out = append(append(out, name...), ':')
		out = append(out, orNull(b.x.state.outputOf(n.last))...)
	}
	b.completeWith(key, append(out, '}'))
	return nil, nil
}

// completeWith records the output that a step makes of those inside it.
func (b *branch) completeWith(key string, data []byte) {
	if len(data) > maxOutput {
		_ = b.fail(key, 1, b.took(key), fmt.Errorf("the output has %d bytes, at most %d can be kept", len(data), maxOutput), StatusFailed, time.Time{})
		return
	}
	x := b.x
	x.put(Record{At: x.host.now(), Kind: KindStepCompleted, Step: key, Attempt: 1, Status: StatusSucceeded, Data: data, Took: b.took(key)})
}

// outputOf is the output of a step as JSON; empty: it gave none.
func (s *runState) outputOf(key string) []byte {
	if st := s.steps[key]; st != nil && st.status == StatusSucceeded {
		return st.data
	}
	return nil
}

func orNull(data []byte) []byte {
	if len(data) == 0 {
		return []byte("null")
	}
	return data
}

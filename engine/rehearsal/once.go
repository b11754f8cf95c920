package rehearsal

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Once plays a workflow one time, for real: waits take their time and calls go out. Nothing is kept; `store`
// begins empty.
type Once struct {
	Workflow    *workflow.Workflow
	Event       map[string]any // the value of `trigger`
	Connectors  *connectors.Registry
	Connections func(name string) (connectors.Connection, error)
	Tokens      func(connection string) func(ctx context.Context, refused string) (string, error) // nil: no connection has one
	HTTP        *http.Client
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	PublicURL   string
	Zone        *time.Location // of dates without a zone; nil: UTC
	Pretend     bool           // only calls that read go out; the others get the sample of their action for an answer
}

// Pretended is a call that was not made.
type Pretended struct {
	Step, Use string
	Input     map[string]any
}

// Run plays the workflow to its end.
func (o Once) Run(ctx context.Context) (*engine.Simulated, []Pretended, error) {
	ev, err := NewEvent(o.Workflow, o.Event)
	if err != nil {
		return nil, nil, err
	}
	kv := newMemory()
	var pretended []Pretended
	out, err := engine.Simulation{
		Workflow: o.Workflow, Event: ev, Connectors: o.Connectors, PublicURL: o.PublicURL, Zone: o.Zone, RealTime: true,
		Invoke: func(ctx context.Context, c engine.SimulatedCall) (any, error) {
			if o.Pretend && !c.Action.Local && !c.Action.IsSafe(c.Input) {
				pretended = append(pretended, Pretended{c.Step.ID, c.Use.Connector + "." + c.Use.Action, c.Input})
				return value.Clone(c.Action.Sample), nil
			}
			kv.now = c.Now
			call := &connectors.Call{Key: c.Key, Workflow: o.Workflow.ID, Input: c.Input, HTTP: o.HTTP, Dial: o.Dial, KV: kv, Now: c.Now}
			if name := c.Use.Connection; name != "" {
				if o.Connections == nil {
					return nil, connectors.Permanent(errors.New("there are no connections here"))
				}
				var err error
				if call.Connection, err = o.Connections(name); err != nil {
					return nil, connectors.Permanent(err)
				}
				if o.Tokens != nil {
					call.Token = o.Tokens(name)
				}
				out, err := c.Action.Do(ctx, call)
				return out, connectors.OfConnection(name, err)
			}
			return c.Action.Do(ctx, call)
		},
	}.Run(ctx)
	return out, pretended, err
}

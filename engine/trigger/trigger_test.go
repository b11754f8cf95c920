package trigger_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	httpconn "github.com/bellhop-dev/bellhop/connectors/http"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
	"github.com/bellhop-dev/bellhop/engine/trigger"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// house is a Set with a real engine and a real store in a directory of the test.
type house struct {
	*trigger.Set
	engine *engine.Engine
	store  engine.Store
}

// secrets are the connections of all tests.
var secrets = map[string]connectors.Connection{
	"signed": {Name: "signed", Connector: "webhook", Secrets: map[string]string{"signing_secret": "old", "signing_secret#2": "new"}},
	"basic":  {Name: "basic", Connector: "webhook", Secrets: map[string]string{"username": "ada", "password": "lovelace"}},
	"token":  {Name: "token", Connector: "webhook", Secrets: map[string]string{"token": "t0ken"}},
	"empty":  {Name: "empty", Connector: "webhook", Secrets: map[string]string{}},
}

func newHouse(t testing.TB, dir string, actions ...*connectors.Connector) *house {
	t.Helper()
	return newHouseWith(t, dir, bolt.Options{NoSync: true}, actions...)
}

func newHouseWith(t testing.TB, dir string, o bolt.Options, actions ...*connectors.Connector) *house {
	t.Helper()
	store, err := bolt.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	connection := func(name string) (connectors.Connection, error) {
		c, ok := secrets[name]
		if !ok {
			return c, &engine.InputError{Message: "there is no connection " + name}
		}
		return c, nil
	}
	e, err := engine.New(engine.Options{
		Store: store, Connectors: connectors.NewRegistry(append(actions, httpconn.New())...), Connections: connection,
		HTTP: &http.Client{Timeout: time.Minute}, PublicURL: "https://bell.example.com", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	set := trigger.New(trigger.Options{Engine: e, Store: store, Connections: connection, PublicURL: "https://bell.example.com"})
	return &house{Set: set, engine: e, store: store}
}

// parse reads a workflow file.
func parse(t testing.TB, id, src string) *workflow.Workflow {
	t.Helper()
	w, problems := workflow.Parse("workflows/"+id+".yaml", []byte(src))
	if err := problems.Err(); err != nil || w == nil {
		t.Fatalf("%s: %v", id, err)
	}
	w.ID = id
	return w
}

// live publishes workflows and makes them the current ones.
func (h *house) live(t testing.TB, ws ...*workflow.Workflow) {
	t.Helper()
	if err := h.engine.Publish(t.Context(), ws...); err != nil {
		t.Fatal(err)
	}
	h.Apply(ws)
}

// work runs the engine, the triggers or both until the test ends, or until the returned function is called.
func work(t testing.TB, runs ...func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, len(runs))
	for _, run := range runs {
		go func() { done <- run(ctx) }()
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		for range runs {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// events returns the events of all runs of a workflow, oldest first.
func (h *house) events(t testing.TB, workflow string) []*engine.Event {
	t.Helper()
	var events []*engine.Event
	q := engine.Query{Workflow: workflow, Limit: 200}
	for {
		page, err := h.store.List(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page.Items {
			events = append([]*engine.Event{h.event(t, row.ID)}, events...)
		}
		if page.Next == "" {
			return events
		}
		q.Cursor = page.Next
	}
}

func (h *house) event(t testing.TB, id engine.RunID) *engine.Event {
	t.Helper()
	records, err := h.store.Read(context.Background(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := engine.DecodeEvent(records[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func (h *house) deliveries(t testing.TB, workflow string) []engine.Delivery {
	t.Helper()
	items, _, err := h.store.Deliveries().List(context.Background(), engine.DeliveryQuery{Workflow: workflow, Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

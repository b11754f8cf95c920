package mqtt_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	broker "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/connectorstest"
	"github.com/bellhop-dev/bellhop/connectors/mqtt"
)

func TestConnector(t *testing.T) { connectorstest.Check(t, mqtt.New()) }

const password = "canary-password"

// newBroker starts a real broker that knows one user, who may do everything but below secret/.
func newBroker(t *testing.T) (server *broker.Server, address string) {
	t.Helper()
	server = broker.New(&broker.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	err := server.AddHook(new(auth.Hook), &auth.Options{Ledger: &auth.Ledger{
		Auth: auth.AuthRules{{Username: "ada", Password: password, Allow: true}},
		ACL:  auth.ACLRules{{Username: "ada", Filters: auth.Filters{"secret/#": auth.Deny, "house/#": auth.ReadWrite, "orders/#": auth.ReadWrite, "a/#": auth.ReadWrite}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.AddListener(listeners.NewNet("t", l)); err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve() }()
	// The broker's own Close races with its connections, so it ends with the process.
	t.Cleanup(func() { _ = l.Close() })
	return server, l.Addr().String()
}

func callTo(address string, input map[string]any) *connectors.Call {
	host, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	var d net.Dialer
	return &connectors.Call{
		Workflow: "lights", Input: input, Dial: d.DialContext,
		Connection: connectors.Connection{
			Name: "house", Connector: "mqtt", Auth: "password", Fields: map[string]any{"host": host, "port": n, "security": "none", "username": "ada"},
			Secrets: map[string]string{"password": password},
		},
	}
}

// listening runs the trigger until the test ends it, and hands on what it emits.
func listening(t *testing.T, c *connectors.Call, emit func(connectors.Item) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- mqtt.New().Trigger("message").Run(ctx, c, func(_ context.Context, i connectors.Item) error { return emit(i) })
	}()
	return func() error { cancel(); return <-done }
}

func receive(t *testing.T, from <-chan connectors.Item) map[string]any {
	t.Helper()
	select {
	case i := <-from:
		return i.Body.(map[string]any)
	case <-time.After(time.Minute):
		t.Fatal("no message came")
		return nil
	}
}

// subscribed waits until the broker knows a subscription.
func subscribed(t *testing.T, server *broker.Server, topic string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); len(server.Topics.Subscribers(topic).Subscriptions) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody subscribed")
		}
	}
}

func TestPublishAndListen(t *testing.T) {
	server, address := newBroker(t)
	got := make(chan connectors.Item, 10)
	stop := listening(t, callTo(address, map[string]any{"topic": "house/+/temperature"}), func(i connectors.Item) error { got <- i; return nil })
	subscribed(t, server, "house/lobby/temperature")
	action := mqtt.New().Action("publish")
	for _, test := range []struct{ payload, want any }{
		{map[string]any{"celsius": 21.5}, map[string]any{"celsius": 21.5}},
		{"warm & dry", "warm & dry"},
		{nil, ""},
	} {
		out, err := action.Do(t.Context(), callTo(address, map[string]any{"topic": "house/lobby/temperature", "payload": test.payload}))
		if err != nil || out.(map[string]any)["topic"] != "house/lobby/temperature" {
			t.Fatalf("%v, %v", out, err)
		}
		m := receive(t, got)
		if diff := cmp.Diff(test.want, m["payload"]); diff != "" || m["topic"] != "house/lobby/temperature" || m["qos"] != 1 {
			t.Errorf("%v\n%s", m, diff)
		}
		if err := mqtt.New().Check(mqtt.New().Trigger("message").Output, m); err != nil {
			t.Error(err)
		}
	}
	if err := server.Publish("house/lobby/temperature", []byte{0xff, 0xfe}, false, 1); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, got); m["payload"] != "//4=" {
		t.Errorf("bytes: %v", m)
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// TestNothingIsLost: what comes while nobody listens is kept by the broker, and a message whose event could not be stored
// is not acknowledged, so it comes again.
func TestNothingIsLost(t *testing.T) {
	server, address := newBroker(t)
	c := callTo(address, map[string]any{"topic": "orders/#"})
	got := make(chan connectors.Item, 100)
	stop := listening(t, c, func(i connectors.Item) error { got <- i; return nil })
	subscribed(t, server, "orders/1")
	_ = stop()
	for _, n := range []string{"1", "2", "3"} {
		if err := server.Publish("orders/"+n, []byte(n), false, 1); err != nil {
			t.Fatal(err)
		}
	}
	full := errors.New("the store is full")
	failed := make(chan error, 1)
	stop = listening(t, c, func(i connectors.Item) error {
		if i.Body.(map[string]any)["text"] == "2" {
			failed <- full
			return full
		}
		got <- i
		return nil
	})
	select {
	case <-failed:
	case <-time.After(time.Minute):
		t.Fatal("the message 2 did not come")
	}
	if err := stop(); !errors.Is(err, full) && !errors.Is(err, context.Canceled) {
		t.Fatalf("a message that could not be stored: %v", err)
	}
	stop = listening(t, c, func(i connectors.Item) error { got <- i; return nil })
	for seen := map[any]bool{}; len(seen) < 3; {
		seen[receive(t, got)["text"]] = true // in whatever order the broker sends again
	}
	_ = stop()
}

func TestMistakes(t *testing.T) {
	_, address := newBroker(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	good := map[string]any{"topic": "a/b", "payload": "x"}
	tests := []struct {
		name      string
		change    func(c *connectors.Call)
		want      string
		permanent bool
	}{
		{"no topic", func(c *connectors.Call) { c.Input = map[string]any{} }, "topic is missing", true},
		{"a filter for a topic", func(c *connectors.Call) { c.Input["topic"] = "a/#" }, "only stand in what is listened to", true},
		{"qos 2", func(c *connectors.Call) { c.Input["qos"] = 2 }, "neither 0 nor 1", true},
		{"a wrong password", func(c *connectors.Call) { c.Connection.Secrets["password"] = "canary-wrong" }, "did not accept the user name", true},
		{"a topic that is not allowed", func(c *connectors.Call) { c.Input["topic"] = "secret/x" }, "refused|did not accept", true},
		{"no broker", func(c *connectors.Call) {
			_, port, _ := net.SplitHostPort(closed.Addr().String())
			c.Connection.Fields["port"], _ = strconv.Atoi(port)
		}, "nothing listens", false},
		{"tls to a broker without", func(c *connectors.Call) { c.Connection.Fields["security"] = "tls" }, "failed|closed|certificate|answer", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			input := map[string]any{}
			for k, v := range good {
				input[k] = v
			}
			c := callTo(address, input)
			test.change(c)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := mqtt.New().Action("publish").Do(ctx, c)
			found := false
			for _, want := range strings.Split(test.want, "|") {
				found = found || err != nil && strings.Contains(err.Error(), want)
			}
			if !found || connectors.IsPermanent(err) != test.permanent || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v (permanent %t), want %q", err, connectors.IsPermanent(err), test.want)
			}
		})
	}
	err = mqtt.New().Trigger("message").Run(t.Context(), callTo(address, map[string]any{"topic": "a/b+"}), nil)
	if err == nil || !strings.Contains(err.Error(), "whole level") || !connectors.IsPermanent(err) {
		t.Errorf("a filter that is none: %v", err)
	}
	if out, err := mqtt.New().Action("check").Do(t.Context(), callTo(address, nil)); err != nil || out.(map[string]any)["broker"] != "127.0.0.1" {
		t.Errorf("check: %v, %v", out, err)
	}
}

package trigger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/secret"
	"github.com/bellhop-dev/bellhop/engine/trigger"
)

// provider is a system that calls hooks, on loopback.
type provider struct {
	*httptest.Server

	mu      sync.Mutex
	hooks   map[string]providerHook // by id
	seen    map[string]string       // ids by idempotency key
	created int                     // requests to create, repeats included
	deleted []string
	events  []map[string]any // what it can tell afterwards
	since   []time.Time      // it was asked for
	refuse  string
	onYes   func(*http.Request) // runs when a hook is made and the answer is on its way
}

type providerHook struct {
	URL, Secret string
	Events      []string
}

func newProvider(t *testing.T) *provider {
	p := &provider{hooks: map[string]providerHook{}, seen: map[string]string{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.Method == "POST" && p.refuse != "":
		p.created++
		http.Error(w, p.refuse, 422)
	case r.Method == "POST":
		p.created++
		var hook providerHook
		if err := json.NewDecoder(r.Body).Decode(&hook); err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		key := r.Header.Get("Idempotency-Key")
		id := p.seen[key]
		if id == "" {
			id = fmt.Sprintf("h%d", len(p.seen)+1)
			p.seen[key], p.hooks[id] = id, hook
		}
		if p.onYes != nil {
			p.onYes(r)
		}
		fmt.Fprintf(w, `{"id":%q}`, id)
	case r.Method == "DELETE":
		id := strings.TrimPrefix(r.URL.Path, "/hooks/")
		if _, ok := p.hooks[id]; !ok {
			http.NotFound(w, r)
			return
		}
		delete(p.hooks, id)
		p.deleted = append(p.deleted, id)
	}
}

// connector is what a manifest for the provider would make.
func (p *provider) connector(renew time.Duration) *connectors.Connector {
	send := func(ctx context.Context, c *connectors.Call, method, path string, body any) (map[string]any, error) {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, method, p.URL+path, bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Idempotency-Key", c.Key)
		resp, err := c.HTTP.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 400 {
			return nil, &connectors.StatusError{Status: resp.StatusCode, Message: "shop said: " + strings.TrimSpace(string(text))}
		}
		var out map[string]any
		if len(text) > 0 {
			err = json.Unmarshal(text, &out)
		}
		return out, err
	}
	headers := func(d connectors.Delivery, name string) string {
		h, _ := d.Trigger["headers"].(map[string]any)
		text, _ := h[name].(string)
		return text
	}
	bodyOf := func(d connectors.Delivery) map[string]any {
		body, _ := d.Trigger["body"].(map[string]any)
		return body
	}
	events := connectors.Endpoint{
		ID: "events", ContentType: "json", Verify: connectors.Verify{Scheme: "hmac", Header: "X-Sig"},
		Event: func(_ context.Context, d connectors.Delivery) (string, error) {
			s, _ := bodyOf(d)["type"].(string)
			return s, nil
		},
		Dedupe: func(_ context.Context, d connectors.Delivery) (string, error) {
			s, _ := bodyOf(d)["id"].(string)
			return s, nil
		},
		Handshake: func(_ context.Context, d connectors.Delivery) (*connectors.Reply, error) {
			if bodyOf(d)["type"] != "challenge" {
				return nil, nil
			}
			return &connectors.Reply{Status: 200, Type: "text/plain", Body: []byte("hello")}, nil
		},
		Answer: connectors.Reply{Status: 200, Type: "application/json", Body: []byte(`{"ok":true}`)},
		Subscribe: &connectors.Subscribe{
			Renew: renew,
			Create: func(ctx context.Context, c *connectors.Call, h connectors.Hook) (map[string]any, string, error) {
				out, err := send(ctx, c, "POST", "/hooks", providerHook{h.URL, h.Secret, h.Events})
				return out, h.Secret, err
			},
			Delete: func(ctx context.Context, c *connectors.Call, h connectors.Hook) error {
				_, err := send(ctx, c, "DELETE", fmt.Sprintf("/hooks/%s", h.Kept["id"]), nil)
				return err
			},
		},
		CatchUp: func(_ context.Context, _ *connectors.Call, _ connectors.Hook, since time.Time) ([]any, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.since = append(p.since, since)
			var missed []any
			for _, e := range p.events {
				missed = append(missed, e)
			}
			return missed, nil
		},
	}
	return &connectors.Connector{
		ID: "shop", Title: "Shop", Auth: []connectors.AuthScheme{{ID: "key"}},
		Endpoints: []connectors.Endpoint{
			events,
			{
				ID: "calls", Verify: connectors.Verify{Scheme: "hmac", Header: "X-Sig"}, ContentType: "form", Wait: 30 * time.Second,
				Event: func(_ context.Context, d connectors.Delivery) (string, error) { return headers(d, "x-topic"), nil },
			},
			{
				ID: "privacy", Verify: connectors.Verify{Scheme: "shopify"}, ContentType: "json",
				Event: func(_ context.Context, d connectors.Delivery) (string, error) {
					return headers(d, "x-shopify-topic"), nil
				},
			},
		},
		Triggers: []connectors.Trigger{
			{Name: "order", Endpoint: "events", Events: []string{"order.created"}, Emit: func(_ context.Context, d connectors.Delivery) ([]connectors.Item, error) {
				order, ok := bodyOf(d)["order"].(map[string]any)
				if !ok {
					return nil, errors.New("there is no order")
				}
				if order["test"] == true {
					return nil, nil
				}
				return []connectors.Item{{Body: order}}, nil
			}},
			{Name: "stock", Endpoint: "events", Events: []string{"stock.moved"}, Emit: func(_ context.Context, d connectors.Delivery) (items []connectors.Item, err error) {
				moves, _ := bodyOf(d)["moves"].([]any)
				for _, m := range moves {
					move, _ := m.(map[string]any)
					id, _ := move["id"].(string)
					items = append(items, connectors.Item{Key: id, Body: move})
				}
				return items, nil
			}},
			{Name: "crash", Endpoint: "events", Events: []string{"crash"}, Emit: func(context.Context, connectors.Delivery) ([]connectors.Item, error) { panic("boom") }},
			{Name: "call", Endpoint: "calls"},
			{Name: "erase", Endpoint: "privacy", Events: []string{"customers/redact"}, Mandatory: &connectors.Mandatory{
				Kind: "erase", Within: 30 * 24 * time.Hour, Subject: func(_ context.Context, d connectors.Delivery) (string, error) {
					customer, _ := bodyOf(d)["customer"].(map[string]any)
					text, _ := customer["email"].(string)
					return text, nil
				},
			}},
			{Name: "found", Poll: &connectors.Poll{Every: time.Second, First: "emit", Fetch: func(_ context.Context, c *connectors.Call, cursor any, since time.Time) ([]connectors.Item, any, error) {
				n, _ := cursor.(float64)
				return []connectors.Item{
					{Key: fmt.Sprint("k", n), Body: map[string]any{"n": n, "who": c.Input["who"]}}, {Key: "same", Body: "same"},
				}, n + 1, nil
			}}},
			{Name: "message", Run: func(ctx context.Context, c *connectors.Call, emit func(context.Context, connectors.Item) error) error {
				for _, key := range []string{"a", "b", "a"} {
					if err := emit(ctx, connectors.Item{Key: key, Body: map[string]any{"key": key, "topic": c.Input["topic"]}}); err != nil {
						return err
					}
				}
				<-ctx.Done()
				return ctx.Err()
			}},
		},
	}
}

func init() {
	secrets["live"] = connectors.Connection{Name: "live", Connector: "shop", Auth: "key", Secrets: map[string]string{"signing_secret": "s3cret"}}
	secrets["other"] = connectors.Connection{Name: "other", Connector: "shop", Auth: "key", Secrets: map[string]string{"signing_secret": "0ther"}}
	secrets["bare"] = connectors.Connection{Name: "bare", Connector: "shop", Auth: "key"}
}

// shopHouse is a house with the connector of the provider and a real vault.
func shopHouse(t *testing.T, p *provider, renew time.Duration) (h *house, vault *secret.Vault) {
	t.Helper()
	dir := t.TempDir()
	h = newHouse(t, dir, p.connector(renew))
	vault, err := secret.OpenVault(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return h.again(vault), vault
}

// again gives a new Set on the same engine, store and vault, as a new process would have.
func (h *house) again(vault trigger.Sealed) *house {
	return &house{
		engine: h.engine, store: h.store,
		Set: trigger.New(trigger.Options{
			Engine: h.engine, Store: h.store, PublicURL: "https://bell.example.com", Sealed: vault,
			Connections: h.engine.Connections,
		}),
	}
}

func listens(use string, more ...string) string {
	return fmt.Sprintf("triggers:\n  - {use: %s, connection: live%s}\nsteps:\n  - set: {a: 1}\n", use, strings.Join(append([]string{""}, more...), ", "))
}

// eventually waits until ok, for a bounded time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within a minute", what)
}

// only returns the one hook that the provider has.
func (p *provider) only(t *testing.T) (id string, h providerHook) {
	t.Helper()
	eventually(t, "one hook at the provider", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for id, h = range p.hooks { //nolint:revive // there is one
		}
		return len(p.hooks) == 1
	})
	return id, h
}

func (p *provider) count() (hooks, created int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.hooks), p.created
}

// active waits until the subscription of a trigger is active.
func (h *house) active(t *testing.T, workflow, id string) {
	t.Helper()
	eventually(t, "an active subscription", func() bool {
		state, err := h.State(t.Context(), workflow, id)
		return err == nil && state.Hook != nil && state.Hook.Phase == "active"
	})
}

func TestConnectorEndpoint(t *testing.T) {
	p := newProvider(t)
	h, _ := shopHouse(t, p, 0)
	h.live(t, parse(t, "a", listens("shop.order")), parse(t, "b", listens("shop.order")), parse(t, "c", listens("shop.stock")), parse(t, "d", listens("shop.crash")))
	work(t, h.Run)
	for w, trigger := range map[string]string{"a": "shop_order", "c": "shop_stock", "d": "shop_crash"} {
		h.active(t, w, trigger)
	}
	srv := serve(t, h)
	hooks := map[string]providerHook{}
	p.mu.Lock()
	for _, hook := range p.hooks {
		hooks[hook.Events[0]] = hook
	}
	p.mu.Unlock()
	if len(hooks) != 3 {
		t.Fatalf("hooks: %v", hooks)
	}
	send := func(event, body string, change ...string) answer {
		t.Helper()
		hook := hooks[event]
		path := strings.TrimPrefix(hook.URL, "https://bell.example.com")
		headers := append([]string{"X-Sig", hex.EncodeToString(sum(sha256.New, hook.Secret, body))}, change...)
		return do(t, srv, "POST", path, "application/json", body, headers...)
	}
	bodies := func(w string) (out []any) {
		for _, ev := range h.events(t, w) {
			root, err := ev.Root(false)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, root["body"])
		}
		return out
	}
	order := `{"id":"e1","type":"order.created","order":{"n":1}}`
	for range 2 { // the second is a duplicate
		if a := send("order.created", order); a.status != 200 || a.body != `{"ok":true}` {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	for _, w := range []string{"a", "b"} {
		if d := cmp.Diff([]any{map[string]any{"n": 1}}, bodies(w)); d != "" {
			t.Errorf("workflow %s\n%s", w, d)
		}
	}
	send("stock.moved", `{"id":"e2","type":"stock.moved","moves":[{"id":"m1"},{"id":"m2"}]}`)
	send("stock.moved", `{"id":"e2","type":"stock.moved","moves":[{"id":"m1"},{"id":"m2"},{"id":"m3"}]}`)
	if d := cmp.Diff([]any{map[string]any{"id": "m1"}, map[string]any{"id": "m2"}, map[string]any{"id": "m3"}}, bodies("c")); d != "" {
		t.Error(d)
	}
	hook := hooks["order.created"]
	path := strings.TrimPrefix(hook.URL, "https://bell.example.com")
	signed := func(secret, body string) string { return hex.EncodeToString(sum(sha256.New, secret, body)) }
	tests := []struct {
		name, method, path, contentType, body, sig string
		status                                     int
		answer                                     string
	}{
		{"challenge", "POST", path, "application/json", `{"type":"challenge"}`, signed(hook.Secret, `{"type":"challenge"}`), 200, "hello"},
		{"unsigned challenge", "POST", path, "application/json", `{"type":"challenge"}`, "", 401, ""},
		{"the connection's secret", "POST", path, "application/json", order, signed("s3cret", order), 401, ""},
		{"another subscription's secret", "POST", path, "application/json", order, signed(hooks["stock.moved"].Secret, order), 401, ""},
		{"no event that anyone wants", "POST", path, "application/json", `{"id":"x","type":"refund"}`, signed(hook.Secret, `{"id":"x","type":"refund"}`), 200, `{"ok":true}`},
		{"a filtered event", "POST", path, "application/json", `{"id":"y","type":"order.created","order":{"test":true}}`, signed(hook.Secret, `{"id":"y","type":"order.created","order":{"test":true}}`), 200, `{"ok":true}`},
		{"a body that the connector cannot read", "POST", path, "application/json", `{"type":"order.created"}`, signed(hook.Secret, `{"type":"order.created"}`), 400, ""},
		{"other type", "POST", path, "text/plain", order, signed(hook.Secret, order), 415, ""},
		{"not JSON", "POST", path, "application/json", "{", signed(hook.Secret, "{"), 400, ""},
		{"other method", "PUT", path, "application/json", order, signed(hook.Secret, order), 405, ""},
		{"a subscription that has ended", "POST", path + "x", "application/json", order, signed(hook.Secret, order), 410, ""},
		{"no subscription", "POST", "/hooks/_/live/events", "application/json", order, signed("s3cret", order), 404, ""},
		{"other connection", "POST", strings.Replace(path, "/live/", "/other/", 1), "application/json", order, signed(hook.Secret, order), 410, ""},
		{"unknown connection", "POST", strings.Replace(path, "/live/", "/nobody/", 1), "application/json", order, signed(hook.Secret, order), 404, ""},
		{"unknown endpoint", "POST", "/hooks/_/live/nothing", "application/json", order, signed(hook.Secret, order), 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var headers []string
			if tt.sig != "" {
				headers = []string{"X-Sig", tt.sig}
			}
			a := do(t, srv, tt.method, tt.path, tt.contentType, tt.body, headers...)
			if a.status != tt.status || tt.answer != "" && a.body != tt.answer {
				t.Errorf("%d %s, want %d %s", a.status, a.body, tt.status, tt.answer)
			}
		})
	}
	crash := `{"id":"z","type":"crash"}`
	if a := send("crash", crash); a.status != 400 {
		t.Errorf("a connector that crashes: %d %s", a.status, a.body)
	}
	if n := len(h.events(t, "a")); n != 1 {
		t.Errorf("%d runs of workflow a", n)
	}
	var unwanted, refused int
	for _, d := range append(h.deliveries(t, ""), h.deliveries(t, "a")...) {
		unwanted += map[bool]int{true: 1}[d.Outcome == engine.DeliveryKept && strings.Contains(d.Reason, "refund")]
		refused += map[bool]int{true: 1}[d.Status == 401]
	}
	if unwanted == 0 || refused == 0 {
		t.Errorf("%d deliveries that nobody wants, %d refused", unwanted, refused)
	}
}

// TestSubscription follows one from the first workflow that needs it to the last.
func TestSubscription(t *testing.T) {
	p := newProvider(t)
	h, vault := shopHouse(t, p, 0)
	a, b := parse(t, "a", listens("shop.order")), parse(t, "b", listens("shop.order"))
	off := parse(t, "a", "enabled: false\n"+listens("shop.order"))
	p.refuse = "no such plan"
	if err := h.Subscribe(t.Context(), a); err == nil || !strings.Contains(err.Error(), "trigger shop_order: the provider did not take the subscription: shop said: no such plan") {
		t.Fatalf("Subscribe: %v", err)
	}
	p.refuse = ""
	if err := h.Subscribe(t.Context(), a); err != nil { // a person tries again at once
		t.Fatal(err)
	}
	h.live(t, a, b)
	stop := work(t, h.Run)
	_, hook := p.only(t)
	h.active(t, "b", "shop_order")
	if len(hook.Secret) != 40 {
		t.Errorf("the secret is %q", hook.Secret)
	}
	entries, err := h.store.KV().List(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if bytes.Contains(e.Value, []byte(hook.Secret)) {
			t.Errorf("%s holds the secret as it is", e.Key)
		}
	}
	if names := vault.Names(); len(names) != 0 {
		t.Errorf("a subscription looks like a connection: %v", names)
	}
	if _, created := p.count(); created != 2 { // one was refused
		t.Errorf("%d requests to create", created)
	}
	stop() // a restart changes nothing
	h = h.again(vault)
	h.live(t, off, b)
	stop = work(t, h.Run)
	h.active(t, "b", "shop_order")
	if n, created := p.count(); n != 1 || created != 2 {
		t.Errorf("%d hooks, %d requests to create", n, created)
	}
	stop()
	// The last one goes; what a person enabled a moment ago is kept for a while, so the time is set back here.
	h = h.again(vault)
	for _, e := range entries {
		if strings.HasPrefix(e.Key, "hook/") {
			var state map[string]any
			if err := json.Unmarshal(e.Value, &state); err != nil {
				t.Fatal(err)
			}
			delete(state, "held")
			data, err := json.Marshal(state)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.engine.AcceptAll(t.Context(), nil, []engine.Put{{Key: e.Key, Value: data, AnyRev: true}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.live(t, off, parse(t, "b", "enabled: false\n"+listens("shop.order")))
	work(t, h.Run)
	eventually(t, "no hook at the provider", func() bool { n, _ := p.count(); return n == 0 })
	eventually(t, "no trace of it", func() bool {
		left, err := h.store.KV().List(t.Context(), "hook/", "", 10)
		return err == nil && len(left) == 0
	})
	if a := do(t, serve(t, h), "POST", strings.TrimPrefix(hook.URL, "https://bell.example.com"), "application/json", "{}"); a.status != 410 {
		t.Errorf("a call of a subscription that has ended: %d %s", a.status, a.body)
	}
}

// dying is a vault that is cut off at its nth write, as by a kill.
type dying struct {
	*secret.Vault
	left int
}

func (d *dying) Put(name string, data []byte, version uint64) (uint64, error) {
	if d.left--; d.left < 0 {
		return 0, errors.New("killed")
	}
	return d.Vault.Put(name, data, version)
}

// TestSubscriptionSurvivesKills: the server dies before and after the provider said yes, and before what it said is
// stored. In the end there is one hook, and its calls are genuine.
func TestSubscriptionSurvivesKills(t *testing.T) {
	for name, writes := range map[string]int{"before the secret is sealed": 0, "when the provider said yes": 1} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			h, vault := shopHouse(t, p, 0)
			w := parse(t, "a", listens("shop.order"))
			h = h.again(&dying{vault, writes})
			if err := h.Subscribe(t.Context(), w); err == nil {
				t.Fatal("it is not cut off")
			}
			h = h.again(vault)
			h.live(t, w)
			work(t, h.Run)
			h.active(t, "a", "shop_order")
			_, hook := p.only(t)
			body := `{"id":"e1","type":"order.created","order":{}}`
			a := do(t, serve(t, h), "POST", strings.TrimPrefix(hook.URL, "https://bell.example.com"), "application/json", body,
				"X-Sig", hex.EncodeToString(sum(sha256.New, hook.Secret, body)))
			if a.status != 200 || len(h.events(t, "a")) != 1 {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	t.Run("while the provider answers", func(t *testing.T) {
		p := newProvider(t)
		h, vault := shopHouse(t, p, 0)
		w := parse(t, "a", listens("shop.order"))
		ctx, kill := context.WithCancel(t.Context())
		p.onYes = func(r *http.Request) {
			kill()
			select { // the answer finds nobody
			case <-r.Context().Done():
			case <-time.After(time.Minute):
				t.Error("the caller is killed and still there")
			}
		}
		if err := h.Subscribe(ctx, w); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		p.mu.Lock()
		p.onYes = nil
		p.mu.Unlock()
		h = h.again(vault)
		h.live(t, w)
		work(t, h.Run)
		h.active(t, "a", "shop_order")
		p.only(t)
		if _, created := p.count(); created != 2 {
			t.Errorf("%d requests to create", created)
		}
	})
}

// TestRenewal: what expires is renewed well before, and the old one is ended.
func TestRenewal(t *testing.T) {
	p := newProvider(t)
	h, _ := shopHouse(t, p, 4*time.Second)
	h.live(t, parse(t, "a", listens("shop.order")))
	work(t, h.Run)
	h.active(t, "a", "shop_order")
	first, hook := p.only(t)
	eventually(t, "a second hook, and the first one gone", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.hooks) == 1 && slices.Contains(p.deleted, first)
	})
	second, renewed := p.only(t)
	if second == first || renewed.URL != hook.URL {
		t.Errorf("%s %v, then %s %v", first, hook, second, renewed)
	}
}

// A server that moves to another public address tells the providers, who would call the old one.
func TestAddressThatChanges(t *testing.T) {
	p := newProvider(t)
	h, vault := shopHouse(t, p, 0)
	w := parse(t, "a", listens("shop.order"))
	h.live(t, w)
	stop := work(t, h.Run)
	h.active(t, "a", "shop_order")
	first, _ := p.only(t)
	stop()
	moved := &house{engine: h.engine, store: h.store, Set: trigger.New(trigger.Options{
		Engine: h.engine, Store: h.store, PublicURL: "https://new.example.com", Sealed: vault, Connections: h.engine.Connections,
	})}
	moved.live(t, w)
	work(t, moved.Run)
	eventually(t, "a hook at the new address, and the first one gone", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.hooks) == 1 && slices.Contains(p.deleted, first)
	})
	if _, hook := p.only(t); !strings.HasPrefix(hook.URL, "https://new.example.com/hooks/_/live/") {
		t.Errorf("the provider calls %s", hook.URL)
	}
}

// TestCatchUp: what was missed while nobody listened starts runs, once.
func TestCatchUp(t *testing.T) {
	p := newProvider(t)
	h, vault := shopHouse(t, p, 0)
	w := parse(t, "a", listens("shop.order"))
	h.live(t, w)
	begun := time.Now()
	stop := work(t, h.Run)
	h.active(t, "a", "shop_order")
	eventually(t, "a note of the time", func() bool {
		entries, err := h.store.KV().List(t.Context(), "hook/", "", 10)
		return err == nil && len(entries) == 1 && bytes.Contains(entries[0].Value, []byte(`"listened"`))
	})
	_, hook := p.only(t)
	body := `{"id":"e1","type":"order.created","order":{"n":1}}`
	do(t, serve(t, h), "POST", strings.TrimPrefix(hook.URL, "https://bell.example.com"), "application/json", body,
		"X-Sig", hex.EncodeToString(sum(sha256.New, hook.Secret, body)))
	stop()
	stopped := time.Now()
	if len(p.since) != 0 {
		t.Fatalf("it was asked at the first start: %v", p.since)
	}
	for i, kind := range []string{"order.created", "order.created", "refund"} { // e1 came already
		p.events = append(p.events, map[string]any{"id": fmt.Sprint("e", i+1), "type": kind, "order": map[string]any{"n": i + 1}})
	}
	for range 2 {
		h = h.again(vault)
		h.live(t, w)
		asked := len(p.since) // nobody runs now
		stop = work(t, h.Run)
		eventually(t, "asked for what was missed", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.since) > asked })
		eventually(t, "two runs", func() bool { return len(h.events(t, "a")) == 2 })
		stop()
	}
	if n := len(h.events(t, "a")); n != 2 {
		t.Errorf("%d runs", n)
	}
	const overlap = 2 * time.Minute
	if since := p.since[0]; since.Before(begun.Add(-overlap)) || since.After(stopped.Add(-overlap)) {
		t.Errorf("it asked for what came since %s, want two minutes before a time that it listened, %s to %s", since, begun, stopped)
	}
}

// TestManualEndpoint: a person entered the address; the connection has the secret, and a respond step may answer.
func TestManualEndpoint(t *testing.T) {
	p := newProvider(t)
	h, _ := shopHouse(t, p, 0)
	responds := "triggers:\n  - {use: shop.call, connection: live}\nsteps:\n  - respond: {status: 200, headers: {content-type: text/xml}, body: \"<Say>${{ trigger.body.who }}</Say>\"}\n"
	w := parse(t, "a", responds)
	h.live(t, w, parse(t, "off", "enabled: false\n"+listens("shop.call")))
	work(t, h.engine.Run, h.Run)
	srv := serve(t, h)
	sign := func(secret, body string) string { return hex.EncodeToString(sum(sha256.New, secret, body)) }
	a := do(t, srv, "POST", "/hooks/_/live/calls", form, "who=Ada", "X-Sig", sign("s3cret", "who=Ada"))
	if a.status != 200 || a.body != "<Say>Ada</Say>" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if ds := h.deliveries(t, "off"); len(ds) != 1 || ds[0].Outcome != engine.DeliveryKept {
		t.Errorf("the disabled workflow: %+v", ds)
	}
	if a := do(t, srv, "POST", "/hooks/_/other/calls", form, "who=Ada", "X-Sig", sign("0ther", "who=Ada")); a.status != 200 {
		t.Errorf("a connection that no workflow uses: %d %s", a.status, a.body)
	}
	if a := do(t, srv, "POST", "/hooks/_/bare/calls", form, "who=Ada", "X-Sig", sign("", "who=Ada")); a.status != 401 {
		t.Errorf("a connection without a secret: %d %s", a.status, a.body)
	}
	if got := h.Blocked(parse(t, "x", strings.Replace(responds, "live", "bare", 1))); !strings.Contains(got, "signing_secret") {
		t.Errorf("Blocked = %q", got)
	}
	if got := h.Blocked(w); got != "" {
		t.Errorf("Blocked = %q", got)
	}
}

// A provider that is told an address of this machine can hardly call it, and nothing else would tell.
func TestAddressThatOnlyWeReach(t *testing.T) {
	for public, warns := range map[string]bool{"http://127.0.0.1:7788": true, "http://localhost:7788": true, "http://[::1]:7788": true, "https://bell.example.com": false} {
		h, vault := shopHouse(t, newProvider(t), 0)
		var log bytes.Buffer
		set := trigger.New(trigger.Options{
			Engine: h.engine, Store: h.store, PublicURL: public, Sealed: vault, Connections: h.engine.Connections, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err := set.Subscribe(t.Context(), parse(t, "a", listens("shop.order"))); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "set public_url"); got != warns {
			t.Errorf("%s: warned %t: %s", public, got, log.String())
		}
	}
}

// An accepted delivery is kept with the status that the provider saw.
func TestEndpointDeliveryStatus(t *testing.T) {
	h, _ := shopHouse(t, newProvider(t), 0)
	h.live(t, parse(t, "a", listens("shop.call")))
	work(t, h.engine.Run, h.Run)
	a := do(t, serve(t, h), "POST", "/hooks/_/live/calls", form, "who=Ada", "X-Sig", hex.EncodeToString(sum(sha256.New, "s3cret", "who=Ada")))
	ds := h.deliveries(t, "a")
	if a.status != 202 || len(ds) != 1 || ds[0].Status != a.status || ds[0].Outcome != engine.DeliveryAccepted {
		t.Errorf("answered %d, kept %+v", a.status, ds)
	}
}

// TestConnectorPollAndStream: both start runs whose trigger.body is the item, and each item once.
func TestConnectorPollAndStream(t *testing.T) {
	p := newProvider(t)
	h, vault := shopHouse(t, p, 0)
	ws := []string{
		"triggers:\n  - {use: shop.found, connection: live, with: {who: \"${{ workflow.id }}\"}}\nsteps:\n  - set: {a: 1}\n",
		"triggers:\n  - {use: shop.message, connection: live, with: {topic: t}}\nsteps:\n  - set: {a: 1}\n",
	}
	poll, stream := parse(t, "poll", ws[0]), parse(t, "stream", ws[1])
	h.live(t, poll, stream)
	stop := work(t, h.Run)
	body := func(ev *engine.Event) any { return ev.Fields["body"] }
	eventually(t, "three items of the poll", func() bool { return len(h.events(t, "poll")) >= 3 })
	eventually(t, "two items of the stream", func() bool { return len(h.events(t, "stream")) == 2 })
	stop()
	var found []any
	for _, ev := range h.events(t, "poll")[:3] {
		found = append(found, body(ev))
	}
	want := []any{map[string]any{"n": 0, "who": "poll"}, "same", map[string]any{"n": 1, "who": "poll"}}
	if d := cmp.Diff(want, found); d != "" {
		t.Error(d)
	}
	for i, ev := range h.events(t, "stream") {
		if d := cmp.Diff(map[string]any{"key": string(rune('a' + i)), "topic": "t"}, body(ev)); d != "" || ev.Kind != "stream" {
			t.Errorf("%s %s", ev.Kind, d)
		}
	}
	before := len(h.events(t, "poll"))
	h = h.again(vault) // the place in the provider's list survives a restart
	h.live(t, poll, stream)
	work(t, h.Run)
	eventually(t, "more items of the poll", func() bool { return len(h.events(t, "poll")) > before })
	last := h.events(t, "poll")[before]
	if m, _ := body(last).(map[string]any); fmt.Sprint(m["n"]) != fmt.Sprint(before-1) {
		t.Errorf("the first item after the restart is %v, want n %d", body(last), before-1)
	}
	if n := len(h.events(t, "stream")); n != 2 {
		t.Errorf("%d runs of the stream: the same messages again", n)
	}
}

func shopifySigned(body string) []string {
	return []string{"X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(sum(sha256.New, "s3cret", body)), "X-Shopify-Topic", "customers/redact"}
}

// TestMandatory: what the law asks for is taken as soon as there is a connection, without any workflow. Runs that hold
// the person are erased, others stay, and a run that has not ended yet follows when it has.
func TestMandatory(t *testing.T) {
	p := newProvider(t)
	h, vault := shopHouse(t, p, 0)
	h.live(t, parse(t, "in", openHook), parse(t, "slow", "triggers:\n  - webhook: {path: slow}\nsteps:\n  - wait: {for: 1h}\n"))
	srv := serve(t, h)
	stop := work(t, h.engine.Run)
	const ann = `{"customer":"Ann@Example.com"}`
	var ids []engine.RunID
	for _, body := range []string{ann, `{"customer":"joann@example.com"}`, `{"customer":"bob@example.com"}`} {
		ids = append(ids, runOf(t, do(t, srv, "POST", "/hooks/in", "application/json", body)))
	}
	slow := runOf(t, do(t, srv, "POST", "/hooks/slow", "application/json", ann))
	eventually(t, "three runs have ended", func() bool {
		page, err := h.store.List(t.Context(), engine.Query{Status: []engine.Status{engine.StatusSucceeded}})
		return err == nil && len(page.Items) == 3
	})
	body := `{"shop_domain":"a.myshopify.com","customer":{"email":"ann@example.com"}}`
	if a := do(t, srv, "POST", "/hooks/_/live/privacy", "application/json", body, "X-Shopify-Topic", "customers/redact"); a.status != 401 {
		t.Fatalf("a forged one: %d %s", a.status, a.body)
	}
	for range 2 { // the second makes no second task
		if a := do(t, srv, "POST", "/hooks/_/live/privacy", "application/json", body, shopifySigned(body)...); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	tasks, err := h.Tasks(t.Context())
	if err != nil || len(tasks) != 1 {
		t.Fatalf("%+v %v", tasks, err)
	}
	task := tasks[0]
	if task.Kind != "erase" || task.Subject != "ann@example.com" || task.Due.Sub(task.At) != 30*24*time.Hour || !task.Done.IsZero() {
		t.Errorf("%+v", task)
	}
	var export bytes.Buffer
	err = h.ExportTask(t.Context(), task.ID, func(line []byte) error { export.Write(line); return nil })
	if err != nil || strings.Count(export.String(), "Ann@Example.com") < 2 || strings.Contains(export.String(), "joann") {
		t.Errorf("export: %v\n%s", err, export.String())
	}
	h = h.again(vault)
	stopTriggers := work(t, h.Run)
	eventually(t, "the run that ended is erased", func() bool {
		_, err := h.store.Read(t.Context(), ids[0], 0)
		return errors.Is(err, engine.ErrNotFound)
	})
	eventually(t, "the task says what is left", func() bool {
		task, err := h.Task(t.Context(), task.ID)
		return err == nil && task.Runs == 1 && strings.Contains(task.Note, "not ended yet")
	})
	stopTriggers()
	if err := h.engine.Cancel(t.Context(), slow, "ada"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the slow run has ended", func() bool {
		page, err := h.store.List(t.Context(), engine.Query{Status: []engine.Status{engine.StatusCanceled}})
		return err == nil && len(page.Items) == 1
	})
	h = h.again(vault)
	work(t, h.Run)
	eventually(t, "the task is done", func() bool {
		task, err := h.Task(t.Context(), task.ID)
		return err == nil && !task.Done.IsZero() && task.Subject == "" && task.Runs == 2 && task.By == "bellhop"
	})
	for i, want := range []error{engine.ErrNotFound, nil, nil} {
		if _, err := h.store.Read(t.Context(), ids[i], 0); !errors.Is(err, want) {
			t.Errorf("run %d: %v", i, err)
		}
	}
	stop()
}

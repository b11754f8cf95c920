package manifest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
)

// deliver brings a delivery to the endpoint of a trigger.
func (m *Manifest) deliver(ctx context.Context, t *Test, conn connectors.Connection) []string {
	trigger := m.Connector.Trigger(t.Trigger)
	e := m.Connector.Endpoint(trigger.Endpoint)
	if e == nil {
		return []string{"the trigger has no endpoint"}
	}
	p := t.delivery
	now := time.Now()
	address := "https://bell.example.com/hooks/_/test/" + e.ID
	if len(p.query) > 0 {
		q := url.Values{}
		for name, v := range p.query {
			q.Set(name, textOf(v))
		}
		address += "?" + q.Encode()
	}
	req := signature.Request{Method: p.method, URL: address, Header: http.Header{}, Body: p.body, Now: now}
	if p.kind != "" {
		req.Header.Set("Content-Type", p.kind)
	}
	for name, v := range p.headers {
		req.Header.Set(name, textOf(v))
	}
	secrets := conn.Secrets
	var keys *signature.Keys
	var err error
	if e.Verify.Scheme == "paypal" {
		keys, err = signPayPal(&req, secrets, p.sign)
	} else {
		err = sign(&req, e.Verify, secrets, p.sign)
	}
	if err != nil {
		return []string{err.Error()}
	}
	verifier, err := signature.New(e.Verify, keys)
	if err != nil {
		return []string{err.Error()}
	}
	conn.Secrets = secrets
	var status int
	var body string
	var emitted []connectors.Item
	key := ""
	if err := verifier.Verify(ctx, req, signature.SecretsOf(conn)); err != nil {
		status = http.StatusUnauthorized
		if p.sign {
			return []string{"the signed delivery is refused: " + err.Error()}
		}
	} else {
		d := m.inbound(&req, t)
		status = e.Answer.Status
		if status == 0 {
			status = http.StatusAccepted
		}
		body = string(e.Answer.Body)
		var reply *connectors.Reply
		if e.Handshake != nil {
			if reply, err = e.Handshake(ctx, d); err != nil {
				return []string{"handshake: " + err.Error()}
			}
		}
		if reply != nil {
			status, body = reply.Status, string(reply.Body)
		} else if emitted, key, err = m.emit(ctx, trigger, e, verifier, req, d); err != nil {
			return []string{err.Error()}
		}
	}
	var wrong []string
	if want, ok := t.answers["status"]; ok && !value.Equal(want, status) {
		wrong = append(wrong, fmt.Sprintf("it is answered %d, want %s", status, textOf(want)))
	}
	if want, ok := t.answers["body"]; ok && textOf(want) != body {
		wrong = append(wrong, fmt.Sprintf("it is answered with %q, want %q", body, textOf(want)))
	}
	if !p.sign && status != http.StatusUnauthorized && t.answers["status"] == nil {
		wrong = append(wrong, "the forged delivery is taken for genuine")
	}
	if t.hasEmits {
		wrong = append(wrong, compareEmits(t.emits, emitted, key)...)
	}
	return wrong
}

// inbound is a delivery as expressions see it.
func (m *Manifest) inbound(req *signature.Request, t *Test) connectors.Delivery {
	headers := map[string]any{}
	for name, values := range req.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	u, _ := url.Parse(req.URL)
	return connectors.Delivery{
		Trigger: map[string]any{
			"id": t.Trigger, "kind": "webhook", "at": req.Now.UTC().Format(time.RFC3339), "body": wire.Parse(req.Header.Get("Content-Type"), req.Body),
			"headers": headers, "query": valuesOf(u.Query()), "params": map[string]any{}, "method": req.Method, "path": strings.TrimPrefix(u.Path, "/hooks/"), "raw": string(req.Body),
		},
		Input: t.with, Now: req.Now,
	}
}

func (m *Manifest) emit(ctx context.Context, trigger *connectors.Trigger, e *connectors.Endpoint, v *signature.Verifier, req signature.Request, d connectors.Delivery) ([]connectors.Item, string, error) {
	if e.Event != nil && len(trigger.Events) > 0 {
		name, err := e.Event(ctx, d)
		if err != nil {
			return nil, "", fmt.Errorf("event: %w", err)
		}
		if !slices.Contains(trigger.Events, name) {
			return nil, "", nil
		}
	}
	items := []connectors.Item{{Body: d.Trigger["body"]}}
	if trigger.Emit != nil {
		var err error
		if items, err = trigger.Emit(ctx, d); err != nil {
			return nil, "", fmt.Errorf("trigger %s: %w", trigger.Name, err)
		}
	}
	key := v.DeliveryID(req, d.Trigger["body"])
	if e.Dedupe != nil {
		var err error
		if key, err = e.Dedupe(ctx, d); err != nil {
			return nil, "", fmt.Errorf("dedupe: %w", err)
		}
	}
	return items, key, nil
}

// compareEmits compares what starts runs. The key of an item is that of the delivery, with its own behind a slash.
func compareEmits(want []any, got []connectors.Item, key string) []string {
	if len(want) != len(got) {
		return []string{fmt.Sprintf("it starts %d runs, want %d", len(got), len(want))}
	}
	var wrong []string
	for i := range want {
		w := asObject(want[i])
		have := key
		if got[i].Key != "" {
			if have != "" {
				have += "/"
			}
			have += got[i].Key
		}
		if k, ok := w["key"]; ok && textOf(k) != have {
			wrong = append(wrong, fmt.Sprintf("run %d has the key %q, want %q", i+1, have, textOf(k)))
		}
		if b, ok := w["body"]; ok {
			if d := difference(b, got[i].Body); d != "" {
				wrong = append(wrong, fmt.Sprintf("run %d: trigger.body%s", i+1, d))
			}
		}
		if v, ok := w["version"]; ok && textOf(v) != got[i].Version {
			wrong = append(wrong, fmt.Sprintf("run %d has the version %q, want %q", i+1, got[i].Version, textOf(v)))
		}
	}
	return wrong
}

// poll asks once, as a poll that has seen nothing.
func (m *Manifest) poll(ctx context.Context, t *Test, call *connectors.Call) []string {
	trigger := m.Connector.Trigger(t.Trigger)
	if trigger.Poll == nil {
		return []string{"add delivery: the trigger takes deliveries"}
	}
	items, _, err := trigger.Poll.Fetch(ctx, call, t.cursor, time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	if t.fails != nil {
		return t.judge(nil, err)
	}
	if err != nil {
		return []string{"it failed: " + err.Error()}
	}
	if t.hasEmits {
		return compareEmits(t.emits, items, "")
	}
	return nil
}

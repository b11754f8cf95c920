package http

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

// A REST hook (resthooks.org) is a webhook that its receiver orders by a call: one POST that names the address begins
// it, one DELETE ends it. Most senders sign nothing, so the address that they get has a secret of its own.

// hookURL stands for our address in what is sent.
const hookURL = "{url}"

func restHook() (connectors.Endpoint, connectors.Trigger) {
	texts := &connectors.Schema{}
	endpoint := connectors.Endpoint{
		ID: "rest_hook", Title: "REST hook", ContentType: "json",
		Verify:    connectors.Verify{Scheme: "query"},
		Handshake: echoHookSecret,
		Answer:    connectors.Reply{Status: http.StatusOK},
		Subscribe: &connectors.Subscribe{Create: subscribe, Delete: unsubscribe},
	}
	trigger := connectors.Trigger{
		Name: "rest_hook", Title: "REST hook", Endpoint: endpoint.ID, Emit: eachOfList,
		Summary: "Orders events from an API that offers REST hooks: one call begins the subscription when the workflow goes on, another ends it.",
		Sample:  map[string]any{"id": 42, "event": "order.created"},
		Input: connectors.Schema{
			Type: "object", Closed: true, Required: []string{"subscribe_url"},
			Order: []string{"subscribe_url", "event", "json", "headers", "id", "unsubscribe_url", "unsubscribe_method", "unsubscribe_json"},
			Properties: map[string]connectors.Schema{
				"subscribe_url": {
					Type: "string", Format: "uri", Title: "Subscribe at", Examples: []any{"https://api.example.com/v1/hooks"},
					Description: "Where a POST begins the subscription: an address, or a path when the connection has a base address.",
				},
				"event": {Type: "string", Title: "Event", Examples: []any{"order.created"}, Description: "What to be told about, by the name that the API has for it."},
				"json": {
					Type: "object", Title: "What is sent", Examples: []any{map[string]any{"hookUrl": hookURL, "event": "order.created"}},
					Description: "The JSON of the POST; a text " + hookURL + " in it becomes the address to call. Default: target_url and event, as REST hooks have it.",
				},
				"headers": {Type: "object", Values: texts, Title: "Headers", Show: "more"},
				"id": {
					Type: "string", Title: "ID of the subscription", Show: "more", Default: "id", Examples: []any{"data.id"},
					Description: "Where the answer to the POST has it.",
				},
				"unsubscribe_url": {
					Type: "string", Title: "Unsubscribe at", Show: "more", Examples: []any{"/v1/hooks/{id}"},
					Description: "Default: what the header Location of the answer names, else the address of subscribe_url with the ID behind it.",
				},
				"unsubscribe_method": {Type: "string", Title: "Method to unsubscribe", Show: "more", Default: http.MethodDelete, Enum: []any{"DELETE", "POST", "PUT", "PATCH"}},
				"unsubscribe_json":   {Type: "object", Title: "What is sent to unsubscribe", Show: "more", Description: "{id} and " + hookURL + " in its texts are filled in. Default: nothing."},
			},
		},
	}
	return endpoint, trigger
}

// withSecret is the address that the API is to call.
func withSecret(h connectors.Hook) string {
	return h.URL + "?" + connectors.TokenParam + "=" + url.QueryEscape(h.Secret)
}

func subscribe(ctx context.Context, c *connectors.Call, h connectors.Hook) (kept map[string]any, secret string, err error) {
	address := withSecret(h)
	sent, given := c.Input["json"].(map[string]any)
	if !given {
		sent = map[string]any{"target_url": hookURL}
		if event := text(c.Input, "event"); event != "" {
			sent["event"] = event
		}
	}
	named := false
	filled := fillIn(sent, func(s string) string {
		named = named || strings.Contains(s, hookURL)
		return strings.ReplaceAll(s, hookURL, address)
	})
	if !named {
		return nil, "", connectors.Permanent(fmt.Errorf("json names the address to call nowhere: write %s where the API wants it", hookURL))
	}
	out, err := call(ctx, c, http.MethodPost, text(c.Input, "subscribe_url"), filled)
	if err != nil {
		return nil, "", err
	}
	id := ""
	if v, ok := at(out["body"], orElse(text(c.Input, "id"), "id")); ok {
		id = value.Text(v)
	}
	where, err := endsAt(c, out, id)
	if err != nil {
		return nil, "", connectors.Permanent(err)
	}
	return map[string]any{"id": id, "unsubscribe": where}, h.Secret, nil
}

// endsAt is where a subscription is ended.
func endsAt(c *connectors.Call, out map[string]any, id string) (string, error) {
	missing := fmt.Errorf("the API took the subscription, but its answer has no %s, by which it could be ended: say where it is with id, or how to end it with unsubscribe_url",
		orElse(text(c.Input, "id"), "id"))
	if own := text(c.Input, "unsubscribe_url"); own != "" {
		if strings.Contains(own, "{id}") && id == "" {
			return "", missing
		}
		return strings.ReplaceAll(own, "{id}", url.PathEscape(id)), nil
	}
	begun := text(c.Input, "subscribe_url")
	headers, _ := out["headers"].(map[string]any)
	if location, _ := headers["location"].(string); location != "" {
		base, err := url.Parse(strings.TrimRight(field(c.Connection, "base_url"), "/") + begun)
		if whole, err2 := url.Parse(begun); err2 == nil && whole.Host != "" {
			base, err = whole, nil
		}
		if err == nil {
			if u, err := base.Parse(location); err == nil && u.Host == base.Host && u.Scheme == base.Scheme {
				return u.String(), nil
			}
		}
	}
	if id == "" {
		return "", missing
	}
	begun, query, has := strings.Cut(begun, "?")
	begun = strings.TrimRight(begun, "/") + "/" + url.PathEscape(id)
	if has {
		begun += "?" + query
	}
	return begun, nil
}

func unsubscribe(ctx context.Context, c *connectors.Call, h connectors.Hook) error {
	where, _ := h.Kept["unsubscribe"].(string)
	id, _ := h.Kept["id"].(string)
	if where == "" {
		return connectors.Permanent(errors.New("nothing is known of this subscription by which it could be ended"))
	}
	var body any
	if sent, given := c.Input["unsubscribe_json"].(map[string]any); given {
		body = fillIn(sent, func(s string) string {
			return strings.NewReplacer("{id}", id, hookURL, h.URL).Replace(s)
		})
	}
	_, err := call(ctx, c, orElse(text(c.Input, "unsubscribe_method"), http.MethodDelete), where, body)
	return err
}

// call makes one of the two calls by the rules of http.request.
func call(ctx context.Context, c *connectors.Call, method, address string, body any) (map[string]any, error) {
	inner := *c
	inner.Input = map[string]any{"method": method, "url": address}
	if headers, ok := c.Input["headers"].(map[string]any); ok {
		inner.Input["headers"] = maps.Clone(headers)
	}
	if body != nil {
		inner.Input["json"] = body
	}
	out, err := do(ctx, &inner)
	object, _ := out.(map[string]any)
	return object, err
}

// echoHookSecret confirms a subscription where the API asks for it: it sends a header and wants it back.
func echoHookSecret(_ context.Context, d connectors.Delivery) (*connectors.Reply, error) {
	headers, _ := d.Trigger["headers"].(map[string]any)
	secret, _ := headers["x-hook-secret"].(string)
	switch body := d.Trigger["body"].(type) {
	case map[string]any:
		if len(body) > 0 {
			return nil, nil // an event
		}
	case nil:
	default:
		return nil, nil
	}
	if secret == "" {
		return nil, nil
	}
	return &connectors.Reply{Status: http.StatusOK, Header: map[string]string{"X-Hook-Secret": secret}}, nil
}

// eachOfList starts a run for each entry where a delivery is a list.
func eachOfList(_ context.Context, d connectors.Delivery) ([]connectors.Item, error) {
	list, isList := d.Trigger["body"].([]any)
	if !isList {
		return []connectors.Item{{Body: d.Trigger["body"]}}, nil
	}
	items := make([]connectors.Item, len(list))
	for i, entry := range list {
		items[i] = connectors.Item{Key: strconv.Itoa(i), Body: entry}
	}
	return items, nil
}

// fillIn replaces in every text of plain data.
func fillIn(v any, replace func(string) string) any {
	switch v := v.(type) {
	case string:
		return replace(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = fillIn(item, replace)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = fillIn(item, replace)
		}
		return out
	}
	return v
}

// at follows a path such as data.id.
func at(v any, path string) (any, bool) {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		if v = object[name]; v == nil {
			return nil, false
		}
	}
	return v, true
}

func text(input map[string]any, name string) string {
	s, _ := input[name].(string)
	return strings.TrimSpace(s)
}

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

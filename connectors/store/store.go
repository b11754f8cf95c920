// Package store is the connector for small values that outlive a run: counters, cursors, what was seen last. It
// reaches nothing outside of Bellhop.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

const (
	maxKey       = 512       // bytes
	maxValue     = 512 << 10 // bytes as JSON
	defaultLimit = 100
	maxLimit     = 1000
)

// New returns the connector.
func New() *connectors.Connector {
	key := connectors.Schema{Type: "string", Title: "Key", Examples: []any{"last_price"}, Description: "At most 512 bytes."}
	scope := connectors.Schema{
		Type: "string", Title: "Scope", Enum: []any{workflowScope, workspaceScope}, Default: workflowScope, Show: "more",
		Description: "workflow: this workflow alone sees the value; workspace: all do.",
	}
	anything := connectors.Schema{}
	return &connectors.Connector{
		ID:      "store",
		Title:   "Store",
		Version: "1.0.0",
		Actions: []connectors.Action{
			{
				Name: "get", Title: "Get a value", Summary: "Returns the value of a key, or the default.",
				Input: input([]string{"key"}, []string{"key", "default", "scope"}, map[string]connectors.Schema{
					"key": key, "scope": scope,
					"default": {Title: "Default", Description: "What to return when there is no value."},
				}),
				Output: anything, Sample: 42, Safe: true, Local: true, Do: with(get),
			},
			{
				Name: "set", Title: "Set a value", Summary: "Stores a value under a key and returns it.",
				Input: input([]string{"key", "value"}, []string{"key", "value", "ttl", "scope"}, map[string]connectors.Schema{
					"key": key, "scope": scope,
					"value": {Title: "Value", Description: "Any value; at most 512 KiB as JSON."},
					"ttl":   {Title: "Keep for", Format: "duration", Examples: []any{"24h"}, Description: "How long the value is kept. Default: for good."},
				}),
				Output: anything, Sample: 42, Idempotent: true, Local: true, Do: with(set),
			},
			{
				Name: "increment", Title: "Add to a number", Summary: "Adds to a number in one step and returns the sum. A key without a value counts as 0.",
				Input: input([]string{"key"}, []string{"key", "by", "scope"}, map[string]connectors.Schema{
					"key": key, "scope": scope, "by": {Type: "number", Title: "By", Default: 1},
				}),
				Output: connectors.Schema{Type: "number"}, Sample: 43, Idempotent: true, Local: true, Do: with(increment),
			},
			{
				Name: "delete", Title: "Delete a value", Summary: "Removes a key and returns whether it was there.",
				Input:  input([]string{"key"}, []string{"key", "scope"}, map[string]connectors.Schema{"key": key, "scope": scope}),
				Output: connectors.Schema{Type: "boolean"}, Sample: true, Idempotent: true, Local: true, Do: with(remove),
			},
			{
				Name: "list", Title: "List values", Summary: "Returns the keys that begin with a prefix, with their values, in the order of keys.",
				Input: input(nil, []string{"prefix", "limit", "scope"}, map[string]connectors.Schema{
					"scope":  scope,
					"prefix": {Type: "string", Title: "Prefix", Default: ""},
					"limit":  {Type: "integer", Title: "Limit", Default: defaultLimit, Minimum: ptr(1), Maximum: ptr(maxLimit)},
				}),
				Output: connectors.Schema{Type: "array", Items: &connectors.Schema{
					Type: "object", Closed: true, Required: []string{"key", "value"}, Order: []string{"key", "value"},
					Properties: map[string]connectors.Schema{"key": {Type: "string"}, "value": {}},
				}},
				Sample: []any{map[string]any{"key": "last_price", "value": 42}},
				Safe:   true, Local: true, Do: with(list),
			},
		},
	}
}

func input(required, order []string, properties map[string]connectors.Schema) connectors.Schema {
	return connectors.Schema{Type: "object", Closed: true, Required: required, Order: order, Properties: properties}
}

func ptr(f float64) *float64 { return &f }

const (
	workflowScope  = "workflow"
	workspaceScope = "workspace"
)

// with checks what all actions share, before any of them reaches the store.
func with(do func(ctx context.Context, c *connectors.Call, scope string) (any, error)) func(context.Context, *connectors.Call) (any, error) {
	return func(ctx context.Context, c *connectors.Call) (any, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c.KV == nil {
			return nil, connectors.Permanent(errors.New("there is no store here"))
		}
		scope := "workflow/" + c.Workflow // the slash keeps a workflow named workspace apart
		switch s := c.Input["scope"]; s {
		case nil, workflowScope:
		case workspaceScope:
			scope = workspaceScope
		default:
			return nil, mistake("scope is %q, not workflow or workspace", value.Text(s))
		}
		return do(ctx, c, scope)
	}
}

func get(ctx context.Context, c *connectors.Call, scope string) (any, error) {
	key, err := keyOf(c)
	if err != nil {
		return nil, err
	}
	v, ok, err := c.KV.Get(ctx, scope, key)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if !ok {
		return c.Input["default"], nil
	}
	return v, nil
}

func set(ctx context.Context, c *connectors.Call, scope string) (any, error) {
	key, err := keyOf(c)
	if err != nil {
		return nil, err
	}
	v, given := c.Input["value"]
	if !given {
		return nil, mistake("value is missing")
	}
	encoded, err := value.AppendJSON(nil, v)
	if err != nil {
		return nil, mistake("value: %w", err)
	}
	if len(encoded) > maxValue {
		return nil, mistake("value is %d bytes long as JSON; at most %d are stored", len(encoded), maxValue)
	}
	var ttl time.Duration
	if text := c.Input["ttl"]; text != nil {
		if ttl, err = connectors.Duration(text); err != nil {
			return nil, mistake("ttl: %w", err)
		}
		if ttl == 0 {
			return nil, mistake("ttl is 0; leave it out to keep the value for good")
		}
	}
	if err := c.KV.Set(ctx, scope, key, v, ttl, c.Key); err != nil {
		return nil, fmt.Errorf("set %s: %w", key, err)
	}
	return v, nil
}

func increment(ctx context.Context, c *connectors.Call, scope string) (any, error) {
	key, err := keyOf(c)
	if err != nil {
		return nil, err
	}
	by := any(1)
	switch v := c.Input["by"].(type) {
	case nil:
		if _, given := c.Input["by"]; given {
			return nil, mistake("by is nothing, not a number")
		}
	case int:
		by = v
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, mistake("by is not a finite number")
		}
		by = v
	case json.Number:
		return nil, mistake("by is too large a number")
	default:
		return nil, mistake("by is not a number")
	}
	sum, err := c.KV.Increment(ctx, scope, key, by, c.Key)
	if err != nil {
		return nil, err // it names the key
	}
	return sum, nil
}

func remove(ctx context.Context, c *connectors.Call, scope string) (any, error) {
	key, err := keyOf(c)
	if err != nil {
		return nil, err
	}
	was, err := c.KV.Delete(ctx, scope, key, c.Key)
	if err != nil {
		return nil, fmt.Errorf("delete %s: %w", key, err)
	}
	return was, nil
}

func list(ctx context.Context, c *connectors.Call, scope string) (any, error) {
	prefix := ""
	if v := c.Input["prefix"]; v != nil {
		text, ok := v.(string)
		if !ok || len(text) > maxKey {
			return nil, mistake("prefix is not a text of at most %d bytes", maxKey)
		}
		prefix = text
	}
	limit := defaultLimit
	if v := c.Input["limit"]; v != nil {
		n, ok := v.(int)
		if f, isFloat := v.(float64); isFloat && f == math.Trunc(f) && math.Abs(f) <= maxLimit {
			n, ok = int(f), true
		}
		if !ok || n < 1 || n > maxLimit {
			return nil, mistake("limit is not a whole number from 1 to %d", maxLimit)
		}
		limit = n
	}
	pairs, err := c.KV.List(ctx, scope, prefix, limit)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	out := make([]any, len(pairs))
	for i, p := range pairs {
		out[i] = map[string]any{"key": p.Key, "value": p.Value}
	}
	return out, nil
}

// keyOf reads the key. A number is taken as its text: ids often are numbers.
func keyOf(c *connectors.Call) (string, error) {
	var key string
	switch v := c.Input["key"].(type) {
	case string:
		key = v
	case int, float64, json.Number:
		key = value.Text(v)
	case nil:
		return "", mistake("key is missing")
	default:
		return "", mistake("key is not text")
	}
	if key == "" {
		return "", mistake("key is empty")
	}
	if len(key) > maxKey {
		return "", mistake("key is %d bytes long; at most %d are allowed", len(key), maxKey)
	}
	return key, nil
}

func mistake(format string, args ...any) error {
	return connectors.Permanent(fmt.Errorf(format, args...))
}

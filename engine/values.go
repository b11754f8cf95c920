package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Bounds of one stored value and of its key.
const (
	maxValueKey   = 512
	maxValueBytes = 512 << 10
	onceTTL       = 7 * 24 * time.Hour // how long a repeated increment is recognized
	casTries      = 200
)

// NewValues makes the room of the `store` connector on top of a Store. Its keys begin with "store/".
func NewValues(s Store) connectors.KV { return &values{s} }

type values struct{ store Store }

func (v *values) key(scope, key string) (string, error) {
	if key == "" || len(key) > maxValueKey {
		return "", connectors.Permanent(fmt.Errorf("a key has 1 to %d bytes, this one has %d", maxValueKey, len(key)))
	}
	return "store/" + scope + "\x00" + key, nil
}

func encodeValue(val any) ([]byte, error) {
	data, err := value.AppendJSON(nil, val)
	if err != nil {
		return nil, connectors.Permanent(fmt.Errorf("the value cannot be stored: %w", err))
	}
	if len(data) > maxValueBytes {
		return nil, connectors.Permanent(fmt.Errorf("the value has %d bytes, at most %d can be stored", len(data), maxValueBytes))
	}
	return data, nil
}

func (v *values) Get(ctx context.Context, scope, key string) (any, bool, error) {
	k, err := v.key(scope, key)
	if err != nil {
		return nil, false, err
	}
	data, _, err := v.store.KV().Get(ctx, k)
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	val, err := value.DecodeJSON(data)
	return val, err == nil, err
}

func (v *values) Set(ctx context.Context, scope, key string, val any, ttl time.Duration, _ string) error {
	k, err := v.key(scope, key)
	if err != nil {
		return err
	}
	data, err := encodeValue(val)
	if err != nil {
		return err
	}
	_, err = v.store.Accept(ctx, Batch{Puts: []Put{{Key: k, Value: data, AnyRev: true, TTL: ttl}}})
	return err
}

func (v *values) Increment(ctx context.Context, scope, key string, by any, once string) (any, error) {
	k, err := v.key(scope, key)
	if err != nil {
		return nil, err
	}
	kv := v.store.KV()
	onceKey := "once/" + once + "/" + k
	for range casTries {
		if data, _, err := kv.Get(ctx, onceKey); err == nil {
			return value.DecodeJSON(data)
		} else if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		var old any = 0
		data, rev, err := kv.Get(ctx, k)
		switch {
		case err == nil:
			if old, err = value.DecodeJSON(data); err != nil {
				return nil, err
			}
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
		sum, err := add(old, by)
		if err != nil {
			return nil, connectors.Permanent(fmt.Errorf("increment %s: %w", key, err))
		}
		data, err = encodeValue(sum)
		if err != nil {
			return nil, err
		}
		_, err = v.store.Accept(ctx, Batch{Puts: []Put{
			{Key: k, Value: data, Rev: rev},
			{Key: onceKey, Value: data, TTL: onceTTL},
		}})
		if err == nil {
			return sum, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("increment %s: too many others change it at the same time", key)
}

func (v *values) Delete(ctx context.Context, scope, key string, _ string) (bool, error) {
	k, err := v.key(scope, key)
	if err != nil {
		return false, err
	}
	kv := v.store.KV()
	for range casTries {
		_, rev, err := kv.Get(ctx, k)
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		err = kv.Delete(ctx, k, rev)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
			return false, err
		}
	}
	return false, fmt.Errorf("delete %s: too many others change it at the same time", key)
}

func (v *values) List(ctx context.Context, scope, prefix string, limit int) ([]connectors.Pair, error) {
	room := "store/" + scope + "\x00"
	entries, err := v.store.KV().List(ctx, room+prefix, "", limit)
	if err != nil {
		return nil, err
	}
	pairs := make([]connectors.Pair, 0, len(entries))
	for _, e := range entries {
		val, err := value.DecodeJSON(e.Value)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, connectors.Pair{Key: e.Key[len(room):], Value: val})
	}
	return pairs, nil
}

func add(a, b any) (any, error) {
	x, xInt := a.(int)
	y, yInt := b.(int)
	if xInt && yInt {
		return x + y, nil
	}
	f, ok := number(a)
	if !ok {
		return nil, fmt.Errorf("the stored value %s is not a number", value.Text(a))
	}
	g, ok := number(b)
	if !ok {
		return nil, fmt.Errorf("%q is not a number", value.Text(b))
	}
	return f + g, nil
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

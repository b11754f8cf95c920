package rehearsal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

// memory is the room of the `store` connector for one rehearsal. It begins empty and is used by one run at a time.
type memory struct {
	now    time.Time
	values map[string]remembered
	once   map[string]any
}

type remembered struct {
	val     any
	expires time.Time
}

func newMemory() *memory {
	return &memory{values: map[string]remembered{}, once: map[string]any{}}
}

func (m *memory) Get(_ context.Context, scope, key string) (any, bool, error) {
	v, ok := m.values[scope+"\x00"+key]
	if !ok || !v.expires.IsZero() && !m.now.Before(v.expires) {
		return nil, false, nil
	}
	return value.Clone(v.val), true, nil
}

func (m *memory) Set(_ context.Context, scope, key string, val any, ttl time.Duration, _ string) error {
	r := remembered{val: value.Clone(val)}
	if ttl > 0 {
		r.expires = m.now.Add(ttl)
	}
	m.values[scope+"\x00"+key] = r
	return nil
}

func (m *memory) Increment(ctx context.Context, scope, key string, by any, once string) (any, error) {
	if sum, ok := m.once[once+"\x00"+scope+"\x00"+key]; ok {
		return sum, nil
	}
	old, ok, err := m.Get(ctx, scope, key)
	if err != nil {
		return nil, err
	}
	if !ok {
		old = 0
	}
	var sum any
	switch a := old.(type) {
	case int:
		switch b := by.(type) {
		case int:
			sum = a + b
		case float64:
			sum = float64(a) + b
		}
	case float64:
		switch b := by.(type) {
		case int:
			sum = a + float64(b)
		case float64:
			sum = a + b
		}
	}
	if sum == nil {
		return nil, connectors.Permanent(fmt.Errorf("increment %s: the stored value %s is not a number", key, short(old)))
	}
	m.once[once+"\x00"+scope+"\x00"+key] = sum
	return sum, m.Set(ctx, scope, key, sum, 0, once)
}

func (m *memory) Delete(ctx context.Context, scope, key, _ string) (bool, error) {
	_, ok, err := m.Get(ctx, scope, key)
	delete(m.values, scope+"\x00"+key)
	return ok, err
}

func (m *memory) List(ctx context.Context, scope, prefix string, limit int) ([]connectors.Pair, error) {
	var pairs []connectors.Pair
	for _, k := range slices.Sorted(maps.Keys(m.values)) {
		key, mine := strings.CutPrefix(k, scope+"\x00")
		if !mine || !strings.HasPrefix(key, prefix) || len(pairs) == limit {
			continue
		}
		if v, ok, err := m.Get(ctx, scope, key); err == nil && ok {
			pairs = append(pairs, connectors.Pair{Key: key, Value: v})
		}
	}
	return pairs, nil
}

package store_test

import (
	"context"
	"errors"
	"math"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/connectorstest"
	"github.com/bellhop-dev/bellhop/connectors/store"
)

func TestConnector(t *testing.T) { connectorstest.Check(t, store.New()) }

// memory is a KV that keeps the promises of the interface, without a disk.
type memory struct {
	values map[string]any
	ttl    map[string]time.Duration
	done   map[string]any
	err    error
}

func newMemory() *memory {
	return &memory{values: map[string]any{}, ttl: map[string]time.Duration{}, done: map[string]any{}}
}

func at(scope, key string) string { return scope + "\x00" + key }

func (m *memory) Get(_ context.Context, scope, key string) (any, bool, error) {
	v, ok := m.values[at(scope, key)]
	return v, ok, m.err
}

func (m *memory) Set(_ context.Context, scope, key string, v any, ttl time.Duration, once string) error {
	if _, repeated := m.done[once]; !repeated {
		m.done[once] = v
		m.values[at(scope, key)], m.ttl[at(scope, key)] = v, ttl
	}
	return m.err
}

func (m *memory) Increment(_ context.Context, scope, key string, by any, once string) (any, error) {
	if sum, repeated := m.done[once]; repeated {
		return sum, m.err
	}
	sum, _ := m.values[at(scope, key)].(int)
	sum += by.(int)
	m.values[at(scope, key)], m.done[once] = sum, sum
	return sum, m.err
}

func (m *memory) Delete(_ context.Context, scope, key, _ string) (bool, error) {
	_, was := m.values[at(scope, key)]
	delete(m.values, at(scope, key))
	return was, m.err
}

func (m *memory) List(_ context.Context, scope, prefix string, limit int) ([]connectors.Pair, error) {
	var out []connectors.Pair
	for k, v := range m.values {
		if s, key, _ := strings.Cut(k, "\x00"); s == scope && strings.HasPrefix(key, prefix) {
			out = append(out, connectors.Pair{Key: key, Value: v})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out[:min(limit, len(out))], m.err
}

func do(t *testing.T, kv connectors.KV, action, workflow, once string, input map[string]any) (any, error) {
	t.Helper()
	return store.New().Action(action).Do(t.Context(), &connectors.Call{Key: once, Workflow: workflow, Input: input, KV: kv})
}

func TestActions(t *testing.T) {
	kv := newMemory()
	object := map[string]any{"n": 1}
	for _, tt := range []struct {
		name, action, workflow, once string
		input                        map[string]any
		want                         any
	}{
		{"nothing yet", "get", "a", "", map[string]any{"key": "k"}, nil},
		{"default", "get", "a", "", map[string]any{"key": "k", "default": 7}, 7},
		{"set", "set", "a", "1", map[string]any{"key": "k", "value": object, "ttl": "1d"}, object},
		{"get", "get", "a", "", map[string]any{"key": "k", "default": 7}, object},
		{"another workflow", "get", "b", "", map[string]any{"key": "k"}, nil},
		{"the workspace", "get", "a", "", map[string]any{"key": "k", "scope": "workspace"}, nil},
		{"a workflow named workspace", "set", "workspace", "2", map[string]any{"key": "k", "value": 1}, 1},
		{"is not the workspace", "get", "a", "", map[string]any{"key": "k", "scope": "workspace"}, nil},
		{"set nil", "set", "a", "3", map[string]any{"key": "nil", "value": nil}, nil},
		{"nil is a value", "get", "a", "", map[string]any{"key": "nil", "default": 7}, nil},
		{"a number as key", "set", "a", "4", map[string]any{"key": 42, "value": "x"}, "x"},
		{"is its text", "get", "a", "", map[string]any{"key": "42"}, "x"},
		{"increment", "increment", "a", "5", map[string]any{"key": "count"}, 1},
		{"by", "increment", "a", "6", map[string]any{"key": "count", "by": 5}, 6},
		{"a repeat adds nothing", "increment", "a", "6", map[string]any{"key": "count", "by": 5}, 6},
		{"shared", "increment", "a", "7", map[string]any{"key": "count", "scope": "workspace"}, 1},
		{"by two workflows", "increment", "b", "8", map[string]any{"key": "count", "scope": "workspace"}, 2},
		{"delete", "delete", "a", "9", map[string]any{"key": "k"}, true},
		{"delete again", "delete", "a", "10", map[string]any{"key": "k"}, false},
		{"list", "list", "a", "", map[string]any{"limit": 2}, []any{map[string]any{"key": "42", "value": "x"}, map[string]any{"key": "count", "value": 6}}},
		{"list by prefix", "list", "a", "", map[string]any{"prefix": "co", "limit": 10.0}, []any{map[string]any{"key": "count", "value": 6}}},
		{"list nothing", "list", "c", "", nil, []any{}},
	} {
		got, err := do(t, kv, tt.action, tt.workflow, tt.once, tt.input)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if kv.ttl[at("workflow/a", "k")] != 24*time.Hour || kv.ttl[at("workflow/a", "nil")] != 0 {
		t.Errorf("times to live: %v", kv.ttl)
	}
}

func TestBadInput(t *testing.T) {
	for want, tt := range map[string]struct {
		action string
		input  map[string]any
	}{
		"key is missing":                        {"get", nil},
		"key is empty":                          {"get", map[string]any{"key": ""}},
		"key is not text":                       {"get", map[string]any{"key": []any{"a"}}},
		"at most 512 are allowed":               {"get", map[string]any{"key": strings.Repeat("x", 513)}},
		`scope is "all"`:                        {"get", map[string]any{"key": "k", "scope": "all"}},
		"value is missing":                      {"set", map[string]any{"key": "k"}},
		"at most 524288 are stored":             {"set", map[string]any{"key": "k", "value": strings.Repeat("x", 512<<10)}},
		"ttl: ":                                 {"set", map[string]any{"key": "k", "value": 1, "ttl": "soon"}},
		"ttl is 0":                              {"set", map[string]any{"key": "k", "value": 1, "ttl": 0}},
		"by is not a number":                    {"increment", map[string]any{"key": "k", "by": "5"}},
		"by is nothing":                         {"increment", map[string]any{"key": "k", "by": nil}},
		"by is not a finite number":             {"increment", map[string]any{"key": "k", "by": math.Inf(1)}},
		"limit is not a whole number from 1":    {"list", map[string]any{"limit": 0}},
		"limit is not a whole number from 1 to": {"list", map[string]any{"limit": 1.5}},
		"to 1000":                               {"list", map[string]any{"limit": 1001}},
		"prefix is not a text":                  {"list", map[string]any{"prefix": 5}},
	} {
		kv := newMemory()
		_, err := do(t, kv, tt.action, "a", "1", tt.input)
		if err == nil || !strings.Contains(err.Error(), want) || !connectors.IsPermanent(err) {
			t.Errorf("%s: got %v, permanent %t", want, err, connectors.IsPermanent(err))
		}
		if len(kv.values) != 0 {
			t.Errorf("%s: something was stored", want)
		}
	}
}

func TestStoreErrors(t *testing.T) {
	kv := newMemory()
	kv.err = errors.New("the disk is full")
	for action, input := range map[string]map[string]any{
		"get": {"key": "k"}, "set": {"key": "k", "value": 1}, "increment": {"key": "k"}, "delete": {"key": "k"}, "list": {},
	} {
		_, err := do(t, kv, action, "a", action, input)
		if !errors.Is(err, kv.err) || connectors.IsPermanent(err) {
			t.Errorf("%s: got %v", action, err)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, a := range store.New().Actions {
		reads := a.Name == "get" || a.Name == "list"
		if !a.Local || a.IsSafe(nil) != reads || !a.IsRepeatable(nil) {
			t.Errorf("%s: local %t, safe %t, repeatable %t", a.Name, a.Local, a.IsSafe(nil), a.IsRepeatable(nil))
		}
	}
}

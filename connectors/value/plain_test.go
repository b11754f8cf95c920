package value_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// TestText is the rendering rule of the contract.
func TestText(t *testing.T) {
	tests := []struct {
		v    any
		want string
	}{
		{nil, ""},
		{129, "129"},
		{129.0, "129"},
		{0.5, "0.5"},
		{-0.5, "-0.5"},
		{1e20, "100000000000000000000"},
		{1e21, "1e+21"},
		{1e-7, "1e-07"},
		{true, "true"},
		{false, "false"},
		{"", ""},
		{"a \"b\"\n", "a \"b\"\n"},
		{json.Number("12345678901234567890"), "12345678901234567890"},
		{[]any{}, "[]"},
		{[]any{1, nil, "x"}, `[1,null,"x"]`},
		{map[string]any{"b": 1.0, "a": "<&>"}, `{"a":"<&>","b":1}`},
		{time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC), "2026-03-01T09:30:00Z"},
		{90 * time.Minute, "1h30m0s"},
		{[]byte("bytes"), "bytes"},
		{int64(7), "7"},
		{math.Inf(1), "+Inf"},
	}
	for _, tt := range tests {
		if got := value.Text(tt.v); got != tt.want {
			t.Errorf("%#v: got %q, want %q", tt.v, got, tt.want)
		}
		if got := string(value.AppendText([]byte("x"), tt.v)); got != "x"+tt.want {
			t.Errorf("%#v: got %q, want %q", tt.v, got, "x"+tt.want)
		}
	}
}

func TestNormalize(t *testing.T) {
	type name string
	n := 3
	var none *int
	tests := []struct{ v, want any }{
		{map[any]any{"a": int64(1), 2: []string{"x"}}, map[string]any{"a": 1, "2": []any{"x"}}},
		{[]map[string]int{{"a": 1}}, []any{map[string]any{"a": 1}}},
		{[2]uint8{1, 2}, []any{1, 2}},
		{[]byte("é"), "é"},
		{uint64(math.MaxUint64), json.Number("18446744073709551615")},
		{uint64(5), 5},
		{json.Number("5"), 5},
		{json.Number("5.5"), 5.5},
		{json.Number("123456789012345678901"), json.Number("123456789012345678901")},
		{float32(0.25), 0.25},
		{1.0, 1.0},
		{name("x"), "x"},
		{&n, 3},
		{none, nil},
		{map[name]any{"k": nil}, map[string]any{"k": nil}},
		{time.Date(2026, 3, 1, 9, 30, 0, 5e6, time.FixedZone("", 3600)), "2026-03-01T09:30:00.005+01:00"},
	}
	for _, tt := range tests {
		got, err := value.Normalize(tt.v)
		if err != nil || !cmp.Equal(tt.want, got) {
			t.Errorf("%#v: got %#v, %v, want %#v", tt.v, got, err, tt.want)
		}
	}
	for want, v := range map[string]any{
		"a: [0]: NaN": map[string]any{"a": []any{math.NaN()}}, "infinity": math.Inf(1), "chan int": make(chan int),
		"struct": struct{}{}, `"x" is not a number`: json.Number("x"),
	} {
		if got, err := value.Normalize(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, %v, want %s", v, got, err, want)
		}
	}
}

func TestEqualAndCompareNumbers(t *testing.T) {
	big, bigger := json.Number("9223372036854775808"), json.Number("9223372036854775809")
	ascending := []any{
		json.Number("-99999999999999999999"), json.Number("-9223372036854775809"), math.MinInt64, -1.5, -1, 0, 0.5, 1,
		9007199254740992, 9007199254740993, math.MaxInt64, big, bigger, 1e19, json.Number("99999999999999999999"), 1e300,
	}
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got, ok := value.CompareNumbers(a, b); !ok || got != want {
				t.Errorf("%v and %v: got %d, %v, want %d", a, b, got, ok, want)
			}
			if got := value.Equal(a, b); got != (i == j) {
				t.Errorf("%v == %v: got %v", a, b, got)
			}
		}
	}
	equal := [][2]any{
		{1, 1.0}, {big, math.Pow(2, 63)}, {[]any{1, "a"}, []any{1.0, "a"}}, {map[string]any{"a": nil}, map[string]any{"a": nil}}, {nil, nil},
	}
	for _, pair := range equal {
		if !value.Equal(pair[0], pair[1]) || !value.Equal(pair[1], pair[0]) {
			t.Errorf("%v and %v are not equal", pair[0], pair[1])
		}
	}
	different := [][2]any{
		{1, "1"},
		{true, 1},
		{nil, 0},
		{nil, ""},
		{"", []any{}},
		{[]any{}, map[string]any{}},
		{[]any{1}, []any{1, 2}},
		{map[string]any{"a": nil}, map[string]any{"b": nil}},
		{math.NaN(), math.NaN()},
		{"a", "A"},
		{big, "9223372036854775808"},
	}
	for _, pair := range different {
		if value.Equal(pair[0], pair[1]) || value.Equal(pair[1], pair[0]) {
			t.Errorf("%v and %v are equal", pair[0], pair[1])
		}
	}
	if _, ok := value.CompareNumbers(1, "2"); ok {
		t.Error("a text was compared as a number")
	}
}

func TestClone(t *testing.T) {
	v := map[string]any{"a": []any{1, map[string]any{"b": "c"}}}
	clone := value.Clone(v)
	if !cmp.Equal(v, clone) {
		t.Errorf("got %v", clone)
	}
	clone.(map[string]any)["a"].([]any)[1].(map[string]any)["b"] = "changed"
	if v["a"].([]any)[1].(map[string]any)["b"] != "c" {
		t.Error("the clone shares memory")
	}
}

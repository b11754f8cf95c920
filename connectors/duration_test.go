package connectors_test

import (
	"math"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		in   any
		want time.Duration
		ok   bool
	}{
		{"30s", 30 * time.Second, true},
		{" 1h30m ", 90 * time.Minute, true},
		{"3d", 72 * time.Hour, true},
		{"0.5d", 12 * time.Hour, true},
		{30, 30 * time.Second, true},
		{1.5, 1500 * time.Millisecond, true},
		{"0s", 0, true},
		{0, 0, true},
		{"", 0, false},
		{"30", 0, false},
		{"-1s", 0, false},
		{"d", 0, false},
		{"-1d", 0, false},
		{"1e300d", 0, false},
		{"NaNd", 0, false},
		{-1, 0, false},
		{math.MaxInt64, 0, false},
		{math.NaN(), 0, false},
		{math.Inf(1), 0, false},
		{nil, 0, false},
		{true, 0, false},
	} {
		got, err := connectors.Duration(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%v: got %v, %v", tt.in, got, err)
		}
	}
}

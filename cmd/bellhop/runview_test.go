package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

func TestPrintRun(t *testing.T) {
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.Local)
	end := start.Add(1250 * time.Millisecond)
	run := &engine.RunView{
		ID: "06p3s0v4c0000000000000000a", Workflow: "orders", Version: "0123456789abcdef", Status: "filtered",
		Summary: "trigger.body.total >= 100 did not hold", Trigger: map[string]any{"id": "order", "kind": "webhook"},
		StartedAt: start, FinishedAt: &end,
		Steps: []engine.StepView{
			{ID: "map", Kind: "set", Status: "succeeded", Attempts: 1, Output: json.RawMessage(`{"name":"ADA"}`)},
			{ID: "call", Kind: "use", Name: "Ask the CRM", Status: "succeeded", Attempts: 3, MS: 1200, Output: json.RawMessage("{\"a\":\"\x1b[2J\"}")},
			{ID: "big", Kind: "filter", Status: "filtered", Attempts: 1, Summary: "not big enough", Because: []expression.Comparison{
				{Source: "trigger.body.vip", Left: true, Result: true},
				{Source: "trigger.body.total >= 100", Left: "99", Op: ">=", Right: 100.0},
				{Source: "trigger.body.gone == nil", Op: "=="},
			}},
		},
	}
	want := `run       06p3s0v4c0000000000000000a
workflow  orders (version 0123456789abcdef)
status    filtered
summary   trigger.body.total >= 100 did not hold
trigger   order (webhook)
started   2026-03-01 09:00:00
took      1.2 s

STEP                KIND    STATUS     TOOK   TRIES  SUMMARY
map                 set     succeeded         1      {"name":"ADA"}
call (Ask the CRM)  use     succeeded  1.2 s  3      {"a":"[2J"}
big                 filter  filtered          1      not big enough
    yes  trigger.body.vip   (it is true)
    no   trigger.body.total >= 100   ("99" >= 100)
    no   trigger.body.gone == nil   (nothing == nothing)
`
	var got strings.Builder
	printRun(&got, run)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPrintRunDrawsATree(t *testing.T) {
	at, round := time.Date(2026, 3, 4, 9, 0, 0, 0, time.Local), 0
	run := &engine.RunView{
		ID: "06p3s0v4c0000000000000000a", Workflow: "w", Version: "0", Status: "waiting", Caller: "06p3s0v4c0000000000000000b", CallerStep: "c",
		Trigger: map[string]any{"id": "call", "kind": "call"}, StartedAt: at,
		Steps: []engine.StepView{
			{ID: "lines", Path: "lines", Kind: "for_each", Status: "succeeded", Attempts: 1, Rounds: &engine.RoundsView{Total: 30, Done: 30, Shown: 1}},
			{ID: "lines[0]", Path: "lines[0]", Parent: "lines", Round: &round, Kind: "round", Status: "succeeded"},
			{ID: "send", Path: "lines[0].send", Parent: "lines[0]", Kind: "use", Status: "succeeded", Attempts: 2},
			{ID: "map", Path: "lines[0].map", Parent: "lines[0]", Kind: "set", Status: "succeeded"},
			{ID: "both", Path: "both", Kind: "parallel", Status: "running", Attempts: 1},
			{ID: "ask", Path: "ask", Parent: "both", Branch: "A", Kind: "approve", Status: "waiting", Attempts: 1, Until: &at},
			{ID: "sub", Path: "sub", Parent: "both", Branch: "B", Kind: "call", Status: "waiting", Attempts: 1, Run: "06p3s0v4c0000000000000000c"},
		},
	}
	want := `run       06p3s0v4c0000000000000000a
workflow  w (version 0)
status    waiting
called by c of 06p3s0v4c0000000000000000b
trigger   call
started   2026-03-04 09:00:00

STEP           KIND      STATUS     TOOK  TRIES  SUMMARY
lines          for_each  succeeded               30 of 30 rounds done, 29 not shown here
└ round 1      round     succeeded
  ├ send       use       succeeded        2
  └ map        set       succeeded
both           parallel  running
├ A: ask       approve   waiting                 waits until 2026-03-04 09:00:00
└ B: sub       call      waiting                 run 06p3s0v4c0000000000000000c
`
	var got strings.Builder
	printRun(&got, run)
	if diff := cmp.Diff(strings.Join(strings.Fields(want), " "), strings.Join(strings.Fields(got.String()), " ")); diff != "" {
		t.Errorf("%s\n%s", diff, got.String())
	}
}

func TestClean(t *testing.T) {
	for _, test := range []struct{ in, text, line string }{
		{"plain ünïcode 日本", "plain ünïcode 日本", "plain ünïcode 日本"},
		{"two\nlines\tand a tab", "two\nlines\tand a tab", "two lines and a tab"},
		{"\x1b[31mred\x1b[0m", "[31mred[0m", "[31mred[0m"},
		{"\x1b]0;title\x07", "]0;title", "]0;title"},
		{"\u009b2J\x7f\x00", "2J", "2J"},
		{"a\u202eb\u200bc\ufeff", "abc", "abc"},
		{"bad \xff\xfe bytes", "bad  bytes", "bad  bytes"},
		{"a\rb", "ab", "a b"},
	} {
		if got := cleanText(test.in); got != test.text {
			t.Errorf("cleanText(%q) = %q, want %q", test.in, got, test.text)
		}
		if got := cleanLine(test.in); got != test.line {
			t.Errorf("cleanLine(%q) = %q, want %q", test.in, got, test.line)
		}
	}
}

func TestWhen(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2h":                   now.Add(-2 * time.Hour),
		"2026-02-01T00:00:00Z": time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
		"2026-02-01":           time.Date(2026, 2, 1, 0, 0, 0, 0, time.Local),
	} {
		if got, err := when(text, now); err != nil || !got.Equal(want) {
			t.Errorf("when(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "yesterday", "-2h", "2026-13-01", "12"} {
		if got, err := when(text, now); err == nil {
			t.Errorf("when(%q) = %v", text, got)
		}
	}
}

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:7788": "127.0.0.1:7788", "0.0.0.0:80": "localhost:80", ":80": "localhost:80", "[::]:80": "localhost:80", "[::1]:80": "[::1]:80",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("reachable(%q) = %q, want %q", listen, got, want)
		}
	}
}

package workflow_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func parse(t *testing.T, src string) *workflow.Workflow {
	t.Helper()
	w, problems := workflow.Parse("/srv/flows/workflows/sales/big-orders.yaml", []byte(src))
	for _, p := range problems {
		t.Error(p)
	}
	if w == nil {
		t.Fatal("no workflow")
	}
	return w
}

const smallest = "triggers: [{webhook: {}}]\nsteps: [{filter: true}]\n"

func TestDefaults(t *testing.T) {
	w := parse(t, smallest)
	got := map[string]any{
		"id": w.ID, "name": w.Name, "enabled": w.Enabled, "keep": w.Retention.Keep, "days": w.Retention.Days, "body": w.BodyLimit,
		"timeout": w.Timeout, "trigger": w.Triggers[0].ID, "kind": w.Triggers[0].Kind, "path": w.Triggers[0].Webhook.Path,
		"methods": w.Triggers[0].Webhook.Methods, "window": w.Triggers[0].Webhook.Window, "respond": w.Triggers[0].Webhook.Respond,
		"verify": w.Triggers[0].Webhook.Verify == nil, "step": w.Steps[0].ID, "named": w.Steps[0].Named,
		"on_error": w.Steps[0].OnError.Mode, "retry": w.Steps[0].Retry == nil, "lane": w.Lane == nil, "raw": w.UsesRaw,
		"version": w.Version,
	}
	want := map[string]any{
		"id": "sales/big-orders", "name": "Big orders", "enabled": true, "keep": "all", "days": 0, "body": int64(0),
		"timeout": time.Duration(0), "trigger": "webhook", "kind": "webhook", "path": "sales/big-orders",
		"methods": []string{"POST"}, "window": time.Duration(0), "respond": "accepted",
		"verify": true, "step": "filter_1", "named": false,
		"on_error": "stop", "retry": true, "lane": true, "raw": false,
		"version": "c44c4995639f74d9",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestVersionFollowsTheText(t *testing.T) {
	a, b := parse(t, smallest), parse(t, smallest+"# x\n")
	if a.Version == b.Version || len(a.Version) != 16 {
		t.Errorf("versions %q and %q", a.Version, b.Version)
	}
}

func TestWebhookRespondsByItsStep(t *testing.T) {
	for src, want := range map[string]string{
		"triggers: [{webhook: {}}]\nsteps: [{respond: {}}]":                                          "step",
		"triggers: [{webhook: {}}]\nsteps: [{set: {a: 1}, on_error: [{respond: {}}]}]":               "step",
		"triggers: [{webhook: {respond: finished}}]\nsteps: [{respond: {}}]":                         "finished",
		"triggers: [{webhook: {}}]\nsteps: [{filter: true}]\non_failure: [{respond: {status: 500}}]": "step",
		"triggers: [{webhook: {respond: accepted}}]\nsteps: [{filter: true}]":                        "accepted",
	} {
		if got := parse(t, src).Triggers[0].Webhook.Respond; got != want {
			t.Errorf("%s\nrespond is %s, want %s", src, got, want)
		}
	}
}

func TestVerifyDefaults(t *testing.T) {
	hook := "triggers: [{webhook: {verify: {scheme: hmac, connection: a, header: X-S"
	tail := "}}}]\nsteps: [{filter: true}]"
	got := *parse(t, hook+tail).Triggers[0].Webhook.Verify
	want := workflow.Verify{Verify: connectors.Verify{Scheme: "hmac", Header: "X-S"}, Connection: "a"}
	ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".connectionAt" }, cmp.Ignore())
	if d := cmp.Diff(want, got, ignore); d != "" {
		t.Error(d)
	}
}

func TestUnnamedStepsAreNumberedThroughTheFile(t *testing.T) {
	w := parse(t, `
triggers: [{webhook: {}}]
steps:
  - filter: true
  - {id: set_4, set: {a: 1}}
  - use: store.get
    with: {key: a}
    on_error:
      - set: {b: 1}
      - {id: mine, set: {b: 1}}
on_failure:
  - stop: {}
`)
	var ids []string
	note := func(s *workflow.Step) { ids = append(ids, s.ID) }
	workflow.Walk(w.Steps, note)
	workflow.Walk(w.OnFailure, note)
	want := []string{"filter_1", "set_4", "store_get_3", "set_4_2", "mine", "stop_6"}
	if d := cmp.Diff(want, ids); d != "" {
		t.Error(d)
	}
	for _, id := range want {
		if s := w.Step(id); s == nil || s.ID != id {
			t.Errorf("no step %s", id)
		}
	}
	if w.Step("nobody") != nil || w.Trigger("nobody") != nil || w.Trigger("webhook") == nil {
		t.Error("Step or Trigger finds the wrong one")
	}
}

func TestScalarsAreOfYAML12(t *testing.T) {
	w := parse(t, `
triggers: [{webhook: {}}]
steps:
  - id: a
    set:
      no: no
      time: 12:30
      date: 2026-01-02
      octal: 0o14
      hex: 0xFF
      exponent: 1e3
      truth: True
      nothing: ~
      huge: 123456789012345678901234567890
      large: 9007199254740993
      hexhuge: 0xFFFFFFFFFFFFFFFFFF
      quoted: "014"
      plus: +7
      literal: |
        a
         b
      folded: >-
        a
        b
`)
	got, err := w.Steps[0].Do.(*workflow.Set).Fields.Eval(context.Background(), &expression.Env{Roots: map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"no": "no", "time": "12:30", "date": "2026-01-02", "octal": 12, "hex": 255, "exponent": 1000.0, "truth": true, "nothing": nil,
		"huge": number("123456789012345678901234567890"), "large": 9007199254740993, "hexhuge": number("4722366482869645213695"),
		"quoted": "014", "plus": 7, "literal": "a\n b\n", "folded": "a b",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUsesRaw(t *testing.T) {
	for src, want := range map[string]bool{
		"triggers: [{webhook: {}}]\nsteps: [{set: {a: '${{ sha256(trigger.raw) }}'}}]":                      true,
		"triggers: [{webhook: {dedupe: sha256(trigger.raw)}}]\nsteps: [{filter: true}]":                     true,
		"triggers: [{webhook: {}}]\nsteps: [{filter: true}]\nlane: trigger.raw":                             true,
		"triggers: [{webhook: {}}]\nsteps: [{filter: true, on_error: [{filter: 'trigger[\"raw\"] == 1'}]}]": true,
		"triggers: [{webhook: {}}]\nsteps: [{set: {a: '${{ trigger.body.raw }}', raw: 1}}]":                 false,
	} {
		if got := parse(t, src).UsesRaw; got != want {
			t.Errorf("%s\nUsesRaw is %t", src, got)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	src := `name: 5
triggers:
  - webhook: {path: /a, methos: [GET]}
  - schedule: {cron: 0 25 * * *}
lane: steps.x
timeout: soon
steps:
  - set: {a: ${{ trigger.body.a ? 1 : 2 }}}
  - id: 7up
    use: htp.request
    with: {url: "${{ uper(1) }}", zip: 014}
  - filtr: true
  - hello
  - if: ${{ trigger.body.a ? 1 : 2 }}
    set: {b: "${{ steps.nope.x }}"}
  - text: x
    set: {c: 1}
on_failure: later
`
	_, problems := workflow.Load("bad.yaml", []byte(src), catalog())
	if len(problems) != 1 || problems[0].Line != 8 { // a flow mapping cannot be mended
		t.Errorf("got\n%v", problems)
	}
	src = strings.Replace(src, "{a: ${{ trigger.body.a ? 1 : 2 }}}", `{a: "&x"}`, 1)
	_, problems = workflow.Load("bad.yaml", []byte(src), catalog())
	var got []string
	for _, p := range problems {
		got = append(got, strings.TrimPrefix(strings.SplitN(p.String(), "\n", 2)[0], "bad.yaml:"))
		if p.Snippet == "" {
			t.Errorf("no snippet: %v", p)
		}
	}
	want := []string{
		`1:7: name is a text, this is a number`,
		`3:21: a path neither begins nor ends with /`,
		`3:25: a webhook has no key "methos"`,
		`4:16: cron needs timezone`,
		`4:22: cron: hour: 25 is not from 0 to 23`,
		`5:7: lane: unknown name steps`,
		`6:10: timeout: "soon" is not a duration`,
		`9:9: "7up" cannot be an id`,
		`10:10: there is no connector "htp"`,
		`11:22: url: unknown function uper`,
		`11:40: 014 is ambiguous: as a number it loses its leading zeros`,
		`12:5: a step has no key "filtr"`,
		`13:5: a step is a mapping of keys to values, this is text`,
		`14:9: not YAML: an expression with : { } [ ] , or # cannot stand here without quotes`,
		`15:19: there is no step "nope"`,
		`16:5: a step has no key "text"`,
		`18:13: on_failure is a list, this is text`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	src := "triggers: [{webhook: {}}]\nsteps:\n" + strings.Repeat("  - filter: nope\n", 3000)
	_, problems := workflow.Parse("a.yaml", []byte(src))
	if len(problems) != 101 {
		t.Fatalf("%d problems", len(problems))
	}
	if last := problems[100].Message; last != "1901 more problems are not shown" {
		t.Errorf("the last is %q", last)
	}
}

func TestLimits(t *testing.T) {
	deep := func(n int) string {
		return "triggers: [{webhook: {}}]\nsteps: [{set: {a: " + strings.Repeat("[", n) + strings.Repeat("]", n) + "}}]\n"
	}
	many := func(n int) string {
		return "triggers: [{webhook: {}}]\nsteps: [{set: {a: [" + strings.Repeat("1, ", n) + "]}}]\n"
	}
	expressions := func(n int) string {
		return "triggers: [{webhook: {}}]\nsteps: [{set: {a: '" + strings.Repeat("${{ 1 }} ", n) + "'}}]\n"
	}
	pad := func(n int) string {
		return smallest + strings.Repeat("# comment comment comment comment\n", n)
	}
	for name, c := range map[string]struct {
		src, want string
	}{
		"deep enough":          {deep(61), ""},
		"too deep":             {deep(62), "nested more than 64 deep"},
		"much too deep":        {deep(5000), "nested more than 64 deep"},
		"many enough":          {many(19_000), ""},
		"too many":             {many(20_000), "more than 20000 values"},
		"large enough":         {pad(256<<10/35 - 10), ""},
		"too large":            {pad(256 << 10 / 33), "more than the 256 KiB"},
		"not UTF-8":            {smallest + "# \xff\n", "not UTF-8"},
		"UTF-16":               {"\xff\xfea\x00", "not UTF-8"},
		"control":              {smallest + "name: a\x00\n", "the control character U+0000"},
		"escape":               {smallest + "name: \"\x1b[31m\"\n", "the control character U+001B"},
		"empty":                {"", "the file is empty"},
		"only a comment":       {"# nothing\n", "the file is empty"},
		"byte order mark":      {"\ufeff" + smallest, ""},
		"expressions enough":   {expressions(2000), ""},
		"too many expressions": {expressions(2001), "more than 2000 expressions"},
		"long line":            {smallest + "name: '" + strings.Repeat("x", 70<<10) + "'\n", "longer than 64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := workflow.Parse("a.yaml", []byte(c.src))
			got := ""
			if len(problems) > 0 {
				got = problems[0].Message
			}
			if len(problems) > 1 || c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got\n%v\nwant %q", problems, c.want)
			}
		})
	}
}

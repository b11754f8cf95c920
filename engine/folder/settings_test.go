package folder_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/folder"
)

var registry = connectors.NewRegistry(&connectors.Connector{
	ID: "http", Title: "HTTP",
	Auth: []connectors.AuthScheme{{ID: "bearer", Secrets: []connectors.Secret{{Name: "token"}}}, {ID: "basic", Fields: []string{"username"}, Secrets: []connectors.Secret{{Name: "password"}}}},
})

func TestSettings(t *testing.T) {
	got, problems := folder.ParseSettings("bellhop.yaml", []byte(`# ours
public_url: https://bell.example.com/
timezone: Europe/Berlin
listen: 0.0.0.0:80
data: var
storage: {max: 2GB, days: 30}
outbound:
  allow: [10.0.0.0/8, "fd00::/8", 192.168.1.7]
connections:
  crm: {connector: http, auth: bearer, hosts: [crm.example.com], token: "${{ env.CRM_TOKEN }}"}
  old_crm:
    connector: http
    auth: basic
    username: no
    password: ${{ file("p") }}
`), registry)
	if problems != nil {
		t.Fatal(problems)
	}
	want := folder.Settings{
		PublicURL: "https://bell.example.com", Timezone: "Europe/Berlin", Listen: "0.0.0.0:80", Data: "var",
		Storage: folder.Storage{Max: 2e9, Days: 30},
		Outbound: folder.Outbound{Allow: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.168.1.7/32"),
		}},
		Connections: map[string]map[string]any{
			"crm":     {"connector": "http", "auth": "bearer", "hosts": []any{"crm.example.com"}, "token": "${{ env.CRM_TOKEN }}"},
			"old_crm": {"connector": "http", "auth": "basic", "username": "no", "password": `${{ file("p") }}`},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

func TestAlertsAreFilledIn(t *testing.T) {
	text := connectors.Schema{Type: "string"}
	reg := connectors.NewRegistry(&connectors.Connector{ID: "mail", Title: "Mail", Actions: []connectors.Action{
		{Name: "send", Input: connectors.Schema{Type: "object", Closed: true, Required: []string{"to", "subject"}, Properties: map[string]connectors.Schema{
			"to": text, "subject": text, "text": text, "content": text,
		}}},
	}})
	for given, want := range map[string]string{
		"{to: ops}": `{subject: "${{ trigger.body.title }}", text: "${{ trigger.body.text }}", to: ops}`,
		`{to: ops, text: "${{ trigger.body.run.url }}"}`: `{subject: "${{ trigger.body.title }}", text: "${{ trigger.body.run.url }}", to: ops}`,
	} {
		s, problems := folder.ParseSettings("bellhop.yaml", []byte("alerts: {use: mail.send, with: "+given+"}"), reg)
		if problems != nil {
			t.Fatal(problems)
		}
		w, problems := s.Alerts.Workflow(reg, nil)
		if problems != nil {
			t.Fatal(problems)
		}
		var got, wanted any
		var file struct{ Steps []struct{ With any } }
		if err := errors.Join(yaml.Unmarshal(w.Source, &file), yaml.Unmarshal([]byte(want), &wanted)); err != nil {
			t.Fatal(err)
		}
		if got = file.Steps[0].With; !cmp.Equal(got, wanted) {
			t.Errorf("with %s: %s", given, cmp.Diff(wanted, got))
		}
	}
}

func TestEmptySettings(t *testing.T) {
	for _, text := range []string{"", "\n", "# only words\n", "---\n", "null\n"} {
		if got, problems := folder.ParseSettings("bellhop.yaml", []byte(text), registry); problems != nil || got.Listen != "" {
			t.Errorf("%q: %v", text, problems)
		}
	}
}

func TestBadSettings(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"storge: {max: 2GB}", `1:1: unknown setting "storge" (did you mean storage?)`},
		{"timezone: UTC\nxyz: 1", `2:1: unknown setting "xyz" (known: `},
		{"storage: {maxx: 2GB}", `1:11: unknown key of storage "maxx" (did you mean max?)`},
		{"storage: 2GB", "1:10: this is no list of keys (known here: days, max)"},
		{"storage: {max: much}", `1:16: "much" is not a size: write it like 2GB or 512MiB`},
		{"storage: {max: 3B}", `1:16: "3B" is too small`},
		{"storage: {days: 0}", `1:17: "0" is no number of days`},
		{"storage: {days: [1]}", "1:17: storage.days wants a single value"},
		{"public_url: bell.example.com", `1:13: "bell.example.com" is no address`},
		{"public_url: https://u:p@bell.example.com", "1:13: "},
		{"public_url:", "1:12: public_url wants a single value"},
		{`public_url: "${{ env.URL }}"`, "1:13: public_url cannot hold an expression (set BELLHOP_PUBLIC_URL"},
		{"timezone: Berlin", `1:11: "Berlin" is no time zone`},
		{"timezone: ../../etc/passwd", "1:11: "},
		{"listen: 7788", `1:9: "7788" is no host:port`},
		{"listen: :77889", "1:9: "},
		{"outbound: {allow: 10.0.0.0/8}", "1:19: outbound.allow is a list (write `allow: [10.0.0.0/8]`)"},
		{"outbound: {allow: [10.0.0.0/8, ten]}", `1:32: "ten" is no network`},
		{"alerts: {on: failure}", "1:9: alerts needs use, the action that tells somebody (such as `use: email.send`)"},
		{"alerts: {on: success, use: http.request}", "1:14: alerts.on is failure"},
		{"alerts: {onn: failure, use: http.request}", `1:10: unknown key of alerts "onn" (did you mean on?)`},
		{"alerts: {use: htp.request}", "1:9: alerts: "},
		{"alerts: {use: http.request, with: 3}", "1:35: alerts.with is a list of inputs"},
		{"alerts: {use: http.request, connection: crm, with: {url: 'http://x'}}", "1:9: alerts: "},
		{"nats: {url: nats://localhost}", "1:1: a NATS store is not available in this version"},
		{"timezone: UTC\ntimezone: UTC", "2:1: timezone is there twice"},
		{"a: &x 1\nb: *x", "1:4: anchors and aliases are not allowed"},
		{"timezone: !!str UTC", "1:11: the tag"},
		{"timezone: UTC\n---\nlisten: x", ":1: a second document begins here"},
		{"- a", "1:1: the file is no list of settings"},
		{"timezone: [", "this is not YAML"},
		{"timezone: UTC\n\tlisten: x", "this is not YAML"},
		{"connections: []", "1:14: connections is no list of names"},
		{"connections: {Big Name: {connector: http}}", `1:15: "Big Name" is no name of a connection`},
		{"connections: {a: http}", "1:18: a connection is a list of keys"},
		{"connections: {a: {auth: bearer}}", "1:15: connection a: connector is missing"},
		{"connections: {a: {connector: htp}}", `1:19: connection a: there is no connector "htp"`},
		{"connections: {a: {connector: http}, a: {connector: http}}", "1:37: the connection a is declared twice"},
		{"connections: {a: {connector: http, auth: bearer}}", "1:15: warning: connection a: token is missing"},
		{"connections: {a: {connector: http, auth: bearer, token: s3cret}}", "1:50: warning: connection a: token stands here for everyone who reads the file"},
		{strings.Repeat("[", 70), "this is not YAML"},
		{strings.Repeat("x", 256<<10+1), "larger than 256 KiB"},
	} {
		_, problems := folder.ParseSettings("bellhop.yaml", []byte(test.text), registry)
		var lines []string
		for _, p := range problems {
			line := fmt.Sprintf("%d:%d: ", p.Line, p.Column)
			if p.Warning {
				line += "warning: "
			}
			line += p.Message
			if p.Hint != "" {
				line += " (" + p.Hint + ")"
			}
			lines = append(lines, line)
		}
		if all := strings.Join(lines, "\n"); !strings.Contains(all, test.want) || all == "" {
			t.Errorf("%.60q:\n got %s\nwant %s", test.text, all, test.want)
		}
	}
}

func TestSnippet(t *testing.T) {
	_, problems := folder.ParseSettings("bellhop.yaml", []byte("timezone: UTC\nstorage: {maxx: 2GB}\n"), nil)
	want := "bellhop.yaml:2:11: unknown key of storage \"maxx\"\n  2 | storage: {maxx: 2GB}\n    |           ^\n  hint: did you mean max?"
	if got := problems.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Every setting can be given as text, and a bad text changes nothing.
func TestSet(t *testing.T) {
	good := map[string]string{
		"public_url": "http://x", "timezone": "UTC", "listen": "[::1]:80", "data": "d", "storage.max": "1GiB", "storage.days": "3",
		"outbound.allow": "10.0.0.0/8, 127.0.0.1",
	}
	for key := range folder.Keys() {
		var s folder.Settings
		if err := s.Set(key, good[key]); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if cmp.Equal(s, folder.Settings{}, cmpopts.EquateComparable(netip.Prefix{})) {
			t.Errorf("%s changed nothing", key)
		}
		var same folder.Settings
		if err := same.Set(key, "\x00"); err == nil {
			t.Errorf("%s takes nonsense", key)
		}
	}
	if got := folder.Variable("storage.max"); got != "BELLHOP_STORAGE_MAX" {
		t.Error(got)
	}
}

// Whatever the file holds, reading it ends, and every problem has a place inside the file.
func FuzzParseSettings(f *testing.F) {
	f.Add("timezone: UTC\nstorage: {max: 2GB, days: 30}\noutbound: {allow: [10.0.0.0/8]}\nconnections: {a: {connector: http, auth: bearer, token: x}}")
	f.Add("a: &x [*x]\nb: !!binary x\n<<: {c: d}\n? [k]\n: v")
	f.Add("connections: {a: {connector: [x]}}\n---\nsecond: 1")
	f.Fuzz(func(t *testing.T, text string) {
		_, problems := folder.ParseSettings("bellhop.yaml", []byte(text), registry)
		lines := len(text) + 2 // a lone carriage return, and some other characters, end a line too
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines || p.Message == "" {
				t.Errorf("a problem without a place: %+v", p)
			}
		}
	})
}

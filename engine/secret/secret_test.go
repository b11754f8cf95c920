package secret_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/secret"
)

// registry is a small one of its own, so that these tests do not change with what ships.
func registry() *connectors.Registry {
	text := connectors.Schema{Type: "string"}
	return connectors.NewRegistry(
		&connectors.Connector{
			ID: "api",
			Auth: []connectors.AuthScheme{
				{ID: "bearer", Secrets: []connectors.Secret{{Name: "token"}}},
				{ID: "basic", Secrets: []connectors.Secret{{Name: "password"}}, Fields: []string{"username"}},
			},
			Fields: connectors.Schema{Type: "object", Closed: true, Properties: map[string]connectors.Schema{
				"base_url": text, "username": text, "hosts": {Type: "array"},
			}},
		},
		&connectors.Connector{
			ID:     "hook",
			Auth:   []connectors.AuthScheme{{ID: "secret", Secrets: []connectors.Secret{{Name: "signing_secret"}, {Name: "password"}, {Name: "token"}}, Fields: []string{"username"}}},
			Fields: connectors.Schema{Type: "object", Closed: true, Properties: map[string]connectors.Schema{"username": text}},
		},
	)
}

func open(t *testing.T, settings map[string]map[string]any, env map[string]string) (*secret.Connections, *secret.Redactor) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"token.txt": "from-a-file\n", "empty.txt": "\n", "large.txt": strings.Repeat("x", 70<<10)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := &secret.Redactor{}
	return secret.New(settings, registry(), secret.Options{
		Dir: dir, Redactor: r,
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	}), r
}

func TestConnection(t *testing.T) {
	env := map[string]string{"TOKEN": "env-token-1", "EMPTY": "", "TRICK": "${{ env.TOKEN }}", "HOST": "api.example.com"}
	cases := []struct {
		name   string
		raw    map[string]any
		want   connectors.Connection // without name and connector
		reason string
	}{
		{
			name: "env and fields",
			raw:  map[string]any{"connector": "api", "auth": "bearer", "token": "${{ env.TOKEN }}", "base_url": "https://${{ env.HOST }}/v1", "hosts": []any{"${{ env.HOST }}"}},
			want: connectors.Connection{Auth: "bearer", Fields: map[string]any{"base_url": "https://api.example.com/v1"}, Secrets: map[string]string{"token": "env-token-1"}, Hosts: []string{"api.example.com"}},
		},
		{
			name: "file",
			raw:  map[string]any{"connector": "api", "auth": "bearer", "token": `${{ file("token.txt") }}`, "hosts": "a.test"},
			want: connectors.Connection{Auth: "bearer", Secrets: map[string]string{"token": "from-a-file"}, Hosts: []string{"a.test"}},
		},
		{
			name: "command",
			raw:  map[string]any{"connector": "api", "auth": "bearer", "token": `${{ command('echo from-a-command') }}`, "hosts": "a.test"},
			want: connectors.Connection{Auth: "bearer", Secrets: map[string]string{"token": "from-a-command"}, Hosts: []string{"a.test"}},
		},
		{
			name: "part of a text, literal, never expanded twice",
			raw:  map[string]any{"connector": "api", "auth": "bearer", "token": "a-${{env.TRICK}}-$${{ env.TOKEN }}", "hosts": "a.test"},
			want: connectors.Connection{Auth: "bearer", Secrets: map[string]string{"token": "a-${{ env.TOKEN }}-${{ env.TOKEN }}"}, Hosts: []string{"a.test"}},
		},
		{
			name: "rotation",
			raw:  map[string]any{"connector": "hook", "signing_secret": []any{"${{ env.TOKEN }}", "old-secret"}},
			want: connectors.Connection{Auth: "secret", Secrets: map[string]string{"signing_secret": "env-token-1", "signing_secret#2": "old-secret"}},
		},
		{
			name: "signing secret beside an auth",
			raw:  map[string]any{"connector": "api", "auth": "basic", "username": "ada", "password": "pass-word", "signing_secret": "sign-secret", "hosts": "a.test"},
			want: connectors.Connection{Auth: "basic", Fields: map[string]any{"username": "ada"}, Secrets: map[string]string{"password": "pass-word", "signing_secret": "sign-secret"}, Hosts: []string{"a.test"}},
		},
		{
			name: "a base address alone",
			raw:  map[string]any{"connector": "api", "base_url": "https://api.example.com"},
			want: connectors.Connection{Fields: map[string]any{"base_url": "https://api.example.com"}},
		},
		{
			name:   "one unset variable of two values",
			raw:    map[string]any{"connector": "hook", "signing_secret": []any{"${{ env.NONE }}", "old-secret"}},
			want:   connectors.Connection{Auth: "secret", Secrets: map[string]string{"signing_secret": "old-secret"}},
			reason: "connection c: signing_secret: the environment variable NONE is not set",
		},
		{
			name:   "a host that is not known opens no others",
			raw:    map[string]any{"connector": "api", "auth": "bearer", "token": "${{ env.TOKEN }}", "hosts": "${{ env.NONE }}"},
			want:   connectors.Connection{Auth: "bearer"},
			reason: "connection c: hosts: the environment variable NONE is not set",
		},
		{
			name:   "nor does a base address that is not known",
			raw:    map[string]any{"connector": "api", "auth": "bearer", "token": "${{ env.TOKEN }}", "base_url": "${{ env.NONE }}"},
			want:   connectors.Connection{Auth: "bearer"},
			reason: "connection c: base_url: the environment variable NONE is not set",
		},
		{name: "empty variable", raw: map[string]any{"connector": "hook", "token": "${{ env.EMPTY }}"}, want: connectors.Connection{Auth: "secret"}, reason: "EMPTY is empty"},
		{name: "empty text", raw: map[string]any{"connector": "hook", "token": ""}, want: connectors.Connection{Auth: "secret"}, reason: "token: it is empty"},
		{name: "no file", raw: map[string]any{"connector": "hook", "token": `${{ file("none") }}`}, want: connectors.Connection{Auth: "secret"}, reason: "the file none does not exist"},
		{name: "empty file", raw: map[string]any{"connector": "hook", "token": `${{ file("empty.txt") }}`}, want: connectors.Connection{Auth: "secret"}, reason: "gives nothing"},
		{name: "large file", raw: map[string]any{"connector": "hook", "token": `${{ file("large.txt") }}`}, want: connectors.Connection{Auth: "secret"}, reason: "longer than 64 KiB"},
		{name: "folder", raw: map[string]any{"connector": "hook", "token": `${{ file(".") }}`}, want: connectors.Connection{Auth: "secret"}, reason: "is not a file"},
		{name: "command fails", raw: map[string]any{"connector": "hook", "token": `${{ command("false") }}`}, want: connectors.Connection{Auth: "secret"}, reason: "the command false failed"},
		{name: "missing secret", raw: map[string]any{"connector": "api", "auth": "bearer"}, want: connectors.Connection{Auth: "bearer"}, reason: "token: it is missing"},
		{name: "missing field", raw: map[string]any{"connector": "api", "auth": "basic", "password": "pass-word"}, want: connectors.Connection{Auth: "basic", Secrets: map[string]string{"password": "pass-word"}}, reason: "username: it is missing"},
		{name: "no hosts", raw: map[string]any{"connector": "api", "auth": "bearer", "token": "${{ env.TOKEN }}"}, want: connectors.Connection{Auth: "bearer", Secrets: map[string]string{"token": "env-token-1"}}, reason: "hosts: say where its secret may go"},
		{name: "no connector", raw: map[string]any{}, reason: "connector is missing"},
		{name: "unknown connector", raw: map[string]any{"connector": "nope"}, reason: `no connector "nope"`},
		{name: "unknown auth", raw: map[string]any{"connector": "api", "auth": "oauth"}, want: connectors.Connection{Auth: "oauth"}, reason: "has bearer, basic"},
		{
			name: "a secret that only one auth has tells which is meant",
			raw:  map[string]any{"connector": "api", "token": "${{ env.TOKEN }}", "hosts": "a.test"},
			want: connectors.Connection{Auth: "bearer", Secrets: map[string]string{"token": "env-token-1"}, Hosts: []string{"a.test"}},
		},
		{name: "and what it lacks", raw: map[string]any{"connector": "api", "password": "pass-word", "hosts": "a.test"}, want: connectors.Connection{Auth: "basic", Secrets: map[string]string{"password": "pass-word"}, Hosts: []string{"a.test"}}, reason: "username: it is missing"},
		{name: "auth not chosen", raw: map[string]any{"connector": "api", "token": "x", "password": "y"}, reason: "auth is missing"},
		{name: "secret of another auth", raw: map[string]any{"connector": "api", "auth": "basic", "token": "x", "username": "u", "password": "pass-word"}, want: connectors.Connection{Auth: "basic"}, reason: "auth basic has no token"},
		{name: "unknown key", raw: map[string]any{"connector": "api", "auth": "bearer", "tokn": "x", "token": "y"}, want: connectors.Connection{Auth: "bearer"}, reason: `unknown key "tokn"`},
		{name: "a number as secret", raw: map[string]any{"connector": "hook", "token": 12345678}, want: connectors.Connection{Auth: "secret"}, reason: "put a number in quotes"},
		{name: "an expression", raw: map[string]any{"connector": "hook", "token": "${{ upper(env.TOKEN) }}"}, want: connectors.Connection{Auth: "secret"}, reason: "is not one of"},
		{name: "not closed", raw: map[string]any{"connector": "hook", "token": "${{ env.TOKEN"}, want: connectors.Connection{Auth: "secret"}, reason: "is not one of"},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			settings := map[string]map[string]any{"c": tt.raw}
			conns, redactor := open(t, settings, env)
			got, err := conns.Connection("c")
			if (err != nil) != (tt.reason != "") || err != nil && !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got error %v, want %q", err, tt.reason)
			}
			tt.want.Name = "c"
			tt.want.Connector, _ = tt.raw["connector"].(string)
			if tt.want.Fields == nil {
				tt.want.Fields = map[string]any{}
			}
			if tt.want.Secrets == nil {
				tt.want.Secrets = map[string]string{}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("connection (-want +got):\n%s", diff)
			}
			for _, v := range got.Secrets {
				if redactor.Text("x"+v) != "x[redacted]" {
					t.Errorf("the redactor does not know %q", v)
				}
			}
		})
	}
}

// A value that a connection's field cannot have is told where it is written, or when it is known.
func TestFields(t *testing.T) {
	text, most := connectors.Schema{Type: "string"}, 65535.0
	reg := connectors.NewRegistry(&connectors.Connector{
		ID: "shop", Auth: []connectors.AuthScheme{{ID: "key", Secrets: []connectors.Secret{{Name: "token"}}}},
		Fields: connectors.Schema{Type: "object", Closed: true, Properties: map[string]connectors.Schema{
			"shop": {Type: "string", Pattern: "^[a-z-]+$", Suffix: ".shop.example"}, "region": {Type: "string", Enum: []any{"eu", "us"}},
			"port": {Type: "integer", Maximum: &most}, "base_url": text, "account": {Type: "string", Pattern: "^[0-9]+$"},
		}},
	})
	const none = ""
	for _, test := range []struct {
		key  string
		v    any
		want string
	}{
		{"shop", "my-shop", none},
		{"shop", "evil.example/", "shop: it does not match ^[a-z-]+$"},
		{"shop", "my-shop.shop.example", "shop: leave out .shop.example: it is added by itself"},
		{"shop", "${{ env.SHOP }}", none},
		{"shop", "${{ env.EVIL }}", "shop: it does not match ^[a-z-]+$"},
		{"region", "mars", "region: it is none of eu, us"},
		{"region", []any{"eu"}, "region: it is a list, not text"},
		{"account", 4711, none},
		{"port", 70000, "port: it is"},
		{"port", "587", none},
		{"port", "many", "port: it is text, not a number"},
		{"port", "70000", "port: it is"},
		{"port", "${{ env.PORT }}", none},
		{"base_url", "https://test.shop.example/v1", none},
		{"base_url", "test.shop.example", "base_url: it is no address, such as https://api.example.com"},
		{"base_url", "ftp://test.shop.example", "base_url: it is no address"},
		{"base_url", "https://ada:pass@test.shop.example", "base_url: a user name and a password do not stand in an address"},
	} {
		conns := secret.New(map[string]map[string]any{"a": {"connector": "shop", "token": "t0ken-1", test.key: test.v}}, reg, secret.Options{
			Env: func(name string) (string, bool) {
				v, ok := map[string]string{"SHOP": "my-shop", "EVIL": "evil/", "PORT": "587"}[name]
				return v, ok
			},
		})
		got := none
		if _, err := conns.Connection("a"); err != nil {
			got = strings.TrimPrefix(err.Error(), "connection a: ")
		}
		if test.want == none && got != none || !strings.HasPrefix(got, test.want) || strings.Contains(got, "pass@") {
			t.Errorf("%s: %v: got %q, want %q", test.key, test.v, got, test.want)
		}
	}
}

// The other side repeats the path of an address that is a secret without the host in front.
func TestAddressIsSecret(t *testing.T) {
	reg := connectors.NewRegistry(&connectors.Connector{
		ID: "catch", Auth: []connectors.AuthScheme{{ID: "hook", Type: connectors.AuthURL, Secrets: []connectors.Secret{{Name: "url"}}}},
	})
	r := &secret.Redactor{}
	conns := secret.New(map[string]map[string]any{"a": {"connector": "catch", "url": "https://hooks.example.com/catch/4711/canary-address-1?s=canary-query"}}, reg, secret.Options{Redactor: r})
	if _, err := conns.Connection("a"); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"POST https://hooks.example.com/catch/4711/canary-address-1?s=canary-query": "POST [redacted]",
		"Cannot POST /catch/4711/canary-address-1":                                  "Cannot POST [redacted]",
		"no hook canary-address-1 here":                                             "no hook [redacted] here",
		"s=canary-query":                                                            "[redacted]",
		"catch 4711":                                                                "catch 4711",
	} {
		if got := r.Text(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestUnknownConnection(t *testing.T) {
	conns, _ := open(t, nil, nil)
	if _, err := conns.Connection("none"); !errors.Is(err, secret.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	conns, _ := open(t, map[string]map[string]any{"a": {"connector": "api"}, "b": {"connector": "hook"}, "c": {}}, nil)
	if diff := cmp.Diff(map[string]string{"a": "api", "b": "hook", "c": ""}, conns.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestCheck(t *testing.T) {
	got := secret.Check(map[string]map[string]any{
		"good": {"connector": "hook", "token": "${{ env.NOT_SET }}"},
		"odd":  {"connector": "api", "auth": "bearer", "tokn": "x"},
		"none": {"connector": "nope"},
		"bare": {"connector": "hook", "token": []any{"${{ env.OLD }}", "s3cret"}},
	}, registry())
	want := []secret.Problem{
		{
			Connection: "bare", Key: "token", Message: "token stands here for everyone who reads the file", Warning: true,
			Hint: `name a variable instead: "${{ env.BARE_TOKEN }}"`,
		},
		{Connection: "none", Key: "connector", Message: `there is no connector "nope"`},
		{Connection: "odd", Key: "tokn", Message: `unknown key "tokn"; a connection of api has connector, auth, hosts, base_url, token, username`},
		{Connection: "odd", Key: "token", Message: "token is missing", Warning: true},
		{
			Connection: "odd", Key: "hosts", Message: "hosts is missing", Warning: true,
			Hint: "say where its secret may go, such as hosts: [api.example.com], or give it a base_url",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

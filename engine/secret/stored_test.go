package secret_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/secret"
)

// entered opens the connections of a data directory, as a start of the server does.
func entered(t *testing.T, dir string, settings map[string]map[string]any) *secret.Connections {
	t.Helper()
	vault, err := secret.OpenVault(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"TOKEN": "env-token-1"}
	return secret.New(settings, registry(), secret.Options{Vault: vault, Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
}

func TestEnter(t *testing.T) {
	dir := t.TempDir()
	c := entered(t, dir, nil)
	values := map[string]any{"connector": "api", "auth": "bearer", "base_url": "https://api.example.com", "token": "canary-${{ env.TOKEN }}"}
	if err := c.Enter("mine", secret.Entry{Values: values, By: "Ada"}, true); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		conn, err := c.Connection("mine")
		want := connectors.Connection{
			Name: "mine", Connector: "api", Auth: "bearer",
			Fields:  map[string]any{"base_url": "https://api.example.com"},
			Secrets: map[string]string{"token": "canary-${{ env.TOKEN }}"}, // what is entered is a value, never a reference
		}
		if diff := cmp.Diff(want, conn); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
		c = entered(t, dir, nil) // a restart
	}
	if err := c.Enter("mine", secret.Entry{Values: map[string]any{"token": "canary-two"}}, false); err != nil {
		t.Fatal(err)
	}
	if conn, _ := c.Connection("mine"); conn.Secrets["token"] != "canary-two" || conn.Fields["base_url"] != "https://api.example.com" {
		t.Fatalf("after a change of one value: %+v", conn)
	}
	if got, want := c.Public("mine", values), map[string]any{"connector": "api", "auth": "bearer", "base_url": "https://api.example.com"}; !cmp.Equal(got, want) {
		t.Fatalf("Public: %v", got)
	}
	vault, err := secret.OpenVault(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Put("hook/of/somebody", []byte("else"), 0); err != nil {
		t.Fatal(err)
	}
	if names := entered(t, dir, nil).Names(); len(names) != 1 {
		t.Fatalf("what others keep in the vault is no connection: %v", names)
	}
	text, err := os.ReadFile(filepath.Join(dir, "secrets.json"))
	if err != nil || strings.Contains(string(text), "canary") || strings.Contains(string(text), "api.example.com") {
		t.Fatal("the sealed file shows what was entered")
	}
	if err := c.Remove("mine"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connection("mine"); !errors.Is(err, secret.ErrUnknown) {
		t.Fatalf("after Remove: %v", err)
	}
}

func TestEnterWhatIsWrong(t *testing.T) {
	declared := map[string]map[string]any{"team": {"connector": "api", "auth": "bearer", "token": "${{ env.TOKEN }}"}}
	c := entered(t, t.TempDir(), declared)
	tests := []struct {
		name   string
		conn   string
		values map[string]any
		isNew  bool
		want   string
	}{
		{"a name that is none", "My CRM", map[string]any{"connector": "api"}, true, "no name for a connection"},
		{"a name that is taken", "team", map[string]any{"connector": "api"}, true, "there is a connection team already"},
		{"no connector", "x", map[string]any{}, true, "connector is missing"},
		{"an unknown connector", "x", map[string]any{"connector": "nope"}, true, `no connector "nope"`},
		{"an unknown auth", "x", map[string]any{"connector": "api", "auth": "nope"}, true, `no auth "nope"`},
		{"an unknown key", "x", map[string]any{"connector": "api", "auth": "bearer", "colour": "red"}, true, `unknown key "colour"`},
		{"what the file sets", "team", map[string]any{"token": "other"}, false, "can only be changed there"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := c.Enter(test.conn, secret.Entry{Values: test.values}, test.isNew)
			if _, ok := errors.AsType[*secret.InputError](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("%v, want %q", err, test.want)
			}
		})
	}
	if err := c.Enter("absent", secret.Entry{}, false); !errors.Is(err, secret.ErrUnknown) {
		t.Fatalf("a change of a connection that is not there: %v", err)
	}
}

// TestDeclaredAndEntered: the file says what the connection is, without its secret; somebody enters the secret.
func TestDeclaredAndEntered(t *testing.T) {
	dir := t.TempDir()
	declared := map[string]map[string]any{"team": {"connector": "api", "auth": "bearer", "base_url": "https://api.example.com"}}
	c := entered(t, dir, declared)
	if i, err := c.Info("team"); err != nil || i.State != secret.StateIncomplete || i.Reason != "token: it is missing" || !i.Declared || i.Entered {
		t.Fatalf("before: %+v, %v", i, err)
	}
	if err := c.Enter("team", secret.Entry{Values: map[string]any{"token": "canary-one"}, By: "Ada"}, false); err != nil {
		t.Fatal(err)
	}
	i, err := c.Info("team")
	if err != nil || i.State != secret.StateUntested || !i.Declared || !i.Entered || len(i.Secrets) != 1 || !i.Secrets[0].Set || i.Secrets[0].By != "Ada" {
		t.Fatalf("after: %+v, %v", i, err)
	}
	declared["team"]["token"] = "${{ env.TOKEN }}" // the file wins from now on
	c = entered(t, dir, declared)
	if conn, err := c.Connection("team"); err != nil || conn.Secrets["token"] != "env-token-1" {
		t.Fatalf("%+v, %v", conn, err)
	}
	if i, _ := c.Info("team"); i.Secrets[0].From != "the environment variable TOKEN" {
		t.Fatalf("From: %q", i.Secrets[0].From)
	}
}

// notes are kept in memory: what they hold is only history.
type notes struct {
	mu   sync.Mutex
	text map[string][]byte
}

func (n *notes) Load(_ context.Context, name string) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text[name], nil
}

func (n *notes) Save(_ context.Context, name string, text []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text[name] = text
	return nil
}

// TestHealth follows a connection of a system whose password was changed.
func TestHealth(t *testing.T) {
	good := true
	obtained := 0
	r := connectors.NewRegistry(&connectors.Connector{
		ID: "erp", Auth: []connectors.AuthScheme{{
			ID: "login", Type: connectors.AuthLogin, Secrets: []connectors.Secret{{Name: "password"}},
			Obtain: func(_ context.Context, c *connectors.Call) (connectors.Grant, error) {
				if obtained++; c.Connection.Secrets["password"] == "" {
					return connectors.Grant{}, errors.New("no password")
				}
				return connectors.Grant{Token: "session-token", Expires: time.Now().Add(time.Hour)}, nil
			},
		}},
		Actions: []connectors.Action{{Name: "me", Safe: true, Do: func(ctx context.Context, c *connectors.Call) (any, error) {
			token, err := c.Token(ctx, "")
			if err != nil {
				return nil, err
			}
			if !good {
				return nil, connectors.Permanent(&connectors.StatusError{Status: 401, Message: "the ERP did not accept " + token})
			}
			return "ada", nil
		}}},
		Test: &connectors.Test{Action: "me", Judge: func(out any) (string, error) { return out.(string), nil }},
	})
	dir, kept := t.TempDir(), &notes{text: map[string][]byte{}}
	var told []string
	open := func() *secret.Connections {
		vault, err := secret.OpenVault(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		c := secret.New(nil, r, secret.Options{
			Vault: vault, HTTP: http.DefaultClient, Redactor: &secret.Redactor{}, Notes: kept,
			Changed: func(name string) { told = append(told, name) },
		})
		if err := c.LoadHealth(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	state := func() secret.State {
		i, err := c.Info("erp-1")
		if err != nil {
			t.Fatal(err)
		}
		return i.State
	}
	if err := c.Enter("erp-1", secret.Entry{Values: map[string]any{"connector": "erp", "auth": "login", "password": "canary-pass"}}, true); err != nil {
		t.Fatal(err)
	}
	if state() != secret.StateUntested {
		t.Fatalf("new: %s", state())
	}
	for range 3 {
		if label, err := c.Test(t.Context(), "erp-1"); err != nil || label != "ada" {
			t.Fatalf("Test: %q, %v", label, err)
		}
	}
	if state() != secret.StateWorking || obtained != 1 {
		t.Fatalf("%s after %d logins, want working after one", state(), obtained)
	}
	good = false
	if _, err := c.Test(t.Context(), "erp-1"); err == nil || strings.Contains(err.Error(), "session-token") {
		t.Fatalf("Test of what does not work: %v", err)
	}
	c = open() // a restart forgets nothing
	i, err := c.Info("erp-1")
	if err != nil || i.State != secret.StateFailing || i.Label != "ada" || len(i.Days) != 1 || i.Days[0].OK != 3 || i.Days[0].Failed != 1 {
		t.Fatalf("after a restart: %+v, %v", i, err)
	}
	told = nil
	c.Observe("erp-1", nil)
	c.Observe("erp-1", nil)
	if state() != secret.StateWorking || len(told) != 1 {
		t.Fatalf("%s, told %v: want working, told once", state(), told)
	}
	c.Observe("erp-1", &connectors.StatusError{Status: 500, Message: "down"})
	if state() != secret.StateWorking {
		t.Fatal("a server that is down says nothing about the connection")
	}
	c.Observe("erp-1", &connectors.StatusError{Status: 401, Message: "no"})
	if i, _ := c.Info("erp-1"); i.State != secret.StateFailing || i.Calls != 4 || i.Refused != 1 {
		t.Fatalf("%+v", i)
	}
	if err := c.Enter("erp-1", secret.Entry{Values: map[string]any{"password": "canary-other"}}, false); err != nil {
		t.Fatal(err)
	}
	if i, _ := c.Info("erp-1"); i.State != secret.StateUntested || i.Reason != "" {
		t.Fatalf("what was said of the old password stands at the new one: %+v", i)
	}
}

// TestTryByAuth: what tells that a connection works may depend on how it signs in.
func TestTryByAuth(t *testing.T) {
	answer := func(text string) func(context.Context, *connectors.Call) (any, error) {
		return func(context.Context, *connectors.Call) (any, error) { return text, nil }
	}
	judge := func(out any) (string, error) { return out.(string), nil }
	one := []connectors.Secret{{Name: "secret", Title: "Secret"}}
	r := connectors.NewRegistry(&connectors.Connector{
		ID: "chat", Title: "Chat", Fields: connectors.Schema{Type: "object", Closed: true},
		Auth: []connectors.AuthScheme{
			{ID: "hook", Type: connectors.AuthKeys, Title: "Hook", Secrets: one, Test: &connectors.Test{Action: "try_hook", Judge: judge}},
			{ID: "bot", Type: connectors.AuthKeys, Title: "Bot", Secrets: one},
		},
		Actions: []connectors.Action{{Name: "me", Safe: true, Do: answer("a bot")}, {Name: "try_hook", Safe: true, Do: answer("a hook")}},
		Test:    &connectors.Test{Action: "me", Judge: judge},
	})
	vault, err := secret.OpenVault(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	c := secret.New(nil, r, secret.Options{Vault: vault, HTTP: http.DefaultClient, Redactor: &secret.Redactor{}, Notes: &notes{text: map[string][]byte{}}})
	for auth, want := range map[string]string{"hook": "a hook", "bot": "a bot"} {
		if err := c.Enter("my-"+auth, secret.Entry{Values: map[string]any{"connector": "chat", "auth": auth, "secret": "s-" + auth}}, true); err != nil {
			t.Fatal(err)
		}
		if label, err := c.Test(t.Context(), "my-"+auth); err != nil || label != want {
			t.Errorf("%s: %q, %v; want %q", auth, label, err, want)
		}
	}
}

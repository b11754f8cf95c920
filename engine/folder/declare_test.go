package folder_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/folder"
)

func TestSetAlerts(t *testing.T) {
	const comment = "# ours\n"
	for name, before := range map[string]string{
		"no file": "", "only comments": comment, "others": comment + "timezone: UTC # home\n",
		"alerts": comment + "alerts: {on: failure, use: store.set, with: {key: a}} # us\ntimezone: UTC\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "bellhop.yaml")
			if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := folder.Open(dir, folder.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, want := range []*folder.Alert{{Use: "email.send", Connection: "ops", With: map[string]any{"to": "ops@example.com", "n": 2}}, {Use: "a.b"}, nil} {
				if err := f.SetAlerts(want); err != nil {
					t.Fatal(err)
				}
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				got, problems := folder.ParseSettings("bellhop.yaml", text, nil)
				if diff := cmp.Diff(want, got.Alerts); diff != "" || problems.Err() != nil {
					t.Fatalf("%v\n%s\n%s", problems, diff, text)
				}
				if strings.HasPrefix(before, comment) && !strings.HasPrefix(string(text), comment) {
					t.Errorf("the comment is gone:\n%s", text)
				}
			}
		})
	}
}

func TestDeclare(t *testing.T) {
	raw := map[string]any{"connector": "slack", "auth": "bot", "channels": []any{"#a", "#b"}}
	const none = "connections: {}\n" // a file keeps its last field
	cases := []struct{ name, before, left string }{
		{"no file", "", none},
		{"only comments", "# ours\n", none},
		{"no connections", "timezone: Europe/Berlin # home\n\n# the end\n", ""},
		{"others", "connections:\n  # the CRM\n  crm: {connector: http, auth: bearer, token: \"${{ env.CRM }}\"}   # by Ada\ntimezone: UTC\n", ""},
		{"blocks", "connections:\n  crm:\n    connector: http\n    auth: bearer\n    token: \"${{ env.CRM }}\"\n", ""},
		{"with alerts", "alerts: {on: failure, use: store.set, with: {key: a}} # us\nconnections:\n  crm: {connector: http, auth: bearer, token: \"${{ env.CRM }}\"}\n", ""},
		{"in one line", "connections: {crm: {connector: http, auth: bearer, token: \"${{ env.CRM }}\"}}\n", ""},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "bellhop.yaml")
			if tt.name != "no file" {
				if err := os.WriteFile(path, []byte(tt.before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			f, err := folder.Open(dir, folder.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Declare("team-slack", raw); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, problems := folder.ParseSettings("bellhop.yaml", text, nil)
			if diff := cmp.Diff(raw, got.Connections["team-slack"]); diff != "" || problems.Err() != nil {
				t.Fatalf("%v\n%s\n%s", problems, diff, text)
			}
			for line := range strings.Lines(tt.before) {
				if !strings.HasPrefix(line, "connections: {") && !strings.Contains(string(text), line) {
					t.Errorf("the line %q is gone:\n%s", line, text)
				}
			}
			if err := f.Declare("team-slack", raw); err == nil {
				t.Error("it was declared twice")
			}
			if err := f.Undeclare("team-slack", map[string]any{"connector": "other"}); err != nil {
				t.Fatal(err)
			}
			if after, _ := os.ReadFile(path); string(after) != string(text) {
				t.Errorf("what another hand wrote was removed:\n%s", after)
			}
			if err := f.Undeclare("team-slack", raw); err != nil {
				t.Fatal(err)
			}
			if after, _ := os.ReadFile(path); string(after) != tt.before+tt.left {
				t.Errorf("not as before:\n%s\nwant\n%s", after, tt.before+tt.left)
			}
		})
	}
}

func TestChange(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bellhop.yaml")
	before := "# ours\ntimezone: Europe/Berlin   # home\nstorage: {days: 30}\nconnections:\n  crm: {connector: http}  # by Ada\n"
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := folder.Open(dir, folder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read := func() string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if err := f.Change(map[string]string{"timezone": "Europe/Paris", "storage.max": "2GB", "public_url": "https://bell.example.com"}); err != nil {
		t.Fatal(err)
	}
	got, problems := folder.ParseSettings("bellhop.yaml", []byte(read()), nil)
	if problems.Err() != nil || got.Timezone != "Europe/Paris" || got.Storage.Max != 2e9 || got.Storage.Days != 30 || got.PublicURL != "https://bell.example.com" {
		t.Fatalf("%v\n%s", problems, read())
	}
	for _, part := range []string{"# ours", "# home", "# by Ada"} {
		if !strings.Contains(read(), part) {
			t.Errorf("%q is gone:\n%s", part, read())
		}
	}
	if err := f.Change(map[string]string{"timezone": "Mars/Olympus"}); err == nil || !strings.Contains(err.Error(), "no time zone") {
		t.Errorf("a zone that is none: %v", err)
	}
	if err := f.Change(map[string]string{"colour": "red"}); err == nil {
		t.Error("a setting that is none was taken")
	}
	if err := f.Change(map[string]string{"timezone": "Europe/Berlin", "storage.max": "", "public_url": ""}); err != nil {
		t.Fatal(err)
	}
	if read() != before {
		t.Errorf("not as before:\n%s", read())
	}
}

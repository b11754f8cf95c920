package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/secret"
)

func openVault(t *testing.T, dir string) *secret.Vault {
	t.Helper()
	v, err := secret.OpenVault(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func put(t *testing.T, v *secret.Vault, name, data string, version uint64) {
	t.Helper()
	if _, err := v.Put(name, []byte(data), version); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, v *secret.Vault, name, data string, version uint64) {
	t.Helper()
	got, n, err := v.Get(name)
	if err != nil || string(got) != data || n != version {
		t.Fatalf("Get(%s) = %q, %d, %v; want %q, %d", name, got, n, err, data, version)
	}
}

func TestVaultKeepsWhatWasPut(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, dir)
	want(t, v, "crm", "", 0)
	put(t, v, "crm", "canary-one", 0)
	put(t, v, "crm", "canary-two", 1)
	put(t, v, "shop", "canary-three", 0)
	if _, err := v.Put("crm", []byte("late"), 1); !errors.Is(err, secret.ErrChanged) {
		t.Fatalf("a Put over a version that is gone: %v", err)
	}
	v = openVault(t, dir)
	want(t, v, "crm", "canary-two", 2)
	want(t, v, "shop", "canary-three", 1)
	if err := v.Delete("crm"); err != nil {
		t.Fatal(err)
	}
	want(t, openVault(t, dir), "crm", "", 0)

	for _, name := range []string{"secrets.json", "secret.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%s: mode %v, %v", name, info.Mode(), err)
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || bytes.Contains(text, []byte("canary")) {
			t.Fatalf("%s holds a secret in the open, or %v", name, err)
		}
	}
}

func TestVaultRefusesWhatItCannotOpen(t *testing.T) {
	newKey := func() string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))) }
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		key   string
		want  error
	}{
		{"the key is gone", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "secret.key")) }, "", secret.ErrWrongKey},
		{"another key", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "secret.key"), newKey()) }, "", secret.ErrWrongKey},
		{"another key from outside", func(*testing.T, string) {}, newKey(), secret.ErrWrongKey},
		{"no file", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "secrets.json")) }, "", secret.ErrDamagedVault},
		{"an empty file", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "secrets.json"), "") }, "", secret.ErrDamagedVault},
		{"a record under another name", func(t *testing.T, dir string) {
			edit(t, dir, func(records map[string]any) { records["crm"], records["shop"] = records["shop"], records["crm"] })
		}, "", secret.ErrDamagedVault},
		{"an older version of a record", func(t *testing.T, dir string) {
			edit(t, dir, func(records map[string]any) { records["crm"].(map[string]any)["version"] = 1 })
		}, "", secret.ErrDamagedVault},
		{"a flipped bit", func(t *testing.T, dir string) {
			edit(t, dir, func(records map[string]any) {
				r := records["shop"].(map[string]any)
				raw, _ := base64.StdEncoding.DecodeString(r["data"].(string))
				raw[len(raw)-1] ^= 1
				r["data"] = base64.StdEncoding.EncodeToString(raw)
			})
		}, "", secret.ErrDamagedVault},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			v := openVault(t, dir)
			put(t, v, "crm", "one", 0)
			put(t, v, "crm", "two", 1)
			put(t, v, "shop", "three", 0)
			test.spoil(t, dir)
			if _, err := secret.OpenVault(dir, test.key); !errors.Is(err, test.want) {
				t.Fatalf("OpenVault: %v, want %v", err, test.want)
			}
		})
	}
}

func TestVaultWithAKeyFromOutside(t *testing.T) {
	dir := t.TempDir()
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	v, err := secret.OpenVault(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, v, "crm", "one", 0)
	if _, err := os.Stat(filepath.Join(dir, "secret.key")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("a key file was made although the key is kept outside")
	}
	if v, err = secret.OpenVault(dir, key); err != nil {
		t.Fatal(err)
	}
	want(t, v, "crm", "one", 1)
	if _, err := secret.OpenVault(dir, "too short"); err == nil || !strings.Contains(err.Error(), "32 bytes") {
		t.Fatalf("a malformed key: %v", err)
	}
}

// TestVaultRotation cuts a rotation off after each file that it writes.
func TestVaultRotation(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, dir)
	put(t, v, "crm", "one", 0)
	before := snapshot(t, dir)
	if err := v.Rotate(); err != nil {
		t.Fatal(err)
	}
	put(t, v, "crm", "two", 1) // the vault goes on with the new key
	after := snapshot(t, dir)
	if bytes.Equal(before["secret.key"], after["secret.key"]) {
		t.Fatal("the key is the same as before")
	}
	want(t, openVault(t, dir), "crm", "two", 2)

	cut := t.TempDir() // the next key is written, nothing else
	restore(t, cut, before)
	write(t, filepath.Join(cut, "secret.key.next"), string(after["secret.key"]))
	want(t, openVault(t, cut), "crm", "one", 1)

	cut = t.TempDir() // the records are wrapped anew, the key is not renamed yet
	restore(t, cut, map[string][]byte{"secrets.json": after["secrets.json"], "secret.key": before["secret.key"], "secret.key.next": after["secret.key"]})
	want(t, openVault(t, cut), "crm", "two", 2)
	want(t, openVault(t, cut), "crm", "two", 2)
	if left := snapshot(t, cut); left["secret.key.next"] != nil || !bytes.Equal(left["secret.key"], after["secret.key"]) {
		t.Fatal("the rotation was not brought to its end")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, dir string, change func(records map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, "secrets.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var content map[string]any
	if err := json.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	change(content["records"].(map[string]any))
	if text, err = json.Marshal(content); err != nil {
		t.Fatal(err)
	}
	write(t, path, string(text))
}

func snapshot(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func restore(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, text := range files {
		write(t, filepath.Join(dir, name), string(text))
	}
}

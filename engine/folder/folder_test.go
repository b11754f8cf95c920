package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/folder"
)

// put writes files below dir.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, dir string) *folder.Folder {
	t.Helper()
	f, err := folder.Open(dir, folder.Options{Connectors: connectors.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

const small = `name: Small
triggers:
  - webhook: {}
steps:
  - set: {a: 1}
`

func ids(files []folder.File) []string {
	var list []string
	for _, f := range files {
		list = append(list, f.ID)
	}
	return list
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"bellhop.yaml":                     "timezone: Europe/Berlin\n",
		"docker-compose.yaml":              "services: {}\n",
		"workflows/small.yaml":             small,
		"workflows/small.test.yaml":        "workflow: small\ntests: []\n",
		"workflows/billing/late/one.yaml":  small,
		"workflows/README.md":              "not a workflow",
		"workflows/.hidden.yaml":           "not: looked at",
		"workflows/.git/config.yaml":       "not: looked at",
		"workflows/Upper Case.yaml":        small,
		"workflows/broken.yaml":            "name: [\n",
		"workflows/wrong.yml":              small,
		"data/old.yaml":                    "not: looked at",
		"connectors/mine.yaml":             "id: mine",
		"workflows/billing/late/.one.swp":  "x",
		"workflows/billing/late/one.yaml~": "x",
	})
	f := open(t, dir)
	if got := f.Settings().Timezone; got != "Europe/Berlin" {
		t.Errorf("timezone is %q", got)
	}
	files, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", "billing/late/one", "broken", "small", ""}, ids(files)); diff != "" {
		t.Error(diff)
	}
	good := map[string]bool{}
	for _, file := range files {
		if file.Good() {
			good[file.ID] = true
		} else if p := file.Problems[0]; p.File != file.Path {
			t.Errorf("%s: the problem names %s", file.Path, p.File)
		}
	}
	if diff := cmp.Diff(map[string]bool{"billing/late/one": true, "small": true}, good); diff != "" {
		t.Error(diff)
	}
	tests, err := f.Tests()
	if err != nil {
		t.Fatal(err)
	}
	if len(tests) != 1 || tests[0].Path != filepath.Join(dir, "workflows", "small.test.yaml") {
		t.Errorf("tests: %v", tests)
	}
}

func TestLoadWithoutAnything(t *testing.T) {
	f := open(t, t.TempDir())
	if files, err := f.Load(); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
	if len(f.Problems()) != 0 {
		t.Error(f.Problems())
	}
}

func TestLinksStayInside(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	put(t, outside, map[string]string{"secret.yaml": small, "more/secret.yaml": small})
	put(t, dir, map[string]string{"workflows/..data/inside.yaml": small})
	for from, to := range map[string]string{
		"workflows/escape.yaml": filepath.Join(outside, "secret.yaml"),
		"workflows/up.yaml":     "../../" + filepath.Base(outside) + "/secret.yaml",
		"workflows/more":        filepath.Join(outside, "more"),
		"workflows/inside.yaml": "..data/inside.yaml", // how a mounted ConfigMap looks
	} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := open(t, dir).Load()
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]bool{}
	for _, f := range files {
		good[filepath.Base(f.Path)] = f.Good()
	}
	if diff := cmp.Diff(map[string]bool{"escape.yaml": false, "up.yaml": false, "inside.yaml": true}, good); diff != "" {
		t.Error(diff)
	}
}

func TestOpenPath(t *testing.T) {
	top := t.TempDir()
	put(t, top, map[string]string{
		"shop/bellhop.yaml":               "timezone: UTC\n",
		"shop/workflows/a.yaml":           small,
		"shop/workflows/a.test.yaml":      "workflow: a\ntests: []\n",
		"shop/workflows/billing/b.yaml":   small,
		"beside/bellhop.yaml":             "timezone: UTC\n",
		"beside/e.yaml":                   small,
		"beside/deep/f.yaml":              small,
		"beside/bin/workflows/g.yaml":     small,
		"ship/workflows/bellhop.yaml":     "timezone: UTC\n",
		"ship/workflows/h.yaml":           small,
		"loose/c.yaml":                    small,
		"loose/deep/d.yaml":               small,
		"loose/deep/d.test.yaml":          "workflow: deep/d\ntests: []\n",
		"loose/node_modules/x/other.yaml": "x: 1",
	})
	t.Chdir(top)
	for _, test := range []struct {
		path  string
		ids   []string
		first string
		tests int
	}{
		{"shop", []string{"a", "billing/b"}, "shop/workflows/a.yaml", 1},
		{"shop/workflows", []string{"a", "billing/b"}, "shop/workflows/a.yaml", 1},
		{"./shop/workflows/billing", []string{"billing/b"}, "shop/workflows/billing/b.yaml", 0},
		{"shop/workflows/billing/b.yaml", []string{"billing/b"}, "shop/workflows/billing/b.yaml", 0},
		{"shop/workflows/a.test.yaml", nil, "", 1},
		{"shop/bellhop.yaml", []string{"a", "billing/b"}, "shop/workflows/a.yaml", 1},
		{"beside", nil, "", 0}, // what serve would run: nothing
		{"beside/e.yaml", []string{"e"}, "beside/e.yaml", 0},
		{"beside/deep", []string{"deep/f"}, "beside/deep/f.yaml", 0},
		{"beside/bin", []string{"g"}, "beside/bin/workflows/g.yaml", 0},
		{"ship/workflows", []string{"h"}, "ship/workflows/h.yaml", 0}, // settings and workflows in one place
		{"ship/workflows/h.yaml", []string{"h"}, "ship/workflows/h.yaml", 0},
		{"loose", []string{"c", "deep/d"}, "loose/c.yaml", 1},
		{"loose/c.yaml", []string{"c"}, "loose/c.yaml", 0},
		{filepath.Join(top, "loose", "c.yaml"), []string{"c"}, filepath.Join(top, "loose", "c.yaml"), 0},
	} {
		t.Run(test.path, func(t *testing.T) {
			f, err := folder.OpenPath(test.path, folder.Options{Connectors: connectors.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			files, err := f.Load()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.ids, ids(files)); diff != "" {
				t.Error(diff)
			}
			if len(files) > 0 && files[0].Path != filepath.FromSlash(test.first) {
				t.Errorf("path is %s, want %s", files[0].Path, test.first)
			}
			tests, err := f.Tests()
			if err != nil || len(tests) != test.tests {
				t.Errorf("%d tests, want %d (%v)", len(tests), test.tests, err)
			}
		})
	}
	if _, err := folder.OpenPath("nowhere", folder.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path that is not there: %v", err)
	}
}

func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "shop")
	examples := fstest.MapFS{"hello.yaml": {Data: []byte(small)}, "hello.test.yaml": {Data: []byte("workflow: hello\n")}}
	made, kept, err := folder.Init(dir, examples)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".gitignore", "bellhop.yaml", "workflows/hello.test.yaml", "workflows/hello.yaml"}
	for i := range want {
		want[i] = filepath.Join(dir, want[i])
	}
	if diff := cmp.Diff(want, made); diff != "" || kept != nil {
		t.Errorf("%s, kept %v", diff, kept)
	}
	if f := open(t, dir); len(f.Problems()) > 0 {
		t.Errorf("the first settings are not good: %v", f.Problems())
	}
	put(t, dir, map[string]string{"bellhop.yaml": "timezone: Asia/Tokyo\n"})
	if err := os.Remove(filepath.Join(dir, ".gitignore")); err != nil {
		t.Fatal(err)
	}
	made, kept, err = folder.Init(dir, examples)
	if err != nil || len(made) != 1 || made[0] != filepath.Join(dir, ".gitignore") || len(kept) != 3 {
		t.Errorf("second time: made %v, kept %v, %v", made, kept, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "bellhop.yaml"))
	if err != nil || string(text) != "timezone: Asia/Tokyo\n" {
		t.Errorf("overwritten: %q %v", text, err)
	}
}

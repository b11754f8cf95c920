package manifest_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors/connectorstest"
	"github.com/bellhop-dev/bellhop/connectors/manifest"
)

// TestGood reads every good manifest and does what its tests say.
func TestGood(t *testing.T) {
	for _, file := range files(t, "good") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m := load(t, file)
			for _, p := range connectorstest.Problems(m.Connector) {
				if !strings.Contains(p, "has no sample") {
					t.Error(p)
				}
			}
			problems, err := m.Run(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				t.Error(p)
			}
		})
	}
}

// TestBad has a file for each rule: its first line says where the problem is and what it is, with "only" that there is no other:
// a second one that follows from the first would mislead.
func TestBad(t *testing.T) {
	for _, file := range files(t, "bad") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src := read(t, file)
			want, _, _ := strings.Cut(string(src), "\n")
			want, only := strings.CutPrefix(want, "# want only: ")
			want, ok := strings.CutPrefix(want, "# want: ")
			if !ok && !only {
				t.Fatal("the first line is not # want: line:column: text")
			}
			_, problems := manifest.Parse(file, src, os.DirFS(filepath.Dir(file)))
			if only && len(problems) != 1 {
				t.Errorf("there are %d problems:\n%s", len(problems), problems.Error())
			}
			for _, p := range problems {
				if strings.Contains(p.String(), ":"+want) {
					return
				}
			}
			t.Errorf("no problem %q in:\n%s", want, problems.Error())
		})
	}
}

// The examples of the guide are what newcomers copy: they work as they stand.
func TestGuide(t *testing.T) {
	rest := string(read(t, filepath.Join("..", "..", "docs", "connectors-writing.md")))
	found := 0
	for {
		_, after, more := strings.Cut(rest, "```yaml\n# connectors/")
		if !more {
			break
		}
		file, text, _ := strings.Cut(after, "\n")
		example, behind, _ := strings.Cut(text, "```")
		rest = behind
		found++
		t.Run(file, func(t *testing.T) {
			m, problems := manifest.Parse(file, []byte(example), nil)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if missing := m.Untested(); missing != nil || len(m.Tests) == 0 {
				t.Errorf("the example leaves out: %v", missing)
			}
			failed, err := m.Run(t.Context(), file)
			if err != nil || failed != nil {
				t.Error(err, failed)
			}
		})
	}
	if found != 2 {
		t.Errorf("the guide has %d examples, not 2", found)
	}
}

// Whoever writes a manifest finds every key of the format in the guide, or in that of webhooks.
func TestGuideHasEveryKey(t *testing.T) {
	guide := string(read(t, filepath.Join("..", "..", "docs", "connectors-writing.md"))) + string(read(t, filepath.Join("..", "..", "docs", "webhooks.md")))
	var schema any
	if err := json.Unmarshal(manifest.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	// The words of JSON Schema are explained elsewhere.
	words := strings.Fields(`$comment $ref additionalProperties allOf anyOf const contentEncoding contentMediaType discriminator exclusiveMaximum
		exclusiveMinimum mapping maxItems maxLength maxProperties maximum minItems minLength minProperties minimum multipleOf oneOf propertyName readOnly
		uniqueItems writeOnly examples`)
	keys := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			for key, sub := range v {
				if props, ok := sub.(map[string]any); ok && key == "properties" {
					for name := range props {
						keys[name] = true
					}
				}
				walk(sub)
			}
		}
	}
	walk(schema)
	if len(keys) < 100 {
		t.Fatalf("the schema has only %d keys", len(keys))
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(words, key) && !regexp.MustCompile(`\b`+regexp.QuoteMeta(key)+`\b`).MatchString(guide) {
			t.Errorf("the guide says nothing of %s", key)
		}
	}
}

func files(t *testing.T, kind string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join("testdata", kind, "*.yaml"))
	if err != nil || len(list) == 0 {
		t.Fatalf("no files: %v", err)
	}
	return list
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func load(t testing.TB, file string) *manifest.Manifest {
	t.Helper()
	m, problems := manifest.Parse(file, read(t, file), os.DirFS(filepath.Dir(file)))
	if len(problems) > 0 {
		t.Fatalf("problems of a good file:\n%s", problems.Error())
	}
	return m
}

package openapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors/openapi"
)

// TestDamagedDocuments imports documents in which random places were removed, renamed or filled with what does not belong
// there. Whatever the document is, there is an error or a manifest that is one.
func TestDamagedDocuments(t *testing.T) {
	names, err := filepath.Glob("testdata/golden/*")
	if err != nil {
		t.Fatal(err)
	}
	imported := 0
	for _, name := range names {
		if strings.Contains(name, ".want.") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 0))
			var document map[string]any
			if err := yaml.Unmarshal(src, &document); err != nil {
				t.Fatal(err)
			}
			for range 1 + r.IntN(1+int(seed)) {
				damage(document, r, 0)
			}
			damaged, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(fmt.Sprint(filepath.Base(name), " ", seed), func(t *testing.T) {
				doc, err := openapi.Parse(damaged)
				if err != nil {
					return
				}
				result, err := doc.Import(openapi.Options{Choose: []string{"*"}, Name: "x", Source: "x", From: "https://example.com/a/b.yaml", Now: day})
				if err != nil {
					return
				}
				imported++
				check(t, result)
			})
		}
	}
	if imported < 100 {
		t.Errorf("only %d documents could be imported: that shows little", imported)
	}
}

// foreign is, as JSON, what does not belong where it is put.
var foreign = []string{
	`null`, `true`, `1.5`, `-1`, `""`, `"object"`, `"{a}{b}"`, `"http://x:y/{z}"`, `[]`, `[null]`, `["object", "null"]`, `{}`,
	`{"$ref": "#"}`, `{"$ref": "#/paths"}`, `{"$ref": "#/components/schemas/None"}`, `{"type": ["string", "integer"]}`,
}

// damage changes one place at or below v, which is a mapping or a list.
func damage(v any, r *rand.Rand, depth int) {
	var child any
	var put func(any)
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return
		}
		keys := slices.Sorted(maps.Keys(v))
		key := keys[r.IntN(len(keys))]
		child, put = v[key], func(x any) { v[key] = x }
		if depth > 0 && r.IntN(15) == 0 {
			delete(v, key)
			if r.IntN(2) == 0 {
				v[key+"/~{}"] = child
			}
			return
		}
	case []any:
		if len(v) == 0 {
			return
		}
		i := r.IntN(len(v))
		child, put = v[i], func(x any) { v[i] = x }
	}
	switch child.(type) {
	case map[string]any, []any:
		if depth < 3 || r.IntN(6) > 0 {
			damage(child, r, depth+1)
			return
		}
	}
	if depth > 1 {
		var v any
		if err := json.Unmarshal([]byte(foreign[r.IntN(len(foreign))]), &v); err != nil {
			panic(err) // they are literals
		}
		put(v)
	}
}

package openapi_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bellhop-dev/bellhop/connectors/openapi"
)

// FuzzImport reads what strangers send. Whatever the document is, there is an error or a manifest that is one.
func FuzzImport(f *testing.F) {
	names, err := filepath.Glob("testdata/traps/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if ext := filepath.Ext(file.Name); ext == ".yaml" || ext == ".json" {
				f.Add(file.Data)
			}
		}
	}
	golden, err := filepath.Glob("testdata/golden/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range golden {
		if src, err := os.ReadFile(name); err == nil && !strings.Contains(name, ".want.") {
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		doc, err := openapi.Parse(src)
		if err != nil {
			return
		}
		result, err := doc.Import(openapi.Options{Choose: []string{"*"}, Name: "x", Source: "x", From: "https://example.com/a/b.yaml", Now: day})
		if err != nil {
			return
		}
		check(t, result)
	})
}

// FuzzOverlay changes a document by what a stranger wrote.
func FuzzOverlay(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/traps/overlay.txtar")
	if err != nil {
		f.Fatal(err)
	}
	var document []byte
	for _, file := range archive.Files {
		if file.Name == "bare.yaml" {
			document = file.Data
		}
		if filepath.Ext(file.Name) == ".overlay" {
			f.Add(file.Data)
		}
	}
	f.Add([]byte(`{"overlay": "1.1.0", "actions": [{"target": "$..[?@.a && !(@.b[-1] <= 'x' || @['c'].d != null)]", "remove": true}, {"target": "$.paths.*.*.parameters[0:2:1,'x',*]", "update": {"a": [1]}}]}`))
	f.Fuzz(func(t *testing.T, overlay []byte) {
		doc, err := openapi.Parse(document)
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Apply(overlay); err != nil {
			return
		}
		result, err := doc.Import(openapi.Options{Choose: []string{"*"}, Name: "x", Source: "x", Now: day})
		if err != nil {
			return
		}
		check(t, result)
	})
}

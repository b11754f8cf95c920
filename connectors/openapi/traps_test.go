package openapi_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/manifest"
	"github.com/bellhop-dev/bellhop/connectors/openapi"
)

// day is when every import of a test happens.
var day = time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)

// TestTraps imports small documents that do what vendors' documents do wrong. Each archive of testdata/traps is one
// trap: documents, and for each a .want file with a line per expectation.
//
//	has TEXT          the manifest holds it
//	lacks TEXT        it does not
//	count N TEXT      it holds it N times
//	note KIND TEXT    a note of that kind holds it
//	list ID OPERATION the listing has an action whose id begins so
//	error TEXT        reading or importing fails with it
func TestTraps(t *testing.T) {
	archives, err := filepath.Glob("testdata/traps/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		for _, f := range archive.Files {
			files[f.Name] = f.Data
		}
		trap := strings.TrimSuffix(filepath.Base(name), ".txtar")
		for _, f := range archive.Files {
			base, ext := strings.TrimSuffix(f.Name, filepath.Ext(f.Name)), filepath.Ext(f.Name)
			if ext != ".yaml" && ext != ".json" {
				continue
			}
			t.Run(trap+"/"+base, func(t *testing.T) {
				want, ok := files[base+".want"]
				if !ok {
					t.Fatalf("there is no %s.want", base)
				}
				list, result, err := importCase(f.Data, files[base+".overlay"], string(files[base+".choose"]), strings.TrimSpace(string(files[base+".from"])))
				expect(t, string(want), list, result, err)
			})
		}
	}
}

func importCase(src, overlay []byte, choose, from string) ([]openapi.Operation, *openapi.Result, error) {
	doc, err := openapi.Parse(src)
	if err != nil {
		return nil, nil, err
	}
	if overlay != nil {
		if err := doc.Apply(overlay); err != nil {
			return nil, nil, err
		}
	}
	patterns := strings.Split(strings.TrimSpace(choose), "\n")
	if choose == "" {
		patterns = []string{"*"}
	}
	result, err := doc.Import(openapi.Options{Choose: patterns, Source: "document", From: from, Now: day})
	return doc.Operations(), result, err
}

func expect(t *testing.T, want string, list []openapi.Operation, result *openapi.Result, err error) {
	t.Helper()
	text := ""
	if result != nil {
		text = string(result.Manifest) + strings.Join(strings.Fields(string(result.Manifest)), " ") // as it is, and without its line breaks
		check(t, result)
	}
	failed := false
	for line := range strings.Lines(want) {
		word, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if rest == "" {
			continue
		}
		ok := false
		switch word {
		case "has":
			ok = strings.Contains(text, rest)
		case "lacks":
			ok = result != nil && !strings.Contains(text, rest)
		case "count":
			n, of, _ := strings.Cut(rest, " ")
			ok = strconv.Itoa(strings.Count(string(result.Manifest), of)) == n
		case "note":
			kind, of, _ := strings.Cut(rest, " ")
			if result != nil {
				for _, n := range result.Notes {
					ok = ok || n.Kind == kind && strings.Contains(n.String(), of)
				}
			}
		case "list":
			id, of, _ := strings.Cut(rest, " ")
			for _, op := range list {
				ok = ok || strings.HasPrefix(op.ID, id) && op.Operation == of
			}
		case "error":
			ok = err != nil && strings.Contains(err.Error(), rest)
			err = nil
		default:
			t.Fatalf("%q is no expectation", word)
		}
		if !ok {
			failed = true
			t.Errorf("not so: %s", strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("error: %v", err)
	}
	if failed && result != nil {
		for _, n := range result.Notes {
			t.Logf("%s %s", n.Kind, n)
		}
		for _, op := range list {
			t.Logf("%s %s", op.ID, op.Operation)
		}
		t.Logf("manifest:\n%s", result.Manifest)
	}
}

// check makes sure that a manifest is one, and returns it.
func check(t testing.TB, r *openapi.Result) *connectors.Connector {
	t.Helper()
	m, problems := manifest.Parse(r.Name+".yaml", r.Manifest, nil)
	for _, p := range problems {
		if p.Warning && strings.Contains(p.Message, "request with a body") {
			continue // the document demands one
		}
		t.Errorf("the manifest is none: %s", p)
	}
	if m == nil || problems.Err() != nil {
		t.Fatalf("manifest:\n%.4000s", r.Manifest)
	}
	if len(m.Connector.Actions) != len(r.Actions) {
		t.Errorf("the manifest has %d actions, not %d", len(m.Connector.Actions), len(r.Actions))
	}
	return m.Connector
}

// specs is the folder of vendors' documents that tests may read: none of them is part of this repository.
func specs(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BELLHOP_SPECS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "specs")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: no vendors' documents: name a folder of them in BELLHOP_SPECS (%v)", err)
	}
	return dir
}

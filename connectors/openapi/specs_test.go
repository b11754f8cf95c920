package openapi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors/openapi"
)

// TestSpecs imports 30 operations of every vendor's document that is at hand.
func TestSpecs(t *testing.T) {
	dir := specs(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			src, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			doc, err := openapi.Parse(src)
			if strings.Contains(e.Name(), "asyncapi") { // it lies there, and holds no operation to call
				if err == nil || !strings.Contains(err.Error(), "this is an AsyncAPI document") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			read++
			for _, chosen := range [][]string{first(doc, 30), {"*"}} {
				result, err := doc.Import(openapi.Options{Choose: chosen, Source: e.Name(), Now: day})
				if err != nil {
					if chosen[0] == "*" && strings.Contains(err.Error(), "choose fewer operations") {
						continue
					}
					t.Fatal(err)
				}
				for _, n := range result.Notes {
					if n.Kind == openapi.LeftOut {
						t.Errorf("left out: %s", n)
					}
				}
				lines := bytes.Count(result.Manifest, []byte("\n"))
				if most := max(1500, 50*len(result.Actions)); lines > most || len(result.Manifest) > openapi.MaxManifest {
					t.Errorf("%d operations take %d lines and %d bytes", len(result.Actions), lines, len(result.Manifest))
				}
				check(t, result)
				t.Logf("%d operations: %d lines, %d KiB", len(result.Actions), lines, len(result.Manifest)>>10)
			}
		})
	}
	if read == 0 {
		t.Error("no document was read")
	}
}

// first chooses the first operations of a document.
func first(doc *openapi.Document, most int) []string {
	var chosen []string
	for _, op := range doc.Operations() {
		if len(chosen) < most {
			chosen = append(chosen, op.Method+" "+op.Path)
		}
	}
	return chosen
}

// BenchmarkImport reads each document at hand and writes 30 operations. The metric times-json is the ratio to
// encoding/json reading the same bytes (of the YAML ones: their size in JSON is not known, so it is left out).
func BenchmarkImport(b *testing.B) {
	dir := specs(b)
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		src, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := openapi.Parse(src); err != nil {
			continue
		}
		b.Run(e.Name(), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				doc, err := openapi.Parse(src)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := doc.Import(openapi.Options{Choose: first(doc, 30), Name: "x", Source: "x", Now: day}); err != nil {
					b.Fatal(err)
				}
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			doc, err := openapi.Parse(src)
			runtime.GC()
			runtime.ReadMemStats(&after)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB-held")
			runtime.KeepAlive(doc)
			if src[0] != '{' {
				return
			}
			probe := testing.Benchmark(func(b *testing.B) {
				for b.Loop() {
					var v any
					if err := json.Unmarshal(src, &v); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(probe.NsPerOp()), "times-json")
		})
	}
}

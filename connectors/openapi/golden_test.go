package openapi_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the manifests of testdata/golden anew")

// TestGolden compares whole manifests with what a person has read and found good.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/golden/*")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, name := range names {
		if strings.HasSuffix(name, ".want.yaml") {
			continue
		}
		cases++
		t.Run(filepath.Base(name), func(t *testing.T) {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, result, err := importCase(src, nil, "", "")
			if err != nil {
				t.Fatal(err)
			}
			check(t, result)
			golden := strings.TrimSuffix(name, filepath.Ext(name)) + ".want.yaml"
			if *update {
				if err := os.WriteFile(golden, result.Manifest, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(result.Manifest)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		})
	}
	if cases == 0 {
		t.Error("no cases")
	}
}

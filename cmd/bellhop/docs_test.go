package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/expression"
)

var update = flag.Bool("update", false, "write the generated pages of docs/ anew")

// TestFunctionsPage keeps docs/functions.md equal to the table that the language runs by.
func TestFunctionsPage(t *testing.T) {
	const page = "../../docs/functions.md"
	var b strings.Builder
	b.WriteString("# Expression functions\n\nMade from the table in `engine/expression` by `go test ./cmd/bellhop -run Page -update`; a test keeps it true.\n")
	byGroup := map[string][]expression.Function{}
	var groups []string
	for _, f := range expression.Functions() {
		if byGroup[f.Group] == nil {
			groups = append(groups, f.Group)
		}
		byGroup[f.Group] = append(byGroup[f.Group], f)
	}
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s%s\n\n| Function | What it does | Example | gives |\n|---|---|---|---|\n", strings.ToUpper(g[:1]), g[1:])
		for _, f := range byGroup[g] {
			result := f.Result
			if result != "" {
				result = "`" + cell.Replace(result) + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", cell.Replace(f.Signature), cell.Replace(f.Summary), cell.Replace(f.Example), result)
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(have)); diff != "" {
		t.Errorf("docs/functions.md is not what the table says (-table +page); run with -update:\n%s", diff)
	}
}

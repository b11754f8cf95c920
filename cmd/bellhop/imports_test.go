package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/bellhop-dev/bellhop"

// rooms is the law of who may import whom: for each room the other rooms that it may use. A name that ends in /...
// means everything below it as well. A room that is not here may not exist; adding one is a decision.
var rooms = map[string][]string{
	"connectors":                {"connectors/value"},
	"connectors/value":          {},
	"connectors/wire":           {"connectors", "connectors/value"},
	"connectors/signature":      {"connectors", "connectors/value"},
	"connectors/openapi":        {},
	"connectors/connectorstest": {"connectors", "connectors/value"},
	"connectors/manifest": {
		"connectors", "connectors/value", "connectors/wire", "connectors/signature", "engine/expression", "engine/workflow",
	},
	"connectors/catalog": {"connectors/...", "engine/workflow"},
	"connectors/email":   {"connectors", "connectors/value", "connectors/wire"},
	"connectors/mqtt":    {"connectors", "connectors/value", "connectors/wire"},
	"connectors/feed":    {"connectors", "connectors/value", "connectors/wire"},
	"connectors/http":    {"connectors", "connectors/value", "connectors/wire"},
	"connectors/store":   {"connectors", "connectors/value"},
	"engine/expression":  {"connectors/value"},
	"engine/workflow":    {"engine/expression", "connectors", "connectors/signature", "connectors/value"},
	"engine":             {"connectors", "connectors/value", "engine/workflow", "engine/expression"},
	"engine/trigger":     {"engine", "engine/workflow", "engine/expression", "connectors", "connectors/signature", "connectors/value"},
	"engine/bolt":        {"engine", "connectors/value"},
	"engine/enginetest":  {"engine", "engine/workflow", "engine/expression", "connectors", "connectors/value"},
	"engine/outbound":    {"connectors"},
	"engine/secret":      {"connectors", "connectors/value"},
	"engine/folder":      {"engine/workflow", "engine/secret", "engine/outbound", "connectors", "connectors/manifest"},
	"engine/rehearsal":   {"engine", "engine/workflow", "engine/expression", "connectors", "connectors/value"},
	"engine/draft":       {"engine", "engine/workflow", "engine/expression", "connectors", "connectors/value"},

	"engine/enginetest/faultfs": {},

	"engine/server": {
		"connectors", "connectors/manifest", "connectors/openapi", "connectors/value", "engine", "engine/workflow", "engine/expression", "engine/trigger", "engine/folder",
		"engine/secret", "engine/outbound", "engine/rehearsal", "engine/draft",
	},
	"ui":          {},
	"workflows":   {},
	"cmd/bench":   {"connectors/...", "engine/..."},
	"cmd/bellhop": {"connectors/...", "engine/...", "ui", "workflows"},
}

// fences names the rooms that may know a library. A library that is not here may be used anywhere.
var fences = map[string][]string{
	"github.com/gin-gonic/gin":                      {"engine/server"},
	"github.com/danielgtaylor/huma":                 {"engine/server"},
	"github.com/prometheus/client_golang":           {"engine/server"},
	"go.etcd.io/bbolt":                              {"engine/bolt", "cmd/bench"},   // the bench compares with a bare program on the same library
	"github.com/klauspost/compress":                 {"engine/bolt", "cmd/bellhop"}, // history; backups
	"google.golang.org/protobuf/encoding/protowire": {"engine", "engine/bolt"},
	"github.com/expr-lang/expr":                     {"engine/expression"},
	"github.com/robfig/cron":                        {"engine/trigger"},
	"go.yaml.in/yaml":                               {"connectors/openapi", "engine/workflow", "engine/folder", "connectors/manifest"},
	"github.com/fsnotify/fsnotify":                  {"engine/folder"},
	"github.com/spf13/cobra":                        {"cmd/bellhop"},
	"github.com/spf13/pflag":                        {"cmd/bellhop"},
	"github.com/mattn/go-isatty":                    {"cmd/bellhop"},
	"github.com/hanwen/go-fuse":                     {"engine/enginetest/faultfs"},
	"net/http/httptest":                             {"connectors/connectorstest", "engine/enginetest"},
}

// banned are libraries that do what another one of ours does already, or that a review decided against.
var banned = map[string]string{
	"gopkg.in/yaml":            "YAML is go.yaml.in/yaml",
	"github.com/goccy/go-yaml": "it hangs on hostile input; YAML is go.yaml.in/yaml",
	"github.com/stretchr":      "tests compare with go-cmp",
	"io/ioutil":                "it is io and os",
}

// TestImports reads the sources in this process: a test that asks the go command is served from the test cache
// after an edit. Test files are bound by the fences of inbound HTTP alone, for they fake the outside world.
func TestImports(t *testing.T) {
	top := filepath.Join("..", "..")
	seen := map[string]bool{}
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != top && (strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" || base == "data") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		room := path.Dir(filepath.ToSlash(rel))
		seen[room] = true
		list, err := imports(name)
		if err != nil {
			return err
		}
		for _, problem := range breaks(room, list, strings.HasSuffix(name, "_test.go")) {
			t.Errorf("%s: %s", rel, problem)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range slices.Sorted(maps.Keys(seen)) {
		if _, known := rooms[room]; !known {
			t.Errorf("%s is a new room: decide in rooms, above, whom it may import", room)
		}
	}
}

func imports(name string) ([]string, error) {
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, s := range file.Imports {
		imported, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			return nil, err
		}
		list = append(list, imported)
	}
	return list, nil
}

// breaks says which imports of a file in a room are against the law.
func breaks(room string, list []string, test bool) []string {
	var problems []string
	for _, imported := range list {
		if why := under(imported, banned); why != "" {
			problems = append(problems, fmt.Sprintf("imports %s: %s", imported, banned[why]))
		}
		if ours, ok := strings.CutPrefix(imported, module+"/"); ok && !test {
			if ours != room && !slices.ContainsFunc(rooms[room], func(allowed string) bool { return covers(allowed, ours) }) {
				problems = append(problems, fmt.Sprintf("%s may not import %s", room, ours))
			}
			continue
		}
		library := under(imported, fences)
		if library == "" || slices.Contains(fences[library], room) {
			continue
		}
		if !test || strings.Contains(library, "gin") || strings.Contains(library, "huma") {
			problems = append(problems, fmt.Sprintf("imports %s, which belongs to %s", imported, strings.Join(fences[library], " and ")))
		}
	}
	return problems
}

func covers(allowed, room string) bool {
	if below, ok := strings.CutSuffix(allowed, "/..."); ok {
		return room == below || strings.HasPrefix(room, below+"/")
	}
	return room == allowed
}

// under finds the key of the table that is the imported path or above it; a dot may follow, as in gopkg.in/yaml.v3.
func under[V any](imported string, table map[string]V) string {
	for key := range table {
		if rest, ok := strings.CutPrefix(imported, key); ok && (rest == "" || rest[0] == '/' || rest[0] == '.') {
			return key
		}
	}
	return ""
}

// The law itself must be able to say no.
func TestBreaks(t *testing.T) {
	for _, test := range []struct {
		room     string
		imported string
		test     bool
		allowed  bool
	}{
		{"engine", module + "/engine/workflow", false, true},
		{"engine/workflow", module + "/engine", false, false},
		{"engine/bolt", module + "/engine/trigger", false, false},
		{"engine/bolt", module + "/engine/trigger", true, true},
		{"cmd/bellhop", module + "/engine/server", false, true},
		{"engine/server", module + "/engine/bolt", false, false},
		{"engine/server", "github.com/gin-gonic/gin/binding", false, true},
		{"engine/trigger", "github.com/gin-gonic/gin", false, false},
		{"engine/trigger", "github.com/gin-gonic/gin", true, false},
		{"engine/bolt", "go.etcd.io/bbolt/errors", false, true},
		{"engine", "go.etcd.io/bbolt", false, false},
		{"engine/workflow", "gopkg.in/yaml.v3", false, false},
		{"engine/workflow", "go.yaml.in/yaml/v4", false, true},
		{"engine/trigger", "net/http/httptest", false, false},
		{"engine/trigger", "net/http/httptest", true, true},
		{"engine", "fmt", false, true},
	} {
		problems := breaks(test.room, []string{test.imported}, test.test)
		if (len(problems) == 0) != test.allowed {
			t.Errorf("%s imports %s (test %t): %v", test.room, test.imported, test.test, problems)
		}
	}
}

package workflow_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/http"
	"github.com/bellhop-dev/bellhop/connectors/store"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// catalog is what the files of testdata may use.
func catalog() workflow.Catalog {
	return workflow.Catalog{
		Connectors: connectors.NewRegistry(http.New(), store.New(), shop()),
		Connections: map[string]string{
			"my-shop": "webhook", "crm": "webhook", "chat": "http", "issues": "http", "a": "webhook", "shop": "shop",
		},
	}
}

// shop is a connector with triggers.
func shop() *connectors.Connector {
	return &connectors.Connector{
		ID: "shop", Auth: []connectors.AuthScheme{{ID: "key"}},
		Endpoints: []connectors.Endpoint{{ID: "events", Verify: connectors.Verify{Scheme: "github"}}},
		Triggers: []connectors.Trigger{
			{Name: "order", Endpoint: "events", Input: connectors.Schema{
				Type: "object", Closed: true, Required: []string{"types"},
				Properties: map[string]connectors.Schema{"types": {Type: "array", Items: &connectors.Schema{Type: "string"}}},
			}},
			{Name: "stock", Poll: &connectors.Poll{Every: time.Minute}},
		},
	}
}

// load reads a workflow or a test file, by its name.
func load(t testing.TB, path string) workflow.Problems {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(path)
	if strings.HasSuffix(name, ".test.yaml") {
		_, problems := workflow.ParseTest(name, src)
		return problems
	}
	_, problems := workflow.Load(name, src, catalog())
	return problems
}

func files(t testing.TB, dir string, least int) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < least {
		t.Fatalf("testdata/%s holds %d files, want at least %d", dir, len(names), least)
	}
	return names
}

func TestGoodFilesHaveNoProblems(t *testing.T) {
	for _, path := range files(t, "good", 40) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, p := range load(t, path) {
				t.Error(p)
			}
		})
	}
}

var want = regexp.MustCompile(`^# want: (\d+):(\d+): (.+)\n`)

// A bad file breaks one rule. Its first line says where and how; nothing else may be said about it.
func TestBadFilesHaveTheirProblem(t *testing.T) {
	for _, path := range files(t, "bad", 80) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			m := want.FindStringSubmatch(string(src))
			if m == nil {
				t.Fatal("the first line is not a want")
			}
			line, _ := strconv.Atoi(m[1])
			column, _ := strconv.Atoi(m[2])
			problems := load(t, path)
			if len(problems) != 1 {
				t.Fatalf("%d problems, want 1:\n%v", len(problems), problems)
			}
			p := problems[0]
			if p.Line != line || p.Column != column || !strings.Contains(p.Message, m[3]) {
				t.Errorf("got\n%v\nwant %d:%d: %s", p, line, column, m[3])
			}
			if warning := strings.HasPrefix(filepath.Base(path), "warn_"); p.Warning != warning {
				t.Errorf("warning is %t, want %t", p.Warning, warning)
			}
			if !strings.HasSuffix(p.Snippet, "^") || !strings.Contains(p.Snippet, fmt.Sprintf("%d | ", line)) {
				t.Errorf("snippet is\n%s", p.Snippet)
			}
		})
	}
}

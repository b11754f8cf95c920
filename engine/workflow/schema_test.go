package workflow_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/engine/workflow"
)

func compileSchema(t *testing.T, kind string) *jsonschema.Schema {
	t.Helper()
	text, err := workflow.Schema(kind)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(kind+".json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(kind + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain reads a YAML text the way an editor does that knows YAML 1.2.
func plain(t *testing.T, src []byte) any {
	t.Helper()
	src = bytes.TrimPrefix(src, []byte("%YAML 1.2\n"))
	var doc yaml.Node
	if err := yaml.Load(src, &doc); err != nil {
		t.Skipf("not YAML: %v", err)
	}
	var convert func(n *yaml.Node) any
	convert = func(n *yaml.Node) any {
		switch n.Kind {
		case yaml.DocumentNode:
			return convert(n.Content[0])
		case yaml.MappingNode:
			m := map[string]any{}
			for i := 0; i < len(n.Content); i += 2 {
				m[n.Content[i].Value] = convert(n.Content[i+1])
			}
			return m
		case yaml.SequenceNode:
			l := []any{}
			for _, c := range n.Content {
				l = append(l, convert(c))
			}
			return l
		}
		switch n.Tag {
		case "!!null":
			return nil
		case "!!bool":
			return n.Value == "true" || n.Value == "True" || n.Value == "TRUE"
		case "!!int":
			if i, err := strconv.Atoi(n.Value); err == nil {
				return i
			}
		case "!!float":
			if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
				return f
			}
		}
		return n.Value
	}
	return convert(&doc)
}

func kindOf(path string) string {
	if strings.HasSuffix(path, ".test.yaml") {
		return "test"
	}
	return "workflow"
}

func TestSchemaAcceptsGoodFiles(t *testing.T) {
	schemas := map[string]*jsonschema.Schema{"workflow": compileSchema(t, "workflow"), "test": compileSchema(t, "test")}
	for _, path := range files(t, "good", 40) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := schemas[kindOf(path)].Validate(plain(t, src)); err != nil {
				t.Error(err)
			}
		})
	}
}

// beyondSchema names the bad files whose mistake is not one of structure, by how their names begin.
var beyondSchema = []string{
	"action_", "anchor", "binary_tag", "complex_key", "connection_none", "connection_other", "connection_unknown", "connector_",
	"cron_backward", "cron_daily", "cron_every", "cron_fields", "cron_last", "cron_name.", "cron_never", "cron_range", "cron_seconds",
	"cron_step", "cron_sunday", "cron_zone", "custom_tag", "dedupe_", "duplicate_", "expression_block", "expression_cut",
	"expression_env", "expression_error_root", "expression_escaped", "expression_folded", "expression_function",
	"branch_twice", "for_each_as", "link_", "nested_9", "paths_otherwise", "expression_plain_lines", "expression_root", "expression_single", "expression_syntax", "expression_unclosed", "input_", "lane_",
	"limits_body", "merge_key", "path_dots", "path_param_twice", "poll_dynamic_method", "poll_key_trigger", "poll_next", "poll_unsafe",
	"poll_with_trigger", "ref_", "respond_step_missing", "retry_max", "scalar_", "step_id_twice", "test_twice", "timeout_huge",
	"timezone_", "trigger_duplicate", "trigger_use.yaml", "trigger_use_c", "trigger_use_every", "trigger_use_input", "trigger_use_none", "verify_connection_unknown", "webhook_path_twice", "verify_placeholder", "verify_time_header",
	"verify_unsigned_time", "warn_",
}

func TestSchemaRefusesBadFiles(t *testing.T) {
	schemas := map[string]*jsonschema.Schema{"workflow": compileSchema(t, "workflow"), "test": compileSchema(t, "test")}
	for _, path := range files(t, "bad", 80) {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			err = schemas[kindOf(path)].Validate(plain(t, src))
			beyond := slices.ContainsFunc(beyondSchema, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
			if err == nil && !beyond {
				t.Error("the schema accepts it")
			}
			if err != nil && beyond {
				t.Errorf("the schema refuses it, so it need not be in the list: %v", err)
			}
		})
	}
}

func TestSchemaOfSettings(t *testing.T) {
	s := compileSchema(t, "settings")
	for src, ok := range map[string]bool{
		"{}": true,
		`
public_url: https://bell.example.com
timezone: Europe/Berlin
listen: 127.0.0.1:7788
data: data
storage: {max: 2GB, days: 30}
outbound: {allow: [10.0.0.0/8]}
connections:
  team-slack: {connector: slack, auth: bot, token: "${{ env.SLACK_BOT_TOKEN }}"}
`: true,
		"public_ur: https://bell.example.com": false,
		"storage: {max: lots}":                false,
		"storage: {days: 0}":                  false,
		"outbound: {allow: 10.0.0.0/8}":       false,
		"connections: {a: {token: x}}":        false,
		"connections: {A B: {connector: x}}":  false,
	} {
		if err := s.Validate(plain(t, []byte(src))); (err == nil) != ok {
			t.Errorf("%s: %v", src, err)
		}
	}
}

func TestSchemaOfNothing(t *testing.T) {
	for _, kind := range []string{"", "connector", "../schema", "workflow.json"} {
		if _, err := workflow.Schema(kind); err == nil {
			t.Errorf("there is a schema of %q", kind)
		}
	}
}

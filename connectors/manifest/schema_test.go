package manifest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors/manifest"
)

// TestSchema holds the JSON Schema for editors beside the reader: it takes what the reader takes, and sees a typo.
func TestSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(manifest.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("connector.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("connector.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(file string) error {
		var v any
		if err := yaml.Unmarshal(read(t, file), &v); err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
	shipped, err := filepath.Glob(filepath.Join("..", "catalog", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files(t, "good"), shipped...) {
		if err := check(file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, name := range []string{"unknown_key", "version", "auth_type", "method", "encode", "errors_do", "type", "action_no_title", "endpoint_verify"} {
		if check(filepath.Join("testdata", "bad", name+".yaml")) == nil {
			t.Errorf("%s passes the schema", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		list, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range list {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		m, problems := manifest.Parse("acme.yaml", src, nil)
		if m == nil && problems.Err() == nil {
			t.Error("no manifest and no problem")
		}
		_ = problems.Error()
	})
}

// BenchmarkParse reads a manifest of 30 operations: the bound is 10 ms.
func BenchmarkParse(b *testing.B) {
	src := thirty()
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := manifest.Parse("thirty.yaml", src, nil); len(problems) > 0 {
			b.Fatal(problems.Error())
		}
	}
}

// BenchmarkProbe is the part of it that no manifest can do without: the YAML library making nodes.
func BenchmarkProbe(b *testing.B) {
	src := thirty()
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		var n yaml.Node
		if err := yaml.Unmarshal(src, &n); err != nil {
			b.Fatal(err)
		}
	}
}

func thirty() []byte {
	var src bytes.Buffer
	src.WriteString("manifest: 1\nid: thirty\ntitle: Thirty\nversion: 1.0.0\ndefaults:\n  base_url: https://api.example.com\n" +
		"  errors: [{when: 'response.body?.error?.code == \"busy\"', do: retry}]\nactions:\n")
	for i := range 30 {
		name := string(rune('a'+i%26)) + string(rune('a'+i/26))
		src.WriteString("  create_" + name + ":\n    title: Create " + name + "\n    summary: Makes one more of them.\n    operation: create" + name + "\n    input:\n" +
			"      required: [name]\n      properties:\n")
		for j := range 12 {
			field := string(rune('a' + j))
			src.WriteString("        f_" + field + ": {type: string, title: Field " + field + ", description: What this is about in a few words, maxLength: 100, show: more}\n")
		}
		src.WriteString("        name: {type: string, title: Name}\n        owner: {type: string, at: body.owner.id}\n" +
			"    request: {method: POST, path: \"/v1/things/{name}/" + name + "\", query: {expand: \"${{ input.f_a }}\"}}\n    output: response.body.data\n    sample: {id: c_1, name: Ann, nested: {a: 1, b: [x]}}\n")
	}
	return src.Bytes()
}

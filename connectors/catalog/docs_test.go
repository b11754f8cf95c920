package catalog_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/catalog"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

var update = flag.Bool("update", false, "write the pages of docs/connectors anew")

// TestPages keeps docs/connectors/<id>.md equal to what ships, and the list of them complete.
func TestPages(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "connectors")
	pages := map[string]string{"README.md": index()}
	for _, c := range catalog.All() {
		if len(c.Actions) > 0 {
			pages[c.ID+".md"] = page(c)
		}
	}
	for name, text := range pages {
		file := filepath.Join(dir, name)
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%v; run with -update", err)
			continue
		}
		if diff := cmp.Diff(text, string(have)); diff != "" {
			t.Errorf("%s is not what the connector says (-connector +page); run with -update:\n%s", name, diff)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := pages[e.Name()]; !ok {
			t.Errorf("docs/connectors/%s is of no connector", e.Name())
		}
	}
}

func index() string {
	var b strings.Builder
	b.WriteString("# Connectors\n\nMade from the connectors by `go test ./connectors/catalog -run Pages -update`; a test keeps it true. [How to write one](../connectors-writing.md).\n\n" +
		"| Connector | Actions | Triggers |\n|---|---|---|\n")
	for _, c := range catalog.All() {
		if len(c.Actions) == 0 {
			continue
		}
		var actions, triggers []string
		for i := range c.Actions {
			if c.Actions[i].Show != "hidden" {
				actions = append(actions, c.Actions[i].Name)
			}
		}
		for i := range c.Triggers {
			triggers = append(triggers, c.Triggers[i].Name)
		}
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s |\n", c.Title, c.ID, strings.Join(actions, ", "), strings.Join(triggers, ", "))
	}
	return b.String()
}

func page(c *connectors.Connector) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nConnector `%s`, version %s.", c.Title, c.ID, c.Version)
	if c.Docs != "" {
		fmt.Fprintf(&b, " The system's own documentation: <%s>.", c.Docs)
	}
	b.WriteString("\n")
	if c.Notes != "" {
		fmt.Fprintf(&b, "\n%s\n", c.Notes)
	}
	connection(&b, c)
	for i := range c.Actions {
		a := &c.Actions[i]
		if a.Show == "hidden" {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n`use: %s.%s`\n\n%s%s\n", a.Title, c.ID, a.Name, a.Summary, manners(a))
		table(&b, "Input", c, &a.Input)
		example(&b, "Its output, for example", a.Sample)
	}
	for i := range c.Triggers {
		tr := &c.Triggers[i]
		if tr.Show == "hidden" {
			continue
		}
		fmt.Fprintf(&b, "\n## Trigger: %s\n\n`use: %s.%s`\n\n%s%s\n", tr.Title, c.ID, tr.Name, tr.Summary, source(c, tr))
		table(&b, "Input", c, &tr.Input)
		example(&b, "`trigger.body`, for example", tr.Sample)
	}
	return b.String()
}

func connection(b *strings.Builder, c *connectors.Connector) {
	if len(c.Auth) == 0 {
		b.WriteString("\nIt needs no connection.\n")
		return
	}
	b.WriteString("\n## Connection\n\n```yaml\nconnections:\n")
	signed := false
	for i := range c.Auth {
		a := &c.Auth[i]
		keys := []string{"connector: " + c.ID}
		if len(c.Auth) > 1 {
			keys = append(keys, "auth: "+a.ID)
		}
		for _, name := range c.Fields.Order {
			f := c.Fields.Properties[name]
			needed := slices.Contains(a.Fields, name)
			if (f.Show == "" || needed) && f.Default == nil && !slices.Contains([]string{"base_url", "hosts"}, name) && (len(a.Fields) == 0 || needed) {
				keys = append(keys, name+": "+text(first(f.Examples, "…")))
			}
		}
		if _, asks := c.Fields.Properties["hosts"]; asks {
			keys = append(keys, "hosts: [api.example.com]")
		}
		for _, s := range a.Secrets {
			if !s.Optional {
				keys = append(keys, fmt.Sprintf("%s: \"${{ env.%s }}\"", s.Name, strings.ToUpper(c.ID+"_"+s.Name)))
			}
		}
		if c.SigningSecret != nil && !signed && a.Type != connectors.AuthURL {
			signed = true
			keys = append(keys, fmt.Sprintf("signing_secret: \"${{ env.%s_SIGNING_SECRET }}\"", strings.ToUpper(c.ID)))
		}
		fmt.Fprintf(b, "  my-%s%s: {%s}\n", strings.ReplaceAll(c.ID, "_", "-"), map[bool]string{true: "-" + a.ID}[i > 0], strings.Join(keys, ", "))
	}
	b.WriteString("```\n\n")
	for i := range c.Auth {
		a := &c.Auth[i]
		fmt.Fprintf(b, "- `%s`: %s.", a.ID, a.Title)
		if a.Help != "" {
			fmt.Fprintf(b, " %s.", strings.TrimSuffix(a.Help, "."))
		}
		if a.OAuth2 != nil && a.OAuth2.Flow == "authorization_code" {
			b.WriteString(" Each person signs in once.")
		}
		b.WriteString("\n")
	}
	if c.SigningSecret != nil {
		fmt.Fprintf(b, "- `signing_secret`, only for triggers: %s. %s.\n", c.SigningSecret.Title, strings.TrimSuffix(c.SigningSecret.Help, "."))
	}
	fields := c.Fields
	fields.Order = slices.DeleteFunc(slices.Clone(fields.Order), func(name string) bool {
		return name == "base_url" && fields.Properties[name].Show == "more" // every manifest has it
	})
	table(b, "Field", c, &fields)
	if len(c.Hosts) > 0 {
		fmt.Fprintf(b, "\nIts secrets go to %s and nowhere else.\n", strings.Join(c.Hosts, ", "))
	}
}

func manners(a *connectors.Action) string {
	switch {
	case a.Safe:
		return " It only reads."
	case a.Idempotent:
		return " To do it twice does no harm."
	}
	return ""
}

func source(c *connectors.Connector, t *connectors.Trigger) string {
	if t.Poll != nil {
		return fmt.Sprintf(" It asks every %s unless the workflow says otherwise.", strings.TrimSuffix(t.Poll.Every.String(), "0s"))
	}
	e := c.Endpoint(t.Endpoint)
	if e == nil {
		return ""
	}
	if e.Subscribe != nil {
		return fmt.Sprintf(" Bellhop registers its address at %s by itself.", c.Title)
	}
	return fmt.Sprintf(" Enter the address `/hooks/_/<connection>/%s` by hand: %s.", e.ID, strings.TrimSuffix(e.Help, "."))
}

func table(b *strings.Builder, what string, c *connectors.Connector, s *connectors.Schema) {
	if len(s.Order) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| %s | Type | |\n|---|---|---|\n", what)
	for _, name := range s.Order {
		f := c.Resolve(s.Properties[name])
		var notes []string
		if f.Title != "" {
			notes = append(notes, strings.TrimSuffix(f.Title, "."))
		}
		if f.Description != "" {
			notes = append(notes, strings.TrimSuffix(f.Description, "."))
		}
		if len(f.Enum) > 0 {
			var words []string
			for _, e := range f.Enum {
				words = append(words, "`"+text(e)+"`")
			}
			notes = append(notes, "One of "+strings.Join(words, ", "))
		}
		if f.Suffix != "" {
			notes = append(notes, "Without `"+f.Suffix+"`, which is added")
		}
		if f.Default != nil {
			notes = append(notes, "Default `"+text(f.Default)+"`")
		}
		kind := f.Type
		if kind == "" {
			kind = "any"
		}
		if slices.Contains(s.Required, name) {
			kind += ", required"
		}
		cell := strings.NewReplacer("|", `\|`, "\n", " ")
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kind, cell.Replace(strings.Join(notes, ". ")))
	}
}

func example(b *strings.Builder, what string, sample any) {
	if sample == nil {
		return
	}
	encoded, err := value.AppendJSON(nil, sample)
	if err != nil {
		return
	}
	fmt.Fprintf(b, "\n%s:\n\n```json\n%s\n```\n", what, encoded)
}

func first(list []any, otherwise any) any {
	if len(list) > 0 {
		return list[0]
	}
	return otherwise
}

func text(v any) string { return value.Text(v) }

package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
)

// Catalog is what a workflow may use.
type Catalog struct {
	Connectors  *connectors.Registry
	Connections map[string]string // name -> id of its connector; nil: not checked
}

// Load is Parse and Check in one: every problem of the file, in its order.
func Load(name string, src []byte, c Catalog) (*Workflow, Problems) {
	w, problems := Parse(name, src)
	if w != nil {
		problems = append(problems, w.Check(c)...)
		problems.Sort()
	}
	return w, problems
}

// Check reports what the workflow uses and the catalog does not have: connectors, actions, connections, inputs. It
// says nothing about what Parse has refused.
func (w *Workflow) Check(c Catalog) Problems {
	k := &checker{reporter: newReporter(w.file, w.Source), w: w, catalog: c}
	for _, t := range w.Triggers {
		if t.Webhook != nil && t.Webhook.Verify != nil {
			k.verify(t.Webhook)
		}
		if t.Poll != nil {
			k.poll(t.Poll)
		}
		if t.Listen != nil {
			k.listen(t.Listen)
		}
	}
	visit := func(s *Step) {
		if use, ok := s.Do.(*Use); ok {
			k.step = s.ID
			k.use(use)
		}
	}
	Walk(w.Steps, visit)
	Walk(w.OnFailure, visit)
	return k.finish()
}

type checker struct {
	reporter
	w       *Workflow
	catalog Catalog
	shared  *connectors.Connector // whose schemas are meant
}

func (k *checker) verify(hook *Webhook) {
	name := hook.Verify.Connection
	if name == "" || k.catalog.Connections == nil {
		return
	}
	if _, ok := k.catalog.Connections[name]; !ok {
		k.noConnection(hook.Verify.connectionAt, name)
	}
}

func (k *checker) noConnection(at Position, name string) {
	hint := didYouMean(name, keysOf(k.catalog.Connections))
	if hint == "" {
		hint = "declare it in bellhop.yaml under connections"
	}
	k.errorf(at, hint, "there is no connection %q", name)
}

func (k *checker) poll(p *Poll) {
	action := k.use(p.Use)
	if p.Next != nil && p.Use.Connector != "" && p.Use.Connector+"."+p.Use.Action != "http.request" {
		k.errorf(p.NextAt, "remove next", "only a poll of http.request follows next: the actions of other connectors read all pages themselves")
	}
	if action == nil || action.IsSafe(literalInput(p.Use.With)) {
		return
	}
	hint := "a poll repeats it again and again"
	at := p.Use.At
	for _, f := range p.Use.With.Fields {
		if f.Key == "method" {
			hint, at = "a poll repeats it again and again: write GET as the method", k.w.places[f.Value]
		}
	}
	k.errorf(at, hint, "%s.%s is not known to only read, so it cannot be polled", p.Use.Connector, p.Use.Action)
}

// literalInput is what is known of an input before any run: a template stands in it as a text that no action
// knows, so that one that decides by its input (http.request by its method) does not take it for safe.
func literalInput(t *expression.Tree) map[string]any {
	input := make(map[string]any, len(t.Fields))
	for _, f := range t.Fields {
		input[f.Key] = literal(f.Value)
	}
	return input
}

func literal(t *expression.Tree) any {
	switch {
	case t.Template != nil:
		return "\x00" + t.Template.Source()
	case t.IsMap:
		return literalInput(t)
	case t.List != nil:
		list := make([]any, len(t.List))
		for i, item := range t.List {
			list[i] = literal(item)
		}
		return list
	}
	return t.Literal
}

// use checks one call and returns its action, if there is one.
func (k *checker) use(use *Use) *connectors.Action {
	if use.Connector == "" || k.catalog.Connectors == nil {
		return nil
	}
	connector := k.connector(use)
	if connector == nil {
		return nil
	}
	action := connector.Action(use.Action)
	if action == nil {
		var names []string
		for i := range connector.Actions {
			names = append(names, connector.Actions[i].Name)
		}
		k.errorf(use.At, known(use.Action, names), "the connector %s has no action %q", use.Connector, use.Action)
	}
	k.connection(use, connector)
	if action != nil && !use.broken {
		k.input(use, &action.Input)
	}
	return action
}

// listen checks a trigger that a connector defines.
func (k *checker) listen(l *Listen) {
	use := l.Use
	if use.Connector == "" || k.catalog.Connectors == nil {
		return
	}
	connector := k.connector(use)
	if connector == nil {
		return
	}
	t := connector.Trigger(use.Action)
	if t == nil {
		var names []string
		for i := range connector.Triggers {
			names = append(names, connector.Triggers[i].Name)
		}
		hint := known(use.Action, names)
		switch {
		case connector.Action(use.Action) != nil:
			hint = "it is an action: to call it again and again, write a poll"
		case len(names) == 0:
			hint = ""
		}
		k.errorf(use.At, hint, "the connector %s has no trigger %q", use.Connector, use.Action)
		return
	}
	k.connection(use, connector)
	if use.Connection == "" && t.Endpoint != "" {
		k.errorf(use.At, "name one with connection", "%s.%s needs a connection", use.Connector, use.Action)
	}
	switch {
	case l.Schedule != nil && t.Poll == nil:
		k.errorf(l.Schedule.CronAt, "remove every, cron and timezone", "%s.%s does not ask again and again: it is told", use.Connector, use.Action)
	case t.Poll != nil && t.Poll.Every == 0 && l.Schedule == nil:
		k.errorf(use.At, "such as every: 15m", "%s.%s needs every, or cron with timezone", use.Connector, use.Action)
	}
	if !use.broken {
		k.input(use, &t.Input)
	}
}

// connector returns the connector of a call.
func (k *checker) connector(use *Use) *connectors.Connector {
	connector := k.catalog.Connectors.Connector(use.Connector)
	if connector == nil {
		hint := "mend it first"
		if k.catalog.Connectors.BrokenFile(use.Connector) == "" {
			var ids []string
			for _, c := range k.catalog.Connectors.All() {
				ids = append(ids, c.ID)
			}
			hint = known(use.Connector, ids)
		}
		k.errorf(use.At, hint, "%v", k.catalog.Connectors.Missing(use.Connector))
	}
	k.shared = connector
	return connector
}

func (k *checker) connection(use *Use, connector *connectors.Connector) {
	switch {
	case use.Connection == "":
		return
	case len(connector.Auth) == 0:
		k.errorf(use.ConnAt, "remove the line", "%s takes no connection", connector.ID)
		return
	case k.catalog.Connections == nil:
		return
	}
	of, ok := k.catalog.Connections[use.Connection]
	switch {
	case !ok:
		k.noConnection(use.ConnAt, use.Connection)
	case of != connector.ID:
		k.errorf(use.ConnAt, "", "the connection %s belongs to the connector %s, not to %s", use.Connection, of, connector.ID)
	}
}

// input checks `with` against the schema of the action or the trigger.
func (k *checker) input(use *Use, schema *connectors.Schema) {
	name := use.Connector + "." + use.Action
	for _, need := range schema.Required {
		if !slices.ContainsFunc(use.With.Fields, func(f expression.Field) bool { return f.Key == need }) {
			hint := ""
			for _, f := range use.With.Fields {
				if _, ok := schema.Properties[f.Key]; !ok && nearest(f.Key, []string{need}) != "" {
					hint = "did you mean it with " + f.Key + "?"
				}
			}
			k.errorf(use.At, hint, "%s needs the input %s", name, need)
		}
	}
	var given []expression.Field
	for _, f := range use.With.Fields {
		if slices.Contains(schema.Exclusive, f.Key) {
			given = append(given, f)
		}
	}
	if len(given) > 1 {
		k.errorf(k.w.keys[given[1].Value], "", "%s takes only one of %s", name, oneOf(schema.Exclusive))
	}
	for _, f := range use.With.Fields {
		if path, ok := f.Value.Literal.(string); ok && use.Connection == "" && schema.Properties[f.Key].Format == "uri" && onlyPath(path) {
			k.errorf(k.w.places[f.Value], "write the whole address, or name a connection that has a base_url", "%s is only the path of an address", f.Key)
		}
	}
	k.fields(use.With, schema, name)
}

// onlyPath tells whether an address leaves its host to the connection.
func onlyPath(text string) bool {
	return strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//")
}

// address checks a text that is an address, as far as it is known before any run.
func (k *checker) address(at Position, text, what string) {
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case text == "":
		k.errorf(at, "write it like https://api.example.com/v1/orders", "%s is empty", what)
	case err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", onlyPath(text):
	case err == nil && u.Scheme != "" && u.Host != "":
		k.errorf(at, "only http:// and https:// addresses are called", "%s begins with %s", what, u.Scheme)
	case !strings.Contains(text, "://") && strings.Contains(text, ".") && !strings.Contains(text, " "):
		k.errorf(at, "write https://"+strings.TrimLeft(text, "/"), "%s is not a whole address", what)
	default:
		k.errorf(at, "write it like https://api.example.com/v1/orders", "%s is not a whole address", what)
	}
}

// fields checks the fields of a map against a schema of an object.
func (k *checker) fields(t *expression.Tree, s *connectors.Schema, what string) {
	for _, f := range t.Fields {
		switch property, ok := s.Properties[f.Key]; {
		case ok:
			k.value(f.Value, &property, f.Key)
		case s.Values != nil:
			k.value(f.Value, s.Values, f.Key)
		case s.Closed:
			names := keysOf(s.Properties)
			if len(s.Order) > 0 {
				names = s.Order
			}
			k.errorf(k.w.keys[f.Value], known(f.Key, names), "%s has no input %q", what, f.Key)
		}
	}
}

// value checks what is known of a value before any run.
func (k *checker) value(t *expression.Tree, s *connectors.Schema, what string) {
	if s.Ref != "" && k.shared != nil {
		resolved := k.shared.Resolve(*s)
		s = &resolved
	}
	at := k.w.places[t]
	if t.Template != nil {
		if s.Type == "" || s.Type == "string" || strings.HasPrefix(t.Template.Source(), "${{") {
			return
		}
		k.errorf(at, "only a value that is one ${{ }} alone keeps its type", "%s is %s, and this is a text", what, article(s.Type))
		return
	}
	if got := typeOf(t); !fits(got, s.Type) {
		hint := ""
		switch {
		case s.Type == "string" && t.Literal != nil:
			hint = fmt.Sprintf("quote it: %q", value.Text(t.Literal))
		case got == "string" && (s.Type == "integer" || s.Type == "number" || s.Type == "boolean"):
			hint = "write it without quotes"
		}
		k.errorf(at, hint, "%s is %s, this is %s", what, article(s.Type), article(got))
		return
	}
	switch {
	case t.IsMap:
		for _, need := range s.Required {
			if !slices.ContainsFunc(t.Fields, func(f expression.Field) bool { return f.Key == need }) {
				k.errorf(at, "", "%s needs the field %s", what, need)
			}
		}
		k.fields(t, s, what)
	case t.List != nil:
		if s.Items != nil {
			for _, item := range t.List {
				k.value(item, s.Items, "an entry of "+what)
			}
		}
	default:
		k.literal(at, t.Literal, s, what)
	}
}

// literal checks a scalar against what a schema says beyond its type.
func (k *checker) literal(at Position, val any, s *connectors.Schema, what string) {
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(e any) bool { return value.Equal(e, val) }) {
		var words []string
		for _, e := range s.Enum {
			words = append(words, value.Text(e))
		}
		k.errorf(at, didYouMean(value.Text(val), words), "%s is %s, not %s", what, oneOf(words), value.Text(val))
		return
	}
	if number, ok := float(val); ok {
		switch {
		case s.Minimum != nil && number < *s.Minimum:
			k.errorf(at, "", "%s is at least %s", what, value.Text(*s.Minimum))
		case s.Maximum != nil && number > *s.Maximum:
			k.errorf(at, "", "%s is at most %s", what, value.Text(*s.Maximum))
		}
	}
	text, ok := val.(string)
	if !ok {
		return
	}
	if s.Pattern != "" && utf8.RuneCountInString(text) < 10_000 {
		if p, err := regexp.Compile(s.Pattern); err == nil && !p.MatchString(text) {
			k.errorf(at, "", "%s does not match %s", what, s.Pattern)
		}
	}
	if s.Format == "uri" {
		k.address(at, text, what)
	}
	if s.Format == "duration" {
		if _, err := connectors.Duration(text); err != nil {
			k.errorf(at, "write it like 30s, 5m or 3d", "%s: %v", what, err)
		}
	}
}

func float(val any) (float64, bool) {
	switch n := val.(type) {
	case int:
		return float64(n), true
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

// typeOf is the JSON Schema type of a value that is not a template.
func typeOf(t *expression.Tree) string {
	switch {
	case t.IsMap:
		return "object"
	case t.List != nil:
		return "array"
	}
	switch n := t.Literal.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if n == math.Trunc(n) {
			return "integer"
		}
		return "number"
	}
	return "integer"
}

// fits reports whether a type is taken where want is asked for. A null stands for a value that is left out.
func fits(got, want string) bool {
	return want == "" || got == "null" || got == want || got == "integer" && want == "number"
}

// article names a JSON Schema type in the words of a message.
func article(kind string) string {
	switch kind {
	case "object":
		return "a mapping"
	case "array":
		return "a list"
	case "string":
		return "a text"
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "null":
		return "nothing"
	}
	return "a " + kind
}

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

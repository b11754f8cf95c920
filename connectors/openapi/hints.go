package openapi

import (
	"fmt"
	"slices"
	"strings"
)

// Microsoft's connector extensions say what a form needs and OpenAPI lacks. They are read:
// x-ms-summary, x-ms-visibility, x-ms-dynamic-values, x-ms-dynamic-list, x-ms-dynamic-schema,
// x-ms-dynamic-properties, x-ms-trigger.

// visibility is how much of a form an input takes; empty: the document does not say.
func visibility(nodes ...*object) string {
	for _, o := range nodes {
		switch strings.ToLower(o.text("x-ms-visibility")) {
		case "important":
			return "main"
		case "advanced":
			return "more"
		case "internal":
			return "hidden"
		case "none":
			return ""
		}
	}
	return ""
}

// helper is an operation that lists values or fields for a form. It comes along hidden.
type helper struct {
	op     *operation
	output string // expression
}

// options reads x-ms-dynamic-values: the choices of an input come from another operation.
func (b *builder) options(o *opened, in *input, node *object) *object {
	hint := node.object("x-ms-dynamic-list")
	if hint == nil {
		hint = node.object("x-ms-dynamic-values")
	}
	if hint == nil {
		return nil
	}
	op := b.operation(hint.text("operationId"))
	path, label := hintPath(hint, "value-path", "itemValuePath"), hintPath(hint, "value-title", "itemTitlePath")
	if op == nil || path == "" {
		b.c.warn("x-ms-dynamic-values of %s names no operation of the document: it stays a plain field", in.name)
		return nil
	}
	depends, ok := b.depends(o, op, hint.object("parameters"))
	if !ok {
		b.c.warn("x-ms-dynamic-values of %s passes on what the form does not have under the same name: it stays a plain field", in.name)
		return nil
	}
	output := "response.body"
	if collection := hintPath(hint, "value-collection", "itemsPath"); collection != "" {
		output = dotted(output, collection)
	}
	out := &object{}
	out.set("use", b.help(op, output))
	out.set("value", dotted("item", path))
	if label != "" {
		out.set("label", dotted("item", label))
	}
	out.put("depends_on", anys(depends))
	return out
}

// fieldsFrom reads x-ms-dynamic-schema: further fields of an input come from another operation, which answers with
// a JSON Schema.
func (b *builder) fieldsFrom(o *opened, in *input, nodes ...*object) *object {
	for _, node := range nodes {
		hint := node.object("x-ms-dynamic-properties")
		if hint == nil {
			hint = node.object("x-ms-dynamic-schema")
		}
		if hint == nil {
			continue
		}
		op := b.operation(hint.text("operationId"))
		if op == nil {
			b.c.warn("x-ms-dynamic-schema of %s names no operation of the document: it stays a plain field", in.name)
			return nil
		}
		depends, ok := b.depends(o, op, hint.object("parameters"))
		if !ok {
			b.c.warn("x-ms-dynamic-schema of %s passes on what the form does not have under the same name: it stays a plain field", in.name)
			return nil
		}
		schema := "response.body"
		if path := hintPath(hint, "value-path", "itemValuePath"); path != "" {
			schema = dotted(schema, path)
		}
		output := fmt.Sprintf("map(toPairs(%s.properties ?? {}), {{name: #[0], title: #[1].title ?? #[0], type: #[1].type ?? \"string\"}})", schema)
		out := &object{}
		out.set("use", b.help(op, output))
		out.set("name", "item.name")
		out.set("title", "item.title")
		out.set("type", "item.type")
		out.put("depends_on", anys(depends))
		return out
	}
	return nil
}

func hintPath(o *object, names ...string) string {
	for _, name := range names {
		if s := strings.Trim(strings.TrimSpace(o.text(name)), "/"); s != "" {
			return s
		}
	}
	return ""
}

// dotted makes an expression of a path such as value/items or value.items.
func dotted(root, path string) string {
	for part := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '.' }) {
		root = field(root, part)
	}
	return root
}

// operation finds one by its operationId.
func (b *builder) operation(id string) *operation {
	for _, op := range b.doc.ops {
		if id != "" && op.node.text("operationId") == id {
			return op
		}
	}
	return nil
}

// depends lists the inputs that another operation takes over. It takes them by their names, so each has to exist in
// the form under the name that the other operation has for it.
func (b *builder) depends(o *opened, op *operation, params *object) (names []string, ok bool) {
	for _, m := range params.all() {
		from := asObject(m.val).text("parameter")
		if from == "" {
			from = asObject(m.val).text("parameterReference")
		}
		from = from[strings.LastIndexByte(from, '/')+1:]
		if from != m.key || !slices.ContainsFunc(o.params, func(p *parameter) bool { return p.name == from }) {
			return nil, false
		}
		names = append(names, inputName(from))
	}
	return names, true
}

// help makes an operation one that a form uses: it comes along even if nobody chose it.
func (b *builder) help(op *operation, output string) string {
	if have, ok := b.helpers[op.id]; ok {
		if have.output != output {
			b.c.warn("%s lists values in two ways: the first is written", op.id)
		}
		return op.id
	}
	b.helpers[op.id] = &helper{op, output}
	return op.id
}

// poll makes a trigger of an operation that x-ms-trigger marks: it reads a list again and again, and each new entry
// starts a run.
func (b *builder) poll(o *opened, action *object) {
	kind := o.node.text("x-ms-trigger")
	if kind == "" {
		return
	}
	if o.method != "GET" || o.answer == nil {
		b.c.warn("x-ms-trigger is read for GET only: write this trigger by hand")
		return
	}
	body, err := b.c.flatten(o.answer.schema)
	if err != nil {
		return
	}
	path, entry := b.c.itemsOf(body)
	key := ""
	for _, name := range []string{"id", "ID", "Id", "uuid", "key"} {
		if entry.object("properties").has(name) {
			key = "item." + name
			break
		}
	}
	if path == "" || key == "" {
		b.c.warn("x-ms-trigger needs a list whose entries have an id: write this trigger by hand")
		return
	}
	with := &object{}
	input := action.object("input")
	for _, m := range input.object("properties").all() {
		with.set(m.key, "${{ input."+m.key+" }}")
		if !identifier.MatchString(m.key) {
			b.c.warn("x-ms-trigger: input %s has a name that no expression can read", m.key)
			return
		}
	}
	poll := &object{}
	poll.set("every", "5m")
	poll.set("use", o.id)
	poll.put("with", with)
	items := "output" + strings.TrimPrefix(path, "response.body")
	if action.has("pagination") {
		items = "output"
	}
	poll.set("items", items)
	poll.set("key", key)
	trigger := &object{}
	trigger.set("title", o.title())
	if input != nil {
		trigger.set("input", deepCopy(input))
	}
	trigger.set("poll", poll)
	trigger.put("sample", firstOf(action.value("sample"), path))
	action.set("show", "hidden") // people use the trigger
	id := "when_" + o.id
	if len(id) > maxID {
		id = hashed(id, o.name())
	}
	b.triggers.set(id, trigger)
}

// firstOf is the first entry of the list in a sample.
func firstOf(sample any, path string) any {
	if o, ok := sample.(*object); ok {
		_, name, _ := strings.Cut(strings.TrimPrefix(path, "response"), ".body.")
		sample = o.value(name)
	}
	if list, ok := sample.([]any); ok && len(list) > 0 {
		return list[0]
	}
	return nil
}

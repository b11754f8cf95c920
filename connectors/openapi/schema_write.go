package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// words writes what a person reads of a schema.
func (c *compiler) words(out, flat *object, depth int) {
	title := flat.text("x-ms-summary")
	if title == "" {
		title = flat.text("title")
	}
	if title = plainText(title); len(title) <= maxTitle && !ownName.MatchString(title) && (depth == 0 || depth <= c.descriptions) {
		out.put("title", strings.TrimRight(title, "."))
	}
	if depth > c.descriptions {
		return
	}
	text := firstSentence(flat.text("description"), 160)
	if strings.TrimRight(text, ".") == strings.TrimRight(title, ".") {
		text = ""
	}
	switch v := flat.value("default").(type) {
	case string:
		if v != "" && len(v) <= 40 {
			text = sentence(text, "Default: "+plainText(v)+".")
		}
	case number:
		text = sentence(text, "Default: "+string(v)+".")
	case bool:
		text = sentence(text, fmt.Sprintf("Default: %t.", v))
	}
	out.put("description", text)
}

// ownName is a title that only the authors of a document have a use for, such as customer_param.
var ownName = regexp.MustCompile(`^[a-z0-9_.-]*$`)

func sentence(a, b string) string {
	if a == "" {
		return b
	}
	if !strings.ContainsAny(a[len(a)-1:], ".!?") && !strings.HasSuffix(a, "…") {
		a += "."
	}
	return a + " " + b
}

func (c *compiler) write(flat *object, depth int, needed bool) (*object, error) {
	if err := c.spend(); err != nil {
		return nil, err
	}
	out := &object{}
	types, null := c.types(flat)
	if enum := flat.list("enum"); len(enum) > 0 && slices.Contains(enum, nil) {
		null = true
	}
	setTypes(out, types, null)
	c.words(out, flat, depth)
	if flat.text("type") == "file" {
		out.set("format", "binary")
	}
	c.choice(out, flat, null, needed)
	if pattern := flat.text("pattern"); len(pattern) <= 1000 { // one of Perl, which RE2 cannot read, is kept to be shown
		out.put("pattern", pattern)
	}
	c.bounds(out, flat)
	if slices.Contains(types, "array") || flat.has("items") || flat.has("prefixItems") {
		if err := c.items(out, flat, depth, needed); err != nil {
			return nil, err
		}
	}
	if err := c.members(out, flat, depth); err != nil {
		return nil, err
	}
	if err := c.alternatives(out, flat, depth); err != nil {
		return nil, err
	}
	if flat.has("$recursiveRef") || flat.has("$dynamicRef") {
		c.warn("$recursiveRef and $dynamicRef are not followed: what stands there may be anything")
	}
	if depth == 0 {
		if example, ok := exampleOf(flat); ok && small(example, 200) {
			out.set("examples", []any{example})
		}
	}
	return out, nil
}

// choice writes enum and const. The words of something that is needed are worth more room than others.
func (c *compiler) choice(out, flat *object, null, needed bool) {
	if flat.has("const") {
		out.set("const", flat.value("const"))
		return
	}
	enum := flat.list("enum")
	if len(enum) == 0 {
		return
	}
	enum = slices.DeleteFunc(slices.Clone(enum), func(v any) bool {
		_, isObject := v.(*object)
		return isObject
	})
	types, _ := c.types(flat)
	if len(types) == 1 && types[0] == "string" { // YAML reads an unquoted 1 or yes as something else than the author meant
		for i, v := range enum {
			switch v := v.(type) {
			case number:
				enum[i] = string(v)
			case bool:
				enum[i] = fmt.Sprint(v)
			}
		}
	}
	if null && !slices.Contains(enum, nil) {
		enum = append(enum, nil)
	}
	switch {
	case len(enum) == 1 && enum[0] != nil:
		out.set("const", enum[0])
	case len(enum) <= c.enum || needed && len(enum) <= 10*c.enum:
		out.set("enum", enum)
	default:
		c.cut = true
		out.set("examples", enum[:3:3])
	}
}

// bounds writes what limits a value.
func (c *compiler) bounds(out, flat *object) {
	if format := flat.text("format"); len(format) <= 40 {
		out.put("format", format)
	}
	if media := flat.text("contentMediaType"); media != "" && !strings.HasPrefix(media, "text/") && !isJSON(media) && flat.text("contentEncoding") == "" {
		out.set("format", "binary")
	}
	out.put("uniqueItems", flat.flag("uniqueItems"))
	for _, key := range []string{"minLength", "maxLength", "minItems", "maxItems"} {
		if n, ok := whole(flat.value(key)); ok && n > 0 && n < 1<<30 {
			out.set(key, number(strconv.Itoa(n)))
		}
	}
	types, _ := c.types(flat)
	for _, key := range []string{"minimum", "maximum"} {
		if n, ok := flat.value(key).(number); ok && len(n) <= 18 {
			out.set(key, n)
		}
		step := 1
		if key == "maximum" {
			step = -1
		}
		exclusive := flat.value("exclusive" + strings.ToUpper(key[:1]) + key[1:])
		bound, ok := exclusive.(number) // 3.1
		if exclusive == true {          // 3.0 and 2.0
			bound, ok = flat.value(key).(number)
		}
		if n, fits := whole(bound); ok && fits && slices.Equal(types, []string{"integer"}) {
			out.set(key, number(strconv.Itoa(n+step)))
		}
	}
}

func (c *compiler) items(out, flat *object, depth int, needed bool) error {
	raw := flat.value("items")
	if flat.has("prefixItems") { // what follows them is rarely described
		raw = flat.value("prefixItems")
	}
	if list, ok := raw.([]any); ok {
		c.warn("`items` is a list: read as a choice of its entries")
		switch len(list) {
		case 0:
			raw = nil
		case 1:
			raw = list[0]
		default:
			raw = &object{members: []member{{"anyOf", list}}}
		}
	}
	least, _ := whole(flat.value("minItems"))
	items, err := c.schema(raw, depth+1, needed || least > 0)
	if err != nil {
		return err
	}
	out.put("items", items)
	return nil
}

func (c *compiler) members(out, flat *object, depth int) error {
	required := map[string]bool{}
	for _, name := range texts(flat.list("required")) {
		required[name] = true
	}
	props := &object{}
	var needed []any
	for _, want := range []bool{true, false} { // what is required first
		for _, p := range flat.object("properties").all() {
			if required[p.key] != want {
				continue
			}
			if o, ok := p.val.(*object); ok && c.readOnly(o) {
				continue
			}
			val, err := c.schema(p.val, depth+1, want)
			if err != nil {
				return err
			}
			if want {
				needed = append(needed, p.key)
			}
			props.set(p.key, val)
		}
	}
	for _, name := range texts(flat.list("required")) { // required, but described nowhere
		if !flat.object("properties").has(name) && !slices.Contains(needed, any(name)) {
			needed = append(needed, name)
			if depth >= 0 {
				props.set(name, &object{})
			}
		}
	}
	out.put("required", needed)
	out.put("properties", props)
	switch v := flat.value("additionalProperties").(type) {
	case *object:
		if v.size() == 0 {
			break
		}
		val, err := c.schema(v, depth+1, false)
		if err != nil {
			return err
		}
		out.put("additionalProperties", val)
	case bool:
		if !v && props.size() > 0 {
			out.set("additionalProperties", false)
		}
	}
	return nil
}

// readOnly reports a property that an answer has and a request may not have.
func (c *compiler) readOnly(o *object) bool {
	if o.has("readOnly") {
		return o.flag("readOnly")
	}
	target, err := c.doc.resolve(o)
	return err == nil && target.flag("readOnly")
}

// alternatives writes oneOf and anyOf. The discriminator says which word belongs to which variant, so that a form
// fills it in.
func (c *compiler) alternatives(out, flat *object, depth int) error {
	for _, key := range []string{"oneOf", "anyOf"} {
		list, null := c.withoutNull(flat.list(key))
		if len(list) == 0 {
			continue
		}
		variants := make([]any, 0, len(list)+1)
		for _, raw := range list {
			v, err := c.schema(raw, depth+1, true)
			if err != nil {
				return err
			}
			variants = append(variants, v)
		}
		if null {
			variants = append(variants, &object{members: []member{{"type", "null"}}})
		}
		out.set(key, variants)
		if err := c.discriminator(out, flat.object("discriminator"), list); err != nil {
			return err
		}
	}
	return nil
}

// discriminator is written when every variant has a name; without a mapping the names are the words.
func (c *compiler) discriminator(out, d *object, list []any) error {
	tag := d.text("propertyName")
	if tag == "" {
		return nil
	}
	mapping := &object{}
	for _, raw := range list {
		ref := asObject(raw).text("$ref")
		name, known := c.names[ref]
		if !known {
			return nil
		}
		last := ref[strings.LastIndexByte(ref, '/')+1:]
		word := last
		for _, m := range d.object("mapping").all() {
			if to, ok := m.val.(string); ok && (to == ref || to == last) {
				word = m.key
				mapping.set(word, "#/schemas/"+name)
			}
		}
		if word == last {
			if fixed := c.fixedWord(raw, tag); fixed != "" {
				word = fixed
			}
			mapping.set(word, "#/schemas/"+name)
		}
	}
	out.set("discriminator", &object{members: []member{{"propertyName", tag}, {"mapping", mapping}}})
	return nil
}

// fixedWord is the one value that a variant itself allows for the member that tells it apart.
func (c *compiler) fixedWord(raw any, tag string) string {
	flat, err := c.flatten(raw)
	if err != nil {
		return ""
	}
	prop, err := c.flatten(flat.object("properties").value(tag))
	if err != nil {
		return ""
	}
	if enum := prop.list("enum"); len(enum) == 1 {
		word, _ := enum[0].(string)
		return word
	}
	return prop.text("const")
}

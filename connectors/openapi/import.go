package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
)

// Bounds of a manifest, which are those of every file that Bellhop reads.
const (
	MaxManifest = 256 << 10 // bytes
	maxWritten  = 19_000    // values and keys
	maxActions  = 500
)

// Options say what becomes of a document.
type Options struct {
	Name    string    // id of the connector; empty: made of the document's title
	Choose  []string  // which operations; see [Document.Operations]
	Source  string    // name of the file or address, for people; no secret in it
	From    string    // address that the document was downloaded from, to which relative servers refer; empty: a file
	Overlay string    // name of the overlay that was applied; may be empty
	Now     time.Time // the day of the import
}

// Result is a manifest and what a person should know about it.
type Result struct {
	Name     string      // id of the connector
	Manifest []byte      // the text of connectors/<name>.yaml
	Actions  []Operation // what it holds
	Notes    []Note
}

// Import writes a manifest with the chosen operations.
func (d *Document) Import(o Options) (*Result, error) {
	if len(o.Choose) == 0 {
		return nil, errors.New("no operation is chosen")
	}
	if len(d.ops) == 0 {
		return nil, ErrNoOperations
	}
	ops, err := d.choose(o.Choose)
	if err != nil {
		return nil, err
	}
	if len(ops) > maxActions {
		return nil, fmt.Errorf("%d operations are chosen, more than the %d that a manifest may have: choose by tag or path, and import the rest under another name", len(ops), maxActions)
	}
	name, err := d.name(o.Name)
	if err != nil {
		return nil, err
	}
	lines := max(1500, 50*len(ops))
	var b *builder
	var text []byte
	fits := func(how detail) bool {
		if b = newBuilder(d, o, name, how); err != nil {
			return true
		}
		if err = b.build(ops); err != nil {
			return true
		}
		if values(b.manifest) > 2*maxWritten { // no need to see it in full
			text = make([]byte, MaxManifest+1)
			return false
		}
		text = render(b.manifest, how.compact)
		return len(text) <= MaxManifest && bytes.Count(text, []byte{'\n'}) <= lines && values(b.manifest) <= maxWritten
	}
	if !fits(details[0]) {
		last := len(details) - 1
		best := sort.Search(last, func(i int) bool { return fits(details[i]) })
		if b.detail != details[best] {
			fits(details[best])
		}
	}
	if err != nil {
		return nil, err
	}
	if len(text) > MaxManifest || values(b.manifest) > maxWritten {
		return nil, b.tooLarge(text)
	}
	if b.c.cut {
		b.note(Note{Warning, "", "what is optional and deep inside was left open, so that the manifest stays readable: such a part is given as JSON; choose fewer operations to get it in full"})
	}
	return &Result{Name: name, Manifest: text, Actions: b.imported, Notes: b.notes}, nil
}

var goodName = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)

func (d *Document) name(given string) (string, error) {
	if given != "" {
		if !goodName.MatchString(given) {
			return "", fmt.Errorf("%q cannot be the id of a connector: use a-z, 0-9 and _, at most 40 of them", clip(given))
		}
		return given, nil
	}
	name := slug(d.Title())
	for _, tail := range []string{"_api", "_rest", "_openapi", "_http", "_public", "_specification", "_spec", "_v1", "_v2", "_v3"} {
		if short := strings.TrimSuffix(name, tail); short != "" {
			name = short
		}
	}
	name = strings.TrimRight(name[:min(len(name), maxID)], "_")
	if name == "" {
		return "", errors.New("the document has no title to make an id of: say --name")
	}
	return name, nil
}

// builder puts a manifest together.
type builder struct {
	doc *Document
	o   Options
	detail
	c        *compiler
	manifest *object
	triggers *object
	helpers  map[string]*helper
	imported []Operation
	notes    []Note
	fields   *object  // of the connection, which servers of their own need
	hosts    []string // of these servers
	own      []string // hosts of the other servers of single operations
	filed    string   // name of the schema of files; empty: there are none
}

func newBuilder(d *Document, o Options, name string, how detail) *builder {
	b := &builder{doc: d, o: o, detail: how, c: newCompiler(d, how), manifest: &object{}, triggers: &object{}, fields: &object{}, helpers: map[string]*helper{}}
	b.manifest.set("manifest", number("1"))
	b.manifest.set("id", name)
	return b
}

func (b *builder) note(n Note) { b.notes = appendNote(b.notes, n) }

// written is an operation with the parts of its action.
type written struct {
	*opened
	action *object
	inputs []*input
	paging *paging
}

func (b *builder) build(ops []*operation) error {
	b.notes = append([]Note(nil), b.doc.notes...)
	before := len(b.doc.notes)
	b.c.secrets = b.doc.secretParams(ops)
	var list []*written
	var lost error
	one := func(op *operation) (*written, error) {
		b.c.nodes, b.c.added, b.c.where = 0, nil, "actions."+op.id
		w, err := b.action(op)
		if err == nil {
			err = b.c.finish()
		}
		if err != nil {
			b.c.forget()
			lost = fmt.Errorf("%s: %w", op.name(), err)
			b.note(Note{LeftOut, op.name(), err.Error()})
			return nil, err
		}
		return w, nil
	}
	for _, op := range ops {
		if w, err := one(op); err == nil {
			list = append(list, w)
		}
	}
	if len(list) == 0 {
		return lost
	}
	list = b.help2(list, one)
	for _, n := range b.doc.notes[before:] {
		b.note(n)
	}
	for _, n := range b.c.notes {
		b.note(n)
	}
	return b.assemble(list)
}

// help2 adds the operations that forms need and nobody chose.
func (b *builder) help2(list []*written, one func(*operation) (*written, error)) []*written {
	for range 3 { // a helper may need another
		missing := make([]*operation, 0, len(b.helpers))
		for _, h := range b.helpers {
			if !slices.ContainsFunc(list, func(w *written) bool { return w.operation == h.op }) {
				missing = append(missing, h.op)
			}
		}
		sort.Slice(missing, func(i, j int) bool { return missing[i].id < missing[j].id })
		for _, op := range missing {
			if w, err := one(op); err == nil {
				w.action.set("show", "hidden")
				list = append(list, w)
			} else {
				delete(b.helpers, op.id)
			}
		}
	}
	for _, w := range list {
		if h := b.helpers[w.id]; h != nil && h.output != "response.body" {
			w.action.remove("pagination")
			w.action.set("output", h.output)
		}
	}
	return list
}

// values counts the values and keys of a manifest.
func values(v any) int {
	n := 1
	switch v := v.(type) {
	case commented:
		return values(v.val)
	case *object:
		for _, m := range v.all() {
			n += 1 + values(m.val)
		}
	case []any:
		for _, item := range v {
			n += values(item)
		}
	}
	return n
}

// tooLarge says which operations fill a manifest.
func (b *builder) tooLarge(text []byte) error {
	type size struct {
		name  string
		bytes int
	}
	var sizes []size
	for _, m := range b.manifest.object("actions").all() {
		action := asObject(m.val)
		sizes = append(sizes, size{action.text("operation"), weight(action) + b.reach(action)})
	}
	slices.SortStableFunc(sizes, func(a, b size) int { return b.bytes - a.bytes })
	var biggest []string
	for _, s := range sizes[:min(3, len(sizes))] {
		biggest = append(biggest, fmt.Sprintf("%s (%d KiB)", s.name, (s.bytes+1023)>>10))
	}
	if len(text) <= MaxManifest {
		return fmt.Errorf("the manifest would hold more than %d values: choose fewer operations, or several manifests with names of their own; the biggest of these %d are %s",
			maxWritten, len(b.imported), strings.Join(biggest, ", "))
	}
	return fmt.Errorf("the manifest would have %d KiB, more than the %d KiB that one may have: choose fewer operations, or several manifests with names of their own; the biggest of these %d are %s",
		(len(text)+1023)>>10, MaxManifest>>10, len(b.imported), strings.Join(biggest, ", "))
}

// assemble writes the parts that all actions share.
func (b *builder) assemble(list []*written) error {
	opened := make([]*opened, len(list))
	for i, w := range list {
		opened[i] = w.opened
	}
	place := b.doc.place(b.o.From)
	signIn := b.doc.signIn(opened, place.base, b.o.From, b.c.secrets)
	for _, n := range append(place.notes, signIn.notes...) {
		b.note(n)
	}
	m := b.manifest
	title := plainText(b.doc.Title())
	if title == "" {
		title = humanize(m.text("id"))
	}
	m.set("title", clip(title))
	m.set("version", "1.0.0")
	if docs := b.doc.root.object("externalDocs").text("url"); strings.HasPrefix(docs, "https://") && wireURL.MatchString(docs) {
		m.set("docs", docs)
	}
	source := &object{}
	source.set("document", b.o.Source)
	source.set("sha256", b.doc.sum[:16])
	source.set("imported", b.o.Now.Format(time.DateOnly))
	source.set("chosen", anys(b.o.Choose))
	source.put("overlay", b.o.Overlay)
	m.set("source", source)

	for _, f := range b.fields.all() {
		place.fields.set(f.key, f.val)
	}
	if len(b.hosts) > 0 && len(place.hosts) == 0 {
		place.hosts = withHost(nil, hostOf(place.base))
	}
	for _, h := range append(b.hosts, b.own...) {
		if len(place.hosts) > 0 || len(b.hosts) > 0 {
			place.hosts = withHost(place.hosts, h)
		}
	}
	connection := &object{}
	connection.put("fields", place.fields)
	if len(signIn.auth) > 0 {
		connection.set("auth", lead(signIn.auth, signIn.todo))
	}
	if test := b.test(list); test != nil && len(signIn.auth) > 0 {
		connection.set("test", test)
	}
	switch {
	case connection.size() == 0 && len(signIn.todo) > 0:
		m.set("connection", commented{connection, signIn.todo})
	case len(signIn.auth) == 0 && len(signIn.todo) > 0:
		m.set("connection", commented{connection, signIn.todo})
	case connection.size() > 0:
		m.set("connection", connection)
	}
	if len(place.hosts) > 0 {
		hosts := place.hosts
		for _, a := range signIn.auth {
			if c, ok := a.(commented); ok {
				a = c.val
			}
			hosts = withHost(hosts, hostOf(asObject(a).text("token_url")))
		}
		m.set("hosts", anys(hosts))
	}
	defaults := &object{}
	defaults.set("base_url", lead(place.base, place.todo))
	b.common(defaults, list, "encode", "json")
	b.styles(defaults, list)
	b.common(defaults, list, "idempotency", "")
	b.sharedPaging(defaults, list)
	m.set("defaults", defaults)
	m.put("schemas", b.used(list))
	actions := &object{}
	for _, w := range list {
		actions.set(w.id, w.action)
	}
	m.set("actions", actions)
	for _, w := range list {
		b.c.where = "actions." + w.id
		b.poll(w.opened, w.action)
	}
	m.put("triggers", b.triggers)
	for _, w := range list {
		b.imported = append(b.imported, Operation{
			ID: w.id, Operation: w.operation.name(), Method: w.method, Path: w.operation.path, Title: w.title(),
			Tags: append([]string{}, w.tags...), Deprecated: w.node.flag("deprecated"),
		})
	}
	return nil
}

var wireURL = regexp.MustCompile(`^https?://[A-Za-z0-9._~:/?#\[\]@!&'()*+,;=%-]+$`)

func hostOf(address string) string {
	_, rest, ok := strings.Cut(address, "://")
	if !ok || strings.Contains(address, "${{") {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// common moves the most frequent value of a key into the defaults; an action that differs keeps its own.
func (b *builder) common(defaults *object, list []*written, key, builtIn string) {
	count := map[string]int{}
	for _, w := range list {
		if w.action.has(key) {
			count[w.action.text(key)]++
		}
	}
	most := builtIn
	var values []string
	for v := range count {
		values = append(values, v)
	}
	sort.Strings(values)
	for _, v := range values {
		if count[v] > count[most] {
			most = v
		}
	}
	if most == "" || key == "idempotency" && count[most] < len(list) { // the others would inherit it
		return
	}
	if most != builtIn {
		defaults.set(key, most)
	}
	for _, w := range list {
		if w.action.text(key) == most {
			w.action.remove(key)
		}
	}
}

// styles writes once how lists and objects go into a query or a form, where all the inputs of an action, or of all
// actions, agree.
func (b *builder) styles(defaults *object, list []*written) {
	all := map[string]int{}
	for _, w := range list {
		for _, i := range w.inputs {
			if i.style != "" {
				all[i.style]++
			}
		}
	}
	for _, w := range list {
		props := w.action.object("input").object("properties")
		form := ""
		for _, i := range w.inputs {
			switch {
			case i.style == "":
			case len(all) == 1:
				if i.style != i.usual {
					defaults.set("style", i.style)
				}
			case i.form:
				if i.style != "form" {
					form = i.style
				}
			default:
				if i.style != i.usual {
					props.object(i.name).set("style", i.style)
				}
			}
		}
		if form == "" {
			continue
		}
		w.action.set("style", form)
		for _, i := range w.inputs {
			if !i.form && i.style == "form" {
				props.object(i.name).set("style", i.style)
			}
		}
	}
}

// sharedPaging puts the one rule that all paged actions have into the defaults.
func (b *builder) sharedPaging(defaults *object, list []*written) {
	var rule *object
	count := 0
	for _, w := range list {
		p := w.action.object("pagination")
		if p == nil {
			continue
		}
		if rule != nil && !equal(rule, p) {
			return
		}
		rule = p
		count++
	}
	if count < 2 {
		return
	}
	defaults.set("pagination", rule)
	for _, w := range list {
		if w.action.has("pagination") {
			w.action.set("pagination", true)
		}
	}
}

// test finds the call that tells whether a connection works: one that reads who is signed in.
func (b *builder) test(list []*written) *object {
	for _, w := range list {
		if w.method != "GET" || len(w.action.object("input").list("required")) > 0 || w.action.has("pagination") {
			continue
		}
		last := w.operation.path[strings.LastIndexByte(strings.TrimRight(w.operation.path, "/"), '/')+1:]
		switch strings.ToLower(strings.Trim(last, "/")) {
		case "me", "@me", "whoami", "user", "account", "auth.test", "self", "profile", "current_user", "currentuser":
			return &object{members: []member{{"use", w.id}}}
		}
	}
	return nil
}

// used lists the schemas that the actions name, and those that they name in turn.
func (b *builder) used(list []*written) *object {
	found := map[string]bool{}
	for _, w := range list {
		b.walk(w.action, found)
	}
	out := &object{}
	for _, m := range b.c.schemas.all() {
		if found[m.key] && m.val != nil {
			out.set(m.key, m.val)
		}
	}
	return out
}

// walk notes every schema that a value reaches.
func (b *builder) walk(v any, found map[string]bool) {
	switch v := v.(type) {
	case *object:
		if ref, ok := strings.CutPrefix(v.text("$ref"), "#/schemas/"); ok && !found[ref] {
			found[ref] = true
			b.walk(b.c.schemas.value(ref), found)
		}
		for _, m := range v.all() {
			b.walk(m.val, found)
		}
	case []any:
		for _, item := range v {
			b.walk(item, found)
		}
	}
}

// reach is how many bytes of schemas an action brings along.
func (b *builder) reach(action *object) int {
	found := map[string]bool{}
	b.walk(action, found)
	n := 0
	for name := range found {
		n += weight(b.c.schemas.value(name))
	}
	return n
}

// Line is the line of the manifest, from 1, that a note's Where names; 0 when it names none. A part that is only
// there as a comment counts.
func (r *Result) Line(where string) int {
	lines := strings.Split(string(r.Manifest), "\n")
	at, found := 0, 0
	for depth, part := range strings.Split(where, ".") {
		ok := false
		for ; at < len(lines) && !ok; at++ {
			line := strings.TrimPrefix(lines[at], "# ")
			ok = strings.HasPrefix(line, strings.Repeat("  ", depth)+part+":")
		}
		if !ok {
			break
		}
		found = at
	}
	return found
}

// Address is a URL as a manifest may keep it: without query and user, in which a token may be.
func Address(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL"
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	return u.String()
}

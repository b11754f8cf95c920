package openapi

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// paging is how an operation's pages are joined.
type paging struct {
	rule  *object  // `pagination` of the manifest
	drop  []string // query parameters that the runtime sets
	fixed []member // query: the largest page that the document allows
}

// identifier is a name that an expression reads with a dot.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// field is the expression for a member.
func field(of, name string) string {
	if identifier.MatchString(name) {
		return of + "." + name
	}
	return of + "[" + strconv.Quote(name) + "]"
}

// paging guesses how to read all pages, and only where the document leaves no doubt: a wrong guess would lose data,
// none at all is one line to write.
func (c *compiler) paging(o *opened) *paging {
	if o.method != "GET" || o.answer == nil || !isJSON(o.answer.media) {
		return nil
	}
	body, err := c.flatten(o.answer.schema)
	if err != nil {
		return nil
	}
	items, entry := c.itemsOf(body)
	if items == "" {
		return nil
	}
	p := &paging{rule: &object{}}
	p.rule.set("strategy", "")
	p.rule.set("items", items)
	if !c.strategy(o, p, body, entry) {
		return nil
	}
	if !p.size(o) {
		return nil
	}
	return p
}

// itemsOf finds the one list of an answer, and the schema of its entries.
func (c *compiler) itemsOf(body *object) (path string, entry *object) {
	types, _ := c.types(body)
	if slices.Equal(types, []string{"array"}) {
		entry, _ = c.flatten(body.value("items"))
		return "response.body", entry
	}
	for _, p := range body.object("properties").all() {
		flat, err := c.flatten(p.val)
		if err != nil {
			return "", nil
		}
		if types, _ := c.types(flat); !slices.Contains(types, "array") {
			continue
		}
		if path != "" {
			return "", nil // two lists: which of them is meant is a guess
		}
		path = field("response.body", p.key)
		entry, _ = c.flatten(flat.value("items"))
	}
	return path, entry
}

func (o *opened) query(names ...string) *parameter {
	for _, name := range names {
		for _, p := range o.params {
			if p.in == "query" && p.name == name {
				return p
			}
		}
	}
	return nil
}

// Names of cursors in an answer, with the parameters that they are sent back in.
var cursors = []struct {
	path   []string
	params []string
}{
	{[]string{"response_metadata", "next_cursor"}, []string{"cursor"}},
	{[]string{"meta", "next_cursor"}, []string{"cursor"}},
	{[]string{"pagination", "next_cursor"}, []string{"cursor"}},
	{[]string{"pagination", "cursor"}, []string{"after"}},
	{[]string{"paging", "next", "after"}, []string{"after"}},
	{[]string{"next_cursor"}, []string{"cursor", "start_cursor", "next_cursor"}},
	{[]string{"nextCursor"}, []string{"cursor", "nextCursor"}},
	{[]string{"cursor"}, []string{"cursor"}},
	{[]string{"next_page_token"}, []string{"page_token", "next_page_token"}},
	{[]string{"nextPageToken"}, []string{"pageToken", "nextPageToken"}},
	{[]string{"meta", "next_token"}, []string{"pagination_token", "next_token"}},
	{[]string{"next_token"}, []string{"next_token", "token"}},
	{[]string{"nextToken"}, []string{"nextToken"}},
}

func (c *compiler) strategy(o *opened, p *paging, body, entry *object) bool {
	use := func(strategy string, more ...member) bool {
		p.rule.set("strategy", strategy)
		for _, m := range more {
			p.rule.set(m.key, m.val)
		}
		return true
	}
	for _, h := range o.answer.node.object("headers").all() {
		if strings.EqualFold(h.key, "link") && o.query("page", "cursor", "after", "since") != nil {
			p.drop = []string{"page"}
			return use("link_header")
		}
	}
	for _, cursor := range cursors {
		param := o.query(cursor.params...)
		if param == nil || !c.hasText(body, cursor.path) {
			continue
		}
		p.drop = []string{param.name}
		return use("cursor", member{"next", optional("response.body", cursor.path)}, member{"to", "query." + param.name})
	}
	if more := body.object("properties").has("has_more"); more {
		stop := member{"stop", "response.body.has_more == false"}
		if param := o.query("starting_after", "after"); param != nil {
			p.drop = []string{"starting_after", "after", "ending_before", "before"}
			to := member{"to", "query." + param.name}
			if c.hasText(body, []string{"last_id"}) {
				return use("cursor", member{"next", "response.body.last_id"}, to, stop)
			}
			if entry.object("properties").has("id") {
				return use("cursor", member{"next", "last(" + p.rule.text("items") + ")?.id"}, to, stop)
			}
		}
	}
	for _, name := range []string{"next_page_uri", "next_page_url", "next_url", "nextPageUrl", "@odata.nextLink", "next"} {
		prop, err := c.flatten(body.object("properties").value(name))
		if err != nil || prop == nil {
			continue
		}
		if types, _ := c.types(prop); !slices.Contains(types, "string") {
			continue
		}
		if name == "next" && prop.text("format") != "uri" && !strings.Contains(strings.ToLower(prop.text("description")), "url") {
			continue
		}
		p.drop = []string{"page", "offset"}
		return use("next_url", member{"next", field("response.body", name)})
	}
	if param := o.query("offset", "skip"); param != nil && o.query("limit", "per_page", "page_size", "count", "top") != nil && c.isInteger(param) {
		p.drop = []string{param.name}
		return use("offset", member{"to", "query." + param.name})
	}
	if param := o.query("page", "page_number"); param != nil && c.isInteger(param) {
		schema, err := c.flatten(param.schema)
		first, described := whole(schema.value("default"))
		if least, ok := whole(schema.value("minimum")); !described {
			first, described = least, ok
		}
		if err == nil && described && first == 1 {
			p.drop = []string{param.name}
			return use("page", member{"to", "query." + param.name})
		}
	}
	return false
}

func optional(root string, path []string) string {
	out := field(root, path[0])
	for _, name := range path[1:] {
		out += "?." + name
	}
	return out
}

func (c *compiler) isInteger(p *parameter) bool {
	schema, err := c.flatten(p.schema)
	if err != nil {
		return false
	}
	types, _ := c.types(schema)
	return slices.Contains(types, "integer") || slices.Contains(types, "number")
}

func (c *compiler) hasText(body *object, path []string) bool {
	at := body
	for _, name := range path {
		next, err := c.flatten(at.object("properties").value(name))
		if err != nil || next == nil {
			return false
		}
		at = next
	}
	types, _ := c.types(at)
	return slices.Contains(types, "string")
}

// size asks for large pages where the document says how large one may be. The input `limit` is the runtime's: it
// counts entries over all pages. It reports whether pages can be read at all.
func (p *paging) size(o *opened) bool {
	for _, param := range o.params {
		if param.in == "query" && param.required && slices.Contains(p.drop, param.name) && p.rule.text("strategy") != "offset" && p.rule.text("strategy") != "page" {
			return false // the first page needs one already
		}
	}
	param := o.query("limit", "per_page", "page_size", "pageSize", "maxResults", "max_results")
	if param == nil {
		return true
	}
	most, ok := whole(param.schema.value("maximum"))
	if !ok && param.required {
		most, ok = whole(param.schema.value("default"))
		if !ok {
			return false
		}
	}
	if ok && most > 0 {
		p.fixed = append(p.fixed, member{param.name, number(strconv.Itoa(min(most, 100)))})
	}
	if ok || param.name == "limit" {
		p.drop = append(p.drop, param.name)
	}
	return true
}

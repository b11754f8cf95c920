package openapi

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// place is where the requests go.
type place struct {
	base   string   // base_url: may hold ${{ connection.x }}
	hosts  []string // where secrets may go; nil: the host of base
	fields *object  // what a connection has to say
	notes  []Note
	todo   []string // comments before base_url
}

// unknownBase never resolves (RFC 6761), so that a manifest nobody completed calls nobody.
const unknownBase = "https://fill-in.invalid"

// place reads the servers of the document. from is the address that the document came from; empty: a file.
func (d *Document) place(from string) *place {
	p := &place{fields: &object{}}
	var servers []*object
	if d.version == "2.0" {
		servers = d.swaggerServers()
	} else {
		for _, raw := range d.root.several("servers") {
			s := asObject(raw)
			if text, ok := raw.(string); ok {
				s = &object{members: []member{{"url", text}}}
			}
			if strings.TrimSpace(s.text("url")) != "" {
				servers = append(servers, s)
			}
		}
	}
	p.read(servers, from)
	return p
}

func (d *Document) swaggerServers() []*object {
	host := strings.TrimSpace(d.root.text("host"))
	base := strings.TrimRight(d.root.text("basePath"), "/")
	if base != "" && base[0] != '/' {
		base = "/" + base
	}
	if host == "" {
		if base == "" {
			return nil
		}
		return []*object{{members: []member{{"url", base}}}}
	}
	scheme := "https"
	if before, after, ok := strings.Cut(host, "://"); ok { // against the specification, and meant so
		scheme, host = before, strings.TrimRight(after, "/")
	} else if schemes := texts(d.root.list("schemes")); len(schemes) > 0 && !slices.Contains(schemes, "https") && slices.Contains(schemes, "http") {
		scheme = "http"
	}
	return []*object{{members: []member{{"url", scheme + "://" + host + base}}}}
}

func (p *place) ask(where, comment, format string, args ...any) {
	p.todo = append(p.todo, comment)
	p.notes = append(p.notes, Note{FillIn, where, fmt.Sprintf(format, args...)})
}

func (p *place) read(servers []*object, from string) {
	if len(servers) == 0 {
		servers = []*object{{members: []member{{"url", "/"}}}}
	}
	slices.SortStableFunc(servers, func(a, b *object) int { return reach(a, from) - reach(b, from) })
	first := servers[0]
	address := absolute(strings.TrimSpace(first.text("url")), from)
	if address == "" {
		path := strings.TrimRight(first.text("url"), "/")
		if path != "" && path[0] != '/' || strings.ContainsAny(path, "{} $") {
			path = ""
		}
		p.base = unknownBase + path
		p.ask("defaults.base_url", "the document does not say which host answers: write its address here",
			"the document does not say which host answers: write its address instead of %s", unknownBase)
		return
	}
	if strings.Contains(address, "{") {
		p.variables(first, address)
		if len(servers) > 1 {
			p.notes = append(p.notes, Note{Warning, "defaults.base_url", fmt.Sprintf("the document has %d servers: the first is written", len(servers))})
		}
		return
	}
	p.base = literal(address)
	if u, err := url.Parse(address); err == nil && yours.MatchString(u.Hostname()) {
		p.ask("defaults.base_url", "your own host belongs here", "%q stands for a host of yours: write its address", clip(u.Host))
	} else if err == nil && !strings.ContainsAny(u.Hostname(), ".:") && u.Hostname() != "localhost" {
		p.ask("defaults.base_url", "this is no full name of a host: write yours", "%q is no full name of a host: write the address of yours", clip(u.Host))
	}
	var all []string
	for _, s := range servers {
		if a := strings.TrimRight(absolute(strings.TrimSpace(s.text("url")), from), "/"); a != "" && !strings.Contains(a, "{") && !slices.Contains(all, a) && len(all) < 20 {
			all = append(all, a)
		}
	}
	if len(all) > 1 {
		field := &object{}
		field.set("type", "string")
		field.set("title", "Server")
		field.set("enum", anys(all))
		field.set("default", all[0])
		p.fields.set("server", field)
		p.base = "${{ connection.server }}"
		for _, a := range all {
			if u, err := url.Parse(a); err == nil {
				p.hosts = withHost(p.hosts, u.Hostname())
			}
		}
	}
	if strings.HasPrefix(address, "http://") && !local(address) {
		p.todo = append(p.todo, "the document says http: secrets travel in the clear; write https if the service has it")
		p.notes = append(p.notes, Note{Warning, "defaults.base_url", "the document says http, so secrets travel in the clear: write https if the service has it"})
	}
}

// withHost adds a host to those where secrets may go, unless it is one already or none that a manifest can name.
func withHost(hosts []string, host string) []string {
	host = strings.ToLower(host)
	if host == "" || strings.ContainsAny(strings.TrimPrefix(host, "*."), "*/@ ?#") || slices.Contains(hosts, host) {
		return hosts
	}
	return append(hosts, host)
}

// reach ranks a server by how well it can be called: a relative one comes last, one of the author's machine before it.
func reach(server *object, from string) int {
	switch address := absolute(strings.TrimSpace(server.text("url")), from); {
	case address == "":
		return 3
	case !strings.Contains(address, "{") && local(address):
		return 2
	case strings.HasPrefix(address, "http://"):
		return 1
	}
	return 0
}

// absolute makes a server's URL absolute; a relative one is meant relative to the address of the document.
func absolute(server, from string) string {
	if rest, ok := strings.CutPrefix(server, "//"); ok {
		server = "https://" + rest
	}
	if strings.HasPrefix(server, "{") && strings.Contains(server, "://") || strings.HasPrefix(server, "http://") || strings.HasPrefix(server, "https://") {
		plain := placeholder.ReplaceAllString(portVariable.ReplaceAllString(server, ":1"), "x")
		if u, err := url.Parse(plain); err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(server, " \"'<>\\") || strings.Contains(server, "${{") {
			return ""
		}
		return strings.TrimRight(dropQuery(server), "/")
	}
	if host, _, _ := strings.Cut(server, "/"); bareHost.MatchString(host) {
		return absolute("https://"+server, from)
	}
	base, err := url.Parse(from)
	if err != nil || base.Host == "" || strings.Contains(server, "{") {
		return ""
	}
	ref, err := url.Parse(server)
	if err != nil || ref.Scheme != "" {
		return ""
	}
	base.User = nil
	u := base.ResolveReference(ref)
	u.RawQuery, u.Fragment = "", ""
	return strings.TrimRight(u.String(), "/")
}

var (
	portVariable = regexp.MustCompile(`:\{[^{}/]*\}`)
	bareHost     = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}(:[0-9]+)?$`) // a host whose scheme was forgotten
)

func dropQuery(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		return s[:i]
	}
	return s
}

func local(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := u.Hostname()
	return host == "localhost" || strings.HasPrefix(host, "127.") || host == "::1" || !strings.Contains(host, ".")
}

// variables makes fields of the connection of a server's variables.
func (p *place) variables(server *object, address string) {
	vars := server.object("variables")
	names := map[string]string{}
	for _, m := range placeholder.FindAllStringSubmatch(address, -1) {
		name := m[1]
		v := vars.object(name)
		field := ownField(slug(name), "server")
		if field == "" || p.fields.has(field) && names[name] == "" {
			field = fmt.Sprintf("part_%d", len(names)+1)
		}
		if names[name] != "" {
			continue
		}
		names[name] = field
		f := &object{}
		f.set("type", "string")
		f.set("title", humanize(name))
		f.put("description", firstSentence(v.text("description"), 160))
		enum := texts(v.list("enum"))
		if len(enum) > 0 {
			f.set("enum", anys(enum))
		} else {
			f.set("pattern", "^[A-Za-z0-9._-]+$") // it becomes a part of an address: no slash, no colon
			if strings.HasPrefix(address, "{"+name+"}://") {
				f.remove("pattern")
				f.set("enum", []any{"https", "http"})
			} else if def := v.text("default"); strings.ContainsAny(def, "/:") {
				f.set("pattern", "^[A-Za-z0-9._:/-]+$")
			}
		}
		standIn := strings.Contains(address, "://{"+name+"}") && len(enum) == 0 && !wireHost.MatchString(hostname(v.text("default")))
		if def := v.text("default"); def != "" && !standIn && (len(enum) == 0 || slices.Contains(enum, def)) {
			f.set("default", def)
		} else if len(enum) == 0 {
			p.notes = append(p.notes, Note{FillIn, "connection.fields." + field, fmt.Sprintf("each connection has to say its %s", humanize(name))})
		}
		p.fields.set(field, f)
	}
	var base strings.Builder
	rest := address
	for {
		at := placeholder.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		base.WriteString(literal(rest[:at[0]]))
		base.WriteString("${{ connection." + names[rest[at[2]:at[3]]] + " }}")
		rest = rest[at[1]:]
	}
	base.WriteString(literal(rest))
	p.base = base.String()
	p.hostsOf(address, vars)
}

// hostsOf writes which hosts the variables can make.
func (p *place) hostsOf(address string, vars *object) {
	_, host, _ := strings.Cut(address, "://")
	host, _, _ = strings.Cut(host, "/")
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host[:i], "{") {
		host = host[:i]
	}
	open := func() {
		p.notes = slices.DeleteFunc(p.notes, func(n Note) bool { return n.Where == "hosts" })
		p.todo = nil
		p.ask("hosts", "which hosts may get the secrets? The document leaves it open", "the document leaves the host open: write yours instead of %s", strings.TrimPrefix(unknownBase, "https://"))
		p.hosts = []string{strings.TrimPrefix(unknownBase, "https://")}
	}
	for _, m := range placeholder.FindAllStringSubmatch(host, -1) { // one that begins the path, as in https://host{basePath}
		if strings.HasPrefix(vars.object(m[1]).text("default"), "/") {
			host, _, _ = strings.Cut(host, m[0])
		}
	}
	hosts := []string{host}
	for _, m := range placeholder.FindAllStringSubmatch(host, -1) {
		v := vars.object(m[1])
		values := texts(v.list("enum"))
		if len(values) == 0 {
			switch {
			case strings.HasPrefix(host, m[0]+".") && strings.Count(host, ".") >= 2:
				values = []string{"*"}
			case v.text("default") != "":
				values = []string{v.text("default")}
				p.ask("hosts", "if your host is another one than these, add it", "the host depends on %q: add yours to hosts if it is another one than its default", m[1])
			default:
				open()
				return
			}
		}
		var next []string
		for _, h := range hosts {
			for _, val := range values {
				val, _, _ = strings.Cut(val, "/")
				if with := strings.ReplaceAll(h, m[0], val); !slices.Contains(next, with) && len(next) < 50 {
					next = append(next, with)
				}
			}
		}
		hosts = next
	}
	for i, h := range hosts {
		hosts[i] = strings.ToLower(h)
		if !wireHost.MatchString(hosts[i]) { // such as HOSTNAME or <your-domain>
			open()
			return
		}
	}
	p.hosts = hosts
}

// yours is a host that a document only has as an example, such as your-domain.example.com.
var yours = regexp.MustCompile(`(?i)(^|[.-])(your|my)[-_]?(own[-_]?)?(domain|company|host|hostname|server|subdomain|instance|account|tenant|org|organization|site|team|shop|store|workspace)([.-]|$)`)

// hostname is the host of a value that stands for a host and may have a port and a path behind it.
func hostname(s string) string {
	s, _, _ = strings.Cut(s, "/")
	s, _, _ = strings.Cut(s, ":")
	return strings.ToLower(s)
}

// wireHost is a name that can be one of a host: localhost, or with a dot in it.
var wireHost = regexp.MustCompile(`^(localhost|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)+)$`)

// literal writes a text of a stranger where templates are read, so that none of it is an expression.
func literal(s string) string { return strings.ReplaceAll(s, "${{", "$${{") }

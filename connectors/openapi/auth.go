package openapi

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// signIn writes the ways to sign in that the chosen operations have.
type signIn struct {
	doc   *Document
	base  string // base_url, for token addresses that are relative
	from  string
	auth  []any
	ids   map[string]bool
	notes []Note
	todo  []string // comments before auth
}

// signIn looks at the security of the operations, else of the document, else at every scheme that is declared.
func (d *Document) signIn(ops []*opened, base, from string, secrets map[[2]string]*object) *signIn {
	s := &signIn{doc: d, base: base, from: from, ids: map[string]bool{}}
	schemes := d.root.object("components").object("securitySchemes")
	if d.version == "2.0" {
		schemes = d.root.object("securityDefinitions")
	}
	scopes := map[string][]string{}
	var sets [][]string
	add := func(requirement *object) {
		var names []string
		for _, m := range requirement.all() {
			names = append(names, m.key)
			for _, scope := range texts(requirement.list(m.key)) {
				if !slices.Contains(scopes[m.key], scope) {
					scopes[m.key] = append(scopes[m.key], scope)
				}
			}
		}
		if len(names) > 0 && !slices.ContainsFunc(sets, func(have []string) bool { return slices.Equal(have, names) }) {
			sets = append(sets, names)
		}
	}
	anonymous := len(ops) > 0
	for _, op := range ops {
		list, own := op.node.several("security"), op.node.has("security") && op.node.value("security") != nil
		if !own {
			list = d.root.several("security")
		}
		for _, r := range list {
			add(asObject(r))
		}
		anonymous = anonymous && own && len(list) == 0
	}
	if anonymous {
		return s // the document says that these need no signing in
	}
	if len(secrets) > 0 {
		s.fromParams(secrets)
		return s
	}
	if len(sets) == 0 && schemes.size() == 0 && s.fromHeader(ops) {
		return s
	}
	if len(sets) == 0 {
		for _, m := range schemes.all() {
			sets = append(sets, []string{m.key})
		}
		if len(sets) > 0 {
			s.todo = append(s.todo, "the document declares these ways to sign in, but not which of them an operation needs")
			s.notes = append(s.notes, Note{Warning, "connection.auth", "the document declares ways to sign in, but not which of them an operation needs: all are written"})
		}
	}
	for _, set := range sets {
		s.add(set, schemes, scopes)
	}
	if len(s.auth) == 0 {
		s.todo = append(s.todo, "how does a caller sign in? The document does not say. If it needs no key, leave this out; else uncomment one:",
			"auth:",
			`  - {id: token, type: bearer, labels: {token: Token}}`,
			`  - {id: key, type: keys, secrets: {key: {title: API key}}, apply: {header.X-API-Key: "${{ secret.key }}"}}`,
			`  - {id: basic, type: basic}`)
		s.notes = append(s.notes, Note{FillIn, "connection.auth", "the document does not say how a caller signs in: the manifest has three ways to uncomment"})
	}
	return s
}

var (
	keyName = regexp.MustCompile(`^(x?(api|app|access|auth|subscription)(key|token|secret)|ocpapimsubscriptionkey|apiid|appid)$`)
	keyWord = regexp.MustCompile(`^(key|token|apikeyid)$`) // only with a description that says so
	keyText = regexp.MustCompile(`(?i)\b(api|app|access|auth\w*|your|license)[ _-]?(key|token|id)\b`)
)

// secretParams finds the parameters that hold a key, where a document declares no way to sign in and every operation
// takes them. Left among the inputs, the key would stand in each workflow.
func (d *Document) secretParams(ops []*operation) map[[2]string]*object {
	if d.root.object("components").object("securitySchemes").size() > 0 || d.root.object("securityDefinitions").size() > 0 {
		return nil
	}
	var all map[[2]string]*object
	for _, op := range ops {
		found := map[[2]string]*object{}
		for _, raw := range append(slices.Clone(op.item.list("parameters")), op.node.list("parameters")...) {
			p, err := d.resolve(raw)
			name, in := strings.TrimSpace(p.text("name")), p.text("in")
			if err != nil || in != "query" && in != "header" || p.object("schema").has("enum") || p.has("enum") {
				continue
			}
			plain := plainName(name)
			at := [2]string{in, name}
			if (keyName.MatchString(plain) || keyWord.MatchString(plain) && keyText.MatchString(p.text("description"))) && (all == nil || all[at] != nil) {
				found[at] = p
			}
		}
		if all = found; len(all) == 0 {
			return nil
		}
	}
	return all
}

func plainName(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(name))
}

// fromParams writes keys that the document has among the parameters.
func (s *signIn) fromParams(secrets map[[2]string]*object) {
	places := slices.SortedFunc(maps.Keys(secrets), func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) })
	var names []string
	var found []*object
	known := map[string]bool{}
	for _, at := range places { // headers first: one key may have a place in the query as well
		plain := strings.TrimPrefix(plainName(at[1]), "x")
		if known[plain] {
			continue
		}
		known[plain] = true
		names, found = append(names, at[1]), append(found, &object{members: []member{{"name", at[1]}, {"in", at[0]}}})
	}
	s.keys(names, found)
	s.notes = append(s.notes, Note{Warning, "connection.auth", fmt.Sprintf("the document declares no way to sign in, but every operation takes %s: written as the key of a connection", strings.Join(names, " and "))})
}

// fromHeader reads a document that has its way to sign in as a parameter, the header Authorization.
func (s *signIn) fromHeader(ops []*opened) bool {
	for _, op := range ops {
		if !op.authorized {
			continue
		}
		s.write(&object{members: []member{{"id", s.id("token")}, {"type", "bearer"}, {"labels", &object{members: []member{{"token", "Token"}}}}}})
		s.notes = append(s.notes, Note{Warning, "connection.auth", "the document declares no way to sign in, but its operations take the header Authorization: written as a token that is sent as Bearer"})
		return true
	}
	return false
}

func (s *signIn) id(name string) string {
	id := slug(name)
	if id == "" {
		id = "auth"
	}
	id = id[:min(len(id), 30)]
	base := id
	for i := 2; s.ids[id]; i++ {
		id = fmt.Sprintf("%s_%d", base, i)
	}
	s.ids[id] = true
	return id
}

// add writes one way; a set of several schemes is one way that needs them all.
func (s *signIn) add(set []string, schemes *object, scopes map[string][]string) {
	var found []*object
	var names []string
	for _, name := range set {
		node, err := s.doc.resolve(schemes.value(name))
		if err != nil || node == nil {
			s.notes = append(s.notes, Note{Warning, "connection.auth", fmt.Sprintf("the document asks for %q to sign in, but describes it nowhere", clip(name))})
			continue
		}
		found, names = append(found, node), append(names, name)
	}
	if len(found) == 0 {
		return
	}
	if len(found) == 1 {
		s.one(names[0], found[0], scopes[names[0]])
		return
	}
	main := slices.IndexFunc(found, isNoKey)
	if main < 0 {
		s.keys(names, found)
		return
	}
	others := slices.Delete(slices.Clone(found), main, main+1)
	if !slices.ContainsFunc(found, func(o *object) bool { return o.text("type") != "oauth2" }) { // one with several flows, as Google has it
		i := max(0, slices.IndexFunc(found, func(o *object) bool {
			return o.text("flow") != "implicit" && !(o.object("flows").size() == 1 && o.object("flows").has("implicit"))
		}))
		s.one(names[i], found[i], scopes[names[i]])
		return
	}
	if slices.ContainsFunc(others, func(o *object) bool {
		return isNoKey(o) || strings.EqualFold(strings.TrimSpace(o.text("name")), "Authorization")
	}) {
		s.notes = append(s.notes, Note{Warning, "connection.auth", fmt.Sprintf("some operations need %s together: each is written on its own", strings.Join(names, " and "))})
		for i, node := range found {
			s.one(names[i], node, scopes[names[i]])
		}
		return
	}
	s.both(strings.Join(names, " "), found[main], scopes[names[main]], slices.Delete(slices.Clone(names), main, main+1), others)
}

// ownField is a name for a field or a secret of a connection, where some have a meaning of their own.
func ownField(name, kind string) string {
	if name == "" {
		return ""
	}
	switch name[:min(len(name), 36)] {
	case "connector", "auth", "hosts", "signing_secret", "base_url", "key", "token", "username", "password", "client_id", "client_secret", "url":
		return kind + "_" + name
	}
	if name = name[:min(len(name), 36)]; name[0] < 'a' || name[0] > 'z' {
		return kind + "_" + name[:min(len(name), 32)]
	}
	return name
}

func isNoKey(scheme *object) bool { return !strings.EqualFold(scheme.text("type"), "apiKey") }

// both writes a way that needs keys beside it, such as a token and the key of a subscription.
func (s *signIn) both(name string, main *object, scopes, names []string, keys []*object) {
	before := len(s.auth)
	s.one(name, main, scopes)
	secrets, apply, _ := s.parts(names, keys, true)
	for _, a := range s.auth[before:] {
		auth := asObject(a)
		if auth == nil || secrets.size() == 0 {
			continue
		}
		all := auth.object("secrets").clone()
		for _, m := range secrets.all() {
			all.set(m.key, m.val)
		}
		to := auth.object("apply").clone()
		switch auth.text("type") {
		case "basic":
			to.set("header.Authorization", "Basic ${{ base64(secret.username + ':' + (secret.password ?? '')) }}")
		case "bearer", "oauth2":
			to.set("header.Authorization", "Bearer ${{ secret.token }}")
		}
		for _, m := range apply.all() {
			to.set(m.key, m.val)
		}
		auth.set("secrets", all)
		auth.set("apply", to)
	}
}

func (s *signIn) one(name string, node *object, scopes []string) {
	warn := func(format string, args ...any) {
		s.notes = append(s.notes, Note{Warning, "connection.auth", fmt.Sprintf("%q: ", clip(name)) + fmt.Sprintf(format, args...)})
	}
	switch kind := node.text("type"); strings.ToLower(kind) {
	case "apikey":
		if strings.EqualFold(node.text("x-amazon-apigateway-authtype"), "awsSigv4") {
			s.sigv4(name)
			return
		}
		s.keys([]string{name}, []*object{node})
	case "basic":
		s.write(&object{members: []member{{"id", s.id(name)}, {"type", "basic"}}})
	case "http":
		switch scheme := strings.ToLower(node.text("scheme")); scheme {
		case "basic":
			s.write(&object{members: []member{{"id", s.id(name)}, {"type", "basic"}}})
		case "bearer", "oauth", "token", "":
			if scheme == "token" {
				s.write(s.header(name, "Token", "Authorization", "Token "))
				return
			}
			s.write(&object{members: []member{{"id", s.id(name)}, {"type", "bearer"}, {"labels", &object{members: []member{{"token", "Token"}}}}}})
		default:
			warn("HTTP %s is not spoken: write another way to sign in", clip(scheme))
		}
	case "oauth2":
		s.oauth2(name, node, scopes, warn)
	case "openidconnect":
		warn("OpenID Connect is written as a token that a person enters; to fetch one, write type: oauth2 with the addresses of %s", clip(node.text("openIdConnectUrl")))
		s.write(&object{members: []member{{"id", s.id(name)}, {"type", "bearer"}, {"labels", &object{members: []member{{"token", "Token"}}}}}})
	case "mutualtls":
		warn("client certificates are not spoken")
	default:
		warn("type %q is unknown: write how a caller signs in", clip(kind))
	}
}

var awsHost = regexp.MustCompile(`^https?://([a-z0-9-]+\.)?([a-z0-9-]+)\.([a-z]{2}(?:-[a-z]+)+-[0-9])\.amazonaws\.com`)

// sigv4 writes AWS Signature Version 4. The service and the region are those of the address.
func (s *signIn) sigv4(name string) {
	region, service := "us-east-1", s.doc.root.object("info").text("x-aws-signingName")
	known := false
	if m := awsHost.FindStringSubmatch(s.base); m != nil {
		region, known = m[3], true
		service = orElse(service, m[2])
	}
	if strings.Contains(s.base, "${{ connection.region }}") {
		region, known = "${{ connection.region }}", true
	}
	if service == "" {
		_, rest, _ := strings.Cut(s.base, "://")
		service, _, _ = strings.Cut(rest, ".")
	}
	auth := &object{members: []member{{"id", s.id(name)}, {"type", "sigv4"}, {"region", region}, {"service", literal(service)}}}
	if !known {
		s.notes = append(s.notes, Note{FillIn, "connection.auth", "the document does not say which region of AWS the requests are signed for: us-east-1 is written"})
		s.write(commented{auth, []string{"the region that requests are signed for, and the name of the service"}})
		return
	}
	s.write(auth)
}

func (s *signIn) write(auth any) { s.auth = append(s.auth, auth) }

func (s *signIn) header(name, title, header, prefix string) *object {
	return &object{members: []member{
		{"id", s.id(name)},
		{"type", "keys"},
		{"secrets", &object{members: []member{{"key", &object{members: []member{{"title", title}}}}}}},
		{"apply", &object{members: []member{{"header." + header, literal(prefix) + "${{ secret.key }}"}}}},
	}}
}

var (
	wireName = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~-]+$`)
	// A prefix that the description spells out, such as `Authorization: Bot <token>` or "Bearer {key}".
	prefixed = regexp.MustCompile(`(?i)(?:authorization\s*[:=]?\s*['"` + "`" + `]?\s*)?\b(bearer|bot|token|basic|apikey|sso-key)\s+(?:[<{\[$]|your[ _-]|x{3}|token\b|api[ _-]?key)`)
)

// keys writes schemes that each put a key into a header, the query or a cookie.
func (s *signIn) keys(names []string, found []*object) {
	secrets, apply, todo := s.parts(names, found, len(found) > 1)
	if secrets.size() == 0 {
		return
	}
	auth := &object{members: []member{{"id", s.id(strings.Join(names, "_"))}, {"type", "keys"}, {"secrets", secrets}, {"apply", apply}}}
	if todo != "" {
		s.write(commented{auth, []string{todo}})
		return
	}
	s.write(auth)
}

// parts are the secrets of keys and where they go. Of several, each has the name of its place.
func (s *signIn) parts(names []string, found []*object, several bool) (secrets, apply *object, todo string) {
	secrets, apply = &object{}, &object{}
	for i, node := range found {
		wire, in := strings.TrimSpace(node.text("name")), node.text("in")
		if in != "query" && in != "cookie" {
			in = "header"
		}
		if !wireName.MatchString(wire) {
			s.notes = append(s.notes, Note{Warning, "connection.auth", fmt.Sprintf("%q: the document does not name the %s of the key", clip(names[i]), in)})
			continue
		}
		secret, title := "key", "API key"
		if several {
			secret, title = ownField(slug(wire), "key"), humanize(strings.TrimPrefix(strings.TrimPrefix(wire, "x-"), "X-"))
		}
		if secrets.has(secret) || secret == "" {
			secret = fmt.Sprintf("key_%d", i+1)
		}
		if d := firstSentence(node.text("description"), 60); d != "" && prefixed.FindString(d) == "" && !strings.HasSuffix(d, "…") && !several {
			title = strings.TrimRight(d, ".")
		}
		prefix := ""
		if in == "header" && strings.EqualFold(wire, "Authorization") {
			if m := prefixed.FindStringSubmatch(node.text("description")); m != nil {
				prefix = strings.ToUpper(m[1][:1]) + m[1][1:] + " "
			} else {
				todo = "if the service wants a word such as Bearer before the key, write it before ${{"
				s.notes = append(s.notes, Note{FillIn, "connection.auth", "the key goes into Authorization as it is: if the service wants a word such as Bearer before it, write it in apply"})
			}
		}
		secrets.set(secret, &object{members: []member{{"title", title}}})
		apply.set(in+"."+wire, prefix+"${{ secret."+secret+" }}")
	}
	return secrets, apply, todo
}

// oauth2 writes each flow that a server can take part in.
func (s *signIn) oauth2(name string, node *object, wanted []string, warn func(string, ...any)) {
	type flow struct {
		word string
		node *object
	}
	var flows []flow
	if s.doc.version == "2.0" {
		word := map[string]string{"accessCode": "authorization_code", "application": "client_credentials", "password": "password", "implicit": "implicit"}[node.text("flow")]
		flows = []flow{{word, node}}
	} else {
		for _, m := range node.object("flows").all() {
			word := map[string]string{
				"authorizationCode": "authorization_code", "clientCredentials": "client_credentials", "password": "password",
				"deviceAuthorization": "device_code", "implicit": "implicit",
			}[m.key]
			flows = append(flows, flow{word, asObject(m.val)})
		}
	}
	done := false
	for _, f := range flows {
		token := s.address(f.node.text("tokenUrl"))
		authorize := s.address(f.node.text("authorizationUrl"))
		if f.word == "implicit" || f.word == "" || f.word == "device_code" {
			continue
		}
		if token == "" || f.word == "authorization_code" && authorize == "" {
			warn("OAuth2 %s lacks its addresses in the document", f.word)
			continue
		}
		id := name
		if len(flows) > 1 {
			id += " " + f.word
		}
		auth := &object{members: []member{{"id", s.id(id)}, {"type", "oauth2"}, {"flow", f.word}}}
		if f.word == "authorization_code" {
			auth.set("authorize_url", authorize)
		}
		auth.set("token_url", token)
		auth.put("scopes", scopesOf(f.node, wanted))
		s.write(auth)
		done = true
	}
	if !done {
		warn("the document has no flow of OAuth2 that a server can run: written as a token that a person enters")
		s.write(&object{members: []member{{"id", s.id(name)}, {"type", "bearer"}, {"labels", &object{members: []member{{"token", "Access token"}}}}}})
	}
}

// address makes a token address absolute.
func (s *signIn) address(raw string) string {
	raw = strings.TrimSpace(raw)
	switch {
	case raw == "" || strings.ContainsAny(raw, "{}<> \\\""):
		return ""
	case strings.HasPrefix(raw, "https://"), strings.HasPrefix(raw, "http://"):
		return literal(raw)
	case strings.HasPrefix(raw, "/"):
		if before, after, ok := strings.Cut(s.base, "://"); ok {
			host, _, _ := strings.Cut(after, "/")
			return before + "://" + host + literal(raw)
		}
		return s.base + literal(raw)
	}
	return ""
}

// scopesOf writes what the chosen operations need as the default; the rest a person may add.
func scopesOf(flow *object, wanted []string) *object {
	const most = 40
	var first, more []any
	known := flow.object("scopes")
	for _, w := range wanted {
		if (known.size() == 0 || known.has(w)) && len(first) < most {
			first = append(first, w)
		}
	}
	for _, m := range known.all() {
		if !slices.Contains(wanted, m.key) && len(first)+len(more) < most && m.key != "" {
			more = append(more, m.key)
		}
	}
	out := &object{}
	out.put("default", first)
	out.put("optional", more)
	return out
}

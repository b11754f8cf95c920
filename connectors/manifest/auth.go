package manifest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/wire"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// scheme is one way to sign calls, compiled.
type scheme struct {
	src      *source
	id, kind string
	apply    []applied
	token    *expression.Program // of the answer that holds a token
	expires  *expression.Program
	keep     map[string]*expression.Program
	lifetime time.Duration // of a token whose answer says nothing
	login    *action
	jwt      *jwt
	oauth    *oauth
	region   *expression.Template // sigv4
	service  *expression.Template
	exact    bool // url: every call goes to the address as it is, without the path of the action
	anywhere bool // url: the address may lead to any host, not to those of the manifest alone
}

// applied is one place of a request that gets a secret.
type applied struct {
	place, name string // header, query or cookie, and its name
	text        *expression.Template
}

var authTypes = []string{
	connectors.AuthKeys, connectors.AuthBasic, connectors.AuthBearer, connectors.AuthURL, connectors.AuthLogin,
	connectors.AuthJWT, connectors.AuthOAuth2, connectors.AuthSigV4,
}

// reserved are the keys of a connection in bellhop.yaml that no field and no secret may have.
var reserved = []string{"connector", "auth", "hosts", "signing_secret"}

func (r *reader) connection(n *yaml.Node) {
	c := r.c
	c.Fields = connectors.Schema{Type: "object", Closed: true, Properties: map[string]connectors.Schema{}}
	taken := map[string]string{}
	if n != nil {
		o := r.Object(n, "connection")
		if n := o.Value("fields"); n != nil {
			r.connectionFields(n, taken)
		}
		if n := o.Value("auth"); n != nil {
			for _, item := range r.List(n, "auth") {
				r.auth(item, taken)
			}
			if len(c.Auth) == 0 && n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
				r.Errorf(n, "remove the line where none is needed", "auth is an empty list")
			}
		}
		if n := o.Value("signing_secret"); n != nil {
			s := r.secret("signing_secret", n)
			c.SigningSecret = &s
		}
		if n := o.Value("test"); n != nil {
			c.Test = r.test(n)
		}
		o.Done()
	}
	if _, own := c.Fields.Properties["base_url"]; !own {
		c.Fields.Properties["base_url"] = connectors.Schema{
			Type: "string", Format: "uri", Title: "Base address", Show: "more",
			Description: "Only for a proxy or a test server: used in the place of the system's own address. The secrets may go to its host.",
		}
		c.Fields.Order = append(c.Fields.Order, "base_url")
	}
}

func (r *reader) connectionFields(n *yaml.Node, taken map[string]string) {
	o := r.Object(n, "fields")
	for _, key := range o.Keys() {
		sub := o.Value(key.Value)
		if sub == nil {
			continue
		}
		s, so := r.openSchema(sub, key.Value)
		s.Suffix = so.Text("suffix")
		so.Done()
		r.fieldName(key, "a field", taken)
		r.c.Fields.Properties[key.Value] = s
		r.c.Fields.Order = append(r.c.Fields.Order, key.Value)
	}
}

var fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

func (r *reader) fieldName(key *yaml.Node, what string, taken map[string]string) {
	switch other, twice := taken[key.Value]; {
	case !fieldName.MatchString(key.Value):
		r.Errorf(key, "use small letters, digits and _, at most 40", "%q is no name of %s", key.Value, what)
	case slices.Contains(reserved, key.Value):
		r.Errorf(key, "choose another name", "%s means something else in a connection", key.Value)
	case twice && other != what:
		r.Errorf(key, "fields and secrets of a connection share one level", "%s is the name of %s already", key.Value, other)
	}
	taken[key.Value] = what
}

func (r *reader) secret(name string, n *yaml.Node) connectors.Secret {
	o := r.Object(n, "a secret")
	s := connectors.Secret{
		Name: name, Title: o.Text("title"), Help: o.Text("help"), Pattern: o.Text("pattern"),
		Multiline: o.Bool("multiline", false), Optional: o.Bool("optional", false),
	}
	if n := o.Take("pattern"); n != nil && s.Pattern != "" {
		if _, err := regexp.Compile(s.Pattern); err != nil {
			r.Errorf(n, "", "pattern cannot be read: %v", err)
		}
	}
	if s.Title == "" {
		s.Title = name
	}
	o.Done()
	return s
}

// test reads the call that tells whether a connection works.
func (r *reader) test(n *yaml.Node) *connectors.Test {
	o := r.Object(n, "test")
	use := o.Text("use")
	o.Need("use", "the action to call")
	r.lister(o, use)
	expect := r.program(o.Value("expect"), "expect", inOutput)
	label := r.program(o.Value("label"), "label", inOutput)
	t := &connectors.Test{Action: use, Input: map[string]any{}}
	if n := o.Value("with"); n != nil {
		t.Input = asObject(r.Data(n))
	}
	if n := o.Take("use"); n != nil {
		r.later = append(r.later, func() {
			if a := r.src.actions[use]; a != nil {
				given := map[string]bool{}
				for name := range t.Input {
					given[name] = true
				}
				r.given(n, a, given)
			}
		})
	}
	o.Done()
	title := r.c.Title
	t.Judge = func(output any) (string, error) {
		w := words{roots: map[string]any{"output": output}}
		if expect != nil {
			if ok, err := expect.Bool(context.Background(), w.env()); err != nil || !ok {
				return "", fmt.Errorf("%s answered, but not as for a connection that works (%s)", title, expect.Source())
			}
		}
		if label == nil {
			return "", nil
		}
		v, err := label.Eval(context.Background(), w.env())
		if err != nil {
			return "", fmt.Errorf("label: %w", err)
		}
		return textOf(v), nil
	}
	return t
}

// auth reads one way to sign calls.
func (r *reader) auth(n *yaml.Node, taken map[string]string) {
	first := len(r.readings)
	o := r.Object(n, "an auth")
	s := &scheme{src: r.src, id: o.Text("id"), kind: o.Word("type", "", authTypes...)}
	out := connectors.AuthScheme{ID: s.id, Type: s.kind, Title: o.Text("title"), Help: o.Text("help")}
	if n := o.Value("test"); n != nil {
		out.Test = r.test(n)
	}
	if n := o.Need("id", "a short name, such as id: key"); n != nil && !idPattern.MatchString(s.id) {
		r.Errorf(n, "use small letters, digits and _, at most 40", "%q is no id", s.id)
	}
	if r.src.schemes[s.id] != nil {
		r.Errorf(n, "give each an id of its own", "the auth %s is there twice", s.id)
	}
	o.Need("type", "one of "+strings.Join(authTypes, ", "))
	labels := map[string]string{}
	if n := o.Value("labels"); n != nil {
		for name, text := range asObject(r.Data(n)) {
			labels[name] = textOf(text)
		}
	}
	pattern := o.Text("pattern")
	add := func(name, title string) {
		if l := labels[name]; l != "" {
			title = l
		}
		delete(labels, name)
		out.Secrets = append(out.Secrets, connectors.Secret{Name: name, Title: title})
	}
	if n := o.Value("secrets"); n != nil {
		so := r.Object(n, "secrets")
		for _, key := range so.Keys() {
			if sub := so.Value(key.Value); sub != nil {
				r.fieldName(key, "a secret", taken)
				out.Secrets = append(out.Secrets, r.secret(key.Value, sub))
			}
		}
	}
	given := len(out.Secrets)
	switch s.kind {
	case connectors.AuthBasic:
		add("username", "User name")
		add("password", "Password")
		out.Secrets[len(out.Secrets)-1].Optional = o.Bool("password_optional", false)
	case connectors.AuthBearer:
		add("token", "Token")
	case connectors.AuthURL:
		add("url", "Address")
		s.exact, s.anywhere = o.Bool("exact", false), o.Bool("anywhere", false)
	case connectors.AuthOAuth2:
		add("client_id", "Client ID")
		add("client_secret", "Client secret")
	case connectors.AuthSigV4:
		add("access_key_id", "Access key ID")
		add("secret_access_key", "Secret access key")
		add("session_token", "Session token")
		out.Secrets[len(out.Secrets)-1].Optional = true
		s.region = r.template(o.Need("region", "such as region: us-east-1"), "region", inBase)
		s.service = r.template(o.Need("service", "such as service: s3"), "service", inBase)
	}
	if pattern != "" && len(out.Secrets) > given {
		if _, err := regexp.Compile(pattern); err != nil {
			r.Errorf(o.Take("pattern"), "", "pattern cannot be read: %v", err)
		}
		out.Secrets[given].Pattern = pattern
	}
	for name := range labels {
		r.Errorf(o.Take("labels"), "", "labels names %q, which is no secret of type %s", name, s.kind)
	}
	if len(out.Secrets) == 0 && s.kind != "" {
		r.Errorf(n, "add secrets: {key: {title: API key}}", "this auth holds no secret")
	}
	if n := o.Value("fields"); n != nil {
		for _, item := range r.List(n, "fields") {
			if _, ok := r.c.Fields.Properties[item.Value]; !ok {
				r.Errorf(item, "name one of connection.fields", "there is no field %q", item.Value)
				continue
			}
			out.Fields = append(out.Fields, item.Value)
		}
	}
	s.token = r.program(o.Value("token"), "token", inToken)
	s.expires = r.program(o.Value("expires_in"), "expires_in", inToken)
	s.keep = r.programs(o.Value("keep"), "keep", inToken)
	s.lifetime = o.Duration("lifetime", time.Hour)
	switch s.kind {
	case connectors.AuthLogin:
		r.login(o, s)
		out.Obtain = s.obtainLogin
	case connectors.AuthJWT:
		r.jwt(o, s)
		out.Obtain = s.obtainJWT
	case connectors.AuthOAuth2:
		out.OAuth2 = r.oauth2(o, s)
		if out.OAuth2.Flow == "client_credentials" || out.OAuth2.Flow == "password" {
			out.Obtain = s.obtainOAuth2
		}
		if out.OAuth2.Flow == "password" {
			out.Secrets = append(out.Secrets, connectors.Secret{Name: "username", Title: "User name"}, connectors.Secret{Name: "password", Title: "Password"})
		}
		if out.OAuth2.Client == "none" {
			out.Secrets = slices.DeleteFunc(out.Secrets, func(s connectors.Secret) bool { return s.Name == "client_secret" })
		}
	}
	r.apply(o, s)
	r.checkSecrets(first, s, &out)
	if out.Title == "" {
		out.Title = map[string]string{
			connectors.AuthKeys: "Key", connectors.AuthBasic: "User name and password", connectors.AuthBearer: "Token", connectors.AuthURL: "Address",
			connectors.AuthLogin: "Sign in", connectors.AuthJWT: "Service account", connectors.AuthOAuth2: "OAuth", connectors.AuthSigV4: "Access key",
		}[s.kind]
	}
	o.Done()
	r.src.schemes[s.id] = s
	r.c.Auth = append(r.c.Auth, out)
}

// apply reads where the secrets go; most types know it by themselves.
func (r *reader) apply(o *workflow.Object, s *scheme) {
	n := o.Value("apply")
	if n == nil {
		text := ""
		switch s.kind {
		case connectors.AuthBearer, connectors.AuthOAuth2, connectors.AuthJWT, connectors.AuthLogin:
			text = "Bearer ${{ secret.token }}"
		case connectors.AuthBasic:
			text = "Basic ${{ base64(secret.username + ':' + (secret.password ?? '')) }}"
		case connectors.AuthKeys:
			o.Need("apply", "such as apply: {header.X-API-Key: \"${{ secret.key }}\"}")
			return
		default:
			return
		}
		t, err := expression.CompileTemplate(text, inAuth)
		if err != nil {
			panic(err) // a literal of ours
		}
		s.apply = []applied{{"header", "Authorization", t}}
		return
	}
	m := r.Object(n, "apply")
	for _, key := range m.Keys() {
		place, name, _ := strings.Cut(key.Value, ".")
		if !contains([]string{"header", "query", "cookie"}, place) || name == "" {
			r.Errorf(key, "such as header.X-API-Key, query.key or cookie.session", "%q is no place for a secret", key.Value)
			continue
		}
		if place != "query" {
			check := checkHeaderName
			if place == "cookie" {
				check = checkCookieName
			}
			if err := check(name); err != nil {
				r.Errorf(key, "", "%v", err)
				continue
			}
		}
		if t := r.template(m.Value(key.Value), key.Value, inAuth); t != nil {
			s.apply = append(s.apply, applied{place, name, t})
		}
	}
}

// authorize puts the secrets where they belong. It returns the token that was used, if the auth has one.
func (s *scheme) authorize(ctx context.Context, c *connectors.Call, query url.Values, header http.Header, refused string) (token string, err error) {
	conn := c.Connection
	secrets := make(map[string]any, len(conn.Secrets)+1)
	for name, v := range conn.Secrets {
		secrets[name] = v
	}
	if s.hasToken() {
		if token, err = s.current(ctx, c, refused); err != nil {
			return "", err
		}
		secrets["token"] = token
	}
	if err := s.complete(conn, token); err != nil {
		return "", connectors.Permanent(err)
	}
	w := words{roots: map[string]any{"secret": secrets, "connection": s.src.connection(conn)}, now: c.Now, seed: c.Key}
	for _, a := range s.apply {
		text, err := w.text(ctx, a.text)
		if err != nil {
			return "", connectors.Permanent(fmt.Errorf("connection %s: its secrets cannot be put into %s.%s", conn.Name, a.place, a.name))
		}
		switch a.place {
		case "query":
			query.Set(a.name, text)
			continue
		case "cookie": // as it is: a cookie that is copied from a browser is encoded already
			if strings.ContainsAny(text, "; ,\"\\\r\n") {
				return "", connectors.Permanent(fmt.Errorf("connection %s: the value of the cookie %s has a character that no cookie may have, such as ; or a blank", conn.Name, a.name))
			}
			addCookie(header, a.name, text)
			continue
		}
		if err := wire.CheckHeader(a.name, text); err != nil {
			return "", connectors.Permanent(fmt.Errorf("connection %s: %w", conn.Name, err))
		}
		header.Set(a.name, strings.TrimSpace(text))
	}
	return token, nil
}

// complete reports a secret that is missing.
func (s *scheme) complete(conn connectors.Connection, token string) error {
	if token != "" {
		return nil
	}
	cs := s.src.connector.Scheme(s.id)
	for _, secret := range cs.Secrets {
		if conn.Secrets[secret.Name] != "" || secret.Optional {
			continue
		}
		if v, ok := conn.Fields[secret.Name].(string); ok && v != "" && secret.Name == "username" {
			continue
		}
		return fmt.Errorf("the connection %s has no %s", conn.Name, secret.Name)
	}
	return nil
}

func (s *scheme) hasToken() bool {
	return s.kind == connectors.AuthOAuth2 || s.kind == connectors.AuthLogin || s.kind == connectors.AuthJWT
}

// current is the access token to use. Who runs the connection keeps it; without one it is got for this call alone.
func (s *scheme) current(ctx context.Context, c *connectors.Call, refused string) (string, error) {
	if c.Token != nil {
		return c.Token(ctx, refused)
	}
	obtain := s.src.connector.Scheme(s.id).Obtain
	if obtain == nil {
		if t := c.Connection.Secrets["token"]; t != "" {
			return t, nil
		}
		return "", connectors.Permanent(fmt.Errorf("the connection %s is not signed in: connect it first", c.Connection.Name))
	}
	g, err := obtain(ctx, c)
	return g.Token, err
}

// login reads the first request of a login.
func (r *reader) login(o *workflow.Object, s *scheme) {
	n := o.Need("request", "the request that gives a token")
	if s.token == nil {
		o.Need("token", "where the token is in its answer, such as response.body.token")
	}
	if n == nil {
		return
	}
	s.login = &action{src: r.src, name: "login", settings: settings{encode: "json", timeout: defaultTimeout}}
	// The places of a login see the secrets, so it is read by the rules of auth.
	r.scope = inAuth
	r.readRequest(n, s.login)
	r.scope = inRequest
	if s.login.base == nil {
		r.later = append(r.later, func() { s.login.base = r.src.base })
	}
}

// obtainLogin makes the first request.
func (s *scheme) obtainLogin(ctx context.Context, c *connectors.Call) (connectors.Grant, error) {
	w := s.words(c)
	d, err := s.login.draft(ctx, w, c, nil)
	if err != nil {
		return connectors.Grant{}, connectors.Permanent(s.hide(err, c))
	}
	body, contentType, err := s.login.encodeBody(ctx, d, w)
	if err != nil {
		return connectors.Grant{}, connectors.Permanent(s.hide(err, c))
	}
	if body != nil && d.header.Get("Content-Type") == "" {
		d.header.Set("Content-Type", contentType)
	}
	d.header.Set("Accept", "application/json")
	u := *d.url
	u.RawQuery = d.query.Encode()
	return s.fetch(ctx, c, w, d.method, &u, d.header, body)
}

// words are the roots of auth: the connection with its secrets.
func (s *scheme) words(c *connectors.Call) words {
	secrets := make(map[string]any, len(c.Connection.Secrets))
	for name, v := range c.Connection.Secrets {
		secrets[name] = v
	}
	return words{roots: map[string]any{"secret": secrets, "connection": s.src.connection(c.Connection)}, now: c.Now, seed: c.Key}
}

// hide takes secrets out of an error of an expression that saw them.
func (s *scheme) hide(err error, c *connectors.Call) error {
	var secrets []string
	for _, v := range c.Connection.Secrets {
		secrets = append(secrets, v)
	}
	return errors.New(redact(err.Error(), secrets))
}

// fetch asks for a token.
func (s *scheme) fetch(ctx context.Context, c *connectors.Call, w words, method string, u *url.URL, header http.Header, body []byte) (connectors.Grant, error) {
	var none connectors.Grant
	if err := s.src.mayGo(c.Connection, u); err != nil {
		return none, connectors.Permanent(err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "", strings.NewReader(string(body)))
	if err != nil {
		return none, connectors.Permanent(errors.New("the request for a token cannot be made"))
	}
	req.URL, req.Host, req.Header = u, u.Host, header
	res, _, err := exchange(ctx, c.HTTP, req, defaultTimeout)
	if err != nil {
		return none, err
	}
	var secrets []string
	for _, v := range c.Connection.Secrets {
		secrets = append(secrets, v)
	}
	if res.status < 200 || res.status >= 300 {
		text := fmt.Sprintf("%s gives the connection %s no token: it answered %d", s.src.connector.Title, c.Connection.Name, res.status)
		if said := wire.Excerpt(res.header.Get("Content-Type"), res.raw, secrets); said != "" {
			text += ": " + said
		}
		switch res.status {
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
			text += ". Look whether its secrets are right, and enter them again"
		}
		err := error(&connectors.StatusError{Status: res.status, Message: redact(text, secrets)})
		if res.status == http.StatusTooManyRequests || res.status >= 500 {
			if d, ok := wire.RetryAfter(res.header, c.Now); ok {
				return none, connectors.RetryAfter(err, d)
			}
			return none, err
		}
		return none, connectors.Permanent(err)
	}
	return s.read(ctx, w, res.answer, c.Now)
}

// read takes the token out of an answer.
func (s *scheme) read(ctx context.Context, w words, a connectors.Answer, now time.Time) (connectors.Grant, error) {
	w = w.with("response", map[string]any{"status": a.Status, "headers": a.Headers, "body": a.Body})
	var g connectors.Grant
	body, _ := a.Body.(map[string]any)
	refusal := func() error {
		text := fmt.Sprintf("%s answered without a token", s.src.connector.Title)
		for _, key := range []string{"error_description", "error", "message"} {
			if said, ok := body[key].(string); ok && said != "" {
				text += ": " + said
				break
			}
		}
		return connectors.Permanent(errors.New(text))
	}
	if s.token != nil {
		v, err := w.eval(ctx, s.token)
		if err != nil {
			return g, refusal()
		}
		g.Token = textOf(v)
	} else {
		g.Token, _ = body["access_token"].(string)
	}
	if g.Token == "" {
		return g, refusal()
	}
	g.Refresh, _ = body["refresh_token"].(string)
	seconds := ""
	if s.expires != nil {
		if v, err := w.eval(ctx, s.expires); err == nil {
			seconds = textOf(v)
		}
	} else if body != nil {
		seconds = textOf(body["expires_in"])
	}
	if now.IsZero() {
		now = time.Now()
	}
	if n, err := strconv.ParseFloat(seconds, 64); err == nil && n > 0 && n < 1e9 {
		g.Expires = now.Add(time.Duration(n * float64(time.Second)))
	} else if s.kind == connectors.AuthLogin {
		g.Expires = now.Add(s.lifetime)
	}
	for name, p := range s.keep {
		if p == nil {
			continue
		}
		v, err := w.eval(ctx, p)
		if err != nil {
			return g, connectors.Permanent(fmt.Errorf("the answer with the token lacks %s", name))
		}
		if g.Kept == nil {
			g.Kept = map[string]any{}
		}
		g.Kept[name] = v
	}
	return g, nil
}

// oauth is OAuth2, compiled.
type oauth struct {
	authorize, device, token *expression.Template
	data                     *connectors.OAuth2
}

func (r *reader) oauth2(o *workflow.Object, s *scheme) *connectors.OAuth2 {
	x := &oauth{}
	s.oauth = x
	d := &connectors.OAuth2{
		Flow:   o.Word("flow", "authorization_code", "authorization_code", "client_credentials", "device_code", "password"),
		Client: o.Word("client", "basic", "basic", "post", "none", "private_key_jwt"),
		PKCE:   o.Word("pkce", "s256", "s256", "none") == "s256", Separator: " ",
	}
	x.data = d
	address := func(key string, need bool) (*expression.Template, func(connectors.Connection) (string, error)) {
		n := o.Value(key)
		if n == nil {
			if need {
				o.Need(key, "an address, such as https://example.com/oauth/token")
			}
			return nil, nil
		}
		r.src.addresses = append(r.src.addresses, n)
		t := r.template(n, key, inBase)
		if t == nil {
			return nil, nil
		}
		return t, func(conn connectors.Connection) (string, error) {
			w := words{roots: map[string]any{"connection": s.src.connection(conn)}}
			return w.text(context.Background(), t)
		}
	}
	x.authorize, d.AuthorizeURL = address("authorize_url", d.Flow == "authorization_code")
	x.device, d.DeviceURL = address("device_url", d.Flow == "device_code")
	x.token, d.TokenURL = address("token_url", true)
	if n := o.Value("scopes"); n != nil {
		if n.Kind == yaml.SequenceNode {
			d.Scopes = o.Texts("scopes")
		} else {
			so := r.Object(n, "scopes")
			d.Scopes, d.OptionalScopes = so.Texts("default"), so.Texts("optional")
			if sep := so.Text("separator"); sep != "" {
				d.Separator = sep
			}
			so.Done()
		}
	}
	params := func(key string) map[string]string {
		n := o.Value(key)
		if n == nil {
			return nil
		}
		out := map[string]string{}
		for name, v := range asObject(r.Data(n)) {
			out[name] = textOf(v)
		}
		return out
	}
	d.AuthorizeParams, d.TokenParams = params("authorize_params"), params("token_params")
	if n := o.Value("callback_verify"); n != nil {
		co := r.Object(n, "callback_verify")
		d.CallbackVerify = co.Word("scheme", "", "shopify")
		co.Done()
	}
	d.Read = func(a connectors.Answer) (connectors.Grant, error) {
		w := words{roots: map[string]any{"secret": map[string]any{}, "connection": map[string]any{}}}
		return s.read(context.Background(), w, a, time.Now())
	}
	return d
}

// obtainOAuth2 gets a token without a person: client credentials, or user name and password.
func (s *scheme) obtainOAuth2(ctx context.Context, c *connectors.Call) (connectors.Grant, error) {
	d := s.oauth.data
	text, err := d.TokenURL(c.Connection)
	if err != nil {
		return connectors.Grant{}, connectors.Permanent(err)
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return connectors.Grant{}, connectors.Permanent(errors.New("token_url is no address"))
	}
	form := url.Values{"grant_type": {d.Flow}}
	if d.Flow == "password" {
		form.Set("username", c.Connection.Secrets["username"])
		form.Set("password", c.Connection.Secrets["password"])
	}
	if len(d.Scopes) > 0 {
		form.Set("scope", strings.Join(d.Scopes, d.Separator))
	}
	for name, v := range d.TokenParams {
		form.Set(name, v)
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	id, secret := c.Connection.Secrets["client_id"], c.Connection.Secrets["client_secret"]
	switch d.Client {
	case "basic":
		// RFC 6749, section 2.3.1: both parts are encoded as in a form.
		pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case "private_key_jwt":
		assertion, err := clientAssertion(c, id, text)
		if err != nil {
			return connectors.Grant{}, connectors.Permanent(err)
		}
		form.Set("client_id", id)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	default:
		form.Set("client_id", id)
		if d.Client == "post" {
			form.Set("client_secret", secret)
		}
	}
	return s.fetch(ctx, c, s.words(c), http.MethodPost, u, header, []byte(form.Encode()))
}

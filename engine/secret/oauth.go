package secret

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

// CallbackPath is where providers send people back to, below the public address.
const CallbackPath = "/oauth/callback"

const (
	flowTime   = 10 * time.Minute // from the start of a sign-in to its end
	flowShown  = 10 * time.Minute // how long the outcome can be asked for
	maxFlows   = 200
	deviceWait = 5 * time.Second // between questions where the system names no interval (RFC 8628, section 3.5)
)

// flows are the sign-ins under way. They are in memory: a restart ends them, and the person begins again.
type flows struct {
	mu      sync.Mutex
	pending map[string]*flow // by state
}

// flow is one sign-in.
type flow struct {
	name     string
	record   *record // what it will be saved with
	version  uint64
	conn     connectors.Connection
	oauth    *connectors.OAuth2
	verifier string // of PKCE
	redirect string
	browser  [sha256.Size]byte // hash of what only the browser that began it knows
	bound    bool
	began    time.Time

	device   string // device code
	interval time.Duration
	next     time.Time // when to ask again
	until    time.Time

	used bool // the callback came, or a device question is under way
	done bool
	err  error
}

// SignIn is what a person begins a sign-in with.
type SignIn struct {
	Name    string
	Entry   Entry // may be empty for a connection that exists
	IsNew   bool
	Browser string // something that only the browser that began knows; empty: any browser may end it
}

// SigningIn is a sign-in under way.
type SigningIn struct {
	State   string // names it; who knows it may ask how it goes, so it is a secret
	URL     string // where the person goes
	Code    string // device flow: what the person enters there
	Expires time.Time
}

// SignedIn is how a sign-in goes.
type SignedIn struct {
	Connection string
	Done       bool
	Reason     string // why it failed; empty: it did not
}

// ErrNoFlow is returned for a state that nobody began, that was used, or that is too old.
var ErrNoFlow = errors.New("this sign-in is not known: it was ended, or it took longer than 10 minutes; begin again")

// signsIn reports whether a person has to consent.
func signsIn(s *connectors.AuthScheme) bool { return s.OAuth2 != nil && s.Obtain == nil }

// scopesOf are those that the connection names, else those of the scheme.
func scopesOf(o *connectors.OAuth2, conn connectors.Connection) []string {
	switch v := conn.Fields["scopes"].(type) {
	case string:
		return strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' })
	case []any:
		var scopes []string
		for _, s := range v {
			if text, ok := s.(string); ok {
				scopes = append(scopes, text)
			}
		}
		return scopes
	}
	return o.Scopes
}

// StartSignIn begins the OAuth2 flow of a connection (RFC 6749, section 4.1, with PKCE, RFC 7636, or RFC 8628 for
// devices). Nothing is changed until it ends well.
func (c *Connections) StartSignIn(ctx context.Context, in SignIn) (SigningIn, error) {
	rec, version, err := c.enter(in.Name, in.Entry, in.IsNew)
	if err != nil {
		return SigningIn{}, err
	}
	c.mu.Lock()
	d := define(in.Name, merge(c.declared[in.Name], rec), c.registry)
	c.mu.Unlock()
	of := c.registry.Connector(d.connector)
	scheme := of.Scheme(d.auth)
	if scheme == nil || !signsIn(scheme) {
		return SigningIn{}, &InputError{"auth", fmt.Sprintf("connection %s is not one that people sign in to", in.Name)}
	}
	conn, err := c.resolve(d)
	if err != nil {
		return SigningIn{}, &InputError{"", err.Error()}
	}
	f := &flow{
		name: in.Name, record: rec, version: version, conn: conn, oauth: scheme.OAuth2, began: time.Now(),
		redirect: c.options.PublicURL + CallbackPath, bound: in.Browser != "", browser: sha256.Sum256([]byte(in.Browser)),
	}
	f.until = f.began.Add(flowTime)
	state := base64.RawURLEncoding.EncodeToString(random(32))
	out := SigningIn{State: state, Expires: f.until}
	if scheme.OAuth2.Flow == "device_code" {
		err = c.startDevice(ctx, f, &out)
	} else {
		out.URL, err = f.authorizeURL(state)
	}
	if err != nil {
		return SigningIn{}, err
	}
	c.flows.mu.Lock()
	defer c.flows.mu.Unlock()
	for key, old := range c.flows.pending {
		if time.Since(old.until) > flowShown {
			delete(c.flows.pending, key)
		}
	}
	if len(c.flows.pending) >= maxFlows {
		return SigningIn{}, fmt.Errorf("%d sign-ins are under way already; try again in a few minutes", maxFlows)
	}
	c.flows.pending[state] = f
	return out, nil
}

func (f *flow) authorizeURL(state string) (string, error) {
	o := f.oauth
	if o.AuthorizeURL == nil {
		return "", fmt.Errorf("connection %s: its connector names no address to sign in at", f.name)
	}
	address, err := o.AuthorizeURL(f.conn)
	if err != nil {
		return "", &InputError{"", err.Error()}
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", &InputError{"", fmt.Sprintf("%q is no address to sign in at", address)}
	}
	q := u.Query()
	for key, v := range o.AuthorizeParams {
		q.Set(key, v)
	}
	q.Set("response_type", "code")
	q.Set("client_id", f.conn.Secrets["client_id"])
	q.Set("redirect_uri", f.redirect)
	q.Set("state", state)
	if scopes := scopesOf(o, f.conn); len(scopes) > 0 {
		separator := o.Separator
		if separator == "" {
			separator = " "
		}
		q.Set("scope", strings.Join(scopes, separator))
	}
	if o.PKCE {
		f.verifier = base64.RawURLEncoding.EncodeToString(random(32))
		sum := sha256.Sum256([]byte(f.verifier))
		q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
		q.Set("code_challenge_method", "S256")
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// FinishSignIn takes what a provider sent a person back with. A state serves once. The error is in words for a person;
// name is empty when the state is not known.
func (c *Connections) FinishSignIn(ctx context.Context, query url.Values, browser string) (name string, err error) {
	state := query.Get("state")
	c.flows.mu.Lock()
	f := c.flows.pending[state]
	if f == nil || f.used || f.device != "" || time.Now().After(f.until) || len(query["state"]) != 1 {
		c.flows.mu.Unlock()
		return "", ErrNoFlow
	}
	hash := sha256.Sum256([]byte(browser))
	if f.bound && subtle.ConstantTimeCompare(hash[:], f.browser[:]) != 1 {
		c.flows.mu.Unlock() // it stays open for the browser that began it
		return "", errors.New("this sign-in was begun in another browser; end it there, or begin again here")
	}
	f.used = true
	c.flows.mu.Unlock()
	err = c.exchange(ctx, f, query)
	c.end(f, err)
	return f.name, err
}

func (c *Connections) end(f *flow, err error) {
	c.flows.mu.Lock()
	f.done, f.err, f.until = true, err, time.Now()
	f.record, f.conn, f.verifier = nil, connectors.Connection{}, ""
	c.flows.mu.Unlock()
}

func (c *Connections) exchange(ctx context.Context, f *flow, query url.Values) error {
	if code := query.Get("error"); code != "" {
		return &oauthError{code: c.clean(code), description: c.clean(query.Get("error_description"))}
	}
	code := query.Get("code")
	if code == "" {
		return errors.New("the provider sent no code; begin again")
	}
	if err := f.checkIssuer(query); err != nil {
		return err
	}
	if f.oauth.CallbackVerify != "" {
		verify := callbackSchemes[f.oauth.CallbackVerify]
		if verify == nil || !verify(query, f.conn.Secrets["client_secret"]) {
			return errors.New("the way back from the provider is not signed by it; begin again")
		}
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {f.redirect}}
	if f.verifier != "" {
		form.Set("code_verifier", f.verifier)
	}
	// The code is spent by the call: a person who closes the window must not waste it.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
	defer cancel()
	g, err := c.requestToken(work, f.conn, f.oauth, form)
	if err != nil {
		return err
	}
	return c.grant(f, g)
}

// checkIssuer holds the issuer that the answer names, if it names one, against who was asked (RFC 9207).
func (f *flow) checkIssuer(query url.Values) error {
	issuer := query.Get("iss")
	if issuer == "" {
		return nil
	}
	asked, err := f.oauth.AuthorizeURL(f.conn)
	if err != nil {
		return err
	}
	a, err1 := url.Parse(asked)
	b, err2 := url.Parse(issuer)
	if err1 != nil || err2 != nil || a.Scheme != b.Scheme || !strings.EqualFold(a.Host, b.Host) {
		return errors.New("the answer comes from another provider than the one that was asked; begin again")
	}
	return nil
}

// grant keeps what a sign-in gave.
func (c *Connections) grant(f *flow, g connectors.Grant) error {
	rec := *f.record
	rec.Grant, rec.Since, rec.Renewing = &g, time.Now().UTC(), time.Time{}
	if err := c.save(f.name, &rec, f.version); err != nil {
		if errors.Is(err, ErrChanged) {
			return fmt.Errorf("connection %s was changed while you signed in; begin again", f.name)
		}
		return err
	}
	if e, err := c.entry(f.name); err == nil {
		c.note(e, StateUntested, "", "")
	}
	return nil
}

// SignInState tells how a sign-in goes. For a device it also asks the provider, when it is time to.
func (c *Connections) SignInState(ctx context.Context, state string) (SignedIn, error) {
	c.flows.mu.Lock()
	f := c.flows.pending[state]
	if f == nil {
		c.flows.mu.Unlock()
		return SignedIn{}, ErrNoFlow
	}
	now := time.Now()
	if !f.done && !f.used && now.After(f.until) {
		f.done, f.err = true, errors.New("it took longer than 10 minutes; begin again")
	}
	ask := f.device != "" && !f.done && !f.used && !now.Before(f.next)
	f.used = f.used || ask
	c.flows.mu.Unlock()
	if ask {
		c.askDevice(ctx, f)
	}
	c.flows.mu.Lock()
	defer c.flows.mu.Unlock()
	out := SignedIn{Connection: f.name, Done: f.done}
	if f.err != nil {
		out.Reason = f.err.Error()
	}
	return out, nil
}

// startDevice asks for the code that a person enters elsewhere (RFC 8628, section 3.1).
func (c *Connections) startDevice(ctx context.Context, f *flow, out *SigningIn) error {
	if f.oauth.DeviceURL == nil {
		return fmt.Errorf("connection %s: its connector names no address for devices", f.name)
	}
	address, err := f.oauth.DeviceURL(f.conn)
	if err != nil {
		return &InputError{"", err.Error()}
	}
	form := url.Values{}
	if scopes := scopesOf(f.oauth, f.conn); len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	work, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	a, err := c.postForm(work, f.conn, f.oauth, address, form)
	if err != nil {
		return err
	}
	if err := c.refusal(a); err != nil {
		return err
	}
	fields, _ := a.Body.(map[string]any)
	f.device, out.Code = textOf(fields["device_code"]), textOf(fields["user_code"])
	out.URL = textOf(fields["verification_uri_complete"])
	if out.URL == "" {
		out.URL = textOf(fields["verification_uri"])
	}
	if f.device == "" || out.Code == "" || out.URL == "" {
		return errors.New("the answer of the device address cannot be used: it has no device_code, user_code or verification_uri")
	}
	c.learn(f.device)
	f.interval = deviceWait
	if n, ok := whole(fields["interval"]); ok && n > 0 {
		f.interval = min(time.Duration(n)*time.Second, time.Minute)
	}
	if n, ok := whole(fields["expires_in"]); ok && n > 0 {
		f.until = f.began.Add(min(time.Duration(n)*time.Second, time.Hour))
	}
	f.next, out.Expires = f.began.Add(f.interval), f.until
	return nil
}

func whole(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, true
	case float64:
		return int(n), true
	case string:
		i, err := strconv.Atoi(n)
		return i, err == nil
	}
	return 0, false
}

// askDevice asks once whether the person has entered the code (RFC 8628, section 3.4). The caller has set f.used.
func (c *Connections) askDevice(ctx context.Context, f *flow) {
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
	defer cancel()
	g, err := c.requestToken(work, f.conn, f.oauth, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {f.device},
	})
	if err == nil {
		c.end(f, c.grant(f, g))
		return
	}
	o, told := errors.AsType[*oauthError](err)
	if told && connectors.IsPermanent(err) {
		c.end(f, err)
		return
	}
	c.flows.mu.Lock()
	defer c.flows.mu.Unlock()
	if told && o.code == "slow_down" {
		f.interval += deviceWait
	}
	f.used, f.next = false, time.Now().Add(f.interval)
}

// callbackSchemes check the query that a provider signs when it sends a person back.
var callbackSchemes = map[string]func(query url.Values, secret string) bool{"shopify": shopifyQuery}

// shopifyQuery: HMAC-SHA256 in hex over the other parameters, sorted, with the client secret
// (https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant).
func shopifyQuery(query url.Values, secret string) bool {
	if secret == "" || len(query["hmac"]) != 1 {
		return false
	}
	got, err := hex.DecodeString(query.Get("hmac"))
	if err != nil {
		return false
	}
	var pairs []string
	for key, values := range query {
		if key != "hmac" && key != "signature" {
			pairs = append(pairs, key+"="+strings.Join(values, ","))
		}
	}
	slices.Sort(pairs)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.Join(pairs, "&")))
	return hmac.Equal(got, mac.Sum(nil))
}

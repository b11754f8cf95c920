package secret

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

const (
	tokenTimeout = 30 * time.Second // of one call for a token
	tokenAnswer  = 1 << 20          // bytes of its answer
	ahead        = 5 * time.Minute  // how long before its end a token is renewed, or a fifth of its life if that is less
	tokenPause   = 30 * time.Second // between tries to renew a token that is still good
)

// tokens is the token of one connection.
type tokens struct {
	turn   chan struct{}     // has room for one: who holds it may fetch a token
	grant  *connectors.Grant // of a scheme that can get one by itself; it is in memory only
	since  time.Time
	unkept *record   // a grant that could not be saved yet
	failed time.Time // when renewing failed last
}

func (t *tokens) forget() { t.grant, t.since = nil, time.Time{} }

// SignInError says that a person has to sign in, for the first time or again. Another try does not help.
type SignInError struct {
	Connection, Reason string
	Link               string // where in Bellhop one does that; empty: its address is not known
}

func (e *SignInError) Error() string {
	text := fmt.Sprintf("connection %s needs somebody to sign in: %s", e.Connection, e.Reason)
	if e.Link != "" {
		text += "; sign in at " + e.Link
	}
	return text
}

func (c *Connections) signInError(name, reason string) error {
	e := &SignInError{Connection: name, Reason: reason}
	if c.options.PublicURL != "" {
		e.Link = c.options.PublicURL + "/connections/" + url.PathEscape(name)
	}
	return connectors.Permanent(e)
}

// Tokens returns the source of access tokens of a connection, or nil when its auth has none. Whoever asks at the same
// time gets the answer of one call; a renewed token is sealed on disk before anybody gets it.
func (c *Connections) Tokens(name string) func(ctx context.Context, refused string) (string, error) {
	e, err := c.entry(name)
	if err != nil {
		return nil
	}
	e.mu.Lock()
	scheme := e.scheme()
	e.mu.Unlock()
	if scheme == nil || scheme.OAuth2 == nil && scheme.Obtain == nil {
		return nil
	}
	return func(ctx context.Context, refused string) (string, error) { return c.tokenOf(ctx, name, refused) }
}

func (e *entry) scheme() *connectors.AuthScheme { return e.def.scheme() }

func (d *definition) scheme() *connectors.AuthScheme {
	if d.of == nil {
		return nil
	}
	return d.of.Scheme(d.auth)
}

func (c *Connections) tokenOf(ctx context.Context, name, refused string) (string, error) {
	e, err := c.entry(name)
	if err != nil {
		return "", connectors.Permanent(err)
	}
	conn, err := c.Connection(name)
	if err != nil {
		return "", connectors.Permanent(err)
	}
	if token, fresh := e.good(refused); fresh {
		return token, nil
	}
	select {
	case e.token.turn <- struct{}{}:
	case <-ctx.Done():
		return "", fmt.Errorf("connection %s: wait for a token: %w", name, context.Cause(ctx))
	}
	defer func() { <-e.token.turn }()
	token, fresh := e.good(refused) // somebody else may have been here before
	if fresh {
		return token, nil
	}
	e.mu.Lock()
	again := token != "" && time.Since(e.token.failed) < tokenPause
	e.mu.Unlock()
	if again {
		return token, nil
	}
	// A caller who goes away must not cut off a call whose answer replaces the refresh token.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
	defer cancel()
	renewed, err := c.renew(work, e, conn)
	if err == nil {
		return renewed, nil
	}
	c.options.Log.WarnContext(ctx, "a token could not be fetched", "connection", name, "error", err)
	e.mu.Lock()
	e.token.failed = time.Now()
	e.mu.Unlock()
	if signIn, ok := errors.AsType[*SignInError](err); ok {
		c.note(e, StateSignIn, signIn.Reason, "")
	}
	if token != "" {
		return token, nil // it is good for a while
	}
	return "", err
}

// good returns the token if it may be used, and whether it need not be renewed yet.
func (e *entry) good(refused string) (token string, fresh bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.token.unkept != nil {
		return "", false // it is used when it is on disk
	}
	g, since := e.token.grant, e.token.since
	if g == nil && e.record != nil && e.record.Grant != nil {
		g, since = e.record.Grant, e.record.Since
	}
	if g == nil || g.Token == "" || g.Token == refused {
		return "", false
	}
	if g.Expires.IsZero() {
		return g.Token, true
	}
	left := time.Until(g.Expires)
	if left <= 0 {
		return "", false
	}
	return g.Token, left > min(ahead, g.Expires.Sub(since)/5)
}

// renew gets a new token and keeps it. The caller holds the turn.
func (c *Connections) renew(ctx context.Context, e *entry, conn connectors.Connection) (string, error) {
	e.mu.Lock()
	scheme, unkept, rec, version := e.scheme(), e.token.unkept, e.record, e.version
	e.mu.Unlock()
	if unkept != nil {
		if err := c.save(e.name, unkept, version); err != nil {
			return "", err
		}
		e.mu.Lock()
		e.token.unkept = nil
		e.mu.Unlock()
		return unkept.Grant.Token, nil
	}
	if scheme == nil {
		return "", connectors.Permanent(fmt.Errorf("connection %s: its auth has no token", e.name))
	}
	if scheme.Obtain != nil {
		g, err := scheme.Obtain(ctx, &connectors.Call{Connection: conn, HTTP: c.options.HTTP, Limits: c.options.Limits, Now: time.Now()})
		if err != nil {
			return "", fmt.Errorf("connection %s: get a token: %w", e.name, err)
		}
		c.learn(g.Token)
		e.mu.Lock()
		e.token.grant, e.token.since = &g, time.Now()
		e.mu.Unlock()
		return g.Token, nil
	}
	switch {
	case rec == nil || rec.Grant == nil:
		return "", c.signInError(e.name, "nobody has signed in yet")
	case rec.Grant.Refresh == "":
		return "", c.signInError(e.name, "the sign-in has ended, and it cannot be renewed without a person")
	}
	// The answer may replace the refresh token, and then it is the only copy. So that it is not asked for in vain, what is
	// about to happen is written first: a disk that takes nothing stops here, and a crash leaves word of what was lost.
	stopped := rec.Renewing
	if stopped.IsZero() {
		trying := *rec
		trying.Renewing = time.Now().UTC()
		var err error
		if version, err = c.write(e.name, &trying, version); err != nil {
			return "", fmt.Errorf("the token is not renewed, for a new one could not be kept: %w", err)
		}
	}
	g, err := c.requestToken(ctx, conn, scheme.OAuth2, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {rec.Grant.Refresh},
	})
	if err != nil {
		return "", fmt.Errorf("connection %s: renew the token: %w", e.name, c.ended(e.name, err, stopped))
	}
	if g.Refresh == "" {
		g.Refresh = rec.Grant.Refresh
	}
	kept := maps.Clone(rec.Grant.Kept)
	if kept == nil {
		kept = g.Kept
	} else {
		maps.Copy(kept, g.Kept)
	}
	g.Kept = kept
	renewed := *rec
	renewed.Grant, renewed.Since, renewed.Renewing = &g, time.Now().UTC(), time.Time{}
	if err := c.save(e.name, &renewed, version); err != nil {
		if !errors.Is(err, ErrChanged) { // then somebody entered other values or signed in anew
			e.mu.Lock()
			e.token.unkept = &renewed
			e.mu.Unlock()
		}
		return "", fmt.Errorf("the new token cannot be kept: %w", err)
	}
	return g.Token, nil
}

// ended turns the answer that a refresh token is not valid any more into a SignInError. Stopped is when an earlier try
// to renew it began whose end is not known; zero: there was none.
func (c *Connections) ended(name string, err error, stopped time.Time) error {
	if o, ok := errors.AsType[*oauthError](err); ok && o.code == "invalid_grant" {
		reason := "the sign-in was withdrawn or has expired"
		if !stopped.IsZero() {
			reason = "a renewal that began at " + stopped.Format(time.RFC3339) + " was cut off, and what is kept from before it is not accepted any more"
		}
		if o.description != "" {
			reason += " (" + o.description + ")"
		}
		return c.signInError(name, reason)
	}
	return err
}

// oauthError is an error answer of a token address (RFC 6749, section 5.2).
type oauthError struct {
	code, description string
	status            int
}

func (e *oauthError) Error() string {
	text := "the token address answered " + e.code
	switch e.code {
	case "":
		text = fmt.Sprintf("the token address answered with status %d", e.status)
	case "invalid_client", "unauthorized_client":
		text = "the client id or the client secret was not accepted (" + e.code + ")"
	case "access_denied":
		text = "the sign-in was declined"
	}
	if e.description != "" {
		text += ": " + e.description
	}
	return text
}

// requestToken calls the token address (RFC 6749, section 3.2).
func (c *Connections) requestToken(ctx context.Context, conn connectors.Connection, o *connectors.OAuth2, form url.Values) (connectors.Grant, error) {
	if c.options.HTTP == nil {
		return connectors.Grant{}, errors.New("no calls can be made here")
	}
	address, err := o.TokenURL(conn)
	if err != nil {
		return connectors.Grant{}, connectors.Permanent(err)
	}
	for key, v := range o.TokenParams {
		form.Set(key, v)
	}
	answer, err := c.postForm(ctx, conn, o, address, form)
	if err != nil {
		return connectors.Grant{}, err
	}
	g, err := o.Read(answer)
	if err == nil && g.Token != "" {
		c.learn(g.Token, g.Refresh)
		return g, nil
	}
	if refused := c.refusal(answer); refused != nil {
		return connectors.Grant{}, refused
	}
	if err == nil {
		err = errors.New("it holds no token")
	}
	return connectors.Grant{}, connectors.Permanent(fmt.Errorf("the answer of the token address cannot be used: %w", err))
}

// refusal reads an error out of an answer; nil when it holds none.
func (c *Connections) refusal(a connectors.Answer) error {
	fields, _ := a.Body.(map[string]any)
	e := &oauthError{status: a.Status, code: c.clean(textOf(fields["error"])), description: c.clean(textOf(fields["error_description"]))}
	switch {
	case e.code == "" && a.Status < 400:
		return nil
	case a.Status == http.StatusTooManyRequests || a.Status >= 500 || e.code == "slow_down" || e.code == "authorization_pending" || e.code == "temporarily_unavailable":
		return e
	}
	return connectors.Permanent(e)
}

// clean makes a text of the other side fit for a message.
func (c *Connections) clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	if c.options.Redactor != nil {
		s = c.options.Redactor.Text(s)
	}
	return s
}

// postForm sends a form with the client's own proof and reads the answer as plain data.
func (c *Connections) postForm(ctx context.Context, conn connectors.Connection, o *connectors.OAuth2, address string, form url.Values) (connectors.Answer, error) {
	id, secret := conn.Secrets["client_id"], conn.Secrets["client_secret"]
	var none connectors.Answer
	var basic string
	switch o.Client {
	case "basic":
		basic = url.QueryEscape(id) + ":" + url.QueryEscape(secret) // RFC 6749, section 2.3.1
	case "none":
		form.Set("client_id", id)
	case "private_key_jwt":
		assertion, err := clientAssertion(id, address, conn.Secrets["private_key"])
		if err != nil {
			return none, connectors.Permanent(err)
		}
		form.Set("client_id", id)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	default:
		form.Set("client_id", id)
		form.Set("client_secret", secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return none, connectors.Permanent(errors.New("the token address is not an address"))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if basic != "" {
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(basic)))
	}
	res, err := c.options.HTTP.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // its text may hold a query
		}
		return none, fmt.Errorf("%s cannot be reached: %w", req.URL.Host, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, tokenAnswer+1))
	if err != nil {
		return none, fmt.Errorf("the answer of %s broke off: %w", req.URL.Host, err)
	}
	if len(raw) > tokenAnswer {
		return none, connectors.Permanent(fmt.Errorf("the answer of %s is longer than %d bytes", req.URL.Host, tokenAnswer))
	}
	return connectors.AnswerOf(res.StatusCode, res.Header, decodeAnswer(res.Header.Get("Content-Type"), raw)), nil
}

// decodeAnswer reads JSON, or a form as some systems still send one; else it is text.
func decodeAnswer(contentType string, raw []byte) any {
	if v, err := value.DecodeJSON(raw); err == nil {
		return v
	}
	kind, _, _ := mime.ParseMediaType(contentType)
	if kind == "application/x-www-form-urlencoded" || kind == "text/plain" {
		if fields, err := value.DecodeForm(raw); err == nil {
			return fields
		}
	}
	return string(raw)
}

// clientAssertion is a client's proof by its own key (RFC 7523, section 2.2).
func clientAssertion(id, audience, pem string) (string, error) {
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": id, "sub": id, "aud": audience, "jti": base64.RawURLEncoding.EncodeToString(random(16)),
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	if key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(pem)); err == nil {
		return jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(key)
	}
	if key, err := jwt.ParseECPrivateKeyFromPEM([]byte(pem)); err == nil {
		return jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key)
	}
	return "", errors.New("the private key is no RSA or P-256 key in PEM form")
}

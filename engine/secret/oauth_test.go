package secret_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/secret"
)

const public = "http://bellhop.example.com"

// provider is a real OAuth2 server: npm oidc-provider.
type provider struct {
	issuer string
	key    string // private key of the client "assertion"

	mu     sync.Mutex
	grants []string // of each request for a token, with the status
	asked  int      // how often it was asked to say so
	said   int      // the last number that it said
}

// newProvider starts the server. On a machine without Node or without its packages the test is skipped, loudly; the
// gate has both.
func newProvider(t *testing.T) *provider {
	t.Helper()
	dir := filepath.Join("testdata", "oidc")
	missing := ""
	if _, err := exec.LookPath("node"); err != nil {
		missing = "node is not installed"
	} else if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		missing = "run `npm ci --ignore-scripts` in engine/secret/testdata/oidc"
	}
	if missing != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("the OAuth2 flows were not tried against a real server: %s", missing)
		}
		t.Skipf("SKIPPED: the OAuth2 flows are not tried against a real server: %s", missing)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256",
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))}
	cmd := exec.Command("node", "server.mjs", string(jwk), public+secret.CallbackPath)
	cmd.Dir = dir
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	ended := make(chan struct{})
	t.Cleanup(func() {
		stdin.Close()
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("the OAuth2 server: %v\n%s", err, stderr.String())
		}
	})
	var first struct{ Issuer string }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &first) != nil || first.Issuer == "" {
		close(ended)
		t.Fatalf("the OAuth2 server did not start: %q\n%s", lines.Text(), stderr.String())
	}
	p.issuer = first.Issuer
	go func() {
		defer close(ended)
		for lines.Scan() {
			var line struct {
				Grant, Error string
				Status, Said int
			}
			if json.Unmarshal(lines.Bytes(), &line) != nil {
				continue
			}
			p.mu.Lock()
			if p.said = max(p.said, line.Said); line.Grant != "" {
				p.grants = append(p.grants, strings.TrimSpace(fmt.Sprint(line.Grant, " ", line.Status, " ", line.Error)))
			}
			p.mu.Unlock()
		}
	}()
	return p
}

// count is how many requests for a token began with prefix. What the server printed about those that were answered comes
// in when it likes: it prints a number behind them, and that is waited for.
func (p *provider) count(t *testing.T, prefix string) int {
	t.Helper()
	p.mu.Lock()
	p.asked++
	asked := p.asked
	p.mu.Unlock()
	res, err := http.Get(fmt.Sprintf("%s/said/%d", p.issuer, asked))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		said := p.said
		p.mu.Unlock()
		if said >= asked {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the OAuth2 server does not print what it was asked to")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, g := range p.grants {
		if strings.HasPrefix(g, prefix) {
			n++
		}
	}
	return n
}

func (p *provider) at(path string) func(connectors.Connection) (string, error) {
	return func(connectors.Connection) (string, error) { return p.issuer + path, nil }
}

// readGrant reads a standard answer. A life of an hour is shortened by short, so that a test can be near its end.
func readGrant(short time.Duration) func(connectors.Answer) (connectors.Grant, error) {
	return func(a connectors.Answer) (connectors.Grant, error) {
		body, _ := a.Body.(map[string]any)
		token, _ := body["access_token"].(string)
		refresh, _ := body["refresh_token"].(string)
		if token == "" {
			return connectors.Grant{}, errors.New("no access_token")
		}
		return connectors.Grant{Token: token, Refresh: refresh, Expires: time.Now().Add(time.Hour - short), Kept: map[string]any{"kind": body["token_type"]}}, nil
	}
}

// crm is a connector whose connections sign in at the provider.
func (p *provider) crm(flow, client string, short time.Duration) *connectors.Registry {
	names := []string{"client_id"}
	switch client {
	case "basic", "post":
		names = append(names, "client_secret")
	case "private_key_jwt":
		names = append(names, "private_key")
	}
	var secrets []connectors.Secret
	for _, name := range names {
		secrets = append(secrets, connectors.Secret{Name: name})
	}
	return connectors.NewRegistry(&connectors.Connector{
		ID: "crm", Auth: []connectors.AuthScheme{{ID: "oauth", Type: connectors.AuthOAuth2, Secrets: secrets, OAuth2: &connectors.OAuth2{
			Flow: flow, AuthorizeURL: p.at("/auth"), DeviceURL: p.at("/device/auth"), TokenURL: p.at("/token"), PKCE: true, Client: client,
			Scopes: []string{"openid", "contacts.read"}, AuthorizeParams: map[string]string{"prompt": "consent"}, Read: readGrant(short),
		}}},
		Actions: []connectors.Action{{Name: "who_am_i", Safe: true, Do: func(ctx context.Context, c *connectors.Call) (any, error) {
			refused := ""
			for range 2 {
				token, err := c.Token(ctx, refused)
				if err != nil {
					return nil, err
				}
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.issuer+"/me", nil)
				req.Header.Set("Authorization", "Bearer "+token)
				res, err := c.HTTP.Do(req)
				if err != nil {
					return nil, err
				}
				defer res.Body.Close()
				var out map[string]any
				if res.StatusCode == http.StatusOK {
					return out, json.NewDecoder(res.Body).Decode(&out)
				}
				refused = token
			}
			return nil, connectors.Permanent(&connectors.StatusError{Status: http.StatusUnauthorized, Message: "the CRM did not accept the token"})
		}}},
		Test: &connectors.Test{Action: "who_am_i", Judge: func(any) (string, error) { return "signed in", nil }},
	})
}

func (p *provider) entry(client string) secret.Entry {
	id := client
	if client == "private_key_jwt" {
		id = "assertion"
	}
	values := map[string]any{"connector": "crm", "auth": "oauth", "client_id": id}
	switch client {
	case "basic", "post":
		values["client_secret"] = "canary secret/+ of " + id
	case "private_key_jwt":
		values["private_key"] = p.key
	}
	return secret.Entry{Values: values, By: "Ada"}
}

func connections(t *testing.T, dir string, r *connectors.Registry) *secret.Connections {
	t.Helper()
	vault, err := secret.OpenVault(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(nil, r, secret.Options{Vault: vault, HTTP: &http.Client{Timeout: time.Minute}, PublicURL: public, Redactor: &secret.Redactor{}})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// through is connections whose calls go through f.
func through(t *testing.T, dir string, r *connectors.Registry, f transport) *secret.Connections {
	t.Helper()
	vault, err := secret.OpenVault(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(nil, r, secret.Options{Vault: vault, HTTP: &http.Client{Transport: f}, PublicURL: public, Redactor: &secret.Redactor{}})
}

// consent does what a person does in a browser: sign in, agree, and be sent back. It returns the query of the way back.
func consent(t *testing.T, address string) url.Values {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	var back url.Values
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), public) {
			back = r.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	form := regexp.MustCompile(`<form[^>]*action="([^"]+)"`)
	hidden := regexp.MustCompile(`name="([^"]+)" value="([^"]*)"`)
	res, err := browser.Get(address)
	for step := 0; step < 6; step++ {
		if err != nil {
			t.Fatal(err)
		}
		page, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if back != nil {
			return back
		}
		m := form.FindSubmatch(page)
		if m == nil {
			return nil // the end of a device flow
		}
		values := url.Values{"login": {"ada"}, "password": {"anything"}}
		for _, h := range hidden.FindAllSubmatch(page, -1) {
			values.Set(string(h[1]), string(h[2]))
		}
		next, _ := res.Request.URL.Parse(string(m[1]))
		res, err = browser.PostForm(next.String(), values)
	}
	t.Fatal("the provider asks for more than a sign-in and a consent")
	return nil
}

func TestSignIn(t *testing.T) {
	p := newProvider(t)
	for _, client := range []string{"basic", "post", "none", "private_key_jwt"} {
		t.Run(client, func(t *testing.T) {
			dir := t.TempDir()
			c := connections(t, dir, p.crm("authorization_code", client, 0))
			in := secret.SignIn{Name: "my-crm", Entry: p.entry(client), IsNew: true, Browser: "this one"}
			started, err := c.StartSignIn(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			back := consent(t, started.URL)
			if _, err := c.FinishSignIn(t.Context(), back, "another one"); err == nil || !strings.Contains(err.Error(), "another browser") {
				t.Fatalf("another browser ended the sign-in: %v", err)
			}
			if _, err := c.FinishSignIn(t.Context(), url.Values{"state": {"invented"}, "code": back["code"]}, "this one"); !errors.Is(err, secret.ErrNoFlow) {
				t.Fatalf("an invented state: %v", err)
			}
			if name, err := c.FinishSignIn(t.Context(), back, "this one"); err != nil || name != "my-crm" {
				t.Fatalf("FinishSignIn: %q, %v", name, err)
			}
			if _, err := c.FinishSignIn(t.Context(), back, "this one"); !errors.Is(err, secret.ErrNoFlow) {
				t.Fatalf("the same way back twice: %v", err)
			}
			if s, err := c.SignInState(t.Context(), started.State); err != nil || !s.Done || s.Reason != "" {
				t.Fatalf("SignInState: %+v, %v", s, err)
			}
			if label, err := c.Test(t.Context(), "my-crm"); err != nil || label != "signed in" {
				t.Fatalf("Test: %q, %v", label, err)
			}
			i, err := c.Info("my-crm")
			if err != nil || i.State != secret.StateWorking || i.Label != "signed in" || !i.CanSignIn {
				t.Fatalf("Info: %+v, %v", i, err)
			}

			c = connections(t, dir, p.crm("authorization_code", client, 0)) // a restart
			conn, err := c.Connection("my-crm")
			if err != nil || conn.Kept["kind"] != "Bearer" {
				t.Fatalf("after a restart: %+v, %v", conn.Kept, err)
			}
			token, err := c.Tokens("my-crm")(t.Context(), "")
			if err != nil || token == "" {
				t.Fatalf("after a restart: %v", err)
			}
			sealed, err := os.ReadFile(filepath.Join(dir, "secrets.json"))
			if err != nil || strings.Contains(string(sealed), token) || strings.Contains(string(sealed), "canary") {
				t.Fatal("the sealed file shows a secret")
			}
		})
	}
}

func TestSignInThatFails(t *testing.T) {
	p := newProvider(t)
	c := connections(t, t.TempDir(), p.crm("authorization_code", "basic", 0))
	start := func(secretText string) string {
		t.Helper()
		in := p.entry("basic")
		in.Values["client_secret"] = secretText
		s, err := c.StartSignIn(t.Context(), secret.SignIn{Name: "my-crm", Entry: in, IsNew: true})
		if err != nil {
			t.Fatal(err)
		}
		return s.URL
	}
	query := func(address string) url.Values {
		u, _ := url.Parse(address)
		return u.Query()
	}
	good := "canary secret/+ of basic"

	wrong := consent(t, start("canary-but-wrong"))
	if _, err := c.FinishSignIn(t.Context(), wrong, ""); err == nil || !strings.Contains(err.Error(), "client secret was not accepted") || strings.Contains(err.Error(), "canary") {
		t.Errorf("a wrong client secret: %v", err)
	}
	back := consent(t, start(good))
	back.Set("iss", "https://evil.example.com")
	if _, err := c.FinishSignIn(t.Context(), back, ""); err == nil || !strings.Contains(err.Error(), "another provider") {
		t.Errorf("an answer of another issuer: %v", err)
	}
	state := query(start(good)).Get("state")
	if _, err := c.FinishSignIn(t.Context(), url.Values{"state": {state}, "error": {"access_denied"}}, ""); err == nil || !strings.Contains(err.Error(), "declined") {
		t.Errorf("declined: %v", err)
	}
	// A code that was caught elsewhere is of no use: the verifier of another sign-in does not fit (PKCE).
	stolen := consent(t, start(good))
	mine := url.Values{"state": {query(start(good)).Get("state")}, "code": stolen["code"]}
	if _, err := c.FinishSignIn(t.Context(), mine, ""); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("a code of another sign-in: %v", err)
	}
	if _, err := c.Connection("my-crm"); !errors.Is(err, secret.ErrUnknown) {
		t.Errorf("a sign-in that failed left a connection: %v", err)
	}
}

func TestDevice(t *testing.T) {
	p := newProvider(t)
	c := connections(t, t.TempDir(), p.crm("device_code", "none", 0))
	s, err := c.StartSignIn(t.Context(), secret.SignIn{Name: "my-crm", Entry: p.entry("none"), IsNew: true})
	if err != nil || s.Code == "" {
		t.Fatalf("StartSignIn: %+v, %v", s, err)
	}
	if got, err := c.SignInState(t.Context(), s.State); err != nil || got.Done {
		t.Fatalf("before anybody entered the code: %+v, %v", got, err)
	}
	consent(t, s.URL)
	deadline := time.Now().Add(2 * time.Minute)
	for {
		got, err := c.SignInState(t.Context(), s.State)
		if err != nil || got.Reason != "" {
			t.Fatalf("SignInState: %+v, %v", got, err)
		}
		if got.Done {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the sign-in did not end")
		}
		time.Sleep(200 * time.Millisecond) // as a page that asks now and then
	}
	if _, err := c.Test(t.Context(), "my-crm"); err != nil {
		t.Fatal(err)
	}
}

// signedIn makes a connection whose token is nearly at its end, so that it is renewed at its next use.
func signedIn(t *testing.T, p *provider, dir string) *secret.Connections {
	t.Helper()
	c := connections(t, dir, p.crm("authorization_code", "basic", time.Hour-10*time.Second))
	s, err := c.StartSignIn(t.Context(), secret.SignIn{Name: "my-crm", Entry: p.entry("basic"), IsNew: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.FinishSignIn(t.Context(), consent(t, s.URL), ""); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRenewOnce(t *testing.T) {
	p := newProvider(t)
	dir := t.TempDir()
	c := signedIn(t, p, dir)
	tokens := c.Tokens("my-crm")
	first, err := tokens(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	// Twenty steps were answered 401 with the same token at the same time.
	var all sync.WaitGroup
	got := make([]string, 20)
	for i := range got {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if i == 0 {
				cancel() // who asks first goes away: the others still get the token
			}
			defer cancel()
			got[i], _ = tokens(ctx, first)
		})
	}
	all.Wait()
	if n := p.count(t, "refresh_token"); n != 1 {
		t.Errorf("%d requests renewed the token, want 1", n)
	}
	for i, token := range got[1:] {
		if token == "" || token == first || token != got[1] {
			t.Errorf("caller %d got %q", i+1, token)
		}
	}
	// The new refresh token is on disk: after a restart it renews, the old one would not (it is rotated).
	c = connections(t, dir, p.crm("authorization_code", "basic", 0))
	if token, err := c.Tokens("my-crm")(t.Context(), got[1]); err != nil || token == got[1] {
		t.Errorf("after a restart: %v", err)
	}
	if n := p.count(t, "refresh_token 200"); n != 2 {
		t.Errorf("%d renewals worked, want 2", n)
	}
}

// TestTokenIsKeptBeforeUse moves the vault's directory away: before the provider is asked, so that it is not asked, and after
// its answer. Nobody may use a token that is not on disk, and once it can be written nothing is lost, although the
// provider has rotated the refresh token.
func TestTokenIsKeptBeforeUse(t *testing.T) {
	p := newProvider(t)
	dir := t.TempDir()
	signedIn(t, p, dir)
	away := dir + ".away"
	lose := func(t *testing.T) {
		t.Helper()
		if err := os.Rename(dir, away); err != nil {
			t.Error(err)
		}
	}
	back := func(t *testing.T) {
		t.Helper()
		if err := os.Rename(away, dir); err != nil {
			t.Fatal(err)
		}
	}
	after := false
	c := through(t, dir, p.crm("authorization_code", "basic", time.Hour-10*time.Second), func(r *http.Request) (*http.Response, error) {
		res, err := http.DefaultTransport.RoundTrip(r)
		if after {
			after = false
			lose(t)
		}
		return res, err
	})
	tokens := c.Tokens("my-crm")
	lose(t)
	first, err := tokens(t.Context(), "")
	if err != nil {
		t.Fatalf("a token that is good for a while: %v", err)
	}
	if token, err := tokens(t.Context(), first); err == nil {
		t.Fatalf("a token that cannot be kept was handed out: %q", token)
	}
	if n := p.count(t, "refresh_token"); n != 0 {
		t.Errorf("%d requests renewed a token that could not be kept", n)
	}
	back(t)
	after = true
	if token, err := tokens(t.Context(), first); err == nil {
		t.Fatalf("a token that is not on disk was handed out: %q", token)
	}
	back(t)
	second, err := tokens(t.Context(), first)
	if err != nil || second == first {
		t.Fatalf("when the disk is back: %v", err)
	}
	if n := p.count(t, "refresh_token"); n != 1 {
		t.Errorf("%d requests renewed the token, want 1", n)
	}
	c = connections(t, dir, p.crm("authorization_code", "basic", 0))
	if token, err := c.Tokens("my-crm")(t.Context(), second); err != nil || token == "" {
		t.Errorf("after a restart: %v", err)
	}
}

// TestRenewalThatWasCutOff ends the process during a renewal: before the provider got the request, and after it answered
// and replaced the refresh token. The first loses nothing; of the second the connection stays, says what happened and
// where to sign in, and works again after that.
func TestRenewalThatWasCutOff(t *testing.T) {
	p := newProvider(t)
	dir := t.TempDir()
	crm := p.crm("authorization_code", "basic", time.Hour-10*time.Second)
	first, err := signedIn(t, p, dir).Tokens("my-crm")(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the process ended")
	for _, arrives := range []bool{false, true} {
		c := through(t, dir, crm, func(r *http.Request) (*http.Response, error) {
			if arrives {
				res, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					return nil, err
				}
				res.Body.Close()
			}
			return nil, gone
		})
		if _, err := c.Tokens("my-crm")(t.Context(), first); !errors.Is(err, gone) {
			t.Fatalf("got %v", err)
		}
		c = connections(t, dir, crm) // a restart
		token, err := c.Tokens("my-crm")(t.Context(), first)
		if !arrives {
			if err != nil || token == first {
				t.Fatalf("the request never arrived, so the refresh token is good: %v", err)
			}
			first = token
			continue
		}
		lost, ok := errors.AsType[*secret.SignInError](err)
		if !ok || !strings.Contains(lost.Reason, "was cut off") || lost.Link != public+"/connections/my-crm" || !strings.Contains(err.Error(), lost.Link) {
			t.Fatalf("the answer was lost: %v", err)
		}
		i, err := c.Info("my-crm")
		if err != nil || i.State != secret.StateSignIn || i.Reason != lost.Reason || !i.CanSignIn {
			t.Errorf("Info: %+v, %v", i, err)
		}
		s, err := c.StartSignIn(t.Context(), secret.SignIn{Name: "my-crm"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.FinishSignIn(t.Context(), consent(t, s.URL), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Test(t.Context(), "my-crm"); err != nil {
			t.Errorf("after signing in again: %v", err)
		}
		if i, err := c.Info("my-crm"); err != nil || i.State != secret.StateWorking {
			t.Errorf("after signing in again: %+v, %v", i, err)
		}
	}
}

func TestWithdrawnSignIn(t *testing.T) {
	p := newProvider(t)
	c := signedIn(t, p, t.TempDir())
	tokens := c.Tokens("my-crm")
	token, err := tokens(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	// oidc-provider revokes the whole grant with one of its access tokens.
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, p.issuer+"/token/revocation", strings.NewReader(url.Values{"token": {token}}.Encode()))
	req.SetBasicAuth("basic", url.QueryEscape("canary secret/+ of basic"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("revoke: %v %v", res, err)
	}
	res.Body.Close()
	_, err = tokens(t.Context(), token)
	if _, ok := errors.AsType[*secret.SignInError](err); !ok || !connectors.IsPermanent(err) {
		t.Fatalf("a withdrawn sign-in: %v", err)
	}
	if i, err := c.Info("my-crm"); err != nil || i.State != secret.StateSignIn || !strings.Contains(i.Reason, "withdrawn") {
		t.Errorf("Info: %+v, %v", i, err)
	}
}

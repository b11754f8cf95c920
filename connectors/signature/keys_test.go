package signature_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
)

// site answers for the servers of a sender.
type site struct {
	pages map[string][]byte
	calls atomic.Int32
	down  atomic.Bool
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.calls.Add(1)
	if s.down.Load() {
		return nil, errors.New("connection refused")
	}
	page, ok := s.pages[r.URL.String()]
	status := http.StatusOK
	if !ok {
		status = http.StatusNotFound
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(page)), Request: r, Header: http.Header{}}, nil
}

func (s *site) keys(roots *x509.CertPool) *signature.Keys {
	return signature.NewKeys(&http.Client{Transport: s}, roots)
}

const jwksURL = "https://issuer.example.com/keys"

var jwtConfig = connectors.Verify{
	Scheme: "jwt", JWKS: jwksURL, Issuer: "https://issuer.example.com", Audience: "bellhop", BodyHash: "request_body_sha256",
	Algorithms: []string{"RS256", "PS384", "ES256", "ES512", "EdDSA"},
}

// TestTokensOfJose sends tokens that jose made, genuine and forged.
func TestTokensOfJose(t *testing.T) {
	for _, g := range vendorRequests(t) {
		if g.Scheme != "jwt" {
			continue
		}
		keys := (&site{pages: map[string][]byte{jwksURL: g.Keys}}).keys(nil)
		v, err := signature.New(jwtConfig, keys)
		if err != nil {
			t.Fatal(err)
		}
		narrow := jwtConfig
		narrow.Algorithms = []string{"ES256"}
		onlyES, err := signature.New(narrow, keys)
		if err != nil {
			t.Fatal(err)
		}
		accepted := 0
		for _, tok := range g.Tokens {
			r := signature.Request{Method: "POST", Header: http.Header{"Authorization": {"Bearer " + tok.Token}}, Body: []byte(g.Body), Now: now}
			err := v.Verify(t.Context(), r, signature.Secrets{})
			if (err == nil) != tok.OK {
				t.Errorf("%s %s: %v, want genuine %t", tok.Alg, tok.Name, err, tok.OK)
			}
			if err := onlyES.Verify(t.Context(), r, signature.Secrets{}); (err == nil) != (tok.OK && tok.Alg == "ES256") {
				t.Errorf("%s %s where ES256 alone may sign: %v", tok.Alg, tok.Name, err)
			}
			if !tok.OK {
				continue
			}
			accepted++
			for name, change := range map[string]func(*signature.Request){
				"expired":   func(r *signature.Request) { r.Now = now.Add(301 * time.Second) },
				"no header": func(r *signature.Request) { r.Header = http.Header{} },
				"two":       func(r *signature.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) },
				"basic":     func(r *signature.Request) { r.Header.Set("Authorization", "Basic "+tok.Token) },
				"truncated": func(r *signature.Request) { r.Header.Set("Authorization", "Bearer "+tok.Token[:len(tok.Token)-9]) },
				"no part": func(r *signature.Request) {
					r.Header.Set("Authorization", "Bearer "+tok.Token[:strings.LastIndexByte(tok.Token, '.')+1])
				},
				"other body": func(r *signature.Request) { r.Body = []byte("{}") },
				"endless":    func(r *signature.Request) { r.Header.Set("Authorization", "Bearer "+strings.Repeat("a", 1<<20)) },
			} {
				r := signature.Request{Method: "POST", Header: http.Header{"Authorization": {"Bearer " + tok.Token}}, Body: []byte(g.Body), Now: now}
				change(&r)
				if v.Verify(t.Context(), r, signature.Secrets{}) == nil {
					t.Errorf("%s %s, %s: accepted", tok.Alg, tok.Name, name)
				}
			}
		}
		t.Logf("%d tokens, %d of them genuine", len(g.Tokens), accepted)
	}
}

// TestKeySet: one look for many calls, a look a minute for ids that are not there, and keys that outlive their issuer's
// absence for a day.
func TestKeySet(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set := func(kid string) []byte {
		return fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"bad"},{"kty":"oct","k":"c2VjcmV0","kid":"shared"},
			{"kty":"RSA","use":"sig","kid":%q,"n":%q,"e":"AQAB"}]}`, kid, base64.RawURLEncoding.EncodeToString(key.N.Bytes()))
	}
	s := &site{pages: map[string][]byte{jwksURL: set("one")}}
	config := jwtConfig
	config.BodyHash, config.Algorithms = "", nil
	v, err := signature.New(config, s.keys(nil))
	if err != nil {
		t.Fatal(err)
	}
	call := func(kid string, at time.Time) error {
		tok := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"iss": jwtConfig.Issuer, "aud": []string{"x", "bellhop"}, "exp": at.Add(time.Minute).Unix()})
		if kid != "" {
			tok.Header["kid"] = kid
		}
		text, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return v.Verify(t.Context(), signature.Request{Header: http.Header{"Authorization": {"Bearer " + text}}, Now: at}, signature.Secrets{})
	}
	at := now
	steps := []struct {
		name  string
		after time.Duration
		do    func()
		kid   string
		ok    bool
		calls int32
	}{
		{"first", 0, nil, "one", true, 1},
		{"again", time.Second, nil, "one", true, 1},
		{"without an id, and one key of the kind", time.Second, nil, "", true, 1},
		{"unknown id, at once", time.Second, nil, "two", false, 1},
		{"unknown id, a minute later", time.Minute, nil, "two", false, 2},
		{"unknown id, at once again", time.Second, nil, "three", false, 2},
		{"the issuer rotates", time.Minute, func() { s.pages[jwksURL] = set("two") }, "two", true, 3},
		{"the old key is gone", time.Second, nil, "one", false, 3},
		{"issuer down, fresh keys", 30 * time.Minute, func() { s.down.Store(true) }, "two", true, 3},
		{"issuer down, stale keys", 2 * time.Hour, nil, "two", true, 4},
		{"issuer down for a day", 24 * time.Hour, nil, "two", false, 5},
		{"not a key set", time.Hour, func() { s.down.Store(false); s.pages[jwksURL] = []byte("<html>") }, "two", false, 6},
		{"endless", time.Hour, func() { s.pages[jwksURL] = make([]byte, 1<<20) }, "two", false, 7},
		{"back", time.Hour, func() { s.pages[jwksURL] = set("two") }, "two", true, 8},
	}
	for _, step := range steps {
		at = at.Add(step.after)
		if step.do != nil {
			step.do()
		}
		if err := call(step.kid, at); (err == nil) != step.ok {
			t.Errorf("%s: %v, want genuine %t", step.name, err, step.ok)
		}
		if got := s.calls.Load(); got != step.calls {
			t.Errorf("%s: %d fetches, want %d", step.name, got, step.calls)
		}
	}
	none, err := signature.New(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	v = none
	if got := reasonOf(call("two", at)); got != signature.Unreachable {
		t.Errorf("without a way to fetch keys: %q", got)
	}
}

// authority makes certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.key = newRSA(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = a.sign(template, template, &a.key.PublicKey)
	return a
}

func newRSA(t *testing.T) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(template, parent *x509.Certificate, key *rsa.PublicKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

func (a *authority) leaf(name string, key *rsa.PublicKey, until time.Time) []byte {
	cert := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: until,
	}, a.cert, key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// TestPayPal signs with certificates of an authority of its own: no library of the vendor checks offline.
func TestPayPal(t *testing.T) {
	a, stranger, key := newAuthority(t), newAuthority(t), newRSA(t)
	const certs = "https://api.paypal.com/v1/notifications/certs/"
	s := &site{pages: map[string][]byte{
		certs + "good":                 a.leaf("messageverificationcerts.paypal.com", &key.PublicKey, now.Add(time.Hour)),
		certs + "other":                a.leaf("messageverificationcerts.paypal.com", &newRSA(t).PublicKey, now.Add(time.Hour)),
		certs + "expired":              a.leaf("messageverificationcerts.paypal.com", &key.PublicKey, now.Add(-time.Minute)),
		certs + "name":                 a.leaf("paypal.com.example.com", &key.PublicKey, now.Add(time.Hour)),
		certs + "stranger":             stranger.leaf("messageverificationcerts.paypal.com", &key.PublicKey, now.Add(time.Hour)),
		certs + "page":                 []byte("<html>"),
		"https://evil.example.com/c":   a.leaf("messageverificationcerts.paypal.com", &key.PublicKey, now.Add(time.Hour)),
		"https://evilpaypal.com/c":     a.leaf("messageverificationcerts.paypal.com", &key.PublicKey, now.Add(time.Hour)),
		"http://api.paypal.com/c":      a.leaf("messageverificationcerts.paypal.com", &key.PublicKey, now.Add(time.Hour)),
		"https://api.paypal.com:444/c": a.leaf("messageverificationcerts.paypal.com", &key.PublicKey, now.Add(time.Hour)),
	}}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	v, err := signature.New(connectors.Verify{Scheme: "paypal"}, s.keys(roots))
	if err != nil {
		t.Fatal(err)
	}
	const body, webhook = `{"id":"WH-1"}`, "1JE4291016473214C"
	sign := func(cert, id string) signature.Request {
		at := now.Format(time.RFC3339)
		sum := sha256.Sum256([]byte(fmt.Sprintf("%s|%s|%s|%d", id, at, webhook, crc32.ChecksumIEEE([]byte(body)))))
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		for name, v := range map[string]string{
			"PAYPAL-TRANSMISSION-ID": id, "PAYPAL-TRANSMISSION-TIME": at, "PAYPAL-TRANSMISSION-SIG": asB64(sig),
			"PAYPAL-CERT-URL": cert, "PAYPAL-AUTH-ALGO": "SHA256withRSA",
		} {
			h.Set(name, v)
		}
		return signature.Request{Method: "POST", Header: h, Body: []byte(body), Now: now}
	}
	secrets := signature.Secrets{Signing: []string{webhook}}
	set := func(name, value string) func(*signature.Request, *signature.Secrets) {
		return func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(name, value) }
	}
	for name, tt := range map[string]struct {
		cert   string
		change func(*signature.Request, *signature.Secrets)
		ok     bool
	}{
		"ok":            {certs + "good", func(*signature.Request, *signature.Secrets) {}, true},
		"rotated":       {certs + "good", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{"new", webhook} }, true},
		"other webhook": {certs + "good", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{"new"} }, false},
		"no webhook":    {certs + "good", func(_ *signature.Request, s *signature.Secrets) { s.Signing = nil }, false},
		"tampered body": {certs + "good", func(r *signature.Request, _ *signature.Secrets) { r.Body = []byte(`{"id":"WH-2"}`) }, false},
		"other id":      {certs + "good", set("PAYPAL-TRANSMISSION-ID", "other"), false},
		"no id":         {certs + "good", func(r *signature.Request, _ *signature.Secrets) { r.Header.Del("PAYPAL-TRANSMISSION-ID") }, false},
		"moved time":    {certs + "good", set("PAYPAL-TRANSMISSION-TIME", now.Add(time.Second).Format(time.RFC3339)), false},
		"no time":       {certs + "good", set("PAYPAL-TRANSMISSION-TIME", "yesterday"), false},
		"expired":       {certs + "good", func(r *signature.Request, _ *signature.Secrets) { r.Now = now.Add(301 * time.Second) }, false},
		"future":        {certs + "good", func(r *signature.Request, _ *signature.Secrets) { r.Now = now.Add(-301 * time.Second) }, false},
		"no signature":  {certs + "good", func(r *signature.Request, _ *signature.Secrets) { r.Header.Del("PAYPAL-TRANSMISSION-SIG") }, false},
		"empty":         {certs + "good", set("PAYPAL-TRANSMISSION-SIG", ""), false},
		"garbage":       {certs + "good", set("PAYPAL-TRANSMISSION-SIG", "%%%"), false},
		"twice": {certs + "good", func(r *signature.Request, _ *signature.Secrets) {
			r.Header.Add("PAYPAL-TRANSMISSION-SIG", r.Header.Get("PAYPAL-TRANSMISSION-SIG"))
		}, false},
		"two certificates": {certs + "good", func(r *signature.Request, _ *signature.Secrets) { r.Header.Add("PAYPAL-CERT-URL", certs+"good") }, false},
		"other algorithm":  {certs + "good", set("PAYPAL-AUTH-ALGO", "MD5withRSA"), false},
		"no certificate":   {certs + "good", func(r *signature.Request, _ *signature.Secrets) { r.Header.Del("PAYPAL-CERT-URL") }, false},
		"other key":        {certs + "other", func(*signature.Request, *signature.Secrets) {}, false},
		"old certificate":  {certs + "expired", func(*signature.Request, *signature.Secrets) {}, false},
		"other name":       {certs + "name", func(*signature.Request, *signature.Secrets) {}, false},
		"other authority":  {certs + "stranger", func(*signature.Request, *signature.Secrets) {}, false},
		"a page":           {certs + "page", func(*signature.Request, *signature.Secrets) {}, false},
		"nothing there":    {certs + "gone", func(*signature.Request, *signature.Secrets) {}, false},
		"other host":       {"https://evil.example.com/c", func(*signature.Request, *signature.Secrets) {}, false},
		"similar host":     {"https://evilpaypal.com/c", func(*signature.Request, *signature.Secrets) {}, false},
		"plain http":       {"http://api.paypal.com/c", func(*signature.Request, *signature.Secrets) {}, false},
		"other port":       {"https://api.paypal.com:444/c", func(*signature.Request, *signature.Secrets) {}, false},
		"user":             {"https://api.paypal.com@evil.example.com/c", func(*signature.Request, *signature.Secrets) {}, false},
	} {
		r, secrets := sign(tt.cert, "id-1"), secrets
		tt.change(&r, &secrets)
		if err := v.Verify(t.Context(), r, secrets); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want genuine %t", name, err, tt.ok)
		}
	}
	before := s.calls.Load()
	for range 100 {
		if err := v.Verify(t.Context(), sign(certs+"good", "id-2"), secrets); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.calls.Load() - before; got != 0 {
		t.Errorf("%d fetches of a certificate that is known", got)
	}
	for i := range 200 { // a stranger cannot make us call PayPal at will
		_ = v.Verify(t.Context(), sign(fmt.Sprintf("%sx%d", certs, i), "id"), secrets)
	}
	if got := s.calls.Load() - before; got > 30 {
		t.Errorf("%d fetches within a minute", got)
	}
}

func TestAddresses(t *testing.T) {
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	for name, tt := range map[string]struct {
		proxies   []string
		peer      string
		forwarded []string
		ok        bool
	}{
		"direct":                      {nil, "203.0.113.7:1234", nil, true},
		"direct, without a port":      {nil, "203.0.113.7", nil, true},
		"direct, another":             {nil, "203.0.114.7:1234", nil, false},
		"mapped":                      {nil, "[::ffff:203.0.113.7]:1234", nil, true},
		"v6":                          {nil, "[2001:db8::1]:80", nil, true},
		"v6 with a zone":              {nil, "[2001:db8::1%lo]:80", nil, true},
		"unknown":                     {nil, "", nil, false},
		"header of a stranger":        {nil, "198.51.100.1:1", []string{"203.0.113.7"}, false},
		"behind a proxy":              {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"203.0.113.7"}, true},
		"behind two proxies":          {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"203.0.113.7, 10.0.0.2"}, true},
		"written by the caller":       {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"203.0.113.7, 198.51.100.1"}, false},
		"written by him, own header":  {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"203.0.113.7", "198.51.100.1"}, false},
		"a proxy that says nothing":   {[]string{"10.0.0.0/8"}, "10.0.0.1:1", nil, false},
		"a proxy that talks nonsense": {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"203.0.113.7, unknown"}, false},
		"endless":                     {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"203.0.113.7" + strings.Repeat(", 10.0.0.1", 1000)}, false},
		"not through the proxy":       {[]string{"10.0.0.0/8"}, "203.0.113.7:1", []string{"198.51.100.1"}, true},
	} {
		v := mustNew(t, connectors.Verify{Scheme: "ip_allow", Allow: prefixes("203.0.113.0/24", "2001:db8::/32"), Proxies: prefixes(tt.proxies...)})
		r := signature.Request{Header: http.Header{"X-Forwarded-For": tt.forwarded}, Peer: tt.peer, Now: now}
		if err := v.Verify(t.Context(), r, signature.Secrets{}); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want %t", name, err, tt.ok)
		}
	}
}

package signature_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // Intercom and old GitHub have it
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
)

const hookURL = "https://bell.example.com/hooks/in"

// genuine is a request that someone else signed.
type genuine struct {
	Scheme   string
	Evidence string // sdk, checked by sdk, checked by a third party; docs: by our own reading of the documentation
	Variant  string
	Secret   string
	Body     string
	URL      string
	Method   string
	Headers  map[string]string

	Keys   json.RawMessage // jwt
	Tokens []struct {
		Alg, Name, Token string
		OK               bool
	}
}

func (g genuine) request() signature.Request {
	h := http.Header{}
	for name, v := range g.Headers {
		h.Set(name, v)
	}
	return signature.Request{Method: g.Method, URL: g.URL, Header: h, Body: []byte(g.Body), Now: now}
}

var bodies = []string{
	`{"id":"evt_1","event_id":"e1","type":"order","total":129}`,
	`{"text":"é 💥 \u00e9 <b>","n":1e3,"deep":[[[{}]]]}`,
	"{\"lines\":\"a\\r\\nb\",\n \"spaces\" : true }",
	`{"big":"` + strings.Repeat("0123456789abcdef", 128) + `"}`,
}

var vendors = sync.OnceValues(func() ([]genuine, error) {
	dir := filepath.Join("testdata", "vendors")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		return nil, fmt.Errorf("the vendors' libraries are not installed: run `make vendors`, which needs Node and the network")
	}
	input, err := json.Marshal(map[string]any{"now": now.Unix(), "url": hookURL, "bodies": bodies})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "sign.mjs")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("sign.mjs: %w\n%s", err, stderr.String())
	}
	var list []genuine
	return list, json.Unmarshal(out, &list)
})

// vendorRequests are the requests that the vendors' own libraries have signed or accepted. Where they are not
// installed the test is skipped, but not in CI.
func vendorRequests(t *testing.T) []genuine {
	t.Helper()
	list, err := vendors()
	if err != nil && (os.Getenv("CI") == "true" || !strings.Contains(err.Error(), "make vendors")) {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("NOT PROVEN HERE: %v", err)
	}
	return list
}

func mac(newHash func() hash.Hash, secret, text string) []byte {
	m := hmac.New(newHash, []byte(secret))
	io.WriteString(m, text)
	return m.Sum(nil)
}

var (
	asHex = hex.EncodeToString
	asB64 = base64.StdEncoding.EncodeToString
)

// ownRequests are those of the vendors whose libraries cannot tell: signed here, as their documentation says.
func ownRequests() []genuine {
	unix, iso := strconv.FormatInt(now.Unix(), 10), now.Format(time.RFC3339)
	var list []genuine
	for _, body := range bodies {
		add := func(scheme, secret, body string, headers map[string]string) {
			if headers["Content-Type"] == "" {
				headers["Content-Type"] = "application/json"
			}
			list = append(list, genuine{Scheme: scheme, Evidence: "docs", Secret: secret, Body: body, URL: hookURL, Method: "POST", Headers: headers})
		}
		sum := func(secret string) []byte { return mac(sha256.New, secret, body) }
		add("meta", "app-secret", body, map[string]string{"X-Hub-Signature-256": "sha256=" + asHex(sum("app-secret"))})
		add("x", "consumer", body, map[string]string{"x-twitter-webhooks-signature": "sha256=" + asB64(sum("consumer"))})
		add("typeform", "typeform", body, map[string]string{"Typeform-Signature": "sha256=" + asB64(sum("typeform"))})
		add("intercom", "client", body, map[string]string{"X-Hub-Signature": "sha1=" + asHex(mac(sha1.New, "client", body))})
		add("lemonsqueezy", "lemon", body, map[string]string{"X-Signature": asHex(sum("lemon"))})
		add("docusign", "key-1", body, map[string]string{
			"X-DocuSign-Signature-1": asB64(sum("a key that is gone")), "X-DocuSign-Signature-2": asB64(sum("key-1")), "x-authorization-digest": "HMACSHA256",
		})
		add("calendly", "cal", body, map[string]string{"Calendly-Webhook-Signature": "t=" + unix + ",v1=" + asHex(mac(sha256.New, "cal", unix+"."+body))})
		add("zendesk", "zen", body, map[string]string{
			"X-Zendesk-Webhook-Signature": asB64(mac(sha256.New, "zen", iso+body)), "X-Zendesk-Webhook-Signature-Timestamp": iso,
		})
		sig := asHex(mac(sha256.New, "mail", unix+"token-1"))
		add("mailgun", "mail", fmt.Sprintf(`{"signature":{"timestamp":"%s","token":"token-1","signature":"%s"},"event-data":%s}`, unix, sig, body), map[string]string{})
		add("mailgun", "mail", "timestamp="+unix+"&token=token-1&signature="+sig+"&subject=hi", map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
		add("mailgun", "mail", "--x\r\nContent-Disposition: form-data; name=\"timestamp\"\r\n\r\n"+unix+
			"\r\n--x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\ntoken-1\r\n--x\r\nContent-Disposition: form-data; name=\"signature\"\r\n\r\n"+sig+"\r\n--x--\r\n",
			map[string]string{"Content-Type": "multipart/form-data; boundary=x"})
	}
	return list
}

// kind is what a test must know of a scheme to change a request of it in every way.
type kind struct {
	header    string        // of the signature; empty: it stands in the body
	hex       bool          // so that its case plays no part
	tolerance time.Duration // 0: no time is signed
	move      func(r *signature.Request, to time.Time)
	unsigned  bool // the body is not signed
	url       bool // the address is
	malformed string
}

func moveHeader(name, unit string) func(*signature.Request, time.Time) {
	return func(r *signature.Request, to time.Time) {
		text := strconv.FormatInt(to.Unix(), 10)
		switch unit {
		case "ms":
			text = strconv.FormatInt(to.UnixMilli(), 10)
		case "rfc3339":
			text = to.Format(time.RFC3339)
		}
		r.Header.Set(name, text)
	}
}

func moveText(header string) func(*signature.Request, time.Time) {
	return func(r *signature.Request, to time.Time) {
		old, moved := strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(to.Unix(), 10)
		if header == "" {
			r.Body = bytes.ReplaceAll(r.Body, []byte(old), []byte(moved))
			return
		}
		r.Header.Set(header, strings.ReplaceAll(r.Header.Get(header), old, moved))
	}
}

var kinds = map[string]kind{
	"github":       {header: "X-Hub-Signature-256", hex: true},
	"meta":         {header: "X-Hub-Signature-256", hex: true},
	"x":            {header: "X-Twitter-Webhooks-Signature"},
	"typeform":     {header: "Typeform-Signature"},
	"intercom":     {header: "X-Hub-Signature", hex: true},
	"lemonsqueezy": {header: "X-Signature", hex: true},
	"shopify":      {header: "X-Shopify-Hmac-Sha256"},
	"docusign":     {header: "X-Docusign-Signature-2"},
	"square":       {header: "X-Square-Hmacsha256-Signature", url: true},
	"twilio":       {header: "X-Twilio-Signature", url: true},
	"linear":       {header: "Linear-Signature", hex: true, tolerance: time.Minute, move: moveText("")},
	"stripe":       {header: "Stripe-Signature", hex: true, tolerance: 5 * time.Minute, move: moveText("Stripe-Signature")},
	"calendly":     {header: "Calendly-Webhook-Signature", hex: true, tolerance: 3 * time.Minute, move: moveText("Calendly-Webhook-Signature")},
	"paddle":       {header: "Paddle-Signature", hex: true, tolerance: 5 * time.Minute, move: moveText("Paddle-Signature")},
	"slack":        {header: "X-Slack-Signature", hex: true, tolerance: 5 * time.Minute, move: moveHeader("X-Slack-Request-Timestamp", "s")},
	"twitch": {
		header: "Twitch-Eventsub-Message-Signature", hex: true, tolerance: 10 * time.Minute,
		move: moveHeader("Twitch-Eventsub-Message-Timestamp", "rfc3339"),
	},
	"zendesk":           {header: "X-Zendesk-Webhook-Signature", tolerance: 5 * time.Minute, move: moveHeader("X-Zendesk-Webhook-Signature-Timestamp", "rfc3339")},
	"standard_webhooks": {header: "Webhook-Signature", tolerance: 5 * time.Minute, move: moveHeader("Webhook-Timestamp", "s"), malformed: "whsec_%%%"},
	"mailgun":           {tolerance: 5 * time.Minute, move: moveText(""), unsigned: true},
	"hubspot":           {header: "X-Hubspot-Signature-V3", tolerance: 5 * time.Minute, move: moveHeader("X-HubSpot-Request-Timestamp", "ms"), url: true},
	"discord":           {header: "X-Signature-Ed25519", hex: true, tolerance: 5 * time.Minute, move: moveHeader("X-Signature-Timestamp", "s"), malformed: "abcd"},
	"sendgrid": {
		header: "X-Twilio-Email-Event-Webhook-Signature", tolerance: 5 * time.Minute,
		move: moveHeader("X-Twilio-Email-Event-Webhook-Timestamp", "s"), malformed: "MFkw",
	},
}

// kindOf is the kind of a request; some have the same header under two names.
func kindOf(g genuine) kind {
	k := kinds[g.Scheme]
	switch g.Variant {
	case "svix":
		k.header, k.move = "Svix-Signature", moveHeader("Svix-Timestamp", "s")
	case "Shopify-":
		k.header = "Shopify-Hmac-Sha256"
	}
	return k
}

// otherSecret is one of the same form.
func otherSecret(t *testing.T, scheme string) string {
	switch scheme {
	case "standard_webhooks":
		return "whsec_" + asB64(make([]byte, 24))
	case "discord":
		return asHex(append(make([]byte, 31), 9))
	case "sendgrid":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return asB64(der)
	}
	return "another secret"
}

// change is one way to get a request wrong, or to send it in another way that is right as well.
type change struct {
	name string
	do   func(r *signature.Request, s *signature.Secrets)
	ok   bool // the request is genuine all the same
}

func changesOf(t *testing.T, g genuine) []change {
	k := kindOf(g)
	other := otherSecret(t, g.Scheme)
	list := []change{
		{"as it is", func(*signature.Request, *signature.Secrets) {}, true},
		{"wrong secret", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{other} }, false},
		{"no secret", func(_ *signature.Request, s *signature.Secrets) { s.Signing = nil }, false},
		{"empty secret", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{""} }, false},
		{"rotated, new first", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{other, g.Secret} }, true},
		{"rotated, old first", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{g.Secret, other} }, true},
		{"rotated away", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{other, other} }, false},
		{"no header at all", func(r *signature.Request, _ *signature.Secrets) {
			r.Header = http.Header{"Content-Type": r.Header["Content-Type"]}
		}, k.header == ""},
	}
	if !k.unsigned {
		list = append(list,
			change{"tampered body", func(r *signature.Request, _ *signature.Secrets) { r.Body[len(r.Body)/2] ^= 1 }, false},
			change{"longer body", func(r *signature.Request, _ *signature.Secrets) { r.Body = append(r.Body, '\n') }, false},
			change{"line ends", func(r *signature.Request, _ *signature.Secrets) { r.Body = append([]byte("\r\n"), r.Body...) }, false},
			change{"empty body", func(r *signature.Request, _ *signature.Secrets) { r.Body = nil }, false},
		)
	}
	if k.malformed != "" {
		list = append(list, change{"a secret of another kind", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{k.malformed} }, false})
	}
	if k.url {
		list = append(list,
			change{"other address", func(r *signature.Request, _ *signature.Secrets) { r.URL = strings.Replace(r.URL, "/in", "/out", 1) }, false},
			change{"longer address", func(r *signature.Request, _ *signature.Secrets) {
				r.URL += map[bool]string{true: "&", false: "?"}[strings.Contains(r.URL, "?")] + "z=1"
			}, false},
		)
	}
	if k.tolerance > 0 {
		list = append(list,
			change{"just in time", func(r *signature.Request, _ *signature.Secrets) { r.Now = now.Add(k.tolerance) }, true},
			change{"just not yet", func(r *signature.Request, _ *signature.Secrets) { r.Now = now.Add(-k.tolerance) }, true},
			change{"expired", func(r *signature.Request, _ *signature.Secrets) { r.Now = now.Add(k.tolerance + time.Second) }, false},
			change{"from the future", func(r *signature.Request, _ *signature.Secrets) { r.Now = now.Add(-k.tolerance - time.Second) }, false},
			change{"time moved", func(r *signature.Request, _ *signature.Secrets) {
				r.Now = now.Add(time.Hour)
				k.move(r, r.Now)
			}, false},
		)
	}
	if k.header == "" {
		return list
	}
	text := g.request().Header.Get(k.header)
	set := func(v string) func(*signature.Request, *signature.Secrets) {
		return func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(k.header, v) }
	}
	return append(list,
		change{"missing", func(r *signature.Request, _ *signature.Secrets) { r.Header.Del(k.header) }, false},
		change{"empty", set(""), false},
		change{"blank", set("  \t"), false},
		change{"truncated", set(text[:len(text)-len(text)/4]), false},
		change{"one character short", set(text[:len(text)-1]), false},
		change{"one character more", set(text + "0"), false},
		change{"another signature", set(text[:len(text)-6] + rot(text[len(text)-6:])), false},
		change{"garbage", set("%%%\x00\xff💥"), false},
		change{"upper case", set(upper(text)), k.hex},
		change{"line break", func(r *signature.Request, _ *signature.Secrets) {
			r.Header[http.CanonicalHeaderKey(k.header)] = []string{text[:len(text)-4] + "\r\n" + text[len(text)-4:]}
		}, false},
		change{"sent twice", func(r *signature.Request, _ *signature.Secrets) { r.Header.Add(k.header, text) }, false},
		change{"sent twice, garbage first", func(r *signature.Request, _ *signature.Secrets) {
			r.Header[http.CanonicalHeaderKey(k.header)] = []string{"x", text}
		}, false},
		change{"endless", set(strings.Repeat("v1=aa,", 5000)), false},
	)
}

// upper is the text with its signature in upper case: what stands before the last = or : is no part of it.
func upper(text string) string {
	at := strings.LastIndexAny(strings.TrimRight(text, "="), "=") + 1
	return text[:at] + strings.ToUpper(text[at:])
}

// rot changes every letter and digit.
func rot(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= '0' && c <= '8', c >= 'a' && c <= 'y', c >= 'A' && c <= 'Y':
			return c + 1
		case c == '9' || c == 'z' || c == 'Z':
			return c - 1
		}
		return c
	}, text)
}

// TestVendors sends what vendors sign through every change. A genuine request that is refused and a forged one that
// is accepted are counted; there is none of either.
func TestVendors(t *testing.T) {
	check(t, vendorRequests(t))
}

// TestDocumented does the same for the vendors that offer no library to check against.
func TestDocumented(t *testing.T) {
	check(t, ownRequests())
}

func check(t *testing.T, list []genuine) {
	falseAccepts, falseRejects, sent := 0, 0, 0
	seen := map[string]bool{}
	for _, g := range list {
		if g.Scheme == "jwt" {
			continue
		}
		seen[g.Scheme+" ("+g.Evidence+")"] = true
		v := mustNew(t, connectors.Verify{Scheme: g.Scheme})
		for _, c := range changesOf(t, g) {
			r, s := g.request(), signature.Secrets{Signing: []string{g.Secret}}
			c.do(&r, &s)
			sent++
			err := v.Verify(t.Context(), r, s)
			switch {
			case err == nil && !c.ok:
				falseAccepts++
				t.Errorf("%s %s, %s: a forged request is accepted\n%v\n%q", g.Scheme, g.Variant, c.name, r.Header, r.Body)
			case err != nil && c.ok:
				falseRejects++
				t.Errorf("%s %s, %s: a genuine request is refused: %v", g.Scheme, g.Variant, c.name, err)
			}
			if err != nil && (reasonOf(err) == "" || strings.Contains(err.Error(), g.Secret)) {
				t.Errorf("%s, %s: %v", g.Scheme, c.name, err)
			}
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	t.Logf("%d requests of %d kinds: %d false accepts, %d false rejects: %s", sent, len(names), falseAccepts, falseRejects, strings.Join(names, ", "))
}

// TestEverySchemeIsProven: a preset that no request above belongs to would be one that nobody has seen work.
func TestEverySchemeIsProven(t *testing.T) {
	proven := map[string]bool{"paypal": true} // TestPayPal
	for name := range kinds {
		proven[name] = true
	}
	for _, s := range signature.Schemes() {
		if s.Preset && !proven[s.Name] {
			t.Errorf("%s is not", s.Name)
		}
	}
}

// TestDowngrade offers what an older or a weaker version of a scheme would accept.
func TestDowngrade(t *testing.T) {
	const body, secret = `{"a":1}`, "secret"
	unix := strconv.FormatInt(now.Unix(), 10)
	stripe := asHex(mac(sha256.New, secret, unix+"."+body))
	public := asB64(make([]byte, 32))
	standard := mac(sha256.New, string(make([]byte, 32)), "m."+unix+"."+body)
	plain := sha256.Sum256([]byte(secret + body))
	plain2 := sha256.Sum256([]byte(secret + "POST" + hookURL + body))
	for name, tt := range map[string]struct {
		scheme, secret, body string
		headers              map[string]string
	}{
		"stripe v0":                       {"stripe", secret, body, map[string]string{"Stripe-Signature": "t=" + unix + ",v0=" + stripe}},
		"stripe, two times":               {"stripe", secret, body, map[string]string{"Stripe-Signature": "t=" + unix + ",t=1,v1=" + stripe}},
		"stripe, no time":                 {"stripe", secret, body, map[string]string{"Stripe-Signature": "v1=" + stripe}},
		"paddle h0":                       {"paddle", secret, body, map[string]string{"Paddle-Signature": "ts=" + unix + ";h0=" + stripe}},
		"github sha1":                     {"github", secret, body, map[string]string{"X-Hub-Signature": "sha1=" + asHex(mac(sha1.New, secret, body))}},
		"github sha1 as sha256":           {"github", secret, body, map[string]string{"X-Hub-Signature-256": "sha256=" + asHex(mac(sha1.New, secret, body))}},
		"meta sha1":                       {"meta", secret, body, map[string]string{"X-Hub-Signature": "sha1=" + asHex(mac(sha1.New, secret, body))}},
		"slack v1":                        {"slack", secret, body, map[string]string{"X-Slack-Signature": "v1=" + asHex(mac(sha256.New, secret, "v0:"+unix+":"+body)), "X-Slack-Request-Timestamp": unix}},
		"hubspot v1":                      {"hubspot", secret, body, map[string]string{"X-HubSpot-Signature": asHex(plain[:]), "X-HubSpot-Signature-Version": "v1"}},
		"hubspot v2":                      {"hubspot", secret, body, map[string]string{"X-HubSpot-Signature": asHex(plain2[:]), "X-HubSpot-Signature-v3": asB64(plain2[:]), "X-HubSpot-Request-Timestamp": unix + "000"}},
		"a public key as a shared secret": {"standard_webhooks", "whpk_" + public, body, map[string]string{"webhook-id": "m", "webhook-timestamp": unix, "webhook-signature": "v1," + asB64(standard)}},
		"a MAC as v1a":                    {"standard_webhooks", "whsec_" + public, body, map[string]string{"webhook-id": "m", "webhook-timestamp": unix, "webhook-signature": "v1a," + asB64(standard)}},
		"standard v2":                     {"standard_webhooks", "whsec_" + public, body, map[string]string{"webhook-id": "m", "webhook-timestamp": unix, "webhook-signature": "v2," + asB64(standard)}},
		"twilio, JSON that nothing binds": {"twilio", secret, body, map[string]string{"Content-Type": "application/json", "X-Twilio-Signature": asB64(mac(sha1.New, secret, hookURL))}},
		"twilio, text that nothing binds": {"twilio", secret, "a=1", map[string]string{"Content-Type": "text/plain", "X-Twilio-Signature": asB64(mac(sha1.New, secret, hookURL))}},
		"twilio, form without a type":     {"twilio", secret, "a=1", map[string]string{"X-Twilio-Signature": asB64(mac(sha1.New, secret, hookURL+"a1"))}},
		"x, what crc_token could be":      {"x", secret, "token=1", map[string]string{"x-twitter-webhooks-signature": "sha256=" + asB64(mac(sha256.New, secret, "token=1"))}},
		"linear, time in the header":      {"linear", secret, body, map[string]string{"Linear-Signature": asHex(mac(sha256.New, secret, body)), "Linear-Timestamp": unix + "000"}},
		"mailgun, signature twice":        {"mailgun", secret, "timestamp=" + unix + "&token=a&signature=00&signature=" + asHex(mac(sha256.New, secret, unix+"a")), map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
	} {
		h := http.Header{}
		for key, v := range tt.headers {
			h.Set(key, v)
		}
		v := mustNew(t, connectors.Verify{Scheme: tt.scheme})
		r := signature.Request{Method: "POST", URL: hookURL, Header: h, Body: []byte(tt.body), Now: now}
		if err := v.Verify(t.Context(), r, signature.Secrets{Signing: []string{tt.secret}}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

package manifest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // some systems still sign with it
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
)

// sign does what the sender of a test's delivery would do. A forged delivery is signed with another secret, so that it
// is refused for that and not for a header that is missing. Schemes of public keys put the public key of an invented
// pair into secrets.
func sign(req *signature.Request, v connectors.Verify, secrets map[string]string, genuine bool) error {
	secret := secrets["signing_secret"]
	if !genuine {
		secret = "another-" + secret
	}
	seconds := strconv.FormatInt(req.Now.Unix(), 10)
	set := func(name, text string) {
		if req.Header.Get(name) == "" {
			req.Header.Set(name, text)
		}
	}
	mac := func(h func() hash.Hash, text string) []byte {
		m := hmac.New(h, []byte(secret))
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	b64 := base64.StdEncoding.EncodeToString
	body := string(req.Body)
	switch v.Scheme {
	case "hmac":
		return signHMAC(req, v, secret)
	case "basic":
		set("Authorization", "Basic "+b64([]byte(secrets["username"]+":"+other(secrets["password"], genuine))))
	case "bearer":
		set("Authorization", "Bearer "+other(secrets["token"], genuine))
	case "header":
		set(v.Header, v.Prefix+other(secrets["token"], genuine))
	case "query":
		u, err := url.Parse(req.URL)
		if err != nil {
			return err
		}
		query := u.Query()
		query.Set(connectors.TokenParam, secret)
		u.RawQuery = query.Encode()
		req.URL = u.String()
	case "github", "meta":
		set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac(sha256.New, body)))
	case "shopify":
		set("X-Shopify-Hmac-Sha256", b64(mac(sha256.New, body)))
	case "stripe":
		set("Stripe-Signature", "t="+seconds+",v1="+hex.EncodeToString(mac(sha256.New, seconds+"."+body)))
	case "calendly":
		set("Calendly-Webhook-Signature", "t="+seconds+",v1="+hex.EncodeToString(mac(sha256.New, seconds+"."+body)))
	case "paddle":
		set("Paddle-Signature", "ts="+seconds+";h1="+hex.EncodeToString(mac(sha256.New, seconds+":"+body)))
	case "slack":
		set("X-Slack-Request-Timestamp", seconds)
		set("X-Slack-Signature", "v0="+hex.EncodeToString(mac(sha256.New, "v0:"+seconds+":"+body)))
	case "typeform":
		set("Typeform-Signature", "sha256="+b64(mac(sha256.New, body)))
	case "intercom":
		set("X-Hub-Signature", "sha1="+hex.EncodeToString(mac(sha1.New, body)))
	case "lemonsqueezy":
		set("X-Signature", hex.EncodeToString(mac(sha256.New, body)))
	case "linear":
		set("Linear-Signature", hex.EncodeToString(mac(sha256.New, body)))
	case "docusign":
		set("X-DocuSign-Signature-1", b64(mac(sha256.New, body)))
	case "x":
		set("x-twitter-webhooks-signature", "sha256="+b64(mac(sha256.New, body)))
	case "square":
		set("x-square-hmacsha256-signature", b64(mac(sha256.New, req.URL+body)))
	case "zendesk":
		at := req.Now.UTC().Format(time.RFC3339)
		set("X-Zendesk-Webhook-Signature-Timestamp", at)
		set("X-Zendesk-Webhook-Signature", b64(mac(sha256.New, at+body)))
	case "twitch":
		at := req.Now.UTC().Format(time.RFC3339Nano)
		set("Twitch-Eventsub-Message-Id", "invented-id")
		set("Twitch-Eventsub-Message-Timestamp", at)
		id := req.Header.Get("Twitch-Eventsub-Message-Id")
		set("Twitch-Eventsub-Message-Signature", "sha256="+hex.EncodeToString(mac(sha256.New, id+at+body)))
	case "hubspot":
		ms := strconv.FormatInt(req.Now.UnixMilli(), 10)
		set("X-HubSpot-Request-Timestamp", ms)
		set("X-HubSpot-Signature-v3", b64(mac(sha256.New, req.Method+req.URL+body+ms)))
	case "standard_webhooks":
		key := []byte("0123456789abcdef0123456789abcdef")
		secrets["signing_secret"] = "whsec_" + b64(key)
		if !genuine {
			key[0] ^= 1
		}
		set("webhook-id", "invented-id")
		set("webhook-timestamp", seconds)
		m := hmac.New(sha256.New, key)
		m.Write([]byte(req.Header.Get("webhook-id") + "." + seconds + "." + body))
		set("webhook-signature", "v1,"+b64(m.Sum(nil)))
	case "twilio":
		set("X-Twilio-Signature", b64(mac(sha1.New, twilioText(req))))
	case "discord":
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		secrets["signing_secret"] = hex.EncodeToString(public)
		if !genuine {
			private[0] ^= 1
			private = ed25519.NewKeyFromSeed(private.Seed())
		}
		set("X-Signature-Timestamp", seconds)
		set("X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(private, []byte(seconds+body))))
	case "sendgrid":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			return err
		}
		secrets["signing_secret"] = b64(public)
		text := seconds + body
		if !genuine {
			text += "x"
		}
		sum := sha256.Sum256([]byte(text))
		signed, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		if err != nil {
			return err
		}
		set("X-Twilio-Email-Event-Webhook-Timestamp", seconds)
		set("X-Twilio-Email-Event-Webhook-Signature", b64(signed))
	default:
		if genuine {
			return fmt.Errorf("a test cannot sign as %s does", v.Scheme)
		}
	}
	return nil
}

func other(secret string, genuine bool) string {
	if genuine {
		return secret
	}
	return "another-" + secret
}

// twilioText is what Twilio signs: the address, and for a form each name and value in the order of names.
func twilioText(req *signature.Request) string {
	text := req.URL
	if !strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return text
	}
	q, err := url.ParseQuery(string(req.Body))
	if err != nil {
		return text
	}
	for _, name := range keysOf(q) {
		values := slices.Compact(slices.Sorted(slices.Values(q[name])))
		for _, v := range values {
			text += name + v
		}
	}
	return text
}

func signHMAC(req *signature.Request, v connectors.Verify, secret string) error {
	hashes := map[string]func() hash.Hash{"": sha256.New, "sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}
	var at string
	switch v.TimestampUnit {
	case "ms":
		at = strconv.FormatInt(req.Now.UnixMilli(), 10)
	case "rfc3339":
		at = req.Now.UTC().Format(time.RFC3339)
	default:
		at = strconv.FormatInt(req.Now.Unix(), 10)
	}
	if v.TimestampHeader != "" {
		req.Header.Set(v.TimestampHeader, at)
	}
	id := ""
	if v.IDHeader != "" {
		if id = req.Header.Get(v.IDHeader); id == "" {
			id = "invented-id"
			req.Header.Set(v.IDHeader, id)
		}
	}
	text := v.Signed
	if text == "" {
		text = "{body}"
	}
	text = strings.NewReplacer("{body}", string(req.Body), "{timestamp}", at, "{id}", id, "{url}", req.URL, "{method}", req.Method).Replace(text)
	m := hmac.New(hashes[v.Algorithm], []byte(secret))
	m.Write([]byte(text))
	sum := m.Sum(nil)
	encoded := hex.EncodeToString(sum)
	switch v.Encoding {
	case "base64":
		encoded = base64.StdEncoding.EncodeToString(sum)
	case "base64url":
		encoded = base64.RawURLEncoding.EncodeToString(sum)
	}
	req.Header.Set(v.Header, v.Prefix+encoded)
	return nil
}

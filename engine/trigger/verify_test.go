package trigger_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // a scheme uses it
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/engine"
)

func sum(newHash func() hash.Hash, secret, text string) []byte {
	mac := hmac.New(newHash, []byte(secret))
	io.WriteString(mac, text)
	return mac.Sum(nil)
}

// verifyOf is a verify of a scheme with the keys that it needs.
func verifyOf(s signature.Scheme, connection string) string {
	text := "scheme: " + s.Name
	if s.Connection {
		text += ", connection: " + connection
	}
	for _, key := range s.Need {
		text += ", " + key + ": " + map[string]string{
			"header": "X-Sig", "jwks_url": `"http://127.0.0.1:1/keys"`, "issuer": "i", "audience": "a", "allow": "[203.0.113.0/24]",
		}[key]
	}
	return "{" + text + "}"
}

// TestForgedCallsOfEveryScheme walks every scheme there is, enabled and disabled, with and without its secret: what
// nobody signed is answered 401, is kept as a delivery, and starts nothing.
func TestForgedCallsOfEveryScheme(t *testing.T) {
	forged := []string{"User-Agent", "forger"}
	unix := strconv.FormatInt(time.Now().Unix(), 10)
	for _, name := range []string{
		"X-Sig", "Stripe-Signature", "X-Hub-Signature-256", "X-Hub-Signature", "X-Shopify-Hmac-Sha256", "X-Slack-Signature", "X-Twilio-Signature",
		"X-Signature-Ed25519", "X-Twitter-Webhooks-Signature", "Twitch-Eventsub-Message-Signature", "X-Square-Hmacsha256-Signature",
		"X-HubSpot-Signature-v3", "X-Zendesk-Webhook-Signature", "Linear-Signature", "Calendly-Webhook-Signature", "Typeform-Signature",
		"Paddle-Signature", "X-Signature", "X-DocuSign-Signature-1", "webhook-signature", "X-Twilio-Email-Event-Webhook-Signature",
		"PAYPAL-TRANSMISSION-SIG", "Authorization", "PAYPAL-CERT-URL", "X-Forwarded-For",
	} {
		forged = append(forged, name, "sha256="+strings.Repeat("a", 64))
	}
	for _, name := range []string{"X-Slack-Request-Timestamp", "X-Signature-Timestamp", "webhook-timestamp", "X-Twilio-Email-Event-Webhook-Timestamp", "X-HubSpot-Request-Timestamp"} {
		forged = append(forged, name, unix)
	}
	h := newHouse(t, t.TempDir())
	srv := serve(t, h)
	for _, s := range signature.Schemes() {
		for _, connection := range []string{"signed", "empty", "gone"} {
			for _, enabled := range []bool{true, false} {
				id := strings.ReplaceAll(fmt.Sprintf("%s-%s-%t", s.Name, connection, enabled), "_", "-")
				t.Run(id, func(t *testing.T) {
					w := parse(t, id, fmt.Sprintf("enabled: %t\ntriggers:\n  - webhook: {verify: %s}\nsteps:\n  - set: {a: 1}\n", enabled, verifyOf(s, connection)))
					h.live(t, w)
					for _, headers := range [][]string{nil, forged} {
						a := do(t, srv, "POST", "/hooks/"+id, "application/json", `{"type":"url_verification","challenge":"abc","id":"1"}`, headers...)
						if a.status != 401 {
							t.Errorf("%d %s", a.status, a.body)
						}
					}
					ds := h.deliveries(t, id)
					if len(ds) != 2 || ds[0].Outcome != engine.DeliveryRefused || ds[0].Status != 401 || ds[0].Reason == "" {
						t.Errorf("deliveries: %+v", ds)
					}
					if n := len(h.events(t, id)); n != 0 {
						t.Errorf("%d runs", n)
					}
					if got := h.Blocked(w); s.Connection && connection != "signed" && got == "" {
						t.Error("it could be enabled without its secret")
					}
				})
			}
		}
	}
}

func presetHouse(t *testing.T, scheme, options string) (send func(method, query, contentType, body string, headers ...string) answer, h *house) {
	t.Helper()
	h = newHouse(t, t.TempDir())
	h.live(t, parse(t, "in", "triggers:\n  - webhook: {"+options+"verify: {scheme: "+scheme+", connection: "+scheme+"}}\nsteps:\n  - set: {a: 1}\n"))
	srv := serve(t, h)
	return func(method, query, contentType, body string, headers ...string) answer {
		t.Helper()
		return do(t, srv, method, "/hooks/in"+query, contentType, body, headers...)
	}, h
}

func init() { // the connections of these tests
	for _, scheme := range []string{"slack", "meta", "x", "twitch", "intercom", "github", "stripe", "twilio", "shopify"} {
		secrets[scheme] = connectors.Connection{Name: scheme, Secrets: map[string]string{"signing_secret": "s3cret", "verify_token": "t0ken"}}
	}
	secrets["discord"] = connectors.Connection{Name: "discord", Secrets: map[string]string{"signing_secret": hex.EncodeToString(discordPublic)}}
}

var discordPublic, discordPrivate, _ = ed25519.GenerateKey(rand.Reader)

func slackHeaders(body string) []string {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	return []string{"X-Slack-Request-Timestamp", at, "X-Slack-Signature", "v0=" + hex.EncodeToString(sum(sha256.New, "s3cret", "v0:"+at+":"+body))}
}

func twitchHeaders(kind, body string) []string {
	at := time.Now().UTC().Format(time.RFC3339Nano)
	return []string{
		"Twitch-Eventsub-Message-Id", "m1", "Twitch-Eventsub-Message-Timestamp", at, "Twitch-Eventsub-Message-Type", kind,
		"Twitch-Eventsub-Message-Signature", "sha256=" + hex.EncodeToString(sum(sha256.New, "s3cret", "m1"+at+body)),
	}
}

func discordHeaders(body string) []string {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	return []string{"X-Signature-Timestamp", at, "X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(discordPrivate, []byte(at+body)))}
}

const form = "application/x-www-form-urlencoded"

// TestHandshakes: what a provider asks before it sends events is answered whatever methods the hook takes, starts no
// run, and says nothing to anyone else.
func TestHandshakes(t *testing.T) {
	crc := func(token string) string {
		return `{"response_token":"sha256=` + base64.StdEncoding.EncodeToString(sum(sha256.New, "s3cret", token)) + `"}`
	}
	meta := func(mode, token, challenge string) string {
		return "?" + url.Values{"hub.mode": {mode}, "hub.verify_token": {token}, "hub.challenge": {challenge}}.Encode()
	}
	const challenge = `{"type":"url_verification","challenge":"abc.DEF_1-2~3/4+5="}`
	const xss = `{"type":"url_verification","challenge":"<script>alert(1)</script>"}`
	const callback = `{"challenge":"pogchamp-kappa-360noscope-vohiyo","subscription":{}}`
	tests := []struct {
		name, scheme, method, query, contentType, body string
		headers                                        []string
		status                                         int
		answerType, answer                             string
	}{
		{"slack", "slack", "POST", "", "application/json", challenge, slackHeaders(challenge), 200, "text/plain; charset=utf-8", "abc.DEF_1-2~3/4+5="},
		{"slack, unsigned", "slack", "POST", "", "application/json", challenge, nil, 401, "application/problem+json", ""},
		{"slack, signed for another", "slack", "POST", "", "application/json", challenge, slackHeaders(xss), 401, "application/problem+json", ""},
		{"slack, markup", "slack", "POST", "", "application/json", xss, slackHeaders(xss), 400, "text/plain; charset=utf-8", "the challenge is not one that is sent back\n"},
		{"slack, ssl_check", "slack", "POST", "", form, "ssl_check=1&token=x", nil, 200, "", ""},
		{"slack, ssl_check as JSON", "slack", "POST", "", "application/json", `{"ssl_check":1}`, nil, 401, "application/problem+json", ""},
		{"meta", "meta", "GET", meta("subscribe", "t0ken", "1158201444"), "", "", nil, 200, "text/plain; charset=utf-8", "1158201444"},
		{"meta, wrong token", "meta", "GET", meta("subscribe", "token", "1158201444"), "", "", nil, 401, "application/problem+json", ""},
		{"meta, no token", "meta", "GET", meta("subscribe", "", "1"), "", "", nil, 401, "application/problem+json", ""},
		{"meta, other mode", "meta", "GET", meta("unsubscribe", "t0ken", "1"), "", "", nil, 401, "application/problem+json", ""},
		{"meta, markup", "meta", "GET", meta("subscribe", "t0ken", "<svg onload=alert(1)>"), "", "", nil, 400, "text/plain; charset=utf-8", "the challenge is not one that is sent back\n"},
		{"meta, endless", "meta", "GET", meta("subscribe", "t0ken", strings.Repeat("1", 513)), "", "", nil, 400, "text/plain; charset=utf-8", "the challenge is not one that is sent back\n"},
		{"meta, twice", "meta", "GET", meta("subscribe", "t0ken", "1") + "&hub.challenge=2", "", "", nil, 401, "application/problem+json", ""},
		{"x", "x", "GET", "?crc_token=abc-123_x", "", "", nil, 200, "application/json", crc("abc-123_x")},
		{"x, what could be a body", "x", "GET", "?crc_token=" + url.QueryEscape(`{"a":1}`), "", "", nil, 401, "application/problem+json", ""},
		{"x, none", "x", "GET", "", "", "", nil, 401, "application/problem+json", ""},
		{"twitch", "twitch", "POST", "", "application/json", callback, twitchHeaders("webhook_callback_verification", callback), 200, "text/plain; charset=utf-8", "pogchamp-kappa-360noscope-vohiyo"},
		{"twitch, unsigned", "twitch", "POST", "", "application/json", callback, []string{"Twitch-Eventsub-Message-Type", "webhook_callback_verification"}, 401, "application/problem+json", ""},
		{"twitch, revocation", "twitch", "POST", "", "application/json", callback, twitchHeaders("revocation", callback), 204, "", ""},
		{"discord", "discord", "POST", "", "application/json", `{"type":1,"id":"7"}`, discordHeaders(`{"type":1,"id":"7"}`), 200, "application/json", `{"type":1}`},
		{"discord, bad signature", "discord", "POST", "", "application/json", `{"type":1}`, discordHeaders(`{"type":2}`), 401, "application/problem+json", ""},
		{"discord, ping of events", "discord", "POST", "", "application/json", `{"type":0}`, discordHeaders(`{"type":0}`), 204, "", ""},
		{"intercom, HEAD", "intercom", "HEAD", "", "", "", nil, 200, "", ""},
		{"github, HEAD", "github", "HEAD", "", "", "", nil, 200, "", ""},
		{"github, GET", "github", "GET", "", "", "", nil, 401, "application/problem+json", ""},
	}
	for _, tt := range tests {
		for _, options := range []string{"", "methods: [PUT], ", "methods: [POST, GET, HEAD], "} {
			t.Run(tt.name+" "+options, func(t *testing.T) {
				send, h := presetHouse(t, tt.scheme, options)
				a := send(tt.method, tt.query, tt.contentType, tt.body, tt.headers...)
				if a.status != tt.status || a.header.Get("Content-Type") != tt.answerType || tt.status < 401 && a.body != tt.answer {
					t.Errorf("%d %q %q, want %d %q %q", a.status, a.header.Get("Content-Type"), a.body, tt.status, tt.answerType, tt.answer)
				}
				if n := len(h.events(t, "in")); n != 0 {
					t.Errorf("%d runs", n)
				}
				want := []string{engine.DeliveryHandshake}
				if tt.status >= 400 {
					want = []string{engine.DeliveryRefused}
				} else if tt.method == "HEAD" {
					want = nil
				}
				var got []string
				for _, d := range h.deliveries(t, "in") {
					got = append(got, d.Outcome)
				}
				if !slices.Equal(got, want) {
					t.Errorf("deliveries: %v, want %v", got, want)
				}
			})
		}
	}
}

// TestPresetAnswers: each provider hears what it wants to hear, and what it sends twice starts one run.
func TestPresetAnswers(t *testing.T) {
	hub := func(body string) []string {
		return []string{"X-Hub-Signature-256", "sha256=" + hex.EncodeToString(sum(sha256.New, "s3cret", body)), "X-GitHub-Delivery", "d-" + body}
	}
	stripe := func(body string) []string {
		at := strconv.FormatInt(time.Now().Unix(), 10)
		return []string{"Stripe-Signature", "t=" + at + ",v1=" + hex.EncodeToString(sum(sha256.New, "s3cret", at+"."+body))}
	}
	twilio := func(body string) []string {
		return []string{"X-Twilio-Signature", base64.StdEncoding.EncodeToString(sum(sha1.New, "s3cret", "https://bell.example.com/hooks/inBodyhi")), "I-Twilio-Idempotency-Token", "t1"}
	}
	shopify := func(body string) []string {
		return []string{"Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(sum(sha256.New, "s3cret", body)), "Shopify-Webhook-Id", "w1"}
	}
	message := `{"entry":[{"id":"1","time":2,"messaging":[{"message":{"mid":"m_1"}}]}]}`
	tests := []struct {
		name, scheme, contentType, body string
		sign                            func(string) []string
		status                          int
		answer                          string // "": the run
		key                             string
	}{
		{"github", "github", "application/json", `{"a":1}`, hub, 202, "", `d-{"a":1}`},
		{"stripe", "stripe", "application/json", `{"id":"evt_1"}`, stripe, 202, "", "evt_1"},
		{"shopify, 2026", "shopify", "application/json", `{"id":1}`, shopify, 200, "", "w1"},
		{"meta", "meta", "application/json", message, hub, 200, "", "m_1"},
		{"slack event", "slack", "application/json", `{"event_id":"E1","event":{}}`, slackHeaders, 200, "", "E1"},
		{"slack command", "slack", form, "command=%2Fdeploy&trigger_id=1.2.a", slackHeaders, 200, "-", "1.2.a"},
		{"slack button", "slack", form, "payload=" + url.QueryEscape(`{"type":"block_actions","trigger_id":"3.4"}`), slackHeaders, 200, "-", "3.4"},
		{"discord command", "discord", "application/json", `{"type":2,"id":"77"}`, discordHeaders, 200, `{"type":5}`, "77"},
		{"discord button", "discord", "application/json", `{"type":3,"id":"78"}`, discordHeaders, 200, `{"type":6}`, "78"},
		{"twitch", "twitch", "application/json", `{"event":{}}`, func(b string) []string { return twitchHeaders("notification", b) }, 200, "", "m1"},
		{"twilio", "twilio", form, "Body=hi", twilio, 200, "<Response/>", "t1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			send, h := presetHouse(t, tt.scheme, "")
			for n := range 2 {
				a := send("POST", "", tt.contentType, tt.body, tt.sign(tt.body)...)
				if a.status != tt.status {
					t.Fatalf("%d %s, want %d", a.status, a.body, tt.status)
				}
				switch tt.answer {
				case "":
					if dup := a.json(t)["duplicate"] == true; dup != (n == 1) || runOf(t, a).IsZero() {
						t.Errorf("call %d: %s", n, a.body)
					}
				case "-":
					if a.body != "" {
						t.Errorf("%s", a.body)
					}
				default:
					if a.body != tt.answer {
						t.Errorf("%s, want %s", a.body, tt.answer)
					}
				}
			}
			if n := len(h.events(t, "in")); n != 1 {
				t.Errorf("%d runs of one event", n)
			}
			ds := h.deliveries(t, "in")
			if len(ds) != 2 || ds[0].Run != ds[1].Run {
				t.Fatalf("deliveries: %+v", ds)
			}
			recs, err := h.store.Read(t.Context(), ds[0].Run, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := recs[0].Head.Key; got != tt.key {
				t.Errorf("the key is %q, want %q", got, tt.key)
			}
		})
	}
}

// TestPublicURL: a signature over the address is checked against the public address, whatever Host and X-Forwarded
// headers say.
func TestPublicURL(t *testing.T) {
	send, _ := presetHouse(t, "twilio", "")
	sign := func(address string) string {
		return base64.StdEncoding.EncodeToString(sum(sha1.New, "s3cret", address+"Bodyhi"))
	}
	for address, want := range map[string]int{
		"https://bell.example.com/hooks/in?a=it%27s":     200,
		"https://bell.example.com/hooks/in?a=it's":       200,
		"https://bell.example.com:443/hooks/in?a=it%27s": 200,
		"https://evil.example.com/hooks/in?a=it%27s":     401,
		"http://bell.example.com/hooks/in?a=it%27s":      401,
		"https://bell.example.com/hooks/in":              401,
	} {
		a := send("POST", "?a=it%27s", form, "Body=hi", "X-Twilio-Signature", sign(address),
			"X-Forwarded-Host", "evil.example.com", "X-Forwarded-Proto", "http", "Forwarded", "host=evil.example.com")
		if a.status != want {
			t.Errorf("%s: %d %s, want %d", address, a.status, a.body, want)
		}
	}
}

// Package signature decides whether an inbound call comes from whom it claims, answers the calls by which a provider
// checks an address, and knows what tells two deliveries apart. It works on the bytes as they were received, fails
// closed, and tells the caller nothing but yes or no: the reason is for the delivery.
package signature

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

// Request is one call as it was received.
type Request struct {
	Method string
	URL    string // the public address: the configured origin with the path and query of the request line as sent
	Header http.Header
	Body   []byte // before any decoding
	Peer   string // address of the other end of the connection, with or without a port
	Now    time.Time
}

// Secrets are what the sender and we share. Several values stand for a rotation: any of them may match.
type Secrets struct {
	Signing      []string // for discord and sendgrid the public key, for paypal the webhook id
	VerifyTokens []string // meta: what the provider sends when it checks the address
	Username     string
	Passwords    []string
	Tokens       []string
}

// SecretsOf reads the secrets of a connection. Further values of one secret are named "signing_secret#2" and so on.
func SecretsOf(c connectors.Connection) Secrets {
	username, _ := c.Fields["username"].(string)
	if username == "" {
		username = c.Secrets["username"]
	}
	return Secrets{
		Signing:      several(c, "signing_secret"),
		VerifyTokens: several(c, "verify_token"),
		Username:     username,
		Passwords:    several(c, "password"),
		Tokens:       several(c, "token"),
	}
}

func several(c connectors.Connection, name string) []string {
	var values []string
	for n := 1; n <= maxSecrets; n++ {
		key := name
		if n > 1 {
			key = fmt.Sprintf("%s#%d", name, n)
		}
		if v := c.Secrets[key]; v != "" { // an empty secret would be one that everybody knows
			values = append(values, v)
		}
	}
	return values
}

// maxSecrets bounds how many values one secret may have at a time.
const maxSecrets = 10

// Reason is why a call was refused. It is shown on the delivery, never to the caller.
type Reason string

// The reasons.
const (
	NoSecret    Reason = "no_secret"   // the connection lacks the secret, or has one of another kind: everything is refused
	Missing     Reason = "missing"     // the call carries no signature
	Repeated    Reason = "repeated"    // a header that has one value came twice
	Malformed   Reason = "malformed"   // the signature cannot be read
	Mismatch    Reason = "mismatch"    // the signature was made with another secret or for other bytes
	NoTime      Reason = "no_time"     // the signed timestamp is missing or cannot be read
	TooOld      Reason = "too_old"     // the timestamp is further back than the tolerance
	FromFuture  Reason = "in_future"   // the timestamp is further ahead than the tolerance
	NoID        Reason = "no_id"       // the signed id is missing
	Unreachable Reason = "unreachable" // the sender's public key cannot be fetched
)

// Error is a refusal. It never holds a secret or what was received.
type Error struct {
	Reason Reason
	Text   string // in plain words
}

func (e *Error) Error() string { return e.Text }

func refuse(r Reason, format string, args ...any) error {
	return &Error{Reason: r, Text: fmt.Sprintf(format, args...)}
}

// Verifier verifies the calls of one webhook. It is immutable and safe for concurrent use.
type Verifier struct {
	scheme scheme
	method method
	guard  bool
}

// scheme is one way to sign.
type scheme struct {
	keys []string // of a `verify` that it reads, beside scheme and connection
	need []string // those that it cannot do without
	// open: there is no secret, so it needs no connection.
	open bool
	// prepare checks the config, fills its defaults and returns what verifies.
	prepare func(*connectors.Verify, *Keys) (method, error)
	// lacks says what is wrong with the secrets, such as "the connection has no token", or "".
	lacks func(Secrets) string
	// challenge is the WWW-Authenticate header of a 401 (RFC 9110, section 11.6.1), or "".
	challenge string

	// What follows is that of a preset: how a provider behaves.

	window    time.Duration                                 // how long it may deliver one event again and again; 0: 24 h
	id        func(Request, any) string                     // what all deliveries of one event have in common, or ""
	probe     func(Request, Secrets) (*Answer, error)       // answers what it sends unsigned; nil, nil: the call is none of these
	handshake func(r Request, body any) *Answer             // answers what it sends signed; nil: the call is an event
	answer    func(r Request, body any, run []byte) *Answer // what it wants to hear about an event; nil: 202
	preset    bool
}

// method is a scheme with its config.
type method struct {
	verify func(context.Context, Request, Secrets) error // returns nil or an *Error; the secrets have passed lacks
	replay func(Request) [sha256.Size]byte               // hash of everything that is signed; nil: nothing is
	id     func(Request) string                          // as that of the scheme, where the config plays a part
	secret string                                        // name of the header that holds the secret itself, or ""
	param  string                                        // the same of the query
}

// schemes is the whole list. Each family of presets has its file.
var schemes = map[string]scheme{
	"hmac": {
		keys: []string{
			"header", "algorithm", "encoding", "prefix", "separator", "signed", "timestamp_header", "timestamp_unit",
			"id_header", "tolerance", "replay_guard",
		},
		need: []string{"header"}, prepare: prepareHMAC, lacks: lacksSigning,
	},
	"basic":  {prepare: prepareBasic, lacks: lacksBasic, challenge: `Basic realm="Bellhop", charset="UTF-8"`},
	"bearer": {prepare: prepareBearer, lacks: lacksToken, challenge: `Bearer realm="Bellhop"`},
	"header": {keys: []string{"header", "prefix"}, need: []string{"header"}, prepare: prepareHeader, lacks: lacksToken},
	"query":  {prepare: prepareQuery, lacks: lacksSigning},
	"jwt": {
		keys: []string{"jwks_url", "issuer", "audience", "algorithms", "header", "body_hash"}, need: []string{"jwks_url", "issuer", "audience"},
		open: true, prepare: prepareJWT, challenge: `Bearer realm="Bellhop"`,
	},
	"ip_allow": {keys: []string{"allow", "proxies"}, need: []string{"allow"}, open: true, prepare: prepareAddress},

	// A signature in one header, over the body.
	"github":       preset(bodyHMAC("X-Hub-Signature-256", "sha256=", "hex"), behavior{id: header("X-GitHub-Delivery")}),
	"meta":         preset(bodyHMAC("X-Hub-Signature-256", "sha256=", "hex"), behavior{id: metaID, window: 2 * day, probe: metaProbe, answer: ok}),
	"x":            preset(xSignature, behavior{probe: crc, answer: ok}),
	"typeform":     preset(bodyHMAC("Typeform-Signature", "sha256=", "base64"), behavior{id: field("event_id")}),
	"intercom":     preset(intercomSignature, behavior{id: field("id"), answer: ok}),
	"lemonsqueezy": preset(bodyHMAC("X-Signature", "", "hex"), behavior{window: 2 * day, answer: ok}),
	"linear":       preset(linear, behavior{id: header("Linear-Delivery"), answer: ok}),
	"shopify":      preset(shopify, behavior{id: shopifyID, window: 3 * day, answer: ok}),
	"docusign":     preset(docusign, behavior{window: 16 * day, answer: ok}),

	// A signature over the time and the body.
	"stripe":            preset(stamped("Stripe-Signature", ",", "t", "v1", "."), behavior{id: field("id"), window: 4 * day}),
	"calendly":          preset(stamped("Calendly-Webhook-Signature", ",", "t", "v1", ".").within(3*time.Minute), behavior{}),
	"paddle":            preset(stamped("Paddle-Signature", ";", "ts", "h1", ":"), behavior{id: field("event_id"), window: 4 * day, answer: ok}),
	"slack":             preset(slack, behavior{id: slackID, probe: sslCheck, handshake: slackChallenge, answer: slackAnswer}),
	"twitch":            preset(twitch.within(10*time.Minute), behavior{id: header("Twitch-Eventsub-Message-Id"), handshake: twitchChallenge, answer: ok}),
	"zendesk":           preset(zendesk, behavior{id: header("X-Zendesk-Webhook-Invocation-Id")}),
	"standard_webhooks": preset(standard, behavior{id: standardID, window: 4 * day}),
	"mailgun":           preset(mailgun, behavior{id: mailgunID, answer: ok}),

	// A signature over the address as well.
	"twilio":  preset(twilio, behavior{id: header("I-Twilio-Idempotency-Token"), answer: twiml}),
	"square":  preset(square, behavior{id: field("event_id"), window: 4 * day}),
	"hubspot": preset(hubspot, behavior{id: joined("eventId"), window: 2 * day}),

	// A signature that is checked with a public key.
	"discord":  preset(discord, behavior{id: discordID, handshake: discordPing, answer: discordAnswer}),
	"sendgrid": preset(sendgrid, behavior{id: joined("sg_event_id"), window: 2 * day}),
	"paypal": {
		keys: []string{"tolerance", "replay_guard"}, prepare: preparePayPal, lacks: lacksSigning, preset: true,
		id: header("Paypal-Transmission-Id"), window: 4 * day, answer: ok,
	},
}

const day = 24 * time.Hour

// Scheme is what a `verify` of one scheme may hold.
type Scheme struct {
	Name       string
	Keys       []string // beside scheme and connection, sorted
	Need       []string // those of Keys that must be there
	Connection bool     // a connection has its secret
	Preset     bool     // it is that of one provider
}

// Schemes returns all schemes in the order of their names.
func Schemes() []Scheme {
	list := make([]Scheme, 0, len(schemes))
	for _, name := range slices.Sorted(maps.Keys(schemes)) {
		s := schemes[name]
		list = append(list, Scheme{Name: name, Keys: slices.Sorted(slices.Values(s.keys)), Need: s.need, Connection: !s.open, Preset: s.preset})
	}
	return list
}

// New checks the config. Its error is the user's to mend and names the key of `verify`. Keys may be nil where a
// config is only checked: whoever needs a public key is then refused.
func New(c connectors.Verify, keys *Keys) (*Verifier, error) {
	s, ok := schemes[c.Scheme]
	if !ok {
		return nil, fmt.Errorf("there is no scheme %q; there are %s", c.Scheme, strings.Join(slices.Sorted(maps.Keys(schemes)), ", "))
	}
	if err := checkKeys(&c, s); err != nil {
		return nil, fmt.Errorf("scheme %s: %w", c.Scheme, err)
	}
	m, err := s.prepare(&c, keys)
	if err != nil {
		return nil, fmt.Errorf("scheme %s: %w", c.Scheme, err)
	}
	return &Verifier{scheme: s, method: m, guard: c.ReplayGuard}, nil
}

// checkKeys refuses the keys that a scheme does not read: they would give a false sense of safety.
func checkKeys(c *connectors.Verify, s scheme) error {
	given := map[string]bool{
		"header": c.Header != "", "algorithm": c.Algorithm != "", "encoding": c.Encoding != "", "prefix": c.Prefix != "",
		"separator": c.Separator != "", "signed": c.Signed != "", "timestamp_header": c.TimestampHeader != "",
		"timestamp_unit": c.TimestampUnit != "", "id_header": c.IDHeader != "", "tolerance": c.Tolerance != 0,
		"replay_guard": c.ReplayGuard, "jwks_url": c.JWKS != "", "issuer": c.Issuer != "", "audience": c.Audience != "",
		"algorithms": len(c.Algorithms) > 0, "body_hash": c.BodyHash != "", "allow": len(c.Allow) > 0, "proxies": len(c.Proxies) > 0,
	}
	for _, key := range s.need {
		if !given[key] {
			return fmt.Errorf("%s is missing", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if given[key] && !slices.Contains(s.keys, key) {
			return fmt.Errorf("%s has no meaning here", key)
		}
	}
	if c.Tolerance < 0 {
		return fmt.Errorf("tolerance is negative")
	}
	return nil
}

// Open reports that there is no secret to share.
func (v *Verifier) Open() bool { return v.scheme.open }

// Ready returns an *Error with the reason NoSecret when s lacks what the scheme needs.
func (v *Verifier) Ready(s Secrets) error {
	if v.scheme.open {
		return nil
	}
	if lack := v.scheme.lacks(s); lack != "" {
		return refuse(NoSecret, "%s", lack)
	}
	return nil
}

// Verify returns nil when the call is genuine, and an *Error otherwise. Without a secret nothing is genuine. It may
// fetch the sender's public key: ctx bounds that.
func (v *Verifier) Verify(ctx context.Context, r Request, s Secrets) error {
	if err := v.Ready(s); err != nil {
		return err
	}
	return v.method.verify(ctx, r, s)
}

// Challenge is the WWW-Authenticate header of a refusal, or "".
func (v *Verifier) Challenge() string { return v.scheme.challenge }

// SecretParam is the name of the query parameter that holds the secret itself, which must not be stored, or "".
func (v *Verifier) SecretParam() string { return v.method.param }

// SecretHeader is the name of the header that holds the secret itself, which must not be stored, or "".
func (v *Verifier) SecretHeader() string { return v.method.secret }

// ReplayKey is equal for two genuine calls with the same signature and body, whatever else differs between them: it
// is a hash of what is signed, so that another spelling of the signature does not change it. It is "" unless
// replay_guard is on.
func (v *Verifier) ReplayKey(r Request) string {
	if !v.guard || v.method.replay == nil {
		return ""
	}
	sum := v.method.replay(r)
	return "replay:" + hex.EncodeToString(sum[:])
}

// DeliveryID is what all deliveries of one event have in common; "" where the scheme has no such thing. body is the
// decoded body.
func (v *Verifier) DeliveryID(r Request, body any) string {
	switch {
	case v.method.id != nil:
		return v.method.id(r)
	case v.scheme.id != nil:
		return v.scheme.id(r, body)
	}
	return ""
}

// Window is how long the sender may deliver one event again and again.
func (v *Verifier) Window() time.Duration {
	if v.scheme.window == 0 {
		return day
	}
	return v.scheme.window
}

// single returns the one value of a header.
func single(h http.Header, name string) (string, error) {
	values := h.Values(name)
	switch {
	case len(values) == 0:
		return "", refuse(Missing, "the header %s is missing", name)
	case len(values) > 1:
		// Two readers may each pick another one, so neither is taken.
		return "", refuse(Repeated, "the header %s came %d times", name, len(values))
	case strings.TrimSpace(values[0]) == "":
		return "", refuse(Missing, "the header %s is empty", name)
	}
	return values[0], nil
}

// headerName checks the name of a header in the config.
func headerName(key, name string) error {
	if name == "" {
		return fmt.Errorf("%s is missing", key)
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}", c) >= 0 {
			return fmt.Errorf("%s: %q is not a header name", key, name)
		}
	}
	return nil
}

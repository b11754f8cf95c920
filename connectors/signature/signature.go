// Package signature decides whether an inbound call comes from whom it claims. It works on the bytes as they were
// received, fails closed, and tells the caller nothing but yes or no: the reason is for the delivery.
package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sort"
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
	Now    time.Time
}

// Secrets are what the sender and we share. Several values stand for a rotation: any of them may match.
type Secrets struct {
	Signing   []string
	Username  string
	Passwords []string
	Tokens    []string
}

// SecretsOf reads the secrets of a connection. Further values of one secret are named "signing_secret#2" and so on.
func SecretsOf(c connectors.Connection) Secrets {
	username, _ := c.Fields["username"].(string)
	if username == "" {
		username = c.Secrets["username"]
	}
	return Secrets{
		Signing:   several(c, "signing_secret"),
		Username:  username,
		Passwords: several(c, "password"),
		Tokens:    several(c, "token"),
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
	NoSecret   Reason = "no_secret" // the connection lacks the secret: everything is refused
	Missing    Reason = "missing"   // the call carries no signature
	Repeated   Reason = "repeated"  // a header that has one value came twice
	Malformed  Reason = "malformed" // the signature cannot be read
	Mismatch   Reason = "mismatch"  // the signature was made with another secret or for other bytes
	NoTime     Reason = "no_time"   // the signed timestamp is missing or cannot be read
	TooOld     Reason = "too_old"   // the timestamp is further back than the tolerance
	FromFuture Reason = "in_future" // the timestamp is further ahead than the tolerance
	NoID       Reason = "no_id"     // the signed id is missing
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
	// prepare checks the config, fills its defaults and returns what verifies.
	prepare func(*connectors.Verify) (method, error)
	// lacks returns the name of the secret that is missing, or "".
	lacks func(Secrets) string
	// challenge is the WWW-Authenticate header of a 401 (RFC 9110, section 11.6.1), or "".
	challenge string
}

// method is a scheme with its config.
type method struct {
	verify func(Request, Secrets) error    // returns nil or an *Error; the secrets have passed lacks
	replay func(Request) [sha256.Size]byte // hash of everything that is signed; nil: nothing is
}

// schemes is the whole list. A preset is one more entry.
var schemes = map[string]scheme{
	"hmac":   {prepare: prepareHMAC, lacks: lacksSigning},
	"basic":  {prepare: prepareBasic, lacks: lacksBasic, challenge: `Basic realm="Bellhop", charset="UTF-8"`},
	"bearer": {prepare: prepareBearer, lacks: lacksToken, challenge: `Bearer realm="Bellhop"`},
	"header": {prepare: prepareHeader, lacks: lacksToken},
}

// Schemes returns the names of all schemes, sorted.
func Schemes() []string {
	names := make([]string, 0, len(schemes))
	for name := range schemes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// New checks the config. Its error is the user's to mend and names the key of `verify`.
func New(c connectors.Verify) (*Verifier, error) {
	s, ok := schemes[c.Scheme]
	if !ok {
		return nil, fmt.Errorf("there is no scheme %q; there are %s", c.Scheme, strings.Join(Schemes(), ", "))
	}
	m, err := s.prepare(&c)
	if err != nil {
		return nil, fmt.Errorf("scheme %s: %w", c.Scheme, err)
	}
	return &Verifier{scheme: s, method: m, guard: c.ReplayGuard}, nil
}

// Ready returns an *Error with the reason NoSecret when s lacks what the scheme needs.
func (v *Verifier) Ready(s Secrets) error {
	if name := v.scheme.lacks(s); name != "" {
		return refuse(NoSecret, "the connection has no %s", name)
	}
	return nil
}

// Verify returns nil when the call is genuine, and an *Error otherwise. Without a secret nothing is genuine.
func (v *Verifier) Verify(r Request, s Secrets) error {
	if err := v.Ready(s); err != nil {
		return err
	}
	return v.method.verify(r, s)
}

// Challenge is the WWW-Authenticate header of a refusal, or "".
func (v *Verifier) Challenge() string { return v.scheme.challenge }

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

// only refuses the keys that a scheme does not read: they would give a false sense of safety. A default that was
// filled in on the way here is none.
func only(c *connectors.Verify, keys ...string) error {
	given := map[string]bool{
		"header": c.Header != "", "algorithm": c.Algorithm != "" && c.Algorithm != defaultAlgorithm,
		"encoding": c.Encoding != "" && c.Encoding != defaultEncoding, "prefix": c.Prefix != "",
		"separator": c.Separator != "", "signed": c.Signed != "" && c.Signed != defaultSigned, "timestamp_header": c.TimestampHeader != "",
		"timestamp_unit": c.TimestampUnit != "" && c.TimestampUnit != defaultUnit, "id_header": c.IDHeader != "",
		"tolerance":    c.Tolerance != 0 && c.Tolerance != defaultTolerance,
		"replay_guard": c.ReplayGuard,
	}
	for _, key := range keys {
		delete(given, key)
	}
	names := make([]string, 0, len(given))
	for key, isGiven := range given {
		if isGiven {
			names = append(names, key)
		}
	}
	if len(names) == 0 {
		return nil
	}
	sort.Strings(names)
	return fmt.Errorf("%s has no meaning here", strings.Join(names, ", "))
}

package signature

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" // HMAC-SHA1 is what some senders have, and it is not broken by collisions
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

const (
	defaultTolerance = 5 * time.Minute
	maxSignatures    = 100 // in one call
)

// claim is what a call says about itself: signatures, and what is under them.
type claim struct {
	given  [][]byte   // the signatures, decoded; any may match
	signed [][][]byte // what they sign, as pieces in their order; where there are several readings any may be meant
	at     time.Time  // the time that is signed; zero: none
	// late gives the time where it stands in the body, which is not to be believed before the signature is checked.
	late func() (time.Time, error)
}

func pieces(p ...[]byte) [][][]byte { return [][][]byte{p} }

// family is a scheme that signs with a secret or with a key whose public half is the secret.
type family struct {
	read      func(Request) (claim, error)
	matches   func(secret string, c claim) bool
	tolerance time.Duration // of the signed time; 0: no time is signed
	lacks     func(Secrets) string
}

// within is f with another tolerance.
func (f family) within(d time.Duration) family {
	f.tolerance = d
	return f
}

// behavior is what is known of a provider beside its signature: see the fields of scheme.
type behavior struct {
	id        func(Request, any) string
	window    time.Duration
	probe     func(Request, Secrets) (*Answer, error)
	handshake func(Request, any) *Answer
	answer    func(Request, any, []byte) *Answer
}

func preset(f family, b behavior) scheme {
	keys := []string{"replay_guard"}
	if f.tolerance > 0 {
		keys = append(keys, "tolerance")
	}
	lacks := f.lacks
	if lacks == nil {
		lacks = lacksSigning
	}
	return scheme{
		keys: keys, lacks: lacks, preset: true,
		prepare: func(c *connectors.Verify, _ *Keys) (method, error) {
			if c.Tolerance > 0 {
				f := f.within(c.Tolerance)
				return f.method(), nil
			}
			return f.method(), nil
		},
		id: b.id, window: b.window, probe: b.probe, handshake: b.handshake, answer: b.answer,
	}
}

func (f family) method() method {
	return method{
		verify: func(_ context.Context, r Request, s Secrets) error {
			c, err := f.read(r)
			if err != nil {
				return err
			}
			// Every signature is compared with every secret: how long it takes says nothing about which one was close.
			match := false
			for _, secret := range nonEmpty(s.Signing) {
				if f.matches(secret, c) {
					match = true
				}
			}
			if !match {
				return refuse(Mismatch, "the signature does not match: it was made with another secret, or for another body")
			}
			if c.late != nil {
				if c.at, err = c.late(); err != nil {
					return err
				}
			}
			if f.tolerance > 0 {
				return fresh(c.at, r.Now, f.tolerance)
			}
			return nil
		},
		replay: func(r Request) [sha256.Size]byte {
			c, err := f.read(r)
			if err != nil || len(c.signed) == 0 {
				return sha256.Sum256(r.Body) // not of a verified call
			}
			return hashPieces(c.signed[0])
		},
	}
}

// hashPieces hashes each piece with its length, so that no two lists of pieces give the same bytes.
func hashPieces(list [][]byte) [sha256.Size]byte {
	sum := sha256.New()
	for _, p := range list {
		sum.Write(binary.AppendUvarint(nil, uint64(len(p))))
		sum.Write(p)
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// fresh refuses a time too far from now, in either direction: one from the future would stay valid until then.
func fresh(at, now time.Time, tolerance time.Duration) error {
	// Compared as instants, not as a difference: Sub saturates.
	if at.Before(now.Add(-tolerance)) {
		return refuse(TooOld, "the signed time is more than %s ago", tolerance)
	}
	if at.After(now.Add(tolerance)) {
		return refuse(FromFuture, "the signed time is more than %s ahead", tolerance)
	}
	return nil
}

// sharedKey matches HMACs whose key is the text of the secret.
func sharedKey(newHash func() hash.Hash) func(string, claim) bool {
	return func(secret string, c claim) bool { return matchHMAC(newHash, []byte(secret), c) }
}

func matchHMAC(newHash func() hash.Hash, key []byte, c claim) bool {
	match := false
	for _, reading := range c.signed {
		mac := hmac.New(newHash, key)
		for _, piece := range reading {
			mac.Write(piece)
		}
		want := mac.Sum(nil)
		for _, given := range c.given {
			if hmac.Equal(given, want) {
				match = true
			}
		}
	}
	return match
}

func lacksSigning(s Secrets) string {
	if len(nonEmpty(s.Signing)) == 0 {
		return "the connection has no signing_secret"
	}
	return ""
}

func nonEmpty(list []string) []string {
	for _, s := range list {
		if s == "" {
			out := make([]string, 0, len(list))
			for _, s := range list {
				if s != "" {
					out = append(out, s)
				}
			}
			return out
		}
	}
	return list
}

// decoders turn a signature into bytes before it is compared, so that its spelling plays no part.
var decoders = map[string]func(string) ([]byte, error){
	"hex":    hex.DecodeString, // in either case
	"base64": strictBase64(base64.StdEncoding),
	"base64url": func(s string) ([]byte, error) {
		return strictBase64(base64.RawURLEncoding)(strings.TrimRight(s, "="))
	},
}

func strictBase64(e *base64.Encoding) func(string) ([]byte, error) {
	e = e.Strict() // one spelling for each signature
	return func(s string) ([]byte, error) {
		if strings.ContainsAny(s, "\r\n") { // which encoding/base64 skips
			return nil, errors.New("line break")
		}
		return e.DecodeString(s)
	}
}

// format is how a signature is written in its header.
type format struct {
	prefix, separator string // separator "": there is one signature
	encoding          string
	size              int // bytes of a signature
}

// read returns the decoded signatures of a header. Where several may stand, those with another prefix (an older
// scheme) or of another length are passed over; at least one must be left.
func (f format) read(name, header string) ([][]byte, error) {
	list := []string{header}
	if f.separator != "" {
		list = strings.SplitN(header, f.separator, maxSignatures+1)
		if len(list) > maxSignatures {
			return nil, refuse(Malformed, "the header %s holds more than %d signatures", name, maxSignatures)
		}
	}
	var out [][]byte
	for _, item := range list {
		text, ok := strings.CutPrefix(strings.TrimSpace(item), f.prefix)
		if !ok || len(text) > 2*f.size+3 { // hex is the longest spelling of any
			continue
		}
		sig, err := decoders[f.encoding](text)
		if err != nil || len(sig) != f.size {
			continue
		}
		out = append(out, sig)
	}
	if len(out) == 0 {
		return nil, refuse(Malformed, "the header %s holds no signature that can be read", name)
	}
	return out, nil
}

// readTime reads a signed time: s and ms are digits alone, without sign or blank; rfc3339 is a text.
func readTime(unit, text string) (time.Time, error) {
	if unit == "rfc3339" {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return at, refuse(NoTime, "the signed time is not one such as 2026-03-01T09:00:00Z")
		}
		return at, nil
	}
	n, err := strconv.ParseUint(text, 10, 53) // no overflow later on
	if err != nil {
		return time.Time{}, refuse(NoTime, "the signed time is not a number")
	}
	if unit == "ms" {
		return time.UnixMilli(int64(n)), nil // 53 bits
	}
	return time.Unix(int64(n), 0), nil // 53 bits
}

// singleTime reads the header of a signed time. The text is what is signed.
func singleTime(r Request, name, unit string) (string, time.Time, error) {
	text, err := single(r.Header, name)
	if err != nil {
		return "", time.Time{}, instead(err, NoTime)
	}
	at, err := readTime(unit, text)
	return text, at, err
}

// instead gives a Missing header its own reason.
func instead(err error, reason Reason) error {
	var e *Error
	if errors.As(err, &e) && e.Reason == Missing {
		return &Error{Reason: reason, Text: e.Text}
	}
	return err
}

var newSHA1, newSHA256 = sha1.New, sha256.New

package signature

import (
	"crypto/hmac"
	"crypto/sha1" // HMAC-SHA1 is what some senders have, and it is not broken by collisions
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

const (
	defaultAlgorithm = "sha256"
	defaultEncoding  = "hex"
	defaultSigned    = "{body}"
	defaultUnit      = "s"
	defaultTolerance = 5 * time.Minute
	maxSignatures    = 100 // in one header
)

var algorithms = map[string]func() hash.Hash{
	"sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
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

func lacksSigning(s Secrets) string {
	if len(nonEmpty(s.Signing)) == 0 {
		return "signing_secret"
	}
	return ""
}

// part is one piece of what is signed: literal text, or the value that a name stands for.
type part struct{ literal, name string }

// parseSigned reads a text such as "{timestamp}.{body}".
func parseSigned(s string) ([]part, error) {
	var parts []part
	for s != "" {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			parts = append(parts, part{literal: s})
			break
		}
		if open > 0 {
			parts = append(parts, part{literal: s[:open]})
		}
		end := strings.IndexByte(s[open:], '}')
		if end < 0 {
			return nil, errors.New("signed: a { is not closed")
		}
		name := s[open+1 : open+end]
		switch name {
		case "body", "timestamp", "id", "url", "method":
		default:
			return nil, fmt.Errorf("signed: there is no {%s}; there are {body}, {timestamp}, {id}, {url} and {method}", name)
		}
		parts = append(parts, part{name: name})
		s = s[open+end+1:]
	}
	return parts, nil
}

func prepareHMAC(c *connectors.Verify) (method, error) {
	if err := headerName("header", c.Header); err != nil {
		return method{}, err
	}
	if c.Algorithm == "" {
		c.Algorithm = defaultAlgorithm
	}
	newHash, ok := algorithms[c.Algorithm]
	if !ok {
		return method{}, fmt.Errorf("algorithm %q is not one of sha1, sha256, sha384, sha512", c.Algorithm)
	}
	if c.Encoding == "" {
		c.Encoding = defaultEncoding
	}
	decode, ok := decoders[c.Encoding]
	if !ok {
		return method{}, fmt.Errorf("encoding %q is not one of hex, base64, base64url", c.Encoding)
	}
	if c.Signed == "" {
		c.Signed = defaultSigned
	}
	signed, err := parseSigned(c.Signed)
	if err != nil {
		return method{}, err
	}
	uses := make(map[string]bool, len(signed))
	for _, p := range signed {
		uses[p.name] = true
	}
	if !uses["body"] {
		return method{}, errors.New("signed has no {body}: anyone could change what is sent")
	}
	switch {
	case uses["timestamp"]:
		if err := headerName("timestamp_header", c.TimestampHeader); err != nil {
			return method{}, err
		}
	case c.TimestampHeader != "", c.TimestampUnit != "" && c.TimestampUnit != defaultUnit, c.Tolerance != 0 && c.Tolerance != defaultTolerance:
		return method{}, errors.New("signed has no {timestamp}: a time that is not signed proves nothing")
	}
	switch {
	case uses["id"]:
		if err := headerName("id_header", c.IDHeader); err != nil {
			return method{}, err
		}
	case c.IDHeader != "":
		return method{}, errors.New("id_header is given, but signed has no {id}")
	}
	switch c.TimestampUnit {
	case "":
		c.TimestampUnit = defaultUnit
	case "s", "ms", "rfc3339":
	default:
		return method{}, fmt.Errorf("timestamp_unit %q is not one of s, ms, rfc3339", c.TimestampUnit)
	}
	if c.Tolerance < 0 {
		return method{}, errors.New("tolerance is negative")
	}
	if c.Tolerance == 0 {
		c.Tolerance = defaultTolerance
	}
	h := &hmacScheme{config: *c, newHash: newHash, decode: decode, signed: signed, timed: uses["timestamp"], identified: uses["id"]}
	return method{verify: h.verify, replay: h.replay}, nil
}

type hmacScheme struct {
	config            connectors.Verify
	newHash           func() hash.Hash
	decode            func(string) ([]byte, error)
	signed            []part
	timed, identified bool
}

func (h *hmacScheme) verify(r Request, s Secrets) error {
	header, err := single(r.Header, h.config.Header)
	if err != nil {
		return err
	}
	var timestamp, id string
	if h.timed {
		if timestamp, err = single(r.Header, h.config.TimestampHeader); err != nil {
			return timeError(err)
		}
		if err := h.fresh(timestamp, r.Now); err != nil {
			return err
		}
	}
	if h.identified {
		if id, err = single(r.Header, h.config.IDHeader); err != nil {
			var e *Error
			if errors.As(err, &e) && e.Reason == Missing {
				e.Reason = NoID
			}
			return err
		}
	}
	given, err := h.signatures(header)
	if err != nil {
		return err
	}
	// Every signature is compared with every secret: how long it takes says nothing about which one was close.
	match := false
	for _, secret := range nonEmpty(s.Signing) {
		mac := hmac.New(h.newHash, []byte(secret))
		h.each(r, timestamp, id, func(b []byte) { mac.Write(b) })
		want := mac.Sum(nil)
		for _, g := range given {
			if hmac.Equal(g, want) {
				match = true
			}
		}
	}
	if !match {
		return refuse(Mismatch, "the signature in %s does not match", h.config.Header)
	}
	return nil
}

// each gives the signed pieces to write, in their order.
func (h *hmacScheme) each(r Request, timestamp, id string, write func([]byte)) {
	for _, p := range h.signed {
		switch p.name {
		case "":
			write([]byte(p.literal))
		case "body":
			write(r.Body)
		case "timestamp":
			write([]byte(timestamp))
		case "id":
			write([]byte(id))
		case "url":
			write([]byte(r.URL))
		case "method":
			write([]byte(r.Method))
		}
	}
}

// replay hashes each piece with its length, so that no two lists of pieces give the same bytes.
func (h *hmacScheme) replay(r Request) [sha256.Size]byte {
	sum := sha256.New()
	h.each(r, r.Header.Get(h.config.TimestampHeader), r.Header.Get(h.config.IDHeader), func(b []byte) {
		sum.Write(binary.AppendUvarint(nil, uint64(len(b))))
		sum.Write(b)
	})
	return [sha256.Size]byte(sum.Sum(nil))
}

// signatures returns the decoded signatures of a header. Where several may stand, those with another prefix (an
// older scheme) or of another length are passed over; at least one must be left.
func (h *hmacScheme) signatures(header string) ([][]byte, error) {
	list := []string{header}
	if h.config.Separator != "" {
		list = strings.SplitN(header, h.config.Separator, maxSignatures+1)
		if len(list) > maxSignatures {
			return nil, refuse(Malformed, "the header %s holds more than %d signatures", h.config.Header, maxSignatures)
		}
	}
	size := h.newHash().Size()
	var out [][]byte
	for _, item := range list {
		text, ok := strings.CutPrefix(strings.TrimSpace(item), h.config.Prefix)
		if !ok || len(text) > 2*size { // hex is the longest spelling
			continue
		}
		sig, err := h.decode(text)
		if err != nil || len(sig) != size {
			continue
		}
		out = append(out, sig)
	}
	if len(out) == 0 {
		return nil, refuse(Malformed, "the header %s holds no %s signature in %s", h.config.Header, h.config.Algorithm, h.config.Encoding)
	}
	return out, nil
}

// fresh refuses a time too far from now, in either direction: one from the future would stay valid until then.
func (h *hmacScheme) fresh(text string, now time.Time) error {
	var at time.Time
	switch h.config.TimestampUnit {
	case "rfc3339":
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return refuse(NoTime, "the header %s is not a time such as 2026-03-01T09:00:00Z", h.config.TimestampHeader)
		}
		at = t
	default:
		n, err := strconv.ParseUint(text, 10, 53) // digits alone: no sign, no blank, no overflow later on
		if err != nil {
			return refuse(NoTime, "the header %s is not a number", h.config.TimestampHeader)
		}
		if h.config.TimestampUnit == "ms" {
			at = time.UnixMilli(int64(n)) // 53 bits
		} else {
			at = time.Unix(int64(n), 0) // 53 bits
		}
	}
	// Compared as instants, not as a difference: Sub saturates.
	if at.Before(now.Add(-h.config.Tolerance)) {
		return refuse(TooOld, "the time in %s is more than %s ago", h.config.TimestampHeader, h.config.Tolerance)
	}
	if at.After(now.Add(h.config.Tolerance)) {
		return refuse(FromFuture, "the time in %s is more than %s ahead", h.config.TimestampHeader, h.config.Tolerance)
	}
	return nil
}

func timeError(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Reason == Missing {
		e.Reason = NoTime
	}
	return err
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

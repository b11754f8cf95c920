package signature

import (
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
)

// The generic scheme: everything about it is in the config.

var algorithms = map[string]func() hash.Hash{
	"sha1": newSHA1, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
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

// otherwise fills in a default and checks that the value is known.
func otherwise[V any](value *string, usual, key string, known map[string]V) error {
	if *value == "" {
		*value = usual
	}
	if _, ok := known[*value]; !ok {
		return fmt.Errorf("%s %q is not one of %s", key, *value, list(known))
	}
	return nil
}

var timeUnits = map[string]bool{"s": true, "ms": true, "rfc3339": true}

func prepareHMAC(c *connectors.Verify, _ *Keys) (method, error) {
	if err := headerName("header", c.Header); err != nil {
		return method{}, err
	}
	if err := otherwise(&c.Algorithm, "sha256", "algorithm", algorithms); err != nil {
		return method{}, err
	}
	if err := otherwise(&c.Encoding, "hex", "encoding", decoders); err != nil {
		return method{}, err
	}
	if c.Signed == "" {
		c.Signed = "{body}"
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
	case c.TimestampHeader != "", c.TimestampUnit != "", c.Tolerance != 0:
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
	if err := otherwise(&c.TimestampUnit, "s", "timestamp_unit", timeUnits); err != nil {
		return method{}, err
	}
	newHash := algorithms[c.Algorithm]
	g := &generic{
		config: *c, signed: signed, timed: uses["timestamp"], identified: uses["id"],
		format: format{prefix: c.Prefix, separator: c.Separator, encoding: c.Encoding, size: newHash().Size()},
	}
	f := family{read: g.read, matches: sharedKey(newHash)}
	if g.timed {
		f.tolerance = defaultTolerance
		if c.Tolerance > 0 {
			f.tolerance = c.Tolerance
		}
	}
	return f.method(), nil
}

type generic struct {
	config            connectors.Verify
	format            format
	signed            []part
	timed, identified bool
}

func (g *generic) read(r Request) (claim, error) {
	var c claim
	text, err := single(r.Header, g.config.Header)
	if err != nil {
		return c, err
	}
	var timestamp, id string
	if g.timed {
		if timestamp, c.at, err = singleTime(r, g.config.TimestampHeader, g.config.TimestampUnit); err != nil {
			return c, err
		}
	}
	if g.identified {
		if id, err = single(r.Header, g.config.IDHeader); err != nil {
			return c, instead(err, NoID)
		}
	}
	if c.given, err = g.format.read(g.config.Header, text); err != nil {
		return c, err
	}
	reading := make([][]byte, len(g.signed))
	for i, p := range g.signed {
		switch p.name {
		case "":
			reading[i] = []byte(p.literal)
		case "body":
			reading[i] = r.Body
		case "timestamp":
			reading[i] = []byte(timestamp)
		case "id":
			reading[i] = []byte(id)
		case "url":
			reading[i] = []byte(r.URL)
		case "method":
			reading[i] = []byte(r.Method)
		}
	}
	c.signed = pieces(reading...)
	return c, nil
}

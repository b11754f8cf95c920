package signature

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
)

// The schemes of this file compare a secret that is sent as it is. Both sides are hashed first, so that the
// comparison takes the same time for every length.

func lacksToken(s Secrets) string {
	if len(nonEmpty(s.Tokens)) == 0 {
		return "the connection has no token"
	}
	return ""
}

func lacksBasic(s Secrets) string {
	switch {
	case s.Username == "":
		return "the connection has no username"
	case len(nonEmpty(s.Passwords)) == 0:
		return "the connection has no password"
	}
	return ""
}

// oneOf reports whether given is one of the secrets. It looks at all of them.
func oneOf(given string, secrets []string) bool {
	found := 0
	g := sha256.Sum256([]byte(given))
	for _, s := range nonEmpty(secrets) {
		w := sha256.Sum256([]byte(s))
		found |= subtle.ConstantTimeCompare(g[:], w[:])
	}
	return found == 1
}

func prepareBasic(*connectors.Verify, *Keys) (method, error) {
	decode := strictBase64(base64.StdEncoding)
	return method{secret: "Authorization", verify: func(_ context.Context, r Request, s Secrets) error {
		text, err := authorization(r, "basic")
		if err != nil {
			return err
		}
		decoded, err := decode(text)
		if err != nil {
			return refuse(Malformed, "the header Authorization is not base64")
		}
		username, password, ok := strings.Cut(string(decoded), ":")
		if !ok {
			return refuse(Malformed, "the header Authorization holds no user name and password")
		}
		// Both are always compared: the time must not tell which of them was wrong.
		userOK := oneOf(username, []string{s.Username})
		passwordOK := oneOf(password, s.Passwords)
		if !userOK || !passwordOK {
			return refuse(Mismatch, "the user name or the password is wrong")
		}
		return nil
	}}, nil
}

func prepareBearer(*connectors.Verify, *Keys) (method, error) {
	return method{secret: "Authorization", verify: func(_ context.Context, r Request, s Secrets) error {
		text, err := authorization(r, "bearer")
		if err != nil {
			return err
		}
		if !oneOf(text, s.Tokens) {
			return refuse(Mismatch, "the token is wrong")
		}
		return nil
	}}, nil
}

func prepareHeader(c *connectors.Verify, _ *Keys) (method, error) {
	if err := headerName("header", c.Header); err != nil {
		return method{}, err
	}
	name, prefix := c.Header, c.Prefix
	return method{secret: name, verify: func(_ context.Context, r Request, s Secrets) error {
		value, err := single(r.Header, name)
		if err != nil {
			return err
		}
		text, ok := strings.CutPrefix(value, prefix)
		if !ok {
			return refuse(Malformed, "the header %s does not begin with the prefix", name)
		}
		if !oneOf(text, s.Tokens) {
			return refuse(Mismatch, "the secret in %s is wrong", name)
		}
		return nil
	}}, nil
}

func prepareQuery(*connectors.Verify, *Keys) (method, error) {
	return method{param: connectors.TokenParam, verify: func(_ context.Context, r Request, s Secrets) error {
		u, err := url.Parse(r.URL)
		if err != nil {
			return refuse(Malformed, "the address cannot be read")
		}
		query, err := url.ParseQuery(u.RawQuery)
		switch values := query[connectors.TokenParam]; {
		case err != nil:
			return refuse(Malformed, "the query cannot be read")
		case len(values) == 0:
			return refuse(Missing, "the address has no %s", connectors.TokenParam)
		case len(values) > 1:
			return refuse(Repeated, "the address has %s %d times", connectors.TokenParam, len(values))
		case !oneOf(values[0], s.Signing):
			return refuse(Mismatch, "the %s in the address is wrong", connectors.TokenParam)
		}
		return nil
	}}, nil
}

// authorization returns what follows the name of the scheme, which has no case (RFC 9110, section 11.1).
func authorization(r Request, scheme string) (string, error) {
	value, err := single(r.Header, "Authorization")
	if err != nil {
		return "", err
	}
	name, rest, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(name, scheme) {
		return "", refuse(Malformed, "the header Authorization is not of the kind %s", scheme)
	}
	return strings.TrimLeft(rest, " "), nil
}

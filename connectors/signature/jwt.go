package signature

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bellhop-dev/bellhop/connectors"
)

const (
	maxToken  = 16 << 10 // bytes
	maxKeys   = 100      // of a set
	clockSkew = time.Minute
)

// tokenAlgorithms are those that a public key checks. HS256 and none are no option: with them a public key would be
// a secret, or nothing.
var tokenAlgorithms = map[string]bool{
	"RS256": true, "RS384": true, "RS512": true, "PS256": true, "PS384": true, "PS512": true,
	"ES256": true, "ES384": true, "ES512": true, "EdDSA": true,
}

func prepareJWT(c *connectors.Verify, keys *Keys) (method, error) {
	u, err := url.Parse(c.JWKS)
	local := err == nil && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return method{}, errors.New("jwks_url is not an address such as https://login.example.com/.well-known/jwks.json")
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"RS256", "ES256"}
	}
	for _, a := range c.Algorithms {
		if !tokenAlgorithms[a] {
			return method{}, fmt.Errorf("algorithms: %q is not one of %s", a, list(tokenAlgorithms))
		}
	}
	if c.Header == "" {
		c.Header = "Authorization"
	} else if err := headerName("header", c.Header); err != nil {
		return method{}, err
	}
	j := &token{config: *c, keys: keys}
	return method{verify: j.verify, secret: c.Header, id: j.id}, nil
}

func list[V any](m map[string]V) string { return strings.Join(slices.Sorted(maps.Keys(m)), ", ") }

type token struct {
	config connectors.Verify
	keys   *Keys
}

func (t *token) verify(ctx context.Context, r Request, _ Secrets) error {
	text, err := tokenOf(r, t.config.Header)
	if err != nil {
		return err
	}
	if len(text) > maxToken {
		return refuse(Malformed, "the token is longer than %d bytes", maxToken)
	}
	parser := jwt.NewParser(jwt.WithValidMethods(t.config.Algorithms), jwt.WithIssuer(t.config.Issuer), jwt.WithAudience(t.config.Audience),
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return r.Now }))
	claims := jwt.MapClaims{}
	var unreachable error
	_, err = parser.ParseWithClaims(text, claims, func(tok *jwt.Token) (any, error) {
		if tok.Header["crit"] != nil {
			return nil, errors.New("it asks for something that is not known here (crit)")
		}
		// Only the key set of the config is asked: jku, jwk, x5u and x5c are what the caller would like.
		kid, _ := tok.Header["kid"].(string)
		key, err := t.key(ctx, kid, tok.Method.Alg(), r.Now)
		unreachable = err
		return key, err
	})
	switch {
	case unreachable != nil:
		return unreachable
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuse(TooOld, "the token has expired")
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return refuse(FromFuture, "the token is not valid yet")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refuse(Malformed, "the token cannot be read")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse(NoTime, "the token lacks one of the claims iss, aud and exp")
	case err != nil:
		return refuse(Mismatch, "the token was not made by the issuer for this audience")
	}
	if issued, err := claims.GetIssuedAt(); err != nil || issued != nil && issued.After(r.Now.Add(clockSkew)) {
		return refuse(FromFuture, "the token was issued in the future")
	}
	return t.bound(claims, r.Body)
}

// bound checks the claim that binds the body to the token.
func (t *token) bound(claims jwt.MapClaims, body []byte) error {
	if t.config.BodyHash == "" {
		return nil
	}
	text, _ := claims[t.config.BodyHash].(string)
	want, err := hex.DecodeString(text)
	if err != nil || len(want) != sha256.Size {
		if want, err = decoders["base64url"](strings.NewReplacer("+", "-", "/", "_").Replace(text)); err != nil || len(want) != sha256.Size {
			return refuse(Malformed, "the claim %s is not a SHA-256", t.config.BodyHash)
		}
	}
	if sum := sha256.Sum256(body); !equalText(sum[:], want) {
		return refuse(Mismatch, "the body is not the one that the token was made for")
	}
	return nil
}

// tokenOf reads the token. In Authorization it stands behind Bearer, in a header of its own alone.
func tokenOf(r Request, name string) (string, error) {
	if strings.EqualFold(name, "Authorization") {
		return authorization(r, "bearer")
	}
	text, err := single(r.Header, name)
	return strings.TrimSpace(text), err
}

// id is the same for the same token with the same body; one that is used for several bodies is several events.
func (t *token) id(r Request) string {
	text, err := tokenOf(r, t.config.Header)
	if err != nil {
		return ""
	}
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(text, claims); err != nil {
		return ""
	}
	jti, _ := claims["jti"].(string)
	if jti == "" {
		return ""
	}
	return "jti/" + hexHash([][]byte{[]byte(jti), r.Body})
}

// key finds the key with this id for this algorithm. A token without an id is checked with the only key there is.
func (t *token) key(ctx context.Context, kid, alg string, now time.Time) (crypto.PublicKey, error) {
	find := func(parsed any) crypto.PublicKey {
		set, _ := parsed.([]publicKey)
		var found []crypto.PublicKey
		for _, k := range set {
			if (kid == "" || k.id == kid) && (k.alg == "" || k.alg == alg) && k.fits(alg) {
				found = append(found, k.key)
			}
		}
		if len(found) != 1 {
			return nil
		}
		return found[0]
	}
	parsed, err := t.keys.get(ctx, t.config.JWKS, now, false, parseKeySet, func(parsed any) bool { return find(parsed) != nil })
	if err != nil {
		return nil, refuse(Unreachable, "the key set of the issuer cannot be read: %v", err)
	}
	if key := find(parsed); key != nil {
		return key, nil
	}
	return nil, refuse(Mismatch, "the key set of the issuer has no key for this token")
}

type publicKey struct {
	id, alg string
	key     crypto.PublicKey
}

// fits reports whether a key of this type makes signatures of this algorithm.
func (k publicKey) fits(alg string) bool {
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg] == key.Curve
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// parseKeySet reads the keys of a set that sign and are of a kind that is known; others are left out, as RFC 7517,
// section 5, asks for.
func parseKeySet(src []byte) (any, error) {
	var set struct {
		Keys []struct {
			Kty, Use, Kid, Alg, Crv, N, E, X, Y string
		}
	}
	if err := json.Unmarshal(src, &set); err != nil || set.Keys == nil {
		return nil, errors.New("it is not a key set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("it has more than %d keys", maxKeys)
	}
	keys := []publicKey{}
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		var key crypto.PublicKey
		switch k.Kty {
		case "RSA":
			key = rsaKey(k.N, k.E)
		case "EC":
			key = curveKey(k.Crv, k.X, k.Y)
		case "OKP":
			if x, err := base64.RawURLEncoding.DecodeString(k.X); err == nil && k.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize {
				key = ed25519.PublicKey(x)
			}
		}
		if key != nil {
			keys = append(keys, publicKey{k.Kid, k.Alg, key})
		}
	}
	return keys, nil
}

// rsaKey returns nil for a key that is weak, or so large that checking it is a burden.
func rsaKey(nText, eText string) crypto.PublicKey {
	nBytes, err := base64.RawURLEncoding.DecodeString(nText)
	eBytes, eErr := base64.RawURLEncoding.DecodeString(eText)
	if err != nil || eErr != nil || len(eBytes) == 0 || len(eBytes) > 4 {
		return nil
	}
	n, e := new(big.Int).SetBytes(nBytes), int(new(big.Int).SetBytes(eBytes).Int64())
	if n.BitLen() < 2048 || n.BitLen() > 8192 || e < 3 || e%2 == 0 {
		return nil
	}
	return &rsa.PublicKey{N: n, E: e}
}

func curveKey(name, xText, yText string) crypto.PublicKey {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[name]
	x, err := base64.RawURLEncoding.DecodeString(xText)
	y, yErr := base64.RawURLEncoding.DecodeString(yText)
	if curve == nil || err != nil || yErr != nil {
		return nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y)) // refuses what is not on the curve
	if err != nil {
		return nil
	}
	return key
}

package connectors

import (
	"net/netip"
	"time"
)

// TokenParam is the parameter of a query in which the scheme query has its secret. The scheme is for senders that sign
// nothing and send no header of ours, but call the address that they were given as it is.
const TokenParam = "token"

// Verify says how an inbound call proves from whom it comes: the `verify` of a webhook. Package signature has the
// schemes, knows which of the fields each reads, and refuses the others. The secrets are those of a connection.
type Verify struct {
	Scheme          string         // a preset such as stripe, or hmac, basic, bearer, header, jwt, ip_allow
	Header          string         // hmac, header, jwt: where the signature, the secret or the token stands
	Algorithm       string         // hmac: sha1, sha256 (default), sha384, sha512
	Encoding        string         // hmac: hex (default), base64, base64url
	Prefix          string         // hmac, header: before the signature, such as "sha256="
	Separator       string         // hmac: between several signatures in one header; any of them may match
	Signed          string         // hmac: {body} (default), {timestamp}, {id}, {url}, {method} and literal text
	TimestampHeader string         // hmac: where {timestamp} stands
	TimestampUnit   string         // hmac: s (default), ms, rfc3339
	IDHeader        string         // hmac: where {id} stands
	Tolerance       time.Duration  // where a time is signed: how far it may be off, both ways; 0: the scheme's default
	ReplayGuard     bool           // where something is signed: the same signature and body count as a duplicate
	JWKS            string         // jwt: address of the key set (RFC 7517)
	Issuer          string         // jwt: what iss must be
	Audience        string         // jwt: what aud must hold
	Algorithms      []string       // jwt: which may sign; default RS256 and ES256
	BodyHash        string         // jwt: the claim with the SHA-256 of the body; empty: the body is not bound to the token
	Allow           []netip.Prefix // ip_allow: where calls may come from
	Proxies         []netip.Prefix // ip_allow: our own proxies, whose X-Forwarded-For is believed
}

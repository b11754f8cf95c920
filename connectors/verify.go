package connectors

import "time"

// Verify says how an inbound call proves from whom it comes: the `verify` of a webhook. Package signature has the
// schemes, knows which of the fields each reads, and refuses the others. The secrets are those of a connection.
type Verify struct {
	Scheme          string        // hmac, basic, bearer, header
	Header          string        // hmac, header: where the signature or the secret stands
	Algorithm       string        // hmac: sha1, sha256 (default), sha384, sha512
	Encoding        string        // hmac: hex (default), base64, base64url
	Prefix          string        // hmac, header: before the signature, such as "sha256="
	Separator       string        // hmac: between several signatures in one header; any of them may match
	Signed          string        // hmac: {body} (default), {timestamp}, {id}, {url}, {method} and literal text
	TimestampHeader string        // hmac: where {timestamp} stands
	TimestampUnit   string        // hmac: s (default), ms, rfc3339
	IDHeader        string        // hmac: where {id} stands
	Tolerance       time.Duration // hmac: how far {timestamp} may be off, both ways; default 5 min
	ReplayGuard     bool          // hmac: ReplayKey gives a key
}

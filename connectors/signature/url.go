package signature

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"mime"
	"net/url"
	"slices"
	"strings"
)

// The presets of this file sign the address that was called. It is the public address of the settings with the path
// and query of the request line: a Host or X-Forwarded header is what the caller likes it to be.

// square: developer.squareup.com, Verify and validate an event notification.
var square = func() family {
	f := bodyHMAC("X-Square-Hmacsha256-Signature", "", "base64")
	read := f.read
	f.read = func(r Request) (claim, error) {
		c, err := read(r)
		c.signed = pieces([]byte(r.URL), r.Body)
		return c, err
	}
	return f
}()

// hubspot is version 3 of its signature. Versions 1 and 2 are plain hashes without a time and are not accepted.
// developers.hubspot.com, Validating requests.
var hubspot = timed("X-HubSpot-Signature-v3", format{encoding: "base64"}, "X-HubSpot-Request-Timestamp", "ms",
	func(r Request, timestamp string) [][][]byte {
		readings := pieces([]byte(r.Method), []byte(r.URL), r.Body, []byte(timestamp))
		if decoded := hubspotEscapes.Replace(r.URL); decoded != r.URL {
			readings = append(readings, [][]byte{[]byte(r.Method), []byte(decoded), r.Body, []byte(timestamp)})
		}
		return readings
	})

// hubspotEscapes are the characters that HubSpot signs unescaped.
var hubspotEscapes = func() *strings.Replacer {
	var pairs []string
	for _, c := range ":/@!$'()*,;" {
		upper := "%" + strings.ToUpper(hex.EncodeToString([]byte{byte(c)}))
		pairs = append(pairs, upper, string(c))
		if lower := strings.ToLower(upper); lower != upper {
			pairs = append(pairs, lower, string(c))
		}
	}
	return strings.NewReplacer(pairs...)
}()

const bodyHashParam = "bodySHA256"

// twilio signs the address and the fields of a form, or the address alone when that holds the hash of the body.
// twilio.com/docs, Security.
var twilio = func() family {
	_, written := algorithmOf(newSHA1, format{encoding: "base64"})
	return family{
		matches: sharedKey(newSHA1),
		read: func(r Request) (claim, error) {
			var c claim
			text, err := single(r.Header, "X-Twilio-Signature")
			if err != nil {
				return c, err
			}
			if c.given, err = written.read("X-Twilio-Signature", text); err != nil {
				return c, err
			}
			fields, err := twilioFields(r)
			if err != nil {
				return c, err
			}
			for _, address := range twilioAddresses(r.URL) {
				c.signed = append(c.signed, [][]byte{[]byte(address), fields})
			}
			return c, nil
		},
	}
}()

// twilioFields is what is signed behind the address. A body that nothing binds to the signature is refused.
func twilioFields(r Request) ([]byte, error) {
	_, query, _ := strings.Cut(r.URL, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, refuse(Malformed, "the query cannot be read")
	}
	if hashes, ok := values[bodyHashParam]; ok {
		if len(hashes) != 1 {
			return nil, refuse(Repeated, "%s came %d times", bodyHashParam, len(hashes))
		}
		want, err := hex.DecodeString(hashes[0])
		if err != nil || len(want) != sha256.Size {
			return nil, refuse(Malformed, "%s is not a hash", bodyHashParam)
		}
		if sum := sha256.Sum256(r.Body); subtle.ConstantTimeCompare(want, sum[:]) != 1 {
			return nil, refuse(Mismatch, "the body is not the one that %s was made for", bodyHashParam)
		}
		return nil, nil
	}
	if len(r.Body) == 0 {
		return nil, nil
	}
	types := r.Header["Content-Type"]
	if len(types) != 1 {
		return nil, refuse(Malformed, "there are %d headers Content-Type", len(types))
	}
	if media, _, err := mime.ParseMediaType(types[0]); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, refuse(Missing, "the body is no form, and the address has no %s: nothing binds the body to the signature", bodyHashParam)
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil, refuse(Malformed, "the form cannot be read")
	}
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	var b []byte
	for _, name := range names {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			b = append(append(b, name...), v...)
		}
	}
	return b, nil
}

// twilioAddresses are the spellings of an address that Twilio may have signed: with and without the port, with the
// query as it came or escaped again in one of two ways. The SDK of the vendor tries the same six.
func twilioAddresses(address string) []string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return []string{address}
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, target := rest[:end], rest[end:]
	bare, port := host, ""
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		bare, port = host[:colon], host[colon:]
	}
	if port == "" {
		port = ":80"
		if strings.EqualFold(scheme, "https") {
			port = ":443"
		}
	}
	path, query, hasQuery := strings.Cut(target, "?")
	targets := []string{target}
	if hasQuery {
		targets = append(targets, path+"?"+escapeQuery(query), path+"?"+reencodeQuery(query))
	}
	var list []string
	for _, t := range targets {
		for _, h := range []string{bare, bare + port} {
			if a := scheme + "://" + h + t; !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	return list
}

// escapeQuery escapes what a browser escapes in a query (WHATWG URL, special-query percent-encode set).
func escapeQuery(query string) string {
	var b strings.Builder
	for i := 0; i < len(query); i++ {
		c := query[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"#<>'`, c) >= 0 {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// reencodeQuery takes a query apart and writes it again as JavaScript's encodeURIComponent does; what is repeated
// stands together.
func reencodeQuery(query string) string {
	var names []string
	values := map[string][]string{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, v, _ := strings.Cut(pair, "=")
		name, v = unescape(name), unescape(v)
		if values[name] == nil {
			names = append(names, name)
		}
		values[name] = append(values[name], v)
	}
	var b strings.Builder
	for _, name := range names {
		for _, v := range values[name] {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(encodeComponent(name) + "=" + encodeComponent(v))
		}
	}
	return b.String()
}

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

func encodeComponent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.!~*'()", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}

package workflow

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors/signature"
)

var (
	schemes     = signature.Schemes()
	schemeNames = func() []string {
		names := make([]string, len(schemes))
		for i := range schemes {
			names[i] = schemes[i].Name
		}
		return names
	}()
	signedParts = []string{"body", "timestamp", "id", "url", "method"}
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
)

// schemeHints say what the keys are that a scheme cannot do without.
var schemeHints = map[string]string{
	"hmac.header":    "the header in which the signature stands",
	"header.header":  "the header in which the caller sends the token",
	"jwt.jwks_url":   "the address of the issuer's key set, such as https://login.example.com/.well-known/jwks.json",
	"jwt.issuer":     "what the claim iss of a token is",
	"jwt.audience":   "what the claim aud of a token holds",
	"ip_allow.allow": "the networks that may call, such as [203.0.113.0/24]",
}

// givesKey reports whether calls have a dedupe key without the workflow naming one.
func (v *Verify) givesKey() bool {
	if v == nil {
		return false
	}
	i := slices.Index(schemeNames, v.Scheme)
	return v.ReplayGuard || i >= 0 && (schemes[i].Preset || v.Scheme == "jwt")
}

// verify reads how a webhook knows its caller; nil when the scheme cannot be told.
func (r *reader) verify(n *yaml.Node) *Verify {
	if n.Kind == yaml.ScalarNode && slices.Contains(schemeNames, n.Value) {
		r.errorf(place(n), "such as {scheme: "+n.Value+", connection: my-secrets}", "the scheme %s needs more keys, this is only its name", n.Value)
		return nil
	}
	o := r.object(n, "verify")
	if n.Kind != yaml.MappingNode {
		return nil
	}
	v := &Verify{}
	scheme := o.need("scheme", "one of "+strings.Join(schemeNames, ", "))
	if scheme == nil {
		return nil
	}
	text, ok := r.text(scheme, "scheme")
	if !ok {
		return nil
	}
	i := slices.Index(schemeNames, text)
	if i < 0 {
		r.errorf(place(scheme), known(text, schemeNames), "there is no scheme %q", text)
		return nil
	}
	v.Scheme = text
	before := r.count()
	if schemes[i].Connection {
		v.Connection = r.connection(o, &v.connectionAt)
		if o.vals["connection"] == nil {
			r.errorf(o.at, "name the connection that holds the secret", "verify needs the key connection")
		}
	}
	for _, key := range schemes[i].Need {
		o.need(key, schemeHints[text+"."+key])
	}
	for _, key := range schemes[i].Keys {
		r.verifyKey(v, o, key)
	}
	if text == "hmac" {
		r.signed(v, o)
	}
	o.done()
	if r.count() == before { // what is left for the scheme itself to say
		if _, err := signature.New(v.Verify, nil); err != nil {
			r.errorf(o.at, "", "%v", err)
		}
	}
	return v
}

// verifyKey reads one key of a verify.
func (r *reader) verifyKey(v *Verify, o *object, key string) {
	switch key {
	case "header":
		v.Header = r.headerName(o, key)
	case "timestamp_header":
		v.TimestampHeader = r.headerName(o, key)
	case "id_header":
		v.IDHeader = r.headerName(o, key)
	case "algorithm":
		v.Algorithm = o.word(key, "", "sha1", "sha256", "sha384", "sha512")
	case "encoding":
		v.Encoding = o.word(key, "", "hex", "base64", "base64url")
	case "timestamp_unit":
		v.TimestampUnit = o.word(key, "", "s", "ms", "rfc3339")
	case "prefix":
		v.Prefix = o.text(key)
	case "separator":
		v.Separator = o.text(key)
	case "signed":
		v.Signed = o.text(key)
	case "tolerance":
		v.Tolerance = o.duration(key, 0)
	case "replay_guard":
		v.ReplayGuard = o.boolean(key, false)
	case "jwks_url":
		v.JWKS = o.text(key)
	case "issuer":
		v.Issuer = o.text(key)
	case "audience":
		v.Audience = o.text(key)
	case "body_hash":
		v.BodyHash = o.text(key)
	case "algorithms":
		v.Algorithms, _ = o.texts(key)
	case "allow":
		v.Allow = r.prefixes(o, key)
	case "proxies":
		v.Proxies = r.prefixes(o, key)
	}
}

func (r *reader) headerName(o *object, key string) string {
	n := o.value(key)
	if n == nil {
		return ""
	}
	return r.header(n, "a header")
}

// prefixes reads a list of networks; an address alone is a network of one.
func (r *reader) prefixes(o *object, key string) []netip.Prefix {
	texts, places := o.texts(key)
	var list []netip.Prefix
	for i, text := range texts {
		p, err := netip.ParsePrefix(text)
		if a, addrErr := netip.ParseAddr(text); err != nil && addrErr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			r.errorf(places[i], "write it like 203.0.113.0/24 or 2001:db8::/32", "%q is not a network", text)
			continue
		}
		list = append(list, p.Masked())
	}
	return list
}

// signed checks what the generic signature signs, at the place where that is written.
func (r *reader) signed(v *Verify, o *object) {
	signed, at := v.Signed, o.at
	if n := o.vals["signed"]; n != nil {
		at = place(n)
	}
	if signed == "" {
		signed = "{body}"
	}
	for _, part := range placeholder.FindAllString(signed, -1) {
		if name := strings.Trim(part, "{}"); !slices.Contains(signedParts, name) {
			r.errorf(at, known(name, signedParts), "signed knows no %s", part)
		}
	}
	if !strings.Contains(signed, "{body}") {
		r.errorf(at, `such as "{timestamp}.{body}"`, "signed does not hold {body}: anyone could change the body")
	}
	id, timed := strings.Contains(signed, "{id}"), strings.Contains(signed, "{timestamp}")
	switch n := o.vals["timestamp_header"]; {
	case n != nil && !timed:
		r.errorf(place(n), "add {timestamp} to signed", "a time that is not signed proves nothing")
	case n == nil && timed:
		r.errorf(at, "", "signed holds {timestamp}: name the header with timestamp_header")
	}
	for _, key := range []string{"timestamp_unit", "tolerance"} {
		if o.vals[key] != nil && !timed && o.vals["timestamp_header"] == nil {
			r.errorf(place(o.key(key)), "add timestamp_header and {timestamp} in signed", "%s has no effect: no time is signed", key)
		}
	}
	switch n := o.vals["id_header"]; {
	case n != nil && !id:
		r.errorf(place(n), "add {id} to signed", "an id that is not signed proves nothing")
	case n == nil && id:
		r.errorf(at, "", "signed holds {id}: name the header with id_header")
	}
}

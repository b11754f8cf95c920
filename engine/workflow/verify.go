package workflow

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

var (
	verifySchemes = []string{"hmac", "basic", "bearer", "header"}
	// laterSchemes are in the format and not in this version.
	laterSchemes = []string{
		"jwt", "ip_allow", "standard_webhooks", "stripe", "github", "shopify", "slack", "twilio", "discord", "paypal", "meta", "x",
		"twitch", "sendgrid", "mailgun", "square", "hubspot", "zendesk", "linear", "calendly", "typeform", "intercom", "paddle",
		"lemonsqueezy", "docusign",
	}
	signedParts = []string{"body", "timestamp", "id", "url", "method"}
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
)

// defaultTolerance is how far a signed time may be from now, both ways.
const defaultTolerance = 5 * time.Minute

// verify reads how a webhook knows its caller; nil when the scheme cannot be told.
func (r *reader) verify(n *yaml.Node) *Verify {
	if n.Kind == yaml.ScalarNode && slices.Contains(laterSchemes, n.Value) {
		r.errorf(place(n), "available: "+strings.Join(verifySchemes, ", "), "the scheme %s is not available in this version", n.Value)
		return nil
	}
	if n.Kind == yaml.ScalarNode && slices.Contains(verifySchemes, n.Value) {
		r.errorf(place(n), "such as {scheme: "+n.Value+", connection: my-secrets}", "the scheme %s needs more keys, this is only its name", n.Value)
		return nil
	}
	o := r.object(n, "verify")
	if n.Kind != yaml.MappingNode {
		return nil
	}
	v := &Verify{}
	scheme := o.need("scheme", "one of "+strings.Join(verifySchemes, ", "))
	v.Connection = r.connection(o, &v.connectionAt)
	if o.vals["connection"] == nil {
		r.errorf(o.at, "name the connection that holds the secret", "verify needs the key connection")
	}
	if scheme == nil {
		return nil
	}
	text, ok := r.text(scheme, "scheme")
	if !ok {
		return nil
	}
	v.Scheme = text
	switch {
	case text == "hmac":
		r.hmac(v, o)
	case text == "header":
		if header := o.need("header", "the header in which the caller sends the token"); header != nil {
			v.Header = r.header(header, "a header")
		}
		v.Prefix = o.text("prefix")
	case slices.Contains(verifySchemes, text):
	case slices.Contains(laterSchemes, text):
		r.errorf(place(scheme), "available: "+strings.Join(verifySchemes, ", "), "the scheme %s is not available in this version", text)
		return nil
	default:
		r.errorf(place(scheme), known(text, verifySchemes), "there is no scheme %q", text)
		return nil
	}
	o.done()
	return v
}

// hmac reads the keys of the generic signature.
func (r *reader) hmac(v *Verify, o *object) {
	if header := o.need("header", "the header in which the signature stands"); header != nil {
		v.Header = r.header(header, "a header")
	}
	v.Algorithm = o.word("algorithm", "sha256", "sha1", "sha256", "sha384", "sha512")
	v.Encoding = o.word("encoding", "hex", "hex", "base64", "base64url")
	v.Prefix = o.text("prefix")
	v.Separator = o.text("separator")
	v.Signed = "{body}"
	at := o.at
	if signed := o.value("signed"); signed != nil {
		at = place(signed)
		v.Signed, _ = r.text(signed, "signed")
	}
	for _, part := range placeholder.FindAllString(v.Signed, -1) {
		if name := strings.Trim(part, "{}"); !slices.Contains(signedParts, name) {
			r.errorf(at, known(name, signedParts), "signed knows no %s", part)
		}
	}
	if !strings.Contains(v.Signed, "{body}") {
		r.errorf(at, `such as "{timestamp}.{body}"`, "signed does not hold {body}: anyone could change the body")
	}
	r.timestamp(v, o, at)
	if id := o.value("id_header"); id != nil {
		v.IDHeader = r.header(id, "a header")
		if !strings.Contains(v.Signed, "{id}") {
			r.errorf(place(id), "add {id} to signed", "an id that is not signed proves nothing")
		}
	}
	if strings.Contains(v.Signed, "{id}") && v.IDHeader == "" && o.vals["id_header"] == nil {
		r.errorf(at, "", "signed holds {id}: name the header with id_header")
	}
	v.ReplayGuard = o.boolean("replay_guard", false)
}

// timestamp reads the keys about the time that is signed.
func (r *reader) timestamp(v *Verify, o *object, signedAt Position) {
	signed := strings.Contains(v.Signed, "{timestamp}")
	if header := o.value("timestamp_header"); header != nil {
		v.TimestampHeader = r.header(header, "a header")
		if !signed {
			r.errorf(place(header), "add {timestamp} to signed", "a time that is not signed proves nothing")
		}
	} else if signed && o.vals["timestamp_header"] == nil {
		r.errorf(signedAt, "", "signed holds {timestamp}: name the header with timestamp_header")
	}
	v.TimestampUnit = o.word("timestamp_unit", "s", "s", "ms", "rfc3339")
	tolerance := o.duration("tolerance", defaultTolerance)
	if signed {
		v.Tolerance = tolerance
	}
	for _, key := range []string{"timestamp_unit", "tolerance"} {
		if o.vals[key] != nil && !signed && o.vals["timestamp_header"] == nil {
			r.errorf(place(o.key(key)), "add timestamp_header and {timestamp} in signed", "%s has no effect: no time is signed", key)
		}
	}
}

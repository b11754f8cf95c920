package signature

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// The presets of this file sign a time with the body, so that an old call cannot be sent again.

func hexHash(list [][]byte) string {
	sum := hashPieces(list)
	return hex.EncodeToString(sum[:])
}

// stamped is a header that holds the time and the signatures: "t=1700000000,v1=…". Signatures under other names (an
// older scheme) are passed over.
func stamped(name, separator, timeKey, key, join string) family {
	_, written := algorithmOf(newSHA256, format{prefix: key + "=", separator: separator, encoding: "hex"})
	return family{
		tolerance: defaultTolerance,
		matches:   sharedKey(newSHA256),
		read: func(r Request) (claim, error) {
			var c claim
			text, err := single(r.Header, name)
			if err != nil {
				return c, err
			}
			if c.given, err = written.read(name, text); err != nil {
				return c, err
			}
			timestamp, times := "", 0
			for item := range strings.SplitSeq(text, separator) {
				if t, ok := strings.CutPrefix(strings.TrimSpace(item), timeKey+"="); ok {
					timestamp = t
					times++
				}
			}
			if times != 1 {
				return c, refuse(NoTime, "the header %s holds %d times %s=", name, times, timeKey)
			}
			if c.at, err = readTime("s", timestamp); err != nil {
				return c, err
			}
			c.signed = pieces([]byte(timestamp), []byte(join), r.Body)
			return c, nil
		},
	}
}

// timed is a signature and its time in two headers. signed makes the pieces of it.
func timed(name string, f format, timeName, unit string, signed func(r Request, timestamp string) [][][]byte) family {
	_, f = algorithmOf(newSHA256, f)
	return family{
		tolerance: defaultTolerance,
		matches:   sharedKey(newSHA256),
		read: func(r Request) (claim, error) {
			var c claim
			text, err := single(r.Header, name)
			if err != nil {
				return c, err
			}
			timestamp, at, err := singleTime(r, timeName, unit)
			if err != nil {
				return c, err
			}
			c.at = at
			if c.given, err = f.read(name, text); err != nil {
				return c, err
			}
			c.signed = signed(r, timestamp)
			return c, nil
		},
	}
}

func timeAndBody(r Request, timestamp string) [][][]byte { return pieces([]byte(timestamp), r.Body) }

// slack: docs.slack.dev, Verifying requests from Slack.
var slack = timed("X-Slack-Signature", format{prefix: "v0=", encoding: "hex"}, "X-Slack-Request-Timestamp", "s",
	func(r Request, timestamp string) [][][]byte {
		return pieces([]byte("v0:"), []byte(timestamp), []byte(":"), r.Body)
	})

// zendesk: developer.zendesk.com, Verifying webhook authenticity.
var zendesk = timed("X-Zendesk-Webhook-Signature", format{encoding: "base64"}, "X-Zendesk-Webhook-Signature-Timestamp", "rfc3339", timeAndBody)

// twitch signs the id of the message too. dev.twitch.tv, EventSub, Verifying the event message.
var twitch = func() family {
	f := timed("Twitch-Eventsub-Message-Signature", format{prefix: "sha256=", encoding: "hex"}, "Twitch-Eventsub-Message-Timestamp", "rfc3339",
		func(r Request, timestamp string) [][][]byte {
			return pieces([]byte(r.Header.Get("Twitch-Eventsub-Message-Id")), []byte(timestamp), r.Body)
		})
	return f.alsoSingle("Twitch-Eventsub-Message-Id")
}()

// alsoSingle is f with another signed header, which must be there once.
func (f family) alsoSingle(name string) family {
	read := f.read
	f.read = func(r Request) (claim, error) {
		if _, err := single(r.Header, name); err != nil {
			return claim{}, instead(err, NoID)
		}
		return read(r)
	}
	return f
}

// standard is the scheme of standardwebhooks.com, which Svix sends under names of its own as well. A secret that
// begins with whpk_ is a public key: it checks the signatures v1a, and never one of v1.
var standard = family{
	tolerance: defaultTolerance,
	lacks: func(s Secrets) string {
		if lack := lacksSigning(s); lack != "" {
			return lack
		}
		for _, secret := range nonEmpty(s.Signing) {
			text, public := strings.CutPrefix(secret, publicPrefix)
			if key := standardKey(text); len(key) == 0 || public && len(key) != ed25519.PublicKeySize {
				return "the signing_secret of the connection is not one such as whsec_… (base64 behind the underscore)"
			}
		}
		return ""
	},
	read: func(r Request) (claim, error) {
		var c claim
		family := standardFamily(r.Header)
		text, err := single(r.Header, family+"Signature")
		if err != nil {
			return c, err
		}
		timestamp, at, err := singleTime(r, family+"Timestamp", "s")
		if err != nil {
			return c, err
		}
		id, err := single(r.Header, family+"Id")
		if err != nil {
			return c, instead(err, NoID)
		}
		c.at = at
		list := strings.SplitN(text, " ", maxSignatures+1)
		if len(list) > maxSignatures {
			return c, refuse(Malformed, "the header holds more than %d signatures", maxSignatures)
		}
		for _, item := range list {
			// A MAC has 32 bytes and an Ed25519 signature 64, so that neither is taken for the other.
			version, text, _ := strings.Cut(item, ",")
			size := map[string]int{"v1": 32, "v1a": ed25519.SignatureSize}[version]
			if sig, err := decoders["base64"](text); err == nil && size > 0 && len(sig) == size {
				c.given = append(c.given, sig)
			}
		}
		if len(c.given) == 0 {
			return c, refuse(Malformed, "the header holds no signature of v1 or v1a that can be read")
		}
		c.signed = pieces([]byte(id), []byte("."), []byte(timestamp), []byte("."), r.Body)
		return c, nil
	},
	matches: func(secret string, c claim) bool {
		text, public := strings.CutPrefix(secret, publicPrefix)
		key := standardKey(text)
		if public {
			return matchEd25519(key, c)
		}
		return len(key) > 0 && matchHMAC(newSHA256, key, c)
	},
}

const publicPrefix = "whpk_"

func standardKey(secret string) []byte {
	text := strings.TrimRight(strings.TrimPrefix(secret, "whsec_"), "=")
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return key
}

// standardFamily is how the headers of a call begin.
func standardFamily(h http.Header) string {
	if len(h["Webhook-Signature"]) == 0 && len(h["Svix-Signature"]) > 0 {
		return "Svix-"
	}
	return "Webhook-"
}

func standardID(r Request, _ any) string { return r.Header.Get(standardFamily(r.Header) + "Id") }

// mailgun signs a time and a token, and not the body: whoever sees one call can send another body with it, once. It
// stands in the body itself. documentation.mailgun.com, Securing webhooks.
var mailgun = family{
	tolerance: defaultTolerance,
	matches:   sharedKey(newSHA256),
	read: func(r Request) (claim, error) {
		var c claim
		s := mailgunFields(r)
		if s.signature == "" {
			return c, refuse(Missing, "the body holds no signature")
		}
		var err error
		if c.at, err = readTime("s", s.timestamp); err != nil {
			return c, err
		}
		if s.token == "" {
			return c, refuse(NoID, "the body holds no token")
		}
		_, f := algorithmOf(newSHA256, format{encoding: "hex"})
		if c.given, err = f.read("signature of the body", s.signature); err != nil {
			return c, err
		}
		c.signed = pieces([]byte(s.timestamp), []byte(s.token))
		return c, nil
	},
}

type mailgunSignature struct{ timestamp, token, signature string }

// mailgunFields reads a body as the hook itself does: by its type, where the last of two equal keys counts.
func mailgunFields(r Request) (s mailgunSignature) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return s
	}
	var fields map[string]any
	switch media {
	case "application/json":
		body, _ := value.DecodeJSON(r.Body)
		outer, _ := body.(map[string]any)
		fields, _ = outer["signature"].(map[string]any)
	case "application/x-www-form-urlencoded":
		fields, _ = value.DecodeForm(r.Body)
	case "multipart/form-data": // an incoming mail
		fields = mailgunParts(multipart.NewReader(bytes.NewReader(r.Body), params["boundary"]))
	}
	text := func(name string) string {
		switch v := fields[name].(type) {
		case map[string]any, []any: // sent twice, or not a text
			return ""
		default:
			return value.Text(v)
		}
	}
	return mailgunSignature{timestamp: text("timestamp"), token: text("token"), signature: text("signature")}
}

const maxPart = 256 // bytes of a field that is looked at

func mailgunParts(parts *multipart.Reader) map[string]any {
	fields := map[string]any{}
	for range 1000 {
		part, err := parts.NextPart()
		if err != nil {
			return fields
		}
		name := part.FormName()
		if name != "timestamp" && name != "token" && name != "signature" || part.FileName() != "" {
			continue
		}
		buf := make([]byte, maxPart)
		n := 0
		for n < len(buf) {
			got, err := part.Read(buf[n:])
			n += got
			if err != nil {
				break
			}
		}
		if _, twice := fields[name]; twice {
			return nil
		}
		fields[name] = string(buf[:n])
	}
	return fields
}

func mailgunID(r Request, _ any) string { return mailgunFields(r).token }

package signature

import (
	"bytes"
	"encoding/json"
	"hash"
	"net/http"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// The presets of this file sign the body alone. Nothing in them tells an old call from a new one, so what they
// deliver twice is found by its id, or by replay_guard.

func algorithmOf(newHash func() hash.Hash, f format) (func() hash.Hash, format) {
	f.size = newHash().Size()
	return newHash, f
}

// bodyHMAC is one HMAC-SHA256 in one header.
func bodyHMAC(name, prefix, encoding string) family {
	return bodyOf(name, format{prefix: prefix, encoding: encoding}, newSHA256)
}

func bodyOf(name string, f format, newHash func() hash.Hash) family {
	newHash, f = algorithmOf(newHash, f)
	return family{
		read: func(r Request) (claim, error) {
			text, err := single(r.Header, name)
			if err != nil {
				return claim{}, err
			}
			given, err := f.read(name, text)
			return claim{given: given, signed: pieces(r.Body)}, err
		},
		matches: sharedKey(newHash),
	}
}

// intercomSignature: developers.intercom.com, Webhooks. The only preset that still has SHA-1 to offer.
var intercomSignature = bodyOf("X-Hub-Signature", format{prefix: "sha1=", encoding: "hex"}, newSHA1)

// xSignature refuses what is no JSON object: X lets anyone ask for the HMAC of a token (see crc), and a token is
// none. docs.x.com, Account Activity API.
var xSignature = func() family {
	f := bodyHMAC("X-Twitter-Webhooks-Signature", "sha256=", "base64")
	read := f.read
	f.read = func(r Request) (claim, error) {
		if !bytes.HasPrefix(bytes.TrimLeft(r.Body, " \t\r\n"), []byte("{")) {
			return claim{}, refuse(Malformed, "the body is not a JSON object")
		}
		return read(r)
	}
	return f
}()

// linear signs a time that stands in the body; the header Linear-Timestamp is not signed. linear.app/developers,
// Webhooks.
var linear = func() family {
	f := bodyHMAC("Linear-Signature", "", "hex").within(time.Minute)
	read := f.read
	f.read = func(r Request) (claim, error) {
		c, err := read(r)
		c.late = func() (time.Time, error) {
			body, err := value.DecodeJSON(r.Body)
			if err != nil {
				return time.Time{}, refuse(NoTime, "the body is not JSON, so it holds no webhookTimestamp")
			}
			fields, _ := body.(map[string]any)
			return readTime("ms", value.Text(fields["webhookTimestamp"]))
		}
		return c, err
	}
	return f
}()

// shopify has two families of names for the same headers: with X- and, since 2026, without.
var shopify = func() family {
	old, plain := bodyHMAC("X-Shopify-Hmac-Sha256", "", "base64"), bodyHMAC("Shopify-Hmac-Sha256", "", "base64")
	old.read = func(read, readPlain func(Request) (claim, error)) func(Request) (claim, error) {
		return func(r Request) (claim, error) {
			if isPlainShopify(r.Header) {
				return readPlain(r)
			}
			return read(r)
		}
	}(old.read, plain.read)
	return old
}()

func isPlainShopify(h http.Header) bool {
	return len(h["X-Shopify-Hmac-Sha256"]) == 0 && len(h["Shopify-Hmac-Sha256"]) > 0
}

const docusignHeader = "X-Docusign-Signature-"

// docusign sends one header for each of its keys: X-DocuSign-Signature-1 and so on. developers.docusign.com, Connect.
var docusign = func() family {
	f := bodyHMAC("", "", "base64")
	_, written := algorithmOf(newSHA256, format{encoding: "base64"})
	f.read = func(r Request) (claim, error) {
		c := claim{signed: pieces(r.Body)}
		found := 0
		for name := range r.Header {
			if !strings.HasPrefix(name, docusignHeader) {
				continue
			}
			if found++; found > maxSignatures {
				return c, refuse(Malformed, "there are more than %d signatures", maxSignatures)
			}
			text, err := single(r.Header, name)
			if err != nil {
				return c, err
			}
			if given, err := written.read(name, text); err == nil {
				c.given = append(c.given, given...)
			}
		}
		switch {
		case found == 0:
			return c, refuse(Missing, "the header X-DocuSign-Signature-1 is missing")
		case len(c.given) == 0:
			return c, refuse(Malformed, "the header X-DocuSign-Signature-1 holds no signature that can be read")
		}
		return c, nil
	}
	return f
}()

// What all deliveries of one event have in common.

func header(name string) func(Request, any) string {
	return func(r Request, _ any) string { return r.Header.Get(name) }
}

func field(name string) func(Request, any) string {
	return func(_ Request, body any) string {
		fields, _ := body.(map[string]any)
		return value.Text(fields[name])
	}
}

// joined is for bodies that are lists of events: a delivery that is repeated has the same list.
func joined(name string) func(Request, any) string {
	return func(_ Request, body any) string {
		events, ok := body.([]any)
		if !ok {
			events = []any{body}
		}
		ids := make([][]byte, 0, len(events))
		for _, e := range events {
			fields, _ := e.(map[string]any)
			id := value.Text(fields[name])
			if id == "" {
				return ""
			}
			ids = append(ids, []byte(id))
		}
		switch len(ids) {
		case 0:
			return ""
		case 1:
			return string(ids[0])
		}
		return hexHash(ids)
	}
}

func shopifyID(r Request, _ any) string {
	if isPlainShopify(r.Header) {
		return r.Header.Get("Shopify-Webhook-Id")
	}
	return r.Header.Get("X-Shopify-Webhook-Id")
}

func slackID(_ Request, body any) string {
	fields, _ := body.(map[string]any)
	if text, ok := fields["payload"].(string); ok { // a button: JSON in a form
		var inner struct {
			Trigger string `json:"trigger_id"`
		}
		if json.Unmarshal([]byte(text), &inner) == nil {
			return inner.Trigger
		}
	}
	if id := value.Text(fields["event_id"]); id != "" {
		return id
	}
	return value.Text(fields["trigger_id"]) // a slash command
}

// metaID: a message has an id. Everything else has that of its account, so the entries themselves are hashed: they
// hold their ids and times.
func metaID(_ Request, body any) string {
	fields, _ := body.(map[string]any)
	entries, _ := fields["entry"].([]any)
	if len(entries) == 0 {
		return ""
	}
	if len(entries) == 1 {
		if id := messageID(entries[0]); id != "" {
			return id
		}
	}
	data, err := value.AppendJSON(nil, entries)
	if err != nil {
		return ""
	}
	return hexHash([][]byte{data})
}

func messageID(entry any) string {
	fields, _ := entry.(map[string]any)
	messages, _ := fields["messaging"].([]any) // Messenger, Instagram
	if changes, ok := fields["changes"].([]any); ok && len(changes) == 1 {
		change, _ := changes[0].(map[string]any)
		val, _ := change["value"].(map[string]any)
		messages, _ = val["messages"].([]any) // WhatsApp
	}
	if len(messages) != 1 {
		return ""
	}
	message, _ := messages[0].(map[string]any)
	if inner, ok := message["message"].(map[string]any); ok {
		return value.Text(inner["mid"])
	}
	return value.Text(message["id"])
}

func discordID(_ Request, body any) string {
	fields, _ := body.(map[string]any)
	if _, isEvent := fields["event"]; isEvent {
		return "" // an event has no id
	}
	return value.Text(fields["id"])
}

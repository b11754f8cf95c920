package signature

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strings"
)

// The presets of this file are checked with a public key, which is the connection's signing_secret.

func join(list [][]byte) []byte {
	var all []byte
	for _, p := range list {
		all = append(all, p...)
	}
	return all
}

func matchEd25519(key []byte, c claim) bool {
	if len(key) != ed25519.PublicKeySize {
		return false
	}
	match := false
	message := join(c.signed[0])
	for _, sig := range c.given {
		if len(sig) == ed25519.SignatureSize && ed25519.Verify(key, message, sig) {
			match = true
		}
	}
	return match
}

// discord: discord.com/developers/docs, Interactions, Security and authorization.
var discord = func() family {
	f := timed("X-Signature-Ed25519", format{encoding: "hex"}, "X-Signature-Timestamp", "s", timeAndBody)
	written := format{encoding: "hex", size: ed25519.SignatureSize}
	f.read = func(r Request) (claim, error) {
		var c claim
		text, err := single(r.Header, "X-Signature-Ed25519")
		if err != nil {
			return c, err
		}
		timestamp, at, err := singleTime(r, "X-Signature-Timestamp", "s")
		if err != nil {
			return c, err
		}
		c.at, c.signed = at, timeAndBody(r, timestamp)
		c.given, err = written.read("X-Signature-Ed25519", text)
		return c, err
	}
	f.matches = func(secret string, c claim) bool {
		key, err := hex.DecodeString(secret)
		return err == nil && matchEd25519(key, c)
	}
	f.lacks = lacksKey("a public key of Discord: 64 hexadecimal digits", func(secret string) bool {
		key, err := hex.DecodeString(secret)
		return err == nil && len(key) == ed25519.PublicKeySize
	})
	return f
}()

func lacksKey(what string, usable func(string) bool) func(Secrets) string {
	return func(s Secrets) string {
		if lack := lacksSigning(s); lack != "" {
			return lack
		}
		for _, secret := range nonEmpty(s.Signing) {
			if !usable(secret) {
				return "the signing_secret of the connection is not " + what
			}
		}
		return ""
	}
}

const (
	sendgridHeader = "X-Twilio-Email-Event-Webhook-Signature"
	maxDER         = 72 // bytes of an ECDSA signature on P-256
)

// sendgrid: twilio.com/docs/sendgrid, Getting started with the Event Webhook security features.
var sendgrid = family{
	tolerance: defaultTolerance,
	lacks: lacksKey("the verification key of SendGrid (base64)", func(secret string) bool {
		return sendgridKey(secret) != nil
	}),
	read: func(r Request) (claim, error) {
		var c claim
		text, err := single(r.Header, sendgridHeader)
		if err != nil {
			return c, err
		}
		timestamp, at, err := singleTime(r, "X-Twilio-Email-Event-Webhook-Timestamp", "s")
		if err != nil {
			return c, err
		}
		sig, err := decoders["base64"](text)
		if err != nil || len(sig) > maxDER {
			return c, refuse(Malformed, "the header %s holds no signature that can be read", sendgridHeader)
		}
		return claim{at: at, given: [][]byte{sig}, signed: timeAndBody(r, timestamp)}, nil
	},
	matches: func(secret string, c claim) bool {
		key := sendgridKey(secret)
		if key == nil {
			return false
		}
		sum := sha256.Sum256(join(c.signed[0]))
		return ecdsa.VerifyASN1(key, sum[:], c.given[0])
	},
}

// sendgridKey reads a public key on P-256: base64 of its DER form, with or without the lines of PEM.
func sendgridKey(text string) *ecdsa.PublicKey {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil
		}
		der = block.Bytes
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil
	}
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil
	}
	return key
}

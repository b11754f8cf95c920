package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Answer is what a provider is told instead of 202. It is sent as it is, under the sandbox of every hook.
type Answer struct {
	Status int
	Type   string // Content-Type; empty: there is no body
	Body   []byte
	Header map[string]string // further headers
}

// Answers reports whether the scheme answers calls that are no events, with whatever method.
func (v *Verifier) Answers() bool { return v.scheme.preset }

// Probe answers what a provider sends unsigned, when it checks an address. nil, nil: the call is none of these. An
// error is a refusal. The answer tells nothing that the caller did not send, but that the address exists.
func (v *Verifier) Probe(r Request, s Secrets) (*Answer, error) {
	if !v.scheme.preset {
		return nil, nil
	}
	if r.Method == http.MethodHead {
		return &Answer{Status: http.StatusOK}, nil
	}
	if v.scheme.probe == nil {
		return nil, nil
	}
	return v.scheme.probe(r, s)
}

// Handshake answers what a provider sends signed and is no event; nil: it is one. The call has passed Verify. body
// is the decoded body.
func (v *Verifier) Handshake(r Request, body any) *Answer {
	if v.scheme.handshake == nil {
		return nil
	}
	return v.scheme.handshake(r, body)
}

// Accepted is what the provider is told about an event that is durable; nil: 202 with run, the JSON text that every
// other caller gets.
func (v *Verifier) Accepted(r Request, body any, run []byte) *Answer {
	if v.scheme.answer == nil {
		return nil
	}
	return v.scheme.answer(r, body, run)
}

func ok(_ Request, _ any, run []byte) *Answer {
	return &Answer{Status: http.StatusOK, Type: "application/json", Body: run}
}

// maxEcho bounds a challenge that is sent back, in bytes.
const maxEcho = 512

// echoable reports whether a challenge may be sent back: nothing in it is markup in any language.
func echoable(s string) bool {
	if s == "" || len(s) > maxEcho {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._~+/=-", c) >= 0) {
			return false
		}
	}
	return true
}

func echo(challenge string) *Answer {
	if !echoable(challenge) {
		return &Answer{Status: http.StatusBadRequest, Type: "text/plain; charset=utf-8", Body: []byte("the challenge is not one that is sent back\n")}
	}
	return &Answer{Status: http.StatusOK, Type: "text/plain; charset=utf-8", Body: []byte(challenge)}
}

// query reads the query of the call, where each name may stand once.
func query(r Request) (map[string]string, bool) {
	_, raw, _ := strings.Cut(r.URL, "?")
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, false
	}
	q := make(map[string]string, len(values))
	for name, list := range values {
		if len(list) != 1 {
			return nil, false
		}
		q[name] = list[0]
	}
	return q, true
}

// metaProbe: developers.facebook.com, Webhooks, Verification requests.
func metaProbe(r Request, s Secrets) (*Answer, error) {
	if r.Method != http.MethodGet {
		return nil, nil
	}
	q, ok := query(r)
	if !ok || q["hub.mode"] != "subscribe" {
		return nil, refuse(Missing, "the call is not signed, and it is no verification of the address")
	}
	tokens := nonEmpty(s.VerifyTokens)
	if len(tokens) == 0 {
		return nil, refuse(NoSecret, "the connection has no verify_token")
	}
	if !oneOf(q["hub.verify_token"], tokens) {
		return nil, refuse(Mismatch, "hub.verify_token is not the verify_token of the connection")
	}
	return echo(q["hub.challenge"]), nil
}

// crc proves to X that we hold the secret. Anyone can ask for it, so the token must not be something that X could
// send as a body: see xSignature. docs.x.com, Challenge-response checks.
func crc(r Request, s Secrets) (*Answer, error) {
	if r.Method != http.MethodGet {
		return nil, nil
	}
	q, ok := query(r)
	if !ok || q["crc_token"] == "" {
		return nil, refuse(Missing, "the call is not signed, and it is no challenge-response check")
	}
	secrets := nonEmpty(s.Signing)
	if len(secrets) == 0 {
		return nil, refuse(NoSecret, "the connection has no signing_secret")
	}
	if !echoable(q["crc_token"]) {
		return nil, refuse(Malformed, "crc_token is not one that is answered")
	}
	mac := hmac.New(sha256.New, []byte(secrets[0]))
	mac.Write([]byte(q["crc_token"]))
	return jsonAnswer(map[string]any{"response_token": "sha256=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))}), nil
}

// sslCheck answers Slack's look at the certificate, which is not signed: it says nothing but 200.
func sslCheck(r Request, _ Secrets) (*Answer, error) {
	isForm := strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	if r.Method == http.MethodPost && isForm && len(r.Body) <= maxEcho && len(r.Header["X-Slack-Signature"]) == 0 {
		if form, err := url.ParseQuery(string(r.Body)); err == nil && form.Get("ssl_check") == "1" {
			return &Answer{Status: http.StatusOK}, nil
		}
	}
	return nil, nil
}

func slackChallenge(_ Request, body any) *Answer {
	fields, _ := body.(map[string]any)
	switch {
	case fields["type"] == "url_verification":
		return echo(value.Text(fields["challenge"]))
	case fields["ssl_check"] == "1":
		return &Answer{Status: http.StatusOK}
	}
	return nil
}

// slackAnswer: what is said to a command or a button is shown in Slack, so it is nothing.
func slackAnswer(r Request, body any, run []byte) *Answer {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return &Answer{Status: http.StatusOK}
	}
	return ok(r, body, run)
}

func twitchChallenge(r Request, body any) *Answer {
	switch r.Header.Get("Twitch-Eventsub-Message-Type") {
	case "webhook_callback_verification":
		fields, _ := body.(map[string]any)
		return echo(value.Text(fields["challenge"]))
	case "revocation":
		return &Answer{Status: http.StatusNoContent}
	}
	return nil
}

// Interactions and events of Discord both have a number as their type. An event has the key event too.
func discordType(body any) (kind string, isEvent bool) {
	fields, _ := body.(map[string]any)
	_, isEvent = fields["event"]
	return value.Text(fields["type"]), isEvent
}

func discordPing(_ Request, body any) *Answer {
	switch kind, isEvent := discordType(body); {
	case kind == "1" && !isEvent:
		return jsonAnswer(map[string]any{"type": 1})
	case kind == "0":
		return &Answer{Status: http.StatusNoContent}
	}
	return nil
}

// discordAnswer: an interaction wants an answer within 3 s, which is that one will follow.
func discordAnswer(_ Request, body any, _ []byte) *Answer {
	kind, isEvent := discordType(body)
	switch {
	case isEvent:
		return &Answer{Status: http.StatusNoContent}
	case kind == "3": // a button or a menu: the message stays as it is
		return jsonAnswer(map[string]any{"type": 6})
	case kind == "4": // autocomplete
		return jsonAnswer(map[string]any{"type": 8, "data": map[string]any{"choices": []any{}}})
	}
	return jsonAnswer(map[string]any{"type": 5})
}

// twiml: a call or a message is answered with what to do, which is nothing.
func twiml(r Request, body any, run []byte) *Answer {
	if strings.Contains(r.URL, bodyHashParam+"=") {
		return ok(r, body, run)
	}
	return &Answer{Status: http.StatusOK, Type: "text/xml; charset=utf-8", Body: []byte("<Response/>")}
}

func jsonAnswer(v map[string]any) *Answer {
	body, err := json.Marshal(v)
	if err != nil {
		return &Answer{Status: http.StatusInternalServerError} // plain values: it cannot be
	}
	return &Answer{Status: http.StatusOK, Type: "application/json", Body: body}
}

// equalText compares two texts whose length is no secret.
func equalText(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

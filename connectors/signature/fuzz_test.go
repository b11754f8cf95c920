package signature_test

import (
	"crypto/hmac"
	"crypto/sha1" // Intercom and Twilio have it
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
)

// call is what a fuzzer changes of a request.
type call struct{ sig, timestamp, id, body string }

// reference says in the plainest way whether a scheme accepts a call: it writes down the one header that is right and
// compares texts.
type reference struct {
	secret        string
	sig, time, id string // names of headers
	accepts       func(c call) bool
	good          func(body string) call
	contentType   string
}

const fuzzSecret = "correct horse"

func soon(text string, tolerance int64) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && text[0] != '+' && text[0] != '-' && n >= now.Unix()-tolerance && n <= now.Unix()+tolerance
}

func overBody(header, prefix string, sum func(body string) []byte, isHex bool) reference {
	write := asB64
	if isHex {
		write = asHex
	}
	return reference{
		secret: fuzzSecret, sig: header,
		good: func(body string) call { return call{sig: prefix + write(sum(body)), body: body} },
		accepts: func(c call) bool {
			text, ok := strings.CutPrefix(strings.TrimSpace(c.sig), prefix)
			if isHex {
				text = strings.ToLower(text)
			}
			return ok && text == write(sum(c.body))
		},
	}
}

func stampedReference(header, separator, timeKey, key, join string, tolerance int64) reference {
	sign := func(t, body string) string { return asHex(mac(sha256.New, fuzzSecret, t+join+body)) }
	return reference{
		secret: fuzzSecret, sig: header,
		good: func(body string) call {
			t := strconv.FormatInt(now.Unix(), 10)
			return call{sig: timeKey + "=" + t + separator + key + "=" + sign(t, body), body: body}
		},
		accepts: func(c call) bool {
			items := strings.Split(c.sig, separator)
			var times, sigs []string
			for _, item := range items {
				item = strings.TrimSpace(item)
				if t, ok := strings.CutPrefix(item, timeKey+"="); ok {
					times = append(times, t)
				}
				if s, ok := strings.CutPrefix(item, key+"="); ok {
					sigs = append(sigs, strings.ToLower(s))
				}
			}
			return len(items) <= 100 && len(times) == 1 && soon(times[0], tolerance) && slices.Contains(sigs, sign(times[0], c.body))
		},
	}
}

func references() map[string]reference {
	sum256 := func(body string) []byte { return mac(sha256.New, fuzzSecret, body) }
	slack := func(t, body string) string { return "v0=" + asHex(mac(sha256.New, fuzzSecret, "v0:"+t+":"+body)) }
	twitch := func(id, t, body string) string { return "sha256=" + asHex(mac(sha256.New, fuzzSecret, id+t+body)) }
	unix := strconv.FormatInt(now.Unix(), 10)
	iso := now.Format(time.RFC3339)
	soonISO := func(text string, tolerance time.Duration) bool {
		at, err := time.Parse(time.RFC3339Nano, text)
		return err == nil && !at.Before(now.Add(-tolerance)) && !at.After(now.Add(tolerance))
	}
	standardKey := "whsec_" + asB64([]byte(fuzzSecret))
	standard := func(id, t, body string) string { return "v1," + asB64(mac(sha256.New, fuzzSecret, id+"."+t+"."+body)) }
	lowerAfter := func(text, prefix string) string {
		rest, ok := strings.CutPrefix(text, prefix)
		if !ok {
			return text
		}
		return prefix + strings.ToLower(rest)
	}
	x := overBody("x-twitter-webhooks-signature", "sha256=", sum256, false)
	anyX := x.accepts
	x.accepts = func(c call) bool { return strings.HasPrefix(strings.TrimLeft(c.body, " \t\r\n"), "{") && anyX(c) }
	square := overBody("x-square-hmacsha256-signature", "", func(body string) []byte { return mac(sha256.New, fuzzSecret, hookURL+body) }, false)
	return map[string]reference{
		"github":       overBody("X-Hub-Signature-256", "sha256=", sum256, true),
		"meta":         overBody("X-Hub-Signature-256", "sha256=", sum256, true),
		"x":            x,
		"typeform":     overBody("Typeform-Signature", "sha256=", sum256, false),
		"intercom":     overBody("X-Hub-Signature", "sha1=", func(body string) []byte { return mac(sha1.New, fuzzSecret, body) }, true),
		"lemonsqueezy": overBody("X-Signature", "", sum256, true),
		"shopify":      overBody("X-Shopify-Hmac-Sha256", "", sum256, false),
		"docusign":     overBody("X-DocuSign-Signature-7", "", sum256, false),
		"square":       square,
		"stripe":       stampedReference("Stripe-Signature", ",", "t", "v1", ".", 300),
		"calendly":     stampedReference("Calendly-Webhook-Signature", ",", "t", "v1", ".", 180),
		"paddle":       stampedReference("Paddle-Signature", ";", "ts", "h1", ":", 300),
		"slack": {
			secret: fuzzSecret, sig: "X-Slack-Signature", time: "X-Slack-Request-Timestamp",
			good: func(body string) call { return call{sig: slack(unix, body), timestamp: unix, body: body} },
			accepts: func(c call) bool {
				return soon(c.timestamp, 300) && lowerAfter(strings.TrimSpace(c.sig), "v0=") == slack(c.timestamp, c.body)
			},
		},
		"twitch": {
			secret: fuzzSecret, sig: "Twitch-Eventsub-Message-Signature", time: "Twitch-Eventsub-Message-Timestamp", id: "Twitch-Eventsub-Message-Id",
			good: func(body string) call { return call{twitch("i", iso, body), iso, "i", body} },
			accepts: func(c call) bool {
				return strings.TrimSpace(c.id) != "" && soonISO(c.timestamp, 10*time.Minute) &&
					lowerAfter(strings.TrimSpace(c.sig), "sha256=") == twitch(c.id, c.timestamp, c.body)
			},
		},
		"zendesk": {
			secret: fuzzSecret, sig: "X-Zendesk-Webhook-Signature", time: "X-Zendesk-Webhook-Signature-Timestamp",
			good: func(body string) call {
				return call{sig: asB64(mac(sha256.New, fuzzSecret, iso+body)), timestamp: iso, body: body}
			},
			accepts: func(c call) bool {
				return soonISO(c.timestamp, 5*time.Minute) && strings.TrimSpace(c.sig) == asB64(mac(sha256.New, fuzzSecret, c.timestamp+c.body))
			},
		},
		"standard_webhooks": {
			secret: standardKey, sig: "Webhook-Signature", time: "Webhook-Timestamp", id: "Webhook-Id",
			good: func(body string) call { return call{standard("i", unix, body), unix, "i", body} },
			accepts: func(c call) bool {
				items := strings.Split(c.sig, " ")
				return len(items) <= 100 && strings.TrimSpace(c.id) != "" && soon(c.timestamp, 300) && slices.Contains(items, standard(c.id, c.timestamp, c.body))
			},
		},
		"hubspot": {
			secret: fuzzSecret, sig: "X-HubSpot-Signature-v3", time: "X-HubSpot-Request-Timestamp",
			good: func(body string) call {
				return call{sig: asB64(mac(sha256.New, fuzzSecret, "POST"+hookURL+body+unix+"000")), timestamp: unix + "000", body: body}
			},
			accepts: func(c call) bool {
				n, err := strconv.ParseInt(c.timestamp, 10, 64)
				return err == nil && c.timestamp[0] != '+' && n >= now.Add(-5*time.Minute).UnixMilli() && n <= now.Add(5*time.Minute).UnixMilli() &&
					strings.TrimSpace(c.sig) == asB64(mac(sha256.New, fuzzSecret, "POST"+hookURL+c.body+c.timestamp))
			},
		},
		"twilio": {
			secret: fuzzSecret, sig: "X-Twilio-Signature", contentType: "application/x-www-form-urlencoded",
			good: func(body string) call { return call{sig: twilioSignature(body), body: body} },
			accepts: func(c call) bool {
				_, err := url.ParseQuery(c.body)
				text := strings.TrimSpace(c.sig)
				return err == nil && (text == twilioSignature(c.body) || text == twilioAt(strings.Replace(hookURL, ".com/", ".com:443/", 1), c.body))
			},
		},
	}
}

func twilioSignature(body string) string { return twilioAt(hookURL, body) }

func twilioAt(address, body string) string {
	form, err := url.ParseQuery(body)
	if err != nil {
		return ""
	}
	var pairs []string
	for name, values := range form {
		for _, v := range values {
			pairs = append(pairs, name+"\x00"+v)
		}
	}
	// Names are sorted apart from values, so that a name that begins another one stays before it.
	slices.SortFunc(pairs, func(a, b string) int {
		an, av, _ := strings.Cut(a, "\x00")
		bn, bv, _ := strings.Cut(b, "\x00")
		if c := strings.Compare(an, bn); c != 0 {
			return c
		}
		return strings.Compare(av, bv)
	})
	text := address
	for _, p := range slices.Compact(pairs) {
		text += strings.Replace(p, "\x00", "", 1)
	}
	return asB64(mac(sha1.New, fuzzSecret, text))
}

// FuzzPresets: a call is accepted if and only if the reference of its scheme says so.
func FuzzPresets(f *testing.F) {
	refs := references()
	var names []string
	for _, s := range signature.Schemes() {
		if _, ok := refs[s.Name]; ok {
			names = append(names, s.Name)
		}
	}
	verifiers := map[string]*signature.Verifier{}
	for i, name := range names {
		v, err := signature.New(connectors.Verify{Scheme: name}, nil)
		if err != nil {
			f.Fatal(err)
		}
		verifiers[name] = v
		for _, body := range []string{`{"a":1}`, "a=1&b=2&a=0", ""} {
			c := refs[name].good(body)
			f.Add(uint8(i), c.sig, c.timestamp, c.id, body)
			f.Add(uint8(i), strings.ToUpper(c.sig), c.timestamp, c.id, body)
			f.Add(uint8(i), c.sig+","+c.sig, c.timestamp, c.id+" ", body+" ")
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, sig, timestamp, id, body string) {
		name := names[int(which)%len(names)]
		ref := refs[name]
		c := call{sig, timestamp, id, body}
		want := strings.TrimSpace(sig) != "" && ref.accepts(c)
		h := http.Header{}
		for key, v := range map[string]string{ref.sig: sig, ref.time: timestamp, ref.id: id} {
			if key != "" {
				h.Set(key, v)
			}
		}
		h.Set("Content-Type", ref.contentType)
		r := signature.Request{Method: "POST", URL: hookURL, Header: h, Body: []byte(body), Now: now}
		err := verifiers[name].Verify(t.Context(), r, signature.Secrets{Signing: []string{ref.secret}})
		if (err == nil) != want {
			t.Errorf("%s: verify says %v, the reference %t\n%v\n%q", name, err, want, h, body)
		}
	})
}

// BenchmarkVerify is the check of a signed body of 2 KiB, and as the metric x-bare how much longer it takes than
// computing the bare MAC.
func BenchmarkVerify(b *testing.B) {
	body := []byte(`{"data":"` + strings.Repeat("x", 2048) + `"}`)
	const rounds = 20_000
	begun := time.Now()
	for range rounds {
		m := hmac.New(sha256.New, []byte(fuzzSecret))
		m.Write(body)
		hex.EncodeToString(m.Sum(nil))
	}
	bare := float64(time.Since(begun).Nanoseconds()) / rounds
	refs := references()
	for _, name := range []string{"github", "stripe", "slack", "shopify", "standard_webhooks"} {
		b.Run(name, func(b *testing.B) {
			v, err := signature.New(connectors.Verify{Scheme: name}, nil)
			if err != nil {
				b.Fatal(err)
			}
			c := refs[name].good(string(body))
			h := http.Header{}
			for key, text := range map[string]string{refs[name].sig: c.sig, refs[name].time: c.timestamp, refs[name].id: c.id} {
				if key != "" {
					h.Set(key, text)
				}
			}
			r := signature.Request{Method: "POST", URL: hookURL, Header: h, Body: body, Now: now}
			s := signature.Secrets{Signing: []string{refs[name].secret}}
			b.ReportAllocs()
			for b.Loop() {
				if err := v.Verify(b.Context(), r, s); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/bare, "x-bare")
		})
	}
}

package signature_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" // a scheme uses it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
)

var now = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func reasonOf(err error) signature.Reason {
	var e *signature.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

func mustNew(t *testing.T, c connectors.Verify) *signature.Verifier {
	t.Helper()
	v, err := signature.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVectors checks signatures that others have published, and that one changed byte refuses each of them.
func TestVectors(t *testing.T) {
	src, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Source, Secret, Body string
		Now                        time.Time
		Headers                    map[string]string
		Config                     struct {
			Scheme, Header, Algorithm, Encoding, Prefix, Separator, Signed string
			TimestampHeader                                                string `json:"timestamp_header"`
			TimestampUnit                                                  string `json:"timestamp_unit"`
			IDHeader                                                       string `json:"id_header"`
		}
	}
	if err := json.Unmarshal(src, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, tt := range vectors {
		t.Run(tt.Name, func(t *testing.T) {
			c := tt.Config
			v := mustNew(t, connectors.Verify{
				Scheme: c.Scheme, Header: c.Header, Algorithm: c.Algorithm, Encoding: c.Encoding, Prefix: c.Prefix,
				Separator: c.Separator, Signed: c.Signed, TimestampHeader: c.TimestampHeader, TimestampUnit: c.TimestampUnit, IDHeader: c.IDHeader,
			})
			h := http.Header{}
			for name, value := range tt.Headers {
				h.Set(name, value)
			}
			r := signature.Request{Method: "POST", Header: h, Body: []byte(tt.Body), Now: tt.Now}
			s := signature.Secrets{Signing: []string{tt.Secret}}
			if err := v.Verify(t.Context(), r, s); err != nil {
				t.Errorf("refused: %v", err)
			}
			r.Body[len(r.Body)/2] ^= 1
			if got := reasonOf(v.Verify(t.Context(), r, s)); got != signature.Mismatch {
				t.Errorf("one changed bit: reason %q", got)
			}
		})
	}
}

// signer is the sending side, written apart from what is tested.
type signer struct {
	config connectors.Verify
	secret string
}

var hashes = map[string]func() hash.Hash{"": sha256.New, "sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

func (s signer) time(at time.Time) string {
	switch s.config.TimestampUnit {
	case "ms":
		return strconv.FormatInt(at.UnixMilli(), 10)
	case "rfc3339":
		return at.Format(time.RFC3339Nano)
	}
	return strconv.FormatInt(at.Unix(), 10)
}

func (s signer) sign(body string, at time.Time) http.Header {
	signed := s.config.Signed
	if signed == "" {
		signed = "{body}"
	}
	content := strings.NewReplacer("{timestamp}", s.time(at), "{id}", "evt_1", "{url}", "https://bell.example.com/hooks/a?b=c", "{method}", "POST", "{body}", body).Replace(signed)
	mac := hmac.New(hashes[s.config.Algorithm], []byte(s.secret))
	mac.Write([]byte(content))
	sum := mac.Sum(nil)
	text := hex.EncodeToString(sum)
	switch s.config.Encoding {
	case "base64":
		text = base64.StdEncoding.EncodeToString(sum)
	case "base64url":
		text = base64.RawURLEncoding.EncodeToString(sum)
	}
	h := http.Header{}
	h.Set(s.config.Header, s.config.Prefix+text)
	if s.config.TimestampHeader != "" {
		h.Set(s.config.TimestampHeader, s.time(at))
	}
	if s.config.IDHeader != "" {
		h.Set(s.config.IDHeader, "evt_1")
	}
	return h
}

// respell changes the last bits of a base64 text, which decode to nothing.
func respell(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	unpadded := strings.TrimRight(text, "=")
	last := len(unpadded) - 1
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		want, err := encoding.DecodeString(unpadded[strings.LastIndexByte(unpadded, ',')+1:])
		for _, c := range alphabet {
			other := unpadded[:last] + string(c)
			got, otherErr := encoding.DecodeString(other[strings.LastIndexByte(other, ',')+1:])
			if err == nil && otherErr == nil && other != unpadded && bytes.Equal(got, want) {
				return other + text[len(unpadded):]
			}
		}
	}
	return text
}

// TestHMACMatrix runs each way of configuring hmac through each way of getting a call wrong.
func TestHMACMatrix(t *testing.T) {
	configs := map[string]connectors.Verify{
		"plain hex":         {Header: "X-Signature"},
		"sha1 prefix":       {Header: "X-Hub-Signature", Algorithm: "sha1", Prefix: "sha1="},
		"sha384 base64":     {Header: "X-Sig", Algorithm: "sha384", Encoding: "base64"},
		"sha512 base64url":  {Header: "X-Sig", Algorithm: "sha512", Encoding: "base64url"},
		"timestamp":         {Header: "X-Sig", Signed: "{timestamp}.{body}", TimestampHeader: "X-Time"},
		"timestamp ms":      {Header: "X-Sig", Signed: "v0:{timestamp}:{body}", TimestampHeader: "X-Time", TimestampUnit: "ms"},
		"timestamp rfc3339": {Header: "X-Sig", Signed: "{timestamp}{body}", TimestampHeader: "X-Time", TimestampUnit: "rfc3339", Tolerance: time.Minute},
		"id and list":       {Header: "X-Sig", Signed: "{id}.{timestamp}.{body}", TimestampHeader: "X-Time", IDHeader: "X-Id", Separator: " ", Prefix: "v1,", Encoding: "base64"},
		"url and method":    {Header: "X-Sig", Signed: "{method}{url}{body}"},
	}
	const body = `{"total":129}`
	for name, config := range configs {
		config.Scheme = "hmac"
		v := mustNew(t, config)
		s := signer{config, "correct horse"}
		timed, listed, hexed := config.TimestampHeader != "", config.Separator != "", config.Encoding == ""
		tolerance := config.Tolerance
		if tolerance == 0 {
			tolerance = 5 * time.Minute
		}
		secrets := signature.Secrets{Signing: []string{"correct horse"}}
		request := func() signature.Request {
			return signature.Request{Method: "POST", URL: "https://bell.example.com/hooks/a?b=c", Header: s.sign(body, now), Body: []byte(body), Now: now}
		}
		text := request().Header.Get(config.Header)
		cases := []struct {
			name   string
			change func(*signature.Request, *signature.Secrets)
			want   signature.Reason
			skip   bool
		}{
			{"ok", func(*signature.Request, *signature.Secrets) {}, "", false},
			{"tampered body", func(r *signature.Request, _ *signature.Secrets) { r.Body[3] ^= 1 }, signature.Mismatch, false},
			{"longer body", func(r *signature.Request, _ *signature.Secrets) { r.Body = append(r.Body, '\n') }, signature.Mismatch, false},
			{"empty body", func(r *signature.Request, _ *signature.Secrets) { r.Body = nil }, signature.Mismatch, false},
			{"wrong secret", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{"wrong horse"} }, signature.Mismatch, false},
			{"no secret", func(_ *signature.Request, s *signature.Secrets) { s.Signing = nil }, signature.NoSecret, false},
			{"empty secret", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{""} }, signature.NoSecret, false},
			{"rotated, new first", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{"next", "correct horse"} }, "", false},
			{"rotated, old first", func(_ *signature.Request, s *signature.Secrets) { s.Signing = []string{"correct horse", "next"} }, "", false},
			{"missing", func(r *signature.Request, _ *signature.Secrets) { r.Header.Del(config.Header) }, signature.Missing, false},
			{"empty", func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(config.Header, "") }, signature.Missing, false},
			{"blank", func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(config.Header, "  ") }, signature.Missing, false},
			{"prefix alone", func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(config.Header, config.Prefix) }, signature.Malformed, config.Prefix == ""},
			{"no prefix", func(r *signature.Request, _ *signature.Secrets) {
				r.Header.Set(config.Header, strings.TrimPrefix(text, config.Prefix))
			}, signature.Malformed, config.Prefix == ""},
			{"other prefix", func(r *signature.Request, _ *signature.Secrets) {
				r.Header.Set(config.Header, "v9="+strings.TrimPrefix(text, config.Prefix))
			}, signature.Malformed, false},
			{"truncated", func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(config.Header, text[:len(text)-8]) }, signature.Malformed, false},
			{"one byte", func(r *signature.Request, _ *signature.Secrets) {
				r.Header.Set(config.Header, text[:len(config.Prefix)+2])
			}, signature.Malformed, false},
			{"longer", func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(config.Header, text+"00") }, signature.Malformed, false},
			{"garbage", func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(config.Header, "%%%\x00\xff💥") }, signature.Malformed, false},
			{"line break inside", func(r *signature.Request, _ *signature.Secrets) {
				r.Header[http.CanonicalHeaderKey(config.Header)] = []string{text[:len(text)-4] + "\r\n" + text[len(text)-4:]}
			}, signature.Malformed, false},
			{"upper case", func(r *signature.Request, _ *signature.Secrets) {
				r.Header.Set(config.Header, config.Prefix+strings.ToUpper(strings.TrimPrefix(text, config.Prefix)))
			}, "", !hexed},
			{"other spelling", func(r *signature.Request, _ *signature.Secrets) {
				r.Header.Set(config.Header, respell(text))
			}, signature.Malformed, respell(text) == text},
			{"sent twice", func(r *signature.Request, _ *signature.Secrets) { r.Header.Add(config.Header, text) }, signature.Repeated, false},
			{"second of a list", func(r *signature.Request, _ *signature.Secrets) {
				r.Header.Set(config.Header, strings.Join([]string{"v0,old", config.Prefix + base64.StdEncoding.EncodeToString(make([]byte, 32)), text}, config.Separator))
			}, "", !listed},
			{"endless list", func(r *signature.Request, _ *signature.Secrets) {
				r.Header.Set(config.Header, strings.Repeat("x"+config.Separator, 1000)+text)
			}, signature.Malformed, !listed},
			{"list where there is none", func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(config.Header, text+","+text) }, signature.Malformed, listed},
			{"just in time", func(r *signature.Request, _ *signature.Secrets) { r.Now = now.Add(tolerance) }, "", !timed},
			{"just not yet", func(r *signature.Request, _ *signature.Secrets) { r.Now = now.Add(-tolerance) }, "", !timed},
			{"expired", func(r *signature.Request, _ *signature.Secrets) { r.Now = now.Add(tolerance + time.Second) }, signature.TooOld, !timed},
			{"future", func(r *signature.Request, _ *signature.Secrets) { r.Now = now.Add(-tolerance - time.Second) }, signature.FromFuture, !timed},
			{"moved time", func(r *signature.Request, _ *signature.Secrets) {
				r.Now = now.Add(time.Hour)
				r.Header.Set(config.TimestampHeader, s.time(r.Now))
			}, signature.Mismatch, !timed},
			{"no time", func(r *signature.Request, _ *signature.Secrets) { r.Header.Del(config.TimestampHeader) }, signature.NoTime, !timed},
			{"time twice", func(r *signature.Request, _ *signature.Secrets) { r.Header.Add(config.TimestampHeader, s.time(now)) }, signature.Repeated, !timed},
			{"bad time", func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(config.TimestampHeader, "-1") }, signature.NoTime, !timed},
			{"endless time", func(r *signature.Request, _ *signature.Secrets) {
				r.Header.Set(config.TimestampHeader, strings.Repeat("9", 400))
			}, signature.NoTime, !timed},
			{"other id", func(r *signature.Request, _ *signature.Secrets) { r.Header.Set(config.IDHeader, "evt_2") }, signature.Mismatch, config.IDHeader == ""},
			{"no id", func(r *signature.Request, _ *signature.Secrets) { r.Header.Del(config.IDHeader) }, signature.NoID, config.IDHeader == ""},
			{"id twice", func(r *signature.Request, _ *signature.Secrets) { r.Header.Add(config.IDHeader, "evt_1") }, signature.Repeated, config.IDHeader == ""},
			{"other url", func(r *signature.Request, _ *signature.Secrets) { r.URL += "&d=e" }, signature.Mismatch, !strings.Contains(config.Signed, "{url}")},
			{"other method", func(r *signature.Request, _ *signature.Secrets) { r.Method = "PUT" }, signature.Mismatch, !strings.Contains(config.Signed, "{method}")},
		}
		for _, tt := range cases {
			if tt.skip {
				continue
			}
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				r, s := request(), secrets
				tt.change(&r, &s)
				err := v.Verify(t.Context(), r, s)
				if got := reasonOf(err); got != tt.want || (err != nil) != (tt.want != "") {
					t.Errorf("got %q (%v), want %q", got, err, tt.want)
				}
				if err != nil && (strings.Contains(err.Error(), "horse") || strings.Contains(err.Error(), text)) {
					t.Errorf("the reason tells a secret: %v", err)
				}
			})
		}
	}
}

func TestTokens(t *testing.T) {
	basic := func(s string) []string { return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(s))} }
	full := signature.Secrets{Username: "ada", Passwords: []string{"pa:ss", "next"}, Tokens: []string{"tok-1", "tok-2"}}
	cases := []struct {
		name    string
		config  connectors.Verify
		secrets signature.Secrets
		header  string
		values  []string
		want    signature.Reason
	}{
		{"basic ok", connectors.Verify{Scheme: "basic"}, full, "Authorization", basic("ada:pa:ss"), ""},
		{"basic rotated", connectors.Verify{Scheme: "basic"}, full, "Authorization", basic("ada:next"), ""},
		{"basic, any case", connectors.Verify{Scheme: "basic"}, full, "Authorization", []string{strings.Replace(basic("ada:next")[0], "Basic", "bASIC", 1)}, ""},
		{"basic wrong password", connectors.Verify{Scheme: "basic"}, full, "Authorization", basic("ada:pa"), signature.Mismatch},
		{"basic wrong user", connectors.Verify{Scheme: "basic"}, full, "Authorization", basic("bob:next"), signature.Mismatch},
		{"basic empty", connectors.Verify{Scheme: "basic"}, full, "Authorization", basic(":"), signature.Mismatch},
		{"basic no colon", connectors.Verify{Scheme: "basic"}, full, "Authorization", basic("ada"), signature.Malformed},
		{"basic not base64", connectors.Verify{Scheme: "basic"}, full, "Authorization", []string{"Basic ???"}, signature.Malformed},
		{"basic as bearer", connectors.Verify{Scheme: "basic"}, full, "Authorization", []string{"Bearer tok-1"}, signature.Malformed},
		{"basic missing", connectors.Verify{Scheme: "basic"}, full, "X", nil, signature.Missing},
		{"basic twice", connectors.Verify{Scheme: "basic"}, full, "Authorization", append(basic("ada:next"), basic("ada:next")...), signature.Repeated},
		{"basic without user", connectors.Verify{Scheme: "basic"}, signature.Secrets{Passwords: []string{"x"}}, "Authorization", basic(":x"), signature.NoSecret},
		{"basic without password", connectors.Verify{Scheme: "basic"}, signature.Secrets{Username: "ada", Passwords: []string{""}}, "Authorization", basic("ada:"), signature.NoSecret},
		{"bearer ok", connectors.Verify{Scheme: "bearer"}, full, "Authorization", []string{"Bearer tok-2"}, ""},
		{"bearer wrong", connectors.Verify{Scheme: "bearer"}, full, "Authorization", []string{"Bearer tok-"}, signature.Mismatch},
		{"bearer empty", connectors.Verify{Scheme: "bearer"}, full, "Authorization", []string{"Bearer "}, signature.Mismatch},
		{"bearer alone", connectors.Verify{Scheme: "bearer"}, full, "Authorization", []string{"Bearer"}, signature.Malformed},
		{"bearer without token", connectors.Verify{Scheme: "bearer"}, signature.Secrets{}, "Authorization", []string{"Bearer "}, signature.NoSecret},
		{"header ok", connectors.Verify{Scheme: "header", Header: "X-Token"}, full, "X-Token", []string{"tok-1"}, ""},
		{"header prefix", connectors.Verify{Scheme: "header", Header: "X-Token", Prefix: "key "}, full, "X-Token", []string{"key tok-1"}, ""},
		{"header no prefix", connectors.Verify{Scheme: "header", Header: "X-Token", Prefix: "key "}, full, "X-Token", []string{"tok-1"}, signature.Malformed},
		{"header wrong", connectors.Verify{Scheme: "header", Header: "X-Token"}, full, "X-Token", []string{"tok-1,tok-1"}, signature.Mismatch},
		{"header empty", connectors.Verify{Scheme: "header", Header: "X-Token"}, full, "X-Token", []string{""}, signature.Missing},
		{"header twice", connectors.Verify{Scheme: "header", Header: "X-Token"}, full, "X-Token", []string{"tok-1", "tok-1"}, signature.Repeated},
		{"header without token", connectors.Verify{Scheme: "header", Header: "X-Token"}, signature.Secrets{Tokens: []string{""}}, "X-Token", []string{""}, signature.NoSecret},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			v := mustNew(t, tt.config)
			h := http.Header{}
			if tt.values != nil {
				h[tt.header] = tt.values
			}
			err := v.Verify(t.Context(), signature.Request{Method: "POST", Header: h, Now: now}, tt.secrets)
			if got := reasonOf(err); got != tt.want || (err != nil) != (tt.want != "") {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

func TestBadConfig(t *testing.T) {
	for want, c := range map[string]connectors.Verify{
		"no scheme":           {Scheme: "hmca"},
		"header is missing":   {Scheme: "hmac"},
		"not a header name":   {Scheme: "hmac", Header: "X Sig"},
		"algorithm":           {Scheme: "hmac", Header: "X", Algorithm: "md5"},
		"encoding":            {Scheme: "hmac", Header: "X", Encoding: "base32"},
		"no {body}":           {Scheme: "hmac", Header: "X", Signed: "{method}"},
		"no {when}":           {Scheme: "hmac", Header: "X", Signed: "{when}{body}"},
		"not closed":          {Scheme: "hmac", Header: "X", Signed: "{body}{"},
		"timestamp_header":    {Scheme: "hmac", Header: "X", Signed: "{timestamp}{body}"},
		"not signed":          {Scheme: "hmac", Header: "X", TimestampHeader: "T"},
		"id_header is":        {Scheme: "hmac", Header: "X", Signed: "{id}{body}"},
		"no {id}":             {Scheme: "hmac", Header: "X", IDHeader: "I"},
		"timestamp_unit":      {Scheme: "hmac", Header: "X", Signed: "{timestamp}{body}", TimestampHeader: "T", TimestampUnit: "h"},
		"negative":            {Scheme: "hmac", Header: "X", Signed: "{timestamp}{body}", TimestampHeader: "T", Tolerance: -1},
		"prefix has no":       {Scheme: "bearer", Prefix: "x"},
		"replay_guard has no": {Scheme: "basic", ReplayGuard: true},
		"scheme header: head": {Scheme: "header"},
	} {
		if _, err := signature.New(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestReplayKey(t *testing.T) {
	config := connectors.Verify{Scheme: "hmac", Header: "X-Sig", ReplayGuard: true}
	v := mustNew(t, config)
	s := signer{config, "correct horse"}
	r := signature.Request{Header: s.sign("a", now), Body: []byte("a"), Now: now}
	key := v.ReplayKey(r)
	if key == "" {
		t.Fatal("no key")
	}
	r.Header.Set("X-Id", "another")
	r.Header.Set("X-Sig", strings.ToUpper(r.Header.Get("X-Sig")))
	if v.Verify(t.Context(), r, signature.Secrets{Signing: []string{"correct horse"}}) != nil || v.ReplayKey(r) != key {
		t.Error("a replay that is spelled differently has another key")
	}
	r.Body = []byte("b")
	if v.ReplayKey(r) == key {
		t.Error("another body has the same key")
	}
	config.ReplayGuard = false
	if mustNew(t, config).ReplayKey(r) != "" {
		t.Error("there is a key without replay_guard")
	}
}

// TestDeliveryIDs are ids that are not a field or a header by itself.
func TestDeliveryIDs(t *testing.T) {
	const hashed = "a hash"
	for _, tt := range []struct{ scheme, body, want string }{
		{"sendgrid", `[{"sg_event_id":"a"}]`, "a"},
		{"sendgrid", `[{"sg_event_id":"a"},{"sg_event_id":"b"}]`, hashed},
		{"sendgrid", `[{"sg_event_id":"a"},{}]`, ""},
		{"sendgrid", `[]`, ""},
		{"sendgrid", `7`, ""},
		{"hubspot", `[{"eventId":100}]`, "100"},
		{"meta", `{"entry":[{"changes":[{"value":{"messages":[{"id":"wamid.1"}]}}]}]}`, "wamid.1"},
		{"meta", `{"entry":[{"messaging":[{"message":{"mid":"m_1"}}]}]}`, "m_1"},
		{"meta", `{"entry":[{"messaging":[{"message":{"mid":"m_1"}},{"message":{"mid":"m_2"}}]}]}`, hashed},
		{"meta", `{"entry":[{"id":"1","time":2,"changes":[{"field":"feed","value":{}}]}]}`, hashed},
		{"meta", `{"entry":[]}`, ""},
		{"discord", `{"type":1,"event":{"type":"X"},"id":"1"}`, ""},
		{"slack", `{"payload":"{"}`, ""},
		{"stripe", `[1]`, ""},
		{"x", `{"id":1}`, ""},
	} {
		var body any
		if err := json.Unmarshal([]byte(tt.body), &body); err != nil {
			t.Fatal(err)
		}
		v := mustNew(t, connectors.Verify{Scheme: tt.scheme})
		r := signature.Request{Body: []byte(tt.body)}
		got := v.DeliveryID(r, body)
		if tt.want == hashed && len(got) != 64 || tt.want != hashed && got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.scheme, tt.body, got, tt.want)
		}
	}
	for scheme, want := range map[string]time.Duration{"github": 24 * time.Hour, "stripe": 96 * time.Hour, "hmac": 24 * time.Hour} {
		c := connectors.Verify{Scheme: scheme}
		if scheme == "hmac" {
			c.Header = "X"
		}
		if got := mustNew(t, c).Window(); got != want {
			t.Errorf("%s: the window is %s, want %s", scheme, got, want)
		}
	}
}

func TestSecretsOf(t *testing.T) {
	got := signature.SecretsOf(connectors.Connection{
		Fields:  map[string]any{"username": "ada"},
		Secrets: map[string]string{"signing_secret": "a", "signing_secret#2": "b", "password": "", "token": "t"},
	})
	if strings.Join(got.Signing, ",") != "a,b" || got.Username != "ada" || len(got.Passwords) != 0 || strings.Join(got.Tokens, ",") != "t" {
		t.Errorf("got %+v", got)
	}
}

// FuzzSigHeaders: a call is accepted if and only if a reference says so.
func FuzzSigHeaders(f *testing.F) {
	config := connectors.Verify{Scheme: "hmac", Header: "X-Sig", Prefix: "v1=", Separator: ",", Signed: "{timestamp}.{body}", TimestampHeader: "X-Time"}
	v, err := signature.New(config, nil)
	if err != nil {
		f.Fatal(err)
	}
	s := signer{config, "correct horse"}
	good := s.sign("body", now)
	f.Add(good.Get("X-Sig"), good.Get("X-Time"), []byte("body"))
	f.Add("v0=00,"+strings.ToUpper(good.Get("X-Sig")), good.Get("X-Time"), []byte("body"))
	f.Add("v0=00, "+good.Get("X-Sig"), good.Get("X-Time"), []byte("bodY"))
	f.Add("", "", []byte{})
	f.Fuzz(func(t *testing.T, header, timestamp string, body []byte) {
		want := false
		if n, err := strconv.ParseInt(timestamp, 10, 64); err == nil && timestamp[0] != '+' && n >= now.Unix()-300 && n <= now.Unix()+300 {
			mac := hmac.New(sha256.New, []byte("correct horse"))
			mac.Write([]byte(timestamp + "." + string(body)))
			sum := hex.EncodeToString(mac.Sum(nil))
			for _, item := range strings.Split(header, ",") {
				want = want || strings.HasPrefix(strings.TrimSpace(item), "v1=") && strings.ToLower(strings.TrimSpace(item)[3:]) == sum
			}
			want = want && strings.Count(header, ",") < 100
		}
		h := http.Header{"X-Sig": {header}, "X-Time": {timestamp}}
		err := v.Verify(t.Context(), signature.Request{Header: h, Body: body, Now: now}, signature.Secrets{Signing: []string{"correct horse"}})
		if (err == nil) != want {
			t.Errorf("verify says %v, the reference %t", err, want)
		}
	})
}

// TestQuery has the scheme of senders that sign nothing: the secret is in the address that they were given.
func TestQuery(t *testing.T) {
	v := mustNew(t, connectors.Verify{Scheme: "query"})
	if v.SecretParam() != "token" || v.SecretHeader() != "" {
		t.Errorf("the secret is in %q, %q", v.SecretParam(), v.SecretHeader())
	}
	secrets := signature.Secrets{Signing: []string{"old+1", "new"}, Tokens: []string{"api"}}
	for query, want := range map[string]signature.Reason{
		"?token=new": "", "?a=b&token=old%2B1": "", "?token=old+1": signature.Mismatch, "?token=": signature.Mismatch, "?token=ne": signature.Mismatch,
		"?token=api": signature.Mismatch, "": signature.Missing, "?Token=new": signature.Missing, "?token=new&token=new": signature.Repeated,
		"?token=new;x": signature.Malformed, "?token=%zz": signature.Malformed,
	} {
		err := v.Verify(t.Context(), signature.Request{Method: "POST", URL: "https://bell.example.com/hooks/a" + query, Header: http.Header{}, Now: now}, secrets)
		var got signature.Reason
		var refused *signature.Error
		if errors.As(err, &refused) {
			got = refused.Reason
		}
		if got != want {
			t.Errorf("%q: %q, want %q (%v)", query, got, want, err)
		}
	}
	if err := v.Ready(signature.Secrets{Tokens: []string{"api"}}); err == nil {
		t.Error("it works without a signing_secret")
	}
}

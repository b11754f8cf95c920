package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine/secret"
)

func redactor(values ...string) *secret.Redactor {
	r := &secret.Redactor{}
	r.Add(values...)
	return r
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// T-38: a canary in every form that an error, a log line or an answer may give it.
func TestEveryForm(t *testing.T) {
	canaries := []string{`sk_live_4eC39HqLyjWDarjt`, `p@ss/w+rd "q"<&>\é`, "line one\nline two\n", "abcdef", "ümläut-geheim"}
	r := redactor(canaries...)
	for _, c := range canaries {
		texts := map[string]string{
			"plain": c, "in words": "token " + c + " is wrong", "twice": c + c, "json": quoted(object(c)), "json in json": quoted(quoted(c)),
			"query": "?key=" + url.QueryEscape(c) + "&x=1", "path": "/v1/" + url.PathEscape(c) + "/x",
			"lower-case escapes": escapes.ReplaceAllStringFunc(url.QueryEscape(c), strings.ToLower),
			"hex":                hex.EncodeToString([]byte(c)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(c))),
			"trimmed": strings.TrimSpace(c),
		}
		for n := range 4 {
			plain := strings.Repeat("u", n) + c + ":"
			texts[fmt.Sprint("base64 after ", n)] = base64.StdEncoding.EncodeToString([]byte(plain))
			texts[fmt.Sprint("base64url after ", n)] = base64.RawURLEncoding.EncodeToString([]byte(plain))
		}
		for name, text := range texts {
			got := r.Text(text)
			if !strings.Contains(got, "[redacted]") || strings.Contains(got, strings.TrimSpace(c)) {
				t.Errorf("%q, %s: %q became %q", c, name, text, got)
			}
			if string(r.Bytes([]byte(text))) != got {
				t.Errorf("%q, %s: bytes and text differ", c, name)
			}
			if json.Valid([]byte(text)) && name != "HEX" && name != "hex" && !json.Valid(r.Bytes([]byte(text))) {
				t.Errorf("%q, %s: no longer JSON: %q", c, name, got)
			}
		}
	}
}

var escapes = regexp.MustCompile("%[0-9A-F]{2}")

// object is a JSON object as text, that is then quoted once more.
func object(c string) string { return `{"a":` + quoted(c) + `}` }

func TestText(t *testing.T) {
	r := redactor("secret-one", "secret-one-longer", "short", "", "aaaaaa")
	for in, want := range map[string]string{
		"":                          "",
		"short":                     "short", // five bytes protect nothing
		"nothing here at all":       "nothing here at all",
		"secret-one":                "[redacted]",
		"xsecret-one-longerx":       "x[redacted]x", // the longest wins
		"secret-onsecret-one":       "secret-on[redacted]",
		"secret-one secret-one":     "[redacted] [redacted]",
		"aaaaaaa":                   "[redacted]a",
		"secret-on":                 "secret-on",
		"ends with secret-on":       "ends with secret-on",
		"päss secret-one ✓":         "päss [redacted] ✓",
		strings.Repeat("aaaaaa", 3): strings.Repeat("[redacted]", 3),
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	var none secret.Redactor
	if none.Text("secret-one") != "secret-one" {
		t.Error("the zero Redactor changes text")
	}
}

func TestData(t *testing.T) {
	r := redactor("secret-one")
	in := map[string]any{
		"a": []any{1, "x secret-one", map[string]any{"secret-one": true}, nil}, "b": 2.5, "c": "clean", "n": json.Number("12345678901234567890"),
	}
	before := fmt.Sprint(in)
	want := map[string]any{
		"a": []any{1, "x [redacted]", map[string]any{"[redacted]": true}, nil}, "b": 2.5, "c": "clean", "n": json.Number("12345678901234567890"),
	}
	if diff := cmp.Diff(want, r.Data(in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if fmt.Sprint(in) != before {
		t.Error("the data that was given changed")
	}
	clean := map[string]any{"a": []any{1, "x"}}
	if n := testing.AllocsPerRun(100, func() { r.Data(clean) }); n != 0 {
		t.Errorf("%v allocations for clean data", n)
	}
}

func TestAddWhileReading(t *testing.T) {
	r := redactor("secret-one")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if r.Text("secret-one") != "[redacted]" {
					t.Error("a known value was forgotten")
				}
			}
		})
	}
	for n := range 50 {
		r.Add(fmt.Sprintf("secret-number-%d", n))
	}
	wg.Wait()
}

// FuzzRedactor: no canary survives in a text that held it, however its neighbors look.
func FuzzRedactor(f *testing.F) {
	f.Add("before ", " after", "hush-1234")
	f.Add("xx", "xxx", "xxxxxxx")
	f.Fuzz(func(t *testing.T, before, after, canary string) {
		r := redactor(canary)
		got := r.Text(before + canary + after)
		if len(canary) >= 6 && !strings.ContainsAny(canary, "[redacted]") && strings.Contains(got, canary) {
			t.Errorf("%q survives in %q", canary, got)
		}
		if string(r.Bytes([]byte(before+canary+after))) != got {
			t.Error("bytes and text differ")
		}
	})
}

// BenchmarkRedactor reads an event of 2 KB that holds no secret, with 20 secrets known.
func BenchmarkRedactor(b *testing.B) {
	r := &secret.Redactor{}
	for n := range 20 {
		r.Add(fmt.Sprintf("sk_live_%d_%s", n, hex.EncodeToString([]byte(strings.Repeat(string(rune('a'+n)), 12)))))
	}
	text := []byte(strings.Repeat(`{"id":1042,"customer":{"name":"Ada Lovelace","email":"ada@example.com"},"total":129.5}`, 24))
	b.Run("Bytes", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			r.Bytes(text)
		}
	})
	data := map[string]any{}
	for n := range 24 {
		data[fmt.Sprint("order", n)] = map[string]any{"id": 1042, "customer": map[string]any{"name": "Ada Lovelace", "email": "ada@example.com"}, "total": 129.5}
	}
	b.Run("Data", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Data(data)
		}
	})
}

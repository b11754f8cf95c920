package value_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

func TestDecodeJSON(t *testing.T) {
	tests := []struct {
		src  string
		want any
	}{
		{`null`, nil},
		{` true `, true},
		{`false`, false},
		{`0`, 0},
		{`-0`, 0},
		{`129`, 129},
		{`-7`, -7},
		{`999999999999999999`, 999999999999999999},
		{`9007199254740993`, 9007199254740993},
		{`9223372036854775807`, math.MaxInt64},
		{`-9223372036854775808`, math.MinInt64},
		{`9223372036854775808`, json.Number("9223372036854775808")},
		{`-9223372036854775809`, json.Number("-9223372036854775809")},
		{`12345678901234567890123456789`, json.Number("12345678901234567890123456789")},
		{`0.5`, 0.5},
		{`-1.25e2`, -125.0},
		{`1E3`, 1000.0},
		{`1e-400`, 0.0},
		{`""`, ""},
		{`"a\"\\\/\b\f\n\r\tz"`, "a\"\\/\b\f\n\r\tz"},
		{`"\u00e9\u20AC\ud83d\ude00"`, "é€😀"},
		{`"\ud83d"`, "\uFFFD"},
		{`"\ud83d\u0041"`, "\uFFFDA"},
		{`"\ude00\ud83d\ude00"`, "\uFFFD😀"},
		{`"\u0000"`, "\x00"},
		{`"déjà vu 😀"`, "déjà vu 😀"},
		{"\"\u2028\x7f\"", "\u2028\x7f"},
		{`[]`, []any{}},
		{`{}`, map[string]any{}},
		{"[1 ,\n [2], {\"a\" : [ ] }\t]\r\n", []any{1, []any{2}, map[string]any{"a": []any{}}}},
		{`{"a":{"b":{"c":1}},"":2}`, map[string]any{"a": map[string]any{"b": map[string]any{"c": 1}}, "": 2}},
		{`{"a":1,"a":2}`, map[string]any{"a": 2}},
		{`{"\u0061":1}`, map[string]any{"a": 1}},
		{`{"__proto__":{"x":1},"Type":1,"type":2}`, map[string]any{"__proto__": map[string]any{"x": 1}, "Type": 1, "type": 2}},
	}
	for _, tt := range tests {
		t.Run(tt.src, func(t *testing.T) {
			got, err := value.DecodeJSON([]byte(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeJSONErrors(t *testing.T) {
	tests := []struct {
		src, want    string
		line, column int
	}{
		{``, "the text is empty", 1, 1},
		{" \n ", "the text is empty", 2, 2},
		{`tru`, "did you mean true?", 1, 1},
		{`nil`, "did you mean null?", 1, 1},
		{`True`, "a value is expected, not 'T'", 1, 1},
		{`NaN`, "a value is expected, not 'N'", 1, 1},
		{`Infinity`, "a value is expected", 1, 1},
		{`01`, "a number must not begin with 0", 1, 1},
		{`-01`, "a number must not begin with 0", 1, 2},
		{`-`, "a digit is expected after -, not end of text", 1, 2},
		{`+1`, "a value is expected, not '+'", 1, 1},
		{`.5`, "a value is expected", 1, 1},
		{`1.`, "a digit is expected after the point", 1, 3},
		{`1.e3`, "a digit is expected after the point, not 'e'", 1, 3},
		{`1e`, "a digit is expected in the exponent", 1, 3},
		{`1e+`, "a digit is expected in the exponent", 1, 4},
		{`0x1F`, "'x' after the end of the value", 1, 2},
		{`1e400`, "the number is too large", 1, 1},
		{`1 2`, "'2' after the end of the value", 1, 3},
		{`"abc`, "the text has no closing quote", 1, 1},
		{`"abc\`, "the text has no closing quote", 1, 1},
		{`"abc\"`, "the text has no closing quote", 1, 1},
		{"\"a\nb\"", "the control character 0x0a must be written as an escape", 1, 3},
		{"\"a\x00\"", "the control character 0x00", 1, 3},
		{`"a\x"`, `unknown escape \x`, 1, 3},
		{`"\u12G4"`, `\u needs four hexadecimal digits`, 1, 2},
		{`"\u12"`, `\u needs four hexadecimal digits`, 1, 2},
		{"\"é\xff\"", "not valid UTF-8", 1, 3},
		{"\"\xc0\xaf\"", "not valid UTF-8", 1, 2},
		{"\"\xed\xa0\x80\"", "not valid UTF-8", 1, 2},
		{"{\"\xff\":1}", "not valid UTF-8", 1, 3},
		{"\xff", "a value is expected, not byte 0xff", 1, 1},
		{"\uFEFF{}", "a byte order mark", 1, 1},
		{`'a'`, `a value is expected, not '\''`, 1, 1},
		{`[1,]`, "a value is expected, not ']'", 1, 4},
		{`[1 2]`, "a comma or ] is expected, not '2'", 1, 4},
		{`[`, "a value is expected, not end of text", 1, 2},
		{`[1`, "a comma or ] is expected, not end of text", 1, 3},
		{`[1}`, "a comma or ] is expected, not '}'", 1, 3},
		{`{`, "a key in double quotes is expected, not end of text", 1, 2},
		{`{a:1}`, "a key in double quotes is expected, not 'a'", 1, 2},
		{`{"a" 1}`, "a colon is expected after the key, not '1'", 1, 6},
		{`{"a":}`, "a value is expected, not '}'", 1, 6},
		{`{"a":1,}`, "a key in double quotes is expected, not '}'", 1, 8},
		{`{"a":1]`, "a comma or } is expected, not ']'", 1, 7},
		{"{\n  \"é\": 1\n  \"b\": 2\n}", "a comma or } is expected, not '\"'", 3, 3},
		{"{\"é\": 1 /* no */}", "a comma or } is expected, not '/'", 1, 9},
		{strings.Repeat("[", 129), "more than 128 levels inside each other", 1, 129},
		{strings.Repeat(`{"a":`, 129), "more than 128 levels inside each other", 1, 641},
		{strings.Repeat("[", 1_000_000), "more than 128 levels inside each other", 1, 129},
	}
	for _, tt := range tests {
		t.Run(tt.src[:min(len(tt.src), 40)], func(t *testing.T) {
			v, err := value.DecodeJSON([]byte(tt.src))
			var e *value.SyntaxError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, %v", v, err)
			}
			if !strings.Contains(e.Message, tt.want) || e.Line != tt.line || e.Column != tt.column {
				t.Errorf("got %d:%d %s, want %d:%d %s", e.Line, e.Column, e.Message, tt.line, tt.column, tt.want)
			}
		})
	}
}

func TestDecodeJSONBounds(t *testing.T) {
	deep := strings.Repeat("[", value.MaxDepth) + strings.Repeat("]", value.MaxDepth)
	if _, err := value.DecodeJSON([]byte(deep)); err != nil {
		t.Errorf("%d levels: %v", value.MaxDepth, err)
	}
	list := func(n int) []byte { return []byte("[" + strings.Repeat("1,", n-1) + "1]") }
	if _, err := value.DecodeJSON(list(value.MaxElements)); err != nil {
		t.Errorf("%d elements: %v", value.MaxElements, err)
	}
	if _, err := value.DecodeJSON(list(value.MaxElements + 1)); err == nil || !strings.Contains(err.Error(), "more than 200000 elements") {
		t.Errorf("one element more: %v", err)
	}
	long := strings.Repeat("1", 100_000)
	if v, err := value.DecodeJSON([]byte(long)); err != nil || v != json.Number(long) {
		t.Errorf("a long number: %v", err)
	}
}

func TestDecodeJSONDuplicates(t *testing.T) {
	for src, want := range map[string]bool{
		`{"a":1,"b":2}`: false, `{"a":1,"a":1}`: true, `[{"b":{"a":1,"\u0061":2}}]`: true, `[{"a":1},{"a":1}]`: false, `1`: false,
	} {
		if _, got, err := value.DecodeJSONDuplicates([]byte(src)); got != want || err != nil {
			t.Errorf("%s: got %v, %v", src, got, err)
		}
	}
}

// TestDecodedDataIsItsOwn changes the source, and decodes again with the same memory, after decoding.
func TestDecodedDataIsItsOwn(t *testing.T) {
	src := []byte(`{"key":"text","escaped":"\u0061bc","list":["one","two"],"n":12345678901234567890}`)
	got, err := value.DecodeJSON(src)
	if err != nil {
		t.Fatal(err)
	}
	want := value.Clone(got)
	text, _ := value.AppendJSON(nil, got)
	for i := range src {
		src[i] = 'x'
	}
	for range 10 {
		if _, err := value.DecodeJSON([]byte(`{"yek":"txet","other":"zzzzzz","list":["eno","owt"]}`)); err != nil {
			t.Fatal(err)
		}
	}
	if again, _ := value.AppendJSON(nil, got); !cmp.Equal(want, got) || !bytes.Equal(text, again) {
		t.Errorf("the data changed to %v", got)
	}
}

func TestAppendJSON(t *testing.T) {
	tests := []struct {
		v    any
		want string
	}{
		{nil, `null`},
		{map[string]any{"b": 1, "a": []any{true, nil, "x"}, "": map[string]any{}}, `{"":{},"a":[true,null,"x"],"b":1}`},
		{129.0, `129`},
		{0.1, `0.1`},
		{1e20, `100000000000000000000`},
		{1e21, `1e+21`},
		{-1e-7, `-1e-07`},
		{math.Copysign(0, -1), `0`},
		{math.MaxFloat64, `1.7976931348623157e+308`},
		{math.MinInt64, `-9223372036854775808`},
		{json.Number("123456789012345678901"), `123456789012345678901`},
		{"<a href='x'>&</a>\u2028", "\"<a href='x'>&</a>\u2028\""},
		{"\"\\\n\r\t\x00\x1f\x7f", `"\"\\\n\r\t\u0000\u001f` + "\x7f\""},
		{"a\xffb", `"a` + "\uFFFD" + `b"`},
		{[]string{"a"}, `["a"]`},
		{map[any]any{1: "a"}, `{"1":"a"}`},
		{[]any{int64(1), uint8(2), float32(0.5)}, `[1,2,0.5]`},
		{uint64(math.MaxUint64), `18446744073709551615`},
	}
	for _, tt := range tests {
		got, err := value.AppendJSON([]byte("before "), tt.v)
		if err != nil || string(got) != "before "+tt.want {
			t.Errorf("%#v: got %s, %v, want %s", tt.v, got, err, tt.want)
		}
	}
}

func TestAppendJSONErrors(t *testing.T) {
	deep := any(1)
	for range value.MaxDepth + 1 {
		deep = []any{deep}
	}
	circle := map[string]any{}
	circle["self"] = circle
	tests := []struct {
		v    any
		want string
	}{
		{map[string]any{"a": []any{1, math.NaN()}}, "a: [1]: NaN is not a number"},
		{math.Inf(-1), "infinity is not a number"},
		{deep, "more than 128 levels"},
		{circle, "more than 128 levels"},
		{[]any{func() {}}, "[0]: a Go func() is not data"},
		{struct{ A int }{1}, "is not data"},
		{json.Number("1,5"), `"1,5" is not a number`},
		{json.Number(""), `"" is not a number`},
	}
	for _, tt := range tests {
		got, err := value.AppendJSON([]byte("before"), tt.v)
		if err == nil || !strings.Contains(err.Error(), tt.want) || string(got) != "before" {
			t.Errorf("got %s, %v, want %s", got, err, tt.want)
		}
	}
}

// FuzzJSON holds DecodeJSON against encoding/json: the same texts are accepted, but for invalid UTF-8 and what goes
// beyond the bounds, and they mean the same. What was read and is written again is equal.
func FuzzJSON(f *testing.F) {
	for _, src := range []string{
		`{"a":[1,2.5,-3e10,"x\n\u00e9\ud83d\ude00",true,null,12345678901234567890],"b":{"c":"déf"}}`, `[]`, `"\ud800"`, `-0`, `1e400`,
		`{"a":1,"a":2}`, `[1,]`, "\"\xff\"", `0.1e-7`, `9223372036854775808`, `[[[[]]]]`, `"\u2028"`, `123456789.123456789`, " [ 1 ] ",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		got, err := value.DecodeJSON(src)
		var want any
		d := json.NewDecoder(bytes.NewReader(src))
		d.UseNumber()
		valid := json.Valid(src) && d.Decode(&want) == nil
		if err != nil {
			message := err.Error()
			bounded := strings.Contains(message, "more than") || strings.Contains(message, "too large") || strings.Contains(message, "UTF-8")
			if valid && !bounded {
				t.Fatalf("refused %q: %v", src, err)
			}
			if valid && strings.Contains(message, "UTF-8") && utf8.Valid(src) {
				t.Fatalf("refused %q: %v", src, err)
			}
			return
		}
		if !valid {
			t.Fatalf("accepted %q", src)
		}
		if !utf8.Valid(src) {
			t.Fatalf("accepted invalid UTF-8 in %q", src)
		}
		if diff := cmp.Diff(fromNumbers(want), got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", src, diff)
		}
		text, err := value.AppendJSON(nil, got)
		if err != nil {
			t.Fatalf("write %#v: %v", got, err)
		}
		again, err := value.DecodeJSON(text)
		if err != nil || !value.Equal(got, again) {
			t.Fatalf("%q became %s: %v", src, text, err)
		}
		if plain, err := value.Normalize(got); err != nil || !cmp.Equal(plain, got) {
			t.Fatalf("%#v is not plain: %v", got, err)
		}
	})
}

// fromNumbers makes plain data of what encoding/json reads with UseNumber.
func fromNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			f, _ := strconv.ParseFloat(string(v), 64)
			return f
		}
		if n, err := strconv.Atoi(string(v)); err == nil {
			return n
		}
	case []any:
		for i := range v {
			v[i] = fromNumbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = fromNumbers(v[key])
		}
	}
	return v
}

// event is of the size and kind of a shop's order, about 2 KB.
var event = func() []byte {
	items := make([]any, 6)
	for i := range items {
		items[i] = map[string]any{
			"id": 866550311766439020 + i, "title": "IPod Nano - 8GB", "quantity": 1, "price": "199.00", "grams": 567,
			"taxable": true, "name": "Nano é", "sku": nil, "discount": 0.25,
		}
	}
	b, err := json.Marshal(map[string]any{
		"id": 820982911946154508, "email": "jon@example.com", "created_at": "2026-03-01T09:30:00-05:00", "total": 129.5, "vip": false,
		"customer": map[string]any{"first_name": "John", "last_name": "Smith", "tags": []string{"a", "b"}, "note": "line\nbreak"},
		"address":  map[string]any{"city": "Ottawa", "zip": "K2P0V6", "lines": []string{"123 Amoebobacterieae St", "Unit 2"}},
		"items":    items,
	})
	if err != nil {
		panic(err)
	}
	return b
}()

func BenchmarkDecodeJSON(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(event)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := value.DecodeJSON(event); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.SetBytes(int64(len(event)))
		b.ReportAllocs()
		for b.Loop() {
			var v any
			if err := json.Unmarshal(event, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	v, err := value.DecodeJSON(event)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			if dst, err = value.AppendJSON(dst[:0], v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package value_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

func TestDecodeXML(t *testing.T) {
	tests := []struct{ src, want string }{
		{`<a x="1"><b>2</b></a>`, `{"a":{"@x":"1","b":"2"}}`},
		{`<a/>`, `{"a":""}`},
		{`<a>text</a>`, `{"a":"text"}`},
		{`<a> two words </a>`, `{"a":" two words "}`},
		{"<a>\n  <b/>\n  <b>1</b>\n <b>2</b></a>", `{"a":{"b":["","1","2"]}}`},
		{`<a x="1">text</a>`, `{"a":{"#text":"text","@x":"1"}}`},
		{`<p>Hello <b>big</b> world</p>`, `{"p":{"#text":"Hello  world","b":"big"}}`},
		{`<?xml version="1.0" encoding="UTF-8"?><!-- note --><a>&lt;&amp;&#233;&#x20AC;<![CDATA[<x>&y;]]></a>`, `{"a":"<&é€<x>&y;"}`},
		{`<soap:Envelope xmlns:soap="urn:s"><soap:Body/></soap:Envelope>`, `{"soap:Envelope":{"@xmlns:soap":"urn:s","soap:Body":""}}`},
		{"\uFEFF<a>é</a>\n", `{"a":"é"}`},
		{`<a b="x &quot; y"/>`, `{"a":{"@b":"x \" y"}}`},
	}
	for _, tt := range tests {
		v, err := value.DecodeXML([]byte(tt.src))
		if err != nil {
			t.Errorf("%s: %v", tt.src, err)
			continue
		}
		if got := value.Text(v); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.src, got, tt.want)
		}
	}
}

func TestDecodeXMLErrors(t *testing.T) {
	tests := []struct{ src, want string }{
		{``, "there is no element"},
		{`text`, "text outside of the root element"},
		{`<a>`, "<a> is not closed"},
		{`<a></b>`, "</b> closes nothing"},
		{"<a>\n<b></a>", "line 2"},
		{`</a>`, "</a> closes nothing"},
		{`<a/><b/>`, "<b> after the end of the root element"},
		{`<a/>text`, "text outside of the root element"},
		{`<a x="1" x="2"/>`, "the attribute x is there twice"},
		{`<a x=1/>`, "XML: line 1"},
		{`<a>&nbsp;</a>`, "entity"},
		{`<!DOCTYPE a SYSTEM "http://example.com/a.dtd"><a/>`, "document types (<!…>) are not allowed"},
		{`<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, "document types (<!…>) are not allowed"},
		{`<?xml version="1.0" encoding="UTF-16"?><a/>`, `the encoding "UTF-16" is not supported`},
		{"<a>\xff</a>", "UTF-8"},
		{"<a>\x01</a>", "illegal character"},
		{strings.Repeat("<a>", 65), "more than 64 elements inside each other"},
		{"<a>" + strings.Repeat("<b/>", value.MaxElements) + "</a>", "more than 200000 elements"},
	}
	for _, tt := range tests {
		_, err := value.DecodeXML([]byte(tt.src))
		var e *value.SyntaxError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s: got %v, want %s", tt.src, err, tt.want)
		}
	}
}

func TestAppendXML(t *testing.T) {
	tests := []struct {
		v    any
		want string
	}{
		{
			map[string]any{"Response": map[string]any{"Message": "Hi <Ada> & \"co\"", "Dial": []any{"1", 2}}},
			`<Response><Dial>1</Dial><Dial>2</Dial><Message>Hi &lt;Ada&gt; &amp; "co"</Message></Response>`,
		},
		{map[string]any{"a": map[string]any{"@x": 1, "@y": "q\"\n", "#text": "t", "b": nil}}, `<a x="1" y="q&quot;&#10;">t<b></b></a>`},
		{map[string]any{"a": nil}, `<a></a>`},
		{map[string]any{"a": map[string]any{"b": []any{}}}, `<a></a>`},
		{map[string]any{"a": "\x00\r"}, "<a>\uFFFD&#13;</a>"},
	}
	for _, tt := range tests {
		if got, err := value.AppendXML(nil, tt.v); err != nil || string(got) != tt.want {
			t.Errorf("got %s, %v, want %s", got, err, tt.want)
		}
	}
	for _, v := range []any{
		nil, "text",
		map[string]any{},
		map[string]any{"a": 1, "b": 2},
		map[string]any{"a": []any{1}},
		map[string]any{"a b": 1},
		map[string]any{"1a": 1},
		map[string]any{"a><b": 1},
		map[string]any{"a": map[string]any{"@x y": 1}},
		map[string]any{"a": map[string]any{"@x": []any{}}},
		map[string]any{"a": map[string]any{"b": []any{[]any{1}}}},
		map[string]any{"": 1},
	} {
		if got, err := value.AppendXML([]byte("x"), v); err == nil || string(got) != "x" {
			t.Errorf("%v: got %s, %v", v, got, err)
		}
	}
}

// FuzzXML asks that what was read can be written, and reads the same.
func FuzzXML(f *testing.F) {
	for _, src := range []string{
		`<a x="1"><b>2</b></a>`, `<p>Hello <b>big</b> world</p>`, `<a:b xmlns:a="u"><![CDATA[x]]></a:b>`, "<a>\r\n</a>", `<a>&#13;</a>`, `<é/>`, `<a b=" x&#9;y "/>`,
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		v, err := value.DecodeXML(src)
		if err != nil {
			return
		}
		text, err := value.AppendXML(nil, v)
		if err != nil {
			// Our rule for names is a little narrower than the parser's.
			if strings.Contains(err.Error(), "cannot be the name") {
				return
			}
			t.Fatalf("%q: %v", src, err)
		}
		again, err := value.DecodeXML(text)
		if err != nil || !cmp.Equal(v, again) {
			t.Fatalf("%q became %s: %v\n%s", src, text, err, cmp.Diff(v, again))
		}
	})
}

func TestForm(t *testing.T) {
	tests := []struct {
		src  string
		want map[string]any
	}{
		{``, map[string]any{}},
		{`a=1&b=x+y%26z`, map[string]any{"a": "1", "b": "x y&z"}},
		{`a=1&a=2&b&a=3`, map[string]any{"a": []any{"1", "2", "3"}, "b": ""}},
		{`&&a=1&`, map[string]any{"a": "1"}},
		{`=x`, map[string]any{"": "x"}},
		{`a=b=c`, map[string]any{"a": "b=c"}},
		{`a[]=1&a[b]=2`, map[string]any{"a[]": "1", "a[b]": "2"}},
		{`a;b=1`, map[string]any{"a;b": "1"}},
		{`n=%C3%A9`, map[string]any{"n": "é"}},
	}
	for _, tt := range tests {
		got, err := value.DecodeForm([]byte(tt.src))
		if err != nil || !cmp.Equal(tt.want, got) {
			t.Errorf("%s: got %v, %v", tt.src, got, err)
		}
	}
	for src, want := range map[string]string{
		"ok=1&a=%zz": "column 6: a % must be followed", "a=%": "column 1: a %", "%ff=1": "not valid UTF-8", "a=\xff": "not valid UTF-8",
		strings.Repeat("a=1&", 10_001): "more than 10000 fields",
	} {
		_, err := value.DecodeForm([]byte(src))
		var e *value.SyntaxError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %s", src, err, want)
		}
	}
	got, err := value.AppendForm([]byte("?"), map[string]any{"b": []any{1, "x y"}, "a": 0.5, "n": nil, "o": map[string]any{"k": true}, "none": []any{}})
	if want := "?a=0.5&b=1&b=x+y&n=&o=%7B%22k%22%3Atrue%7D"; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if _, err := value.AppendForm(nil, map[string]any{"f": func() {}}); err == nil {
		t.Error("a function was written")
	}
}

// FuzzForm holds DecodeForm against net/url, but for semicolons, which that refuses.
func FuzzForm(f *testing.F) {
	for _, src := range []string{`a=1&a=2&b`, `%zz`, `a=%C3%A9+x`, `&&=`, `a=b=c`} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		got, err := value.DecodeForm([]byte(src))
		if strings.Contains(src, ";") {
			return
		}
		want, wantErr := url.ParseQuery(src)
		valid := wantErr == nil
		n := 0
		for key, texts := range want {
			for _, text := range texts {
				valid = valid && utf8.ValidString(key) && utf8.ValidString(text)
				n++
			}
		}
		if n > 10_000 {
			return
		}
		if valid != (err == nil) {
			t.Fatalf("%q: got %v, net/url %v", src, err, wantErr)
		}
		if err != nil {
			return
		}
		for key, texts := range want {
			list, ok := got[key].([]any)
			if !ok {
				list = []any{got[key]}
			}
			if len(list) != len(texts) {
				t.Fatalf("%q: %q is %v, net/url has %v", src, key, list, texts)
			}
			for i := range texts {
				if list[i] != texts[i] {
					t.Fatalf("%q: %q is %v, net/url has %v", src, key, list, texts)
				}
			}
		}
		text, err := value.AppendForm(nil, got)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := value.DecodeForm(text); err != nil || !cmp.Equal(got, again) {
			t.Fatalf("%q became %s, %v", src, text, err)
		}
	})
}

func TestCSV(t *testing.T) {
	tests := []struct{ src, want string }{
		{"", `[]`},
		{"a,b\n", `[]`},
		{"a,b\n1,2\r\n3,\"x, \"\"y\"\"\nz\"\n", `[{"a":"1","b":"2"},{"a":"3","b":"x, \"y\"\nz"}]`},
		{"\uFEFFname;n\nÄ;1", ``},
		{"a,b\n1\n", `[{"a":"1"}]`},
		{"a\n\n1\n", `[{"a":"1"}]`},
	}
	for _, tt := range tests {
		v, err := value.DecodeCSV([]byte(tt.src), ',')
		if tt.want == "" {
			v, err = value.DecodeCSV([]byte(tt.src), ';')
			tt.want = `[{"n":"1","name":"Ä"}]`
		}
		if got := value.Text(v); err != nil || got != tt.want {
			t.Errorf("%q: got %s, %v, want %s", tt.src, got, err, tt.want)
		}
	}
	for src, want := range map[string]string{
		"a,b\n1,2,3": "line 2, column 5: 3 cells, but the first line names 2 columns", "a,a\n": `the column "a" is there twice`,
		"a\n\"x": "line 2", "a\nx\"y": "line 2", "a\n\xff": "not valid UTF-8", strings.Repeat("a\n", value.MaxElements+1): "more than 200000 cells",
	} {
		_, err := value.DecodeCSV([]byte(src), ',')
		var e *value.SyntaxError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %s", src, err, want)
		}
	}

	rows := []any{map[string]any{"b": 1, "a": "x,y"}, map[string]any{"c": nil, "a": []any{1}}}
	written := []struct {
		rows    []any
		columns []string
		want    string
	}{
		{rows, nil, "a,b,c\n\"x,y\",1,\n[1],,\n"},
		{rows, []string{"b", "a"}, "b,a\n1,\"x,y\"\n,[1]\n"},
		{[]any{[]any{1, "a\nb"}, []any{true}}, nil, "1,\"a\nb\"\ntrue\n"},
		{nil, nil, ""},
		{nil, []string{"a"}, "a\n"},
	}
	for _, tt := range written {
		if got, err := value.AppendCSV(nil, tt.rows, tt.columns, ','); err != nil || string(got) != tt.want {
			t.Errorf("got %q, %v, want %q", got, err, tt.want)
		}
	}
	if _, err := value.AppendCSV(nil, []any{1}, nil, ','); err == nil {
		t.Error("a row that is a number was written")
	}
}

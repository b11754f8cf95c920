package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/engine/outbound"
	"github.com/bellhop-dev/bellhop/engine/server"
)

const described = `openapi: 3.1.0
info: {title: Library API, version: "1"}
servers: [{url: /v1}]
paths:
  /books: {get: {operationId: listBooks, responses: {"200": {description: ok}}}}
  /loans: {post: {operationId: lendBook, responses: {"201": {description: lent}}}}
`

func TestImport(t *testing.T) {
	shelf := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(described)) }))
	defer shelf.Close()
	h := newHouse(t, func(o *server.Options) {
		o.Outbound = outbound.New(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	})
	ask := func(body map[string]any) string {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	asJSON := map[string]any{"openapi": "3.0.3", "info": map[string]any{"title": "Inline"}, "paths": map[string]any{"/a": map[string]any{"get": map[string]any{}}}}
	for _, test := range []struct {
		name   string
		body   string
		status int
		want   []string
		lacks  string
	}{
		{"lists", ask(map[string]any{"openapi": described}), 200, []string{`"id":"list_books"`, `"id":"lend_book"`, `"notes":[]`}, "manifest"},
		{
			"writes", ask(map[string]any{"openapi": described, "choose": []string{"lendBook"}, "name": "books"}), 200,
			[]string{`"name":"books"`, `base_url: https://fill-in.invalid/v1`, `"kind":"fill_in","where":"defaults.base_url"`, `"line":14`},
			"list_books",
		},
		{"an object", ask(map[string]any{"openapi": asJSON, "choose": []string{"*"}}), 200, []string{`"name":"inline"`, "get_a"}, "problem"},
		{"an overlay", ask(map[string]any{"openapi": described, "choose": []string{"*"}, "overlay": "overlay: 1.1.0\nactions: [{target: $.servers, remove: true}, {target: $, update: {servers: [{url: 'https://x.example'}]}}]"}), 200, []string{"https://x.example"}, "fill-in.invalid"},
		{"a download", ask(map[string]any{"url": shelf.URL + "/openapi.yaml?token=hidden", "choose": []string{"*"}}), 200, []string{"base_url: " + shelf.URL + "/v1"}, "hidden"},
		{"refused", ask(map[string]any{"url": "http://169.254.169.254/latest"}), 422, []string{"refused"}, "manifest"},
		{"nothing", `{}`, 400, []string{"takes one document"}, "manifest"},
		{"both", ask(map[string]any{"url": shelf.URL, "openapi": described}), 400, []string{"takes one document"}, "manifest"},
		{"no document", ask(map[string]any{"openapi": "hello: world"}), 422, []string{"no OpenAPI document"}, "manifest"},
		{"no such operation", ask(map[string]any{"openapi": described, "choose": []string{"books"}}), 422, []string{"chooses nothing"}, "manifest"},
		{"a bad body", `{"openapi": 1`, 400, []string{"not what an import takes"}, "operations"},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, text := h.call("POST", "/api/v1/connectors/import", test.body)
			if res.StatusCode != test.status {
				t.Fatalf("%d %s", res.StatusCode, text)
			}
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("lacks %s:\n%s", want, text)
				}
			}
			if strings.Contains(text, test.lacks) {
				t.Errorf("has %s:\n%s", test.lacks, text)
			}
		})
	}
}

package http_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	bellhttp "github.com/bellhop-dev/bellhop/connectors/http"
)

// says answers with a status, a type and a body.
func says(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func use(t *testing.T, action string, conn connectors.Connection, input map[string]any) (any, error) {
	t.Helper()
	return bellhttp.New().Action(action).Do(t.Context(), &connectors.Call{Key: key, Input: input, Connection: conn, HTTP: plain})
}

func TestConventions(t *testing.T) {
	const asJSON = "application/json"
	const envelope = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>`
	for _, tt := range []struct {
		name, action string
		input        map[string]any
		answer       http.HandlerFunc
		sent         string
		header       map[string]string
		want         any
	}{
		{
			"a query", "graphql",
			map[string]any{"query": "query($id: ID!) { order(id: $id) { total } }", "variables": map[string]any{"id": "1"}, "operation": "Q"},
			says(200, asJSON, `{"data":{"order":{"total":129}}}`),
			`{"operationName":"Q","query":"query($id: ID!) { order(id: $id) { total } }","variables":{"id":"1"}}`,
			map[string]string{"Content-Type": asJSON, "Accept": asJSON, "Idempotency-Key": key},
			map[string]any{"order": map[string]any{"total": 129}},
		},
		{"no data", "graphql", map[string]any{"query": "{ x }"}, says(200, "application/graphql-response+json", `{"data":null}`), `{"query":"{ x }"}`, nil, nil},
		{
			"SOAP 1.1", "soap",
			map[string]any{"body": map[string]any{"GetStock": map[string]any{"Sku": "A&B"}}, "namespace": "urn:acme", "action": "urn:GetStock"},
			says(200, "text/xml", envelope+`<m:GetStockResponse xmlns:m="urn:acme"><m:Quantity>7</m:Quantity></m:GetStockResponse></s:Body></s:Envelope>`),
			`<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><GetStock xmlns="urn:acme"><Sku>A&amp;B</Sku></GetStock></soap:Body></soap:Envelope>`,
			map[string]string{"Content-Type": "text/xml; charset=utf-8", "SOAPAction": `"urn:GetStock"`},
			map[string]any{"GetStockResponse": map[string]any{"Quantity": "7"}},
		},
		{
			"SOAP 1.2 with a header", "soap",
			map[string]any{"body": map[string]any{"Ping": nil}, "version": "1.2", "action": "urn:Ping", "header": map[string]any{"Token": "x"}},
			says(200, "application/soap+xml", `<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><Pong>1</Pong></e:Body></e:Envelope>`),
			`<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body><Ping></Ping></soap:Body><soap:Header><Token>x</Token></soap:Header></soap:Envelope>`,
			map[string]string{"Content-Type": `application/soap+xml; charset=utf-8; action="urn:Ping"`, "SOAPAction": ""},
			map[string]any{"Pong": "1"},
		},
		{
			"a method", "json_rpc",
			map[string]any{"method": "stock.get", "params": []any{"LAMP", 1}},
			says(200, asJSON, `{"jsonrpc":"2.0","id":1,"result":{"quantity":7}}`),
			`{"id":1,"jsonrpc":"2.0","method":"stock.get","params":["LAMP",1]}`,
			map[string]string{"Content-Type": asJSON},
			map[string]any{"quantity": 7},
		},
		{"a result that is null", "json_rpc", map[string]any{"method": "m"}, says(200, asJSON, `{"jsonrpc":"2.0","id":1,"result":null}`), `{"id":1,"jsonrpc":"2.0","method":"m"}`, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, last := serve(t, tt.answer)
			tt.input["url"] = address + "/api"
			got, err := use(t, tt.action, connection("bearer", nil), tt.input)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			sent := last()
			if sent.Method != "POST" || sent.Path != "/api" || sent.Header.Get("Authorization") != "Bearer hush-hush" {
				t.Errorf("sent %+v", sent)
			}
			if tt.sent != sent.Body {
				t.Errorf("sent\n%s\nwant\n%s", sent.Body, tt.sent)
			}
			for name, want := range tt.header {
				if got := sent.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestConventionFailures(t *testing.T) {
	query := map[string]any{"query": "{ x }"}
	ping := map[string]any{"body": map[string]any{"Ping": nil}}
	method := map[string]any{"method": "m"}
	const fault11 = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>no such item</faultstring></s:Fault></s:Body></s:Envelope>`
	const fault12 = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Reason><s:Text xml:lang="en">not today</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>`
	for _, tt := range []struct {
		name, action string
		input        map[string]any
		answer       http.HandlerFunc
		want         string
		again        bool // it is tried again
		status       int
	}{
		{"an error comes with 200", "graphql", query, says(200, "application/json", `{"errors":[{"message":"Cannot query field x"}],"data":null}`), "Cannot query field x", false, 200},
		{"an error without words", "graphql", query, says(200, "application/json", `{"errors":[{}]}`), "the query failed", false, 200},
		{"no secret in the message", "graphql", query, says(200, "application/json", `{"errors":[{"message":"bad token hush-hush"}]}`), "bad token [redacted]", false, 200},
		{"not GraphQL", "graphql", query, says(200, "text/html", `<html>`), "check the address", false, 200},
		{"a server that is busy", "graphql", query, says(503, "text/plain", "later"), "503", true, 503},
		{"not allowed", "graphql", query, says(401, "application/json", `{"detail":"who are you"}`), "401", false, 401},
		{"a fault of 1.1", "soap", ping, says(500, "text/xml", fault11), "no such item", false, 500},
		{"a fault of 1.2", "soap", ping, says(400, "application/soap+xml", fault12), "not today", false, 400},
		{"not SOAP", "soap", ping, says(200, "application/json", `{}`), "check the address", false, 200},
		{"a broken server", "soap", ping, says(500, "text/html", `<html>`), "500", true, 500},
		{"an error of the method", "json_rpc", method, says(200, "application/json", `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}`), "Method not found", false, 200},
		{"not JSON-RPC", "json_rpc", method, says(200, "application/json", `[]`), "check the address", false, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, _ := serve(t, tt.answer)
			input := map[string]any{"url": address}
			for name, v := range tt.input {
				input[name] = v
			}
			_, err := use(t, tt.action, connection("bearer", nil), input)
			var status *connectors.StatusError
			switch {
			case err == nil || !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %v, want %q", err, tt.want)
			case strings.Contains(err.Error(), "hush-hush"):
				t.Errorf("a secret in %v", err)
			case connectors.IsPermanent(err) == tt.again:
				t.Errorf("permanent: %t (%v)", !tt.again, err)
			case !errors.As(err, &status) || status.Status != tt.status:
				t.Errorf("status of %v", err)
			}
		})
	}
}

func TestConventionBadInput(t *testing.T) {
	for _, tt := range []struct {
		action string
		input  map[string]any
		want   string
	}{
		{"graphql", map[string]any{}, "query is missing"},
		{"graphql", map[string]any{"query": "{ x }"}, "url is missing"},
		{"graphql", map[string]any{"query": "{ x }", "variables": "a"}, "variables is text, not an object"},
		{"graphql", map[string]any{"query": "{ x }", "method": "GET"}, `there is no input "method"`},
		{"soap", map[string]any{}, "body is one element"},
		{"soap", map[string]any{"body": map[string]any{"A": 1, "B": 2}}, "body is one element"},
		{"soap", map[string]any{"body": map[string]any{"A": 1}, "version": "2"}, "not one of 1.1, 1.2"},
		{"soap", map[string]any{"body": map[string]any{"A": 1}, "action": 1}, "action is a number, not text"},
		{"json_rpc", map[string]any{"method": " "}, "method is missing"},
		{"json_rpc", map[string]any{"method": "m", "params": "x"}, "params is text, not a list or an object"},
	} {
		_, err := use(t, tt.action, connectors.Connection{}, tt.input)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !connectors.IsPermanent(err) {
			t.Errorf("%s %v: got %v, want %q", tt.action, tt.input, err, tt.want)
		}
	}
}

// TestGraphQLSafe: what reads may be polled and sent again, what changes may not.
func TestGraphQLSafe(t *testing.T) {
	a := bellhttp.New().Action("graphql")
	for query, want := range map[string]bool{
		"{ x }": true, "query { x }": true, "mutation { x }": false, "query A { x } mutation B { y }": false, "subscription { x }": false, "": false,
	} {
		input := map[string]any{"query": query}
		if a.SafeFor(input) != want || a.RepeatFor(input) != want {
			t.Errorf("%q: safe %t, want %t", query, a.SafeFor(input), want)
		}
	}
}

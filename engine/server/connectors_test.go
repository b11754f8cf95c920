package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/bellhop-dev/bellhop/connectors/manifest"
)

const formManifest = `manifest: 1
id: crm
title: CRM
version: 1.0.0
connection: {auth: [{id: key, type: bearer}]}
defaults: {base_url: "https://crm.example.com"}
actions:
  assign:
    title: Assign
    request: {method: POST, path: /assign}
    input:
      properties:
        team: {type: string}
        owner: {type: string, options: {use: people, value: item.id, label: item.name, depends_on: [team]}}
        more: {type: object, fields_from: {use: fields, name: item.key, title: item.label, type: item.type}}
    sample: {ok: true}
  people: {title: People, safe: true, show: hidden, request: {method: GET, path: /people}, input: {properties: {team: {type: string}}}}
  fields: {title: Fields, safe: true, show: hidden, request: {method: GET, path: /fields}}
`

// A form asks for the choices of a field and for the fields of an account, with the connection of a person.
func TestOptions(t *testing.T) {
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body := map[string]string{
			"/people?team=north": `[{"id": "u1", "name": "Ada"}, {"id": "u2", "name": "Bob"}]`,
			"/fields":            `[{"key": "vip", "label": "Very important", "type": "checkbox"}]`,
		}[r.URL.RequestURI()]
		if r.Header.Get("Authorization") != "Bearer tok-1234567" || body == "" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = w.Write([]byte(body))
	}))
	defer outside.Close()
	h := newHouse(t, nil)
	m, problems := manifest.Parse("crm.yaml", []byte(formManifest), nil)
	if problems != nil {
		t.Fatal(problems)
	}
	h.registry.Own(m.Connector)
	h.want(http.StatusCreated, "POST", "/api/v1/connections",
		`{"name": "main", "connector": "crm", "values": {"token": "tok-1234567", "base_url": "`+outside.URL+`"}}`)

	ask := "/api/v1/connectors/crm/options?action=assign&field=owner&connection=main"
	got, _ := h.want(http.StatusOK, "GET", ask+"&with="+url.QueryEscape(`{"team": "north"}`), "")
	items, _ := got["items"].([]any)
	if len(items) != 2 || items[0].(map[string]any)["value"] != "u1" || items[0].(map[string]any)["label"] != "Ada" {
		t.Errorf("options: %v", got)
	}
	got, _ = h.want(http.StatusOK, "GET", ask+"&search=bo&with="+url.QueryEscape(`{"team": "north"}`), "")
	if items, _ := got["items"].([]any); len(items) != 1 {
		t.Errorf("options that hold bo: %v", got)
	}
	h.want(http.StatusBadGateway, "GET", ask, "") // team is not filled in
	h.want(http.StatusNotFound, "GET", strings.Replace(ask, "field=owner", "field=team", 1)+"&with="+url.QueryEscape(`{"team": "north"}`), "")
	h.want(http.StatusBadRequest, "GET", strings.Replace(ask, "connection=main", "connection=none", 1), "")

	got, _ = h.want(http.StatusOK, "GET", "/api/v1/connectors/crm/fields?action=assign&field=more&connection=main", "")
	vip, _ := got["properties"].(map[string]any)["vip"].(map[string]any)
	if vip["type"] != "boolean" || vip["title"] != "Very important" {
		t.Errorf("fields: %v", got)
	}
}

// What ships has a tile and an icon that can do nothing.
func TestConnectorViews(t *testing.T) {
	h := newHouse(t, nil)
	got, _ := h.want(http.StatusOK, "GET", "/api/v1/connectors/stripe", "")
	if got["icon"] == "" || len(got["actions"].([]any)) < 7 || len(got["triggers"].([]any)) != 1 || got["schemas"].(map[string]any)["metadata"] == nil {
		t.Errorf("the view of stripe lacks something: %v", got)
	}
	res, body := h.call("GET", "/api/v1/connectors/stripe/icon", "")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(res.Header.Get("Content-Security-Policy"), "sandbox") || !strings.HasPrefix(body, "<svg") {
		t.Errorf("icon: %d %v %.40s", res.StatusCode, res.Header, body)
	}
	h.want(http.StatusNotFound, "GET", "/api/v1/connectors/store/icon", "")
}

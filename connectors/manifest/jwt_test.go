package manifest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/manifest"
)

// TestTradedJWT lets another library verify what is signed, and looks at how it travels: in a form by RFC 7523, or as a
// bearer token with nothing else.
func TestTradedJWT(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	for _, tt := range []struct {
		assertion, audience string
	}{{"form", "/apps/42/tokens"}, {"header", ""}} {
		t.Run(tt.assertion, func(t *testing.T) {
			var problem string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
				if tt.assertion == "form" {
					r.Body = io.NopCloser(strings.NewReader(string(body)))
					token = r.PostFormValue("assertion")
					if r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || bearer {
						problem = "not as RFC 7523 has it: " + string(body)
					}
				} else if len(body) > 0 || r.URL.Path != "/apps/42/tokens" {
					problem = "not a bearer token alone: " + r.URL.Path + " " + string(body)
				}
				claims := jwt.MapClaims{}
				if _, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return &key.PublicKey, nil }, jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuedAt()); err != nil {
					problem = err.Error()
				}
				if aud, _ := claims.GetAudience(); len(aud) > 0 != (tt.audience != "") || len(aud) > 0 && !strings.HasSuffix(aud[0], tt.audience) {
					problem = fmt.Sprintf("the audience is %v", aud)
				}
				if iat, _ := claims.GetIssuedAt(); iat == nil || time.Since(iat.Time) < 50*time.Second || claims["iss"] != "app-7" {
					problem = fmt.Sprintf("the claims are %v", claims)
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"token":"t-1"}`)
			}))
			defer server.Close()
			m, problems := manifest.Parse("app.yaml", []byte(`manifest: 1
id: app
title: App
version: 1.0.0
connection:
  fields: {installation: {type: string}}
  auth:
    - {id: app, type: jwt, assertion: `+tt.assertion+`, fields: [installation], lifetime: 9m, secrets: {app_id: {title: App}, private_key: {title: Key}},
       claims: {iss: "${{ secret.app_id }}", iat: "${{ int(format_date(now(), 'unix')) - 60 }}"}, token: response.body.token, expires_in: "3600",
       token_url: "`+server.URL+`/apps/${{ connection.installation }}/tokens"}
hosts: ["127.0.0.1"]
defaults: {base_url: "`+server.URL+`"}
actions:
  read: {title: Read, safe: true, request: {method: GET, path: /v1/x}}
`), nil)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			scheme := m.Connector.Scheme("app")
			if len(scheme.Fields) != 1 || scheme.Fields[0] != "installation" {
				t.Errorf("the auth needs the fields %v", scheme.Fields)
			}
			now := time.Now()
			g, err := scheme.Obtain(t.Context(), &connectors.Call{HTTP: server.Client(), Now: now, Connection: connectors.Connection{
				Name: "main", Connector: "app", Auth: "app", Fields: map[string]any{"installation": "42"},
				Secrets: map[string]string{"app_id": "app-7", "private_key": private},
			}})
			if err != nil || problem != "" {
				t.Fatalf("%v %s", err, problem)
			}
			if g.Token != "t-1" || g.Expires.Sub(now) != time.Hour {
				t.Errorf("got %+v", g)
			}
		})
	}
}

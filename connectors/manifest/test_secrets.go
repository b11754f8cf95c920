package manifest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"

	"github.com/bellhop-dev/bellhop/connectors"
)

const invented = "invented-"

// invent makes a connection for a test.
func (m *Manifest) invent(t *Test) (connectors.Connection, error) {
	c := m.Connector
	conn := connectors.Connection{Name: "test", Connector: c.ID, Fields: map[string]any{}, Secrets: map[string]string{}}
	for name, f := range c.Fields.Properties {
		switch {
		case f.Default != nil || name == "base_url":
		case len(f.Enum) > 0:
			conn.Fields[name] = f.Enum[0]
		case len(f.Examples) > 0:
			conn.Fields[name] = f.Examples[0]
		default:
			conn.Fields[name] = "example"
		}
	}
	if len(c.Auth) > 0 {
		s := &c.Auth[0]
		for i := range c.Auth {
			if t.auth == c.Auth[i].ID || t.auth == "" && c.Auth[i].Type != connectors.AuthOAuth2 && s.Type == connectors.AuthOAuth2 {
				s = &c.Auth[i]
			}
		}
		conn.Auth = s.ID
		for i := range s.Secrets {
			name := s.Secrets[i].Name
			if s.Secrets[i].Optional {
				continue
			}
			conn.Secrets[name] = invented + name
			if s.Type == connectors.AuthURL && name == "url" {
				conn.Secrets[name] = "https://" + first(c.Hosts, "hooks.example.com") + "/invented-hook"
			}
			if j := m.source.schemes[s.ID].jwt; j != nil && j.key == name && j.algorithm != "HS256" {
				keys, err := inventKeys()
				if err != nil {
					return conn, err
				}
				conn.Secrets[name] = keys[j.algorithm]
			}
		}
	}
	if c.SigningSecret != nil || len(c.Endpoints) > 0 {
		conn.Secrets["signing_secret"] = invented + "signing-secret"
	}
	kept := map[string]bool{}
	for _, s := range m.source.schemes {
		for name := range s.keep {
			kept[name] = true
		}
	}
	for name, v := range t.connection {
		_, isField := c.Fields.Properties[name]
		switch {
		case isField:
			conn.Fields[name] = v
		case kept[name]:
			if conn.Kept == nil {
				conn.Kept = map[string]any{}
			}
			conn.Kept[name] = v
		default:
			conn.Secrets[name] = textOf(v)
		}
	}
	return conn, nil
}

func first(hosts []string, otherwise string) string {
	if len(hosts) == 0 {
		return otherwise
	}
	if bare, wild := strings.CutPrefix(hosts[0], "*."); wild {
		return "hooks." + bare
	}
	return hosts[0]
}

var inventKeys = sync.OnceValues(func() (map[string]string, error) {
	keys := map[string]string{}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	for name, key := range map[string]any{"RS256": r, "ES256": e} {
		b, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		keys[name] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
	}
	return keys, nil
})

// inventToken stands for whoever keeps tokens. A test that names its auth goes through getting one, others do not.
func (m *Manifest) inventToken(call *connectors.Call, t *Test) {
	scheme := m.Connector.Scheme(call.Connection.Auth)
	if scheme == nil || !m.source.schemes[scheme.ID].hasToken() {
		return
	}
	n := 0
	call.Token = func(ctx context.Context, refused string) (string, error) {
		if scheme.Obtain != nil && t.auth != "" {
			if n > 0 && refused == "" {
				return fmt.Sprintf("token-%d", n), nil
			}
			n++
			g, err := scheme.Obtain(ctx, call)
			return g.Token, err
		}
		if refused != "" {
			return invented + "token-2", nil
		}
		return invented + "token", nil
	}
}

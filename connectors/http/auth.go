package http

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
)

const defaultHeader = "X-API-Key"

// authorize adds the secrets of the connection, if the host is one where they may go.
func (r *request) authorize(conn connectors.Connection) error {
	if conn.IsZero() {
		return nil
	}
	for _, secret := range conn.Secrets {
		if secret != "" {
			r.secrets = append(r.secrets, secret)
		}
	}
	r.credentials = true
	if err := mayGo(conn, r.url); err != nil {
		return err
	}
	secret := func(name string) (string, error) {
		if s := conn.Secrets[name]; s != "" {
			return s, nil
		}
		return "", fmt.Errorf("connection %s has no %s", conn.Name, name)
	}
	switch conn.Auth {
	case "":
		return nil // a connection may hold nothing but a base address
	case "bearer":
		token, err := secret("token")
		if err != nil {
			return err
		}
		return r.setSecret("Authorization", "Bearer "+token)
	case "basic":
		username := field(conn, "username")
		if username == "" {
			username = conn.Secrets["username"]
		}
		password := conn.Secrets["password"] // some systems want a user name and an empty password
		if username == "" && password == "" {
			return fmt.Errorf("connection %s has no username and no password", conn.Name)
		}
		if strings.Contains(username, ":") {
			return fmt.Errorf("connection %s: a user name cannot contain a colon", conn.Name)
		}
		return r.setSecret("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
	case "header":
		token, err := secret("token")
		if err != nil {
			return err
		}
		name := field(conn, "header")
		if name == "" {
			name = defaultHeader
		}
		if wire.Reserved(name) {
			return fmt.Errorf("connection %s: the header %s cannot be set", conn.Name, name)
		}
		return r.setSecret(name, token)
	case "query":
		token, err := secret("token")
		if err != nil {
			return err
		}
		name := field(conn, "name")
		if name == "" {
			return fmt.Errorf("connection %s does not name its query parameter (name)", conn.Name)
		}
		r.addQuery(name, token)
		return nil
	}
	return fmt.Errorf("connection %s: there is no auth %q", conn.Name, conn.Auth)
}

func (r *request) setSecret(name, text string) error {
	if _, twice := r.header[http.CanonicalHeaderKey(name)]; twice {
		return fmt.Errorf("the header %s is set by the connection; leave it out of headers", name)
	}
	return r.setHeader(name, text)
}

// mayGo checks the host of the call against the hosts of the connection. One that has a secret must name them: otherwise
// whoever edits a workflow could send it anywhere. A leading *. stands for one or more whole labels; an entry without a
// port admits every port.
func mayGo(conn connectors.Connection, u *url.URL) error {
	if !wire.ASCIIHost(u) {
		return errors.New("url: a host that gets a secret is written in ASCII (xn--…), so that it cannot be mistaken")
	}
	allowed := conn.Hosts
	if base := field(conn, "base_url"); base != "" {
		b, err := url.Parse(base)
		if err != nil || b.Host == "" {
			return fmt.Errorf("connection %s: base_url is not an address", conn.Name)
		}
		if b.Scheme == "https" && u.Scheme != "https" && strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), b.Hostname()) {
			return fmt.Errorf("connection %s: its base_url is https, and a secret is not sent to the same host in the open", conn.Name)
		}
		allowed = append([]string{b.Host}, allowed...)
	}
	if len(allowed) == 0 {
		if conn.Auth == "" {
			return nil // it holds no secret
		}
		return fmt.Errorf("connection %s does not say where its secret may go; give it a base address, or its hosts, such as hosts: [%s]", conn.Name, u.Host)
	}
	for _, entry := range allowed {
		if wire.HostMatches(entry, u) {
			return nil
		}
	}
	return fmt.Errorf("connection %s may not be used with %s; if it should be, add the host to its hosts in bellhop.yaml", conn.Name, u.Host)
}

func field(conn connectors.Connection, name string) string {
	v, ok := conn.Fields[name]
	if !ok {
		return ""
	}
	return strings.TrimSpace(value.Text(v))
}

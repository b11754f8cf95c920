package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
)

// account is a connection, read.
type account struct {
	username, password string
	oauth              bool // password is an access token
	from               string
	roots              *x509.CertPool // nil: those of the machine
}

// server is one of its two servers.
type server struct {
	host     string
	port     int
	security string // tls, starttls, none
}

func (s server) address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// accountOf reads the connection. refused is a token that was not accepted, else empty.
func accountOf(ctx context.Context, c *connectors.Call, refused string) (*account, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("the call was stopped: %w", err)
	}
	conn := c.Connection
	if conn.IsZero() {
		return nil, connectors.Permanent(errors.New("name a connection: it says which servers to use"))
	}
	if c.Dial == nil {
		return nil, connectors.Permanent(errors.New("no mail can be sent or read from here"))
	}
	a := &account{username: text(conn, "username"), from: text(conn, "from")}
	if a.from == "" {
		a.from = a.username
	}
	if pem := text(conn, "ca"); pem != "" {
		a.roots = x509.NewCertPool()
		if !a.roots.AppendCertsFromPEM([]byte(pem)) {
			return nil, connectors.Permanent(fmt.Errorf("connection %s: ca holds no certificate in PEM form", conn.Name))
		}
	}
	if conn.Auth == "google" || conn.Auth == "microsoft" {
		if c.Token == nil {
			return nil, connectors.Permanent(fmt.Errorf("connection %s: somebody has to sign in first", conn.Name))
		}
		token, err := c.Token(ctx, refused)
		if err != nil {
			return nil, err
		}
		a.oauth, a.password = true, token
		return a, nil
	}
	a.password = conn.Secrets["password"]
	return a, nil
}

func text(conn connectors.Connection, name string) string {
	v, ok := conn.Fields[name]
	if !ok || v == nil {
		return ""
	}
	return strings.TrimSpace(value.Text(v))
}

// providers are the servers of accounts that people sign in to.
var providers = map[string]map[string]server{
	"google":    {"smtp": {"smtp.gmail.com", 465, "tls"}, "imap": {"imap.gmail.com", 993, "tls"}},
	"microsoft": {"smtp": {"smtp.office365.com", 587, "starttls"}, "imap": {"outlook.office365.com", 993, "tls"}},
}

var ports = map[string]map[string]int{
	"smtp": {"tls": 465, "starttls": 587, "none": 25},
	"imap": {"tls": 993, "starttls": 143, "none": 143},
}

// serverOf reads which server a connection names for smtp or imap; ok is false when it names none.
func serverOf(conn connectors.Connection, kind string) (s server, ok bool, err error) {
	if s, ok := providers[conn.Auth][kind]; ok { // a token goes nowhere else
		return s, true, nil
	}
	s = server{host: text(conn, kind+"_host"), security: text(conn, kind+"_security")}
	if s.host == "" {
		return s, false, nil
	}
	if s.security == "" {
		s.security = "tls"
	}
	if s.port = ports[kind][s.security]; s.port == 0 {
		return s, false, fmt.Errorf("connection %s: %s_security is %q; it is one of tls, starttls and none", conn.Name, kind, s.security)
	}
	if p := text(conn, kind+"_port"); p != "" {
		if s.port, err = strconv.Atoi(p); err != nil || s.port < 1 || s.port > 65535 {
			return s, false, fmt.Errorf("connection %s: %s_port is %q, which is no port", conn.Name, kind, p)
		}
	}
	if strings.ContainsAny(s.host, "/: \t@") {
		return s, false, fmt.Errorf("connection %s: %s_host is %q; write a name such as %s.example.com", conn.Name, kind, s.host, kind)
	}
	return s, true, nil
}

func (a *account) tls(host string) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: a.roots, MinVersion: tls.VersionTLS12}
}

// explain says in plain words why a server did not do what was asked. The password is in no message of a server.
func explain(ctx context.Context, s server, err error) error {
	var code *textproto.Error
	if errors.As(err, &code) {
		return err
	}
	return wire.Describe(ctx, s.address(), err)
}

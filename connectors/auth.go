package connectors

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// AuthScheme is one way in which a connection proves who it is. A person picks one by its ID.
type AuthScheme struct {
	ID      string
	Type    string // how it works: one of the Auth constants; only forms and the OAuth2 flows look at it
	Title   string
	Help    string   // where a person finds the secrets; may be empty
	Secrets []Secret // what a person enters
	Fields  []string // names of the plain values that it needs, such as "header"; they are among Connector.Fields
	Test    *Test    // the call that tells whether a connection of this kind works; nil: Connector.Test

	// OAuth2 is set for type oauth2: who makes connections runs its flow, and keeps the Grant.
	OAuth2 *OAuth2
	// Obtain gets a token with nothing but the connection's own secrets: by a login, by a signed JWT, by client
	// credentials. nil: there is no token, or a person has to consent first. c.Input, c.Key and c.Token are not set.
	Obtain func(ctx context.Context, c *Call) (Grant, error)
}

// SecretNames are the names of the secrets, in their order.
func (s *AuthScheme) SecretNames() []string {
	names := make([]string, len(s.Secrets))
	for i := range s.Secrets {
		names[i] = s.Secrets[i].Name
	}
	return names
}

// Types of auth.
const (
	AuthKeys   = "keys"   // any number of secrets, put into headers or the query
	AuthBasic  = "basic"  // username, password (RFC 7617)
	AuthBearer = "bearer" // token (RFC 6750)
	AuthURL    = "url"    // the address itself is the secret
	AuthLogin  = "login"  // a first request gives a token
	AuthJWT    = "jwt"    // a signed JWT is the token, or is traded for one (RFC 7523)
	AuthOAuth2 = "oauth2" // RFC 6749
	AuthSigV4  = "sigv4"  // AWS Signature Version 4
)

// Secret describes one secret value for the form.
type Secret struct {
	Name      string // key of Connection.Secrets and of the connection in bellhop.yaml
	Title     string
	Help      string // where a person finds it; may be empty
	Pattern   string // RE2 that the value matches; empty: any
	Multiline bool   // such as a private key
	Optional  bool
}

// OAuth2 says how a system does OAuth2. It is data for who runs the flow, apart from the functions, which put the
// fields of the connection into addresses.
type OAuth2 struct {
	Flow         string                           // authorization_code, client_credentials, device_code, password
	AuthorizeURL func(Connection) (string, error) // flow authorization_code
	DeviceURL    func(Connection) (string, error) // flow device_code
	TokenURL     func(Connection) (string, error)
	PKCE         bool   // method S256 (RFC 7636)
	Client       string // how client id and secret travel: basic, post, none, private_key_jwt

	Scopes         []string // what is asked for unless the connection says otherwise
	OptionalScopes []string // what a person may add
	Separator      string   // between scopes; a blank by RFC 6749

	AuthorizeParams map[string]string // further parameters of the authorization request
	TokenParams     map[string]string // further parameters of the token request
	// CallbackVerify names the preset that signs the query of the redirect (shopify); empty: it is not signed.
	CallbackVerify string
	// Read takes the token out of the answer of the token address, for the first token and for each refresh.
	Read func(a Answer) (Grant, error)
}

// Answer is an HTTP answer as plain data, the `response` of expressions.
type Answer struct {
	Status  int
	Headers map[string]any // names in lower case
	Body    any            // decoded by its type, else text
}

// AnswerOf makes the Answer of an http.Response whose body was decoded.
func AnswerOf(status int, h http.Header, body any) Answer {
	return Answer{Status: status, Headers: headersOf(h), Body: body}
}

// Grant is what a system handed out.
type Grant struct {
	Token   string
	Refresh string         // refresh token; empty: the one before stays valid, or there is none
	Expires time.Time      // zero: unknown
	Kept    map[string]any // what expressions read as connection.<name>: Connection.Kept
}

// ReadToken is the OAuth2.Read of a system that answers as RFC 6749, section 5.1, has it.
func ReadToken(a Answer) (Grant, error) {
	fields, _ := a.Body.(map[string]any)
	g := Grant{}
	g.Token, _ = fields["access_token"].(string)
	g.Refresh, _ = fields["refresh_token"].(string)
	if g.Token == "" {
		return g, errors.New("it has no access_token")
	}
	switch n := fields["expires_in"].(type) {
	case int:
		g.Expires = time.Now().Add(time.Duration(n) * time.Second)
	case float64:
		g.Expires = time.Now().Add(time.Duration(n) * time.Second)
	case string:
		if s, err := strconv.Atoi(n); err == nil {
			g.Expires = time.Now().Add(time.Duration(s) * time.Second)
		}
	}
	return g, nil
}

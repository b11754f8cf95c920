package manifest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// jwt is the auth of service accounts: a token that we sign ourselves (RFC 7519), which is the access token or is
// traded for one (RFC 7523).
type jwt struct {
	algorithm string
	claims    *expression.Tree
	headers   *expression.Tree
	tokenURL  *expression.Template // nil: the JWT itself is the token
	bearer    bool                 // the JWT goes to tokenURL as Authorization: Bearer, not in a form
	key       string               // name of the secret that signs
}

func (r *reader) jwt(o *workflow.Object, s *scheme) {
	j := &jwt{algorithm: o.Word("algorithm", "RS256", "RS256", "ES256", "HS256"), key: "private_key"}
	j.bearer = o.Word("assertion", "form", "form", "header") == "header"
	s.jwt = j
	if n := o.Value("key"); n != nil {
		j.key, _ = r.Text(n, "key")
	}
	if n := o.Value("token_url"); n != nil {
		r.src.addresses = append(r.src.addresses, n)
		j.tokenURL = r.template(n, "token_url", inBase)
	} else if n := o.Take("assertion"); n != nil {
		r.Errorf(n, "add token_url, or remove the line", "assertion says how the JWT goes to token_url, and there is none")
	}
	if n := o.Need("claims", "such as claims: {iss: \"${{ secret.email }}\"}"); n != nil {
		j.claims = r.tree(n, "claims", inAuth)
		if n.Kind != yaml.MappingNode {
			r.Errorf(n, "", "claims are a mapping")
		}
	}
	if n := o.Value("header"); n != nil {
		j.headers = r.tree(n, "header", inAuth)
	}
	if n := o.Take("secrets"); n != nil {
		names := keysOf(asObject(r.Data(n)))
		if !slices.Contains(names, j.key) {
			r.Errorf(n, "the secret that signs is named private_key, or as key says", "there is no secret %q", j.key)
		}
	} else {
		o.Need("secrets", "such as secrets: {private_key: {title: Private key, multiline: true}}")
	}
}

// obtainJWT signs a token, and trades it for one where that is asked for.
func (s *scheme) obtainJWT(ctx context.Context, c *connectors.Call) (connectors.Grant, error) {
	now := c.Now
	if now.IsZero() {
		now = time.Now()
	}
	w := s.words(c)
	claims := map[string]any{"iat": int(now.Unix()), "exp": int(now.Add(s.lifetime).Unix())}
	address := ""
	if s.jwt.tokenURL != nil {
		var err error
		if address, err = w.text(ctx, s.jwt.tokenURL); err != nil {
			return connectors.Grant{}, connectors.Permanent(s.hide(err, c))
		}
		if !s.jwt.bearer {
			claims["aud"] = address // RFC 7523, section 3
		}
	}
	v, err := w.data(ctx, s.jwt.claims)
	if err != nil {
		return connectors.Grant{}, connectors.Permanent(s.hide(err, c))
	}
	for name, claim := range asObject(v) {
		claims[name] = claim
	}
	header := map[string]any{}
	if s.jwt.headers != nil {
		h, err := w.data(ctx, s.jwt.headers)
		if err != nil {
			return connectors.Grant{}, connectors.Permanent(s.hide(err, c))
		}
		header, _ = h.(map[string]any)
	}
	token, err := signJWT(s.jwt.algorithm, c.Connection.Secrets[s.jwt.key], header, claims)
	if err != nil {
		return connectors.Grant{}, connectors.Permanent(fmt.Errorf("connection %s: %s: %w", c.Connection.Name, s.jwt.key, err))
	}
	if s.jwt.tokenURL == nil {
		return connectors.Grant{Token: token, Expires: now.Add(s.lifetime)}, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return connectors.Grant{}, connectors.Permanent(errors.New("token_url is no address"))
	}
	if s.jwt.bearer {
		h := http.Header{"Authorization": {"Bearer " + token}, "Accept": {"application/json"}}
		return s.fetch(ctx, c, w, http.MethodPost, u, h, nil)
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {token}}
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	return s.fetch(ctx, c, w, http.MethodPost, u, h, []byte(form.Encode()))
}

// clientAssertion proves to a token address who the client is (RFC 7523, section 2.2).
func clientAssertion(c *connectors.Call, id, audience string) (string, error) {
	now := c.Now
	if now.IsZero() {
		now = time.Now()
	}
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	token, err := signJWT("RS256", c.Connection.Secrets["client_secret"], nil, map[string]any{
		"iss": id, "sub": id, "aud": audience, "jti": hex.EncodeToString(nonce), "iat": int(now.Unix()), "exp": int(now.Add(5 * time.Minute).Unix()),
	})
	if err != nil {
		return "", fmt.Errorf("connection %s: client_secret: %w", c.Connection.Name, err)
	}
	return token, nil
}

func signJWT(algorithm, key string, header, claims map[string]any) (string, error) {
	head := map[string]any{"alg": algorithm, "typ": "JWT"}
	for name, v := range header {
		head[name] = v
	}
	h, err := value.AppendJSON(nil, head)
	if err != nil {
		return "", err
	}
	b, err := value.AppendJSON(nil, claims)
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(b)
	sum := sha256.Sum256([]byte(signed))
	var signature []byte
	if algorithm == "HS256" {
		if key == "" {
			return "", errors.New("it is empty")
		}
		m := hmac.New(sha256.New, []byte(key))
		m.Write([]byte(signed))
		signature = m.Sum(nil)
	} else {
		private, err := privateKey(key)
		if err != nil {
			return "", err
		}
		switch private := private.(type) {
		case *rsa.PrivateKey:
			if algorithm != "RS256" {
				return "", errors.New("it is an RSA key, and the algorithm needs an elliptic curve")
			}
			signature, err = rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, sum[:])
		case *ecdsa.PrivateKey:
			if algorithm != "ES256" || private.Curve.Params().BitSize != 256 {
				return "", errors.New("it is a key of another kind than the algorithm needs")
			}
			r, s, signErr := ecdsa.Sign(rand.Reader, private, sum[:])
			if err = signErr; err == nil {
				signature = make([]byte, 64)
				r.FillBytes(signature[:32])
				s.FillBytes(signature[32:])
			}
		}
		if err != nil {
			return "", errors.New("it cannot sign")
		}
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// privateKey reads a key in PEM, also one whose line breaks were written as \n. Its errors hold nothing of the key.
func privateKey(text string) (crypto.PrivateKey, error) {
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n")
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("it is no private key in PEM (-----BEGIN PRIVATE KEY-----)")
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, errors.New("it is no private key that can be read")
}

// signV4 signs a request by AWS Signature Version 4.
func (s *scheme) signV4(ctx context.Context, c *connectors.Call, req *http.Request, body []byte) error {
	w := words{roots: map[string]any{"connection": s.src.connection(c.Connection)}}
	region, err := w.text(ctx, s.region)
	if err != nil {
		return connectors.Permanent(fmt.Errorf("region: %w", err))
	}
	service, err := w.text(ctx, s.service)
	if err != nil {
		return connectors.Permanent(fmt.Errorf("service: %w", err))
	}
	now := time.Now() // of the request, not of the step: it may be 15 minutes off at most
	signV4(req, body, c.Connection.Secrets, region, service, now)
	return nil
}

func signV4(req *http.Request, body []byte, secrets map[string]string, region, service string, now time.Time) {
	stamp, date := now.UTC().Format("20060102T150405Z"), now.UTC().Format("20060102")
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Date", stamp)
	if service == "s3" {
		req.Header.Set("X-Amz-Content-Sha256", payload)
	}
	if token := secrets["session_token"]; token != "" {
		req.Header.Set("X-Amz-Security-Token", token)
	}
	names := []string{"host"}
	for name := range req.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") || lower == "content-type" {
			names = append(names, lower)
		}
	}
	slices.Sort(names)
	var headers strings.Builder
	for _, name := range names {
		v := req.URL.Host
		if name != "host" {
			v = strings.Join(strings.Fields(strings.Join(req.Header.Values(name), ",")), " ")
		}
		headers.WriteString(name + ":" + v + "\n")
	}
	path := req.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	if service != "s3" { // everyone but S3 escapes the path a second time
		parts := strings.Split(path, "/")
		for i := range parts {
			parts[i] = strings.ReplaceAll(url.QueryEscape(parts[i]), "+", "%20")
		}
		path = strings.Join(parts, "/")
	}
	var query []string
	for name, values := range req.URL.Query() {
		for _, v := range values {
			query = append(query, strings.ReplaceAll(url.QueryEscape(name)+"="+url.QueryEscape(v), "+", "%20"))
		}
	}
	slices.Sort(query)
	signedHeaders := strings.Join(names, ";")
	canonical := strings.Join([]string{req.Method, path, strings.Join(query, "&"), headers.String(), signedHeaders, payload}, "\n")
	hashed := sha256.Sum256([]byte(canonical))
	scope := date + "/" + region + "/" + service + "/aws4_request"
	text := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(hashed[:])
	key := []byte("AWS4" + secrets["secret_access_key"])
	for _, part := range []string{date, region, service, "aws4_request", text} {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(part))
		key = m.Sum(nil)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+secrets["access_key_id"]+"/"+scope+
		", SignedHeaders="+signedHeaders+", Signature="+hex.EncodeToString(key))
}

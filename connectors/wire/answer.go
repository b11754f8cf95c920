// Package wire is the half of HTTP that every connector shares: reading an answer within bounds, saying in plain words
// what went wrong without repeating a secret, the hosts where secrets may go, and bodies of several parts.
package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

// MaxAnswer bounds an answer's body after decoding, in bytes.
const MaxAnswer = 10 << 20

// Read reads the whole answer, decoded, within the bound. Its error is one that a person can read.
func Read(ctx context.Context, host string, res *http.Response) ([]byte, error) {
	tooLarge := func() error {
		return connectors.Permanent(fmt.Errorf("the answer of %s is longer than %d MiB", host, MaxAnswer>>20))
	}
	if res.Request != nil && res.Request.Method == http.MethodHead {
		return nil, nil
	}
	if res.ContentLength > MaxAnswer {
		return nil, tooLarge()
	}
	if res.ContentLength >= 0 { // the length is known: one allocation
		body := make([]byte, res.ContentLength)
		if _, err := io.ReadFull(res.Body, body); err != nil {
			return nil, Describe(ctx, host, err)
		}
		return body, nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	if err != nil {
		return nil, Describe(ctx, host, err)
	}
	if len(body) > MaxAnswer {
		return nil, tooLarge()
	}
	return body, nil
}

// Parse reads a body by its type. What is not what its type says is kept as text, so that nothing is lost.
func Parse(contentType string, body []byte) any {
	if len(body) == 0 {
		return nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		media, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(contentType)), ";")
	}
	var v any
	err = errNoParser
	switch {
	case media == "application/json", media == "text/json", strings.HasSuffix(media, "+json"):
		text := trimBOM(body)
		if isLatin1(params["charset"]) && !utf8.Valid(text) {
			text = []byte(latin1(text))
		}
		v, err = value.DecodeJSON(text)
	case media == "application/xml", media == "text/xml", strings.HasSuffix(media, "+xml") && media != "image/svg+xml" && media != "application/xhtml+xml":
		v, err = value.DecodeXML(body)
	case media == "application/x-www-form-urlencoded":
		v, err = value.DecodeForm(body)
	case binary(media):
		return base64.StdEncoding.EncodeToString(body)
	}
	if err == nil {
		return v
	}
	if isLatin1(params["charset"]) {
		return latin1(body)
	}
	if body = trimBOM(body); utf8.Valid(body) {
		return string(body)
	}
	return base64.StdEncoding.EncodeToString(body)
}

var errNoParser = errors.New("no parser")

// binary goes by the type alone, so that the same address does not give text once and base64 the next time.
func binary(media string) bool {
	switch media {
	case "application/octet-stream", "application/pdf", "application/zip", "application/gzip", "application/x-gzip", "application/x-tar":
		return true
	case "image/svg+xml":
		return false
	}
	kind, _, _ := strings.Cut(media, "/")
	return kind == "image" || kind == "audio" || kind == "video" || kind == "font"
}

func trimBOM(b []byte) []byte {
	if len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF {
		return b[3:]
	}
	return b
}

func isLatin1(charset string) bool {
	charset = strings.ToLower(charset)
	return charset == "iso-8859-1" || charset == "latin1"
}

func latin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

// Excerpt is the beginning of what the other side said, on one line and without the secrets; empty where it says
// nothing to a person.
func Excerpt(contentType string, body []byte, secrets []string) string {
	const most = 200 // bytes
	media, _, _ := strings.Cut(contentType, ";")
	if media = strings.TrimSpace(strings.ToLower(media)); media == "text/html" || binary(media) || !utf8.Valid(body) {
		return ""
	}
	text := string(body)
	if len(text) > 64<<10 {
		text = text[:64<<10]
	}
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	text = strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f && c < 0xa0 }), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// maxRetryAfter bounds what another system can ask for.
const maxRetryAfter = 30 * 24 * time.Hour

// RetryAfter reads the Retry-After header: seconds or a date (RFC 9110, section 10.2.3). A date is compared with the
// Date of the same answer where there is one, so that a wrong clock on either side does no harm.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		if n > uint64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(n) * time.Second, true // bounded above
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}

// late is an answer that did not come in time, without the words of package context.
type late struct{ host string }

func (e late) Error() string { return e.host + " did not answer in time" }
func (e late) Unwrap() error { return context.DeadlineExceeded }

// distrust says in plain words what is wrong with a certificate.
func distrust(err error) string {
	var (
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it has expired, or does not hold yet"
	case errors.As(err, &authority):
		return "no authority that this machine knows has signed it"
	case errors.As(err, &hostname):
		return "it was made for another name"
	}
	return "it cannot be trusted"
}

// Describe says in plain words why there is no answer. It takes the error apart, because the text of a *url.Error
// holds the whole address, query included.
func Describe(ctx context.Context, host string, err error) error {
	var wrapped *url.Error
	for errors.As(err, &wrapped) { // a client may wrap what its transport wrapped
		err = wrapped.Err
	}
	var policy interface{ Permanent() bool }
	if errors.As(err, &policy) && policy.Permanent() {
		return connectors.Permanent(err)
	}
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return late{host}
		}
		return fmt.Errorf("the call to %s was stopped: %w", host, ctx.Err())
	}
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		hostname    x509.HostnameError
		timeout     net.Error
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("there is no host %s", host)
	case errors.As(err, &dns):
		return fmt.Errorf("the name %s could not be looked up: %w", host, dns)
	case errors.As(err, &hostname), errors.As(err, &certificate):
		return connectors.Permanent(fmt.Errorf("the certificate of %s is not valid: %s, so nothing was sent: %w", host, distrust(err), err))
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s (connection refused)", host)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s did not answer in time: %w", host, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%s closed the connection before its answer was complete", host)
	}
	return fmt.Errorf("the call to %s failed: %w", host, err)
}

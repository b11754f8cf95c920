// Package outbound is the only way out of Bellhop: the one dialer and the one HTTP client that every connector
// uses. It refuses addresses inside the network unless the settings allow them, and it checks the address that is
// dialed, not the text of the URL, so that no spelling, redirect or change of DNS gets around it.
package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Bounds of one call. A caller whose context has a deadline chooses its own wait for an answer.
const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 30 * time.Second
	connsPerHost  = 640              // more than there are workers, so that a slow host's calls of one workflow do not hold up those of another
	defaultBody   = 64 << 20         // bytes, decoded; connectors have tighter bounds of their own
	headerBytes   = 256 << 10        // of an answer
	idleTimeout   = 90 * time.Second // how long an unused connection is kept
)

// Options are the settings of the way out.
type Options struct {
	Allow     []netip.Prefix // `outbound.allow`: inside addresses that may be called all the same
	UserAgent string         // such as "Bellhop/1.2.0"; sent where the call has none
	MaxBody   int64          // most bytes of one answer after decoding; 0: 64 MiB
}

// New returns the client. It follows no redirect (the 3xx answer is returned), keeps no cookies, ignores the proxy
// variables of the environment and always verifies TLS. Its errors unwrap to [*RefusedError] when the policy said
// no, and to [*TooLargeError] when an answer was longer than MaxBody.
func New(o Options) *http.Client {
	if o.MaxBody == 0 {
		o.MaxBody = defaultBody
	}
	policy := policy{allow: append([]netip.Prefix(nil), o.Allow...)}
	dialer := policy.dialer()
	return &http.Client{
		Transport: &transport{
			userAgent:  o.UserAgent,
			maxBody:    o.MaxBody,
			headerWait: headerTimeout,
			policy:     policy,
			base: &http.Transport{
				Proxy: nil, // a proxy would dial in our place, out of reach of the policy
				DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					return dial(ctx, dialer, network, addr)
				},
				TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
				ForceAttemptHTTP2:      true, // a custom dialer turns it off otherwise
				TLSHandshakeTimeout:    dialTimeout,
				MaxIdleConns:           2 * connsPerHost,
				MaxIdleConnsPerHost:    connsPerHost,
				MaxConnsPerHost:        connsPerHost,
				IdleConnTimeout:        idleTimeout,
				MaxResponseHeaderBytes: headerBytes,
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Dialer returns the way out for what is no HTTP, such as mail. It dials TCP only, under the same policy; refusals
// unwrap to [*RefusedError].
func Dialer(o Options) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := policy{allow: append([]netip.Prefix(nil), o.Allow...)}.dialer()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, dialer, network, address)
	}
}

func (p policy) dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, ControlContext: p.control}
}

// dial names the host of the URL in a refusal: control sees only the address.
func dial(ctx context.Context, d *net.Dialer, network, addr string) (net.Conn, error) {
	conn, err := d.DialContext(ctx, network, addr)
	var refused *RefusedError
	if errors.As(err, &refused) {
		host, _, _ := net.SplitHostPort(addr)
		return nil, &RefusedError{Host: host, Addr: refused.Addr, Reason: refused.Reason}
	}
	return conn, err
}

// control runs after resolution and before connect, once for each address that is tried.
func (p policy) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp4", "tcp6":
	default:
		return &RefusedError{Reason: "only TCP connections are made"}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &RefusedError{Reason: "this is not an address"}
	}
	return p.check(ap.Addr())
}

type transport struct {
	base       *http.Transport
	policy     policy
	userAgent  string
	maxBody    int64
	headerWait time.Duration // where the caller set no deadline
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the pool: settings that change make a new
// client, and the connections of the old one were dialed under the old policy.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// RoundTrip sends one request under the policy.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.policy.checkRequest(req); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	out := req
	if _, set := req.Header["User-Agent"]; !set && t.userAgent != "" {
		// A RoundTripper may not change the request it was given.
		shallow := *req
		shallow.Header = req.Header.Clone()
		if shallow.Header == nil {
			shallow.Header = make(http.Header, 1)
		}
		shallow.Header["User-Agent"] = []string{t.userAgent}
		out = &shallow
	}
	if _, bounded := req.Context().Deadline(); bounded {
		res, err := t.base.RoundTrip(out)
		return t.bound(res, nil), err
	}
	ctx, cancel := context.WithCancelCause(out.Context())
	noAnswer := timeoutError{t.headerWait}
	timer := time.AfterFunc(t.headerWait, func() { cancel(noAnswer) })
	res, err := t.base.RoundTrip(out.WithContext(ctx))
	timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), noAnswer) {
			err = noAnswer
		}
		cancel(nil)
		return nil, err
	}
	return t.bound(res, func() { cancel(nil) }), nil
}

// bound puts the limit on an answer's body; done runs when the body is closed.
func (t *transport) bound(res *http.Response, done func()) *http.Response {
	if res != nil && res.Body != nil {
		res.Body = &body{ReadCloser: res.Body, left: t.maxBody, max: t.maxBody, done: done}
	}
	return res
}

// timeoutError is a net.Error, so that it is told apart from a refusal like every other timeout.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string { return fmt.Sprintf("no answer within %s", e.after) }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// TooLargeError is returned while reading an answer that is longer than the limit, after decoding.
type TooLargeError struct{ Limit int64 } // bytes

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the answer is longer than %d bytes", e.Limit)
}

// Permanent reports that another try gives the same result.
func (*TooLargeError) Permanent() bool { return true }

// body counts decoded bytes: net/http has undone gzip below it.
type body struct {
	io.ReadCloser
	left, max int64
	done      func()
	once      sync.Once
}

func (b *body) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one byte more shows that the answer goes on
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n, b.left = int(b.left), 0
		return n, &TooLargeError{Limit: b.max}
	}
	b.left -= int64(n)
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	if b.done != nil {
		b.once.Do(b.done)
	}
	return err
}

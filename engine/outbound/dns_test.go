package outbound_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/engine/outbound"
)

// serveDNS answers every A question with what addresses returns, to be used at once and never kept (TTL 0).
func serveDNS(t *testing.T, addresses func() []netip.Addr) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := answerDNS(buf[:n], addresses); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = conn.Close()
		<-done
	})
}

// answerDNS makes the answer to one question (RFC 1035, section 4).
func answerDNS(q []byte, addresses func() []netip.Addr) []byte {
	if len(q) < 12 {
		return nil
	}
	end := 12
	for end < len(q) && q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5 // the root label, type and class
	if end > len(q) {
		return nil
	}
	var list []netip.Addr
	if binary.BigEndian.Uint16(q[end-4:]) == 1 { // A
		list = addresses()
	}
	out := append([]byte(nil), q[:end]...)
	binary.BigEndian.PutUint16(out[2:], 0x8180) // an answer, recursion available
	binary.BigEndian.PutUint16(out[6:], uint16(len(list)))
	binary.BigEndian.PutUint16(out[8:], 0)
	binary.BigEndian.PutUint16(out[10:], 0)
	for _, a := range list {
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		b := a.As4()
		out = append(out, b[:]...)
	}
	return out
}

// T-17: a name that changes between an address that may be called and one that may not.
func TestRebinding(t *testing.T) {
	good, bad := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	port, canaryHits := canary(t) // at 127.0.0.1
	l, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skipf("127.0.0.2:%s: %v", port, err)
	}
	var goodHits atomic.Int64
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		goodHits.Add(1)
		w.Header().Set("Connection", "close") // so that each call resolves again
	})}
	go func() { _ = s.Serve(l) }()
	defer s.Close()

	var round atomic.Int64
	serveDNS(t, func() []netip.Addr {
		switch round.Add(1) % 3 {
		case 0:
			return []netip.Addr{bad}
		case 1:
			return []netip.Addr{good}
		}
		return []netip.Addr{bad, good}
	})
	c := outbound.New(outbound.Options{Allow: []netip.Prefix{netip.PrefixFrom(good, 32)}})
	const rounds = 300
	refusals := 0
	for range rounds {
		res, err := get(t, c, "http://rebind.example.com:"+port+"/")
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			continue
		}
		var refused *outbound.RefusedError
		if !errors.As(err, &refused) {
			t.Fatalf("not refused by the policy: %v", err)
		}
		if refused.Host != "rebind.example.com" || refused.Addr != bad {
			t.Fatalf("the refusal names %s and %s", refused.Host, refused.Addr)
		}
		refusals++
	}
	if canaryHits.Load() != 0 || goodHits.Load() != 2*rounds/3 || refusals != rounds/3 {
		t.Errorf("canary %d, good %d, refused %d of %d", canaryHits.Load(), goodHits.Load(), refusals, rounds)
	}
}

package signature

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
)

// maxHops bounds how many addresses of an X-Forwarded-For are looked at.
const maxHops = 32

// prepareAddress knows a caller by the address it comes from. Behind our own proxies that is the right-most address
// of X-Forwarded-For that is none of them: what stands left of it is what the caller wrote.
func prepareAddress(c *connectors.Verify, _ *Keys) (method, error) {
	allow, proxies := c.Allow, c.Proxies
	return method{verify: func(_ context.Context, r Request, _ Secrets) error {
		from, err := caller(r, proxies)
		if err != nil {
			return err
		}
		if !contains(allow, from) {
			return refuse(Mismatch, "the call comes from %s, which is not in allow", from)
		}
		return nil
	}}, nil
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

func caller(r Request, proxies []netip.Prefix) (netip.Addr, error) {
	at, ok := address(r.Peer)
	if !ok {
		return at, refuse(Missing, "the address of the caller is not known")
	}
	if !contains(proxies, at) {
		return at, nil
	}
	hops := strings.Split(strings.Join(r.Header[http.CanonicalHeaderKey("X-Forwarded-For")], ","), ",")
	if len(hops) > maxHops {
		return at, refuse(Malformed, "X-Forwarded-For holds more than %d addresses", maxHops)
	}
	for _, hop := range slices.Backward(hops) {
		if at, ok = address(strings.TrimSpace(hop)); !ok {
			return at, refuse(Malformed, "the proxy sent no X-Forwarded-For that can be read")
		}
		if !contains(proxies, at) {
			return at, nil
		}
	}
	return at, nil // the proxies called by themselves
}

// address reads an address with or without a port.
func address(text string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

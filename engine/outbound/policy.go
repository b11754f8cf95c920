package outbound

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// RefusedError says that the policy does not let a call out. Another try gives the same answer.
type RefusedError struct {
	Host   string     // as written in the URL; may be empty
	Addr   netip.Addr // the address that was dialed; zero when the URL alone was enough to refuse
	Reason string     // why, as the end of "refused because"
}

func (e *RefusedError) Error() string {
	if !e.Addr.IsValid() {
		return fmt.Sprintf("the call to %q was refused: %s", e.Host, e.Reason)
	}
	return fmt.Sprintf("the call to %s was refused: %s is %s; if this is meant, add %s to outbound.allow in bellhop.yaml",
		e.Host, e.Addr, e.Reason, netip.PrefixFrom(e.Addr, e.Addr.BitLen()))
}

// Permanent reports that another try cannot help. Connectors look for this method, for they cannot import this room.
func (*RefusedError) Permanent() bool { return true }

// inside lists what the internet does not reach or must not reach through us. The first match names the reason.
// Sources: the IANA special-purpose registries (RFC 6890 and its updates) and the metadata services of clouds that
// use addresses outside of them.
var inside = []struct {
	prefix netip.Prefix
	reason string
}{
	{netip.MustParsePrefix("127.0.0.0/8"), "this machine (loopback)"},
	{netip.MustParsePrefix("::1/128"), "this machine (loopback)"},
	{netip.MustParsePrefix("0.0.0.0/8"), "this machine (unspecified)"},
	{netip.MustParsePrefix("::/128"), "this machine (unspecified)"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address"},
	{netip.MustParsePrefix("fc00::/7"), "a private address"},
	{netip.MustParsePrefix("fec0::/10"), "a private address (site-local)"},
	{netip.MustParsePrefix("100.64.0.0/10"), "an address shared by a provider (CGNAT), or a cloud's metadata service"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address, where clouds serve their metadata"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's own service (Azure)"},
	{netip.MustParsePrefix("192.0.0.0/24"), "a reserved address, one of them a cloud's metadata service (Oracle)"},
	{netip.MustParsePrefix("192.0.2.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("198.51.100.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("2001:db8::/32"), "an address for documentation"},
	{netip.MustParsePrefix("3fff::/20"), "an address for documentation"},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for network tests"},
	{netip.MustParsePrefix("192.88.99.0/24"), "an address of a retired relay (6to4)"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved or broadcast address"},
	{netip.MustParsePrefix("64:ff9b::/96"), "an IPv4 address in disguise (NAT64)"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an IPv4 address in disguise (local NAT64)"},
	{netip.MustParsePrefix("2002::/16"), "an IPv4 address in disguise (6to4)"},
	{netip.MustParsePrefix("2001::/23"), "a reserved address (Teredo and others)"},
	{netip.MustParsePrefix("::/96"), "an IPv4 address in disguise"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "an IPv4 address in disguise"},
	{netip.MustParsePrefix("100::/64"), "an address that discards everything"},
	{netip.MustParsePrefix("5f00::/16"), "a reserved address (segment routing)"},
}

type policy struct{ allow []netip.Prefix }

// check returns a *RefusedError without a host when addr may not be called.
func (p policy) check(addr netip.Addr) error {
	if addr.Zone() != "" {
		return &RefusedError{Reason: "an address with a zone names a network of this machine"}
	}
	addr = addr.Unmap()
	for _, a := range p.allow {
		if a.Contains(addr) {
			return nil
		}
	}
	for _, r := range inside {
		if r.prefix.Contains(addr) {
			return &RefusedError{Addr: addr, Reason: r.reason}
		}
	}
	return nil
}

// checkRequest refuses what must not even be resolved or written to the wire. net/http checks method, header names
// and header values itself; Host, which it repairs in silence, is checked here.
func (p policy) checkRequest(req *http.Request) error {
	u := req.URL
	if u == nil {
		return &RefusedError{Reason: "it has no address"}
	}
	refuse := func(reason string) error { return &RefusedError{Host: u.Host, Reason: reason} }
	if u.Scheme != "http" && u.Scheme != "https" {
		return refuse("only http:// and https:// addresses are called")
	}
	if u.Opaque != "" {
		return refuse("the address is not of the form https://host/path")
	}
	if u.User != nil {
		return refuse("the address holds a user name or password, which belong in a connection")
	}
	if err := checkHost(u); err != "" {
		return refuse(err)
	}
	if req.Host != "" && req.Host != u.Host {
		return refuse("the Host header differs from the address")
	}
	if hasControl(u.RawQuery) || strings.ContainsAny(u.RawQuery, " \t") {
		return refuse("the address contains a blank, a line break or another control character")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := p.check(addr); err != nil { // the dialer says the same; this spares the wait
			refused := *err.(*RefusedError) //nolint:errorlint // check returns no other type
			refused.Host = u.Hostname()
			return &refused
		}
	}
	return nil
}

// checkHost returns why the host of u is refused, or "".
func checkHost(u *url.URL) string {
	host := u.Hostname()
	switch {
	case host == "":
		return "the address names no host"
	case len(host) > 253:
		return "the host name is too long"
	case strings.Contains(host, "%"):
		return "an address with a zone names a network of this machine"
	case strings.ContainsAny(host, " \t\\/@#?<>^`{|}\"'"), hasControl(u.Host):
		return "the host name contains a character that no host name has"
	}
	if port := u.Port(); port == "0" || len(port) > 5 {
		return "the port is not a number from 1 to 65535"
	}
	if _, err := netip.ParseAddr(host); err != nil && endsInNumber(host) {
		return "the host is a number that is not a plain IP address"
	}
	return ""
}

// endsInNumber is the rule by which browsers take a host for an IPv4 address (WHATWG URL, "ends in a number"):
// 127.1, 2130706433 and 0x7f000001 are loopback to some resolvers and nothing to others.
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return false
	}
	digits := "0123456789"
	if len(last) > 1 && last[0] == '0' && (last[1] == 'x' || last[1] == 'X') {
		last, digits = last[2:], "0123456789abcdefABCDEF"
	}
	return strings.Trim(last, digits) == ""
}

func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// ParseAllow reads the prefixes of `outbound.allow`. A single address stands for itself alone.
func ParseAllow(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			addr, addrErr := netip.ParseAddr(s)
			if addrErr != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("%q is no network: write it like 10.0.0.0/8", s)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

var _ net.Error = timeoutError{}

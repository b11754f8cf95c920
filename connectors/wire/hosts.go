package wire

import (
	"net/url"
	"strings"
)

// ASCIIHost reports that the host of u holds no letter that could be mistaken for another one.
func ASCIIHost(u *url.URL) bool {
	host := u.Hostname()
	for i := 0; i < len(host); i++ {
		if host[i] >= 0x80 {
			return false
		}
	}
	return true
}

// HostMatches reports whether the host of u is meant by an entry of a list of hosts. A leading *. stands for one or
// more whole labels; an entry without a port admits every port.
func HostMatches(entry string, u *url.URL) bool {
	entry = strings.ToLower(entry)
	host, port := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), portOf(u)
	pattern, entryPort := entry, ""
	if i := strings.LastIndexByte(entry, ':'); i >= 0 && (strings.Count(entry, ":") == 1 || strings.HasSuffix(entry[:i], "]")) {
		pattern, entryPort = entry[:i], entry[i+1:]
	}
	pattern = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(pattern, "]"), "["), ".")
	if entryPort != "" && entryPort != port {
		return false
	}
	if suffix, wild := strings.CutPrefix(pattern, "*."); wild {
		return suffix != "" && strings.HasSuffix(host, "."+suffix) && len(host) > len(suffix)+1
	}
	return pattern != "" && pattern == host
}

func portOf(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

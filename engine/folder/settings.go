package folder

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bellhop-dev/bellhop/engine/outbound"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Settings is what a team shares in bellhop.yaml. The zero Settings is that of a folder without the file.
type Settings struct {
	PublicURL string // without a slash at its end; empty: made from Listen
	Timezone  string // IANA name for dates without a zone; empty: UTC
	Listen    string // host:port; empty: the default
	Data      string // directory of the database; empty: data, beside bellhop.yaml
	Storage   Storage
	Outbound  Outbound

	// Connections are the declared connections by name, as the file has them: every value is plain data, and a
	// text may hold ${{ env.X }}, ${{ file("…") }} or ${{ command("…") }}, which package secret resolves.
	Connections map[string]map[string]any

	Alerts *Alert // tells people of failures; nil: nobody is told
}

// Storage bounds the history. A zero field is no bound.
type Storage struct {
	Max  int64 // bytes on disk
	Days int
}

// Outbound is the address policy of calls that leave Bellhop.
type Outbound struct {
	Allow []netip.Prefix // private addresses that may be called all the same
}

// setters has one entry for each setting that is a single value: the key of bellhop.yaml with a dot for each
// level. The same key is a flag (storage.max is --storage-max) and a variable (BELLHOP_STORAGE_MAX).
var setters = map[string]struct {
	Help string
	Set  func(s *Settings, text string) error
}{
	"public_url":     {"address at which people and webhooks reach this server", setPublicURL},
	"timezone":       {"IANA time zone for dates that name none, such as Europe/Berlin", setTimezone},
	"listen":         {"host:port to listen on", setListen},
	"data":           {"directory of the database", setData},
	"storage.max":    {"size of the history, such as 2GB; the oldest is dropped first", setStorageMax},
	"storage.days":   {"days that finished runs are kept", setStorageDays},
	"outbound.allow": {"private networks that workflows may call, as CIDR list", setOutboundAllow},
}

// Keys lists the settings that are a single value, each also a flag and a variable, with a help text.
func Keys() map[string]string {
	keys := make(map[string]string, len(setters))
	for key, s := range setters {
		keys[key] = s.Help
	}
	return keys
}

// Set changes one setting of [Keys] to what the text says. The error says what is wrong with the text.
func (s *Settings) Set(key, text string) error {
	setter, ok := setters[key]
	if !ok {
		return fmt.Errorf("unknown setting %q", key)
	}
	return setter.Set(s, text)
}

func setPublicURL(s *Settings, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q is no address: write it like https://bell.example.com", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q holds more than an address: leave out user, query and fragment", text)
	}
	s.PublicURL = strings.TrimRight(text, "/")
	return nil
}

func setTimezone(s *Settings, text string) error {
	if _, err := time.LoadLocation(text); err != nil || text == "" || text == "Local" {
		return fmt.Errorf("%q is no time zone: write an IANA name such as Europe/Berlin", text)
	}
	s.Timezone = text
	return nil
}

func setListen(s *Settings, text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("%q is no host:port: write it like 127.0.0.1:7788", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535", text)
	} else if n == 0 && port != "0" {
		return fmt.Errorf("%q has no port from 0 to 65535", text)
	}
	s.Listen = text
	return nil
}

func setData(s *Settings, text string) error {
	if text == "" || strings.ContainsRune(text, 0) {
		return fmt.Errorf("%q is no directory", text)
	}
	s.Data = text
	return nil
}

func setStorageMax(s *Settings, text string) error {
	n, err := workflow.ParseSize(text)
	if err != nil {
		return fmt.Errorf("%w: write it like 2GB or 512MiB", err)
	}
	if n < 1e6 {
		return fmt.Errorf("%q is too small: the least is 1MB", text)
	}
	s.Storage.Max = n
	return nil
}

// FormatSize writes a size as bellhop.yaml has it: 2GB, 512MiB, or bytes.
func FormatSize(n int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}} {
		if n >= unit.bytes && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func setStorageDays(s *Settings, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 36500 {
		return fmt.Errorf("%q is no number of days from 1 to 36500", text)
	}
	s.Storage.Days = n
	return nil
}

func setOutboundAllow(s *Settings, text string) error {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	allow, err := outbound.ParseAllow(parts)
	if err != nil {
		return err
	}
	s.Outbound.Allow = allow
	return nil
}

// ConnectorOf maps the declared connections to their connectors.
func (s *Settings) ConnectorOf() map[string]string {
	of := make(map[string]string, len(s.Connections))
	for name, fields := range s.Connections {
		of[name], _ = fields["connector"].(string)
	}
	return of
}

// Zone is the time zone of dates that name none.
func (s Settings) Zone() *time.Location {
	zone, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return time.UTC // setTimezone has refused what cannot be loaded
	}
	return zone
}

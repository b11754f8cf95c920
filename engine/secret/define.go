package secret

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
)

// Problem is a mistake in the `connections` of bellhop.yaml that can be seen without fetching any value.
type Problem struct {
	Connection string
	Key        string // below the connection; empty: the connection itself
	Message    string
	Hint       string // may be empty
	Warning    bool   // the connection can be used all the same, or once its values are given elsewhere
}

// definition is a connection as it is written.
type definition struct {
	name, connector, auth string
	of                    *connectors.Connector // nil: there is none of that id
	fields                map[string]any
	secrets               map[string][]string // sources, such as "${{ env.TOKEN }}"
	hosts                 []string
	missing               []string // secrets and fields that the auth needs
	problems              []Problem
}

// Check returns all mistakes, in the order of names and keys. A value that is missing in the environment is none.
func Check(settings map[string]map[string]any, reg *connectors.Registry) []Problem {
	var all []Problem
	for _, name := range sorted(settings) {
		d := define(name, settings[name], reg)
		all = append(all, d.problems...)
		for _, key := range d.missing {
			p := Problem{Connection: name, Key: key, Message: key + " is missing", Warning: true}
			if key == "hosts" {
				p.Hint = noHosts
			}
			all = append(all, p)
		}
		for _, key := range sorted(d.secrets) {
			if slices.ContainsFunc(d.secrets[key], func(source string) bool { return source != "" && !strings.Contains(source, "${{") }) {
				all = append(all, Problem{
					Connection: name, Key: key, Message: key + " stands here for everyone who reads the file", Warning: true,
					Hint: `name a variable instead: "${{ env.` + variable(name, key) + ` }}"`,
				})
			}
		}
	}
	return all
}

const noHosts = "say where its secret may go, such as hosts: [api.example.com], or give it a base_url"

// variable is a name for the environment variable of a secret, such as MY_CRM_TOKEN.
func variable(connection, key string) string {
	return strings.ToUpper(strings.ReplaceAll(connection+"_"+key, "-", "_"))
}

// define sorts the keys of a connection into fields and secrets, by the connector's auth scheme.
func define(name string, raw map[string]any, reg *connectors.Registry) definition {
	d := definition{name: name, fields: map[string]any{}, secrets: map[string][]string{}}
	problem := func(key, format string, args ...any) {
		d.problems = append(d.problems, Problem{Connection: name, Key: key, Message: fmt.Sprintf(format, args...)})
	}
	text := func(key string) string {
		s, isText := raw[key].(string)
		if _, given := raw[key]; given && !isText {
			problem(key, "%s is not text", key)
		}
		return s
	}
	d.connector, d.auth = text("connector"), text("auth")
	if d.connector == "" {
		problem("connector", "connector is missing")
		return d
	}
	c := reg.Connector(d.connector)
	if c == nil {
		problem("connector", "%v", reg.Missing(d.connector))
		return d
	}
	scheme := pick(c, &d, raw, problem)
	isSecret := map[string]bool{}
	for _, s := range c.Auth {
		for _, key := range s.SecretNames() {
			isSecret[key] = true
		}
	}
	isSecret["signing_secret"] = true // webhooks of any connector may have one

	for _, key := range sorted(raw) {
		v := raw[key]
		switch {
		case key == "connector" || key == "auth":
		case key == "hosts":
			d.hosts = texts(key, v, problem)
		case isSecret[key]:
			if scheme.ID != "" && key != "signing_secret" && !slices.Contains(scheme.SecretNames(), key) {
				problem(key, "auth %s has no %s; it needs %s", scheme.ID, key, strings.Join(append(scheme.SecretNames(), scheme.Fields...), ", "))
				continue
			}
			d.secrets[key] = texts(key, v, problem)
			if len(d.secrets[key]) > maxValues {
				problem(key, "%s has more than %d values", key, maxValues)
			}
		default:
			if _, known := c.Fields.Properties[key]; !known && c.Fields.Closed {
				problem(key, "unknown key %q; a connection of %s has %s", key, c.ID, strings.Join(keysOf(c, scheme), ", "))
				continue
			}
			if s, isText := v.(string); isText {
				if err := checkReferences(s); err != nil {
					problem(key, "%s: %s", key, err.Error())
				}
			}
			if !refers(v) { // else when it is known
				if err := checkField(c, key, v); err != nil {
					problem(key, "%s: %s", key, err.Error())
				}
			}
			d.fields[key] = v
		}
	}
	// One scheme that was not chosen (webhook) needs nothing by itself: what uses the connection says what is missing.
	if _, chosen := raw["auth"]; chosen || scheme.ID != "" && len(c.Auth) > 1 {
		for _, s := range scheme.Secrets {
			if raw[s.Name] == nil && !s.Optional {
				d.missing = append(d.missing, s.Name)
			}
		}
		for _, key := range scheme.Fields {
			if raw[key] == nil && c.Fields.Properties[key].Default == nil {
				d.missing = append(d.missing, key)
			}
		}
		// A connector for any system has no hosts of its own: the connection says where its secrets may go.
		if _, asks := c.Fields.Properties["hosts"]; asks && len(scheme.Secrets) > 0 && raw["hosts"] == nil && raw["base_url"] == nil {
			d.missing = append(d.missing, "hosts")
		}
	}
	return d
}

// pick finds the auth scheme. Without `auth` it is the only one, or the only one that has all the given secrets; without secrets
// it is none.
func pick(c *connectors.Connector, d *definition, raw map[string]any, problem func(key, format string, args ...any)) connectors.AuthScheme {
	ids := make([]string, len(c.Auth))
	for i, s := range c.Auth {
		if s.ID == d.auth {
			return s
		}
		ids[i] = s.ID
	}
	if d.auth != "" {
		problem("auth", "there is no auth %q; connector %s has %s", d.auth, c.ID, strings.Join(ids, ", "))
		return connectors.AuthScheme{}
	}
	if len(c.Auth) == 1 {
		d.auth = c.Auth[0].ID
		return c.Auth[0]
	}
	// A connector may learn another way later, and what was clear before must stay so: a secret that only one of them has
	// tells which is meant.
	var fits []connectors.AuthScheme
	given := 0
	for _, s := range c.Auth {
		own, others := 0, 0
		for key := range raw {
			switch {
			case slices.Contains(s.SecretNames(), key):
				own++
			case slices.ContainsFunc(c.Auth, func(o connectors.AuthScheme) bool { return slices.Contains(o.SecretNames(), key) }):
				others++
			}
		}
		given += own
		if own > 0 && others == 0 {
			fits = append(fits, s)
		}
	}
	if len(fits) == 1 {
		d.auth = fits[0].ID
		return fits[0]
	}
	if given > 0 {
		problem("auth", "auth is missing; it is one of %s", strings.Join(ids, ", "))
	}
	return connectors.AuthScheme{} // no secrets: a base address alone
}

// texts reads a text or a list of texts.
func texts(key string, v any, problem func(key, format string, args ...any)) []string {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	out := make([]string, 0, len(list))
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			problem(key, "%s is not text or a list of texts; put a number in quotes", key)
			return nil
		}
		if err := checkReferences(s); err != nil {
			problem(key, "%s: %s", key, err.Error())
			return nil
		}
		out = append(out, s)
	}
	return out
}

func keysOf(c *connectors.Connector, s connectors.AuthScheme) []string {
	keys := []string{"connector", "auth", "hosts"}
	keys = append(keys, s.SecretNames()...)
	for key := range c.Fields.Properties {
		if key != "hosts" {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys[3:])
	return slices.Compact(keys)
}

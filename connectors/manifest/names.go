package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/expression"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// rootFields are the fields of the roots that always have the same.
var rootFields = map[string][]string{
	"response": {"status", "headers", "body"},
	"call":     {"key"},
	"hook":     {"url", "events", "secret", "kept"},
	"since":    {"iso", "unix"},
}

// reading is a name that an expression reads.
type reading struct {
	expression.Ref
	node *yaml.Node
	what string
}

// note checks what an expression reads as far as it is known already, and keeps the rest. An expression that reads what
// is never there gives nil, which leaves out a key, a secret or a dedupe without a word.
func (r *reader) note(n *yaml.Node, what string, refs []expression.Ref) {
	for _, ref := range refs {
		at := reading{ref, n, what}
		if len(ref.Path) < 2 {
			continue
		}
		root, field := ref.Path[0], ref.Path[1]
		if fields, ok := rootFields[root]; ok && !slices.Contains(fields, field) {
			r.unknown(at, field, fields, "%s has no field %q", root, field)
			continue
		}
		switch root {
		case "response", "trigger":
			if field == "headers" && len(ref.Path) > 2 && ref.Path[2] != strings.ToLower(ref.Path[2]) {
				r.misnamed(at, fmt.Sprintf("write %s.headers[%q]", root, strings.ToLower(ref.Path[2])), "the names of headers are in lower case")
			}
		case "secret", "input", "connection", "hook":
			r.readings = append(r.readings, at)
		}
	}
}

func (r *reader) misnamed(at reading, hint, format string, args ...any) {
	r.Misread(at.node, at.what, &expression.Error{Line: at.Line, Column: at.Column, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// unknown reports a field that is none of those known.
func (r *reader) unknown(at reading, field string, known []string, format string, args ...any) {
	hint := "there is none here"
	if len(known) > 0 {
		hint = workflow.Known(field, known)
	}
	r.misnamed(at, hint, format, args...)
}

// checkReads checks the fields of a root in the readings from the number first on.
func (r *reader) checkReads(first int, root string, known []string, format string) {
	for _, at := range r.readings[first:] {
		if at.Path[0] == root && !slices.Contains(known, at.Path[1]) {
			r.unknown(at, at.Path[1], known, format, at.Path[1])
		}
	}
}

// checkSecrets checks what the expressions of an auth read of its secrets.
func (r *reader) checkSecrets(first int, s *scheme, out *connectors.AuthScheme) {
	var known []string
	for _, secret := range out.Secrets {
		known = append(known, secret.Name)
	}
	if s.hasToken() {
		known = append(known, "token")
	}
	r.checkReads(first, "secret", known, "this auth has no secret %q")
}

// checkInputs checks what the expressions of an action or trigger read of its inputs.
func (r *reader) checkInputs(first int, input connectors.Schema) {
	r.checkReads(first, "input", input.Order, "there is no input %q")
}

// checkConnection checks, once the whole file is known, what expressions read of the connection.
func (r *reader) checkConnection() {
	known := slices.Clone(r.c.Fields.Order)
	for _, a := range r.c.Auth {
		known = append(known, slices.Sorted(maps.Keys(r.src.schemes[a.ID].keep))...)
	}
	r.checkReads(0, "connection", known, "a connection has no field %q")
}

// checkAddress warns of actions that lead nowhere unless each connection brings an address of its own.
func (r *reader) checkAddress() {
	own := r.c.Fields.Properties["base_url"].Show != "more" // the manifest asks for one
	hook := slices.ContainsFunc(r.c.Auth, func(a connectors.AuthScheme) bool { return a.Type == connectors.AuthURL })
	if own || hook || r.hasBase && r.src.base == nil {
		return
	}
	for _, name := range keysOf(r.src.actions) {
		if at := r.places["action "+name]; at != nil && r.src.actions[name].base == nil {
			r.Warnf(at, "add defaults: {base_url: https://api.example.com}, unless each connection says its own base_url", "this action has no address")
			return
		}
	}
}

// checkKept checks what unsubscribe and catch_up read of what subscribe keeps.
func (r *reader) checkKept(first int, keep []string) {
	for _, at := range r.readings[first:] {
		if at.Path[0] == "hook" && at.Path[1] == "kept" && len(at.Path) > 2 && !slices.Contains(keep, at.Path[2]) {
			r.unknown(at, at.Path[2], keep, "subscribe keeps no %q", at.Path[2])
		}
	}
}

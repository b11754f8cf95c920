package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/engine/secret"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

// Bounds of bellhop.yaml, the same as those of a workflow file.
const (
	maxFile  = 256 << 10
	maxDepth = 64
	maxNodes = 20_000
)

// later has the keys of the contract that this version does not have yet.
var later = map[string]string{
	"nats": "a NATS store is not available in this version",
}

var connectionName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ParseSettings reads the text of a bellhop.yaml. The name is that of the file as problems print it. Connectors
// named by connections must be in the registry; a nil registry does not check them. With problems the Settings
// hold what could be read.
func ParseSettings(name string, src []byte, registry *connectors.Registry) (Settings, workflow.Problems) {
	r := &reader{name: name, src: src, registry: registry}
	root := r.document()
	if root != nil {
		r.settings(root)
	}
	r.problems.Sort()
	return r.into, r.problems
}

// reader walks the nodes of one bellhop.yaml and collects what is wrong.
type reader struct {
	name     string
	src      []byte
	registry *connectors.Registry
	into     Settings
	problems workflow.Problems
	nodes    int
}

// document returns the top mapping, or nil for an empty file or one that is too broken to read.
func (r *reader) document() *yaml.Node {
	if len(r.src) > maxFile {
		r.at(1, 1, fmt.Sprintf("the file is larger than %d KiB", maxFile>>10), "")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(r.src))
	var doc, next yaml.Node
	if err == nil {
		err = loader.Load(&doc)
	}
	if err == nil {
		if err = loader.Load(&next); err == nil {
			r.problem(&next, "a second document begins here", "bellhop.yaml is one document: remove the line ---")
			return nil
		}
	}
	if !errors.Is(err, io.EOF) {
		line, message := yamlError(err)
		r.at(line, 1, message, "")
		return nil
	}
	if len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0]
	if !r.allowed(root, 0) || root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		r.problem(root, "the file is no list of settings", "write `key: value` lines, such as `timezone: Europe/Berlin`")
		return nil
	}
	return root
}

// allowed refuses what makes YAML surprising or dangerous, before anything is read.
func (r *reader) allowed(n *yaml.Node, depth int) bool {
	r.nodes++
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.problem(n, "anchors and aliases are not allowed", "write the value out")
		return false
	case depth > maxDepth:
		r.problem(n, fmt.Sprintf("nested deeper than %d levels", maxDepth), "")
		return false
	case r.nodes > maxNodes:
		r.problem(n, fmt.Sprintf("more than %d values", maxNodes), "")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		r.problem(n, fmt.Sprintf("the tag %s is not allowed", n.Tag), "leave it out, and quote what is a text")
		return false
	}
	for _, c := range n.Content {
		if !r.allowed(c, depth+1) {
			return false
		}
	}
	return true
}

// settings reads the top mapping.
func (r *reader) settings(root *yaml.Node) {
	var alerts *yaml.Node
	known := map[string]func(key, val *yaml.Node){
		"alerts":      func(_, val *yaml.Node) { alerts = val },
		"connections": func(_, val *yaml.Node) { r.connections(val) },
	}
	for _, key := range slices.Sorted(maps.Keys(setters)) {
		if group, _, nested := strings.Cut(key, "."); nested {
			known[group] = func(_, val *yaml.Node) { r.group(group, val) }
			continue
		}
		known[key] = func(_, val *yaml.Node) { r.set(key, val) }
	}
	for key, message := range later {
		known[key] = func(at, _ *yaml.Node) { r.problem(at, message, "remove "+key) }
	}
	r.mapping(root, "setting", known)
	if alerts != nil { // behind the connections that it names
		r.alerts(alerts)
	}
}

// group reads one level below the top, such as storage.
func (r *reader) group(group string, n *yaml.Node) {
	known := map[string]func(key, val *yaml.Node){}
	for key := range setters {
		if of, last, nested := strings.Cut(key, "."); nested && of == group {
			known[last] = func(_, val *yaml.Node) { r.set(key, val) }
		}
	}
	r.mapping(n, "key of "+group, known)
}

// set gives the text of a scalar, or of a list of scalars, to the setter of the key.
func (r *reader) set(key string, n *yaml.Node) {
	texts := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode && key == "outbound.allow" {
		texts = n.Content
	} else if key == "outbound.allow" {
		r.problem(n, key+" is a list", "write `allow: [10.0.0.0/8]`")
		return
	}
	var parts []string
	for _, t := range texts {
		if t.Kind != yaml.ScalarNode || t.Tag == "!!null" {
			r.problem(t, key+" wants a single value", "")
			return
		}
		if strings.Contains(t.Value, "${{") {
			r.problem(t, key+" cannot hold an expression", "set "+Variable(key)+" for a value that differs between machines")
			return
		}
		var probe Settings
		if err := probe.Set(key, t.Value); err != nil {
			r.problem(t, err.Error(), "")
			return
		}
		parts = append(parts, t.Value)
	}
	// Every part was tried above, so the whole cannot fail.
	_ = r.into.Set(key, strings.Join(parts, ","))
}

// connections reads the declared connections and checks what can be known without fetching a value.
func (r *reader) connections(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.problem(n, "connections is no list of names", "write `my-name: {connector: http}` lines below it")
		return
	}
	r.into.Connections = map[string]map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if !connectionName.MatchString(key.Value) {
			r.problem(key, fmt.Sprintf("%q is no name of a connection", key.Value), "use small letters, digits, - and _, at most 63")
			continue
		}
		if _, dup := r.into.Connections[key.Value]; dup {
			r.problem(key, fmt.Sprintf("the connection %s is declared twice", key.Value), "")
			continue
		}
		if val.Kind != yaml.MappingNode {
			r.problem(val, "a connection is a list of keys", "write `"+key.Value+": {connector: http}`")
			continue
		}
		fields, _ := r.plain(val).(map[string]any)
		r.into.Connections[key.Value] = fields
	}
	if r.registry != nil {
		r.check(n)
	}
}

// check reports what package secret knows about the connections, at the place of the key.
func (r *reader) check(n *yaml.Node) {
	for _, p := range secret.Check(r.into.Connections, r.registry) {
		at := n
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == p.Connection {
				at = keyOr(n.Content[i+1], p.Key, n.Content[i])
				break
			}
		}
		r.problem(at, "connection "+p.Connection+": "+p.Message, p.Hint)
		r.problems[len(r.problems)-1].Warning = p.Warning
	}
}

// keyOr is the node of a key in a mapping, or other when it is not there.
func keyOr(n *yaml.Node, key string, other *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i]
		}
	}
	return other
}

// mapping calls the function of each key and reports keys that are unknown or there twice.
func (r *reader) mapping(n *yaml.Node, what string, known map[string]func(key, val *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.problem(n, "this is no list of keys", "known here: "+strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		return
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		read, ok := known[key.Value]
		switch {
		case seen[key.Value]:
			r.problem(key, fmt.Sprintf("%s is there twice", key.Value), "remove one of them")
		case !ok:
			r.problem(key, fmt.Sprintf("unknown %s %q", what, key.Value), suggest(key.Value, slices.Sorted(maps.Keys(known))))
		default:
			read(key, val)
		}
		seen[key.Value] = true
	}
}

// plain turns a node into plain data, with scalars read by the core schema of YAML 1.2.
func (r *reader) plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if _, dup := m[key.Value]; dup {
				r.problem(key, fmt.Sprintf("%s is there twice", key.Value), "remove one of them")
				continue
			}
			m[key.Value] = r.plain(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			list[i] = r.plain(c)
		}
		return list
	default:
		return scalar(n)
	}
}

var (
	coreInt   = regexp.MustCompile(`^[-+]?[0-9]+$`)
	coreFloat = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// scalar reads an unquoted text by the core schema; whatever it does not know, and all that is quoted, is text.
func scalar(n *yaml.Node) any {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return n.Value
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	}
	if coreInt.MatchString(n.Value) {
		if i, err := strconv.Atoi(n.Value); err == nil {
			return i
		}
	} else if coreFloat.MatchString(n.Value) {
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && !math.IsInf(f, 0) {
			return f
		}
	}
	return n.Value
}

func (r *reader) problem(n *yaml.Node, message, hint string) { r.at(n.Line, n.Column, message, hint) }

func (r *reader) at(line, column int, message, hint string) {
	r.problems = append(r.problems, workflow.Problem{
		File: r.name, Line: line, Column: column, Message: message, Hint: hint, Snippet: snippet(r.src, line, column),
	})
}

// snippet draws the line with a mark below the column, as package workflow does for its files.
func snippet(src []byte, line, column int) string {
	lines := bytes.Split(src, []byte("\n"))
	if line < 1 || line > len(lines) || len(lines[line-1]) > 160 {
		return ""
	}
	text := strings.Map(func(c rune) rune {
		if !strconv.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.TrimRight(string(lines[line-1]), " \r\t"))
	number := strconv.Itoa(line)
	return fmt.Sprintf("  %s | %s\n  %s | %s^", number, text, strings.Repeat(" ", len(number)), strings.Repeat(" ", max(column-1, 0)))
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yamlError gets line and message out of what the library says.
func yamlError(err error) (line int, message string) {
	message, line = strings.TrimPrefix(err.Error(), "yaml: "), 1
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
	}
	if i := strings.LastIndex(message, ": "); i >= 0 {
		message = message[i+2:]
	}
	return line, "this is not YAML: " + message
}

// suggest is "did you mean x?" for the nearest known name, or the list of names when none is near.
func suggest(got string, known []string) string {
	best, least := "", len(got)/3+2
	for _, k := range known {
		if d := distance(got, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "known: " + strings.Join(known, ", ")
	}
	return "did you mean " + best + "?"
}

// distance is the edit distance of two names. Long ones are never near.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return math.MaxInt
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Variable is the name of the environment variable that overrides a setting: storage.max is BELLHOP_STORAGE_MAX.
func Variable(key string) string {
	return "BELLHOP_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

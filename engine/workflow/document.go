package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Limits on a file, checked before anything is made of it.
const (
	MaxSource = 256 << 10 // bytes
	maxDepth  = 64        // lists and mappings inside each other
	maxNodes  = 20_000    // values and keys
	maxLine   = 64 << 10  // bytes of a line: the library looks ahead to its end, 300 bytes a word
	// maxBreaks bounds commas and line ends, of which each node needs its own or shares it with one other: the
	// library makes a tree of the whole file, 200 bytes a node, before we can count.
	maxBreaks = 2 * maxNodes
)

// document reads src as one YAML document and returns its root, which is a mapping; nil when it cannot be read.
func (r *reporter) document(src []byte, what string) *yaml.Node {
	if !r.acceptable(src) {
		return nil
	}
	root, err := load(src)
	for err != nil {
		mended := r.syntax(err, src)
		if mended == nil {
			return nil
		}
		src = mended
		root, err = load(src)
	}
	if root == nil || isNull(root) {
		r.errorf(Position{1, 1}, "", "the file is empty: it holds no %s", what)
		return nil
	}
	if !r.sound(root) {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		r.errorf(place(root), "", "a %s is a mapping of keys to values, this is %s", what, describe(root))
		return nil
	}
	return root
}

// acceptable checks what can be seen without reading the text as YAML.
func (r *reporter) acceptable(src []byte) bool {
	switch {
	case len(src) > MaxSource:
		r.errorf(Position{}, "", "the file has %d KiB, more than the %d KiB that a file may have", (len(src)+1023)>>10, MaxSource>>10)
		return false
	case !utf8.Valid(src):
		line := 1
		for rest := src; len(rest) > 0; {
			c, size := utf8.DecodeRune(rest)
			if c == utf8.RuneError && size == 1 {
				break
			}
			if c == '\n' {
				line++
			}
			rest = rest[size:]
		}
		r.errorf(Position{line, 1}, "save the file as UTF-8", "this line is not UTF-8 text")
		return false
	case bytes.Count(src, []byte{','})+bytes.Count(src, []byte{'\n'}) > maxBreaks:
		r.errorf(Position{}, "", "the file holds more than %d values", maxNodes)
		return false
	}
	for i, line := range r.lines {
		if len(line) > maxLine {
			r.errorf(Position{i + 1, 1}, "break it into several", "the line is longer than %d KiB", maxLine>>10)
			return false
		}
		if j := strings.IndexFunc(line, forbidden); j >= 0 {
			c, _ := utf8.DecodeRuneInString(line[j:])
			r.errorf(Position{i + 1, utf8.RuneCountInString(line[:j]) + 1}, `inside double quotes, write it as an escape such as "\t" or "\u0007"`,
				"the control character %U cannot stand in a file", c)
			return false
		}
	}
	return true
}

// forbidden reports characters that YAML does not print (1.2.2, section 5.1).
func forbidden(c rune) bool {
	return c < ' ' && c != '\t' && c != '\r' || c >= 0x7f && c < 0xa0 && c != 0x85 || c == 0xfffe || c == 0xffff
}

var errManyDocuments = errors.New("several documents")

// load makes the tree of a text. The root is nil when there is no document.
func load(src []byte) (*yaml.Node, error) {
	collections := 0
	limits := loaderlimits.New(loaderlimits.DepthFunc(func(depth int, _ *loaderlimits.DepthContext) error {
		if depth > maxDepth {
			return fmt.Errorf("lists and mappings are nested more than %d deep", maxDepth)
		}
		if collections++; collections > 2*maxNodes {
			return fmt.Errorf("the file holds more than %d values", maxNodes)
		}
		return nil
	}))
	// The library knows the directive of YAML 1.1 only. The two differ in what a plain scalar means, which we read
	// ourselves.
	if rest, ok := bytes.CutPrefix(src, []byte("%YAML 1.2")); ok {
		src = append([]byte("%YAML 1.1"), rest...)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src), yaml.WithPlugin(limits))
	if err != nil {
		return nil, err
	}
	var doc, next yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := loader.Load(&next); err == nil {
		return nil, &secondDocument{Position{next.Line, next.Column}}
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

type secondDocument struct{ at Position }

func (*secondDocument) Error() string { return errManyDocuments.Error() }

// sound checks the whole tree for what a file may not hold: too much of anything, anchors, tags, equal keys. Only the
// first makes it unreadable.
func (r *reporter) sound(root *yaml.Node) bool {
	nodes := 0
	if n := excess(root, 0, &nodes); n != nil {
		if nodes > maxNodes {
			r.errorf(place(n), "", "the file holds more than %d values", maxNodes)
		} else {
			r.errorf(place(n), "", "lists and mappings are nested more than %d deep", maxDepth)
		}
		return false
	}
	r.refuse(root)
	return true
}

// excess returns the first node that is too deep or one too many, or nil.
func excess(n *yaml.Node, depth int, nodes *int) *yaml.Node {
	*nodes++
	if depth > maxDepth || *nodes > maxNodes {
		return n
	}
	for _, c := range n.Content {
		if over := excess(c, depth+1, nodes); over != nil {
			return over
		}
	}
	return nil
}

// refuse reports anchors, aliases, tags and equal keys.
func (r *reporter) refuse(n *yaml.Node) {
	say := func(hint, format string, args ...any) {
		r.errorf(place(n), hint, format, args...)
		r.mute(place(n))
	}
	switch {
	case n.Kind == yaml.AliasNode:
		say("repeat the value, or quote it if the character is meant", "aliases (*%s) are not used here", n.Value)
	case n.Anchor != "":
		say("remove it, or quote the text if the character is meant", "anchors (&%s) are not used here", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0 && !plainTag(n):
		say("remove it, or quote the text if the character is meant", "tags (%s) are not used here", n.Tag)
	}
	if n.Kind == yaml.MappingNode {
		r.keys(n)
	}
	for _, c := range n.Content {
		r.refuse(c)
	}
}

// plainTag reports tags that say no more than what the value is anyway.
func plainTag(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.MappingNode:
		return n.Tag == "!!map"
	case yaml.SequenceNode:
		return n.Tag == "!!seq"
	}
	return n.Tag == "!!str"
}

// keys checks the keys of one mapping; the library compares each with each, which takes seconds for a large one.
func (r *reporter) keys(n *yaml.Node) {
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			if key.Kind != yaml.AliasNode { // has a problem of its own
				r.errorf(place(key), "", "a key is a text, not %s", describe(key))
				r.mute(place(key))
			}
			continue
		}
		if key.Value == "<<" && isPlain(key) {
			r.errorf(place(key), "repeat the keys", "merge keys (<<) are not used here")
			r.mute(place(key))
			continue
		}
		if first, twice := seen[key.Value]; twice {
			r.errorf(place(key), fmt.Sprintf("it stands in line %d already", first.Line), "the key %q is given twice", key.Value)
			continue
		}
		seen[key.Value] = key
	}
}

func place(n *yaml.Node) Position { return Position{n.Line, n.Column} }

// describe names what a node is in the words of a message.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		val, _, err := scalar(n)
		if err != nil {
			return "a number"
		}
		return kindOf(val)
	}
	return "something else"
}

package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// span is where a node stands, as offsets: from is behind the colon, dash, bracket or comma before it; the text of
// the node is src[start:end]. A value left out is empty. The end is before the line's end.
type span struct{ from, start, end int }

// source is a text whose nodes are measured. The library gives the line and column at which a node begins; where it
// ends is found by reading on from there, by the rules of each style.
type source struct {
	src   []byte
	lines []int // where each begins
	spans map[*yaml.Node]span
}

var errBreaks = errors.New("the file has line ends that editors do not agree on (a lone CR, U+0085, U+2028 or U+2029)")

// measure finds the span of every node of a text.
func measure(src []byte, root *yaml.Node) (*source, error) {
	for i, c := range src {
		if c == '\r' && (i+1 == len(src) || src[i+1] != '\n') {
			return nil, errBreaks
		}
	}
	if bytes.ContainsAny(src, "\u0085\u2028\u2029") {
		return nil, errBreaks
	}
	skipped := 0
	if bytes.HasPrefix(src, []byte(mark)) {
		skipped = len(mark)
	}
	s := &source{src: src, lines: []int{skipped}, spans: map[*yaml.Node]span{}}
	for i, c := range src {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	_, err := s.measure(root, skipped, -1)
	return s, err
}

// offset is the index of a line and column, both from 1; -1: there is no such place.
func (s *source) offset(line, column int) int {
	if line < 1 || line > len(s.lines) {
		return -1
	}
	at := s.lines[line-1]
	for ; column > 1 && at < len(s.src); column-- {
		_, size := utf8.DecodeRune(s.src[at:])
		at += size
	}
	return at
}

// line is the number from 0 of the line that an offset is in.
func (s *source) line(at int) int {
	low, high := 0, len(s.lines)
	for high-low > 1 {
		if mid := (low + high) / 2; s.lines[mid] <= at {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// lineEnd is where the line of an offset ends, before its line break.
func (s *source) lineEnd(at int) int {
	end := len(s.src)
	if i := bytes.IndexByte(s.src[at:], '\n'); i >= 0 {
		end = at + i
	}
	if end > at && s.src[end-1] == '\r' {
		end--
	}
	return end
}

func (s *source) byteAt(at int) byte {
	if at >= 0 && at < len(s.src) {
		return s.src[at]
	}
	return 0
}

// trivia skips white space, line breaks and comments.
func (s *source) trivia(at int) int {
	for at < len(s.src) {
		switch c := s.src[at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			at++
		case c == '#' && (at == s.lines[0] || bytes.IndexByte([]byte(" \t\n"), s.src[at-1]) >= 0):
			at = s.lineEnd(at)
		default:
			return at
		}
	}
	return at
}

// measure records the span of n, which stands somewhere behind from, and of all inside it. indent is the column
// from 0 of the collection that it is in; -1: none. It returns the end.
func (s *source) measure(n *yaml.Node, from, indent int) (int, error) {
	if n.Kind == yaml.ScalarNode && isPlain(n) && n.Value == "" && n.Style&yaml.TaggedStyle == 0 {
		s.spans[n] = span{from, from, from}
		return from, nil
	}
	start := s.offset(n.Line, n.Column)
	if start < from {
		return 0, s.lost(n)
	}
	at := s.body(n, start)
	var end int
	var err error
	switch n.Kind {
	case yaml.MappingNode:
		end, err = s.mapping(n, at)
	case yaml.SequenceNode:
		end, err = s.sequence(n, at)
	case yaml.ScalarNode:
		end = s.scalarEnd(n, at, indent)
	default:
		end = -1
	}
	if err == nil && (end < start || end > len(s.src)) {
		err = s.lost(n)
	}
	s.spans[n] = span{from, start, end}
	return end, err
}

// body is where a node begins behind its tag.
func (s *source) body(n *yaml.Node, at int) int {
	if n.Style&yaml.TaggedStyle == 0 || s.byteAt(at) != '!' {
		return at
	}
	for at < len(s.src) && !isBlank(rune(s.src[at])) {
		at++
	}
	return s.trivia(at)
}

func (s *source) lost(n *yaml.Node) error {
	return fmt.Errorf("cannot tell where the value in line %d, column %d ends", n.Line, n.Column)
}

func (s *source) mapping(n *yaml.Node, at int) (int, error) {
	braces := isFlow(n) && s.byteAt(at) == '{'
	indent := n.Column - 1
	if braces {
		at++
	} else if len(n.Content) > 0 {
		indent = n.Content[0].Column - 1
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		end, err := s.measure(n.Content[i], at, indent)
		if err != nil {
			return 0, err
		}
		if colon := s.trivia(end); s.byteAt(colon) == ':' {
			end = colon + 1
		} else if !isFlow(n) || !isNull(n.Content[i+1]) {
			return 0, s.lost(n.Content[i])
		}
		if end, err = s.measure(n.Content[i+1], end, indent); err != nil {
			return 0, err
		}
		if at = end; braces {
			if comma := s.trivia(end); s.byteAt(comma) == ',' {
				at = comma + 1
			}
		}
	}
	if braces {
		return s.closing(n, at, '}')
	}
	return at, nil
}

func (s *source) sequence(n *yaml.Node, at int) (int, error) {
	if isFlow(n) {
		if s.byteAt(at) != '[' {
			return 0, s.lost(n)
		}
		at++
	}
	for _, item := range n.Content {
		if !isFlow(n) {
			if at = s.trivia(at); s.byteAt(at) != '-' {
				return 0, s.lost(item)
			}
			at++
		}
		end, err := s.measure(item, at, n.Column-1)
		if err != nil {
			return 0, err
		}
		if at = end; isFlow(n) {
			if comma := s.trivia(end); s.byteAt(comma) == ',' {
				at = comma + 1
			}
		}
	}
	if isFlow(n) {
		return s.closing(n, at, ']')
	}
	return at, nil
}

func (s *source) closing(n *yaml.Node, at int, bracket byte) (int, error) {
	if at = s.trivia(at); s.byteAt(at) != bracket {
		return 0, s.lost(n)
	}
	return at + 1, nil
}

// scalarEnd is where a scalar ends whose text begins at an offset; -1: it cannot be told.
func (s *source) scalarEnd(n *yaml.Node, at, indent int) int {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for at++; at < len(s.src); at++ {
			switch s.src[at] {
			case '\\':
				at++
			case '"':
				return at + 1
			}
		}
		return -1
	case n.Style&yaml.SingleQuotedStyle != 0:
		for at++; at < len(s.src); at++ {
			if s.src[at] == '\'' {
				if s.byteAt(at+1) != '\'' {
					return at + 1
				}
				at++
			}
		}
		return -1
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return s.blockEnd(at, indent)
	}
	// A plain text is its characters; YAML changes only the white space between them.
	for _, want := range []byte(n.Value) {
		if isBlank(rune(want)) {
			continue
		}
		for at < len(s.src) && isBlank(rune(s.src[at])) {
			at++
		}
		if s.byteAt(at) != want {
			return -1
		}
		at++
	}
	return at
}

// blockEnd is where the text of a block scalar ends, whose header is at an offset. Empty lines at its end belong to
// it only when it keeps them.
func (s *source) blockEnd(at, indent int) int {
	keep, least, given := false, max(indent+1, 1), false
	for at++; ; at++ {
		if c := s.byteAt(at); c == '+' {
			keep = true
		} else if c >= '1' && c <= '9' {
			least, given = max(indent, 0)+int(c-'0'), true
		} else if c != '-' {
			break
		}
	}
	end := s.lineEnd(at)
	if end > at && s.src[at] != ' ' && s.src[at] != '\t' {
		return -1
	}
	if header := bytes.TrimRight(s.src[at:end], " \t"); len(header) == 0 {
		end = at
	}
	for l := s.line(at) + 1; l < len(s.lines); l++ {
		first := s.lines[l]
		last := s.lineEnd(first)
		if first == len(s.src) {
			break
		}
		text := bytes.TrimLeft(s.src[first:last], " ")
		deep := last - first - len(text)
		switch {
		case len(text) == 0:
			if keep || given && deep > least {
				end = last
			}
			continue
		case deep < least:
			return end
		case !given:
			least, given = deep, true
		}
		end = last
	}
	return end
}

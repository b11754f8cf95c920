package workflow

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// locate returns the place in the file of a line and column of a scalar's text, both from 1. What YAML does to
// white space (folding, indentation) is undone by following only the other characters, which keep their order.
func (r *reporter) locate(n *yaml.Node, line, column int) Position {
	target := offset(n.Value, line, column)
	c := r.cursorAt(n)
	last := c.at
	for i, want := range n.Value {
		if isBlank(want) {
			if i >= target {
				return last
			}
			continue
		}
		got, at, ok := c.next()
		if !ok || got != want {
			return place(n) // an escape that we do not read as the library does
		}
		if i >= target {
			return at
		}
		last = c.at
	}
	return last
}

// end returns the place after the last character of a scalar.
func (r *reporter) end(n *yaml.Node) Position {
	lines := strings.Split(n.Value, "\n")
	return r.locate(n, len(lines), utf8.RuneCountInString(lines[len(lines)-1])+1)
}

// offset is the index in text of a line and column, both from 1.
func offset(text string, line, column int) int {
	start := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(text[start:], '\n')
		if i < 0 {
			return len(text)
		}
		start += i + 1
	}
	for i := range text[start:] {
		if column--; column <= 0 {
			return start + i
		}
	}
	return len(text)
}

func isBlank(c rune) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// cursor walks the characters of a scalar in the file that are not white space.
type cursor struct {
	lines []string
	quote byte // the quotes around it; 0: none
	rest  string
	at    Position // of rest
}

func (r *reporter) cursorAt(n *yaml.Node) *cursor {
	c := &cursor{lines: r.lines}
	c.enter(n.Line)
	for c.at.Column < n.Column && c.rest != "" {
		c.skip(1)
	}
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		c.quote = '"'
		c.skip(1)
	case n.Style&yaml.SingleQuotedStyle != 0:
		c.quote = '\''
		c.skip(1)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		c.enter(n.Line + 1)
	}
	return c
}

func (c *cursor) enter(line int) {
	c.at = Position{line, 1}
	c.rest = ""
	if line >= 1 && line <= len(c.lines) {
		c.rest = c.lines[line-1]
	}
}

// skip moves n characters on within the line.
func (c *cursor) skip(n int) {
	for ; n > 0 && c.rest != ""; n-- {
		_, size := utf8.DecodeRuneInString(c.rest)
		c.rest = c.rest[size:]
		c.at.Column++
	}
}

// next returns the next character that is not white space, and where it stands.
func (c *cursor) next() (rune, Position, bool) {
	for {
		for c.rest == "" {
			if c.at.Line >= len(c.lines) {
				return 0, c.at, false
			}
			c.enter(c.at.Line + 1)
		}
		at := c.at
		got, width := c.char()
		c.skip(width)
		if width == 0 {
			return 0, at, false
		}
		if !isBlank(got) {
			return got, at, true
		}
	}
}

// escapes of double-quoted text (YAML 1.2.2, section 5.7) that stand for one character.
var escapes = map[byte]rune{
	'0': 0, 'a': '\a', 'b': '\b', 't': '\t', '\t': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': 0x1b,
	' ': ' ', '"': '"', '/': '/', '\\': '\\', 'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029,
}

// char reads the character at the cursor and how many characters of the file it takes.
func (c *cursor) char() (rune, int) {
	got, _ := utf8.DecodeRuneInString(c.rest)
	switch {
	case c.quote == '\'' && strings.HasPrefix(c.rest, "''"):
		return '\'', 2
	case c.quote == '"' && got == '\\':
		if len(c.rest) < 2 || c.rest[1] == '\r' {
			return ' ', utf8.RuneCountInString(c.rest) // the line goes on
		}
		if e, ok := escapes[c.rest[1]]; ok {
			return e, 2
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c.rest[1]]
		if digits == 0 || len(c.rest) < 2+digits {
			return 0, 0
		}
		code, err := strconv.ParseUint(c.rest[2:2+digits], 16, 32)
		if err != nil {
			return 0, 0
		}
		return rune(code), 2 + digits
	}
	return got, 1
}

// comment returns where a comment begins behind an unquoted scalar in its last line; no line: there is none.
func (r *reporter) comment(n *yaml.Node) Position {
	if n.Kind != yaml.ScalarNode || !isPlain(n) || n.Value == "" {
		return Position{}
	}
	if single := !strings.ContainsRune(n.Value, '\n'); single && n.Line >= 1 && n.Line <= len(r.lines) {
		// Most lines hold no #, and to walk the text of each takes long. A text may go on in the next line, though.
		if line := r.lines[n.Line-1]; !strings.Contains(line, "#") && len(line) >= n.Column-1+len(n.Value) && strings.Contains(line, n.Value) {
			return Position{}
		}
	}
	at := r.end(n)
	if at.Line < 1 || at.Line > len(r.lines) {
		return Position{}
	}
	line := r.lines[at.Line-1]
	rest := line[offset(line, 1, at.Column):]
	trimmed := strings.TrimLeft(rest, " \t")
	if len(trimmed) == len(rest) || !strings.HasPrefix(trimmed, "#") {
		return Position{}
	}
	return Position{at.Line, at.Column + len(rest) - len(trimmed)}
}

// cut reports a text that a comment ends in the middle of an expression; false: that is an error.
func (r *reporter) cut(n *yaml.Node) bool {
	at := r.comment(n)
	if at.Line == 0 {
		return true
	}
	const hint = `YAML ends an unquoted text at " #": put the whole text in quotes`
	if i := strings.LastIndex(n.Value, "${{"); i >= 0 && !strings.Contains(n.Value[i:], "}}") {
		r.errorf(at, hint, "the expression is cut off here by a comment")
		return false
	}
	line := r.lines[at.Line-1]
	if rest := line[offset(line, 1, at.Column):]; strings.Contains(rest, "${{") || strings.Contains(rest, "}}") {
		r.warnf(at, hint, "this is a comment, not part of the text")
	}
	return true
}

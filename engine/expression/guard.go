package expression

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Bounds on the text of one expression. The parser of expr-lang recurses, and half a million brackets would end the
// process beyond the reach of recover, so a linear scan refuses them before it sees the text.
const (
	MaxSource  = 8 << 10 // bytes
	maxNesting = 64      // brackets inside each other, and signs in a row
	maxNodes   = 4000    // parts of one expression
	maxNested  = 2       // predicates inside each other, as in map(orders, join(map(.lines, .title)))
)

// guard refuses what the parser must not see. It knows texts in quotes and comments, and nothing else of the grammar.
func guard(src string) *fault {
	if len(src) > MaxSource {
		return &fault{
			at: noPlace, message: fmt.Sprintf("the expression is longer than %d bytes", MaxSource),
			hint: "move a part of it into a `set` step",
		}
	}
	if !utf8.ValidString(src) {
		return &fault{at: noPlace, message: "the expression is not valid UTF-8"}
	}
	depth, signs, empty := 0, 0, true
	var last rune
	for s := (scanner{src: src}); ; {
		at := s.chars
		r, kind := s.next()
		if kind == scanEnd {
			break
		}
		if kind == scanComment || unicode.IsSpace(r) {
			last = ' '
			continue
		}
		empty = false
		if kind == scanText {
			signs, last = 0, ' '
			continue
		}
		switch r {
		case '!', '-', '+':
			signs++
		case '(', '[', '{':
			depth, signs = depth+1, 0
		case ')', ']', '}':
			depth, signs = depth-1, 0
		case '_':
			if last == '_' {
				return &fault{at: at, message: "names with two underscores are reserved"}
			}
			signs = 0
		default:
			signs = 0
		}
		last = r
		if depth > maxNesting || signs > maxNesting {
			return &fault{
				at: at, message: fmt.Sprintf("more than %d brackets or signs inside each other", maxNesting),
				hint: "split the expression into `set` steps",
			}
		}
	}
	if empty {
		return &fault{at: noPlace, message: "the expression is empty"}
	}
	return nil
}

type scanKind int

const (
	scanCode    scanKind = iota // one character of the expression itself
	scanText                    // a whole text in quotes
	scanComment                 // a whole comment
	scanEnd
)

// scanner walks over the source of an expression: characters, and texts and comments as a whole.
type scanner struct {
	src      string
	at       int // in bytes
	chars    int // in characters
	unclosed bool
}

func (s *scanner) advance() rune {
	r, size := utf8.DecodeRuneInString(s.src[s.at:])
	s.at += size
	s.chars++
	return r
}

func (s *scanner) next() (rune, scanKind) {
	if s.at >= len(s.src) {
		return 0, scanEnd
	}
	r := s.advance()
	switch r {
	case '"', '\'', '`':
		for s.at < len(s.src) {
			switch c := s.advance(); {
			case c == r:
				return r, scanText
			case c == '\\' && r != '`' && s.at < len(s.src):
				s.advance()
			}
		}
		s.unclosed = true
		return r, scanText
	case '/':
		if s.at < len(s.src) && s.src[s.at] == '*' {
			s.advance()
			for s.at < len(s.src) {
				if s.advance() == '*' && s.at < len(s.src) && s.src[s.at] == '/' {
					s.advance()
					break
				}
			}
			return r, scanComment
		}
		if s.at < len(s.src) && s.src[s.at] == '/' {
			for s.at < len(s.src) && s.src[s.at] != '\n' {
				s.advance()
			}
			return r, scanComment
		}
	}
	return r, scanCode
}

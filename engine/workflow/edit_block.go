package workflow

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// cut replaces the bytes from one offset to another.
type cut struct {
	from, to int
	text     string
}

// splices applies the cuts, which do not overlap.
func splices(src []byte, cuts []cut) ([]byte, error) {
	slices.SortStableFunc(cuts, func(a, b cut) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, c := range cuts {
		if c.from < at || c.to < c.from || c.to > len(src) {
			return nil, errors.New("refused: the places to change overlap")
		}
		out = append(append(out, src[at:c.from]...), c.text...)
		at = c.to
	}
	out = append(out, src[at:]...)
	if len(out) > MaxSource {
		return nil, errors.New("the file would be too large")
	}
	return out, nil
}

// size is the number of entries of a list or fields of a mapping.
func size(n *yaml.Node) int {
	if n.Kind == yaml.MappingNode {
		return len(n.Content) / 2
	}
	return len(n.Content)
}

// bare is where an entry stands without the comments around it: from its key or dash to the end of its value.
func (s *source) bare(n *yaml.Node, i int) (start, end int) {
	switch {
	case n.Kind == yaml.MappingNode:
		key := s.spans[n.Content[2*i]]
		end = s.spans[n.Content[2*i+1]].end
		if !isFlow(n) { // an explicit key has its mark before it
			if at := bytes.LastIndexByte(s.src[:key.start], '?'); at >= s.spans[n].start && s.trivia(at+1) == key.start && at >= key.from {
				return at, end
			}
		}
		return key.start, end
	case isFlow(n):
		sp := s.spans[n.Content[i]]
		return sp.start, sp.end
	}
	sp := s.spans[n.Content[i]]
	return sp.from - 1, sp.end
}

// block is the whole of an entry outside of brackets: with the comment lines directly above, the comment behind it,
// and the comment lines below that are indented deeper than it. It ends before its line's end.
func (s *source) block(n *yaml.Node, i int) (start, end int) {
	start, end = s.bare(n, i)
	column := s.column(start)
	end = s.tail(end, column)
	least := s.spans[n].from
	if i > 0 {
		_, last := s.bare(n, i-1)
		least = s.tail(last, column)
	} else if s.spans[n].from == s.lines[0] {
		return start, end // what stands above the first key is about the file
	}
	for l := s.line(start) - 1; s.alone(start) && l > s.line(least); l-- {
		text := bytes.TrimLeft(s.src[s.lines[l]:s.lineEnd(s.lines[l])], " ")
		if len(text) == 0 || text[0] != '#' || s.lineEnd(s.lines[l])-len(text)-s.lines[l] > column {
			break
		}
		start = s.lineEnd(s.lines[l]) - len(text)
	}
	return start, end
}

// column is the number of bytes before an offset in its line.
func (s *source) column(at int) int { return at - s.lines[s.line(at)] }

// alone reports whether only spaces stand before an offset in its line.
func (s *source) alone(at int) bool {
	return len(bytes.TrimLeft(s.src[s.lines[s.line(at)]:at], " ")) == 0
}

// blank reports whether a line, from 0, is there and empty.
func (s *source) blank(l int) bool {
	return l >= 0 && l < len(s.lines) && s.lines[l] < len(s.src) && len(bytes.TrimSpace(s.src[s.lines[l]:s.lineEnd(s.lines[l])])) == 0
}

// blanksAbove counts the empty lines directly above the line of an offset.
func (s *source) blanksAbove(at int) int {
	n := 0
	for s.blank(s.line(at) - n - 1) {
		n++
	}
	return n
}

// tail goes from the end of a value past the comment in its line and the comment lines below that are indented
// deeper than column.
func (s *source) tail(end, column int) int {
	eol := s.lineEnd(end)
	rest := bytes.TrimLeft(s.src[end:eol], " \t")
	switch {
	case len(rest) == 0:
	case rest[0] == '#':
		end = eol
	default:
		return end
	}
	for l := s.line(end) + 1; l < len(s.lines); l++ {
		if s.blank(l) {
			continue
		}
		text := bytes.TrimLeft(s.src[s.lines[l]:s.lineEnd(s.lines[l])], " ")
		if len(text) == 0 || text[0] != '#' || s.lineEnd(s.lines[l])-len(text)-s.lines[l] <= column {
			break
		}
		end = s.lineEnd(s.lines[l])
	}
	return end
}

// eol is the line end that the file uses.
func (s *source) eol() string {
	if i := bytes.IndexByte(s.src, '\n'); i > 0 && s.src[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// join makes text of lines that are indented by n spaces, but the first.
func (s *source) join(lines []string, n int) string {
	return strings.Join(append(lines[:1:1], indented(lines[1:], n)...), s.eol())
}

// remove cuts entry i, one of several, out of a list or mapping.
func (s *source) remove(n *yaml.Node, i int) []cut {
	if isFlow(n) {
		return s.removeFlow(n, i)
	}
	start, end := s.block(n, i)
	first := s.lines[s.line(start)]
	if !s.alone(start) { // it follows a dash: the next one takes its place
		next, _ := s.block(n, i+1)
		if s.byteAt(next) == '#' {
			return []cut{{start, end, ""}}
		}
		return []cut{{start, next, ""}}
	}
	above := s.blanksAbove(start)
	if i == size(n)-1 {
		l := s.line(start) - above - 1
		return []cut{{s.lineEnd(s.lines[max(l, 0)]), end, ""}}
	}
	below, last := 0, s.line(end)
	for s.blank(last + below + 1) {
		below++
	}
	next, _ := s.block(n, i+1)
	switch {
	case i > 0:
		below = min(above, below)
	case s.line(next) != last+below+1:
		below = 0
	}
	return []cut{{first, s.lines[last+below+1], ""}}
}

// removeFlow takes the comma with the entry. A comment between two entries stays.
func (s *source) removeFlow(n *yaml.Node, i int) []cut {
	start, end := s.bare(n, i)
	last, next := start, end
	if i > 0 {
		_, last = s.bare(n, i-1)
	}
	more := i+1 < size(n)
	if more {
		next, _ = s.bare(n, i+1)
	}
	switch {
	case more && !s.hasComment(end, next):
		return []cut{{start, next, ""}}
	case i > 0 && !s.hasComment(last, start):
		return []cut{{last, end, ""}}
	case more:
		comma := s.comma(end)
		return []cut{{start, end, ""}, {comma, comma + 1, ""}}
	}
	comma := s.comma(last)
	return []cut{{comma, comma + 1, ""}, {start, end, ""}}
}

func (s *source) hasComment(from, to int) bool { return bytes.IndexByte(s.src[from:to], '#') >= 0 }

// comma is the place of the comma behind a value in brackets.
func (s *source) comma(end int) int { return s.trivia(end) }

// add puts lines, the first with its key or dash, before entry i of a list or mapping that has entries.
func (s *source) add(n *yaml.Node, i int, lines []string, comments []string) []cut {
	count := size(n)
	if i == count {
		start, _ := s.bare(n, i-1)
		block, end := s.block(n, i-1)
		blanks := 0
		if i > 1 && s.alone(start) {
			blanks = s.blanksAbove(block)
		}
		indent := s.column(start)
		if first, _ := s.bare(n, 0); !s.alone(first) {
			indent = s.column(first)
		}
		text := s.join(append(slices.Concat([]string{""}, comments), lines...), indent)
		return []cut{{end, end, strings.Repeat(s.eol(), blanks) + text}}
	}
	at, _ := s.block(n, i)
	start, _ := s.bare(n, i)
	blanks := 0
	if i > 0 {
		blanks = s.blanksAbove(at)
	} else if count > 1 {
		next, _ := s.block(n, 1)
		blanks = s.blanksAbove(next)
	}
	column := s.column(start)
	text := s.join(slices.Concat(comments, lines), column)
	return []cut{{at, at, text + s.eol() + strings.Repeat(s.eol(), blanks) + strings.Repeat(" ", column)}}
}

// addFlow puts a text before entry i of a list or mapping in brackets.
func (s *source) addFlow(n *yaml.Node, i int, text string) []cut {
	count := size(n)
	if count == 0 {
		at := s.spans[n].end - 1
		return []cut{{at, at, text}}
	}
	between := func(at int) string {
		if s.alone(at) {
			return "," + s.eol() + strings.Repeat(" ", s.column(at))
		}
		return ", "
	}
	if i == count {
		start, end := s.bare(n, i-1)
		return []cut{{end, end, between(start) + text}}
	}
	at, _ := s.bare(n, i)
	return []cut{{at, at, text + between(at)}}
}

package workflow

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a file, with its place.
type Problem struct {
	File    string `json:"file"`              // as the reader of the message knows it
	Line    int    `json:"line"`              // from 1; 0: the file as a whole
	Column  int    `json:"column"`            // from 1, in characters
	Step    string `json:"step,omitempty"`    // id of the step that it is in
	Message string `json:"message"`           // lower case, without the place
	Hint    string `json:"hint,omitempty"`    // what to do about it
	Snippet string `json:"snippet,omitempty"` // the line of the file and a caret below the column
	Warning bool   `json:"warning,omitempty"` // it may be meant so; the file still runs
}

// String is the problem as `bellhop check` prints it: the place and the message, the snippet, the hint.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Message)
	if p.Snippet != "" {
		b.WriteByte('\n')
		b.WriteString(p.Snippet)
	}
	if p.Hint != "" {
		b.WriteString("\n  hint: ")
		b.WriteString(p.Hint)
	}
	return b.String()
}

// Problems is everything that is wrong with a file.
type Problems []Problem

// maxProblems bounds what is said about one file; past that, more of the same helps nobody.
const maxProblems = 100

// Error is all problems as text, in their order.
func (ps Problems) Error() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.String()
	}
	return strings.Join(texts, "\n")
}

// Err returns the problems as an error, or nil when there are only warnings.
func (ps Problems) Err() error {
	if ps.count(false) == 0 {
		return nil
	}
	return ps
}

func (ps Problems) count(warnings bool) int {
	n := 0
	for _, p := range ps {
		if p.Warning == warnings {
			n++
		}
	}
	return n
}

// Sort orders the problems by file and place; of two at one place the error comes before the warning.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			strings.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(warningRank(a), warningRank(b)),
		)
	})
}

func warningRank(p Problem) int {
	if p.Warning {
		return 1
	}
	return 0
}

// AsProblems returns the problems that err holds, or nil.
func AsProblems(err error) Problems {
	var ps Problems
	if errors.As(err, &ps) {
		return ps
	}
	return nil
}

// reporter collects the problems of one file.
type reporter struct {
	file     string
	lines    []string
	skipped  int    // bytes of the source before the first line
	step     string // the step being read
	problems Problems
	more     int // problems beyond maxProblems
	muted    map[Position]bool
	mended   map[int]bool // lines whose value was left out, see mend
}

// mark is the byte order mark that some editors write before a text; it is no part of the first line.
const mark = "\ufeff"

func newReporter(file string, src []byte) reporter {
	text := string(src)
	r := reporter{file: file}
	if strings.HasPrefix(text, mark) {
		r.skipped = len(mark)
	}
	r.lines = strings.Split(text[r.skipped:], "\n")
	return r
}

// errorf adds a problem that keeps the file from running.
func (r *reporter) errorf(at Position, hint, format string, args ...any) {
	if r.full() {
		r.more++
		return
	}
	r.add(Problem{Line: at.Line, Column: at.Column, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// warnf adds a problem that the author should know of, though the file runs.
func (r *reporter) warnf(at Position, hint, format string, args ...any) {
	if r.full() {
		return
	}
	r.add(Problem{Line: at.Line, Column: at.Column, Hint: hint, Message: fmt.Sprintf(format, args...), Warning: true})
}

func (r *reporter) full() bool { return len(r.problems) >= maxProblems }

// mute leaves out whatever else is found wrong at a place: it would only follow from what was reported there.
func (r *reporter) mute(at Position) {
	if r.muted == nil {
		r.muted = map[Position]bool{}
	}
	r.muted[at] = true
}

func (r *reporter) add(p Problem) {
	if r.muted[Position{p.Line, p.Column}] || r.mended[p.Line] {
		return
	}
	p.File = r.file
	if p.Step == "" {
		p.Step = r.step
	}
	p.Snippet = r.snippet(Position{p.Line, p.Column})
	r.problems = append(r.problems, p)
}

// count is how many problems there are, shown or not.
func (r *reporter) count() int { return len(r.problems) + r.more }

// finish returns what was collected, sorted.
func (r *reporter) finish() Problems {
	r.problems.Sort()
	if r.more > 0 {
		r.problems = append(r.problems, Problem{File: r.file, Message: fmt.Sprintf("%d more problems are not shown", r.more)})
		r.more = 0
	}
	return r.problems
}

// snippetWidth is how much of a long line is drawn, in characters.
const snippetWidth = 100

// snippet draws the line of a place with a caret below the column.
func (r *reporter) snippet(at Position) string {
	if at.Line < 1 || at.Line > len(r.lines) {
		return ""
	}
	line := r.lines[at.Line-1]
	// A line may be as long as the file; what is far from the column is not looked at.
	before, after := line, ""
	column := max(at.Column, 1)
	for i := range line {
		if column--; column == 0 {
			before, after = line[:i], line[i:]
			break
		}
	}
	start, dots := before, ""
	if n := utf8.RuneCountInString(before); n > snippetWidth*3/4 {
		start, dots = lastRunes(before, snippetWidth/2), "…"
	}
	left := dots + printable(start)
	rest, cut := firstRunes(after, snippetWidth-utf8.RuneCountInString(left))
	if cut {
		rest += "…"
	}
	number := strconv.Itoa(at.Line)
	gutter := strings.Repeat(" ", len(number))
	return fmt.Sprintf("  %s | %s\n  %s | %s^", number, strings.TrimRight(left+printable(rest), " "), gutter,
		strings.Repeat(" ", utf8.RuneCountInString(left)))
}

func lastRunes(s string, n int) string {
	i := len(s)
	for ; n > 0 && i > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(s[:i])
		i -= size
	}
	return s[i:]
}

func firstRunes(s string, n int) (string, bool) {
	for i := range s {
		if n == 0 {
			return s[:i], true
		}
		n--
	}
	return s, false
}

// printable replaces what a terminal would not draw as one column, such as tabs and escape sequences.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\t' || c == '\r':
			return ' '
		case !strconv.IsPrint(c):
			return '·'
		}
		return c
	}, s)
}

// didYouMean is a hint with the candidate nearest to word, or nothing when none is near.
func didYouMean(word string, candidates []string) string {
	if near := nearest(word, candidates); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

// nearest returns the candidate with the smallest edit distance to word, if that is small for its length.
func nearest(word string, candidates []string) string {
	if len(word) > 100 {
		return ""
	}
	best, least := "", len(word)/3+2
	for _, c := range candidates {
		if c == word || len(c) > 100 {
			continue
		}
		if strings.EqualFold(c, word) {
			return c
		}
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least && d < len(c) {
			best, least = c, d
		}
	}
	return best
}

// distance counts the edits from a to b: insert, delete, replace, and swap of neighbors.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// oneOf lists words for a message: "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

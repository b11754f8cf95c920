package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// syntax reports what the library could not read, in our words. Where the mistake is the usual one, an expression
// without quotes, it returns the text without that value, so that the rest can be read; else nil.
func (r *reporter) syntax(err error, src []byte) []byte {
	var second *secondDocument
	if errors.As(err, &second) {
		r.errorf(second.at, "put each workflow into a file of its own", "a second document begins here: a file holds one")
		return nil
	}
	var bad *yaml.LoadError
	if !errors.As(err, &bad) {
		r.errorf(Position{}, "", "not YAML: %v", err)
		return nil
	}
	at := Position{bad.Mark.Line, bad.Mark.Column}
	if start := (Position{bad.ContextMark.Line, bad.ContextMark.Column}); start.Line > 0 &&
		(strings.Contains(bad.Message, "end of stream") || at.Line > len(r.lines)) {
		at = start // where the thing that never ends begins
	}
	if strings.Contains(bad.Message, "nested more than") || strings.Contains(bad.Message, "more than 20") {
		r.errorf(at, "", "%s", bad.Message)
		return nil
	}
	message, hint := r.explain(bad, &at)
	r.errorf(at, hint, "not YAML: %s", message)
	again := (len(r.mended) + 1) * len(src) // bytes read once more in all, which costs time
	if hint != quoteHint || r.mended[at.Line] || again > MaxSource {
		return nil
	}
	return r.mend(at.Line, src)
}

// unquoted matches a line with a key, before the value, and a value that holds an expression and has no quotes.
var unquoted = regexp.MustCompile(`^(\s*(?:- +)*[^\s:#"'{}\[\],&*!|>%@-][^:#]*: +)[^\s"'|>{\[].*$`)

// mend takes the value of a line out of the text and mutes the line; nil when the value goes on in the next.
func (r *reporter) mend(number int, src []byte) []byte {
	m := unquoted.FindStringSubmatch(r.lines[number-1])
	if m == nil {
		return nil
	}
	key := strings.TrimLeft(m[1], " -")
	column := len(m[1]) - len(key)
	for _, next := range r.lines[number:] {
		if text := strings.TrimLeft(next, " "); strings.TrimSpace(text) != "" {
			if len(next)-len(text) > column {
				return nil
			}
			break
		}
	}
	if r.mended == nil {
		r.mended = map[int]bool{}
	}
	r.mended[number] = true
	start := 0
	for _, line := range strings.SplitAfterN(string(src), "\n", number)[:number-1] {
		start += len(line)
	}
	end := start + len(bytes.TrimRight(line(src[start:]), "\r"))
	return splice(src, start, end, m[1]+`""`)
}

// line is src up to the end of its first line.
func line(src []byte) []byte {
	if i := bytes.IndexByte(src, '\n'); i >= 0 {
		return src[:i]
	}
	return src
}

const quoteHint = `quote it: "${{ … }}"`

// explain puts a complaint of the library into words that help, and may move the place to the cause.
func (r *reporter) explain(bad *yaml.LoadError, at *Position) (message, hint string) {
	if column := r.openTemplate(*at); column > 0 {
		at.Column = column
		return "an expression with : { } [ ] , or # cannot stand here without quotes", quoteHint
	}
	line := ""
	if at.Line >= 1 && at.Line <= len(r.lines) {
		line = r.lines[at.Line-1]
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case strings.Contains(indent, "\t"):
		at.Column = strings.IndexByte(indent, '\t') + 1
		return "a tab cannot indent a line", "use spaces"
	case strings.Contains(bad.Message, "mapping values are not allowed"):
		return `": " cannot stand in a plain text, and a key not in the middle of a value`, "quote the whole value, or check the indentation"
	case strings.Contains(bad.Message, "cannot start any token"):
		return "a plain text cannot begin with this character", "quote it"
	case strings.Contains(bad.Message, "did not find expected key"), strings.Contains(bad.Message, "'-' indicator"),
		strings.Contains(bad.Message, "document start"), strings.Contains(bad.Message, "not allowed in this context"):
		return "this line does not fit what stands above it", "check the indentation: the keys of one mapping begin in the same column"
	case strings.Contains(bad.Message, "unknown anchor"), strings.Contains(bad.ContextMsg, "alias"), strings.Contains(bad.ContextMsg, "anchor"):
		return "anchors and aliases (& and *) are not used here", "repeat the value, or quote it if the character is meant"
	case strings.Contains(bad.Message, "end of stream") && strings.Contains(bad.ContextMsg, "quoted"):
		return "the quotes that open here are never closed", ""
	case strings.Contains(bad.ContextMsg, "flow"):
		return fmt.Sprintf("%s %s", bad.ContextMsg, bad.Message), "check the commas and brackets; quote texts that hold any of [ ] { } , :"
	case strings.Contains(bad.Message, "escape"):
		return "double quotes do not know this escape", `write \\ for a backslash, or use single quotes`
	case bad.ContextMsg != "":
		return bad.ContextMsg + ": " + bad.Message, ""
	}
	return bad.Message, ""
}

// openTemplate finds an unquoted ${{ on the line, at or before the place where reading failed.
func (r *reporter) openTemplate(at Position) int {
	if at.Line < 1 || at.Line > len(r.lines) {
		return 0
	}
	line := r.lines[at.Line-1]
	start, column, quoted := 0, 0, rune(0)
	for i, c := range line {
		column++
		switch {
		case quoted != 0 && c == quoted:
			quoted = 0
		case quoted == 0 && start == 0 && (c == '"' || c == '\''):
			quoted = c
		case quoted == 0 && column <= at.Column && strings.HasPrefix(line[i:], "${{"):
			start = column
		}
	}
	return start
}

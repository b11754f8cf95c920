package expression

import (
	"context"
	"slices"
	"strings"
)

// Template is a text with expressions in ${{ }}.
type Template struct {
	source string
	parts  []part
	alone  bool // exactly one expression: its value keeps its type
	refs   []Ref
}

// part is a piece of literal text, or an expression.
type part struct {
	text    string
	program *Program
}

// CompileTemplate reads a text in which each ${{ expression }} stands for its value and $${{ for the characters
// ${{. A text that is exactly one expression has the value of it with its type; any other is a text. The error is an
// *Error whose place is in src.
func CompileTemplate(src string, s *Scope) (*Template, error) {
	t := &Template{source: src}
	var literal strings.Builder
	at := 0
	line, column, counted := 1, 1, 0
	place := func(offset int) (int, int) { // offsets only grow, so that the text is counted once
		line, column = position(src[counted:offset], -1, line, column)
		counted = offset
		return line, column
	}
	for {
		i := strings.Index(src[at:], "${{")
		if i < 0 {
			literal.WriteString(src[at:])
			break
		}
		open := at + i
		if open > at && src[open-1] == '$' {
			literal.WriteString(src[at : open-1])
			literal.WriteString("${{")
			at = open + 3
			continue
		}
		literal.WriteString(src[at:open])
		line, column := place(open)
		length, ok := expressionEnd(src[open+3:])
		if !ok {
			return nil, &Error{
				Line: line, Column: column, Message: "${{ has no closing }}",
				Hint: "write $${{ for the characters themselves",
			}
		}
		if literal.Len() > 0 {
			t.parts = append(t.parts, part{text: literal.String()})
			literal.Reset()
		}
		inner := src[open+3 : open+3+length]
		line, column = place(open + 3)
		p, err := compileAt(inner, s, line, column)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, part{program: p})
		if t.refs == nil {
			t.refs = slices.Clip(p.refs) // most have one expression
		} else {
			t.refs = append(t.refs, p.refs...)
		}
		at = open + 3 + length + 2
	}
	if literal.Len() > 0 || len(t.parts) == 0 {
		t.parts = append(t.parts, part{text: literal.String()})
	}
	t.alone = len(t.parts) == 1 && t.parts[0].program != nil
	return t, nil
}

// expressionEnd gives the offset of the }} that ends an expression: not one in a text in quotes, and not one that
// closes a { of the expression.
func expressionEnd(src string) (int, bool) {
	depth := 0
	s := scanner{src: src}
	for {
		from := s.at
		r, kind := s.next()
		switch {
		case kind == scanEnd:
			return plainEnd(src)
		case kind == scanComment:
			// A comment to the end of the line must not hide the end of the expression.
			if i := strings.Index(src[from:s.at], "}}"); i >= 0 {
				return from + i, true
			}
		case kind != scanCode:
		case r == '{':
			depth++
		case r == '}' && depth > 0:
			depth--
		case r == '}' && strings.HasPrefix(src[from:], "}}"):
			return from, true
		}
	}
}

// plainEnd finds the first }} where quotes or braces do not match, so that the mistake is told by the parser.
func plainEnd(src string) (int, bool) {
	i := strings.Index(src, "}}")
	return i, i >= 0
}

// Source gives the text of the template.
func (t *Template) Source() string { return t.source }

// Refs gives what the expressions of the template read; the places are in its text.
func (t *Template) Refs() []Ref { return t.refs }

// Eval gives the value of the template as fresh plain data. Mistakes are an *Error with a place in the text.
func (t *Template) Eval(ctx context.Context, env *Env) (any, error) {
	m := newMachine(ctx, env)
	defer m.release()
	return t.eval(m)
}

func (t *Template) eval(m *machine) (any, error) {
	if t.alone {
		p := t.parts[0].program
		v, err := p.eval(m)
		if err == nil {
			left := &m.output
			if p.path {
				left = &m.copied
			}
			v, err = m.copy(v, left, 0)
		}
		if err != nil {
			return nil, p.report(err)
		}
		return v, nil
	}
	if len(t.parts) == 1 {
		return t.parts[0].text, nil
	}
	var b strings.Builder
	for _, part := range t.parts {
		text := part.text
		if p := part.program; p != nil {
			v, err := p.eval(m)
			if err == nil {
				err = finite(v)
			}
			if err == nil {
				text, err = m.text(v)
			}
			if err != nil {
				return nil, p.report(err)
			}
		}
		if m.output -= len(text); m.output < 0 {
			return nil, &Error{Line: 1, Column: 1, Message: "the text is larger than 1 MiB"}
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

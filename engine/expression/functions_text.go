package expression

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var textFunctions = []Function{
	{
		Name: "upper", Group: "text", Signature: "upper(text)", min: 1, max: 1,
		call:    textFunction(func(a []string) (string, error) { return strings.ToUpper(a[0]), nil }),
		Summary: "Writes a text in capitals.", Example: `upper("Ada")`, Result: `"ADA"`,
	},
	{
		Name: "lower", Group: "text", Signature: "lower(text)", min: 1, max: 1,
		call:    textFunction(func(a []string) (string, error) { return strings.ToLower(a[0]), nil }),
		Summary: "Writes a text in small letters.", Example: `lower("Ada")`, Result: `"ada"`,
	},
	{
		Name: "trim", Group: "text", Signature: "trim(text, characters?)", min: 1, max: 2, call: textFunction(trim),
		Summary: "Takes white space, or the given characters, off both ends.", Example: `trim("  Ada ")`, Result: `"Ada"`,
	},
	{
		Name: "trimPrefix", Group: "text", Signature: "trimPrefix(text, prefix)", min: 2, max: 2,
		call:    textFunction(func(a []string) (string, error) { return strings.TrimPrefix(a[0], a[1]), nil }),
		Summary: "Takes a text off the beginning.", Example: `trimPrefix("re: hello", "re: ")`, Result: `"hello"`,
	},
	{
		Name: "trimSuffix", Group: "text", Signature: "trimSuffix(text, suffix)", min: 2, max: 2,
		call:    textFunction(func(a []string) (string, error) { return strings.TrimSuffix(a[0], a[1]), nil }),
		Summary: "Takes a text off the end.", Example: `trimSuffix("a.txt", ".txt")`, Result: `"a"`,
	},
	{
		Name: "split", Group: "text", Signature: "split(text, separator, n?)", min: 2, max: 3, call: split(strings.SplitN),
		Summary: "Makes a list of the parts of a text, n at most.", Example: `split("a,b", ",")`, Result: `["a","b"]`,
	},
	{
		Name: "splitAfter", Group: "text", Signature: "splitAfter(text, separator, n?)", min: 2, max: 3, call: split(strings.SplitAfterN),
		Summary: "Is split that leaves the separators in the parts.", Example: `splitAfter("a,b", ",")`, Result: `["a,","b"]`,
	},
	{
		Name: "replace", Group: "text", Signature: "replace(text, old, new)", min: 3, max: 3, call: replace,
		Summary: "Replaces every occurrence of a text.", Example: `replace("a-b-c", "-", "+")`, Result: `"a+b+c"`,
	},
	{
		Name: "repeat", Group: "text", Signature: "repeat(text, n)", min: 2, max: 2, call: repeat,
		Summary: "Writes a text n times.", Example: `repeat("ab", 3)`, Result: `"ababab"`,
	},
	{
		Name: "indexOf", Group: "text", Signature: "indexOf(text, part)", min: 2, max: 2, call: indexOf(strings.Index),
		Summary: "Gives the place, from 0, of the first occurrence, or -1.", Example: `indexOf("abcb", "b")`, Result: `1`,
	},
	{
		Name: "lastIndexOf", Group: "text", Signature: "lastIndexOf(text, part)", min: 2, max: 2, call: indexOf(strings.LastIndex),
		Summary: "Gives the place, from 0, of the last occurrence, or -1.", Example: `lastIndexOf("abcb", "b")`, Result: `3`,
	},
	{
		Name: "hasPrefix", Group: "text", Signature: "hasPrefix(text, prefix)", min: 2, max: 2, call: textTest(strings.HasPrefix),
		Summary: "Tells whether a text begins with another.", Example: `hasPrefix("order-7", "order-")`, Result: `true`,
	},
	{
		Name: "hasSuffix", Group: "text", Signature: "hasSuffix(text, suffix)", min: 2, max: 2, call: textTest(strings.HasSuffix),
		Summary: "Tells whether a text ends with another.", Example: `hasSuffix("a.pdf", ".pdf")`, Result: `true`,
	},
	{
		Name: "slug", Group: "text", Signature: "slug(text)", min: 1, max: 1,
		call:    costly(slug, 4),
		Summary: "Makes a text fit for an address or a file name.", Example: `slug("Crème brûlée & Co.")`, Result: `"creme-brulee-co"`,
	},
	{
		Name: "strip_html", Group: "text", Signature: "strip_html(text)", min: 1, max: 1,
		call:    costly(stripHTML, 1),
		Summary: "Gives the text of an HTML page or message without its tags.",
		Example: `strip_html("<p>Hello <b>Ada</b> &amp; co</p><p>Bye</p>")`, Result: `"Hello Ada & co\nBye"`,
	},
}

// costly makes a function that costs so many steps for each byte of its text, and makes copies of it on the way.
func costly(f func(text string) string, steps int) func(*machine, *site, []any) (any, error) {
	return func(m *machine, s *site, args []any) (any, error) {
		text, err := s.textOf(m, 0, args[0])
		if err != nil {
			return nil, err
		}
		if err := m.grow(4 * len(text)); err != nil {
			return nil, err
		}
		if err := m.tick(steps * len(text)); err != nil {
			return nil, err
		}
		return f(text), nil
	}
}

func trim(a []string) (string, error) {
	if len(a) == 2 {
		return strings.Trim(a[0], a[1]), nil
	}
	return strings.TrimSpace(a[0]), nil
}

func split(cutter func(s, separator string, n int) []string) func(*machine, *site, []any) (any, error) {
	return func(m *machine, s *site, args []any) (any, error) {
		texts, err := s.texts(m, args[:2])
		if err != nil {
			return nil, err
		}
		n := -1
		if len(args) == 3 {
			if n, err = s.integer(m, 2, args[2]); err != nil {
				return nil, err
			}
		}
		if texts[0] == "" {
			return []any{}, nil
		}
		parts := strings.Count(texts[0], texts[1]) + 1
		if n >= 0 {
			parts = min(parts, n)
		}
		// The parts share the memory of the text; a text is 16 bytes in a list of Go and 16 more beside it.
		if err := m.grow(parts * 3 * sizeOfItem); err != nil {
			return nil, err
		}
		cuts := cutter(texts[0], texts[1], n)
		list := make([]any, len(cuts))
		for i, part := range cuts {
			list[i] = part
		}
		return list, nil
	}
}

func replace(m *machine, s *site, args []any) (any, error) {
	texts, err := s.texts(m, args)
	if err != nil {
		return nil, err
	}
	n := strings.Count(texts[0], texts[1])
	// The counts are below 2^24 each, so the product cannot overflow.
	if err := m.grow(max(len(texts[0])+n*(len(texts[2])-len(texts[1])), 0)); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(texts[0], texts[1], texts[2]), m.tick(n)
}

func repeat(m *machine, s *site, args []any) (any, error) {
	text, err := s.textOf(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	n, err := s.integer(m, 1, args[1])
	if err != nil {
		return nil, err
	}
	if n < 0 || len(text) > 0 && n > maxBytes/len(text) {
		return nil, faultf("repeat can write a text 0 to %d times, not %d", maxBytes/max(len(text), 1), n)
	}
	if err := m.grow(n * len(text)); err != nil {
		return nil, err
	}
	if text == "" {
		return "", nil
	}
	return strings.Repeat(text, n), nil
}

func indexOf(find func(s, part string) int) func(*machine, *site, []any) (any, error) {
	return func(m *machine, s *site, args []any) (any, error) {
		texts, err := s.texts(m, args)
		if err != nil {
			return nil, err
		}
		i := find(texts[0], texts[1])
		if i < 0 {
			return -1, nil
		}
		return utf8.RuneCountInString(texts[0][:i]), nil
	}
}

func textTest(holds func(s, part string) bool) func(*machine, *site, []any) (any, error) {
	return func(m *machine, s *site, args []any) (any, error) {
		texts, err := s.texts(m, args)
		if err != nil {
			return nil, err
		}
		return holds(texts[0], texts[1]), nil
	}
}

// unmarked are the Latin letters that no decomposition brings to ASCII.
var unmarked = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ħ': "h", 'ı': "i",
}

// slug keeps letters and digits, of Latin ones without their marks, and puts one - between the words.
func slug(text string) string {
	var b strings.Builder
	gap := false
	for _, r := range norm.NFD.String(strings.ToLower(text)) {
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			gap = r != '\'' && r != '’' || gap
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte('-')
		}
		gap = false
		if plain, ok := unmarked[r]; ok {
			b.WriteString(plain)
		} else {
			b.WriteRune(r)
		}
	}
	return norm.NFC.String(b.String())
}

// hiddenTags have contents that are no text.
var hiddenTags = map[string]bool{"script": true, "style": true, "head": true, "template": true}

// breakingTags begin a new line.
var breakingTags = map[string]bool{
	"p": true, "br": true, "div": true, "li": true, "tr": true, "h1": true, "h2": true, "h3": true, "h4": true,
	"h5": true, "h6": true, "ul": true, "ol": true, "table": true, "blockquote": true, "pre": true, "hr": true,
	"section": true, "article": true, "header": true, "footer": true,
}

// stripHTML is for messages, not for safety: what it gives is plain text and must be escaped where it is shown.
func stripHTML(text string) string {
	var b strings.Builder
	for text != "" {
		open := strings.IndexByte(text, '<')
		if open < 0 {
			b.WriteString(text)
			break
		}
		b.WriteString(text[:open])
		text = text[open:]
		if strings.HasPrefix(text, "<!--") {
			_, text, _ = strings.Cut(text, "-->")
			continue
		}
		tag := tagName(text)
		if tag == "" {
			b.WriteByte('<')
			text = text[1:]
			continue
		}
		text = afterTag(text)
		if breakingTags[strings.TrimPrefix(tag, "/")] {
			b.WriteByte('\n')
		}
		if hiddenTags[tag] {
			if text = afterEnd(text, tag); text != "" {
				text = afterTag(text)
			}
		}
	}
	return lines(html.UnescapeString(b.String()))
}

// tagName gives the name of the tag that text begins with, in small letters and with its slash; "" for no tag.
func tagName(text string) string {
	i := 1
	for i < len(text) && i < 32 && (text[i] == '/' && i == 1 || text[i] == '!' && i == 1 || isAlphanumeric(text[i])) {
		i++
	}
	if i == 1 || i == 2 && text[1] == '/' || text[1] >= '0' && text[1] <= '9' {
		return ""
	}
	return strings.ToLower(text[1:i])
}

func isAlphanumeric(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }

// afterTag skips a tag; a > in a quoted attribute does not end it.
func afterTag(text string) string {
	var quote byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			if i > 0 && text[i-1] == '=' {
				quote = c
			}
		case c == '>':
			return text[i+1:]
		}
	}
	return ""
}

// afterEnd gives text from the end tag of a name on.
func afterEnd(text, tag string) string {
	for i := 0; i+2+len(tag) <= len(text); i++ {
		if text[i] == '<' && text[i+1] == '/' && strings.EqualFold(text[i+2:i+2+len(tag)], tag) {
			return text[i:]
		}
	}
	return ""
}

// lines leaves one space between words and one line end between lines.
func lines(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 {
			out = append(out, strings.Join(words, " "))
		}
	}
	return strings.Join(out, "\n")
}

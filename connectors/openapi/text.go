package openapi

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	htmlTag  = regexp.MustCompile(`</?[a-zA-Z][^<>]{0,300}>`)
	mdLink   = regexp.MustCompile(`!?\[([^\[\]]{1,300})\]\([^()]{0,600}\)`)
	mdMarks  = regexp.MustCompile("\\*\\*|__|```|`|^#+ ")
	entities = strings.NewReplacer("&nbsp;", " ", "&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", `"`, "&#39;", "'")
)

// plainText takes markdown and HTML out of a description and makes one line of it.
func plainText(s string) string {
	if len(s) > 4000 {
		s = strings.ToValidUTF8(s[:4000], "")
	}
	s = htmlTag.ReplaceAllString(s, " ")
	s = mdLink.ReplaceAllString(s, "$1")
	s = mdMarks.ReplaceAllString(s, "")
	s = entities.Replace(s)
	s = strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || unicode.IsControl(c) {
			return ' '
		}
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// firstSentence is the first sentence of a description, at most so many characters.
func firstSentence(s string, most int) string {
	s = strings.TrimSpace(s)
	if i := strings.Index(s, "\n\n"); i > 0 {
		s = s[:i]
	}
	s = strings.TrimLeft(plainText(s), "-*•: ")
	runes := []rune(s)
	for i, c := range runes {
		end := i+1 == len(runes) || runes[i+1] == ' '
		if (c == '.' || c == '!' || c == '?') && end && i+1 < len(runes) && !abbreviation(runes[:i]) && !remark.MatchString(string(runes[:i])) {
			runes = runes[:i+1]
			break
		}
	}
	if len(runes) > most {
		cut := most - 1
		for cut > most/2 && runes[cut] != ' ' {
			cut--
		}
		return strings.TrimRight(string(runes[:cut]), " ,;:") + "…"
	}
	return string(runes)
}

// remark is a first sentence that says nothing without the next one.
var remark = regexp.MustCompile(`(?i)^\(?(required|optional|output only|input only|read only|immutable|identifier|deprecated|beta|note)\)?$`)

// capital writes the first letter of a title as one, where the word is none that has capitals of its own.
func capital(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if word != strings.ToLower(word) || strings.ContainsAny(word, "._-/:0123456789") {
		return s
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// abbreviation reports that a full stop after these characters ends no sentence, as in "e.g." and "v1.".
func abbreviation(before []rune) bool {
	word := string(before[max(0, len(before)-6):])
	if i := strings.LastIndexAny(word, " ("); i >= 0 {
		word = word[i+1:]
	}
	switch strings.ToLower(word) {
	case "e.g", "i.e", "eg", "ie", "etc", "vs", "approx", "no", "st", "mr", "incl":
		return true
	}
	return len(word) == 1
}

package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// operation is one entry of `paths`; nothing in it is resolved yet.
type operation struct {
	id     string // of the action
	method string // upper case
	path   string // as the document has it
	tags   []string
	item   *object // the path item
	node   *object
}

var methods = []string{"get", "post", "put", "patch", "delete", "head"}

// list finds the operations and gives them their ids. An id depends on the document alone, not on what is chosen.
func (d *Document) list() {
	taken := map[string]bool{}
	for _, entry := range d.root.object("paths").all() {
		if strings.HasPrefix(entry.key, "x-") {
			continue
		}
		item, err := d.resolve(entry.val)
		if err != nil {
			d.notes = appendNote(d.notes, Note{LeftOut, entry.key, err.Error()})
			continue
		}
		for _, m := range item.all() {
			method := strings.ToLower(m.key)
			node, ok := m.val.(*object)
			if !ok || !slices.Contains(methods, method) {
				continue
			}
			op := &operation{method: strings.ToUpper(method), path: entry.key, item: item, node: node, tags: texts(node.list("tags"))}
			id := slug(node.text("operationId"))
			if id == "" {
				id = slug(method + " " + pathWords(entry.key))
			}
			if id == "" {
				id = method
			}
			if len(id) > maxID {
				id = hashed(id, op.name())
			}
			if taken[id] {
				id = hashed(id, op.method+" "+op.path)
			}
			for taken[id] { // two equal operations in one document
				id = hashed(id, id)
			}
			taken[id] = true
			op.id = id
			d.ops = append(d.ops, op)
		}
	}
}

// name is how a person chooses the operation: its operationId, else method and path.
func (op *operation) name() string {
	if id := strings.TrimSpace(op.node.text("operationId")); id != "" {
		return id
	}
	return op.method + " " + op.path
}

// title is what the operation does in a few words.
func (op *operation) title() string {
	for _, text := range []string{op.node.text("x-ms-summary"), op.node.text("summary")} {
		if text = strings.TrimRight(plainText(text), ". "); text != "" && len(text) <= maxTitle {
			return capital(text)
		}
	}
	if id := op.node.text("operationId"); slug(id) != "" {
		return humanize(id)
	}
	if text := firstSentence(op.node.text("summary"), maxTitle); text != "" {
		return strings.TrimRight(text, ".")
	}
	return humanize(strings.ToLower(op.method) + " " + pathWords(op.path))
}

// pathWords leaves out of a path what tells operations apart in no way that a person would name.
func pathWords(path string) string {
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	return path
}

const (
	maxID    = 40
	maxTitle = 80
)

// hashed shortens an id and keeps it apart from others by a hash of what it stands for.
func hashed(id, of string) string {
	sum := sha256.Sum256([]byte(of))
	return strings.TrimRight(id[:min(len(id), maxID-7)], "_") + "_" + hex.EncodeToString(sum[:3])
}

// slug writes a name in snake_case: `createThing`, `Create thing` and `things/create` are told apart by nothing else.
// A letter with an accent is written without it.
func slug(s string) string { return strings.ToLower(strings.Join(words(ascii(s)), "_")) }

// folded are letters that Unicode does not take apart.
var folded = strings.NewReplacer("ß", "ss", "æ", "ae", "Æ", "Ae", "ø", "o", "Ø", "O", "œ", "oe", "Œ", "Oe", "ł", "l", "Ł", "L", "đ", "d", "Đ", "D", "ı", "i")

// ascii writes letters without their accents, and a blank for what has no place among the 128 characters.
func ascii(s string) string {
	if strings.IndexFunc(s, func(c rune) bool { return c > unicode.MaxASCII }) < 0 {
		return s
	}
	return strings.Map(func(c rune) rune {
		switch {
		case unicode.Is(unicode.Mn, c):
			return -1
		case c > unicode.MaxASCII && c != '’':
			return ' '
		}
		return c
	}, norm.NFKD.String(folded.Replace(s)))
}

// words splits a name at everything that is no letter or digit, and where capitals begin.
func words(s string) []string {
	var list []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			list = append(list, string(word))
			word = nil
		}
	}
	runes := []rune(s)
	for i, c := range runes {
		switch {
		case unicode.IsUpper(c):
			// aB begins a word at B, ABc at Bc; a digit before stays with the capital, as in V1Thing
			before := i > 0 && (unicode.IsLower(runes[i-1]) || unicode.IsDigit(runes[i-1]))
			after := i > 0 && unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1]) && !pluralEnd(runes, i)
			if before || after {
				flush()
			}
			word = append(word, c)
		case unicode.IsLetter(c) || unicode.IsMark(c) || unicode.IsDigit(c):
			word = append(word, c)
		case c == '\'' || c == '’':
		default:
			flush()
		}
	}
	flush()
	return list
}

// pluralEnd reports an acronym in the plural, such as the IDs of listIDs.
func pluralEnd(runes []rune, i int) bool {
	return i+1 < len(runes) && runes[i+1] == 's' && (i+2 == len(runes) || !unicode.IsLower(runes[i+2]))
}

// humanize makes a title of a name: `customer_id` is "Customer ID".
func humanize(name string) string {
	list := words(name)
	for i, w := range list {
		switch lower := strings.ToLower(w); lower {
		case "id", "url", "uri", "api", "ip", "html", "json", "xml", "csv", "sms", "vat", "iso", "sku", "pdf", "sql", "http", "utc":
			list[i] = strings.ToUpper(w)
		case "ids", "urls":
			list[i] = strings.ToUpper(w[:len(w)-1]) + "s"
		default:
			list[i] = lower
		}
	}
	if len(list) == 0 {
		return name
	}
	title := []rune(strings.Join(list, " "))
	title[0] = unicode.ToUpper(title[0])
	return string(title)
}

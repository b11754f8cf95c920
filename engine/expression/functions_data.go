package expression

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

var dataFunctions = []Function{
	{
		Name: "default", Group: "data", Signature: "default(value, otherwise)", min: 2, max: 2, call: otherwise,
		Summary: "Gives the second value where the first is missing or an empty text.", Example: `default(nil, "none")`, Result: `"none"`,
	},
	{
		Name: "type", Group: "data", Signature: "type(value)", min: 1, max: 1, call: typeOf,
		Summary: `Gives "nil", "bool", "int", "float", "string", "array", "map", "date" or "duration".`, Example: `type([1])`, Result: `"array"`,
	},
	{
		Name: "string", Group: "data", Signature: "string(value)", min: 1, max: 1, call: toText,
		Summary: "Makes a text of a value, as in a template.", Example: `string(12.50)`, Result: `"12.5"`,
	},
	{
		Name: "to_json", Group: "data", Signature: "to_json(value)", min: 1, max: 1, call: toJSON,
		Summary: "Writes a value as JSON.", Example: `to_json({a: [1, "x"]})`, Result: `"{\"a\":[1,\"x\"]}"`,
	},
	{
		Name: "toJSON", Group: "data", Signature: "toJSON(value)", min: 1, max: 1, call: toJSON,
		Summary: "Is another name of to_json.", Example: `toJSON([1, 2])`, Result: `"[1,2]"`,
	},
	{
		Name: "parse_json", Group: "data", Signature: "parse_json(text)", min: 1, max: 1, call: parseJSON,
		Summary: "Reads a text that holds JSON.", Example: `parse_json("{\"a\": 1}").a`, Result: `1`,
	},
	{
		Name: "fromJSON", Group: "data", Signature: "fromJSON(text)", min: 1, max: 1, call: parseJSON,
		Summary: "Is another name of parse_json.", Example: `fromJSON("[1, 2]")`, Result: `[1,2]`,
	},
	{
		Name: "to_csv", Group: "data", Signature: "to_csv(list, columns?, separator?)", min: 1, max: 3, call: toCSV,
		Summary: "Writes a list of objects (below a line with the names of the columns) or of lists as CSV.",
		Example: `to_csv([{name: "Ada", n: 1}], ["name", "n"])`, Result: `"name,n\nAda,1\n"`,
	},
	{
		Name: "parse_csv", Group: "data", Signature: "parse_csv(text, separator?)", min: 1, max: 2, call: parseCSV,
		Summary: "Reads CSV whose first line names the fields.",
		Example: `parse_csv("name,n\nAda,1")`, Result: `[{"n":"1","name":"Ada"}]`,
	},
	{
		Name: "to_xml", Group: "data", Signature: "to_xml(object)", min: 1, max: 1, call: toXML,
		Summary: "Writes an object with one field, the root element, as XML.", Example: `to_xml({a: {"@x": 1, b: 2}})`, Result: `"<a x=\"1\"><b>2</b></a>"`,
	},
	{
		Name: "parse_xml", Group: "data", Signature: "parse_xml(text)", min: 1, max: 1, call: parseXML,
		Summary: "Reads XML: attributes have an @, repeated elements are a list.",
		Example: `parse_xml("<a x='1'><b>2</b></a>")`, Result: `{"a":{"@x":"1","b":"2"}}`,
	},
	{
		Name: "base64", Group: "codes", Signature: "base64(text)", min: 1, max: 1, call: encoder(toBase64),
		Summary: "Writes a text in base64.", Example: `base64("Ada")`, Result: `"QWRh"`,
	},
	{
		Name: "toBase64", Group: "codes", Signature: "toBase64(text)", min: 1, max: 1, call: encoder(toBase64),
		Summary: "Is another name of base64.", Example: `toBase64("Ada")`, Result: `"QWRh"`,
	},
	{
		Name: "base64_decode", Group: "codes", Signature: "base64_decode(text)", min: 1, max: 1, call: encoder(fromBase64),
		Summary: "Reads a text in base64.", Example: `base64_decode("QWRh")`, Result: `"Ada"`,
	},
	{
		Name: "fromBase64", Group: "codes", Signature: "fromBase64(text)", min: 1, max: 1, call: encoder(fromBase64),
		Summary: "Is another name of base64_decode.", Example: `fromBase64("QWRh")`, Result: `"Ada"`,
	},
	{
		Name: "url_encode", Group: "codes", Signature: "url_encode(text or object)", min: 1, max: 1, call: urlEncode,
		Summary: "Writes a text for use in an address, or an object as a query.", Example: `url_encode("a b&c")`, Result: `"a%20b%26c"`,
	},
	{
		Name: "sha256", Group: "codes", Signature: "sha256(text)", min: 1, max: 1,
		call: encoder(func(a []string) (string, error) {
			sum := sha256.Sum256([]byte(a[0]))
			return hex.EncodeToString(sum[:]), nil
		}),
		Summary: "Gives the SHA-256 of a text in hexadecimal.", Example: `sha256("")`,
		Result: `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`,
	},
	{
		Name: "hmac_sha256", Group: "codes", Signature: "hmac_sha256(text, key)", min: 2, max: 2,
		call: encoder(func(a []string) (string, error) {
			mac := hmac.New(sha256.New, []byte(a[1]))
			mac.Write([]byte(a[0]))
			return hex.EncodeToString(mac.Sum(nil)), nil
		}),
		Summary: "Gives the HMAC with SHA-256 of a text in hexadecimal.", Example: `hmac_sha256("what do ya want for nothing?", "Jefe")`,
		Result: `"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"`,
	},
	{
		Name: "uuid", Group: "codes", Signature: "uuid()", min: 0, max: 0, call: uuid,
		Summary: "Gives a new identifier; a repeat of the step gets the same.", Example: `uuid()`,
	},
}

func otherwise(_ *machine, _ *site, args []any) (any, error) {
	if args[0] == nil || args[0] == "" {
		return args[1], nil
	}
	return args[0], nil
}

func typeOf(_ *machine, _ *site, args []any) (any, error) {
	switch args[0].(type) {
	case nil:
		return "nil", nil
	case bool:
		return "bool", nil
	case float64:
		return "float", nil
	case string:
		return "string", nil
	case []any:
		return "array", nil
	case map[string]any:
		return "map", nil
	}
	switch {
	case isTime(args[0]):
		return "date", nil
	case isDuration(args[0]):
		return "duration", nil
	}
	return "int", nil
}

func toText(m *machine, _ *site, args []any) (any, error) {
	return m.text(args[0])
}

// text renders a value as in a template, and pays for it.
func (m *machine) text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []any, map[string]any:
		out, err := appendJSON(m, nil, v)
		return string(out), err
	}
	return value.Text(v), m.grow(32)
}

// appendJSON writes a value as JSON after it paid for its size.
func appendJSON(m *machine, dst []byte, v any) ([]byte, error) {
	size := m.bytes
	if err := weigh(m, v, &size, 0); err != nil {
		return nil, err
	}
	if err := m.grow(2 * (m.bytes - size)); err != nil {
		return nil, err
	}
	out, err := value.AppendJSON(dst, v)
	if err != nil {
		return nil, faultf("%v", err)
	}
	return out, nil
}

// weigh takes the size of v as JSON, about, from left, and pays steps for what it looks at. It fails early, because
// an expression can make a small value that holds itself very often.
func weigh(m *machine, v any, left *int, depth int) error {
	if depth > value.MaxDepth {
		return faultf("more than %d levels inside each other", value.MaxDepth)
	}
	if err := m.tick(1); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		*left -= len(v) + 3
	case []any:
		*left -= 2
		for _, item := range v {
			if err := weigh(m, item, left, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		*left -= 2
		for key, item := range v {
			*left -= len(key) + 4
			if err := weigh(m, item, left, depth+1); err != nil {
				return err
			}
		}
	default:
		*left -= 8
	}
	if *left < 0 {
		return m.grow(m.bytes + 1)
	}
	return nil
}

func toJSON(m *machine, _ *site, args []any) (any, error) {
	out, err := appendJSON(m, nil, args[0])
	return string(out), err
}

// parsed gives a text to decode, and pays for the data that will be made of it: marks begin what costs the memory of
// an object (or an element, or a row), and every comma may stand for one more item.
func (s *site) parsed(m *machine, v any, marks string) (string, error) {
	text, err := s.present(m, 0, v)
	if err != nil {
		return "", err
	}
	const sizeOfObject = 320 // a map of up to 8 fields
	if err := m.grow(min(len(text)+sizeOfObject*strings.Count(text, marks)+2*sizeOfItem*strings.Count(text, ","), maxBytes+1)); err != nil {
		return "", err
	}
	return text, m.tick(len(text) / 4)
}

func parseJSON(m *machine, s *site, args []any) (any, error) {
	text, err := s.parsed(m, args[0], "{")
	if err != nil {
		return nil, err
	}
	v, err := value.DecodeJSON([]byte(text))
	if err != nil {
		return nil, faultf("%s is not JSON: %v", s.arg(0), err)
	}
	return v, nil
}

func parseXML(m *machine, s *site, args []any) (any, error) {
	text, err := s.parsed(m, args[0], "<")
	if err != nil {
		return nil, err
	}
	v, err := value.DecodeXML([]byte(text))
	if err != nil {
		return nil, faultf("%s cannot be read: %v", s.arg(0), err)
	}
	return v, nil
}

func toXML(m *machine, s *site, args []any) (any, error) {
	object, err := s.object(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	size := m.bytes
	if err := weigh(m, object, &size, 0); err != nil {
		return nil, err
	}
	if err := m.grow(3 * (m.bytes - size)); err != nil {
		return nil, err
	}
	out, err := value.AppendXML(nil, object)
	if err != nil {
		return nil, faultf("%v", err)
	}
	return string(out), nil
}

// separator reads the one character that stands between two cells.
func (s *site) separator(m *machine, i int, v any) (rune, error) {
	text, err := s.textOf(m, i, v)
	if err != nil {
		return 0, err
	}
	r, size := utf8.DecodeRuneInString(text)
	if size != len(text) || !utf8.ValidString(text) || size == 0 || strings.ContainsRune("\r\n\"\uFFFD", r) {
		return 0, faultf("the separator of CSV is one character, not %s", quote(text))
	}
	return r, nil
}

func parseCSV(m *machine, s *site, args []any) (any, error) {
	text, err := s.parsed(m, args[0], "\n")
	if err != nil {
		return nil, err
	}
	separator := ','
	if len(args) > 1 {
		if separator, err = s.separator(m, 1, args[1]); err != nil {
			return nil, err
		}
	}
	list, err := value.DecodeCSV([]byte(text), separator)
	if err != nil {
		return nil, faultf("%s cannot be read: %v", s.arg(0), err)
	}
	return list, nil
}

func toCSV(m *machine, s *site, args []any) (any, error) {
	list, err := s.list(m, 0, args[0])
	if err != nil {
		return nil, err
	}
	var columns []string
	if len(args) > 1 && args[1] != nil {
		names, err := s.list(m, 1, args[1])
		if err != nil {
			return nil, err
		}
		if columns, err = s.texts(m, names); err != nil {
			return nil, err
		}
		// Every row has a cell for each column, whether its object has the field or not.
		if err := m.grow(len(columns) * (len(list) + 1) * 2); err != nil {
			return nil, err
		}
	}
	separator := ','
	if len(args) > 2 {
		if separator, err = s.separator(m, 2, args[2]); err != nil {
			return nil, err
		}
	}
	size := m.bytes
	if err := weigh(m, list, &size, 0); err != nil {
		return nil, err
	}
	if err := m.grow(2 * (m.bytes - size)); err != nil {
		return nil, err
	}
	out, err := value.AppendCSV(nil, list, columns, separator)
	if err != nil {
		return nil, faultf("%v", err)
	}
	return made(m, string(out))
}

// encoder makes a function of texts that must not be missing.
func encoder(f func(args []string) (string, error)) func(*machine, *site, []any) (any, error) {
	apply := textFunction(f)
	return func(m *machine, s *site, args []any) (any, error) {
		for i, v := range args {
			if v == nil {
				return nil, s.missing(m, i)
			}
		}
		return apply(m, s, args)
	}
}

func toBase64(a []string) (string, error) {
	return base64.StdEncoding.EncodeToString([]byte(a[0])), nil
}

// fromBase64 reads both alphabets, with or without padding.
func fromBase64(a []string) (string, error) {
	text := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(a[0]), "=")
	out, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return "", faultf("%s is not base64", quote(a[0]))
	}
	if !utf8.Valid(out) {
		return "", faultf("the base64 holds no text, but other data")
	}
	return string(out), nil
}

func urlEncode(m *machine, s *site, args []any) (any, error) {
	if object, ok := args[0].(map[string]any); ok {
		size := m.bytes
		if err := weigh(m, object, &size, 0); err != nil {
			return nil, err
		}
		if err := m.grow(3 * (m.bytes - size)); err != nil {
			return nil, err
		}
		out, err := value.AppendForm(nil, object)
		if err != nil {
			return nil, faultf("%v", err)
		}
		return string(out), nil
	}
	return textFunction(func(a []string) (string, error) {
		return strings.ReplaceAll(url.QueryEscape(a[0]), "+", "%20"), nil
	})(m, s, args)
}

// uuid gives a version 4 UUID (RFC 9562) of the seed and of how many were made before, or of chance without a seed.
func uuid(m *machine, _ *site, _ []any) (any, error) {
	if err := m.grow(256); err != nil {
		return nil, err
	}
	if err := m.tick(20); err != nil {
		return nil, err
	}
	var id [16]byte
	if m.env.Seed == "" {
		if _, err := rand.Read(id[:]); err != nil {
			return nil, fmt.Errorf("uuid: %w", err)
		}
	} else {
		h := sha256.New()
		h.Write([]byte(m.env.Seed))
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(m.uuids)))
		copy(id[:], h.Sum(nil))
		m.uuids++
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}

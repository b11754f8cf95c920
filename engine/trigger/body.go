package trigger

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Bounds of a multipart body.
const (
	maxParts    = 1000
	maxPartName = 200 // bytes
)

// content is a decoded body.
type content struct {
	body       any
	json       bool // the body is JSON: it can be decoded from the raw bytes again
	duplicates bool // an object repeats a key; the last value counts
}

// decodeBody reads a body by its media type (RFC 9110, section 8.3). An empty body is none, whatever the type says.
func decodeBody(header http.Header, raw []byte) (content, *refusal) {
	if len(raw) == 0 {
		return content{}, nil
	}
	types := header["Content-Type"]
	if len(types) == 0 {
		return content{}, refuse(http.StatusUnsupportedMediaType, "the body has no Content-Type; send one, such as application/json")
	}
	if len(types) > 1 {
		return content{}, refuse(http.StatusUnsupportedMediaType, "the header Content-Type came %d times", len(types))
	}
	if types[0] == "application/json" { // nearly all of them: spare the parsing
		return decodeJSON(raw)
	}
	media, params, err := mime.ParseMediaType(types[0])
	if err != nil {
		return content{}, refuse(http.StatusUnsupportedMediaType, "the Content-Type cannot be read: %v", err)
	}
	switch {
	case strings.HasPrefix(media, "multipart/"):
		return decodeMultipart(media, params["boundary"], raw)
	case strings.HasPrefix(media, "text/") || media == "application/xml" || strings.HasSuffix(media, "+xml"):
		text, no := toUTF8(raw, params["charset"])
		if no != nil {
			return content{}, no
		}
		if media == "text/xml" || !strings.HasPrefix(media, "text/") {
			return decoded(value.DecodeXML(text))
		}
		if at := firstInvalid(text); at >= 0 {
			return content{}, refuse(http.StatusBadRequest, "the text is not UTF-8 (byte %d)", at+1)
		}
		return content{body: string(text)}, nil
	case media == "application/x-www-form-urlencoded":
		fields, err := value.DecodeForm(raw)
		return decoded(fields, err)
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
			return content{}, refuse(http.StatusUnsupportedMediaType, "JSON is always UTF-8, not %s", charset)
		}
		return decodeJSON(raw)
	}
	return content{}, refuse(http.StatusUnsupportedMediaType,
		"the type %s is not supported; JSON, form, XML, text and multipart are", media)
}

func decodeJSON(raw []byte) (content, *refusal) {
	body, duplicates, err := value.DecodeJSONDuplicates(raw)
	if err != nil {
		return content{}, refuse(http.StatusBadRequest, "the body is malformed: %v", err)
	}
	return content{body: body, json: true, duplicates: duplicates}, nil
}

func decoded(body any, err error) (content, *refusal) {
	if err != nil {
		return content{}, refuse(http.StatusBadRequest, "the body is malformed: %v", err)
	}
	return content{body: body}, nil
}

// toUTF8 converts the character sets that are cheap to know.
func toUTF8(raw []byte, charset string) ([]byte, *refusal) {
	switch strings.ToLower(charset) {
	case "", "utf-8", "utf8", "us-ascii":
		return raw, nil
	case "iso-8859-1", "latin1":
		text := make([]byte, 0, len(raw)+len(raw)/8)
		for _, c := range raw {
			text = utf8.AppendRune(text, rune(c))
		}
		return text, nil
	}
	return nil, refuse(http.StatusUnsupportedMediaType, "the charset %s is not supported; send UTF-8", charset)
}

// firstInvalid returns the offset of the first byte that is not UTF-8, or -1.
func firstInvalid(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// decodeMultipart reads the fields and files of a form (RFC 7578). A file is {filename, type, size, content}; where
// its content is not text it is base64, and base64 is true. A repeated name makes a list.
func decodeMultipart(media, boundary string, raw []byte) (content, *refusal) {
	if media != "multipart/form-data" && media != "multipart/mixed" {
		return content{}, refuse(http.StatusUnsupportedMediaType, "the type %s is not supported; multipart/form-data is", media)
	}
	if boundary == "" {
		return content{}, refuse(http.StatusBadRequest, "the body is malformed: the Content-Type names no boundary")
	}
	fields := map[string]any{}
	reader := multipart.NewReader(bytes.NewReader(raw), boundary)
	for n := 1; ; n++ {
		part, err := reader.NextPart()
		if err == io.EOF { //nolint:errorlint // a wrapped one says that the body ends early
			if !bytes.Contains(raw, []byte("--"+boundary+"--")) { // it may end behind any boundary
				return content{}, refuse(http.StatusBadRequest, "the body is malformed: it ends early, behind part %d", n-1)
			}
			return content{body: fields}, nil
		}
		if err != nil {
			return content{}, refuse(http.StatusBadRequest, "the body is malformed: part %d: %v", n, err)
		}
		if n > maxParts {
			return content{}, refuse(http.StatusBadRequest, "the body has more than %d parts", maxParts)
		}
		name := part.FormName()
		if name == "" || len(name) > maxPartName || !utf8.ValidString(name) {
			return content{}, refuse(http.StatusBadRequest, "the body is malformed: part %d has no usable name", n)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return content{}, refuse(http.StatusBadRequest, "the body is malformed: part %d: %v", n, err)
		}
		addField(fields, name, partValue(part, data))
	}
}

// partValue is the text of a field, or a file.
func partValue(part *multipart.Part, data []byte) any {
	filename := strings.ToValidUTF8(part.FileName(), "\uFFFD")
	text := utf8.Valid(data)
	if filename == "" && text {
		return string(data)
	}
	media, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
	if err != nil {
		media = "application/octet-stream"
	}
	file := map[string]any{"filename": filename, "type": media, "size": len(data)}
	if text {
		file["content"] = string(data)
	} else {
		file["content"], file["base64"] = base64.StdEncoding.EncodeToString(data), true
	}
	return file
}

func addField(fields map[string]any, name string, v any) {
	old, repeated := fields[name]
	if !repeated {
		fields[name] = v
		return
	}
	if list, ok := old.([]any); ok {
		fields[name] = append(list, v)
		return
	}
	fields[name] = []any{old, v}
}

// refusal is why a call is not accepted.
type refusal struct {
	status     int
	detail     string // told to the caller
	reason     string // shown on the delivery; empty: detail
	challenge  string // of a 401
	allow      string // of a 405
	retryAfter int    // seconds; 0: none
	hangUp     bool   // the rest of the body is not read
	data       []byte // the event, where a person may send it again
	unrecorded bool   // there is no room to keep a delivery
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, detail: fmt.Sprintf(format, args...)}
}

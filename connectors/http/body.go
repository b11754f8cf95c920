package http

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"mime/multipart"
	"net/textproto"
	"sort"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// encoders are the inputs that make a body. A given nil counts for json, where it is the value null.
var encoders = []struct {
	name   string
	encode func(v any) (body []byte, contentType string, err error)
}{
	{"json", func(v any) ([]byte, string, error) {
		body, err := value.AppendJSON(nil, v)
		return body, "application/json", err
	}},
	{"form", func(v any) ([]byte, string, error) {
		fields, err := object("form", v)
		if err != nil {
			return nil, "", err
		}
		body, err := value.AppendForm(nil, fields)
		return body, "application/x-www-form-urlencoded", err
	}},
	{"multipart", encodeMultipart},
	{"xml", func(v any) ([]byte, string, error) {
		if text, ok := v.(string); ok {
			return []byte(text), "application/xml; charset=utf-8", nil
		}
		body, err := value.AppendXML(nil, v)
		return body, "application/xml; charset=utf-8", err
	}},
	{"raw", func(v any) ([]byte, string, error) {
		return []byte(value.Text(v)), "text/plain; charset=utf-8", nil
	}},
}

func (r *request) setBody(input map[string]any) error {
	from := ""
	for _, e := range encoders {
		v, given := input[e.name]
		if !given || v == nil && e.name != "json" {
			continue
		}
		if from != "" {
			return fmt.Errorf("both %s and %s are given; a call has one body", from, e.name)
		}
		from = e.name
		body, contentType, err := e.encode(v)
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		if body == nil {
			body = []byte{} // an empty body is a body
		}
		r.body, r.bodyType = body, contentType
	}
	if from != "" && (r.method == "GET" || r.method == "HEAD") {
		return fmt.Errorf("%s is given, but %s sends no body; set method: POST", from, r.method)
	}
	return nil
}

// encodeMultipart writes the parts in the order of their names (RFC 7578).
func encodeMultipart(v any) ([]byte, string, error) {
	parts, err := object("multipart", v)
	if err != nil {
		return nil, "", err
	}
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for _, name := range sortedKeys(parts) {
		values, isList := parts[name].([]any)
		if !isList {
			values = []any{parts[name]}
		}
		for _, v := range values {
			if v == nil {
				continue
			}
			if err := writePart(w, name, v); err != nil {
				return nil, "", fmt.Errorf("part %s: %w", name, err)
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return buf.Bytes(), w.FormDataContentType(), nil
}

func writePart(w *multipart.Writer, name string, v any) error {
	part, isPart := v.(map[string]any)
	if !isPart {
		return w.WriteField(name, value.Text(v))
	}
	for key := range part {
		switch key {
		case "filename", "content", "type", "base64":
		default:
			return fmt.Errorf("a part has filename, content, type and base64, not %q", key)
		}
	}
	filename, _ := part["filename"].(string)
	contentType, _ := part["type"].(string)
	content := []byte(value.Text(part["content"]))
	if encoded, _ := part["base64"].(bool); encoded {
		decoded, err := base64.StdEncoding.DecodeString(string(content))
		if err != nil {
			return errors.New("the content is not base64")
		}
		content = decoded
	}
	if contentType == "" && filename != "" {
		contentType = "application/octet-stream"
	}
	h := make(textproto.MIMEHeader, 2)
	if filename != "" {
		h.Set("Content-Disposition", multipart.FileContentDisposition(name, filename))
	} else {
		h.Set("Content-Disposition", mime.FormatMediaType("form-data", map[string]string{"name": name}))
	}
	if contentType != "" {
		if _, _, err := mime.ParseMediaType(contentType); err != nil || hasControl(contentType) {
			return fmt.Errorf("%q is not a content type", contentType)
		}
		h.Set("Content-Type", contentType)
	}
	out, err := w.CreatePart(h)
	if err != nil {
		return err
	}
	_, err = out.Write(content)
	return err
}

// object reads an optional object of the input.
func object(name string, v any) (map[string]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return v, nil
	}
	return nil, fmt.Errorf("%s is %s, not an object", name, kind(v))
}

func kind(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "text"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "a number"
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

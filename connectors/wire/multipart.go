package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"mime"
	"mime/multipart"
	"net/textproto"
	"slices"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Multipart writes the parts of a form in the order of their names (RFC 7578). A part is text, or an object with
// content, filename, type and base64 (the content is decoded first); a list repeats its name, nil is left out.
func Multipart(parts map[string]any) (body []byte, contentType string, err error) {
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(parts)) {
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

func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

package http

import (
	"fmt"

	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
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
	{"multipart", func(v any) ([]byte, string, error) {
		parts, err := object("multipart", v)
		if err != nil {
			return nil, "", err
		}
		return wire.Multipart(parts)
	}},
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

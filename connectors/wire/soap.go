package wire

import (
	"maps"
	"strconv"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Namespaces of the SOAP envelope.
const (
	soap11 = "http://schemas.xmlsoap.org/soap/envelope/"
	soap12 = "http://www.w3.org/2003/05/soap-envelope"
)

// SOAP is a call of SOAP 1.1 (W3C Note, 8 May 2000) or 1.2 (W3C Recommendation).
type SOAP struct {
	Version   string // 1.2; anything else is 1.1
	Action    string
	Namespace string         // of the elements of Body that name none
	Header    any            // nil: none
	Body      map[string]any // elements with their content; what is no object becomes its text
}

// Encode writes the envelope. With SOAP 1.1 action is what the header SOAPAction has to be; with 1.2 it is empty, the
// action stands in the content type.
func (s SOAP) Encode() (body []byte, contentType, action string, err error) {
	elements := make(map[string]any, len(s.Body))
	for name, content := range s.Body {
		object, ok := content.(map[string]any)
		if !ok {
			object = map[string]any{"#text": value.Text(content)}
		}
		if s.Namespace != "" && object["@xmlns"] == nil {
			object = maps.Clone(object)
			object["@xmlns"] = s.Namespace
		}
		elements[name] = object
	}
	envelope, contentType := soap11, "text/xml; charset=utf-8"
	if s.Version == "1.2" {
		envelope, contentType = soap12, "application/soap+xml; charset=utf-8"
		if s.Action != "" {
			contentType += "; action=" + strconv.Quote(s.Action)
		}
	} else {
		action = strconv.Quote(s.Action)
	}
	root := map[string]any{"@xmlns:soap": envelope, "soap:Body": elements}
	if s.Header != nil {
		root["soap:Header"] = s.Header
	}
	body, err = value.AppendXML([]byte(`<?xml version="1.0" encoding="utf-8"?>`), map[string]any{"soap:Envelope": root})
	return body, contentType, action, err
}

// SOAPBody takes what the Body holds out of an envelope that was read, without prefixes of names. fault is what a
// Fault says. ok is false for what is no envelope.
func SOAPBody(v any) (body any, fault string, ok bool) {
	bare, isObject := withoutPrefixes(v).(map[string]any)
	if !isObject {
		return nil, "", false
	}
	envelope, isObject := bare["Envelope"].(map[string]any)
	if !isObject {
		return nil, "", false
	}
	content, _ := envelope["Body"].(map[string]any)
	if f, isFault := content["Fault"].(map[string]any); isFault {
		text := value.Text(f["faultstring"]) // 1.1
		if reason, ok := f["Reason"].(map[string]any); ok {
			text = value.Text(reason["Text"]) // 1.2
			if t, ok := reason["Text"].(map[string]any); ok {
				text = value.Text(t["#text"])
			}
		}
		if text == "" {
			text = "a fault without a reason"
		}
		return content, text, true
	}
	return content, "", true
}

// withoutPrefixes drops the prefixes of element names and the declarations of namespaces.
func withoutPrefixes(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, item := range v {
			if strings.HasPrefix(name, "@xmlns") {
				continue
			}
			if !strings.HasPrefix(name, "@") {
				name = name[strings.LastIndexByte(name, ':')+1:]
			}
			out[name] = withoutPrefixes(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withoutPrefixes(item)
		}
		return out
	}
	return v
}

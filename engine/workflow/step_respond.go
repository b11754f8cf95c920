package workflow

import (
	"regexp"

	"go.yaml.in/yaml/v4"
)

// headerName is a token (RFC 9110, section 5.6.2).
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// respond reads `respond: {status, headers, body}`.
func (r *reader) respond(n *yaml.Node, _ *object, sc scope) Do {
	answer := &Respond{}
	if isNull(n) {
		return answer
	}
	o := r.object(n, "respond")
	if status := o.value("status"); status != nil {
		answer.Status = r.tree(status, "status", sc)
		if answer.Status.Template == nil {
			if code, ok := answer.Status.Literal.(int); !ok || code < 200 || code > 599 {
				r.errorf(place(status), "", "status is a whole number from 200 to 599")
			}
		}
	}
	if headers := o.value("headers"); headers != nil {
		if headers.Kind != yaml.MappingNode {
			r.errorf(place(headers), "", "headers is a mapping of names to texts, this is %s", describe(headers))
		} else {
			answer.Headers = r.tree(headers, "headers", sc)
			for i := 0; i+1 < len(headers.Content); i += 2 {
				r.header(headers.Content[i], "a header")
				if headers.Content[i+1].Kind != yaml.ScalarNode {
					r.errorf(place(headers.Content[i+1]), "", "a header is a text, this is %s", describe(headers.Content[i+1]))
				}
			}
		}
	}
	if body := o.take("body"); body != nil && !isNull(body) {
		answer.Body = r.tree(body, "body", sc)
	}
	o.done()
	return answer
}

// header reads the name of a header.
func (r *reader) header(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || !headerName.MatchString(n.Value) {
		r.errorf(place(n), "", "%q cannot be the name of %s", n.Value, what)
		return ""
	}
	return n.Value
}

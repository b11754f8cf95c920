package secret

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
)

// checkField says what is wrong with the value of a field, or returns nil. A field of text may be written as a number or a
// boolean, and the other way round, as environment variables are text.
func checkField(c *connectors.Connector, key string, v any) error {
	s, known := c.Fields.Properties[key]
	if !known || v == nil {
		return nil
	}
	s = c.Resolve(s)
	text, isText := v.(string)
	switch v.(type) {
	case []any, map[string]any:
	default:
		if s.Type == "string" && !isText {
			text, isText = value.Text(v), true
			v = text
		}
	}
	switch {
	case isText && (s.Type == "integer" || s.Type == "number"):
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("it is text, not a number")
		}
		return c.Check(s, n)
	case isText && s.Type != "" && s.Type != "string":
		return nil
	}
	if isText && s.Suffix != "" && strings.HasSuffix(strings.ToLower(text), s.Suffix) {
		return fmt.Errorf("leave out %s: it is added by itself", s.Suffix)
	}
	if isText && (key == "base_url" || s.Format == "uri") {
		return checkAddress(text)
	}
	return c.Check(s, v)
}

func checkAddress(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("it is no address, such as https://api.example.com")
	case u.User != nil:
		return errors.New("a user name and a password do not stand in an address, where everyone can read them: they are values of the connection")
	}
	return nil
}

package wire

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// reserved are the headers that follow from the rest of the request.
var reserved = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Keep-Alive": true, "Te": true,
	"Trailer": true, "Upgrade": true, "Accept-Encoding": true, "Expect": true, "Proxy-Authorization": true, "Proxy-Connection": true,
}

// Reserved reports that a header follows from the rest of the request, so that nobody sets it.
func Reserved(name string) bool { return reserved[http.CanonicalHeaderKey(name)] }

// CheckHeader refuses what would end the header or begin another one. The value is not repeated: it may be secret.
func CheckHeader(name, text string) error {
	if name == "" {
		return errors.New("a header has no name")
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}", c) >= 0 {
			return fmt.Errorf("%q is not a header name", name)
		}
	}
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value of %s contains a line break or another control character", name)
		}
	}
	return nil
}

package outbound

import (
	"net/http"
	"time"
)

// SetHeaderWait shortens the wait for an answer's headers, so that a test need not take 30 s.
func SetHeaderWait(c *http.Client, d time.Duration) {
	c.Transport.(*transport).headerWait = d // New made it
}

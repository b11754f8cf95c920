package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	maxRedirects = 5
	fetchTimeout = 60 * time.Second // of a whole download
)

// Fetch downloads a public document: it sends nothing but the address, follows at most five redirects, each of which
// the policy of the client sees, and refuses one that leaves https. at is the address that answered in the end.
func Fetch(ctx context.Context, client *http.Client, address string, limit int64) (body []byte, at string, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, "", fmt.Errorf("%q is no address: write it like https://example.com/openapi.json", address)
	}
	if u.User != nil {
		return nil, "", errors.New("an address with a user or password in it is not fetched")
	}
	u.Fragment = ""
	following := *client
	following.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch {
		case len(via) > maxRedirects:
			return fmt.Errorf("it redirects more than %d times", maxRedirects)
		case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
			return errors.New("it redirects from https to http")
		case req.URL.User != nil:
			return errors.New("it redirects to an address with a user in it")
		}
		req.Header.Del("Referer") // it would tell the address, which may hold a token
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, "", fmt.Errorf("fetch %s: %w", u.Redacted(), err)
	}
	req.Header.Set("Accept", "application/json, application/yaml;q=0.9, */*;q=0.8")
	res, err := following.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the address, which the caller names
		}
		return nil, "", fmt.Errorf("fetch from %s: %w", u.Host, err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	if res.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("fetch from %s: it answered %s", res.Request.URL.Host, res.Status)
	}
	body, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, "", fmt.Errorf("fetch from %s: %w", res.Request.URL.Host, err)
	}
	if int64(len(body)) > limit {
		return nil, "", fmt.Errorf("fetch from %s: %w", res.Request.URL.Host, &TooLargeError{Limit: limit})
	}
	return body, res.Request.URL.String(), nil
}

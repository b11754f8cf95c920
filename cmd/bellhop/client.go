package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellhop-dev/bellhop/engine/outbound"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const (
	clientTimeout = time.Minute // of one call, as long as the server takes for the longest
	maxAnswer     = 64 << 20    // bytes
)

// client talks to the API of a running server.
type client struct {
	base  string
	token string
	http  *http.Client
	long  *http.Client // for answers without a bound
}

// addServer gives a command the flags that say where the server is.
func addServer(c *cobra.Command) (open func() (*client, error)) {
	server := textFlag(c.PersistentFlags(), "server", "BELLHOP_SERVER", defaultServer, "address of the server")
	return func() (*client, error) {
		u, err := url.Parse(*server)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, usagef("%q is no address of a server: write it like %s", *server, defaultServer)
		}
		token := os.Getenv("BELLHOP_TOKEN")
		if token == "" {
			token = os.Getenv("BELLHOP_ADMIN_TOKEN") // on the server's own machine it is often set already
		}
		return &client{
			base:  strings.TrimRight(u.String(), "/") + "/api/v1",
			token: token,
			http:  reach(maxAnswer),
			long:  reach(1 << 60),
		}, nil
	}
}

// reach makes a client for answers of so many bytes. The caller names the server, so every address is meant.
func reach(most int64) *http.Client {
	return outbound.New(outbound.Options{
		Allow:     []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		UserAgent: "bellhop/" + version,
		MaxBody:   most,
	})
}

// call makes one API call. in is sent as JSON unless it is nil; out is filled unless it is nil.
func (c *client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("call the server: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return fmt.Errorf("call the server: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return c.unreachable(err)
	}
	if res.StatusCode >= 300 {
		return refused(res.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the server at %s does not answer like Bellhop: %w", c.base, err)
	}
	return nil
}

// stream makes a call whose answer is read as it comes, however long it is. The caller closes it.
func (c *client) stream(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("call the server: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.long.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			return nil, c.unreachable(err)
		}
		return nil, refused(res.StatusCode, text)
	}
	return res.Body, nil
}

func (c *client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("no answer from %s: %w\n  Is the server running? Start it with `bellhop serve`, or name another one with --server", c.base, err)
}

// refused is the error of an answer as RFC 9457 has it.
func refused(status int, text []byte) error {
	var p struct {
		Title, Detail, Hint string
		Errors              []struct{ Message, Location string }
		Problems            workflow.Problems
	}
	if json.Unmarshal(text, &p) != nil || p.Title+p.Detail == "" {
		return fmt.Errorf("the server answered %d %s", status, http.StatusText(status))
	}
	message := p.Detail
	if message == "" {
		message = p.Title
	}
	for _, e := range p.Errors {
		if text := strings.TrimSpace(e.Location + ": " + e.Message); text != message { // one alone is the detail already
			message += "\n  " + text
		}
	}
	switch {
	case status == http.StatusUnauthorized: // the hint speaks of headers
		message += "\n  Set BELLHOP_TOKEN to a token of the server"
	case p.Hint != "":
		message += "\n  " + p.Hint
	}
	if len(p.Problems) > 0 {
		return &brokenFile{message, p.Problems}
	}
	return errors.New(message)
}

// A brokenFile says what the server found wrong with a workflow file. The file is named as the server knows it.
type brokenFile struct {
	message  string
	problems workflow.Problems
}

func (e *brokenFile) Error() string { return e.message }

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// pageSize is the most that the API gives at once.
const pageSize = 200

// each calls f for the items of a list, newest first, until there are limit of them (0: all) or f fails.
func each[T any](ctx context.Context, c *client, path string, query url.Values, limit int, f func(T) error) error {
	for n := 0; limit == 0 || n < limit; {
		size := pageSize
		if limit > 0 {
			size = min(size, limit-n)
		}
		query.Set("limit", fmt.Sprint(size))
		var p page[T]
		if err := c.call(ctx, http.MethodGet, path, query, nil, &p); err != nil {
			return err
		}
		for _, item := range p.Items {
			if err := f(item); err != nil {
				return err
			}
		}
		n += len(p.Items)
		if p.Next == "" {
			return nil
		}
		query.Set("cursor", p.Next)
	}
	return nil
}

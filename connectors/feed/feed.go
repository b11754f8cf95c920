// Package feed is the connector for news feeds: RSS (0.9x, 1.0, 2.0), Atom (RFC 4287) and JSON Feed
// (https://www.jsonfeed.org/version/1.1/).
package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mmcdole/gofeed"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/value"
	"github.com/bellhop-dev/bellhop/connectors/wire"
)

const (
	timeout      = 30 * time.Second // where the step sets no deadline
	maxRedirects = 5
	maxItems     = 1000
	maxText      = 64 << 10 // bytes of one text of an item
	every        = 15 * time.Minute
)

// New returns the connector.
func New() *connectors.Connector {
	address := connectors.Schema{Type: "string", Format: "uri", Title: "Address of the feed", Examples: []any{"https://blog.example.com/feed.xml"}}
	limit := connectors.Schema{Type: "integer", Title: "At most", Default: 100, Minimum: ptr(1.0), Maximum: ptr(float64(maxItems)), Show: "more"}
	sample := map[string]any{
		"id": "https://blog.example.com/1", "title": "We have moved", "link": "https://blog.example.com/1", "summary": "A new address for the same people.",
		"content": "", "author": "Ada", "published": "2026-03-01T09:00:00Z", "updated": "2026-03-01T09:00:00Z", "categories": []any{"news"}, "image": "",
		"enclosures": []any{map[string]any{"url": "https://blog.example.com/1.mp3", "type": "audio/mpeg", "length": "123456"}},
	}
	return &connectors.Connector{
		ID: "feed", Title: "RSS and Atom", Version: "1.0.0", Docs: "https://www.rssboard.org/rss-specification", Icon: []byte(icon),
		Auth: []connectors.AuthScheme{{
			ID: "basic", Type: connectors.AuthBasic, Title: "User name and password", Help: "Only for feeds that ask for a password.",
			Secrets: []connectors.Secret{{Name: "password", Title: "Password"}}, Fields: []string{"username"},
		}},
		Fields: connectors.Schema{
			Type: "object", Closed: true, Order: []string{"username", "hosts"}, Required: []string{"hosts"},
			Properties: map[string]connectors.Schema{
				"username": {Type: "string", Title: "User name"},
				"hosts":    {Type: "array", Items: &connectors.Schema{Type: "string"}, Title: "Hosts", Description: "Where the password may go, such as blog.example.com."},
			},
		},
		Actions: []connectors.Action{{
			Name: "read", Title: "Read a feed", Summary: "Returns the items of a feed as they stand there, mostly newest first.",
			Input: connectors.Schema{
				Type: "object", Closed: true, Required: []string{"url"}, Order: []string{"url", "limit"},
				Properties: map[string]connectors.Schema{"url": address, "limit": limit},
			},
			Output: connectors.Schema{Type: "array", Items: ptr(itemSchema())},
			Sample: []any{sample}, Safe: true, Do: read,
		}},
		Triggers: []connectors.Trigger{{
			Name: "new_item", Title: "New item in a feed", Summary: "Starts a run for each item that was not in the feed before.",
			Input: connectors.Schema{
				Type: "object", Closed: true, Required: []string{"url"}, Order: []string{"url", "updates"},
				Properties: map[string]connectors.Schema{
					"url":     address,
					"updates": {Type: "boolean", Title: "Also when an item changes", Default: false, Show: "more", Description: "Starts a run again when the date of change of an item is another one."},
				},
			},
			Output: itemSchema(), Sample: sample,
			Poll: &connectors.Poll{Every: every, Emit: "each", First: "baseline", Fetch: fetch},
		}},
	}
}

func ptr[T any](v T) *T { return &v }

func itemSchema() connectors.Schema {
	text := func(title string) connectors.Schema { return connectors.Schema{Type: "string", Title: title} }
	return connectors.Schema{
		Type: "object", Title: "Item",
		Order: []string{"id", "title", "link", "summary", "content", "author", "published", "updated", "categories", "image", "enclosures"},
		Properties: map[string]connectors.Schema{
			"id": text("ID"), "title": text("Title"), "link": text("Link"), "summary": text("Summary"), "content": text("Content"), "author": text("Author"),
			"published":  {Type: "string", Format: "date-time", Title: "Published", Description: "RFC 3339, in UTC; empty where the feed names none."},
			"updated":    {Type: "string", Format: "date-time", Title: "Changed"},
			"categories": {Type: "array", Items: &connectors.Schema{Type: "string"}, Title: "Categories"},
			"image":      text("Image"),
			"enclosures": {Type: "array", Title: "Attached files", Items: &connectors.Schema{Type: "object"}},
		},
	}
}

// read is the action.
func read(ctx context.Context, c *connectors.Call) (any, error) {
	limit := 100
	switch n := c.Input["limit"].(type) {
	case nil:
	case int:
		limit = n
	case float64:
		limit = int(n)
	default:
		return nil, connectors.Permanent(errors.New("limit is not a number"))
	}
	if limit < 1 || limit > maxItems {
		return nil, connectors.Permanent(fmt.Errorf("limit is %d; it is from 1 to %d", limit, maxItems))
	}
	body, _, err := get(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	items, err := parse(body)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, item := range items[:min(len(items), limit)] {
		out = append(out, item)
	}
	return out, nil
}

// fetch is one poll. The cursor holds what the other side needs to answer "nothing new" (RFC 9110, section 13).
func fetch(ctx context.Context, c *connectors.Call, cursor any, _ time.Time) ([]connectors.Item, any, error) {
	was, _ := cursor.(map[string]any)
	body, next, err := get(ctx, c, was)
	if err != nil || body == nil {
		return nil, next, err
	}
	items, err := parse(body)
	if err != nil {
		return nil, nil, err
	}
	updates, _ := c.Input["updates"].(bool)
	out := make([]connectors.Item, 0, len(items))
	for i := len(items) - 1; i >= 0; i-- { // the oldest first, as things happened
		item := connectors.Item{Key: items[i]["id"].(string), Body: items[i]}
		if updates {
			item.Version, _ = items[i]["updated"].(string)
		}
		out = append(out, item)
	}
	return out, next, nil
}

// get fetches a feed. The body is nil when it is the one of the cursor.
func get(ctx context.Context, c *connectors.Call, cursor map[string]any) (body []byte, next map[string]any, err error) {
	text, _ := c.Input["url"].(string)
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case text == "":
		return nil, nil, connectors.Permanent(errors.New("url is missing"))
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, nil, connectors.Permanent(errors.New("url is not a whole address such as https://blog.example.com/feed.xml"))
	case u.User != nil:
		return nil, nil, connectors.Permanent(errors.New("url holds a user name or password: put them in a connection"))
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	for range maxRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, nil, connectors.Permanent(errors.New("url is not an address"))
		}
		req.Header.Set("Accept", "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, */*;q=0.1")
		for field, header := range map[string]string{"etag": "If-None-Match", "modified": "If-Modified-Since"} {
			if v, _ := cursor[field].(string); v != "" {
				req.Header.Set(header, v)
			}
		}
		if err := authorize(req, c.Connection); err != nil {
			return nil, nil, connectors.Permanent(err)
		}
		res, err := c.HTTP.Do(req)
		if err != nil {
			return nil, nil, wire.Describe(ctx, u.Host, err)
		}
		location := res.Header.Get("Location")
		if res.StatusCode/100 == 3 && res.StatusCode != http.StatusNotModified && location != "" {
			_ = res.Body.Close()
			to, err := u.Parse(location)
			if err != nil || to.Scheme != "http" && to.Scheme != "https" || u.Scheme == "https" && to.Scheme == "http" {
				return nil, nil, connectors.Permanent(fmt.Errorf("%s redirects to where no feed is read from", u.Host))
			}
			u = to
			continue
		}
		body, next, err := answer(ctx, u.Host, res, cursor, c.Now)
		_ = res.Body.Close()
		return body, next, err
	}
	return nil, nil, connectors.Permanent(fmt.Errorf("%s redirects more than %d times", u.Host, maxRedirects))
}

func answer(ctx context.Context, host string, res *http.Response, cursor map[string]any, now time.Time) ([]byte, map[string]any, error) {
	switch {
	case res.StatusCode == http.StatusNotModified:
		return nil, cursor, nil
	case res.StatusCode == http.StatusGone:
		return nil, nil, connectors.Permanent(fmt.Errorf("%s says that the feed is gone for good", host))
	case res.StatusCode != http.StatusOK:
		err := error(&connectors.StatusError{Status: res.StatusCode, Message: fmt.Sprintf("%s answered %d %s", host, res.StatusCode, http.StatusText(res.StatusCode))})
		if after, ok := wire.RetryAfter(res.Header, now); ok && (res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500) {
			return nil, nil, connectors.RetryAfter(err, after)
		}
		if res.StatusCode >= 400 && res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusRequestTimeout {
			err = connectors.Permanent(err)
		}
		return nil, nil, err
	}
	body, err := wire.Read(ctx, host, res)
	if err != nil {
		return nil, nil, err
	}
	if body == nil {
		body = []byte{}
	}
	next := map[string]any{}
	if v := res.Header.Get("ETag"); v != "" {
		next["etag"] = v
	}
	if v := res.Header.Get("Last-Modified"); v != "" {
		next["modified"] = v
	}
	return body, next, nil
}

// authorize adds the password of the connection where it may go.
func authorize(req *http.Request, conn connectors.Connection) error {
	if conn.IsZero() {
		return nil
	}
	for _, entry := range conn.Hosts {
		if wire.ASCIIHost(req.URL) && wire.HostMatches(entry, req.URL) {
			username, _ := conn.Fields["username"].(string)
			req.SetBasicAuth(username, conn.Secrets["password"])
			return nil
		}
	}
	return fmt.Errorf("connection %s may not be used with %s; if it should be, add the host to its hosts", conn.Name, req.URL.Host)
}

// parse reads any of the formats. What is no feed is the user's to mend.
func parse(body []byte) ([]map[string]any, error) {
	f, err := gofeed.NewParser().Parse(bytes.NewReader(body))
	if err != nil {
		what := "it is neither RSS nor Atom nor JSON Feed"
		if start := bytes.ToLower(bytes.TrimSpace(body[:min(len(body), 512)])); bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html")) {
			what = "it is a web page; look on it for a link to its feed"
		}
		return nil, connectors.Permanent(fmt.Errorf("the address holds no feed that can be read: %s", what))
	}
	if len(f.Items) > maxItems {
		f.Items = f.Items[:maxItems]
	}
	items := make([]map[string]any, 0, len(f.Items))
	for _, i := range f.Items {
		items = append(items, plain(i))
	}
	return items, nil
}

// plain makes plain data of an item. One without an id has its link for one, else what it says.
func plain(i *gofeed.Item) map[string]any {
	author := ""
	if len(i.Authors) > 0 && i.Authors[0] != nil {
		author = i.Authors[0].Name
		if author == "" {
			author = i.Authors[0].Email
		}
	}
	image := ""
	if i.Image != nil {
		image = i.Image.URL
	}
	id := firstOf(i.GUID, i.Link, i.Title+"\n"+i.Published+"\n"+i.Description)
	categories := []any{}
	for _, c := range i.Categories[:min(len(i.Categories), 50)] {
		categories = append(categories, text(c))
	}
	enclosures := []any{}
	for _, e := range i.Enclosures[:min(len(i.Enclosures), 50)] {
		enclosures = append(enclosures, map[string]any{"url": text(e.URL), "type": text(e.Type), "length": text(e.Length)})
	}
	updated := moment(i.UpdatedParsed)
	return map[string]any{
		"id": text(id), "title": text(i.Title), "link": text(i.Link), "summary": text(i.Description), "content": text(i.Content), "author": text(author),
		"published": moment(i.PublishedParsed), "updated": firstOf(updated, moment(i.PublishedParsed)), "categories": categories, "image": text(image), "enclosures": enclosures,
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if strings.TrimSpace(t) != "" {
			return strings.TrimSpace(t)
		}
	}
	return ""
}

// text makes a text of the feed fit for plain data.
func text(s string) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return value.Text(s)
}

func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#b4530a" stroke-width="2.2" stroke-linecap="round"><circle cx="6.2" cy="17.8" r="1.6" fill="#b4530a" stroke="none"/><path d="M4.6 11.2a8.2 8.2 0 0 1 8.2 8.2M4.6 4.6a14.8 14.8 0 0 1 14.8 14.8"/></svg>`

package feed_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/connectorstest"
	"github.com/bellhop-dev/bellhop/connectors/feed"
)

func TestConnector(t *testing.T) { connectorstest.Check(t, feed.New()) }

// site serves the files of testdata as they are, with an ETag and a date.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/files/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+filepath.Base(r.URL.Path)+`"`)
		http.ServeFile(w, r, filepath.Join("testdata", filepath.Base(r.URL.Path)))
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/files/rss2.xml", http.StatusMovedPermanently)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("<!DOCTYPE html><html><body>Hello"))
	})
	mux.HandleFunc("/gone", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusGone) })
	mux.HandleFunc("/busy", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/private", func(w http.ResponseWriter, r *http.Request) {
		if name, password, _ := r.BasicAuth(); name != "ada" || password != "canary-password" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.ServeFile(w, r, "testdata/rss2.xml")
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func callTo(srv *httptest.Server, address string) *connectors.Call {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &connectors.Call{Input: map[string]any{"url": srv.URL + address}, HTTP: client, Now: time.Now()}
}

func TestRead(t *testing.T) {
	srv := site(t)
	action := feed.New().Action("read")
	tests := []struct {
		file string
		want map[string]any // of the first item, as far as it goes
		last string         // id of the last item
	}{
		{"rss2.xml", map[string]any{
			"id": "n-2", "title": "Second & last", "link": "https://blog.example.com/2", "summary": "Two", "content": "<p>Two, at length</p>",
			"author": "Ada", "published": "2026-03-02T09:00:00Z", "updated": "2026-03-02T09:00:00Z", "categories": []any{"news"}, "image": "",
			"enclosures": []any{map[string]any{"url": "https://blog.example.com/2.mp3", "type": "audio/mpeg", "length": "99"}},
		}, "https://blog.example.com/1"},
		{"atom.xml", map[string]any{
			"id": "urn:n-2", "title": "Second", "link": "https://blog.example.com/2", "summary": "Two", "content": "<p>Two</p>",
			"author": "Ada", "published": "2026-03-02T09:00:00Z", "updated": "2026-03-03T08:00:00Z", "categories": []any{}, "image": "", "enclosures": []any{},
		}, "urn:n-1"},
		{"feed.json", map[string]any{
			"id": "n-2", "title": "Second", "link": "https://blog.example.com/2", "summary": "", "content": "<p>Two</p>",
			"author": "Ada", "published": "2026-03-02T09:00:00Z", "updated": "2026-03-02T09:00:00Z", "categories": []any{}, "image": "", "enclosures": []any{},
		}, "n-1"},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			out, err := action.Do(t.Context(), callTo(srv, "/files/"+test.file))
			if err != nil {
				t.Fatal(err)
			}
			items := out.([]any)
			if diff := cmp.Diff(any(test.want), any(items[0])); diff != "" {
				t.Error(diff)
			}
			if got := items[len(items)-1].(map[string]any)["id"]; len(items) != 2 || got != test.last {
				t.Errorf("%d items, the last is %v", len(items), got)
			}
		})
	}
	c := callTo(srv, "/moved")
	c.Input["limit"] = 1
	if out, err := action.Do(t.Context(), c); err != nil || len(out.([]any)) != 1 {
		t.Errorf("behind a redirect, at most 1: %v, %v", out, err)
	}
}

func TestReadFails(t *testing.T) {
	srv := site(t)
	tests := []struct {
		path, want string
		permanent  bool
		after      time.Duration
	}{
		{"/page", "it is a web page", true, 0},
		{"/files/absent.xml", "answered 404", true, 0},
		{"/gone", "gone for good", true, 0},
		{"/loop", "redirects more than 5 times", true, 0},
		{"/busy", "answered 503", false, 7 * time.Second},
	}
	for _, test := range tests {
		_, err := feed.New().Action("read").Do(t.Context(), callTo(srv, test.path))
		after, _ := connectors.Delay(err)
		if err == nil || !strings.Contains(err.Error(), test.want) || connectors.IsPermanent(err) != test.permanent || after != test.after {
			t.Errorf("%s: %v (permanent %t, after %s)", test.path, err, connectors.IsPermanent(err), after)
		}
	}
}

func TestPassword(t *testing.T) {
	srv := site(t)
	c := callTo(srv, "/private")
	c.Connection = connectors.Connection{
		Name: "blog", Fields: map[string]any{"username": "ada"}, Secrets: map[string]string{"password": "canary-password"},
		Hosts: []string{strings.TrimPrefix(srv.URL, "http://")},
	}
	if _, err := feed.New().Action("read").Do(t.Context(), c); err != nil {
		t.Error(err)
	}
	c.Connection.Hosts = []string{"blog.example.com"}
	if _, err := feed.New().Action("read").Do(t.Context(), c); err == nil || !strings.Contains(err.Error(), "may not be used with") {
		t.Errorf("the password went to a host that is not its own: %v", err)
	}
}

func TestNewItem(t *testing.T) {
	srv := site(t)
	poll := feed.New().Trigger("new_item").Poll
	items, cursor, err := poll.Fetch(t.Context(), callTo(srv, "/files/atom.xml"), nil, time.Time{})
	if err != nil || len(items) != 2 || items[0].Key != "urn:n-1" || items[1].Version != "" {
		t.Fatalf("%v, %v", items, err)
	}
	before, err := os.Stat("testdata/atom.xml")
	if err != nil {
		t.Fatal(err)
	}
	again, next, err := poll.Fetch(t.Context(), callTo(srv, "/files/atom.xml"), cursor, before.ModTime())
	if err != nil || again != nil || !cmp.Equal(next, cursor) {
		t.Fatalf("the same feed again: %v, %v, %v", again, next, err)
	}
	c := callTo(srv, "/files/atom.xml")
	c.Input["updates"] = true
	if items, _, err := poll.Fetch(t.Context(), c, nil, time.Time{}); err != nil || items[1].Version != "2026-03-03T08:00:00Z" {
		t.Fatalf("with changes: %v, %v", items, err)
	}
}

func FuzzFeed(f *testing.F) {
	for _, name := range []string{"rss2.xml", "atom.xml", "feed.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
		defer srv.Close()
		out, err := feed.New().Action("read").Do(t.Context(), callTo(srv, "/"))
		if err == nil && feed.New().Check(feed.New().Action("read").Output, out) != nil {
			t.Errorf("the output does not fit its schema: %v", out)
		}
	})
}

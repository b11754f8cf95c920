package catalog_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/catalog"
)

// answers is the other side: it gives one answer after the other and keeps what it was asked.
type answers struct {
	list  []string
	asked []*http.Request
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.asked = append(a.asked, r)
	body := a.list[min(len(a.asked), len(a.list))-1]
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}

// TestPollGoesOn polls twice. The first poll reads all that has one time, such as what an import has changed: else the
// next one would read the same part of it again. The second asks from a little before what the first one found, because
// a change may be shown later than another one that was made after it.
func TestPollGoesOn(t *testing.T) {
	for _, c := range []struct {
		trigger string
		fields  map[string]any
		auth    string
		input   map[string]any
		answer  string
		param   string
		want    string // is a part of the parameter
	}{
		{
			trigger: "salesforce.record_changed", auth: "app", fields: map[string]any{"domain": "acme"}, input: map[string]any{"object": "Contact"},
			answer: `{"records": [` + many(`{"Id": "a", "SystemModstamp": "2026-03-01T09:00:00.000+0000"}`) + `]}`,
			param:  "q", want: "SystemModstamp >= 2026-03-01T08:59:50Z",
		},
		{
			trigger: "google_calendar.event_changed", auth: "oauth",
			answer: `{"items": [` + many(`{"id": "a", "updated": "2026-11-01T09:00:00.000Z"}`) + `]}`,
			param:  "updatedMin", want: "2026-11-01T08:59:50Z",
		},
	} {
		t.Run(c.trigger, func(t *testing.T) {
			id, name, _ := strings.Cut(c.trigger, ".")
			var poll *connectors.Poll
			for i, trigger := range catalog.Registry().Connector(id).Triggers {
				if trigger.Name == name {
					poll = catalog.Registry().Connector(id).Triggers[i].Poll
				}
			}
			other := &answers{list: []string{c.answer}}
			call := &connectors.Call{
				Input: c.input, HTTP: &http.Client{Transport: other}, Now: time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC),
				Connection: connectors.Connection{Name: "test", Connector: id, Auth: c.auth, Fields: c.fields, Secrets: map[string]string{"client_id": "id", "client_secret": "secret"}},
				Token:      func(context.Context, string) (string, error) { return "token", nil },
			}
			since := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
			items, place, err := poll.Fetch(t.Context(), call, nil, since)
			if err != nil {
				t.Fatal(err)
			}
			if len(items) != changed {
				t.Errorf("%d items are found of %d", len(items), changed)
			}
			if _, _, err = poll.Fetch(t.Context(), call, place, since); err != nil {
				t.Fatal(err)
			}
			if got := other.asked[len(other.asked)-1].URL.Query().Get(c.param); !strings.Contains(got, c.want) {
				t.Errorf("the second poll asks with %s %q, want %q in it", c.param, got, c.want)
			}
		})
	}
}

const changed = 150 // at one time

func many(item string) string { return strings.Repeat(item+",", changed-1) + item }

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

// TestPollReadsAllPages asks for what came since the last poll. The newest comes first, so what is cut off is lost.
func TestPollReadsAllPages(t *testing.T) {
	other := &answers{list: []string{
		`{"data": [` + many(`{"id": "9"}`) + `], "meta": {"next_token": "n"}}`,
		`{"data": [{"id": "8"}], "meta": {}}`,
	}}
	call := &connectors.Call{
		Input: map[string]any{"account": "1"}, HTTP: &http.Client{Transport: other}, Now: time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC),
		Connection: connectors.Connection{Name: "test", Connector: "x", Auth: "oauth", Secrets: map[string]string{"client_id": "id", "client_secret": "secret"}},
		Token:      func(context.Context, string) (string, error) { return "token", nil },
	}
	items, place, err := pollOf("x.mention").Fetch(t.Context(), call, "7", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != changed+1 || place != "9" {
		t.Errorf("%d items are found and the next poll asks from %v, want %d from 9", len(items), place, changed+1)
	}
}

// TestCatchUpFetchesAll: what was missed while Bellhop was down may be more than one page holds, and the newest comes
// first.
func TestCatchUpFetchesAll(t *testing.T) {
	for id, c := range map[string]struct{ answers, auth string }{
		"stripe": {`{"data": [` + many(`{"id": "evt_1", "type": "invoice.paid"}`) + `], "has_more": false}`, "key"},
		"paypal": {`{"events": [` + many(`{"id": "WH-1", "event_type": "INVOICING.INVOICE.PAID"}`) + `], "links": []}`, "app"},
	} {
		call := &connectors.Call{
			Input: map[string]any{"types": []any{"invoice.paid"}}, HTTP: &http.Client{Transport: &answers{list: []string{c.answers}}}, Now: time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC),
			Connection: connectors.Connection{Name: "test", Connector: id, Auth: c.auth, Secrets: map[string]string{"token": "sk_test_1"}},
			Token:      func(context.Context, string) (string, error) { return "token", nil },
		}
		events, err := catalog.Registry().Connector(id).Endpoint("events").CatchUp(t.Context(), call, connectors.Hook{}, time.Date(2026, 10, 31, 9, 0, 0, 0, time.UTC))
		if err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if len(events) != changed {
			t.Errorf("%s: %d events are fetched of %d", id, len(events), changed)
		}
	}
}

func pollOf(trigger string) *connectors.Poll {
	id, name, _ := strings.Cut(trigger, ".")
	return catalog.Registry().Connector(id).Trigger(name).Poll
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
			id, _, _ := strings.Cut(c.trigger, ".")
			poll := pollOf(c.trigger)
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

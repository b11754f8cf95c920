package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/bellhop-dev/bellhop/connectors"
)

const (
	testTimeout = 30 * time.Second
	healthDays  = 30
	testEvery   = 24 * time.Hour // how often a connection is tried without being asked
	careEvery   = time.Minute    // how often tokens and due tests are looked at
)

// Day is one day of a connection, in UTC.
type Day struct {
	Date   string `json:"date"` // 2026-03-01
	OK     int    `json:"ok"`   // tries that worked
	Failed int    `json:"failed"`
}

// health is what is known of a connection from its calls and tries. The fields are those of the note that is kept.
type health struct {
	State   State     `json:"state,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Label   string    `json:"label,omitempty"`
	Checked time.Time `json:"checked,omitzero"` // when it was tried last
	Since   time.Time `json:"since,omitzero"`   // of State
	Days    []Day     `json:"days,omitempty"`   // oldest first

	loaded         bool
	calls, refused int // on the day of today
	today          string
}

func (h *health) describe(i *Info) {
	i.State, i.Reason, i.Label, i.Checked, i.Since, i.Days = h.State, h.Reason, h.Label, h.Checked, h.Since, h.Days
	if i.State == "" {
		i.State = StateUntested
	}
	if h.today == dateOf(time.Now()) {
		i.Calls, i.Refused = h.calls, h.refused
	}
}

func dateOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// LoadHealth reads what was noted of every connection, so that a restart forgets nothing.
func (c *Connections) LoadHealth(ctx context.Context) error {
	if c.options.Notes == nil {
		return nil
	}
	for _, name := range sorted(c.Names()) {
		e, err := c.entry(name)
		if err != nil {
			continue
		}
		note, err := c.options.Notes.Load(ctx, name)
		if err != nil {
			return fmt.Errorf("how connection %s is doing: %w", name, err)
		}
		e.mu.Lock()
		if !e.health.loaded {
			e.health.loaded = true
			if note != nil && json.Unmarshal(note, &e.health) != nil {
				e.health = health{loaded: true} // only history is lost
			}
		}
		e.mu.Unlock()
	}
	return nil
}

// note sets the state of a connection and tells who wants to know, if it is another one.
func (c *Connections) note(e *entry, s State, reason, label string) {
	e.mu.Lock()
	h := &e.health
	news := h.State != s || h.Reason != reason || label != "" && h.Label != label
	if h.State != s {
		h.Since = time.Now().UTC()
	}
	h.State, h.Reason = s, reason
	if label != "" {
		h.Label = label
	}
	e.mu.Unlock()
	if news {
		c.keepHealth(e)
		c.changed(e.name)
	}
}

func (c *Connections) keepHealth(e *entry) {
	if c.options.Notes == nil {
		return
	}
	e.mu.Lock()
	text, err := json.Marshal(&e.health)
	e.mu.Unlock()
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		err = c.options.Notes.Save(ctx, e.name, text)
	}
	if err != nil {
		c.options.Log.Warn("how a connection is doing could not be noted", "connection", e.name, "error", err)
	}
}

// Observe takes the outcome of a call that was made with a connection. It is cheap.
func (c *Connections) Observe(name string, err error) {
	e, unknown := c.entry(name)
	if unknown != nil {
		return
	}
	var status int
	if s, ok := errors.AsType[*connectors.StatusError](err); ok {
		status = s.Status
	}
	denied := status == http.StatusUnauthorized
	e.mu.Lock()
	h := &e.health
	if day := dateOf(time.Now()); h.today != day {
		h.today, h.calls, h.refused = day, 0, 0
	}
	h.calls++
	if denied || status == http.StatusForbidden {
		h.refused++
	}
	state := h.State
	signsIn := e.scheme() != nil && signsIn(e.scheme())
	e.mu.Unlock()
	switch {
	case denied && signsIn && state != StateSignIn:
		c.note(e, StateSignIn, "the sign-in is not accepted any more: "+c.clean(err.Error()), "")
	case denied && !signsIn && state != StateFailing:
		c.note(e, StateFailing, c.clean(err.Error()), "")
	case err == nil && (state == StateFailing || state == StateSignIn):
		c.note(e, StateWorking, "", "")
	}
}

// Test makes the connector's test call. The label says whose account it is. The error is in words for a person.
func (c *Connections) Test(ctx context.Context, name string) (label string, err error) {
	e, err := c.entry(name)
	if err != nil {
		return "", err
	}
	conn, err := c.Connection(name)
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	of := e.def.of
	e.mu.Unlock()
	if of == nil || of.TestOf(conn.Auth) == nil {
		return "", &InputError{"", fmt.Sprintf("connector %s has no call to try a connection with", conn.Connector)}
	}
	if c.options.HTTP == nil {
		return "", errors.New("no calls can be made here")
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	label, err = c.try(ctx, of, conn)
	if err != nil {
		err = errors.New(c.clean(err.Error()))
	}
	now := time.Now().UTC()
	e.mu.Lock()
	e.health.Checked = now
	e.health.count(dateOf(now), err == nil)
	state, signsIn := StateFailing, e.scheme() != nil && signsIn(e.scheme())
	if signsIn && e.health.State == StateSignIn {
		state = StateSignIn
	}
	e.mu.Unlock()
	if err != nil {
		c.note(e, state, err.Error(), "")
	} else {
		c.note(e, StateWorking, "", c.clean(label))
	}
	c.keepHealth(e)
	return label, err
}

func (h *health) count(date string, ok bool) {
	if n := len(h.Days); n == 0 || h.Days[n-1].Date != date {
		h.Days = append(h.Days, Day{Date: date})
		h.Days = h.Days[max(0, len(h.Days)-healthDays):]
	}
	day := &h.Days[len(h.Days)-1]
	if ok {
		day.OK++
	} else {
		day.Failed++
	}
}

func (c *Connections) try(ctx context.Context, of *connectors.Connector, conn connectors.Connection) (label string, err error) {
	defer func() {
		if p := recover(); p != nil { // a connector's mistake must not end the server
			label, err = "", fmt.Errorf("the test call failed inside Bellhop: %v", p)
		}
	}()
	test := of.TestOf(conn.Auth)
	action := of.Action(test.Action)
	if action == nil || action.Do == nil {
		return "", fmt.Errorf("connector %s has no action %s", of.ID, test.Action)
	}
	input := test.Input
	if input == nil {
		input = map[string]any{}
	}
	output, err := action.Do(ctx, &connectors.Call{
		Key: base32Key(), Input: input, Connection: conn, HTTP: c.options.HTTP, Dial: c.options.Dial, Now: time.Now(),
		Token: c.Tokens(conn.Name), Limits: c.options.Limits,
	})
	if err != nil || test.Judge == nil {
		return "", err
	}
	return test.Judge(output)
}

// base32Key is an idempotency key for a call outside of any run.
func base32Key() string {
	const letters = "0123456789abcdefghijklmnopqrstuv"
	b := random(26)
	for i := range b {
		b[i] = letters[b[i]%32]
	}
	return string(b)
}

// Run renews tokens ahead of their end and tries connections once a day, until ctx is done.
func (c *Connections) Run(ctx context.Context) error {
	if err := c.LoadHealth(ctx); err != nil && ctx.Err() == nil {
		c.options.Log.WarnContext(ctx, "what was known of connections could not be read", "error", err)
	}
	tick := time.NewTicker(careEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, name := range sorted(c.Names()) {
			if ctx.Err() != nil {
				return nil
			}
			c.care(ctx, name)
		}
	}
}

// care does for one connection what is due.
func (c *Connections) care(ctx context.Context, name string) {
	e, err := c.entry(name)
	if err != nil {
		return
	}
	e.mu.Lock()
	renew := e.record != nil && e.record.Grant != nil && e.record.Grant.Refresh != "" && e.health.State != StateSignIn
	// One that was never tried may be half made; somebody tries it first.
	due := e.def.of != nil && e.def.of.TestOf(e.def.auth) != nil && !e.health.Checked.IsZero() && time.Since(e.health.Checked) > testEvery
	e.mu.Unlock()
	if renew {
		if _, fresh := e.good(""); !fresh {
			if _, err := c.tokenOf(ctx, name, ""); err != nil {
				c.options.Log.WarnContext(ctx, "a token could not be renewed ahead of its end", "connection", name, "error", err)
			}
		}
	}
	if due {
		if _, err := c.Test(ctx, name); err != nil {
			c.options.Log.WarnContext(ctx, "a connection does not work", "connection", name, "error", err)
		}
	}
}

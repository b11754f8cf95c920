package trigger

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bellhop-dev/bellhop/connectors"
	"github.com/bellhop-dev/bellhop/connectors/signature"
	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/workflow"
)

const (
	subscribeTimeout = 30 * time.Second
	catchUpTimeout   = 2 * time.Minute
	heartbeat        = time.Minute        // between two notes of when we surely listened
	catchUpOverlap   = 2 * time.Minute    // fetched again; the keys of deliveries find what came already
	enablingTime     = 2 * time.Minute    // for which a subscription is kept that no enabled workflow needs yet
	goneAfter        = 3 * 24 * time.Hour // of failing, a subscription that nobody needs is forgotten
	maxSubscribing   = 8                  // calls to providers under way
	maxCaughtUp      = 10_000             // bodies of one catching up
)

// Sealed keeps the secrets of subscriptions. Get returns nil and 0 when there is nothing; Put writes when the version
// is still ifVersion.
type Sealed interface {
	Get(name string) (data []byte, version uint64, err error)
	Put(name string, data []byte, ifVersion uint64) (version uint64, err error)
	Delete(name string) error
}

// The phases of a subscription. One that is being created may or may not be known to the provider already: after a
// crash it is created again, with the same address, secret and idempotency key.
const (
	phaseCreating = "creating"
	phaseActive   = "active"
	phaseDeleting = "deleting"
	phaseManual   = "manual" // a person entered the address: only the time of listening is noted
)

// subscription is what is remembered of one registration at a provider, or of an address that a person entered.
type subscription struct {
	ID         string         `json:"id"`
	Connection string         `json:"connection"`
	Connector  string         `json:"connector"`
	Endpoint   string         `json:"endpoint"`
	Events     []string       `json:"events,omitempty"`
	Input      map[string]any `json:"input,omitempty"`
	Phase      string         `json:"phase"`
	Kept       map[string]any `json:"kept,omitempty"`
	Round      int            `json:"round"`             // of creating; part of the idempotency key
	Created    time.Time      `json:"created,omitzero"`  // when the provider last said yes
	Base       string         `json:"base,omitempty"`    // the public address that it was told then
	Held       time.Time      `json:"held,omitzero"`     // until then it is kept although nobody needs it
	Listened   time.Time      `json:"listened,omitzero"` // when we surely listened; zero: never yet
	Error      string         `json:"error,omitempty"`
	Failures   int            `json:"failures,omitempty"`
	Failing    time.Time      `json:"failing,omitzero"` // since when
	Next       time.Time      `json:"next,omitzero"`    // when a failure is tried again
}

const subscriptionPrefix = "hook/"

func subscriptionKey(k endpointKey, id string) string {
	return subscriptionPrefix + k.connection + "/" + k.endpoint + "/" + id
}

func (b *subscription) key() string {
	return subscriptionKey(endpointKey{b.Connection, b.Endpoint}, b.ID)
}

// subscription reads one. ErrNotFound: there is none.
func (s *Set) subscription(ctx context.Context, k endpointKey, id string) (*subscription, error) {
	var b subscription
	if len(id) > 64 {
		return nil, engine.ErrNotFound
	}
	return &b, readState(ctx, s.Store, subscriptionKey(k, id), &b)
}

func (s *Set) subscriptions(ctx context.Context) (map[string]*subscription, error) {
	all := map[string]*subscription{}
	for after := ""; ; {
		page, err := s.Store.KV().List(ctx, subscriptionPrefix, after, seenPage)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			after = e.Key
			var b subscription
			if err := json.Unmarshal(e.Value, &b); err != nil {
				return nil, fmt.Errorf("%s: %w: %w", e.Key, engine.ErrDamaged, err)
			}
			all[b.ID] = &b
		}
		if len(page) < seenPage {
			return all, nil
		}
	}
}

// save makes the state of a subscription durable.
func (s *Set) save(ctx context.Context, b *subscription) error {
	_, err := s.Engine.AcceptAll(ctx, nil, []engine.Put{statePut(b.key(), b)})
	return err
}

func (s *Set) drop(ctx context.Context, b *subscription) error {
	if _, err := s.Engine.AcceptAll(ctx, nil, []engine.Put{{Key: b.key(), AnyRev: true}}); err != nil {
		return err
	}
	if s.Sealed == nil || b.Phase == phaseManual {
		return nil
	}
	return s.Sealed.Delete(subscriptionPrefix + b.ID)
}

// hookSecret is what is sealed of a subscription.
type hookSecret struct {
	Own     string   `json:"own"`     // what we offer the provider
	Signing []string `json:"signing"` // what its deliveries are signed with; empty: with the connection's
}

func (s *Set) hookSecrets(id string) (hookSecret, error) {
	var h hookSecret
	if s.Sealed == nil {
		return h, errors.New("there is no place for sealed secrets")
	}
	data, _, err := s.Sealed.Get(subscriptionPrefix + id)
	if err != nil {
		return h, err
	}
	if data == nil {
		return h, errors.New("the secret of the subscription is missing")
	}
	return h, json.Unmarshal(data, &h)
}

func (s *Set) seal(id string, h hookSecret) error {
	_, version, err := s.Sealed.Get(subscriptionPrefix + id)
	if err != nil {
		return err
	}
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if s.Learn != nil {
		s.Learn(append([]string{h.Own}, h.Signing...)...)
	}
	_, err = s.Sealed.Put(subscriptionPrefix+id, data, version)
	return err
}

// randomSecret has 40 characters of five bits.
func randomSecret() string {
	var b [25]byte
	rand.Read(b[:]) //nolint:errcheck // it never fails: it ends the process before
	return hashText.EncodeToString(b[:])
}

func (s *Set) hook(b *subscription, own string) connectors.Hook {
	return connectors.Hook{
		URL:    strings.TrimSuffix(s.PublicURL, "/") + "/hooks/_/" + b.Connection + "/" + b.Endpoint + "/" + b.ID,
		Events: b.Events, Secret: own, Kept: b.Kept,
	}
}

func newSubscription(l *listener) *subscription {
	return &subscription{
		ID: l.id, Connection: l.connection, Connector: l.connector.ID, Endpoint: l.endpoint.ID, Events: l.kind.Events, Input: l.input,
	}
}

// Subscribe registers at the providers what the triggers of a workflow listen to, before it is enabled. Its error is
// in plain words: enabling is refused with it.
func (s *Set) Subscribe(ctx context.Context, w *workflow.Workflow) error {
	for _, t := range w.Triggers {
		if t.Listen == nil {
			continue
		}
		l, err := s.listener(ctx, w, t)
		if err == nil && l.endpoint != nil && l.endpoint.Subscribe != nil {
			err = s.ensure(ctx, l, true)
		}
		if err != nil {
			return fmt.Errorf("trigger %s: %w", t.ID, err)
		}
	}
	return nil
}

// lockHook makes one caller at a time work on a subscription.
func (s *Set) lockHook(ctx context.Context, id string) (unlock func(), err error) {
	s.mu.Lock()
	lock := s.hookLocks[id]
	if lock == nil {
		lock = make(chan struct{}, 1)
		s.hookLocks[id] = lock
	}
	s.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ensure makes sure that the provider calls us for a listener. now: a person waits, so a pause after a failure is not
// kept.
func (s *Set) ensure(ctx context.Context, l *listener, now bool) error {
	unlock, err := s.lockHook(ctx, l.id)
	if err != nil {
		return err
	}
	defer unlock()
	b, err := s.subscription(ctx, endpointKey{l.connection, l.endpoint.ID}, l.id)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		b = newSubscription(l)
	case err != nil:
		return err
	case b.Phase == phaseActive:
		if !now {
			return nil
		}
		b.Held = wallNow().Add(enablingTime)
		return s.save(ctx, b)
	case !now && wallNow().Before(b.Next):
		return errors.New(b.Error)
	}
	if now {
		b.Held = wallNow().Add(enablingTime)
	}
	return s.create(ctx, l.endpoint, b)
}

// create registers a subscription, or renews an active one. What is sealed and what is stored before the call makes
// a crash behind it harmless: the call is made again and means the same.
func (s *Set) create(ctx context.Context, e *connectors.Endpoint, b *subscription) error {
	if s.Sealed == nil {
		return errors.New("there is no place for the secret of a subscription")
	}
	secret, err := s.hookSecrets(b.ID)
	if err != nil || secret.Own == "" {
		own := randomSecret()
		secret = hookSecret{Own: own, Signing: []string{own}} // a provider may check the address before it answers
		if err := s.seal(b.ID, secret); err != nil {
			return err
		}
	}
	renewed := *b
	if b.Phase != phaseActive {
		b.Phase = phaseCreating
		if err := s.save(ctx, b); err != nil {
			return err
		}
	}
	b.Kept = nil
	call, err := s.newCall("", b.Connection, b.Input, engine.IdempotencyKey(engine.RunID{}, "subscribe/"+b.ID+"/"+strconv.Itoa(b.Round)))
	var kept map[string]any
	var chosen string
	if err == nil {
		err = s.ask(ctx, b.Connection, func(ctx context.Context) (err error) {
			kept, chosen, err = e.Subscribe.Create(ctx, call, s.hook(b, secret.Own))
			return err
		})
	}
	if ctx.Err() != nil {
		return ctx.Err() // whether it happened is not known: the next try has the same key
	}
	b.Round++
	if err != nil {
		b.Kept = renewed.Kept
		s.failed(b, err)
		return errors.Join(fmt.Errorf("the provider did not take the subscription: %s", b.Error), s.save(ctx, b))
	}
	before := secret.Signing
	secret.Signing = nil
	if chosen != "" {
		secret.Signing = []string{chosen}
		if b.Phase == phaseActive && len(before) > 0 && before[0] != chosen {
			secret.Signing = append(secret.Signing, before[0]) // what is under way still has the old one
		}
	}
	if err := s.seal(b.ID, secret); err != nil {
		return err
	}
	b.Phase, b.Kept, b.Created, b.Base = phaseActive, kept, wallNow(), s.PublicURL
	b.Error, b.Failures, b.Failing, b.Next = "", 0, time.Time{}, time.Time{}
	if err := s.save(ctx, b); err != nil {
		return err
	}
	if reachesOnlyUs(s.PublicURL) && renewed.Phase != phaseActive {
		s.Log.WarnContext(ctx, "the provider was told an address that only this machine reaches, so unless it runs here it cannot call: set public_url",
			"connection", b.Connection, "endpoint", b.Endpoint, "public_url", s.PublicURL)
	}
	if renewed.Kept != nil && e.Subscribe.Delete != nil && !reflect.DeepEqual(renewed.Kept, kept) {
		if err := s.unregister(ctx, e, &renewed); err != nil {
			s.Log.WarnContext(ctx, "an old subscription is left over at the provider", "connection", b.Connection, "endpoint", b.Endpoint, "err", s.redact(err))
		}
	}
	return nil
}

// reachesOnlyUs reports an address of this machine itself, such as the one that is made from the place of listening.
func reachesOnlyUs(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// ask calls a provider within bounds, and tells the connection how that went.
func (s *Set) ask(ctx context.Context, connection string, do func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	err = func() (err error) {
		defer recovered(&err)
		return do(ctx)
	}()
	s.Engine.Observe(connection, err)
	return err
}

func (s *Set) redact(err error) string { return string(s.Engine.Redact([]byte(err.Error()))) }

// failed notes a failure and when to try again: later each time, and not before the provider wants it.
func (s *Set) failed(b *subscription, err error) {
	b.Failures++
	b.Error = s.redact(err)
	if b.Failing.IsZero() {
		b.Failing = wallNow()
	}
	wait := min(10*time.Second<<min(b.Failures-1, 12), maxBackoff)
	if asked, ok := connectors.Delay(err); ok {
		wait = max(wait, min(asked, maxAskedWait))
	}
	b.Next = wallNow().Add(wait)
}

// unregister tells the provider that we are not interested any more. What it does not know is done.
func (s *Set) unregister(ctx context.Context, e *connectors.Endpoint, b *subscription) error {
	if e.Subscribe == nil || e.Subscribe.Delete == nil {
		return nil
	}
	call, err := s.newCall("", b.Connection, b.Input, engine.IdempotencyKey(engine.RunID{}, "unsubscribe/"+b.ID+"/"+strconv.Itoa(b.Round)))
	if err != nil {
		return err
	}
	err = s.ask(ctx, b.Connection, func(ctx context.Context) error { return e.Subscribe.Delete(ctx, call, s.hook(b, "")) })
	var status *connectors.StatusError
	if errors.As(err, &status) && (status.Status == http.StatusNotFound || status.Status == http.StatusGone) {
		return nil
	}
	return err
}

// remove ends a subscription that nobody needs.
func (s *Set) remove(ctx context.Context, id string, k endpointKey) error {
	unlock, err := s.lockHook(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	b, err := s.subscription(ctx, k, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if b.Held.After(wallNow()) || b.Phase == phaseDeleting && wallNow().Before(b.Next) {
		return nil
	}
	if b.Phase == phaseManual {
		return s.drop(ctx, b)
	}
	b.Phase = phaseDeleting
	if err := s.save(ctx, b); err != nil { // until it is gone, and over a crash, nobody takes its calls for wanted
		return err
	}
	c := s.Engine.Connectors.Connector(b.Connector)
	var e *connectors.Endpoint
	if c != nil {
		e = c.Endpoint(b.Endpoint)
	}
	if e != nil && b.Kept != nil {
		err = s.unregister(ctx, e, b)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && (b.Failing.IsZero() || wallNow().Sub(b.Failing) < goneAfter) {
		s.failed(b, err)
		s.Log.WarnContext(ctx, "a subscription could not be ended yet", "connection", b.Connection, "endpoint", b.Endpoint, "err", b.Error, "next", b.Next)
		return s.save(ctx, b)
	}
	return s.drop(ctx, b)
}

// runSubscriptions keeps the subscriptions at the providers in step with the enabled workflows, until ctx is done.
func (s *Set) runSubscriptions(ctx context.Context) {
	caughtUp := map[string]bool{}      // by subscription: what was missed before this start is fetched
	searched := map[string]time.Time{} // by task
	for {
		next, err := s.reconcile(ctx, caughtUp)
		if tasks, failed := s.runTasks(ctx, searched); failed != nil {
			err = errors.Join(err, failed)
		} else if tasks.Before(next) {
			next = tasks
		}
		if err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "the subscriptions and tasks cannot be looked after now", "err", err)
			next = wallNow().Add(maxRetry)
		}
		timer := time.NewTimer(max(time.Second, next.Sub(wallNow())))
		select {
		case <-s.relisten:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// reconcile creates, renews and removes what is due, and says when the next thing is.
func (s *Set) reconcile(ctx context.Context, caughtUp map[string]bool) (next time.Time, err error) {
	needed := map[string]*listener{}
	for _, list := range s.listeners.Load().by {
		for _, l := range list {
			if l.workflow.Enabled && (l.endpoint.Subscribe != nil || l.endpoint.CatchUp != nil) {
				needed[l.id] = l
			}
		}
	}
	have, err := s.subscriptions(ctx)
	if err != nil {
		return next, err
	}
	var g errgroup.Group
	g.SetLimit(maxSubscribing)
	var mu sync.Mutex // guards caughtUp
	for id, l := range needed {
		g.Go(func() error {
			mu.Lock()
			done := caughtUp[id]
			mu.Unlock()
			if s.look(ctx, l, have[id], done) {
				mu.Lock()
				caughtUp[id] = true
				mu.Unlock()
			}
			return nil
		})
	}
	for id, b := range have {
		if needed[id] == nil {
			g.Go(func() error {
				if err := s.remove(ctx, id, endpointKey{b.Connection, b.Endpoint}); err != nil && ctx.Err() == nil {
					s.Log.ErrorContext(ctx, "a subscription cannot be ended", "connection", b.Connection, "err", s.redact(err))
				}
				return nil
			})
		}
	}
	_ = g.Wait() // each logs its own
	for id := range caughtUp {
		if needed[id] == nil {
			delete(caughtUp, id)
		}
	}
	return s.nextLook(ctx, needed)
}

// nextLook is when something is due again.
func (s *Set) nextLook(ctx context.Context, needed map[string]*listener) (next time.Time, err error) {
	next = wallNow().Add(time.Hour)
	have, err := s.subscriptions(ctx)
	if err != nil {
		return next, err
	}
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	for id, b := range have {
		sooner(b.Next)
		l := needed[id]
		if l == nil {
			sooner(b.Held)
			continue
		}
		if l.endpoint.CatchUp != nil {
			sooner(wallNow().Add(heartbeat))
		}
		if b.Phase == phaseActive {
			sooner(renewAt(l.endpoint, b))
		}
	}
	return next, nil
}

// renewAt is when a subscription is renewed: well before it ends.
func renewAt(e *connectors.Endpoint, b *subscription) time.Time {
	if e.Subscribe == nil || e.Subscribe.Renew <= 0 {
		return time.Time{}
	}
	return b.Created.Add(e.Subscribe.Renew * 3 / 4)
}

// renewalDue reports that a subscription is to be registered anew: it ends soon, or the provider calls an address that this
// server no longer has.
func (s *Set) renewalDue(e *connectors.Endpoint, b *subscription) bool {
	ends := renewAt(e, b)
	soon := !ends.IsZero() && !wallNow().Before(ends)
	moved := b.Base != "" && b.Base != s.PublicURL
	return b.Phase == phaseActive && (soon || moved) && !wallNow().Before(b.Next)
}

// look brings one listener up to date. It reports whether what was missed before the start is fetched.
func (s *Set) look(ctx context.Context, l *listener, b *subscription, caughtUp bool) bool {
	log := s.Log.With("connection", l.connection, "endpoint", l.endpoint.ID, "workflow", l.workflow.ID)
	if l.endpoint.Subscribe != nil {
		due := b != nil && s.renewalDue(l.endpoint, b)
		var err error
		switch {
		case b == nil || b.Phase != phaseActive:
			if b == nil || !wallNow().Before(b.Next) {
				err = s.ensure(ctx, l, false)
			} else {
				return caughtUp
			}
		case due:
			err = s.renew(ctx, l)
		}
		if err != nil {
			if ctx.Err() == nil {
				log.ErrorContext(ctx, "the provider does not call us", "err", s.redact(err))
			}
			return caughtUp
		}
	}
	if l.endpoint.CatchUp == nil {
		return true
	}
	if err := s.listened(ctx, l, caughtUp); err != nil {
		if ctx.Err() == nil {
			log.ErrorContext(ctx, "what was missed could not be fetched yet", "err", s.redact(err))
		}
		return caughtUp
	}
	return true
}

func (s *Set) renew(ctx context.Context, l *listener) error {
	unlock, err := s.lockHook(ctx, l.id)
	if err != nil {
		return err
	}
	defer unlock()
	b, err := s.subscription(ctx, endpointKey{l.connection, l.endpoint.ID}, l.id)
	if err != nil {
		return err
	}
	return s.create(ctx, l.endpoint, b)
}

// listened fetches what was missed since we surely listened last, once after a start, and then notes the time again
// and again. The time moves on only when all that came before it is stored.
func (s *Set) listened(ctx context.Context, l *listener, caughtUp bool) error {
	unlock, err := s.lockHook(ctx, l.id)
	if err != nil {
		return err
	}
	defer unlock()
	b, err := s.subscription(ctx, endpointKey{l.connection, l.endpoint.ID}, l.id)
	if errors.Is(err, engine.ErrNotFound) && l.endpoint.Subscribe == nil {
		b = newSubscription(l)
		b.Phase, err = phaseManual, nil
	}
	if err != nil {
		return err
	}
	now := wallNow()
	if !caughtUp && !b.Listened.IsZero() {
		if err := s.catchUp(ctx, l, b, b.Listened.Add(-catchUpOverlap)); err != nil {
			return err
		}
	}
	if now.Sub(b.Listened) < heartbeat && caughtUp {
		return nil
	}
	b.Listened = now
	return s.save(ctx, b)
}

// catchUp fetches what a provider sent, or would have sent, since a time. What came already has the same key.
func (s *Set) catchUp(ctx context.Context, l *listener, b *subscription, since time.Time) error {
	call, err := s.newCall(l.workflow.ID, l.connection, l.input, "")
	if err != nil {
		return err
	}
	verifier, err := signature.New(l.endpoint.Verify, s.keys)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	var bodies []any
	err = func() (err error) {
		defer recovered(&err)
		bodies, err = l.endpoint.CatchUp(asking, call, s.hook(b, ""), since)
		return err
	}()
	s.Engine.Observe(l.connection, err)
	if err != nil {
		return err
	}
	if len(bodies) > maxCaughtUp {
		s.Log.WarnContext(ctx, "more was missed than can be fetched afterwards", "connection", l.connection, "found", len(bodies), "taken", maxCaughtUp)
		bodies = bodies[len(bodies)-maxCaughtUp:]
	}
	var heard []*listener
	for _, other := range s.listeners.Load().by[endpointKey{l.connection, l.endpoint.ID}] {
		if other.id == l.id && other.workflow.Enabled {
			heard = append(heard, other)
		}
	}
	var events []engine.Event
	for _, body := range bodies {
		fields := map[string]any{"headers": map[string]any{}, "query": map[string]any{}, "params": map[string]any{}, "method": "", "path": ""}
		h := &happening{root: withBody(fields, body), fields: fields, body: body, at: wallNow()}
		if err := h.name(ctx, l.endpoint, verifier, signature.Request{Header: http.Header{}, Now: h.at}); err != nil {
			return err
		}
		if h.key == "" { // at least it is not fetched twice
			h.key = "fetched/" + digestValue(body).String()
		}
		for _, other := range heard {
			made, err := h.events(ctx, other)
			if err != nil {
				return err
			}
			events = append(events, made...)
		}
	}
	for some := range slices.Chunk(events, pollBatch) {
		if _, err := s.emit(ctx, some, nil); err != nil {
			return err
		}
	}
	if len(events) > 0 {
		s.Log.InfoContext(ctx, "fetched what was missed", "connection", l.connection, "endpoint", l.endpoint.ID, "since", since, "events", len(events))
	}
	return nil
}

// HookState is how a subscription stands, for people.
type HookState struct {
	URL      string     `json:"url" doc:"What the provider calls."`
	Phase    string     `json:"phase" enum:"creating,active,deleting,manual,none"`
	Created  *time.Time `json:"created,omitempty" doc:"When the provider last confirmed it."`
	Renewal  *time.Time `json:"renewal,omitempty" doc:"When it is renewed."`
	Error    string     `json:"error,omitempty" doc:"Why the provider does not call us."`
	Failures int        `json:"failures,omitempty"`
	Next     *time.Time `json:"next,omitempty" doc:"When a failure is tried again."`
}

func (s *Set) hookState(ctx context.Context, l *listener) (*HookState, error) {
	state := &HookState{URL: strings.TrimSuffix(s.PublicURL, "/") + "/hooks/_/" + l.connection + "/" + l.endpoint.ID, Phase: phaseManual}
	if l.endpoint.Subscribe == nil {
		return state, nil
	}
	state.URL += "/" + l.id
	b, err := s.subscription(ctx, endpointKey{l.connection, l.endpoint.ID}, l.id)
	if errors.Is(err, engine.ErrNotFound) {
		state.Phase = "none"
		return state, nil
	}
	if err != nil {
		return nil, err
	}
	state.Phase, state.Error, state.Failures = b.Phase, b.Error, b.Failures
	state.Created, state.Next, state.Renewal = known(b.Created), known(b.Next), known(renewAt(l.endpoint, b))
	return state, nil
}

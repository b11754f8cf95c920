package connectors

import (
	"context"
	"time"
)

// Trigger is something that happens at a system and starts workflows: `use: stripe.event` in the triggers of a
// workflow. Exactly one of Endpoint, Poll and Run is set. What starts a run is the `trigger.body` of it.
type Trigger struct {
	Name       string // [a-z0-9_]{1,40}
	Title      string
	Summary    string
	Show       string // main (also ""), more, hidden
	Deprecated string // name of the trigger to use instead; empty: it is current
	Input      Schema // what `with` of the trigger may hold
	Output     Schema // of trigger.body
	Sample     any    // an example of trigger.body

	// Endpoint is the ID of the endpoint whose deliveries it takes.
	Endpoint string
	// Events are the names (see Endpoint.Event) that it takes; empty: all.
	Events []string
	// Emit makes what starts runs of a delivery that is genuine and whose event is among Events. An empty list: it is
	// not wanted. Its keys are empty where one delivery is one run; else each joins the dedupe key of the delivery.
	// nil: the body of the delivery starts one run.
	Emit func(ctx context.Context, d Delivery) ([]Item, error)
	// Mandatory triggers are served and verified as soon as a connection exists, whether or not a workflow listens,
	// and each delivery makes a task for an admin. nil: it is an ordinary trigger.
	Mandatory *Mandatory

	// Poll asks again and again.
	Poll *Poll
	// Run listens to a stream, such as MQTT or IMAP IDLE, until ctx is done. When emit returns nil the item is durable
	// and may be acknowledged; an equal Key starts no second run. c.Input is `with` of the trigger. When Run returns
	// before ctx is done it is called again after a while.
	Run func(ctx context.Context, c *Call, emit func(ctx context.Context, item Item) error) error
}

// Item is one thing that happened.
type Item struct {
	Key     string // names it among the things of its trigger; for polls the "seen" key
	Version string // polls: a seen key with another version is new again; may be empty
	Body    any    // becomes trigger.body
}

// Poll is a trigger that asks. Its words are those of a workflow's own polls.
type Poll struct {
	Every time.Duration // unless the workflow says otherwise
	Emit  string        // each, batch
	First string        // baseline, emit
	// Fetch asks once. c.Input is `with` of the trigger. cursor is what the last Fetch returned, nil at first; since is
	// when the poll last succeeded, or when it began. The cursor is plain data and is stored with the items.
	Fetch func(ctx context.Context, c *Call, cursor any, since time.Time) (items []Item, next any, err error)
}

// Mandatory is what the law asks of a trigger: see Shopify's privacy webhooks.
type Mandatory struct {
	Kind    string // access, erase, erase_all
	Subject func(ctx context.Context, d Delivery) (string, error)
	Within  time.Duration // to be done by then
}

// Endpoint is an address that a system calls. It is served at /hooks/_/<connection>/<endpoint>, with the id of the
// subscription behind it where we subscribe. A call is verified over its raw bytes, then its handshake is answered, then
// Event, the triggers and Dedupe see it; it is answered when what it starts is durable.
type Endpoint struct {
	ID    string // [a-z0-9_]{1,40}
	Title string
	Help  string // where a person enters the address, when Subscribe is nil

	// Subscribe makes the system call us; nil: a person does.
	Subscribe *Subscribe
	Verify    Verify
	// ContentType is json, form, xml, text or multipart. Another type is refused with 415.
	ContentType string
	// Handshake returns the answer to a call that only probes the endpoint, or nil when it is none. What the preset of
	// Verify answers comes first. nil: there is none.
	Handshake func(ctx context.Context, d Delivery) (*Reply, error)
	// Event names what happened; nil: there is one event, and its name is empty.
	Event func(ctx context.Context, d Delivery) (string, error)
	// Dedupe returns the key of a delivery; empty: it is no duplicate of any other. nil: the preset's key.
	Dedupe func(ctx context.Context, d Delivery) (string, error)
	Window time.Duration // how long a key is remembered; 0: the preset's, else 24 h
	Answer Reply         // what the system is told; the zero Reply: 202
	// Wait is how long a `respond` step of the workflow may take to answer in the place of Answer; 0: it may not.
	Wait time.Duration
	// CatchUp fetches what was missed while nobody listened: bodies as the system would have sent them, which dedupe as
	// deliveries do. nil: it cannot. since is when we surely listened last.
	CatchUp func(ctx context.Context, c *Call, h Hook, since time.Time) ([]any, error)
}

// Delivery is one inbound call as the functions of endpoints and triggers see it. They must not change it.
type Delivery struct {
	Trigger map[string]any // the root `trigger` of expressions: body, headers, query, params, method, path, raw
	Input   map[string]any // `with` of the workflow's trigger; nil for the functions of an endpoint
	Now     time.Time
}

// Reply is an HTTP answer of ours.
type Reply struct {
	Status int    // 0: 202 without a body
	Type   string // of the body
	Body   []byte
	Header map[string]string // further headers
}

// Subscribe registers an address of ours at the system.
type Subscribe struct {
	// Create is called when the first workflow that needs the subscription is enabled, and again to renew it; c.Input is
	// `with` of the trigger. It returns what Delete and CatchUp need, and the secret that deliveries are signed with: one
	// that the system chose, or h.Secret if it was sent; empty: the signing_secret of the connection.
	Create func(ctx context.Context, c *Call, h Hook) (kept map[string]any, secret string, err error)
	// Delete is called after the last one was disabled. nil: the system forgets by itself.
	Delete func(ctx context.Context, c *Call, h Hook) error
	// Renew is how long a subscription lives; it is renewed well before. 0: for good.
	Renew time.Duration
}

// Hook is one subscription.
type Hook struct {
	URL    string         // the address that the system is to call
	Events []string       // the Events of the trigger
	Secret string         // 40 random characters, for systems that let us choose
	Kept   map[string]any // what Create returned; nil in Create
}

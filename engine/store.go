package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Journal changes runs; the loop and the triggers use it. All methods are safe for concurrent use. A call
// whose context ends before the outcome is known returns ErrUnavailable (wrapped): the caller repeats the same call.
type Journal interface {
	// Accept stores new runs, and what belongs to them, in one write. It returns one Accepted for each run of
	// the batch once all of it is on disk. A run whose Key was accepted within its Window, or lives, is a
	// duplicate: the earlier run's id comes back and nothing is written for it. ErrFull writes nothing at all.
	// A Put whose revision does not hold is ErrConflict, and nothing of the batch is written.
	Accept(ctx context.Context, b Batch) ([]Accepted, error)

	// Claim returns at least one and at most max runs that are ready, each with the right to append to it. It
	// takes workflows in turn, urgent runs before others at 4:1, and the oldest run of a workflow first. It
	// blocks until there is one, ctx is done, or the store is closed (ErrClosed).
	Claim(ctx context.Context, max int) ([]*Claim, error)

	// Append makes one atomic change: all records and what follows from then, or nothing. It sets the Seq of each
	// record and advances c.Seq. ErrConflict: only Signal records came in between; the claim still holds, read
	// from c.Seq and decide again. ErrLost: another claim has the run; stop and write nothing more. Appending
	// the same records again after ErrUnavailable returns nil if they are there already. The slice is the caller's
	// again when it returns; the Data of its records must not change.
	Append(ctx context.Context, c *Claim, recs []Record, then Then) error

	// Extend keeps the claim for another lease. ErrLost is final.
	Extend(ctx context.Context, c *Claim) error

	// Limit bounds how many runs of a workflow are claimed at the same time; 0: any number. It is not stored.
	Limit(workflow string, most int)

	// Pause keeps the ready runs of a workflow from being claimed, or lets them be claimed again. What is claimed goes
	// on. It is not stored.
	Pause(workflow string, on bool)

	// Signal appends a record of kind Signal to a run that has not finished, from any machine, and wakes a parked
	// run. It is idempotent by s.ID. A finished or unknown run is ErrNotFound.
	Signal(ctx context.Context, id RunID, s Signal) error
}

// A History shows runs and forgets them; the API, the UI and housekeeping use it.
type History interface {
	// Read returns the records of a live or finished run with Seq >= from. It reads its own writes.
	Read(ctx context.Context, id RunID, from uint32) ([]Record, error)
	// List returns rows newest first. It may lag behind by Stats.ListLag and never loses or doubles a row across pages.
	List(ctx context.Context, q Query) (Page, error)
	// Watch sends stored records as they come, in Seq order for each run, until ctx is done. A slow reader loses
	// some; the gap shows in Seq and Read heals it.
	Watch(ctx context.Context, f Filter) (<-chan Update, error)
	// Prune forgets finished runs past their retention, at most budget of them or of files, and reports how many.
	Prune(ctx context.Context, r Retention, budget int) (removed int, err error)
	// Erase takes finished runs out of the history so that nothing of them is left on disk, and reports how many. Runs that
	// live, or that there are not, are passed over. It is not for every day: it writes whole files anew.
	Erase(ctx context.Context, ids []RunID) (erased int, err error)
	// Stats is cheap enough to be called every second.
	Stats(ctx context.Context) (Stats, error)
}

// A KV holds small shared state: workflow versions, poll cursors, the values of the `store` connector.
type KV interface {
	// Get returns ErrNotFound when there is no live value.
	Get(ctx context.Context, key string) (val []byte, rev uint64, err error)
	// Put writes when the stored revision equals rev (0: there is none) and returns the new one; else ErrConflict.
	Put(ctx context.Context, key string, val []byte, rev uint64, ttl time.Duration) (uint64, error)
	// Delete removes the key when its revision equals rev; else ErrConflict. An absent key is ErrNotFound.
	Delete(ctx context.Context, key string, rev uint64) error
	// List returns at most limit live entries whose key begins with prefix and is greater than after, in key order.
	List(ctx context.Context, prefix, after string, limit int) ([]Entry, error)
}

// Deliveries keeps inbound calls, accepted or not, bounded in count and bytes: the oldest go first.
type Deliveries interface {
	// Record stores a delivery that starts no run. It is durable when it returns.
	Record(ctx context.Context, d Delivery) error
	// List returns deliveries newest first, without Data.
	List(ctx context.Context, q DeliveryQuery) (items []Delivery, next string, err error)
	// Read returns one with its Data, or ErrNotFound.
	Read(ctx context.Context, id RunID) (Delivery, error)
}

// A Store is what a backend provides.
type Store interface {
	Journal
	History
	KV() KV
	Deliveries() Deliveries
	// Close drains: no new claims, writes under way are finished. Held claims count as released.
	Close(ctx context.Context) error
}

// Batch is what one Accept writes: all of it or nothing.
type Batch struct {
	Runs []NewRun
	Puts []Put // a poll's cursor and seen keys change in the same write as the runs that they start
}

// NewRun is a run to be accepted.
type NewRun struct {
	ID        RunID // proposed; see NewRunID
	Head      Head
	At        time.Time
	NotBefore time.Time     // zero: ready at once
	Window    time.Duration // how long Head.Key is held after At; 0 holds it while the run lives
	Data      []byte        // the event, as Event.Encode wrote it
	Memo      any           // the decoded form of Data, handed to the Claim if memory allows; never stored
	Carry     []Record      // results taken over from an earlier run, written behind Accepted
	Limit     int           // with Full: how many runs of the workflow may be ready or claimed; 0: any number
	Full      string        // drop: a run over Limit is not stored; fail: it is, with a Signal of kind full
	Delivery  *Delivery     // rides in the same write; its Run and Outcome (duplicate) are filled in by the store
}

// Accepted is the answer for one run of a Batch.
type Accepted struct {
	ID        RunID
	Duplicate bool // ID is that of the earlier run with the same key
	Dropped   bool // Full was "drop" and Limit was reached: there is no run
}

// Put is a KV write that rides with an Accept. Rev works as in KV.Put; AnyRev writes whatever is there.
type Put struct {
	Key    string
	Value  []byte // nil deletes
	Rev    uint64
	AnyRev bool
	TTL    time.Duration
}

// Claim is the right to append to a run.
type Claim struct {
	Run       RunID
	Seq       uint32   // the seq that the next record gets
	Takeovers int      // > 0: the process that held the run before died, or lost its lease
	Journal   []Record // everything below Seq
	Token     any      // the store's own
}

// ThenKind says what happens to a run after an Append.
type ThenKind uint8

// What can follow an Append.
const (
	Continue ThenKind = iota // the claim goes on
	Park                     // the claim ends; the run is ready again at Then.Wake or at a Signal
	Release                  // the claim ends; the run is ready at once
	Finish                   // the claim ends; the run moves to the history with Then.Row
)

// Then is what follows an Append.
type Then struct {
	Kind ThenKind
	Wake time.Time // Park: zero waits for a Signal only
	Row  Row       // Finish
	// Signals go to other runs in the same write, as Signal would send them. One to a run that has ended, or that
	// has it already, is left out.
	Signals []Outgoing
}

// Outgoing is a Signal to another run.
type Outgoing struct {
	Run    RunID
	Signal Signal
}

// Signal comes to a run from outside: a person cancels, approves, decides; a callback arrives.
type Signal struct {
	ID   string // the same ID is recorded once
	Kind string // cancel, approve, callback, child, full
	Step string // key of the step that it is for
	By   string
	Data []byte
}

// Row is a run as lists show it.
type Row struct {
	ID       RunID
	Parent   RunID
	Workflow string
	Version  string
	Trigger  string // id of the trigger
	Status   Status
	Reason   string // why it ended that way, as one word: declined, quarantined, unknown, timeout
	Summary  string // one sentence for people
	Accepted time.Time
	Finished time.Time // zero while it lives
}

// Query selects rows. The zero Query is the newest page of everything.
type Query struct {
	Workflow string
	Text     string // matches anywhere in the data of a run, without regard to case
	Status   []Status
	Since    time.Time // accepted at or after
	Until    time.Time // accepted before
	Cursor   string
	Limit    int // 1-200; 0 is 50
}

// Page is one page of rows.
type Page struct {
	Items []Row
	Next  string // cursor of the next page; empty at the end
	// Scanned is how many runs a text search read, and Partial that its bound stopped it before Limit or the
	// end; Next continues.
	Scanned int
	Partial bool
}

// Filter selects what Watch sends. The zero Filter is everything.
type Filter struct {
	Run      RunID
	Workflow string
}

// Update is one stored record.
type Update struct {
	Run      RunID
	Workflow string
	Record   Record
}

// Retention says how long finished runs are kept. The zero value keeps everything.
type Retention struct {
	Days     int
	MaxBytes int64 // of all that the store has on disk
	// Own returns the rules of the workflows that have one of their own. The caller does not change the map afterwards.
	Own func() map[string]Rule
}

// Rule says how long the finished runs of one workflow are kept. Whatever it names first ends a run's time.
type Rule struct {
	Days int    // 0: those of the Retention
	Runs int    // the newest so many; 0: no bound
	Keep string // all (or empty), failures, none
}

// Stats is the state of a store at a glance.
type Stats struct {
	Live    int // unfinished runs
	Ready   int
	Claimed int
	Parked  int
	Oldest  time.Time // accept time of the oldest ready run; zero when none waits
	Backlog int       // finished runs that the archiver has not moved yet
	Bytes   int64     // on disk
	ListLag time.Duration
	Commits uint64 // write transactions since start
	Ops     uint64 // operations in them
	// DiskTime is how long these transactions wrote to the disk and waited for it, since start.
	DiskTime time.Duration
}

// Entry is one pair of a KV.
type Entry struct {
	Key   string
	Value []byte
	Rev   uint64
}

// Delivery outcomes.
const (
	DeliveryAccepted  = "accepted"
	DeliveryDuplicate = "duplicate"
	DeliveryKept      = "kept"      // the workflow is disabled: stored, not run
	DeliveryHandshake = "handshake" // the sender's question was answered; there was no event
	DeliveryDropped   = "dropped"   // its concurrency limit was reached
	DeliveryRefused   = "refused"   // answered 4xx
	DeliveryFailed    = "failed"    // answered 5xx
)

// Delivery is one inbound call as it was answered.
type Delivery struct {
	ID       RunID // time-ordered; that of the run when it started one
	Workflow string
	Trigger  string
	Outcome  string
	Status   int    // HTTP status of the answer
	Reason   string // one sentence: why it was refused, kept or dropped
	Run      RunID  // zero when there is none
	At       time.Time
	Method   string
	Path     string
	Remote   string
	Size     int    // bytes of the body
	ResendOf RunID  // the delivery whose event this one starts again
	ResentAs RunID  // the last delivery that started this one's event again; the store sets it
	Data     []byte // the event, as Event.Encode wrote it, where no run holds it
}

// DeliveryQuery selects deliveries.
type DeliveryQuery struct {
	Workflow string
	Outcome  string
	Since    time.Time
	Until    time.Time
	Cursor   string
	Limit    int // 1-200; 0 is 50
}

// Errors that a Store returns, possibly wrapped. What each means for the caller stands with the methods.
var (
	ErrConflict    = errors.New("changed in the meantime")
	ErrLost        = errors.New("the claim is lost")
	ErrNotFound    = errors.New("not found")
	ErrClosed      = errors.New("the store is closed")
	ErrUnavailable = errors.New("the store did not answer: the outcome is unknown")
	ErrFull        = errors.New("full") // always a *FullError
)

// FullError says that a bound is reached and nothing was written.
type FullError struct {
	Workflow   string        // the workflow whose own bound it is; empty: the whole store's
	Reason     string        // runs, bytes, disk, writer, history
	RetryAfter time.Duration // at least a second
}

func (e *FullError) Error() string {
	if e.Workflow != "" {
		return fmt.Sprintf("workflow %s has too many unfinished runs, try again in %s", e.Workflow, e.RetryAfter)
	}
	return fmt.Sprintf("the store is full (%s), try again in %s", e.Reason, e.RetryAfter)
}

// Is makes errors.Is(err, ErrFull) true.
func (e *FullError) Is(target error) bool { return target == ErrFull }

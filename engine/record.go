package engine

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// RunID names a run: 6 bytes of accept time in ms, 1 byte shard, 9 bytes that equal keys share or that are
// random. Ids sort by time.
type RunID [16]byte

var runIDText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// String is the id as users see it: 26 lower-case characters, safe in URLs, sorting like the bytes.
func (id RunID) String() string { return runIDText.EncodeToString(id[:]) }

// IsZero reports whether id names no run.
func (id RunID) IsZero() bool { return id == RunID{} }

// Time is when the run was accepted, to the millisecond.
func (id RunID) Time() time.Time {
	ms := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
	return time.UnixMilli(ms).UTC()
}

// ParseRunID reads what String wrote.
func ParseRunID(s string) (id RunID, err error) {
	if len(s) != 26 {
		return id, fmt.Errorf("run id %q: want 26 characters", s)
	}
	if _, err := runIDText.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("run id %q is malformed", s)
	}
	return id, nil
}

// NewRunID makes an id for a run accepted at. Equal (workflow, trigger, key) share their last nine bytes; without
// a key these are random. The shard byte comes from the lane, else the key, else chance.
func NewRunID(at time.Time, h *Head) RunID {
	var id RunID
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	if h.Key == "" {
		rand.Read(id[6:])
		if h.Lane != "" {
			id[6] = sha256.Sum256([]byte(h.Lane))[0]
		}
		return id
	}
	sum := sha256.Sum256([]byte(h.Workflow + "\x00" + h.Trigger + "\x00" + h.Key))
	copy(id[7:], sum[:])
	id[6] = sum[31]
	if h.Lane != "" {
		id[6] = sha256.Sum256([]byte(h.Lane))[0]
	}
	return id
}

// Kind is the kind of a Record. The numbers are stored: never reuse one.
type Kind uint8

// The kinds, in the order in which a run may see them.
const (
	KindAccepted      Kind = 0 // the event; Head says what runs
	KindClaimed       Kind = 1 // a takeover after the holder died
	KindStepStarted   Kind = 2 // Key: idempotency key, of a call step the child's id; Data: the input as JSON; Until: how long it waits. Durable before the side effect
	KindStepCompleted Kind = 3 // Status succeeded, filtered or skipped; Data: the output as JSON, or Key: the step inside whose output it is
	KindStepFailed    Kind = 4 // Status failed, canceled or unknown; Data: the error as JSON; Until: when to try again
	KindParked        Kind = 5 // Until: when to wake
	KindSignal        Kind = 6 // Key: the signal's id; Reason: its kind; Data: the signal as JSON
	KindFinished      Kind = 7 // Status and Reason of the run; Data: the summary as text
)

func (k Kind) String() string {
	names := [...]string{"accepted", "claimed", "step_started", "step_completed", "step_failed", "parked", "signal", "finished"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind_%d", k)
}

// Status is that of a run or of a step. The numbers are stored: never reuse one.
type Status uint8

// The statuses, of runs and of steps unless they say otherwise.
const (
	StatusQueued    Status = 1
	StatusRunning   Status = 2
	StatusWaiting   Status = 3
	StatusSucceeded Status = 4
	StatusFiltered  Status = 5
	StatusFailed    Status = 6
	StatusCanceled  Status = 7
	StatusSkipped   Status = 8 // steps only
	StatusUnknown   Status = 9 // steps only: it may or may not have happened
)

var statusNames = [...]string{"", "queued", "running", "waiting", "succeeded", "filtered", "failed", "canceled", "skipped", "unknown"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status_%d", s)
}

// ParseStatus reads the name of a status.
func ParseStatus(name string) (Status, error) {
	for i, n := range statusNames {
		if n == name && n != "" {
			return Status(i), nil
		}
	}
	return 0, fmt.Errorf("unknown status %q", name)
}

// Head is what a run is, fixed when it is accepted.
type Head struct {
	Workflow string
	Version  string // content hash of the workflow that it runs, for as long as it lives
	Trigger  string // id of the trigger
	Key      string // dedupe key; empty: no other event equals this one
	Lane     string // runs of one workflow with an equal lane run one after another; empty: none
	Parent   RunID  // the run that this one repeats
	Urgent   bool   // a person waits for it

	// Of a run that a call step of another run started.
	Caller     RunID
	CallerStep string // key of the step
	Depth      int    // how many calls lie between it and the event
}

// Record is one entry of a run's journal, its only truth.
type Record struct {
	Seq     uint32 // from 0, dense; set by the store
	At      time.Time
	Format  uint8 // of the encoding; RecordFormat when written by this build
	Kind    Kind
	Step    string // step id behind the loop rounds that it stands in: lines[12].tell; lines[12] is the round as a whole
	Attempt int    // from 1
	Status  Status
	Key     string
	Reason  string
	Until   time.Time
	Took    time.Duration // of the attempt
	Head    *Head         // Accepted only
	Data    []byte
	Memo    any // the decoded form of Data where the writer had it; never stored
}

// RecordFormat is the newest record format that this build reads and the one that it writes.
const RecordFormat = 1

// ErrDamaged marks a record that fails its checksum or does not decode.
var ErrDamaged = errors.New("damaged record")

// ErrNewerFormat marks a record that a newer release wrote.
var ErrNewerFormat = errors.New("written by a newer release")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode appends the stored form of r to dst: format byte, CRC-32C of what follows and of id and Seq, then
// fields in protobuf wire format, so that a reader passes over fields that it does not know.
func (r *Record) Encode(dst []byte, id RunID) []byte {
	start := len(dst)
	dst = append(dst, RecordFormat, 0, 0, 0, 0)
	dst = appendUint(dst, 1, uint64(r.Kind))
	dst = appendTime(dst, 2, r.At)
	dst = appendText(dst, 3, r.Step)
	dst = appendUint(dst, 4, uint64(r.Attempt))
	dst = appendUint(dst, 5, uint64(r.Status))
	dst = appendText(dst, 6, r.Key)
	dst = appendText(dst, 7, r.Reason)
	dst = appendTime(dst, 8, r.Until)
	dst = appendUint(dst, 9, uint64(r.Took))
	if h := r.Head; h != nil {
		dst = appendText(dst, 16, h.Workflow)
		dst = appendText(dst, 17, h.Version)
		dst = appendText(dst, 18, h.Trigger)
		dst = appendText(dst, 19, h.Key)
		dst = appendText(dst, 20, h.Lane)
		if !h.Parent.IsZero() {
			dst = appendText(dst, 21, string(h.Parent[:]))
		}
		if h.Urgent {
			dst = appendUint(dst, 22, 1)
		}
		if !h.Caller.IsZero() {
			dst = appendText(dst, 23, string(h.Caller[:]))
			dst = appendText(dst, 24, h.CallerStep)
			dst = appendUint(dst, 25, uint64(h.Depth))
		}
	}
	if len(r.Data) > 0 {
		dst = protowire.AppendTag(dst, 15, protowire.BytesType)
		dst = protowire.AppendBytes(dst, r.Data)
	}
	binary.LittleEndian.PutUint32(dst[start+1:], checksum(id, r.Seq, dst[start+5:]))
	return dst
}

// DecodeRecord reads what Encode wrote for this run and seq. The record's Data points into src.
func DecodeRecord(id RunID, seq uint32, src []byte) (Record, error) {
	r := Record{Seq: seq}
	if len(src) < 5 {
		return r, fmt.Errorf("run %s, record %d: %w: %d bytes", id, seq, ErrDamaged, len(src))
	}
	r.Format = src[0]
	if r.Format == 0 {
		return r, fmt.Errorf("run %s, record %d: %w: format 0", id, seq, ErrDamaged)
	}
	if r.Format > RecordFormat {
		return r, fmt.Errorf("run %s, record %d: %w (format %d, this build reads %d)", id, seq, ErrNewerFormat, r.Format, RecordFormat)
	}
	body := src[5:]
	if got, want := binary.LittleEndian.Uint32(src[1:]), checksum(id, seq, body); got != want {
		return r, fmt.Errorf("run %s, record %d: %w: checksum %08x, want %08x", id, seq, ErrDamaged, got, want)
	}
	for len(body) > 0 {
		num, typ, n := protowire.ConsumeTag(body)
		if n < 0 {
			return r, fmt.Errorf("run %s, record %d: %w: %w", id, seq, ErrDamaged, protowire.ParseError(n))
		}
		body = body[n:]
		switch typ {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(body)
			if n < 0 {
				return r, fmt.Errorf("run %s, record %d: %w: %w", id, seq, ErrDamaged, protowire.ParseError(n))
			}
			body = body[n:]
			r.setNumber(num, v)
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(body)
			if n < 0 {
				return r, fmt.Errorf("run %s, record %d: %w: %w", id, seq, ErrDamaged, protowire.ParseError(n))
			}
			body = body[n:]
			r.setBytes(num, v)
		default:
			n := protowire.ConsumeFieldValue(num, typ, body)
			if n < 0 {
				return r, fmt.Errorf("run %s, record %d: %w: %w", id, seq, ErrDamaged, protowire.ParseError(n))
			}
			body = body[n:]
		}
	}
	return r, nil
}

func (r *Record) setNumber(num protowire.Number, v uint64) {
	switch num {
	case 1:
		r.Kind = Kind(v)
	case 2:
		r.At = time.Unix(0, int64(v)).UTC()
	case 4:
		r.Attempt = int(v)
	case 5:
		r.Status = Status(v)
	case 8:
		r.Until = time.Unix(0, int64(v)).UTC()
	case 9:
		r.Took = time.Duration(v)
	case 22:
		r.head().Urgent = v == 1
	case 25:
		r.head().Depth = int(v)
	}
}

func (r *Record) setBytes(num protowire.Number, v []byte) {
	switch num {
	case 3:
		r.Step = string(v)
	case 6:
		r.Key = string(v)
	case 7:
		r.Reason = string(v)
	case 15:
		r.Data = v
	case 16:
		r.head().Workflow = string(v)
	case 17:
		r.head().Version = string(v)
	case 18:
		r.head().Trigger = string(v)
	case 19:
		r.head().Key = string(v)
	case 20:
		r.head().Lane = string(v)
	case 21:
		copy(r.head().Parent[:], v)
	case 23:
		copy(r.head().Caller[:], v)
	case 24:
		r.head().CallerStep = string(v)
	}
}

func (r *Record) head() *Head {
	if r.Head == nil {
		r.Head = &Head{}
	}
	return r.Head
}

func checksum(id RunID, seq uint32, body []byte) uint32 {
	var key [20]byte
	copy(key[:], id[:])
	binary.BigEndian.PutUint32(key[16:], seq)
	return crc32.Update(crc32.Checksum(key[:], castagnoli), castagnoli, body)
}

func appendUint(dst []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), v)
}

func appendTime(dst []byte, num protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return appendUint(dst, num, uint64(t.UnixNano()))
}

func appendText(dst []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendTag(dst, num, protowire.BytesType), s)
}

// IdempotencyKey is equal for all attempts of one step (and loop round) of one run, and differs from every other.
func IdempotencyKey(run RunID, step string) string {
	sum := sha256.Sum256(append(append(run[:len(run):len(run)], 0), step...))
	return runIDText.EncodeToString(sum[:])[:26]
}

// VersionOf is the version of a workflow file with this text.
func VersionOf(src []byte) string {
	sum := sha256.Sum256(src)
	return hex.EncodeToString(sum[:8])
}

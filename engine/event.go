package engine

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/bellhop-dev/bellhop/connectors/value"
)

// Trigger kinds, as expressions see them in trigger.kind.
const (
	TriggerWebhook  = "webhook"
	TriggerSchedule = "schedule"
	TriggerPoll     = "poll"
	TriggerStream   = "stream"
	TriggerManual   = "manual"
	TriggerCall     = "call"
)

// Event is something that starts a run.
type Event struct {
	Workflow string
	Trigger  string // id of the trigger; "manual" for a person or a script
	Kind     string
	At       time.Time
	Key      string        // dedupe key; empty: none
	Window   time.Duration // how long Key is held
	Lane     string        // set by a schedule with overlap: queue; else the workflow's own lane expression decides
	Urgent   bool          // a person waits for it
	Test     string        // the mode of a test run; empty: it is none. Never stored with the event
	Parent   RunID         // the run that this one repeats

	Caller     RunID // the run whose step CallerStep started it by a call, Depth calls behind the event
	CallerStep string
	Depth      int

	// Fields is the rest of the `trigger` root: headers, query, params, method, path, body, item, items, time,
	// previous. Where it has no body and Raw is set, the body is Raw read as JSON.
	Fields map[string]any
	Raw    []byte // the body exactly as it came
	Body   any    // the decoded form of Raw where whoever received it had it; never stored

	Delivery *Delivery // recorded in the same write
}

// Encode is the stored form: fields in protobuf wire format, Raw to the byte.
func (e *Event) Encode() ([]byte, error) {
	fields, err := value.AppendJSON(nil, e.Fields)
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	dst := make([]byte, 0, len(fields)+len(e.Raw)+64)
	dst = appendText(dst, 1, e.Trigger)
	dst = appendText(dst, 2, e.Kind)
	dst = appendTime(dst, 3, e.At)
	dst = protowire.AppendTag(dst, 4, protowire.BytesType)
	dst = protowire.AppendBytes(dst, fields)
	if e.Raw != nil {
		dst = protowire.AppendTag(dst, 5, protowire.BytesType)
		dst = protowire.AppendBytes(dst, e.Raw)
	}
	return dst, nil
}

// DecodeEvent reads what Encode wrote. Raw points into src.
func DecodeEvent(src []byte) (*Event, error) {
	e := &Event{}
	for len(src) > 0 {
		num, typ, n := protowire.ConsumeTag(src)
		if n < 0 {
			return nil, fmt.Errorf("decode event: %w", protowire.ParseError(n))
		}
		src = src[n:]
		if typ == protowire.VarintType {
			v, n := protowire.ConsumeVarint(src)
			if n < 0 {
				return nil, fmt.Errorf("decode event: %w", protowire.ParseError(n))
			}
			src = src[n:]
			if num == 3 {
				e.At = time.Unix(0, int64(v)).UTC()
			}
			continue
		}
		v, n := protowire.ConsumeBytes(src)
		if typ != protowire.BytesType || n < 0 {
			return nil, fmt.Errorf("decode event: field %d is malformed", num)
		}
		src = src[n:]
		switch num {
		case 1:
			e.Trigger = string(v)
		case 2:
			e.Kind = string(v)
		case 4:
			fields, err := value.DecodeJSON(v)
			if err != nil {
				return nil, fmt.Errorf("decode event: %w", err)
			}
			e.Fields, _ = fields.(map[string]any)
		case 5:
			e.Raw = v
		}
	}
	return e, nil
}

// Root is the `trigger` root that expressions see.
func (e *Event) Root(withRaw bool) (map[string]any, error) {
	root := make(map[string]any, len(e.Fields)+5)
	for k, v := range e.Fields {
		root[k] = v
	}
	root["id"] = e.Trigger
	root["kind"] = e.Kind
	root["at"] = e.At.UTC().Format(time.RFC3339Nano)
	if e.Raw != nil {
		if _, decoded := root["body"]; !decoded {
			if e.Body == nil {
				body, err := value.DecodeJSON(e.Raw)
				if err != nil {
					return nil, fmt.Errorf("decode the body of the event: %w", err)
				}
				e.Body = body
			}
			root["body"] = e.Body
		}
		if withRaw {
			root["raw"] = string(e.Raw)
		}
	}
	return root, nil
}

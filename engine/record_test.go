package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine"
)

var runID = engine.NewRunID(time.UnixMilli(1_790_000_000_123), &engine.Head{Workflow: "w", Trigger: "t", Key: "k"})

func sampleRecords() []engine.Record {
	at := time.Date(2026, 3, 1, 9, 0, 0, 123, time.UTC)
	return []engine.Record{
		{Seq: 0, At: at, Kind: engine.KindAccepted, Head: &engine.Head{Workflow: "a/b", Version: "0a1b", Trigger: "order", Key: "evt_1", Lane: "lane/7", Parent: runID, Urgent: true}, Data: []byte("event")},
		{Seq: 1, At: at, Kind: engine.KindStepStarted, Step: "tell", Attempt: 1, Status: engine.StatusRunning, Key: "key", Data: []byte(`{}`)},
		{Seq: 2, At: at, Kind: engine.KindStepFailed, Step: "tell", Attempt: 1, Status: engine.StatusFailed, Until: at.Add(time.Hour), Took: time.Second, Data: []byte(`{"message":"no"}`)},
		{Seq: 3, At: at, Kind: engine.KindParked, Until: at.Add(time.Hour)},
		{Seq: 4, At: at, Kind: engine.KindSignal, Key: "s", Reason: "cancel"},
		{Seq: 5, At: at, Kind: engine.KindFinished, Status: engine.StatusCanceled, Reason: "x", Data: []byte("Canceled")},
	}
}

func TestARecordComesBackAsItWent(t *testing.T) {
	for _, r := range sampleRecords() {
		r.Format = engine.RecordFormat
		got, err := engine.DecodeRecord(runID, r.Seq, r.Encode(nil, runID))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Errorf("%s:\n%s", r.Kind, diff)
		}
	}
}

func TestADamagedRecordIsNeverRead(t *testing.T) {
	for _, r := range sampleRecords() {
		whole := r.Encode(nil, runID)
		for i := range whole {
			for _, flip := range []byte{1, 0x80, 0xff} {
				src := append([]byte(nil), whole...)
				src[i] ^= flip
				if _, err := engine.DecodeRecord(runID, r.Seq, src); err == nil {
					t.Fatalf("%s: byte %d flipped by %#x is not noticed", r.Kind, i, flip)
				}
			}
		}
		if _, err := engine.DecodeRecord(runID, r.Seq+1, whole); !errors.Is(err, engine.ErrDamaged) {
			t.Errorf("%s under another seq: %v", r.Kind, err)
		}
		if _, err := engine.DecodeRecord(engine.RunID{}, r.Seq, whole); !errors.Is(err, engine.ErrDamaged) {
			t.Errorf("%s of another run: %v", r.Kind, err)
		}
		newer := append([]byte{engine.RecordFormat + 1}, whole[1:]...)
		if _, err := engine.DecodeRecord(runID, r.Seq, newer); !errors.Is(err, engine.ErrNewerFormat) {
			t.Errorf("%s of a newer release: %v", r.Kind, err)
		}
	}
}

func TestRunIDs(t *testing.T) {
	back, err := engine.ParseRunID(runID.String())
	if err != nil || back != runID || len(runID.String()) != 26 {
		t.Errorf("%s comes back as %s, %v", runID, back, err)
	}
	if got := runID.Time().UnixMilli(); got != 1_790_000_000_123 {
		t.Errorf("time %d", got)
	}
	later := engine.NewRunID(time.UnixMilli(1_790_000_000_124), &engine.Head{})
	if later.String() <= runID.String() {
		t.Error("ids do not sort by time")
	}
	for _, bad := range []string{"", "x", runID.String() + "0", "ZZZZZZZZZZZZZZZZZZZZZZZZZZ", "../../../../../../etc/pass"} {
		if _, err := engine.ParseRunID(bad); err == nil {
			t.Errorf("%q is taken for a run id", bad)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range sampleRecords() {
		f.Add(r.Encode(nil, runID))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := engine.DecodeRecord(runID, 1, src)
		if err != nil {
			return
		}
		if _, err := engine.DecodeRecord(runID, 1, r.Encode(nil, runID)); err != nil {
			t.Errorf("what was read cannot be written and read again: %v", err)
		}
	})
}

func FuzzDecodeEvent(f *testing.F) {
	ev := engine.Event{Trigger: "order", Kind: "webhook", At: time.UnixMilli(1), Fields: map[string]any{"headers": map[string]any{"a": "b"}}, Raw: []byte(`{"a":1}`)}
	data, err := ev.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, src []byte) {
		ev, err := engine.DecodeEvent(src)
		if err != nil {
			return
		}
		if _, err := ev.Root(true); err != nil {
			return
		}
		if _, err := ev.Encode(); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}

package bolt_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine"
	"github.com/bellhop-dev/bellhop/engine/bolt"
)

var sampleID = engine.RunID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func TestStoredFormsRoundTrip(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 5, time.UTC)
	row := engine.Row{
		ID: sampleID, Parent: engine.RunID{9}, Workflow: "a/b", Version: "v", Trigger: "hook", Status: engine.StatusFailed,
		Reason: "timeout", Summary: "It took too long.", Accepted: at, Finished: at.Add(time.Second),
	}
	got, n, err := bolt.DecodeRow(sampleID, bolt.EncodeRow(&row, 7))
	if err != nil || n != 7 {
		t.Fatalf("row: %d records and %v", n, err)
	}
	if diff := cmp.Diff(row, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	d := engine.Delivery{
		ID: sampleID, Workflow: "a/b", Trigger: "hook", Outcome: engine.DeliveryRefused, Status: 401, Reason: "bad signature",
		Run: engine.RunID{7}, At: at, Method: "POST", Path: "/hooks/a/b", Remote: "192.0.2.1", Size: 3, Data: []byte("abc"),
	}
	gotD, err := bolt.DecodeDelivery(sampleID, bolt.EncodeDelivery(&d))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, gotD); diff != "" {
		t.Errorf("delivery (-want +got):\n%s", diff)
	}
	if _, err := bolt.DecodeDelivery(engine.RunID{1}, bolt.EncodeDelivery(&d)); err == nil {
		t.Error("a delivery that is stored under another id: got no error")
	}
}

// FuzzStoredForms feeds damaged values to every decoder of the store: an error or a value, and never a panic.
func FuzzStoredForms(f *testing.F) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	f.Add(bolt.EncodeRow(&engine.Row{ID: sampleID, Workflow: "w", Accepted: at}, 3))
	f.Add(bolt.EncodeDelivery(&engine.Delivery{ID: sampleID, Workflow: "w", Data: []byte("x")}))
	rec := engine.Record{Seq: 1, Kind: engine.KindFinished}
	f.Add(rec.Encode([]byte{0}, sampleID))
	f.Add([]byte{1, 200, 200, 200, 200, 4})
	f.Add(append(sampleID[:], 1, 0, 3, 'a', 'b', 'c'))
	f.Add(append(sampleID[:], 0xff, 0xff, 0xff, 0xff, 0x0f))
	f.Fuzz(func(t *testing.T, src []byte) {
		_, _, _ = bolt.DecodeRow(sampleID, bolt.Sealed(sampleID[:], src))
		_, _ = bolt.DecodeDelivery(sampleID, bolt.Sealed(sampleID[:], src))
		_, _, _ = bolt.DecodeRow(sampleID, src)
		_, _ = bolt.EachRecord(append(sampleID[:], 0, 0, 0, 1), src, func(uint32, []byte) {})
		_ = bolt.EachJournal(src, func(engine.RunID) {})
	})
}

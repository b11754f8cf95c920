package enginetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine"
)

func i1Survives(h *harness) {
	want := map[engine.RunID][]byte{}
	for range 20 {
		n := h.newRun()
		n.Data = bytes.Repeat(n.Data, 200)
		want[h.acceptAll(n)[0].ID] = n.Data
	}
	h.restart()
	for range len(want) {
		c := h.claim()
		if len(c.Journal) != 1 || c.Journal[0].Kind != engine.KindAccepted || c.Journal[0].Head == nil {
			h.Fatalf("claim of run %s: journal %s", c.Run, kinds(c.Journal))
		}
		if !bytes.Equal(c.Journal[0].Data, want[c.Run]) {
			h.Fatalf("run %s: got data %.40q, want %.40q", c.Run, c.Journal[0].Data, want[c.Run])
		}
		delete(want, c.Run)
		h.finish(c, engine.StatusSucceeded)
	}
	if len(want) > 0 {
		h.Fatalf("%d runs were not claimed", len(want))
	}
	h.nothingReady()
}

func i1Puts(h *harness) {
	rev, err := h.KV().Put(h.ctx, "cursor", []byte("1"), 0, 0)
	if err != nil {
		h.Fatal(err)
	}
	n := h.newRun()
	_, err = h.Accept(h.ctx, engine.Batch{Runs: []engine.NewRun{n}, Puts: []engine.Put{
		{Key: "seen", Value: []byte("a"), AnyRev: true},
		{Key: "cursor", Value: []byte("2"), Rev: rev + 1000},
	}})
	h.wantErr(err, engine.ErrConflict)
	if _, err := h.Read(h.ctx, n.ID, 0); !errors.Is(err, engine.ErrNotFound) {
		h.Fatalf("a run of a refused batch: got error %v, want ErrNotFound", err)
	}
	_, _, err = h.KV().Get(h.ctx, "seen")
	h.wantErr(err, engine.ErrNotFound)
	h.nothingReady()
	if _, err = h.Accept(h.ctx, engine.Batch{Runs: []engine.NewRun{n}, Puts: []engine.Put{
		{Key: "seen", Value: []byte("a"), AnyRev: true},
		{Key: "cursor", Value: []byte("2"), Rev: rev},
	}}); err != nil {
		h.Fatal(err)
	}
	h.restart()
	if v, _, err := h.KV().Get(h.ctx, "cursor"); err != nil || string(v) != "2" {
		h.Fatalf("cursor: got %q and %v, want 2", v, err)
	}
	h.claimRun(n.ID)
}

func i2Duplicate(h *harness) {
	first := h.accept(key("k", time.Hour))
	other := h.accept(key("other", time.Hour))
	again := func(when string) {
		h.Helper()
		a := h.acceptAll(h.newRun(key("k", time.Hour)))[0]
		if a.ID != first || !a.Duplicate {
			h.Fatalf("%s: got run %s, duplicate %v; want %s and true", when, a.ID, a.Duplicate, first)
		}
	}
	again("while it waits")
	two := h.acceptAll(h.newRun(key("twice", time.Hour)), h.newRun(key("twice", time.Hour)), h.newRun(key("k", time.Hour)))
	if two[0].Duplicate || !two[1].Duplicate || two[1].ID != two[0].ID || two[2].ID != first {
		h.Fatalf("in one batch: got %+v", two)
	}
	if a := h.acceptAll(h.newRun(key("k", time.Hour), workflow("another")))[0]; a.Duplicate {
		h.Fatal("the key of another workflow is a duplicate")
	}
	c := h.claimRun(first)
	again("while it is claimed")
	h.finish(c, engine.StatusSucceeded)
	again("after its end")
	h.restart()
	again("after a restart")
	h.wantKinds(first, "accepted finished")
	h.wantKinds(other, "accepted")
}

func i2Concurrent(h *harness) {
	var mu sync.Mutex
	ids, fresh := map[engine.RunID]bool{}, 0
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			acc, err := h.Accept(h.ctx, engine.Batch{Runs: []engine.NewRun{h.newRun(key("same", time.Hour))}})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				h.Error(err)
				return
			}
			ids[acc[0].ID] = true
			if !acc[0].Duplicate {
				fresh++
			}
		})
	}
	wg.Wait()
	if len(ids) != 1 || fresh != 1 {
		h.Fatalf("got %d ids and %d new runs, want one of each", len(ids), fresh)
	}
	h.restart()
	h.claim()
	h.nothingReady()
}

func i2WhileItLives(h *harness) {
	first := h.accept(key("k", 0))
	h.restart()
	if a := h.acceptAll(h.newRun(key("k", 0)))[0]; !a.Duplicate || a.ID != first {
		h.Fatalf("while it lives: got %+v", a)
	}
	h.finish(h.claimRun(first), engine.StatusSucceeded)
	second := h.acceptAll(h.newRun(key("k", 0)))[0]
	if second.Duplicate || second.ID == first {
		h.Fatalf("after its end: got %+v, want a new run", second)
	}
	h.claimRun(second.ID)
}

func i2WindowEnds(h *harness) {
	old := func(n *engine.NewRun) { n.At = n.At.Add(-2 * time.Hour) }
	first := h.accept(key("k", time.Hour), old)
	if a := h.acceptAll(h.newRun(key("k", time.Hour)))[0]; !a.Duplicate {
		h.Fatal("the window is past, but the run lives: got a new run")
	}
	h.finish(h.claimRun(first), engine.StatusSucceeded)
	if a := h.acceptAll(h.newRun(key("k", time.Hour)))[0]; a.Duplicate {
		h.Fatal("after the window and the end of the run: got a duplicate")
	}
}

func i3Retry(h *harness) {
	n := h.newRun(key("k", time.Hour))
	h.acceptAll(n)
	plain := h.newRun()
	h.acceptAll(plain)
	for _, same := range []engine.NewRun{n, plain} {
		acc, err := h.Accept(h.ctx, engine.Batch{Runs: []engine.NewRun{same}})
		if err != nil || acc[0].ID != same.ID || !acc[0].Duplicate {
			h.Fatalf("the same call again: got %+v and %v, want a duplicate of %s", acc, err, same.ID)
		}
	}
	h.claim()
	h.claim()
	h.nothingReady()
}

func i3Canceled(h *harness) {
	for i := range 20 {
		ctx, cancel := context.WithCancel(h.ctx)
		n := h.newRun(key(fmt.Sprint(i), time.Hour))
		go cancel()
		_, err := h.Accept(ctx, engine.Batch{Runs: []engine.NewRun{n}})
		cancel()
		if err != nil && !errors.Is(err, engine.ErrUnavailable) {
			h.Fatalf("accept with a canceled context: got %v", err)
		}
		if again := h.acceptAll(h.newRun(key(fmt.Sprint(i), time.Hour)))[0]; again.ID != n.ID && again.Duplicate {
			h.Fatalf("a retry found run %s, which nobody accepted", again.ID)
		} else if err == nil && again.ID != n.ID {
			h.Fatal("the retry started a second run")
		}
	}
	h.restart()
	for range 20 {
		h.finish(h.claim(), engine.StatusSucceeded)
	}
	h.nothingReady()
}

func i5OneClaim(h *harness) {
	const runs = 200
	for range runs {
		h.accept()
	}
	var mu sync.Mutex
	seen := map[engine.RunID]int{}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	for range 8 {
		wg.Go(func() {
			for {
				claims, err := h.Claim(ctx, 7)
				if err != nil {
					return
				}
				mu.Lock()
				for _, c := range claims {
					seen[c.Run]++
				}
				if len(seen) == runs {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id, n := range seen {
		if n != 1 {
			h.Errorf("run %s was claimed %d times", id, n)
		}
	}
	if len(seen) != runs {
		h.Errorf("%d of %d runs were claimed", len(seen), runs)
	}
}

func i5OldClaim(h *harness) {
	id := h.accept()
	old := h.claimRun(id)
	h.restart()
	fresh := h.claimRun(id)
	err := h.Append(h.ctx, old, []engine.Record{started("a", 1)}, engine.Then{})
	h.wantErr(err, engine.ErrLost)
	h.append(fresh, engine.Then{}, started("a", 1))
	h.wantKinds(id, "accepted step_started")
}

func i6Takeover(h *harness) {
	queued := h.accept()
	c := h.claimRun(queued)
	h.append(c, engine.Then{Kind: engine.Release})
	executing := h.accept(workflow("w2"))
	asleep := h.accept(workflow("w3"))
	for range 3 {
		switch c := h.claim(); c.Run {
		case asleep:
			wake := time.Now().Add(time.Hour)
			h.append(c, engine.Then{Kind: engine.Park, Wake: wake}, parkedUntil(wake))
		case executing:
			h.append(c, engine.Then{}, started("a", 1))
		default:
			h.append(c, engine.Then{Kind: engine.Release})
			continue
		}
	}
	h.restart()
	want := 0
	if h.crash {
		want = 1
	}
	for range 2 {
		c := h.claim()
		if c.Run == asleep {
			h.Fatal("the parked run was claimed")
		}
		if c.Takeovers != want {
			h.Errorf("run %s: got %d takeovers, want %d", c.Run, c.Takeovers, want)
		}
		h.append(c, engine.Then{Kind: engine.Release})
	}
	for range 2 {
		if c := h.claim(); c.Takeovers != 0 {
			h.Errorf("run %s: the takeover counts again at the second claim", c.Run)
		}
	}
	if err := h.Signal(h.ctx, asleep, engine.Signal{ID: "s", Kind: "resume"}); err != nil {
		h.Fatal(err)
	}
	if c := h.claimRun(asleep); c.Takeovers != 0 {
		h.Errorf("a run that was parked in the crash: got %d takeovers, want 0", c.Takeovers)
	}
}

func i7Journal(h *harness) {
	n := h.newRun()
	n.Carry = []engine.Record{{At: time.Now(), Kind: engine.KindStepCompleted, Step: "old", Status: engine.StatusSucceeded, Data: []byte(`1`)}}
	id := h.acceptAll(n)[0].ID
	if err := h.Signal(h.ctx, id, engine.Signal{ID: "early", Kind: "cancel"}); err != nil {
		h.Fatal(err)
	}
	c := h.claimRun(id)
	if got := kinds(c.Journal); got != "accepted step_completed signal" || c.Seq != 3 {
		h.Fatalf("claim: got %s and seq %d", got, c.Seq)
	}
	h.append(c, engine.Then{}, started("a", 1))
	h.append(c, engine.Then{Kind: engine.Release}, completed("a", 1), started("b", 1))
	h.restart()
	c = h.claimRun(id)
	if got := kinds(c.Journal); got != "accepted step_completed signal step_started step_completed step_started" || c.Seq != 6 {
		h.Fatalf("claim: got %s and seq %d", got, c.Seq)
	}
	if diff := cmp.Diff(&n.Head, c.Journal[0].Head); diff != "" {
		h.Fatalf("head (-want +got):\n%s", diff)
	}
}

func i8Park(h *harness) {
	id := h.accept()
	c := h.claimRun(id)
	wake := time.Now().Add(300 * time.Millisecond)
	h.append(c, engine.Then{Kind: engine.Park, Wake: wake}, parkedUntil(wake))
	h.nothingReady()
	c = h.claimRun(id)
	late := time.Since(wake)
	if late < 0 || late > time.Second {
		h.Fatalf("the run woke %s after its time", late)
	}
	wake = time.Now().Add(700 * time.Millisecond)
	h.append(c, engine.Then{Kind: engine.Park, Wake: wake}, parkedUntil(wake))
	h.restart()
	h.claimRun(id)
	if late := time.Since(wake); late < 0 || late > time.Second {
		h.Fatalf("after a restart the run woke %s after its time", late)
	}
}

func i8NotBefore(h *harness) {
	wake := time.Now().Add(600 * time.Millisecond)
	id := h.accept(func(n *engine.NewRun) { n.NotBefore = wake })
	h.nothingReady()
	h.restart()
	h.claimRun(id)
	if late := time.Since(wake); late < 0 || late > time.Second {
		h.Fatalf("the run woke %s after its time", late)
	}
}

func i8DueWhileDown(h *harness) {
	id := h.accept()
	c := h.claimRun(id)
	wake := time.Now().Add(50 * time.Millisecond)
	h.append(c, engine.Then{Kind: engine.Park, Wake: wake}, parkedUntil(wake))
	h.stop()
	<-time.After(time.Until(wake))
	h.Store = h.open(h.T, h.dir)
	h.claimRun(id)
	h.nothingReady()
}

func i9Lane(h *harness) {
	var want []engine.RunID
	for range 5 {
		want = append(want, h.accept(lane("order-1")))
	}
	free := h.accept()
	other := h.accept(lane("order-2"))
	got := map[engine.RunID]*engine.Claim{}
	for range 3 {
		c := h.claim()
		got[c.Run] = c
	}
	if got[want[0]] == nil || got[free] == nil || got[other] == nil {
		h.Fatal("want the first of each lane and the run without one")
	}
	h.nothingReady()
	// A parked run keeps its lane.
	h.append(got[want[0]], engine.Then{Kind: engine.Park}, parkedUntil(time.Time{}))
	h.finish(got[free], engine.StatusSucceeded)
	h.finish(got[other], engine.StatusSucceeded)
	h.nothingReady()
	h.restart()
	h.nothingReady()
	if err := h.Signal(h.ctx, want[0], engine.Signal{ID: "go", Kind: "resume"}); err != nil {
		h.Fatal(err)
	}
	for _, id := range want {
		h.finish(h.claimRun(id), engine.StatusSucceeded)
	}
	h.nothingReady()
}

func i9Canceled(h *harness) {
	cancel := func(id engine.RunID) {
		h.Helper()
		if err := h.Signal(h.ctx, id, engine.Signal{ID: engine.SignalCancel, Kind: engine.SignalCancel}); err != nil {
			h.Fatal(err)
		}
	}
	h.Limit("w", 1)
	first, second, third, last := h.accept(lane("order-1")), h.accept(lane("order-1")), h.accept(lane("order-1")), h.accept(lane("order-1"))
	held := h.claimRun(first)
	h.nothingReady()
	cancel(second)
	h.finish(h.claimRun(second), engine.StatusCanceled)
	h.nothingReady()
	cancel(third)
	h.append(h.claimRun(third), engine.Then{Kind: engine.Release}) // given back, it is free still
	h.append(held, engine.Then{Kind: engine.Park}, parkedUntil(time.Time{}))
	h.restart()
	h.finish(h.claimRun(third), engine.StatusCanceled)
	h.nothingReady()
	cancel(first)
	h.finish(h.claimRun(first), engine.StatusCanceled)
	h.finish(h.claimRun(last), engine.StatusSucceeded)

	// A run that stands in the queue of a workflow without room is claimed once.
	h.Limit("w", 1)
	held, second = h.claimRun(h.accept()), h.accept()
	cancel(second)
	h.finish(h.claimRun(second), engine.StatusCanceled)
	h.finish(held, engine.StatusSucceeded)
	h.nothingReady()
}

func i10Atomic(h *harness) {
	id := h.accept()
	c := h.claimRun(id)
	h.append(c, engine.Then{Kind: engine.Finish, Row: engine.Row{Status: engine.StatusSucceeded}},
		started("a", 1), completed("a", 1), finished(engine.StatusSucceeded))
	h.restart()
	h.wantKinds(id, "accepted step_started step_completed finished")
	h.nothingReady()
	page, err := h.List(h.ctx, engine.Query{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Status != engine.StatusSucceeded {
		h.Fatalf("list: got %+v and %v", page.Items, err)
	}
}

func i11CAS(h *harness) {
	id := h.accept()
	c := h.claimRun(id)
	h.append(c, engine.Then{}, started("a", 1))
	if c.Seq != 2 {
		h.Fatalf("seq: got %d, want 2", c.Seq)
	}
	if err := h.Signal(h.ctx, id, engine.Signal{ID: "s", Kind: "cancel"}); err != nil {
		h.Fatal(err)
	}
	err := h.Append(h.ctx, c, []engine.Record{completed("a", 1)}, engine.Then{})
	h.wantErr(err, engine.ErrConflict)
	recs, err := h.Read(h.ctx, id, c.Seq)
	if err != nil || kinds(recs) != "signal" {
		h.Fatalf("read from %d: got %s and %v, want the signal", c.Seq, kinds(recs), err)
	}
	c.Seq += uint32(len(recs))
	h.append(c, engine.Then{}, completed("a", 1))
	h.wantKinds(id, "accepted step_started signal step_completed")
}

func i12Repeat(h *harness) {
	id := h.accept()
	c := h.claimRun(id)
	stale := *c
	recs := []engine.Record{started("a", 1)}
	h.append(c, engine.Then{}, recs...)
	if err := h.Append(h.ctx, &stale, recs, engine.Then{}); err != nil {
		h.Fatalf("the same records again: %v", err)
	}
	if stale.Seq != c.Seq {
		h.Fatalf("seq: got %d, want %d", stale.Seq, c.Seq)
	}
	end := []engine.Record{completed("a", 1), finished(engine.StatusSucceeded)}
	then := engine.Then{Kind: engine.Finish, Row: engine.Row{Status: engine.StatusSucceeded}}
	h.append(c, then, end...)
	if err := h.Append(h.ctx, &stale, end, then); err != nil {
		h.Fatalf("the same end again: %v", err)
	}
	late := *c
	h.wantErr(h.Append(h.ctx, &late, []engine.Record{finished(engine.StatusFailed)}, then), engine.ErrLost)
	h.wantKinds(id, "accepted step_started step_completed finished")
}

func i13ClaimEnds(h *harness) {
	wake := time.Now().Add(time.Hour)
	for _, end := range []struct {
		name string
		then engine.Then
		recs []engine.Record
	}{
		{"park", engine.Then{Kind: engine.Park, Wake: wake}, []engine.Record{parkedUntil(wake)}},
		{"release", engine.Then{Kind: engine.Release}, nil},
		{"finish", engine.Then{Kind: engine.Finish, Row: engine.Row{Status: engine.StatusFailed}}, []engine.Record{finished(engine.StatusFailed)}},
	} {
		h.accept(workflow(end.name))
		c := h.claim()
		h.append(c, end.then, end.recs...)
		if err := h.Append(h.ctx, c, []engine.Record{started("x", 1)}, engine.Then{}); !errors.Is(err, engine.ErrLost) {
			h.Errorf("append after %s: got %v, want ErrLost", end.name, err)
		}
		if end.name == "release" {
			h.finish(h.claimRun(c.Run), engine.StatusSucceeded)
		}
	}
}

func i14Finish(h *harness) {
	id := h.accept(key("k", time.Hour))
	c := h.claimRun(id)
	h.append(c, engine.Then{Kind: engine.Finish, Row: engine.Row{Status: engine.StatusFiltered, Reason: "declined", Summary: "no"}}, finished(engine.StatusFiltered))
	check := func(when string) {
		h.Helper()
		h.wantKinds(id, "accepted finished")
		page, err := h.List(h.ctx, engine.Query{})
		if err != nil || len(page.Items) != 1 {
			h.Fatalf("%s: list: got %d rows and %v", when, len(page.Items), err)
		}
		row := page.Items[0]
		if row.ID != id || row.Status != engine.StatusFiltered || row.Reason != "declined" || row.Summary != "no" ||
			row.Workflow != "w" || row.Version != "v1" || row.Trigger != "hook" || row.Accepted.IsZero() || row.Finished.IsZero() {
			h.Fatalf("%s: got row %+v", when, row)
		}
		h.wantErr(h.Signal(h.ctx, id, engine.Signal{ID: "s", Kind: "cancel"}), engine.ErrNotFound)
		if a := h.acceptAll(h.newRun(key("k", time.Hour)))[0]; !a.Duplicate || a.ID != id {
			h.Fatalf("%s: the key is not held: %+v", when, a)
		}
		h.nothingReady()
	}
	check("at once")
	h.restart()
	check("after a restart")
	h.archived()
	check("after it was archived")
	h.restart()
	check("after another restart")
}

// archived waits until the store has moved all finished runs to its history.
func (h *harness) archived() {
	h.Helper()
	for deadline := time.Now().Add(wait); ; {
		st, err := h.Stats(h.ctx)
		if err != nil {
			h.Fatal(err)
		}
		if st.Backlog == 0 {
			return
		}
		if time.Now().After(deadline) {
			h.Fatalf("%d finished runs are not archived", st.Backlog)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func i15Extend(h *harness) {
	c := h.claimRun(h.accept())
	if err := h.Extend(h.ctx, c); err != nil {
		h.Fatalf("extend: %v", err)
	}
	h.append(c, engine.Then{Kind: engine.Release})
	h.wantErr(h.Extend(h.ctx, c), engine.ErrLost)
}

// i10Large takes records of a size that a store may keep elsewhere through all that can happen to a run.
func i10Large(h *harness) {
	noise := rand.NewChaCha8([32]byte{1})
	large := func(size int) []byte {
		b := make([]byte, size)
		_, _ = noise.Read(b)
		return b
	}
	n := h.newRun()
	n.Data = large(700 << 10)
	h.acceptAll(n)
	again := n
	again.Data = bytes.Clone(n.Data)
	if acc, err := h.Accept(h.ctx, engine.Batch{Runs: []engine.NewRun{again}}); err != nil || !acc[0].Duplicate {
		h.Fatalf("the same run again: %v, %v", acc, err)
	}
	c := h.claimRun(n.ID)
	output := completed("a", 1)
	output.Data = large(2 << 20)
	h.append(c, engine.Then{}, started("a", 1), output)
	lost := *c
	lost.Seq--
	h.wantErr(h.Append(h.ctx, &lost, []engine.Record{{At: time.Now(), Kind: engine.KindStepCompleted, Step: "b", Data: large(1 << 20)}}, engine.Then{}), engine.ErrConflict)
	word := large(400 << 10)
	if err := h.Signal(h.ctx, n.ID, engine.Signal{ID: "s", Kind: "callback", Data: word}); err != nil {
		h.Fatal(err)
	}
	h.restart()
	verify := func(when string) {
		h.Helper()
		recs := h.read(n.ID)
		if got := kinds(recs[:4]); got != "accepted step_started step_completed signal" {
			h.Fatalf("%s: the journal is %s", when, got)
		}
		var sig engine.Signal
		if err := json.Unmarshal(recs[3].Data, &sig); err != nil || !bytes.Equal(sig.Data, word) {
			h.Fatalf("%s: the signal is another (%v)", when, err)
		}
		if !bytes.Equal(recs[0].Data, n.Data) || !bytes.Equal(recs[2].Data, output.Data) {
			h.Fatalf("%s: what was stored is not what is read", when)
		}
	}
	verify("after a restart")
	c = h.claimRun(n.ID)
	if len(c.Journal) != 4 || !bytes.Equal(c.Journal[2].Data, output.Data) {
		h.Fatalf("a claim has %d records, or another output", len(c.Journal))
	}
	h.append(c, engine.Then{Kind: engine.Finish, Row: engine.Row{Status: engine.StatusSucceeded}}, finished(engine.StatusSucceeded))
	verify("when it has ended")
	h.restart()
	verify("after another restart")
	for deadline := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		if st, err := h.Stats(h.ctx); err != nil || st.Backlog == 0 {
			break
		}
		if time.Now().After(deadline) {
			h.Fatal("it does not get into the history")
		}
	}
	verify("in the history")
}

func i16Signal(h *harness) {
	id := h.accept()
	for range 3 {
		if err := h.Signal(h.ctx, id, engine.Signal{ID: "same", Kind: "cancel", By: "ann"}); err != nil {
			h.Fatal(err)
		}
	}
	h.restart()
	if err := h.Signal(h.ctx, id, engine.Signal{ID: "same", Kind: "cancel"}); err != nil {
		h.Fatal(err)
	}
	if err := h.Signal(h.ctx, id, engine.Signal{ID: "other", Kind: "resume", Data: []byte("x")}); err != nil {
		h.Fatal(err)
	}
	h.wantKinds(id, "accepted signal signal")
	if r := h.read(id)[1]; r.Key != "same" || r.Reason != "cancel" {
		h.Fatalf("signal record: got key %q, reason %q", r.Key, r.Reason)
	}
	h.wantErr(h.Signal(h.ctx, engine.NewRunID(time.Now(), &engine.Head{}), engine.Signal{ID: "s"}), engine.ErrNotFound)
	c := h.claim()
	h.append(c, engine.Then{}, engine.Record{At: time.Now(), Kind: engine.KindSignal, Key: "own", Reason: "child"})
	if err := h.Signal(h.ctx, id, engine.Signal{ID: "own", Kind: "child"}); err != nil {
		h.Fatal(err)
	}
	h.wantKinds(id, "accepted signal signal signal")
}

func i16AgainstPark(h *harness) {
	for i := range 50 {
		id := h.accept()
		c := h.claimRun(id)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := h.Signal(h.ctx, id, engine.Signal{ID: "s", Kind: "resume"}); err != nil {
				h.Error(err)
			}
		})
		err := h.Append(h.ctx, c, []engine.Record{parkedUntil(time.Time{})}, engine.Then{Kind: engine.Park})
		wg.Wait()
		switch {
		case errors.Is(err, engine.ErrConflict): // the Park saw it
			c.Seq++
		case err != nil:
			h.Fatal(err)
		default: // it woke the run
			if i == 25 {
				h.restart()
			}
			c = h.claimRun(id)
		}
		h.finish(c, engine.StatusSucceeded)
	}
}

// otherRun signals another run in the write of an Append, which then has the signal and is woken by it.
func otherRun(h *harness) {
	parent := h.accept()
	child := h.accept(workflow("w2"))
	for range 2 {
		c := h.claim()
		if c.Run == parent {
			h.append(c, engine.Then{Kind: engine.Park}, parkedUntil(time.Time{}))
			continue
		}
		signals := []engine.Outgoing{
			{Run: parent, Signal: engine.Signal{ID: "child", Kind: "child", Step: "c"}},
			{Run: parent, Signal: engine.Signal{ID: "child", Kind: "child", Step: "c"}}, // the same
			{Run: engine.NewRunID(time.Now(), &engine.Head{}), Signal: engine.Signal{ID: "x"}},
		}
		h.append(c, engine.Then{Kind: engine.Finish, Row: engine.Row{Status: engine.StatusSucceeded}, Signals: signals}, finished(engine.StatusSucceeded))
	}
	h.wantKinds(child, "accepted finished")
	h.wantKinds(parent, "accepted parked signal")
	h.restart()
	h.wantKinds(parent, "accepted parked signal")
	h.finish(h.claimRun(parent), engine.StatusSucceeded)
}

// limited hands out no more runs of a workflow than its limit; a parked one does not count.
func limited(h *harness) {
	h.Limit("w", 1)
	first, second := h.accept(), h.accept()
	free := h.accept(workflow("w2"))
	got := map[engine.RunID]*engine.Claim{}
	for range 2 {
		c := h.claim()
		got[c.Run] = c
	}
	if got[first] == nil || got[free] == nil {
		h.Fatal("want the first run of each workflow")
	}
	h.nothingReady()
	wake := time.Now().Add(time.Hour)
	h.append(got[first], engine.Then{Kind: engine.Park, Wake: wake}, parkedUntil(wake))
	c := h.claimRun(second)
	if err := h.Signal(h.ctx, first, engine.Signal{ID: "go", Kind: "resume"}); err != nil {
		h.Fatal(err)
	}
	h.nothingReady()
	h.finish(c, engine.StatusSucceeded)
	h.claimRun(first)
}

// full decides at Accept what a workflow with as many runs as it may have does with one more.
func full(h *harness) {
	with := func(what string) func(*engine.NewRun) {
		return func(n *engine.NewRun) { n.Limit, n.Full = 1, what }
	}
	first := h.accept(with("drop"))
	if a := h.acceptAll(h.newRun(with("drop")))[0]; !a.Dropped || !a.ID.IsZero() {
		h.Fatalf("over the limit: got %+v, want it dropped", a)
	}
	failed := h.accept(with("fail"))
	h.wantKinds(failed, "accepted signal")
	h.finish(h.claimRun(first), engine.StatusSucceeded)
	h.finish(h.claimRun(failed), engine.StatusFailed)
	h.wantKinds(h.accept(with("drop")), "accepted")
}

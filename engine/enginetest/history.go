package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bellhop-dev/bellhop/engine"
)

func i17Read(h *harness) {
	id := h.accept()
	c := h.claimRun(id)
	for i := range 5 {
		h.append(c, engine.Then{}, started(fmt.Sprint("s", i), 1), completed(fmt.Sprint("s", i), 1))
		recs, err := h.Read(h.ctx, id, c.Seq-1)
		if err != nil || len(recs) != 1 || recs[0].Kind != engine.KindStepCompleted {
			h.Fatalf("read what was just written: got %s and %v", kinds(recs), err)
		}
	}
	if recs, err := h.Read(h.ctx, id, c.Seq); err != nil || len(recs) != 0 {
		h.Fatalf("read past the end: got %s and %v, want nothing", kinds(recs), err)
	}
	_, err := h.Read(h.ctx, engine.NewRunID(time.Now(), &engine.Head{}), 0)
	h.wantErr(err, engine.ErrNotFound)
	before := h.read(id)
	h.finish(c, engine.StatusSucceeded)
	h.archived()
	h.restart()
	if diff := cmp.Diff(before, h.read(id)[:len(before)]); diff != "" {
		h.Fatalf("the journal changed when it was archived (-before +after):\n%s", diff)
	}
	recs, err := h.Read(h.ctx, id, uint32(len(before)))
	if err != nil || kinds(recs) != "finished" {
		h.Fatalf("read an archived run from its end: got %s and %v", kinds(recs), err)
	}
}

func i18List(h *harness) {
	const runs = 120
	for i := range runs {
		h.accept(workflow(fmt.Sprint("w", i%3)))
		if i%2 == 0 {
			h.finish(h.claim(), engine.StatusSucceeded)
		}
	}
	walk := func(when string, q engine.Query, want int) {
		h.Helper()
		var last string
		seen := map[engine.RunID]bool{}
		for {
			page, err := h.List(h.ctx, q)
			if err != nil {
				h.Fatal(err)
			}
			for _, row := range page.Items {
				if seen[row.ID] {
					h.Fatalf("%s: run %s is listed twice", when, row.ID)
				}
				if id := row.ID.String(); last != "" && id >= last {
					h.Fatalf("%s: run %s follows %s: not newest first", when, id, last)
				}
				seen[row.ID], last = true, row.ID.String()
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
			if len(page.Items) != q.Limit {
				h.Fatalf("%s: a page of %d with a next one, want %d", when, len(page.Items), q.Limit)
			}
		}
		if len(seen) != want {
			h.Fatalf("%s: %d runs are listed, want %d", when, len(seen), want)
		}
	}
	// Walk while the store moves runs to its history, and after.
	for range 5 {
		walk("meanwhile", engine.Query{Limit: 7}, runs)
	}
	h.restart()
	walk("after a restart", engine.Query{Limit: 7}, runs)
	h.archived()
	walk("archived", engine.Query{Limit: 7}, runs)
	walk("archived, one workflow", engine.Query{Limit: 20, Workflow: "w1"}, runs/3)
	page, err := h.List(h.ctx, engine.Query{})
	if err != nil || len(page.Items) != 50 {
		h.Fatalf("the default page: got %d rows and %v, want 50", len(page.Items), err)
	}
}

func i18Filters(h *harness) {
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	at := func(i int) func(*engine.NewRun) {
		return func(n *engine.NewRun) { n.At = base.Add(time.Duration(i) * time.Minute) }
	}
	statuses := []engine.Status{engine.StatusSucceeded, engine.StatusFailed, engine.StatusFiltered}
	for i := range 30 {
		h.accept(at(i))
		h.finish(h.claim(), statuses[i%3])
	}
	waiting := h.accept(at(40))
	c := h.claimRun(waiting)
	h.append(c, engine.Then{Kind: engine.Park}, started("a", 1), parkedUntil(time.Time{}))
	running := h.accept(at(41))
	h.append(h.claimRun(running), engine.Then{}, started("a", 1))
	queued := h.accept(at(42))
	count := func(name string, q engine.Query, want int, ids ...engine.RunID) {
		h.Helper()
		page, err := h.List(h.ctx, q)
		if err != nil {
			h.Fatal(err)
		}
		if len(page.Items) != want {
			h.Errorf("%s: got %d rows, want %d", name, len(page.Items), want)
		}
		for i, id := range ids {
			if page.Items[i].ID != id {
				h.Errorf("%s: row %d: got %s, want %s", name, i, page.Items[i].ID, id)
			}
		}
	}
	check := func() {
		h.Helper()
		count("failed", engine.Query{Status: []engine.Status{engine.StatusFailed}}, 10)
		count("failed or filtered", engine.Query{Workflow: "w", Status: []engine.Status{engine.StatusFailed, engine.StatusFiltered}}, 20)
		count("since", engine.Query{Since: base.Add(20 * time.Minute)}, 13)
		count("until", engine.Query{Until: base.Add(20 * time.Minute)}, 20)
		count("both", engine.Query{Since: base.Add(5 * time.Minute), Until: base.Add(10 * time.Minute), Workflow: "w"}, 5)
		count("waiting", engine.Query{Status: []engine.Status{engine.StatusWaiting}}, 1, waiting)
		count("no such workflow", engine.Query{Workflow: "nobody"}, 0)
	}
	count("running", engine.Query{Status: []engine.Status{engine.StatusRunning}}, 1, running)
	count("queued", engine.Query{Status: []engine.Status{engine.StatusQueued}}, 1, queued)
	check()
	h.archived()
	check()
	h.restart()
	check()
	if _, err := h.List(h.ctx, engine.Query{Cursor: "nonsense"}); err == nil {
		h.Error("a malformed cursor: got no error")
	}
}

func i18Text(h *harness) {
	want := map[engine.RunID]bool{}
	for i := range 60 {
		n := h.newRun()
		if i%10 == 0 {
			n.Data = []byte(`{"customer":"Ada LOVELACE, Größe 5"}`)
		}
		id := h.acceptAll(n)[0].ID
		if i%10 == 0 {
			want[id] = true
		}
		if i%2 == 0 {
			h.finish(h.claim(), engine.StatusSucceeded)
		}
	}
	search := func(text string) map[engine.RunID]bool {
		h.Helper()
		got := map[engine.RunID]bool{}
		q := engine.Query{Text: text, Limit: 2}
		for {
			page, err := h.List(h.ctx, q)
			if err != nil {
				h.Fatal(err)
			}
			if page.Scanned == 0 && len(page.Items) > 0 {
				h.Fatal("a text search that scanned nothing found something")
			}
			for _, row := range page.Items {
				got[row.ID] = true
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				return got
			}
		}
	}
	for _, archived := range []bool{false, true} {
		if archived {
			h.archived()
			h.restart()
		}
		for _, text := range []string{"lovelace", "ADA Love", "größe 5"} {
			if diff := cmp.Diff(want, search(text)); diff != "" {
				h.Errorf("search for %q, archived %v (-want +got):\n%s", text, archived, diff)
			}
		}
		if got := search("nothing like it"); len(got) > 0 {
			h.Errorf("search for what is not there: got %d runs", len(got))
		}
	}
}

func i19Watch(h *harness) {
	ctx, cancel := context.WithCancel(h.ctx)
	all, err := h.Watch(ctx, engine.Filter{})
	if err != nil {
		h.Fatal(err)
	}
	id := h.accept()
	one, err := h.Watch(ctx, engine.Filter{Run: id})
	if err != nil {
		h.Fatal(err)
	}
	other, err := h.Watch(ctx, engine.Filter{Workflow: "other"})
	if err != nil {
		h.Fatal(err)
	}
	c := h.claimRun(id)
	h.append(c, engine.Then{}, started("a", 1))
	if err := h.Signal(h.ctx, id, engine.Signal{ID: "s", Kind: "resume"}); err != nil {
		h.Fatal(err)
	}
	c.Seq++
	h.append(c, engine.Then{Kind: engine.Finish, Row: engine.Row{Status: engine.StatusSucceeded}}, completed("a", 1), finished(engine.StatusSucceeded))
	read := func(ch <-chan engine.Update, n int) (recs []engine.Record) {
		for range n {
			select {
			case u := <-ch:
				if u.Run != id || u.Workflow != "w" {
					h.Errorf("update of run %s of %q", u.Run, u.Workflow)
				}
				recs = append(recs, u.Record)
			case <-time.After(wait):
				h.Fatal("no update came")
			}
		}
		return recs
	}
	if got, want := kinds(read(all, 5)), "accepted step_started signal step_completed finished"; got != want {
		h.Errorf("watch everything:\n got %s\nwant %s", got, want)
	}
	recs := read(one, 4)
	for i, r := range recs {
		if r.Seq != uint32(i+1) {
			h.Errorf("update %d has seq %d", i, r.Seq)
		}
	}
	cancel()
	for _, ch := range []<-chan engine.Update{all, one, other} {
		select {
		case u, open := <-ch:
			if open {
				h.Errorf("an update too many: %+v", u)
			}
		case <-time.After(wait):
			h.Fatal("the channel is not closed")
		}
	}
}

func i20Prune(h *harness) {
	done := h.accept()
	h.finish(h.claimRun(done), engine.StatusSucceeded)
	live := h.accept()
	h.archived()
	for range 2 {
		if _, err := h.Prune(h.ctx, engine.Retention{Days: 1, MaxBytes: 1}, 10); err != nil {
			h.Fatal(err)
		}
	}
	h.restart()
	h.wantKinds(live, "accepted")
	h.claimRun(live)
}

func i21Winner(h *harness) {
	rev, err := h.KV().Put(h.ctx, "k", []byte("0"), 0, 0)
	if err != nil {
		h.Fatal(err)
	}
	var mu sync.Mutex
	wins := 0
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := h.KV().Put(h.ctx, "k", fmt.Append(nil, i), rev, 0)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				wins++
			case !errors.Is(err, engine.ErrConflict):
				h.Error(err)
			}
		})
	}
	wg.Wait()
	if wins != 1 {
		h.Fatalf("%d writers won, want one", wins)
	}
	h.restart()
	_, now, err := h.KV().Get(h.ctx, "k")
	if err != nil || now == rev {
		h.Fatalf("get: revision %d and %v", now, err)
	}
	_, err = h.KV().Put(h.ctx, "k", nil, 0, 0)
	h.wantErr(err, engine.ErrConflict)
	h.wantErr(h.KV().Delete(h.ctx, "k", rev), engine.ErrConflict)
	if err := h.KV().Delete(h.ctx, "k", now); err != nil {
		h.Fatal(err)
	}
	again, err := h.KV().Put(h.ctx, "k", []byte("new"), 0, 0)
	if err != nil {
		h.Fatal(err)
	}
	if again <= now {
		h.Errorf("a key that was deleted got revision %d again, after %d", again, now)
	}
}

func i21KV(h *harness) {
	kv := h.KV()
	for i := range 20 {
		if _, err := kv.Put(h.ctx, fmt.Sprintf("a/%02d", i), []byte(strings.Repeat("x", i)), 0, 0); err != nil {
			h.Fatal(err)
		}
	}
	if _, err := kv.Put(h.ctx, "a/gone", []byte("x"), 0, time.Millisecond); err != nil {
		h.Fatal(err)
	}
	if _, err := kv.Put(h.ctx, "b", []byte("x"), 0, time.Hour); err != nil {
		h.Fatal(err)
	}
	<-time.After(5 * time.Millisecond)
	h.restart()
	kv = h.KV()
	_, _, err := kv.Get(h.ctx, "a/gone")
	h.wantErr(err, engine.ErrNotFound)
	h.wantErr(kv.Delete(h.ctx, "a/gone", 0), engine.ErrNotFound)
	var names []string
	after := ""
	for {
		entries, err := kv.List(h.ctx, "a/", after, 6)
		if err != nil {
			h.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Key)
			if got, _, err := kv.Get(h.ctx, e.Key); err != nil || string(got) != string(e.Value) || e.Rev == 0 {
				h.Errorf("%s: listed %q at revision %d, read %q and %v", e.Key, e.Value, e.Rev, got, err)
			}
		}
		if len(entries) < 6 {
			break
		}
		after = entries[len(entries)-1].Key
	}
	if len(names) != 20 || names[0] != "a/00" || names[19] != "a/19" {
		h.Errorf("list: got %q", names)
	}
	if v, _, err := kv.Get(h.ctx, "b"); err != nil || string(v) != "x" {
		h.Errorf("a value that has not expired: got %q and %v", v, err)
	}
	if _, err := kv.Put(h.ctx, "a/gone", []byte("y"), 0, 0); err != nil {
		h.Errorf("a key that has expired is free: %v", err)
	}
	if _, err := kv.Put(h.ctx, "", nil, 0, 0); err == nil {
		h.Error("an empty key: got no error")
	}
}

func deliveriesList(h *harness) {
	n := h.newRun(key("k", time.Hour))
	n.Delivery = &engine.Delivery{Workflow: "w", Trigger: "hook", Status: 202, At: n.At, Method: "POST", Path: "/hooks/w", Size: 14}
	run := h.acceptAll(n)[0].ID
	n2 := h.newRun(key("k", time.Hour))
	n2.Delivery = &engine.Delivery{Workflow: "w", Trigger: "hook", Status: 202, At: n2.At}
	h.acceptAll(n2)
	ds := h.Deliveries()
	refused := engine.Delivery{Workflow: "w", Outcome: engine.DeliveryRefused, Status: 401, Reason: "bad signature", At: time.Now(), Data: []byte("x")}
	waiting := engine.Delivery{Workflow: "w", Outcome: engine.DeliveryKept, Status: 202, At: time.Now().Add(time.Millisecond), Data: []byte("event")}
	for _, d := range []engine.Delivery{refused, waiting} {
		if err := ds.Record(h.ctx, d); err != nil {
			h.Fatal(err)
		}
	}
	h.restart()
	ds = h.Deliveries()
	items, next, err := ds.List(h.ctx, engine.DeliveryQuery{Workflow: "w"})
	if err != nil || next != "" {
		h.Fatalf("list: next %q and %v", next, err)
	}
	count := map[string]int{}
	for _, d := range items {
		count[d.Outcome]++
		if d.Data != nil {
			h.Errorf("the list of deliveries has data of a %s one", d.Outcome)
		}
		if (d.Outcome == engine.DeliveryAccepted || d.Outcome == engine.DeliveryDuplicate) && d.Run != run {
			h.Errorf("%s: got run %s, want %s", d.Outcome, d.Run, run)
		}
	}
	want := map[string]int{engine.DeliveryAccepted: 1, engine.DeliveryDuplicate: 1, engine.DeliveryRefused: 1, engine.DeliveryKept: 1}
	if diff := cmp.Diff(want, count); diff != "" {
		h.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if items[0].Outcome != engine.DeliveryKept {
		h.Errorf("the newest delivery: got %s, want kept", items[0].Outcome)
	}
	d, err := ds.Read(h.ctx, items[0].ID)
	if err != nil || string(d.Data) != "event" {
		h.Errorf("read the kept one: got data %q and %v", d.Data, err)
	}
	var paged int
	for q := (engine.DeliveryQuery{Limit: 1}); ; q.Cursor = next {
		items, next, err = ds.List(h.ctx, q)
		if err != nil {
			h.Fatal(err)
		}
		if paged += len(items); next == "" {
			break
		}
	}
	if paged != 4 {
		h.Errorf("pages of one: got %d deliveries, want 4", paged)
	}
	if items, _, err = ds.List(h.ctx, engine.DeliveryQuery{Outcome: engine.DeliveryRefused}); err != nil || len(items) != 1 || items[0].Reason != "bad signature" {
		h.Errorf("refused ones: got %+v and %v", items, err)
	}
	// What is sent again and what it is sent as name each other.
	kept, err := ds.Read(h.ctx, d.ID)
	if err != nil {
		h.Fatal(err)
	}
	again := h.newRun()
	again.Delivery = &engine.Delivery{Workflow: "w", Trigger: "hook", Status: 202, At: again.At, ResendOf: kept.ID}
	made := h.acceptAll(again)[0].ID
	h.restart()
	ds = h.Deliveries()
	if kept, err = ds.Read(h.ctx, kept.ID); err != nil || kept.ResentAs != made || string(kept.Data) != "event" || kept.Outcome != engine.DeliveryKept {
		h.Errorf("what was sent again: got %+v and %v", kept, err)
	}
	if d, err := ds.Read(h.ctx, made); err != nil || d.ResendOf != kept.ID || d.Run != made {
		h.Errorf("what it was sent as: got %+v and %v", d, err)
	}
	_, err = ds.Read(h.ctx, engine.NewRunID(time.Now(), &engine.Head{}))
	h.wantErr(err, engine.ErrNotFound)
}

func statsCount(h *harness) {
	for range 4 {
		h.accept()
	}
	h.append(h.claim(), engine.Then{Kind: engine.Park}, parkedUntil(time.Time{}))
	h.claim()
	h.finish(h.claim(), engine.StatusSucceeded)
	st, err := h.Stats(h.ctx)
	if err != nil {
		h.Fatal(err)
	}
	if st.Live != 3 || st.Ready != 1 || st.Claimed != 1 || st.Parked != 1 || st.Oldest.IsZero() || st.Bytes == 0 || st.Commits == 0 || st.Ops < st.Commits {
		h.Errorf("got %+v", st)
	}
	h.restart()
	if st, err = h.Stats(h.ctx); err != nil || st.Live != 3 || st.Ready != 2 || st.Claimed != 0 || st.Parked != 1 {
		h.Errorf("after a restart: got %+v and %v", st, err)
	}
}

func closeEnds(h *harness) {
	result := make(chan error, 1)
	old := h.Store // the other goroutine may begin late
	go func() {
		_, err := old.Claim(h.ctx, 1)
		result <- err
	}()
	h.nothingReady()
	h.restart()
	select {
	case err := <-result:
		h.wantErr(err, engine.ErrClosed)
	case <-time.After(wait):
		h.Fatal("Claim still waits after the end of the store")
	}
	_, err := old.Claim(h.ctx, 1)
	h.wantErr(err, engine.ErrClosed)
	_, err = old.Accept(h.ctx, engine.Batch{Runs: []engine.NewRun{h.newRun()}})
	h.wantErr(err, engine.ErrClosed)
	_, err = old.Read(h.ctx, engine.RunID{1}, 0)
	h.wantErr(err, engine.ErrClosed)
	_, _, err = old.KV().Get(h.ctx, "k")
	h.wantErr(err, engine.ErrClosed)
}

func i20Erase(h *harness) {
	ids := make([]engine.RunID, 40)
	for i := range ids {
		ids[i] = h.accept(workflow(fmt.Sprint("w", i%3)))
		h.finish(h.claim(), engine.StatusSucceeded)
	}
	live := h.accept()
	before := map[engine.RunID][]engine.Record{}
	for _, id := range ids {
		before[id] = h.read(id)
	}
	var erased []engine.RunID
	for i := 0; i < len(ids); i += 3 {
		erased = append(erased, ids[i])
	}
	unknown := engine.NewRunID(time.Now(), &engine.Head{})
	n, err := h.Erase(h.ctx, append([]engine.RunID{live, unknown}, erased...))
	if err != nil || n != len(erased) {
		h.Fatalf("erase: %d of %d runs and %v", n, len(erased), err)
	}
	if n, err := h.Erase(h.ctx, erased); err != nil || n != 0 {
		h.Fatalf("erase them again: %d runs and %v", n, err)
	}
	check := func() {
		h.Helper()
		left := 0
		for _, id := range ids {
			if slices.Contains(erased, id) {
				_, err := h.Read(h.ctx, id, 0)
				h.wantErr(err, engine.ErrNotFound)
				continue
			}
			left++
			if diff := cmp.Diff(before[id], h.read(id)); diff != "" {
				h.Fatalf("a run that was not erased has changed (-before +after):\n%s", diff)
			}
		}
		page, err := h.List(h.ctx, engine.Query{Limit: 200})
		if err != nil || len(page.Items) != left+1 { // and the one that lives
			h.Fatalf("the list has %d runs and %v, want %d", len(page.Items), err, left+1)
		}
	}
	check()
	h.restart()
	check()
	h.finish(h.claimRun(live), engine.StatusSucceeded) // the history goes on where it was
	h.archived()
	h.read(live)
}

package engine

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRivals(t *testing.T) {
	var r rivals
	at := time.Now()
	if r.has("a", at) {
		t.Error("a has a rival before anybody was seen")
	}
	r.seen("a", at)
	r.seen("a", at)
	if r.has("a", at) || !r.has("b", at) {
		t.Error("a is the only one that is active")
	}
	r.seen("b", at)
	r.seen("a", at.Add(activeFor/2))
	if !r.has("a", at.Add(activeFor/2)) || r.has("a", at.Add(activeFor)) {
		t.Error("b is a rival of a as long as its event is not too old, and no longer")
	}
}

// On a slow disk more of a workflow may be under way; one slow write makes no disk slow.
func TestCrowd(t *testing.T) {
	var c crowd
	at, processors := time.Now(), runtime.GOMAXPROCS(0)
	for _, step := range []struct {
		after, took time.Duration
		each        int
	}{
		{0, 400 * time.Microsecond, 2},
		{time.Second, 20 * time.Millisecond, 2},
		{quickPeriod, 20 * time.Millisecond, 2}, // the quick one was in the period before
		{quickPeriod, 5 * time.Millisecond, 10},
		{quickPeriod, 5 * time.Millisecond, 10},
		{time.Second, 3 * time.Millisecond, 6},
		{quickPeriod, time.Minute, 6},
		{quickPeriod, time.Minute, 32},
	} {
		at = at.Add(step.after)
		c.wrote(step.took, at)
		if got := c.most(); got != step.each*processors {
			t.Errorf("a write of %s after %s: %d for %d processors, want %d for each", step.took, step.after, got, processors, step.each)
		}
	}
	if got := new(crowd).most(); got != 2*processors {
		t.Errorf("before the first write: %d", got)
	}
}

// While others are active the accepts of a workflow come in a few at a time, in their order; theirs do not wait for it.
func TestDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rivals
		d := newDoor(&r, func() int { return 2 })
		enter := func(w string) {
			t.Helper()
			if err := d.enter(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			enter("alone") // no bound
		}
		enter("other")
		d.leave("other")
		for range 4 {
			d.leave("alone")
		}
		enter("alone") // the second one inside
		time.Sleep(activeFor / 2)
		var mu sync.Mutex
		var came []int
		for i := range 3 {
			go func() {
				enter("alone")
				mu.Lock()
				came = append(came, i)
				mu.Unlock()
			}()
			synctest.Wait()
		}
		if len(came) != 0 {
			t.Fatalf("%v came in beside two others", came)
		}
		d.leave("alone")
		synctest.Wait()
		if !slices.Equal(came, []int{0}) {
			t.Fatalf("%v came in, want the first", came)
		}
		time.Sleep(activeFor / 2)
		d.leave("alone")
		synctest.Wait()
		if slices.Sort(came); !slices.Equal(came, []int{0, 1, 2}) { // the last two come in together
			t.Errorf("%v came in, want all when the others are quiet", came)
		}
		for range 3 {
			d.leave("alone")
		}
		if len(d.inside)+len(d.waiting) != 0 {
			t.Errorf("the door keeps %v and %v", d.inside, d.waiting)
		}
	})
}

// Who waits too long is asked to come again, and who gives up leaves no place behind.
func TestDoorLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rivals
		d := newDoor(&r, func() int { return 1 })
		r.seen("other", time.Now())
		if err := d.enter(t.Context(), "w"); err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() { errs <- d.enter(gone, "w") }()
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, ErrUnavailable) {
			t.Errorf("a caller who gave up gets %v", err)
		}
		go func() { errs <- d.enter(t.Context(), "w") }()
		if err := <-errs; !errors.Is(err, ErrFull) {
			t.Errorf("a caller who waited too long gets %v", err)
		}
		if n := len(d.waiting["w"]); n != 0 {
			t.Errorf("%d wait", n)
		}
		d.leave("w")
		if err := d.enter(t.Context(), "w"); err != nil {
			t.Errorf("the place is not free again: %v", err)
		}
	})
}

// A workflow whose runs keep the processors busy is held back while others are active, not for its calls, and goes on
// with every run that ends.
func TestWorkingRunsHaveABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rivals
		paused := map[string]bool{}
		s := newShares(80, func(w string, on bool) { paused[w] = on }, &r, func() int { return 3 })
		slots := make(chan struct{}, 90)
		flood := make([]*slot, 5)
		for i := range flood {
			flood[i] = &slot{slots: slots, shares: s, workflow: "flood"}
		}
		r.seen("flood", time.Now())
		for _, sl := range flood[:4] {
			sl.enter()
		}
		if paused["flood"] {
			t.Error("held back while nobody else is active")
		}
		flood[0].leave()
		r.seen("quiet", time.Now())
		flood[0].enter()
		if !paused["flood"] {
			t.Fatal("four runs work and it is not held back")
		}
		one, two := flood[0].call(), flood[0].call()
		if !paused["flood"] {
			t.Error("three runs work, two calls of one run are one run less")
		}
		ended := flood[1].call()
		if paused["flood"] {
			t.Error("two runs work, two wait for calls")
		}
		one()
		two()
		if !paused["flood"] {
			t.Error("a run is back from its calls")
		}
		time.Sleep(activeFor)
		ended()
		flood[2].leave()
		if paused["flood"] {
			t.Error("held back when the others are quiet")
		}
		for _, i := range []int{0, 1, 3} {
			flood[i].leave()
		}
		if len(s.held)+len(s.working)+len(s.paused) != 0 || s.free != 90 {
			t.Errorf("at the end: held %v, working %v, paused %v, free %d", s.held, s.working, s.paused, s.free)
		}
		var none *slot
		none.call()() // of a rehearsal
	})
}

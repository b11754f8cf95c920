package enginetest

import (
	"context"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
)

func fairTurns(h *harness) {
	for range 6 {
		h.accept(workflow("busy"))
	}
	b, c := h.accept(workflow("b")), h.accept(workflow("c"))
	h.restart()
	var first []engine.RunID
	for range 3 {
		first = append(first, h.claim().Run)
	}
	for _, id := range []engine.RunID{b, c} {
		if first[0] != id && first[1] != id && first[2] != id {
			h.Errorf("run %s waits behind a busy workflow", id)
		}
	}
	claims, err := h.Claim(h.ctx, 10)
	if err != nil {
		h.Fatal(err)
	}
	for i, want := range h.runs[1:6] { // the oldest first
		if claims[i].Run != want {
			h.Errorf("claim %d: got run %s, want %s", i, claims[i].Run, want)
		}
	}
}

func fairPause(h *harness) {
	for range 3 {
		h.accept(workflow("busy"))
	}
	b := h.accept(workflow("b"))
	h.Pause("busy", true)
	h.accept(workflow("busy"))
	if c := h.claim(); c.Run != b {
		h.Errorf("claimed run %s of the paused workflow, want %s", c.Run, b)
	}
	short, stop := context.WithTimeout(h.ctx, 50*time.Millisecond)
	defer stop()
	if claims, err := h.Claim(short, 10); err == nil {
		h.Errorf("claimed %d runs of the paused workflow", len(claims))
	}
	waiting := make(chan []*engine.Claim, 1)
	go func() {
		claims, err := h.Claim(h.ctx, 10)
		if err != nil {
			h.Error(err)
		}
		waiting <- claims
	}()
	h.Pause("busy", false)
	if claims := <-waiting; len(claims) != 4 {
		h.Errorf("after the pause: %d runs claimed, want 4", len(claims))
	}
}

func fairUrgent(h *harness) {
	person := func(n *engine.NewRun) { n.Head.Urgent = true }
	for range 10 {
		h.accept()
	}
	for range 10 {
		h.accept(person)
	}
	h.restart()
	var got string
	for range 10 {
		if c := h.claim(); c.Journal[0].Head.Urgent {
			got += "u"
		} else {
			got += "-"
		}
	}
	if got != "uuuu-uuuu-" {
		h.Fatalf("order of claims: got %s, want uuuu-uuuu-", got)
	}
}

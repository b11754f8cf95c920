package engine_test

import (
	"context"
	"testing"
	"time"
)

func TestADuplicateOfTheSameMomentGetsTheAnswerOfAFinishedRun(t *testing.T) {
	h := newHouse(t).start()
	h.publish("w", "triggers: [{webhook: {respond: finished}}]\nsteps: [{id: a, set: {n: 1}}]\n")
	ev := event("w", nil)
	ev.Key, ev.Window, ev.At = "k", time.Hour, time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range 2 {
		reply, err := h.AcceptAndWait(ctx, ev)
		if err != nil || !reply.Done || reply.Duplicate != (i == 1) {
			t.Fatalf("call %d: %+v, %v", i, reply, err)
		}
	}
}

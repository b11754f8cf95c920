package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestKill kills the server at random moments under load, a third of them while it starts, and then asks: was an
// acknowledged event lost, run twice, or a completed step repeated? BELLHOP_KILLS sets how often.
func TestKill(t *testing.T) {
	kills := rounds(t, 3)
	tr := newTrial(t)
	stop := tr.load(16)
	var recovery []time.Duration
	for i := range kills {
		tr.v.start()
		if i%3 == 2 {
			time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond) // it starts, or recovers
		} else {
			begun := time.Now()
			tr.v.ready()
			recovery = append(recovery, time.Since(begun))
			time.Sleep(time.Duration(rand.IntN(1450)) * time.Millisecond)
		}
		tr.v.kill()
	}
	tr.v.start()
	defer tr.v.kill()
	tr.v.ready()
	time.Sleep(200 * time.Millisecond)
	stop()
	worst := time.Duration(0)
	for _, d := range recovery {
		worst = max(worst, d)
	}
	tr.verdict(fmt.Sprintf("%d kills, ready again within %s", kills, worst.Round(time.Millisecond)))
}

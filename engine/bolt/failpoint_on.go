//go:build failpoint

package bolt

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
)

// A point is what BELLHOP_FAIL says of one place: name=kind:n, several with commas between. At its nth hit a kill ends
// the process as SIGKILL does, a sleep takes two seconds, and an error says that the outcome is unknown.
type point struct {
	kind string
	at   int64
	hits atomic.Int64
}

var points = func() map[string]*point {
	all := map[string]*point{}
	for spec := range strings.SplitSeq(os.Getenv("BELLHOP_FAIL"), ",") {
		name, what, ok := strings.Cut(spec, "=")
		kind, times, timed := strings.Cut(what, ":")
		n, err := strconv.ParseInt(times, 10, 64)
		if spec == "" {
			continue
		}
		if !ok || !timed || err != nil {
			panic("BELLHOP_FAIL: write it like accept.after=kill:3, not " + spec)
		}
		all[name] = &point{kind: kind, at: n}
	}
	return all
}()

func failpoint(where, when string) error {
	name := where + "." + when
	p := points[name]
	if p == nil || p.hits.Add(1) != p.at {
		return nil
	}
	switch p.kind {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it comes at once
	case "sleep":
		time.Sleep(2 * time.Second)
	case "error":
		return fmt.Errorf("failpoint %s: %w", name, engine.ErrUnavailable)
	}
	return nil
}

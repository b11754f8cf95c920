package main

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// gcPercent lets garbage grow to twice the live heap. That is small, about 15 MB under load: at the default of 100 the
// collector ran thirty times a second and took a sixth of all processor time.
const gcPercent = 200

// limitMemory makes the collector run less often, and tells the garbage collector about the bound of the container, of which it does not know: nine tenths
// of it, for not all memory is the heap's. GOMEMLIMIT, when set, has been obeyed already.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit <= 0 || limit > math.MaxInt64/16 {
		return // "max": there is no bound
	}
	debug.SetMemoryLimit(limit / 10 * 9)
}

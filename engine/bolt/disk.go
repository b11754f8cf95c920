package bolt

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bellhop-dev/bellhop/engine"
)

const (
	reserveFile = "reserve"
	reserveSize = 16 << 20 // bytes
	diskCheck   = time.Second
	diskRetry   = 10 * time.Second
)

// disk watches the room that is left. New runs are refused while less is free than 5 % of the file system, but
// not more than 1 GiB and not less than 4 MiB: what the unfinished runs still have to write must fit. A reserve
// file is given up when a commit hits the end all the same, so that deleting, which writes too, goes on.
type disk struct {
	dir     string
	reserve int64 // bytes; at most a sixteenth of the file system
	measure func(dir string) (free, total int64, err error)

	mu      sync.Mutex
	checked time.Time
	low     bool
	full    bool // a commit failed; true until the reserve is back
}

func (d *disk) open(dir string, reserve int64) {
	d.dir, d.reserve = dir, reserve
	if d.measure == nil {
		d.measure = space
	}
}

// refusal returns a *engine.FullError while new runs must not be taken. It looks at most once a second.
func (d *disk) refusal() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := time.Now(); t.Sub(d.checked) >= diskCheck {
		d.checked = t
		free, total, err := d.measure(d.dir)
		d.low = err == nil && free < lowWater(total)
	}
	if d.low || d.full {
		return &engine.FullError{Reason: "disk", RetryAfter: diskRetry}
	}
	return nil
}

// Accepting reports whether new runs are taken, as far as the disk is concerned.
func (s *Store) Accepting() bool { return !s.broken.Load() && s.disk.refusal() == nil }

func lowWater(total int64) int64 { return max(min(total/20, 1<<30), 4<<20) }

// filled gives up the reserve after a commit found no room.
func (d *disk) filled() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = true
	_ = os.Remove(filepath.Join(d.dir, reserveFile)) // there may be none left
}

// restore makes the reserve where it is missing and there is room for it. Housekeeping calls it.
func (d *disk) restore() error {
	path := filepath.Join(d.dir, reserveFile)
	free, total, err := d.measure(d.dir)
	if err != nil {
		return nil // a system that cannot say: no reserve
	}
	size := min(d.reserve, total/16)
	if info, err := os.Stat(path); err == nil && info.Size() >= size {
		d.setFull(false)
		return nil
	}
	if free < lowWater(total)+size {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	chunk := make([]byte, 1<<20)
	for done := int64(0); done < size; {
		n, err := f.Write(chunk[:min(int64(len(chunk)), size-done)])
		if err != nil {
			_ = os.Remove(path)
			return err
		}
		done += int64(n)
	}
	d.setFull(false)
	return nil
}

func (d *disk) setFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// exhausted reports whether a commit failed for want of room and the reserve is not back yet.
func (d *disk) exhausted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

// Free is how many bytes this user may still write below a folder.
func Free(dir string) (int64, error) {
	free, _, err := space(dir)
	return free, err
}

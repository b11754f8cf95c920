//go:build !unix

package bolt

import (
	"errors"
	"os"
)

// tryLock leaves the lock to bbolt, which knows how this system locks files.
func tryLock(*os.File) error { return nil }

// space is not known on this system: a full disk shows when a commit fails.
func space(string) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }

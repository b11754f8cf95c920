package bolt

import (
	"syscall"

	"go.etcd.io/bbolt"
)

// unmapRead takes the pages of a database that were read so far out of the process. They stay in the system's cache,
// and come back when they are read again: what the start went through is little of what is needed later, and where notes
// and journals lie side by side it would count as memory in use. Nobody else may use the database meanwhile.
func unmapRead(db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, db.Info().Data, uintptr(tx.Size()), syscall.MADV_DONTNEED); errno != 0 {
			return errno
		}
		return nil
	})
}

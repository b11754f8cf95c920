//go:build unix

package bolt

import (
	"os"
	"syscall"
)

// tryLock takes an exclusive lock that ends with the process, or returns an error at once.
func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// space returns the bytes that this user may still write below dir, and the size of its file system.
func space(dir string) (free, total int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package hashlist

import (
	"os"
	"syscall"
)

// LockFile waits until no other process holds the lock, a file of mode 0600 that is made if it is not there, and stays. The
// lock ends with unlock, or with the process, however that ends.
func LockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}

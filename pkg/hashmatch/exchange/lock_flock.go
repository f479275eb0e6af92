//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package exchange

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrLocked says that another process syncs the list.
var ErrLocked = errors.New("another process syncs this list")

// lockFile keeps other processes from syncing the same list. The lock ends with the process, however it ends; its file
// stays, since removing it could take it from another process.
func lockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return func() { file.Close() }, nil
}

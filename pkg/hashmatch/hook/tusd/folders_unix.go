//go:build unix

package tusd

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// renameChecked is rename where looking and renaming are two steps.
func renameChecked(from, to *os.File, name, newName string) error {
	var info unix.Stat_t
	err := unix.Fstatat(int(to.Fd()), newName, &info, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == nil:
		return fs.ErrExist
	case !errors.Is(err, unix.ENOENT):
		return err
	}
	return unix.Renameat(int(from.Fd()), name, int(to.Fd()), newName)
}

// lockFolder keeps a second process out for as long as this one lives.
func lockFolder(root *os.Root) (unlock func(), err error) {
	file, err := root.OpenFile(lockName, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.New("another process uses it")
		}
		return nil, err
	}
	return func() { file.Close() }, nil
}

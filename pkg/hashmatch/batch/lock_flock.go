//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package batch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openLocked opens the file at path for one process at a time, or makes it with mode 0600. The lock ends with the
// process, however it ends.
func openLocked(path string) (*os.File, error) {
	for range 10 {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|openFlags, 0o600)
		if err != nil {
			return nil, unwrapPath(err)
		}
		current, err := lock(file, path)
		if err == nil && current {
			return file, nil
		}
		file.Close()
		if err != nil {
			return nil, err
		}
		// The run that had it has just completed and removed it.
	}
	return nil, ErrCheckpointLocked
}

// lock locks file and reports whether it is still the one that path names.
func lock(file *os.File, path string) (bool, error) {
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%w: not a regular file", ErrNotCheckpoint)
	}
	switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return false, ErrCheckpointLocked
	case err != nil:
		return false, err
	}
	named, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(info, named) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return false, err
	}
	if int(stat.Uid) != os.Geteuid() {
		return false, errors.New("belongs to another user")
	}
	if info.Mode().Perm()&0o022 != 0 {
		return false, errors.New("others can write to it")
	}
	if info.Mode().Perm() != 0o600 {
		if err := file.Chmod(0o600); err != nil {
			return false, err
		}
	}
	return true, syncDir(filepath.Dir(path))
}

// syncDir makes the name of a new file durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func unwrapPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

//go:build !unix

package tusd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// rename renames a file from one folder into another and does not replace one that is there: the error then wraps
// fs.ErrExist.
func rename(from, to *os.File, name, newName string) error {
	target := filepath.Join(to.Name(), newName)
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return err
	}
	return os.Rename(filepath.Join(from.Name(), name), target)
}

// lockFolder creates the lock's file and keeps it open. It keeps nobody out here.
func lockFolder(root *os.Root) (unlock func(), err error) {
	file, err := root.OpenFile(lockName, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return func() { file.Close() }, nil
}

package tusd

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// rename renames a file from one open folder into another and never replaces one that is there: the error then wraps
// fs.ErrExist.
func rename(from, to *os.File, name, newName string) error {
	err := unix.Renameat2(int(from.Fd()), name, int(to.Fd()), newName, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not every file system can
		return renameChecked(from, to, name, newName)
	}
	return err
}

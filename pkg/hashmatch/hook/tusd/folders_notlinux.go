//go:build unix && !linux

package tusd

import "os"

// rename renames a file from one open folder into another and does not replace one that is there: the error then wraps
// fs.ErrExist.
func rename(from, to *os.File, name, newName string) error {
	return renameChecked(from, to, name, newName)
}

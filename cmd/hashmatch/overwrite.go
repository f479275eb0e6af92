package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// checkOutput refuses a file to be written to that holds something, unless replace, and one that is an input of the
// same command in any case; inputs that are not there are none. Something other than a regular file (/dev/stdout) holds
// nothing.
func checkOutput(flag, path string, replace bool, inputs ...input) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	for _, in := range inputs {
		if other, err := os.Stat(in.path); err == nil && os.SameFile(info, other) {
			return fmt.Errorf("%s %s: that is %s: it would be overwritten", flag, printable(path), in.what)
		}
	}
	if info.Mode().IsRegular() && info.Size() > 0 && !replace {
		return fmt.Errorf("%s %s: there is such a file, and it is not empty: name another, or --overwrite it", flag, printable(path))
	}
	return nil
}

// input is a file that a command reads, and what it is to the user.
type input struct{ what, path string }

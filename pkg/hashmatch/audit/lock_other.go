//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package audit

import (
	"errors"
	"os"
)

// openDirectory refuses: without a lock that ends with its process, two could write to one log.
func openDirectory(string) (*os.File, error) { return nil, errors.ErrUnsupported }

// othersCanRead does not know: access is not in the mode.
func othersCanRead(os.FileInfo) bool { return false }

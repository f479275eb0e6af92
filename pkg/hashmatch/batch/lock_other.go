//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package batch

import (
	"errors"
	"os"
)

// openLocked refuses: without a lock that ends with its process, a checkpoint is not safe.
func openLocked(string) (*os.File, error) { return nil, errors.ErrUnsupported }

//go:build unix

package hashlist

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// Opening a named pipe would wait for a writer that never comes.
func TestOpenNamedPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(pipe); !errors.Is(err, ErrNotSnapshot) {
		t.Error(err)
	}
}

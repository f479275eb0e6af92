//go:build unix

package batch

import "golang.org/x/sys/unix"

// Opening never waits (for the writer of a pipe), never follows a link and never takes over a terminal.
const (
	openNoFollow = unix.O_NOFOLLOW
	openFlags    = unix.O_NONBLOCK | unix.O_NOCTTY | openNoFollow
)

package hashlist

import "golang.org/x/sys/unix"

// local reports whether a file is on a file system of this machine's own.
func local(fd int) bool {
	var s unix.Statfs_t
	return unix.Fstatfs(fd, &s) == nil && s.Flags&unix.MNT_LOCAL != 0
}

//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package hashlist

// LockFile does nothing here: it keeps nobody out, and of two processes that write at once the later one wins.
func LockFile(string) (unlock func(), err error) { return func() {}, nil }

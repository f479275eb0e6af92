package seal

import (
	"os"
	"syscall"
)

// settle tells the system about memory that is to hold decrypted content, before it is written to: in huge pages, since
// most of the time of decrypting goes into the first write to each page, and not into the dumps of a process that fails.
// The system may do neither.
func settle(data []byte) {
	const dontDump = 16 // MADV_DONTDUMP
	if whole := len(data) &^ (os.Getpagesize() - 1); whole >= 2<<20 {
		_ = syscall.Madvise(data[:whole], syscall.MADV_HUGEPAGE)
		_ = syscall.Madvise(data[:whole], dontDump)
	}
}

package index

import "syscall"

// adviseHuge asks for huge pages under b, which has not been written to. A kernel without them says no: no harm done.
func adviseHuge(b []byte) {
	const hugePage = 14 // MADV_HUGEPAGE of madvise(2)
	_ = syscall.Madvise(b, hugePage)
}

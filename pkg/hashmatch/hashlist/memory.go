package hashlist

import (
	"errors"
	"os"
	"runtime/debug"
	"sync/atomic"
)

// ErrChanged is what Memory.Use returns, and what the methods of a mapped List panic with, once its file was written to
// or cut off in place: what was read from it may be anything, and is not to be used. Nothing brings such a list back
// but opening the file again. Lists are to be replaced by renaming, as WriteFile does: that leaves the old file whole
// for those who have it mapped.
var ErrChanged = errors.New("the snapshot file was changed or cut off while it was in use")

// Memory is a snapshot file that is mapped into memory: the pages are those of the system's cache, shared by all
// processes that map the file. It is safe for concurrent use. A nil *Memory stands for bytes of the process's own, which
// nothing can happen to.
//
// It is unmapped some time after the last reference to it is gone. So there are two rules for whoever reads its bytes:
// read them within Use, which holds a reference for as long as it runs, and let nothing out of it that points to them.
// By the first no read comes after the unmapping; by the second no reader needs to know of it.
//
// A file that is mapped can be written to, or cut off, by anyone who may write it. Reading behind the new end of a file
// is a signal that ends the process, unless the reading goroutine has said that it wants a panic (it holds for code in
// assembly as well); other bytes than those that were checked are just other bytes. Use turns both into ErrChanged, the
// second by looking at the file's size and time of modification before and after each reading: a system call each. A
// system sets the time before it lets the written bytes be seen, so bytes that were read before an unchanged time are
// those that were checked. (Who writes to the list and then sets the time back is not found out, nor
// is one who had the file mapped for writing before: either can as well put another list in its place.)
type Memory struct {
	data   []byte
	file   *os.File
	fd     uintptr
	stamp  stamp
	failed atomic.Bool
}

// Use calls read, which may look at the bytes. It returns ErrChanged if they were, or may have been, other ones than
// those that were opened, now or in an earlier call; read is then cut short, or not called at all. Other panics of read
// pass, but for errors on bytes that are not those that were opened. Calls may be nested. A goroutine that read starts
// has to call Use itself.
func (m *Memory) Use(read func()) (err error) {
	if m == nil {
		read()
		return nil
	}
	if m.failed.Load() || m.changed() { // what is known to be something else is better not looked at
		m.failed.Store(true)
		return ErrChanged
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer m.judge(&err)
	read()
	return nil
}

// judge is deferred by Use.
func (m *Memory) judge(err *error) {
	changed := m.changed()
	if r := recover(); r != nil {
		// Other bytes than those that were checked make any error: an index out of range, a record of the wrong length.
		if failure, ok := r.(error); !ok || !changed && !m.holds(failure) {
			panic(r)
		}
		changed = true
	}
	if changed {
		m.failed.Store(true)
		*err = ErrChanged
	}
}

// holds reports whether a failure is that of reading an address of the mapped bytes.
func (m *Memory) holds(failure error) bool {
	fault, ok := failure.(interface{ Addr() uintptr })
	return ok && fault.Addr()-address(m.data) < uintptr(len(m.data))
}

// Err returns ErrChanged once a Use has, or would now; nil before.
func (m *Memory) Err() error { return m.Use(func() {}) }

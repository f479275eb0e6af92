//go:build linux || darwin

package hashlist

import (
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stamp is what changes of a file when it is written to. Replacing it by renaming changes the time of its inode, so
// that one is no part of it.
type stamp struct {
	size     int64
	modified unix.Timespec
}

func stampOf(fd uintptr) (stamp, error) {
	var s unix.Stat_t
	err := unix.Fstat(int(fd), &s)
	return stamp{s.Size, s.Mtim}, err
}

func (m *Memory) changed() bool {
	now, err := stampOf(m.fd)
	return err != nil || now != m.stamp
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// mapFile maps a file, which it then owns unless there is an error. It returns nil without an error where the file has
// to be read instead: an empty one, one on another machine (whose times are told late), or one whose times cannot show
// the next write.
func mapFile(file *os.File) (*Memory, error) {
	m := &Memory{file: file, fd: file.Fd()}
	var err error
	if m.stamp, err = stampOf(m.fd); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if m.stamp.size == 0 || int64(int(m.stamp.size)) != m.stamp.size || !local(int(m.fd)) || !m.stamp.settled() {
		return nil, nil
	}
	if m.data, err = unix.Mmap(int(m.fd), 0, int(m.stamp.size), unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, nil // no room in the address space, or a file system that cannot
	}
	type mapping struct {
		data []byte
		file *os.File
	}
	runtime.AddCleanup(m, func(gone mapping) {
		_ = unix.Munmap(gone.data)
		_ = gone.file.Close()
	}, mapping{m.data, file})
	return m, nil
}

// settled waits until a write would get another time than the one in the stamp: file systems count in steps of the
// system's clock, 10 ms at the most. It returns false for one that counts in seconds if that would take too long.
func (s *stamp) settled() bool {
	const step, coarse = 20 * time.Millisecond, 2 * time.Second
	at := time.Unix(s.modified.Unix())
	age := time.Since(at)
	if at.Nanosecond() == 0 && age.Abs() <= coarse {
		return false
	}
	if age.Abs() <= step {
		time.Sleep(2 * step)
	}
	return true
}

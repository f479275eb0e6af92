//go:build unix

package clamd

import (
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// openFlags keep opening a file from waiting and from taking over a terminal.
const openFlags = unix.O_NONBLOCK | unix.O_NOCTTY

// maxDescriptors is how many descriptors one message may carry before the kernel drops the rest.
const maxDescriptors = 8

// source reads from a connection and, on a unix socket, keeps one descriptor that comes with the bytes until it is
// taken or dropped. Every other one is closed at once. The kernel ends a read after bytes with which descriptors came,
// so the one that is kept belongs to the byte that was the last one of its read: bytes that are buffered behind a
// command can carry the descriptor of a later one.
type source struct {
	conn    net.Conn
	unix    *net.UnixConn // nil if it is no unix socket
	control []byte
	kept    *os.File
	number  int   // of kept
	surplus bool  // more than one came
	at      int64 // bytes read when the last of them came
	total   int64 // bytes read
}

func newSource(conn net.Conn) *source {
	s := &source{conn: conn}
	if local, ok := conn.(*net.UnixConn); ok {
		s.unix, s.control = local, make([]byte, unix.CmsgSpace(4*maxDescriptors))
	}
	return s
}

// Read reads from the connection.
func (s *source) Read(p []byte) (int, error) {
	if s.unix == nil || len(p) == 0 {
		return s.conn.Read(p)
	}
	n, controls, flags, _, err := s.unix.ReadMsgUnix(p, s.control)
	n = max(n, 0) // it is -1 beside an error
	s.total += int64(n)
	if flags&unix.MSG_CTRUNC != 0 {
		s.surplus, s.at = true, s.total
	}
	if controls > 0 {
		s.receive(s.control[:controls])
	}
	if errors.Is(err, io.EOF) { // net wraps it here, and nowhere else
		err = io.EOF
	}
	return n, err
}

func (s *source) receive(control []byte) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		s.surplus, s.at = true, s.total
		return
	}
	for _, m := range messages {
		descriptors, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // another kind: nothing to close
		}
		for _, d := range descriptors {
			unix.CloseOnExec(d)
			s.at = s.total
			if s.kept != nil || s.surplus {
				s.surplus = true
				_ = unix.Close(d)
				continue
			}
			s.kept, s.number = os.NewFile(uintptr(d), ""), d
		}
	}
}

// takeDescriptor returns the descriptor that came with the last byte but unread, with its number, if exactly one did; the
// caller closes it. Else it returns nil, and what came until then is closed.
func (s *source) takeDescriptor(unread int) (*os.File, int) {
	if s.surplus || s.at != s.total-int64(unread) {
		s.dropDescriptor(unread)
		return nil, 0
	}
	kept, number := s.kept, s.number
	s.kept = nil
	return kept, number
}

// dropDescriptor closes what came before the last unread bytes, and returns whether something had.
func (s *source) dropDescriptor(unread int) bool {
	if s.kept == nil && !s.surplus || s.at > s.total-int64(unread) {
		return false
	}
	if s.kept != nil {
		_ = s.kept.Close()
	}
	s.kept, s.surplus = nil, false
	return true
}

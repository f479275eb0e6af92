//go:build !unix

package clamd

import (
	"net"
	"os"
)

const openFlags = 0

// source reads from a connection. No descriptors come with the bytes on this platform.
type source struct{ net.Conn }

func newSource(conn net.Conn) *source { return &source{conn} }

func (s *source) takeDescriptor(int) (*os.File, int) { return nil, 0 }

func (s *source) dropDescriptor(int) bool { return false }

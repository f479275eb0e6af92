package clamd

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// Why a stream has no end, or not yet.
var (
	errSizeLimit = &hashmatch.Failure{Code: hashmatch.TooLarge, Detail: "the stream is longer than its limit"}
	errSlow      = &hashmatch.Failure{Code: hashmatch.TimedOut, Detail: "the stream came too slowly"}
	errCutOff    = &hashmatch.Failure{Code: hashmatch.Unreadable, Detail: "the stream ended before its end"}
)

// chunks reads the content of one INSTREAM: chunks of a 32-bit length, highest byte first, and so many bytes; one of no
// length ends it. Nothing is allocated for a length that is only claimed.
type chunks struct {
	in    io.Reader
	wait  func() error // sets the deadline of the next read; an error means that there is no more time
	limit int64        // longest content, in bytes; 0 means none

	header [4]byte
	have   int    // bytes of header that have come
	rest   uint32 // bytes of the chunk that have not come
	total  int64  // bytes of all chunks so far, as their lengths claim
	ended  bool   // the last chunk has come
	err    error  // why no more can be read; errSlow and errSizeLimit can be got over
}

// Read returns io.EOF after the last chunk, and else one of the errors above: a stream without its end is never whole.
func (c *chunks) Read(p []byte) (int, error) {
	for c.err == nil && !c.ended && len(p) > 0 {
		if c.rest == 0 {
			c.readHeader()
			continue
		}
		n := c.read(p[:min(int64(len(p)), int64(c.rest))])
		c.rest -= uint32(n)
		if n > 0 {
			return n, nil
		}
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.ended:
		return 0, io.EOF
	}
	return 0, nil
}

func (c *chunks) readHeader() {
	c.have += c.read(c.header[c.have:])
	if c.have < len(c.header) {
		return
	}
	c.have = 0
	c.rest = binary.BigEndian.Uint32(c.header[:])
	if c.rest == 0 {
		c.ended = true
		return
	}
	c.total += int64(c.rest)
	if c.limit > 0 && c.total > c.limit {
		c.err = errSizeLimit
	}
}

func (c *chunks) read(p []byte) int {
	if err := c.wait(); err != nil {
		c.err = errSlow
		return 0
	}
	n, err := c.in.Read(p)
	var netError net.Error
	switch {
	case err == nil || n > 0: // an error after n bytes comes again
	case errors.As(err, &netError) && netError.Timeout():
		c.err = errSlow
	default:
		c.err = errCutOff
	}
	return n
}

// drain reads to the end of the stream and throws it away, without regard to its limit. wait stands in for the stream's
// own from now on. It returns whether there is nothing left to read.
func (c *chunks) drain(wait func() error) bool {
	c.wait, c.limit = wait, 0
	if c.err == errSlow || c.err == errSizeLimit {
		c.err = nil
	}
	if c.ended || c.err != nil {
		return true
	}
	_, err := io.Copy(io.Discard, c)
	return err != errSlow
}

// deadlines returns a wait function: each read may take step, and all of them together, from now on, total.
func deadlines(conn net.Conn, step, total time.Duration) func() error {
	end := time.Now().Add(total)
	return func() error {
		next := time.Now().Add(step)
		if next.After(end) {
			next = end
		}
		if !next.After(time.Now()) {
			return errSlow
		}
		return conn.SetReadDeadline(next)
	}
}

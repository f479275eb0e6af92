package icap

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"

	"example.org/hashmatch/pkg/hashmatch"
)

// chunks reads the body of an ICAP request: chunks up to one of no length, preceded by a preview if the client sends
// one. It is not safe for concurrent use.
type chunks struct {
	in      *bufio.Reader
	left    int64 // of the chunk that is being read
	room    int64 // bytes that may still come
	ending  bool  // the CRLF after a chunk's bytes is due
	trailer bool  // header fields follow the last chunk
	err     error // io.EOF after the last chunk

	preview  bool         // the next chunk of no length ends the preview only
	proceed  func() error // asks for what follows the preview
	unwanted bool         // it is not to be asked for
	gap      bool         // an empty line may precede the next chunk
}

func newChunks(in *bufio.Reader, r *request, limit int64, proceed func() error) *chunks {
	return &chunks{in: in, room: limit, preview: r.preview, trailer: r.trailer, proceed: proceed}
}

// errTooLong is what a body over the limit ends with.
var errTooLong = &hashmatch.Failure{Code: hashmatch.TooLarge, Detail: "over the limit of the ICAP server"}

// Read gives the bytes of the body. It asks the client to go on when the preview has been read and is not all. Errors
// but io.EOF are final: the rest of the connection is worth nothing.
func (c *chunks) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, c.err
	}
	for c.left == 0 && c.err == nil {
		c.err = c.nextChunk()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.left == 0 {
		c.ending = true
	}
	if err != nil {
		c.err = cutOff(err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, c.err
}

// finish reads what is left of the body, or of the preview if the rest was not asked for, so that the answer can be
// given and the next request be read.
func (c *chunks) finish() error {
	c.unwanted = true
	if _, err := io.Copy(io.Discard, c); err != nil {
		return err
	}
	return nil
}

// nextChunk reads up to the bytes of the next chunk. It returns io.EOF after the last one.
func (c *chunks) nextChunk() error {
	if c.ending {
		if line, err := c.line(); err != nil || line != "" {
			return firstError(err, malformed("chunk_end"))
		}
		c.ending = false
	}
	line, err := c.line()
	if err == nil && line == "" && c.gap {
		line, err = c.line()
	}
	c.gap = false
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(line, ";")
	n, ok := parseHex(strings.TrimRight(size, " \t"))
	switch {
	case !ok:
		return malformed("chunk_size")
	case n > c.room:
		return errTooLong
	case n > 0:
		c.left, c.room = n, c.room-n
		return nil
	case !c.preview || strings.EqualFold(strings.TrimSpace(extension), "ieof"):
		return c.end()
	}
	c.preview, c.gap = false, true
	if c.unwanted {
		return c.end()
	}
	if err := c.proceed(); err != nil {
		return cutOff(err)
	}
	return nil
}

// end ends the body. The empty line that follows it is read with the next request: there are clients that leave it
// out, and wait. Trailing fields were announced, so they are waited for.
func (c *chunks) end() error {
	if !c.trailer {
		if next, _ := c.in.Peek(min(2, c.in.Buffered())); string(next) == "\r\n" {
			_, _ = c.in.Discard(2)
		}
		return io.EOF
	}
	fields := &headerReader{in: c.in, left: maxICAPHeader}
	for {
		name, _, err := fields.field()
		if err != nil {
			return cutOff(err)
		}
		if name == "" {
			return io.EOF
		}
	}
}

// line reads a line of up to bufferSize bytes.
func (c *chunks) line() (string, error) {
	line, err := (&headerReader{in: c.in, left: bufferSize}).line()
	return line, cutOff(err)
}

// parseHex reads a number of up to 15 hexadecimal digits after leading zeros, so that it cannot overflow.
func parseHex(text string) (int64, bool) {
	if text == "" || len(strings.TrimLeft(text, "0")) > 15 {
		return 0, false
	}
	n := int64(0)
	for _, digit := range []byte(text) {
		switch {
		case digit >= '0' && digit <= '9':
			n = n<<4 | int64(digit-'0')
		case digit|0x20 >= 'a' && digit|0x20 <= 'f':
			n = n<<4 | int64(digit|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// cutOff makes sure that the end of the connection is not taken for that of the body.
func cutOff(err error) error {
	var known *requestError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &requestError{408, "body_timeout"}
	case errors.Is(err, bufio.ErrBufferFull):
		return malformed("line_too_long")
	}
	return malformed("body_cut_off")
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

package icap

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"

	"example.org/hashmatch/pkg/hashmatch"
)

// A body may unpack to maxRatio times its length, and to freeBytes in any case. A photo unpacks to about its length; a
// bitmap of a drawing to a hundred times, where gzip's limit is a thousand.
const (
	maxRatio  = 200
	freeBytes = 1 << 20
)

// contentOf returns the content of a body: complete, and unpacked, up to limit bytes of it. A read ends with a
// *hashmatch.Failure where it cannot.
func contentOf(body io.Reader, s shape, limit int64) io.Reader {
	raw := &counted{in: body, length: s.length}
	if len(s.encodings) == 0 {
		return raw
	}
	return &unpacked{raw: raw, encoding: s.encodings[0], limit: limit}
}

// counted counts the bytes of a body, and takes its end for a failure if it was announced to be longer. One that was
// announced to be shorter is read to its end: a client in wide use always announces one byte.
type counted struct {
	in     io.Reader
	length int64 // announced; -1 if it was not
	n      int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	if err == io.EOF && c.n < c.length {
		err = unreadable("shorter than its Content-Length")
	}
	return n, err
}

// unpacked undoes a content encoding. It begins with the first read, since the first bytes must be there for it.
type unpacked struct {
	raw      *counted
	encoding string
	limit    int64

	in   *bufio.Reader // over raw: nothing that follows the packed bytes is lost
	from io.Reader     // the unpacker
	n    int64
	err  error
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.err == nil && u.from == nil {
		u.err = u.open()
	}
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.from.Read(p)
	u.n += int64(n)
	switch {
	case u.n > u.limit:
		n, u.err = 0, errTooLong
	case u.n > freeBytes && u.n > maxRatio*u.raw.n:
		n, u.err = 0, unreadable("unpacks to too many times its length")
	case err == io.EOF:
		u.err = u.end()
	case err != nil:
		u.err = u.failure(err)
	}
	if n > 0 {
		return n, nil // an error follows with the next read
	}
	return 0, u.err
}

func (u *unpacked) open() error {
	u.in = bufio.NewReader(u.raw)
	head, err := u.in.Peek(2)
	if err != nil {
		return u.failure(err)
	}
	switch {
	case u.encoding != "deflate":
		u.from, err = gzip.NewReader(u.in)
	case head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0:
		u.from, err = zlib.NewReader(u.in)
	default: // without zlib's header, as some have always sent it
		u.from = flate.NewReader(u.in)
	}
	if err != nil {
		return u.failure(err)
	}
	return nil
}

// end makes sure that nothing follows what was unpacked.
func (u *unpacked) end() error {
	_, err := u.in.ReadByte()
	switch err {
	case io.EOF:
		return io.EOF
	case nil:
		return unreadable("something follows the packed body")
	}
	return u.failure(err)
}

// failure is the reader's own if it had one: that of the connection counts more than what it did to the unpacker.
func (u *unpacked) failure(err error) error {
	if f, ok := err.(*hashmatch.Failure); ok {
		return f
	}
	if _, ok := err.(*requestError); ok {
		return err
	}
	return unreadable("damaged content encoding")
}

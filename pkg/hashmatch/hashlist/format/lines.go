package format

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// maxLine bounds a line. The longest that Export writes has a key of 3 x 3 KiB and 100 labels of 3 x 256 bytes.
const maxLine = 1 << 20

var byteOrderMark = []byte("\xef\xbb\xbf")

// lines reads a file line by line in bounded memory.
type lines struct {
	r      *bufio.Reader
	buffer []byte // of a line that does not fit into r's
	number int    // of the last line
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, HeadBytes)} }

// head returns the beginning of the file and refuses what is no UTF-8 text by it. It passes over a byte order mark.
func (in *lines) head() ([]byte, error) {
	head, err := in.r.Peek(HeadBytes)
	if err != nil && err != io.EOF && len(head) == 0 {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, fmt.Errorf("%w: it is UTF-16, convert it to UTF-8", ErrEncoding)
	case bytes.IndexByte(head, 0) >= 0:
		return nil, fmt.Errorf("%w: it has NUL bytes (UTF-16, or not text at all)", ErrEncoding)
	}
	if bytes.HasPrefix(head, byteOrderMark) {
		n, err := in.r.Discard(len(byteOrderMark))
		if err != nil {
			return nil, err
		}
		head = head[n:]
	}
	return head, nil
}

// next returns the next line without its end, valid until the call after it. A LineError is about that line only;
// the one after it can be read.
func (in *lines) next() ([]byte, error) {
	line, err := in.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		in.buffer = in.buffer[:0]
		for err == bufio.ErrBufferFull {
			if len(in.buffer) <= maxLine {
				in.buffer = append(in.buffer, line...)
			}
			line, err = in.r.ReadSlice('\n')
		}
		in.buffer = append(in.buffer, line...)
		line = in.buffer
	}
	if err == io.EOF && len(line) > 0 {
		err = nil // the last line has no end
	}
	if err != nil {
		return nil, err
	}
	in.number++
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	switch {
	case len(line) > maxLine:
		return nil, refused("more than %d bytes", maxLine)
	case bytes.IndexByte(line, 0) >= 0:
		return nil, refused("a NUL byte")
	}
	return line, nil
}

package isolated

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// box is one box of the ISO base media file format (ISO/IEC 14496-12): its type and where its body lies.
type box struct {
	kind       string
	start, end int // of the body
}

// errCut is what reading beyond the end of a box returns.
var errCut = errors.New("cut off")

// walkBoxes calls visit with each box between start and end. A box that reaches beyond end is cut to it and sets
// *truncated. It stops at a size that no box can have.
func walkBoxes(content []byte, start, end int, truncated *bool, visit func(box) error) error {
	for at := start; at < end; {
		if at+8 > end {
			*truncated = true
			return nil
		}
		size, header := uint64(binary.BigEndian.Uint32(content[at:])), 8
		kind := string(content[at+4 : at+8])
		switch {
		case size == 1 && at+16 > end:
			*truncated = true
			return nil
		case size == 1:
			size, header = binary.BigEndian.Uint64(content[at+8:]), 16
		case size == 0:
			size = uint64(end - at) // to the end of what holds it
		}
		if size < uint64(header) {
			return fmt.Errorf("box %q of %d bytes", kind, size)
		}
		stop := end
		if size > uint64(end-at) {
			*truncated = true
		} else {
			stop = at + int(size)
		}
		if err := visit(box{kind, at + header, stop}); err != nil {
			return fmt.Errorf("%s: %w", printable(kind), err)
		}
		at = stop
	}
	return nil
}

// printable returns a four-character code fit for a failure's detail.
func printable(kind string) string {
	for _, c := range []byte(kind) {
		if c < 0x20 || c > 0x7e {
			return fmt.Sprintf("%x", kind)
		}
	}
	return kind
}

// reader reads big-endian numbers from a box; the first read beyond its end sets err, and zeros follow.
type reader struct {
	content []byte
	at, end int
	err     error
}

func (r *reader) uint(size int) uint64 {
	if r.err != nil || r.end-r.at < size {
		r.err = errCut
		return 0
	}
	var v uint64
	for _, b := range r.content[r.at : r.at+size] {
		v = v<<8 | uint64(b)
	}
	r.at += size
	return v
}

func (r *reader) u8() int     { return int(r.uint(1)) }
func (r *reader) u16() int    { return int(r.uint(2)) }
func (r *reader) u32() uint32 { return uint32(r.uint(4)) }

func (r *reader) code() string {
	if r.err != nil || r.end-r.at < 4 {
		r.err = errCut
		return ""
	}
	r.at += 4
	return string(r.content[r.at-4 : r.at])
}

func (r *reader) skip(n int) {
	if r.err != nil || r.end-r.at < n {
		r.err = errCut
		return
	}
	r.at += n
}

// versionFlags reads the first four bytes of a full box.
func (r *reader) versionFlags() (version int, flags uint32) {
	v := r.u32()
	return int(v >> 24), v & 0xffffff
}

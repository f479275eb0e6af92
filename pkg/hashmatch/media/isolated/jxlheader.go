package isolated

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// jxlHeader is what the beginning of a JPEG XL codestream says (ISO/IEC 18181-1, SizeHeader and ImageMetadata).
type jxlHeader struct {
	width, height int
	animation     bool
	ticks         float64 // per second, of an animation
	bits          int     // per sample
	premultiplied bool
}

// bits reads bits from the least significant one up; beyond the end it returns zeros and sets cut.
type bits struct {
	data []byte
	at   int
	cut  bool
}

func (b *bits) read(n int) uint32 {
	if b.at+n > 8*len(b.data) {
		b.cut = true
		return 0
	}
	var v uint32
	for i := range n {
		v |= uint32(b.data[b.at>>3]>>(b.at&7)&1) << i
		b.at++
	}
	return v
}

func (b *bits) flag() bool { return b.read(1) == 1 }

// u32 reads one of four ranges, each given as its offset and its number of bits.
func (b *bits) u32(ranges [4][2]uint32) uint32 {
	r := ranges[b.read(2)]
	return r[0] + b.read(int(r[1]))
}

// enum reads the format's coding of enumerations.
func (b *bits) enum() uint32 { return b.u32([4][2]uint32{{0, 0}, {1, 0}, {2, 4}, {18, 6}}) }

// size reads a SizeHeader.
func (b *bits) size() (width, height uint64) {
	sides := [4][2]uint32{{1, 9}, {1, 13}, {1, 18}, {1, 30}}
	small := b.flag()
	side := func() uint64 {
		if small {
			return 8 * uint64(1+b.read(5))
		}
		return uint64(b.u32(sides))
	}
	height = side()
	if ratio := b.read(3); ratio != 0 {
		return byRatio(height, ratio), height
	}
	return side(), height
}

// byRatio returns the width of one of the format's seven fixed aspect ratios.
func byRatio(height uint64, ratio uint32) uint64 {
	r := [8][2]uint64{{1, 1}, {1, 1}, {12, 10}, {4, 3}, {3, 2}, {16, 9}, {5, 4}, {2, 1}}[ratio]
	return height * r[0] / r[1]
}

// preview skips a PreviewHeader.
func (b *bits) preview() {
	eighths := b.flag()
	side := func() {
		if eighths {
			b.u32([4][2]uint32{{16, 0}, {32, 0}, {1, 5}, {33, 9}})
		} else {
			b.u32([4][2]uint32{{1, 6}, {65, 8}, {321, 10}, {1345, 12}})
		}
	}
	side()
	if b.read(3) == 0 {
		side()
	}
}

// depth reads a BitDepth.
func (b *bits) depth() int {
	if b.flag() { // floating point
		n := b.u32([4][2]uint32{{32, 0}, {16, 0}, {24, 0}, {1, 6}})
		b.read(4)
		return int(n)
	}
	return int(b.u32([4][2]uint32{{8, 0}, {10, 0}, {12, 0}, {1, 6}}))
}

// extraChannels reads the ExtraChannelInfos and reports whether an alpha channel says that it is multiplied in.
func (b *bits) extraChannels() (premultiplied bool) {
	const alpha, spot, colourFilter = 0, 2, 5
	for range b.u32([4][2]uint32{{0, 0}, {1, 0}, {2, 4}, {1, 12}}) {
		if b.cut {
			return false
		}
		if b.flag() {
			continue // all defaults: straight alpha
		}
		kind := b.enum()
		b.depth()
		b.u32([4][2]uint32{{0, 0}, {3, 0}, {4, 0}, {1, 3}})
		for range b.u32([4][2]uint32{{0, 0}, {0, 4}, {16, 5}, {48, 10}}) {
			b.read(8)
		}
		switch kind {
		case alpha:
			premultiplied = b.flag() || premultiplied
		case spot:
			for range 4 {
				b.read(16)
			}
		case colourFilter:
			b.u32([4][2]uint32{{1, 0}, {0, 2}, {3, 4}, {19, 8}})
		}
	}
	return premultiplied
}

var errJXLHeader = errors.New("no codestream header")

// readJXLHeader reads the header of a codestream.
func readJXLHeader(stream []byte) (h jxlHeader, cut bool, err error) {
	if len(stream) < 2 || stream[0] != 0xff || stream[1] != 0x0a {
		return h, len(stream) < 2, errJXLHeader
	}
	b := &bits{data: stream, at: 16}
	h.bits = 8
	width, height := b.size()
	if width > 1<<31-1 || height > 1<<31-1 {
		return h, false, fmt.Errorf("%d x %d pixels", width, height)
	}
	h.width, h.height = int(width), int(height)
	if !b.flag() { // not all defaults
		if b.flag() { // extra fields
			b.read(3) // orientation, which the library applies
			if b.flag() {
				b.size() // intrinsic size
			}
			if b.flag() {
				b.preview()
			}
			if h.animation = b.flag(); h.animation {
				numerator := b.u32([4][2]uint32{{100, 0}, {1000, 0}, {1, 10}, {1, 30}})
				denominator := b.u32([4][2]uint32{{1, 0}, {1001, 0}, {1, 8}, {1, 10}})
				h.ticks = float64(numerator) / float64(denominator)
				b.u32([4][2]uint32{{0, 0}, {0, 3}, {0, 16}, {0, 32}}) // loops
				b.flag()                                              // timecodes
			}
		}
		h.bits = b.depth()
		b.flag() // 16-bit buffers are enough
		h.premultiplied = b.extraChannels()
	}
	if b.cut {
		return h, true, errJXLHeader
	}
	return h, false, nil
}

// jxlStream is where the codestream begins in a file: bare, or in the boxes of a container.
type jxlStream struct {
	head      []byte // the first bytes of the codestream
	truncated bool
}

// walkJXL finds the codestream in content.
func walkJXL(content []byte) (s jxlStream, err error) {
	if len(content) >= 2 && content[0] == 0xff && content[1] == 0x0a {
		return jxlStream{head: content}, nil
	}
	err = walkBoxes(content, 0, len(content), &s.truncated, func(b box) error {
		switch {
		case s.head != nil:
			return nil // on, to learn whether the file is whole
		case b.kind == "jxlc":
			s.head = content[b.start:b.end]
		case b.kind == "jxlp" && b.end-b.start >= 4: // the first part; headers are within it
			if index := binary.BigEndian.Uint32(content[b.start:]); index&0x7fffffff == 0 {
				s.head = content[b.start+4 : b.end]
			}
		}
		return nil
	})
	if err == nil && s.head == nil {
		err = errors.New("no codestream")
	}
	return s, err
}

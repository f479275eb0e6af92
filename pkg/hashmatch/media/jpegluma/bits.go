package jpegluma

import "encoding/binary"

// bits reads the entropy-coded data of a scan. Past the end, which is where a marker is, it gives zeroes: whoever
// reads asks overrun after each block.
type bits struct {
	data []byte
	at   int    // the byte that comes next
	acc  uint64 // unread bits, the next one on top; below the first n it holds nothing that fill would not put there
	n    int    // how many bits of acc are filled
	pad  int    // how many of them are beyond the end
}

// needed is how many bits must be filled before a symbol and the bits that belong to it are read: 16 and 16.
const needed = 32

// fill fills acc with at least needed bits.
func (b *bits) fill() {
	if b.at+8 <= len(b.data) {
		if v := binary.BigEndian.Uint64(b.data[b.at:]); plain(v) {
			b.acc |= v >> (b.n & 63)
			bytes := (63 - b.n) >> 3
			b.at += bytes
			b.n += 8 * bytes
			return
		}
	}
	b.fillSlowly()
}

// plain reports whether none of the eight bytes of v is 0xff.
func plain(v uint64) bool {
	return (^v-0x0101010101010101)&v&0x8080808080808080 == 0
}

// fillSlowly fills byte by byte, and knows stuffed bytes, markers and the end.
func (b *bits) fillSlowly() {
	for b.n <= 56 {
		var c byte
		switch {
		case b.at >= len(b.data):
			b.pad += 8
		case b.data[b.at] != 0xff:
			c = b.data[b.at]
			b.at++
		case b.at+1 < len(b.data) && b.data[b.at+1] == 0:
			c = 0xff
			b.at += 2
		default:
			b.pad += 8
		}
		b.acc |= uint64(c) << (56 - b.n)
		b.n += 8
	}
}

// overrun reports whether more bits were read than there are.
func (b *bits) overrun() bool { return b.n < b.pad }

// take reads size bits, 0 to 16.
func (b *bits) take(size uint8) int32 {
	if b.n < needed {
		b.fill()
	}
	v := int32(b.acc >> 32 >> (32 - size))
	b.acc <<= size
	b.n -= int(size)
	return v
}

// extended reads a value of size bits, 0 to 16, whose first bit tells the sign.
func (b *bits) extended(size uint8) int32 {
	v := b.take(size)
	if size > 0 && v < 1<<(size-1) {
		v += 1 - 1<<size
	}
	return v
}

// align gives up the rest of the current byte and gives back whole bytes that were not read. It returns where the next
// byte is.
func (b *bits) align() int {
	for unread := (b.n - b.pad) >> 3; unread > 0 && b.at > 0; unread-- {
		b.at--
		if b.at > 0 && b.data[b.at] == 0 && b.data[b.at-1] == 0xff {
			b.at--
		}
	}
	b.acc, b.n, b.pad = 0, 0, 0
	return b.at
}

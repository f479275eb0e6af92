package jpegluma

import "encoding/binary"

// coefficients reads the AC coefficients of a block of a sequential scan and puts them, times q, into blk, which is
// zero. It returns the place of the last one in the zigzag and the sum of their squares; ok is false if they are
// malformed. q is in the order of the zigzag and up to maxStep, so that nothing overflows.
func (b *bits) coefficients(h *huffman, q *[64]int32, blk *block) (last int, energy int64, ok bool) {
	data, at, acc, n := b.data, b.at, b.acc, b.n
	for k := 1; k < 64; k++ {
		if n < needed {
			if v := next(data, at); plain(v) {
				acc |= v >> (n & 63)
				bytes := (63 - n) >> 3
				at += bytes
				n += 8 * bytes
			} else {
				b.at, b.acc, b.n = at, acc, n
				b.fillSlowly()
				at, acc, n = b.at, b.acc, b.n
			}
		}
		e := h.coefficients[acc>>(64-directBits)]
		length, run, v := int(e&lengthMask), int(e>>runShift&runMask), e>>valueShift
		acc <<= length & 63
		n -= length
		if length == 0 {
			b.at, b.acc, b.n = at, acc, n
			if run, v, ok = b.longCoefficient(h, e); !ok {
				return 0, 0, false
			}
			at, acc, n = b.at, b.acc, b.n
		}
		k += run
		if k > 63 {
			if run == endRun {
				break
			}
			return 0, 0, false
		}
		p := v * q[k]
		blk[natural[k]&63] = p
		energy += int64(p) * int64(p)
		last = k
	}
	b.at, b.acc, b.n = at, acc, n
	return last, energy, true
}

// next returns the next eight bytes; where there are not so many, a value that is not plain.
func next(data []byte, at int) uint64 {
	if at+8 > len(data) {
		return 0xff
	}
	return binary.BigEndian.Uint64(data[at:])
}

// measure reads the AC coefficients of a block as coefficients does, sums their squares, and adds each, weighted, to
// the sum of w that it belongs to.
func (b *bits) measure(h *huffman, w *weights, sums *[16]int64) (energy int64, ok bool) {
	data, at, acc, n := b.data, b.at, b.acc, b.n
	for k := 1; k < 64; k++ {
		if n < needed {
			if v := next(data, at); plain(v) {
				acc |= v >> (n & 63)
				bytes := (63 - n) >> 3
				at += bytes
				n += 8 * bytes
			} else {
				b.at, b.acc, b.n = at, acc, n
				b.fillSlowly()
				at, acc, n = b.at, b.acc, b.n
			}
		}
		e := h.coefficients[acc>>(64-directBits)]
		length, run, v := int(e&lengthMask), int(e>>runShift&runMask), e>>valueShift
		acc <<= length & 63
		n -= length
		if length == 0 {
			b.at, b.acc, b.n = at, acc, n
			if run, v, ok = b.longCoefficient(h, e); !ok {
				return 0, false
			}
			at, acc, n = b.at, b.acc, b.n
		}
		k += run
		if k > 63 {
			if run == endRun {
				break
			}
			return 0, false
		}
		p := int64(v) * w.step[k]
		energy += p * p
		sums[w.sum[k]&15] += int64(v) * w.weight[k]
	}
	b.at, b.acc, b.n = at, acc, n
	return energy, true
}

// longCoefficient reads a coefficient that the table does not hold whole. e is the entry that it has instead. At least
// needed bits are filled.
func (b *bits) longCoefficient(h *huffman, e int32) (run int, v int32, ok bool) {
	symbol := uint8(e >> valueShift)
	if e != 0 {
		length := int(e >> runShift & runMask)
		b.acc <<= length
		b.n -= length
	} else if symbol, ok = b.longSymbol(h); !ok {
		return 0, 0, false
	}
	run, size := int(symbol>>4), symbol&15
	if size == 0 {
		switch symbol {
		case 0:
			return endRun, 0, true
		case 0xf0:
			return 15, 0, true
		}
		return 0, 0, false // the end of more blocks than one
	}
	return run, b.extended(size), true
}

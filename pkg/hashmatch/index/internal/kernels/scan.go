package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A scan kernel compares every record with every query by a lower bound of their distance, and returns the first group
// of records in which a bound is within the threshold.
//
// The bound is made to be cheap, and to be above the threshold for unrelated hashes. The ones in a OR b are no more
// than those in a and those in b, and one count does for both. Of two unrelated hashes the bound is
//
//	1 word:  the distance itself                            32 +- 4    (of 64 bits)
//	2 words: |w0 or w1|                                     48 +- 3.5
//	3 words: |w0 or w1| + |w2|                              80 +- 5.3
//	4 words: |w0 or w1| + |w2 or w3|                        96 +- 4.9
//
// The first two read the first column of the records only.
const querySize = 32

type scan struct {
	words                  int
	head, tail, index, end Register
	queries, last, query   Register
}

func newScan(name string, words int) *scan {
	TEXT(name, NOSPLIT, "func(head *uint64, tail *uint64, records int, queries *uint64, count int, threshold int) int")
	s := &scan{words: words, index: GP64(), query: GP64(), last: GP64()}
	s.head = Load(Param("head"), GP64())
	if words > 2 {
		s.tail = Load(Param("tail"), GP64())
	}
	s.end = Load(Param("records"), GP64())
	s.queries = Load(Param("queries"), GP64())
	count := Load(Param("count"), GP64())
	MOVQ(count, s.last)
	SHLQ(U8(5), s.last)
	ADDQ(s.queries, s.last)
	XORQ(s.index, s.index)
	return s
}

// groups writes the loop over groups of so many records: load reads one, each compares it with s.query, and within
// jumps to "found" if a bound is within the threshold.
func (s *scan) groups(records int, load, each, within func()) {
	Label("group")
	CMPQ(s.index, s.end)
	JAE(LabelRef("found"))
	load()
	MOVQ(s.queries, s.query)
	Label("query")
	each()
	ADDQ(U8(querySize), s.query)
	CMPQ(s.query, s.last)
	JB(LabelRef("query"))
	within()
	ADDQ(U8(records), s.index)
	ADDQ(U32(8*records*min(s.words, 2)), s.head)
	if s.words > 2 {
		ADDQ(U32(16*records), s.tail)
	}
	JMP(LabelRef("group"))
	Label("found")
	Store(s.index, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

func (s *scan) word(i int) Mem { return Mem{Base: s.query, Disp: 8 * i} }

func scan512(words int) {
	s := newScan(fmt.Sprintf("scan%dAVX512", words), words)
	threshold := ZMM()
	VPBROADCASTQ(NewParamAddr("threshold", 40), threshold)
	ones := ZMM()
	VPTERNLOGQ(U8(0xff), ones, ones, ones)
	// halves[h][w] holds word w of 8 records, in the order 0 4 1 5 2 6 3 7 where a record has more than one.
	var halves [2][4]VecVirtual
	var nearest [2]VecVirtual
	for h := range halves {
		nearest[h] = ZMM()
		for w := range words {
			halves[h][w] = ZMM()
		}
	}
	pair := func(h int, base Register, w int) {
		a, b := ZMM(), ZMM()
		VMOVDQU64(Mem{Base: base, Disp: 128 * h}, a)
		VMOVDQU64(Mem{Base: base, Disp: 128*h + 64}, b)
		VPUNPCKLQDQ(b, a, halves[h][w])
		if w+1 < words {
			VPUNPCKHQDQ(b, a, halves[h][w+1])
		}
	}
	load := func() {
		for h := range halves {
			VMOVDQA64(ones, nearest[h])
			switch {
			case words == 1:
				VMOVDQU64(Mem{Base: s.head, Disp: 64 * h}, halves[h][0])
			case words == 2:
				pair(h, s.head, 0)
			default:
				pair(h, s.head, 0)
				pair(h, s.tail, 2)
			}
		}
	}
	const either = 0xf6 // a | (b ^ c)
	each := func() {
		var q [4]VecVirtual
		for w := range words {
			q[w] = ZMM()
			VPBROADCASTQ(s.word(w), q[w])
		}
		for h := range halves {
			x := ZMM()
			VPXORQ(halves[h][0], q[0], x)
			if words > 1 {
				VPTERNLOGQ(U8(either), q[1], halves[h][1], x)
			}
			VPOPCNTQ(x, x)
			if words > 2 {
				y := ZMM()
				VPXORQ(halves[h][2], q[2], y)
				if words > 3 {
					VPTERNLOGQ(U8(either), q[3], halves[h][3], y)
				}
				VPOPCNTQ(y, y)
				VPADDQ(x, y, x)
			}
			VPMINUQ(x, nearest[h], nearest[h])
		}
	}
	s.groups(16, load, each, func() {
		k := K()
		VPMINUQ(nearest[0], nearest[1], nearest[0])
		VPCMPUQ(U8(lessOrEqual), threshold, nearest[0], k)
		KORTESTB(k, k)
		JNZ(LabelRef("found"))
	})
}

func scan256(words int) {
	s := newScan(fmt.Sprintf("scan%dAVX2", words), words)
	threshold, zero, nearest := YMM(), YMM(), YMM()
	VPBROADCASTQ(NewParamAddr("threshold", 40), threshold)
	VPXOR(zero, zero, zero)
	counter := &counter256{}
	counter.setUp()
	var column [4]VecVirtual // of 4 records, in the order 0 2 1 3 where a record has more than one word
	for w := range words {
		column[w] = YMM()
	}
	pair := func(base Register, w int) {
		a, b := YMM(), YMM()
		VMOVDQU(Mem{Base: base}, a)
		VMOVDQU(Mem{Base: base, Disp: 32}, b)
		VPUNPCKLQDQ(b, a, column[w])
		if w+1 < words {
			VPUNPCKHQDQ(b, a, column[w+1])
		}
	}
	load := func() {
		VPCMPEQD(nearest, nearest, nearest)
		if words == 1 {
			VMOVDQU(Mem{Base: s.head}, column[0])
			return
		}
		pair(s.head, 0)
		if words > 2 {
			pair(s.tail, 2)
		}
	}
	difference := func(w int) VecVirtual {
		x := YMM()
		VPBROADCASTQ(s.word(w), x)
		VPXOR(x, column[w], x)
		return x
	}
	each := func() {
		x := difference(0)
		if words > 1 {
			VPOR(x, difference(1), x)
		}
		counter.bytes(x)
		if words > 2 {
			y := difference(2)
			if words > 3 {
				VPOR(y, difference(3), y)
			}
			counter.bytes(y)
			VPADDB(x, y, x)
		}
		VPSADBW(zero, x, x)
		VPMINUD(x, nearest, nearest)
	}
	s.groups(4, load, each, func() {
		Comment("The upper dwords are zero: none is above the threshold's.")
		above := GP32()
		VPCMPGTQ(threshold, nearest, nearest)
		VMOVMSKPD(nearest, above)
		CMPL(above, U8(0xf))
		JNE(LabelRef("found"))
	})
}

// counter256 counts the ones of each byte by looking its halves up.
type counter256 struct{ table, low VecVirtual }

func (c *counter256) setUp() {
	c.table, c.low = YMM(), YMM()
	t := GP64()
	x, y := XMM(), XMM()
	MOVQ(U64(0x0302020102010100), t)
	VMOVQ(t, x)
	MOVQ(U64(0x0403030203020201), t)
	VMOVQ(t, y)
	VPUNPCKLQDQ(y, x, x)
	VINSERTI128(U8(1), x, x.AsY(), c.table)
	mask := GP32()
	MOVL(U32(0x0f0f0f0f), mask)
	VMOVD(mask, x)
	VPBROADCASTD(x, c.low)
}

// bytes replaces each byte of x by the number of its ones.
func (c *counter256) bytes(x VecVirtual) {
	high := YMM()
	VPSRLW(U8(4), x, high)
	VPAND(c.low, x, x)
	VPAND(c.low, high, high)
	VPSHUFB(x, c.table, x)
	VPSHUFB(high, c.table, high)
	VPADDB(x, high, x)
}

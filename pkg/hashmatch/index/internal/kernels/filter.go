package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The layout of a span of package index, and what it says about the words that the kernels exchange with it.
const (
	spanSize   = 16
	spanAt     = 0  // uint64: table << 48 | posting
	spanCount  = 8  // uint16: postings
	spanWanted = 10 // uint16: the query's next chunk
	spanLimit  = 12 // uint16: the most bits in which the next chunk may differ

	postingBits = 48
)

// aheadOf is the number of lists whose lines are on their way while one is filtered.
const aheadOf = 32

// A listFilter holds the registers of a kernel that filters lists.
type listFilter struct {
	spans, last, ahead Register // the list at work, the end of all, the next one to fetch
	next, ids, width   Register
	out, room, count   Register
	at, from, left     Register // of the block at work: table and posting, address, postings left in the list
	near               Register // one bit (AVX-512) or two (AVX2) a posting that passes
}

// filter writes a kernel that appends the postings which pass their list's limit to survivors. It stops before a list
// with more postings than there is room for survivors, and returns the lists done and the survivors.
//
// setUp is written once, begin once a list, block for a full block, rest for the 1 to block-1 postings after the last.
func filter(name string, step int, bitsEach uint64, setUp func(), begin, block, rest func(f *listFilter)) {
	TEXT(name, NOSPLIT, "func(spans *byte, lists int, next *byte, ids *byte, width int, survivors *uint64, room int) (done int, count int)")
	f := &listFilter{at: GP64(), from: GP64(), left: GP64(), near: GP64(), last: GP64(), ahead: GP64(), count: GP64()}
	f.spans = Load(Param("spans"), GP64())
	lists := Load(Param("lists"), GP64())
	f.next = Load(Param("next"), GP64())
	f.ids = Load(Param("ids"), GP64())
	f.width = Load(Param("width"), GP64())
	f.out = Load(Param("survivors"), GP64())
	f.room = Load(Param("room"), GP64())
	MOVQ(lists, f.last)
	SHLQ(U8(4), f.last)
	ADDQ(f.spans, f.last)
	MOVQ(f.spans, f.ahead)
	XORQ(f.count, f.count)
	setUp()

	Label("list")
	CMPQ(f.spans, f.last)
	JAE(LabelRef("done"))

	Label("fetch")
	fetched := GP64()
	LEAQ(Mem{Base: f.spans, Disp: aheadOf * spanSize}, fetched)
	CMPQ(f.ahead, fetched)
	JAE(LabelRef("fetched"))
	CMPQ(f.ahead, f.last)
	JAE(LabelRef("fetched"))
	line, end := GP64(), GP64()
	f.address(f.ahead, line)
	MOVWQZX(Mem{Base: f.ahead, Disp: spanCount}, end)
	LEAQ(Mem{Base: line, Index: end, Scale: 2, Disp: -1}, end)
	Label("line")
	PREFETCHT0(Mem{Base: line})
	ADDQ(U8(64), line)
	CMPQ(line, end)
	JB(LabelRef("line"))
	Comment("Lists start anywhere in a line: the last byte may be in one more.")
	PREFETCHT0(Mem{Base: end})
	ADDQ(U8(spanSize), f.ahead)
	JMP(LabelRef("fetch"))
	Label("fetched")

	MOVWQZX(Mem{Base: f.spans, Disp: spanCount}, f.left)
	after := GP64()
	LEAQ(Mem{Base: f.count, Index: f.left, Scale: 1}, after)
	CMPQ(after, f.room)
	JA(LabelRef("done"))
	MOVQ(Mem{Base: f.spans, Disp: spanAt}, f.at)
	f.address(f.spans, f.from)
	begin(f)

	Label("block")
	CMPQ(f.left, U8(step))
	JB(LabelRef("rest"))
	block(f)
	SUBQ(U8(step), f.left)
	Label("sift")
	TESTL(f.near.(GPVirtual).As32(), f.near.(GPVirtual).As32())
	JNZ(LabelRef("near"))
	Label("sifted")
	ADDQ(U8(2*step), f.from)
	ADDQ(U8(step), f.at)
	TESTQ(f.left, f.left)
	JNZ(LabelRef("block"))
	ADDQ(U8(spanSize), f.spans)
	JMP(LabelRef("list"))

	Label("rest")
	rest(f)
	XORQ(f.left, f.left)
	JMP(LabelRef("sift"))

	Label("near")
	posting := GP64()
	TZCNTQ(f.near, posting)
	BLSRQ(f.near, f.near)
	if bitsEach == 2 {
		BLSRQ(f.near, f.near)
		SHRQ(U8(1), posting)
	}
	ADDQ(f.at, posting)
	MOVQ(posting, Mem{Base: f.out, Index: f.count, Scale: 8})
	INCQ(f.count)
	SHLQ(U8(64-postingBits), posting)
	SHRQ(U8(64-postingBits), posting)
	IMULQ(f.width, posting)
	PREFETCHT0(Mem{Base: f.ids, Index: posting, Scale: 1})
	TESTQ(f.near, f.near)
	JNZ(LabelRef("near"))
	JMP(LabelRef("sifted"))

	Label("done")
	first := Load(Param("spans"), GP64())
	SUBQ(first, f.spans)
	SHRQ(U8(4), f.spans)
	Store(f.spans, Return("done"))
	Store(f.count, Return("count"))
	VZEROUPPER()
	RET()
}

// address sets to to the address of a span's first next chunk.
func (f *listFilter) address(span, to Register) {
	MOVQ(Mem{Base: span, Disp: spanAt}, to)
	SHLQ(U8(64-postingBits), to)
	SHRQ(U8(64-postingBits-1), to)
	ADDQ(f.next, to)
}

func filter512() {
	wanted, limit, chunks := ZMM(), ZMM(), ZMM()
	near, some := K(), K()
	mask := GP64()
	filter("filterAVX512", 32, 1,
		func() {},
		func(f *listFilter) {
			VPBROADCASTW(Mem{Base: f.spans, Disp: spanWanted}, wanted)
			VPBROADCASTW(Mem{Base: f.spans, Disp: spanLimit}, limit)
		},
		func(f *listFilter) {
			VPXORQ(Mem{Base: f.from}, wanted, chunks)
			VPOPCNTW(chunks, chunks)
			VPCMPUW(U8(lessOrEqual), limit, chunks, near)
			KMOVD(near, f.near.(GPVirtual).As32())
		},
		func(f *listFilter) {
			MOVQ(I32(-1), mask)
			BZHIQ(f.left, mask, mask)
			KMOVD(mask.As32(), some)
			VMOVDQU16_Z(Mem{Base: f.from}, some, chunks)
			VPXORQ(chunks, wanted, chunks)
			VPOPCNTW(chunks, chunks)
			VPCMPUW(U8(lessOrEqual), limit, chunks, some, near)
			KMOVD(near, f.near.(GPVirtual).As32())
		})
}

const lessOrEqual = 2

func filter256() {
	counter := &counter256{}
	wanted, limit, chunks, ones, some := YMM(), YMM(), YMM(), YMM(), YMM()
	dwords, mask := GP64(), GP64()
	// From byte 32 - 4n on, the first n dwords of 8 are set.
	masks := GLOBL("someDwords", RODATA|NOPTR)
	for i := range 16 {
		value := uint32(0)
		if i < 8 {
			value = 0xffffffff
		}
		DATA(4*i, U32(value))
	}
	near := func(f *listFilter) {
		VPXOR(chunks, wanted, chunks)
		counter.bytes(chunks)
		VPMADDUBSW(ones, chunks, chunks)
		VPCMPGTW(limit, chunks, chunks)
		VPMOVMSKB(chunks, f.near.(GPVirtual).As32())
		NOTL(f.near.(GPVirtual).As32())
	}
	filter("filterAVX2", 16, 2,
		func() {
			counter.setUp()
			one := GP32()
			MOVL(U32(0x01010101), one)
			x := XMM()
			VMOVD(one, x)
			VPBROADCASTD(x, ones)
		},
		func(f *listFilter) {
			VPBROADCASTW(Mem{Base: f.spans, Disp: spanWanted}, wanted)
			VPBROADCASTW(Mem{Base: f.spans, Disp: spanLimit}, limit)
		},
		func(f *listFilter) {
			VMOVDQU(Mem{Base: f.from}, chunks)
			near(f)
		},
		func(f *listFilter) {
			Comment("An odd posting is read with the one after it, or with padding.")
			LEAQ(Mem{Base: f.left, Disp: 1}, dwords)
			SHRQ(U8(1), dwords)
			NEGQ(dwords)
			LEAQ(masks.Offset(32), mask)
			VMOVDQU(Mem{Base: mask, Index: dwords, Scale: 4}, some)
			VPMASKMOVD(Mem{Base: f.from}, some, chunks)
			near(f)
			LEAQ(Mem{Base: f.left, Index: f.left, Scale: 1}, mask)
			BZHIQ(mask, f.near, f.near)
		})
}

// lookUp replaces survivors' postings by their records and fetches those: its reads wait for nothing but each other's
// turn.
func lookUp() {
	TEXT("lookUpAMD64", NOSPLIT, "func(survivors *uint64, count int, ids *byte, width int, head *uint64, size int)")
	at := Load(Param("survivors"), GP64())
	last := Load(Param("count"), GP64())
	ids := Load(Param("ids"), GP64())
	width := Load(Param("width"), GP64())
	head := Load(Param("head"), GP64())
	size := Load(Param("size"), GP64())
	LEAQ(Mem{Base: at, Index: last, Scale: 8}, last)
	mask := GP32()
	MOVL(U32(0xffffffff), mask)
	CMPQ(width, U8(4))
	JE(LabelRef("next"))
	MOVL(U32(0x00ffffff), mask)
	Label("next")
	CMPQ(at, last)
	JAE(LabelRef("done"))
	survivor, posting, id := GP64(), GP64(), GP64()
	MOVQ(Mem{Base: at}, survivor)
	MOVQ(survivor, posting)
	SHLQ(U8(64-postingBits), posting)
	SHRQ(U8(64-postingBits), posting)
	IMULQ(width, posting)
	MOVL(Mem{Base: ids, Index: posting, Scale: 1}, id.As32())
	ANDL(mask, id.As32())
	SHRQ(U8(postingBits), survivor)
	SHLQ(U8(postingBits), survivor)
	ORQ(id, survivor)
	MOVQ(survivor, Mem{Base: at})
	IMULQ(size, id)
	PREFETCHT0(Mem{Base: head, Index: id, Scale: 1})
	ADDQ(U8(8), at)
	JMP(LabelRef("next"))
	Label("done")
	RET()
}

// nearHeads keeps the records among the survivors whose first 128 bits are within threshold, puts that distance into
// bits 32 to 47 of each, fetches the rest of those and returns how many they are. It has no branch to guess wrong:
// at wide thresholds half of the records pass.
func nearHeads() {
	TEXT("nearHeadsAMD64", NOSPLIT, "func(survivors *uint64, count int, head *uint64, tail *uint64, query *uint64, threshold int) int")
	from := Load(Param("survivors"), GP64())
	last := Load(Param("count"), GP64())
	head := Load(Param("head"), GP64())
	tail := Load(Param("tail"), GP64())
	query := Load(Param("query"), GP64())
	threshold := Load(Param("threshold"), GP64())
	to := GP64()
	MOVQ(from, to)
	LEAQ(Mem{Base: from, Index: last, Scale: 8}, last)
	q0, q1 := GP64(), GP64()
	MOVQ(Mem{Base: query}, q0)
	MOVQ(Mem{Base: query, Disp: 8}, q1)
	one := GP64()
	XORQ(one, one)
	Label("next")
	CMPQ(from, last)
	JAE(LabelRef("done"))
	survivor, id, d, e := GP64(), GP64(), GP64(), GP64()
	MOVQ(Mem{Base: from}, survivor)
	MOVL(survivor.As32(), id.As32())
	SHLQ(U8(4), id)
	MOVQ(Mem{Base: head, Index: id, Scale: 1}, d)
	MOVQ(Mem{Base: head, Index: id, Scale: 1, Disp: 8}, e)
	PREFETCHT0(Mem{Base: tail, Index: id, Scale: 1})
	XORQ(q0, d)
	XORQ(q1, e)
	POPCNTQ(d, d)
	POPCNTQ(e, e)
	ADDQ(e, d)
	CMPQ(d, threshold)
	SETLE(one.As8())
	SHLQ(U8(32), d)
	ORQ(d, survivor)
	MOVQ(survivor, Mem{Base: to})
	LEAQ(Mem{Base: to, Index: one, Scale: 8}, to)
	ADDQ(U8(8), from)
	JMP(LabelRef("next"))
	Label("done")
	first := Load(Param("survivors"), GP64())
	SUBQ(first, to)
	SHRQ(U8(3), to)
	Store(to, ReturnIndex(0))
	RET()
}

// fetchBounds fetches the offsets of value ^ flip for each flip. Reads would do as well, but no more than a few of
// their iterations fit into what the processor looks ahead.
func fetchBounds() {
	TEXT("fetchBoundsAMD64", NOSPLIT, "func(offsets *uint32, value int, flips *uint16, count int)")
	offsets := Load(Param("offsets"), GP64())
	value := Load(Param("value"), GP64())
	flips := Load(Param("flips"), GP64())
	last := Load(Param("count"), GP64())
	LEAQ(Mem{Base: flips, Index: last, Scale: 2}, last)
	Label("next")
	CMPQ(flips, last)
	JAE(LabelRef("done"))
	bucket := GP64()
	MOVWQZX(Mem{Base: flips}, bucket)
	XORQ(value, bucket)
	PREFETCHT0(Mem{Base: offsets, Index: bucket, Scale: 4})
	ADDQ(U8(2), flips)
	JMP(LabelRef("next"))
	Label("done")
	RET()
}

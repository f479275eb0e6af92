package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// rows does steps, a multiple of 8, of the rows of a band whose sums are given: the values that come start window
// columns after those that go, and the output of step i of row k is out[k*stride+i].
func rows() {
	TEXT("rowsAVX2", NOSPLIT, "func(out *float32, stride int, in *float32, window int, by *float32, steps int, sums *float32)")
	out := Load(Param("out"), GP64())
	stride := Load(Param("stride"), GP64())
	sub := Load(Param("in"), GP64())
	add := Load(Param("window"), GP64())
	by := Load(Param("by"), GP64())
	left := Load(Param("steps"), GP64())
	sums := Load(Param("sums"), GP64())
	SHLQ(U8(5), add)
	ADDQ(sub, add)
	m := matrixOf(out, stride)
	s := YMM()
	VMOVUPS(Mem{Base: sums}, s)
	Label("next")
	SUBQ(U8(lanes), left)
	JL(LabelRef("done"))
	var o [8]VecVirtual
	for i := range o {
		o[i] = YMM()
		VADDPS(Mem{Base: add, Disp: vector * i}, s, s)
		VBROADCASTSS(Mem{Base: by, Disp: 4 * i}, o[i])
		VSUBPS(Mem{Base: sub, Disp: vector * i}, s, s)
		VDIVPS(o[i], s, o[i])
	}
	for k, row := range transpose8(o) {
		VMOVUPS(row, m.row(k, 0))
	}
	ADDQ(U32(lanes*vector), add)
	ADDQ(U32(lanes*vector), sub)
	ADDQ(U8(vector), by)
	m.advance(vector)
	JMP(LabelRef("next"))
	Label("done")
	VMOVUPS(s, Mem{Base: sums})
	VZEROUPPER()
	RET()
}

// sliceSize is the size of a slice's header, whose first word is the address.
const sliceSize = 24

// columns does 8 steps of n columns, a multiple of 8, whose sums are given: at step k, values x and on of in[k] come and
// those of old[k] go. The outputs of a column are stored together.
func columns() {
	TEXT("columnsAVX2", NOSPLIT, "func(out *float32, sums *float32, n int, in *[8][]float32, old *[8][]float32, x int, by *[8]float32)")
	out := Load(Param("out"), GP64())
	sums := Load(Param("sums"), GP64())
	left := Load(Param("n"), GP64())
	in := Load(Param("in"), GP64())
	old := Load(Param("old"), GP64())
	at := Load(Param("x"), GP64())
	by := Load(Param("by"), GP64())
	SHLQ(U8(2), at)
	Label("next")
	SUBQ(U8(lanes), left)
	JL(LabelRef("done"))
	s := YMM()
	VMOVUPS(Mem{Base: sums}, s)
	var o [8]VecVirtual
	for k := range o {
		row := GP64()
		o[k] = YMM()
		MOVQ(Mem{Base: in, Disp: sliceSize * k}, row)
		VADDPS(Mem{Base: row, Index: at, Scale: 1}, s, s)
		VBROADCASTSS(Mem{Base: by, Disp: 4 * k}, o[k])
		MOVQ(Mem{Base: old, Disp: sliceSize * k}, row)
		VSUBPS(Mem{Base: row, Index: at, Scale: 1}, s, s)
		VDIVPS(o[k], s, o[k])
	}
	VMOVUPS(s, Mem{Base: sums})
	for i, column := range transpose8(o) {
		VMOVUPS(column, Mem{Base: out, Disp: vector * i})
	}
	ADDQ(U8(vector), at)
	ADDQ(U8(vector), sums)
	ADDQ(U32(lanes*vector), out)
	JMP(LabelRef("next"))
	Label("done")
	VZEROUPPER()
	RET()
}

// sample does the steps of the rows of a band from one on, in being the values that go at step from, and writes the
// outputs after so many steps as ends says, n times.
func sample() {
	TEXT("sampleAVX2", NOSPLIT, "func(points *float32, in *float32, window int, from int, ends *int, by *float32, n int, sums *float32)")
	out := Load(Param("points"), GP64())
	sub := Load(Param("in"), GP64())
	add := Load(Param("window"), GP64())
	from := Load(Param("from"), GP64())
	ends := Load(Param("ends"), GP64())
	by := Load(Param("by"), GP64())
	left := Load(Param("n"), GP64())
	sums := Load(Param("sums"), GP64())
	SHLQ(U8(5), add)
	s := YMM()
	VMOVUPS(Mem{Base: sums}, s)
	Label("next")
	DECQ(left)
	JL(LabelRef("done"))
	steps := GP64()
	MOVQ(Mem{Base: ends}, steps)
	SUBQ(from, steps)
	JZ(LabelRef("write"))
	ADDQ(steps, from)
	Label("step")
	VADDPS(Mem{Base: sub, Index: add, Scale: 1}, s, s)
	VSUBPS(Mem{Base: sub}, s, s)
	ADDQ(U8(vector), sub)
	DECQ(steps)
	JNZ(LabelRef("step"))
	Label("write")
	o := YMM()
	VBROADCASTSS(Mem{Base: by}, o)
	VDIVPS(o, s, o)
	VMOVUPS(o, Mem{Base: out})
	ADDQ(U8(vector), out)
	ADDQ(U8(8), ends)
	ADDQ(U8(4), by)
	JMP(LabelRef("next"))
	Label("done")
	VMOVUPS(s, Mem{Base: sums})
	VZEROUPPER()
	RET()
}

// product multiplies a matrix of 16 x 64 by one of 64 x width. Each sum ascends.
func product(width int) {
	name := map[int]string{64: "product64AVX2", 16: "product16AVX2"}[width]
	TEXT(name, NOSPLIT, "func(out *float32, a *float32, b *float32)")
	out := Load(Param("out"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	left := GP64()
	MOVQ(U32(16), left)
	Label("row")
	s := make([]VecVirtual, width/lanes)
	for i := range s {
		s[i] = YMM()
		VXORPS(s[i], s[i], s[i])
	}
	right, steps := GP64(), GP64()
	MOVQ(b, right)
	MOVQ(U32(64), steps)
	Label("step")
	factor := YMM()
	VBROADCASTSS(Mem{Base: a}, factor)
	for i := range s {
		p := YMM()
		VMULPS(Mem{Base: right, Disp: vector * i}, factor, p)
		VADDPS(p, s[i], s[i])
	}
	ADDQ(U8(4), a)
	ADDQ(U32(uint32(4*width)), right)
	DECQ(steps)
	JNZ(LabelRef("step"))
	for i := range s {
		VMOVUPS(s[i], Mem{Base: out, Disp: vector * i})
	}
	ADDQ(U32(uint32(4*width)), out)
	DECQ(left)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

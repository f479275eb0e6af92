// Command asm writes the assembly of package pdq for amd64. It is a module of its own, so that who builds hashmatch
// needs neither it nor what it is made with. Run it with go generate in package pdq.
//
// Every kernel does the additions, subtractions, multiplications and divisions of its portable twin in the same order,
// and none that fuses two of them: so all results are the same bits. None looks at a length but the one that it gets.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// lanes is the number of rows in a band, and of float32 values in a YMM register.
const (
	lanes  = 8
	vector = 4 * lanes // bytes
)

func main() {
	interleave()
	rows()
	columns()
	sample()
	deal()
	gray()
	rgba()
	constants()
	ycbcrFull()
	ycbcrHalf()
	product(64)
	product(16)
	Generate()
}

// A matrix addresses 8 rows of equal stride.
type matrix struct {
	first, fifth        Register
	stride, threeStride Register
}

// matrixOf takes the register of the first row's address and that of the stride in values; both are used up.
func matrixOf(first, stride Register) *matrix {
	m := &matrix{first, GP64(), stride, GP64()}
	SHLQ(U8(2), m.stride)
	LEAQ(Mem{Base: m.stride, Index: m.stride, Scale: 2}, m.threeStride)
	LEAQ(Mem{Base: m.first, Index: m.stride, Scale: 4}, m.fifth)
	return m
}

// row returns where row k is, shift bytes on.
func (m *matrix) row(k, shift int) Mem {
	at := Mem{Base: m.first, Disp: shift}
	if k >= 4 {
		at.Base = m.fifth
	}
	switch k % 4 {
	case 1:
		at.Index, at.Scale = m.stride, 1
	case 2:
		at.Index, at.Scale = m.stride, 2
	case 3:
		at.Index, at.Scale = m.threeStride, 1
	}
	return at
}

func (m *matrix) advance(bytes uint8) {
	ADDQ(U8(bytes), m.first)
	ADDQ(U8(bytes), m.fifth)
}

// transpose4 transposes, in each half of four registers, the 4 x 4 values there.
func transpose4(r [4]VecVirtual) [4]VecVirtual {
	low0, low1 := YMM(), YMM()
	VUNPCKLPS(r[1], r[0], low0)
	VUNPCKHPS(r[1], r[0], r[0])
	VUNPCKLPS(r[3], r[2], low1)
	VUNPCKHPS(r[3], r[2], r[2])
	out := [4]VecVirtual{r[1], low0, r[3], r[0]}
	VUNPCKLPD(low1, low0, out[0])
	VUNPCKHPD(low1, low0, out[1])
	VUNPCKLPD(r[2], r[0], out[2])
	VUNPCKHPD(r[2], r[0], out[3])
	return out
}

// transpose8 transposes 8 x 8 values.
func transpose8(r [8]VecVirtual) (out [8]VecVirtual) {
	a := transpose4([4]VecVirtual(r[:4]))
	b := transpose4([4]VecVirtual(r[4:]))
	for i := range a {
		out[i], out[i+4] = YMM(), a[i]
		VPERM2F128(U8(0x20), b[i], a[i], out[i])
		VPERM2F128(U8(0x31), b[i], a[i], out[i+4])
	}
	return out
}

// transposeRows stores the columns of 8 rows of 8 values from m on, one after the other.
func transposeRows(m *matrix, out Register) {
	for half := range 2 {
		var r [4]VecVirtual
		for k := range r {
			r[k] = YMM()
			VMOVUPS(m.row(k, 16*half), r[k].AsX())
			VINSERTF128(U8(1), m.row(k+4, 16*half), r[k], r[k])
		}
		for i, column := range transpose4(r) {
			VMOVUPS(column, Mem{Base: out, Disp: vector * (4*half + i)})
		}
	}
}

// interleave stores the columns of 8 rows; n is a multiple of 8.
func interleave() {
	TEXT("interleaveAVX2", NOSPLIT, "func(out *float32, rows *float32, stride int, n int)")
	out := Load(Param("out"), GP64())
	first := Load(Param("rows"), GP64())
	stride := Load(Param("stride"), GP64())
	left := Load(Param("n"), GP64())
	m := matrixOf(first, stride)
	Label("next")
	SUBQ(U8(lanes), left)
	JL(LabelRef("done"))
	transposeRows(m, out)
	m.advance(vector)
	ADDQ(U32(lanes*vector), out)
	JMP(LabelRef("next"))
	Label("done")
	VZEROUPPER()
	RET()
}

// deal stores the rows of 64 columns of 8 values, one after the other.
func deal() {
	TEXT("dealAVX2", NOSPLIT, "func(rows *float32, points *float32)")
	out := Load(Param("rows"), GP64())
	in := Load(Param("points"), GP64())
	left := GP64()
	MOVQ(U32(64/lanes), left)
	Label("next")
	var r [8]VecVirtual
	for i := range r {
		r[i] = YMM()
		VMOVUPS(Mem{Base: in, Disp: vector * i}, r[i])
	}
	for k, row := range transpose8(r) {
		VMOVUPS(row, Mem{Base: out, Disp: 4 * 64 * k})
	}
	ADDQ(U32(lanes*vector), in)
	ADDQ(U8(vector), out)
	DECQ(left)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

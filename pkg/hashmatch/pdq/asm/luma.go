package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// weights are what red, green and blue are multiplied with.
var weights = [3]float32{.299, .587, .114}

// broadcast fills a register with a 32-bit value.
func broadcast(v uint32) VecVirtual {
	x, y, g := XMM(), YMM(), GP32()
	MOVL(U32(v), g)
	VMOVD(g, x)
	VPBROADCASTD(x, y)
	return y
}

func weighting() (w [3]VecVirtual) {
	for i, v := range weights {
		w[i] = broadcast(math.Float32bits(v))
	}
	return w
}

// weigh returns the brightness of 8 pixels whose red, green and blue are integers. Those are overwritten.
func weigh(w [3]VecVirtual, rgb [3]VecVirtual) VecVirtual {
	for i, c := range rgb {
		VCVTDQ2PS(c, c)
		VMULPS(w[i], c, c)
	}
	VADDPS(rgb[1], rgb[0], rgb[0])
	VADDPS(rgb[2], rgb[0], rgb[0])
	return rgb[0]
}

// loop writes a loop over n pixels, so many at a time; n is a multiple of that.
func loop(left Register, pixels uint8, body func()) {
	Label("next")
	SUBQ(U8(pixels), left)
	JL(LabelRef("done"))
	body()
	JMP(LabelRef("next"))
	Label("done")
	VZEROUPPER()
	RET()
}

func gray() {
	TEXT("grayAVX2", NOSPLIT, "func(dst *float32, pix *uint8, n int)")
	dst := Load(Param("dst"), GP64())
	pix := Load(Param("pix"), GP64())
	loop(Load(Param("n"), GP64()), 16, func() {
		for half := range 2 {
			v := YMM()
			VPMOVZXBD(Mem{Base: pix, Disp: lanes * half}, v)
			VCVTDQ2PS(v, v)
			VMOVUPS(v, Mem{Base: dst, Disp: vector * half})
		}
		ADDQ(U8(16), pix)
		ADDQ(U8(2*vector), dst)
	})
}

func rgba() {
	TEXT("rgbaAVX2", NOSPLIT, "func(dst *float32, pix *uint8, n int)")
	dst := Load(Param("dst"), GP64())
	pix := Load(Param("pix"), GP64())
	left := Load(Param("n"), GP64())
	w, low := weighting(), broadcast(0xff)
	loop(left, 8, func() {
		r, g, b := YMM(), YMM(), YMM()
		VMOVDQU(Mem{Base: pix}, b)
		VPAND(low, b, r)
		VPSRLD(U8(8), b, g)
		VPAND(low, g, g)
		VPSRLD(U8(16), b, b)
		VPAND(low, b, b)
		VMOVUPS(weigh(w, [3]VecVirtual{r, g, b}), Mem{Base: dst})
		ADDQ(U8(vector), pix)
		ADDQ(U8(vector), dst)
	})
}

// A converter turns YCbCr into brightness as image/color and the tables of package pdq do.
type converter struct {
	weights                 [3]VecVirtual
	r, gu, gv, b, zero      VecVirtual // the factors of cr, cb, cr and cb, in 65536ths
	luma, cb, cr, dst, left Register
}

func newConverter(name string) *converter {
	TEXT(name, NOSPLIT, "func(dst *float32, luma *uint8, cb *uint8, cr *uint8, n int)")
	c := &converter{luma: GP64(), cb: GP64(), cr: GP64(), dst: GP64(), left: GP64()}
	Load(Param("dst"), c.dst)
	Load(Param("luma"), c.luma)
	Load(Param("cb"), c.cb)
	Load(Param("cr"), c.cr)
	Load(Param("n"), c.left)
	c.weights = weighting()
	negative := func(v int32) uint32 { return uint32(-v) }
	c.r, c.gu, c.gv, c.b = broadcast(91881), broadcast(negative(22554)), broadcast(negative(46802)), broadcast(116130)
	c.zero = YMM()
	VPXOR(c.zero, c.zero, c.zero)
	return c
}

// memory returns a constant of 8 values.
func memory(name string, value func(i int) uint32) Mem {
	at := GLOBL(name, RODATA|NOPTR)
	for i := range lanes {
		DATA(4*i, U32(value(i)))
	}
	return at
}

// The constants that the registers have no room for: 128, 255, and the shuffle that makes y * 0x10101 of y.
var middle, most, thrice Mem

func constants() {
	middle = memory("middle", func(int) uint32 { return 128 })
	most = memory("most", func(int) uint32 { return 255 })
	thrice = memory("thrice", func(i int) uint32 { return 0x80000000 | uint32(i%4)*0x040404 })
}

// chroma returns what 8 pairs of chroma samples add to red, green and blue.
func (c *converter) chroma() [3]VecVirtual {
	u, v, r, g := YMM(), YMM(), YMM(), YMM()
	VPMOVZXBD(Mem{Base: c.cb}, u)
	VPMOVZXBD(Mem{Base: c.cr}, v)
	VPSUBD(middle, u, u)
	VPSUBD(middle, v, v)
	VPMULLD(c.r, v, r)
	VPMULLD(c.gv, v, v)
	VPMULLD(c.gu, u, g)
	VPADDD(v, g, g)
	VPMULLD(c.b, u, u)
	return [3]VecVirtual{r, g, u}
}

// pixels stores the brightness of 8 pixels; chroma is overwritten.
func (c *converter) pixels(chroma [3]VecVirtual, half int) {
	y := YMM()
	VPMOVZXBD(Mem{Base: c.luma, Disp: lanes * half}, y)
	VPSHUFB(thrice, y, y)
	for _, v := range chroma {
		VPADDD(y, v, v)
		VPSRAD(U8(16), v, v)
		VPMAXSD(c.zero, v, v)
		VPMINSD(most, v, v)
	}
	VMOVUPS(weigh(c.weights, chroma), Mem{Base: c.dst, Disp: vector * half})
}

// ycbcrFull is for pictures with a pair of chroma samples for every pixel.
func ycbcrFull() {
	c := newConverter("ycbcrFullAVX2")
	loop(c.left, 8, func() {
		c.pixels(c.chroma(), 0)
		ADDQ(U8(8), c.luma)
		ADDQ(U8(8), c.cb)
		ADDQ(U8(8), c.cr)
		ADDQ(U8(vector), c.dst)
	})
}

// ycbcrHalf is for pictures with a pair of chroma samples for every two pixels of a row.
func ycbcrHalf() {
	c := newConverter("ycbcrHalfAVX2")
	loop(c.left, 16, func() {
		full := c.chroma()
		var low, high [3]VecVirtual
		for i, v := range full {
			Comment("The order 0 1 4 5 2 3 6 7 makes pairs of neighbours out of what the unpacking finds in each half.")
			VPERMQ(U8(0xd8), v, v)
			low[i], high[i] = YMM(), v
			VPUNPCKLDQ(v, v, low[i])
			VPUNPCKHDQ(v, v, high[i])
		}
		c.pixels(low, 0)
		c.pixels(high, 1)
		ADDQ(U8(16), c.luma)
		ADDQ(U8(8), c.cb)
		ADDQ(U8(8), c.cr)
		ADDQ(U8(2*vector), c.dst)
	})
}

package jpegluma

// block is the coefficients of 8 x 8 pixels in natural order, dequantised.
type block [64]int32

// The inverse transform is the one of Loeffler, Ligtenberg and Moschytz in fixed point, with exactly the roundings of
// image/jpeg: only so can the one be tested by the other. Arithmetic wraps as it does there. What is saved is the work
// on coefficients that are known to be zero.
const (
	cos1x12       = 4017 // cos(pi/16) in 4096ths
	sin1x12       = 799
	cos3x12       = 3406 // cos(3 pi/16)
	sin3x12       = 2276
	halfCos6x12   = 1108 // sqrt(1/2) cos(6 pi/16)
	halfSin6x12   = 2676
	halfCos6x18   = 70936 // the same in 262144ths
	halfSin6x18   = 171254
	rootHalfx8    = 181
	rootHalfx14   = 11585
	rowFraction   = 17 // bits that a row's constant part is shifted by
	columnHalf    = 1 << 19
	columnSamples = 18 // bits that are left of the point in the end
)

// rotate turns (x, y) and scales it.
func rotate(x, y, cos, sin int32) (int32, int32) { return x*cos - y*sin, x*sin + y*cos }

// inverse transforms b in place to samples around 0, not clipped. last is the row of the last coefficient that can be
// other than zero.
func (b *block) inverse(last int) {
	for y := range last + 1 {
		b.inverseRow(y)
	}
	switch {
	case last == 0:
		for x := range 8 {
			v := (b[x] + columnHalf) >> 2 >> columnSamples
			for y := range 8 {
				b[8*y+x] = v
			}
		}
	case last < 4:
		for x := range 8 {
			b.inverseShortColumn(x)
		}
	default:
		for x := range 8 {
			b.inverseColumn(x)
		}
	}
}

func (b *block) inverseRow(y int) {
	r := b[8*y : 8*y+8 : 8*y+8]
	f0, f1, f2, f3, f4, f5, f6, f7 := r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
	if f1|f2|f3|f4|f5|f6|f7 == 0 {
		v := f0 << rowFraction
		r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7] = v, v, v, v, v, v, v, v
		return
	}
	sum, diff := (f0+f4)<<rowFraction, (f0-f4)<<rowFraction
	p, q := rotate(f2, f6, halfCos6x18, halfSin6x18)
	e0, e1, e2, e3 := sum+q, diff+p, diff-p, sum-q

	a, c := (f1+f7)<<7, (f1-f7)<<7
	d, e := f3*rootHalfx8, f5*rootHalfx8
	o4, o7 := rotate((c+e)>>2, (a+d)>>2, cos3x12, sin3x12)
	o5, o6 := rotate((a-d)>>2, (c-e)>>2, cos1x12, sin1x12)

	r[0], r[7] = e0+o7, e0-o7
	r[1], r[6] = e1+o6, e1-o6
	r[2], r[5] = e2+o5, e2-o5
	r[3], r[4] = e3+o4, e3-o4
}

func (b *block) inverseColumn(x int) {
	c := b[x : x+57]
	f0, f1, f2, f3, f4, f5, f6, f7 := c[0]+columnHalf, c[8], c[16], c[24], c[32], c[40], c[48], c[56]
	sum, diff := (f0+f4)>>2, (f0-f4)>>2
	p, q := rotate(f2>>13, f6>>13, halfCos6x12, halfSin6x12)
	e0, e1, e2, e3 := sum+q, diff+p, diff-p, sum-q

	a, g := f1+f7, f1-f7
	d, e := (f3>>13)*rootHalfx14, (f5>>13)*rootHalfx14
	o4, o7 := rotate((g+e)>>14, (a+d)>>14, cos3x12, sin3x12)
	o5, o6 := rotate((a-d)>>14, (g-e)>>14, cos1x12, sin1x12)
	b.column(x, e0, e1, e2, e3, o4, o5, o6, o7)
}

// inverseShortColumn is inverseColumn where the lower four coefficients are zero.
func (b *block) inverseShortColumn(x int) {
	c := b[x : x+57]
	f0, f1, f2, f3 := (c[0]+columnHalf)>>2, c[8], c[16]>>13, c[24]>>13
	p, q := f2*halfCos6x12, f2*halfSin6x12
	e0, e1, e2, e3 := f0+q, f0+p, f0-p, f0-q

	d := f3 * rootHalfx14
	o4, o7 := rotate(f1>>14, (f1+d)>>14, cos3x12, sin3x12)
	o5, o6 := rotate((f1-d)>>14, f1>>14, cos1x12, sin1x12)
	b.column(x, e0, e1, e2, e3, o4, o5, o6, o7)
}

// column writes a column, the even and the odd part put together.
func (b *block) column(x int, e0, e1, e2, e3, o4, o5, o6, o7 int32) {
	c := b[x : x+57]
	c[0], c[56] = (e0+o7)>>columnSamples, (e0-o7)>>columnSamples
	c[8], c[48] = (e1+o6)>>columnSamples, (e1-o6)>>columnSamples
	c[16], c[40] = (e2+o5)>>columnSamples, (e2-o5)>>columnSamples
	c[24], c[32] = (e3+o4)>>columnSamples, (e3-o4)>>columnSamples
}

// clip returns a sample around 0 as one of 0 to 255.
func clip(v int32) uint8 {
	v += 128
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return uint8(v)
}

// flat returns what inverse makes of a block of the constant part alone.
func flat(dc int32) uint8 { return clip((dc<<rowFraction + columnHalf) >> 2 >> columnSamples) }

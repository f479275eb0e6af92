package jpegluma

import (
	"math"
	mathbits "math/bits"
)

// What is seen of a picture are red, green and blue, each clipped to 0 to 255. As long as none is clipped their luma is
// Y. Where colours are out of range it is not, and a picture can be made of such colours whose Y shows another one.
//
// So for each unit of blocks it is bounded how far the mean of the luma of its pixels can be from that of their Y, and
// where that is too far, every pixel is computed, and its luma instead of its Y is taken.

// colourTolerance is how far it may be, in levels.
const colourTolerance = 4

// moments says of a block of pixels their mean, around 0, and their variance, both before clipping.
type moments struct{ mean, variance float32 }

// momentsOf takes the dequantised constant part, and the squares of the other coefficients summed.
func momentsOf(dc int32, energy int64) moments {
	return moments{float32(dc) / 8, float32(energy) / 64}
}

// unit is what is known of the blocks that are decoded together: all those of one MCU.
type unit struct {
	moments [3][8]moments     // of each block of each component, row by row
	pixels  [3][16 * 32]uint8 // 32 a row, where every pixel is computed
}

// outOfRange reports whether the luma of the unit at (mx, my) may not be its Y.
func (d *decoder) outOfRange(mx, my int) bool {
	y, cb := &d.header.components[0], &d.header.components[1]
	across, down := y.across/cb.across, y.down/cb.down
	for j := range cb.down {
		for i := range cb.across {
			luma := d.around(mx, my, i*across, j*down, across, down)
			at := j*cb.across + i
			cb, cr := d.unit.moments[1][at], d.unit.moments[2][at]
			if !inRange(luma, cb, cr) && shift(luma, cb, cr) > colourTolerance {
				return true
			}
		}
	}
	return false
}

// around returns the moments of the pixels of across x down blocks of luma from (x, y) of the unit on, those that are
// in the picture. If none is, they are zero.
func (d *decoder) around(mx, my, x, y, across, down int) moments {
	c := &d.header.components[0]
	right, low := min(x+across, c.width-mx*c.across), min(y+down, c.height-my*c.down)
	var mean, square, n float32
	for j := y; j < low; j++ {
		for i := x; i < right; i++ {
			m := d.unit.moments[0][j*c.across+i]
			mean += m.mean
			square += m.variance + m.mean*m.mean
			n++
		}
	}
	if n == 0 {
		return moments{}
	}
	mean /= n
	return moments{mean, max(0, square/n-mean*mean)}
}

// inRange reports whether shift is surely within the tolerance. It takes no roots: (a + b)^2 is at most 2 (a^2 + b^2), and
// what beyond gives is at most the variance over 4 d.
func inRange(y, cb, cr moments) bool {
	r, g, b := y.mean+1.402*cr.mean, y.mean-.344*cb.mean-.714*cr.mean, y.mean+1.772*cb.mean
	variance := max(2*(y.variance+1.966*cr.variance), 3*(y.variance+.119*cb.variance+.51*cr.variance), 2*(y.variance+3.14*cb.variance))
	return variance < 4*colourTolerance*min(127-max(r, g, b), 128+min(r, g, b))
}

// shift bounds how far the mean of the luma of pixels is from that of their Y. A channel is the sum of Y and of what the
// chroma adds; its standard deviation is at most the sum of theirs. What is cut off it on one side is at most what is
// beyond the limit, and at most what the chroma adds on that side, since Y is in range.
func shift(y, cb, cr moments) float32 {
	sy, sb, sr := root(y.variance), root(cb.variance), root(cr.variance)
	over, under := float32(0), float32(0)
	channel := func(weight, added, sigma float32) {
		spread := root(added*added + sigma*sigma) // the mean of what is added, without its sign, is at most this
		over += weight * min(beyond(127-y.mean-added, sy+sigma), (spread+added)/2)
		under += weight * min(beyond(128+y.mean+added, sy+sigma), (spread-added)/2)
	}
	channel(.299, 1.402*cr.mean, 1.402*sr)
	channel(.587, -.344*cb.mean-.714*cr.mean, .344*sb+.714*sr)
	channel(.114, 1.772*cb.mean, 1.772*sb)
	return max(over, under)
}

func root(v float32) float32 { return float32(math.Sqrt(float64(v))) }

// beyond bounds the mean of what is beyond a limit that is d above the mean of a distribution (Scarf, 1958).
func beyond(d, sigma float32) float32 {
	if d > 4*sigma { // the first term of the series, which is a little more
		return sigma * sigma / (4 * d)
	}
	return (root(sigma*sigma+d*d) - d) / 2
}

// store clips the pixels of a transformed block, number at of component i of the unit.
func (u *unit) store(i, x, y int, blk *block) {
	for row := range 8 {
		dst, src := u.pixels[i][32*(8*y+row)+8*x:][:8], blk[8*row:][:8]
		for x := range dst {
			dst[x] = clip(src[x])
		}
	}
}

// takeLuma takes the pixels of luma of the unit from the plane, where they are at a scale of 1.
func (d *decoder) takeLuma(mx, my int) {
	c := &d.header.components[0]
	for y := range 8 * c.down {
		copy(d.unit.pixels[0][32*y:][:8*c.across], d.plane.Pix[(8*my*c.down+y)*d.plane.Stride+8*mx*c.across:])
	}
}

// writeUnit writes the means of the luma of the unit's pixels.
func (d *decoder) writeUnit(mx, my int) {
	y, cb := &d.header.components[0], &d.header.components[1]
	across, down := y.across/cb.across, y.down/cb.down
	step := 8 / d.side
	left, top := 8*mx*y.across, 8*my*y.down
	wide, high := min(8*y.across, d.header.Width-left), min(8*y.down, d.header.Height-top)
	for sy := 0; sy < high; sy += step {
		var sums [32]uint32 // of the luma of pixels, in 65536ths: 64 of them are less than 2^30
		rows := min(step, high-sy)
		for v := sy; v < sy+rows; v++ {
			chroma := 32 * (v / down)
			addLuma(&sums, step, d.unit.pixels[0][32*v:][:wide], d.unit.pixels[1][chroma:], d.unit.pixels[2][chroma:], across)
		}
		dst := d.plane.Pix[(top+sy)/step*d.plane.Stride+left/step:]
		for sx := 0; sx < wide; sx += step {
			dst[sx/step] = uint8((sums[sx/step]/uint32(rows*min(step, wide-sx)) + 1<<15) >> 16)
		}
	}
}

// addLuma adds the luma of a row of pixels to sums, step pixels to each: that of their red, green and blue as image/color
// gives them. A sample of chroma is that of across pixels.
func addLuma(sums *[32]uint32, step int, luma, cb, cr []uint8, across int) {
	shift := mathbits.TrailingZeros8(uint8(step))
	for x := 0; x < len(luma); x += across {
		u, v := int32(cb[x/across])-128, int32(cr[x/across])-128
		r, g, b := 91881*v, -22554*u-46802*v, 116130*u
		for i, y := range luma[x:min(x+across, len(luma))] {
			yy := int32(y) * 0x10101
			sums[(x+i)>>shift&31] += 19595*channel(yy+r) + 38470*channel(yy+g) + 7471*channel(yy+b)
		}
	}
}

// channel clips a channel in 65536ths.
func channel(v int32) uint32 { return uint32(min(max(v>>16, 0), 255)) }

package jpegluma

import "math"

// The mean of s x s pixels of a block that are not clipped is a sum of its coefficients, each weighted. For one axis:
// coefficient u of eight stands for cos((2x+1) u pi/16) at pixel x, whose mean over two neighbours is
//
//	cos(u pi/16) cos((2j+1) u pi/8)
//
// at sample j of four, and cos(u pi/16) cos(u pi/8) cos((2j+1) u pi/4) over four pixels, at sample j of two. That is a
// wave of the smaller transform again: u and 8-u are the same one (but for the sign), and u = 4 is none.

// maxStep is the largest step of quantisation that is accepted: eight times what an 8-bit picture has use for. With
// values of 16 bits, squares of coefficients add up to less than 2^61.
const maxStep = 1 << 12

// weightBits is the fraction of a weight in bits.
const weightBits = 16

// weights makes sums of the coefficients of one component, all in the order of the zigzag.
type weights struct {
	step   [64]int64 // of quantisation
	weight [64]int64 // times the step
	sum    [64]uint8 // which of the sums it goes to: row by row, as many a row as there are samples
}

// set makes the weights for side x side samples of a block, 1, 2 or 4.
func (w *weights) set(steps *[64]int32, side int) {
	var place [8]int
	var factor [8]float64
	for u := range factor {
		place[u], factor[u] = axis(u, side)
	}
	for k, at := range natural {
		u, v := at%8, at/8
		f := factor[u] * factor[v] * float64(steps[k])
		w.step[k] = int64(steps[k])
		w.weight[k] = int64(math.Round(f * (1 << weightBits)))
		w.sum[k] = uint8(side*place[v] + place[u])
	}
}

// axis returns which wave of a transform to side samples coefficient u of eight becomes, and with what factor. The
// factor of waves 1 of two and 2 of four includes their one cosine, of pi/4.
func axis(u, side int) (wave int, factor float64) {
	if u == 0 {
		return 0, math.Sqrt(1. / 8)
	}
	factor = .5
	for s := 16; s > 2*side; s /= 2 {
		factor *= math.Cos(float64(u) * math.Pi / float64(s))
	}
	wave = u % (4 * side) // cos((2j+1) u pi/(2 side)) has this period, and is symmetrical about the half of it
	if wave > 2*side {
		wave = 4*side - wave
	}
	if wave > side { // antisymmetrical about a quarter
		wave, factor = 2*side-wave, -factor
	}
	switch {
	case wave == side:
		return 0, 0
	case 2*wave == side:
		factor *= math.Sqrt(.5)
	}
	return wave, factor
}

// Cosines of pi/8 and 3 pi/8 in 4096ths.
const (
	cosEighth       = 3784
	cosThreeEighths = 1567
	cosBits         = 12
)

// four returns the four samples of one line of sums.
func four(f0, f1, f2, f3 int64) (a, b, c, d int64) {
	p := (f1*cosEighth + f3*cosThreeEighths) >> cosBits
	q := (f1*cosThreeEighths - f3*cosEighth) >> cosBits
	return f0 + f2 + p, f0 - f2 + q, f0 - f2 - q, f0 + f2 - p
}

// write writes the samples that sums make to dst.
func write(dst []uint8, stride, side int, s *[16]int64) {
	const half = 1 << (weightBits - 1)
	sample := func(v int64) uint8 { return clip(int32(v >> weightBits)) }
	switch side {
	case 1:
		dst[0] = sample(s[0] + half)
	case 2:
		a, b, c, d := s[0]+s[2]+half, s[1]+s[3], s[0]-s[2]+half, s[1]-s[3]
		dst[0], dst[1] = sample(a+b), sample(a-b)
		dst = dst[stride:]
		dst[0], dst[1] = sample(c+d), sample(c-d)
	case 4:
		for x := range 4 {
			s[x], s[4+x], s[8+x], s[12+x] = four(s[x], s[4+x], s[8+x], s[12+x])
		}
		for y := range 4 {
			row := dst[y*stride:][:4]
			r := s[4*y : 4*y+4]
			a, b, c, d := four(r[0]+half, r[1], r[2], r[3])
			row[0], row[1], row[2], row[3] = sample(a), sample(b), sample(c), sample(d)
		}
	}
}

// writeExact transforms blk, clips its pixels and writes their means, side x side, to dst. Only right x down pixels of
// the block are in the picture: the means are of those.
func writeExact(dst []uint8, stride, side int, blk *block, last, right, down int) {
	blk.inverse(last)
	if side == 8 {
		for y := range 8 {
			row, samples := dst[y*stride:][:8], blk[8*y:][:8]
			for x := range row {
				row[x] = clip(samples[x])
			}
		}
		return
	}
	step := 8 / side
	for j := range side {
		for i := range side {
			left, top := i*step, j*step
			if left >= right || top >= down {
				continue
			}
			sum, count := int32(0), int32(0)
			for y := top; y < min(top+step, down); y++ {
				for x := left; x < min(left+step, right); x++ {
					sum += int32(clip(blk[8*y+x]))
					count++
				}
			}
			dst[j*stride+i] = uint8((sum + count/2) / count)
		}
	}
}

// tolerance is by how many levels the mean of a block may move if its pixels are clipped, before they are.
const tolerance = 2

// clips reports whether the mean of a block's pixels may move by more than the tolerance when they are clipped to 0 to
// 255. energy is the sum of the squares of its coefficients other than dc, 64 times the variance of its pixels. Of all
// distributions of mean m and variance v, the part above m+d is at most (sqrt(v+d*d) - d) / 2 in the mean (Scarf, 1958).
func clips(dc int32, energy int64) bool {
	m := int64(dc) / 8
	room := min(m+128, 127-m)
	return energy > 64*4*tolerance*(tolerance+room)
}

package pdq

import (
	"image"
	"image/color"
	"math"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
)

// oracle is PDQ step by step over the whole picture, as its description reads, without regard to speed. Tests compare
// the package with it.
type oracle struct {
	width, height int
	luma          []float32
	blurred       plane
	spectrum      spectrum
	median        float32
	quality       int
}

// oracleOf computes everything; filter tells whether a picture of 64 x 64 is filtered.
func oracleOf(luma []float32, width, height int, filter bool) *oracle {
	o := &oracle{width: width, height: height, luma: luma}
	o.sample(filter)
	o.finish()
	return o
}

// finish computes what follows from the 64 x 64 points.
func (o *oracle) finish() {
	o.rate()
	o.transform()
	o.median = medianOf(&o.spectrum)
}

func (o *oracle) sample(filter bool) {
	if o.width == 64 && o.height == 64 && !filter {
		for i, v := range o.luma {
			o.blurred[i/64][i%64] = v
		}
		return
	}
	one, two := slices.Clone(o.luma), make([]float32, len(o.luma))
	for range 2 {
		for y := range o.height {
			oracleBox(one[y*o.width:], two[y*o.width:], o.width, 1)
		}
		for x := range o.width {
			oracleBox(two[x:], one[x:], o.height, o.width)
		}
	}
	for i := range 64 {
		for j := range 64 {
			y, x := int((float64(i)+.5)*float64(o.height)/64), int((float64(j)+.5)*float64(o.width)/64)
			o.blurred[i][j] = one[y*o.width+x]
		}
	}
}

func oracleBox(in, out []float32, n, stride int) {
	window := (n + 127) / 128
	half := (window + 2) / 2
	var sum float32
	count, left, right, at := 0, 0, 0, 0
	for range half - 1 {
		sum += in[right*stride]
		right++
		count++
	}
	for range window - half + 1 {
		sum += in[right*stride]
		right++
		count++
		out[at*stride] = sum / float32(count)
		at++
	}
	for range n - window {
		sum += in[right*stride]
		right++
		sum -= in[left*stride]
		left++
		out[at*stride] = sum / float32(count)
		at++
	}
	for range half - 1 {
		sum -= in[left*stride]
		left++
		count--
		out[at*stride] = sum / float32(count)
		at++
	}
}

func (o *oracle) rate() {
	sum := 0
	abs := func(u, v float32) int {
		d := float32(u - v)
		d = float32(d * 100)
		d = float32(d / 255)
		return int(math.Abs(float64(int(d))))
	}
	for i := range 63 {
		for j := range 64 {
			sum += abs(o.blurred[i][j], o.blurred[i+1][j])
			sum += abs(o.blurred[j][i], o.blurred[j][i+1])
		}
	}
	o.quality = min(100, sum/90)
}

func (o *oracle) transform() {
	var d, t [16][64]float32
	for i := range d {
		for j := range d[i] {
			scale := float64(float32(math.Sqrt(2.0 / 64.0)))
			d[i][j] = float32(scale * math.Cos((math.Pi/2/64)*float64(i+1)*float64(2*j+1)))
		}
	}
	for i := range 16 {
		for j := range 64 {
			var sum float32
			for k := range 64 {
				sum += float32(d[i][k] * o.blurred[k][j])
			}
			t[i][j] = sum
		}
	}
	for i := range 16 {
		for j := range 16 {
			var sum float32
			for k := range 64 {
				sum += float32(t[i][k] * d[j][k])
			}
			o.spectrum[i][j] = sum
		}
	}
}

func medianOf(b *spectrum) float32 {
	var all []float32
	for _, row := range b {
		all = append(all, row[:]...)
	}
	slices.Sort(all)
	return all[127]
}

func (o *oracle) hash() hashmatch.Hash { return hashOf(&o.spectrum) }

func hashOf(b *spectrum) hashmatch.Hash {
	h := hashmatch.Hash{Kind: hashmatch.PDQ}
	median := medianOf(b)
	for i := range b {
		for j, v := range b[i] {
			if v > median {
				k := 16*i + j
				h.Bits[31-k/8] |= 1 << (k % 8)
			}
		}
	}
	return h
}

// variant returns the hash of one turn, from the table of the algorithm's description.
func (o *oracle) variant(d hashmatch.Dihedral) hashmatch.Hash {
	var transpose bool
	negate := func(i, j int) bool { return false }
	switch d {
	case hashmatch.Rotate90:
		transpose, negate = true, func(i, j int) bool { return j%2 == 0 }
	case hashmatch.Rotate180:
		negate = func(i, j int) bool { return (i+j)%2 == 1 }
	case hashmatch.Rotate270:
		transpose, negate = true, func(i, j int) bool { return i%2 == 0 }
	case hashmatch.FlipX:
		negate = func(i, j int) bool { return i%2 == 0 }
	case hashmatch.FlipY:
		negate = func(i, j int) bool { return j%2 == 0 }
	case hashmatch.FlipPlus:
		transpose = true
	case hashmatch.FlipMinus:
		transpose, negate = true, func(i, j int) bool { return (i+j)%2 == 1 }
	}
	var turned spectrum
	for i := range o.spectrum {
		for j, v := range o.spectrum[i] {
			if negate(i, j) {
				v = -v
			}
			if transpose {
				turned[j][i] = v
			} else {
				turned[i][j] = v
			}
		}
	}
	return hashOf(&turned)
}

// oracleLuma returns the luma of a picture, pixel by pixel.
func oracleLuma(img image.Image) []float32 {
	var luma []float32
	b := img.Bounds()
	for y := range b.Dy() {
		for x := range b.Dx() {
			switch m := img.(type) {
			case *image.Gray:
				luma = append(luma, float32(m.GrayAt(x, y).Y))
				continue
			case *image.YCbCr:
				c := m.YCbCrAt(x, y)
				r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
				luma = append(luma, oracleRGB(r, g, b))
			case *image.RGBA:
				c := m.RGBAAt(x, y)
				luma = append(luma, oracleRGB(c.R, c.G, c.B))
			}
		}
	}
	return luma
}

func oracleRGB(r, g, b uint8) float32 {
	const wr, wg, wb float32 = .299, .587, .114
	sum := float32(wr*float32(r)) + float32(wg*float32(g))
	return sum + float32(wb*float32(b))
}

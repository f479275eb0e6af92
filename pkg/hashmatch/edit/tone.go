package edit

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
)

// tone returns the operation that sends every value, from 0 to 1, through f.
func tone(f func(v float64) float64) operation {
	var table [256]uint8
	for i := range table {
		table[i] = toByte(f(float64(i)/255) * 255)
	}
	return func(src *image.RGBA, _ *rand.Rand) *image.RGBA {
		return pixelwise(src, func(pixel []uint8, _, _ int) {
			for c, v := range pixel {
				pixel[c] = table[v]
			}
		})
	}
}

func gamma(power float64) operation {
	return tone(func(v float64) float64 { return math.Pow(v, power) })
}

// pixelwise returns a copy of src, each pixel's three values changed by f.
func pixelwise(src *image.RGBA, f func(pixel []uint8, x, y int)) *image.RGBA {
	dst := image.NewRGBA(src.Rect)
	copyPixels(dst, src)
	for y := range dst.Rect.Dy() {
		for x := range dst.Rect.Dx() {
			f(dst.Pix[y*dst.Stride+4*x:][:3], x, y)
		}
	}
	return dst
}

func desaturate(src *image.RGBA, _ *rand.Rand) *image.RGBA {
	return pixelwise(src, func(pixel []uint8, _, _ int) {
		v, _, _ := color.RGBToYCbCr(pixel[0], pixel[1], pixel[2])
		pixel[0], pixel[1], pixel[2] = v, v, v
	})
}

func vignette(src *image.RGBA, _ *rand.Rand) *image.RGBA {
	w, h := float64(src.Rect.Dx()), float64(src.Rect.Dy())
	return pixelwise(src, func(pixel []uint8, x, y int) {
		dx, dy := (2*float64(x)+1)/w-1, (2*float64(y)+1)/h-1
		light := 1 - .6*(dx*dx+dy*dy)/2
		for c, v := range pixel {
			pixel[c] = toByte(float64(v) * light)
		}
	})
}

func noise(deviation float64) operation {
	return func(src *image.RGBA, random *rand.Rand) *image.RGBA {
		return pixelwise(src, func(pixel []uint8, _, _ int) {
			for c, v := range pixel {
				pixel[c] = toByte(float64(v) + deviation*random.NormFloat64())
			}
		})
	}
}

func blur(sigma float64) operation {
	return func(src *image.RGBA, _ *rand.Rand) *image.RGBA { return blurred(src, sigma) }
}

func sharpen(src *image.RGBA, _ *rand.Rand) *image.RGBA {
	soft := blurred(src, 1)
	return pixelwise(src, func(pixel []uint8, x, y int) {
		other := soft.Pix[y*soft.Stride+4*x:][:3]
		for c, v := range pixel {
			pixel[c] = toByte(2*float64(v) - float64(other[c]))
		}
	})
}

// blurred returns src under a Gaussian filter of three times sigma to either side, the edge pixels repeated beyond the
// edges: along the rows, then along the columns.
func blurred(src *image.RGBA, sigma float64) *image.RGBA {
	radius := int(math.Ceil(3 * sigma))
	weights := make([]float64, 2*radius+1)
	sum := 0.
	for i := range weights {
		d := float64(i-radius) / sigma
		weights[i] = math.Exp(-d * d / 2)
		sum += weights[i]
	}
	for i := range weights {
		weights[i] /= sum
	}
	pass := func(src *image.RGBA, n, step, lines, lineStep int) *image.RGBA {
		dst := image.NewRGBA(src.Rect)
		for line := range lines {
			for i := range n {
				var v [3]float64
				for k, weight := range weights {
					p := src.Pix[line*lineStep+min(max(i+k-radius, 0), n-1)*step:]
					v[0] += weight * float64(p[0])
					v[1] += weight * float64(p[1])
					v[2] += weight * float64(p[2])
				}
				p := dst.Pix[line*lineStep+i*step:][:4]
				p[0], p[1], p[2], p[3] = toByte(v[0]), toByte(v[1]), toByte(v[2]), 255
			}
		}
		return dst
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	tight := src
	if src.Stride != 4*w {
		tight = cut(src, src.Rect)
	}
	return pass(pass(tight, w, 4, h, 4*w), h, 4*w, w, 4)
}

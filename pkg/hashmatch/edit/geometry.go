package edit

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
)

func resize(percent int) operation {
	return func(src *image.RGBA, _ *rand.Rand) *image.RGBA {
		part := float64(percent) / 100
		return scaled(src, share(src.Rect.Dx(), part, 1), share(src.Rect.Dy(), part, 1))
	}
}

// stretch changes the width alone.
func stretch(percent int) operation {
	return func(src *image.RGBA, _ *rand.Rand) *image.RGBA {
		return scaled(src, share(src.Rect.Dx(), float64(percent)/100, 1), src.Rect.Dy())
	}
}

func turn(name string) operation {
	return func(src *image.RGBA, _ *rand.Rand) *image.RGBA {
		w, h := src.Rect.Dx(), src.Rect.Dy()
		switch name {
		case "mirror":
			return placed(src, w, h, func(x, y int) (int, int) { return w - 1 - x, y })
		case "flip":
			return placed(src, w, h, func(x, y int) (int, int) { return x, h - 1 - y })
		case "turn90":
			return placed(src, h, w, func(x, y int) (int, int) { return w - 1 - y, x })
		case "turn180":
			return placed(src, w, h, func(x, y int) (int, int) { return w - 1 - x, h - 1 - y })
		default: // turn270
			return placed(src, h, w, func(x, y int) (int, int) { return y, h - 1 - x })
		}
	}
}

// placed returns a picture of w x h pixels, each the pixel of src that from leads to.
func placed(src *image.RGBA, w, h int, from func(x, y int) (int, int)) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			sx, sy := from(x, y)
			copy(dst.Pix[y*dst.Stride+4*x:][:4], src.Pix[sy*src.Stride+4*sx:])
		}
	}
	return dst
}

// crop cuts parts of the sides off; a pixel is left at least.
func crop(left, top, right, bottom float64) operation {
	return func(src *image.RGBA, _ *rand.Rand) *image.RGBA {
		w, h := src.Rect.Dx(), src.Rect.Dy()
		x0, y0 := share(w, left, 0), share(h, top, 0)
		return cut(src, image.Rect(x0, y0, max(w-share(w, right, 0), x0+1), max(h-share(h, bottom, 0), y0+1)))
	}
}

// cropSplit cuts a part of the width and of the height off, split over the opposite sides by chance.
func cropSplit(part float64) operation {
	return func(src *image.RGBA, random *rand.Rand) *image.RGBA {
		w, h := src.Rect.Dx(), src.Rect.Dy()
		dx, dy := share(w, part, 0), share(h, part, 0)
		at := image.Pt(random.IntN(dx+1), random.IntN(dy+1))
		return cut(src, image.Rect(0, 0, w-dx, h-dy).Add(at))
	}
}

// pad puts bars of parts of the sides around a picture.
func pad(across, above float64, c color.RGBA) operation {
	return func(src *image.RGBA, _ *rand.Rand) *image.RGBA {
		dx, dy := share(src.Rect.Dx(), across, 0), share(src.Rect.Dy(), above, 0)
		dst := filled(src.Rect.Dx()+2*dx, src.Rect.Dy()+2*dy, c)
		paste(dst, dx, dy, src)
		return dst
	}
}

// padBlurred puts a picture before its own enlarged and blurred self, as video sites do with what has another shape than
// theirs.
func padBlurred(src *image.RGBA, _ *rand.Rand) *image.RGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	frameW, frameH := h, w // a portrait in a landscape, and the other way round
	if 10*w < 11*h && 10*h < 11*w {
		frameW, frameH = max(h*16/9, 1), h
	}
	// The ground is blurred at a small size, by 4 % of its shorter side.
	smallW, smallH := frameW, frameH
	if scale := 128 / float64(min(frameW, frameH)); scale < 1 {
		smallW, smallH = share(frameW, scale, 1), share(frameH, scale, 1)
	}
	ground := blurred(covering(src, smallW, smallH), max(.04*float64(min(smallW, smallH)), .5))
	dst := scaled(ground, frameW, frameH)
	front := fitted(src, frameW, frameH)
	paste(dst, (frameW-front.Rect.Dx())/2, (frameH-front.Rect.Dy())/2, front)
	return dst
}

// rounded puts a picture with rounded corners in a white border.
func rounded(src *image.RGBA, _ *rand.Rand) *image.RGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	radius, border := .08*float64(min(w, h)), share(min(w, h), .04, 1)
	front := pixelwise(src, func(pixel []uint8, x, y int) {
		dx := max(radius-(float64(x)+.5), float64(x)+.5-(float64(w)-radius), 0)
		dy := max(radius-(float64(y)+.5), float64(y)+.5-(float64(h)-radius), 0)
		if dx > 0 && dy > 0 {
			blend(pixel, white, min(max(math.Hypot(dx, dy)-radius+.5, 0), 1))
		}
	})
	dst := filled(w+2*border, h+2*border, white)
	paste(dst, border, border, front)
	return dst
}

// tilt turns a picture about its centre, clockwise or counter-clockwise by chance.
func tilt(degrees int, grow bool) operation {
	return func(src *image.RGBA, random *rand.Rand) *image.RGBA {
		sin, cos := math.Sincos(float64(degrees) * math.Pi / 180)
		w, h := float64(src.Rect.Dx()), float64(src.Rect.Dy())
		dw, dh := src.Rect.Dx(), src.Rect.Dy()
		if grow {
			dw, dh = round(w*cos+h*sin), round(w*sin+h*cos)
		}
		if random.IntN(2) == 1 {
			sin = -sin
		}
		return warped(src, dw, dh, black, func(x, y float64) (float64, float64) {
			x, y = x-float64(dw)/2, y-float64(dh)/2
			return x*cos + y*sin + w/2, y*cos - x*sin + h/2
		})
	}
}

// perspective moves each corner inwards by up to a part of each side.
func perspective(part float64) operation {
	return func(src *image.RGBA, random *rand.Rand) *image.RGBA {
		w, h := float64(src.Rect.Dx()), float64(src.Rect.Dy())
		var corners [4][2]float64 // upper left, upper right, lower right, lower left
		for i := range corners {
			dx, dy := part*w*random.Float64(), part*h*random.Float64()
			corners[i] = [2]float64{dx, dy}
			if i == 1 || i == 2 {
				corners[i][0] = w - dx
			}
			if i >= 2 {
				corners[i][1] = h - dy
			}
		}
		toUnit := quadrilateral(corners)
		return warped(src, src.Rect.Dx(), src.Rect.Dy(), black, func(x, y float64) (float64, float64) {
			u, v := toUnit(x, y)
			return u * w, v * h
		})
	}
}

// quadrilateral returns the projective map that sends the corners, in turn, to those of the unit square. It inverts, by
// the adjugate of its matrix, Heckbert's map from the square to a quadrilateral.
func quadrilateral(p [4][2]float64) func(x, y float64) (float64, float64) {
	dx1, dx2, dx3 := p[1][0]-p[2][0], p[3][0]-p[2][0], p[0][0]-p[1][0]+p[2][0]-p[3][0]
	dy1, dy2, dy3 := p[1][1]-p[2][1], p[3][1]-p[2][1], p[0][1]-p[1][1]+p[2][1]-p[3][1]
	det := dx1*dy2 - dx2*dy1
	g, h := (dx3*dy2-dx2*dy3)/det, (dx1*dy3-dx3*dy1)/det
	a, b, c := p[1][0]-p[0][0]+g*p[1][0], p[3][0]-p[0][0]+h*p[3][0], p[0][0]
	d, e, f := p[1][1]-p[0][1]+g*p[1][1], p[3][1]-p[0][1]+h*p[3][1], p[0][1]
	return func(x, y float64) (float64, float64) {
		u := (e-f*h)*x + (c*h-b)*y + b*f - c*e
		v := (f*g-d)*x + (a-c*g)*y + c*d - a*f
		w := (d*h-e*g)*x + (b*g-a*h)*y + a*e - b*d
		return u / w, v / w
	}
}

// over draws a picture with transparency.
func over(dst *image.RGBA, x, y int, src *image.RGBA) {
	draw.Draw(dst, src.Rect.Add(image.Pt(x, y)), src, image.Point{}, draw.Over)
}

package promotion

import (
	"image"
	"image/color"
	"iter"
	"math"
)

// Common yields the pictures that everyone publishes and no list may hold, with what they show: flat colours, shades,
// stripes, squares, and the plain figures that stand where a picture is missing. All are drawn here. They are 256 pixels
// wide and high; who hashes them need not turn them, for they are few and drawn both ways where that matters.
func Common() iter.Seq2[string, *image.RGBA] {
	return func(yield func(string, *image.RGBA) bool) {
		for _, c := range commonColours {
			if !yield("flat", draw(func(int, int) color.RGBA { return c })) {
				return
			}
		}
		for _, p := range commonPatterns {
			for _, turned := range []bool{false, true} {
				for _, inverted := range []bool{false, true} {
					if !yield(p.name, drawn256(p.at, turned, inverted)) {
						return
					}
				}
			}
		}
	}
}

const commonSide = 256

var commonColours = []color.RGBA{
	{0, 0, 0, 255}, {255, 255, 255, 255}, {128, 128, 128, 255}, {192, 192, 192, 255}, {238, 238, 238, 255}, {204, 204, 204, 255},
	{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 0, 255}, {0, 255, 255, 255}, {255, 0, 255, 255},
	{33, 150, 243, 255}, {76, 175, 80, 255}, {244, 67, 54, 255}, {255, 152, 0, 255}, {96, 125, 139, 255}, {121, 85, 72, 255},
}

// commonPatterns return a brightness, 0 to 1, at x and y, 0 to 1.
var commonPatterns = []struct {
	name string
	at   func(x, y float64) float64
}{
	{"shade", func(x, _ float64) float64 { return x }},
	{"diagonal shade", func(x, y float64) float64 { return (x + y) / 2 }},
	{"round shade", func(x, y float64) float64 { return min(1, 1.4*math.Hypot(x-.5, y-.5)) }},
	{"darkened corners", func(x, y float64) float64 { return 1 - min(1, math.Pow(1.4*math.Hypot(x-.5, y-.5), 4)) }},
	{"halves", func(x, _ float64) float64 { return step(x >= .5) }},
	{"quarters", func(x, y float64) float64 { return step(x >= .5 != (y >= .5)) }},
	{"2 stripes", stripes(2)}, {"4 stripes", stripes(4)}, {"8 stripes", stripes(8)}, {"16 stripes", stripes(16)},
	{"4 squares", squares(4)}, {"8 squares", squares(8)}, {"16 squares", squares(16)},
	{"colour bars", func(x, _ float64) float64 { return 1 - math.Floor(x*8)/7 }},
	{"frame", func(x, y float64) float64 { return step(edge(x, y) > .04) }},
	{"thick frame", func(x, y float64) float64 { return step(edge(x, y) > .15) }},
	{"crossed out", func(x, y float64) float64 {
		return step(edge(x, y) > .02 && math.Abs(x-y) > .02 && math.Abs(x+y-1) > .02)
	}},
	{"disc", func(x, y float64) float64 { return step(math.Hypot(x-.5, y-.5) > .35) }},
	{"ring", func(x, y float64) float64 { return step(math.Abs(math.Hypot(x-.5, y-.5)-.3) > .05) }},
	{"plus", func(x, y float64) float64 {
		return step((math.Abs(x-.5) > .06 || math.Abs(y-.5) > .3) && (math.Abs(y-.5) > .06 || math.Abs(x-.5) > .3))
	}},
	// A head and shoulders, for an account without a picture.
	{"person", func(x, y float64) float64 {
		return step(math.Hypot(x-.5, y-.36) > .18 && math.Hypot((x-.5)/1.1, y-1.02) > .36)
	}},
	// Two hills, a sun and a frame, for a picture that is missing.
	{"landscape", func(x, y float64) float64 {
		hill := y > .75-.45*max(0, 1-3*math.Abs(x-.38)) || y > .75-.3*max(0, 1-3*math.Abs(x-.68))
		return step(edge(x, y) > .06 && math.Hypot(x-.7, y-.3) > .07 && (!hill || y > .78))
	}},
	// A triangle, for what can be played.
	{"play", func(x, y float64) float64 { return step(x < .35 || math.Abs(y-.5) > .3*(1-(x-.35)/.4)) }},
}

func step(bright bool) float64 {
	if bright {
		return 1
	}
	return 0
}

func edge(x, y float64) float64 { return min(x, y, 1-x, 1-y) }

func stripes(n float64) func(x, y float64) float64 {
	return func(x, _ float64) float64 { return step(int(x*n*2)%2 == 0) }
}

func squares(n float64) func(x, y float64) float64 {
	return func(x, y float64) float64 { return step((int(x*n)+int(y*n))%2 == 0) }
}

func drawn256(at func(x, y float64) float64, turned, inverted bool) *image.RGBA {
	return draw(func(x, y int) color.RGBA {
		u, v := (float64(x)+.5)/commonSide, (float64(y)+.5)/commonSide
		if turned {
			u, v = v, u
		}
		bright := min(1, max(0, at(u, v)))
		if inverted {
			bright = 1 - bright
		}
		grey := uint8(math.Round(255 * bright))
		return color.RGBA{grey, grey, grey, 255}
	})
}

func draw(at func(x, y int) color.RGBA) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, commonSide, commonSide))
	for y := range commonSide {
		for x := range commonSide {
			img.SetRGBA(x, y, at(x, y))
		}
	}
	return img
}

package edit

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
)

// What captions and screens say.
const (
	firstLine  = "when you find this on a friday"
	secondLine = "and the weekend is far away"
	shout      = "LOOK AT THIS PICTURE"
)

// caption puts a bar with two lines of text above or below a picture.
func caption(above bool, ground, ink color.RGBA) operation {
	return func(src *image.RGBA, _ *rand.Rand) *image.RGBA {
		w, h := src.Rect.Dx(), src.Rect.Dy()
		bar := share(h, .15, 1)
		dst := filled(w, h+bar, ground)
		top := h
		if above {
			top = 0
			paste(dst, 0, bar, src)
		} else {
			paste(dst, 0, 0, src)
		}
		// A line is as wide as its height allows: 13 by 7 pixels a letter, two lines and margins in the bar.
		letters := max(len(firstLine), len(secondLine))
		width := min(w*9/10, bar*2/5*7*letters/13)
		for i, words := range []string{firstLine, secondLine} {
			write(dst, (w-width)/2, top+bar/10+i*bar*2/5, width*len(words)/letters, words, ink)
		}
		return dst
	}
}

func textOver(src *image.RGBA, _ *rand.Rand) *image.RGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dst := cut(src, src.Rect)
	width := share(w, .8, 1)
	left, top, outline := (w-width)/2, h*3/4, max(width/300, 1)
	dark, bright := text(shout, width, black), text(shout, width, white)
	for _, d := range [][2]int{{-1, -1}, {1, -1}, {-1, 1}, {1, 1}} {
		over(dst, left+d[0]*outline, top+d[1]*outline, dark)
	}
	over(dst, left, top, bright)
	return dst
}

func sticker(src *image.RGBA, random *rand.Rand) *image.RGBA {
	w, h := float64(src.Rect.Dx()), float64(src.Rect.Dy())
	dst := cut(src, src.Rect)
	radius := .1 * min(w, h)
	x := radius + random.Float64()*(w-2*radius)
	y := radius + random.Float64()*(h-2*radius)
	disc(dst, x, y, radius, color.RGBA{250, 205, 40, 255})
	disc(dst, x-.35*radius, y-.25*radius, .12*radius, black)
	disc(dst, x+.35*radius, y-.25*radius, .12*radius, black)
	for i := range 21 {
		angle := math.Pi * (.15 + .7*float64(i)/20)
		disc(dst, x+.6*radius*math.Cos(angle), y+.6*radius*math.Sin(angle), .07*radius, black)
	}
	return dst
}

func watermark(src *image.RGBA, _ *rand.Rand) *image.RGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dst := cut(src, src.Rect)
	width := share(w, .3, 1)
	half := color.RGBA{128, 128, 128, 128} // white, half transparent, as premultiplied colours are written
	left, size := w-width-w/40, share(min(width, h), .25, 1)
	top := h - size - h/40
	disc(dst, float64(left)+float64(size)/2, float64(top)+float64(size)/2, float64(size)/2, color.RGBA{255, 255, 255, 128})
	line := width - size - size/4
	write(dst, left+size+size/4, top+(size-line*13/(7*len("example")))/2, line, "example", half)
	return dst
}

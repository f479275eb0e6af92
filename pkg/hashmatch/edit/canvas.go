package edit

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// filled returns a picture of one colour, each side 1 pixel at least.
func filled(w, h int, c color.RGBA) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, max(w, 1), max(h, 1)))
	fill(dst, dst.Rect, c)
	return dst
}

func fill(dst *image.RGBA, r image.Rectangle, c color.RGBA) {
	draw.Draw(dst, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// paste copies src to a place.
func paste(dst *image.RGBA, x, y int, src *image.RGBA) {
	draw.Draw(dst, src.Rect.Add(image.Pt(x, y)), src, image.Point{}, draw.Src)
}

// scaled returns src at another size, each side 1 pixel at least.
func scaled(src *image.RGBA, w, h int) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, max(w, 1), max(h, 1)))
	if dst.Rect == src.Rect {
		copyPixels(dst, src)
		return dst
	}
	xdraw.CatmullRom.Scale(dst, dst.Rect, src, src.Rect, xdraw.Src, nil)
	opaque(dst)
	return dst
}

// fitted returns src at the largest size of its shape within w x h.
func fitted(src *image.RGBA, w, h int) *image.RGBA {
	sw, sh := src.Rect.Dx(), src.Rect.Dy()
	scale := min(float64(w)/float64(sw), float64(h)/float64(sh))
	return scaled(src, min(round(float64(sw)*scale), w), min(round(float64(sh)*scale), h))
}

// covering returns the middle of src at the smallest size of its shape that covers w x h, cut to that.
func covering(src *image.RGBA, w, h int) *image.RGBA {
	sw, sh := src.Rect.Dx(), src.Rect.Dy()
	cw, ch := sw, sh
	if sw*h > sh*w {
		cw = max(sh*w/h, 1)
	} else {
		ch = max(sw*h/w, 1)
	}
	return scaled(cut(src, image.Rect(0, 0, cw, ch).Add(image.Pt((sw-cw)/2, (sh-ch)/2))), w, h)
}

// cut returns a copy of a part of src, which must not be empty.
func cut(src *image.RGBA, r image.Rectangle) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, r.Dx(), r.Dy()))
	draw.Draw(dst, dst.Rect, src, r.Min, draw.Src)
	return dst
}

// copyPixels copies src, which is of the same size.
func copyPixels(dst, src *image.RGBA) {
	for y := range dst.Rect.Dy() {
		copy(dst.Pix[y*dst.Stride:][:4*dst.Rect.Dx()], src.Pix[y*src.Stride:])
	}
}

// opaque takes away what a filter has left of transparency, and values beyond it.
func opaque(img *image.RGBA) {
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 255
	}
}

// warped returns a picture of w x h pixels in which the pixel around (x, y) has the colour that from leads to, between
// four pixels of src; what lies outside of src is c.
func warped(src *image.RGBA, w, h int, c color.RGBA, from func(x, y float64) (float64, float64)) *image.RGBA {
	dst := filled(w, h, c)
	sw, sh := float64(src.Rect.Dx()), float64(src.Rect.Dy())
	for y := range dst.Rect.Dy() {
		for x := range dst.Rect.Dx() {
			u, v := from(float64(x)+.5, float64(y)+.5)
			if !(u >= 0 && u <= sw && v >= 0 && v <= sh) {
				continue
			}
			between(dst.Pix[y*dst.Stride+4*x:][:3], src, u-.5, v-.5)
		}
	}
	return dst
}

func between(dst []uint8, src *image.RGBA, u, v float64) {
	x, y := math.Floor(u), math.Floor(v)
	fx, fy := u-x, v-y
	right, lower := src.Rect.Dx()-1, src.Rect.Dy()-1
	x0, x1 := min(max(int(x), 0), right), min(max(int(x)+1, 0), right)
	y0, y1 := min(max(int(y), 0), lower), min(max(int(y)+1, 0), lower)
	for c := range dst {
		at := func(x, y int) float64 { return float64(src.Pix[y*src.Stride+4*x+c]) }
		above := at(x0, y0)*(1-fx) + at(x1, y0)*fx
		below := at(x0, y1)*(1-fx) + at(x1, y1)*fx
		dst[c] = toByte(above*(1-fy) + below*fy)
	}
}

func toByte(v float64) uint8 { return uint8(min(max(math.Round(v), 0), 255)) }

func round(v float64) int { return int(math.Round(v)) }

// share returns that part of n, at least least.
func share(n int, part float64, least int) int { return max(round(float64(n)*part), least) }

// text returns a line of text in one colour on transparent ground, scaled to a width of w pixels.
func text(words string, w int, c color.RGBA) *image.RGBA {
	face := basicfont.Face7x13
	line := image.NewRGBA(image.Rect(0, 0, max(font.MeasureString(face, words).Ceil(), 1), face.Height))
	d := font.Drawer{Dst: line, Src: image.NewUniform(c), Face: face, Dot: fixed.P(0, face.Ascent)}
	d.DrawString(words)
	w = max(w, 1)
	dst := image.NewRGBA(image.Rect(0, 0, w, max(w*line.Rect.Dy()/line.Rect.Dx(), 1)))
	xdraw.ApproxBiLinear.Scale(dst, dst.Rect, line, line.Rect, xdraw.Src, nil)
	return dst
}

// write draws a line of text whose upper left corner is at (x, y), w pixels wide.
func write(dst *image.RGBA, x, y, w int, words string, c color.RGBA) {
	line := text(words, w, c)
	draw.Draw(dst, line.Rect.Add(image.Pt(x, y)), line, image.Point{}, draw.Over)
}

// disc fills the disc around (x, y), smooth at its edge.
func disc(dst *image.RGBA, x, y, radius float64, c color.RGBA) {
	r := image.Rect(round(x-radius)-1, round(y-radius)-1, round(x+radius)+2, round(y+radius)+2).Intersect(dst.Rect)
	for py := r.Min.Y; py < r.Max.Y; py++ {
		for px := r.Min.X; px < r.Max.X; px++ {
			inside := radius + .5 - math.Hypot(float64(px)+.5-x, float64(py)+.5-y)
			blend(dst.Pix[py*dst.Stride+4*px:][:3], c, min(max(inside, 0), 1)*float64(c.A)/255)
		}
	}
}

// blend puts a colour, as if opaque, over a pixel.
func blend(pixel []uint8, c color.RGBA, alpha float64) {
	for i, v := range [3]uint8{c.R, c.G, c.B} {
		pixel[i] = toByte(float64(pixel[i])*(1-alpha) + float64(v)*alpha)
	}
}

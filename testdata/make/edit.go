package main

import (
	"image"
	"image/color"
)

// The edits take a picture and return a new one. They know nothing of file formats.

// scaled returns m at a smaller size; each pixel is the mean of the pixels of m that it covers in part or in whole.
func scaled(m *image.RGBA, width, height int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		y0, y1 := span(y, m.Rect.Dy(), height)
		for x := range width {
			x0, x1 := span(x, m.Rect.Dx(), width)
			var sum [4]int
			for sy := y0; sy < y1; sy++ {
				for sx := x0; sx < x1; sx++ {
					for i, v := range m.Pix[m.PixOffset(sx, sy):][:4] {
						sum[i] += int(v)
					}
				}
			}
			n := (y1 - y0) * (x1 - x0)
			for i := range sum {
				out.Pix[out.PixOffset(x, y)+i] = uint8((sum[i] + n/2) / n)
			}
		}
	}
	return out
}

// span returns which of the from pixels the i-th of to pixels covers; at least one.
func span(i, from, to int) (first, end int) {
	first, end = i*from/to, ((i+1)*from+to-1)/to
	return first, max(first+1, end)
}

// remapped returns a picture of the given size whose pixel at (x, y) is the one of m that at returns.
func remapped(m *image.RGBA, width, height int, at func(x, y int) (int, int)) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			out.SetRGBA(x, y, m.RGBAAt(at(x, y)))
		}
	}
	return out
}

func mirrored(m *image.RGBA) *image.RGBA {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	return remapped(m, w, h, func(x, y int) (int, int) { return w - 1 - x, y })
}

// turned returns m turned by a quarter clockwise.
func turned(m *image.RGBA) *image.RGBA {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	return remapped(m, h, w, func(x, y int) (int, int) { return y, h - 1 - x })
}

// stored returns how a file of the given EXIF orientation (1 to 8) stores m, so that a viewer shows m.
func stored(m *image.RGBA, orientation int) *image.RGBA {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	at := map[int]func(x, y int) (int, int){
		1: func(x, y int) (int, int) { return x, y },
		2: func(x, y int) (int, int) { return w - 1 - x, y },
		3: func(x, y int) (int, int) { return w - 1 - x, h - 1 - y },
		4: func(x, y int) (int, int) { return x, h - 1 - y },
		5: func(x, y int) (int, int) { return y, x },
		6: func(x, y int) (int, int) { return w - 1 - y, x },
		7: func(x, y int) (int, int) { return w - 1 - y, h - 1 - x },
		8: func(x, y int) (int, int) { return y, h - 1 - x },
	}[orientation]
	if orientation >= 5 {
		return remapped(m, h, w, at)
	}
	return remapped(m, w, h, at)
}

// mapped applies f to every channel of every pixel.
func mapped(m *image.RGBA, f func(v int) int) *image.RGBA {
	out := image.NewRGBA(m.Rect)
	for i, v := range m.Pix {
		if i%4 == 3 {
			out.Pix[i] = v
		} else {
			out.Pix[i] = clamp8(f(int(v)))
		}
	}
	return out
}

// brightened adds a little light and contrast.
func brightened(m *image.RGBA) *image.RGBA {
	return mapped(m, func(v int) int { return (v-128)*11/10 + 138 })
}

func grayscale(m *image.RGBA) *image.Gray {
	out := image.NewGray(m.Rect)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			c := m.RGBAAt(x, y)
			out.SetGray(x, y, color.Gray{Y: uint8((299*int(c.R) + 587*int(c.G) + 114*int(c.B) + 500) / 1000)})
		}
	}
	return out
}

// deep returns m with 16 bits a channel. The low bytes are noise, so that a reader that takes them for the picture
// sees nothing of it.
func deep(m *image.RGBA) *image.NRGBA64 {
	out := image.NewNRGBA64(m.Rect)
	r := random(1)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			c := m.RGBAAt(x, y)
			low := func(v uint8) uint16 { return uint16(v)<<8 | uint16(r.next()>>56) }
			out.SetNRGBA64(x, y, color.NRGBA64{R: low(c.R), G: low(c.G), B: low(c.B), A: 0xffff})
		}
	}
	return out
}

func deepGray(m *image.Gray) *image.Gray16 {
	out := image.NewGray16(m.Rect)
	r := random(2)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			out.SetGray16(x, y, color.Gray16{Y: uint16(m.GrayAt(x, y).Y)<<8 | uint16(r.next()>>56)})
		}
	}
	return out
}

// vignette returns m fading to transparent in its corners. Put on white it stays near m.
func vignette(m *image.RGBA) *image.NRGBA {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	return withAlpha(m, func(x, y int) (color.RGBA, int) {
		dx, dy := (2*x-w)*1000/w, (2*y-h)*1000/h
		return m.RGBAAt(x, y), 255 - max(0, dx*dx+dy*dy-1_000_000)/4_000
	})
}

// overWhite returns a picture that shows m if and only if it is put on white: it is everywhere as transparent as the
// brightness of m allows, and where it is wholly transparent its colour is noise.
func overWhite(m *image.RGBA) *image.NRGBA {
	r := random(3)
	return withAlpha(m, func(x, y int) (color.RGBA, int) {
		c := m.RGBAAt(x, y)
		alpha := 255 - int(min(c.R, c.G, c.B))
		if alpha == 0 {
			return r.color(0, 255), 0
		}
		thin := func(v uint8) uint8 { return clamp8(255 - (255-int(v))*255/alpha) }
		return color.RGBA{thin(c.R), thin(c.G), thin(c.B), 255}, alpha
	})
}

// invisible returns a picture that is transparent everywhere and whose hidden colours are m.
func invisible(m *image.RGBA) *image.NRGBA {
	return withAlpha(m, func(x, y int) (color.RGBA, int) { return m.RGBAAt(x, y), 0 })
}

func withAlpha(m *image.RGBA, at func(x, y int) (color.RGBA, int)) *image.NRGBA {
	out := image.NewNRGBA(m.Rect)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			c, alpha := at(x, y)
			out.SetNRGBA(x, y, color.NRGBA{c.R, c.G, c.B, clamp8(alpha)})
		}
	}
	return out
}

// cube is a palette of 6 x 7 x 6 colours.
var cube = func() color.Palette {
	var p color.Palette
	for r := range 6 {
		for g := range 7 {
			for b := range 6 {
				p = append(p, color.RGBA{uint8(r * 51), uint8(g * 255 / 6), uint8(b * 51), 255})
			}
		}
	}
	return p
}()

// dithered returns m in the colours of p, by ordered dithering with an 8 x 8 matrix: neighbouring pixels differ, but
// the mean colour stays.
func dithered(m *image.RGBA, p color.Palette, strength int) *image.Paletted {
	out := image.NewPaletted(m.Rect, p)
	nearest := make(map[color.RGBA]uint8)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			c := shade(m.RGBAAt(x, y), (bayer(x, y)-32)*strength/32)
			i, known := nearest[c]
			if !known {
				i = uint8(p.Index(c))
				nearest[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	return out
}

// bayer returns the threshold, in [0, 64), at a place of the 8 x 8 dither matrix.
func bayer(x, y int) int {
	v, a, b := 0, x^y, y
	for bit := range 3 {
		v |= (b>>bit&1)<<(4-2*bit) | (a>>bit&1)<<(5-2*bit)
	}
	return v
}

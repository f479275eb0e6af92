package edit

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
)

// phone shows the picture in an application that fills the screen: 540 x 1170 is 1080 x 2340 at half its size.
func phone(src *image.RGBA, _ *rand.Rand) *image.RGBA {
	const w, h = 540, 1170
	ink, pale := color.RGBA{30, 30, 30, 255}, color.RGBA{150, 150, 150, 255}
	dst := filled(w, h, white)
	// Status bar: time, signal, battery.
	write(dst, 24, 10, 50, "09:41", ink)
	for i := range 4 {
		fill(dst, image.Rect(410+i*9, 24-4*i, 416+i*9, 28), ink)
	}
	fill(dst, image.Rect(470, 14, 512, 30), ink)
	fill(dst, image.Rect(473, 17, 500, 27), white)
	// The application's own bar, then who published the picture.
	fill(dst, image.Rect(0, 44, w, 110), color.RGBA{40, 90, 190, 255})
	write(dst, 24, 60, 150, "Pictures", white)
	disc(dst, 500, 77, 16, white)
	disc(dst, 46, 150, 26, pale)
	write(dst, 86, 132, 140, "somebody", ink)
	write(dst, 86, 156, 110, "2 hours ago", pale)
	picture := fitted(src, w, 760)
	top := 190
	paste(dst, (w-picture.Rect.Dx())/2, top, picture)
	below := top + picture.Rect.Dy()
	for i := range 3 {
		disc(dst, float64(40+70*i), float64(below+36), 16, pale)
	}
	write(dst, 24, below+70, 440, firstLine, ink)
	write(dst, 24, below+104, 400, secondLine, ink)
	fill(dst, image.Rect(0, h-90, w, h), color.RGBA{245, 245, 245, 255})
	for i := range 5 {
		disc(dst, float64(54+108*i), h-56, 18, pale)
	}
	fill(dst, image.Rect(190, h-14, 350, h-8), ink)
	return dst
}

// browser shows the picture on a page in a window.
func browser(src *image.RGBA, _ *rand.Rand) *image.RGBA {
	const w, h = 1366, 768
	ink, pale := color.RGBA{40, 40, 40, 255}, color.RGBA{225, 228, 232, 255}
	dst := filled(w, h, white)
	fill(dst, image.Rect(0, 0, w, 40), color.RGBA{205, 210, 218, 255})
	fill(dst, image.Rect(10, 6, 250, 40), white)
	write(dst, 24, 14, 180, "Pictures of today", ink)
	for i := range 3 {
		disc(dst, float64(1280+32*i), 20, 7, ink)
	}
	fill(dst, image.Rect(110, 46, 1250, 74), pale)
	write(dst, 124, 52, 210, "pictures.example/today", ink)
	for i := range 3 {
		disc(dst, float64(24+30*i), 60, 8, ink)
	}
	fill(dst, image.Rect(0, 79, w, 80), pale)
	fill(dst, image.Rect(0, 80, w, 130), color.RGBA{35, 45, 60, 255})
	write(dst, 60, 94, 160, "Pictures", white)
	for i := range 8 { // the column beside the picture
		fill(dst, image.Rect(40, 170+i*40, 220-i%3*40, 182+i*40), pale)
	}
	picture := fitted(src, 800, 520)
	paste(dst, 280+(800-picture.Rect.Dx())/2, 160, picture)
	write(dst, 280, 700, 330, firstLine, ink)
	return dst
}

// inPicture shows the picture small, over another one of its size.
func inPicture(part float64) operation {
	return func(src *image.RGBA, random *rand.Rand) *image.RGBA {
		w, h := src.Rect.Dx(), src.Rect.Dy()
		dst := another(w, h, random)
		small := scaled(src, share(w, part, 1), share(h, part, 1))
		paste(dst, max(w-small.Rect.Dx()-w/25, 0), max(h-small.Rect.Dy()-h/25, 0), small)
		return dst
	}
}

func sideBySide(src *image.RGBA, random *rand.Rand) *image.RGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dst := image.NewRGBA(image.Rect(0, 0, 2*w, h))
	at := random.IntN(2)
	paste(dst, at*w, 0, src)
	paste(dst, (1-at)*w, 0, another(w, h, random))
	return dst
}

func collage(src *image.RGBA, random *rand.Rand) *image.RGBA {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	gap := share(min(w, h), .01, 1)
	dst := filled(2*w+gap, 2*h+gap, white)
	at := random.IntN(4)
	for i := range 4 {
		panel := src
		if i != at {
			panel = another(w, h, random)
		}
		paste(dst, i%2*(w+gap), i/2*(h+gap), panel)
	}
	return scaled(dst, w, h)
}

// another returns a picture that has nothing to do with any: a sky, a ground, and some twenty discs and bars in colours
// by chance, with a grain.
func another(w, h int, random *rand.Rand) *image.RGBA {
	colour := func() color.RGBA {
		return color.RGBA{uint8(random.IntN(256)), uint8(random.IntN(256)), uint8(random.IntN(256)), 255}
	}
	from, to := colour(), colour()
	dst := filled(w, h, from)
	for y := range dst.Rect.Dy() {
		line := from
		part := float64(y) / float64(dst.Rect.Dy())
		channels := []uint8{line.R, line.G, line.B}
		blend(channels, to, part)
		fill(dst, image.Rect(0, y, w, y+1), color.RGBA{channels[0], channels[1], channels[2], 255})
	}
	side := float64(min(w, h))
	for range 12 {
		disc(dst, random.Float64()*float64(w), random.Float64()*float64(h), side*(.03+.15*random.Float64()), colour())
	}
	for range 10 {
		x, y := random.IntN(max(w, 1)), random.IntN(max(h, 1))
		fill(dst, image.Rect(x, y, x+share(w, .03+.2*random.Float64(), 1), y+share(h, .03+.2*random.Float64(), 1)), colour())
	}
	phase := 2 * math.Pi * random.Float64()
	return pixelwise(dst, func(pixel []uint8, x, y int) {
		grain := 12 * math.Sin(phase+float64(x*13%37)*.7+float64(y*7%41)*.9)
		for c, v := range pixel {
			pixel[c] = toByte(float64(v) + grain)
		}
	})
}

package main

import (
	"image"
	"image/color"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// Every scene is drawn at this size; smaller ones are scaled down from it.
const (
	sceneWidth  = 512
	sceneHeight = 384
)

// scene is one picture that nobody ever took. Two scenes of the same painter and different seeds differ in layout,
// not only in colour.
type scene struct {
	name  string
	paint func(c canvas, seed uint64)
	seed  uint64
}

// listed are the scenes that stand for known imagery: they are in the lists. clean are those that are in no list.
var (
	listed = []scene{
		{"harbour", paintRidges, 11},
		{"quarry", paintShapes, 22},
		{"marble", paintMarble, 33},
		{"district", paintSkyline, 44},
		{"islands", paintTerrain, 55},
		{"meadow", paintMeadow, 66},
		{"notice", paintPoster, 77},
		{"canyon", paintRidges, 88},
	}
	clean = []scene{
		{"valley", paintRidges, 101},
		{"placard", paintPoster, 202},
		{"downtown", paintSkyline, 303},
		{"orchard", paintMeadow, 404},
		{"blocks", paintShapes, 505},
		{"atoll", paintTerrain, 606},
	}
)

func (s scene) draw() *image.RGBA {
	c := canvas{image.NewRGBA(image.Rect(0, 0, sceneWidth, sceneHeight))}
	s.paint(c, mix(s.seed))
	return c.RGBA
}

type canvas struct{ *image.RGBA }

// each sets every pixel to what colour returns for it.
func (c canvas) each(colour func(x, y int) color.RGBA) {
	for y := range sceneHeight {
		for x := range sceneWidth {
			c.SetRGBA(x, y, colour(x, y))
		}
	}
}

// fill repaints the pixels of a box for which inside is true, with a grain of noise.
func (c canvas) fill(box image.Rectangle, seed uint64, base color.RGBA, inside func(x, y int) bool) {
	box = box.Intersect(c.Rect)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			if inside(x, y) {
				c.SetRGBA(x, y, shade(base, (fractal(seed, x, y, 24, 3)-unit/2)*60/unit))
			}
		}
	}
}

func (c canvas) disc(cx, cy, r int, seed uint64, base color.RGBA) {
	c.fill(image.Rect(cx-r, cy-r, cx+r+1, cy+r+1), seed, base, func(x, y int) bool {
		return (x-cx)*(x-cx)+(y-cy)*(y-cy) <= r*r
	})
}

func (c canvas) box(r image.Rectangle, seed uint64, base color.RGBA) {
	c.fill(r, seed, base, func(int, int) bool { return true })
}

// write writes text with basicfont's glyphs, each of whose pixels becomes a square of size pixels.
func (c canvas) write(x, y, size int, text string, colour color.RGBA) {
	face := basicfont.Face7x13
	small := image.NewAlpha(image.Rect(0, 0, face.Advance*len(text), face.Height))
	d := font.Drawer{Dst: small, Src: image.Opaque, Face: face, Dot: fixed.P(0, face.Ascent)}
	d.DrawString(text)
	for py := range small.Rect.Dy() * size {
		for px := range small.Rect.Dx() * size {
			if small.AlphaAt(px/size, py/size).A > 127 && image.Pt(x+px, y+py).In(c.Rect) {
				c.SetRGBA(x+px, y+py, colour)
			}
		}
	}
}

// paintRidges: mountains behind one another under a sky with a sun.
func paintRidges(c canvas, seed uint64) {
	r := random(seed)
	zenith, horizon := r.color(30, 140), r.color(150, 250)
	c.each(func(x, y int) color.RGBA {
		cloud := fractal(seed+1, x, y*2, 160, 4)
		return shade(blend(zenith, horizon, y*unit/sceneHeight*3/2), (cloud-unit/2)*90/unit)
	})
	c.disc(r.between(60, sceneWidth-60), r.between(40, 120), r.between(18, 40), seed+2, color.RGBA{250, 240, 200, 255})
	rock := r.color(60, 150)
	for ridge := range 4 {
		base, relief := 130+ridge*62, 190-ridge*30
		earth := shade(rock, 30-ridge*35)
		ridgeSeed := r.next()
		c.fill(c.Rect, ridgeSeed+1, earth, func(x, y int) bool {
			return y > base+(fractal(ridgeSeed, x, 0, 150-ridge*20, 5)-unit/2)*relief/unit
		})
	}
}

// paintSkyline: houses with lit windows.
func paintSkyline(c canvas, seed uint64) {
	r := random(seed)
	low, high := r.color(120, 240), r.color(10, 90)
	c.each(func(x, y int) color.RGBA {
		return shade(blend(high, low, y*unit/sceneHeight), (fractal(seed+1, x, y, 120, 3)-unit/2)*50/unit)
	})
	c.disc(r.between(50, sceneWidth-50), r.between(40, 90), r.between(16, 30), seed+2, r.color(200, 250))
	for x := -10; x < sceneWidth; {
		width, height := r.between(34, 90), r.between(70, 300)
		wall := r.color(20, 110)
		house := image.Rect(x, sceneHeight-height, x+width, sceneHeight)
		c.box(house, r.next(), wall)
		lit := r.color(150, 250)
		for wy := house.Min.Y + 8; wy < sceneHeight-14; wy += 20 {
			for wx := house.Min.X + 6; wx < house.Max.X-12; wx += 16 {
				if r.between(0, 9) < 5 {
					c.box(image.Rect(wx, wy, wx+9, wy+12), seed, lit)
				}
			}
		}
		x += width + r.between(-8, 20)
	}
}

// paintShapes: discs, boxes and triangles on a slanted gradient.
func paintShapes(c canvas, seed uint64) {
	r := random(seed)
	from, to := r.color(20, 130), r.color(120, 250)
	slant := r.between(-200, 200)
	c.each(func(x, y int) color.RGBA {
		return blend(from, to, (x*100+y*slant)*unit/(sceneWidth*180))
	})
	for range 18 {
		x, y, size := r.between(0, sceneWidth), r.between(0, sceneHeight), r.between(24, 95)
		colour, grain := r.color(10, 245), r.next()
		switch r.between(0, 2) {
		case 0:
			c.disc(x, y, size, grain, colour)
		case 1:
			c.box(image.Rect(x-size, y-size/2, x+size, y+size/2), grain, colour)
		default:
			lean := r.between(20, 100)
			c.fill(image.Rect(x-size, y-size, x+size, y+size), grain, colour, func(px, py int) bool {
				return (px-x+size)*100 > (py-y+size)*lean && (x+size-px)*100 > (py-y+size)*(140-lean)
			})
		}
	}
}

// paintMarble: noise that is bent by other noise, in three colours.
func paintMarble(c canvas, seed uint64) {
	r := random(seed)
	dark, vein, light := r.color(10, 80), r.color(90, 200), r.color(190, 255)
	c.each(func(x, y int) color.RGBA {
		dx := (fractal(seed+1, x, y, 140, 4) - unit/2) * 260 / unit
		dy := (fractal(seed+2, x, y, 140, 4) - unit/2) * 260 / unit
		v := (fractal(seed+3, x+dx, y+dy, 130, 4) - unit/2) * 3
		if v < 0 {
			return blend(vein, dark, -v)
		}
		return blend(vein, light, v)
	})
}

// paintTerrain: land, shores and sea as from above, lit from the upper left.
func paintTerrain(c canvas, seed uint64) {
	r := random(seed)
	sea, shallow, sand, grass, snow := r.color(10, 60), r.color(80, 150), r.color(190, 230), r.color(50, 130), r.color(230, 255)
	height := func(x, y int) int { return fractal(seed+1, x, y, 190, 6) }
	c.each(func(x, y int) color.RGBA {
		h := height(x, y)
		light := (h - height(x-3, y-3)) * 600 / unit
		switch level := h * 100 / unit; {
		case level < 44:
			return blend(sea, shallow, (h-unit*25/100)*100/19)
		case level < 47:
			return shade(sand, light)
		case level < 62:
			return shade(blend(grass, sand, (h-unit*47/100)*100/40), light)
		default:
			return shade(snow, light-20)
		}
	})
}

// paintMeadow: blossoms of several sizes over grass.
func paintMeadow(c canvas, seed uint64) {
	r := random(seed)
	shadow, grass := r.color(5, 60), r.color(90, 170)
	c.each(func(x, y int) color.RGBA { return blend(shadow, grass, fractal(seed+1, x, y*2/3, 110, 5)*3/2-unit/4) })
	for range 34 {
		x, y := r.between(0, sceneWidth), r.between(0, sceneHeight)
		size := r.between(8, 14) + 26*y/sceneHeight
		petal, heart := r.color(120, 255), r.color(20, 255)
		for _, p := range [...]image.Point{{10, 0}, {3, 9}, {-8, 6}, {-8, -6}, {3, -9}} {
			c.disc(x+p.X*size/12, y+p.Y*size/12, size*7/10, r.next(), petal)
		}
		c.disc(x, y, size/2, r.next(), heart)
	}
}

// paintPoster: large letters on coloured bands.
func paintPoster(c canvas, seed uint64) {
	r := random(seed)
	for y := 0; y < sceneHeight; {
		height := r.between(50, 110)
		c.box(image.Rect(0, y, sceneWidth, y+height), r.next(), r.color(20, 220))
		y += height
	}
	words := [...]string{"SYNTHETIC", "DRAWN", "BY A", "PROGRAM", "NO PHOTO", "TEST 042", "SAMPLE", "EXAMPLE"}
	for y := 6; y < sceneHeight-40; {
		size := r.between(4, 8)
		c.write(r.between(-10, 120), y, size, words[r.between(0, len(words)-1)], r.color(0, 255))
		y += 13*size - r.between(0, 20)
	}
	c.disc(r.between(300, 470), r.between(60, 320), r.between(40, 80), r.next(), r.color(60, 250))
}

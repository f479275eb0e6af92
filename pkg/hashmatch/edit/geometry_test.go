package edit

import (
	"image"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTurns holds turns to what they say: they undo each other, and agree with the one pixel that moves.
func TestTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, h := rapid.IntRange(3, 20).Draw(t, "width"), rapid.IntRange(3, 20).Draw(t, "height")
		src := painted(w, h)
		do := func(names ...string) *image.RGBA {
			out := src
			for _, name := range names {
				out = turn(name)(out, nil)
			}
			return out
		}
		for _, names := range [][]string{
			{"mirror", "mirror"}, {"flip", "flip"}, {"turn180", "turn180"}, {"turn90", "turn270"},
			{"turn90", "turn90", "turn180"}, {"mirror", "flip", "turn180"}, {"turn90", "turn90", "turn90", "turn90"},
		} {
			if !equal(do(names...), src) {
				t.Fatalf("%v does not lead back", names)
			}
		}
		// The pixel at the upper right goes to the upper left, counter-clockwise.
		if do("turn90").RGBAAt(0, 0) != src.RGBAAt(w-1, 0) || do("mirror").RGBAAt(0, 0) != src.RGBAAt(w-1, 0) ||
			do("flip").RGBAAt(0, 0) != src.RGBAAt(0, h-1) {
			t.Fatal("a pixel is at the wrong place")
		}
	})
}

// TestParts checks, for edits that keep the picture itself, where its pixels are.
func TestParts(t *testing.T) {
	src := painted(200, 100)
	within := func(dst *image.RGBA, x, y int) bool {
		return equal(cut(dst, image.Rect(x, y, x+200, y+100)), src)
	}
	for name, at := range map[string][2]int{"pad5-black": {10, 5}, "pad20-red": {40, 20}, "letterbox25-white": {0, 25},
		"pillarbox25-black": {50, 0}, "caption-above": {0, 15}, "caption-below": {0, 0}} {
		dst := apply(t, name, src, 1)
		if !within(dst, at[0], at[1]) {
			t.Errorf("%s: the picture is not at %v", name, at)
		}
	}
	if dst := apply(t, "pad20-red", src, 1); dst.Rect != image.Rect(0, 0, 280, 140) || dst.RGBAAt(0, 0) != red || dst.RGBAAt(279, 139) != red {
		t.Errorf("pad20-red: %v", dst.Rect)
	}
	for name, r := range map[string]image.Rectangle{"crop2-left": image.Rect(4, 0, 200, 100), "crop5-right": image.Rect(0, 0, 190, 100),
		"crop10-top": image.Rect(0, 10, 200, 100), "crop10-bottom": image.Rect(0, 0, 200, 90), "crop5-each": image.Rect(10, 5, 190, 95)} {
		if dst := apply(t, name, src, 1); !equal(dst, cut(src, r)) {
			t.Errorf("%s is not %v of the picture, but %v", name, r, dst.Rect)
		}
	}
	offsets := make(map[image.Point]bool)
	for seed := range uint64(50) {
		dst := apply(t, "crop10-total", src, seed)
		if dst.Rect != image.Rect(0, 0, 180, 90) {
			t.Fatalf("crop10-total: %v", dst.Rect)
		}
		found := false
		for x := range 21 {
			for y := range 11 {
				if equal(dst, cut(src, image.Rect(x, y, x+180, y+90))) {
					found = true
					offsets[image.Pt(x, y)] = true
				}
			}
		}
		if !found {
			t.Fatal("crop10-total is no part of the picture")
		}
	}
	if len(offsets) < 20 {
		t.Errorf("crop10-total: only %d splits in 50", len(offsets))
	}
	if dst := apply(t, "side-by-side", src, 1); !equal(cut(dst, image.Rect(0, 0, 200, 100)), src) && !equal(cut(dst, image.Rect(200, 0, 400, 100)), src) {
		t.Error("side-by-side: the picture is on neither side")
	}
}

// TestTilt compares with the geometry: the centre stays, and the corners of a grown frame are black or the picture's.
func TestTilt(t *testing.T) {
	src := filled(201, 101, red)
	fill(src, image.Rect(98, 48, 103, 53), white)
	for degrees, name := range map[int]string{4: "tilt4-grown", 10: "tilt10-grown"} {
		dst := apply(t, name, src, 3)
		sin, cos := math.Sincos(float64(degrees) * math.Pi / 180)
		if want := image.Pt(round(201*cos+101*sin), round(201*sin+101*cos)); dst.Rect.Size() != want {
			t.Errorf("%s: %v, want %v", name, dst.Rect.Size(), want)
		}
		if c := dst.RGBAAt(dst.Rect.Dx()/2, dst.Rect.Dy()/2); c != white {
			t.Errorf("%s: the centre is %v", name, c)
		}
		if dst.RGBAAt(0, 0) != black || dst.RGBAAt(dst.Rect.Dx()-1, dst.Rect.Dy()-1) != black {
			t.Errorf("%s: a corner is not black", name)
		}
		inked := 0
		for y := range dst.Rect.Dy() {
			for x := range dst.Rect.Dx() {
				if dst.RGBAAt(x, y) != black {
					inked++
				}
			}
		}
		if math.Abs(float64(inked)-201*101) > 350 { // the edges are ragged by a pixel
			t.Errorf("%s: %d pixels of the picture, want about %d", name, inked, 201*101)
		}
		if kept := apply(t, strings.Replace(name, "grown", "kept", 1), src, 3); kept.Rect != src.Rect {
			t.Errorf("%s, kept: %v", name, kept.Rect)
		}
	}
}

func TestQuadrilateral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := func(name string) float64 { return rapid.Float64Range(0, .3).Draw(t, name) }
		p := [4][2]float64{{at("a"), at("b")}, {1 - at("c"), at("d")}, {1 - at("e"), 1 - at("f")}, {at("g"), 1 - at("h")}}
		to := quadrilateral(p)
		for i, want := range [4][2]float64{{0, 0}, {1, 0}, {1, 1}, {0, 1}} {
			if u, v := to(p[i][0], p[i][1]); math.Abs(u-want[0]) > 1e-9 || math.Abs(v-want[1]) > 1e-9 {
				t.Fatalf("corner %d went to %v, %v", i, u, v)
			}
		}
		// A straight line stays one: the crossing of the diagonals goes to the middle.
		x, y := crossing(p)
		if u, v := to(x, y); math.Abs(u-.5) > 1e-9 || math.Abs(v-.5) > 1e-9 {
			t.Fatalf("the crossing of the diagonals went to %v, %v", u, v)
		}
	})
}

func crossing(p [4][2]float64) (x, y float64) {
	ax, ay, bx, by := p[2][0]-p[0][0], p[2][1]-p[0][1], p[3][0]-p[1][0], p[3][1]-p[1][1]
	s := ((p[1][0]-p[0][0])*by - (p[1][1]-p[0][1])*bx) / (ax*by - ay*bx)
	return p[0][0] + s*ax, p[0][1] + s*ay
}

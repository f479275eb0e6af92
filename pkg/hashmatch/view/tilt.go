package view

import (
	"fmt"
	"math"
)

// The angles in degrees by which pictures are turned back, either way. Between two of them a picture is at most half a
// step off: at 0.75 degrees the edges of a picture are off by 0.65 % of its side.
var (
	standardTilts = []float64{1.5, 3, 4.5}
	thoroughTilts = []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
)

// kept returns the map to a part of w x h of a picture that was turned clockwise by so many degrees in its own frame.
func kept(degrees, w, h float64) *warp {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	// The middle stays; a step of (u w, v h) is turned, and counted in parts of the frame.
	return &warp{
		cos, -sin * h / w, .5 - .5*cos + .5*sin*h/w,
		sin * w / h, cos, .5 - .5*cos - .5*sin*w/h,
	}
}

// grown returns the map to a part of w x h that grew as a picture was turned in it; false if no picture can have been:
// w = a cos + b sin and h = a sin + b cos of a picture of a x b.
func grown(degrees, w, h float64) (*warp, bool) {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	s := math.Abs(sin)
	d := cos*cos - s*s
	a, b := (w*cos-h*s)/d, (h*cos-w*s)/d
	if a < w/4 || b < h/4 {
		return nil, false
	}
	return &warp{
		cos * a / w, -sin * b / w, .5 - .5*cos*a/w + .5*sin*b/w,
		sin * a / h, cos * b / h, .5 - .5*cos*b/h - .5*sin*a/h,
	}, true
}

// tilts takes the views of a part that is w pixels wide and h high.
func (s *sight) tilts(f *field, w, h float64, panel, before string, degrees []float64) {
	corners := f.flatCorners()
	for _, d := range degrees {
		for _, d := range [2]float64{d, -d} {
			f.warped(&s.points, kept(d, w, h)).fill(&s.points)
			s.take(panel, joined(before, fmt.Sprintf("tilt_%g", d)))
			if !corners {
				continue
			}
			if m, ok := grown(d, w, h); ok {
				f.warped(&s.points, m).fill(&s.points)
				s.take(panel, joined(before, fmt.Sprintf("tilt_%g_grown", d)))
			}
		}
	}
}

// flatCorners reports whether each corner is flat over two cells along both sides, as where a frame grew: a picture that
// was turned by one degree leaves a triangle there of 2.2 cells.
func (f *field) flatCorners() bool {
	const tolerance = 6
	for _, y := range [2][2]int{{0, 1}, {cells - 1, cells - 2}} {
		for _, x := range [2][2]int{{0, 1}, {cells - 1, cells - 2}} {
			corner := f[y[0]][x[0]]
			for _, v := range [2]float32{f[y[0]][x[1]], f[y[1]][x[0]]} {
				if d := v - corner; d > tolerance || d < -tolerance {
					return false
				}
			}
		}
	}
	return true
}

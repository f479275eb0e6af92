package view

import (
	"fmt"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/pdq"
)

// fewest is the number of samples that a side of a plane keeps: four for each of the 64 points of a hash, so that a
// picture which is a quarter of the upload in each direction still has one for each.
const fewest = 256

// plane is the brightness of an upload, each side reduced for itself by a power of two to fewest samples or up to twice
// as many; a side that has fewer is as it is. So it has at most 512 x 512 samples whatever the upload's size and shape.
type plane struct {
	pix           []uint8 // row by row, without gaps
	width, height int
	// across and down are the sides in samples: where the number of pixels is no multiple of the reduction, the last
	// sample stands for fewer of them, and is counted as a part.
	across, down  float64
	columns, rows int // of the upload, in pixels
}

// factor returns the power of two by which a side of n samples is reduced.
func factor(n int) int {
	f := 1
	for n/(2*f) >= fewest {
		f *= 2
	}
	return f
}

// planeOf reduces a picture.
func planeOf(src pdq.Luma) *plane {
	w, h := src.Size()
	fx, fy := factor(w), factor(h)
	p := newPlane(w, h, fx, fy)
	row := make([]float32, w)
	sums := make([]float32, p.width)
	for y := range p.height {
		first, last := y*fy, min((y+1)*fy, h)
		clear(sums)
		for k := first; k < last; k++ {
			src.Row(row, 0, k)
			addUp(sums, row, fx)
		}
		p.round(y, sums, w, fx, last-first)
	}
	return p
}

// addUp adds the sums of each n values of row to sums; the last may have fewer.
func addUp(sums, row []float32, n int) {
	switch n {
	case 1:
		for i, v := range row[:len(sums)] {
			sums[i] += v
		}
		return
	case 2:
		for i := range len(row) / 2 {
			r := row[2*i : 2*i+2 : 2*i+2]
			sums[i] += r[0] + r[1]
		}
	default: // a multiple of 4
		for i := range len(row) / n {
			var s0, s1, s2, s3 float32
			for r := row[i*n : (i+1)*n]; len(r) >= 4; r = r[4:] {
				s0, s1, s2, s3 = s0+r[0], s1+r[1], s2+r[2], s3+r[3]
			}
			sums[i] += (s0 + s1) + (s2 + s3)
		}
	}
	for _, v := range row[len(row)/n*n:] {
		sums[len(sums)-1] += v
	}
}

// round writes the means of row y.
func (p *plane) round(y int, sums []float32, w, fx, rows int) {
	by := 1 / float32(fx*rows)
	to := p.pix[y*p.width:][:p.width]
	for x, s := range sums {
		to[x] = uint8(min(s*by+.5, 255))
	}
	if rest := w % fx; rest != 0 {
		to[p.width-1] = uint8(min(sums[p.width-1]/float32(rest*rows)+.5, 255))
	}
}

func newPlane(w, h, fx, fy int) *plane {
	p := &plane{width: (w-1)/fx + 1, height: (h-1)/fy + 1,
		across: float64(w) / float64(fx), down: float64(h) / float64(fy), columns: w, rows: h}
	p.pix = make([]uint8, p.width*p.height)
	return p
}

// reducedPlane returns the plane of a picture that is reduced already, as the file stores it.
func reducedPlane(r *hashmatch.Reduced) (*plane, error) {
	if r.Scale < 1 || r.Width < 1 || r.Height < 1 {
		return nil, fmt.Errorf("view: a picture of %d x %d pixels at a scale of %d", r.Width, r.Height, r.Scale)
	}
	w, h := (r.Width-1)/r.Scale+1, (r.Height-1)/r.Scale+1
	if r.Stride < w || len(r.Pix) < w || h-1 > (len(r.Pix)-w)/r.Stride {
		return nil, fmt.Errorf("view: a plane that lacks samples")
	}
	fx, fy := factor(w), factor(h)
	p := newPlane(w, h, fx, fy)
	p.across = float64(r.Width) / float64(r.Scale*fx)
	p.down = float64(r.Height) / float64(r.Scale*fy)
	p.columns, p.rows = r.Width, r.Height
	sums := make([]int, p.width)
	for y := range p.height {
		first, last := y*fy, min((y+1)*fy, h)
		clear(sums)
		for k := first; k < last; k++ {
			for x, v := range r.Pix[k*r.Stride:][:w] {
				sums[x/fx] += int(v)
			}
		}
		to := p.pix[y*p.width:][:p.width]
		for x, s := range sums {
			n := (min((x+1)*fx, w) - x*fx) * (last - first)
			to[x] = uint8((s + n/2) / n)
		}
	}
	return p, nil
}

// turned returns the plane as an EXIF orientation of 1 to 8 shows it.
func (p *plane) turned(orientation int) *plane {
	if orientation == 1 {
		return p
	}
	swap := orientation >= 5
	q := &plane{width: p.width, height: p.height, across: p.across, down: p.down, columns: p.columns, rows: p.rows}
	if swap {
		q.width, q.height, q.across, q.down, q.columns, q.rows = p.height, p.width, p.down, p.across, p.rows, p.columns
	}
	q.pix = make([]uint8, len(p.pix))
	mirrorX := orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8
	mirrorY := orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7
	for y := range q.height {
		for x := range q.width {
			sx, sy := x, y
			if swap {
				sx, sy = y, x
			}
			if mirrorX {
				sx = p.width - 1 - sx
			}
			if mirrorY {
				sy = p.height - 1 - sy
			}
			q.pix[y*q.width+x] = p.pix[sy*p.width+sx]
		}
	}
	return q
}

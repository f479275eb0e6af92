package view

import (
	"math"

	"example.org/hashmatch/pkg/hashmatch/pdq"
)

const (
	side  = 64  // points of a hash each way
	cells = 128 // cells of a field each way
)

// rect is a part of a plane, in samples.
type rect struct{ x0, y0, x1, y1 float64 }

func (r rect) width() float64  { return r.x1 - r.x0 }
func (r rect) height() float64 { return r.y1 - r.y0 }

// field is a part of a plane in 128 x 128 means. PDQ smooths a picture twice by a box of a 128th of its side before it
// samples it: a cell is the first box, and the line between the middles of two cells comes near the second. So a view
// that shows about as much as the field sees it through the filter that the original was seen through.
type field [cells][cells]float32

// span is the samples that make a cell: their weights add up to 1.
type span struct {
	first   int
	weights []float32
}

// spans divides the samples from a to b of an axis of n into equal cells. A cell has a part of the samples at its ends.
func spans(a, b float64, n int) *[cells]span {
	all := new([cells]span)
	step := (b - a) / cells
	weights := make([]float32, 0, int(b-a)+2*cells+2)
	for i := range all {
		from := min(max(a+float64(i)*step, 0), float64(n)-1e-6)
		to := min(max(a+float64(i+1)*step, from+1e-7), float64(n))
		first, last := int(from), min(int(math.Ceil(to)), n)-1
		last = max(last, first)
		start := len(weights)
		for k := first; k <= last; k++ {
			weights = append(weights, float32(max(min(to, float64(k+1))-max(from, float64(k)), 0)/(to-from)))
		}
		all[i] = span{first, weights[start:len(weights):len(weights)]}
	}
	return all
}

// field returns a part of the plane, which must not be empty.
func (p *plane) field(r rect) *field {
	across, down := spans(r.x0, r.x1, p.width), spans(r.y0, r.y1, p.height)
	f := new(field)
	var line [cells]float32
	next := 0
	top, bottom := down[0].first, down[cells-1].first+len(down[cells-1].weights)
	for y := top; y < bottom; y++ {
		row := p.pix[y*p.width:][:p.width]
		for i := range across {
			s := row[across[i].first:]
			var sum float32
			for k, w := range across[i].weights {
				sum += w * float32(s[k])
			}
			line[i] = sum
		}
		for next < cells && down[next].first+len(down[next].weights) <= y {
			next++
		}
		for i := next; i < cells && down[i].first <= y; i++ {
			w := down[i].weights[y-down[i].first]
			for x, v := range line {
				f[i][x] += w * v
			}
		}
	}
	return f
}

// at is a place between two cells of an axis.
type at struct {
	cell  int
	part  float32 // of the cell after it
	shown bool    // else it lies beyond the field's ends, and this is the end
}

// atOf returns the place of t, where 0 and 1 are the ends of the field.
func atOf(t float64) at {
	g := min(max(t*cells-.5, 0), cells-1)
	cell := min(int(g), cells-2)
	return at{cell, float32(g - float64(cell)), t >= 0 && t <= 1}
}

// axis is where the 64 points of one axis of a view lie.
type axis [side]at

// axisOf returns the points of an original of which the parts before and after were cut off.
func axisOf(before, after float64) *axis {
	a := new(axis)
	for i := range a {
		u := (float64(i) + .5) / side
		a[i] = atOf((u - before) / (1 - before - after))
	}
	return a
}

// stripes is a field whose rows are brought to the points of a view.
type stripes [cells][side]float32

func (f *field) stripes(x *axis) *stripes {
	s := new(stripes)
	for i := range f {
		row, to := &f[i], &s[i]
		for j, p := range x {
			a := row[p.cell]
			to[j] = a + p.part*(row[p.cell+1]-a)
		}
	}
	return s
}

func (s *stripes) points(to *pdq.Points, y *axis) {
	for i, p := range y {
		a, b, row := &s[p.cell], &s[p.cell+1], &to[i]
		for j := range row {
			row[j] = a[j] + p.part*(b[j]-a[j])
		}
	}
}

// warp is a projective map from the unit square of an original to the plane of a field, 0 and 1 at its ends:
// x = (m[0] u + m[1] v + m[2]) / w, y = (m[3] u + m[4] v + m[5]) / w, w = m[6] u + m[7] v + 1.
type warp [8]float64

// warped sets the points to those of the original that m leads from, and returns those that the field does not show.
func (f *field) warped(to *pdq.Points, m *warp) (o outside) {
	for i := range to {
		v := (float64(i) + .5) / side
		row := &to[i]
		for j := range row {
			u := (float64(j) + .5) / side
			w := 1 / (m[6]*u + m[7]*v + 1)
			x, y := atOf((m[0]*u+m[1]*v+m[2])*w), atOf((m[3]*u+m[4]*v+m[5])*w)
			if !x.shown || !y.shown {
				o = append(o, uint16(side*i+j))
			}
			a, b := &f[y.cell], &f[y.cell+1]
			above := a[x.cell] + x.part*(a[x.cell+1]-a[x.cell])
			below := b[x.cell] + x.part*(b[x.cell+1]-b[x.cell])
			row[j] = above + y.part*(below-above)
		}
	}
	return o
}

// plain sets the points to the field itself.
func (f *field) plain(to *pdq.Points) {
	x := axisOf(0, 0)
	f.stripes(x).points(to, x)
}

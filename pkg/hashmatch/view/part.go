package view

import (
	"cmp"
	"math"
	"slices"
)

// smallest is the part of each side of the upload that a picture in it has at least.
const smallest = .25

// whole returns the plane as one part.
func (p *plane) whole() rect { return rect{0, 0, p.across, p.down} }

// trimmed returns r without its borders: each side's own colour, as its outermost line has it, for as long as lines are
// of it. The second time the other sides' borders are no longer in the way.
func (p *plane) trimmed(r rect) rect {
	var colours [4]int
	for i := range colours {
		colours[i] = p.outermost(r, i >= 2, i%2 == 1)
	}
	for range 2 {
		r.y0 += float64(p.border(r, false, false, colours[0]))
		r.y1 -= float64(p.border(r, false, true, colours[1]))
		r.x0 += float64(p.border(r, true, false, colours[2]))
		r.x1 -= float64(p.border(r, true, true, colours[3]))
	}
	return r
}

// line is the samples of one row or column of r, counted from one of its ends.
func (p *plane) line(to []uint8, r rect, columns, fromEnd bool, n int) []uint8 {
	x0, y0, x1, y1 := p.samples(r)
	lines, samples := y1-y0, x1-x0
	if columns {
		lines, samples = samples, lines
	}
	if fromEnd {
		n = lines - 1 - n
	}
	to = to[:0]
	for i := range samples {
		if columns {
			to = append(to, p.pix[(y0+i)*p.width+x0+n])
		} else {
			to = append(to, p.pix[(y0+n)*p.width+x0+i])
		}
	}
	return to
}

// samples returns the samples that r has a part of.
func (p *plane) samples(r rect) (x0, y0, x1, y1 int) {
	return int(r.x0), int(r.y0), min(int(math.Ceil(r.x1)), p.width), min(int(math.Ceil(r.y1)), p.height)
}

// outermost returns the median of the outermost line of a side.
func (p *plane) outermost(r rect, columns, fromEnd bool) int {
	line := p.line(nil, r, columns, fromEnd, 0)
	slices.Sort(line)
	return int(line[len(line)/2])
}

// border counts the lines at a side of r, columns or rows, that are of a colour: up to the 2 % of their samples that noise
// and the ends of the line may change, and to what JPEG does to a flat area beside an edge.
func (p *plane) border(r rect, columns, fromEnd bool, colour int) int {
	const tolerance = 10
	x0, y0, x1, y1 := p.samples(r)
	lines := y1 - y0
	if columns {
		lines = x1 - x0
	}
	most := int(float64(lines) * (1 - smallest))
	var line []uint8
	for n := range lines {
		if n > most {
			return 0 // all of it is of one colour
		}
		line = p.line(line, r, columns, fromEnd, n)
		off := 0
		for _, v := range line {
			if d := int(v) - colour; d > tolerance || d < -tolerance {
				off++
			}
		}
		if off*50 > len(line) {
			return n
		}
	}
	return 0
}

// jumps returns how far the samples on both sides of each line between two rows (or columns) of r are apart, in the mean
// over the line.
func (p *plane) jumps(r rect, columns bool) []float64 {
	x0, y0, x1, y1 := int(r.x0), int(r.y0), int(r.x1), int(r.y1)
	lines, samples := y1-y0, x1-x0
	if columns {
		lines, samples = samples, lines
	}
	if lines < 32 || samples < 32 {
		return nil
	}
	jumps := make([]float64, lines)
	for n := 1; n < lines; n++ {
		sum := 0
		for i := range samples {
			a, b := (y0+n)*p.width+x0+i, p.width
			if columns {
				a, b = (y0+i)*p.width+x0+n, 1
			}
			d := int(p.pix[a]) - int(p.pix[a-b])
			sum += max(d, -d)
		}
		jumps[n] = float64(sum) / float64(samples)
	}
	return jumps
}

// edges returns the lines of r where one picture ends and another begins: where the samples of both sides are four times
// as far apart as they usually are from one line to the next, and farther than texture brings about.
func (p *plane) edges(r rect, columns bool) []int {
	const least = 10
	jumps := p.jumps(r, columns)
	if jumps == nil {
		return nil
	}
	sorted := slices.Clone(jumps)
	slices.Sort(sorted)
	usual := sorted[len(sorted)/2]
	var edges []int
	for n, j := range jumps {
		if j < max(4*usual, least) {
			continue
		}
		if last := len(edges) - 1; last >= 0 && n-edges[last] <= 2 { // one edge, blurred by the reduction
			if j > jumps[edges[last]] {
				edges[last] = n
			}
			continue
		}
		edges = append(edges, n)
	}
	if len(edges) > mostEdges {
		slices.SortFunc(edges, func(a, b int) int { return cmp.Compare(jumps[b], jumps[a]) })
		edges = edges[:mostEdges]
		slices.Sort(edges)
	}
	return edges
}

// mostEdges bounds the edges of r that rectangles are made of: those where the samples are farthest apart.
const mostEdges = 10

// rectangles returns the parts of r between two edges across it and, between those, two edges along it: what a
// screenshot, a caption or another picture's frame may surround. The ends of r count as edges. At most n: the largest, and
// those whose edges are the strongest; r is not among them.
func (p *plane) rectangles(r rect, n int) []rect {
	type candidate struct {
		rect
		strength float64
	}
	var all []candidate
	for _, rows := range p.intervals(r, false) {
		band := rect{r.x0, r.y0 + rows.from, r.x1, r.y0 + rows.to}
		if !p.fits(band) {
			continue
		}
		for _, columns := range p.intervals(band, true) {
			part := rect{r.x0 + columns.from, band.y0, r.x0 + columns.to, band.y1}
			if p.fits(part) && part != r {
				all = append(all, candidate{part, rows.strength + columns.strength})
			}
		}
	}
	var found []rect
	add := func(n int) {
		for _, c := range all {
			if len(found) < n && !slices.Contains(found, c.rect) {
				found = append(found, c.rect)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.width()*b.height(), a.width()*a.height()) })
	add(n / 3)
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.strength, a.strength) })
	add(n)
	return found
}

// interval is a range between two edges. Its strength is by how much the samples on both sides of its edges are apart,
// in the mean of those that are no end of the whole.
type interval struct{ from, to, strength float64 }

// intervals returns the ranges between any two of the edges of r, its ends among them.
func (p *plane) intervals(r rect, columns bool) []interval {
	length := r.height()
	if columns {
		length = r.width()
	}
	edges := p.edges(r, columns)
	jumps := p.jumps(r, columns)
	ends := []interval{{0, 0, 0}}
	for _, e := range edges {
		ends = append(ends, interval{float64(e), 0, jumps[e]})
	}
	ends = append(ends, interval{length, 0, 0})
	var all []interval
	for i, a := range ends {
		for _, b := range ends[i+1:] {
			all = append(all, interval{a.from, b.from, a.strength + b.strength})
		}
	}
	return all
}

// panel is a part of the upload that is looked at for itself.
type panel struct {
	name string
	part rect
}

// panels returns the halves and quarters of r, where an edge in its middle says that it is made of several pictures.
func (p *plane) panels(r rect) []panel {
	middle := func(edges []int, length float64) bool {
		return slices.ContainsFunc(edges, func(e int) bool { return math.Abs(float64(e)-length/2) <= .04*length })
	}
	x, y := r.x0+r.width()/2, r.y0+r.height()/2
	sideBySide, stacked := middle(p.edges(r, true), r.width()), middle(p.edges(r, false), r.height())
	left, right := rect{r.x0, r.y0, x, r.y1}, rect{x, r.y0, r.x1, r.y1}
	switch {
	case sideBySide && stacked:
		return []panel{
			{"top_left", rect{r.x0, r.y0, x, y}}, {"top_right", rect{x, r.y0, r.x1, y}},
			{"bottom_left", rect{r.x0, y, x, r.y1}}, {"bottom_right", rect{x, y, r.x1, r.y1}},
		}
	case sideBySide:
		return []panel{{"left", left}, {"right", right}}
	case stacked:
		return []panel{{"top", rect{r.x0, r.y0, r.x1, y}}, {"bottom", rect{r.x0, y, r.x1, r.y1}}}
	}
	return nil
}

// fits reports whether r is large enough to be a picture of the upload.
func (p *plane) fits(r rect) bool {
	return r.width() >= smallest*p.across && r.height() >= smallest*p.down && r.width() >= 16 && r.height() >= 16
}

package pdq

// side is the width and height of what the filter's output is sampled to.
const side = 64

// tile is the number of columns whose luma is taken at a time, so that what is written of a band stays in the
// processor's nearest cache (8 KiB) until all of its rows are in.
const tile = 256

// plane is the filtered picture at 64 x 64 points, row by row.
type plane [side][side]float32

// sampled returns the positions of a line of n values that are sampled.
func sampled(n int) *[side]int {
	at := new([side]int)
	for i := range at {
		at[i] = int((float64(i) + 0.5) * float64(n) / side)
	}
	return at
}

// blurrer holds the buffers of one filtering. They grow to the largest picture that it met. It is not safe for
// concurrent use.
type blurrer struct {
	line   []float32            // a piece of a row, as Luma gives it
	luma   band                 // the rows that come
	ring   []float32            // bands after the first pass along rows, as far back as the window reaches
	sums   []float32            // of the first pass along columns
	out    band                 // the rows after the first pass along columns
	points [lanes][side]float32 // those after the second pass along rows, sampled
	second sampledColumns       // the second pass along columns
}

// blur filters src twice along rows and columns, and samples it.
func (f *blurrer) blur(dst *plane, src Luma) {
	width, height := src.Size()
	across, down := boxOf(width), boxOf(height)
	at := sampled(width)
	size := width * lanes
	bands := (down.window+lanes-1)/lanes + 1
	f.line = resize(f.line, tile)
	f.luma = resize(f.luma, size)
	f.ring = resize(f.ring, size*bands)
	f.out = resize(f.out, size)
	f.sums = resize(f.sums, width)
	clear(f.sums)
	f.second.start(dst, down)

	// row returns row r after the first pass along rows, one value every lanes; nil if there is no such row.
	row := func(r int) []float32 {
		if r < 0 || r >= height {
			return nil
		}
		return f.ring[r/lanes%bands*size+r%lanes:]
	}
	for r := 0; r < down.steps(); r += lanes {
		end := min(r+lanes, down.steps())
		if r < height {
			f.take(src, r, min(r+lanes, height))
			across.rows(row(r)[:size], f.luma)
		}
		if r >= down.window && r+lanes <= height {
			var old [lanes][]float32
			for k := range old {
				old[k] = row(r + k - down.window)
			}
			down.columns(f.sums, row(r), f.out, &old, r)
		} else {
			for step := r; step < end; step++ {
				down.column(f.sums, f.out[step-r:], row(step), row(step-down.window), lanes, step)
			}
		}
		across.sample(&f.points, f.out, at)
		for step := max(r, down.lag); step < end; step++ { // before that there is no output
			f.second.step(&f.points[step-r])
		}
	}
	f.second.finish()
}

// take reads rows first up to, not including, last of src into f.luma.
func (f *blurrer) take(src Luma, first, last int) {
	width, _ := src.Size()
	for x := 0; x < width; x += tile {
		line := f.line[:min(tile, width-x)]
		piece := f.luma[x*lanes:][:len(line)*lanes]
		for y := first; y < last; y++ {
			src.Row(line, x, y)
			lane := piece[y-first:]
			for i, v := range line {
				lane[i*lanes] = v
			}
		}
	}
}

// sampledColumns filters 64 columns and keeps the rows that are sampled.
type sampledColumns struct {
	dst  *plane
	box  box
	at   *[side]int
	kept int // rows written to dst
	next int // step
	sums [side]float32
	ring [][side]float32 // the rows in the window
}

// start begins a picture.
func (c *sampledColumns) start(dst *plane, b box) {
	*c = sampledColumns{dst: dst, box: b, at: sampled(b.n), ring: resize(c.ring, b.window)}
}

// step takes the next row; nil when there are no more.
func (c *sampledColumns) step(row *[side]float32) {
	var add, sub, out []float32
	slot := &c.ring[c.next%c.box.window]
	if row != nil {
		add = row[:]
	}
	if c.next >= c.box.window {
		sub = slot[:]
	}
	wanted := c.kept < side && c.at[c.kept] == c.next-c.box.lag
	if wanted {
		out = c.dst[c.kept][:]
	}
	c.box.column(c.sums[:], out, add, sub, 1, c.next)
	if row != nil {
		*slot = *row
	}
	if wanted { // a picture of fewer than 64 rows is sampled at some of them more than once
		for c.kept++; c.kept < side && c.at[c.kept] == c.at[c.kept-1]; c.kept++ {
			c.dst[c.kept] = c.dst[c.kept-1]
		}
	}
	c.next++
}

// finish runs the window out of the picture.
func (c *sampledColumns) finish() {
	for c.next < c.box.steps() {
		c.step(nil)
	}
	c.dst = nil
}

// resize returns a slice of length n, s if it is large enough. Its contents are of no account.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

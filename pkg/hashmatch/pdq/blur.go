package pdq

// side is the width and height of what the filter's output is sampled to.
const side = 64

// tile is the number of columns that go through the first three passes at a time, so that what one writes is in the
// processor's nearest cache when the next one reads it (8 KiB a stage).
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
//
// The second pass along rows starts with the outputs of the first, which are lag steps late, and is as late again. The
// buffers of a row are as long as the first pass has steps, made up to a multiple of lanes, and start with its first
// step: what stands before its first output and after its last one counts as 0.
type blurrer struct {
	across, down box
	steps        int // of the first pass along rows, made up

	lines  []float32            // a tile of lanes rows, as Luma gives them
	luma   band                 // the rows that come, after window columns of 0
	counts []float32            // of values in the sum, after each step of the first pass along rows
	ring   []float32            // rows after the first pass along rows, as many as the window reaches back
	zeros  []float32            // a row before the first and after the last
	sums   []float32            // of the first pass along columns
	out    band                 // rows after the first pass along columns, after window columns of 0
	ends   [side]int            // steps until a sample of the second pass along rows
	by     [side]float32        // what it is divided by
	points [side][lanes]float32 // the samples of lanes rows
	rows   [lanes][side]float32 // the same, row by row
	second sampledColumns       // the second pass along columns
}

// start makes the buffers ready for a picture.
func (f *blurrer) start(dst *plane, width, height int) {
	f.across, f.down = boxOf(width), boxOf(height)
	window, lag := f.across.window, f.across.lag
	f.steps = (f.across.steps() + lanes - 1) / lanes * lanes
	f.lines = resize(f.lines, lanes*tile)
	f.luma = resize(f.luma, (window+f.steps)*lanes)
	clear(f.luma[:window*lanes])
	clear(f.luma[(window+width)*lanes:])
	f.counts = resize(f.counts, f.steps)
	for r := range f.counts {
		f.counts[r] = f.across.count(r)
	}
	f.ring = resize(f.ring, f.bands()*lanes*f.steps)
	f.zeros = resize(f.zeros, f.steps)
	clear(f.zeros)
	f.sums = resize(f.sums, f.steps)
	clear(f.sums)
	f.out = resize(f.out, (window+f.steps+lag)*lanes)
	clear(f.out[:window*lanes])
	clear(f.out[(window+f.steps)*lanes:])
	for i, o := range sampled(width) {
		f.ends[i] = lag + o + lag + 1
		f.by[i] = f.across.count(o + lag)
	}
	f.second.start(dst, f.down)
}

// bands returns how many bands the ring holds.
func (f *blurrer) bands() int { return (f.down.window+lanes-1)/lanes + 1 }

// slot returns where row r is in the ring. The rows of a band follow one another.
func (f *blurrer) slot(r int) int { return r % (f.bands() * lanes) * f.steps }

// row returns row r after the first pass.
func (f *blurrer) row(r int) []float32 {
	if r < 0 || r >= f.down.n {
		return f.zeros
	}
	return f.ring[f.slot(r):][:f.steps]
}

// blur filters src twice along rows and columns, and samples it.
func (f *blurrer) blur(dst *plane, src Luma) {
	width, height := src.Size()
	f.start(dst, width, height)
	for r := 0; r < f.down.steps(); r += lanes {
		f.band(src, r)
		using.deal(&f.rows, &f.points)
		for step := max(r, f.down.lag); step < min(r+lanes, f.down.steps()); step++ { // before that there is no output
			f.second.step(&f.rows[step-r])
		}
	}
	f.second.finish()
}

// band does the lanes steps from r on of all passes but the last, and leaves their samples in f.points.
func (f *blurrer) band(src Luma, r int) {
	var in, old [lanes][]float32
	var by, first, second [lanes]float32
	for k := range lanes {
		in[k], old[k], by[k] = f.row(r+k), f.row(r+k-f.down.window), f.down.count(r+k)
	}
	window, kept, done := f.across.window, 0, 0
	for x := 0; x < f.steps; x += tile {
		n := min(tile, f.steps-x)
		if r < f.down.n {
			f.take(src, x, r)
			using.rows(f.ring[f.slot(r)+x:], f.steps, f.luma[x*lanes:], window, f.counts[x:x+n], &first)
		}
		out := f.out[(window+x)*lanes:][:n*lanes]
		using.columns(out, f.sums[x:x+n], &in, &old, x, &by)
		f.trim(out, x)
		end := kept
		for end < side && f.ends[end] <= x+n {
			end++
		}
		if x+n == f.steps {
			end = side
		}
		using.sample(f.points[kept:end], f.out, window, done, f.ends[kept:end], f.by[kept:end], &second)
		if end > kept {
			kept, done = end, f.ends[end-1]
		}
	}
}

// take reads the luma of a tile from column x and row r on into f.luma.
func (f *blurrer) take(src Luma, x, r int) {
	n := min(tile, f.across.n-x)
	if n <= 0 {
		return
	}
	made := (n + lanes - 1) / lanes * lanes
	for k := range min(lanes, f.down.n-r) {
		line := f.lines[k*tile:][:made]
		src.Row(line[:n], x, r+k)
		clear(line[n:])
	}
	using.interleave(f.luma[(f.across.window+x)*lanes:], f.lines, tile, made)
}

// trim sets what stands before the first output and after the last one to 0; x is the step of out's first column.
func (f *blurrer) trim(out band, x int) {
	if x < f.across.lag {
		clear(out[:min((f.across.lag-x)*lanes, len(out))])
	}
	if last := max(f.across.steps()-x, 0) * lanes; last < len(out) {
		clear(out[last:])
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
	c.box.column(c.sums[:], out, add, sub, c.next)
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

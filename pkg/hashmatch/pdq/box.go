package pdq

// lanes is the number of rows that are filtered together: a running sum waits for its own last addition, eight of
// them do not wait for each other.
const lanes = 8

// A band is lanes rows, stored column by column: the values of column x are band[x*lanes:][:lanes].
type band []float32

// column returns the values of column x.
func (b band) column(x int) *[lanes]float32 { return (*[lanes]float32)(b[x*lanes:]) }

// box is one pass of the box filter over a line of n values. Value r is added at step r, value r - window is
// subtracted at step r after it, and output o is written at step o + lag: so the sum runs in at the start and out at
// the end, and there are n + lag steps.
type box struct {
	n, window, lag int
}

func boxOf(n int) box {
	window := (n + 127) / 128
	return box{n, window, (window+2)/2 - 1}
}

// steps returns the number of steps.
func (b box) steps() int { return b.n + b.lag }

// count returns how many values are in the sum after step r: what it is divided by. (Multiplying with the reciprocal in
// float64 rounds to the same float32 and saves 4 % of the time: too little for the proof that it would need here.)
func (b box) count(r int) float32 { return float32(min(r+1, b.n) - max(r+1-b.window, 0)) }

// rows filters the rows of in into out.
func (b box) rows(out, in band) {
	var s [lanes]float32
	b.run(&s, in, 0, b.lag)
	for r := b.lag; r < b.window; r++ {
		b.run(&s, in, r, r+1)
		b.write(out.column(r-b.lag), &s, r)
	}
	b.steady(&s, out, in)
	for r := b.n; r < b.steps(); r++ {
		b.run(&s, in, r, r+1)
		b.write(out.column(r-b.lag), &s, r)
	}
}

// write writes the output of step r.
func (b box) write(out, s *[lanes]float32, r int) {
	by := b.count(r)
	for k := range out {
		out[k] = s[k] / by
	}
}

// steady does the steps in which a value comes and one goes, window to n - 1, and writes an output at each.
func (b box) steady(s *[lanes]float32, out, in band) {
	by := b.count(b.window)
	s0, s1, s2, s3, s4, s5, s6, s7 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	add := in[b.window*lanes : b.n*lanes]
	sub := in[:len(add)]
	out = out[(b.window-b.lag)*lanes:][:len(add)]
	for i := 0; i+lanes <= len(add); i += lanes {
		a, z, o := (*[lanes]float32)(add[i:i+lanes]), (*[lanes]float32)(sub[i:i+lanes]), (*[lanes]float32)(out[i:i+lanes])
		s0 += a[0]
		s0 -= z[0]
		o[0] = s0 / by
		s1 += a[1]
		s1 -= z[1]
		o[1] = s1 / by
		s2 += a[2]
		s2 -= z[2]
		o[2] = s2 / by
		s3 += a[3]
		s3 -= z[3]
		o[3] = s3 / by
		s4 += a[4]
		s4 -= z[4]
		o[4] = s4 / by
		s5 += a[5]
		s5 -= z[5]
		o[5] = s5 / by
		s6 += a[6]
		s6 -= z[6]
		o[6] = s6 / by
		s7 += a[7]
		s7 -= z[7]
		o[7] = s7 / by
	}
	*s = [lanes]float32{s0, s1, s2, s3, s4, s5, s6, s7}
}

// run does the steps from first up to, not including, last on s and writes no output.
func (b box) run(s *[lanes]float32, in band, first, last int) {
	s0, s1, s2, s3, s4, s5, s6, s7 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	r := first
	for ; r < min(last, b.window); r++ {
		a := in.column(r)
		s0 += a[0]
		s1 += a[1]
		s2 += a[2]
		s3 += a[3]
		s4 += a[4]
		s5 += a[5]
		s6 += a[6]
		s7 += a[7]
	}
	if end := min(last, b.n); r < end {
		add := in[r*lanes : end*lanes]
		sub := in[(r-b.window)*lanes:][:len(add)]
		for i := 0; i+lanes <= len(add); i += lanes {
			a, z := (*[lanes]float32)(add[i:i+lanes]), (*[lanes]float32)(sub[i:i+lanes])
			s0 += a[0]
			s0 -= z[0]
			s1 += a[1]
			s1 -= z[1]
			s2 += a[2]
			s2 -= z[2]
			s3 += a[3]
			s3 -= z[3]
			s4 += a[4]
			s4 -= z[4]
			s5 += a[5]
			s5 -= z[5]
			s6 += a[6]
			s6 -= z[6]
			s7 += a[7]
			s7 -= z[7]
		}
		r = end
	}
	for ; r < last; r++ {
		z := in.column(r - b.window)
		s0 -= z[0]
		s1 -= z[1]
		s2 -= z[2]
		s3 -= z[3]
		s4 -= z[4]
		s5 -= z[5]
		s6 -= z[6]
		s7 -= z[7]
	}
	*s = [lanes]float32{s0, s1, s2, s3, s4, s5, s6, s7}
}

// sample filters the rows of in and writes the outputs at the given ascending positions only: out[k][i] of row k at
// position at[i].
func (b box) sample(out *[lanes][side]float32, in band, at *[side]int) {
	var s [lanes]float32
	done := 0
	for i, o := range at {
		last := o + b.lag
		b.run(&s, in, done, last+1)
		done = last + 1
		by := b.count(last)
		for k := range out {
			out[k][i] = s[k] / by
		}
	}
}

// columns does the lanes steps from r on of columns whose sums are given: every one adds a row of in and subtracts a
// row of old, and writes a row of out. old[k] starts with the value that goes at step r + k from the first column.
func (b box) columns(sums []float32, in, out band, old *[lanes][]float32, r int) {
	by := b.count(r)
	n := len(sums) * lanes
	in, out = in[:n], out[:n]
	z0, z1, z2, z3, z4, z5, z6, z7 := old[0], old[1], old[2], old[3], old[4], old[5], old[6], old[7]
	z0 = z0[:n-lanes+1]
	z1 = z1[:n-lanes+1]
	z2 = z2[:n-lanes+1]
	z3 = z3[:n-lanes+1]
	z4 = z4[:n-lanes+1]
	z5 = z5[:n-lanes+1]
	z6 = z6[:n-lanes+1]
	z7 = z7[:n-lanes+1]
	for i := 0; i+lanes <= n; i += lanes {
		a, o := (*[lanes]float32)(in[i:i+lanes]), (*[lanes]float32)(out[i:i+lanes])
		s := sums[i/lanes]
		s += a[0]
		s -= z0[i]
		o[0] = s / by
		s += a[1]
		s -= z1[i]
		o[1] = s / by
		s += a[2]
		s -= z2[i]
		o[2] = s / by
		s += a[3]
		s -= z3[i]
		o[3] = s / by
		s += a[4]
		s -= z4[i]
		o[4] = s / by
		s += a[5]
		s -= z5[i]
		o[5] = s / by
		s += a[6]
		s -= z6[i]
		o[6] = s / by
		s += a[7]
		s -= z7[i]
		o[7] = s / by
		sums[i/lanes] = s
	}
}

// column does step r of columns whose sums are given. add and sub hold the row whose values come and the row whose
// values go, one value every stride; out is where the output goes. Each is nil where the step has none.
func (b box) column(sums, out, add, sub []float32, stride, r int) {
	by := b.count(r)
	for x := range sums {
		if add != nil {
			sums[x] += add[x*stride]
		}
		if sub != nil {
			sums[x] -= sub[x*stride]
		}
		if out != nil {
			out[x*stride] = sums[x] / by
		}
	}
}

package pdq

// box is one pass of the box filter over a line of n values. Value r is added at step r, value r - window is
// subtracted at step r after it, and output o is written at step o + lag: so the sum runs in at the start and out at
// the end, and there are n + lag steps.
//
// A value beyond the ends of the line counts as 0 here: to add or subtract that changes no sum (none is ever -0). So
// every step is the same, and what differs is the count alone.
type box struct {
	n, window, lag int
}

func boxOf(n int) box {
	window := (n + 127) / 128
	return box{n, window, (window+2)/2 - 1}
}

// steps returns the number of steps.
func (b box) steps() int { return b.n + b.lag }

// count returns how many values are in the sum after step r: what it is divided by. It is 1 at least, also before the
// first output and after the last step. (Multiplying with the reciprocal in float64 rounds to the same float32 and
// saves 4 % of the time: too little for the proof that it would need here.)
func (b box) count(r int) float32 { return float32(max(min(r+1, b.n)-max(r+1-b.window, 0), 1)) }

// column does step r of columns whose sums are given. add and sub hold the row whose values come and the row whose
// values go; out is where the output goes. Each is nil where the step has none.
func (b box) column(sums, out, add, sub []float32, r int) {
	if add != nil {
		for x, v := range add[:len(sums)] {
			sums[x] += v
		}
	}
	if sub != nil {
		for x, v := range sub[:len(sums)] {
			sums[x] -= v
		}
	}
	if out != nil {
		by := b.count(r)
		for x, s := range sums {
			out[x] = s / by
		}
	}
}

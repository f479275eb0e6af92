package eval

import "math"

// Interval is a share of events with its 95 % confidence interval, all from 0 to 1.
type Interval struct {
	Rate float64 `json:"rate"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// z is the 97.5th percentile of the normal distribution.
const z = 1.959963984540054

// Estimate returns the share of events among n independent trials and its interval: Wilson's score interval, and where
// there was no event 0 to 3/n, the rule of three (with the same true rate, at least one event would have been seen in 95
// of 100 such measurements). Of no trial nothing is known: 0, from 0 to 1. Where every trial had the event, the same holds
// for the trials without one.
func Estimate(events, n int64) Interval {
	switch {
	case n <= 0:
		return Interval{0, 0, 1}
	case events <= 0:
		return Interval{0, 0, min(3/float64(n), 1)}
	case events >= n:
		return Interval{1, max(1-3/float64(n), 0), 1}
	}
	p, count := float64(events)/float64(n), float64(n)
	centre := p + z*z/(2*count)
	spread := z * math.Sqrt(p*(1-p)/count+z*z/(4*count*count))
	scale := 1 + z*z/count
	return Interval{p, max((centre-spread)/scale, 0), min((centre+spread)/scale, 1)}
}

// Histogram counts distances: its index is the distance in bits.
type Histogram []int64

// Within returns how many are at most t.
func (h Histogram) Within(t int) int64 {
	var n int64
	for d := 0; d < len(h) && d <= t; d++ {
		n += h[d]
	}
	return n
}

// Total returns how many there are.
func (h Histogram) Total() int64 { return h.Within(len(h)) }

// Nearest returns the smallest distance; -1 if there is none.
func (h Histogram) Nearest() int {
	for d, n := range h {
		if n > 0 {
			return d
		}
	}
	return -1
}

// Median returns the distance that half of them do not exceed; -1 if there is none.
func (h Histogram) Median() int {
	total := h.Total()
	var n int64
	for d := range h {
		if n += h[d]; total > 0 && 2*n >= total {
			return d
		}
	}
	return -1
}

// trimmed returns h without the zeros at its end.
func (h Histogram) trimmed() Histogram {
	n := len(h)
	for n > 0 && h[n-1] == 0 {
		n--
	}
	return h[:n]
}

// Choice is the answer to "which threshold for at most one false match in so many uploads?". Each field is the largest
// threshold for which it holds, -1 if it holds for none.
type Choice struct {
	Uploads int64 `json:"uploads"`
	// Proven: the upper end of the rate's interval is within the bound.
	Proven int `json:"proven"`
	// Seen: the rate itself is.
	Seen int `json:"seen"`
	// Possible: the lower end is. The true threshold lies from Proven to Possible, with 95 % confidence at each end.
	Possible int `json:"possible"`
	// Widest is the widest threshold that was looked at: an answer of Widest means that or more.
	Widest int `json:"widest"`
	// Needed is the number of independent trials that would prove a threshold at which there is no event: 3 times the
	// trials that one false match is allowed in.
	Needed int64 `json:"needed"`
	Trials int64 `json:"trials"`
}

// choose answers for trials of which near counts the nearest distances. bound is the share of trials that may have an
// event.
func choose(near Histogram, trials, uploads int64, bound float64, widest int) Choice {
	c := Choice{Uploads: uploads, Proven: -1, Seen: -1, Possible: -1, Widest: widest, Trials: trials,
		Needed: int64(math.Ceil(3/bound - 1e-6))}
	var events int64
	for t := 0; t <= widest && trials > 0; t++ {
		if t < len(near) {
			events += near[t]
		}
		rate := Estimate(events, trials)
		if rate.High <= bound {
			c.Proven = t
		}
		if rate.Rate <= bound {
			c.Seen = t
		}
		if rate.Low <= bound {
			c.Possible = t
		}
	}
	return c
}

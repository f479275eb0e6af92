package policy

import (
	"math"
	"time"
)

// buckets is how many parts a window has: it reaches back over the present part and the 19 before.
const buckets = 20

// clock counts the time that has passed. A clock that is set back stands still for that moment and goes on from there:
// neither does a window last for a day because the clock was a day ahead, nor is anything counted twice.
type clock struct {
	last    time.Time
	elapsed time.Duration
	width   time.Duration // of a bucket
}

// newClock starts one window in, so that bucket 0 is past.
func newClock(window time.Duration, now time.Time) clock {
	return clock{last: now, elapsed: window, width: window / buckets}
}

func (c *clock) tick(now time.Time) {
	if passed := now.Sub(c.last); passed > 0 && c.elapsed <= math.MaxInt64-passed {
		c.elapsed += passed
	}
	c.last = now
}

// bucket and epoch return the numbers of the present part of a window and of the present window.
func (c *clock) bucket() int64 { return int64(c.elapsed / c.width) }
func (c *clock) epoch() int64  { return c.bucket() / buckets }

// window counts what happened in the last window. The zero window is empty.
type window struct {
	counts [buckets]uint32
	newest int64 // the number of the bucket that was counted in last
	sum    int64
}

// add counts n in the bucket of that number, which is newest or later, and lets go of what is out of the window.
func (w *window) add(bucket int64, n uint32) {
	for range min(bucket-w.newest, buckets) {
		w.newest++
		w.sum -= int64(w.counts[w.newest%buckets])
		w.counts[w.newest%buckets] = 0
	}
	w.newest = bucket
	if count := &w.counts[bucket%buckets]; *count <= math.MaxUint32-n {
		*count += n
		w.sum += int64(n)
	}
}

// peaks holds the largest counts that an entry has reached in a window. The present epoch and the one before can
// overlap with the present window: they are kept apart until they cannot.
type peaks struct {
	epoch         int64
	past          int64 // up to the epoch before the previous one
	previous, now int64
}

// roll goes on to an epoch.
func (p *peaks) roll(epoch int64) {
	switch epoch - p.epoch {
	case 0:
		return
	case 1:
		p.past, p.previous, p.now = max(p.past, p.previous), p.now, 0
	default:
		p.past, p.previous, p.now = max(p.past, p.previous, p.now), 0, 0
	}
	p.epoch = epoch
}

// see takes note of a count, and reports whether it is more than ever.
func (p *peaks) see(count int64) bool {
	most := max(p.past, p.previous, p.now)
	p.now = max(p.now, count)
	return count > most
}

// accept takes what was reached until now for the past.
func (p *peaks) accept() { p.past = max(p.past, p.previous, p.now) }

package index

import (
	"math/bits"
	"slices"
)

// maxRadius is the widest radius of a probe that the tables are searched with: 2,517 of a table's 65,536 buckets.
// A wider one never beats the scan.
const maxRadius = 4

// flips holds the differences from a chunk's value within maxRadius, fewest bits first; flips[:ball[r]] are those
// within radius r.
var (
	flips = func() (f []uint16) {
		for v := range buckets {
			if bits.OnesCount16(uint16(v)) <= maxRadius {
				f = append(f, uint16(v))
			}
		}
		slices.SortStableFunc(f, func(a, b uint16) int { return bits.OnesCount16(a) - bits.OnesCount16(b) })
		return f
	}()
	ball = [maxRadius + 1]int{1, 17, 137, 697, 2517}
)

// within[r] is the number of a chunk's values within r bits of one, for every limit that a filter has at the radius of
// its table: t_(i+1) + 1.
var within = [maxRadius + 2]int{1, 17, 137, 697, 2517, 6885}

// plan says how the tables are searched at one threshold T: radius[i] is t_i of the package's proof, pair[i] is
// t_i + t_(i+1) + 1, and the sum of t_i + 1 over all chunks is T + 1.
type plan struct {
	radius [16]int8 // -1: the table is not searched
	pair   [16]int8
	lists  int // buckets to look at
}

// planFor spreads T + 1 over the chunks as evenly as it goes, the odd ones far apart: then the pairs that a wide
// table is filtered with are narrow ones. ok is false if a radius would exceed maxRadius.
func planFor(chunks, threshold int) (p plan, ok bool) {
	if threshold > maxThreshold(chunks) {
		return p, false
	}
	for i := range chunks {
		p.radius[i] = int8((i+1)*(threshold+1)/chunks - i*(threshold+1)/chunks - 1)
		if p.radius[i] >= 0 {
			p.lists += ball[p.radius[i]]
		}
	}
	for i := range chunks {
		p.pair[i] = p.radius[i] + p.radius[(i+1)%chunks] + 1
	}
	return p, true
}

// maxThreshold returns the highest threshold that the tables are searched at: 79 of 256 bits, 19 of 64.
func maxThreshold(chunks int) int { return chunks*(maxRadius+1) - 1 }

// first reports whether table is the first one whose conditions hold for a record with the given distances per chunk.
func (p *plan) first(distances *[16]uint8, table int) bool {
	for i := range table {
		d := int8(distances[i])
		if d <= p.radius[i] && d+int8(distances[i+1]) <= p.pair[i] {
			return false
		}
	}
	return true
}

// chunkDistances counts the bits of each chunk.
func chunkDistances(difference *key) (d [16]uint8) {
	for i, x := range difference {
		x = count16(x)
		d[4*i], d[4*i+1], d[4*i+2], d[4*i+3] = uint8(x>>48), uint8(x>>32), uint8(x>>16), uint8(x)
	}
	return d
}

// count16 replaces each 16 bits of x by the number of ones among them.
func count16(x uint64) uint64 {
	x -= x >> 1 & 0x5555555555555555
	x = x&0x3333333333333333 + x>>2&0x3333333333333333
	x = (x + x>>4) & 0x0f0f0f0f0f0f0f0f
	return (x + x>>8) & 0x001f001f001f001f
}

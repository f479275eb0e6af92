package pdq

import (
	"fmt"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
)

// Reduced is a picture of which only a smaller plane of luma is at hand: each sample is the mean of Scale x Scale pixels,
// fewer at the right and lower edge. Its hash is nearly that of the picture, not that of a smaller one: the filter is the
// one for the picture's own size. (The windows of the filter and the places where it is sampled depend on the size; run
// on the smaller plane as it is, it gives hashes that are 2 to 34 bits off.)
//
// How near: at a scale of 1 it is the hash of the plane, but for the rounding of sums, which moved no bit of 2,652 out of
// 2,656 hashes of tests and 2 of the others. Photos reduced by package jpegluma so that the shorter side keeps 256 samples
// are 0 bits off what Hasher gives for the whole in the median, 2 at most in nine of ten and 6 at most, in each of the
// eight variants, and their quality by 2 points at most; package media's TestFidelity measures it. Hasher.Screen says of
// each picture by how much its hash may be off.
type Reduced struct {
	Pix           []uint8 // row by row, Stride bytes from one to the next
	Stride        int
	Width, Height int // of the picture, in pixels
	Scale         int // 1 or more
}

// Compute returns the hash of the picture as an EXIF orientation of 1 to 8 shows it, and its quality, as Compute does
// for a Luma. An orientation out of range, and a plane that lacks samples, is an error.
func (r Reduced) Compute(orientation int) (hash hashmatch.Hash, quality int, err error) {
	hash.Kind = hashmatch.PDQ
	p, err := r.sample(orientation)
	if err != nil || p == nil {
		return hash, 0, err
	}
	hash, _ = turns[0].hashes(transform(p))
	return hash, qualityOf(p), nil
}

// Dihedral returns the hashes of the picture as an EXIF orientation of 1 to 8 shows it and of its seven turns and
// mirrorings, and its quality, as Dihedral does for a Luma. An orientation out of range, and a plane that lacks samples,
// is an error.
func (r Reduced) Dihedral(orientation int) (variants [8]Variant, quality int, err error) {
	for i, d := range order {
		variants[i] = Variant{d, hashmatch.Hash{Kind: hashmatch.PDQ}}
	}
	p, err := r.sample(orientation)
	if err != nil || p == nil {
		return variants, 0, err
	}
	coefficients := transform(p)
	for _, t := range turns {
		inPlace, transposed := t.hashes(coefficients)
		variants[slices.Index(order[:], t.inPlace)].Hash = inPlace
		variants[slices.Index(order[:], t.transposed)].Hash = transposed
	}
	return variants, qualityOf(p), nil
}

// sample filters the picture and samples it at 64 x 64 points. It returns nil if the picture is too small for a hash.
func (r Reduced) sample(orientation int) (*plane, error) {
	if orientation < 1 || orientation > 8 {
		return nil, fmt.Errorf("pdq: orientation %d", orientation)
	}
	if r.Scale < 1 || r.Width < 1 || r.Height < 1 {
		return nil, fmt.Errorf("pdq: a picture of %d x %d pixels at a scale of %d", r.Width, r.Height, r.Scale)
	}
	width, height := (r.Width-1)/r.Scale+1, (r.Height-1)/r.Scale+1
	if r.Stride < width || len(r.Pix) < width || height-1 > (len(r.Pix)-width)/r.Stride {
		return nil, fmt.Errorf("pdq: a plane that lacks samples")
	}
	if min(r.Width, r.Height) < smallest {
		return nil, nil
	}
	across := tentsOf(r.Width, r.Scale, mirroredAcross[orientation])
	down := tentsOf(r.Height, r.Scale, mirroredDown[orientation])
	p := new(plane)
	var line [side]float32
	next := 0 // the first tent of down that is not passed
	for y := range height {
		across.apply(&line, r.Pix[y*r.Stride:][:width])
		for next < side && down[next].end() <= y {
			next++
		}
		for i := next; i < side && down[i].first <= y; i++ {
			row, w := &p[down[i].point], down[i].weights[y-down[i].first]
			for x, v := range line {
				row[x] += float32(w * v)
			}
		}
	}
	if orientation >= 5 {
		p.transpose()
	}
	return p, nil
}

// The orientations in which the axes of the stored picture are shown backwards.
var (
	mirroredAcross = [9]bool{2: true, 3: true, 7: true, 8: true}
	mirroredDown   = [9]bool{3: true, 4: true, 6: true, 7: true}
)

func (p *plane) transpose() {
	for i := range p {
		for j := range i {
			p[i][j], p[j][i] = p[j][i], p[i][j]
		}
	}
}

// tent is the weights of the samples of one axis in one of the 64 points: of two box passes, one after the other, which
// make a tent. Samples first and on have a weight, the others have none.
type tent struct {
	point   int
	first   int
	weights []float32
}

func (t *tent) end() int { return t.first + len(t.weights) }

// tents are those of the 64 points, in the order of first.
type tents [side]tent

// tentsOf returns the tents of an axis of n pixels, each sample scale of them. They cost about 64 x n/64 x 3 steps.
func tentsOf(n, scale int, mirrored bool) *tents {
	b, at := boxOf(n), sampled(n)
	all := new(tents)
	weights := make([]float32, 0, 3*side+3*n/scale)
	pixels := make([]float64, 2*b.window)
	for i, o := range at {
		first, last := b.reach(o)
		left, _ := b.reach(first)
		_, right := b.reach(last)
		clear(pixels)
		for k := first; k <= last; k++ { // each output of the first pass that the second adds up
			from, to := b.reach(k)
			w := 1 / float64(last-first+1) / float64(to-from+1)
			pixels[from-left] += w
			pixels[to+1-left] -= w
		}
		if mirrored { // pixels holds steps: those of a line that is read backwards
			line := pixels[:right-left+2]
			slices.Reverse(line)
			for j := range line {
				line[j] = -line[j]
			}
			left, right = n-1-right, n-1-left
		}
		start := len(weights)
		sum, weight := 0., 0.
		for x := left; x <= right; x++ {
			weight += pixels[x-left]
			sum += weight
			if (x+1)%scale == 0 || x == right {
				weights = append(weights, float32(sum))
				sum = 0
			}
		}
		all[i] = tent{i, left / scale, weights[start:len(weights):len(weights)]}
	}
	if mirrored {
		slices.Reverse(all[:])
	}
	return all
}

// reach returns the first and the last value that output o is the mean of.
func (b box) reach(o int) (first, last int) {
	last = o + b.lag
	return max(last-b.window+1, 0), min(last, b.n-1)
}

// apply filters a line of samples.
func (t *tents) apply(line *[side]float32, samples []uint8) {
	for i := range t {
		one := &t[i]
		s := samples[one.first:one.end()]
		w := one.weights[:len(s)]
		var s0, s1, s2, s3 float32 // no sum waits for itself
		for len(s) >= 4 && len(w) >= 4 {
			s0 += float32(w[0] * float32(s[0]))
			s1 += float32(w[1] * float32(s[1]))
			s2 += float32(w[2] * float32(s[2]))
			s3 += float32(w[3] * float32(s[3]))
			s, w = s[4:], w[4:]
		}
		for j, v := range s {
			s0 += float32(w[j] * float32(v))
		}
		line[one.point] = (s0 + s1) + (s2 + s3)
	}
}

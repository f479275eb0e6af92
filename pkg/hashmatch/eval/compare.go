package eval

import (
	"context"
	"math"
	mathbits "math/bits"
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/index"
)

func (b bits) distance(other bits) int {
	return mathbits.OnesCount64(b[0]^other[0]) + mathbits.OnesCount64(b[1]^other[1]) +
		mathbits.OnesCount64(b[2]^other[2]) + mathbits.OnesCount64(b[3]^other[3])
}

// nearest returns the smallest distance of any of the hashes to one; -1 if there are none.
func nearest(hashes []bits, to bits) int {
	near := -1
	for _, h := range hashes {
		if d := h.distance(to); near < 0 || d < near {
			near = d
		}
	}
	return near
}

// beyond stands for a distance that is greater than any.
const beyond = math.MaxUint16

// pairCounts is how near photos come to each other, without turns and with them.
type pairCounts struct {
	photos  int
	far     [2]Histogram // all pairs
	nearest [2]Histogram // each photo's nearest other one
}

// comparePairs compares every photo with every other one, each in turn as the upload and as the listed one.
func (r *run) comparePairs(ctx context.Context) error {
	for profile := range r.Profiles {
		var ofKinds []pairCounts
		for k, kind := range r.kinds {
			counted, err := r.pairsOf(ctx, profile, k, kind)
			if err != nil {
				return err
			}
			ofKinds = append(ofKinds, counted)
		}
		r.pairs = append(r.pairs, ofKinds)
	}
	return nil
}

func (r *run) pairsOf(ctx context.Context, profile, k int, kind hashmatch.Kind) (pairCounts, error) {
	var sights []*sight
	for _, p := range r.photos {
		if s := &p.sights[profile][k]; s.listed {
			sights = append(sights, s)
		}
	}
	// Each worker counts for itself; the sums do not depend on who counted what.
	type part struct {
		far  [2]Histogram
		near [2][]uint16 // by photo
	}
	parts := make([]*part, r.Workers)
	err := r.each(ctx, "pairs", len(sights), func(worker, i int) error {
		p := parts[worker]
		if p == nil {
			p = new(part)
			for mode := range p.far {
				p.far[mode] = make(Histogram, kind.Bits()+1)
				p.near[mode] = slices.Repeat([]uint16{beyond}, len(sights))
			}
			parts[worker] = p
		}
		a := sights[i]
		for j, b := range sights[:i] {
			d := min(nearest(a.uploads[:a.upright], b.refer), nearest(b.uploads[:b.upright], a.refer))
			turned := min(d, nearestOr(a.uploads[a.upright:], b.refer), nearestOr(b.uploads[b.upright:], a.refer))
			for mode, d := range [2]int{d, turned} {
				p.far[mode][d]++
				p.near[mode][i] = min(p.near[mode][i], uint16(d))
				p.near[mode][j] = min(p.near[mode][j], uint16(d))
			}
		}
		return nil
	})
	out := pairCounts{photos: len(sights)}
	for mode := range out.far {
		out.far[mode] = make(Histogram, kind.Bits()+1)
		out.nearest[mode] = make(Histogram, kind.Bits()+1)
		near := slices.Repeat([]uint16{beyond}, len(sights))
		for _, p := range parts {
			if p == nil {
				continue
			}
			for d, n := range p.far[mode] {
				out.far[mode][d] += n
			}
			for i, d := range p.near[mode] {
				near[i] = min(near[i], d)
			}
		}
		for _, d := range near {
			if d != beyond {
				out.nearest[mode][d]++
			}
		}
	}
	return out, err
}

// nearestOr is nearest, and beyond of no hashes.
func nearestOr(hashes []bits, to bits) int {
	if d := nearest(hashes, to); d >= 0 {
		return d
	}
	return beyond
}

// listCounts is how near photos come to the entries of the lists.
type listCounts struct {
	hashes  int64
	photos  int64
	nearest [2]Histogram
}

// compareLists searches the lists for every photo.
func (r *run) compareLists(ctx context.Context) error {
	for profile := range r.Profiles {
		var ofKinds []listCounts
		for k, kind := range r.kinds {
			counted, err := r.listsOf(ctx, profile, k, kind)
			if err != nil {
				return err
			}
			ofKinds = append(ofKinds, counted)
		}
		r.lists = append(r.lists, ofKinds)
	}
	return nil
}

func (r *run) listsOf(ctx context.Context, profile, k int, kind hashmatch.Kind) (listCounts, error) {
	var out listCounts
	if r.Lists == nil {
		return out, nil
	}
	var indexes []*index.Index
	for _, l := range r.Lists.Lists() {
		if n := l.Index().Len(kind); n > 0 {
			indexes = append(indexes, l.Index())
			out.hashes += int64(n)
		}
	}
	if out.hashes == 0 {
		return out, nil
	}
	near := make([][2]uint16, len(r.photos))
	err := r.each(ctx, "lists", len(r.photos), func(_, i int) error {
		near[i] = [2]uint16{beyond, beyond}
		s := &r.photos[i].sights[profile][k]
		var hits []index.Hit
		for u, upload := range s.uploads {
			for _, x := range indexes {
				// No farther than what is known already.
				hits = x.Search(hits[:0], upload.hash(kind), min(int(near[i][1]), r.Widest[kind]))
				if u < s.upright && len(hits) > 0 {
					near[i][0] = min(near[i][0], uint16(hits[0].Distance))
				}
				if len(hits) > 0 {
					near[i][1] = min(near[i][1], uint16(hits[0].Distance))
				}
			}
		}
		return nil
	})
	for mode := range out.nearest {
		out.nearest[mode] = make(Histogram, kind.Bits()+1)
	}
	for i, p := range r.photos {
		if len(p.sights[profile][k].uploads) == 0 {
			continue // nothing of it is searched
		}
		out.photos++
		for mode, d := range near[i] {
			if d != beyond {
				out.nearest[mode][d]++
			}
		}
	}
	return out, err
}

// hash is what bitsOf came from.
func (b bits) hash(kind hashmatch.Kind) hashmatch.Hash {
	h := hashmatch.Hash{Kind: kind}
	for i, v := range b {
		for j := range 8 {
			h.Bits[8*i+j] = byte(v >> (8 * j))
		}
	}
	return h
}

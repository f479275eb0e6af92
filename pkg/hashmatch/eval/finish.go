package eval

import (
	"slices"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/edit"
)

// finish makes the Result of what was counted.
func (r *run) finish() *Result {
	out := &r.result
	out.Seed, out.QualityFloor = r.Seed, r.QualityFloor
	out.Edits, out.Lists = []Edit{}, []List{}
	for _, e := range r.Edits {
		quality := e.Quality
		if quality == 0 {
			quality = edit.DefaultQuality
		}
		out.Edits = append(out.Edits, Edit{e.Name, e.Family, e.Parameters, quality})
	}
	if r.Config.Lists != nil {
		for _, l := range r.Config.Lists.Lists() {
			out.Lists = append(out.Lists, List{l.Name(), l.List().Revision().String(), l.List().Len()})
		}
	}
	for profile := range r.Profiles {
		for k, kind := range r.kinds {
			for mode := range 2 {
				out.Measures = append(out.Measures, r.measure(profile, k, kind, mode))
			}
		}
	}
	return out
}

func (r *run) measure(profile, k int, kind hashmatch.Kind, mode int) Measure {
	m := Measure{Profile: r.Profiles[profile].Name(), Kind: kind, Dihedral: mode == 1, Threshold: r.Thresholds[kind],
		Widest: r.Widest[kind], Photos: r.pairs[profile][k].photos, Recall: []Recall{}, Cost: r.cost(profile, k)}
	copies := make(Histogram, kind.Bits()+1)
	for e, info := range r.Edits {
		c := r.tally[profile][k][e]
		near := c.near[mode]
		found := near.Within(m.Threshold)
		m.Recall = append(m.Recall, Recall{info.Name, c.copies, found, c.flat[mode], Estimate(found, c.copies), near.Median(), near.trimmed()})
		for d, n := range near {
			copies[d] += n
		}
	}
	m.Copies = copies.trimmed()

	pairs := r.pairs[profile][k]
	m.Pairs = r.pairsResult(pairs.far[mode], m, r.lists[profile][k].hashes)
	m.Among = r.against(int64(pairs.photos), int64(max(pairs.photos-1, 0)), pairs.nearest[mode], m)
	if l := r.lists[profile][k]; l.hashes > 0 {
		against := r.against(l.photos, l.hashes, l.nearest[mode], m)
		m.List = &against
	}
	return m
}

func (r *run) pairsResult(far Histogram, m Measure, hashes int64) Pairs {
	total, matched := far.Total(), far.Within(m.Threshold)
	entries := r.Entries
	if entries == 0 {
		entries = hashes
	}
	if entries == 0 {
		entries = DefaultEntries
	}
	bound := 1 / (float64(r.Uploads) * float64(entries))
	return Pairs{total, matched, Estimate(matched, total), far.Nearest(), far.trimmed(), entries,
		choose(far, total, r.Uploads, bound, m.Widest)}
}

func (r *run) against(photos, hashes int64, near Histogram, m Measure) Against {
	matched := near.Within(m.Threshold)
	return Against{photos, matched, Estimate(matched, photos), hashes, near.trimmed(),
		choose(near, photos, r.Uploads, 1/float64(r.Uploads), m.Widest)}
}

func (r *run) cost(profile, k int) Cost {
	var took []float64
	var sum, pixels float64
	for _, p := range r.photos {
		ms := p.sights[profile][k].took.Seconds() * 1000
		took = append(took, ms)
		sum += ms
		pixels += float64(p.pixels)
	}
	slices.Sort(took)
	return Cost{MedianMS: took[len(took)/2], NanosAPixel: sum * 1e6 / max(pixels, 1), MegapixelsIn: pixels / 1e6}
}

package index

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// BenchmarkMany searches 8 PDQ hashes at once, at the threshold of a search and at that of a screening by hashes that
// may be 24 bits off: hits written out, and the question whether there are any.
func BenchmarkMany(b *testing.B) {
	sizes(b, hashmatch.PDQ, func(b *testing.B, m madeList) {
		x := m.index(b)
		random := rand.New(rand.NewPCG(3, 4))
		var views [8]hashmatch.Hash
		fill := func(h hashmatch.Hash) []hashmatch.Hash {
			views[0] = h
			for i := range views[1:] {
				views[1+i] = randomHash(random, m.kind)
			}
			return views[:]
		}
		query := func(int) hashmatch.Hash { return randomHash(random, m.kind) }
		var hits []QueryHit
		for _, threshold := range []int{31, 55} {
			b.Run(fmt.Sprintf("threshold%d", threshold), func(b *testing.B) {
				measure(b, x, query, func(dst []Hit, h hashmatch.Hash) []Hit {
					hits = x.SearchMany(hits[:0], fill(h), threshold)
					return dst
				})
			})
			b.Run(fmt.Sprintf("any%d", threshold), func(b *testing.B) {
				measure(b, x, query, func(dst []Hit, h hashmatch.Hash) []Hit {
					x.Any(fill(h), threshold)
					return dst
				})
			})
		}
	})
}

// BenchmarkGrowth tabulates a search from 10,000 to 10 M entries (50 M, which take 6.5 GB, with HASHMATCH_GROWTH=50M)
// of uniform hashes, and of which one in ten is an edit of one of 1,000 images: in microseconds, at thresholds from 0
// to 64, p50 and p99 of random queries and p50 of queries near such an image.
func BenchmarkGrowth(b *testing.B) {
	all := []int{10_000, 100_000, 1_000_000, 10_000_000}
	if testing.Short() {
		all = all[:3]
	}
	if os.Getenv("HASHMATCH_GROWTH") == "50M" {
		all = append(all, 50_000_000)
	}
	for _, n := range all {
		for _, clusters := range []int{0, 1000} {
			m := madeList{hashmatch.PDQ, n, slices.Repeat([]int{n / 10_000}, clusters)}
			name := map[int]string{0: "uniform", 1000: "clustered"}[clusters]
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				x := m.index(b)
				random := rand.New(rand.NewPCG(3, 4))
				var hits []Hit
				for b.Loop() {
					hits = x.Search(hits[:0], randomHash(random, m.kind), 31)
				}
				b.ReportMetric(float64(x.Bytes())/float64(n), "B/entry")
				for _, threshold := range []int{0, 15, 31, 40, 48, 56, 64} {
					far := timed(x, threshold, func(int) hashmatch.Hash { return randomHash(random, m.kind) })
					b.ReportMetric(micros(far, 50), fmt.Sprintf("T%d-p50-µs", threshold))
					b.ReportMetric(micros(far, 99), fmt.Sprintf("T%d-p99-µs", threshold))
					if clusters > 0 {
						near := timed(x, threshold, func(i int) hashmatch.Hash { return flip(random, m.centre(i%clusters), 8) })
						b.ReportMetric(micros(near, 50), fmt.Sprintf("T%d-near-µs", threshold))
					}
				}
			})
		}
	}
}

// timed returns the sorted times of searches: of 500, or of as many as go into a second.
func timed(x *Index, threshold int, query func(i int) hashmatch.Hash) (times []time.Duration) {
	var hits []Hit
	for until := time.Now().Add(time.Second); len(times) < 500 && (len(times) < 5 || time.Now().Before(until)); {
		h := query(len(times))
		started := time.Now()
		hits = x.Search(hits[:0], h, threshold)
		times = append(times, time.Since(started))
	}
	slices.Sort(times)
	return times
}

func micros(times []time.Duration, percent int) float64 {
	return float64(times[len(times)*percent/100]) / 1000
}

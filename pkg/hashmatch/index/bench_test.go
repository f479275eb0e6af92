package index

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch"
)

// randomHash returns a uniform hash of a kind; never all-zero but with probability 2^-64.
func randomHash(random *rand.Rand, kind hashmatch.Kind) hashmatch.Hash {
	h := hashmatch.Hash{Kind: kind}
	for i := 0; i < kind.Bits(); i += 32 {
		binary.LittleEndian.PutUint32(h.Bits[i/8:], random.Uint32())
	}
	return h
}

// flip returns h with n different bits changed.
func flip(random *rand.Rand, h hashmatch.Hash, n int) hashmatch.Hash {
	for _, bit := range random.Perm(h.Kind.Bits())[:n] {
		h.Bits[bit/8] ^= 0x80 >> (bit % 8)
	}
	return h
}

// A made list holds uniform hashes of one kind and clusters around centres of distinct hashes 16 bits away from them
// (a list with many edits of one image).
type madeList struct {
	kind     hashmatch.Kind
	n        int
	clusters []int
}

const clusterRadius = 16

func (m madeList) centre(i int) hashmatch.Hash {
	return randomHash(rand.New(rand.NewPCG(uint64(i), 99)), m.kind)
}

func (m madeList) signatures() iter.Seq2[hashmatch.Hash, uint32] {
	return func(yield func(hashmatch.Hash, uint32) bool) {
		random := rand.New(rand.NewPCG(1, 2))
		ordinal := uint32(0)
		for i, size := range m.clusters {
			seen := map[hashmatch.Hash]bool{}
			for len(seen) < size {
				h := flip(random, m.centre(i), clusterRadius)
				if seen[h] {
					continue
				}
				seen[h] = true
				if !yield(h, ordinal) {
					return
				}
				ordinal++
			}
		}
		for int(ordinal) < m.n {
			if !yield(randomHash(random, m.kind), ordinal) {
				return
			}
			ordinal++
		}
	}
}

var built struct {
	sync.Mutex
	key   string
	index *Index
}

// index returns the list's index; the last one is kept for the next benchmark and the next -count.
func (m madeList) index(b *testing.B) *Index {
	built.Lock()
	defer built.Unlock()
	if key := fmt.Sprint(m); built.key != key {
		built.index, built.key = nil, ""
		x, err := Build(context.Background(), m.signatures(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		built.index, built.key = x, key
	}
	return built.index
}

var (
	mega = madeList{hashmatch.PDQ, 1_000_000, []int{1000, 100_000}}
	deca = madeList{hashmatch.PDQ, 10_000_000, []int{1000, 100_000}}
)

// sizes runs a benchmark at 1 M and, unless -short, at 10 M entries.
func sizes(b *testing.B, kind hashmatch.Kind, run func(b *testing.B, m madeList)) {
	for _, m := range []madeList{mega, deca} {
		m.kind = kind
		if kind != hashmatch.PDQ {
			m.clusters = nil
		}
		b.Run(fmt.Sprintf("%dM", m.n/1_000_000), func(b *testing.B) {
			if m.n > 1_000_000 && testing.Short() {
				b.Skip("10 M entries: not with -short")
			}
			run(b, m)
		})
	}
}

// measure runs queries and reports their p50 and p99.
func measure(b *testing.B, x *Index, query func(i int) hashmatch.Hash, search func([]Hit, hashmatch.Hash) []Hit) {
	queries := make([]hashmatch.Hash, 1024)
	for i := range queries {
		queries[i] = query(i)
	}
	var hits []Hit
	for _, h := range queries[:64] {
		hits = search(hits[:0], h)
	}
	times := make([]time.Duration, 0, b.N)
	found, i := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		started := time.Now()
		hits = search(hits[:0], queries[i%len(queries)])
		times = append(times, time.Since(started))
		found += len(hits)
		i++
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2]), "p50-ns")
	b.ReportMetric(float64(times[len(times)*99/100]), "p99-ns")
	b.ReportMetric(float64(found)/float64(i), "hits/op")
	kind := queries[0].Kind
	b.ReportMetric(float64(x.Stats(kind).Bytes)/float64(x.Entries(kind)), "B/entry")
}

// BenchmarkRange searches PDQ hashes at threshold 31: uniform queries that find nothing, and queries 8 bits away from
// the centre of a cluster that they find most of.
func BenchmarkRange(b *testing.B) {
	sizes(b, hashmatch.PDQ, func(b *testing.B, m madeList) {
		x := m.index(b)
		random := rand.New(rand.NewPCG(3, 4))
		at31 := func(dst []Hit, h hashmatch.Hash) []Hit { return x.Search(dst, h, 31) }
		b.Run("random", func(b *testing.B) {
			measure(b, x, func(int) hashmatch.Hash { return randomHash(random, m.kind) }, at31)
		})
		for i, size := range m.clusters {
			b.Run(fmt.Sprintf("cluster%d", size), func(b *testing.B) {
				measure(b, x, func(int) hashmatch.Hash { return flip(random, m.centre(i), 8) }, at31)
			})
		}
		b.Run("scan", func(b *testing.B) {
			measure(b, x, func(int) hashmatch.Hash { return randomHash(random, m.kind) },
				func(dst []Hit, h hashmatch.Hash) []Hit { return x.Scan(dst, h, 31) })
		})
	})
}

// BenchmarkBuild builds an index of PDQ hashes; making the hashes is a part of it.
func BenchmarkBuild(b *testing.B) {
	sizes(b, hashmatch.PDQ, func(b *testing.B, m madeList) {
		var x *Index
		for b.Loop() {
			var err error
			if x, err = Build(context.Background(), m.signatures(), Options{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/build")
		b.ReportMetric(float64(x.Bytes())/float64(m.n), "B/entry")
	})
}

// BenchmarkRange64 searches hashes of 64 bits at the default threshold and at the highest that is asked for.
func BenchmarkRange64(b *testing.B) {
	sizes(b, hashmatch.PHash, func(b *testing.B, m madeList) {
		x := m.index(b)
		random := rand.New(rand.NewPCG(3, 4))
		query := func(int) hashmatch.Hash { return randomHash(random, m.kind) }
		for _, threshold := range []int{6, 8, 10} {
			b.Run(fmt.Sprintf("threshold%d", threshold), func(b *testing.B) {
				measure(b, x, query, func(dst []Hit, h hashmatch.Hash) []Hit { return x.Search(dst, h, threshold) })
			})
		}
		b.Run("scan", func(b *testing.B) {
			measure(b, x, query, func(dst []Hit, h hashmatch.Hash) []Hit { return x.Scan(dst, h, 6) })
		})
	})
}

// BenchmarkDigest looks SHA-256 digests up, of which one in two is listed.
func BenchmarkDigest(b *testing.B) {
	sizes(b, hashmatch.SHA256, func(b *testing.B, m madeList) {
		x := m.index(b)
		random := rand.New(rand.NewPCG(3, 4))
		var listed []hashmatch.Hash
		for h := range m.signatures() {
			if listed = append(listed, h); len(listed) == 1024 {
				break
			}
		}
		measure(b, x, func(i int) hashmatch.Hash {
			if i%2 == 0 {
				return listed[i]
			}
			return randomHash(random, m.kind)
		}, func(dst []Hit, h hashmatch.Hash) []Hit { return x.Search(dst, h, 0) })
	})
}

// BenchmarkHigherThresholds searches PDQ hashes where the radius of the probes grows, up to where a scan takes over.
func BenchmarkHigherThresholds(b *testing.B) {
	sizes(b, hashmatch.PDQ, func(b *testing.B, m madeList) {
		x := m.index(b)
		random := rand.New(rand.NewPCG(3, 4))
		for _, threshold := range []int{15, 40, 47, 63} {
			b.Run(fmt.Sprint(threshold), func(b *testing.B) {
				measure(b, x, func(int) hashmatch.Hash { return randomHash(random, m.kind) },
					func(dst []Hit, h hashmatch.Hash) []Hit { return x.Search(dst, h, threshold) })
			})
		}
	})
}

package index

import (
	"math/rand/v2"
	"slices"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestSearchMany holds SearchMany and Any against Search, one query after the other: batches of every size around the
// largest, kinds in turns, by tables, by sweeps, and by both where only some queries have long lists. With the race
// detector it does so at one threshold by tables and one by sweeps.
func TestSearchMany(t *testing.T) {
	random := rand.New(rand.NewPCG(31, 31))
	centre := randomHash(random, hashmatch.PDQ)
	var list []signature
	for i := range 1200 {
		for _, kind := range []hashmatch.Kind{hashmatch.PDQ, hashmatch.PHash, hashmatch.SHA256} {
			list = append(list, signature{randomHash(random, kind), uint32(i)})
		}
		if i%2 == 0 {
			list = append(list, signature{flip(random, centre, random.IntN(60)), uint32(i)})
		}
	}
	var queries []hashmatch.Hash
	for i := range maxBatch + 5 {
		h := list[random.IntN(len(list))].hash
		switch i % 5 {
		case 0:
			h = randomHash(random, h.Kind)
		case 1:
			h = flip(random, centre, random.IntN(10))
		case 2:
			h = flip(random, h, random.IntN(12))
		}
		queries = append(queries, h)
	}
	byKind := slices.Clone(queries)
	slices.SortStableFunc(byKind, func(a, b hashmatch.Hash) int { return int(a.Kind) - int(b.Kind) })
	thresholds := []int{-1, 0, 31, 55, 81}
	if raceDetector {
		thresholds = []int{31, 81}
	}
	hits := 0
	for _, options := range []Options{{}, byTables} {
		x := build(t, list, options)
		for _, queries := range [][]hashmatch.Hash{queries, byKind, {}, byKind[:1], byKind[:8]} {
			for _, threshold := range thresholds {
				everyKernel(func(k kernel) {
					var want []QueryHit
					for i, h := range queries {
						for _, hit := range x.Scan(nil, h, threshold) {
							want = append(want, QueryHit{i, hit})
						}
					}
					hits += len(want)
					got := x.SearchMany([]QueryHit{{Query: -7}}, queries, threshold)
					if got[0].Query != -7 {
						t.Fatal("SearchMany does not append")
					}
					if !slices.EqualFunc(got[1:], want, func(a, b QueryHit) bool {
						return a.Query == b.Query && equalHits([]Hit{a.Hit}, []Hit{b.Hit})
					}) {
						t.Fatalf("%s, %d queries at %d: %d hits, want %d", k, len(queries), threshold, len(got)-1, len(want))
					}
					if x.Any(queries, threshold) != (len(want) > 0) {
						t.Fatalf("%s, %d queries at %d: Any is wrong about %d hits", k, len(queries), threshold, len(want))
					}
				})
			}
		}
	}
	if hits < 10_000 {
		t.Fatalf("%d hits: the test shows nothing", hits)
	}
}

// TestBothWays wants those queries of a batch swept that have long lists, the others searched by tables, and all hits
// told by query.
func TestBothWays(t *testing.T) {
	random := rand.New(rand.NewPCG(34, 34))
	query := randomHash(random, hashmatch.PDQ)
	var list []hashmatch.Hash
	for range 2000 {
		list = append(list, randomHash(random, hashmatch.PDQ), flip(random, query, clusterRadius))
	}
	x := build(t, number(list), byTables)
	r, queries := x.parts[hashmatch.PDQ].(*ranges), []hashmatch.Hash{list[0], query, list[2], flip(random, query, 1), list[4]}
	r.costs = &costs{compare: [2]int{1000, 1000}, survivor: 300}
	everyKernel(func(k kernel) {
		s := new(scratch)
		if r.find(s, s.take(queries), 31, false); s.work.swept != 2*r.n {
			t.Errorf("%s: not 2 of 5 were swept: %+v", k, s.work)
		}
		hits, at := x.SearchMany(nil, queries, 31), 0
		for i, h := range queries {
			for _, hit := range bruteForce(number(list), h, 31) {
				if at == len(hits) || hits[at].Query != i || hits[at].Distance != hit.Distance {
					t.Fatalf("%s: wrong hits of query %d", k, i)
				}
				at++
			}
		}
		if at != len(hits) || at < 4000 {
			t.Fatalf("%s: %d hits, want %d", k, len(hits), at)
		}
	})
}

// TestAnyStops wants Any to stop where the first is found.
func TestAnyStops(t *testing.T) {
	random := rand.New(rand.NewPCG(32, 32))
	list := make([]hashmatch.Hash, 5000)
	for i := range list {
		list[i] = randomHash(random, hashmatch.PDQ)
	}
	r := build(t, number(list), byTables).parts[hashmatch.PDQ].(*ranges)
	everyKernel(func(k kernel) {
		s := new(scratch)
		for i := range 8 {
			s.queries[i] = toKey(&list[i])
		}
		if r.find(s, 8, 31, true); len(s.hits) == 0 || s.work.swept > 0 || s.work.buckets > 272 {
			t.Errorf("%s: %d hits, work %+v for one of 8 that are all there", k, len(s.hits), s.work)
		}
		if r.find(s, 8, 120, true); len(s.hits) == 0 || len(s.hits) > 8*k.group() {
			t.Errorf("%s: %d hits of a sweep that wants one", k, len(s.hits))
		}
	})
}

// TestWork wants no list, however it is made, to cost much more than a sweep, by what the searches count: 1.25 times
// one is spent on tables at most, and half of one where a list has crowded buckets.
func TestWork(t *testing.T) {
	random := rand.New(rand.NewPCG(33, 33))
	const n = 6000
	for _, kind := range perceptual {
		query, made := lists(random, kind, n)
		made["tight cluster"] = nil
		for i := range n {
			h := flip(random, query, 1+random.IntN(5))
			made["tight cluster"] = append(made["tight cluster"], signature{h, uint32(i)})
		}
		gaveUp := 0
		for name, list := range made {
			x := build(t, list, Options{tablesFrom: 1})
			r := x.parts[kind].(*ranges)
			everyKernel(func(k kernel) {
				for _, threshold := range map[int][]int{256: {15, 31, 40, 55}, 64: {3, 6, 10}}[kind.Bits()] {
					for _, q := range []hashmatch.Hash{query, list[n/2].hash, randomHash(random, kind)} {
						for _, batch := range []int{1, 8} {
							s := new(scratch)
							for i := range batch {
								near := flip(random, q, i)
								s.queries[i] = toKey(&near)
							}
							r.find(s, batch, threshold, false)
							w, c := s.work, r.price()
							spent, sweep := c.tables(w.buckets, w.lists, w.postings, w.survivors), r.sweepCost(batch, threshold)
							if spent > sweep+sweep/4 || w.swept > r.n*batch {
								t.Fatalf("%s, %s, %s, %d queries at %d: %d spent on tables, a sweep costs %d: %+v",
									k, kind, name, batch, threshold, spent, sweep, w)
							}
							if w.buckets > 0 && w.swept > 0 {
								gaveUp++
							}
						}
					}
				}
			})
		}
		if gaveUp < 20 {
			t.Fatalf("%s: only %d searches gave up: the test shows nothing", kind, gaveUp)
		}
	}
}

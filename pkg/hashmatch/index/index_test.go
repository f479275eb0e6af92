package index

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestSearch holds Search against brute force: through tables, through what Build chooses, and by scanning, on lists
// of many shapes and sizes at many thresholds; with the race detector on two of the sizes.
func TestSearch(t *testing.T) {
	sizes := []int{0, 1, 2, 3, 5, 17, 300}
	if raceDetector {
		sizes = []int{0, 300}
	}
	for _, kind := range perceptual {
		for _, n := range sizes {
			t.Run(fmt.Sprintf("%s/%d", kind, n), func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(n), uint64(kind)))
				query, made := lists(random, kind, n)
				hits := 0
				for name, list := range made {
					x := build(t, list, byTables)
					if x.Stats(kind).Tables != (n > 0) {
						t.Fatalf("%s: no tables", name)
					}
					queries := []hashmatch.Hash{query, flip(random, query, 5), randomHash(random, kind), {Kind: kind}}
					if n > 0 {
						queries = append(queries, list[n/2].hash)
					}
					for _, q := range queries {
						for _, threshold := range thresholds(kind) {
							hits += check(t, x, list, q, threshold)
						}
					}
				}
				if n > 0 && hits < 100 {
					t.Fatalf("only %d hits: the test shows nothing", hits)
				}
			})
		}
	}
}

// TestEveryDistance plants neighbours at every distance from 0 to threshold + 2, spread over the hash and heaped in a
// few chunks, and wants those within the threshold found, by tables, at every threshold that tables serve.
func TestEveryDistance(t *testing.T) {
	for _, kind := range perceptual {
		t.Run(kind.String(), func(t *testing.T) {
			random := rand.New(rand.NewPCG(5, uint64(kind)))
			chunks := kind.Bits() / 16
			last := maxThreshold(chunks)
			query := randomHash(random, kind)
			var hashes []hashmatch.Hash
			for distance := 0; distance <= last+2; distance++ {
				for range 4 {
					hashes = append(hashes, flip(random, query, distance), flipWithin(random, query, distance, random.IntN(chunks)))
				}
			}
			list := number(hashes)
			x := build(t, list, byTables)
			r := x.parts[kind].(*ranges)
			for threshold := range last + 1 {
				if check(t, x, list, query, threshold) < threshold {
					t.Fatalf("threshold %d: fewer hits than planted", threshold)
				}
				if swept(r, new(scratch), query, threshold) {
					t.Fatalf("threshold %d was scanned", threshold)
				}
			}
			if !swept(r, new(scratch), query, last+1) {
				t.Fatalf("threshold %d was searched by tables", last+1)
			}
		})
	}
}

// TestLongLists sends lists that are longer than a span, and survivors that are more than the scratch holds, through
// the tables: every record shares a chunk with the query and is within the threshold.
func TestLongLists(t *testing.T) {
	random := rand.New(rand.NewPCG(16, 16))
	for _, kind := range perceptual {
		query, threshold := randomHash(random, kind), kind.Bits()/8-1
		k := toKey(&query)
		var hashes []hashmatch.Hash
		for range 3*maxSpan + 5 {
			near := flip(random, query, threshold)
			nearKey := toKey(&near)
			nearKey[0] = k[0]&(0xffff<<32) | nearKey[0]&^(0xffff<<32)
			hashes = append(hashes, toHash(kind, &nearKey))
		}
		list := number(hashes)
		for _, options := range []Options{byTables, byWideTables} {
			x := build(t, list, options)
			if x.Len(kind) < 2*maxSpan {
				t.Fatalf("%s: %d hashes make no long list", kind, x.Len(kind))
			}
			if swept(x.parts[kind].(*ranges), new(scratch), query, threshold) {
				t.Fatalf("%s was scanned", kind)
			}
			if check(t, x, list, query, threshold) != x.Len(kind) {
				t.Fatal("not all found")
			}
			check(t, x, list, flip(random, query, 4), threshold)
		}
	}
}

// TestGivesUp wants a scan instead of tables for lists made to be slow, and the same hits.
func TestGivesUp(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 13))
	for _, kind := range perceptual {
		query := randomHash(random, kind)
		shapes := map[string]func(int) hashmatch.Hash{
			"crowded buckets": func(int) hashmatch.Hash { // of every table: each chunk is the query's, one time in three
				h := randomHash(random, kind)
				k, q := toKey(&h), toKey(&query)
				for chunk := range kind.Bits() / 16 {
					if shift := 48 - 16*(chunk%4); random.IntN(3) == 0 {
						k[chunk/4] = q[chunk/4]&(0xffff<<shift) | k[chunk/4]&^(0xffff<<shift)
					}
				}
				return toHash(kind, &k)
			},
			"cluster": func(int) hashmatch.Hash { return flip(random, query, kind.Bits()/12) },
		}
		for name, shape := range shapes {
			var hashes []hashmatch.Hash
			for len(hashes) < 50_000 {
				hashes = append(hashes, shape(len(hashes)), randomHash(random, kind))
			}
			list := number(hashes)
			x := build(t, list, Options{})
			r, threshold, far := x.parts[kind].(*ranges), kind.Bits()/8-1, randomHash(random, kind)
			everyKernel(func(k kernel) {
				if !swept(r, new(scratch), query, threshold) {
					t.Errorf("%s, %s, %s: was searched by tables", k, kind, name)
				}
				if kind == hashmatch.PDQ && swept(r, new(scratch), far, threshold) {
					t.Errorf("%s, %s, %s: a random query was scanned", k, kind, name)
				}
			})
			check(t, x, list, query, threshold)
		}
	}
}

// TestGivesUpOnSurvivors wants clusters noticed that are too small to lengthen the lists much: at the end where all of
// it fits into one batch of survivors, and else before the first batch is compared.
func TestGivesUpOnSurvivors(t *testing.T) {
	const n = 100_000 // may have 2,000 survivors
	for _, size := range []int{20, 350, 1500} {
		random := rand.New(rand.NewPCG(17, 17))
		query := randomHash(random, hashmatch.PDQ)
		hashes := make([]hashmatch.Hash, n)
		for i := range hashes {
			if hashes[i] = randomHash(random, hashmatch.PDQ); i < size {
				hashes[i] = flip(random, query, clusterRadius)
			}
		}
		list := number(hashes)
		x := build(t, list, Options{})
		r := x.parts[hashmatch.PDQ].(*ranges)
		everyKernel(func(k kernel) {
			s := new(scratch)
			if swept(r, s, query, 31) != (size > 20) {
				t.Errorf("%s, cluster of %d: searched by tables is %v", k, size, size > 20)
			}
			if size == 1500 && s.work.survivors > 0 {
				t.Errorf("%s, cluster of %d: %d were compared before giving up", k, size, s.work.survivors)
			}
		})
		if check(t, x, list, query, 31) != size {
			t.Errorf("cluster of %d: not all found", size)
		}
	}
}

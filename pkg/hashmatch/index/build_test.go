package index

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.org/hashmatch/pkg/hashmatch"
)

// TestKinds builds one index of every kind at once and wants each kind to answer for itself only.
func TestKinds(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	var list []signature
	for i := range 2000 {
		for _, kind := range hashmatch.Kinds() {
			list = append(list, signature{randomHash(random, kind), uint32(i)})
		}
	}
	for i := range 500 { // equal hashes under other ordinals, and the same pair twice
		list = append(list, signature{list[i].hash, uint32(5000 - i)}, list[i])
	}
	for _, options := range []Options{{}, byTables, byWideTables, {Workers: 1}} {
		x := build(t, list, options)
		if x.Kinds() != hashmatch.SetOf(hashmatch.Kinds()...) {
			t.Fatalf("kinds %b", x.Kinds())
		}
		for _, kind := range hashmatch.Kinds() {
			if x.Len(kind) != 2000 || x.Entries(kind) != 2050 {
				t.Fatalf("%s: %d hashes, %d entries", kind, x.Len(kind), x.Entries(kind))
			}
			for _, s := range []signature{list[int(kind)-1], list[10000+int(kind)-1]} {
				if s.hash.Kind != kind {
					t.Fatal("wrong kind")
				}
				if check(t, x, list, s.hash, 6) != 1 || check(t, x, list, s.hash, 0) != 1 {
					t.Fatal("want one hit")
				}
				if check(t, x, list, flip(random, s.hash, 2), 6) != 1 && !kind.Digest() {
					t.Fatal("want one near hit")
				}
				if check(t, x, list, randomHash(random, kind), 6) != 0 {
					t.Fatal("want no hit")
				}
			}
			count := 0
			for h, entries := range x.All(kind) {
				if hits := x.Search(nil, h, 0); len(hits) != 1 || !slices.Equal(hits[0].Entries, entries) || hits[0].Hash != h {
					t.Fatalf("All yields %s, Search finds %v", h, hits)
				}
				count++
			}
			if count != 2000 {
				t.Fatalf("All yields %d", count)
			}
			for range x.All(kind) {
				break
			}
		}
	}
}

// TestDigests looks up digests that share all but their last byte, those next to them, and those before and after all.
func TestDigests(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	for _, kind := range []hashmatch.Kind{hashmatch.MD5, hashmatch.SHA1, hashmatch.SHA256} {
		for _, n := range []int{1, 2, 3, 100, 256} {
			var hashes []hashmatch.Hash
			base := randomHash(random, kind)
			for i := range n {
				base.Bits[kind.Bits()/8-1] = byte(i)
				hashes = append(hashes, base, randomHash(random, kind))
			}
			list := number(hashes)
			x := build(t, list, Options{})
			for _, s := range list {
				if check(t, x, list, s.hash, 0) != 1 || check(t, x, list, s.hash, 200) != 1 {
					t.Fatal("want one hit")
				}
				check(t, x, list, flip(random, s.hash, 1), 3)
			}
			lowest, highest := hashmatch.Hash{Kind: kind}, hashmatch.Hash{Kind: kind}
			for i := range kind.Bits() / 8 {
				highest.Bits[i] = 0xff
			}
			if check(t, x, list, lowest, 0)+check(t, x, list, highest, 0) != 0 {
				t.Fatal("want no hit")
			}
		}
	}
}

func TestNothing(t *testing.T) {
	var zero Index
	h := randomHash(rand.New(rand.NewPCG(1, 1)), hashmatch.PDQ)
	x := build(t, []signature{{h, 7}}, Options{})
	for _, hits := range [][]Hit{
		zero.Search(nil, h, 256), zero.Scan(nil, h, 256), build(t, nil, Options{}).Search(nil, h, 256),
		x.Search(nil, h, -1), x.Scan(nil, h, math.MinInt), x.Search(nil, hashmatch.Hash{}, 256),
		x.Search(nil, hashmatch.Hash{Kind: hashmatch.PHash}, 64), x.Search(nil, hashmatch.Hash{Kind: 200}, 64),
	} {
		if len(hits) != 0 {
			t.Fatalf("found %v", hits)
		}
	}
	if zero.Bytes() != 0 || zero.Kinds() != 0 || zero.Len(hashmatch.PDQ) != 0 {
		t.Fatal("the zero Index is not empty")
	}
	before := []Hit{{Distance: 99}}
	if hits := x.Search(before, h, 0); len(hits) != 2 || hits[0].Distance != 99 || hits[1].Entries[0] != 7 {
		t.Fatalf("Search does not append: %v", hits)
	}
}

func TestBuildRefuses(t *testing.T) {
	good := randomHash(rand.New(rand.NewPCG(1, 1)), hashmatch.MD5)
	long := good
	long.Bits[16] = 1
	for want, bad := range map[string]hashmatch.Hash{
		"entry 42: all-zero pdq hash":                {Kind: hashmatch.PDQ},
		"entry 42: all-zero sha1 hash":               {Kind: hashmatch.SHA1},
		"entry 42: hash of no kind":                  {},
		"entry 42: md5 hash with more than 128 bits": long,
	} {
		x, err := Build(context.Background(), seq([]signature{{good, 41}, {bad, 42}}), Options{})
		if x != nil || err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if err != nil && strings.Contains(err.Error(), good.Hex()) {
			t.Error("the error prints a hash")
		}
	}
}

// TestBuildStops cancels the build at its different stages.
func TestBuildStops(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	list := make([]signature, 0, prefixes)
	for i := range prefixes {
		list = append(list, signature{randomHash(random, hashmatch.PDQ), uint32(i)})
	}
	for _, after := range []int{0, 5000, len(list) - 1} {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := Build(ctx, func(yield func(hashmatch.Hash, uint32) bool) {
			for i, s := range list {
				if i == after {
					cancel()
				}
				if !yield(s.hash, s.ordinal) {
					return
				}
			}
		}, Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d: %v", after, err)
		}
		cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := stage{}
	for _, line := range list {
		s.add(toKey(&line.hash), line.ordinal)
	}
	if _, err := s.sorted(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("sorting: %v", err)
	}
	if _, err := newTables(ctx, &records{}, 3, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("tables: %v", err)
	}
}

// TestLarge builds a list that takes the scattering path, with clusters and equal hashes, twice in different orders,
// and holds samples against brute force while several goroutines search.
func TestLarge(t *testing.T) {
	for _, kind := range perceptual {
		t.Run(kind.String(), func(t *testing.T) {
			random := rand.New(rand.NewPCG(11, uint64(kind)))
			var hashes []hashmatch.Hash
			centre := randomHash(random, kind)
			for len(hashes) < 90_000 {
				switch i := len(hashes); {
				case i%30 == 1:
					hashes = append(hashes, flip(random, centre, 1+random.IntN(kind.Bits()/8)))
				case i%50 == 2:
					hashes = append(hashes, hashes[random.IntN(i)])
				default:
					hashes = append(hashes, randomHash(random, kind))
				}
			}
			list := number(hashes)
			x := build(t, list, Options{})
			if !x.Stats(kind).Tables || x.Entries(kind) != len(list) || x.Len(kind) >= len(list) {
				t.Fatalf("%+v", x.Stats(kind))
			}
			shuffled := slices.Clone(list)
			random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			other := build(t, shuffled, Options{Workers: 3})
			threshold := map[int]int{256: 31, 64: 6}[kind.Bits()]
			var wait sync.WaitGroup
			for worker := range 4 {
				wait.Go(func() {
					random := rand.New(rand.NewPCG(uint64(worker), 12))
					hits := 0
					for i := range 6 {
						query := flip(random, hashes[random.IntN(len(hashes))], random.IntN(threshold+2))
						if i == 0 {
							query = centre
						}
						got, again := x.Search(nil, query, threshold), other.Search(nil, query, threshold)
						if !equalHits(got, again) {
							t.Error("the order of building shows")
						}
						sortHits(got)
						if !equalHits(got, bruteForce(list, query, threshold)) {
							t.Errorf("query %s: wrong hits", query)
						}
						hits += len(got)
					}
					if hits < 1000 {
						t.Errorf("%d hits: the test shows nothing", hits)
					}
				})
			}
			wait.Wait()
		})
	}
}
